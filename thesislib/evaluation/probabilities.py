"""Cross-validation of classifiers that give probabilities, and their weighted fusion (8.1).

The thesis tries every set of weights from {0, 0.1, …, 1} that sums to one and keeps "the
weights with which the highest classification result can be achieved", on the folds that it
reports. :func:`fuse_answers` does that (*as published*) and also chooses the weights of each
fold on what is known before it is tested (*honest*): on answers inside its training part, by
models that have not seen the clips they answer.
"""

from dataclasses import dataclass, field

import numpy as np
from sklearn.base import clone
from threadpoolctl import threadpool_limits

from thesislib.errors import ParameterError, check_number, check_option
from thesislib.evaluation.fusion import search_weights
from thesislib.evaluation.metrics import accuracy, score_folds
from thesislib.evaluation.selection import Decisions, check_training, split_inside
from thesislib.workers import Parallel, delayed

SELECTIONS = ("as published", "honest")


@dataclass(frozen=True)
class FoldAnswers:
    """What a classifier says of the test rows of all folds; ``values`` are probabilities.

    ``outer`` holds the folds one after the other: a row that two folds test stands there
    twice. ``inner[fold]`` holds the rows of that fold's training part, each answered by a
    model fitted on others; empty without inner folds. ``weights[fold]`` holds the weights
    of a fusion.
    """

    outer: Decisions
    inner: dict = field(default_factory=dict)
    weights: dict = field(default_factory=dict)

    @property
    def mean_weights(self):
        """Weights of a fusion, averaged over the folds: shape (n_parts,); None without one."""
        return np.mean(list(self.weights.values()), axis=0) if self.weights else None


def answer_folds(estimator, features, labels, folds, *, groups=None, n_inner=0, n_jobs=1, seed=0):
    """Cross-validate a classifier with ``predict_proba``.

    Parameters
    ----------
    estimator : classifier
        With ``fit``, ``predict_proba`` and ``classes_``; it is cloned for each fit.
    features : ndarray, list of n items, or callable
        One row or item a clip. A callable gets the training rows of a fold and returns
        features of all rows: for representations learnt inside the training part.
    labels : array-like, shape (n,)
    folds : dict of str to (ndarray of int, ndarray of int)
        Train and test rows of each fold; a row may be tested in several.
    groups : array-like, shape (n,), optional
        Inner folds never part a group.
    n_inner : int
        Inner folds of each training part; 0 for none.
    n_jobs : int
        Worker processes; the answers do not depend on it.
    seed : int
        Of the inner folds.

    Returns
    -------
    FoldAnswers

    Raises
    ------
    CorpusError
        If a training part lacks a class that is tested.

    Examples
    --------
    >>> from sklearn.naive_bayes import GaussianNB
    >>> X = np.array([[0.0], [0.2], [1.0], [1.2]] * 4); y = np.array(["a", "a", "b", "b"] * 4)
    >>> rows = np.arange(16)
    >>> folds = {k: (rows[rows // 8 != k], rows[rows // 8 == k]) for k in range(2)}
    >>> found = answer_folds(GaussianNB(), X, y, folds, n_inner=2)
    >>> found.outer.score(), found.outer.values.shape, found.inner[0].rows.tolist()
    (1.0, (16, 2), [8, 9, 10, 11, 12, 13, 14, 15])
    """
    check_number("n_inner", n_inner, low=0, integer=True)
    labels = np.asarray(labels)
    groups = np.arange(len(labels)) if groups is None else np.asarray(groups)
    folds = {name: (np.asarray(a, int), np.asarray(b, int)) for name, (a, b) in folds.items()}
    classes = np.unique(labels[np.concatenate([train for train, _ in folds.values()])])
    tasks = []
    for name, (train, test) in folds.items():
        check_training(labels, train, test, f"fold {name}")
        X = features(train) if callable(features) else features
        tasks.append((name, "outer", X, train, test))
        if n_inner:
            parts = split_inside(labels, groups, train, n_inner, seed)
            tasks += [(name, "inner", X, a, b) for a, b in parts]
    values = Parallel(n_jobs=n_jobs)(
        delayed(_answer)(estimator, _take(X, a), labels[a], _take(X, b), classes)
        for _, _, X, a, b in tasks
    )
    found = {"outer": {}, "inner": {}}
    for (name, level, _, _, rows), answer in zip(tasks, values):
        found[level].setdefault(name, []).append((rows, answer))

    def decide(parts, folds_of_rows=None):
        rows, answers = (np.concatenate(side) for side in zip(*parts))
        order = np.argsort(rows, kind="stable") if folds_of_rows is None else slice(None)
        rows, answers = rows[order], answers[order]
        return _decide(rows, labels[rows], answers, tuple(classes.tolist()), folds_of_rows)

    names = np.concatenate([[name] * len(test) for name, (_, test) in folds.items()])
    outer = decide([part for parts in found["outer"].values() for part in parts], names)
    return FoldAnswers(outer, {name: decide(parts) for name, parts in found["inner"].items()})


def fuse_answers(parts, *, selection, metric=accuracy, step=0.1):
    """Weighted sum of the probabilities of several classifiers (8.1.1).

    Parameters
    ----------
    parts : sequence of FoldAnswers
        Over the same folds; they may be fusions themselves, as in the second step of 8.1.
    selection : {"as published", "honest"}
        One set of weights with the best mean score over the folds reported; or weights for
        each fold, by the score inside its training part.
    metric : callable
        ``metric(y_true, y_pred) -> float``.
    step : float
        Of the grid of weights.

    Returns
    -------
    FoldAnswers
        Its ``inner`` is fused with the weights of the fold, for a next step.

    Raises
    ------
    ParameterError
        If the parts differ in rows or classes, or the honest choice lacks inner folds.
    """
    check_option("selection", selection, SELECTIONS)
    outer, names = parts[0].outer, list(dict.fromkeys(parts[0].outer.folds.tolist()))
    for part in parts[1:]:
        same_rows = np.array_equal(part.outer.rows, outer.rows)
        if not same_rows or part.outer.classes != outer.classes:
            raise ParameterError("parts: found different rows or classes, expected the same")
    if selection == "as published":
        probabilities = [part.outer.values for part in parts]
        best, _ = search_weights(
            probabilities,
            outer.truth,
            outer.classes,
            lambda truth, found: score_folds(truth, found, outer.folds, metric=metric)["mean"],
            step=step,
        )
        weights = dict.fromkeys(names, best)
    else:
        if any(set(part.inner) != set(names) for part in parts):
            raise ParameterError("parts: found no inner answers, expected n_inner of at least 2")
        weights = {}
        for name in names:
            inner = [part.inner[name] for part in parts]
            probabilities = [part.values for part in inner]
            weights[name], _ = search_weights(
                probabilities, inner[0].truth, outer.classes, metric, step=step
            )
    inner = {
        name: _fuse([part.inner[name] for part in parts], weights[name][:, None, None])
        for name in names
        if all(name in part.inner for part in parts)
    }
    by_row = np.array([weights[name] for name in outer.folds.tolist()]).T[:, :, None]
    return FoldAnswers(_fuse([part.outer for part in parts], by_row), inner, weights)


def _take(X, rows):
    return X[rows] if isinstance(X, np.ndarray) else [X[i] for i in rows]


def _answer(estimator, X, labels, X_test, classes):
    """Probabilities (n_test, n_classes); a class that the training part lacks gets zero."""
    # One thread, so that the bits do not depend on how many cores each process may use.
    with threadpool_limits(1):
        machine = clone(estimator).fit(X, labels)
        found = machine.predict_proba(X_test)
    values = np.zeros((len(X_test), len(classes)))
    values[:, np.searchsorted(classes, np.asarray(machine.classes_))] = found
    return values


def _decide(rows, truth, values, classes, folds=None):
    predicted = np.asarray(classes)[values.argmax(axis=1)]
    return Decisions(rows, truth, predicted, values, classes, folds)


def _fuse(parts, weights):
    """Sum of the probabilities under weights that fit (n_parts, n_rows, n_classes)."""
    first = parts[0]
    values = (np.array([part.values for part in parts]) * weights).sum(axis=0)
    return _decide(first.rows, first.truth, values, first.classes, first.folds)
