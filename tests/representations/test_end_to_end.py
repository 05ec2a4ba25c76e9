"""The end-to-end classifier: learns, ignores padding, can be saved and repeated."""

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

from thesislib.errors import ParameterError, WeightsError
from thesislib.representations.end_to_end import WaveformClassifier

SMALL = {"n_filters": 6, "n_units": 6, "n_layers": 1, "learning_rate": 0.01, "n_epochs": 15}


def make_clips(rng, n=24):
    y = np.array(["low", "high"])[np.arange(n) % 2]
    clips = []
    for label in y:
        t = np.arange(rng.integers(2000, 4000)) / 16000
        frequency = rng.uniform(150, 300) if label == "low" else rng.uniform(1500, 3000)
        clips.append(np.sin(2 * np.pi * frequency * t).astype(np.float32))
    return clips, y


def test_it_learns_what_can_be_learnt(seeds):
    scores, remaining = [], []
    for seed in seeds:
        X, y = make_clips(np.random.default_rng(seed))
        setting = SMALL | {"n_epochs": 40, "random_state": seed}
        machine = WaveformClassifier(**setting).fit(X[:16], y[:16])
        scores.append(machine.score(X[16:], y[16:]))
        remaining.append(machine.history_[-1]["loss"] / machine.history_[0]["loss"])
        assert np.allclose(machine.predict_proba(X).sum(axis=1), 1, atol=1e-5)
    assert np.median(scores) > 0.7  # chance is a half
    assert np.median(remaining) < 0.85


def test_same_seed_same_bits_and_the_global_generator_is_left_alone(rng):
    import torch

    X, y = make_clips(rng, 8)
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    one = WaveformClassifier(**SMALL).fit(X, y).predict_proba(X)
    assert torch.equal(torch.rand(1), expected)
    two = clone(WaveformClassifier(**SMALL)).fit(X, y).predict_proba(X)
    assert one.tobytes() == two.tobytes()


def test_padding_does_not_reach_a_clip(rng):
    import torch

    from thesislib.representations.autoencoder import pad

    X, y = make_clips(rng, 8)
    machine = WaveformClassifier(**SMALL).fit(X, y)
    with torch.inference_mode():
        together = machine.network_(*pad(X, "cpu")).softmax(dim=1).numpy()
    assert np.allclose(together, machine.predict_proba(X), atol=1e-5)


def test_saved_and_loaded_it_answers_the_same(rng, tmp_path):
    X, y = make_clips(rng, 8)
    machine = WaveformClassifier(**SMALL).fit(X, y)
    machine.save(tmp_path / "m.safetensors")
    loaded = WaveformClassifier.load(tmp_path / "m.safetensors")
    assert loaded.predict(X).tolist() == machine.predict(X).tolist()
    (tmp_path / "m.safetensors").write_bytes(b"\x80\x04not weights")
    with pytest.raises(WeightsError, match=r"m\.safetensors"):
        WaveformClassifier.load(tmp_path / "m.safetensors")


def test_bad_input_is_named(rng):
    X, y = make_clips(rng, 4)
    with pytest.raises(NotFittedError, match="not fitted"):
        WaveformClassifier().predict(X)
    with pytest.raises(ParameterError, match=r"X\[1\]: found shape \(10,\), expected at least"):
        WaveformClassifier().fit([X[0], np.zeros(10)], ["a", "b"])
    with pytest.raises(ParameterError, match="found one class"):
        WaveformClassifier().fit(X, ["a"] * 4)
    with pytest.raises(ParameterError, match="batch_size: found 1"):
        WaveformClassifier(batch_size=1).fit(X, y)
