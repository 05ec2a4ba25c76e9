"""A full disk and a read-only results folder: a clear error, and what is there stays valid."""

import subprocess

import numpy as np
import pandas as pd
import pytest

from thesislib.compendium.runner import execute_notebook
from thesislib.errors import StoreError
from thesislib.reporting.tables import write_table
from thesislib.store import FeatureStore


@pytest.fixture
def small_disk(tmp_path):
    """Mount a file system of 256 KiB, or skip where that is not allowed."""
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(folder)]
    try:
        subprocess.run(command, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("mounting a small file system is not allowed here")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


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
    large = pd.DataFrame({"uar": np.random.default_rng(0).normal(size=50_000)})
    with pytest.raises(StoreError, match=r"table_9_9\.csv: cannot be written"):
        write_table(large, "9.9", small_disk, caption="")
    assert (small_disk / "table_9_9.csv").read_bytes() == before


def test_a_read_only_results_folder_is_refused_before_a_kernel_starts(small_disk):
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    with pytest.raises(StoreError, match=r"disk.*cannot be written"):
        execute_notebook("10_2_snore", {"results": str(small_disk)})
    with pytest.raises(StoreError, match="cannot be written"):
        write_table(pd.DataFrame({"a": [1]}), "9.9", small_disk, caption="")
