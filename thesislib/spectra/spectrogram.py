"""From a signal to a spectrum: spectrogram, mel spectrogram, chromagram, deltas (4.2.1).

A spectrum is float32, shape (n_bands, n_frames), low frequencies first; spectrograms and mel
spectrograms are in dB of power, chromagrams are not. Values are librosa's to float32
precision. The transform runs in float64, since the colours of an audio plot change wherever a
value crosses the border between two of 256 steps.

Left open by the thesis, and chosen
-----------------------------------
* No frame reaches past the signal (``center=False``), as in the tools that grew out of it.
* Mel filters of unit area act on power and the logarithm follows, as in librosa (4.2.1 speaks
  of the log-magnitude spectrum, as if the logarithm came first).
* Deltas are librosa's default, the slope of a line through nine frames, here of dB values.
"""

import warnings
from dataclasses import dataclass, fields
from functools import lru_cache

import numpy as np
import scipy.fft

from thesislib.errors import AudioError, ParameterError, check_parameters, integer, number, option
from thesislib.spectra.mel import MEL_SCALES, mel_filters, mel_points

KINDS = ("spectrogram", "mel", "chroma")
DELTA_FRAMES = 9

# Powers below this count as this (-100 dB), librosa's ``amin``.
_LEAST_POWER = np.float32(1e-10)
# Float64 values that a block of frames may hold: about what a core's cache does.
_BLOCK_SIZE = 2**17


@dataclass(frozen=True)
class Spectrum:
    """Settings of a spectrum; called with a signal it computes one.

    Parameters
    ----------
    kind : {"mel", "spectrogram", "chroma"}
        Chroma is librosa's default, as in the thesis (8.3.1): 12 pitch classes from C up,
        tuning estimated from the clip, each frame divided by its maximum.
    window_s, hop_s : float > 0
        Hann window ``w`` and distance between windows in seconds (the thesis's overlap
        ``αw`` is their difference). ``hop_s=None`` is half a window.
    n_fft : int, optional
        Window in samples, in place of ``window_s``.
    power_of_two : bool
        Round ``window_s`` up to the next power of two samples.
    n_mels : int > 0
        Number of mel bands.
    mel_scale : {"htk", "slaney"}
        ``htk`` is eq. 4.1, 2595·log10(1 + f/700).
    f_min_hz, f_max_hz : float
        Limits of the mel filters or of a spectrogram's bins; None is half the sampling rate.
    delta : bool
        Return the deltas of the spectrum.
    center : bool
        Pad half a window of zeros at both ends, so that frame t is centred on t·hop.
    reference : "max" or float > 0
        Power of 0 dB; ``"max"`` is the greatest in the clip.
    clip_below_db : float, optional
        Raise what is below this level, in dB of ``reference`` (10.1: −30, −45, −60, −75).
    scale : {None, "unit"}
        ``"unit"`` maps each clip's own minimum and maximum to [−1, 1].
    transpose : bool
        Return (n_frames, n_bands), as sequence models want it.

    Raises
    ------
    ParameterError
        At once for a value that is impossible at any sampling rate, on a call for one that is
        impossible at the signal's.

    Notes
    -----
    The steps run in this order: dB, clip, delta, scale. Instances are hashable and
    ``dataclasses.asdict`` gives plain values only, so they can be part of a key.

    Examples
    --------
    >>> y = np.sin(2 * np.pi * 440 * np.arange(16000) / 16000)
    >>> Spectrum(n_mels=40)(y, sr=16000).shape
    (40, 124)
    >>> Spectrum("spectrogram", window_s=0.032, transpose=True)(y, sr=16000).shape
    (122, 257)
    >>> Spectrum("mell")
    Traceback (most recent call last):
    ...
    thesislib.errors.ParameterError: kind: found 'mell', ... (did you mean 'mel'?)
    """

    kind: option(KINDS) = "mel"
    window_s: number(0, open_low=True) = 0.016
    hop_s: number(0, open_low=True) | None = 0.008
    n_fft: integer(2) | None = None
    power_of_two: bool = False
    n_mels: integer(1) = 128
    mel_scale: option(MEL_SCALES) = "htk"
    f_min_hz: number(0) = 0.0
    f_max_hz: number() | None = None
    delta: bool = False
    center: bool = False
    reference: option(["max"]) | number(0, open_low=True) = "max"
    clip_below_db: number() | None = None
    scale: option(["unit"]) | None = None
    transpose: bool = False

    def __post_init__(self):
        check_parameters(self, store=True)
        if self.f_max_hz is not None:
            number(self.f_min_hz, open_low=True).check("f_max_hz", self.f_max_hz)
        if self.clip_below_db is not None and self.reference == "max":
            number(high=0).check("clip_below_db", self.clip_below_db)
        if not (self.hop_s is None or self.n_fft or self.hop_s <= self.window_s):
            raise ParameterError(
                f"hop_s: found {self.hop_s}, expected at most window_s = {self.window_s}"
            )
        if self.kind == "chroma":
            # Pitch classes lie neither in dB nor in Hz: a limit would be silently ignored.
            for field in fields(self):
                value = getattr(self, field.name)
                if field.name.endswith(("_hz", "_db")) and value != field.default:
                    raise ParameterError(
                        f"{field.name}: found {value}, expected {field.default} for kind='chroma'"
                    )

    @classmethod
    def deepspectrum(cls, kind="mel", **changes):
        """Settings of DeepSpectrum 0.6.9: 25 ms rounded up, hop half of it, Slaney mel."""
        preset = {"window_s": 0.025, "hop_s": None, "power_of_two": True, "mel_scale": "slaney"}
        return cls(kind, **(preset | changes))

    def lengths(self, sr):
        """Window and hop in samples at a sampling rate: ``(n_fft, hop_length)``.

        Examples
        --------
        >>> Spectrum().lengths(16000), Spectrum.deepspectrum().lengths(44100)
        ((256, 128), (2048, 1024))
        """
        number(0, open_low=True).check("sr", sr)
        n_fft = self.n_fft or round(self.window_s * sr)
        if self.power_of_two and self.n_fft is None:
            n_fft = 1 << max(int(self.window_s * sr) - 1, 1).bit_length()
        if n_fft < 2:
            raise ParameterError(
                f"window_s: found {self.window_s}, expected at least 2 samples at {sr} Hz"
            )
        hop_length = n_fft // 2 if self.hop_s is None else round(self.hop_s * sr)
        if not 1 <= hop_length <= n_fft:
            raise ParameterError(
                f"hop_s: found {hop_length} samples, expected at least 1 and at most "
                f"a window, {n_fft} at {sr} Hz"
            )
        return n_fft, hop_length

    def frequencies_hz(self, sr):
        """Centre of each bin or mel band in Hz, shape (n_bands,)."""
        if self.kind == "chroma":
            raise ParameterError("kind: found 'chroma', expected 'mel' or 'spectrogram'")
        if self.kind == "mel":
            return mel_points(self.f_min_hz, self.top_hz(sr), self.n_mels + 2, self.mel_scale)[1:-1]
        n_fft, _ = self.lengths(sr)
        return (np.arange(n_fft // 2 + 1) * (sr / n_fft))[self._kept_bins(sr, n_fft)]

    def times_s(self, n_frames, sr):
        """Middle of each frame in seconds from the signal's start, shape (n_frames,)."""
        n_fft, hop_length = self.lengths(sr)
        return (np.arange(n_frames) * hop_length + (0 if self.center else n_fft / 2)) / sr

    def top_hz(self, sr):
        """Upper frequency limit at a sampling rate: ``f_max_hz`` or half the rate."""
        if self.f_max_hz is None:
            return sr / 2
        return number(high=sr / 2).check("f_max_hz", self.f_max_hz)

    def _kept_bins(self, sr, n_fft):
        """Slice of the bins whose centre lies in [f_min_hz, f_max_hz]."""
        width = sr / n_fft
        bins = slice(
            int(np.ceil(self.f_min_hz / width)), int(np.floor(self.top_hz(sr) / width)) + 1
        )
        if bins.start < bins.stop:
            return bins
        raise ParameterError(
            f"f_min_hz, f_max_hz: found {self.f_min_hz} and {self.f_max_hz}, expected a bin "
            f"between them: they are {width:g} Hz apart at {sr} Hz"
        )

    def __call__(self, y, *, sr):
        """Compute the spectrum of a signal.

        Parameters
        ----------
        y : ndarray, shape (n_samples,)
            Mono signal.
        sr : int > 0
            Sampling rate in Hz.

        Returns
        -------
        ndarray, shape (n_bands, n_frames) or, with ``transpose``, (n_frames, n_bands), float32

        Raises
        ------
        AudioError
            If the signal is shorter than a window, has fewer than nine frames where deltas
            are asked for, or is not finite.

        Warns
        -----
        UserWarning
            If the signal is silent; the result is constant.
        """
        n_fft, hop_length = self.lengths(sr)
        top_hz = self.top_hz(sr)
        power = _power(y, n_fft, hop_length, self.center)
        if self.kind == "chroma":
            S = _pitch_classes(power, sr, n_fft)
        else:
            if self.kind == "mel":
                bands = (self.n_mels, self.f_min_hz, top_hz, self.mel_scale)
                power = mel_filters(sr, n_fft, *bands) @ power
            else:
                power = power[self._kept_bins(sr, n_fft)]
            S = power_to_db(power, reference=self.reference)
        if self.clip_below_db is not None:
            S = clip_below(S, self.clip_below_db)
        if self.delta:
            S = delta(S)
        if self.scale == "unit":
            S = scale_to_unit(S)
        return np.ascontiguousarray(S.T) if self.transpose else S


def power_to_db(power, *, reference="max"):
    """Decibels: 10·log10(power / reference), neither taken below 1e-10.

    Parameters
    ----------
    power : ndarray
        Non-negative values.
    reference : "max" or float > 0
        Power of 0 dB.

    Returns
    -------
    ndarray
        Shape of ``power``, float32.

    Warns
    -----
    UserWarning
        If no power exceeds 1e-10: the signal is silent and the result constant.

    Examples
    --------
    >>> power_to_db([1.0, 0.1]).tolist()
    [0.0, -10.0]
    """
    power = np.asarray(power, dtype=np.float32)
    peak = power.max()
    if peak <= _LEAST_POWER:
        warnings.warn("silent signal: its spectrum is constant", UserWarning, stacklevel=3)
    one = peak if reference == "max" else np.float32(reference)
    S = np.float32(10) * np.log10(np.maximum(power, _LEAST_POWER))
    S -= np.float32(10) * np.log10(np.maximum(one, _LEAST_POWER))
    return S


def clip_below(S, level_db):
    """Raise what is below a level to it (thesis 10.1).

    Examples
    --------
    >>> clip_below(np.array([-80.0, -20.0]), -60).tolist()
    [-60.0, -20.0]
    """
    return np.maximum(S, np.float32(level_db))


def scale_to_unit(S):
    """Map an array's own minimum and maximum to [−1, 1]; a constant one becomes −1.

    Examples
    --------
    >>> scale_to_unit(np.array([-60.0, -30.0, 0.0])).tolist()
    [-1.0, 0.0, 1.0]
    """
    S = np.asarray(S, dtype=np.float32)
    low, high = S.min(), S.max()
    if low == high:
        return np.full_like(S, -1)
    # Divided before it is doubled, so that the ends are -1 and 1 exactly.
    return (S - low) / (high - low) * np.float32(2) - np.float32(1)


def delta(S):
    """First-order deltas: slope in time of the line through nine frames (4.2.1).

    The first and last four frames take the slope of the first and last nine, as in
    ``librosa.feature.delta``.

    Parameters
    ----------
    S : ndarray, shape (n_bands, n_frames)
        Spectrum of at least nine frames.

    Returns
    -------
    ndarray, shape (n_bands, n_frames), float32
        Change per frame.

    Raises
    ------
    AudioError
        If there are fewer frames.

    Examples
    --------
    >>> delta(np.arange(20.0)[np.newaxis] * 3)[0, :3].tolist()
    [3.0, 3.0, 3.0]
    """
    S = np.asarray(S, dtype=np.float64)
    n_frames, half = S.shape[1], DELTA_FRAMES // 2
    if n_frames < DELTA_FRAMES:
        raise AudioError(f"found {n_frames} frames, expected at least {DELTA_FRAMES} for deltas")
    slope = np.zeros((len(S), n_frames - 2 * half))
    for k in range(1, half + 1):
        slope += k * (S[:, half + k : n_frames - half + k] - S[:, half - k : n_frames - half - k])
    slope /= 2 * sum(k * k for k in range(1, half + 1))
    return np.pad(slope, ((0, 0), (half, half)), mode="edge").astype(np.float32)


@lru_cache(maxsize=16)
def _hann(n_fft):
    """Periodic Hann window, read-only since it is shared."""
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(n_fft) / n_fft)
    window.flags.writeable = False
    return window


def _power(y, n_fft, hop_length, center):
    """Power |STFT|², shape (n_fft // 2 + 1, n_frames), float32."""
    y = np.asarray(y)
    if y.ndim != 1:
        raise ParameterError(f"y: found shape {y.shape}, expected one channel, (n_samples,)")
    y = y.astype(np.float32, copy=False)
    if not np.isfinite(y).all():
        raise AudioError("found samples that are NaN or infinite, expected finite ones")
    if len(y) < n_fft:
        raise AudioError(f"found {len(y)} samples, expected at least one window, {n_fft}")
    if center:
        y = np.pad(y, n_fft // 2)
    frames = np.lib.stride_tricks.sliding_window_view(y, n_fft)[::hop_length]
    power = np.empty((n_fft // 2 + 1, len(frames)), np.float32)
    step = max(_BLOCK_SIZE // n_fft, 1)
    for k in range(0, len(frames), step):
        transform = scipy.fft.rfft(frames[k : k + step] * _hann(n_fft), axis=1)
        # Through complex64, where librosa rounds too.
        power[:, k : k + step] = np.abs(transform.astype(np.complex64)).T ** 2
    return power


def _pitch_classes(power, sr, n_fft):
    """Chroma (12, n_frames) of power; librosa takes seconds to import, so only here."""
    if power.max() <= 0:
        warnings.warn("silent signal: its chromagram is zero", UserWarning, stacklevel=3)
        return np.zeros((12, power.shape[1]), np.float32)
    import librosa

    return librosa.feature.chroma_stft(S=power, sr=sr, n_fft=n_fft).astype(np.float32, copy=False)
