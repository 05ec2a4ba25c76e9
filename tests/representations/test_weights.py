"""Weights are fetched whole or not at all, read as data only, and matched with their network."""

import functools
import hashlib
import http.server
import pickle
import re
import subprocess
import sys
import threading
import zipfile

import pytest
import safetensors
import safetensors.torch
import torch

from thesislib.errors import ParameterError, WeightsError
from thesislib.export.download import DownloadError
from thesislib.export.fetch import fetch_weights
from thesislib.representations import weights as weights_module
from thesislib.representations.network_table import find_weights
from thesislib.representations.weights import (
    hash_weights,
    load_weights,
    network_names,
    read_weights,
    weights_address,
)


class Dangerous:
    """Runs code when it is unpickled."""

    def __init__(self, marker):
        self.marker = str(marker)

    def __reduce__(self):
        return open, (self.marker, "w")


@pytest.fixture
def server(tmp_path):
    """Folder that a web server on this machine serves, its address, and what was asked for."""
    folder, asked = tmp_path / "served", []
    folder.mkdir()

    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_):
            asked.append(self.path)

    serve = functools.partial(Handler, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), serve) as web:
        threading.Thread(target=web.serve_forever, daemon=True).start()
        yield folder, f"http://127.0.0.1:{web.server_port}", asked
        web.shutdown()


@pytest.fixture
def tiny(server, monkeypatch):
    """A small network's weights, served under the name that torchvision would give them."""
    folder, address, asked = server
    shared = torch.arange(12.0).reshape(3, 4)
    state = {"weight": shared.T, "bias": shared[0], "steps": torch.tensor(7)}
    torch.save(state, folder / "raw")
    content = (folder / "raw").read_bytes()
    prefix = hashlib.sha256(content).hexdigest()[:8]
    (folder / f"alexnet-owt-{prefix}.pth").write_bytes(content)
    url = f"http://unreachable.invalid/models/alexnet-owt-{prefix}.pth"
    monkeypatch.setattr(weights_module, "weights_address", lambda name: (url, prefix))
    return state, address, asked


def test_fetched_weights_are_converted_bit_for_bit_and_fetched_once(tiny, tmp_path):
    state, address, asked = tiny
    folder = tmp_path / "weights"
    (path,) = fetch_weights(["alexnet"], folder, base_url=address, progress=False)
    assert path == folder / "alexnet.safetensors"
    assert [p.name for p in folder.iterdir()] == ["alexnet.safetensors"]
    read = read_weights(path)
    assert read.keys() == state.keys()
    assert all(torch.equal(read[name], state[name]) for name in state)
    first, n_asked = hash_weights(path), len(asked)
    fetch_weights(["alexnet"], folder, base_url=address, progress=False)
    assert len(asked) == n_asked == 1
    # A damaged file is no reason to keep it; what comes is the same file, byte for byte.
    path.write_bytes(path.read_bytes()[:40])
    fetch_weights(["alexnet"], folder, base_url=address, progress=False)
    assert hash_weights(path) == first


def test_a_wrong_checksum_leaves_nothing_behind(server, tmp_path):
    folder, address, _ = server
    name = weights_address("squeezenet1_1")[0].rpartition("/")[2]
    (folder / name).write_bytes(b"not what torchvision published")
    target = tmp_path / "weights"
    with pytest.raises(DownloadError, match="expected b8a52dc0"):
        fetch_weights(["squeezenet1_1"], target, base_url=address, progress=False)
    assert list(target.iterdir()) == []


def test_a_published_file_that_is_no_state_leaves_nothing_behind(server, tmp_path, monkeypatch):
    folder, address, _ = server
    marker = tmp_path / "ran"
    content = pickle.dumps(Dangerous(marker), protocol=2)
    prefix = hashlib.sha256(content).hexdigest()[:8]
    (folder / f"alexnet-{prefix}.pth").write_bytes(content)
    source = (f"http://unreachable.invalid/alexnet-{prefix}.pth", prefix)
    monkeypatch.setattr(weights_module, "weights_address", lambda name: source)
    with pytest.raises(WeightsError, match=r"found a pickle \(reading it would run io open\)"):
        fetch_weights(["alexnet"], tmp_path / "weights", base_url=address, progress=False)
    assert list((tmp_path / "weights").iterdir()) == []
    assert not marker.exists()


def test_names_are_checked_before_the_first_transfer(server, tmp_path):
    _, address, asked = server
    with pytest.raises(ParameterError, match=r"found 'alexnett'.*did you mean 'alexnet'"):
        fetch_weights(["vgg16", "alexnett"], tmp_path, base_url=address)
    with pytest.raises(WeightsError, match=r"googlenet-bvlc.*pass it with weights=PATH.*104, 117"):
        fetch_weights(["vgg16", "googlenet-bvlc"], tmp_path, base_url=address)
    assert asked == []


def test_every_network_has_an_address_with_a_checksum():
    for name in network_names():
        if name != "googlenet-bvlc":
            url, prefix = weights_address(name)
            assert url.startswith("https://") and len(prefix) >= 8
    # The version the thesis used, not a later recipe's.
    assert weights_address("resnet50")[1] == "0676ba61"


def test_missing_weights_say_how_to_get_them(tmp_path, monkeypatch):
    monkeypatch.setenv("THESIS_WEIGHTS", str(tmp_path))
    with pytest.raises(WeightsError, match=r"thesis weights fetch vgg19.*PATH.*\"random\""):
        find_weights("vgg19", "imagenet")
    with pytest.raises(WeightsError, match=r"googlenet-bvlc.safetensors: .*bring the file there"):
        find_weights("googlenet-bvlc", "imagenet")
    with pytest.raises(WeightsError, match="found no file 'imagnet', expected imagenet, random"):
        find_weights("vgg19", "imagnet")
    for name in ("vgg19", "googlenet_bvlc"):
        (tmp_path / f"{name}.safetensors").touch()
    assert find_weights("vgg19", "imagenet").name == "vgg19.safetensors"
    assert find_weights("googlenet-bvlc", "imagenet").name == "googlenet_bvlc.safetensors"


@pytest.mark.parametrize("name", ["w.pth", "w.pt", "w.safetensors", "w.pkl"])
def test_a_pickle_is_refused_and_does_not_run(tmp_path, name):
    path, marker = tmp_path / name, tmp_path / "ran"
    path.write_bytes(pickle.dumps(Dangerous(marker), protocol=2))
    with pytest.raises(WeightsError, match=rf"{name}: found a pickle.*expected"):
        read_weights(path)
    assert not marker.exists()


def test_damaged_files_are_named(tmp_path):
    whole = tmp_path / "whole.safetensors"
    safetensors.torch.save_file({"w": torch.zeros(100)}, whole)
    cut = tmp_path / "cut.safetensors"
    cut.write_bytes(whole.read_bytes()[:-7])
    with pytest.raises(WeightsError, match=r"cut.safetensors: found a damaged.*whole"):
        read_weights(cut)
    torch.save({"w": torch.zeros(100)}, tmp_path / "whole.pth")
    (tmp_path / "cut.pth").write_bytes((tmp_path / "whole.pth").read_bytes()[:-200])
    with pytest.raises(WeightsError, match=r"cut.pth: found a torch or zip archive"):
        read_weights(tmp_path / "cut.pth")
    torch.save({"epoch": 3, "model": {"w": torch.zeros(2)}}, tmp_path / "run.pth")
    with pytest.raises(WeightsError, match=r"run.pth: found .* \(a dict of other things\)"):
        read_weights(tmp_path / "run.pth")


@pytest.mark.parametrize("is_zip", [True, False])
def test_files_of_every_torch_are_read(tmp_path, is_zip):
    net = torch.nn.Sequential(torch.nn.Conv2d(1, 2, 3), torch.nn.BatchNorm2d(2))
    state = net.state_dict() | {"1.bias": torch.nn.Parameter(torch.arange(4.0)[::2])}
    path = tmp_path / "net.pt"
    torch.save(state, path, _use_new_zipfile_serialization=is_zip)
    read = read_weights(path)
    assert all(torch.equal(read[name], state[name]) for name in state)
    load_weights(net, "tiny", path)
    assert net[1].bias.tolist() == [0.0, 2.0]


def test_weights_of_another_network_are_listed(tmp_path):
    model = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.Linear(2, 2), torch.nn.Linear(2, 2))
    before = {key: value.clone() for key, value in model.state_dict().items()}
    state = {"0.weight": torch.zeros(2, 4), "0.bias": torch.zeros(2), "conv1": torch.zeros(1)}
    path = tmp_path / "other.safetensors"
    safetensors.torch.save_file(state, path)
    with pytest.raises(WeightsError) as caught:
        load_weights(model, "tiny", path)
    assert str(caught.value) == (
        f"{path}: found no weights of tiny: 4 missing (1.weight, 1.bias, 2.weight, ...); "
        "1 unexpected (conv1); 1 of another shape (0.weight: found (2, 4), expected (2, 3))"
    )
    after = model.state_dict()
    assert all(torch.equal(before[key], after[key]) for key in before)


def test_the_hash_follows_the_content(tmp_path):
    path = tmp_path / "w.safetensors"
    path.write_bytes(b"one")
    assert hash_weights(path) == hashlib.sha256(b"one").hexdigest()
    path.write_bytes(b"another")
    assert hash_weights(path) == hashlib.sha256(b"another").hexdigest()


class Allocates:
    """Takes a gigabyte when it is unpickled, without running any code."""

    def __reduce__(self):
        return bytearray, (10**9,)


def shared(shape, strides):
    return torch.zeros(4).as_strided(shape, strides)


#: Name of a file to its tensors, or its content, and what the error names.
HOSTILE = {
    "sparse.pth": ({"w": torch.eye(2).to_sparse()}, "_rebuild_sparse_tensor"),
    "endless.pth": ({"w": shared((10**6, 10**6), (0, 0))}, "4000000000000 bytes of tensors"),
    "repeated.pth": (
        {str(i): shared((4,), (1,)) for i in range(1000)},
        "bytes of tensors|expected",
    ),
    "integer_keys.pth": ({0: torch.ones(2)}, "a name of type int"),
    "complex.pth": ({"w": torch.ones(2, dtype=torch.complex64)}, "w: torch.complex64"),
    "complex.safetensors": ({"w": torch.ones(2, dtype=torch.complex64)}, "w: torch.complex64"),
    "nan.pth": ({"weight": torch.full((2, 3), torch.nan), "bias": torch.ones(2)}, "weight: .*NaN"),
    "nan.safetensors": ({"weight": torch.ones(2, 3), "bias": torch.full((2,), torch.nan)}, "bias"),
    "inf.pth": ({"weight": torch.ones(2, 3).double() * 1e300, "bias": torch.ones(2)}, "infinite"),
    "whole.pth": ({"weight": torch.ones(2, 3).long(), "bias": torch.ones(2)}, "1 of another type"),
    "names.pth": ({"a\n\x1b[31m" + "b" * 999: torch.ones(2)}, r"a\\n\\x1b\[31mb+\)"),
    "allocates.pth": (pickle.dumps(Allocates(), protocol=2), "bytearray"),
    "nested.pth": ([torch.ones(2)], "a list of other things"),
    "pointer.pth": (b"version https://git-lfs.github.com/spec/v1\noid sha256:0", "Git LFS"),
    "pointer.safetensors": (b"version https://git-lfs.github.com/spec/v1\n", "Git LFS"),
    "page.pth": (b"\n<!DOCTYPE html>\n<html>", "a web page"),
    "page.safetensors": (b"<html><body>Not found</body></html>", "a web page"),
    "empty.pth": (b"", "an empty file"),
    "empty.safetensors": (b"", "an empty file"),
    "gap.pth": (10**9, "expected at most"),
    "gap.safetensors": (10**9, "expected at most"),
}
LOAD_ALL = """
import resource, sys, torch, pathlib
from thesislib.errors import WeightsError
from thesislib.representations.weights import load_weights

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

before = peak()
for path in sorted(pathlib.Path(sys.argv[1]).iterdir()):
    try:
        load_weights(torch.nn.Linear(3, 2), "tiny", path)
    except WeightsError as error:
        print(path.name, peak() - before, error)
"""


def test_hostile_weights_are_one_line_each_and_take_no_memory(tmp_path):
    for name, (content, _) in HOSTILE.items():
        path = tmp_path / name
        if isinstance(content, bytes):
            path.write_bytes(content)
        elif isinstance(content, int):
            with open(path, "wb") as file:
                file.truncate(content)
        elif path.suffix == ".safetensors":
            safetensors.torch.save_file(content, path)
        else:
            torch.save(content, path)
    torch.save({"weight": torch.ones(2, 3), "bias": torch.ones(2)}, tmp_path / "whole")
    with zipfile.ZipFile(tmp_path / "whole") as whole:
        contents = {name: whole.read(name) for name in whole.namelist()}
    with zipfile.ZipFile(tmp_path / "bomb.pth", "w", zipfile.ZIP_DEFLATED) as bomb:
        for name, content in contents.items():
            bomb.writestr(name, bytes(200 << 20) if "/data/" in name else content)
    (tmp_path / "whole").unlink()
    (tmp_path / "folder.pth").mkdir()
    expected = {name: pattern for name, (_, pattern) in HOSTILE.items()}
    expected |= {"bomb.pth": r"unpack to 4\d{8} bytes", "folder.pth": "found a folder"}
    child = subprocess.run(
        [sys.executable, "-c", LOAD_ALL, str(tmp_path)], capture_output=True, text=True
    )
    assert child.returncode == 0, child.stderr
    lines = dict(line.split(" ", 1) for line in child.stdout.splitlines())
    assert lines.keys() == expected.keys()
    for name, line in lines.items():
        kilobytes, message = line.split(" ", 1)
        assert int(kilobytes) < 64_000, name
        assert re.search(expected[name], message.replace(str(tmp_path), "")), line
        assert len(message) < 700
