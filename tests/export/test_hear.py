"""Representations behind the HEAR interface: the checks that hear-validator makes, and bits."""

import ast
import sys
import types

import numpy as np
import pandas as pd
import pytest
import soundfile
import torch
import yaml

from thesislib.errors import ParameterError
from thesislib.export import hear
from thesislib.export.features import write_features
from thesislib.places import project_root
from thesislib.representations import HEAR, Reading

SR = 16000
DEEP = {"network": "squeezenet1_1", "weights": "random", "size_px": 64, "layer": "logits"}
#: Representation, its options, those that `thesis features` trains with, and chunks.
KINDS = {
    "functionals": ("IS09", {}, {}, None),
    "deep-spectrum": ("deep-spectrum", DEEP, {}, None),
    "mfcc39": ("mfcc39", {}, {}, None),
    "s2sae": ("s2sae", {"n_mels": 8, "window_s": 0.064}, {"n_epochs": 1}, 0.5),
    "dcgan": ("dcgan", {"n_mels": 8, "window_s": 0.064}, {"n_updates": 1}, 0.5),
    "bag": ("bag", {"frames": "mfcc39"}, {"codebook_size": 9, "n_assign": 2}, None),
    "bag of chunks": (
        "bag",
        {"frames": "deep-spectrum", **DEEP},
        {"codebook_size": 9, "n_assign": 2},
        0.5,
    ),
}


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    """Five clips of 2.74 s."""
    folder = tmp_path_factory.mktemp("clips")
    generator = np.random.default_rng(0)
    for i in range(5):
        soundfile.write(folder / f"{i}.wav", generator.normal(0, 0.1, int(2.74 * SR)), SR)
    return folder


@pytest.fixture(scope="module")
def settings(clips, tmp_path_factory):
    """Function: settings file of a representation, and the table that `thesis features` writes."""
    done = {}

    def write(kind):
        if kind in done:
            return done[kind]
        folder = tmp_path_factory.mktemp(kind.split()[0])
        name, options, training, chunk_s = KINDS[kind]
        parameters = {}
        if name in ("s2sae", "dcgan"):
            training = training | {"save_model": folder / "model.safetensors"}
            options = options | {"model": str(folder / "model.safetensors")}
            small = {"s2sae": {"n_units": 4}, "dcgan": {"n_maps": 2}}
            parameters = {"parameters": small[name]}
        elif name == "bag":
            training = training | {"save_codebook": folder / "codebook"}
            options = options | {"codebook": str(folder / "codebook")}
        reading = Reading(sr=SR, chunk_s=chunk_s, last="pad")
        learnt = {k: v for k, v in options.items() if k not in ("model", "codebook")}
        table = folder / "table.parquet"
        write_features([clips], table, name, reading=reading, **learnt, **training, **parameters)
        path = folder / "settings.yaml"
        about = {
            "representation": name,
            "sr": SR,
            "chunk_s": chunk_s,
            "timestamp_hop_s": 0.25,
            **options,
        }
        path.write_text(yaml.safe_dump({k: v for k, v in about.items() if v is not None}))
        done[kind] = path, table
        return done[kind]

    return write


def check_interface(path):
    """The checks that hear-validator publishes, for a PyTorch model."""
    model = hear.load_model(str(path))
    assert isinstance(model, torch.nn.Module) and model.sample_rate in hear.RATES
    assert type(model.scene_embedding_size) is type(model.timestamp_embedding_size) is int
    for length_s in (1.07, 1.98, 4.0):
        audio = torch.rand(2, int(length_s * model.sample_rate)) * 2 - 1
        embeddings, times_ms = hear.get_timestamp_embeddings(audio, model)
        assert embeddings.dtype == torch.float32 and embeddings.isfinite().all()
        assert embeddings.shape == (2, times_ms.shape[1], model.timestamp_embedding_size)
        steps = np.diff(times_ms.numpy())
        assert len(times_ms) == 2 and np.abs(steps - steps.mean()).max() <= 1
        assert times_ms.min() <= steps.mean()
        assert 1000 * length_s - steps.mean() <= times_ms.max() <= 1000 * length_s
    audio = torch.rand(4, int(2.74 * model.sample_rate)) * 2 - 1
    scenes = hear.get_scene_embeddings(audio, model)
    assert scenes.dtype == torch.float32 and scenes.shape == (4, model.scene_embedding_size)


@pytest.mark.parametrize("kind", KINDS)
def test_a_representation_has_the_interface(settings, kind):
    check_interface(settings(kind)[0])


@pytest.mark.parametrize("kind", ["functionals", "deep-spectrum", "s2sae"])
def test_hear_validator_accepts_a_representation(settings, kind, monkeypatch):
    if "tensorflow" not in sys.modules:  # it asks only whether a model is one of TensorFlow's
        monkeypatch.setitem(sys.modules, "tensorflow", types.SimpleNamespace(Module=type(None)))
    validator = pytest.importorskip("hearvalidator.validate", reason="make setup installs it")
    validator.ValidateModel("thesislib.export.hear", str(settings(kind)[0]), "cpu")()


@pytest.mark.parametrize("name", ["birdnet", "sound_effects"])
def test_the_examples_have_the_functions_of_the_interface(name):
    tree = ast.parse((project_root() / f"docs/hear/{name}.py").read_text(encoding="utf-8"))
    names = {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
    assert {"load_model", "get_scene_embeddings", "get_timestamp_embeddings"} <= names


@pytest.mark.parametrize("kind", KINDS)
def test_scene_embeddings_are_those_of_thesis_features(settings, clips, kind):
    path, table = settings(kind)
    frame = pd.read_parquet(table)
    features = frame.drop(columns=["chunk", "frame", "start_s", "end_s"], errors="ignore")
    expected = features.groupby("file").mean().to_numpy()
    audio = np.stack([soundfile.read(clips / f"{i}.wav", dtype="float32")[0] for i in range(5)])
    scenes = hear.get_scene_embeddings(torch.from_numpy(audio), hear.load_model(path)).numpy()
    one_row = len(frame) == 5
    np.testing.assert_allclose(scenes, expected, rtol=0 if one_row else 1e-5, atol=1e-6)


def test_a_timestamp_s_embedding_is_that_of_the_audio_around_it(settings):
    model = hear.load_model(settings("functionals")[0])
    audio = torch.randn(1, 2 * SR, generator=torch.Generator().manual_seed(0)) / 10
    embeddings, times_ms = hear.get_timestamp_embeddings(audio, model)
    assert times_ms[0, 3] == 750
    window = audio[:, SR // 2 : SR]
    assert torch.equal(embeddings[0, 3], hear.get_scene_embeddings(window, model)[0])


def test_both_directions_meet(settings, tmp_path):
    path, _ = settings("functionals")
    module = tmp_path / "ours.py"
    module.write_text("from thesislib.export.hear import *\n__version__ = 1\n")
    y = np.random.default_rng(0).normal(0, 0.1, SR).astype(np.float32)
    direct = hear.load_model(path).embed([y])
    np.testing.assert_array_equal(HEAR(module, path).transform([(y, SR)]), direct)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("representation: s2sae", "found s2sae that is not trained, expected a codebook"),
        ("sr: 8000", "sr: found 8000, expected one of 16000, 22050"),
        ("timestamp_hop_s: 0", "timestamp_hop_s: found 0"),
        ("representation: IS09\nn_mels: 4", "n_mels: found for IS09, which takes no such option"),
        ("- 1", "found no parameters, expected name: value"),
    ],
)
def test_wrong_settings_are_named(tmp_path, text, message):
    (tmp_path / "settings.yaml").write_text(text)
    with pytest.raises(ParameterError, match=message):
        hear.load_model(tmp_path / "settings.yaml")
    with pytest.raises(ParameterError, match="absent"):
        hear.load_model(tmp_path / "absent.yaml")
