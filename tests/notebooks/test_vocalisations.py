"""9.1: what the notebook's claims rest on, on the six synthetic corpora and the printed tables."""

import numpy as np
import pytest

from thesislib.compendium.parameters import check_parameters, read_profile
from thesislib.corpora import open_tasks
from thesislib.corpora.indexed import SEGMENT_S
from thesislib.corpora.records import RECORDS
from thesislib.corpora.synthetic import make_corpus
from thesislib.errors import CorpusError
from thesislib.evaluation.validation import evaluate_folds
from thesislib.reporting.published import load_published
from thesislib.representations.extraction import Reading, extract
from thesislib.representations.reading import chunk
from thesislib.representations.statistics import LogMelStatistics
from thesislib.spectra.spectrogram import Spectrum

NAME = "09_1_vocalisations"


def make_tasks(root, seed, n_per_class=8):
    options = {"n_per_class": n_per_class, "clip_s": 0.6, "seed": seed}
    return open_tasks("vocalisations", make_corpus("vocalisations", root, **options))


@pytest.fixture(scope="module")
def tasks(tmp_path_factory):
    return make_tasks(tmp_path_factory.mktemp("vocalisations") / "six", 0)


def score(corpus, X, labels):
    folds = {"evaluation": (corpus.rows("train"), corpus.rows("evaluation"))}
    svm = {"scale": "standard", "class_weight": "balanced"}
    options = {"groups": corpus.groups, "complexities": [0.01], "n_inner": 2, "svm": svm}
    return evaluate_folds(X, labels, folds, **options).nested.score()


def test_permuted_labels_score_at_chance_and_true_ones_above(seeds, tmp_path):
    spectrum = Spectrum("mel", window_s=0.032, hop_s=0.016, n_mels=32)
    true, permuted = [], []
    for seed in seeds:
        rng = np.random.default_rng(seed)
        for corpus in make_tasks(tmp_path / str(seed), seed, n_per_class=20).values():
            X = extract(corpus, LogMelStatistics(n_bands=32), spectrum, progress=False).matrix
            true.append(score(corpus, X, corpus.labels))
            labels = corpus.labels.copy()
            for name in ("train", "evaluation"):
                # Whole groups change their label: clips of a group belong to one class.
                rows = corpus.rows(name)
                names, first = np.unique(corpus.groups[rows].astype(str), return_index=True)
                mixed = dict(zip(names, rng.permutation(corpus.labels[rows][first])))
                labels[rows] = [mixed[group] for group in corpus.groups[rows]]
            permuted.append(score(corpus, X, labels))
    assert np.median(permuted) == pytest.approx(0.5, abs=0.13)
    # The mean over six tasks, for each seed.
    assert np.median(np.mean(np.reshape(true, (-1, 6)), axis=1)) > 0.57


def test_every_task_has_its_own_target_and_both_parts(tasks):
    assert list(tasks) == list(RECORDS["vocalisations"].values["tasks"])
    for task, corpus in tasks.items():
        assert corpus.classes == sorted([task, "normal"])
        assert set(corpus.partitions) == {"train", "evaluation"}
        assert corpus.lengths_s == pytest.approx(0.6)


def test_a_single_tasks_folder_is_that_task(tasks, tmp_path):
    root = tasks["sneezing"].root
    (only,) = open_tasks("vocalisations", root).items()
    assert only[0] == "sneezing"
    assert only[1].fingerprint == tasks["sneezing"].fingerprint
    with pytest.raises(CorpusError, match="run: thesis corpus index"):
        open_tasks("vocalisations", tmp_path)


def test_segments_of_a_corpus_are_those_that_extraction_finds(tasks):
    reading = Reading(sr=8000, chunk_s=0.3, hop_s=0.2, last="drop")
    spectrum = Spectrum("mel", window_s=0.032, hop_s=0.016, n_mels=16)
    corpus = tasks["coughing"]
    found = extract(corpus, LogMelStatistics(n_bands=16), spectrum, reading=reading, progress=False)
    silence = np.empty(round(8000 * corpus.lengths_s[0]))
    expected = len(chunk(silence, sr=8000, window_s=0.3, hop_s=0.2, last="drop")[0])
    assert [len(part) for part in found.by_row] == [expected] * len(corpus)


def test_a_hop_of_half_a_second_fits_the_printed_segments_and_a_quarter_does_not():
    tasks = RECORDS["vocalisations"].values["tasks"].values()
    for n_clips, _, minutes, *_, n_segments in (row for task in tasks for row in task.values()):
        whole = 60 * minutes / SEGMENT_S
        # Each clip loses less than a segment; minutes are printed with one decimal.
        slack = 0.05 * 60 / SEGMENT_S
        assert whole - n_clips - slack <= n_segments <= whole + slack
        assert n_segments < 2 * (whole - n_clips - slack)


def test_where_the_printed_bags_do_not_help():
    scores = load_published("9.2").pivot_table(
        index=["task", "features"], columns="representation", values="uar_percent"
    )
    gain = (scores["BoDF"] - scores["nqDS"]).dropna()
    assert len(gain) == 24
    assert gain.index[gain < 0].tolist() == [("Screaming", "VGG16"), ("Threatening", "VGG19")]


def test_the_thesis_profile_is_possible_and_leaves_nothing_random():
    values = read_profile(NAME, "paper")
    resolved = check_parameters(NAME, values)
    assert set(resolved["weights"]) == set(resolved["networks"])
    fused = {n for name in resolved["early_fusions"] for n in name.split(" + ")} - {"all"}
    assert fused == set(resolved["networks"])
    published = load_published("9.3").groupby("fusion")["features"].unique()
    for fusion in ("early", "late"):
        printed = [name.lower() for name in published[fusion]]
        assert printed == resolved[f"{fusion}_fusions"]


def test_the_tasks_at_hand_can_be_opened(reference_data):
    found = open_tasks("vocalisations", reference_data / "corpora" / "vocalisations")
    assert sorted(found) == ["coughing", "crying_baby", "laughing", "sneezing"]
    for task, corpus in found.items():
        assert task in corpus.classes
        assert corpus.kind == "stand-in"
        assert corpus.lengths_s.min() > SEGMENT_S
