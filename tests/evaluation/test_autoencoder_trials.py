"""A trial of the staged search: what a parameter set changes, and that labels must count."""

from dataclasses import replace

import numpy as np
import pytest

from thesislib.corpora.synthetic import make_corpus
from thesislib.errors import ParameterError
from thesislib.evaluation.autoencoder_trials import AutoencoderTrial, FoldTrial, split_directions
from thesislib.evaluation.mlp import MLP
from thesislib.evaluation.sweeps import sweep
from thesislib.representations.s2sae import S2SAE
from thesislib.spectra.spectrogram import Spectrum
from thesislib.store import FeatureStore, hash_parameters


@pytest.fixture(scope="module")
def trial(tmp_path_factory):
    from thesislib.corpora import load_corpus

    folder = tmp_path_factory.mktemp("trial")
    corpus = load_corpus("heart", make_corpus("heart", folder / "heart", size="tiny", clip_s=1.0))
    spectrum = Spectrum(window_s=0.16, hop_s=None, n_mels=8, scale="unit", transpose=True)
    return AutoencoderTrial(
        corpus,
        spectrum,
        S2SAE(1, 4, n_epochs=1, batch_size=8, device="cpu"),
        FeatureStore(folder / "store"),
        corpus.rows("train"),
        corpus.rows("devel"),
        (0.01, 0.1),
        svm={"solver": "smo", "scale": "standard"},
    )


def test_parameters_go_to_spectrum_and_autoencoder(trial):
    table = sweep(
        [
            {"directions": "UU", "n_mels": 8, "n_units": 4},
            {"directions": "UB", "n_mels": 6, "n_units": 3},
            {"directions": "UB", "n_mels": 6, "n_units": 3, "window_s": 0.3},
        ],
        trial,
        store=trial.store,
        name="trial",
        fixed=trial.identify(),
    )
    assert table["n_features"].tolist() == [4, 6, 6]
    assert (table["error"] == "").all()
    assert table["uar_devel_percent"].between(0, 100).all()
    assert table["complexity"].isin([0.01, 0.1]).all()
    # A longer window gives other spectra and so another loss.
    assert table["rmse_devel"][1] != table["rmse_devel"][2]
    share = 100 * (1 - table["rmse_devel"] / table["rmse_permuted"])
    np.testing.assert_allclose(table["code_share_percent"], share, atol=0.1)


def test_identity_holds_all_that_is_bound(trial):
    same = hash_parameters(trial.identify())
    assert hash_parameters(replace(trial).identify()) == same
    for other in (
        replace(trial, complexities=(0.1,)),
        replace(trial, spectrum=replace(trial.spectrum, clip_below_db=-30)),
        replace(trial, estimator=S2SAE(1, 4, n_epochs=2, device="cpu")),
        replace(trial, devel=trial.devel[1:]),
    ):
        assert hash_parameters(other.identify()) != same


def test_impossible_sets_are_refused(trial):
    with pytest.raises(ParameterError, match="parameters: found n_unit, expected"):
        trial(n_unit=4)
    with pytest.raises(ParameterError, match="directions: found 'UX', expected UU, UB, BU or BB"):
        trial(directions="UX")
    assert split_directions("BU") == {
        "bidirectional_encoder": True,
        "bidirectional_decoder": False,
    }


def test_a_trial_over_folds_trains_in_each_training_part(tmp_path):
    from thesislib.corpora import load_corpus

    root = make_corpus("acoustic_scenes", tmp_path / "scenes", n_per_class=4, clip_s=0.5)
    corpus = load_corpus("acoustic_scenes", root)
    corpus = corpus.select(corpus.index["label"].isin(["beach", "home", "tram"]))
    store = FeatureStore(tmp_path / "store")
    trial = FoldTrial(
        corpus,
        Spectrum(window_s=0.1, hop_s=0.05, n_mels=8, scale="unit", transpose=True),
        S2SAE(1, 4, n_epochs=1),
        store,
        MLP(n_units=4, n_epochs=5),
        n_resamples=20,
    )
    table = sweep(
        [
            {"n_mels": 8, "window_s": 0.1},
            {"n_mels": 12, "window_s": 0.2},
            {"n_units": 3, "directions": "UU"},
        ],
        trial,
        store=store,
        name="folds",
        fixed=trial.identify(),
    )
    assert table["n_features"].tolist() == [8, 8, 3]
    assert (table["error"] == "").all()
    assert table["accuracy_percent"].between(0, 100).all()
    low, high = (table[f"accuracy_pooled_{end}_percent"] for end in ("low", "high"))
    assert (low <= table["accuracy_pooled_percent"]).all()
    assert (table["accuracy_pooled_percent"] <= high).all()
    assert (table["n_groups"] == len(set(corpus.groups))).all()
    # Three settings, four folds each.
    assert len(list(store.root.glob("*/*.safetensors"))) == 12
    assert trial.identify() != replace(trial, fit_on="all").identify()
