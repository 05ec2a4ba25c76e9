"""Acted emotional speech that anyone may download, stand-ins for 9.2: EMO-DB and RAVDESS.

A file's name holds everything: in EMO-DB, ``03a01Fa.wav`` is speaker 03, text a01, emotion F,
version a; in RAVDESS, ``03-01-05-02-01-02-16.wav`` is audio only (03), speech (01), angry (05),
strong (02), sentence 1, second repetition, actor 16.

As a stand-in for the Movie Review Dataset (thesis 9.2) happiness is positive, anger and sadness
are negative, and the other emotions are left out. Acted emotions are no opinions on films: a
result on EMO-DB is a result on EMO-DB.

Partitions are disjoint in speakers, and each has as many men as women. Those of EMO-DB hold 60, 20
and 20 % of the speakers, like those of Table 9.4: in the order of their numbers, the first three
men and women train, the fourth of each develop, the fifth test. Of RAVDESS, actors 1 to 16 train,
17 to 20 develop, 21 to 24 test.
"""

import pandas as pd

from thesislib.corpora.folder import list_files
from thesislib.corpora.index import Corpus
from thesislib.corpora.records import compare_counts
from thesislib.errors import CorpusError, check_option


def load(place, record, *, target="sentiment"):
    """Read the corpus from its file names.

    Parameters
    ----------
    place : Path
        Folder that holds ``wav`` (EMO-DB) or ``Actor_01`` … ``Actor_24`` (RAVDESS).
    record : Record
    target : {"sentiment", "emotion"}
        What ``label`` is: positive or negative (clips of other emotions are left out), or the
        emotion.

    Returns
    -------
    Corpus
        Always a stand-in: ``group`` is the speaker, ``emotion`` and others are further columns.
        Its remarks list where clips are missing, and count songs, which are left out.

    Raises
    ------
    CorpusError
        If a file's name does not have the corpus's form.
    """
    check_option("target", target, ("sentiment", "emotion"))
    values = record.values
    names = pd.Series(list_files(place, values["clips"]))
    index = names.str.extract(f"/{values['pattern']}$").assign(file=names)
    speakers = {speaker: part for part, row in record.partitions.items() for speaker in row}
    index["partition"] = index["group"].map(speakers)
    strange = names[index["partition"].isna()]
    if len(strange):
        wanted = f"names such as {values['example']}"
        raise CorpusError(f"{place}: found {', '.join(strange[:10])}, expected {wanted}")
    is_song = index["vocal"] == "02" if "vocal" in index else pd.Series(False, index.index)
    index = index[~is_song]
    index["emotion"] = index["emotion"].map(values["emotions"])
    sentiment = index["emotion"].map(values["sentiments"])
    index["label"] = index["emotion"] if target == "emotion" else sentiment
    songs = (f"{is_song.sum()} songs are left out",) if is_song.any() else ()
    return Corpus(
        index.dropna(subset=["label"])[
            ["file", "label", "partition", "group", "emotion", *values["columns"]]
        ],
        place,
        name=f"{record.name} ({target})",
        licence=record.licence,
        remarks=compare_counts(record, index) + songs,
    )
