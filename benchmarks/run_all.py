"""Run every benchmark of this folder, one at a time, and write RESULTS.md.

    python benchmarks/run_all.py [NAME ...]

A benchmark is a script that prints, with ``--json``, one list of rows on the last line of its
output. One that fails is a row that says so. With names, only these run, and the table holds
only their rows.
"""

import argparse
import datetime
import json
import os
import platform
import subprocess
import sys
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import psutil

HERE = Path(__file__).parent
NOT_BENCHMARKS = {"run_all", "timing"}
LIBRARIES = (
    "numpy",
    "scipy",
    "scikit-learn",
    "torch",
    "torchvision",
    "librosa",
    "matplotlib",
    "soundfile",
    "joblib",
    "dask",
)


def list_scripts(folder):
    """Benchmarks of a folder by name."""
    return {p.stem: p for p in sorted(folder.glob("*.py")) if p.stem not in NOT_BENCHMARKS}


def run_benchmark(script):
    """Rows of a benchmark; a single one that says why if it fails."""
    done = subprocess.run([sys.executable, script, "--json"], capture_output=True, text=True)
    lines = done.stdout.strip().splitlines()
    if done.returncode == 0 and lines:
        try:
            return json.loads(lines[-1])
        except json.JSONDecodeError:
            reason = f"its last line is no JSON: {lines[-1][:80]!r}"
    else:
        said = done.stderr.strip().splitlines() or ["no output"]
        reason = f"exit code {done.returncode}: {said[-1]}"
    failed = {"target": "to run", "measured": "failed", "ratio": None, "passed": False}
    return [{"claim": script.stem, **failed, "runs": 0, "note": reason}]


def describe_machine():
    """Cores, memory and processor model; no name of the machine."""
    model = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        found = [x for x in cpuinfo.read_text().splitlines() if x.startswith("model name")]
        model = found[0].partition(":")[2].strip() if found else model
    memory = psutil.virtual_memory().total / 2**30
    return f"{os.cpu_count()} cores, {memory:.0f} GiB of memory, {model}, {platform.system()}"


def describe_versions():
    """Python's and the libraries' versions."""
    found = [f"Python {platform.python_version()}"]
    for name in LIBRARIES:
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            continue
    return ", ".join(found)


def describe_commit():
    """Short commit of the checkout, and whether the code differs from it."""
    git = ["git", "-C", str(HERE)]
    try:
        commit = subprocess.run(
            [*git, "rev-parse", "--short", "HEAD"], check=True, capture_output=True, text=True
        ).stdout.strip()
        changed = subprocess.run(
            [*git, "diff", "--quiet", "HEAD", "--", ".", "../thesislib"], check=False
        ).returncode
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return commit + (" with changes" if changed else "")


def write_results(path, rows, *, seconds, load, figures=()):
    """The table, with machine, versions, date and commit."""

    def cell(text):
        return str(text).replace("|", "\\|").replace("\n", " ")

    verdicts = {True: "", False: " **not reached**", None: ""}
    lines = [
        "# Benchmarks",
        "",
        "Written by `make bench`. Medians of the runs given; both sides of a ratio ran in turns in "
        "the same run.",
        "",
        f"- Machine: {describe_machine()}; load {load:.1f} before the first",
        f"- Versions: {describe_versions()}",
        f"- Date: {datetime.date.today().isoformat()}, {seconds / 60:.0f} minutes in all",
        f"- Commit: {describe_commit()}",
        "",
        "| Claim | Target | Measured | Runs | Remarks |",
        "|---|---|---|---|---|",
    ]
    for r in rows:
        measured = cell(r["measured"]) + verdicts[r["passed"]]
        cells = [cell(r["claim"]), cell(r["target"]), measured, str(r["runs"]), cell(r["note"])]
        lines.append("| " + " | ".join(cells) + " |")
    if figures:
        lines += ["", "## How cost grows", ""]
        lines += [f"![{f.stem.replace('_', ' ')}](figures/{f.name})" for f in figures]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help="default: all")
    parser.add_argument("--folder", type=Path, default=HERE, help="where the scripts are")
    parser.add_argument("--output", type=Path, help="default: RESULTS.md in the folder")
    options = parser.parse_args()
    scripts = list_scripts(options.folder)
    unknown = set(options.names) - set(scripts)
    if unknown:
        parser.error(f"found {', '.join(sorted(unknown))}, expected some of {', '.join(scripts)}")
    output = options.output or options.folder / "RESULTS.md"
    rows, started, load = [], time.perf_counter(), os.getloadavg()[0]
    for name in options.names or scripts:
        print(f"{name} …", flush=True)
        begun = time.perf_counter()
        rows += (found := run_benchmark(scripts[name]))
        for r in found:
            print(f"  {r['claim']}: {r['measured']} (target {r['target']})", flush=True)
        print(f"  {time.perf_counter() - begun:.0f} s", flush=True)
        # After each, so that what was measured stays if the next one is broken off.
        figures = sorted((options.folder / "figures").glob("*.png"))
        seconds = time.perf_counter() - started
        write_results(output, rows, seconds=seconds, load=load, figures=figures)
    short = [r["claim"] for r in rows if r["passed"] is False]
    print(f"{output}: {len(rows)} rows, {len(short)} short of their target")


if __name__ == "__main__":
    main()
