"""Running a notebook: parameters checked first, then papermill, then a clear verdict.

A value is refused before a kernel starts if its name is unknown, if its type is not
that of the notebook's default, or if ``notebooks/parameters/limits.yaml`` excludes it.
:mod:`thesislib.compendium.processes` runs several side by side.
"""

import difflib
import json
import os
import tempfile
from pathlib import Path

from thesislib.compendium.freshness import find_results, list_changes, read_limits, read_record
from thesislib.compendium.notebooks import (
    OVERVIEW,
    PROFILES,
    list_notebooks,
    read_parameters,
    read_title,
)
from thesislib.errors import (
    CorpusError,
    ParameterError,
    StoreError,
    ThesisError,
    check_number,
    check_option,
)
from thesislib.places import notebooks_folder, project_root
from thesislib.plain_values import read_plain
from thesislib.store import hash_file, write_atomically

__all__ = [
    "NotebookError",
    "check_parameters",
    "describe_run",
    "execute_notebook",
    "list_notebooks",
    "read_parameters",
    "read_profile",
    "read_title",
    "resolve_run",
    "run_notebook",
]


class NotebookError(ThesisError):
    """A cell failed; the executed copy holds the traceback."""


def read_profile(name, profile):
    """Parameters that a profile sets; the demo profile is the notebook's own defaults.

    Raises
    ------
    ParameterError
        If the profile has no values for this notebook, or they are no mapping.
    """
    check_option("profile", profile, PROFILES)
    if profile == "demo":
        return {}
    path = notebooks_folder() / "parameters" / profile / f"{name}.yaml"
    if not path.is_file() and name == OVERVIEW:
        return {}
    if not path.is_file():
        raise ParameterError(f"profile: found no {path.name} under parameters/{profile}")
    values = _read_mapping(path)
    if values.get("corpus"):
        # A profile is part of the project, so its corpus is where the project is.
        values["corpus"] = str(project_root() / values["corpus"])
    return values


def _read_mapping(path):
    values = read_plain(path, error=ParameterError) or {}
    if not isinstance(values, dict):
        raise ParameterError(f"{path}: found {type(values).__name__}, expected name: value lines")
    return values


def check_parameters(name, values, *, limits=None):
    """Return the resolved parameters of a notebook, or refuse them.

    Parameters
    ----------
    name : str
    values : dict
        What shall differ from the defaults.
    limits : dict, optional
        Contents of ``limits.yaml``; read from the project by default.

    Raises
    ------
    ParameterError
        Lists every unknown name (with the nearest valid one) and impossible value.

    Examples
    --------
    >>> check_parameters("10_2_snore", {"sed": 1})
    Traceback (most recent call last):
    ...
    thesislib.errors.ParameterError: 10_2_snore: unknown parameter 'sed'; did you mean 'seed'?
    """
    declared = read_parameters(name)
    if limits is None:
        limits = read_limits()
    problems = []
    for key, value in values.items():
        if key not in declared:
            near = difflib.get_close_matches(key, declared, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else f"; it has {', '.join(declared)}"
            problems.append(f"{name}: unknown parameter {key!r}{hint}")
            continue
        try:
            _check_type(key, value, declared[key])
            _check_limits(key, value, limits.get(key, {}))
        except ParameterError as error:
            problems.append(f"{name}: {error}")
    if not problems:
        resolved = {**declared, **values}
        window, hop = resolved.get("window_s"), resolved.get("hop_s")
        if window is not None and hop is not None and hop > window:
            problems.append(f"{name}: hop_s is {hop}, expected at most window_s = {window}")
    if problems:
        raise ParameterError("\n".join(problems))
    return {**declared, **values}


def _check_type(key, value, default):
    if isinstance(default, bool) or isinstance(value, bool):
        good = isinstance(default, bool) and isinstance(value, bool)
    elif isinstance(default, float):
        good = isinstance(value, (int, float))
    elif isinstance(default, list):
        good = isinstance(value, list)
    elif default is None:
        good = True
    else:
        good = isinstance(value, type(default))
    if not good:
        raise ParameterError(
            f"{key}: found {value!r} ({type(value).__name__}), "
            f"expected a {type(default).__name__} like {default!r}"
        )


def _check_limits(key, value, limits):
    """Check a value, or each element of a list, against its entry in the limits."""
    if value is None:
        return
    if isinstance(value, list):
        if not value and not limits.get("may_be_empty"):
            raise ParameterError(f"{key}: found an empty list, expected at least one value")
        for element in value:
            _check_limits(key, element, limits)
    elif isinstance(value, dict):
        for element in value.values():
            _check_limits(key, element, limits)
    elif "options" in limits:
        check_option(key, value, limits["options"])
    elif limits.get("is") == "colour map":
        from thesislib.spectra.plot import colour_table

        colour_table(value)
    elif not isinstance(value, (str, bool)):
        check_number(
            key,
            value,
            low=limits.get("above", limits.get("low")),
            high=limits.get("high"),
            open_low="above" in limits,
        )


def _resolve_paths(values, limits):
    """Make paths absolute: a notebook runs in its own folder, not in the user's."""

    def resolve(value):
        if isinstance(value, dict):
            return {key: resolve(element) for key, element in value.items()}
        if isinstance(value, str) and value and Path(value).exists():
            return str(Path(value).resolve())
        return value

    return {
        key: resolve(value) if limits.get(key, {}).get("is") == "path" else value
        for key, value in values.items()
    }


def resolve_run(
    name, *, profile="demo", corpus=None, jobs=None, parameters=None, needs_corpus=True
):
    """Everything that a run needs, checked: the parameters that differ from the defaults.

    ``needs_corpus=False`` lets the corpus that a profile names be absent.

    Raises
    ------
    ParameterError, CorpusError
        Before anything runs.
    """
    check_option("notebook", name, list_notebooks())
    declared = read_parameters(name)
    values = {**read_profile(name, profile), "profile": profile}
    values.update(parameters or {})
    if corpus is not None:
        values["corpus"] = str(corpus)
    if jobs is not None:
        values["n_jobs"] = jobs
    # "name=" on the command line and an empty line in YAML are None; of text, they mean none.
    for key, value in values.items():
        if value is None and isinstance(declared.get(key), str):
            values[key] = ""
    limits = read_limits()
    check_parameters(name, values, limits=limits)
    needs_corpus = needs_corpus or corpus is not None or "corpus" in (parameters or {})
    if needs_corpus and values.get("corpus") and not Path(values["corpus"]).is_dir():
        raise CorpusError(f"{values['corpus']}: found no folder, expected a corpus")
    for key in ("results", "store"):  # need not exist yet
        if values.get(key):
            values[key] = os.path.abspath(values[key])
    return _resolve_paths(values, limits)


def run_notebook(name, *, profile="demo", corpus=None, jobs=None, parameters=None, progress=True):
    """Execute a notebook with papermill, whether its results are up to date or not.

    Parameters
    ----------
    name : str
        Such as ``10_2_snore``.
    profile : {"demo", "paper", "public"}
    corpus : path, optional
        Folder of the corpus; the embedded synthetic one by default.
    jobs : int, optional
        Worker processes.
    parameters : dict, optional
        Further parameters by name.
    progress : bool
        Show a progress bar over the cells.

    Returns
    -------
    Path
        The executed notebook, ``results/<profile>/<name>/executed.ipynb``.

    Raises
    ------
    ParameterError, CorpusError
        Before a kernel starts.
    NotebookError
        If a cell fails; names the cell, and the executed copy stays.
    """
    values = resolve_run(name, profile=profile, corpus=corpus, jobs=jobs, parameters=parameters)
    execute_notebook(name, values, progress=progress)
    return find_results(name, values) / "executed.ipynb"


def execute_notebook(name, values, *, progress=False, force=True):
    """Execute a notebook with parameters that :func:`resolve_run` has checked.

    Two processes with the same folder of results run one after the other.

    Parameters
    ----------
    name : str
    values : dict
        What differs from the notebook's defaults.
    progress : bool
    force : bool
        Run again although another process, which this one had to wait for, has just done so.

    Returns
    -------
    bool
        False if the other process's results were kept.

    Raises
    ------
    StoreError
        If the folder cannot be written.
    NotebookError
        If a cell fails or the kernel dies.
    """
    from filelock import FileLock, Timeout

    folder = find_results(name, values)
    _check_writable(folder)
    lock, waited = FileLock(folder / ".lock"), False
    try:
        lock.acquire(blocking=False)
    except Timeout:
        waited = True
        lock.acquire()
    try:
        if waited and not force and not list_changes(name, {**read_parameters(name), **values}):
            return False
        _execute(name, values, folder, progress)
    finally:
        lock.release()
    return True


def _execute(name, values, folder, progress):
    import papermill
    from nbclient.exceptions import DeadKernelError
    from papermill.exceptions import PapermillExecutionError

    # papermill saves after each cell: a half-executed copy must not look finished.
    unfinished = folder / f".executed-{os.getpid()}.ipynb"
    executed = folder / "executed.ipynb"
    try:
        papermill.execute_notebook(
            notebooks_folder() / f"{name}.ipynb",
            unfinished,
            parameters=values,
            kernel_name="python3",
            language="python",
            cwd=notebooks_folder(),
            progress_bar=progress,
            start_timeout=300,
        )
        os.replace(unfinished, executed)
        _amend_record(folder, executed=hash_file(executed))
    except PapermillExecutionError as error:
        os.replace(unfinished, executed)
        _amend_record(folder, status="failed")
        raise NotebookError(
            f"{name}: cell {error.cell_index + 1} failed with {error.ename}: {error.evalue}\n"
            f"executed copy: {executed}"
        ) from error
    except DeadKernelError as error:
        _amend_record(folder, status="failed")
        raise NotebookError(f"{name}: its kernel died; was there too little memory?") from error
    finally:
        unfinished.unlink(missing_ok=True)


def _amend_record(folder, **values):
    """Add to ``run.json`` what is known only after the notebook's last cell."""
    record = read_record(folder)
    if record is not None:
        with write_atomically(folder / "run.json") as temporary:
            text = json.dumps({**record, **values}, indent=1, ensure_ascii=False)
            temporary.write_text(text + "\n", encoding="utf-8")


def _check_writable(folder):
    """Make the results folder and try it, before the long work starts."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        reason = os.strerror(error.errno)
        raise StoreError(error.errno, f"{folder}: cannot be written ({reason})") from error


def describe_run(name, values, *, jobs=None):
    """What a run would do and cost, without running it (``--dry-run``).

    Parameters
    ----------
    name : str
    values : dict
        Parameters that :func:`resolve_run` has checked; the corpus may be absent.
    jobs : int, optional
        Worker processes; default: one a core.

    Returns
    -------
    str
    """
    from joblib import cpu_count

    from thesislib.compendium.estimate import describe_estimate

    values = {**read_parameters(name), "n_jobs": jobs or cpu_count(), **values}
    absent = bool(values.get("corpus")) and not Path(values["corpus"]).is_dir()
    due = ", ".join(list_changes(name, values))
    state = f"to run ({due})" if due else "up to date"
    return f"{name}: {state}\n{describe_estimate(name, values, published=absent)}"
