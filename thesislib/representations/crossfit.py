"""Representations that have to be trained, inside each training part (chapters 5 and 6).

S2SAE and DCGAN see no labels, so the thesis could have trained them on every clip, as auDeep
does, or on the training part of each split; it does not say. ``fit_on`` is ``"train"`` here:
the clips that score a system must not shape its features. ``"all"`` is auDeep's own recipe.

Every training is cached: `remember_fit` writes the network as safetensors under a key of all that
it depends on, and a training that was killed resumes after its last epoch. `run_missing` runs
several calls of this kind side by side.
"""

import shutil
import warnings
from functools import partial

import numpy as np
from sklearn.base import clone

from thesislib.errors import ParameterError, WeightsError, check_number, check_option
from thesislib.store import hash_arrays, hash_parameters
from thesislib.training import limit_threads
from thesislib.workers import Parallel, delayed

FIT_ON = ("train", "all")


class CrossFittedFeatures:
    """Features of all clips, by a network trained on some of them.

    Parameters
    ----------
    estimator : S2SAE or DCGAN
        Unfitted, with an integer as ``random_state``. Its ``checkpoint`` is replaced by a
        folder in the store.
    items : sequence of n ndarrays
        What the estimator takes, one a clip (or chunk).
    store : FeatureStore, optional
        Caches weights and features; without it they stay in memory.
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
    >>> learnt = CrossFittedFeatures(S2SAE(1, 3, n_epochs=2), clips)
    >>> learnt.features([0, 1, 2]).shape
    (4, 6)
    >>> [row["epoch"] for row in learnt.history([0, 1, 2])]
    [1, 2]
    """

    def __init__(self, estimator, items, store=None, *, fit_on="train", groups=None, n_threads=1):
        self.estimator, self.items, self.store = estimator, items, store
        self._cache = Memory() if store is None else store
        self.fit_on = check_option("fit_on", fit_on, FIT_ON)
        self.groups = None if groups is None else np.asarray(groups)
        self.n_threads = check_number("n_threads", n_threads, low=1, integer=True)
        if groups is not None and self.groups.shape != (len(items),):
            raise ParameterError(
                f"groups: found shape {self.groups.shape}, expected ({len(items)},)"
            )
        self._content = None

    def features(self, train):
        """Features of all items, learnt on the rows ``train``: shape (n, n_features), float32.

        :mod:`thesislib.evaluation.validation` takes this method as ``features``.
        """
        return self._cache.remember(self.key(train), lambda: self._transform(train))["features"]

    def _transform(self, train):
        model = self.model(train)
        with limit_threads(self.n_threads):
            return {"features": model.transform(self.items)}

    def history(self, train):
        """Losses of each epoch: ``history_`` of the estimator, a list of dict."""
        return self.model(train).history_

    def model(self, train):
        """The estimator fitted on the rows ``train``."""
        key = self.key(train)
        fitted_on, held_out = ([self.items[i] for i in rows] for rows in self._split(train))
        data = (fitted_on, None, held_out) if held_out else (fitted_on,)
        if self.store is None:
            fit = partial(_fit, self.estimator, data, None, self.n_threads)
            return self._cache.remember((key, "model"), fit)
        return remember_fit(self.store, key, self.estimator, *data, n_threads=self.n_threads)

    def evaluate(self, train, rows):
        """Losses on ``rows`` of the estimator fitted on ``train``, from its ``evaluate``."""
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
                "class": "LearntFeatures",  # an earlier name; a new one would change every key
                "version": 1,
                "items": self._content,
                "fitted_on": fitted_on.tolist(),
                "held_out": held_out.tolist(),
                "estimator": self.estimator.cache_parameters(),
                "n_threads": self.n_threads,
            }
        )

    def _split(self, train):
        """Rows to fit on, sorted, and rows to validate on, of other groups."""
        rows = np.unique(np.asarray(train, dtype=int))
        # An untrained network has seen no row, so all training parts share it.
        lengths = (getattr(self.estimator, name, None) for name in ("n_epochs", "n_updates"))
        if self.fit_on == "all" or 0 in lengths:
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


def learn_by_seed(estimator, items, store=None, *, seeds=(0,), **options):
    """One :class:`CrossFittedFeatures` for each seed of the training.

    Parameters
    ----------
    estimator, items, store, **options
        Of :class:`CrossFittedFeatures`.
    seeds : sequence of int
        Each takes the place of the estimator's ``random_state``.

    Returns
    -------
    dict of int to CrossFittedFeatures

    Examples
    --------
    >>> from thesislib.representations.s2sae import S2SAE
    >>> learnt = learn_by_seed(S2SAE(1, 2), [np.zeros((4, 2))], seeds=[0, 7])
    >>> learnt[7].estimator.random_state
    7
    """
    return {
        seed: CrossFittedFeatures(
            clone(estimator).set_params(random_state=seed), items, store, **options
        )
        for seed in seeds
    }


def learn_all(tasks, *, n_jobs=1):
    """Train side by side what a notebook will use one after the other.

    Parameters
    ----------
    tasks : sequence of (CrossFittedFeatures, array-like of int)
        Representation and training rows; each needs a store.
    n_jobs : int
        Worker processes. The features do not depend on it.

    Examples
    --------
    >>> import tempfile
    >>> from thesislib.representations.s2sae import S2SAE
    >>> from thesislib.store import FeatureStore
    >>> clips, store = [np.zeros((4, 2)), np.ones((3, 2))], FeatureStore(tempfile.mkdtemp())
    >>> learnt = CrossFittedFeatures(S2SAE(1, 2, n_epochs=1), clips, store)
    >>> learn_all([(learnt, [0, 1]), (learnt, [0])])
    >>> store.path(learnt.key([0])).exists()
    True
    """
    tasks = list(tasks)
    if any(learnt.store is None for learnt, _ in tasks):
        raise ParameterError("tasks: found a representation without a store, expected all with one")
    calls = ((learnt.store.path(learnt.key(rows)), learnt.features, rows) for learnt, rows in tasks)
    run_missing(calls, n_jobs=n_jobs)


def run_missing(calls, *, n_jobs=1):
    """Run calls side by side, except those whose file exists.

    Parameters
    ----------
    calls : iterable of (Path, callable, arguments...)
        Each call writes its file. Of several calls with one file, one is run.
    n_jobs : int
        Worker processes.
    """
    missing = {path: call for path, *call in calls if not path.exists()}
    Parallel(n_jobs=n_jobs)(delayed(_run)(*call) for call in missing.values())


def _run(function, *arguments):
    function(*arguments)  # the file holds the result, so none is sent to the parent process


def remember_fit(store, key, estimator, *data, n_threads=1):
    """Fitted estimator from its file in a store, or trained and written to it.

    Parameters
    ----------
    store : FeatureStore
    key : str
        Hash of all that the weights depend on.
    estimator : SavedNetwork
        Unfitted; cloned. Its ``checkpoint`` is replaced by a folder in the store, which is
        removed when the training is complete.
    *data
        Arguments of ``fit``.
    n_threads : int
        Of PyTorch.
    """
    path = store.path(key, ".safetensors")
    if path.exists():
        try:
            return type(estimator).load(path, device=estimator.device)
        except WeightsError as error:
            warnings.warn(f"{error}; it is trained again", stacklevel=2)
    checkpoint = store.root / "training" / key[:24]
    model = _fit(estimator, data, str(checkpoint), n_threads)
    model.save(path)
    shutil.rmtree(checkpoint, ignore_errors=True)
    return model


def _fit(estimator, data, checkpoint, n_threads):
    with limit_threads(n_threads):
        return clone(estimator).set_params(checkpoint=checkpoint).fit(*data)


class Memory(dict):
    """`FeatureStore.remember` without files, for the time that this object exists."""

    put = dict.__setitem__

    def remember(self, key, compute):
        """Value of ``key``; ``compute()`` gives it if there is none."""
        if key not in self:
            self[key] = compute()
        return self[key]


def concatenate(*parts):
    """One callable for several: features side by side, each learnt on the same rows.

    Parameters
    ----------
    *parts : callable or ndarray
        ``features`` of :class:`CrossFittedFeatures`, say; an array is not learnt.

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
    matrices = [part(train) if callable(part) else part for part in parts]
    return np.concatenate(matrices, axis=1)
