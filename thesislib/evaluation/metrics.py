"""Scores: unweighted average recall, bootstrap intervals, confusion.

Conventions
-----------
Labels are arrays of class names; scores are fractions in [0, 1] (tables print percent).

Metrics
-------
* :func:`unweighted_average_recall`: mean recall over the classes that occur in the truth.
* :func:`bootstrap_interval`: percentile interval over resampled clips or groups.
* :func:`score_folds`: UAR of the concatenated folds, and mean and standard deviation over folds.
"""

import numpy as np
import pandas as pd
from sklearn.metrics import confusion_matrix, recall_score

from thesislib.errors import ParameterError

#: Fewer groups than this say nothing about the spread over groups; clips are drawn then.
MIN_GROUPS = 10


def _check_pair(y_true, y_pred):
    y_true, y_pred = np.asarray(y_true), np.asarray(y_pred)
    if y_true.shape != y_pred.shape or y_true.ndim != 1 or not len(y_true):
        raise ParameterError(
            f"y_true, y_pred: found shapes {y_true.shape} and {y_pred.shape}, expected (n,) twice"
        )
    return y_true, y_pred


def unweighted_average_recall(y_true, y_pred):
    """Recall, averaged over the classes that occur in the truth (UAR).

    Examples
    --------
    >>> unweighted_average_recall(["a", "a", "a", "b"], ["a", "a", "b", "b"])
    0.8333333333333333
    """
    y_true, y_pred = _check_pair(y_true, y_pred)
    return float(recall_score(y_true, y_pred, labels=np.unique(y_true), average="macro"))


def accuracy(y_true, y_pred):
    """Share of clips that are classified correctly."""
    y_true, y_pred = _check_pair(y_true, y_pred)
    return float(np.mean(y_true == y_pred))


def bootstrap_interval(
    y_true,
    y_pred,
    *,
    groups=None,
    metric=unweighted_average_recall,
    n_resamples=1000,
    level=0.95,
    seed=0,
):
    """Percentile bootstrap interval of a score.

    Whole groups (speakers, games) are drawn with replacement where there are at least
    ten of them, since clips of a group stand and fall together; single clips otherwise.
    Draws without any clip of one of the classes are repeated, so that the score always
    averages over the same classes.

    Parameters
    ----------
    y_true, y_pred : array-like, shape (n,)
    groups : array-like, shape (n,), optional
    metric : callable
        ``metric(y_true, y_pred) -> float``.
    n_resamples : int
    level : float
    seed : int

    Returns
    -------
    (float, float)
        Lower and upper end.

    Examples
    --------
    >>> low, high = bootstrap_interval(["a", "b"] * 20, ["a", "b"] * 19 + ["b", "b"])
    >>> low < 0.975 <= high
    True
    """
    y_true, y_pred = _check_pair(y_true, y_pred)
    generator = np.random.default_rng(seed)
    units = [np.array([i]) for i in range(len(y_true))]
    if groups is not None:
        groups = np.asarray(groups)
        names = pd.unique(groups)
        if len(names) >= MIN_GROUPS:
            units = [np.flatnonzero(groups == name) for name in names]
    classes, truth = np.unique(y_true, return_inverse=True)
    # What each unit holds and has right of each class: UAR needs no more, and costs far less so.
    held, right = np.zeros((2, len(units), len(classes)))
    owner = np.repeat(np.arange(len(units)), [len(unit) for unit in units])
    rows = np.concatenate(units)
    np.add.at(held, (owner, truth[rows]), 1)
    np.add.at(right, (owner, truth[rows]), y_pred[rows] == y_true[rows])
    scores = []
    # A class held by a single unit is absent from a third of the draws; the bound
    # is for classes so rare that hardly any draw holds all of them.
    for _ in range(20 * n_resamples):
        drawn = generator.integers(len(units), size=len(units))
        times = np.bincount(drawn, minlength=len(units))
        totals = times @ held
        if totals.all() and metric is unweighted_average_recall:
            scores.append(np.mean(times @ right / totals))
        elif totals.all():
            rows = np.concatenate([units[i] for i in drawn])
            scores.append(metric(y_true[rows], y_pred[rows]))
        if len(scores) == n_resamples:
            break
    if not scores:
        return (float("nan"), float("nan"))
    tail = (1 - level) / 2
    low, high = np.quantile(scores, [tail, 1 - tail])
    return float(low), float(high)


def score_folds(y_true, y_pred, folds, *, metric=unweighted_average_recall):
    """Score of the concatenated folds, and mean and standard deviation over folds (8.3).

    Parameters
    ----------
    y_true, y_pred : array-like, shape (n,)
        All folds' test rows, one after the other.
    folds : array-like, shape (n,)
        Fold of each row.

    Returns
    -------
    dict
        ``pooled``, ``mean``, ``std`` (``ddof=0``, as the thesis's ± fits) and
        ``scores``, one a fold in sorted order.

    Examples
    --------
    >>> scores = score_folds(["a", "b", "a", "b"], ["a", "b", "a", "a"], [1, 1, 2, 2])
    >>> scores["pooled"], scores["mean"], scores["std"]
    (0.75, 0.75, 0.25)
    """
    y_true, y_pred = _check_pair(y_true, y_pred)
    folds = np.asarray(folds)
    scores = [metric(y_true[folds == f], y_pred[folds == f]) for f in np.unique(folds)]
    return {
        "pooled": metric(y_true, y_pred),
        "mean": float(np.mean(scores)),
        "std": float(np.std(scores)),
        "scores": scores,
    }


def confusion(y_true, y_pred, classes):
    """Confusion matrix as a table: counts, truth in rows, prediction in columns."""
    y_true, y_pred = _check_pair(y_true, y_pred)
    counts = confusion_matrix(y_true, y_pred, labels=list(classes))
    return pd.DataFrame(
        counts, index=pd.Index(classes, name="truth"), columns=pd.Index(classes, name="predicted")
    )


#: Scores of predictions by name.
METRICS = {"uar": unweighted_average_recall, "accuracy": accuracy}
