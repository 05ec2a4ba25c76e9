"""Tables as the thesis prints them: HTML, LaTeX and Markdown from a tidy table and a layout.

A layout, ``data/published/layouts/table_<n>.yaml``, lists what the printed table has:

``groups``, ``rows``, ``columns``
    Key columns that become headings over rows, the first columns (with their headings), and
    levels of column headings. Values appear in the thesis's spelling and order, then ours.
``cells``
    What stands at each key: ``heading``, ``value`` (a column, or columns with a template each),
    ``format`` (``percent``, ``rate``, ``power``, ``p``), ``best`` (``max`` or ``min``, bold),
    ``under`` (smaller, below). ``place`` is where their headings go: ``last`` level of the column
    headings, ``first``, or ``rows``. ``interval``: columns of its ends, if not ``<value>_low``, ….
``lines``
    Key columns that thesis's rows do not have; these go with the line called ``prefer``.
``match``
    Columns by which several lines at one key are paired with the thesis's, the first the most
    important; then what is left is paired in order, if there are as many.
``controls``
    Patterns of values; such rows stand below a rule.

A table without a layout has all its columns; those with one value in all rows that were run go into
a note.
"""

import re
from functools import cache

import yaml

from thesislib.places import published_folder
from thesislib.reporting.grid import Grid
from thesislib.reporting.published import load_list
from thesislib.reporting.typeset import to_html, to_latex, to_markdown
from thesislib.reporting.values import name_selections, show


@cache
def read_layout(number):
    """Read the layout of a table; None where there is none.

    Examples
    --------
    >>> list(read_layout("10.6")["rows"])
    ['model']
    """
    name = re.sub(r".*comparisons$", "planned", str(number)).replace(".", "_")
    path = published_folder() / "layouts" / f"table_{name}.yaml"
    return yaml.safe_load(path.read_text("utf-8")) if path.is_file() else None


def render(table, number, form, *, caption=""):
    r"""Format a table in the thesis's layout.

    Parameters
    ----------
    table : pandas.DataFrame
        Tidy, as in the CSV: column ``source`` and a row per score.
    number : str
        Of the thesis, such as ``10.4``.
    form : {"html", "tex", "md"}
        LaTeX needs the packages booktabs, graphicx, longtable and xcolor.
    caption : str
        Corpus, its kind and the weights. Default: the title in the thesis.

    Returns
    -------
    str

    Examples
    --------
    >>> import pandas as pd
    >>> table = pd.DataFrame({"fusion": ["CNN Fusion"], "level": ["feature"]})
    >>> print(render(table.assign(uar_test_percent=57.4), "10.5", "md", caption="Ours."))
    **Table 10.5:** Ours.
    <BLANKLINE>
    | Fusion Model | UAR \[%\]: Test: feat. |
    |---|---|
    | CNN Fusion | **57.4** |
    <BLANKLINE>
    Bold: best.
    <BLANKLINE>
    """
    table = name_selections(table)
    grid = Grid(table, read_layout(number) or _list_columns(table))
    if not caption:
        titles = load_list("outputs").set_index("output")["title"]
        caption = titles.get(f"table {number}", "")
    write = {"html": to_html, "tex": to_latex, "md": to_markdown}[form]
    return write(grid, str(number).replace("_", " "), caption)


def _list_columns(table):
    """Layout of a table that the thesis does not print."""
    names = [str(name) for name in table if not _find_end(str(name), table)]
    rows = table.to_dict("records")
    run = [row for row in rows if not show(row.get("status")).startswith("not run")]
    values = {n: {show(row[n]) for row in (rows if n == "status" else run)} for n in names}
    fixed = {name: shown.pop() for name, shown in values.items() if len(shown) == 1 < len(table)}
    fixed = fixed if len(fixed) < len(names) - 1 else {}
    shown = [name for name in names if name not in fixed]
    note = "; ".join(f"{_title(name)}: {value}" for name, value in fixed.items() if value)
    cells = [{"heading": _title(name), "value": name} for name in shown]
    for cell in cells:
        if cell["value"] == "complexity":
            cell |= {"heading": "C", "format": "power"}
        elif cell["value"].endswith("_percent"):
            cell |= {"format": "percent"}
    return {"cells": cells, "notes": [f"{note}."] if note else []}


def _find_end(name, table):
    """Whether a column is shown with another one, as an end of its interval or in a note."""
    base = re.sub(r"_(low|high)(?=_percent$|$)", "", name)
    return name in ("source", "interval_note") or (base != name and base in table)


def _title(name):
    name = re.sub(r"_percent$", " [%]", name)
    name = re.sub(r"_(s|ms|hz|db)$", lambda unit: f" [{unit[1]}]", name).replace("_", " ")
    return name.replace("uar", "UAR").replace("[hz]", "[Hz]").replace("[db]", "[dB]")
