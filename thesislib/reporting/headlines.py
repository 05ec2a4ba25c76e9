"""Headline scores of a finished run, as rows that can be kept, listed and compared.

``data/published/overview/systems.csv`` says which rows of which of our tables are headlines; always
those that were selected honestly. Results on corpora that cannot be in git are kept as such
rows, with their provenance, in ``docs/stand_ins.csv``.
"""

import json
import shlex
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

import pandas as pd
import yaml

from thesislib.errors import ParameterError
from thesislib.places import notebooks_folder, project_root, published_folder
from thesislib.reporting.notebooks import read_parameters
from thesislib.reporting.results import settle
from thesislib.reporting.tables import OURS, table_stem
from thesislib.store import hash_file, write_atomically

#: What is kept of a headline. ``n_clips`` counts the corpus's rows in all its partitions.
COLUMNS = (
    "notebook section table system role measure score low high selection corpus corpus_kind "
    "n_clips weights seed commit date command"
).split()
#: What a newer row replaces an older one by.
KEY = ["notebook", "table", "corpus", "system"]
WEIGHTS = {"trained": "learnt here", "none": ""}
# Where things are, and how many processes work: a result does not depend on these.
NOT_IN_COMMANDS = ("profile", "corpus", "results", "store", "n_jobs", "device")


def load_list(name):
    """Read one of the lists in ``data/published/overview`` as text, empty cells as ``""``.

    Parameters
    ----------
    name : str
        ``outputs``, ``systems``, ``headlines``, ``comparisons``, ``contradictions`` or
        ``open_choices``.

    Returns
    -------
    pandas.DataFrame

    Examples
    --------
    >>> outputs = load_list("outputs").set_index("output")
    >>> outputs.loc["table 10.4", ["section", "notebook"]].tolist()
    ['10.2.1.4', '10_2_snore']
    """
    return _read_list(published_folder() / "overview" / f"{name}.csv").copy()


@cache
def _read_list(path):
    return pd.read_csv(path, dtype=str).fillna("")


def read_run(folder):
    """Read ``run.json`` of a finished run, after comparing its files with it.

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
        missing or another one.
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
    stale = [
        name
        for name, sha256 in outputs.items()
        if not (folder / name).is_file() or hash_file(folder / name) != sha256
    ]
    if stale:
        raise ParameterError(f"{folder.name}: {stale[0]} is not the file that run.json lists")
    return record


def read_headlines(folder, *, command=None, date=None):
    """Honest rows of the headline systems of a finished run.

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
        With ``COLUMNS``, in the order of ``systems.csv``; a system that was not run has no row.
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
    rules = load_list("systems")
    found = []
    for table, of_table in rules[rules["notebook"] == record["notebook"]].groupby(
        "table", sort=False
    ):
        rows = _read_ours(folder, record, table)
        for rule in of_table.itertuples():
            for row in _pick(rows, rule):
                about = {**shared, "table": table, "section": sections[f"table {table}"]}
                found.append({**about, **_describe_row(rule, row, record)})
    headlines = pd.DataFrame(found, columns=COLUMNS)
    return headlines.dropna(subset="score").drop_duplicates(KEY, ignore_index=True)


def _read_ours(folder, record, table):
    """Rows of this run in a table, text without gaps; none if the run made no such table."""
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
        return []  # no such column: nothing of the kind was run
    if rule.choice:
        picked = picked[picked["selection"].str.startswith(rule.choice)]
    return picked.to_dict("records")


def _describe_row(rule, row, record):
    system, role = rule.system.format(**row), rule.role
    score = pd.to_numeric(row.get(rule.score), errors="coerce")
    ends = [
        next((row[name] for name in names if name in row), score)
        for names in (
            (f"{rule.interval}_{end}_percent", f"{rule.interval}_{end}") for end in ("low", "high")
        )
    ]
    weights = rule.weights or row.get("weights", "")
    weights = WEIGHTS.get(weights, weights)
    if rule.system == "Chance":
        weights = ""
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
        "low": ends[0],
        "high": ends[1],
        "corpus": corpus.get("name", ""),
        "corpus_kind": corpus.get("kind", ""),
        "n_clips": corpus.get("rows"),
        "weights": weights,
    }


def describe_headline(row):
    """Score with its interval, as text.

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
    """Pre-trained networks with the beginning of their weights' SHA-256."""
    ending = " (pre-trained)"
    given = {k.removesuffix(ending): v for k, v in record["weights"].items() if ending in k}
    named = {k: v for k, v in given.items() if k in system.replace(",", " ").split()} or given
    return "pre-trained: " + ", ".join(f"{k} {str(v)[:12]}" for k, v in named.items())


def describe_command(record):
    """The command that repeats a run, without any folder of the machine that it ran on.

    Parameters
    ----------
    record : dict
        Of ``run.json``.

    Returns
    -------
    str

    Examples
    --------
    >>> given = {"profile": "demo", "corpus": "/home/me/snore", "seed": 3}
    >>> describe_command({"notebook": "10_2_snore", "parameters": given})
    'thesis run 10_2_snore --corpus snore -p seed=3'
    """
    name, given = record["notebook"], record["parameters"]
    profile, usual = given.get("profile", "demo"), read_parameters(name)
    path = notebooks_folder() / "parameters" / profile / f"{name}.yaml"
    if path.is_file():
        usual |= yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    parts = ["thesis", "run", name]
    if profile != "demo":
        parts += ["--profile", profile]
    if given.get("corpus"):
        parts += ["--corpus", Path(given["corpus"]).name]
    elif usual.get("corpus"):
        parts += ["-p", 'corpus=""']
    for key, value in given.items():
        if key not in NOT_IN_COMMANDS and value != usual.get(key):
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
    """Where results on corpora that cannot be in git are kept."""
    return project_root() / "docs" / "stand_ins.csv"


def load_stand_ins(path=None):
    """Read the kept results.

    Parameters
    ----------
    path : Path, optional
        Default: ``docs/stand_ins.csv``; a file that is not there is empty.

    Returns
    -------
    pandas.DataFrame
        With ``COLUMNS``; ``score``, ``low`` and ``high`` are numbers, the rest text.
    """
    path = Path(path or stand_ins_file())
    if not path.is_file():
        return pd.DataFrame(columns=COLUMNS)
    kept = pd.read_csv(path, dtype=str).fillna("")
    if list(kept) != COLUMNS:
        raise ParameterError(f"{path}: found columns {list(kept)}, expected {COLUMNS}")
    return kept.astype({"score": float, "low": float, "high": float})


def keep_stand_ins(folders, path=None, *, command=None, date=None):
    """Add the headlines of finished runs to the kept results.

    A row of the same notebook, table, corpus and system is replaced.

    Parameters
    ----------
    folders : sequence of Path
        Results of a notebook each.
    path : Path, optional
        Default: ``docs/stand_ins.csv``.
    command, date : str, optional
        As in `read_headlines`.

    Returns
    -------
    pandas.DataFrame
        All rows that the file holds now.

    Raises
    ------
    ParameterError
        As `read_run`, and for results on a synthetic corpus, which anyone can make again.
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
    everything = [load_stand_ins(path).astype(object), *(rows.astype(object) for rows in new)]
    kept = pd.concat(everything, ignore_index=True).drop_duplicates(KEY, keep="last")
    order = load_list("systems")["table"].drop_duplicates().tolist()
    place = kept["table"].map(order.index)
    kept = kept.assign(place=place).sort_values(["place", "corpus"], kind="stable")
    kept = kept[COLUMNS].astype({"score": float, "low": float, "high": float})
    with write_atomically(path) as temporary:
        kept.to_csv(temporary, index=False, float_format="%.10g", lineterminator="\n")
    return kept.reset_index(drop=True)
