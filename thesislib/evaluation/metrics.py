"""Scores: unweighted average recall, accuracy, confusion.

Conventions
-----------
Labels are arrays of class names; scores are fractions in [0, 1] (tables print percent).

Metrics
-------
* :func:`unweighted_average_recall`: mean recall over the classes that occur in the truth.
* :func:`score_folds`: UAR of the concatenated folds, and mean and standard deviation over folds.
"""

import numpy as np
import pandas as pd
from sklearn.metrics import confusion_matrix, recall_score

from thesislib.errors import ParameterError


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
