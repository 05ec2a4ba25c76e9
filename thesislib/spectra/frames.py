"""Log mel frames for detectors of events, of a clip or a stream (thesis 7.2.1, 8.2.1).

Decibels are absolute, not relative to a clip's loudest frame: what comes later in a recording
must not change the frames before, or an hour of audio would have to be read before its first
second can be judged.
"""

import warnings
from dataclasses import dataclass

import numpy as np

from thesislib.errors import AudioError, option
from thesislib.spectra.spectrogram import Spectrum, delta


@dataclass(frozen=True)
class LogMelFrames:
    """Settings of log mel frames; called with a signal it computes them.

    Parameters
    ----------
    window_s, hop_s : float > 0
        Hann window (the thesis's ``w``) and distance between windows in seconds.
    n_mels : int > 0
        Mel bands (HTK scale).
    delta : bool
        Put the first-order derivatives of all bands behind them (Table 8.6, experiment 1).

    Notes
    -----
    Frame ``i`` is centred on ``i * hop(sr)``, with zeros before and after the signal.

    Examples
    --------
    >>> y = np.sin(np.arange(8000.0))
    >>> LogMelFrames(0.046, 0.023, 40)(y, sr=8000).shape
    (44, 40)
    >>> LogMelFrames(0.046, 0.023, 40, delta=True)(y, sr=8000).shape
    (44, 80)
    """

    window_s: float = 0.046
    hop_s: float = 0.023
    n_mels: int = 128
    delta: bool = False

    def __post_init__(self):
        self._spectrum(center=True)  # checks

    def hop(self, sr):
        """Seconds between frames: ``hop_s``, rounded to whole samples.

        Examples
        --------
        >>> round(LogMelFrames().hop(44100), 6)
        0.022993
        """
        return self._spectrum(center=True).lengths(sr)[1] / sr

    def __call__(self, y, *, sr):
        """Frames of a signal: (n_frames, n_mels), or (n_frames, 2 * n_mels) with deltas, float32.

        Raises
        ------
        AudioError
            If the signal is shorter than a window, or than nine frames with ``delta``.
        """
        S = self._compute(y, sr, center=True)
        return np.concatenate([S, delta(S.T).T], axis=1) if self.delta else S

    def stream(self, blocks, *, sr):
        """The same frames of a signal that comes in blocks, in constant memory.

        Parameters
        ----------
        blocks : iterable of ndarray, shape (n_samples,)
            Consecutive samples, in blocks of any length.
        sr : int > 0
            Sampling rate in Hz.

        Yields
        ------
        ndarray, shape (n_frames, n_mels), float32

        Raises
        ------
        ParameterError
            For frames with deltas, which look ahead.
        """
        option([False]).check("delta", self.delta)
        n_fft, hop_length = self._spectrum(center=False).lengths(sr)
        margin = np.zeros(n_fft // 2, np.float32)
        held, n_samples = margin, 0
        for block in blocks:
            held, n_samples = np.concatenate([held, block]), n_samples + len(block)
            n_frames = 1 + (len(held) - n_fft) // hop_length
            if n_frames > 0:
                yield self._compute(held[: n_fft + (n_frames - 1) * hop_length], sr, center=False)
                held = held[n_frames * hop_length :]
        if n_samples < n_fft:
            raise AudioError(f"found {n_samples} samples, expected at least one window, {n_fft}")
        held = np.concatenate([held, margin])
        if len(held) >= n_fft:
            yield self._compute(held, sr, center=False)

    def _compute(self, y, sr, *, center):
        with warnings.catch_warnings():
            # A second of silence in a recording is nothing to warn of.
            warnings.filterwarnings("ignore", message="silent signal")
            return self._spectrum(center=center)(y, sr=sr)

    def _spectrum(self, *, center):
        return Spectrum(
            "mel",
            window_s=self.window_s,
            hop_s=self.hop_s,
            n_mels=self.n_mels,
            reference=1.0,
            center=center,
            transpose=True,
        )
