"""Build the report: a static site of the results, the documentation and the library's reference.

    .venv/bin/python docs/report/build.py --profile demo

Nothing is executed again and nothing is fetched: the pages are the executed notebooks in
``results``, the project's Markdown files and the docstrings, and all they need lies in the site.
"""

import argparse
import io
import json
import os
import pkgutil
import re
import sys
from pathlib import Path

import jinja2
import nbformat
from experiment import build_page, defuse, embed, render_markdown
from layout import Layout, empty_site
from PIL import Image
from result import SERVED, STATES, make_slug, read_results, spell_number
from sphinx.cmd.build import build_main

import thesislib
from thesislib.errors import ThesisError
from thesislib.places import notebooks_folder, project_root, published_folder, results_folder
from thesislib.reporting.notebooks import PROFILES
from thesislib.reporting.overview import describe_printed
from thesislib.reporting.published import list_published, load_list, load_published
from thesislib.reporting.runs import describe_score, load_stored, score_systems
from thesislib.reporting.tables import table_stem

HERE = Path(__file__).resolve().parent
#: Width of a thumbnail in pixels; drawn at half of it, so that it is sharp on dense screens.
THUMBNAIL_PX = 640
#: Pages of the documentation that come first and last; all others in docs/ stand between them.
FIRST, LAST = ("tutorial",), ("decisions",)
PAGES = (".md", ".ipynb", ".rst")
#: Measures of the printed tables as text.
MEASURES = {
    "accuracy_percent": "accuracy (%)",
    "uar_percent": "UAR (%)",
    "uar_test_percent": "UAR on test (%)",
    "error_rate": "error rate",
    "p_value": "p-value",
}


def main(arguments=None):
    """Build the report; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--profile", default="demo", choices=PROFILES)
    parser.add_argument("--results", type=Path, help="default: the project's results")
    parser.add_argument("--output", type=Path, help="default: build/report")
    parser.add_argument("--no-api", action="store_true", help="leave the library's reference out")
    options = parser.parse_args(arguments)
    root = project_root()
    output = (options.output or root / "build" / "report").resolve()
    work = output.with_name(f"{output.name}-work")
    try:
        empty_site(output)
        if options.results:
            os.environ["THESIS_RESULTS"] = str(options.results.resolve())
        tell(f"reading {results_folder()}")
        profiles = read_results(results_folder(), options.profile)
        lay_out(root, work, profiles, profile=options.profile, with_api=not options.no_api)
    except (ThesisError, OSError) as error:
        print(f"report: {error}", file=sys.stderr)
        return 2
    tell(f"building {sum(path.suffix in PAGES for path in (work / 'source').rglob('*'))} pages")
    arguments = ["-c", HERE.parent, "-d", work / "doctrees", "-W", "--keep-going"]
    # On a terminal, Sphinx shows how far it is in one line that moves.
    arguments += [] if sys.stdout.isatty() else ["--quiet"]
    arguments += ["-D", f"html_extra_path={work / 'extra'}", work / "source", output]
    code = build_main([str(argument) for argument in arguments])
    print(f"{output / 'index.html'}" + (": with warnings, see above" if code else ""))
    return code


def tell(line):
    """Print a line of progress."""
    print(f"report: {line}", flush=True)


def lay_out(root, work, profiles, *, profile, with_api):
    """Make the folder that Sphinx reads.

    Parameters
    ----------
    root : Path
        The project.
    work : Path
    profiles : dict of str to list of result.Result
    profile : str
        The profile that is shown in full.
    with_api : bool
        Whether the library's reference is part of the site.
    """
    layout = Layout(root, work, profile=profile)
    templates = jinja2.Environment(
        loader=jinja2.FileSystemLoader(HERE / "templates"),
        autoescape=jinja2.select_autoescape(["html"]),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
    )
    templates.filters["raw_html"] = embed
    templates.filters["json"] = lambda value: json.dumps(value, ensure_ascii=False, indent=1)
    templates.filters["slug"] = make_slug
    templates.filters["score"] = describe_score
    templates.filters["spell_stem"] = lambda stem: (
        f"{stem.partition('_')[0]} {spell_number(Path(stem)).replace('_', ' ')}"
    )
    outputs = list_outputs()
    templates.globals |= {
        "states": STATES,
        "titles": {row["stem"]: row["title"] for row in outputs},
        "table_pages": {row["stem"]: row["page"] for row in outputs if row["page"]},
    }
    documents = list_documents(root)
    layout.pages = dict.fromkeys(["README", *documents], ".md")
    for result in (result for results in profiles.values() for result in results):
        layout.pages[result.page] = ".ipynb" if result.executed.is_file() else ".md"
    for name in ["README", *documents]:
        layout.add_document(f"{name}.md")
    thumbnails = {}
    marks = {}
    for name, results in profiles.items():
        for result in results:
            tell(f"{result.notebook} ({name}): {result.state}")
            marks[result.page], pictures = add_result(layout, templates, result)
            thumbnails.setdefault(name, []).extend(pictures)
    if outputs:
        tell(f"{len(outputs)} tables and figures of the thesis")
        add_outputs(layout, templates, outputs, profiles, marks)
    add_index(
        layout,
        templates,
        profiles=profiles,
        thumbnails={name: pictures for name, pictures in thumbnails.items() if pictures},
        documents=documents,
        with_api=with_api,
        outputs=outputs,
    )
    if with_api:
        add_reference(layout)
    layout.finish()


def list_documents(root):
    """The project's Markdown files beside README.md, as pages."""
    names = sorted(path.stem for path in (root / "docs").glob("*.md"))
    middle = [name for name in names if name not in FIRST + LAST]
    ordered = [name for name in [*FIRST, *middle, *LAST] if name in names]
    pages = [f"docs/{name}" for name in ordered]
    pages += ["data/README", "data/published/README"]
    pages += sorted(f"benchmarks/{path.stem}" for path in (root / "benchmarks").glob("*.md"))
    pages += ["CONTRIBUTING", "CHANGELOG"]
    return [page for page in pages if (root / f"{page}.md").is_file()]


def add_result(layout, templates, result):
    """Add an experiment's page and files; returns the marks on its page, and its thumbnails."""
    if not result.executed.is_file():
        add_absent(layout, templates, result)
        return {}, []
    folder = result.page.rpartition("/")[0]
    for path in sorted(result.folder.rglob("*")):
        inner = path.relative_to(result.folder)
        # Links are left out: they may lead to any file of this computer.
        inside = path.resolve().is_relative_to(result.folder.resolve())
        if path.suffix not in SERVED or path.is_symlink() or not inside:
            continue
        if path.is_file() and not any(part.startswith(".") for part in inner.parts):
            layout.add_extra(f"{folder}/{inner}", path)
    text, marks = build_page(result, layout, templates)
    layout.add_text(f"{result.page}.ipynb", text)
    pictures = []
    for path in result.figures:
        with Image.open(path) as picture:
            small = picture.convert("RGB")
        small.thumbnail((THUMBNAIL_PX, THUMBNAIL_PX))
        held = io.BytesIO()
        small.save(held, "PNG", optimize=True)
        name = f"thumbnails/{result.page.removesuffix('/executed')}/{path.name}"
        pictures.append(
            {
                "address": layout.add_extra(name, held.getvalue()),
                "link": f"{result.page}.html"
                + (f"#{marks[path.stem]}" if path.stem in marks else ""),
                "number": spell_number(path).replace("_", " "),
                "result": result,
                "width": small.width,
                "height": small.height,
            }
        )
    return marks, pictures


def list_outputs():
    """Tables and figures of the thesis, each with its page if it is a table."""
    if not (published_folder() / "index.csv").is_file():
        return []
    rows = load_list("outputs").to_dict("records")
    for row in rows:
        kind, row["number"] = row["output"].split()
        row["stem"] = f"{kind}_{table_stem(row['number'])}"
        row["page"] = f"tables/{row['stem']}" if row["number"] in list_published().index else ""
        row["page"] *= kind == "table"
    return rows


def add_outputs(layout, templates, outputs, profiles, marks):
    """Add the list of tables and figures, and a page for each table."""
    results = [result for group in profiles.values() for result in group]
    stored = score_systems(load_stored())
    for row in outputs:
        folder = f"{row['stem'].partition('_')[0]}s"
        suffix = "csv" if row["page"] else "png"
        held = [r for r in results if (r.folder / folder / f"{row['stem']}.{suffix}").is_file()]
        held = [result for result in held if result.page in marks and result.executed.is_file()]
        links = [(f"{r.page}.html#{marks[r.page].get(row['stem'], '')}", r.profile) for r in held]
        row["printed"] = describe_printed(row["output"])
        row["results"], row["link"] = links, links[0][0] if links else ""
        if row["page"]:
            row["link"] = f"{row['page']}.html"
            add_table(layout, templates, row, held, marks, stored[stored["table"] == row["number"]])
    pages = [row["page"] for row in outputs if row["page"]]
    text = templates.get_template("outputs.md").render(outputs=outputs, table_pages=pages)
    layout.add_text("outputs.md", text)


def add_table(layout, templates, row, results, marks, stored):
    """Add the page of a table: our results with their runs, and what the thesis printed."""
    stored = stored.to_dict("records")
    shown = []
    for result in results:
        made = result.folder / "tables" / f"{row['stem']}.html"
        page = templates.get_template("table_result.html").render(
            result=result,
            table=result.read_table(made.with_suffix(".csv")),
            layout=defuse(made.read_text(encoding="utf-8")) if made.is_file() else "",
            mark=marks[result.page].get(row["stem"], ""),
        )
        shown.append((result, embed(page)))
    printed = load_published(row["number"])
    bold = printed.get("headline", printed.iloc[:, 0].eq(None)).to_numpy().nonzero()[0].tolist()
    notes = [note for note in dict.fromkeys(printed.get("note", [])) if note]
    printed = printed.drop(columns=["headline", "note"], errors="ignore").astype(object)
    printed = printed.where(printed.notna(), "")
    printed_html = templates.get_template("printed.html").render(
        number=row["number"],
        bold=bold,
        notes=notes,
        table={"columns": list(printed), "rows": printed.to_numpy().tolist()},
    )
    about = list_published().loc[row["number"]]
    text = templates.get_template("table.md").render(
        **row,
        measure=MEASURES.get(about["measure"], about["measure"]),
        chance=about["chance_percent"] if about["chance_percent"] > 0 else "",
        stored=stored,
        stored_html=embed(templates.get_template("stored.html").render(rows=stored)),
        shown=shown,
        printed_html=embed(printed_html),
    )
    layout.add_text(f"{row['page']}.md", layout.relink(text, f"{row['page']}.md", bases=["."]))


def add_absent(layout, templates, result):
    """Add a page for an experiment that was not run: what it asks, and how to run it."""
    path = notebooks_folder() / f"{result.notebook}.ipynb"
    first = nbformat.read(path, as_version=4).cells[0].source if path.is_file() else ""
    page = f"{result.page}.md"
    narrative = first.partition("\n")[2] if first.startswith("# ") else first
    text = templates.get_template("not_run.md").render(
        result=result,
        summary=embed(templates.get_template("summary.html").render(result=result)),
        narrative=layout.relink(narrative, page, bases=["notebooks"]),
    )
    layout.add_text(page, text)


def add_index(layout, templates, *, profiles, **shown):
    """Add the first page: what this is, what was found, the state of the results, the figures."""
    readme = (layout.project / "README.md").read_text(encoding="utf-8")
    title, _, rest = readme.partition("\n")
    pitch, _, rest = rest.partition("\n## ")[0].strip().partition("\n\n")
    headlines = re.search("<!-- headlines -->(.*)<!-- /headlines -->", rest, re.DOTALL)
    text = templates.get_template("index.md").render(
        title=title.removeprefix("# "),
        pitch=layout.relink(pitch, "index.md"),
        picture=layout.relink("\n".join(re.findall(r"^!\[.*", rest, re.MULTILINE)), "index.md"),
        headlines=render_markdown(headlines[1].strip()) if headlines else "",
        verdict=judge_results(profiles),
        profiles=profiles,
        **shown,
    )
    layout.add_text("index.md", text)


def judge_results(profiles):
    """Sentences on what ran, and what it can say about the thesis."""
    told, complete = [], []
    for profile, results in profiles.items():
        ran = [result for result in results if result.state == "complete"]
        complete += ran
        told.append(
            f"In the profile {profile}, {len(ran)} of {len(results)} notebooks ran to their end."
        )
    kinds = [{c["kind"] for c in result.record["corpora"].values()} for result in complete]
    if own := sum(found == {"thesis"} for found in kinds):
        told.append(f"{own} ran on the thesis's own corpus; there the tables give the difference.")
    else:
        told.append("None ran on a corpus of the thesis: no number of it is confirmed here.")
    return " ".join(told)


def add_reference(layout):
    """Add the library's reference: a page a module, out of the docstrings."""
    names = ["thesislib"]
    names += [m.name for m in pkgutil.walk_packages(thesislib.__path__, "thesislib.")]
    names = [name for name in names if not any(part.startswith("_") for part in name.split("."))]
    for name in names:
        below = [other for other in names if other.rpartition(".")[0] == name]
        lines = [name, "=" * len(name), "", f".. automodule:: {name}", "   :members:"]
        # What a package takes over from its modules is described there.
        lines += ["   :ignore-module-all:", ""]
        if below:
            lines += ["Modules", "-------", "", ".. autosummary::", ""]
            lines += [f"   {other.rpartition('.')[2]}" for other in below]
            lines += ["", ".. toctree::", "   :hidden:", ""]
            lines += [f"   {other.rpartition('.')[2]} </api/{other}>" for other in below]
        layout.add_text(f"api/{name}.rst", "\n".join(lines) + "\n")


if __name__ == "__main__":
    sys.exit(main())
