"""Linear support vector machines, as the thesis uses them, and upsampling by replication.

Two solvers: ``liblinear`` is LIBLINEAR's L2-regularised L2-loss SVM (8.3, 9.1, 9.2, 10.2), solved
in the primal, which converges at every C. The dual solver, which the thesis names, has the same
optimum, but stops before it on unscaled features of large norm. ``smo`` is sequential minimal
optimisation with the hinge loss (10.1, there in Weka), through LIBSVM.
"""

import numpy as np
from scipy.linalg import qr
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.ensemble import RandomForestClassifier
from sklearn.multiclass import OneVsOneClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler, StandardScaler
from sklearn.svm import SVC, LinearSVC
from sklearn.utils.validation import check_is_fitted, validate_data

from thesislib.errors import ParameterError, check_number, check_option

SOLVERS = ("liblinear", "smo")
SCALES = ("none", "standard", "minmax")
#: LIBLINEAR's own default. At a large C and without scaling, the dual solver stops here before
#: it has converged.
MAX_ITERATIONS = 1000


class TrainingSpan(TransformerMixin, BaseEstimator):
    """Coordinates of the features in the space that the training clips span.

    A linear SVM's weights lie in that space, so with fewer clips than features nothing
    changes but the cost: inner products between clips, and with them the classifier, stay the
    same while thousands of columns shrink to as many as there are distinct clips.

    Examples
    --------
    >>> X = np.random.default_rng(0).normal(size=(5, 300))
    >>> Z = TrainingSpan().fit_transform(X)
    >>> Z.shape, np.allclose(Z @ Z.T, X @ X.T)
    ((5, 5), True)
    """

    def fit(self, X, y=None):
        """Find an orthonormal basis; none where there are as many clips as features."""
        X = validate_data(self, X, dtype=float)
        # Clips that upsampling has repeated span nothing new.
        last = {}
        for i, row in enumerate(X):
            last[row.tobytes()] = i
            if len(last) == X.shape[1]:
                self.basis_ = None
                return self
        distinct = X[sorted(last.values())]
        self.basis_ = qr(distinct.T, mode="economic", check_finite=False)[0]
        return self

    def transform(self, X):
        """(n, n_features) → (n, n_distinct_training_clips)."""
        check_is_fitted(self)
        X = validate_data(self, X, dtype=float, reset=False)
        return X if self.basis_ is None else X @ self.basis_


def build_svm(complexity=1.0, *, solver="liblinear", scale="standard", class_weight=None, seed=0):
    """Linear SVM with its input scaling, unfitted.

    Parameters
    ----------
    complexity : float > 0
        The thesis's C.
    solver : {"liblinear", "smo"}
        LIBLINEAR's squared hinge loss, one class against the rest, or
        LIBSVM's SMO with hinge loss, pair by pair (as Weka does).
    scale : {"standard", "minmax", "none"}
        Input scaling, learnt on the training part alone. Unscaled functionals end at chance,
        since the solver does not converge; the thesis's deep features are not scaled (8.3.2).
    class_weight : dict or "balanced", optional
        Cost of each class.
    seed : int
        Of the solver; the primal one draws nothing.

    Returns
    -------
    sklearn.pipeline.Pipeline

    Raises
    ------
    ParameterError
        If ``complexity`` is not positive or an option is unknown.

    Examples
    --------
    >>> X = np.array([[0.0, 1.0], [0.2, 0.9], [1.0, 0.0], [0.8, 0.1]])
    >>> build_svm(1.0).fit(X, ["a", "a", "b", "b"]).predict([[0.9, 0.2]]).tolist()
    ['b']
    """
    check_number("complexity", complexity, low=0, open_low=True)
    check_option("solver", solver, SOLVERS)
    check_option("scale", scale, SCALES)
    if solver == "liblinear":
        svm = LinearSVC(
            C=complexity,
            dual=False,
            tol=1e-3,
            max_iter=MAX_ITERATIONS,
            class_weight=class_weight,
            random_state=seed,
        )
    else:
        # The pairwise wrapper gives a decision value a class, which the tie rule needs.
        svm = OneVsOneClassifier(
            SVC(kernel="linear", C=complexity, class_weight=class_weight, tol=1e-3)
        )
    scaler = {"none": "passthrough", "standard": StandardScaler(), "minmax": MinMaxScaler()}
    return make_pipeline(scaler[scale], TrainingSpan(), svm)


def properties_classifier(seed=0):
    """Random forest for properties of files (`thesislib.representations.Properties`), unfitted.

    The control of every method. On the development parts of nine public corpora, with folds by
    group, the mean UAR was 68.9 % for this forest and 68.2 % for the best standardised linear SVM
    (C = 1; the forest was better on six corpora). With 300 trees it was 69.7 %, at three times
    the cost.

    Examples
    --------
    >>> properties_classifier().fit([[0.0], [1.0]], ["a", "b"]).predict([[0.0]]).tolist()
    ['a']
    """
    return RandomForestClassifier(100, class_weight="balanced", random_state=seed)


def decision_values(classifier, X):
    """Decision value or probability of each class, also for two: ``(n, n_classes)``.

    Examples
    --------
    >>> X = np.array([[0.0], [1.0]])
    >>> decision_values(build_svm(1.0).fit(X, ["a", "b"]), X).shape
    (2, 2)
    """
    if not hasattr(classifier, "decision_function"):
        return classifier.predict_proba(X)
    values = np.asarray(classifier.decision_function(X), dtype=float)
    return np.column_stack([-values, values]) if values.ndim == 1 else values


def upsample(labels):
    """Rows of a training part with each class replicated towards the largest (10.2).

    A class of ``n`` rows is repeated ``round(largest / n)`` times as a whole, which is
    the factor that brings it nearest to the largest class; no row is favoured.

    Parameters
    ----------
    labels : array-like, shape (n,)

    Returns
    -------
    ndarray of int
        Positions into the training part, the original rows first.

    Examples
    --------
    >>> upsample(["V", "V", "V", "T"]).tolist()
    [0, 1, 2, 3, 3, 3]
    """
    labels = np.asarray(labels)
    if labels.ndim != 1 or not len(labels):
        raise ParameterError(f"labels: found shape {labels.shape}, expected (n,) with n > 0")
    rows = [np.arange(len(labels))]
    classes, counts = np.unique(labels, return_counts=True)
    for name, count in zip(classes, counts):
        # Half up: NumPy would round 2.5 to the even 2.
        factor = int(counts.max() / count + 0.5)
        rows.append(np.tile(np.flatnonzero(labels == name), factor - 1))
    return np.concatenate(rows)
