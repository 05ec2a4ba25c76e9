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
#: Distinguishable without colour.
LINES = ("-", "--", ":", "-.")
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


def plot_detection(
    spectrogram, probabilities, *, hop_s, truth_s, decided_s, threshold, title="", band_hz=None
):
    """Log mel spectrogram of a mixture over its frame probabilities.

    Parameters
    ----------
    spectrogram : ndarray, shape (n_frames, n_mels)
        In dB.
    probabilities : dict of str to ndarray, shape (n_frames,)
        Name in the legend to a detector's answer.
    hop_s : float
        Distance between frames in seconds.
    truth_s : tuple of float or None
        Onset and offset of the event.
    decided_s : float or None
        The onset that was decided on.
    threshold : float
        Presence threshold.
    title : str
    band_hz : ndarray, shape (n_mels,), optional
        Centre of each band in Hz; without it the bands are numbered.

    Returns
    -------
    matplotlib.figure.Figure
    """
    n_frames, n_bands = spectrogram.shape
    figure, (above, below) = plt.subplots(
        2, 1, figsize=(8.5, 5.2), sharex=True, height_ratios=(1.4, 1)
    )
    picture = above.imshow(
        spectrogram.T,
        origin="lower",
        aspect="auto",
        interpolation="nearest",
        extent=(0, n_frames * hop_s, -0.5, n_bands - 0.5),
        cmap=COLOUR_MAP,
    )
    above.set(ylabel="mel band", title=title)
    if band_hz is not None:
        ticks = np.linspace(0, n_bands - 1, 5).round().astype(int)
        above.set_yticks(ticks, [f"{band_hz[tick] / 1000:.2g}" for tick in ticks])
        above.set_ylabel("frequency (kHz, mel scale)")
    figure.colorbar(picture, ax=above, label="power (dB)", pad=0.01)
    time_s = np.arange(n_frames) * hop_s
    for i, (name, sequence) in enumerate(probabilities.items()):
        below.plot(time_s, sequence, LINES[i % len(LINES)], color=f"C{i}", lw=1.2, label=name)
    below.axhline(threshold, color="0.4", lw=1, ls=(0, (1, 3)), label="presence threshold")
    if truth_s is not None:
        below.axvspan(*truth_s, color="0.85", zorder=0, label="event")
        above.axvline(truth_s[0], color="white", lw=1.5)
        above.axvline(truth_s[1], color="white", lw=1.5)
    if decided_s is not None:
        below.plot([decided_s], [1.04], "kv", ms=9, clip_on=False, label="onset decided on")
    below.set(ylim=(0, 1.04), xlabel="time (s)", ylabel="probability", xlim=(0, n_frames * hop_s))
    # Beside the panels, so that it covers no curve.
    figure.legend(loc="outside upper center", ncols=5, fontsize="small", frameon=False)
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
