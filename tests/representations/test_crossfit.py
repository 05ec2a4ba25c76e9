"""Training inside each training part: what it sees, what is kept, what a kill costs."""

import numpy as np
import pytest
from sklearn.base import clone

from thesislib.errors import ParameterError
from thesislib.representations.crossfit import CrossFittedFeatures, concatenate, learn_all
from thesislib.representations.dcgan import DCGAN
from thesislib.representations.s2sae import S2SAE
from thesislib.store import FeatureStore

TRAIN = np.array([0, 1, 2, 3])


@pytest.fixture
def clips():
    rng = np.random.default_rng(0)
    return [rng.uniform(-1, 1, (n_frames, 4)).astype(np.float32) for n_frames in (5, 6, 4, 6, 5, 7)]


@pytest.fixture
def store(tmp_path):
    return FeatureStore(tmp_path / "store")


def tiny(**options):
    return S2SAE(1, 3, **{"n_epochs": 2, "batch_size": 2, "device": "cpu", **options})


def test_it_sees_the_training_rows_alone(clips):
    """Other clips' content moves their own codes and no other; ``fit_on="all"`` tells."""
    changed = [*clips[:5], -clips[5]]
    before, after = (CrossFittedFeatures(tiny(), x).features(TRAIN) for x in (clips, changed))
    assert np.array_equal(before[:5], after[:5])
    assert not np.array_equal(before[5], after[5])
    before, after = (
        CrossFittedFeatures(tiny(), x, fit_on="all").features(TRAIN) for x in (clips, changed)
    )
    assert not np.array_equal(before[:5], after[:5])


def test_it_equals_the_estimator_fitted_by_hand(clips):
    learnt = CrossFittedFeatures(tiny(), clips)
    fitted = clone(tiny()).fit([clips[i] for i in TRAIN])
    np.testing.assert_allclose(learnt.features(TRAIN), fitted.transform(clips), atol=1e-6)
    assert [row["loss"] for row in learnt.history(TRAIN)] == pytest.approx(
        [row["loss"] for row in fitted.history_]
    )


def test_what_was_learnt_is_read_not_learnt_again(clips, store, monkeypatch):
    first = CrossFittedFeatures(tiny(), clips, store)
    features, history = first.features(TRAIN), first.history(TRAIN)

    def refuse(*_args, **_options):
        raise AssertionError("trained again")

    monkeypatch.setattr(S2SAE, "fit", refuse)
    again = CrossFittedFeatures(tiny(), clips, store)
    assert np.array_equal(again.features(TRAIN[::-1]), features)
    assert again.history(TRAIN) == history
    # The features alone may be lost: the weights give them back.
    store.path(again.key(TRAIN)).unlink()
    assert np.array_equal(again.features(TRAIN), features)
    for other in (
        CrossFittedFeatures(tiny(n_epochs=3), clips, store),
        CrossFittedFeatures(tiny(), clips[::-1], store),
        CrossFittedFeatures(tiny(), clips, store, n_threads=2),
    ):
        with pytest.raises(AssertionError, match="trained again"):
            other.features(TRAIN)
    with pytest.raises(AssertionError, match="trained again"):
        again.features(TRAIN[:3])


def test_damaged_weights_are_trained_again(clips, store):
    learnt = CrossFittedFeatures(tiny(), clips, store)
    features = learnt.features(TRAIN)
    key = learnt.key(TRAIN)
    store.path(key).unlink()
    store.path(key, ".safetensors").write_bytes(b"half a file")
    with pytest.warns(UserWarning, match="trained again"):
        assert np.array_equal(learnt.features(TRAIN), features)


def test_a_killed_training_goes_on(clips, store, tmp_path, monkeypatch):
    """Killed after the second of four epochs, it trains two more and ends with equal bits."""
    whole = CrossFittedFeatures(tiny(n_epochs=4), clips, FeatureStore(tmp_path / "whole"))
    from thesislib import training

    written = []
    run_epoch = training._run_epoch

    def die_in_third(*args, **options):
        written.append(1)
        if len(written) == 3:
            raise KeyboardInterrupt
        return run_epoch(*args, **options)

    killed = CrossFittedFeatures(tiny(n_epochs=4), clips, store)
    monkeypatch.setattr(training, "_run_epoch", die_in_third)
    with pytest.raises(KeyboardInterrupt):
        killed.features(TRAIN)
    features = killed.features(TRAIN)
    assert len(written) == 5  # two whole, one broken off, two more
    assert np.array_equal(features, whole.features(TRAIN))
    assert not list((store.root / "training").rglob("*.safetensors"))


def test_untrained_networks_do_not_depend_on_the_training_part(clips, store):
    learnt = CrossFittedFeatures(tiny(n_epochs=0), clips, store)
    assert np.array_equal(learnt.features(TRAIN), learnt.features(TRAIN[:2]))
    assert learnt.history(TRAIN) == []
    assert len(list(store.root.rglob("*.safetensors"))) == 1


def test_whole_groups_are_held_out(clips):
    groups = np.array(["a", "a", "b", "b", "c", "c"])
    learnt = CrossFittedFeatures(tiny(validation_fraction=0.4), clips, groups=groups)
    fitted_on, held_out = learnt._split(np.arange(6))
    assert len(held_out) == 2
    assert set(groups[fitted_on]).isdisjoint(groups[held_out])
    assert "validation_loss" in learnt.history(np.arange(6))[0]


def test_workers_learn_the_same(clips, tmp_path):
    stores = [FeatureStore(tmp_path / name) for name in ("one", "two")]
    for n_jobs, kept in zip((1, 2), stores):
        learnt = CrossFittedFeatures(tiny(), clips, kept)
        learn_all([(learnt, TRAIN), (learnt, TRAIN[:2])], n_jobs=n_jobs)
    one, two = (sorted(p.relative_to(s.root) for p in s.root.rglob("*.npz")) for s in stores)
    assert one == two and len(one) == 2
    for path in one:
        assert (stores[0].root / path).read_bytes() == (stores[1].root / path).read_bytes()


def test_dcgan_is_learnt_alike(store):
    rng = np.random.default_rng(0)
    plots = rng.uniform(-1, 1, (5, 8, 8)).astype(np.float32)
    dcgan = DCGAN(n_layers=1, n_maps=2, n_updates=1, batch_size=2, device="cpu")
    learnt = CrossFittedFeatures(dcgan, plots, store)
    features = learnt.features([0, 1, 2])
    assert features.shape == (5, 4 * 16)
    assert np.array_equal(CrossFittedFeatures(dcgan, plots, store).features([0, 1, 2]), features)
    assert "generator_loss" in learnt.history([0, 1, 2])[0]


def test_representations_side_by_side(clips):
    parts = [CrossFittedFeatures(tiny(random_state=i), clips).features for i in range(2)]
    joined = concatenate(*parts)(TRAIN)
    assert np.array_equal(joined[:, 6:], parts[1](TRAIN))


def test_wrong_requests_are_refused(clips):
    with pytest.raises(ParameterError, match="fit_on: found 'test'"):
        CrossFittedFeatures(tiny(), clips, fit_on="test")
    with pytest.raises(ParameterError, match=r"groups: found shape \(2,\), expected \(6,\)"):
        CrossFittedFeatures(tiny(), clips, groups=["a", "b"])
    with pytest.raises(ParameterError, match="train: found no row"):
        CrossFittedFeatures(tiny(), clips).features([])
    with pytest.raises(ParameterError, match="without a store"):
        learn_all([(CrossFittedFeatures(tiny(), clips), TRAIN)])
    with pytest.raises(ParameterError, match="random_state: found None"):
        CrossFittedFeatures(tiny(random_state=None), clips).features(TRAIN)
