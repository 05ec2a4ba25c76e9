"""Comparison of two systems of finished runs, or of one and a table of predictions.

Runs store what their systems predicted, so that two systems can be compared without running
anything again.
"""

from pathlib import Path

import pandas as pd

from thesislib.errors import ParameterError, check_number, option
from thesislib.evaluation.comparison import compare_pairs, describe_comparison
from thesislib.places import results_folder
from thesislib.reporting.escape import terminal
from thesislib.reporting.results import read_record
from thesislib.reporting.tables import table_stem

#: Rows of the printed table, and whether they are shares.
_ROWS = {
    **dict.fromkeys(["score_a", "score_b", "difference", "low", "high"], True),
    **dict.fromkeys(["p_value", "verdict", "scope", "note", "smallest_difference"], False),
    **dict.fromkeys(["selection", "unit", "test_unit", "n_clips", "n_groups", "n_seeds"], False),
}


def compare_systems(runs, systems, *, table=None, selection=None, metric=None, margin=3):
    """Compare two systems, clip by clip, on every corpus that has both.

    Parameters
    ----------
    runs : sequence of path
        Folders of results (with ``predictions``), or Parquet files of predictions.
    systems : (str, str)
        Names in the predictions; the second may be ``chance``. One of them may be a CSV file
        ``file,prediction`` of another program; its truths, groups and folds are those of the
        other system's rows. A system that several runs or tables have is called
        ``<system> (<run>, table <number>)``.
    table : str, optional
        Number of the table, if only one of the runs' tables is meant.
    selection : str, optional
        Needed if a system has several.
    metric : {"uar", "accuracy", "error_rate"}, optional
        Default: ``error_rate`` for tables of events, else ``uar``.
    margin : float
        Of equivalence, in percent points (hundredths for error rates).

    Returns
    -------
    pandas.DataFrame
        Exploratory comparisons, as from
        :func:`~thesislib.evaluation.comparison.compare_pairs`, with ``corpus``.

    Raises
    ------
    ParameterError
        If a run has no predictions, or a system does not exist (with the names there are), or
        the two have different clips (with the first that only one of them has).
    """
    check_number("margin", margin, low=0, open_low=True)
    predictions = read_predictions(runs, table)
    names = predictions["system"].unique().tolist()
    foreign = [name for name in systems if name not in names and name.endswith(".csv")]
    for name in set(systems) - set(foreign):
        option(names + ["chance"] * (name == systems[1])).check("system", name)
    own = predictions[predictions["system"].isin(systems)]
    if foreign:
        option(names).check("system", next((n for n in systems if n not in foreign), foreign[0]))
        if selection is not None:
            own = own[own["selection"].isin([selection, ""])]
        own = pd.concat([own, read_foreign(foreign[0], own)])
    if metric is None:
        metric = "error_rate" if "event" in own and own["event"].notna().all() else "uar"
    needed = set(systems) - {"chance"}
    parts = {
        corpus: part.dropna(axis="columns", how="all")
        for corpus, part in own.groupby("corpus")
        if needed <= set(part["system"])
    }
    if not parts:
        corpora = own.groupby("system")["corpus"].unique().map(", ".join).to_dict()
        raise ParameterError(f"corpus: found {corpora}, expected a corpus with both systems")
    options = {"metric": metric, "margin": margin / 100}
    pairs = [("", *systems, selection)]
    compared = {corpus: compare_pairs(part, pairs, **options) for corpus, part in parts.items()}
    return pd.concat(compared, names=["corpus"]).reset_index("corpus").reset_index(drop=True)


def read_predictions(runs, table=None):
    """Read the predictions of runs; systems of several runs or tables are told apart by name."""
    frames = []
    for run in map(Path, runs):
        if run.is_dir():
            read_record(run)  # completes results whose publication was interrupted
        stem = f"table_{table_stem(table)}" if table else "table_*"
        paths = (
            [run] if run.suffix == ".parquet" else sorted(run.glob(f"predictions/{stem}.parquet"))
        )
        if not paths or not paths[0].is_file():
            there = sorted(path.stem for path in run.glob("predictions/*.parquet"))
            there = there or sorted(
                str(path.parents[1]) for path in results_folder().glob("*/*/predictions/*.parquet")
            )
            raise ParameterError(
                f"{run}: found no predictions{f' of table {table}' if table else ''}, expected "
                f"a folder of results (there are: {', '.join(dict.fromkeys(there)) or 'none'})"
            )
        for path in paths:
            number = path.stem.removeprefix("table_").replace("_", ".")
            about = {"run": str(run), "table": number}
            frames.append(pd.read_parquet(path).assign(**about))
    predictions = pd.concat(frames, ignore_index=True)
    for column in ("system", "corpus", "selection"):
        predictions[column] = predictions.get(column, pd.Series("", predictions.index)).fillna("")
    labels = predictions["run"] + ", table " + predictions["table"]
    several = labels.groupby(predictions["system"]).transform("nunique") > 1
    longer = predictions["system"] + " (" + labels + ")"
    return predictions.assign(system=predictions["system"].mask(several, longer))


def read_foreign(path, own):
    """Arrange a CSV ``file,prediction`` as rows of a system named by its path.

    Parameters
    ----------
    path : str
    own : pandas.DataFrame
        Predictions of the system to compare with; one row per clip remains of all seeds.

    Raises
    ------
    ParameterError
        Names the first file that only one of them has, or that is listed twice, or that has
        a prediction which is no class.
    """
    if "truth" not in own or own["truth"].isna().any():
        raise ParameterError(f"{path}: found a table of events, expected one of classes")
    try:
        theirs = pd.read_csv(path, dtype=str, keep_default_na=False)
    except (OSError, ValueError) as error:
        raise ParameterError(f"{path}: found {error}, expected a CSV file") from error
    if not {"file", "prediction"} <= set(theirs):
        columns = ", ".join(theirs.columns)
        raise ParameterError(f"{path}: found columns {columns}, expected file, prediction")
    classes = sorted(own["truth"].unique())
    for wrong, expected in (
        (~theirs["file"].isin(own["file"]), "the files of the run, such as " + own["file"].iloc[0]),
        (theirs["file"].duplicated(), "each file once"),
        (~theirs["prediction"].isin(classes), "predictions among " + ", ".join(classes)),
    ):
        if wrong.any():
            row = theirs[wrong].iloc[0]
            raise ParameterError(
                f"{path}: found {row['file']}, {row['prediction']} ({wrong.sum()} such rows), "
                f"expected {expected}"
            )
    about = ["corpus", "selection", "file", "group", "fold", "truth"]
    rows = own[own["seed"] == own["seed"].min()][about]
    lost = rows.loc[~rows["file"].isin(theirs["file"]), "file"]
    if len(lost):
        raise ParameterError(
            f"{path}: found no row of {lost.iloc[0]} ({lost.nunique()} such files), expected all "
            f"{rows['file'].nunique()} files of the run"
        )
    predicted = theirs.set_index("file")["prediction"]
    return rows.assign(system=path, seed=0, prediction=rows["file"].map(predicted))


def arrange_comparisons(table):
    """Arrange comparisons for reading: a column for each corpus, shares in percent."""
    table = table.copy()
    percent = table["metric"].iloc[0] != "error_rate"
    shares = [*(name for name, share in _ROWS.items() if share), "smallest_difference"]
    table[shares] = (table[shares] * (100 if percent else 1)).round(1 if percent else 3)
    table["p_value"] = table["p_value"].round(4)
    shown = table.set_index("corpus")[list(_ROWS)].T.astype(str)
    unit = " (%)" if percent else ""
    return shown.rename({name: name + unit for name in shares}).rename_axis(columns=None)


def describe_systems(runs, systems, **options):
    """Table and sentences of :func:`compare_systems`, as ``thesis compare`` prints them."""
    compared = compare_systems(runs, systems, **options)
    compared = compared.map(lambda value: terminal(value) if isinstance(value, str) else value)
    lines = [
        f"{row['corpus']}: " * (len(compared) > 1) + describe_comparison(row)
        for row in compared.to_dict("records")
    ]
    return "\n".join([arrange_comparisons(compared).to_string(), *lines])
