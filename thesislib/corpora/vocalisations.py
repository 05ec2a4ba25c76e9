"""The six two-class vocalisation corpora built with CAS2T (thesis 9.1.1.1).

No public layout: a folder holds one sub-folder a task (``freezing``, ``coughing``, …),
each with an ``index.csv`` of its own; the files may lie beside the sub-folders
(``../audio/a.ogg``). Partitions are ``train`` and ``evaluation``; one of the two
labels is the task's name, the other one is normal speech.
"""

from pathlib import Path

import numpy as np

from thesislib.corpora.counts import list_differences, load_counted
from thesislib.corpora.folder import find_folder, list_files
from thesislib.errors import CorpusError, check_option

NAME = "CAS2T vocalisations"
CITATION = (
    "S. Amiriparian, S. Pugachevskiy, N. Cummins, S. Hantke, J. Pohjalainen, G. Keren and "
    "B. Schuller: CAST a Database: Rapid Targeted Large-Scale Big Data Acquisition via Small-World "
    "Modelling of Social Media Platforms. ACII 2017"
)
LICENCE = "Not published; the clips are cut from videos of others"
HOW_TO_GET = (
    "Ask the authors. Write data/vocalisations/<task>/index.csv for each task, with the columns "
    "file, label (the task's name or normal), partition (train, evaluation), duration_s."
)
TASKS = ("freezing", "intoxication", "screaming", "threatening", "coughing", "sneezing")
SEGMENT_S = 0.5
#: Table 9.1: clips, class ratio (target to normal), minutes, shortest and longest clip in
#: seconds, segments of 0.5 s.
EXPECTED_COUNTS = {
    ("freezing", "train"): (614, 2.0, 75.9, 2.0, 29.4, 8813),
    ("freezing", "evaluation"): (171, 1.1, 22.4, 2.0, 28.6, 2595),
    ("intoxication", "train"): (1069, 0.9, 139.7, 2.0, 29.9, 16200),
    ("intoxication", "evaluation"): (152, 1.8, 16.7, 2.0, 24.8, 1930),
    ("screaming", "train"): (375, 1.2, 53.6, 2.0, 29.9, 6192),
    ("screaming", "evaluation"): (189, 1.4, 22.0, 2.1, 29.9, 2505),
    ("threatening", "train"): (652, 6.0, 106.6, 2.0, 29.8, 12360),
    ("threatening", "evaluation"): (441, 0.6, 45.8, 2.0, 29.2, 5271),
    ("coughing", "train"): (2088, 2.9, 94.3, 0.5, 28.8, 10336),
    ("coughing", "evaluation"): (1571, 2.2, 63.9, 0.5, 23.2, 6935),
    ("sneezing", "train"): (238, 0.9, 6.7, 0.5, 8.0, 691),
    ("sneezing", "evaluation"): (291, 1.0, 9.2, 0.5, 9.3, 967),
}


def list_tasks(root):
    """Names of the sub-folders with an ``index.csv``: the thesis's six first, in its order.

    Raises
    ------
    CorpusError
        If there is none.
    """
    root = find_folder(root)
    found = [name.partition("/")[0] for name in list_files(root, "*/index.csv")]
    if not found:
        raise CorpusError(f"{root}: found no sub-folder with an index.csv, expected one a task")
    return [t for t in TASKS if t in found] + [t for t in found if t not in TASKS]


def load(root, task):
    """Read one task's ``index.csv`` and compare it with Table 9.1.

    Clips (files) and the class ratio decide whether it is the thesis's corpus. The
    table's lengths are compared where the index has ``duration_s``, and its segments as
    whole half seconds of these: notes only, since the thesis does not say what became
    of the rest of a clip.

    Parameters
    ----------
    root : str or Path
        Folder that holds the tasks' sub-folders.
    task : str
        Name of one of them, see :func:`list_tasks`.

    Returns
    -------
    Corpus
        Of kind ``thesis`` only if clips and ratio fit in both partitions.

    Raises
    ------
    ParameterError
        If there is no such task; lists those there are.
    """
    check_option("task", task, list_tasks(root))
    return load_counted(
        Path(root) / task,
        name=f"{NAME}: {task}",
        licence=LICENCE,
        compare=lambda index: _compare(index, task),
    )


def _compare(index, task):
    if task not in TASKS:
        return [f"task {task!r} is not one of Table 9.1"], ()
    if "partition" not in index or task not in set(index["label"]):
        found = ", ".join(map(str, sorted(index["label"].dropna().unique())))
        wanted = f"partitions train and evaluation, and {task!r} as one of the labels"
        columns = ", ".join(index)
        return [f"found the columns {columns} and the labels {found}, expected {wanted}"], ()
    mismatches, notes = [], []
    for partition in ("train", "evaluation"):
        n_clips, ratio, minutes, shortest, longest, n_segments = EXPECTED_COUNTS[task, partition]
        clips = index[index["partition"] == partition].drop_duplicates("file")
        is_target = clips["label"] == task
        clip_key, ratio_key = f"{partition}: clips", f"{partition}: target clips for one of speech"
        mismatches += list_differences({clip_key: len(clips)}, {clip_key: n_clips})
        found = is_target.sum() / max(1, (~is_target).sum())
        mismatches += list_differences({ratio_key: found}, {ratio_key: ratio}, tolerance=0.05)
        if "duration_s" not in clips or clips["duration_s"].isna().any() or not len(clips):
            notes.append(f"{partition}: no durations, so lengths and segments were not compared")
            continue
        lengths = clips["duration_s"]
        for what, value, printed, tolerance in (
            ("minutes", lengths.sum() / 60, minutes, 0.05),
            ("shortest clip (s)", lengths.min(), shortest, 0.05),
            ("longest clip (s)", lengths.max(), longest, 0.05),
            ("segments of 0.5 s", np.floor(lengths / SEGMENT_S + 1e-6).sum(), n_segments, 0.0),
        ):
            key = f"{partition}: {what}"
            notes += list_differences({key: value}, {key: printed}, tolerance=tolerance)
    return mismatches, notes
