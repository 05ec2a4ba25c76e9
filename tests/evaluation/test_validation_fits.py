"""Fits side by side: the answers of fits one after the other, and a count of the unfinished."""

import itertools
import warnings

import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning

from thesislib.evaluation.classifiers import TrainingSpan, build_svm, decision_values
from thesislib.evaluation.search import evaluate_grid
from thesislib.evaluation.validation import (
    Task,
    add_stopped,
    describe_stopped,
    evaluate_folds,
    evaluate_partitions,
    fit_tasks,
)
from thesislib.representations.bag_grid import BagGrid
from thesislib.representations.bag_of_features import BagOfFeatures

ROWS = np.arange(60)
LABELS = np.array(list("abc"))[ROWS % 3]
CLASSES = np.array(list("abc"))


@pytest.mark.parametrize("n_features", [5, 90])  # more and fewer than clips
@pytest.mark.parametrize("machine", [{}, {"solver": "smo", "scale": "standard"}])
@pytest.mark.parametrize("n_jobs", [1, 2])
def test_shared_work_leaves_the_bits_of_single_fits(rng, n_features, machine, n_jobs):
    X = rng.normal(size=(60, n_features))
    parts = [(ROWS[ROWS % 4 != k], ROWS[ROWS % 4 == k]) for k in range(2)]
    tasks = [Task(*part, c, part[0]) for part, c in itertools.product(parts, [1e-3, 1.0, 1e-1])]
    answers, stopped = fit_tasks(tasks, X, LABELS, CLASSES, svm=machine, n_jobs=n_jobs)
    assert list(stopped) == [1e-3, 1e-1, 1.0]
    for (train, test, c, _), (predicted, values) in zip(tasks, answers):
        alone = build_svm(c, **machine).fit(X[train], LABELS[train])
        assert np.array_equal(values, decision_values(alone, X[test]))
        assert predicted.tolist() == alone.predict(X[test]).tolist()


@pytest.fixture
def one_iteration(monkeypatch):
    """Solvers that stop after one iteration."""
    for module in ("classifiers", "validation"):
        monkeypatch.setattr(f"thesislib.evaluation.{module}.MAX_ITERATIONS", 1)


def test_fits_that_have_not_converged_are_counted_and_warned_of_once(rng, one_iteration):
    X = 100 * rng.normal(size=(60, 10))
    parts = dict(zip(("train", "devel", "test"), np.split(ROWS, 3)))
    with pytest.warns(ConvergenceWarning, match=r"\d of 4 fits .* 1 iterations .*10\)"):
        found = evaluate_partitions(X, LABELS, **parts, complexities=[1e-9, 10.0])
    assert found.stopped[10.0] == (2, 2)


def test_the_solver_converges_on_unscaled_features_of_large_norm(rng):
    X = 1000 + 100 * rng.normal(size=(60, 80))
    parts = dict(zip(("train", "devel", "test"), np.split(ROWS, 3)))
    options = {"complexities": [1e-4, 1.0], "svm": {"scale": "none"}}
    found = evaluate_partitions(X, LABELS, **parts, **options)
    assert found.stopped == {1e-4: (0, 2), 1.0: (0, 2)}


def test_the_warnings_of_a_grid_add_up_to_all_its_fits(rng, one_iteration):
    frames = [rng.normal(size=(200, 3)) for _ in ROWS]
    grid = BagGrid(frames, BagOfFeatures(log=False), [4, 8], [1, 2])
    folds = {"evaluation": (ROWS[:40], ROWS[40:])}
    options = {"groups": ROWS, "complexities": [10.0], "n_inner": 2}
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        evaluate_grid(grid, evaluate_folds, LABELS, folds, **options)
    total = add_stopped(each.message.stopped for each in warned)
    assert "of 12 fits" in describe_stopped(total)


def test_fits_that_converged_are_not_worth_a_word(rng):
    parts = dict(zip(("train", "devel", "test"), np.split(ROWS, 3)))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        evaluate_partitions(rng.normal(size=(60, 4)), LABELS, **parts, complexities=[1e-6])
    assert describe_stopped({}) == ""


def test_the_span_of_many_repeated_clips_is_that_of_the_distinct_ones(rng):
    X = rng.normal(size=(4, 6))
    repeated = X[rng.integers(4, size=50)]
    assert TrainingSpan().fit(np.concatenate([X, repeated])).basis_.shape == (6, 4)
    assert TrainingSpan().fit(rng.normal(size=(6, 6))).basis_ is None
