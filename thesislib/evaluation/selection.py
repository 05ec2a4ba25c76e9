"""Choosing the SVM's complexity, and scoring what was chosen (contract 7).

The thesis often chooses on the very scores that it reports. Both functions here
therefore keep the decisions for every complexity: the maximum over the reported
scores is the result *as published*, the choice on the development partition or by
nested cross-validation the result *selected honestly*.
"""

from dataclasses import dataclass, field

import numpy as np
from sklearn.base import clone
from sklearn.model_selection import StratifiedGroupKFold

from thesislib.errors import CorpusError, ParameterError, check_option
from thesislib.evaluation.fits import fit_tasks, warn_stopped
from thesislib.evaluation.fusion import vote, vote_by_clip
from thesislib.evaluation.metrics import unweighted_average_recall

REFITS = ("train", "train+devel")


@dataclass(frozen=True)
class Decisions:
    """What a classifier says of some rows.

    ``rows`` are positions in the corpus, ``predicted`` class names, ``values`` decision
    values ``(n, n_classes)`` in the order of ``classes``, ``folds`` the fold of each row,
    ``tied`` the share of rows in which a vote was tied (0 for a single classifier).
    """

    rows: np.ndarray
    truth: np.ndarray
    predicted: np.ndarray
    values: np.ndarray
    classes: tuple
    folds: np.ndarray | None = None
    tied: float = 0.0

    def score(self, metric=unweighted_average_recall):
        """Score of all rows together."""
        return metric(self.truth, self.predicted)


def check_training(labels, train, test, where):
    """Raise a :class:`CorpusError` if a training part lacks a class that is tested."""
    absent = sorted(set(labels[test]) - set(labels[train]))
    if absent or len(set(labels[train])) < 2:
        found = ", ".join(sorted(set(labels[train])))
        lacking = ", ".join(absent) or "a second class"
        raise CorpusError(f"{where}: training part holds {found}, lacks {lacking}")


@dataclass(frozen=True)
class PartitionResult:
    """Decisions on development and test for every complexity.

    ``stopped[complexity]`` says how many of how many fits had not converged.
    """

    devel: dict
    test: dict
    stopped: dict = field(default_factory=dict)

    def best(self, partition="devel", metric=unweighted_average_recall):
        """Complexity with the best score on a partition; the smallest of equals."""
        found = {"devel": self.devel, "test": self.test}[
            check_option("partition", partition, ("devel", "test"))
        ]
        return max(sorted(found), key=lambda complexity: found[complexity].score(metric))


def evaluate_partitions(
    features,
    labels,
    *,
    train,
    devel,
    test,
    complexities,
    refit_on="train+devel",
    upsampling=False,
    machine=None,
    n_jobs=1,
):
    """Train, choose on development, score on test (9.2, 10.1, 10.2).

    Parameters
    ----------
    features : ndarray, shape (n, n_features), or callable
        A callable gets the rows of the training part and returns features of all rows:
        for codebooks and the like, which must not see the other parts.
    labels : array-like, shape (n,)
    train, devel, test : array-like of int
        Rows of each partition.
    complexities : sequence of float
    refit_on : {"train+devel", "train"}
        What the model for the test partition is fitted on; the thesis leaves it open for
        10.2, and says train and development for 10.1.
    upsampling : bool
        Replicate the minority classes of the training part (10.2).
    machine : dict, optional
        Further arguments of :func:`~thesislib.evaluation.classifiers.build_svm`.
    n_jobs : int

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
    >>> found = evaluate_partitions(X, y, train=range(4), devel=range(4, 8), test=range(8, 12),
    ...                             complexities=[0.1, 1.0])
    >>> found.devel[1.0].score()
    1.0
    """
    check_option("refit_on", refit_on, REFITS)
    labels = np.asarray(labels)
    train, devel, test = (np.asarray(rows, dtype=int) for rows in (train, devel, test))
    final = np.concatenate([train, devel]) if refit_on == "train+devel" else train
    check_training(labels, train, np.concatenate([devel, test]), "partition train")
    tasks = [(train, devel, c) for c in complexities] + [(final, test, c) for c in complexities]
    settings = {"machine": machine, "upsampling": upsampling, "n_jobs": n_jobs}
    answers, stopped = fit_tasks(tasks, features, labels, **settings)
    warn_stopped(stopped)
    found = [
        Decisions(rows, labels[rows], predicted, values, tuple(sorted(set(labels[fitted_on]))))
        for (fitted_on, rows, _), (predicted, values) in zip(tasks, answers)
    ]
    n = len(complexities)
    devel, test = dict(zip(complexities, found[:n])), dict(zip(complexities, found[n:]))
    return PartitionResult(devel, test, stopped)


def evaluate_classifier(estimator, X, labels, *, train, devel, test, refit_on="train+devel"):
    """Train, score on development, refit, score on test: a classifier without a search.

    Parameters
    ----------
    estimator : classifier
        With ``fit``, ``predict_proba`` and ``classes_``; it is cloned.
    X : sequence
        One item a clip.
    labels, train, devel, test, refit_on
        As in :func:`evaluate_partitions`.

    Returns
    -------
    PartitionResult
        Its only complexity is None; decision values are probabilities.
    """
    check_option("refit_on", refit_on, REFITS)
    labels = np.asarray(labels)
    train, devel, test = (np.asarray(rows, dtype=int) for rows in (train, devel, test))
    check_training(labels, train, np.concatenate([devel, test]), "partition train")
    final = np.concatenate([train, devel]) if refit_on == "train+devel" else train
    found = []
    for fitted_on, rows in ((train, devel), (final, test)):
        machine = clone(estimator).fit([X[i] for i in fitted_on], labels[fitted_on])
        values = machine.predict_proba([X[i] for i in rows])
        classes = np.asarray(machine.classes_)
        predicted = classes[values.argmax(axis=1)]
        found.append(Decisions(rows, labels[rows], predicted, values, tuple(classes.tolist())))
    return PartitionResult({None: found[0]}, {None: found[1]})


@dataclass(frozen=True)
class FoldResult:
    """Decisions of all folds for every complexity, and with the nested choice.

    ``chosen[fold]`` is the complexity that the nested choice took, and
    ``inner[fold][complexity]`` the score of each inside that fold's training part,
    ``stopped[complexity]`` how many of how many fits had not converged.
    """

    by_complexity: dict
    nested: Decisions
    chosen: dict
    inner: dict
    stopped: dict = field(default_factory=dict)

    def best(self, metric=unweighted_average_recall):
        """Complexity with the best score on the reported folds; the smallest of equals."""
        found = self.by_complexity
        return max(sorted(found), key=lambda complexity: found[complexity].score(metric))


def evaluate_folds(
    features,
    labels,
    folds,
    *,
    groups,
    complexities,
    n_inner=3,
    upsampling=False,
    machine=None,
    n_jobs=1,
    seed=0,
    metric=unweighted_average_recall,
):
    """Cross-validate, with the complexity chosen both ways (8.1, 8.3, 9.1).

    Parameters
    ----------
    features, labels, complexities, upsampling, machine, n_jobs
        As in :func:`evaluate_partitions`.
    folds : dict of str to (ndarray of int, ndarray of int)
        Train and test rows of each fold; a row may be tested in several.
    groups : array-like, shape (n,)
        Inner folds never part a group.
    n_inner : int
        Inner folds of the nested choice, drawn from each training part.
    seed : int
        Of the inner folds.
    metric : callable
        ``metric(y_true, y_pred) -> float``, for the inner choice.

    Returns
    -------
    FoldResult
        ``by_complexity[c]`` for the choice as published, ``nested`` for the honest one,
        ``chosen[fold]`` the complexity that the nested choice took.

    Examples
    --------
    >>> X = np.array([[0.0], [1.0]] * 9); y = np.array(["a", "b"] * 9); rows = np.arange(18)
    >>> folds = {k: (rows[rows % 3 != k], rows[rows % 3 == k]) for k in range(3)}
    >>> evaluate_folds(X, y, folds, groups=rows, complexities=[1.0]).nested.score()
    1.0
    """
    labels, groups = np.asarray(labels), np.asarray(groups)
    folds = {name: (np.asarray(a, int), np.asarray(b, int)) for name, (a, b) in folds.items()}
    tasks, owners = [], []
    for name, (train, test) in folds.items():
        check_training(labels, train, test, f"fold {name}")
        tasks += [(train, test, c) for c in complexities]
        owners += [(name, "outer")] * len(complexities)
        for a, b in split_inside(labels, groups, train, n_inner, seed):
            tasks += [(a, b, c) for c in complexities]
            owners += [(name, "inner")] * len(complexities)
    settings = {"machine": machine, "upsampling": upsampling, "n_jobs": n_jobs}
    answers, stopped = fit_tasks(tasks, features, labels, **settings)
    warn_stopped(stopped)
    classes = tuple(sorted(set(labels[np.concatenate([a for a, _ in folds.values()])])))

    outer, inner = {}, {}
    for (name, level), (_, test, complexity), answer in zip(owners, tasks, answers):
        if level == "outer":
            outer[name, complexity] = answer
        else:
            truth, predicted = inner.setdefault((name, complexity), ([], []))
            truth.append(labels[test])
            predicted.append(answer[0])
    inner = {
        name: {c: metric(*map(np.concatenate, inner[name, c])) for c in sorted(complexities)}
        for name in folds
    }
    chosen = {name: max(scores, key=scores.get) for name, scores in inner.items()}
    rows = np.concatenate([test for _, test in folds.values()])
    fold_of_row = np.concatenate([[name] * len(test) for name, (_, test) in folds.items()])

    def gather(pick):
        parts = [outer[name, pick(name)] for name in folds]
        return Decisions(
            rows,
            labels[rows],
            np.concatenate([predicted for predicted, _ in parts]),
            np.concatenate([values for _, values in parts]),
            classes,
            fold_of_row,
        )

    by_complexity = {c: gather(lambda _, c=c: c) for c in complexities}
    return FoldResult(by_complexity, gather(chosen.get), chosen, inner, stopped)


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


def choose_nested(results):
    """Choose among several settings inside each fold's training part.

    Parameters
    ----------
    results : dict of hashable to FoldResult
        Setting (codebook size, colour map, …) to result, all over the same folds.

    Returns
    -------
    decisions : Decisions
        Each fold answered by the setting and complexity with the best inner score.
    chosen : dict
        Fold to ``(setting, complexity)``; the first setting of equals.
    """
    first = next(iter(results.values()))
    chosen, parts = {}, []
    for fold in first.inner:
        settings = [(s, c) for s, result in results.items() for c in result.inner[fold]]
        chosen[fold] = max(settings, key=lambda sc, fold=fold: results[sc[0]].inner[fold][sc[1]])
        setting, complexity = chosen[fold]
        parts.append((results[setting].by_complexity[complexity], fold))
    masks = [part.folds == fold for part, fold in parts]
    joined = {
        name: np.concatenate([getattr(part, name)[m] for (part, _), m in zip(parts, masks)])
        for name in ("rows", "truth", "predicted", "values", "folds")
    }
    tied = float(np.average([part.tied for part, _ in parts], weights=[m.sum() for m in masks]))
    return Decisions(**joined, classes=first.nested.classes, tied=tied), chosen


def vote_chunks(decisions, clip_of_chunk):
    """Decisions on clips from those on their chunks, by majority vote.

    Parameters
    ----------
    decisions : Decisions
        Rows are chunks.
    clip_of_chunk : ndarray of int, shape (n_chunks,)
        Corpus row of every chunk.

    Returns
    -------
    Decisions
        Rows are corpus rows; ``values`` are summed over the chunks.
    """
    clips = np.asarray(clip_of_chunk)[decisions.rows]
    folds = np.zeros(len(clips), int) if decisions.folds is None else decisions.folds
    parts = []
    for fold in dict.fromkeys(folds.tolist()):
        mask = folds == fold
        names, winners, tied = vote_by_clip(
            decisions.predicted[mask], decisions.values[mask], clips[mask], decisions.classes
        )
        position = {clip: i for i, clip in enumerate(names)}
        order = np.array([position[clip] for clip in clips[mask]])
        values = np.zeros((len(names), len(decisions.classes)))
        np.add.at(values, order, decisions.values[mask])
        truth = np.empty(len(names), dtype=decisions.truth.dtype)
        truth[order] = decisions.truth[mask]
        parts.append((names, truth, winners, values, np.full(len(names), fold), tied))
    rows, truth, winners, values, voted, tied = map(np.concatenate, zip(*parts))
    kept = None if decisions.folds is None else voted
    return Decisions(rows, truth, winners, values, decisions.classes, kept, float(tied.mean()))


def fuse_decisions(parts):
    """Majority vote of several classifiers over the same rows (late fusion)."""
    first = parts[0]
    for part in parts[1:]:
        if not np.array_equal(part.rows, first.rows) or part.classes != first.classes:
            raise ParameterError("parts: found different rows or classes, expected the same")
    winners, tied = vote(
        [part.predicted for part in parts], [part.values for part in parts], first.classes
    )
    values = np.sum([part.values for part in parts], axis=0)
    return Decisions(
        first.rows, first.truth, winners, values, first.classes, first.folds, float(tied.mean())
    )
