"""From a row of a corpus to signals: channel, sampling rate, chunks (thesis 4.2.1)."""

import math
from dataclasses import dataclass

import numpy as np

from thesislib.audio import CHANNELS, read_audio
from thesislib.errors import AudioError, ParameterError, check_parameters, integer, number, option

#: What is done with a last chunk that is too short.
LAST = ("keep", "pad", "drop")


@dataclass(frozen=True)
class Reading:
    """Settings that turn a row of a corpus into signals.

    Parameters
    ----------
    sr : int, optional
        Sampling rate in Hz; the file's own by default.
    channel : {"mean", "left", "right", "difference", "all"}
    chunk_s, hop_s : float, optional
        Chunk length and hop in seconds; the whole row as one chunk by default.
        ``hop_s`` is ``chunk_s`` unless given.
    last : {"keep", "pad", "drop"}
        What is done with a last chunk that is too short.

    Raises
    ------
    ParameterError
        If a value is impossible.

    Examples
    --------
    >>> Reading(chunk_s=5.0).hop_s
    5.0
    """

    sr: integer(1) | None = None
    channel: option(CHANNELS) = "mean"
    chunk_s: number(0, open_low=True) | None = None
    hop_s: number(0, open_low=True) | None = None
    last: option(LAST) = "keep"

    def __post_init__(self):
        check_parameters(self, store=True)
        if self.chunk_s is None and self.hop_s is not None:
            raise ParameterError(f"hop_s: found {self.hop_s!r} without chunk_s, expected both")
        if self.hop_s is None:
            object.__setattr__(self, "hop_s", self.chunk_s)

    def read(self, path, start_s=None, end_s=None):
        """Signals of a row and the start of each in the file: ``(list, starts_s, sr)``."""
        y, sr = read_audio(path, sr=self.sr, channel=self.channel, start_s=start_s, end_s=end_s)
        if self.chunk_s is None:
            return [y], np.array([start_s or 0.0]), sr
        parts, starts_s = chunk(y, sr=sr, window_s=self.chunk_s, hop_s=self.hop_s, last=self.last)
        return parts, np.asarray(starts_s) + (start_s or 0.0), sr


def chunk(y, *, sr, window_s, hop_s, last="keep"):
    """Cut a signal into windows of equal length.

    Chunk ``k`` starts at sample ``round(k · hop_s · sr)``, so chunks do not drift where
    the hop is no whole number of samples. After the last window that fits, one short
    chunk may remain: it starts at the next start and exists only if it holds a sample
    that no full chunk holds. A clip shorter than a window is one short chunk.

    Parameters
    ----------
    y : ndarray, shape (n_samples,)
        Signal.
    sr : int > 0
        Sampling rate in Hz.
    window_s, hop_s : float > 0
        Length of a chunk and distance between starts in seconds. ``hop_s > window_s``
        leaves gaps.
    last : {"keep", "pad", "drop"}
        The short chunk is kept as it is, filled up with zeros, or left out. A kept one
        may be too short for a spectrum, which then says so.

    Returns
    -------
    chunks : list of ndarray
        Views of ``y`` (a padded chunk is a copy).
    starts_s : ndarray, shape (n_chunks,), float64
        Their starts in seconds.

    Raises
    ------
    AudioError
        If ``y`` is empty, or shorter than one window with ``last="drop"``.
    ParameterError
        If a length is not positive or ``last`` is unknown.

    Examples
    --------
    >>> chunks, starts_s = chunk(np.arange(10), sr=1, window_s=4, hop_s=4, last="keep")
    >>> [len(c) for c in chunks], starts_s.tolist()
    ([4, 4, 2], [0.0, 4.0, 8.0])
    >>> len(chunk(np.arange(10), sr=1, window_s=4, hop_s=3, last="pad")[0])
    3
    """
    for name, value in {"sr": sr, "window_s": window_s, "hop_s": hop_s}.items():
        number(0, open_low=True).check(name, value)
    option(LAST).check("last", last)
    y = np.asarray(y)
    n = len(y)
    if n == 0:
        raise AudioError("found a signal of 0 samples, expected at least 1 to cut into chunks")
    # Rounded up, so that chunks without overlap leave no sample between them; a window or
    # hop below one sample would stand still.
    width, step = max(math.ceil(window_s * sr - 1e-6), 1), max(hop_s * sr, 1.0)
    if n < width and last == "drop":
        raise AudioError(
            f"found {n / sr:.6g} s, shorter than one window: expected at least {window_s} s, "
            "or last='keep' or 'pad'"
        )
    full = [s for k in range(math.floor(n / step) + 2) if (s := round(k * step)) + width <= n]
    starts, chunks = full, [y[s : s + width] for s in full]
    rest, covered = round(len(full) * step), full[-1] + width if full else 0
    if last != "drop" and covered < n and rest < n:
        short = y[rest:]
        if last == "pad":
            short = np.pad(short, (0, width - len(short)))
        starts, chunks = [*full, rest], [*chunks, short]
    return chunks, np.array(starts, dtype=np.float64) / sr
