"""Executed notebooks, run again by nbval, say the same.

The copies are those that ``make reproduce`` has left in ``results/demo``. They run with a folder
of results of their own, in which the other notebooks' results are linked. Pictures are
not compared (fonts and libraries draw them), texts and tables are.
"""

import os
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

from thesislib.compendium.freshness import list_changes
from thesislib.compendium.provenance import describe_machine
from thesislib.places import results_folder
from thesislib.reporting.notebooks import list_notebooks
from thesislib.reporting.results import read_record

#: Takes some ten seconds once its features are in the store.
QUICK = "09_2_sentiment"

WIDGET = "application/vnd.jupyter.widget-view+json"


def copy_executed(name, target):
    """Copy an executed notebook; what a widget draws is left out, since nbval has no widgets."""
    notebook = nbformat.read(results_folder() / "demo" / name / "executed.ipynb", as_version=4)
    for cell in notebook.cells:
        if any(WIDGET in output.get("data", {}) for output in cell.get("outputs", [])):
            cell.metadata.setdefault("tags", []).append("nbval-ignore-output")
    nbformat.write(notebook, target)


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=() if name == QUICK else pytest.mark.slow)
        for name in list_notebooks()
    ],
)
def test_an_executed_notebook_says_the_same_again(name, tmp_path):
    record = read_record(results_folder() / "demo" / name)
    if record is None:
        pytest.skip(f"{name}: no complete results of the demo")
    if record["machine"] != describe_machine():
        pytest.skip(f"{name}: the results were computed on another machine")
    changes = list_changes(name, record["parameters"], record)
    if changes:
        pytest.skip(f"{name}: results are out of date ({', '.join(changes)})")
    for other in (results_folder() / "demo").iterdir():
        if other.name != name:
            (tmp_path / "results" / "demo").mkdir(parents=True, exist_ok=True)
            (tmp_path / "results" / "demo" / other.name).symlink_to(other.resolve())
    copy_executed(name, tmp_path / f"{name}.ipynb")
    options = "-q -p no:cacheprovider --nbval --nbval-cell-timeout=1800 -c sanitise.ini"
    (tmp_path / "sanitise.ini").write_text("[pytest]\n")
    rules = Path(__file__).with_name("sanitise.cfg")
    found = subprocess.run(
        [sys.executable, "-m", "pytest", *options.split()]
        + [f"--nbval-sanitize-with={rules}", f"{name}.ipynb"],
        cwd=tmp_path,
        env={**os.environ, "THESIS_RESULTS": str(tmp_path / "results"), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    assert found.returncode == 0, found.stdout[-4000:] + found.stderr[-2000:]
