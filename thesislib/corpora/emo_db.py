"""Berlin EMO-DB: acted emotional speech that anyone may download, stand-in for 9.2.

Ten speakers say ten German sentences in up to seven emotions: 535 clips, 16 kHz, mono.
A file's name tells all: ``03a01Fa.wav`` is speaker 03, text a01, emotion F, version a.
As a stand-in for the Movie Review Dataset (thesis 9.2) happiness is positive, anger and
sadness are negative, and the other emotions are left out. Acted emotions are no opinions
on films: a result on it is a result on EMO-DB.

Partitions are disjoint in speakers and hold 60, 20 and 20 % of them like those of
Table 9.4: in the order of their numbers, the first three men and women train, the
fourth of each develop, the fifth test.

No checksum of the archive is published. What arrives is held against the names of all
535 files and the checksum that the archive keeps of each; that finds damage and other
archives, but no forgery. Every result carries the fingerprint of the audio it came from.
"""

import hashlib
import re
from pathlib import Path

import pandas as pd

from thesislib.corpora import folder
from thesislib.corpora.counts import list_differences
from thesislib.corpora.fetching import check_zip, fetch_complete, require_licence
from thesislib.corpora.index import Corpus
from thesislib.errors import CorpusError, check_option

NAME = "Berlin EMO-DB"
CITATION = (
    "F. Burkhardt, A. Paeschke, M. Rolfes, W. Sendlmeier and B. Weiss: A Database of German "
    "Emotional Speech. Interspeech 2005"
)
LICENCE = (
    "Offered by its authors for free download, without a licence beside it; the edition in "
    "audformat names CC0 1.0. Cite the paper in what you publish"
)
HOW_TO_GET = "thesis corpus fetch emo-db"
BASE_URL = "http://emodb.bilderbar.info/download"
ARCHIVE = "download.zip"
EMOTIONS = {
    "W": "anger",
    "L": "boredom",
    "E": "disgust",
    "A": "fear",
    "F": "happiness",
    "T": "sadness",
    "N": "neutral",
}
SENTIMENTS = {"W": "negative", "T": "negative", "F": "positive"}
#: Men: 03, 10, 11, 12, 15; women: 08, 09, 13, 14, 16.
PARTITIONS = {
    "train": ("03", "08", "09", "10", "11", "13"),
    "devel": ("12", "14"),
    "test": ("15", "16"),
}
#: Clips of each speaker, emotions in the order of EMOTIONS.
EXPECTED_COUNTS = {
    (speaker, emotion): count
    for speaker, counts in {
        "03": (14, 5, 1, 4, 7, 7, 11),
        "08": (12, 10, 0, 6, 11, 9, 10),
        "09": (13, 4, 8, 1, 4, 4, 9),
        "10": (10, 8, 1, 8, 4, 3, 4),
        "11": (11, 8, 2, 10, 8, 7, 9),
        "12": (12, 5, 2, 6, 2, 4, 4),
        "13": (12, 10, 8, 7, 10, 5, 9),
        "14": (16, 8, 8, 12, 8, 10, 7),
        "15": (13, 9, 5, 8, 6, 4, 11),
        "16": (14, 14, 11, 7, 11, 9, 5),
    }.items()
    for emotion, count in zip(EMOTIONS.values(), counts)
}
#: SHA-256 of the sorted file names, one a line.
NAMES_SHA256 = "9787e1ee4509eacb778a03ee6c40fe1df38b5ea58839fc6e3590d3e1fa770c85"
_FILE_NAME = re.compile(r"(\d\d)([ab]\d\d)([WLEAFTN])([a-z])\.wav")
#: The archive holds some 50 MB; testing a much larger one would only keep the machine busy.
_MAX_BYTES = 1 << 30


def fetch(root, *, accept_licence=False, base_url=None, progress=True) -> Path:
    """Download the archive (40 MB), check and unpack it.

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
        If the archive cannot be fetched, is damaged, or is another one.
    """
    require_licence(accept_licence, f"{NAME}: {LICENCE}")
    files = [{"name": ARCHIVE, "check": _check_archive}]
    return fetch_complete(
        files, root, base_url or BASE_URL, find_problem=_check_folder, progress=progress
    )


def is_emo_db(root):
    """Whether a folder holds EMO-DB's layout, and no index of the user's own.

    Examples
    --------
    >>> is_emo_db(Path("no-such-folder"))
    False
    """
    root = Path(root)
    if (root / "index.csv").is_file() or (root / "lab").is_dir():
        return False
    return any(map(_FILE_NAME.fullmatch, folder.list_files(root / "wav", "*.wav")))


def load(root, *, target="sentiment"):
    """Read the folder that :func:`fetch` filled, or any folder with an ``index.csv``.

    Parameters
    ----------
    root : str or Path
    target : {"sentiment", "emotion"}
        What ``label`` is: positive or negative (clips of other emotions are left out),
        or one of seven emotions.

    Returns
    -------
    Corpus
        Always a stand-in: ``group`` is the speaker, ``emotion`` and ``text`` are further
        columns. Its remarks list where clips are missing.

    Raises
    ------
    CorpusError
        If there are no clips, or names that are none of EMO-DB's.
    """
    check_option("target", target, ("sentiment", "emotion"))
    root = folder.find_folder(root)
    if (root / "index.csv").is_file():
        return folder.load(root)
    names = folder.list_files(root / "wav", "*.wav")
    partitions = {speaker: name for name, row in PARTITIONS.items() for speaker in row}
    found = {name: _FILE_NAME.fullmatch(name) for name in names}
    strange = [name for name, match in found.items() if not match or match[1] not in partitions]
    if strange or not names:
        listed = ", ".join(strange[:10]) or "no .wav file"
        raise CorpusError(f"{root / 'wav'}: found {listed}, expected names such as 03a01Fa.wav")
    index = pd.DataFrame([match.groups() for match in found.values()])
    index.columns = ["group", "text", "letter", "version"]
    index["file"] = [f"wav/{name}" for name in names]
    index["emotion"] = index["letter"].map(EMOTIONS)
    index["partition"] = index["group"].map(partitions)
    index["label"] = index["letter"].map(EMOTIONS if target == "emotion" else SENTIMENTS)
    counts = index.groupby(["group", "emotion"]).size()
    columns = ["file", "label", "partition", "group", "emotion", "text"]
    return Corpus(
        index.dropna(subset=["label"])[columns],
        root,
        name=f"{NAME} ({target})",
        kind="stand-in",
        licence=LICENCE,
        remarks=list_differences(_name_counts(counts), _name_counts(EXPECTED_COUNTS)),
    )


def _name_counts(counts):
    return {f"speaker {s}: clips of {emotion}": n for (s, emotion), n in counts.items()}


def _check_names(names):
    """What is wrong with a set of file names, in words; None if nothing."""
    names = sorted(names)
    if hashlib.sha256("\n".join(names).encode()).hexdigest() == NAMES_SHA256:
        return None
    return f"found {len(names)} .wav files in wav/, expected the 535 of {NAME} under their names"


def _check_folder(root):
    return _check_names(folder.list_files(root / "wav", "*.wav"))


def _check_members(archive):
    places = [name.rpartition("/") for name in archive.namelist()]
    return _check_names(
        name for place, _, name in places if place == "wav" and name.endswith(".wav")
    )


def _check_archive(path):
    return check_zip(path, _check_members, max_bytes=_MAX_BYTES)
