"""TUT Rare Sound Events 2017 (thesis 8.2.1.1): babycry, glassbreak and gunshot, seldom.

Native layout, read where it stands. The sources (isolated events, backgrounds) lie in
``data/source_data``; mixtures lie in ``data/mixture_data/<subset>/<hash>``, as shipped
(``evaltest``) or made by :mod:`thesislib.corpora.mixtures`.
"""

import pandas as pd

from thesislib.corpora import folder
from thesislib.corpora.event_lists import index_recipes, read_recipes, read_sources
from thesislib.corpora.records import RECORDS, compare_counts
from thesislib.errors import CorpusError

SETUP, MIXTURES = "data/source_data/cv_setup", "data/mixture_data"
LABELS = ("babycry", "glassbreak", "gunshot")
BACKGROUND = "background"
#: Folders of the mixtures as shipped, 500 a class; the evaluation set holds them ready.
PUBLISHED_MIXTURES = {
    "devtrain": "20b255387a2d0cddc0a3dff5014875e7",
    "devtest": "20b255387a2d0cddc0a3dff5014875e7",
    "evaltest": "bbb81504db15a03680a0044474633b67",
}
N_PUBLISHED = 500


def load(place, record):
    """Read the lists of source material.

    Parameters
    ----------
    place : Path
        Folder that holds ``data``.
    record : Record

    Returns
    -------
    Corpus
        A row an isolated event (``start_s`` to ``end_s`` of its recording, also as ``onset_s``
        and ``offset_s``) or a background (label ``background``, its scene in ``scene``, and in
        ``excluded`` the classes that can be heard in it). ``partition`` is the list, ``group``
        the recording. Of kind ``thesis`` only if all counts fit.

    Raises
    ------
    CorpusError
        If the lists are missing or damaged, or name unknown classes.
    """
    tables = []
    for path in sorted((place / SETUP).glob("events_*.yaml")):
        partition = path.stem.removeprefix("events_")
        events, backgrounds = read_sources(place / "data/source_data", partition)
        if unknown := sorted(set(events["label"]) - set(LABELS)):
            raise CorpusError(f"{path}: found {', '.join(unknown)}, expected {', '.join(LABELS)}")
        events["file"] = "data/source_data/events/" + events["file"]
        events["start_s"], events["end_s"] = events["onset_s"], events["offset_s"]
        backgrounds = backgrounds.rename(columns={"label": "scene"}).assign(label=BACKGROUND)
        # a001_0_30.wav is a part of recording a001.
        backgrounds["group"] = backgrounds["file"].str.extract(r"([^/_]+)[^/]*$")[0]
        backgrounds["file"] = "data/source_data/bgs/" + backgrounds["file"]
        tables += [table.assign(partition=partition) for table in (events, backgrounds)]
    if not tables:
        raise CorpusError(f"{place / SETUP}: found no events_*.yaml, expected one a subset")
    index = pd.concat(tables, ignore_index=True)
    what = {"name": record.name, "licence": record.licence}
    return folder.describe(index, place, mismatches=compare_counts(record, index), **what)


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
    root, record = folder.find_folder(root), RECORDS["rare_events"]
    pattern = f"{MIXTURES}/{subset or '*'}/*/meta/mixture_recipes_*.yaml"
    recipes = sorted([*root.glob(pattern), *root.glob(f"*/{pattern}")])
    if not recipes:
        raise CorpusError(f"{root}: found no {pattern}, expected mixtures of {record.name}")
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
    name = f"{record.name}, mixtures"
    return folder.describe(index, root, name=name, licence=record.licence, mismatches=mismatches)
