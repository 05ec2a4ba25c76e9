"""Figures of the background chapter (thesis 2.1), computed.

* Figure 2.4, :func:`plot_fits`: polynomials of degree 1, 5 and 15 through noisy points,
  with cross-validated error. The thesis names neither the true curve nor the points;
  here they are one period of a sine, and 30 points with Gaussian noise.
* Figures 2.7 to 2.10, :func:`plot_activation`: sigmoid, tanh, ReLU and leaky ReLU with
  their derivatives (equations 2.2 to 2.9).
"""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from sklearn.model_selection import KFold

from thesislib.errors import check_option
from thesislib.reporting.matrices import COLUMN_IN, PAGE_IN

DEGREES, N_POINTS = (1, 5, 15), 30
#: Of the leaky ReLU below zero (the thesis's alpha, which it leaves open; chapter 5 takes 0.2).
SLOPE = 0.2
#: Figure of the thesis to its function.
ACTIVATIONS = {"2.7": "sigmoid", "2.8": "tanh", "2.9": "relu", "2.10": "leaky_relu"}
_TITLES = {"sigmoid": "sigmoid", "tanh": "tanh", "relu": "ReLU", "leaky_relu": "leaky ReLU"}
#: Line styles and lightness distinguish the curves in grey.
_DARK, _LIGHT = "black", "0.55"


def activate(x, name):
    """Value and derivative of an activation function (equations 2.2 to 2.9).

    Parameters
    ----------
    x : ndarray
        Any shape.
    name : {"sigmoid", "tanh", "relu", "leaky_relu"}

    Returns
    -------
    (ndarray, ndarray)
        Both shaped like ``x``. At zero, ReLU and leaky ReLU have the slope 1, as
        equations 2.7 and 2.9 say.

    Examples
    --------
    >>> [part.tolist() for part in activate(np.array([-1.0, 0.0, 2.0]), "leaky_relu")]
    [[-0.2, 0.0, 2.0], [0.2, 1.0, 1.0]]
    """
    check_option("name", name, _TITLES)
    x = np.asarray(x, dtype=float)
    if name == "sigmoid":
        y = 0.5 * (1 + np.tanh(x / 2))  # equation 2.2 without overflow
        return y, y * (1 - y)
    if name == "tanh":
        y = np.tanh(x)
        return y, 1 - y**2
    below = SLOPE if name == "leaky_relu" else 0.0
    return np.where(x < 0, below * x, x), np.where(x < 0, below, 1.0)


def plot_activation(name):
    """Draw an activation function and its derivative (Figures 2.7 to 2.10).

    Parameters
    ----------
    name : {"sigmoid", "tanh", "relu", "leaky_relu"}

    Returns
    -------
    matplotlib.figure.Figure
        One axes with two lines, labelled ``function`` and ``derivative``.
    """
    # Just below zero as well, so that a step is drawn as a step.
    x = np.sort(np.append(np.linspace(-5, 5, 401), -5e-9))
    y, derivative = activate(x, name)
    figure, axes = plt.subplots(figsize=(COLUMN_IN, 2.7), layout="constrained")
    axes.plot(x, y, color=_DARK, linestyle="-", linewidth=2, label="function")
    axes.plot(x, derivative, color=_LIGHT, linestyle="--", linewidth=2, label="derivative")
    axes.axhline(0, color="0.85", linewidth=0.8, zorder=0)
    axes.axvline(0, color="0.85", linewidth=0.8, zorder=0)
    title = _TITLES[name] + (f" (slope {SLOPE:g} below zero)" if name == "leaky_relu" else "")
    axes.set(xlabel="input x", ylabel="output", title=title, xlim=(-5, 5))
    # Above the axes, so that it covers neither the curves nor the small print.
    figure.legend(loc="outside upper center", ncols=2, frameon=False)
    return figure


def true_curve(x):
    """True curve of Figure 2.4: one period of a sine on [0, 1].

    Examples
    --------
    >>> true_curve(np.array([0.25, 0.75])).tolist()
    [1.0, -1.0]
    """
    return np.sin(2 * np.pi * np.asarray(x, dtype=float))


def fit_polynomials(*, noise=0.25, random_state=0):
    """Fit polynomials to noisy points and cross-validate them (Figure 2.4).

    Parameters
    ----------
    noise : float >= 0
        Standard deviation of the Gaussian noise on the points.
    random_state : int
        Of points and folds.

    Returns
    -------
    x, y : ndarray, shape (30,)
        The points; x is uniform on [0, 1].
    fits : dict of int to numpy.polynomial.Polynomial
        Degree to the least-squares fit on all points.
    errors : pandas.DataFrame
        Index ``degree``; columns ``mse_training`` (all points), ``mse_validation`` and
        ``mse_deviation`` (mean and standard deviation over the folds).

    Examples
    --------
    >>> errors = fit_polynomials()[-1]
    >>> int(errors["mse_validation"].idxmin()), int(errors["mse_training"].idxmin())
    (5, 15)
    """
    generator = np.random.default_rng(random_state)
    x = np.sort(generator.uniform(size=N_POINTS))
    y = true_curve(x) + noise * generator.standard_normal(N_POINTS)
    folds = list(KFold(10, shuffle=True, random_state=random_state).split(x))
    fits, rows = {}, []
    for degree in DEGREES:
        fits[degree] = _fit(x, y, degree)
        scores = [
            np.mean((_fit(x[train], y[train], degree)(x[test]) - y[test]) ** 2)
            for train, test in folds
        ]
        training = np.mean((fits[degree](x) - y) ** 2)
        rows.append((degree, training, np.mean(scores), np.std(scores)))
    columns = ["degree", "mse_training", "mse_validation", "mse_deviation"]
    return x, y, fits, pd.DataFrame(rows, columns=columns).set_index("degree")


def plot_fits(**settings):
    """Draw under-fitting, a good fit and over-fitting (Figure 2.4).

    Parameters
    ----------
    **settings
        Of :func:`fit_polynomials`.

    Returns
    -------
    matplotlib.figure.Figure
        One axes per degree, with the lines ``fit`` and ``true curve``, the ``points``, and
        the cross-validated error in the title.
    """
    x, y, fits, errors = fit_polynomials(**settings)
    grid = np.linspace(0, 1, 401)
    figure, panels = plt.subplots(
        1, len(fits), figsize=(PAGE_IN, 2.9), sharey=True, squeeze=False, layout="constrained"
    )
    for axes, letter, (degree, fit) in zip(panels.flat, "abcdefgh", fits.items()):
        axes.plot(grid, fit(grid), color=_DARK, linestyle="-", linewidth=2, label="fit")
        axes.plot(grid, true_curve(grid), color=_LIGHT, linestyle="--", label="true curve")
        axes.plot(x, y, "o", color=_DARK, fillstyle="none", markersize=5, label="points")
        error, std = errors.loc[degree, ["mse_validation", "mse_deviation"]]
        axes.set(
            xlabel="x",
            # Fits of high degree exceed these limits at the edges, as in the thesis.
            ylim=(-2, 2),
            xlim=(0, 1),
            xticks=(0.25, 0.5, 0.75),
            title=f"({letter}) degree {degree}\nvalidation MSE {error:.2g} ± {std:.2g}",
        )
    panels[0, 0].set_ylabel("y")
    handles, labels = panels[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=3, frameon=False)
    return figure


def _fit(x, y, degree):
    # One domain for all folds; Polynomial.fit scales it, so that degree 15 is well conditioned.
    return np.polynomial.Polynomial.fit(x, y, degree, domain=[0, 1])
