"""An extraction of 4 000 clips, killed twice with SIGKILL and resumed, against an undisturbed one.

``thesis features`` into shards of 100 clips (statistics of mel bands, clips of half a second). The
kills come when a third and two thirds of the shards are there. Equal bytes are the claim.
"""

import hashlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from extraction import write_clips
from timing import row, run_script


def start(source, target, size):
    program = "import sys; from thesislib.cli import main; sys.exit(main())"
    command = [sys.executable, "-c", program, "features", source, "-o", target]
    command += ["-r", "band-statistics", "--shards", size, "--jobs", 2, "--quiet"]
    # A group of its own, so that its workers are killed with it.
    return subprocess.Popen(list(map(str, command)), start_new_session=True)


def count_parts(target):
    return len(list(target.glob("part-*.parquet")))


def hash_folder(folder):
    """SHA-256 of all files that are not hidden, with their names."""
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            digest.update(f"{path.relative_to(folder)} {path.stat().st_size}".encode())
            digest.update(path.read_bytes())
    return digest.hexdigest()


def measure(runs, tiny):
    n_clips, size = (30, 3) if tiny else (4000, 100)
    with tempfile.TemporaryDirectory() as folder:
        folder, found = Path(folder), []
        source, killed = folder / "in", folder / "killed"
        write_clips(source, n_clips, seconds=0.5, sr=8000)
        for share in (1 / 3, 2 / 3):
            process = start(source, killed, size)
            while count_parts(killed) < share * n_clips / size and process.poll() is None:
                time.sleep(0.01)
            if process.poll() is not None:
                raise RuntimeError(f"the extraction ended with {process.returncode} too early")
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            found.append(count_parts(killed))
        undisturbed = folder / "undisturbed"
        codes = [start(source, target, size).wait() for target in (killed, undisturbed)]
        equal = hash_folder(killed) == hash_folder(undisturbed)
        digest = hash_folder(undisturbed)[:16]
    return [
        row(
            f"an extraction of {n_clips} clips, killed twice and resumed",
            "the bytes of an undisturbed one",
            ("equal" if equal else "DIFFERENT") + f" (sha256 {digest}…)",
            passed=equal and codes == [0, 0],
            runs=1,
            note=f"killed at {found[0]} and {found[1]} of {-(-n_clips // size)} shards",
        )
    ]


if __name__ == "__main__":
    run_script(__doc__, measure)
