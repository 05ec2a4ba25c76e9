import numpy as np
import pandas as pd
import pytest

from thesislib.evaluation.comparison import score
from thesislib.evaluation.event_scores import (
    choose_rule,
    describe_rates,
    split_events,
    tabulate_events,
)
from thesislib.evaluation.events import count_events, locate_events


@pytest.fixture
def tables(rng):
    """Two classes of 40 files, half of them without an event; a detector that errs often."""
    reference = pd.DataFrame(
        {
            "file": [f"{i}.wav" for i in range(80)],
            "label": ["cry"] * 40 + ["shot"] * 40,
            "onset_s": np.where(rng.random(80) < 0.5, 10 * rng.random(80), np.nan),
        }
    )
    estimate = reference.assign(onset_s=reference["onset_s"] + rng.normal(scale=0.5, size=80))
    return reference, estimate.sample(frac=0.8, random_state=0)


def rate_events(by_seed):
    """Rates by event, as a table."""
    return pd.DataFrame({event: describe_rates(t) for event, t in split_events(by_seed).items()}).T


def test_rates_are_those_of_the_toolbox_equivalent(tables):
    rates, counts = rate_events({0: tabulate_events(*tables)}), count_events(*tables)
    sums = counts.groupby("label")[["n_reference", "n_estimated", "n_matched"]].sum()
    deletions, insertions = (
        (sums[name] - sums["n_matched"]) / sums["n_reference"]
        for name in ("n_reference", "n_estimated")
    )
    f1 = 2 * sums["n_matched"] / (sums["n_reference"] + sums["n_estimated"])
    names = ("error_rate", "deletion_rate", "insertion_rate", "f1")
    for name, own in zip(names, (deletions + insertions, deletions, insertions, f1)):
        expected = [own["cry"], own["shot"], own.mean()]
        assert rates.loc[["cry", "shot", "Average"], name].tolist() == pytest.approx(
            expected, abs=1e-4
        )


def test_rates_are_the_score_of_the_predictions(tables):
    """The table's error rate, and the one that comparisons compute from the predictions."""
    table = tabulate_events(*tables)
    result = score(table, metric="error_rate")
    assert result["score"] == pytest.approx(describe_rates({0: table})["error_rate"], abs=1e-4)
    assert result["low"] < result["score"] < result["high"]


def test_trainings_are_averaged_and_their_range_is_reported(tables):
    reference, estimate = tables
    runs = {
        seed: tabulate_events(reference, onsets)
        for seed, onsets in enumerate((estimate, estimate[:0], reference))
    }
    rates, single = rate_events(runs), rate_events({0: runs[0]})["error_rate"]
    assert rates["error_rate"].to_numpy() == pytest.approx((single + 1 + 0) / 3, abs=1e-4)
    assert (rates["error_rate_best"] == 0).all()
    assert (rates["error_rate_worst"] == np.maximum(single, 1)).all()


def test_the_unit_is_the_recording_of_the_event_or_else_of_the_background(tables):
    reference = tables[0].assign(background_source="park.wav")
    has_event = reference["onset_s"].notna()
    reference["event_source"] = np.where(has_event, "shot_1.wav", "")
    table = tabulate_events(reference, tables[1], groups={"shot_1.wav": "session"})
    assert table["group"].tolist() == np.where(has_event, "session", "park.wav").tolist()
    # Mixtures without sources are their own groups.
    assert tabulate_events(*tables)["group"].tolist() == tables[0]["file"].tolist()


def test_the_chosen_threshold_separates(rng):
    onsets_s = np.where(np.arange(30) % 2, 1.0, np.nan)
    clips = pd.DataFrame({"file": map(str, range(30)), "label": "cry", "onset_s": onsets_s})
    sequences = 0.2 * rng.random((30, 20))
    sequences[1::2, 10:13] = 0.42  # an event's peak, far below the thesis's 0.8
    threshold = choose_rule(clips, sequences, hop_s=0.1)["threshold"]
    assert 0.2 <= threshold <= 0.4
    found = locate_events(clips, sequences, hop_s=0.1, threshold=threshold)
    assert found["file"].tolist() == clips["file"][1::2].tolist()
    assert found["onset_s"].tolist() == pytest.approx([1.0] * 15)
    assert locate_events(clips, sequences, hop_s=0.1, threshold=0.8).empty


def test_a_rule_is_chosen_that_finds_the_onset():
    clips = pd.DataFrame({"file": ["a", "b"], "label": "cry", "onset_s": [1.0, np.nan]})
    sequences = np.zeros((2, 20))
    sequences[0, 10:14], sequences[0, 1] = 0.9, 0.6  # a single frame before the event
    rules = [{"n_back": 20}, {"n_back": 20, "smooth_s": 0.3}, {"n_back": 5}]
    assert choose_rule(clips, sequences, hop_s=0.1, rules=rules)["smooth_s"] == 0.3
    assert choose_rule(clips, sequences, hop_s=0.1, rules=rules[::2])["n_back"] == 5
    sequences[0, 1] = 0
    assert choose_rule(clips, sequences, hop_s=0.1, rules=rules).keys() == {"threshold", "n_back"}


def test_the_baselines_rule_gives_every_run_of_frames():
    clips = pd.DataFrame({"file": ["a"], "label": "cry"})
    sequence = [[0, 1, 0, 0, 1, 1, 1, 0, 0, 0, 1, 1, 1, 0]]
    smooth = locate_events(clips, sequence, hop_s=0.1, threshold=0.5, median_s=0.3)
    assert smooth["onset_s"].round(6).tolist() == [0.4, 1.0]
    assert locate_events(clips, sequence, hop_s=0.1, threshold=0.5).onset_s.tolist() == [0.1]
