"""Peak memory of an extraction into shards: 4 000 clips against 400.

Clips of half a second at 8 kHz, statistics of 128 mel bands, shards of 100 clips, two workers. Each
run is a process of its own; its peak is the largest sum of what it and its workers hold (their
resident sets, looked at every 10 ms).
"""

import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil
from extraction import write_clips
from timing import row, run_script

PROGRAM = """
import sys
from thesislib.export.features import write_features
if __name__ == "__main__":
    write_features([sys.argv[1]], sys.argv[2], "band-statistics", shards=100, n_jobs=2)
"""


def peak_mib(program, source, target):
    """Largest sum of resident sets of a program and its workers in MiB."""
    process = subprocess.Popen([sys.executable, program, source, target], stderr=subprocess.DEVNULL)
    watched, peak = psutil.Process(process.pid), 0
    while process.poll() is None:
        try:
            family = [watched, *watched.children(recursive=True)]
            peak = max(peak, sum(each.memory_info().rss for each in family))
        except psutil.NoSuchProcess:
            pass
        time.sleep(0.01)
    if process.returncode:
        raise RuntimeError(f"the extraction ended with {process.returncode}")
    return peak / 2**20


def measure(runs, tiny):
    sizes = (40, 4) if tiny else (4000, 400)
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        program = folder / "run.py"
        program.write_text(PROGRAM)
        for n in sizes:
            write_clips(folder / f"in{n}", n, seconds=0.5, sr=8000)
        peaks = {n: [] for n in sizes}
        for turn in range(runs):
            for n in sizes:
                peaks[n].append(peak_mib(program, folder / f"in{n}", folder / f"out{n}-{turn}"))
    large, small = (statistics.median(peaks[n]) for n in sizes)
    ratio = large / small
    return [
        row(
            f"peak memory of an extraction, {sizes[0]} clips against {sizes[1]}",
            "≤ 1.1",
            f"{ratio:.3f} ({large:.0f} against {small:.0f} MiB, workers included)",
            ratio=ratio,
            passed=ratio <= 1.1,
            runs=runs,
        )
    ]


if __name__ == "__main__":
    run_script(__doc__, measure)
