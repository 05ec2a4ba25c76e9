"""The kernel of a notebook: this Python, whatever the user has set up, and one that starts."""

import errno
import json
import os
import subprocess
import sys

import pytest
import zmq
from nbclient.exceptions import DeadKernelError

from thesislib.compendium import run
from thesislib.compendium.run import NotebookError, execute_notebook, run_kernel
from thesislib.errors import StoreError
from thesislib.reporting import results
from thesislib.reporting.results import read_record

LOOK = """\
import json, os, pathlib, random, sys
import matplotlib
matplotlib.get_cachedir()
from thesislib.workers import run_ahead
text = {
    "python": sys.executable,
    "usetex": matplotlib.rcParams["text.usetex"],
    "started": "mark" in globals(),
    "values": list(run_ahead(divmod, [(7, 2), (9, 4)], n_jobs=2)),
    "random": random.random.__name__,
}
(pathlib.Path(results) / "look.json").write_text(json.dumps(text))
(pathlib.Path(os.environ["THESIS_STAGED"]) / "run.json").write_text('{"status": "complete"}')
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
    monkeypatch.setenv("MPLCONFIGDIR", str(tmp_path / "matplotlibrc" / "no folder"))
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
    assert "no folder" not in (folder / "executed.ipynb").read_text()


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


def fill(name, values, staged, progress):
    """Stand in for the kernel: a complete run, as far as its folder shows."""
    (staged / "table.csv").write_text("a\n")
    (staged / "run.json").write_text(json.dumps({"notebook": name, "status": "complete"}))


def no_space(*_, **__):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_complete_run_that_cannot_be_published_stays(project, add_notebook, monkeypatch):
    add_notebook("90_1_one")
    folder = project / "results" / "demo" / "90_1_one"
    monkeypatch.setattr(run, "_execute", fill)
    with monkeypatch.context() as patch:
        patch.setattr(results, "lock", no_space)
        with pytest.raises(StoreError, match=r"the complete run is in .*/90_1_one\.failed"):
            execute_notebook("90_1_one", {})
    failed = folder.with_name("90_1_one.failed")
    assert {path.name for path in failed.iterdir()} == {"run.json", "table.csv"}
    assert read_record(folder) is None


def test_a_run_that_is_published_in_part_is_completed_later(project, add_notebook, monkeypatch):
    add_notebook("90_1_one")
    folder = project / "results" / "demo" / "90_1_one"
    monkeypatch.setattr(run, "_execute", fill)
    with monkeypatch.context() as patch:
        patch.setattr(results.os, "replace", lambda source, target: no_space())
        with pytest.raises(StoreError, match=r"the complete run is in .*/\.90_1_one\.new"):
            execute_notebook("90_1_one", {})
    assert read_record(folder)["status"] == "complete"
    assert (folder / "table.csv").read_text() == "a\n"


def test_what_a_run_wrote_before_the_disk_was_full_stays(project, add_notebook, monkeypatch):
    add_notebook("90_1_one")

    def fill_disk(name, values, staged, progress):
        fill(name, values, staged, progress)
        no_space()

    monkeypatch.setattr(run, "_execute", fill_disk)
    with pytest.raises(NotebookError, match="No space left on device\nfailed copy: "):
        execute_notebook("90_1_one", {})
    failed = project / "results" / "demo" / "90_1_one.failed"
    assert (failed / "table.csv").is_file()
    assert "No space left" in (failed / "log.txt").read_text()
