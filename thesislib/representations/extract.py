"""From a corpus to features: where files, workers and the feature store meet (contract 3).

Each row of a corpus goes the same way: read the segment, cut it into chunks if asked,
turn each chunk into what the estimator takes (an audio plot, a spectrum, or the
signal itself), and transform it. Reading and plotting run in worker processes while a
network answers in this one; at most a few clips a worker are in flight, so memory stays
flat. What is finished is in the store at once, so a run that was killed goes on there.
"""

import warnings
from collections import deque
from concurrent.futures import BrokenExecutor
from dataclasses import asdict, dataclass, field, replace
from functools import lru_cache
from importlib.metadata import version

import numpy as np
from tqdm.auto import tqdm

from thesislib.audio import CHANNELS, chunk, read_audio
from thesislib.errors import (
    AudioError,
    ParameterError,
    ThesisError,
    check_number,
    check_option,
)
from thesislib.store import hash_file, hash_parameters

#: Raised whenever the bytes of the features would change for the same parameters.
EXTRACT_VERSION = 1
#: What the store keeps of a row.
ENTRY = ("features", "starts_s", "ends_s", "lengths")
#: Clips in flight for each worker: enough that none waits, few enough to stay small.
AHEAD = 4
#: Batches handed to a network at once: it may answer them side by side, a core each.
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


@dataclass(frozen=True)
class Extracted:
    """Features of a corpus, row by row.

    ``by_row[i]`` holds the features of row ``i``: ``(n_chunks, n_features)``, or
    ``(n_frames, n_features)`` for frame features; ``starts_s[i]`` and ``ends_s[i]`` the
    start and end of each chunk in the file, ``lengths[i]`` its number of feature rows (one,
    or its frames). ``errors`` tells of rows that could not be read (only with
    ``on_error="collect"``).
    """

    by_row: list
    starts_s: list
    ends_s: list
    lengths: list
    names: np.ndarray
    n_computed: int
    n_reused: int
    errors: dict = field(default_factory=dict)

    @property
    def matrix(self):
        """All chunks, one after the other: ``(n_chunks, n_features)``."""
        return np.concatenate(self.by_row)

    @property
    def rows(self):
        """Corpus row of each row of ``matrix``."""
        return np.repeat(np.arange(len(self.by_row)), [len(part) for part in self.by_row])

    def find_chunks(self, rows):
        """Positions in ``matrix`` of the chunks of some corpus rows."""
        return np.flatnonzero(np.isin(self.rows, rows))

    def columns(self, prefix):
        """Those features whose names begin with ``prefix``, as another result."""
        keep = np.array([str(name).startswith(prefix) for name in self.names])
        if not keep.any():
            raise ParameterError(
                f"prefix: found {prefix!r}, expected the beginning of names like {self.names[0]!r}"
            )
        return replace(self, by_row=[part[:, keep] for part in self.by_row], names=self.names[keep])


def _prepare(path, start_s, end_s, reading, spectrum, estimator):
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


def _warn(warned):
    """Pass on what rows' work warned of, each thing once and with the files' names."""
    for (message, category), paths in warned.items():
        # Some things are warned of once a process, so their number would depend on the workers.
        others = " and others" if len(paths) > 1 else ""
        warnings.warn(f"{paths[0]}{others}: {message}", category, stacklevel=3)


def _as_rows(answer):
    """Features of one item as a float32 matrix, whether one vector or one a frame."""
    return np.asarray(answer[0], dtype=np.float32).reshape(-1, np.shape(answer[0])[-1])


def _stream(tasks, n_jobs):
    """Ordered answers of :func:`_prepare`, with a bounded number of tasks in flight."""
    if n_jobs == 1:
        for task in tasks:
            yield _prepare(*task)
        return
    executor, pending = _pool(n_jobs), deque()
    try:
        for task in tasks:
            pending.append(executor.submit(_prepare, *task))
            if len(pending) >= AHEAD * n_jobs:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
    except BrokenExecutor:
        _pool.cache_clear()
        raise
    finally:
        for future in pending:
            future.cancel()


@lru_cache(maxsize=1)
def _pool(n_jobs):
    """Worker processes, kept for the next extraction until they have been idle for a while.

    A pool of our own: joblib's, which the fits use, expects to be used through joblib alone.
    """
    from joblib.externals.loky import ProcessPoolExecutor

    return ProcessPoolExecutor(n_jobs, timeout=30)


def _row_tasks(corpus):
    for path, record in zip(corpus.paths, corpus.index.to_dict("records")):
        times = (record.get("start_s"), record.get("end_s"))
        yield path, *(None if t is None or np.isnan(t) else float(t) for t in times)


def read_items(corpus, spectrum=None, *, reading=None, n_jobs=1, progress=False):
    """Spectra, plots or signals of every row, without an estimator and without the store.

    Parameters
    ----------
    corpus : Corpus
    spectrum : callable, optional
        ``spectrum(y, sr=sr)``; without it the items are ``(signal, sr)``.
    reading : Reading, optional
    n_jobs : int
    progress : bool

    Returns
    -------
    list of list
        Items of each row, one a chunk.

    Raises
    ------
    AudioError
        Lists every file that could not be read.
    """
    reading = reading or Reading()
    tasks = ((*task, reading, spectrum, None) for task in _row_tasks(corpus))
    answers = tqdm(
        _stream(tasks, n_jobs), total=len(corpus), unit="clip", disable=not progress, leave=False
    )
    found = list(answers)
    _raise_all([answer for answer in found if isinstance(answer, ThesisError)], corpus.name)
    warned = {}
    for path, (*_, news) in zip(corpus.paths, found):
        for new in sorted(news, key=str):
            warned.setdefault(new, []).append(path)
    _warn(warned)
    return [items for items, *_ in found]


def _raise_all(errors, name):
    for error in errors:
        if isinstance(error, ParameterError):
            raise error
    if errors:
        lines = "\n".join(f"  - {error}" for error in errors)
        raise AudioError(f"{name}: {len(errors)} files cannot be used\n{lines}")


def cache_key(audio_hash, start_s, end_s, reading, spectrum, estimator):
    """Key of a row's features: everything that their bytes depend on."""
    own = {"audio": audio_hash, "start_s": start_s, "end_s": end_s}
    return hash_parameters(own | _common_key(reading, spectrum, estimator))


def _common_key(reading, spectrum, estimator):
    """What the keys of all rows share; it costs about as much as a short clip's spectrum."""
    return {
        "reading": asdict(reading),
        "spectrum": None if spectrum is None else describe(spectrum),
        "estimator": {"class": type(estimator).__name__, **estimator.cache_parameters()},
        "extract": EXTRACT_VERSION,
        "libraries": {
            name: version(name) for name in ("numpy", "scipy", "librosa", "soundfile", "soxr")
        },
    }


def describe(spectrum):
    """Plain values of a spectrum or audio plot, with its class."""
    return {"class": type(spectrum).__name__, **asdict(spectrum)}


def extract(
    corpus,
    estimator,
    spectrum=None,
    store=None,
    *,
    reading=None,
    n_jobs=1,
    on_error="raise",
    progress=True,
):
    """Features of every row of a corpus.

    Parameters
    ----------
    corpus : Corpus
    estimator : estimator
        Fitted, or in no need of fitting. One with a ``batch_size`` is a network: it
        answers in this process, in batches across rows. Any other transforms row by
        row in the workers.
    spectrum : callable, optional
        A :class:`~thesislib.spectra.spectrogram.Spectrum` or
        :class:`~thesislib.spectra.plot.AudioPlot`; without it the estimator gets
        ``(signal, sr)``.
    store : FeatureStore, optional
        Rows that are in it are not computed again.
    reading : Reading, optional
    n_jobs : int
        Worker processes that read and plot. The features do not depend on it.
    on_error : {"raise", "collect"}
        Whether a file that cannot be read ends in an error (after all others are done
        and stored), or in a row without features and an entry in ``errors``. A parameter
        that is impossible for a file (a window below two samples at its rate, say) ends in
        an error at once, or in such an entry.
    progress : bool

    Returns
    -------
    Extracted

    Raises
    ------
    AudioError
        Lists every file that could not be read.
    ParameterError
        Names the first file at whose sampling rate a parameter is impossible.
    """
    check_option("on_error", on_error, ("raise", "collect"))
    reading = reading or Reading()
    tasks = list(_row_tasks(corpus))
    found = [None] * len(tasks)
    keys, missing, errors = [None] * len(tasks), [], {}
    if store is not None:
        keys = _find_keys(corpus, tasks, reading, spectrum, estimator, errors)
    for row, key in enumerate(keys):
        entry = store.get(key) if key is not None else None
        if entry is not None and set(ENTRY) <= set(entry):
            found[row] = entry
        elif row not in errors:
            missing.append(row)

    batched = getattr(estimator, "batch_size", None)
    in_worker = None if batched else estimator
    answers = _stream(((*tasks[row], reading, spectrum, in_worker) for row in missing), n_jobs)
    bar = tqdm(total=len(missing), unit="clip", disable=not progress or not missing, leave=False)

    def finish(row, parts):
        lengths = np.array([len(part) for part in parts])
        found[row] = dict(zip(ENTRY, (np.concatenate(parts), *found[row], lengths)))
        if store is not None:
            store.put(keys[row], found[row])
        bar.update()

    warned = {}
    waiting = _Batches(estimator, batched and PASSES * batched, finish)
    for row, answer in zip(missing, answers):
        if isinstance(answer, ThesisError):
            if on_error == "raise" and isinstance(answer, ParameterError):
                raise answer
            errors[row] = answer
            bar.update()
            continue
        items, *found[row], news = answer
        for new in sorted(news, key=str):
            warned.setdefault(new, []).append(tasks[row][0])
        if batched:
            waiting.add(row, items)
        else:
            finish(row, items)
    waiting.flush()
    bar.close()
    _warn(warned)

    if errors and on_error == "raise":
        _raise_all([errors[row] for row in sorted(errors)], corpus.name)
    names = np.asarray(estimator.get_feature_names_out(), dtype=object)
    nothing = dict.fromkeys(ENTRY, np.empty(0)) | {
        "features": np.empty((0, len(names)), np.float32),
        "lengths": np.empty(0, int),
    }
    found = [nothing if row in errors else entry for row, entry in enumerate(found)]
    return Extracted(
        *([entry[name] for entry in found] for name in ENTRY),
        names,
        n_computed=len(missing) - len(set(errors) & set(missing)),
        n_reused=len(tasks) - len(missing) - len(set(errors) - set(missing)),
        errors=dict(sorted(errors.items())),
    )


def _find_keys(corpus, tasks, reading, spectrum, estimator, errors):
    """Key of every row; an unreadable file becomes an error of its row, not of the run."""
    try:
        hashes = corpus.hashes
    except OSError:
        hashes = [_hash(path) for path in corpus.paths]
    keys, common = [None] * len(tasks), _common_key(reading, spectrum, estimator)
    for row, ((_, start_s, end_s), value) in enumerate(zip(tasks, hashes)):
        if isinstance(value, AudioError):
            errors[row] = value
        else:
            own = {"audio": value, "start_s": start_s, "end_s": end_s}
            keys[row] = hash_parameters(own | common)
    return keys


def _hash(path):
    try:
        return hash_file(path)
    except OSError as error:
        return AudioError(f"{path}: found {error.strerror}, expected an audio file")


class _Batches:
    """Items of several rows, gathered into the network's batches."""

    def __init__(self, estimator, size, finish):
        self.estimator, self.size, self.finish = estimator, size, finish
        self.items, self.owners = [], []
        self.parts, self.open = {}, {}

    def add(self, row, items):
        self.parts[row], self.open[row] = [], len(items)
        self.items += items
        self.owners += [row] * len(items)
        while len(self.items) >= self.size:
            self._answer()

    def flush(self):
        while self.items:
            self._answer()

    def _answer(self):
        items, self.items = self.items[: self.size], self.items[self.size :]
        owners, self.owners = self.owners[: self.size], self.owners[self.size :]
        alike = len({np.shape(item) for item in items}) == 1
        answers = np.asarray(self.estimator.transform(np.stack(items) if alike else items))
        for row, answer in zip(owners, answers):
            self.parts[row].append(np.asarray(answer, dtype=np.float32)[None])
            self.open[row] -= 1
            if not self.open[row]:
                if not all(np.isfinite(part).all() for part in self.parts[row]):
                    warnings.warn(f"row {row}: features are not finite", stacklevel=4)
                self.finish(row, self.parts.pop(row))
                del self.open[row]
