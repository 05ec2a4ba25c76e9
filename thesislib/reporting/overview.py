"""Status of every table and figure of the thesis, its misprints and its open choices.

This module runs no experiment. It reads the finished runs in ``results`` and the stored results in
``docs/stand_ins.csv``; missing results are listed with the reason.

::

    python -m thesislib.reporting.overview results/public/10_2_snore
    python -m thesislib.reporting.overview --readme

The first adds a run's headlines to ``docs/stand_ins.csv``, the second prints the table of the
README.
"""

import argparse
import importlib
import inspect
import os
import sys
from fnmatch import fnmatchcase
from pathlib import Path

import pandas as pd

from thesislib.errors import ParameterError, ThesisError
from thesislib.places import project_root, results_folder
from thesislib.reporting.headlines import (
    describe_headline,
    load_stand_ins,
    read_headlines,
    read_run,
    stand_ins_file,
    store_headlines,
)
from thesislib.reporting.notebooks import OVERVIEW, PROFILES, read_parameters, read_profile
from thesislib.reporting.published import (
    list_published,
    load_list,
    load_published,
    published_headline,
)
from thesislib.reporting.results import list_folders
from thesislib.reporting.tables import table_stem

#: Kind of corpus of a profile, for runs without a record.
KINDS = {"demo": "synthetic", "public": "stand-in", "paper": "thesis"}
STORED = "docs/stand_ins.csv"
NO_CORPUS = "no corpus"


def find_runs(further=None):
    """Find the runs in the results folder, and in others.

    Parameters
    ----------
    further : dict of str to path, optional
        More folders by a name for each: results of one notebook, or folders that hold such.

    Returns
    -------
    list of dict
        ``source`` (the profile, or the key), ``notebook``, ``folder``, ``record`` (of
        ``run.json``), ``rows`` (as `read_headlines`) and ``problem`` (why there are none).
    """
    places = {profile: results_folder() / profile for profile in PROFILES} | (further or {})
    runs = []
    for source, place in ((source, Path(place)) for source, place in places.items()):
        for folder in [place] * (place / "run.json").exists() + list_folders(place):
            run = {"source": source, "notebook": folder.name, "folder": folder, "problem": ""}
            try:
                run |= {"record": read_run(folder), "rows": read_headlines(folder)}
                run["notebook"] = run["record"]["notebook"]
                if folder not in (place, place / run["notebook"]):
                    run["source"] = f"{source}/{folder.name}"
            except ParameterError as error:
                run |= {"record": {}, "rows": load_stand_ins(os.devnull), "problem": str(error)}
            runs.append(run)
    return [run for run in runs if run["notebook"] != OVERVIEW]


def list_results(runs, stored=None):
    """List every table and figure of the thesis with its results.

    Parameters
    ----------
    runs : list of dict
        From `find_runs`.
    stored : DataFrame, optional
        From `load_stand_ins`.

    Returns
    -------
    DataFrame
        At least one row per output: ``output``, ``section``, ``title``, ``printed`` (the thesis's
        headline), ``kind`` (``thesis``, ``stand-in``, ``synthetic``, ``no corpus``), ``source``,
        ``system``, ``score``, ``low``, ``high``, ``measure``, ``corpus``, ``weights``, ``seed``,
        ``status`` (``run``, ``not run: why``, ``no result: why``) and ``link``, relative to the
        results folder.
    """
    stored = load_stand_ins() if stored is None else stored
    rows = []
    for output in load_list("outputs").to_dict("records"):
        about = {key: output[key] for key in ("output", "section", "title")}
        about["printed"] = describe_printed(output["output"])
        status = f"no result: {output['reason']}"
        ours = _list_ours(output, runs, stored) if output["notebook"] else [{"status": status}]
        rows += [about | row for row in ours]
    columns = (
        "output section title printed kind source system score low high measure corpus weights "
        "seed status link"
    )
    return pd.DataFrame(rows, columns=columns.split())


def _list_ours(output, runs, stored):
    """List the results of one output, and the kinds of corpora without any."""
    kind, number = output["output"].split()
    file = f"{kind}s/{kind}_{table_stem(number)}.{'csv' if kind == 'table' else 'png'}"
    table, without = number if kind == "table" else "", output["corpus"]
    rows = []
    for run in (run for run in runs if run["notebook"] == output["notebook"]):
        record = run["record"]
        corpora = record.get("corpora", {})
        # The notebook of 4.1 names its corpora by the figure.
        own = corpora.get(output["output"].capitalize())
        own = [own] if own else list(corpora.values())
        kinds = sorted({c["kind"] for c in own}) or [KINDS.get(run["source"], "")]
        row = {
            "kind": NO_CORPUS if without else ", ".join(kinds),
            "corpus": "" if without else "; ".join(dict.fromkeys(c["name"] for c in own)),
            "source": run["source"],
            "seed": str(record.get("parameters", {}).get("seed", "")),
            "status": "run",
            "link": os.path.relpath(run["folder"] / "executed.ipynb", results_folder()),
        }
        if run["problem"]:
            rows.append({**row, "status": f"not run: {run['problem']}", "link": ""})
        elif file not in record["outputs"]:
            rows.append({**row, "status": "not run: the run made none"})
        else:
            rows += [row | score for score in pick_headlines(run["rows"], table) or [{}]]
    for score in pick_headlines(stored, table):
        rows.append({**score, "kind": score["corpus_kind"], "source": STORED, "status": "run"})
    if without:
        return rows or [{"kind": NO_CORPUS, "status": "not run: no results"}]
    corpus = read_profile(output["notebook"], "paper").get("corpus", "")
    present = (project_root() / corpus).is_dir()
    reasons = {
        "thesis": "no results" if present else f"no corpus in {corpus}",
        "stand-in": "no results",
        "synthetic": f"thesis run {output['notebook']}",
    }
    missing = reasons.keys() - {row["kind"] for row in rows}
    return rows + [
        {"kind": kind, "status": f"not run: {reason}"}
        for kind, reason in reasons.items()
        if kind in missing
    ]


def pick_headlines(rows, table):
    """Select the rows of the system that represents a table, one per corpus or task.

    Parameters
    ----------
    rows : DataFrame
        With the columns of `read_headlines`.
    table : str
        The thesis's number.

    Returns
    -------
    list of dict
        Of the first pattern in ``data/published/overview/headlines.csv`` that matches; a method
        takes precedence over a control. The selection does not depend on scores.
    """
    patterns = load_list("headlines").set_index("table")["systems"].get(table, "")
    rows = rows[rows["table"] == table]
    for role in ("method", "baseline", "control"):
        of_role = rows[rows["role"] == role]
        for pattern in filter(None, patterns.split("|")):
            matches = of_role[[fnmatchcase(name, pattern) for name in of_role["system"]]]
            if len(matches):
                return matches[matches["system"] == matches["system"].iloc[0]].to_dict("records")
    return []


def describe_printed(output, rows=None, keys=None):
    """Format the thesis's headline of a table as one line.

    Parameters
    ----------
    output : str
        Such as ``"table 10.4"``; empty for a figure.
    rows : str, optional
        Rows of the printed table, as for ``DataFrame.query``; by default its headlines.
    keys : sequence of str, optional
        Columns with the names of a value; by default all but notes.

    Returns
    -------
    str

    Examples
    --------
    >>> describe_printed("table 10.4")
    'AlexNet fc7 viridis 67.0 %'
    """
    kind, number = output.split()
    listed = list_published()
    if kind == "figure" or number not in listed.index or not listed.loc[number, "measure"]:
        return ""
    measure = listed.loc[number, "measure"]
    table = load_published(number).query(rows) if rows else published_headline(number)
    form = "{:.2f}" if measure == "error_rate" else "{:.1f} %"
    texts = []
    for row in table.to_dict("records"):
        names = [row[key] for key in (keys or row) if key != "note" and key in row]
        words = [name for name in names if isinstance(name, str) and name]
        texts.append(" ".join([*words, form.format(row[measure])]))
    return "; ".join(texts)


def load_ledger(name):
    """Read the contradictions of the thesis, or its open choices, with the values used here.

    Parameters
    ----------
    name : {"contradictions", "open_choices"}

    Returns
    -------
    DataFrame
        The list, and ``value``: of the parameter in the paper profile, else its default.

    Raises
    ------
    ParameterError
        If a class or notebook lacks the parameter that the list names.
    """
    ledger = load_list(name)
    ledger["value"] = [find_value(*pair) for pair in ledger[["where", "parameter"]].to_numpy()]
    return ledger


def find_value(where, parameter):
    """Return a notebook's parameter (paper profile) or a class's default as text.

    Examples
    --------
    >>> find_value("thesislib.representations.dcgan.DCGAN", "noise")
    'uniform'
    """
    if not parameter:
        return ""
    if where.startswith("thesislib."):
        module, name = where.rsplit(".", 1)
        signature = inspect.signature(getattr(importlib.import_module(module), name))
        values = {key: value.default for key, value in signature.parameters.items()}
    else:
        values = read_parameters(where) | read_profile(where, "paper")
    if parameter not in values:
        raise ParameterError(f"{where}: found no parameter {parameter!r}")
    return str(values[parameter])


def write_readme_table(stored=None):
    """Format the README's table of headlines as Markdown.

    Parameters
    ----------
    stored : DataFrame, optional
        From `load_stand_ins`.

    Returns
    -------
    str
        One row per experiment: the thesis's value, the same system on real stand-ins with its 95 %
        interval, and on the thesis's own corpus.
    """
    stored = load_stand_ins() if stored is None else stored
    own = stored["corpus_kind"] == "thesis"
    outputs = load_list("outputs").set_index("output")
    lines = [
        "| Section | Thesis | Real stand-in, 95 % interval | The thesis's corpus |",
        "|---|---|---|---|",
    ]
    for headline in load_list("headlines").query("readme != ''").itertuples():
        notebook = outputs.loc[f"table {headline.table}", "notebook"]
        chapter, part, *_ = notebook.split("_")
        printed = describe_printed(f"table {headline.table}", headline.readme, keys=["task"])
        measure = list_published().loc[headline.table, "measure"]
        measure = {"accuracy_percent": "accuracy", "error_rate": "error rate"}.get(measure, "UAR")
        cells = [f"{int(chapter)}.{part}", f"{headline.name}: {printed} {measure}"]
        for rows in (stored[~own], stored[own]):
            scored = pick_headlines(rows[rows["role"] == "method"], headline.table)
            cells.append("<br>".join(map(_describe_stored, scored)) or "not run")
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def _describe_stored(row):
    """Format corpus, system, its pre-trained network unless the name has it, and score."""
    weights = row["weights"].removeprefix("pre-trained: ") if ":" in row["weights"] else ""
    networks = [name.split()[0] for name in weights.split(", ") if name]
    networks = [name for name in networks if name not in row["system"]]
    system = row["system"] + (f" ({', '.join(networks)})" if networks else "")
    return f"{row['corpus']}: {system} {describe_headline(row)}"


def main(arguments=None):
    """Add runs to ``docs/stand_ins.csv``, or print the README's table.

    Returns
    -------
    int
        0, or 2 with the error in a line.
    """
    parser = argparse.ArgumentParser(prog="python -m thesislib.reporting.overview")
    parser.add_argument(
        "folders", nargs="*", type=Path, metavar="FOLDER", help="results of a finished run"
    )
    parser.add_argument("-o", "--output", type=Path, help=f"default: {STORED}")
    parser.add_argument("--command", help="the command that was run; default: built anew")
    parser.add_argument("--date", help="YYYY-MM-DD; default: when run.json was written")
    parser.add_argument("--readme", action="store_true", help="print the README's table")
    options = parser.parse_args(arguments)
    output = options.output or stand_ins_file()
    try:
        stored = load_stand_ins(output)
        if options.folders:
            stored = store_headlines(
                options.folders, output, command=options.command, date=options.date
            )
            print(f"{output}: {len(stored)} rows")
        if options.readme:
            print(write_readme_table(stored), end="")
    except ThesisError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
