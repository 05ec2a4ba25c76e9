"""Test the claims of the thesis's four objectives (1.3) by paired comparisons.

``data/published/overview/comparisons.csv`` divides each objective into claims, and each claim into
pairs of systems, which were written down before the results. The differences of a claim are pooled
over corpora (:func:`~thesislib.evaluation.comparison.pool`).
"""

import pandas as pd

from thesislib.evaluation.comparison import MIN_CORPORA, describe_comparison, pool
from thesislib.reporting.published import load_list
from thesislib.reporting.runs import find_metric
from thesislib.reporting.scores import compare_planned, plan_pairs


def compare_runs(runs, **options):
    """Carry out the planned comparisons of some runs.

    Parameters
    ----------
    runs : list of dict
        From :func:`~thesislib.reporting.runs.find_runs` or
        :func:`~thesislib.reporting.runs.load_stored`.
    **options
        Of :func:`~thesislib.evaluation.comparison.compare_pairs`.

    Returns
    -------
    DataFrame
        One row per claim, corpus and pair: ``objective``, ``claim``, ``source``, ``notebook``,
        ``table``, ``corpus``, ``kind`` and the columns of
        :func:`~thesislib.evaluation.comparison.compare_pairs`.
    """
    rows = []
    for run in runs:
        kinds = {c["name"]: c["kind"] for c in run["record"].get("corpora", {}).values()}
        if not len(run["predictions"]):
            continue
        for table, part in run["predictions"].groupby("table", sort=False):
            metric, notebook = find_metric(table), run["notebook"]
            compared = compare_planned(part, notebook, table, metric=metric, **options)
            if not len(compared):
                continue
            claims = plan_pairs(notebook, table, part["system"].unique().tolist())
            joined = claims.merge(compared, on=["system_a", "system_b"])
            about = {"source": run["source"], "notebook": notebook, "table": table}
            rows.append(joined.assign(**about, kind=joined["corpus"].map(kinds)))
    return pd.concat(rows, ignore_index=True) if rows else pd.DataFrame(columns=COLUMNS)


COLUMNS = (
    "objective claim system_a system_b corpus difference low high verdict source notebook table "
    "kind"
).split()


def judge_objectives(compared):
    """Pool the differences of each claim over corpora.

    Several pairs of a claim on one corpus (networks, views) count as one, their mean.

    Parameters
    ----------
    compared : DataFrame
        From :func:`compare_runs`.

    Returns
    -------
    DataFrame
        One row per claim and kind of corpus: ``objective``, ``claim``, ``kind``, ``n_corpora``,
        ``n_groups``, ``difference``, ``low``, ``high`` (in points; of error rates in
        hundredths), ``p_value`` (Wilcoxon), ``verdict`` and ``single`` (the single
        results). A claim without a comparison has the verdict ``not run``.
    """
    claims = load_list("comparisons")[["objective", "claim"]].drop_duplicates()
    rows = []
    for objective, claim in claims.itertuples(index=False):
        of_claim = compared[(compared["objective"] == objective) & (compared["claim"] == claim)]
        if not len(of_claim):
            rows.append({"objective": objective, "claim": claim, "verdict": "not run"})
        for kind, part in of_claim.groupby("kind", sort=False):
            row = {"objective": objective, "claim": claim, "kind": kind}
            rows.append({**row, **_judge(part)})
    columns = "objective claim kind n_corpora n_groups difference low high p_value verdict single"
    return pd.DataFrame(rows, columns=columns.split())


def _judge(part):
    """Pooled difference of one claim, positive where the claim holds."""
    # A lower error rate is better.
    sign = part["table"].map(find_metric).map(lambda metric: -1 if metric == "error_rate" else 1)
    part = part.assign(gain=100 * sign * part["difference"])
    by_corpus = part.groupby(["notebook", "corpus"], sort=False)
    gains = by_corpus["gain"].mean()
    n_groups = int(by_corpus["n_groups"].max().sum())
    single = "; ".join(describe_comparison(row) for row in part.to_dict("records"))
    row = {"n_corpora": len(gains), "n_groups": n_groups, "single": single}
    row["difference"] = round(gains.mean(), 1)
    if len(gains) < MIN_CORPORA:
        counts = part["verdict"].value_counts()
        listed = ", ".join(f"{n} {verdict}" for verdict, n in counts.items())
        return {**row, "verdict": f"single results: {listed}"}
    pooled = pool((gains / 100).to_numpy())
    low, high = round(100 * pooled["low"], 1), round(100 * pooled["high"], 1)
    row |= {"low": low, "high": high, "p_value": pooled["p_value"]}
    return {**row, "verdict": describe_pooled(low, high)}


def describe_pooled(low, high, margin=3.0):
    """Verdict of a pooled difference in points, from its interval.

    ``worth at most`` is said where the upper end is no more than twice the margin of equivalence.

    Examples
    --------
    >>> describe_pooled(2.0, 8.0), describe_pooled(-2.9, 4.9), describe_pooled(-9.0, 12.0)
    ('holds', 'worth at most 4.9 points', 'not resolved')
    """
    if low > 0:
        return "holds"
    if high < 0:
        return "fails"
    if high <= 2 * margin:
        return f"worth at most {high:.1f} points"
    return "not resolved"
