"""A project of small notebooks."""

import nbformat
import pytest
import yaml
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

PARAMETERS = """\
profile = "demo"
corpus = ""
results = ""
store = ""
seed = 0
n_jobs = 1
weights = {}
"""

# What stands behind it in a real notebook takes a second to import.
TABLE = """\
import pandas as pd
from thesislib.compendium.provenance import Run
run = Run("NAME", globals())
run.table("90.1", pd.DataFrame({"seed": [seed]}), caption="An example.")
run.finish()
"""


@pytest.fixture
def project(tmp_path, monkeypatch):
    """Folder of a project without notebooks; results and store are its own."""
    (tmp_path / "notebooks" / "parameters").mkdir(parents=True)
    paths = {key: {"is": "path"} for key in ("corpus", "results", "store", "weights")}
    limits = {"seed": {"low": 0}, **paths}
    (tmp_path / "notebooks" / "parameters" / "limits.yaml").write_text(yaml.safe_dump(limits))
    monkeypatch.setenv("THESIS_ROOT", str(tmp_path))
    for name in ("THESIS_RESULTS", "THESIS_STORE", "THESIS_WEIGHTS"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


@pytest.fixture
def add_notebook(project):
    """Write a notebook with the usual parameters and one cell."""

    def add(name, body=TABLE, parameters=PARAMETERS):
        tagged = new_code_cell(parameters, metadata={"tags": ["parameters"]})
        cells = [new_markdown_cell(f"# {name}"), tagged, new_code_cell(body.replace("NAME", name))]
        kernel = {"name": "python3", "language": "python", "display_name": "Python 3"}
        notebook = new_notebook(cells=cells, metadata={"kernelspec": kernel})
        nbformat.write(notebook, project / "notebooks" / f"{name}.ipynb")

    return add
