import matplotlib.pyplot as plt
import numpy as np
import pytest

from thesislib.reporting.figures import plot_detection, use_style, write_figure


def draw(rng, truth_s=(1.0, 1.5), decided_s=1.1):
    use_style()
    return plot_detection(
        rng.normal(size=(100, 20)),
        {"without": rng.random(100), "with": rng.random(100)},
        hop_s=0.023,
        truth_s=truth_s,
        decided_s=decided_s,
        threshold=0.8,
        band_hz=np.linspace(50, 4000, 20),
    )


def test_both_panels_share_time_and_the_legend_covers_nothing(rng):
    figure = draw(rng)
    above, below = figure.axes[:2]
    assert above.get_xlim() == below.get_xlim() == pytest.approx((0, 2.3))
    assert below.get_xlabel() == "time (s)"
    assert "kHz" in above.get_ylabel()
    figure.canvas.draw()
    legend = figure.legends[0].get_window_extent()
    assert all(legend.y0 >= axes.get_window_extent().y1 for axes in (above, below))
    # Told apart without colour.
    assert len({line.get_linestyle() for line in below.lines[:2]}) == 2
    plt.close(figure)


def test_what_is_not_there_is_not_in_the_legend(rng, tmp_path):
    figure = draw(rng, truth_s=None, decided_s=None)
    names = [text.get_text() for text in figure.legends[0].get_texts()]
    assert names == ["without", "with", "presence threshold"]
    plt.close(figure)


def test_the_same_figure_has_the_same_bytes(tmp_path):
    written = []
    for name in ("a", "b"):
        figure = draw(np.random.default_rng(0))
        paths = write_figure(figure, "8.2_example", tmp_path / name, note="synthetic")
        written.append([path.read_bytes() for path in paths])
        plt.close(figure)
    assert written[0] == written[1]
