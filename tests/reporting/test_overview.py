"""The overview: its lists fit the thesis and the notebooks; results missing, damaged, there."""

import json
import re
import shlex
from pathlib import Path

import nbformat
import pandas as pd
import pytest
from PIL import Image
from thesislib.reporting.headlines import (
    COLUMNS,
    describe_command,
    describe_headline,
    load_list,
    load_stand_ins,
    read_headlines,
    read_run,
    store_headlines,
)

from thesislib.errors import ParameterError
from thesislib.reporting.notebooks import list_notebooks, read_parameters
from thesislib.reporting.objectives import compare_systems, judge_objectives
from thesislib.reporting.overview import (
    describe_printed,
    find_runs,
    find_value,
    list_results,
    load_ledger,
    main,
    pick_headlines,
    write_readme_table,
)
from thesislib.reporting.published import list_published, load_published
from thesislib.reporting.sheets import show_claims, show_figures, show_ledger, show_results
from thesislib.store import hash_file

ROOT = Path(__file__).resolve().parents[2]
NONE = pd.DataFrame(columns=COLUMNS)


@pytest.fixture
def results(tmp_path, monkeypatch):
    """An empty results folder."""
    folder = tmp_path / "results"
    monkeypatch.setenv("THESIS_RESULTS", str(folder))
    return folder


def snore_table(weights="pre-trained"):
    """Rows like those of Table 10.6, two selections and the thesis's block."""
    rows = [
        {"model": f"Deep Spectrum ({weights} weights)", "selection": "honest", "score": 60.0},
        {"model": f"Deep Spectrum ({weights} weights)", "selection": "as published", "score": 70},
        {"model": "Deep Spectrum (random weights)", "selection": "honest", "score": 58.0},
        {"model": "ComParE functionals + SVM", "selection": "honest", "score": 80.0},
        {"model": "Log-mel mean and deviation + SVM (control)", "selection": "honest", "score": 40},
    ]
    table = pd.DataFrame(rows).drop_duplicates(["model", "selection"])
    for end, width in (("", 0), ("_low", -5), ("_high", 5)):
        table[f"uar_test{end}_percent"] = table["score"] + width
    table = table.drop(columns="score").assign(source="this run", chance_percent=25.0)
    printed = load_published("10.6")[["model", "uar_test_percent"]].assign(source="thesis")
    return pd.concat([table, printed], ignore_index=True)


def write_run(folder, tables, *, kind="stand-in", figures=(), parameters=None, status="complete"):
    """Results of 10.2 as a run leaves them."""
    (folder / "tables").mkdir(parents=True)
    (folder / "figures").mkdir()
    outputs = []
    for number, table in tables.items():
        outputs.append(folder / "tables" / f"table_{number.replace('.', '_')}.csv")
        table.to_csv(outputs[-1], index=False)
    for number in figures:
        outputs.append(folder / "figures" / f"figure_{number.replace('.', '_')}.png")
        Image.new("RGB", (40, 30)).save(outputs[-1])
    record = {
        "notebook": "10_2_snore",
        "status": status,
        "parameters": {**read_parameters("10_2_snore"), "seed": 3, **(parameters or {})},
        "corpora": {"corpus": {"name": "snore", "kind": kind, "rows": 200}},
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
    listed = load_list("outputs")
    made = listed[listed["notebook"] != ""]
    assert set(zip(made["notebook"], made["output"])) == set(map(tuple, promised.to_numpy()))
    assert (listed["reason"].eq("") == listed["notebook"].ne("")).all()


def test_every_table_with_scores_has_a_system_that_stands_for_it():
    published = list_published()
    scored = set(published.index[published["measure"].ne("") & published["measure"].ne("p_value")])
    headlines, systems = load_list("headlines"), load_list("systems")
    assert set(headlines["table"]) == scored == set(systems["table"])
    assert len(headlines.query("readme != ''")) == 7
    assert set(systems["notebook"]) <= set(list_notebooks())


def test_comparisons_name_systems_that_there_are():
    systems = load_list("systems")
    names = {}
    for rule in systems.itertuples():
        pattern = re.sub(r"\\{\w+\\}", "[^,]+", re.escape(rule.system))
        names.setdefault((rule.notebook, rule.table), []).append(pattern + "(, random weights)?")
    for rule in load_list("comparisons").itertuples():
        for name in [*rule.ours.split("|"), *rule.others.split("|")]:
            shown = name.replace("*", "mean view") if "untrained" in name else name
            shown = [
                shown.replace("*", word)
                for word in ("some", "mean view", "", ", thresholds from validation")
            ]
            patterns = names[rule.notebook, rule.table]
            assert any(re.fullmatch(p, s) for p in patterns for s in shown), name


# Results


def test_without_results_everything_is_listed_as_missing(results):
    runs = find_runs()
    assert runs == []
    listed = list_results(runs, NONE)
    assert set(listed["output"]) == set(load_list("outputs")["output"])
    assert not (listed["status"] == "run").any()
    own = listed[(listed["output"] == "table 10.4") & (listed["kind"] == "thesis")]
    assert own["status"].tolist() == ["not run: no corpus in data/snore"]
    judged = judge_objectives(compare_systems(NONE.assign(evidence="")))
    assert set(judged["verdict"]) == {"not run"}
    assert set(judged["objective"]) == {"I", "II", "III", "IV"}
    assert "not run" in show_results(listed, relative_to=results)
    assert "No figures yet" in show_figures(runs, relative_to=results)
    assert "<table" not in show_claims(judged)


def test_headlines_are_the_honest_rows(results):
    found = read_headlines(write_run(results / "a", {"10.6": snore_table()}))
    scores = found.set_index("system")["score"].to_dict()
    assert scores == {
        "Deep Spectrum": 60,
        "Deep Spectrum, random weights": 58,
        "ComParE functionals": 80,
        "Log-mel mean and deviation": 40,
        "Chance": 25,
    }
    ours = found.iloc[0]
    assert (ours["low"], ours["high"], ours["role"]) == (55, 65, "method")
    assert (ours["corpus"], ours["corpus_kind"], ours["n_clips"]) == ("snore", "stand-in", 200)
    assert ours["weights"] == "pre-trained: alexnet 0123456789ab"
    assert ours["commit"] == "f" * 12
    assert found["role"].tolist()[1] == "control"


def test_the_method_with_random_weights_is_a_control(results):
    found = read_headlines(write_run(results / "a", {"10.6": snore_table("random")}))
    assert "method" not in set(found["role"])
    assert pick_headlines(found, "10.6")[0]["system"] == "Deep Spectrum, random weights"


def test_results_are_listed_beside_the_printed_ones(results):
    folder = results / "demo" / "10_2_snore"
    write_run(folder, {"10.6": snore_table()}, kind="synthetic", figures=["10.2"])
    runs = find_runs()
    listed = list_results(runs, NONE).set_index(["output", "kind"])
    row = listed.loc["table 10.6", "synthetic"]
    assert (row["system"], row["score"], row["printed"]) == (
        "Deep Spectrum",
        60,
        "Deep Spectrum 67.0 %",
    )
    assert (results / row["link"]) == folder / "executed.ipynb"
    assert listed.loc[("figure 10.2", "synthetic"), "status"] == "run"
    assert listed.loc[("table 10.4", "synthetic"), "status"] == "not run: the run made none"
    page = results / "demo" / "00_overview"
    html = show_results(list_results(runs, NONE), relative_to=page)
    assert 'href="../10_2_snore/executed.ipynb"' in html
    assert "60.0&nbsp;% [55.0, 65.0]" in html
    sheet = show_figures(runs, relative_to=page)
    assert sheet.count("<figure") == 1
    assert 'href="../10_2_snore/figures/figure_10_2.png"' in sheet


def test_further_results_are_read_under_their_name(results, tmp_path):
    write_run(tmp_path / "elsewhere" / "run 7", {"10.6": snore_table()})
    (run,) = find_runs({"seed 3": tmp_path / "elsewhere" / "run 7"})
    assert (run["source"], run["notebook"], run["problem"]) == ("seed 3", "10_2_snore", "")
    write_run(tmp_path / "elsewhere" / "run 8", {"10.6": snore_table()})
    runs = find_runs({"mine": tmp_path / "elsewhere"})
    assert [run["source"] for run in runs] == ["mine/run 7", "mine/run 8"]


@pytest.mark.parametrize("fault", ["unfinished", "damaged", "another", "missing"])
def test_results_that_are_not_whole_are_not_results(results, fault):
    folder = results / "demo" / "10_2_snore"
    status = "running" if fault == "unfinished" else "complete"
    write_run(folder, {"10.6": snore_table()}, status=status)
    table = folder / "tables" / "table_10_6.csv"
    if fault == "damaged":
        (folder / "run.json").write_text('{"status": "complete", "outputs": {}}')
    elif fault == "another":
        table.write_text(table.read_text().replace("60", "99"))
    elif fault == "missing":
        table.unlink()
    expected = {"unfinished": "run unfinished", "damaged": "run.json is damaged"}
    expected = expected.get(fault, "table_10_6.csv is not the file that run.json lists")
    with pytest.raises(ParameterError, match=expected):
        read_run(folder)
    (run,) = find_runs()
    assert expected in run["problem"]
    listed = list_results([run], NONE).set_index(["output", "kind"])
    assert expected in listed.loc[("table 10.6", "synthetic"), "status"]
    assert not (listed["status"] == "run").any()


# Kept results


def test_keeping_twice_gives_the_same_bytes_and_replaces(results, tmp_path):
    kept = tmp_path / "stand_ins.csv"
    first = write_run(results / "a", {"10.6": snore_table()})
    store_headlines([first], kept, date="2026-01-01")
    before = kept.read_bytes()
    store_headlines([first], kept, date="2026-01-01")
    assert kept.read_bytes() == before
    better = snore_table()
    better.loc[0, "uar_test_percent"] = 61.5
    found = store_headlines([write_run(results / "b", {"10.6": better})], kept)
    assert len(found) == 5
    assert found.loc[found["system"] == "Deep Spectrum", "score"].tolist() == [61.5]
    read = load_stand_ins(kept)
    assert read.astype(str).to_numpy().tolist() == found.astype(str).to_numpy().tolist()


def test_kept_results_are_listed(results, tmp_path):
    kept = store_headlines([write_run(results / "a", {"10.6": snore_table()})], tmp_path / "k.csv")
    listed = list_results([], kept)
    rows = listed[listed["output"] == "table 10.6"]
    assert set(rows["kind"]) == {"thesis", "stand-in", "synthetic"}
    ours = rows[rows["kind"] == "stand-in"].iloc[0]
    assert (ours["source"], ours["score"]) == ("docs/stand_ins.csv", 60)
    assert "60.0&nbsp;% [55.0, 65.0]" in show_results(listed, relative_to=results)


def test_synthetic_results_are_not_kept(results, tmp_path, capsys):
    folder = write_run(results / "a", {"10.6": snore_table()}, kind="synthetic")
    kept = tmp_path / "stand_ins.csv"
    assert main([str(folder), "-o", str(kept)]) == 2
    assert "found headlines on synthetic" in capsys.readouterr().err
    assert not kept.exists()


def test_the_command_line_keeps_a_run(results, tmp_path, capsys):
    folder = write_run(results / "a", {"10.6": snore_table()})
    kept = tmp_path / "stand_ins.csv"
    given = ["-o", str(kept), "--command", "thesis run x", "--date", "2026-02-03", "--readme"]
    assert main([str(folder), *given]) == 0
    assert set(load_stand_ins(kept)["command"]) == {"thesis run x"}
    assert (
        "| snore: Deep Spectrum (alexnet) 60.0 % [55.0, 65.0] | not run |"
        in capsys.readouterr().out
    )


def test_commands_hold_no_folder_of_the_machine():
    given = {
        **read_parameters("10_2_snore"),
        "corpus": "/home/me/corpora/snore",
        "results": "/home/me/results",
        "networks": {"alexnet": ["fc7"]},
        "weights": {"alexnet": "/home/me/my weights.safetensors"},
        "n_jobs": 8,
    }
    command = describe_command({"notebook": "10_2_snore", "parameters": given})
    assert "/home" not in command
    assert shlex.split(command) == [
        *"thesis run 10_2_snore --corpus snore -p".split(),
        'networks={"alexnet": ["fc7"]}',
        "-p",
        'weights={"alexnet": "my weights.safetensors"}',
    ]


def test_what_is_kept_was_measured_on_real_corpora():
    kept = load_stand_ins()
    assert set(kept["corpus_kind"]) <= {"stand-in", "thesis"}
    assert not kept.duplicated(["notebook", "table", "corpus", "system"]).any()
    assert not kept["command"].str.contains(r"(?:^|[ '\"=])/\w").any()
    assert (kept["low"].isna() | (kept["low"] <= kept["high"])).all()


# Objectives


def judge(**scores):
    """Verdict on 'above mean and deviation of log-mel bands' from scores with ±5."""
    rows = [
        {"system": system, "role": "method" if system == "Deep Spectrum" else "control"}
        | {"score": score, "low": score - 5, "high": score + 5, "corpus": corpus}
        for corpus, (ours, other) in scores.items()
        for system, score in (("Deep Spectrum", ours), ("Log-mel mean and deviation", other))
    ]
    about = {"notebook": "10_2_snore", "table": "10.6", "measure": "UAR (%)", "section": "10.2.2"}
    judged = judge_objectives(compare_systems(pd.DataFrame(rows).assign(**about, evidence="x")))
    return judged.query("claim.str.contains('log-mel') and objective == 'I'")["verdict"].item()


@pytest.mark.parametrize(
    ("scores", "verdict"),
    [
        ({"a": (60, 40)}, "holds"),
        ({"a": (60, 55)}, "cannot be told"),
        ({"a": (40, 60)}, "does not hold"),
        ({"a": (60, 40), "b": (60, 55)}, "holds in part"),
        ({"a": (40, 60), "b": (60, 55)}, "does not hold in part"),
        ({"a": (60, 40), "b": (40, 60)}, "mixed"),
        ({}, "not run"),
    ],
)
def test_verdicts(scores, verdict):
    if not scores:
        judged = judge_objectives(compare_systems(NONE.assign(evidence="")))
        assert set(judged["verdict"]) == {verdict}
        return
    assert judge(**scores) == verdict


def test_a_lower_error_rate_is_better():
    about = {"notebook": "08_2_rare_events", "table": "8.7", "corpus": "a", "section": "8.2.2"}
    rows = pd.DataFrame(
        [
            {"system": "CRNN with sliding ensemble", "role": "method", "low": 0.2, "high": 0.3},
            {"system": "Detects nothing", "role": "control", "low": 1.0, "high": 1.0},
            {"system": "CNN with a FFNN", "role": "control", "low": 0.25, "high": 0.4},
        ]
    ).assign(**about, measure="error rate", score=0.3, evidence="x")
    found = compare_systems(rows).set_index("other")["verdict"]
    assert found["Detects nothing"] == "better"
    assert found["CNN with a FFNN"] == "cannot be told"


# Pages


def test_printed_headlines_and_ours_are_written_alike():
    assert describe_printed("table 8.7") == "Experiment 3 with sliding ensemble Average 0.27"
    assert describe_printed("table 8.12") == "GoogLeNet mel-spectrogram hot 66.9 %"
    assert describe_printed("table 10.3") == describe_printed("figure 10.2") == ""
    row = {"measure": "error rate", "score": 0.27, "low": float("nan"), "high": float("nan")}
    assert describe_headline(row) == "0.27"


def test_readme_table_is_the_one_of_the_kept_results():
    table = write_readme_table()
    assert len(table.splitlines()) == 9
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    found = re.search(r"<!-- headlines -->\n(.*?)<!-- /headlines -->", text, re.S)
    if not found or not found[1].strip():
        pytest.skip("the README has no table of headlines")
    assert found[1].strip() == table.strip()


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
