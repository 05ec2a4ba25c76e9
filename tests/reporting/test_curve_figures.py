"""Figures of the outlook: what is drawn is what the table holds, within a column of text."""

import numpy as np
import pandas as pd
import pytest

from thesislib.reporting.curve_figures import COLUMN_IN, plot_curves, plot_pairs
from thesislib.reporting.scores import ScoreTable


@pytest.fixture
def curves():
    rows = []
    for name, gain in (("networks", 10), ("log-mel", 0)):
        for n_groups in (40, 10, 20):
            row = {"representation": name, "n_groups_train": n_groups}
            rows.append(row | {"uar_percent": 40 + gain + n_groups / 10})
            if gain:
                ends = {"difference_low_percent": gain - 3, "difference_high_percent": gain + 3}
                rows[-1] |= {"difference_percent": gain, **ends}
    return pd.DataFrame(rows)


def test_curves_are_drawn_over_a_logarithmic_axis_above_their_differences(curves):
    figure = plot_curves(curves, chance=25, reference="log-mel")
    above, below = figure.axes
    assert figure.get_figwidth() == COLUMN_IN and above.get_xscale() == "log"
    assert above.lines[0].get_xydata().tolist() == [[10, 51], [20, 52], [40, 54]]
    assert below.lines[0].get_xydata().tolist() == [[10, 10], [20, 10], [40, 10]]
    (band,) = below.collections
    assert (band.get_paths()[0].vertices[:, 1].min(), band.get_paths()[0].vertices[:, 1].max()) == (
        7,
        13,
    )
    assert [text.get_text() for text in below.get_xticklabels()] == ["10", "20", "40"]
    styles = {(line.get_linestyle(), line.get_marker()) for line in above.lines[:2]}
    assert len(styles) == 2


def test_the_name_of_the_reference_is_inside_its_panel(curves):
    lower = curves.filter(like="difference")
    figure = plot_curves(curves.assign(**(lower - 40)), chance=25, reference="log-mel")
    figure.draw_without_rendering()
    below = figure.axes[1]
    assert below.texts[0].get_window_extent().y1 < below.get_window_extent().y1


def test_a_line_leads_from_within_to_elsewhere():
    table = pd.DataFrame({"representation": ["a", "b"], "within_percent": [70.0, 80.0]})
    figure = plot_pairs(table.assign(elsewhere_percent=[60.0, 40.0]), chance=50)
    lines = [list(line.get_ydata()) for line in figure.axes[0].lines]
    assert lines[:2] == [[70, 60], [80, 40]]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["a", "b", "chance"]


def predict(rng, accuracy, *, seed=0):
    truth = np.tile(["x", "y"], 60)
    hit = np.random.default_rng(seed).random(len(truth)) < accuracy
    wrong = np.where(truth == "x", "y", "x")
    files = [f"{i}.wav" for i in range(len(truth))]
    table = pd.DataFrame({"file": files, "group": np.repeat(np.arange(40), 3).astype(str)})
    return table.assign(fold="", truth=truth, prediction=np.where(hit, truth, wrong))


def test_paired_differences_join_the_rows_of_one_representation(tmp_path, rng):
    from thesislib.corpora.index import Corpus

    corpus = Corpus(pd.DataFrame({"file": ["a"], "label": ["x"]}), tmp_path, name="clips")
    table = ScoreTable(corpus, n_resamples=100)
    for where, accuracy in (("within", 0.95), ("elsewhere", 0.6)):
        row = {"representation": "a", "selection": "nested"}
        table.add(row, predict(rng, accuracy), system=f"a, {where}", name=where)
    compared = table.add_differences({"a, elsewhere": "a, within"}, family="11.4")
    (row,) = table.join_rows("representation").rows
    assert row["verdict"] == compared["verdict"].item() == "worse"
    gap = row["elsewhere_percent"] - row["within_percent"]
    assert row["difference_percent"] == pytest.approx(gap, abs=0.02)
    assert row["difference_low_percent"] < gap < row["difference_high_percent"] < 0
    assert len(table.predictions) == 240
