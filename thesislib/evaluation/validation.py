"""Cross-validation and train, development and test partitions of linear SVMs and classifiers.

One engine for both: a list of *tasks* (training rows, test rows, complexity) is fitted side by
side, and :func:`evaluate_folds` and :func:`evaluate_partitions` arrange the predictions.
"""

import math
import warnings
from collections import Counter
from functools import partial
from importlib.metadata import version
from typing import NamedTuple

import joblib
import numpy as np
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import StratifiedGroupKFold
from threadpoolctl import threadpool_limits

from thesislib.corpora.splits import choose_split
from thesislib.errors import CorpusError, ParameterError, check_number, check_option
from thesislib.evaluation.classifiers import MAX_ITERATIONS, build_svm, decision_values, upsample
from thesislib.evaluation.fusion import vote_chunks
from thesislib.evaluation.metrics import unweighted_average_recall
from thesislib.evaluation.predictions import FoldResult, PartitionResult, Predictions
from thesislib.store import hash_parameters
from thesislib.workers import Parallel, connect, delayed

REFITS = ("train", "train+devel")


class Task(NamedTuple):
    """One fit: training rows, test rows, the SVM's complexity (None for other classifiers).

    ``learnt_on`` are the rows from which features given as a callable are learnt.
    """

    train: np.ndarray
    test: np.ndarray
    complexity: float | None
    learnt_on: np.ndarray

    @property
    def part(self):
        """Key that is equal for tasks with the same rows and features."""
        return tuple(rows.tobytes() for rows in (self.train, self.test, self.learnt_on))


def evaluate_partitions(
    features,
    labels,
    *,
    train,
    devel,
    test,
    complexities=(None,),
    classifier=None,
    refit_on="train+devel",
    upsampling=False,
    svm=None,
    n_jobs=1,
):
    """Train, choose on development, score on test (9.2, 10.1, 10.2).

    Parameters
    ----------
    features : ndarray, shape (n, n_features), list of n items, or callable
        A callable gets the training rows and returns features of all rows: for codebooks and
        the like, which must not see the other parts.
    labels : array-like, shape (n,)
    train, devel, test : array-like of int
        Rows of each partition.
    complexities : sequence of float
        Of the linear SVM.
    classifier : classifier, optional
        With ``fit``, ``predict_proba`` and ``classes_``, in place of the SVM; it is cloned.
    refit_on : {"train+devel", "train"}
        What the model for the test partition is fitted on; the thesis leaves it open for
        10.2, and says train and development for 10.1.
    upsampling : bool
        Replicate the minority classes of the training part (10.2).
    svm : dict, optional
        Further arguments of :func:`~thesislib.evaluation.classifiers.build_svm`.
    n_jobs : int
        Worker processes.

    Returns
    -------
    PartitionResult

    Raises
    ------
    CorpusError
        If a training part lacks a class.
    ParameterError
        If features are not finite.

    Examples
    --------
    >>> X = np.array([[0.0], [1.0]] * 6); y = np.array(["a", "b"] * 6)
    >>> result = evaluate_partitions(X, y, train=range(4), devel=range(4, 8), test=range(8, 12),
    ...                              complexities=[0.1, 1.0])
    >>> result.devel[1.0].score(), result.nested.score()
    (1.0, 1.0)
    """
    check_option("refit_on", refit_on, REFITS)
    labels = np.asarray(labels)
    train, devel, test = (np.asarray(rows, dtype=int) for rows in (train, devel, test))
    final = np.concatenate([train, devel]) if refit_on == "train+devel" else train
    check_training(labels, train, np.concatenate([devel, test]), "partition train")
    tasks = [
        Task(fitted_on, rows, complexity, fitted_on)
        for fitted_on, rows in ((train, devel), (final, test))
        for complexity in complexities
    ]
    classes = np.unique(labels[final])
    settings = {"svm": svm, "upsampling": upsampling, "n_jobs": n_jobs}
    outputs, stopped = fit_tasks(tasks, features, labels, classes, classifier, **settings)
    warn_stopped(stopped)
    predictions = [
        Predictions(task.test, labels[task.test], *output, tuple(classes.tolist()))
        for task, output in zip(tasks, outputs)
    ]
    n = len(complexities)
    devel, test = (dict(zip(complexities, part)) for part in (predictions[:n], predictions[n:]))
    return PartitionResult(devel, test, stopped)


def evaluate_split(features, corpus, *, n_inner=3, seed=0, **options):
    """Evaluate with the split that a corpus brings.

    Parameters
    ----------
    features
        As in :func:`evaluate_partitions`.
    corpus : Corpus
        As from :func:`~thesislib.corpora.open_own`.
    n_inner, seed
        As in :func:`evaluate_folds`.
    **options
        Common to :func:`evaluate_partitions` and :func:`evaluate_folds`.

    Returns
    -------
    PartitionResult or FoldResult
        The former with a development part; without one, the choice is nested: of each fold, or of
        the only scored partition.

    Examples
    --------
    >>> import pandas as pd
    >>> from thesislib.corpora.index import Corpus
    >>> index = pd.DataFrame({"file": list("abcdefghijkl"), "label": ["x", "y"] * 6})
    >>> index["partition"] = ["train"] * 8 + ["test"] * 4
    >>> X = np.array([[0.0], [1.0]] * 6)
    >>> result = evaluate_split(X, Corpus(index, ".", name="letters"), complexities=[1.0])
    >>> result.nested.score()
    1.0
    """
    names = choose_split(corpus)
    rows = [corpus.rows(name) for name in names]
    if len(names) == 3:
        parts = dict(zip(("train", "devel", "test"), rows))
        return evaluate_partitions(features, corpus.labels, **parts, **options)
    folds = {names[-1]: tuple(rows)} if names else corpus.folds()
    options |= {"groups": corpus.groups, "n_inner": n_inner, "seed": seed}
    return evaluate_folds(features, corpus.labels, folds, **options)


def evaluate_folds(
    features,
    labels,
    folds,
    *,
    groups=None,
    complexities=(None,),
    classifier=None,
    n_inner=3,
    upsampling=False,
    svm=None,
    n_jobs=1,
    seed=0,
    metric=unweighted_average_recall,
    clips=None,
    store=None,
):
    """Cross-validate, with the complexity chosen on the reported folds and nested (8.1, 8.3, 9.1).

    Parameters
    ----------
    features, labels, complexities, classifier, upsampling, svm, n_jobs
        As in :func:`evaluate_partitions`. For a ``classifier``, features given as a callable are
        learnt once from each fold's training part, for its inner folds too.
    folds : dict of str to (ndarray of int, ndarray of int)
        Train and test rows of each fold; a row may be tested in several.
    groups : array-like, shape (n,), optional
        Inner folds never divide a group; default: each row is its own group.
    n_inner : int
        Inner folds of each training part; 0 for none (``classifier`` only).
    seed : int
        Of the inner folds.
    metric : callable
        ``metric(y_true, y_pred) -> float``, for the inner choice.
    clips : array-like of int, shape (n,), optional
        Clip of each row, if the rows are chunks: the inner folds are also scored by the majority
        vote over the chunks of each clip (``inner_votes``).
    store : FeatureStore, optional
        Caches the decision values of the SVMs on a feature matrix, since a row of a table stands
        for hundreds of fits: a search that was killed continues after the last finished row.

    Returns
    -------
    FoldResult

    Raises
    ------
    CorpusError
        If a training part lacks a class that is tested.

    Examples
    --------
    >>> X = np.array([[0.0], [1.0]] * 9); y = np.array(["a", "b"] * 9); rows = np.arange(18)
    >>> folds = {k: (rows[rows % 3 != k], rows[rows % 3 == k]) for k in range(3)}
    >>> evaluate_folds(X, y, folds, groups=rows, complexities=[1.0]).nested.score()
    1.0
    """
    check_number("n_inner", n_inner, low=0, integer=True)
    labels = np.asarray(labels)
    groups = np.arange(len(labels)) if groups is None else np.asarray(groups)
    folds = {name: (np.asarray(a, int), np.asarray(b, int)) for name, (a, b) in folds.items()}
    tasks, owners = [], []
    for name, (train, test) in folds.items():
        check_training(labels, train, test, f"fold {name}")
        tasks += [Task(train, test, c, train) for c in complexities]
        owners += [(name, "outer")] * len(complexities)
        for a, b in split_inside(labels, groups, train, n_inner, seed) if n_inner else ():
            tasks += [Task(a, b, c, a if classifier is None else train) for c in complexities]
            owners += [(name, "inner")] * len(complexities)
    classes = np.unique(labels[np.concatenate([train for train, _ in folds.values()])])
    settings = {"svm": svm, "upsampling": upsampling}
    fit = partial(
        fit_tasks, tasks, features, labels, classes, classifier, n_jobs=n_jobs, **settings
    )
    if store is None or callable(features):
        outputs, stopped = fit()
    else:
        outputs, stopped = _remember(store, settings, tasks, features, labels, classes, fit)
    warn_stopped(stopped)

    parts = {}
    for owner, task, output in zip(owners, tasks, outputs):
        part = Predictions(task.test, labels[task.test], *output, tuple(classes.tolist()))
        parts.setdefault((*owner, task.complexity), []).append(part)
    inside = {
        name: {c: join(parts[name, "inner", c]) for c in sorted(complexities)}
        for name in folds
        if n_inner
    }
    inner = {
        name: {c: part.score(metric) for c, part in each.items()} for name, each in inside.items()
    }
    votes = {}
    if clips is not None:
        votes = {
            name: {c: vote_chunks(part, clips).score(metric) for c, part in each.items()}
            for name, each in inside.items()
        }
    chosen = {name: max(scores, key=scores.get) for name, scores in inner.items()}
    by_complexity = {
        c: join([part for name in folds for part in parts[name, "outer", c]], list(folds))
        for c in complexities
    }
    nested = [parts[name, "outer", chosen.get(name, complexities[0])][0] for name in folds]
    by_fold = {name: each[complexities[0]] for name, each in inside.items()}
    return FoldResult(
        by_complexity,
        join(nested, list(folds)),
        chosen,
        inner,
        stopped,
        by_fold if classifier is not None else {},
        inner_votes=votes,
    )


def _remember(store, settings, tasks, features, labels, classes, fit):
    """Outputs of :func:`fit_tasks` and its counts, from the cache if it has them."""
    data = joblib.hash([features, labels.astype(str), tasks], "sha1")
    libraries = {name: version(name) for name in ("numpy", "scipy", "scikit-learn")}
    key = {"evaluation": "folds", "version": 3, "data": data, **settings, **libraries}

    def compute():
        outputs, stopped = fit()
        counts = np.array([[c, *numbers] for c, numbers in stopped.items()])
        return {"values": np.concatenate([values for _, values in outputs]), "stopped": counts}

    entry = store.remember(hash_parameters(key), compute)
    ends = np.cumsum([len(task.test) for task in tasks])[:-1]
    outputs = [(classes[v.argmax(axis=1)], v) for v in np.split(entry["values"], ends)]
    return outputs, {c: (int(n), int(of)) for c, n, of in entry["stopped"].tolist()}


def join(parts, folds=None):
    """Concatenate predictions; ``folds`` names the fold of each part, else clips are in order."""
    names = ("rows", "truth", "predicted", "values")
    arrays = [np.concatenate([getattr(part, name) for part in parts]) for name in names]
    if folds is None:
        order = np.argsort(arrays[0], kind="stable")
        arrays = [array[order] for array in arrays]
    else:
        folds = np.concatenate([[name] * len(p.rows) for name, p in zip(folds, parts)])
    return Predictions(*arrays, parts[0].classes, folds)


def check_training(labels, train, test, where):
    """Raise a :class:`CorpusError` if a training part lacks a class that is tested."""
    absent = sorted(set(labels[test]) - set(labels[train]))
    if absent or len(set(labels[train])) < 2:
        present = ", ".join(sorted(set(labels[train])))
        lacking = ", ".join(absent) or "a second class"
        raise CorpusError(f"{where}: training part holds {present}, lacks {lacking}")


def split_inside(labels, groups, train, n_inner, seed):
    """Inner folds of a training part; fewer where a class has too few groups."""
    fewest = min(len(set(groups[train][labels[train] == name])) for name in set(labels[train]))
    n_splits = min(n_inner, fewest)
    if n_splits < 2:
        raise CorpusError(
            "nested choice: a class has a single group in the training part, expected two"
        )
    splitter = StratifiedGroupKFold(n_splits, shuffle=True, random_state=seed)
    # A split that leaves a class out of the inner training part cannot be scored.
    parts = [
        (train[a], train[b])
        for a, b in splitter.split(train, labels[train], groups[train])
        if set(labels[train[a]]) == set(labels[train])
    ]
    if not parts:
        raise CorpusError("nested choice: no inner split keeps every class in its training part")
    return parts


def fit_tasks(
    tasks, features, labels, classes, classifier=None, *, svm=None, upsampling=False, n_jobs=1
):
    """Fit every task; the features of each training part are computed once.

    Tasks with the same rows are fitted together: scaling and the span of the training clips do
    not depend on the complexity, and to compute them can take longer than the fit itself.
    Processes, not threads: LIBLINEAR and LIBSVM draw from one generator a process, so fits in
    threads would disturb each other's order of samples. No output depends on ``n_jobs``.

    Parameters
    ----------
    tasks : list of Task
    features, classifier, svm, upsampling, n_jobs
        As in :func:`evaluate_partitions`.
    labels : ndarray, shape (n,)
    classes : ndarray
        All classes, sorted; a class that a training part lacks gets probability 0, or decision
        value minus infinity.

    Returns
    -------
    outputs : list of (ndarray, ndarray)
        For each task the predicted classes and the values of the test rows, shape
        (n_test, n_classes).
    stopped : dict of float to (int, int)
        For each complexity, how many of how many fits reached the solver's limit of iterations.

    Raises
    ------
    ParameterError
        If features are not finite.

    Examples
    --------
    >>> X, rows = np.array([[0.0], [1.0]] * 4), np.arange(8)
    >>> tasks = [Task(rows[:4], rows[4:], c, rows[:4]) for c in (0.1, 1.0)]
    >>> outputs, stopped = fit_tasks(tasks, X, np.array(["a", "b"] * 4), np.array(["a", "b"]))
    >>> outputs[1][0].tolist(), stopped
    (['a', 'b', 'a', 'b'], {0.1: (0, 1), 1.0: (0, 1)})
    """
    parts, matrices = {}, {}
    for i, task in enumerate(tasks):
        parts.setdefault(task.part, []).append(i)
        source = task.learnt_on.tobytes() if callable(features) else None
        if source not in matrices:
            X = features(task.learnt_on) if callable(features) else features
            matrices[source] = X if classifier is not None else check_features(X, len(labels))
    groups = _deal(parts.values(), [task.complexity for task in tasks], n_jobs)

    def calls():
        for group in groups:
            task = tasks[group[0]]
            X = matrices[task.learnt_on.tobytes() if callable(features) else None]
            y = labels[task.train]
            if classifier is not None:
                known, unknown = _take(X, task.train), _take(X, task.test)
                yield delayed(_fit_classifier)(classifier, known, y, unknown, classes)
            else:
                complexities = [tasks[i].complexity for i in group]
                rows = task.train, task.test
                yield delayed(_fit_svms)(X, y, *rows, complexities, classes, svm or {}, upsampling)

    outputs = [None] * len(tasks)
    n_fits, n_stopped = Counter(), Counter()
    for group, fits in zip(groups, Parallel(n_jobs=n_jobs)(calls())):
        # Equal tasks share the one fit of a classifier.
        fits = fits if classifier is None else fits * len(group)
        for i, (values, has_stopped) in zip(group, fits):
            outputs[i] = classes[values.argmax(axis=1)], values
            n_fits[tasks[i].complexity] += 1
            n_stopped[tasks[i].complexity] += has_stopped
    counts = {} if classifier is not None else {c: (n_stopped[c], n_fits[c]) for c in n_fits}
    return outputs, dict(sorted(counts.items()))


def check_features(X, n_rows=None, *, n_features=None, name="features"):
    """Return a finite matrix with one row a clip, or (without ``n_rows``) a frame of a clip.

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
    rows, columns = n_rows or "at least 1", n_features or "n_features"
    is_matrix = X.ndim == 2 and 0 not in X.shape
    if not is_matrix or n_rows not in (None, len(X)) or n_features not in (None, X.shape[1]):
        raise ParameterError(f"{name}: found shape {X.shape}, expected ({rows}, {columns})")
    bad = np.argwhere(~np.isfinite(X))
    if len(bad):
        row, column = bad[0]
        raise ParameterError(
            f"{name}: row {row}, column {column} is {X[row, column]}, expected finite numbers"
        )
    if (n_rows or 0) > 1 and np.all(X == X[0]):
        raise ParameterError(
            f"features: all {n_rows} rows are equal, expected features that differ between clips"
        )
    return X


def describe_stopped(stopped):
    """One sentence on the fits that had not converged; empty if there are none.

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


class StoppedWarning(ConvergenceWarning):
    """Some fits had not converged; ``stopped`` as :func:`fit_tasks` counts."""

    def __init__(self, stopped):
        super().__init__(stopped)
        self.stopped = stopped

    def __str__(self):
        return describe_stopped(self.stopped)


def warn_stopped(stopped):
    """Warn once of all fits that had not converged."""
    if any(n for n, _ in stopped.values()):
        warnings.warn(StoppedWarning(stopped), stacklevel=2)


def add_stopped(parts):
    """Sum the counts of several ``stopped``."""
    total = {}
    for part in parts:
        for complexity, counts in part.items():
            total[complexity] = tuple(map(sum, zip(total.get(complexity, (0, 0)), counts)))
    return total


def _deal(parts, complexities, n_jobs):
    """Groups of tasks that share their rows: one a part, more where workers would be idle."""
    client = connect()
    n_jobs = joblib.effective_n_jobs(n_jobs) if client is None else max(1, len(client.nthreads()))
    n_groups = math.ceil(n_jobs / len(parts))
    # A large complexity takes longest: it comes first, and each group has one before any has two.
    ordered = [sorted(part, key=lambda i: -(complexities[i] or 0)) for part in parts]
    groups = [part[first::n_groups] for first in range(n_groups) for part in ordered]
    return [group for group in groups if group]


def _take(X, rows):
    return X[rows] if isinstance(X, np.ndarray) else [X[i] for i in rows]


def _fill(values, own_classes, classes, missing):
    """Values over all classes from those over the classes of one training part."""
    filled = np.full((len(values), len(classes)), missing)
    filled[:, np.searchsorted(classes, own_classes)] = values
    return filled


def _fit_classifier(classifier, X, y, X_test, classes):
    """Probabilities (n_test, n_classes) of one classifier."""
    # One thread, so that the bits do not depend on how many cores each process may use.
    with threadpool_limits(1):
        fitted = clone(classifier).fit(X, y)
        probabilities = fitted.predict_proba(X_test)
    return [(_fill(probabilities, np.asarray(fitted.classes_), classes, 0.0), 0)]


def _fit_svms(X, y, train, test, complexities, classes, svm, upsampling):
    """Decision values (n_test, n_classes), and whether the solver stopped early, for each C."""
    if upsampling:
        repeats = upsample(y)
        train, y = train[repeats], y[repeats]
    fits = []
    # One thread as above. Fits that stop before they have converged are counted instead of
    # warned about one by one.
    with threadpool_limits(1), warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        prepare = build_svm(complexities[0], **svm)[:-1]
        known, unknown = prepare.fit_transform(X[train]), prepare.transform(X[test])
        for complexity in complexities:
            fitted = build_svm(complexity, **svm)[-1].fit(known, y)
            values = decision_values(fitted, unknown)
            stopped = int(getattr(fitted, "n_iter_", 0) >= MAX_ITERATIONS)
            fits.append((_fill(values, fitted.classes_, classes, -np.inf), stopped))
    return fits
