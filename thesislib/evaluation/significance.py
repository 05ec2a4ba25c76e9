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

from thesislib.errors import check_number
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
        If ``test_share`` is not a share.

    Examples
    --------
    >>> result = compare_folds([0.7, 0.8, 0.75, 0.7], [0.6, 0.65, 0.7, 0.6], test_share=0.25)
    >>> [round(result[f"{test}_p"], 3) for test in ("independent", "paired", "corrected")]
    [0.025, 0.016, 0.049]
    """
    check_number("test_share", test_share, low=0, high=0.99, open_low=True)
    scores_a, scores_b = np.asarray(scores_a, float), np.asarray(scores_b, float)
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


def compare_systems(systems):
    """Compare every pair of systems by their UAR on each fold, averaged over seeds.

    Parameters
    ----------
    systems : dict of str to dict of int to Predictions
        Name of each system to its predictions by seed, over the same folds.

    Returns
    -------
    pandas.DataFrame
        One row a pair in the order given: ``system_a``, ``system_b``, the columns of
        :func:`compare_folds`, and ``status``: ``run``, or why there is no test. The p-values are
        not adjusted for the number of pairs, as in Table 8.13.

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
    pairs = pd.DataFrame(combinations(scores, 2), columns=["system_a", "system_b"])
    if n_folds < MIN_FOLDS:
        reason = f"not run: {n_folds} folds, expected at least {MIN_FOLDS}"
        return pairs.assign(independent_p=np.nan, status=reason)
    tests = [
        compare_folds(scores[a], scores[b], test_share=1 / n_folds)
        for a, b in combinations(scores, 2)
    ]
    return pairs.join(pd.DataFrame(tests)).assign(status="run")


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
