"""A full disk and a read-only results folder: a clear error, and what is there stays valid."""

import subprocess

import numpy as np
import pandas as pd
import pytest
import torch

from thesislib.compendium.run import execute_notebook
from thesislib.errors import StoreError, ThesisError
from thesislib.reporting.tables import write_table
from thesislib.representations.s2sae import S2SAE
from thesislib.store import FeatureStore
from thesislib.training import read_tensors, train, write_tensors


@pytest.fixture
def small_disk(mount_disk):
    return mount_disk(256)


def test_a_full_disk_is_named_and_what_is_there_stays_valid(small_disk):
    store = FeatureStore(small_disk / "store")
    features = np.arange(4096, dtype=np.float32)[None]
    keys = [f"{i:02x}" * 32 for i in range(40)]
    with pytest.raises(StoreError, match=r"\.npz: cannot be written \(No space left on device\)"):
        for key in keys:
            store.put(key, {"features": features})
    whole = [store.get(key) for key in keys if store.path(key).exists()]
    assert len(whole) >= 5
    assert all(np.array_equal(entry["features"], features) for entry in whole)
    assert not [path for path in small_disk.rglob("*") if path.name.startswith(".")]


def test_a_full_disk_leaves_the_old_table(small_disk):
    table = pd.DataFrame({"uar": [1.0]})
    write_table(table, "9.9", small_disk, caption="")
    before = (small_disk / "table_9_9.csv").read_bytes()
    large = pd.DataFrame({"uar": np.random.default_rng(0).normal(size=20_000)})
    with pytest.raises(StoreError, match=r"table_9_9\.csv: cannot be written"):
        write_table(large, "9.9", small_disk, caption="")
    assert (small_disk / "table_9_9.csv").read_bytes() == before


def test_a_read_only_results_folder_is_refused_before_a_kernel_starts(small_disk):
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    with pytest.raises(StoreError, match=r"disk.*cannot be written"):
        execute_notebook("10_2_snore", {"results": str(small_disk)})
    with pytest.raises(StoreError, match="cannot be written"):
        write_table(pd.DataFrame({"a": [1]}), "9.9", small_disk, caption="")


def train_with(path):
    point = torch.nn.Linear(1, 1)
    train(
        point,
        lambda _: {"loss": point.weight.sum() ** 2},
        lambda _: [None],
        n_epochs=1,
        optimisers={"sgd": torch.optim.SGD(point.parameters(), 0.1)},
        seed=0,
        checkpoint=path,
    )


WRITERS = {
    "checkpoint": train_with,
    "model": lambda path: S2SAE(1, 1, n_epochs=0).fit(np.zeros((1, 2, 2))).save(path),
    "weights": lambda path: write_tensors(path, {"w": torch.ones(10)}, {}),
    "entry": lambda path: FeatureStore(path.parent).put(path.name, {"x": np.ones(10)}),
}


def check_failure(write, path, reason):
    """An error in one line that names the file, and no new file on the disk."""

    def files():
        return sorted(p for p in path.parent.parent.rglob("*") if not p.is_dir())

    before = files()
    with pytest.raises(ThesisError, match=reason) as caught:
        write(path)
    message = str(caught.value)
    assert path.name[:20] in message and "\n" not in message
    assert files() == before


@pytest.mark.parametrize("kind", WRITERS)
def test_files_and_folders_in_the_way_and_long_names(tmp_path, kind):
    write = WRITERS[kind]
    (tmp_path / "file").touch()
    check_failure(write, tmp_path / "file" / "ab", "cannot be written|cannot be read")
    check_failure(write, tmp_path / ("ab" * 200), "File name too long")
    taken = tmp_path / "ab" / "ab.npz" if kind == "entry" else tmp_path / "ab"
    taken.mkdir(parents=True)
    check_failure(write, tmp_path / "ab", "Is a directory|found a folder")


@pytest.mark.parametrize("kind", WRITERS)
@pytest.mark.parametrize("fault", ["full", "read-only", "denied"])
def test_a_disk_that_cannot_be_written(small_disk, kind, fault, monkeypatch):
    write, path = WRITERS[kind], small_disk / "ab.safetensors"
    write_tensors(small_disk / "old", {"w": torch.ones(10)}, {})
    FeatureStore(small_disk).path(path.name).parent.mkdir()
    if fault == "full":
        with pytest.raises(OSError, match="No space"), open(small_disk / "rest", "wb") as file:
            for _ in range(1000):
                file.write(bytes(4096))
        reason = "No space left on device"
    elif fault == "read-only":
        subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
        reason = "Read-only file system"
    else:

        def deny(*_, **__):
            raise PermissionError(13, "Permission denied")

        # Root may write everywhere, so a file mode would not do.
        monkeypatch.setattr("tempfile.mkstemp", deny)
        reason = "Permission denied"
    check_failure(write, path, reason)
    assert read_tensors(small_disk / "old")[0]["w"].tolist() == [1.0] * 10
