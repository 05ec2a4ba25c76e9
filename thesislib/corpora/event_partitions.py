"""Mixtures for training, validation and scoring, from sources that they never share (8.2.1).

The thesis trains on mixtures drawn anew from the development set's training sources, and scores
on those of the other sources. It does not say by which clips training stops; here those are
mixtures of training sources held out for that.
"""

from dataclasses import replace
from pathlib import Path

import pandas as pd

from thesislib.corpora.event_lists import split_sources
from thesislib.corpora.index import Corpus
from thesislib.corpora.mixtures import synthesize_mixtures
from thesislib.corpora.rare_events import BACKGROUND, PUBLISHED_MIXTURES, load_mixtures
from thesislib.errors import CorpusError, ParameterError

#: Names that the partitions of sources may have, and what their mixtures are for.
PARTITIONS = {
    "training": ("devtrain", "train"),
    "validation": ("validation", "devel"),
    "development": ("devtest", "test"),
    "evaluation": ("evaltest", "evaluation"),
}


def split_partitions(sources, *, validation_share=0.2, seed=0):
    """Sources of each partition.

    Parameters
    ----------
    sources : Corpus
        Isolated events and backgrounds (label ``background``), with a partition for training
        (``devtrain`` or ``train``) and one for scoring (``devtest`` or ``test``); those for
        validation and evaluation may be there too.
    validation_share : float in (0, 1)
        Share of each class's training groups (recordings) that is held out for validation,
        unless the corpus has a partition for it.
    seed : int
        Of that draw.

    Returns
    -------
    dict of str to DataFrame
        ``training``, ``validation``, ``development`` and, if there are sources, ``evaluation``.

    Raises
    ------
    CorpusError
        If a partition or the backgrounds are missing, or two partitions share a recording.
    """
    index, parts = sources.index, {}
    lacking = {
        f"backgrounds (label {BACKGROUND!r})": BACKGROUND not in sources.classes,
        "events (other labels)": set(sources.classes) <= {BACKGROUND},
    }
    for part, names in PARTITIONS.items():
        present = [name for name in names if name in sources.partitions]
        if present:
            parts[part] = index[index["partition"] == present[0]]
        needed = part in ("training", "development")
        lacking[f"a partition for {part} ({' or '.join(names)})"] = needed and not present
    if any(lacking.values()):
        labels, own = (", ".join(x) or "(none)" for x in (sources.classes, sources.partitions))
        raise CorpusError(
            f"{sources.name}: found labels {labels} and partitions {own}, expected also "
            + ", ".join(what for what, is_lacking in lacking.items() if is_lacking)
        )
    if "validation" not in parts:
        how = {"share": validation_share, "seed": seed}
        parts["training"], parts["validation"] = split_sources(parts["training"], **how)
    owner = {}
    for part, table in parts.items():
        if absent := sorted({*sources.classes, BACKGROUND} - set(table["label"])):
            raise CorpusError(f"{sources.name}: {part} has no source of class {absent[0]!r}")
        for group in set(sources.groups[table.index]):
            if owner.setdefault(group, part) != part:
                where = f"{owner[group]} and {part}, expected in one"
                raise CorpusError(f"{sources.name}: {group} is in {where}")
    return {part: parts[part] for part in PARTITIONS if part in parts}


def mix_partitions(
    sources, parts, root, *, n_mixtures, presence, ready_root=None, seed=0, **settings
):
    """Mixtures of each partition, drawn from its own sources.

    Parameters
    ----------
    sources : Corpus
    parts : dict of str to DataFrame
        From `split_partitions`.
    root : str or Path
        Folder for mixtures. Below it each corpus has a folder of its own, named by its
        content; mixtures that are there are not made again.
    n_mixtures, presence : dict of str to number
        Mixtures a class and event presence probability, by partition.
    ready_root : str or Path, optional
        Corpus folder that may hold the published mixtures of development and evaluation: they
        are taken as they are. The evaluation set comes in no other form.
    seed : int
    **settings
        ``ebr_db``, ``duration_s``, ``sr``, ``shared_onsets``, ``n_jobs`` of
        `synthesize_mixtures`.

    Returns
    -------
    dict of str to Corpus
        Mixtures by partition: ``label`` is the class that a mixture is for.

    Raises
    ------
    ParameterError
        If a partition would hold no event.
    """
    folder, mixtures = Path(root) / sources.fingerprint[:16], {}
    for part in PARTITIONS:
        ready = _find_ready(ready_root, part)
        if ready is not None:
            mixtures[part] = ready
        elif part in parts:
            table = parts[part]
            background = table["label"] == BACKGROUND
            beds = table[background]
            beds = beds.assign(label=beds["scene"]) if "scene" in beds else beds
            how = {"events_root": sources.root, "backgrounds_root": sources.root, "subset": part}
            n, share = n_mixtures[part], presence[part]
            if round(n * share) < 1:
                what = f"presence: found {share:g} of {n} mixtures in the part {part!r}"
                raise ParameterError(f"{what}, expected at least one with an event")
            how |= {"n_mixtures": n, "presence_probability": share}
            index = synthesize_mixtures(
                folder, table[~background], beds, seed=seed, **how, **settings
            )
            mixtures[part] = Corpus(
                index,
                folder,
                name=f"{sources.name}, {part} mixtures",
                kind="synthetic" if sources.kind == "synthetic" else "stand-in",
                licence=sources.licence,
                remarks=(f"{part}: mixtures drawn anew",),
            )
    return mixtures


def _find_ready(root, part):
    """Published mixtures of a partition, or None."""
    subset = PARTITIONS[part][0]
    if root is None or part not in ("development", "evaluation"):
        return None
    try:
        mixtures = load_mixtures(root, subset)
    except CorpusError:
        return None
    published = mixtures.index["parameters"] == PUBLISHED_MIXTURES[subset]
    return mixtures.select(published) if published.any() else None


def describe_durations(parts):
    """Durations of the source events (Table 8.2).

    Parameters
    ----------
    parts : dict of str to DataFrame
        From `split_partitions`; training and validation count as one.

    Returns
    -------
    DataFrame
        ``event``, ``partition`` (``dev``: sources to train on, ``test``), ``mean_s``, ``max_s``,
        ``min_s``, ``median_s``, ``std_s`` (``ddof=1``; the thesis does not say), ``n_events``.
    """
    sides = [(name, "dev" if name in ("training", "validation") else "test") for name in PARTITIONS]
    table = pd.concat([parts[name].assign(partition=s) for name, s in sides if name in parts])
    table = table[table["label"] != BACKGROUND].rename(columns={"label": "event"})
    times = table.reindex(columns=["onset_s", "offset_s", "duration_s"]).astype(float)
    # Without an annotation the whole file is the event.
    table["length_s"] = times["offset_s"].fillna(times["duration_s"]) - times["onset_s"].fillna(0)
    lengths_s = table.groupby(["event", "partition"])["length_s"]
    numbers = lengths_s.agg(["mean", "max", "min", "median", "std"]).round(3).add_suffix("_s")
    return numbers.assign(n_events=lengths_s.size()).reset_index()


def rename_classes(sources, names):
    """Corpus with other class names: those of the thesis, where another corpus means the same.

    Parameters
    ----------
    sources : Corpus
    names : dict of str to str
        Name in the corpus to name in the thesis; others stay.
    """
    return replace(sources, index=sources.index.replace({"label": names}), splits=None)
