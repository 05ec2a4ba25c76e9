"""The commands ``thesis corpus check``, ``index`` and ``fetch``."""

from thesislib.export.cli import add_commands, option_values


def add_corpus(commands):
    """Add the command with its actions."""
    command = commands.add_parser("corpus", help="index, check or fetch a corpus")
    actions = command.add_subparsers(dest="action", required=True, metavar="ACTION")
    add_commands(actions, COMMANDS, within="corpus/")


def _check(options):
    from thesislib.corpora import load_any

    corpus = load_any(options.folder)
    report = corpus.validate()
    print(f"{corpus.name}: {len(corpus)} rows, {len(corpus.classes)} classes, {corpus.kind}")
    print(corpus.counts("partition" if corpus.partitions else "fold").to_string())
    if "domain" in corpus.index:
        numbers = corpus.index.groupby("label")["domain"].nunique()
        listed = ", ".join(f"{label} {n}" for label, n in numbers.items())
        print(f"{corpus.index['domain'].nunique()} domains; by class: {listed}")
    for remark in report.remarks:
        print(f"remark: {remark}")
    if options.shortcuts:
        print(f"shortcuts: {_measure_shortcuts(corpus)}")
    for problem in report.problems:
        print(f"problem: {problem}")
    if report.problems:
        return 2
    print("no problems found")
    return 0


def _measure_shortcuts(corpus):
    import sys

    from joblib import cpu_count

    from thesislib.evaluation.shortcuts import describe_shortcuts, measure_shortcuts
    from thesislib.representations import Properties, Reading, extract

    how = {"reading": Reading(channel="all"), "n_jobs": cpu_count(), "on_error": "collect"}
    features = extract(corpus, Properties(), progress=sys.stderr.isatty(), **how)
    usable = features.rows
    labels, groups = corpus.labels[usable], corpus.groups[usable]
    return describe_shortcuts(measure_shortcuts(features.matrix, labels, groups, features.names))


def _index(options):
    from thesislib.corpora.indexing import PARTITIONS, write_index

    values = option_values(options)
    values["partitions"] = dict(values["partitions"] or PARTITIONS)
    print(write_index(values.pop("folder"), **values))
    options.shortcuts = False
    return _check(options)


def _fetch(options):
    from thesislib.export.fetch import fetch_corpus

    print(fetch_corpus(options.name, options.folder, accept_licence=options.accept_licence))


#: Function, defaults of options, help and description of each action.
COMMANDS = {
    "check": (_check, {}, "report everything that is missing or wrong"),
    "index": (
        _index,
        {"labels": "folder", "n_folds": 0, "seed": 0},
        "make a corpus of a folder of recordings: write its index.csv",
        "Labels, groups and a split of the recordings in a folder, as index.csv.",
    ),
    "fetch": (_fetch, {}, "download a corpus that anyone may have"),
}
