"""Chunks in the folds of their clips; results that are kept come back the same."""

import numpy as np
import pytest

from thesislib.evaluation import validation
from thesislib.evaluation.candidates import Candidates
from thesislib.evaluation.fusion import vote_clips
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
    monkeypatch.setattr(validation, "fit_tasks", lambda *_, **__: pytest.fail("again"))
    again = evaluate_chunks(
        X, clip_of_chunk, labels, folds, store=FeatureStore(tmp_path), **options
    )
    for found in (first, again):
        assert (found.chosen, found.inner) == (plain.chosen, plain.inner)
        assert found.stopped == plain.stopped
        for ours, expected in [
            (found.nested, plain.nested),
            *zip(found.test.values(), plain.test.values()),
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
    compute = validation.fit_tasks
    monkeypatch.setattr(
        validation, "fit_tasks", lambda *a, **k: called.append(1) or compute(*a, **k)
    )
    evaluate_chunks(X, clip_of_chunk, labels, folds, store=store, **options)
    assert called


def test_candidates_are_ranked_by_their_score_on_the_reported_folds(clips, rng):
    X, clip_of_chunk, labels, folds, options = clips
    candidates = Candidates()
    for name, features in (("noise", rng.normal(size=X.shape)), ("signal", X)):
        result = evaluate_chunks(features, clip_of_chunk, labels, folds, **options)
        candidates.add({"features": name}, {0: result})
    ranked = candidates.rank()
    scores = [predictions[0].score() for *_, predictions in ranked]
    assert scores == sorted(scores, reverse=True)
    assert len(ranked) == 4
    choice = candidates.choose("as published")
    assert (ranked[0][0], ranked[0][1]) == (choice.candidate, choice.columns["complexity"])
    (signal,) = candidates.where(features="signal")
    assert candidates.where(features="signal").choose("nested").predictions[0].score() == (
        signal.results[0].nested.score()
    )


def test_votes_are_chosen_by_the_votes_inside_the_training_part(clips, tmp_path):
    """The same as bags are: an inner fold of clips that are right by vote has a score of 1."""
    X, clip_of_chunk, labels, folds, options = clips
    for store in (None, FeatureStore(tmp_path), FeatureStore(tmp_path)):
        result = evaluate_chunks(
            X, clip_of_chunk, labels, folds, store=store, inner_votes=True, **options
        )
        voted = vote_clips(result, clip_of_chunk)
        assert voted.inner == result.inner_votes
        assert voted.inner != result.inner
        n_chunks = np.bincount(clip_of_chunk)[voted.nested.rows]
        assert voted.nested.votes.sum(axis=1).tolist() == n_chunks.tolist()
        for fold, scores in voted.inner.items():
            assert scores[voted.chosen[fold]] == max(scores.values())
    # Where every chunk is right, so is every vote.
    perfect = (labels[clip_of_chunk] == "b")[:, None] * np.ones(3)
    result = evaluate_chunks(perfect, clip_of_chunk, labels, folds, inner_votes=True, **options)
    for inner in (result.inner, result.inner_votes):
        assert all(score == 1.0 for scores in inner.values() for score in scores.values())


def test_a_stage_keeps_the_best_value_of_each_network(clips, rng):
    X, clip_of_chunk, labels, folds, options = clips
    candidates = Candidates()
    for network, best in (("one", "hot"), ("two", "gray")):
        for colour_map in ("hot", "gray"):
            features = X + (0 if colour_map == best else 50 * rng.normal(size=X.shape))
            result = evaluate_chunks(features, clip_of_chunk, labels, folds, **options)
            candidates.add({"network": network, "colour_map": colour_map}, {0: result})
    staged = candidates.stage("colour_map", among=candidates)
    assert [each.columns["colour_map"] for each in staged] == ["hot", "gray"]
    groups = candidates.split("network")
    assert [len(group) for group in groups] == [2, 2]
    columns = groups[0].choose("nested").columns
    assert columns["network"] == "one"
    assert columns["colour_map"] == "chosen in each fold"
    assert columns["selection"] == "nested"
