"""The kernel of a notebook: this Python, without the user's settings, and not without its parent.

Kernel specifications of other environments (``JUPYTER_PATH``), modules in the working folder,
IPython's start-up files and a ``matplotlibrc`` of the user do not change a result.
"""

import contextlib
import importlib.util
import os
import shutil
import signal
import sys
import tempfile
from pathlib import Path

import zmq
from jupyter_client import AsyncKernelManager
from jupyter_client.kernelspec import KernelSpec
from nbclient.exceptions import DeadKernelError

from thesislib.store import make_temporary

_START = (
    "from thesislib.lifetime import follow_parent; follow_parent({}); "
    "from ipykernel.kernelapp import launch_new_instance; launch_new_instance()"
)


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
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._group, signal.SIGKILL)
        if self._settings is not None:
            shutil.rmtree(self._settings, ignore_errors=True)
        await super()._async_cleanup_resources(restart)

    cleanup_resources = _async_cleanup_resources


def run_kernel(execute):
    """Call ``execute``; once more if the kernel does not start (another process took its port).

    Raises
    ------
    DeadKernelError
        If it does not start then, or dies later.
    """
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
