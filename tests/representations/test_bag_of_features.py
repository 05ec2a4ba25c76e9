"""Bags: mass, order, exact nearest words, nested codebooks, scaling, streams, bad input."""

import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.svm import LinearSVC

from thesislib.errors import ParameterError
from thesislib.representations import codebook as codebook_module
from thesislib.representations.bag_of_features import BagOfFeatures


def make_clips(n_clips=8, n_features=6, seed=0, n_frames=(5, 40)):
    rng = np.random.default_rng(seed)
    lengths = rng.integers(*n_frames, n_clips)
    return [rng.normal(size=(n, n_features)).astype(np.float32) for n in lengths]


def plain_bags(clips, words, n_assign):
    """Counts by plain float32 differences, feature after feature, one frame at a time."""
    bags = np.zeros((len(clips), len(words)), np.float32)
    for bag, frames in zip(bags, clips):
        for frame in frames:
            distances = np.zeros(len(words), np.float32)
            for value, column in zip(frame, words.T):
                distances += (value - column) ** 2
            bag[np.argsort(distances, kind="stable")[:n_assign]] += 1
    return bags


@settings(max_examples=40, deadline=None)
@given(
    lengths=st.lists(st.integers(1, 30), min_size=1, max_size=6),
    size=st.integers(1, 12),
    n_assign=st.integers(1, 12),
    seed=st.integers(0, 999),
    sampling=st.sampled_from(["random", "random++"]),
)
def test_mass_is_frames_times_n_assign(lengths, size, n_assign, seed, sampling):
    rng = np.random.default_rng(seed)
    clips = [rng.normal(size=(n, 4)) for n in lengths]
    size = min(size, sum(lengths))
    n_assign = min(n_assign, size)
    bag = BagOfFeatures(size, n_assign, sampling, log=False, random_state=seed)
    bags = bag.fit_transform(clips)
    np.testing.assert_array_equal(bags.sum(axis=1), np.array(lengths) * n_assign)
    assert bags.max() <= max(lengths)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 999), scale=st.sampled_from(["minmax", "zscore", "none"]))
def test_order_of_frames_does_not_matter(seed, scale):
    clips = make_clips(seed=seed)
    bag = BagOfFeatures(10, 3, scale=scale, idf=True, norm="l2").fit(clips)
    rng = np.random.default_rng(seed)
    shuffled = [frames[rng.permutation(len(frames))] for frames in clips]
    np.testing.assert_array_equal(bag.transform(clips), bag.transform(shuffled))


def test_near_ties_are_settled_by_differences(rng):
    # Far from the origin the expansion |c|^2 - 2 x.c has lost the digits that decide.
    clips = [(500 + rng.integers(0, 3, (60, 12)) / 8).astype(np.float32) for _ in range(4)]
    bag = BagOfFeatures(25, 7, scale="none", log=False).fit(clips)
    expected = plain_bags(clips, bag.codebook_[0], 7)
    np.testing.assert_array_equal(bag.transform(clips), expected)

    x, words = np.concatenate(clips), bag.codebook_[0]
    expansion = (words**2).sum(axis=1) - 2 * x @ words.T
    nearest = np.argsort(expansion, axis=1, kind="stable")[:, :7]
    assert (np.bincount(nearest.ravel(), minlength=25) != expected.sum(axis=0)).any()


@pytest.mark.parametrize("n_pairs", [1, 2, 3, 17, 300])
@pytest.mark.parametrize("n_features", [1, 5, 700])
def test_differences_are_summed_in_order_however_many_pairs(n_pairs, n_features, rng):
    x = rng.normal(size=(n_pairs, n_features)).astype(np.float32)
    words = rng.normal(size=(4, n_features)).astype(np.float32)
    rows, columns = np.arange(n_pairs), np.arange(n_pairs) % 4
    expected = np.zeros(n_pairs, np.float32)
    for value, word in zip(x.T, words[columns].T):
        expected += (value - word) ** 2
    found = codebook_module.squared_differences(x, words, rows, columns)
    np.testing.assert_array_equal(found, expected)


def test_ties_go_to_the_lowest_index():
    words = np.array([[2.0], [0.0], [2.0], [0.0], [1.0]])
    bag = BagOfFeatures(codebook=words, n_assign=1, scale="none", log=False)
    assert bag.fit_transform([[[1.5]], [[2.1]], [[-1.0]]]).tolist() == [
        [1, 0, 0, 0, 0],
        [1, 0, 0, 0, 0],
        [0, 1, 0, 0, 0],
    ]


def test_blocks_do_not_change_bags(monkeypatch):
    clips = make_clips(n_clips=5, n_frames=(30, 90))
    bag = BagOfFeatures(20, 4).fit(clips)
    whole = bag.transform(clips)
    monkeypatch.setattr(codebook_module, "BLOCK_VALUES", 1)  # 16 frames a block
    np.testing.assert_array_equal(bag.transform(clips), whole)
    zscore = BagOfFeatures(20, 4, scale="zscore").fit(clips)
    x = np.concatenate(clips).astype(np.float64)
    np.testing.assert_allclose(zscore.std_, x.std(axis=0, ddof=1), rtol=1e-6)


def test_memory_does_not_grow_with_frames(monkeypatch, rng):
    monkeypatch.setattr(codebook_module, "BLOCK_VALUES", 2**16)
    bag = BagOfFeatures(50, 5).fit([rng.normal(size=(200, 64)).astype(np.float32)])
    peaks = []
    for n_frames in (100, 1000):
        clips = [rng.normal(size=(n_frames, 64)).astype(np.float32) for _ in range(20)]
        tracemalloc.start()
        bag.transform(clips)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.1 * peaks[0]


@pytest.mark.parametrize("sampling", ["random", "random++"])
def test_first_words_are_the_smaller_codebook(sampling):
    clips = make_clips()
    large = BagOfFeatures(30, 1, sampling).fit(clips).codebook_[0]
    small = BagOfFeatures(7, 1, sampling).fit(clips).codebook_[0]
    np.testing.assert_array_equal(large[:7], small)
    other = BagOfFeatures(7, 1, sampling, random_state=1).fit(clips).codebook_[0]
    assert not np.array_equal(small, other)


@pytest.mark.parametrize("sampling", ["random", "random++"])
def test_grid_equals_single_fits(sampling):
    clips = make_clips(n_frames=(20, 60))
    bag = BagOfFeatures(40, 3, sampling, norm="tf").fit(clips)
    grid = bag.transform_grid(clips, [5, 20, 40], [1, 4, 20])
    assert set(grid) == {(s, a) for s in (5, 20, 40) for a in (1, 4, 20) if a <= s}
    for (size, n_assign), bags in grid.items():
        single = clone(bag).set_params(codebook_size=size, n_assign=n_assign)
        np.testing.assert_array_equal(bags, single.fit_transform(clips))
    assert list(bag.transform_grid(clips)) == [(40, 3)]


def test_grid_of_streams_takes_each_size_for_every_stream():
    clips = make_clips(n_features=5)
    bag = BagOfFeatures(12, 2, stream_widths=(2, 3)).fit(clips)
    grid = bag.transform_grid(clips, [6], [2])
    np.testing.assert_array_equal(
        grid[6, 2], clone(bag).set_params(codebook_size=6).fit_transform(clips)
    )


def test_grid_refuses_what_it_cannot_give():
    clips = make_clips()
    means = BagOfFeatures(10, 2, "kmeans").fit(clips)
    assert set(means.transform_grid(clips, n_assigns=[1, 5])) == {(10, 1), (10, 5)}
    with pytest.raises(ParameterError, match=r"codebook_sizes: found 5.*random\+\+ are nested"):
        means.transform_grid(clips, [5])
    bag = BagOfFeatures(10, 2).fit(clips)
    with pytest.raises(ParameterError, match=r"codebook_sizes: found 11, expected .* <= 10"):
        bag.transform_grid(clips, [11])
    with pytest.raises(ParameterError, match="n_assigns: found none"):
        bag.transform_grid(clips, [5], [6])
    with pytest.raises(ParameterError, match="idf: found True"):
        BagOfFeatures(10, 2, idf=True).fit(clips).transform_grid(clips)


def test_words_are_scaled_frames_without_repetition():
    clips = make_clips()
    bag = BagOfFeatures(25, 1).fit(clips)
    x = np.concatenate(clips)
    low, high = x.min(axis=0), x.max(axis=0)
    scaled = (x - low) / (high - low)
    matches = (bag.codebook_[0][:, None] == scaled).all(axis=2)
    assert (matches.sum(axis=1) == 1).all()
    assert matches.any(axis=0).sum() == 25


def test_random_passes_over_near_duplicates(rng):
    centres = rng.uniform(size=(6, 40)).round(2)
    # Forty repetitions of each, all within 5e-5 of it.
    x = np.repeat(centres, 40, axis=0) + rng.uniform(-5e-5, 5e-5, (240, 40))
    bag = BagOfFeatures(6, 1, scale="none").fit([x])
    gaps = np.abs(bag.codebook_[0][:, None] - centres).max(axis=2)
    assert sorted(gaps.argmin(axis=1)) == list(range(6))
    with pytest.raises(ParameterError, match="codebook_size: found 7, expected at most 6"):
        BagOfFeatures(7, 1, scale="none").fit([x])


def test_random_plus_plus_spreads_and_counts_distinct_frames(rng):
    # One cluster holds nearly all frames; spread sampling still finds the others first.
    centres = np.array([[0.0, 0], [100, 0], [0, 100], [100, 100]])
    x = np.concatenate([np.repeat(centres[:1], 400, axis=0), centres[1:]])
    x = x + rng.normal(0, 0.1, x.shape)
    words = BagOfFeatures(4, 1, "random++", scale="none").fit([x]).codebook_[0]
    np.testing.assert_array_equal(np.unique(words.round(-2), axis=0), np.unique(centres, axis=0))
    with pytest.raises(ParameterError, match="codebook_size: found 5, expected at most 4"):
        BagOfFeatures(5, 1, "random++").fit([np.repeat(centres, 50, axis=0)])


def test_kmeans_words_are_means_of_their_frames():
    clips = make_clips(n_frames=(40, 60))
    x = np.concatenate(clips)
    bag = BagOfFeatures(5, 1, "kmeans", scale="none").fit(clips)
    words = bag.codebook_[0]
    owner = ((x[:, None] - words) ** 2).sum(axis=2).argmin(axis=1)
    means = [x[owner == word].mean(axis=0) for word in range(5)]
    np.testing.assert_allclose(words, means, atol=1e-4)


def test_later_data_are_not_clipped():
    bag = BagOfFeatures(codebook=np.array([[0.0], [1.0], [2.0]]), n_assign=1, log=False)
    bag.fit([[[0.0], [10.0]]])
    assert bag.transform([[[19.0]]]).tolist() == [[0, 0, 1]]


def test_zscore_has_one_degree_less_and_keeps_its_digits(rng):
    x = (1e4 + rng.normal(size=(300, 3))).astype(np.float32)
    bag = BagOfFeatures(5, 1, scale="zscore").fit([x[:100], x[100:]])
    np.testing.assert_allclose(bag.mean_, x.astype(np.float64).mean(axis=0), rtol=1e-7)
    np.testing.assert_allclose(bag.std_, x.astype(np.float64).std(axis=0, ddof=1), rtol=1e-6)


@pytest.mark.parametrize("scale", ["minmax", "zscore"])
def test_constant_feature_has_width_one_and_changes_no_bag(scale):
    clips = make_clips()
    constant = [np.hstack([frames, np.full((len(frames), 1), 0.1)]) for frames in clips]
    bag = BagOfFeatures(10, 2, scale=scale).fit(constant)
    assert (bag.width_ if scale == "minmax" else bag.std_)[-1] == 1
    expected = BagOfFeatures(10, 2, scale=scale).fit_transform(clips)
    np.testing.assert_array_equal(bag.transform(constant), expected)


def test_log_and_norms():
    clips = make_clips()
    bag = BagOfFeatures(10, 3, log=False).fit(clips)
    counts = bag.transform(clips)
    frames = np.array([[len(each)] for each in clips])
    np.testing.assert_allclose(
        clone(bag).set_params(log=True).fit_transform(clips), np.log10(counts + 1), rtol=1e-6
    )
    per_frame = bag.set_params(norm="frames").transform(clips)
    np.testing.assert_allclose(per_frame, counts / frames * 10, rtol=1e-6)
    np.testing.assert_allclose(bag.set_params(norm="tf").transform(clips).sum(axis=1), 10)
    lengths = np.linalg.norm(bag.set_params(norm="l2").transform(clips), axis=1)
    np.testing.assert_allclose(lengths, 10, rtol=1e-6)


def test_idf_takes_away_what_every_clip_has():
    words = np.array([[0.0], [1.0], [2.0]])
    bag = BagOfFeatures(codebook=words, n_assign=1, scale="none", log=False, idf=True)
    bags = bag.fit_transform([[[0.0], [1.0]], [[0.0], [0.0]]])
    np.testing.assert_allclose(bag.idf_, [0, np.log10(2), 0], rtol=1e-6)
    np.testing.assert_allclose(bags, [[0, np.log10(2), 0], [0, 0, 0]], rtol=1e-6)


def test_gaussian_and_off():
    words = np.array([[0.0], [3.0]])
    bag = BagOfFeatures(codebook=words, n_assign=2, scale="none", log=False, gaussian=2.0)
    frame = [[[1.0]]]
    np.testing.assert_allclose(
        bag.fit_transform(frame), [[np.exp(-1 / 8), np.exp(-4 / 8)]], rtol=1e-6
    )
    np.testing.assert_array_equal(bag.set_params(gaussian=None, off=1.5).transform(frame), [[1, 0]])
    # A word exactly as far away as ``off`` is not further away.
    np.testing.assert_array_equal(bag.set_params(off=2.0).transform(frame), [[1, 1]])
    assert not np.isnan(bag.set_params(off=0.5, norm="l2").transform(frame)).any()


def test_streams_given_either_way_are_bags_side_by_side():
    clips = make_clips(n_features=5)
    first, second = [c[:, :2] for c in clips], [c[:, 2:] for c in clips]
    bag = BagOfFeatures((4, 9), (1, 3), stream_widths=(2, 3)).fit(clips)
    bags = bag.transform(clips)
    separate = BagOfFeatures((4, 9), (1, 3)).fit([first, second])
    np.testing.assert_array_equal(bags, separate.transform([first, second]))
    alone = BagOfFeatures(4, 1).fit(first)
    np.testing.assert_array_equal(bags[:, :4], alone.transform(first))
    wider = BagOfFeatures((6, 9), (1, 3)).fit([first, second])
    np.testing.assert_array_equal(wider.codebook_[1], bag.codebook_[1])
    assert list(bag.get_feature_names_out()[[0, 4]]) == ["stream_0_word_0", "stream_1_word_0"]
    assert len(bag.get_feature_names_out()) == bags.shape[1] == 13


def test_scikit_learn_contract():
    codebook = np.eye(3)
    bag = BagOfFeatures(7, 2, sampling="kmeans", codebook=codebook)
    copy = clone(bag)
    assert copy.get_params()["sampling"] == "kmeans"
    np.testing.assert_array_equal(copy.codebook, codebook)
    assert copy.set_params(n_assign=3).n_assign == 3
    assert bag.n_assign == 2
    for method in (BagOfFeatures().transform, BagOfFeatures().transform_grid):
        with pytest.raises(NotFittedError, match="not fitted"):
            method(make_clips())
    with pytest.raises(NotFittedError, match="not fitted"):
        BagOfFeatures().get_feature_names_out()
    fitted = BagOfFeatures(7, 2)
    assert fitted.fit(make_clips()) is fitted
    assert fitted.n_features_in_ == 6
    assert list(fitted.get_feature_names_out()) == [f"word_{i}" for i in range(7)]


def test_pipeline_and_grid_search():
    rng = np.random.default_rng(0)
    y = np.repeat([0, 1], 12)
    clips = [rng.normal(2 * label, 1, (rng.integers(10, 20), 4)) for label in y]
    pipeline = make_pipeline(BagOfFeatures(5, 1), LinearSVC())
    search = GridSearchCV(pipeline, {"bagoffeatures__codebook_size": [5, 20]}, cv=3)
    search.fit(clips, y)
    assert search.best_score_ > 0.9


def with_item(item):
    return [*make_clips(n_clips=3), item]


@pytest.mark.parametrize(
    ("X", "message"),
    [
        ([], "X: found no clips"),
        (with_item(np.empty((0, 6))), r"item 3: found float64 of shape \(0, 6\)"),
        (with_item(np.ones(6)), r"item 3: found float64 of shape \(6,\)"),
        (with_item(np.ones((4, 5))), "item 3: found 5 features, expected 6"),
        (with_item(np.full((4, 6), np.nan)), "item 3: found nan in frame 0, feature 0"),
        (with_item([[0.0] * 6, [0.0, 1e300] + [0.0] * 4]), "item 3: found 1e.300 in frame 1"),
        (with_item(np.full((4, 6), "a")), "item 3: found <U1"),
        ([make_clips(seed=0), make_clips(seed=1)], "numbers of frames in stream 1"),
    ],
)
def test_bad_input_names_the_clip(X, message):
    with pytest.raises(ParameterError, match=message):
        BagOfFeatures(3, 1).fit(X)


def test_bad_input_after_fit():
    bag = BagOfFeatures(3, 1).fit(make_clips())
    with pytest.raises(ParameterError, match=r"features a stream, expected \(6,\)"):
        bag.transform([np.ones((2, 4))])
    with pytest.raises(ParameterError, match="item 1: found values beyond float32 after scaling"):
        bag.transform([np.ones((2, 6)), np.full((2, 6), 1e38)])


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"n_assign": 6}, "n_assign: found 6, expected at most the codebook size, 5"),
        ({"n_assign": 0}, "n_assign: found 0"),
        ({"codebook_size": 0}, "codebook_size: found 0"),
        ({"codebook_size": 5.5}, "codebook_size: found 5.5"),
        ({"codebook_size": (5, 5)}, "codebook_size: found 2 values"),
        ({"codebook_size": 10_000}, "codebook_size: found 10000, expected at most"),
        ({"sampling": "randm"}, "did you mean 'random'"),
        ({"scale": "max"}, "scale: found 'max'"),
        ({"norm": "l1"}, "norm: found 'l1'"),
        ({"gaussian": 0}, "gaussian: found 0"),
        ({"off": -1}, "off: found -1"),
        ({"codebook": np.ones((9, 2))}, r"codebook: found shapes \[\(9, 2\)\]"),
        ({"stream_widths": (2, 3)}, r"stream_widths: found \(2, 3\)"),
    ],
)
def test_bad_parameters_are_named(parameters, message):
    bag = BagOfFeatures(codebook_size=5, n_assign=1).set_params(**parameters)
    with pytest.raises(ParameterError, match=message):
        bag.fit(make_clips())
