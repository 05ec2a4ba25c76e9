"""Figures of the background chapter: what is drawn is what the equations say."""

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch

from thesislib.errors import ParameterError
from thesislib.reporting.background import (
    ACTIVATIONS,
    activate,
    fit_polynomials,
    plot_activation,
    plot_fits,
    true_curve,
)
from thesislib.reporting.figures import write_figure

TORCH = {
    "sigmoid": torch.sigmoid,
    "tanh": torch.tanh,
    "relu": torch.relu,
    "leaky_relu": lambda x: torch.nn.functional.leaky_relu(x, 0.2),
}


@pytest.fixture(autouse=True)
def close():
    yield
    plt.close("all")


def lines(axes):
    return {line.get_label(): line for line in axes.get_lines()}


@pytest.mark.parametrize("name", ACTIVATIONS.values())
def test_functions_and_derivatives_are_those_of_torch(name):
    x = torch.linspace(-6, 6, 96, dtype=torch.float64, requires_grad=True)
    y = TORCH[name](x)
    y.sum().backward()
    value, derivative = activate(x.detach().numpy(), name)
    np.testing.assert_allclose(value, y.detach().numpy(), atol=1e-12)
    np.testing.assert_allclose(derivative, x.grad.numpy(), atol=1e-12)


@pytest.mark.parametrize("name", ACTIVATIONS.values())
def test_the_drawn_derivative_is_that_of_the_drawn_function(name):
    (axes,) = plot_activation(name).axes
    drawn = lines(axes)
    x, y = drawn["function"].get_data()
    also_x, derivative = drawn["derivative"].get_data()
    np.testing.assert_array_equal(x, also_x)
    assert (x.min(), x.max()) == (-5, 5)
    middle = (x[1:] + x[:-1]) / 2
    wide = np.diff(x) > 1e-6  # the step of ReLU is drawn over a hair's breadth
    numerical = np.diff(y)[wide] / np.diff(x)[wide]
    np.testing.assert_allclose(np.interp(middle[wide], x, derivative), numerical, atol=2e-3)


def test_zero_counts_as_positive_as_in_equations_2_7_and_2_9():
    assert activate(np.zeros(1), "relu")[1] == 1
    assert activate(np.zeros(1), "leaky_relu")[1] == 1
    assert activate(np.array([-2.0]), "leaky_relu")[0] == pytest.approx(-0.4)


def test_large_inputs_do_not_overflow():
    with np.errstate(all="raise"):
        value, derivative = activate(np.array([-1e4, 1e4]), "sigmoid")
    assert value.tolist() == [0, 1]
    assert derivative.tolist() == [0, 0]


@pytest.mark.parametrize("seed", range(5))
def test_degree_5_generalises_best_and_degree_15_fits_the_points_best(seed):
    errors = fit_polynomials(random_state=seed)[-1]
    assert errors["mse_validation"].idxmin() == 5
    assert errors["mse_training"].is_monotonic_decreasing
    # Under-fitting errs on the points too, over-fitting on new ones only.
    assert errors.loc[1, "mse_training"] > 0.1 > errors.loc[15, "mse_training"]
    assert errors.loc[15, "mse_validation"] > 3 * errors.loc[15, "mse_training"]


def test_without_noise_a_polynomial_of_degree_15_is_the_curve():
    x, y, fits, errors = fit_polynomials(noise=0)
    np.testing.assert_allclose(y, true_curve(x))
    grid = np.linspace(x.min(), x.max(), 50)
    np.testing.assert_allclose(fits[15](grid), true_curve(grid), atol=1e-6)
    assert errors.loc[15, "mse_validation"] < 1e-6


def test_panels_show_points_fit_and_error():
    x, y, fits, errors = fit_polynomials()
    panels = plot_fits().axes
    assert len(panels) == 3
    for axes, (degree, fit) in zip(panels, fits.items()):
        drawn = lines(axes)
        np.testing.assert_array_equal(drawn["points"].get_data(), (x, y))
        grid, values = drawn["fit"].get_data()
        np.testing.assert_allclose(values, fit(grid))
        np.testing.assert_allclose(drawn["true curve"].get_ydata(), true_curve(grid))
        assert f"degree {degree}\n" in axes.get_title()
        assert f"{errors.loc[degree, 'mse_validation']:.2g} ±" in axes.get_title()


@pytest.mark.parametrize("draw", [plot_fits, lambda: plot_activation("relu")])
def test_axes_are_labelled_and_the_legend_covers_nothing(draw, tmp_path):
    figure = draw()
    write_figure(figure, "2.4", tmp_path, note="small print")
    (legend,) = figure.legends
    box = legend.get_window_extent()
    (print_,) = (text for text in figure.texts if text.get_text() == "small print")
    assert not box.overlaps(print_.get_window_extent())
    for axes in figure.axes:
        assert axes.get_xlabel()
        assert not box.overlaps(axes.get_tightbbox())
        assert axes.get_legend() is None
    assert figure.axes[0].get_ylabel()


@pytest.mark.parametrize("name", ACTIVATIONS.values())
def test_lines_differ_without_colour(name):
    drawn = lines(plot_activation(name).axes[0])
    styles = {drawn[label].get_linestyle() for label in ("function", "derivative")}
    assert len(styles) == 2
    for label in ("function", "derivative"):
        red, green, blue = matplotlib.colors.to_rgb(drawn[label].get_color())
        assert red == green == blue


def test_impossible_settings_are_refused():
    with pytest.raises(ParameterError, match=r"name: found 'rellu', .*did you mean 'relu'"):
        activate(np.zeros(1), "rellu")
