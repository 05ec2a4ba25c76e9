"""The representations of the thesis behind the interface of the HEAR benchmark (chapters 4 to 6).

This module is a HEAR module (hearbenchmark.com/hear-api.html): `load_model` takes a YAML file
of settings, `get_scene_embeddings` and `get_timestamp_embeddings` take batches of audio.
`thesislib.representations.hear` is the other direction.
"""

import math
from pathlib import Path

import numpy as np
import torch

from thesislib.errors import ParameterError, check_number, check_option
from thesislib.export.recipe import make_recipe
from thesislib.places import parse_plain
from thesislib.representations.passes import run_network
from thesislib.representations.reading import Reading, chunk

#: Sampling rates in Hz that HEAR allows.
RATES = (16000, 22050, 44100, 48000)


class Model(torch.nn.Module):
    """A representation as HEAR's model.

    Parameters
    ----------
    representation : str
        As ``thesis features -r``: ``deep-spectrum``, ``ComParE_2016``, ``bag``, ``s2sae``, ….
    sr : int
        Sampling rate in Hz of the audio, one of `RATES`.
    chunk_s : float > 0, optional
        The embedding of a clip is the mean over chunks of this length, the last one filled with
        zeros. A DCGAN needs the length that it was trained on.
    timestamp_window_s, timestamp_hop_s : float > 0
        Length of the window around each timestamp, and distance between timestamps, of which
        HEAR advises at most 0.05 s. The audio is extended with zeros.
    random_state : int
    **settings
        Options of the representation, see `thesislib.export.recipe.make_recipe`. A bag needs a
        ``codebook``, S2SAE and DCGAN a ``model``: nothing is learnt here.

    Attributes
    ----------
    sample_rate, scene_embedding_size, timestamp_embedding_size : int
    """

    def __init__(
        self,
        representation="ComParE_2016",
        *,
        sr=16000,
        chunk_s=None,
        timestamp_window_s=0.5,
        timestamp_hop_s=0.05,
        random_state=0,
        **settings,
    ):
        super().__init__()
        check_option("sr", sr, RATES)
        check_number("timestamp_window_s", timestamp_window_s, low=0, open_low=True)
        check_number("timestamp_hop_s", timestamp_hop_s, low=0, open_low=True)
        reading = Reading(sr=sr, chunk_s=chunk_s)
        self.recipe = make_recipe(
            representation, settings, reading=reading, random_state=random_state
        )
        if self.recipe.needs_all:
            raise ParameterError(
                f"representation: found {representation} that is not trained, expected a codebook "
                "(bag) or a model (s2sae, dcgan)"
            )
        self.sample_rate, self.chunk_s = sr, chunk_s
        self.window_s, self.hop_s = timestamp_window_s, timestamp_hop_s
        self.scene_embedding_size = self.timestamp_embedding_size = len(self.recipe.names)

    def embed(self, signals):
        """Embeddings of mono signals, shape (n, n_features), float32."""
        cuts = {"window_s": self.chunk_s, "hop_s": self.chunk_s, "last": "pad"}
        chunks = [
            [y] if self.chunk_s is None else chunk(y, sr=self.sample_rate, **cuts)[0]
            for y in signals
        ]
        n_chunks = [len(parts) for parts in chunks]
        outputs = self._transform([part for parts in chunks for part in parts])
        if self.recipe.learner is not None:
            if self.recipe.row == "clip":  # a bag of chunks
                outputs, n_chunks = _join(outputs, n_chunks), [1] * len(signals)
            outputs = self.recipe.learn(outputs, [f"audio[{i}]" for i in range(len(outputs))])
            outputs = outputs[:, np.newaxis]
        return np.stack([part.mean(axis=0) for part in _join(outputs, n_chunks)])

    def _transform(self, signals):
        """Output of the recipe's estimator for each signal, a list of matrices."""
        estimator, spectrum, sr = self.recipe.estimator, self.recipe.spectrum, self.sample_rate
        items = [(y, sr) if spectrum is None else spectrum(y, sr=sr) for y in signals]
        if getattr(estimator, "batch_size", None):
            return run_network(estimator, items)
        return [np.atleast_2d(estimator.transform([item])[0]) for item in items]


def _join(parts, counts):
    """Consecutive matrices joined, ``counts[i]`` of them at a time."""
    ends = np.cumsum(counts)
    return [np.concatenate(parts[end - n : end]) for n, end in zip(counts, ends)]


def load_model(model_file_path=""):
    r"""Model from a YAML file with the parameters of :class:`Model`; ComParE_2016 without one.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "bands.yaml"
    >>> _ = path.write_text("representation: band-statistics\nn_mels: 4")
    >>> model = load_model(path)
    >>> model.sample_rate, model.scene_embedding_size
    (16000, 8)
    >>> get_scene_embeddings(torch.rand(2, 16000), model).shape
    torch.Size([2, 8])
    """
    settings = {}
    if model_file_path:
        try:
            text = Path(model_file_path).read_text("utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise ParameterError(f"{model_file_path}: found {error}, expected YAML") from error
        settings = parse_plain(text, where=str(model_file_path))
        if not isinstance(settings, dict):
            raise ParameterError(f"{model_file_path}: found no parameters, expected name: value")
    return Model(**settings)


def get_scene_embeddings(audio, model):
    """Embeddings of clips: (n_sounds, n_samples) → (n_sounds, n_features), float32."""
    return torch.from_numpy(model.embed(_as_signals(audio))).to(audio.device)


def get_timestamp_embeddings(audio, model):
    """Embeddings of windows around timestamps, and the timestamps.

    Parameters
    ----------
    audio : Tensor, shape (n_sounds, n_samples)
    model : Model

    Returns
    -------
    embeddings : Tensor, shape (n_sounds, n_timestamps, n_features), float32
    timestamps : Tensor, shape (n_sounds, n_timestamps), float32
        In milliseconds; the first is 0, the last at most the clip's length.
    """
    signals, sr = _as_signals(audio), model.sample_rate
    n_timestamps = math.floor(len(signals[0]) / sr / model.hop_s + 1e-9) + 1
    times_s = np.arange(n_timestamps) * model.hop_s
    width = max(1, round(model.window_s * sr))
    # Each start is rounded by itself, so that windows do not drift.
    starts = np.round(times_s * sr).astype(int)
    padded = np.pad(signals, ((0, 0), (width // 2, width)))
    rows = [model.embed([y[start : start + width] for start in starts]) for y in padded]
    times_ms = np.tile(np.float32(1000 * times_s), (len(signals), 1))
    return tuple(torch.from_numpy(each).to(audio.device) for each in (np.stack(rows), times_ms))


def _as_signals(audio):
    return audio.detach().cpu().numpy().astype(np.float32)
