"""Detectors of events in a folder, with all that is needed to use them (8.2).

A folder of detectors holds the networks as safetensors and ``detectors.json``: the frames that
they expect, and for each class its networks, whose probabilities are averaged, and its
threshold.
"""

import json
from dataclasses import asdict
from pathlib import Path

from thesislib.errors import WeightsError, check_number
from thesislib.representations.crnn import CRNN
from thesislib.spectra.frames import LogMelFrames
from thesislib.store import hash_parameters, write_atomically

DESCRIPTION = "detectors.json"
VERSION = 2


def save_detectors(folder, detectors, *, frames, sr, thresholds, sliding=True):
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
    sliding : bool
        Whether to average overlapping chunks.

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
        "sliding": bool(sliding),
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
        ``sr``, ``frames`` (LogMelFrames), ``sliding``, and ``classes``: label to ``detectors`` and
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
        sliding = bool(record["sliding"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise WeightsError(
            f"{path}: found no detectors ({error!r}), expected a folder 'models' of a run of "
            "08_2_rare_events, or one that 'thesis features -r crnn --save-model' wrote"
        ) from error
    columns = frames.n_mels * (1 + frames.delta)
    for label, entry in classes.items():
        entry["detectors"] = [CRNN.load(name, device=device) for name in entry.pop("networks")]
        widths = {(d.n_columns_, d.n_outputs_) for d in entry["detectors"]}
        if widths != {(columns, 1)}:
            raise WeightsError(
                f"{path}: {label} has networks of (columns, outputs) {sorted(widths)}, expected "
                f"({columns}, 1)"
            )
    return {"sr": sr, "frames": frames, "sliding": sliding, "classes": classes}
