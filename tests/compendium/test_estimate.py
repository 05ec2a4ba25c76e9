"""Estimates of cost: counts follow the parameters, times follow sizes, nothing is run."""

import numpy as np
import pytest
from sklearn.svm import LinearSVC

from thesislib.cli import main
from thesislib.compendium.estimate import count_work, describe_estimate
from thesislib.compendium.probes import FitCost
from thesislib.compendium.runner import read_parameters, read_profile

NAME = "08_3_game_genre"


@pytest.fixture
def paper():
    return {**read_parameters(NAME), **read_profile(NAME, "paper")}


def test_a_slice_is_a_share_of_the_work_but_not_of_the_search(paper):
    whole, slice_ = count_work(paper), count_work({**paper, "slice_of": 20})
    assert slice_.n_chunks == pytest.approx(whole.n_chunks / 20, rel=0.01)
    assert slice_.n_extractions == whole.n_extractions
    assert slice_.n_fits == whole.n_fits


def test_without_weights_there_is_no_second_network_to_ask(paper):
    assert count_work({**paper, "weights": {}}).n_codebooks == count_work(paper).n_codebooks / 2


def test_chunks_of_one_second_are_five_times_those_of_five(paper):
    work = count_work(paper)
    assert work.n_short == 5 * work.n_chunks
    overlapping = count_work({**paper, "bag_hop_s": 0.5})
    assert overlapping.n_short == work.n_clips * 119


@pytest.mark.parametrize("complexity", [1e-6, 1e-5, 1e-4])
def test_rounds_of_the_solver_follow_the_product_of_complexity_and_size(seeds, complexity):
    """What the estimate rests on: n clips at C need about the rounds of m clips at C n / m."""
    n, m, width = 1600, 100, 40
    labels = np.tile(["a", "b"], n // 2)
    ratios = []
    for seed in seeds:
        X = np.random.default_rng(seed).normal(size=(n, width)) + 0.4 * (labels == "b")[:, None]
        options = {"dual": True, "tol": 1e-3, "random_state": seed}
        large = LinearSVC(C=complexity, **options).fit(X, labels)
        small = LinearSVC(C=complexity * n / m, **options).fit(X[:m], labels[:m])
        unscaled = LinearSVC(C=complexity, **options).fit(X[:m], labels[:m])
        ratios.append([small.n_iter_ / large.n_iter_, unscaled.n_iter_ / small.n_iter_])
    scaled, alone = np.median(ratios, axis=0)
    assert 0.5 <= scaled <= 2
    assert alone <= 1


def test_more_rows_cost_more(rng):
    X, labels = rng.normal(size=(60, 30)), np.tile(["a", "b", "c"], 20)
    cost = FitCost(X, labels, [1e-4, 1e-2], n_classes=3)
    assert cost.seconds(6000, 600) > cost.seconds(300, 30) > 0


def test_a_dry_run_refuses_what_a_run_would(capsys):
    assert main(["run", NAME, "--dry-run", "-p", "sed=1"]) == 2
    assert "did you mean 'seed'" in capsys.readouterr().err
    assert main(["run", NAME, "--dry-run", "--corpus", "absent"]) == 2
    assert "absent: found no folder" in capsys.readouterr().err


def test_without_an_estimate_it_says_so():
    assert "there is no estimate" in describe_estimate("10_2_snore", {})


@pytest.mark.slow
def test_a_dry_run_counts_and_estimates_without_running(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("THESIS_RESULTS", str(tmp_path / "results"))
    monkeypatch.setenv("THESIS_STORE", str(tmp_path / "store"))
    assert main(["run", NAME, "--dry-run", "-p", "complexities=[1e-4]"]) == 0
    printed = capsys.readouterr().out
    assert "14 extractions and 0 of random controls" in printed
    assert "hours" in printed
    assert not (tmp_path / "results").exists()
    assert not (tmp_path / "store").exists()
