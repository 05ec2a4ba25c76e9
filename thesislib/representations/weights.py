"""ImageNet weights: where they are and how they are read (thesis 4.2.2).

A file of weights is data, and is read as data: safetensors, or torch's own format with
``weights_only``, which runs no code. The networks' weights are those that torchvision names;
each is checked against the beginning of its SHA-256, which its file name carries, and kept as
safetensors in the weights folder (``data/weights``, or what ``THESIS_WEIGHTS`` names). The Caffe
GoogLeNet has no address there: its file is the user's to bring, see
:class:`~thesislib.representations.networks.CaffeGoogLeNet` for keys and input.
"""

import functools
import pickletools
import re
import zipfile
from pathlib import Path

import safetensors
import safetensors.torch
import torch

from thesislib.errors import WeightsError, check_option
from thesislib.representations.network_table import CAFFE_GOOGLENET
from thesislib.representations.torchvision_guard import torchvision
from thesislib.store import find_stub, hash_file
from thesislib.training import check_readable, read_tensors

_SUFFIXES = (".safetensors", ".pth", ".pt")
_REAL = (torch.float64, torch.float32, torch.float16, torch.bfloat16)
_WHOLE = (torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8, torch.bool)
# All that torch.save writes for a dictionary of dense tensors; other names in a pickle can take
# memory (bytearray) or make tensors of other kinds.
_IN_PICKLES = re.compile(
    r"collections OrderedDict|torch\._utils _rebuild_(tensor|tensor_v2|parameter)|torch \w+Storage"
)


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


def hash_weights(path):
    """SHA-256 of a weights file, computed again only if the file changes."""
    check_readable(path)
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
        If the file is of another kind, damaged, or a pickle that would run code, or a tensor is
        not dense, real and finite.
    """
    state = _open_weights(path)
    for name, tensor in state.items():
        _check_finite(path, name, tensor)
    return state


def load_weights(model, name, path):
    """Set all parameters and buffers of a model of network ``name`` from a file.

    Raises
    ------
    WeightsError
        As `read_weights`, and if the file is of another network: names some of the keys that
        are missing, unexpected or of another shape.
    """
    expected = model.state_dict()
    n_bytes = sum(tensor.nbytes for tensor in expected.values())
    # Of double precision, and with side classifiers, it is four times as large.
    state = _open_weights(path, n_bytes_at_most=8 * n_bytes + (1 << 20))
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
        "of another type": [
            f"{k}: found {state[k].dtype}, expected {tensor.dtype}"
            for k, tensor in expected.items()
            if k in state and state[k].is_floating_point() != tensor.is_floating_point()
        ],
    }
    listed = [
        f"{len(keys)} {what} ({', '.join(map(_show, keys[:3]))}{', ...' if len(keys) > 3 else ''})"
        for what, keys in problems.items()
        if keys
    ]
    if listed:
        raise WeightsError(f"{path}: found no weights of {name}: {'; '.join(listed)}")
    with torch.no_grad():
        for key, tensor in expected.items():  # they share memory with the model's own
            tensor.copy_(state[key]) if key in state else tensor.zero_()
            _check_finite(path, key, tensor)


def _open_weights(path, n_bytes_at_most=None):
    """Tensors by name, which are read from the disk as they are used; checked but for values."""
    check_readable(path)
    path = Path(path)
    size, kind = path.stat().st_size, _kind(path)
    try:
        if path.suffix not in _SUFFIXES:
            raise ValueError(f"expected a file that ends in {', '.join(_SUFFIXES)}")
        if n_bytes_at_most is not None and size > n_bytes_at_most:
            raise ValueError(f"{size} bytes, expected at most {n_bytes_at_most}")
        read = _read_safetensors if path.suffix == ".safetensors" else _read_torch
        state = read(path)
        _check_state(state, size)
    except WeightsError:
        raise
    except Exception as error:  # whatever a damaged file makes torch stumble over
        reason = _show((str(error) or type(error).__name__).splitlines()[0], 160)
        raise WeightsError(
            f"{path}: found {kind} ({reason}), expected dense, real tensors by name, whole: "
            "safetensors, or what torch.save(model.state_dict()) writes"
        ) from error
    return state


def _check_state(state, size):
    """Raise ValueError if a state is not one of dense, real tensors that fit into a file."""
    if not isinstance(state, dict) or not all(map(torch.is_tensor, state.values())):
        raise ValueError(f"a {type(state).__name__} of other things")
    for name, tensor in state.items():
        if not isinstance(name, str):
            raise ValueError(f"a name of type {type(name).__name__}")
        if tensor.layout != torch.strided or tensor.dtype not in _REAL + _WHOLE:
            raise ValueError(f"{_show(name)}: {tensor.dtype}, {tensor.layout}")
    n_bytes = sum(tensor.numel() * tensor.element_size() for tensor in state.values())
    if n_bytes > 2 * size:  # twice: tensors may share memory
        raise ValueError(f"{n_bytes} bytes of tensors in a file of {size}")


def _check_finite(path, name, tensor):
    if not torch.isfinite(tensor).all():
        raise WeightsError(f"{path}: {_show(name)}: found NaN or infinite values")


def _show(text, length=80):
    """Text of a file in one line, of a limited length."""
    return text[:length].encode("unicode_escape").decode()


def _read_safetensors(path):
    with safetensors.safe_open(path, framework="pt") as file:
        is_ours = "thesislib" in (file.metadata() or {})
    return read_tensors(path)[0] if is_ours else safetensors.torch.load_file(path)


def _read_torch(path):
    """State in a file of torch.save, after looking at what would take memory or run code."""
    is_archive = zipfile.is_zipfile(path)
    if is_archive:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
            n_bytes = sum(member.file_size for member in members)
            # torch.save does not compress, so a whole file is at least as large.
            if n_bytes > path.stat().st_size or any(member.compress_type for member in members):
                raise ValueError(f"compressed members, which unpack to {n_bytes} bytes")
            if damaged := archive.testzip():
                raise ValueError(f"damaged at {damaged}")
            for name in archive.namelist():
                if name.endswith("data.pkl"):
                    with archive.open(name) as file:
                        _check_pickle(file)
    else:
        with open(path, "rb") as file:
            for _ in range(5):  # of torch before 1.6: the fourth is the state
                _check_pickle(file)
    return torch.load(path, map_location="cpu", weights_only=True, mmap=is_archive)


def _check_pickle(file):
    for opcode, argument, _ in pickletools.genops(file):
        if opcode.name == "GLOBAL" and not _IN_PICKLES.fullmatch(argument):
            raise ValueError(f"reading it would run {argument}")


def _kind(path):
    """What a file looks like, from its first bytes."""
    with open(path, "rb") as file:
        head = file.read(200)
    if stub := find_stub(head):
        return f"{stub[0]} ({stub[1]})"
    kinds = {b"": "an empty file", b"\x80": "a pickle", b"PK\3\4": "a torch or zip archive"}
    return kinds.get(head[:1], kinds.get(head[:4], "a damaged or unknown file"))
