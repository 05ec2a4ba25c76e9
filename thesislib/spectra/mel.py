"""The mel scale (thesis 4.2.1, eq. 4.1) and its filters.

Two scales are in use: ``htk`` is the thesis's, 2595·log10(1 + f/700); ``slaney``, linear up
to 1 kHz and logarithmic above, is librosa's default and DeepSpectrum's. Where the functions
take ``mel_scale`` they mean one of these names.
"""

import warnings
from functools import lru_cache

import numpy as np
import scipy.sparse

MEL_SCALES = ("htk", "slaney")


def hz_to_mel(f_hz, mel_scale="htk"):
    """Mel of a frequency: eq. 4.1 (``htk``), or linear up to 1 kHz (``slaney``).

    Examples
    --------
    >>> hz_to_mel([0.0, 700.0]).round(1).tolist()
    [0.0, 781.2]
    """
    f = np.asarray(f_hz, dtype=np.float64)
    if mel_scale == "htk":
        return 2595 * np.log10(1 + f / 700)
    # 15 mels up to 1 kHz, then 27 to each factor of 6.4.
    return np.where(f < 1000, f * 3 / 200, 15 + np.log(np.maximum(f, 1) / 1000) * 27 / np.log(6.4))


def mel_to_hz(mels, mel_scale="htk"):
    """Inverse of :func:`hz_to_mel`.

    Examples
    --------
    >>> mel_to_hz(hz_to_mel([440.0, 4000.0], "slaney"), "slaney").round(6).tolist()
    [440.0, 4000.0]
    """
    m = np.asarray(mels, dtype=np.float64)
    if mel_scale == "htk":
        return 700 * (10 ** (m / 2595) - 1)
    return np.where(m < 15, m * 200 / 3, 1000 * np.exp((m - 15) * np.log(6.4) / 27))


@lru_cache(maxsize=64)
def mel_filters(sr, n_fft, n_mels, f_min_hz, f_max_hz, mel_scale):
    """Triangular mel filters of unit area, sparse (n_mels, n_fft // 2 + 1), float32.

    Warns
    -----
    UserWarning
        If bands are so narrow that no bin falls into them: they stay at the floor.
    """
    points = mel_points(f_min_hz, f_max_hz, n_mels + 2, mel_scale)
    ramps = points[:, np.newaxis] - np.arange(n_fft // 2 + 1) * (sr / n_fft)
    widths = np.diff(points)[:, np.newaxis]
    filters = np.maximum(0, np.minimum(-ramps[:-2] / widths[:-1], ramps[2:] / widths[1:]))
    filters *= 2 / (points[2:] - points[:-2])[:, np.newaxis]
    empty = np.count_nonzero(filters.max(axis=1) == 0)
    if empty:
        warnings.warn(
            f"n_mels: {empty} of {n_mels} bands hold no bin of a window of {n_fft} samples at "
            f"{sr} Hz and stay at the floor; fewer bands or a longer window would fill them",
            UserWarning,
            stacklevel=3,
        )
    return scipy.sparse.csr_array(filters.astype(np.float32))


def mel_points(f_min_hz, f_max_hz, n_points, mel_scale="htk"):
    """Frequencies in Hz that are equally spaced on the mel scale, limits included."""
    low, high = hz_to_mel([f_min_hz, f_max_hz], mel_scale)
    return mel_to_hz(np.linspace(low, high, n_points), mel_scale)
