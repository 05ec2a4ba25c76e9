"""Scores with intervals, and paired comparisons of systems, from stored predictions.

Conventions
-----------
A predictions table has one row per scored clip, system, selection and seed, with the columns
``file``, ``truth`` and ``prediction``, and, where there are such, ``system``, ``selection``,
``seed``, ``fold`` and ``group``. Rows of rare events (8.2) have ``event``, ``insertions``,
``deletions`` and ``n_events`` in place of truth and prediction. Scores are fractions.

Method
------
Clips of one group (speaker, game, source) are not independent. The unit is therefore the group;
where no group holds two clips, it is the clip. Every metric is reduced to two arrays of shape
(n_units, n_columns), and

    score = mean over columns of (sum of numerators / sum of denominators).

* ``uar``: a column for each class; numerator: correct clips, denominator: clips.
* ``accuracy``: one column.
* ``error_rate``: a column for each event; insertions + deletions, and events. Lower is better.

The difference of two systems on the same clips has the same form: the numerators are subtracted.
A clip's correctness is the mean over the seeds of the training.

Sources
-------
Bisani and Ney (ICASSP 2004): bootstrap of a difference. Cameron, Gelbach and Miller (Review of
Economics and Statistics 90, 2008) and MacKinnon, Nielsen and Webb (Journal of Econometrics 232,
2023): few groups, jackknife. Schenker and Gentleman (American Statistician 55, 2001): overlap of
intervals is no test. Holm (Scandinavian Journal of Statistics 6, 1979). Schuirmann (Journal of
Pharmacokinetics and Biopharmaceutics 15, 1987): equivalence.
"""

from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
import pandas as pd
from scipy import stats

from thesislib.errors import ParameterError, option

#: Columns with the class and with what is counted, by metric.
COLUMNS = dict.fromkeys(["uar", "accuracy"], ("truth", "prediction"))
COLUMNS["error_rate"] = ("event", "insertions", "deletions", "n_events")
#: Values of the columns that a table may lack.
_DEFAULTS = {"corpus": "", "system": "", "selection": "", "seed": 0, "fold": "", "group": ""}
#: From so many groups in each class on, groups are drawn; with fewer there is the jackknife.
MIN_BOOTSTRAP = 20
#: No sign flip of fewer units reaches p < 0.05.
MIN_FLIPS = 6
#: All flips are computed for up to so many units, else a sample.
MAX_EXACT = 16
#: Sign flips that are drawn if there are too many to compute all.
N_FLIPS = 10_000
#: Fewer corpora have no pooled verdict.
MIN_CORPORA = 4
#: Level of tests and of 1 - coverage, and power of the smallest resolvable difference.
ALPHA, POWER = 0.05, 0.8
#: Differences below this are rounding.
_ROUNDING = 1e-9


def score(predictions, *, metric="uar", n_resamples=2000, random_state=0):
    """Score of one system, with a 95 % confidence interval over groups.

    With m the smallest number of groups that any class has:

    * m >= 20: percentile bootstrap over groups; a draw without any clip of a class is replaced.
    * 2 <= m < 20: jackknife, ``score ± t(m - 1) · se`` with
      ``se² = (G - 1) / G · Σ (score without group g - score)²`` over all G groups.
    * m = 1: no interval, since the spread between groups cannot be estimated.

    If no two groups differ, the interval extends by ``1 - 0.025 ** (1 / m)``, the exact binomial
    limit of Clopper and Pearson (Biometrika 26, 1934) for m equal outcomes.

    Parameters
    ----------
    predictions : pandas.DataFrame
        Rows of one system and selection, with one or several seeds.
    metric : {"uar", "accuracy", "error_rate"}
    n_resamples : int > 0
        Draws of the bootstrap.
    random_state : int
        Of the bootstrap.

    Returns
    -------
    dict
        ``score``, ``low``, ``high`` (fractions; NaN without interval), ``unit`` (``group`` or
        ``clip``), ``n_clips``, ``n_groups``, ``n_seeds``, ``std_over_seeds`` (``ddof=1``; NaN
        for a single seed) and ``note``, which is empty or says what is special about the interval.

    Raises
    ------
    ParameterError
        For absent columns or values, several systems, clips that occur twice, or seeds with
        different clips; the message names the first of them.

    Examples
    --------
    Four speakers with two clips each; the speakers have 2, 2, 1 and 1 clips right.

    >>> table = pd.DataFrame({"file": list("abcdefgh"), "group": list("AABBCCDD")})
    >>> table = table.assign(truth=["x", "y"] * 4, prediction=list("xyxyxxyy"))
    >>> result = score(table)
    >>> [round(result[name], 3) for name in ("score", "low", "high")]
    [0.75, 0.291, 1.0]
    >>> result["unit"], result["n_clips"], result["n_groups"]
    ('group', 8, 4)
    """
    clips = _arrange(predictions, metric)
    values = clips.values.mean(axis=0)
    interval, _ = _estimate(clips, values, False, n_resamples, random_state)
    return {
        "score": _score(*_reduce(clips, values)),
        **interval,
        "n_seeds": len(clips.seeds),
        "std_over_seeds": _deviate(clips, clips.values),
    }


def compare(
    ours, other, *, metric="uar", margin=0.03, alpha=ALPHA, n_resamples=2000, random_state=0
):
    """Compare two systems on the same clips.

    The interval of the difference is that of :func:`score`. The p-value is that of a two-sided
    sign-flip test over groups: under the null hypothesis, a group's contribution to the
    difference has either sign with probability 0.5, independently of other groups. All flips
    are computed if at most 16 contributions differ from zero, else 10 000 are drawn and
    ``p = (1 + number as extreme) / 10 001``. With fewer than six groups no flip reaches
    p < 0.05; the test then runs over clips, and applies to these recordings only.

    Parameters
    ----------
    ours : pandas.DataFrame
        Rows of one system and selection.
    other : pandas.DataFrame or "chance"
        Rows of the same clips. ``"chance"`` has every clip right with probability
        1 / n_classes.
    metric, n_resamples, random_state
        See :func:`score`.
    margin : float
        Systems are equivalent if the interval lies within ±margin (Schuirmann 1987; a 95 %
        interval makes it a pair of one-sided tests of level 2.5 %).
    alpha : float
        Level of the test for ``smallest_difference``.

    Returns
    -------
    dict
        ``score_a``, ``score_b``, ``difference`` (ours minus other), ``low``, ``high``,
        ``p_value``, ``verdict`` (``better``, ``worse``, ``equivalent`` or ``not resolved``),
        ``unit``, ``test_unit``, ``scope`` (empty or ``on these recordings only``), ``n_clips``,
        ``n_groups``, ``n_seeds`` (of the system with more), ``std_over_seeds`` (of the
        difference, paired by seed; NaN if the seeds differ), ``smallest_difference``
        (that the test resolves with a power of 80 %, approximately:
        ``(t(1 - alpha / 2) + t(0.8)) · se``; infinite if no p-value below alpha is possible),
        ``note`` and ``metric``.

    Raises
    ------
    ParameterError
        As for :func:`score`, or if the two have different clips, truths or groups.

    Examples
    --------
    Eight clips; ours is right on all of them, the other one on two.

    >>> ours = pd.DataFrame({"file": list("abcdefgh"), "truth": ["x", "y"] * 4})
    >>> ours["prediction"] = ours["truth"]
    >>> other = ours.assign(prediction=list("xxyxyxyy"))
    >>> result = compare(ours, other)
    >>> result["difference"], result["p_value"], result["verdict"]
    (0.75, 0.03125, 'better')
    """
    a = _arrange(ours, metric)
    if isinstance(other, str):
        option(["chance"] if metric != "error_rate" else []).check("other", other)
        b = replace(a, values=np.full((1, len(a.table)), 1 / a.table["label"].nunique()))
    else:
        b = _arrange(other, metric)
        _check_same(a.table, b.table, a.name or "ours", b.name or "other")
    paired = a.seeds == b.seeds or 1 in (len(a.values), len(b.values))
    values = a.values - b.values if paired else (a.values.mean(0) - b.values.mean(0))[None]
    mean = values.mean(axis=0)
    interval, error = _estimate(a, mean, True, n_resamples, random_state)
    few = interval["unit"] == "group" and interval["n_groups"] < MIN_FLIPS
    if few:  # the test, and so its power, is that over clips
        _, error = _estimate(a, mean, True, 0, random_state, unit="file")
    numerator, denominator = _reduce(a, mean, "file" if few else "group")
    contributions = (numerator / denominator.sum(axis=0)).mean(axis=1)
    result = {
        "score_a": _score(*_reduce(a, a.values.mean(axis=0))),
        "score_b": _score(*_reduce(a, b.values.mean(axis=0))),
        "difference": _score(*_reduce(a, mean)),
        **interval,
        "p_value": _flip_signs(contributions, np.random.default_rng(random_state)),
        "test_unit": "clip" if few else interval["unit"],
        "scope": "on these recordings only" if few else "",
        "n_seeds": max(len(a.values), len(b.values)),
        "std_over_seeds": _deviate(a, values),
        "smallest_difference": _resolve(error, len(contributions), alpha),
        "metric": metric,
    }
    return {**result, "verdict": _judge(result, result["p_value"], margin)}


def compare_pairs(predictions, pairs, *, margin=0.03, **options):
    """Compare pairs of systems, with Holm's correction within each planned family.

    Parameters
    ----------
    predictions : pandas.DataFrame
        Rows of all systems, of one corpus.
    pairs : list of (family, system_a, system_b) or (…, selection)
        A pair of the family ``""`` is exploratory and not corrected. ``system_b`` may be
        ``"chance"``. A pair without selection compares the only selection that a system has;
        with one, a system without this selection is compared if it has none (``""``).
    margin : float
    **options
        Of :func:`compare`.

    Returns
    -------
    pandas.DataFrame
        One row per pair: the columns of ``pairs``, with the ``selection`` of system a,
        the values of :func:`compare`, ``p_holm`` and ``exploratory``. The verdict depends on
        ``p_holm``, and ``smallest_difference`` on the level 0.05 divided by the number of
        pairs in the family, at which Holm's procedure begins.

    Examples
    --------
    >>> table = pd.DataFrame({"file": list("abcdefgh") * 2, "truth": ["x", "y"] * 8})
    >>> table["system"], table["prediction"] = ["good"] * 8 + ["bad"] * 8, list("xyxyxyxyxxyxyxyy")
    >>> pairs = [("1", "good", "bad"), ("1", "good", "chance")]
    >>> compare_pairs(table, pairs)[["p_value", "p_holm", "verdict"]].values.tolist()
    [[0.03125, 0.03125, 'better'], [0.0078125, 0.015625, 'better']]
    """
    names = ["family", "system_a", "system_b", "selection"]
    pairs = pd.DataFrame([(*pair, None)[:4] for pair in pairs], columns=names)
    sizes = pairs["family"].value_counts()
    rows = []
    for pair in pairs.to_dict("records"):
        a, b = _select(predictions, pair["system_a"], pair.get("selection")), pair["system_b"]
        if b != "chance":
            b = _select(predictions, b, pair.get("selection"))
        alpha = ALPHA / (sizes[pair["family"]] if pair["family"] else 1)
        result = compare(a, b, margin=margin, alpha=alpha, **options)
        pair["selection"] = a["selection"].iloc[0] if "selection" in a else ""
        exploratory = pair["family"] == ""
        rows.append({**pair, **result, "p_holm": result["p_value"], "exploratory": exploratory})
    table = pd.DataFrame(rows)
    if len(table):
        for _, part in table[table["family"] != ""].groupby("family")["p_value"]:
            table.loc[part.index, "p_holm"] = adjust_holm(part)
        table["verdict"] = [_judge(row, row["p_holm"], margin) for row in table.to_dict("records")]
    return table


def adjust_holm(p_values):
    """Holm's adjusted p-values: in ascending order ``max over j <= i of (k - j + 1) · p_j``.

    They keep the probability of one or more false rejections among all k hypotheses at or below
    the level, without assumptions on dependence (Holm 1979).

    Parameters
    ----------
    p_values : array-like, shape (k,)

    Returns
    -------
    ndarray, shape (k,)

    Examples
    --------
    >>> adjust_holm([0.01, 0.04, 0.03]).tolist()
    [0.03, 0.06, 0.06]
    """
    p_values = np.asarray(p_values, float)
    order = np.argsort(p_values)
    factors = np.arange(len(p_values), 0, -1)
    adjusted = np.empty_like(p_values)
    adjusted[order] = np.minimum(1, np.maximum.accumulate(factors * p_values[order]))
    return adjusted


def describe_comparison(row):
    """Describe a row of :func:`compare_pairs` in one sentence.

    Parameters
    ----------
    row : dict or pandas.Series

    Returns
    -------
    str

    Examples
    --------
    >>> row = dict(system_a="Deep Spectrum", system_b="BoAW", score_a=0.8, score_b=0.6)
    >>> row |= dict(difference=0.2, low=0.06, high=0.34, p_value=0.02, p_holm=0.06, n_groups=3)
    >>> row |= dict(unit="group", scope="on these recordings only", verdict="not resolved")
    >>> row |= dict(smallest_difference=0.25, note="", exploratory=False, metric="uar")
    >>> print(describe_comparison(row))
    Deep Spectrum 80.0 % against BoAW 60.0 %: +20.0 [6, 34], p = 0.02 (Holm 0.06), 3 groups,
    on these recordings only: not resolved (smallest resolvable difference: 25.0).
    """
    counts = row["metric"] == "error_rate"
    factor, sign, digits = (1, "", 3) if counts else (100, " %", 1)
    a, b = (f"{factor * row[name]:.{digits}f}{sign}" for name in ("score_a", "score_b"))
    ends = [f"{round(factor * row[end], digits):g}" for end in ("low", "high")]
    interval = f"[{ends[0]}, {ends[1]}]" if row["low"] == row["low"] else "without interval"
    interval += f" ({row['note']})" if row["note"] else ""
    holm = "exploratory" if row["exploratory"] else f"Holm {row['p_holm']:.2g}"
    text = f"{row['system_a']} {a} against {row['system_b']} {b}: "
    text += f"{factor * row['difference']:+.{digits}f} {interval}, p = {row['p_value']:.2g} "
    text += ", ".join(
        [f"({holm})", f"{row['n_groups']} {row['unit']}s", *filter(None, [row["scope"]])]
    )
    smallest = factor * row["smallest_difference"]
    shown = f"{smallest:.{digits}f}" if np.isfinite(smallest) else "none"
    limit = f" (smallest resolvable difference: {shown})"
    return f"{text}: {row['verdict']}{limit if row['verdict'] == 'not resolved' else ''}."


def pool(differences, *, margin=0.03):
    """Pool the differences of two systems over corpora, with each corpus as one observation.

    Mean with the 95 % t interval over corpora, and the p-value of Wilcoxon's signed-rank test
    (Biometrics Bulletin 1, 1945). With four or five corpora the test cannot reach p < 0.05.

    Parameters
    ----------
    differences : array-like
        One per corpus; positive where the first system is better.
    margin : float
        See :func:`compare`.

    Returns
    -------
    dict
        ``difference``, ``low``, ``high``, ``p_value``, ``n_corpora`` and ``verdict``. With fewer
        than four corpora only ``n_corpora`` has a value; the single results are to be listed.

    Examples
    --------
    >>> result = pool([0.02, 0.05, 0.04, 0.07, 0.03, 0.06])
    >>> [round(result[name], 3) for name in ("difference", "low", "high", "p_value")]
    [0.045, 0.025, 0.065, 0.031]
    >>> result["verdict"]
    'better'
    >>> pool([0.2, 0.1])["verdict"]
    ''
    """
    values = np.asarray(differences, float)
    if values.ndim != 1 or not np.isfinite(values).all():
        raise ParameterError(f"differences: found {differences}, expected one number per corpus")
    result = dict.fromkeys(["difference", "low", "high", "p_value"], float("nan"))
    if len(values) < MIN_CORPORA:
        return {**result, "n_corpora": len(values), "verdict": ""}
    half = stats.t.ppf(1 - ALPHA / 2, len(values) - 1) * stats.sem(values)
    p = stats.wilcoxon(values).pvalue if np.abs(values).max() > _ROUNDING else 1.0
    mean = values.mean()
    result = dict(zip(result, map(float, (mean, mean - half, mean + half, p))))
    return {**result, "n_corpora": len(values), "verdict": _judge(result, p, margin)}


@dataclass(frozen=True)
class _Clips:
    """Clips of one system: ``values`` has shape (n_seeds, n_clips)."""

    table: pd.DataFrame
    values: np.ndarray
    seeds: tuple
    name: str
    metric: str


def _arrange(predictions, metric):
    """Check the rows of a system and sort them by file; one row per clip, seeds apart."""
    option(COLUMNS).check("metric", metric)
    label, *counted = COLUMNS[metric]
    absent = [name for name in ("file", label, *counted) if name not in predictions]
    if absent or not len(predictions):
        lack = f"no column {absent[0]}" if absent else "no rows"
        raise ParameterError(f"predictions: found {lack}, expected one row per clip")
    defaults = {name: value for name, value in _DEFAULTS.items() if name not in predictions}
    table = predictions.assign(**defaults)
    for column in ("corpus", "system", "selection"):
        if len(table[column].unique()) > 1:
            names = ", ".join(map(str, table[column].unique()))
            raise ParameterError(f"{column}: found {names}, expected one")
    name = str(table["system"].iloc[0])
    where = f"predictions of {name}" if name else "predictions"
    for column in ("file", label, *counted):
        blank = table.loc[table[column].isna(), "file"]
        if len(blank):
            raise ParameterError(f"{where}: found no {column} of {blank.iloc[0]}, expected one")
    twice = table.loc[table.duplicated(["seed", "file", "fold"]), "file"]
    if len(twice):
        expected = "expected each clip once per seed and fold"
        raise ParameterError(f"{where}: found {twice.iloc[0]} twice, {expected}")
    if not table.duplicated(["seed", "file"]).any():
        table["fold"] = ""  # systems may divide the same clips in other folds
    if metric == "error_rate":
        value, weight = table["insertions"] + table["deletions"], table["n_events"]
    else:
        value, weight = table[label].astype(str) == table[counted[0]].astype(str), 1.0
    table = table.assign(label=table[label].astype(str), value=value, weight=weight)
    blank = table["group"].isna() | (table["group"] == "")
    table["group"] = table["group"].astype(str).mask(blank, table["file"])
    table = table[["seed", "file", "fold", "group", "label", "weight", "value"]]
    empty = table.groupby("label")["weight"].sum() == 0
    if empty.any():
        raise ParameterError(f"{where}: found no event of {empty.idxmax()}, expected at least one")
    seeds, parts = zip(*table.sort_values(["file", "fold"]).groupby("seed"))
    for seed, part in zip(seeds[1:], parts[1:]):
        _check_same(parts[0], part, f"{where}, seed {seeds[0]}", f"{where}, seed {seed}")
    values = np.array([part["value"].to_numpy(float) for part in parts])
    return _Clips(parts[0], values, seeds, name, metric)


def _check_same(first, second, first_name, second_name):
    """Check that two systems or seeds have the same clips, classes and groups."""
    columns = ["file", "fold", "label", "group", "weight"]
    if np.array_equal(first[columns].to_numpy(object), second[columns].to_numpy(object)):
        return
    one, two = (part.set_index(["file", "fold"]) for part in (first, second))
    if not one.index.equals(two.index):
        for more, less, name in ((one, two, second_name), (two, one, first_name)):
            lost = more.index.difference(less.index)
            if len(lost):
                label = more.loc[lost[0], "label"]
                whole = "" if (less["label"] == label).any() else f", no clip of class {label}"
                raise ParameterError(
                    f"{name}: found no row of {lost[0][0]} (of {len(lost)} files in all{whole}), "
                    f"expected the same {len(more)} clips in both"
                )
    for column in columns[2:]:
        differs = one[column] != two[column]
        if differs.any():
            at = differs.idxmax()
            raise ParameterError(
                f"{second_name}: found {column} {two.loc[at, column]} of {at[0]}, "
                f"expected {one.loc[at, column]} as in {first_name}"
            )


def _select(predictions, system, selection):
    """Rows of a system in one selection."""
    rows = predictions[predictions["system"] == system]
    if not len(rows):
        option(predictions["system"].unique()).check("system", system)
    if "selection" not in rows:
        return rows
    names = rows["selection"].unique().tolist()
    if isinstance(selection, str) and selection:
        names = [name for name in (selection, "") if name in names][:1] or names
        if names[0] not in (selection, ""):
            option(names).check(f"selection of {system}", selection)
    if len(names) > 1:
        raise ParameterError(f"selection of {system}: found {', '.join(names)}, expected one")
    return rows[rows["selection"] == names[0]]


def _reduce(clips, values, unit="group"):
    """Sums of values and weights by unit and column, each of shape (n_units, n_columns)."""
    units, names = pd.factorize(clips.table[unit])
    columns, classes = pd.factorize(clips.table["label"])
    if clips.metric == "accuracy":
        columns, classes = 0 * columns, classes[:1]
    shape = len(names), len(classes)
    cells = units * shape[1] + columns
    weights = (values, clips.table["weight"].to_numpy(float))
    return [np.bincount(cells, each, shape[0] * shape[1]).reshape(shape) for each in weights]


def _score(numerator, denominator):
    return float((numerator.sum(axis=0) / denominator.sum(axis=0)).mean())


def _deviate(clips, values):
    """Standard deviation of the score over seeds."""
    scores = [_score(*_reduce(clips, row)) for row in values]
    return float(np.std(scores, ddof=1)) if len(scores) > 1 else float("nan")


def _estimate(clips, values, signed, n_resamples, random_state, unit="group"):
    """Interval and units (:func:`score`), and the standard error."""
    files = clips.table.groupby("group")["file"].nunique()
    name = "group" if files.max() > 1 else "clip"
    held = clips.table[clips.table["weight"] > 0].groupby("label")[unit].nunique()
    low, high, error, note = np.nan, np.nan, np.nan, f"class {held.idxmin()}: one {name}"
    if held.min() > 1:
        sums = _reduce(clips, values, unit)
        low, high, error, note = _interval(*sums, held.min(), n_resamples, random_state)
    most = np.inf if clips.metric == "error_rate" else 1.0
    low, high = np.clip([low, high], -most if signed else 0.0, most).tolist()
    about = {"unit": name, "n_clips": clips.table["file"].nunique(), "n_groups": len(files)}
    return {"low": low, "high": high, **about, "note": note}, error


def _interval(numerator, denominator, m, n_resamples, random_state):
    """Ends of the interval, standard error and note; ``m`` units hold the rarest class."""
    estimate, n, note = _score(numerator, denominator), len(numerator), ""
    without = (numerator.sum(axis=0) - numerator) / (denominator.sum(axis=0) - denominator)
    error = np.sqrt((n - 1) / n * ((without.mean(axis=1) - estimate) ** 2).sum())
    quantile = stats.t.ppf(1 - ALPHA / 2, m - 1)
    if error < _ROUNDING:
        error = (1 - (ALPHA / 2) ** (1 / m)) / quantile
        note = "no spread between units: exact limit"
    elif m >= MIN_BOOTSTRAP and n_resamples:
        generator = np.random.default_rng(random_state)
        draws, replaced = _bootstrap(numerator, denominator, n_resamples, generator)
        note = f"{replaced:.1%} of draws replaced" if replaced else ""
        return *np.quantile(draws, [ALPHA / 2, 1 - ALPHA / 2]), error, note
    return estimate - quantile * error, estimate + quantile * error, error, note


def _bootstrap(numerator, denominator, n_resamples, generator):
    """Scores of resampled units, and the share of draws that lacked a class.

    Equal units are counted together: how often each kind is drawn is multinomial.
    """
    both, times = np.unique(np.hstack([numerator, denominator]), axis=0, return_counts=True)
    numerator, denominator = np.hsplit(both, 2)
    scores, n_drawn = np.empty(0), 0
    while len(scores) < n_resamples:
        drawn = generator.multinomial(times.sum(), times / times.sum(), n_resamples)
        totals = drawn @ denominator
        whole = (totals > 0).all(axis=1)
        scores = np.append(scores, (drawn[whole] @ numerator / totals[whole]).mean(axis=1))
        n_drawn += n_resamples
    return scores[:n_resamples], 1 - len(scores) / n_drawn


def _flip_signs(contributions, generator):
    """Two-sided p-value of the sum of contributions, each with a random sign."""
    sizes = np.abs(contributions)
    sizes = sizes[sizes > _ROUNDING]
    observed = abs(contributions.sum()) - _ROUNDING
    if len(sizes) <= MAX_EXACT:
        return float(np.mean(np.abs(_list_signs(len(sizes)) @ sizes) >= observed))
    # Of k contributions of one size, a binomial number has a positive sign.
    _, first, times = np.unique(sizes.round(12), return_index=True, return_counts=True)
    sums = (2 * generator.binomial(times, 0.5, (N_FLIPS, len(times))) - times) @ sizes[first]
    return float((1 + np.count_nonzero(np.abs(sums) >= observed)) / (1 + N_FLIPS))


@lru_cache
def _list_signs(n):
    return 1.0 - 2 * ((np.arange(2**n)[:, None] >> np.arange(n)) & 1)


def _resolve(error, n_units, alpha):
    """Smallest difference that the sign-flip test resolves with 80 % power, approximately."""
    if max(2.0 ** (1 - n_units), 1 / N_FLIPS) >= alpha:
        return float("inf")
    levels = [1 - alpha / 2, POWER]
    return float(stats.t.ppf(levels, n_units - 1).sum() * error)


def _judge(row, p, margin):
    """Verdict on a difference; of error rates the lower is the better."""
    if p < ALPHA:
        lower_wins = row.get("metric") == "error_rate"
        return "better" if (row["difference"] > 0) != lower_wins else "worse"
    return "equivalent" if -margin < row["low"] and row["high"] < margin else "not resolved"
