"""Results of detectors of events: thresholds chosen, scores with intervals (thesis 8.2.2)."""

import numpy as np
import pandas as pd

from thesislib.errors import CorpusError
from thesislib.evaluation.events import count_events, error_rates, locate_events

#: Presence thresholds that `choose_threshold` tries.
THRESHOLDS = tuple(round(0.05 * i, 2) for i in range(1, 20))


def choose_threshold(
    clips, probabilities, *, hop_s, thresholds=THRESHOLDS, n_back=220, collar_s=0.5
):
    """Presence threshold with the lowest error rate on some clips of one class.

    The thesis gives a threshold for each class and no rule; how high a network's probabilities
    rise depends on how much it was trained on. Clips to choose by are neither those that the
    network learnt from nor those that it is scored on.

    Parameters
    ----------
    clips : DataFrame
        ``file``, ``label``, ``onset_s`` (NaN without an event).
    probabilities : sequence of array_like, shape (time,)
        One a clip.
    hop_s, n_back, collar_s
        As in `locate_events` and `count_events`.
    thresholds : sequence of float
        Tried; of several equally good ones the middle one is taken.

    Returns
    -------
    float

    Examples
    --------
    >>> clips = pd.DataFrame({"file": list("ab"), "label": "gunshot", "onset_s": [0.5, None]})
    >>> sequences = [[0.1, 0.4, 0.4], [0.2, 0.1, 0.2]]
    >>> choose_threshold(clips, sequences, hop_s=0.5, thresholds=[0.1, 0.2, 0.25, 0.3, 0.4])
    0.25
    """
    rates = []
    for threshold in thresholds:
        onsets = locate_events(
            clips, probabilities, hop_s=hop_s, threshold=threshold, n_back=n_back
        )
        rates.append(error_rates(count_events(clips, onsets, collar_s=collar_s))["error_rate"])
    best = np.flatnonzero(np.array(rates) == min(rates))
    return float(thresholds[best[(len(best) - 1) // 2]])


def describe_events(counts, *, average="Average", n_resamples=1000, level=0.95, seed=0):
    """Scores a class and their mean over classes, with bootstrap intervals over files.

    Parameters
    ----------
    counts : DataFrame or sequence of DataFrame
        From `count_events`: one, or one a training (of other seeds, say) on the same files;
        scores are then means over the trainings.
    average : str
        Name of the row with the mean over classes.
    n_resamples, level, seed
        Draws of files with replacement within each class, share of them in the interval,
        and their seed. The interval tells how much other mixtures of the same sources would
        differ, neither other sources nor other trainings.

    Returns
    -------
    DataFrame
        ``event``, ``error_rate``, ``error_rate_low``, ``error_rate_high``, ``deletion_rate``,
        ``insertion_rate``, ``f1``, ``error_rate_best`` and ``error_rate_worst`` of the trainings.

    Examples
    --------
    >>> reference = pd.DataFrame({"file": list("abcd"), "label": "gunshot", "onset_s": 7.0})
    >>> found = describe_events(count_events(reference, reference[:3]))
    >>> found.loc[0, ["error_rate", "error_rate_low", "error_rate_high"]].astype(str).tolist()
    ['0.25', '0.0', '0.75']
    """
    runs = [counts] if isinstance(counts, pd.DataFrame) else list(counts)
    rng, scores, drawn = np.random.default_rng(seed), {}, {}
    for label in runs[0]["label"].unique():
        mine = [run[run["label"] == label] for run in runs]
        if any(run["file"].tolist() != mine[0]["file"].tolist() for run in mine):
            raise CorpusError(f"counts: trainings were scored on other files of {label}")
        scores[label] = pd.DataFrame([error_rates(run) for run in mine])
        n_reference, n = mine[0]["n_reference"].to_numpy(), len(mine[0])
        errors = [r["n_reference"] + r["n_estimated"] - 2 * r["n_matched"] for r in mine]
        draws = rng.multinomial(n, np.full(n, 1 / n), size=n_resamples)
        with np.errstate(invalid="ignore", divide="ignore"):
            ratios = (draws @ np.mean(errors, axis=0)) / (draws @ n_reference)
        drawn[label] = np.where(np.isfinite(ratios), ratios, np.nan)  # no event was drawn
    scores[average] = sum(scores.values()) / len(scores)
    drawn[average] = np.mean(list(drawn.values()), axis=0)
    rows = []
    for label, of_runs in scores.items():
        known = drawn[label][np.isfinite(drawn[label])]
        quantiles = [(1 - level) / 2, (1 + level) / 2]
        low, high = np.quantile(known, quantiles) if len(known) else (np.nan, np.nan)
        mean = of_runs[["deletion_rate", "insertion_rate", "f1"]].mean(skipna=False)
        rates = of_runs["error_rate"]
        rows.append(
            {"event": label, "error_rate": rates.mean(skipna=False)}
            | {"error_rate_low": low, "error_rate_high": high}
            | mean.to_dict()
            | {"error_rate_best": rates.min(), "error_rate_worst": rates.max()}
        )
    return pd.DataFrame(rows)
