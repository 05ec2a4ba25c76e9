"""The TUT 2017 corpora in their native layouts, and where their archives come from."""

import hashlib
import io
import json
import re
import zipfile

import numpy as np
import pytest
import soundfile

from thesislib.corpora import acoustic_scenes, load_corpus, rare_events
from thesislib.corpora.event_lists import read_sources
from thesislib.corpora.mixtures import synthesize_mixtures
from thesislib.corpora.records import RECORDS
from thesislib.corpora.synthetic import make_corpus
from thesislib.errors import CorpusError, ParameterError
from thesislib.export import download, fetch
from thesislib.export.fetch import fetch_corpus, list_archives


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    root = tmp_path_factory.mktemp("made")
    make_corpus("acoustic_scenes", root / "scenes", size="tiny", clip_s=0.2)
    make_corpus("rare_events", root / "rare", size="tiny", clip_s=4.0)
    return root


@pytest.fixture
def scenes(tmp_path):
    """Lists without audio: two clips of each of two recordings a class, folds as shipped."""
    setup = tmp_path / "evaluation_setup"
    setup.mkdir()
    rows = [
        (f"audio/{name}_{i}_{i + 10}.wav", label, name)
        for number, label in enumerate(acoustic_scenes.LABELS)
        for name in (f"a{number:03}", f"b{number:03}")
        for i in (0, 10)
    ]
    (tmp_path / "meta.txt").write_text("".join("\t".join(row) + "\n" for row in rows))
    for fold in range(4):
        test = rows[fold::4]
        train = [row for row in rows if row not in test]
        for name, part, width in (("train", train, 2), ("evaluate", test, 2), ("test", test, 1)):
            text = "".join("\t".join(row[:width]) + "\n" for row in part)
            (setup / f"fold{fold + 1}_{name}.txt").write_text(text)
    return tmp_path


def edit(path, old, new):
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def test_synthetic_scenes_load_with_folds_apart_in_place(made):
    corpus = load_corpus("acoustic_scenes", made / "scenes").check()
    assert (corpus.kind, corpus.remarks) == ("synthetic", ())
    assert tuple(corpus.classes) == acoustic_scenes.LABELS
    for fold, (train, test) in corpus.folds().items():
        assert not set(corpus.groups[train]) & set(corpus.groups[test])
        assert (corpus.index["fold"].iloc[test] == fold).all()
        assert len(train) + len(test) == len(corpus)


def test_an_unpacked_archive_is_found_in_its_own_folder(scenes, tmp_path_factory):
    root = tmp_path_factory.mktemp("fetched")
    scenes.rename(root / "TUT-acoustic-scenes-2017-development")
    corpus = load_corpus("acoustic_scenes", root)
    assert corpus.root == root / "TUT-acoustic-scenes-2017-development"
    assert corpus.kind == "stand-in"
    assert "clips of beach: found 4, published 312" in corpus.remarks
    assert "fold 1: clips to train: found 45, published 3510" in corpus.remarks


def test_files_tested_twice_are_kept_in_both_folds_and_counted(scenes):
    file = "audio/a000_0_10.wav"  # tested in fold 1
    edit(scenes / "evaluation_setup" / "fold2_train.txt", f"{file}\tbeach\n", "")
    for name, line in (("evaluate", f"{file}\tbeach\n"), ("test", f"{file}\n")):
        with open(scenes / "evaluation_setup" / f"fold2_{name}.txt", "a") as stream:
            stream.write(line)
    corpus = load_corpus("acoustic_scenes", scenes)
    tested = {
        fold: list(corpus.index["file"].iloc[test]) for fold, (_, test) in corpus.splits.items()
    }
    assert [fold for fold, files in tested.items() if file in files] == ["1", "2"]
    assert sum(map(len, tested.values())) == len(corpus) + 1
    assert f"1 files are tested in two or more folds ({file})" in corpus.remarks
    assert "fold" not in corpus.index
    assert corpus.folds().keys() == {"1", "2", "3", "4"}


def test_recordings_on_both_sides_of_a_fold_are_remarked(scenes):
    remarks = load_corpus("acoustic_scenes", scenes).remarks
    # rows[fold::4] tests one clip of a recording and trains on its other one.
    assert "fold 1: 15 recordings are on both sides" in remarks


def test_the_published_counts_are_those_of_the_shipped_lists():
    labels, folds = (count["numbers"] for count in RECORDS["acoustic_scenes"].counts)
    assert sum(labels.values()) == 4680
    assert sum(fold["test"] for fold in folds.values()) == 4686
    assert {sum(fold.values()) for fold in folds.values()} == {4680}


def test_every_contradiction_of_the_lists_is_named(scenes):
    setup = scenes / "evaluation_setup"
    edit(scenes / "meta.txt", "audio/b014_10_20.wav\ttram", "audio/b014_10_20.wav\ttrolley")
    edit(setup / "fold1_train.txt", "audio/a000_10_20.wav\tbeach", "audio/a000_10_20.wav\tbus")
    edit(setup / "fold2_train.txt", "audio/a000_0_10.wav", "audio/lost.wav")
    edit(setup / "fold3_test.txt", "audio/b000_0_10.wav\n", "")
    with open(setup / "fold4_train.txt", "a") as stream:
        stream.write("audio/b000_10_20.wav\tbeach\n")
    with pytest.raises(CorpusError, match="problems") as caught:
        load_corpus("acoustic_scenes", scenes)
    for problem in (
        r"audio/b014_10_20.wav has the label 'trolley', expected one of the 15",
        r"fold1_train.txt: audio/a000_10_20.wav is 'bus', 'beach' in meta.txt",
        r"fold2_train.txt: audio/lost.wav is not in meta.txt",
        r"fold3_test.txt and fold3_evaluate.txt list different files",
        r"fold 4: audio/b000_10_20.wav and 0 more train and test it",
    ):
        assert problem in str(caught.value)


def test_a_broken_line_is_named(scenes):
    edit(scenes / "meta.txt", "audio/a001_0_10.wav\tbus\ta001", "audio/a001_0_10.wav bus a001")
    with pytest.raises(CorpusError, match=r"meta\.txt line 5: found 1 fields, expected 3"):
        load_corpus("acoustic_scenes", scenes)


def test_faulty_recordings_stay_and_are_counted(scenes):
    (scenes / "error.txt").write_text("audio/a000_0_10.wav\t1.0\t2.0\taudible click\n")
    corpus = load_corpus("acoustic_scenes", scenes)
    assert "1 files have recording errors (error.txt)" in corpus.remarks
    assert "audio/a000_0_10.wav" in set(corpus.index["file"])


@pytest.mark.parametrize("name", ["acoustic_scenes", "rare_events"])
def test_a_users_index_is_read_and_an_empty_folder_refused(tmp_path, name):
    with pytest.raises(CorpusError, match=r"found no .*thesis corpus fetch tut-"):
        load_corpus(name, tmp_path)
    (tmp_path / "index.csv").write_text("file,label\na.wav,yes\n")
    assert load_corpus(name, tmp_path).classes == ["yes"]


def test_synthetic_sources_load_as_events_and_backgrounds(made):
    corpus = load_corpus("rare_events", made / "rare").check()
    assert (corpus.kind, corpus.remarks) == ("synthetic", ())
    assert corpus.classes == ["babycry", "background", "glassbreak", "gunshot"]
    events = corpus.index[corpus.index["label"] != "background"]
    assert (events["end_s"] > events["start_s"]).all()
    assert (events["start_s"] == events["onset_s"]).all()
    assert corpus.index.loc[corpus.index["label"] == "background", "scene"].notna().all()
    sides = corpus.index[["group", "partition"]].drop_duplicates()
    assert sides["group"].is_unique


def test_counts_of_sources_decide_the_kind(made, tmp_path):
    root = tmp_path / "copy"
    (root / "data").mkdir(parents=True)
    (root / "data" / "source_data").symlink_to(made / "rare" / "data" / "source_data")
    corpus = load_corpus("rare_events", root)
    assert corpus.kind == "stand-in"
    assert "devtrain: background: found 15, published 844" in corpus.remarks


def test_mixtures_from_synthetic_sources_are_read_back(made):
    root, source = made / "rare", made / "rare" / "data" / "source_data"
    for subset in ("devtrain", "devtest"):
        events, backgrounds = read_sources(source, subset)
        written = synthesize_mixtures(
            root,
            events,
            backgrounds,
            events_root=source / "events",
            backgrounds_root=source / "bgs",
            subset=subset,
            n_mixtures=4,
            duration_s=4.0,
            sr=8000,
        )
    corpus = rare_events.load_mixtures(root)
    assert corpus.kind == "synthetic"
    assert corpus.partitions == ["devtest", "devtrain"]
    assert corpus.index.groupby(["partition", "label"])["event_present"].sum().eq(2).all()
    one = rare_events.load_mixtures(root, "devtest").check()
    assert sorted(one.index["file"]) == sorted(written["file"])
    assert one.index["onset_s"].notna().sum() == 6
    with pytest.raises(CorpusError, match="found no data/mixture_data/evaltest"):
        rare_events.load_mixtures(root, "evaltest")


def test_published_mixtures_are_told_from_others(tmp_path):
    for partition, name in (
        ("evaltest", "bbb81504db15a03680a0044474633b67"),
        ("devtest", "0" * 32),
    ):
        place = tmp_path / "archive" / "data" / "mixture_data" / partition / name
        (place / "meta").mkdir(parents=True)
        (place / "audio").mkdir()
        soundfile.write(place / "audio" / "m.wav", np.zeros(80), 8000)
        (place / "meta" / f"mixture_recipes_{partition}_gunshot.yaml").write_text(
            "- {mixture_audio_filename: m.wav, event_present: false, bg_path: a.wav, "
            "bg_classname: park, ebr: -.inf}\n"
        )
    corpus = rare_events.load_mixtures(tmp_path)
    assert corpus.remarks == (
        "devtest, gunshot: mixtures drawn anew, not those published",
        "evaltest: 1 of gunshot, published 500",
    )
    (place / "audio" / "m.wav").unlink()
    with pytest.raises(CorpusError, match=r"1 mixtures are missing, archive/data/.*m\.wav"):
        rare_events.load_mixtures(tmp_path)


@pytest.mark.parametrize(
    ("corpus", "parts", "n_files", "gigabytes"),
    [
        ("acoustic_scenes", ["development"], 13, 10.70),
        ("acoustic_scenes", ["evaluation"], 6, 3.60),
        ("rare_events", ["development"], 11, 8.32),
        ("rare_events", ["development", "evaluation"], 19, 12.92),
    ],
)
def test_lists_of_archives_are_complete(corpus, parts, n_files, gigabytes):
    files = list_archives(corpus, parts)
    assert len({row["name"] for row in files}) == len(files) == n_files
    assert sum(row["size"] for row in files) / 1e9 == pytest.approx(gigabytes, abs=0.005)
    for row in files:
        assert re.fullmatch(r"[0-9a-f]{32}", row["md5"])
        assert re.fullmatch(
            r"https://zenodo\.org/record/\d+/files/" + re.escape(row["name"]), row["url"]
        )


def test_lists_of_archives_agree_with_the_reference(reference_data):
    manifest = json.loads((reference_data / "dcase_manifest.json").read_text())
    published = {
        (f["name"], f["bytes"], f["md5"], entry["url"] + f["name"])
        for entry in manifest.values()
        for f in entry["files"]
    }
    ours = {
        (row["name"], row["size"], row["md5"], row["url"])
        for corpus in ("acoustic_scenes", "rare_events")
        for row in list_archives(corpus, ["development", "evaluation"])
    }
    assert ours == published


def test_licences_are_accepted_before_anything_is_fetched(tmp_path):
    for name in ("tut-acoustic-scenes-2017", "tut-rare-sound-events-2017"):
        with pytest.raises(ParameterError, match=r"accept_licence: .*academic"):
            fetch_corpus(name, tmp_path / "x", base_url="http://127.0.0.1:9")
    with pytest.raises(ParameterError, match="parts: found 'all'"):
        fetch_corpus(name, tmp_path / "x", parts=["all"], accept_licence=True)
    assert list(tmp_path.iterdir()) == []


def test_a_fetched_corpus_can_be_loaded(scenes, tmp_path_factory, monkeypatch):
    """The archives of a small mirror, through the same path as Zenodo's."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for path in sorted(scenes.rglob("*.txt")):
            name = path.relative_to(scenes).as_posix()
            archive.writestr(f"TUT-acoustic-scenes-2017-development/{name}", path.read_bytes())
    content = stream.getvalue()
    md5 = hashlib.md5(content).hexdigest()
    row = {"name": "meta.zip", "size": len(content), "md5": md5, "url": "https://zenodo.org/x"}
    monkeypatch.setattr(fetch, "list_archives", lambda *arguments: [row])
    addresses = []

    def deliver(url, part, *options):
        addresses.append(url)
        part.write_bytes(content)

    monkeypatch.setattr(download, "_fetch_rest", deliver)
    root = tmp_path_factory.mktemp("fetched")
    mirror = "http://127.0.0.1:9/mirror"
    fetch_corpus("tut-acoustic-scenes-2017", root, accept_licence=True, base_url=mirror)
    assert addresses == ["http://127.0.0.1:9/mirror/meta.zip"]
    assert len(load_corpus("acoustic_scenes", root)) == 60
