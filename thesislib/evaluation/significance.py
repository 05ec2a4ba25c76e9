"""Are two systems different? t-tests over the folds of a cross-validation (thesis 8.3.2).

The thesis tests the scores of ten folds for normality with Shapiro and Wilk and
compares systems "in a pairwise fashion"; yet nine of the ten p-values of Table 8.13
follow from *independent* two-sample tests with 18 degrees of freedom. Three tests
therefore stand side by side:

* independent: as Table 8.13; it leaves out that both systems saw the same folds.
* paired: on the differences fold by fold.
* corrected resampled (Nadeau and Bengio, Machine Learning 52, 2003): paired, with the
  variance enlarged for what the training sets share.

Training sets of k-fold cross-validation overlap, so fold scores are not independent,
their spread understates the true uncertainty, and an ordinary t-test finds differences
too often.
"""

from itertools import combinations

import numpy as np
import pandas as pd
from scipy import stats

from thesislib.errors import ParameterError, check_number
from thesislib.evaluation.metrics import score_folds

MIN_FOLDS = 3
#: Spread below this share of the scores is rounding.
_ROUNDING = 1e-12


def compare_folds(scores_a, scores_b, *, test_share):
    """Compare two systems over the same folds, with three t-tests side by side.

    Parameters
    ----------
    scores_a, scores_b : array-like, shape (n_folds,)
        One score a fold, in the same order; at least three.
    test_share : float in (0, 1)
        Share of the data that a fold tests: 1 / k in k-fold cross-validation. The
        correction is ``test_share / (1 - test_share)``.

    Returns
    -------
    dict
        ``mean_a``, ``mean_b``, ``difference`` (a minus b), ``n_folds``;
        ``shapiro_a_p``, ``shapiro_b_p``, ``shapiro_difference_p`` (p below 0.05 speaks
        against normality; NaN for scores without spread); ``independent_t``,
        ``independent_p``, ``paired_t``, ``paired_p``, ``corrected_t``, ``corrected_p``
        (two-sided). Where nothing differs t is 0 and p is 1; where something differs
        but nothing varies there is no test, and both are NaN.

    Raises
    ------
    ParameterError
        For fewer than three folds, lengths that differ, or values that are not finite.

    Examples
    --------
    >>> result = compare_folds([0.7, 0.8, 0.75, 0.7], [0.6, 0.65, 0.7, 0.6], test_share=0.25)
    >>> [round(result[f"{test}_p"], 3) for test in ("independent", "paired", "corrected")]
    [0.025, 0.016, 0.049]
    """
    scores_a, scores_b = _check_scores(scores_a, scores_b)
    check_number("test_share", test_share, low=0, high=1, open_low=True)
    if test_share == 1:
        raise ParameterError("test_share: found 1, expected a number > 0 and < 1")
    n = len(scores_a)
    difference = scores_a - scores_b
    noise = _ROUNDING * max(1.0, np.abs([scores_a, scores_b]).max())
    variance = _variance(difference, noise)
    pooled = (_variance(scores_a, noise) + _variance(scores_b, noise)) / 2
    mean = difference.mean() if abs(difference.mean()) > noise else 0.0
    result = {
        "mean_a": float(scores_a.mean()),
        "mean_b": float(scores_b.mean()),
        "difference": float(mean),
        "n_folds": n,
        "shapiro_a_p": _test_normality(scores_a, noise),
        "shapiro_b_p": _test_normality(scores_b, noise),
        "shapiro_difference_p": _test_normality(difference, noise),
    }
    for name, squared_error, freedom in (
        ("independent", pooled * 2 / n, 2 * n - 2),
        ("paired", variance / n, n - 1),
        ("corrected", variance * (1 / n + test_share / (1 - test_share)), n - 1),
    ):
        result[f"{name}_t"], result[f"{name}_p"] = _test(mean, squared_error, freedom)
    return result


def compare_all(scores, *, test_share):
    """Compare every pair of systems.

    Parameters
    ----------
    scores : dict of str to array-like, shape (n_folds,)
        Name of each system to its scores; at least two systems.
    test_share : float in (0, 1)
        See :func:`compare_folds`.

    Returns
    -------
    pandas.DataFrame
        One row a pair in the order given: ``system_a``, ``system_b`` and the columns of
        :func:`compare_folds`. The p-values are not adjusted for the number of pairs,
        as in Table 8.13.

    Raises
    ------
    ParameterError
        As :func:`compare_folds`, naming the pair; or for fewer than two systems.

    Examples
    --------
    >>> scores = {"one": [0.5, 0.6, 0.7], "two": [0.5, 0.6, 0.6], "three": [0.3, 0.2, 0.4]}
    >>> table = compare_all(scores, test_share=1 / 3)
    >>> table[["system_a", "system_b"]].values.tolist()
    [['one', 'two'], ['one', 'three'], ['two', 'three']]
    """
    if len(scores) < 2:
        raise ParameterError(f"scores: found {len(scores)} systems, expected at least 2")
    rows = []
    for a, b in combinations(scores, 2):
        try:
            result = compare_folds(scores[a], scores[b], test_share=test_share)
        except ParameterError as error:
            raise ParameterError(f"{a} and {b}: {error}") from error
        rows.append({"system_a": a, "system_b": b, **result})
    return pd.DataFrame(rows)


def compare_systems(systems):
    """Compare every pair of systems by their UAR on each fold, averaged over seeds.

    Parameters
    ----------
    systems : dict of str to dict of int to Predictions
        Name of each system to its predictions by seed, over the same folds.

    Returns
    -------
    pandas.DataFrame
        As from :func:`compare_all`, with ``status``: ``run``, or why there is no test.

    Examples
    --------
    >>> from thesislib.evaluation import Predictions
    >>> truth, folds = np.array(["a", "b"] * 2), np.array(["1", "1", "2", "2"])
    >>> one = Predictions(np.arange(4), truth, truth, np.eye(2)[[0, 1] * 2], ("a", "b"), folds)
    >>> compare_systems({"one": {0: one}, "two": {0: one}})["status"].tolist()
    ['not run: 2 folds, expected at least 3']
    """
    scores = {}
    for name, by_seed in systems.items():
        folds = [score_folds(p.truth, p.predicted, p.folds) for p in by_seed.values()]
        scores[name] = np.mean([each["scores"] for each in folds], axis=0)
    n_folds = min(len(each) for each in scores.values())
    if n_folds < MIN_FOLDS:
        pairs = pd.DataFrame(combinations(scores, 2), columns=["system_a", "system_b"])
        reason = f"not run: {n_folds} folds, expected at least {MIN_FOLDS}"
        return pairs.assign(independent_p=np.nan, status=reason)
    return compare_all(scores, test_share=1 / n_folds).assign(status="run")


def _check_scores(scores_a, scores_b):
    scores_a, scores_b = np.asarray(scores_a, float), np.asarray(scores_b, float)
    if scores_a.shape != scores_b.shape or scores_a.ndim != 1:
        raise ParameterError(
            f"scores_a, scores_b: found shapes {scores_a.shape} and {scores_b.shape}, "
            "expected (n_folds,) twice"
        )
    if len(scores_a) < MIN_FOLDS:
        raise ParameterError(
            f"scores_a, scores_b: found {len(scores_a)} folds, expected at least {MIN_FOLDS}"
        )
    if not np.isfinite([scores_a, scores_b]).all():
        raise ParameterError("scores_a, scores_b: found NaN or infinity, expected finite scores")
    return scores_a, scores_b


def _variance(values, noise):
    """Unbiased variance; 0 where the spread is rounding."""
    return 0.0 if np.ptp(values) <= noise else float(values.var(ddof=1))


def _test_normality(values, noise):
    return float("nan") if np.ptp(values) <= noise else float(stats.shapiro(values).pvalue)


def _test(mean, squared_error, freedom):
    """Student's t and two-sided p of a mean with the square of its standard error."""
    if squared_error == 0:
        return (0.0, 1.0) if mean == 0 else (float("nan"), float("nan"))
    t = float(mean / np.sqrt(squared_error))
    return t, float(2 * stats.t.sf(abs(t), freedom))
