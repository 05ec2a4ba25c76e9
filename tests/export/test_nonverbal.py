"""Deeply Nonverbal Vocalization: fetched as a tar archive, read, split by speaker."""

import io
import tarfile

import numpy as np
import pandas as pd
import pytest
import soundfile

from thesislib.corpora import load_any, load_corpus, open_tasks
from thesislib.corpora.records import RECORDS
from thesislib.errors import CorpusError, ParameterError
from thesislib.export import fetch
from thesislib.export.download import DownloadError, unpack_archive

RECORD = RECORDS["nonverbal"]
SOUNDS = RECORD.values["sounds"]


def make_members():
    """A clip of every sound of each of 12 speakers."""
    members = {}
    for i in range(12):
        for number, sound in enumerate(SOUNDS):
            stream = io.BytesIO()
            y = np.random.default_rng((i, number)).uniform(-0.5, 0.5, 400)
            soundfile.write(stream, y, 16000, format="WAV", subtype="PCM_16")
            name = f"{sound}/SP{i:02}_{number}_1_0_30_0_0_0.wav"
            members[f"NonverbalVocalization/dataset/{name}"] = stream.getvalue()
    return members


def make_tar(members, kind=tarfile.REGTYPE):
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as archive:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, "/etc/passwd" if kind != tarfile.REGTYPE else ""
            info.size = len(content) if kind == tarfile.REGTYPE else 0
            archive.addfile(info, io.BytesIO(content))
    return stream.getvalue()


@pytest.fixture
def server(file_server, monkeypatch):
    monkeypatch.setattr(RECORD, "base_url", file_server.url)
    file_server.files["NonverbalVocalization.tgz"] = make_tar(make_members())
    return file_server


def fetch_it(root):
    return fetch.fetch_corpus("nonverbal", root, accept_licence=True, progress=False)


def test_it_is_fetched_once_with_its_tasks(server, tmp_path):
    with pytest.raises(ParameterError, match="NonCommercial-NoDerivatives"):
        fetch.fetch_corpus("nonverbal", tmp_path / "c")
    server.cut_above, server.n_cuts = 1000, 1  # a transfer that breaks off
    root = fetch_it(tmp_path / "c")
    n_requests = len(server.requests)
    fetch_it(root)
    assert len(server.requests) == n_requests == 2
    corpus = load_any(root).check()
    assert (corpus.kind, len(corpus), corpus.classes) == ("stand-in", 192, SOUNDS)
    tasks = open_tasks("vocalisations", root / "views" / "vocalisations")
    assert set(tasks) == {"coughing", "sneezing", "screaming", "all_sounds"}
    for name, task in tasks.items():
        assert len(task) == 192
        assert task.classes == (SOUNDS if name == "all_sounds" else sorted([name, "other"]))
        assert set(task.index["partition"]) == {"train", "evaluation"}
        assert task.index.groupby("group")["partition"].nunique().max() == 1


def test_folds_belong_to_speakers_whatever_else_is_there(server, tmp_path):
    root = fetch_it(tmp_path)
    whole = load_corpus("nonverbal", root).index.set_index("file")
    for path in sorted(root.rglob("SP0[0-5]*.wav")):
        path.unlink()
    part = load_corpus("nonverbal", root).index.set_index("file")
    pd.testing.assert_frame_equal(part, whole.loc[part.index])
    assert set(whole["fold"]) == {"1", "2", "3"}


def test_strange_names_are_listed(server, tmp_path):
    root = fetch_it(tmp_path)
    (root / "NonverbalVocalization" / "dataset" / "singing").mkdir()
    (root / "NonverbalVocalization" / "dataset" / "singing" / "a.wav").touch()
    with pytest.raises(CorpusError, match=r"found dataset/singing/a\.wav, expected names such as"):
        load_corpus("nonverbal", root)


@pytest.mark.parametrize(
    "content",
    [make_tar(make_members())[:-2000], make_tar({"x/readme.txt": b"x"}), b"<html>not found</html>"],
)
def test_a_damaged_or_other_archive_is_refused(server, tmp_path, content):
    server.files["NonverbalVocalization.tgz"] = content
    with pytest.raises(DownloadError):
        fetch_it(tmp_path)
    assert not list(tmp_path.rglob("*.wav"))


@pytest.mark.parametrize(
    ("members", "kind", "message"),
    [
        ({"../evil": b"1"}, tarfile.REGTYPE, "leaves the folder"),
        ({"/evil": b"1"}, tarfile.REGTYPE, "leaves the folder"),
        ({"evil": b""}, tarfile.SYMTYPE, "link or device"),
        ({"evil": b""}, tarfile.LNKTYPE, "link or device"),
        ({"evil": b""}, tarfile.CHRTYPE, "link or device"),
        ({"bomb": bytes(60 << 20)}, tarfile.REGTYPE, "bytes of content, expected at most"),
    ],
)
def test_an_unsafe_tar_is_not_unpacked(tmp_path, members, kind, message):
    path = tmp_path / "a.tgz"
    path.write_bytes(make_tar(members, kind))
    with pytest.raises(CorpusError, match=message):
        unpack_archive(path, tmp_path / "out")
    assert not [p for p in (tmp_path / "out").rglob("*") if p.is_file()]


def test_the_reference_data_are_read(reference_data, tmp_path):
    (tmp_path / "dataset").symlink_to(reference_data / "corpora" / "nonverbal" / "dataset")
    corpus = load_corpus("nonverbal", tmp_path)
    index = pd.read_csv(reference_data / "corpora" / "nonverbal" / "index.csv", dtype=str)
    ours = corpus.index.set_index("file").loc[index["file"]]
    assert len(corpus) == len(index)
    assert (ours["label"].to_numpy() == index["label"].to_numpy()).all()
    assert (ours["group"].to_numpy() == index["group"].to_numpy()).all()
    assert pd.crosstab(ours["label"], ours["fold"]).to_numpy().min() >= 1
