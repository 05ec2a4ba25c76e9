"""Try every command of ``from_other_tools.md``, one by one, on a folder of recordings.

``python docs/try_mapping.py DIR [--work DIR] [--here]`` prints a line a command: its exit code, its
seconds, and what it wrote, with sizes. The commands run in a folder of their own, where DIR is
``audio``.
"""

import argparse
import contextlib
import io
import os
import re
import shlex
import subprocess
import sys
import tempfile
import time
import traceback
from pathlib import Path

PAGE = Path(__file__).with_name("from_other_tools.md")


def read_commands(page=PAGE):
    """Commands of the page in order: ``(kind, text)``; ``sh`` is a line, ``python`` a block.

    Examples
    --------
    >>> {kind for kind, _ in read_commands()} == {"sh", "python"}
    True
    """
    commands = []
    for kind, block in re.findall(
        r"^```(sh|python)\n(.*?)^```$", page.read_text("utf-8"), re.M | re.S
    ):
        lines = [block]
        if kind == "sh":
            lines = block.replace("\\\n", " ").splitlines()
        commands += [(kind, line) for line in lines]
    return commands


def run_command(kind, text, folder, environment):
    """Run a command in a folder, in a process of its own; returns its exit code and its words."""
    if kind == "sh":
        name, *arguments = shlex.split(text)
        command = [str(Path(sys.executable).with_name(name)), *arguments]
    else:
        command = [sys.executable, "-c", text]
    done = subprocess.run(
        command,
        cwd=folder,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


def run_here(kind, text, folder, environment):
    """The same in this process, so that the libraries are loaded once."""
    from thesislib.cli import main as thesis

    said, code = io.StringIO(), 0
    changed = {name: os.environ.get(name) for name in environment}
    os.environ.update(environment)
    try:
        with contextlib.chdir(folder), contextlib.redirect_stdout(said):
            with contextlib.redirect_stderr(said):
                if kind == "sh":
                    code = thesis(shlex.split(text)[1:])
                else:
                    exec(compile(text, PAGE.name, "exec"), {"__name__": "__main__"})
    except (Exception, SystemExit):
        said.write(traceback.format_exc())
        code = 1
    finally:
        for name, value in changed.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
    return code, said.getvalue()


def snapshot(folder):
    """Size and time of every file that a command may have written."""
    kept = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder)
        if path.is_file() and name.parts[0] not in ("audio", "store"):
            kept[name] = (path.stat().st_size, path.stat().st_mtime_ns)
    return kept


def describe_written(before, after):
    """What is new, a folder with its files in one: ``deep.csv 120 kB, plots/ 6 files 40 kB``."""
    sizes = {}
    for name in [name for name in after if after[name] != before.get(name)]:
        title = name.name if len(name.parts) == 1 else f"{name.parts[0]}/"
        sizes.setdefault(title, []).append(after[name][0])
    parts = []
    for title, each in sizes.items():
        count = f" {len(each)} files" if title.endswith("/") else ""
        parts.append(f"{title}{count} {-(-sum(each) // 1000)} kB")
    return ", ".join(parts) or "nothing written"


def try_all(audio, folder, commands=None, *, run=run_command, report=print):
    """Run commands on the recordings in ``audio``; returns the numbers of those that failed."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "audio").symlink_to(Path(audio).resolve(), target_is_directory=True)
    environment = {"THESIS_STORE": str(folder.resolve() / "store")}
    failed = []
    for number, (kind, text) in enumerate(commands or read_commands(), start=1):
        before, started = snapshot(folder), time.perf_counter()
        code, said = run(kind, text, folder, environment)
        seconds = time.perf_counter() - started
        written = describe_written(before, snapshot(folder))
        first = " ".join(text.split()) if kind == "sh" else f"python: {text.count(chr(10))} lines"
        report(f"{number:2} exit {code} {seconds:5.1f} s  {first}\n   -> {written}")
        if code:
            report(f"   {said.strip()}")
            failed.append(number)
    report(f"{len(failed)} of {number} commands failed")
    return failed


def main():
    """Read the arguments and try all commands."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("audio", type=Path, metavar="DIR", help="a sub-folder a class")
    parser.add_argument(
        "--work", type=Path, metavar="DIR", help="keep what is written, in a new DIR"
    )
    parser.add_argument(
        "--here", action="store_true", help="in one process: quicker, since libraries load once"
    )
    options = parser.parse_args()
    classes = sorted({path.parent.name for path in options.audio.glob("*/*")})
    if len(classes) < 2:
        parser.error(f"{options.audio}: found {len(classes)} sub-folders, expected one a class")
    run = run_here if options.here else run_command
    with tempfile.TemporaryDirectory() as folder:
        return 1 if try_all(options.audio, options.work or Path(folder), run=run) else 0


if __name__ == "__main__":
    sys.exit(main())
