"""From a row of a corpus to signals: channel, sampling rate, chunks (thesis 4.2.1)."""

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from thesislib.audio import CHANNELS, read_audio, read_rate, stream_audio
from thesislib.errors import AudioError, ParameterError, check_parameters, integer, number, option

#: What is done with a last chunk that is too short.
LAST = ("keep", "pad", "drop")
#: Bytes of a file above which chunks are read block by block (a WAV of 16 kHz: 9 minutes).
LONG_BYTES = 2**24


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
        signals, starts_s, rates = zip(*self.iterate(path, start_s, end_s))
        return list(signals), np.array(starts_s), rates[0]

    def iterate(self, path, start_s=None, end_s=None):
        """Signals of a row one by one: ``(y, start in the file in seconds, sr)``.

        Chunks of a long file are read block by block; at another rate than the file's own, they
        differ from those of the whole signal in the last bits.
        """
        own = {"sr": self.sr, "channel": self.channel}
        is_whole = self.chunk_s is None or self.channel == "all" or (start_s, end_s) != (None, None)
        if not is_whole and Path(path).is_file() and Path(path).stat().st_size > LONG_BYTES:
            blocks, sr = stream_audio(path, **own), self.sr or read_rate(path)
        else:
            y, sr = read_audio(path, **own, start_s=start_s, end_s=end_s)
            blocks = [y]
        begin_s = start_s or 0.0
        if self.chunk_s is None:
            yield y, begin_s, sr
            return
        for start, y in _cut(blocks, sr, self.chunk_s, self.hop_s, self.last):
            yield y, start / sr + begin_s, sr


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
    starts, chunks = zip(*_cut([np.asarray(y)], sr, window_s, hop_s, last))
    return list(chunks), np.array(starts, dtype=np.float64) / sr


def _cut(blocks, sr, window_s, hop_s, last):
    """First sample and samples of each chunk of a signal that comes block by block."""
    # Rounded up, so that chunks without overlap leave no sample between them; a window or
    # hop below one sample would stand still.
    width, step = max(math.ceil(window_s * sr - 1e-6), 1), max(hop_s * sr, 1.0)
    # Samples that are still needed, the number of the first of them, and of the next chunk.
    buffer, first, k = (), 0, 0
    for block in blocks:
        buffer = np.concatenate([buffer, block]) if len(buffer) else block
        while (start := round(k * step)) + width <= first + len(buffer):
            yield start, buffer[start - first : start - first + width]
            k += 1
        n_done = min(start - first, len(buffer))
        buffer, first = buffer[n_done:], first + n_done
    n, start = first + len(buffer), round(k * step)
    if not n:
        raise AudioError("found a signal of 0 samples, expected at least 1 to cut into chunks")
    if n < width and last == "drop":
        raise AudioError(
            f"found {n / sr:.6g} s, shorter than one window: expected at least {window_s} s, "
            "or last='keep' or 'pad'"
        )
    covered = round((k - 1) * step) + width if k else 0
    if last != "drop" and max(covered, start) < n:
        short = buffer[start - first :]
        yield start, np.pad(short, (0, width - len(short))) if last == "pad" else short
