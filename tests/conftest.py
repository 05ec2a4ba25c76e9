"""Fixtures for every test: the reference data, a seeded generator, seeds of learning tests."""

import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

# Tests run side by side, a process a core; threads inside them would only wait for each other.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# The scripts that made fixtures need tools that the project does not.
collect_ignore_glob = ["fixtures/*"]


@pytest.fixture(scope="session")
def reference_data():
    """Folder of the reference data, or skip: it is not part of the project."""
    folder = os.environ.get("THESIS_REFERENCE_DATA", "")
    if not folder or not Path(folder).is_dir():
        pytest.skip("THESIS_REFERENCE_DATA names no folder: reference data not at hand")
    return Path(folder)


@pytest.fixture(autouse=True)
def environment():
    """Environment variables that a test changes (a run sets some) end with it."""
    before = dict(os.environ)
    yield
    for name in os.environ.keys() - before.keys():
        del os.environ[name]
    os.environ.update(before)


@pytest.fixture
def mount_disk(tmp_path):
    """Mount a small file system of some KiB, or skip where that is not allowed."""
    folder = tmp_path / "disk"

    def mount(size_kib):
        folder.mkdir()
        command = ["mount", "-t", "tmpfs", "-o", f"size={size_kib}k", "tmpfs", str(folder)]
        try:
            subprocess.run(command, check=True, capture_output=True)
        except (OSError, subprocess.CalledProcessError):
            pytest.skip("mounting a small file system is not allowed here")
        return folder

    yield mount
    if folder.is_mount():
        subprocess.run(["umount", str(folder)], check=True)


@pytest.fixture
def rng():
    """Random generator with a fixed seed."""
    return np.random.default_rng(0)


@pytest.fixture(scope="session")
def seeds():
    """Three seeds of a test of learning, which states a property of their median.

    The environment variable ``THESIS_TEST_SEED`` shifts them (default: 0).
    """
    first = int(os.environ.get("THESIS_TEST_SEED", "0"))
    return range(first, first + 3)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    """Mark each test that takes ``seeds``, directly or by a fixture, as ``learning``."""
    for item in items:
        if "seeds" in getattr(item, "fixturenames", ()):
            item.add_marker("learning")


@pytest.fixture(scope="session")
def browser():
    """Headless Chromium, or skip."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    names = ("chromium", "chromium-browser", "google-chrome")
    chromium = next((path for path in map(shutil.which, names) if path), None)
    if chromium is None:
        pytest.skip("found no Chromium on the search path")
    flags = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
    with playwright.sync_playwright() as driver:
        started = driver.chromium.launch(executable_path=chromium, args=flags)
        yield started
        started.close()
