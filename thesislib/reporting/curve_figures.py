"""Figures of the outlook (11.3, 11.4), as wide as a column of text."""

import matplotlib.pyplot as plt

from thesislib.reporting.figures import LINES
from thesislib.reporting.matrices import COLUMN_IN

_MARKERS = "osD^vP"


def _style(number):
    """Line and marker of a curve, which differ without colour, too."""
    line, marker = LINES[number % len(LINES)], _MARKERS[number % len(_MARKERS)]
    return {"linestyle": line, "marker": marker, "color": f"C{number}", "markersize": 4}


def plot_curves(table, *, chance, reference):
    """Draw learning curves, and below them their paired differences to one of them.

    Parameters
    ----------
    table : pandas.DataFrame
        ``representation``, ``n_groups_train``, ``uar_percent``, and the columns of
        :meth:`thesislib.reporting.scores.ScoreTable.add_differences`.
    chance : float
        In percent.
    reference : str
        The representation that the others are compared with.

    Returns
    -------
    matplotlib.figure.Figure
    """
    figure, (above, below) = plt.subplots(2, 1, figsize=(COLUMN_IN, 5.2), sharex=True)
    lines = {}
    for number, (name, part) in enumerate(table.groupby("representation", sort=False)):
        part, style = part.sort_values("n_groups_train"), _style(number)
        x = part["n_groups_train"]
        (lines[name],) = above.plot(x, part["uar_percent"], **style)
        if name != reference:
            below.plot(x, part["difference_percent"], **style)
            ends = part["difference_low_percent"], part["difference_high_percent"]
            below.fill_between(x, *ends, color=style["color"], alpha=0.15, linewidth=0)
    lines["chance"] = above.axhline(chance, linestyle=":", color="0.3", linewidth=1)
    below.axhline(0, color=f"C{list(lines).index(reference)}", linewidth=1)
    sizes = sorted(table["n_groups_train"].unique())
    above.set(ylabel="UAR (%)", xscale="log")
    # With room for the name above a line at the upper end.
    below.set(xlabel="training groups", ylabel="difference (points)", ymargin=0.15)
    below.annotate(reference, (sizes[0], 0), (0, 2), textcoords="offset points", fontsize=8)
    below.set_xticks(sizes, [f"{size:g}" for size in sizes])
    below.minorticks_off()
    figure.legend(lines.values(), lines.keys(), loc="outside upper left", fontsize=8, frameon=False)
    return figure


def plot_pairs(table, *, chance):
    """Draw a line from the score within to the score elsewhere, for each representation.

    Parameters
    ----------
    table : pandas.DataFrame
        ``representation``, ``within_percent`` and ``elsewhere_percent``.
    chance : float
        In percent.

    Returns
    -------
    matplotlib.figure.Figure
    """
    figure, axes = plt.subplots(figsize=(COLUMN_IN, 4.4))
    pairs = table[["within_percent", "elsewhere_percent"]].to_numpy(float)
    lines = {
        name: axes.plot([0, 1], pair, **_style(number))[0]
        for number, (name, pair) in enumerate(zip(table["representation"], pairs))
    }
    lines["chance"] = axes.axhline(chance, linestyle=":", color="0.3", linewidth=1)
    axes.set(xlim=(-0.15, 1.15), ylabel="UAR (%)")
    axes.set_xticks([0, 1], ["within", "elsewhere"])
    figure.legend(lines.values(), lines.keys(), loc="outside upper left", fontsize=8, frameon=False)
    return figure
