"""ESC-50: environmental sounds that anyone may download, stand-in for 8.3, 9.1 and 10.2.

2 000 clips of 5 s (44.1 kHz, mono) from freesound.org in 50 categories of 40, and five folds.
Native layout, read where it stands: ``meta/esc50.csv`` (filename, fold, target, category,
esc10, src_file, take) beside ``audio/*.wav``. The group is ``src_file``, the recording that a
clip was cut from. Many clips are shorter sounds, filled up with digital silence.

The corpus serves several experiments, so that it has several cuts (`load`'s ``target``).
``thesis corpus fetch esc-50`` writes each as a view, to be named as a corpus:

=========================  =======================================================  =============
``views/…``                labels                                                   split
=========================  =======================================================  =============
``scenes``                 ten categories that fill their surroundings (8.1)        five folds
``major_categories``       animals, nature, human, domestic, urban (8.3)            five folds
``vocalisations/<task>``   coughing, sneezing, laughing or crying baby against      train,
                           the other human non-speech sounds (9.1)                  evaluation
``snoring``                snoring against the other human non-speech sounds        train, devel,
                           (10.2)                                                   test
=========================  =======================================================  =============

The folder itself is the corpus of all 50 categories. Partitions are made of the folds.
"""

import pandas as pd

from thesislib.corpora.index import Corpus
from thesislib.corpora.records import compare_counts
from thesislib.corpora.tables import read_table
from thesislib.errors import CorpusError, check_option

#: Last partitions of the two-class cuts; the folds before them are ``train``.
TASKS = {task: ["evaluation"] * 2 for task in ("coughing", "sneezing", "laughing", "crying_baby")}
TASKS["snoring"] = ["devel", "test"]


def load(place, record, *, target="category"):
    """Read ``meta/esc50.csv``.

    Parameters
    ----------
    place : Path
        Folder that holds ``meta`` and ``audio``.
    record : Record
    target : str
        What ``label`` is: one of 50 (``category``), five (``major_category``) or ten scene-like
        ones (``scene``); or ``coughing``, ``sneezing``, ``laughing``, ``crying_baby`` or
        ``snoring`` against ``other``, the nine other human non-speech sounds.

    Returns
    -------
    Corpus
        Always a stand-in: ``fold`` as shipped, ``group`` the source, ``category`` a further
        column; two-class cuts have a ``partition``. The shipped folds part four sources whose
        clips are in two categories; these clips all go to the first of their folds, and a
        remark counts those that moved.

    Raises
    ------
    ParameterError
        If there is no such target.
    CorpusError
        If the table is missing, or has other columns or unknown categories.
    """
    check_option("target", target, ("category", "major_category", "scene", *TASKS))
    categories = record.values["categories"]
    major = {name: kind for kind, names in categories.items() for name in names}
    path = place / record.markers[0]
    index, _ = read_table(path, needs=("filename", "fold", "category", "src_file"))
    for column, known in (("category", major), ("fold", "12345")):
        if unknown := sorted(set(index[column]) - set(known)):
            listed = ", ".join(unknown)
            raise CorpusError(f"{path}: found {column} {listed}, expected {record.name}'s")
    remarks, shipped = compare_counts(record, index), index["fold"]
    index = pd.DataFrame(
        {
            "file": "audio/" + index["filename"],
            "label": index["category"],
            "fold": index.groupby("src_file")["fold"].transform("min"),
            "group": index["src_file"],
            "category": index["category"],
        }
    )
    if target == "scene":
        index = index[index["category"].isin(record.values["scenes"])]
    elif target == "major_category":
        index["label"] = index["category"].map(major)
    elif target in TASKS:
        index = index[index["category"].isin(categories["human"])]
        parts = dict(zip("12345", ["train"] * 3 + TASKS[target]))
        label = index["category"].where(index["category"] == target, "other")
        index = index.assign(label=label, partition=index["fold"].map(parts))
    if n_moved := int((index["fold"] != shipped[index.index]).sum()):
        remarks += (f"{n_moved} clips went to the fold of the rest of their source",)
    name = f"{record.name} ({target})"
    return Corpus(index, place, name=name, licence=record.licence, remarks=remarks)
