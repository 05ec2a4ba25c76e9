"""Image classifiers and their named layers (thesis 4.2.2, Table 4.1).

AlexNet, VGG16, VGG19 and GoogLeNet as torchvision builds them, the GoogLeNet of Caffe, and any
other classifier of torchvision::

    images (n, height, width, 3), uint8 RGB
      └─ input convention ─► x (n, 3, height, width), float32
           └─ one forward pass ─► activations of each named layer (n, n_features)

The input convention is the one that the weights were trained with. The network is never trained
here: the thesis takes its activations as features.

What the thesis leaves open, and the choice:

- Activations are those after the rectifier: ``fc6`` and ``fc7`` of AlexNet and VGG, as in
  DeepSpectrum. ``pool`` of GoogLeNet is the last average pooling (1024).
- ``preprocessing="imagenet"`` is what the weights were trained with; ``"deepspectrum"`` what
  DeepSpectrum 0.6.9 gave its networks.
- torchvision's AlexNet and GoogLeNet are not those of the papers: ``Network.variant`` names the
  differences, `describe_layers` lists the layers.
"""

import contextlib
import functools
import math
import threading
from dataclasses import dataclass
from numbers import Integral

import pandas as pd
import torch
from torch import nn

from thesislib.errors import ParameterError, check_option
from thesislib.representations.caffe_googlenet import CaffeGoogLeNet
from thesislib.representations.network_table import CAFFE_GOOGLENET, find_weights
from thesislib.representations.torchvision_guard import torchvision
from thesislib.representations.weights import (
    hash_weights,
    load_weights,
    network_names,
    published_weights,
)

PREPROCESSING = ("imagenet", "deepspectrum")
_VARIANTS = {
    "alexnet": "torchvision's AlexNet: 64-192-384-256-256 channels, not Table 4.1's "
    "96-256-384-384-256",
    "googlenet": "torchvision's GoogLeNet: batch normalisation, 3 x 3 kernels for 5 x 5",
    CAFFE_GOOGLENET: "Caffe's GoogLeNet: local response normalisation, 5 x 5 kernels",
}
_ALIASES = {
    "alexnet": {"fc6": "classifier.2", "fc7": "classifier.5"},
    "vgg": {"fc6": "classifier.1", "fc7": "classifier.4"},
    "googlenet": {"pool": "avgpool"},
    CAFFE_GOOGLENET: {"pool": "pool5"},
}


@dataclass(frozen=True)
class InputConvention:
    """Transformation of the pixels of an image: ``(channel / scale - mean) / std``."""

    channels: str = "RGB"
    scale: float = 255.0
    mean: tuple = (0.485, 0.456, 0.406)
    std: tuple = (0.229, 0.224, 0.225)

    def __call__(self, images):
        """Network input, float32 (n, 3, height, width), of images uint8 (n, height, width, 3)."""
        if self.channels == "BGR":
            images = images.flip(3)
        n, height, width, _ = images.shape
        mean, std = (  # (3,) -> (width x 3,), as the rows of an image
            torch.tensor(v, device=images.device).repeat(width) for v in (self.mean, self.std)
        )
        # On a processor one image at a time, since its cache holds it: three times as fast.
        rows = images.reshape(n, height, -1).split(1 if images.device.type == "cpu" else n)
        x = torch.cat([(part / self.scale).sub_(mean).div_(std) for part in rows])
        x = x.view(n, height, width, 3).permute(0, 3, 1, 2)
        return x.contiguous(memory_format=torch.channels_last)


_ZERO, _ONE = (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)
_CAFFE = InputConvention("BGR", 1.0, (104.0, 117.0, 123.0), _ONE)
# DeepSpectrum 0.6.9 omits the normalisation of AlexNet and the mean of VGG.
_DEEPSPECTRUM = {
    "alexnet": InputConvention("RGB", 255.0, _ZERO, _ONE),
    "googlenet": InputConvention(),
    "vgg16": InputConvention("BGR", 1.0, _ZERO, _ONE),
    "vgg19": InputConvention("BGR", 1.0, _ZERO, _ONE),
}


def input_convention(name, preprocessing="imagenet"):
    """Input convention of a network.

    Raises
    ------
    ParameterError
        If ``preprocessing`` is unknown, or DeepSpectrum had no such network.

    Examples
    --------
    >>> input_convention("googlenet-bvlc").mean
    (104.0, 117.0, 123.0)
    >>> input_convention("resnet50", "deepspectrum")
    Traceback (most recent call last):
    ...
    thesislib.errors.ParameterError: preprocessing: found 'deepspectrum' for resnet50, expected
    'imagenet': DeepSpectrum 0.6.9 has its own for alexnet, googlenet, vgg16, vgg19 only
    """
    check_option("network", name, network_names())
    check_option("preprocessing", preprocessing, PREPROCESSING)
    if preprocessing == "deepspectrum":
        if name not in _DEEPSPECTRUM:
            raise ParameterError(
                f"preprocessing: found 'deepspectrum' for {name}, expected 'imagenet': "
                f"DeepSpectrum 0.6.9 has its own for {', '.join(_DEEPSPECTRUM)} only"
            )
        return _DEEPSPECTRUM[name]
    if name == CAFFE_GOOGLENET:
        return _CAFFE
    settings = published_weights(name).transforms.keywords
    normal = InputConvention()
    return InputConvention(
        mean=tuple(settings.get("mean", normal.mean)),
        std=tuple(settings.get("std", normal.std)),
    )


def input_size(name):
    """Width and height in pixels of the images a network was trained on (thesis 4.2.1).

    Examples
    --------
    >>> input_size("alexnet"), input_size("vgg16")
    (227, 224)
    """
    check_option("network", name, network_names())
    if name == "alexnet":
        return 227
    return (
        224 if name == CAFFE_GOOGLENET else published_weights(name).transforms.keywords["crop_size"]
    )


class Network:
    """An image classifier with its input convention and its named layers.

    Built by `build_network`. Layers are the modules of the model by their path
    (``features.0``), and these names: ``fc6`` and ``fc7`` of AlexNet and VGG, after the
    rectifier; ``pool`` of the GoogLeNets; ``penultimate``, the input of the last fully connected
    layer of any network; ``logits``, the output of the model.

    ``variant`` describes which of the networks of that name it is, ``weights_id`` is the SHA-256
    of the weights file or ``random:<seed>``, ``model`` the torch module in evaluation mode.
    """

    def __init__(self, name, model, *, preprocessing, weights_id):
        self.name, self.model = name, model.eval()
        self.preprocessing, self.weights_id = preprocessing, weights_id
        self.convention = input_convention(name, preprocessing)
        self.variant = _VARIANTS.get(name, f"torchvision's {name}")
        self._aliases = _ALIASES.get("vgg" if name.startswith("vgg") else name, {})
        self._modules = dict(model.named_modules())
        # Several threads use one model at the same time: each has the outputs of its own call.
        self._call = threading.local()
        for layer in self.layers:
            self._add_hook(layer)

    @property
    def layers(self):
        """Names of all layers that `activations` knows."""
        linear = any(isinstance(module, nn.Linear) for module in self._modules.values())
        general = ["penultimate", "logits"] if linear else ["logits"]
        return [*self._aliases, *general, *filter(None, self._modules)]

    def to(self, device):
        """Move the model to a device, in place."""
        # Convolutions are fastest in this layout, also on processors (up to twice as fast).
        self.model.to(device=device, memory_format=torch.channels_last)
        return self

    def check_layers(self, layers):
        """Return the layers as a list.

        Raises
        ------
        ParameterError
            If one is unknown; states the nearest name.
        """
        for layer in layers:
            check_option(f"layer of {self.name}", layer, self.layers)
        return list(layers)

    def activations(self, images, layers):
        """Activations of named layers, from one forward pass.

        Parameters
        ----------
        images : Tensor, shape (n, height, width, 3), uint8
            RGB images, on the model's device.
        layers : list of str

        Returns
        -------
        dict of str to Tensor, shape (n, n_features), float32
            Maps are flattened in the order channel, frequency, time. For a module called several
            times, the output of its last call is returned.

        Raises
        ------
        ParameterError
            If a layer is unknown or its output is not one tensor.
        """
        outputs = self._call.outputs = dict.fromkeys(self.check_layers(layers))
        try:
            self.model(self.convention(images))
        finally:
            del self._call.outputs
        for layer, output in outputs.items():
            if output is None:
                raise ParameterError(f"layer: found {layer!r}, expected one that outputs a tensor")
        return outputs

    def _add_hook(self, layer):
        """Let the model store the output of a layer in each call that asks for it."""

        def store(output):
            outputs = getattr(self._call, "outputs", ())
            if layer in outputs and torch.is_tensor(output):
                # A copy, since rectifiers that follow may work in place.
                outputs[layer] = output.flatten(1).float().clone()

        if layer == "penultimate":
            last = [m for m in self._modules.values() if isinstance(m, nn.Linear)][-1]
            last.register_forward_pre_hook(lambda _, inputs: store(inputs[0]))
        else:
            module = self._modules[{"logits": "", **self._aliases}.get(layer, layer)]
            module.register_forward_hook(lambda _, inputs, output: store(output))


def build_network(name, *, weights="imagenet", preprocessing="imagenet", random_state=0):
    """Build a network with its weights.

    Parameters
    ----------
    name : str
        ``alexnet``, ``vgg16``, ``vgg19``, ``googlenet``, ``googlenet-bvlc``, or any other
        classifier by torchvision's name.
    weights : {"imagenet", "random"} or path
        ``"imagenet"``: the file in the weights folder that ``thesis weights fetch`` puts there.
        ``"random"``: the control in every table; He's uniform initialisation with zero
        biases, drawn from ``random_state``, the same on every machine (networks with parameters
        of other kinds, such as transformers, keep torchvision's own initialisation). A path:
        safetensors, or a torch file of tensors.
    preprocessing : {"imagenet", "deepspectrum"}
        Input convention, see `input_convention`.
    random_state : int
        Seed of random weights. The global generator of torch is not changed.

    Returns
    -------
    Network

    Raises
    ------
    ParameterError
        If a name or the seed is impossible.
    WeightsError
        If the weights are missing, damaged, or of another network.

    Examples
    --------
    >>> network = build_network("squeezenet1_1", weights="random")
    >>> network.weights_id
    'random:0'
    >>> image = torch.zeros(1, 64, 64, 3, dtype=torch.uint8)
    >>> network.activations(image, ["logits"])["logits"].shape
    torch.Size([1, 1000])
    """
    input_convention(name, preprocessing)  # raises before anything is built
    weights_id = identify_weights(name, weights, random_state)
    if str(weights) == "random":
        model = _random_model(name, int(random_state))
    else:
        model = _make_model(name)
        load_weights(model, name, find_weights(name, weights))
    return Network(name, model, preprocessing=preprocessing, weights_id=weights_id)


def identify_weights(name, weights, random_state=0):
    """``Network.weights_id`` without building the network; raises as `build_network`."""
    check_option("network", name, network_names())
    if str(weights) != "random":
        return hash_weights(find_weights(name, weights))
    if not isinstance(random_state, Integral) or not 0 <= random_state < 2**63:
        raise ParameterError(
            f"random_state: found {random_state!r}, expected an integer >= 0 for random weights"
        )
    return f"random:{int(random_state)}"


@functools.lru_cache(maxsize=256)
def layer_widths(name, layers, height, width):
    """Number of features of each layer for images of a size, without weights.

    Raises
    ------
    ParameterError
        If a layer is unknown, or the network does not take images of that size.

    Examples
    --------
    >>> layer_widths("alexnet", ("fc6", "fc7"), 64, 64)
    (4096, 4096)
    """
    with torch.random.fork_rng(devices=[]), torch.inference_mode():
        model = _make_model(name, device="meta").to("meta")
        network = Network(name, model, preprocessing="imagenet", weights_id="none")
        layers = network.check_layers(layers)
        try:
            image = torch.zeros(1, height, width, 3, dtype=torch.uint8, device="meta")
            outputs = network.activations(image, layers)
        except (RuntimeError, AssertionError, ZeroDivisionError) as error:
            raise ParameterError(
                f"X: found images of {height} x {width}, which {name} does not take ({error}); "
                f"its own size is {input_size(name)}"
            ) from error
    return tuple(outputs[layer].shape[1] for layer in layers)


def describe_layers(network):
    """Layers of a built network, as Table 4.1 lists them.

    Returns a DataFrame with one row for each layer, in order: ``layer`` (path of the module),
    ``name`` (``fc6``, ``fc7``, ``pool``, where it has one), ``kind`` (as printed: conv,
    maxpooling, fully connected), ``kernel`` (pixels), ``channels`` (of the output; neurons of a
    fully connected layer), ``stride``. ``attrs["variant"]`` is ``Network.variant``.

    Examples
    --------
    >>> table = describe_layers(build_network("alexnet", weights="random"))
    >>> table.loc[table["kind"] == "conv", "channels"].tolist()
    [64, 192, 384, 256, 256]
    """
    names = {path: alias for alias, path in network._aliases.items()}
    rows = []
    for path, module in network._modules.items():
        if kind := _KINDS.get(type(module)):
            rows.append(
                {
                    "layer": path,
                    "name": "",
                    "kind": kind,
                    "kernel": _square(getattr(module, "kernel_size", None)),
                    "channels": getattr(module, "out_channels", None)
                    or getattr(module, "out_features", None),
                    "stride": _square(getattr(module, "stride", None)),
                }
            )
        if path in names:  # the rectifier after a layer has the layer's name
            rows[-1]["name"] = names[path]
    table = pd.DataFrame(rows).astype({"channels": "Int64"})
    table.attrs["variant"] = network.variant
    return table


_KINDS = {
    nn.Conv2d: "conv",
    nn.Linear: "fully connected",
    nn.MaxPool2d: "maxpooling",
    nn.AvgPool2d: "average pooling",
    nn.AdaptiveAvgPool2d: "average pooling",
}


def _square(size):
    """One number for a square kernel, ``h x w`` for another, None for None."""
    if not isinstance(size, tuple):
        return size
    return size[0] if len(set(size)) == 1 else " x ".join(map(str, size))


def _constructor(name):
    """Call that builds a model, without drawing its weights where torchvision has an option."""
    if name == CAFFE_GOOGLENET:
        return CaffeGoogLeNet
    settings = {}
    if name.startswith(("vgg", "googlenet", "inception")):
        settings["init_weights"] = False
    if name.startswith(("googlenet", "inception")):
        # As torchvision sets them with its weights; the side classifiers are for training.
        settings |= {"aux_logits": False, "transform_input": True}
    if name.startswith("vit"):
        settings["image_size"] = input_size(name)
    return functools.partial(torchvision.models.get_model, name, weights=None, **settings)


def _make_model(name, device="cpu"):
    """Model whose parameters are not set yet; on "meta" without memory where it is possible."""
    make = _constructor(name)
    # Some constructors compute with tensors, which have no values on "meta".
    with contextlib.suppress(RuntimeError, NotImplementedError), torch.device("meta"):
        model = make()
        if device == "meta":
            return model
        if _is_plain(model):
            return model.to_empty(device=device)
    with torch.random.fork_rng(devices=[]):
        return make()


def _is_plain(model):
    """Whether all parameters and buffers are those of layers that `_random_model` can set."""
    owners = [m for m in model.modules() if m._parameters or m._buffers]
    return all(isinstance(m, (nn.Conv2d, nn.Linear, nn.BatchNorm2d)) for m in owners)


def _random_model(name, seed):
    model = _make_model(name)
    if not _is_plain(model):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return _constructor(name)()
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.reset_running_stats()
                module.reset_parameters()
            elif isinstance(module, (nn.Conv2d, nn.Linear)):
                # He et al. 2015, uniform: four times as fast to draw as the normal, and exact.
                bound = math.sqrt(6 / module.weight[0].numel())
                module.weight.uniform_(-bound, bound, generator=generator)
                if module.bias is not None:
                    module.bias.zero_()
    return model
