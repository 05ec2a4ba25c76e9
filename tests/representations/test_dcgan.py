"""The adversarial network: shapes of chapter 5, both objectives, collapse, features by clip."""

import warnings

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

from thesislib.errors import ParameterError, WeightsError
from thesislib.representations import dcgan as module
from thesislib.representations.dcgan import DCGAN, CollapseWarning, describe_collapse

TINY = {"n_maps": 2, "n_noise": 5, "n_updates": 1, "batch_size": 4, "device": "cpu"}


def spectrograms(n=9, n_bands=10, n_frames=7, seed=0):
    """One bright band a clip on a dark ground."""
    rng = np.random.default_rng(seed)
    X = rng.uniform(-1.0, -0.8, (n, n_bands, n_frames))
    X[np.arange(n), rng.integers(0, n_bands, n)] += 1.5
    return X


def fitted(X=None, *, n_epochs=None, **kwargs):
    X, settings = spectrograms() if X is None else X, TINY | kwargs
    if n_epochs is not None:
        settings["n_updates"] = n_epochs * max(1, len(X) // settings["batch_size"])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CollapseWarning)
        return DCGAN(**settings).fit(X)


def equal_bits(a, b):
    a, b = a.network_.state_dict(), b.network_.state_dict()
    return a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)


@pytest.mark.parametrize("shape", [(40, 21), (16, 16)])
def test_the_thesis_setting_has_3072_features(shape):
    X = np.zeros((2, *shape))
    dcgan = DCGAN(n_updates=0, device="cpu").fit(X)
    assert dcgan.transform(X).shape == (2, 3072)
    assert len(dcgan.get_feature_names_out()) == 3072


@pytest.mark.parametrize(("n_layers", "n_maps", "n"), [(1, 3, 96), (3, 2, (4 + 8 + 16) * 16)])
def test_maps_double_with_each_strided_layer(n_layers, n_maps, n):
    assert fitted(n_layers=n_layers, n_maps=n_maps, n_epochs=0).transform(
        spectrograms(2)
    ).shape == (2, n)


def test_planes_halve_and_the_generator_mirrors_the_discriminator():
    network = fitted(spectrograms(n_bands=16, n_frames=8), n_layers=2, n_epochs=0).network_
    _, activations = network["discriminator"](torch.zeros(3, 1, 16, 8))
    assert [tuple(a.shape) for a in activations] == [(3, 4, 8, 4), (3, 8, 4, 2)]
    shapes = []
    for layer in network["generator"].layers:
        layer.register_forward_hook(lambda _, __, out: shapes.append(tuple(out.shape)))
    network["generator"](torch.zeros(3, 5))
    assert list(dict.fromkeys(shapes))[1:] == [
        (3, 8, 4, 2),
        (3, 4, 8, 4),
        (3, 2, 16, 8),
        (3, 1, 16, 8),
    ]


def test_batch_normalisation_everywhere_but_at_both_spectrograms():
    network = fitted(n_epochs=0).network_
    kinds = {
        name: [type(m).__name__ for m in part.modules() if not list(m.children())]
        for name, part in network.items()
    }
    assert kinds["generator"] == [
        *("Linear", "Unflatten", "BatchNorm2d", "ReLU"),
        *("ConvTranspose2d", "BatchNorm2d", "ReLU") * 2,
        *("Conv2d", "Tanh"),
    ]
    assert kinds["discriminator"] == [
        *("Conv2d", "LeakyReLU"),
        *("Conv2d", "BatchNorm2d", "LeakyReLU") * 2,
        "Conv2d",
    ]


@pytest.mark.parametrize(("n_bands", "n_frames"), [(8, 8), (9, 5), (1, 1), (5, 30)])
def test_any_size_goes_in_and_comes_out(n_bands, n_frames):
    dcgan = fitted(spectrograms(5, n_bands, n_frames))
    made = dcgan.sample(3)
    assert made.shape == (3, n_bands, n_frames)
    assert made.dtype == np.float32
    assert np.abs(made).max() <= 1
    assert dcgan.transform(spectrograms(2, n_bands, n_frames)).shape == (2, 192)


def test_padding_is_silence():
    # A clip padded by hand with silence is, to the network, the clip itself.
    network = fitted(n_epochs=0).network_["discriminator"]
    x = torch.from_numpy(spectrograms(2)).float()[:, None]
    logits, _ = network(x)
    by_hand = torch.full((2, 1, 12, 8), -1.0)
    by_hand[:, :, :10, :7] = x
    network.padding = (0, 0, 0, 0)
    assert torch.equal(logits, network(by_hand)[0])


def test_features_are_the_grid_maxima_of_the_activations():
    # 32 x 32: the first strided layer has planes of 16 x 16, pooled in cells of 4 x 4.
    X = spectrograms(3, 32, 32)
    dcgan = fitted(X)
    with torch.no_grad():
        _, (first, second) = dcgan.network_["discriminator"](torch.from_numpy(X).float()[:, None])
    pooled = [
        a.numpy().reshape(3, a.shape[1], 4, a.shape[2] // 4, 4, a.shape[3] // 4).max((3, 5))
        for a in (first, second)
    ]
    by_hand = np.concatenate([p.reshape(3, -1) for p in pooled], axis=1)
    np.testing.assert_allclose(dcgan.transform(X), by_hand, atol=1e-6)


def test_features_do_not_depend_on_neighbours_to_the_last_bit():
    X = spectrograms(40)
    dcgan = fitted(X, n_maps=8)
    features = dcgan.transform(X)
    order = np.random.default_rng(1).permutation(40)
    assert np.array_equal(dcgan.transform(X[order]), features[order])
    assert np.array_equal(dcgan.transform(X[7:8]), features[7:8])
    # Elsewhere bits may follow the shape of the input, so that never changes.
    shapes = set()
    dcgan.network_["discriminator"].register_forward_pre_hook(
        lambda _, given: shapes.add(tuple(given[0].shape))
    )
    dcgan.transform(X), dcgan.transform(X[:3])
    assert len(shapes) == 1


@pytest.mark.parametrize("feature_matching", [True, False])
def test_the_generator_comes_nearer_to_the_data(seeds, feature_matching):
    # All real clips have the same upper half and the opposite lower half.
    X = np.full((32, 8, 8), -0.9)
    X[:, 4:] = 0.9
    X += np.random.default_rng(0).uniform(-0.1, 0.1, X.shape)
    setting = {"n_maps": 8, "learning_rate": 2e-3, "batch_size": 8, "n_epochs": 15}
    setting["feature_matching"] = feature_matching
    distances = [
        [
            np.abs(
                fitted(X, **setting | {"n_epochs": n, "random_state": seed}).sample(32).mean(0)
                - X.mean(0)
            ).mean()
            for n in (0, 15)
        ]
        for seed in seeds
    ]
    before, after = np.median(distances, axis=0)
    assert before > 0.8
    assert after < 0.6 * before


def test_the_plain_objective_begins_where_theory_says():
    # An untrained discriminator cannot tell: cross entropy ln 2 for real, generated, and fooled.
    (row,) = fitted(learning_rate=1e-9, feature_matching=False).history_
    assert row["discriminator_loss"] == pytest.approx(2 * np.log(2), abs=0.15)
    assert row["generator_loss"] == pytest.approx(np.log(2), abs=0.15)


def test_feature_matching_of_the_real_data_themselves_costs_nothing(monkeypatch):
    X = np.repeat(spectrograms(1), 8, 0)
    real = torch.from_numpy(X[:1]).float()[:, None]
    forward = module.Generator.forward
    monkeypatch.setattr(
        module.Generator, "forward", lambda self, noise: real + 0 * forward(self, noise)
    )
    assert fitted(X).history_[0]["generator_loss"] == pytest.approx(0, abs=1e-10)
    assert fitted(X, feature_matching=False).history_[0]["generator_loss"] > 0.3


def test_both_networks_learn():
    before, after = fitted(n_epochs=0), fitted(n_epochs=2)
    for name in ("generator", "discriminator"):
        a, b = before.network_[name].state_dict(), after.network_[name].state_dict()
        assert all(not torch.equal(a[k], b[k]) for k in a if k.endswith("weight"))


def test_a_discriminator_that_has_won_is_reported(seeds, monkeypatch):
    # A generator that gives silence whatever it learns.
    forward = module.Generator.forward
    monkeypatch.setattr(
        module.Generator, "forward", lambda self, noise: 0 * forward(self, noise) - 1
    )
    losses = []
    for seed in seeds:
        setting = TINY | {"n_updates": 120, "learning_rate": 0.03, "random_state": seed}
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            history = DCGAN(**setting).fit(spectrograms(16)).history_
        losses.append(max(row["discriminator_loss"] for row in history[-3:]))
        reports = [str(w.message) for w in caught if w.category is CollapseWarning]
        assert len(reports) == (losses[-1] < 0.01)
        assert all("in the last 3 epochs its loss was below 0.01" in text for text in reports)
    assert np.median(losses) < 0.005


def test_a_constant_discriminator_is_reported():
    def epoch(loss, spread):
        return {"discriminator_loss": loss, "discriminator_spread": spread}

    assert "constant" in describe_collapse([epoch(1.386, 1e-5)] * 3)
    assert describe_collapse([epoch(1.386, 1e-5)] * 2 + [epoch(1.386, 0.1)]) is None
    assert describe_collapse([epoch(1e-4, 9.0)] + [epoch(0.8, 0.5)] * 3) is None
    assert describe_collapse([]) is None


def test_a_healthy_training_gives_no_warning(seeds):
    losses = []
    for seed in seeds:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            dcgan = DCGAN(**TINY | {"n_updates": 6}, random_state=seed).fit(spectrograms())
        losses.append(min(row["discriminator_loss"] for row in dcgan.history_))
    assert np.median(losses) > 0.1


def test_sampling_is_repeatable_and_of_either_noise():
    dcgan = fitted()
    state = torch.get_rng_state()
    assert np.array_equal(dcgan.sample(4), dcgan.sample(4))
    assert not np.array_equal(dcgan.sample(4), dcgan.sample(4, random_state=1))
    assert torch.equal(torch.get_rng_state(), state)
    uniform = dcgan._draw_noise(2000)
    assert float(uniform.abs().max()) <= 1
    assert float(uniform.std()) == pytest.approx(3**-0.5, abs=0.02)
    gaussian = fitted(noise="gaussian", n_epochs=0)._draw_noise(2000)
    assert float(gaussian.std()) == pytest.approx(1, abs=0.05)


def test_one_seed_one_network_and_another_seed_another():
    a, b, c = fitted(), fitted(), fitted(random_state=1)
    assert equal_bits(a, b)
    assert not equal_bits(a, c)


@pytest.mark.parametrize(("n", "n_updates", "expected"), [(9, 6, 6), (16, 6, 8), (16, 1, 4)])
def test_the_training_is_as_long_as_its_updates_whatever_the_corpus(n, n_updates, expected):
    # Rounded to whole epochs of two batches, or of four.
    history = fitted(spectrograms(n), n_updates=n_updates).history_
    assert history[-1]["n_updates"] == expected
    assert len(history) == expected // (n // 4)


def test_interrupted_and_resumed_gives_the_bits_of_an_undisturbed_run(tmp_path, monkeypatch):
    X = spectrograms(16)
    whole = fitted(X, n_epochs=6)
    forward, calls = module.Generator.forward, []

    def forward_or_die(self, noise):
        calls.append(noise)
        if len(calls) == 30:  # four batches of two generations an epoch: within the fourth
            raise KeyboardInterrupt
        return forward(self, noise)

    monkeypatch.setattr(module.Generator, "forward", forward_or_die)
    with pytest.raises(KeyboardInterrupt):
        fitted(X, n_epochs=6, checkpoint=tmp_path)
    resumed = fitted(X, n_epochs=6, checkpoint=tmp_path)
    assert len(calls) - 30 == 3 * 8
    assert resumed.history_ == whole.history_
    assert equal_bits(whole, resumed)


def test_saved_and_loaded_is_the_same_estimator(tmp_path):
    X = spectrograms()
    dcgan = fitted(X)
    dcgan.save(tmp_path / "dcgan.safetensors")
    again = DCGAN.load(tmp_path / "dcgan.safetensors", device="cpu")
    assert np.array_equal(dcgan.transform(X), again.transform(X))
    assert np.array_equal(dcgan.sample(2), again.sample(2))
    assert again.history_ == dcgan.history_
    assert again.input_shape_ == dcgan.input_shape_ == (10, 7)


def test_a_file_that_is_none_is_named(tmp_path):
    (tmp_path / "x.safetensors").write_text("no tensors")
    with pytest.raises(WeightsError, match=r"x\.safetensors: damaged"):
        DCGAN.load(tmp_path / "x.safetensors")


def test_scikit_learn_takes_it_for_an_estimator():
    dcgan = DCGAN(3, n_maps=5, noise="gaussian", random_state=7)
    assert clone(dcgan).get_params() == dcgan.get_params()
    with pytest.raises(NotFittedError, match="DCGAN"):
        dcgan.transform(spectrograms())
    with pytest.raises(NotFittedError, match="DCGAN"):
        dcgan.sample(1)
    names = fitted(n_epochs=0).get_feature_names_out()
    assert list(names[:2]) == ["dcgan0", "dcgan1"]
    key = dcgan.cache_parameters()
    assert key["parameters"]["noise"] == "gaussian"
    assert key != clone(dcgan).set_params(beta1=0.6).cache_parameters()
    keys = [fitted(spectrograms(seed=seed)).cache_parameters() for seed in (0, 0, 1)]
    assert keys[0] == keys[1] != keys[2]


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("n_layers", 0, "an integer >= 1"),
        ("n_maps", "many", "an integer >= 1"),
        ("n_noise", 0, "an integer >= 1"),
        ("noise", "pink", "uniform, gaussian"),
        ("batch_size", 1, "an integer >= 2"),
        ("learning_rate", 0.0, "> 0"),
        ("beta1", 1.0, "<= 0.9999"),
        ("n_updates", -1, ">= 0"),
    ],
)
def test_impossible_parameters_are_named_before_the_work(name, value, expected):
    with pytest.raises(ParameterError, match=f"^{name}: found .*expected .*{expected}"):
        fitted(**{name: value})


@pytest.mark.parametrize(
    ("X", "message"),
    [
        ([], "X: found no spectrogram"),
        ([np.zeros((4, 5))], "X: found 1 spectrogram, expected at least two"),
        ([np.zeros((4, 5)), np.zeros((4, 6))], r"X\[1\]: found shape \(4, 6\), expected \(4, 5\)"),
        ([np.zeros((4, 5)), np.full((4, 5), 2.0)], r"X\[1\]: found values from 2 to 2"),
    ],
)
def test_impossible_spectrograms_are_named(X, message):
    with pytest.raises(ParameterError, match=message):
        fitted(X)


def test_a_spectrogram_of_another_size_is_named():
    with pytest.raises(ParameterError, match=r"X\[0\]: found shape \(10, 8\), expected \(10, 7\)"):
        fitted().transform(spectrograms(2, 10, 8))
