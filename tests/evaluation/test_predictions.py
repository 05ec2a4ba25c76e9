"""Searches over settings: what the corpus cannot fill, and both ways to choose."""

import numpy as np
import pytest

from thesislib.evaluation.candidates import Candidates
from thesislib.evaluation.fusion import vote_clips
from thesislib.evaluation.search import evaluate_grid
from thesislib.evaluation.validation import evaluate_folds, evaluate_partitions
from thesislib.representations.bag_grid import BagGrid
from thesislib.representations.bag_of_features import BagOfFeatures

N = 60
LABELS = np.array(["a", "b"] * (N // 2))
FOLDS = {"evaluation": (np.arange(40), np.arange(40, N))}


def choose_both(results):
    """Both choices among the results of settings."""
    candidates = Candidates()
    for setting, result in results.items():
        candidates.add({"setting": str(setting)}, {0: result})
    return {how: candidates.choose(how) for how in ("nested", "as published")}


def search(rng, labels, *, n_settings=8):
    """Results of settings that are pure noise."""
    options = {"groups": np.arange(N), "complexities": [0.1], "n_inner": 2}
    return {
        s: evaluate_folds(rng.normal(size=(N, 5)), labels, FOLDS, **options)
        for s in range(n_settings)
    }


def test_choosing_on_reported_scores_finds_something_in_noise(seeds):
    means = []
    for seed in seeds:
        rng, scores = np.random.default_rng(seed), {"nested": [], "as published": []}
        for _ in range(4):
            for selection, choice in choose_both(search(rng, LABELS)).items():
                scores[selection].append(choice.predictions[0].score())
        # One evaluation part, so the honest choice is one of those ranked as published.
        assert all(np.greater_equal(scores["as published"], scores["nested"]))
        means.append([np.mean(scores["nested"]), np.mean(scores["as published"])])
    honest, published = np.median(means, axis=0)
    # 20 clips: a standard deviation of 0.11 each, 0.06 for the mean of four, 0.04 for the median.
    assert honest == pytest.approx(0.5, abs=0.15)
    assert published > 0.58


def test_the_honest_choice_does_not_see_the_evaluation_part():
    changed = LABELS.copy()
    changed[40:] = LABELS[40:][::-1]
    first, second = (
        choose_both(search(np.random.default_rng(1), labels)) for labels in (LABELS, changed)
    )
    assert first["nested"].settings == second["nested"].settings
    assert np.array_equal(
        *(choices["nested"].predictions[0].predicted for choices in (first, second))
    )
    assert first["as published"].settings != second["as published"].settings


def test_a_useful_setting_is_found_among_useless_ones(rng):
    results = search(rng, LABELS, n_settings=3)
    X = (LABELS == "a")[:, None] + 0.1 * rng.normal(size=(N, 3))
    results["useful"] = evaluate_folds(
        X, LABELS, FOLDS, groups=np.arange(N), complexities=[0.01, 1.0], n_inner=2
    )
    for choice in choose_both(results).values():
        assert choice.settings.startswith("useful")
        assert choice.predictions[0].score() == 1.0


def test_a_vote_of_single_chunks_changes_nothing_and_three_outvote_two(rng):
    X = (LABELS == "a")[:, None] + 0.4 * rng.normal(size=(N, 3))
    options = {"complexities": [0.1], "n_inner": 2}
    alone = evaluate_folds(X, LABELS, FOLDS, groups=np.arange(N), **options)
    voted = vote_clips(alone, np.arange(N))
    assert np.array_equal(voted.nested.predicted, alone.nested.predicted)
    # Five chunks a clip, two of them from the other class.
    clips = np.repeat(np.arange(N // 5), 5)
    truth = np.array(["a", "b"])[clips % 2]
    wrong = np.arange(N) % 5 < 2
    X = ((truth == "a") != wrong)[:, None] + 0.01 * rng.normal(size=(N, 3))
    chunks = evaluate_folds(X, truth, FOLDS, groups=clips, **options)
    voted = vote_clips(chunks, clips)
    assert chunks.nested.score() == pytest.approx(0.6)
    assert voted.nested.score() == 1.0
    assert voted.nested.rows.tolist() == [8, 9, 10, 11]
    assert voted.nested.tied == 0


def test_ties_of_a_vote_are_known_after_the_choice(rng):
    clips = np.repeat(np.arange(N // 2), 2)
    truth = np.array(["a", "b"])[clips % 2]
    X = (np.arange(N) % 2)[:, None] + 0.01 * rng.normal(size=(N, 3))
    X[:40] = (truth[:40] == "a")[:, None] + 0.01 * rng.normal(size=(40, 3))
    chunks = evaluate_folds(X, truth, FOLDS, groups=clips, complexities=[1.0], n_inner=2)
    choices = choose_both({"": vote_clips(chunks, clips)})
    # Each evaluation clip has a chunk of either kind.
    assert {selection: c.predictions[0].tied for selection, c in choices.items()} == {
        "nested": 1.0,
        "as published": 1.0,
    }


def test_what_a_corpus_cannot_fill_is_told_and_the_rest_runs(rng):
    frames = [rng.normal(size=(8, 2)) + 3 * (name == "a") for name in LABELS]
    grid = BagGrid(frames, BagOfFeatures(), [5, 200, 400], [1, 5])
    parts = {"train": np.arange(25), "devel": np.arange(25, 40), "test": np.arange(40, N)}
    answers, refused = evaluate_grid(
        grid, evaluate_partitions, LABELS, **parts, complexities=[0.1], refit_on="train"
    )
    assert list(answers) == [(5, 1), (200, 1), (200, 5)]
    # 25 clips of 8 frames; and five of five words for every frame of clips of one length.
    assert "expected at most 200, the number of distinct frames" in refused[400, 1]
    assert "all 60 rows are equal" in refused[5, 5]


def test_a_nested_choice_shows_what_all_folds_agree_on(rng):
    results = search(rng, LABELS, n_settings=2)
    X = (LABELS == "a")[:, None] + 0.1 * rng.normal(size=(N, 3))
    options = {"groups": np.arange(N), "complexities": [0.1], "n_inner": 2}
    candidates = Candidates()
    for size, result in results.items():
        candidates.add({"plot": f"noise {size}", "codebook_size": size}, {0: result})
    candidates.add(
        {"plot": "useful", "codebook_size": 7}, {0: evaluate_folds(X, LABELS, FOLDS, **options)}
    )
    choice = candidates.choose("nested")
    assert choice.columns == {
        "plot": "chosen in each fold",
        "codebook_size": 7,
        "complexity": 0.1,
        "selection": "nested",
        "chosen": "useful 7 0.1 (1)",
    }
