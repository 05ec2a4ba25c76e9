"""Detectors of events in a folder, and recordings of any length: what ``thesis detect`` does (8.2).

A folder of detectors holds the networks as safetensors and ``detectors.json``: the frames that
they expect, and for each class its networks, whose probabilities are averaged, and its
threshold. A recording is processed block by block: an hour needs the memory of a minute.
"""

import itertools
import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pandas as pd

from thesislib.audio import stream_audio
from thesislib.errors import WeightsError, check_number
from thesislib.evaluation.events import stream_events
from thesislib.export.tables import check_writable
from thesislib.representations.crnn import CRNN
from thesislib.representations.sliding import stream_probabilities
from thesislib.spectra.frames import LogMelFrames
from thesislib.store import hash_parameters, write_atomically

COLUMNS = ("onset_s", "offset_s", "label", "probability")
# Frames in which the networks of a class go forward side by side.
BLOCK_FRAMES = 1024
DESCRIPTION = "detectors.json"
VERSION = 2


def save_detectors(folder, detectors, *, frames, sr, thresholds):
    """Write detectors and what they need to be used.

    Parameters
    ----------
    folder : str or Path
    detectors : dict of str to list of CRNN
        Class to its fitted networks of one output, whose probabilities are averaged.
    frames : LogMelFrames
        What they were trained on.
    sr : int
        Sampling rate in Hz of that audio.
    thresholds : dict of str to float
        Presence threshold of each class.

    Returns
    -------
    list of Path
        The files written.
    """
    folder, written, classes = Path(folder), [], {}
    for label, members in detectors.items():
        # Numbered, since a class's name need not be fit for a file's.
        names = [
            f"class_{len(classes)}_{i}_t{member.chunk_frames}.safetensors"
            for i, member in enumerate(members)
        ]
        for name, member in zip(names, members):
            member.save(folder / name)
        written += [folder / name for name in names]
        threshold = check_number(f"thresholds: {label}", thresholds[label], low=0, high=1)
        classes[label] = {"networks": names, "threshold": float(threshold)}
    record = {
        "version": VERSION,
        "sr": int(sr),
        "frames": asdict(frames),
        "classes": classes,
    }
    record["sha256"] = hash_parameters(record)
    path = folder / DESCRIPTION
    with write_atomically(path) as temporary:
        temporary.write_text(json.dumps(record, indent=1, ensure_ascii=False) + "\n", "utf-8")
    return [*written, path]


def load_detectors(folder, *, device="auto"):
    """Read a folder that `save_detectors` wrote.

    Returns
    -------
    dict
        ``sr``, ``frames`` (LogMelFrames), and ``classes``: label to ``detectors`` and
        ``threshold``.

    Raises
    ------
    WeightsError
        If a file is missing, damaged or of another kind; names it.
    """
    path = Path(folder) / DESCRIPTION
    try:
        record = json.loads(path.read_text("utf-8"))
        if record["version"] != VERSION:
            raise ValueError(f"version {record['version']}, expected {VERSION}")
        if record.pop("sha256") != hash_parameters(record):
            raise ValueError("its SHA-256 is another: damaged or changed by hand")
        frames, sr = LogMelFrames(**record["frames"]), record["sr"]
        check_number("sr", sr, low=1, high=10**6, integer=True)
        classes = {
            label: {
                "networks": [Path(folder) / Path(name).name for name in entry["networks"]],
                "threshold": check_number("threshold", entry["threshold"], low=0, high=1),
            }
            for label, entry in record["classes"].items()
        }
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise WeightsError(
            f"{path}: found no detectors ({error!r}), expected a folder 'models' of a run of "
            "08_2_rare_events"
        ) from error
    for label, entry in classes.items():
        entry["detectors"] = [CRNN.load(name, device=device) for name in entry.pop("networks")]
        widths = {(d.n_columns_, d.n_outputs_) for d in entry["detectors"]}
        if widths != {(frames.n_mels, 1)}:
            raise WeightsError(
                f"{path}: {label} has networks of (columns, outputs) {sorted(widths)}, expected "
                f"({frames.n_mels}, 1)"
            )
    return {"sr": sr, "frames": frames, "classes": classes}


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
        From `load_detectors`: ``sr`` and ``frames`` are used.

    Yields
    ------
    ndarray, shape (time,), float64
    """
    blocks = stream_audio(path, sr=model["sr"])
    frames = model["frames"].stream(blocks, sr=model["sr"])
    # The copies go forward together, so what one is ahead of another is a few pieces.
    streams = [
        _regroup(stream_probabilities(detector, copy))
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
    """
    if output is not None:
        check_writable(output)
    table = detect_events(audio, load_detectors(model, device=device))
    formats = {"onset_s": "{:.3f}", "offset_s": "{:.3f}", "probability": "{:.4f}"}
    text = table.assign(**{name: table[name].map(form.format) for name, form in formats.items()})
    text = text.to_csv(index=False, lineterminator="\n")
    if output is None:
        print(text, end="")
    else:
        with write_atomically(output) as temporary:
            temporary.write_text(text, "utf-8")
        print(f"{output}: {len(table)} events")
