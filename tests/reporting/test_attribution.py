"""Integrated gradients: completeness, planted patterns, and what machines and detectors go by."""

import sys

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch

from thesislib.errors import ParameterError
from thesislib.evaluation.classifiers import build_svm, decision_values
from thesislib.evaluation.validation import evaluate_partitions
from thesislib.reporting.attribution import (
    ExplanationError,
    attribute_frame,
    attribute_picture,
    fit_machine,
    integrate_gradients,
    plot_attribution,
    read_coefficients,
    sum_cells,
)
from thesislib.representations.crnn import CRNN, FFNN
from thesislib.representations.networks import build_network
from thesislib.representations.sliding import predict_ensemble

SILENCE = (68, 1, 84)


@pytest.fixture(autouse=True)
def no_figure_stays():
    yield
    plt.close("all")


@pytest.fixture(scope="module")
def captum():
    return pytest.importorskip("captum", reason="the extra explain is not installed")


@pytest.fixture(scope="module")
def squeezenet():
    return build_network("squeezenet1_1", weights="random")


@pytest.fixture
def picture(rng):
    return rng.integers(0, 256, (64, 64, 3), np.uint8)


def test_a_smooth_function_is_shared_out_without_rest(captum, rng):
    weights = torch.tensor(rng.normal(size=(20, 8)), dtype=torch.float32)
    x, baseline = torch.tensor(rng.normal(size=(2, 20)), dtype=torch.float32)
    shares, gain = integrate_gradients(lambda z: torch.tanh(z @ weights).prod(1), x, baseline)
    assert shares.sum() == pytest.approx(gain, rel=1e-3)


def test_what_a_function_does_not_look_at_gets_nothing(captum, rng):
    x = torch.tensor(rng.normal(size=6), dtype=torch.float32)
    shares, _ = integrate_gradients(lambda z: z[:, 2] * z[:, 4], x, torch.zeros(6))
    assert np.flatnonzero(shares).tolist() == [2, 4]


def test_a_patch_that_a_linear_model_looks_at_gets_all(captum, squeezenet, picture):
    # Each answer of the first convolution sees 3 x 3 pixels, every second one.
    weights = np.zeros((64, 31, 31))
    weights[:, 10:13, 20:23] = 1
    shares, gain = attribute_picture(
        squeezenet, ["features.0"], picture, (weights.ravel(), 5.0), silence=SILENCE
    )
    patch = np.zeros((64, 64), bool)
    patch[20:27, 40:47] = True
    assert shares[patch].all()
    assert not shares[~patch].any()
    assert shares.sum() == pytest.approx(gain, rel=1e-3)


def test_a_whole_network_s_answer_is_shared_out(captum, squeezenet, picture, rng):
    weights = rng.normal(size=1000)
    shares, gain = attribute_picture(
        squeezenet, ["logits"], picture, (weights, 0.0), silence=SILENCE, n_steps=64
    )
    # Rectifiers bend the way, so the sum over a few points of it is not exact.
    assert abs(shares.sum() - gain) < 0.01 * np.abs(shares).sum()


def test_a_plot_of_silence_has_nothing_to_share_out(captum, squeezenet):
    blank = np.broadcast_to(np.array(SILENCE, np.uint8), (64, 64, 3))
    shares, gain = attribute_picture(
        squeezenet, ["logits"], blank, (np.ones(1000), 1.0), silence=SILENCE
    )
    assert (gain, shares.any()) == (0, False)


@pytest.mark.parametrize("scale", ["none", "standard", "minmax"])
@pytest.mark.parametrize("classes", ["ab", "abc"])
@pytest.mark.parametrize("n_features", [4, 50])
def test_coefficients_are_the_machine(rng, scale, classes, n_features):
    X, y = rng.normal(3, 2, size=(24, n_features)), np.array(list(classes) * (24 // len(classes)))
    machine = build_svm(0.01, scale=scale).fit(X[:12], y[:12])
    weights, intercepts = read_coefficients(machine)
    np.testing.assert_allclose(X @ weights.T + intercepts, decision_values(machine, X), atol=1e-8)


def test_votes_of_pairs_are_no_linear_function(rng):
    machine = build_svm(solver="smo").fit(rng.normal(size=(6, 3)), list("abcabc"))
    with pytest.raises(ParameterError, match="machine: found OneVsOneClassifier, expected a lin"):
        read_coefficients(machine)


def test_the_machine_fitted_again_answers_as_the_table_s(rng):
    X, y = rng.normal(size=(60, 100)), np.array(["a", "b", "b"] * 20)
    parts = {"train": range(20), "devel": range(20, 40), "test": range(40, 60)}
    options = {"upsampling": True, "machine": {"scale": "standard"}}
    table = evaluate_partitions(X, y, **parts, complexities=[0.01], **options)
    again = fit_machine(X, y, range(40), 0.01, **options)
    np.testing.assert_array_equal(decision_values(again, X[40:]), table.test[0.01].values)


SMALL = {"n_filters": (3, 4), "pool_sizes": (2, 2), "n_units": 4, "n_dense": 5, "n_epochs": 1}


@pytest.fixture(scope="module")
def clips():
    rng = np.random.default_rng(1)
    X = rng.normal(2, 3, size=(4, 40, 12)).astype(np.float32)
    return X, (X[:, :, 3] > 4).astype(np.uint8)


@pytest.fixture(scope="module")
def detectors(clips):
    made = {
        "backward": [CRNN(n, **SMALL, device="cpu").fit(*clips) for n in (5, 9)],
        "alone": [CRNN(9, **SMALL, convolution_context="chunk", device="cpu").fit(*clips)],
        "softmax": [
            CRNN(7, **SMALL, output="softmax", direction="bidirectional", device="cpu").fit(*clips)
        ],
        "no recurrence": [CRNN(5, **SMALL | {"n_recurrent": 0}, device="cpu").fit(*clips)],
        "perceptron": [FFNN(n_epochs=1, device="cpu").fit(*clips)],
    }
    return made


@pytest.mark.parametrize("kind", ["backward", "alone", "softmax", "no recurrence", "perceptron"])
@pytest.mark.parametrize("sliding", [True, False])
def test_what_is_explained_is_what_is_predicted(captum, clips, detectors, kind, sliding):
    members, X = detectors[kind], clips[0][0]
    output = 1 if kind == "softmax" else 0
    mean = np.broadcast_to(members[0].network_.mean.numpy(), X.shape)
    predicted = predict_ensemble(members, np.stack([X, mean]), sliding=sliding)[..., output]
    asked = {"sliding": sliding, "output": output}
    for frame in (0, 3, 17, 38, 39):
        _, gain = attribute_frame(members, X, frame, n_steps=1, **asked)
        assert gain == pytest.approx(predicted[0, frame] - predicted[1, frame], abs=1e-6)
    shares, gain = attribute_frame(members, X, 17, n_steps=100, **asked)
    assert abs(shares.sum() - gain) < 0.02 * np.abs(shares).sum() + 1e-6


def test_a_clip_shorter_than_a_chunk_is_explained_too(captum, clips, detectors):
    (member,), X = detectors["alone"], clips[0][0, :4]
    mean = np.broadcast_to(member.network_.mean.numpy(), X.shape)
    p = member.predict_proba(np.stack([X, mean]))[:, 2, 0]
    assert attribute_frame([member], X, 2)[1] == pytest.approx(p[0] - p[1], abs=1e-6)


def test_the_band_that_makes_the_label_gets_most(captum, clips, seeds):
    X, y = clips
    many, labels = np.tile(X, (10, 1, 1)), np.tile(y, (10, 1))
    frame = int(np.flatnonzero(y[0] == 1)[5])
    parts = []
    for seed in seeds:
        setting = {"n_epochs": 15, "batch_size": 32, "learning_rate": 0.02, "random_state": seed}
        detector = FFNN(**setting, device="cpu").fit(many, labels)
        shares, gain = attribute_frame([detector], X[0], frame)
        size = np.abs(shares) / np.abs(shares).sum()
        parts.append([size[:, 3].sum(), size[frame, 3] * np.sign(gain)])
    # One of twelve bands, and one of sixty cells: five frames are the context.
    assert (np.median(parts, axis=0) > [1.7 / 12, 4 / 60]).all()


def test_frames_that_are_not_there_are_refused(clips, detectors):
    with pytest.raises(ParameterError, match="frame: found 40"):
        attribute_frame(detectors["alone"], clips[0][0], 40)
    with pytest.raises(ParameterError, match=r"clip\[0\]: found shape \(40, 5\)"):
        attribute_frame(detectors["alone"], clips[0][0, :, :5], 4)


def test_without_captum_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "captum", None)
    monkeypatch.setitem(sys.modules, "captum.attr", None)
    with pytest.raises(ExplanationError, match=r"pip install -e '\.\[explain\]'"):
        integrate_gradients(lambda x: x.sum(1), torch.ones(3), torch.zeros(3))


@pytest.mark.parametrize("shape", [(227, 224), (3, 5), (64, 1)])
def test_cells_keep_the_sum(rng, shape):
    values = rng.normal(size=shape)
    cells = sum_cells(values)
    assert cells.shape == tuple(min(32, n) for n in shape)
    assert cells.sum() == pytest.approx(values.sum())


def test_the_figure_has_its_axes_and_zero_in_the_middle_of_a_map_that_grows_lighter(rng):
    seen, shares = rng.integers(0, 256, (64, 64, 3), np.uint8), rng.normal(size=(64, 64))
    figure = plot_attribution(
        seen,
        shares,
        extent_s=(1.0, 3.0),
        ticks=([0.2, 0.8], ["1", "4"], "frequency (kHz)"),
        titles=("seen", "why"),
        unit="decision value, a cell",
        gain=2.0,
        marks_s=[1.5],
    )
    figure.canvas.draw()
    left, right, _, other = figure.axes
    assert (left.get_ylabel(), left.get_xlabel()) == ("frequency (kHz)", "time (s)")
    assert right.get_xlim() == (1.0, 3.0)
    assert other.get_ylabel() == "decision value, a cell"
    assert f"sum {shares.sum():+.3g} of +2" in right.get_title()
    norm, colours = right.images[0].norm, right.images[0].cmap(np.linspace(0, 1, 64))[:, :3]
    assert norm(0) == 0.5
    assert (np.diff(colours @ [0.299, 0.587, 0.114]) > 0).all()
    # The top row of the picture is drawn at the top.
    assert right.images[0].get_extent() == [1.0, 3.0, 0, 1]
    assert right.images[0].origin == "upper"


def test_attributions_of_nothing_can_be_drawn():
    figure = plot_attribution(
        np.zeros((8, 8)),
        np.zeros((8, 8)),
        extent_s=(0, 1),
        ticks=([0], ["0"], "frequency (kHz)"),
        titles=("", ""),
        unit="",
        gain=0.0,
    )
    figure.canvas.draw()
