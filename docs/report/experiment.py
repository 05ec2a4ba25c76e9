"""An executed notebook as a page: its code folded, its links mended, its provenance below it."""

import re

import nbformat
from markdown_it import MarkdownIt
from nbformat.v4 import new_markdown_cell, new_output
from result import spell_number

_VIEW = "application/vnd.jupyter.widget-view+json"
_STATE = "application/vnd.jupyter.widget-state+json"
#: Cells whose code stays open: what a run was told.
_OPEN = {"parameters", "injected-parameters"}
#: The last cell's value: where the record lies on the machine that ran it, which tells no reader.
_PATH = re.compile(r"(Posix|Windows)Path\(.*run\.json")
#: Kinds of outputs that a page shows. Markdown is rendered here: Sphinx would follow it to files.
_KINDS = ("text/html", "image/png", "image/jpeg", "text/plain")
#: Elements that an output may not have: they load, lead away or run, whatever the page's policy.
_UNSAFE = re.compile(
    r"<(?=/?(?:script|meta|base|link|iframe|frame|frameset|object|embed|applet|form|template|svg|math"
    r"|title|textarea|noscript|xmp|plaintext)\b)",
    re.IGNORECASE,
)
_CONTROLS = "<p class='remark'>The controls need a running kernel: <code>make lab</code>.</p>"


def build_page(result, layout, templates):
    """Turn a result into a page's notebook.

    Parameters
    ----------
    result : result.Result
    layout : layout.Layout
    templates : jinja2.Environment

    Returns
    -------
    (str, dict)
        The notebook as JSON, and the marks (file's stem to anchor) of its figures and tables.
    """
    notebook = nbformat.read(result.executed, as_version=4)
    states = notebook.metadata.pop("widgets", {}).get(_STATE, {}).get("state", {})
    notebook.metadata.pop("papermill", None)
    page = f"{result.page}.ipynb"
    bases = ["notebooks", str(page).rpartition("/")[0]]
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            cell.source = layout.relink(cell.source, page, bases=bases)
        elif cell.cell_type == "code":
            tags = set(cell.metadata.get("tags", []))
            cell.metadata = {"tags": sorted(tags | (set() if tags & _OPEN else {"hide-input"}))}
            cell.outputs = [shown for o in cell.outputs for shown in _show_output(o, states)]
            for output in cell.outputs:
                if "data" in output:
                    output.metadata, output.data = {}, _clean_data(output.data)
                if text := output.get("data", {}).get("text/html"):
                    text = layout.relink(text, page, bases=bases, rendered=True)
                    output.data["text/html"] = text
    cells, marks = _mark_outputs(notebook.cells, result, templates)
    _insert_summary(cells, result, templates.get_template("summary.html").render(result=result))
    if tables := [result.read_table(path) for path in result.tables]:
        text = templates.get_template("tables.html").render(tables=tables, result=result)
        cells.append(new_markdown_cell(f"## Tables in full\n\n{embed(text)}"))
    text = templates.get_template("provenance.html").render(result=result, marks=marks)
    mark = '<span id="provenance-of-the-result"></span>'
    cells.append(new_markdown_cell(f"{mark}\n\n## Provenance\n\n{embed(text)}"))
    notebook.cells = cells
    for position, cell in enumerate(notebook.cells):
        cell.id = f"cell-{position}"
    return nbformat.writes(notebook), marks


def embed(html):
    """HTML as MyST takes it whole: its fence is longer than any in the text."""
    fence = "`" * (1 + max([6, *map(len, re.findall("`+", html))]))
    return f"\n{fence}{{raw}} html\n{html.strip()}\n{fence}\n\n"


def defuse(html):
    """Show the elements of an output as text that load, lead away or run."""
    return _UNSAFE.sub("&lt;", html)


def render_markdown(text):
    """Markdown of an output as HTML, without HTML of its own except line breaks and bare spans."""
    renderer = MarkdownIt("commonmark", {"html": False}).enable("table")
    return re.sub("&lt;(br|span|/span)&gt;", r"<\1>", renderer.render(text))


def _clean_data(data):
    data = dict(data)
    if "text/markdown" in data and "text/html" not in data:
        data["text/html"] = render_markdown("".join(data["text/markdown"]))
    data = {kind: data[kind] for kind in _KINDS if kind in data}
    if "text/html" in data:
        data["text/html"] = defuse("".join(data["text/html"]))
    return data


def _show_output(output, states):
    """What a page shows of an output; of a widget, what its output area held at first."""
    data = output.get("data", {})
    if _PATH.match(data.get("text/plain", "")):
        return []
    view = data.get(_VIEW)
    if view is None:
        return [output]
    shown = [nbformat.from_dict(o) for o in _find_outputs(view["model_id"], states)]
    if not shown:
        return []
    return [new_output("display_data", {"text/html": _CONTROLS}), *shown]


def _find_outputs(model, states):
    state = states.get(model, {}).get("state", {})
    found = list(state.get("outputs", []))
    for child in state.get("children", []):
        found += _find_outputs(child.removeprefix("IPY_MODEL_"), states)
    return found


def _mark_outputs(cells, result, templates):
    """Put a mark before the cell that writes a figure or table, its files below it."""
    marks, marked = {}, []
    for cell in cells:
        stems = []
        for path in [*result.figures, *result.tables] if cell.cell_type == "code" else []:
            kind = path.stem.partition("_")[0]
            named = f'"{spell_number(path)}"' in cell.source
            if named and f"run.{kind}(" in cell.source and path.stem not in marks:
                marks[path.stem] = path.stem.replace("_", "-")
                stems.append(path.stem)
        marked.append(cell)
        if stems:
            text = "".join(f'<span id="{marks[stem]}"></span>' for stem in stems)
            marked.insert(-1, new_markdown_cell(text))
            text = templates.get_template("downloads.html").render(stems=stems, result=result)
            marked.append(new_markdown_cell(embed(text)))
    return marked, marks


def _insert_summary(cells, result, text):
    """Put the result's summary below the first heading."""
    first = cells[0]
    heading = re.match(r"\s*# [^\n]*\n?", first.source) if first.cell_type == "markdown" else None
    head = heading[0] if heading else ""
    rest = first.source[len(head) :] if heading else ""
    if heading:
        first.source = f"{head.strip()}\n\n{embed(text)}\n\n{rest}"
    else:
        cells.insert(0, new_markdown_cell(f"# {result.title}\n\n{embed(text)}"))
