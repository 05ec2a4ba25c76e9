"""ImageNet weights: where they are, how they are read, how they are fetched (thesis 4.2.2).

A file of weights is data, and is read as data: safetensors, or torch's own format with
``weights_only``, which runs no code. The networks' weights are those that torchvision names;
each is checked against the beginning of its SHA-256, which its file name carries, and kept as
safetensors in the weights folder (``data/weights``, or what ``THESIS_WEIGHTS`` names). The Caffe
GoogLeNet has no address there: its file is the user's to bring, see
:class:`~thesislib.representations.networks.CaffeGoogLeNet` for keys and input.
"""

import functools
import re
from pathlib import Path

import safetensors
import safetensors.torch
import torch

from thesislib.corpora.download import fetch_file
from thesislib.errors import WeightsError, check_option
from thesislib.places import weights_folder
from thesislib.representations.network_table import CAFFE_GOOGLENET
from thesislib.representations.torchvision_guard import torchvision
from thesislib.store import hash_file, write_atomically

_SUFFIXES = (".safetensors", ".pth", ".pt")


def network_names():
    """Names of all networks: torchvision's classifiers and the Caffe GoogLeNet.

    Examples
    --------
    >>> {"alexnet", "vgg16", "vgg19", "googlenet", "googlenet-bvlc"} <= set(network_names())
    True
    """
    return [*torchvision.models.list_models(module=torchvision.models), CAFFE_GOOGLENET]


def published_weights(name):
    """The entry of torchvision's list of weights that ``name`` stands for.

    The first version trained on ImageNet-1k, as the thesis and DeepSpectrum used; the default
    entry of a network that has no such version.
    """
    entries = torchvision.models.get_model_weights(name)
    return entries.__members__.get("IMAGENET1K_V1") or entries.DEFAULT


def weights_address(name):
    """Address of a network's ImageNet weights, and the first digits of their SHA-256.

    Raises
    ------
    ParameterError
        If there is no such network.
    WeightsError
        For the Caffe GoogLeNet, which nobody offers at a lasting address.

    Examples
    --------
    >>> weights_address("alexnet")[1]
    '7be5be79'
    """
    check_option("network", name, network_names())
    if name == CAFFE_GOOGLENET:
        raise WeightsError(
            f"{name}: found no address to fetch the Caffe weights from, expected a file of yours: "
            f"pass it with weights=PATH or put it at {name}.safetensors in the weights folder "
            "(keys conv1/7x7_s2.weight ... loss3/classifier.bias, trained on BGR 0..255 minus "
            "104, 117, 123)"
        )
    url = published_weights(name).url
    return url, re.search(r"-([0-9a-f]{8,64})\.pth$", url).group(1)


def fetch_weights(names, folder=None, *, base_url=None, progress=True):
    """Fetch ImageNet weights, check them, and keep them as safetensors.

    Parameters
    ----------
    names : list of str
        Networks, by torchvision's names.
    folder : str or Path, optional
        The weights folder by default.
    base_url : str, optional
        Address of a folder that holds the same files, in place of torchvision's.
    progress : bool
        Show a progress bar.

    Returns
    -------
    list of Path
        ``NAME.safetensors``, one a network, whole and checked. A file that an earlier call
        fetched from the same address is kept.

    Raises
    ------
    ParameterError, WeightsError
        If a name is unknown or has no address; before the first transfer.
    DownloadError
        If the file cannot be fetched or is not the one torchvision names; nothing stays.
    """
    folder = Path(folder) if folder is not None else weights_folder()
    addresses = {name: weights_address(name) for name in names}
    paths = []
    for name, (url, sha256_prefix) in addresses.items():
        target = folder / f"{name}.safetensors"
        file_name = url.rpartition("/")[2]
        if _source(target) != file_name:
            if base_url is not None:
                url = f"{base_url.rstrip('/')}/{file_name}"
            download = fetch_file(
                url, folder / file_name, sha256_prefix=sha256_prefix, progress=progress
            )
            try:
                state = _read_torch(download)
                with write_atomically(target) as temporary:
                    # One entry only: of several, safetensors does not keep the order.
                    safetensors.torch.save_file(state, temporary, metadata={"source": file_name})
            finally:
                download.unlink()
        paths.append(target)
    return paths


def _source(path):
    """File that ``path`` was converted from; None if it is absent or damaged."""
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            return (file.metadata() or {}).get("source")
    except (OSError, safetensors.SafetensorError):
        return None


def hash_weights(path):
    """SHA-256 of a weights file, computed again only if the file changes."""
    stat = Path(path).stat()
    return _hash(str(Path(path).resolve()), stat.st_size, stat.st_mtime_ns)


@functools.lru_cache(maxsize=64)
def _hash(path, size, mtime_ns):
    return hash_file(path)


def read_weights(path):
    """Tensors by name, of a ``.safetensors`` file, or a ``.pth`` or ``.pt`` of tensors only.

    Raises
    ------
    WeightsError
        If the file is of another kind, damaged, or a pickle that would run code.
    """
    path = Path(path)
    if path.suffix not in _SUFFIXES:
        raise WeightsError(
            f"{path}: found {_kind(path)}, expected a file that ends in {', '.join(_SUFFIXES)}"
        )
    return _read_safetensors(path) if path.suffix == ".safetensors" else _read_torch(path)


def load_weights(model, name, path):
    """Set all parameters and buffers of a model of network ``name`` from a file.

    Raises
    ------
    WeightsError
        As `read_weights`, and if the file is of another network: names some of the keys that
        are missing, unexpected or of another shape.
    """
    state, expected = read_weights(path), model.state_dict()
    if name in ("googlenet", "inception_v3"):  # side classifiers, which are for training
        state = {k: v for k, v in state.items() if not k.startswith(("aux", "AuxLogits"))}
    if name.startswith("densenet"):  # files of 2017: norm.1 for norm1
        state = {re.sub(r"\.(norm|conv)\.(\d)", r".\1\2", k): v for k, v in state.items()}
    problems = {
        "missing": [
            # Counted in training only, and absent from files of 2017.
            k
            for k in expected
            if k not in state and not k.endswith("num_batches_tracked")
        ],
        "unexpected": [k for k in state if k not in expected],
        "of another shape": [
            f"{k}: found {tuple(state[k].shape)}, expected {tuple(tensor.shape)}"
            for k, tensor in expected.items()
            if k in state and state[k].shape != tensor.shape
        ],
    }
    listed = [
        f"{len(keys)} {what} ({', '.join(keys[:3])}{', ...' if len(keys) > 3 else ''})"
        for what, keys in problems.items()
        if keys
    ]
    if listed:
        raise WeightsError(f"{path}: found no weights of {name}: {'; '.join(listed)}")
    with torch.no_grad():
        for key, tensor in expected.items():  # they share memory with the model's own
            tensor.copy_(state[key]) if key in state else tensor.zero_()


def _read_safetensors(path):
    try:
        return safetensors.torch.load_file(path)
    except (safetensors.SafetensorError, OSError) as error:
        raise WeightsError(
            f"{path}: found {_kind(path)} ({error}), expected safetensors, whole"
        ) from error


def _read_torch(path):
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # whatever a damaged file makes torch stumble over
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise WeightsError(
            f"{path}: found {_kind(path)} that cannot be read as mere tensors ({reason:.160}), "
            "expected weights saved with torch.save(model.state_dict()); other pickles are "
            "refused because reading one runs the code in it"
        ) from error
    if not isinstance(state, dict) or not all(torch.is_tensor(v) for v in state.values()):
        raise WeightsError(
            f"{path}: found a {type(state).__name__} of other things, expected tensors by name"
        )
    # Tensors that share memory, or are views, cannot be stored as safetensors.
    return {name: tensor.detach().clone().contiguous() for name, tensor in state.items()}


def _kind(path):
    """What a file looks like, from its first bytes."""
    with open(path, "rb") as file:
        head = file.read(4)
    if head[:1] == b"\x80":
        return "a pickle"
    if head == b"PK\x03\x04":
        return "a torch or zip archive"
    return "a damaged or unknown file"
