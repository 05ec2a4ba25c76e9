"""Audio plots of recordings as files."""

import warnings

import numpy as np
import pytest
import soundfile
from PIL import Image

from thesislib.errors import AudioError, ParameterError
from thesislib.export.plot import plot_file

SR = 16000


@pytest.mark.parametrize("style, size_px", [("thesis", 387), ("deepspectrum", 227)])
def test_a_file_becomes_a_picture_and_an_array(tmp_path, style, size_px):
    soundfile.write(tmp_path / "t.wav", 0.5 * np.sin(2 * np.pi * 1000 * np.arange(SR) / SR), SR)
    settings = {"style": style, "kind": "spectrogram", "colour_map": "gray", "end_s": 0.5}
    for name in ("t.png", "t.npy"):
        plot_file(tmp_path / "t.wav", tmp_path / name, **settings)
    array = np.load(tmp_path / "t.npy")
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "t.png")), array)
    assert array.shape == (size_px, size_px, 3)
    assert array.sum(axis=(1, 2)).argmax() / size_px == pytest.approx(7 / 8, abs=0.01)
    plot_file(tmp_path / "t.wav", tmp_path / "n.npy", style=style, n_fft=64, size_px=50)
    assert np.load(tmp_path / "n.npy").shape == (50, 50, 3)


@pytest.mark.parametrize("sr", [8000, 16000, 44100, 96000])
def test_a_mel_plot_has_no_empty_bands_by_default(tmp_path, rng, sr):
    soundfile.write(tmp_path / "noise.wav", 0.1 * rng.normal(size=sr), sr)
    draw = {"kind": "mel", "colour_map": "gray", "size_px": 128}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        plot_file(tmp_path / "noise.wav", tmp_path / "plot.npy", **draw)
    assert np.load(tmp_path / "plot.npy").mean(axis=(1, 2)).min() > 30
    plot_file(tmp_path / "noise.wav", tmp_path / "long.npy", window_s=0.2, **draw)
    with pytest.raises(ParameterError, match="n_fft: found beside window_s"):
        plot_file(tmp_path / "noise.wav", tmp_path / "o.npy", window_s=0.2, n_fft=512, **draw)


def test_a_file_that_cannot_be_drawn_is_named(tmp_path):
    soundfile.write(tmp_path / "short.wav", np.ones(100), SR)
    with pytest.raises(AudioError, match=r"short\.wav: found 100 samples, expected .* window"):
        plot_file(tmp_path / "short.wav", tmp_path / "o.png")
    with pytest.raises(ParameterError, match=r"output: found '.jpg', expected one of .png, .npy"):
        plot_file(tmp_path / "short.wav", tmp_path / "o.jpg")


@pytest.mark.parametrize(
    "suffix, start", [(".png", b"\x89PNG"), (".pdf", b"%PDF"), (".svg", b"<?xml")]
)
def test_a_figure_with_axes_has_the_same_bytes_again(tmp_path, rng, suffix, start):
    soundfile.write(tmp_path / "$a_1$.wav", 0.1 * rng.normal(size=SR), SR)
    for name in ("first", "second"):
        plot_file(tmp_path / "$a_1$.wav", tmp_path / f"{name}{suffix}", axes=True, start_s=0.2)
    written = (tmp_path / f"first{suffix}").read_bytes()
    assert written.startswith(start)
    assert written == (tmp_path / f"second{suffix}").read_bytes()
    with pytest.raises(ParameterError, match=r"output: found '.npy', expected one of .png, .pdf"):
        plot_file(tmp_path / "$a_1$.wav", tmp_path / "o.npy", axes=True)
