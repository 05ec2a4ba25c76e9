"""Parameters are rejected before a kernel starts; a run leaves results and their record."""

import json

import nbformat
import pytest
import yaml
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from thesislib.cli import main
from thesislib.compendium.parameters import check_parameters, plan_runs, resolve_run
from thesislib.errors import CorpusError, ParameterError
from thesislib.reporting.notebooks import list_notebooks, read_parameters, read_title
from thesislib.reporting.results import find_results
from thesislib.store import hash_file

PARAMETERS = """\
profile = "demo"  # demo or paper
corpus = ""
results = ""
seed = 0
n_jobs = 1
window_s = 0.016
hop_s = 0.008
colour_maps = ["gray", "viridis"]
weights = {}
refit = True
"""

BODY = """\
import pandas as pd
from thesislib.compendium.provenance import Run
run = Run("90_1_example", globals())
run.table("90.1", pd.DataFrame({"seed": [seed], "hop_s": [hop_s]}), caption="An example.")
run.finish()
"""


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A project with one small notebook."""
    folder = tmp_path / "notebooks"
    (folder / "parameters" / "paper").mkdir(parents=True)
    cell = new_code_cell(PARAMETERS, metadata={"tags": ["parameters"]})
    cells = [new_markdown_cell("# An example"), cell, new_code_cell(BODY)]
    notebook = new_notebook(cells=cells)
    nbformat.write(notebook, folder / "90_1_example.ipynb")
    (folder / "parameters" / "paper" / "90_1_example.yaml").write_text("seed: 7\n")
    limits = {
        "seed": {"low": 0},
        "n_jobs": {"low": 1},
        "hop_s": {"above": 0},
        "window_s": {"above": 0, "high": 10},
        "colour_maps": {"is": "colour map"},
        "weights": {"is": "path"},
    }
    (folder / "parameters" / "limits.yaml").write_text(yaml.safe_dump(limits))
    monkeypatch.setenv("THESIS_ROOT", str(tmp_path))
    return tmp_path


def test_parameters_are_read_without_running_anything(project):
    parameters = read_parameters("90_1_example")
    assert parameters["colour_maps"] == ["gray", "viridis"]
    assert parameters["refit"] is True
    assert list_notebooks() == ["90_1_example"]
    assert read_title("90_1_example") == "An example"


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"hop": 0.1}, "unknown parameter 'hop'; did you mean 'hop_s'"),
        ({"seed": -1}, "seed: found -1, expected a number >= 0"),
        ({"seed": 1.5}, r"seed: found 1.5 \(float\), expected a int like 0"),
        ({"hop_s": 0}, "hop_s: found 0, expected a number > 0"),
        ({"hop_s": 0.1}, "hop_s is 0.1, expected at most window_s = 0.016"),
        ({"colour_maps": ["virids"]}, "did you mean 'viridis'"),
        ({"colour_maps": []}, "colour_maps: found an empty list"),
        ({"colour_maps": "gray"}, r"found 'gray' \(str\), expected a list"),
        ({"refit": 1}, r"refit: found 1 \(int\), expected a bool"),
    ],
)
def test_wrong_parameters_are_refused_with_what_was_expected(project, values, message):
    with pytest.raises(ParameterError, match=message):
        check_parameters("90_1_example", values)


def test_all_wrong_parameters_are_named_at_once(project):
    with pytest.raises(ParameterError) as caught:
        check_parameters("90_1_example", {"sed": 1, "hop_s": -1})
    assert "'sed'" in str(caught.value)
    assert "hop_s" in str(caught.value)


def test_parameters_go_before_those_of_the_profile(project):
    values = resolve_run("90_1_example", profile="paper", parameters={"n_jobs": 3})
    assert values == {"seed": 7, "profile": "paper", "n_jobs": 3}
    values = resolve_run("90_1_example", profile="paper", parameters={"seed": 9})
    assert values == {"seed": 9, "profile": "paper"}
    with pytest.raises(CorpusError, match="found no folder"):
        plan_runs(["90_1_example"], corpus=project / "absent")
    with pytest.raises(ParameterError, match="did you mean '90_1_example'"):
        resolve_run("90_1_exampel")
    with pytest.raises(ParameterError, match=r"no notebooks/parameters/public/90_1_example\.yaml"):
        resolve_run("90_1_example", profile="public")


def test_a_profile_s_corpus_is_where_the_project_is(project, monkeypatch):
    path = project / "notebooks" / "parameters" / "paper" / "90_1_example.yaml"
    path.write_text("corpus: data/example\n")
    (project / "data" / "example").mkdir(parents=True)
    monkeypatch.chdir("/")
    values = resolve_run("90_1_example", profile="paper")
    assert values["corpus"] == str(project / "data" / "example")


def test_relative_paths_are_resolved_for_the_notebook(project, monkeypatch):
    monkeypatch.chdir(project)
    (project / "w.safetensors").write_bytes(b"x")
    values = resolve_run("90_1_example", parameters={"weights": {"alexnet": "w.safetensors"}})
    assert values["weights"]["alexnet"] == str((project / "w.safetensors").resolve())
    values = resolve_run("90_1_example", parameters={"results": "not/there/yet"})
    assert values["results"] == str(project / "not" / "there" / "yet")


def test_a_run_leaves_notebook_tables_and_provenance(project):
    assert main(["run", "90_1_example", "--quiet", "-p", "seed=5"]) == 0
    executed = project / "results" / "demo" / "90_1_example" / "executed.ipynb"
    record = json.loads((executed.parent / "run.json").read_text())
    assert record["status"] == "complete"
    assert record["parameters"]["seed"] == 5
    assert record["versions"]["numpy"]
    assert set(record["outputs"]) == {f"tables/table_90_1.{end}" for end in ("csv", "html", "tex")}
    assert record["executed"] == hash_file(executed)
    assert 0 < record["peak_memory_gb"] < 100
    table = (executed.parent / "tables" / "table_90_1.csv").read_text()
    assert table.splitlines()[0] == "source,seed,hop_s,corpus_kind"


def hash_all(folder):
    return {path: hash_file(path) for path in folder.rglob("*.*") if path.is_file()}


@pytest.mark.parametrize(
    ("cell", "error"),
    [
        ("raise ValueError('the reason')", "cell 5 failed with ValueError: the reason"),
        ("import os; os._exit(1)", "its kernel died"),
        ("run._write('running')", "no cell called run.finish()"),
    ],
)
def test_a_failing_run_leaves_the_finished_results_alone(project, capsys, cell, error):
    assert main(["run", "90_1_example", "--quiet"]) == 0
    folder = project / "results" / "demo" / "90_1_example"
    before = hash_all(folder)
    path = project / "notebooks" / "90_1_example.ipynb"
    notebook = nbformat.read(path, as_version=4)
    notebook.cells.append(new_code_cell(cell))
    nbformat.write(notebook, path)
    assert main(["run", "90_1_example", "--quiet", "-p", "seed=1"]) == 1
    failed = folder.with_name("90_1_example.failed")
    printed = capsys.readouterr().out
    assert error in printed
    assert f"failed copy: {failed}" in printed
    assert hash_all(folder) == before
    assert {path.name for path in folder.parent.iterdir()} == {folder.name, failed.name}
    assert error in (failed / "log.txt").read_text()
    record = json.loads((failed / "run.json").read_text())
    assert (record["status"], record["parameters"]["seed"]) == ("failed", 1)
    assert "seed = 1" in (failed / "executed.ipynb").read_text()
    assert (failed / "tables" / "table_90_1.csv").is_file()


def test_a_good_run_replaces_the_results_and_what_is_beside_them_stays(project):
    folder = project / "results" / "demo" / "90_1_example"
    assert main(["run", "90_1_example", "--quiet"]) == 0
    (folder / "notes.txt").write_text("mine")
    path = project / "notebooks" / "90_1_example.ipynb"
    path.write_text(path.read_text().replace("90.1", "90.2"))
    assert main(["run", "90_1_example", "--quiet", "-p", "seed=1"]) == 0
    record = json.loads((folder / "run.json").read_text())
    assert record["parameters"]["seed"] == 1
    assert hash_all(folder / "tables").keys() == {folder / name for name in record["outputs"]}
    assert (folder / "notes.txt").read_text() == "mine"


def test_results_in_a_folder_of_their_own_are_up_to_date(project, capsys):
    command = ["run", "90_1_example", "--quiet", "-p", f"results={project / 'out'}"]
    assert main(command) == 0
    assert main(command) == 0
    assert "up to date" in capsys.readouterr().out
    assert (project / "out" / "tables" / "table_90_1.csv").is_file()


def test_a_copy_that_would_replace_the_original_s_results_is_refused(project):
    original = project / "notebooks" / "90_1_example.ipynb"
    copy = project / "notebooks" / "90_2_mine.ipynb"
    copy.write_bytes(original.read_bytes())
    message = r"90_2_mine: found Run\('90_1_example', …\) in a cell, expected .* Run\('90_2_mine'"
    with pytest.raises(ParameterError, match=message):
        resolve_run("90_2_mine")
    copy.write_text(copy.read_text().replace("90_1_example", "90_2_mine"))
    assert resolve_run("90_2_mine")
    folder = project / "out"
    folder.mkdir()
    (folder / "run.json").write_text('{"status": "complete", "notebook": "90_1_example"}')
    with pytest.raises(ParameterError, match="results: found results of 90_1_example in"):
        resolve_run("90_2_mine", parameters={"results": str(folder)})
    (folder / "run.json").unlink()
    with pytest.raises(ParameterError, match=r"found .*/out for several notebooks"):
        plan_runs(["90_1_example", "90_2_mine"], parameters={"results": str(folder)})


def test_the_command_line_refuses_with_code_2(project, capsys):
    assert main(["run", "90_1_example", "-p", "sed=1"]) == 2
    assert "did you mean 'seed'" in capsys.readouterr().err
    assert main(["run", "90_1_example", "-p", "hop_s=1e9"]) == 2
    with pytest.raises(SystemExit, match="2"):
        main(["run", "90_1_example", "-p", "no-equals-sign"])


def test_numbers_on_the_command_line_may_be_written_scientifically(project):
    from thesislib.cli import build_parser

    options = build_parser().parse_args(["run", "x", "-p", "c=[1e-6, 1e-2]", "-p", "w=1e-3"])
    assert dict(options.parameters) == {"c": [1e-6, 1e-2], "w": 1e-3}


def test_an_empty_value_is_an_empty_text_where_the_default_is_text(project):
    from thesislib.cli import build_parser

    asked = build_parser().parse_args(["run", "x", "-p", "corpus=", "-p", "profile=demo"])
    assert dict(asked.parameters)["corpus"] is None
    assert resolve_run("90_1_example", parameters={"corpus": None})["corpus"] == ""
    with pytest.raises(ParameterError, match="seed: found None"):
        resolve_run("90_1_example", parameters={"seed": None})


def test_list_shows_what_has_results(project, capsys):
    assert main(["list"]) == 0
    assert "An example" in capsys.readouterr().out


def record_results(folder, **parameters):
    folder.mkdir(parents=True)
    record = {"notebook": "90_1_example", "status": "complete", "parameters": parameters}
    (folder / "run.json").write_text(json.dumps(record))


def test_results_of_another_corpus_are_not_replaced(project, capsys):
    own, other = project / "a" / "speech", project / "b" / "speech"
    for corpus in (own, other):
        corpus.mkdir(parents=True)
    name = "90_1_example"
    folder = find_results(name, {"corpus": str(own)})
    assert folder == project / "results" / "speech" / name
    assert find_results(name, {}) == project / "results" / "demo" / name
    assert find_results(name, {"corpus": str(project / "demo")}).parent.name == "own-demo"
    record_results(folder, corpus=str(own))
    assert resolve_run(name, parameters={"corpus": str(own)})["corpus"] == str(own)
    (project / "link").symlink_to(project / "a")  # the same corpus
    assert resolve_run(name, parameters={"corpus": str(project / "link" / "speech")})
    with pytest.raises(ParameterError, match=f"found results of the corpus {own} in {folder}"):
        resolve_run(name, parameters={"corpus": str(other)})
    own.rename(project / "c")  # moved: no folder is there any more
    assert resolve_run(name, parameters={"corpus": str(other)})
    record_results(project / "out", corpus="")
    with pytest.raises(ParameterError, match="found results of the synthetic corpus in"):
        resolve_run(name, parameters={"corpus": str(other), "results": str(project / "out")})
    assert main(["list"]) == 0
    assert "[speech: out of date]" in capsys.readouterr().out


def test_a_profile_s_own_corpus_has_the_profile_s_folder(project):
    (project / "notebooks/parameters/paper/90_1_example.yaml").write_text("corpus: data/snore\n")
    corpus = {"profile": "paper", "corpus": str(project / "data" / "snore")}
    assert find_results("90_1_example", corpus).parent.name == "paper"
    assert find_results("90_1_example", corpus | {"profile": "demo"}).parent.name == "snore"
