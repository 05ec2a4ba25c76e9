"""The outlook's notebooks: what they find in corpora whose properties are known."""

import json

import pandas as pd
import pytest

from thesislib.cli import main
from thesislib.corpora.synthetic import make_corpus

#: Small values; a run takes some seconds.
SMALL = "functional_sets=[IS09]; codebook_sizes=[5]; n_resamples=50; clip_s=0.6; n_per_class=30"


def run_notebook(name, folder, monkeypatch, *options):
    monkeypatch.setenv("THESIS_STORE", str(folder / "store"))
    values = [f"results={folder / 'results'}", *options]
    arguments = [part for value in values for part in ("-p", value)]
    assert main(["run", name, "--quiet", *arguments]) == 0
    record = json.loads((folder / "results" / "run.json").read_text(encoding="utf-8"))
    number = name[:4].replace("_0", "_")
    table = pd.read_csv(folder / "results" / "tables" / f"table_{number}.csv")
    predictions = folder / "results" / "predictions" / f"table_{number}.parquet"
    return record, table, pd.read_parquet(predictions)


@pytest.mark.slow
def test_the_planted_shortcut_is_found_and_the_domain_is_the_unit(tmp_path, monkeypatch):
    record, table, predictions = run_notebook(
        "11_4_elsewhere", tmp_path, monkeypatch, *SMALL.split("; ")
    )
    (domain,) = record["notes"]["shortcuts"]
    assert domain == "domain 1" and "duration_s" in record["notes"]["shortcuts"][domain]
    assert set(table["unit"]) == {"domain"} and set(table["n_groups"]) == {6}
    assert predictions["group"].nunique() == 6
    whole = table.dropna(subset=["within_percent"])
    gaps = whole["elsewhere_percent"] - whole["within_percent"]
    assert (gaps - whole["difference_percent"]).abs().max() < 0.02
    for _, part in predictions.groupby("system"):
        assert not part["file"].duplicated().any()


@pytest.mark.slow
def test_two_corpora_are_two_domains_whose_scores_are_listed(tmp_path, monkeypatch):
    for seed in (0, 1):
        make_corpus("sentiment", tmp_path / f"base{seed}", n_per_class=12, clip_s=0.6, seed=seed)
    places = f"corpus={tmp_path / 'base0'}", f"other={tmp_path / 'base1'}"
    record, table, predictions = run_notebook(
        "11_4_elsewhere", tmp_path, monkeypatch, *places, *SMALL.split("; ")[:3]
    )
    assert record["corpora"]["corpus"]["kind"] == "synthetic"
    assert set(table["n_domains"]) == {2} and set(table["unit"]) == {"group"}
    assert table["by_domain"].str.fullmatch(r"base0: \S+%; base1: \S+%").all()
    assert set(predictions["file"].str.partition("/")[0]) == {"base0", "base1"}


@pytest.mark.slow
def test_a_learning_curve_has_as_many_draws_as_stated(tmp_path, monkeypatch):
    options = "n_per_class=12", "clip_s=0.5", "n_sizes=2", "n_draws=5", "n_resamples=50"
    record, table, predictions = run_notebook("11_3_pretraining", tmp_path, monkeypatch, *options)
    assert set(table["n_draws"]) == {5}
    assert predictions.groupby("system")["seed"].nunique().eq(5).all()
    assert table["representation"].str.startswith("Deep").sum() == 2
    assert "random weights" in (tmp_path / "results" / "tables" / "table_11_3.tex").read_text()
    assert "no pre-trained weights (parameter `weights`)" in record["notes"]["not run"]
