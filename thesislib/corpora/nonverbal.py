"""Deeply Nonverbal Vocalization: human sounds that anyone may download, stand-in for 9.1.

Clips (16 kHz, mono) of 16 human sounds, recorded by their speakers with telephones. Native layout:
``dataset/<sound>/<speaker>_<class>_<trial>_<sex>_<age>_<location>_<quality>_<noise>.wav``.
``thesis corpus fetch nonverbal`` writes four views below ``views/vocalisations``, the tasks of 9.1:
coughing, sneezing and screaming, each against the other sounds, and ``all_sounds``.

The corpus has no split. Speakers are dealt into three folds by a hash of their names, so a fold
does not depend on which clips are there; the last one is the evaluation part.
"""

import hashlib

import pandas as pd

from thesislib.corpora.folder import list_files
from thesislib.corpora.index import Corpus
from thesislib.errors import CorpusError, check_option

N_FOLDS = 3


def load(place, record, *, target="sound"):
    """Read the corpus from its file names.

    Parameters
    ----------
    place : Path
        Folder that holds ``dataset``.
    record : Record
    target : str
        What ``label`` is: one of 16 sounds (``sound``); or ``coughing``, ``sneezing`` or
        ``screaming`` against ``other``.

    Returns
    -------
    Corpus
        Always a stand-in: ``group`` is the speaker; ``fold`` and ``partition`` keep speakers
        together; ``sound`` is a further column.

    Raises
    ------
    CorpusError
        If a file's name does not have the corpus's form.
    """
    sounds = record.values["sounds"]
    check_option("target", target, ("sound", *record.values["targets"]))
    names = pd.Series(list_files(place, "dataset/*/*.wav"))
    index = names.str.extract(r"^dataset/(?P<sound>[^/]+)/(?P<group>\w{4})(?:_\d+){7}\.wav$")
    strange = names[~index["sound"].isin(sounds)]
    if len(strange):
        wanted = f"names such as {record.values['example']}"
        raise CorpusError(f"{place}: found {', '.join(strange[:10])}, expected {wanted}")
    other = index["sound"].where(index["sound"] == target, "other")
    fold = index["group"].map(_deal)
    columns = {
        "file": names,
        "label": index["sound"] if target == "sound" else other,
        "partition": (fold == N_FOLDS).map({True: "evaluation", False: "train"}),
        "fold": fold.astype(str),
        "group": index["group"],
        "sound": index["sound"],
    }
    name = f"{record.name} ({target})"
    return Corpus(pd.DataFrame(columns), place, name=name, licence=record.licence)


def _deal(speaker):
    return 1 + int(hashlib.sha256(speaker.encode()).hexdigest(), 16) % N_FOLDS
