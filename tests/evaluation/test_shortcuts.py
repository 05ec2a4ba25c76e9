"""Shortcuts: a planted one is found and named, none is claimed where labels are drawn."""

import numpy as np
import pandas as pd
import pytest
import soundfile
from scipy.stats import binom
from sklearn.ensemble import RandomForestClassifier
from sklearn.naive_bayes import GaussianNB

from thesislib.cli import main
from thesislib.corpora import load_any
from thesislib.errors import CorpusError, ParameterError
from thesislib.evaluation import shortcuts
from thesislib.evaluation.shortcuts import (
    find_shortcuts,
    measure_domain_shortcuts,
    measure_shortcuts,
)

NAMES = [f"property_{i}" for i in range(12)]
N_CORPORA = 200


def simulate(rng, *, n_groups=24, n_classes=2, spread=1.0, planted=0.0):
    """Properties of clips: each group has its own, and only ``planted`` depends on the label."""
    group = np.repeat(np.arange(n_groups), rng.integers(1, 6, n_groups))
    label = np.arange(n_groups) % n_classes
    own = spread * rng.standard_normal((n_groups, 12))
    own[:, 3] += planted * label
    X = own[group] + rng.standard_normal((len(group), 12))
    return X, label[group].astype(str), group


def test_labels_that_were_drawn_are_rarely_claimed():
    claims = 0
    for seed in range(N_CORPORA):
        rng = np.random.default_rng(seed)
        X, labels, groups = simulate(rng, spread=seed % 3, n_classes=2 + seed % 2 * 2)
        result = measure_shortcuts(X, labels, groups, NAMES, classifier=GaussianNB())
        claims += result["is_shortcut"]
    # 5 % at most; the margin is that of 200 draws.
    assert claims <= binom.ppf(0.99, N_CORPORA, 0.05)


def test_a_planted_shortcut_is_found_and_named(rng):
    X, labels, groups = simulate(rng, planted=4.0)
    result = measure_shortcuts(X, labels, groups, NAMES, classifier=GaussianNB())
    assert result["is_shortcut"] and result["low"] > 0.5
    assert next(iter(result["alone"])) == "property_3"
    assert result["alone"]["property_3"] > 0.8


def test_groups_stay_together():
    """A group that is recognised says nothing about the labels of other groups."""
    X, labels, groups = simulate(np.random.default_rng(0), n_groups=40, spread=30.0)
    forest = RandomForestClassifier(20, random_state=0)
    assert measure_shortcuts(X, labels, groups, NAMES, classifier=forest)["score"] < 0.75
    alone = measure_shortcuts(X, labels, np.arange(len(X)), NAMES, classifier=forest)
    assert alone["score"] > 0.9


def test_what_cannot_be_measured_is_named(rng):
    X, labels, groups = simulate(rng)
    with pytest.raises(CorpusError, match="class '0' has 1 groups"):
        measure_shortcuts(X, labels, np.zeros(len(X)), NAMES)
    with pytest.raises(ParameterError, match="X: found shape"):
        measure_shortcuts(X[:, :3], labels, groups, NAMES)


def write_levels(folder, rng, n=24):
    """Corpus of two classes that differ in level."""
    rows = []
    for i in range(n):
        level, label = (0.02, "quiet") if i % 2 else (0.2, "loud")
        soundfile.write(folder / f"{i}.wav", level * rng.standard_normal(1000), 8000)
        rows.append({"file": f"{i}.wav", "label": label, "group": f"g{i // 4}{label}"})
    rows += [{"file": "0.wav", "label": None, "group": None, "start_s": 0.01}]
    pd.DataFrame(rows).to_csv(folder / "index.csv", index=False)


def test_the_command_names_the_property(tmp_path, rng, capsys):
    write_levels(tmp_path, rng)
    assert main(["corpus", "check", str(tmp_path), "--shortcuts"]) == 0
    line = next(x for x in capsys.readouterr().out.splitlines() if x.startswith("shortcuts: "))
    assert "properties of the files tell the label: UAR 100.0 %" in line
    assert any(f"{name} alone: " in line for name in ("level_db", "peak", "noise_floor_db"))


def test_of_many_clips_a_slice_is_measured_and_said_so(tmp_path, rng, monkeypatch):
    write_levels(tmp_path, rng)
    monkeypatch.setattr(shortcuts, "MAX_CLIPS", 15)
    line = find_shortcuts(load_any(tmp_path))
    assert "tell the label: UAR 100.0 %" in line and line.endswith("a slice: 13 of 25 clips")


def test_what_cannot_be_tested_is_a_line_and_no_error(tmp_path, rng):
    write_levels(tmp_path, rng, n=2)
    line = find_shortcuts(load_any(tmp_path))
    assert line.startswith("properties of the files were not tested (properties: class 'loud' has")


def simulate_domains(rng, n_domains, *, planted=0.0, **options):
    """Domains with properties of their own; ``planted`` is in the first one only."""
    parts = [simulate(rng, planted=planted * (k == 0), **options) for k in range(n_domains)]
    X = np.concatenate([part[0] + 3 * rng.standard_normal(12) for part in parts])
    labels = np.concatenate([part[1] for part in parts])
    groups = np.concatenate([[f"{k}-{g}" for g in part[2]] for k, part in enumerate(parts)])
    return X, labels, groups, np.repeat(list("abcdef")[:n_domains], [len(p[0]) for p in parts])


def test_a_shortcut_of_one_domain_is_found_there_and_named(rng):
    arrays = simulate_domains(rng, 3, planted=6.0)
    results = measure_domain_shortcuts(*arrays, NAMES, classifier=GaussianNB(), whole=True)
    assert next(iter(results)) == "" and set(results) == {"", *"abc"}
    results.pop("")
    assert [name for name, each in results.items() if each["is_shortcut"]] == ["a"]
    assert next(iter(results["a"]["alone"])) == "property_3"


@pytest.mark.slow
def test_in_no_domain_anything_is_claimed_where_labels_were_drawn():
    claims = 0
    for seed in range(N_CORPORA):
        rng = np.random.default_rng(seed)
        arrays = simulate_domains(rng, 3, n_groups=12, spread=seed % 3, n_classes=2 + seed % 2)
        options = {"n_folds": 3, "classifier": GaussianNB(), "whole": True}
        results = measure_domain_shortcuts(*arrays, NAMES, **options)
        claims += any(each["is_shortcut"] for each in results.values())
    assert claims <= binom.ppf(0.99, N_CORPORA, 0.05)


def test_domains_with_too_few_groups_are_not_tested(rng):
    X, labels, groups, domains = simulate_domains(rng, 2, n_groups=8)
    few = (domains == "a") & (groups > "0-3")
    domains = np.where(few, None, domains)
    results = measure_domain_shortcuts(X, labels, groups, domains, NAMES, classifier=GaussianNB())
    assert list(results) == ["b"]
