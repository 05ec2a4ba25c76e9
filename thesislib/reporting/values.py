"""Values of tables as text, as the thesis prints them."""

import pandas as pd

#: Selection on the reported part, in predictions and tidy tables.
AS_PUBLISHED = "as published"
#: Its name in the tables of a corpus on which nothing was published.
OPTIMISTIC = "selected on the test part (optimistic)"
_SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def show(value, form=None):
    """Format a value as text; missing ones are empty."""
    if value is None or value is pd.NA or value != value:
        return ""
    if isinstance(value, bool | str) or not hasattr(value, "__float__"):
        return {True: "yes", False: "no"}.get(value, str(value))
    value = float(value)
    if form == "power" or (form == "p" and 0 < value < 0.01):
        digits, exponent = f"{value:.0e}".split("e")
        power = "10" + str(int(exponent)).translate(_SUPERSCRIPTS)
        return power if digits == "1" else f"{digits}·{power}"
    digits = {"percent": 1, "rate": 2, "p": 3}.get(form)
    if digits is None:
        is_whole = value.is_integer() and abs(value) < 1e15
        shown = f"{value:,.0f}".replace(",", "\u2009") if is_whole else f"{value:.4g}"
    else:
        shown = f"{value:.{digits}f}"
    return shown.replace("-", "−")


def name_selections(table):
    """Name the selection on the reported part where nothing was published, and put it last.

    Parameters
    ----------
    table : pandas.DataFrame
        Tidy, with ``corpus_kind``: rows of stand-ins are renamed.

    Returns
    -------
    pandas.DataFrame

    Examples
    --------
    >>> import pandas as pd
    >>> table = pd.DataFrame({"selection": ["as published", "nested"], "corpus_kind": "stand-in"})
    >>> name_selections(table)["selection"].tolist()
    ['nested', 'selected on the test part (optimistic)']
    """
    if not {"selection", "corpus_kind"} <= set(table):
        return table
    own = table["corpus_kind"].map(show).str.contains("stand-in")
    renamed = table["selection"].map(show).str.replace(AS_PUBLISHED, OPTIMISTIC)
    last = own & (renamed == OPTIMISTIC)
    table = table.assign(selection=table["selection"].where(~own, renamed))
    return pd.concat([table[~last], table[last]])


def spell_plainly(value):
    """Spelling that does not matter: ``AlexNet`` and ``alexnet`` are one."""
    text = show(value).casefold()
    return "".join(filter(str.isalnum, text)) or text


def compose(value, row, form, spec):
    """Text of a column, or of several with a template each."""
    if isinstance(value, str):
        return show(row.get(value, ""), form)
    parts = [text.format(show(row[name], form)) for name, text in value.items() if name in row]
    return spec.get("join", " ").join(parts)


def show_interval(spec, row):
    """Format the interval of a cell's value; percentages without decimals."""
    if not isinstance(spec["value"], str):
        return ""
    base, percent, _ = spec["value"].partition("_percent")
    names = spec.get("interval", [f"{base}_{end}{percent}" for end in ("low", "high")])
    ends = [row.get(name) for name in names]
    if None in ends:
        return ""
    low, high = (f"{end:.0f}" if percent else show(end, spec.get("format")) for end in ends)
    return f"[{low}, {high}]".replace("-", "−")
