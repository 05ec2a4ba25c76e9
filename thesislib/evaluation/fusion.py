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


def vote(predictions, decisions, classes):
    """Majority vote with the tie rule of this project (the thesis states none).

    Of the classes with the most votes, the one with the larger sum of decision values
    wins; should these be equal too, the first in class order.

    Parameters
    ----------
    predictions : array-like, shape (n_voters, n)
        Class names.
    decisions : array-like, shape (n_voters, n, n_classes)
        Decision values of each voter, in the order of ``classes``.
    classes : sequence of str, sorted

    Returns
    -------
    winners : ndarray, shape (n,)
    tied : ndarray of bool, shape (n,)
        Where the votes alone did not decide.

    Examples
    --------
    >>> winners, tied = vote([["a"], ["b"]], [[[0.1, -0.1]], [[-0.6, 0.6]]], ["a", "b"])
    >>> winners.tolist(), tied.tolist()
    (['b'], [True])
    """
    predictions, decisions = np.asarray(predictions), np.asarray(decisions, dtype=float)
    classes = np.asarray(classes)
    if decisions.shape != (*predictions.shape, len(classes)):
        wanted = (*predictions.shape, len(classes))
        raise ParameterError(f"decisions: found shape {decisions.shape}, expected {wanted}")
    votes = (predictions[:, :, None] == classes).sum(axis=0)
    return _elect(votes, decisions.sum(axis=0), classes)


def _elect(votes, support, classes):
    """Winners and ties from the votes and the sums of decision values, (n, n_classes) each."""
    leading = votes == votes.max(axis=1, keepdims=True)
    support = np.where(leading, support, -np.inf)
    return classes[support.argmax(axis=1)], leading.sum(axis=1) > 1


def vote_by_clip(predictions, decisions, clips, classes):
    """Majority vote over the chunks of each clip.

    Parameters
    ----------
    predictions : array-like, shape (n_chunks,)
    decisions : array-like, shape (n_chunks, n_classes)
    clips : array-like, shape (n_chunks,)
        Clip of each chunk.
    classes : sequence of str, sorted

    Returns
    -------
    names : ndarray
        The clips, in order of first appearance.
    winners, tied : ndarray
        As in :func:`vote`.

    Examples
    --------
    >>> names, winners, _ = vote_by_clip(["a", "a", "b"], np.zeros((3, 2)), [7, 7, 8], ["a", "b"])
    >>> names.tolist(), winners.tolist()
    ([7, 8], ['a', 'b'])
    """
    predictions, clips, classes = map(np.asarray, (predictions, clips, classes))
    number, names = pd.factorize(clips)
    votes, support = np.zeros((2, len(names), len(classes)))
    np.add.at(votes, number, predictions[:, None] == classes)
    np.add.at(support, number, np.asarray(decisions, dtype=float))
    return names, *_elect(votes, support, classes)


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
    folds = np.zeros(len(clips), int) if decisions.folds is None else decisions.folds
    parts = []
    for fold in dict.fromkeys(folds.tolist()):
        mask = folds == fold
        names, winners, tied = vote_by_clip(
            decisions.predicted[mask], decisions.values[mask], clips[mask], decisions.classes
        )
        order = pd.factorize(clips[mask])[0]
        values = np.zeros((len(names), len(decisions.classes)))
        np.add.at(values, order, decisions.values[mask])
        truth = np.empty(len(names), dtype=decisions.truth.dtype)
        truth[order] = decisions.truth[mask]
        parts.append((names, truth, winners, values, np.full(len(names), fold), tied))
    rows, truth, winners, values, voted, tied = map(np.concatenate, zip(*parts))
    folds = None if decisions.folds is None else voted
    return Predictions(rows, truth, winners, values, decisions.classes, folds, float(tied.mean()))


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
    voted = {c: vote_chunks(part, clip_of_chunk) for c, part in result.by_complexity.items()}
    if not result.inner_votes:
        nested = vote_chunks(result.nested, clip_of_chunk)
        return replace(result, by_complexity=voted, nested=nested)
    result = replace(result, by_complexity=voted, inner=result.inner_votes)
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
    first = parts[0]
    for part in parts[1:]:
        if not np.array_equal(part.rows, first.rows) or part.classes != first.classes:
            raise ParameterError("parts: found different rows or classes, expected the same")
    supports = [SCALINGS[scale](part.values) for part in parts]
    winners, tied = vote([part.predicted for part in parts], supports, first.classes)
    values = np.sum(supports, axis=0)
    return Predictions(
        first.rows, first.truth, winners, values, first.classes, first.folds, float(tied.mean())
    )


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
    names = list(dict.fromkeys(outer[0].folds.tolist()))
    for part in outer[1:]:
        if not np.array_equal(part.rows, outer[0].rows) or part.classes != outer[0].classes:
            raise ParameterError("parts: found different rows or classes, expected the same")
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
