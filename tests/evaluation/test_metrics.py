"""Scores against scikit-learn, and intervals against what they must cover."""

import numpy as np
import pytest
from sklearn.metrics import balanced_accuracy_score

from thesislib.errors import ParameterError
from thesislib.evaluation.metrics import (
    accuracy,
    confusion,
    score_folds,
    unweighted_average_recall,
)


def test_uar_equals_scikit_learn_s_balanced_accuracy(rng):
    y_true, y_pred = rng.choice(list("abc"), 200), rng.choice(list("abc"), 200)
    found = unweighted_average_recall(y_true, y_pred)
    assert found == pytest.approx(balanced_accuracy_score(y_true, y_pred), abs=1e-12)


def test_uar_ignores_how_often_a_class_occurs():
    y_true, y_pred = ["a"] * 90 + ["b"] * 10, ["a"] * 100
    assert unweighted_average_recall(y_true, y_pred) == 0.5
    assert accuracy(y_true, y_pred) == 0.9


def test_lengths_that_differ_are_refused():
    with pytest.raises(ParameterError, match=r"found shapes \(2,\) and \(1,\)"):
        unweighted_average_recall(["a", "b"], ["a"])


def test_fold_scores_pool_and_average(rng):
    y_true, y_pred = rng.choice(list("ab"), 60), rng.choice(list("ab"), 60)
    folds = np.repeat([1, 2, 3], 20)
    found = score_folds(y_true, y_pred, folds)
    assert found["pooled"] == unweighted_average_recall(y_true, y_pred)
    assert found["mean"] == pytest.approx(np.mean(found["scores"]))
    assert found["std"] == pytest.approx(np.std(found["scores"], ddof=0))


def test_confusion_counts_every_clip_once(rng):
    y_true, y_pred = rng.choice(list("abc"), 99), rng.choice(list("abc"), 99)
    found = confusion(y_true, y_pred, list("abc"))
    assert found.to_numpy().sum() == 99
    assert found.loc["a", "b"] == np.sum((y_true == "a") & (y_pred == "b"))


@pytest.mark.parametrize(
    ("y_true", "y_pred", "message"),
    [
        (["a", "b"], ["a"], "y_true, y_pred: found shapes (2,) and (1,), expected (n,) for each"),
        ([], [], "found shapes (0,) and (0,)"),
        ([["a"]], [["a"]], "found shapes (1, 1) and (1, 1)"),
        ("a", "a", "found shapes () and ()"),
        (["a", None], ["a", "b"], "y_true: found missing values, the first at 1"),
        ([0.0, 1.0], [np.nan, 1.0], "y_pred: found missing values, the first at 0"),
        ([0, 1], ["0", "1"], "found texts and numbers, expected labels of one type"),
    ],
)
@pytest.mark.parametrize(
    "metric",
    [
        unweighted_average_recall,
        accuracy,
        lambda truth, predicted: confusion(truth, predicted, ["a", "b"]),
    ],
)
def test_labels_that_cannot_be_scored_are_refused(metric, y_true, y_pred, message):
    with pytest.raises(ParameterError) as caught:
        metric(y_true, y_pred)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_folds_have_the_length_of_the_labels():
    labels = ["a", "b"] * 5
    with pytest.raises(ParameterError, match=r"folds: found shapes .* and \(1,\)"):
        score_folds(labels, labels, [1])


def test_a_confusion_matrix_leaves_no_clip_out():
    with pytest.raises(ParameterError, match="classes: found no 'c', expected all labels"):
        confusion(["a", "a", "b"], ["a", "c", "b"], ["a", "b"])
