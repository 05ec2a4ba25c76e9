"""Clips, audio plots, networks and predictions to explore (thesis chapter 4 and 11.2).

For the notebook of chapter 4: the rows of Table 4.1, a clip to draw, the activations of a
network's layers for one image, and :func:`explore_clip`, which shows the three together.

For the experiments: :func:`explore_decisions` and :func:`explore_detections` show one clip that a
table has scored, with the predictions of the table, by a model that was not trained on the clip.
What is drawn beside them depends on the system: :func:`draw_plot`, :func:`draw_reconstruction` or
:class:`~thesislib.reporting.attribution.SVMOnPlots`.
"""

import re
from dataclasses import dataclass, replace

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch

from thesislib.audio import probe_audio, read_audio
from thesislib.corpora import load_any, open_corpus
from thesislib.corpora.index import Corpus
from thesislib.corpora.recordings import find_recordings
from thesislib.errors import CorpusError, ThesisError, check_number
from thesislib.evaluation.events import locate_events
from thesislib.reporting.escape import markdown
from thesislib.reporting.figures import (
    plot_audio,
    plot_detection,
    plot_layers,
    plot_reconstructions,
    title_plot,
)
from thesislib.reporting.tables import OURS, THESIS
from thesislib.representations.extraction import read_items
from thesislib.representations.networks import describe_layers, input_size
from thesislib.representations.sliding import predict_ensemble
from thesislib.spectra.plot import AudioPlot


def summarise_layers(network):
    """Summarise a built network as rows of Table 4.1; equal consecutive convolutions share a row.

    Parameters
    ----------
    network : Network

    Returns
    -------
    pandas.DataFrame
        ``network``, ``position``, ``kind``, ``layer`` (fc6, fc7, where it has such a name),
        ``n_layers``, ``kernel_size``, ``n_channels``, ``stride``, ``n_units``, ``variant``.
        Rectifiers and dropout are left out, as in the thesis. There is no softmax, since the
        models return logits.

    Examples
    --------
    >>> from thesislib.representations.networks import build_network
    >>> table = summarise_layers(build_network("alexnet", weights="random"))
    >>> table.loc[table["kind"] == "conv", ["n_layers", "n_channels"]].values.tolist()
    [[1, 64], [1, 192], [1, 384], [2, 256]]
    """
    layers = describe_layers(network)
    alike = ["kind", "kernel", "channels", "stride"]
    same = (layers[alike].astype(str) == layers[alike].astype(str).shift()).all(axis=1)
    block = (~(same & (layers["kind"] == "conv"))).cumsum()
    table = layers.groupby(block).first().reset_index(drop=True)
    dense, convolutions = table["kind"] == "fully connected", table["kind"] == "conv"
    n_layers = pd.Series(block.value_counts(sort=False).to_numpy(), dtype="Int64")
    return pd.DataFrame(
        {
            "network": network.name,
            "position": np.arange(1, len(table) + 1),
            "kind": table["kind"],
            "layer": table["name"],
            "n_layers": n_layers.where(convolutions),
            "kernel_size": table["kernel"],
            "n_channels": table["channels"].where(convolutions),
            "stride": table["stride"],
            "n_units": table["channels"].where(dense),
            "variant": network.variant,
        }
    )


def chain_channels(table):
    """List the channels of the convolutions in order, ours beside the thesis's.

    Parameters
    ----------
    table : pandas.DataFrame
        Table 4.1 with the columns ``source``, ``network``, ``kind``, ``n_layers``, ``n_channels``.

    Returns
    -------
    pandas.DataFrame
        One row per network in both sources; one column per source, and ``same``.

    Examples
    --------
    >>> table = pd.DataFrame({"source": ["this run", "thesis"], "network": ["alexnet", "AlexNet"],
    ...                       "kind": "conv", "n_layers": [2, 1], "n_channels": [64, 96]})
    >>> chain_channels(table).loc["alexnet", ["this run", "thesis"]].tolist()
    ['64-64', '96']
    """
    chains = {}
    for row in table[table["kind"] == "conv"].itertuples():
        chain = chains.setdefault(row.network.lower(), {OURS: [], THESIS: []})
        chain[row.source] += [str(int(row.n_channels))] * int(row.n_layers)
    both = {name: chain for name, chain in chains.items() if all(chain.values())}
    channels = pd.DataFrame(both, index=[OURS, THESIS]).map("-".join).T
    return channels.assign(same=channels[OURS] == channels[THESIS]).rename_axis("network")


def open_clips(name, *, corpus="", audio="", **settings):
    """Open a recording, a folder of recordings or a corpus.

    Parameters
    ----------
    name : str
        Module of the synthetic corpus that is used if neither folder is named.
    corpus : path
        Folder of a corpus, or empty.
    audio : path
        A recording or a folder of recordings; takes precedence over ``corpus``.
    **settings
        Of :func:`thesislib.corpora.open_corpus`, for the synthetic corpus.

    Returns
    -------
    Corpus

    Raises
    ------
    CorpusError
        If the folder holds no corpus, or no recordings.
    """
    if audio:
        root, names, _, _ = find_recordings([audio])
        index = pd.DataFrame({"file": names, "label": None})
        return Corpus(index, root, name="own recordings")
    return load_any(corpus).check() if corpus else open_corpus(name, **settings)


def find_clip(corpus, ending=""):
    """Return the path of the first file of a corpus whose name ends with ``ending``.

    Raises
    ------
    CorpusError
        If there is no such file.

    Examples
    --------
    >>> index = pd.DataFrame({"file": ["wav/a.wav", "wav/b.wav"], "label": ["x", "y"]})
    >>> find_clip(Corpus(index, "data", name="example"), "b.wav").as_posix()
    'data/wav/b.wav'
    """
    for path in corpus.paths:
        if path.as_posix().endswith(ending):
            return path
    raise CorpusError(f"{corpus.name}: found no file that ends in {ending!r}, expected one")


def read_excerpt(path, *, sr=None, start_s=0.0, clip_s=5.0):
    """Read an excerpt of a recording.

    Parameters
    ----------
    path : str or Path
    sr : int, optional
        Sampling rate to convert to; None keeps the file's own.
    start_s, clip_s : float
        Start and length of the excerpt; it ends no later than the recording.

    Returns
    -------
    y : ndarray, shape (n_samples,), float32
    sr : int

    Raises
    ------
    AudioError, ParameterError
        If the file cannot be read, or the recording ends before ``start_s``.
    """
    length_s = probe_audio(path).duration_s
    check_number("start_s", start_s, low=0, high=length_s)
    check_number("clip_s", clip_s, low=0, open_low=True)
    return read_audio(path, sr=sr, start_s=start_s, end_s=min(start_s + clip_s, length_s))


def activate_layers(network, image, layers):
    """Activations of a network's layers for one image, in the shape of each layer.

    Parameters
    ----------
    network : Network
    image : ndarray, shape (height, width, 3), uint8
    layers : sequence of str
        Such as ``features.0`` or ``fc7``; see :attr:`Network.layers`.

    Returns
    -------
    dict of str to ndarray, float32
        Shape (n_maps, height, width) for feature maps, else (n_features,). Rows of a map run
        from the top of the image down.

    Raises
    ------
    ParameterError
        If a layer is unknown; lists the layers.

    Examples
    --------
    >>> from thesislib.representations.networks import build_network
    >>> network = build_network("squeezenet1_1", weights="random")
    >>> maps = activate_layers(network, np.zeros((64, 64, 3), np.uint8), ["features.0", "logits"])
    >>> [values.shape for values in maps.values()]
    [(64, 31, 31), (1000,)]
    """
    shapes, modules = {}, dict(network.model.named_modules())
    # The network returns flattened activations; hooks read their shapes.
    hooks = [
        modules[layer].register_forward_hook(
            lambda _, __, output, layer=layer: shapes.update({layer: output.shape[1:]})
        )
        for layer in network.check_layers(layers)
        if layer in modules
    ]
    device = next(network.model.parameters()).device
    try:
        with torch.inference_mode():
            batch = torch.from_numpy(image[np.newaxis]).to(device)
            activations = network.activations(batch, list(layers))
    finally:
        for hook in hooks:
            hook.remove()
    return {
        layer: values[0].reshape(shapes.get(layer, (-1,))).cpu().numpy()
        for layer, values in activations.items()
    }


def choose(show, **choices):
    """Show a widget for each choice. In a batch run, show the first choice once, without widgets.

    With a front end that takes input (``make lab``), each change calls ``show`` again, and errors
    are displayed in one line. In a batch run the notebook holds plain outputs and no widgets.

    Parameters
    ----------
    show : callable
        Called with a value for each choice; displays something.
    **choices : dict of str to object, str or float
        dict: drop-down, label to value. str: text field. float: number field (>= 0).

    Examples
    --------
    >>> choose(lambda clip, gain: print(clip, gain), clip={"first": "a.wav", "second": "b.wav"},
    ...        gain=1.0)
    a.wav 1.0
    """
    if not _is_attended():
        show(
            **{k: next(iter(c.values())) if isinstance(c, dict) else c for k, c in choices.items()}
        )
        return
    from IPython.display import Markdown, display
    from ipywidgets import BoundedFloatText, Dropdown, Layout, Text, interactive

    def show_or_report(**values):
        try:
            show(**values)
        except ThesisError as error:
            display(Markdown(f"**{markdown(error)}**"))

    controls = {}
    for name, choice in choices.items():
        label = re.sub("_s$", " (s)", name).replace("_", " ")
        options = {"description": label, "layout": Layout(width="38em")}
        if isinstance(choice, dict):
            controls[name] = Dropdown(options=list(choice.items()), **options)
        elif isinstance(choice, str):
            controls[name] = Text(choice, continuous_update=False, **options)
        else:
            controls[name] = BoundedFloatText(choice, min=0, max=86400, step=0.5, **options)
    display(interactive(show_or_report, **controls))


def _is_attended():
    """Whether the front end takes input; it does not in a batch run."""
    from IPython import get_ipython

    return bool(getattr(getattr(get_ipython(), "kernel", None), "_allow_stdin", False))


def _display_and_close(*outputs):
    """Display outputs in order and close figures; a notebook shows open figures twice."""
    from IPython.display import display

    display(*outputs)
    for figure in outputs:
        if isinstance(figure, plt.Figure):
            plt.close(figure)


def explore_clip(
    path,
    spectrum,
    colour_map,
    layer,
    *,
    network,
    own="",
    start_s=0.0,
    clip_s=5.0,
    sr=None,
    size_px=0,
):
    """Play an excerpt, draw its audio plot and the activations of a layer for that plot.

    Intended for :func:`choose`; called directly, it shows the same once.

    Parameters
    ----------
    path : str or Path
        Recording.
    spectrum : Spectrum
    colour_map : str
    layer : str
        Of the network.
    network : Network
    own : str
        Path of another recording; takes precedence over ``path`` unless it is empty.
    start_s, clip_s, sr
        As in :func:`read_excerpt`.
    size_px : int
        Side of the network's input image; 0 is the network's own size.

    Raises
    ------
    AudioError, ParameterError
        If the recording cannot be read or a setting is invalid.
    """
    from IPython.display import Audio

    y, sr = read_excerpt(own.strip() or path, sr=sr, start_s=start_s, clip_s=clip_s)
    plot = AudioPlot(spectrum, colour_map=colour_map, size_px=size_px or input_size(network.name))
    activations = activate_layers(network, plot(y, sr=sr), [layer])
    image = plot_audio([plot], [(y, sr)], [f"{spectrum.kind}, {colour_map}"])
    _display_and_close(Audio(data=y, rate=sr), image, plot_layers(activations))


@dataclass(frozen=True)
class ScoredClip:
    """One clip and its prediction.

    ``row`` is its position in the corpus, ``fold`` the fold that tests it (None with partitions),
    ``truth`` and ``predicted`` are class names; ``parts`` holds (signal, sampling rate) of each
    chunk, ``starts_s`` their start times in the clip, and ``part`` is the chunk to draw.
    """

    row: int
    fold: object
    truth: str
    predicted: str
    parts: list
    starts_s: list
    part: int = 0


def draw_examples(corpus, plots, *, reading, partition=None, max_s=None, classes=None):
    """Play the first clip of each class, and draw its audio plots.

    Parameters
    ----------
    corpus : Corpus
    plots : dict of str to AudioPlot
        By title; one column each, on the width of a page, or with a single plot one column per
        class.
    reading : Reading
    partition : str, optional
        Of the clips.
    max_s : float, optional
        Longer clips are cut.
    classes : list of str, optional
        In this order; default: all, sorted.

    Returns
    -------
    matplotlib.figure.Figure
    """
    from IPython.display import Audio, Markdown, display

    rows = np.arange(len(corpus)) if partition is None else corpus.rows(partition)
    labels = corpus.labels[rows]
    sounds, titles = [], []
    for name in [name for name in classes or corpus.classes if (labels == name).any()]:
        alone = corpus.select(np.arange(len(corpus)) == rows[labels == name][0])
        y, sr = read_items(alone, reading=reading)[0][0]
        y = y if max_s is None else y[: round(max_s * sr)]
        display(Markdown(markdown(name)), Audio(data=y, rate=sr))
        sounds += [(y, sr)] * len(plots)
        titles += [": ".join(filter(None, [name, title])) for title in plots]
    several = len(plots) > 1
    drawn = list(plots.values()) * (len(titles) // len(plots))
    n_columns = len(plots) if several else 4
    return plot_audio(drawn, sounds, titles, n_columns=n_columns, page=several)


def explore_decisions(corpus, predictions, draw, *, reading, system, note=""):
    """Choose a clip that a table has scored; play it, show its prediction and its true class.

    Parameters
    ----------
    corpus : Corpus
    predictions : Predictions
        Of a row of the table; its ``rows`` are rows of the corpus.
    draw : callable
        Takes a :class:`ScoredClip`, returns a list of outputs to display.
    reading : Reading
        How the clips are read; with chunks, the time ``start_s`` chooses the chunk to draw.
    system : str
        Name of the classifier.
    note : str
        Small print: corpus, kind, weights.
    """
    from IPython.display import Audio, Markdown

    whole = replace(reading, chunk_s=None, hop_s=None)
    names = [path.name for path in corpus.paths]

    def show(clip, start_s=0.0):
        row, truth, predicted = (
            getattr(predictions, name)[clip] for name in ("rows", "truth", "predicted")
        )
        alone = corpus.select(np.arange(len(corpus)) == row)
        parts = read_items(alone, reading=reading)[0]
        ((y, sr),) = read_items(alone, reading=whole)[0]
        starts_s = [i * (reading.hop_s or 0.0) for i in range(len(parts))]
        part = max(0, int(np.searchsorted(starts_s, start_s, side="right")) - 1)
        fold = None if predictions.folds is None else predictions.folds[clip]
        scored = ScoredClip(int(row), fold, str(truth), str(predicted), parts, starts_s, part)
        each, what = [f"{value:+.3f}" for value in predictions.values[clip]], "score of each class"
        if predictions.votes is not None:
            what = "votes of chunks and sum of their scores for each class"
            each = [f"{n:.0f}, {value}" for n, value in zip(predictions.votes[clip], each)]
        listed = "; ".join(f"{markdown(n)} {text}" for n, text in zip(predictions.classes, each))
        text = (
            f"**{markdown(names[row])}**: true class **{markdown(truth)}**; {markdown(system)} "
            f"predicts **{markdown(predicted)}** ({what}: {listed}). *{markdown(note)}*"
        )
        _display_and_close(Audio(data=y, rate=sr), Markdown(text), *draw(scored))

    choices = {"clip": _list_clips(names, predictions)}
    if reading.chunk_s:
        choices["start_s"] = 0.0
    choose(show, **choices)


def _list_clips(names, predictions):
    """Position of each prediction by its clip and classes; repeated names are numbered."""
    positions = {}
    for position, row in enumerate(predictions.rows):
        truth, predicted = predictions.truth[position], predictions.predicted[position]
        name = f"{names[row]}: {truth}, predicted {predicted}"
        positions[f"{name} ({position + 1})" if name in positions else name] = position
    return positions


def draw_plot(clip, *, plot):
    """Draw the audio plot of a clip's chunk.

    Parameters
    ----------
    clip : ScoredClip
    plot : AudioPlot

    Returns
    -------
    list of matplotlib.figure.Figure
    """
    start_s = clip.starts_s[clip.part]
    return [plot_audio([plot], [clip.parts[clip.part]], [title_plot(plot)], start_s=start_s)]


def draw_reconstruction(clip, *, items, models, hop_s):
    """Draw a clip's spectrogram and its reconstructions by an autoencoder.

    Parameters
    ----------
    clip : ScoredClip
    items : sequence of ndarray, shape (time, frequency)
        Spectrogram of each clip in [-1, 1].
    models : dict
        Fold (None with partitions) to the fitted S2SAE that was not trained on its test clips.
    hop_s : float
        Distance between frames in seconds.

    Returns
    -------
    list of matplotlib.figure.Figure
    """
    title = f"{clip.truth}, predicted {clip.predicted}"
    return [compare_reconstructions(models[clip.fold], [items[clip.row]], [title], hop_s=hop_s)]


def compare_reconstructions(model, clips, titles, *, hop_s):
    """Draw spectrograms above their reconstructions.

    A decoder that was trained with the true previous frames is also run on its own estimates;
    only what is visible then is in the code.

    Parameters
    ----------
    model : S2SAE
        Fitted.
    clips : list of ndarray, shape (time, frequency)
    titles : sequence of str
    hop_s : float
        Distance between frames in seconds.

    Returns
    -------
    matplotlib.figure.Figure
    """
    rows = {"input": clips, "reconstructed": model.reconstruct(clips)}
    if model.decoder_input == "teacher":
        rows["from the code\nalone"] = model.reconstruct(clips, decoder_input="previous")
    return plot_reconstructions(rows, titles, hop_s=hop_s)


def draw_detection(corpus, frames, curves, table, *, threshold, hop_s, band_hz, label):
    """Draw the first mixture with an event: input, detection curves and detected onset.

    Parameters
    ----------
    corpus : Corpus
        Mixtures of one class.
    frames : sequence of ndarray, shape (time, n_mels)
    curves : dict of str to list of ndarray, shape (time,)
        Name to the probabilities of each mixture.
    table : DataFrame
        From :func:`~thesislib.evaluation.event_scores.tabulate_events`.
    threshold, hop_s, band_hz
        As in :func:`~thesislib.reporting.figures.plot_detection`.
    label : str

    Returns
    -------
    figure : matplotlib.figure.Figure
    row : int
        Of the mixture.
    """
    row = int(corpus.index["event_present"].to_numpy().argmax())
    event = corpus.index.iloc[row]
    onset_s = table.set_index("file").loc[event["file"], "found_onset_s"]
    figure = plot_detection(
        frames[row],
        {name: curve[row] for name, curve in curves.items()},
        hop_s=hop_s,
        truth_s=(event["onset_s"], event["offset_s"]),
        decided_s=None if np.isnan(onset_s) else onset_s,
        threshold=threshold,
        title=f"{label}, event at {event['ebr_db']:+g} dB of the background",
        band_hz=band_hz,
    )
    return figure, row


def explore_detections(
    clips, frames, detectors, *, thresholds, hop_s, band_hz, n_back=220, sliding=True, note=""
):
    """Choose a mixture; play it, draw its detection curve, compare the onset with the annotation.

    Parameters
    ----------
    clips : dict of str to Corpus
        Class to its mixtures, with ``onset_s`` and ``offset_s``; those with an event come first.
    frames : dict of str to sequence of ndarray, shape (time, n_mels)
        Class to the mixtures' log mel frames.
    detectors : dict of str to list of CRNN
        Class to its ensemble, which was not trained on the mixtures.
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
        mixtures, X = clips[label], np.asarray(frames[label][row])
        event, threshold = mixtures.index[row : row + 1], thresholds[label]
        curve = predict_ensemble(detectors[label], X[np.newaxis], sliding=sliding)[0, :, 0]
        located = locate_events(event, [curve], hop_s=hop_s, threshold=threshold, n_back=n_back)
        decided_s = float(located["onset_s"].iloc[0]) if len(located) else None
        truth_s = tuple(event[["onset_s", "offset_s"]].to_numpy(float)[0])
        truth_s = None if np.isnan(truth_s[0]) else truth_s
        truth = f"{label} from {truth_s[0]:.2f} s" if truth_s else f"no {label}"
        detected = "nothing" if decided_s is None else f"{label} from {decided_s:.2f} s"
        name = mixtures.paths[row].name
        text = (
            f"**{markdown(name)}** contains **{markdown(truth)}**; the ensemble detects "
            f"**{markdown(detected)}** (highest probability {curve.max():.3f} at "
            f"{curve.argmax() * hop_s:.2f} s, threshold {threshold:g}). *{markdown(note)}*"
        )
        figure = plot_detection(
            X,
            {"ensemble": curve},
            hop_s=hop_s,
            truth_s=truth_s,
            decided_s=decided_s,
            threshold=threshold,
            title=f"{label}: log mel frames and the ensemble's probability",
            band_hz=band_hz,
        )
        _display_and_close(Audio(str(mixtures.paths[row])), Markdown(text), figure)

    listed = {
        f"{label}: {path.name}, {'event' if has_event else 'no event'}": (label, row)
        for label, mixtures in clips.items()
        for row, (path, has_event) in enumerate(
            zip(mixtures.paths, mixtures.index["onset_s"].notna())
        )
    }
    choose(show, clip=dict(sorted(listed.items(), key=lambda item: item[0].endswith("no event"))))
