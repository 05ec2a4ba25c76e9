"""Deep Spectrum: activations of ImageNet networks on audio plots (thesis 4.2).

Audio plots are passed through an image classifier, and the activations of one or several layers
are the features. They are neither standardised nor normalised (4.2.3).

Features must not depend on batching or on the number of threads, although the last bits of a
convolution depend on both. On a CPU every forward pass therefore takes ``batch_size`` images (the
last pass is padded with blank ones) and runs on one thread; several passes run in parallel.
(Measured: the output bits of AlexNet, GoogLeNet, SqueezeNet and VGG19 do not depend on the
position of an image in its pass, but a second thread inside a pass changes those of all except
SqueezeNet.) The default of 16 images is a compromise: fully connected layers are faster with
large passes, convolutions of large images with small ones. Fully connected layers are computed by
oneDNN, as convolutions are: twice as fast as PyTorch's default (measured with AlexNet, passes of
16).
"""

import contextlib
import functools
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch
from sklearn.base import BaseEstimator, TransformerMixin
from torch import nn

from thesislib.errors import (
    DEVICE,
    PATH,
    SEED,
    TEXT,
    ParameterError,
    check_parameters,
    integer,
    option,
    sequence,
)
from thesislib.representations import networks
from thesislib.representations.torchvision_guard import torchvision
from thesislib.training import pick_device

#: Increased when the same images and parameters give other features than before.
VERSION = 2
#: Number formats of a network; bfloat16 is for speed, on a GPU only.
PRECISIONS = ("float32", "bfloat16")
# The number of threads belongs to the process: one transform at a time changes it.
_SINGLE_THREADED = threading.Lock()


@dataclass(eq=False, repr=False)
class DeepSpectrum(TransformerMixin, BaseEstimator):
    """Activations of an image classifier on audio plots (thesis 4.2.2).

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
        Images in one forward pass. Other values change the last bits of the features.
    device : {"auto", "cpu", "cuda"}
    random_state : int
        Seed of random weights.
    precision : {"float32", "bfloat16"}
        bfloat16 rounds the inputs of convolutions and fully connected layers to 16 bits (torch's
        autocast): faster, with other features, on a GPU only. ``benchmarks/precision.py``
        reports the difference.

    Attributes
    ----------
    network_ : Network
        Built by `fit`; not pickled, and built again when needed.
    n_features_ : int
        Width of the output for images of the size of `fit`.

    Notes
    -----
    Nothing is learnt: `transform` without `fit` gives the same features. Images are not resized,
    since AlexNet and VGG pool to a fixed size; the thesis scales its plots of 387 pixels to
    :func:`~thesislib.representations.networks.input_size`.

    Examples
    --------
    >>> images = np.zeros((3, 64, 64, 3), np.uint8)
    >>> spectrum = DeepSpectrum("squeezenet1_1", layer="logits", weights="random", batch_size=4)
    >>> spectrum.fit_transform(images).shape
    (3, 1000)
    >>> spectrum.get_feature_names_out()[:2]
    array(['squeezenet1_1_logits_0', 'squeezenet1_1_logits_1'], dtype=object)
    """

    network: TEXT = "alexnet"
    layer: TEXT | sequence(TEXT) = "fc7"
    weights: PATH = "imagenet"
    preprocessing: option(networks.PREPROCESSING) = "imagenet"
    batch_size: integer(1) = 16
    device: DEVICE = "auto"
    random_state: SEED = 0
    precision: option(PRECISIONS) = "float32"

    def fit(self, X=None, y=None):
        """Check the parameters and build the network.

        Parameters
        ----------
        X : ndarray, shape (n, height, width, 3), uint8, optional
            Only its image size is used; the network's own size by default.

        Raises
        ------
        ParameterError
            If a parameter is invalid, a layer unknown, or X has no images or too small ones.
        WeightsError
            If the weights are missing, damaged, or of another network.
        """
        self._check_parameters()
        side = networks.input_size(self.network)
        size = (side, side) if X is None else _check_images(X).shape[1:3]
        self.n_features_ = sum(self._widths(*size))
        self.image_size_ = tuple(size)
        self._built()
        return self

    def transform(self, X):
        """Features of images.

        Parameters
        ----------
        X : ndarray, shape (n, height, width, 3), uint8
            RGB images, low frequencies at the bottom.

        Returns
        -------
        ndarray, shape (n, n_features), float32

        Raises
        ------
        ParameterError, WeightsError
            As `fit`.
        """
        self._check_parameters()
        X = _check_images(X)
        layers = self._layers()
        features = np.empty((len(X), sum(self._widths(*X.shape[1:3]))), np.float32)
        network, device = self._built(), pick_device(self.device)

        def compute(start):
            block = X[start : start + self.batch_size]
            full = np.require(block, requirements="CW")  # as torch requires
            if len(block) < self.batch_size:
                full = np.zeros((self.batch_size, *X.shape[1:]), np.uint8)
                full[: len(block)] = block
            with torch.inference_mode(), self._rounding(device):
                activations = network.activations(torch.from_numpy(full).to(device), layers)
                # layers x (batch_size, n_features) -> (n, sum of n_features)
                rows = torch.cat([activations[layer] for layer in layers], dim=1)[: len(block)]
            features[start : start + len(block)] = rows.cpu().numpy()

        starts = range(0, len(X), self.batch_size)
        if device.type == "cpu":
            _run_single_threaded(compute, starts)
        else:
            with torch.backends.cudnn.flags(benchmark=False, deterministic=True, allow_tf32=False):
                for start in starts:
                    compute(start)
        return features

    @property
    def n_passes(self):
        """Number of parallel passes: one for each core, one on a GPU."""
        return torch.get_num_threads() if pick_device(self.device).type == "cpu" else 1

    def open_passes(self):
        """Executor for `n_passes` parallel calls of `transform`.

        Returns
        -------
        concurrent.futures.Executor
            In each of its threads, torch uses one thread.
        """
        return _open_threads(self.n_passes)

    def get_feature_names_out(self, input_features=None):
        """``network_layer_index`` of each feature, for the image size of `fit` if it was called."""
        self._check_parameters()
        size = getattr(self, "image_size_", (networks.input_size(self.network),) * 2)
        return np.array(
            [
                f"{self.network}_{layer}_{index}"
                for layer, width in zip(self._layers(), self._widths(*size))
                for index in range(width)
            ],
            dtype=object,
        )

    def cache_parameters(self):
        """Plain values that, with the images, determine the features (contract 3).

        Weights are identified by the content of their file, not by its name.
        """
        self._check_parameters()
        return {
            "extractor": "DeepSpectrum",
            "version": VERSION,
            "network": self.network,
            "layer": self._layers(),
            "weights": networks.identify_weights(self.network, self.weights, self.random_state),
            "preprocessing": self.preprocessing,
            "dtype": self.precision,
            "device": pick_device(self.device).type,
            "batch_size": int(self.batch_size),
            "torch": torch.__version__,
            "torchvision": torchvision.__version__,
        }

    def _check_parameters(self):
        check_parameters(self)
        networks.input_convention(self.network, self.preprocessing)
        device, layers = pick_device(self.device).type, self._layers()
        if self.precision != "float32" and device == "cpu":
            raise ParameterError(
                f"precision: found {self.precision!r} on the CPU, expected 'float32': "
                f"{self.precision} requires a GPU"
            )
        if len(set(layers)) < len(layers):
            raise ParameterError(f"layer: found {self.layer!r}, expected each layer once")

    def _layers(self):
        return [self.layer] if isinstance(self.layer, str) else list(self.layer)

    def _widths(self, height, width):
        return networks.layer_widths(self.network, tuple(self._layers()), height, width)

    def _built(self):
        """Return the network; built at the first call and after a parameter has changed."""
        device = pick_device(self.device)
        weights = networks.identify_weights(self.network, self.weights, self.random_state)
        recipe = (self.network, weights, self.preprocessing, str(device))
        if getattr(self, "_recipe", None) != recipe:
            network = networks.build_network(
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
        return torch.autocast(device.type, dtype=torch.bfloat16)

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


def _check_images(X):
    try:
        images = np.asarray(X)
    except ValueError as error:
        raise ParameterError("X: found images of several sizes, expected one size") from error
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[3] != 3:
        raise ParameterError(
            f"X: found shape {images.shape} of {images.dtype}, expected images "
            "(n, height, width, 3) of uint8"
        )
    return images


class _OneDnnLinear(nn.Linear):
    """A fully connected layer that oneDNN computes in inference mode.

    PyTorch uses MKL or OpenBLAS for these, although it uses oneDNN for convolutions.
    """

    def forward(self, x):
        if x.ndim != 2 or x.dtype != torch.float32 or not torch.is_inference_mode_enabled():
            return super().forward(x)
        return torch.ops.mkldnn._linear_pointwise(x, self.weight, self.bias, "none", [], "")


def _multiply_by_onednn(model):
    # A private operator of torch; without it, layers are computed as usual.
    if torch.backends.mkldnn.is_available() and hasattr(torch.ops.mkldnn, "_linear_pointwise"):
        for module in model.modules():
            if type(module) is nn.Linear:
                module.__class__ = _OneDnnLinear


def _run_single_threaded(compute, starts):
    """Call ``compute`` for each start on one thread, as many in parallel as torch has threads."""
    if torch.get_num_threads() == 1:  # as in the threads of `open_passes`
        for start in starts:
            compute(start)
        return
    with _SINGLE_THREADED, contextlib.ExitStack() as stack:
        n_threads = torch.get_num_threads()
        stack.callback(torch.set_num_threads, n_threads)
        torch.set_num_threads(1)
        with _open_threads(max(1, min(n_threads, len(starts)))) as pool:
            list(pool.map(compute, starts))


def _open_threads(n):
    # OpenMP has a number of threads for each thread, so each new one sets it.
    return ThreadPoolExecutor(n, initializer=functools.partial(torch.set_num_threads, 1))
