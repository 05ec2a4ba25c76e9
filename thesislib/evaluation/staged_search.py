"""A search in stages over chunks of clips (thesis 8.3).

The thesis cuts clips of one minute into chunks of 5 s, and trains and scores on chunks; a clip's
chunks share its fold, its group and its label. Each stage keeps what scored best on the
reported folds, and goes on from there: :func:`rank_published`. What a stage has fitted is kept
in the feature store.
"""

import hashlib
from importlib.metadata import version

import numpy as np

from thesislib.evaluation.selection import Decisions, FoldResult, evaluate_folds
from thesislib.store import hash_parameters

#: Raised whenever the same features and options begin to give other decisions.
VERSION = 1


def expand_folds(folds, clip_of_chunk):
    """Folds over chunks from folds over clips.

    Parameters
    ----------
    folds : dict of str to (ndarray of int, ndarray of int)
        Train and test clips of each fold.
    clip_of_chunk : array-like of int, shape (n_chunks,)
        Clip of every chunk.

    Returns
    -------
    dict of str to (ndarray of int, ndarray of int)
        Train and test chunks; all chunks of a clip are on one side.

    Examples
    --------
    >>> folds = expand_folds({"1": ([0], [1])}, [0, 0, 1])
    >>> [rows.tolist() for rows in folds["1"]]
    [[0, 1], [2]]
    """
    clips = np.asarray(clip_of_chunk)
    return {
        name: tuple(np.flatnonzero(np.isin(clips, rows)) for rows in sides)
        for name, sides in folds.items()
    }


def evaluate_chunks(features, clip_of_chunk, labels, folds, *, groups, store=None, **options):
    """Cross-validate on chunks, with labels, folds and groups given for clips (8.3).

    Parameters
    ----------
    features : ndarray, shape (n_chunks, n_features)
    clip_of_chunk : ndarray of int, shape (n_chunks,)
    labels, groups : ndarray, shape (n_clips,)
    folds : dict of str to (ndarray of int, ndarray of int)
        Over clips.
    store, **options
        As in :func:`evaluate_kept`.

    Returns
    -------
    FoldResult
        Rows are chunks; :func:`~thesislib.evaluation.selection.vote_chunks` gives clips.
    """
    clips = np.asarray(clip_of_chunk)
    labels, groups = np.asarray(labels)[clips], np.asarray(groups)[clips]
    folds = expand_folds(folds, clips)
    return evaluate_kept(features, labels, folds, groups=groups, store=store, **options)


def evaluate_kept(features, labels, folds, *, groups, store=None, n_jobs=1, **options):
    """:func:`~thesislib.evaluation.selection.evaluate_folds`, its answer kept in the store.

    Hundreds of fits stand behind a row of a table: a search that was killed goes on after the
    last row that was finished.

    Parameters
    ----------
    features, labels, folds, groups, n_jobs
        As in ``evaluate_folds``.
    store : FeatureStore, optional
    **options
        Further arguments of ``evaluate_folds``: plain values, all part of the key.

    Returns
    -------
    FoldResult
    """
    given = {"groups": groups, "n_jobs": n_jobs, **options}
    if store is None:
        return evaluate_folds(features, labels, folds, **given)
    key = _key(features, labels, folds, groups, options)
    entry = store.get(key)
    if entry is not None and "inner" in entry:
        return _unpack(entry)
    entry = _pack(evaluate_folds(features, labels, folds, **given))
    store.put(key, entry)
    return _unpack(entry)


def rank_published(results):
    """Every setting and complexity, best first, by the scores that are reported.

    Choosing by it gives a result *as published*;
    :func:`~thesislib.evaluation.selection.choose_nested` chooses honestly.

    Parameters
    ----------
    results : dict of hashable to FoldResult

    Returns
    -------
    list of (setting, float, Decisions)
        Of equals the first setting, and the smallest complexity, comes first.

    Examples
    --------
    >>> X, y = np.array([[0.0], [1.0]] * 9), np.array(["a", "b"] * 9)
    >>> rows = np.arange(18)
    >>> folds = {"1": (rows[:12], rows[12:]), "2": (rows[6:], rows[:6])}
    >>> results = {name: evaluate_folds(x, y, folds, groups=rows, complexities=[1.0])
    ...            for name, x in (("noise", np.cos(np.outer(rows, 9))), ("signal", X))}
    >>> rank_published(results)[0][:2]
    ('signal', 1.0)
    """
    ranked = [
        (setting, complexity, result.by_complexity[complexity])
        for setting, result in results.items()
        for complexity in sorted(result.by_complexity)
    ]
    return sorted(ranked, key=lambda each: -each[2].score())


def _key(features, labels, folds, groups, options):
    digest = hashlib.sha256()
    for name, (train, test) in folds.items():
        # Features that are learnt from the training part differ from fold to fold.
        parts = [np.asarray(train, int), np.asarray(test, int)]
        parts += [features(parts[0])] if callable(features) else []
        digest.update(f"{name} {[part.shape for part in parts]}".encode())
        for part in parts:
            digest.update(np.ascontiguousarray(part))
    if not callable(features):
        digest.update(f"{features.shape}{features.dtype}".encode())
        digest.update(np.ascontiguousarray(features))
    return hash_parameters(
        {
            "evaluation": "folds",
            "version": VERSION,
            "features": digest.hexdigest(),
            "labels": [str(label) for label in labels],
            "groups": [str(group) for group in groups],
            "options": options,
            "libraries": {name: version(name) for name in ("numpy", "scipy", "scikit-learn")},
        }
    )


def _pack(result):
    """Arrays of a result; the nested choice follows from the inner scores."""
    complexities = np.array(list(result.by_complexity))
    decisions = list(result.by_complexity.values())
    return {
        "complexities": complexities,
        "predicted": np.array([d.predicted for d in decisions]).astype(str),
        "values": np.array([d.values for d in decisions]),
        "rows": decisions[0].rows,
        "truth": decisions[0].truth.astype(str),
        "folds": np.asarray(decisions[0].folds).astype(str),
        "classes": np.array(decisions[0].classes).astype(str),
        "inner_folds": np.array(list(result.inner)).astype(str),
        "inner": np.array([[scores[c] for c in complexities] for scores in result.inner.values()]),
    }


def _unpack(entry):
    complexities = entry["complexities"].tolist()
    classes = tuple(entry["classes"].tolist())
    folds = entry["folds"]
    by_complexity = {
        c: Decisions(entry["rows"], entry["truth"], predicted, values, classes, folds)
        for c, predicted, values in zip(complexities, entry["predicted"], entry["values"])
    }
    inner = {
        name: {c: float(score) for c, score in sorted(zip(complexities, scores))}
        for name, scores in zip(entry["inner_folds"].tolist(), entry["inner"])
    }
    chosen = {name: max(scores, key=scores.get) for name, scores in inner.items()}
    nested = np.select(
        [folds == name for name in inner],
        [np.full(len(folds), complexities.index(c)) for c in chosen.values()],
    )
    rows = np.arange(len(folds))
    decisions = Decisions(
        entry["rows"],
        entry["truth"],
        entry["predicted"][nested, rows],
        entry["values"][nested, rows],
        classes,
        folds,
    )
    return FoldResult(by_complexity, decisions, chosen, inner)
