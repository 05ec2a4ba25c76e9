"""TUT Acoustic Scenes 2017, development set (thesis 8.1.1.1): where a recording was made.

Native layout, read where it stands: ``audio/*.wav``, ``meta.txt`` (file, label, recording)
and ``evaluation_setup/fold{1..4}_{train,test,evaluate}.txt``, all tab-separated without a
header. The shipped folds overlap: their test lists sum to 4 686 for 4 680 files, so a few
files are tested twice. The folds are kept as shipped (``Corpus.splits``) and a remark
counts the files; only where every file is tested once does the index have a column ``fold``.
"""

from pathlib import Path

import numpy as np
import pandas as pd

from thesislib.corpora import folder
from thesislib.corpora.counts import list_differences
from thesislib.corpora.tables import Problems
from thesislib.corpora.tut_2017 import fetch_parts, find_unpacked, read_lines
from thesislib.errors import CorpusError

NAME = "TUT Acoustic Scenes 2017, development"
CITATION = (
    "A. Mesaros, T. Heittola and T. Virtanen: TUT Database for Acoustic Scene Classification and "
    "Sound Event Detection. EUSIPCO 2016"
)
LICENCE = (
    "End-user licence agreement of Tampere University of Technology (EULA.pdf in the package): "
    "academic, non-commercial use"
)
HOW_TO_GET = "thesis corpus fetch tut-acoustic-scenes-2017 (10.7 GB)"
MARKER = "evaluation_setup/fold1_train.txt"
LABELS = (
    "beach",
    "bus",
    "cafe/restaurant",
    "car",
    "city_center",
    "forest_path",
    "grocery_store",
    "home",
    "library",
    "metro_station",
    "office",
    "park",
    "residential_area",
    "train",
    "tram",
)
FOLDS = ("1", "2", "3", "4")
#: Clips of each class, and of the train and test list of each fold.
EXPECTED_COUNTS = {f"clips of {label}": 312 for label in LABELS} | {
    f"fold {fold}: clips to {what}": count
    for what, counts in {
        "train": (3510, 3507, 3507, 3510),
        "test": (1170, 1173, 1173, 1170),
    }.items()
    for fold, count in zip(FOLDS, counts)
}


def fetch(root, *, accept_licence=False, parts=("development",), base_url=None, progress=True):
    """Download the archives from Zenodo, check and unpack them.

    Parameters
    ----------
    root : str or Path
        Folder of the corpus. What is there is not fetched again, and a transfer that
        broke off goes on where it stopped.
    accept_licence : bool
        That you have read ``LICENCE``.
    parts : sequence of {"development", "evaluation"}
        The thesis uses the development set alone.
    base_url : str, optional
        Address of a mirror, without the archives' names.
    progress : bool

    Returns
    -------
    Path
        ``root``.

    Raises
    ------
    ParameterError
        Unless the licence was accepted.
    DownloadError, CorpusError
        If an archive cannot be fetched or is not what it should be.
    """
    return fetch_parts(
        "acoustic_scenes",
        Path(root),
        parts,
        licence=f"{NAME}: {LICENCE}",
        accept_licence=accept_licence,
        base_url=base_url,
        progress=progress,
    )


def load(root):
    """Read the native layout, or any folder with an ``index.csv``.

    Parameters
    ----------
    root : str or Path
        Folder that holds ``meta.txt``, or the one that :func:`fetch` filled.

    Returns
    -------
    Corpus
        ``group`` is the recording. Of kind ``thesis`` only if all counts fit.

    Raises
    ------
    CorpusError
        Lists every unknown label, unknown file and contradiction among the lists.
    """
    found = find_unpacked(root, MARKER)
    if found is None and (Path(root) / "index.csv").is_file():
        return folder.load(root)
    if found is None:
        raise CorpusError(f"{root}: found no {MARKER}, expected {NAME}; {HOW_TO_GET}")
    problems = Problems()
    rows = read_lines(found / "meta.txt", (3,))
    index = pd.DataFrame(rows, columns=["file", "label", "group"])
    for file in index.loc[index["file"].duplicated(), "file"]:
        problems.add("meta.txt", f"{file} stands there twice", kind="twice")
    for file, label in index.loc[~index["label"].isin(LABELS), ["file", "label"]].to_numpy():
        what = f"{file} has the label {label!r}, expected one of the 15"
        problems.add("meta.txt", what, kind="label")
    splits = {fold: _read_fold(found, fold, index, problems) for fold in FOLDS}
    problems.raise_if_any(found)
    remarks = _describe_folds(index, splits) + _list_errors(found)
    n_tests = np.zeros(len(index), dtype=int)
    for _, test in splits.values():
        n_tests[test] += 1
    if (n_tests == 1).all():
        for fold, (_, test) in splits.items():
            index.loc[test, "fold"] = fold
    counts = index["label"].value_counts()
    numbers = {f"clips of {label}": n for label, n in counts.items()}
    for fold, sides in splits.items():
        for what, side in zip(("train", "test"), sides):
            numbers[f"fold {fold}: clips to {what}"] = len(side)
    return folder.describe(
        index,
        found,
        name=NAME,
        licence=LICENCE,
        mismatches=list_differences(numbers, EXPECTED_COUNTS),
        notes=remarks,
        splits=splits,
    )


def _read_fold(found, fold, index, problems):
    """Train and test rows of a fold; what contradicts ``meta.txt`` goes to ``problems``."""
    setup = found / "evaluation_setup"
    labels = dict(zip(index["file"], index["label"]))
    place = {file: row for row, file in enumerate(index["file"])}
    lists = {}
    for what, widths in (("train", (2,)), ("test", (1,)), ("evaluate", (2,))):
        name = f"fold{fold}_{what}.txt"
        rows = read_lines(setup / name, widths)
        for file, *label in rows:
            if file not in labels:
                problems.add(name, f"{file} is not in meta.txt", kind="unknown")
            elif label and label[0] != labels[file]:
                differ = f"{file} is {label[0]!r}, {labels[file]!r} in meta.txt"
                problems.add(name, differ, kind="contradiction")
        lists[what] = [row[0] for row in rows]
    if set(lists["test"]) != set(lists["evaluate"]):
        differ = f"fold{fold}_test.txt and fold{fold}_evaluate.txt list different files"
        problems.add("evaluation_setup", differ)
    both = sorted(set(lists["train"]) & set(lists["test"]))
    if both:
        problems.add(f"fold {fold}", f"{both[0]} and {len(both) - 1} more train and test it")
    return tuple(
        np.array([place[file] for file in dict.fromkeys(lists[what]) if file in place], dtype=int)
        for what in ("train", "test")
    )


def _describe_folds(index, splits):
    """Remarks on files that are tested twice or never, and on recordings on both sides."""
    remarks = []
    n_tests = np.zeros(len(index), dtype=int)
    for _, test in splits.values():
        n_tests[test] += 1
    for what, rows in (("in two or more folds", n_tests > 1), ("in no fold", n_tests == 0)):
        if rows.any():
            listed = ", ".join(index.loc[rows, "file"].head(6))
            remarks.append(f"{rows.sum()} files are tested {what} ({listed})")
    for fold, (train, test) in splits.items():
        shared = set(index["group"].iloc[train]) & set(index["group"].iloc[test])
        if shared:
            remarks.append(f"fold {fold}: {len(shared)} recordings are on both sides")
    return tuple(remarks)


def _list_errors(found):
    """Remark on recordings with faults that ``error.txt`` names; they stay in the corpus."""
    path = found / "error.txt"
    files = {row[0] for row in read_lines(path, range(1, 9))} if path.is_file() else ()
    return (f"{len(files)} files have recording errors (error.txt)",) if files else ()
