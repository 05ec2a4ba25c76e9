"""Figures of the results: labelled, legible in greyscale, the same bytes each time."""

import matplotlib.pyplot as plt
import numpy as np
import seaborn as sns
from matplotlib.cm import ScalarMappable
from matplotlib.colors import ListedColormap, Normalize
from matplotlib.ticker import MaxNLocator

from thesislib.reporting.tables import table_stem
from thesislib.spectra.plot import colour_table
from thesislib.store import write_atomically

#: Sequential, and monotone in lightness.
COLOUR_MAP = "cividis"
PITCH_CLASSES = tuple("C C# D D# E F F# G G# A A# B".split())
# Ticks of an axis that is not linear: octaves, no nearer to each other than this share of it.
_OCTAVES_HZ = 1000 * 2.0 ** np.arange(-4, 6)
_LEAST_DISTANCE = 0.05


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


def plot_audio(plots, clips, titles, *, n_columns=2):
    """Audio plots with their axes and colour bars, as Figures 4.2 and 4.3 show them.

    Parameters
    ----------
    plots : sequence of AudioPlot
    clips : sequence of (ndarray, int)
        Signal and sampling rate for each plot.
    titles : sequence of str
    n_columns : int

    Returns
    -------
    matplotlib.figure.Figure
        The plots' axes first, in order, then those of the colour bars.
    """
    n_columns = min(n_columns, len(plots))
    n_rows = -(-len(plots) // n_columns)
    figure, grid = plt.subplots(
        n_rows, n_columns, figsize=(4.9 * n_columns, 3.4 * n_rows), squeeze=False
    )
    for axes in grid.flat[len(plots) :]:
        axes.remove()
    for axes, plot, (y, sr), title in zip(grid.flat, plots, clips, titles):
        S = plot.spectrum(y, sr=sr)
        # A column is as wide as a hop and stands around its window's middle.
        times_s, half = plot.spectrum.times_s(S.shape[1], sr), plot.spectrum.lengths(sr)[1] / sr / 2
        extent = (times_s[0] - half, times_s[-1] + half, 0, 1)
        axes.imshow(plot.draw(S, sr=sr), extent=extent, aspect="auto", interpolation="nearest")
        places, labels, what = frequency_ticks(plot, sr=sr)
        axes.set_yticks(places, labels)
        axes.set(title=title, xlabel="time (s)", ylabel=what)
        low, high = float(S.min()), float(S.max())
        colours = ScalarMappable(
            Normalize(low, high if high > low else low + 1),
            ListedColormap(colour_table(plot.colour_map) / 255),
        )
        figure.colorbar(colours, ax=axes, label=describe_values(plot.spectrum))
    return figure


def frequency_ticks(plot, *, sr):
    """Where which frequencies stand on the vertical axis of an audio plot.

    A frequency stands at the middle of the band whose centre it is, whatever the axis and the
    style of the plot.

    Parameters
    ----------
    plot : AudioPlot
    sr : int > 0
        Sampling rate in Hz.

    Returns
    -------
    places : ndarray, shape (n_ticks,)
        0 is the bottom of the picture, 1 its top.
    labels : list of str
        In kHz; octaves unless the axis is linear. Pitch classes for chroma.
    what : str
        Label of the axis.

    Examples
    --------
    >>> from thesislib.spectra.plot import AudioPlot
    >>> from thesislib.spectra.spectrogram import Spectrum
    >>> places, labels, what = frequency_ticks(AudioPlot(Spectrum("mel")), sr=16000)
    >>> what, labels[-4:], places[-4:].round(2).tolist()
    ('frequency (kHz)', ['1', '2', '4', '8'], [0.35, 0.54, 0.76, 1.0])
    >>> frequency_ticks(AudioPlot(Spectrum("chroma")), sr=16000)[1][:3]
    ['C', 'C#', 'D']
    """
    spectrum, edges = plot.spectrum, plot.row_edges(sr)
    middles = (edges[1:] + edges[:-1]) / 2
    if spectrum.kind == "chroma":
        return middles, list(PITCH_CLASSES), "pitch class"
    centres = spectrum.frequencies_hz(sr)
    low, high = spectrum.f_min_hz, spectrum.top_hz(sr)
    inside = (centres > low) & (centres < high)
    top = high if plot.top_hz is None else min(plot.top_hz, high)
    linear = spectrum.kind == "spectrogram" and plot.frequency_axis == "linear"
    found = MaxNLocator(5).tick_values(low, top) if linear else _OCTAVES_HZ
    found = found[(found >= low) & (found <= top)]
    places = np.interp(
        found, [low, *centres[inside], high], [edges[0], *middles[inside], edges[-1]]
    )
    kept = []
    for index in reversed(range(len(found))):  # from the top, where octaves are wide
        if not kept or places[kept[-1]] - places[index] >= _LEAST_DISTANCE:
            kept.append(index)
    kept.reverse()
    return places[kept], [f"{f / 1000:g}" for f in found[kept]], "frequency (kHz)"


def describe_values(spectrum):
    """What a spectrum's values are, and their unit: the label of a colour bar."""
    if spectrum.kind == "chroma":
        return "change per frame" if spectrum.delta else "share of the frame's maximum"
    if spectrum.delta:
        return "change (dB per frame)"
    return "power (dB re maximum)" if spectrum.reference == "max" else "power (dB)"


def plot_layers(answers, *, title="", n_maps=6):
    """What a network's layers answer to one picture: maps as pictures, vectors as lines.

    Parameters
    ----------
    answers : dict of str to ndarray
        Layer to its activations, shape (n_maps, height, width) or (n_features,); see
        :func:`thesislib.reporting.explore.answer_picture`.
    title : str
    n_maps : int
        How many maps of each layer: those with the largest mean, each on its own scale.

    Returns
    -------
    matplotlib.figure.Figure
        One row a layer.
    """
    figure = plt.figure(figsize=(1.5 * n_maps, 1.75 * len(answers)))
    figure.suptitle(title, fontsize=10, fontweight="bold")
    rows = figure.subfigures(len(answers), 1, squeeze=False)[:, 0]
    for row, (layer, values) in zip(rows, answers.items()):
        silent = f"{100 * np.mean(values == 0):.0f} % are zero"
        if values.ndim == 1:
            axes = row.subplots()
            axes.vlines(np.arange(len(values)), 0, values, color="black", linewidth=0.4)
            axes.set(xlim=(0, len(values)), xlabel="feature", ylabel="activation")
            row.suptitle(f"{layer}: {len(values)} features, {silent}", fontsize=10)
            continue
        shape = " × ".join(map(str, values.shape[1:]))
        row.suptitle(f"{layer}: {len(values)} maps of {shape}, {silent}", fontsize=10)
        strongest = np.argsort(-values.mean(axis=(1, 2)), kind="stable")[:n_maps]
        for axes in row.subplots(1, n_maps).flat:
            axes.set_axis_off()
        for axes, index in zip(row.axes, strongest):
            axes.imshow(values[index], aspect="auto", interpolation="nearest")
            axes.set_title(f"map {index}", fontsize=8)
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
        The files written. The figure is closed, but can be shown.
    """
    if note:
        figure.supxlabel(note, fontsize=8, color="0.3", wrap=True)
    written = []
    for suffix, metadata in ((".png", {"Software": None}), (".pdf", {"CreationDate": None})):
        path = folder / f"figure_{table_stem(number)}{suffix}"
        with write_atomically(path) as temporary:
            # Constrained layout cuts off labels beside square axes; a tight box does not.
            figure.savefig(temporary, metadata=metadata, bbox_inches="tight", pad_inches=0.1)
        written.append(path)
    # A notebook shows the figure that a cell returns; an open one it would show twice.
    plt.close(figure)
    return written
