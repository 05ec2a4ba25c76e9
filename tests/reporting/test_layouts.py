"""Layouts: every printed row and score has a place, and every form shows text as text."""

import re
import shutil
import subprocess
import unicodedata
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest

from thesislib.places import results_folder
from thesislib.reporting import escape
from thesislib.reporting.grid import Grid
from thesislib.reporting.layouts import read_layout, render
from thesislib.reporting.published import list_published, load_published
from thesislib.reporting.tables import ResultTable, join_published, table_stem, write_table
from thesislib.reporting.typeset import PACKAGES
from thesislib.reporting.values import show

NUMBERS = list(list_published().index)
HOSTILE = "<script>alert('$x$')</script> \\input{a}_b | `c` **d** & 5 % #\n~^{}"
#: Headings that the thesis prints (besides those of values, which are in the rows).
HEADINGS = {
    "8.1": ["CV Accuracy [%]", "Fused (M + L + R + D)", "Proposed: DCGAN + S2SAE"],
    "8.2": ["Mean [s]", "Median [s]", "Babycry", "dev"],
    "8.6": ["Error Rate (ER)", "Experiment 2: Frame Concatenation t(τ)", "Average"],
    "8.11": ["UAR [%]", "AlexNet (viridis)", "∆ mel-spectrograms"],
    "8.12": ["cs", "cw", "C", "10-fold CV", "mel-spectrograms"],
    "9.1": ["Tasks", "SD [s]", "n (s)", "Train", "Evaluation", "∑"],
    "9.2": ["UAR [%]", "IS09", "MFCCs", "Func.", "nqDS", "BoDF"],
    "9.3": ["Early fusion", "Late fusion", "V16+V19+G.", "All"],
    "9.5": ["Feature Space", "cs", "cw = 50", "Devel.", "Test"],
    "10.2": ["Dimensionality", "C", "S2SAE: Individual Feature Sets", "Fused"],
    "10.4": ["CNN-descriptor", "C", "AlexNet", "fc7", "viridis"],
    "10.5": ["Fusion Model", "Devel.", "Test", "feat.", "dec."],
    "10.6": ["Model", "Deep Spectrum", "Baseline (Late fusion)"],
}


class Text(HTMLParser):
    """Cells of a table as text."""

    def __init__(self, page):
        super().__init__()
        self.cells, self.tags = [], set()
        self.feed(page)
        self.cells = [cell.strip("\n") for cell in self.cells]

    def handle_starttag(self, tag, attributes):
        self.tags.add(tag)
        if tag in ("td", "th", "caption"):
            self.cells.append("")
        elif tag == "br":
            self.cells[-1] += "\n"

    def handle_data(self, data):
        if self.cells:
            self.cells[-1] += data


def make_table(number, *, selection="as published", source="this run"):
    """The printed rows as ours, with intervals, below them the printed ones."""
    printed = load_published(number)
    ours = printed.drop(columns=["headline", "note"])
    for column in [name for name in ours if re.search(r"(percent|error_rate)$", name)]:
        base, percent, _ = column.partition("_percent")
        ours[f"{base}_low{percent}"] = ours[column] * 0.9
        ours[f"{base}_high{percent}"] = ours[column] * 1.1
    if number not in ("10.2", "10.4", "9.5"):
        ours["selection"] = selection
    ours["corpus_kind"] = "synthetic"
    return join_published(ours, printed)


@pytest.mark.parametrize("number", ["8.10", "8.13", "10.4", "10.6", "own"])
@pytest.mark.parametrize("kind", ["thesis", "synthetic", "stand-in", "stand-in, synthetic"])
def test_nothing_is_as_published_where_nothing_was_published(number, kind):
    chosen = ["as published", "nested", "as published", "nested"]
    if number == "10.4":  # marks
        chosen = ["development as published", "", "as published", "development"]
    ours = pd.DataFrame({"source": "this run", "selection": chosen, "corpus_kind": kind})
    for name in ("model", "features", "system", "network", "colour_map", "units"):
        ours[name] = ["first", "first", "second", "second"]
    ours = ours.assign(uar_test_percent=50.0, uar_percent=50.0, p_value=0.5, complexity=0.1)
    ours = ours.assign(layer="fc7", system_a="a", system_b="b", uar_devel_percent=50.0)
    page = render(ours, number, "html")
    own, optimistic = "stand-in" in kind, "selected on the test part (optimistic)"
    assert ("as published" in page, optimistic in page) == (not own, own)
    assert ours["selection"].tolist() == chosen
    if own and number == "10.6":
        rows = [cell for cell in Text(page).cells if cell in ("nested", optimistic)]
        assert rows == ["nested", optimistic] * 2


def count_printed(table, number, style="thesis"):
    """Numbers in the cells of one style, of all lines of the grid."""
    grid = Grid(table, read_layout(number))
    return sorted(
        text
        for row in grid.body
        if row[0] == "row"
        for parts in row[2]
        for kind, text in parts
        if kind.split(" ")[:1] == [style] and text != "–"
    )


def list_scores(number):
    """The scores of a printed table, as the layout shows them."""
    printed, shown = load_published(number), []
    for cell in read_layout(number)["cells"]:
        if isinstance(cell["value"], str) and cell["value"] in printed:
            shown += [show(value, cell.get("format")) for value in printed[cell["value"]]]
    return sorted(filter(None, shown))


def test_every_printed_table_has_a_layout():
    assert all(read_layout(number) for number in NUMBERS)
    assert read_layout("8.1_search") is None


@pytest.mark.parametrize("number", [n for n in NUMBERS if n not in ("4.1", "8.4", "8.5")])
def test_no_printed_score_is_lost(number):
    ours_alone = make_table(number).query("source == 'this run'")
    for table in (make_table(number), load_published(number).assign(source="thesis")):
        shown = count_printed(table, number)
        expected = list_scores(number)
        missing = list(expected)
        for text in shown:
            if text in missing:
                missing.remove(text)
        assert missing == []
    # Our rows with the thesis's keys all meet one of the thesis's rows.
    assert len(Grid(make_table(number), read_layout(number)).grid) == len(
        Grid(ours_alone, read_layout(number)).grid
    )


@pytest.mark.parametrize("number", ["4.1", "8.4", "8.5"])
def test_composed_cells_show_every_printed_value(number):
    cells = Text(render(make_table(number), number, "html")).cells
    printed = load_published(number).drop(columns=["headline", "note"])
    text = " ".join(cells).replace("\u2009", "")
    for value in printed.select_dtypes("number").to_numpy().ravel():
        assert np.isnan(value) or re.search(rf"(?<![\d.]){value:g}(?![\d.]\d)", text), value


@pytest.mark.parametrize("number", HEADINGS)
def test_headings_are_the_thesis_s(number):
    cells = Text(render(make_table(number), number, "html")).cells
    assert set(HEADINGS[number]) <= set(cells)


@pytest.mark.parametrize("number", NUMBERS)
@pytest.mark.parametrize("form", ["html", "tex", "md"])
def test_no_form_shows_missing_values_or_row_numbers(number, form):
    text = render(make_table(number), number, form, caption="Ours.")
    assert not re.search(r"\b(nan|NaN|None|NaT)\b|<NA>", text)
    assert "_percent" not in text
    assert not re.search(r"1e-0\d", text)
    if form != "md":
        text.encode("ascii")


def test_ours_meet_the_thesis_s_rows_in_any_spelling():
    table = make_table("10.4")
    table.loc[table["source"] == "this run", "network"] = table["network"].str.lower()
    cells = Text(render(table, "10.4", "html")).cells
    assert cells.count("AlexNet") == 1
    assert "alexnet" not in cells


def test_the_thesis_s_value_stands_beside_the_selection_as_published():
    ours = [
        {"model": "CNN", "selection": name, "uar_test_percent": score}
        for name, score in (("development", 61.0), ("as published", 64.0))
    ]
    printed = pd.DataFrame({"model": ["CNN"], "uar_test_percent": [67.0]})
    grid = Grid(join_published(pd.DataFrame(ours), printed), read_layout("10.6"))
    rows = [row for row in grid.body if row[0] == "row"]
    assert [row[1] for row in rows] == [["CNN", "development"], ["", "as published"]]
    assert [[text for _, text in row[2][-1]] for row in rows] == [[], ["67.0"]]


def test_cells_of_several_c_are_paired_and_others_stand_alone():
    ours = pd.DataFrame(
        {
            "network": "alexnet",
            "layer": "fc6",
            "colour_map": "gray",
            "complexity": [1e-1, 1e-4],
            "uar_devel_percent": [50.0, 51.0],
        }
    )
    printed = load_published("10.4").query("layer == 'fc6' and colour_map == 'gray'").head(2)
    grid = Grid(join_published(ours, printed), read_layout("10.4"))
    rows = [[text for parts in row[2] for _, text in parts] for row in grid.body if row[0] == "row"]
    assert rows[0] == ["10⁻¹", "10⁻¹", "50.0", "39.7", "–"]
    assert rows[1] == ["10⁻⁴", "10⁻³", "51.0", "42.0", "–"]


def test_the_best_is_bold_and_controls_stand_below_a_rule():
    scores = {"Baseline functionals": 50.0, "Deep Spectrum": 60.0}
    scores["Log-mel mean and deviation"] = 70.0
    table = pd.DataFrame({"model": list(scores), "uar_test_percent": list(scores.values())})
    page = render(table.assign(selection="development"), "10.6", "html")
    assert re.findall(r"<b>([\d.]+)</b>", page) == ["60.0"]
    assert page.index("60.0") < page.index('class="rule"') < page.index("70.0")
    assert r"\textbf{60.0}" in render(table, "10.6", "tex")
    assert "**60.0**" in render(table, "10.6", "md")
    rates = {"CNN with a FFNN": 0.4, "with sliding ensemble": 0.2}
    table = pd.DataFrame({"system": list(rates), "error_rate": list(rates.values())})
    assert "**0.20**" in render(table.assign(event="Average", experiment=""), "8.7", "md")


def test_random_weights_are_a_control_only_beside_trained_ones():
    table = make_table("10.4").query("source == 'this run'")
    alone = render(table.assign(weights="random"), "10.4", "html")
    beside = pd.concat([table.assign(weights="pre-trained"), table.assign(weights="random")])
    assert "Controls" not in alone
    assert "Controls" in render(beside, "10.4", "html")


def test_what_was_not_run_is_shown_with_the_reason():
    table = pd.DataFrame({"model": ["CNN"], "status": ["not run: no recordings"]})
    cells = Text(render(table, "10.6", "html"))
    assert "not run" in cells.cells
    assert "Not run: no recordings." in cells.cells[-1]


def test_the_unit_of_the_interval_is_named():
    table = make_table("10.6").query("source == 'this run'")
    assert "resampled over groups" in render(table.assign(unit="group"), "10.6", "md")
    assert "[60, 74]" in Text(render(table, "10.6", "html")).cells[-1]


def test_values_of_all_rows_go_into_a_note_without_a_layout():
    table = pd.DataFrame({"stage": [1, 2], "uar_percent": [50.0, 60.0], "corpus_kind": "synthetic"})
    table = table.assign(uar_low_percent=[40.0, 50.0], uar_high_percent=[60.0, 70.0])
    text = render(table, "10.1_search", "md", caption="Search.")
    assert text.splitlines()[2:6] == [
        "| stage | UAR \\[%\\] |",
        "|---|---|",
        "| 1 | 50.0 \\[40, 60\\] |",
        "| 2 | 60.0 \\[50, 70\\] |",
    ]
    assert "corpus kind: synthetic." in text


@pytest.mark.parametrize("number", ["10.6", "9.9"])
def test_hostile_text_stays_text(number):
    table = pd.DataFrame({"model": [HOSTILE, "b"], "uar_test_percent": [50.0, 60.0]})
    shown = HOSTILE.replace("\n", " ")
    page = Text(render(table, number, "html", caption=HOSTILE))
    assert shown in page.cells
    assert "script" not in page.tags
    tex = render(table, number, "tex", caption=HOSTILE)
    assert r"\input" not in tex.replace(r"\textbackslash{}", "")
    assert "<" not in tex
    markdown = render(table, number, "md", caption=HOSTILE)
    rows = [line for line in markdown.splitlines() if line.startswith("|")]
    assert len({len(re.findall(r"(?<!\\)\|", row)) for row in rows}) == 1
    assert not re.search(r"<(?!/?span)|(?<!\\)`", markdown)
    assert "$" not in markdown


def test_a_table_is_written_in_three_forms_and_shown_with_a_link(tmp_path):
    table = make_table("10.4")
    paths = write_table(table, "10.4", tmp_path, caption="Ours.")
    assert [path.suffix for path in paths] == [".csv", ".tex", ".html"]
    assert paths[2].read_text() == render(table, "10.4", "html", caption="Ours.")
    shown = ResultTable(table, "10.4", caption="Ours.")._repr_html_()
    assert 'href="tables/table_10_4.csv"' in shown
    assert "Table 10.4:" in shown


def compile_latex(program, texts, folder):
    """Compile tables in one document; the log."""
    if shutil.which(program) is None:
        pytest.skip(f"{program} is not installed")
    head = rf"\documentclass[a4paper]{{article}}\usepackage{{{PACKAGES}}}\begin{{document}}"
    text = "\n\\clearpage\n".join([head, *texts, r"\end{document}"])
    (folder / "all.tex").write_text(text)
    command = [program, "-interaction=nonstopmode", "-halt-on-error", "all.tex"]
    for _ in range(4):
        run = subprocess.run(command, cwd=folder, capture_output=True, timeout=300)
        log = (folder / "all.log").read_text(encoding="utf-8", errors="replace")
        if "Rerun LaTeX" not in log:  # longtable has found the widths of its columns
            break
    assert run.returncode == 0, log[-2000:]
    return log


@pytest.mark.parametrize("program", ["pdflatex", "lualatex"])
def test_all_tables_compile_and_fit_the_line(program, tmp_path):
    texts = [render(make_table(n), n, "tex", caption=HOSTILE) for n in NUMBERS]
    both = [
        pd.concat([make_table(n), make_table(n, selection="nested").query("source != 'thesis'")])
        for n in NUMBERS
    ]
    texts += [render(table, n, "tex", caption="Two.") for n, table in zip(NUMBERS, both)]
    letters = [chr(i) for i in range(0xA0, 0x400) if unicodedata.name(chr(i), "")]
    wide = pd.DataFrame(
        [
            {f"a_long_name_{i}": f"{HOSTILE} some words {i}{row}" for i in range(8)}
            for row in range(60)
        ]
    )
    texts += [render(wide, "1.1", "tex", caption="− ± τ ∆ 10⁻⁶ 中")]
    texts += [render(pd.DataFrame({"letter": letters}), "1.2", "tex", caption="Letters.")]
    log = compile_latex(program, texts, tmp_path)
    assert_fits(log)


@pytest.mark.slow
@pytest.mark.parametrize("program", ["pdflatex", "lualatex"])
def test_the_demo_s_tables_are_one_document(program, tmp_path):
    """Tables that ``make reproduce`` has left in the folder of results."""
    paths = sorted((results_folder() / "demo").glob("*/tables/*.tex"))
    if missing := {f"table_{table_stem(n)}" for n in NUMBERS} - {path.stem for path in paths}:
        pytest.skip(f"no results of the demo: {len(missing)} tables")
    assert_fits(compile_latex(program, [path.read_text("ascii") for path in paths], tmp_path))


def assert_fits(log):
    widths = [float(width) for width in re.findall(r"Overfull \\hbox \(([\d.]+)pt", log)]
    assert max(widths, default=0) <= 1
    assert "Float too large" not in log


def test_latex_shows_foreign_text(tmp_path):
    """Commands of a corpus are letters on the page: nothing is run, read or lost."""
    texts = [HOSTILE, "\\input /etc/passwd", "a $x_1$ b $\\input{x}$", '"><img src=x>']
    compile_latex("pdflatex", ["\n\n".join(map(escape.latex, texts))], tmp_path)
    if shutil.which("pdftotext") is None:
        pytest.skip("pdftotext is not installed")
    subprocess.run(["pdftotext", "all.pdf"], cwd=tmp_path, check=True)
    # Quotes, accents and underscores are drawn with signs that a PDF names in other ways.
    shown, *expected = (
        re.sub(r"[^a-z0-9<>$|*&%#{}\\/]", "", text)
        for text in [(tmp_path / "all.txt").read_text(), "".join(texts)]
    )
    assert shown.startswith(expected[0])
