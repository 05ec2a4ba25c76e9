"""Detectors of events in a folder, and recordings of any length: what ``thesis detect`` does (8.2).

A recording goes through block by block: an hour needs the memory of a minute.
"""

import csv
import itertools
import sys

import numpy as np
import pandas as pd

from thesislib.audio import stream_audio
from thesislib.evaluation.events import stream_events
from thesislib.export.detectors import load_detectors, save_detectors  # noqa: F401
from thesislib.representations.sliding import stream_probabilities
from thesislib.store import write_atomically

COLUMNS = ("onset_s", "offset_s", "label", "probability")
# Frames in which the networks of a class go forward side by side.
BLOCK_FRAMES = 1024


def detect_events(path, model):
    """Events in a recording of any length, in constant memory.

    Where a mixture of the corpus holds one event at most, a recording may hold any number: an
    event is a run of frames above 0.5 whose peak exceeds the class's threshold. Shortly
    interrupted runs are two events; the sliding ensemble is what smoothes them.

    Parameters
    ----------
    path : str or Path
        Audio file; resampled to the rate of the training audio, channels averaged.
    model : dict
        From `load_detectors`.

    Returns
    -------
    DataFrame
        ``onset_s``, ``offset_s``, ``label``, ``probability`` (the peak), sorted by onset.

    Raises
    ------
    AudioError
        If the file is missing, damaged or shorter than a frame's window; names it.
    """
    rows, hop_s = [], model["frames"].hop(model["sr"])
    for label, entry in model["classes"].items():
        # Each class reads the recording anew: to keep all classes' frames would take memory.
        probabilities = stream_means(path, entry["detectors"], model)
        threshold = entry["threshold"]
        rows += [
            (onset_s, offset_s, label, peak)
            for onset_s, offset_s, peak in stream_events(
                probabilities,
                hop_s=hop_s,
                threshold=threshold,
                onset_threshold=min(0.5, threshold),
            )
        ]
    return pd.DataFrame(sorted(rows), columns=list(COLUMNS))


def stream_means(path, detectors, model):
    """Mean probability of several detectors, frame by frame.

    Parameters
    ----------
    path : str or Path
    detectors : sequence of CRNN
    model : dict
        From `load_detectors`: ``sr``, ``frames`` and ``sliding`` are used.

    Yields
    ------
    ndarray, shape (time,), float64
    """
    blocks = stream_audio(path, sr=model["sr"])
    frames = model["frames"].stream(blocks, sr=model["sr"])
    # The copies go forward together, so what one is ahead of another is a few pieces.
    streams = [
        _regroup(
            stream_probabilities(
                detector, copy, hop=1 if model["sliding"] else detector.chunk_frames
            )
        )
        for detector, copy in zip(detectors, itertools.tee(frames, len(detectors)), strict=True)
    ]
    for members in zip(*streams, strict=True):
        yield np.mean(members, axis=0, dtype=np.float64)


def _regroup(blocks):
    """Blocks of any length (time, 1) as blocks of `BLOCK_FRAMES` (time,), the last one shorter."""
    held = np.empty(0, np.float32)
    for block in blocks:
        held = np.concatenate([held, block[:, 0]])
        while len(held) >= BLOCK_FRAMES:
            yield held[:BLOCK_FRAMES]
            held = held[BLOCK_FRAMES:]
    if len(held):
        yield held


def write_events(audio, model, output=None, *, device="auto"):
    """Detect events in a recording and write them as CSV.

    Parameters
    ----------
    audio : str or Path
    model : str or Path
        Folder of detectors.
    output : str or Path, optional
        The table; standard output without it.
    device : str

    Returns
    -------
    int
        Number of events.
    """
    events = detect_events(audio, load_detectors(model, device=device))
    rows = [
        (f"{onset_s:.3f}", f"{offset_s:.3f}", label, f"{peak:.4f}")
        for onset_s, offset_s, label, peak in events.itertuples(index=False)
    ]
    if output is None:
        _write_rows(sys.stdout, rows)
    else:
        with write_atomically(output) as temporary:
            with open(temporary, "w", newline="", encoding="utf-8") as file:
                _write_rows(file, rows)
    return len(rows)


def _write_rows(file, rows):
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows(rows)
