"""Properties of a file: what anyone can measure without listening, a control of every method.

Recordings of different classes often come from different sources, which differ in level, length
or bandwidth. A classifier that sees nothing but these properties shows how far they tell the
classes apart; a method that is not above it has shown nothing (Sturm 2014).
"""

from dataclasses import dataclass

import numpy as np
from scipy.signal import periodogram

from thesislib.errors import ParameterError, check_parameters, number
from thesislib.representations.stateless import Stateless

NAMES = ("duration_s", "level_db", "peak", "offset", "noise_floor_db", "loud_share")
NAMES += ("bandwidth_hz", "median_hz", "lead_in_s", "clipped_share", "sr", "n_channels")
FRAME_S = 0.02
#: Level of digital silence in place of minus infinity.
SILENCE_DB = -120.0
#: Largest samples of a block whose spectra are added up.
BLOCK = 2**16


@dataclass(eq=False, repr=False)
class Properties(Stateless):
    """Twelve properties of a clip.

    Parameters
    ----------
    loud_db : float > 0
        Frames of 20 ms that are at most this far below the loudest one are loud.

    Notes
    -----
    Duration; level (root mean square) and peak; mean of the samples; noise floor (10th percentile
    of the levels of frames of 20 ms) and share of loud frames; frequencies below which 95 % and
    50 % of the power lie; time to the first sample above 1 % of the peak; share of samples at full
    scale; sampling rate and number of channels. All but the last two are of the channels' mean.

    Rate, channels and bandwidth are the file's own only with ``Reading(channel="all")``, which
    passes signals on as they are.

    Examples
    --------
    >>> y = 0.5 * np.sin(2 * np.pi * 440 * np.arange(16000) / 16000)
    >>> row = Properties().fit_transform([(y, 16000)])[0]
    >>> dict(zip(NAMES[:4], row.round(1).tolist()))
    {'duration_s': 1.0, 'level_db': -9.0, 'peak': 0.5, 'offset': 0.0}
    """

    loud_db: number(0, open_low=True) = 20.0

    def transform(self, X):
        """Signals (n_samples,) or (n_samples, n_channels) with rates → (n, 12), float32."""
        check_parameters(self)
        return np.array([self._measure(i, *item) for i, item in enumerate(X)], np.float32)

    def _measure(self, i, y, sr):
        y = np.asarray(y, dtype=np.float64)
        if y.ndim not in (1, 2) or not len(y):
            raise ParameterError(f"X[{i}]: found shape {y.shape}, expected (n_samples, n_channels)")
        n_channels = 1 if y.ndim == 1 else y.shape[1]
        mono = y.reshape(len(y), -1).mean(axis=1)
        size = min(len(mono), max(1, round(FRAME_S * sr)))
        frames = mono[: len(mono) // size * size].reshape(-1, size)
        levels_db = _to_db(np.mean(frames**2, axis=1))
        blocks = [mono[k : k + BLOCK] for k in range(0, len(mono), BLOCK)]
        spectra = [periodogram(b, sr, "hann", BLOCK, scaling="spectrum")[1] for b in blocks]
        power = np.cumsum(np.sum(spectra, axis=0))
        bandwidth, median = np.searchsorted(power, [0.95 * power[-1], 0.5 * power[-1]])
        peak = np.abs(mono).max()
        return (
            len(mono) / sr,
            _to_db(np.mean(mono**2)),
            peak,
            mono.mean(),
            np.percentile(levels_db, 10),
            np.mean(levels_db >= levels_db.max() - self.loud_db),
            bandwidth * sr / BLOCK,
            median * sr / BLOCK,
            np.argmax(np.abs(mono) > 0.01 * peak) / sr,
            np.mean(np.abs(y) >= 0.999),
            sr,
            n_channels,
        )

    def get_feature_names_out(self, input_features=None):
        """`NAMES`."""
        return np.array(NAMES, dtype=object)


def _to_db(power):
    return np.maximum(10 * np.log10(np.maximum(power, 1e-30)), SILENCE_DB)


def extract_properties(corpus, store=None, *, n_jobs=1):
    """Properties of every file of a corpus, at its own sampling rate and with all channels.

    Returns
    -------
    ndarray, shape (n, 12)
    """
    from thesislib.representations.extraction import Reading, extract

    reading = Reading(channel="all")
    estimator = Properties()
    return extract(
        corpus, estimator, None, store, reading=reading, n_jobs=n_jobs, progress=False
    ).matrix
