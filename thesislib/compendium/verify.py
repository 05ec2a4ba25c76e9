"""Whether results come out again: the same notebooks with the same parameters, byte by byte."""

import shutil
import tempfile
from pathlib import Path

from thesislib.compendium.freshness import list_changes
from thesislib.compendium.processes import run_side_by_side, say
from thesislib.compendium.runner import resolve_run
from thesislib.errors import ParameterError, check_number, check_option
from thesislib.places import results_folder
from thesislib.reporting.notebooks import PROFILES, list_notebooks, read_parameters
from thesislib.reporting.results import find_results, read_record


def list_results(profile="demo"):
    """Notebooks that have results in a profile, by their section."""
    check_option("profile", profile, PROFILES)
    return [n for n in list_notebooks() if read_record(find_results(n, {"profile": profile}))]


def verify_all(
    names, *, profile="demo", empty_store=False, jobs=None, report=say, environment=None
):
    """Run notebooks again, beside their results, and compare every table.

    Parameters
    ----------
    names : sequence of str
    profile : {"demo", "paper", "public"}
    empty_store : bool
        Compute every feature and model again, too.
    jobs : int, optional
        Worker processes of all notebooks together; default: one a core.
    report : callable
        Is given a line a notebook.
    environment : dict of str to str, optional
        Further environment variables for the notebooks' processes.

    Returns
    -------
    bool
        Whether all tables are equal. What differs stays in ``results/.verify`` to be looked at.

    Raises
    ------
    ParameterError, CorpusError
        Before anything runs: if a notebook has no complete results, or its parameters of then
        are not accepted now.
    """
    if jobs is not None:
        check_number("jobs", jobs, low=1, integer=True)
    records = {name: _read_complete(name, profile) for name in names}
    if not records:
        report(f"no results in the profile {profile}; nothing to verify")
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

        def done(outcome):
            place = places[outcome.name]
            equal[outcome.name], line = _judge(outcome, records[outcome.name], profile, place)
            shutil.rmtree(place if equal[outcome.name] else place / "store", ignore_errors=True)
            report(line)

        run_side_by_side(plans, done, jobs=jobs, report=report, environment=environment)
    finally:
        for name in places.keys() - equal.keys():
            shutil.rmtree(places[name], ignore_errors=True)
        if not any(beside.iterdir()):
            beside.rmdir()
    count = sum(equal.values())
    report(f"{count} of {len(records)} notebooks gave the same tables")
    return count == len(records)


def _read_complete(name, profile):
    check_option("notebook", name, list_notebooks())
    record = read_record(find_results(name, {"profile": profile}))
    if record is None:
        raise ParameterError(
            f"{name}: found no complete results in the profile {profile}, expected some to verify"
        )
    return record


def _judge(outcome, record, profile, place):
    """Whether a notebook's tables are equal, and a line about it."""
    if outcome.state == "FAILED":
        return False, str(outcome)
    before, again = find_results(outcome.name, {"profile": profile}), outcome.folder
    tables = {file for file in record["outputs"] if file.startswith("tables/")}
    made = {file for file in read_record(again)["outputs"] if file.startswith("tables/")}
    different = sorted(
        file for file in tables | made if _read(before / file) != _read(again / file)
    )
    if not different:
        count = sum(file.endswith(".csv") for file in tables)
        return True, f"{outcome.name}: equal in {outcome.seconds:.0f} s, {count} tables"
    lines = [f"{outcome.name}: DIFFERS in {outcome.seconds:.0f} s, see {place}"]
    lines += [f"  {file}" for file in different]
    changes = list_changes(outcome.name, record["parameters"], record)
    if changes:
        lines.append(f"  changed since: {', '.join(changes)}")
    return False, "\n".join(lines)


def _read(path):
    return path.read_bytes() if path.is_file() else None
