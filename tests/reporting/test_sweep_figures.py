"""Figures of sweeps show every point that has a score, and the thesis's only where asked."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from thesislib.reporting.figures import plot_sweeps


@pytest.fixture
def panels():
    table = pd.DataFrame(
        {
            "window (ms)": [400.0, 100.0, 200.0, 800.0],
            "score": [60.0, 50.0, 70.0, np.nan],
            "low": [55.0, 52.0, 60.0, np.nan],  # 52 > 50: a pooled interval beside a mean
            "high": [65.0, 60.0, 80.0, np.nan],
        }
    )
    return {"(a)": (table, "window (ms)"), "(b)": (table.iloc[:2], "window (ms)")}


def draw(panels, **options):
    return plot_sweeps(
        panels,
        score="score",
        interval=("low", "high"),
        label="accuracy (%)",
        chance=25.0,
        **options,
    )


def test_points_are_in_order_and_failed_ones_left_out(panels):
    figure = draw(panels)
    first, second = figure.axes
    x, y = first.lines[0].get_data()
    assert x.tolist() == [100, 200, 400] and y.tolist() == [50, 70, 60]
    assert first.get_xscale() == "log" and second.get_xscale() == "linear"
    assert first.get_xlabel() == "window (ms)" and first.get_ylabel() == "accuracy (%)"
    ends = [segment[:, 1].tolist() for segment in first.collections[0].get_segments()]
    assert ends == [[50, 60], [60, 80], [55, 65]]
    plt.close(figure)


def test_the_thesis_s_points_are_drawn_where_they_are_given(panels):
    def legend(figure):
        plt.close(figure)
        return [text.get_text() for text in figure.legends[0].get_texts()]

    assert legend(draw(panels)) == ["this run", "chance"]
    printed = draw(panels, printed={"(a)": {200: 85.0}})
    assert legend(printed) == ["this run", "thesis", "chance"]
    points = [line.get_data() for line in printed.axes[0].lines if line.get_marker() == "s"]
    assert [(x.tolist(), y.tolist()) for x, y in points] == [([200], [85])]
    assert all(line.get_marker() != "s" for line in printed.axes[1].lines)
