"""Events in time: from frame probabilities to onsets, and how they are scored (thesis 8.2).

Conventions
-----------
- A probability sequence is an array (time,) of one class; frame ``i`` stands for the time
  ``i * hop_s``. Onsets and offsets are seconds from the start of the recording.
- An event table is a pandas table with ``file``, ``label`` and ``onset_s``. In a reference every
  file of a class has a row: event-free files have NaN as ``onset_s``, so that false alarms in
  them count.

Metrics
-------
- `decide_onset`: at most one event in a clip, by peak and search back (8.2.1.3).
- `stream_events`: any number of events, from thresholds.
- `locate_events`: either of the two, for all clips of a class, as an event table.
- `count_events`: what the event-based error rate (eq. 8.1) and F1 are computed from, onset only,
  equal to those of the DCASE 2017 challenge's toolbox (sed_eval).
"""

import itertools

import numpy as np
import pandas as pd
from scipy.ndimage import median_filter

from thesislib.errors import CorpusError, ParameterError, check_number


def _check_sequence(probabilities):
    probabilities = np.asarray(probabilities, dtype=np.float64)
    if probabilities.ndim != 1:
        raise ParameterError(
            f"probabilities: found shape {probabilities.shape}, expected (time,) of one class"
        )
    if not np.isfinite(probabilities).all():
        raise ParameterError("probabilities: found NaN or infinity, expected finite values")
    return probabilities


def _smooth(probabilities, hop_s, median_s):
    """Probabilities after a median filter, whose width is rounded to an odd number of frames."""
    check_number("median_s", median_s, low=0)
    width = 2 * round((median_s / hop_s - 1) / 2) + 1
    return median_filter(probabilities, size=width, mode="constant") if width > 1 else probabilities


def decide_onset(probabilities, *, hop_s, threshold, onset_threshold=0.5, n_back=220, smooth_s=0.0):
    """Onset of the one event of a clip, or None (thesis 8.2.1.3).

    An event is present if the peak exceeds ``threshold``; its onset is the first frame with a
    probability above ``onset_threshold`` among the ``n_back`` frames before the peak and the
    peak itself.

    Parameters
    ----------
    probabilities : array_like, shape (time,)
        Probabilities of the class.
    hop_s : float > 0
        Seconds between frames.
    threshold : float in [0, 1]
        Presence threshold: the thesis has 0.8 for babycry and glassbreak, 0.5 for gunshot.
    onset_threshold : float in [0, 1]
        0.5 in the thesis.
    n_back : int >= 0
        Frames searched before the peak. The thesis leaves the number open ("a certain number of
        frames"); 220 frames of 23 ms are 5.1 s, the longest event of Table 8.2. With fewer, an
        event whose peak comes late gets an onset in its middle.
    smooth_s : float >= 0
        Width of a median filter over the probabilities before anything else. The thesis has none:
        a single frame above ``onset_threshold`` long before the event then is its onset.

    Returns
    -------
    float or None
        Onset in seconds. Of several equal peaks the first counts; where no frame exceeds
        ``onset_threshold`` the peak itself is the onset.

    Examples
    --------
    >>> decide_onset([0.1, 0.6, 0.4, 0.9, 0.7], hop_s=0.5, threshold=0.8)
    0.5
    >>> decide_onset([0.1, 0.6, 0.4, 0.9, 0.7], hop_s=0.5, threshold=0.8, n_back=1)
    1.5
    >>> decide_onset([0.1, 0.6, 0.4], hop_s=0.5, threshold=0.8) is None
    True
    >>> decide_onset([0.6, 0, 0, 0.9, 0.9, 0.8], hop_s=1.0, threshold=0.7, smooth_s=3.0)
    3.0
    """
    probabilities = _check_sequence(probabilities)
    check_number("hop_s", hop_s, low=0, open_low=True)
    check_number("threshold", threshold, low=0, high=1)
    check_number("onset_threshold", onset_threshold, low=0, high=1)
    check_number("n_back", n_back, low=0, integer=True)
    probabilities = _smooth(probabilities, hop_s, smooth_s)
    if not len(probabilities):
        return None
    peak = int(probabilities.argmax())
    if not probabilities[peak] > threshold:
        return None
    first = max(0, peak - n_back)
    above = np.flatnonzero(probabilities[first : peak + 1] > onset_threshold)
    return float(hop_s * (first + above[0] if len(above) else peak))


def stream_events(blocks, *, hop_s, threshold, onset_threshold=0.5):
    """Events of any number in a stream of probabilities, in constant memory.

    An event is a run of frames above ``onset_threshold`` whose peak exceeds ``threshold``. It is
    given out as soon as it ends.

    Parameters
    ----------
    blocks : iterable of array_like, shape (time,)
        Consecutive probabilities of one class, in blocks of any length.
    hop_s, threshold, onset_threshold
        As in `decide_onset`.

    Yields
    ------
    tuple of float
        ``(onset_s, offset_s, peak probability)``.

    Examples
    --------
    >>> list(stream_events([[0.1, 0.6], [0.9, 0.2, 0.6]], hop_s=1.0, threshold=0.8))
    [(1.0, 3.0, 0.9)]
    """
    check_number("hop_s", hop_s, low=0, open_low=True)
    check_number("threshold", threshold, low=0, high=1)
    check_number("onset_threshold", onset_threshold, low=0, high=1)
    position, start, peak = 0, None, 0.0
    for block in blocks:
        block = _check_sequence(block)
        active = block > onset_threshold
        # Only frames where activity changes are visited one by one.
        previous = np.concatenate([[start is not None], active[:-1]])
        edges = [0, *np.flatnonzero(active != previous), len(block)]
        for first, last in itertools.pairwise(edges):
            if first == last:
                continue
            if active[first]:
                if start is None:
                    start, peak = position + int(first), 0.0
                peak = max(peak, float(block[first:last].max()))
            elif start is not None:
                if peak > threshold:
                    yield start * hop_s, (position + int(first)) * hop_s, peak
                start = None
        position += len(block)
    if start is not None and peak > threshold:
        yield start * hop_s, position * hop_s, peak


def locate_events(
    clips, probabilities, *, hop_s, threshold, n_back=220, smooth_s=0.0, median_s=None
):
    """Event table of several clips of one class.

    A threshold below 0.5 lowers that of the onset with it.

    Parameters
    ----------
    clips : DataFrame
        ``file`` and ``label``, a row a clip.
    probabilities : sequence of array_like, shape (time,)
        One a clip.
    hop_s, threshold, n_back, smooth_s
        As in `decide_onset`, which finds at most one event a clip.
    median_s : float, optional
        Decide as the challenge's baseline does instead: `stream_events` after a median filter of
        this width (0.54 s in the baseline, rounded to an odd number of frames), with the threshold
        for every frame, any number of events. As medians and thresholds commute, this equals
        filtering the binary activity.

    Returns
    -------
    DataFrame
        ``file``, ``label``, ``onset_s``; a row an event.

    Examples
    --------
    >>> clips = pd.DataFrame({"file": ["a", "b"], "label": "gunshot"})
    >>> locate_events(clips, [[0, 1, 1], [0, 0, 0]], hop_s=0.5, threshold=0.5).values.tolist()
    [['a', 'gunshot', 0.5]]
    """
    rows = []
    for file, label, sequence in zip(clips["file"], clips["label"], probabilities, strict=True):
        if median_s is None:
            # Where the peak itself is below 0.5, no frame could be the onset but the peak.
            both = {"threshold": threshold, "onset_threshold": min(0.5, threshold)}
            onset_s = decide_onset(sequence, hop_s=hop_s, n_back=n_back, smooth_s=smooth_s, **both)
            onsets_s = [] if onset_s is None else [onset_s]
        else:
            smooth = _smooth(_check_sequence(sequence), hop_s, median_s)
            same = {"threshold": threshold, "onset_threshold": threshold}
            onsets_s = [event[0] for event in stream_events([smooth], hop_s=hop_s, **same)]
        rows += [(file, label, onset_s) for onset_s in onsets_s]
    return pd.DataFrame(rows, columns=["file", "label", "onset_s"])


def match_onsets(reference, estimate, *, collar_s=0.5):
    """Number of pairs in the largest one-to-one matching within the collar.

    Parameters
    ----------
    reference, estimate : array_like of float
        Onsets of one file in seconds.
    collar_s : float >= 0
        Largest distance of a pair, itself included.

    Returns
    -------
    int
        With collars of one width, going through both lists in order finds as many pairs as any
        matching could.

    Examples
    --------
    >>> match_onsets([10.0, 10.6], [10.5, 11.0])
    2
    """
    check_number("collar_s", collar_s, low=0)
    reference, estimate = sorted(map(float, reference)), sorted(map(float, estimate))
    i = j = n_pairs = 0
    while i < len(reference) and j < len(estimate):
        if abs(reference[i] - estimate[j]) <= collar_s:
            n_pairs, i, j = n_pairs + 1, i + 1, j + 1
        elif reference[i] < estimate[j]:
            i += 1
        else:
            j += 1
    return n_pairs


def count_events(reference, estimate, *, collar_s=0.5):
    """Counts of every file: what error rates sum, and a bootstrap draws from.

    Parameters
    ----------
    reference : DataFrame
        ``file``, ``label`` (the class that the file is evaluated for), ``onset_s`` (NaN in an
        event-free file); one row an event or event-free file.
    estimate : DataFrame
        ``file``, ``label``, ``onset_s``; rows with NaN say that nothing was found and do not count.
    collar_s : float >= 0
        Tolerance of an onset in seconds, inclusive.

    Returns
    -------
    DataFrame
        ``label``, ``file``, ``n_reference``, ``n_estimated``, ``n_matched``; a row for each file
        of each class, in the order of the reference.

    Raises
    ------
    CorpusError
        If a column is missing, or an estimate names a file that the reference has not for
        its class.

    Examples
    --------
    >>> reference = pd.DataFrame({"file": ["a", "b"], "label": "gunshot", "onset_s": [7.0, None]})
    >>> estimate = pd.DataFrame({"file": ["b"], "label": "gunshot", "onset_s": [3.0]})
    >>> count_events(reference, estimate).values.tolist()
    [['gunshot', 'a', 1, 0, 0], ['gunshot', 'b', 0, 1, 0]]
    """
    for name, table in (("reference", reference), ("estimate", estimate)):
        if missing := [key for key in ("file", "label", "onset_s") if key not in table]:
            missing = ", ".join(missing)
            raise CorpusError(f"{name}: columns {missing} are missing; found {list(table)}")
    found = {
        key: group.onset_s.dropna().tolist() for key, group in estimate.groupby(["label", "file"])
    }
    rows = []
    for (label, file), group in reference.groupby(["label", "file"], sort=False):
        truth, guess = group.onset_s.dropna().tolist(), found.pop((label, file), [])
        n_matched = match_onsets(truth, guess, collar_s=collar_s)
        rows.append((label, file, len(truth), len(guess), n_matched))
    if found:
        strays = ", ".join(f"{file} ({label})" for label, file in list(found)[:5])
        raise CorpusError(
            f"estimate: {len(found)} files are not in the reference of their class: {strays}"
        )
    columns = ["label", "file", "n_reference", "n_estimated", "n_matched"]
    return pd.DataFrame(rows, columns=columns)
