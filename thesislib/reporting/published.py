"""The thesis's own numbers, as printed (chapters 4, 8, 9 and 10; contract 5 of the design).

``data/published`` contains one tidy CSV per table: the thesis's row keys, the printed
values, ``headline`` (the row that the thesis calls best) and ``note`` (contradictions in
the text). The CSV has the printed value, the note has the correct one.
``data/published/README.md`` lists both.

Tables are named by the thesis's number as text: ``"8.1"`` and ``"8.10"`` are two
tables and one float.
"""

from functools import cache

import pandas as pd

from thesislib.errors import ParameterError, check_option
from thesislib.places import published_folder

__all__ = ["list_published", "load_list", "load_published", "published_headline"]


def list_published():
    """List the printed tables in the thesis's order.

    Returns
    -------
    DataFrame
        One row per table, its number as text in the index; columns ``section``,
        ``title``, ``measure`` (the main column, empty for tables of data or models),
        ``chance_percent`` and ``n_rows``.

    Examples
    --------
    >>> list_published().loc["10.4", ["section", "measure"]].tolist()
    ['10.2.2', 'uar_test_percent']
    """
    path = published_folder() / "index.csv"
    if not path.is_file():
        raise ParameterError(f"{path}: found no file, expected the list of the printed tables")
    index = pd.read_csv(path)
    number = index.pop("table").str.removeprefix("table_").str.replace("_", ".")
    return index.set_index(number).fillna({"measure": ""})


def load_published(table):
    """Load one printed table.

    Parameters
    ----------
    table : str
        The thesis's number, such as ``"8.10"``, or ``"constants"`` for the few
        values that are printed outside tables (Figures 8.2 and 8.5a).

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
    known = [*list_published().index, "constants"]
    check_option("table", table, known)
    stem = table if table == "constants" else f"table_{table.replace('.', '_')}"
    # pandas would read an empty column as float NaN.
    loaded = pd.read_csv(published_folder() / f"{stem}.csv", dtype={"note": str, "headline": str})
    if "headline" in loaded:
        loaded["headline"] = loaded["headline"].eq("true")
    text = [name for name in loaded if not pd.api.types.is_numeric_dtype(loaded[name])]
    return loaded.fillna(dict.fromkeys(text, ""))


def published_headline(table):
    """Load the rows of a printed table that the thesis calls best.

    Parameters
    ----------
    table : str
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
    loaded = load_published(table)
    return loaded[loaded["headline"]].drop(columns=["headline", "note"]).reset_index(drop=True)


def load_list(name):
    """Read one of the lists in ``data/published/overview`` as text, empty cells as ``""``.

    Parameters
    ----------
    name : str
        ``outputs``, ``systems``, ``headlines``, ``comparisons``, ``contradictions`` or
        ``open_choices``.

    Returns
    -------
    pandas.DataFrame

    Examples
    --------
    >>> outputs = load_list("outputs").set_index("output")
    >>> outputs.loc["table 10.4", ["section", "notebook"]].tolist()
    ['10.2.1.4', '10_2_snore']
    """
    return _read_list(published_folder() / "overview" / f"{name}.csv").copy()


@cache
def _read_list(path):
    return pd.read_csv(path, dtype=str).fillna("")
