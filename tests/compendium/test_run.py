"""The kernel of a notebook: this Python, whatever the user has set up, and one that starts."""

import json
import os
import subprocess
import sys

import pytest
import zmq
from nbclient.exceptions import DeadKernelError

from thesislib.compendium.run import execute_notebook, run_kernel

LOOK = """\
import json, pathlib, random, sys
import matplotlib
from thesislib.workers import run_ahead
text = {
    "python": sys.executable,
    "usetex": matplotlib.rcParams["text.usetex"],
    "started": "mark" in globals(),
    "values": list(run_ahead(divmod, [(7, 2), (9, 4)], n_jobs=2)),
    "random": random.random.__name__,
}
(pathlib.Path(results) / "look.json").write_text(json.dumps(text))
"""


def test_what_the_user_has_set_up_does_not_count(project, add_notebook, tmp_path, monkeypatch):
    add_notebook("90_1_look", LOOK)
    (project / "notebooks" / "random.py").write_text("raise SystemExit('imported')")
    (project / "notebooks" / "pickle.py").write_text("raise SystemExit('imported')")
    kernel = tmp_path / "jupyter" / "kernels" / "python3"
    kernel.mkdir(parents=True)
    spec = {"argv": ["/gone/python", "{connection_file}"], "display_name": "Gone", "language": "p"}
    (kernel / "kernel.json").write_text(json.dumps(spec))
    startup = tmp_path / "ipython" / "profile_default" / "startup"
    startup.mkdir(parents=True)
    (startup / "00.py").write_text("mark = 1")
    (tmp_path / "start.py").write_text("mark = 1")
    (tmp_path / "matplotlibrc").write_text("text.usetex: True\n")
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path / "jupyter"))
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    monkeypatch.setenv("PYTHONSTARTUP", str(tmp_path / "start.py"))
    monkeypatch.setenv("MATPLOTLIBRC", str(tmp_path / "matplotlibrc"))
    (tmp_path / "tmp").mkdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path / "tmp"))
    monkeypatch.setattr("tempfile.tempdir", None)
    folder = project / "out"
    assert execute_notebook("90_1_look", {"results": str(folder)})
    assert json.loads((folder / "look.json").read_text()) == {
        "python": sys.executable,
        "usetex": False,
        "started": False,
        "values": [[3, 1], [2, 1]],
        "random": "random",
    }
    assert not [name for name in os.listdir(tmp_path / "tmp") if "ipython" in name]


@pytest.mark.parametrize(
    "error", [RuntimeError("Kernel died before replying to kernel_info"), zmq.ZMQError(24, "many")]
)
def test_a_kernel_that_does_not_start_is_started_once_more(error):
    errors = [error]

    def execute():
        if errors:
            raise errors.pop()
        return "done"

    assert run_kernel(execute) == "done"
    errors += [error, error]
    with pytest.raises(DeadKernelError, match="its kernel did not start"):
        run_kernel(execute)
    assert errors == []


def test_too_few_open_files_are_named_before_the_kernel_starts():
    code = (
        "import resource; from thesislib.compendium.run import run_kernel\n"
        "resource.setrlimit(resource.RLIMIT_NOFILE, (64, HARD))\n"
        "print(run_kernel(lambda: resource.getrlimit(resource.RLIMIT_NOFILE)[0]))\n"
    )
    command = [sys.executable, "-c"]
    raised = subprocess.run([*command, code.replace("HARD", "1000")], capture_output=True)
    assert raised.stdout == b"256\n"
    failed = subprocess.run([*command, code.replace("HARD", "64")], capture_output=True)
    assert b"found a limit of 64 open files, expected 256 or more (ulimit -n)" in failed.stderr


def test_other_errors_are_not_those_of_a_kernel():
    def execute():
        raise RuntimeError("a defect")

    with pytest.raises(RuntimeError, match="a defect"):
        run_kernel(execute)
