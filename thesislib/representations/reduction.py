"""Fewer dimensions before the classifier (thesis 6.2): PCA, CCA, SFS.

The thesis also names CFS and CSO, which scikit-learn does not have.
"""

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

from thesislib.errors import check_number, check_option

METHODS = ("none", "pca", "cca", "sfs")
#: Forward selection tries every feature left in each step, so it starts from the best few.
CANDIDATES = 3


class Reduction(TransformerMixin, BaseEstimator):
    """Reduce standardised features, with or without a look at the labels.

    Parameters
    ----------
    method : {"none", "pca", "cca", "sfs"}
        ``pca``: the first principal components. ``cca``: the directions that correlate most
        with the classes, one fewer than there are; with more features than clips any label
        can be reached, so it starts from the principal components. ``sfs``: sequential
        forward selection by the accuracy of a linear discriminant over three folds, from
        the features with the largest F value, three for each one wanted.
    n_components : int > 0
        Dimensions at most: of PCA, of the PCA before CCA, or features that SFS picks.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> y = np.repeat(["a", "b", "c"], 10)
    >>> X = rng.normal(size=(30, 40)) + (y == "b")[:, None]
    >>> [Reduction(m, 5).fit_transform(X, y).shape[1] for m in ("none", "pca", "cca", "sfs")]
    [40, 5, 2, 5]
    """

    def __init__(self, method="pca", n_components=16):
        self.method = method
        self.n_components = n_components

    def fit(self, X, y=None):
        """Learn the reduction; ``cca`` and ``sfs`` need ``y``, shape (n,)."""
        check_option("method", self.method, METHODS)
        check_number("n_components", self.n_components, low=1, integer=True)
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
                machine = LinearDiscriminantAnalysis(solver="lsqr", shrinkage=0.5)
                steps.append(SequentialFeatureSelector(machine, n_features_to_select=n, cv=3))
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
    """Features reduced by what each training part alone gives away.

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
