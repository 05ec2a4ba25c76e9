"""Splits are spelt alike, derived where they are missing, and slices keep proportions."""

import numpy as np
import pandas as pd
import pytest

from thesislib.corpora import NEEDS
from thesislib.corpora.index import Corpus
from thesislib.corpora.splits import adapt, choose_split, draw_fold_sets, take_slice
from thesislib.errors import CorpusError, ParameterError

PARTITIONS = ("train", "devel", "test")
NATIVE = {
    "partitions": {"partition": ["train"] * 36 + ["devel"] * 12 + ["test"] * 12},
    "folds": {"fold": [str(1 + i // 12) for i in range(60)]},
    "neither": {},
}


def make(n_groups=12, n_per_group=5, n_classes=2, **columns):
    group = np.arange(n_groups * n_per_group) // n_per_group
    index = pd.DataFrame({"file": [f"{i}.wav" for i in range(len(group))]})
    index["label"] = [f"class {g % n_classes}" for g in group]
    index["group"] = group.astype(str)
    return Corpus(index.assign(**columns), ".", name="example")


def make_clips(n_classes=2, **columns):
    """Sixty clips without groups."""
    index = pd.DataFrame({"file": [f"{i}.wav" for i in range(60)]})
    index["label"] = [f"class {i % n_classes}" for i in range(60)]
    return Corpus(index.assign(**columns), ".", name="example")


@pytest.mark.parametrize("n_classes", [2, 4, 10])
@pytest.mark.parametrize("kind", NATIVE)
@pytest.mark.parametrize("name", [name for name, needs in NEEDS.items() if needs])
def test_any_folder_has_the_splits_of_any_experiment(name, kind, n_classes):
    needs = NEEDS[name]
    corpus = adapt(make_clips(n_classes, **NATIVE[kind]), needs)
    assert not corpus.validate(audio=False).problems
    if isinstance(needs, int):
        parts = {key: test for key, (_, test) in corpus.folds().items()}
        assert len(parts) == (5 if kind == "folds" else min(needs, 60 // n_classes))
    else:
        parts = {part: corpus.rows(part) for part in needs}
    together = np.concatenate(list(parts.values()))
    assert len(set(together)) == len(together)
    assert all(set(corpus.labels[rows]) == set(corpus.classes) for rows in parts.values())


@pytest.mark.parametrize("needs", [4, PARTITIONS, ("train", "evaluation")])
def test_groups_stay_whole(needs):
    corpus = adapt(make(), needs)
    column = "fold" if needs == 4 else "partition"
    assert corpus.index.groupby("group")[column].nunique().max() == 1
    assert corpus.index[column].nunique() == (4 if needs == 4 else len(needs))
    assert corpus.remarks
    assert all(remark.startswith("derived: ") for remark in corpus.remarks)


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["Train", "Dev", "TEST"], ("train", "devel", "test")),
        (["trn", "val", "eval"], ("train", "devel", "evaluation")),
        (["train", "evaluation"], ("train", "evaluation")),
        (["train", "dev"], ("train", "devel")),
        (["train"], ()),
        (["dev", "test"], ()),
        (["left", "right"], ()),
    ],
)
def test_the_split_that_a_corpus_brings_is_taken_as_it_is(names, expected):
    corpus = make_clips(partition=[names[i // 2 % len(names)] for i in range(60)])
    assert choose_split(corpus) == expected
    adapted = adapt(corpus, choose_split(corpus))
    assert choose_split(adapted) == expected
    assert not [remark for remark in adapted.remarks if remark.startswith("derived")]


def test_nothing_is_derived_where_nothing_is_missing():
    for needs, columns in ((PARTITIONS, NATIVE["partitions"]), (4, NATIVE["folds"])):
        corpus = make_clips(**columns)
        assert adapt(corpus, needs) is corpus
    assert adapt(make(), ()).remarks == ()


def test_test_serves_as_evaluation_and_the_reverse():
    corpus = adapt(make_clips(**NATIVE["partitions"]), ("train", "evaluation"))
    assert corpus.rows("evaluation").tolist() == list(range(48, 60))
    assert "derived: test serves as evaluation" in corpus.remarks
    other = adapt(make_clips(partition=["train"] * 48 + ["evaluation"] * 12), PARTITIONS)
    assert other.rows("test").tolist() == list(range(48, 60))
    assert len(other.rows("devel")) == 12
    assert set(other.rows("devel")) < set(range(48))


def test_partitions_come_from_folds():
    corpus = adapt(make_clips(**NATIVE["folds"]), PARTITIONS)
    assert corpus.rows("test").tolist() == list(range(48, 60))
    assert corpus.rows("devel").tolist() == list(range(36, 48))
    assert corpus.remarks == (
        "derived: fold 5 serves as test, fold 4 as devel, the others as train",
    )
    splits = {"1": (np.arange(30), np.arange(30, 60)), "2": (np.arange(30, 60), np.arange(30))}
    index = make_clips().index
    corpus = adapt(Corpus(index, ".", name="example", splits=splits), PARTITIONS)
    assert corpus.rows("test").tolist() == list(range(30))
    assert set(corpus.rows("train")) | set(corpus.rows("devel")) == set(range(30, 60))


def test_folds_serve_where_partitions_have_strange_names():
    corpus = adapt(make_clips(partition=["x", "y"] * 30, **NATIVE["folds"]), PARTITIONS)
    assert corpus.rows("test").tolist() == list(range(48, 60))


def test_withheld_labels_are_no_partition():
    labels = ["a", "b"] * 24 + [None] * 12
    corpus = adapt(make_clips(label=labels, **NATIVE["partitions"]), PARTITIONS)
    assert set(corpus.rows("test")) < set(range(36))
    assert corpus.rows("devel").tolist() == list(range(36, 48))


@pytest.mark.parametrize(
    "names", [("Train", "Dev", "TEST"), ("training", "validation", "test"), ("train", "val", "tst")]
)
def test_spellings_of_partitions_are_understood(names):
    partition = [names[0]] * 36 + [names[1]] * 12 + [names[2]] * 12
    corpus = adapt(make_clips(partition=partition), PARTITIONS)
    assert [len(corpus.rows(name)) for name in PARTITIONS] == [36, 12, 12]
    assert "derived" not in "".join(corpus.remarks)


def test_two_partitions_are_not_merged_by_their_spelling():
    partition = ["train"] * 24 + ["devel"] * 12 + ["validation"] * 12 + ["test"] * 12
    corpus = adapt(make_clips(partition=partition), PARTITIONS)
    assert len(corpus.rows("devel")) == len(corpus.rows("validation")) == 12


@pytest.mark.parametrize(
    ("corpus", "needs", "message"),
    [
        (make(n_groups=2, n_per_group=1), PARTITIONS, "class 'class 0' has 1 groups, expected"),
        (make(n_groups=4), 4, "class 'class 0' has 2 groups, expected .* each of 3 folds"),
        (make(n_classes=1), PARTITIONS, "found classes 'class 0', expected at least two"),
        (make(group="one"), PARTITIONS, "class 'class 0' has 1 groups"),
        (make_clips(partition=["a", "b"] * 30), PARTITIONS, "found partitions a, b, expected"),
        (
            make_clips(partition=["train"] * 3 + ["test"] * 57),
            ("train", "evaluation"),
            "training part of evaluation: class 'class 1' has 1 clips",
        ),
    ],
    ids=["two clips", "few groups", "one class", "one group", "strange names", "small training"],
)
def test_what_cannot_be_split_is_an_error_that_says_why(corpus, needs, message):
    with pytest.raises(CorpusError, match=message):
        adapt(corpus, needs)


def test_there_are_as_many_folds_as_the_smallest_class_has_groups():
    corpus = adapt(make(n_groups=10), 10)
    assert len(corpus.folds()) == 5
    assert "derived: 5 folds are drawn by group" in corpus.remarks


def test_a_corpus_with_derived_splits_is_not_the_thesis_s():
    index = make().index
    assert adapt(Corpus(index, ".", name="x", kind="thesis"), 4).kind == "stand-in"


@pytest.mark.parametrize("n", [2, 3, 20])
def test_a_slice_has_its_share_of_every_cell(n):
    corpus = make(n_per_group=20, fold=[str(i % 240 // 20 // 2 % 3) for i in range(240)])
    sliced = take_slice(corpus, n)
    assert len(sliced) == pytest.approx(len(corpus) / n, abs=1)
    cells = sliced.index.groupby(["label", "fold"]).size()
    assert len(cells) == 6
    assert cells.max() - cells.min() <= 1
    assert take_slice(corpus, 1) is corpus


def test_a_slice_keeps_the_folds_that_a_corpus_ships():
    splits = {"1": (np.arange(30), np.arange(30, 60)), "2": (np.arange(30, 60), np.arange(30))}
    sliced = take_slice(Corpus(make_clips().index, ".", name="example", splits=splits), 3)
    (train, test), _ = sliced.folds().values()
    assert len(train) + len(test) == len(sliced) == 20
    assert all(int(file[:-4]) < 30 for file in sliced.index["file"].iloc[train])


def test_a_slice_of_the_thesis_corpus_is_not_the_thesis_corpus():
    thesis = Corpus(make().index, ".", name="example", kind="thesis")
    sliced = take_slice(thesis, 2)
    assert sliced.kind == "stand-in"
    assert "a slice: 30 of 60 clips" in sliced.remarks
    with pytest.raises(ParameterError, match="n: found 0"):
        take_slice(thesis, 0)


def with_domains(n_domains=6, n_groups=3, n_clips=2, by_class=True):
    """Groups in domains; each domain is of one class, or holds both."""
    rows = [
        {"label": "ab"[d % 2] if by_class else "ab"[g % 2], "group": f"{d}-{g}", "domain": f"d{d}"}
        for d in range(n_domains)
        for g in range(n_groups)
        for _ in range(n_clips)
    ]
    index = pd.DataFrame(rows)
    index["file"] = [f"{i}.wav" for i in range(len(index))]
    return Corpus(index, ".", name="example")


@pytest.mark.parametrize("by_class", [True, False])
def test_folds_within_keep_groups_and_folds_elsewhere_keep_domains(by_class):
    corpus = with_domains(n_groups=4, by_class=by_class)
    sets = draw_fold_sets(corpus, 3)
    for name, units in (("within", corpus.groups), ("elsewhere", corpus.domains)):
        tested = np.concatenate([test for _, test in sets[name].values()])
        assert sorted(tested) == list(range(len(corpus)))
        for train, test in sets[name].values():
            assert not set(units[train]) & set(units[test])
            assert set(corpus.labels[train]) == {"a", "b"}
    assert len(sets["within"]) == len(sets["elsewhere"]) == 3
    # Within: other groups of the same domain are trained on, as far as there are any.
    assert any(
        set(corpus.domains[train]) & set(corpus.domains[test])
        for train, test in sets["within"].values()
    )


def test_a_class_of_one_domain_has_no_elsewhere():
    corpus = with_domains(n_domains=3)
    with pytest.raises(
        CorpusError, match="class 'b' has 1 domains, expected at least one for each"
    ):
        draw_fold_sets(corpus)
    with pytest.raises(CorpusError, match="found no column domain, expected one to split by"):
        draw_fold_sets(Corpus(corpus.index.drop(columns="domain"), ".", name="example"))
    remarks = corpus.validate(audio=False).remarks
    assert remarks == (
        "class 'b' comes from one domain (d1): a score can come from recognising it",
    )


def test_splits_by_domain_replace_those_that_divide_domains():
    corpus = with_domains()
    corpus.index["fold"] = [str(1 + i % 3) for i in range(len(corpus))]
    assert adapt(corpus, 3) is not None and adapt(corpus, 3).remarks == ()
    by_domain = adapt(corpus, 3, by="domain")
    assert by_domain.remarks == ("derived: 3 folds are drawn by domain",)
    assert by_domain.index.groupby("domain")["fold"].nunique().max() == 1
    assert adapt(by_domain, 3, by="domain").remarks == by_domain.remarks
    parts = adapt(with_domains(8), ("train", "devel", "test"), by="domain")
    assert parts.index.groupby("domain")["partition"].nunique().max() == 1
    assert set(parts.partitions) == {"train", "devel", "test"}


def test_clips_without_a_domain_are_in_no_fold():
    corpus = with_domains()
    corpus.index.loc[0, "domain"] = None
    folded = adapt(corpus, 3, by="domain")
    assert folded.index["fold"].isna().tolist() == [True] + [False] * (len(corpus) - 1)
    assert 0 not in np.concatenate([t for _, t in draw_fold_sets(corpus)["within"].values()])


def test_a_group_in_two_domains_is_a_problem():
    corpus = with_domains()
    corpus.index.loc[0, "domain"] = "d5"
    problems = corpus.validate(audio=False).problems
    assert problems == ("group '0-0': found in domains d0, d5, expected one domain",)
