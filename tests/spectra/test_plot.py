"""Audio plots: DeepSpectrum 0.6.9's pixels, and what any plot must show."""

import dataclasses
import json
import pickle
from pathlib import Path

import matplotlib
import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

from thesislib.audio import read_audio
from thesislib.errors import ParameterError
from thesislib.spectra import (
    THESIS_COLOUR_MAPS,
    AudioPlot,
    Spectrum,
    check_colour_map,
    colour_table,
    draw_plot,
    write_png,
)

SR = 16000
FIXTURES = Path(__file__).parents[1] / "fixtures" / "deepspectrum"

# Settings in which 0.6.9 computes something else on purpose or by mistake, so that only its
# raster, not its spectrum, is held here.
FAULTS = {
    "spec_linear_delta1": "takes deltas of the complex transform's real part, not of the dB values",
    "mel128_delta1": "takes deltas of the complex transform's real part, not of the dB values",
    "mel128_fql4000": "moves mel bands to about half their frequency instead of cutting them off",
}
MATCHED = (
    "chroma_delta1",
    "chroma_viridis",
    "mel128_magma",
    "mel128_viridis",
    "mel128_viridis_387",
    "mel64_viridis",
    "spec_linear_fql4000",
    "spec_linear_magma",
    "spec_linear_nfft256",
    "spec_linear_viridis",
    "spec_linear_viridis_387",
    "spec_log_viridis",
    "spec_mel_axis_viridis",
)
pytestmark = pytest.mark.filterwarnings("ignore:n_mels")


def as_settings(options):
    """The settings of 0.6.9's options."""
    on_bands = options["mode"] == "mel"
    spectrum = Spectrum.deepspectrum(
        options["mode"],
        n_mels=options.get("melbands", 128),
        n_fft=options["nfft"],
        delta=bool(options["delta"]),
        f_max_hz=options["ylim"] if on_bands else None,
    )
    return AudioPlot(
        spectrum,
        colour_map=options["cmap"],
        frequency_axis=options["scale"],
        style="deepspectrum",
        size_px=options["size"],
        top_hz=None if on_bands else options["ylim"],
    )


def compare(folder, setting, recording):
    """Share of exact pixels, greatest difference in dB, share of exact pixels of the raster."""
    with np.load(folder / f"{setting}__{recording}.npz") as reference:
        picture, db, options = (
            reference["plot"],
            reference["db"],
            json.loads(str(reference["options"])),
        )
    settings = as_settings(options)
    y, sr = read_audio(folder / f"{recording}.wav")
    S = settings.spectrum(y, sr=sr)

    def exact(plot):
        return (plot == picture).all(axis=-1).mean()

    difference = np.abs(S - db).max()
    return exact(settings.draw(S, sr=sr)), difference, exact(settings.draw(db, sr=sr))


# --- parity -------------------------------------------------------------------------------


@pytest.mark.parametrize("setting", MATCHED)
def test_every_pixel_is_deepspectrums(setting):
    share, difference, _ = compare(FIXTURES, setting, "short")
    assert share == 1
    assert difference < 2.3e-5


@pytest.mark.parametrize("recording", ["s000", "s001", "short"])
def test_every_pixel_is_deepspectrums_on_longer_recordings(reference_data, recording):
    folder = reference_data / "deepspectrum"
    settings = json.loads((folder / "manifest.json").read_text())["cases"]
    assert set(settings) == {*MATCHED, *FAULTS}
    table = {name: compare(folder, name, recording) for name in settings}
    for name, (share, difference, raster) in table.items():
        print(
            f"{name:26} {recording:6} {100 * share:8.4f} % {difference:.1e} {100 * raster:8.4f} %"
        )
    assert {name for name, row in table.items() if row[0] == 1 and row[1] < 2.3e-5} == set(MATCHED)
    assert all(raster == 1 for _, _, raster in table.values())


@pytest.mark.parametrize("setting", FAULTS)
def test_faults_are_drawn_alike_but_not_computed_alike(setting):
    """Given 0.6.9's own matrix the pixels are its own; the matrix itself is not inherited."""
    share, difference, raster = compare(FIXTURES, setting, "short")
    assert raster == 1
    assert difference > 1 and share < 0.9, FAULTS[setting]


# --- what a plot shows --------------------------------------------------------------------


def tone(frequency_hz, duration_s=0.5, sr=SR):
    return np.sin(2 * np.pi * frequency_hz * np.arange(round(duration_s * sr)) / sr)


def brightest_height(plot):
    """Height of the brightest row, 0 the bottom and 1 the top."""
    return 1 - (plot.astype(int).sum(axis=(1, 2)).argmax() + 0.5) / len(plot)


@pytest.mark.parametrize("style", ["thesis", "deepspectrum"])
def test_low_frequencies_are_at_the_bottom(style):
    def height(frequency_hz, axis="linear", **settings):
        plot = AudioPlot(
            Spectrum(n_mels=64, **settings), colour_map="gray", style=style, frequency_axis=axis
        )
        return brightest_height(plot(tone(frequency_hz), sr=SR))

    for f in (1000, 4000, 7000):
        assert height(f, kind="spectrogram") == pytest.approx(f / 8000, abs=0.01)
    # The log and mel axes give low frequencies more room.
    assert height(1000, "log", kind="spectrogram") > 0.4
    assert height(500) < height(1000) < height(4000)


def test_the_thesis_shows_mel_bands_on_the_mel_scale():
    edges = AudioPlot(Spectrum("mel", n_mels=40)).row_edges(SR)
    np.testing.assert_allclose(np.diff(edges), 1 / 40)
    mel = 2595 * np.log10(1 + 1000 / 700) / (2595 * np.log10(1 + 8000 / 700))
    edges = AudioPlot(Spectrum("spectrogram"), frequency_axis="mel").row_edges(SR)
    middle = (edges[16] + edges[17]) / 2  # bin 16 of 62.5 Hz
    assert middle == pytest.approx(mel, abs=0.001)


@pytest.mark.parametrize("style", ["thesis", "deepspectrum"])
@pytest.mark.parametrize("axis", ["linear", "log", "mel"])
@pytest.mark.parametrize("limits", [{}, {"f_min_hz": 200, "f_max_hz": 5000}, {"n_fft": 255}])
def test_rows_fill_the_picture(style, axis, limits):
    plot = AudioPlot(Spectrum("spectrogram", **limits), frequency_axis=axis, style=style)
    edges = plot.row_edges(SR)
    assert edges[0] == 0 and edges[-1] == 1 and (np.diff(edges) > 0).all()
    assert len(edges) == 1 + len(plot.spectrum.frequencies_hz(SR))


@pytest.mark.parametrize("kind, top", [
    ("spectrogram", 0.5), ("mel", np.log10(1 + 4000 / 700) / np.log10(1 + 8000 / 700))
])  # fmt: skip
def test_a_limit_moves_no_band(kind, top):
    """Cut at 4 of 8 kHz, a band stands where the whole picture has it, in scale."""
    whole = AudioPlot(Spectrum(kind, n_mels=64), colour_map="gray")
    cut = dataclasses.replace(whole, top_hz=4000)
    np.testing.assert_allclose(cut.row_edges(SR), whole.row_edges(SR) / top)
    heights = [brightest_height(plot(tone(2000), sr=SR)) for plot in (cut, whole)]
    assert heights[0] == pytest.approx(heights[1] / top, abs=0.01)


def test_time_runs_from_left_to_right():
    y = np.concatenate([tone(1000), np.zeros(SR // 2), 0.01 * tone(1000)])
    plot = AudioPlot(Spectrum("spectrogram", clip_below_db=-60), colour_map="gray")(y, sr=SR)
    level = plot[..., 0].max(axis=0)
    assert level[30] > level[-30] > level[len(level) // 2]


# --- reduction ----------------------------------------------------------------------------


def test_reduction_by_a_whole_factor_is_pillows_box(rng):
    S = rng.normal(size=(40, 60))
    drawn = draw_plot(S, size_px=387, style="deepspectrum")
    box = np.asarray(Image.fromarray(drawn).resize((129, 129), Image.Resampling.BOX))
    ours = draw_plot(S, size_px=129, drawn_px=387)
    assert np.abs(ours.astype(int) - box).max() <= 1


@pytest.mark.parametrize("size_px", [1, 64, 224, 227, 386, 500])
def test_reduction_keeps_the_mean_colour(rng, size_px):
    S = rng.normal(size=(30, 500))
    drawn = draw_plot(S, size_px=387, style="deepspectrum").mean(axis=(0, 1))
    reduced = draw_plot(S, size_px=size_px)
    assert reduced.shape == (size_px, size_px, 3) and reduced.dtype == np.uint8
    np.testing.assert_allclose(reduced.mean(axis=(0, 1)), drawn, atol=0.6)


def test_reduction_leaves_even_areas_alone(rng):
    """Away from a border the two halves keep exactly their colours."""
    plot = draw_plot(np.repeat([[0.0], [1.0]], 3, axis=1), size_px=224, colour_map="plasma")
    assert (plot[:111] == colour_table("plasma")[255]).all()
    assert (plot[113:] == colour_table("plasma")[0]).all()


def test_drawn_at_its_own_size_nothing_is_reduced(rng):
    S = rng.normal(size=(30, 50))
    np.testing.assert_array_equal(
        draw_plot(S, size_px=387), draw_plot(S, size_px=387, style="deepspectrum")
    )


# --- colours ------------------------------------------------------------------------------


def test_every_colour_map_of_matplotlib():
    for name in matplotlib.colormaps:
        colours = matplotlib.colormaps[name]
        table = colour_table(name).astype(int)
        # Its bytes are cut off, not rounded, from 255.99 times the colour.
        near = colours(np.arange(colours.N), bytes=True)[:, :3]
        assert table.shape == near.shape and np.abs(table - near).max() <= 1, name


@pytest.mark.parametrize("name", ["viridis", "hot", "jet", "tab20b", "twilight"])
def test_colours_are_those_of_a_drawn_figure(name):
    """A ramp through matplotlib's canvas, a pixel a cell."""
    ramp = np.linspace(-3, 5, 400).reshape(20, 20)
    figure = Figure(figsize=(0.2, 0.2), dpi=100)
    figure.add_axes([0, 0, 1, 1]).set_axis_off()
    figure.axes[0].pcolormesh(ramp, cmap=name)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    drawn = np.asarray(canvas.buffer_rgba())[..., :3]
    ours = draw_plot(ramp, colour_map=name, size_px=20, style="deepspectrum")
    np.testing.assert_array_equal(ours, drawn)


def test_the_thesiss_colour_maps():
    for name in THESIS_COLOUR_MAPS:
        assert check_colour_map(name) == name
    np.testing.assert_array_equal(colour_table("vega20b"), colour_table("tab20b"))
    with pytest.raises(ParameterError, match=r"colour_map: found 'virids'.*did you mean 'viridis'"):
        check_colour_map("virids")


def test_a_ramp_is_monotone_in_grey():
    ramp = np.linspace(-80, 0, 1000)[np.newaxis]
    plot = draw_plot(ramp, size_px=256, style="deepspectrum", colour_map="gray")
    row = plot[0].astype(int)
    assert (row == row[:, :1]).all()  # grey
    assert (np.diff(row[:, 0]) >= 0).all()
    assert (row[0, 0], row[-1, 0]) == (0, 255)


def test_colours_span_each_plots_own_range(rng):
    S = rng.normal(size=(20, 20))
    np.testing.assert_array_equal(draw_plot(S), draw_plot(S * 4 - 32))


@pytest.mark.parametrize("style", ["thesis", "deepspectrum"])
@pytest.mark.parametrize("kind", ["spectrogram", "mel", "chroma"])
def test_silence_is_a_plot_of_one_colour(style, kind):
    plot = AudioPlot(Spectrum(kind), style=style)
    with (
        pytest.warns(UserWarning, match="silent signal"),
        pytest.warns(UserWarning, match="constant spectrum: its plot has one colour"),
    ):
        picture = plot(np.zeros(SR // 4), sr=SR)
    assert (picture == colour_table("viridis")[0]).all() and picture.shape == (227, 227, 3)


@pytest.mark.parametrize("n_frames", [1, 2, 226, 227, 228, 3000])
def test_any_number_of_frames(rng, n_frames):
    for style in ("thesis", "deepspectrum"):
        assert draw_plot(rng.normal(size=(3, n_frames)), style=style).shape == (227, 227, 3)


# --- bad input ----------------------------------------------------------------------------


@pytest.mark.parametrize("settings, message", [
    ({"spectrum": Spectrum(transpose=True)}, "spectrum: found .* expected .* transpose=False"),
    ({"spectrum": "mel"}, "spectrum: found 'mel', expected a Spectrum"),
    ({"colour_map": "vega20c"}, "colour_map: found 'vega20c'.*did you mean 'vega20b'"),
    ({"style": "deep"}, "style: found 'deep'"),
    ({"frequency_axis": "bark"}, "frequency_axis: found 'bark'"),
    ({"frequency_axis": "log"}, "frequency_axis: found 'log' for kind='mel'"),
    ({"size_px": 0}, "size_px: found 0"),
    ({"top_hz": 0}, "top_hz: found 0"),
    ({"spectrum": Spectrum("chroma"), "top_hz": 10}, "top_hz: found 10, expected None for chroma"),
])  # fmt: skip
def test_impossible_settings_are_refused_at_once(settings, message):
    with pytest.raises(ParameterError, match=message):
        AudioPlot(**settings)


@pytest.mark.parametrize("S, message", [
    (np.zeros(5), r"S: found shape \(5,\), expected"),
    (np.zeros((0, 5)), r"S: found shape \(0, 5\), expected"),
    (np.array([[0, np.nan]]), "S: found values that are NaN or infinite"),
    (np.array([[0, -np.inf]]), "S: found values that are NaN or infinite"),
])  # fmt: skip
def test_no_spectrum_no_plot(S, message):
    with pytest.raises(ParameterError, match=message):
        draw_plot(S)


def test_edges_of_another_spectrum():
    with pytest.raises(ParameterError, match="row_edges: found 5 edges, expected 4 for 3 bands"):
        draw_plot(np.eye(3), row_edges=np.linspace(0, 1, 5))


# --- settings as values, files ------------------------------------------------------------


def test_settings_survive_pickle_json_and_hash():
    plot = AudioPlot(Spectrum("spectrogram"), "magma", "log", "deepspectrum", np.int64(224))
    again = pickle.loads(pickle.dumps(plot))
    assert again == plot and hash(again) == hash(plot)
    plain = json.loads(json.dumps(dataclasses.asdict(plot)))
    assert AudioPlot(**plain | {"spectrum": Spectrum(**plain["spectrum"])}) == plot


def test_png_holds_the_pixels(tmp_path, rng):
    plot = draw_plot(rng.normal(size=(9, 9)))
    write_png(tmp_path / "new" / "plot.png", plot)
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "new" / "plot.png")), plot)
    assert [p.name for p in (tmp_path / "new").iterdir()] == ["plot.png"]
    with pytest.raises(ParameterError, match=r"plot: found float64 of shape \(2, 2, 3\)"):
        write_png(tmp_path / "bad.png", np.zeros((2, 2, 3)))
    assert not (tmp_path / "bad.png").exists()
