"""The report is whole: no broken link, nothing from another host, readable on a narrow page."""

import base64
import csv
import functools
import hashlib
import http.server
import io
import json
import os
import pkgutil
import re
import shutil
import subprocess
import sys
import threading
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urljoin, urlsplit

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
BUILD = ROOT / "docs" / "report" / "build.py"
PAGE = "results/demo/10_2_snore/executed.html"
ABSENT = "results/demo/08_1_acoustic_scenes/executed.html"
HOSTILE_PAGE = "results/my-b-corpus-"
TABLE = "tables/table_10_4.html"
HOSTILE_FOLDER = "my <b>corpus"
#: Names, labels and notes as an attacker would have them.
HOSTILE = [
    "<img src=x onerror=alert(5)>",
    '"><img src=x onerror="document.title=\'hacked\'"><script>alert(1)</script>',
    "`````````\n```````{literalinclude} /../../../../../../../etc/passwd\n```````\n",
    "```{include} /etc/passwd\n```\n\n![](/etc/passwd) ![](../../../../../../../../etc/passwd)",
    "](../LICENSE) [a](../LICENSE) <a href='../LICENSE'>b</a> [c](javascript:alert(2))",
    '<meta http-equiv="refresh" content="0;url=http://127.0.0.1:9/x"><base href=http://127.0.0.1:9>',
    "<svg onload=alert(3)><iframe src=http://127.0.0.1:9></iframe></td></table></div><!--",
    "a $x_1$ b \\(\\input{x}\\) =HYPERLINK(1) {{ 1 }} {raw}`<b>`\x1b[2J",
]

for needed in ("myst_nb", "furo"):
    pytest.importorskip(needed, reason="the site needs the extra report")


def draw_png():
    held = io.BytesIO()
    Image.new("RGB", (900, 300), "#00224e").save(held, "PNG")
    return held.getvalue()


def make_widget_state():
    shown = [new_output("display_data", {"text/plain": "the first choice"})]
    return {
        "application/vnd.jupyter.widget-state+json": {
            "version_major": 2,
            "version_minor": 0,
            "state": {
                "box": {
                    "model_name": "VBoxModel",
                    "state": {"children": ["IPY_MODEL_slider", "IPY_MODEL_area"]},
                },
                "slider": {"model_name": "IntSliderModel", "state": {"value": 3}},
                "area": {"model_name": "OutputModel", "state": {"outputs": shown}},
            },
        }
    }


def make_executed():
    """A notebook with one of each kind of output that the experiments have."""
    wide = "".join(f"<td>column_{i}</td>" for i in range(60))
    frame = f'<table border="1" class="dataframe"><tr>{wide}</tr></table>'
    picture = base64.b64encode(draw_png()).decode()
    sound = "data:audio/wav;base64,UklGRiQAAABXQVZFZm10IBAAAAABAAEAgD4AAAB9AAACABAAZGF0YQAAAAA="
    link = "../08_1_acoustic_scenes/executed.ipynb"
    outputs = [
        new_output("display_data", {"image/png": picture, "text/plain": "<Figure>"}),
        new_output("display_data", {"text/html": f"<audio controls src='{sound}'></audio>"}),
        new_output(
            "display_data",
            {"text/html": f'{frame}<a href="{link}">8.1</a>'},
        ),
        new_output(
            "display_data",
            {"text/markdown": f"As **in** [8.1]({link}).\n\n|kind|\n|---|\n|a cell|\n"},
        ),
        new_output(
            "display_data",
            {
                "application/vnd.jupyter.widget-view+json": {"model_id": "box"},
                "text/plain": "interactive(children=(IntSlider(value=3)))",
            },
        ),
        new_output("stream", name="stderr", text="a warning\n"),
        new_output("execute_result", {"text/plain": "PosixPath('/home/somebody/run.json')"}),
    ]
    text = "# 10.2 Snores\n\n**Question.** Is $x^2 \\geq 0$? See [8.1](08_1_acoustic_scenes.ipynb)"
    cells = [
        new_markdown_cell(f"{text} and [the corpora](../data/README.md)."),
        new_code_cell("seed = 0", metadata={"tags": ["parameters"]}),
        new_markdown_cell("## Data"),
        new_code_cell(
            'run.figure("10.2", figure)\nrun.table(\n    "10.4", table)', outputs=outputs
        ),
    ]
    language = {"name": "python", "pygments_lexer": "ipython3"}
    return new_notebook(
        cells=cells, metadata={"language_info": language, "widgets": make_widget_state()}
    )


def make_result(folder):
    """An executed notebook, its tables and figures, and its record."""
    files = {
        "tables/table_10_4.csv": b"a,b\n1,2\n",
        "tables/table_10_4.tex": b"\\begin{tabular}{ll}\\end{tabular}\n",
        "figures/figure_10_2.png": draw_png(),
        "figures/figure_10_2.pdf": b"%PDF-1.4\n",
        "predictions/table_10_4.parquet": b"PAR1",
    }
    wide = "".join(f"<td>{100 + i}<br>[{i}, {i}]</td>" for i in range(14))
    files["tables/table_10_4.html"] = (
        f'<div class="thesis-table" style="overflow-x:auto"><table><tr>{wide}</tr></table></div>'
    ).encode()
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    outputs = {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
    outputs["tables/table_10_4.tex"] = "0" * 64
    outputs["tables/table_10_5.csv"] = "1" * 64
    record = {
        "notebook": "10_2_snore",
        "status": "complete",
        "parameters": {"profile": "demo", "seed": 7, "networks": ["alexnet"]},
        "corpora": {
            "corpus": {
                "name": "snores & <friends>",
                "kind": "synthetic",
                "licence": "CC0",
                "fingerprint": "f" * 64,
                "rows": 12,
                "remarks": ["two files are silent"],
            }
        },
        "weights": {"alexnet (random)": "random:7"},
        "notes": {"reading": ["worse", "better"], "ties": 0.5},
        "outputs": outputs,
        "durations_s": {"features": 1.25, "total": 2.5},
        "git": {"commit": "abcdef" * 6, "changed": True},
        "versions": {"python": "3.11", "torch": "2.13", "opensmile": None},
        "machine": {"processor": "x86_64", "cores": 2, "torch_threads": 1, "device": "cpu"},
    }
    (folder / "run.json").write_text(json.dumps(record))
    nbformat.write(make_executed(), folder / "executed.ipynb")


def make_hostile_result(folder):
    """A result on a corpus whose texts try to leave their place, in outputs that escape nothing."""
    make_result(folder)
    record = json.loads((folder / "run.json").read_text())
    about = {"name": HOSTILE[0], "remarks": HOSTILE, "licence": HOSTILE[1]}
    record["corpora"] = {HOSTILE[0]: record["corpora"]["corpus"] | about}
    record["notes"] = {text: text for text in HOSTILE}
    record["parameters"] |= {"corpus": HOSTILE[3]}
    record["outputs"] |= {HOSTILE[0]: "0" * 64}
    (folder / "run.json").write_text(json.dumps(record))
    with (folder / "tables" / "table_10_4.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["label", HOSTILE[1]], *([text, text] for text in HOSTILE)])
    (folder / "tables" / "table_10_4.html").write_text("".join(HOSTILE))
    (folder / "tables" / "secret.txt").symlink_to("/etc/passwd")
    outputs = [
        new_output("display_data", {kind: text})
        for text in HOSTILE
        for kind in ("text/html", "text/markdown", "text/plain", "application/javascript")
    ]
    outputs += [new_output("stream", text=text) for text in HOSTILE]
    notebook = make_executed()
    notebook.cells[-1].outputs = outputs
    nbformat.write(notebook, folder / "executed.ipynb")


def make_project(root):
    """A project of two notebooks, one of them run, with documents that link to each other."""
    texts = {
        "README.md": "# A small thesis\n\nThe pitch, with a ![picture](docs/figures/a.png) and "
        "<img src='docs/figures/a.png' alt='again'>.\n\n## More\n\n"
        "[Snores](notebooks/10_2_snore.ipynb), [data](data/README.md#where), [terms](LICENSE).\n",
        "docs/decisions.md": "# Predictions\n\nBack to [the first page](../README.md#more).\n",
        "data/README.md": "# Data\n\n## Where\n\nHere.\n\n"
        + f"| {'wide | ' * 40}\n|{'---|' * 40}\n",
        "CHANGELOG.md": "# Changelog\n\n[Library](docs/decisions.md)\n",
        "LICENSE": "MIT\n",
        "data/published/index.csv": "table,section,title,measure,chance_percent,n_rows\n"
        "table_10_4,10.2,Snores,uar_test_percent,25.0,1\n",
        "data/published/table_10_4.csv": "network,uar_test_percent,headline,note\n"
        "AlexNet,67.0,true,misprinted\nVGG19,50.0,,\n",
        "data/published/overview/outputs.csv": "output,section,title,notebook,corpus,reason\n"
        "table 10.4,10.2,Networks,10_2_snore,,\nfigure 10.2,10.2,Confusion,10_2_snore,,\n"
        "figure 2.1,2.1,A neuron,,,a diagram\n",
    }
    for name, text in texts.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    for folder in ("docs/figures", "notebooks/parameters"):
        (root / folder).mkdir(parents=True)
    (root / "notebooks" / "parameters" / "limits.yaml").write_text("{}\n")
    (root / "docs" / "figures" / "a.png").write_bytes(draw_png())
    for name, title in {"10_2_snore": "10.2 Snores", "08_1_acoustic_scenes": "8.1 Scenes"}.items():
        first = new_markdown_cell(f"# {title}\n\n**Question.** Which?")
        nbformat.write(new_notebook(cells=[first]), root / "notebooks" / f"{name}.ipynb")
    for profile in ("demo", "paper"):
        make_result(root / "results" / profile / "10_2_snore")
    make_hostile_result(root / "results" / HOSTILE_FOLDER / "10_2_snore")


def run_build(*arguments, root=ROOT):
    environment = {k: v for k, v in os.environ.items() if not k.startswith("THESIS_")}
    return subprocess.run(
        [sys.executable, BUILD, *arguments],
        env={**environment, "THESIS_ROOT": str(root), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The site of the small project."""
    root = tmp_path_factory.mktemp("project")
    make_project(root)
    found = run_build("--no-api", root=root)
    assert found.stderr == ""
    assert found.returncode == 0
    (root / "build" / "log.txt").write_text(found.stdout)
    return root / "build" / "report"


class Links(HTMLParser):
    """Addresses that a page names, and the places in it that can be named."""

    def __init__(self, path):
        super().__init__()
        self.links, self.places = [], {""}
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attributes):
        found = dict(attributes)
        self.links += [found[name] for name in ("href", "src") if found.get(name)]
        self.places |= {found[name] for name in ("id", "name") if found.get(name)}


def find_broken_links(site):
    pages = {path: Links(path) for path in site.rglob("*.html") if "mathjax" not in path.parts}
    assert pages
    broken = []
    for path, page in pages.items():
        # Texts that nothing escaped lead nowhere, on the page of such texts alone.
        hostile = HOSTILE_PAGE in path.as_posix() or path == site / TABLE
        for link in page.links if not hostile else ():
            address = urlsplit(urljoin(path.as_uri(), link))
            if address.scheme != "file":
                continue
            target = Path(unquote(address.path))
            whole = target in pages and unquote(address.fragment) in pages[target].places
            if not (whole or (target.is_file() and target not in pages)):
                broken.append(f"{path.relative_to(site)}: {link}")
    return broken


def test_no_link_is_broken(site):
    assert find_broken_links(site) == []


def test_a_broken_link_fails_the_build(tmp_path):
    make_project(tmp_path)
    (tmp_path / "CHANGELOG.md").write_text("# Changelog\n\n[Gone](docs/gone.md)\n")
    found = run_build("--no-api", root=tmp_path)
    assert found.returncode == 1
    assert "docs/gone.md" in found.stderr


def test_files_of_others_are_left_alone(tmp_path):
    make_project(tmp_path)
    mine = tmp_path / "mine" / "index.html"
    mine.parent.mkdir()
    mine.write_text("mine")
    found = run_build("--no-api", "--output", mine.parent, root=tmp_path)
    assert found.returncode == 2
    assert "expected an earlier report" in found.stderr
    assert mine.read_text() == "mine"


def test_index_tells_what_ran_and_how_to_run_the_rest(site):
    text = (site / "index.html").read_text()
    assert "In the profile demo, 1 of 2 notebooks ran" in text
    assert "no number of it is confirmed here" in text
    assert "In the profile paper, 1 of 1 notebooks ran" in text
    assert "my &lt;b&gt;corpus" in text
    assert "{raw}" not in text
    assert "make reproduce NOTEBOOKS=08_1_acoustic_scenes" in text
    assert f'href="{PAGE}#figure-10-2"' in text
    assert "There is no finished result" in (site / ABSENT).read_text()


def test_page_tells_where_its_result_comes_from(site):
    text = (site / PAGE).read_text()
    told = ["snores &amp; &lt;friends&gt;", "f" * 64, "random:7", "abcdef" * 6, "changes that are"]
    told += ["two files are silent", "opensmile&nbsp;absent", "1.2 s", "x86_64"]
    assert [words for words in told if words not in text] == []
    rows = {row.split("</th>")[0]: row for row in text.split("<tr>") if "as recorded" in row}
    assert len(rows) == 5
    assert "no; changed since: library" in text
    assert "changed since" in text.split("table_10_4.tex</a>")[1].split("</tr>")[0]
    assert "missing" in text.split("tables/table_10_5.csv")[1].split("</tr>")[0]


def test_page_holds_each_table_in_full(site):
    text = (site / PAGE).read_text()
    table = text.split("Table 10.4: 1 row<")[1].split("</table>")[0]
    cells = [part.split("<")[0] for part in table.replace("<th>", "<td>").split("<td>")[1:]]
    assert cells == ["a", "b", "1", "2"]


def test_each_table_has_a_page_with_what_was_printed_found_and_run(site):
    text = (site / TABLE).read_text()
    printed = text.split("Table 10.4 as printed")[1]
    assert "AlexNet</td><td>67.0" in printed.split('class="best"')[1].split("</tr>")[0]
    assert "misprinted" in printed
    assert "make reproduce NOTEBOOKS=10_2_snore" in text
    assert "make paper NOTEBOOKS=10_2_snore" in text
    assert 'href="../results/demo/10_2_snore/executed.html#table-10-4"' in text
    for file in ("tables/table_10_4.csv", "predictions/table_10_4.parquet"):
        assert f'href="../results/demo/10_2_snore/{file}" download' in text
    listed = (site / "outputs.html").read_text()
    assert f'href="{TABLE}"' in listed
    assert f'href="{PAGE}#figure-10-2"' in listed
    assert "a diagram" in listed


def test_files_of_a_table_or_figure_are_below_it(site):
    text = (site / PAGE).read_text()
    assert 'href="tables/table_10_4.tex" download' in text.split('id="table-10-4"')[1]
    assert 'href="figures/figure_10_2.pdf" download' in text.split('id="figure-10-2"')[1]


def test_no_file_of_this_computer_or_of_the_project_gets_into_a_page(site):
    secret = Path("/etc/passwd").read_text()
    copied = [path for path in site.rglob("*") if path.is_file() and "mathjax" not in path.parts]
    holding = [path for path in copied if secret.encode() in path.read_bytes()]
    assert holding == []
    assert [path for path in copied if path.name in ("passwd", "secret.txt")] == []
    # The README links to the licence; outputs of a cell bring no file with them.
    assert len([path for path in copied if path.name == "LICENSE"]) == 1


def test_a_build_tells_its_progress(site):
    lines = (site.parent / "log.txt").read_text().splitlines()
    assert [line for line in lines if "10_2_snore (demo): complete" in line]
    assert [line for line in lines if line.startswith("report: building")]


def test_a_failed_run_is_shown_where_there_is_no_result(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(BUILD.parent)
    from result import read_result

    make_project(tmp_path)
    monkeypatch.setenv("THESIS_ROOT", str(tmp_path))
    demo = tmp_path / "results" / "demo"
    record = json.loads((demo / "10_2_snore" / "run.json").read_text())
    names = ("08_1_acoustic_scenes", "10_2_snore")
    for name in names:
        failed = demo / f"{name}.failed"
        shutil.copytree(demo / "10_2_snore", failed)
        (failed / "run.json").write_text(json.dumps({**record, "status": "failed"}))
    states = [read_result(demo.parent, "demo", name).state for name in names]
    assert states == ["failed", "complete"]
    (demo / "08_1_acoustic_scenes.failed" / "run.json").unlink()
    assert read_result(demo.parent, "demo", "08_1_acoustic_scenes").state == "no record"


def test_a_damaged_record_is_named(tmp_path):
    make_project(tmp_path)
    record = tmp_path / "results" / "demo" / "10_2_snore" / "run.json"
    record.write_text(record.read_text()[:99])
    found = run_build("--no-api", root=tmp_path)
    assert found.returncode == 2
    assert str(record) in found.stderr
    assert "Traceback" not in found.stderr


def test_files_lie_beside_the_page_as_they_are(site):
    made = site.parents[1] / "results" / "demo" / "10_2_snore"
    # HTML would be a page without the policy.
    for path in [path for path in made.rglob("*.*") if path.suffix != ".html"]:
        copy = site / "results" / "demo" / "10_2_snore" / path.relative_to(made)
        assert copy.read_bytes() == path.read_bytes()


def test_widgets_show_their_first_output_without_scripts(site):
    text = (site / PAGE).read_text()
    assert "the first choice" in text
    assert "The controls need a running kernel" in text
    assert "<td>a cell</td>" in text
    assert "jupyter.widget" not in text
    assert "IntSlider" not in text
    assert "/home/somebody" not in text


class Handler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


def visit(browser, site, pages, *, width):
    """Open pages one after the other; returns what was wrong with them, and what they show."""
    serve = functools.partial(Handler, directory=site)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), serve)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    base = f"http://127.0.0.1:{server.server_port}/"
    faults, shown = [], {}

    def note(kind, page, text):
        # Images that nothing escaped do not exist, on the page of such texts and on the table's.
        hostile = HOSTILE_PAGE in page.url or page.url == base + TABLE
        harmless = kind == 404 or "Content Security Policy" in str(text) or " 404 " in str(text)
        if not (hostile and harmless):
            faults.append(f"{kind} on {page.url.removeprefix(base)}: {text}")

    def check_request(request):
        if not request.url.startswith((base, "data:", "blob:")):
            note("request to another host", request.frame, request.url)

    def check_failure(request):
        # Leaving a page breaks off what it still asks for; that is no fault of the page.
        if request.failure != "net::ERR_ABORTED":
            note("failed request", request.frame, request.url)

    try:
        context = browser.new_context(viewport={"width": width, "height": 900})
        page = context.new_page()
        page.set_default_timeout(120_000)
        page.on("request", check_request)
        page.on("requestfailed", check_failure)
        page.on("response", lambda r: r.status >= 400 and note(r.status, r.frame, r.url))
        page.on("console", lambda m: m.type in ("error", "warning") and note(m.type, page, m.text))
        page.on("dialog", lambda dialog: (note("dialog", page, dialog.message), dialog.dismiss()))
        page.on("pageerror", lambda error: note("script error", page, error))
        for name in pages:
            page.goto(base + name, wait_until="networkidle")
            shown[name] = page.evaluate(
                """async () => {
                    const images = [...document.images];
                    images.forEach(image => { image.loading = 'eager'; });
                    await Promise.all(images.map(image => image.decode().catch(() => {})));
                    await document.fonts.ready;
                    const boxes = '.output.text_html, .table-wrapper, .scroll';
                    const wide = [...document.querySelectorAll(boxes)];
                    return {
                        empty: images.filter(i => !(i.naturalWidth > 0)).map(i => i.src),
                        images: images.length,
                        links: [...document.querySelectorAll('article a')].map(a => a.href),
                        title: document.title,
                        cut: [...document.querySelectorAll('article table')].filter(table => {
                            const edge = table.closest('article').getBoundingClientRect().right;
                            return !table.closest(boxes)
                                && table.getBoundingClientRect().right > edge + 1;
                        }).length,
                        layouts: [...document.querySelectorAll('.thesis-table')]
                            .filter(w => w.scrollWidth > w.clientWidth + 1).length,
                        overflow: document.documentElement.scrollWidth - window.innerWidth,
                        formulas: document.querySelectorAll('mjx-container').length,
                        scrolling: wide.filter(w => w.scrollWidth > w.clientWidth
                            && getComputedStyle(w).overflowX === 'auto').length,
                    };
                }"""
            )
            if shown[name]["empty"] and HOSTILE_PAGE not in name and name != TABLE:
                note("no picture", page, shown[name]["empty"])
            if shown[name]["cut"]:
                note("tables that are cut", page, shown[name]["cut"])
            if "hacked" in shown[name]["title"]:
                note("script", page, shown[name]["title"])
            if shown[name]["overflow"] > 0:
                note("sideways scroll", page, shown[name]["overflow"])
        context.close()
    finally:
        server.shutdown()
        server.server_close()
    return faults, shown


def list_pages(site):
    found = (path.relative_to(site).as_posix() for path in site.rglob("*.html"))
    return sorted(name for name in found if "mathjax" not in name)


@pytest.mark.parametrize("width", [400, 1400])
def test_every_page_is_whole_in_a_browser(site, browser, width):
    faults, shown = visit(browser, site, list_pages(site), width=width)
    assert faults == []
    assert shown["index.html"]["images"] == 5
    assert shown[PAGE]["images"] == 1
    assert shown[PAGE]["formulas"] == 1
    assert shown[PAGE]["scrolling"] >= 1
    assert shown["data/README.html"]["scrolling"] == 1
    # With room for them, tables in the thesis's layout are seen whole.
    assert (shown[TABLE]["layouts"] > 0) == (width < 1000)


def test_the_search_finds_the_number_of_a_table(site, browser):
    faults, shown = visit(browser, site, ["search.html?q=10.4"], width=1400)
    assert faults == []
    assert any(TABLE in link for link in shown["search.html?q=10.4"]["links"])


def test_the_site_works_from_a_folder_too(site, browser):
    page, faults = browser.new_page(), []
    page.on("console", lambda message: faults.append(message.text))
    page.goto((site / PAGE).as_uri(), wait_until="load")
    page.locator("mjx-container").first.wait_for()
    assert faults == []
    page.close()


@pytest.mark.slow
def test_the_whole_site_builds_without_a_warning(tmp_path, browser):
    import thesislib

    make_result(tmp_path / "results" / "demo" / "10_2_snore")
    site = tmp_path / "site"
    found = run_build("--results", tmp_path / "results", "--output", site)
    assert found.stderr == ""
    assert found.returncode == 0
    modules = [m.name for m in pkgutil.walk_packages(thesislib.__path__, "thesislib.")]
    lacking = [name for name in modules if not (site / "api" / f"{name}.html").is_file()]
    assert [name for name in lacking if "._" not in name] == []
    assert find_broken_links(site) == []
    assert visit(browser, site, list_pages(site), width=400)[0] == []


def test_labels_of_the_headlines_on_a_narrow_page_are_their_headings():
    css = (BUILD.parent / "static" / "report.css").read_text("utf-8")
    labels = re.findall(r'\.headlines td:nth-child\((\d)\)::before { content: "(.+?): "', css)
    table = (ROOT / "README.md").read_text("utf-8").partition("<!-- headlines -->\n")[2]
    headings = [heading.strip() for heading in table.splitlines()[0].strip("|").split("|")]
    assert labels == [
        (str(i), heading.partition(" (")[0]) for i, heading in enumerate(headings[1:], 2)
    ]
