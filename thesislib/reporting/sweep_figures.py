"""Figures of sweeps: a score over one parameter at a time (Figure 8.2)."""

import matplotlib.pyplot as plt
import numpy as np


def plot_sweeps(panels, *, score, interval, label, chance, printed=None):
    """Score with its interval over a parameter, a panel each.

    Parameters
    ----------
    panels : dict of str to (pandas.DataFrame, str)
        Title to a sweep's table and the column of the parameter; its name and unit are the
        horizontal axis.
    score : str
        Column of the score in percent.
    interval : (str, str)
        Columns of the interval's lower and upper end.
    label : str
        Of the vertical axis.
    chance : float
        In percent.
    printed : dict of str to dict of float to float, optional
        Title to the points that the thesis names.

    Returns
    -------
    matplotlib.figure.Figure
    """
    figure, grid = plt.subplots(
        1, len(panels), figsize=(4.2 * len(panels) + 0.4, 3.6), squeeze=False, sharey=True
    )
    shown = {}
    for axes, (title, (table, column)) in zip(grid.flat, panels.items()):
        table = table.dropna(subset=[score]).sort_values(column)
        x, y = table[column].to_numpy(), table[score].to_numpy()
        ends = [table[name].to_numpy() for name in interval]
        # The interval is of all tests together, the score a mean over folds: they may part.
        lengths = np.maximum([y - ends[0], ends[1] - y], 0)
        shown["this run"] = axes.errorbar(x, y, lengths, fmt="o-", capsize=3, color="C0")
        points = (printed or {}).get(title, {})
        if points:
            (shown["thesis"],) = axes.plot(*zip(*points.items()), "s", color="C1", mfc="none")
        shown["chance"] = axes.axhline(chance, linestyle=":", color="0.3")
        axes.set(title=title, xlabel=column)
        if len(x) > 2 and np.allclose(x[1:] / x[:-1], 2):
            axes.set_xscale("log", base=2)
        axes.set_xticks(x, [f"{value:g}" for value in x])
        axes.minorticks_off()
    grid[0, 0].set_ylabel(label)
    # Beside the panels, so that it covers no curve.
    figure.legend(
        shown.values(), shown.keys(), loc="outside upper center", ncols=len(shown), frameon=False
    )
    return figure
