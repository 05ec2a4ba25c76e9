"""Mean and standard deviation of log-mel bands: the control for every learnt representation."""

from dataclasses import dataclass

import numpy as np

from thesislib.errors import ParameterError, integer
from thesislib.representations.stateless import Stateless


@dataclass(eq=False, repr=False)
class LogMelStatistics(Stateless):
    """Mean and standard deviation over time of each band of a spectrum.

    A control that is not in the thesis: a representation is worth its cost only if it
    outperforms these statistics.

    Parameters
    ----------
    n_bands : int
        Bands of the spectra.

    Examples
    --------
    >>> LogMelStatistics(2).fit_transform([np.array([[0.0, 2.0], [1.0, 1.0]])]).tolist()
    [[1.0, 1.0, 1.0, 0.0]]
    """

    n_bands: integer(1) = 64

    def transform(self, X):
        """Spectra (n_bands, n_frames), lengths may differ → (n, 2 * n_bands), float32."""
        features = []
        for i, spectrum in enumerate(X):
            spectrum = np.asarray(spectrum, dtype=np.float64)
            if spectrum.ndim != 2 or len(spectrum) != self.n_bands or not spectrum.size:
                raise ParameterError(
                    f"X[{i}]: found shape {spectrum.shape}, expected ({self.n_bands}, n_frames)"
                )
            features.append(np.concatenate([spectrum.mean(axis=1), spectrum.std(axis=1)]))
        return np.array(features, dtype=np.float32)

    def get_feature_names_out(self, input_features=None):
        """``mean_0`` … then ``deviation_0`` …"""
        names = [f"{what}_{i}" for what in ("mean", "deviation") for i in range(self.n_bands)]
        return np.array(names, dtype=object)


def standardise_within(X, domains):
    """Subtract from each feature its mean in the clip's domain, and divide by the deviation.

    Differences of microphone, room and level become smaller. The domains of the test clips must be
    known, but not their labels. Where a domain has other shares of the classes, a part of what
    distinguishes the classes is removed, too.

    Examples
    --------
    >>> X = np.array([[1.0], [3.0], [10.0], [30.0]])
    >>> standardise_within(X, ["home", "home", "zoo", "zoo"]).ravel().tolist()
    [-1.0, 1.0, -1.0, 1.0]
    """
    X, domains = np.asarray(X, dtype=float), np.asarray(domains)
    scaled = np.empty_like(X)
    for name in set(domains):
        part = X[domains == name]
        scaled[domains == name] = (part - part.mean(axis=0)) / np.maximum(part.std(axis=0), 1e-8)
    return scaled
