"""TUT Rare Sound Events 2017 (thesis 8.2.1.1): babycry, glassbreak and gunshot, seldom.

Native layout, read where it stands. The sources (isolated events, backgrounds) lie in
``data/source_data``; mixtures lie in ``data/mixture_data/<subset>/<hash>``, as shipped
(``evaltest``) or made by :mod:`thesislib.corpora.mixtures`.
"""

from pathlib import Path

import pandas as pd

from thesislib.corpora import folder
from thesislib.corpora.counts import list_differences
from thesislib.corpora.event_lists import index_recipes, read_recipes, read_sources
from thesislib.corpora.tut_2017 import fetch_parts, find_unpacked
from thesislib.errors import CorpusError

NAME = "TUT Rare Sound Events 2017"
CITATION = (
    "A. Mesaros, T. Heittola, A. Diment, B. Elizalde, A. Shah, E. Vincent, B. Raj and T. Virtanen: "
    "DCASE 2017 Challenge Setup: Tasks, Datasets and Baseline System. DCASE 2017"
)
LICENCE = (
    "Events: Creative Commons, a licence a file (events/<class>/<id>.yaml). Backgrounds and "
    "mixtures: end-user licence agreements of Tampere University of Technology (EULA.pdf), "
    "academic, non-commercial use"
)
HOW_TO_GET = "thesis corpus fetch tut-rare-sound-events-2017 (12.9 GB)"
MARKER, MIXTURES = "data/source_data/cv_setup", "data/mixture_data"
LABELS = ("babycry", "glassbreak", "gunshot")
BACKGROUND = "background"
#: Isolated events and backgrounds of the two development lists.
EXPECTED_COUNTS = {
    f"{partition}: {label}": count
    for partition, counts in {
        "devtrain": (106, 96, 134, 844),
        "devtest": (42, 43, 53, 277),
    }.items()
    for label, count in zip((*LABELS, BACKGROUND), counts)
}

#: Folders of the mixtures as shipped, 500 a class; the evaluation set holds them ready.
PUBLISHED_MIXTURES = {
    "devtrain": "20b255387a2d0cddc0a3dff5014875e7",
    "devtest": "20b255387a2d0cddc0a3dff5014875e7",
    "evaltest": "bbb81504db15a03680a0044474633b67",
}
N_PUBLISHED = 500


def fetch(
    root,
    *,
    accept_licence=False,
    parts=("development", "evaluation"),
    base_url=None,
    progress=True,
):
    """Download the archives from Zenodo, check and unpack them.

    The development set comes as sources: its mixtures are made from them.

    Parameters
    ----------
    root : str or Path
        Folder of the corpus. What is there is not fetched again, and a transfer that
        broke off goes on where it stopped.
    accept_licence : bool
        That you have read ``LICENCE``.
    parts : sequence of {"development", "evaluation"}
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
        "rare_events",
        Path(root),
        parts,
        licence=f"{NAME}: {LICENCE}",
        accept_licence=accept_licence,
        base_url=base_url,
        progress=progress,
    )


def load(root):
    """Read the source material, or any folder with an ``index.csv``.

    Parameters
    ----------
    root : str or Path
        Folder that holds ``data``, or the one that :func:`fetch` filled.

    Returns
    -------
    Corpus
        A row an isolated event (``start_s`` to ``end_s`` of its recording, given as
        ``onset_s`` and ``offset_s`` too) or a background (label ``background``, its
        scene in ``scene``, and in ``excluded`` the classes that can be heard in it).
        ``partition`` is the list, ``group`` the recording. Of kind ``thesis`` only if
        all counts fit.

    Raises
    ------
    CorpusError
        If the lists are missing or damaged, or name unknown classes.
    """
    found = find_unpacked(root, MARKER)
    if found is None and (Path(root) / "index.csv").is_file():
        return folder.load(root)
    if found is None:
        raise CorpusError(f"{root}: found no {MARKER}, expected {NAME}; {HOW_TO_GET}")
    tables = []
    for path in sorted((found / MARKER).glob("events_*.yaml")):
        partition = path.stem.removeprefix("events_")
        events, backgrounds = read_sources(found / "data/source_data", partition)
        unknown = sorted(set(events["label"]) - set(LABELS))
        if unknown:
            raise CorpusError(f"{path}: found {', '.join(unknown)}, expected {', '.join(LABELS)}")
        events["file"] = "data/source_data/events/" + events["file"]
        events["start_s"], events["end_s"] = events["onset_s"], events["offset_s"]
        backgrounds = backgrounds.rename(columns={"label": "scene"}).assign(label=BACKGROUND)
        # a001_0_30.wav is a part of recording a001.
        backgrounds["group"] = backgrounds["file"].str.extract(r"([^/_]+)[^/]*$")[0]
        backgrounds["file"] = "data/source_data/bgs/" + backgrounds["file"]
        tables += [table.assign(partition=partition) for table in (events, backgrounds)]
    if not tables:
        raise CorpusError(f"{found / MARKER}: found no events_*.yaml, expected one a subset")
    index = pd.concat(tables, ignore_index=True)
    numbers = index.groupby(["partition", "label"]).size()
    numbers = {f"{partition}: {label}": n for (partition, label), n in numbers.items()}
    mismatches = list_differences(numbers, EXPECTED_COUNTS)
    return folder.describe(index, found, name=NAME, licence=LICENCE, mismatches=mismatches)


def load_mixtures(root, subset=None):
    """Read ready mixtures and their recipes.

    Parameters
    ----------
    root : str or Path
        As for :func:`load`.
    subset : str, optional
        ``devtrain``, ``devtest`` or ``evaltest``; all that there are by default.

    Returns
    -------
    Corpus
        A row a mixture: ``label`` is the class that it is for, ``event_present`` tells
        whether it holds the event, ``onset_s`` and ``offset_s`` where; ``partition`` is
        the subset, ``parameters`` the hash that names its folder. Of kind ``thesis``
        only if all are those published: mixtures drawn anew are a stand-in for them.

    Raises
    ------
    CorpusError
        If there are no mixtures, or a recipe's audio is missing.
    """
    root = folder.find_folder(root)
    pattern = f"{MIXTURES}/{subset or '*'}/*/meta/mixture_recipes_*.yaml"
    recipes = sorted([*root.glob(pattern), *root.glob(f"*/{pattern}")])
    if not recipes:
        raise CorpusError(f"{root}: found no {pattern}, expected mixtures of {NAME}")
    tables, mismatches = [], []
    for path in recipes:
        place = path.parent.parent
        partition, label = path.stem.removeprefix("mixture_recipes_").rsplit("_", 1)
        audio = (place / "audio").relative_to(root).as_posix()
        table = index_recipes(read_recipes(path), label=label, folder=audio)
        tables.append(table.assign(partition=partition, parameters=place.name))
        if place.name != PUBLISHED_MIXTURES.get(partition):
            mismatches.append(f"{partition}, {label}: mixtures drawn anew, not those published")
        elif len(table) != N_PUBLISHED:
            mismatches.append(f"{partition}: {len(table)} of {label}, published {N_PUBLISHED}")
    index = pd.concat(tables, ignore_index=True)
    absent = [file for file in index["file"] if not (root / file).is_file()]
    if absent:
        raise CorpusError(f"{root}: {len(absent)} mixtures are missing, {absent[0]} the first")
    name = f"{NAME}, mixtures"
    return folder.describe(index, root, name=name, licence=LICENCE, mismatches=mismatches)
