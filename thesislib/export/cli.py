"""Options of commands, and the commands ``thesis features``, ``bag``, ``plot`` and ``detect``.

Their options are in ``options.csv``. One that is not given is None: each representation has its own
options and defaults.
"""

import argparse
import csv
import sys
from pathlib import Path


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


def option_values(options):
    """Options of a command as arguments of a function."""
    return {k: v for k, v in vars(options).items() if k not in ("command", "action", "function")}


def add_cluster(command):
    """Add the option that names a Dask cluster."""
    command.add_argument(
        "--dask",
        metavar="ADDRESS|local",
        help="work on a Dask cluster: its scheduler's address, or processes of this machine",
    )


OPTIONS = Path(__file__).with_name("options.csv")
TYPES = {"int": int, "float": float, "str": str, "path": Path, "assignment": assignment}


def add_commands(commands, table=None, within=""):
    """Add commands with all their options: those of a table, or the ones of this module.

    ``within`` comes before the command's name in the list of options.
    """
    with open(OPTIONS, encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    for name, (function, defaults, *texts) in (table or COMMANDS).items():
        command = commands.add_parser(name, **dict(zip(("help", "description", "epilog"), texts)))
        _add_options(command, [row for row in rows if within + name in row["commands"].split()])
        if name in CLUSTERED:
            add_cluster(command)
        command.set_defaults(function=function, **defaults)


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
        number = row["number"]
        how |= {"+": {"nargs": "+"}, "repeated": {"action": "append"}}.get(number, {})
        if number == "required":
            how["required"] = True
        if row["parameter"]:
            how["dest"] = row["parameter"]
        groups[row["group"]].add_argument(*row["flag"].split("/"), help=row["help"], **how)


def _features(options):
    import warnings

    from joblib import cpu_count

    from thesislib.errors import AudioError
    from thesislib.export.features import write_features
    from thesislib.representations.extraction import Reading
    from thesislib.store import lock
    from thesislib.workers import open_cluster

    values = option_values(options)
    settings = {name: values.pop(name) for name in ("sr", "channel", "chunk_s", "last")}
    reading = Reading(hop_s=values.pop("chunk_hop_s"), **settings)
    jobs, seed, dask, quiet = (values.pop(name) for name in ("jobs", "seed", "dask", "quiet"))
    jobs = cpu_count() if jobs is None else jobs
    values["parameters"] = dict(values["parameters"] or {})
    values["store"] = _open_store(values["store"])
    how = {"reading": reading, "n_jobs": jobs, "random_state": seed}
    how["progress"] = not quiet and sys.stderr.isatty()
    try:
        with (
            lock(options.output),
            open_cluster(dask, n_workers=jobs),
            warnings.catch_warnings(record=True) as warned,
        ):
            outcome = write_features(**values, **how)
    except AudioError as error:
        print(f"thesis features: {error}", file=sys.stderr)
        return 1
    if not quiet:
        _print_remarks([*outcome.remarks, *(warning.message for warning in warned)])
    if outcome.n_clips:
        size = f"{outcome.n_clips} clips, {outcome.n_rows} rows, {outcome.n_features} features"
        print(f"{options.output}: {size}")
    if not outcome.errors:
        return 0
    n_files = outcome.n_clips + len(outcome.errors)
    what = "are not in the table" if outcome.n_clips else "cannot be used; no table was written"
    lines = [f"thesis features: {len(outcome.errors)} of {n_files} files {what}:"]
    lines += [f"  - {name}: {reason}" for name, reason in outcome.errors.items()]
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


def _print_remarks(remarks):
    for remark in remarks:
        print(f"remark: {remark}", file=sys.stderr)


def _bag(options):
    values = option_values(options)
    values |= {"norm": options.norm or "none", "log": bool(options.log), "idf": bool(options.idf)}
    frames, output, jobs, dask, seed = (
        values.pop(name) for name in ("frames", "output", "jobs", "dask", "seed")
    )
    if frames.is_dir():
        from joblib import cpu_count

        from thesislib.export.shards import bag_folder
        from thesislib.workers import open_cluster

        with open_cluster(dask, n_workers=jobs):
            bag_folder(frames, output, n_jobs=jobs or cpu_count(), random_state=seed, **values)
    else:
        from thesislib.export.openxbow import bag_csv

        bag_csv(frames, output, random_state=seed, **values)


def _plot(options):
    import warnings

    from thesislib.spectra.plot import plot_file

    values = {k: value for k, value in option_values(options).items() if value is not None}
    with warnings.catch_warnings(record=True) as warned:
        plot_file(values.pop("audio"), values.pop("output"), **values)
    _print_remarks(warning.message for warning in warned)


def _detect(options):
    from thesislib.export.detect import write_events

    n_events = write_events(**option_values(options))
    if options.output:
        print(f"{options.output}: {n_events} events")


#: Function, defaults of options, help, description and example of each command.
COMMANDS = {
    "features": (
        _features,
        {"channel": "mean", "last": "pad", "on_error": "collect", "seed": 0},
        "compute a representation of recordings",
        "Write a table of features: one row per clip, chunk or frame. Unreadable files are skipped "
        "and listed at the end. Exit code 1: some files were skipped. Exit code 2: an option, a "
        "label or the output is wrong; this is checked before any computation.",
        "example: thesis features recordings -r ComParE_2016 --labels folder -o table.csv",
    ),
    "bag": (
        _bag,
        {},
        "bags of frames, from and to openXBOW's files",
        "Quantise the frames of each clip with a codebook and count the codewords. Shards "
        "of frames need a codebook (--codebook).",
        "example: thesis bag frames.csv -o bags.csv --size 100 --n-assign 5",
    ),
    "plot": (
        _plot,
        {"kind": "spectrogram"},
        "draw the audio plot of a recording",
        "Draw the input image of a network: a spectrogram without axes or margins.",
        "example: thesis plot recording.wav --kind mel --colour-map magma -o plot.png",
    ),
    "detect": (
        _detect,
        {},
        "find events in a recording of any length",
        "Onset, offset, class and probability of every event, as CSV. The detectors are those that "
        "a run of 08_2_rare_events wrote into its folder 'models'.",
        "example: thesis detect street.wav --model results/demo/08_2_rare_events/models",
    ),
}
CLUSTERED = ("features", "bag")
