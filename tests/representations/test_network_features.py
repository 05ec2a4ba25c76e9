"""Features of several networks: controls with random weights, seeds, sizes, order."""

import numpy as np
import pandas as pd
import pytest
import soundfile
import torch

from thesislib.corpora.index import Corpus
from thesislib.representations import network_features
from thesislib.representations.extraction import Extracted
from thesislib.representations.network_features import (
    NetworkFeatures,
    extract_networks,
    iterate_networks,
    name_weights,
)
from thesislib.representations.networks import build_network
from thesislib.spectra.plot import AudioPlot
from thesislib.store import FeatureStore

PLOTS = {"hot": AudioPlot(colour_map="hot"), "gray": AudioPlot(colour_map="gray")}


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    root = tmp_path_factory.mktemp("corpus")
    generator = np.random.default_rng(0)
    for name in "ab":
        soundfile.write(root / f"{name}.wav", 0.1 * generator.normal(size=8000), 16000)
    index = pd.DataFrame({"file": ["a.wav", "b.wav"], "label": ["x", "y"]})
    return Corpus(index, root, name="two")


@pytest.fixture
def calls(monkeypatch):
    """Calls of ``extract``, which returns no features here."""
    calls = []

    def extract(corpus, estimator, plot, store, **options):
        calls.append((corpus, estimator, plot))
        return len(calls)

    monkeypatch.setattr(network_features, "extract", extract)
    return calls


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """A file with weights of AlexNet."""
    path = tmp_path_factory.mktemp("weights") / "alexnet.pth"
    torch.save(build_network("alexnet", weights="random", random_state=7).model.state_dict(), path)
    return str(path)


def describe(features):
    return [(each.weights, each.plot, list(each.by_seed)) for each in features]


def test_random_networks_have_every_seed_and_no_second_control(corpus, calls):
    features = extract_networks(corpus, {"alexnet": "fc7"}, PLOTS, None, seeds=[3, 4])
    assert describe(features) == [("random", "hot", [3, 4]), ("random", "gray", [3, 4])]
    assert [estimator.random_state for _, estimator, _ in calls] == [3, 4, 3, 4]


def test_given_weights_have_a_control_of_every_seed(corpus, calls, weights):
    names = []
    options = {"weights": {"alexnet": weights}, "seeds": [3, 4]}
    options["record"] = lambda name, weights_id: names.append((name, weights_id))
    plots = {"hot": PLOTS["hot"]}
    features = extract_networks(corpus, {"alexnet": "fc7"}, plots, None, **options)
    assert describe(features) == [("pre-trained", "hot", [3]), ("random", "hot", [3, 4])]
    recorded = dict(names)
    assert list(recorded) == [
        "alexnet (pre-trained)",
        "alexnet (random, seed 3)",
        "alexnet (random, seed 4)",
    ]
    assert [value.startswith("random") for value in recorded.values()] == [False, True, True]
    alone = extract_networks(corpus, {"alexnet": "fc7"}, plots, None, **options, controls=False)
    assert describe(alone) == [("pre-trained", "hot", [3])]


def test_plots_have_the_size_of_the_network_or_the_one_that_is_set(corpus, calls):
    layers = {"alexnet": "fc7", "resnet18": "avgpool"}
    for size_px, expected in ((0, [227, 224]), (64, [64, 64]), ({"resnet18": 96}, [227, 96])):
        calls.clear()
        extract_networks(corpus, layers, {"hot": PLOTS["hot"]}, None, size_px=size_px)
        assert [plot.size_px for *_, plot in calls] == expected


def test_corpora_are_named_and_nothing_is_computed_in_advance(corpus, calls):
    corpora = {"first": corpus, "second": corpus}
    features = iterate_networks(corpora, {"alexnet": "fc7"}, PLOTS, None)
    assert calls == []
    assert (next(features).corpus, len(calls)) == ("first", 1)
    assert [each.corpus for each in features] == ["second", "first", "second"]


def test_features_of_layers_are_taken_by_their_prefix(corpus, tmp_path):
    plots = {"hot": PLOTS["hot"]}
    (features,) = extract_networks(
        corpus, {"alexnet": ["fc6", "fc7"]}, plots, FeatureStore(tmp_path), size_px=64
    )
    whole, part = features.matrices()[0], features.matrices("alexnet_fc7")[0]
    assert (whole.shape, part.shape) == ((2, 8192), (2, 4096))
    assert np.array_equal(whole[:, 4096:], part)
    assert isinstance(features, NetworkFeatures)
    assert isinstance(features.by_seed[0], Extracted)


def test_sources_of_weights_have_two_kinds():
    assert [name_weights(each) for each in ("random", "imagenet", "a.pth")] == [
        "random",
        "pre-trained",
        "pre-trained",
    ]
