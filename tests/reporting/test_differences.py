"""On the thesis's own corpora, the tables of the notebooks have differences for printed scores."""

import ast
import json
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from thesislib.compendium.provenance import Run
from thesislib.corpora.index import Corpus
from thesislib.reporting.published import list_published, load_published

ROOT = Path(__file__).resolve().parents[2]
#: Ends of the names of columns with scores; other columns are settings or counts.
SCORES = ("_percent", "error_rate", "p_value")


def read_calls(path):
    """Calls of ``run.table`` with a printed table: number to keyword arguments that are literal."""
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    source = "\n".join("".join(c["source"]) for c in cells if c["cell_type"] == "code")
    known, calls = {}, {}

    def resolve(node):
        if isinstance(node, ast.Name):
            return known.get(node.id)
        try:
            return ast.literal_eval(node)
        except ValueError:
            return None

    for statement in ast.parse(source).body:
        if isinstance(statement, ast.Assign):
            (target,), value = statement.targets, statement.value
            pairs = [(target, value)]
            if isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple):
                pairs = zip(target.elts, value.elts)
            known |= {t.id: resolve(v) for t, v in pairs if isinstance(t, ast.Name)}
        if isinstance(statement, ast.AugAssign) and isinstance(statement.target, ast.Name):
            before, more = known.get(statement.target.id), resolve(statement.value)
            if isinstance(before, list) and isinstance(more, list):
                known[statement.target.id] = before + more
        for node in ast.walk(statement):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "run.table":
                options = {}
                for keyword in node.keywords:
                    value = resolve(keyword.value)
                    options |= {keyword.arg: value} if keyword.arg else value
                if options.get("published"):
                    calls[options["published"]] = options
    return calls


CALLS = {
    number: (path.stem, options)
    for path in sorted((ROOT / "notebooks").glob("[0-9]*.ipynb"))
    for number, options in read_calls(path).items()
}


@pytest.fixture
def start_run(tmp_path, monkeypatch):
    """Start a run of a notebook on a small corpus of a kind."""
    monkeypatch.setattr(warnings, "showwarning", warnings.showwarning)
    monkeypatch.setenv("THESIS_RESULTS", str(tmp_path))

    def start(name, kind):
        run = Run(name, {})
        for file in "abcd":
            (tmp_path / file).touch()
        index = pd.DataFrame({"file": list("abcd"), "label": ["x", "y"] * 2})
        run.add_corpus(Corpus(index, tmp_path, name="small", kind=kind))
        return run

    return start


def test_every_printed_table_with_scores_is_written_by_a_notebook():
    published = list_published()
    assert set(published.index[published["measure"] != ""]) <= set(CALLS)


@pytest.mark.parametrize("number", [number for number in CALLS if number != "4.1"])
def test_every_printed_score_has_a_difference(start_run, number):
    name, options = CALLS[number]
    printed = load_published(number)
    keys, within = options["keys"], options.get("within", ())
    numbers = printed.drop(columns="headline").select_dtypes("number").columns
    # In 8.4 and 9.4 the notebook takes the names from the table.
    scores = options["scores"] or [column for column in numbers if column not in keys]
    of_kind = [column for column in numbers if column.endswith(SCORES) and column not in keys]
    assert set(of_kind) <= set(scores)
    ours = printed.drop(columns=["headline", "note"])
    ours[[score for score in scores if score not in keys]] += 1.5
    table = start_run(name, "thesis").table(
        number, ours, published=number, keys=keys, scores=scores, within=within, caption="Test."
    )
    own = table.frame[table.frame["source"] == "this run"]
    for score in scores:
        # The time steps of 8.5 are settings, and have the difference zero.
        expected = np.where(printed[score].isna(), np.nan, 0 if score in keys else 1.5)
        assert own[f"difference_{score}"].to_numpy(float) == pytest.approx(expected, nan_ok=True)


@pytest.mark.parametrize("kind", ["stand-in", "synthetic"])
def test_another_corpus_has_no_differences(start_run, kind):
    name, options = CALLS["10.6"]
    ours = load_published("10.6").drop(columns=["headline", "note"])
    names = {key: options[key] for key in ("keys", "scores")}
    table = start_run(name, kind).table("10.6", ours, published="10.6", caption="Test.", **names)
    assert not [column for column in table.frame if column.startswith("difference")]
