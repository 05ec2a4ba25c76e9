"""Probabilities over folds: what is fused and weighted saw only what it may see."""

import numpy as np
import pytest
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.naive_bayes import GaussianNB

from thesislib.errors import CorpusError, ParameterError
from thesislib.evaluation.fusion import fuse_probabilities
from thesislib.evaluation.metrics import accuracy
from thesislib.evaluation.mlp import MLP
from thesislib.evaluation.validation import evaluate_folds


def make_problem(rng, n=96, distance=1.5):
    """Three classes, four folds, groups of two that lie in one fold and class."""
    classes = np.arange(n) // 2 % 3
    X = rng.normal(size=(n, 4))
    X[:, :3] += distance * np.eye(3)[classes]
    fold = np.arange(n) // 6 % 4
    rows = np.arange(n)
    folds = {str(k): (rows[fold != k], rows[fold == k]) for k in range(4)}
    return X, np.array(list("abc"))[classes], folds, rows // 2


class Witness(ClassifierMixin, BaseEstimator):
    """Remembers what it was fitted on: its last feature is the row's number."""

    seen = ()

    def fit(self, X, y):
        self.classes_, self.rows_ = np.unique(y), set(X[:, -1].astype(int).tolist())
        return self

    def predict_proba(self, X):
        Witness.seen += ((self.rows_, X[:, -1].astype(int).tolist()),)
        return np.full((len(X), len(self.classes_)), 1 / len(self.classes_))


def test_no_row_is_answered_by_a_model_that_saw_it_or_its_group(rng):
    X, y, folds, groups = make_problem(rng)
    X = np.column_stack([X, np.arange(len(X))])
    Witness.seen = ()
    found = evaluate_folds(X, y, folds, classifier=Witness(), groups=groups, n_inner=3)
    assert len(Witness.seen) == 4 * (1 + 3)
    for fitted, answered in Witness.seen:
        assert not set(groups[list(fitted)]) & set(groups[answered])
    for name, (train, test) in folds.items():
        assert found.inside[name].rows.tolist() == sorted(train)
        assert found.nested.rows[found.nested.folds == name].tolist() == test.tolist()
        inside = [fitted for fitted, _ in Witness.seen if fitted < set(train.tolist())]
        assert len(inside) >= 3


def test_rows_that_two_folds_test_are_answered_twice(rng):
    X, y, folds, groups = make_problem(rng)
    folds["1"] = folds["1"][0], np.append(folds["1"][1], folds["0"][1][:2])
    folds["1"] = np.setdiff1d(folds["1"][0], folds["1"][1]), folds["1"][1]
    found = evaluate_folds(X, y, folds, classifier=GaussianNB(), groups=groups, n_inner=2)
    assert len(found.nested.rows) == len(X) + 2
    twice = folds["0"][1][0]
    assert found.nested.folds[found.nested.rows == twice].tolist() == ["0", "1"]
    fused = fuse_probabilities([found, found], selection="nested")
    np.testing.assert_allclose(fused.nested.values, found.nested.values)


def test_features_learnt_inside_the_training_part_get_its_rows(rng):
    X, y, folds, groups = make_problem(rng)
    asked = []

    def learn(train):
        asked.append(train.tolist())
        return X - X[train].mean(axis=0)

    found = evaluate_folds(learn, y, folds, classifier=GaussianNB(), groups=groups, n_inner=2)
    assert asked == [train.tolist() for train, _ in folds.values()]
    train, test = folds["2"]
    alone = GaussianNB().fit(X[train], y[train]).predict_proba(X[test])
    np.testing.assert_allclose(found.nested.values[found.nested.folds == "2"], alone, atol=1e-9)


def test_answers_do_not_depend_on_jobs_nor_on_the_container(rng):
    X, y, folds, groups = make_problem(rng)
    machine = MLP(n_units=8, n_epochs=3)
    options = {"groups": groups, "n_inner": 2}
    one = evaluate_folds(X, y, folds, classifier=machine, **options)
    two = evaluate_folds(X, y, folds, classifier=machine, **options, n_jobs=2)
    np.testing.assert_array_equal(one.nested.values, two.nested.values)
    np.testing.assert_array_equal(one.inside["2"].values, two.inside["2"].values)
    as_list = evaluate_folds(list(X), y, folds, classifier=GaussianNB(), n_inner=0)
    np.testing.assert_array_equal(
        as_list.nested.values,
        evaluate_folds(X, y, folds, classifier=GaussianNB(), n_inner=0).nested.values,
    )


def test_a_class_that_one_training_part_lacks_gets_probability_zero(rng):
    X, y, folds, _ = make_problem(rng)
    y = y.astype(object)
    y[folds["0"][1][0]] = "rare"
    folds["0"] = folds["0"][0], folds["0"][1][1:]
    folds["1"] = np.union1d(folds["1"][0], [folds["0"][1][0] - 1]), folds["1"][1]
    found = evaluate_folds(X, y, folds, classifier=GaussianNB(), n_inner=0)
    assert found.nested.classes == ("a", "b", "c", "rare")
    np.testing.assert_allclose(found.nested.values.sum(axis=1), 1)
    assert (found.nested.values[found.nested.folds == "0"][:, 3] == 0).all()


def test_a_class_that_is_tested_and_never_trained_is_refused(rng):
    X, y, folds, _ = make_problem(rng)
    y = y.astype(object)
    y[folds["2"][1][:2]] = "rare"
    with pytest.raises(CorpusError, match="fold 2: training part holds a, b, c, lacks rare"):
        evaluate_folds(X, y, folds, classifier=GaussianNB(), n_inner=0)


def test_honest_weights_prefer_what_is_of_use(seeds):
    shares = []
    for seed in seeds:
        rng = np.random.default_rng(seed)
        X, y, folds, groups = make_problem(rng)
        parts = [
            evaluate_folds(Z, y, folds, classifier=GaussianNB(), groups=groups, n_inner=2)
            for Z in (X, rng.normal(size=X.shape))
        ]
        weights = fuse_probabilities(parts, selection="nested").weights.values()
        shares.append(np.mean([each[0] for each in weights]))
    assert np.median(shares) > 0.55  # of two


def test_published_weights_beat_every_part_and_honest_ones_see_no_test_label(rng):
    X, y, folds, groups = make_problem(rng)
    noise = rng.normal(size=X.shape)
    options = {"groups": groups, "n_inner": 2}
    parts = [
        evaluate_folds(Z, y, folds, classifier=GaussianNB(), **options)
        for Z in (X, noise, X[:, :1])
    ]
    published = fuse_probabilities(parts, selection="as published")
    best = max(part.nested.score(accuracy) for part in parts)
    assert published.nested.score(accuracy) >= best
    assert len({tuple(w) for w in published.weights.values()}) == 1
    honest = fuse_probabilities(parts, selection="nested")
    for found in (published, honest):
        assert all(np.isclose(w.sum(), 1) and (w >= 0).all() for w in found.weights.values())
        np.testing.assert_allclose(found.nested.values.sum(axis=1), 1)

    # Were the labels of fold 3 otherwise, its own weights would be the same; others may change.
    turned = y.copy()
    test = folds["3"][1]
    turned[test] = np.roll(turned[test], 2)
    again = [
        evaluate_folds(Z, turned, folds, classifier=GaussianNB(), **options)
        for Z in (X, noise, X[:, :1])
    ]
    weights = fuse_probabilities(again, selection="nested").weights["3"]
    np.testing.assert_array_equal(weights, honest.weights["3"])


def test_a_second_step_fuses_fusions(rng):
    X, y, folds, groups = make_problem(rng)
    columns = [X[:, :1], X[:, 1:2], X[:, 2:3], X[:, 3:]]
    parts = [
        evaluate_folds(Z, y, folds, classifier=GaussianNB(), groups=groups, n_inner=2)
        for Z in columns
    ]
    for selection in ("as published", "nested"):
        first = [fuse_probabilities(parts[i : i + 2], selection=selection) for i in (0, 2)]
        second = fuse_probabilities(first, selection=selection)
        w, (a, b) = second.weights["1"], (one.weights["1"] for one in first)
        by_hand = sum(
            v * part.nested.values
            for v, part in zip([w[0] * a[0], w[0] * a[1], w[1] * b[0], w[1] * b[1]], parts)
        )
        mask = second.nested.folds == "1"
        np.testing.assert_allclose(second.nested.values[mask], by_hand[mask])


def test_parts_over_other_rows_are_refused(rng):
    X, y, folds, _ = make_problem(rng)
    first = evaluate_folds(X, y, folds, classifier=GaussianNB(), n_inner=0)
    other = evaluate_folds(X, y, dict(reversed(folds.items())), classifier=GaussianNB(), n_inner=0)
    with pytest.raises(ParameterError, match="different rows or classes"):
        fuse_probabilities([first, other], selection="as published")
    with pytest.raises(ParameterError, match="no inner folds"):
        fuse_probabilities([first, first], selection="nested")
    with pytest.raises(ParameterError, match="did you mean 'nested'"):
        fuse_probabilities([first, first], selection="nestd")
