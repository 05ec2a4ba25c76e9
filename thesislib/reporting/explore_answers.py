"""Clips that a table has scored, one at a time: heard, seen, answered, explained (thesis 11.2).

:func:`explore_decisions` and :func:`explore_detections` are what the experiments' notebooks end
with. The answers are the table's own: those of a model that has not learnt from the clip. What
is drawn beside them depends on the system, and is made by one of

- :class:`MachineOnPlots`: a linear SVM on a network's activations, with integrated gradients;
- :class:`BagOnPlots`: bags of activations. Counts have no gradients, so chunks are left out
  one by one;
- :func:`draw_reconstruction`: an autoencoder gives a spectrogram back.
"""

from dataclasses import dataclass, replace

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.cm import ScalarMappable
from matplotlib.colors import ListedColormap, Normalize

from thesislib.evaluation.classifiers import decision_values
from thesislib.evaluation.events import locate_events
from thesislib.reporting.attribution import (
    MISSING,
    ExplanationError,
    attribute_frame,
    attribute_picture,
    fit_machine,
    plot_attribution,
    read_coefficients,
)
from thesislib.reporting.explore import choose, display_and_close
from thesislib.reporting.figures import (
    describe_values,
    frequency_ticks,
    plot_audio,
    plot_detection,
    plot_reconstructions,
)
from thesislib.representations.extraction import read_items
from thesislib.representations.sliding import predict_ensemble
from thesislib.spectra.plot import colour_table


@dataclass(frozen=True)
class ScoredClip:
    """One clip and one answer to it.

    ``row`` is its position in the corpus, ``fold`` the fold that tests it (None with partitions),
    ``truth`` and ``predicted`` are class names; ``parts`` holds (signal, sampling rate) of each
    chunk, ``starts_s`` where they begin in the clip, and ``part`` is the one that is looked at.
    """

    row: int
    fold: object
    truth: str
    predicted: str
    parts: list
    starts_s: list
    part: int = 0


def explore_decisions(corpus, decisions, draw, *, reading, system, note=""):
    """Choose a clip that a table has scored: hear it, and see the answer beside the truth.

    Parameters
    ----------
    corpus : Corpus
    decisions : Predictions
        Of a table's row; its ``rows`` are rows of the corpus.
    draw : callable
        Gets a :class:`ScoredClip`, returns a list of what is displayed.
    reading : Reading
        How the clips are read; one with chunks gives a choice of the chunk, too, if ``draw`` has
        an attribute ``n_parts`` above 1.
    system : str
        What answers.
    note : str
        Small print: corpus, kind, weights.
    """
    from IPython.display import Audio, Markdown

    whole = replace(reading, chunk_s=None, hop_s=None)
    names = [path.name for path in corpus.paths]

    def show(clip, part=0):
        row, only = decisions.rows[clip], np.arange(len(corpus)) == decisions.rows[clip]
        alone = corpus.select(only)
        parts = read_items(alone, reading=reading)[0]
        ((y, sr),) = read_items(alone, reading=whole)[0]
        hop_s = reading.hop_s or 0.0
        scored = ScoredClip(
            row=int(row),
            fold=None if decisions.folds is None else decisions.folds[clip],
            truth=str(decisions.truth[clip]),
            predicted=str(decisions.predicted[clip]),
            parts=parts,
            starts_s=[i * hop_s for i in range(len(parts))],
            part=min(part, len(parts) - 1),
        )
        values = ", ".join(
            f"{name} {value:+.3f}" for name, value in zip(decisions.classes, decisions.values[clip])
        )
        said = (
            f"**{names[row]}** is **{scored.truth}**; {system} says **{scored.predicted}** "
            f"({values}). *{note}*"
        )
        display_and_close(Audio(data=y, rate=sr), Markdown(said), *draw(scored))

    choices = {"clip": _list_clips(names, decisions)}
    n_parts = getattr(draw, "n_parts", 1)
    if n_parts > 1:
        choices["part"] = {f"from {i * reading.hop_s:g} s": i for i in range(n_parts)}
    choose(show, **choices)


def _list_clips(names, decisions):
    """Every answer by its clip's name, with truth and answer; names that repeat are numbered."""
    found = {}
    for position, row in enumerate(decisions.rows):
        name = f"{names[row]}: {decisions.truth[position]}, said {decisions.predicted[position]}"
        found[name if name not in found else f"{name} ({position + 1})"] = position
    return found


class MachineOnPlots:
    """A linear SVM on a network's activations of audio plots, asked what it goes by.

    Parameters
    ----------
    found : Extracted
        The activations that the table's machine was given.
    labels : array-like, shape (n_clips,)
    estimator : DeepSpectrum
    plot : AudioPlot
    trainings : dict
        Fold (None with partitions) to the training rows of ``found.matrix`` and the complexity.
    machine : dict, optional
    upsampling : bool
        As in :func:`thesislib.evaluation.validation.evaluate_partitions`.
    """

    def __init__(
        self, found, labels, estimator, plot, trainings, *, machine=None, upsampling=False
    ):
        self.found, self.estimator, self.plot = found, estimator, plot
        self.trainings, self.labels = trainings, np.asarray(labels)[found.rows]
        self.options = {"machine": machine, "upsampling": upsampling}
        self.n_parts = max(map(len, found.by_row))
        self._machines = {}

    def machine(self, fold):
        """The fitted machine that answers a fold."""
        if fold not in self._machines:
            rows, complexity = self.trainings[fold]
            self._machines[fold] = fit_machine(
                self.found.matrix, self.labels, rows, complexity, **self.options
            )
        return self._machines[fold]

    def attribute(self, clip):
        """Attributions of a clip's chunk to the class that was answered, and their gain."""
        machine = self.machine(clip.fold)
        weights, intercepts = read_coefficients(machine)
        answered = machine.classes_.tolist().index(clip.predicted)
        head = (weights[answered], intercepts[answered])
        return _attribute_plot(self.estimator, self.plot, clip, head)

    def __call__(self, clip):
        """Draw the plot, and beside it what the answer rests on."""
        unit = f"decision value of {clip.predicted}, a cell"
        title = f"for {clip.predicted} (light), against it (dark)"
        return _draw_explained(self.plot, clip, lambda: self.attribute(clip), title, unit)


class BagOnPlots:
    """Contributions of chunks to the decision of a linear SVM on bags of activations.

    A bag counts the nearest words of each chunk, and counts have no gradients. Each chunk is
    therefore left out in turn; its contribution is the decrease of the decision value.

    Parameters
    ----------
    found, labels, estimator, plot, machine, upsampling
        As in :class:`MachineOnPlots`.
    trainings : dict
        Fold (None with partitions) to the training rows of the corpus and the complexity.
    bag : BagOfFeatures
        Unfitted.
    """

    n_parts = 1

    def __init__(
        self, found, labels, estimator, plot, trainings, bag, *, machine=None, upsampling=False
    ):
        self.found, self.estimator, self.plot, self.bag = found, estimator, plot, bag
        self.trainings, self.labels = trainings, np.asarray(labels)
        self.options = {"machine": machine, "upsampling": upsampling}
        self._fitted = {}

    def fit(self, fold):
        """Codebook and machine that answer a fold."""
        if fold not in self._fitted:
            from sklearn.base import clone

            rows, complexity = self.trainings[fold]
            bag = clone(self.bag).fit([self.found.by_row[row] for row in rows])
            bags = bag.transform(self.found.by_row)
            self._fitted[fold] = (
                bag,
                fit_machine(bags, self.labels, rows, complexity, **self.options),
            )
        return self._fitted[fold]

    def weigh_chunks(self, clip):
        """What each chunk adds to the decision value of the class that was answered.

        Returns
        -------
        ndarray, shape (n_chunks,)
            A clip's only chunk is worth NaN: nothing would be left.
        """
        bag, machine = self.fit(clip.fold)
        frames = self.found.by_row[clip.row]
        if len(frames) < 2:
            return np.full(len(frames), np.nan)
        bags = bag.transform([frames, *(np.delete(frames, i, axis=0) for i in range(len(frames)))])
        answered = machine.classes_.tolist().index(clip.predicted)
        values = decision_values(machine, bags)[:, answered]
        return values[0] - values[1:]

    def __call__(self, clip):
        """Draw the contribution of each chunk, and the audio plot of the largest contributor."""
        worth = self.weigh_chunks(clip)
        clip = replace(clip, part=0 if np.isnan(worth).all() else int(worth.argmax()))
        return [plot_worth(clip, worth), _draw_plot(self.plot, clip)]


def plot_worth(clip, worth):
    """Bars over time: what each chunk adds to the decision value; the largest is dark."""
    figure, axes = plt.subplots(figsize=(10.6, 2.2))
    y, sr = clip.parts[0]
    colours = ["0.15" if i == clip.part else "0.65" for i in range(len(worth))]
    # Chunks may overlap; their bars begin where they do and are as wide as a hop.
    hop_s = clip.starts_s[1] - clip.starts_s[0] if len(worth) > 1 else len(y) / sr
    axes.bar(clip.starts_s, worth, hop_s, align="edge", color=colours, edgecolor="white")
    axes.axhline(0, color="black", lw=0.8)
    axes.set(
        xlabel="beginning of the chunk (s)",
        ylabel="decision value",
        title=f"what each chunk adds to {clip.predicted}",
    )
    if np.isnan(worth).all():
        axes.text(0.5, 0.5, "one chunk", ha="center", transform=axes.transAxes)
    return figure


def draw_reconstruction(clip, *, items, models, hop_s):
    """Draw a clip's spectrogram and what an autoencoder gives back of it.

    Parameters
    ----------
    clip : ScoredClip
    items : sequence of ndarray, shape (time, frequency)
        Spectrograms in [-1, 1], one a clip.
    models : dict
        Fold (None with partitions) to the fitted S2SAE that has not seen its test clips.
    hop_s : float
        Distance between frames in seconds.

    Returns
    -------
    list of matplotlib.figure.Figure
    """
    inputs, model = [items[clip.row]], models[clip.fold]
    rows = {
        "input": inputs,
        "given back": model.reconstruct(inputs),
        "from the code\nalone": model.reconstruct(inputs, decoder_input="previous"),
    }
    figure = plot_reconstructions(rows, [f"{clip.truth}, said {clip.predicted}"], hop_s=hop_s)
    figure.set_size_inches(8, 5.4)
    return [figure]


def explore_detections(
    clips, frames, detectors, *, thresholds, hop_s, band_hz, n_back=220, sliding=True, note=""
):
    """Choose a mixture: hear it, see what is detected beside the truth, and what that rests on.

    Parameters
    ----------
    clips : dict of str to Corpus
        Class to its mixtures, with ``onset_s`` and ``offset_s``; those with an event come first.
    frames : dict of str to sequence of ndarray, shape (time, n_mels)
        Class to the mixtures' log mel frames.
    detectors : dict of str to list of CRNN
        Class to its ensemble, which has not learnt from the mixtures.
    thresholds : dict of str to float
        Presence thresholds.
    hop_s : float
    band_hz : ndarray, shape (n_mels,)
        Centres of the bands.
    n_back : int
        As in :func:`~thesislib.evaluation.events.decide_onset`.
    sliding : bool
    note : str
    """
    from IPython.display import Audio, Markdown

    def show(clip):
        label, row = clip
        own, X = clips[label], np.asarray(frames[label][row])
        event = own.index.iloc[row]
        curve = predict_ensemble(detectors[label], X[np.newaxis], sliding=sliding)[0, :, 0]
        threshold = thresholds[label]
        found = locate_events(
            own.index[row : row + 1], [curve], hop_s=hop_s, threshold=threshold, n_back=n_back
        )
        decided_s = float(found["onset_s"].iloc[0]) if len(found) else None
        frame = int(curve.argmax()) if decided_s is None else round(decided_s / hop_s)
        there = not np.isnan(event["onset_s"])
        truth = f"{label} from {event['onset_s']:.2f} s" if there else f"no {label}"
        said = "nothing" if decided_s is None else f"{label} from {decided_s:.2f} s"
        why = "decided on" if len(found) else "the highest, below the threshold"
        spoken = (
            f"**{own.paths[row].name}** holds **{truth}**; the ensemble says **{said}** "
            f"(probability {curve[frame]:.3f} at {frame * hop_s:.2f} s, {why}). *{note}*"
        )
        figures = [
            plot_detection(
                X,
                {"ensemble": curve},
                hop_s=hop_s,
                truth_s=(event["onset_s"], event["offset_s"]) if there else None,
                decided_s=decided_s,
                threshold=threshold,
                title=f"{label}: the mixture and the ensemble's answer",
                band_hz=band_hz,
            )
        ]
        try:
            shares, gain = attribute_frame(detectors[label], X, frame, sliding=sliding)
            figures.append(_draw_frame(X, shares, gain, frame, hop_s, band_hz))
        except ExplanationError as error:
            figures.append(Markdown(f"*{error}*"))
        display_and_close(Audio(str(own.paths[row])), Markdown(spoken), *figures)

    listed = {
        f"{label}: {path.name}, {'event' if there else 'no event'}": (label, row)
        for label, own in clips.items()
        for row, (path, there) in enumerate(zip(own.paths, own.index["onset_s"].notna()))
    }
    choose(show, clip=dict(sorted(listed.items(), key=lambda item: item[0].endswith("no event"))))


def _draw_frame(X, shares, gain, frame, hop_s, band_hz):
    """The frames that the networks see around the one that is explained, and its attributions."""
    seen = np.flatnonzero(shares.any(axis=1))
    first, last = (seen[0], seen[-1] + 1) if len(seen) else (0, len(X))
    bands = np.linspace(0, X.shape[1] - 1, 6).round().astype(int)
    ticks = (
        (bands + 0.5) / X.shape[1],
        [f"{band_hz[band] / 1000:.2g}" for band in bands],
        "frequency (kHz, mel scale)",
    )
    return plot_attribution(
        X[first:last].T[::-1],
        shares[first:last].T[::-1],
        extent_s=((first - 0.5) * hop_s, (last - 0.5) * hop_s),
        ticks=ticks,
        titles=("log mel frames", f"for an event at {frame * hop_s:.2f} s (light), against (dark)"),
        unit="probability, a cell",
        gain=gain,
        label="power (dB)",
        marks_s=[frame * hop_s],
    )


def _attribute_plot(estimator, plot, clip, head):
    estimator = estimator.fit()
    layers = [estimator.layer] if isinstance(estimator.layer, str) else list(estimator.layer)
    y, sr = clip.parts[clip.part]
    silence = colour_table(plot.colour_map)[0]
    return attribute_picture(estimator.network_, layers, plot(y, sr=sr), head, silence=silence)


def _title_plot(plot, clip):
    where = f"from {clip.starts_s[clip.part]:g} s, " if len(clip.parts) > 1 else ""
    return f"{where}{plot.colour_map}, {plot.size_px} × {plot.size_px} px"


def _draw_plot(plot, clip):
    return plot_audio([plot], [clip.parts[clip.part]], [_title_plot(plot, clip)])


def _draw_explained(plot, clip, attribute, title, unit):
    """An audio plot as the network gets it beside its attributions; alone without captum."""
    from IPython.display import Markdown

    try:
        attributions, gain = attribute()
    except ExplanationError:
        return [_draw_plot(plot, clip), Markdown(f"*{MISSING}*")]
    y, sr = clip.parts[clip.part]
    S = plot.spectrum(y, sr=sr)
    start_s = clip.starts_s[clip.part]
    # A column is as wide as a hop and stands around its window's middle.
    times_s, half = plot.spectrum.times_s(S.shape[1], sr), plot.spectrum.lengths(sr)[1] / sr / 2
    low, high = float(S.min()), float(S.max())
    figure = plot_attribution(
        plot.draw(S, sr=sr),
        attributions,
        extent_s=(start_s + times_s[0] - half, start_s + times_s[-1] + half),
        ticks=frequency_ticks(plot, sr=sr),
        titles=(_title_plot(plot, clip), title),
        unit=unit,
        gain=gain,
        colours=ScalarMappable(
            Normalize(low, high if high > low else low + 1),
            ListedColormap(colour_table(plot.colour_map) / 255),
        ),
        label=describe_values(plot.spectrum),
    )
    return [figure]
