"""Processes: where work runs, and how processes end.

Extraction, fits and sweeps get their workers from this module: loky's processes, or the workers of
the ``dask.distributed`` cluster whose scheduler the environment variable ``THESIS_DASK`` names.
``thesis run --dask`` and ``thesis features --dask`` set it, for their own process and for the
kernels that they start. The results are the same, byte for byte; a worker that dies costs only
time.

A cluster's workers need one thread each (LIBLINEAR and LIBSVM draw from one generator per
process), the same versions as this process, and the same paths to audio and feature store.

A process ends on a signal, or after its parent, and with everything that it started.
"""

import contextlib
import os
import signal
import sys
import threading
import time
import warnings
from collections import deque
from concurrent.futures import BrokenExecutor, as_completed
from functools import lru_cache, partial

from thesislib.errors import ThesisError
from thesislib.places import describe_versions

#: Signals that end a command, with exit code 128 + number.
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
#: Seconds that a command has to clean up before it is ended regardless.
PATIENCE_S = 1.5
#: Seconds between two looks at the parent.
POLL_S = 0.25
#: Environment variable with the scheduler's address, for the processes that a command starts.
VARIABLE = "THESIS_DASK"
#: A task during which so many workers died has failed.
DEATHS = 5
#: Seconds to wait for a scheduler.
CONNECT_S = 30
#: Environment of worker processes. One thread each: those of BLAS would only wait for each other.
#: Freed memory stays with the process: returning it to the system and requesting it again took up
#: to half of the time of a spectrum and its plot (glibc; other libraries do not read this).
ENVIRONMENT = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "MALLOC_MMAP_THRESHOLD_": str(2**27),
    "MALLOC_TRIM_THRESHOLD_": str(2**28),
}
# Open files that a pool of workers needs.
_FILES = 64
# Arguments from this size on travel to a worker once, not with every task.
_LARGE_BYTES = 2**18


class ClusterError(ThesisError, OSError):
    """A Dask cluster cannot be reached, or its workers differ from this process."""


@contextlib.contextmanager
def open_cluster(address, *, n_workers=None):
    """Run the work of this process, and of those that it starts, on a Dask cluster.

    Parameters
    ----------
    address : str or None
        Address of a scheduler (``tcp://host:8786``); ``local`` starts a cluster of processes on
        this machine and stops it afterwards; None changes nothing.
    n_workers : int, optional
        Workers of a local cluster; default: one per core.

    Yields
    ------
    str or None
        The scheduler's address.

    Raises
    ------
    ClusterError
        If Dask is not installed, the scheduler cannot be reached, or its workers have other
        versions or several threads.

    Examples
    --------
    >>> with open_cluster(None) as address:
    ...     print(address, connect())
    None None
    """
    if address is None:
        yield None
        return
    distributed = _import_distributed()
    before = os.environ.get(VARIABLE)
    with contextlib.ExitStack() as stack:
        if address == "local":
            import dask
            from joblib import cpu_count

            settings = {
                "distributed.scheduler.allowed-failures": DEATHS,
                "distributed.nanny.pre-spawn-environ": ENVIRONMENT,
            }
            stack.enter_context(dask.config.set(settings))
            cluster = distributed.LocalCluster(
                n_workers=n_workers or cpu_count(),
                threads_per_worker=1,
                processes=True,
                dashboard_address=None,
                silence_logs="CRITICAL",
            )
            stack.enter_context(cluster)
            address = cluster.scheduler_address
        os.environ[VARIABLE] = address
        try:
            stack.callback(_connect.cache_clear)
            stack.enter_context(contextlib.closing(connect()))
            yield address
        finally:
            os.environ.pop(VARIABLE)
            if before is not None:
                os.environ[VARIABLE] = before


def connect():
    """Client of the cluster that ``THESIS_DASK`` names; None without one, and inside a worker.

    Raises
    ------
    ClusterError
        As `open_cluster`.
    """
    address = os.environ.get(VARIABLE)
    if not address or _is_worker():
        return None
    return _connect(address, os.getpid())


@lru_cache(maxsize=1)
def _connect(address, pid):
    distributed = _import_distributed()
    try:
        client = distributed.Client(address, timeout=CONNECT_S, set_as_default=False)
        client.wait_for_workers(1, timeout=60)
    except (OSError, TimeoutError, ValueError) as error:
        raise ClusterError(f"{address}: found no Dask cluster with a worker ({error})") from error
    try:
        _check_workers(client, address)
    except ClusterError:
        client.close()
        raise
    return client


def _import_distributed():
    try:
        import distributed
    except ImportError as error:
        raise ClusterError(
            "dask: found no package distributed, expected it: pip install 'thesislib[cluster]'"
        ) from error
    return distributed


def _is_worker():
    """Whether this process is a cluster's worker: a task there must not wait for other tasks."""
    if "distributed.worker" not in sys.modules:
        return False
    from distributed import get_worker

    try:
        return bool(get_worker())
    except ValueError:
        return False


def _check_workers(client, address):
    """Raise unless every worker gives the bytes that this process would give."""
    here = describe_versions()
    try:
        versions = client.run(describe_versions)
    except Exception as error:  # whatever a worker lacks, it cannot do the work
        raise ClusterError(f"{address}: a worker found {error!r}, expected thesislib") from error
    problems = [
        f"{worker}: found {n_threads} threads, expected 1 (--nthreads)"
        for worker, n_threads in client.nthreads().items()
        if n_threads != 1
    ]
    problems += [
        f"{worker}: found {name} {there.get(name)}, expected {wanted} as here"
        for worker, there in versions.items()
        for name, wanted in here.items()
        if there.get(name) != wanted
    ]
    if problems:
        lines = "\n".join(f"  - {problem}" for problem in problems)
        raise ClusterError(f"{address}: {len(problems)} problems\n{lines}")


def share(value):
    """Send a large object to each worker of a cluster once.

    Parameters
    ----------
    value : object
        Anything that can be pickled.

    Returns
    -------
    object
        An argument for the tasks of `run_ahead`; without a cluster, ``value`` itself.
    """
    client = connect()
    if client is None:
        return value
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Sending large graph")
        # The result of a task, not scattered data: those are lost with the last worker that has
        # them.
        return client.submit(_same, value, pure=False)


def _same(value):
    return value


def run_ahead(function, tasks, *, n_jobs, ahead=2):
    """Results in the order of their tasks, a bounded number of which is in progress.

    Parameters
    ----------
    function : callable
    tasks : iterable of tuple
        Arguments of each call. One is taken when there is room for it, so that memory stays flat.
    n_jobs : int
        Processes; a cluster has its own number. With one, each call is made in this process when
        its result is needed.
    ahead : int
        Tasks in progress for each worker.

    Yields
    ------
    object

    Raises
    ------
    ClusterError
        If the workers of a task died again and again.
    BrokenExecutor
        If a worker process of this machine died.

    Examples
    --------
    >>> list(run_ahead(divmod, [(7, 2), (9, 4)], n_jobs=1))
    [(3, 1), (2, 1)]
    """
    client = connect()
    if client is None and (n_jobs == 1 or not _can_start_workers()):
        for task in tasks:
            yield function(*task)
        return
    if client is None:
        submit, n_workers = partial(_submit_here, n_jobs), n_jobs
    else:
        submit, n_workers = client.get_executor(pure=False).submit, len(client.nthreads())
    pending = deque()
    try:
        for task in tasks:
            pending.append(submit(function, *task))
            if len(pending) >= ahead * max(n_workers, 1):
                yield _result(pending.popleft())
        while pending:
            yield _result(pending.popleft())
    except BrokenExecutor:
        _pool.cache_clear()
        raise
    finally:
        for future in pending:
            future.cancel()


@lru_cache(maxsize=1)
def _pool(n_jobs):
    """Worker processes, which stay for the next extraction until they have been idle for a while.

    A pool of our own: joblib's, which the fits use, expects to be used through joblib alone.
    """
    from joblib.externals.loky import ProcessPoolExecutor

    start = partial(start_worker, os.getpid())
    return ProcessPoolExecutor(n_jobs, timeout=30, env=ENVIRONMENT, initializer=start)


def _submit_here(n_jobs, function, *arguments):
    # Workers start in here and inherit this: an interrupt is for their parent alone.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    try:
        return _pool(n_jobs).submit(function, *arguments)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _result(future):
    """Result of a future; a cluster's own failures as one of ours."""
    try:
        return future.result()
    except Exception as error:
        if type(error).__module__.startswith("distributed"):
            address = os.environ.get(VARIABLE)
            raise ClusterError(f"{address}: {type(error).__name__}: {error}") from error
        raise


@lru_cache(maxsize=1)
def _can_start_workers():
    """Whether the system has semaphores (else joblib warns) and enough files to open."""
    from joblib import effective_n_jobs

    files = []
    try:
        files += (os.open(os.devnull, os.O_RDONLY) for _ in range(_FILES))
    except OSError as error:
        warnings.warn(f"no worker processes: {error.strerror} (ulimit -n)", stacklevel=3)
    for file in files:
        os.close(file)
    return len(files) == _FILES and effective_n_jobs(2) > 1


def delayed(function):
    """As ``joblib.delayed``, which is imported only when it is called."""
    import joblib

    return joblib.delayed(function)


def Parallel(n_jobs=1, *, return_as="list"):
    """``joblib.Parallel`` with workers that end with this process; on a cluster, if there is one.

    Parameters
    ----------
    n_jobs : int
        Processes; a cluster has its own number.
    return_as : {"list", "generator_unordered"}
        As joblib's.

    Returns
    -------
    callable
        Takes ``delayed`` calls; gives their results in order, or as they come.

    Examples
    --------
    >>> Parallel(n_jobs=1)(delayed(abs)(x) for x in (-1, 2))
    [1, 2]
    """
    import joblib

    if (client := connect()) is not None:
        as_type = list if return_as == "list" else iter
        return lambda calls: as_type(_run_calls(client, calls, return_as != "list"))
    # Workers that had nothing to do for a while end, and are started again.
    warnings.filterwarnings("ignore", "A worker stopped while some jobs", UserWarning)
    # Arguments that compare equal: with others, joblib would start new workers for each call.
    start = {"initializer": start_worker, "initargs": (os.getpid(),)}
    return joblib.Parallel(n_jobs if _can_start_workers() else 1, return_as=return_as, **start)


def _run_calls(client, calls, is_unordered):
    """Results of ``delayed`` calls on a cluster.

    joblib's own backend for Dask scatters arguments, and fails if the workers that have them die.
    """
    executor, shared = client.get_executor(pure=False), {}

    def place(value):
        if getattr(value, "nbytes", 0) < _LARGE_BYTES:
            return value
        if id(value) not in shared:
            shared[id(value)] = (
                value,
                share(value),
            )  # the value itself, so that its id stays its own
        return shared[id(value)][1]

    futures = [
        executor.submit(partial(function, **options), *map(place, arguments))
        for function, arguments, options in calls
    ]
    try:
        yield from map(_result, as_completed(futures) if is_unordered else futures)
    finally:
        for future in futures:
            future.cancel()


def follow_parent(parent):
    """End this process, with all that it started, soon after its parent.

    Parameters
    ----------
    parent : int
        Process id of the parent, which may have ended before this call.

    Examples
    --------
    >>> follow_parent(os.getppid())
    """

    def watch():
        while os.getppid() == parent:
            time.sleep(POLL_S)
        end_process(1)

    threading.Thread(target=watch, daemon=True).start()


def start_worker(parent):
    """Initialise a worker process: it ends with its parent, and ignores interrupts."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    follow_parent(parent)


def end_children(patience_s=1.0):
    """Kill all processes below this one."""
    import psutil

    deadline = time.monotonic() + patience_s
    while time.monotonic() < deadline:
        children = [child for child in psutil.Process().children(recursive=True) if _counts(child)]
        if not children:
            return
        for child in children:
            with contextlib.suppress(psutil.Error):
                child.kill()
        psutil.wait_procs(children, timeout=0.1)


def end_group(leader):
    """Kill what is left of a process group whose leader has ended."""
    import psutil

    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            if os.getpgid(process.pid) == leader and _counts(process):
                process.kill()


def _counts(process):
    """Whether a process has to be killed: a resource tracker ends last, after it cleaned up."""
    import psutil

    try:
        is_tracker = "resource_tracker" in " ".join(process.cmdline())
        return process.status() != psutil.STATUS_ZOMBIE and not is_tracker
    except psutil.Error:
        return False


def end_process(code):
    """Exit at once: children are killed and temporary files removed; nothing else is run."""
    try:
        with contextlib.suppress(Exception):
            end_children()
        store = sys.modules.get("thesislib.store")
        # A module that is still being imported has made no files.
        if hasattr(store, "remove_temporaries"):
            store.remove_temporaries()
    finally:
        os._exit(code)


@contextlib.contextmanager
def end_on_signals(name):
    """End this process in time, with one line on standard error, if a signal asks for it.

    The signal raises ``KeyboardInterrupt`` in the main thread, so that files are closed and
    removed as usual. A process that is not ready after ``PATIENCE_S`` (compiled code does not
    notice the exception) is ended regardless. An ignored SIGHUP (``nohup``) stays ignored.

    Parameters
    ----------
    name : str
        Of the command, for the message.

    Examples
    --------
    >>> with end_on_signals("thesis list"):
    ...     pass
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    caught, ending = [], threading.Lock()
    read, write = os.pipe()
    os.set_blocking(write, False)

    def handle(number, frame):
        if caught:
            return
        caught.append(number)
        # What breaks in callbacks and other threads from now on breaks because of the signal.
        sys.unraisablehook = threading.excepthook = lambda _: None
        raise KeyboardInterrupt

    def finish(number):
        ending.acquire()  # for good: the process ends here
        line = f"{name}: interrupted by {signal.Signals(number).name}; finished results are kept\n"
        with contextlib.suppress(OSError):
            os.write(2, line.encode())
        end_process(128 + number)

    def watch():
        # The C part of Python's handler writes each signal's number here at once.
        while number := os.read(read, 1):
            if number[0] in SIGNALS:
                time.sleep(PATIENCE_S)
                finish(number[0])
        os.close(read)

    before = {
        number: signal.signal(number, handle)
        for number in SIGNALS
        if number == signal.SIGINT or signal.getsignal(number) != signal.SIG_IGN
    }
    wakeup = signal.set_wakeup_fd(write, warn_on_full_buffer=False)
    threading.Thread(target=watch, daemon=True).start()
    try:
        yield
    finally:
        if caught:
            finish(caught[0])
        for number, handler in before.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(wakeup)
        os.close(write)
