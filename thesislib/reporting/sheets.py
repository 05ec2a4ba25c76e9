"""The overview as HTML: a table of results and a contact sheet of figures.

The pages contain everything: no style sheet, no script, and images as data, so that they can be
moved.
"""

import base64
import io
import os
import re
from urllib.parse import quote

import pandas as pd
from PIL import Image

from thesislib.places import results_folder
from thesislib.reporting.escape import html as escape_html
from thesislib.reporting.overview import NO_CORPUS
from thesislib.reporting.published import load_list
from thesislib.reporting.runs import describe_score
from thesislib.reporting.values import show

_SMALL = "color:#666;font-size:85%"
_CELL = "text-align:left;vertical-align:top;white-space:normal;padding:4px;border-top:1px dotted"


def show_results(results, *, relative_to):
    """Format the list of results as an HTML table, one row per output.

    Parameters
    ----------
    results : DataFrame
        From :func:`~thesislib.reporting.overview.list_results`.
    relative_to : Path
        Folder of the page, where its links start.

    Returns
    -------
    str
        Outputs without a result (a diagram, say) are omitted.
    """
    rows = []
    listed = results[~results["status"].str.startswith("no result")]
    for output, group in listed.groupby("output", sort=False):
        about, complete = group.iloc[0], group["status"] == "run"
        ours = [_show(row, relative_to) for row in group[complete].to_dict("records")]
        absent = group.loc[~complete, ["kind", "status"]].to_numpy()
        if reasons := [f"{k or 'unknown'} ({s.removeprefix('not run: ')})" for k, s in absent]:
            ours.append(_small(escape_html("not run: " + ", ".join(reasons))))
        title = (
            f"<b>{escape_html(output.capitalize())}</b><br>{_small(escape_html(about['title']))}"
        )
        printed = "<br>".join(map(_keep_unit, about["printed"].split("; ")))
        rows.append({"Output": title, "Thesis": printed, "Ours": "<br>".join(ours)})
    return show_table(pd.DataFrame(rows), escape=False)


def show_table(table, *, escape=True):
    """Format a table as HTML, without truncation, with all text aligned to the left.

    Parameters
    ----------
    table : DataFrame
    escape : bool
        False if the cells are HTML.

    Returns
    -------
    str
    """
    table = table.rename(columns=lambda name: str(name).replace("_", " "))
    with pd.option_context("display.max_colwidth", None):
        html = table.map(show).to_html(index=False, border=0, justify="left", escape=escape)
    html = re.sub("<(t[dh])>", rf'<\1 style="{_CELL}">', html)
    return f'<div style="overflow-x:auto">{html}</div>'


def show_ledger(ledger):
    """Format contradictions or open choices as HTML; classes without their modules.

    Parameters
    ----------
    ledger : DataFrame
        From :func:`~thesislib.reporting.overview.load_ledger`.

    Returns
    -------
    str
    """
    names = ledger["where"].str.rsplit(".", n=1).str[-1]
    columns = [name for name in ledger if name not in ("value", "reason")] + ["value", "reason"]
    return show_table(ledger.assign(where=names)[columns])


def show_claims(judged):
    """Format the claims with comparisons as an HTML table, followed by the other claims.

    Parameters
    ----------
    judged : DataFrame
        From :func:`~thesislib.reporting.objectives.judge_objectives`.

    Returns
    -------
    str
    """
    compared = judged["verdict"] != "not run"
    rest = judged[~compared].groupby("objective", sort=False)["claim"].agg("; ".join)
    lines = "<br>".join(escape_html(f"{name}: {claims}") for name, claims in rest.items())
    table = show_table(judged[compared]) if compared.any() else ""
    return table + (f"<p>{_small(f'Not run:<br>{lines}')}</p>" if lines else "")


def _small(text):
    return f'<span style="{_SMALL}">{text}</span>'


def _show(row, relative_to):
    """Format a result: kind, system, score, origin and link."""
    bounds = {key: row[key] for key in ("low", "high")}
    row = {key: "" if pd.isna(value) else value for key, value in row.items()} | bounds
    without = row["kind"] == NO_CORPUS
    seed = "" if without or not row["seed"] else f"seed {row['seed']}"
    origin = [row["corpus"] or NO_CORPUS, row["weights"], seed, row["source"]]
    origin = "; ".join(escape_html(str(part)) for part in origin if part)
    if row["link"]:
        link = os.path.relpath(results_folder() / row["link"], relative_to)
        origin += f'; <a href="{quote(link)}">notebook</a>'
    score = "available" if row["score"] == "" else f"<b>{_keep_unit(describe_score(row))}</b>"
    kind = "" if without else f"<i>{escape_html(row['kind'])}:</i>"
    return " ".join(filter(None, [kind, escape_html(row["system"]), score, _small(f"({origin})")]))


def _keep_unit(text):
    """Keep a number and its unit on one line."""
    return escape_html(text).replace(" %", "&nbsp;%")


def show_figures(runs, *, relative_to, height_px=150):
    """Format thumbnails of all figures as one HTML sheet.

    Parameters
    ----------
    runs : list of dict
        From :func:`~thesislib.reporting.overview.find_runs`.
    relative_to : Path
        Folder where the links to the figures start.
    height_px : int
        Of each thumbnail.

    Returns
    -------
    str
    """
    outputs = load_list("outputs").set_index("output")["corpus"]
    cells = []
    for run in runs:
        record = run["record"]
        kinds = ", ".join(sorted({c["kind"] for c in record.get("corpora", {}).values()}))
        for name in [name for name in record.get("outputs", {}) if name.endswith(".png")]:
            path = run["folder"] / name
            title = re.sub(r"(\d)_(\d)", r"\1.\2", path.stem).replace("_", " ")
            kind = NO_CORPUS if outputs.get(title) else kinds or NO_CORPUS
            title = escape_html(f"{title.capitalize()}, {run['source']} ({kind})")
            cells.append(
                f'<figure style="margin:6px"><a href="{quote(os.path.relpath(path, relative_to))}">'
                f'<img alt="{title}" src="{_shrink(path, height_px)}" '
                f'style="height:{height_px}px;max-width:100%;object-fit:contain"></a>'
                f"<figcaption>{_small(title)}</figcaption></figure>"
            )
    sheet = "".join(cells) or "<p>No figures yet.</p>"
    return f'<div style="display:flex;flex-wrap:wrap">{sheet}</div>'


def _shrink(path, height_px):
    """Encode an image at twice its height on the page as a data URL."""
    with Image.open(path) as image:
        image = image.convert("RGB")
    image.thumbnail((8 * height_px, 2 * height_px))
    stream = io.BytesIO()
    image.save(stream, "JPEG", quality=80)
    return "data:image/jpeg;base64," + base64.b64encode(stream.getvalue()).decode()
