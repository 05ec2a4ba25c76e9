"""9.2: what the notebook's claims rest on, on the synthetic reviews and the printed tables."""

import numpy as np
import pytest

from thesislib.compendium.parameters import check_parameters, read_profile
from thesislib.corpora import open_corpus
from thesislib.corpora.synthetic import make_corpus
from thesislib.evaluation.validation import evaluate_partitions
from thesislib.reporting.published import load_published
from thesislib.representations.extraction import extract
from thesislib.representations.functionals import FrameFeatures
from thesislib.representations.statistics import LogMelStatistics
from thesislib.spectra.spectrogram import Spectrum

NAME = "09_2_sentiment"


def make_reviews(root, seed):
    """Synthetic reviews and their log-mel statistics."""
    root = make_corpus("sentiment", root, n_per_class=16, clip_s=1, seed=seed)
    reviews = open_corpus("sentiment", root)
    spectrum = Spectrum("mel", window_s=0.032, hop_s=0.016, n_mels=32)
    return reviews, extract(reviews, LogMelStatistics(n_bands=32), spectrum, progress=False).matrix


@pytest.fixture(scope="module")
def first(tmp_path_factory):
    return make_reviews(tmp_path_factory.mktemp("sentiment") / "reviews", 0)


@pytest.fixture(scope="module")
def reviews(first):
    return first[0]


@pytest.fixture(scope="module")
def statistics(first):
    return first[1]


def score(reviews, X, labels, class_weight="balanced"):
    parts = {name: reviews.rows(name) for name in ("train", "devel", "test")}
    svm = {"scale": "minmax", "class_weight": class_weight}
    found = evaluate_partitions(X, labels, **parts, complexities=[0.01, 1.0], svm=svm)
    return found.test[found.best("devel")].score()


def test_permuted_labels_score_at_chance_and_true_ones_above(seeds, tmp_path):
    true, permuted = [], []
    for seed in (3 * s + i for s in seeds for i in range(3)):
        rng = np.random.default_rng(seed)
        reviews, statistics = make_reviews(tmp_path / str(seed), seed)
        true.append(score(reviews, statistics, reviews.labels))
        for _ in range(3):
            labels = reviews.labels.copy()
            for name in ("train", "devel", "test"):
                rows = reviews.rows(name)
                labels[rows] = labels[rng.permutation(rows)]
            permuted.append(score(reviews, statistics, labels))
    # A standard error of 0.11 each, of 0.03 for the median of 27.
    assert np.median(permuted) == pytest.approx(0.5, abs=0.1)
    # Corpora differ by as much: the mean of three for each seed.
    assert np.median(np.mean(np.reshape(true, (-1, 3)), axis=1)) > 0.57


def test_a_weight_too_large_for_one_class_answers_nothing_else(reviews, statistics):
    weights = {"negative": 1e5, "positive": 1e-5}
    assert score(reviews, statistics, reviews.labels, weights) == 0.5


def test_the_printed_class_weights_are_the_inverse_of_the_printed_counts():
    train = load_published("9.4").set_index("partition").loc["Train"]
    weights = check_parameters(NAME, read_profile(NAME, "paper"))["class_weights"]
    ratio = train["n_positive"] / train["n_negative"]
    assert weights["negative"] / weights["positive"] == pytest.approx(ratio, abs=0.05)


def test_chosen_on_development_the_printed_claim_turns_round():
    printed = load_published("9.5")
    best = printed.loc[printed.groupby("features")["uar_devel_percent"].idxmax()]
    chosen = best.set_index("features")["uar_test_percent"]
    assert chosen.to_dict() == {"BoDF": 64.1, "Bag-of-MFCCs": 72.2}
    pairs = printed.pivot_table(
        index=["codebook_size", "n_assign"], columns="features", values="uar_test_percent"
    ).dropna()
    gain = np.sign(pairs["BoDF"] - pairs["Bag-of-MFCCs"])
    assert [int((gain == sign).sum()) for sign in (1, 0, -1)] == [4, 1, 3]


def test_the_thesis_profile_covers_the_printed_grid():
    resolved = check_parameters(NAME, read_profile(NAME, "paper"))
    printed = load_published("9.5")
    for name, sizes in (("BoDF", "bodf_sizes"), ("Bag-of-MFCCs", "mfcc_sizes")):
        part = printed[printed["features"] == name]
        assert sorted(part["codebook_size"].unique()) == resolved[sizes]
        assert sorted(part["n_assign"].unique()) == resolved["n_assigns"]
    assert set(printed["complexity"].astype(float)) <= set(resolved["complexities"])


def test_mfccs_of_a_review_are_frames_of_ten_milliseconds(reviews):
    found = extract(reviews, FrameFeatures("MFCC39", hop_s=0.01), progress=False)
    lengths = np.array([len(part) for part in found.by_row])
    assert np.all(np.abs(lengths - (reviews.lengths_s - 0.025) / 0.01 - 1) <= 1)
    assert {part.shape[1] for part in found.by_row} == {39}
