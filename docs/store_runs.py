"""Add finished runs to those stored in ``docs/stand_ins``, or print the README's tables.

::

    python docs/store_runs.py results/snore/10_2_snore
    python docs/store_runs.py --readme
"""

import argparse
import json
import shlex
import sys
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd

from thesislib.errors import ParameterError, ThesisError
from thesislib.places import project_root
from thesislib.reporting.notebooks import read_parameters, read_profile
from thesislib.reporting.objectives import compare_runs, judge_objectives
from thesislib.reporting.overview import write_readme_table
from thesislib.reporting.runs import STORED, load_stored, read_predictions, read_run, score_systems
from thesislib.store import write_atomically

# Folders, devices and the number of processes: results do not depend on these.
NOT_IN_COMMANDS = ("profile", "corpus", "results", "store", "n_jobs", "device")


def store_runs(folders, folder=None):
    """Add finished runs to the stored ones; a run of the same notebook and corpora is replaced.

    Parameters
    ----------
    folders : sequence of Path
        Each with the results of one notebook.
    folder : Path, optional
        Default: ``docs/stand_ins``.

    Returns
    -------
    list of dict
        All stored runs.

    Raises
    ------
    ParameterError
        As :func:`read_run`, and for results on synthetic corpora, which can be generated again.
    """
    folder = Path(folder or project_root() / STORED)
    stored = {run["record"]["run"]: run for run in load_stored(folder)}
    for each in map(Path, folders):
        record = read_run(each)
        kinds = {corpus["kind"] for corpus in record["corpora"].values()}
        if not kinds or not kinds <= {"stand-in", "thesis"}:
            raise ParameterError(
                f"{each}: found results on {', '.join(sorted(kinds)) or 'nothing'}, "
                "expected a stand-in or a corpus of the thesis"
            )
        written = datetime.fromtimestamp((each / "run.json").stat().st_mtime, UTC)
        git = record.get("git") or {}
        corpora = {
            role: {key: value for key, value in corpus.items() if key != "remarks"}
            for role, corpus in record["corpora"].items()
        }
        names = dict.fromkeys(corpus["name"] for corpus in corpora.values())
        summary = {
            "run": f"{record['notebook']} on {', '.join(names)}",
            "notebook": record["notebook"],
            "corpora": corpora,
            "weights": record["weights"],
            "seed": record["parameters"].get("seed"),
            "seeds": record["parameters"].get("seeds"),
            "commit": git.get("commit", "")[:12] + (" (changed)" if git.get("changed") else ""),
            "date": f"{written:%Y-%m-%d}",
            "command": describe_command(record),
        }
        # Scores of classes take most of the space, and no interval or test needs them.
        own = read_predictions(each, record)
        own = own[[name for name in own if not name.startswith("score_")]]
        stored[summary["run"]] = {"record": summary, "predictions": own}
    runs = [stored[name] for name in sorted(stored)]
    folder.mkdir(parents=True, exist_ok=True)
    table = pd.concat([run["predictions"].assign(run=run["record"]["run"]) for run in runs])
    with write_atomically(folder / "predictions.parquet") as temporary:
        table.to_parquet(temporary, index=False, compression="zstd")
    with write_atomically(folder / "runs.json") as temporary:
        text = json.dumps([run["record"] for run in runs], indent=1, ensure_ascii=False)
        temporary.write_text(text + "\n", encoding="utf-8")
    return load_stored(folder)


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
    if isinstance(value, str) and Path(value).is_absolute():
        # A HEAR module may be followed by its weights: "module.py:weights".
        return ":".join(Path(part).name for part in value.split(":"))
    return value


def write_claims_table(runs):
    """Table of the thesis's objectives for the README, from differences pooled over corpora."""
    lines = ["| Objective | Claim | Points | Corpora, groups | Verdict |", "|---|---|---|---|---|"]
    judged = judge_objectives(compare_runs(runs))
    for row in judged[judged["difference"].notna()].to_dict("records"):
        interval = "" if pd.isna(row["low"]) else f" [{row['low']}, {row['high']}]"
        points = f"{row['difference']:+}{interval}".replace("-", "−")
        cells = [row["objective"], row["claim"], points]
        cells += [f"{row['n_corpora']:.0f}, {row['n_groups']:.0f}", row["verdict"]]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def main(arguments=None):
    """Add runs to ``docs/stand_ins``, or print the README's tables.

    Returns
    -------
    int
        0, or 2 with the error in a line.
    """
    parser = argparse.ArgumentParser(prog="python docs/store_runs.py")
    parser.add_argument(
        "folders", nargs="*", type=Path, metavar="FOLDER", help="results of a finished run"
    )
    parser.add_argument("-o", "--output", type=Path, help=f"default: {STORED}")
    parser.add_argument("--readme", action="store_true", help="print the README's tables")
    options = parser.parse_args(arguments)
    try:
        stored = load_stored(options.output)
        if options.folders:
            stored = store_runs(options.folders, options.output)
            print(f"{options.output or STORED}: {len(stored)} runs")
        if options.readme:
            print(write_readme_table(score_systems(stored)))
            print(write_claims_table(stored), end="")
    except ThesisError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
