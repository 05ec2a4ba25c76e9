"""One table or figure of the thesis: found among the results, or made by its notebook."""

import contextlib
import shutil
import sys
from pathlib import Path

import pandas as pd

from thesislib.compendium.parameters import plan_runs
from thesislib.compendium.run import NotebookError
from thesislib.compendium.schedule import run_all
from thesislib.errors import ParameterError, check_option
from thesislib.reporting.layouts import render
from thesislib.reporting.published import load_list
from thesislib.reporting.results import describe_origin, find_results, read_record
from thesislib.reporting.tables import table_stem
from thesislib.store import write_atomically


def find_output(kind, number, *, run=None, corpus=None, profile="demo"):
    """Folder of results with a table or figure; if there is none, its notebook is run.

    Parameters
    ----------
    kind : {"table", "figure"}
    number : str
        The thesis's number. In ``run``, tables and figures of the compendium's own have one, too.
    run : str or Path, optional
        Folder of results to take it from; nothing is run then.
    corpus : str or Path, optional
        Folder of a corpus. Results of another corpus are replaced, as by ``thesis run``.
    profile : {"demo", "paper", "public"}

    Returns
    -------
    Path
        Of the CSV or PNG.

    Raises
    ------
    ParameterError
        For an unknown number; lists the known ones.
    NotebookError
        If the notebook fails.
    """
    folder, ending = (f"{kind}s", {"table": "csv", "figure": "png"}[kind])
    file = f"{folder}/{kind}_{table_stem(number)}.{ending}"
    if run is not None:
        record = read_record(run)
        if record is None:
            raise ParameterError(f"{run}: found no run.json of a complete run, expected results")
        names = [name for name in record["outputs"] if name.startswith(f"{folder}/")]
        stems = [Path(name).stem for name in names if name.endswith(f".{ending}")]
        numbers = [stem.removeprefix(f"{kind}_").replace("_", ".", 1) for stem in stems]
        if file not in record["outputs"]:
            expected = ", ".join(numbers) or "a run that has one"
            raise ParameterError(f"{kind}: found {number!r}, expected one of {expected}")
        return Path(run) / file
    listed = load_list("outputs").set_index("output")
    listed = listed[listed.index.str.startswith(f"{kind} ")]
    notebooks = {key.split(" ")[1]: name for key, name in listed["notebook"].items() if name}
    name = notebooks.get(number)
    if name is None:
        reason = listed["reason"].get(f"{kind} {number}", "")
        reason = f" ({reason})" if reason else ""
        expected = ", ".join(notebooks)
        raise ParameterError(f"{kind}: found {number!r}{reason}, expected one of {expected}")
    plan = plan_runs([name], profile=profile, corpus=corpus)[name]
    results = find_results(name, plan)
    record = read_record(results) or {"outputs": {}}
    other = record.get("parameters", {}).get("corpus") != plan.get("corpus")
    if file not in record["outputs"] or (corpus is not None and other):
        # Only the table goes to the output.
        with contextlib.redirect_stdout(sys.stderr):
            (outcome,) = run_all([name], profile=profile, corpus=corpus)
        if outcome.state == "FAILED":
            raise NotebookError(outcome.error)
    if not (results / file).is_file():
        raise ParameterError(
            f"{kind} {number}: found results of {name} without it, expected {results / file}"
        )
    return results / file


def format_table(path, number, form):
    """Read a table of results, and format it in the thesis's layout.

    Parameters
    ----------
    path : Path
        Of the CSV in a folder of results.
    number : str
    form : {"csv", "tex", "html", "md"}

    Returns
    -------
    str
    """
    if form == "csv":
        return path.read_text(encoding="utf-8")
    table = pd.read_csv(path, keep_default_na=False, na_values=[""])
    titles = load_list("outputs").set_index("output")["title"]
    title = titles.get(f"table {number}", "")
    record = read_record(path.parents[1]) or {}
    origin = describe_origin(record.get("corpora", {}), record.get("weights", {})) + "."
    caption = f"{title}. Ours: {origin}" if title else f"Ours: {origin}"
    return render(table, number, form, caption=caption)


def write_output(content, output):
    """Write a text, or copy a file, to a file of the user's."""
    with write_atomically(output) as temporary:
        if isinstance(content, Path):
            shutil.copyfile(content, temporary)
        else:
            temporary.write_text(content, encoding="utf-8", newline="")


def show_table(number, *, format=None, output=None, **where):
    """``thesis table``: print a table, or write it.

    ``format`` defaults to the suffix of ``output``, or Markdown; ``where`` as in
    :func:`find_output`.
    """
    forms = ["md", "tex", "html", "csv"]
    if output is not None and format is None:
        format = check_option("output: suffix", output.suffix[1:], forms)
    content = format_table(find_output("table", number, **where), number, format or "md")
    if output is None:
        return content.rstrip("\n")
    write_output(content, output)
    return str(output)


def show_figure(number, *, output=None, **where):
    """``thesis figure``: name the file of a figure, or write it (PNG or PDF)."""
    form = "png"
    if output is not None:
        form = check_option("output: suffix", output.suffix[1:], ["png", "pdf"])
    path = find_output("figure", number, **where).with_suffix(f".{form}")
    if output is not None:
        write_output(path, output)
    return str(output or path)
