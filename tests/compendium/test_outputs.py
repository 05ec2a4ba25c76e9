"""``thesis table`` and ``thesis figure``: one output, from results or from its notebook."""

import pandas as pd
import pytest

from thesislib.cli import main
from thesislib.compendium import outputs
from thesislib.compendium.outputs import find_output
from thesislib.compendium.schedule import Outcome
from thesislib.errors import ParameterError
from thesislib.reporting.results import write_record
from thesislib.reporting.tables import write_table


def write_results(folder, *, number="10.6", corpus=""):
    """A folder of results with one table and one figure."""
    table = pd.DataFrame({"source": "this run", "model": ["CNN"], "uar_test_percent": [61.5]})
    paths = write_table(table, number, folder / "tables", caption="")
    (folder / "figures").mkdir(exist_ok=True)
    for ending in ("png", "pdf"):
        paths.append(folder / "figures" / f"figure_10_2.{ending}")
        paths[-1].write_bytes(ending.encode())
    record = {
        "notebook": "10_2_snore",
        "status": "complete",
        "parameters": {"corpus": corpus},
        "corpora": {"corpus": {"name": "snores", "kind": "synthetic"}},
        "weights": {},
        "outputs": {str(path.relative_to(folder)): "" for path in paths},
    }
    write_record(folder, record)
    return folder


@pytest.fixture
def results(tmp_path, monkeypatch):
    monkeypatch.setenv("THESIS_RESULTS", str(tmp_path))
    return tmp_path / "demo" / "10_2_snore"


def test_a_table_is_printed_and_written(results, tmp_path, capsys):
    write_results(results)
    assert main(["table", "10.6"]) == 0
    printed = capsys.readouterr().out
    assert "| CNN | **61.5** |" in printed
    assert "snores (synthetic)" in printed
    assert main(["table", "10.6", "--output", str(tmp_path / "a.tex")]) == 0
    assert r"\textbf{61.5}" in (tmp_path / "a.tex").read_text()
    capsys.readouterr()
    assert main(["table", "10.6", "--format", "csv"]) == 0
    written = (results / "tables" / "table_10_6.csv").read_text()
    assert capsys.readouterr().out.strip() == written.strip()


def test_a_figure_is_named_and_written(results, tmp_path, capsys):
    write_results(results)
    assert main(["figure", "10.2", "--run", str(results)]) == 0
    assert capsys.readouterr().out.strip() == str(results / "figures" / "figure_10_2.png")
    assert main(["figure", "10.2", "--output", str(tmp_path / "a.pdf")]) == 0
    assert (tmp_path / "a.pdf").read_bytes() == b"pdf"


def test_the_notebook_is_run_if_no_result_has_the_output(results, monkeypatch, capsys):
    runs = []

    def run_all(names, **options):
        runs.append((names, options["corpus"]))
        print("progress")
        write_results(results)
        return [Outcome(names[0], "made", results)]

    monkeypatch.setattr(outputs, "run_all", run_all)
    assert main(["table", "10.6"]) == 0
    assert "progress" not in capsys.readouterr().out
    assert main(["table", "10.6"]) == 0
    assert runs == [(["10_2_snore"], None)]


def test_a_failed_notebook_ends_with_code_1(results, monkeypatch, capsys):
    failed = Outcome("10_2_snore", "FAILED", results, error="cell 3 failed")
    monkeypatch.setattr(outputs, "run_all", lambda names, **_: [failed])
    assert main(["table", "10.6"]) == 1
    assert "cell 3 failed" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("kind", "number", "message"),
    [
        ("table", "10.66", r"found '10.66', expected one of 4.1, 8.1, .*10.6$"),
        ("table", "5.1", r"found '5.1' \(ranges of settings, no result\), expected one of"),
        ("figure", "1.1", r"found '1.1', expected one of 2.4, "),
    ],
)
def test_unknown_numbers_list_the_known_ones(kind, number, message):
    with pytest.raises(ParameterError, match=message):
        find_output(kind, number)


def test_a_run_without_the_table_lists_its_tables(results, tmp_path):
    write_results(results)
    with pytest.raises(ParameterError, match=r"found '10.4', expected one of 10.6$"):
        find_output("table", "10.4", run=results)
    with pytest.raises(ParameterError, match=r"found no run.json of a complete run"):
        find_output("table", "10.4", run=tmp_path)
