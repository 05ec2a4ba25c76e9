"""Detectors of events trained and asked side by side, each kept in the store (thesis 8.2).

A detector is small and its steps are short, so a core each serves better than several for one:
every training and every prediction runs on one thread, in a process of its own, and gives the
same bits whatever the number of processes.
"""

import json
import shutil
import warnings

import numpy as np
import pandas as pd
from sklearn.base import clone

from thesislib.errors import WeightsError
from thesislib.representations.extract import Reading, read_items
from thesislib.representations.frame_detector import label_frames, search_learning_rate
from thesislib.representations.learnt import hash_arrays
from thesislib.representations.sliding import predict_sliding
from thesislib.store import hash_parameters
from thesislib.training import limit_threads
from thesislib.workers import Parallel, delayed


def read_frames(mixtures, frames, *, sr, n_jobs=1):
    """Frames and frame labels of the mixtures of one class.

    Parameters
    ----------
    mixtures : Corpus
        Of one label, with ``onset_s`` and ``offset_s`` (NaN without an event).
    frames : LogMelFrames
    sr : int
        Sampling rate in Hz to read at.
    n_jobs : int

    Returns
    -------
    X : ndarray, shape (n, time, columns), float32
    y : ndarray, shape (n, time), uint8
        Lists of arrays where the mixtures differ in length.
    """
    items = read_items(mixtures, frames, reading=Reading(sr=sr), n_jobs=n_jobs)
    X = [clip for (clip,) in items]
    y = [
        label_frames([onset_s], [offset_s], n_frames=len(clip), hop_s=frames.hop(sr))
        for clip, onset_s, offset_s in zip(
            X, mixtures.index["onset_s"], mixtures.index["offset_s"], strict=True
        )
    ]
    alike = len({len(clip) for clip in X}) == 1
    return (np.stack(X), np.stack(y)) if alike else (X, y)


def fit_detectors(tasks, store, *, n_jobs=1):
    """Train detectors side by side, unless the store has them already.

    Parameters
    ----------
    tasks : dict of key to (FrameDetector, (X, y), (X, y))
        Unfitted, with an integer as ``random_state``; training and validation clips.
    store : FeatureStore
        Keeps the networks; a training that was killed goes on from its last epoch.
    n_jobs : int
        Processes; the weights do not depend on it.

    Returns
    -------
    dict of key to FrameDetector
    """
    hashes, found, missing = {}, {}, {}
    for key, (detector, training, validation) in tasks.items():
        data = [_hash(part, hashes) for part in (*training, *validation)]
        name = hash_parameters({"detector": clone(detector).cache_parameters(), "data": data})
        path = store.path(name, ".safetensors")
        if path.exists():
            try:
                found[key] = type(detector).load(path, device=detector.device)
                continue
            except WeightsError as error:
                warnings.warn(f"{error}; it is trained again", stacklevel=2)
        missing[key] = (detector, training, validation, path, store.root / "training" / name[:24])
    fitted = Parallel(n_jobs=n_jobs)(delayed(_fit)(*task) for task in missing.values())
    found |= dict(zip(missing, fitted, strict=True))
    return {key: found[key] for key in tasks}


def _fit(detector, training, validation, path, checkpoint):
    detector = clone(detector).set_params(checkpoint=str(checkpoint))
    with limit_threads(1):
        detector.fit(*training, *validation)
    detector.save(path)
    shutil.rmtree(checkpoint, ignore_errors=True)
    return detector


def search_learning_rates(tasks, store, *, learning_rates, n_epochs, n_jobs=1):
    """The thesis's learning-rate search for several classes, side by side (8.2.1.2).

    Parameters
    ----------
    tasks : dict of str to (FrameDetector, (X, y))
        Class to an unfitted detector and training clips.
    store : FeatureStore
    learning_rates, n_epochs
        As in `search_learning_rate`.
    n_jobs : int

    Returns
    -------
    DataFrame
        ``event`` and the columns of `search_learning_rate`; a row a class and rate.
    """
    options = {"learning_rates": list(learning_rates), "n_epochs": n_epochs}
    keys, found = {}, {}
    for label, (detector, data) in tasks.items():
        parts = {"search": detector.cache_parameters(), "data": [hash_arrays(d) for d in data]}
        keys[label] = hash_parameters(parts | options)
        entry = store.get(keys[label])
        if entry is not None:
            found[label] = json.loads(str(entry["rows"]))
    missing = [label for label in tasks if label not in found]
    answers = Parallel(n_jobs=n_jobs)(delayed(_search)(*tasks[m], options) for m in missing)
    for label, rows in zip(missing, answers, strict=True):
        store.put(keys[label], {"rows": np.array(json.dumps(rows))})
        found[label] = rows
    return pd.DataFrame([{"event": label} | row for label in tasks for row in found[label]])


def _search(detector, data, options):
    with limit_threads(1):
        table = search_learning_rate(detector, *data, **options)
    return table.astype({"falls": bool, "chosen": bool}).to_dict("records")


def predict_detectors(tasks, store, *, n_jobs=1):
    """Frame probabilities of detectors, side by side, unless the store has them already.

    Parameters
    ----------
    tasks : dict of key to (FrameDetector, X, bool)
        Fitted, of one output; clips; and whether chunks overlap (the sliding ensemble).
    store : FeatureStore
    n_jobs : int

    Returns
    -------
    dict of key to list of ndarray, shape (time,), float32
        One a clip.
    """
    hashes, found, missing = {}, {}, {}
    for key, (detector, X, sliding) in tasks.items():
        parts = {"detector": detector.cache_parameters(), "data": _hash(X, hashes)}
        name = hash_parameters(parts | {"sliding": bool(sliding)})
        entry = store.get(name)
        if entry is None:
            missing[key] = (name, detector, X, sliding)
        else:
            found[key] = entry
    entries = Parallel(n_jobs=n_jobs)(delayed(_predict)(*t[1:]) for t in missing.values())
    for (key, task), entry in zip(missing.items(), entries, strict=True):
        store.put(task[0], entry)
        found[key] = entry
    return {
        key: np.split(found[key]["probabilities"], np.cumsum(found[key]["lengths"])[:-1])
        for key in tasks
    }


def _predict(detector, X, sliding):
    with limit_threads(1):
        clips = predict_sliding(detector, X) if sliding else detector.predict_proba(X)
    lengths = np.array([len(clip) for clip in clips])
    return {"probabilities": np.concatenate([c[:, 0] for c in clips]), "lengths": lengths}


def average_clips(members):
    """Mean of several detectors' probabilities, clip by clip (Table 8.5).

    Parameters
    ----------
    members : sequence of list of ndarray, shape (time,)

    Returns
    -------
    list of ndarray, shape (time,), float32

    Examples
    --------
    >>> average_clips([[np.array([0.0, 1.0])], [np.array([1.0, 1.0])]])
    [array([0.5, 1. ], dtype=float32)]
    """
    means = (np.mean(clip, axis=0, dtype=np.float64) for clip in zip(*members, strict=True))
    return [mean.astype(np.float32) for mean in means]


def _hash(arrays, known):
    """SHA-256 of clips; each set of them is hashed once."""
    if id(arrays) not in known:
        known[id(arrays)] = hash_arrays(arrays)
    return known[id(arrays)]
