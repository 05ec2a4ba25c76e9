"""Representations that have to be trained, inside each training part (chapters 5 and 6).

S2SAE and DCGAN see no labels, so the thesis could have trained them on every clip, as auDeep
does, or on the training part of each split; it does not say. ``fit_on`` is ``"train"`` here:
what scores a system must not shape its features. ``"all"`` is auDeep's own recipe.

What a training gives is kept like any costly step: the weights as safetensors, the features of
all clips beside them, under a key of everything they depend on. A training that was killed goes
on from its last epoch.
"""

import hashlib
import shutil
import warnings
from functools import partial

import numpy as np
from sklearn.base import clone

from thesislib.errors import ParameterError, WeightsError, check_number, check_option
from thesislib.store import hash_parameters
from thesislib.training import limit_threads
from thesislib.workers import Parallel, delayed

FIT_ON = ("train", "all")


class LearntFeatures:
    """Features of all clips, by a network trained on some of them.

    Parameters
    ----------
    estimator : S2SAE or DCGAN
        Unfitted, with an integer as ``random_state``. Its ``checkpoint`` is replaced by a
        folder in the store.
    items : sequence of n ndarrays
        What the estimator takes, one a clip (or chunk).
    store : FeatureStore, optional
        Keeps weights and features; without it they are kept in memory.
    fit_on : {"train", "all"}
        The training rows of each request, or always all rows.
    groups : array-like, shape (n,), optional
        Of which an estimator with a ``validation_fraction`` holds out whole ones; without
        them it holds out clips at random.
    n_threads : int > 0
        Of PyTorch on a CPU, in training and after: the last bits depend on it, so it is part
        of the key. :func:`learn_all` uses several cores by training side by side.

    Examples
    --------
    >>> from thesislib.representations.s2sae import S2SAE
    >>> rng = np.random.default_rng(0)
    >>> clips = [rng.uniform(-1, 1, (n_frames, 5)) for n_frames in (4, 7, 6, 5)]
    >>> learnt = LearntFeatures(S2SAE(1, 3, n_epochs=2), clips)
    >>> learnt.features([0, 1, 2]).shape
    (4, 6)
    >>> [row["epoch"] for row in learnt.history([0, 1, 2])]
    [1, 2]
    """

    def __init__(self, estimator, items, store=None, *, fit_on="train", groups=None, n_threads=1):
        self.estimator, self.items, self.store = estimator, items, store
        self.fit_on = check_option("fit_on", fit_on, FIT_ON)
        self.groups = None if groups is None else np.asarray(groups)
        self.n_threads = check_number("n_threads", n_threads, low=1, integer=True)
        if groups is not None and self.groups.shape != (len(items),):
            raise ParameterError(
                f"groups: found shape {self.groups.shape}, expected ({len(items)},)"
            )
        self._content = None
        self._kept = {}

    def features(self, train):
        """Features of all items, learnt on the rows ``train``: shape (n, n_features), float32.

        This method is what :mod:`thesislib.evaluation.validation` takes as ``features``.
        """
        key = self.key(train)
        if self.store is not None:
            return self.store.remember(key, lambda: self._transform(train))["features"]
        if key not in self._kept:
            self._kept[key] = self._transform(train)
        return self._kept[key]["features"]

    def _transform(self, train):
        model = self.model(train)
        with limit_threads(self.n_threads):
            return {"features": model.transform(self.items)}

    def history(self, train):
        """What each epoch cost: ``history_`` of the estimator, a list of dict."""
        return self.model(train).history_

    def model(self, train):
        """The estimator fitted on the rows ``train``."""
        key = self.key(train)
        if self.store is None:
            if (key, "model") not in self._kept:
                self._kept[key, "model"] = self._fit(train, None)
            return self._kept[key, "model"]
        path = self.store.path(key, ".safetensors")
        if path.exists():
            try:
                return type(self.estimator).load(path, device=self.estimator.device)
            except WeightsError as error:
                warnings.warn(f"{error}; it is trained again", stacklevel=2)
        # A folder of its own, to be removed when the training is over and kept.
        checkpoint = self.store.root / "training" / key[:24]
        model = self._fit(train, checkpoint)
        model.save(path)
        shutil.rmtree(checkpoint, ignore_errors=True)
        return model

    def evaluate(self, train, rows):
        """Losses on some rows of what was learnt on others: ``evaluate`` of the estimator."""
        model = self.model(train)
        with limit_threads(self.n_threads):
            return model.evaluate([self.items[i] for i in rows])

    def key(self, train):
        """Key in the store: the hash of all that weights and features depend on."""
        if self._content is None:
            self._content = hash_arrays(self.items)
        fitted_on, held_out = self._split(train)
        return hash_parameters(
            {
                "class": "LearntFeatures",
                "version": 1,
                "items": self._content,
                "fitted_on": fitted_on.tolist(),
                "held_out": held_out.tolist(),
                "estimator": self.estimator.cache_parameters(),
                "n_threads": self.n_threads,
            }
        )

    def _fit(self, train, checkpoint):
        model = clone(self.estimator).set_params(checkpoint=checkpoint and str(checkpoint))
        fitted_on, held_out = ([self.items[i] for i in rows] for rows in self._split(train))
        with limit_threads(self.n_threads):
            return model.fit(fitted_on, **({"X_validation": held_out} if held_out else {}))

    def _split(self, train):
        """Rows to fit on, sorted, and rows to validate on, of other groups."""
        rows = np.unique(np.asarray(train, dtype=int))
        # An untrained network has seen no row, so all training parts share it.
        if self.fit_on == "all" or self.estimator.n_epochs == 0:
            rows = np.arange(len(self.items))
        if not len(rows):
            raise ParameterError("train: found no row, expected at least one")
        share = getattr(self.estimator, "validation_fraction", 0.0)
        if self.groups is None or not share:
            return rows, rows[:0]
        names = np.unique(self.groups[rows])
        n_held_out = min(max(1, round(share * len(names))), len(names) - 1)
        drawn = np.random.default_rng(self.estimator.random_state).permutation(names)[:n_held_out]
        out = np.isin(self.groups[rows], drawn)
        return rows[~out], rows[out]


def learn_all(tasks, *, n_jobs=1):
    """Train side by side what a notebook will ask for one after the other.

    Parameters
    ----------
    tasks : sequence of (LearntFeatures, array-like of int)
        Representation and training rows; each needs a store.
    n_jobs : int
        Worker processes. The features do not depend on it.

    Examples
    --------
    >>> import tempfile
    >>> from thesislib.representations.s2sae import S2SAE
    >>> from thesislib.store import FeatureStore
    >>> clips = [np.zeros((4, 2)), np.ones((3, 2))]
    >>> learnt = LearntFeatures(S2SAE(1, 2, n_epochs=1), clips, FeatureStore(tempfile.mkdtemp()))
    >>> learn_all([(learnt, [0, 1]), (learnt, [0])])
    >>> learnt.store.path(learnt.key([0])).exists()
    True
    """
    tasks = list(tasks)
    if any(learnt.store is None for learnt, _ in tasks):
        raise ParameterError("tasks: found a representation without a store, expected all with one")
    found = {learnt.key(rows): (learnt, rows) for learnt, rows in tasks}
    missing = [task for key, task in found.items() if not task[0].store.path(key).exists()]
    Parallel(n_jobs=n_jobs)(delayed(_learn)(learnt, rows) for learnt, rows in missing)


def _learn(learnt, rows):
    learnt.features(rows)


def concatenate(*parts):
    """One callable for several: features side by side, each learnt on the same rows.

    Parameters
    ----------
    *parts : callable
        ``features`` of :class:`LearntFeatures`, say.

    Returns
    -------
    callable
        Rows to an ndarray, shape (n, sum of all n_features).

    Examples
    --------
    >>> concatenate(lambda rows: np.zeros((3, 2)), lambda rows: np.ones((3, 1)))([0]).shape
    (3, 3)
    """
    return partial(_concatenate, parts)


def _concatenate(parts, train):
    return np.concatenate([part(train) for part in parts], axis=1)


def hash_arrays(arrays):
    """SHA-256 of arrays in their order: shapes, types and content."""
    digest = hashlib.sha256()
    for array in arrays:
        array = np.ascontiguousarray(array)
        digest.update(f"{array.shape}{array.dtype}".encode())
        digest.update(array.data)
    return digest.hexdigest()
