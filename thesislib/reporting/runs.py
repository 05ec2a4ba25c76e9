"""Finished runs and stored ones: their predictions, and the scores of their systems.

The predictions of runs on real stand-in corpora, whose audio cannot be in git, are stored in
``docs/stand_ins``: ``predictions.parquet`` and ``runs.json``. Every score, interval and verdict
that the documentation states is computed from them.
"""

import json
from fnmatch import fnmatchcase
from pathlib import Path

import pandas as pd

from thesislib.errors import ParameterError
from thesislib.evaluation.comparison import score
from thesislib.places import project_root
from thesislib.reporting.notebooks import OVERVIEW
from thesislib.reporting.published import list_published, load_list
from thesislib.reporting.results import list_folders, list_places, settle
from thesislib.reporting.scores import AS_PUBLISHED
from thesislib.store import hash_file

#: Where the stored runs are, relative to the project.
STORED = "docs/stand_ins"
METRICS = {"accuracy_percent": "accuracy", "error_rate": "error_rate"}


def find_metric(table):
    """Metric of a table: ``uar``, ``accuracy`` or ``error_rate``.

    Examples
    --------
    >>> find_metric("8.7"), find_metric("10.4")
    ('error_rate', 'uar')
    """
    listed = list_published()["measure"]
    return METRICS.get(listed.get(table, ""), "uar")


def read_run(folder):
    """Read ``run.json`` of a finished run and check its files.

    Parameters
    ----------
    folder : Path
        Such as ``results/demo/10_2_snore``.

    Returns
    -------
    dict

    Raises
    ------
    ParameterError
        If there is no readable ``run.json``, the run is unfinished, or a file that it lists is
        missing or has changed.
    """
    folder = Path(folder).absolute()
    settle(folder)
    try:
        record = json.loads((folder / "run.json").read_text(encoding="utf-8"))
        status, outputs = record["status"], record["outputs"]
        if not {"notebook", "parameters", "corpora", "weights"} <= set(record):
            raise ValueError("incomplete")
    except FileNotFoundError as error:
        raise ParameterError(f"{folder.name}: found no run.json") from error
    except (ValueError, KeyError, TypeError) as error:
        raise ParameterError(f"{folder.name}: run.json is damaged") from error
    if status != "complete":
        raise ParameterError(f"{folder.name}: run unfinished")
    for name, sha256 in outputs.items():
        if not (folder / name).is_file() or hash_file(folder / name) != sha256:
            raise ParameterError(f"{folder.name}: {name} is not the file that run.json lists")
    return record


def read_predictions(folder, record):
    """Predictions of all tables of a run, with the column ``table``; empty if it has none."""
    tables = []
    for name in record["outputs"]:
        if name.startswith("predictions/"):
            number = Path(name).stem.removeprefix("table_").replace("_", ".")
            tables.append(pd.read_parquet(Path(folder) / name).assign(table=number))
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame()


def find_runs(further=None):
    """Find the runs in the results folder, and in others.

    Parameters
    ----------
    further : dict of str to path, optional
        More folders by a name for each: results of one notebook, or folders that hold such.

    Returns
    -------
    list of dict
        ``source`` (the folder in ``results``, or the key), ``notebook``, ``folder``, ``record``
        (of ``run.json``), ``predictions`` and ``problem`` (why there are none).
    """
    places = {path.name: path for path in list_places()}
    runs = []
    for source, place in (places | (further or {})).items():
        place = Path(place)
        for folder in [place] * (place / "run.json").exists() + list_folders(place):
            run = {"source": source, "notebook": folder.name, "folder": folder, "problem": ""}
            run |= {"record": {}, "predictions": pd.DataFrame()}
            try:
                run["record"] = read_run(folder)
                run["predictions"] = read_predictions(folder, run["record"])
                run["notebook"] = run["record"]["notebook"]
                if folder not in (place, place / run["notebook"]):
                    run["source"] = f"{source}/{folder.name}"
            except ParameterError as error:
                run["problem"] = str(error)
            runs.append(run)
    return [run for run in runs if run["notebook"] != OVERVIEW]


def load_stored(folder=None):
    """Read the stored runs, in the form of :func:`find_runs`.

    Parameters
    ----------
    folder : Path, optional
        Default: ``docs/stand_ins``; a missing folder has no runs.
    """
    folder = Path(folder or project_root() / STORED)
    if not (folder / "runs.json").is_file():
        return []
    predictions = pd.read_parquet(folder / "predictions.parquet")
    runs = []
    for record in json.loads((folder / "runs.json").read_text(encoding="utf-8")):
        own = predictions[predictions["run"] == record["run"]].drop(columns="run")
        run = {"source": STORED, "notebook": record["notebook"], "folder": None, "problem": ""}
        runs.append({**run, "record": record, "predictions": own.dropna(axis=1, how="all")})
    return runs


def score_systems(runs):
    """Score every system of some runs.

    Parameters
    ----------
    runs : list of dict
        From :func:`find_runs` or :func:`load_stored`.

    Returns
    -------
    pandas.DataFrame
        One row per source, notebook, table, corpus, system and selection: those, ``section``,
        ``kind`` (of the corpus), ``role`` (method, baseline or control), ``metric``, ``score``,
        ``low``, ``high`` (in percent, except for error rates), ``unit``, ``n_classes``,
        ``n_clips``, ``n_groups``, ``n_seeds``, ``std_over_seeds``, ``note`` and ``command``.
    """
    sections = load_list("outputs").set_index("output")["section"]
    rows = []
    for run in runs:
        kinds = {c["name"]: c["kind"] for c in run["record"].get("corpora", {}).values()}
        about = {"source": run["source"], "notebook": run["notebook"]}
        command = run["record"].get("command", "")
        if not len(run["predictions"]):
            continue
        keys = ["table", "corpus", "system", "selection"]
        for values, part in run["predictions"].groupby(keys, sort=False):
            table, corpus, system, _ = values
            metric = find_metric(table)
            factor = 1 if metric == "error_rate" else 100
            result = score(part, metric=metric)
            row = {**about, **dict(zip(keys, values))}
            row |= {"section": sections.get(f"table {table}", ""), "kind": kinds.get(corpus, "")}
            row |= {"role": find_role(system), "metric": metric}
            row |= {key: factor * result[key] for key in ("score", "low", "high")}
            row |= {key: result[key] for key in ("unit", "n_clips", "n_groups", "n_seeds", "note")}
            row["n_classes"] = part["truth"].nunique() if "truth" in part else None
            row["std_over_seeds"] = factor * result["std_over_seeds"]
            rows.append({**row, "command": command})
    return pd.DataFrame(rows, columns=COLUMNS)


COLUMNS = (
    "source notebook section table corpus kind system selection role metric score low high unit "
    "n_classes n_clips n_groups n_seeds std_over_seeds note command"
).split()


def find_role(system):
    """Role of a system by its name, from ``data/published/overview/systems.csv``.

    Examples
    --------
    >>> find_role("Deep Spectrum"), find_role("Deep Spectrum, random weights")
    ('method', 'control')
    """
    for rule in load_list("systems").itertuples():
        if fnmatchcase(system, rule.system):
            return rule.role
    return "method"


def pick_headlines(scores, table, role="method"):
    """Select the rows of the system that represents a table, one per corpus.

    Parameters
    ----------
    scores : DataFrame
        From :func:`score_systems`.
    table : str
        The thesis's number.
    role : {"method", "any"}
        Whether a control (the method with random weights) may stand for it.

    Returns
    -------
    list of dict
        Of the first pattern in ``data/published/overview/headlines.csv`` that matches, without
        rows *as published*. The selection does not depend on scores.
    """
    patterns = load_list("headlines").set_index("table")["systems"].get(table, "")
    rows = drop_settings(scores[scores["table"] == table])
    for wanted in ("method",) if role == "method" else ("method", "baseline", "control"):
        of_role = rows[rows["role"] == wanted]
        for pattern in filter(None, patterns.split("|")):
            matches = of_role[[fnmatchcase(name, pattern) for name in of_role["system"]]]
            if len(matches):
                return matches[matches["system"] == matches["system"].iloc[0]].to_dict("records")
    return []


def drop_settings(scores):
    """Drop rows *as published*, and single settings where one was chosen on development.

    Parameters
    ----------
    scores : DataFrame
        From :func:`score_systems`.
    """
    marked = scores["selection"].eq("development")
    keys = [scores[name] for name in ("source", "table", "corpus")]
    marked = marked.groupby(keys).transform("any")
    is_setting = marked & scores["selection"].eq("")
    return scores[~is_setting & scores["selection"].ne(AS_PUBLISHED)]


def describe_score(row):
    """Format a score with its interval.

    Examples
    --------
    >>> describe_score({"metric": "uar", "score": 45.83, "low": 38.9, "high": 52.7})
    '45.8 % [38.9, 52.7]'
    """
    form, unit = ("{:.2f}", "") if row["metric"] == "error_rate" else ("{:.1f}", " %")
    low, high = (form.format(row[end]) for end in ("low", "high"))
    interval = "" if pd.isna(row["low"]) or pd.isna(row["high"]) else f" [{low}, {high}]"
    return form.format(row["score"]) + unit + interval
