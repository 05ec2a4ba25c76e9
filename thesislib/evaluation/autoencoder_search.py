"""Search for an autoencoder's settings on the development part (thesis 8.1, 10.1).

The thesis searches in stages: layers, units and directions first, then the spectrum's window,
then its mel bands, each with the best of the stage before. A stage is a
:func:`~thesislib.evaluation.sweep.sweep` of one :class:`AutoencoderTrial`.
"""

from dataclasses import dataclass, fields, replace

import numpy as np
from sklearn.base import clone

from thesislib.corpora.index import Corpus
from thesislib.errors import ParameterError
from thesislib.evaluation.selection import evaluate_partitions
from thesislib.representations.extract import Reading, describe, read_items
from thesislib.representations.learnt import LearntFeatures
from thesislib.representations.s2sae import S2SAE
from thesislib.spectra.spectrogram import Spectrum
from thesislib.store import FeatureStore


@dataclass(frozen=True)
class AutoencoderTrial:
    """Train an autoencoder on the training part and score it on the development part.

    Parameters
    ----------
    corpus : Corpus
    spectrum : Spectrum
        With ``transpose=True`` and ``scale="unit"``.
    estimator : S2SAE
        Unfitted.
    store : FeatureStore
        Keeps what was learnt.
    train, devel : ndarray of int
        Rows. The autoencoder and the classifier see the training rows alone.
    complexities : sequence of float
        Of the SVM; the best on development counts.
    machine : dict, optional
        As in :func:`~thesislib.evaluation.selection.evaluate_partitions`.
    reading : Reading, optional

    Notes
    -----
    Called with parameters of the spectrum or of the estimator in place of the given ones, or
    with ``directions``, two letters for encoder and decoder (``"UB"``), it returns a dict:
    ``n_features``; ``uar_devel_percent``, the largest over ``complexities``, and
    ``complexity``, the smallest that reaches it; on the development clips ``rmse_devel``,
    ``rmse_permuted`` (each clip decoded from another one's code) and ``code_share_percent``,
    the share of the reconstruction that the code explains.
    """

    corpus: Corpus
    spectrum: Spectrum
    estimator: S2SAE
    store: FeatureStore
    train: np.ndarray
    devel: np.ndarray
    complexities: tuple
    machine: dict | None = None
    reading: Reading | None = None

    def __call__(self, **parameters):
        """Answer of one parameter set, see above."""
        if "directions" in parameters:
            parameters |= split_directions(parameters.pop("directions"))
        own = {field.name for field in fields(self.spectrum)} & set(parameters)
        spectrum = replace(self.spectrum, **{name: parameters.pop(name) for name in own})
        estimator = clone(self.estimator)
        unknown = sorted(set(parameters) - set(estimator.get_params()))
        if unknown:
            raise ParameterError(
                f"parameters: found {', '.join(unknown)}, expected names of the spectrum's or "
                "the autoencoder's settings"
            )
        estimator.set_params(**parameters)
        items = [found[0] for found in read_items(self.corpus, spectrum, reading=self.reading)]
        learnt = LearntFeatures(estimator, items, self.store, groups=self.corpus.groups)
        result = evaluate_partitions(
            learnt.features,
            self.corpus.labels,
            train=self.train,
            devel=self.devel,
            test=self.devel,
            complexities=list(self.complexities),
            refit_on="train",
            machine=self.machine,
        ).devel
        best = max(sorted(result), key=lambda complexity: result[complexity].score())
        return {
            "n_features": estimator.code_size,
            "complexity": best,
            "uar_devel_percent": round(100 * result[best].score(), 2),
            **describe_losses(learnt.evaluate(self.train, self.devel)),
        }

    def identify(self):
        """Everything that the answers depend on beside the parameters, as plain values."""
        return {
            "corpus": self.corpus.fingerprint,
            "spectrum": describe(self.spectrum),
            "reading": describe(self.reading or Reading()),
            "estimator": self.estimator.cache_parameters(),
            "train": self.train.tolist(),
            "devel": self.devel.tolist(),
            "complexities": list(self.complexities),
            "machine": self.machine,
            "version": 1,
        }


def split_directions(directions):
    """Two letters, U or B, as the autoencoder's parameters.

    Examples
    --------
    >>> split_directions("UB")
    {'bidirectional_encoder': False, 'bidirectional_decoder': True}
    """
    if not isinstance(directions, str) or len(directions) != 2 or set(directions) - {"U", "B"}:
        raise ParameterError(f"directions: found {directions!r}, expected UU, UB, BU or BB")
    encoder, decoder = (letter == "B" for letter in directions)
    return {"bidirectional_encoder": encoder, "bidirectional_decoder": decoder}


def describe_losses(losses):
    """Columns of a table from what :meth:`S2SAE.evaluate` gives.

    Examples
    --------
    >>> describe_losses({"loss": 0.15, "permuted_loss": 0.2, "code_share": 0.25})
    {'rmse_devel': 0.15, 'rmse_permuted': 0.2, 'code_share_percent': 25.0}
    """
    return {
        "rmse_devel": round(losses["loss"], 4),
        "rmse_permuted": round(losses["permuted_loss"], 4),
        "code_share_percent": round(100 * losses["code_share"], 1),
    }
