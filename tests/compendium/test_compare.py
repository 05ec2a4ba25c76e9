"""``thesis compare``: two systems of runs, and a run against a table of predictions."""

import numpy as np
import pandas as pd
import pytest

from thesislib.cli import main
from thesislib.evaluation.comparison import compare

FILES = [f"audio/{i:02}.wav" for i in range(48)]


def make_rows(system, right, *, seed=0, corpus="snore", selection="nested"):
    rng = np.random.default_rng(len(system) + seed)
    truth = np.array(["loud", "soft"])[np.arange(48) % 2]
    other = np.array(["soft", "loud"])[np.arange(48) % 2]
    table = pd.DataFrame({"file": FILES, "group": np.repeat(np.arange(12), 4).astype(str)})
    prediction = np.where(rng.random(48) < right, truth, other)
    table = table.assign(truth=truth, prediction=prediction, fold="", seed=seed, system=system)
    return table.assign(corpus=corpus, selection=selection, score_loud=0.5, score_soft=0.5)


def write_run(folder, **tables):
    (folder / "predictions").mkdir(parents=True)
    for number, rows in tables.items():
        pd.concat(rows).to_parquet(folder / "predictions" / f"table_{number}.parquet")
    return str(folder)


@pytest.fixture
def run(tmp_path):
    good = [make_rows("good", 0.95, seed=seed) for seed in range(3)]
    weak = make_rows("weak", 0.5)
    return write_run(tmp_path / "run", **{"10_6": [*good, weak], "10_4": [make_rows("old", 0.8)]})


def call(capsys, *arguments):
    code = main(["compare", *arguments])
    return code, capsys.readouterr()


def test_two_systems_of_a_run(run, capsys):
    code, shown = call(capsys, run, "--systems", "good", "weak")
    assert code == 0
    expected = compare(
        pd.concat([make_rows("good", 0.95, seed=seed) for seed in range(3)]),
        make_rows("weak", 0.5),
    )
    lines = shown.out.splitlines()
    assert lines[0].split() == ["snore"]
    values = dict(line.rsplit(maxsplit=1) for line in lines[1:-1] if line.split()[1:])
    assert float(values["difference (%)"]) == pytest.approx(100 * expected["difference"], abs=0.05)
    assert (values["unit"], values["n_groups"], values["n_seeds"]) == ("group", "12", "3")
    assert lines[-1].startswith("good ") and lines[-1].endswith("12 groups: better.")
    assert "exploratory" in lines[-1]


def test_systems_of_two_tables_and_of_two_runs(run, tmp_path, capsys):
    other = write_run(tmp_path / "other", **{"10_6": [make_rows("good", 0.6)]})
    assert call(capsys, run, "--systems", "old", "chance")[0] == 0
    code, shown = call(capsys, run, other, "--systems", "good", "weak")
    assert code == 2
    names = [f"good ({run}, table 10.6)", f"good ({other}, table 10.6)"]
    assert all(name in shown.err for name in names)
    code, shown = call(capsys, run, other, "--systems", *names)
    assert code == 0 and "verdict" in shown.out


def test_a_parquet_file_and_several_corpora(tmp_path, capsys):
    rows = [make_rows(name, 0.7, corpus=corpus) for name in ("one", "two") for corpus in "ab"]
    folder = write_run(tmp_path / "run", **{"9_2": [*rows, make_rows("three", 0.7, corpus="c")]})
    path = f"{folder}/predictions/table_9_2.parquet"
    code, shown = call(capsys, path, "--systems", "one", "two", "--margin", "5")
    assert code == 0
    assert [line[:3] for line in shown.out.splitlines()[-2:]] == ["a: ", "b: "]
    code, shown = call(capsys, path, "--systems", "one", "three")
    assert code == 2 and "expected a corpus with both systems" in shown.err


@pytest.mark.parametrize("order", [1, -1])
def test_a_table_of_predictions(run, tmp_path, capsys, order):
    path = str(tmp_path / "mine.csv")
    weak = make_rows("weak", 0.5)
    weak[["file", "prediction"]].sample(frac=1, random_state=0).to_csv(path, index=False)
    systems = ["good", path][::order]
    code, shown = call(capsys, run, "--systems", *systems)
    assert code == 0
    named = call(capsys, run, "--systems", *["good", "weak"][::order])[1].out
    assert shown.out.replace(path, "weak") == named


@pytest.mark.parametrize(
    "edit, message",
    [
        (lambda t: t[1:], "found no row of audio/00.wav (1 such files), expected all 48"),
        (lambda t: t.replace("audio/03.wav", "03.wav"), "found 03.wav, soft (1 such rows)"),
        (lambda t: pd.concat([t, t[:2]]), "found audio/00.wav, loud (2 such rows)"),
        (lambda t: t.replace("soft", "Soft"), "expected predictions among loud, soft"),
        (lambda t: t.rename(columns={"prediction": "label"}), "found columns file, label"),
    ],
)
def test_wrong_tables_of_predictions_are_named(run, tmp_path, capsys, edit, message):
    path = tmp_path / "mine.csv"
    truth = make_rows("weak", 2)
    edit(truth[["file", "prediction"]]).to_csv(path, index=False)
    code, shown = call(capsys, run, "--systems", "good", str(path))
    assert code == 2 and message in shown.err and str(path) in shown.err
    assert len(shown.err.splitlines()) == 1


def test_wrong_names_list_what_there_is(run, tmp_path, capsys):
    for arguments, message in (
        ((run, "--systems", "god", "weak"), "found 'god', expected one of "),
        ((run, "--systems", "good", "wek"), "did you mean 'weak'?"),
        ((run, "--systems", "chance", "weak"), "system: found 'chance'"),
        ((run, "--systems", "a.csv", "b.csv"), "system: found 'a.csv', expected one of"),
        ((run, "--systems", "good", "a.csv"), "a.csv: found "),
        (
            (run, "--systems", "good", "weak", "--table", "10.5"),
            "there are: table_10_4, table_10_6",
        ),
        ((str(tmp_path / "no"), "--systems", "good", "weak"), "found no predictions"),
        ((run, "--systems", "good", "weak", "--selection", "nest"), "selection of good"),
        ((run, "--systems", "good", "weak", "--margin", "0"), "margin: found 0.0"),
        ((run, "--systems", "good", "weak", "--metric", "error_rate"), "found no column event"),
    ):
        code, shown = call(capsys, *arguments)
        assert code == 2 and message in shown.err
        assert len(shown.err.splitlines()) == 1


def test_events(tmp_path, capsys):
    events = pd.DataFrame({"file": FILES, "group": np.repeat(np.arange(12), 4).astype(str)})
    events = events.assign(event="babycry", corpus="rare", selection="", seed=0, insertions=0)
    events = events.assign(n_events=np.tile([1, 0], 24), deletions=0)
    deaf = events.assign(system="deaf", deletions=events["n_events"])
    folder = write_run(tmp_path / "run", **{"8_7": [events.assign(system="keen"), deaf]})
    code, shown = call(capsys, folder, "--systems", "keen", "deaf")
    assert code == 0
    assert shown.out.splitlines()[-1].startswith("keen 0.000 against deaf 1.000: -1.000 ")
    path = tmp_path / "mine.csv"
    path.write_text("file,prediction\n")
    assert "table of events" in call(capsys, folder, "--systems", "keen", str(path))[1].err


def test_foreign_text_is_escaped(tmp_path, capsys):
    rows = [make_rows(name, 0.8, corpus="s\x1b[2J") for name in ("a\x1b[31m", "b")]
    run = write_run(tmp_path / "run", **{"10_6": rows})
    code, shown = call(capsys, run, "--systems", "a\x1b[31m", "b")
    assert code == 0
    assert "\x1b" not in shown.out
    assert r"a\x1b[31m" in shown.out and r"s\x1b[2J" in shown.out
