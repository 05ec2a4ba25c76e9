"""Features from detectors of events: whose they are, and what they do not depend on."""

import pickle

import numpy as np
import pytest
from sklearn.base import clone

from thesislib.errors import ParameterError
from thesislib.representations.crnn import CRNN
from thesislib.representations.event_features import EventFeatures, fit_events, label_pieces
from thesislib.representations.sliding import predict_ensemble
from thesislib.store import FeatureStore

SMALL = {"n_filters": (2, 2), "n_units": 4, "n_dense": 3, "n_epochs": 1, "device": "cpu"}


@pytest.fixture
def clips(rng):
    return [rng.normal(size=(n, 32)).astype(np.float32) for n in (20, 31, 7)]


def label(clips, rng):
    return [(rng.uniform(size=len(clip)) < 0.4).astype(np.uint8) for clip in clips]


def test_probabilities_are_the_mean_of_a_class_s_networks(clips, rng):
    networks = [
        CRNN(t, random_state=t, **SMALL).fit(clips[:2], label(clips[:2], rng)) for t in (3, 5)
    ]
    classes = {"dog": networks, "cat": networks[1:]}
    for sliding in (True, False):
        frames = EventFeatures(classes=classes, sliding=sliding).fit()
        expected = predict_ensemble(networks, clips, sliding=sliding)
        for found, dog, clip in zip(frames.transform(clips), expected, clips, strict=True):
            assert found.shape == (len(clip), 2)
            assert np.array_equal(found[:, :1], dog)
    dense = EventFeatures(classes=classes, output="dense").fit()
    assert dense.get_feature_names_out()[[0, 3, 6]].tolist() == (
        ["dense_dog_0_0", "dense_dog_1_0", "dense_cat_0_0"]
    )
    found = dense.transform(clips)
    assert np.array_equal(found[:, 3:6], found[:, 6:])
    # Neither the company of other clips nor the way through another process changes a bit.
    again = pickle.loads(pickle.dumps(dense)).transform(clips[1:2])
    assert np.array_equal(again[0], found[1])


def test_each_class_is_learnt_for_itself_and_kept_in_the_store(clips, rng, tmp_path):
    y = {"dog": label(clips[:2], rng), "cat": label(clips[:2], rng)}
    store = FeatureStore(tmp_path / "store")
    both = EventFeatures(CRNN(5, **SMALL)).fit(clips[:2], y, store=store)
    kept = sorted(store.root.rglob("*.safetensors"))
    assert len(kept) == 2
    times = [path.stat().st_mtime_ns for path in kept]
    alone = EventFeatures(CRNN(5, **SMALL)).fit(clips[:2], {"cat": y["cat"]}, store=store)
    assert [path.stat().st_mtime_ns for path in kept] == times
    assert np.array_equal(both.transform(clips)[0][:, 1:], alone.transform(clips)[0])
    assert both.cache_parameters() != alone.cache_parameters()


def test_events_at_the_borders_of_pieces():
    events = [[(0.35, 0.75, "a"), (0.9, 0.95, "b")], None]
    pieces = [(0, 0.0, 5), (0, 0.5, 5), (0, 1.0, 5)]
    found = label_pieces(events, pieces, hop_s=0.1)
    assert [piece.tolist() for piece in found["a"]] == (
        [[0, 0, 0, 0, 1], [1, 1, 1, 0, 0], [0, 0, 0, 0, 0]]
    )
    assert [piece.tolist() for piece in found["b"]] == (
        [[0, 0, 0, 0, 0], [0, 0, 0, 0, 1], [0, 0, 0, 0, 0]]
    )


def test_pieces_that_cannot_be_learnt_from(clips):
    events = [[(0.0, 0.1, "dog")], None, [(0.0, 0.2, "cat")]]
    places = [(0, 0.0), (1, 0.0), (2, 0.0)]
    features = EventFeatures(CRNN(9, **SMALL))
    assert fit_events(features, clips, places, events, hop_s=0.023) == 1
    assert list(features.classes_) == ["dog"]
    with pytest.raises(ParameterError, match="no event in 1 pieces of at least chunk_frames = 9"):
        fit_events(features, clips, places, [[], None, events[2]], hop_s=0.023)


def test_the_contract_of_estimators():
    features = EventFeatures(CRNN(9), output="dense")
    assert clone(features).get_params()["detector__chunk_frames"] == 9
    for wrong, message in (
        (EventFeatures(), "detector: found None"),
        (EventFeatures(CRNN(9), output="mean"), "output: found 'mean'"),
        (EventFeatures(CRNN(9, output="softmax")), "expected 'sigmoid'"),
        (EventFeatures(CRNN(0)), "chunk_frames: found 0"),
    ):
        with pytest.raises(ParameterError, match=message):
            wrong.fit([], {})
