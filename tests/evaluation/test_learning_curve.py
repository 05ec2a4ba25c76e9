"""Learning curves: nested training parts, whole groups, the same test part, the same draws."""

import numpy as np
import pytest
from sklearn.naive_bayes import GaussianNB

from thesislib.errors import CorpusError
from thesislib.evaluation import draw_subsets, evaluate_curve, evaluate_folds

#: Speakers with one to four clips; every fourth one has clips of two classes.
RNG = np.random.default_rng(7)
GROUPS = np.repeat(np.arange(48), RNG.integers(1, 5, 48)).astype(str)
LABELS = np.array(list("abc"))[GROUPS.astype(int) % 3].astype(object)
LABELS[(GROUPS.astype(int) % 4 == 0) & (np.arange(len(GROUPS)) % 2 == 0)] = "a"
ROWS = np.arange(len(GROUPS))
FOLDS = {
    str(k): (ROWS[GROUPS.astype(int) // 3 % 4 != k], ROWS[GROUPS.astype(int) // 3 % 4 == k])
    for k in range(4)
}


@pytest.mark.parametrize("n_least", [1, 2, 3])
def test_training_parts_are_nested_and_hold_whole_groups_of_every_class(n_least):
    subsets = draw_subsets(LABELS, GROUPS, FOLDS, n_sizes=4, n_draws=3, n_least=n_least)
    assert list(subsets) == sorted(subsets) and max(subsets) == 36
    for draw in range(3):
        for fold, (whole, test) in FOLDS.items():
            smaller = set()
            for size, draws in subsets.items():
                train, same = draws[draw][fold]
                assert np.array_equal(same, test)
                assert smaller <= set(train) <= set(whole)
                assert len(set(GROUPS[train])) == size
                assert set(train) == set(whole[np.isin(GROUPS[whole], GROUPS[train])])
                for label in "abc":
                    assert len(set(GROUPS[train][LABELS[train] == label])) >= n_least
                smaller = set(train)


def test_draws_differ_and_depend_on_the_seed_alone():
    options = {"n_sizes": 3, "n_draws": 4}
    first, again, other = (
        draw_subsets(LABELS, GROUPS, FOLDS, seed=seed, **options) for seed in (0, 0, 1)
    )
    parts = [
        [tuple(each["0"][0]) for each in subsets[min(subsets)]] for subsets in (first, again, other)
    ]
    assert parts[0] == parts[1] != parts[2]
    assert len(set(parts[0])) == 4


def test_a_class_with_too_few_groups_is_named():
    labels = np.where(GROUPS == "5", "rare", LABELS)
    with pytest.raises(CorpusError, match=r"found 1 groups of class 'rare' .* expected at least 2"):
        draw_subsets(labels, GROUPS, {"1": (ROWS, ROWS[:3])})


def test_with_all_groups_the_curve_ends_at_the_usual_score(rng):
    X = rng.normal(size=(len(LABELS), 5)) + (LABELS == "a")[:, None]
    options = {"groups": GROUPS, "complexities": [1e-2, 1.0], "n_inner": 2}
    subsets = draw_subsets(LABELS, GROUPS, FOLDS, n_sizes=2, n_draws=2)
    curve = evaluate_curve({0: X}, LABELS, subsets, **options)
    usual = evaluate_folds(X, LABELS, FOLDS, **options).nested
    for end in curve[36].values():
        for name in ("rows", "predicted", "values", "folds"):
            assert np.array_equal(getattr(end, name), getattr(usual, name))


def test_equal_training_parts_have_equal_predictions_of_a_classifier(rng):
    """With all groups, the draws are the same; so are the tasks."""
    options = {"groups": GROUPS, "classifier": GaussianNB(), "complexities": [None], "n_inner": 0}
    subsets = draw_subsets(LABELS, GROUPS, FOLDS, n_sizes=2, n_draws=2)
    curve = evaluate_curve({0: rng.normal(size=(len(LABELS), 3))}, LABELS, subsets, **options)
    first, second = curve[36].values()
    assert np.array_equal(first.values, second.values)
    assert not np.array_equal(*(part.values for part in curve[min(curve)].values()))


def test_draws_take_the_seeds_of_the_weights_in_turn(rng):
    clear, noise = (LABELS == "a")[:, None] * [1.0, 2.0], rng.normal(size=(len(LABELS), 2))
    options = {"groups": GROUPS, "complexities": [1.0], "n_inner": 2}
    subsets = draw_subsets(LABELS, GROUPS, FOLDS, n_sizes=2, n_draws=3)
    curve = evaluate_curve({3: clear, 9: noise}, LABELS, subsets, **options)
    for draws in curve.values():
        recall = [np.mean(p.predicted[p.truth == "a"] == "a") for p in draws.values()]
        assert list(draws) == [0, 1, 2]
        assert recall[0] == recall[2] == 1 > recall[1]
