"""Whether results are reproduced: the same notebooks and parameters give the same bytes."""

import shutil
import tempfile
from pathlib import Path

from thesislib.compendium.freshness import list_changes
from thesislib.compendium.parameters import resolve_run
from thesislib.compendium.schedule import run_side_by_side
from thesislib.errors import ParameterError, check_number, check_option
from thesislib.places import results_folder
from thesislib.reporting.notebooks import PROFILES, list_notebooks, read_parameters
from thesislib.reporting.results import find_results, read_record


def list_results(profile="demo"):
    """Notebooks that have results in a profile, by their section."""
    check_option("profile", profile, PROFILES)
    return [n for n in list_notebooks() if read_record(find_results(n, {"profile": profile}))]


def verify_all(names=(), *, profile="demo", empty_store=False, jobs=None):
    """Run notebooks again, beside their results, and compare every table; print a line for each.

    Parameters
    ----------
    names : sequence of str
        Default: all that have results.
    profile : {"demo", "paper", "public"}
    empty_store : bool
        Compute every feature and model again, too.
    jobs : int, optional
        Worker processes of all notebooks together; default: one per core.

    Returns
    -------
    bool
        Whether all tables are equal. Those that differ stay in ``results/.verify``.

    Raises
    ------
    ParameterError, CorpusError
        Before anything runs: if a notebook has no complete results, or their parameters are
        not accepted any more.
    """
    if jobs is not None:
        check_number("jobs", jobs, low=1, integer=True)
    names = list_results(profile) if list(names) in ([], ["all"]) else names
    records = {name: _read_complete(name, profile) for name in names}
    if not records:
        print(f"no results in the profile {profile}; nothing to verify")
        return True
    beside = results_folder() / ".verify"
    beside.mkdir(parents=True, exist_ok=True)
    places, plans, equal = {}, {}, {}
    try:
        for name, record in records.items():
            places[name] = Path(tempfile.mkdtemp(prefix=f"{name}-", dir=beside))
            values = {key: value for key, value in record["parameters"].items() if key != "n_jobs"}
            values["results"] = str(places[name] / "results")
            if empty_store and "store" in read_parameters(name):
                values["store"] = str(places[name] / "store")
            plans[name] = resolve_run(name, profile=profile, parameters=values)
        for outcome in run_side_by_side(plans, jobs=jobs):
            name, place = outcome.name, places[outcome.name]
            equal[name], line = _compare(outcome, records[name], profile, place)
            shutil.rmtree(place if equal[name] else place / "store", ignore_errors=True)
            print(line, flush=True)
    finally:
        for name in places.keys() - equal.keys():
            shutil.rmtree(places[name], ignore_errors=True)
        if not any(beside.iterdir()):
            beside.rmdir()
    count = sum(equal.values())
    print(f"{count} of {len(records)} notebooks gave the same tables")
    return count == len(records)


def _read_complete(name, profile):
    check_option("notebook", name, list_notebooks())
    record = read_record(find_results(name, {"profile": profile}))
    if record is None:
        raise ParameterError(
            f"{name}: found no complete results in the profile {profile}, expected some to verify"
        )
    return record


def _compare(outcome, record, profile, place):
    """Whether a notebook's tables are equal, and a line about it."""
    if outcome.state == "FAILED":
        return False, str(outcome)
    name, again = outcome.name, outcome.folder
    before = find_results(name, {"profile": profile})
    files = record["outputs"].keys() | read_record(again)["outputs"].keys()
    tables = sorted(file for file in files if file.startswith("tables/"))
    different = [file for file in tables if _read(before / file) != _read(again / file)]
    if not different:
        count = sum(file.endswith(".csv") for file in tables)
        return True, f"{name}: equal in {outcome.seconds:.0f} s, {count} tables"
    lines = [f"{name}: DIFFERS in {outcome.seconds:.0f} s, see {place}"]
    lines += [f"  {file}" for file in different]
    if changes := list_changes(name, record["parameters"], record):
        lines.append(f"  changed since: {', '.join(changes)}")
    return False, "\n".join(lines)


def _read(path):
    return path.read_bytes() if path.is_file() else None
