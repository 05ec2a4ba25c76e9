"""How processes end: on signals, and after their parent."""

import os
import signal
import subprocess
import sys
import time

import psutil
import pytest

# Compiled code that does not notice an exception: the process is ended all the same.
BUSY = """\
import hashlib, signal, subprocess, sys
signal.signal(signal.SIGHUP, signal.SIG_DFL)  # under nohup it would be ignored
from thesislib.workers import end_on_signals
from thesislib.store import make_temporary
with end_on_signals("thesis"):
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    print(child.pid, make_temporary(sys.argv[1]), flush=True)
    hashlib.pbkdf2_hmac("sha256", b"", b"", 2**31 - 1)
"""

# A parent, and a child that follows it.
FAMILY = """\
import subprocess, sys, time
code = "import sys, time; from thesislib.workers import follow_parent; "
code += "follow_parent(int(sys.argv[1])); print('up', flush=True); time.sleep(600)"
import os
command = [sys.executable, "-c", code, str(os.getpid())]
child = subprocess.Popen(command, stdout=subprocess.PIPE)
child.stdout.readline()
print(child.pid, flush=True)
time.sleep(600)
"""


@pytest.mark.parametrize(("how", "code"), [("SIGINT", 130), ("SIGTERM", 143), ("SIGHUP", 129)])
def test_a_signal_ends_busy_code_its_children_and_its_files(tmp_path, how, code):
    process = subprocess.Popen(
        [sys.executable, "-c", BUSY, str(tmp_path / "a.csv")],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    child, temporary = process.stdout.readline().split()
    child = psutil.Process(int(child))
    assert os.path.exists(temporary)
    time.sleep(0.2)
    process.send_signal(getattr(signal, how))
    process.send_signal(getattr(signal, how))  # impatience changes nothing
    _, errors = process.communicate(timeout=60)
    assert process.returncode == code
    assert errors == f"thesis: interrupted by {how}; finished results are kept\n"
    child.wait(60)
    assert list(tmp_path.iterdir()) == []


def test_an_ignored_hangup_stays_ignored():
    code = (
        "import os, signal; from thesislib.workers import end_on_signals\n"
        "signal.signal(signal.SIGHUP, signal.SIG_IGN)\n"
        "with end_on_signals('thesis'):\n"
        "    os.kill(os.getpid(), signal.SIGHUP)\n"
        "assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_child_ends_after_its_killed_parent():
    parent = subprocess.Popen([sys.executable, "-c", FAMILY], stdout=subprocess.PIPE)
    child = psutil.Process(int(parent.stdout.readline()))
    parent.kill()
    parent.wait()
    child.wait(60)
