"""How processes end: on a signal, after their parent, and with everything that they started."""

import contextlib
import os
import signal
import sys
import threading
import time

#: Signals that end a command, with exit code 128 + number.
SIGNALS = [
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)
]
#: Seconds that a command has to clean up before it is ended regardless.
PATIENCE_S = 1.5
#: Seconds between two looks at the parent.
POLL_S = 0.25


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
    """Initialise a worker process: it ends with its parent, which alone handles interrupts."""
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
    with contextlib.suppress(Exception):
        end_children()
    store = sys.modules.get("thesislib.store")
    if store is not None:
        store.remove_temporaries()
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
