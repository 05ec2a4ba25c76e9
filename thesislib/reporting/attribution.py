"""Attributions of a decision to the pixels of an audio plot: integrated gradients (thesis 11.2).

The thesis lists lack of interpretability as a limitation of its methods. Integrated gradients
(Sundararajan et al. 2017, through captum) distribute the difference between the outputs for the
input and for an empty baseline over the elements of the input: the gradient of the output,
averaged on the straight line from the baseline to the input, times their difference. They have
the unit of the output, and their sum is known in advance.

Choices of this project: the output is the decision value of a class, of a linear SVM on a
network's activations; the baseline is the plot in the colour of silence.

Attributions show how much each part of the input contributes to the output. They do not show
whether the output is correct or what a listener attends to.
"""

import warnings
from dataclasses import replace

import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from sklearn.exceptions import ConvergenceWarning
from sklearn.preprocessing import MinMaxScaler, StandardScaler
from sklearn.svm import LinearSVC
from threadpoolctl import threadpool_limits

from thesislib.errors import ParameterError, ThesisError, check_number
from thesislib.evaluation.classifiers import build_svm, upsample
from thesislib.reporting.figures import COLOUR_MAP, PAGE_IN, draw_audio, plot_audio, title_plot
from thesislib.representations.deep_spectrum import DeepSpectrum
from thesislib.representations.extraction import extract
from thesislib.representations.networks import input_size
from thesislib.spectra.plot import colour_table

MISSING = (
    "Attributions need captum, which is not installed: "
    "`pip install -e '.[explain]'` in the project's folder."
)
#: Points between the baseline and the input.
N_STEPS = 32
#: Images in one pass through the network.
_BATCH = 8
#: Cells of a drawn attribution along each axis; single pixels are too small to be visible.
_N_CELLS = 32


class ExplanationError(ThesisError):
    """The optional library for attributions is missing."""


def integrate_gradients(function, x, baseline, *, n_steps=N_STEPS):
    """Attribute the output of a function to the elements of its input.

    Parameters
    ----------
    function : callable
        Tensor, shape (n, ...), to Tensor, shape (n,).
    x, baseline : Tensor, shape (...)
        Input and empty input, on the device of ``function``.
    n_steps : int > 0
        Points between the two (Gauss-Legendre quadrature).

    Returns
    -------
    attributions : ndarray, shape (...), float32
    gain : float
        ``function(x) - function(baseline)``. The attributions sum to it, except for the error of
        the numerical integration.

    Raises
    ------
    ExplanationError
        If captum is not installed; the message says how to install it.

    Examples
    --------
    >>> attributions, gain = integrate_gradients(
    ...     lambda x: (x ** 2).sum(1), torch.tensor([3.0, 4.0]), torch.zeros(2))
    >>> attributions.round(3).tolist(), gain
    ([9.0, 16.0], 25.0)
    """
    check_number("n_steps", n_steps, low=1, integer=True)
    try:
        from captum.attr import IntegratedGradients
    except ImportError as error:
        raise ExplanationError(MISSING) from error
    x, baseline = x.float()[None], baseline.float()[None]
    with torch.enable_grad():
        attributions = IntegratedGradients(function).attribute(
            x, baseline, n_steps=n_steps, internal_batch_size=_BATCH
        )
    with torch.inference_mode():
        gain = float(function(x)[0]) - float(function(baseline)[0])
    return attributions[0].detach().float().cpu().numpy(), gain


def fit_svm(X, labels, rows, complexity, *, svm=None, upsampling=False):
    """Fit the linear SVM behind a row of a table again.

    Tables store predictions, not classifiers. The same rows and settings give the same
    coefficients, bit by bit.

    Parameters
    ----------
    X : ndarray, shape (n, n_features)
    labels : array-like, shape (n,)
    rows : array-like of int
        Training part.
    complexity : float
    svm : dict, optional
        Options of :func:`~thesislib.evaluation.classifiers.build_svm`.
    upsampling : bool
        As in :func:`~thesislib.evaluation.validation.evaluate_partitions`.

    Returns
    -------
    sklearn.pipeline.Pipeline

    Examples
    --------
    >>> X, y = np.array([[0.0, 1.0], [1.0, 0.0]] * 3), np.array(["a", "b"] * 3)
    >>> fit_svm(X, y, range(4), 1.0).predict(X[4:]).tolist()
    ['a', 'b']
    """
    X, labels, rows = np.asarray(X), np.asarray(labels), np.asarray(rows, dtype=int)
    if upsampling:
        rows = rows[upsample(labels[rows])]
    with threadpool_limits(1), warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return build_svm(complexity, **(svm or {})).fit(X[rows], labels[rows])


def read_coefficients(classifier):
    """Decision values of a fitted SVM as one linear layer, including its scaling.

    Parameters
    ----------
    classifier : sklearn.pipeline.Pipeline
        From :func:`~thesislib.evaluation.classifiers.build_svm` with LIBLINEAR.

    Returns
    -------
    weights : ndarray, shape (n_classes, n_features)
    intercepts : ndarray, shape (n_classes,)
        ``X @ weights.T + intercepts`` are the decision values, in the order of the classifier's
        classes; for two classes they are opposite.

    Raises
    ------
    ParameterError
        If the decision is not a linear function of the features (the solver ``smo`` votes over
        pairs of classes).

    Examples
    --------
    >>> X, y = np.random.default_rng(0).normal(size=(6, 9)), list("abcabc")
    >>> classifier = build_svm(0.1, scale="standard").fit(X, y)
    >>> weights, intercepts = read_coefficients(classifier)
    >>> np.allclose(X @ weights.T + intercepts, classifier.decision_function(X))
    True
    """
    scaler, span, svm = (step for _, step in classifier.steps)
    if not isinstance(svm, LinearSVC):
        name = type(svm).__name__
        raise ParameterError(f"classifier: found {name}, expected a linear SVM of LIBLINEAR")
    weights = svm.coef_ if span.basis_ is None else svm.coef_ @ span.basis_.T
    intercepts = np.atleast_1d(svm.intercept_)
    if isinstance(scaler, StandardScaler):
        weights = weights / scaler.scale_
        intercepts = intercepts - weights @ scaler.mean_
    elif isinstance(scaler, MinMaxScaler):
        intercepts = intercepts + weights @ scaler.min_
        weights = weights * scaler.scale_
    if len(weights) == 1:
        weights, intercepts = np.vstack([-weights, weights]), np.append(-intercepts, intercepts)
    return weights, intercepts


def attribute_image(network, layers, image, head, *, silence, n_steps=N_STEPS):
    """Attribute a linear function of a network's activations to the pixels of an image.

    Parameters
    ----------
    network : Network
    layers : list of str
        Layers whose activations, side by side, are the features.
    image : ndarray, shape (height, width, 3), uint8
    head : (ndarray, float)
        Weights, shape (n_features,), and intercept of the linear function.
    silence : array-like, shape (3,)
        Colour of the baseline.
    n_steps : int

    Returns
    -------
    attributions : ndarray, shape (height, width), float32
        Summed over the colours.
    gain : float
        As in :func:`integrate_gradients`.

    Examples
    --------
    >>> from thesislib.representations.networks import build_network
    >>> network = build_network("squeezenet1_1", weights="random")
    >>> image = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    >>> attributions, gain = attribute_image(
    ...     network, ["logits"], image, (np.ones(1000), 0.0), silence=(0, 0, 0), n_steps=256)
    >>> attributions.shape, bool(abs(attributions.sum() - gain) < 0.02 * abs(gain))
    ((64, 64), True)
    """
    device = next(network.model.parameters()).device
    weights = torch.as_tensor(head[0], dtype=torch.float32, device=device)

    def decide(images):
        activations = network.activations(images, layers)
        features = torch.cat([activations[layer] for layer in layers], dim=1)
        return features @ weights + float(head[1])

    x = torch.tensor(np.asarray(image), dtype=torch.float32, device=device)
    blank = torch.tensor(np.asarray(silence), dtype=torch.float32, device=device).expand_as(x)
    attributions, gain = integrate_gradients(decide, x, blank, n_steps=n_steps)
    return attributions.sum(axis=2), gain


class SVMOnPlots:
    """Attributions of a linear SVM on a network's activations of audio plots.

    An instance is a ``draw`` of :func:`thesislib.reporting.explore.explore_decisions`.

    Parameters
    ----------
    features : Extracted
        The activations that the table's SVM was trained on.
    labels : array-like, shape (n_clips,)
    estimator : DeepSpectrum
    plot : AudioPlot
    trainings : dict
        Fold (None with partitions) to the training rows of ``features.matrix`` and the
        complexity.
    svm, upsampling
        As in :func:`fit_svm`.
    """

    def __init__(self, features, labels, estimator, plot, trainings, *, svm=None, upsampling=False):
        self.features, self.estimator, self.plot = features, estimator, plot
        self.trainings, self.labels = trainings, np.asarray(labels)[features.rows]
        self.options = {"svm": svm, "upsampling": upsampling}
        self._fitted = {}

    def fit(self, fold):
        """Return the fitted SVM of a fold."""
        if fold not in self._fitted:
            self._fitted[fold] = fit_svm(
                self.features.matrix, self.labels, *self.trainings[fold], **self.options
            )
        return self._fitted[fold]

    def attribute(self, clip):
        """Attribute the decision value of a clip's predicted class; returns also the gain."""
        classifier, estimator = self.fit(clip.fold), self.estimator.fit()
        index = classifier.classes_.tolist().index(clip.predicted)
        head = [values[index] for values in read_coefficients(classifier)]
        layers = estimator.layer
        layers = [layers] if isinstance(layers, str) else list(layers)
        y, sr = clip.parts[clip.part]
        silence = colour_table(self.plot.colour_map)[0]
        return attribute_image(
            estimator.network_, layers, self.plot(y, sr=sr), head, silence=silence
        )

    def __call__(self, clip):
        """Draw a clip's audio plot beside its attributions; alone without captum."""
        from IPython.display import Markdown

        y, sr = clip.parts[clip.part]
        titles = [title_plot(self.plot), f"for {clip.predicted} (light), against it (dark)"]
        try:
            attributions, gain = self.attribute(clip)
        except ExplanationError as error:
            return [
                plot_audio([self.plot], [(y, sr)], titles[:1]),
                Markdown(f"*{error}*"),
            ]
        figure = plot_attribution(
            self.plot,
            (y, sr),
            attributions,
            titles=titles,
            unit=f"decision value of {clip.predicted}, a cell",
            gain=gain,
            start_s=clip.starts_s[clip.part],
        )
        return [figure]


def plot_attribution(plot, signal, attributions, *, titles, unit, gain, start_s=0.0):
    """Draw an audio plot and its attributions on the same axes.

    Parameters
    ----------
    plot : AudioPlot
    signal : (ndarray, int)
        Signal and sampling rate.
    attributions : ndarray, shape (height, width)
        Drawn as sums over cells. Zero is the middle of a colour map whose lightness increases
        monotonically, so that it can be read in grey.
    titles : (str, str)
    unit : str
        Of the attributions.
    gain : float
        Expected sum of the attributions; the title compares it with their sum.
    start_s : float
        Time of the beginning of the signal in seconds.

    Returns
    -------
    matplotlib.figure.Figure
    """
    cells = sum_cells(attributions)
    limit = float(np.quantile(np.abs(cells), 0.995)) or float(np.abs(cells).max()) or 1.0
    figure, (left, right) = plt.subplots(1, 2, figsize=(PAGE_IN, 2.9), sharex=True, sharey=True)
    extent = draw_audio(left, plot, *signal, start_s=start_s)
    colours = ScalarMappable(Normalize(-limit, limit), COLOUR_MAP)
    right.imshow(
        cells,
        cmap=COLOUR_MAP,
        norm=colours.norm,
        extent=extent,
        aspect="auto",
        interpolation="nearest",
    )
    bar = figure.colorbar(colours, ax=right, label=unit, extend="both")
    bar.ax.axhline(0, color="black", lw=0.8)
    left.set(title=titles[0], xlim=extent[:2])
    right.set(title=f"{titles[1]}\nsum {attributions.sum():+.3g} of {gain:+.3g}", xlabel="time (s)")
    return figure


def sum_cells(values, n_cells=_N_CELLS):
    """Sum an array of two axes over at most ``n_cells`` × ``n_cells`` cells.

    Examples
    --------
    >>> sum_cells(np.ones((4, 3)), 2).tolist()
    [[2.0, 4.0], [2.0, 4.0]]
    """
    for axis in (0, 1):
        n = values.shape[axis]
        starts = np.unique(np.arange(min(n, n_cells)) * n // min(n, n_cells))
        values = np.add.reduceat(values, starts, axis=axis)
    return values


def explain_network(
    corpus,
    predictions,
    trainings,
    store,
    *,
    network,
    layer,
    plot,
    reading,
    system,
    layers=None,
    weights="random",
    seed=0,
    preprocessing="imagenet",
    size_px=0,
    svm=None,
    upsampling=False,
    n_jobs=1,
    note="",
):
    """Choose a clip; show its prediction, and which cells of its audio plot speak for the class.

    Parameters
    ----------
    corpus : Corpus
    predictions : Predictions
        Of a row of a table: a linear SVM on one layer of one network.
    trainings : dict
        Fold (None with partitions) to (corpus rows of the training part, complexity).
    store : FeatureStore
    network, layer : str
    plot : AudioPlot
    reading : Reading
    system, note : str
        As in :func:`~thesislib.reporting.explore.explore_decisions`.
    layers : str or list of str, optional
        All layers that were extracted in one pass; default: ``layer``.
    weights, seed, preprocessing
        Of :class:`~thesislib.representations.deep_spectrum.DeepSpectrum`.
    size_px : int
        Side of the network's input; 0: its own.
    svm, upsampling
        As in :func:`fit_svm`.
    n_jobs : int
    """
    from thesislib.reporting.explore import explore_decisions

    options = {"weights": weights, "preprocessing": preprocessing, "random_state": seed}
    estimator = DeepSpectrum(network, layers or layer, **options).fit()
    plot = replace(plot, size_px=size_px or input_size(network))
    how = {"reading": reading, "n_jobs": n_jobs, "progress": False}
    extracted = extract(corpus, estimator, plot, store, **how).columns(f"{network}_{layer}_")
    fitted_on = {
        fold: (extracted.find_chunks(rows), complexity)
        for fold, (rows, complexity) in trainings.items()
    }
    estimator.set_params(layer=layer)
    options = {"svm": svm, "upsampling": upsampling}
    draw = SVMOnPlots(extracted, corpus.labels, estimator, plot, fitted_on, **options)
    explore_decisions(corpus, predictions, draw, reading=reading, system=system, note=note)
