"""A folder of results holds an old run's files or a new one's, whenever a process is killed."""

import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from thesislib.errors import StoreError
from thesislib.reporting import results
from thesislib.reporting.results import keep_failed, list_folders, publish, read_record, stage

OLD = {"tables/a.csv": "old", "tables/gone.csv": "old", "executed.ipynb": "old"}
NEW = {"tables/a.csv": "new", "models/b.json": "new", "executed.ipynb": "new"}


class Killed(BaseException):
    """Stands for SIGKILL: nothing of the library catches it."""


def write_run(folder, files):
    """Stage a run with these files."""
    staged = stage(folder)
    for name, text in files.items():
        (staged / name).parent.mkdir(exist_ok=True)
        (staged / name).write_text(text)
    outputs = dict.fromkeys(files.keys() - {"executed.ipynb"}, "")
    record = {"status": "complete", "outputs": outputs, "executed": files["executed.ipynb"]}
    (staged / "run.json").write_text(json.dumps(record))
    return staged


def read_files(folder):
    """Text of each file but the record and the locks."""
    paths = (path for path in folder.rglob("[!.]*") if path.is_file())
    return {
        path.relative_to(folder).as_posix(): path.read_text()
        for path in paths
        if path.name != "run.json"
    }


@pytest.fixture
def folder(tmp_path):
    """Results of an old run."""
    folder = tmp_path / "10_2_snore"
    publish(write_run(folder, OLD), folder)
    return folder


@pytest.mark.parametrize("n_calls", range(9))
def test_a_kill_at_any_step_leaves_the_old_results_or_the_new(folder, monkeypatch, n_calls):
    staged, calls = write_run(folder, NEW), []

    def die(function):
        def call(*arguments, **options):
            calls.append(function)
            if len(calls) > n_calls:
                raise Killed
            return function(*arguments, **options)

        return call

    with monkeypatch.context() as patched:
        for owner, name in [
            (os, "replace"),
            (results.Path, "rename"),
            (results.Path, "unlink"),
            (results.shutil, "rmtree"),
        ]:
            patched.setattr(owner, name, die(getattr(owner, name)))
        try:
            publish(staged, folder)
        except Killed:
            pass
    if n_calls == 0:
        assert read_record(folder)["executed"] == "old"
        assert read_files(folder) == OLD
    else:
        assert read_record(folder)["executed"] == "new"
        assert read_files(folder) == NEW
        assert not folder.with_name(".10_2_snore.new").exists()
    assert list_folders(folder.parent) == [folder]


def test_runs_that_end_at_once_leave_the_results_of_one(folder):
    def end(number):
        publish(write_run(folder, dict.fromkeys(NEW, str(number))), folder)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(end, range(12)))
    assert read_files(folder).keys() == NEW.keys()
    assert set(read_files(folder).values()) == {read_record(folder)["executed"]}


def test_a_first_result_is_found_after_a_kill(tmp_path):
    folder = tmp_path / "10_2_snore"
    write_run(folder, NEW).rename(tmp_path / ".10_2_snore.new")
    assert list_folders(tmp_path) == [folder]
    assert read_files(folder) == NEW


def test_files_of_others_stay_and_are_not_listed_as_results(folder):
    (folder / "notes.txt").write_text("mine")
    outside = folder.with_name("outside.csv")
    outside.write_text("mine")
    record = json.loads((folder / "run.json").read_text())
    record["outputs"]["../outside.csv"] = ""
    (folder / "run.json").write_text(json.dumps(record))
    staged = write_run(folder, NEW)
    assert list_folders(folder.parent) == [folder]
    publish(staged, folder)
    assert read_files(folder) == {**NEW, "notes.txt": "mine"}
    assert outside.read_text() == "mine"


def test_folders_of_dead_processes_are_removed_and_of_living_ones_not(folder):
    mine = stage(folder)
    code = "import sys, pathlib; from thesislib.reporting.results import stage\n"
    code += "print(stage(pathlib.Path(sys.argv[1])).name)"
    command = [sys.executable, "-c", code, str(folder)]
    dead = []
    for _ in range(2):
        run = subprocess.run(command, capture_output=True, text=True, check=True)
        dead.append(folder.with_name(run.stdout.strip()))
    assert [path.is_dir() for path in [mine, *dead]] == [True, False, True]


def test_a_failed_run_replaces_an_earlier_failure_only(folder):
    for text in ("first", "second"):
        failed = keep_failed(write_run(folder, NEW), folder, text)
    assert failed == folder.with_name("10_2_snore.failed")
    assert (failed / "log.txt").read_text() == "second\n"
    assert json.loads((failed / "run.json").read_text())["status"] == "failed"
    assert read_record(failed) is None
    assert read_files(folder) == OLD
    assert list_folders(folder.parent) == [folder]


def test_a_file_where_the_folder_should_be_is_named(tmp_path):
    (tmp_path / "results").write_text("a file")
    with pytest.raises(
        StoreError, match=r"results.*: cannot be written \((Not a dir|a file stands)"
    ):
        stage(tmp_path / "results")


def test_without_moving_from_the_folder_above_a_run_writes_inside(folder, monkeypatch):
    """As where the folder of results is a mounted disk."""

    def refuse(*_):
        raise OSError(18, "Invalid cross-device link")

    with monkeypatch.context() as patched:
        patched.setattr(results.Path, "rename", refuse)
        staged = write_run(folder, NEW)
    assert staged.parent == folder
    publish(staged, folder)
    assert read_files(folder) == NEW
