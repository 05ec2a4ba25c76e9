"""Figures: bounded size, the same bytes each time, text in any script that no other text covers."""

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from fontTools.fontBuilder import FontBuilder
from fontTools.pens.ttGlyphPen import TTGlyphPen
from matplotlib import font_manager
from matplotlib.colors import to_rgb
from PIL import Image

from thesislib.evaluation.metrics import confusion
from thesislib.reporting import fonts
from thesislib.reporting.attribution import plot_attribution
from thesislib.reporting.background import plot_activation, plot_fits
from thesislib.reporting.curve_figures import plot_curves, plot_pairs
from thesislib.reporting.figures import (
    RECONSTRUCTION_LOSSES,
    plot_audio,
    plot_confusion,
    plot_detection,
    plot_histories,
    plot_layers,
    plot_reconstructions,
    plot_sweeps,
    use_style,
    write_figure,
)
from thesislib.spectra.plot import AudioPlot
from thesislib.spectra.spectrogram import Spectrum


@pytest.fixture(autouse=True)
def style():
    use_style()
    yield
    plt.close("all")


def draw():
    y_true, y_pred = list("aabbcc"), list("aabccc")
    return plot_confusion({"as published": confusion(y_true, y_pred, list("abc"))})


def test_bytes_repeat(tmp_path):
    one = [p.read_bytes() for p in write_figure(draw(), "1.1", tmp_path, note="synthetic")]
    two = [p.read_bytes() for p in write_figure(draw(), "1.1", tmp_path, note="synthetic")]
    assert one == two
    assert {p.name for p in tmp_path.iterdir()} == {"figure_1_1.png", "figure_1_1.pdf"}


def test_axes_are_labelled():
    axes = draw().axes
    assert axes[0].get_xlabel() == "predicted class"
    assert axes[0].get_ylabel() == "true class"


def test_the_colour_map_survives_greyscale():
    lut = matplotlib.colormaps[plt.rcParams["image.cmap"]](np.linspace(0, 1, 256))[:, :3]
    lightness = lut @ [0.2126, 0.7152, 0.0722]
    assert (np.diff(lightness) > -1e-3).all()


def count(names, *, largest=40):
    """Random confusion matrix of classes."""
    counts = np.random.default_rng(0).integers(0, largest, (len(names), len(names)))
    return pd.DataFrame(counts, index=names, columns=names)


def number(n, stem="class"):
    return [f"{stem}_{i}" for i in range(n)]


def is_free(figure):
    """Whether no two texts overlap, other than the counts inside their cells."""
    figure.draw_without_rendering()
    texts = [text for text in figure.findobj(plt.Text) if text.get_text() and text.get_visible()]
    boxes = [text.get_window_extent() for text in texts if text.get_in_layout()]
    boxes = np.array([[box.x0, box.y0, box.x1, box.y1] for box in boxes if box.width])
    low = np.maximum(boxes[:, None, :2], boxes[None, :, :2])
    high = np.minimum(boxes[:, None, 2:], boxes[None, :, 2:])
    overlaps = (high - low > 1).all(axis=-1)
    return overlaps.sum() == len(boxes)


LONG = "environmental_background_noise"
CLASSES = {
    "one": number(1),
    "two": ["normal", "abnormal"],
    "ten": number(10),
    "30": number(30),
    "100": number(100),
    "1000": number(1000),
    "long": number(5, LONG),
    "long30": number(30, LONG),
    "wide": ["W" * 30 + str(i) for i in range(12)],
    "endless": ["a" * 5000 + str(i) for i in range(3)],
}


@pytest.mark.parametrize("names", CLASSES.values(), ids=CLASSES)
@pytest.mark.parametrize("n", [1, 2])
def test_a_confusion_matrix_of_any_number_of_classes_fits_a_page(names, n, tmp_path):
    figure = plot_confusion({f"a title of many words {k} " * 3: count(names) for k in range(n)})
    assert len(figure.axes) == n + 1  # one colour bar
    assert is_free(figure)
    path = write_figure(figure, "10.2", tmp_path, note="small print " * 20)[0]
    width, height = np.divide(Image.open(path).size, plt.rcParams["savefig.dpi"])
    assert width <= 7.25 and height <= 9.5
    n_counts = len(figure.axes[0].texts)
    assert n_counts == len(names) ** 2 if len(names) <= 10 else n_counts in (0, len(names) ** 2)
    assert n_counts == 0 or len(names) <= 30
    listed = {text.get_text() for text in figure.texts}
    ticks = [tick.get_text() for tick in figure.axes[0].get_yticklabels()]
    assert ticks == names or {"1", "2"} <= listed or len(names) == 1


def test_classes_are_in_order_and_numbers_follow_them():
    names = ["b", "a", LONG * 3]
    figure = plot_confusion({"": count(names)})
    assert [tick.get_text() for tick in figure.axes[0].get_xticklabels()] == ["1", "2", "3"]
    texts = [text.get_text() for text in figure.texts]
    assert texts[:4] == ["1", "b", "2", "a"] and texts[5][:9] == LONG[:9]
    figure = plot_confusion({"": count(["b", "a"])})
    assert [tick.get_text() for tick in figure.axes[0].get_xticklabels()] == ["b", "a"]


def test_counts_have_contrast():
    names = number(20)
    counts = pd.DataFrame(np.diag(range(20)) + np.eye(20)[::-1], names, names).astype(int)
    axes = plot_confusion({"": counts}).axes[0]

    def luminance(colour):
        parts = np.array(to_rgb(colour))
        linear = np.where(parts <= 0.03928, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)
        return linear @ [0.2126, 0.7152, 0.0722]

    image = axes.images[0]
    assert len(axes.texts) == 400
    for text in axes.texts:
        x, y = map(int, text.get_position())
        both = luminance(text.get_color()), luminance(image.to_rgba(image.get_array()[y, x])[:3])
        assert (max(both) + 0.05) / (min(both) + 0.05) >= 4.5


@pytest.fixture
def font(tmp_path, monkeypatch):
    """An installed font that has two Chinese characters."""
    pen = TTGlyphPen(None)
    pen.moveTo((0, 0)), pen.lineTo((900, 0)), pen.lineTo((450, 900)), pen.closePath()
    builder = FontBuilder(1000)
    builder.setupGlyphOrder([".notdef", "one", "two"])
    builder.setupCharacterMap({0x72D7: "one", 0x732B: "two"})
    builder.setupGlyf(dict.fromkeys([".notdef", "one", "two"], pen.glyph()))
    builder.setupHorizontalMetrics(dict.fromkeys([".notdef", "one", "two"], (1000, 0)))
    builder.setupHorizontalHeader(ascent=900, descent=-100)
    builder.setupNameTable({"familyName": "Two Animals", "styleName": "Regular"})
    builder.setupOS2(usWeightClass=500)
    builder.setupPost()
    builder.save(tmp_path / "animals.ttf")
    own = [each for each in font_manager.fontManager.ttflist if "DejaVu" in each.name]
    monkeypatch.setattr(font_manager.fontManager, "ttflist", own)
    font_manager.fontManager.addfont(tmp_path / "animals.ttf")
    clear = (fonts.choose_fonts, fonts._measure, fonts._list_fonts)
    [function.cache_clear() for function in clear]
    yield "Two Animals"
    [function.cache_clear() for function in clear]


@pytest.mark.filterwarnings("error")
def test_other_scripts_are_drawn_with_a_font_of_the_system(font, tmp_path, caplog):
    names = ["\u72d7", "\u732b", "كلب"]
    written = []
    for folder in ("a", "b"):
        figure = plot_confusion({"\u732b": count(names)})
        paths = write_figure(figure, "1", tmp_path / folder, note="\u72d7" * 200)
        written.append([path.read_bytes() for path in paths])
    assert written[0] == written[1]
    ticks = figure.axes[0].get_yticklabels()
    assert [tick.get_text() for tick in ticks] == names
    assert [font in tick.get_fontfamily() for tick in ticks] == [True, True, False]
    assert font in figure.axes[0]._left_title.get_fontfamily()
    assert is_free(figure) and caplog.records == []
    # Other figures, too.
    figure, axes = plt.subplots()
    axes.set_title("\u732b")
    figure.draw_without_rendering()
    assert font in axes.title.get_fontfamily()


def test_widths_follow_the_font_s_settings():
    regular = fonts.measure("a name")
    with plt.rc_context({"font.weight": "bold"}):
        assert fonts.measure("a name") > regular


@pytest.mark.filterwarnings("error")
def test_names_that_no_font_draws_are_numbered(font, tmp_path):
    figure = plot_confusion({"\u0915": count(["\u0915", "\u72d7", "a"])})
    write_figure(figure, "1", tmp_path, note="\u0915")
    assert [tick.get_text() for tick in figure.axes[0].get_yticklabels()] == ["1", "2", "3"]
    assert [text.get_text() for text in figure.texts][1::2][:3] == ["\\u0915", "\u72d7", "a"]


def sweep():
    return pd.DataFrame({"ms": [1.0, 2, 4], "s": [50.0, 60, 70], "l": [40.0] * 3, "h": [80.0] * 3})


def signal():
    return np.random.default_rng(0).normal(size=16000).astype(np.float32), 16000


PLOT = AudioPlot(Spectrum("mel", n_mels=40, window_s=0.064, hop_s=0.016))
HISTORY = [{"epoch": 1 + e, "loss": 1.0, "validation_loss": 2.0} for e in range(3)]
SCORES = {"representation": [LONG, "b"], "within_percent": [60.0, 70.0]}
CURVE = {
    "representation": ["a", "b"],
    "n_groups_train": 2,
    "uar_percent": 50.0,
    "difference_percent": 0.0,
    "difference_low_percent": 0.0,
    "difference_high_percent": 0.0,
}
DRAWN = {
    "audio": lambda: plot_audio([PLOT] * 4, [signal()] * 4, [LONG] * 4),
    "audio, one": lambda: plot_audio([PLOT], [signal()], ["a"]),
    "audio, classes": lambda: plot_audio([PLOT] * 4, [signal()] * 4, [LONG] * 4, n_columns=4),
    "audio, many": lambda: plot_audio(
        [PLOT] * 40, [signal()] * 40, [LONG] * 40, n_columns=3, page=True
    ),
    "layers": lambda: plot_layers({"a": np.ones((8, 3, 3)), "b": np.ones(9)}, title=LONG * 6),
    "histories": lambda: plot_histories(
        dict.fromkeys(number(9, LONG), HISTORY), RECONSTRUCTION_LOSSES, label="RMSE"
    ),
    "reconstructions": lambda: plot_reconstructions(
        dict.fromkeys(["a", "b\nc"], [np.zeros((9, 4))] * 4), [LONG] * 4, hop_s=0.1
    ),
    "sweeps": lambda: plot_sweeps(
        dict.fromkeys("ab", (sweep(), "ms")), score="s", interval=("l", "h"), label="x", chance=9
    ),
    "detection": lambda: plot_detection(
        np.ones((50, 9)),
        {"w/o sliding ensemble": np.ones(50), "with sliding ensemble": np.zeros(50)},
        hop_s=0.1,
        truth_s=(1, 2),
        decided_s=1,
        threshold=0.5,
    ),
    "attribution": lambda: plot_attribution(
        PLOT, signal(), np.ones((9, 9)), titles=("a", "b"), unit="u", gain=1.0
    ),
    "activation": lambda: plot_activation("leaky_relu"),
    "fits": plot_fits,
    "curves": lambda: plot_curves(pd.DataFrame(CURVE), chance=50, reference="a"),
    "pairs": lambda: plot_pairs(pd.DataFrame(SCORES | {"elsewhere_percent": 50.0}), chance=50),
}


@pytest.mark.parametrize("draw", DRAWN.values(), ids=DRAWN)
def test_a_figure_is_as_wide_as_a_column_or_a_page(draw, tmp_path):
    figure = draw()
    # File names have no blanks.
    path = write_figure(figure, "1", tmp_path, note="corpus of long_file_names_" + "x" * 300)[0]
    width, height = np.divide(Image.open(path).size, plt.rcParams["savefig.dpi"])
    assert width <= 7.25 and height <= 9.5
    sizes = [t.get_fontsize() for t in figure.findobj(plt.Text) if t.get_text()]
    assert 8 <= min(sizes) and max(sizes) <= 9.2
