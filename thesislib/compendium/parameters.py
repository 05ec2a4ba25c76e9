"""Parameters of a run: read from the profile and the command line, and checked before it starts.

A name must be declared in the notebook, a value must have the type of its default, and
``notebooks/parameters/limits.yaml`` must allow it.
"""

import ast
import difflib
import json
import os
import re
from collections import Counter
from pathlib import Path

import yaml

from thesislib.compendium.checks import check_run
from thesislib.errors import ParameterError, check_number, check_option
from thesislib.places import notebooks_folder, project_root
from thesislib.reporting.notebooks import (
    OVERVIEW,
    PROFILES,
    list_notebooks,
    profile_file,
    read_cells,
    read_parameters,
    read_title,
)
from thesislib.reporting.notebooks import read_profile as read_values
from thesislib.reporting.results import find_results, read_record

#: Environment variable that names the folder which a notebook's run writes into.
STAGED_VARIABLE = "THESIS_STAGED"


def read_limits():
    """Values that parameters may have: ``notebooks/parameters/limits.yaml``."""
    path = notebooks_folder() / "parameters" / "limits.yaml"
    return yaml.safe_load(path.read_text(encoding="utf-8")) or {}


def read_profile(name, profile):
    """Parameters that a profile sets; the demo profile is the notebook's own defaults.

    Raises
    ------
    ParameterError
        If the profile has no values for this notebook, or they are no mapping.
    """
    path = profile_file(name, check_option("profile", profile, PROFILES))
    if not path.is_file() and profile != "demo" and name != OVERVIEW:
        raise ParameterError(
            f"profile: found no notebooks/parameters/{profile}/{path.name}, expected one "
            "(copy that of the notebook which it is a copy of)"
        )
    values = read_values(name, profile)
    if values.get("corpus"):
        # A profile is part of the project, so its corpus is relative to the project.
        values["corpus"] = str(project_root() / values["corpus"])
    return values


def check_parameters(name, values):
    """Check the parameters of a notebook, and return all of them.

    Parameters
    ----------
    name : str
    values : dict
        Parameters that differ from the defaults.

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
    declared, limits, problems = read_parameters(name), read_limits(), []
    for key, value in values.items():
        try:
            if key not in declared:
                near = difflib.get_close_matches(key, declared, n=1)
                hint = f"did you mean {near[0]!r}?" if near else f"it has {', '.join(declared)}"
                raise ParameterError(f"unknown parameter {key!r}; {hint}")
            _check_type(key, value, declared[key])
            _check_limits(key, value, limits.get(f"{name}.{key}", limits.get(key, {})))
        except ParameterError as error:
            problems.append(f"{name}: {error}")
    resolved = {**declared, **values}
    window, hop = resolved.get("window_s"), resolved.get("hop_s")
    if not problems and None not in (window, hop) and hop > window:
        problems.append(f"{name}: hop_s is {hop}, expected at most window_s = {window}")
    if problems:
        raise ParameterError("\n".join(problems))
    return resolved


def describe_parameters(name):
    """Describe the parameters of a notebook: type, meaning, and value in each profile.

    The meaning is the comment behind the value in the notebook's cell of parameters.

    Examples
    --------
    >>> print(describe_parameters("10_2_snore"))
    10_2_snore: 10.2 Snore sound recognition: Deep Spectrum
    <BLANKLINE>
    profile (str): demo, paper or public
        demo    "demo"
    ...
    """
    check_option("notebook", name, list_notebooks())
    (cell,) = (cell for cell in read_cells(name) if "parameters" in cell["tags"])
    ends = {node.targets[0].id: node.end_lineno for node in ast.parse(cell["source"]).body}
    rows, limits = cell["source"].splitlines(), read_limits()
    profiles = {profile: read_values(name, profile) for profile in PROFILES[1:]}
    lines = [f"{name}: {read_title(name)}"]
    for key, value in read_parameters(name).items():
        meaning = [rows[ends[key] - 1].partition("  # ")[2]]
        options = limits.get(key, {}).get("options", ())
        meaning += [f"one of {', '.join(options)}"] if options and not meaning[0] else []
        title = f"{key} ({type(value).__name__})"
        lines += ["", ": ".join([title, *filter(None, meaning)])]
        values = {"demo": value} | {p: own.get(key, value) for p, own in profiles.items()}
        values = {p: v for p, v in values.items() if p == "demo" or v != value}
        lines += [f"    {p:8}{json.dumps(v, ensure_ascii=False)}" for p, v in values.items()]
    return "\n".join(lines)


def _check_type(key, value, default):
    kind = int | float if isinstance(default, float) else type(default)
    is_boolean = isinstance(value, bool)
    if default is not None and not (
        isinstance(value, kind) and is_boolean == isinstance(default, bool)
    ):
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
    """Check a value, or each element of a list or mapping, against its entry in the limits."""
    if isinstance(value, list | dict):
        if value == [] and not limits.get("may_be_empty"):
            raise ParameterError(f"{key}: found an empty list, expected at least one value")
        for element in value.values() if isinstance(value, dict) else value:
            _check_limits(key, element, limits)
    elif value is None:
        return
    elif "options" in limits:
        check_option(key, value, limits["options"])
    elif limits.get("is") == "colour map":
        from thesislib.spectra.plot import check_colour_map

        check_colour_map(value, key)
    elif not isinstance(value, str | bool):
        low, high = limits.get("above", limits.get("low")), limits.get("high")
        check_number(key, value, low=low, high=high, open_low="above" in limits)


def resolve_run(name, *, profile="demo", parameters=None):
    """Check everything that a run needs, and return the parameters that differ from the defaults.

    Raises
    ------
    ThesisError
        Before anything runs; see :func:`thesislib.compendium.checks.check_run`.
    """
    check_option("notebook", name, list_notebooks())
    _check_name(name)
    declared, limits = read_parameters(name), read_limits()
    values = {**read_profile(name, profile), "profile": profile, **(parameters or {})}
    for key, value in values.items():
        # "name=" on the command line and an empty line in YAML are None: an empty text.
        if value is None and isinstance(declared.get(key), str):
            values[key] = ""
    check_run(name, check_parameters(name, values))
    for key in ("results", "store"):  # need not exist yet
        if values.get(key):
            values[key] = os.path.abspath(values[key])
    _check_replaced(name, find_results(name, values), values.get("corpus", ""))
    is_path = {key for key, limit in limits.items() if limit.get("is") == "path"}
    return {key: _resolve_path(v) if key in is_path else v for key, v in values.items()}


def _check_replaced(name, folder, corpus):
    """Reject results of another notebook, or of another corpus, in the folder of a run."""
    record = read_record(folder) or {}
    other, place = record.get("notebook", name), record.get("parameters", {}).get("corpus", corpus)
    if other == name and name != OVERVIEW and os.path.realpath(place) != os.path.realpath(corpus):
        # A corpus may have been moved.
        if Path(place).name != Path(corpus).name or Path(place).exists():
            other = f"the corpus {place}" if place else "the synthetic corpus"
    if other != name:
        raise ParameterError(
            f"{name}: results: found results of {other} in {folder}, expected another folder "
            "(-p results=DIR); or remove them"
        )


def _check_name(name):
    """Reject a copy of a notebook that would replace the results of the original."""
    source = "\n".join(cell["source"] for cell in read_cells(name) if cell["kind"] == "code")
    for other in re.findall(r"\bRun\(\s*[\"']([^\"']*)[\"']", source):
        if other != name:
            raise ParameterError(
                f"{name}: found Run({other!r}, …) in a cell, expected the notebook's own name, "
                f"Run({name!r}, …)"
            )


def _resolve_path(value):
    """Make a path absolute: a notebook runs in its own folder, not in the user's."""
    if isinstance(value, dict):
        return {key: _resolve_path(element) for key, element in value.items()}
    if not isinstance(value, str) or not value:
        return value
    if Path(value).exists():
        return str(Path(value).resolve())
    # A module and its weights, as in the parameter ``hear``.
    return ":".join(map(_resolve_path, value.split(":"))) if ":" in value else value


def plan_runs(names, *, profile="demo", corpus=None, parameters=None):
    """Parameters of several runs, all checked before any of them starts.

    Parameters
    ----------
    names : sequence of str
    profile : {"demo", "paper", "public"}
    corpus : str or Path, optional
        Folder of the corpus of all notebooks.
    parameters : dict, optional
        Parameters of all notebooks, and of single ones: ``"10_2_snore.seed"``. The overview
        gets only those that it declares.

    Returns
    -------
    dict of str to dict
        Parameters of each notebook that differ from its defaults.

    Raises
    ------
    ParameterError, CorpusError

    Examples
    --------
    >>> plan_runs(["10_2_snore"], parameters={"10_2_snore.seed": 1})["10_2_snore"]["seed"]
    1
    """
    shared, own = {}, {name: {} for name in names}
    for key, value in (parameters or {}).items():
        name, dot, own_key = key.partition(".")
        if dot and name not in own:
            raise ParameterError(
                f"{key}: found no notebook {name} among those to run, "
                f"expected one of {', '.join(names)}"
            )
        (own[name] if dot else shared)[own_key if dot else key] = value
    if corpus is not None:
        shared["corpus"] = str(corpus)
    plans = {}
    for name in names:
        values = shared
        if name == OVERVIEW and name in list_notebooks():
            values = {key: shared[key] for key in shared.keys() & read_parameters(name).keys()}
        plans[name] = resolve_run(name, profile=profile, parameters=values | own[name])
    folders = Counter(find_results(*plan) for plan in plans.items())
    folder, count = folders.most_common(1)[0] if folders else (None, 0)
    if count > 1:
        raise ParameterError(
            f"results: found {folder} for several notebooks, expected a folder for each "
            "(-p NOTEBOOK.results=DIR)"
        )
    return plans
