"""From a spectrum to an audio plot: an RGB picture without axes or margins (thesis 4.2.1).

No figure is drawn. A spectrum's value picks a colour from a table, a pixel picks a cell of the
spectrum; where figures are drawn, the same happens at some hundred times the cost. Two styles:

``thesis``
    Drawn at 387 × 387 px, then reduced to the network's input size by exact area averaging (a
    pixel is the mean colour of its footprint; the thesis does not name its filter). Mel bands
    are equally tall, "displayed on this scale" (4.2.1).
``deepspectrum``
    As DeepSpectrum 0.6.9 drew, pixel for pixel: straight at the network's input size. Its
    mel axis is librosa's display scale, linear to 1 kHz and base-2 logarithmic above, so that
    mel bands are not equally tall; and a spectrogram on that axis has its bins placed as if
    they were mel bands.

Low frequencies are at the bottom; the colours span the plot's own minimum and maximum.
"""

import io
import warnings
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
import scipy.sparse

from thesislib.errors import ParameterError, check_number, check_option
from thesislib.spectra.mel import hz_to_mel, mel_points
from thesislib.spectra.spectrogram import Spectrum
from thesislib.store import write_atomically

STYLES = ("thesis", "deepspectrum")
FREQUENCY_AXES = ("linear", "log", "mel")
# The colour maps that the thesis compares (4.2.1, 8.3, 10.2).
THESIS_COLOUR_MAPS = ("viridis", "cividis", "hot", "magma", "plasma", "jet", "gray", "vega20b")
# Intermediate size of the thesis's plots (4.2.1).
DRAWN_PX = 387

# What matplotlib has renamed since the thesis.
_RENAMED = {"vega20b": "tab20b"}
# Positions of cell borders are rounded to this part of a pixel, as matplotlib's canvas does.
_SUBPIXELS = 256


@dataclass(frozen=True)
class AudioPlot:
    """Settings of an audio plot; called with a signal it draws one.

    Parameters
    ----------
    spectrum : Spectrum
        What is drawn; not transposed.
    colour_map : str
        Any of matplotlib's, or ``vega20b`` (today's ``tab20b``).
    frequency_axis : {"linear", "log", "mel"}
        Axis of a spectrogram. Mel spectrograms and chromagrams have their own and want the
        default.
    style : {"thesis", "deepspectrum"}
        See the module.
    size_px : int
        Side of the picture: the network's input (227 AlexNet, 224 VGG and GoogLeNet).
    top_hz : float, optional
        Highest frequency shown. Colours still span the whole spectrum, and mel bands stay
        where they are (``Spectrum.f_max_hz`` computes no more than it needs instead).

    Raises
    ------
    ParameterError
        If a name is unknown (with the nearest), a size impossible, or options do not go
        together.

    Examples
    --------
    >>> y = np.sin(2 * np.pi * 1000 * np.arange(16000) / 16000)
    >>> plot = AudioPlot(Spectrum("spectrogram"), colour_map="magma", size_px=224)(y, sr=16000)
    >>> plot.shape, plot.dtype
    ((224, 224, 3), dtype('uint8'))
    >>> 224 - int(plot[:, 100].sum(axis=1).argmax())  # 1 of 8 kHz, from the bottom
    28
    """

    spectrum: Spectrum = field(default_factory=Spectrum)
    colour_map: str = "viridis"
    frequency_axis: str = "linear"
    style: str = "thesis"
    size_px: int = 227
    top_hz: float | None = None

    def __post_init__(self):
        if not isinstance(self.spectrum, Spectrum) or self.spectrum.transpose:
            raise ParameterError(
                f"spectrum: found {self.spectrum!r}, expected a Spectrum with transpose=False"
            )
        colour_table(self.colour_map)
        check_option("style", self.style, STYLES)
        check_option("frequency_axis", self.frequency_axis, FREQUENCY_AXES)
        kind = self.spectrum.kind
        if kind != "spectrogram" and self.frequency_axis != "linear":
            raise ParameterError(
                f"frequency_axis: found {self.frequency_axis!r} for kind={kind!r}, which has an "
                "axis of its own, expected 'linear'"
            )
        size_px = check_number("size_px", self.size_px, low=1, integer=True)
        object.__setattr__(self, "size_px", int(size_px))
        if self.top_hz is not None:
            if kind == "chroma":
                raise ParameterError(f"top_hz: found {self.top_hz}, expected None for chroma")
            low = self.spectrum.f_min_hz
            value = check_number("top_hz", self.top_hz, low=low, open_low=True)
            object.__setattr__(self, "top_hz", float(value))

    def __call__(self, y, *, sr):
        """Draw a signal.

        Parameters
        ----------
        y : ndarray, shape (n_samples,)
            Mono signal.
        sr : int > 0
            Sampling rate in Hz.

        Returns
        -------
        ndarray, shape (size_px, size_px, 3), uint8

        Raises
        ------
        AudioError, ParameterError
            As :class:`~thesislib.spectra.spectrogram.Spectrum`.
        """
        return self.draw(self.spectrum(y, sr=sr), sr=sr)

    def draw(self, S, *, sr):
        """Draw a spectrum that these settings have computed, shape (n_bands, n_frames)."""
        return draw_plot(
            S,
            colour_map=self.colour_map,
            size_px=self.size_px,
            style=self.style,
            row_edges=self.row_edges(sr),
        )

    def row_edges(self, sr):
        """Where bands begin and end, from 0 (bottom) to 1 (top); shape (n_bands + 1,).

        Beyond 1 where ``top_hz`` cuts the picture off.
        """
        return _row_edges(self.spectrum, sr, self.frequency_axis, self.style, self.top_hz)


def draw_plot(
    S, *, colour_map="viridis", size_px=227, style="thesis", drawn_px=DRAWN_PX, row_edges=None
):
    """Draw a spectrum as a square picture.

    Parameters
    ----------
    S : ndarray, shape (n_bands, n_frames)
        Spectrum, low frequencies first.
    colour_map, size_px, style, drawn_px
        As in :class:`AudioPlot`.
    row_edges : ndarray, shape (n_bands + 1,), optional
        Where the bands' borders lie, 0 the bottom of the picture and 1 its top; None makes
        them equally tall.

    Returns
    -------
    ndarray, shape (size_px, size_px, 3), uint8

    Warns
    -----
    UserWarning
        If the spectrum is constant: the picture has the colour map's lowest colour.

    Examples
    --------
    >>> draw_plot([[0.0], [1.0]], colour_map="gray", size_px=2, style="deepspectrum")[:, 0, 0]
    array([255,   0], dtype=uint8)
    """
    S = np.asarray(S)
    if S.ndim != 2 or not S.size:
        raise ParameterError(f"S: found shape {S.shape}, expected (n_bands, n_frames), not empty")
    check_option("style", style, STYLES)
    colours = colour_table(colour_map)
    index = _colour_index(S, len(colours))
    if row_edges is None:
        row_edges = np.linspace(0, 1, len(S) + 1)
    if len(row_edges) != len(S) + 1:
        raise ParameterError(
            f"row_edges: found {len(row_edges)} edges, expected {len(S) + 1} for {len(S)} bands"
        )
    drawn = size_px if style == "deepspectrum" else drawn_px
    columns, rows = _cells_of_columns(S.shape[1], drawn), _cells_of_rows(row_edges, drawn)
    if drawn == size_px:
        return colours.take(index.take(columns, axis=1), axis=0).take(rows, axis=0)
    # Averaging is linear and separable, so columns and then rows are sparse matrix products on
    # the cells themselves: the drawn picture need not exist.
    plot = colours.astype(np.float32).take(index.T, axis=0)  # (n_frames, n_bands, 3)
    n_frames, n_bands, _ = plot.shape
    plot = _pixel_shares(columns, n_frames, size_px) @ plot.reshape(n_frames, -1)
    plot = plot.reshape(size_px, n_bands, 3).swapaxes(0, 1).reshape(n_bands, -1)
    plot = _pixel_shares(rows, n_bands, size_px) @ plot
    return (plot.reshape(size_px, size_px, 3) + np.float32(0.5)).astype(np.uint8)


def write_png(path, plot):
    """Write a picture as PNG, whole or not at all.

    Parameters
    ----------
    path : str or Path
        File to write.
    plot : ndarray, shape (height, width, 3) or (height, width), uint8
        Picture in RGB or grey.

    Raises
    ------
    ParameterError
        If ``plot`` is no such array.
    StoreError
        If the file cannot be written.
    """
    from PIL import Image

    plot = np.asarray(plot)
    if plot.dtype != np.uint8 or plot.ndim not in (2, 3) or plot.shape[2:] not in ((), (3,)):
        raise ParameterError(
            f"plot: found {plot.dtype} of shape {plot.shape}, expected uint8 (height, width, 3)"
        )
    data = io.BytesIO()  # Pillow's own errors of a full disk have no error number
    Image.fromarray(plot).save(data, format="PNG")
    with write_atomically(path) as temporary:
        temporary.write_bytes(data.getvalue())


def make_spectrum(style="thesis", **settings):
    """Spectrum of a style; where only the window is given, the hop is half of it.

    Raises
    ------
    ParameterError
        If the window is given twice, in samples and in seconds.

    Examples
    --------
    >>> make_spectrum("deepspectrum", window_s=0.03).hop_s is None
    True
    """
    check_option("style", style, STYLES)
    if "n_fft" in settings and "window_s" in settings:
        raise ParameterError("n_fft: found beside window_s, expected one of them")
    if "n_fft" in settings or "window_s" in settings:
        settings = {"hop_s": None} | settings
    return (Spectrum if style == "thesis" else Spectrum.deepspectrum)(**settings)


def own_axis(kind, frequency_axis):
    """Frequency axis for a kind of spectrum: mel and chroma have axes of their own.

    Examples
    --------
    >>> own_axis("spectrogram", "mel"), own_axis("mel", "linear")
    ('mel', 'linear')
    """
    check_option("frequency_axis", frequency_axis, FREQUENCY_AXES)
    if kind != "spectrogram" and frequency_axis != "linear":
        warnings.warn(
            f"frequency_axis {frequency_axis!r} has no effect: {kind!r} has an axis of its own",
            stacklevel=2,
        )
        return "linear"
    return frequency_axis


def check_colour_map(name, key="colour_map"):
    """Return ``name`` if it is a colour map, or name the nearest; ``key`` is the parameter.

    Raises
    ------
    ParameterError
        If matplotlib has no such map.
    """
    import matplotlib

    return check_option(key, name, [*matplotlib.colormaps, *_RENAMED])


@lru_cache(maxsize=32)
def colour_table(name):
    """Colours of a map from low to high, shape (n_colours, 3), uint8.

    Raises
    ------
    ParameterError
        If matplotlib has no such map; names the nearest.

    Examples
    --------
    >>> colour_table("gray")[[0, 128, 255]].tolist()
    [[0, 0, 0], [128, 128, 128], [255, 255, 255]]
    >>> len(colour_table("vega20b"))
    20
    """
    import matplotlib

    check_colour_map(name)
    colours = matplotlib.colormaps[_RENAMED.get(name, name)]
    table = np.floor(255 * colours(np.arange(colours.N))[:, :3] + 0.5).astype(np.uint8)
    table.flags.writeable = False
    return table


def _colour_index(S, n_colours):
    """Index of each value's colour; in the precision of ``S``, as matplotlib does it."""
    low, high = S.min(), S.max()
    if not (np.isfinite(low) and np.isfinite(high)):
        raise ParameterError("S: found values that are NaN or infinite, expected finite ones")
    if low == high:
        warnings.warn("constant spectrum: its plot has one colour", UserWarning, stacklevel=3)
        return np.zeros(S.shape, np.uint8)
    index = (S - low) / (high - low)
    index *= n_colours
    np.minimum(index, n_colours - 1, out=index)
    return index.astype(np.uint8 if n_colours <= 256 else np.uint16)


@lru_cache(maxsize=64)
def _row_edges(spectrum, sr, frequency_axis, style, top_hz):
    """Borders of the bands on the plot's frequency axis."""
    n_fft, _ = spectrum.lengths(sr)
    low, high = spectrum.f_min_hz, spectrum.top_hz(sr)
    if spectrum.kind == "chroma":
        return np.linspace(0, 1, 13)
    n_bands = len(spectrum.frequencies_hz(sr))
    axis = "mel" if spectrum.kind == "mel" else frequency_axis
    if axis == "mel" and style == "deepspectrum":
        # librosa.display: as many points as bands from limit to limit, and their midpoints.
        points = mel_points(low, high, n_bands, "slaney")
        edges = np.concatenate([points[:1], (points[1:] + points[:-1]) / 2, [high]])
    elif spectrum.kind == "mel":
        edges = mel_points(low, high, n_bands + 1, spectrum.mel_scale)
    else:
        centres = spectrum.frequencies_hz(sr)
        width = sr / n_fft
        edges = np.clip(np.append(centres - width / 2, centres[-1] + width / 2), 0, sr / 2)

    def place(f_hz):
        if axis == "linear":
            return f_hz
        if axis == "log":
            return _symmetric_log2(f_hz, 65.406, 0.5)  # linear below the note C2
        if style == "deepspectrum":
            return _symmetric_log2(f_hz, 1000.0, 1.0)
        return hz_to_mel(f_hz, spectrum.mel_scale)

    placed = place(edges)
    top = placed[-1] if top_hz is None else place(np.float64(min(top_hz, edges[-1])))
    placed = (placed - placed[0]) / (top - placed[0])
    placed.flags.writeable = False
    return placed


def _symmetric_log2(f_hz, linear_to, linear_share):
    """Matplotlib's symlog scale, base 2: linear up to ``linear_to``, logarithmic above."""
    slope = 2 * linear_share
    above = slope + np.log2(np.maximum(f_hz, linear_to) / linear_to)
    return np.where(f_hz <= linear_to, f_hz * slope, linear_to * above)


def _cells_of_columns(n_frames, size_px):
    """Frame that each column shows: the last one that touches the pixel is on top."""
    edges = np.floor(np.linspace(0, 1, n_frames + 1) * (size_px * _SUBPIXELS) + 0.5)
    return np.searchsorted(edges, _SUBPIXELS * np.arange(1, size_px + 1)) - 1


def _cells_of_rows(row_edges, size_px):
    """Band that each row shows, from the top of the picture, where the canvas begins."""
    edges = np.floor((1 - np.asarray(row_edges)) * (size_px * _SUBPIXELS) + 0.5)
    rows = np.searchsorted(-edges, -_SUBPIXELS * np.arange(size_px)) - 1
    return np.minimum(rows, len(edges) - 2)


@lru_cache(maxsize=16)
def _footprints(drawn_px, size_px):
    """Share of each drawn pixel in each pixel, sparse (size_px, drawn_px); rows sum to 1."""
    drawn = np.arange(drawn_px + 1) / drawn_px
    pixels = np.arange(size_px + 1)[:, np.newaxis] / size_px
    inner = np.minimum(pixels[1:], drawn[1:]) - np.maximum(pixels[:-1], drawn[:-1])
    return scipy.sparse.csr_array(np.where(inner > 1e-12, inner * size_px, 0).astype(np.float32))


def _pixel_shares(cells, n_cells, size_px):
    """Share of each cell in each pixel: footprints of drawn pixels that show ``cells``."""
    shares = _footprints(len(cells), size_px)
    parts = (shares.data, cells[shares.indices], shares.indptr)
    return scipy.sparse.csr_array(parts, shape=(size_px, n_cells))
