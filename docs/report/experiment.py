"""An executed notebook as a page: its code folded, its links mended, its provenance below it."""

import re

import nbformat
from nbformat.v4 import new_markdown_cell, new_output
from result import spell_number

_VIEW = "application/vnd.jupyter.widget-view+json"
_STATE = "application/vnd.jupyter.widget-state+json"
#: Cells whose code stays open: what a run was told.
_OPEN = {"parameters", "injected-parameters"}
#: The last cell's value: where the record lies on the machine that ran it, which tells no reader.
_PATH = re.compile(r"(Posix|Windows)Path\(.*run\.json")
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
                for kind in ("text/html", "text/markdown"):
                    if kind in output.get("data", {}):
                        text = layout.relink(output.data[kind], page, bases=bases, rendered=True)
                        output.data[kind] = text
    cells, marks = _mark_outputs(notebook.cells, result)
    _insert_summary(cells, result, templates.get_template("summary.html").render(result=result))
    if tables := result.read_tables():
        text = templates.get_template("tables.html").render(tables=tables)
        cells.append(new_markdown_cell(f"## Tables in full\n\n{embed(text)}"))
    text = templates.get_template("provenance.html").render(result=result, marks=marks)
    mark = '<span id="provenance-of-the-result"></span>'
    cells.append(new_markdown_cell(f"{mark}\n\n## Provenance\n\n{embed(text)}"))
    notebook.cells = cells
    for position, cell in enumerate(notebook.cells):
        cell.id = f"cell-{position}"
    return nbformat.writes(notebook), marks


def embed(html):
    """HTML as MyST takes it whole, blank lines too."""
    return f"\n```````{{raw}} html\n{html.strip()}\n```````\n\n"


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


def _mark_outputs(cells, result):
    """Put a mark before the cell that writes a figure or table; returns cells and marks."""
    marks, marked = {}, []
    for cell in cells:
        found = []
        for path in [*result.figures, *result.tables] if cell.cell_type == "code" else []:
            kind = path.stem.partition("_")[0]
            named = f'"{spell_number(path)}"' in cell.source
            if named and f"run.{kind}(" in cell.source and path.stem not in marks:
                marks[path.stem] = path.stem.replace("_", "-")
                found.append(f'<span id="{marks[path.stem]}"></span>')
        if found:
            marked.append(new_markdown_cell("".join(found)))
        marked.append(cell)
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
