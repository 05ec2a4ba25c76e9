"""Features depend on the image alone: not on its neighbours, its place or the threads."""

import json
import pickle
import threading

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.pipeline import make_pipeline
from sklearn.svm import LinearSVC

from thesislib.errors import ParameterError, WeightsError
from thesislib.representations import deep_spectrum
from thesislib.representations.deep_spectrum import DeepSpectrum
from thesislib.representations.networks import build_network, input_convention
from thesislib.store import hash_parameters


@pytest.fixture
def images(rng):
    return rng.integers(0, 256, (40, 64, 64, 3), dtype=np.uint8)


def squeezenet(**parameters):
    settings = {"layer": "logits", "weights": "random", "device": "cpu"} | parameters
    return DeepSpectrum("squeezenet1_1", **settings)


@pytest.fixture
def threads():
    """Sets the number of torch's threads; afterwards it is what it was."""
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


@pytest.mark.parametrize(
    ("network", "layer"), [("squeezenet1_1", "logits"), ("alexnet", ["fc6", "fc7"])]
)
def test_features_do_not_depend_on_batches_order_or_threads(images, threads, rng, network, layer):
    spectrum = DeepSpectrum(network, layer=layer, weights="random", device="cpu").fit(images)
    threads(1)
    together = spectrum.transform(images)
    assert together.dtype == np.float32 and np.isfinite(together).all()
    assert len(np.unique(together[:, :50], axis=0)) == 40
    order = rng.permutation(40)
    np.testing.assert_array_equal(spectrum.transform(images[order]), together[order])
    single = np.concatenate([spectrum.transform(images[i : i + 1]) for i in range(0, 40, 9)])
    np.testing.assert_array_equal(single, together[::9])
    for n_threads in (2, 3):
        threads(n_threads)
        np.testing.assert_array_equal(spectrum.transform(images), together)
        np.testing.assert_array_equal(spectrum.transform(images[35:]), together[35:])
        assert torch.get_num_threads() == n_threads


@pytest.mark.slow
@pytest.mark.parametrize(
    ("network", "layer", "size"),
    [
        ("alexnet", "fc7", 227),
        ("googlenet", "pool", 224),
        ("googlenet-bvlc", "pool", 224),
        ("vgg19", "fc7", 64),
        ("squeezenet1_1", "logits", 224),
    ],
)
def test_features_do_not_depend_on_batches_at_the_size_of_the_thesis(
    rng, threads, network, layer, size
):
    images = rng.integers(0, 256, (20, size, size, 3), dtype=np.uint8)
    spectrum = DeepSpectrum(network, layer=layer, weights="random", device="cpu")
    threads(1)
    together = spectrum.transform(images)
    threads(2)
    np.testing.assert_array_equal(spectrum.transform(images[::-1]), together[::-1])
    np.testing.assert_array_equal(spectrum.transform(images[13:14]), together[13:14])


def test_transforms_at_once_in_several_threads_do_not_mix(images, threads):
    threads(2)
    spectra = [squeezenet(random_state=seed, batch_size=4).fit() for seed in (0, 1)]
    expected = [spectrum.transform(images) for spectrum in spectra]
    found = {}
    # The first estimator answers two threads, so its network is shared.
    jobs = [(0, 0), (1, 1), (2, 0)]
    workers = [
        threading.Thread(target=lambda j=j, s=s: found.update({j: spectra[s].transform(images)}))
        for j, s in jobs
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    for job, seed in jobs:
        np.testing.assert_array_equal(found[job], expected[seed])
    assert torch.get_num_threads() == 2


def test_the_threads_are_given_back_after_an_error(images, threads, monkeypatch):
    threads(2)
    spectrum = squeezenet().fit()

    def fail(images, layers):
        raise RuntimeError("out of memory")

    monkeypatch.setattr(spectrum.network_, "activations", fail)
    for n_pictures in (1, 40):
        with pytest.raises(RuntimeError, match="out of memory"):
            spectrum.transform(images[:n_pictures])
        assert torch.get_num_threads() == 2


def test_several_layers_come_from_one_pass_in_the_order_asked_for(images, monkeypatch):
    both = DeepSpectrum("alexnet", layer=["fc7", "fc6"], weights="random").fit(images)
    passes = []
    both.network_.model.register_forward_hook(lambda *_: passes.append(1))
    features = both.transform(images[:5])
    assert len(passes) == 1 and features.shape == (5, 8192)
    names = both.get_feature_names_out()
    assert names[0] == "alexnet_fc7_0" and names[-1] == "alexnet_fc6_4095"
    alone = DeepSpectrum("alexnet", layer="fc6", weights="random").fit_transform(images[:5])
    np.testing.assert_array_equal(features[:, 4096:], alone)


def test_features_are_the_network_s_activations(images):
    network = build_network("squeezenet1_1", weights="random", random_state=4)
    with torch.inference_mode():
        x = input_convention("squeezenet1_1")(torch.from_numpy(images[:3]))
        expected = network.model(x)
    found = squeezenet(random_state=4).fit_transform(images[:3])
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)


def test_trained_features_are_the_reference(reference_data):
    weights = reference_data / "weights" / "googlenet_bvlc.safetensors"
    with np.load(reference_data / "weights" / "reference.npz", allow_pickle=False) as reference:
        spectrum = DeepSpectrum("googlenet-bvlc", layer=["pool", "logits"], weights=weights)
        features = spectrum.fit_transform(reference["images"])
        expected = np.hstack([reference["googlenet_bvlc_pool"], reference["googlenet_bvlc_logits"]])
    np.testing.assert_allclose(features, expected, rtol=0, atol=1e-4)


def test_the_estimator_is_scikit_learn_s(images):
    spectrum = squeezenet(batch_size=3, random_state=2, layer=["logits"])
    twin = clone(spectrum)
    assert twin.get_params() == spectrum.get_params() and twin is not spectrum
    labels = np.arange(8) % 2
    model = make_pipeline(squeezenet(), LinearSVC(C=1e-6, random_state=0)).fit(images[:8], labels)
    assert set(model.predict(images[8:16])) <= {0, 1}
    names = model[:-1].get_feature_names_out()
    assert len(names) == model[0].n_features_ == 1000
    # Parameters set after `fit` count.
    spectrum.fit(images).set_params(random_state=3)
    changed = spectrum.transform(images[:2])
    expected = squeezenet(batch_size=3, random_state=3).fit_transform(images[:2])
    np.testing.assert_array_equal(changed, expected)


def test_a_pickle_carries_no_network(images):
    spectrum = squeezenet().fit(images)
    content = pickle.dumps(spectrum)
    assert len(content) < 10_000
    twin = pickle.loads(content)
    np.testing.assert_array_equal(twin.transform(images[:2]), spectrum.transform(images[:2]))
    assert twin.get_feature_names_out().tolist() == spectrum.get_feature_names_out().tolist()


def test_maps_grow_with_the_picture(images):
    spectrum = squeezenet(layer="features.0").fit(images)
    assert spectrum.n_features_ == 64 * 31 * 31 == len(spectrum.get_feature_names_out())
    assert spectrum.transform(images[:1]).shape == (1, 64 * 31 * 31)
    assert spectrum.transform(images[:0]).shape == (0, 64 * 31 * 31)


def test_the_key_names_what_the_features_depend_on(tmp_path):
    parameters = squeezenet().cache_parameters()
    assert parameters["weights"] == "random:0" and parameters["device"] == "cpu"
    assert {"version", "torch", "torchvision", "dtype", "batch_size"} <= set(parameters)
    assert json.loads(json.dumps(parameters)) == parameters
    keys = {
        hash_parameters(estimator.cache_parameters())
        for estimator in (
            squeezenet(),
            squeezenet(random_state=1),
            squeezenet(batch_size=8),
            squeezenet(layer="classifier.1"),
            squeezenet(layer=["logits", "classifier.1"]),
            DeepSpectrum("alexnet", weights="random"),
            DeepSpectrum("alexnet", weights="random", preprocessing="deepspectrum"),
        )
    }
    assert len(keys) == 7
    assert squeezenet(batch_size=np.int64(16)).cache_parameters() == parameters


def test_the_key_follows_the_weights_content_and_not_their_name(tmp_path):
    for name, content in [("a", b"one"), ("b", b"one"), ("c", b"two")]:
        (tmp_path / f"{name}.safetensors").write_bytes(content)
    a, b, c = (
        squeezenet(weights=tmp_path / f"{name}.safetensors").cache_parameters() for name in "abc"
    )
    assert a == b != c and len(a["weights"]) == 64


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"layer": "fc6"}, "layer of squeezenet1_1: found 'fc6', expected one of"),
        ({"layer": []}, "layer: found \\[\\], expected text or a list of one or more"),
        ({"layer": ["logits", "logits"]}, "expected each layer once"),
        ({"batch_size": 0}, "batch_size: found 0, expected an integer >= 1"),
        ({"preprocessing": "keras"}, "preprocessing: found 'keras'"),
        ({"network": "alexnett"}, "did you mean 'alexnet'"),
        ({"device": "abacus"}, "device: found 'abacus'"),
        ({"random_state": None}, "random_state: found None"),
    ],
)
def test_impossible_parameters_are_refused_in_fit(parameters, message):
    with pytest.raises(ParameterError, match=message):
        squeezenet().set_params(**parameters).fit()


def test_missing_weights_are_refused_in_fit(monkeypatch, tmp_path):
    monkeypatch.setenv("THESIS_WEIGHTS", str(tmp_path))
    with pytest.raises(WeightsError, match="thesis weights fetch alexnet"):
        DeepSpectrum().fit()


@pytest.mark.parametrize(
    ("X", "message"),
    [
        (np.zeros((2, 64, 64, 3), np.float32), r"shape \(2, 64, 64, 3\) of float32"),
        (np.zeros((64, 64, 3), np.uint8), r"shape \(64, 64, 3\) of uint8"),
        (np.zeros((2, 3, 64, 64), np.uint8), r"shape \(2, 3, 64, 64\) of uint8"),
        (np.zeros((2, 9, 9, 3), np.uint8), "images of 9 x 9"),
        ([np.zeros((64, 64, 3), np.uint8), np.zeros((9, 9, 3), np.uint8)], "several sizes"),
    ],
)
def test_what_is_no_picture_is_refused(X, message):
    with pytest.raises(ParameterError, match=message):
        squeezenet().transform(X)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="bfloat16 requires a GPU")
def test_half_precision_moves_features_a_little_and_is_part_of_the_key(images):
    exact = squeezenet(device="cuda").fit().transform(images[:5])
    rounded = squeezenet(device="cuda", precision="bfloat16").fit()
    found = rounded.transform(images[:5])
    moved = np.linalg.norm(found - exact, axis=1) / np.linalg.norm(exact, axis=1)
    assert found.dtype == np.float32 and (moved > 0).all() and (moved < 0.1).all()
    assert rounded.cache_parameters()["dtype"] == "bfloat16"
    assert hash_parameters(rounded.cache_parameters()) != hash_parameters(
        squeezenet(device="cuda").cache_parameters()
    )


@pytest.mark.parametrize(
    ("precision", "message"),
    [
        ("half", "found 'half', expected one of float32, bfloat16"),
        ("bfloat16", "found 'bfloat16' on the CPU, expected 'float32'"),
    ],
)
def test_other_precisions_are_rejected(precision, message):
    with pytest.raises(ParameterError, match=f"precision: {message}"):
        squeezenet(device="cpu", precision=precision).fit()


def test_fully_connected_layers_answer_as_torch_multiplies_and_can_be_differentiated(rng):
    layer = torch.nn.Linear(300, 40)
    fast = torch.nn.Sequential(torch.nn.Linear(300, 40))
    fast[0].load_state_dict(layer.state_dict())
    deep_spectrum._multiply_by_onednn(fast)
    x = torch.from_numpy(rng.normal(size=(16, 300)).astype(np.float32))
    with torch.inference_mode():
        torch.testing.assert_close(fast(x), layer(x), rtol=1e-5, atol=1e-5)
    x.requires_grad_()
    torch.testing.assert_close(*(torch.autograd.grad(m(x).sum(), x)[0] for m in (fast, layer)))


def test_passes_side_by_side_give_the_same_features(images, threads):
    threads(2)
    spectrum = squeezenet(batch_size=8).fit()
    expected = spectrum.transform(images)
    with spectrum.open_passes() as executor:
        starts = range(0, 40, 8)
        found = list(executor.map(lambda k: spectrum.transform(images[k : k + 8]), starts))
    assert np.concatenate(found).tobytes() == expected.tobytes()
    assert spectrum.n_passes == torch.get_num_threads() == 2
