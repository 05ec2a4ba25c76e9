"""From a corpus to features: where files, workers and the feature store meet (contract 3).

Each row of a corpus goes through the stages of `thesislib.representations.rows`; what is finished
is in the store at once, so a run that was killed goes on there.
"""

import warnings
from dataclasses import asdict, dataclass, field, replace
from importlib.metadata import version

import numpy as np
from tqdm.auto import tqdm

from thesislib.errors import AudioError, ParameterError, ThesisError, check_option
from thesislib.representations.rows import (
    ENTRY,
    GROUP,
    Reading,
    compute_rows,
    enumerate_rows,
    flatten,
    in_groups,
    prepare_group,
)
from thesislib.store import hash_file, hash_parameters
from thesislib.workers import run_ahead

__all__ = [
    "Extracted",
    "Reading",
    "assemble",
    "cache_key",
    "describe",
    "extract",
    "find_keys",
    "read_items",
    "warn_together",
]

#: Raised whenever the bytes of the features would change for the same parameters.
EXTRACT_VERSION = 1


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


def warn_together(warned):
    """Pass on what rows' work warned of, each thing once and with the files' names."""
    for (message, category), paths in warned.items():
        # Some things are warned of once a process, so their number would depend on the workers.
        others = " and others" if len(paths) > 1 else ""
        warnings.warn(f"{paths[0]}{others}: {message}", category, stacklevel=3)


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
    tasks = in_groups(enumerate_rows(corpus), 1 if reading.chunk_s else GROUP)
    groups = ((group, reading, spectrum) for group in tasks)
    answers = tqdm(
        flatten(run_ahead(prepare_group, groups, n_jobs=n_jobs)),
        total=len(corpus),
        unit="clip",
        disable=not progress,
        leave=False,
    )
    found = [answer for _, answer in answers]
    _raise_all([answer for answer in found if isinstance(answer, ThesisError)], corpus.name)
    warned = {}
    for path, (*_, news) in zip(corpus.paths, found):
        for new in sorted(news, key=str):
            warned.setdefault(new, []).append(path)
    warn_together(warned)
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
    tasks = list(enumerate_rows(corpus))
    found = [None] * len(tasks)
    keys, missing, errors = [None] * len(tasks), [], {}
    if store is not None:
        keys = find_keys(corpus, tasks, estimator, spectrum, reading=reading, errors=errors)
    for row, key in enumerate(keys):
        entry = store.get(key) if key is not None else None
        if entry is not None and set(ENTRY) <= set(entry):
            found[row] = entry
        elif row not in errors:
            missing.append(row)

    bar = tqdm(total=len(missing), unit="clip", disable=not progress or not missing, leave=False)
    warned, wanted = {}, (tasks[row] for row in missing)
    for row, entry, news in compute_rows(
        wanted, estimator, spectrum, reading=reading, n_jobs=n_jobs
    ):
        if isinstance(entry, ThesisError):
            if on_error == "raise" and isinstance(entry, ParameterError):
                raise entry
            errors[row] = entry
        else:
            found[row] = entry
            if store is not None:
                store.put(keys[row], entry)
        for new in sorted(news, key=str):
            warned.setdefault(new, []).append(tasks[row][1])
        bar.update()
    bar.close()
    warn_together(warned)

    if errors and on_error == "raise":
        _raise_all([errors[row] for row in sorted(errors)], corpus.name)
    n_reused = len(tasks) - len(missing) - len(set(errors) - set(missing))
    entries = {row: entry for row, entry in enumerate(found) if row not in errors}
    return assemble(entries, errors, estimator, n_computed=len(entries) - n_reused)


def assemble(entries, errors, estimator, *, n_computed):
    """Join what is known of each row: its entry, or its error."""
    names = np.asarray(estimator.get_feature_names_out(), dtype=object)
    nothing = dict.fromkeys(ENTRY, np.empty(0)) | {
        "features": np.empty((0, len(names)), np.float32),
        "lengths": np.empty(0, int),
    }
    found = [entries.get(row, nothing) for row in range(len(entries) + len(errors))]
    return Extracted(
        *([entry[name] for entry in found] for name in ENTRY),
        names,
        n_computed=n_computed,
        n_reused=len(entries) - n_computed,
        errors=dict(sorted(errors.items())),
    )


def find_keys(corpus, tasks, estimator, spectrum=None, *, reading, errors):
    """Key of every row; an unreadable file becomes an entry of ``errors``, its key None."""
    try:
        hashes = corpus.hashes
    except OSError:
        hashes = [_hash(path) for path in corpus.paths]
    keys, common = [None] * len(tasks), _common_key(reading, spectrum, estimator)
    for (row, _, start_s, end_s), value in zip(tasks, hashes):
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
