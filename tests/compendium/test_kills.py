"""Commands that are ended by a signal: exit code, what still runs, what stays on disk, and the
bytes of the run that follows."""

import hashlib
import http.server
import io
import os
import random
import re
import signal
import subprocess
import sys
import threading
import time
import uuid
import zipfile
from pathlib import Path

import numpy as np
import psutil
import pytest
import soundfile

from thesislib.export.features import write_features

#: Kills of each command by each signal in the slow test; the seed of the moments.
N_KILLS = int(os.environ.get("THESIS_KILLS", "30"))
SEED = int(os.environ.get("THESIS_KILLS_SEED", "0"))
#: Seconds in which everything has to end on a quiet machine.
GOAL_S = 3.0
CODES = {signal.SIGINT: 130, signal.SIGTERM: 143, signal.SIGHUP: 129, signal.SIGKILL: -9}
# Names of make_temporary, and of partial downloads and locks.
TEMPORARY = re.compile(r"\..*-[0-9a-f]{8}-\d+-\w{8}(\..*)?|\..*\.(part|lock|new)")
EMO_DB = sorted(f"{s}a01{e}a.wav" for s in ("03", "08", "12", "14", "15", "16") for e in "WTF")

NOTEBOOK = """\
import time
import pandas as pd
from thesislib.compendium.provenance import Run
from thesislib.workers import Parallel, delayed, run_ahead
run = Run("NAME", globals())
Parallel(n_jobs=2)(delayed(time.sleep)(0.02) for _ in range(20))
values = list(run_ahead(divmod, ((i, 7) for i in range(300)), n_jobs=2))
run.table("90.1", pd.DataFrame(values, columns=["a", "b"]), caption="An example.")
time.sleep(0.5)
run.finish()
"""

# A command of its own process, and where it fetches from.
CODE = """\
import sys
from thesislib.cli import main
from thesislib.corpora.records import RECORDS
emo_db = RECORDS["emo_db"]
emo_db.base_url, emo_db.names_sha256 = sys.argv.pop(1), sys.argv.pop(1)
sys.exit(main())
"""


class Case:
    """A command that can be started again and again, each time into a folder of its own."""

    def __init__(self, folder, arguments, outputs, url="-"):
        self.folder, self.arguments, self.outputs, self.url = folder, arguments, outputs, url
        self.folder.mkdir()

    def start(self, number):
        """Process and marker of a run into folder ``number``."""
        place, marker = self.folder / str(number), uuid.uuid4().hex
        place.mkdir(exist_ok=True)
        digest = hashlib.sha256("\n".join(EMO_DB).encode()).hexdigest()
        command = [sys.executable, "-P", "-c", CODE, self.url, digest]
        command += [str(part).replace("OUT", str(place)) for part in self.arguments]
        environment = {**os.environ, "THESIS_KILL_MARKER": marker, "NO_PROXY": "127.0.0.1"}
        errors = open(place / "stderr", "wb")
        process = subprocess.Popen(
            command,
            stdout=subprocess.DEVNULL,
            stderr=errors,
            env=environment,
            cwd=place,
            # Under nohup, which ignores it, the command would rightly go on.
            preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_DFL),
        )
        errors.close()
        return process, marker

    def finish(self, number):
        """Run to the end; digests of what came out, by name."""
        process, marker = self.start(number)
        wait_until_ready(process)
        started = time.monotonic()
        assert process.wait(300) == 0, (self.folder / str(number) / "stderr").read_text()
        self.whole_s = time.monotonic() - started
        wait_until_gone(marker, 30)
        place = self.folder / str(number)
        left = [str(p.relative_to(place)) for p in place.rglob(".*") if TEMPORARY.fullmatch(p.name)]
        assert left == []
        files = [path for pattern in self.outputs for path in sorted(place.glob(pattern))]
        assert files
        return {
            str(p.relative_to(place)): hashlib.sha256(p.read_bytes()).hexdigest() for p in files
        }

    def kill(self, number, how, moment_s, n_processes=0):
        """Kill after a while: exit code, seconds until all had ended, lines on standard error."""
        process, marker = self.start(number)
        wait_until_ready(process)
        while len(find_marked(marker)) < n_processes and process.poll() is None:
            time.sleep(0.1)
        time.sleep(moment_s)
        if process.poll() is not None:
            return process.returncode, 0.0, []
        started = time.monotonic()
        process.send_signal(how)
        process.wait(60)
        wait_until_gone(marker, 60)
        took_s = time.monotonic() - started
        lines = (self.folder / str(number) / "stderr").read_text().splitlines()
        return process.returncode, took_s, lines


def find_marked(marker):
    """Processes with a marker in their environment, whoever is their parent now."""
    marked = []
    for process in psutil.process_iter():
        try:
            if process.environ().get("THESIS_KILL_MARKER") == marker:
                marked += [process] * (process.status() != psutil.STATUS_ZOMBIE)
        except (psutil.Error, OSError):
            continue
    return marked


def wait_until_gone(marker, patience_s):
    deadline = time.monotonic() + patience_s
    while left := find_marked(marker):
        assert time.monotonic() < deadline, [" ".join(process.cmdline()) for process in left]
        time.sleep(0.05)


def wait_until_ready(process):
    """Wait until a process handles SIGTERM: before, it is Python that starts."""
    bit = 1 << (signal.SIGTERM - 1)
    while process.poll() is None:
        status = Path(f"/proc/{process.pid}/status").read_text()
        if int(re.search(r"SigCgt:\s*(\w+)", status)[1], 16) & bit:
            return
        time.sleep(0.01)


def measure_load():
    """How much longer than on a quiet machine a new process takes (at least 1)."""
    started = time.monotonic()
    subprocess.run([sys.executable, "-c", "import psutil, numpy"], check=True)
    return max(1.0, (time.monotonic() - started) / 0.25)


@pytest.fixture
def clips(tmp_path):
    folder = tmp_path / "clips"
    folder.mkdir()
    for i in range(8):
        y = 0.1 * np.random.default_rng(i).normal(size=16000)
        soundfile.write(folder / f"{i}.wav", y, 16000)
    return folder


@pytest.fixture
def slow_server():
    """Serve a small archive in EMO-DB's layout, a few blocks at a time."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for i, name in enumerate(EMO_DB):
            wav, y = io.BytesIO(), np.random.default_rng(i).uniform(-0.5, 0.5, 16000)
            soundfile.write(wav, y, 16000, format="WAV", subtype="PCM_16")
            archive.writestr(f"wav/{name}", wav.getvalue())
    content, requests = buffer.getvalue(), []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            requests.append(self.headers.get("Range"))
            first = int(re.search(r"\d+", self.headers.get("Range") or "0")[0])
            self.send_response(206 if first else 200)
            if first:
                self.send_header("Content-Range", f"bytes {first}-")
            self.send_header("Content-Length", str(len(content) - first))
            self.end_headers()
            try:
                for start in range(first, len(content), 1 << 14):
                    self.wfile.write(content[start : start + (1 << 14)])
                    time.sleep(0.05)
            except OSError:
                pass

        def log_message(self, *args):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as httpd:
        httpd.requests, httpd.url = requests, f"http://127.0.0.1:{httpd.server_port}"
        threading.Thread(target=httpd.serve_forever, args=(0.01,), daemon=True).start()
        yield httpd
        httpd.shutdown()


@pytest.fixture
def make_case(tmp_path, clips, project, add_notebook, slow_server):
    """A case by name."""

    def make(name):
        folder = tmp_path / "case"
        features = ["features", clips, "--jobs", 2, "-r"]
        if name == "features":
            store = ["--store", "OUT/store"]
            return Case(folder, [*features, "IS09", "-o", "OUT/out.csv", *store], ["out.csv"])
        if name == "shards":
            options = ["--shards", 2, "-o", "OUT/shards"]
            return Case(folder, [*features, "IS09", *options], ["shards/part-*", "shards/_*.csv"])
        if name == "bag":
            frames = tmp_path / "frames"
            write_features([clips], frames, "mfcc39", shards=2)
            codebook, sizes = tmp_path / "codebook", {"codebook_size": 20, "n_assign": 2}
            learn = {"frames": "mfcc39", "save_codebook": codebook, **sizes}
            write_features([clips], tmp_path / "bags.csv", "bag", **learn)
            options = ["--codebook", codebook, "-o", "OUT/bags", "--jobs", 2]
            return Case(folder, ["bag", frames, *options], ["bags/part-*", "bags/_*.csv"])
        if name == "fetch":
            options = ["--folder", "OUT/emo", "--accept-licence"]
            outputs = ["emo/wav/*.wav"]
            return Case(folder, ["corpus", "fetch", "emo-db", *options], outputs, slow_server.url)
        add_notebook("90_1_kill", NOTEBOOK)
        options = ["--jobs", 2, "--quiet", "-p", "results=OUT/results"]
        return Case(folder, ["run", "90_1_kill", *options], ["results/tables/*"])

    return make


def check(case, number, how, moment_s, n_processes=0):
    """One kill: exit code, time, the line on standard error, and what stays on disk."""
    load = measure_load()
    code, took_s, lines = case.kill(number, how, moment_s, n_processes)
    left = [path.name for path in case.folder.rglob(".*") if TEMPORARY.fullmatch(path.name)]
    where = f"{case.arguments[0]} {how.name} after {moment_s:.2f} s"
    print(f"{where}: code {code}, ended in {took_s:.2f} s (load {load:.1f}), left: {left}")
    if code == 0:  # it was faster
        return
    assert code == CODES[how], (where, lines)
    assert took_s <= GOAL_S * load, where
    if how != signal.SIGKILL:
        assert len(lines) == 1 and f"interrupted by {how.name}" in lines[0], (where, lines)


LINUX = pytest.mark.skipif(not Path("/proc/self/status").is_file(), reason="needs /proc")


@LINUX
@pytest.mark.parametrize(("name", "n_processes"), [("features", 4), ("run", 6)])
def test_a_killed_command_ends_with_all_its_processes(make_case, name, n_processes):
    case = make_case(name)
    expected = case.finish("whole")
    for how in CODES:
        check(case, "killed", how, 0.1, n_processes)
    assert case.finish("killed") == expected


@pytest.mark.slow
@LINUX
@pytest.mark.parametrize("name", ["features", "shards", "bag", "run", "fetch"])
def test_commands_killed_at_random_moments(make_case, name):
    case, draw = make_case(name), random.Random(f"{SEED} {name}")
    print(f"{name}: {N_KILLS} kills by each signal, seed {SEED}")
    expected = case.finish("whole")
    whole_s = case.whole_s
    for number in range(N_KILLS):
        for how in CODES:
            place = f"{how.name}-{number}"
            check(case, place, how, draw.uniform(0, whole_s))
            assert case.finish(place) == expected, place
