"""A closer look at clips, audio plots and networks (thesis chapter 4).

What the notebook of chapter 4 needs beyond the library: the rows of Table 4.1, a clip to draw,
the answers of a network's layers to one picture, and the three together for trying out. And
:func:`choose`, which every notebook ends with: a few things to choose, and what belongs to
the choice.
"""

import re

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch

from thesislib.audio import probe_audio, read_audio
from thesislib.corpora import load_any, open_corpus
from thesislib.corpora.index import Corpus
from thesislib.corpora.recordings import find_recordings
from thesislib.errors import CorpusError, ThesisError, check_number
from thesislib.reporting.figures import plot_audio, plot_layers
from thesislib.reporting.tables import OURS, THESIS
from thesislib.representations.networks import describe_layers, input_size
from thesislib.spectra.plot import AudioPlot


def summarise_layers(network):
    """Table 4.1's rows of a built network: convolutions in a row that are alike share one.

    Parameters
    ----------
    network : Network

    Returns
    -------
    pandas.DataFrame
        ``network``, ``position``, ``kind``, ``layer`` (fc6, fc7, where it has such a name),
        ``n_layers``, ``kernel_size``, ``n_channels``, ``stride``, ``n_units``, ``variant``.
        Rectifiers and dropout are left out, as in the thesis; there is no soft-max either, since
        the models answer without it.

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
    """Channels of the convolutions, one after the other, ours beside the thesis's.

    Parameters
    ----------
    table : pandas.DataFrame
        Table 4.1 with the columns ``source``, ``network``, ``kind``, ``n_layers``, ``n_channels``.

    Returns
    -------
    pandas.DataFrame
        A row a network that both have; a column a source, and ``same``.

    Examples
    --------
    >>> table = pd.DataFrame({"source": ["this run", "thesis"], "network": ["alexnet", "AlexNet"],
    ...                       "kind": "conv", "n_layers": [2, 1], "n_channels": [64, 96]})
    >>> chain_channels(table).loc["alexnet", ["this run", "thesis"]].tolist()
    ['64-64', '96']
    """
    chains = {}
    for row in table[table["kind"] == "conv"].itertuples():
        found = chains.setdefault(row.network.lower(), {OURS: [], THESIS: []})
        found[row.source] += [str(int(row.n_channels))] * int(row.n_layers)
    both = {name: chain for name, chain in chains.items() if all(chain.values())}
    channels = pd.DataFrame(both, index=[OURS, THESIS]).map("-".join).T
    return channels.assign(same=channels[OURS] == channels[THESIS]).rename_axis("network")


def open_clips(name, *, corpus="", audio="", **settings):
    """Open what clips are taken from: a recording, a folder of recordings, or a corpus.

    Parameters
    ----------
    name : str
        Module of the synthetic corpus that serves if nothing is named.
    corpus : path
        Folder of a corpus, or empty.
    audio : path
        A recording, or a folder of some; goes before ``corpus``.
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
    """Path of the first file of a corpus whose name ends so.

    Raises
    ------
    CorpusError
        If there is none.

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
    """Read at most some seconds of a recording.

    Parameters
    ----------
    path : str or Path
    sr : int, optional
        Sampling rate to convert to; None keeps the file's own.
    start_s, clip_s : float
        Where the excerpt starts and how long it is; it ends earlier where the recording does.

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


def answer_picture(network, picture, layers):
    """Activations of a network's layers for one picture, in the layers' own shape.

    Parameters
    ----------
    network : Network
    picture : ndarray, shape (height, width, 3), uint8
    layers : sequence of str
        Such as ``features.0`` or ``fc7``; see :attr:`Network.layers`.

    Returns
    -------
    dict of str to ndarray, float32
        Shape (n_maps, height, width) where a layer answers maps, else (n_features,). Rows of a
        map run from the top of the picture down.

    Raises
    ------
    ParameterError
        If there is no such layer; lists them.

    Examples
    --------
    >>> from thesislib.representations.networks import build_network
    >>> network = build_network("squeezenet1_1", weights="random")
    >>> answers = answer_picture(network, np.zeros((64, 64, 3), np.uint8), ["features.0", "logits"])
    >>> [values.shape for values in answers.values()]
    [(64, 31, 31), (1000,)]
    """
    shapes = {}
    modules = dict(network.model.named_modules())
    # Activations come flattened; their shape is seen in passing.
    listeners = [
        modules[layer].register_forward_hook(
            lambda _, __, output, layer=layer: shapes.update({layer: output.shape[1:]})
        )
        for layer in network.check_layers(layers)
        if layer in modules
    ]
    device = next(network.model.parameters()).device
    try:
        with torch.inference_mode():
            batch = torch.from_numpy(picture[np.newaxis]).to(device)
            found = network.activations(batch, list(layers))
    finally:
        for listener in listeners:
            listener.remove()
    return {
        layer: values[0].reshape(shapes.get(layer, (-1,))).cpu().numpy()
        for layer, values in found.items()
    }


def choose(show, **choices):
    """Show what is chosen; where nobody can choose, what stands first, once.

    With a person at a front end (``make lab``) there are controls, and every change shows
    anew; an error of theirs is told in a line. A notebook that is run as a batch holds plain
    outputs, no controls.

    Parameters
    ----------
    show : callable
        Called with a value for each choice; displays something.
    **choices : dict of str to object, str or float
        A list to choose from, what is shown to what is passed on; a line of text; a number >= 0.

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

    def show_or_tell(**chosen):
        try:
            show(**chosen)
        except ThesisError as error:
            display(Markdown(f"**{error}**"))

    controls = {}
    for name, choice in choices.items():
        label = re.sub("_s$", " (s)", name).replace("_", " ")
        own = {"description": label, "layout": Layout(width="38em")}
        if isinstance(choice, dict):
            controls[name] = Dropdown(options=list(choice.items()), **own)
        elif isinstance(choice, str):
            controls[name] = Text(choice, continuous_update=False, **own)
        else:
            controls[name] = BoundedFloatText(choice, min=0, max=86400, step=0.5, **own)
    display(interactive(show_or_tell, **controls))


def _is_attended():
    """Whether somebody sits at the notebook: only then does the front end take input."""
    from IPython import get_ipython

    return bool(getattr(getattr(get_ipython(), "kernel", None), "_allow_stdin", False))


def display_and_close(*shown):
    """Display things one after the other; figures are closed, or a notebook shows them twice."""
    from IPython.display import display

    display(*shown)
    for figure in shown:
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
    """Play an excerpt, draw its audio plot, and show what a layer answers to that.

    Made for :func:`choose`; in a plain cell it shows the same once.

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
        Path of another recording; goes before ``path`` unless it is empty.
    start_s, clip_s, sr
        As in :func:`read_excerpt`.
    size_px : int
        Side of the picture that the network is given; 0 is the network's own size.

    Raises
    ------
    AudioError, ParameterError
        If the recording or a setting is no good.
    """
    from IPython.display import Audio

    y, sr = read_excerpt(own.strip() or path, sr=sr, start_s=start_s, clip_s=clip_s)
    plot = AudioPlot(spectrum, colour_map=colour_map, size_px=size_px or input_size(network.name))
    answers = answer_picture(network, plot(y, sr=sr), [layer])
    figures = [
        plot_audio([plot], [(y, sr)], [f"{spectrum.kind}, {colour_map}"]),
        plot_layers(answers),
    ]
    display_and_close(Audio(data=y, rate=sr), *figures)
