"""Learning curves: score against the number of groups that were trained on (outlook, 11.3).

The test part of each fold stays the same. The training parts are nested: the groups of a smaller
one are in every larger one of the same draw.
"""

import numpy as np

from thesislib.errors import CorpusError, check_number
from thesislib.evaluation.candidates import list_seeds, take_seed
from thesislib.evaluation.validation import evaluate_folds


def draw_subsets(labels, groups, folds, *, n_sizes=5, n_draws=5, n_least=2, seed=0):
    """Draw nested subsets of the training groups of each fold.

    The smallest size is the one at which every class has ``n_least`` groups in all draws, the
    largest one that of the smallest training part; the others lie between them in equal ratios.

    Parameters
    ----------
    labels, groups : array-like, shape (n,)
    folds : dict of str to (ndarray of int, ndarray of int)
        Train and test rows.
    n_sizes, n_draws, n_least : int > 0
    seed : int

    Returns
    -------
    dict of int to list of dict
        Number of groups to the folds of each draw, with the test rows of ``folds``.

    Raises
    ------
    CorpusError
        If a class has fewer than ``n_least`` groups in a training part.

    Examples
    --------
    >>> labels, groups = np.array(["x", "y"] * 8), np.arange(16)
    >>> folds = {"1": (np.arange(12), np.arange(12, 16))}
    >>> subsets = draw_subsets(labels, groups, folds, n_sizes=3, n_draws=2)
    >>> {size: [len(each["1"][0]) for each in draws] for size, draws in subsets.items()}
    {4: [4, 4], 7: [7, 7], 12: [12, 12]}
    """
    for name, value in (("n_sizes", n_sizes), ("n_draws", n_draws), ("n_least", n_least)):
        check_number(name, value, low=1, integer=True)
    labels, groups = np.asarray(labels), np.asarray(groups)
    orders, least = {}, []
    for number, (fold, (train, _)) in enumerate(folds.items()):
        owned = {name: set(labels[train[groups[train] == name]]) for name in set(groups[train])}
        for draw in range(n_draws):
            generator = np.random.default_rng([seed, draw, number])
            first, rest, lacking = [], [], dict.fromkeys(sorted(set(labels[train])), n_least)
            for name in generator.permutation(sorted(owned)):
                needed = any(lacking[label] > 0 for label in owned[name])
                (first if needed else rest).append(name)
                lacking |= {label: lacking[label] - needed for label in owned[name]}
            short = [label for label, n in lacking.items() if n > 0]
            if short:
                raise CorpusError(
                    f"fold {fold}: found {n_least - lacking[short[0]]} groups of class "
                    f"{short[0]!r} in the training part, expected at least {n_least}"
                )
            orders[fold, draw] = [*first, *rest]
            least.append(len(first))
    most = min(map(len, orders.values()))
    sizes = np.geomspace(min(max(least), most), most, n_sizes).round().astype(int)
    return {
        size: [
            {
                fold: (train[np.isin(groups[train], orders[fold, draw][:size])], test)
                for fold, (train, test) in folds.items()
            }
            for draw in range(n_draws)
        ]
        for size in np.unique(sizes).tolist()
    }


def evaluate_curve(features, labels, subsets, **options):
    """Cross-validate with each subset of the training groups.

    Parameters
    ----------
    features : dict of int to ndarray, shape (n, n_features)
        By seed of random weights; the draws take the seeds in turn.
    labels : array-like, shape (n,)
    subsets : dict of int to list of dict
        From :func:`draw_subsets`.
    **options
        Of :func:`~thesislib.evaluation.validation.evaluate_folds`.

    Returns
    -------
    dict of int to dict of int to Predictions
        Number of groups to the nested predictions of each draw.

    Examples
    --------
    >>> X, labels, rows = np.array([[0.0], [1.0]] * 8), np.array(["x", "y"] * 8), np.arange(16)
    >>> subsets = draw_subsets(labels, rows, {"1": (rows[:12], rows[12:])}, n_draws=1)
    >>> curve = evaluate_curve({0: X}, labels, subsets, groups=rows, complexities=[1.0], n_inner=2)
    >>> {size: draws[0].score() for size, draws in curve.items()}
    {4: 1.0, 5: 1.0, 7: 1.0, 9: 1.0, 12: 1.0}
    """
    seeds = list_seeds(features)
    return {
        size: {
            draw: evaluate_folds(
                take_seed(features, seeds[draw % len(seeds)]), labels, folds, **options
            ).nested
            for draw, folds in enumerate(draws)
        }
        for size, draws in subsets.items()
    }
