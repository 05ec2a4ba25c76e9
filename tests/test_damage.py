"""Damaged files: one flipped bit, a cut, an empty or foreign file is an error in one line."""

import os
import resource
import warnings

import numpy as np
import pytest
import safetensors.torch
import torch
from torch import nn

from thesislib.errors import WeightsError
from thesislib.representations.crnn import CRNN
from thesislib.representations.dcgan import DCGAN
from thesislib.representations.s2sae import S2SAE
from thesislib.representations.weights import load_weights
from thesislib.store import FeatureStore
from thesislib.training import read_tensors, train, write_tensors

KEY = "ab" * 32


def fit(path):
    net = nn.Linear(2, 2)
    train(
        net,
        lambda rows: {"loss": net(rows).square().mean()},
        lambda generator: [torch.ones(1, 2)],
        n_epochs=1,
        optimisers={"adam": torch.optim.Adam(net.parameters())},
        seed=0,
        checkpoint=path,
    )
    return [t.numpy() for t in net.state_dict().values()]


class Checkpoint:
    """Every kind: write a file; read it as a list of arrays, or None if it is computed again."""

    write = read = staticmethod(fit)


class Estimator:
    @staticmethod
    def write(path):
        S2SAE(1, 2, n_epochs=1).fit([np.ones((3, 2), np.float32)]).save(path)

    @staticmethod
    def read(path):
        model = S2SAE.load(path, device="cpu")
        values = [t.numpy() for t in model.network_.state_dict().values()]
        return [*values, repr(model), repr(model.history_)]


class Entry:
    @staticmethod
    def write(path):
        store = FeatureStore(path.parent)
        features = np.arange(12, dtype=np.float32).reshape(3, 4)
        store.put(KEY, {"features": features, "lengths": np.array([3])})
        os.replace(store.path(KEY), path)

    @staticmethod
    def read(path):
        store = FeatureStore(path.parent)
        store.path(KEY).unlink(missing_ok=True)
        os.link(path, store.path(KEY))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            entry = store.get(KEY)
        return entry and [*entry, *entry.values()]


class Weights:
    @staticmethod
    def write(path):
        write_tensors(path, nn.Linear(3, 2).state_dict(), {"source": "x.pth"})

    @staticmethod
    def read(path):
        net = nn.Linear(3, 2)
        load_weights(net, "tiny", path)
        return [t.numpy() for t in net.state_dict().values()]


class TorchWeights(Weights):
    @staticmethod
    def write(path):
        torch.save(nn.Linear(3, 2).state_dict(), path)


KINDS = {
    "checkpoint.safetensors": Checkpoint,
    "estimator.safetensors": Estimator,
    "entry.npz": Entry,
    "weights.safetensors": Weights,
    "weights.pth": TorchWeights,
}


def equal(a, b):
    return len(a) == len(b) and all(np.array_equal(x, y) for x, y in zip(a, b, strict=True))


@pytest.fixture(params=KINDS)
def damaged(request, tmp_path):
    """Content of a file, what it reads as, and a function that reads another content."""
    kind, path = KINDS[request.param], tmp_path / request.param
    kind.write(path)

    def read(content):
        path.unlink(missing_ok=True)
        path.write_bytes(content)
        try:
            return kind.read(path)
        except WeightsError as error:
            assert path.name in str(error) and "\n" not in str(error)
            return None

    content = path.read_bytes()
    value = read(content)
    assert value is not None and equal(value, read(content))
    return content, value, read


def test_no_flipped_bit_gives_other_content(damaged):
    content, value, read = damaged
    positions = np.random.default_rng(0).permutation(8 * len(content))[:300]
    n_noticed = 0
    for position in positions:
        flipped = bytearray(content)
        flipped[position // 8] ^= 1 << position % 8
        result = read(bytes(flipped))
        n_noticed += result is None
        assert result is None or equal(result, value), f"bit {position}"
    assert n_noticed > 100


def test_cut_empty_and_foreign_files_are_noticed(damaged):
    content, value, read = damaged
    for size in (0, 1, 7, 8, 9, 100, len(content) // 2, len(content) - 1):
        assert read(content[:size]) is None
    for other in (b"\0" * 400, b"{" * 4000, b"<!DOCTYPE html>\n<html>", content * 2, b"\xff" * 99):
        result = read(other)
        assert result is None or equal(result, value)  # a zip archive may have bytes before it


def test_a_checkpoint_says_what_to_do(tmp_path):
    path = tmp_path / "c.safetensors"
    for content in (b"", safetensors.torch.save({"w": torch.ones(1)})):
        path.write_bytes(content)
        with pytest.raises(WeightsError, match=r"c\.safetensors: damaged.*delete it to begin anew"):
            fit(path)


HUGE = {
    "S2SAE": [
        {"n_layers": 10**6},
        {"n_layers": 10**100},
        {"n_units": 10**6},
        {"n_units": 10**12},
        {"n_features_in_": 10**6},
        {"cell": ["GRU"]},
        {"batch_size": {"a": 1}},
        {"no_such_parameter": 1},
    ],
    "DCGAN": [
        {"n_layers": 10**6},
        {"n_maps": 10**6},
        {"n_noise": 10**6},
        {"input_shape_": [10**6, 10**6]},
        {"input_shape_": "ab"},
    ],
    "CRNN": [
        {"n_recurrent": 10**6},
        {"n_filters": [10**6] * 2},
        {"n_filters": [8] * 10**5, "kernel_sizes": [[1, 1]] * 10**5, "pool_sizes": [1] * 10**5},
        {"n_dense": 10**6},
        {"n_columns_": 10**6},
        {"n_outputs_": None},
    ],
}


@pytest.mark.parametrize("kind", HUGE)
def test_a_saved_estimator_that_asks_for_more_than_its_file_holds_is_rejected(tmp_path, kind):
    x = np.zeros((2, 8, 8), np.float32)
    if kind == "S2SAE":
        model = S2SAE(1, 2, n_epochs=0).fit(x)
    elif kind == "DCGAN":
        model = DCGAN(1, n_maps=1, n_updates=0).fit(x)
    else:
        settings = {"n_filters": (2, 2), "kernel_sizes": ((3, 3),) * 2, "pool_sizes": (2, 2)}
        model = CRNN(**settings, n_units=2, n_dense=2, n_epochs=0, chunk_frames=8).fit(
            x, x[..., 0] > 0
        )
    path = tmp_path / "model.safetensors"
    model.save(path)
    type(model).load(path, device="cpu")
    tensors, metadata = read_tensors(path)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for change in HUGE[kind]:
        changed = {part: dict(metadata[part]) for part in ("parameters", "fitted")}
        for name, value in change.items():
            changed["fitted" if name.endswith("_") else "parameters"][name] = value
        write_tensors(path, tensors, metadata | changed)
        with pytest.raises(WeightsError, match=rf"model\.safetensors: found no {kind} \("):
            type(model).load(path, device="cpu")
    tensors.popitem()
    write_tensors(path, tensors, metadata)
    with pytest.raises(WeightsError, match=rf"found no {kind} \(") as caught:
        type(model).load(path, device="cpu")
    assert "\n" not in str(caught.value)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 300_000
