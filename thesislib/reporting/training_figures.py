"""Figures of training: what each epoch cost, and what an autoencoder gives back."""

import matplotlib.pyplot as plt
import numpy as np

from thesislib.reporting.figures import COLOUR_MAP

#: Told apart without colour.
LINES = ("-", "--", ":", "-.")


def plot_histories(histories, columns, *, label):
    """Losses over the epochs, a panel for each training.

    Parameters
    ----------
    histories : dict of str to list of dict
        Title to ``history_`` of an estimator.
    columns : dict of str to str
        Column of the history to its name in the legend; one that a history lacks is left
        out there.
    label : str
        Of the vertical axis.

    Returns
    -------
    matplotlib.figure.Figure
    """
    n_columns = min(4, len(histories))
    n_rows = -(-len(histories) // n_columns)
    figure, grid = plt.subplots(
        n_rows,
        n_columns,
        figsize=(3 * n_columns + 0.6, 2.8 * n_rows + 0.6),
        squeeze=False,
        sharey=True,
    )
    for axes in grid.flat[len(histories) :]:
        axes.set_axis_off()
    shown = {}
    for axes, (title, history) in zip(grid.flat, histories.items()):
        for i, (column, name) in enumerate(columns.items()):
            points = [(row["epoch"], row[column]) for row in history if column in row]
            if points:
                marker = "o" if len(points) == 1 else None
                (shown[name],) = axes.plot(
                    *zip(*points), LINES[i % len(LINES)], color=f"C{i}", marker=marker
                )
        axes.set(title=title, xlabel="epoch")
        if not history:
            axes.text(0.5, 0.5, "untrained", ha="center", transform=axes.transAxes)
    for axes in grid[:, 0]:
        axes.set_ylabel(label)
    # Beside the panels, so that it covers no curve.
    figure.legend(
        shown.values(), shown.keys(), loc="outside upper center", ncols=len(shown), frameon=False
    )
    return figure


def plot_reconstructions(rows, titles, *, hop_s):
    """Spectrograms and what came back, one above the other, on one colour scale.

    Parameters
    ----------
    rows : dict of str to list of ndarray, shape (n_frames, n_bands)
        Name of each row (``input``, …) to its spectrograms in [-1, 1], one a clip.
    titles : sequence of str
        One a clip.
    hop_s : float
        Distance between frames in seconds.

    Returns
    -------
    matplotlib.figure.Figure
    """
    figure, grid = plt.subplots(
        len(rows),
        len(titles),
        figsize=(2.8 * len(titles) + 1, 1.9 * len(rows) + 0.6),
        squeeze=False,
        sharex="col",
        sharey=True,
    )
    for line, (name, spectrograms) in zip(grid, rows.items()):
        for axes, spectrogram in zip(line, spectrograms):
            spectrogram = np.asarray(spectrogram)
            n_frames, n_bands = spectrogram.shape
            picture = axes.imshow(
                spectrogram.T,
                origin="lower",
                aspect="auto",
                interpolation="nearest",
                extent=(0, n_frames * hop_s, 0, n_bands),
                vmin=-1,
                vmax=1,
                cmap=COLOUR_MAP,
            )
        line[0].set_ylabel(f"{name}\nmel band")
    for axes, title in zip(grid[0], titles):
        axes.set_title(title)
    for axes in grid[-1]:
        axes.set_xlabel("time (s)")
    figure.colorbar(picture, ax=grid, label="level, scaled to [−1, 1]")
    return figure
