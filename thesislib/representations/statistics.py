"""Mean and deviation of log-mel bands: the control beside every learnt representation."""

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin

from thesislib.errors import ParameterError, check_number


class BandStatistics(TransformerMixin, BaseEstimator):
    """Mean and standard deviation over time of each band of a spectrum.

    Not from the thesis: what a representation has to beat to be worth its cost.

    Parameters
    ----------
    n_bands : int
        Bands of the spectra that it is given.

    Examples
    --------
    >>> found = BandStatistics(n_bands=2).fit_transform([np.array([[0.0, 2.0], [1.0, 1.0]])])
    >>> found.tolist()
    [[1.0, 1.0, 1.0, 0.0]]
    """

    def __init__(self, n_bands=64):
        self.n_bands = n_bands

    def fit(self, X, y=None):
        """Check the parameter; there is nothing to learn."""
        check_number("n_bands", self.n_bands, low=1, integer=True)
        return self

    def transform(self, X):
        """Spectra (n_bands, n_frames), lengths may differ → (n, 2 * n_bands), float32."""
        answers = []
        for i, spectrum in enumerate(X):
            spectrum = np.asarray(spectrum, dtype=np.float64)
            if spectrum.ndim != 2 or len(spectrum) != self.n_bands or not spectrum.size:
                raise ParameterError(
                    f"X[{i}]: found shape {spectrum.shape}, expected ({self.n_bands}, n_frames)"
                )
            answers.append(np.concatenate([spectrum.mean(axis=1), spectrum.std(axis=1)]))
        return np.array(answers, dtype=np.float32)

    def get_feature_names_out(self, input_features=None):
        """``mean_0`` … then ``deviation_0`` …"""
        names = [f"{what}_{i}" for what in ("mean", "deviation") for i in range(self.n_bands)]
        return np.array(names, dtype=object)

    def cache_parameters(self):
        """Everything that the features depend on beside the spectra."""
        return {"n_bands": self.n_bands, "version": 1}
