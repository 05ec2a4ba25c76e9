"""A second `make reproduce` against the first.

    python benchmarks/reproduce.py [--all] [--json]

Results and feature store are in a folder of their own, empty at first; the environment and the
synthetic corpora are those of the checkout. Two quick notebooks, or all of them with ``--all``.
The first time is measured once, the second as often as asked.
"""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from timing import describe, row, run_script

QUICK = ["04_1_audio_plots", "09_2_sentiment"]


def measure(runs, tiny, names=QUICK):
    command = [Path(sys.executable).with_name("thesis"), "run", *names, "--quiet"]
    if tiny:
        command = [Path(sys.executable).with_name("thesis"), "list"]
    with tempfile.TemporaryDirectory() as folder:
        places = {f"THESIS_{name}": f"{folder}/{name.lower()}" for name in ("RESULTS", "STORE")}

        def reproduce():
            started = time.perf_counter()
            subprocess.run(command, check=True, env=os.environ | places, stdout=subprocess.DEVNULL)
            return time.perf_counter() - started

        first = reproduce()
        second = float(np.median([reproduce() for _ in range(runs)]))
    what = "all notebooks" if names == ["all"] else " and ".join(names)
    return [
        row(
            f"second `make reproduce` against the first, {what}",
            "≤ 0.05 × the time",
            f"{second / first:.3f} × ({describe(second)} against {describe(first)})",
            ratio=second / first,
            passed=second / first <= 0.05,
            runs=runs,
            note="the first was measured once",
        )
    ]


if __name__ == "__main__":
    chosen = QUICK
    if "--all" in sys.argv:
        sys.argv.remove("--all")
        chosen = ["all"]
    run_script(__doc__, lambda runs, tiny: measure(runs, tiny, chosen))
