"""TUT Acoustic Scenes 2017, development set (thesis 8.1.1.1): where a recording was made.

Native layout, read where it stands: ``audio/*.wav``, ``meta.txt`` (file, label, recording)
and ``evaluation_setup/fold{1..4}_{train,test,evaluate}.txt``, all tab-separated without a
header. The shipped folds overlap: their test lists sum to 4 686 for 4 680 files, so a few
files are tested twice. The folds are kept as shipped (``Corpus.splits``) and a remark
counts the files; only where every file is tested once does the index have a column ``fold``.
"""

import numpy as np
import pandas as pd

from thesislib.corpora import folder
from thesislib.corpora.records import RECORDS, compare_counts
from thesislib.corpora.tables import Problems, read_rows
from thesislib.errors import CorpusError

LABELS = tuple(RECORDS["acoustic_scenes"].counts[0]["numbers"])
FOLDS, SIDES = ("1", "2", "3", "4"), ("train", "test")


def load(place, record):
    """Read the lists of clips and of folds.

    Parameters
    ----------
    place : Path
        Folder that holds ``meta.txt``.
    record : Record

    Returns
    -------
    Corpus
        ``group`` is the recording. Of kind ``thesis`` only if all counts fit.

    Raises
    ------
    CorpusError
        Lists every unknown label, unknown file and contradiction among the lists.
    """
    problems = Problems()
    index = pd.DataFrame(read_lines(place / "meta.txt", (3,)), columns=["file", "label", "group"])
    for file in index.loc[index["file"].duplicated(), "file"]:
        problems.add("meta.txt", f"{file} stands there twice", kind="twice")
    for file, label in index.loc[~index["label"].isin(LABELS), ["file", "label"]].to_numpy():
        what = f"{file} has the label {label!r}, expected one of the {len(LABELS)}"
        problems.add("meta.txt", what, kind="label")
    splits = {fold: _read_fold(place, fold, index, problems) for fold in FOLDS}
    problems.raise_if_any(place)
    n_tests = np.bincount(np.concatenate([t for _, t in splits.values()]), minlength=len(index))
    if (n_tests == 1).all():
        for fold, (_, test) in splits.items():
            index.loc[test, "fold"] = fold
    sizes = [((f, s), len(part)) for f, two in splits.items() for s, part in zip(SIDES, two)]
    rows = [key for key, size in sizes for _ in range(size)]
    mismatches = compare_counts(record, index, pd.DataFrame(rows, columns=["fold", "side"]))
    notes = _describe_folds(index, splits, n_tests) + _list_errors(place)
    what = {"name": record.name, "licence": record.licence, "notes": notes}
    return folder.describe(index, place, mismatches=mismatches, splits=splits, **what)


def _read_fold(folder, fold, index, problems):
    """Train and test rows of a fold; what contradicts ``meta.txt`` goes to ``problems``."""
    labels, lists = dict(zip(index["file"], index["label"])), {}
    place = {file: row for row, file in enumerate(index["file"])}
    for side, width in (("train", 2), ("test", 1), ("evaluate", 2)):
        name = f"fold{fold}_{side}.txt"
        rows = read_lines(folder / "evaluation_setup" / name, (width,))
        for file, *label in rows:
            if file not in labels:
                problems.add(name, f"{file} is not in meta.txt", kind="unknown")
            elif label and label[0] != labels[file]:
                differ = f"{file} is {label[0]!r}, {labels[file]!r} in meta.txt"
                problems.add(name, differ, kind="contradiction")
        lists[side] = dict.fromkeys(file for file, *_ in rows)
    if lists["test"].keys() != lists["evaluate"].keys():
        differ = f"fold{fold}_test.txt and fold{fold}_evaluate.txt list different files"
        problems.add("evaluation_setup", differ)
    if both := sorted(lists["train"].keys() & lists["test"].keys()):
        problems.add(f"fold {fold}", f"{both[0]} and {len(both) - 1} more train and test it")
    return tuple(np.array([place[f] for f in lists[s] if f in place], dtype=int) for s in SIDES)


def _describe_folds(index, splits, n_tests):
    """Remarks on files that are tested twice or never, and on recordings on both sides."""
    remarks = []
    for what, rows in (("in two or more folds", n_tests > 1), ("in no fold", n_tests == 0)):
        if rows.any():
            listed = ", ".join(index.loc[rows, "file"].head(6))
            remarks.append(f"{rows.sum()} files are tested {what} ({listed})")
    for fold, (train, test) in splits.items():
        shared = set(index["group"].iloc[train]) & set(index["group"].iloc[test])
        if shared:
            remarks.append(f"fold {fold}: {len(shared)} recordings are on both sides")
    return tuple(remarks)


def _list_errors(folder):
    """Remark on recordings with faults that ``error.txt`` names; they stay in the corpus."""
    path = folder / "error.txt"
    files = {row[0] for row in read_lines(path, range(1, 9))} if path.is_file() else ()
    return (f"{len(files)} files have recording errors (error.txt)",) if files else ()


def read_lines(path, widths):
    """Fields of a tab-separated file without a header.

    Parameters
    ----------
    path : Path
    widths : collection of int
        Numbers of fields that a line may have.

    Returns
    -------
    list of list of str
        Empty lines are left out.

    Raises
    ------
    CorpusError
        If the file is missing or a line has another number of fields; names the line.
    """
    rows = []
    for number, fields in read_rows(path, delimiter="\t")[0]:
        fields = "\t".join(fields).rstrip("\t ").split("\t")
        if len(fields) not in widths:
            wanted = " or ".join(map(str, widths))
            found = f"found {len(fields)} fields, expected {wanted}"
            raise CorpusError(f"{path} line {number}: {found}")
        rows.append(fields)
    return rows
