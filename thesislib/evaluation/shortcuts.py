"""Shortcuts: how well properties of the files alone tell the label.

A classifier that sees nothing but level, duration or bandwidth of a clip (Sturm 2014: the horse)
is cross-validated with groups whole. What it recognises, every other method may have recognised.
"""

import numpy as np
import pandas as pd
from sklearn.base import clone
from sklearn.inspection import permutation_importance
from sklearn.metrics import balanced_accuracy_score
from sklearn.model_selection import PredefinedSplit, cross_val_predict
from sklearn.tree import DecisionTreeClassifier

from thesislib.corpora.splits import draw_parts, take_slice
from thesislib.errors import CorpusError, ParameterError
from thesislib.evaluation.classifiers import properties_classifier
from thesislib.evaluation.comparison import ALPHA, MIN_FLIPS, adjust_holm, compare, score

#: Properties that are named at most.
N_NAMED = 3
#: Trees of the default classifier, and clips of a corpus at most: some seconds in all.
N_TREES, MAX_CLIPS = 30, 1000


def measure_shortcuts(
    X, labels, groups, names, *, n_folds=5, seed=0, classifier=None, by="interval"
):
    """How well properties tell the label, and which of them do.

    Parameters
    ----------
    X : array-like, shape (n, n_properties)
        Of `thesislib.representations.Properties`.
    labels, groups : array-like, shape (n,)
        Clips without a label (None) are left out.
    names : sequence of str
        Of the properties.
    n_folds : int >= 2
        At most; not more than the groups of the class that has the fewest.
    seed : int
    classifier : estimator, optional
        By default `properties_classifier` with `N_TREES` trees.
    by : {"interval", "p_value"}
        What decides on ``is_shortcut``: the interval, or the sign-flip test against chance.

    Returns
    -------
    dict
        That of `thesislib.evaluation.comparison.score`, and ``chance``; ``p_value`` against chance;
        ``is_shortcut``: whether the interval lies above chance; ``alone``: if so, the UAR by single
        properties (of a decision tree), the `N_NAMED` foremost ones. They are ordered by what is
        lost when the property is permuted (mean over the test folds), or by their gain alone if it
        is larger: a property that others repeat loses nothing.

    Raises
    ------
    CorpusError
        If a class has one group only, or there are fewer than two classes.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> labels = np.repeat(["cat", "dog"], 30)
    >>> X = rng.standard_normal((60, 2)) + [[0, 5 * (name == "dog")] for name in labels]
    >>> result = measure_shortcuts(X, labels, np.arange(60), ["duration_s", "level_db"])
    >>> result["is_shortcut"], next(iter(result["alone"]))
    (True, 'level_db')
    """
    known = np.array([label is not None for label in labels])
    X, labels, groups = (np.asarray(part)[known] for part in (X, labels, groups))
    labels = np.array([str(label) for label in labels], dtype=object)
    if len(set(labels)) < 2:
        raise CorpusError(f"found {len(set(labels))} classes, expected at least two")
    if len(X) != len(labels) or X.ndim != 2 or X.shape[1] != len(names):
        raise ParameterError(f"X: found shape {X.shape}, expected ({len(labels)}, {len(names)})")
    if classifier is None:
        classifier = properties_classifier(seed).set_params(n_estimators=N_TREES)
    n_groups = min(len(set(groups[labels == name])) for name in set(labels))
    n_parts = max(2, min(n_folds, n_groups))
    folds = PredefinedSplit(draw_parts(labels, groups, n_parts, seed=seed, where="properties"))
    table = pd.DataFrame({"file": np.arange(len(X)).astype(str), "group": groups, "truth": labels})
    predictions = table.assign(prediction=cross_val_predict(classifier, X, labels, cv=folds))
    chance = 1 / len(set(labels))
    result = score(predictions) | {"chance": chance, "alone": {}}
    result["p_value"] = compare(predictions, "chance")["p_value"]
    above = result["score"] > chance and result["p_value"] < ALPHA
    result["is_shortcut"] = above if by == "p_value" else bool(result["low"] > chance)
    if result["is_shortcut"]:
        tree = DecisionTreeClassifier(min_samples_leaf=3, class_weight="balanced")
        single = [cross_val_predict(tree, column[:, None], labels, cv=folds) for column in X.T]
        alone, lost = np.array([balanced_accuracy_score(labels, each) for each in single]), []
        for train, test in folds.split():
            fitted = clone(classifier).fit(X[train], labels[train])
            how = {"scoring": "balanced_accuracy", "n_repeats": 3, "random_state": seed}
            ranked = permutation_importance(fitted, X[test], labels[test], **how)
            lost.append(ranked.importances_mean)
        weight = np.maximum(np.mean(lost, axis=0), alone - chance)
        first = np.argsort(-weight, kind="stable")[:N_NAMED]
        result["alone"] = {names[i]: alone[i] for i in first}
    return result


def measure_domain_shortcuts(X, labels, groups, domains, names, *, whole=False, **options):
    """How well properties tell the label inside each domain.

    The sign-flip tests against chance (`thesislib.evaluation.comparison.compare`) have Holm's
    correction over all results.

    Parameters
    ----------
    X, labels, groups, names, **options
        As in `measure_shortcuts`.
    domains : array-like, shape (n,)
        Clips without a domain (None) are left out, and domains with fewer than six groups or with
        a class of one group: nothing can be tested there.
    whole : bool
        Whether the first result is that of all clips, by the name ``""``. For a shortcut, its
        interval must lie above chance, too.

    Returns
    -------
    dict of str to dict
        Domain to the result of `measure_shortcuts`, with ``p_value``; ``is_shortcut``: whether the
        corrected p-value is below 0.05 and the score above chance.

    Examples
    --------
    >>> rng, rows = np.random.default_rng(0), np.arange(80)
    >>> labels, domains = np.array(["cat", "dog"])[rows % 2], np.array(["home", "zoo"])[rows // 40]
    >>> X = rng.standard_normal((80, 2))
    >>> X[:, 1] += 9 * ((labels == "dog") & (domains == "zoo"))
    >>> results = measure_domain_shortcuts(X, labels, rows, domains, ["duration_s", "level_db"])
    >>> {domain: result["is_shortcut"] for domain, result in results.items()}
    {'home': False, 'zoo': True}
    """
    X, labels, groups, domains = map(np.asarray, (X, labels, groups, domains))
    results = {"": measure_shortcuts(X, labels, groups, names, **options)} if whole else {}
    for domain in sorted({name for name in domains if name is not None}):
        rows = np.array([d == domain and y is not None for d, y in zip(domains, labels)])
        owned = [set(groups[rows & (labels == name)]) for name in set(labels[rows])]
        n_groups = len(set(groups[rows]))
        if len(owned) > 1 and min(map(len, owned)) > 1 and n_groups >= MIN_FLIPS:
            parts = (part[rows] for part in (X, labels, groups))
            results[str(domain)] = measure_shortcuts(*parts, names, by="p_value", **options)
    for result, p in zip(results.values(), adjust_holm([r["p_value"] for r in results.values()])):
        result["p_value"] = float(p)
        result["is_shortcut"] = bool(result["is_shortcut"] and p < ALPHA)
    return results


def find_shortcuts(corpus, store=None, *, n_jobs=1):
    """How well properties of its files tell the labels of a corpus, in a line.

    Parameters
    ----------
    corpus : Corpus
        Of more than `MAX_CLIPS` clips, a slice is measured
        (`thesislib.corpora.splits.take_slice`). Files that cannot be read are left out.
    store : FeatureStore, optional
    n_jobs : int

    Returns
    -------
    str
        Of all clips and, with several domains, of those domains where properties tell the label.
    """
    from thesislib.representations import Properties, Reading, extract

    sliced = take_slice(corpus, -(-len(corpus) // MAX_CLIPS))
    how = {"reading": Reading(channel="all"), "n_jobs": n_jobs, "on_error": "collect"}
    features = extract(sliced, Properties(), None, store, progress=False, **how)
    columns = (part[features.rows] for part in (sliced.labels, sliced.groups, sliced.domains))
    try:
        arrays = features.matrix, *columns, features.names
        results = measure_domain_shortcuts(*arrays, whole=True)
    except (CorpusError, ParameterError) as error:
        return f"properties of the files were not tested ({error})"
    lines = [describe_shortcuts(results.pop(""))]
    lines += [f"in {d}, {describe_shortcuts(r)}" for d, r in results.items() if r["is_shortcut"]]
    return "; ".join([*lines, *sliced.remarks[len(corpus.remarks) :]])


def describe_shortcuts(result):
    """Result of `measure_shortcuts` as a sentence.

    Examples
    --------
    >>> describe_shortcuts({"score": 0.5, "low": 0.4, "high": 0.6, "chance": 0.5, "unit": "clip",
    ...                     "is_shortcut": False})
    'properties of the files do not tell the label: UAR 50.0 % (40.0 to 60.0 %, by clip; chance
    50.0 %)'
    """
    interval = "no interval" if np.isnan(result["low"]) else "{low:.1%} to {high:.1%}, by {unit}"
    text = f"UAR {{score:.1%}} ({interval}; chance {{chance:.1%}})"
    verb = "tell" if result["is_shortcut"] else "do not tell"
    text = f"properties of the files {verb} the label: {text}".format(**result)
    if result["is_shortcut"] and result["alone"]:
        text += "; " + ", ".join(f"{name} alone: {s:.1%}" for name, s in result["alone"].items())
    return text.replace("%", " %").replace(" % to", " to")
