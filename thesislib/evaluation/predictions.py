"""Predictions of classifiers, and what is chosen among them (contract 7).

The thesis often chooses a setting on the very scores that it reports. Results here therefore
hold the predictions of every setting: the maximum over the reported scores is the result
*as published*, the choice on the development partition *development*, and the choice inside
each training part *nested*.
"""

from dataclasses import dataclass, field

import numpy as np

from thesislib.errors import check_option
from thesislib.evaluation.metrics import unweighted_average_recall


@dataclass(frozen=True)
class Predictions:
    """Predicted classes of some clips.

    Attributes
    ----------
    rows : ndarray of int, shape (n,)
        Positions in the corpus.
    truth, predicted : ndarray of str, shape (n,)
        Class names.
    values : ndarray, shape (n, n_classes)
        Decision values or probabilities, in the order of ``classes``.
    classes : tuple of str
    folds : ndarray, shape (n,), optional
        Fold that tests each row.
    tied : float
        Share of rows in which a vote was tied; 0 for a single classifier.
    votes : ndarray, shape (n, n_classes), optional
        Chunks of each clip that were predicted as each class; ``values`` are then their sums.
    """

    rows: np.ndarray
    truth: np.ndarray
    predicted: np.ndarray
    values: np.ndarray
    classes: tuple
    folds: np.ndarray | None = None
    tied: float = 0.0
    votes: np.ndarray | None = None

    def score(self, metric=unweighted_average_recall):
        """Score of all rows together."""
        return metric(self.truth, self.predicted)


@dataclass(frozen=True)
class PartitionResult:
    """Predictions for development and test, by complexity.

    ``stopped[complexity]`` is (number of fits that had not converged, number of fits).
    """

    devel: dict
    test: dict
    stopped: dict = field(default_factory=dict)

    def best(self, partition="devel"):
        """Complexity with the best UAR on a partition; the smallest of equals."""
        by_complexity = getattr(self, check_option("partition", partition, ("devel", "test")))
        return max(sorted(by_complexity), key=lambda c: by_complexity[c].score())

    @property
    def nested(self):
        """Predictions for test, chosen on development; named as those of :class:`FoldResult`."""
        return self.test[self.best()]


@dataclass(frozen=True)
class FoldResult:
    """Predictions for the test rows of all folds, one fold after the other.

    A row that two folds test occurs twice.

    Attributes
    ----------
    test : dict of float to Predictions
        One complexity for all folds; the key is None for a classifier without one.
    nested : Predictions
        Each fold with the complexity of the nested choice.
    chosen : dict
        Fold to that complexity.
    inner : dict
        Fold to the score of each complexity inside the training part of the fold.
    stopped : dict
        As in :class:`PartitionResult`.
    inside : dict
        Fold to predictions for its training part, by models that were fitted on other clips.
        Classifiers without a complexity only.
    weights : dict
        Fold to the weights of a fusion.
    inner_votes : dict
        As ``inner``, but by the majority vote over the chunks of each clip.
    """

    test: dict
    nested: Predictions
    chosen: dict
    inner: dict
    stopped: dict = field(default_factory=dict)
    inside: dict = field(default_factory=dict)
    weights: dict = field(default_factory=dict)
    inner_votes: dict = field(default_factory=dict)

    def best(self, partition="test"):
        """Complexity with the best UAR on the reported folds, which are the only part."""
        return max(sorted(self.test), key=lambda complexity: self.test[complexity].score())


def choose_nested(results):
    """Choose among several settings inside each fold's training part.

    Parameters
    ----------
    results : dict of hashable to FoldResult
        Setting (codebook size, colour map, …) to result, all over the same folds.

    Returns
    -------
    predictions : Predictions
        Each fold with the setting and complexity of the best inner score.
    chosen : dict
        Fold to ``(setting, complexity)``; the first setting of equals.
    """
    first = next(iter(results.values()))
    chosen, parts = {}, []
    for fold in first.inner:
        settings = [(s, c) for s, result in results.items() for c in result.inner[fold]]
        chosen[fold] = max(settings, key=lambda sc, fold=fold: results[sc[0]].inner[fold][sc[1]])
        setting, complexity = chosen[fold]
        parts.append((results[setting].test[complexity], fold))
    masks = [part.folds == fold for part, fold in parts]
    names = ["rows", "truth", "predicted", "values", "folds"]
    names += ["votes"] if all(part.votes is not None for part, _ in parts) else []
    joined = {
        name: np.concatenate([getattr(part, name)[m] for (part, _), m in zip(parts, masks)])
        for name in names
    }
    tied = float(np.average([part.tied for part, _ in parts], weights=[m.sum() for m in masks]))
    return Predictions(**joined, classes=parts[0][0].classes, tied=tied), chosen
