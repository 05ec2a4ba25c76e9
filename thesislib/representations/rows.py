"""From rows of a corpus to their features, as they get done: a pipeline of bounded stages.

Read the segment, cut it into chunks if asked, turn each chunk into what the estimator takes
(an audio plot, a spectrum, or the signal itself), and transform it. Reading and plotting run in
worker processes, a few rows at a time; a network answers in this process, several passes side by
side, while the workers are at the next rows. Every stage waits when the next one is behind, so
memory stays flat. On a Dask cluster (`thesislib.workers`) the network answers in the workers,
and pictures need not travel.
"""

import itertools
import warnings
from collections import deque
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from threadpoolctl import ThreadpoolController

from thesislib.audio import CHANNELS, chunk, read_audio
from thesislib.errors import AudioError, ParameterError, ThesisError, check_number, check_option
from thesislib.workers import connect, run_ahead, share

#: What is known of a row: what the store keeps.
ENTRY = ("features", "starts_s", "ends_s", "lengths")
#: Rows that go to a worker at once (one where rows are cut into chunks), and on a cluster.
GROUP, CLUSTER_GROUP = 4, 16
#: Batches handed at once to a network that does not say how many it answers side by side.
PASSES = 4


@dataclass(frozen=True)
class Reading:
    """How a corpus row becomes signals.

    Parameters
    ----------
    sr : int, optional
        Sampling rate in Hz; the file's own by default.
    channel : {"mean", "left", "right", "difference"}
    chunk_s, hop_s : float, optional
        Chunk length and hop in seconds; the whole row as one chunk by default.
        ``hop_s`` is ``chunk_s`` unless given.
    last : {"keep", "pad", "drop"}
        What becomes of a last chunk that is too short.

    Raises
    ------
    ParameterError
        If a value is impossible.

    Examples
    --------
    >>> Reading(chunk_s=5.0).hop_s
    5.0
    """

    sr: int | None = None
    channel: str = "mean"
    chunk_s: float | None = None
    hop_s: float | None = None
    last: str = "keep"

    def __post_init__(self):
        check_option("channel", self.channel, CHANNELS)
        check_option("last", self.last, ("keep", "pad", "drop"))
        if self.sr is not None:
            check_number("sr", self.sr, low=1, integer=True)
        if self.chunk_s is None and self.hop_s is not None:
            raise ParameterError(f"hop_s: found {self.hop_s!r} without chunk_s, expected both")
        if self.chunk_s is not None:
            check_number("chunk_s", self.chunk_s, low=0, open_low=True)
            if self.hop_s is None:
                object.__setattr__(self, "hop_s", self.chunk_s)
            check_number("hop_s", self.hop_s, low=0, open_low=True)

    def read(self, path, start_s=None, end_s=None):
        """Signals of a row and the start of each in the file: ``(list, starts_s, sr)``."""
        y, sr = read_audio(path, sr=self.sr, channel=self.channel, start_s=start_s, end_s=end_s)
        if self.chunk_s is None:
            return [y], np.array([start_s or 0.0]), sr
        parts, starts_s = chunk(y, sr=sr, window_s=self.chunk_s, hop_s=self.hop_s, last=self.last)
        return parts, np.asarray(starts_s) + (start_s or 0.0), sr


def enumerate_rows(corpus):
    """What `compute_rows` takes, for every row of a corpus."""
    for row, (path, record) in enumerate(zip(corpus.paths, corpus.index.to_dict("records"))):
        times = (record.get("start_s"), record.get("end_s"))
        yield row, path, *(None if t is None or np.isnan(t) else float(t) for t in times)


def in_groups(tasks, size):
    """Lists of ``size`` tasks, the last one perhaps shorter."""
    tasks = iter(tasks)
    while group := list(itertools.islice(tasks, size)):
        yield group


def compute_rows(tasks, estimator, spectrum=None, *, reading, n_jobs=1):
    """Features of rows as they get done, in constant memory and without the store.

    Parameters
    ----------
    tasks : iterable of (int, Path, float or None, float or None)
        Row, file, start and end of the segment in seconds.
    estimator, spectrum, reading, n_jobs
        As in `extract`.

    Yields
    ------
    row : int
        In their order, except that a row with an error may come earlier.
    found : dict or ThesisError
        `ENTRY`'s arrays, or why there are none.
    warned : set of (str, type)
        Warnings of the row.
    """
    size, on_cluster = 1 if reading.chunk_s else GROUP, connect() is not None
    passes, in_worker = None, share(estimator)
    if on_cluster:
        size = max(size * CLUSTER_GROUP // GROUP, getattr(estimator, "batch_size", None) or 0)
    elif getattr(estimator, "batch_size", None):
        passes, in_worker = _Passes(estimator), None
    groups = ((group, reading, spectrum, in_worker) for group in in_groups(tasks, size))
    try:
        for row, answer in flatten(run_ahead(prepare_group, groups, n_jobs=n_jobs)):
            if isinstance(answer, ThesisError):
                yield row, answer, set()
            elif passes is None:
                yield row, _make_entry(*answer[:3]), answer[3]
            else:
                passes.add(row, *answer)
                yield from passes.take()
        if passes is not None:
            yield from passes.take(rest=True)
    finally:
        if passes is not None:
            passes.close()


def flatten(groups):
    """Elements of groups, one after the other."""
    return itertools.chain.from_iterable(groups)


def _make_entry(parts, starts_s, ends_s):
    lengths = np.array([len(part) for part in parts])
    return dict(zip(ENTRY, (np.concatenate(parts), starts_s, ends_s, lengths)))


def _prepare(path, start_s, end_s, reading, spectrum, estimator=None):
    """Work on one row, in a worker: returns (items, starts_s, ends_s, warned), or the error."""
    try:
        with warnings.catch_warnings(record=True) as warned:
            signals, starts_s, sr = reading.read(path, start_s, end_s)
            if spectrum is None:
                items = [(y, sr) for y in signals]
            else:
                items = [spectrum(y, sr=sr) for y in signals]
            if estimator is not None:
                items = [_as_rows(estimator.transform([item])) for item in items]
        warned = {(str(warning.message), warning.category) for warning in warned}
        return items, starts_s, starts_s + [len(y) / sr for y in signals], warned
    except (AudioError, ParameterError) as error:
        # The estimator was given one item at a time, so its index says nothing.
        message = str(error).removeprefix("X[0]: ")
        return type(error)(message if str(path) in message else f"{path}: {message}")


@lru_cache(maxsize=1)
def _find_blas():
    return ThreadpoolController()


def prepare_group(group, reading, spectrum, estimator=None):
    """Answers of `_prepare` for some rows, each behind its row; a network takes them together."""
    is_network = getattr(estimator, "batch_size", None)
    each = None if is_network else estimator
    # One thread here as in a worker: products this small gain nothing from a second one.
    with _find_blas().limit(limits=1, user_api="blas"):
        answers = [(row, _prepare(*task, reading, spectrum, each)) for row, *task in group]
    if not is_network:
        return answers
    good = [answer[0] for _, answer in answers if not isinstance(answer, ThesisError)]
    found = iter(_ask(estimator, [item for items in good for item in items]) if good else ())
    for items in good:
        items[:] = itertools.islice(found, len(items))
    return answers


def _ask(network, items):
    """A network's features of items, a matrix of one row each."""
    alike = len({np.shape(item) for item in items}) == 1
    answers = np.asarray(network.transform(np.stack(items) if alike else items))
    return [np.asarray(answer, dtype=np.float32)[None] for answer in answers]


def _as_rows(answer):
    """Features of one item as a float32 matrix, whether one vector or one a frame."""
    return np.asarray(answer[0], dtype=np.float32).reshape(-1, np.shape(answer[0])[-1])


class _Passes:
    """Items of several rows, gathered into a network's passes, which run side by side."""

    def __init__(self, network):
        self.network, self.size = network, network.batch_size
        self.executor, self.most = None, 0
        if hasattr(network, "open_passes"):
            # As many wait as run, so that none waits for the main thread.
            self.executor, self.most = network.open_passes(), 2 * network.n_passes
        else:
            self.size *= PASSES
        self.items, self.owners = [], []
        self.rows, self.pending = {}, deque()

    def add(self, row, items, starts_s, ends_s, warned):
        """Take a row's items; passes that are full begin."""
        self.rows[row] = ([], len(items), starts_s, ends_s, warned)
        self.items += items
        self.owners += [row] * len(items)
        while len(self.items) >= self.size:
            self._begin()

    def _begin(self):
        items, self.items = self.items[: self.size], self.items[self.size :]
        owners, self.owners = self.owners[: self.size], self.owners[self.size :]
        ask = _ask if self.executor is None else self.executor.submit
        arguments = (self.network, items) if self.executor is None else (_ask, self.network, items)
        self.pending.append((owners, ask(*arguments)))

    def take(self, rest=False):
        """Rows that are done; waits where too many passes are under way, or for the rest."""
        if rest and self.items:
            self._begin()
        while self.pending:
            owners, answers = self.pending[0]
            if self.executor is not None:
                if not (rest or answers.done() or len(self.pending) > self.most):
                    return
                answers = answers.result()
            self.pending.popleft()
            for row, answer in zip(owners, answers):
                parts, n_items, *others, warned = self.rows[row]
                parts.append(answer)
                if len(parts) == n_items:
                    if not all(np.isfinite(part).all() for part in parts):
                        warnings.warn(f"row {row}: features are not finite", stacklevel=4)
                    del self.rows[row]
                    yield row, _make_entry(parts, *others), warned

    def close(self):
        """Leave nothing running."""
        if self.executor is not None:
            self.executor.shutdown(cancel_futures=True)
