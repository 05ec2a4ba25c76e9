"""Whether a notebook's results are up to date: what they depend on, and what has changed.

``run.json`` holds, beside parameters and versions, a short description of everything else
that a result depends on (:func:`describe_inputs`). The check describes it again and compares
the two; it starts no kernel and opens no audio.

Corpora and weights are compared by the names, sizes and times of change of their files. This
reads no gigabytes, but may cause a run that was not needed. A synthetic corpus depends only on
the library and the parameters.
"""

import hashlib
import json
import os
from pathlib import Path

from thesislib.compendium.parameters import read_limits
from thesislib.places import describe_versions, project_root, published_folder, weights_folder
from thesislib.reporting.notebooks import (
    OVERVIEW,
    list_notebooks,
    read_cells,
    read_parameters,
    read_title,
)
from thesislib.reporting.results import find_results, list_folders, list_places, read_record
from thesislib.store import hash_file, hash_parameters

#: Inputs of a run, and their names in a list of changes.
WHAT = {"notebook": "notebook", "code": "thesislib", "published": "published tables"}

#: Parameters that do not affect results: folders and the number of processes.
WITHOUT_EFFECT = ("n_jobs", "results", "store")


def describe_inputs(name, parameters):
    """What a notebook's results depend on, beside its parameters and the libraries.

    Parameters
    ----------
    name : str
        Such as ``10_2_snore``.
    parameters : dict
        All of them.

    Returns
    -------
    dict
        ``notebook``: SHA-256 of the cells' sources; ``code`` and ``published``: of the package
        and of the thesis's printed tables (for the overview, of its lists and of the stored
        runs, too); ``files``: of what the parameters name on disk (:func:`stamp`), by
        parameter; for the overview, ``results``: SHA-256 of each ``run.json`` that it may read.

    Examples
    --------
    >>> sorted(describe_inputs("10_2_snore", {"corpus": ""}))
    ['code', 'files', 'notebook', 'published']
    """
    package = Path(__file__).parents[1]
    code = [path for path in package.rglob("*") if path.is_file() and path.suffix != ".pyc"]
    tables = list(published_folder().glob("*.csv"))
    if name == OVERVIEW:
        tables += (published_folder() / "overview").glob("*.csv")
        tables += (project_root() / "docs" / "stand_ins").glob("*")
    inputs = {
        "notebook": hash_parameters([[cell["kind"], cell["source"]] for cell in read_cells(name)]),
        "code": _hash_files(code, package),
        "published": _hash_files(tables, project_root()),
        "files": _stamp_parameters(parameters),
    }
    if name == OVERVIEW:
        inputs["results"] = {
            f"{place.name}/{folder.name}": hash_file(folder / "run.json")
            for place in list_places()
            for folder in list_folders(place)
            if folder.name != OVERVIEW
        }
    return inputs


def stamp(path):
    """SHA-256 over names, sizes and times of change of a file, or of all files in a folder.

    Hidden files and folders are left out; links are followed.

    Parameters
    ----------
    path : str or Path

    Returns
    -------
    str or None
        None if there is nothing at ``path``.

    Examples
    --------
    >>> stamp("no/such/folder") is None
    True
    """
    path = Path(path)
    if not path.exists():
        return None
    entries, seen = [_stat(path, path.name)] if path.is_file() else [], set()
    for folder, folders, files in os.walk(path, followlinks=True):
        # A link to a folder above would be followed for ever.
        real = os.path.realpath(folder)
        if real in seen:
            folders.clear()
            continue
        seen.add(real)
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for file in (Path(folder, name) for name in sorted(files) if not name.startswith(".")):
            entries.append(_stat(file, file.relative_to(path).as_posix()))
    return hash_parameters(entries)


def list_changes(name, parameters, record=None):
    """Why the results of a notebook are not those that a run would give now.

    Parameters
    ----------
    name : str
    parameters : dict
        All parameters of the run.
    record : dict, optional
        Contents of its ``run.json``; read by default.

    Returns
    -------
    list of str
        A few words a reason; empty if everything is up to date.
    """
    folder = find_results(name, parameters)
    record = read_record(folder) if record is None else record
    if record is None:
        return ["no results"]
    before, now = record.get("parameters", {}), json.loads(json.dumps(parameters, default=str))
    changes = [
        f"parameter {key}"
        for key in {**before, **now}
        if key not in WITHOUT_EFFECT and (key not in before or before[key] != now.get(key))
    ]
    changes += _differences("library {}", record.get("versions", {}), describe_versions())
    inputs, current = record.get("inputs", {}), describe_inputs(name, parameters)
    for key, what in WHAT.items():
        if inputs.get(key) != current[key]:
            changes.append(what)
    changes += _differences("files of {}", inputs.get("files", {}), current["files"])
    changes += _differences("{}", inputs.get("results", {}), current.get("results", {}))
    return changes or _list_damage(folder, record)


def find_changes(name, values):
    """As `list_changes`, for parameters that differ from the notebook's defaults."""
    return list_changes(name, {**read_parameters(name), **values})


def describe_changes(changes):
    """State of results with these changes, in words.

    Examples
    --------
    >>> describe_changes(["notebook", "parameter seed"])
    'needs a rerun: notebook, parameter seed'
    """
    if changes == ["no results"]:
        return "no results yet"
    return f"needs a rerun: {', '.join(changes)}" if changes else "up to date"


def describe_all():
    """Describe every notebook: its title, and the state of its results by profile or corpus.

    Examples
    --------
    >>> "10_2_snore               10.2 Snore sound recognition" in describe_all()
    True
    """
    lines = []
    for name in list_notebooks():
        states = []
        for place in list_places():
            if record := read_record(place / name):
                changes = list_changes(name, record["parameters"], record)
                states.append(f"{place.name}: {'out of' if changes else 'up to'} date")
        results = f"  [{', '.join(states)}]" if states else ""
        lines.append(f"{name:24} {read_title(name)}{results}")
    return "\n".join(lines)


def _differences(text, before, now):
    keys = sorted({**before, **now})
    return [text.format(key) for key in keys if before.get(key) != now.get(key)]


def _list_damage(folder, record):
    """Outputs that are missing, or differ from their SHA-256 in ``run.json``."""
    expected = {**record.get("outputs", {}), "executed.ipynb": record.get("executed")}
    present = {file for file in expected if (folder / file).is_file()}
    return [
        f"another {file}" if file in present else f"no {file}"
        for file, digest in expected.items()
        if file not in present or hash_file(folder / file) != digest
    ]


def _hash_files(paths, root):
    """SHA-256 over the contents of files and their names relative to a folder."""
    digest = hashlib.sha256()
    for path in sorted(paths):
        digest.update(f"{path.relative_to(root).as_posix()}\0{hash_file(path)}\n".encode())
    return digest.hexdigest()


def _stamp_parameters(parameters):
    """Stamps of what is named by parameters that are paths, by parameter."""
    limits, stamps = read_limits(), {}
    for key, value in parameters.items():
        if key in WITHOUT_EFFECT or limits.get(key, {}).get("is") != "path":
            continue
        named = value.values() if isinstance(value, dict) else [value]
        # "imagenet" means a file in the folder of weights.
        paths = [weights_folder() if one == "imagenet" else one for one in named if one]
        pairs = [(str(path), stamp(path)) for path in paths if isinstance(path, str | Path)]
        if pairs := sorted(pair for pair in pairs if pair[1]):
            stamps[key] = hash_parameters(pairs)
    return stamps


def _stat(path, name):
    try:
        status = path.stat()
    except OSError:  # a link to nothing
        return [name, None, None]
    return [name, status.st_size, status.st_mtime_ns]
