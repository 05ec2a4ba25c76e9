"""The grid of complexities and folds of the linear SVM, against the same fits one after another.

Synthetic features like a network's after a rectifier (sparse, not scaled), six classes, in the
proportions of 8.3: 18 792 chunks of 4 096 features, cut down to a tenth for the grid. The other
side builds, fits and asks each machine by itself, in one process. The full size is measured for
one fit only, with one complexity, beside the same fit at a tenth.
"""

import math
import time

import numpy as np
from threadpoolctl import threadpool_limits
from timing import describe, faster, row, run_script, take_turns

from thesislib.evaluation.classifiers import build_svm, decision_values
from thesislib.evaluation.validation import Task, fit_tasks

N_CHUNKS, N_FEATURES = 18_792, 4_096
COMPLEXITIES = [1e-5, 1e-4, 1e-3, 1e-2]


def make_features(n, n_features):
    """Chunks of recordings of six classes, of which one in ten is labelled at random."""
    rng = np.random.default_rng(0)
    recordings = rng.normal(size=(300, n_features)).astype(np.float32)
    classes = rng.normal(size=(6, n_features)).astype(np.float32)
    source = rng.integers(300, size=n)
    labels = source % 6
    X = rng.standard_normal((n, n_features), dtype=np.float32)
    for x, i in zip(X, source):
        x += 0.5 * recordings[i] + 0.15 * classes[i % 6] - 0.5
    np.maximum(X, 0, out=X)
    noisy = rng.random(n) < 0.1
    return X, np.where(noisy, rng.integers(6, size=n), labels).astype(str)


def measure_grid(runs, n, n_features):
    X, labels = make_features(n, n_features)
    fold = np.arange(n) % 3
    tasks = [
        Task(np.flatnonzero(fold != k), np.flatnonzero(fold == k), c, np.flatnonzero(fold != k))
        for k in range(3)
        for c in COMPLEXITIES
    ]
    found = {}

    def one_by_one():
        with threadpool_limits(1):
            answers = []
            for train, test, c, _ in tasks:
                machine = build_svm(c).fit(X[train], labels[train])
                answers.append(decision_values(machine, X[test]))
        found["one by one"] = answers

    def workers(n_jobs):
        outputs, _ = fit_tasks(tasks, X, labels, np.unique(labels), n_jobs=n_jobs)
        found[n_jobs] = [values for _, values in outputs]

    seconds = take_turns({"ours": lambda: workers(2), "theirs": one_by_one}, runs)
    started = time.perf_counter()
    workers(1)
    alone = np.median(seconds["theirs"]) / (time.perf_counter() - started)
    same = all(map(np.array_equal, found[2], found["one by one"]))
    return faster(
        f"C × folds grid of the linear SVM, {len(tasks)} fits of {n} × {n_features}",
        seconds["ours"],
        seconds["theirs"],
        at_least=1.8,
        per=" on two cores",
        note=f"against the same fits one after another; shared preparation alone, in one "
        f"process, gives {alone:.2f} × (once); decision values "
        f"{'equal' if same else 'DIFFERENT'} to the last bit",
    )


def measure_slope(n, n_features, complexity=1e-3):
    """Seconds of one fit at a tenth, a third and the full size, all rows for training."""
    X, labels = make_features(n, n_features)
    sizes, seconds = [n // 10, n // 3, n], []
    with threadpool_limits(1):
        for size in sizes:
            started = time.perf_counter()
            build_svm(complexity).fit(X[:size], labels[:size])
            seconds.append(time.perf_counter() - started)
    slope = math.log(seconds[-1] / seconds[0]) / math.log(sizes[-1] / sizes[0])
    points = ", ".join(f"{size}: {describe(s)}" for size, s in zip(sizes, seconds))
    return row(
        f"one fit of the linear SVM, from a tenth to the full {n} × {n_features}",
        "the slope",
        f"time grows with chunks to the power of {slope:.2f} ({points})",
        ratio=slope,
        runs=1,
        note=f"C = {complexity:g}, six classes, measured once a size; with fewer chunks than "
        f"features ({n_features}) the machine is found in the space that the chunks span",
    )


def measure(runs, tiny):
    n, n_features = (300, 40) if tiny else (N_CHUNKS, N_FEATURES)
    return [measure_grid(runs, n // 10, n_features), measure_slope(n, n_features)]


if __name__ == "__main__":
    run_script(__doc__, measure)
