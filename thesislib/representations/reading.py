"""From a row of a corpus to signals: channel, sampling rate, chunks (thesis 4.2.1)."""

from dataclasses import dataclass

import numpy as np

from thesislib.audio import CHANNELS, chunk, read_audio
from thesislib.errors import ParameterError, check_number, check_option


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

    sr: int | None = None
    channel: str = "mean"
    chunk_s: float | None = None
    hop_s: float | None = None
    last: str = "keep"

    def __post_init__(self):
        check_option("channel", self.channel, CHANNELS)
        check_option("last", self.last, ("keep", "pad", "drop"))
        if self.sr is not None:
            check_number("sr", self.sr, low=1, integer=True)
        if self.chunk_s is None and self.hop_s is not None:
            raise ParameterError(f"hop_s: found {self.hop_s!r} without chunk_s, expected both")
        if self.chunk_s is not None:
            check_number("chunk_s", self.chunk_s, low=0, open_low=True)
            if self.hop_s is None:
                object.__setattr__(self, "hop_s", self.chunk_s)
            check_number("hop_s", self.hop_s, low=0, open_low=True)

    def read(self, path, start_s=None, end_s=None):
        """Signals of a row and the start of each in the file: ``(list, starts_s, sr)``."""
        y, sr = read_audio(path, sr=self.sr, channel=self.channel, start_s=start_s, end_s=end_s)
        if self.chunk_s is None:
            return [y], np.array([start_s or 0.0]), sr
        parts, starts_s = chunk(y, sr=sr, window_s=self.chunk_s, hop_s=self.hop_s, last=self.last)
        return parts, np.asarray(starts_s) + (start_s or 0.0), sr
