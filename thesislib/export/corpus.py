"""The commands ``thesis corpus check`` and ``thesis corpus index``."""


def check(folder, *, shortcuts=False):
    """``thesis corpus check``: list what a corpus holds and what is wrong with it."""
    from joblib import cpu_count

    from thesislib.compendium.checks import list_uses
    from thesislib.corpora import load_any
    from thesislib.evaluation.shortcuts import find_shortcuts
    from thesislib.reporting.escape import terminal

    corpus = load_any(folder)
    report = corpus.validate()
    lines = [f"{corpus.name}: {len(corpus)} rows, {len(corpus.classes)} classes, {corpus.kind}"]
    lines += corpus.counts("partition" if corpus.partitions else "fold").to_string().split("\n")
    if "domain" in corpus.index:
        numbers = corpus.index.groupby("label")["domain"].nunique()
        listed = ", ".join(f"{label} {n}" for label, n in numbers.items())
        lines.append(f"{corpus.index['domain'].nunique()} domains; by class: {listed}")
    lines += [f"remark: {remark}" for remark in report.remarks]
    if shortcuts:
        lines.append(f"shortcuts: {find_shortcuts(corpus, n_jobs=cpu_count())}")
    lines += [f"problem: {problem}" for problem in report.problems]
    print("\n".join(map(terminal, lines)))
    if report.problems:
        return 2
    print("no problems found", *map(terminal, list_uses(folder)), sep="\n")
    return 0


def index(folder, *, partitions=None, **options):
    """``thesis corpus index``: write ``index.csv``, and check the corpus."""
    from thesislib.corpora.indexing import PARTITIONS, write_index

    print(write_index(folder, partitions=dict(partitions or PARTITIONS), **options))
    return check(folder)
