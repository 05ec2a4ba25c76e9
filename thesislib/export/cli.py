"""Commands and their options from ``commands.toml`` and ``options.csv``; ``thesis features, bag``.

A command is a function of the library, called with the options that were given: defaults are those
of the function, and of each representation.
"""

import argparse
import csv
import sys
import tomllib
from pathlib import Path

from thesislib.reporting.escape import terminal


def assignment(text):
    """``name=value`` with the value as YAML, so that lists and numbers can be given."""
    from thesislib.errors import ParameterError
    from thesislib.places import parse_plain

    name, equals, value = text.partition("=")
    if not equals or not name:
        raise argparse.ArgumentTypeError(f"found {text!r}, expected name=value")
    try:
        # YAML reads 1e-3 as text, since it lacks the dot.
        return name.strip(), _as_number(parse_plain(value, where=name))
    except ParameterError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _as_number(value):
    if isinstance(value, list):
        return [_as_number(element) for element in value]
    if isinstance(value, str):
        try:
            return float(value)
        except ValueError:
            return value
    return value


COMMANDS = Path(__file__).with_name("commands.toml")
OPTIONS = Path(__file__).with_name("options.csv")
TYPES = {"int": int, "float": float, "str": str, "path": Path, "assignment": assignment}
#: How often an argument is given: keywords of argparse.
NUMBERS = {n: {"nargs": n} for n in "+*"} | {"repeated": {"action": "append"}}
NUMBERS |= {"required": {"required": True}, "2": {"nargs": 2, "required": True}}


class Formatter(argparse.HelpFormatter):
    """Help in which every paragraph is wrapped, and every example has a line."""

    def _fill_text(self, text, width, indent):
        lines = text.splitlines()
        fill = super()._fill_text
        return "\n".join(line if line[:1] == " " else fill(line, width, indent) for line in lines)


def add_commands(commands, table=None, within=""):
    """Add the commands of ``commands.toml`` with all their options.

    ``within`` comes before the command's name in the list of options.
    """
    with open(OPTIONS, encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    for name, entry in (table or tomllib.loads(COMMANDS.read_text("utf-8"))).items():
        examples = entry.get("examples", [])
        epilog = "\n  thesis ".join([f"example{'s' * (len(examples) > 1)}:", *examples])
        texts = {"help": entry["help"], "description": entry.get("description", entry["help"])}
        texts["epilog"] = epilog if examples else None
        command = commands.add_parser(name, **texts, formatter_class=Formatter)
        if "actions" in entry:
            actions = command.add_subparsers(dest="action", required=True, metavar="ACTION")
            add_commands(actions, entry["actions"], within=f"{name}/")
            continue
        _add_options(command, [row for row in rows if within + name in row["commands"].split()])
        command.set_defaults(function=entry["function"])


def _add_options(command, rows):
    groups = {"": command}
    for row in rows:
        if row["group"] not in groups:
            groups[row["group"]] = command.add_argument_group(row["group"])
        how = {"metavar": row["placeholder"], "type": TYPES.get(row["kind"])}
        if row["kind"] == "flag":
            how = {"action": "store_true", "default": None}
        elif row["kind"] not in TYPES:
            how = {"choices": row["kind"].split("|")}
        how |= NUMBERS.get(row["number"], {})
        if row["number"] == "2":
            how["metavar"] = tuple(row["placeholder"].split())
        if row["parameter"]:
            how["dest"] = row["parameter"]
        groups[row["group"]].add_argument(*row["flag"].split("/"), help=row["help"], **how)


def compute_features(output, *, jobs=None, seed=0, dask=None, quiet=False, store=None, **options):
    """``thesis features``: write a table, print what is in it and what was skipped."""
    import warnings

    from joblib import cpu_count

    from thesislib.corpora.tables import Problems
    from thesislib.errors import AudioError
    from thesislib.export.features import write_features
    from thesislib.representations.extraction import Reading
    from thesislib.store import lock
    from thesislib.workers import open_cluster

    names = {"sr": "sr", "channel": "channel", "chunk_s": "chunk_s", "chunk_hop_s": "hop_s"}
    names["last"] = "last"
    reading = {own: options.pop(name) for name, own in names.items() if name in options}
    jobs = cpu_count() if jobs is None else jobs
    options |= {"parameters": dict(options.get("parameters", ())), "store": _open_store(store)}
    options |= {"reading": Reading(**{"last": "pad"} | reading), "n_jobs": jobs}
    options |= {"random_state": seed, "progress": not quiet and sys.stderr.isatty()}
    try:
        with (
            lock(output),
            open_cluster(dask, n_workers=jobs),
            warnings.catch_warnings(record=True) as warned,
        ):
            outcome = write_features(output=output, **options)
    except AudioError as error:
        print(f"thesis features: {terminal(error)}", file=sys.stderr)
        return 1
    for remark in [*outcome.remarks, *(warning.message for warning in warned)] * (not quiet):
        print(f"remark: {terminal(remark)}", file=sys.stderr)
    if outcome.n_clips:
        size = f"{outcome.n_clips} clips, {outcome.n_rows} rows, {outcome.n_features} features"
        print(f"{output}: {size}")
    if not outcome.errors:
        return 0
    n_files = outcome.n_clips + len(outcome.errors)
    what = "are not in the table" if outcome.n_clips else "cannot be used; no table was written"
    lines = [f"thesis features: {len(outcome.errors)} of {n_files} files {what}:"]
    problems = Problems()
    for name, reason in outcome.errors.items():
        problems.add(name, reason)
    lines += [f"  - {terminal(line)}" for line in problems.lines]
    print("\n".join(lines), file=sys.stderr)
    return 1


def _open_store(folder):
    from thesislib.errors import ThesisError
    from thesislib.places import store_folder
    from thesislib.store import FeatureStore

    if folder is None:
        try:
            folder = store_folder()
        except ThesisError:  # installed without a checkout
            return None
    return None if str(folder) == "none" else FeatureStore(folder)


def bag_frames(frames, output, *, jobs=None, dask=None, seed=None, **options):
    """``thesis bag``: bags of a file, or of a folder of shards."""
    options = {"log": False, "idf": False, **options}  # as openXBOW, unless requested
    if not frames.is_dir():
        from thesislib.export.openxbow import bag_csv

        bag_csv(frames, output, random_state=seed, **options)
        return
    from joblib import cpu_count

    from thesislib.export.shards import bag_folder
    from thesislib.workers import open_cluster

    with open_cluster(dask, n_workers=jobs):
        bag_folder(frames, output, n_jobs=jobs or cpu_count(), random_state=seed, **options)
