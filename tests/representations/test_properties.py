"""Properties of files: each is what it says, on signals for which it is known."""

import numpy as np
import pandas as pd
import pytest
import soundfile

from thesislib.corpora.index import Corpus
from thesislib.errors import ParameterError
from thesislib.representations import Properties, Reading, extract
from thesislib.representations.properties import NAMES
from thesislib.store import FeatureStore

SR = 16000


def measure(y, sr=SR):
    return dict(zip(NAMES, Properties().fit_transform([(y, sr)])[0].tolist()))


@pytest.fixture
def tone():
    return 0.5 * np.sin(2 * np.pi * 1000 * np.arange(2 * SR) / SR)


def test_a_tone_has_its_level_and_frequency(tone):
    values = measure(tone)
    assert values["duration_s"] == 2
    assert values["level_db"] == pytest.approx(-9.03, abs=0.01)
    assert values["peak"] == pytest.approx(0.5)
    assert values["offset"] == pytest.approx(0, abs=1e-6)
    assert values["median_hz"] == pytest.approx(1000, abs=1)
    assert values["bandwidth_hz"] == pytest.approx(1000, abs=2)
    assert (values["loud_share"], values["clipped_share"]) == (1, 0)
    assert (values["sr"], values["n_channels"]) == (SR, 1)


def test_silence_offset_noise_and_clipping_are_measured(tone, rng):
    padded = np.concatenate([np.zeros(SR), tone])
    assert measure(padded)["lead_in_s"] == pytest.approx(1, abs=0.001)
    assert measure(padded)["loud_share"] == pytest.approx(2 / 3, abs=0.01)
    assert measure(padded)["noise_floor_db"] == -120
    assert measure(tone + 0.1)["offset"] == pytest.approx(0.1, abs=1e-3)
    noisy = padded + 1e-3 * rng.standard_normal(len(padded))
    assert measure(noisy)["noise_floor_db"] == pytest.approx(-60, abs=1)
    assert measure(np.clip(4 * tone, -1, 1))["clipped_share"] == pytest.approx(2 / 3, abs=0.05)
    white = measure(0.1 * rng.standard_normal(4 * SR))
    assert white["bandwidth_hz"] == pytest.approx(0.95 * SR / 2, rel=0.01)


@pytest.mark.parametrize("y", [np.zeros(SR), np.ones(1), np.zeros((5, 2)), np.full(3, 1e-30)])
def test_every_signal_has_finite_properties(y):
    assert np.isfinite(list(measure(y).values())).all()


def test_shapes_that_are_no_signal_are_named():
    with pytest.raises(ParameterError, match=r"X\[1\]: found shape \(0,\)"):
        Properties().transform([(np.ones(3), SR), (np.ones(0), SR)])
    with pytest.raises(ParameterError, match="loud_db: found 0, expected a number > 0"):
        Properties(loud_db=0).fit()


def test_extraction_keeps_rate_and_channels(tmp_path, tone):
    soundfile.write(tmp_path / "a.wav", np.stack([tone, -tone], axis=1), SR)
    soundfile.write(tmp_path / "b.wav", tone[::2], SR // 2)
    index = {"file": ["a.wav", "b.wav"], "label": ["x", "y"]}
    corpus = Corpus(pd.DataFrame(index), tmp_path, "example")
    store, reading = FeatureStore(tmp_path / "store"), Reading(channel="all")
    for n_reused in (0, 2):
        features = extract(corpus, Properties(), None, store, reading=reading, progress=False)
        assert features.n_reused == n_reused
    assert features.columns("sr").matrix.ravel().tolist() == [SR, SR // 2]
    assert features.columns("n_channels").matrix.ravel().tolist() == [2, 1]
    assert features.columns("level_db").matrix[0] < -90  # the mean of opposite channels
