"""Base of the estimators that have nothing to learn: functionals, statistics, properties."""

from importlib.metadata import version

from sklearn.base import BaseEstimator, TransformerMixin

from thesislib.errors import check_parameters


class Stateless(TransformerMixin, BaseEstimator):
    """Base of an estimator whose features depend on its parameters and the input alone."""

    _version = 1
    _libraries = ("numpy", "scipy")

    def fit(self, X=None, y=None):
        """Check the parameters; there is nothing to learn."""
        check_parameters(self)
        return self

    def cache_parameters(self):
        """All values that the features depend on, except the input (contract 3)."""
        libraries = {name: version(name) for name in self._libraries}
        return {"version": self._version, **self.get_params(), "libraries": libraries}

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.requires_fit = False
        return tags
