"""8.2: what the notebook's claims rest on: printed tables, synthetic mixtures, its own bytes."""

import json

import numpy as np
import pandas as pd
import pytest

from thesislib.compendium.parameters import check_parameters, read_profile
from thesislib.compendium.run import execute_notebook
from thesislib.corpora import open_corpus
from thesislib.corpora.event_partitions import mix_partitions, split_partitions
from thesislib.corpora.synthetic import make_corpus
from thesislib.evaluation.events import count_events, locate_events
from thesislib.reporting.published import load_published
from thesislib.representations.crnn import CRNN
from thesislib.representations.event_training import read_frames
from thesislib.spectra.frames import LogMelFrames

NAME = "08_2_rare_events"


@pytest.fixture(scope="module")
def mixtures(tmp_path_factory):
    """Glass that breaks, in mixtures of 4 s."""
    root = tmp_path_factory.mktemp("rare")
    sources = open_corpus(
        "rare_events", make_corpus("rare_events", root / "sources", n_per_class=12, clip_s=4.0)
    )
    parts = {
        part: table[table["label"].isin(["glassbreak", "background"])]
        for part, table in split_partitions(sources, validation_share=0.3).items()
    }
    names = ("training", "validation", "development")
    return mix_partitions(
        sources,
        parts,
        root / "mixtures",
        n_mixtures={"training": 30, "validation": 4, "development": 20},
        presence=dict.fromkeys(names, 0.5),
        duration_s=4.0,
        sr=16000,
    )


def score(detector, mixtures, frames, index):
    clips = mixtures["development"].index
    X, _ = read_frames(mixtures["development"], frames, sr=16000)
    probabilities = [clip[:, 0] for clip in detector.predict_proba(X)]
    found = locate_events(clips, probabilities, hop_s=frames.hop(16000), threshold=0.3, n_back=90)
    counts = count_events(index, found)
    n_reference, n_estimated, n_matched = counts.iloc[:, 2:].sum()
    return (n_reference + n_estimated - 2 * n_matched) / n_reference


def test_a_detector_beats_nothing_and_misplaced_onsets(mixtures, seeds):
    frames = LogMelFrames(0.046, 0.023, 32)
    X, y = read_frames(mixtures["training"], frames, sr=16000)
    small = {"n_filters": (6, 12), "pool_sizes": (4, 4), "n_units": 16, "n_dense": 16}
    small |= {"n_epochs": 30, "batch_size": 6, "learning_rate": 0.003}
    truth, rates = mixtures["development"].index, []
    for seed in seeds:
        detector = CRNN(50, **small, device="cpu", random_state=seed).fit(X, y)
        # The same onsets over other mixtures: whoever still finds them has looked.
        order = np.random.default_rng(seed).permutation(len(truth))
        moved = truth.assign(onset_s=truth["onset_s"].to_numpy()[order])
        rates.append([score(detector, mixtures, frames, index) for index in (truth, moved)])
    right, misplaced = np.median(rates, axis=0)
    assert right < 0.6  # a detector that finds nothing has 1
    assert misplaced > 1.1


def test_the_thesis_profile_builds_the_printed_networks():
    values = check_parameters(NAME, read_profile(NAME, "paper"))
    for row in load_published("8.4").itertuples():
        assert values["batch_sizes"][row.event.lower()] == row.batch_size
        assert len(values["n_filters"]) == row.n_conv_layers
        assert values["n_recurrent"] == row.n_recurrent_layers
        assert values["n_units"] == row.n_recurrent_units
        assert values["n_dense"] == row.n_dense_units
        assert values["learning_rate"] == row.learning_rate
        assert values["decay"] == row.learning_rate_decay
        assert values["dropout"] == row.dropout
        assert values["min_epochs"] <= row.n_epochs <= values["n_epochs"]
    printed = load_published("8.5").groupby("event")["time_step"].apply(list)
    assert {name.lower(): taus for name, taus in printed.items()} == {
        name: taus for name, taus in values["ensembles"].items() if name != "other"
    }
    network = CRNN(
        n_filters=tuple(values["n_filters"]),
        kernel_sizes=tuple(map(tuple, values["kernel_sizes"])),
        pool_sizes=tuple(values["pool_sizes"]),
        n_epochs=0,
        device="cpu",
    ).fit(np.zeros((1, 50, values["n_mels"])), np.zeros((1, 50), int))
    assert network.network_.recurrent.hidden_size == 128


def test_the_search_back_reaches_the_onset_of_the_longest_event():
    longest_s = load_published("8.2")["max_s"].max()
    for profile in ("demo", "paper"):
        values = check_parameters(NAME, read_profile(NAME, profile))
        assert values["n_back"] * values["hop_s"] == pytest.approx(longest_s, abs=0.1)


def test_printed_shares_fit_the_presence_of_the_development_set():
    printed = load_published("8.3").set_index("event")["positive_percent"]
    durations = load_published("8.2").query("partition == 'dev'").set_index("event")["mean_s"]
    for presence, fits in ((0.5, True), (0.9, False)):
        expected = 100 * presence * durations / 30
        assert ((printed - expected).abs() < 0.3).all() == fits


@pytest.mark.parametrize(
    ("table", "experiment", "system", "misprinted"),
    [
        ("8.6", "Experiment 3", "w/o sliding ensemble", 0.22),
        ("8.7", "", "CNN with a FFNN", 0.43),
        ("8.6", "Experiment 2", "t(9)", None),
    ],
)
def test_printed_averages_and_where_they_are_wrong(table, experiment, system, misprinted):
    printed = load_published(table)
    rows = printed[(printed["experiment"] == experiment) & (printed["system"] == system)]
    rows = rows.set_index("event")["error_rate"]
    mean = rows.drop("Average").mean()
    assert (abs(rows["Average"] - mean) < 0.006) == (misprinted is None)
    assert misprinted is None or rows["Average"] == misprinted


@pytest.mark.slow
def test_two_runs_from_nothing_give_the_same_tables(tmp_path, monkeypatch):
    small = {
        "synthetic": {"n_per_class": 12, "clip_s": 4.0},
        "n_mixtures": {"training": 6, "validation": 2, "development": 6, "evaluation": 6},
        "duration_s": 4.0,
        "n_epochs": 1,
        "baseline_n_epochs": 1,
        "time_steps": [3, 50],
        "ensembles": {"other": [3, 50]},
        "learning_rates": [0.01],
        "n_resamples": 100,
    }
    tables = []
    for n_jobs in (1, 2):
        folder = tmp_path / str(n_jobs)
        places = {"store": str(folder / "store"), "results": str(folder / "results")}
        execute_notebook(NAME, {**small, **places, "n_jobs": n_jobs})
        found = sorted((folder / "results" / "tables").iterdir())
        tables.append({path.name: path.read_bytes() for path in found})
    assert tables[0] == tables[1]
    table = pd.read_csv(folder / "results" / "tables" / "table_8_6.csv")
    nothing = table[table["system"] == "Detects nothing"]
    assert (nothing["error_rate"] == 1).all()
    record = json.loads((folder / "results" / "run.json").read_text())
    assert record["status"] == "complete"
    assert any(name.startswith("models/") for name in record["outputs"])
