"""Search for an autoencoder's settings (thesis 8.1, 10.1).

The thesis searches in stages: layers, units and directions first, then the spectrum's window,
then its mel bands, each with the best of the stage before. A stage is a
:func:`~thesislib.evaluation.sweeps.sweep` of one :class:`AutoencoderTrial`, scored on the
development part (10.1), or :class:`FoldTrial`, scored in cross-validation (8.1).
"""

from dataclasses import dataclass, fields, replace

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, clone

from thesislib.corpora.index import Corpus
from thesislib.errors import ParameterError
from thesislib.evaluation.comparison import score
from thesislib.evaluation.metrics import accuracy, score_folds
from thesislib.evaluation.validation import evaluate_folds, evaluate_partitions
from thesislib.representations.crossfit import CrossFittedFeatures
from thesislib.representations.extraction import Reading, describe, read_items
from thesislib.representations.s2sae import S2SAE
from thesislib.spectra.spectrogram import Spectrum
from thesislib.store import FeatureStore


@dataclass(frozen=True)
class _Trial:
    """A corpus, how its clips become spectrograms, and an autoencoder."""

    corpus: Corpus
    spectrum: Spectrum
    estimator: S2SAE
    store: FeatureStore

    def learn(self, parameters, fit_on="train"):
        """Representation with some settings of spectrum or estimator replaced, not yet trained.

        Parameters
        ----------
        parameters : dict
            What replaces fields of the spectrum or parameters of the estimator; ``directions``
            stands for both of its directions.
        fit_on : {"train", "all"}

        Returns
        -------
        CrossFittedFeatures

        Raises
        ------
        ParameterError
            Names a parameter that neither has.
        """
        parameters = dict(parameters)
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
        items = [parts[0] for parts in read_items(self.corpus, spectrum, reading=self.reading)]
        groups = self.corpus.groups
        return CrossFittedFeatures(estimator, items, self.store, fit_on=fit_on, groups=groups)

    def _describe(self):
        return {
            "corpus": self.corpus.fingerprint,
            "spectrum": describe(self.spectrum),
            "reading": describe(self.reading or Reading()),
            "estimator": self.estimator.cache_parameters(),
        }


@dataclass(frozen=True)
class AutoencoderTrial(_Trial):
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
    svm : dict, optional
        As in :func:`~thesislib.evaluation.validation.evaluate_partitions`.
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

    train: np.ndarray
    devel: np.ndarray
    complexities: tuple
    svm: dict | None = None
    reading: Reading | None = None

    def __call__(self, **parameters):
        """Scores of one parameter set, see the class."""
        learnt = self.learn(parameters)
        result = evaluate_partitions(
            learnt.features,
            self.corpus.labels,
            train=self.train,
            devel=self.devel,
            test=self.devel,
            complexities=list(self.complexities),
            refit_on="train",
            svm=self.svm,
        ).devel
        best = max(sorted(result), key=lambda complexity: result[complexity].score())
        return {
            "n_features": learnt.estimator.code_size,
            "complexity": best,
            "uar_devel_percent": round(100 * result[best].score(), 2),
            **describe_losses(learnt.evaluate(self.train, self.devel)),
        }

    def identify(self):
        """Everything that the scores depend on beside the parameters, as plain values."""
        return {
            **self._describe(),
            "train": self.train.tolist(),
            "devel": self.devel.tolist(),
            "complexities": list(self.complexities),
            "svm": self.svm,
            "version": 1,
        }


@dataclass(frozen=True)
class FoldTrial(_Trial):
    """Train an autoencoder inside each fold's training part and score it on the fold (8.1.1.5).

    Parameters
    ----------
    corpus : Corpus
        With folds.
    spectrum, estimator, store, reading
        As in :class:`AutoencoderTrial`.
    classifier : classifier
        With ``predict_proba``, unfitted.
    fit_on : {"train", "all"}
        As in :class:`~thesislib.representations.crossfit.CrossFittedFeatures`.
    n_resamples, seed : int
        Of the interval over groups.

    Notes
    -----
    Called like an :class:`AutoencoderTrial`, it returns a dict: ``n_features``;
    ``accuracy_percent``, the mean over the folds, and ``accuracy_std_percent``;
    ``accuracy_pooled_percent`` over all folds' tests, with the ends of its 95 % interval, and
    ``unit``, ``n_clips``, ``n_groups`` and ``interval_note``, as from
    :func:`~thesislib.evaluation.comparison.score`.
    """

    classifier: BaseEstimator
    reading: Reading | None = None
    fit_on: str = "train"
    n_resamples: int = 2000
    seed: int = 0

    def __call__(self, **parameters):
        """Scores of one parameter set, see the class."""
        learnt = self.learn(parameters, self.fit_on)
        corpus = self.corpus
        tested = evaluate_folds(
            learnt.features, corpus.labels, corpus.folds(), classifier=self.classifier, n_inner=0
        ).nested
        by_fold = score_folds(tested.truth, tested.predicted, tested.folds, metric=accuracy)
        table = pd.DataFrame({"file": tested.rows, "group": corpus.groups[tested.rows]})
        table = table.assign(fold=tested.folds, truth=tested.truth, prediction=tested.predicted)
        options = {"n_resamples": self.n_resamples, "random_state": self.seed}
        pooled = score(table, metric="accuracy", **options)
        scores = {
            "accuracy_percent": by_fold["mean"],
            "accuracy_std_percent": by_fold["std"],
            "accuracy_pooled_percent": by_fold["pooled"],
            "accuracy_pooled_low_percent": pooled["low"],
            "accuracy_pooled_high_percent": pooled["high"],
        }
        scores = {name: round(100 * value, 2) for name, value in scores.items()}
        units = {name: pooled[name] for name in ("unit", "n_clips", "n_groups")}
        units["interval_note"] = pooled["note"]
        return {"n_features": learnt.estimator.code_size, **scores, **units}

    def identify(self):
        """Everything that the scores depend on beside the parameters, as plain values."""
        folds = self.corpus.folds().items()
        return {
            **self._describe(),
            "folds": {name: [rows.tolist() for rows in sides] for name, sides in folds},
            "classifier": self.classifier.cache_parameters(),
            "settings": [self.fit_on, self.n_resamples, self.seed],
            "version": 2,
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
        "code_share_percent": round(100 * losses["code_share"], 1) + 0.0,  # no "-0"
    }


def describe_training(learnt, train, devel):
    """Losses of an autoencoder, beside the errors of reconstructions that learn next to nothing.

    Parameters
    ----------
    learnt : CrossFittedFeatures
    train, devel : ndarray of int
        Rows.

    Returns
    -------
    dict
        ``n_epochs``, ``rmse_train`` of the last one, the columns of :func:`describe_losses` and
        those of :func:`measure_baselines`, on the development part.
    """
    history = learnt.history(train)
    known, unknown = ([learnt.items[i] for i in rows] for rows in (train, devel))
    return {
        "n_epochs": len(history),
        "rmse_train": round(history[-1]["loss"], 4) if history else None,
        **describe_losses(learnt.evaluate(train, devel)),
        **measure_baselines(known, unknown),
    }


def measure_baselines(train, clips):
    """Errors of two reconstructions that learn next to nothing.

    Parameters
    ----------
    train, clips : sequence of ndarray, shape (n_frames, n_bands)
        Spectrograms to learn the mean frame from, and to reconstruct.

    Returns
    -------
    dict
        ``rmse_mean_frame``, with the mean frame of ``train`` in place of every frame;
        ``rmse_copied_frame``, with the frame before (zeros for the first), which is what a decoder
        with ``teacher`` sees. A code is worth something only below both.

    Examples
    --------
    >>> measure_baselines([np.zeros((2, 1))], [np.array([[0.6], [0.8], [0.8], [0.8]])])
    {'rmse_mean_frame': 0.755, 'rmse_copied_frame': 0.3162}
    """
    mean = np.concatenate(list(train)).mean(0)
    errors = {
        "rmse_mean_frame": [clip - mean for clip in clips],
        "rmse_copied_frame": [np.diff(clip, axis=0, prepend=0.0) for clip in clips],
    }
    return {
        name: round(float(np.sqrt(np.mean(np.concatenate(parts) ** 2))), 4)
        for name, parts in errors.items()
    }
