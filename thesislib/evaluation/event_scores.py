"""Results of detectors of events: thresholds chosen, scores with intervals (thesis 8.2.2)."""

from itertools import product

import numpy as np
import pandas as pd

from thesislib.evaluation.events import count_events, locate_events

#: Presence thresholds that `choose_rule` tries.
THRESHOLDS = tuple(round(0.05 * i, 2) for i in range(1, 20))
#: Name of the row with the mean over events.
AVERAGE = "Average"


def choose_rule(clips, probabilities, *, hop_s, thresholds=THRESHOLDS, rules=({},), collar_s=0.5):
    """Presence threshold and onset rule with the lowest error rate on some clips of one class.

    The thesis gives a threshold for each class and no rule; how high a network's probabilities
    rise depends on how much it was trained on. It also leaves open how far the onset is searched
    back. Clips to choose by are neither those that the network learnt from nor those that it is
    scored on.

    Parameters
    ----------
    clips : DataFrame
        ``file``, ``label``, ``onset_s`` (NaN without an event).
    probabilities : sequence of array_like, shape (time,)
        One a clip.
    hop_s, collar_s
        As in `locate_events` and `count_events`.
    thresholds : sequence of float
        Tried; of several equally good ones the middle one is taken.
    rules : sequence of dict
        Onset rules tried: ``n_back`` and ``smooth_s`` of `locate_events`; of several equally good
        ones the first is taken.

    Returns
    -------
    dict
        ``threshold``, and the items of the rule.

    Examples
    --------
    >>> clips = pd.DataFrame({"file": list("ab"), "label": "gunshot", "onset_s": [0.5, None]})
    >>> sequences = [[0.1, 0.4, 0.4], [0.2, 0.1, 0.2]]
    >>> choose_rule(clips, sequences, hop_s=0.5, thresholds=[0.1, 0.2, 0.25, 0.3, 0.4])
    {'threshold': 0.25}
    """
    rates = np.empty((len(rules), len(thresholds)))
    for (i, rule), (j, threshold) in product(enumerate(rules), enumerate(thresholds)):
        onsets = locate_events(clips, probabilities, hop_s=hop_s, threshold=threshold, **rule)
        n_true, n_found, n_hits = count_events(clips, onsets, collar_s=collar_s).iloc[:, 2:].sum()
        rates[i, j] = (n_true - n_hits) / n_true + (n_found - n_hits) / n_true
    row = int(rates.min(axis=1).argmin())
    best = np.flatnonzero(rates[row] == rates[row].min())
    return {"threshold": float(thresholds[best[(len(best) - 1) // 2]]), **rules[row]}


def tabulate_events(mixtures, onsets, *, groups=None, collar_s=0.5):
    """Arrange detections as predictions, one row per mixture (see `evaluation.comparison`).

    Parameters
    ----------
    mixtures : DataFrame
        ``file``, ``label`` (the class that the mixture is for), ``onset_s`` (NaN without an
        event), ``event_source`` and ``background_source``.
    onsets : DataFrame
        From `locate_events`.
    groups : dict of str to str, optional
        Source file to the recording that it comes from; default: the file.
    collar_s : float
        As in `count_events`.

    Returns
    -------
    DataFrame
        ``file``, ``event``, ``true_onset_s``, ``found_onset_s`` (the first; NaN for none),
        ``hits``, ``insertions``, ``deletions``, ``n_events``, ``event_source``,
        ``background_source`` and ``group``: the recording of the event's source, or of the
        background's in a mixture without an event.

    Examples
    --------
    >>> mixtures = pd.DataFrame({"file": ["a", "b"], "label": "gunshot", "onset_s": [7.0, None]})
    >>> mixtures = mixtures.assign(event_source=["shot", ""], background_source="park")
    >>> onsets = pd.DataFrame({"file": ["b"], "label": "gunshot", "onset_s": [3.0]})
    >>> table = tabulate_events(mixtures, onsets)
    >>> table[["file", "hits", "insertions", "deletions", "group"]].values.tolist()
    [['a', 0, 0, 1, 'shot'], ['b', 0, 1, 0, 'park']]
    """
    counts = count_events(mixtures, onsets, collar_s=collar_s).set_index("file")
    # An absent source (mixtures of another tool) makes each mixture its own group.
    sources = mixtures.reindex(columns=["event_source", "background_source"])
    sources = sources.astype(object).fillna("")
    own = sources["event_source"].where(sources["event_source"] != "", sources.iloc[:, 1])
    own = own.where(own != "", mixtures["file"])
    counts = counts.loc[mixtures["file"]].reset_index(drop=True)
    first = onsets.dropna(subset=["onset_s"]).groupby("file")["onset_s"].min()
    return pd.DataFrame(
        {
            "file": mixtures["file"].to_numpy(),
            "event": mixtures["label"].to_numpy(),
            "true_onset_s": mixtures["onset_s"].to_numpy(float),
            "found_onset_s": first.reindex(mixtures["file"]).to_numpy(float),
            "hits": counts["n_matched"],
            "insertions": counts["n_estimated"] - counts["n_matched"],
            "deletions": counts["n_reference"] - counts["n_matched"],
            "n_events": counts["n_reference"],
            "event_source": sources["event_source"].to_numpy(),
            "background_source": sources["background_source"].to_numpy(),
            "group": [str((groups or {}).get(name, name)) for name in own],
        }
    )


def split_events(by_seed):
    """Predictions of each event, and of all of them under ``Average``.

    Parameters
    ----------
    by_seed : dict of int to DataFrame
        From `tabulate_events`.

    Returns
    -------
    dict of str to dict
    """
    events = dict.fromkeys(next(iter(by_seed.values()))["event"])
    parts = {
        event: {seed: table[table["event"] == event] for seed, table in by_seed.items()}
        for event in events
    }
    return {**parts, AVERAGE: by_seed}


def describe_rates(by_seed):
    """Parts of the error rate, averaged over events and trainings.

    Parameters
    ----------
    by_seed : dict of int to DataFrame
        From `tabulate_events`.

    Returns
    -------
    dict
        ``error_rate``, ``deletion_rate``, ``insertion_rate``, ``misplaced_rate`` (events found at
        a wrong time, each counted as a deletion and as an insertion), ``f1``, and
        ``error_rate_best`` and ``error_rate_worst`` of the trainings. NaN for an event that no
        mixture has.

    Examples
    --------
    >>> table = pd.DataFrame({"event": "gunshot", "hits": [1, 0], "insertions": [0, 1]})
    >>> table = table.assign(deletions=[0, 1], n_events=1)
    >>> rates = describe_rates({0: table})
    >>> rates["deletion_rate"], rates["misplaced_rate"], rates["error_rate_worst"]
    (0.5, 0.5, 1.0)
    """
    rates = []
    for seed, table in by_seed.items():
        counted = table.assign(misplaced=table[["insertions", "deletions"]].min(axis=1))
        names = ["hits", "insertions", "deletions", "misplaced", "n_events"]
        sums = counted.groupby("event")[names].sum().astype(float)
        n_events = sums["n_events"].where(sums["n_events"] > 0)
        rate = pd.DataFrame(
            {
                "deletion_rate": sums["deletions"] / n_events,
                "insertion_rate": sums["insertions"] / n_events,
                "misplaced_rate": sums["misplaced"] / n_events,
                "f1": 2 * sums["hits"] / (n_events + sums["hits"] + sums["insertions"]),
            }
        )
        rates.append(rate.mean(skipna=False).rename(seed))
    rates = pd.DataFrame(rates)
    errors = rates["deletion_rate"] + rates["insertion_rate"]
    rates.insert(0, "error_rate", errors)
    spread = {"error_rate_best": errors.min(), "error_rate_worst": errors.max()}
    return {
        name: round(float(value), 4)
        for name, value in {**rates.mean(skipna=False).to_dict(), **spread}.items()
    }
