"""From a corpus to features: where files, workers and the feature cache meet (contract 3).

Each row of a corpus goes through the stages of `thesislib.representations.rows`. Its features are
stored as soon as they are computed, so a run that was killed continues there.
"""

import warnings
from dataclasses import asdict, dataclass, field, replace
from importlib.metadata import version

import numpy as np
from tqdm.auto import tqdm

from thesislib.errors import AudioError, ParameterError, ThesisError, check_option
from thesislib.representations.reading import Reading
from thesislib.representations.rows import (
    ENTRY,
    GROUP,
    compute_rows,
    flatten,
    in_groups,
    is_complete,
    list_rows,
    prepare_group,
)
from thesislib.store import hash_file, hash_parameters
from thesislib.workers import run_ahead

#: Raised whenever the bytes of the features would change for the same parameters.
EXTRACT_VERSION = 1


@dataclass(frozen=True)
class Extracted:
    """Features of a corpus, row by row.

    ``by_row[i]`` holds the features of row ``i``: ``(n_chunks, n_features)``, or
    ``(n_frames, n_features)`` for frame features; ``starts_s[i]`` and ``ends_s[i]`` the
    start and end of each chunk in the file, ``lengths[i]`` its number of feature rows (one,
    or its frames). With ``on_error="collect"``, ``errors`` holds the error of each row that has
    no features, and ``warned`` the paths for each warning (message, category).
    """

    by_row: list
    starts_s: list
    ends_s: list
    lengths: list
    names: np.ndarray
    n_computed: int
    n_reused: int
    errors: dict = field(default_factory=dict)
    warned: dict = field(default_factory=dict)

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
    """Issue each collected warning once, with the names of its files."""
    for (message, category), paths in warned.items():
        # Some warnings come once a process, so their number would depend on the workers.
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
    rows = in_groups(list_rows(corpus), 1 if reading.chunk_s else GROUP)
    groups = ((group, reading, spectrum) for group in rows)
    prepared = tqdm(
        flatten(run_ahead(prepare_group, groups, n_jobs=n_jobs)),
        total=len(corpus),
        unit="clip",
        disable=not progress,
        leave=False,
    )
    rows, values = zip(*prepared) if len(corpus) else ((), ())
    _raise_all([value for value in values if isinstance(value, ThesisError)], corpus.name)
    warned = {}
    for row, (*_, messages) in zip(rows, values):
        _collect(warned, row, messages)
    warn_together(warned)
    return [items for items, *_ in values]


def _collect(warned, row, messages):
    for message in sorted(messages, key=str):
        warned.setdefault(message, []).append(row.path)


def _raise_all(errors, name):
    for error in errors:
        if isinstance(error, ParameterError):
            raise error
    if errors:
        lines = "\n".join(f"  - {error}" for error in errors)
        raise AudioError(f"{name}: {len(errors)} files cannot be used\n{lines}")


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
    keyed=None,
):
    """Features of every row of a corpus.

    Parameters
    ----------
    corpus : Corpus
    estimator : estimator
        Fitted, or without a need for fitting. One with a ``batch_size`` is a network: it
        runs in this process, in batches across rows. Any other transforms row by
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
        Whether a file that cannot be read, or whose features are not finite, raises an error
        (after all others are computed and stored), or is a row without features and an entry in
        ``errors``; warnings are then not issued, but collected in ``warned``. A parameter
        that is impossible for a file (a window below two samples at its rate, say) raises at
        once, or is such an entry.
    progress : bool
    keyed : (list of Row, dict), optional
        What `key_rows` returned, so that the audio is not hashed again.

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
    if keyed is None and store is not None:
        keyed = key_rows(corpus, estimator, spectrum, reading=reading)
    rows, errors = keyed or (list_rows(corpus), {})
    entries, warned, missing = {}, {}, []
    bar = tqdm(total=len(rows), unit="clip", disable=not progress, leave=False, delay=1)
    for row in rows:
        entry = None if store is None else store.get(row.key)
        if is_complete(entry):
            entries[row.number] = entry
            bar.update()
        else:
            missing.append(row)
    n_reused = len(entries)
    for row, entry, messages in compute_rows(
        missing, estimator, spectrum, reading=reading, n_jobs=n_jobs
    ):
        if not isinstance(entry, ThesisError):
            entries[row.number] = entry
            if store is not None:
                store.put(row.key, entry)
        elif on_error == "raise" and isinstance(entry, ParameterError):
            raise entry
        else:
            errors[row.number] = entry
        _collect(warned, row, messages)
        bar.update()
    bar.close()
    if on_error == "raise":
        warn_together(warned)
        _raise_all([errors[number] for number in sorted(errors)], corpus.name)
    names = np.asarray(estimator.get_feature_names_out(), dtype=object)
    nothing = dict.fromkeys(ENTRY, np.empty(0)) | {
        "features": np.empty((0, len(names)), np.float32),
        "lengths": np.empty(0, int),
    }
    by_row = [entries.get(number, nothing) for number in range(len(corpus))]
    return Extracted(
        *([entry[name] for entry in by_row] for name in ENTRY),
        names,
        n_computed=len(entries) - n_reused,
        n_reused=n_reused,
        errors=dict(sorted(errors.items())),
        warned=warned,
    )


def key_rows(corpus, estimator, spectrum=None, *, reading):
    """Rows of a corpus with the keys of their features: all that the bytes depend on.

    Returns
    -------
    rows : list of Row
        Those whose file can be opened.
    errors : dict of int to AudioError
        The others.
    """
    try:
        hashes = corpus.hashes
    except OSError:
        hashes = [_hash(path) for path in corpus.paths]
    # About as costly as the spectrum of a short clip, so it is described once.
    common = {
        "reading": asdict(reading),
        "spectrum": None if spectrum is None else describe(spectrum),
        "estimator": {"class": type(estimator).__name__, **estimator.cache_parameters()},
        "extract": EXTRACT_VERSION,
        "libraries": {
            name: version(name) for name in ("numpy", "scipy", "librosa", "soundfile", "soxr")
        },
    }
    rows, errors = [], {}
    for row, value in zip(list_rows(corpus), hashes):
        if isinstance(value, AudioError):
            errors[row.number] = value
        else:
            own = {"audio": value, "start_s": row.start_s, "end_s": row.end_s}
            rows.append(row._replace(key=hash_parameters(own | common)))
    return rows, errors


def _hash(path):
    try:
        return hash_file(path)
    except OSError as error:
        return AudioError(f"{path}: found {error.strerror}, expected an audio file")
