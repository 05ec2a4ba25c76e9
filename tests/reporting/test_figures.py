"""Figures: written as PNG and PDF, with the same bytes each time."""

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pytest

from thesislib.evaluation.metrics import confusion
from thesislib.reporting.figures import (
    plot_confusion,
    use_style,
    write_figure,
)


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
