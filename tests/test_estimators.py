"""The contract of estimators: scikit-learn's own checks, and what they cannot check."""

import inspect

import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.utils.estimator_checks import parametrize_with_checks

from thesislib.evaluation.classifiers import TrainingSpan
from thesislib.evaluation.mlp import MLP, FrameMLP
from thesislib.representations.bag_of_features import BagOfFeatures
from thesislib.representations.crnn import CRNN, FFNN
from thesislib.representations.dcgan import DCGAN
from thesislib.representations.deep_spectrum import DeepSpectrum
from thesislib.representations.end_to_end import WaveformClassifier
from thesislib.representations.functionals import FrameFeatures, Functionals
from thesislib.representations.reduction import Reduction
from thesislib.representations.s2sae import S2SAE
from thesislib.representations.statistics import BandStatistics

#: Estimators whose X is a matrix; the others take lists of spectra, signals or pictures.
PLAIN = [TrainingSpan(), Reduction(), MLP(n_epochs=30)]
LEARNING = [BagOfFeatures(), CRNN(), FFNN(), DCGAN(), WaveformClassifier(), S2SAE(), FrameMLP()]
STATELESS = [DeepSpectrum(), Functionals(), FrameFeatures(), BandStatistics()]


@parametrize_with_checks(PLAIN)
def test_scikit_learn_s_checks(estimator, check):
    check(estimator)


@pytest.mark.parametrize("estimator", LEARNING + STATELESS, ids=lambda e: type(e).__name__)
def test_constructors_only_store_and_clones_are_equal(estimator):
    names = set(inspect.signature(type(estimator)).parameters)
    assert set(estimator.get_params(deep=False)) == names
    assert {k for k in vars(estimator) if not k.startswith("_")} == names
    copy = clone(estimator)
    assert copy.get_params() == estimator.get_params()
    first = sorted(names)[0]
    value = object()
    assert getattr(type(estimator)(**{first: value}), first) is value


@pytest.mark.parametrize("estimator", LEARNING, ids=lambda e: type(e).__name__)
def test_what_was_not_fitted_says_so(estimator):
    answer = getattr(estimator, "transform", None) or estimator.predict_proba
    with pytest.raises(NotFittedError, match="not fitted"):
        answer([])
