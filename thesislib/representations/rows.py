"""From rows of a corpus to their features: a pipeline of bounded stages.

Read the segment, cut it into chunks if requested, turn each chunk into the estimator's input
(an audio plot, a spectrum, or the signal itself), and transform it. Reading and plotting run in
worker processes, a few rows at a time; a network runs in this process, several batches side by
side, while the workers prepare the next rows. Every stage waits when the next one is behind, so
memory does not grow with the number of rows. On a Dask cluster (`thesislib.workers`) the network
runs in the workers, so that plots need not travel.
"""

import itertools
import warnings
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
from threadpoolctl import ThreadpoolController

from thesislib.errors import AudioError, ParameterError, ThesisError
from thesislib.representations.passes import Passes, run_network
from thesislib.workers import connect, run_ahead, share

#: Arrays of a row: the value under its key in the store.
ENTRY = ("features", "starts_s", "ends_s", "lengths")
#: Rows in a task of a worker (one where rows are cut into chunks), and on a cluster.
GROUP, CLUSTER_GROUP = 4, 16


class Row(NamedTuple):
    """A row of a corpus: its number, file and segment, and the key of its features."""

    number: int
    path: Path
    start_s: float | None = None
    end_s: float | None = None
    key: str | None = None


def list_rows(corpus):
    """Rows of a corpus, without keys."""
    missing = np.full(len(corpus), np.nan)
    times = (corpus.index.get(name, missing) for name in ("start_s", "end_s"))
    return [
        Row(number, path, *(None if t is None or np.isnan(t) else float(t) for t in segment))
        for number, (path, *segment) in enumerate(zip(corpus.paths, *times))
    ]


def in_groups(rows, size):
    """Lists of ``size`` rows, the last one perhaps shorter."""
    rows = iter(rows)
    while group := list(itertools.islice(rows, size)):
        yield group


def compute_rows(rows, estimator, spectrum=None, *, reading, n_jobs=1):
    """Features of rows as they are computed, in constant memory and without the store.

    Parameters
    ----------
    rows : iterable of Row
    estimator, spectrum, reading, n_jobs
        As in `extract`.

    Yields
    ------
    row : Row
        In their order, except that a row with an error may come earlier.
    entry : dict or ThesisError
        `ENTRY`'s arrays, or why there are none.
    warned : set of (str, type)
        Warnings of the row.
    """
    size, on_cluster = 1 if reading.chunk_s else GROUP, connect() is not None
    passes, in_worker = None, share(estimator)
    if on_cluster:
        size = max(size * CLUSTER_GROUP // GROUP, getattr(estimator, "batch_size", None) or 0)
    elif getattr(estimator, "batch_size", None):
        passes, in_worker = Passes(estimator), None
    groups = ((group, reading, spectrum, in_worker) for group in in_groups(rows, size))
    try:
        for row, prepared in flatten(run_ahead(prepare_group, groups, n_jobs=n_jobs)):
            if isinstance(prepared, ThesisError):
                yield row, prepared, set()
            elif passes is None:
                yield _complete(row, *prepared)
            else:
                passes.add(row, *prepared)
                yield from itertools.starmap(_complete, passes.take())
        if passes is not None:
            yield from itertools.starmap(_complete, passes.take(rest=True))
    finally:
        if passes is not None:
            passes.close()


def flatten(groups):
    """Elements of groups, one after the other."""
    return itertools.chain.from_iterable(groups)


def is_complete(entry):
    """Whether an entry of a store has all arrays, and its features are finite."""
    return set(ENTRY) <= set(entry or ()) and bool(np.isfinite(entry["features"]).all())


def _complete(row, parts, starts_s, ends_s, warned):
    lengths = np.array([len(part) for part in parts])
    entry = dict(zip(ENTRY, (np.concatenate(parts), starts_s, ends_s, lengths)))
    if is_complete(entry):
        return row, entry, warned
    message = "found features that are not finite, expected samples in [-1, 1]"
    return row, AudioError(f"{row.path}: {message}"), set()


def _prepare(row, reading, spectrum, estimator=None):
    """Items of one row, in a worker: (items, starts_s, ends_s, warned), or the error."""
    try:
        with warnings.catch_warnings(record=True) as warned:
            items, starts_s, ends_s = [], [], []
            for y, start_s, sr in reading.iterate(row.path, row.start_s, row.end_s):
                item = (y, sr) if spectrum is None else spectrum(y, sr=sr)
                items.append(item if estimator is None else _as_rows(estimator.transform([item])))
                starts_s.append(start_s)
                ends_s.append(start_s + len(y) / sr)
        warned = {(str(warning.message), warning.category) for warning in warned}
        return items, np.array(starts_s), np.array(ends_s), warned
    except (AudioError, ParameterError) as error:
        # The estimator gets one item at a time, so its index means nothing.
        message = str(error).removeprefix("X[0]: ")
        return type(error)(message if str(row.path) in message else f"{row.path}: {message}")


@lru_cache(maxsize=1)
def _find_blas():
    return ThreadpoolController()


def prepare_group(group, reading, spectrum, estimator=None):
    """Pairs of a row and what `_prepare` returns; a network takes all items together."""
    is_network = getattr(estimator, "batch_size", None)
    each = None if is_network else estimator
    # One thread here as in a worker: products this small gain nothing from a second one.
    with _find_blas().limit(limits=1, user_api="blas"):
        prepared = [(row, _prepare(row, reading, spectrum, each)) for row in group]
    if not is_network:
        return prepared
    good = [values[0] for _, values in prepared if not isinstance(values, ThesisError)]
    outputs = iter(run_network(estimator, list(flatten(good))) if good else ())
    for items in good:
        items[:] = itertools.islice(outputs, len(items))
    return prepared


def _as_rows(output):
    """Features of one item as a float32 matrix, whether one vector or one a frame."""
    return np.asarray(output[0], dtype=np.float32).reshape(-1, np.shape(output[0])[-1])
