"""What calls for another run, and what does not: a change injected at a time."""

import json
import os
import shutil

import matplotlib

matplotlib.use("Agg")

import pandas as pd
import pytest

from thesislib.compendium import freshness
from thesislib.compendium.freshness import (
    describe_all,
    find_results,
    list_changes,
    read_record,
    stamp,
)
from thesislib.compendium.provenance import Run
from thesislib.reporting.notebooks import OVERVIEW, read_parameters
from thesislib.store import hash_file

NAME = "90_1_example"


def make_results(name=NAME, **values):
    """Results as a run leaves them, without a kernel; returns the parameters."""
    parameters = {**read_parameters(name), **values}
    run = Run(name, parameters)
    run.table("90.1", pd.DataFrame({"seed": [parameters["seed"]]}), caption="An example.")
    run.finish()
    (run.results / "executed.ipynb").write_text("{}")
    amend(run.results, executed=hash_file(run.results / "executed.ipynb"))
    return parameters


def amend(folder, **values):
    record = json.loads((folder / "run.json").read_text())
    (folder / "run.json").write_text(json.dumps({**record, **values}))


@pytest.fixture(autouse=True)
def package(tmp_path, monkeypatch):
    """Folder that stands for the package's."""
    folder = tmp_path / "package"
    folder.mkdir()
    (folder / "freshness.py").write_text("a = 1\n")
    monkeypatch.setattr(freshness, "__file__", str(folder / "compendium" / "freshness.py"))
    return folder


@pytest.fixture
def corpus(tmp_path):
    folder = tmp_path / "corpus"
    (folder / "wav").mkdir(parents=True)
    (folder / "index.csv").write_text("file,label\n")
    (folder / "wav" / "a.wav").write_bytes(b"abc")
    return folder


@pytest.fixture
def results(add_notebook, corpus, tmp_path):
    """Parameters and folder of results that are up to date."""
    add_notebook(NAME)
    weights = tmp_path / "w.safetensors"
    weights.write_bytes(b"w")
    parameters = make_results(corpus=str(corpus), weights={"alexnet": str(weights)})
    assert list_changes(NAME, parameters) == []
    return parameters, find_results(NAME, parameters)


def test_what_cannot_change_a_result_calls_for_no_run(results, corpus, tmp_path):
    parameters, _ = results
    assert describe_all().endswith("[corpus: up to date]")
    assert list_changes(NAME, {**parameters, "n_jobs": 8, "store": str(tmp_path)}) == []
    (corpus / ".hidden").write_text("no part of it")
    notebook = tmp_path / "notebooks" / f"{NAME}.ipynb"
    content = json.loads(notebook.read_text())
    content["cells"][2]["outputs"] = [{"output_type": "stream", "name": "stdout", "text": "x"}]
    notebook.write_text(json.dumps(content))
    assert list_changes(NAME, parameters) == []


def test_the_folders_of_results_and_store_are_no_inputs(results, tmp_path):
    places = {"results": str(tmp_path / "out"), "store": str(tmp_path / "store")}
    parameters = make_results(**places)
    (tmp_path / "store").mkdir()
    assert list_changes(NAME, parameters) == []
    # As the report does, where results lie elsewhere than where they were made.
    shutil.copytree(tmp_path / "out", tmp_path / "copy")
    copied = {**parameters, "results": str(tmp_path / "copy")}
    assert list_changes(NAME, copied, read_record(tmp_path / "copy")) == []


def test_a_changed_parameter(results):
    parameters, _ = results
    assert list_changes(NAME, {**parameters, "seed": 1}) == ["parameter seed"]
    assert list_changes(NAME, {**parameters, "new": 1}) == ["parameter new"]


def test_a_changed_notebook(results, add_notebook):
    parameters, _ = results
    add_notebook(NAME, "print('another')")
    assert list_changes(NAME, parameters) == ["notebook"]
    assert describe_all().endswith("[corpus: out of date]")


def test_a_changed_library(results, package):
    parameters, _ = results
    (package / "__pycache__").mkdir()
    (package / "__pycache__" / "freshness.pyc").write_bytes(b"x")
    assert list_changes(NAME, parameters) == []
    (package / "corpora").mkdir()
    (package / "corpora" / "recipes.py").write_text("b = 2\n")
    assert list_changes(NAME, parameters) == ["thesislib"]


def test_a_changed_version_of_a_library(results):
    parameters, folder = results
    versions = json.loads((folder / "run.json").read_text())["versions"]
    amend(folder, versions={**versions, "torch": "0.1"})
    assert list_changes(NAME, parameters) == ["library torch"]


def test_a_changed_printed_table(results, tmp_path):
    parameters, _ = results
    (tmp_path / "data" / "published").mkdir(parents=True)
    (tmp_path / "data" / "published" / "table.csv").write_text("a\n1\n")
    assert list_changes(NAME, parameters) == ["published tables"]


def test_a_changed_corpus(results, corpus):
    parameters, _ = results
    clip = corpus / "wav" / "a.wav"
    times = clip.stat().st_atime_ns, clip.stat().st_mtime_ns
    os.utime(clip, ns=(times[0], times[1] + 1))
    assert list_changes(NAME, parameters) == ["files of corpus"]
    os.utime(clip, ns=times)
    assert list_changes(NAME, parameters) == []
    (corpus / "wav" / "b.wav").write_bytes(b"")
    assert list_changes(NAME, parameters) == ["files of corpus"]


def test_changed_weights(results, tmp_path, monkeypatch):
    parameters, _ = results
    (tmp_path / "w.safetensors").write_bytes(b"other")
    assert list_changes(NAME, parameters) == ["files of weights"]
    monkeypatch.setenv("THESIS_WEIGHTS", str(tmp_path / "kept"))
    parameters = make_results(weights={"alexnet": "imagenet"})
    assert list_changes(NAME, parameters) == []
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept" / "alexnet.safetensors").write_bytes(b"x")
    assert list_changes(NAME, parameters) == ["files of weights"]


def test_damaged_outputs(results):
    parameters, folder = results
    table = folder / "tables" / "table_90_1.csv"
    content = table.read_bytes()
    table.write_bytes(content + b"\n")
    assert list_changes(NAME, parameters) == ["another tables/table_90_1.csv"]
    table.unlink()
    assert list_changes(NAME, parameters) == ["no tables/table_90_1.csv"]
    table.write_bytes(content)
    (folder / "executed.ipynb").unlink()
    assert list_changes(NAME, parameters) == ["no executed.ipynb"]


def test_a_run_that_did_not_end(results):
    parameters, folder = results
    amend(folder, status="running")
    assert list_changes(NAME, parameters) == ["no results"]
    assert not describe_all().endswith("]")
    (folder / "run.json").write_text("{")
    assert list_changes(NAME, parameters) == ["no results"]


def test_a_record_of_another_version_is_out_of_date_and_no_error(results):
    parameters, folder = results
    record = json.loads((folder / "run.json").read_text())
    del record["inputs"]
    (folder / "run.json").write_text(json.dumps(record))
    assert {"notebook", "thesislib"} <= set(list_changes(NAME, parameters))


def test_the_overview_depends_on_what_the_others_left(results, add_notebook):
    add_notebook(OVERVIEW)
    parameters = make_results(OVERVIEW)
    assert list_changes(OVERVIEW, parameters) == []
    for other in (f"{NAME}.failed", f".{NAME}-host-1-abc"):
        shutil.copytree(results[1], results[1].with_name(other))
    assert list_changes(OVERVIEW, parameters) == []
    amend(results[1], note="another run")
    assert list_changes(OVERVIEW, parameters) == [f"corpus/{NAME}"]


def test_stamps_follow_links_but_not_for_ever(corpus, tmp_path):
    linked = tmp_path / "linked"
    linked.mkdir()
    (linked / "corpus").symlink_to(corpus)
    (linked / "above").symlink_to(linked)
    (linked / "nothing").symlink_to(tmp_path / "absent")
    before = stamp(linked)
    assert before == stamp(linked)
    (corpus / "wav" / "c.wav").write_bytes(b"c")
    assert stamp(linked) != before
