"""Fusion: the tie rule, and grids that sum to one."""

import numpy as np
import pytest

from thesislib.errors import ParameterError
from thesislib.evaluation.fusion import (
    fuse_decisions,
    fuse_features,
    search_weights,
    vote_chunks,
    weight_grid,
)
from thesislib.evaluation.metrics import accuracy
from thesislib.evaluation.predictions import Predictions


def fuse(predicted, values, classes):
    """Winner and tie of voters on one clip."""
    parts = [
        Predictions(np.arange(1), np.array(["a"]), np.array([name]), np.array([own]), classes)
        for name, own in zip(predicted, values)
    ]
    fused = fuse_decisions(parts)
    return fused.predicted[0], fused.tied


def test_a_majority_wins_whatever_the_decision_values():
    assert fuse("aab", [[0, 0], [0, 0], [-99, 99]], ("a", "b")) == ("a", 0)


def test_a_tie_goes_to_the_larger_sum_of_decision_values_among_the_tied():
    assert fuse("ab", [[0.1, 0.0, 5.0], [0.0, 0.4, 5.0]], ("a", "b", "c")) == ("b", 1)


def test_an_exact_tie_goes_by_class_order():
    assert fuse("ba", np.zeros((2, 2)), ("a", "b"))[0] == "a"


def test_votes_of_chunks_keep_the_clips_order():
    clips, truth = np.array([5, 5, 5, 2, 2, 2]), np.array(list("aaabbb"))
    chunks = Predictions(
        np.arange(6), truth, np.array(list("aababb")), np.zeros((6, 2)), ("a", "b")
    )
    voted = vote_chunks(chunks, clips)
    assert voted.rows.tolist() == [5, 2]
    assert voted.predicted.tolist() == voted.truth.tolist() == ["a", "b"]
    assert voted.votes.tolist() == [[2, 1], [1, 2]]
    assert voted.tied == 0


@pytest.mark.parametrize(("n_parts", "count"), [(1, 1), (2, 11), (3, 66), (4, 286)])
def test_grid_holds_every_combination_that_sums_to_one(n_parts, count):
    grid = weight_grid(n_parts)
    assert grid.shape == (count, n_parts)
    assert np.allclose(grid.sum(axis=1), 1)
    assert len(np.unique(grid, axis=0)) == count


def test_search_finds_the_part_that_knows(rng):
    y_true = rng.choice(list("ab"), 50)
    knows = np.column_stack([y_true == "a", y_true == "b"]).astype(float)
    noise = rng.dirichlet([1, 1], 50)
    weights, score = search_weights([noise, knows], y_true, ["a", "b"], accuracy)
    assert score == 1.0
    assert weights[1] >= 0.5


def test_search_among_equals_takes_even_weights():
    part = np.array([[0.9, 0.1], [0.2, 0.8]])
    weights, _ = search_weights([part, part], ["a", "b"], ["a", "b"], accuracy)
    assert weights.tolist() == [0.5, 0.5]


def test_rows_that_differ_are_refused():
    with pytest.raises(ParameterError, match=r"found \[2, 3\] rows"):
        fuse_features(np.zeros((2, 1)), np.zeros((3, 1)))
