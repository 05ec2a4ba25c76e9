"""A corpus is a table: one row a clip, or a segment of one (contract 1).

Conventions
-----------
The index is a :class:`pandas.DataFrame` with the columns

===============  ==============================================================
``file``         audio file, relative to the corpus folder
``label``        class; missing where the corpus does not tell
``partition``    ``train``, ``devel``, ``test``, … (optional)
``fold``         fold of cross-validation that tests this row (optional)
``group``        what must stay together: speaker, game, recording (optional)
``start_s``      start of the segment that this row is (optional)
``end_s``        its end (optional)
``onset_s``      onset of an annotated event inside the clip, never a crop (optional)
``offset_s``     its offset (optional)
``duration_s``   duration of the file as the corpus states it (optional)
===============  ==============================================================

and any further column, kept as it is.
"""

import difflib
import hashlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd

from thesislib.audio import probe_audio
from thesislib.errors import AudioError, CorpusError, check_option
from thesislib.store import hash_file

KINDS = ("thesis", "stand-in", "synthetic")
REQUIRED = ("file", "label")
TIMES = ("start_s", "end_s", "onset_s", "offset_s", "duration_s")
OPTIONAL = ("partition", "fold", "group", *TIMES)


@dataclass(frozen=True)
class Validation:
    """What :meth:`Corpus.validate` found.

    ``problems`` make results wrong or impossible; ``remarks`` are worth knowing.
    """

    problems: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()

    def raise_if_invalid(self, name):
        """Raise a :class:`CorpusError` that lists every problem, if there is one."""
        if self.problems:
            lines = "\n".join(f"  - {problem}" for problem in self.problems)
            count = len(self.problems)
            raise CorpusError(f"{name}: {count} problem{'s' * (count > 1)}\n{lines}")


@dataclass(frozen=True, eq=False)
class Corpus:
    """Labelled audio: an index and the folder that its files are relative to.

    Parameters
    ----------
    index : pandas.DataFrame
        See the module's conventions. Numbered anew from 0.
    root : str or Path
        Folder that ``file`` is relative to.
    name : str
        Shown beside every result.
    kind : {"thesis", "stand-in", "synthetic"}
        Whether the numbers may be compared with those of the thesis.
    licence : str
        Licence of the audio, as far as known.
    splits : dict of str to (ndarray of int, ndarray of int), optional
        Train and test rows of each fold, where a corpus ships folds that overlap
        and the column ``fold`` cannot express them.
    remarks : tuple of str
        What the reader noticed (counts that differ from the published ones, say).

    Raises
    ------
    CorpusError
        If a required column is missing or a column's type is wrong.

    Examples
    --------
    >>> index = pd.DataFrame({"file": ["a.wav", "b.wav"], "label": ["yes", "no"],
    ...                       "partition": ["train", "test"]})
    >>> corpus = Corpus(index, ".", name="example", kind="synthetic")
    >>> corpus.classes
    ['no', 'yes']
    >>> len(corpus.select(corpus.index["partition"] == "train"))
    1
    """

    index: pd.DataFrame
    root: Path
    name: str
    kind: str = "stand-in"
    licence: str = "not stated"
    splits: dict | None = None
    remarks: tuple[str, ...] = field(default=())

    def __post_init__(self):
        check_option("kind", self.kind, KINDS)
        object.__setattr__(self, "root", Path(self.root))
        object.__setattr__(self, "index", check_columns(self.index, where=self.name))

    def __len__(self):
        return len(self.index)

    @property
    def classes(self):
        """Sorted class labels."""
        return sorted(self.index["label"].dropna().unique())

    @property
    def labels(self):
        """Label of each row, as an object array; None where unknown."""
        labels = self.index["label"].astype(object)
        return labels.where(labels.notna(), None).to_numpy()

    @property
    def groups(self):
        """Group of each row; each row is its own group where the corpus names none."""
        if "group" not in self.index:
            return np.arange(len(self)).astype(str).astype(object)
        own = pd.Series([f"row {i}" for i in range(len(self))])
        return self.index["group"].fillna(own).to_numpy(dtype=object)

    @property
    def paths(self):
        """Path of each row's audio file."""
        return [self.root / name for name in self.index["file"]]

    @property
    def partitions(self):
        """Names of the partitions, in order of appearance."""
        if "partition" not in self.index:
            return []
        return list(self.index["partition"].dropna().unique())

    def select(self, mask):
        """Rows under a boolean mask, as a corpus of their own (shipped splits are dropped)."""
        index = self.index[np.asarray(mask, dtype=bool)].reset_index(drop=True)
        return replace(self, index=index, splits=None)

    def rows(self, partition):
        """Positions of the labelled rows of a partition.

        Raises
        ------
        CorpusError
            If the corpus has no such partition; the message lists those it has.
        """
        if partition not in self.partitions:
            found = ", ".join(map(str, self.partitions)) or "no partitions"
            raise CorpusError(f"{self.name}: found {found}, expected a partition {partition!r}")
        mask = (self.index["partition"] == partition) & self.index["label"].notna()
        return np.flatnonzero(mask.to_numpy())

    def folds(self):
        """Train and test rows of each fold: ``{name: (train, test)}``.

        Raises
        ------
        CorpusError
            If the corpus has neither a column ``fold`` nor splits of its own.
        """
        if self.splits is not None:
            return dict(self.splits)
        if "fold" not in self.index or self.index["fold"].isna().all():
            raise CorpusError(f"{self.name}: found no column fold, expected one to cross-validate")
        fold = self.index["fold"]
        known = (fold.notna() & self.index["label"].notna()).to_numpy()
        return {
            name: (
                np.flatnonzero(known & (fold != name).to_numpy()),
                np.flatnonzero(known & (fold == name).to_numpy()),
            )
            for name in sorted(fold.dropna().unique())
        }

    def counts(self, by="partition"):
        """Rows of each class (columns) in each partition or fold, with sums."""
        labels = self.index["label"].fillna("unlabelled")
        by = self.index[by] if by in self.index else pd.Series("all", index=self.index.index)
        return pd.crosstab(by, labels, margins=True, margins_name="sum")

    @cached_property
    def lengths_s(self):
        """Seconds of each row: of its segment, or of its whole file."""
        with ThreadPoolExecutor(8) as pool:
            whole = [info.duration_s for info in pool.map(probe_audio, self.paths)]
        missing = np.full(len(self), np.nan)
        start, end = (self.index[c] if c in self.index else missing for c in ("start_s", "end_s"))
        return np.where(np.isnan(end), whole, end) - np.nan_to_num(start)

    @cached_property
    def hashes(self):
        """SHA-256 of each row's audio file."""
        unique = sorted(set(self.paths))
        with ThreadPoolExecutor(4) as pool:
            found = dict(zip(unique, pool.map(hash_file, unique)))
        return [found[path] for path in self.paths]

    @cached_property
    def fingerprint(self):
        """SHA-256 of the index and of all audio: two corpora alike have one fingerprint."""
        digest = hashlib.sha256(self.index.to_csv(index=False).encode())
        for value in self.hashes:
            digest.update(value.encode())
        return digest.hexdigest()

    def validate(self, *, audio=True):
        """Look for everything that is missing or wrong, and report it at once.

        Parameters
        ----------
        audio : bool
            Also look into every audio file (its header and its length).

        Returns
        -------
        Validation
        """
        problems, remarks = [], list(self.remarks)
        problems += _find_index_problems(self.index)
        problems += _find_leaks(self.index)
        problems += _find_absent_classes(self)
        if audio:
            audio_problems, audio_remarks = _probe_files(self)
            problems += audio_problems
            remarks += audio_remarks
        return Validation(tuple(problems), tuple(remarks))

    def check(self):
        """Validate and return the corpus itself.

        Raises
        ------
        CorpusError
            Lists every problem that was found.
        """
        self.validate().raise_if_invalid(self.name)
        return self


def check_columns(index, *, where):
    """Return the index with columns of the right types, numbered from 0.

    Raises
    ------
    CorpusError
        Lists missing columns, columns that look misspelt, and values that are no numbers.
    """
    problems = []
    for name in REQUIRED:
        if name not in index:
            near = difflib.get_close_matches(name, map(str, index.columns), n=1, cutoff=0.5)
            hint = f"; is it the column {near[0]!r}?" if near else ""
            found = ", ".join(map(str, index.columns))
            problems.append(f"column {name!r} is missing (found {found}){hint}")
    for name in index.columns:
        near = difflib.get_close_matches(str(name), OPTIONAL, n=1, cutoff=0.8)
        if near and name not in (*REQUIRED, *OPTIONAL) and near[0] not in index:
            problems.append(f"column {name!r} is unknown; expected {near[0]!r}?")
    index = index.reset_index(drop=True).copy()
    for name in set(TIMES) & set(index.columns):
        numbers = pd.to_numeric(index[name], errors="coerce")
        for row in np.flatnonzero(index[name].notna() & numbers.isna()):
            found = index[name].iloc[row]
            problems.append(f"row {row + 1}: {name} is {found!r}, expected seconds")
        index[name] = numbers.astype(float)
    Validation(tuple(problems)).raise_if_invalid(where)
    for name in {"file", "label", "partition", "fold", "group"} & set(index.columns):
        index[name] = index[name].astype("str")
    return index


def _find_index_problems(index):
    problems = []
    if not len(index):
        problems.append("the index has no rows")
    for row in np.flatnonzero(index["file"].isna()):
        problems.append(f"row {row + 1}: no file named")
    segment = [c for c in ("file", "start_s", "end_s") if c in index]
    for row in np.flatnonzero(index.duplicated(segment)):
        problems.append(f"row {row + 1}: {index['file'].iloc[row]} stands in the index twice")
    for low, high in (("start_s", "end_s"), ("onset_s", "offset_s")):
        if low in index and high in index:
            for row in np.flatnonzero(index[high] <= index[low]):
                found = f"{low} {index[low].iloc[row]:g}, {high} {index[high].iloc[row]:g}"
                problems.append(f"row {row + 1}: found {found}, expected {low} < {high}")
        if low in index:
            for row in np.flatnonzero(index[low] < 0):
                problems.append(f"row {row + 1}: {low} is {index[low].iloc[row]:g}, expected >= 0")
    if index["label"].isna().all():
        problems.append("no row has a label")
    return problems


def _find_leaks(index):
    """Groups that stand on both sides of a split would be learnt by heart."""
    problems = []
    if "group" not in index:
        return problems
    for column in ("partition", "fold"):
        if column not in index:
            continue
        sides = index.dropna(subset=["group", column]).groupby("group")[column].unique()
        for group, found in sides[sides.map(len) > 1].items():
            listed = ", ".join(map(str, sorted(found)))
            problems.append(f"group {group!r} stands in {column}s {listed}, expected one {column}")
    return problems


def _find_absent_classes(corpus):
    problems = []
    labelled = corpus.index.dropna(subset=["label"])
    for column in ("partition", "fold"):
        if column in labelled:
            for name, rows in labelled.groupby(column):
                absent = sorted(set(corpus.classes) - set(rows["label"]))
                if absent:
                    listed = ", ".join(absent)
                    problems.append(f"{column} {name!r} has no clip of class {listed}")
    return problems


def _probe_files(corpus):
    """Open every file's header; collect what is damaged and what differs."""
    unique = sorted(set(corpus.index["file"].dropna()))

    def probe(name):
        try:
            return probe_audio(corpus.root / name)
        except AudioError as error:
            return error

    with ThreadPoolExecutor(8) as pool:
        found = dict(zip(unique, pool.map(probe, unique)))
    rows = {name: row for row, name in reversed(list(enumerate(corpus.index["file"])))}
    problems = [
        f"row {rows[name] + 1}: {error}"
        for name, error in found.items()
        if isinstance(error, AudioError)
    ]
    good = {name: info for name, info in found.items() if not isinstance(info, AudioError)}
    problems += [
        f"row {rows[name] + 1}: {name} has {info.n_channels} channels, expected 1 or 2"
        for name, info in good.items()
        if info.n_channels > 2
    ]
    for row, record in enumerate(corpus.index.to_dict("records")):
        info = good.get(record["file"])
        for column in ("start_s", "end_s", "onset_s", "offset_s"):
            value = record.get(column, np.nan)
            if info and value > info.duration_s + 0.05:
                problems.append(
                    f"row {row + 1}: {column} is {value:g}, "
                    f"but {record['file']} lasts {info.duration_s:.3f} s"
                )
        stated = record.get("duration_s", np.nan)
        if info and abs(stated - info.duration_s) > max(0.1, 0.02 * info.duration_s):
            problems.append(
                f"row {row + 1}: duration_s is {stated:g}, "
                f"but {record['file']} lasts {info.duration_s:.3f} s"
            )
    remarks = []
    for what, values in (
        ("sampling rates (Hz)", [info.sr for info in good.values()]),
        ("numbers of channels", [info.n_channels for info in good.values()]),
    ):
        kinds, counts = np.unique(values, return_counts=True)
        if len(kinds) > 1:
            listed = ", ".join(f"{k} in {n} files" for k, n in zip(kinds, counts))
            remarks.append(f"mixed {what}: {listed}")
    return problems, remarks
