"""Fits of the linear SVM, over training parts and complexities.

A *task* is (training rows, tested rows, complexity). Tasks that share their rows are fitted
together: scaling and the span of the training clips do not depend on the complexity, and to
find them can take longer than the fit itself.
"""

import math
import warnings
from collections import Counter

import numpy as np
from joblib import effective_n_jobs
from sklearn.exceptions import ConvergenceWarning
from threadpoolctl import threadpool_limits

from thesislib.errors import ParameterError
from thesislib.evaluation.classifiers import MAX_ITERATIONS, build_svm, decision_values, upsample
from thesislib.workers import Parallel, connect, delayed


def check_features(X, n_rows):
    """Return a finite float matrix with one row a clip.

    Raises
    ------
    ParameterError
        Names the first row and column that is not finite; or says that the shape is
        wrong, or that no feature differs between clips.

    Examples
    --------
    >>> check_features(np.array([[0.0, np.nan]]), 1)
    Traceback (most recent call last):
    ...
    thesislib.errors.ParameterError: features: row 0, column 1 is nan, expected finite numbers
    """
    X = np.asarray(X)
    if X.ndim != 2 or len(X) != n_rows or not X.shape[1]:
        raise ParameterError(f"features: found shape {X.shape}, expected ({n_rows}, n_features)")
    bad = np.argwhere(~np.isfinite(X))
    if len(bad):
        row, column = bad[0]
        raise ParameterError(
            f"features: row {row}, column {column} is {X[row, column]}, expected finite numbers"
        )
    if n_rows > 1 and np.all(X == X[0]):
        raise ParameterError(
            f"features: all {n_rows} rows are equal, expected features that differ between clips"
        )
    return X


def fit_tasks(tasks, features, labels, *, machine=None, upsampling=False, n_jobs=1):
    """Fit every task, each training part's features made once.

    Processes, not threads: LIBLINEAR and LIBSVM draw from one generator a process, so fits in
    threads would disturb each other's order of samples. No answer depends on ``n_jobs``.

    Parameters
    ----------
    tasks : list of (ndarray of int, ndarray of int, float)
        Training rows, tested rows and complexity.
    features : ndarray, shape (n, n_features), or callable
        As in :func:`~thesislib.evaluation.selection.evaluate_partitions`.
    labels : ndarray, shape (n,)
    machine : dict, optional
        Further arguments of :func:`~thesislib.evaluation.classifiers.build_svm`.
    upsampling : bool
    n_jobs : int

    Returns
    -------
    answers : list of (ndarray, ndarray)
        For each task the classes found and the decision values of the tested rows.
    stopped : dict of float to (int, int)
        For each complexity how many of how many fits ended at the solver's limit of
        iterations, before they had converged.

    Raises
    ------
    ParameterError
        If features are not finite.

    Examples
    --------
    >>> X, rows = np.array([[0.0], [1.0]] * 4), np.arange(8)
    >>> tasks = [(rows[:4], rows[4:], c) for c in (0.1, 1.0)]
    >>> answers, stopped = fit_tasks(tasks, X, np.array(["a", "b"] * 4))
    >>> answers[1][0].tolist(), stopped
    (['a', 'b', 'a', 'b'], {0.1: (0, 1), 1.0: (0, 1)})
    """
    parts, made = {}, {}
    for i, (train, test, _) in enumerate(tasks):
        parts.setdefault((train.tobytes(), test.tobytes()), []).append(i)
        if train.tobytes() not in made:
            X = features(train) if callable(features) else features
            made[train.tobytes()] = check_features(X, len(labels))
    groups = _deal(parts.values(), [complexity for *_, complexity in tasks], n_jobs)
    found = Parallel(n_jobs=n_jobs)(
        delayed(_fit_group)(
            made[tasks[group[0]][0].tobytes()],
            labels,
            *tasks[group[0]][:2],
            [tasks[i][2] for i in group],
            machine or {},
            upsampling,
        )
        for group in groups
    )
    answers = [None] * len(tasks)
    n_fits, n_stopped = Counter(), Counter()
    for group, fits in zip(groups, found):
        for i, (predicted, values, stopped) in zip(group, fits):
            answers[i] = predicted, values
            n_fits[tasks[i][2]] += 1
            n_stopped[tasks[i][2]] += stopped
    return answers, {c: (n_stopped[c], n_fits[c]) for c in sorted(n_fits)}


def _deal(parts, complexities, n_jobs):
    """Groups of tasks that share their rows: one a part, more where workers would stand idle."""
    client = connect()
    n_jobs = effective_n_jobs(n_jobs) if client is None else max(1, len(client.nthreads()))
    n_groups = math.ceil(n_jobs / len(parts))
    # A large complexity takes longest: it goes first, and no group has two before all have one.
    ordered = [sorted(part, key=lambda i: -complexities[i]) for part in parts]
    groups = [part[first::n_groups] for first in range(n_groups) for part in ordered]
    return [group for group in groups if group]


def _fit_group(X, labels, train, test, complexities, machine, upsampling):
    rows = np.asarray(train)
    if upsampling:
        rows = rows[upsample(labels[rows])]
    found = []
    # One thread, so that the bits do not depend on how many cores each process may use; that a
    # solver stops short of convergence is counted, not warned of fit by fit.
    with threadpool_limits(1), warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        prepare = build_svm(complexities[0], **machine)[:-1]
        known, unknown = prepare.fit_transform(X[rows]), prepare.transform(X[test])
        for complexity in complexities:
            fitted = build_svm(complexity, **machine)[-1].fit(known, labels[rows])
            values = decision_values(fitted, unknown)
            stopped = int(getattr(fitted, "n_iter_", 0) >= MAX_ITERATIONS)
            found.append((fitted.classes_[values.argmax(axis=1)], values, stopped))
    return found


def describe_stopped(stopped):
    """One sentence on the fits that had not converged, or nothing.

    Parameters
    ----------
    stopped : dict of float to (int, int)
        As :func:`fit_tasks` counts.

    Examples
    --------
    >>> describe_stopped({0.1: (0, 6), 1.0: (4, 6)})
    '4 of 12 fits of linear SVMs stopped at 1000 iterations before they had converged (C = 1)'
    >>> describe_stopped({0.1: (0, 6)})
    ''
    """
    n_stopped = sum(n for n, _ in stopped.values())
    if not n_stopped:
        return ""
    n_fits = sum(n for _, n in stopped.values())
    where = ", ".join(f"{c:g}" for c, (n, _) in stopped.items() if n)
    return (
        f"{n_stopped} of {n_fits} fits of linear SVMs stopped at {MAX_ITERATIONS} iterations "
        f"before they had converged (C = {where})"
    )


def warn_stopped(stopped):
    """Warn once of all fits that had not converged."""
    if remark := describe_stopped(stopped):
        warnings.warn(remark, ConvergenceWarning, stacklevel=2)
