"""The overview: its lists fit the thesis and the notebooks; results missing, damaged, there."""

import json
import re
import runpy
import shlex
from pathlib import Path

import nbformat
import pandas as pd
import pytest
from PIL import Image

from thesislib.errors import ParameterError
from thesislib.reporting.notebooks import read_parameters
from thesislib.reporting.objectives import compare_runs, describe_pooled, judge_objectives
from thesislib.reporting.overview import (
    describe_printed,
    find_value,
    list_results,
    load_ledger,
    write_readme_table,
)
from thesislib.reporting.published import list_published, load_list
from thesislib.reporting.runs import (
    describe_score,
    find_role,
    find_runs,
    load_stored,
    pick_headlines,
    read_run,
    score_systems,
)
from thesislib.reporting.sheets import show_claims, show_figures, show_ledger, show_results
from thesislib.store import hash_file

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = runpy.run_path(str(ROOT / "docs" / "store_runs.py"))
describe_command, store_runs, write_claims_table, main = (
    SCRIPT[name] for name in ("describe_command", "store_runs", "write_claims_table", "main")
)
WANTED = {"Deep Spectrum": 36, "Deep Spectrum, random weights": 30, "Baseline functionals": 30}
WANTED |= {"Log-mel mean and deviation": 20}


@pytest.fixture
def results(tmp_path, monkeypatch):
    """An empty results folder."""
    folder = tmp_path / "results"
    monkeypatch.setenv("THESIS_RESULTS", str(folder))
    return folder


def snore_predictions(n_right=None, corpus="snore", n_groups=20):
    """Predictions like those of Table 10.6: 40 clips in groups, so many of them right."""
    rows = []
    for system, right in {**WANTED, **(n_right or {})}.items():
        for selection, shift in (("development", 0), ("as published", 2)):
            for i in range(40):
                truth = "VO"[i % 2]
                wrong = i >= min(40, right + shift)
                about = {"corpus": corpus, "system": system, "selection": selection, "seed": 0}
                about |= {"file": f"{i}.wav", "group": f"g{i % n_groups}", "fold": ""}
                prediction = "OV"[i % 2] if wrong else truth
                rows.append({**about, "truth": truth, "prediction": prediction})
    return pd.DataFrame(rows)


def write_run(
    folder, *, kind="stand-in", figures=(), parameters=None, status="complete", predictions=None
):
    """Results of 10.2 as a run leaves them."""
    for name in ("tables", "figures", "predictions"):
        (folder / name).mkdir(parents=True)
    predictions = snore_predictions() if predictions is None else predictions
    outputs = [folder / "tables" / "table_10_6.csv"]
    outputs[0].write_text("source,model\nthis run,Deep Spectrum\n")
    outputs.append(folder / "predictions" / "table_10_6.parquet")
    predictions.to_parquet(outputs[-1])
    for number in figures:
        outputs.append(folder / "figures" / f"figure_{number.replace('.', '_')}.png")
        Image.new("RGB", (40, 30)).save(outputs[-1])
    corpora = {name: {"name": name, "kind": kind, "rows": 40} for name in predictions["corpus"]}
    record = {
        "notebook": "10_2_snore",
        "status": status,
        "parameters": {**read_parameters("10_2_snore"), "seed": 3, **(parameters or {})},
        "corpora": corpora,
        "weights": {"alexnet (pre-trained)": "0123456789abcdef", "alexnet (random)": "random:3"},
        "outputs": {str(path.relative_to(folder)): hash_file(path) for path in outputs},
        "git": {"commit": "f" * 40, "changed": False},
    }
    (folder / "run.json").write_text(json.dumps(record))
    return folder


# The lists


@pytest.mark.parametrize("name", ["contradictions", "open_choices"])
def test_parameters_of_the_ledger_are_where_it_says(name):
    ledger = load_ledger(name)
    assert (ledger["parameter"] != "").sum() > 10
    assert not ledger.duplicated(ledger.columns[:2].tolist()).any()
    assert (ledger["parameter"].eq("") == ledger["where"].eq("")).all()


def test_a_parameter_that_is_not_there_is_refused():
    with pytest.raises(ParameterError, match="found no parameter 'no_such_name'"):
        find_value("10_2_snore", "no_such_name")
    with pytest.raises(ParameterError, match="DCGAN: found no parameter"):
        find_value("thesislib.representations.dcgan.DCGAN", "no_such_name")


def test_the_ledger_s_value_is_the_paper_profile_s():
    assert find_value("10_1_heart", "n_units") == "256"
    assert read_parameters("10_1_heart")["n_units"] != 256


@pytest.mark.parametrize("name", ["contradictions", "open_choices", "outputs"])
def test_sections_are_the_thesis_s(name, reference_data):
    text = (reference_data / "thesis.txt").read_text(encoding="utf-8")
    headings = set(re.findall(r"^\s*(\d+(?:\.\d+)+) [A-Z]", text, re.M))
    assert sorted(set(load_list(name)["section"]) - headings) == []


def test_every_table_and_figure_of_the_thesis_is_listed_once(reference_data):
    text = (reference_data / "thesis.txt").read_text(encoding="utf-8")
    named = {
        f"{kind.lower()} {number}"
        for kind, number in re.findall(r"\b(Figure|Table) (\d+\.\d+)", text)
    }
    # Figure 8.5 has two parts, of which one is regenerated.
    named = named - {"figure 8.5"} | {"figure 8.5a", "figure 8.5b"}
    outputs = load_list("outputs")["output"]
    assert sorted(outputs) == sorted(named)


def test_what_is_listed_is_what_the_notebooks_promise():
    promised = pd.read_csv(ROOT / "tests" / "notebooks" / "outputs.csv")
    # The outlook and users' own recordings have no outputs in the thesis.
    promised = promised[~promised["notebook"].str.startswith(("11_3", "11_4", "20_"))]
    listed = load_list("outputs")
    made = listed[listed["notebook"] != ""]
    # Chapter 11 is the outlook: its outputs are not the thesis's.
    promised = promised[~promised["notebook"].str.startswith("11_")]
    assert set(zip(made["notebook"], made["output"])) == set(map(tuple, promised.to_numpy()))
    assert (listed["reason"].eq("") == listed["notebook"].ne("")).all()


def test_every_table_with_scores_has_a_system_that_stands_for_it():
    published = list_published()
    scored = set(published.index[published["measure"].ne("") & published["measure"].ne("p_value")])
    headlines = load_list("headlines")
    assert set(headlines["table"]) == scored | {"11.4"}
    assert len(headlines.query("readme != ''")) == 7


def test_comparisons_name_notebooks_and_tables_that_there_are():
    outputs = load_list("outputs").set_index("output")["notebook"].to_dict()
    outputs["table 11.4"] = "11_4_elsewhere"
    for rule in load_list("comparisons").itertuples():
        assert outputs[f"table {rule.table}"] == rule.notebook


# Results


def test_without_results_everything_is_listed_as_missing(results):
    runs = find_runs()
    assert runs == []
    listed = list_results(runs)
    assert set(listed["output"]) == set(load_list("outputs")["output"])
    assert not (listed["status"] == "run").any()
    own = listed[(listed["output"] == "table 10.4") & (listed["kind"] == "thesis")]
    assert own["status"].tolist() == ["not run: no corpus in data/snore"]
    judged = judge_objectives(compare_runs(runs))
    assert set(judged["verdict"]) == {"not run"}
    assert set(judged["objective"]) == {"I", "II", "III", "IV", "today", "elsewhere"}
    assert "not run" in show_results(listed, relative_to=results)
    assert "No figures yet" in show_figures(runs, relative_to=results)
    assert "<table" not in show_claims(judged)


def test_scores_are_those_of_the_predictions(results):
    write_run(results / "snore" / "10_2_snore")
    scores = score_systems(find_runs())
    chosen = scores[scores["selection"] == "development"].set_index("system")
    assert chosen["score"].to_dict() == {name: 100 * n / 40 for name, n in WANTED.items()}
    ours = chosen.loc["Deep Spectrum"]
    assert (ours["role"], ours["unit"], ours["n_clips"]) == ("method", "group", 40)
    assert (ours["n_groups"], ours["n_classes"]) == (20, 2)
    assert ours["low"] < 90 < ours["high"]
    assert find_role("Deep Spectrum, random weights") == "control"
    (headline,) = pick_headlines(scores, "10.6")
    assert (headline["system"], headline["selection"]) == ("Deep Spectrum", "development")


def test_a_control_stands_for_a_table_only_if_no_method_was_run(results):
    predictions = snore_predictions().query("system != 'Deep Spectrum'")
    write_run(results / "snore" / "10_2_snore", predictions=predictions)
    scores = score_systems(find_runs())
    assert pick_headlines(scores, "10.6") == []
    (headline,) = pick_headlines(scores, "10.6", role="any")
    assert headline["system"] == "Deep Spectrum, random weights"


def test_results_are_listed_beside_the_printed_ones(results):
    folder = results / "demo" / "10_2_snore"
    write_run(folder, kind="synthetic", figures=["10.2"])
    runs = find_runs()
    listed = list_results(runs).set_index(["output", "kind"])
    row = listed.loc["table 10.6", "synthetic"]
    assert (row["system"], row["score"]) == ("Deep Spectrum", 90)
    assert row["printed"] == "Deep Spectrum 67.0 %"
    assert (results / row["link"]) == folder / "executed.ipynb"
    assert listed.loc[("figure 10.2", "synthetic"), "status"] == "run"
    assert listed.loc[("table 10.4", "synthetic"), "status"] == "not run: the run made none"
    page = results / "demo" / "00_overview"
    html = show_results(list_results(runs), relative_to=page)
    assert 'href="../10_2_snore/executed.ipynb"' in html
    assert "90.0&nbsp;%" in html
    sheet = show_figures(runs, relative_to=page)
    assert sheet.count("<figure") == 1
    assert 'href="../10_2_snore/figures/figure_10_2.png"' in sheet


def test_further_results_are_read_under_their_name(results, tmp_path):
    write_run(tmp_path / "elsewhere" / "run 7")
    (run,) = find_runs({"seed 3": tmp_path / "elsewhere" / "run 7"})
    assert (run["source"], run["notebook"], run["problem"]) == ("seed 3", "10_2_snore", "")
    write_run(tmp_path / "elsewhere" / "run 8")
    runs = find_runs({"mine": tmp_path / "elsewhere"})
    assert [run["source"] for run in runs] == ["mine/run 7", "mine/run 8"]


@pytest.mark.parametrize("fault", ["unfinished", "damaged", "another", "missing"])
def test_results_that_are_not_whole_are_not_results(results, fault):
    folder = results / "demo" / "10_2_snore"
    write_run(folder, status="running" if fault == "unfinished" else "complete")
    table = folder / "tables" / "table_10_6.csv"
    if fault == "damaged":
        (folder / "run.json").write_text('{"status": "complete", "outputs": {}}')
    elif fault == "another":
        table.write_text(table.read_text().replace("Deep", "Deeper"))
    elif fault == "missing":
        table.unlink()
    expected = {"unfinished": "run unfinished", "damaged": "run.json is damaged"}
    expected = expected.get(fault, "table_10_6.csv is not the file that run.json lists")
    with pytest.raises(ParameterError, match=expected):
        read_run(folder)
    (run,) = find_runs()
    assert expected in run["problem"]
    listed = list_results([run]).set_index(["output", "kind"])
    assert expected in listed.loc[("table 10.6", "synthetic"), "status"]
    assert not (listed["status"] == "run").any()


# Stored results


def test_storing_twice_gives_the_same_bytes_and_replaces(results, tmp_path):
    stored = tmp_path / "stand_ins"
    first = write_run(results / "a")
    store_runs([first], stored)
    before = [path.read_bytes() for path in sorted(stored.iterdir())]
    store_runs([first], stored)
    assert [path.read_bytes() for path in sorted(stored.iterdir())] == before
    better = write_run(results / "b", predictions=snore_predictions({"Deep Spectrum": 38}))
    (run,) = store_runs([better], stored)
    scores = score_systems([run]).query("selection == 'development'").set_index("system")
    assert scores.loc["Deep Spectrum", "score"] == 95
    read = score_systems(load_stored(stored)).drop(columns="command")
    pd.testing.assert_frame_equal(read, score_systems([run]).drop(columns="command"))


def test_stored_results_are_listed_and_in_the_readme_table(results, tmp_path):
    stored = store_runs([write_run(results / "a")], tmp_path / "stored")
    listed = list_results(stored)
    rows = listed[listed["output"] == "table 10.6"]
    assert set(rows["kind"]) == {"thesis", "stand-in", "synthetic"}
    ours = rows[rows["kind"] == "stand-in"].iloc[0]
    assert (ours["source"], ours["score"]) == ("docs/stand_ins", 90)
    line = write_readme_table(score_systems(stored)).splitlines()[-1]
    assert "snore (2, 40, 20) | Deep Spectrum 90.0 %" in line
    assert "| Deep Spectrum, random weights 75.0 %" in line
    assert "| Baseline functionals 75.0 %" in line
    assert line.endswith("| 50 % |  |")


def test_the_readme_table_has_the_score_elsewhere_beside_that_of_the_same_corpus():
    wanted = {"Deep Spectrum x, within": 36, "Deep Spectrum x, elsewhere": 24}
    wanted |= {"Properties of the file, within": 34, "Properties of the file, elsewhere": 20}
    remedy = {"Deep Spectrum x, standardised within each domain, elsewhere": 40}
    remedy |= {"Log-mel mean and deviation, standardised within each domain, elsewhere": 40}
    parts = []
    for corpus in ("snore", "others"):
        part = snore_predictions(remedy | wanted, corpus)
        parts.append(part[part["selection"].eq("development") & ~part["system"].isin(WANTED)])
    run = {"source": "docs/stand_ins", "notebook": "11_4_elsewhere", "record": {}}
    run["predictions"] = pd.concat(parts).assign(selection="nested", table="11.4")
    within = {**run, "notebook": "10_2_snore"}
    within["predictions"] = snore_predictions().assign(table="10.6")
    lines = write_readme_table(score_systems([within, run])).splitlines()
    of_corpus = {name: [x for x in lines if f"| {name} (" in x] for name in ("snore", "others")}
    assert all(len(rows) == 1 for rows in of_corpus.values())
    pair = r"Deep Spectrum x 60.0 % \[.*; best control: Properties of the file 50.0 % \["
    assert re.search(rf"\| Deep Spectrum 90.0 % .*\| 50 % \| {pair}", of_corpus["snore"][0])
    (line,) = of_corpus["others"]
    assert line.startswith("| 11.4 | outlook | others (2, 40, 20) | Deep Spectrum x 90.0 % [")
    assert re.search(rf"\| Properties of the file 85.0 % .*\| 50 % \| {pair}", line)


def test_synthetic_results_are_not_stored(results, tmp_path, capsys):
    folder = write_run(results / "a", kind="synthetic")
    assert main([str(folder), "-o", str(tmp_path / "stored")]) == 2
    assert "found results on synthetic" in capsys.readouterr().err
    assert not (tmp_path / "stored").exists()


def test_commands_hold_no_folder_of_the_machine():
    values = {
        **read_parameters("10_2_snore"),
        "corpus": "/home/me/corpora/snore",
        "results": "/home/me/results",
        "networks": {"alexnet": ["fc7"]},
        "weights": {"alexnet": "/home/me/my weights.safetensors"},
        "n_jobs": 8,
    }
    command = describe_command({"notebook": "10_2_snore", "parameters": values})
    assert "/home" not in command
    assert shlex.split(command) == [
        *"thesis run 10_2_snore --corpus snore -p".split(),
        'networks={"alexnet": ["fc7"]}',
        "-p",
        'weights={"alexnet": "my weights.safetensors"}',
    ]


def test_what_is_stored_was_measured_on_real_corpora():
    for run in load_stored():
        record = run["record"]
        assert {c["kind"] for c in record["corpora"].values()} <= {"stand-in", "thesis"}
        assert not re.search(r"(?:^|[ '\"=])/\w", record["command"])
        keys = ["table", "corpus", "system", "selection", "seed", "file", "fold"]
        predictions = run["predictions"]
        assert not predictions.duplicated(predictions.columns.intersection(keys)).any()


# Objectives


def judge(n_right_by_corpus):
    """Claim 'above mean and deviation of log-mel bands' on some corpora."""
    predictions = pd.concat(
        [
            snore_predictions({"Deep Spectrum": ours, "Log-mel mean and deviation": other}, name)
            for name, (ours, other) in n_right_by_corpus.items()
        ]
    ).assign(table="10.6")
    corpora = {name: {"name": name, "kind": "stand-in"} for name in n_right_by_corpus}
    run = {"source": "x", "notebook": "10_2_snore", "record": {"corpora": corpora}}
    judged = judge_objectives(compare_runs([{**run, "predictions": predictions}]))
    return judged.query("claim.str.contains('log-mel') and objective == 'I'").iloc[0]


def test_few_corpora_have_single_results_only():
    row = judge({"a": (38, 20), "b": (30, 29)})
    assert row["verdict"] == "single results: 1 better, 1 not resolved"
    assert row["n_corpora"] == 2
    assert pd.isna(row["low"])
    assert "Deep Spectrum 95.0 % against Log-mel mean and deviation 50.0 %" in row["single"]


def test_four_corpora_are_pooled():
    row = judge({"a": (38, 20), "b": (36, 22), "c": (39, 20), "d": (35, 20)})
    assert row["verdict"] == "holds"
    assert row["difference"] == pytest.approx(100 * (18 + 14 + 19 + 15) / 4 / 40, abs=0.1)
    assert row["low"] > 0
    assert row["n_groups"] == 80
    assert judge({"a": (20, 38), "b": (22, 36), "c": (20, 39), "d": (20, 35)})["verdict"] == "fails"


def test_a_pooled_interval_near_zero_bounds_the_gain():
    assert describe_pooled(-1.0, 5.0) == "worth at most 5.0 points"
    assert describe_pooled(-10.0, 15.0) == "not resolved"


# Pages


def test_printed_headlines_and_ours_are_written_alike():
    assert describe_printed("table 8.7") == "Experiment 3 with sliding ensemble Average 0.27"
    assert describe_printed("table 8.12") == "GoogLeNet mel-spectrogram hot 66.9 %"
    assert describe_printed("table 10.3") == describe_printed("figure 10.2") == ""
    row = {"metric": "error_rate", "score": 0.27, "low": float("nan"), "high": float("nan")}
    assert describe_score(row) == "0.27"


def test_readme_tables_are_those_of_the_stored_runs():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    tables = {"headlines": write_readme_table(), "claims": write_claims_table(load_stored())}
    for name, table in tables.items():
        assert f"<!-- {name} -->\n{table}<!-- /{name} -->" in text


def test_the_readme_s_sentences_state_what_is_stored():
    text = re.sub(r"\s+", " ", (ROOT / "README.md").read_text(encoding="utf-8"))
    of_corpus = "corpus == 'nonverbal and esc_50'"
    scores = score_systems(load_stored()).query(f"table == '11.4' and {of_corpus}")
    scores = scores.set_index("system")["score"]
    deep = "Deep Spectrum googlenet-bvlc"
    for system in (deep, f"{deep}, random weights", "Properties of the file"):
        assert f"{scores[f'{system}, elsewhere']:.1f} %" in text
    assert f"{scores['Properties of the file, within']:.1f} % within" in text
    compared = compare_runs(load_stored()).query(f"objective == 'elsewhere' and {of_corpus}")
    compared = compared.set_index("claim")
    for claim, unit in {
        "Deep Spectrum above the same networks with random weights": " points",
        "networks trained on sound above Deep Spectrum": "",
    }.items():
        gain, low, high = 100 * compared.loc[claim, ["difference", "low", "high"]].astype(float)
        assert f"{gain:.1f}{unit} [{low:.1f}, {high:.1f}]" in text


def test_the_ledger_is_shown_whole():
    shown = show_ledger(load_ledger("contradictions"))
    assert shown.count("<tr") == len(load_list("contradictions")) + 1
    assert "thesislib." not in shown


def test_the_notebook_runs_without_any_results(results, monkeypatch):
    notebook = nbformat.read(ROOT / "notebooks" / "00_overview.ipynb", as_version=4)
    namespace = {"__name__": "__main__"}
    for cell in notebook.cells:
        if cell.cell_type == "code":
            exec(compile(cell.source, "00_overview", "exec"), namespace)
    record = json.loads((results / "demo" / "00_overview" / "run.json").read_text())
    assert record["status"] == "complete"
    assert {Path(name).stem for name in record["outputs"]} >= {
        "table_overview",
        "table_objectives",
        "table_contradictions",
        "table_open_choices",
    }
    assert find_runs() == []
