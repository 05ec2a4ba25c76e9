import numpy as np
import pytest
import torch
from sklearn.base import clone

from thesislib.errors import ParameterError, WeightsError
from thesislib.representations import crnn as crnn_module
from thesislib.representations import frame_detector
from thesislib.representations.crnn import CRNN, FFNN
from thesislib.representations.frame_detector import (
    count_shares,
    label_frames,
    search_learning_rate,
)
from thesislib.representations.sliding import (
    predict_ensemble,
    predict_sliding,
    stream_probabilities,
)

N_BANDS = 16
SMALL = {
    "n_filters": (4, 6),
    "kernel_sizes": ((3, 3), (3, 1)),
    "pool_sizes": (2, 4),
    "n_units": 8,
    "n_dense": 8,
    "n_epochs": 2,
    "batch_size": 16,
    "learning_rate": 0.01,
    "device": "cpu",
}


def tone_bursts(rng, n=12, n_frames=60):
    """Noise with a burst in two neighbouring bands in three clips of four."""
    X = rng.normal(size=(n, n_frames, N_BANDS)).astype(np.float32)
    y = np.zeros((n, n_frames), int)
    for i in range(n):
        if i % 4:
            start = rng.integers(5, n_frames - 15)
            y[i, start : start + 10] = 1
            X[i, start : start + 10, 5:7] += 4
    return X, y


@pytest.fixture(scope="module")
def data():
    return tone_bursts(np.random.default_rng(1))


def sliding_by_definition(detector, clip):
    """Chunk by chunk, each convolved for itself: zeros (the mean) or frames to either side."""
    network, length = detector.network_, detector.chunk_frames
    margin, n = network.margin, len(clip)
    standard = (torch.from_numpy(clip) - network.mean) / network.scale
    total, count = np.zeros((n, detector.n_outputs_)), np.zeros((n, 1))
    for start in range(n - length + 1):
        chunk = torch.zeros(length + 2 * margin, clip.shape[1])
        for i in range(-margin, length + margin):
            inside = 0 <= i < length if detector.convolution_context == "chunk" else True
            if inside and 0 <= start + i < n:
                chunk[i + margin] = standard[start + i]
        with torch.inference_mode():
            logits = network(chunk[None])[0]
        p = logits.softmax(-1) if detector.output == "softmax" else logits.sigmoid()
        total[start : start + length] += p.numpy()
        count[start : start + length] += 1
    return total / count


@pytest.mark.parametrize("direction", ["backward", "forward", "bidirectional"])
@pytest.mark.parametrize("cell", ["LSTM", "GRU"])
def test_learns_tone_bursts(seeds, cell, direction):
    settings = SMALL | {"n_epochs": 12, "cell": cell, "direction": direction, "dropout": 0.1}
    remaining, ranked = [], []
    for seed in seeds:
        X, y = tone_bursts(np.random.default_rng(seed))
        detector = CRNN(10, **settings, random_state=seed).fit(X[:8], y[:8])
        losses = [row["loss"] for row in detector.history_]
        remaining.append(losses[-1] / losses[0])
        probabilities = predict_sliding(detector, X[8:])
        assert probabilities.shape == (4, 60, 1)
        # Between frames of events and of background, at random: half of the pairs.
        event, rest = probabilities[..., 0][y[8:] == 1], probabilities[..., 0][y[8:] == 0]
        ranked.append((event[:, None] > rest).mean())
    assert np.median(remaining) < 0.5
    assert np.median(ranked) > 0.9


def test_every_parameter_gets_a_gradient(data):
    detector = CRNN(10, **SMALL | {"n_epochs": 0, "dropout": 0.0}).fit(*data)
    network = detector.network_.train()
    x = torch.randn(4, 10 + 2 * network.margin, N_BANDS)
    network(x).square().sum().backward()
    for name, parameter in network.named_parameters():
        # Batch normalisation takes the mean away, so a bias before it has no effect.
        if not name.startswith(("convolutions.1.bias", "convolutions.7.bias", "dense.bias")):
            assert parameter.grad.abs().max() > 0, name


@pytest.mark.parametrize("chunk_frames", [1, 3, 7, 60])
@pytest.mark.parametrize("time_kernel", [1, 5])
def test_time_never_shrinks(data, chunk_frames, time_kernel):
    X, y = data
    settings = SMALL | {"n_epochs": 0, "kernel_sizes": ((3, time_kernel), (5, time_kernel))}
    detector = CRNN(chunk_frames, **settings).fit(X, y)
    assert detector.predict_proba(X[:2]).shape == (2, 60, 1)
    assert predict_sliding(detector, X[:2]).shape == (2, 60, 1)
    assert detector.predict(X[:2]).shape == (2, 60, 1)
    # Also where the clip is no whole number of chunks, or shorter than one.
    for clip, p in zip([X[0, :13], X[1, :2]], detector.predict_proba([X[0, :13], X[1, :2]])):
        assert p.shape == (len(clip), 1)
        assert np.isfinite(p).all()


@pytest.mark.parametrize("context", ["clip", "chunk"])
@pytest.mark.parametrize("chunk_frames", [2, 5, 6, 9])
def test_sliding_equals_chunk_by_chunk(data, context, chunk_frames):
    X, y = data
    settings = SMALL | {"convolution_context": context, "kernel_sizes": ((3, 5), (3, 3))}
    detector = CRNN(chunk_frames, **settings).fit(X, y)
    expected = sliding_by_definition(detector, X[1])
    np.testing.assert_allclose(predict_sliding(detector, X[1:2])[0], expected, atol=1e-5)
    # What is beyond a short clip is the mean spectrum, as in a chunk filled up with it.
    short = X[1, : chunk_frames - 1]
    mean = detector.network_.mean.numpy()[None]
    filled = sliding_by_definition(detector, np.concatenate([short, mean]))[:-1]
    np.testing.assert_allclose(predict_sliding(detector, [short])[0], filled, atol=1e-5)


def test_contexts_differ_at_borders_of_chunks_only(data):
    X, y = data
    detectors = [
        CRNN(20, **SMALL | {"convolution_context": c, "n_recurrent": 0, "n_epochs": 0}).fit(X, y)
        for c in ("clip", "chunk")
    ]
    one, other = (d.predict_proba(X[:1])[0, :, 0] for d in detectors)
    differ = np.flatnonzero(np.abs(one - other) > 1e-6)
    assert set(differ) == {19, 20, 39, 40}  # a kernel of three frames sees one beyond


def test_streaming_equals_whole_in_any_blocks(data, monkeypatch):
    X, y = data
    monkeypatch.setattr("thesislib.representations.sliding.PIECE_FRAMES", 16)
    recording = np.concatenate(X)[:200]
    for settings in ({"convolution_context": "chunk"}, {"n_recurrent": 0}, {}):
        detector = CRNN(7, **SMALL | {"n_epochs": 0} | settings).fit(X, y)
        for hop in (1, 3, 7)[:: 1 + bool(settings)]:
            whole = np.concatenate(list(stream_probabilities(detector, [recording], hop=hop)))
            assert whole.shape == (len(recording), 1)
            for size in (1, 16, 199):
                blocks = (recording[i : i + size] for i in range(0, len(recording), size))
                parts = list(stream_probabilities(detector, blocks, hop=hop))
                np.testing.assert_array_equal(np.concatenate(parts), whole)
    with monkeypatch.context() as large:
        large.setattr("thesislib.representations.sliding.PIECE_FRAMES", 10_000)
        at_once = predict_sliding(detector, [recording])[0]
    streamed = np.concatenate(list(stream_probabilities(detector, [recording])))
    np.testing.assert_allclose(streamed, at_once, atol=1e-6)


def test_streaming_waits_no_longer_than_a_piece_and_holds_no_more(data, monkeypatch):
    X, y = data
    monkeypatch.setattr("thesislib.representations.sliding.PIECE_FRAMES", 16)
    detector = CRNN(7, **SMALL | {"n_epochs": 0}).fit(X, y)
    sent = received = 0

    def blocks():
        nonlocal sent
        for clip in X:
            for start in range(0, 60, 4):
                sent += 4
                yield clip[start : start + 4]

    for part in stream_probabilities(detector, blocks()):
        received += len(part)
        assert sent - received <= 16 + 7 + detector.network_.margin + 4
    assert received == 720


def test_stream_of_nothing_and_of_wrong_width(data):
    detector = CRNN(7, **SMALL | {"n_epochs": 0}).fit(*data)
    assert list(stream_probabilities(detector, [])) == []
    with pytest.raises(ParameterError, match=r"found shape \(5, 3\), expected \(time, 16\)"):
        list(stream_probabilities(detector, [np.zeros((5, 3))]))


@pytest.mark.parametrize("direction", ["backward", "forward"])
def test_direction_is_what_a_frame_can_see(data, direction):
    X, y = data
    settings = SMALL | {"n_epochs": 0, "direction": direction, "kernel_sizes": ((3, 1), (3, 1))}
    detector = CRNN(12, **settings).fit(X, y)
    clip = X[:1, :12].copy()
    before = detector.predict_proba(clip)
    clip[0, 6] += 3
    changed = np.abs(detector.predict_proba(clip) - before)[0, :, 0] > 0
    seeing = slice(0, 7) if direction == "backward" else slice(6, 12)
    assert changed[seeing].all()
    assert changed.sum() == len(range(12)[seeing])


def test_softmax_over_background_and_classes(data):
    X, y = data
    X, y = X.copy(), y.copy()
    y[6:] *= 2
    X[6:, :, [5, 12]] = X[6:, :, [12, 5]]
    detector = CRNN(10, **SMALL | {"output": "softmax", "n_epochs": 8, "positive_weight": 2.0})
    p = detector.fit(X, y).predict_proba(X)
    assert p.shape == (12, 60, 3)
    np.testing.assert_allclose(p.sum(-1), 1, atol=1e-5)
    assert detector.predict(X).shape == (12, 60)
    np.testing.assert_allclose(sum(detector.positive_share_), 1)
    one_hot = clone(detector).fit(X, np.eye(3, dtype=int)[y])
    np.testing.assert_array_equal(one_hot.predict_proba(X), p)


def test_several_independent_classes_and_derivatives_as_channels(data):
    X, y = data
    both = np.concatenate([X, np.gradient(X, axis=1).astype(np.float32)], axis=2)
    labels = np.stack([y, 1 - y], axis=2)
    detector = CRNN(10, **SMALL | {"n_channels": 2}).fit(both, labels)
    assert detector.predict_proba(both).shape == (12, 60, 2)
    assert detector.network_.convolutions[1].in_channels == 2
    assert sum(detector.positive_share_) == pytest.approx(1)
    assert list(detector.get_feature_names_out()) == ["crnn_0", "crnn_1"]


def test_standardisation_takes_scale_and_offset_away(data):
    X, y = data
    # Untrained: training would amplify the last bits.
    detectors = [CRNN(10, **SMALL | {"n_epochs": 0}).fit(z, y) for z in (X, 10 * X - 80)]
    p, q = detectors[0].predict_proba(X), detectors[1].predict_proba(10 * X - 80)
    np.testing.assert_allclose(p, q, atol=1e-5)


def test_weights_of_positive_frames_raise_their_probability(data, seeds):
    X, y = data
    means = [
        [
            CRNN(10, **SMALL | {"n_epochs": 8, "positive_weight": weight}, random_state=seed)
            .fit(X, y)
            .predict_proba(X)
            .mean()
            for weight in (None, "balanced", 50.0)
        ]
        for seed in seeds
    ]
    assert (np.median(np.diff(means), axis=0) > 0.05).all()


def test_negative_chunks_are_drawn_anew_each_epoch(data, monkeypatch):
    X, y = data
    drawn = []
    draw = frame_detector._Pool.draw

    def spy(self, chunks):
        drawn.append({(int(i), int(a)) for i, a in chunks})
        return draw(self, chunks)

    monkeypatch.setattr(frame_detector._Pool, "draw", spy)
    CRNN(10, **SMALL | {"n_negative": 0.5, "batch_size": 1000}).fit(X, y)
    positive = {(i, a) for i in range(12) for a in range(0, 60, 10) if y[i, a : a + 10].any()}
    for epoch in drawn:
        assert positive <= epoch
        assert len(epoch) == len(positive) + round(0.5 * len(positive))
    assert drawn[0] != drawn[1]


def test_validation_stops_and_restores_the_best(data):
    X, y = data
    rng = np.random.default_rng(5)
    noise = rng.integers(0, 2, size=(4, 60))  # nothing to learn: validation gets worse
    settings = SMALL | {"n_epochs": 40, "min_epochs": 4, "patience": 2, "learning_rate": 0.03}
    detector = CRNN(10, **settings).fit(X[:8], y[:8], X[8:], noise)
    losses = [row["validation_loss"] for row in detector.history_]
    # Two epochs after the best one, unless that is before the fourth or past the end.
    assert len(losses) == np.clip(np.argmin(losses) + 1 + 2, 4, 40)
    p = np.clip(detector.predict_proba(X[8:])[..., 0], 1e-7, 1 - 1e-7)
    entropy = -np.mean(noise * np.log(p) + (1 - noise) * np.log(1 - p))
    assert entropy == pytest.approx(min(losses), abs=1e-4)


def test_learning_rate_decays_as_stated(data):
    detector = CRNN(10, **SMALL | {"n_epochs": 3, "decay": 0.5}).fit(*data)
    rates = [row["learning_rate"] for row in detector.history_]
    np.testing.assert_allclose(rates, [0.01, 0.01 / 1.5, 0.01 / 2])


def test_same_seed_same_bits_and_clone(data):
    X, y = data
    detector = CRNN(10, **SMALL)
    before = detector.get_params()
    one = detector.fit(X, y).predict_proba(X)
    assert detector.get_params() == before
    torch.manual_seed(123)
    two = clone(detector).fit(X, y).predict_proba(X)
    np.testing.assert_array_equal(one, two)
    other = clone(detector).set_params(random_state=1).fit(X, y).predict_proba(X)
    assert not np.array_equal(one, other)


def test_a_clip_does_not_depend_on_its_neighbours(data):
    detector = CRNN(10, **SMALL).fit(*data)
    together = predict_sliding(detector, data[0])
    np.testing.assert_array_equal(together[3], predict_sliding(detector, data[0][3:4])[0])


def test_killed_training_goes_on_to_the_same_bits(data, tmp_path, monkeypatch):
    X, y = data
    settings = SMALL | {"n_epochs": 4}
    whole = CRNN(10, **settings).fit(X, y)
    forward, calls = crnn_module.CRNNNetwork.forward, 0

    def die(self, x):
        nonlocal calls
        calls += 1
        if calls > 12:  # five batches an epoch: in the third
            raise KeyboardInterrupt
        return forward(self, x)

    monkeypatch.setattr(crnn_module.CRNNNetwork, "forward", die)
    with pytest.raises(KeyboardInterrupt, match=r"^$"):
        CRNN(10, **settings, checkpoint=tmp_path).fit(X, y)
    monkeypatch.undo()
    resumed = CRNN(10, **settings, checkpoint=tmp_path).fit(X, y)
    assert resumed.history_ == whole.history_
    np.testing.assert_array_equal(resumed.predict_proba(X), whole.predict_proba(X))
    assert len(list(tmp_path.glob("crnn-*.safetensors"))) == 1


@pytest.mark.parametrize("kind", [CRNN, FFNN])
def test_saved_detector_is_the_same(data, tmp_path, kind):
    X, y = data
    detector = CRNN(5, **SMALL) if kind is CRNN else FFNN(n_epochs=1, device="cpu")
    path = tmp_path / "model.safetensors"
    detector.fit(X, y).save(path)
    loaded = kind.load(path, device="cpu")
    np.testing.assert_array_equal(loaded.predict_proba(X), detector.predict_proba(X))
    assert loaded.positive_share_ == detector.positive_share_
    with pytest.raises(WeightsError, match="estimator: found"):
        (FFNN if kind is CRNN else CRNN).load(path)


def test_ensemble_is_the_mean_over_chunk_lengths(data):
    X, y = data
    detectors = [CRNN(n, **SMALL | {"n_epochs": 1}).fit(X, y) for n in (3, 5)]
    mean = (predict_sliding(detectors[0], X) + predict_sliding(detectors[1], X)) / 2
    np.testing.assert_allclose(predict_ensemble(detectors, X), mean, atol=1e-6)
    np.testing.assert_array_equal(predict_ensemble(detectors, list(X))[2].shape, (60, 1))
    with pytest.raises(ParameterError, match="detectors: found none"):
        predict_ensemble([], X)


BASELINES = {
    "perceptron": FFNN(n_epochs=6, learning_rate=0.01, device="cpu"),
    "convolutions": CRNN(1, **SMALL | {"n_recurrent": 0, "n_epochs": 20}),
}


@pytest.mark.parametrize("kind", BASELINES)
def test_baselines_learn_tone_bursts(data, seeds, kind):
    X, y = data
    gaps = []
    for seed in seeds:
        detector = clone(BASELINES[kind]).set_params(random_state=seed).fit(X[:8], y[:8])
        p = detector.predict_proba(X[8:])[..., 0]
        gaps.append(p[y[8:] == 1].mean() - p[y[8:] == 0].mean())
    assert np.median(gaps) > 0.25


@pytest.mark.parametrize("kind", BASELINES)
def test_without_recurrence_sliding_has_nothing_to_average(data, kind):
    X, y = data
    detector = clone(BASELINES[kind]).set_params(n_epochs=1).fit(X[:8], y[:8])
    p = detector.predict_proba(X[8:])
    np.testing.assert_array_equal(predict_sliding(detector, X[8:]), p)


def test_the_perceptron_has_the_layers_of_the_challenge(data):
    network = clone(BASELINES["perceptron"]).set_params(n_epochs=0).fit(*data).network_
    sizes = [tuple(p.shape) for p in network.parameters() if p.ndim == 2]
    assert sizes == [(50, 5 * N_BANDS), (50, 50), (1, 50)]


def test_frame_of_a_perceptron_sees_its_context_only(data):
    X, y = data
    detector = FFNN(5, n_epochs=0, device="cpu").fit(X, y)
    clip = X[:1].copy()
    before = detector.predict_proba(clip)
    clip[0, 30] += 3
    changed = np.flatnonzero(detector.predict_proba(clip)[0, :, 0] != before[0, :, 0])
    np.testing.assert_array_equal(changed, [28, 29, 30, 31, 32])


def test_frame_labels_and_their_shares():
    labels = label_frames([1.0, np.nan, 3.5], [2.0, np.nan, 9.0], n_frames=30, hop_s=0.1)
    np.testing.assert_array_equal(np.flatnonzero(labels), range(10, 20))
    cut = label_frames([2.75], [9.0], n_frames=30, hop_s=0.1)
    np.testing.assert_array_equal(np.flatnonzero(cut), [28, 29])
    short = label_frames([1.01], [1.05], n_frames=30, hop_s=0.1)
    assert short.sum() == 1
    table = count_shares({"a": [labels, 0 * labels], "b": np.eye(4)})
    assert table.positive_percent.tolist() == [pytest.approx(100 * 10 / 60), 25.0]
    assert (table.positive_percent + table.negative_percent == 100).all()


@pytest.mark.parametrize(
    ("losses", "chosen"),
    [
        ({0.1: (3.0, 4.0), 0.01: (3.0, 2.0), 0.001: (3.0, 1.0)}, [0.01]),
        ({0.1: (3.0, 3.0), 0.01: (3.0, 2.0)}, [0.01]),
        ({0.1: (3.0, 4.0), 0.01: (3.0, 3.5)}, []),
        ({0.1: None, 0.001: (3.0, 2.0)}, [0.001]),
    ],
)
def test_learning_rate_search_takes_the_highest_that_falls(data, monkeypatch, losses, chosen):
    def fit(self, X, y):
        assert (self.dropout, self.checkpoint, self.n_epochs) == (0.0, None, 2)
        if losses[self.learning_rate] is None:
            raise ParameterError("loss: found inf, expected a finite number")
        self.history_ = [{"loss": loss} for loss in losses[self.learning_rate]]
        return self

    monkeypatch.setattr(CRNN, "fit", fit)
    detector = CRNN(10, **SMALL | {"dropout": 0.3, "checkpoint": "never used"})
    table = search_learning_rate(detector, *data, learning_rates=sorted(losses), n_epochs=2)
    assert table.learning_rate.tolist() == sorted(losses, reverse=True)
    assert table.learning_rate[table.highest_that_falls].tolist() == chosen
    assert detector.dropout == 0.3


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"chunk_frames": 0}, "chunk_frames: found 0"),
        ({"chunk_frames": 61}, r"X\[0\]: found 60 frames, expected at least a chunk of 61"),
        ({"kernel_sizes": ((3, 2), (3, 1))}, "found 2 frames, expected an odd number"),
        ({"pool_sizes": (4, 8)}, "pooling that leaves at least one band"),
        ({"pool_sizes": (4,)}, "expected as many of each"),
        ({"cell": "lstm"}, "cell: found 'lstm', expected one of LSTM, GRU"),
        ({"direction": "back"}, "did you mean 'backward'"),
        ({"n_channels": 3}, "16 columns in 3 channels"),
        ({"positive_weight": 0}, "positive_weight: found 0"),
        ({"dropout": 1.0}, r"dropout: found 1\.0"),
    ],
)
def test_impossible_parameters_are_named(data, changes, message):
    with pytest.raises(ParameterError, match=message):
        CRNN(**{"chunk_frames": 10} | SMALL | changes).fit(*data)


def test_impossible_data_is_named(data):
    X, y = data
    detector = CRNN(10, **SMALL)
    with pytest.raises(ParameterError, match=r"y\[0\]: found shape \(59,\)"):
        detector.fit(X, y[:, 1:])
    with pytest.raises(ParameterError, match="y: found 11 clips, expected 12"):
        detector.fit(X, y[1:])
    with pytest.raises(ParameterError, match="found values from 0 to 2, expected 0 and 1"):
        detector.fit(X, 2 * y)
    bad = X.copy()
    bad[3, 4, 5] = np.nan
    with pytest.raises(ParameterError, match=r"X\[3\]: found NaN"):
        detector.fit(bad, y)
    with pytest.raises(ParameterError, match=r"X\[0\]: found shape \(60, 15\)"):
        detector.fit(X, y).predict_proba(X[..., 1:])
