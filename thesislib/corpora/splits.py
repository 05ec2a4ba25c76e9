"""Splits of a corpus: spelt alike, derived where an experiment needs another kind, sliced."""

from dataclasses import replace

import numpy as np
import pandas as pd

from thesislib.errors import CorpusError, check_number

#: Other names of a partition, compared without case.
SPELLINGS = {
    "train": ("training", "trn"),
    "devel": ("dev", "development", "validation", "valid", "val"),
    "test": ("testing", "tst"),
    "evaluation": ("eval",),
}

#: Share of the training part that is cut off for a missing partition: one in so many.
ONE_IN = {"devel": 4, "test": 5, "evaluation": 5}


def adapt(corpus, needs, *, seed=0):
    """Return a corpus with the splits that an experiment needs; derive those that it lacks.

    Parameters
    ----------
    corpus : Corpus
    needs : int or sequence of str
        Number of folds of a cross-validation, or names of partitions: ``train`` first, the one
        that is scored last. Empty: partitions are only spelt alike.
    seed : int
        Of what is drawn.

    Returns
    -------
    Corpus
        The corpus itself if it has what is needed. Otherwise a remark that begins with
        ``derived:`` says what was done:

        - no folds: as many as needed (fewer if a class has fewer groups) are drawn by group;
        - no partition to score: ``test`` serves as ``evaluation`` and the reverse, and ``devel``
          where the experiment has no other use for it; otherwise a fifth of ``train`` is cut off;
        - no ``devel``: a quarter of ``train`` is cut off;
        - no ``train``: the last fold is scored, the one before it is ``devel``, the others are
          ``train``; with neither folds nor partitions, all clips are ``train`` before the cuts.

        Cuts keep groups whole and every class on both sides.

    Raises
    ------
    CorpusError
        If there are fewer than two classes, too few groups of a class, or partitions of which
        none is to train on.

    Examples
    --------
    >>> from thesislib.corpora.index import Corpus
    >>> index = pd.DataFrame({"file": list("abcdefghij"), "label": ["x", "y"] * 5})
    >>> corpus = adapt(Corpus(index, ".", name="example"), ("train", "devel", "test"))
    >>> corpus.index["partition"].value_counts().sort_index().to_dict()
    {'devel': 2, 'test': 2, 'train': 6}
    """
    corpus = _spell(corpus)
    if not needs:
        return corpus
    if len(corpus.classes) < 2:
        listed = ", ".join(map(repr, corpus.classes)) or "none"
        raise CorpusError(f"{corpus.name}: found classes {listed}, expected at least two")
    if isinstance(needs, int):
        column, values, remarks = "fold", *_derive_folds(corpus, needs, seed)
    else:
        column, values, remarks = "partition", *_derive_partitions(corpus, needs, seed)
    if remarks:
        corpus = replace(
            corpus,
            index=corpus.index.assign(**{column: values}),
            kind="stand-in" if corpus.kind == "thesis" else corpus.kind,
            remarks=(*corpus.remarks, *(f"derived: {remark}" for remark in remarks)),
        )
    _check_nested(corpus, needs)
    return corpus


def _spell(corpus):
    """Corpus whose partitions have the names that the experiments use."""
    names, remarks = {}, []
    for name in corpus.partitions:
        plain = name.strip().lower()
        usual = next((key for key, others in SPELLINGS.items() if plain in others), plain)
        if usual != name and usual not in (*corpus.partitions, *names.values()):
            names[name] = usual
            remarks.append(f"partition {name!r} is read as {usual!r}")
    if not names:
        return corpus
    index = corpus.index.replace({"partition": names})
    return replace(corpus, index=index, remarks=(*corpus.remarks, *remarks))


def _derive_folds(corpus, n_folds, seed):
    if has_folds(corpus):
        return None, ()
    rows = np.flatnonzero(corpus.index["label"].notna().to_numpy())
    labels, groups = corpus.labels[rows], corpus.groups[rows]
    # The nested choice takes two groups of each class in every training part.
    _check_rows(corpus, rows, 3, "folds")
    n_folds = min(n_folds, _fewest(labels, groups))
    fold = pd.Series(None, index=corpus.index.index, dtype=object)
    parts = draw_parts(labels, groups, n_folds, seed=seed, where=corpus.name)
    fold.iloc[rows] = (1 + parts).astype(str)
    return fold, (f"{n_folds} folds are drawn by {_unit(corpus)[:-1]}",)


def _derive_partitions(corpus, needs, seed):
    labelled = corpus.index["label"].notna()
    part = corpus.index.get("partition", pd.Series(None, index=labelled.index)).astype(object)
    have, scored, remarks = set(part[labelled].dropna()), needs[-1], []
    if set(needs) <= have:
        return None, ()
    if "train" not in have and has_folds(corpus):
        part, remarks = _merge_folds(corpus, needs)
    elif not have:
        part[labelled] = "train"
    elif "train" not in have:
        listed = ", ".join(sorted(have))
        raise CorpusError(
            f"{corpus.name}: found partitions {listed}, expected {', '.join(needs)}, "
            "or at least train"
        )
    elif scored not in have:
        spare = [name for name in ("test", "evaluation", "devel") if name in have - set(needs)]
        if spare:
            part[part == spare[0]] = scored
            remarks.append(f"{spare[0]} serves as {scored}")
    missing = [name for name in needs[:0:-1] if name not in set(part[labelled])]
    train = np.flatnonzero(labelled & (part == "train"))
    parts = ", ".join(["train", *missing[::-1]])
    _check_rows(corpus, train, 1 + len(missing), f"partitions ({parts})")
    for name in missing:
        labels, groups = corpus.labels[train], corpus.groups[train]
        n_parts = min(ONE_IN[name], _fewest(labels, groups))
        cut = draw_parts(labels, groups, n_parts, seed=seed, where=corpus.name) == 0
        part.iloc[train[cut]] = name
        remarks.append(
            f"{cut.sum()} clips are cut off train as {name}, drawn by {_unit(corpus)[:-1]}"
        )
        train = train[~cut]
    return part, tuple(remarks)


def _merge_folds(corpus, needs):
    """Partitions from folds: the last one is scored, the one before it is for development."""
    folds = list(corpus.folds().items())
    (last, (train, test)), part = folds[-1], np.full(len(corpus), None, dtype=object)
    part[train], part[test] = "train", needs[-1]
    remark = f"fold {last} serves as {needs[-1]}"
    if len(needs) > 2 and len(folds) > 2:
        name, (_, rows) = folds[-2]
        part[np.intersect1d(rows, train)] = needs[1]
        remark += f", fold {name} as {needs[1]}"
    return pd.Series(part, index=corpus.index.index), [f"{remark}, the others as train"]


def _check_nested(corpus, needs):
    """The choice inside a training part takes two groups of each class."""
    if isinstance(needs, int):
        training = {f"fold {name}": train for name, (train, _) in corpus.folds().items()}
    elif len(needs) == 2:
        training = {needs[-1]: corpus.rows("train")}
    else:
        return
    for name, rows in training.items():
        where = f", training part of {name}"
        _check_rows(corpus, rows, 2, "inner folds", where, classes=corpus.classes)


def _check_rows(corpus, rows, n_parts, parts, where="", classes=None):
    how = {"what": _unit(corpus), "where": corpus.name + where, "parts": parts, "classes": classes}
    check_units(corpus.labels[rows], corpus.groups[rows], n_parts, **how)


def _unit(corpus):
    return "groups" if "group" in corpus.index else "clips"


def _fewest(labels, groups):
    return min(len(set(groups[labels == name])) for name in set(labels))


def draw_parts(labels, groups, n_parts, *, seed=0, where="index"):
    """Number of the part of each row: parts alike in size and classes, with groups whole.

    Parameters
    ----------
    labels, groups : ndarray, shape (n,)
    n_parts : int
    seed : int
    where : str
        Name of the corpus, for the message.

    Returns
    -------
    ndarray of int, shape (n,)
        From 0.

    Raises
    ------
    CorpusError
        If a class has fewer groups than parts, or in twenty draws was absent from a part.

    Examples
    --------
    >>> labels = np.array(["x", "y"] * 4)
    >>> parts = draw_parts(labels, np.repeat(np.arange(4), 2), 2)
    >>> np.bincount(parts).tolist()
    [4, 4]
    """
    from sklearn.model_selection import StratifiedGroupKFold

    labels, part = np.asarray(labels), np.zeros(len(labels), int)
    if n_parts == 1:
        return part
    check_units(labels, groups, n_parts, what="groups", where=where)
    for attempt in range(20):
        splitter = StratifiedGroupKFold(n_parts, shuffle=True, random_state=seed + attempt)
        for number, (_, rows) in enumerate(splitter.split(labels, labels, groups)):
            part[rows] = number
        if all(len(set(part[labels == name])) == n_parts for name in set(labels)):
            return part
    raise CorpusError(
        f"{where}: found no {n_parts} parts that each hold every class, with groups whole"
    )


def check_units(labels, units, n_parts, *, what, where, parts="folds", classes=None):
    """Refuse to draw more parts than the smallest class has units that stay whole.

    Raises
    ------
    CorpusError
        Names the class, what it has and how many parts there shall be.
    """
    for name in np.unique(labels) if classes is None else classes:
        n_units = len(set(units[labels == name]))
        if n_units < n_parts:
            raise CorpusError(
                f"{where}: class {name!r} has {n_units} {what}, "
                f"expected at least one for each of {n_parts} {parts}"
            )


def has_folds(corpus):
    """Whether a corpus comes with folds of its own."""
    named = "fold" in corpus.index and corpus.index["fold"].notna().any()
    return corpus.splits is not None or bool(named)


def take_slice(corpus, n):
    """About every ``n``-th clip, from each class of each fold or partition.

    Groups take turns, so that a slice of few clips has as many groups as possible, and
    each class stays in each fold: the whole experiment can be tried at a fraction of its cost.

    Parameters
    ----------
    corpus : Corpus
    n : int >= 1
        1 gives the corpus itself.

    Returns
    -------
    Corpus
        Of kind ``stand-in`` where the corpus was the thesis's own: a slice's numbers are not
        to be held against the thesis's.

    Examples
    --------
    >>> import pandas as pd
    >>> from thesislib.corpora.index import Corpus
    >>> index = pd.DataFrame({"file": list("abcdef"), "label": ["x"] * 4 + ["y"] * 2,
    ...                       "group": list("112233")})
    >>> take_slice(Corpus(index, ".", name="example"), 2).index["file"].tolist()
    ['a', 'c', 'e']
    """
    check_number("n", n, low=1, integer=True)
    if n == 1:
        return corpus
    index = corpus.index.assign(_group=corpus.groups)
    # The first clip of every group, then the second of every group, and so on.
    index["_turn"] = index.groupby("_group").cumcount()
    cells = ["label", *(name for name in ("partition", "fold") if name in index)]
    ordered = index.sort_values(["_turn", "_group"], kind="stable")
    cell = ordered.groupby(cells, dropna=False)
    # Rounded in the running total, so that many small cells do not add up to another share.
    ends = np.round(cell.size().cumsum().to_numpy() / n)
    share = np.maximum(1, np.diff(ends, prepend=0))
    keep = cell.cumcount() < share[cell.ngroup()]
    keep = keep.sort_index().to_numpy()
    sliced = corpus.select(keep)
    if corpus.splits is not None:
        place = np.cumsum(keep) - 1
        splits = {k: tuple(place[s[keep[s]]] for s in sides) for k, sides in corpus.splits.items()}
        sliced = replace(sliced, splits=splits)
    kind = "stand-in" if corpus.kind == "thesis" else corpus.kind
    remark = f"a slice: {len(sliced)} of {len(corpus)} clips"
    return replace(sliced, kind=kind, remarks=(*corpus.remarks, remark))
