"""The thesis's own numbers, as printed (chapters 4, 8, 9 and 10; contract 5 of the design).

``data/published`` holds one CSV a table, tidy: the thesis's row keys, then the
printed values, then ``headline`` (the row that the thesis calls best) and
``note`` (where the text contradicts itself). The CSV keeps what is printed, the
note says what it should be. ``data/published/README.md`` lists both.

Tables are named by the thesis's number as text: ``"8.1"`` and ``"8.10"`` are two
tables and one float.
"""

import os
from pathlib import Path

import pandas as pd

from thesislib.errors import ParameterError, check_option

__all__ = ["list_published", "load_published", "published_folder", "published_headline"]

FOLDER_VARIABLE = "THESIS_PUBLISHED"


def published_folder(folder=None):
    """Find the folder of the printed tables.

    Parameters
    ----------
    folder : str or Path, optional
        The folder itself. Without it, the environment variable
        ``THESIS_PUBLISHED`` is taken; without that, ``data/published`` in the
        nearest folder above the package that has one.

    Returns
    -------
    Path
        A folder that holds ``index.csv``.

    Raises
    ------
    ParameterError
        If no ``index.csv`` is there; names the places that were looked at.

    Examples
    --------
    >>> published_folder().name
    'published'
    """
    given = folder or os.environ.get(FOLDER_VARIABLE)
    if given:
        places = [Path(given)]
    else:
        places = [above / "data" / "published" for above in Path(__file__).resolve().parents]
    for place in places:
        if (place / "index.csv").is_file():
            return place
    raise ParameterError(
        f"folder: found no index.csv in {', '.join(map(str, places))}, "
        f"expected the project's data/published (give folder, or set {FOLDER_VARIABLE})"
    )


def list_published(*, folder=None):
    """List the printed tables in the thesis's order.

    Parameters
    ----------
    folder : str or Path, optional
        See :func:`published_folder`.

    Returns
    -------
    DataFrame
        One row a table, its number as text in the index; columns ``section``,
        ``title``, ``measure`` (the column that the table is about, empty where it
        describes data or models), ``chance_percent`` and ``n_rows``.

    Examples
    --------
    >>> list_published().loc["10.4", ["section", "measure"]].tolist()
    ['10.2.2', 'uar_test_percent']
    """
    index = pd.read_csv(published_folder(folder) / "index.csv")
    number = index.pop("table").str.removeprefix("table_").str.replace("_", ".")
    return index.set_index(number).fillna({"measure": ""})


def load_published(table, *, folder=None):
    """Load one printed table.

    Parameters
    ----------
    table : str
        The thesis's number, such as ``"8.10"``, or ``"constants"`` for the few
        values that are printed outside tables (Figures 8.2 and 8.5a).
    folder : str or Path, optional
        See :func:`published_folder`.

    Returns
    -------
    DataFrame
        Row keys, values (NaN where the thesis prints a dash or nothing),
        ``headline`` (bool) and ``note`` (text, empty where nothing is wrong). Empty
        text is ``""``. ``constants`` has no ``headline``.

    Raises
    ------
    ParameterError
        If there is no such table; names the nearest.

    Examples
    --------
    >>> snore = load_published("10.4")
    >>> snore.loc[snore["headline"], ["network", "layer", "complexity"]].values.tolist()
    [['AlexNet', 'fc7', 0.0001]]
    """
    folder = published_folder(folder)
    known = [*list_published(folder=folder).index, "constants"]
    check_option("table", table, known)
    stem = table if table == "constants" else f"table_{table.replace('.', '_')}"
    # A column that is empty throughout would be read as float NaN.
    loaded = pd.read_csv(folder / f"{stem}.csv", dtype={"note": str, "headline": str})
    if "headline" in loaded:
        loaded["headline"] = loaded["headline"].eq("true")
    text = [name for name in loaded if not pd.api.types.is_numeric_dtype(loaded[name])]
    return loaded.fillna(dict.fromkeys(text, ""))


def published_headline(table, *, folder=None):
    """Rows of a printed table that the thesis calls best.

    Parameters
    ----------
    table, folder
        As in :func:`load_published`; without ``constants``.

    Returns
    -------
    DataFrame
        Row keys and values; one row, or one a task or feature set
        where the table compares within those (9.2, 9.3, 9.5; two where they tie),
        none for tables of data and models.

    Raises
    ------
    ParameterError
        If there is no such table; names the nearest.

    Examples
    --------
    >>> published_headline("8.12")[["network", "codebook_size", "uar_percent"]].values.tolist()
    [['GoogLeNet', 500, 66.9]]
    """
    check_option("table", table, list_published(folder=folder).index)
    loaded = load_published(table, folder=folder)
    return loaded[loaded["headline"]].drop(columns=["headline", "note"]).reset_index(drop=True)
