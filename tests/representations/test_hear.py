"""HEAR modules as representations: a stub module, and YAMNet where its runtime is installed."""

import shutil

import numpy as np
import pytest
import soundfile
import soxr

from thesislib.corpora.folder import load
from thesislib.errors import AudioError, ParameterError, WeightsError
from thesislib.evaluation.validation import evaluate_folds
from thesislib.export.features import write_features
from thesislib.representations import HEAR, extract, hear_modules
from thesislib.store import FeatureStore

# Level of each half of the clip, times a factor that the file of weights holds.
STUB = """
import numpy as np, torch
class Model(torch.nn.Module):
    sample_rate, scene_embedding_size, timestamp_embedding_size = 16000, 2, 2
    factor = 1.0
def load_model(path=""):
    model = Model()
    model.factor = float(open(path).read()) if path else 1.0
    return model
def get_scene_embeddings(audio, model):
    assert audio.ndim == 2 and audio.dtype == torch.float32
    halves = audio.tensor_split(2, dim=1)
    return model.factor * torch.stack([half.square().mean(1) for half in halves], 1)
"""


@pytest.fixture
def stub(tmp_path):
    path = tmp_path / "levels.py"
    path.write_text(STUB)
    return path


@pytest.fixture
def clips(tmp_path):
    generator = np.random.default_rng(0)
    folder = tmp_path / "clips"
    folder.mkdir()
    for i, sr in enumerate((8000, 16000, 44100)):
        soundfile.write(folder / f"{i}.wav", generator.normal(0, 0.1, sr // 2), sr)
    return folder


def test_signals_reach_the_module_at_its_rate_and_the_output_is_its_own(stub, rng):
    y = rng.normal(0, 0.1, 44100).astype(np.float32)
    converted = soxr.resample(y, 44100, 16000, quality="HQ")
    expected = [np.mean(half**2) for half in np.array_split(converted, 2)]
    X = [(y, 44100), (converted, 16000)]
    features = HEAR(stub).fit_transform(X)
    np.testing.assert_allclose(features, [expected, expected], rtol=1e-5)
    assert HEAR(stub).get_feature_names_out().tolist() == ["levels_0", "levels_1"]
    np.testing.assert_array_equal(HEAR(str(stub)).transform(X[1:]), features[1:])


def test_the_key_contains_source_version_and_weights(stub, tmp_path):
    weights = tmp_path / "weights.txt"
    weights.write_text("2")
    first, second = HEAR(stub).cache_parameters(), HEAR(stub, weights).cache_parameters()
    assert first["module"] == "levels" and first["weights"] is None
    assert len(second["weights"]) == 64 and first["source"] == second["source"]
    X = [(np.ones(800), 16000)]
    assert HEAR(stub, weights).transform(X).tolist() == [[2.0, 2.0]]
    weights.write_text("3.5")
    assert HEAR(stub, weights).transform(X).tolist() == [[3.5, 3.5]]
    assert HEAR(stub, weights).cache_parameters()["weights"] != second["weights"]
    stub.write_text(STUB + "\n__version__ = '7'\n")
    changed = HEAR(stub).cache_parameters()
    assert changed["module_version"] == "7" and changed["source"] != first["source"]
    moved = shutil.copy(stub, tmp_path / "copy.py")
    assert HEAR(moved).cache_parameters()["source"] != first["source"]


def test_features_do_not_depend_on_workers_and_are_stored(stub, clips, tmp_path, monkeypatch):
    (clips / "index.csv").write_text("file,label\n" + "".join(f"{i}.wav,a\n" for i in range(3)))
    corpus, store = load(clips), FeatureStore(tmp_path / "store")
    monkeypatch.chdir(tmp_path)  # a relative path; workers may run elsewhere
    relative = HEAR("levels.py")
    one = extract(corpus, relative, store=store)
    two = extract(corpus, HEAR(stub), n_jobs=2)
    np.testing.assert_array_equal(one.matrix, two.matrix)
    assert extract(corpus, HEAR(stub), store=store).n_reused == 3


def test_thesis_features_takes_a_module_and_weights(stub, clips, tmp_path):
    weights = tmp_path / "weights.txt"
    weights.write_text("2")
    for name, module in {"plain": stub, "doubled": f"{stub}:{weights}"}.items():
        outcome = write_features([clips], tmp_path / f"{name}.csv", f"hear:{module}")
        assert (outcome.n_clips, outcome.n_features) == (3, 2)
    plain, doubled = (
        np.loadtxt(tmp_path / f"{name}.csv", delimiter=",", skiprows=1, usecols=(1, 2))
        for name in ("plain", "doubled")
    )
    np.testing.assert_allclose(doubled, 2 * plain, rtol=1e-6)


def test_a_notebook_names_modules(stub):
    estimators = hear_modules({"Levels": str(stub), "None": f"{stub}:a.txt"})
    assert list(estimators) == ["Levels", "None"] and estimators["None"].weights == "a.txt"
    assert estimators["Levels"].transform([(np.ones(800), 16000)]).tolist() == [[1.0, 1.0]]


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("x = 1", "found no load_model, get_scene_embeddings in .*stub.py, expected a HEAR module"),
        ("import absent_module", "ModuleNotFoundError: No module named 'absent_module'"),
        (
            "def load_model(p=''): raise OSError('a\\nb')\nget_scene_embeddings = 0",
            r"OSError \(a b",
        ),
        (
            "load_model = object\nget_scene_embeddings = 0",
            "found no sample_rate, scene_embedding_s",
        ),
    ],
)
def test_what_is_no_hear_module_is_named(tmp_path, source, message):
    (tmp_path / "stub.py").write_text(source)
    with pytest.raises(ParameterError, match=message) as error:
        HEAR(tmp_path / "stub.py").fit()
    assert "\n" not in str(error.value)


def test_missing_modules_and_weights_are_named(tmp_path, stub):
    with pytest.raises(ParameterError, match=r"module: found absent_module .*expected a HEAR mod"):
        HEAR("absent_module").fit()
    with pytest.raises(ParameterError, match=r"module: found .*absent\.py .*FileNotFound"):
        HEAR(tmp_path / "absent.py").fit()
    with pytest.raises(WeightsError, match=r"absent\.pt: cannot be read"):
        HEAR(stub, tmp_path / "absent.pt").fit()


def test_an_error_of_the_module_costs_only_the_clip_s_row(tmp_path, clips):
    path = tmp_path / "picky.py"
    check = "    if abs(audio).max() < 1e-6: raise ZeroDivisionError('too\\nquiet')\n"
    path.write_text(STUB.replace("    halves", check + "    halves"))
    soundfile.write(clips / "quiet.wav", np.zeros(800), 16000)
    outcome = write_features([clips], tmp_path / "table.csv", f"hear:{path}")
    assert outcome.n_clips == 3 and list(outcome.errors) == ["quiet.wav"]
    assert "raises ZeroDivisionError (too quiet)" in outcome.errors["quiet.wav"]
    path.write_text(STUB.replace("halves], 1)", "halves], 0)"))
    with pytest.raises(AudioError, match=r"shape \(2, 1\) from .*picky.py, expected \(1, 2\)"):
        HEAR(path).transform([(np.ones(800), 16000)])


@pytest.mark.slow
def test_yamnet_on_real_scenes_scores_as_measured_elsewhere(reference_data):
    pytest.importorskip("ai_edge_litert", reason="YAMNet's runtime is not installed")
    networks = reference_data / "audio_networks"
    corpus = load(reference_data / "corpora" / "scenes")
    yamnet = HEAR(networks / "yamnet_hear.py", networks / "yamnet.tflite")
    X = extract(corpus, yamnet, n_jobs=2, progress=False).matrix
    how = {"groups": corpus.groups, "complexities": [10.0**k for k in range(-5, 1)]}
    scores = [
        evaluate_folds(X, corpus.labels, corpus.folds(), seed=seed, **how).nested.score()
        for seed in range(5)  # of the inner folds, which alone are worth three points
    ]
    assert abs(100 * np.mean(scores) - 77.9) <= 2
