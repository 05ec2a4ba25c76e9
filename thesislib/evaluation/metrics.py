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

import warnings

import numpy as np
import pandas as pd
from sklearn.metrics import confusion_matrix, recall_score

from thesislib.errors import ParameterError

#: Fewer groups than this say nothing about the spread over groups; clips are drawn then.
MIN_GROUPS = 10


def _check_columns(y_true, y_pred, **further):
    """Return columns as arrays of one length; labels of one type, nothing missing."""
    columns = {"y_true": y_true, "y_pred": y_pred} | further
    names, arrays = ", ".join(columns), [np.asarray(column) for column in columns.values()]
    shapes = [str(array.shape) for array in arrays]
    if len(set(shapes)) > 1 or arrays[0].ndim != 1 or not len(arrays[0]):
        what = " and ".join(shapes)
        raise ParameterError(f"{names}: found shapes {what}, expected (n,) for each")
    for name, array in zip(columns, arrays):
        if pd.isna(array).any():
            raise ParameterError(
                f"{name}: found missing values, the first at {pd.isna(array).argmax()}"
            )
    if len({pd.api.types.infer_dtype(array) == "string" for array in arrays[:2]}) > 1:
        raise ParameterError(f"{names}: found texts and numbers, expected labels of one type")
    return arrays


def unweighted_average_recall(y_true, y_pred):
    """Recall, averaged over the classes that occur in the truth (UAR).

    Examples
    --------
    >>> unweighted_average_recall(["a", "a", "a", "b"], ["a", "a", "b", "b"])
    0.8333333333333333
    """
    y_true, y_pred = _check_columns(y_true, y_pred)
    return float(recall_score(y_true, y_pred, labels=np.unique(y_true), average="macro"))


def accuracy(y_true, y_pred):
    """Share of clips that are classified correctly."""
    y_true, y_pred = _check_columns(y_true, y_pred)
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
        Lower and upper end; NaN, with a warning, if a class is in one group only.

    Examples
    --------
    >>> low, high = bootstrap_interval(["a", "b"] * 20, ["a", "b"] * 19 + ["b", "b"])
    >>> low < 0.975 <= high
    True
    """
    further = {} if groups is None else {"groups": groups}
    y_true, y_pred, *further = _check_columns(y_true, y_pred, **further)
    generator = np.random.default_rng(seed)
    units = [np.array([i]) for i in range(len(y_true))]
    for groups in further:
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
    alone = (held > 0).sum(axis=0) == 1
    if len(units) < len(y_true) and alone.any():
        warnings.warn(f"no interval: class {classes[alone][0]}: one group", stacklevel=2)
        return (float("nan"), float("nan"))
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
    y_true, y_pred, folds = _check_columns(y_true, y_pred, folds=folds)
    scores = [metric(y_true[folds == f], y_pred[folds == f]) for f in np.unique(folds)]
    return {
        "pooled": metric(y_true, y_pred),
        "mean": float(np.mean(scores)),
        "std": float(np.std(scores)),
        "scores": scores,
    }


def confusion(y_true, y_pred, classes):
    """Confusion matrix as a table: counts, truth in rows, prediction in columns."""
    y_true, y_pred = _check_columns(y_true, y_pred)
    if unlisted := sorted({*y_true.tolist(), *y_pred.tolist()} - set(classes)):
        raise ParameterError(f"classes: found no {unlisted[0]!r}, expected all labels")
    counts = confusion_matrix(y_true, y_pred, labels=list(classes))
    return pd.DataFrame(
        counts, index=pd.Index(classes, name="truth"), columns=pd.Index(classes, name="predicted")
    )


#: Scores of predictions by name.
METRICS = {"uar": unweighted_average_recall, "accuracy": accuracy}
