"""Reductions: they learn on the training rows, and keep what tells classes apart."""

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

from thesislib.errors import ParameterError
from thesislib.representations.reduction import METHODS, Reduction, reduce_inside

Y = np.repeat(["a", "b", "c"], 20)
TRAIN = np.flatnonzero(np.arange(60) % 3 > 0)
TEST = np.flatnonzero(np.arange(60) % 3 == 0)


def make_columns(seed):
    """Fifty columns, of which 3 and 17 tell the classes apart."""
    X = np.random.default_rng(seed).normal(size=(60, 50))
    X[:, 3] += 6 * (Y == "a")
    X[:, 17] += 6 * (Y == "b")
    return X


@pytest.fixture
def X():
    return make_columns(0)


def test_forward_selection_finds_the_informative_columns(X):
    reduced = Reduction("sfs", 2).fit_transform(X, Y)
    standard = (X - X.mean(0)) / X.std(0)
    np.testing.assert_allclose(reduced, standard[:, [3, 17]], rtol=1e-5)


@pytest.mark.parametrize(("method", "width"), [("none", 50), ("pca", 8), ("cca", 2), ("sfs", 8)])
def test_width_and_use(seeds, method, width):
    scores = []
    for seed in seeds:
        X = make_columns(seed)
        # In half of all columns, for principal components do not know which one matters.
        X[:, :25] += 1.5 * (Y == "a")[:, None]
        X[:, 25:] += 1.5 * (Y == "b")[:, None]
        reduced = reduce_inside(X, Reduction(method, 8), Y)(TRAIN)
        assert reduced.shape == (60, width) and reduced.dtype == np.float32
        machine = LinearDiscriminantAnalysis(solver="lsqr", shrinkage=0.3)
        machine.fit(reduced[TRAIN], Y[TRAIN])
        scores.append(machine.score(reduced[TEST], Y[TEST]))
    assert np.median(scores) > 0.6  # chance is a third


@pytest.mark.parametrize("method", METHODS)
def test_other_rows_and_their_labels_do_not_count(X, method):
    before = reduce_inside(X, Reduction(method, 4), Y)(TRAIN)
    changed, labels = X.copy(), Y.copy()
    changed[TEST] *= -3
    labels[TEST] = labels[TEST[::-1]]
    after = reduce_inside(changed, Reduction(method, 4), labels)(TRAIN)
    np.testing.assert_array_equal(before[TRAIN], after[TRAIN])


def test_features_that_are_learnt_first(X):
    asked = []

    def features(train):
        asked.append(train)
        return X

    found = reduce_inside(features, Reduction("pca", 4), Y)(TRAIN)
    assert len(asked) == 1 and asked[0] is TRAIN
    np.testing.assert_array_equal(found, Reduction("pca", 4).fit(X[TRAIN]).transform(X))


def test_more_components_than_there_are(X):
    assert Reduction("pca", 99).fit_transform(X[:10]).shape == (10, 9)
    assert Reduction("sfs", 99).fit_transform(X[:, :3], Y).shape == (60, 3)
    X[:, 5:] = 7  # constants are no candidates
    assert Reduction("sfs", 99).fit_transform(X, Y).shape == (60, 5)
    assert clone(Reduction("cca", 3)).get_params() == {"method": "cca", "n_components": 3}


def test_wrong_parameters_are_refused(X):
    with pytest.raises(ParameterError, match=r"method: found 'pac'.*did you mean 'pca'"):
        Reduction("pac").fit(X)
    with pytest.raises(ParameterError, match="n_components: found 0"):
        Reduction("pca", 0).fit(X)
