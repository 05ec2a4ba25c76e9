"""Copies of a recording, whatever they are called and however they are coded.

Each file is reduced to the spectrum of its first seconds at a low rate, and compared with those
that are nearest in it. Two files are the same recording if the waveform of one is that of the
other, but for level, a short delay and the noise of a codec. Of a steady tone, hum or pulse this
shows nothing, as any delay by a period fits: such files have to agree sample by sample.
"""

from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache

import numpy as np

from thesislib.audio import read_audio
from thesislib.errors import AudioError
from thesislib.store import hash_arrays

#: Seconds of a file that are compared, of the fade at each end, and samples a second.
LENGTH_S, FADE_S, RATE = 10.0, 0.05, 2000
#: Largest difference in duration, and delay, of two codings in seconds: encoders pad.
PADDING_S = 0.12
#: Least correlation of two copies of a recording.
LEAST = 0.97
#: Least correlation of copies of a periodic signal, whose delay is not looked for.
EQUAL = 1 - 1e-6
#: Bands of a spectrum, neighbours that are compared, and their largest distance.
N_BANDS, N_NEIGHBOURS, FARTHEST = 32, 4, 0.2


def find_twins(root, durations_s):
    """Pairs of files that hold the same recording.

    Parameters
    ----------
    root : Path
    durations_s : dict of str to float
        Duration of each file, by its name below ``root``.

    Returns
    -------
    list of (str, str)
        In the order of the files. Silent and unreadable files are in no pair.
    """
    from scipy.signal.windows import tukey
    from scipy.spatial import KDTree

    names = list(durations_s)

    def read(name):
        try:
            end_s = min(durations_s[name], LENGTH_S)
            y = read_audio(root / name, sr=RATE, end_s=end_s)[0]
        except AudioError:
            return np.zeros(1)
        # Both ends fade: a tone above RATE / 2 has only the clicks of its ends below.
        fade = tukey(len(y), min(1, 2 * FADE_S * RATE / len(y)))
        level, y = np.linalg.norm(y), (y - y.mean()) * fade
        # Nothing but an offset is silence.
        return y / np.linalg.norm(y) if np.linalg.norm(y) > 0.1 * level else np.zeros(1)

    def sketch(name):
        y = read(name)
        power = np.abs(np.fft.rfft(y, RATE * int(LENGTH_S))) ** 2
        bands = np.add.reduceat(power, np.arange(N_BANDS) * len(power) // N_BANDS)
        return np.sqrt(bands / (bands.sum() or np.nan)), hash_arrays([y])

    with ThreadPoolExecutor(8) as pool:
        sketches, hashes = zip(*pool.map(sketch, names)) if names else ((), ())
    sketches = np.array(sketches).reshape(-1, N_BANDS)
    # Files of one signal, to the last bit, and one duration need no comparison.
    alike = {}
    for i in np.flatnonzero(np.isfinite(sketches).all(axis=1)):
        alike.setdefault((hashes[i], durations_s[names[i]]), []).append(i)
    copies = [(first, i) for first, *others in alike.values() for i in others]
    firsts = np.array([first for first, *_ in alike.values()], int)
    pairs, again = set(), lru_cache(maxsize=64)(lambda i: read(names[i]))
    if len(firsts) > 1:
        tree, k = KDTree(sketches[firsts]), min(1 + N_NEIGHBOURS, len(firsts))
        near = tree.query(sketches[firsts], k, distance_upper_bound=FARTHEST)[1]
        pairs = {
            tuple(sorted((i, j))) for i, row in enumerate(near) for j in row if j < len(firsts)
        }
    for i, j in sorted((firsts[i], firsts[j]) for i, j in pairs if i != j):
        apart_s = abs(durations_s[names[i]] - durations_s[names[j]])
        if apart_s <= PADDING_S and _are_copies(again(i), again(j)):
            copies.append((i, j))
    return [(names[i], names[j]) for i, j in sorted(copies)]


def _are_copies(a, b):
    """Whether two signals of unit energy are one at a delay up to `PADDING_S`."""
    lags, n = round(PADDING_S * RATE), 1 + len(a) // 2
    # Correlation of a with itself from delay 0 on, for the energy of what overlaps.
    energies = (np.cumsum(signal**2)[::-1][:n] for signal in (a, a[::-1]))
    own = _correlate(a, a, n - 1)[n - 1 :] / np.sqrt(np.prod([*energies], axis=0))
    own = own[: lags + 1]
    # After its first fall, a signal that is as like itself as copies are to each other is periodic.
    is_periodic = own[np.argmax(own < LEAST) :].max() >= LEAST > own.min()
    both = _correlate(a, b, lags)
    return both[lags] > EQUAL if is_periodic else both.max() >= LEAST


def _correlate(a, b, lags):
    """Correlation of two signals, without sign, at delays up to ``lags`` each way."""
    from scipy.signal import correlate

    padded = np.pad(b, (lags, max(0, len(a) - len(b)) + lags))[: len(a) + 2 * lags]
    return np.abs(correlate(padded, a, "valid", "fft"))
