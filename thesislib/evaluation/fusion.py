"""Fusion of features (concatenation) and of decisions (majority vote, weighted probabilities)."""

from itertools import product

import numpy as np

from thesislib.errors import ParameterError


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
    leading = votes == votes.max(axis=1, keepdims=True)
    support = np.where(leading, decisions.sum(axis=0), -np.inf)
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
    predictions, decisions, clips = map(np.asarray, (predictions, decisions, clips))
    _, first = np.unique(clips, return_index=True)
    names = clips[np.sort(first)]
    found = [
        vote(predictions[clips == n][:, None], decisions[clips == n][:, None, :], classes)
        for n in names
    ]
    winners = np.concatenate([winner for winner, _ in found])
    return names, winners, np.concatenate([tied for _, tied in found])


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


def fuse_probabilities(probabilities, weights):
    """Weighted sum of probability matrices: (n_parts, n, n_classes) → (n, n_classes)."""
    return np.tensordot(np.asarray(weights), np.asarray(probabilities), axes=1)


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
        metric(y_true, classes[fuse_probabilities(probabilities, w).argmax(axis=1)]) for w in grid
    ]
    best = int(np.argmax(scores))
    return grid[best], float(scores[best])
