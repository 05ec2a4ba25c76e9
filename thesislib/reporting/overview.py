"""What every table and figure of the thesis stands at; its misprints, and the choices left open.

Nothing is run here: the finished runs in ``results`` and the kept results in
``docs/stand_ins.csv`` are read. Whatever is missing is listed as such.

::

    python -m thesislib.reporting.overview results/public/10_2_snore
    python -m thesislib.reporting.overview --readme

The first adds a run's headlines to ``docs/stand_ins.csv``, the second prints the README's table.
"""

import argparse
import importlib
import inspect
import os
import sys
from fnmatch import fnmatchcase
from pathlib import Path

import pandas as pd
import yaml

from thesislib.errors import ParameterError, ThesisError
from thesislib.places import notebooks_folder, project_root, results_folder
from thesislib.reporting.headlines import (
    describe_headline,
    keep_stand_ins,
    load_list,
    load_stand_ins,
    read_headlines,
    read_run,
    stand_ins_file,
)
from thesislib.reporting.notebooks import OVERVIEW, PROFILES, read_parameters
from thesislib.reporting.published import list_published, load_published, published_headline
from thesislib.reporting.results import list_folders
from thesislib.reporting.tables import table_stem

#: What a run of a profile is on, where it cannot tell itself.
KINDS = {"demo": "synthetic", "public": "stand-in", "paper": "thesis"}
KEPT = "docs/stand_ins.csv"
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
        ``source`` (the profile, or the name given), ``notebook``, ``folder``, ``record`` (of
        ``run.json``), ``rows`` (as `read_headlines`) and ``problem`` (why there are none).
    """
    places = {profile: results_folder() / profile for profile in PROFILES} | (further or {})
    runs = []
    for source, place in places.items():
        place = Path(place)
        own = [place] if (place / "run.json").exists() else []
        for folder in own + list_folders(place):
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


def list_results(runs, kept=None):
    """List every table and figure of the thesis with what there is of it.

    Parameters
    ----------
    runs : list of dict
        From `find_runs`.
    kept : DataFrame, optional
        From `load_stand_ins`.

    Returns
    -------
    DataFrame
        One row or more an output: ``output``, ``section``, ``title``, ``printed`` (the thesis's
        headline), ``kind`` (``thesis``, ``stand-in``, ``synthetic``, ``no corpus``), ``source``,
        ``system``, ``score``, ``low``, ``high``, ``measure``, ``corpus``, ``weights``, ``seed``,
        ``status`` (``run``, ``not run: why``, ``no result: why``) and ``link``, which
        starts from the results folder.
    """
    kept = load_stand_ins() if kept is None else kept
    rows = []
    for output in load_list("outputs").to_dict("records"):
        about = {key: output[key] for key in ("output", "section", "title")}
        about["printed"] = describe_printed(output["output"])
        if output["notebook"]:
            found = _list_made(output, runs, kept)
        else:
            found = [{"status": f"no result: {output['reason']}"}]
        rows += [{**about, **row} for row in found]
    columns = (
        "output section title printed kind source system score low high measure corpus weights "
        "seed status link"
    )
    return pd.DataFrame(rows, columns=columns.split())


def _list_made(output, runs, kept):
    """Rows of one output: what was made of it, and on which kinds of corpora nothing was."""
    kind, number = output["output"].split()
    file = f"{kind}s/{kind}_{table_stem(number)}.{'csv' if kind == 'table' else 'png'}"
    found = []
    for run in (run for run in runs if run["notebook"] == output["notebook"]):
        record = run["record"]
        corpora = record.get("corpora", {})
        # 4.1 names its corpora by the figure.
        own = [corpora[name] for name in (output["output"].capitalize(),) if name in corpora]
        own = own or list(corpora.values())
        kinds = sorted({c["kind"] for c in own}) or [KINDS.get(run["source"], "")]
        row = {
            "kind": NO_CORPUS if output["corpus"] else ", ".join(kinds),
            "corpus": "" if output["corpus"] else "; ".join(dict.fromkeys(c["name"] for c in own)),
            "source": run["source"],
            "seed": str(record.get("parameters", {}).get("seed", "")),
            "status": "run",
            "link": os.path.relpath(run["folder"] / "executed.ipynb", results_folder()),
        }
        if run["problem"]:
            found.append({**row, "status": f"not run: {run['problem']}", "link": ""})
        elif file not in record["outputs"]:
            found.append({**row, "status": "not run: the run made none"})
        else:
            scored = pick_headlines(run["rows"], number if kind == "table" else "")
            found += [{**row, **score} for score in scored] or [row]
    for score in pick_headlines(kept, number if kind == "table" else ""):
        found.append({**score, "kind": score["corpus_kind"], "source": KEPT, "status": "run"})
    if output["corpus"]:
        return found or [{"kind": NO_CORPUS, "status": "not run: no results"}]
    there = {row["kind"] for row in found}
    reasons = {"thesis": _find_own_corpus(output["notebook"]), "stand-in": "no results"}
    reasons["synthetic"] = f"thesis run {output['notebook']}"
    missing = [name for name in reasons if name not in there]
    return found + [{"kind": name, "status": f"not run: {reasons[name]}"} for name in missing]


def _find_own_corpus(notebook):
    """Why the thesis's corpus was not used."""
    path = notebooks_folder() / "parameters" / "paper" / f"{notebook}.yaml"
    values = yaml.safe_load(path.read_text(encoding="utf-8")) if path.is_file() else {}
    corpus = (values or {}).get("corpus", "")
    return "no results" if (project_root() / corpus).is_dir() else f"no corpus in {corpus}"


def pick_headlines(rows, table):
    """Rows of the system that stands for a table, one for each corpus or task.

    Parameters
    ----------
    rows : DataFrame
        With the columns of `read_headlines`.
    table : str
        The thesis's number.

    Returns
    -------
    list of dict
        Of the first pattern in ``data/published/overview/headlines.csv`` that fits; a method
        comes before a control. Nothing is chosen by its score.
    """
    patterns = load_list("headlines").set_index("table")["systems"].get(table, "")
    rows = rows[rows["table"] == table]
    for role in ("method", "baseline", "control"):
        of_role = rows[rows["role"] == role]
        for pattern in filter(None, patterns.split("|")):
            fits = of_role[[fnmatchcase(name, pattern) for name in of_role["system"]]]
            if len(fits):
                return fits[fits["system"] == fits["system"].iloc[0]].to_dict("records")
    return []


def describe_printed(output, rows=None, keys=None):
    """The thesis's headline of a table, in a line.

    Parameters
    ----------
    output : str
        Such as ``"table 10.4"``; a figure prints no number.
    rows : str, optional
        Which rows of the printed table, as for ``DataFrame.query``; default: its headlines.
    keys : sequence of str, optional
        Columns whose words are given with a value; default: all but notes.

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
        shown = [k for k in row if k != "note"] if keys is None else [k for k in keys if k in row]
        words = [row[k] for k in shown if isinstance(row[k], str) and row[k]]
        texts.append(" ".join([*words, form.format(row[measure])]))
    return "; ".join(texts)


def load_ledger(name):
    """Read the thesis's contradictions, or its open choices, with the values that are used.

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
        If a parameter is not where the list says.
    """
    ledger = load_list(name)
    ledger["value"] = [find_value(*pair) for pair in ledger[["where", "parameter"]].to_numpy()]
    return ledger


def find_value(where, parameter):
    """Value of a notebook's parameter (paper profile) or of a class's (default), as text.

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
        values = {key: given.default for key, given in signature.parameters.items()}
    else:
        values = read_parameters(where)
        path = notebooks_folder() / "parameters" / "paper" / f"{where}.yaml"
        values |= yaml.safe_load(path.read_text(encoding="utf-8")) if path.is_file() else {}
    if parameter not in values:
        raise ParameterError(f"{where}: found no parameter {parameter!r}")
    return str(values[parameter])


def write_readme_table(kept=None):
    """The README's table of headlines, as Markdown.

    Parameters
    ----------
    kept : DataFrame, optional
        From `load_stand_ins`.

    Returns
    -------
    str
        A row an experiment: the thesis's value, the same system on real stand-ins with its 95 %
        interval, and on the thesis's own corpus.
    """
    kept = load_stand_ins() if kept is None else kept
    own = kept["corpus_kind"] == "thesis"
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
        for rows in (kept[~own], kept[own]):
            scored = pick_headlines(rows[rows["role"] == "method"], headline.table)
            cells.append("<br>".join(map(_describe_kept, scored)) or "not run")
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def _describe_kept(row):
    """Corpus, system, its pre-trained network where the name has none, and score."""
    given = row["weights"].removeprefix("pre-trained: ") if ":" in row["weights"] else ""
    networks = [name.split()[0] for name in given.split(", ") if name]
    new = [name for name in networks if name not in row["system"]]
    system = row["system"] + (f" ({', '.join(new)})" if new else "")
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
    parser.add_argument("-o", "--output", type=Path, help=f"default: {KEPT}")
    parser.add_argument("--command", help="the command that was run; default: built anew")
    parser.add_argument("--date", help="YYYY-MM-DD; default: when run.json was written")
    parser.add_argument("--readme", action="store_true", help="print the README's table")
    given = parser.parse_args(arguments)
    output = given.output or stand_ins_file()
    try:
        kept = load_stand_ins(output)
        if given.folders:
            kept = keep_stand_ins(given.folders, output, command=given.command, date=given.date)
            print(f"{output}: {len(kept)} rows")
        if given.readme:
            print(write_readme_table(kept), end="")
    except ThesisError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
