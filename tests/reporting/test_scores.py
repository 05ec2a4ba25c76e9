"""Score tables: rows, seeds, chunks, marks and differences; which comparisons are planned."""

import numpy as np
import pandas as pd
import pytest

from thesislib.corpora.index import Corpus
from thesislib.errors import ParameterError
from thesislib.evaluation.candidates import Candidates
from thesislib.evaluation.comparison import compare, score
from thesislib.evaluation.metrics import unweighted_average_recall
from thesislib.evaluation.predictions import PartitionResult, Predictions
from thesislib.reporting import scores as module
from thesislib.reporting.scores import ScoreTable, compare_planned, plan_pairs, tabulate
from thesislib.reporting.tables import join_published

N, CLASSES = 24, ("a", "b")


@pytest.fixture
def corpus():
    index = pd.DataFrame({"file": [f"{i:02}.wav" for i in range(N)], "label": ["a", "b"] * 12})
    return Corpus(index.assign(group=[f"g{i // 3}" for i in range(N)]), ".", name="small")


def predict(corpus, wrong=(), rows=None, folds=None):
    """Predictions that are wrong at some positions."""
    rows = np.arange(len(corpus)) if rows is None else np.asarray(rows)
    truth = corpus.labels.astype(str)[rows]
    positions = np.isin(np.arange(len(rows)), wrong) != (truth == "b")
    predicted = np.where(positions, "b", "a")
    return Predictions(rows, truth, predicted, np.eye(2)[positions * 1], CLASSES, folds)


# Predictions as a table


def test_a_row_of_the_predictions_names_its_clip(corpus):
    predictions = predict(corpus, wrong=[1], rows=[5, 0, 7], folds=np.array(["x", "x", "y"]))
    table = tabulate(predictions, corpus, system="svm", selection="nested", seed=3)
    assert table["file"].tolist() == ["05.wav", "00.wav", "07.wav"]
    assert table["group"].tolist() == ["g1", "g0", "g2"]
    assert table["fold"].tolist() == ["x", "x", "y"]
    assert table["truth"].tolist() == ["b", "a", "b"]
    assert table["prediction"].tolist() == ["b", "b", "b"]
    assert table[["score_a", "score_b"]].to_numpy().tolist() == predictions.values.tolist()
    assert set(table["corpus"]) == {"small"} and set(table["seed"]) == {3}


def test_chunks_and_segments_of_a_file_have_names_of_their_own(corpus):
    chunks = np.repeat(np.arange(N), 2)
    truth = corpus.labels.astype(str)[chunks]
    predictions = Predictions(np.array([3, 2]), truth[[3, 2]], truth[[3, 2]], np.eye(2), CLASSES)
    table = tabulate(predictions, corpus, system="svm", clip_of_chunk=chunks)
    assert table["file"].tolist() == ["01.wav#1", "01.wav#0"]
    segments = pd.DataFrame({"file": "long.wav", "start_s": [0, 2.5], "label": ["a", "b"]})
    segments = Corpus(segments, ".", name="segments")
    predictions = Predictions(np.arange(2), truth[:2], truth[:2], np.eye(2), CLASSES)
    table = tabulate(predictions, segments, system="svm")
    assert table["file"].tolist() == ["long.wav@0", "long.wav@2.5"]


# Rows


def test_a_row_has_the_score_of_its_predictions(corpus):
    table, predictions = ScoreTable(corpus, name="uar_test"), predict(corpus, wrong=[0, 1, 5])
    table.add({"model": "svm", "selection": "nested"}, predictions, system="SVM")
    (row,) = table.rows
    result = score(table.predictions)
    assert row["uar_test_percent"] == round(100 * predictions.score(), 2)
    assert row["uar_test_low_percent"] == round(100 * result["low"], 2)
    assert (row["unit"], row["n_clips"], row["n_groups"], row["n_seeds"]) == ("group", N, 8, 1)
    assert np.isnan(row["std_over_seeds_percent"])
    assert set(table.predictions["selection"]) == {"nested"}


def test_a_system_that_predicts_one_class_is_a_remark(corpus):
    wrong = np.flatnonzero(corpus.labels == "b")
    with pytest.warns(UserWarning, match="^SVM: predicts 'a' for all clips$"):
        ScoreTable(corpus).add({}, predict(corpus, wrong=wrong), system="SVM")


def test_seeds_are_averaged_and_kept_apart(corpus):
    by_seed = {seed: predict(corpus, wrong=range(2 * seed)) for seed in range(3)}
    table = ScoreTable(corpus)
    table.add({}, by_seed, system="network")
    scores = [part.score() for part in by_seed.values()]
    assert table.rows[0]["uar_percent"] == round(100 * np.mean(scores), 2)
    assert table.rows[0]["std_over_seeds_percent"] == round(100 * np.std(scores, ddof=1), 2)
    parts = table.predictions.groupby("seed")
    assert [
        unweighted_average_recall(part["truth"], part["prediction"]) for _, part in parts
    ] == scores


def test_a_row_without_predictions_has_no_score(corpus):
    table = ScoreTable(corpus)
    table.add({"model": "cfs", "status": "not run: no software"})
    assert table.predictions is None
    table.add({"model": "svm", "status": "run"}, predict(corpus), system="SVM")
    assert table.frame["uar_percent"].isna().tolist() == [True, False]


def test_a_row_without_a_system_has_a_score_only(corpus):
    table = ScoreTable(corpus)
    table.add({}, predict(corpus))
    assert table.rows[0]["uar_percent"] == 100
    assert table.predictions is None


def test_the_mean_over_folds_stands_beside_the_score_of_all(corpus):
    folds = np.repeat(["1", "2"], [6, 18])
    table = ScoreTable(corpus, metric="accuracy", name="accuracy")
    table.add({}, predict(corpus, wrong=[0, 1, 2], folds=folds), system="SVM")
    row = table.rows[0]
    assert row["accuracy_percent"] == 87.5
    assert (row["accuracy_mean_percent"], row["accuracy_std_percent"]) == (75.0, 25.0)


def test_chunks_are_scored_and_clips_by_their_vote(corpus):
    clips = np.repeat(np.arange(N), 3)
    truth = corpus.labels.astype(str)[clips]
    flipped = np.isin(np.arange(3 * N), np.arange(0, 3 * N, 3))  # one chunk of each clip
    positions = (truth == "b") != flipped
    predicted = np.where(positions, "b", "a")
    chunks = Predictions(np.arange(3 * N), truth, predicted, np.eye(2)[positions * 1], CLASSES)
    table = ScoreTable(corpus, ties=True)
    table.add({}, chunks, system="SVM", clip_of_chunk=clips)
    row = table.rows[0]
    assert (row["uar_percent"], row["uar_clip_percent"]) == (66.67, 100.0)
    assert (row["n_chunks"], row["n_clips"], row["n_groups"]) == (3 * N, N, 8)
    assert (row["chunk_ties_percent"], row["clip_ties_percent"]) == (0.0, 0.0)
    sizes = table.predictions["system"].value_counts().to_dict()
    assert sizes == {"SVM": N, "SVM, chunks": 3 * N}


def test_one_name_for_two_systems_is_an_error(corpus):
    table = ScoreTable(corpus)
    table.add({"selection": "nested"}, predict(corpus), system="SVM")
    table.add({"selection": "as published"}, predict(corpus), system="SVM")
    assert len(table.predictions) == 2 * N
    table.add({"selection": "nested"}, predict(corpus, wrong=[0]), system="SVM")
    with pytest.raises(ParameterError, match=r"\('small', 'SVM', 'nested', 0\) twice, expected"):
        _ = table.predictions


def test_rows_are_joined_renamed_and_completed(corpus):
    table = ScoreTable(corpus)
    table.add({"system": "SVM"}, predict(corpus), system="SVM, within", name="within")
    table.add({"system": "SVM"}, predict(corpus), system="SVM, elsewhere", name="elsewhere")
    table.join_rows("system").assign(chance_percent=50).rename({"within_percent": "uar"})
    (row,) = table.rows
    assert (row["uar"], row["elsewhere_percent"], row["chance_percent"]) == (100, 100, 50)
    assert set(table.predictions["system"]) == {"SVM, within", "SVM, elsewhere"}


# Marks and choices


def test_the_best_of_each_group_are_marked_and_stored(corpus):
    table, devel = ScoreTable(corpus, name="uar_test"), [60.0, 70.0, 65.0, 90.0]
    for i, weights in enumerate(["given", "given", "given", "random"]):
        row = {"weights": weights, "uar_devel_percent": devel[i]}
        table.add(row, predict(corpus, wrong=range(4 * i)), system=f"setting {i}")
    table.add({"weights": "given", "status": "not run"})
    table.mark_best(["weights"], system=lambda row: "SVM" if row["weights"] == "given" else "")
    marks = [row["selection"] for row in table.rows]
    assert marks == ["as published", "development", "", "", ""]
    own = table.predictions[table.predictions["system"] == "SVM"].set_index("selection")
    for i, mark in enumerate(marks[:2]):
        stored = table.predictions[table.predictions["system"] == f"setting {i}"]
        assert own.loc[mark, "prediction"].tolist() == stored["prediction"].tolist()


def test_a_row_that_is_best_on_both_parts_has_both_marks(corpus):
    table = ScoreTable(corpus)
    for i in range(2):
        row = {"uar_devel_percent": 80.0 - i}
        table.add(row, predict(corpus, wrong=range(4 * i)), system=f"setting {i}")
    table.mark_best([], system=lambda row: "SVM")
    assert [row["selection"] for row in table.rows] == ["development as published", ""]
    assert set(table.predictions["selection"]) == {"", "development", "as published"}


def test_choices_are_rows_and_controls_are_named_so(corpus):
    candidates = Candidates()
    for weights in ("pre-trained", "random"):
        for plot, n_wrong in (("hot", 6), ("gray", 2)):
            devel = predict(corpus, wrong=range(n_wrong))
            result = PartitionResult({1.0: devel}, {1.0: predict(corpus)})
            candidates.add({"network": "vgg16", "weights": weights, "plot": plot}, {0: result})
    table = ScoreTable(corpus)
    selections = ["development", "as published"]
    table.add_choices(
        candidates, selections, by=["weights"], system="nqDS {network}", row={"extra": 1}
    )
    assert [(row["weights"], row["plot"], row["selection"]) for row in table.rows] == [
        ("pre-trained", "gray", "development"),
        ("pre-trained", "hot", "as published"),
        ("random", "gray", "development"),
        ("random", "hot", "as published"),
    ]
    assert {row["extra"] for row in table.rows} == {1}
    assert set(table.predictions["system"]) == {"nqDS vgg16", "nqDS vgg16, random weights"}
    table.add_choices(Candidates(), selections, system="nothing")
    assert len(table.rows) == 4


def test_differences_of_rows_are_those_of_the_comparison(corpus):
    table = ScoreTable(corpus)
    for name, wrong in (("good", []), ("bad", range(12))):
        table.add({"model": name}, predict(corpus, wrong=wrong), system=name)
    compared = table.add_differences({"good": "bad"}, family="11")
    good, bad = table.rows
    parts = [table.predictions.query("system == @name") for name in ("good", "bad")]
    expected = compare(*parts)
    assert good["difference_percent"] == round(100 * expected["difference"], 2) == 50.0
    assert good["difference_low_percent"] == round(100 * expected["low"], 2)
    assert (good["p_value"], good["verdict"]) == (
        round(expected["p_value"], 4),
        compared["verdict"][0],
    )
    assert "difference_percent" not in bad


# Planned comparisons


@pytest.fixture
def rules(monkeypatch):
    """A list of planned comparisons."""

    def plan(*pairs):
        rows = [("I", "claim", "nb", "1.1", ours, others) for ours, others in pairs]
        columns = ["objective", "claim", "notebook", "table", "ours", "others"]
        table = pd.DataFrame(rows, columns=columns)
        monkeypatch.setattr(module, "load_list", lambda name: table)

    return plan


def list_pairs(systems, table="1.1"):
    columns = ["system_a", "system_b"]
    return plan_pairs("nb", table, systems)[columns].apply(tuple, axis=1).tolist()


def test_a_star_stands_for_the_same_text_on_both_sides(rules):
    rules(("nqDS *", "BoAW *"), ("nqDS *", "Chance"))
    systems = ["nqDS vgg16", "nqDS alexnet", "BoAW alexnet", "BoAW vgg19"]
    assert list_pairs(systems) == [
        ("nqDS alexnet", "BoAW alexnet"),
        ("nqDS vgg16", "Chance"),
        ("nqDS alexnet", "Chance"),
    ]
    assert plan_pairs("nb", "1.2", systems).empty


def test_of_alternatives_the_first_that_was_run_is_taken(rules):
    rules(("DCGAN, fused|DCGAN, mean", "IS10|IS09"))
    assert list_pairs(["DCGAN, mean", "IS09", "DCGAN, fused", "IS10"]) == [("DCGAN, fused", "IS10")]
    assert list_pairs(["DCGAN, mean", "IS09"]) == [("DCGAN, mean", "IS09")]
    assert list_pairs(["DCGAN, mean"]) == []


def test_controls_are_compared_with_and_not_in_place_of_the_method(rules):
    rules(("nqDS *", "nqDS *, random weights"), ("nqDS *", "Chance"))
    systems = ["nqDS vgg16", "nqDS vgg16, random weights"]
    assert list_pairs(systems) == [(systems[0], systems[1]), (systems[0], "Chance")]


def test_without_trained_networks_those_with_random_weights_take_their_place(rules):
    rules(
        ("nqDS *", "Chance"),
        ("nqDS *", "nqDS *, random weights"),
        ("BoDF *", "nqDS *"),
        ("BoDF *", "BoAW"),
    )
    systems = ["nqDS vgg16, random weights", "BoDF vgg16, random weights", "BoAW"]
    assert list_pairs(systems) == [
        (systems[0], "Chance"),
        (systems[1], systems[0]),
        (systems[1], "BoAW"),
    ]


def test_the_rows_as_published_are_not_compared(rules, corpus):
    rules(("SVM", "functionals"), ("SVM", "Chance"))
    table = ScoreTable(corpus)
    for system, n_wrong in (("SVM", 0), ("functionals", 8)):
        for selection in ("nested", "as published"):
            wrong = range(n_wrong if selection == "nested" else 0)
            table.add({"selection": selection}, predict(corpus, wrong=wrong), system=system)
    compared = compare_planned(table.predictions, "nb", "1.1", **table.options)
    assert compared[["corpus", "system_a", "system_b"]].to_numpy().tolist() == [
        ["small", "SVM", "functionals"],
        ["small", "SVM", "Chance"],
    ]
    assert compared["difference"].round(4).tolist() == [0.3333, 0.5]
    # Two comparisons of the table are a family.
    assert (compared["p_holm"] >= compared["p_value"]).all()
    assert compare_planned(table.predictions, "nb", "1.2").empty


def test_a_score_table_has_differences_on_the_thesis_s_corpus(corpus):
    table = ScoreTable(corpus, name="uar_test")
    table.add({"model": "SVM"}, predict(corpus), system="SVM")
    printed = pd.DataFrame({"model": ["SVM"], "uar_test_percent": [67.0]})
    names = {"keys": ["model"], "scores": ["uar_test_percent"]}
    joined = join_published(table.frame, printed, comparable=True, **names)
    assert joined["difference_uar_test_percent"].tolist()[0] == 33.0
