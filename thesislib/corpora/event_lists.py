"""Lists of events: what TUT Rare Sound Events 2017 ships beside its audio (thesis 8.2.1.1).

Sources (``cv_setup``, ``bg_screening.csv``), recipes and event lists, as tables. Files of
:mod:`thesislib.corpora.mixtures` have the same layout.
"""

from pathlib import Path

import numpy as np
import pandas as pd

from thesislib.corpora.tables import read_rows
from thesislib.errors import CorpusError, check_number
from thesislib.places import read_plain


def index_recipes(recipes, *, label, folder):
    """Recipes of one class as a corpus index.

    Parameters
    ----------
    recipes : DataFrame
        As from `read_recipes`.
    label : str
        The class that the mixtures are for; that of event-free ones too.
    folder : str
        Put before the file names.

    Returns
    -------
    DataFrame
        ``file``, ``label``, ``event_present``, ``onset_s``, ``offset_s`` (NaN where there is no
        event), ``ebr_db``, ``background`` (its class), and the files ``event_source`` (empty
        without an event) and ``background_source``.
    """
    rows = recipes.reindex(
        columns=["event_start_in_mixture_seconds", "event_length_seconds", "ebr"]
    )
    onset_s, length_s, ebr_db = (rows[column].astype(float) for column in rows)
    sources = recipes.reindex(columns=["event_path", "bg_path"]).astype(object).fillna("")
    index = {"file": f"{folder}/" + recipes["mixture_audio_filename"], "label": label}
    index |= {"event_present": recipes["event_present"].astype(bool)}
    index |= {"onset_s": onset_s, "offset_s": onset_s + length_s, "ebr_db": ebr_db}
    index |= {"background": recipes["bg_classname"]}
    index |= {"event_source": sources["event_path"], "background_source": sources["bg_path"]}
    return pd.DataFrame(index)


def read_recipes(path):
    """Recipes of one class and subset (``mixture_recipes_<subset>_<class>.yaml``).

    Returns
    -------
    DataFrame
        The file's own keys as columns, a row a mixture; ``ebr`` is -inf and the event's columns
        are NaN where there is no event.

    Raises
    ------
    CorpusError
        If the file is missing or no list of recipes; names it.
    """
    recipes = read_plain(path, aliases=True)
    needed = {"mixture_audio_filename", "event_present", "bg_path"}
    if not isinstance(recipes, list) or not all(
        isinstance(r, dict) and needed <= set(r) for r in recipes
    ):
        raise CorpusError(f"{path}: expected a list of recipes with {', '.join(sorted(needed))}")
    return pd.DataFrame(recipes)


def read_sources(root, subset):
    """Events and backgrounds of a subset, from the lists that the corpus ships.

    Parameters
    ----------
    root : str or Path
        The corpus's ``data/source_data``.
    subset : str
        ``devtrain``, ``devtest`` or ``evaltest``.

    Returns
    -------
    events, backgrounds : DataFrame
        For `synthesize_mixtures`, with ``events_root=root / "events"`` and
        ``backgrounds_root=root / "bgs"``. Events have the recording as ``group``.

    Notes
    -----
    ``bg_screening.csv`` may have a column a class, or rows that name a background and classes
    (all of them, where a row names none).
    """
    root = Path(root)
    setup = read_plain(root / "cv_setup" / f"events_{subset}.yaml", aliases=True)
    events = [
        (f"{label}/{path.name}", label, *map(float, entry["segment"][:2]), path.stem)
        for label, entries in setup.items()
        for entry in entries
        for path in [Path(entry["audio_filename"])]
    ]
    excluded = _read_screening(root / "bgs" / "bg_screening.csv", set(setup))
    backgrounds = [
        (path, entry["classname"], ",".join(sorted(excluded.get(Path(path).name, ()))))
        for entry in read_plain(root / "cv_setup" / f"bgs_{subset}.yaml", aliases=True)
        for path in [entry["filepath"]]
    ]
    return (
        pd.DataFrame(events, columns=["file", "label", "onset_s", "offset_s", "group"]),
        pd.DataFrame(backgrounds, columns=["file", "label", "excluded"]),
    )


def _read_screening(path, classes):
    """Classes that can be heard in each background, by file name; none without the list."""
    excluded, rows = {}, [fields for _, fields in read_rows(path)[0]] if path.exists() else [()]
    columns = {i: field.strip() for i, field in enumerate(rows[0]) if field.strip() in classes}
    for row in rows:
        heard = {field.strip() for field in row} & classes or classes
        if columns:
            heard = {name for i, name in columns.items() if row[i].strip() not in ("", "0")}
        for name in (Path(field.strip()).name for field in row if ".wav" in field):
            excluded.setdefault(name, set()).update(heard)
    return excluded


def split_sources(table, *, share=0.2, seed=0):
    """Part sources in two, so that validation mixtures have sources of their own.

    Parameters
    ----------
    table : DataFrame
        Events or backgrounds; a ``group`` (or else a file) goes to one side as a whole.
    share : float in (0, 1)
        Share of each label's groups that goes to the second part, at least one.
    seed : int
        Of the draw.

    Returns
    -------
    training, held_out : DataFrame

    Raises
    ------
    CorpusError
        If a label has one group only, or a group has two labels.
    """
    check_number("share", share, low=0, high=1, open_low=True)
    rng = np.random.default_rng(seed)
    own = table["group"] if "group" in table and table["group"].notna().all() else table["file"]
    group, held_out = own.astype(str), np.zeros(len(table), dtype=bool)
    for label in sorted(table["label"].unique()):
        mine = table["label"] == label
        groups = sorted(group[mine].unique())
        if len(groups) < 2:
            raise CorpusError(f"sources: {label} has {len(groups)} group, expected at least 2")
        n_drawn = min(len(groups) - 1, max(1, round(share * len(groups))))
        drawn = rng.choice(groups, size=n_drawn, replace=False)
        held_out |= (mine & group.isin(drawn)).to_numpy()
    if leaks := set(group[held_out]) & set(group[~held_out]):
        raise CorpusError(f"sources: groups with several labels: {sorted(leaks)[:5]}")
    return table[~held_out], table[held_out]
