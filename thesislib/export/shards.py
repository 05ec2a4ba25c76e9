"""A folder of Parquet shards for corpora that do not fit in memory (contract 3).

``part-00000.parquet``, ``part-00001.parquet`` … hold the same number of clips each (the last one
the rest), ``_index.csv`` lists what is in them. A part is written whole or not at all, and carries
a key: the content of its audio, and all else that its bytes depend on. A part that is there with
the right key is not written again, so a run that was killed continues where it stopped, and the
folder has the bytes of an undisturbed run. pandas, pyarrow, Dask and DuckDB read such a folder as
one table; they ignore files whose names begin with ``_``.
"""

import contextlib
import csv
import json
import re
from pathlib import Path

import numpy as np

from thesislib.errors import ParameterError
from thesislib.export.openxbow import choose_bag
from thesislib.export.recipe import hash_bag
from thesislib.export.tables import check_writable, make_table, write_table
from thesislib.store import hash_parameters, lock, write_atomically
from thesislib.workers import run_ahead, share

#: Raised whenever the same clips begin to give other files.
VERSION = 1
INDEX = "_index.csv"
_NAME = re.compile(r"part-(\d{5,})\.parquet")


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
    numbers = _list_numbers(folder)
    for number in range(max(numbers, default=0) + 1):
        if number not in numbers:
            raise ParameterError(f"{folder}: found no {part_path(folder, number).name}")
    return [part_path(folder, number) for number in sorted(numbers)]


def _list_numbers(folder):
    names = (path.name for path in Path(folder).glob("part-*.parquet"))
    return {int(match[1]) for match in map(_NAME.fullmatch, names) if match}


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


def find_part(path, key):
    """Metadata of a part that is there with this key, else None."""
    about = read_about(path)
    return about if about is not None and about.get("key") == key else None


@contextlib.contextmanager
def hold(folder, n_parts):
    """Lock a folder for ``n_parts`` parts; remove what a killed run was writing.

    Raises
    ------
    ParameterError
        If the folder cannot be written, or has more parts: they are of another run.
    """
    folder = Path(folder)
    check_writable(folder / INDEX)
    with lock(folder / INDEX):
        for path in [*folder.glob(".part-*.parquet"), *folder.glob("._index-*.csv")]:
            path.unlink()
        if beyond := [number for number in _list_numbers(folder) if number >= n_parts]:
            raise ParameterError(
                f"{folder}: found {part_path(folder, min(beyond)).name}, expected at most {n_parts}"
                " parts: it is of another run, remove it or take another folder"
            )
        yield


def write_index(folder, abouts):
    """Write the index of a folder from the metadata of its parts."""
    names = ("part", "first", "last", "n_clips", "n_rows", "n_errors", "bytes", "key")
    with (
        write_atomically(Path(folder) / INDEX) as temporary,
        open(temporary, "w", encoding="utf-8", newline="") as file,
    ):
        table = csv.DictWriter(file, names, extrasaction="ignore", lineterminator="\n")
        table.writeheader()
        for number, about in enumerate(abouts):
            path = part_path(folder, number)
            counts = {"n_errors": len(about["errors"]), "bytes": path.stat().st_size}
            table.writerow(about | {"part": path.name} | counts)


def bag_folder(
    source, output, *, codebook=None, save_codebook=None, norm="none", n_jobs=1, **parameters
):
    """Bags of a folder of frames in shards, as a folder of as many shards (``thesis bag``).

    One part is in memory at a time in each process.

    Parameters
    ----------
    source, output : str or Path
        Folders; parts of ``output`` that are there and match are not written again.
    codebook : str or Path
        Codebook file.
    save_codebook : None
        There is nothing to save: the codebook is in a file.
    norm : {"none", "frames", "tf", "l2"}
    n_jobs : int
        Worker processes, unless there is a cluster.
    **parameters
        None: the codebook file holds them.

    Returns
    -------
    list of dict
        Metadata of the parts.

    Raises
    ------
    ParameterError, WeightsError
        If the frames, the codebook or a parameter are not right.
    """
    if codebook is None or save_codebook is not None:
        raise ParameterError(
            f"codebook: found {codebook} for a folder of shards, expected a codebook file: learn "
            "one with 'thesis features -r bag --save-codebook' from a part of the recordings"
        )
    bag = choose_bag(codebook, norm, parameters)
    sources = list_parts(source)
    abouts = [_check_frames(path, bag) for path in sources]
    parameters = {name: v for name, v in bag.get_params().items() if name != "codebook"}
    recipe = {"bag": parameters, "by_chunk": True, "version": VERSION, "state": hash_bag(bag)}
    recipe = hash_parameters(recipe)
    keys = [hash_parameters({"part": about["key"], "recipe": recipe}) for about in abouts]
    with hold(output, len(sources)):
        parts = [find_part(part_path(output, n), key) for n, key in enumerate(keys)]
        missing = [number for number, part in enumerate(parts) if part is None]
        shared = share(bag)
        tasks = ((sources[number], abouts[number], shared) for number in missing)
        for number, result in zip(missing, run_ahead(_bag_part, tasks, n_jobs=n_jobs)):
            table, leading, types = result
            about = abouts[number] | {"key": keys[number], "leading": leading}
            about |= {"n_rows": len(table), "n_features": sum(map(len, bag.codebook_))}
            about["about"] = {"frames": about["about"], "bag": json.loads(json.dumps(parameters))}
            write_table(part_path(output, number), table, about=about, types=types)
            parts[number] = about
        write_index(output, parts)
    return parts


def _check_frames(path, bag):
    """Metadata of a part of frames that fits a bag."""
    about = read_about(path)
    if about is None or "leading" not in about:
        raise ParameterError(f"{path}: found no shard of features, expected one")
    if about["n_features"] != bag.n_features_in_:
        raise ParameterError(
            f"{path}: found {about['n_features']} features, expected the codebook's "
            f"{bag.n_features_in_}"
        )
    return about


def _bag_part(path, about, bag):
    """Bags of one part, columns before them and types of the part, in a worker."""
    import pyarrow.parquet

    part = pyarrow.parquet.read_table(path)
    first = len(about["leading"])
    columns = part.columns[first : first + about["n_features"]]
    matrix = np.stack([column.to_numpy() for column in columns], axis=1)
    if not np.isfinite(matrix).all():
        row, column = np.argwhere(~np.isfinite(matrix))[0]
        raise ParameterError(
            f"{path}: found {matrix[row, column]} in row {row}, "
            f"{part.column_names[first + column]}, expected finite numbers"
        )
    # Rows of one clip or chunk stand together.
    keys = [key for key in ("file", "chunk") if key in about["leading"]]
    keyed = part.select(keys).to_pandas()
    starts = np.flatnonzero((keyed != keyed.shift()).any(axis=1).to_numpy())
    ends = np.append(starts[1:], len(matrix))[: len(starts)]
    others = part.select([*about["leading"], *about["labels"]])
    firsts, lasts = (others.take(rows).to_pydict() for rows in (starts, ends - 1))
    leading = {key: firsts[key] for key in keys}
    if "chunk" in keys:
        leading |= {"start_s": firsts["start_s"], "end_s": lasts["end_s"]}
    labels = {name: firsts[name] for name in about["labels"]}
    names = list(bag.get_feature_names_out())
    items = [matrix[start:end] for start, end in zip(starts, ends)]
    bags = bag.transform(items) if items else np.empty((0, len(names)), np.float32)
    types = {field.name: field.type for field in part.schema}
    return make_table(leading, names, bags, labels), list(leading), types
