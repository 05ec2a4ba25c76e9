"""A search over settings, chosen from both ways (contract 7; thesis 8.3, 9.1, 9.2).

A setting is whatever an experiment varies: a pair of codebook size and assignments, a
colour map, a network. What was best on the reported scores is the result *as published*, what
was best inside the training part the result *selected honestly*.
"""

import warnings
from dataclasses import dataclass, replace

from sklearn.exceptions import ConvergenceWarning

from thesislib.errors import ParameterError
from thesislib.evaluation.fits import warn_stopped
from thesislib.evaluation.metrics import unweighted_average_recall
from thesislib.evaluation.selection import Decisions, choose_nested, vote_chunks


@dataclass(frozen=True)
class Choice:
    """What a choice among settings answers; ``settings[fold]`` is ``(setting, complexity)``."""

    decisions: Decisions
    settings: dict


def evaluate_grid(grid, evaluate, *arguments, **options):
    """Evaluate every pair of a grid of bags, as far as the corpus allows.

    Parameters
    ----------
    grid : BagGrid
    evaluate : callable
        :func:`~thesislib.evaluation.selection.evaluate_folds` or
        :func:`~thesislib.evaluation.selection.evaluate_partitions`; gets the features
        of a pair, then ``arguments`` and ``options``.

    Returns
    -------
    answers : dict of (int, int) to FoldResult or PartitionResult
    refused : dict of (int, int) to str
        Why a pair could not be run: a training part with fewer distinct frames than words,
        or bags that are all alike (each frame counts for every word, and all clips are
        equally long).

    Examples
    --------
    >>> import numpy as np
    >>> from thesislib.evaluation.selection import evaluate_folds
    >>> from thesislib.representations.bag_grid import BagGrid
    >>> from thesislib.representations.bag_of_features import BagOfFeatures
    >>> rng, labels = np.random.default_rng(0), np.array(["a", "b"] * 9)
    >>> frames = [rng.normal(3 * (name == "b"), size=(20, 2)) for name in labels]
    >>> folds = {"evaluation": (np.arange(12), np.arange(12, 18))}
    >>> answers, refused = evaluate_grid(
    ...     BagGrid(frames, BagOfFeatures(), [10, 500], [1]), evaluate_folds, labels, folds,
    ...     groups=np.arange(18), complexities=[0.1],
    ... )
    >>> list(answers), list(refused)
    ([(10, 1)], [(500, 1)])
    """
    answers, refused, stopped = {}, {}, {}
    for pair in grid.pairs:
        try:
            with warnings.catch_warnings():
                # One warning for the whole grid, below.
                warnings.simplefilter("ignore", ConvergenceWarning)
                answers[pair] = evaluate(grid.features(*pair), *arguments, **options)
        except ParameterError as error:
            refused[pair] = str(error)
            continue
        for complexity, counts in answers[pair].stopped.items():
            stopped[complexity] = tuple(map(sum, zip(stopped.get(complexity, (0, 0)), counts)))
    warn_stopped(stopped)
    return answers, refused


def choose_both(results, metric=unweighted_average_recall):
    """Choose among settings inside the training parts, and on the scores that are reported.

    Parameters
    ----------
    results : dict of hashable to FoldResult
        All over the same folds.
    metric : callable

    Returns
    -------
    dict of str to Choice
        ``"honest"``, where each fold has a choice of its own, and ``"as published"``, one for
        all folds. Of equals, the first setting and the smallest complexity.
    """
    honest, settings = choose_nested(results)
    scores = {}
    for setting, result in results.items():
        complexity = result.best(metric)
        scores[setting, complexity] = result.by_complexity[complexity].score(metric)
    best = max(scores, key=scores.get)
    reported = results[best[0]].by_complexity[best[1]]
    return {
        "honest": Choice(honest, settings),
        "as published": Choice(reported, dict.fromkeys(settings, best)),
    }


def vote_clips(result, clip_of_chunk):
    """Answers on clips from those on their chunks, for every complexity.

    Parameters
    ----------
    result : FoldResult
        Rows are chunks.
    clip_of_chunk : ndarray of int, shape (n_chunks,)
        Corpus row of every chunk.

    Returns
    -------
    FoldResult
        Rows are corpus rows. The scores of the nested choice stay those of chunks, on which
        that choice was made.
    """
    voted = {c: vote_chunks(part, clip_of_chunk) for c, part in result.by_complexity.items()}
    return replace(result, by_complexity=voted, nested=vote_chunks(result.nested, clip_of_chunk))
