"""Several notebooks at once, each in a process of its own, within the cores and the memory.

The parent decides what has to run, in which order and how many side by side; a child (this
module, started as a program) executes one notebook. The parent holds the child's standard input
open. When it closes, because the parent stops or was killed, the child kills its kernel with all
workers, removes its temporary files, and exits.
"""

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

from thesislib.compendium.freshness import list_changes
from thesislib.compendium.runner import execute_notebook, resolve_run
from thesislib.errors import ParameterError, ThesisError, check_number
from thesislib.lifetime import PATIENCE_S, end_process
from thesislib.reporting.notebooks import OVERVIEW, list_notebooks, read_cells, read_parameters
from thesislib.reporting.results import find_results, read_record

#: Memory that a notebook gets where no earlier run says how much it took.
USUAL_MEMORY_GB = 2.0


@dataclass(frozen=True)
class Outcome:
    """What became of a notebook.

    Attributes
    ----------
    name : str
    state : {"made", "up to date", "FAILED"}
    folder : Path
        Of its results.
    seconds : float
        That it took; 0 if it did not run.
    error : str
        Why it failed.
    """

    name: str
    state: str
    folder: Path
    seconds: float = 0.0
    error: str = ""

    def count(self):
        """Numbers of tables and of figures, and the corpora with their kinds, as texts."""
        record = (self.state != "FAILED" and read_record(self.folder)) or {}
        outputs = record.get("outputs", {})
        tables = sum(file.startswith("tables/") and file.endswith(".csv") for file in outputs)
        figures = sum(file.startswith("figures/") and file.endswith(".png") for file in outputs)
        corpora = list(record.get("corpora", {}).values())
        names = list(dict.fromkeys(corpus["name"] for corpus in corpora))
        kinds = ", ".join(sorted({corpus["kind"] for corpus in corpora}))
        more = f" and {len(names) - 1} more" if len(names) > 1 else ""
        return str(tables), str(figures), f"{names[0]}{more} ({kinds})" if names else "-"

    def __str__(self):
        if self.state == "FAILED":
            return f"{self.name}: FAILED after {self.seconds:.0f} s\n{self.error}"
        tables, figures, _ = self.count()
        took = f" in {self.seconds:.0f} s" if self.seconds else ""
        return f"{self.name}: {self.state}{took}, {tables} tables, {figures} figures"


def plan_runs(names, *, profile="demo", corpus=None, parameters=None, own=None):
    """Parameters of several runs, all checked before any of them starts.

    Parameters
    ----------
    names : sequence of str
    profile, corpus, parameters
        Of all of them, as in :func:`~thesislib.compendium.runner.resolve_run`. The overview gets
        only the parameters that it declares.
    own : sequence of (str, str, object), optional
        Parameters of single notebooks: notebook, name, value.

    Returns
    -------
    dict of str to dict
        What differs from each notebook's defaults.

    Raises
    ------
    ParameterError, CorpusError

    Examples
    --------
    >>> plan_runs(["10_2_snore"], own=[("10_2_snore", "seed", 1)])["10_2_snore"]["seed"]
    1
    """
    for name, key, _ in own or ():
        if name not in names:
            raise ParameterError(
                f"{name}.{key}: found no notebook {name} among those to run, "
                f"expected one of {', '.join(names)}"
            )
    plans = {}
    for name in names:
        given, folder = dict(parameters or {}), corpus
        if name == OVERVIEW and name in list_notebooks():
            declared = read_parameters(name)
            given = {key: value for key, value in given.items() if key in declared}
            folder = corpus if "corpus" in declared else None
        given |= {key: value for other, key, value in own or () if other == name}
        plans[name] = resolve_run(name, profile=profile, corpus=folder, parameters=given)
    folders = Counter(find_results(*plan) for plan in plans.items())
    if twice := [str(folder) for folder, count in folders.items() if count > 1]:
        raise ParameterError(
            f"results: found {twice[0]} for several notebooks, expected a folder for each "
            "(-p NOTEBOOK.results=DIR)"
        )
    return plans


def say(line):
    """Print a line at once, into a pipe too."""
    print(line, flush=True)


def run_all(
    names, *, jobs=None, force=False, progress=True, report=say, environment=None, **options
):
    """Run what is not up to date, several notebooks side by side, the longest first.

    The overview reads what the others have made, so it comes last and alone.

    Parameters
    ----------
    names : sequence of str
    jobs : int, optional
        Worker processes of all notebooks together; default: one a core.
    force : bool
        Run what is up to date, too.
    progress : bool
        Show a bar over the cells where one notebook runs alone.
    report : callable
        Is given a line whenever a notebook ends.
    environment : dict of str to str, optional
        Further environment variables for the notebooks' processes.
    **options
        Of :func:`plan_runs`.

    Returns
    -------
    list of Outcome
        In the order of ``names``. A notebook that fails does not stop the others.

    Raises
    ------
    ParameterError, CorpusError
        Before anything runs.
    """
    if jobs is not None:
        check_number("jobs", jobs, low=1, integer=True)
    plans = plan_runs(names, **options)
    outcomes = {}

    def done(outcome):
        outcomes[outcome.name] = outcome
        report(str(outcome))

    for is_last in (False, True):
        batch = {name: plan for name, plan in plans.items() if (name == OVERVIEW) is is_last}
        changes = {name: find_changes(name, plan) for name, plan in batch.items()}
        due = {name: plan for name, plan in batch.items() if force or changes[name]}
        for name in batch.keys() - due.keys():
            outcomes[name] = Outcome(name, "up to date", find_results(name, batch[name]))
        if any(changes.values()):
            counts = Counter(change for found in changes.values() for change in found)
            report("changed: " + ", ".join(f"{what} ({n})" for what, n in counts.items()))
        if due:
            bar = progress and len(due) == 1 and sys.stderr.isatty()
            run_side_by_side(
                due, done, jobs=jobs, bar=bar, force=force, report=report, environment=environment
            )
    return [outcomes[name] for name in plans]


def run_side_by_side(
    plans, done, *, jobs=None, bar=False, force=True, report=say, environment=None
):
    """Run notebooks in processes of their own, the longest first.

    Parameters
    ----------
    plans : dict of str to dict
        Notebook to parameters that differ from its defaults.
    done : callable
        Is given each :class:`Outcome` as it comes.
    jobs, force, report, environment
        As in :func:`run_all`.
    bar : bool
        Show a bar over the cells.
    """
    n_beside, n_jobs = share_out([expect_memory_gb(*plan) for plan in plans.items()], jobs)
    if len(plans) > 1:
        workers = "1 worker" if n_jobs == 1 else f"{n_jobs} workers"
        report(f"{len(plans)} notebooks to run, {n_beside} side by side with {workers} each")
    plans = {
        name: {"n_jobs": n_jobs, **values} if "n_jobs" in read_parameters(name) else values
        for name, values in sorted(plans.items(), key=lambda plan: -expect_seconds(*plan))
    }
    _Children(environment or {}, bar=bar, force=force).run(plans, n_beside, done)


def find_changes(name, values):
    """What changed since the last run, for parameters that differ from the defaults."""
    return list_changes(name, {**read_parameters(name), **values})


def share_out(memory_gb, jobs=None):
    """How many notebooks run side by side, and with how many workers each.

    A notebook with one worker leaves no core idle while its main process computes, so there are
    as many notebooks as workers, unless there are fewer or memory is short.

    Parameters
    ----------
    memory_gb : list of float
        What each notebook that waits may need.
    jobs : int, optional
        Workers of all together; default: one a core.

    Returns
    -------
    tuple of int

    Examples
    --------
    >>> share_out([0.1] * 3, jobs=1)
    (1, 1)
    """
    from joblib import cpu_count

    cores = cpu_count()
    jobs = jobs or cores
    fitting = int(measure_free_gb() / max(memory_gb))
    n_beside = max(1, min(len(memory_gb), jobs, cores, fitting))
    return n_beside, max(1, jobs // n_beside)


def measure_free_gb():
    """Memory that is free, or may be used by this group of processes (a container)."""
    import psutil

    free = psutil.virtual_memory().available
    limit = Path("/sys/fs/cgroup/memory.max")
    text = limit.read_text().strip() if limit.is_file() else "max"
    return min(free, int(text) if text.isdigit() else free) / 2**30


def expect_memory_gb(name, values):
    """What the last run took, in its main process and each worker; else a usual amount."""
    record = read_record(find_results(name, values)) or {}
    return max(record.get("peak_memory_gb", 0), USUAL_MEMORY_GB)


def expect_seconds(name, values):
    """What the last run took; else by the amount of code, which orders the notebooks well."""
    record = read_record(find_results(name, values)) or {}
    usual = sum(len(cell["source"]) for cell in read_cells(name) if cell["kind"] == "code") / 250
    return record.get("durations_s", {}).get("total", usual)


def describe_outcomes(outcomes):
    """What was made, as a table of text."""
    rows = [("notebook", "state", "seconds", "tables", "figures", "corpus")]
    for outcome in outcomes:
        seconds = f"{outcome.seconds:.0f}" if outcome.seconds else "-"
        rows.append((outcome.name, outcome.state, seconds, *outcome.count()))
    widths = [max(map(len, column)) for column in zip(*rows)]
    return "\n".join(
        "  ".join(
            cell.rjust(width) if 2 <= column <= 4 else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row, widths))
        ).rstrip()
        for row in rows
    )


class _Children:
    """The processes of a batch; none of them outlives it."""

    def __init__(self, environment, *, bar, force):
        self.bar, self.force = bar, force
        # A kernel's working folder is not the user's.
        folders = ("THESIS_ROOT", "THESIS_RESULTS", "THESIS_STORE", "THESIS_WEIGHTS")
        named = {key: os.path.abspath(os.environ[key]) for key in folders if os.environ.get(key)}
        # Side by side, threads inside a process would only wait for each other; and no bit of
        # a result may depend on how many cores there are.
        self.environment = {"OMP_NUM_THREADS": "1", **os.environ, **named, **environment}
        self._running, self._stopping, self._lock = set(), False, threading.Lock()

    def run(self, plans, n_beside, done):
        """Run all in this order, ``n_beside`` at a time; ``done`` is given each outcome."""
        with ThreadPoolExecutor(n_beside) as pool:
            try:
                tasks = [pool.submit(self._run_one, *plan) for plan in plans.items()]
                for task in as_completed(tasks):
                    done(task.result())
            except BaseException:
                self.stop()
                pool.shutdown(wait=False, cancel_futures=True)
                raise

    def stop(self):
        """End all of them: first by the end of their input."""
        with self._lock:
            self._stopping = True
            running = list(self._running)
        for process in running:
            with contextlib.suppress(OSError):
                process.stdin.close()
        deadline = time.monotonic() + PATIENCE_S
        for process in running:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(max(0, deadline - time.monotonic()))
            process.kill()

    def _run_one(self, name, values):
        folder, started = find_results(name, values), time.perf_counter()
        with tempfile.TemporaryFile() as remarks:
            with self._lock:
                if self._stopping:
                    return Outcome(name, "FAILED", folder, 0, "interrupted")
                process = subprocess.Popen(
                    [sys.executable, "-P", "-m", "thesislib.compendium.processes"],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=None if self.bar else remarks,
                    env=self.environment,
                    process_group=0,  # an interrupt from the keyboard is the parent's alone
                )
                self._running.add(process)
            task = {"name": name, "values": values, "progress": self.bar, "force": self.force}
            with contextlib.suppress(BrokenPipeError):
                process.stdin.write(json.dumps(task).encode() + b"\n")
                process.stdin.flush()
            answer = process.stdout.read()
            process.wait()
            with self._lock:
                self._running.discard(process)
            seconds = time.perf_counter() - started
            if answer:
                return Outcome(name, folder=folder, seconds=seconds, **json.loads(answer))
            remarks.seek(max(0, remarks.seek(0, os.SEEK_END) - 2000))
            error = f"its process ended with code {process.returncode}\n"
            error += remarks.read().decode(errors="replace")
            return Outcome(name, "FAILED", folder, seconds, error.rstrip())


def _serve():
    """Execute the notebook that the first line of input names; answer with a line."""
    # What libraries print must not get into the answer.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    task = json.loads(sys.stdin.readline())
    threading.Thread(target=_watch, daemon=True).start()
    try:
        answer = {"state": "made" if execute_notebook(**task) else "up to date"}
    except ThesisError as error:
        answer = {"state": "FAILED", "error": str(error)}
    with answers:
        answers.write(json.dumps(answer) + "\n")
    return 0


def _watch():
    """End this process with the end of its input."""
    while os.read(0, 4096):
        pass
    end_process(130)


if __name__ == "__main__":
    sys.exit(_serve())
