"""Integrated gradients: completeness, planted patterns, coefficients of the SVM."""

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
    attribute_image,
    fit_svm,
    integrate_gradients,
    plot_attribution,
    read_coefficients,
    sum_cells,
)
from thesislib.representations.networks import build_network
from thesislib.spectra.plot import AudioPlot
from thesislib.spectra.spectrogram import Spectrum

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
def image(rng):
    return rng.integers(0, 256, (64, 64, 3), np.uint8)


def test_attributions_of_a_smooth_function_sum_to_its_gain(captum, rng):
    weights = torch.tensor(rng.normal(size=(20, 8)), dtype=torch.float32)
    x, baseline = torch.tensor(rng.normal(size=(2, 20)), dtype=torch.float32)
    attributions, gain = integrate_gradients(lambda z: torch.tanh(z @ weights).prod(1), x, baseline)
    assert attributions.sum() == pytest.approx(gain, rel=1e-3)


def test_inputs_without_effect_have_no_attribution(captum, rng):
    x = torch.tensor(rng.normal(size=6), dtype=torch.float32)
    attributions, _ = integrate_gradients(lambda z: z[:, 2] * z[:, 4], x, torch.zeros(6))
    assert np.flatnonzero(attributions).tolist() == [2, 4]


def test_all_attributions_are_in_the_receptive_field_of_a_linear_model(captum, squeezenet, image):
    # Each output of the first convolution depends on 3 x 3 pixels, with a stride of two.
    weights = np.zeros((64, 31, 31))
    weights[:, 10:13, 20:23] = 1
    attributions, gain = attribute_image(
        squeezenet, ["features.0"], image, (weights.ravel(), 5.0), silence=SILENCE
    )
    patch = np.zeros((64, 64), bool)
    patch[20:27, 40:47] = True
    assert attributions[patch].all()
    assert not attributions[~patch].any()
    assert attributions.sum() == pytest.approx(gain, rel=1e-3)


def test_attributions_of_a_network_s_output_sum_to_its_gain(captum, squeezenet, image, rng):
    weights = rng.normal(size=1000)
    attributions, gain = attribute_image(
        squeezenet, ["logits"], image, (weights, 0.0), silence=SILENCE, n_steps=64
    )
    # The gradient of rectifiers is not continuous, so the sum over a few points is not exact.
    assert abs(attributions.sum() - gain) < 0.01 * np.abs(attributions).sum()


def test_a_plot_of_silence_has_no_attributions(captum, squeezenet):
    blank = np.broadcast_to(np.array(SILENCE, np.uint8), (64, 64, 3))
    attributions, gain = attribute_image(
        squeezenet, ["logits"], blank, (np.ones(1000), 1.0), silence=SILENCE
    )
    assert (gain, attributions.any()) == (0, False)


@pytest.mark.parametrize("scale", ["none", "standard", "minmax"])
@pytest.mark.parametrize("classes", ["ab", "abc"])
@pytest.mark.parametrize("n_features", [4, 50])
def test_coefficients_give_the_decision_values(rng, scale, classes, n_features):
    X, y = rng.normal(3, 2, size=(24, n_features)), np.array(list(classes) * (24 // len(classes)))
    classifier = build_svm(0.01, scale=scale).fit(X[:12], y[:12])
    weights, intercepts = read_coefficients(classifier)
    np.testing.assert_allclose(
        X @ weights.T + intercepts, decision_values(classifier, X), atol=1e-8
    )


def test_votes_of_pairs_are_no_linear_function(rng):
    classifier = build_svm(solver="smo").fit(rng.normal(size=(6, 3)), list("abcabc"))
    with pytest.raises(
        ParameterError, match="classifier: found OneVsOneClassifier, expected a lin"
    ):
        read_coefficients(classifier)


def test_the_svm_fitted_again_has_the_table_s_decision_values(rng):
    X, y = rng.normal(size=(60, 100)), np.array(["a", "b", "b"] * 20)
    parts = {"train": range(20), "devel": range(20, 40), "test": range(40, 60)}
    svm = {"scale": "standard"}
    table = evaluate_partitions(X, y, **parts, complexities=[0.01], upsampling=True, svm=svm)
    again = fit_svm(X, y, range(40), 0.01, upsampling=True, svm=svm)
    np.testing.assert_array_equal(decision_values(again, X[40:]), table.test[0.01].values)


def test_without_captum_the_error_names_the_package_to_install(monkeypatch):
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


PLOT = AudioPlot(Spectrum("spectrogram", window_s=0.032, hop_s=0.016), size_px=64)


def test_the_figure_has_its_axes_and_zero_in_the_middle_of_a_monotone_colour_map(rng):
    y, attributions = rng.normal(size=16000).astype(np.float32), rng.normal(size=(64, 64))
    figure = plot_attribution(
        PLOT,
        (y, 8000),
        attributions,
        titles=("plot", "attributions"),
        unit="decision value, a cell",
        gain=2.0,
        start_s=1.0,
    )
    figure.canvas.draw()
    left, right, _, other = figure.axes
    assert (left.get_ylabel(), left.get_xlabel()) == ("frequency (kHz)", "time (s)")
    # Windows of 32 ms, 16 ms apart, that reach neither end.
    assert right.get_xlim() == pytest.approx((1.008, 2.992))
    assert other.get_ylabel() == "decision value, a cell"
    assert f"sum {attributions.sum():+.3g} of +2" in right.get_title()
    norm, colours = right.images[0].norm, right.images[0].cmap(np.linspace(0, 1, 64))[:, :3]
    assert norm(0) == 0.5
    assert (np.diff(colours @ [0.299, 0.587, 0.114]) > 0).all()
    # The top row of the image is at the top, on the same axes as the plot.
    assert right.images[0].get_extent() == left.images[0].get_extent()
    assert right.images[0].origin == "upper"


@pytest.mark.filterwarnings("ignore:silent signal", "ignore:constant spectrum")
def test_attributions_of_silence_can_be_drawn():
    options = {"titles": ("", ""), "unit": "", "gain": 0.0}
    figure = plot_attribution(PLOT, (np.zeros(8000), 8000), np.zeros((64, 64)), **options)
    figure.canvas.draw()
