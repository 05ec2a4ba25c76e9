"""Figures of the results, with labelled axes, legible in greyscale, reproducible byte by byte."""

import logging
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import seaborn as sns
from matplotlib.cm import ScalarMappable
from matplotlib.colors import ListedColormap, Normalize
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter, StrMethodFormatter

from thesislib.reporting.escape import terminal
from thesislib.reporting.fonts import set_fonts, shorten, wrap
from thesislib.reporting.matrices import COLOUR_MAP, PAGE_IN
from thesislib.reporting.matrices import plot_confusion as plot_confusion
from thesislib.reporting.tables import table_stem
from thesislib.spectra.plot import colour_table
from thesislib.store import write_atomically

#: Height of the tallest figure in inches, without its small print.
TALLEST_IN = 8.6
# Of a panel with its labels, in a figure of audio plots.
_LEAST_HEIGHT_IN = 1.05
#: Distinguishable without colour.
LINES = ("-", "--", ":", "-.")
#: Losses of an autoencoder's history, by column.
RECONSTRUCTION_LOSSES = {
    "loss": "training",
    "permuted_loss": "training, permuted codes",
    "validation_loss": "held out",
    "validation_permuted_loss": "held out, permuted codes",
}
PITCH_CLASSES = tuple("C C# D D# E F F# G G# A A# B".split())
# Ticks of an axis that is not linear: octaves, with at least this share of the axis between them.
_OCTAVES_HZ = 1000 * 2.0 ** np.arange(-4, 6)
_LEAST_DISTANCE = 0.05


def use_style():
    """Set the style of all figures; fonts are embedded."""
    # A font without a regular weight is no reason for a message.
    logging.getLogger("matplotlib.font_manager").setLevel(logging.ERROR)
    sns.set_theme(context="paper", style="ticks", palette="colorblind", font_scale=0.95)
    plt.style.use(Path(__file__).parent / "files" / "figures.mplstyle")


def _make_grid(n, n_columns, width, height, **options):
    """Make a figure with ``n`` panels in rows; panels without contents are invisible."""
    n_columns = min(n_columns, n)
    n_rows = -(-n // n_columns)
    size = (width * n_columns, min(height * n_rows, TALLEST_IN))
    figure, grid = plt.subplots(n_rows, n_columns, figsize=size, squeeze=False, **options)
    for axes in grid.flat[n:]:
        axes.set_axis_off()
    return figure, grid


def _add_legend(figure, lines):
    """Add a legend of names to lines above the panels, where it covers no curve."""
    figure.legend(
        lines.values(), lines.keys(), loc="outside upper center", ncols=len(lines), frameon=False
    )


def _draw_frames(axes, frames, *, hop_s, low=0.0, **options):
    """Draw a spectrogram, shape (n_frames, n_bands), with low frequencies at the bottom."""
    n_frames, n_bands = frames.shape
    return axes.imshow(
        frames.T,
        origin="lower",
        aspect="auto",
        interpolation="nearest",
        extent=(0, n_frames * hop_s, low, n_bands + low),
        cmap=COLOUR_MAP,
        **options,
    )


def title_plot(plot):
    """Title of an audio plot: its colour map and size."""
    return f"{plot.colour_map}, {plot.size_px} × {plot.size_px} px"


def draw_audio(axes, plot, y, sr, *, start_s=0.0, compact=False):
    """Draw an audio plot with its axes and colour bar.

    Parameters
    ----------
    axes : matplotlib.axes.Axes
    plot : AudioPlot
    y : ndarray, shape (n_samples,)
    sr : int > 0
    start_s : float
        Time of the first sample in seconds.
    compact : bool
        Draw no colour bar and fewer frequencies.

    Returns
    -------
    tuple of float
        ``extent`` of the image, for further images on the same axes.
    """
    S = plot.spectrum(y, sr=sr)
    # A column is as wide as a hop and centred on its window.
    times_s, half = plot.spectrum.times_s(S.shape[1], sr), plot.spectrum.lengths(sr)[1] / sr / 2
    extent = (start_s + times_s[0] - half, start_s + times_s[-1] + half, 0, 1)
    axes.imshow(plot.draw(S, sr=sr), extent=extent, aspect="auto", interpolation="nearest")
    distance = _LEAST_DISTANCE * (3 if compact else 1)
    places, labels, axis_label = frequency_ticks(plot, sr=sr, distance=distance)
    axes.set_yticks(places, labels)
    axes.set(xlabel="time (s)", ylabel=axis_label)
    if compact:
        return extent
    low, high = float(S.min()), float(S.max())
    colours = ScalarMappable(
        Normalize(low, high if high > low else low + 1),
        ListedColormap(colour_table(plot.colour_map) / 255),
    )
    axes.figure.colorbar(colours, ax=axes, label=describe_values(plot.spectrum))
    return extent


def plot_audio(plots, clips, titles, *, n_columns=2, start_s=0.0, page=False):
    """Draw audio plots with their axes and colour bars, as in Figures 4.2 and 4.3.

    Parameters
    ----------
    plots : sequence of AudioPlot
    clips : sequence of (ndarray, int)
        Signal and sampling rate for each plot.
    titles : sequence of str
    n_columns : int
    start_s : float
        Time of each first sample in seconds.
    page : bool
        Draw with small text, axis labels at the margins and no colour bars, as in Figure 8.4;
        always with more than two columns.

    Returns
    -------
    matplotlib.figure.Figure
        The plots' axes first, in order, then those of the colour bars. Plots for which a page has
        no room are left out, with their number below.
    """
    n_columns = min(n_columns, len(plots))
    page = page or n_columns > 2
    n_left = len(plots) - n_columns * int(TALLEST_IN / _LEAST_HEIGHT_IN)
    plots = plots[: len(plots) - max(n_left, 0)]
    width, height = PAGE_IN / max(n_columns, 1 if page else 2), 1.5 if page else 2.5
    figure, grid = _make_grid(len(plots), n_columns, width, height)
    for i, (axes, plot, (y, sr), title) in enumerate(zip(grid.flat, plots, clips, titles)):
        axes.set_title(shorten(title, 72 * width - 40), fontsize=8 if page else None)
        draw_audio(axes, plot, y, sr, start_s=start_s, compact=page)
        if page:
            axes.tick_params(labelsize=8)
            axes.set_xlabel(axes.get_xlabel() if i >= len(plots) - n_columns else "", fontsize=8)
            axes.set_ylabel(axes.get_ylabel(), fontsize=8)
    if n_left > 0:
        figure.supxlabel(f"{n_left} more are not drawn", fontsize=8)
    return figure


def frequency_ticks(plot, *, sr, distance=_LEAST_DISTANCE):
    """Ticks of the vertical axis of an audio plot.

    The tick of a frequency is in the middle of the band with this centre, for each axis and style
    of the plot.

    Parameters
    ----------
    plot : AudioPlot
    sr : int > 0
        Sampling rate in Hz.
    distance : float
        Least distance of two frequencies.

    Returns
    -------
    places : ndarray, shape (n_ticks,)
        0 is the bottom of the image, 1 its top.
    labels : list of str
        In kHz; octaves unless the axis is linear. Pitch classes for chroma.
    axis_label : str

    Examples
    --------
    >>> from thesislib.spectra.plot import AudioPlot
    >>> from thesislib.spectra.spectrogram import Spectrum
    >>> places, labels, axis_label = frequency_ticks(AudioPlot(Spectrum("mel")), sr=16000)
    >>> axis_label, labels[-4:], places[-4:].round(2).tolist()
    ('frequency (kHz)', ['1', '2', '4', '8'], [0.35, 0.54, 0.76, 1.0])
    >>> frequency_ticks(AudioPlot(Spectrum("chroma")), sr=16000)[1][:3]
    ['C', 'C#', 'D']
    """
    spectrum, edges = plot.spectrum, plot.row_edges(sr)
    middles = (edges[1:] + edges[:-1]) / 2
    if spectrum.kind == "chroma":
        step = int(np.ceil(distance * len(middles)))
        return middles[::step], list(PITCH_CLASSES[::step]), "pitch class"
    centres = spectrum.frequencies_hz(sr)
    low, high = spectrum.f_min_hz, spectrum.top_hz(sr)
    inside = (centres > low) & (centres < high)
    top = high if plot.top_hz is None else min(plot.top_hz, high)
    linear = spectrum.kind == "spectrogram" and plot.frequency_axis == "linear"
    ticks_hz = MaxNLocator(5).tick_values(low, top) if linear else _OCTAVES_HZ
    ticks_hz = ticks_hz[(ticks_hz >= low) & (ticks_hz <= top)]
    centres, middles = [low, *centres[inside], high], [edges[0], *middles[inside], edges[-1]]
    places = np.interp(ticks_hz, centres, middles)
    chosen = []
    for index in reversed(range(len(places))):  # from the top, where octaves are wide
        if not chosen or places[chosen[0]] - places[index] >= distance:
            chosen.insert(0, index)
    return places[chosen], [f"{f / 1000:g}" for f in ticks_hz[chosen]], "frequency (kHz)"


def describe_values(spectrum):
    """Describe the values of a spectrum and their unit, as the label of a colour bar."""
    if spectrum.kind == "chroma":
        return "change per frame" if spectrum.delta else "share of the frame's maximum"
    if spectrum.delta:
        return "change (dB per frame)"
    return "power (dB re maximum)" if spectrum.reference == "max" else "power (dB)"


def plot_layers(activations, *, title="", n_maps=6):
    """Draw the activations of a network's layers for one image: maps as images, vectors as lines.

    Parameters
    ----------
    activations : dict of str to ndarray
        Layer to its activations, shape (n_maps, height, width) or (n_features,); see
        :func:`thesislib.reporting.explore.activate_layers`.
    title : str
    n_maps : int
        Maps of each layer to draw: those with the largest mean, each on its own scale.

    Returns
    -------
    matplotlib.figure.Figure
        One row per layer.
    """
    figure = plt.figure(figsize=(PAGE_IN, min(1.5 * len(activations) + 0.3, TALLEST_IN)))
    figure.suptitle(wrap(title, 60 * PAGE_IN, 9), fontsize=9, fontweight="bold")
    rows = figure.subfigures(len(activations), 1, squeeze=False)[:, 0]
    for row, (layer, values) in zip(rows, activations.items()):
        zeros = f"{100 * np.mean(values == 0):.0f} % are zero"
        if values.ndim == 1:
            axes = row.subplots()
            axes.vlines(np.arange(len(values)), 0, values, color="black", linewidth=0.4)
            axes.set(xlim=(0, len(values)), xlabel="feature", ylabel="activation")
            row.suptitle(f"{layer}: {len(values)} features, {zeros}", fontsize=9)
            continue
        shape = " × ".join(map(str, values.shape[1:]))
        row.suptitle(f"{layer}: {len(values)} maps of {shape}, {zeros}", fontsize=9)
        strongest = np.argsort(-values.mean(axis=(1, 2)), kind="stable")[:n_maps]
        for axes in row.subplots(1, n_maps).flat:
            axes.set_axis_off()
        for axes, index in zip(row.axes, strongest):
            axes.imshow(values[index], aspect="auto", interpolation="nearest")
            axes.set_title(f"map {index}", fontsize=8)
    return figure


def plot_histories(histories, columns, *, label, log=False):
    """Draw losses over the epochs, one panel per training.

    Parameters
    ----------
    histories : dict of str to list of dict
        Title to ``history_`` of an estimator.
    columns : dict of str to str
        Column of the history to its name in the legend. Columns that a history lacks are
        omitted.
    label : str
        Of the vertical axis.
    log : bool
        Whether it is logarithmic.

    Returns
    -------
    matplotlib.figure.Figure
    """
    width = PAGE_IN / min(len(histories), 4)
    figure, grid = _make_grid(len(histories), 4, width, 2, sharey=True)
    shown = {}
    for axes, (title, history) in zip(grid.flat, histories.items()):
        for i, (column, name) in enumerate(columns.items()):
            points = [(row["epoch"], row[column]) for row in history if column in row]
            if points:
                marker = "o" if len(points) == 1 else None
                (shown[name],) = axes.plot(
                    *zip(*points), LINES[i % len(LINES)], color=f"C{i}", marker=marker
                )
        axes.set(title=shorten(title, 72 * width - 24, 9), xlabel="epoch")
        if not history:
            axes.text(0.5, 0.5, "untrained", ha="center", transform=axes.transAxes)
    for axes in grid[:, 0]:
        axes.set_ylabel(label)
    if log:
        grid[0, 0].set_yscale("log")
        # Powers as plain numbers: texts in figures are not read as formulas.
        grid[0, 0].yaxis.set(
            major_locator=LogLocator(subs=(1, 2, 5)),
            major_formatter=StrMethodFormatter("{x:g}"),
            minor_formatter=NullFormatter(),
        )
    _add_legend(figure, shown)
    return figure


def plot_reconstructions(rows, titles, *, hop_s):
    """Draw spectrograms above their reconstructions, on one colour scale.

    Parameters
    ----------
    rows : dict of str to list of ndarray, shape (n_frames, n_bands)
        Name of each row (``input``, …) to its spectrograms in [-1, 1], one per clip.
    titles : sequence of str
        One per clip.
    hop_s : float
        Distance between frames in seconds.

    Returns
    -------
    matplotlib.figure.Figure
    """
    figure, grid = plt.subplots(
        len(rows),
        len(titles),
        figsize=(PAGE_IN, min(1.3 * len(rows) + 0.5, TALLEST_IN)),
        squeeze=False,
        sharex="col",
        sharey=True,
    )
    for line, (name, spectrograms) in zip(grid, rows.items()):
        for axes, spectrogram in zip(line, spectrograms):
            image = _draw_frames(axes, np.asarray(spectrogram), hop_s=hop_s, vmin=-1, vmax=1)
        line[0].set_ylabel(f"{name}\nmel band")
    for axes, title in zip(grid[0], titles):
        axes.set_title(shorten(title, 72 * (PAGE_IN - 1.8) / len(titles) - 4, 9))
    for axes in grid[-1]:
        axes.set_xlabel("time (s)")
    figure.colorbar(image, ax=grid, label="level, scaled to [−1, 1]")
    return figure


def plot_sweeps(panels, *, score, interval, label, chance, printed=None):
    """Draw a score with its interval over a parameter, one panel per sweep.

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
        Title to the points that the thesis prints.

    Returns
    -------
    matplotlib.figure.Figure
    """
    figure, grid = plt.subplots(1, len(panels), figsize=(PAGE_IN, 3), squeeze=False, sharey=True)
    shown = {}
    for axes, (title, (table, column)) in zip(grid.flat, panels.items()):
        table = table.dropna(subset=[score]).sort_values(column)
        x, y = table[column].to_numpy(), table[score].to_numpy()
        ends = [table[name].to_numpy() for name in interval]
        # The interval pools all tests, the score is a mean over folds: it may lie outside.
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
    _add_legend(figure, shown)
    return figure


def plot_detection(
    spectrogram, probabilities, *, hop_s, truth_s, decided_s, threshold, title="", band_hz=None
):
    """Draw the log mel spectrogram of a mixture above its frame probabilities.

    Parameters
    ----------
    spectrogram : ndarray, shape (n_frames, n_mels)
        In dB.
    probabilities : dict of str to ndarray, shape (n_frames,)
        Name in the legend to a detector's output.
    hop_s : float
        Distance between frames in seconds.
    truth_s : tuple of float or None
        Onset and offset of the event.
    decided_s : float or None
        Detected onset.
    threshold : float
        Presence threshold.
    title : str
    band_hz : ndarray, shape (n_mels,), optional
        Centre of each band in Hz; by default the bands are numbered.

    Returns
    -------
    matplotlib.figure.Figure
    """
    n_frames, n_bands = spectrogram.shape
    figure, (above, below) = plt.subplots(
        2, 1, figsize=(PAGE_IN, 4.6), sharex=True, height_ratios=(1.4, 1)
    )
    image = _draw_frames(above, spectrogram, hop_s=hop_s, low=-0.5)
    above.set(ylabel="mel band", title=title)
    if band_hz is not None:
        ticks = np.linspace(0, n_bands - 1, 5).round().astype(int)
        above.set_yticks(ticks, [f"{band_hz[tick] / 1000:.2g}" for tick in ticks])
        above.set_ylabel("frequency (kHz, mel scale)")
    figure.colorbar(image, ax=above, label="power (dB)", pad=0.01)
    time_s = np.arange(n_frames) * hop_s
    for i, (name, sequence) in enumerate(probabilities.items()):
        below.plot(time_s, sequence, LINES[i % len(LINES)], color=f"C{i}", lw=1.2, label=name)
    below.axhline(threshold, color="0.4", lw=1, ls=(0, (1, 3)), label="presence threshold")
    if truth_s is not None:
        below.axvspan(*truth_s, color="0.85", zorder=0, label="event")
        above.axvline(truth_s[0], color="white", lw=1.5)
        above.axvline(truth_s[1], color="white", lw=1.5)
    if decided_s is not None:
        below.plot([decided_s], [1.04], "kv", ms=9, clip_on=False, label="detected onset")
    below.set(ylim=(0, 1.04), xlabel="time (s)", ylabel="probability", xlim=(0, n_frames * hop_s))
    # Above the panels, where it covers no curve.
    figure.legend(loc="outside upper center", ncols=5, fontsize=8, frameon=False, columnspacing=1)
    return figure


def save_figure(figure, path):
    """Write a figure as PNG, PDF or SVG, whole or not at all, without a date.

    Parameters
    ----------
    figure : matplotlib.figure.Figure
    path : Path
        Its suffix is the format.
    """
    undated = {".png": "Software", ".pdf": "CreationDate", ".svg": "Date"}[path.suffix]
    with write_atomically(path) as temporary, plt.rc_context({"svg.hashsalt": "thesislib"}):
        # Constrained layout cuts off labels beside square axes; a tight box does not.
        tight = {"bbox_inches": "tight", "pad_inches": 0.04}
        figure.savefig(temporary, format=path.suffix[1:], metadata={undated: None}, **tight)


def write_figure(figure, number, folder, *, note=""):
    """Write ``figure_<number>.png`` and ``.pdf``, without dates, so that bytes repeat.

    Parameters
    ----------
    figure : matplotlib.figure.Figure
    number : str
        The thesis's number, such as ``10.2``; a figure of a section that the thesis does not have
        begins with ``section`` (``section_8_2_example.png``).
    folder : Path
    note : str
        Small print below the figure: corpus, kind, weights.

    Returns
    -------
    list of Path
        The files. The figure is closed, but can still be displayed.
    """
    if note:
        figure.draw_without_rendering()
        box, (width, height) = figure.get_tightbbox(), figure.get_size_inches()
        # Below everything, in at most four lines of the figure's width.
        line = 72 * width - 24
        place, text = (0.5, (box.y0 - 0.1) / height), wrap(shorten(terminal(note), 3 * line), line)
        figure.text(*place, text, ha="center", va="top", fontsize=8, color="0.3")
        set_fonts(figure)
    written = []
    stem = table_stem(number)
    for suffix in (".png", ".pdf"):
        path = folder / f"{'' if stem.startswith('section') else 'figure_'}{stem}{suffix}"
        save_figure(figure, path)
        written.append(path)
    # A notebook shows the figure that a cell returns; it would show an open figure twice.
    plt.close(figure)
    return written
