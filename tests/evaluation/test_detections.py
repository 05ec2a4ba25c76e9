"""Systems of detectors: which networks they average, and by which rule they decide."""

import numpy as np
import pandas as pd
import pytest
import soundfile

from thesislib.corpora.index import Corpus
from thesislib.evaluation.detections import (
    ALONE,
    SLIDING,
    TUNED,
    DetectionSystem,
    DetectorGrid,
    decide_events,
    list_systems,
)
from thesislib.evaluation.event_scores import AVERAGE
from thesislib.representations.crnn import CRNN, FFNN
from thesislib.spectra.frames import LogMelFrames
from thesislib.store import FeatureStore

SR, LABELS = 8000, ("cry", "shot")
FRAMES = LogMelFrames(0.064, 0.032, 8)
KINDS = {"CRNN": FRAMES, "CRNN + Δ": LogMelFrames(0.064, 0.032, 8, delta=True)}
KINDS |= {"CNN": FRAMES, "FFNN": FRAMES}
ENSEMBLES = {"cry": [5], "shot": [5, 10]}
SMALL = {"n_filters": (2, 2), "pool_sizes": (2, 2), "n_units": 2, "n_dense": 2, "n_epochs": 1}
CHOICES = {"ensembles": ENSEMBLES, "thresholds": dict.fromkeys(LABELS, 0.5)}


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    """Two mixtures of each class and partition; the second has no event."""
    root = tmp_path_factory.mktemp("mixtures")
    generator = np.random.default_rng(0)
    corpora = {}
    for label in LABELS:
        for part in ("training", "validation", "test"):
            rows = []
            for i in range(2):
                file = f"{label}_{part}_{i}.wav"
                soundfile.write(root / file, 0.1 * generator.normal(size=SR), SR)
                event = {"onset_s": 0.5, "offset_s": 0.7} if i == 0 else {}
                rows.append({"file": file, "label": label, **event})
            corpora.setdefault(label, {})[part] = Corpus(pd.DataFrame(rows), root, name=part)
    return corpora


@pytest.fixture(scope="module")
def grid(clips, tmp_path_factory):
    """All detectors, trained for one epoch with two seeds."""
    grid = DetectorGrid(clips, KINDS, sr=SR, store=FeatureStore(tmp_path_factory.mktemp("store")))
    grid.fit_all(
        CRNN(5, **SMALL, device="cpu"),
        FFNN(n_units=(2,), n_epochs=1, device="cpu"),
        time_steps=[5, 10],
        ensembles=ENSEMBLES,
        batch_sizes={label: {5: 8, 10: 4} for label in LABELS},
        seeds=[0, 1],
    )
    return grid


def test_systems_have_names_of_their_own_and_those_with_the_peak_rule_are_tuned():
    systems = list_systems([3, 50])
    names = [system.name for part in systems.values() for system in part.values()]
    assert len(set(names)) == len(names)
    assert set(systems[TUNED]) == {
        "Baseline with the peak rule",
        "CNN with a FFNN",
        ALONE,
        SLIDING,
    }
    assert {system.rule for system in systems[TUNED].values()} == {"validation"}
    assert systems[""]["CNN with a FFNN"].time_steps == (50,)


def test_every_system_has_its_networks(grid):
    kinds = {key[1:3] for key in grid.detectors if key[0] == "shot"}
    assert kinds == {
        *(("CRNN", tau) for tau in (5, 10)),
        *(("CRNN + Δ", tau) for tau in (5, 10)),
        ("CNN", 10),
        ("FFNN", 1),
    }
    assert ("cry", "CRNN + Δ", 10, 0) not in grid.detectors
    members = grid.members(ENSEMBLES, seed=1)
    assert [each.chunk_frames for each in members["shot"]] == [5, 10]
    assert {each.random_state for each in members["shot"]} == {1}
    for experiment in list_systems([5, 10]).values():
        for system in experiment.values():
            decisions = decide_events(grid, system, seeds=[0, 1], parts=["test"], **CHOICES)
            assert list(decisions.tables["test"]) == [0, 1]


def test_probabilities_of_an_ensemble_are_averaged(grid):
    system = DetectionSystem("CRNN", "CRNN")
    mean = grid.average("shot", system, [5, 10], 0, "test")
    parts = [grid.average("shot", system, [tau], 0, "test") for tau in (5, 10)]
    for together, *alone in zip(mean, *parts):
        assert together == pytest.approx(np.mean(alone, axis=0), abs=1e-6)


def test_a_system_that_detects_nothing_has_an_error_rate_of_one(grid):
    nothing = DetectionSystem("Detects nothing")
    decisions = decide_events(grid, nothing, seeds=[0], parts=["test"], **CHOICES)
    assert decisions.error_rates("test") == {"cry": 1.0, "shot": 1.0, AVERAGE: 1.0}
    table = decisions.tables["test"][0]
    assert table["file"].tolist() == [f"{c}_test_{i}.wav" for c in LABELS for i in range(2)]
    assert table["found_onset_s"].isna().all()


def test_the_rule_sets_the_threshold(grid):
    options = {"seeds": [0], "parts": ["test"], "ensembles": ENSEMBLES}
    thresholds = {"cry": 0.3, "shot": 0.9}
    used = {
        rule: decide_events(
            grid, DetectionSystem("s", "FFNN", (1,), rule=rule), thresholds=thresholds, **options
        )
        for rule in ("peak", "validation", "onsets", "median filter")
    }
    assert used["peak"].describe("threshold") == {"cry": "0.3", "shot": "0.9"}
    assert used["median filter"].describe("threshold") == {"cry": "0.5", "shot": "0.5"}
    assert used["validation"].rules["shot"][0].keys() == {"threshold", "n_back"}
    assert used["onsets"].rules["shot"][0].keys() == {"threshold", "n_back", "smooth_s"}
    assert used["peak"].describe("smooth_s") == {"cry": "", "shot": ""}
