"""The index of a corpus: everything that is wrong with it is said at once."""

import numpy as np
import pandas as pd
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from thesislib.corpora import folder, load_any
from thesislib.corpora.index import Corpus
from thesislib.errors import CorpusError


def write_corpus(root, rows, *, sr=8000, seconds=0.5):
    """Write tones and an index; rows are dicts, ``file`` and ``label`` compulsory."""
    root.mkdir(exist_ok=True)
    t = np.arange(int(sr * seconds)) / sr
    for i, row in enumerate(rows):
        soundfile.write(root / row["file"], 0.3 * np.sin(2 * np.pi * (200 + 50 * i) * t), sr)
    pd.DataFrame(rows).to_csv(root / "index.csv", index=False)
    return root


def make_rows(n=8):
    return [
        {
            "file": f"{i}.wav",
            "label": "ab"[i % 2],
            "partition": ["train", "test"][i // 4],
            "group": f"g{i // 2}",
        }
        for i in range(n)
    ]


def test_a_good_corpus_has_no_problems(tmp_path):
    corpus = folder.load(write_corpus(tmp_path, make_rows()))
    assert corpus.validate().problems == ()
    assert corpus.check() is corpus
    assert corpus.kind == "stand-in"
    assert corpus.rows("train").tolist() == [0, 1, 2, 3]
    assert corpus.counts().loc["sum", "sum"] == 8


def test_a_missing_folder_or_index_is_named(tmp_path):
    with pytest.raises(CorpusError, match="found nothing, expected the folder of a corpus"):
        folder.load(tmp_path / "absent")
    with pytest.raises(CorpusError, match=r"index\.csv: missing"):
        folder.load(tmp_path)
    with pytest.raises(CorpusError, match="no known layout"):
        load_any(tmp_path)


def test_all_damaged_files_are_reported_at_once(tmp_path):
    root = write_corpus(tmp_path, make_rows())
    (root / "0.wav").unlink()
    (root / "1.wav").write_bytes(b"")
    (root / "2.wav").write_text("this is no audio")
    content = (root / "3.wav").read_bytes()
    (root / "3.wav").write_bytes(content[: len(content) // 2])
    found = folder.load(root).validate()
    assert len(found.problems) == 4
    for row, problem in enumerate(found.problems, start=1):
        assert f"row {row}: " in problem
        assert f"{row - 1}.wav" in problem
    with pytest.raises(CorpusError, match="4 problems"):
        folder.load(root).check()


@pytest.mark.parametrize(
    ("header", "message"),
    [
        (
            "file,lable",
            r"column 'label': missing \(found file, lable\); is it the column 'lable'",
        ),
        ("path,label", "column 'file': missing"),
        ("file,label,partitoin", "column 'partitoin': unknown; expected 'partition'"),
    ],
)
def test_a_wrong_column_is_named(tmp_path, header, message):
    cells = ",".join(["x"] * len(header.split(",")))
    (tmp_path / "index.csv").write_text(f"{header}\n{cells}\n")
    with pytest.raises(CorpusError, match=message):
        folder.load(tmp_path)


def test_times_that_are_no_numbers_name_row_and_value(tmp_path):
    (tmp_path / "index.csv").write_text("file,label,start_s\na.wav,x,0\nb.wav,y,soon\n")
    with pytest.raises(CorpusError, match="row 2: start_s is 'soon', expected seconds"):
        folder.load(tmp_path)


@pytest.mark.parametrize("column", ["partition", "fold"])
def test_a_group_on_both_sides_of_a_split_is_refused(tmp_path, column):
    rows = [{k: v for k, v in row.items() if k != "partition"} for row in make_rows()]
    for i, row in enumerate(rows):
        row[column] = f"p{i // 4}"
    rows[4]["group"] = "g0"
    corpus = folder.load(write_corpus(tmp_path, rows))
    with pytest.raises(CorpusError, match=f"group 'g0': found in {column}s p0, p1"):
        corpus.check()


def test_a_partition_without_one_of_the_classes_is_refused(tmp_path):
    rows = make_rows()
    for row in rows[4:]:
        row["label"] = "a"
    with pytest.raises(CorpusError, match="partition 'test': found no clip of class b"):
        folder.load(write_corpus(tmp_path, rows)).check()


def test_events_and_segments_beyond_the_end_are_refused(tmp_path):
    rows = make_rows()
    rows[0] |= {"onset_s": 0.1, "offset_s": 9.0}
    rows[1] |= {"onset_s": 0.3, "offset_s": 0.2}
    corpus = folder.load(write_corpus(tmp_path, rows))
    problems = "\n".join(corpus.validate().problems)
    assert "row 1: offset_s is 9, but 0.wav lasts 0.500 s" in problems
    assert "row 2: found onset_s 0.3, offset_s 0.2, expected onset_s < offset_s" in problems


def test_mixed_sampling_rates_are_remarked_not_refused(tmp_path):
    root = write_corpus(tmp_path, make_rows())
    soundfile.write(root / "0.wav", np.ones(4000) * 0.1, 16000)
    found = folder.load(root).validate()
    assert found.problems == ()
    assert "8000 in 7 files, 16000 in 1 files" in found.remarks[0]


def test_three_channels_are_refused(tmp_path):
    root = write_corpus(tmp_path, make_rows())
    soundfile.write(root / "0.wav", np.ones((4000, 3)) * 0.1, 8000)
    with pytest.raises(CorpusError, match=r"0\.wav.*3 channels"):
        folder.load(root).check()


def test_the_fingerprint_follows_audio_and_index(tmp_path):
    root = write_corpus(tmp_path, make_rows())
    before = folder.load(root).fingerprint
    assert folder.load(root).fingerprint == before
    soundfile.write(root / "0.wav", np.ones(4000) * 0.1, 8000)
    assert folder.load(root).fingerprint != before


def test_overlapping_folds_stay_as_shipped():
    index = pd.DataFrame({"file": ["a", "b", "c"], "label": ["x", "y", "x"]})
    splits = {"1": (np.array([0]), np.array([1, 2])), "2": (np.array([1]), np.array([0, 2]))}
    corpus = Corpus(index, ".", "overlap", splits=splits)
    assert [test.tolist() for _, test in corpus.folds().values()] == [[1, 2], [0, 2]]


texts = st.text(st.characters(codec="utf-8", exclude_characters="\x00\r"), max_size=20)
stripped = texts.map(str.strip)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(texts.filter(str.strip), stripped), min_size=1, max_size=6))
def test_any_text_is_read_back_as_it_stands(tmp_path_factory, pairs):
    root = tmp_path_factory.mktemp("any")
    table = pd.DataFrame(pairs, columns=["file", "label"])
    table.to_csv(root / "index.csv", index=False, encoding="utf-8", lineterminator="\n")
    corpus = folder.load(root)
    assert corpus.index["file"].tolist() == [file for file, _ in pairs]
    assert corpus.labels.tolist() == [label or None for _, label in pairs]


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes_as_index_end_in_our_error_or_a_corpus(tmp_path_factory, content):
    root = tmp_path_factory.mktemp("bytes")
    (root / "index.csv").write_bytes(content)
    try:
        corpus = folder.load(root)
    except CorpusError as error:
        assert "index.csv" in str(error) or root.name in str(error)
    else:
        assert {"file", "label"} <= set(corpus.index)
