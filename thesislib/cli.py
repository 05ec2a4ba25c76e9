"""The command ``thesis``. Only parsing here; heavy imports wait until a command needs them."""

import argparse
import importlib
import logging
import os
import sys
import warnings
from pathlib import Path

from thesislib import __version__
from thesislib.export.cli import add_commands
from thesislib.reporting.escape import terminal, terminal_lines
from thesislib.workers import end_on_signals, end_process


class Parser(argparse.ArgumentParser):
    """Parser whose errors take one line, without the usage."""

    def parse_known_args(self, args=None, namespace=None):
        """As the parser's, but the command that does not have an option reports it."""
        namespace, unknown = super().parse_known_args(args, namespace)
        if unknown:
            self.error(f"unrecognized arguments: {' '.join(unknown)}")
        return namespace, unknown

    def error(self, message):
        """Print the error and where the options are explained; exit with code 2."""
        self.exit(2, f"{self.prog}: {terminal(message)}; see {self.prog} --help\n")


def build_parser():
    """Parser of the command line."""
    parser = Parser(
        prog="thesis",
        description="Deep representation learning for audio, experiment by experiment.",
    )
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    add_commands(commands)
    return parser


def main(arguments=None):
    """Run a command; returns the exit code: 0, 1 (something failed) or 2 (wrong input).

    SIGINT, SIGTERM and SIGHUP end the process with code 130, 143 and 129. Without arguments this
    is the program, which exits here with all its workers, at once.
    """
    if arguments is None:
        _set_up_process()
    with end_on_signals("thesis"), warnings.catch_warnings():
        warnings.showwarning = _print_remark
        code = _run_command(build_parser().parse_args(arguments))
        if arguments is None:
            sys.stderr.flush()
            end_process(code)
    return code


def _set_up_process():
    """Set what this program and the processes that it starts read from the environment."""
    if sys.getfilesystemencoding() != "utf-8":
        # Names of files are UTF-8 whatever the locale says; workers inherit the mode.
        os.environ["PYTHONUTF8"] = "1"
        os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])
    # Closed ones are None.
    sys.stdout, sys.stderr = (each or open(os.devnull, "w") for each in (sys.stdout, sys.stderr))
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="backslashreplace")
    # A settings folder that cannot be made is no reason for a message.
    logging.getLogger("matplotlib").setLevel(logging.ERROR)
    # Workers and kernels do not import modules from the working folder, and the processes that
    # remove the semaphores of killed ones do so without a word.
    os.environ["PYTHONSAFEPATH"] = "1"
    filters = filter(None, (os.environ.get("PYTHONWARNINGS"), "ignore:resource_tracker"))
    os.environ["PYTHONWARNINGS"] = ",".join(dict.fromkeys(filters))


def _run_command(options):
    if options.command is None:
        print("thesis: deep representation learning for audio\n")
        print("\n".join(f"{task}:\n    thesis {example}" for task, example in TASKS.items()))
        print("\nAll commands: thesis --help. One command: thesis COMMAND --help.")
        return 0
    from concurrent.futures import BrokenExecutor

    from thesislib.errors import ThesisError

    try:
        result = _call(options)
        if isinstance(result, str | list | Path):
            lines = result if isinstance(result, list) else [result]
            print("\n".join(map(terminal_lines, lines)))
            result = 0
        sys.stdout.flush()
        return int(not result if isinstance(result, bool) else result or 0)
    except BrokenPipeError:
        # Whoever read our output has had enough (`| head`); Python would flush it once more.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except ThesisError as error:
        print(f"thesis {options.command}: {terminal_lines(error)}", file=sys.stderr)
        return 1 if type(error).__name__ == "NotebookError" else 2
    except OSError as error:
        # The file system: no permission, no space, a folder in place of a file, ...
        reason = f"{error.filename}: {error.strerror}" if error.filename else str(error)
        print(f"thesis {options.command}: {terminal(reason)}", file=sys.stderr)
        return 2
    except BrokenExecutor:
        print(
            f"thesis {options.command}: found a worker process that died, expected enough memory "
            "for all: try fewer --jobs",
            file=sys.stderr,
        )
        return 2


def _call(options):
    """Call the function of a command with the options that were given."""
    module, _, name = options.function.partition(":")
    values = {k: v for k, v in vars(options).items() if v is not None}
    values = {k: v for k, v in values.items() if k not in ("command", "action", "function")}
    return getattr(importlib.import_module(module), name)(**values)


def _print_remark(message, category, filename, lineno, file=None, line=None):
    print(f"remark: {terminal(message)}", file=sys.stderr)


#: What people do, printed by ``thesis`` alone.
TASKS = {
    "reproduce the experiments on synthetic recordings": "run all",
    "run an experiment on your own recordings": "run 20_own_recordings --corpus my/recordings",
    "make a corpus of a folder of recordings": "corpus index my/recordings",
    "compute features of recordings": "features my/recordings -r ComParE_2016 -o table.csv",
    "draw what a network sees": "plot recording.wav --kind mel -o plot.png",
}


if __name__ == "__main__":
    sys.exit(main())
