import numpy as np
import pandas as pd
import pytest

from thesislib.errors import CorpusError
from thesislib.evaluation.event_scores import choose_threshold, describe_events
from thesislib.evaluation.events import count_events, error_rates, locate_events


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


def test_scores_are_those_of_the_toolbox_equivalent(tables):
    found = describe_events(count_events(*tables)).set_index("event")
    counts = count_events(*tables)
    expected = [error_rates(counts[counts["label"] == label]) for label in ("cry", "shot")]
    for name in ("error_rate", "deletion_rate", "insertion_rate", "f1"):
        cry, shot = (scores[name] for scores in expected)
        assert found.loc["cry", name] == pytest.approx(cry)
        assert found.loc["shot", name] == pytest.approx(shot)
        assert found.loc["Average", name] == pytest.approx((cry + shot) / 2)


def test_intervals_cover_and_narrow_with_files(tables):
    few = describe_events(count_events(*tables), seed=1)
    assert (few["error_rate_low"] < few["error_rate"]).all()
    assert (few["error_rate"] < few["error_rate_high"]).all()
    copies = [[t.assign(file=t["file"] + str(i)) for i in range(16)] for t in tables]
    many = describe_events(count_events(*map(pd.concat, copies)), seed=1)
    width = [t["error_rate_high"] - t["error_rate_low"] for t in (few, many)]
    assert (width[0] / width[1]).between(3, 5).all()  # sixteen times the files: a quarter
    # The mean of two classes varies less than either.
    assert few.loc[2, "error_rate_high"] - few.loc[2, "error_rate_low"] < width[0][:2].max()


def test_trainings_are_averaged_and_their_range_given(tables):
    reference, estimate = tables
    runs = [count_events(reference, e) for e in (estimate, estimate[:0], reference)]
    found = describe_events(runs).set_index("event")
    single = describe_events(runs[0]).set_index("event")["error_rate"]
    assert found["error_rate"].to_dict() == pytest.approx(((single + 1 + 0) / 3).to_dict())
    assert (found["error_rate_best"] == 0).all()
    assert (found["error_rate_worst"] == np.maximum(single, 1)).all()
    with pytest.raises(CorpusError, match="on other files of cry"):
        describe_events([runs[0], runs[1][1:]])


def test_a_class_without_events_has_no_error_rate(tables):
    reference = tables[0].assign(onset_s=np.nan)
    found = describe_events(count_events(reference, tables[1]))
    assert found[["error_rate", "error_rate_low", "error_rate_high"]].isna().all(axis=None)


def test_the_chosen_threshold_separates(rng):
    onsets_s = np.where(np.arange(30) % 2, 1.0, np.nan)
    clips = pd.DataFrame({"file": map(str, range(30)), "label": "cry", "onset_s": onsets_s})
    sequences = 0.2 * rng.random((30, 20))
    sequences[1::2, 10:13] = 0.42  # an event's peak, far below the thesis's 0.8
    threshold = choose_threshold(clips, sequences, hop_s=0.1)
    assert 0.2 <= threshold <= 0.4
    found = locate_events(clips, sequences, hop_s=0.1, threshold=threshold)
    assert found["file"].tolist() == clips["file"][1::2].tolist()
    assert found["onset_s"].tolist() == pytest.approx([1.0] * 15)
    assert locate_events(clips, sequences, hop_s=0.1, threshold=0.8).empty


def test_the_baselines_rule_gives_every_run_of_frames():
    clips = pd.DataFrame({"file": ["a"], "label": "cry"})
    sequence = [[0, 1, 0, 0, 1, 1, 1, 0, 0, 0, 1, 1, 1, 0]]
    smooth = locate_events(clips, sequence, hop_s=0.1, threshold=0.5, median_s=0.3)
    assert smooth["onset_s"].round(6).tolist() == [0.4, 1.0]
    assert locate_events(clips, sequence, hop_s=0.1, threshold=0.5).onset_s.tolist() == [0.1]
