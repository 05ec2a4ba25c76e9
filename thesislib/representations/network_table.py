"""Names of the networks and their layers, and paths of weights, without importing torch.

``files/networks.csv`` lists all networks; for AlexNet, VGG and GoogLeNet also the layers and the
side of the smallest input. Parameters are checked against it before a run, since importing torch
takes seconds.
"""

import csv
import functools
import os
from pathlib import Path

from thesislib.errors import ParameterError, WeightsError, check_option
from thesislib.places import weights_folder

CAFFE_GOOGLENET = "googlenet-bvlc"
#: Networks of DeepSpectrum 0.6.9, whose input it normalises in its own way.
DEEPSPECTRUM = ("alexnet", "googlenet", "vgg16", "vgg19")


@functools.cache
def read_networks():
    """Rows of the table by network: ``min_px`` and ``layers``, empty where they are not listed.

    Examples
    --------
    >>> read_networks()["alexnet"]["min_px"]
    '63'
    """
    path = Path(__file__).with_name("files") / "networks.csv"
    with open(path, encoding="utf-8", newline="") as file:
        return {row["network"]: row for row in csv.DictReader(file)}


def check_network(name, layers=(), *, size_px=0, key="network"):
    """Raise if a network or layer is unknown, or the input too small.

    Parameters
    ----------
    name : str
    layers : sequence of str
    size_px : int
        Side of the input; 0: the network's own.
    key : str
        Name of the parameter, for the message.

    Raises
    ------
    ParameterError
        Names the parameter and the nearest name.

    Examples
    --------
    >>> check_network("alexnet", ["fc8"])
    Traceback (most recent call last):
    ...
    thesislib.errors.ParameterError: layer of alexnet: found 'fc8' (did you mean 'fc7'?), expected
    one of 27 names
    """
    row = read_networks()[check_option(key, name, read_networks())]
    if not row["layers"]:  # not listed, so the network has to be built (without its weights)
        from thesislib.representations.networks import input_size, layer_widths

        side = size_px or input_size(name)
        layer_widths(name, tuple(layers), side, side)
        return
    for layer in layers:
        check_option(f"layer of {name}", layer, row["layers"].split())
    if 0 < size_px < int(row["min_px"]):
        raise ParameterError(
            f"{name}: found an input of {size_px} px, expected at least {row['min_px']}"
        )


def find_weights(name, weights):
    """File that holds a network's weights.

    ``weights`` is ``"imagenet"`` for the one in the weights folder, else the file itself.

    Raises
    ------
    WeightsError
        If there is none; the message tells how to get it.
    """
    if str(weights) != "imagenet":
        path = Path(weights)
        if not os.path.isfile(path):  # Path.is_file raises for a name that is too long
            raise WeightsError(
                f"weights: found no file {str(path)!r}, expected imagenet, random or a file"
            )
        return path
    folder = weights_folder()
    paths = [folder / f"{stem}.safetensors" for stem in (name, name.replace("-", "_"))]
    for path in paths:
        if path.is_file():
            return path
    fetch = (
        "bring the file there" if name == CAFFE_GOOGLENET else f"run: thesis weights fetch {name}"
    )
    raise WeightsError(
        f"{paths[0]}: found no ImageNet weights of {name}; {fetch}, or pass a file with "
        'weights=PATH, or ask for weights="random"'
    )
