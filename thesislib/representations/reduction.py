"""Fewer dimensions before the classifier (thesis 6.2): PCA, CCA, SFS.

The thesis also names CFS and CSO, which scikit-learn does not have.
"""

from dataclasses import dataclass
from functools import partial

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin, clone
from sklearn.cross_decomposition import CCA
from sklearn.decomposition import PCA
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.feature_selection import (
    SelectKBest,
    SequentialFeatureSelector,
    VarianceThreshold,
    f_classif,
)
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.utils.validation import check_is_fitted, validate_data

from thesislib.errors import check_parameters, integer, option

METHODS = ("none", "pca", "cca", "sfs")
#: Candidates of forward selection per selected feature: each step tries all that are left.
CANDIDATES = 3


@dataclass(eq=False, repr=False)
class Reduction(TransformerMixin, BaseEstimator):
    """Reduce standardised features, unsupervised or by the labels.

    Parameters
    ----------
    method : {"none", "pca", "cca", "sfs"}
        ``pca``: the first principal components. ``cca``: the directions that correlate most
        with the classes, one fewer than classes, computed from the principal components, since
        with more features than clips every labelling is reached exactly. ``sfs``: sequential
        forward selection by the accuracy of a linear discriminant over three folds, among the
        features with the largest F values, three per selected feature.
    n_components : int > 0
        Maximum number of dimensions of PCA, of the PCA before CCA, or of selected features.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> y = np.repeat(["a", "b", "c"], 10)
    >>> X = rng.normal(size=(30, 40)) + (y == "b")[:, None]
    >>> [Reduction(m, 5).fit_transform(X, y).shape[1] for m in ("none", "pca", "cca", "sfs")]
    [40, 5, 2, 5]
    """

    method: option(METHODS) = "pca"
    n_components: integer(1) = 16

    def fit(self, X, y=None):
        """Learn the reduction; ``cca`` and ``sfs`` need ``y``, shape (n,)."""
        check_parameters(self)
        X = validate_data(self, X, dtype=float)
        n = min(self.n_components, X.shape[1])
        n_components = min(n, len(X) - 1)
        steps, target = [StandardScaler()], y
        if self.method in ("pca", "cca"):
            steps.append(PCA(n_components, svd_solver="full"))
        if self.method == "cca":
            target = OneHotEncoder(sparse_output=False).fit_transform(np.reshape(y, (-1, 1)))
            steps.append(CCA(min(n_components, target.shape[1] - 1)))
        if self.method == "sfs":
            n_varying = np.count_nonzero(np.ptp(X, axis=0))
            # A constant has no F value.
            steps += [VarianceThreshold(), SelectKBest(f_classif, k=min(CANDIDATES * n, n_varying))]
            if n_varying > n:
                discriminant = LinearDiscriminantAnalysis(solver="lsqr", shrinkage=0.5)
                steps.append(SequentialFeatureSelector(discriminant, n_features_to_select=n, cv=3))
        self.pipeline_ = make_pipeline(*steps).fit(X, target)
        return self

    def transform(self, X):
        """Reduced features, shape (n, at most n_components), float32."""
        check_is_fitted(self)
        X = validate_data(self, X, dtype=float, reset=False)
        return np.asarray(self.pipeline_.transform(X), np.float32)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = []
        return tags


def reduce_inside(features, reduction, labels):
    """Features reduced by a reduction that is fitted on each training part.

    Parameters
    ----------
    features : ndarray, shape (n, n_features), or callable
        As :mod:`thesislib.evaluation.validation` takes them.
    reduction : Reduction
        Unfitted.
    labels : array-like, shape (n,)

    Returns
    -------
    callable
        Training rows to an ndarray of all n rows.
    """
    return partial(_reduce, features, reduction, np.asarray(labels))


def _reduce(features, reduction, labels, train):
    X = features(train) if callable(features) else np.asarray(features)
    return clone(reduction).fit(X[train], labels[train]).transform(X)
