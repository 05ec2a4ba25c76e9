"""The notebooks as files: their names, cells, titles and parameters. This module runs nothing.

Notebooks are read as JSON, because every command uses this module and nbformat takes time to
import.
"""

import ast
import json

from thesislib.errors import ParameterError
from thesislib.places import notebooks_folder, read_plain

PROFILES = ("demo", "paper", "public")

#: Reads the results of the other notebooks, so it runs after them.
OVERVIEW = "00_overview"


def list_notebooks():
    """List the names of the notebooks, sorted by section.

    Examples
    --------
    >>> "10_2_snore" in list_notebooks()
    True
    """
    names = [path.stem for path in notebooks_folder().glob("[0-9][0-9]_*.ipynb")]
    return sorted(names, key=lambda name: [int(p) for p in name.split("_") if p.isdigit()])


def read_cells(name):
    """Read the cells of a notebook: kind, source and tags, without outputs.

    Parameters
    ----------
    name : str
        Notebook without suffix, such as ``10_2_snore``.

    Returns
    -------
    list of dict
        ``kind`` (``code`` or ``markdown``), ``source`` and ``tags`` of each.

    Raises
    ------
    ParameterError
        If the file is missing or not a notebook.

    Examples
    --------
    >>> read_cells("10_2_snore")[0]["kind"]
    'markdown'
    """
    path = notebooks_folder() / f"{name}.ipynb"
    try:
        return [
            {
                "kind": cell["cell_type"],
                "source": "".join(cell["source"]),
                "tags": cell.get("metadata", {}).get("tags", []),
            }
            for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]
        ]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ParameterError(f"{path}: found no notebook ({error!r})") from error


def read_title(name):
    """Read the first heading of a notebook.

    Examples
    --------
    >>> read_title("10_2_snore")
    '10.2 Snore sound recognition: Deep Spectrum'
    """
    for cell in read_cells(name):
        for line in cell["source"].splitlines():
            if line.startswith("# "):
                return line[2:].strip()
    return name


def read_parameters(name):
    """Read names and default values from the cell tagged ``parameters``.

    Parameters
    ----------
    name : str

    Returns
    -------
    dict

    Raises
    ------
    ParameterError
        If there is no such cell, or a value is not a literal.

    Examples
    --------
    >>> read_parameters("10_2_snore")["seed"]
    0
    """
    path = notebooks_folder() / f"{name}.ipynb"
    cells = [cell for cell in read_cells(name) if "parameters" in cell["tags"]]
    if len(cells) != 1:
        raise ParameterError(f"{path}: found {len(cells)} cells tagged parameters, expected one")
    parameters = {}
    for node in ast.parse(cells[0]["source"]).body:
        plain = isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)
        try:
            parameters[node.targets[0].id] = ast.literal_eval(node.value)
        except (ValueError, AttributeError) as error:
            raise ParameterError(
                f"{path}: line {node.lineno} of the parameters is no literal"
            ) from error
        if not plain:
            raise ParameterError(f"{path}: line {node.lineno} of the parameters is no assignment")
    return parameters


def read_profile(name, profile):
    """Values that a profile sets, as in its file; empty for the demo.

    Examples
    --------
    >>> read_profile("10_2_snore", "paper")["corpus"]
    'data/snore'
    """
    path = profile_file(name, profile)
    values = (read_plain(path, error=ParameterError) if path.is_file() else None) or {}
    if not isinstance(values, dict):
        raise ParameterError(f"{path}: found {type(values).__name__}, expected name: value lines")
    return values


def profile_file(name, profile):
    """File of the values that a profile sets; the demo has none."""
    return notebooks_folder() / "parameters" / profile / f"{name}.yaml"
