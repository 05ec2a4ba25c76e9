"""EMO-DB: fetched whole or not at all, read from its file names, speakers kept apart."""

import hashlib
import io
import zipfile

import numpy as np
import pandas as pd
import pytest
import soundfile

from thesislib.corpora import load_any, load_corpus, open_corpus
from thesislib.corpora.records import RECORDS, find_place
from thesislib.errors import CorpusError, ParameterError
from thesislib.export.download import DownloadError
from thesislib.export.fetch import fetch_corpus

RECORD = RECORDS["emo_db"]

NAMES = sorted(
    f"{s}a0{i}{e}a.wav" for s in "03 08 12 14 15 16".split() for e in "WTFN" for i in (1, 2)
)


def make_archive(names=NAMES, *, extra=()):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for i, name in enumerate(names):
            wav = io.BytesIO()
            y = np.random.default_rng(i).uniform(-0.5, 0.5, 4000)
            soundfile.write(wav, y, 16000, format="WAV", subtype="PCM_16")
            archive.writestr(f"wav/{name}", wav.getvalue())
        archive.writestr("erkennung.txt", "Satz Erkannt")
        for name in extra:
            archive.writestr(name, "x")
    return buffer.getvalue()


@pytest.fixture
def server(file_server, monkeypatch):
    digest = hashlib.sha256("\n".join(NAMES).encode()).hexdigest()
    monkeypatch.setattr(RECORD, "names_sha256", digest)
    monkeypatch.setattr(RECORD, "base_url", file_server.url)
    file_server.files["download.zip"] = make_archive()
    return file_server


def fetch(root):
    return fetch_corpus("emo-db", root, accept_licence=True, progress=False)


def test_the_licence_comes_first(server, tmp_path):
    with pytest.raises(ParameterError, match=r"accept_licence: found False, .*Cite the paper"):
        fetch_corpus("emo-db", tmp_path / "e")
    with pytest.raises(ParameterError, match=r"name: found 'emodb', .*did you mean 'emo-db'"):
        fetch_corpus("emodb", tmp_path / "e", accept_licence=True)
    assert server.requests == []
    assert not (tmp_path / "e").exists()


def test_it_arrives_once_and_what_was_lost_is_fetched_again(server, tmp_path):
    root = fetch_corpus("emo-db", tmp_path / "e", accept_licence=True, progress=False)
    assert sorted(path.name for path in (root / "wav").iterdir()) == NAMES
    assert fetch(root) == root
    assert server.requests == [("/download.zip", None)]
    (root / "wav" / NAMES[0]).unlink()
    fetch(root)
    assert len(server.requests) == 2
    assert sorted(path.name for path in (root / "wav").iterdir()) == NAMES


def test_a_broken_transfer_goes_on(server, tmp_path):
    server.n_cuts = 1
    fetch(tmp_path / "e")
    ranges = [wanted for _, wanted in server.requests]
    assert ranges[0] is None
    assert ranges[1].startswith("bytes=") and ranges[1] != "bytes=0-"
    assert len(load_corpus("emo_db", tmp_path / "e")) == 36


def test_a_killed_transfer_is_taken_up_from_its_part(server, tmp_path):
    notes = tmp_path / ".fetched"
    notes.mkdir()
    (notes / ".download.zip.part").write_bytes(server.files["download.zip"][:1000])
    fetch(tmp_path)
    assert server.requests == [("/download.zip", "bytes=1000-")]


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda content: make_archive(NAMES[1:]), "found 47 files .*expected the 535"),
        (lambda content: make_archive([*NAMES[1:], "03z01Wa.wav"]), "found 48 files"),
        (
            lambda content: b"<html>moved</html>",
            "found no readable archive .*, expected a zip or tar archive",
        ),
        (lambda content: content.replace(b"data", b"dat\0", 3), "wrong checksum in wav/"),
    ],
)
def test_another_archive_is_refused_and_leaves_nothing(server, tmp_path, spoil, message):
    server.files["download.zip"] = spoil(server.files["download.zip"])
    with pytest.raises(DownloadError, match=message):
        fetch(tmp_path)
    assert [path.name for path in tmp_path.rglob("*")] == [".fetched"]


def test_members_outside_the_folder_are_refused(server, tmp_path):
    server.files["download.zip"] = make_archive(extra=["../evil.txt"])
    with pytest.raises(CorpusError, match="leaves the folder"):
        fetch(tmp_path / "e")
    assert not (tmp_path / "evil.txt").exists()


def test_names_tell_speaker_emotion_and_sentiment(server, tmp_path):
    root = fetch(tmp_path / "e")
    corpus = open_corpus("sentiment", root)
    rows = corpus.index.set_index("file")
    columns = ["label", "partition", "group", "emotion", "text"]
    happy = rows.loc["wav/03a01Fa.wav", columns].tolist()
    assert happy == ["positive", "train", "03", "happiness", "a01"]
    assert rows.loc["wav/16a02Ta.wav", columns[:3]].tolist() == ["negative", "test", "16"]
    assert "wav/03a01Na.wav" not in rows.index
    assert (corpus.kind, corpus.classes) == ("stand-in", ["negative", "positive"])
    assert "speaker 09: clips of anger: found 0, published 13" in corpus.remarks
    assert load_any(root).fingerprint == corpus.fingerprint
    emotions = load_corpus("emo_db", root, target="emotion")
    assert len(emotions) == len(NAMES)
    assert emotions.classes == ["anger", "happiness", "neutral", "sadness"]


def test_partitions_hold_every_speaker_once_and_both_sexes():
    speakers = [speaker for row in RECORD.partitions.values() for speaker in row]
    assert sorted(speakers) == sorted(RECORD.counts[0]["numbers"])
    assert len(set(speakers)) == len(speakers) == 10
    men = {"03", "10", "11", "12", "15"}
    for row in RECORD.partitions.values():
        assert 2 * len(men & set(row)) == len(row)


def test_published_counts_add_up():
    counts = pd.DataFrame(RECORD.counts[0]["numbers"])
    assert counts.to_numpy().sum() == 535
    by_emotion = counts.sum(axis=1).to_dict()
    # Burkhardt et al. 2005 and the corpus's own site.
    assert by_emotion == {
        "anger": 127,
        "boredom": 81,
        "disgust": 46,
        "fear": 69,
        "happiness": 71,
        "sadness": 62,
        "neutral": 79,
    }


def test_strange_files_and_empty_folders_are_named(tmp_path):
    with pytest.raises(CorpusError, match=r"found no .wav file, expected names such as 03a01Fa"):
        load_corpus("emo_db", tmp_path)
    (tmp_path / "wav").mkdir()
    for name in ("03a01Fa.wav", "99a01Fa.wav", "noise.wav"):
        (tmp_path / "wav" / name).touch()
    with pytest.raises(CorpusError, match=r"found wav/99a01Fa.wav, wav/noise.wav, expected names"):
        load_corpus("emo_db", tmp_path)
    with pytest.raises(ParameterError, match="target: found 'mood'"):
        load_corpus("emo_db", tmp_path, target="mood")


def test_an_index_of_the_users_own_wins(tmp_path):
    (tmp_path / "wav").mkdir()
    (tmp_path / "wav" / "03a01Fa.wav").touch()
    assert find_place(tmp_path, RECORD) == tmp_path
    assert load_any(tmp_path).name.startswith(RECORD.name)
    (tmp_path / "index.csv").write_text("file,label\nwav/03a01Fa.wav,joy\n")
    assert load_any(tmp_path).classes == ["joy"]
    assert load_corpus("emo_db", tmp_path).classes == ["joy"]


def test_clips_at_hand_have_names_and_labels_of_emo_db(reference_data):
    table = pd.read_csv(reference_data / "corpora" / "sentiment" / "index.csv")
    table = table[table["file"].str.contains("emodb")]
    names = table["file"].str.extract(r"__(\d\d\w+)\.flac$")[0]
    emotions = names.str[5].map(RECORD.values["emotions"])
    assert len(table) == 148
    assert (emotions.map(RECORD.values["sentiments"]) == table["label"]).all()
    counts = names.groupby([names.str[:2], emotions]).size()
    published = RECORD.counts[0]["numbers"]
    assert all(n <= published[s][e] for (s, e), n in counts.items())
