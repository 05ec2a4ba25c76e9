"""A notebook outside `thesis run`: finished results change when its run is complete, not before."""

import json
import shutil
import signal
import subprocess
import sys
import time
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import papermill
import pytest
import soundfile
from papermill.exceptions import PapermillExecutionError

from thesislib.cli import main
from thesislib.compendium.provenance import Run
from thesislib.corpora.index import Corpus
from thesislib.errors import ParameterError
from thesislib.evaluation import Predictions
from thesislib.reporting.notebooks import read_parameters
from thesislib.reporting.scores import ScoreTable
from thesislib.store import hash_file

NAME = "90_1_example"
BODY = """\
import pathlib, time
import pandas as pd
from thesislib.compendium.provenance import Run
run = Run("NAME", globals())
run.table("90.1", pd.DataFrame({"seed": [seed]}), caption="An example.")
if seed == 8:
    raise ValueError("the reason")
if seed == 9:
    pathlib.Path(store).touch()
    time.sleep(600)
run.finish()
"""


@pytest.fixture
def finished(project, add_notebook):
    """Folder of finished results."""
    add_notebook(NAME, BODY)
    assert main(["run", NAME, "--quiet"]) == 0
    return project / "results" / "demo" / NAME


def hash_all(folder):
    return {path: hash_file(path) for path in folder.rglob("*.*") if path.is_file()}


def execute(project, **parameters):
    notebook, output = project / "notebooks" / f"{NAME}.ipynb", project / "o.ipynb"
    papermill.execute_notebook(notebook, output, parameters, progress_bar=False)


def test_papermill_replaces_results_when_it_is_through(project, finished, capsys):
    before = hash_all(finished)
    with pytest.raises(PapermillExecutionError, match="the reason"):
        execute(project, seed=8)
    assert hash_all(finished) == before
    assert main(["list"]) == 0
    assert "demo: up to date" in capsys.readouterr().out
    execute(project, seed=7)
    assert "7" in (finished / "tables" / "table_90_1.csv").read_text()
    # No copy of this run exists there; the one of the run before would be another run's.
    assert not (finished / "executed.ipynb").exists()


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_an_interrupted_notebook_leaves_finished_results_alone(project, finished, how):
    before, started = hash_all(finished), project / "started"
    command = [sys.executable, "-m", "papermill", f"{NAME}.ipynb", str(project / "o.ipynb")]
    command += ["-p", "seed", "9", "-p", "store", str(started)]
    process = subprocess.Popen(
        command,
        cwd=project / "notebooks",
        stderr=subprocess.DEVNULL,
        # Processes that a shell starts in the background ignore interrupts.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    deadline = time.monotonic() + 120
    while not started.exists():
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.1)
    process.send_signal(how)
    process.wait(60)
    assert hash_all(finished) == before


def test_a_cell_that_runs_again_is_not_in_the_results_until_the_end(project, add_notebook):
    """In JupyterLab, any cell may run again after the last one."""
    add_notebook(NAME)
    run = Run(NAME, read_parameters(NAME))
    for value in (1, 2):
        run.table("90.1", pd.DataFrame({"value": [value]}), caption="An example.")
        if value == 2:
            assert "1" in (run.results / "tables" / "table_90_1.csv").read_text()
        run.finish()
    assert "2" in (run.results / "tables" / "table_90_1.csv").read_text()
    folder = run.folder
    del run
    assert not folder.exists()


def test_text_for_another_type_is_refused_with_papermill_s_option_for_it(add_notebook):
    add_notebook(NAME)
    with pytest.raises(ParameterError, match=r"weights: found '\{a: b\}' \(str\).* use -y"):
        Run(NAME, {"weights": "{a: b}"})


def test_a_run_says_how_well_properties_of_the_files_tell_the_labels(add_notebook, project, rng):
    lists = Path("data", "published", "overview")
    shutil.copytree(Path(__file__).parents[2] / lists, project / lists)
    files, labels = [f"{i}.wav" for i in range(20)], np.array(["loud", "quiet"] * 10)
    for file, label in zip(files, labels):
        y = {"loud": 0.2, "quiet": 0.02}[label] * rng.standard_normal(1000)
        soundfile.write(project / file, y, 8000)
    corpus = Corpus(pd.DataFrame({"file": files, "label": labels}), project, name="levels")
    right = Predictions(np.arange(20), labels, labels, np.eye(2)[[0, 1] * 10], ("loud", "quiet"))
    add_notebook(NAME)
    run = Run(NAME, read_parameters(NAME))
    scores = ScoreTable(run.add_corpus(corpus), n_resamples=10)
    scores.add({"features": "all"}, right, system="perfect")
    run.table("90.1", scores, caption="An example.")
    warnings.warn(f"{corpus.paths[0]} and others: silent signal", UserWarning, stacklevel=1)
    run.finish()
    named, remark = json.loads((run.results / "run.json").read_text())["remarks"]
    assert named == f"{files[0]} and others: silent signal"
    assert remark.startswith("properties of the files tell the label: UAR 100.0 % (")
    assert "level_db alone: 100.0 %" in remark
