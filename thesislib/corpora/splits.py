"""Splits of a corpus: spelt alike, derived where an experiment needs another kind, sliced."""

from dataclasses import replace
from typing import NamedTuple

import numpy as np
import pandas as pd

from thesislib.errors import CorpusError, check_number, check_option

#: Other names of a partition, compared without case.
SPELLINGS = {
    "train": ("training", "trn"),
    "devel": ("dev", "development", "validation", "valid", "val"),
    "test": ("testing", "tst"),
    "evaluation": ("eval",),
}

#: Share of the training part that is cut off for a missing partition: one in so many.
ONE_IN = {"devel": 4, "test": 5, "evaluation": 5}


def adapt(corpus, needs, *, by="group", seed=0):
    """Return a corpus with the splits that an experiment needs; derive those that it lacks.

    Parameters
    ----------
    corpus : Corpus
    needs : int or sequence of str
        Number of folds of a cross-validation, or names of partitions: ``train`` first, the one
        that is scored last. Empty: partitions are only spelt alike.
    by : {"group", "domain"}
        What a split keeps together. By domain, folds and partitions that divide domains are
        drawn anew, and clips without a domain are in none.
    seed : int
        Of what is drawn.

    Returns
    -------
    Corpus
        The corpus itself if it has what is needed. Otherwise a remark that begins with
        ``derived:`` says what was done:

        - no folds: as many as needed (fewer if a class has fewer groups) are drawn;
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
    check_option("by", by, ("group", "domain"))
    corpus = _spell(corpus)
    if not needs:
        return corpus
    if len(corpus.classes) < 2:
        listed = ", ".join(map(repr, corpus.classes)) or "none"
        raise CorpusError(f"{corpus.name}: found classes {listed}, expected at least two")
    if by == "domain":
        corpus = _drop_divided(corpus)
    units = _Units.of(corpus, by)
    if isinstance(needs, int):
        column, values, remarks = "fold", *_derive_folds(corpus, units, needs, seed)
    else:
        column, values, remarks = "partition", *_derive_partitions(corpus, units, needs, seed)
    if remarks:
        corpus = replace(
            corpus,
            index=corpus.index.assign(**{column: values}),
            kind="stand-in" if corpus.kind == "thesis" else corpus.kind,
            remarks=(*corpus.remarks, *(f"derived: {remark}" for remark in remarks)),
        )
    _check_nested(corpus, units, needs)
    return corpus


def choose_split(corpus):
    """Partitions that a corpus brings for training, a choice and a score.

    Parameters
    ----------
    corpus : Corpus

    Returns
    -------
    tuple of str
        For :func:`adapt`: ``train``, ``devel`` and the scored partition, or ``train`` and the
        scored one. Empty without both; then clips are for a cross-validation.

    Examples
    --------
    >>> from thesislib.corpora.index import Corpus
    >>> index = pd.DataFrame({"file": list("abcd"), "label": ["x", "y"] * 2,
    ...                       "partition": ["Training", "Training", "Test", "Test"]})
    >>> choose_split(Corpus(index, ".", name="example"))
    ('train', 'test')
    """
    names = _spell(corpus).partitions
    scored = [name for name in ("test", "evaluation", "devel") if name in names][:1]
    if not scored or "train" not in names:
        return ()
    devel = ["devel"] if "devel" in names and scored != ["devel"] else []
    return ("train", *devel, *scored)


class _Units(NamedTuple):
    """What a split keeps together: the unit of each row, the rows, and names for messages."""

    labels: np.ndarray
    values: np.ndarray
    rows: np.ndarray
    what: str
    where: str

    @classmethod
    def of(cls, corpus, by):
        what = f"{by}s" if by in corpus.index else "clips"
        if by == "domain" and what == "clips":
            raise CorpusError(f"{corpus.name}: found no column domain, expected one to split by")
        values = corpus.domains if by == "domain" else corpus.groups
        known = pd.notna(corpus.labels) & pd.notna(values)
        return cls(corpus.labels, values, np.flatnonzero(known), what, corpus.name)

    def check(self, rows, n_parts, parts, where="", classes=None):
        """Raise unless each class has as many units among some rows as there shall be parts."""
        how = {"what": self.what, "where": self.where + where, "parts": parts, "classes": classes}
        check_units(self.labels[rows], self.values[rows], n_parts, **how)

    def count(self, rows):
        """Units of the class that has the fewest."""
        labels = self.labels[rows]
        return min(len(set(self.values[rows][labels == name])) for name in set(labels))

    def draw(self, rows, n_parts, seed):
        how = {"seed": seed, "where": self.where, "what": self.what}
        return draw_parts(self.labels[rows], self.values[rows], n_parts, **how)


def _drop_divided(corpus):
    """Corpus without the folds and partitions that divide domains."""
    index = corpus.index
    known = index.dropna(subset=["domain"]) if "domain" in index else index[:0]
    divided = [
        column
        for column in {"partition", "fold"} & set(index)
        if known.groupby("domain")[column].nunique().gt(1).any()
    ]
    return replace(corpus, index=index.drop(columns=divided), splits=None)


def draw_fold_sets(corpus, n_folds=5, *, seed=0):
    """Folds of the same clips twice: within domains, and elsewhere.

    Folds ``within`` keep groups together: other groups of the domain that is tested are trained
    on. Folds ``elsewhere`` keep domains together. There are equally many of both, so that both
    train on about as many clips, and each clip is tested once in both.

    Parameters
    ----------
    corpus : Corpus
        With a column ``domain``; clips without a domain or a label are left out.
    n_folds : int >= 2
        At most; not more than the domains of the class that has the fewest.
    seed : int
        Of the draw.

    Returns
    -------
    dict of str to dict
        ``within`` and ``elsewhere``: train and test rows of each fold, as of ``Corpus.folds``.

    Raises
    ------
    CorpusError
        If a class is in one domain only, or there is no column ``domain``.

    Examples
    --------
    >>> from thesislib.corpora.index import Corpus
    >>> index = pd.DataFrame({"file": list("abcdefgh"), "label": ["x", "y"] * 4,
    ...                       "domain": list("11112222")})
    >>> folds = draw_fold_sets(Corpus(index, ".", name="example"))
    >>> [train.tolist() for train, _ in folds["elsewhere"].values()]
    [[0, 1, 2, 3], [4, 5, 6, 7]]
    """
    check_number("n_folds", n_folds, low=2, integer=True)
    domains, groups = (_Units.of(corpus, by) for by in ("domain", "group"))
    domains.check(domains.rows, 2, "sides of a split")
    n_folds, sets = min(n_folds, *(u.count(domains.rows) for u in (domains, groups))), {}
    for name, units in (("within", groups), ("elsewhere", domains)):
        parts = units.draw(domains.rows, n_folds, seed)
        sets[name] = {
            str(1 + k): (domains.rows[parts != k], domains.rows[parts == k]) for k in range(n_folds)
        }
    return sets


def _spell(corpus):
    """Corpus whose partitions have the names that the experiments use."""
    names = {}
    for name in corpus.partitions:
        plain = name.strip().lower()
        usual = next((key for key, others in SPELLINGS.items() if plain in others), plain)
        if usual != name and usual not in (*corpus.partitions, *names.values()):
            names[name] = usual
    if not names:
        return corpus
    remarks = [f"partition {name!r} is read as {usual!r}" for name, usual in names.items()]
    index = corpus.index.replace({"partition": names})
    return replace(corpus, index=index, remarks=(*corpus.remarks, *remarks))


def _derive_folds(corpus, units, n_folds, seed):
    if has_folds(corpus):
        return None, ()
    # The nested choice takes two groups of each class in every training part.
    units.check(units.rows, 3, "folds")
    n_folds = min(n_folds, units.count(units.rows))
    fold = pd.Series(None, index=corpus.index.index, dtype=object)
    fold.iloc[units.rows] = (1 + units.draw(units.rows, n_folds, seed)).astype(str)
    return fold, (f"{n_folds} folds are drawn by {units.what[:-1]}",)


def _derive_partitions(corpus, units, needs, seed):
    labelled = corpus.index["label"].notna()
    part = corpus.index.get("partition", pd.Series(None, index=labelled.index)).astype(object)
    have, scored, remarks = set(part[labelled].dropna()), needs[-1], []
    if set(needs) <= have:
        return None, ()
    if "train" not in have and has_folds(corpus):
        part, remarks = _merge_folds(corpus, needs)
    elif not have:
        part.iloc[units.rows] = "train"
    elif "train" not in have:
        listed = ", ".join(sorted(have))
        wanted = f"{', '.join(needs)}, or at least train"
        raise CorpusError(f"{corpus.name}: found partitions {listed}, expected {wanted}")
    elif scored not in have:
        spare = [name for name in ("test", "evaluation", "devel") if name in have - set(needs)]
        if spare:
            part[part == spare[0]] = scored
            remarks.append(f"{spare[0]} serves as {scored}")
    missing = [name for name in needs[:0:-1] if name not in set(part[labelled])]
    train = np.flatnonzero(labelled & (part == "train"))
    parts = ", ".join(["train", *missing[::-1]])
    units.check(train, 1 + len(missing), f"partitions ({parts})")
    for name in missing:
        cut = units.draw(train, min(ONE_IN[name], units.count(train)), seed) == 0
        part.iloc[train[cut]] = name
        how = f"drawn by {units.what[:-1]}"
        remarks.append(f"{cut.sum()} clips are cut off train as {name}, {how}")
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


def _check_nested(corpus, units, needs):
    """The choice inside a training part takes two groups of each class."""
    training = {}
    if isinstance(needs, int):
        training = {f"fold {name}": train for name, (train, _) in corpus.folds().items()}
    elif len(needs) == 2:
        training = {needs[-1]: corpus.rows("train")}
    for name, rows in training.items():
        units.check(rows, 2, "inner folds", f", training part of {name}", corpus.classes)


def draw_parts(labels, groups, n_parts, *, seed=0, where="index", what="groups", parts="folds"):
    """Number of the part of each row: parts alike in size and classes, with groups whole.

    Parameters
    ----------
    labels, groups : ndarray, shape (n,)
    n_parts : int
    seed : int
    where, what, parts : str
        Names of the corpus, of a group and of the parts, for the message.

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
    check_units(labels, groups, n_parts, what=what, where=where, parts=parts)
    for attempt in range(20):
        splitter = StratifiedGroupKFold(n_parts, shuffle=True, random_state=seed + attempt)
        for number, (_, rows) in enumerate(splitter.split(labels, labels, groups)):
            part[rows] = number
        if all(len(set(part[labels == name])) == n_parts for name in set(labels)):
            return part
    wanted = f"no {n_parts} parts that each hold every class, with {what} whole"
    raise CorpusError(f"{where}: found {wanted}")


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
            wanted = f"at least one for each of {n_parts} {parts}"
            raise CorpusError(f"{where}: class {name!r} has {n_units} {what}, expected {wanted}")


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
