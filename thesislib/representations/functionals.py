"""openSMILE's functionals, and frame features for bags (thesis 8.3, 9.1, 9.2, 10.1, 10.2).

Both estimators take pairs (signal, sampling rate) and learn nothing. openSMILE is the
package ``opensmile`` of PyPI, which contains the configurations. Its licence allows
research and private use; for commercial use see audEERING (www.audeering.com). It is
imported at the first clip, and one extractor is built in each process, so that the
estimators are small to send to workers.

openSMILE computes from 16-bit samples. Signals are first limited to [-1, 1 - 1/32768],
since its wrapper converts a sample of 1 to -1.
"""

import functools
import math
from dataclasses import dataclass

import numpy as np
import scipy.fft
from scipy.ndimage import correlate1d

from thesislib.errors import AudioError, ParameterError, check_parameters, integer, number, option
from thesislib.representations.stateless import Stateless

FUNCTIONALS = {"ComParE_2016": 6373, "IS09": 384, "IS10": 1582}
FRAME_STREAMS = {"ComParE_2016": (65, 65), "IS09": (16, 16), "MFCC39": (39,)}

# The MFCC set of 9.1.1.4.2; HTK's liftering, mel scale (eq. 4.1) and regression deltas.
WINDOW_S = 0.025
N_MELS = 26
FMAX_HZ = 8000
N_MFCC = 12
LIFTER = 22
# Floor of energies, so that the logarithm of silence is finite.
ENERGY_FLOOR = 1e-10

#: Sampling rates in Hz. Outside them openSMILE raises errors or crashes the process (tried in
#: subprocesses with rates from 4 Hz to 10 MHz). Below 100 Hz its hop of 10 ms is less than a
#: sample: ComParE_2016 crashes up to 20 Hz and fails up to 67 Hz, IS09 and IS10 fail up to 51 Hz.
#: At 2 MHz all sets still work, at 10 MHz all crash.
RATES = integer(100, 1_000_000)
#: Parts in seconds, each rounded to samples, of the shortest signal that has a frame: the longest
#: window of the set and, for IS10, a hop. Shorter signals have no features (tried likewise).
SHORTEST_S = {
    "ComParE_2016": [0.060],
    "IS09": [0.025],
    "IS10": [0.060, 0.010],
    "MFCC39": [WINDOW_S],
}


def check_signals(X, target=None):
    """Mono signals as float32, each converted to a sampling rate.

    Parameters
    ----------
    X : list of (ndarray, float)
        Signal and its sampling rate in Hz.
    target : int, optional
        Sampling rate to convert to (soxr, quality HQ); None keeps the signal's own.

    Yields
    ------
    index : int
    y : ndarray, shape (n_samples,), float32
    sr : int

    Raises
    ------
    AudioError, ParameterError
        Names the index of a signal that is not mono, finite and of floats, or of its rate.

    Examples
    --------
    >>> [(len(y), sr) for _, y, sr in check_signals([(np.zeros(800), 8000)], 16000)]
    [(1600, 16000)]
    """
    for index, item in enumerate(X):
        try:
            y, sr = item
        except (TypeError, ValueError):
            raise ParameterError(
                f"X[{index}]: found {type(item).__name__}, expected (signal, sampling rate)"
            ) from None
        y = np.asarray(y)
        RATES.check(f"X[{index}], sampling rate", round(sr))
        if y.ndim != 1 or y.dtype.kind != "f":
            raise AudioError(
                f"X[{index}]: found {y.dtype} of shape {y.shape}, expected a mono signal of "
                "floats, shape (n_samples,)"
            )
        if not np.isfinite(y).all():
            sample = np.argmin(np.isfinite(y))
            raise AudioError(
                f"X[{index}]: found {y[sample]} at sample {sample}, expected finite samples"
            )
        y = y.astype(np.float32)
        if target is not None and sr != target:
            import soxr

            y, sr = soxr.resample(y, sr, target, quality="HQ"), target
        yield index, y, round(sr)


class _FromSignals(Stateless):
    """Base of both estimators: checks and resampling."""

    _libraries = ("opensmile", "numpy", "scipy", "librosa", "soxr")

    def _signals(self, X):
        check_parameters(self)
        for index, y, sr in check_signals(X, self.sr):
            shortest = sum(math.floor(s * sr + 0.5) for s in SHORTEST_S[self.feature_set])
            if len(y) < shortest:
                raise AudioError(
                    f"X[{index}]: found {len(y)} samples at {sr} Hz, expected at least the "
                    f"{shortest} of one {self.feature_set} frame"
                )
            yield index, y, sr


@dataclass(eq=False, repr=False)
class Functionals(_FromSignals):
    """openSMILE's functionals of a clip: one vector, whatever its length.

    Parameters
    ----------
    feature_set : {"ComParE_2016", "IS09", "IS10"}
        6 373 features (10.1, 10.2), 384 or 1 582 (8.3).
    sr : int, optional
        Resample each signal to this rate in Hz. Default: its own rate. Features of different
        rates are not comparable, since the bands reach other frequencies.

    Notes
    -----
    A silent clip has finite features. The licence of openSMILE is for research: see the
    module's docstring.

    Examples
    --------
    >>> import numpy as np
    >>> t = np.arange(16000) / 16000
    >>> tone = (0.5 * np.sin(2 * np.pi * 440 * t)).astype(np.float32)
    >>> Functionals("IS09").fit_transform([(tone, 16000)]).shape
    (1, 384)
    """

    feature_set: option(FUNCTIONALS) = "ComParE_2016"
    sr: RATES | None = None

    def transform(self, X):
        """Functionals of signals.

        Parameters
        ----------
        X : list of (ndarray, float)
            Mono signal in [-1, 1] and its sampling rate in Hz.

        Returns
        -------
        ndarray, shape (n, n_features), float32

        Raises
        ------
        AudioError
            If a clip is too short for the set (25 to 70 ms are needed, see `SHORTEST_S`), or
            its samples are not finite; names the clip's index.
        ParameterError
            If a sampling rate is beyond those of `RATES`.
        """
        rows = [
            _run_opensmile(self.feature_set, "Functionals", y, sr, index)[0]
            for index, y, sr in self._signals(X)
        ]
        return np.array(rows, np.float32).reshape(len(rows), FUNCTIONALS[self.feature_set])

    def get_feature_names_out(self, input_features=None):
        """Names that openSMILE gives."""
        check_parameters(self)
        names = _load_opensmile(self.feature_set, "Functionals").feature_names
        return np.array(names, dtype=object)


@dataclass(eq=False, repr=False)
class FrameFeatures(_FromSignals):
    """Features of a clip's frames, the input of bags of audio words.

    Parameters
    ----------
    feature_set : {"ComParE_2016", "IS09", "MFCC39"}
        openSMILE's 65 low-level descriptors and their 65 deltas (10.1, 10.2); its
        16 and their 16 deltas (9.1); or the 39 of 9.1 and 9.2: 12 MFCCs (Hann window
        of 25 ms, 26 mel bands from 0 to 8 kHz, liftering 22), their first and second
        deltas, and the logarithmic energy with both of its own.
    sr : int, optional
        Resample each signal to this rate in Hz. Default: its own rate.
    hop_s : float > 0
        Of ``MFCC39`` only; openSMILE's sets have 10 ms. Open in 9.1: the text prints
        "overlap 10 ms", which is a hop of 15 ms; chosen: the customary 10 ms.

    Attributes
    ----------
    stream_widths : tuple of int
        Number of features of each stream (descriptors, deltas), for the parameter of the same
        name of ``BagOfFeatures``.

    Notes
    -----
    openSMILE gives two more frames of deltas than of descriptors, for the time after the
    end of the clip; they are dropped. Also open in 9.1, and chosen for ``MFCC39`` as in
    HTK: no pre-emphasis, natural logarithms, deltas by regression over five frames with
    repeated ends, energy of the samples without window. If half the sampling rate is
    below 8 kHz, the bands end there. Energies have a floor of 1e-10.

    Examples
    --------
    >>> import numpy as np
    >>> noise = np.random.default_rng(0).normal(0, 0.1, 8000).astype(np.float32)
    >>> FrameFeatures("MFCC39").fit_transform([(noise, 16000)])[0].shape
    (48, 39)
    """

    feature_set: option(FRAME_STREAMS) = "ComParE_2016"
    sr: RATES | None = None
    hop_s: number(0, open_low=True) = 0.010

    @property
    def stream_widths(self):
        """Number of features of each stream."""
        check_parameters(self)
        return FRAME_STREAMS[self.feature_set]

    def transform(self, X):
        """Frame features of signals.

        Parameters
        ----------
        X : list of (ndarray, float)
            Mono signal in [-1, 1] and its sampling rate in Hz.

        Returns
        -------
        list of ndarray, shape (n_frames, n_features), float32

        Raises
        ------
        AudioError
            If a clip is too short for one frame, or its samples are not finite; names
            the clip's index.
        """
        return [self._frames(y, sr, index) for index, y, sr in self._signals(X)]

    def _frames(self, y, sr, index):
        if self.feature_set == "MFCC39":
            return _mfcc39(y, sr, self.hop_s)
        descriptors, deltas = (
            _run_opensmile(self.feature_set, level, y, sr, index)
            for level in ("LowLevelDescriptors", "LowLevelDescriptors_Deltas")
        )
        return np.hstack([descriptors, deltas[: len(descriptors)]])

    def get_feature_names_out(self, input_features=None):
        """Names that openSMILE gives, or ``mfcc_1`` …, ``mfcc_1_de`` …, ``mfcc_1_de_de`` …."""
        check_parameters(self)
        if self.feature_set == "MFCC39":
            names = [f"mfcc_{n}" for n in range(1, N_MFCC + 1)]
            kinds = ("", "_de", "_de_de")
            names = [n + kind for part in (names, ["log_energy"]) for kind in kinds for n in part]
        else:
            names = [
                name
                for level in ("LowLevelDescriptors", "LowLevelDescriptors_Deltas")
                for name in _load_opensmile(self.feature_set, level).feature_names
            ]
        return np.array(names, dtype=object)


@functools.cache
def _load_opensmile(feature_set, level):
    # The import takes about a second.
    import opensmile

    return opensmile.Smile(opensmile.FeatureSet[feature_set], opensmile.FeatureLevel[level])


def _run_opensmile(feature_set, level, y, sr, index):
    smile = _load_opensmile(feature_set, level)
    values = smile.process_signal(np.clip(y, -1, 32767 / 32768), sr).to_numpy()
    if not np.isfinite(values).all():
        raise AudioError(
            f"X[{index}]: found {len(y)} samples at {sr} Hz, for which openSMILE gives no finite "
            f"{feature_set} features"
        )
    return values.astype(np.float32)


def _mfcc39(y, sr, hop_s):
    window, hop = round(WINDOW_S * sr), max(1, round(hop_s * sr))
    frames = np.lib.stride_tricks.sliding_window_view(y, window)[::hop]  # (n_frames, window)
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(window, dtype=np.float32) / window)
    n_fft = max(512, 2 ** int(np.ceil(np.log2(window))))
    power = np.abs(scipy.fft.rfft(frames * hann, n_fft, axis=1)) ** 2
    bands = _log(power @ _mel_filters(sr, n_fft).T)
    numbers = np.arange(1, N_MFCC + 1)
    mfcc = scipy.fft.dct(bands, axis=1, norm="ortho")[:, numbers]
    mfcc *= 1 + LIFTER / 2 * np.sin(np.pi * numbers / LIFTER)
    energy = _log(np.einsum("ij,ij->i", frames, frames)[:, None])
    # Columns: 12 MFCCs with deltas and second deltas, then the energy with its own.
    parts = [each for first in (mfcc, energy) for each in (first, _delta(first), _delta2(first))]
    return np.hstack(parts).astype(np.float32)


@functools.cache
def _mel_filters(sr, n_fft):
    import librosa

    fmax = min(FMAX_HZ, sr / 2)
    return librosa.filters.mel(sr=sr, n_fft=n_fft, n_mels=N_MELS, fmax=fmax, htk=True, norm=None)


def _log(energies):
    return np.log(np.maximum(energies, ENERGY_FLOOR))


def _delta(values):
    return correlate1d(values, np.array([-2, -1, 0, 1, 2]) / 10, axis=0, mode="nearest")


def _delta2(values):
    return _delta(_delta(values))
