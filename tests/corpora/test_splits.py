"""Folds and slices keep groups, classes and proportions."""

import numpy as np
import pandas as pd
import pytest

from thesislib.corpora.index import Corpus
from thesislib.corpora.splits import cross_validate, take_slice
from thesislib.errors import CorpusError, ParameterError


def make(n_groups=12, n_per_group=5, **columns):
    group = np.repeat(np.arange(n_groups), n_per_group)
    index = pd.DataFrame({"file": [f"{i}.wav" for i in range(len(group))]})
    index["label"] = np.where(group % 2, "odd", "even")
    index["group"] = group.astype(str)
    return Corpus(index.assign(**columns), ".", name="example")


def test_drawn_folds_partition_the_rows_and_keep_groups():
    corpus = make()
    folds = cross_validate(corpus, n_folds=3, seed=1)
    tested = np.concatenate([test for _, test in folds.values()])
    assert sorted(tested) == list(range(len(corpus)))
    for train, test in folds.values():
        assert not set(corpus.groups[train]) & set(corpus.groups[test])
        assert sorted([*train, *test]) == list(range(len(corpus)))


def test_folds_that_ignore_groups_part_them():
    corpus = make()
    (train, test), *_ = cross_validate(corpus, n_folds=3, ignore_groups=True).values()
    assert set(corpus.groups[train]) & set(corpus.groups[test])


def test_the_corpus_own_folds_come_first():
    corpus = make(fold=[str(i // 30) for i in range(60)])
    folds = cross_validate(corpus, n_folds=7)
    assert list(folds) == ["0", "1"]
    assert folds["0"][1].tolist() == list(range(30))


def test_too_few_groups_are_refused():
    with pytest.raises(CorpusError, match="class 'even' has 2 groups, expected at least one"):
        cross_validate(make(n_groups=4), n_folds=3)


@pytest.mark.parametrize("n", [2, 3, 20])
def test_a_slice_has_its_share_of_every_cell(n):
    corpus = make(n_per_group=20, fold=[str(i % 240 // 20 % 3) for i in range(240)])
    sliced = take_slice(corpus, n)
    assert len(sliced) == pytest.approx(len(corpus) / n, abs=1)
    cells = sliced.index.groupby(["label", "fold"]).size()
    assert len(cells) == 6
    assert cells.max() - cells.min() <= 1
    assert take_slice(corpus, 1) is corpus


def test_a_slice_of_the_thesis_corpus_is_not_the_thesis_corpus():
    thesis = Corpus(make().index, ".", name="example", kind="thesis")
    sliced = take_slice(thesis, 2)
    assert sliced.kind == "stand-in"
    assert "a slice: 30 of 60 clips" in sliced.remarks
    with pytest.raises(ParameterError, match="n: found 0"):
        take_slice(thesis, 0)
