"""Fusion of features (concatenation) and of predictions (majority vote, weighted probabilities).

For the weighted sum of 8.1 the thesis tries every set of weights from {0, 0.1, …, 1} that sums to
one, and keeps the best on the folds that it reports. :func:`fuse_probabilities` does that (*as
published*), and can choose the weights of each fold inside its training part instead.
"""

from dataclasses import replace
from functools import partial
from itertools import product

import numpy as np
import pandas as pd
from scipy.special import softmax
from scipy.stats import rankdata

from thesislib.errors import ParameterError, check_option
from thesislib.evaluation.metrics import accuracy, score_folds
from thesislib.evaluation.predictions import FoldResult, Predictions, choose_nested

SELECTIONS = ("as published", "nested")
SCALINGS = {
    "none": np.asarray,
    "softmax": partial(softmax, axis=1),
    "rank": partial(rankdata, axis=1),
}


def fuse_features(*parts):
    """Concatenate feature matrices of the same clips (early fusion).

    Raises
    ------
    ParameterError
        If they differ in their number of rows.

    Examples
    --------
    >>> fuse_features(np.zeros((2, 3)), np.ones((2, 4))).shape
    (2, 7)
    """
    rows = [len(part) for part in parts]
    if len(set(rows)) != 1:
        raise ParameterError(f"parts: found {rows} rows, expected the same number in each")
    return np.concatenate(parts, axis=1)


def fuse_frames(*parts):
    """Concatenate the frames of each clip from several extractions (early fusion, 9.1).

    Examples
    --------
    >>> [frames.shape for frames in fuse_frames([np.zeros((5, 3))], [np.ones((5, 4))])]
    [(5, 7)]
    """
    return [fuse_features(*of_clip) for of_clip in zip(*parts, strict=True)]


def vote(votes, support, classes):
    """Majority vote with the tie rule of this project (the thesis states none).

    Of the classes with the most votes, the one with the larger sum of decision values
    wins; should these be equal too, the first in class order.

    Parameters
    ----------
    votes, support : ndarray, shape (n, n_classes)
        Number of votes, and sum of the voters' decision values.
    classes : sequence of str, sorted

    Returns
    -------
    winners : ndarray, shape (n,)
    tied : ndarray of bool, shape (n,)
        Where the votes alone did not decide.

    Examples
    --------
    >>> winners, tied = vote(np.array([[1, 1]]), np.array([[-0.5, 0.5]]), ["a", "b"])
    >>> winners.tolist(), tied.tolist()
    (['b'], [True])
    """
    leading = votes == votes.max(axis=1, keepdims=True)
    support = np.where(leading, support, -np.inf)
    return np.asarray(classes)[support.argmax(axis=1)], leading.sum(axis=1) > 1


def weight_grid(n_parts, *, step=0.1):
    """Every set of weights on a grid that sums to one (8.1).

    Examples
    --------
    >>> weight_grid(2, step=0.5).tolist()
    [[0.0, 1.0], [0.5, 0.5], [1.0, 0.0]]
    """
    n_steps = round(1 / step)
    if abs(n_steps * step - 1) > 1e-9:
        raise ParameterError(f"step: found {step!r}, expected a divisor of 1")
    grid = product(range(n_steps + 1), repeat=n_parts - 1)
    whole = [(*w, n_steps - sum(w)) for w in grid if sum(w) <= n_steps]
    return np.array(whole) / n_steps


def search_weights(probabilities, y_true, classes, metric, *, step=0.1):
    """The grid's best weights; the first of equals, the most even first.

    Parameters
    ----------
    probabilities : array-like, shape (n_parts, n, n_classes)
    y_true : array-like, shape (n,)
    classes : sequence of str
    metric : callable
        ``metric(y_true, y_pred) -> float``; the larger the better.
    step : float

    Returns
    -------
    weights : ndarray, shape (n_parts,)
    score : float
    """
    probabilities = np.asarray(probabilities, dtype=float)
    grid = weight_grid(len(probabilities), step=step)
    # Of weights that score alike, even ones are the safer guess.
    grid = grid[np.argsort((grid**2).sum(axis=1), kind="stable")]
    classes, y_true = np.asarray(classes), np.asarray(y_true)
    scores = [
        metric(y_true, classes[np.tensordot(w, probabilities, axes=1).argmax(axis=1)]) for w in grid
    ]
    best = int(np.argmax(scores))
    return grid[best], float(scores[best])


def vote_chunks(decisions, clip_of_chunk):
    """Predictions for clips from those for their chunks, by majority vote.

    Parameters
    ----------
    decisions : Predictions
        Rows are chunks.
    clip_of_chunk : ndarray of int, shape (n_chunks,)
        Corpus row of every chunk.

    Returns
    -------
    Predictions
        Rows are corpus rows; ``values`` are summed over the chunks.
    """
    clips = np.asarray(clip_of_chunk)[decisions.rows]
    folds = np.zeros(len(clips)) if decisions.folds is None else decisions.folds
    number, names = pd.factorize(pd.MultiIndex.from_arrays([folds, clips]))
    first = np.unique(number, return_index=True)[1]
    votes, values = np.zeros((2, len(names), len(decisions.classes)))
    np.add.at(votes, number, decisions.predicted[:, None] == np.asarray(decisions.classes))
    np.add.at(values, number, decisions.values)
    winners, tied = vote(votes, values, decisions.classes)
    return Predictions(
        clips[first],
        decisions.truth[first],
        winners,
        values,
        decisions.classes,
        None if decisions.folds is None else folds[first],
        float(tied.mean()),
        votes,
    )


def vote_clips(result, clip_of_chunk):
    """Predictions for clips from those for their chunks, for every complexity.

    Parameters
    ----------
    result : FoldResult
        Rows are chunks.
    clip_of_chunk : ndarray of int, shape (n_chunks,)
        Corpus row of every chunk.

    Returns
    -------
    FoldResult
        Rows are corpus rows. With ``inner_votes``, the nested choice is made by them; otherwise
        it stays the choice by the scores of chunks.
    """
    voted = {c: vote_chunks(part, clip_of_chunk) for c, part in result.test.items()}
    if not result.inner_votes:
        nested = vote_chunks(result.nested, clip_of_chunk)
        return replace(result, test=voted, nested=nested)
    result = replace(result, test=voted, inner=result.inner_votes)
    nested, chosen = choose_nested({None: result})
    return replace(result, nested=nested, chosen={fold: c for fold, (_, c) in chosen.items()})


def fuse_decisions(parts, *, scale="none"):
    """Majority vote of several classifiers over the same rows (late fusion).

    Parameters
    ----------
    parts : sequence of Predictions
    scale : {"none", "softmax", "rank"}
        Of each voter's decision values before they are added to resolve ties. SVMs of different
        features and complexities have decision values of different scale, and without scaling
        the voter with the largest values resolves the ties (the thesis states no rule).

    Examples
    --------
    >>> rows, classes = np.arange(1), ("a", "b")
    >>> loud = Predictions(rows, ["a"], ["b"], np.array([[-1.0, 1.0]]), classes)
    >>> sure = Predictions(rows, ["a"], ["a"], np.array([[0.5, -0.3]]), classes)
    >>> fuse_decisions([loud, sure]).predicted.tolist(), fuse_decisions([loud, sure]).tied
    (['b'], 1.0)
    """
    check_option("scale", scale, SCALINGS)
    _check_alike(parts)
    classes = np.asarray(parts[0].classes)
    votes = np.sum([np.asarray(part.predicted)[:, None] == classes for part in parts], axis=0)
    values = np.sum([SCALINGS[scale](part.values) for part in parts], axis=0)
    winners, tied = vote(votes, values, classes)
    return replace(parts[0], predicted=winners, values=values, tied=float(tied.mean()))


def _check_alike(parts):
    for part in parts[1:]:
        if not np.array_equal(part.rows, parts[0].rows) or part.classes != parts[0].classes:
            raise ParameterError("parts: found different rows or classes, expected the same")


def fuse_probabilities(parts, *, selection, metric=accuracy, step=0.1):
    """Weighted sum of the probabilities of several classifiers (8.1.1).

    Parameters
    ----------
    parts : sequence of FoldResult
        Of classifiers without a complexity, over the same folds; they may be fusions
        themselves, as in the second step of 8.1.
    selection : {"as published", "nested"}
        One set of weights with the best mean score over the reported folds; or weights for
        each fold, by the score inside its training part.
    metric : callable
        ``metric(y_true, y_pred) -> float``.
    step : float
        Of the grid of weights.

    Returns
    -------
    FoldResult
        Its ``inside`` is fused with the weights of the fold, for a next step.

    Raises
    ------
    ParameterError
        If the parts differ in rows or classes, or the choice inside the training parts lacks
        inner folds.
    """
    check_option("selection", selection, SELECTIONS)
    outer = [part.nested for part in parts]
    _check_alike(outer)
    names = list(dict.fromkeys(outer[0].folds.tolist()))
    truth, classes, folds = outer[0].truth, outer[0].classes, outer[0].folds
    if selection == "as published":
        best, _ = search_weights(
            [part.values for part in outer],
            truth,
            classes,
            lambda truth, predicted: score_folds(truth, predicted, folds, metric=metric)["mean"],
            step=step,
        )
        weights = dict.fromkeys(names, best)
    else:
        if any(set(part.inside) != set(names) for part in parts):
            raise ParameterError("parts: found no inner folds, expected n_inner of at least 2")
        weights = {}
        for name in names:
            inner = [part.inside[name] for part in parts]
            values = [part.values for part in inner]
            weights[name], _ = search_weights(values, inner[0].truth, classes, metric, step=step)
    inside = {
        name: _weigh([part.inside[name] for part in parts], weights[name][:, None, None])
        for name in names
        if all(name in part.inside for part in parts)
    }
    by_row = np.array([weights[name] for name in folds.tolist()]).T[:, :, None]
    fused = _weigh(outer, by_row)
    return FoldResult({None: fused}, fused, {}, {}, inside=inside, weights=weights)


def _weigh(parts, weights):
    """Sum of the probabilities under weights that fit (n_parts, n_rows, n_classes)."""
    values = (np.array([part.values for part in parts]) * weights).sum(axis=0)
    predicted = np.asarray(parts[0].classes)[values.argmax(axis=1)]
    return replace(parts[0], predicted=predicted, values=values, tied=0.0)
