"""The wheel works away from the repository, and the source archive is the whole compendium."""

import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest
import soundfile

ROOT = Path(__file__).resolve().parents[1]
BUILD = (
    "import sys; from setuptools import build_meta as b; b.build_wheel('..'); b.build_sdist('..')"
)

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """Folder of the wheel and the source archive of the tracked files; and their names."""
    pytest.importorskip("setuptools", minversion="77")
    command = ["git", "ls-files"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode:
        pytest.skip("not a git checkout")
    folder = tmp_path_factory.mktemp("built")
    names = [name for name in listed.stdout.splitlines() if (ROOT / name).is_file()]
    for name in names:
        (folder / "source" / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, folder / "source" / name)
    command = [sys.executable, "-c", BUILD]
    subprocess.run(command, cwd=folder / "source", capture_output=True, check=True)
    return folder, names


@pytest.fixture
def run_away(built, tmp_path):
    """Run Python in an empty folder with the package of the wheel."""
    (wheel,) = built[0].glob("*.whl")
    zipfile.ZipFile(wheel).extractall(tmp_path / "site")
    (tmp_path / "away").mkdir()
    variables = {k: v for k, v in os.environ.items() if not k.startswith("THESIS_")}
    variables |= {"PYTHONPATH": str(tmp_path / "site"), "XDG_CACHE_HOME": str(tmp_path / "cache")}

    def run(*arguments):
        command = [sys.executable, *map(str, arguments)]
        return subprocess.run(
            command, cwd=tmp_path / "away", env=variables, capture_output=True, text=True
        )

    return run


def test_the_source_archive_holds_every_tracked_file(built):
    folder, names = built
    (archive,) = folder.glob("*.tar.gz")
    held = {name.partition("/")[2] for name in tarfile.open(archive).getnames()}
    assert sorted(set(names) - held) == []


def test_the_readme_s_example_prints_a_score(run_away, tmp_path):
    readme = (ROOT / "README.md").read_text("utf-8")
    (example,) = re.findall(r"^```python\n(.*?)^```$", readme, re.M | re.S)
    done = run_away("-c", f"{example}\nimport thesislib; print(thesislib.__file__)")
    assert done.returncode == 0, done.stderr
    score, package = done.stdout.split()
    assert 0 < float(score) <= 1
    assert Path(package).is_relative_to(tmp_path / "site")


def test_commands_work_or_say_what_they_need(run_away, tmp_path, rng):
    clips, away = tmp_path / "clips", tmp_path / "away"
    for label in ("hiss", "hum"):
        (clips / label).mkdir(parents=True)
        for i in range(4):
            soundfile.write(clips / label / f"{i}.wav", rng.normal(0, 0.1, 8000), 8000)
    for arguments in (
        (
            "features",
            clips,
            "-r",
            "band-statistics",
            "--labels",
            "folder",
            "--jobs",
            1,
            "-o",
            "table.csv",
        ),
        ("evaluate", "table.csv", "--folds", 2, "--jobs", 1),
        ("plot", clips / "hum" / "0.wav", "--kind", "mel", "-o", "plot.png"),
    ):
        done = run_away("-m", "thesislib", *arguments)
        assert done.returncode == 0, done.stderr
    assert {path.name for path in away.iterdir()} == {"table.csv", "plot.png"}
    done = run_away("-m", "thesislib", "run", "all")
    assert done.returncode == 2
    assert done.stderr.startswith(f"thesis run: {away} and the folders above: found no folder")
    assert "THESIS_ROOT" in done.stderr
