"""8.3 on the synthetic games: folds that keep games whole, permuted labels, the stages' counts."""

import numpy as np
import pytest
from sklearn.model_selection import StratifiedKFold

from thesislib.corpora import load_corpus
from thesislib.corpora.splits import take_slice
from thesislib.corpora.synthetic import make_corpus
from thesislib.evaluation.candidates import Candidates
from thesislib.evaluation.fusion import vote_chunks
from thesislib.evaluation.search import evaluate_chunks
from thesislib.reporting.scores import ScoreTable
from thesislib.representations.extraction import Reading, extract
from thesislib.representations.statistics import LogMelStatistics
from thesislib.spectra.spectrogram import Spectrum

CHANCE = 1 / 6
SVM = {"class_weight": "balanced", "scale": "standard"}


def make_games(folder, seed):
    """A corpus of six genres, and the log-mel statistics of its chunks."""
    root = make_corpus("game_genre", folder, n_per_class=16, clip_s=2.0, seed=seed)
    games = load_corpus("game_genre", root)
    bands = Spectrum("mel", window_s=0.032, hop_s=0.016, n_mels=64)
    reading = Reading(sr=16000, chunk_s=1.0, last="drop")
    chunks = extract(games, LogMelStatistics(n_bands=64), bands, reading=reading, progress=False)
    return games, chunks


@pytest.fixture(scope="module")
def first(tmp_path_factory):
    return make_games(tmp_path_factory.mktemp("games") / "corpus", 0)


@pytest.fixture(scope="module")
def games(first):
    return first[0]


@pytest.fixture(scope="module")
def chunks(first):
    return first[1]


@pytest.fixture(scope="module")
def several(tmp_path_factory, seeds):
    """Corpora of several seeds."""
    root = tmp_path_factory.mktemp("several")
    return {seed: make_games(root / str(seed), seed) for seed in seeds}


def score(games, chunks, folds, labels=None):
    labels = games.labels if labels is None else labels
    result = evaluate_chunks(
        chunks.matrix,
        chunks.rows,
        labels,
        folds,
        groups=games.groups,
        complexities=[1e-2],
        n_inner=2,
        svm=SVM,
    )
    return vote_chunks(result.test[1e-2], chunks.rows).score()


def test_a_game_has_all_its_chunks_in_one_fold(games, chunks):
    folds = games.folds()
    for train, test in folds.values():
        assert not set(games.groups[train]) & set(games.groups[test])
        assert set(games.labels[test]) == set(games.classes)
    assert len(chunks.matrix) == 2 * len(games)


def test_folds_that_ignore_games_score_higher(several):
    grouped, gains = [], []
    for seed, (games, chunks) in several.items():
        grouped.append(score(games, chunks, games.folds()))
        splitter = StratifiedKFold(4, shuffle=True, random_state=seed)
        parts = splitter.split(np.arange(len(games)), games.labels)
        gains.append(score(games, chunks, dict(enumerate(parts))) - grouped[-1])
    assert np.median(gains) > 0.02
    assert CHANCE + 0.15 < np.median(grouped) < 0.98


def test_permuted_labels_score_at_chance(several):
    scores = []
    for seed, (games, chunks) in several.items():
        rng, folds = np.random.default_rng(seed), games.folds()
        for _ in range(2):
            # Within folds, so that every class stays in every fold.
            labels = games.labels.copy()
            for _, test in folds.values():
                labels[test] = labels[rng.permutation(test)]
            scores.append(score(games, chunks, folds, labels))
    # Each on 96 clips: a standard error of four points, two that of the median of six.
    assert np.median(scores) == pytest.approx(CHANCE, abs=0.1)


def test_a_slice_keeps_genres_folds_and_games_apart(games):
    sliced = take_slice(games, 4)
    assert len(sliced) == len(games) / 4
    assert set(sliced.index["fold"]) == set(games.index["fold"])
    assert sliced.validate().problems == ()
    assert sliced.kind == "synthetic"


def test_both_selections_have_a_row_on_chunks_and_on_clips(games, chunks):
    result = evaluate_chunks(
        chunks.matrix,
        chunks.rows,
        games.labels,
        games.folds(),
        groups=games.groups,
        complexities=[1e-6, 1e-2],
        n_inner=2,
        svm=SVM,
    )
    candidates = Candidates()
    candidates.add({}, {0: result})
    table = ScoreTable(games, n_resamples=50)
    both, options = ("as published", "nested"), {"clip_of_chunk": chunks.rows}
    table.add_choices(candidates, both, system="control", **options)
    published, nested = table.rows
    assert (published["selection"], nested["selection"]) == both
    # What was chosen on the reported folds cannot be below any other of the same candidates.
    assert published["uar_percent"] >= nested["uar_percent"]
    for row in (published, nested):
        assert (row["n_clips"], row["n_chunks"]) == (len(games), 2 * len(games))
        for unit in ("uar", "uar_clip"):
            low, high = (row[f"{unit}_{end}_percent"] for end in ("low", "high"))
            assert low <= row[f"{unit}_percent"] <= high
    systems = table.predictions.groupby(["system", "selection"]).size()
    assert systems["control", "nested"] == len(games)
    assert systems["control, chunks", "nested"] == 2 * len(games)
    voted = vote_chunks(result.nested, chunks.rows)
    assert nested["uar_clip_percent"] == round(100 * voted.score(), 2)
