"""Tests between systems: against scipy, against Table 8.13, and what they must obey."""

from itertools import product

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy import stats

from thesislib.errors import ParameterError
from thesislib.evaluation.metrics import score_folds
from thesislib.evaluation.predictions import Predictions
from thesislib.evaluation.significance import compare_folds, compare_systems
from thesislib.reporting.published import load_published

P_VALUES = ["independent_p", "paired_p", "corrected_p"]
scores = st.lists(st.integers(0, 1000), min_size=3, max_size=12)


def test_plain_tests_are_scipys(rng):
    a = 0.6 + 0.04 * rng.standard_normal(10)
    b = a - 0.02 + 0.03 * rng.standard_normal(10)
    found = compare_folds(a, b, test_share=0.1)
    for name, reference in (
        ("independent", stats.ttest_ind(a, b)),
        ("paired", stats.ttest_rel(a, b)),
    ):
        assert found[f"{name}_t"] == pytest.approx(reference.statistic)
        assert found[f"{name}_p"] == pytest.approx(reference.pvalue)
    assert found["shapiro_a_p"] == pytest.approx(stats.shapiro(a).pvalue)
    assert found["shapiro_difference_p"] == pytest.approx(stats.shapiro(a - b).pvalue)


def test_the_correction_is_nadeau_and_bengios(rng):
    a, b = rng.uniform(size=(2, 10))
    found = compare_folds(a, b, test_share=0.1)
    # Ten folds: the variance of the mean grows from 1/10 to 1/10 + 1/9.
    ratio = np.sqrt((1 / 10 + 1 / 9) / (1 / 10))
    assert found["paired_t"] / found["corrected_t"] == pytest.approx(ratio)
    assert found["corrected_p"] == pytest.approx(2 * stats.t.sf(abs(found["corrected_t"]), 9))


@given(st.data(), st.floats(0.01, 0.9))
def test_the_corrected_test_is_the_more_careful_and_swapping_changes_the_sign(data, test_share):
    a = np.array(data.draw(scores)) / 1000
    b = np.array(data.draw(st.lists(st.integers(0, 1000), min_size=len(a), max_size=len(a)))) / 1000
    assume(np.ptp(a - b) > 1e-6 and abs(np.mean(a - b)) > 1e-6)
    found = compare_folds(a, b, test_share=test_share)
    assert found["corrected_p"] > found["paired_p"]
    assert abs(found["corrected_t"]) < abs(found["paired_t"])
    swapped = compare_folds(b, a, test_share=test_share)
    for name in P_VALUES:
        assert swapped[name] == pytest.approx(found[name])
    assert swapped["difference"] == -found["difference"]


def test_overlapping_training_sets_fool_the_paired_test_more_often():
    """Two equal systems, with fold scores that share a part of their error."""
    generator = np.random.default_rng(1)
    found = []
    for _ in range(400):
        shared = generator.standard_normal()  # the same for all ten folds
        difference = 0.02 * (0.6 * shared + generator.standard_normal(10))
        base = 0.6 + 0.03 * generator.standard_normal(10)
        found.append(compare_folds(base + difference, base, test_share=0.1))
    paired = np.mean([row["paired_p"] < 0.05 for row in found])
    corrected = np.mean([row["corrected_p"] < 0.05 for row in found])
    assert paired > 0.2
    assert corrected < 0.6 * paired


def test_equal_scores_differ_in_nothing_and_a_constant_lead_cannot_be_tested():
    with np.errstate(all="raise"):
        same = compare_folds([0.5, 0.6, 0.7], [0.5, 0.6, 0.7], test_share=1 / 3)
        lead = compare_folds([0.5, 0.6, 0.7], [0.4, 0.5, 0.6], test_share=1 / 3)
        flat = compare_folds([0.5] * 3, [0.4] * 3, test_share=1 / 3)
    assert [same[name] for name in P_VALUES] == [1, 1, 1]
    assert same["independent_t"] == same["difference"] == 0
    assert np.isnan(same["shapiro_difference_p"]) and not np.isnan(same["shapiro_a_p"])
    assert np.isnan([lead["paired_p"], lead["corrected_t"]]).all()
    assert 0 < lead["independent_p"] < 1
    assert np.isnan([flat[name] for name in P_VALUES]).all()
    assert np.isnan(flat["shapiro_a_p"])


def test_a_skewed_sample_is_not_normal(rng):
    skewed = np.exp(3 * rng.standard_normal(30))
    plain = rng.standard_normal(30)
    found = compare_folds(skewed, plain, test_share=0.1)
    assert found["shapiro_a_p"] < 0.001 < 0.05 < found["shapiro_b_p"]


@pytest.mark.parametrize("share", [0, 1])
def test_an_impossible_share_is_rejected(share):
    with pytest.raises(ParameterError, match=f"test_share: found {share}, expected a number > 0"):
        compare_folds([0.1, 0.2, 0.3], [0.1, 0.3, 0.2], test_share=share)


def test_all_pairs_stand_once(rng):
    truth, folds = np.array(["x", "y"] * 20), np.repeat(list("12345"), 8)
    systems = {
        name: {0: Predictions(np.arange(40), truth, rng.choice(["x", "y"], 40), None, (), folds)}
        for name in "abcd"
    }
    table = compare_systems(systems)
    assert [a + b for a, b in table[["system_a", "system_b"]].to_numpy()] == [
        *("ab", "ac", "ad", "bc", "bd", "cd")
    ]
    b, c = (score_folds(p.truth, p.predicted, p.folds) for p in (systems["b"][0], systems["c"][0]))
    row = table.iloc[3].drop(["system_a", "system_b", "status"]).to_dict()
    assert row == compare_folds(b["scores"], c["scores"], test_share=0.2)


def printed_systems():
    """Mean and deviation over folds of the five systems of Table 8.13, as printed."""
    means = ["uar_mean_percent", "uar_std_percent"]
    acoustic = load_published("8.9").set_index("features")[means]
    plots = load_published("8.11").set_index(["plot", "network"])[means]
    bags = load_published("8.12").set_index(["network", "n_assign"])[means]
    return {
        "GoogLeNet BoDF": bags.loc["GoogLeNet", 25],
        "AlexNet": plots.loc["mel-spectrogram", "AlexNet"],
        "VGG16": plots.loc["spectrogram", "VGG16"],
        "IS09": acoustic.loc["IS09"],
        "IS10": acoustic.loc["IS10"],
    }


def ttest_from_printed(mean_a, std_a, mean_b, std_b, *, n_folds=10, ddof=0):
    """Independent t-test from printed means and standard deviations; the thesis's fit ddof=0."""
    # scipy takes standard deviations with ddof=1.
    a, b = (std * np.sqrt(n_folds / (n_folds - 1 + ddof)) for std in (std_a, std_b))
    return stats.ttest_ind_from_stats(mean_a, a, n_folds, mean_b, b, n_folds)


def recompute():
    """Printed p-value of each pair, its rounding, and the p-values that printed moments allow."""
    systems, table = printed_systems(), load_published("8.13")
    for _, row in table[table["system_a"] != table["system_b"]].iterrows():
        moments = [*systems[row["system_a"]], *systems[row["system_b"]]]
        rounded = product((-0.05, 0, 0.05), repeat=4)
        allowed = [ttest_from_printed(*np.add(moments, off)).pvalue for off in rounded]
        printed = row["p_value"]
        half_unit = 0.5 * 10 ** np.floor(np.log10(printed)) if printed < 1e-3 else 0.0005
        yield row["system_a"], row["system_b"], printed, half_unit, allowed


def test_table_8_13_is_independent_tests_but_for_one_cell():
    rows = list(recompute())
    assert len(rows) == 10
    odd = {
        (a, b): allowed
        for a, b, printed, half_unit, allowed in rows
        if not (min(allowed) < printed + half_unit and max(allowed) > printed - half_unit)
    }
    assert list(odd) == [("GoogLeNet BoDF", "AlexNet")]
    (allowed,) = odd.values()
    assert np.median(allowed) == pytest.approx(2.9e-3, rel=0.03)


def test_printed_moments_give_the_test_on_the_scores(rng):
    a, b = rng.uniform(size=(2, 10))
    expected = compare_folds(a, b, test_share=0.1)
    for ddof in (0, 1):
        result = ttest_from_printed(
            a.mean(), a.std(ddof=ddof), b.mean(), b.std(ddof=ddof), n_folds=10, ddof=ddof
        )
        assert result.statistic == pytest.approx(expected["independent_t"])
        assert result.pvalue == pytest.approx(expected["independent_p"])
