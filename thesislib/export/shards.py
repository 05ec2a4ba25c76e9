"""A folder of Parquet shards for corpora that do not fit in memory (contract 3).

``part-00000.parquet``, ``part-00001.parquet`` … hold the same number of clips each (the last one
the rest), ``_index.csv`` says what is in them. A part is written whole or not at all, and carries
a key: the content of its audio, and all else that its bytes depend on. A part that is there and
has the right key is left alone, so a run that was killed goes on where it stopped, and the folder
it leaves has the bytes of one that nothing disturbed. pandas, pyarrow, Dask and DuckDB read such
a folder as one table; names that begin with ``_`` are none of their business.
"""

import contextlib
import csv
import json
import math
import re
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from tqdm.auto import tqdm

from thesislib.errors import ParameterError, ThesisError, check_number
from thesislib.export.feature_table import write_table
from thesislib.representations.extract import assemble, enumerate_rows, find_keys, warn_together
from thesislib.representations.rows import compute_rows
from thesislib.store import hash_parameters, lock, write_atomically

#: Clips of a shard, unless told otherwise.
SHARD_CLIPS = 1000
#: Raised whenever the same clips begin to give other files.
VERSION = 1
INDEX = "_index.csv"
_NAME = re.compile(r"part-(\d{5,})\.parquet")


@dataclass(frozen=True)
class Table:
    """What goes into a shard.

    ``rows`` has the clip of each row of ``matrix``, counted from the shard's first; ``leading``
    columns that stand between ``file`` and the features; ``notes`` plain values for the metadata.
    """

    rows: list
    leading: dict
    names: list
    matrix: np.ndarray
    notes: dict


def part_path(folder, number):
    """File of a part.

    Examples
    --------
    >>> part_path("features", 3).name
    'part-00003.parquet'
    """
    return Path(folder) / f"part-{number:05d}.parquet"


def list_parts(folder):
    """Files of the parts in a folder, in their order.

    Raises
    ------
    ParameterError
        If there are none, or one is missing in between.
    """
    found = {int(_NAME.fullmatch(p.name)[1]): p for p in Path(folder).glob("part-*.parquet")}
    for number in range(max(found, default=0) + 1):
        if number not in found:
            raise ParameterError(f"{folder}: found no {part_path(folder, number).name}")
    return [found[number] for number in sorted(found)]


def read_about(path):
    """Metadata of a part, or None if it is absent or no part.

    Examples
    --------
    >>> read_about("no/part-00000.parquet") is None
    True
    """
    import pyarrow
    import pyarrow.parquet

    try:
        metadata = pyarrow.parquet.read_metadata(path).metadata or {}
        return json.loads(metadata[b"thesis"])
    except (OSError, pyarrow.ArrowInvalid, KeyError, ValueError):
        return None


@contextlib.contextmanager
def hold(folder):
    """Be the only one that writes into a folder; remove what a killed run was writing."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    with lock(folder / INDEX):
        for path in [*folder.glob(".part-*.parquet"), *folder.glob("._index-*.csv")]:
            path.unlink()
        yield


def is_written(path, key):
    """Whether a part is there and has this key."""
    about = read_about(path)
    return about is not None and about.get("key") == key


def write_index(folder, n_parts):
    """Write the index of a folder whose parts are all there; returns their metadata."""
    abouts = [read_about(part_path(folder, number)) for number in range(n_parts)]
    names = ("part", "first", "last", "n_clips", "n_rows", "n_errors", "bytes", "key")
    with (
        write_atomically(Path(folder) / INDEX) as temporary,
        open(temporary, "w", encoding="utf-8", newline="") as file,
    ):
        table = csv.writer(file, lineterminator="\n")
        table.writerow(names)
        for number, about in enumerate(abouts):
            path = part_path(folder, number)
            told = about | {"part": path.name, "bytes": path.stat().st_size}
            told["n_errors"] = len(about["errors"])
            table.writerow([told[name] for name in names])
    return abouts


def check_parts(folder, n_parts):
    """Raise if a folder holds parts beyond ``n_parts``, or is a file."""
    folder = Path(folder)
    if folder.exists() and not folder.is_dir():
        raise ParameterError(f"{folder}: found a file, expected a folder for shards")
    for path in sorted(folder.glob("part-*.parquet")):
        found = _NAME.fullmatch(path.name)
        if found and int(found[1]) >= n_parts:
            raise ParameterError(
                f"{folder}: found {path.name}, expected at most {n_parts} parts: it is of another "
                "run, remove it or take another folder"
            )


def write_shards(
    folder,
    corpus,
    estimator,
    spectrum,
    tabulate,
    *,
    reading,
    labels,
    about,
    types,
    size=SHARD_CLIPS,
    n_jobs=1,
    progress=False,
):
    """Compute features of a corpus of any size, in constant memory, into a folder of shards.

    Parameters
    ----------
    folder : str or Path
    corpus : Corpus
    estimator, spectrum, reading, n_jobs, progress
        As in `extract`.
    tabulate : callable
        ``tabulate(shard, found)`` makes the `Table` of a part of the corpus, given as a corpus,
        and its `Extracted`.
    labels : dict of str to list
        Columns behind the features, a value a clip.
    about : dict
        Plain values: what the table depends on besides audio, spectrum and estimator.
    types : dict of str to pyarrow.DataType
        Of the columns that are no features: alike in all parts, whatever these hold.
    size : int
        Clips of a part.

    Returns
    -------
    list of dict
        Metadata of all parts: ``n_clips``, ``n_rows``, ``n_features``, ``errors`` (by file),
        the notes, and ``about``.

    Raises
    ------
    ParameterError
        If ``size`` is impossible or the folder holds another run's parts.
    StoreError
        If a part cannot be written; those before it stay.
    """
    check_number("shards", size, low=1, integer=True)
    n_parts, under_way, warned = math.ceil(len(corpus) / size), {}, {}
    check_parts(folder, n_parts)
    described = hash_parameters({"about": about, "version": VERSION})

    def list_tasks():
        for number in range(n_parts):
            index = corpus.index.iloc[number * size : (number + 1) * size]
            shard = _Shard(replace(corpus, index=index, splits=None), number * size)
            told = {
                title: values[number * size : (number + 1) * size]
                for title, values in labels.items()
            }
            shard.find_key(estimator, spectrum, reading, [described, told])
            if is_written(part_path(folder, number), shard.key):
                bar.update()
                continue
            under_way[number] = shard
            if shard.is_done:
                finish(number)
            yield from shard.list_tasks()

    def finish(number):
        shard = under_way.pop(number)
        found = assemble(shard.entries, shard.errors, estimator, n_computed=len(shard.entries))
        table = tabulate(shard.corpus, found)
        names = shard.corpus.index["file"].tolist()
        leading = {"file": [names[row] for row in table.rows], **table.leading}
        behind = {
            title: [values[shard.first + row] for row in table.rows]
            for title, values in labels.items()
        }
        notes = shard.describe(table) | {
            "leading": list(leading),
            "labels": list(labels),
            "about": about,
        }
        columns = (leading, table.names, table.matrix, behind)
        write_table(part_path(folder, number), *columns, about=notes, types=types)
        bar.update()

    bar = tqdm(total=n_parts, unit="shard", disable=not progress, leave=False)
    with hold(folder), bar:
        for row, entry, news in compute_rows(
            list_tasks(), estimator, spectrum, reading=reading, n_jobs=n_jobs
        ):
            shard = under_way[row // size]
            shard.take(row, entry)
            for new in sorted(news, key=str):
                places = warned.setdefault(new, [])
                if len(places) < 2:
                    places.append(corpus.root / corpus.index["file"].iloc[row])
            if shard.is_done:
                finish(row // size)
        abouts = write_index(folder, n_parts)
    warn_together(warned)
    return abouts


class _Shard:
    """The clips of one part, and what is known of them until it is written."""

    def __init__(self, corpus, first):
        self.corpus, self.first = corpus, first
        self.tasks = list(enumerate_rows(corpus))
        self.entries, self.errors, self.key = {}, {}, None

    def find_key(self, estimator, spectrum, reading, described):
        """Set the key; files that cannot be opened become errors."""
        keys = find_keys(
            self.corpus, self.tasks, estimator, spectrum, reading=reading, errors=self.errors
        )
        clips = [key or str(self.errors[row]) for row, key in enumerate(keys)]
        names = self.corpus.index["file"].tolist()
        self.key = hash_parameters({"clips": clips, "files": names, "about": described})

    def list_tasks(self):
        """What `compute_rows` takes, with the corpus's numbers of rows."""
        return [(self.first + r, *task) for r, *task in self.tasks if r not in self.errors]

    def take(self, row, entry):
        """Keep what came of a row."""
        kind = self.errors if isinstance(entry, ThesisError) else self.entries
        kind[row - self.first] = entry

    @property
    def is_done(self):
        return len(self.entries) + len(self.errors) == len(self.tasks)

    def describe(self, table):
        """Metadata of the part."""
        names = self.corpus.index["file"].tolist()
        errors = {
            names[row]: str(error).removeprefix(f"{self.tasks[row][1]}: ")
            for row, error in sorted(self.errors.items())
        }
        return {
            "key": self.key,
            "first": names[0],
            "last": names[-1],
            "n_clips": len(self.entries),
            "n_rows": len(table.matrix),
            "n_features": len(table.names),
            "errors": errors,
            **table.notes,
        }
