"""Corpora of the thesis without a public layout: G2AME, Movie Review Dataset, CAS2T vocalisations.

A folder with an ``index.csv`` is read. The index is whatever its owner wrote, so only the counts
can tell whether it is the thesis's corpus (Tables 8.8, 9.1 and 9.4). A file counts as one clip,
however many rows cut it into chunks.

G2AME (8.3.1.1): ``group`` is the game, ``fold`` the fold that tests it. The vocalisations
(9.1.1.1) are six two-class corpora: the folder holds a sub-folder a task (``freezing``,
``coughing``, …), each with an ``index.csv`` of its own; the files may lie beside the sub-folders
(``../audio/a.ogg``). Partitions are ``train`` and ``evaluation``; one of the two labels is the
task's name, the other one is normal speech.
"""

import numpy as np

from thesislib.corpora import folder
from thesislib.corpora.records import compare_counts, list_differences
from thesislib.errors import CorpusError

SEGMENT_S = 0.5


def list_tasks(root, record):
    """Names of the sub-folders with an ``index.csv``: the thesis's first, in its order.

    Raises
    ------
    CorpusError
        If there is none.
    """
    root = folder.find_folder(root)
    tasks = [name.partition("/")[0] for name in folder.list_files(root, "*/index.csv")]
    if not tasks:
        raise CorpusError(f"{root}: found no sub-folder with an index.csv, expected one a task")
    thesis = list(record.values["tasks"])
    return [t for t in thesis if t in tasks] + [t for t in tasks if t not in thesis]


def load(place, record):
    """Read ``index.csv`` and compare its numbers with the published ones.

    Parameters
    ----------
    place : Path
        Folder of the corpus; of vocalisations, the sub-folder of a task.
    record : Record

    Returns
    -------
    Corpus
        Of kind ``thesis`` only if the clips of each class fit and ``corpus.json`` does not say
        otherwise. Differences are its remarks, unless it is synthetic. Further remarks on games
        in folds, on lengths and on segments do not decide.

    Raises
    ------
    CorpusError
        If the folder or the index is missing, or the index cannot be read.
    """
    index, licence, remarks = folder.read_index(place)
    clips, name, notes = index.drop_duplicates("file"), record.name, []
    mismatches = list(compare_counts(record, clips))
    if "tasks" in record.values:
        task = place.resolve().name
        name = f"{name}: {task}"
        _compare_lengths(clips, task, record.values["tasks"], mismatches, notes)
    if "games" in record.values:
        _compare_games(index, record.values, mismatches, notes)
    kind = folder.read_description(place).get("kind", "thesis")
    if mismatches or kind != "thesis":
        name = ""
    elif licence == "not stated":
        licence = record.licence
    notes = [*remarks, *(notes if kind != "synthetic" else ())]
    what = {"name": name, "licence": licence, "mismatches": mismatches, "notes": notes}
    return folder.describe(index, place, **what)


def _compare_games(index, published, mismatches, notes):
    for column, what in (("group", "games"), ("fold", "folds")):
        if column in index:
            mismatches += list_differences({what: index[column].nunique()}, {what: published[what]})
    if "group" not in index:
        notes.append("no column group: nothing keeps a game in one fold")
    elif "fold" in index:
        games, n = index.groupby(["fold", "label"])["group"].nunique(), published["games_per_fold"]
        if (games != n).any():
            numbers = f"found {games.min()} to {games.max()}, published {n}"
            notes.append(f"games of a genre in a fold: {numbers}")


def _compare_lengths(index, task, published, mismatches, notes):
    """Compare a task with Table 9.1; clips and class ratio decide.

    Segments are whole half seconds of ``duration_s``: the thesis does not say what became of the
    rest of a clip.
    """
    if task not in published:
        mismatches.append(f"task {task!r} is not one of Table 9.1")
        return
    if "partition" not in index or task not in set(index["label"]):
        labels, columns = ", ".join(sorted(index["label"].dropna().unique())), ", ".join(index)
        wanted = f"partitions train and evaluation, and {task!r} as one of the labels"
        mismatches.append(f"found the columns {columns} and the labels {labels}, expected {wanted}")
        return
    for partition, numbers in published[task].items():
        clips = index[index["partition"] == partition]
        is_target, lengths = clips["label"] == task, clips.get("duration_s", np.full(1, np.nan))
        ratio = is_target.sum() / max(1, (~is_target).sum())
        rows = [
            ("clips", len(clips), 0),
            ("target clips for one of speech", ratio, 0.05),
            ("minutes", lengths.sum() / 60, 0.05),
            ("shortest clip (s)", lengths.min(), 0.05),
            ("longest clip (s)", lengths.max(), 0.05),
            ("segments of 0.5 s", np.floor(lengths / SEGMENT_S + 1e-6).sum(), 0),
        ]
        if np.isnan(lengths).any() or not len(clips):
            notes.append(f"{partition}: no durations, so lengths and segments were not compared")
            rows = rows[:2]
        for i, ((what, number, tolerance), printed) in enumerate(zip(rows, numbers)):
            remarks = mismatches if i < 2 else notes
            key = f"{partition}: {what}"
            remarks += list_differences({key: number}, {key: printed}, tolerance=tolerance)
