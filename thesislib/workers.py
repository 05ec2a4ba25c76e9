"""Where work runs: processes of this machine, or the workers of a Dask cluster.

Extraction, fits and sweeps ask this module for workers. It gives loky's processes unless the
environment variable ``THESIS_DASK`` names the scheduler of a ``dask.distributed`` cluster, as
``thesis run --dask`` and ``thesis features --dask`` set it: for this process and for the kernels
that it starts. What comes out is the same, byte for byte; a worker that dies costs time alone.

A cluster's workers need one thread each (LIBLINEAR and LIBSVM draw from one generator a
process), the same versions as this process, and the same paths to audio and feature store.
"""

import contextlib
import os
import signal
import warnings
from collections import deque
from concurrent.futures import BrokenExecutor
from functools import lru_cache
from importlib.metadata import version

import joblib
from joblib import delayed

from thesislib.errors import ThesisError
from thesislib.lifetime import start_worker

__all__ = ["ClusterError", "Parallel", "connect", "delayed", "open_cluster", "run_ahead", "share"]

#: Names the scheduler's address; set for the processes that a command starts.
VARIABLE = "THESIS_DASK"
#: Deaths of workers that a task may cause before it counts as their reason.
DEATHS = 5
#: Seconds to wait for a scheduler's answer.
CONNECT_S = 30
#: What has to be alike here and there for equal bytes.
LIBRARIES = ("numpy", "scipy", "scikit-learn", "torch", "librosa", "soundfile", "soxr", "opensmile")
#: Of worker processes. A thread each: those of BLAS would only wait for each other. And memory that
#: an array leaves is kept for the next: giving it back to the system and asking for it again took
#: up to half of the time of a spectrum and its plot (glibc; others do not read this).
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
    """A Dask cluster cannot be reached, or is not fit for the work."""


@contextlib.contextmanager
def open_cluster(address, *, n_workers=None):
    """Let all work of this process and of those that it starts run on a Dask cluster.

    Parameters
    ----------
    address : str or None
        Of a scheduler (``tcp://host:8786``); ``local`` starts a cluster of processes on this
        machine and stops it afterwards; None changes nothing.
    n_workers : int, optional
        Of a local cluster; as many as there are cores by default.

    Yields
    ------
    str or None
        The scheduler's address.

    Raises
    ------
    ClusterError
        If Dask is not installed, the scheduler does not answer, or its workers are unfit.

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

            settings = {
                "distributed.scheduler.allowed-failures": DEATHS,
                "distributed.nanny.pre-spawn-environ": ENVIRONMENT,
            }
            stack.enter_context(dask.config.set(settings))
            cluster = distributed.LocalCluster(
                n_workers=n_workers or joblib.cpu_count(),
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
    """Whether this process is a cluster's worker: what runs there must not wait for others."""
    import sys

    if "distributed.worker" not in sys.modules:
        return False
    from distributed import get_worker

    try:
        return bool(get_worker())
    except ValueError:
        return False


def _check_workers(client, address):
    """Raise unless every worker gives the bytes that this process would give."""
    here, problems = _describe_process(), []
    try:
        found = client.run(_describe_process)
    except Exception as error:  # whatever a worker lacks, it cannot do the work
        raise ClusterError(f"{address}: a worker found {error!r}, expected thesislib") from error
    for worker, info in client.scheduler_info(n_workers=-1)["workers"].items():
        if info["nthreads"] != 1:
            problems.append(f"{worker}: found {info['nthreads']} threads, expected 1 (--nthreads)")
    for worker, there in found.items():
        problems += [
            f"{worker}: found {name} {there.get(name)}, expected {wanted} as here"
            for name, wanted in here.items()
            if there.get(name) != wanted
        ]
    if problems:
        lines = "\n".join(f"  - {problem}" for problem in problems)
        raise ClusterError(f"{address}: {len(problems)} problems\n{lines}")


def _describe_process():
    from thesislib import __version__

    return {"thesislib": __version__} | {name: version(name) for name in LIBRARIES}


def share(value):
    """Something large that many tasks of `run_ahead` take: on a cluster it travels once a worker.

    Parameters
    ----------
    value : object
        What can be pickled.

    Returns
    -------
    object
        To be given to a task as an argument of its own; the value itself without a cluster.
    """
    client = connect()
    return value if client is None else _place(client, value)


def _place(client, value):
    # A task that answers the value, not scattered data: those are lost with their last holder.
    return _submitter(client)(_same, value)


def _same(value):
    return value


def run_ahead(function, tasks, *, n_jobs, ahead=2):
    """Answers in the order of their tasks, a bounded number of which is under way.

    Parameters
    ----------
    function : callable
    tasks : iterable of tuple
        Arguments; taken no sooner than there is room, so that memory stays flat.
    n_jobs : int
        Processes, unless there is a cluster, which has its own number. With one the work is
        done here, when its answer is asked for.
    ahead : int
        Tasks under way for each worker.

    Yields
    ------
    object

    Raises
    ------
    ClusterError
        If a task's workers died again and again.
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
        submit, n_workers = _submit_here(n_jobs), n_jobs
    else:
        submit, n_workers = _submitter(client), len(client.scheduler_info(n_workers=-1)["workers"])
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
    """Worker processes, kept for the next extraction until they have been idle for a while.

    A pool of our own: joblib's, which the fits use, expects to be used through joblib alone.
    """
    from joblib.externals.loky import ProcessPoolExecutor

    return ProcessPoolExecutor(
        n_jobs, timeout=30, env=ENVIRONMENT, initializer=start_worker, initargs=(os.getpid(),)
    )


def _submit_here(n_jobs):
    def submit(function, *arguments):
        # Workers start in here and inherit this: an interrupt is for their parent alone.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
        try:
            return _pool(n_jobs).submit(function, *arguments)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)

    return submit


@lru_cache(maxsize=1)
def _can_start_workers():
    """Whether the system has semaphores (else joblib warns) and enough files to open."""
    files = []
    try:
        files += (os.open(os.devnull, os.O_RDONLY) for _ in range(_FILES))
    except OSError as error:
        warnings.warn(f"no worker processes: {error.strerror} (ulimit -n)", stacklevel=3)
    for file in files:
        os.close(file)
    return len(files) == _FILES and joblib.effective_n_jobs(2) > 1


def _submitter(client):
    def submit(function, *arguments):
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Sending large graph")
            return client.submit(function, *arguments, pure=False)

    return submit


def _result(future):
    """Answer of a future of either kind; a cluster's own failures as one of ours."""
    try:
        return future.result()
    except BrokenExecutor:
        raise
    except Exception as error:
        if type(error).__module__.startswith("distributed"):
            raise ClusterError(
                f"{os.environ.get(VARIABLE)}: {type(error).__name__}: {error}"
            ) from error
        raise


class Parallel:
    """What ``joblib.Parallel`` is to its callers here, on the cluster if there is one.

    Parameters
    ----------
    n_jobs : int
        Processes without a cluster.
    return_as : {"list", "generator_unordered"}
        As joblib's.

    Examples
    --------
    >>> Parallel(n_jobs=1)(delayed(abs)(x) for x in (-1, 2))
    [1, 2]
    """

    def __init__(self, n_jobs=1, *, return_as="list"):
        self.n_jobs, self.return_as = n_jobs, return_as

    def __call__(self, calls):
        """Run ``delayed`` calls; answers in their order, or as they come."""
        client = connect()
        if client is None:
            n_jobs = self.n_jobs if _can_start_workers() else 1
            return joblib.Parallel(
                n_jobs=n_jobs,
                return_as=self.return_as,
                initializer=start_worker,
                initargs=(os.getpid(),),
            )(calls)
        answers = _run_calls(client, list(calls), self.return_as == "generator_unordered")
        return answers if self.return_as == "generator_unordered" else list(answers)


def _run_calls(client, calls, is_unordered):
    submit, placed = _submitter(client), {}

    def place(value):
        if getattr(value, "nbytes", 0) < _LARGE_BYTES:
            return value
        if id(value) not in placed:
            placed[id(value)] = _place(client, value)
        return placed[id(value)]

    futures = [
        submit(_call, function, kwargs, *map(place, arguments))
        for function, arguments, kwargs in calls
    ]
    try:
        if is_unordered:
            from distributed import as_completed

            yield from (_result(future) for future in as_completed(futures, loop=client.loop))
        else:
            yield from map(_result, futures)
    finally:
        client.cancel(futures)


def _call(function, kwargs, *arguments):
    return function(*arguments, **kwargs)
