"""What the benchmarks share: their options, taking turns, and the rows that they print."""

import argparse
import json
import statistics
import time


def run_script(description, measure):
    """Run a benchmark as a script, with its options.

    ``measure(runs, tiny)`` returns rows as `row` makes them; ``tiny`` asks for sizes that only
    show that the script works.
    """
    parser = argparse.ArgumentParser(description=description.splitlines()[0])
    parser.add_argument("--json", action="store_true", help="print one JSON list of rows")
    parser.add_argument("--runs", type=int, default=5, metavar="N", help="of each side")
    parser.add_argument("--tiny", action="store_true", help="sizes that only show that it works")
    options = parser.parse_args()
    rows = measure(options.runs, options.tiny)
    if options.json:
        print(json.dumps(rows, ensure_ascii=False))
        return
    for each in rows:
        verdict = {True: "reached", False: "NOT REACHED", None: "no target"}[each["passed"]]
        note = f"; {each['note']}" if each["note"] else ""
        print(f"{each['claim']}: {each['measured']} (target {each['target']}: {verdict}){note}")


def take_turns(sides, runs):
    """Seconds of each side, run in turns after a warm-up, so that both meet the same load.

    ``sides`` is a dict of name to callable; the answer a dict of name to list of seconds.
    """
    seconds = {name: [] for name in sides}
    for turn in range(runs + 1):
        for name, work in sides.items():
            started = time.perf_counter()
            work()
            if turn:
                seconds[name].append(time.perf_counter() - started)
    return seconds


def row(claim, target, measured, *, ratio=None, passed=None, runs, note=""):
    """A line of the table; ``passed`` is None where nothing is claimed."""
    return {
        "claim": claim,
        "target": target,
        "measured": measured,
        "ratio": None if ratio is None else float(ratio),
        "passed": None if passed is None else bool(passed),
        "runs": runs,
        "note": note,
    }


def faster(claim, ours, theirs, *, at_least, per="", note=""):
    """Row of a ratio that shall be large: their median over ours."""
    ours_s, theirs_s = statistics.median(ours), statistics.median(theirs)
    ratio = theirs_s / ours_s
    return row(
        claim,
        f"≥ {at_least:g} × faster{per}",
        f"{ratio:.3g} × ({describe(ours_s)} against {describe(theirs_s)})",
        ratio=ratio,
        passed=ratio >= at_least,
        runs=len(ours),
        note=note,
    )


def no_slower(claim, ours, theirs, *, at_most, note=""):
    """Row of a ratio that shall be small: our median over theirs."""
    ours_s, theirs_s = statistics.median(ours), statistics.median(theirs)
    ratio = ours_s / theirs_s
    return row(
        claim,
        f"≤ {at_most:g} × the time",
        f"{ratio:.3g} × ({describe(ours_s)} against {describe(theirs_s)})",
        ratio=ratio,
        passed=ratio <= at_most,
        runs=len(ours),
        note=note,
    )


def describe(seconds):
    """Seconds in a unit that suits them."""
    if seconds >= 1:
        return f"{seconds:.3g} s"
    return f"{1e3 * seconds:.3g} ms" if seconds >= 1e-3 else f"{1e6 * seconds:.3g} µs"
