"""Status of every table and figure of the thesis, its misprints and its open choices.

This module runs no experiment. It reads the finished runs in ``results`` and those stored in
``docs/stand_ins``; missing results are listed with the reason.
"""

import importlib
import inspect
import os

import pandas as pd

from thesislib.errors import ParameterError
from thesislib.places import project_root, results_folder
from thesislib.reporting.escape import markdown
from thesislib.reporting.notebooks import read_parameters, read_profile
from thesislib.reporting.published import (
    list_published,
    load_list,
    load_published,
    published_headline,
)
from thesislib.reporting.runs import (
    describe_score,
    drop_settings,
    load_stored,
    pick_headlines,
    score_systems,
)
from thesislib.reporting.tables import table_stem

#: Kind of corpus of a profile, for runs without a record.
KINDS = {"demo": "synthetic", "public": "stand-in", "paper": "thesis"}
NO_CORPUS = "no corpus"
#: Table with scores within domains and elsewhere.
ELSEWHERE = "11.4"


def list_results(runs, scores=None):
    """List every table and figure of the thesis with its results.

    Parameters
    ----------
    runs : list of dict
        From :func:`~thesislib.reporting.runs.find_runs` and
        :func:`~thesislib.reporting.runs.load_stored`.
    scores : DataFrame, optional
        From :func:`~thesislib.reporting.runs.score_systems`; default: computed.

    Returns
    -------
    DataFrame
        At least one row per output: ``output``, ``section``, ``title``, ``printed`` (the thesis's
        headline), ``kind`` (``thesis``, ``stand-in``, ``synthetic``, ``no corpus``), ``source``,
        ``system``, ``score``, ``low``, ``high``, ``metric``, ``corpus``, ``unit``, ``n_groups``,
        ``weights``, ``seed``, ``status`` (``run``, ``not run: why``, ``no result: why``) and
        ``link``, relative to the results folder.
    """
    scores = score_systems(runs) if scores is None else scores
    rows = []
    for output in load_list("outputs").to_dict("records"):
        about = {key: output[key] for key in ("output", "section", "title")}
        about["printed"] = describe_printed(output["output"])
        status = f"no result: {output['reason']}"
        ours = _list_ours(output, runs, scores) if output["notebook"] else [{"status": status}]
        rows += [about | row for row in ours]
    columns = (
        "output section title printed kind source system score low high metric corpus unit "
        "n_groups weights seed status link"
    )
    return pd.DataFrame(rows, columns=columns.split())


def _list_ours(output, runs, scores):
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
            "weights": "" if without else describe_weights(record.get("weights", {})),
            "seed": str(record.get("seed", record.get("parameters", {}).get("seed", ""))),
            "status": "run",
        }
        if run["folder"] is not None:
            row["link"] = os.path.relpath(run["folder"] / "executed.ipynb", results_folder())
        of_run = scores[
            (scores["source"] == run["source"]) & (scores["notebook"] == run["notebook"])
        ]
        headlines = pick_headlines(of_run, table, role="any")
        if run["problem"]:
            rows.append({**row, "status": f"not run: {run['problem']}", "link": ""})
        elif run["folder"] is not None and file not in record["outputs"]:
            rows.append({**row, "status": "not run: the run made none"})
        elif headlines or run["folder"] is not None:
            rows += [row | score for score in headlines or [{}]]
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


def describe_weights(weights):
    """List pre-trained networks with the first digits of the SHA-256 of their weights.

    Examples
    --------
    >>> describe_weights({"vgg16 (pre-trained)": "0123456789abcdef", "vgg16 (random)": "random:0"})
    'vgg16 0123456789ab'
    """
    ending = " (pre-trained)"
    known = {k.removesuffix(ending): str(v)[:12] for k, v in weights.items() if ending in k}
    return ", ".join(f"{name} {digits}" for name, digits in known.items()) or (
        "random weights" if weights else ""
    )


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


def write_readme_table(scores=None):
    """Format the README's table of headlines as Markdown.

    Parameters
    ----------
    scores : DataFrame, optional
        From :func:`~thesislib.reporting.runs.score_systems`; default: of the stored runs.

    Returns
    -------
    str
        For each experiment the thesis's value, and on each stand-in corpus the same system with
        its 95 % interval beside chance, the best control and the best baseline. *Elsewhere* is the
        score of Table 11.4 on the same corpus and that of its best control; corpora that have
        that table alone are the last rows, with their scores within domains.
    """
    scores = score_systems(load_stored()) if scores is None else scores
    scores = drop_settings(scores)
    columns = ["Section", "Thesis", "Corpus (classes, clips, groups)", "Here", "Best control"]
    columns += ["Best baseline", "Chance", "Elsewhere"]
    lines = [f"| {' | '.join(columns)} |", "|---" * len(columns) + "|"]
    outputs = load_list("outputs").set_index("output")
    # Without remedies: "standardised within each domain", "trained on one domain".
    systems = scores["system"].where(~scores["system"].str.contains(" domain, "), "")
    within, elsewhere = (
        scores[(scores["table"] == ELSEWHERE) & systems.str.endswith(ending)]
        for ending in (", within", ", elsewhere")
    )
    for headline in load_list("headlines").query("readme != ''").itertuples():
        notebook = outputs.loc[f"table {headline.table}", "notebook"]
        chapter, part, *_ = notebook.split("_")
        printed = describe_printed(f"table {headline.table}", headline.readme, keys=["task"])
        measure = list_published().loc[headline.table, "measure"]
        measure = {"accuracy_percent": "accuracy", "error_rate": "error rate"}.get(measure, "UAR")
        about = [f"{int(chapter)}.{part}", f"{headline.name}: {printed} {measure}"]
        of_table = scores[scores["table"] == headline.table]
        ours = pick_headlines(scores, headline.table)
        lines += _list_rows(about, ours, of_table, elsewhere)
        if not ours:
            lines.append("| " + " | ".join([*about, "not run", *[""] * 5]) + " |")
        within = within[~within["corpus"].isin([row["corpus"] for row in ours])]
    within = within.assign(system=within["system"].str.removesuffix(", within"))
    lines += _list_rows(["11.4", "outlook"], pick_headlines(within, ELSEWHERE), within, elsewhere)
    return "\n".join(lines) + "\n"


def _list_rows(about, rows, of_table, elsewhere):
    """Lines of the README's table for the scores of one system, one per corpus."""
    lines = []
    for row in rows:
        same, others = (t[t["corpus"] == row["corpus"]] for t in (of_table, elsewhere))
        n_classes = f"{row['n_classes']:.0f}, " if pd.notna(row["n_classes"]) else ""
        numbers = f"{n_classes}{row['n_clips']}, {row['n_groups']}"
        cells = [*about, f"{markdown(row['corpus'])} ({numbers})"]
        cells += [f"{row['system']} {describe_score(row)}"]
        cells += [_describe_best(same, role) for role in ("control", "baseline")]
        further = [f"{r['system']} {describe_score(r)}" for r in pick_headlines(others, ELSEWHERE)]
        further = "; best control: ".join([*further, *filter(None, [_describe_best(others)])])
        chance = f"{100 / row['n_classes']:.0f} %" if n_classes else "1 (detects nothing)"
        cells += [chance, further.replace(", elsewhere", "")]
        lines.append("| " + " | ".join(cells) + " |")
        about = ["", ""]
    return lines


def _describe_best(scores, role="control"):
    """System of a role with the best score."""
    rows = scores[(scores["role"] == role) & scores["score"].notna()]
    if not len(rows):
        return ""
    lowest = rows["metric"].iloc[0] == "error_rate"
    best = rows.loc[rows["score"].idxmin() if lowest else rows["score"].idxmax()]
    return f"{best['system']} {describe_score(best)}"
