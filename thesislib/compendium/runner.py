"""Running a notebook: parameters checked first, then papermill, then a clear verdict.

A value is refused before a kernel starts if its name is unknown, if its type is not
that of the notebook's default, or if ``notebooks/parameters/limits.yaml`` excludes it.
:mod:`thesislib.compendium.processes` runs several side by side.
"""

import difflib
import os
import re
import shutil
from pathlib import Path

from thesislib.compendium.checks import check_run
from thesislib.compendium.freshness import list_changes, read_limits
from thesislib.errors import ParameterError, ThesisError, check_number, check_option
from thesislib.places import notebooks_folder, project_root
from thesislib.plain_values import read_plain
from thesislib.reporting.notebooks import (
    OVERVIEW,
    PROFILES,
    list_notebooks,
    read_cells,
    read_parameters,
)
from thesislib.reporting.results import (
    find_results,
    keep_failed,
    publish,
    read_record,
    stage,
    write_record,
)
from thesislib.store import hash_file, lock

#: Environment variable that names the folder which a notebook's run writes into.
STAGED_VARIABLE = "THESIS_STAGED"


class NotebookError(ThesisError):
    """A cell failed.

    Attributes
    ----------
    log : str
        The traceback.
    """

    def __init__(self, message, log=""):
        super().__init__(message)
        self.log = log


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
    for name, element in value.items() if isinstance(default, dict) and default else ():
        usual = default.get(name, next(iter(default.values())))
        if isinstance(usual, list) and not isinstance(element, list):
            raise ParameterError(
                f"{key}: found {element!r}, expected a list, {{{name}: [{element}]}}"
            )
        if isinstance(usual, str) and not isinstance(element, str):
            raise ParameterError(
                f"{key}: found {element!r} for {name}, expected one name like {usual!r}"
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
        from thesislib.spectra.plot import check_colour_map

        check_colour_map(value, key)
    elif not isinstance(value, (str, bool)):
        check_number(
            key,
            value,
            low=limits.get("above", limits.get("low")),
            high=limits.get("high"),
            open_low="above" in limits,
        )


def _check_name(name):
    """Refuse a copy of a notebook that would replace the results of the original."""
    source = "\n".join(cell["source"] for cell in read_cells(name) if cell["kind"] == "code")
    for other in re.findall(r"\bRun\(\s*[\"']([^\"']*)[\"']", source):
        if other != name:
            raise ParameterError(
                f"{name}: found Run({other!r}, …) in a cell, expected the notebook's own name, "
                f"Run({name!r}, …)"
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


def resolve_run(name, *, profile="demo", corpus=None, jobs=None, parameters=None):
    """Everything that a run needs, checked: the parameters that differ from the defaults.

    Raises
    ------
    ThesisError
        Before anything runs; see :func:`thesislib.compendium.checks.check_run`.
    """
    check_option("notebook", name, list_notebooks())
    _check_name(name)
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
    check_run(name, check_parameters(name, values, limits=limits))
    for key in ("results", "store"):  # need not exist yet
        if values.get(key):
            values[key] = os.path.abspath(values[key])
    folder = find_results(name, values)
    other = (read_record(folder) or {}).get("notebook", name)
    if other != name:
        raise ParameterError(
            f"{name}: results: found results of {other} in {folder}, expected another folder"
        )
    return _resolve_paths(values, limits)


def execute_notebook(name, values, *, progress=False, force=True):
    """Execute a notebook with parameters that :func:`resolve_run` has checked.

    Two processes with the same folder of results run one after the other. Finished results
    are replaced when all cells have run; those of a failed run are kept in a folder of their own.

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
        If a cell fails or the kernel dies; names the folder of the failed copy.
    """
    folder = find_results(name, values)
    staged = stage(folder)
    with lock(folder / "run") as waited:
        try:
            if waited and not force and not list_changes(name, {**read_parameters(name), **values}):
                return False
            os.environ[STAGED_VARIABLE] = str(staged)
            _execute(name, values, staged, progress)
            publish(staged, folder)
        except NotebookError as error:
            failed = keep_failed(staged, folder, f"{error}\n\n{error.log}")
            raise NotebookError(f"{error}\nfailed copy: {failed}") from error
        finally:
            os.environ.pop(STAGED_VARIABLE, None)
            shutil.rmtree(staged, ignore_errors=True)
    return True


def _execute(name, values, staged, progress):
    import papermill
    from nbclient.exceptions import DeadKernelError
    from papermill.exceptions import PapermillExecutionError

    from thesislib.compendium.kernel import OwnKernelManager, run_kernel

    executed = staged / "executed.ipynb"

    def execute():
        papermill.execute_notebook(
            notebooks_folder() / f"{name}.ipynb",
            executed,
            parameters=values,
            kernel_name="python3",
            kernel_manager_class=OwnKernelManager,
            language="python",
            cwd=notebooks_folder(),
            progress_bar=progress,
            start_timeout=300,
        )

    try:
        run_kernel(execute)
    except PapermillExecutionError as error:
        raise NotebookError(
            f"{name}: cell {error.cell_index + 1} failed with {error.ename}: {error.evalue}",
            log=re.sub(r"\x1b\[[\d;]*m", "", "\n".join(error.traceback)),
        ) from error
    except DeadKernelError as error:
        raise NotebookError(f"{name}: {error}") from error
    record = read_record(staged)
    if record is None:
        raise NotebookError(f"{name}: no cell called run.finish(), so there is no result")
    write_record(staged, {**record, "executed": hash_file(executed)})


def describe_run(name, values, *, jobs=None):
    """What a run would do and cost, without running it (``--dry-run``).

    Parameters
    ----------
    name : str
    values : dict
        Parameters that :func:`resolve_run` has checked.
    jobs : int, optional
        Worker processes; default: one a core.

    Returns
    -------
    str
    """
    from joblib import cpu_count

    from thesislib.compendium.estimate import describe_work

    values = {**read_parameters(name), "n_jobs": jobs or cpu_count(), **values}
    due = ", ".join(list_changes(name, values))
    state = f"to run ({due})" if due else "up to date"
    return f"{name}: {state}\n{describe_work(name, values)}"
