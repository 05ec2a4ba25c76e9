"""Corpora without a public layout: counts decide whether a folder is the thesis's corpus."""

import json

import numpy as np
import pandas as pd
import pytest
import soundfile

from thesislib.corpora import load_any, load_corpus, open_corpus, open_tasks
from thesislib.corpora.indexed import list_tasks
from thesislib.corpora.records import RECORDS
from thesislib.corpora.synthetic import make_corpus
from thesislib.errors import CorpusError, ParameterError
from thesislib.reporting.published import load_published

GENRES = RECORDS["game_genre"].counts[0]["numbers"]
REVIEWS = RECORDS["sentiment"].counts[0]["numbers"]
TASKS = RECORDS["vocalisations"].values["tasks"]


def write_index(root, rows, **description):
    root.mkdir(parents=True, exist_ok=True)
    pd.DataFrame(rows).to_csv(root / "index.csv", index=False)
    if description:
        (root / "corpus.json").write_text(json.dumps(description))
    return root


def g2ame(n_chunks=1):
    """An index with the counts of Table 8.8: 50 games a genre, 5 of them in each fold."""
    return [
        {
            "file": f"{label}-{i}.wav",
            "label": label,
            "group": f"{label}-{i % 50}",
            "fold": 1 + i % 50 // 5,
            "start_s": 5 * chunk,
            "end_s": 5 * chunk + 5,
        }
        for label, n in GENRES.items()
        for i in range(n)
        for chunk in range(n_chunks)
    ]


def reviews():
    return [
        {"file": f"{part}-{label}-{i}.wav", "label": label, "partition": part}
        for part, counts in REVIEWS.items()
        for label, n in counts.items()
        for i in range(n)
    ]


def coughs(**changed):
    rows = []
    for part in ("train", "evaluation"):
        n, ratio, *_ = TASKS["coughing"][part]
        n_target = changed.get("n_target", round(n * ratio / (1 + ratio)))
        rows += [
            {
                "file": f"../audio/{part}-{i}.wav",
                "label": "coughing" if i < n_target else "normal",
                "partition": part,
            }
            for i in range(n)
        ]
    return rows


def test_expected_counts_are_those_of_the_printed_tables():
    genre = load_published("8.8").set_index("genre")
    assert genre["n_clips"].drop("total").to_dict() == GENRES
    # A clip of one minute is cut into chunks of 5 s.
    chunks = {g: n * 12 for g, n in GENRES.items()}
    assert genre["n_chunks"].drop("total").to_dict() == chunks

    reviewed = load_published("9.4").set_index("partition")
    for printed, partition in (("Train", "train"), ("Devel.", "devel"), ("Test", "test")):
        for label in ("positive", "negative"):
            assert reviewed.loc[printed, f"n_{label}"] == REVIEWS[partition][label]

    columns = ["n_clips", "class_ratio", "total_min", "min_s", "max_s", "n_segments"]
    voiced = load_published("9.1")
    voiced = voiced[voiced["task"] != "total"]
    assert len(voiced) == sum(map(len, TASKS.values()))
    for _, row in voiced.iterrows():
        assert list(row[columns]) == TASKS[row["task"].lower()][row["partition"].lower()]


@pytest.mark.parametrize("n_chunks", [1, 12])
def test_g2ame_is_known_by_its_clips_whether_cut_into_chunks_or_not(tmp_path, n_chunks):
    corpus = load_corpus("game_genre", write_index(tmp_path, g2ame(n_chunks)))
    assert len(corpus) == 1566 * n_chunks
    assert (corpus.kind, corpus.name, corpus.remarks) == ("thesis", "G2AME", ())


def test_a_missing_clip_makes_a_stand_in_and_is_named(tmp_path):
    corpus = load_corpus("game_genre", write_index(tmp_path, g2ame()[1:]))
    assert corpus.kind == "stand-in"
    assert corpus.remarks == ("clips of ACS: found 257, published 258",)


def test_other_folds_and_lost_games_are_noticed(tmp_path):
    rows = [row | {"fold": 1 + i % 9} for i, row in enumerate(g2ame())]
    remarks = load_corpus("game_genre", write_index(tmp_path / "a", rows)).remarks
    assert remarks[0] == "folds: found 9, published 10"
    assert remarks[1].startswith("games of a genre in a fold: found ")
    rows = [{key: row[key] for key in ("file", "label")} for row in g2ame()]
    corpus = load_corpus("game_genre", write_index(tmp_path / "b", rows))
    assert corpus.remarks == ("no column group: nothing keeps a game in one fold",)


def test_reviews_are_compared_with_table_9_4(tmp_path):
    assert load_corpus("sentiment", write_index(tmp_path / "a", reviews())).kind == "thesis"
    corpus = load_corpus("sentiment", write_index(tmp_path / "b", reviews()[:-2]))
    assert corpus.kind == "stand-in"
    assert corpus.remarks == ("test: clips of negative: found 28, published 30",)


def test_a_corpus_of_other_classes_is_not_compared(tmp_path):
    rows = [row | {"label": f"own {row['label']}"} for row in reviews()]
    corpus = load_corpus("sentiment", write_index(tmp_path, rows))
    assert corpus.kind == "stand-in"
    (remark,) = corpus.remarks
    assert remark.startswith("other classes than those of ")


@pytest.mark.parametrize("kind", ["stand-in", "synthetic"])
def test_corpus_json_has_the_last_word(tmp_path, kind):
    corpus = load_corpus("sentiment", write_index(tmp_path, reviews(), kind=kind, name="mine"))
    assert (corpus.kind, corpus.name) == (kind, "mine")


def test_vocalisations_are_known_by_clips_and_class_ratio(tmp_path):
    write_index(tmp_path / "a" / "coughing", coughs())
    corpus = load_corpus("vocalisations", tmp_path / "a" / "coughing")
    assert (corpus.kind, corpus.name) == ("thesis", "CAS2T vocalisations: coughing")
    assert all("were not compared" in remark for remark in corpus.remarks)

    write_index(tmp_path / "b" / "coughing", coughs(n_target=100))
    corpus = load_corpus("vocalisations", tmp_path / "b" / "coughing")
    assert corpus.kind == "stand-in"
    assert corpus.remarks[0].startswith("train: target clips for one of speech: found 0.05")


def test_lengths_and_segments_are_notes_that_do_not_decide(tmp_path):
    rows = [row | {"duration_s": 1.2} for row in coughs()]
    write_index(tmp_path / "coughing", rows)
    corpus = load_corpus("vocalisations", tmp_path / "coughing")
    assert corpus.kind == "thesis"
    # 2 088 clips of 1.2 s hold two whole half seconds each.
    assert "train: segments of 0.5 s: found 4176, published 10336" in corpus.remarks
    assert "train: longest clip (s): found 1.2, published 28.8" in corpus.remarks


def test_tasks_come_in_the_order_of_the_thesis_and_must_exist(tmp_path):
    for task in ("laughing", "sneezing", "freezing"):
        write_index(tmp_path / task, [{"file": "a.wav", "label": task, "partition": "train"}])
    assert list_tasks(tmp_path, RECORDS["vocalisations"]) == ["freezing", "sneezing", "laughing"]
    assert "not one of Table 9.1" in load_corpus("vocalisations", tmp_path / "laughing").remarks[0]
    with pytest.raises(ParameterError, match=r"task: found 'sneezin', .*did you mean 'sneezing'"):
        open_corpus("vocalisations", tmp_path, task="sneezin")
    with pytest.raises(CorpusError, match=r"found no sub-folder with an index.csv"):
        list_tasks(tmp_path / "laughing", RECORDS["vocalisations"])
    with pytest.raises(CorpusError, match="freezing, laughing, sneezing are corpora: name one"):
        load_any(tmp_path)


def test_files_beside_the_tasks_are_found(tmp_path):
    rows = []
    (tmp_path / "audio").mkdir()
    for i in range(8):
        soundfile.write(tmp_path / "audio" / f"{i}.wav", np.full(800, 0.1 + i / 100), 8000)
        label, part = ("coughing", "other")[i % 2], ("train", "evaluation")[i // 4]
        rows.append({"file": f"../audio/{i}.wav", "label": label, "partition": part})
    write_index(tmp_path / "coughing", rows)
    corpus = open_corpus("vocalisations", tmp_path, task="coughing")
    assert all(path.is_file() for path in corpus.paths)
    assert list(open_tasks("vocalisations", tmp_path)) == ["coughing"]
    with pytest.raises(ParameterError, match="task: found None, expected one of coughing"):
        open_corpus("vocalisations", tmp_path)
    with pytest.raises(ParameterError, match="task: found 'coughing', expected none"):
        open_corpus("sentiment", tmp_path, task="coughing")


def test_synthetic_ones_stay_synthetic(tmp_path):
    for name in ("game_genre", "sentiment"):
        root = make_corpus(name, tmp_path / name, size="tiny", n_per_class=2, clip_s=0.1)
        corpus = load_corpus(name, root).check()
        assert (corpus.kind, corpus.remarks) == ("synthetic", ())
    root = make_corpus("vocalisations", tmp_path / "v", size="tiny", n_per_class=2, clip_s=0.1)
    tasks = open_tasks("vocalisations", root)
    assert list(tasks) == list(TASKS)
    assert all(corpus.kind == "synthetic" and not corpus.remarks for corpus in tasks.values())


def test_stand_ins_at_hand_are_read_as_such(reference_data):
    root = reference_data / "corpora"
    for name, n, split in (("game_genre", 210, "fold"), ("sentiment", 220, "partition")):
        corpus = open_corpus(name, root / name)
        assert (corpus.kind, len(corpus)) == ("stand-in", n)
        assert corpus.remarks
        # Games and speakers are on one side of each split.
        assert corpus.index.groupby("group")[split].nunique().max() == 1
    tasks = open_tasks("vocalisations", root / "vocalisations")
    assert list(tasks) == ["coughing", "sneezing", "crying_baby", "laughing"]
    for task, corpus in tasks.items():
        assert corpus.kind == "stand-in"
        assert set(corpus.classes) == {task, "other"}
