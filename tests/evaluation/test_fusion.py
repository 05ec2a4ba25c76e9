"""Fusion: the tie rule, and grids that sum to one."""

import numpy as np
import pytest

from thesislib.errors import ParameterError
from thesislib.evaluation.fusion import (
    fuse_features,
    search_weights,
    vote,
    vote_by_clip,
    weight_grid,
)
from thesislib.evaluation.metrics import accuracy


def test_a_majority_wins_whatever_the_decision_values():
    values = np.zeros((3, 1, 2))
    values[2, 0] = [-99, 99]
    winners, tied = vote([["a"], ["a"], ["b"]], values, ["a", "b"])
    assert winners.tolist() == ["a"]
    assert not tied[0]


def test_a_tie_goes_to_the_larger_sum_of_decision_values_among_the_tied():
    values = np.array([[[0.1, 0.0, 5.0]], [[0.0, 0.4, 5.0]]])
    winners, tied = vote([["a"], ["b"]], values, ["a", "b", "c"])
    assert winners.tolist() == ["b"]
    assert tied[0]


def test_an_exact_tie_goes_by_class_order():
    winners, _ = vote([["b"], ["a"]], np.zeros((2, 1, 2)), ["a", "b"])
    assert winners.tolist() == ["a"]


def test_votes_of_chunks_keep_the_clips_order(rng):
    clips = np.array([5, 5, 5, 2, 2, 2])
    predictions = np.array(list("aababb"))
    names, winners, tied = vote_by_clip(predictions, np.zeros((6, 2)), clips, ["a", "b"])
    assert names.tolist() == [5, 2]
    assert winners.tolist() == ["a", "b"]
    assert not tied.any()


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
