"""Cross-validation over chunks of clips and over grids of settings, resumable (8.3, 9.1, 9.2).

The thesis cuts clips of one minute into chunks of 5 s, and trains and scores on chunks; the
chunks of a clip share its fold, its group and its label. Each stage of its search takes the best
setting on the reported folds to the next stage:
:meth:`~thesislib.evaluation.candidates.Candidates.rank`.
"""

import numpy as np
from sklearn.base import clone

from thesislib.errors import ParameterError
from thesislib.evaluation.candidates import (
    Candidate,
    Candidates,
    fuse_by_seed,
    join_seeds,
    take_seed,
)
from thesislib.evaluation.fusion import fuse_features, fuse_probabilities
from thesislib.evaluation.validation import evaluate_folds, evaluate_partitions
from thesislib.representations.bag_grid import BagGrid


def expand_folds(folds, clip_of_chunk):
    """Folds over chunks from folds over clips; all chunks of a clip are on one side.

    Parameters
    ----------
    folds : dict of str to (ndarray of int, ndarray of int)
        Train and test clips of each fold.
    clip_of_chunk : array-like of int, shape (n_chunks,)
        Clip of every chunk.

    Returns
    -------
    dict of str to (ndarray of int, ndarray of int)
        Train and test chunks.

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


def evaluate_chunks(
    features, clip_of_chunk, labels, folds, *, groups, inner_votes=False, **options
):
    """Cross-validate on chunks, with labels, folds and groups given for clips (8.3).

    Parameters
    ----------
    features : ndarray, shape (n_chunks, n_features)
    clip_of_chunk : ndarray of int, shape (n_chunks,)
    labels, groups : ndarray, shape (n_clips,)
    folds : dict of str to (ndarray of int, ndarray of int)
        Over clips.
    inner_votes : bool
        Whether the inner folds are also scored by vote, for a nested choice of clips.
    **options
        Of :func:`~thesislib.evaluation.validation.evaluate_folds`.

    Returns
    -------
    FoldResult
        Rows are chunks; :func:`~thesislib.evaluation.fusion.vote_clips` gives clips.
    """
    clips = np.asarray(clip_of_chunk)
    labels, groups = np.asarray(labels)[clips], np.asarray(groups)[clips]
    folds = expand_folds(folds, clips)
    options |= {"clips": clips} if inner_votes else {}
    return evaluate_folds(features, labels, folds, groups=groups, **options)


def evaluate_grid(grid, evaluate, *arguments, **options):
    """Evaluate every pair of a grid of bags, as far as the corpus allows.

    Parameters
    ----------
    grid : BagGrid
    evaluate : callable
        :func:`evaluate_folds` or :func:`evaluate_partitions`; gets the features of a pair, then
        ``arguments`` and ``options``.

    Returns
    -------
    results : dict of (int, int) to FoldResult or PartitionResult
    skipped : dict of (int, int) to str
        Why a pair could not be run: a training part with fewer distinct frames than words,
        or bags that are all alike (each frame counts for every word, and all clips are
        equally long).

    Examples
    --------
    >>> from thesislib.representations.bag_grid import BagGrid
    >>> from thesislib.representations.bag_of_features import BagOfFeatures
    >>> rng, labels = np.random.default_rng(0), np.array(["a", "b"] * 9)
    >>> frames = [rng.normal(3 * (name == "b"), size=(20, 2)) for name in labels]
    >>> folds = {"evaluation": (np.arange(12), np.arange(12, 18))}
    >>> results, skipped = evaluate_grid(
    ...     BagGrid(frames, BagOfFeatures(), [10, 500], [1]), evaluate_folds, labels, folds,
    ...     groups=np.arange(18), complexities=[0.1],
    ... )
    >>> list(results), list(skipped)
    ([(10, 1)], [(500, 1)])
    """
    results, skipped = {}, {}
    for pair in grid.pairs:
        try:
            results[pair] = evaluate(grid.features(*pair), *arguments, **options)
        except ParameterError as error:
            skipped[pair] = str(error)
    return results, skipped


def evaluate_bags(
    frames,
    bag,
    codebook_sizes,
    n_assigns,
    evaluate,
    *arguments,
    seeds=(0,),
    store=None,
    columns=None,
    **options,
):
    """Evaluate bags of every size and number of assignments, with a codebook for each seed.

    Parameters
    ----------
    frames : list of ndarray, or dict of int to these
        Of each clip; a dict has those of each seed (random networks).
    bag : BagOfFeatures
    codebook_sizes, n_assigns : sequence of int
    evaluate, arguments, options
        As in :func:`evaluate_grid`.
    seeds : sequence of int
        Of the codebooks.
    store : FeatureStore, optional
    columns : dict, optional
        Further columns of all candidates.

    Returns
    -------
    candidates : Candidates
        With the columns ``codebook_size`` and ``n_assign``.
    skipped : dict of (int, int) to str
        Pairs that could not be run with one of the seeds.
    """
    frames = frames if isinstance(frames, dict) else {seeds[0]: frames}
    results, skipped = {}, {}
    for seed in seeds:
        own = clone(bag).set_params(random_state=seed)
        grid = BagGrid(take_seed(frames, seed), own, codebook_sizes, n_assigns, store=store)
        results[seed], reasons = evaluate_grid(grid, evaluate, *arguments, **options)
        skipped |= reasons
    candidates = Candidates()
    for pair in results[seeds[0]]:
        if pair not in skipped:
            own = (columns or {}) | dict(zip(("codebook_size", "n_assign"), pair))
            candidates.add(own, {seed: each[pair] for seed, each in results.items()})
    return candidates, skipped


def fuse_candidates(members, labels, **options):
    """Fuse settings at feature level (concatenation) and at decision level (majority vote).

    Parameters
    ----------
    members : sequence of Candidate
        With ``features``; evaluated on partitions.
    labels : array-like, shape (n,)
    **options
        Of :func:`~thesislib.evaluation.validation.evaluate_partitions`.

    Returns
    -------
    dict of (str, str) to (dict, dict)
        Level (``feature``, ``decision``) and selection (``development``, ``as published``) to the
        predictions for the development and the test part, by seed.
    """
    joint = join_seeds(fuse_features, *(each.features for each in members))
    results = {seed: evaluate_partitions(X, labels, **options) for seed, X in joint.items()}
    together, fused = Candidate({}, results), {}
    for selection in ("development", "as published"):
        fused["feature", selection] = together.devel(selection), together.predictions(selection)
        fused["decision", selection] = (
            fuse_by_seed(*(each.devel(selection) for each in members)),
            fuse_by_seed(*(each.predictions(selection) for each in members)),
        )
    return fused


def fuse_weighted(members, columns, **options):
    """Fuse settings by weighted sums of their probabilities, seed by seed (8.1).

    Parameters
    ----------
    members : sequence of Candidate
        Over the same folds.
    columns : dict
        Of the fusion.
    **options
        Of :func:`~thesislib.evaluation.fusion.fuse_probabilities`.

    Returns
    -------
    Candidate
        With the further columns ``selection`` and ``fusion_weights``, the means over folds and
        seeds in the order of the members. A single member keeps its results.
    """
    columns = columns | {"selection": options["selection"]}
    if len(members) == 1:
        return Candidate(columns, members[0].results)
    parts = [member.results for member in members]
    results = join_seeds(lambda *each: fuse_probabilities(each, **options), *parts)
    by_fold = [list(result.weights.values()) for result in results.values()]
    weights = np.mean(np.mean(by_fold, axis=1), axis=0)
    return Candidate(columns | {"fusion_weights": " ".join(f"{w:.2f}" for w in weights)}, results)
