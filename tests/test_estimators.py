"""The contract of estimators: scikit-learn's own checks, and what they cannot check."""

import dataclasses
import inspect
import pickle
import subprocess
import sys

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.utils.estimator_checks import parametrize_with_checks

from thesislib.errors import ParameterError, check_parameters
from thesislib.evaluation.classifiers import TrainingSpan
from thesislib.evaluation.mlp import MLP, FrameMLP
from thesislib.representations.bag_of_features import BagOfFeatures
from thesislib.representations.crnn import CRNN, FFNN
from thesislib.representations.dcgan import DCGAN
from thesislib.representations.deep_spectrum import DeepSpectrum
from thesislib.representations.end_to_end import WaveformClassifier
from thesislib.representations.functionals import FrameFeatures, Functionals
from thesislib.representations.hear import HEAR
from thesislib.representations.reduction import Reduction
from thesislib.representations.s2sae import S2SAE
from thesislib.representations.statistics import LogMelStatistics

#: Estimators whose X is a matrix; the others take lists of spectra, signals or pictures.
PLAIN = [TrainingSpan(), Reduction(), MLP(n_epochs=30)]
LEARNING = [BagOfFeatures(), CRNN(), FFNN(), DCGAN(), WaveformClassifier(), S2SAE(), FrameMLP()]
STATELESS = [DeepSpectrum(), Functionals(), FrameFeatures(), HEAR(), LogMelStatistics()]


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


class Strange:
    """No value of any parameter."""


ESTIMATORS = [Reduction(), MLP(), *LEARNING, *STATELESS]
#: Parameters that may be negative.
SIGNED = {"gate_bias"}
FIELDS = [(e, field) for e in ESTIMATORS for field in dataclasses.fields(e)]


@pytest.mark.parametrize(
    ("estimator", "field"), FIELDS, ids=[f"{type(e).__name__}-{f.name}" for e, f in FIELDS]
)
def test_every_parameter_accepts_its_default_and_names_what_it_rejects(estimator, field):
    check_parameters(estimator)
    bad = [
        Strange(),
        {},
        float("nan"),
        float("inf"),
        10**400,
        "",
        b"x",
        [None, {}],
        np.array("x"),
    ]
    if not isinstance(field.default, bool):
        bad.append(True)
    if field.name not in SIGNED:
        bad.append(-1)
    for value in bad:
        changed = clone(estimator).set_params(**{field.name: value})
        with pytest.raises(ParameterError, match=f"^{field.name}: found ") as error:
            check_parameters(changed)
        assert "\n" not in str(error.value) and ", expected " in str(error.value)


@pytest.mark.parametrize("estimator", ESTIMATORS, ids=lambda e: type(e).__name__)
def test_invalid_parameters_raise_before_the_data_are_read(estimator):
    for field in dataclasses.fields(estimator):
        changed = clone(estimator).set_params(**{field.name: Strange()})
        supervised = "y" in inspect.signature(changed.fit).parameters
        with pytest.raises(ParameterError, match=f"^{field.name}: found "):
            changed.fit([np.zeros((4, 4))], [0]) if supervised else changed.fit([np.zeros((4, 4))])


@pytest.mark.parametrize("estimator", ESTIMATORS, ids=lambda e: type(e).__name__)
def test_estimators_are_pickled_with_their_parameters(estimator):
    copy = pickle.loads(pickle.dumps(estimator))
    assert type(copy) is type(estimator) and copy.get_params() == estimator.get_params()


@pytest.mark.parametrize(
    ("estimator", "parameters", "message"),
    [
        (S2SAE(), {"bidirectional_encoder": "x"}, "found 'x', expected true or false"),
        (S2SAE(), {"n_units": 10**30}, "expected an integer >= 1 and <= 16384"),
        (DCGAN(), {"noise": "unifrom"}, r"expected one of uniform, gaussian \(did you mean 'unif"),
        (CRNN(), {"kernel_sizes": [[3, 3], 4]}, "each a list of 2, each an integer >= 1"),
        (CRNN(), {"kernel_sizes": [[3, 3]]}, "expected as many of each"),
        (CRNN(), {"kernel_sizes": [[3, 2], [3, 3]]}, "found 2 frames, expected an odd number"),
        (CRNN(), {"positive_weight": "none"}, "expected one of balanced or a number > 0 or None"),
        (BagOfFeatures(), {"codebook": [[1.0], [np.nan]]}, "expected finite numbers of shape"),
        (BagOfFeatures(), {"stream_widths": [3, 2]}, "expected widths that add up to the 4"),
        (DeepSpectrum(), {"weights": [1, 2]}, "expected a path"),
        (Functionals(), {"sr": 4}, "expected an integer >= 100 and <= 1000000 or None"),
    ],
)
def test_messages_say_what_is_expected(estimator, parameters, message):
    with pytest.raises(ParameterError, match=message):
        clone(estimator).set_params(**parameters).fit([np.zeros((90, 4))], [np.zeros(90)])


def test_a_network_beyond_memory_is_rejected_before_it_is_built():
    autoencoder = S2SAE(n_layers=64, n_units=2**14)
    with pytest.raises(ParameterError, match="S2SAE: found parameters and data that need"):
        autoencoder.fit([np.zeros((4, 4))])


def test_no_rate_or_length_that_is_accepted_crashes_opensmile():
    # In a process of its own, since a crash would end this one.
    code = """
import math
import numpy as np
from thesislib.errors import AudioError, ParameterError
from thesislib.representations.functionals import FUNCTIONALS, RATES, SHORTEST_S, Functionals
for name in FUNCTIONALS:
    for sr in (1, 4, 50, 99, 100, 22050, 1_000_000, 10_000_000):
        shortest = sum(math.floor(s * sr + 0.5) for s in SHORTEST_S[name])
        for n in {1, shortest - 1, shortest}:
            y = np.random.default_rng(0).normal(0, 0.1, max(n, 0)).astype("f")
            try:
                accepted = Functionals(name).transform([(y, sr)]).shape == (1, FUNCTIONALS[name])
            except (AudioError, ParameterError):
                accepted = False
            assert accepted == (RATES.accepts(sr) and n == shortest), (name, sr, n)
print("alive")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout == "alive\n", done.stderr
