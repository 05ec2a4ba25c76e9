"""Chunks in the folds of their clips; results that are kept come back the same."""

import numpy as np
import pytest

from thesislib.evaluation import search
from thesislib.evaluation.predictions import choose_nested
from thesislib.evaluation.search import evaluate_chunks, expand_folds
from thesislib.store import FeatureStore


@pytest.fixture
def clips(rng):
    """24 clips of two classes in six groups, three chunks each."""
    labels, groups = np.tile(["a", "b"], 12), np.repeat(np.arange(6), 4)
    clip_of_chunk = np.repeat(np.arange(24), 3)
    X = rng.normal(size=(72, 5)) + 0.5 * (labels[clip_of_chunk] == "b")[:, None]
    fold = groups % 3
    folds = {str(k): (np.flatnonzero(fold != k), np.flatnonzero(fold == k)) for k in range(3)}
    options = {"groups": groups, "complexities": [1e-3, 1.0], "n_inner": 2}
    return X, clip_of_chunk, labels, folds, options


def test_every_chunk_is_tested_once_with_its_clip(clips):
    _, clip_of_chunk, _, folds, _ = clips
    expanded = expand_folds(folds, clip_of_chunk)
    assert sorted(np.concatenate([test for _, test in expanded.values()])) == list(range(72))
    for name, (train, test) in expanded.items():
        assert set(clip_of_chunk[test]) == set(folds[name][1])
        assert not set(clip_of_chunk[train]) & set(clip_of_chunk[test])


def test_a_kept_result_is_the_computed_one(clips, tmp_path, monkeypatch):
    X, clip_of_chunk, labels, folds, options = clips
    plain = evaluate_chunks(X, clip_of_chunk, labels, folds, **options)
    first = evaluate_chunks(
        X, clip_of_chunk, labels, folds, store=FeatureStore(tmp_path), **options
    )
    monkeypatch.setattr(search, "evaluate_folds", lambda *_, **__: pytest.fail("again"))
    again = evaluate_chunks(
        X, clip_of_chunk, labels, folds, store=FeatureStore(tmp_path), **options
    )
    for found in (first, again):
        assert (found.chosen, found.inner) == (plain.chosen, plain.inner)
        for ours, expected in [
            (found.nested, plain.nested),
            *zip(found.by_complexity.values(), plain.by_complexity.values()),
        ]:
            for name in ("rows", "truth", "predicted", "values", "folds"):
                assert np.array_equal(getattr(ours, name), getattr(expected, name))
            assert ours.classes == expected.classes


@pytest.mark.parametrize("what", ["features", "labels", "complexities", "groups"])
def test_nothing_that_counts_is_taken_for_something_else(clips, tmp_path, monkeypatch, what):
    X, clip_of_chunk, labels, folds, options = clips
    store = FeatureStore(tmp_path)
    evaluate_chunks(X, clip_of_chunk, labels, folds, store=store, **options)
    if what == "features":
        X = X.copy()
        X[0, 0] += 1e-6
    elif what == "labels":
        labels = labels[::-1]
    elif what == "groups":
        options = {**options, "groups": options["groups"] // 2}
    else:
        options = {**options, "complexities": [1e-3, 2.0]}
    called = []
    compute = search.evaluate_folds
    monkeypatch.setattr(
        search, "evaluate_folds", lambda *a, **k: called.append(1) or compute(*a, **k)
    )
    evaluate_chunks(X, clip_of_chunk, labels, folds, store=store, **options)
    assert called


def test_published_results_are_ranked_by_their_score(clips, rng):
    X, clip_of_chunk, labels, folds, options = clips
    results = {
        name: evaluate_chunks(features, clip_of_chunk, labels, folds, **options)
        for name, features in (("noise", rng.normal(size=X.shape)), ("signal", X))
    }
    ranked = rank_published(results)
    scores = [decisions.score() for *_, decisions in ranked]
    assert scores == sorted(scores, reverse=True)
    assert len(ranked) == 4
    best = {name: max(d.score() for d in r.by_complexity.values()) for name, r in results.items()}
    assert best[ranked[0][0]] == scores[0] == max(best.values())
    honest, _ = choose_nested({"signal": results["signal"]})
    assert honest.score() == results["signal"].nested.score()
