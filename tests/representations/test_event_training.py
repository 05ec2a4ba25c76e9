"""Detectors side by side: the same bits in any number of processes, and nothing trained twice."""

import numpy as np
import pandas as pd
import pytest
import soundfile

from thesislib.corpora.index import Corpus
from thesislib.representations import event_training
from thesislib.representations.crnn import CRNN, FFNN
from thesislib.representations.event_training import (
    fit_detectors,
    predict_detectors,
    read_frames,
    search_learning_rates,
)
from thesislib.representations.frame_detector import search_learning_rate
from thesislib.representations.sliding import predict_sliding
from thesislib.spectra.frames import LogMelFrames
from thesislib.store import FeatureStore
from thesislib.training import limit_threads

SMALL = {"n_filters": (2, 2), "pool_sizes": (2, 2), "n_units": 3, "n_dense": 3, "n_epochs": 2}


@pytest.fixture
def clips(rng):
    X = rng.normal(size=(6, 40, 8)).astype(np.float32)
    y = np.zeros((6, 40), np.uint8)
    y[:, 10:20] = 1
    X[:, 10:20, 3] += 2
    return X, y


@pytest.fixture
def tasks(clips):
    X, y = clips
    parts = (X[:4], y[:4]), (X[4:], y[4:])
    return {
        "crnn": (CRNN(10, **SMALL, device="cpu"), *parts),
        "other seed": (CRNN(10, **SMALL, random_state=1, device="cpu"), *parts),
        "ffnn": (FFNN(n_units=(4,), n_epochs=2, device="cpu"), *parts),
    }


def weights(detectors):
    return {key: d.cache_parameters()["weights"] for key, d in detectors.items()}


@pytest.mark.slow
def test_processes_do_not_change_a_bit(tasks, clips, tmp_path):
    one = fit_detectors(tasks, FeatureStore(tmp_path / "one"), n_jobs=1)
    two = fit_detectors(tasks, FeatureStore(tmp_path / "two"), n_jobs=2)
    assert weights(one) == weights(two)
    assert len(set(weights(one).values())) == 3
    questions = {(key, s): (d, clips[0], s) for key, d in one.items() for s in (False, True)}
    answers = [
        predict_detectors(questions, FeatureStore(tmp_path / name), n_jobs=n)
        for name, n in (("a", 1), ("b", 2))
    ]
    for key in questions:
        np.testing.assert_array_equal(answers[0][key], answers[1][key])


def test_what_is_kept_is_not_computed_again(tasks, clips, tmp_path, monkeypatch):
    store = FeatureStore(tmp_path)
    first = fit_detectors(tasks, store)
    questions = {key: (detector, clips[0], True) for key, detector in first.items()}
    answers = predict_detectors(questions, store)
    rates = {"learning_rates": [0.01, 0.001], "n_epochs": 2}
    searches = {"a": (tasks["crnn"][0], clips)}
    table = search_learning_rates(searches, store, **rates)
    for owner, name in ((CRNN, "fit"), (FFNN, "fit"), (event_training, "_predict")):
        monkeypatch.setattr(owner, name, lambda *args: pytest.fail("computed again"))
    again = fit_detectors(tasks, store)
    assert weights(again) == weights(first)
    assert [d.history_ for d in again.values()] == [d.history_ for d in first.values()]
    for key, clip in predict_detectors(questions, store).items():
        np.testing.assert_array_equal(clip, answers[key])
    pd.testing.assert_frame_equal(search_learning_rates(searches, store, **rates), table)


def test_other_data_or_parameters_are_another_training(tasks, tmp_path):
    store = FeatureStore(tmp_path)
    detector, (X, y), held_out = tasks["crnn"]
    variants = {
        "as it was": (detector, (X, y), held_out),
        "other frames": (detector, (X + 1, y), held_out),
        "other labels": (detector, (X, 1 - y), held_out),
        "other validation": (detector, (X, y), (X, y)),
        "other rate": (CRNN(10, **SMALL, learning_rate=0.1, device="cpu"), (X, y), held_out),
    }
    fit_detectors(variants, store)
    assert len(list(tmp_path.rglob("*.safetensors"))) == len(variants)
    assert not list((tmp_path / "training").glob("*"))


def test_a_damaged_network_is_trained_again(tasks, tmp_path):
    store = FeatureStore(tmp_path)
    first = weights(fit_detectors(tasks, store))
    damaged = next(tmp_path.rglob("*.safetensors"))
    damaged.write_bytes(damaged.read_bytes()[:100])
    with pytest.warns(UserWarning, match="it is trained again"):
        assert weights(fit_detectors(tasks, store)) == first


def test_answers_are_those_of_the_detectors(tasks, clips, tmp_path):
    store = FeatureStore(tmp_path)
    detector = fit_detectors(tasks, store)["crnn"]
    lengths = [clips[0][0], clips[0][1][:25]]
    found = predict_detectors({"x": (detector, lengths, True)}, store)["x"]
    for clip, expected in zip(found, predict_sliding(detector, lengths), strict=True):
        np.testing.assert_allclose(clip, expected[:, 0], atol=1e-6)


def test_the_search_is_that_of_the_detector(clips, tmp_path):
    detector = CRNN(10, **SMALL, device="cpu")
    options = {"learning_rates": [0.01, 1e-6, 0.001], "n_epochs": 2}
    table = search_learning_rates({"a": (detector, clips)}, FeatureStore(tmp_path), **options)
    assert table.pop("event").tolist() == ["a"] * 3
    with limit_threads(1):
        pd.testing.assert_frame_equal(table, search_learning_rate(detector, *clips, **options))


@pytest.mark.parametrize("lengths_s", [(2.0, 2.0), (2.0, 1.5)])
def test_labels_lie_where_the_sound_is(tmp_path, lengths_s):
    frames, rows = LogMelFrames(0.046, 0.023, 16), []
    for i, length_s in enumerate(lengths_s):
        y = np.zeros(round(8000 * length_s))
        y[4000:6000] = np.sin(np.arange(2000))
        soundfile.write(tmp_path / f"{i}.wav", y, 8000)
        rows.append((f"{i}.wav", "tone", 0.5, 0.75))
    columns = ["file", "label", "onset_s", "offset_s"]
    corpus = Corpus(pd.DataFrame(rows, columns=columns), tmp_path, name="tones")
    X, y = read_frames(corpus, frames, sr=8000)
    assert isinstance(X, np.ndarray) == (lengths_s[0] == lengths_s[1])
    for clip, label in zip(X, y, strict=True):
        assert clip[label == 1].mean() > clip[label == 0].mean() + 20  # dB
