"""``--dry-run`` counts the work and scales what finished runs took; nothing is run."""

import json

import pytest

from thesislib.cli import main
from thesislib.compendium.checks import describe_work, read_needs
from thesislib.reporting.notebooks import list_notebooks, read_parameters

NAME = "10_2_snore"
DURATIONS = {"deep features": 10.0, "descriptors": 4.0, "end to end": 2.0, "other": 1.0}


@pytest.fixture
def results(tmp_path, monkeypatch):
    monkeypatch.setenv("THESIS_RESULTS", str(tmp_path / "results"))
    monkeypatch.setenv("THESIS_STORE", str(tmp_path / "store"))
    return tmp_path / "results"


@pytest.fixture
def finished(results):
    """A finished run of the demo's values over 100 clips, of 17 seconds."""
    record = {
        "status": "complete",
        "parameters": read_parameters(NAME),
        "corpora": {"corpus": {"rows": 100}},
        "durations_s": {**DURATIONS, "total": sum(DURATIONS.values())},
    }
    folder = results / "demo" / NAME
    folder.mkdir(parents=True)
    (folder / "run.json").write_text(json.dumps(record))


def estimate_s(**values):
    line = describe_work(NAME, {**read_parameters(NAME), **values})
    return float(line.partition("about ")[2].split()[0])


@pytest.mark.parametrize("name", [name for name in list_notebooks() if name[:2] != "00"])
def test_every_experiment_counts_its_work(results, capsys, name):
    assert main(["run", name, "--dry-run"]) == 0
    printed = capsys.readouterr().out
    assert all(kind in printed for kind in read_needs()[name]["work"])
    assert "found no finished run" in printed
    assert not results.exists()


def test_the_same_run_takes_the_same_time(finished):
    assert estimate_s() == sum(DURATIONS.values())


def test_each_kind_of_work_is_scaled_by_its_own_count(finished):
    assert estimate_s(n_epochs=8) == sum(DURATIONS.values()) + 2
    # 3 + 3 + 4 extractions in place of 6 + 4, with random weights alone.
    less = estimate_s(complexities=[0.1, 0.01, 0.001])
    assert less == pytest.approx(15, abs=0.5)
    more = estimate_s(weights={"alexnet": "imagenet"})
    assert more == pytest.approx(17 + 10 * 6 / 10 + 4 * 288 / 384, abs=2)


def test_counts_follow_the_parameters(results):
    line = describe_work(NAME, {**read_parameters(NAME), "colour_maps": ["gray"]})
    assert "6 extractions, 2 trainings" in line


def test_laps_are_those_of_the_notebooks():
    """A step that is renamed would silently count as work that does not grow."""
    from thesislib.reporting.notebooks import read_cells

    for name, need in read_needs().items():
        source = "".join(cell["source"] for cell in read_cells(name))
        for entry in need["work"].values():
            for lap in entry["laps"]:
                assert f'lap("{lap}' in source or f'lap(f"{lap}' in source
