import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from thesislib.errors import CorpusError, ParameterError
from thesislib.evaluation.event_scores import describe_rates, split_events, tabulate_events
from thesislib.evaluation.events import (
    count_events,
    decide_onset,
    locate_events,
    match_onsets,
    stream_events,
)

CASES = json.loads((Path(__file__).parents[1] / "fixtures" / "sed_eval" / "cases.json").read_text())


def event_table(label, onsets):
    """A row an event; a file without one has a row with NaN."""
    return pd.DataFrame(
        [
            (f"{label}_{number:03d}.wav", label, onset)
            for number, file_onsets in enumerate(onsets)
            for onset in file_onsets or [np.nan]
        ],
        columns=["file", "label", "onset_s"],
    )


def rate(counts):
    """Rates of the rows of ``count_events``."""
    n_reference, n_estimated, n_matched = counts.iloc[:, 2:].to_numpy().T
    table = counts.assign(event=counts["label"], hits=n_matched, n_events=n_reference)
    table = table.assign(insertions=n_estimated - n_matched, deletions=n_reference - n_matched)
    return describe_rates({0: table})


def test_worked_example_of_three_classes():
    reference = pd.concat(
        [
            event_table("babycry", [[10], [5], [], [20]]),
            event_table("glassbreak", [[3], [], [1]]),
            event_table("gunshot", [[7], [8], [], []]),
        ]
    )
    estimate = pd.concat(
        [
            event_table("babycry", [[10.5], [5.51], [1.0], []]),
            event_table("glassbreak", [[2.6], [], [1.3, 1.4]]),
            event_table("gunshot", [[7], [8.2], [], []]),
        ]
    )
    counts = count_events(reference, estimate)
    baby, glass, gun = (
        rate(counts[counts["label"] == c]) for c in ("babycry", "glassbreak", "gunshot")
    )
    assert baby["error_rate"] == pytest.approx(4 / 3, abs=5e-5)
    assert baby["deletion_rate"] == baby["insertion_rate"] == pytest.approx(2 / 3, abs=5e-5)
    assert baby["f1"] == pytest.approx(1 / 3, abs=5e-5)
    assert (glass["error_rate"], glass["deletion_rate"], glass["f1"]) == (0.5, 0, 0.8)
    assert (gun["error_rate"], gun["f1"]) == (0, 1)
    average = describe_rates({0: tabulate_events(reference, estimate)})
    assert average["error_rate"] == pytest.approx(0.6111, abs=5e-5)
    assert average["f1"] == pytest.approx(0.7111, abs=5e-5)


def test_equals_sed_eval_on_200_random_cases():
    assert len(CASES["cases"]) == 200
    for number, case in enumerate(CASES["cases"]):
        tables = (event_table("gunshot", case[name]) for name in ("reference", "estimate"))
        ours = rate(count_events(*tables, collar_s=CASES["collar_s"]))
        for name in ("error_rate", "deletion_rate", "insertion_rate", "f1"):
            assert ours[name] == pytest.approx(case["scores"][name], abs=5.1e-5), (number, name)


def test_cases_hold_pairs_on_the_collar_and_ambiguous_matchings():
    on_collar = crowded = 0
    for case in CASES["cases"]:
        for truth, guess in zip(case["reference"], case["estimate"]):
            distances = np.abs(np.subtract.outer(truth, guess))
            on_collar += np.isclose(distances, 0.5).any()
            crowded += ((distances <= 0.5).sum(axis=0) > 1).any()
    assert on_collar > 20
    assert crowded > 50


def test_matching_is_largest_not_greedy_in_order_of_arrival():
    # Taking the nearest pair (10.4, 10.5) first would leave the others alone.
    assert match_onsets([10.4, 10.0], [10.5, 10.9]) == 2
    assert match_onsets([1.0], [1.0, 1.1, 1.2]) == 1


def test_nothing_scores_one_and_class_without_events_is_undefined():
    reference = pd.concat([event_table("a", [[1], []]), event_table("b", [[], []])])
    parts = split_events({0: tabulate_events(reference, reference.iloc[:0])})
    rates = {event: describe_rates(part)["error_rate"] for event, part in parts.items()}
    assert rates["a"] == 1
    assert np.isnan([rates["b"], rates["Average"]]).all()


def test_false_alarm_in_event_free_file_counts():
    reference = event_table("a", [[1], []])
    estimate = event_table("a", [[1], [9]])
    assert rate(count_events(reference, estimate))["error_rate"] == 1


def test_estimate_for_unknown_file_is_refused():
    with pytest.raises(CorpusError, match=r"a_001\.wav \(a\)"):
        count_events(event_table("a", [[1]]), event_table("a", [[1], [2]]))
    with pytest.raises(CorpusError, match="onset_s are missing"):
        count_events(event_table("a", [[1]]), pd.DataFrame({"file": [], "label": []}))


def test_onset_decision_searches_back_from_peak_only():
    p = np.zeros(100)
    p[5] = 0.7  # before the window
    p[[40, 45, 60]] = [0.6, 0.3, 0.95]
    p[80] = 0.9  # after the peak
    assert decide_onset(p, hop_s=0.1, threshold=0.8, n_back=30) == pytest.approx(4.0)
    assert decide_onset(p, hop_s=0.1, threshold=0.8, n_back=10) == pytest.approx(6.0)
    assert decide_onset(p, hop_s=0.1, threshold=0.8, n_back=99) == pytest.approx(0.5)
    assert decide_onset(p, hop_s=0.1, threshold=0.95) is None
    assert decide_onset(0.4 * p, hop_s=0.1, threshold=0.3) == pytest.approx(6.0)
    assert decide_onset([], hop_s=0.1, threshold=0.5) is None


def test_onset_decision_refuses_what_is_no_sequence():
    with pytest.raises(ParameterError, match=r"shape \(3, 2\)"):
        decide_onset(np.zeros((3, 2)), hop_s=0.1, threshold=0.5)
    with pytest.raises(ParameterError, match="NaN"):
        decide_onset([0.1, np.nan], hop_s=0.1, threshold=0.5)
    with pytest.raises(ParameterError, match=r"threshold: found 1\.5"):
        decide_onset([0.1], hop_s=0.1, threshold=1.5)


@pytest.mark.parametrize("size", [1, 2, 7, 1000])
def test_stream_of_events_does_not_depend_on_blocks(rng, size):
    p = np.repeat(rng.random(60), rng.integers(1, 6, 60))
    whole = list(stream_events([p], hop_s=0.02, threshold=0.8))
    blocks = [p[i : i + size] for i in range(0, len(p), size)]
    assert list(stream_events([[], *blocks], hop_s=0.02, threshold=0.8)) == whole
    assert len(whole) > 3
    for onset_s, offset_s, peak in whole:
        run = p[round(onset_s / 0.02) : round(offset_s / 0.02)]
        assert run.min() > 0.5
        assert run.max() == peak > 0.8


def test_median_filter_removes_short_activity_and_fills_short_gaps():
    p = np.zeros(300)
    p[20:30] = 1  # 0.2 s: shorter than half of the filter
    p[100:200] = 1
    p[150:155] = 0
    clips = pd.DataFrame({"file": ["a"], "label": "gunshot"})
    how = {"hop_s": 0.02, "threshold": 0.5}
    assert locate_events(clips, [p], **how, median_s=0.54)["onset_s"].tolist() == [2.0]
    assert len(locate_events(clips, [p], **how, median_s=0.0)) == 3
