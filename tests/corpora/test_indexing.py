"""An index for own recordings: labels, groups, splits that keep them, and what is refused."""

import numpy as np
import pandas as pd
import pytest
import soundfile

from thesislib.cli import main
from thesislib.corpora import load_any
from thesislib.corpora.indexing import write_index
from thesislib.errors import CorpusError, ParameterError


@pytest.fixture
def recordings(tmp_path, rng):
    for label in ("cat", "dog"):
        (tmp_path / label).mkdir()
        for home in range(6):
            for n in range(1 + home % 3):
                y = 0.1 * rng.standard_normal(800)
                soundfile.write(tmp_path / label / f"h{home}_{n}.wav", y, 8000)
    return tmp_path


def test_the_index_makes_a_corpus_without_problems(recordings):
    write_index(recordings, group=r"h(\d)", n_folds=3)
    corpus = load_any(recordings).check()
    assert corpus.classes == ["cat", "dog"]
    assert sorted(corpus.partitions) == ["devel", "test", "train"]
    assert len(corpus.folds()) == 3


def test_no_group_is_in_two_parts_and_every_part_has_every_class(recordings):
    index = pd.read_csv(write_index(recordings, group=r"h(\d)", n_folds=3))
    for split in ("partition", "fold"):
        pairs = index[["group", split]].drop_duplicates()
        assert not pairs["group"].duplicated().any()
        assert len(index[["label", split]].drop_duplicates()) == 2 * 3


def test_sizes_follow_what_is_asked(recordings):
    index = pd.read_csv(write_index(recordings, partitions={"train": 2, "evaluation": 1}))
    shares = index["partition"].value_counts(normalize=True)
    np.testing.assert_allclose(shares[["train", "evaluation"]], [2 / 3, 1 / 3], atol=0.05)
    assert "group" not in index and "fold" not in index


def test_the_same_seed_gives_the_same_bytes_and_another_another_split(recordings):
    first = write_index(recordings).read_bytes()
    assert write_index(recordings, overwrite=True).read_bytes() == first
    assert write_index(recordings, overwrite=True, seed=1).read_bytes() != first


def test_labels_come_from_a_table_too(recordings):
    names = [path.relative_to(recordings).as_posix() for path in recordings.glob("*/*.wav")]
    table = recordings / "mood.csv"
    pd.DataFrame({"file": names, "mood": ["calm", "wild"] * (len(names) // 2)}).to_csv(
        table, index=False
    )
    index = pd.read_csv(write_index(recordings, labels=table))
    assert set(index["label"]) == {"calm", "wild"}


def test_an_index_that_is_there_stays(recordings):
    path = write_index(recordings)
    path.write_text("mine")
    with pytest.raises(CorpusError, match="found an index"):
        write_index(recordings)
    assert path.read_text() == "mine"


@pytest.mark.parametrize(
    ("settings", "error", "match"),
    [
        ({"group": "("}, ParameterError, "no regular expression"),
        ({"group": "house"}, CorpusError, r"no group in 24 of 24 files \(cat/h0_0.wav, .*, …\)"),
        ({"group": r"h(\d)_0|_\d"}, CorpusError, r"no group in \d+ of 24 files \(cat/h1_1.wav"),
        ({"partitions": {"train": 0}}, ParameterError, r"partitions\['train'\]: found 0"),
        ({"n_folds": 7, "group": r"h(\d)"}, CorpusError, "class 'cat' has 6 groups"),
    ],
)
def test_bad_input_is_told_and_nothing_is_written(recordings, settings, error, match):
    with pytest.raises(error, match=match):
        write_index(recordings, **settings)
    assert not (recordings / "index.csv").exists()


def test_the_command_writes_checks_and_counts(recordings, capsys):
    command = ["corpus", "index", str(recordings), "--partition", "train=4", "--partition"]
    assert main([*command, "evaluation=2", "--folds", "2"]) == 0
    printed = capsys.readouterr().out
    assert "index.csv" in printed
    assert "24 rows, 2 classes, stand-in" in printed
    assert "no problems found" in printed


def test_too_few_files_for_the_default_split_are_told_as_such(tmp_path, rng, capsys):
    for label in ("cat", "dog"):
        for n in range(3):
            (tmp_path / label).mkdir(exist_ok=True)
            soundfile.write(tmp_path / label / f"{n}.wav", 0.1 * rng.standard_normal(80), 8000)
    assert main(["corpus", "index", str(tmp_path)]) == 2
    assert (
        "class 'cat' has 3 files, expected at least one for each of 5 parts of the split "
        "train=3 devel=1 test=1" in capsys.readouterr().err
    )
    assert (
        main(
            ["corpus", "index", str(tmp_path), "--partition", "train=2", "--partition"] + ["test=1"]
        )
        == 0
    )
