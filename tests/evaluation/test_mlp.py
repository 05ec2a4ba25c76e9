"""The perceptrons of 8.1: standardised inputs, dropout in training alone, frames in context."""

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.neural_network import MLPClassifier
from sklearn.preprocessing import StandardScaler

from thesislib.errors import ParameterError
from thesislib.evaluation.mlp import MLP, FrameMLP


def make_rings(rng, n=200):
    """Two classes that no straight line parts."""
    y = np.where(np.arange(n) % 2, "outer", "inner")
    angle = rng.uniform(0, 2 * np.pi, n)
    radius = np.where(y == "outer", 3, 1) + rng.normal(0, 0.2, n)
    return np.column_stack([radius * np.cos(angle), radius * np.sin(angle)]), y


def test_defaults_are_those_of_the_thesis():
    found = MLP().get_params()
    wanted = {
        "n_layers": 2,
        "n_units": 150,
        "dropout": 0.4,
        "input_dropout": 0.0,
        "learning_rate": 1e-3,
        "n_epochs": 400,
        "batch_size": None,
    }
    assert found | wanted == found


def test_it_learns_what_a_line_cannot_part(seeds):
    scores, remaining = [], []
    for seed in seeds:
        X, y = make_rings(np.random.default_rng(seed))
        machine = MLP(n_units=20, n_epochs=120, learning_rate=1e-2, random_state=seed)
        machine.fit(X[:100], y[:100])
        scores.append(machine.score(X[100:], y[100:]))
        remaining.append(machine.history_[-1]["loss"] / machine.history_[0]["loss"])
    assert np.median(scores) > 0.9
    assert np.median(remaining) < 0.5


def test_probabilities_agree_with_scikit_learn_for_the_same_weights(rng):
    X, y = make_rings(rng)
    y = np.where(X[:, 0] > 2, "right", y)
    ours = MLP(n_units=7, n_epochs=5).fit(X, y)
    scaled = StandardScaler().fit_transform(X)
    theirs = MLPClassifier((7, 7), max_iter=1, random_state=0)
    with pytest.warns(UserWarning, match="Maximum iterations"):
        theirs.fit(scaled, y)
    linear = [m for m in ours.network_.layers if isinstance(m, torch.nn.Linear)]
    theirs.coefs_ = [m.weight.detach().numpy().T for m in linear]
    theirs.intercepts_ = [m.bias.detach().numpy() for m in linear]
    assert list(ours.classes_) == theirs.classes_.tolist()
    np.testing.assert_allclose(
        ours.predict_proba(X), theirs.predict_proba(scaled.astype(np.float32)), atol=1e-5
    )


def test_inputs_are_standardised_on_the_training_part_alone(rng):
    X, y = make_rings(rng)
    machine = MLP(n_units=5, n_epochs=3).fit(X, y)
    np.testing.assert_allclose(machine.network_.mean, X.mean(axis=0), rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(machine.network_.scale, X.std(axis=0), rtol=1e-4)
    # Untrained: training would amplify the last bits.
    plain, moved = (MLP(n_units=5, n_epochs=0).fit(Z, y) for Z in (X, 1000 * X + 77))
    np.testing.assert_allclose(
        plain.predict_proba(X), moved.predict_proba(1000 * X + 77), atol=1e-5
    )
    # What it is asked about later does not move the scale.
    np.testing.assert_array_equal(
        machine.predict_proba(X)[:1], machine.predict_proba(np.vstack([X[:1], X + 50]))[:1]
    )


def test_a_constant_feature_is_no_division_by_zero(rng):
    X, y = make_rings(rng)
    X = np.column_stack([X, np.full(len(X), 3.5)])
    assert np.isfinite(MLP(n_units=4, n_epochs=2).fit(X, y).predict_proba(X)).all()


@pytest.mark.parametrize(("dropout", "input_dropout"), [(0.4, 0.0), (0.0, 0.3)])
def test_dropout_stands_where_it_was_asked_for_and_only_in_training(rng, dropout, input_dropout):
    X, y = make_rings(rng, 40)
    machine = MLP(n_units=400, dropout=dropout, input_dropout=input_dropout, n_epochs=1).fit(X, y)
    np.testing.assert_array_equal(machine.predict_proba(X), machine.predict_proba(X))
    shares = []
    for module in machine.network_.layers:
        if isinstance(module, torch.nn.Dropout):
            with torch.random.fork_rng():
                dropped = module.train()(torch.ones(100, 400)) == 0
            shares.append(float(dropped.float().mean()))
    np.testing.assert_allclose(shares, [input_dropout, dropout, dropout], atol=0.02)


def test_one_batch_holds_all_rows_unless_a_size_is_given(rng):
    X, y = make_rings(rng, 30)
    X = np.repeat(X, 2, axis=0)
    alike = MLP(n_units=4, dropout=0, n_epochs=1).fit(X, np.repeat(y, 2))
    # In one batch, the order of rows changes no more than the rounding of their mean.
    order = rng.permutation(60)
    shuffled = MLP(n_units=4, dropout=0, n_epochs=1).fit(X[order], np.repeat(y, 2)[order])
    np.testing.assert_allclose(alike.predict_proba(X), shuffled.predict_proba(X), atol=1e-6)
    batched = MLP(n_units=4, dropout=0, n_epochs=1, batch_size=10).fit(X, np.repeat(y, 2))
    assert np.abs(batched.predict_proba(X) - alike.predict_proba(X)).max() > 1e-4


def test_a_seed_decides_and_a_clone_repeats_it(rng):
    X, y = make_rings(rng, 40)
    first = MLP(n_units=6, n_epochs=4, random_state=3)
    same = clone(first).fit(X, y).predict_proba(X)
    np.testing.assert_array_equal(first.fit(X, y).predict_proba(X), same)
    assert np.any(MLP(n_units=6, n_epochs=4, random_state=4).fit(X, y).predict_proba(X) != same)


def test_a_saved_machine_answers_alike(rng, tmp_path):
    X, y = make_rings(rng, 40)
    machine = MLP(n_units=6, n_epochs=2).fit(X, y)
    machine.save(tmp_path / "mlp.safetensors")
    loaded = MLP.load(tmp_path / "mlp.safetensors")
    np.testing.assert_array_equal(loaded.predict_proba(X), machine.predict_proba(X))
    assert loaded.predict(X).tolist() == machine.predict(X).tolist()


def test_a_killed_training_goes_on_with_the_same_bits(rng, tmp_path):
    X, y = make_rings(rng, 40)
    whole = MLP(n_units=6, n_epochs=6).fit(X, y)

    class Killed(Exception):
        pass

    machine = MLP(n_units=6, n_epochs=6, checkpoint=tmp_path)
    calls = []

    def interrupt(*_):
        calls.append(1)
        if len(calls) == 4:
            raise Killed("after three epochs")

    handle = torch.nn.modules.module.register_module_forward_hook(
        lambda module, *_: interrupt() if type(module).__name__ == "Sequential" else None
    )
    try:
        with pytest.raises(Killed, match="after three"):
            machine.fit(X, y)
    finally:
        handle.remove()
    assert len(list(tmp_path.glob("*.safetensors"))) == 1
    resumed = MLP(n_units=6, n_epochs=6, checkpoint=tmp_path).fit(X, y)
    np.testing.assert_array_equal(resumed.predict_proba(X), whole.predict_proba(X))


def make_clips(rng, n=12):
    """Clips whose class lies in the order of two frames: no single frame tells."""
    X, y = [], []
    for i in range(n):
        name = "rising" if i % 2 else "falling"
        steps = np.tile([0.0, 1.0, 2.0], 5 + i)
        X.append((steps if name == "rising" else -steps)[:, None] % 3 + rng.normal(0, 0.1, (1, 2)))
        y.append(name)
    return X, y


def test_frames_need_their_neighbours_where_the_order_tells(seeds):
    options = {"n_units": 16, "n_epochs": 30, "batch_size": 32, "dropout": 0.0}
    correct, alone = [], []
    for seed in seeds:
        X, y = make_clips(np.random.default_rng(seed), 48)
        classifier = FrameMLP(context_frames=5, **options, learning_rate=1e-2, random_state=seed)
        right = np.arange(16), (np.array(y[32:]) == "rising").astype(int)
        for context_frames, shares in ((5, correct), (1, alone)):
            fitted = clone(classifier).set_params(context_frames=context_frames).fit(X[:32], y[:32])
            shares.append(fitted.predict_proba(X[32:])[right].mean())
    assert np.median(correct) > 0.8
    assert 0.35 < np.median(alone) < 0.65  # chance: the other clips' levels say nothing


def test_baseline_sees_200_numbers_a_frame(rng):
    X = [rng.normal(size=(n, 40)) for n in (6, 9)]
    machine = FrameMLP(n_epochs=1).fit(X, ["a", "b"])
    layers = [m for m in machine.network_.layers if isinstance(m, torch.nn.Linear)]
    assert [layer.in_features for layer in layers] == [200, 50, 50]
    assert layers[-1].out_features == 2


def test_context_repeats_the_ends_of_a_clip_and_never_reaches_into_the_next(rng):
    X = [np.arange(4.0)[:, None], 10 + np.arange(3.0)[:, None]]
    frames, index, owners = FrameMLP(context_frames=3)._unfold(X)
    assert frames[index][:, :, 0].tolist() == [
        [0, 0, 1],
        [0, 1, 2],
        [1, 2, 3],
        [2, 3, 3],
        [10, 10, 11],
        [10, 11, 12],
        [11, 12, 12],
    ]
    assert owners.tolist() == [0, 0, 0, 0, 1, 1, 1]


def test_a_clip_gets_the_mean_of_its_frames_whatever_its_neighbours(rng):
    X, y = make_clips(rng)
    machine = FrameMLP(n_units=4, n_epochs=2).fit(X, y)
    found = machine.predict_proba(X)
    np.testing.assert_allclose(found.sum(axis=1), 1, atol=1e-6)
    np.testing.assert_allclose(machine.predict_proba(X[3:4]), found[3:4], atol=1e-6)
    with torch.inference_mode():
        frames, index, _ = machine._unfold(X[:1])
        network = machine.network_
        x = (torch.from_numpy(frames[index]) - network.mean) / network.scale
        by_frame = network.decide(x.flatten(1)).softmax(1).numpy()
    np.testing.assert_allclose(found[0], by_frame.mean(axis=0), atol=1e-6)


def test_answers_do_not_depend_on_the_block_size(rng, monkeypatch):
    X, y = make_clips(rng)
    machine = FrameMLP(n_units=4, n_epochs=1).fit(X, y)
    whole = machine.predict_proba(X)
    monkeypatch.setattr("thesislib.evaluation.mlp.BLOCK", 7)
    np.testing.assert_allclose(machine.predict_proba(X), whole, atol=1e-6)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"n_units": 0}, "n_units: found 0, expected an integer >= 1"),
        ({"dropout": 1.0}, "dropout: found 1.0"),
        ({"batch_size": 0}, "batch_size: found 0"),
        ({"learning_rate": -1}, "learning_rate: found -1"),
    ],
)
def test_impossible_parameters_are_named(rng, change, message):
    X, y = make_rings(rng, 10)
    with pytest.raises(ParameterError, match=message):
        MLP(**change).fit(X, y)


def test_impossible_data_are_named(rng):
    X, y = make_rings(rng, 10)
    with pytest.raises(ParameterError, match="one class"):
        MLP(n_epochs=1).fit(X, ["a"] * 10)
    with pytest.raises(ParameterError, match=r"y: found shape \(9,\), expected \(10,\)"):
        MLP(n_epochs=1).fit(X, y[:9])
    with pytest.raises(ValueError, match="X contains NaN"):
        MLP(n_epochs=1).fit(np.where(np.arange(20).reshape(10, 2) == 9, np.nan, X), y)
    with pytest.raises(ValueError, match="X has 1 features, but MLP is expecting 2"):
        MLP(n_epochs=1).fit(X, y).predict(X[:, :1])
    with pytest.raises(ParameterError, match=r"X\[1\]: found shape \(3, 2\)"):
        FrameMLP(n_epochs=1).fit([np.zeros((4, 3)), np.zeros((3, 2))], ["a", "b"])
