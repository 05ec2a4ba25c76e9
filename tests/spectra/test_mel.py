"""The mel scale and its filters, against librosa and by their definition."""

import librosa
import numpy as np
import pytest

from thesislib.spectra.mel import hz_to_mel, mel_filters, mel_points, mel_to_hz


def test_equation_4_1():
    """1 kHz is 1000 mel, and twice 700 Hz adds log10(3/2) · 2595."""
    assert hz_to_mel(1000.0) == pytest.approx(1000, abs=0.1)
    assert hz_to_mel(1400.0) - hz_to_mel(700.0) == pytest.approx(2595 * np.log10(1.5))


@pytest.mark.parametrize("scale", ["htk", "slaney"])
def test_scales_are_those_of_librosa_and_invertible(scale):
    f = np.linspace(0, 22050, 500)
    mels = hz_to_mel(f, scale)
    np.testing.assert_allclose(mels, librosa.hz_to_mel(f, htk=scale == "htk"), rtol=1e-12)
    np.testing.assert_allclose(mel_to_hz(mels, scale), f, rtol=1e-9, atol=1e-9)
    assert (np.diff(mels) > 0).all()


@pytest.mark.parametrize("scale", ["htk", "slaney"])
@pytest.mark.parametrize("sr, n_fft, n_mels, f_min, f_max", [
    (16000, 512, 128, 0.0, 8000.0),
    (44100, 8820, 320, 0.0, 22050.0),
    (8000, 321, 26, 300.0, 3400.0),
])  # fmt: skip
@pytest.mark.filterwarnings("ignore:.*[Ee]mpty", "ignore:n_mels")
def test_filters_are_those_of_librosa(scale, sr, n_fft, n_mels, f_min, f_max):
    ours = mel_filters(sr, n_fft, n_mels, f_min, f_max, scale).toarray()
    theirs = librosa.filters.mel(
        sr=sr, n_fft=n_fft, n_mels=n_mels, fmin=f_min, fmax=f_max, htk=scale == "htk"
    )
    np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-9)


def test_filters_have_unit_area():
    filters = mel_filters(16000, 16384, 40, 0.0, 8000.0, "htk").toarray()
    np.testing.assert_allclose(filters.sum(axis=1) * 16000 / 16384, 1, rtol=1e-2)


def test_bands_without_a_bin_are_reported():
    with pytest.warns(UserWarning, match="n_mels: .* of 256 bands hold no bin of a window of 64"):
        filters = mel_filters(8000, 64, 256, 0.0, 4000.0, "htk")
    assert (filters.toarray().max(axis=1) == 0).any()


def test_points_are_equally_spaced_in_mel_and_include_the_limits():
    points = mel_points(100.0, 7000.0, 9)
    assert points[[0, -1]] == pytest.approx([100, 7000])
    np.testing.assert_allclose(np.diff(hz_to_mel(points), 2), 0, atol=1e-9)
