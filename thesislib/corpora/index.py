"""A corpus is a table: one row a clip, or a segment of one (contract 1).

Conventions
-----------
The index is a :class:`pandas.DataFrame` with the columns

===============  ==============================================================
``file``         audio file, relative to the corpus folder
``label``        class; missing where the corpus does not tell
``partition``    ``train``, ``devel``, ``test``, … (optional)
``fold``         fold of cross-validation that tests this row (optional)
``group``        what must stay together: speaker, track, recording (optional)
``domain``       what groups are part of: database, game, device, site (optional)
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
from thesislib.corpora.tables import Problems
from thesislib.errors import CorpusError, check_option
from thesislib.places import read_plain
from thesislib.store import hash_file

#: Optional file beside the index: ``{"name": …, "kind": …, "licence": …,
#: "duplicates": "allowed"}``.
DESCRIPTION = "corpus.json"
KINDS = ("thesis", "stand-in", "synthetic")
REQUIRED = ("file", "label")
TIMES = ("start_s", "end_s", "onset_s", "offset_s", "duration_s")
#: Columns that are text whatever they hold.
TEXTS = {"file", "label", "partition", "fold", "group", "domain"}
OPTIONAL = ("partition", "fold", "group", "domain", *TIMES)


@dataclass(frozen=True)
class Validation:
    """What :meth:`Corpus.validate` found.

    ``problems`` make results wrong or impossible; ``remarks`` are worth knowing. More than three
    problems of a kind are one line.
    """

    problems: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()


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
        return self._texts("label")

    @property
    def domains(self):
        """Domain of each row, as an object array; None where unknown."""
        return self._texts("domain")

    def _texts(self, column):
        texts = self.index.reindex(columns=[column])[column].astype(object)
        return texts.where(texts.notna(), None).to_numpy()

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
        by = self.index[by] if by in self.index else pd.Series("all", self.index.index, name=by)
        return pd.crosstab(by, labels, margins=True, margins_name="sum")

    @cached_property
    def _headers(self):
        with ThreadPoolExecutor(8) as pool:
            return list(pool.map(probe_audio, self.paths))

    @property
    def lowest_sr(self):
        """Lowest sampling rate of the files in Hz."""
        return min(info.sr for info in self._headers)

    @cached_property
    def lengths_s(self):
        """Seconds of each row: of its segment, or of its whole file."""
        whole = [info.duration_s for info in self._headers]
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
        digest = hashlib.sha256(self.index.to_csv(index=False).encode("utf-8", "surrogateescape"))
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
        from thesislib.corpora.checks import find_problems

        problems, remarks = find_problems(self, audio=audio)
        return Validation(tuple(problems.lines), tuple(remarks))

    def check(self):
        """Validate and return the corpus itself.

        Raises
        ------
        CorpusError
            Lists every problem that was found.
        """
        from thesislib.corpora.checks import find_problems

        find_problems(self)[0].raise_if_any(self.name)
        return self


def read_description(root):
    """What ``corpus.json`` in a folder holds; empty without one."""
    path = Path(root) / DESCRIPTION
    found = read_plain(path) if path.is_file() else {}
    if not isinstance(found, dict):
        raise CorpusError(f"{path}: found {type(found).__name__}, expected a JSON object")
    return found


def check_columns(index, *, where):
    """Return the index with columns of the right types, numbered from 0.

    Raises
    ------
    CorpusError
        Lists missing columns, columns that look misspelt, and values that are no numbers.
    """
    problems = Problems()
    for name in REQUIRED:
        if name not in index:
            near = difflib.get_close_matches(name, map(str, index.columns), n=1, cutoff=0.5)
            hint = f"; is it the column {near[0]!r}?" if near else ""
            found = ", ".join(map(str, index.columns))
            problems.add(f"column {name!r}", f"missing (found {found}){hint}")
    for name in index.columns:
        near = difflib.get_close_matches(str(name), OPTIONAL, n=1, cutoff=0.8)
        if near and name not in (*REQUIRED, *OPTIONAL) and near[0] not in index:
            problems.add(f"column {name!r}", f"unknown; expected {near[0]!r}?")
    index = index.reset_index(drop=True).copy()
    for name in set(TIMES) & set(index.columns):
        numbers = index[name].map(_to_seconds).astype(float)
        wrong = (index[name].notna() & numbers.isna()) | np.isinf(numbers)

        def describe(row, name=name, values=index[name]):
            text = str(values[row])
            text = text if len(text) <= 40 else f"{text[:20]}… ({len(text)} characters)"
            return f"{name} is {text!r}, expected seconds, such as 0.25"

        problems.add_rows(wrong, describe, kind=name)
        index[name] = numbers
    problems.raise_if_any(where)
    for name in TEXTS & set(index.columns):
        index[name] = index[name].astype("str")
    return index


def _to_seconds(value):
    """A number, or NaN where there is none."""
    try:
        return float(value)
    except OverflowError:
        return np.inf
    except (TypeError, ValueError):
        return np.nan
