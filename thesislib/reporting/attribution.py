"""What in a picture or a spectrogram an answer rests on: integrated gradients (thesis 11.2).

The thesis names it as a lack of its methods that nobody can tell what their answers rest on.
Integrated gradients (Sundararajan et al. 2017, through captum) share out how far an answer lies
above the answer to a baseline, an input that holds nothing: the gradient of the answer, averaged
on the straight line from the baseline to the input, times their difference. So they have the unit
of the answer, and their sum is known beforehand.

What is explained, and the baseline, are choices of this project:

- Deep Spectrum with a linear SVM: a class's decision value, the machine's coefficients being
  a fixed linear layer on the network's activations. Baseline: the plot in the colour of silence.
- CRNN: the probability at one frame. Baseline: the mean spectrum of the training part, which is
  also what the network sees beyond the ends of a clip.

They tell what an answer would lose with what part of the input; neither whether the answer is
right, nor what a listener would go by.
"""

import warnings

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
from thesislib.reporting.figures import COLOUR_MAP
from thesislib.representations.sliding import check_clips

MISSING = (
    "What an answer rests on is shown with captum, which is not installed: "
    "`pip install -e '.[explain]'` in the project's folder."
)
#: Points on the way from the baseline to the input.
N_STEPS = 32
_BATCH = 8
#: Cells of a drawn attribution, along each axis: single pixels are too small to be seen.
_N_CELLS = 32


class ExplanationError(ThesisError):
    """The optional library that explains answers is missing."""


def integrate_gradients(answer, x, baseline, *, n_steps=N_STEPS, batch_size=_BATCH):
    """Share out an answer over its input.

    Parameters
    ----------
    answer : callable
        Tensor, shape (n, ...), to Tensor, shape (n,).
    x, baseline : Tensor, shape (...)
        Input, and an input that holds nothing; on the device of ``answer``.
    n_steps : int > 0
        Points between the two (Gauss and Legendre's).
    batch_size : int > 0
        Points asked for at a time; the memory depends on it.

    Returns
    -------
    attributions : ndarray, shape (...), float32
    gain : float
        ``answer(x) - answer(baseline)``: what the attributions add up to, but for the error of the
        numerical integration.

    Raises
    ------
    ExplanationError
        If captum is not installed; says how to install it.

    Examples
    --------
    >>> shares, gain = integrate_gradients(
    ...     lambda x: (x ** 2).sum(1), torch.tensor([3.0, 4.0]), torch.zeros(2))
    >>> shares.round(3).tolist(), gain
    ([9.0, 16.0], 25.0)
    """
    check_number("n_steps", n_steps, low=1, integer=True)
    try:
        from captum.attr import IntegratedGradients
    except ImportError as error:
        raise ExplanationError(MISSING) from error
    x, baseline = x.float()[None], baseline.float()[None]
    # cuDNN has no gradients of recurrent layers outside training.
    with torch.backends.cudnn.flags(enabled=False), torch.enable_grad():
        shares = IntegratedGradients(answer).attribute(
            x, baseline, n_steps=n_steps, internal_batch_size=batch_size
        )
    with torch.inference_mode():
        gain = float(answer(x)[0]) - float(answer(baseline)[0])
    return shares[0].detach().float().cpu().numpy(), gain


def fit_machine(X, labels, rows, complexity, *, machine=None, upsampling=False):
    """The linear SVM behind a row of a table, once more.

    A table keeps answers, not machines; the same rows and settings give the same machine, bit by
    bit.

    Parameters
    ----------
    X : ndarray, shape (n, n_features)
    labels : array-like, shape (n,)
    rows : array-like of int
        Training part.
    complexity, machine, upsampling
        As in :func:`thesislib.evaluation.validation.evaluate_partitions`.

    Returns
    -------
    sklearn.pipeline.Pipeline

    Examples
    --------
    >>> X, y = np.array([[0.0, 1.0], [1.0, 0.0]] * 3), np.array(["a", "b"] * 3)
    >>> fit_machine(X, y, range(4), 1.0).predict(X[4:]).tolist()
    ['a', 'b']
    """
    X, labels, rows = np.asarray(X), np.asarray(labels), np.asarray(rows, dtype=int)
    if upsampling:
        rows = rows[upsample(labels[rows])]
    with threadpool_limits(1), warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return build_svm(complexity, **(machine or {})).fit(X[rows], labels[rows])


def read_coefficients(machine):
    """Decision values of a fitted machine as one linear layer, its scaling included.

    Parameters
    ----------
    machine : sklearn.pipeline.Pipeline
        From :func:`~thesislib.evaluation.classifiers.build_svm` with LIBLINEAR.

    Returns
    -------
    weights : ndarray, shape (n_classes, n_features)
    intercepts : ndarray, shape (n_classes,)
        ``X @ weights.T + intercepts`` are the decision values, in the order of the machine's
        classes; for two classes they are opposite.

    Raises
    ------
    ParameterError
        If the decision is no linear function of the features (the solver ``smo`` votes pair by
        pair).

    Examples
    --------
    >>> X, y = np.random.default_rng(0).normal(size=(6, 9)), list("abcabc")
    >>> machine = build_svm(0.1, scale="standard").fit(X, y)
    >>> weights, intercepts = read_coefficients(machine)
    >>> np.allclose(X @ weights.T + intercepts, machine.decision_function(X))
    True
    """
    scaler, span, svm = (step for _, step in machine.steps)
    if not isinstance(svm, LinearSVC):
        raise ParameterError(
            f"machine: found {type(svm).__name__}, expected a linear SVM of LIBLINEAR"
        )
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


def attribute_picture(network, layers, picture, head, *, silence, n_steps=N_STEPS):
    """Attribute a linear function of a network's activations to the pixels of an image.

    Parameters
    ----------
    network : Network
    layers : list of str
        Layers whose activations, side by side, are the features.
    picture : ndarray, shape (height, width, 3), uint8
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
    >>> picture = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    >>> shares, gain = attribute_picture(network, ["logits"], picture, (np.ones(1000), 0.0),
    ...                                  silence=(0, 0, 0), n_steps=256)
    >>> shares.shape, bool(abs(shares.sum() - gain) < 0.02 * abs(gain))
    ((64, 64), True)
    """
    device = next(network.model.parameters()).device
    weights = torch.as_tensor(head[0], dtype=torch.float32, device=device)
    intercept = float(head[1])

    def answer(images):
        activations = network.activations(images, layers)
        features = torch.cat([activations[layer] for layer in layers], dim=1)
        return features @ weights + intercept

    x = torch.tensor(np.asarray(picture), dtype=torch.float32, device=device)
    blank = torch.tensor(np.asarray(silence), dtype=torch.float32, device=device).expand_as(x)
    shares, gain = integrate_gradients(answer, x, blank, n_steps=n_steps)
    return shares.sum(axis=2), gain


def attribute_frame(detectors, clip, frame, *, sliding=True, output=0, n_steps=N_STEPS):
    """What in a clip the probability of an event at one frame rests on.

    Parameters
    ----------
    detectors : sequence of FrameDetector
        Fitted; the mean of their probabilities is explained, as
        :func:`~thesislib.representations.sliding.predict_ensemble` gives it.
    clip : ndarray, shape (time, columns)
        Log mel frames, as in training.
    frame : int
    sliding : bool
        Average over all chunks that hold the frame, or take the one of consecutive chunks.
    output : int
        Class.
    n_steps : int

    Returns
    -------
    attributions : ndarray, shape (time, columns), float32
        Zero where no network looks.
    gain : float
        As in :func:`integrate_gradients`.

    Raises
    ------
    ParameterError
        If there is no such frame, or the clip has other columns than the detectors.

    Examples
    --------
    >>> from thesislib.representations.crnn import FFNN
    >>> X = np.random.default_rng(0).normal(size=(2, 20, 8)).astype(np.float32)
    >>> detector = FFNN(n_epochs=1, device="cpu").fit(X, (X[:, :, 3] > 0).astype(int))
    >>> shares, gain = attribute_frame([detector], X[0], 10)
    >>> np.flatnonzero(shares.any(axis=1)).tolist()  # five frames are its context
    [8, 9, 10, 11, 12]
    """
    (clip,) = check_clips([clip], "clip", n_columns=detectors[0].n_columns_)
    check_number("frame", frame, low=0, high=len(clip) - 1, integer=True)
    reach = max(d.chunk_frames - 1 + d.network_.margin for d in detectors)
    first, last = max(0, frame - reach), min(len(clip), frame + reach + 1)

    def answer(x):
        each = [_ask(d, x, first, len(clip), frame, sliding, output) for d in detectors]
        return torch.stack(each).mean(dim=0)

    mean = detectors[0].network_.mean
    x = torch.tensor(clip[first:last], device=mean.device)
    shares = np.zeros(clip.shape, np.float32)
    shares[first:last], gain = integrate_gradients(
        answer, x, mean.expand_as(x), n_steps=n_steps, batch_size=4
    )
    return shares, gain


def _ask(detector, x, first, n_frames, frame, sliding, output):
    """Probability at a frame of a clip, of which ``x`` holds what lies within reach: (n,)."""
    network, length = detector.network_, detector.chunk_frames
    margin, latest = network.margin, max(0, n_frames - length)
    if sliding:
        starts = range(max(0, frame - length + 1), min(frame, latest) + 1)
    else:  # the last chunk ends with the clip
        starts = [min(frame // length * length, latest)]
    z = (x - network.mean) / network.scale
    z = torch.nn.functional.pad(z, (0, 0, margin, margin + max(0, length - n_frames)))
    chunks = [z[:, start - first : start - first + length + 2 * margin] for start in starts]
    chunks = torch.stack(chunks, dim=1)
    if detector.convolution_context == "chunk" and margin:
        inside = torch.zeros_like(chunks[:1, :1])
        inside[:, :, margin:-margin] = 1
        chunks = chunks * inside
    logits = network(chunks.flatten(0, 1)).unflatten(0, chunks.shape[:2])
    found = logits.softmax(-1) if detector.output == "softmax" else logits.sigmoid()
    mine = [found[:, i, frame - start, output] for i, start in enumerate(starts)]
    return torch.stack(mine).mean(dim=0)


def plot_attribution(
    seen, attributions, *, extent_s, ticks, titles, unit, gain, colours=None, label="", marks_s=()
):
    """An input beside what the answer rests on in it, on the same axes.

    Parameters
    ----------
    seen : ndarray, shape (height, width, 3), uint8, or (height, width)
        A picture, or a spectrogram; the top row is the highest frequency.
    attributions : ndarray, shape (height, width)
        Drawn in cells that hold the sums of theirs, zero in the middle of a colour map whose
        lightness grows throughout, so that it can be read in grey.
    extent_s : tuple of float
        Times of the left and the right edge in seconds.
    ticks : (places, labels, what)
        Of the frequency axis, from :func:`thesislib.reporting.figures.frequency_ticks`.
    titles : (str, str)
    unit : str
        Of the attributions.
    gain : float
        What they should add up to; stands beside what they do add up to.
    colours : matplotlib.cm.ScalarMappable, optional
        Of a picture; a spectrogram has its own.
    label : str
        What the colours of ``seen`` mean.
    marks_s : sequence of float
        Times to mark with a line.

    Returns
    -------
    matplotlib.figure.Figure
    """
    cells = sum_cells(attributions)
    most = float(np.quantile(np.abs(cells), 0.995)) or float(np.abs(cells).max()) or 1.0
    figure, (left, right) = plt.subplots(1, 2, figsize=(10.6, 3.9), sharex=True, sharey=True)
    box = {"extent": (*extent_s, 0, 1), "aspect": "auto", "interpolation": "nearest"}
    drawn = left.imshow(seen, cmap=COLOUR_MAP, **box)
    figure.colorbar(colours or drawn, ax=left, label=label)
    shares = ScalarMappable(Normalize(-most, most), COLOUR_MAP)
    right.imshow(cells, cmap=COLOUR_MAP, norm=shares.norm, **box)
    bar = figure.colorbar(shares, ax=right, label=unit, extend="both")
    bar.ax.axhline(0, color="black", lw=0.8)
    places, labels, what = ticks
    left.set_yticks(places, labels)
    left.set(ylabel=what, title=titles[0])
    right.set_title(f"{titles[1]}\nsum {attributions.sum():+.3g} of {gain:+.3g}")
    for axes in (left, right):
        axes.set(xlabel="time (s)", xlim=extent_s)
        for mark_s in marks_s:
            # Black on white, to be seen on any colour.
            axes.axvline(mark_s, color="white", lw=2.5)
            axes.axvline(mark_s, color="black", lw=1, ls="--")
    return figure


def sum_cells(values, n_cells=_N_CELLS):
    """Sums over at most ``n_cells`` × ``n_cells`` cells of an array of two axes.

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
