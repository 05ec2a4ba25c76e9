"""RAVDESS, speech: acted emotional speech that anyone may download, stand-in for 9.2.

24 actors say two English sentences twice in eight emotions, all but the neutral one in two
intensities: 1 440 clips, 48 kHz. Native layout, read where it stands: ``Actor_01`` …
``Actor_24``. A file's name tells all: ``03-01-05-02-01-02-16.wav`` is audio only (03), speech
(01), angry (05), strong (02), sentence 1, second repetition, actor 16.

As a stand-in for the Movie Review Dataset (thesis 9.2) happy speech is positive, angry and sad
speech negative, and the other emotions are left out. Acted emotions are no opinions on films: a
result on it is a result on RAVDESS.

Partitions are disjoint in actors, and each has as many men (odd numbers) as women: actors 1 to
16 train, 17 to 20 develop, 21 to 24 test.
"""

import re
from pathlib import Path

import pandas as pd

from thesislib.corpora import folder
from thesislib.corpora.counts import list_differences
from thesislib.corpora.fetching import check_zip, fetch_complete, names_below, require_licence
from thesislib.corpora.index import Corpus
from thesislib.corpora.tut_2017 import find_unpacked
from thesislib.errors import CorpusError, check_option

NAME = "RAVDESS, speech"
CITATION = (
    "S. R. Livingstone and F. A. Russo: The Ryerson Audio-Visual Database of Emotional Speech and "
    "Song (RAVDESS). PLoS ONE 13(5), 2018"
)
LICENCE = "Creative Commons Attribution-NonCommercial-ShareAlike 4.0"
HOW_TO_GET = "thesis corpus fetch ravdess (208 MB)"
BASE_URL = "https://zenodo.org/record/1188976/files"
#: As published on Zenodo.
ARCHIVE = {
    "name": "Audio_Speech_Actors_01-24.zip",
    "size": 208468073,
    "md5": "bc696df654c87fed845eb13823edef8a",
}
EMOTIONS = {
    "01": "neutral",
    "02": "calm",
    "03": "happy",
    "04": "sad",
    "05": "angry",
    "06": "fearful",
    "07": "disgust",
    "08": "surprised",
}
SENTIMENTS = {"happy": "positive", "sad": "negative", "angry": "negative"}
ACTORS = tuple(f"{number:02}" for number in range(1, 25))
PARTITIONS = {"train": ACTORS[:16], "devel": ACTORS[16:20], "test": ACTORS[20:]}
#: Clips of each emotion, all actors together.
EXPECTED_COUNTS = {name: 96 if name == "neutral" else 192 for name in EMOTIONS.values()}
#: There is no strong neutral speech.
FILES = tuple(
    f"Actor_{actor}/03-01-{emotion}-{intensity}-{statement}-{repetition}-{actor}.wav"
    for actor in ACTORS
    for emotion in EMOTIONS
    for intensity in ("01", "02")[: 1 if emotion == "01" else 2]
    for statement in ("01", "02")
    for repetition in ("01", "02")
)
_FILE_NAME = re.compile(r"03-(01|02)-(0[1-8])-(0[12])-(0[12])-(0[12])-(\d\d)\.wav")
_MAX_BYTES = 2 << 30  # the archive holds some 0.6 GB


def fetch(root, *, accept_licence=False, base_url=None, progress=True) -> Path:
    """Download the archive from Zenodo (208 MB), check and unpack it.

    Parameters
    ----------
    root : str or Path
        Folder of the corpus. If all clips are there, nothing is fetched; a transfer that
        broke off goes on where it stopped.
    accept_licence : bool
        That you have read ``LICENCE``.
    base_url : str, optional
        Address of a mirror, without the archive's name.
    progress : bool
        Show a progress bar if a terminal is there.

    Returns
    -------
    Path
        ``root``.

    Raises
    ------
    ParameterError
        Unless the licence was accepted.
    DownloadError, CorpusError
        If the archive cannot be fetched, has another checksum, or is another one.
    """
    require_licence(accept_licence, f"{NAME}: {LICENCE}")
    files = [{**ARCHIVE, "check": _check_archive}]
    return fetch_complete(
        files, root, base_url or BASE_URL, find_problem=_check_folder, progress=progress
    )


def is_ravdess(root):
    """Whether a folder holds RAVDESS's layout, and no index of the user's own.

    Examples
    --------
    >>> is_ravdess("no-such-folder")
    False
    """
    root = Path(root)
    if (root / "index.csv").is_file() or not root.is_dir():
        return False
    found = _find_actors(root)
    files = folder.list_files(found, "Actor_*/*.wav")
    return any(_FILE_NAME.fullmatch(name.rpartition("/")[2]) for name in files)


def load(root, *, target="sentiment"):
    """Read the folder that :func:`fetch` filled, or any folder with an ``index.csv``.

    Parameters
    ----------
    root : str or Path
        Folder that holds ``Actor_01`` … ``Actor_24``, or the one above it.
    target : {"sentiment", "emotion"}
        What ``label`` is: positive or negative (clips of other emotions are left out),
        or one of eight emotions.

    Returns
    -------
    Corpus
        Always a stand-in: ``group`` is the actor; ``emotion``, ``intensity`` and ``statement``
        are further columns. Its remarks list where clips are missing, and count songs, which
        are left out.

    Raises
    ------
    CorpusError
        If there are no clips, or names that are none of RAVDESS's.
    """
    check_option("target", target, ("sentiment", "emotion"))
    root = folder.find_folder(root)
    if (root / "index.csv").is_file():
        return folder.load(root)
    place = _find_actors(root)
    files = folder.list_files(place, "Actor_*/*.wav")
    found = {file: _FILE_NAME.fullmatch(file.rpartition("/")[2]) for file in files}
    strange = [file for file, match in found.items() if not match or match[6] not in ACTORS]
    speech = {file: match for file, match in found.items() if match and match[1] == "01"}
    if strange or not speech:
        listed = ", ".join(strange[:10]) or "no speech"
        raise CorpusError(f"{root}: found {listed}, expected names such as {FILES[0]}")
    index = pd.DataFrame([match.groups() for match in speech.values()])
    index.columns = ["channel", "number", "intensity", "statement", "repetition", "group"]
    partitions = {actor: name for name, actors in PARTITIONS.items() for actor in actors}
    index["file"] = list(speech)
    index["partition"] = index["group"].map(partitions)
    index["emotion"] = index["number"].map(EMOTIONS)
    index["label"] = index["emotion"] if target == "emotion" else index["emotion"].map(SENTIMENTS)
    counts = {f"clips of {name}": n for name, n in index["emotion"].value_counts().items()}
    published = {f"clips of {name}": n for name, n in EXPECTED_COUNTS.items()}
    songs = len(files) - len(speech)
    remarks = list_differences(counts, published)
    columns = ["file", "label", "partition", "group", "emotion", "intensity", "statement"]
    return Corpus(
        index.dropna(subset=["label"])[columns],
        place,
        name=f"{NAME} ({target})",
        kind="stand-in",
        licence=LICENCE,
        remarks=remarks + ((f"{songs} songs are left out",) if songs else ()),
    )


def _find_actors(root):
    return find_unpacked(root, "Actor_01") or root


def _check_names(names):
    """What is wrong with a set of files below the corpus's folder; None if nothing."""
    missing = sorted(set(FILES) - set(names))
    if not missing:
        return None
    return (
        f"found {len(FILES) - len(missing)} of the {len(FILES)} clips of {NAME}, expected all "
        f"({missing[0]} is missing)"
    )


def _check_folder(root):
    place = _find_actors(root) if root.is_dir() else root
    return _check_names(folder.list_files(place, "Actor_*/*.wav"))


def _check_archive(path):
    return check_zip(
        path,
        lambda archive: _check_names(names_below(archive.namelist(), FILES[0])),
        max_bytes=_MAX_BYTES,
    )
