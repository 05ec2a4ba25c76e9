"""The feature store: whole entries or none, whatever happens."""

import errno
import fcntl
import io
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
import warnings
import zipfile
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy
import soundfile
import torch

from thesislib.errors import StoreError
from thesislib.store import (
    FeatureStore,
    _end,
    _hash,
    hash_file,
    hash_parameters,
    lock,
    make_temporary,
    write_atomically,
)


def test_what_is_put_comes_back_bit_by_bit(tmp_path, rng):
    store = FeatureStore(tmp_path)
    features = rng.normal(size=(3, 5)).astype(np.float32)
    store.put("ab" * 32, {"features": features})
    found = store.get("ab" * 32)["features"]
    assert found.dtype == np.float32
    assert found.tobytes() == features.tobytes()


def test_an_entry_can_be_opened_without_this_library(tmp_path):
    store = FeatureStore(tmp_path)
    store.put("cd" * 32, {"features": np.ones((1, 2), np.float32)})
    with zipfile.ZipFile(store.path("cd" * 32)) as archive:
        assert archive.namelist() == ["features.npy"]


def test_equal_contents_give_equal_files(tmp_path):
    one, two = FeatureStore(tmp_path / "1"), FeatureStore(tmp_path / "2")
    for store in (one, two):
        store.put("ee" * 32, {"features": np.arange(6.0, dtype=np.float32)})
    assert hash_file(one.path("ee" * 32)) == hash_file(two.path("ee" * 32))


@pytest.mark.parametrize("damage", ["truncate", "flip", "empty", "text"])
def test_a_damaged_entry_is_reported_and_treated_as_absent(tmp_path, damage, rng):
    store = FeatureStore(tmp_path)
    key = "0f" * 32
    store.put(key, {"features": rng.normal(size=(50, 50)).astype(np.float32)})
    path = store.path(key)
    content = bytearray(path.read_bytes())
    if damage == "truncate":
        content = content[: len(content) // 2]
    elif damage == "flip":
        content[len(content) // 2] ^= 1
    elif damage == "empty":
        content = b""
    else:
        content = b"no archive at all"
    path.write_bytes(content)
    with pytest.warns(UserWarning, match="damaged entry"):
        assert store.get(key) is None
    store.put(key, {"features": np.zeros((1, 1), np.float32)})
    assert store.get(key)["features"].shape == (1, 1)


def test_a_pickle_in_an_entry_is_not_loaded(tmp_path):
    store = FeatureStore(tmp_path)
    store.put("aa" * 32, {"features": np.array([{"a": 1}], dtype=object)})
    with pytest.warns(UserWarning, match="damaged entry"):
        assert store.get("aa" * 32) is None


def other_files(path, key):
    """Put something else in the place of an entry; the name of each kind."""
    whole, other = path.read_bytes(), FeatureStore(path.parents[1] / "other")
    other.put("cc" * 32, {"features": np.ones(3)})
    copy = other.path("cc" * 32)
    huge = io.BytesIO()
    header = {"descr": "<f8", "fortran_order": False, "shape": (10**13,)}
    np.lib.format.write_array_header_1_0(huge, header)

    def seal(write, **options):
        file = io.BytesIO()
        with zipfile.ZipFile(file, "w", **options) as archive:
            write(archive)
        content = file.getvalue()[:-2] + _end(key)
        return content + _hash(content)

    yield "copy", lambda: path.write_bytes(copy.read_bytes())
    yield "link to another", lambda: path.symlink_to(copy)
    yield "link to itself", lambda: path.symlink_to(path)
    yield "pipe", lambda: os.mkfifo(path)
    yield "bare", lambda: np.save(path.open("wb"), np.ones(3))
    yield "no key", lambda: np.savez(path.open("wb"), features=np.ones(3))
    yield "cut", lambda: path.write_bytes(whole[:-30])
    yield (
        "huge",
        lambda: path.write_bytes(seal(lambda z: z.writestr("features.npy", huge.getvalue()))),
    )
    yield (
        "bomb",
        lambda: path.write_bytes(
            seal(
                lambda z: z.writestr("features.npy", bytes(10**6)),
                compression=zipfile.ZIP_DEFLATED,
            )
        ),
    )


@pytest.mark.filterwarnings("ignore:.*damaged entry")
def test_what_is_no_entry_of_the_key_is_computed_again(tmp_path):
    store, key, value = FeatureStore(tmp_path / "store"), "0a" * 32, {"features": np.zeros(2)}
    assert store.remember(key, lambda: value) is value
    for name, replace in other_files(store.path(key), key):
        store.path(key).unlink()
        replace()
        assert store.get(key) is None, name
        assert store.remember(key, lambda: value) is value
        assert np.array_equal(store.remember(key, lambda: 1 / 0)["features"], value["features"])
    assert FeatureStore(tmp_path / "store" / "other").get("cc" * 32) is not None


def test_a_failed_write_leaves_the_old_file_and_no_scrap(tmp_path):
    target = tmp_path / "table.csv"
    target.write_text("old")
    with pytest.raises(RuntimeError, match="half way"), write_atomically(target) as temporary:
        temporary.write_text("ne")
        raise RuntimeError("half way")
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_a_full_disk_names_the_file(tmp_path):
    with pytest.raises(StoreError, match=r"table\.csv: cannot be written \(No space left"):
        with write_atomically(tmp_path / "table.csv"):
            raise OSError(28, "No space left on device")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
@pytest.mark.parametrize(
    "write",
    [
        lambda path: soundfile.write(path, np.zeros(100_000), 8000, format="WAV"),
        lambda path: torch.save(torch.zeros(100_000), path),
        lambda path: safetensors.numpy.save_file({"a": np.zeros(100_000)}, path / "no folder"),
    ],
)
def test_errors_of_other_writers_name_the_file(tmp_path, write):
    with pytest.raises(StoreError, match=r"out: cannot be written \("):
        with write_atomically(tmp_path / "out") as temporary:
            temporary.unlink()
            temporary.symlink_to("/dev/full")
            write(temporary)
    assert list(tmp_path.iterdir()) == []


def test_temporary_files_of_dead_processes_alone_are_removed(tmp_path):
    code = (
        "import os, sys; from thesislib.store import make_temporary\n"
        "print(make_temporary(sys.argv[1]), make_temporary(sys.argv[1], folder=True), flush=True)\n"
        "sys.stdin.read()\nos._exit(1)"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "table.csv")]
    processes = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) for _ in range(2)
    ]
    names = [set(process.stdout.readline().decode().split()) for process in processes]
    processes[0].communicate()
    other = tmp_path / ".table-00000000-1-abcdefgh.csv"  # of another machine
    other.touch()
    mine = make_temporary(tmp_path / "table.csv")
    assert {str(path) for path in tmp_path.iterdir()} == names[1] | {str(other), str(mine)}
    processes[1].communicate()
    assert os.stat(mine).st_mode & 0o777 == 0o666 & ~_umask()


def _umask():
    mask = os.umask(0)
    os.umask(mask)
    return mask


def test_a_lock_excludes_others_and_leaves_nothing(tmp_path):
    inside, waits = [], []

    def work():
        with lock(tmp_path / "out") as waited:
            inside.append(1)
            assert len(inside) == 1
            time.sleep(0.02)
            inside.pop()
            waits.append(waited)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(waits) == 8
    assert not all(waits)
    assert list(tmp_path.iterdir()) == []


def test_the_lock_of_a_killed_process_is_free(tmp_path):
    code = (
        "import os, sys, time; from thesislib.store import lock\n"
        "with lock(sys.argv[1]):\n    print('in', flush=True)\n    time.sleep(600)"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "out")]
    holder = subprocess.Popen(command, stdout=subprocess.PIPE)
    holder.stdout.readline()
    holder.kill()
    holder.wait()
    with lock(tmp_path / "out") as waited:
        assert not waited
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("code", [errno.ENOLCK, errno.EIO, errno.ENOSYS])
def test_a_file_system_without_locks_gives_one_remark(tmp_path, monkeypatch, code):
    def refuse(*_):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(fcntl, "flock", refuse)
    with warnings.catch_warnings(record=True) as remarks:
        warnings.simplefilter("always")
        with lock(tmp_path / "out") as waited:
            assert not waited
    assert [str(remark.message).split(" (")[0] for remark in remarks] == [
        f"{tmp_path}: found a file system without locks"
    ]
    assert list(tmp_path.iterdir()) == []


def test_a_lock_in_the_place_of_a_folder_names_the_path(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match=r"^\S+file/out: cannot be written \(a file stands where"):
        with lock(tmp_path / "file" / "out"):
            pass


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="there is no /proc")
def test_a_folder_that_takes_no_files_does_not_make_a_lock_wait_for_ever():
    with pytest.raises(StoreError, match=r"^/proc/out: cannot be written \("):
        with lock("/proc/out"):
            pass


def _write_for_ever(root):
    store = FeatureStore(root)
    for count in range(10_000):
        store.put("bb" * 32, {"features": np.full((200, 200), count, np.float32)})


def test_a_killed_writer_leaves_whole_entries(tmp_path):
    process = multiprocessing.get_context("spawn").Process(target=_write_for_ever, args=(tmp_path,))
    process.start()
    store = FeatureStore(tmp_path)
    deadline = time.monotonic() + 60
    while not store.path("bb" * 32).exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    time.sleep(0.1)
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    found = store.get("bb" * 32)["features"]
    assert len(np.unique(found)) == 1


def test_keys_tell_values_apart_and_refuse_the_ambiguous():
    assert hash_parameters({"a": 1}) != hash_parameters({"a": 2})
    assert hash_parameters({"a": 1}) != hash_parameters({"b": 1})
    with pytest.raises(ValueError, match="JSON"):
        hash_parameters({"a": float("nan")})
    with pytest.raises(TypeError, match="serializable"):
        hash_parameters({"a": np.zeros(3)})
