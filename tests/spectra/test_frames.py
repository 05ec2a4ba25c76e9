import numpy as np
import pytest

from thesislib.errors import AudioError, ParameterError
from thesislib.spectra.frames import LogMelFrames
from thesislib.spectra.spectrogram import delta

SR = 8000


def click(at_s, duration_s=2.0):
    y = np.zeros(round(duration_s * SR))
    y[round(at_s * SR)] = 1.0
    return y


@pytest.mark.parametrize("at_s", [0.0, 0.46, 1.0])
def test_a_frame_stands_for_the_time_in_its_middle(at_s):
    frames = LogMelFrames(0.046, 0.023, 20)
    S = frames(click(at_s), sr=SR)
    assert S.sum(axis=1).argmax() * frames.hop(SR) == pytest.approx(at_s, abs=0.012)


def test_decibels_do_not_depend_on_what_comes_later(rng):
    frames = LogMelFrames(0.046, 0.023, 20)
    y = 0.01 * rng.normal(size=SR)
    loud = np.concatenate([y, 100 * y])
    alone, followed = frames(y, sr=SR)[:40], frames(loud, sr=SR)[:40]
    np.testing.assert_array_equal(alone, followed)


@pytest.mark.parametrize("block", [1, 37, 400, 5000, 10**6])
def test_a_stream_has_the_same_bits_in_any_blocks(rng, block):
    frames = LogMelFrames(0.046, 0.023, 20)
    y = rng.normal(size=3777 if block == 1 else 2 * SR + 11).astype(np.float32)
    blocks = (y[i : i + block] for i in range(0, len(y), block))
    streamed = np.concatenate(list(frames.stream(blocks, sr=SR)))
    np.testing.assert_array_equal(streamed, frames(y, sr=SR))


def test_derivatives_stand_behind_the_bands(rng):
    y = rng.normal(size=SR)
    plain = LogMelFrames(0.046, 0.023, 20)(y, sr=SR)
    both = LogMelFrames(0.046, 0.023, 20, delta=True)(y, sr=SR)
    np.testing.assert_array_equal(both[:, :20], plain)
    np.testing.assert_array_equal(both[:, 20:], delta(plain.T).T)


def test_the_hop_is_rounded_to_samples_and_says_so():
    frames = LogMelFrames(0.046, 0.023, 128)
    assert frames.hop(44100) == 1014 / 44100
    assert len(frames(np.ones(44100 * 30), sr=44100)) == 1 + 44100 * 30 // 1014


def test_silence_is_no_warning_and_too_short_an_error(recwarn):
    frames = LogMelFrames(0.046, 0.023, 20)
    assert np.ptp(frames(np.zeros(SR), sr=SR)) == 0
    assert not [w for w in recwarn if "silent" in str(w.message)]
    with pytest.raises(AudioError, match="found 300 samples, expected at least one window, 368"):
        list(frames.stream([np.zeros(300)], sr=SR))
    with pytest.raises(ParameterError, match="delta: found True, expected one of False"):
        list(LogMelFrames(0.046, 0.023, 20, delta=True).stream([np.zeros(500)], sr=SR))
    with pytest.raises(ParameterError, match=r"hop_s: found 0\.1"):
        LogMelFrames(0.05, 0.1, 20)
