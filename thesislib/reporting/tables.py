"""Result tables: ours, and in a block of its own what the thesis printed (contract 5)."""

import pandas as pd

from thesislib.errors import ParameterError
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


def join_published(ours, published, *, keys=(), scores=(), comparable=False):
    """Put the thesis's rows below ours.

    Parameters
    ----------
    ours : pandas.DataFrame
        Rows of this run.
    published : pandas.DataFrame or None
        What the thesis printed, with the same column names where they mean the same.
    keys : sequence of str
        Columns that identify a row in both.
    scores : sequence of str
        Columns whose difference is of interest.
    comparable : bool
        Whether the corpus is the thesis's own; only then differences are given, as
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
        printed = published.dropna(subset=list(keys)).drop_duplicates(list(keys), keep=False)
        for score in scores:
            theirs = printed.set_index(list(keys))[score]
            index = pd.MultiIndex.from_frame(ours[list(keys)]) if len(keys) > 1 else ours[keys[0]]
            ours[f"difference_{score}"] = ours[score].to_numpy() - theirs.reindex(index).to_numpy()
    ours.insert(0, "source", OURS)
    published = published.copy()
    published.insert(0, "source", THESIS)
    columns = list(dict.fromkeys([*ours.columns, *published.columns]))
    records = [*ours.to_dict("records"), *published.to_dict("records")]
    return pd.DataFrame(records, columns=columns)


def write_table(table, number, folder, *, caption):
    """Write ``table_<number>.csv`` and ``.tex``.

    Parameters
    ----------
    table : pandas.DataFrame
    number : str
        The thesis's own number, such as ``10.4``.
    folder : Path
    caption : str
        Says corpus, kind and weights; goes into the LaTeX.

    Returns
    -------
    list of Path
        The files written.

    Raises
    ------
    ParameterError
        If the table has no rows.
    StoreError
        If the folder cannot be written.
    """
    if not len(table):
        raise ParameterError(f"table {number}: found no rows, expected at least one")
    stem = f"table_{table_stem(number)}"
    csv, tex = folder / f"{stem}.csv", folder / f"{stem}.tex"
    with write_atomically(csv) as temporary:
        table.to_csv(temporary, index=False, float_format="%.10g", lineterminator="\n")
    shown = table.rename(columns=lambda name: str(name).replace("_", " "))
    text = shown.to_latex(
        index=False,
        escape=True,
        float_format="%.4g",
        na_rep="--",
        caption=_escape_latex(caption),
        label=f"tab:{stem}",
        longtable=True,
    )
    with write_atomically(tex) as temporary:
        temporary.write_text(text, encoding="utf-8")
    return [csv, tex]


def _escape_latex(text):
    for sign in "&%$#_{}":
        text = text.replace(sign, "\\" + sign)
    return text
