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
import sys
from pathlib import Path

import jinja2
import nbformat
from experiment import build_page, embed
from layout import Layout, empty_site
from PIL import Image
from result import STATES, read_results, spell_number
from sphinx.cmd.build import build_main

import thesislib
from thesislib.errors import ThesisError
from thesislib.places import notebooks_folder, project_root, results_folder
from thesislib.reporting.notebooks import PROFILES

HERE = Path(__file__).resolve().parent
#: Width of a thumbnail in pixels; drawn at half of it, so that it is sharp on dense screens.
THUMBNAIL_PX = 640
#: Pages of the documentation that come first and last; all others in docs/ stand between them.
FIRST, LAST = ("tutorial",), ("decisions",)


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
        profiles = read_results(results_folder(), options.profile)
        lay_out(root, work, profiles, profile=options.profile, with_api=not options.no_api)
    except (ThesisError, OSError) as error:
        print(f"report: {error}", file=sys.stderr)
        return 2
    arguments = ["-c", HERE.parent, "-d", work / "doctrees", "-W", "--keep-going", "--quiet"]
    arguments += ["-D", f"html_extra_path={work / 'extra'}", work / "source", output]
    code = build_main([str(argument) for argument in arguments])
    print(f"{output / 'index.html'}" + (": with warnings, see above" if code else ""))
    return code


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
    templates.globals["states"] = STATES
    documents = list_documents(root)
    layout.pages = dict.fromkeys(["README", *documents], ".md")
    for result in (result for results in profiles.values() for result in results):
        layout.pages[result.page] = ".ipynb" if result.executed.is_file() else ".md"
    for name in ["README", *documents]:
        layout.add_document(f"{name}.md")
    thumbnails = {}
    for name, results in profiles.items():
        for result in results:
            pictures = add_result(layout, templates, result)
            thumbnails.setdefault(name, []).extend(pictures)
    add_index(
        layout,
        templates,
        profiles=profiles,
        thumbnails={name: pictures for name, pictures in thumbnails.items() if pictures},
        documents=documents,
        with_api=with_api,
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
    """Add an experiment's page and files; returns its thumbnails."""
    if not result.executed.is_file():
        add_absent(layout, templates, result)
        return []
    folder = result.page.rpartition("/")[0]
    for path in sorted(result.folder.rglob("*")):
        inner = path.relative_to(result.folder)
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
        name = f"thumbnails/{result.profile}/{result.name}/{path.name}"
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
    return pictures


def add_absent(layout, templates, result):
    """Add a page for an experiment that was not run: what it asks, and how to run it."""
    path = notebooks_folder() / f"{result.name}.ipynb"
    first = nbformat.read(path, as_version=4).cells[0].source
    page = f"{result.page}.md"
    narrative = first.partition("\n")[2] if first.startswith("# ") else first
    text = templates.get_template("not_run.md").render(
        result=result,
        summary=embed(templates.get_template("summary.html").render(result=result)),
        narrative=layout.relink(narrative, page, bases=["notebooks"]),
    )
    layout.add_text(page, text)


def add_index(layout, templates, *, profiles, **shown):
    """Add the first page: the README's beginning, the state of the results, the figures."""
    readme = (layout.project / "README.md").read_text(encoding="utf-8")
    title, _, rest = readme.partition("\n")
    text = templates.get_template("index.md").render(
        title=title.removeprefix("# "),
        pitch=layout.relink(rest.partition("\n## ")[0].strip(), "index.md"),
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
