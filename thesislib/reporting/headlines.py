"""Headline scores of a finished run, as rows to store, list and compare.

``data/published/overview/systems.csv`` defines which rows of our tables are headlines; they are
always rows with nested selection or selection on development. Results on corpora that cannot be in
git are stored as such rows, with their provenance, in ``docs/stand_ins.csv``.
"""

import json
import shlex
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd

from thesislib.errors import ParameterError
from thesislib.places import project_root
from thesislib.reporting.notebooks import read_parameters, read_profile
from thesislib.reporting.published import load_list
from thesislib.reporting.results import settle
from thesislib.reporting.tables import OURS, table_stem
from thesislib.store import hash_file, write_atomically

#: Columns of a headline. ``n_clips`` counts the corpus's rows in all partitions.
COLUMNS = (
    "notebook section table system role measure score low high selection corpus corpus_kind "
    "n_clips weights seed commit date command"
).split()
#: A newer row replaces an older one with the same key.
KEY = ["notebook", "table", "corpus", "system"]
WEIGHTS = {"trained": "learnt here", "none": ""}
# Folders, devices and the number of processes: results do not depend on these.
NOT_IN_COMMANDS = ("profile", "corpus", "results", "store", "n_jobs", "device")


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


def read_headlines(folder, *, command=None, date=None):
    """Read the headline rows of a finished run.

    Parameters
    ----------
    folder : Path
        Such as ``results/demo/10_2_snore``.
    command : str, optional
        Default: built from the parameters, with corpora and weights by name only.
    date : str, optional
        Default: the day on which ``run.json`` was written (UTC).

    Returns
    -------
    pandas.DataFrame
        With ``COLUMNS``, in the order of ``systems.csv``; systems that were not run are omitted.
        A method with random weights is a control.

    Raises
    ------
    ParameterError
        As `read_run`.
    """
    folder, record = Path(folder), read_run(folder)
    written = datetime.fromtimestamp((folder / "run.json").stat().st_mtime, UTC)
    git = record.get("git") or {}
    shared = {
        "notebook": record["notebook"],
        "selection": "honest",
        "seed": str(record["parameters"].get("seed", "")),
        "commit": git.get("commit", "")[:12] + (" (changed)" if git.get("changed") else ""),
        "date": date or f"{written:%Y-%m-%d}",
        "command": command or describe_command(record),
    }
    sections = load_list("outputs").set_index("output")["section"]
    rules = load_list("systems").query("notebook == @record['notebook']")
    headlines = []
    for table, of_table in rules.groupby("table", sort=False):
        rows = _read_ours(folder, record, table)
        about = {**shared, "table": table, "section": sections[f"table {table}"]}
        for rule in of_table.itertuples():
            headlines += [about | _describe_row(rule, row, record) for row in _pick(rows, rule)]
    headlines = pd.DataFrame(headlines, columns=COLUMNS)
    return headlines.dropna(subset="score").drop_duplicates(KEY, ignore_index=True)


def _read_ours(folder, record, table):
    """Read the rows of this run in a table, empty text as ``""``; none without the table."""
    name = f"tables/table_{table_stem(table)}.csv"
    if name not in record["outputs"]:
        return pd.DataFrame()
    rows = pd.read_csv(folder / name)
    rows = rows[rows["source"] == OURS]
    text = [c for c in rows if rows[c].isna().all() or not pd.api.types.is_numeric_dtype(rows[c])]
    return rows.astype(dict.fromkeys(text, object)).fillna(dict.fromkeys(text, ""))


def _pick(rows, rule):
    try:
        picked = rows.query(rule.rows, engine="python")
    except (pd.errors.UndefinedVariableError, AttributeError):
        return []  # no such column: no system of this kind was run
    if rule.choice:
        picked = picked[picked["selection"].str.startswith(rule.choice)]
    return picked.to_dict("records")


def _describe_row(rule, row, record):
    system, role = rule.system.format(**row), rule.role
    score = pd.to_numeric(row.get(rule.score), errors="coerce")
    low, high = (
        row.get(f"{rule.interval}_{end}_percent", row.get(f"{rule.interval}_{end}", score))
        for end in ("low", "high")
    )
    weights = rule.weights or row.get("weights", "")
    weights = "" if rule.system == "Chance" else WEIGHTS.get(weights, weights)
    if role == "method" and weights == "random":
        system, role = f"{system}, random weights", "control"
    if weights == "pre-trained":
        weights = _name_weights(record, f"{system} {row.get('descriptor', '')}")
    corpora = record["corpora"]
    places = (row.get("task"), row.get("partition"), "corpus", "sources")
    corpus = next((corpora[place] for place in places if place in corpora), {})
    return {
        "system": system,
        "role": role,
        "measure": rule.measure,
        "score": score,
        "low": low,
        "high": high,
        "corpus": corpus.get("name", ""),
        "corpus_kind": corpus.get("kind", ""),
        "n_clips": corpus.get("rows"),
        "weights": weights,
    }


def describe_headline(row):
    """Format a score with its interval.

    Examples
    --------
    >>> describe_headline({"measure": "UAR (%)", "score": 45.83, "low": 38.9, "high": 52.7})
    '45.8 % [38.9, 52.7]'
    """
    form, unit = ("{:.2f}", "") if row["measure"] == "error rate" else ("{:.1f}", " %")
    low, high = (form.format(row[end]) for end in ("low", "high"))
    interval = "" if pd.isna(row["low"]) or pd.isna(row["high"]) else f" [{low}, {high}]"
    return form.format(row["score"]) + unit + interval


def _name_weights(record, system):
    """List pre-trained networks with the first digits of the SHA-256 of their weights."""
    ending = " (pre-trained)"
    known = {k.removesuffix(ending): v for k, v in record["weights"].items() if ending in k}
    own = {k: v for k, v in known.items() if k in system.replace(",", " ").split()} or known
    return "pre-trained: " + ", ".join(f"{k} {str(v)[:12]}" for k, v in own.items())


def describe_command(record):
    """Format the command that repeats a run, without folders of the machine.

    Parameters
    ----------
    record : dict
        Of ``run.json``.

    Returns
    -------
    str

    Examples
    --------
    >>> values = {"profile": "demo", "corpus": "/home/me/snore", "seed": 3}
    >>> describe_command({"notebook": "10_2_snore", "parameters": values})
    'thesis run 10_2_snore --corpus snore -p seed=3'
    """
    name, values = record["notebook"], record["parameters"]
    profile = values.get("profile", "demo")
    defaults = read_parameters(name) | read_profile(name, profile)
    parts = ["thesis", "run", name]
    if profile != "demo":
        parts += ["--profile", profile]
    if values.get("corpus"):
        parts += ["--corpus", Path(values["corpus"]).name]
    elif defaults.get("corpus"):
        parts += ["-p", 'corpus=""']
    for key, value in values.items():
        if key not in NOT_IN_COMMANDS and value != defaults.get(key):
            text = value if isinstance(value, str) and value else json.dumps(_name_paths(value))
            parts += ["-p", f"{key}={_name_paths(text)}"]
    return shlex.join(parts)


def _name_paths(value):
    if isinstance(value, dict):
        return {key: _name_paths(element) for key, element in value.items()}
    if isinstance(value, list):
        return [_name_paths(element) for element in value]
    return Path(value).name if isinstance(value, str) and Path(value).is_absolute() else value


def stand_ins_file():
    """Path of the stored results on corpora that cannot be in git."""
    return project_root() / "docs" / "stand_ins.csv"


def load_stand_ins(path=None):
    """Read the stored results.

    Parameters
    ----------
    path : Path, optional
        Default: ``docs/stand_ins.csv``; a missing file counts as empty.

    Returns
    -------
    pandas.DataFrame
        With ``COLUMNS``; ``score``, ``low`` and ``high`` are numbers, the rest text.
    """
    path = Path(path or stand_ins_file())
    if not path.is_file():
        return pd.DataFrame(columns=COLUMNS)
    rows = pd.read_csv(path, dtype=str).fillna("")
    if list(rows) != COLUMNS:
        raise ParameterError(f"{path}: found columns {list(rows)}, expected {COLUMNS}")
    return rows.astype({"score": float, "low": float, "high": float})


def store_headlines(folders, path=None, *, command=None, date=None):
    """Add the headlines of finished runs to the stored results.

    A row of the same notebook, table, corpus and system is replaced.

    Parameters
    ----------
    folders : sequence of Path
        Each with the results of one notebook.
    path : Path, optional
        Default: ``docs/stand_ins.csv``.
    command, date : str, optional
        As in `read_headlines`.

    Returns
    -------
    pandas.DataFrame
        All rows of the file.

    Raises
    ------
    ParameterError
        As `read_run`, and for results on synthetic corpora, which can be generated again.
    """
    path = Path(path or stand_ins_file())
    new = [read_headlines(folder, command=command, date=date) for folder in folders]
    for folder, rows in zip(folders, new):
        kinds = set(rows["corpus_kind"])
        if not kinds or not kinds <= {"stand-in", "thesis"}:
            raise ParameterError(
                f"{folder}: found headlines on {', '.join(sorted(kinds)) or 'nothing'}, "
                "expected a stand-in or a corpus of the thesis"
            )
    rows = [table.astype(object) for table in (load_stand_ins(path), *new)]
    rows = pd.concat(rows, ignore_index=True).drop_duplicates(KEY, keep="last")
    order = load_list("systems")["table"].drop_duplicates().tolist()
    rows = rows.assign(place=rows["table"].map(order.index))
    rows = rows.sort_values(["place", "corpus"], kind="stable", ignore_index=True)[COLUMNS]
    rows = rows.astype({"score": float, "low": float, "high": float})
    with write_atomically(path) as temporary:
        rows.to_csv(temporary, index=False, float_format="%.10g", lineterminator="\n")
    return rows
