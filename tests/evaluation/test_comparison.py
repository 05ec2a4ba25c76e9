"""Scores with intervals and paired comparisons, against independent implementations."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn.metrics import recall_score

from thesislib.errors import ParameterError
from thesislib.evaluation.comparison import (
    adjust_holm,
    compare,
    compare_pairs,
    describe_comparison,
    pool,
    score,
)


def make_table(rng, sizes, *, classes="xy", right=0.75, system="ours", **columns):
    """Clips of some groups, ``sizes[g]`` clips of each class, correct with a probability."""
    groups = np.repeat([f"g{g}" for g in range(len(sizes))], np.array(sizes) * len(classes))
    truth = np.concatenate([np.repeat(list(classes), size) for size in sizes])
    other = np.array([classes[classes.index(name) - 1] if classes[1:] else "y" for name in truth])
    correct = rng.random(len(truth)) < right
    table = pd.DataFrame({"file": [f"{i:04}.wav" for i in range(len(truth))], "group": groups})
    table["truth"], table["prediction"] = truth, np.where(correct, truth, other)
    return table.assign(system=system, selection="nested", seed=0, fold="", **columns)


def measure(table):
    return recall_score(table["truth"], table["prediction"], average="macro")


def leave_out(table, groups, statistic):
    """Jackknife from its definition, with the score of the remaining rows computed anew."""
    names = table[groups].unique()
    return np.array([statistic(table[table[groups] != name]) for name in names])


def contribute(ours, other, unit):
    """Contributions of units to the difference of recalls, row by row."""
    n = ours.groupby("truth")["file"].transform("size")
    right = (ours["prediction"] == ours["truth"]).astype(float)
    right -= (other["prediction"] == other["truth"]).astype(float)
    return (right / n / ours["truth"].nunique()).groupby(ours[unit]).sum().to_numpy()


def test_the_score_is_scikit_learns(rng):
    table = make_table(rng, [3, 1, 4, 2], classes="xyz")
    assert score(table)["score"] == pytest.approx(measure(table))
    accuracy = np.mean(table["truth"] == table["prediction"])
    assert score(table, metric="accuracy")["score"] == pytest.approx(accuracy)


def test_jackknife_from_its_definition(rng):
    table = make_table(rng, [3, 1, 4, 2, 5])
    replicates = leave_out(table, "group", measure)
    error = np.sqrt(4 / 5 * np.sum((replicates - measure(table)) ** 2))
    half = stats.t.ppf(0.975, 4) * error
    result = score(table)
    assert result["low"] == pytest.approx(max(0, measure(table) - half))
    assert result["high"] == pytest.approx(min(1, measure(table) + half))
    assert (result["unit"], result["n_clips"], result["n_groups"]) == ("group", 30, 5)


def test_jackknife_of_equal_groups_is_the_t_interval():
    """Groups of equal size: the score is the mean of their scores, and so is its interval."""
    counts = [5, 3, 4, 2]
    truth = pd.DataFrame({"group": np.repeat(list("ABCD"), 5), "truth": "x"})
    truth["file"] = truth.index.astype(str)
    truth["prediction"] = np.concatenate([["x"] * n + ["y"] * (5 - n) for n in counts])
    means = np.array(counts) / 5
    low, high = stats.t.interval(0.95, 3, means.mean(), stats.sem(means))
    result = score(truth, metric="accuracy")
    assert (result["low"], result["high"]) == pytest.approx((low, min(1, high)))


def test_bootstrap_agrees_with_scipys(rng):
    """Independent clips of one class: the quantiles of a binomial share."""
    table = make_table(rng, [1] * 200, classes="x", system="")
    table["prediction"] = ["x"] * 150 + ["y"] * 50
    result = score(table, n_resamples=20_000)
    low, high = stats.binom.ppf([0.025, 0.975], 200, 0.75) / 200
    assert (result["low"], result["high"]) == pytest.approx((low, high), abs=0.006)
    assert (result["unit"], result["n_groups"]) == ("clip", 200)


def test_bootstrap_draws_whole_groups(rng):
    """Equal clips in a group carry no more information than one of them."""
    single = make_table(rng, [1] * 40, classes="x")
    several = pd.concat([single.assign(file=single["file"] + str(i)) for i in range(6)])
    one, six = score(single), score(several)
    assert (one["unit"], six["unit"]) == ("clip", "group")
    assert (six["low"], six["high"]) == pytest.approx((one["low"], one["high"]))


def test_the_order_of_rows_does_not_matter(rng):
    table = make_table(rng, [2] * 30)
    other = make_table(rng, [2] * 30, system="other")
    shuffled = other.sample(frac=1, random_state=1)
    again = score(table.sample(frac=1, random_state=0))
    assert [again["low"], again["high"]] == [score(table)["low"], score(table)["high"]]
    assert compare(table, other)["p_value"] == compare(table, shuffled)["p_value"]


def test_a_class_of_one_group_has_no_interval(rng):
    table = make_table(rng, [2, 3, 2])
    table.loc[table["truth"] == "y", "group"] = "g0"
    result = score(table)
    assert np.isnan([result["low"], result["high"]]).all()
    assert result["note"] == "class y: one group"


def test_no_interval_is_a_point(rng):
    """Ten equal outcomes: the limit of Clopper and Pearson."""
    table = make_table(rng, [1] * 10, classes="x", right=2)
    result = score(table, metric="accuracy")
    low = stats.binomtest(10, 10).proportion_ci(0.95, "exact").low
    assert (result["low"], result["high"]) == pytest.approx((low, 1))
    assert result["note"]
    same = compare(table, table.assign(system="other"), metric="accuracy")
    assert (same["low"], same["high"]) == pytest.approx((low - 1, 1 - low))
    assert (same["p_value"], same["verdict"]) == (1, "not resolved")


@pytest.mark.parametrize("n_groups", [6, 9, 12])
def test_sign_flips_are_scipys(rng, n_groups):
    sizes = rng.integers(1, 5, n_groups)
    ours, other = (make_table(rng, sizes, right=right, system=right) for right in (0.9, 0.6))
    values = contribute(ours, other, "group")
    reference = stats.permutation_test(
        (values,), np.sum, permutation_type="samples", n_resamples=np.inf
    )
    result = compare(ours, other)
    assert result["difference"] == pytest.approx(values.sum())
    assert result["p_value"] == pytest.approx(reference.pvalue)
    assert (result["test_unit"], result["scope"]) == ("group", "")


def test_many_groups_are_flipped_at_random(rng):
    sizes = rng.integers(1, 5, 40)
    ours, other = (make_table(rng, sizes, right=right, system=right) for right in (0.75, 0.65))
    values = contribute(ours, other, "group")
    signs = rng.choice([-1, 1], (100_000, 40))
    expected = np.mean(np.abs(signs @ values) >= abs(values.sum()) - 1e-9)
    assert compare(ours, other)["p_value"] == pytest.approx(expected, abs=0.02)


def test_few_groups_are_tested_by_clip(rng):
    """One class: the sign flip of clips is the sign test (McNemar's exact test)."""
    ours, other = (make_table(rng, [20, 20, 20], classes="x", system=name) for name in "ab")
    right = [table["prediction"] == "x" for table in (ours, other)]
    wins, losses = (right[0] & ~right[1]).sum(), (right[1] & ~right[0]).sum()
    result = compare(ours, other)
    reference = stats.binomtest(int(wins), int(wins + losses)).pvalue
    assert result["p_value"] == pytest.approx(reference, abs=0.02)
    assert (result["unit"], result["test_unit"]) == ("group", "clip")
    assert result["scope"] == "on these recordings only"


def test_interval_of_a_difference_from_its_definition(rng):
    ours, other = (make_table(rng, [3, 1, 4, 2, 5, 2], system=name) for name in "ab")
    both = ours.assign(theirs=other["prediction"])

    def difference(table):
        return measure(table) - measure(table.assign(prediction=table["theirs"]))

    replicates = leave_out(both, "group", difference)
    error = np.sqrt(5 / 6 * np.sum((replicates - difference(both)) ** 2))
    half = stats.t.ppf(0.975, 5) * error
    result = compare(ours, other)
    ends = difference(both) - half, difference(both) + half
    assert (result["low"], result["high"]) == pytest.approx(ends)
    power = stats.t.ppf([0.975, 0.8], 5).sum() * error
    assert result["smallest_difference"] == pytest.approx(power)


@settings(deadline=None, max_examples=15)
@given(st.integers(0, 10_000), st.integers(2, 25))
def test_swapping_the_systems_negates(seed, n_groups):
    rng = np.random.default_rng(seed)
    sizes = rng.integers(1, 4, n_groups)
    ours, other = (make_table(rng, sizes, system=name) for name in "ab")
    there, back = compare(ours, other), compare(other, ours)
    assert there["difference"] == pytest.approx(-back["difference"])
    assert there["p_value"] == pytest.approx(back["p_value"])
    verdicts = {"better": "worse", "worse": "better"}
    assert there["verdict"] == verdicts.get(back["verdict"], back["verdict"])
    if n_groups < 20:
        assert (there["low"], there["high"]) == pytest.approx((-back["high"], -back["low"]))


def test_chance_is_one_over_the_number_of_classes(rng):
    table = make_table(rng, [2] * 12, classes="wxyz", right=0.9)
    result = compare(table, "chance")
    assert result["score_b"] == pytest.approx(0.25)
    assert result["difference"] == pytest.approx(measure(table) - 0.25)
    assert result["verdict"] == "better"


def test_the_smallest_difference_is_found_in_four_of_five(rng):
    """Power of the test at the difference that it reports as the smallest."""
    smallest, p_values = [], []
    for _ in range(100):
        ours = make_table(rng, [1] * 100, classes="x", right=0.85)
        other = make_table(rng, [1] * 100, classes="x", right=0.69, system="other")
        result = compare(ours, other, metric="accuracy", n_resamples=10)
        smallest.append(result["smallest_difference"])
        p_values.append(result["p_value"])
    assert np.median(smallest) == pytest.approx(0.16, abs=0.02)
    assert np.mean(np.array(p_values) < 0.05) == pytest.approx(0.8, abs=0.1)


def test_holm_of_a_worked_example():
    """Sorted 0.005, 0.01, 0.03, 0.04 times 4, 3, 2, 1: 0.02, 0.03, 0.06, 0.04 -> 0.06."""
    assert adjust_holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8), st.floats(0.001, 0.5))
def test_holm_rejects_as_the_stepwise_procedure(p_values, level):
    """Reject while p(i) <= level / (k - i); stop at the first that is larger (Holm 1979)."""
    k, rejected = len(p_values), set()
    for i, index in enumerate(np.argsort(p_values, kind="stable")):
        if p_values[index] * (k - i) > level:
            break
        rejected.add(int(index))
    adjusted = adjust_holm(p_values)
    assert {i for i in range(k) if adjusted[i] <= level} == rejected


def test_equivalent_systems_differ_by_less_than_the_margin(rng):
    """As the two one-sided tests of Schuirmann, at 2.5 % each."""
    ours = make_table(rng, [1] * 600, classes="x", right=0.9)
    other = ours.copy()
    other.loc[:3, "prediction"] = np.where(ours.loc[:3, "prediction"] == "x", "y", "x")
    values = contribute(ours, other, "file") * len(ours)
    tests = [
        stats.ttest_1samp(values, -0.03, alternative="greater").pvalue,
        stats.ttest_1samp(values, 0.03, alternative="less").pvalue,
    ]
    assert max(tests) < 0.025
    assert compare(ours, other)["verdict"] == "equivalent"
    assert compare(ours, other, margin=0.002)["verdict"] == "not resolved"


def test_pairs_are_corrected_within_families(rng):
    good = make_table(rng, [1] * 30, right=0.95, system="good")
    fair = make_table(rng, [1] * 30, right=0.8, system="fair")
    poor = make_table(rng, [1] * 30, right=0.4, system="poor")
    pairs = [("1", "good", "fair"), ("1", "good", "poor"), ("1", "fair", "chance")]
    pairs += [("2", "good", "fair"), ("", "good", "fair")]
    table = compare_pairs(pd.concat([good, fair, poor]), pairs)
    assert table["p_value"].nunique() == 3
    assert table["p_holm"].tolist() == pytest.approx(
        [*adjust_holm(table["p_value"][:3]), *table["p_value"][3:]]
    )
    assert table["exploratory"].tolist() == [False] * 4 + [True]
    single, family = table["smallest_difference"][[3, 0]]
    assert family > single
    assert "exploratory" in describe_comparison(table.iloc[4])


def test_the_sentence_gives_the_verdict_and_its_scope(rng):
    tables = [make_table(rng, [9, 9, 9], system=name) for name in ("one", "two")]
    text = describe_comparison(compare_pairs(pd.concat(tables), [("t", "one", "two")]).iloc[0])
    assert text.startswith("one ") and " % against two " in text
    assert "3 groups, on these recordings only: not resolved (smallest" in text
    for table in tables:
        table.loc[table["truth"] == "y", "group"] = "g0"
    text = describe_comparison(compare_pairs(pd.concat(tables), [("t", "one", "two")]).iloc[0])
    assert "without interval (class y: one group)" in text


def test_seeds_are_averaged_and_paired(rng):
    first, second = (make_table(rng, [4] * 8) for _ in range(2))
    both = pd.concat([first, second.assign(seed=1)])
    result = score(both)
    single = [measure(first), measure(second)]
    assert result["score"] == pytest.approx(np.mean(single))
    assert result["std_over_seeds"] == pytest.approx(np.std(single, ddof=1))
    assert (result["n_seeds"], result["n_clips"]) == (2, 64)
    # Shifted by a constant: by seed nothing varies.
    paired = compare(both, both.assign(system="other"))
    assert (paired["std_over_seeds"], paired["difference"], paired["n_seeds"]) == (0, 0, 2)
    fixed = compare(both, first.assign(system="fixed"))
    assert fixed["std_over_seeds"] == pytest.approx(result["std_over_seeds"])
    others = compare(both, both.assign(seed=both["seed"] + 1, system="other"))
    assert np.isnan(others["std_over_seeds"])


def make_mixtures(rng, system, rate):
    """Events of two types, each in three mixtures of a source, and mixtures without any."""
    events = np.repeat(["babycry", "gunshot"], 45)
    table = pd.DataFrame({"event": events, "group": np.repeat(np.arange(30), 3).astype(str)})
    table["n_events"] = np.tile([1, 1, 0], 30)
    table["deletions"] = (rng.random(90) < rate) * table["n_events"]
    table["insertions"] = rng.binomial(1, rate / 2, 90)
    return table.assign(system=system, file=table.index.astype(str), selection="", seed=0)


def test_error_rates_are_sums_over_events(rng):
    table = make_mixtures(rng, "detector", 0.4)
    rates = [
        (part["insertions"].sum() + part["deletions"].sum()) / part["n_events"].sum()
        for _, part in table.groupby("event")
    ]
    result = score(table, metric="error_rate")
    assert result["score"] == pytest.approx(np.mean(rates))
    assert (result["unit"], result["n_groups"], result["n_clips"]) == ("group", 30, 90)
    good = make_mixtures(rng, "good", 0.1)
    both = compare_pairs(
        pd.concat([table, good]), [("8.7", "good", table["system"][0])], metric="error_rate"
    )
    assert both["difference"][0] < 0 and both["verdict"][0] == "better"
    assert " %" not in describe_comparison(both.iloc[0])
    with pytest.raises(ParameterError, match="other: found 'chance'"):
        compare(good, "chance", metric="error_rate")


def test_pooled_differences_are_scipys(rng):
    differences = rng.normal(0.05, 0.03, 9)
    result = pool(differences)
    reference = stats.ttest_1samp(differences, 0).confidence_interval(0.95)
    assert (result["low"], result["high"]) == pytest.approx(reference)
    assert result["p_value"] == pytest.approx(stats.wilcoxon(differences).pvalue)
    assert pool([0.0] * 5)["p_value"] == 1
    assert pool([0.2, 0.3, 0.4])["verdict"] == ""
    assert pool([0.2, 0.3, 0.4, 0.5])["verdict"] == "not resolved"
    with pytest.raises(ParameterError, match="differences: found"):
        pool([0.1, float("nan")])


def test_wrong_tables_are_named(rng):
    table = make_table(rng, [2, 2, 2])
    other = table.assign(system="other")
    for wrong, message in (
        (table.drop(columns="prediction"), "found no column prediction"),
        (table[:0], "found no rows"),
        (pd.concat([table, table[:1]]), "found 0000.wav twice"),
        (pd.concat([table, other]), "system: found ours, other, expected one"),
        (table.assign(prediction=table["prediction"].where(table.index != 3)), "0003.wav"),
        (pd.concat([table, table[1:].assign(seed=1)]), "seed 1: found no row of 0000.wav"),
    ):
        with pytest.raises(ParameterError, match=message):
            score(wrong)
    for wrong, message in (
        (other[1:], "other: found no row of 0000.wav .of 1 files in all"),
        (other[other["truth"] == "x"], "other: found no row of .* no clip of class y"),
        (pd.concat([other, other[:1].assign(file="new.wav")]), "ours: found no row of new.wav"),
        (other.assign(truth="x"), "other: found label x of 0002.wav, expected y as in ours"),
        (other.assign(group="g9"), "other: found group g9 of 0000.wav, expected g0"),
    ):
        with pytest.raises(ParameterError, match=message):
            compare(table, wrong)
    with pytest.raises(ParameterError, match="metric: found 'recall'"):
        score(table, metric="recall")


def test_wrong_pairs_list_what_there_is(rng):
    table = make_table(rng, [2, 2, 2])
    nested = pd.concat([table, table.assign(selection="development")])
    with pytest.raises(ParameterError, match="system: found 'our', expected one of ours"):
        compare_pairs(table, [("1", "ours", "our")])
    with pytest.raises(ParameterError, match="selection of ours: found nested, development"):
        compare_pairs(nested, [("1", "ours", "chance")])
    with pytest.raises(ParameterError, match=r"selection of ours: found 'nest'.*did you mean"):
        compare_pairs(nested, [("1", "ours", "chance", "nest")])
    chosen = compare_pairs(nested, [("1", "ours", "chance", "development")])
    assert chosen["selection"].tolist() == ["development"]


def test_folds_of_two_systems_may_differ(rng):
    """The same clips in other folds are paired by file; a clip of two folds counts twice."""
    table = make_table(rng, [2] * 8)
    other = table.assign(system="other", fold="3")
    assert compare(table, other)["difference"] == 0
    twice = pd.concat([table.assign(fold="1"), table.assign(fold="2")])
    result = score(twice)
    assert (result["score"], result["n_clips"]) == (pytest.approx(measure(table)), 32)
