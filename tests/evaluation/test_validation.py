"""Selection: what is chosen sees only what it may see."""

import numpy as np
import pandas as pd
import pytest

from thesislib.corpora.index import Corpus
from thesislib.errors import CorpusError, ParameterError
from thesislib.evaluation.classifiers import build_svm, decision_values, upsample
from thesislib.evaluation.fusion import fuse_decisions, vote_chunks
from thesislib.evaluation.metrics import unweighted_average_recall
from thesislib.evaluation.predictions import choose_nested
from thesislib.evaluation.validation import (
    evaluate_folds,
    evaluate_partitions,
    evaluate_split,
)


def make_problem(rng, n=120, n_features=20, distance=1.5):
    y = np.array(list("abc"))[np.arange(n) % 3]
    X = rng.normal(size=(n, n_features))
    X[:, :3] += distance * np.eye(3)[np.arange(n) % 3]
    return X, y


@pytest.mark.parametrize("solver", ["liblinear", "smo"])
@pytest.mark.parametrize("scale", ["none", "standard", "minmax"])
def test_svm_learns_and_gives_a_value_a_class(seeds, solver, scale):
    scores = []
    for seed in seeds:
        X, y = make_problem(np.random.default_rng(seed), distance=4)
        machine = build_svm(0.1, solver=solver, scale=scale).fit(X[:60], y[:60])
        values = decision_values(machine, X[60:])
        assert values.shape == (60, 3)
        predicted = machine.classes_[values.argmax(axis=1)]
        scores.append(unweighted_average_recall(y[60:], predicted))
    assert np.median(scores) > 0.8  # chance is a third


def test_svm_refuses_impossible_values():
    with pytest.raises(ParameterError, match="complexity: found 0, expected a number > 0"):
        build_svm(0)
    with pytest.raises(ParameterError, match="did you mean 'liblinear'"):
        build_svm(1.0, solver="libliner")


def test_upsampling_makes_classes_about_equal_and_keeps_every_row():
    labels = np.repeat(list("VOTE"), [168, 76, 8, 30])
    rows = upsample(labels)
    assert set(rows) == set(range(282))
    _, counts = np.unique(labels[rows], return_counts=True)
    assert counts.min() >= 0.8 * counts.max()
    for name in "VOTE":
        repeats = np.bincount(rows)[labels == name]
        assert len(set(repeats)) == 1


def test_partitions_choose_on_development_and_score_on_test(rng):
    X, y = make_problem(rng)
    parts = np.split(np.arange(120), 3)
    names = dict(zip(("train", "devel", "test"), parts))
    found = evaluate_partitions(X, y, **names, complexities=[1e-6, 1e-2, 1.0])
    best = found.best("devel")
    assert found.devel[best].score() == max(d.score() for d in found.devel.values())
    assert found.test[best].rows.tolist() == parts[2].tolist()
    assert found.best("test") in found.test


def test_development_rows_do_not_reach_the_model_that_is_scored_on_them(seeds):
    """A machine that separates any labels of the rows it has seen is at chance on these."""
    parts = dict(zip(("train", "devel", "test"), np.split(np.arange(90), 3)))
    scores = []
    for seed in seeds:
        rng = np.random.default_rng(seed)
        X, y = rng.normal(size=(90, 300)), rng.choice(list("ab"), 90)
        found = evaluate_partitions(X, y, **parts, complexities=[10.0])
        scores.append([found.devel[10.0].score(), found.test[10.0].score()])
    assert (np.median(scores, axis=0) < 0.75).all()


def test_features_made_inside_the_training_part_see_only_it(rng):
    X, y = make_problem(rng)
    seen = []

    def features(rows):
        seen.append(set(rows.tolist()))
        return X - X[rows].mean(axis=0)

    train, devel, test = np.split(np.arange(120), 3)
    evaluate_partitions(features, y, train=train, devel=devel, test=test, complexities=[1.0, 2.0])
    assert seen == [set(train.tolist()), set(train.tolist()) | set(devel.tolist())]


def test_permuted_labels_score_at_chance(seeds):
    rows = np.arange(300)
    folds = {k: (rows[rows % 5 != k], rows[rows % 5 == k]) for k in range(5)}
    options = {"groups": rows, "complexities": [0.01, 0.1]}
    true, chance = [], []
    for seed in seeds:
        rng = np.random.default_rng(seed)
        X, y = make_problem(rng, n=300)
        true.append(evaluate_folds(X, y, folds, **options).nested.score())
        shuffled = rng.permutation(y)
        chance.append(evaluate_folds(X, shuffled, folds, **options).nested.score())
    assert np.median(true) > 0.6
    assert np.median(chance) == pytest.approx(1 / 3, abs=0.1)


def test_the_published_choice_is_never_below_the_honest_one_of_one_complexity(rng):
    X, y = make_problem(rng, distance=0.5)
    rows = np.arange(120)
    folds = {k: (rows[rows // 30 != k], rows[rows // 30 == k]) for k in range(4)}
    found = evaluate_folds(X, y, folds, groups=rows, complexities=[1e-3, 1e-1, 10.0])
    best = found.test[found.best()].score()
    assert best == max(d.score() for d in found.test.values())
    assert set(found.chosen) == set(folds)
    assert set(found.chosen.values()) <= {1e-3, 1e-1, 10.0}


def test_number_of_jobs_changes_nothing(rng):
    X, y = make_problem(rng, n=60)
    rows = np.arange(60)
    folds = {k: (rows[rows // 20 != k], rows[rows // 20 == k]) for k in range(3)}
    options = {"groups": rows // 2, "complexities": [0.1, 1.0]}
    one = evaluate_folds(X, y, folds, n_jobs=1, **options)
    two = evaluate_folds(X, y, folds, n_jobs=2, **options)
    assert one.nested.values.tobytes() == two.nested.values.tobytes()


def test_overlapping_test_folds_are_scored_in_each(rng):
    X, y = make_problem(rng, n=60)
    rows = np.arange(60)
    folds = {"1": (rows[31:], rows[:31]), "2": (rows[:30], rows[30:])}
    found = evaluate_folds(X, y, folds, groups=rows, complexities=[1.0])
    assert len(found.nested.rows) == 61
    assert found.nested.folds.tolist().count("1") == 31


def test_bad_features_are_named_before_anything_is_fitted(rng):
    X, y = make_problem(rng)
    parts = dict(zip(("train", "devel", "test"), np.split(np.arange(120), 3)))
    X[7, 3] = np.nan
    with pytest.raises(ParameterError, match="row 7, column 3 is nan"):
        evaluate_partitions(X, y, **parts, complexities=[1.0])
    with pytest.raises(ParameterError, match="all 120 rows are equal"):
        evaluate_partitions(np.ones((120, 4)), y, **parts, complexities=[1.0])
    with pytest.raises(ParameterError, match=r"found shape \(119, 20\), expected \(120"):
        evaluate_partitions(X[:119], y, **parts, complexities=[1.0])


def test_a_single_constant_feature_is_no_problem(rng):
    X, y = make_problem(rng)
    X[:, 5] = 0
    parts = dict(zip(("train", "devel", "test"), np.split(np.arange(120), 3)))
    found = evaluate_partitions(X, y, **parts, complexities=[1.0], svm={"scale": "standard"})
    assert np.isfinite(found.test[1.0].values).all()


def test_a_training_part_without_a_class_is_named(rng):
    X, y = make_problem(rng)
    train = np.flatnonzero(y != "c")[:40]
    test = np.arange(100, 120)
    with pytest.raises(CorpusError, match="training part holds a, b, lacks c"):
        evaluate_partitions(X, y, train=train, devel=test, test=test, complexities=[1.0])


def test_late_fusion_of_one_is_that_one(rng):
    X, y = make_problem(rng)
    parts = dict(zip(("train", "devel", "test"), np.split(np.arange(120), 3)))
    one = evaluate_partitions(X, y, **parts, complexities=[1.0]).test[1.0]
    assert fuse_decisions([one]).predicted.tolist() == one.predicted.tolist()
    assert fuse_decisions([one, one]).tied == 0


def test_choice_among_settings_is_made_inside_each_training_part(seeds):
    rows = np.arange(120)
    folds = {k: (rows[rows // 30 != k], rows[rows // 30 == k]) for k in range(4)}
    options = {"groups": rows, "complexities": [0.01, 0.1]}
    shares = []
    for seed in seeds:
        rng = np.random.default_rng(seed)
        X, y = make_problem(rng, distance=3)
        noise = rng.normal(size=X.shape)
        results = {
            "noise": evaluate_folds(noise, y, folds, **options),
            "signal": evaluate_folds(X, y, folds, **options),
        }
        decisions, chosen = choose_nested(results)
        assert sorted(decisions.rows) == rows.tolist()
        for fold, (setting, complexity) in chosen.items():
            inner = {s: r.inner[fold] for s, r in results.items()}
            assert inner[setting][complexity] == max(max(v.values()) for v in inner.values())
        shares.append(np.mean([setting == "signal" for setting, _ in chosen.values()]))
    assert np.median(shares) > 0.7  # of four folds


def test_chunks_vote_for_their_clip(seeds):
    clips = np.repeat(np.arange(40), 3)
    labels = np.array(list("ab"))[clips % 2]
    folds = {"x": (np.flatnonzero(clips >= 20), np.flatnonzero(clips < 20))}
    gains = []
    for seed in seeds:
        X = np.random.default_rng(seed).normal(size=(120, 4)) + 0.6 * (labels == "b")[:, None]
        found = evaluate_folds(X, labels, folds, groups=clips, complexities=[0.1]).nested
        voted = vote_chunks(found, clips)
        assert voted.rows.tolist() == list(range(20))
        assert voted.truth.tolist() == np.array(list("ab"))[np.arange(20) % 2].tolist()
        gains.append(voted.score() - found.score())
        by_hand = [found.predicted[clips[found.rows] == c] for c in range(20)]
        assert all(np.sum(p == w) >= 2 for p, w in zip(by_hand, voted.predicted))
    # Three that err independently: right in 0.83 of cases where one is in 0.73.
    assert np.median(gains) > -0.05


def test_working_in_the_training_span_changes_nothing_but_the_cost(rng):
    from sklearn.svm import LinearSVC

    X, y = make_problem(rng, n=40, n_features=500, distance=3)
    X = np.vstack([X, X[:5]])
    y = np.concatenate([y, y[:5]])
    whole = LinearSVC(C=0.01, dual=True, tol=1e-8, max_iter=100_000, random_state=0).fit(X, y)
    spanned = build_svm(0.01, scale="none").set_params(
        linearsvc__tol=1e-8, linearsvc__max_iter=100_000
    )
    new = rng.normal(size=(30, 500))
    found = spanned.fit(X, y).decision_function(new)
    assert spanned[1].basis_.shape == (500, 40)
    assert np.allclose(found, whole.decision_function(new), atol=1e-5)


@pytest.mark.parametrize(
    ("column", "values"),
    [
        ("partition", ["train", "train", "train", "devel", "test"]),
        ("partition", ["train", "train", "train", "evaluation", "evaluation"]),
        ("fold", list("12345")),
    ],
)
def test_the_split_of_a_corpus_decides_the_selection(rng, column, values):
    X, y = make_problem(rng)
    places = np.array(values)[np.arange(len(y)) // 3 % 5]
    index = pd.DataFrame({"file": np.arange(len(y)).astype(str), "label": y, column: places})
    corpus = Corpus(index, ".", name="example")
    how = {"complexities": [1e-3, 1.0], "upsampling": True}
    result = evaluate_split(X, corpus, n_inner=2, seed=1, **how)
    rows = {name: np.flatnonzero(places == name) for name in values}
    if "devel" in values:
        expected = evaluate_partitions(X, y, **rows, **how)
        assert {c: p.score() for c, p in result.devel.items()} == {
            c: p.score() for c, p in expected.devel.items()
        }
        assert all((result.test[c].predicted == expected.test[c].predicted).all() for c in (1.0,))
        return
    tested = [name for name in rows if name != "train"]
    folds = {name: (np.flatnonzero(places != name), rows[name]) for name in tested}
    expected = evaluate_folds(X, y, folds, groups=corpus.groups, n_inner=2, seed=1, **how)
    assert result.chosen == expected.chosen
    assert (result.nested.predicted == expected.nested.predicted).all()
