"""One notebook: its kernel, its execution with papermill, and its folder of results.

The kernel is this Python without the user's settings: kernel specifications of other environments
(``JUPYTER_PATH``), modules in the working folder, IPython's start-up files and a ``matplotlibrc``
of the user do not change a result. It ends with the process that started it.
"""

import importlib.util
import os
import re
import resource
import shutil
import sys
import tempfile
from pathlib import Path

import papermill
import zmq
from jupyter_client import AsyncKernelManager
from jupyter_client.kernelspec import KernelSpec
from nbclient.exceptions import DeadKernelError
from papermill.engines import NBClientEngine, papermill_engines
from papermill.exceptions import PapermillExecutionError

from thesislib.compendium.freshness import find_changes
from thesislib.compendium.parameters import STAGED_VARIABLE
from thesislib.errors import ThesisError
from thesislib.places import notebooks_folder
from thesislib.reporting.results import (
    find_results,
    keep_failed,
    publish,
    read_record,
    stage,
    write_record,
)
from thesislib.store import hash_file, lock, make_temporary
from thesislib.workers import end_group

#: Files that a kernel and its libraries open.
_FILES = 256
_START = (
    "import logging; logging.getLogger('matplotlib').setLevel(logging.ERROR); "
    "from thesislib.workers import follow_parent; follow_parent({}); "
    "from ipykernel.kernelapp import launch_new_instance; launch_new_instance()"
)


class ReportingEngine(NBClientEngine):
    """papermill's engine, which also reports the number of each cell that begins."""

    @classmethod
    def execute_managed_notebook(cls, nb_man, kernel_name, report=None, **options):
        """Execute the cells; ``report(cell, n_cells)`` is called before each."""
        start = nb_man.cell_start

        def start_cell(cell, cell_index=None, **settings):
            if report is not None:
                report(cell_index + 1, len(nb_man.nb.cells))
            start(cell, cell_index, **settings)

        nb_man.cell_start = start_cell
        return super().execute_managed_notebook(nb_man, kernel_name, **options)


papermill_engines.register("thesis", ReportingEngine)


class NotebookError(ThesisError):
    """A cell failed, the kernel died, or the results could not be written."""


class OwnKernelManager(AsyncKernelManager):
    """Starts the Python that runs this process, whatever kernels are installed."""

    _settings = None
    _group = None

    @property
    def kernel_spec(self):
        """Specification of the kernel, with neutral settings."""
        if self._settings is None:
            self._settings = make_temporary(Path(tempfile.gettempdir()) / "ipython", folder=True)
        matplotlib = Path(importlib.util.find_spec("matplotlib").origin).parent
        return KernelSpec(
            argv=[
                *(sys.executable, "-P", "-c", _START.format(os.getpid())),
                *("-f", "{connection_file}", "--HistoryManager.enabled=False"),
            ],
            language="python",
            display_name="Python 3",
            env={
                "IPYTHONDIR": str(self._settings),
                "MATPLOTLIBRC": str(matplotlib / "mpl-data" / "matplotlibrc"),
                "PYTHONSAFEPATH": "1",
                "PYTHONSTARTUP": "",
            },
        )

    async def _async_launch_kernel(self, kernel_cmd, **kw):
        await super()._async_launch_kernel(kernel_cmd, **kw)
        self._group = self.provisioner.pid

    _launch_kernel = _async_launch_kernel

    async def _async_cleanup_resources(self, restart=False):
        # The kernel leads a group; processes of a kernel that died are still in it.
        if self._group is not None:
            end_group(self._group)
        if self._settings is not None:
            shutil.rmtree(self._settings, ignore_errors=True)
        await super()._async_cleanup_resources(restart)

    cleanup_resources = _async_cleanup_resources


def run_kernel(execute):
    """Call ``execute``; once more if the kernel does not start (another process took its port).

    Raises
    ------
    DeadKernelError
        If it does not start then, dies later, or could not open the files that it needs.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if 0 <= soft < _FILES:
        if 0 <= hard < _FILES:
            raise DeadKernelError(
                f"found a limit of {hard} open files, expected {_FILES} or more (ulimit -n)"
            )
        resource.setrlimit(resource.RLIMIT_NOFILE, (_FILES, hard))
    for is_last in (False, True):
        try:
            return execute()
        except DeadKernelError as error:
            raise DeadKernelError("its kernel died; was there too little memory?") from error
        except (RuntimeError, zmq.ZMQError) as error:
            if isinstance(error, RuntimeError) and "before replying" not in str(error):
                raise
            if is_last:
                raise DeadKernelError(f"its kernel did not start ({error})") from error


def execute_notebook(name, values, *, report=None, force=True):
    """Execute a notebook with checked parameters, and replace its results.

    Two processes with the same folder of results run one after the other. Finished results are
    replaced after the last cell. What a failed run wrote goes to a folder of its own.

    Parameters
    ----------
    name : str
    values : dict
        Parameters that differ from the notebook's defaults, as from
        :func:`~thesislib.compendium.parameters.resolve_run`.
    report : callable, optional
        Called as ``report(cell, n_cells)`` before each cell.
    force : bool
        Run again although another process, which this one had to wait for, has just done so.

    Returns
    -------
    bool
        False if the results of the other process stay.

    Raises
    ------
    StoreError
        If the folder cannot be written; names the folder of a run that is complete.
    NotebookError
        If a cell fails, the kernel dies or the disk is full; names the folder of the failed copy.
    """
    folder = find_results(name, values)
    with lock(folder / "run") as waited:
        if waited and not force and not find_changes(name, values):
            return False
        staged = stage(folder)
        os.environ[STAGED_VARIABLE] = str(staged)
        try:
            _execute(name, values, staged, report)
        except (NotebookError, OSError) as error:
            log = "\n\n".join([str(error), *getattr(error, "__notes__", [])])
            failed = keep_failed(staged, folder, log)
            raise NotebookError(f"{error}\nfailed copy: {failed}") from error
        except BaseException:
            shutil.rmtree(staged, ignore_errors=True)
            raise
        finally:
            os.environ.pop(STAGED_VARIABLE)
        publish(staged, folder)
    return True


def _execute(name, values, staged, report):
    executed = staged / "executed.ipynb"
    try:
        run_kernel(
            lambda: papermill.execute_notebook(
                notebooks_folder() / f"{name}.ipynb",
                executed,
                parameters=values,
                kernel_name="python3",
                kernel_manager_class=OwnKernelManager,
                language="python",
                cwd=notebooks_folder(),
                engine_name="thesis",
                report=report,
                progress_bar=False,
                start_timeout=300,
            )
        )
    except PapermillExecutionError as error:
        failure = NotebookError(
            f"{name}: cell {error.cell_index + 1} failed with {error.ename}: {error.evalue}"
        )
        failure.add_note(re.sub(r"\x1b\[[\d;]*m", "", "\n".join(error.traceback)))
        raise failure from error
    except DeadKernelError as error:
        raise NotebookError(f"{name}: {error}") from error
    record = read_record(staged)
    if record is None:
        raise NotebookError(f"{name}: no cell called run.finish(), so there is no result")
    write_record(staged, {**record, "executed": hash_file(executed)})
