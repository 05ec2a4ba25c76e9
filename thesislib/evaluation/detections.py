"""Systems of detectors: which networks, how averaged, and by which rule they decide (8.2.2)."""

from dataclasses import dataclass, replace

import pandas as pd
from sklearn.base import clone

from thesislib.evaluation.event_scores import (
    choose_rule,
    describe_rates,
    split_events,
    tabulate_events,
)
from thesislib.evaluation.events import locate_events
from thesislib.representations.event_training import fit_detectors, predict_detectors, read_frames
from thesislib.representations.sliding import average_clips


@dataclass(frozen=True)
class DetectionSystem:
    """A system of Tables 8.6 and 8.7.

    Attributes
    ----------
    name : str
        In the predictions.
    kind : str
        Kind of its networks; empty for a system that detects nothing.
    time_steps : tuple of int or None
        Of its networks, whose probabilities are averaged; None: the ensemble of each class.
    sliding : bool
        Whether chunks overlap.
    rule : {"peak", "validation", "onsets", "median filter"}
        The peak rule with the given thresholds, or with thresholds selected on the validation
        mixtures, or with thresholds, search back and smoothing selected there, or the rule of the
        challenge's baseline.
    """

    name: str
    kind: str = ""
    time_steps: tuple | None = None
    sliding: bool = False
    rule: str = "peak"


#: Experiment of the systems whose thresholds are selected on the validation mixtures.
TUNED = "Extension: thresholds from validation"
#: The same with how the onset is searched: how far back, and in how smooth a curve, in seconds.
ONSETS = "Extension: thresholds and onset rule from validation"
BACK_S, SMOOTH_S = (1.0, 0.5), (0.0, 0.25, 0.5)
ALONE, SLIDING = "w/o sliding ensemble", "with sliding ensemble"


def list_systems(time_steps):
    """Systems of Tables 8.6 and 8.7, by experiment and by their name there.

    Parameters
    ----------
    time_steps : sequence of int
        Of experiment 2; the CNN has the longest.

    Returns
    -------
    dict of str to dict of str to DetectionSystem

    Examples
    --------
    >>> systems = list_systems([3, 50])
    >>> list(systems["Experiment 2"]), systems[TUNED][SLIDING].name
    (['t(3)', 't(50)'], 'CRNN with sliding ensemble, thresholds from validation')
    """
    longest = (max(time_steps),)
    baseline, cnn = "Baseline with the peak rule", "CNN with a FFNN"
    experiments = {
        "": {
            "Detects nothing": DetectionSystem("Detects nothing"),
            "Baseline": DetectionSystem("FFNN, median filter", "FFNN", (1,), rule="median filter"),
            baseline: DetectionSystem("FFNN, peak rule", "FFNN", (1,)),
            cnn: DetectionSystem(cnn, "CNN", longest),
        },
        "Experiment 1": {
            "log mel-spectra + ∆": DetectionSystem("CRNN on log mel and derivatives", "CRNN + Δ")
        },
        "Experiment 2": {
            f"t({tau})": DetectionSystem(f"CRNN, t({tau})", "CRNN", (tau,)) for tau in time_steps
        },
        "Experiment 3": {
            ALONE: DetectionSystem("CRNN without sliding ensemble", "CRNN"),
            SLIDING: DetectionSystem("CRNN with sliding ensemble", "CRNN", sliding=True),
        },
    }
    tuned = {
        name: replace(system, name=f"{system.name}, thresholds from validation", rule="validation")
        for experiment in ("", "Experiment 3")
        for name, system in experiments[experiment].items()
        if system.kind and system.rule == "peak"
    }
    onsets = {
        name: replace(system, name=f"{system.name}, onset rule from validation", rule="onsets")
        for name, system in experiments["Experiment 3"].items()
    }
    return {**experiments, TUNED: tuned, ONSETS: onsets}


def list_onset_rules(n_back, hop_s):
    """Onset rules to choose among: the given search back and shorter ones, smooth or not.

    Parameters
    ----------
    n_back : int
        Frames.
    hop_s : float
        Seconds between frames.

    Returns
    -------
    list of dict

    Examples
    --------
    >>> list_onset_rules(3, 0.5)[:4:3]
    [{'n_back': 3, 'smooth_s': 0.0}, {'n_back': 2, 'smooth_s': 0.0}]
    """
    backs = dict.fromkeys([n_back, *(round(s / hop_s) for s in BACK_S if s / hop_s < n_back)])
    return [{"n_back": back, "smooth_s": smooth} for back in backs for smooth in SMOOTH_S]


class DetectorGrid:
    """Detectors of all classes, kinds, time steps and seeds, with their frame probabilities.

    Parameters
    ----------
    clips : dict of str to dict of str to Corpus
        Class to partition to its mixtures.
    frames : dict of str to LogMelFrames
        By kind of network; the first is kept in memory as ``data``.
    sr : int
    store : FeatureStore
    n_jobs : int

    Attributes
    ----------
    data : dict of str to dict of str to (ndarray, ndarray)
        Class to partition to frames and frame labels.
    detectors : dict
        (class, kind, time step, seed) to the fitted detector.
    """

    def __init__(self, clips, frames, *, sr, store, n_jobs=1):
        self.clips, self.frames, self.sr, self.store, self.n_jobs = clips, frames, sr, store, n_jobs
        self.detectors, self._probabilities = {}, {}
        first = next(iter(frames.values()))
        self.data = {label: self._read(label, first) for label in clips}

    def _read(self, label, frames):
        return {
            part: read_frames(own, frames, sr=self.sr, n_jobs=self.n_jobs)
            for part, own in self.clips[label].items()
        }

    def fit(self, label, models, *, sliding=()):
        """Train the detectors of a class, and predict all its mixtures.

        Parameters
        ----------
        label : str
        models : dict of (str, int, int) to FrameDetector
            Kind, time step and seed to an unfitted detector.
        sliding : sequence of int
            Time steps whose first kind also predicts with overlapping chunks.
        """
        first = next(iter(self.frames))
        read = {self.frames[first]: self.data[label]}
        for kind in dict.fromkeys(kind for kind, *_ in models):
            if self.frames[kind] not in read:
                read[self.frames[kind]] = self._read(label, self.frames[kind])
        own = {kind: read[self.frames[kind]] for kind, *_ in models}
        tasks = {
            (label, *key): (model, own[key[0]]["training"], own[key[0]]["validation"])
            for key, model in models.items()
        }
        fitted = fit_detectors(tasks, self.store, n_jobs=self.n_jobs)
        inputs = {
            (*key, part, overlap): (model, own[key[1]][part][0], overlap)
            for key, model in fitted.items()
            for part in self.clips[label]
            for overlap in ([False, True] if key[1] == first and key[2] in sliding else [False])
        }
        self._probabilities |= predict_detectors(inputs, self.store, n_jobs=self.n_jobs)
        self.detectors |= fitted

    def fit_all(self, crnn, ffnn, *, time_steps, ensembles, batch_sizes, seeds):
        """Train what :func:`list_systems` needs, for every class and seed.

        Parameters
        ----------
        crnn : CRNN
            Unfitted; ``chunk_frames``, ``batch_size``, ``random_state``, ``n_channels`` and
            ``n_recurrent`` are replaced.
        ffnn : FFNN
            Unfitted.
        time_steps : sequence of int
        ensembles : dict of str to sequence of int
            Class to the time steps of its ensemble.
        batch_sizes : dict of str to dict of int to int
            Class to time step to batch size.
        seeds : sequence of int
        """
        for label in self.clips:
            models = {}
            for seed in seeds:
                for tau in sorted({*time_steps, *ensembles[label]}):
                    settings = {"chunk_frames": tau, "batch_size": batch_sizes[label][tau]}
                    model = clone(crnn).set_params(**settings, random_state=seed)
                    models["CRNN", tau, seed] = model
                    if tau in ensembles[label]:
                        models["CRNN + Δ", tau, seed] = clone(model).set_params(n_channels=2)
                    if tau == max(time_steps):
                        models["CNN", tau, seed] = clone(model).set_params(n_recurrent=0)
                models["FFNN", 1, seed] = clone(ffnn).set_params(random_state=seed)
            self.fit(label, models, sliding=ensembles[label])

    def members(self, ensembles, seed):
        """Networks of each class's ensemble, trained with a seed."""
        return {
            label: [self.detectors[label, "CRNN", tau, seed] for tau in ensembles[label]]
            for label in self.clips
        }

    def average(self, label, system, time_steps, seed, part):
        """Mean probabilities of a system's networks for the mixtures of a partition."""
        return average_clips(
            [
                self._probabilities[label, system.kind, tau, seed, part, system.sliding]
                for tau in time_steps
            ]
        )


def fill_classes(values, classes):
    """Values by class, with those of ``other`` for the classes that are not named.

    Examples
    --------
    >>> fill_classes({"gunshot": 0.5, "other": 0.8}, ["gunshot", "siren"])
    {'gunshot': 0.5, 'siren': 0.8}
    """
    return {label: values.get(label, values["other"]) for label in classes}


def size_batches(sizes, time_steps, *, scale=True):
    """Batch size of each class and time step, in chunks (Table 8.4 has chunks of 50 frames).

    Parameters
    ----------
    sizes : dict of str to int
        By class, for chunks of 50 frames.
    time_steps : dict of str to sequence of int
    scale : bool
        Whether shorter chunks have larger batches, of about as many frames.

    Examples
    --------
    >>> size_batches({"gunshot": 64}, {"gunshot": [5, 50]})
    {'gunshot': {5: 640, 50: 64}}
    """
    return {
        label: {tau: size * (max(1, round(50 / tau)) if scale else 1) for tau in time_steps[label]}
        for label, size in sizes.items()
    }


@dataclass(frozen=True)
class Decisions:
    """What a system detects.

    Attributes
    ----------
    tables : dict of str to dict of int to DataFrame
        Partition to seed to the predictions for the mixtures of all classes.
    rules : dict of str to dict of int to dict
        Class to seed to the rule in use: threshold, search back and smoothing.
    curves : dict of str to dict of str to list
        Class to partition to the probabilities of the first seed.
    """

    tables: dict
    rules: dict
    curves: dict

    def error_rates(self, part):
        """Error rate of each event and of their average, over the seeds."""
        by_event = split_events(self.tables[part])
        return {event: describe_rates(own)["error_rate"] for event, own in by_event.items()}

    def describe(self, name):
        """Thresholds, ``n_back`` or ``smooth_s`` of each class as text, seed by seed."""
        return {
            label: " ".join(f"{rule[name]:g}" for rule in by_seed.values() if name in rule)
            for label, by_seed in self.rules.items()
        }


def decide_events(
    grid,
    system,
    *,
    seeds,
    parts,
    ensembles,
    thresholds,
    groups=None,
    n_back=220,
    collar_s=0.5,
    median_s=0.54,
):
    """Detect events with a system, in the mixtures of all classes and with every seed.

    Parameters
    ----------
    grid : DetectorGrid
    system : DetectionSystem
    seeds : sequence of int
    parts : sequence of str
        Partitions to decide.
    ensembles, thresholds : dict of str to sequence of int, or to float
        By class.
    groups : dict of str to str, optional
        As in :func:`~thesislib.evaluation.event_scores.tabulate_events`.
    n_back, collar_s, median_s
        As in :func:`~thesislib.evaluation.events.locate_events` and
        :func:`~thesislib.evaluation.events.count_events`.

    Returns
    -------
    Decisions
    """
    tables = {part: {seed: [] for seed in seeds} for part in parts}
    used, curves = {}, {}
    for label, own in grid.clips.items():
        steps = (system.time_steps or ensembles[label]) if system.kind else ()
        hop_s = grid.frames[system.kind].hop(grid.sr) if steps else 1.0
        used[label] = {}
        for seed in seeds:
            mean = {
                part: grid.average(label, system, steps, seed, part) if steps else []
                for part in dict.fromkeys(["validation", *parts])
            }
            rule = {"threshold": thresholds[label], "n_back": n_back}
            if system.rule in ("validation", "onsets"):
                tried = [{"n_back": n_back}]
                tried = list_onset_rules(n_back, hop_s) if system.rule == "onsets" else tried
                how = {"hop_s": hop_s, "rules": tried, "collar_s": collar_s}
                rule = choose_rule(own["validation"].index, mean["validation"], **how)
            elif system.rule == "median filter":
                rule = {"threshold": 0.5, "median_s": median_s}
            used[label][seed] = rule
            curves.setdefault(label, mean)
            for part in parts:
                clips = own[part].index
                detected = clips if steps else clips[:0]
                onsets = locate_events(detected, mean[part], hop_s=hop_s, **rule)
                table = tabulate_events(clips, onsets, groups=groups, collar_s=collar_s)
                tables[part][seed].append(table)
    joined = {
        part: {seed: pd.concat(each, ignore_index=True) for seed, each in by_seed.items()}
        for part, by_seed in tables.items()
    }
    return Decisions(joined, used, curves)
