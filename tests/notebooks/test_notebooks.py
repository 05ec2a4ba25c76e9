"""The notebooks as files: form, parameters, and the tables and figures that they promise.

``outputs.csv`` lists what each of them promises, under the thesis's own numbers. Nothing is
run here; what ``make reproduce`` has left in ``results`` is checked where it is there.
"""

import ast
import json
from pathlib import Path

import nbformat
import pandas as pd
import pytest
import yaml
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from thesislib.compendium.parameters import check_parameters
from thesislib.errors import ParameterError
from thesislib.places import results_folder
from thesislib.reporting.notebooks import PROFILES, list_notebooks
from thesislib.reporting.published import list_published
from thesislib.reporting.tables import table_stem
from thesislib.store import hash_file

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "notebooks"
#: From 21 on they are users' own (docs/tutorial.md).
NOTEBOOKS = sorted(path.stem for path in FOLDER.glob("*.ipynb") if path.stem[:2] <= "20")
# The overview reads what the others have made.
EXPERIMENTS = [name for name in NOTEBOOKS if not name.startswith("00_")]
PROFILE_FILES = sorted((FOLDER / "parameters").glob("*/*.yaml"))
PROMISED = pd.read_csv(Path(__file__).with_name("outputs.csv"))
#: Code cells of a notebook; its lines of code; those of a cell; nested statements; keys of a tuple.
MOST_CELLS, MOST_LINES, MOST_OF_CELL, MOST_LEVELS, MOST_KEYS = 25, 250, 25, 2, 2
BLOCKS = (ast.For, ast.While, ast.If, ast.With, ast.Try)


def read_notebook(name):
    return nbformat.read(FOLDER / f"{name}.ipynb", as_version=4)


def code_cells(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def count_lines(cell):
    """Lines of code of a cell: blank lines and comments do not count."""
    lines = (line.strip() for line in cell.source.split("\n"))
    return sum(bool(line) and not line.startswith("#") for line in lines)


def measure_depth(node):
    """Greatest number of nested loops, conditions and the like; ``elif`` is not nested."""
    depths = [0]
    for child in ast.iter_child_nodes(node):
        is_elif = isinstance(node, ast.If) and child in node.orelse and isinstance(child, ast.If)
        inner = isinstance(child, BLOCKS) and not is_elif
        depths.append(measure_depth(child) + inner)
    return max(depths)


def find_lengthy(notebook):
    """Limits of size that a notebook exceeds; the table of its parameters does not count."""
    cells = [c for c in code_cells(notebook) if "parameters" not in c.metadata.get("tags", [])]
    faults, lines = [], [count_lines(cell) for cell in cells]
    if len(cells) + 1 > MOST_CELLS:
        faults.append(f"{len(cells) + 1} code cells, more than {MOST_CELLS}")
    if sum(lines) > MOST_LINES:
        faults.append(f"{sum(lines)} lines of code, more than {MOST_LINES}")
    for cell, n_lines in zip(cells, lines):
        tree, start = ast.parse(cell.source), cell.source.split("\n")[0]
        if n_lines > MOST_OF_CELL:
            faults.append(f"{n_lines} lines in the cell {start!r}, more than {MOST_OF_CELL}")
        if measure_depth(tree) > MOST_LEVELS:
            faults.append(f"{measure_depth(tree)} levels in the cell {start!r}")
        for node in ast.walk(tree):
            keys = getattr(node, "slice", None)
            if isinstance(keys, ast.Tuple) and len(keys.elts) > MOST_KEYS:
                faults.append(f"{len(keys.elts)} keys in {ast.unparse(node)}")
    return faults


def find_faults(notebook):
    """What is wrong with the form of a notebook, a line each."""
    faults = find_lengthy(notebook)
    first = notebook.cells[0]
    if first.cell_type != "markdown" or not first.source.startswith("# "):
        faults.append("does not begin with a title")
    if notebook.metadata.get("kernelspec", {}).get("name") != "python3":
        faults.append("kernel is not python3")
    tagged = [c for c in notebook.cells if "parameters" in c.metadata.get("tags", [])]
    if len(tagged) != 1:
        faults.append(f"{len(tagged)} cells tagged parameters")
    for cell in tagged:
        if any(not is_literal_assignment(node) for node in ast.parse(cell.source).body):
            faults.append("parameters that are no literals")
    for cell in code_cells(notebook):
        if cell.outputs or cell.execution_count is not None:
            faults.append("a cell has outputs")
        for node in ast.walk(ast.parse(cell.source)):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
                faults.append(f"defines {node.name}")
            if isinstance(node, ast.Compare) and "profile" in ast.unparse(node):
                faults.append("asks for the profile")
    return faults


def is_literal_assignment(node):
    if not isinstance(node, ast.Assign) or not isinstance(node.targets[0], ast.Name):
        return False
    try:
        ast.literal_eval(node.value)
    except ValueError:
        return False
    return True


def read_defaults(notebook):
    tagged = [c for c in notebook.cells if "parameters" in c.metadata.get("tags", [])]
    body = ast.parse(tagged[0].source).body
    return {node.targets[0].id: ast.literal_eval(node.value) for node in body}


def holds_numbers(value):
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, (list, tuple)):
        return any(holds_numbers(element) for element in value)
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def list_strings(notebook):
    """All literal texts in the code, among them the numbers of tables and figures."""
    return {
        node.value
        for cell in code_cells(notebook)
        for node in ast.walk(ast.parse(cell.source))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }


def list_files(output):
    """Files of a promised table or figure, relative to the folder of the results."""
    kind, number = output.split()
    suffixes = ("csv", "tex") if kind == "table" else ("png", "pdf")
    return [f"{kind}s/{kind}_{table_stem(number)}.{suffix}" for suffix in suffixes]


def test_the_command_line_knows_every_notebook():
    assert set(NOTEBOOKS) <= set(list_notebooks())
    assert NOTEBOOKS


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_form(name):
    assert find_faults(read_notebook(name)) == []


def test_faults_of_form_are_found():
    cells = [new_code_cell("class A: ...") for _ in range(MOST_CELLS + 2)]
    cells[0] = new_code_cell("a = 1\nb = a + 1", metadata={"tags": ["parameters"]})
    cells[1] = new_code_cell("def f():\n    pass", outputs=[new_output("stream", text="x")])
    cells[2] = new_code_cell("a = 2", metadata={"tags": ["parameters"]})
    cells[3] = new_code_cell("if profile == 'demo':\n    a = 1")
    cells[4] = new_code_cell(
        "for a in b:\n    for c in a:\n        if c:\n            d[a, b, c] = 1"
    )
    cells[5] = new_code_cell("import a\n" + "a = 1\n" * (MOST_LINES + 1))
    notebook = new_notebook(cells=[*cells, new_markdown_cell("## End")])
    faults = find_faults(notebook)
    for expected in (
        "26 code cells, more than 25",
        f"{MOST_LINES + 2} lines in the cell 'import a', more than 25",
        "3 levels in the cell 'for a in b:'",
        "3 keys in d[a, b, c]",
        "does not begin with a title",
        "kernel is not python3",
        "2 cells tagged parameters",
        "parameters that are no literals",
        "a cell has outputs",
        "defines f",
        "defines A",
        "asks for the profile",
    ):
        assert expected in faults
    cells = [new_markdown_cell("# A"), new_code_cell("a = [1]", metadata={"tags": ["parameters"]})]
    good = new_notebook(cells=cells, metadata=read_notebook(NOTEBOOKS[0]).metadata)
    assert find_faults(good) == []


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_every_number_among_the_parameters_has_limits_that_admit_the_default(name):
    limits = yaml.safe_load((FOLDER / "parameters" / "limits.yaml").read_text())
    defaults = read_defaults(read_notebook(name))
    numeric = {key for key, value in defaults.items() if holds_numbers(value)}
    assert sorted(numeric - set(limits)) == []
    assert check_parameters(name, defaults) == defaults


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_parameters_that_the_runner_sets_are_there(name):
    defaults = read_defaults(read_notebook(name))
    assert {"profile", "corpus", "results", "seed", "n_jobs"} <= set(defaults)
    assert defaults["profile"] == "demo"
    # No download and no weights: the demo runs anywhere.
    assert defaults["corpus"] == ""
    assert "imagenet" not in str(defaults.get("weights", {}))


def test_every_profile_belongs_to_a_notebook():
    assert PROFILE_FILES
    for path in PROFILE_FILES:
        assert path.parent.name in PROFILES
        assert path.stem in NOTEBOOKS


@pytest.mark.parametrize("path", PROFILE_FILES, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_profiles_pass_the_runner_s_check(path):
    values = yaml.safe_load(path.read_text(encoding="utf-8"))
    resolved = check_parameters(path.stem, values)
    assert {key: resolved[key] for key in values} == values
    with pytest.raises(ParameterError, match="unknown parameter 'no_such_name'"):
        check_parameters(path.stem, {**values, "no_such_name": 1})


@pytest.mark.parametrize("path", PROFILE_FILES, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_corpora_of_profiles_are_in_the_project_s_data(path):
    corpus = yaml.safe_load(path.read_text(encoding="utf-8")).get("corpus", "data/")
    assert corpus.startswith("data/")


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_every_promised_table_and_figure_is_made_by_its_notebook(name):
    promised = PROMISED.loc[PROMISED["notebook"] == name, "output"]
    assert len(promised)
    strings = list_strings(read_notebook(name))
    assert [output for output in promised if output.split()[1] not in strings] == []


def test_promises_are_those_of_the_experiments():
    assert sorted(PROMISED["notebook"].unique()) == EXPERIMENTS


def test_every_table_of_the_thesis_is_promised_once():
    tables = PROMISED.loc[PROMISED["output"].str.startswith("table "), "output"].str.split().str[1]
    outlook = {"11.3", "11.4", "own", "own_clips", "own_comparisons"}  # beyond the thesis
    assert sorted(set(tables) - outlook) == sorted(list_published().index)
    assert not PROMISED["output"].duplicated().any()


def read_run(name):
    """``run.json`` of the demo, or skip: nothing is there before ``make reproduce``."""
    path = results_folder() / "demo" / name / "run.json"
    if not path.is_file():
        pytest.skip(f"{name}: no results of the demo")
    record = json.loads(path.read_text(encoding="utf-8"))
    if record["status"] != "complete":
        pytest.skip(f"{name}: results of a run that is not complete")
    return path.parent, record


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_results_hold_what_is_promised_and_are_what_run_json_says(name):
    folder, record = read_run(name)
    promised = PROMISED.loc[PROMISED["notebook"] == name, "output"]
    files = {file for output in promised for file in list_files(output)}
    assert sorted(files - set(record["outputs"])) == []
    assert {file: hash_file(folder / file) for file in record["outputs"]} == record["outputs"]


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_outputs_are_tables_figures_and_sentences(name):
    folder, _ = read_run(name)
    cells = nbformat.read(folder / "executed.ipynb", as_version=4).cells
    outputs = [output for cell in cells for output in cell.get("outputs", [])]
    assert [o for o in outputs if set(o.get("data", {})) <= {"text/plain"}] == []
