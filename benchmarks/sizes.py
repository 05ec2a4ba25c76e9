"""Seconds a clip and peak memory at 1 000, 10 000 and 100 000 clips, and of large single inputs.

Clips of 0.1 s at 8 kHz, hard links to a hundred files. Each command is a process of its own with
two workers; its peak is the largest sum of what it and its workers hold (their proportional sets,
looked at every 50 ms). The largest size is measured once.
"""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
import psutil
import soundfile
from extraction import write_clips
from timing import row, run_script

N_DISTINCT, SECONDS = 100, 0.1
LONG_S, LONG_SR = 3 * 3600, 16000
LONG = {
    "band-statistics": [],
    "deep-spectrum": "--network squeezenet1_1 --layer logits --weights random".split(),
    "mfcc39": [],
}
#: Commands on a folder of clips; OUT is a path that does not exist.
COMMANDS = {
    "corpus index": ["corpus", "index", "IN", "--overwrite"],
    "corpus check": ["corpus", "check", "IN"],
    "features, shards": "features IN -r band-statistics --n-mels 20 --shards 1000 -o OUT".split(),
    "features, one table": "features IN -r band-statistics --n-mels 20 --store none -o OUT".split(),
}


def run_command(arguments, *, codes=(0,)):
    """Seconds and peak memory in MiB of a command and its workers."""
    command = [sys.executable, "-m", "thesislib", *map(str, arguments)]
    started, peak = time.perf_counter(), 0
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    watched = psutil.Process(process.pid)
    while process.poll() is None:
        try:
            family = [watched, *watched.children(recursive=True)]
            peak = max(peak, sum(each.memory_full_info().pss for each in family))
        except psutil.Error:
            pass
        time.sleep(0.05)
    if process.returncode not in codes:
        raise RuntimeError(f"{' '.join(command[3:])}: {process.stderr.read()[-500:]}")
    return time.perf_counter() - started, peak / 2**20


def link_clips(folder, n_clips):
    """A folder of hard links in two classes, in subfolders of a thousand."""
    source = folder / "source"
    if not source.is_dir():
        write_clips(source, N_DISTINCT, seconds=SECONDS, sr=8000)
    files, target = sorted(source.glob("*.wav")), folder / f"clips{n_clips}"
    for i in range(n_clips):
        place = target / f"{i // 1000:03d}" / "ab"[i % 2]
        if i % 1000 < 2:
            place.mkdir(parents=True, exist_ok=True)
        os.link(files[i % N_DISTINCT], place / f"{i:06d}.wav")
    return target


def measure_counts(folder, counts):
    rows, sources = [], {n: link_clips(folder, n) for n in counts}
    for name, arguments in COMMANDS.items():
        seconds, peaks = {}, {}
        for n, source in sources.items():
            places = {"IN": source, "OUT": folder / f"out{n}-{len(rows)}"}
            places["OUT"] = places["OUT"].with_suffix("" if "--shards" in arguments else ".csv")
            command = [places.get(part, part) for part in arguments]
            # The links are copies of one another, which the index and its check report.
            codes = (0,) if arguments[0] == "features" else (0, 2)
            seconds[n], peaks[n] = run_command(command, codes=codes)
        small, large = counts[-2], counts[-1]
        # What starting the command takes is not a matter of clips.
        per_clip = {n: (seconds[n] - seconds[counts[0]]) / (n - counts[0]) for n in counts[1:]}
        ratios = per_clip[large] / per_clip[small], peaks[large] / peaks[small]
        measured = f"{ratios[0]:.2f} × the time a clip, {ratios[1]:.2f} × the memory"
        note = ", ".join(f"{n}: {seconds[n]:.1f} s, {peaks[n]:.0f} MiB" for n in counts)
        rows.append(
            row(
                f"{name}: {large} clips against {small}",
                "≤ 1.1 × the time a clip",
                measured,
                ratio=ratios[0],
                passed=ratios[0] <= 1.1,
                runs=1,
                note=note,
            )
        )
    return rows


def measure_long(folder, seconds):
    path = folder / "long" / "long.wav"
    path.parent.mkdir()
    rng = np.random.default_rng(0)
    with soundfile.SoundFile(path, "w", LONG_SR, 1, subtype="PCM_16") as file:
        for _ in range(seconds // 10):
            file.write(0.1 * rng.normal(size=10 * LONG_SR))
    rows = []
    for name, options in LONG.items():
        target = folder / f"{name}.csv"
        common = ["--chunk", "60", "--store", "none", "-o", target]
        took_s, peak = run_command(["features", path.parent, "-r", name, *options, *common])
        # A table of frames holds a million rows.
        target = None if name == "mfcc39" else 1024
        rows.append(
            row(
                f"{name} of a recording of {seconds / 3600:g} h, chunks of 60 s: peak memory",
                f"≤ {target} MiB" if target else "told, not bounded",
                f"{peak:.0f} MiB",
                ratio=peak / 1024,
                passed=None if target is None else peak <= target,
                runs=1,
                note=f"{took_s:.0f} s",
            )
        )
    return rows


def measure_rows(folder, n_rows):
    place = folder / "rows"
    place.mkdir()
    index = {"file": [f"{i:07d}.wav" for i in range(n_rows)], "label": "a"}
    pd.DataFrame(index).to_csv(place / "index.csv", index=False)
    took_s, peak = run_command(["corpus", "check", place], codes=(2,))
    claim = f"corpus check of {n_rows} rows whose files are missing"
    note = f"{took_s:.0f} s"
    return [row(claim, "told, not bounded", f"{peak:.0f} MiB", ratio=peak, runs=1, note=note)]


def measure(runs, tiny):
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        return [
            *measure_counts(folder, (10, 20, 40) if tiny else (1000, 10_000, 100_000)),
            *measure_long(folder, 10 if tiny else LONG_S),
            *measure_rows(folder, 10 if tiny else 1_000_000),
        ]


if __name__ == "__main__":
    run_script(__doc__, measure)
