"""Tables of events of loose recordings: what they say, and what they may not."""

from pathlib import Path

import pytest

from thesislib.corpora.annotations import read_events
from thesislib.errors import CorpusError, ParameterError

NAMES = ["a/1.wav", "a/2.wav", "b/1.wav"]


def write(folder, text, name="events.csv"):
    (folder / name).write_text(text, encoding="utf-8")
    return folder / name


def test_events_of_each_file_in_the_order_of_the_table(tmp_path):
    rows = "a/2.wav,2,3,dog\nb/1.wav,,,\na/2.wav,0.5,1,cat\na/1.wav,?,?,dog\nb/9.wav,0,1,dog\n"
    table = write(tmp_path, f"file,onset_s,offset_s,label\n{rows}")
    events, n_unused = read_events(NAMES, tmp_path, table)
    assert events == [[], [(2.0, 3.0, "dog"), (0.5, 1.0, "cat")], []]
    assert n_unused == 1


def test_other_columns_bare_names_and_tabs(tmp_path):
    text = "fold\tlabel\tfile_name\toffset_s\tonset_s\n1\tdog\t2.wav\t3\t2\n"
    table = write(tmp_path, text, "events.tsv")
    events, _ = read_events(NAMES[:2], Path("elsewhere"), table, unlabelled=True)
    assert events == [None, [(2.0, 3.0, "dog")]]


def test_every_problem_is_told_at_once(tmp_path):
    rows = ["1.wav,1,2,dog", "a/1.wav,2,1,dog", "a/1.wav,x,2,dog", "a/2.wav,1,2,", "a/2.wav,1"]
    rows += ["a/2.wav,-1,2,dog", "a/2.wav,1,,dog", "a/2.wav,1,inf,dog"]
    table = write(tmp_path, "\n".join(["file,onset_s,offset_s,label", *rows]))
    with pytest.raises(CorpusError) as told:
        read_events(NAMES, tmp_path, table)
    message = str(told.value)
    assert "labels: 8 problems" in message
    assert "line 3: found 2 to 1 s, expected an onset and a later offset, or neither" in message
    assert f"(and 4 more: {table}, line 4, {table}, line 7, …)" in message
    assert "line 5: found an event without a label" in message
    assert "line 6: found 2 of 4 fields" in message
    # A bare name that two files have is neither's.
    assert "b/1.wav: found in no row" in message


def test_a_table_without_events_or_columns(tmp_path):
    table = write(tmp_path, "file,onset_s,offset_s,label\na/1.wav,,,\n")
    with pytest.raises(CorpusError, match="found no event in these files"):
        read_events(NAMES[:1], tmp_path, table)
    with pytest.raises(CorpusError, match="found the columns file, label, expected file, onset_s"):
        read_events(NAMES, tmp_path, write(tmp_path, "file,label\n"))
    with pytest.raises(CorpusError, match="cannot be read"):
        read_events(NAMES, tmp_path, tmp_path / "none.csv")
    with pytest.raises(ParameterError, match=r"labels: found '\.txt'"):
        read_events(NAMES, tmp_path, "events.txt")
