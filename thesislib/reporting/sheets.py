"""The overview as pages: a list of results and a contact sheet of figures, in plain HTML.

Everything is inside: no style sheet, no script, and pictures as data, so that a page that was
moved still shows them.
"""

import base64
import html
import io
import os

import pandas as pd
from PIL import Image

from thesislib.places import results_folder
from thesislib.reporting.headlines import describe_headline, load_list
from thesislib.reporting.overview import NO_CORPUS

SMALL = "color:#666;font-size:85%"
CELL = "text-align:left;vertical-align:top;padding:4px 8px;border-bottom:1px solid #ddd"


def show_results(results, *, relative_to):
    """The list of results as an HTML table, a row an output.

    Parameters
    ----------
    results : DataFrame
        From :func:`~thesislib.reporting.overview.list_results`.
    relative_to : Path
        Folder of the page, where its links start from.

    Returns
    -------
    str
        What has no result (a diagram, say) is left out.
    """
    lines = [_row("th", ["Output", "Thesis", "Ours"])]
    listed = results[~results["status"].str.startswith("no result")]
    for output, rows in listed.groupby("output", sort=False):
        about = rows.iloc[0]
        made = [_show(row, relative_to) for row in rows[rows["status"] == "run"].to_dict("records")]
        lacking = rows[rows["status"] != "run"]
        lacking = [
            f"{kind or 'unknown'} ({status.removeprefix('not run: ')})"
            for kind, status in lacking[["kind", "status"]].to_numpy()
        ]
        if lacking:
            text = html.escape("not run: " + ", ".join(lacking))
            made.append(f'<span style="{SMALL}">{text}</span>')
        lines.append(
            _row(
                "td",
                [
                    f"<b>{html.escape(output.capitalize())}</b><br>"
                    f'<span style="{SMALL}">{html.escape(about["title"])}</span>',
                    "<br>".join(map(_keep_unit, about["printed"].split("; "))),
                    "<br>".join(made),
                ],
            )
        )
    return _wrap(lines)


def show_table(table):
    """Any table as HTML, whole and with its text to the left.

    Parameters
    ----------
    table : DataFrame

    Returns
    -------
    str
    """
    cells = table.astype(object).where(table.notna(), "").to_numpy()
    lines = [_row("th", [str(name).replace("_", " ") for name in table])]
    lines += [_row("td", [html.escape(str(cell)) for cell in row]) for row in cells]
    return _wrap(lines)


def show_ledger(ledger):
    """Contradictions or open choices, classes by their names alone.

    Parameters
    ----------
    ledger : DataFrame
        From :func:`~thesislib.reporting.overview.load_ledger`.

    Returns
    -------
    str
        HTML.
    """
    names = ledger["where"].str.rsplit(".", n=1).str[-1]
    columns = [name for name in ledger if name not in ("value", "reason")] + ["value", "reason"]
    return show_table(ledger.assign(where=names)[columns])


def show_claims(judged):
    """Claims that something was compared for, as a table; then the names of the others.

    Parameters
    ----------
    judged : DataFrame
        From :func:`~thesislib.reporting.objectives.judge_objectives`.

    Returns
    -------
    str
        HTML.
    """
    told = judged["verdict"] != "not run"
    by_objective = judged[~told].groupby("objective", sort=False)["claim"].agg("; ".join)
    lines = "<br>".join(html.escape(f"{name}: {claims}") for name, claims in by_objective.items())
    table = show_table(judged[told]) if told.any() else ""
    rest = f'<p style="{SMALL}">Not run:<br>{lines}</p>' if lines else ""
    return table + rest


def _wrap(lines):
    table = f'<table style="border-collapse:collapse;font-size:90%">{"".join(lines)}</table>'
    return f'<div style="overflow-x:auto">{table}</div>'


def _row(tag, cells):
    return "<tr>" + "".join(f'<{tag} style="{CELL}">{cell}</{tag}>' for cell in cells) + "</tr>"


def _show(row, relative_to):
    """One result: what it is, its score, where it comes from, and a link."""
    system = "" if pd.isna(row["system"]) else f"{html.escape(row['system'])} "
    score = "made" if pd.isna(row["score"]) else f"<b>{_keep_unit(describe_headline(row))}</b>"
    seed = "" if pd.isna(row["seed"]) or row["kind"] == NO_CORPUS else f"seed {row['seed']}"
    where = [row["corpus"] or NO_CORPUS, row["weights"], seed, row["source"]]
    where = "; ".join(html.escape(str(part)) for part in where if part and not pd.isna(part))
    if not pd.isna(row["link"]):
        link = os.path.relpath(results_folder() / row["link"], relative_to)
        where += f'; <a href="{html.escape(link)}">notebook</a>'
    kind = "" if row["kind"] == NO_CORPUS else f"<i>{html.escape(row['kind'])}:</i> "
    return f'{kind}{system}{score} <span style="{SMALL}">({where})</span>'


def _keep_unit(text):
    """A number and its unit stay in one line."""
    return html.escape(text).replace(" %", "&nbsp;%")


def show_figures(runs, *, relative_to, height_px=150):
    """All figures that are there, small, on one sheet.

    Parameters
    ----------
    runs : list of dict
        From :func:`~thesislib.reporting.overview.find_runs`.
    relative_to : Path
        Folder that the links to the figures start from.
    height_px : int
        Of each picture.

    Returns
    -------
    str
        HTML; says so if there are none.
    """
    outputs = load_list("outputs").set_index("output")
    without = set(outputs.index[outputs["corpus"] != ""])
    pictures = []
    for run in runs:
        for name in run["record"].get("outputs", {}):
            if not name.endswith(".png"):
                continue
            path = run["folder"] / name
            number = path.stem.removeprefix("figure_").replace("_", ".", 1).replace("_", " ")
            kinds = {c["kind"] for c in run["record"]["corpora"].values()}
            kinds = {NO_CORPUS} if f"figure {number}" in without or not kinds else kinds
            title = f"Figure {number}, {run['source']} ({', '.join(sorted(kinds))})"
            pictures.append(
                f'<figure style="margin:6px"><a href="{os.path.relpath(path, relative_to)}">'
                f'<img alt="{title}" src="{_shrink(path, height_px)}" '
                f'style="height:{height_px}px;max-width:100%;object-fit:contain"></a>'
                f'<figcaption style="{SMALL}">{title}</figcaption></figure>'
            )
    if not pictures:
        return "<p>No figures yet.</p>"
    return f'<div style="display:flex;flex-wrap:wrap">{"".join(pictures)}</div>'


def _shrink(path, height_px):
    """A picture at twice its height on the page, as a data address."""
    with Image.open(path) as picture:
        picture = picture.convert("RGB")
        picture.thumbnail((8 * height_px, 2 * height_px))
        stream = io.BytesIO()
        picture.save(stream, "JPEG", quality=80)
    return "data:image/jpeg;base64," + base64.b64encode(stream.getvalue()).decode()
