"""Figures of the results: labelled, legible in greyscale, the same bytes each time."""

import matplotlib.pyplot as plt
import numpy as np
import seaborn as sns

from thesislib.reporting.tables import table_stem
from thesislib.store import write_atomically

#: Sequential, and monotone in lightness.
COLOUR_MAP = "cividis"


def use_style():
    """Plain figures with embedded fonts, for notebooks and papers alike."""
    sns.set_theme(context="notebook", style="ticks", palette="colorblind")
    plt.rcParams.update(
        {
            "figure.dpi": 100,
            "savefig.dpi": 150,
            "pdf.fonttype": 42,
            "svg.hashsalt": "thesislib",
            "figure.constrained_layout.use": True,
            "image.cmap": COLOUR_MAP,
        }
    )


def plot_confusion(matrices):
    """Confusion matrices side by side: counts, shaded by the share of the true class.

    Parameters
    ----------
    matrices : dict of str to pandas.DataFrame
        Title to matrix, from :func:`thesislib.evaluation.metrics.confusion`.

    Returns
    -------
    matplotlib.figure.Figure
    """
    size = 2.8 + 0.5 * len(next(iter(matrices.values())))
    figure, grid = plt.subplots(
        1, len(matrices), figsize=((size + 0.9) * len(matrices), size), squeeze=False
    )
    for axes, (title, counts) in zip(grid.flat, matrices.items()):
        sns.heatmap(
            100 * counts.div(counts.sum(axis=1).clip(lower=1), axis=0),
            annot=counts.to_numpy(),
            fmt="d",
            vmin=0,
            vmax=100,
            cmap=COLOUR_MAP,
            square=True,
            linewidths=0.5,
            cbar_kws={"label": "share of the true class (%)"},
            ax=axes,
        )
        axes.set(xlabel="predicted class", ylabel="true class", title=title)
        axes.tick_params(axis="y", rotation=0)
    return figure


def plot_pictures(pictures, titles, *, duration_s, f_max_hz, frequency_label="frequency (kHz)"):
    """Audio plots side by side, with time and frequency axes.

    Parameters
    ----------
    pictures : sequence of ndarray, shape (height, width, 3), uint8
    titles : sequence of str
    duration_s : sequence of float
        Length of each clip in seconds.
    f_max_hz : sequence of float or None
        Top frequency of a linear axis; None draws no frequency ticks.
    frequency_label : str

    Returns
    -------
    matplotlib.figure.Figure
    """
    n_columns = min(4, len(pictures))
    n_rows = -(-len(pictures) // n_columns)
    figure, grid = plt.subplots(
        n_rows, n_columns, figsize=(3.1 * n_columns, 3.2 * n_rows), squeeze=False
    )
    for axes in grid.flat[len(pictures) :]:
        axes.set_axis_off()
    for axes, picture, title, length, top in zip(grid.flat, pictures, titles, duration_s, f_max_hz):
        height = top / 1000 if top else 1
        axes.imshow(picture, extent=(0, length, 0, height), aspect="auto", interpolation="nearest")
        axes.set(title=title, xlabel="time (s)", ylabel=frequency_label)
        if top is None:
            axes.set_yticks([])
    return figure


def write_figure(figure, number, folder, *, note=""):
    """Write ``figure_<number>.png`` and ``.pdf``, without dates, so bytes repeat.

    Parameters
    ----------
    figure : matplotlib.figure.Figure
    number : str
        The thesis's own number, such as ``10.2``.
    folder : Path
    note : str
        Small print below the figure: corpus, kind, weights.

    Returns
    -------
    list of Path
    """
    if note:
        figure.supxlabel(note, fontsize=8, color="0.3", wrap=True)
    written = []
    for suffix, metadata in ((".png", {"Software": None}), (".pdf", {"CreationDate": None})):
        path = folder / f"figure_{table_stem(number)}{suffix}"
        with write_atomically(path) as temporary:
            figure.savefig(temporary, metadata=metadata)
        written.append(path)
    return written


def show_layers(values, *, title=""):
    """Draw the strongest feature maps of a layer as a strip of small pictures.

    Parameters
    ----------
    values : ndarray, shape (n_maps, height, width)
    title : str

    Returns
    -------
    matplotlib.figure.Figure
    """
    strongest = np.argsort(-values.reshape(len(values), -1).mean(axis=1), kind="stable")[:8]
    figure, grid = plt.subplots(1, len(strongest), figsize=(1.4 * len(strongest), 1.9))
    for axes, index in zip(np.atleast_1d(grid), strongest):
        axes.imshow(values[index], aspect="auto")
        axes.set_title(f"map {index}", fontsize=8)
        axes.set_axis_off()
    figure.suptitle(title, fontsize=10)
    return figure
