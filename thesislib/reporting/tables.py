"""Result tables: ours, and in a separate block the rows that the thesis printed (contract 5)."""

import pandas as pd

from thesislib.errors import ParameterError
from thesislib.reporting.escape import html
from thesislib.reporting.layouts import render
from thesislib.store import write_atomically

OURS, THESIS = "this run", "thesis"


def table_stem(number):
    """File name of a table or figure number: ``10.4`` → ``10_4``.

    Examples
    --------
    >>> table_stem("10.4")
    '10_4'
    """
    return str(number).strip().replace(".", "_").lower()


def join_published(ours, published, *, keys=(), scores=(), within=(), comparable=False):
    """Put the thesis's rows below ours.

    Parameters
    ----------
    ours : pandas.DataFrame
        Rows of this run.
    published : pandas.DataFrame or None
        Printed rows, with the same names for the same columns.
    keys : sequence of str
        Columns that identify a row in both.
    scores : sequence of str
        Columns whose difference is of interest.
    within : sequence of str
        Further columns that identify a row if the thesis prints several with equal keys.
    comparable : bool
        Whether the corpus is the thesis's own; only then the result has differences, as
        columns ``difference_<score>`` (ours minus the thesis's).

    Returns
    -------
    pandas.DataFrame
        First column ``source``: ``this run`` or ``thesis``.

    Examples
    --------
    >>> ours = pd.DataFrame({"network": ["alexnet"], "uar": [60.0]})
    >>> printed = pd.DataFrame({"network": ["alexnet"], "uar": [67.0]})
    >>> joined = join_published(ours, printed, keys=["network"], scores=["uar"], comparable=True)
    >>> joined["difference_uar"].tolist()
    [-7.0, nan]
    """
    ours = ours.copy()
    if published is None:
        ours.insert(0, "source", OURS)
        return ours
    if comparable and keys:
        theirs, mine = _by_key(published, keys), _by_key(ours, keys)
        repeated = theirs.index[theirs.index.duplicated()]
        for table in (theirs, mine):
            longer = _by_key(table, [*keys, *within]).index
            table.index = table.index.where(~table.index.isin(repeated), longer)
        theirs = theirs[~theirs.index.duplicated(keep=False)]
        for score in scores:
            difference = mine[score] - theirs[score].reindex(mine.index)
            # A control with random weights has no counterpart in the thesis.
            if "weights" in mine:
                difference = difference.where(mine["weights"] != "random")
            ours[f"difference_{score}"] = difference.to_numpy()
    ours.insert(0, "source", OURS)
    published = published.copy()
    published.insert(0, "source", THESIS)
    columns = list(dict.fromkeys([*ours.columns, *published.columns]))
    records = [*ours.to_dict("records"), *published.to_dict("records")]
    return pd.DataFrame(records, columns=columns)


def _by_key(table, keys):
    """Index a table by its key columns, independent of spelling and number format."""
    index = [" ".join(_plain(value) for value in row) for row in table[list(keys)].to_numpy()]
    return table.set_axis(pd.Index(index), axis=0)


def _plain(value):
    if isinstance(value, str):
        return "".join(sign for sign in value.lower() if sign.isalnum())
    return f"{value:g}"


class ResultTable:
    """A table that notebooks show in the thesis's layout.

    Parameters
    ----------
    frame : pandas.DataFrame
        Tidy, with every column.
    number : str
        The thesis's number, such as ``10.4``.
    caption : str
        Corpus, its kind and the weights.
    link : str
        Address of the CSV, relative to the page that shows the table.

    Examples
    --------
    >>> table = ResultTable(pd.DataFrame({"model": ["CNN"]}), "10.6", caption="Ours.")
    >>> table.frame["model"].tolist()
    ['CNN']
    """

    def __init__(self, frame, number, *, caption="", link=None):
        self.frame, self.number, self.caption = frame, number, caption
        self.link = f"tables/table_{table_stem(number)}.csv" if link is None else link

    def _repr_html_(self):
        link = f'<p><small><a href="{html(self.link)}">All columns (CSV)</a></small></p>'
        return render(self.frame, self.number, "html", caption=self.caption) + link


def write_table(table, number, folder, *, caption):
    """Write ``table_<number>.csv``, and in the thesis's layout ``.tex`` and ``.html``.

    Parameters
    ----------
    table : pandas.DataFrame
    number : str
        The thesis's number, such as ``10.4``.
    folder : Path
    caption : str
        Corpus, kind and weights.

    Returns
    -------
    list of Path
        The files.

    Raises
    ------
    ParameterError
        If the table has no rows.
    StoreError
        If the folder cannot be written.
    """
    if not len(table):
        raise ParameterError(f"table {number}: found no rows, expected at least one")
    paths = [folder / f"table_{table_stem(number)}.{form}" for form in ("csv", "tex", "html")]
    texts = [table.to_csv(index=False, float_format="%.10g", lineterminator="\n")]
    texts += [render(table, number, path.suffix[1:], caption=caption) for path in paths[1:]]
    for path, text in zip(paths, texts):
        with write_atomically(path) as temporary:
            temporary.write_text(text, encoding="utf-8", errors="surrogateescape", newline="")
    return paths
