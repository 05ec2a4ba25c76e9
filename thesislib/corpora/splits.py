"""Folds that keep groups together, and slices of a corpus for a cheap trial (thesis 8.3)."""

from dataclasses import replace

import numpy as np
from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

from thesislib.errors import CorpusError, check_number


def cross_validate(corpus, *, n_folds=10, seed=0, ignore_groups=False):
    """Train and test rows of each fold: the corpus's own folds, or drawn ones.

    Parameters
    ----------
    corpus : Corpus
    n_folds : int >= 2
        Number of folds where the corpus names none; 10 in the thesis.
    seed : int
    ignore_groups : bool
        Draw folds that part groups, though the corpus has folds of its own: what a game's
        sound gives away when its clips are on both sides (8.3.1.1).

    Returns
    -------
    dict of str to (ndarray of int, ndarray of int)

    Raises
    ------
    CorpusError
        If a class has fewer groups (or, ignoring groups, clips) than folds.

    Examples
    --------
    >>> import pandas as pd
    >>> from thesislib.corpora.index import Corpus
    >>> index = pd.DataFrame({"file": list("abcdefgh"), "label": list("xyxyxyxy"),
    ...                       "group": list("11223344")})
    >>> folds = cross_validate(Corpus(index, ".", name="example"), n_folds=2)
    >>> [len(test) for train, test in folds.values()]
    [4, 4]
    """
    if not ignore_groups and has_folds(corpus):
        return corpus.folds()
    check_number("n_folds", n_folds, low=2, integer=True)
    rows = np.flatnonzero(corpus.index["label"].notna().to_numpy())
    labels, groups = corpus.labels[rows], corpus.groups[rows]
    what, units = ("clips", rows) if ignore_groups else ("groups", groups)
    check_units(labels, units, n_folds, what=what, where=corpus.name)
    kind = StratifiedKFold if ignore_groups else StratifiedGroupKFold
    splitter = kind(n_folds, shuffle=True, random_state=seed)
    parts = splitter.split(rows, labels, None if ignore_groups else groups)
    return {str(k + 1): (rows[train], rows[test]) for k, (train, test) in enumerate(parts)}


def check_units(labels, units, n_parts, *, what, where):
    """Refuse to draw more parts than the smallest class has units that stay whole.

    Raises
    ------
    CorpusError
        Names the class, what it has and how many parts there shall be.
    """
    for name in np.unique(labels):
        n_units = len(set(units[labels == name]))
        if n_units < n_parts:
            raise CorpusError(
                f"{where}: class {name!r} has {n_units} {what}, "
                f"expected at least one for each of {n_parts} folds"
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
    sliced = corpus.select(keep.sort_index().to_numpy())
    kind = "stand-in" if corpus.kind == "thesis" else corpus.kind
    remark = f"a slice: {len(sliced)} of {len(corpus)} clips"
    return replace(sliced, kind=kind, remarks=(*corpus.remarks, remark))
