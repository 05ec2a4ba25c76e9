"""The command ``thesis``. Only parsing here; heavy imports wait until a command needs them."""

import argparse
import os
import sys
import warnings
from pathlib import Path

from thesislib import __version__
from thesislib.export.cli import add_cluster, add_commands, assignment, option_values
from thesislib.workers import end_on_signals, end_process


class Parser(argparse.ArgumentParser):
    """Parser whose errors take one line, without the usage."""

    def error(self, message):
        """Print the error and where the options are explained; exit with code 2."""
        self.exit(2, f"{self.prog}: {message}; see {self.prog} --help\n")


def build_parser():
    """Parser of the command line."""
    parser = Parser(
        prog="thesis",
        description="Deep representation learning for audio, experiment by experiment.",
    )
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    _add_run(commands)
    _add_list(commands)
    _add_verify(commands)
    _add_compare(commands)
    add_commands(commands)
    _add_corpus(commands)
    _add_weights(commands)
    return parser


def main(arguments=None):
    """Run a command; returns the exit code: 0, 1 (something failed) or 2 (wrong input).

    SIGINT, SIGTERM and SIGHUP end the process with code 130, 143 and 129. Without arguments this
    is the program, which exits here with all its workers, at once.
    """
    if arguments is None and sys.getfilesystemencoding() != "utf-8":
        # Names of files are UTF-8 whatever the locale says; workers inherit the mode.
        os.environ["PYTHONUTF8"] = "1"
        os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    # Workers and kernels do not import modules from the working folder, and the processes that
    # remove the semaphores of killed ones do so without a word.
    os.environ["PYTHONSAFEPATH"] = "1"
    filters = filter(None, (os.environ.get("PYTHONWARNINGS"), "ignore:resource_tracker"))
    os.environ["PYTHONWARNINGS"] = ",".join(dict.fromkeys(filters))
    with end_on_signals("thesis"), warnings.catch_warnings():
        warnings.showwarning = _print_remark
        code = _run_command(build_parser().parse_args(arguments))
        if arguments is None:
            sys.stderr.flush()
            end_process(code)
    return code


def _run_command(options):
    from concurrent.futures import BrokenExecutor

    from thesislib.errors import ThesisError

    try:
        code = options.function(options) or 0
        sys.stdout.flush()
        return code
    except BrokenPipeError:
        # Whoever read our output has had enough (`| head`); Python would flush it once more.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except ThesisError as error:
        print(f"thesis {options.command}: {error}", file=sys.stderr)
        return 1 if type(error).__name__ == "NotebookError" else 2
    except OSError as error:
        # The file system: no permission, no space, a folder in place of a file, ...
        reason = f"{error.filename}: {error.strerror}" if error.filename else str(error)
        print(f"thesis {options.command}: {reason}", file=sys.stderr)
        return 2
    except BrokenExecutor:
        print(
            f"thesis {options.command}: found a worker process that died, expected enough memory "
            "for all: try fewer --jobs",
            file=sys.stderr,
        )
        return 2


def _print_remark(message, category, filename, lineno, file=None, line=None):
    print(f"remark: {message}", file=sys.stderr)


def _add_run(commands):
    command = commands.add_parser(
        "run",
        help="run experiments (notebooks) with papermill",
        description="Notebooks run side by side, each in a process of its own. What is up to date "
        "is skipped: parameters, notebook, library, corpus and weights as they were, and every "
        "result in its place.",
    )
    command.add_argument("names", nargs="+", metavar="NAME", help="notebook, or 'all'")
    command.add_argument("--profile", default="demo", choices=["demo", "paper", "public"])
    command.add_argument("--corpus", metavar="DIR", help="folder of a corpus (default: synthetic)")
    command.add_argument(
        "-p",
        dest="parameters",
        action="append",
        default=[],
        type=assignment,
        metavar="[NOTEBOOK.]name=value",
        help="set a parameter of all notebooks, or of one; may be given several times",
    )
    command.add_argument(
        "--jobs", type=int, metavar="N", help="worker processes in all (default: cores)"
    )
    add_cluster(command)
    command.add_argument("--force", action="store_true", help="run what is up to date, too")
    command.add_argument("--quiet", action="store_true", help="no progress bars")
    command.add_argument(
        "--dry-run", action="store_true", help="check everything, estimate the cost, run nothing"
    )
    command.set_defaults(function=_run)


def _run(options):
    from thesislib.compendium.checks import describe_work
    from thesislib.compendium.freshness import describe_changes, find_changes
    from thesislib.compendium.schedule import describe_outcomes, plan_runs, run_all
    from thesislib.reporting.notebooks import list_notebooks, read_parameters
    from thesislib.workers import open_cluster

    names = list_notebooks() if options.names == ["all"] else options.names
    settings = {"profile": options.profile, "corpus": options.corpus}
    settings["parameters"] = dict(options.parameters)
    if options.dry_run:
        for name, values in plan_runs(names, **settings).items():
            print(f"{name}: {describe_changes(find_changes(name, values))}")
            print(describe_work(name, {**read_parameters(name), **values}))
        return 0
    settings |= {"jobs": options.jobs, "force": options.force, "progress": not options.quiet}
    with open_cluster(options.dask, n_workers=options.jobs):
        outcomes = run_all(names, **settings)
    print(describe_outcomes(outcomes))
    return int(any(outcome.state == "FAILED" for outcome in outcomes))


def _add_list(commands):
    command = commands.add_parser("list", help="the experiments, and which have results")
    command.set_defaults(function=_list)


def _list(options):
    from thesislib.compendium.freshness import describe_state
    from thesislib.reporting.notebooks import PROFILES, list_notebooks, read_title

    for name in list_notebooks():
        states = [(profile, describe_state(name, profile)) for profile in PROFILES]
        done = ", ".join(f"{profile}: {state}" for profile, state in states if state)
        print(f"{name:24} {read_title(name)}" + (f"  [{done}]" if done else ""))


def _add_verify(commands):
    command = commands.add_parser(
        "verify",
        help="run again, and compare every table's bytes",
        description="Runs again what has results, with the parameters of its run.json, into a "
        "folder of its own. Exit code 1, with the names of the files, if a table differs.",
    )
    command.add_argument("names", nargs="*", default=["all"], metavar="NAME", help="default: all")
    command.add_argument("--profile", default="demo", choices=["demo", "paper", "public"])
    command.add_argument(
        "--empty-store", action="store_true", help="compute every feature and model again"
    )
    command.add_argument("--jobs", type=int, metavar="N", help="worker processes in all")
    command.set_defaults(function=_verify)


def _verify(options):
    from thesislib.compendium.verify import list_results, verify_all

    values = option_values(options)
    names = values.pop("names")
    names = list_results(options.profile) if names == ["all"] else names
    return 0 if verify_all(names, **values) else 1


def _add_compare(commands):
    command = commands.add_parser(
        "compare",
        help="compare two systems of finished runs, paired by clip",
        description="Difference of two systems on the same clips, with interval and test over "
        "groups. The comparison is exploratory: it is not corrected for others.",
    )
    command.add_argument("runs", nargs="+", metavar="RUN", help="folder of results")
    command.add_argument(
        "--systems",
        nargs=2,
        required=True,
        metavar=("A", "B"),
        help="names of systems; one may be a CSV file (file,prediction), B may be 'chance'",
    )
    command.add_argument("--table", metavar="N", help="table of the runs (default: all)")
    command.add_argument("--selection", metavar="S", help="nested, development or 'as published'")
    command.add_argument("--metric", choices=["uar", "accuracy", "error_rate"])
    command.add_argument(
        "--margin", type=float, default=3, metavar="POINTS", help="of equivalence (default: 3)"
    )
    command.set_defaults(function=_compare)


def _compare(options):
    from thesislib.compendium.compare import arrange_comparisons, compare_systems
    from thesislib.evaluation.comparison import describe_comparison

    table = compare_systems(**option_values(options))
    print(arrange_comparisons(table).to_string())
    for row in table.to_dict("records"):
        print(f"{row['corpus']}: " * (len(table) > 1) + describe_comparison(row))


def _add_corpus(commands):
    from thesislib.corpora import FETCHABLE

    command = commands.add_parser("corpus", help="index, check or fetch a corpus")
    actions = command.add_subparsers(dest="action", required=True, metavar="ACTION")
    check = actions.add_parser("check", help="report everything that is missing or wrong")
    check.add_argument("folder", type=Path, metavar="DIR")
    check.set_defaults(function=_corpus_check)
    index = actions.add_parser(
        "index",
        help="make a corpus of a folder of recordings: write its index.csv",
        description="Labels, groups and a split of the recordings in a folder, as index.csv.",
    )
    index.add_argument("folder", type=Path, metavar="DIR")
    index.add_argument(
        "--labels",
        default="folder",
        metavar="folder|FILE.csv|FILE.tsv",
        help="the name of each file's folder (default), or a table with a column file",
    )
    index.add_argument(
        "--group",
        metavar="REGEX",
        help="what stays on one side of a split (a speaker, say): the first bracket of this "
        "expression, searched in each file's path",
    )
    index.add_argument(
        "--partition",
        dest="partitions",
        action="append",
        type=assignment,
        metavar="NAME=SIZE",
        help="may be repeated (default: train=3 devel=1 test=1)",
    )
    index.add_argument("--folds", dest="n_folds", type=int, default=0, metavar="N")
    index.add_argument("--seed", type=int, default=0, metavar="N")
    index.add_argument("--overwrite", action="store_true", help="replace an index that is there")
    index.set_defaults(function=_corpus_index)
    fetch = actions.add_parser("fetch", help="download a corpus that anyone may have")
    fetch.add_argument("name", metavar="NAME", help=", ".join(FETCHABLE))
    fetch.add_argument("--folder", type=Path, metavar="DIR", help="default: its own under data")
    fetch.add_argument(
        "--accept-licence", action="store_true", help="I have read it; without this it is printed"
    )
    fetch.set_defaults(function=_corpus_fetch)


def _corpus_index(options):
    from thesislib.corpora.indexing import PARTITIONS, write_index

    values = option_values(options)
    values["partitions"] = dict(values["partitions"] or PARTITIONS)
    print(write_index(values.pop("folder"), **values))
    return _corpus_check(options)


def _corpus_check(options):
    from thesislib.corpora import load_any

    corpus = load_any(options.folder)
    report = corpus.validate()
    print(f"{corpus.name}: {len(corpus)} rows, {len(corpus.classes)} classes, {corpus.kind}")
    print(corpus.counts("partition" if corpus.partitions else "fold").to_string())
    for remark in report.remarks:
        print(f"remark: {remark}")
    for problem in report.problems:
        print(f"problem: {problem}")
    if report.problems:
        return 2
    print("no problems found")
    return 0


def _corpus_fetch(options):
    from thesislib.export.fetch import fetch_corpus

    print(fetch_corpus(options.name, options.folder, accept_licence=options.accept_licence))


def _add_weights(commands):
    command = commands.add_parser("weights", help="fetch ImageNet weights")
    actions = command.add_subparsers(dest="action", required=True, metavar="ACTION")
    fetch = actions.add_parser("fetch", help="download, check and convert to safetensors")
    fetch.add_argument("names", nargs="+", metavar="NETWORK")
    fetch.add_argument("--folder", type=Path, help="default: data/weights")
    fetch.set_defaults(function=_weights_fetch)


def _weights_fetch(options):
    from thesislib.export.fetch import fetch_weights
    from thesislib.places import weights_folder

    for path in fetch_weights(options.names, options.folder or weights_folder()):
        print(path)


if __name__ == "__main__":
    sys.exit(main())
