"""Deep Spectrum: what an ImageNet network sees in a drawn spectrum (thesis 4.2).

Pictures of spectra go through a picture classifier, and the activations of one layer, or
several, are the features. They are neither standardised nor normalised (4.2.3).

Features must not depend on how pictures are batched, nor on the number of threads, though the
bits of a convolution's sums depend on both. So on a processor every forward pass takes
``batch_size`` pictures, the last ones padded with blank ones, and runs on one thread; several
passes run side by side. (Where this was measured, AlexNet, GoogLeNet, SqueezeNet and VGG19
answer the same bits wherever a picture stands in its pass, while a second thread inside a pass
changes those of all but SqueezeNet.) The default of 16 pictures is a compromise: fully connected
layers gain from large passes, convolutions of large pictures from small ones. Fully connected
layers are multiplied by oneDNN, as convolutions are: twice as fast as by PyTorch's default where
that was measured (AlexNet, passes of 16).
"""

import contextlib
import functools
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
from sklearn.base import BaseEstimator, TransformerMixin
from torch import nn

from thesislib.errors import ParameterError, check_number, check_option
from thesislib.representations.networks import (
    build_network,
    identify_weights,
    input_convention,
    input_size,
    layer_widths,
)
from thesislib.representations.torchvision_guard import torchvision
from thesislib.training import pick_device

#: Raised whenever the same pictures and parameters begin to give other features.
VERSION = 2
#: Numbers that a network may compute with; all but the first are for speed.
PRECISIONS = ("float32", "bfloat16", "float16")
# The number of threads is the process's: one transform at a time may change it.
_SINGLE_THREADED = threading.Lock()


class DeepSpectrum(TransformerMixin, BaseEstimator):
    """Activations of a picture classifier on audio plots (thesis 4.2.2).

    Parameters
    ----------
    network : str
        ``alexnet``, ``vgg16``, ``vgg19``, ``googlenet``, ``googlenet-bvlc`` or any other
        classifier of torchvision.
    layer : str or list of str
        ``fc6``, ``fc7`` (AlexNet, VGG), ``pool`` (GoogLeNet), or any layer of
        :class:`~thesislib.representations.networks.Network`. Several layers come from
        one forward pass, their features one after the other.
    weights : {"imagenet", "random"} or path
    preprocessing : {"imagenet", "deepspectrum"}
        Input convention, see :func:`~thesislib.representations.networks.input_convention`.
    batch_size : int
        Pictures of one forward pass. Other values change the last bits of the features.
    device : {"auto", "cpu", "cuda"}
    random_state : int
        Seed of random weights.
    precision : {"float32", "bfloat16", "float16"}
        The last two round the inputs of convolutions and of fully connected layers to half as
        many bits (torch's autocast): faster where the processor or GPU has instructions for
        them, and other features: ``benchmarks/precision.py`` reports by how much.

    Attributes
    ----------
    network_ : Network
        Built by `fit`; left behind when the estimator is pickled, and built again when needed.
    n_features_ : int
        Width of the output for pictures of the size seen in `fit`.

    Notes
    -----
    Nothing is learnt: `transform` without `fit` gives the same. Pictures are taken at the size
    they come in, since both AlexNet and VGG pool to a fixed size; the thesis scales its plots
    of 387 pixels to what
    :func:`~thesislib.representations.networks.input_size` gives.

    Examples
    --------
    >>> pictures = np.zeros((3, 64, 64, 3), np.uint8)
    >>> spectrum = DeepSpectrum("squeezenet1_1", layer="logits", weights="random", batch_size=4)
    >>> spectrum.fit_transform(pictures).shape
    (3, 1000)
    >>> spectrum.get_feature_names_out()[:2]
    array(['squeezenet1_1_logits_0', 'squeezenet1_1_logits_1'], dtype=object)
    """

    def __init__(
        self,
        network="alexnet",
        layer="fc7",
        weights="imagenet",
        preprocessing="imagenet",
        batch_size=16,
        device="auto",
        random_state=0,
        precision="float32",
    ):
        self.network = network
        self.layer = layer
        self.weights = weights
        self.preprocessing = preprocessing
        self.batch_size = batch_size
        self.device = device
        self.random_state = random_state
        self.precision = precision

    def fit(self, X=None, y=None):
        """Check the parameters and build the network.

        Parameters
        ----------
        X : ndarray, shape (n, height, width, 3), uint8, optional
            Only its picture size is used; the network's own size by default.

        Raises
        ------
        ParameterError
            If a parameter is impossible, a layer unknown, or X no pictures or too small ones.
        WeightsError
            If the weights are missing, damaged, or of another network.
        """
        self._check_parameters()
        size = (input_size(self.network),) * 2 if X is None else _check_pictures(X).shape[1:3]
        self.n_features_ = sum(self._widths(*size))
        self.picture_size_ = tuple(size)
        self._built()
        return self

    def transform(self, X):
        """Features of pictures.

        Parameters
        ----------
        X : ndarray, shape (n, height, width, 3), uint8
            RGB pictures, low frequencies at the bottom.

        Returns
        -------
        ndarray, shape (n, n_features), float32

        Raises
        ------
        ParameterError, WeightsError
            As `fit`.
        """
        self._check_parameters()
        X = _check_pictures(X)
        layers = self._layers()
        features = np.empty((len(X), sum(self._widths(*X.shape[1:3]))), np.float32)
        network, device = self._built(), pick_device(self.device)

        def answer(start):
            block = X[start : start + self.batch_size]
            full = np.require(block, requirements="CW")  # as torch wants it
            if len(block) < self.batch_size:
                full = np.zeros((self.batch_size, *X.shape[1:]), np.uint8)
                full[: len(block)] = block
            with torch.inference_mode(), self._rounding(device):
                found = network.activations(torch.from_numpy(full).to(device), layers)
                rows = torch.cat([found[layer] for layer in layers], dim=1)[: len(block)]
            features[start : start + len(block)] = rows.cpu().numpy()

        starts = range(0, len(X), self.batch_size)
        if device.type == "cpu":
            _answer_single_threaded(answer, starts)
        else:
            with torch.backends.cudnn.flags(benchmark=False, deterministic=True, allow_tf32=False):
                for start in starts:
                    answer(start)
        return features

    @property
    def n_passes(self):
        """Passes that are worth running side by side: one a core, one on a GPU."""
        return torch.get_num_threads() if pick_device(self.device).type == "cpu" else 1

    def open_passes(self):
        """Executor for `n_passes` calls of `transform` side by side.

        Returns
        -------
        concurrent.futures.Executor
            In each of its threads torch uses one.
        """
        return _open_threads(self.n_passes)

    def get_feature_names_out(self, input_features=None):
        """``network_layer_index`` of each feature; of the picture size seen in `fit`, if any."""
        self._check_parameters()
        size = getattr(self, "picture_size_", (input_size(self.network),) * 2)
        return np.array(
            [
                f"{self.network}_{layer}_{index}"
                for layer, width in zip(self._layers(), self._widths(*size))
                for index in range(width)
            ],
            dtype=object,
        )

    def cache_parameters(self):
        """Plain values that, with the pictures, determine the features (contract 3).

        The file of the weights counts by its content, not by its name; threads do not count.
        """
        self._check_parameters()
        return {
            "extractor": "DeepSpectrum",
            "version": VERSION,
            "network": self.network,
            "layer": self._layers(),
            "weights": identify_weights(self.network, self.weights, self.random_state),
            "preprocessing": self.preprocessing,
            "dtype": self.precision,
            "device": pick_device(self.device).type,
            "batch_size": int(self.batch_size),
            "torch": torch.__version__,
            "torchvision": torchvision.__version__,
        }

    def _check_parameters(self):
        input_convention(self.network, self.preprocessing)
        check_number("batch_size", self.batch_size, low=1, integer=True)
        check_option("precision", self.precision, PRECISIONS)
        pick_device(self.device)
        layers = self._layers()
        if not layers or len(set(layers)) < len(layers):
            raise ParameterError(f"layer: found {self.layer!r}, expected one or several, once each")

    def _layers(self):
        return [self.layer] if isinstance(self.layer, str) else list(self.layer)

    def _widths(self, height, width):
        return layer_widths(self.network, tuple(self._layers()), height, width)

    def _built(self):
        """Return the network; built at the first call, and again where a parameter has changed."""
        device = pick_device(self.device)
        weights = identify_weights(self.network, self.weights, self.random_state)
        recipe = (self.network, weights, self.preprocessing, str(device))
        if getattr(self, "_recipe", None) != recipe:
            network = build_network(
                self.network,
                weights=self.weights,
                preprocessing=self.preprocessing,
                random_state=self.random_state,
            )
            if device.type == "cpu":
                _multiply_by_onednn(network.model)
            self.network_, self._recipe = network.to(device), recipe
        return self.network_

    def _rounding(self, device):
        if self.precision == "float32":
            return contextlib.nullcontext()
        return torch.autocast(device.type, dtype=getattr(torch, self.precision))

    def __getstate__(self):
        state = super().__getstate__()
        return {k: v for k, v in state.items() if k not in ("network_", "_recipe")}

    def __sklearn_is_fitted__(self):
        return True

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.requires_fit = False
        tags.input_tags.two_d_array = False
        return tags


def _check_pictures(X):
    try:
        pictures = np.asarray(X)
    except ValueError as error:
        raise ParameterError("X: found pictures of several sizes, expected one size") from error
    if pictures.dtype != np.uint8 or pictures.ndim != 4 or pictures.shape[3] != 3:
        raise ParameterError(
            f"X: found shape {pictures.shape} of {pictures.dtype}, expected pictures "
            "(n, height, width, 3) of uint8"
        )
    return pictures


class _OneDnnLinear(nn.Linear):
    """A fully connected layer that oneDNN multiplies where nothing is learnt.

    PyTorch leaves these to MKL or OpenBLAS, although it gives convolutions to oneDNN.
    """

    def forward(self, x):
        plain = x.ndim != 2 or x.dtype != torch.float32 or not torch.is_inference_mode_enabled()
        if plain or torch.is_autocast_enabled("cpu"):
            return super().forward(x)
        return torch.ops.mkldnn._linear_pointwise(x, self.weight, self.bias, "none", [], "")


def _multiply_by_onednn(model):
    # An operator without promise of staying; where it is gone, layers stay as they were.
    if torch.backends.mkldnn.is_available() and hasattr(torch.ops.mkldnn, "_linear_pointwise"):
        for module in model.modules():
            if type(module) is nn.Linear:
                module.__class__ = _OneDnnLinear


def _answer_single_threaded(answer, starts):
    """Call ``answer`` for every start, each on one thread, as many at once as torch may use."""
    if torch.get_num_threads() == 1:  # so it is in the threads of `open_passes`
        for start in starts:
            answer(start)
        return
    with _SINGLE_THREADED, contextlib.ExitStack() as stack:
        n_threads = torch.get_num_threads()
        stack.callback(torch.set_num_threads, n_threads)
        torch.set_num_threads(1)
        if len(starts) < 2:
            for start in starts:
                answer(start)
            return
        with _open_threads(min(n_threads, len(starts))) as pool:
            list(pool.map(answer, starts))


def _open_threads(n):
    # OpenMP keeps the number for each thread: a new one's default is not to be relied on.
    return ThreadPoolExecutor(n, initializer=functools.partial(torch.set_num_threads, 1))
