"""Notebooks side by side: order, skipping, failure, interruption, and what is left behind."""

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import time

import psutil
import pytest

from thesislib.cli import main
from thesislib.compendium import schedule
from thesislib.compendium.parameters import plan_runs
from thesislib.compendium.schedule import Outcome, expect_seconds, run_all, share_out
from thesislib.errors import ParameterError
from thesislib.reporting.notebooks import OVERVIEW
from thesislib.reporting.results import find_results

# Leaves a record without the imports of a real one.
LIGHT = """\
import json, os, pathlib, time
folder = pathlib.Path(results)
record = {"status": "complete", "outputs": {}, "seed": seed, "n_jobs": n_jobs}
(pathlib.Path(os.environ["THESIS_STAGED"]) / "run.json").write_text(json.dumps(record))
"""

WORKER = """\
import os, pathlib, subprocess, sys, time
worker = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
(pathlib.Path(results) / "worker").write_text(str(worker.pid))
"""
ENDLESS = WORKER + "time.sleep(600)\n"
# A kernel that is killed (for memory, say) leaves its worker behind.
DYING = WORKER + "time.sleep(3); os.kill(os.getpid(), 9)\n"


def test_what_is_up_to_date_starts_no_process(project, add_notebook, monkeypatch, capsys):
    for name in ("90_1_one", "90_2_two", OVERVIEW):
        add_notebook(name)
    names = [OVERVIEW, "90_1_one", "90_2_two"]
    outcomes = run_all(names, progress=False)
    assert [outcome.state for outcome in outcomes] == ["made"] * 3
    lines = capsys.readouterr().out.splitlines()
    assert lines[:2] == [f"{name}: no results yet, running" for name in names[1:]]
    assert lines[-1].startswith(f"{OVERVIEW}: made in ")
    assert outcomes[1].count() == ("1", "0", "-")

    started = []

    def refuse(self, name, values):
        started.append((name, values["seed"] if "seed" in values else 0))
        return Outcome(name, "FAILED", find_results(name, values))

    monkeypatch.setattr(schedule._Children, "run", refuse)
    assert [outcome.state for outcome in run_all(names)] == ["up to date"] * 3
    assert started == []
    assert main(["run", "all", "-p", "90_2_two.seed=1"]) == 1
    assert started == [("90_2_two", 1)]
    started.clear()
    assert main(["run", "all", "--force", "--quiet"]) == 1
    assert sorted(started) == [(OVERVIEW, 0), ("90_1_one", 0), ("90_2_two", 0)]
    started.clear()
    add_notebook("90_1_one", "print('another')")
    capsys.readouterr()
    assert main(["run", "all"]) == 1
    assert started == [("90_1_one", 0)]
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "90_1_one: needs a rerun: notebook, running"
    assert re.match(r"notebook +state +seconds +tables +figures +corpus", lines[-6])
    places = str(project / "results" / "demo"), os.path.relpath(project / "results" / "demo")
    assert lines[-1] == f"Results are in {min(places, key=len)}. Look at them: make report"
    assert lines[-3].split() == ["90_2_two", "up", "to", "date", "-", "1", "0", "-"]


def test_running_cells_are_refreshed_in_place_on_a_terminal_only(monkeypatch, capsys):
    for is_terminal in (True, False):
        monkeypatch.setattr(sys.stdout, "isatty", lambda is_terminal=is_terminal: is_terminal)
        with schedule.Progress(show=True) as shown:
            shown.running["90_1_one"] = time.perf_counter() - 60, 90.5, 3, 20
            shown.write("90_2_two: made")
            shown.write()
            shown.running.clear()
        printed = capsys.readouterr().out
        line = "90_1_one: cell 3 of 20, 1:00, about 0:30 left\n"
        if is_terminal:
            assert printed.startswith(f"90_2_two: made\n{line}\x1b[1F\x1b[J{line}\x1b[1F\x1b[J")
        else:
            assert printed == "90_2_two: made\n"
            shown.running["90_1_one"] = time.perf_counter() - 60, 150.5, 3, 5
            assert shown._describe() == ["90_1_one: cell 3 of 5, 1:00, about 1:30 left"]
            shown.running["90_1_one"] = time.perf_counter() - 60, 0, 0, 0
            assert shown._describe() == ["90_1_one: starting, 1:00"]


def test_a_child_reports_each_cell_and_its_state(add_notebook, monkeypatch):
    add_notebook("90_1_one")
    states = []

    class Recorder(dict):
        def __setitem__(self, name, state):
            states.append((name, *state[2:]))

    shown = schedule.Progress(show=False)
    shown.running = Recorder()
    (outcome,) = schedule.run_side_by_side({"90_1_one": {}}, shown=shown)
    assert outcome.state == "made"
    assert states == [("90_1_one", 0, 0), *(("90_1_one", cell, 4) for cell in (1, 2, 3, 4))]


def test_a_failure_does_not_stop_the_others(project, add_notebook, capsys):
    add_notebook("90_1_bad", "raise ValueError('the reason')")
    add_notebook("90_2_good", LIGHT)
    add_notebook("90_3_gone", DYING)
    folder = project / "out"
    folder.mkdir()
    options = [f"-p90_2_good.results={folder}", f"-p90_3_gone.results={project}", "--jobs", "6"]
    assert main(["run", "90_1_bad", "90_2_good", "90_3_gone", "--quiet", *options]) == 1
    printed = capsys.readouterr().out
    assert "90_1_bad: cell 4 failed with ValueError: the reason" in printed
    assert "90_3_gone: its kernel died; was there too little memory?" in printed
    assert re.search(r"90_1_bad +FAILED +\d+ +0 +0 +-\n90_2_good +made ", printed)
    record = json.loads((folder / "run.json").read_text())
    assert record["n_jobs"] == 6 // min(3, share_out([0.1] * 3, 6)[0])
    assert "the reason" in (project / "results/demo/90_1_bad.failed/executed.ipynb").read_text()
    assert not list(project.rglob(".90_*"))
    with contextlib.suppress(psutil.NoSuchProcess):
        psutil.Process(int((project / "worker").read_text())).wait(60)


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_neither_an_interrupted_nor_a_killed_run_leaves_a_process(project, add_notebook, how):
    names = ["90_1_endless", "90_2_endless"]
    for name in names:
        add_notebook(name, ENDLESS)
        (project / name).mkdir()
    options = [part for name in names for part in ("-p", f"{name}.results={project / name}")]
    # A shell that starts it in the background would make it ignore interrupts.
    code = (
        "import signal, sys\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "from thesislib.cli import main\n"
        "sys.exit(main(sys.argv[1:]))"
    )
    command = [sys.executable, "-c", code, "run", *names, "--jobs", "2", *options]
    parent = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL)
    try:
        wait_for(lambda: all((project / name / "worker").is_file() for name in names), parent)
        below = psutil.Process(parent.pid).children(recursive=True)
        assert len(below) >= 6  # two each of: the notebook's process, its kernel, its worker
        os.kill(parent.pid, how)
        _, errors = parent.communicate(timeout=120)
    finally:
        parent.kill()
    if how == signal.SIGINT:
        assert parent.returncode == 130
        assert errors == b"thesis: interrupted by SIGINT; finished results are kept\n"
    _, alive = psutil.wait_procs(below, timeout=60)
    assert alive == []


def wait_for(condition, process, patience_s=120):
    deadline = time.monotonic() + patience_s
    while not condition():
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_two_runs_into_one_folder_take_turns(project, add_notebook):
    body = LIGHT + (
        "(folder / 'busy').touch(exist_ok=False)\ntime.sleep(0.5)\n(folder / 'busy').unlink()\n"
    )
    add_notebook("90_1_one", body)
    folder = project / "out"
    folder.mkdir()
    code = "import sys; from thesislib.cli import main; sys.exit(main(sys.argv[1:]))"
    command = [sys.executable, "-c", code, "run", "90_1_one", "--quiet", "-p", f"results={folder}"]
    both = [subprocess.Popen(command, stdout=subprocess.DEVNULL) for _ in range(2)]
    assert [one.wait() for one in both] == [0, 0]
    assert not (folder / "busy").exists()
    assert json.loads((folder / "run.json").read_text())["executed"]


def test_parameters_of_one_notebook_and_of_all(add_notebook):
    add_notebook("90_1_one")
    add_notebook("90_2_two")
    add_notebook(OVERVIEW, parameters='profile = "demo"\nresults = ""\n')
    names = ["90_1_one", "90_2_two", OVERVIEW]
    plans = plan_runs(names, parameters={"seed": 1, "90_2_two.seed": 2})
    assert plans == {
        "90_1_one": {"profile": "demo", "seed": 1},
        "90_2_two": {"profile": "demo", "seed": 2},
        OVERVIEW: {"profile": "demo"},
    }
    with pytest.raises(ParameterError, match=r"90_3\.seed: found no notebook 90_3 among those"):
        plan_runs(names, parameters={"90_3.seed": 2})
    with pytest.raises(ParameterError, match="unknown parameter 'sed'"):
        plan_runs(names, parameters={f"{OVERVIEW}.sed": 2})
    with pytest.raises(ParameterError, match="jobs: found 0, expected an integer >= 1"):
        run_all(names, jobs=0)


def test_shares_stay_within_cores_jobs_and_memory(monkeypatch):
    monkeypatch.setattr("joblib.cpu_count", lambda: 8)
    monkeypatch.setattr(schedule, "measure_free_gb", lambda: 10.0)
    assert share_out([1.0] * 3) == (3, 2)
    assert share_out([1.0] * 20) == (8, 1)
    assert share_out([1.0] * 20, jobs=4) == (4, 1)
    assert share_out([1.0] * 20, jobs=64) == (8, 8)
    assert share_out([1.0, 4.0]) == (2, 4)
    assert share_out([1.0, 40.0]) == (1, 8)


def test_a_container_s_limit_counts_as_memory():
    assert 0 < schedule.measure_free_gb() <= psutil.virtual_memory().total / 2**30


def test_the_longest_comes_first(project, add_notebook):
    add_notebook("90_1_short", "print('x')")
    add_notebook("90_2_long", "print('x')\n" * 100)
    assert expect_seconds("90_2_long", {}) > expect_seconds("90_1_short", {})
    folder = project / "results" / "demo" / "90_1_short"
    folder.mkdir(parents=True)
    (folder / "run.json").write_text('{"status": "complete", "durations_s": {"total": 1e6}}')
    assert expect_seconds("90_1_short", {}) == 1e6


def test_foreign_text_is_escaped(tmp_path, monkeypatch):
    record = {"corpora": {"a": {"name": "s\x1b[2J", "kind": "stand-in"}}}
    monkeypatch.setattr(schedule, "read_record", lambda folder: record)
    outcome = Outcome("90_1_one", "FAILED", tmp_path, 1, "clip\x1b[2J.wav:\nfound")
    assert str(outcome).splitlines()[1:] == [r"clip\x1b[2J.wav:", "found"]
    shown = schedule.describe_outcomes([Outcome("90_1_one", "made", tmp_path)])
    assert "\x1b" not in shown and r"s\x1b[2J" in shown
