"""Codebooks inside the training part, one pass a grid."""

import numpy as np
import pytest

from thesislib.errors import ParameterError
from thesislib.representations.bag_grid import BagGrid
from thesislib.representations.bag_of_features import BagOfFeatures
from thesislib.representations.codebook import TooFewFramesError
from thesislib.store import FeatureStore


@pytest.fixture
def frames(rng):
    return [rng.normal(size=(25 + i, 4)).astype(np.float32) for i in range(6)]


@pytest.mark.parametrize("sampling", ["random", "random++", "kmeans"])
def test_every_pair_equals_a_bag_fitted_alone(frames, sampling):
    grid = BagGrid(frames, BagOfFeatures(sampling=sampling), [5, 12], [1, 7])
    train = np.array([0, 2, 3])
    assert grid.pairs == [(5, 1), (12, 1), (12, 7)]
    for size, n_assign in grid.pairs:
        alone = BagOfFeatures(size, n_assign, sampling=sampling).fit([frames[i] for i in train])
        found = grid.features(size, n_assign)(train)
        assert np.array_equal(found, alone.transform(frames))


def test_clips_outside_the_training_part_do_not_change_the_codebook(frames):
    train = np.array([0, 1, 2])
    before = BagGrid(frames, BagOfFeatures(), [8], [2]).features(8, 2)(train)
    changed = frames[:3] + [frame + 100 for frame in frames[3:]]
    after = BagGrid(changed, BagOfFeatures(), [8], [2]).features(8, 2)(train)
    assert np.array_equal(before[:3], after[:3])
    assert not np.array_equal(before[3:], after[3:])


def test_the_store_gives_the_same_bags_without_learning_again(frames, tmp_path, monkeypatch):
    train = np.array([0, 1, 2])
    plain = BagGrid(frames, BagOfFeatures(), [4, 8], [1, 2])
    stored = BagGrid(frames, BagOfFeatures(), [4, 8], [1, 2], store=FeatureStore(tmp_path))
    first = stored.features(8, 2)(train)
    monkeypatch.setattr(BagGrid, "_learn", lambda *_: pytest.fail("learnt again"))
    again = BagGrid(frames, BagOfFeatures(), [4, 8], [1, 2], store=FeatureStore(tmp_path))
    assert np.array_equal(again.features(8, 2)(train), first)
    assert np.array_equal(again.features(4, 1)(train), stored.features(4, 1)(train))
    monkeypatch.undo()
    assert np.array_equal(plain.features(8, 2)(train), first)


def test_impossible_grids_and_pairs_are_refused(frames):
    with pytest.raises(ParameterError, match=r"n_assigns: found \[9\]"):
        BagGrid(frames, BagOfFeatures(), [4, 8], [9])
    with pytest.raises(ParameterError, match=r"found \(4, 3\), expected one of"):
        BagGrid(frames, BagOfFeatures(), [4], [2]).features(4, 3)


@pytest.mark.parametrize("sampling", ["random", "random++", "kmeans"])
def test_a_size_that_cannot_be_filled_leaves_the_smaller_ones(frames, tmp_path, sampling):
    train, bag = np.array([0, 1]), BagOfFeatures(sampling=sampling)  # 25 + 26 frames
    for store in (None, FeatureStore(tmp_path), FeatureStore(tmp_path)):
        grid = BagGrid(frames, bag, [5, 40, 90, 200], [1, 60], store=store)
        for size in (200, 90, 200):
            message = f"found {size}, expected at most 51, the number of distinct frames"
            with pytest.raises(TooFewFramesError, match=message):
                grid.features(size, 60)(train)
        alone = BagOfFeatures(40, 1, sampling=sampling).fit([frames[i] for i in train])
        assert np.array_equal(grid.features(40, 1)(train), alone.transform(frames))
    assert grid.features(90, 60)(np.arange(6)).shape == (6, 90)
