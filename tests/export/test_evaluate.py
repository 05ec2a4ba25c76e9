"""A linear SVM on a table of features: splits, choices and scores, against scikit-learn."""

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import recall_score

from thesislib.cli import main
from thesislib.errors import CorpusError, ParameterError
from thesislib.export.evaluate import evaluate_table


@pytest.fixture
def table(rng):
    """Two classes of 24 clips of 12 speakers; the first feature separates them, in part."""
    n = 48
    y = np.arange(n) % 2
    frame = pd.DataFrame({"file": [f"{i}.wav" for i in range(n)]})
    frame["f0"], frame["f1"] = y + 0.5 * rng.normal(size=n), rng.normal(size=n)
    frame["label"], frame["group"] = np.where(y, "yes", "no"), [f"s{i // 4}" for i in range(n)]
    return frame


def write(table, tmp_path):
    table.to_csv(tmp_path / "table.csv", index=False)
    return tmp_path / "table.csv"


def test_groups_are_whole_and_the_score_is_scikit_learn_s(table, tmp_path):
    path, out = write(table, tmp_path), tmp_path / "out"
    text = evaluate_table(path, out, folds=3, jobs=1)
    predictions = pd.read_parquet(out / "predictions" / "table_evaluation.parquet")
    assert sorted(predictions["file"]) == sorted(table["file"])
    assert len(predictions[["group", "fold"]].drop_duplicates()) == 12
    uar = recall_score(predictions["truth"], predictions["prediction"], average="macro")
    written = pd.read_csv(out / "tables" / "table_evaluation.csv").iloc[0]
    assert written["score"] == pytest.approx(uar)
    assert (written["unit"], written["n_groups"]) == ("group", 12)
    assert written["low"] <= uar <= written["high"]
    assert f"UAR: {100 * uar:.1f} % [" in text
    assert "48 rows, 2 classes (no, yes), 2 features (f0 … f1), 12 groups" in text
    assert (out / "figures" / "figure_evaluation.png").is_file()
    assert evaluate_table(path, folds=3, jobs=1) == text.rpartition("\n\n")[0]


def test_partitions_are_used_if_there_are_any(table, tmp_path):
    table["partition"] = np.repeat(["Train", "devel", "test"], 16)
    out = tmp_path / "out"
    text = evaluate_table(write(table, tmp_path), out, jobs=1)
    assert "chosen on devel (train 16, devel 16, test 16)" in text
    predictions = pd.read_parquet(out / "predictions" / "table_evaluation.parquet")
    assert set(predictions["file"]) == set(table["file"][32:])
    assert "3 folds, C chosen inside" in evaluate_table(tmp_path / "table.csv", folds=3, jobs=1)


def test_chunks_of_a_file_stay_together(table, tmp_path):
    table = table.drop(columns="group")
    table["file"] = [f"{i // 2}.wav" for i in range(len(table))]
    table["label"] = np.where(np.arange(len(table)) // 2 % 2, "yes", "no")
    table.insert(1, "chunk", np.arange(len(table)) % 2)
    text = evaluate_table(write(table, tmp_path), folds=3, jobs=1)
    assert "24 groups" in text
    assert "over 24 groups" in text


def test_columns_behind_the_features_are_no_features(table, tmp_path):
    table["age"] = (table["label"] == "yes").astype(int)
    text = evaluate_table(write(table, tmp_path), folds=3, jobs=1)
    assert "2 features (f0 … f1)" in text
    assert "remark: columns that are not used: age" in text


def test_rows_without_a_label_are_left_out(table, tmp_path):
    table.loc[:3, "label"] = ""
    text = evaluate_table(write(table, tmp_path), folds=3, jobs=1)
    assert "remark: left out 4 rows without a label" in text
    assert "44 rows" in text


def test_what_is_missing_is_named(table, tmp_path, capsys):
    path = write(table, tmp_path)
    with pytest.raises(CorpusError, match="expected a column 'emotion'"):
        evaluate_table(path, label="emotion")
    with pytest.raises(ParameterError, match="partition: found beside folds"):
        evaluate_table(path, partition=True, folds=3)
    write(table.assign(f0="text"), tmp_path)
    with pytest.raises(CorpusError, match="found 'f0' first, expected numeric features"):
        evaluate_table(path)
    write(table.assign(label="yes"), tmp_path)
    assert main(["evaluate", str(path), "--jobs", "1"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("thesis evaluate: ")


def test_foreign_text_is_escaped(table, tmp_path):
    table["label"] = table["label"].map({"no": "n\x1b[2J", "yes": "y\u202e"})
    path = write(table.assign(**{"m\x1b[31m": 1}), tmp_path)
    text = evaluate_table(path, tmp_path / "o\x1bt", folds=3, jobs=1)
    assert not set(text) & {"\x1b", "\u202e"}
    assert r"n\x1b[2J" in text
