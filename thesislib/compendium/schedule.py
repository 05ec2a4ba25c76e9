"""Several notebooks side by side, each in a process, within the cores and the memory.

The parent decides which notebooks have to run, in which order and how many at once. A child (this
module, started as a program) executes one. The parent holds the child's standard input open. When
it closes, because the parent stops or was killed, the child kills its kernel with all workers,
removes its temporary files, and exits.
"""

import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

from thesislib.compendium.checks import describe_work
from thesislib.compendium.freshness import describe_changes, find_changes
from thesislib.compendium.parameters import plan_runs
from thesislib.errors import ThesisError, check_number
from thesislib.reporting.escape import terminal, terminal_lines
from thesislib.reporting.notebooks import OVERVIEW, list_notebooks, read_cells, read_parameters
from thesislib.reporting.results import find_results, read_record
from thesislib.workers import PATIENCE_S, end_process, open_cluster

#: Seconds between lines about running notebooks, where these cannot be refreshed in place.
LOG_S = 60
#: Memory of a notebook without an earlier run.
USUAL_MEMORY_GB = 2.0


@dataclass(frozen=True)
class Outcome:
    """Result of a notebook.

    Attributes
    ----------
    name : str
    state : {"made", "up to date", "FAILED"}
    folder : Path
        Folder of its results.
    seconds : float
        Duration; 0 if it did not run.
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
        corpus = terminal(f"{names[0]}{more} ({kinds})") if names else "-"
        return str(tables), str(figures), corpus

    def __str__(self):
        if self.state == "FAILED":
            return f"{self.name}: FAILED after {self.seconds:.0f} s\n{terminal_lines(self.error)}"
        tables, figures, _ = self.count()
        took = f" in {self.seconds:.0f} s" if self.seconds else ""
        return f"{self.name}: {self.state}{took}, {tables} tables, {figures} figures"


def describe_outcomes(outcomes):
    """Table of all results, as text."""
    rows = [("notebook", "state", "seconds", "tables", "figures", "corpus")]
    for outcome in outcomes:
        seconds = f"{outcome.seconds:.0f}" if outcome.seconds else "-"
        rows.append((outcome.name, outcome.state, seconds, *outcome.count()))
    name, state = (max(len(row[column]) for row in rows) for column in (0, 1))
    line = f"{{:{name}}}  {{:{state}}}  {{:>7}}  {{:>6}}  {{:>7}}  {{}}"
    return "\n".join(line.format(*row) for row in rows)


def run_command(
    names, *, jobs=None, force=False, quiet=False, dry_run=False, dask=None, **settings
):
    """``thesis run``: run notebooks, or describe what would run; returns the exit code."""
    names = list_notebooks() if names == ["all"] else names
    settings["parameters"] = dict(settings.get("parameters", ()))
    if dry_run:
        for name, values in plan_runs(names, **settings).items():
            print(f"{name}: {terminal(describe_changes(find_changes(name, values)))}")
            print(terminal_lines(describe_work(name, {**read_parameters(name), **values})))
        return 0
    with open_cluster(dask, n_workers=jobs):
        outcomes = run_all(names, jobs=jobs, force=force, progress=not quiet, **settings)
    print(describe_outcomes(outcomes))
    folders = dict.fromkeys(each.folder.parent for each in outcomes)
    places = ", ".join(min(str(each), os.path.relpath(each), key=len) for each in folders)
    print(f"\nResults are in {terminal(places)}. Look at them: make report")
    return int(any(outcome.state == "FAILED" for outcome in outcomes))


def run_all(names, *, jobs=None, force=False, progress=True, **options):
    """Run what is not up to date, several notebooks side by side, the longest first.

    The overview reads the results of the others, so it runs last and alone. A line is printed
    for each notebook that has to run, and when it ends.

    Parameters
    ----------
    names : sequence of str
    jobs : int, optional
        Worker processes of all notebooks together; default: one per core.
    force : bool
        Run what is up to date, too.
    progress : bool
        Show the running cell of each notebook, the elapsed time and a rough rest.
    **options
        Of :func:`~thesislib.compendium.parameters.plan_runs`.

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
    for is_last in (False, True):
        due = {}
        for name, plan in plans.items():
            if (name == OVERVIEW) is not is_last:
                continue
            changes = find_changes(name, plan)
            if force or changes:
                due[name] = plan
                print(f"{name}: {terminal(describe_changes(changes))}, running", flush=True)
            else:
                outcomes[name] = Outcome(name, "up to date", find_results(name, plan))
        with Progress(show=progress) as shown:
            for outcome in run_side_by_side(due, jobs=jobs, shown=shown, force=force):
                outcomes[outcome.name] = outcome
                shown.write(str(outcome))
    return [outcomes[name] for name in plans]


class Progress:
    """The running cell, elapsed time and rough rest of each notebook, a line each.

    On a terminal the lines are refreshed in place; elsewhere they are printed now and then.

    Examples
    --------
    >>> with Progress(show=False) as shown:
    ...     shown.write("10_2_snore: made in 9 s, 3 tables, 2 figures")
    10_2_snore: made in 9 s, 3 tables, 2 figures
    """

    def __init__(self, *, show):
        self.running, self._height = {}, 0
        self._is_terminal, self._show = show and sys.stdout.isatty(), show
        self._lock, self._ended = threading.Lock(), threading.Event()

    def __enter__(self):
        if self._show:
            threading.Thread(target=self._refresh, daemon=True).start()
        return self

    def __exit__(self, *_):
        self._ended.set()
        self.running.clear()
        self.write()

    def _refresh(self):
        while not self._ended.wait(0.5 if self._is_terminal else LOG_S):
            self.write(*([] if self._is_terminal else self._describe()))

    def _describe(self):
        now, lines = time.perf_counter(), []
        for name, (started, total_s, cell, n_cells) in sorted(self.running.copy().items()):
            rest_s = started + total_s - now
            rest = f", about {_clock(rest_s)} left" if cell > 1 and rest_s > 0 else ""
            place = f"cell {cell} of {n_cells}" if cell else "starting"
            lines.append(f"{name}: {place}, {_clock(now - started)}{rest}")
        return lines

    def write(self, *lines):
        """Print lines above those of the running notebooks."""
        with self._lock:
            below = self._describe() if self._is_terminal else []
            width = shutil.get_terminal_size().columns - 1
            text = f"\x1b[{self._height}F\x1b[J" if self._height else ""
            text += "".join(f"{line}\n" for line in [*lines, *(line[:width] for line in below)])
            print(text, end="", flush=True)
            self._height = len(below)


def _clock(seconds):
    return f"{int(seconds) // 60}:{int(seconds) % 60:02}"


def run_side_by_side(plans, *, jobs=None, shown=None, force=True):
    """Run notebooks in processes, the longest first.

    Parameters
    ----------
    plans : dict of str to dict
        Notebook to parameters that differ from its defaults.
    jobs, force
        As in :func:`run_all`.
    shown : Progress, optional

    Yields
    ------
    Outcome
        Of each notebook, as it ends.
    """
    if not plans:
        return
    n_beside, n_jobs = share_out([expect_memory_gb(*plan) for plan in plans.items()], jobs)
    if len(plans) > 1:
        workers = "1 worker" if n_jobs == 1 else f"{n_jobs} workers"
        print(f"{len(plans)} notebooks, {n_beside} side by side with {workers} each", flush=True)
    children = _Children(shown or Progress(show=False), force=force)
    with ThreadPoolExecutor(n_beside) as pool:
        try:
            tasks = []
            for name, values in sorted(plans.items(), key=lambda plan: -expect_seconds(*plan)):
                usual = {"n_jobs": n_jobs} if "n_jobs" in read_parameters(name) else {}
                tasks.append(pool.submit(children.run, name, usual | values))
            for task in as_completed(tasks):
                yield task.result()
        except BaseException:
            children.stop()
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def share_out(memory_gb, jobs=None):
    """How many notebooks run side by side, and with how many workers each.

    A notebook with one worker leaves no core idle while its main process computes, so there are
    as many notebooks as workers, unless there are fewer or memory is short.

    Parameters
    ----------
    memory_gb : list of float
        Memory that each notebook may need.
    jobs : int, optional
        Workers of all together; default: one per core.

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
    """Memory of the last run, in its main process and each worker; else a usual amount."""
    record = read_record(find_results(name, values)) or {}
    return max(record.get("peak_memory_gb", 0), USUAL_MEMORY_GB)


def expect_seconds(name, values):
    """Duration of the last run; else by the amount of code, which orders the notebooks well."""
    usual = sum(len(cell["source"]) for cell in read_cells(name) if cell["kind"] == "code") / 250
    return _read_seconds(name, values) or usual


def _read_seconds(name, values):
    record = read_record(find_results(name, values)) or {}
    return record.get("durations_s", {}).get("total", 0)


class _Children:
    """The processes of a batch; none of them outlives it."""

    def __init__(self, shown, *, force):
        self.shown, self.force = shown, force
        # A kernel's working folder is not the user's.
        folders = ("THESIS_ROOT", "THESIS_RESULTS", "THESIS_STORE", "THESIS_WEIGHTS")
        named = {key: os.path.abspath(os.environ[key]) for key in folders if os.environ.get(key)}
        # Side by side, threads inside a process would only wait for each other; and no bit of
        # a result may depend on how many cores there are.
        self.environment = {"OMP_NUM_THREADS": "1", **os.environ, **named}
        self._running, self._stopping, self._lock = set(), False, threading.Lock()

    def run(self, name, values):
        """Execute a notebook in a process; the outcome."""
        folder, started = find_results(name, values), time.perf_counter()
        with tempfile.TemporaryFile() as log:
            with self._lock:
                if self._stopping:
                    return Outcome(name, "FAILED", folder, 0, "interrupted")
                process = subprocess.Popen(
                    [sys.executable, "-P", "-m", "thesislib.compendium.schedule"],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=log,
                    env=self.environment,
                    process_group=0,  # an interrupt from the keyboard is the parent's alone
                )
                self._running.add(process)
            task = {"name": name, "values": values, "force": self.force}
            with contextlib.suppress(BrokenPipeError):
                process.stdin.write(json.dumps(task).encode() + b"\n")
                process.stdin.flush()
            usual_s, outcome = _read_seconds(name, values), None
            self.shown.running[name] = started, 0, 0, 0
            for line in process.stdout:
                outcome = json.loads(line)
                if "cell" in outcome:
                    cell, n_cells = outcome["cell"], outcome["n_cells"]
                    # As the last run, else by the cells so far, which are no equal steps.
                    total_s = usual_s or (time.perf_counter() - started) * n_cells / (cell - 1 or 1)
                    self.shown.running[name] = started, total_s, cell, n_cells
            self.shown.running.pop(name, None)
            process.wait()
            with self._lock:
                self._running.discard(process)
            seconds = time.perf_counter() - started
            if outcome and "state" in outcome:
                return Outcome(name, folder=folder, seconds=seconds, **outcome)
            log.seek(max(0, log.seek(0, os.SEEK_END) - 2000))
            error = f"its process ended with code {process.returncode}\n"
            error += log.read().decode(errors="replace")
            return Outcome(name, "FAILED", folder, seconds, error.rstrip())

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


def _execute_task():
    """Execute the notebook that the first line of input names; write its state as a line."""
    # What libraries print must not get into the output.
    output = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    task = json.loads(sys.stdin.readline())
    threading.Thread(target=_watch_input, daemon=True).start()

    from thesislib.compendium.run import execute_notebook

    def write(**line):
        print(json.dumps(line), file=output, flush=True)

    def report(cell, n_cells):
        write(cell=cell, n_cells=n_cells)

    try:
        write(state="made" if execute_notebook(**task, report=report) else "up to date")
    except ThesisError as error:
        write(state="FAILED", error=str(error))


def _watch_input():
    """End this process with the end of its input."""
    while os.read(0, 4096):
        pass
    end_process(130)


if __name__ == "__main__":
    _execute_task()
