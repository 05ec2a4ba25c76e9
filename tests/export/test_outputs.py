"""Outputs that cannot be written: one line, exit code 2, before the work where that shows."""

import contextlib
import subprocess

import numpy as np
import pytest
import soundfile

from thesislib.cli import main
from thesislib.export import detect, features, openxbow
from thesislib.export.detect import save_detectors
from thesislib.representations.crnn import CRNN
from thesislib.spectra.frames import LogMelFrames

BANDS = "-r band-statistics --n-mels 8 --window 0.032"
DEEP = "-r deep-spectrum --network squeezenet1_1 --layer logits --weights random --size 64"
TRAINED = "-r s2sae --n-mels 8 --window 0.032 --epochs 0 -p n_units=2"
#: Command, with ``@`` for what is tried; ``$`` for the folder of inputs.
COMMANDS = {
    "csv": f"features $/audio {BANDS} -o @.csv",
    "arff": f"features $/audio {BANDS} -o @.arff",
    "parquet": f"features $/audio {BANDS} -o @.parquet",
    "frames": "features $/audio -r mfcc39 --openxbow -o @.csv",
    "shards": f"features $/audio {BANDS} --shards 2 -o @",
    "plots": f"features $/audio {DEEP} -o $/new.csv --save-plots @",
    "sounds": f"features $/audio {BANDS} -o $/new.csv --save-audio @",
    "model": f"features $/audio {TRAINED} -o $/new.csv --save-model @.safetensors",
    "codebook": "features $/audio -r bag --frames mfcc39 --codebook-size 4 --n-assign 1 "
    "-o $/new.csv --save-codebook @.txt",
    "bags": "bag $/frames.csv --size 2 --n-assign 1 -o @.csv",
    "bag codebook": "bag $/frames.csv --size 2 --n-assign 1 -o $/new.csv --save-codebook @.txt",
    "bag shards": "bag $/frames --codebook $/codebook -o @",
    "png": "plot $/audio/0.wav -o @.png",
    "npy": "plot $/audio/0.wav -o @.npy",
    "events": "detect $/audio/0.wav --model $/models -o @.csv",
}
FOLDERS = ("shards", "plots", "sounds", "bag shards")


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    root = tmp_path_factory.mktemp("inputs")
    (root / "audio").mkdir()
    for i in range(4):
        y = 0.1 * np.random.default_rng(i).normal(size=4000)
        soundfile.write(root / "audio" / f"{i}.wav", y, 8000)
    (root / "frames.csv").write_text("'a';0.0\n'a';1.0\n'b';0.5\n")
    run("features $/audio -r mfcc39 --shards 2 -o $/frames", root, None)
    bag = "-r bag --frames mfcc39 --codebook-size 4 --n-assign 1"
    run(f"features $/audio {bag} -o $/bags.csv --save-codebook $/codebook", root, None)
    crnn = CRNN(3, n_filters=(2, 2), pool_sizes=(2, 5), n_units=2, n_dense=2, n_epochs=0)
    crnn.fit([np.zeros((9, 20), np.float32)], [np.repeat([0, 1, 0], 3)])
    frames = LogMelFrames(0.046, 0.023, 20)
    save_detectors(root / "models", {"a": [crnn]}, frames=frames, sr=8000, thresholds={"a": 0.5})
    return root


def run(text, inputs, target):
    arguments = text.replace("$", str(inputs)).replace("@", str(target)).split()
    if arguments[0] == "features":
        arguments += ["--jobs", "1", "--store", "none"]
    return main(arguments)


def list_files(*roots):
    return sorted(
        (path, path.read_bytes())
        for root in roots
        for path in root.rglob("*")
        if path.is_file() and path.name != "_lock"
    )


def check_refused(kind, inputs, target, reason, capsys, *roots):
    """Exit code 2, one line with path and reason, and every file as it was."""
    before = list_files(inputs, *roots)
    capsys.readouterr()
    assert run(COMMANDS[kind], inputs, target) == 2
    (line,) = [
        line for line in capsys.readouterr().err.splitlines() if not line.startswith("remark: ")
    ]
    assert reason in line
    assert target.name[:100] in line or target.parent.name in line
    assert list_files(inputs, *roots) == before


@pytest.fixture
def idle(monkeypatch):
    """Fail if the work begins."""

    def fail(*_, **__):
        pytest.fail("the work began before the output was tried")

    monkeypatch.setattr(features, "extract", fail)
    monkeypatch.setattr(openxbow, "read_frames", fail)
    monkeypatch.setattr(detect, "load_detectors", fail)


@pytest.mark.parametrize("kind", COMMANDS)
def test_files_and_folders_in_the_way_and_long_names(inputs, tmp_path, kind, idle, capsys):
    (tmp_path / "file").touch()
    check_refused(kind, inputs, tmp_path / "file" / "a", "cannot be written", capsys, tmp_path)
    long = tmp_path / ("ab" * 200)
    check_refused(kind, inputs, long, "File name too long", capsys, tmp_path)
    if kind in FOLDERS:
        check_refused(kind, inputs, tmp_path / "file", "cannot be written", capsys, tmp_path)
    else:
        suffix = COMMANDS[kind].rpartition("@")[2].split()[0]
        (tmp_path / f"taken{suffix}").mkdir()
        reason = "found a folder" if kind not in ("png", "npy") else "Is a directory"
        check_refused(kind, inputs, tmp_path / "taken", reason, capsys, tmp_path)


@pytest.mark.parametrize("kind", COMMANDS)
def test_a_folder_without_permission(inputs, tmp_path, kind, idle, capsys, monkeypatch):
    def deny(*_, **__):
        raise PermissionError(13, "Permission denied")

    # Root may write everywhere, so a file mode would not do.
    monkeypatch.setattr("tempfile.mkstemp", deny)
    monkeypatch.setattr("tempfile.TemporaryFile", deny)
    check_refused(kind, inputs, tmp_path / "a", "Permission denied", capsys, tmp_path)


@pytest.fixture
def small_disk(mount_disk):
    return mount_disk(128)


@pytest.mark.parametrize("kind", COMMANDS)
def test_a_full_disk_leaves_what_is_finished(inputs, small_disk, kind, capsys):
    target = small_disk / "ab"
    if kind == "npy":
        target = small_disk / "deep"  # larger than the disk
    else:
        with pytest.raises(OSError, match="No space"), open(small_disk / "rest", "wb") as file:
            for _ in range(1000):
                file.write(bytes(4096))
    before = {path for path, _ in list_files(inputs)}
    assert run(COMMANDS[kind], inputs, target) == 2
    error = capsys.readouterr().err
    assert "No space left on device" in error
    assert "ab" in error or "deep" in error
    assert "Traceback" not in error
    written = [path for path, _ in list_files(small_disk) if path.name != "rest"]
    assert [path for path in written if path.stat().st_size] == []
    # A table that was complete before the plots, sounds, ... stays.
    for path in {path for path, _ in list_files(inputs)} - before:
        assert path.name == "new.csv"
        path.unlink()


def test_a_disk_that_fills_up_leaves_whole_shards(inputs, small_disk, capsys):
    command = "features $/audio -r ComParE_2016-lld --shards 1 -o @"
    with contextlib.suppress(OSError):
        (small_disk / "rest").write_bytes(bytes(40_000))
    code = run(command, inputs, small_disk / "out")
    assert code == 2
    assert "No space left on device" in capsys.readouterr().err
    (small_disk / "rest").unlink()
    subprocess.run(["mount", "-o", "remount,size=4m", str(small_disk)], check=True)
    times = {p: p.stat().st_mtime_ns for p in (small_disk / "out").glob("part-*.parquet")}
    assert run(command, inputs, small_disk / "out") == 0
    assert len(times) < 4
    assert all(path.stat().st_mtime_ns == time for path, time in times.items())
    assert run(command, inputs, inputs / "undisturbed") == 0
    for path in (inputs / "undisturbed").glob("*part*"):
        assert path.read_bytes() == (small_disk / "out" / path.name).read_bytes()
