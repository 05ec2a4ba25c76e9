"""Simulations: how often intervals cover the truth, and how often equal systems are told apart.

``python tests/evaluation/test_coverage.py`` prints the table of docs/decisions.md.
"""

import os
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from thesislib.evaluation import comparison
from thesislib.evaluation.comparison import compare, score

pytestmark = pytest.mark.slow
RECALL, N_TESTS = 0.75, 2000
CORRELATIONS = (0, 0.1, 0.3)
#: Scored part of each stand-in corpus; None: all folds.
CORPORA = {
    **dict.fromkeys([f"vocalisations/{name}" for name in ("sneezing", "coughing")], "evaluation"),
    **dict.fromkeys(
        [f"vocalisations/{name}" for name in ("laughing", "crying_baby")], "evaluation"
    ),
    "sentiment": "test",
    "snore": "test",
    "game_genre": None,
    "scenes": None,
}
#: For the bootstrap, which no stand-in has enough groups for.
MADE_UP = {"25 groups": np.full((25, 2), 3), "80 clips": np.repeat(np.eye(2, dtype=int), 40, 0)}


def read_structures(folder):
    """Clips of each group and class, by corpus."""
    structures = {}
    for name, part in CORPORA.items():
        index = pd.read_csv(folder / "corpora" / name / "index.csv")
        index = index if part is None else index[index["partition"] == part]
        structures[Path(name).name] = pd.crosstab(index["group"], index["label"]).to_numpy()
    return {**structures, **MADE_UP}


def draw_correct(counts, correlation, recall, rng):
    """Simulated numbers of correct clips, shape (n_tests, n_groups, n_classes).

    All clips of a group share one recall, drawn from a Beta distribution whose variance gives
    any two of them the correlation.
    """
    if correlation:
        strength = 1 / correlation - 1
        ends = recall * strength, (1 - recall) * strength
        recall = rng.beta(*ends, (N_TESTS, len(counts), 1))
    return rng.binomial(np.broadcast_to(counts, (N_TESTS, *counts.shape)), recall).astype(float)


def expand(counts, correct):
    """Predictions table of one simulated test."""
    cells = [(g, c) for g, c in np.argwhere(counts) for _ in range(counts[g, c])]
    groups, classes = np.array(cells).T
    right = np.concatenate(
        [np.arange(counts[g, c]) < correct[g, c] for g, c in np.argwhere(counts)]
    )
    table = pd.DataFrame({"file": np.arange(len(groups)).astype(str), "group": groups.astype(str)})
    truth = classes.astype(str)
    return table.assign(truth=truth, prediction=np.where(right, truth, "wrong"))


def cover(counts, correlation):
    """Share of simulated tests whose interval holds the true recall."""
    m = (counts > 0).sum(axis=0).min()
    interval = partial(comparison._interval, m=m, n_resamples=500, random_state=0)
    correct = draw_correct(counts, correlation, RECALL, np.random.default_rng(1))
    ends = np.array([interval(right, counts.astype(float))[:2] for right in correct])
    return np.mean((ends[:, 0] <= RECALL) & (ends[:, 1] >= RECALL))


def reject(counts, correlation, against="equal"):
    """Share of simulated pairs with equal recall, or of chance, that differ significantly."""
    rng = np.random.default_rng(2)
    if len(counts) < comparison.MIN_FLIPS:  # clips one by one, with the recall of their group
        owner = np.repeat(np.arange(len(counts)), counts.sum(axis=1))
        clips = [np.repeat(np.arange(counts.shape[1]), row) for row in counts]
        single = np.eye(counts.shape[1], dtype=int)[np.concatenate(clips)]
    else:
        owner, single = np.arange(len(counts)), counts
    recall = RECALL if against == "equal" else 1 / counts.shape[1]
    draws = []
    for _ in range(2):
        share = recall
        if correlation:
            strength = 1 / correlation - 1
            ends = recall * strength, (1 - recall) * strength
            share = rng.beta(*ends, (N_TESTS, len(counts)))[:, owner, None]
        draws.append(rng.binomial(np.broadcast_to(single, (N_TESTS, *single.shape)), share))
    other = draws[1] if against == "equal" else single * recall
    contributions = ((draws[0] - other) / counts.sum(axis=0)).mean(axis=2)
    p_values = [comparison._flip_signs(row, np.random.default_rng(0)) for row in contributions]
    return np.mean(np.array(p_values) < comparison.ALPHA)


def simulate(structures):
    """Coverage and false verdicts in percent: a row for each structure, three columns each."""
    rows = {}
    for name, counts in structures.items():
        rows[name] = {"groups": len(counts), "m": (counts > 0).sum(axis=0).min()}
        for rho in CORRELATIONS:
            rows[name][f"coverage {rho}"] = round(100 * cover(counts, rho), 1)
        for rho in CORRELATIONS:
            rows[name][f"false {rho}"] = round(100 * reject(counts, rho), 1)
        rows[name]["false, chance"] = round(100 * reject(counts, 0, "chance"), 1)
    return pd.DataFrame(rows).T


@pytest.fixture(scope="module")
def table(reference_data):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(comparison, "N_FLIPS", 999)  # the level does not depend on the number
        table = simulate(read_structures(reference_data))
    print(table.to_string())
    return table


@pytest.mark.parametrize("correlation", CORRELATIONS)
def test_intervals_cover_the_truth(table, correlation):
    coverage = table[f"coverage {correlation}"]
    least = np.where((table["m"] == 3) & (correlation == 0.3), 85, 90)
    assert (coverage >= least).all(), coverage[coverage < least]


def test_equal_systems_are_seldom_told_apart(table):
    assert (table["false 0"] <= 5).all(), table["false 0"]
    # Correct by chance with ten classes: contributions are skewed, flips assume symmetry.
    assert (table["false, chance"] <= 6.5).all(), table["false, chance"]
    many = table["groups"] >= 10
    assert (table.loc[many, "false 0.3"] <= 7).all(), table["false 0.3"]


@pytest.mark.parametrize("name", ["snore", "game_genre", "25 groups"])
def test_the_simulated_steps_are_those_of_score_and_compare(reference_data, name):
    counts = read_structures(reference_data)[name]
    rng = np.random.default_rng(0)
    right, other = draw_correct(counts, 0.1, RECALL, rng)[:2]
    m = (counts > 0).sum(axis=0).min()
    expected = comparison._interval(right, counts.astype(float), m, 2000, 0)[:2]
    result = score(expand(counts, right))
    assert (result["low"], result["high"]) == pytest.approx(np.clip(expected, 0, 1))
    contributions = ((right - other) / counts.sum(axis=0)).mean(axis=1)
    result = compare(expand(counts, right), expand(counts, other))
    if len(counts) >= comparison.MIN_FLIPS:
        p = comparison._flip_signs(contributions, np.random.default_rng(0))
        assert result["p_value"] == pytest.approx(p, abs=0.01)


if __name__ == "__main__":
    comparison.N_FLIPS = 999
    print(simulate(read_structures(Path(os.environ["THESIS_REFERENCE_DATA"]))).to_string())
