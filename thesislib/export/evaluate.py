"""A classifier on a table of features: what ``thesis evaluate`` does.

The table is one that ``thesis features`` wrote, or any other with a row per clip or chunk, a column
of labels and numeric features. Splits come from its columns ``partition`` or ``fold``, else they
are drawn; groups, or the chunks of one file, stay together.
"""

from itertools import takewhile
from pathlib import Path

import pandas as pd
from joblib import cpu_count
from pandas.api.types import is_numeric_dtype
from sklearn.metrics import precision_recall_fscore_support

from thesislib.corpora.index import Corpus
from thesislib.corpora.splits import adapt
from thesislib.errors import CorpusError, ParameterError, check_number
from thesislib.evaluation.comparison import compare, describe_comparison, score
from thesislib.evaluation.metrics import confusion
from thesislib.evaluation.validation import evaluate_folds, evaluate_partitions
from thesislib.export.tables import PLACES, check_writable, read_table
from thesislib.reporting.escape import terminal
from thesislib.reporting.scores import tabulate
from thesislib.store import write_atomically

#: Columns behind the features.
PARTS = ("label", "partition", "fold", "group", "domain")
COMPLEXITIES = (1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1.0)
N_FOLDS = 5


def evaluate_table(
    features,
    output=None,
    *,
    label="label",
    group="group",
    partition=False,
    folds=None,
    metric="uar",
    complexities=COMPLEXITIES,
    jobs=None,
    seed=0,
):
    r"""Score a linear SVM on a table of features.

    The complexity is chosen on the development partition, or in a cross-validation inside each
    training part (nested); never on what is scored.

    Parameters
    ----------
    features : str or Path
        ``.csv``, ``.parquet``, ``.arff``, ``.npz``, or a folder of Parquet shards.
    output : str or Path, optional
        Folder for tables, figure and predictions.
    label, group : str
        Columns of the classes and of the groups that stay together.
    partition : bool
        Train, choose and score on the column ``partition``.
    folds : int, optional
        Cross-validate: with the folds of a column ``fold``, else with so many. Without both
        options, partitions are used if there are any, else 5 folds.
    metric : {"uar", "accuracy"}
    complexities : sequence of float
    jobs : int, optional
        Worker processes; default: one per core.
    seed : int
        Of folds that are drawn, and of the intervals.

    Returns
    -------
    str
        Scores, recall of each class and confusion matrix, to print.

    Raises
    ------
    CorpusError, ParameterError
        If the table lacks a column, a class or enough groups.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "table.csv"
    >>> rows = [f"{i}.wav,{i % 2}.{i},{'ab'[i % 2]}" for i in range(10)]
    >>> _ = path.write_text("\n".join(["file,f0,label", *rows]))
    >>> print(evaluate_table(path, folds=2, jobs=1))
    table: 10 rows, 2 classes (a, b), 1 feature (f0 … f0)
    ...
    UAR: ... (95 % confidence interval over 10 clips)...
    """
    X, corpus, remarks = _arrange(read_table(features), Path(features), label, group)
    if partition and folds is not None:
        raise ParameterError("partition: found beside folds, expected one of them")
    if folds is not None:
        check_number("folds", folds, low=2, integer=True)
    for name in ("tables/table.csv", "figures/figure.png") if output is not None else ():
        check_writable(Path(output) / name)
    how = {"complexities": list(complexities), "n_jobs": jobs or cpu_count()}
    if partition or (folds is None and len(corpus.partitions) > 1):
        corpus = adapt(corpus, ("train", "devel", "test"), seed=seed)
        rows = {part: corpus.rows(part) for part in ("train", "devel", "test")}
        result = evaluate_partitions(X, corpus.labels, **rows, **how)
        best = result.best("devel")
        predictions, selection = result.test[best], "development"
        sizes = ", ".join(f"{part} {len(of_part)}" for part, of_part in rows.items())
        choice = f"C = {best:g} chosen on devel ({sizes})"
    else:
        corpus = adapt(corpus, folds or N_FOLDS, seed=seed)
        splits = {"folds": corpus.folds(), "groups": corpus.groups, "seed": seed}
        result = evaluate_folds(X, corpus.labels, **splits, **how)
        predictions, selection = result.nested, "nested"
        chosen = ", ".join(f"{c:g}" for c in result.chosen.values())
        choice = f"{len(result.chosen)} folds, C chosen inside each training part ({chosen})"
    table = tabulate(predictions, corpus, system="linear SVM", selection=selection, seed=seed)
    scores = score(table, metric=metric, random_state=seed)
    against = compare(table, "chance", metric=metric, random_state=seed)
    against |= {"system_a": "linear SVM", "system_b": "chance", "exploratory": True}
    counts = confusion(predictions.truth, predictions.predicted, predictions.classes)
    names = ("precision", "recall", "f1", "n")
    of_classes = precision_recall_fscore_support(
        predictions.truth, predictions.predicted, labels=predictions.classes, zero_division=0
    )
    classes = pd.DataFrame(dict(zip(names, of_classes)), index=pd.Index(predictions.classes))
    places = [] if output is None else _write(Path(output), corpus, table, scores, classes, counts)
    return "\n".join(
        [
            *map(terminal, remarks),
            *(f"remark: {terminal(remark)}" for remark in corpus.remarks),
            f"linear SVM: {choice}",
            "",
            f"{metric.upper() if metric == 'uar' else metric}: {_describe(scores)}",
            describe_comparison(against),
            "",
            classes.round(3).rename(terminal).to_string(),
            "",
            "confusion matrix (rows: truth, columns: predicted)",
            counts.rename(index=terminal, columns=terminal)
            .rename_axis(index=None, columns=None)
            .to_string(),
            *map(terminal, places),
        ]
    )


def _arrange(table, path, label, group):
    """Matrix of features, the corpus of its rows, and what to say about both."""
    if "frame" in table or label not in table:
        expected = (
            "rows of clips or chunks" if "frame" in table else f"a column {label!r} (--label)"
        )
        listed = ", ".join(map(str, [*table.columns[:3], "…", *table.columns[-3:]]))
        raise CorpusError(f"{path}: found the columns {listed}, expected {expected}")
    behind = (*PARTS, label, group)
    columns = [name for name in table if name not in PLACES]
    names = list(takewhile(lambda c: c not in behind and is_numeric_dtype(table[c]), columns))
    if not names:
        raise CorpusError(f"{path}: found {columns[0]!r} first, expected numeric features")
    labels = table[label].astype(object).where(table[label].notna(), "").astype(str)
    is_known = (labels != "").to_numpy()
    table, labels = table[is_known], labels[is_known]
    files = table["file"].astype(str) if "file" in table else table.index.astype(str).to_series()
    index = pd.DataFrame({"file": files.to_numpy(), "label": labels.to_numpy()})
    if "chunk" in table:
        index["group"] = index["file"]
        index["file"] += "#" + table["chunk"].astype(str).to_numpy()
    for name, column in (("partition", "partition"), ("fold", "fold"), ("group", group)):
        if column in table:
            index[name] = table[column].astype(str).to_numpy()
    corpus = Corpus(index, path.parent, name=path.stem)
    unused = [str(name) for name in columns[len(names) :] if name not in behind]
    one = "feature" if len(names) == 1 else "features"
    groups = f", {len(set(corpus.groups))} groups" if "group" in index else ""
    lines = [
        f"{path.stem}: {len(index)} rows, {len(corpus.classes)} classes "
        f"({', '.join(corpus.classes)}), {len(names)} {one} ({names[0]} … {names[-1]}){groups}"
    ]
    if not is_known.all():
        lines.append(f"remark: left out {(~is_known).sum()} rows without a label")
    if unused:
        lines.append(f"remark: columns that are not used: {', '.join(unused)}")
    return table[names].to_numpy("float32"), corpus, lines


def _describe(scores):
    interval = (
        ""
        if pd.isna(scores["low"])
        else "[{:.1f}, {:.1f}] ".format(100 * scores["low"], 100 * scores["high"])
    )
    n_units = scores["n_groups"] if scores["unit"] == "group" else scores["n_clips"]
    note = f"; {scores['note']}" if scores["note"] else ""
    over = f"95 % confidence interval over {n_units} {scores['unit']}s{note}"
    return f"{100 * scores['score']:.1f} % {interval}({over})"


def _write(folder, corpus, table, scores, classes, counts):
    """Write tables, the figure of the confusion matrix and the predictions."""
    from thesislib.reporting.figures import plot_confusion, use_style, write_figure
    from thesislib.reporting.tables import write_table

    caption = f"Linear SVM on {corpus.name}."
    frames = {"evaluation": pd.DataFrame([scores])}
    frames["evaluation_classes"] = classes.reset_index(names="class")
    frames["evaluation_confusion"] = counts.reset_index()
    for number, frame in frames.items():
        write_table(frame, number, folder / "tables", caption=caption)
    use_style()
    write_figure(plot_confusion({corpus.name: counts}), "evaluation", folder / "figures")
    with write_atomically(folder / "predictions" / "table_evaluation.parquet") as temporary:
        table.to_parquet(temporary, index=False)
    return ["", f"{folder}: tables, figures and predictions"]
