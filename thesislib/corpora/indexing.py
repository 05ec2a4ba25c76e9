"""An ``index.csv`` for a folder of own recordings: labels, groups, and a split that keeps them.

What ``thesis corpus index`` does, so that any sorted pile of recordings becomes a corpus that
every notebook takes.
"""

import re
from pathlib import Path

import numpy as np
import pandas as pd

from thesislib.corpora.folder import find_folder
from thesislib.corpora.recordings import find_recordings, read_labels
from thesislib.corpora.splits import draw_parts
from thesislib.errors import CorpusError, ParameterError, check_number
from thesislib.store import write_atomically

#: Sizes of the partitions to each other; those of Table 9.4 are about the same.
PARTITIONS = {"train": 3, "devel": 1, "test": 1}


def write_index(
    root, *, labels="folder", partitions=PARTITIONS, n_folds=0, group=None, seed=0, overwrite=False
) -> Path:
    r"""Write ``index.csv`` for the recordings in a folder and its sub-folders.

    Parameters
    ----------
    root : str or Path
        Folder of the recordings.
    labels : {"folder"} or path
        The name of the folder that a file is in; or a table, see
        :func:`~thesislib.corpora.recordings.read_labels`, of which the first column of labels
        is taken.
    partitions : dict of str to int
        Names and sizes to each other of the partitions that are drawn; empty for none.
    n_folds : int
        Number of folds that are drawn beside them; 0 for none.
    group : str, optional
        Regular expression, searched in each file's path below ``root``; its first bracket (or all
        of it) is the group: what must stay on one side of a split, such as a speaker. Without it
        each file is a group of its own.
    seed : int
        Of the draw. Classes are spread evenly over partitions and folds.
    overwrite : bool
        Replace an index that is there.

    Returns
    -------
    Path
        The index.

    Raises
    ------
    CorpusError
        If an index is there, files have no label or no group (all of them are listed), or a class
        has too few groups for the split.
    ParameterError
        If the expression or a size is impossible.

    Examples
    --------
    >>> import tempfile
    >>> root = Path(tempfile.mkdtemp())
    >>> for label in ("cat", "dog"):
    ...     (root / label).mkdir()
    ...     for n in range(5):
    ...         (root / label / f"home{n}_{label}.wav").touch()
    >>> path = write_index(root, group=r"home(\d)")
    >>> pd.read_csv(path).query("partition == 'train'")["group"].nunique()
    3
    """
    root = find_folder(root)
    path = root / "index.csv"
    if path.exists() and not overwrite:
        raise CorpusError(f"{path}: found an index, which is not overwritten unless asked for")
    check_number("n_folds", n_folds, low=0, integer=True)
    for name, size in partitions.items():
        check_number(f"partitions[{name!r}]", size, low=1, integer=True)
    _, names, refused, _ = find_recordings([root])
    if refused:
        listed = ", ".join(map(repr, refused))
        raise CorpusError(f"{root}: found names that are not UTF-8: {listed}")
    columns, _ = read_labels(names, root.absolute(), labels=labels, nominal=True)
    index = pd.DataFrame({"file": names, "label": next(iter(columns.values()))})
    groups, splits = _find_groups(names, group), {}
    how = {"seed": seed, "what": "files" if group is None else "groups"}
    if partitions:
        order = [name for name, size in partitions.items() for _ in range(size)]
        how["parts"] = " ".join(
            ["parts of the split", *(f"{k}={n}" for k, n in partitions.items())]
        )
        splits["partition"] = np.array(order)[draw_parts(index["label"], groups, len(order), **how)]
    if n_folds:
        how["parts"] = "folds"
        splits["fold"] = 1 + draw_parts(index["label"], groups, n_folds, **how)
    index = index.assign(**splits, **({} if group is None else {"group": groups}))
    with write_atomically(path) as temporary:
        index.to_csv(temporary, index=False, lineterminator="\n")
    return path


def _find_groups(names, pattern):
    """Group of each file: what the expression finds in its path, or the path itself."""
    if pattern is None:
        return np.array(names)
    try:
        expression = re.compile(pattern)
    except re.error as error:
        what = f"found {pattern!r}, no regular expression ({error})"
        raise ParameterError(f"group: {what}") from error
    matches = [expression.search(name) for name in names]
    groups = [match and match[min(1, expression.groups)] for match in matches]
    missing = [name for name, group in zip(names, groups) if not group]
    if missing:
        raise CorpusError(
            f"group: {pattern!r} finds no group in {len(missing)} of {len(names)} files "
            f"({', '.join(missing[:3])}{', …' if len(missing) > 3 else ''}), expected one in each"
        )
    return np.array(groups)
