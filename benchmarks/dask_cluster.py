"""The same extraction on local processes and on a Dask cluster, a worker of which is killed.

A real ``dask.distributed`` cluster of two processes on this machine; a network's features of
clips of half a second, into shards. One worker gets SIGKILL when the first shard is there. Equal
bytes are the claim; the time is told.
"""

import os
import signal
import tempfile
import threading
import time
import warnings
from pathlib import Path

from extraction import write_clips
from resume import hash_folder
from timing import row, run_script

from thesislib.export.features import write_features
from thesislib.workers import connect, open_cluster


def measure(runs, tiny):
    warnings.simplefilter("ignore")  # of mel bands without a bin
    n_clips, size = (64, 16) if tiny else (960, 96)
    options = {"network": "squeezenet1_1", "layer": ["logits"], "weights": "random", "size_px": 64}
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        write_clips(folder / "in", n_clips, seconds=0.5, sr=8000)

        def run(name):
            started, target = time.perf_counter(), folder / name
            write_features(
                [folder / "in"], target, "deep-spectrum", shards=size, n_jobs=2, **options
            )
            return time.perf_counter() - started, hash_folder(target)

        local_s, expected = run("local")
        with open_cluster("local", n_workers=2):
            cluster_s, found = run("cluster")
            victim = next(iter(connect().run(os.getpid).values()))

            def kill():
                while not list((folder / "killed").glob("part-*.parquet")):
                    time.sleep(0.01)
                os.kill(victim, signal.SIGKILL)

            killer = threading.Thread(target=kill, daemon=True)
            killer.start()
            killed_s, after = run("killed")
            killer.join()
    times = f"{local_s:.1f} s on local processes, {cluster_s:.1f} s on the cluster"
    return [
        row(
            f"Dask against local processes, {n_clips} clips",
            "equal sha256",
            "equal" if found == expected else "DIFFERENT",
            passed=found == expected,
            runs=1,
            note=f"sha256 {expected[:16]}…; {times}",
        ),
        row(
            "a Dask worker killed in the middle",
            "equal sha256",
            "equal" if after == expected else "DIFFERENT",
            passed=after == expected,
            runs=1,
            note=f"{killed_s:.1f} s",
        ),
    ]


if __name__ == "__main__":
    run_script(__doc__, measure)
