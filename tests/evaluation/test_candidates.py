"""Candidates: each selection sees its own part only; seeds; stages of a search; controls."""

import numpy as np
import pytest

from thesislib.errors import ParameterError
from thesislib.evaluation.candidates import (
    Candidates,
    fuse_by_seed,
    join_seeds,
    list_seeds,
    mean_score,
    take_seed,
)
from thesislib.evaluation.predictions import FoldResult, PartitionResult, Predictions

N, CLASSES = 20, ("a", "b")
TRUTH = np.array(["a", "b"] * (N // 2))


def predict(n_right, folds=None):
    """Predictions with so many of 20 clips right, as many of each class as possible."""
    is_b = (TRUTH == "b") == (np.arange(N) < n_right)
    predicted = np.where(is_b, "b", "a")
    return Predictions(np.arange(N), TRUTH, predicted, np.eye(2)[is_b * 1], CLASSES, folds)


def of_partitions(**by_complexity):
    """Result from (right on development, right on test) by complexity, as ``c1=(16, 12)``."""
    numbers = {float(name[1:]): value for name, value in by_complexity.items()}
    devel, test = ({c: predict(pair[i]) for c, pair in numbers.items()} for i in range(2))
    return PartitionResult(devel, test)


def of_folds(inner, right, complexity=1.0):
    """Result of two folds from the inner score of each, with one complexity."""
    folds = np.repeat(["x", "y"], N // 2)
    predictions = predict(right, folds)
    inside = {fold: {complexity: value} for fold, value in zip("xy", inner)}
    chosen = dict.fromkeys("xy", complexity)
    return FoldResult({complexity: predictions}, predictions, chosen, inside)


def collect(results, **columns):
    """Candidates with one seed and a name each."""
    candidates = Candidates()
    for name, result in results.items():
        candidates.add({"plot": name, **columns}, {0: result})
    return candidates


def test_development_and_as_published_look_at_their_own_part():
    candidates = collect(
        {
            "hot": of_partitions(c1=(16, 12), c10=(14, 18)),
            "gray": of_partitions(c1=(12, 16), c10=(10, 20)),
        }
    )
    choice = candidates.choose("development")
    assert choice.columns == {"plot": "hot", "selection": "development", "complexity": 1.0}
    assert mean_score(choice.predictions) == 60
    choice = candidates.choose("as published")
    assert choice.columns == {"plot": "gray", "selection": "as published", "complexity": 10.0}
    assert mean_score(choice.predictions) == 100
    assert mean_score(choice.candidate.devel("as published")) == 50


def test_of_equals_the_first_candidate_and_the_smallest_complexity_are_chosen():
    equal = {name: of_partitions(c10=(16, 16), c1=(16, 16)) for name in ("hot", "gray")}
    for selection in ("development", "as published"):
        choice = collect(equal).choose(selection)
        assert (choice.columns["plot"], choice.columns["complexity"]) == ("hot", 1.0)


def test_scores_are_means_over_seeds_and_each_seed_has_its_complexity():
    candidates = Candidates()
    by_seed = {0: of_partitions(c1=(20, 20), c10=(10, 10)), 1: of_partitions(c1=(0, 0), c10=(8, 8))}
    candidates.add({"plot": "lucky"}, by_seed)
    steady = of_partitions(c1=(16, 14), c10=(10, 10))
    candidates.add({"plot": "steady"}, {0: steady, 1: steady})
    lucky, _ = candidates
    assert lucky.complexities("development") == {0: 1.0, 1: 10.0}
    assert lucky.complexity("development") is None
    choice = candidates.choose("development")
    assert choice.settings == "steady"
    assert list(choice.predictions) == [0, 1]
    assert mean_score(choice.predictions) == 70


def test_the_nested_choice_goes_by_the_inner_scores_of_each_fold():
    candidates = collect({"hot": of_folds([0.9, 0.2], 20), "gray": of_folds([0.3, 0.8], 0)})
    choice = candidates.choose("nested")
    # The first fold has the predictions of hot, all right, the second those of gray, all wrong.
    predictions = choice.predictions[0]
    assert (predictions.truth == predictions.predicted).tolist() == [True] * 10 + [False] * 10
    assert choice.candidate is None
    assert choice.columns["plot"] == "chosen in each fold"
    assert choice.columns["chosen"] == "hot 1 (1), gray 1 (1)"


def test_a_nested_choice_has_one_choice_for_each_seed():
    candidates = Candidates()
    first, second = of_folds([0.9, 0.9], 20), of_folds([0.3, 0.3], 10)
    candidates.add({"plot": "hot", "network": "vgg16"}, {0: first, 1: second})
    # A system without random numbers takes part in the choice of every seed.
    candidates.add({"plot": "gray", "network": "vgg16"}, {0: of_folds([0.5, 0.5], 16)})
    choice = candidates.choose("nested")
    assert {seed: part.score() for seed, part in choice.predictions.items()} == {0: 1.0, 1: 0.8}
    assert choice.columns["network"] == "vgg16"
    assert choice.columns["chosen"] == "hot 1 (2), gray 1 (2)"


def test_no_candidate_and_an_unknown_selection_are_errors():
    with pytest.raises(ParameterError, match="candidates: found none, expected at least one"):
        Candidates().choose("nested")
    candidates = collect({"hot": of_partitions(c1=(1, 1))})
    with pytest.raises(ParameterError, match="selection: found 'honest'"):
        candidates.choose("honest")
    with pytest.raises(ParameterError, match="selection: found 'nested'"):
        next(iter(candidates)).complexities("nested")


def test_candidates_are_divided_and_joined():
    candidates = collect({"hot": of_partitions(c1=(1, 1))}, network="vgg16")
    candidates += collect({"hot": of_partitions(c1=(2, 2))}, network="alexnet")
    candidates += collect({"gray": of_partitions(c1=(3, 3))}, network="vgg16")
    assert [len(part) for part in candidates.split("network")] == [2, 1]
    assert [len(part) for part in candidates.split()] == [3]
    assert [len(part) for part in candidates.split("no such column")] == [3]
    assert Candidates().split("network") == []
    assert len(candidates.where(network="vgg16", plot="hot")) == 1
    applied = candidates.apply(lambda result: result.devel)
    assert [each.results[0][1.0].score() for each in applied] == pytest.approx([0.05, 0.1, 0.15])
    assert [each.columns for each in applied] == [each.columns for each in candidates]


def test_a_stage_takes_each_group_s_best_value_of_the_column():
    candidates = Candidates()
    for network, plot, bag, right in [
        ("vgg16", "hot", "small", 18),
        ("vgg16", "hot", "large", 4),
        ("vgg16", "gray", "small", 12),
        ("alexnet", "hot", "small", 6),
        ("alexnet", "gray", "small", 14),
        ("alexnet", "gray", "large", 2),
    ]:
        columns = {"network": network, "plot": plot, "bag": bag}
        candidates.add(columns, {0: of_folds([0.5, 0.5], right)})
    best = candidates.stage("plot", among=candidates.where(bag="small"))
    chosen = [(each.columns["network"], each.columns["plot"], each.columns["bag"]) for each in best]
    assert chosen == [
        ("vgg16", "hot", "small"),
        ("vgg16", "hot", "large"),
        ("alexnet", "gray", "small"),
        ("alexnet", "gray", "large"),
    ]


def test_a_ranking_has_every_setting_and_complexity():
    results = {"hot": of_folds([1, 1], 12), "gray": of_folds([0, 0], 16, complexity=10.0)}
    ranked = collect(results).rank()
    assert [(each.columns["plot"], c) for each, c, _ in ranked] == [("gray", 10.0), ("hot", 1.0)]
    assert mean_score(ranked[0][2]) == 80


def test_parts_with_one_seed_belong_to_every_seed():
    trained, functionals = {3: predict(20), 4: predict(10), 5: predict(0)}, {0: predict(20)}
    assert list_seeds(functionals, trained) == [3, 4, 5]
    assert take_seed(functionals, 4) is functionals[0]
    pairs = join_seeds(lambda a, b: (a, b), trained, functionals)
    assert list(pairs) == [3, 4, 5]
    assert all(pair == (trained[seed], functionals[0]) for seed, pair in pairs.items())
    fused = fuse_by_seed(trained, functionals, functionals)
    assert {seed: part.score() for seed, part in fused.items()} == {3: 1.0, 4: 1.0, 5: 1.0}
