"""The benchmarks run and print what `make bench` reads; how fast they are is no matter here."""

import importlib.util
import json
import subprocess
import sys

import pytest

from thesislib.places import project_root

FOLDER = project_root() / "benchmarks"
KEYS = ["claim", "target", "measured", "ratio", "passed", "runs", "note"]
# Run in this process; the others are started as scripts, those with clusters and workers of
# their own in the slow run only.
QUICK = (
    "audio_plot bag_grid bag_of_features file_to_plot growth mixtures sliding_ensemble svm_grid "
    "training_step"
).split()
SCRIPTS = ["reproduce", "start_up"]
OTHERS = sorted(
    {path.stem for path in FOLDER.glob("*.py")} - {*QUICK, *SCRIPTS, "run_all", "timing"}
)


@pytest.fixture
def load(monkeypatch):
    """Import a script as it finds itself when it is started: its own folder comes first."""
    monkeypatch.syspath_prepend(FOLDER)

    def by_name(name):
        spec = importlib.util.spec_from_file_location(name, FOLDER / f"{name}.py")
        module = importlib.util.module_from_spec(spec)
        monkeypatch.setitem(sys.modules, name, module)
        spec.loader.exec_module(module)
        return module

    return by_name


def check_rows(rows):
    assert rows
    for row in rows:
        assert list(row) == KEYS
        assert all(row[name] for name in ("claim", "target", "measured"))
        assert row["passed"] in (True, False, None)
        json.dumps(row, allow_nan=False)


@pytest.mark.parametrize("name", QUICK)
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_a_benchmark_runs_and_gives_rows(load, name):
    check_rows(load(name).measure(1, True))


@pytest.mark.parametrize(
    "name", [*SCRIPTS, *(pytest.param(name, marks=pytest.mark.slow) for name in OTHERS)]
)
def test_a_script_prints_one_list_on_its_last_line(name):
    command = [sys.executable, FOLDER / f"{name}.py", "--json", "--tiny", "--runs", "1"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    check_rows(json.loads(done.stdout.splitlines()[-1]))


def test_the_same_bags_and_the_same_machines(load):
    """What a benchmark compares is the same thing, done in two ways."""
    assert "0 of 27 pairs with different bags" in load("bag_grid").measure(1, True)[0]["note"]
    assert "equal to the last bit" in load("svm_grid").measure(1, True)[0]["note"]
    assert "0 of 80 bins different" in load("bag_of_features").measure(1, True)[0]["note"]


def test_all_benchmarks_are_run_and_a_failure_is_a_row(tmp_path):
    (tmp_path / "a.py").write_text(
        "import json\n"
        "print('warming up')\n"
        "print(json.dumps([{'claim': 'a | b', 'target': '≥ 2', 'measured': '1', 'ratio': 1,"
        " 'passed': False, 'runs': 5, 'note': ''}]))\n"
    )
    (tmp_path / "b.py").write_text("raise SystemExit('no such library')\n")
    (tmp_path / "timing.py").write_text("raise SystemExit('not a benchmark')\n")
    command = [sys.executable, FOLDER / "run_all.py", "--folder", tmp_path]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert "2 rows, 2 short of their target" in said
    table = (tmp_path / "RESULTS.md").read_text(encoding="utf-8")
    assert "| a \\| b | ≥ 2 | 1 **not reached** | 5 |" in table
    assert "| b | to run | failed **not reached** | 0 | exit code 1: no such library |" in table
    for known in ("Machine: ", "cores", "numpy ", "Commit: "):
        assert known in table
    unknown = subprocess.run([*command, "c"], capture_output=True, text=True)
    assert unknown.returncode == 2
    assert "found c, expected some of a, b" in unknown.stderr
