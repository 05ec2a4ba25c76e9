"""Detectors of events, trained and applied side by side and cached (thesis 8.2).

Detectors are small, so one core for each is faster than several for one: every training and every
prediction runs on one thread, in a worker process, and its bits do not depend on the number of
processes.
"""

import json

import numpy as np
import pandas as pd
from sklearn.base import clone

from thesislib.representations.crossfit import hash_arrays, remember_fit, run_missing
from thesislib.representations.extraction import Reading, read_items
from thesislib.representations.frame_detector import label_frames, search_learning_rate
from thesislib.representations.sliding import predict_sliding
from thesislib.store import hash_parameters
from thesislib.training import limit_threads


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
    has_one_length = len({len(clip) for clip in X}) == 1
    return (np.stack(X), np.stack(y)) if has_one_length else (X, y)


def fit_detectors(tasks, store, *, n_jobs=1):
    """Train detectors side by side, except those in the store.

    Parameters
    ----------
    tasks : dict of key to (FrameDetector, (X, y), (X, y))
        Unfitted, with an integer as ``random_state``; training and validation clips.
    store : FeatureStore
        Caches the networks; a training that was killed resumes after its last epoch.
    n_jobs : int
        Processes; the weights do not depend on it.

    Returns
    -------
    dict of key to FrameDetector
    """
    hashes, calls = {}, {}
    for key, (detector, *parts) in tasks.items():
        data = [array for part in parts for array in part]
        hashed = [_hash(array, hashes) for array in data]
        name = hash_parameters({"detector": clone(detector).cache_parameters(), "data": hashed})
        path = store.path(name, ".safetensors")
        calls[key] = (path, remember_fit, store, name, detector, *data)
    return _run_all(calls, n_jobs)


def _run_all(calls, n_jobs):
    """Results by key; what has no file is computed first, side by side."""
    run_missing(calls.values(), n_jobs=n_jobs)
    return {key: function(*arguments) for key, (_, function, *arguments) in calls.items()}


def _remember(store, name, compute, *arguments):
    return store.remember(name, lambda: compute(*arguments))


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
    calls = {}
    for label, (detector, data) in tasks.items():
        parts = {"rates": detector.cache_parameters(), "data": [hash_arrays(d) for d in data]}
        name = hash_parameters(parts | options)
        calls[label] = (store.path(name), _remember, store, name, _search, detector, data, options)
    entries = _run_all(calls, n_jobs)
    rows = {label: json.loads(str(entry["rows"])) for label, entry in entries.items()}
    return pd.DataFrame([{"event": label} | row for label in tasks for row in rows[label]])


def _search(detector, data, options):
    with limit_threads(1):
        table = search_learning_rate(detector, *data, **options)
    rows = table.astype({"falls": bool, "highest_that_falls": bool}).to_dict("records")
    return {"rows": np.array(json.dumps(rows))}


def predict_detectors(tasks, store, *, n_jobs=1):
    """Frame probabilities of detectors, side by side, except those in the store.

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
    hashes, calls = {}, {}
    for key, (detector, X, sliding) in tasks.items():
        parts = {"detector": detector.cache_parameters(), "data": _hash(X, hashes)}
        name = hash_parameters(parts | {"sliding": bool(sliding)})
        calls[key] = (store.path(name), _remember, store, name, _predict, detector, X, sliding)
    entries = _run_all(calls, n_jobs)
    return {
        key: np.split(entry["probabilities"], np.cumsum(entry["lengths"])[:-1])
        for key, entry in entries.items()
    }


def _predict(detector, X, sliding):
    with limit_threads(1):
        clips = predict_sliding(detector, X) if sliding else detector.predict_proba(X)
    lengths = np.array([len(clip) for clip in clips])
    return {"probabilities": np.concatenate([c[:, 0] for c in clips]), "lengths": lengths}


def _hash(arrays, known):
    """SHA-256 of a set of clips, computed once for each set."""
    if id(arrays) not in known:
        known[id(arrays)] = hash_arrays(arrays)
    return known[id(arrays)]
