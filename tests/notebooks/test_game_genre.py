"""8.3 on the synthetic games: folds that keep games whole, permuted labels, the stages' counts."""

import numpy as np
import pytest
from sklearn.model_selection import StratifiedKFold

from thesislib.corpora import game_genre
from thesislib.corpora.splits import take_slice
from thesislib.corpora.synthetic import make_corpus
from thesislib.evaluation.fusion import vote_chunks
from thesislib.evaluation.validation import evaluate_chunks
from thesislib.reporting.tables import describe_selections
from thesislib.representations.extract import Reading, extract
from thesislib.representations.statistics import BandStatistics
from thesislib.spectra.spectrogram import Spectrum

CHANCE = 1 / 6
MACHINE = {"class_weight": "balanced", "scale": "standard"}


@pytest.fixture(scope="module")
def games(tmp_path_factory):
    folder = tmp_path_factory.mktemp("games") / "corpus"
    return game_genre.load(make_corpus("game_genre", folder, n_per_class=16, clip_s=2.0))


@pytest.fixture(scope="module")
def chunks(games):
    bands = Spectrum("mel", window_s=0.032, hop_s=0.016, n_mels=64, reference=1.0)
    reading = Reading(sr=16000, chunk_s=1.0, last="drop")
    return extract(games, BandStatistics(n_bands=64), bands, reading=reading, progress=False)


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
        machine=MACHINE,
    )
    return vote_chunks(result.by_complexity[1e-2], chunks.rows).score()


def test_a_game_has_all_its_chunks_in_one_fold(games, chunks):
    folds = games.folds()
    for train, test in folds.values():
        assert not set(games.groups[train]) & set(games.groups[test])
        assert set(games.labels[test]) == set(games.classes)
    assert len(chunks.matrix) == 2 * len(games)


def test_folds_that_ignore_games_score_higher(games, chunks):
    grouped = score(games, chunks, games.folds())
    rows, any_fold = np.arange(len(games)), []
    for seed in range(3):
        parts = StratifiedKFold(4, shuffle=True, random_state=seed).split(rows, games.labels)
        any_fold.append(score(games, chunks, dict(enumerate(parts))))
    assert np.mean(any_fold) > grouped + 0.02
    assert CHANCE + 0.2 < grouped < 1


def test_permuted_labels_score_at_chance(games, chunks, rng):
    folds = games.folds()
    scores = []
    for _ in range(4):
        # Within folds, so that every class stays in every fold.
        labels = games.labels.copy()
        for _, test in folds.values():
            labels[test] = labels[rng.permutation(test)]
        scores.append(score(games, chunks, folds, labels))
    # Four times 96 clips: the mean's standard error is about two points.
    assert np.mean(scores) == pytest.approx(CHANCE, abs=0.07)


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
        machine=MACHINE,
    )
    published, honest = describe_selections(result, chunks.rows, groups=games.groups, n=50)
    assert (published["selection"], honest["selection"]) == ("as published", "honest")
    # What was chosen on the reported folds cannot be below any other of the same candidates.
    assert published["uar_percent"] >= honest["uar_percent"]
    for row in (published, honest):
        for unit in ("uar", "uar_clip"):
            low, high = (row[f"{unit}_{end}_percent"] for end in ("low", "high"))
            assert low <= row[f"{unit}_percent"] <= high
