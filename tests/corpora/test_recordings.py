"""Loose files and folders: what is taken, what it is called, what label it has."""

import os

import pytest

from thesislib.corpora.recordings import find_recordings, read_labels
from thesislib.errors import CorpusError, ParameterError

NAMES = ["cat/1.wav", "cat/2.flac", "dog/3.ogg"]


@pytest.fixture
def folder(tmp_path):
    for name in [*NAMES, "cat/notes.txt", "dog/deep/4.AIFF", "cat/._1.wav"]:
        path = tmp_path / "set" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return tmp_path / "set"


def test_a_folder_is_searched_for_audio(folder):
    root, names, refused, ignored = find_recordings([folder])
    assert root == folder
    assert names == ["cat/1.wav", "cat/2.flac", "dog/3.ogg", "dog/deep/4.AIFF"]
    assert refused == []
    assert dict(ignored) == {".txt": 1}  # the hidden .wav is not worth a remark


def test_a_named_file_is_taken_whatever_it_is(folder, monkeypatch):
    monkeypatch.chdir(folder)
    root, names, _, ignored = find_recordings(["cat/notes.txt", "dog/missing", "cat/../cat/1.wav"])
    assert root == folder
    assert names == ["cat/1.wav", "cat/notes.txt", "dog/missing"]
    assert not ignored


def test_a_file_named_twice_is_one(folder):
    root, names, _, _ = find_recordings([folder / "cat", folder / "cat" / "1.wav", folder / "cat"])
    assert (root, names) == (folder / "cat", ["1.wav", "2.flac"])


def test_folders_of_one_name_are_told_apart(tmp_path):
    for name in ("a/x/1.wav", "b/x/1.wav"):
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).touch()
    _, names, _, _ = find_recordings([tmp_path / "a" / "x", tmp_path / "b" / "x"])
    assert names == ["a/x/1.wav", "b/x/1.wav"]


def test_links_are_followed_but_not_in_circles(folder, tmp_path):
    (folder / "cat" / "round").symlink_to(folder)
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "5.wav").touch()
    (folder / "linked").symlink_to(tmp_path / "elsewhere")
    _, names, _, _ = find_recordings([folder])
    assert names == ["cat/1.wav", "cat/2.flac", "dog/3.ogg", "dog/deep/4.AIFF", "linked/5.wav"]


def test_a_name_that_is_no_text_is_refused_alone(folder):
    try:
        (folder / os.fsdecode(b"\xff.wav")).touch()
    except OSError:
        pytest.skip("this file system takes UTF-8 only")
    _, names, refused, _ = find_recordings([folder])
    assert len(names) == 4
    assert refused == ["\udcff.wav"]


def test_a_folder_without_audio_is_refused(tmp_path):
    (tmp_path / "a.txt").touch()
    with pytest.raises(CorpusError, match=r"found no audio files \(1 others\)"):
        find_recordings([tmp_path])


def test_without_a_wish_there_are_no_labels():
    assert read_labels(NAMES, "/x") == ({}, 0)


def test_a_file_s_folder_is_its_label():
    assert read_labels(NAMES, "/x", labels="folder") == ({"label": ["cat", "cat", "dog"]}, 0)
    with pytest.raises(CorpusError, match=r"1 problem;.*\n  - loose\.wav: found no label"):
        read_labels(["cat/1.wav", "loose.wav"], "/x", labels="folder")


@pytest.mark.parametrize(
    ("suffix", "separator", "files"),
    [
        (".csv", ",", NAMES),
        (".tsv", "\t", NAMES),
        (".csv", ",", ["1.wav", "2.flac", "3.ogg"]),
        (".csv", ",", [f"set/{name}" for name in NAMES]),
        (".csv", ",", ["cat\\1.wav", "./cat/2.flac", "dog//3.ogg"]),
    ],
)
def test_a_table_gives_several_labels_of_their_own_kind(tmp_path, suffix, separator, files):
    lines = [["file", "mood", "valence", "count", "code"]]
    lines += [
        [name, *rest]
        for name, rest in zip(files, [["good", "1", "3", "007"], ["bad", ".5", "0", "010"]])
    ]
    lines += [[files[2], "so so", "-1e-3", "-12", "1"], ["other.wav", "good", "1", "1", "1"]]
    table = tmp_path / f"labels{suffix}"
    table.write_text("\n".join(separator.join(line) for line in lines), encoding="utf-8-sig")
    columns, n_unused = read_labels(NAMES, tmp_path / "set", labels=table)
    assert columns == {
        "mood": ["good", "bad", "so so"],
        "valence": [1.0, 0.5, -0.001],
        "count": [3, 0, -12],
        "code": ["007", "010", "1"],
    }
    assert [type(value) for value in columns["count"]] == [int] * 3
    assert n_unused == 1
    as_names, _ = read_labels(NAMES, tmp_path / "set", labels=table, nominal=True)
    assert as_names["count"] == ["3", "0", "-12"]


def test_what_looks_like_a_number_but_is_none_stays(tmp_path):
    for label in ("007", "nan", "inf", "1_000", "12345678901234567890", "1e999", ".", "0x1f"):
        assert read_labels(["a"], "/x", label=label)[0] == {"label": [label]}


def test_every_missing_and_doubled_label_is_told(tmp_path):
    table = tmp_path / "labels.csv"
    table.write_text("file,a,b\ncat/1.wav,x,\ncat/1.wav,y,\ndog/3.ogg,?,1\nshort.wav,1\n")
    with pytest.raises(CorpusError) as caught:
        read_labels(NAMES, tmp_path, labels=table)
    told = str(caught.value)
    assert "5 problems" in told
    assert "line 3: found other labels of cat/1.wav" in told
    assert "line 5: found 2 of 3 fields" in told
    assert "cat/1.wav: found no b" in told
    assert "cat/2.flac: found no a, b" in told
    assert "dog/3.ogg: found no a" in told


def test_missing_labels_can_be_allowed(tmp_path):
    table = tmp_path / "labels.csv"
    table.write_text("file_name,a\n1.wav,x\n2.flac,?\n")
    found = read_labels(NAMES, tmp_path, labels=table, unlabelled=True)
    assert found == ({"a": ["x", None, None]}, 0)


def test_a_bare_name_that_two_files_have_labels_neither(tmp_path):
    table = tmp_path / "labels.csv"
    table.write_text("file,label\n1.wav,x\n")
    with pytest.raises(CorpusError, match="2 problems"):
        read_labels(["a/1.wav", "b/1.wav"], tmp_path, labels=table)


def test_impossible_labels(tmp_path):
    with pytest.raises(ParameterError, match="found 'folder' beside label"):
        read_labels(NAMES, "/x", labels="folder", label="x")
    with pytest.raises(
        ParameterError, match=r"labels: found '\.txt', expected one of \.csv, \.tsv"
    ):
        read_labels(NAMES, "/x", labels=tmp_path / "labels.txt")
    with pytest.raises(CorpusError, match=r"labels\.csv: cannot be read"):
        read_labels(NAMES, "/x", labels=tmp_path / "labels.csv")
    for text in ("", "name,label\n", "file\n", "x,label\nother.wav,cat\n"):
        (tmp_path / "labels.csv").write_text(text)
        with pytest.raises(CorpusError, match="expected file and one or more of labels"):
            read_labels(NAMES, "/x", labels=tmp_path / "labels.csv")
    (tmp_path / "labels.csv").write_text("file,a,a\n")
    with pytest.raises(CorpusError, match="found the columns file, a, a, expected each once"):
        read_labels(NAMES, "/x", labels=tmp_path / "labels.csv")
