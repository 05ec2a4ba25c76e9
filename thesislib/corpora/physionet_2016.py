"""PhysioNet/CinC Challenge 2016: heart sounds that anyone may download, stand-in for 10.1.

3 240 recordings of 5 to 120 s (2 kHz, mono) from six sites, normal or abnormal: two classes,
where Heart Sounds Shenzhen has three. Native layout, read where it stands: a folder a site,
``training-a`` … ``training-f``, each with ``REFERENCE.csv`` (recording, -1 normal or 1
abnormal; no header) beside ``*.wav``.

The package does not say which recordings are of one person. Only sites are sure to share
nobody, so that folds are sites, and partitions are disjoint in them: a and e train, b develops,
c, d and f test. Sites differ in equipment and in how often hearts are abnormal. Scores
across sites are therefore low, and scores within sites would flatter: a classifier can tell
sites apart, and so guess the class.

Checksums: PhysioNet publishes ``SHA256SUMS.txt`` beside the files. It is fetched from the same
server, so it finds damage, but a forger there could change both.
"""

import re
from pathlib import Path

import pandas as pd

from thesislib.corpora import folder
from thesislib.corpora.counts import list_differences
from thesislib.corpora.download import fetch_file
from thesislib.corpora.fetching import check_zip, fetch_complete, names_below, require_licence
from thesislib.corpora.index import Corpus
from thesislib.corpora.tables import Problems, read_rows
from thesislib.corpora.tut_2017 import find_unpacked
from thesislib.errors import CorpusError

NAME = "PhysioNet/CinC Challenge 2016, training"
CITATION = (
    "C. Liu, D. Springer, Q. Li, B. Moody, R. A. Juan, F. J. Chorro, F. Castells, J. M. Roig, "
    "I. Silva, A. E. W. Johnson et al.: An open access database for the evaluation of heart sound "
    "algorithms. Physiological Measurement 37(12), 2016"
)
LICENCE = "Open Data Commons Attribution License 1.0"
HOW_TO_GET = "thesis corpus fetch physionet-2016 (190 MB)"
BASE_URL = "https://physionet.org/files/challenge-2016/1.0.0"
ARCHIVE, SUMS = "training.zip", "SHA256SUMS.txt"
MARKER = "training-a/REFERENCE.csv"
LABELS = {"-1": "normal", "1": "abnormal"}
PARTITIONS = {"a": "train", "e": "train", "b": "devel", "c": "test", "d": "test", "f": "test"}
SITES = tuple(sorted(PARTITIONS))
#: Recordings of each site, and of each class.
EXPECTED_COUNTS = {
    **{f"site {site}": n for site, n in zip(SITES, (409, 490, 31, 55, 2141, 114))},
    "normal": 2575,
    "abnormal": 665,
}
_FILE = re.compile(r"training-([a-f])/\1\d+\.wav")
_MAX_BYTES = 2 << 30  # the archive holds some 0.4 GB


def fetch(root, *, accept_licence=False, base_url=None, progress=True) -> Path:
    """Download the training set from PhysioNet (190 MB), check and unpack it.

    Parameters
    ----------
    root : str or Path
        Folder of the corpus. If all recordings are there, nothing is fetched; a transfer
        that broke off goes on where it stopped.
    accept_licence : bool
        That you have read ``LICENCE``.
    base_url : str, optional
        Address of a mirror, without the files' names.
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
        If a file cannot be fetched, has another checksum than the list says, or is another one.
    """
    require_licence(accept_licence, f"{NAME}: {LICENCE}")
    root, base_url = Path(root), (base_url or BASE_URL).rstrip("/")
    if _check_folder(root) is None:
        return root
    sums = root / ".fetched" / SUMS
    fetch_file(f"{base_url}/{SUMS}", sums, check=_check_sums, progress=progress)
    files = [{"name": ARCHIVE, "sha256": _read_sum(sums), "check": _check_archive}]
    return fetch_complete(files, root, base_url, find_problem=_check_folder, progress=progress)


def is_physionet_2016(root):
    """Whether a folder holds the challenge's layout, and no index of the user's own.

    Examples
    --------
    >>> import tempfile
    >>> is_physionet_2016(tempfile.mkdtemp())
    False
    """
    return not (Path(root) / "index.csv").is_file() and find_unpacked(root, MARKER) is not None


def load(root):
    """Read the folder that :func:`fetch` filled, or any folder with an ``index.csv``.

    Parameters
    ----------
    root : str or Path
        Folder that holds ``training-a`` and the other sites, or the one above it. Sites may
        be missing; a remark says so.

    Returns
    -------
    Corpus
        Always a stand-in: ``fold`` is the site, ``partition`` disjoint in sites. There is no
        ``group``, since nobody knows which recordings are of one person.

    Raises
    ------
    CorpusError
        Lists every unknown label, every recording without a label, and every row twice.
    """
    root = folder.find_folder(root)
    if (root / "index.csv").is_file():
        return folder.load(root)
    found = find_unpacked(root, MARKER)
    if found is None:
        raise CorpusError(f"{root}: found no {MARKER}, expected {NAME}; {HOW_TO_GET}")
    rows, problems = [], Problems()
    for site in SITES:
        place = found / f"training-{site}"
        if place.is_dir():
            rows += _read_site(place, site, problems)
    problems.raise_if_any(found)
    index = pd.DataFrame(rows, columns=["file", "label", "fold"])
    index["partition"] = index["fold"].map(PARTITIONS)
    counts = {f"site {site}": n for site, n in index["fold"].value_counts().items()}
    counts |= index["label"].value_counts().to_dict()
    return Corpus(
        index,
        found,
        name=NAME,
        kind="stand-in",
        licence=LICENCE,
        remarks=list_differences(counts, EXPECTED_COUNTS),
    )


def _read_site(place, site, problems):
    """Rows of a site; what contradicts its ``REFERENCE.csv`` goes to ``problems``."""
    labels, path = {}, f"{place.name}/REFERENCE.csv"
    for line, fields in read_rows(place / "REFERENCE.csv")[0]:
        name, label, *more = (field.strip() for field in (*fields, ""))
        if label not in LABELS or any(more):
            found = ",".join(fields)
            problems.add(
                f"{path} line {line}", f"found {found!r}, expected a recording and -1 or 1"
            )
        elif name in labels:
            problems.add(f"{path} line {line}", f"{name} stands there twice", kind="twice")
        else:
            labels[name] = LABELS[label]
    for audio in folder.list_files(place, "*.wav"):
        if audio.removesuffix(".wav") not in labels:
            problems.add(f"{place.name}/{audio}", "not in REFERENCE.csv")
    return [(f"{place.name}/{name}.wav", label, site) for name, label in sorted(labels.items())]


def _read_sum(path):
    """SHA-256 of the archive in the published list; None if it is not there."""
    for line in Path(path).read_text(encoding="utf-8", errors="replace").splitlines():
        digest, _, name = line.partition(" ")
        if name.strip(" *") == ARCHIVE and re.fullmatch(r"[0-9a-f]{64}", digest):
            return digest
    return None


def _check_sums(path):
    return None if _read_sum(path) else f"found no checksum of {ARCHIVE}, expected a line for it"


def _check_names(names):
    """What is wrong with a set of files below the corpus's folder; None if nothing."""
    names = set(names)
    counts = dict.fromkeys((f"site {site}" for site in SITES), 0)
    for match in map(_FILE.fullmatch, names):
        if match:
            counts[f"site {match[1]}"] += 1
    wrong = list_differences(counts, {key: EXPECTED_COUNTS[key] for key in counts})
    wrong += tuple(
        f"training-{site}/REFERENCE.csv is missing"
        for site in SITES
        if f"training-{site}/REFERENCE.csv" not in names
    )
    return f"{'; '.join(wrong)}, expected {NAME}" if wrong else None


def _check_folder(root):
    found = find_unpacked(root, MARKER) if root.is_dir() else None
    return _check_names(() if found is None else folder.list_files(found, "training-?/*"))


def _check_archive(path):
    return check_zip(
        path,
        lambda archive: _check_names(names_below(archive.namelist(), MARKER)),
        max_bytes=_MAX_BYTES,
    )
