"""Figures of training show what they are given, all of it, on one scale."""

import matplotlib.pyplot as plt
import numpy as np
import pytest

from thesislib.reporting.figures import plot_histories, plot_reconstructions


@pytest.fixture(autouse=True)
def close():
    yield
    plt.close("all")


def test_each_history_is_a_panel_with_its_own_columns():
    full = [{"epoch": e, "loss": 1 / e, "validation_loss": 2 / e} for e in (1, 2, 3)]
    part = [{"epoch": 1, "loss": 0.5}]
    figure = plot_histories(
        {"one": full, "two": part, "three": []},
        {"loss": "training", "validation_loss": "validation"},
        label="RMSE",
    )
    one, two, three = figure.axes
    assert [axes.get_title() for axes in figure.axes] == ["one", "two", "three"]
    np.testing.assert_array_equal(one.lines[1].get_ydata(), [2, 1, 2 / 3])
    assert one.lines[0].get_linestyle() != one.lines[1].get_linestyle()
    assert len(two.lines) == 1 and two.lines[0].get_marker() == "o"
    assert not three.lines and three.texts[0].get_text() == "untrained"
    assert one.get_ylabel() == "RMSE" and one.get_xlabel() == "epoch"
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["training", "validation"]


def test_spectrograms_stand_upright_on_one_scale():
    clip = np.full((5, 3), -1.0)
    clip[4, 2] = 1.0  # last frame, highest band
    figure = plot_reconstructions(
        {"input": [clip, clip], "given back": [clip * 0.5, clip]}, ["a", "b"], hop_s=0.1
    )
    pictures = [axes.images[0] for axes in figure.axes if axes.images][:4]
    assert {picture.get_clim() for picture in pictures} == {(-1, 1)}
    assert pictures[0].get_extent() == pytest.approx([0, 0.5, 0, 3])
    assert pictures[0].origin == "lower"
    assert pictures[0].get_array()[2, 4] == 1 and pictures[2].get_array()[2, 4] == 0.5
    assert figure.axes[2].get_ylabel().startswith("given back")
    assert figure.axes[3].get_xlabel() == "time (s)"


def test_a_logarithmic_axis_has_plain_numbers():
    history = [{"epoch": e, "loss": 10.0**-e} for e in (1, 2, 3)]
    figure = plot_histories({"one": history, "two": history}, {"loss": "l"}, label="l", log=True)
    assert all(axes.get_yscale() == "log" for axes in figure.axes)
    figure.canvas.draw()
    labels = [tick.get_text() for tick in figure.axes[0].get_yticklabels()]
    assert {"0.001", "0.01", "0.1"} <= set(labels) and not any("$" in text for text in labels)
