"""Test the claims of the thesis's four objectives (1.3) by comparisons of headline systems.

``data/published/overview/comparisons.csv`` divides each objective into claims, and each claim into
pairs of systems; in a pair, ``*`` matches the same text on both sides.
"""

import re
from collections import Counter

import pandas as pd

from thesislib.reporting.headlines import describe_headline
from thesislib.reporting.published import load_list

VERDICTS = {"better": "holds", "worse": "does not hold", "cannot be told": "cannot be told"}


def compare_systems(rows):
    """Compare the headline systems of each claim.

    Parameters
    ----------
    rows : DataFrame
        With the columns of `read_headlines` and ``evidence``, the origin of a row. Comparisons
        are within one origin, notebook and corpus.

    Returns
    -------
    DataFrame
        ``objective``, ``claim``, ``evidence``, ``section``, ``corpus``, ``ours``, ``other``,
        their scores with intervals as text, and ``verdict``: ``better``, ``worse`` or ``cannot
        be told`` (intervals that overlap).
    """
    compared = []
    for rule in load_list("comparisons").itertuples():
        pattern = re.compile(re.escape(rule.ours).replace(r"\*", "(.*)"))
        pool = rows[(rows["notebook"] == rule.notebook) & (rows["table"] == rule.table)]
        for _, same in pool.groupby(["evidence", "corpus"], sort=False):
            systems = same.set_index("system").to_dict("index")
            for system, ours in systems.items():
                match = pattern.fullmatch(system) if ours["role"] == "method" else None
                variant = match[1] if match and match.groups() else ""
                others = [name.replace("*", variant) for name in rule.others.split("|")]
                other = next((name for name in others if match and name in systems), None)
                if other:
                    row = {key: ours[key] for key in ("evidence", "section", "corpus")}
                    row |= {"objective": rule.objective, "claim": rule.claim}
                    for side, name in (("ours", system), ("other", other)):
                        score = describe_headline(systems[name])
                        row |= {side: name, f"{side}_score": score}
                    compared.append({**row, "verdict": _compare(ours, systems[other])})
    columns = "objective claim evidence section corpus ours ours_score other other_score verdict"
    return pd.DataFrame(compared, columns=columns.split())


def _compare(ours, other):
    above, below = ours["low"] > other["high"], ours["high"] < other["low"]
    if ours["measure"] == "error rate":
        above, below = below, above
    return "better" if above else "worse" if below else "cannot be told"


def judge_objectives(compared):
    """Summarise the comparisons of each claim.

    Parameters
    ----------
    compared : DataFrame
        From `compare_systems`.

    Returns
    -------
    DataFrame
        One row per claim and evidence: ``holds`` if all comparisons are better, ``does not hold``
        if all are worse, ``holds in part`` or ``does not hold in part`` if the others are
        inconclusive, ``mixed`` if there are both; ``cannot be told`` if all are inconclusive, and
        ``not run`` without comparisons.
    """
    claims = load_list("comparisons")[["objective", "claim"]].drop_duplicates()
    rows = []
    for objective, claim in claims.itertuples(index=False):
        of_claim = compared[(compared["objective"] == objective) & (compared["claim"] == claim)]
        for evidence, part in of_claim.groupby("evidence", sort=False):
            counts = Counter(part["verdict"])
            row = {"objective": objective, "claim": claim, "evidence": evidence, **counts}
            row["sections"] = ", ".join(dict.fromkeys(part["section"]))
            row["corpora"] = ", ".join(dict.fromkeys(part["corpus"]))
            rows.append({**row, "verdict": _summarise(counts)})
        if not len(of_claim):
            rows.append({"objective": objective, "claim": claim, "verdict": "not run"})
    columns = ["objective", "claim", "evidence", "sections", "corpora", *VERDICTS, "verdict"]
    judged = pd.DataFrame(rows, columns=columns)
    counted = judged[list(VERDICTS)].astype(float).fillna(0).astype(int)
    return judged.astype(object).fillna("").assign(**counted)


def _summarise(counts):
    clear = [name for name in ("better", "worse") if counts[name]]
    if len(clear) != 1:
        return "mixed" if clear else "cannot be told"
    return VERDICTS[clear[0]] + (" in part" if counts["cannot be told"] else "")
