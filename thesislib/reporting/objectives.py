"""What holds of the thesis's four objectives (1.3), by comparisons of headline systems.

``data/published/overview/comparisons.csv`` takes each objective apart into claims, and each claim
into pairs of systems; in a pair a ``*`` stands for the same words on both sides.
"""

import re
from collections import Counter

import pandas as pd

from thesislib.reporting.headlines import describe_headline, load_list

VERDICTS = {"better": "holds", "worse": "does not hold", "cannot be told": "cannot be told"}


def compare_systems(rows):
    """Compare headline systems as the thesis's objectives ask for.

    Parameters
    ----------
    rows : DataFrame
        With the columns of `read_headlines` and ``evidence``, where a row comes from; only
        systems of one origin, notebook and corpus are compared.

    Returns
    -------
    DataFrame
        ``objective``, ``claim``, ``evidence``, ``section``, ``corpus``, ``ours``, ``other``,
        their scores with intervals as text, and ``verdict``: ``better``, ``worse`` or ``cannot
        be told`` (intervals that overlap).
    """
    found = []
    for rule in load_list("comparisons").itertuples():
        pattern = re.compile(re.escape(rule.ours).replace(r"\*", "(.*)"))
        pool = rows[(rows["notebook"] == rule.notebook) & (rows["table"] == rule.table)]
        for _, same in pool.groupby(["evidence", "corpus"], sort=False):
            by_system = same.set_index("system").to_dict("index")
            for system, ours in by_system.items():
                matched = pattern.fullmatch(system) if ours["role"] == "method" else None
                if not matched:
                    continue
                variant = matched[1] if "*" in rule.ours else ""
                others = [name.replace("*", variant) for name in rule.others.split("|")]
                other = next((name for name in others if name in by_system), None)
                if other:
                    found.append(
                        {
                            "objective": rule.objective,
                            "claim": rule.claim,
                            "evidence": ours["evidence"],
                            "section": ours["section"],
                            "corpus": ours["corpus"],
                            "ours": system,
                            "ours_score": describe_headline(ours),
                            "other": other,
                            "other_score": describe_headline(by_system[other]),
                            "verdict": _tell(ours, by_system[other]),
                        }
                    )
    columns = "objective claim evidence section corpus ours ours_score other other_score verdict"
    return pd.DataFrame(found, columns=columns.split())


def _tell(ours, other):
    above, below = ours["low"] > other["high"], ours["high"] < other["low"]
    if ours["measure"] == "error rate":
        above, below = below, above
    return "better" if above else "worse" if below else "cannot be told"


def judge_objectives(compared):
    """What holds of each objective, and on what evidence.

    Parameters
    ----------
    compared : DataFrame
        From `compare_systems`.

    Returns
    -------
    DataFrame
        A row for each claim and evidence: ``holds`` if every comparison says so, ``does not
        hold`` if every one says the contrary, ``holds in part`` or ``does not hold in part`` if
        some do and none contradicts, ``mixed`` if some do; else ``cannot be told``. Without
        comparisons: ``not run``.
    """
    claims = load_list("comparisons")[["objective", "claim"]].drop_duplicates()
    rows = []
    for objective, claim in claims.itertuples(index=False):
        of_claim = compared[(compared["objective"] == objective) & (compared["claim"] == claim)]
        for evidence, part in of_claim.groupby("evidence", sort=False):
            counts = Counter(part["verdict"])
            rows.append(
                {
                    "objective": objective,
                    "claim": claim,
                    "evidence": evidence,
                    "sections": ", ".join(dict.fromkeys(part["section"])),
                    "corpora": ", ".join(dict.fromkeys(part["corpus"])),
                    **{name: counts[name] for name in VERDICTS},
                    "verdict": _sum_up(counts),
                }
            )
        if not len(of_claim):
            rows.append({"objective": objective, "claim": claim, "verdict": "not run"})
    columns = ["objective", "claim", "evidence", "sections", "corpora", *VERDICTS, "verdict"]
    judged = pd.DataFrame(rows, columns=columns)
    counted = judged[list(VERDICTS)].astype(float).fillna(0).astype(int)
    return judged.astype(object).fillna("").assign(**counted)


def _sum_up(counts):
    said = [name for name in ("better", "worse") if counts[name]]
    if len(said) == 2:
        return "mixed"
    if not said:
        return "cannot be told"
    return VERDICTS[said[0]] + (" in part" if counts["cannot be told"] else "")
