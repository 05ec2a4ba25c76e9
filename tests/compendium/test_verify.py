"""Results come out again, or the files that do not are named."""

import json
from pathlib import Path

import pytest

from thesislib.cli import main
from thesislib.compendium import verify
from thesislib.compendium.schedule import Outcome
from thesislib.compendium.verify import list_results, verify_all
from thesislib.errors import ParameterError
from thesislib.reporting.results import find_results, read_record

# Reads its store, as a real one would; the second is not deterministic.
STORED = """\
import os, pathlib
import pandas as pd
from thesislib.compendium.provenance import Run
run = Run("NAME", globals())
kept = pathlib.Path(store or os.environ["THESIS_STORE"]) / "value"
kept.parent.mkdir(parents=True, exist_ok=True)
value = kept.read_text() if kept.is_file() else str(VALUE)
kept.write_text(value)
run.table("90.1", pd.DataFrame({"value": [value], "seed": [seed]}), caption="An example.")
run.finish()
"""


def test_equal_bytes_from_a_full_and_from_an_empty_store(
    project, add_notebook, monkeypatch, capsys
):
    monkeypatch.setenv("THESIS_STORE", str(project / "store"))
    add_notebook("90_1_same", STORED.replace("VALUE", "1"))
    assert main(["run", "90_1_same", "--quiet", "-p", "seed=3"]) == 0
    before = read_record(project / "results" / "demo" / "90_1_same")
    assert main(["verify", "--empty-store"]) == 0
    printed = capsys.readouterr().out
    assert "90_1_same: equal in" in printed
    assert printed.endswith("1 of 1 notebooks gave the same tables\n")
    assert read_record(project / "results" / "demo" / "90_1_same") == before
    assert not (project / "results" / ".verify").exists()


@pytest.fixture
def rerun(monkeypatch):
    """Stand in for the processes: what runs, and what its tables hold."""
    seen = {}

    def run(plans, **options):
        for name, values in plans.items():
            seen[name] = values
            folder = find_results(name, values)
            (folder / "tables").mkdir(parents=True)
            (folder / "tables" / "a.csv").write_text(f"seed\n{values['seed']}\n")
            (folder / "tables" / "b.csv").write_text("other\n" if "2" in name else "b\n")
            write_record(folder, values)
            yield Outcome(name, "made", folder, 1.0)

    monkeypatch.setattr(verify, "run_side_by_side", run)
    return seen


def write_record(folder, parameters, status="complete"):
    outputs = {"tables/a.csv": "", "tables/b.csv": ""}
    record = {"status": status, "parameters": parameters, "outputs": outputs}
    (folder / "run.json").write_text(json.dumps(record))


def add_results(project, name, **parameters):
    folder = project / "results" / "demo" / name
    (folder / "tables").mkdir(parents=True)
    (folder / "tables" / "a.csv").write_text(f"seed\n{parameters['seed']}\n")
    (folder / "tables" / "b.csv").write_text("b\n")
    write_record(folder, {"profile": "demo", "n_jobs": 4, **parameters})
    return folder


def test_files_that_differ_are_named_and_kept(project, add_notebook, rerun, capsys):
    for number, name in enumerate(["90_1_one", "90_2_two"]):
        add_notebook(name)
        add_results(project, name, seed=number)
    assert main(["verify", "--jobs", "1"]) == 1
    printed = capsys.readouterr().out
    assert "90_1_one: equal in 1 s, 2 tables" in printed
    assert "90_2_two: DIFFERS in 1 s" in printed
    assert "  tables/b.csv\n" in printed
    assert "tables/a.csv" not in printed
    assert "changed since: " in printed
    assert "1 of 2 notebooks gave the same tables" in printed
    assert rerun["90_2_two"]["seed"] == 1
    assert "n_jobs" not in rerun["90_2_two"]
    (kept,) = (project / "results" / ".verify").iterdir()
    assert (kept / "results" / "tables" / "b.csv").read_text() == "other\n"


def test_an_empty_store_is_asked_for_and_removed(project, add_notebook, rerun):
    add_notebook("90_1_one")
    add_results(project, "90_1_one", seed=0, store="theirs")
    assert verify_all(["90_1_one"])
    assert rerun["90_1_one"]["store"] == str(Path("theirs").absolute())
    assert verify_all(["90_1_one"], empty_store=True)
    assert rerun["90_1_one"]["store"].startswith(str(project / "results" / ".verify"))
    assert list_results() == ["90_1_one"]


def test_what_cannot_be_verified_is_refused(project, add_notebook, rerun, capsys):
    add_notebook("90_1_one")
    assert main(["verify"]) == 0
    assert "no results in the profile demo; nothing to verify" in capsys.readouterr().out
    with pytest.raises(ParameterError, match="90_1_one: found no complete results in"):
        verify_all(["90_1_one"])
    folder = add_results(project, "90_1_one", seed=0, gone=1)
    with pytest.raises(ParameterError, match="unknown parameter 'gone'"):
        verify_all(["90_1_one"])
    assert not (project / "results" / ".verify").exists()
    write_record(folder, {}, status="running")
    with pytest.raises(ParameterError, match="found no complete results"):
        verify_all(["90_1_one"])
    assert rerun == {}
