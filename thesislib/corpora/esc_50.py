"""ESC-50: environmental sounds that anyone may download, stand-in for 8.3, 9.1 and 10.2.

2 000 clips of 5 s (44.1 kHz, mono) from freesound.org in 50 categories of 40, and five folds.
Native layout, read where it stands: ``meta/esc50.csv`` (filename, fold, target, category,
esc10, src_file, take) beside ``audio/*.wav``. The group is ``src_file``, the recording that a
clip was cut from. Many clips are shorter sounds, filled up with digital silence.

The corpus serves several experiments, so that it has several cuts (`load`'s ``target``).
`fetch` writes each as a view (:mod:`thesislib.corpora.views`), to be named as a corpus:

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

The authors publish no checksum, and GitHub does not promise that an archive keeps its bytes. So
what arrives passes if it is the archive of the pinned commit as others have recorded it, or if
all 2 000 clips are those of soundata's index (an MD5 each) beside the right ``esc50.csv``.
"""

import hashlib
import re
from pathlib import Path

import pandas as pd

from thesislib.corpora import folder
from thesislib.corpora.counts import list_differences
from thesislib.corpora.fetching import check_zip, fetch_complete, names_below, require_licence
from thesislib.corpora.index import Corpus
from thesislib.corpora.tables import read_table
from thesislib.corpora.tut_2017 import find_unpacked
from thesislib.corpora.views import write_view
from thesislib.errors import CorpusError, check_option
from thesislib.store import hash_file

NAME = "ESC-50"
CITATION = "K. J. Piczak: ESC: Dataset for Environmental Sound Classification. ACM Multimedia 2015"
LICENCE = (
    "Creative Commons Attribution-NonCommercial 3.0 (clips of ESC-10: Attribution); LICENSE in the "
    "package names the author of each recording"
)
HOW_TO_GET = "thesis corpus fetch esc-50 (646 MB)"
#: A commit, so that what is asked for stays the same.
COMMIT = "33c8ce9eb2cf0b1c2f8bcf322eb349b6be34dbb6"
BASE_URL = "https://github.com/karolpiczak/ESC-50/archive"
ARCHIVE = f"{COMMIT}.zip"
MARKER = "meta/esc50.csv"
#: Of the archive as GitHub made it, by several independent public records.
ARCHIVE_SHA256 = "661183a6f53ef04f12c9bd618fed0ddc1713280d6c94a5a5431e844ba6f6a21f"
#: Of ``meta/esc50.csv``.
META_SHA256 = "ca660da60191a97de289983a05821c9382d852a38a2ba8428980816b68cf6246"
#: Of the sorted names of the clips, one a line.
NAMES_SHA256 = "74efebd4c673e4acd22cf335f7a6e77b868b2247a9613c774bf9203f162519dd"
#: Of the lines ``<MD5>  <name>`` of all clips in the order of their names, with their line ends;
#: the MD5s are those of soundata's index.
CLIPS_SHA256 = "7dac98ebb302b554321c1ceacd9ab75bb0769516f66d19b4f3a6a6874355c2f2"
_MAX_BYTES = 2 << 30  # the archive holds 0.9 GB

#: The 50 categories by the numbers of ``target``, ten each of the five major categories.
CATEGORIES = {
    "animals": "dog rooster pig cow frog cat hen insects sheep crow",
    "nature": "rain sea_waves crackling_fire crickets chirping_birds water_drops wind "
    "pouring_water toilet_flush thunderstorm",
    "human": "crying_baby sneezing clapping breathing coughing footsteps laughing brushing_teeth "
    "snoring drinking_sipping",
    "domestic": "door_wood_knock mouse_click keyboard_typing door_wood_creaks can_opening "
    "washing_machine vacuum_cleaner clock_alarm clock_tick glass_breaking",
    "urban": "helicopter chainsaw siren car_horn engine train church_bells airplane fireworks "
    "hand_saw",
}
CATEGORIES = {major: tuple(names.split()) for major, names in CATEGORIES.items()}
MAJOR_CATEGORY = {name: major for major, names in CATEGORIES.items() for name in names}
SCENES = (
    "rain",
    "sea_waves",
    "crickets",
    "chirping_birds",
    "wind",
    "thunderstorm",
    "train",
    "airplane",
    "engine",
    "washing_machine",
)
#: Two-class cuts: the partition that each fold goes to.
TASKS = ("coughing", "sneezing", "laughing", "crying_baby")
PARTITIONS = {task: dict(zip("12345", ["train"] * 3 + ["evaluation"] * 2)) for task in TASKS}
PARTITIONS["snoring"] = dict(zip("12345", ["train"] * 3 + ["devel", "test"]))
TARGETS = ("category", "major_category", "scene", *PARTITIONS)
VIEWS = {"major_categories": "major_category", "scenes": "scene", "snoring": "snoring"} | {
    f"vocalisations/{task}": task for task in TASKS
}
EXPECTED_COUNTS = {f"clips of {name}": 40 for name in MAJOR_CATEGORY}
_CLIP = re.compile(r"audio/([^/]+\.wav)")


def fetch(root, *, accept_licence=False, base_url=None, progress=True) -> Path:
    """Download the archive (646 MB), check and unpack it, and write the views.

    Parameters
    ----------
    root : str or Path
        Folder of the corpus. If all clips are there, nothing is fetched, and only the views
        are written. A transfer that broke off goes on where it stopped, if the server can.
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
    root = fetch_complete(
        files, root, base_url or BASE_URL, find_problem=_check_folder, progress=progress
    )
    write_views(root)
    return root


def write_views(root):
    """Write ``views/<name>/index.csv`` for each cut, see the module's table."""
    for name, target in VIEWS.items():
        write_view(load(root, target=target), Path(root) / "views" / name)


def is_esc_50(root):
    """Whether a folder holds ESC-50's layout, and no index of the user's own.

    Examples
    --------
    >>> import tempfile
    >>> is_esc_50(tempfile.mkdtemp())
    False
    """
    return not (Path(root) / "index.csv").is_file() and find_unpacked(root, MARKER) is not None


def load(root, *, target="category"):
    """Read the folder that :func:`fetch` filled, or any folder with an ``index.csv``.

    Parameters
    ----------
    root : str or Path
        Folder that holds ``meta`` and ``audio``, or the one above it.
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

    Examples
    --------
    >>> load("data/esc_50", target="snore")
    Traceback (most recent call last):
    ...
    thesislib.errors.ParameterError: target: found 'snore', expected one of category,
    major_category, scene, coughing, sneezing, laughing, crying_baby, snoring (did you mean
    'snoring'?)
    """
    check_option("target", target, TARGETS)
    root = folder.find_folder(root)
    if (root / "index.csv").is_file():
        return folder.load(root)
    found = find_unpacked(root, MARKER)
    if found is None:
        raise CorpusError(f"{root}: found no {MARKER}, expected {NAME}; {HOW_TO_GET}")
    table = _read_table(found / MARKER)
    first = table.groupby("src_file")["fold"].transform("min")
    moved = table["fold"] != first
    index = pd.DataFrame(
        {
            "file": "audio/" + table["filename"],
            "label": table["category"],
            "fold": first,
            "group": table["src_file"],
            "category": table["category"],
        }
    )
    remarks = list_differences(
        {f"clips of {name}": n for name, n in index["category"].value_counts().items()},
        EXPECTED_COUNTS,
    )
    if target == "scene":
        index = index[index["category"].isin(SCENES)]
    elif target == "major_category":
        index["label"] = index["category"].map(MAJOR_CATEGORY)
    elif target in PARTITIONS:
        index = index[index["category"].isin(CATEGORIES["human"])]
        index = index.assign(
            label=index["category"].where(index["category"] == target, "other"),
            partition=index["fold"].map(PARTITIONS[target]),
        )
    n_moved = int(moved[index.index].sum())
    if n_moved:
        remarks += (f"{n_moved} clips went to the fold of the rest of their source",)
    return Corpus(
        index,
        found,
        name=f"{NAME} ({target})",
        kind="stand-in",
        licence=LICENCE,
        remarks=remarks,
    )


def _read_table(path):
    table, _ = read_table(path, needs=("filename", "fold", "category", "src_file"))
    for column, known in (("category", MAJOR_CATEGORY), ("fold", set("12345"))):
        unknown = sorted(set(table[column]) - set(known))
        if unknown:
            raise CorpusError(f"{path}: found {column} {', '.join(unknown)}, expected {NAME}'s")
    return table


def _check_names(names):
    """What is wrong with a set of files below the corpus's folder; None if nothing."""
    clips = sorted(match[1] for match in map(_CLIP.fullmatch, names) if match)
    if hashlib.sha256("\n".join(clips).encode()).hexdigest() == NAMES_SHA256:
        return None
    return f"found {len(clips)} .wav files in audio/, expected the 2000 of {NAME}, named as there"


def _check_folder(root):
    found = find_unpacked(root, MARKER) if root.is_dir() else None
    return _check_names(() if found is None else folder.list_files(found, "audio/*.wav"))


def _check_members(archive):
    names = archive.namelist()
    problem = _check_names(names_below(names, MARKER))
    if problem:
        return problem
    place = min((name for name in names if name.endswith(MARKER)), key=len).removesuffix(MARKER)
    if hashlib.sha256(archive.read(place + MARKER)).hexdigest() != META_SHA256:
        return f"found another {MARKER}, expected that of {NAME} 2.0"
    digest = hashlib.sha256()
    for name in sorted(name for name in names if _CLIP.fullmatch(name.removeprefix(place))):
        with archive.open(name) as file:
            md5 = hashlib.file_digest(file, "md5").hexdigest()
        digest.update(f"{md5}  {name.rpartition('/')[2]}\n".encode())
    if digest.hexdigest() != CLIPS_SHA256:
        return f"found clips with other contents, expected those of {NAME} 2.0"
    return None


def _check_archive(path):
    if hash_file(path) == ARCHIVE_SHA256:
        return None
    return check_zip(path, _check_members, max_bytes=_MAX_BYTES)
