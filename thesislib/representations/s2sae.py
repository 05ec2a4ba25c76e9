"""Recurrent sequence-to-sequence autoencoder, S2SAE (thesis chapter 6; auDeep).

The network learns to reconstruct spectrograms from one vector, the *code*. The code of a clip has
a fixed size whatever the clip's length, and is its representation::

    x (batch, time, frequency)
      └─ encoder: n_layers recurrent layers of n_units units
           └─ final states, concatenated (batch, states x layers x directions x units)
                └─ dense layer, tanh ─► code (batch, code size)
                     └─ initial states of the decoder, which is a stack like the encoder
                          └─ linear projection of each step ─► x, reversed in time

This module has the estimator; its network is `thesislib.representations.autoencoder`.

What the thesis leaves open, the choice and the reason:

- *Dropout* is applied to inputs and outputs of recurrent layers (6.2) or to outputs only (8.1,
  10.1): ``dropout_on``, by default the second, as in the experiments. States and the code are
  never dropped.
- *Target*: the input reversed in time (``reverse_target``). Decoding then begins where encoding
  ended, so the first frames to decode are those that the encoder read last.
- *Decoder input*: the previous frame of the target (``teacher``), the decoder's own estimate of
  it (``previous``) or nothing (``none``); zeros at the first step. The first is the thesis's and
  auDeep's. The default is the last: with ``teacher`` the network can nearly copy the frame before,
  and a linear probe of the code finds less (`docs/decisions.md`).
- *Bidirectional decoder*: two independent stacks, one per direction, averaged after the
  projection. Sharing a layer would leak the target frame: its second layer would see, through
  the other direction, the frame that it has to predict. With ``teacher`` both stacks together
  still see every other frame, so the code matters less. ``code_share`` in ``history_`` measures
  how much: the loss is computed again with the codes of other clips.
- *Loss*: RMSE over all frames of a batch, without padding.
- *Batches* hold clips of similar length (`buckets`), so that little of a batch is padding.
"""

from dataclasses import KW_ONLY, dataclass

import numpy as np
import torch
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from thesislib.errors import SHARE, ParameterError, check_option, integer, number, option
from thesislib.representations.autoencoder import CELLS, DECODER_INPUTS, Autoencoder, buckets, pad
from thesislib.representations.saving import SIZE, SavedNetwork, check_spectrogram

# ``permuted_loss`` is computed for one batch of eight, since it needs another decoder pass (a
# quarter of a training step on a CPU).
PERMUTED_EVERY = 8
# Clips in a batch of `transform`, all of one length. Incomplete batches are filled with zeros,
# since the last bits of a network's output depend on the shape of its input.
ROWS = 16


@dataclass(eq=False, repr=False)
class S2SAE(ClassNamePrefixFeaturesOutMixin, TransformerMixin, SavedNetwork, BaseEstimator):
    """Recurrent sequence-to-sequence autoencoder; the code is the representation.

    Parameters
    ----------
    n_layers, n_units : int > 0
        Recurrent layers of encoder and of decoder, and units of each (thesis N_layer, N_unit).
    cell : {"GRU", "LSTM"}
    bidirectional_encoder, bidirectional_decoder : bool
        Directions B (true) or U.
    dropout : float in [0, 1)
    dropout_on : {"outputs", "inputs_and_outputs"}
        Of each recurrent layer.
    learning_rate : float > 0
        Of Adam.
    n_epochs : int >= 0
        0 gives the untrained control.
    batch_size : int > 0
    clip_value : float > 0 or None
        Gradients are clipped to this absolute value.
    decoder_input : {"teacher", "previous", "none"}
        The thesis's experiments: ``teacher``.
    reverse_target : bool
    tanh_output : bool
        tanh after the projection, as in auDeep.
    gate_bias : float, optional
        First bias of the reset and update gates (LSTM: of the forget gate); auDeep: 1. By default
        PyTorch's, small and random.
    attention : bool
        Scaled dot-product attention: the projection also gets a weighted mean of the
        encoder's outputs for each decoder output (outlook, 11.3). This path bypasses the code.
    encoder_noise : float in [0, 1)
        Share of the encoder's input frames set to zero in training; the target is unchanged.
    patience : int > 0, optional
        Early stopping: epochs without an improvement of the loss on ``X_validation`` or on the
        clips of ``validation_fraction``.
    min_improvement : float in [0, 1)
        Relative decrease of that loss that counts as an improvement.
    validation_fraction : float in [0, 1)
        Share of the clips held out at random, regardless of groups, if there is no
        ``X_validation``.
    mixed_precision : bool
        bfloat16 on a GPU.
    device : str
        ``"auto"`` takes a GPU if there is one.
    random_state : int, RandomState or None
    verbose : bool
        Show a progress bar.
    checkpoint : str, Path or None
        Folder for the state after each epoch, from which an interrupted training resumes, and
        for a CSV log of the losses. File names depend on parameters and data, so clones can
        share the folder.

    Attributes
    ----------
    network_ : nn.Module
    history_ : list of dict
        For each epoch ``loss``; ``permuted_loss``, the loss if each clip is decoded from
        another clip's code (of every eighth batch); ``code_share``, ``1 - loss /
        permuted_loss`` of those batches, the part that the code explains; all three also for
        the validation clips, if there are any.
    n_features_in_ : int
        Frequency bands.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> X = [rng.uniform(-1, 1, (n_frames, 5)) for n_frames in (4, 7, 6)]
    >>> S2SAE(n_layers=1, n_units=3, n_epochs=1).fit(X).transform(X).shape
    (3, 6)
    """

    _fitted = {"n_features_in_": SIZE}  # noqa: RUF012

    n_layers: integer(1, 64) = 2
    n_units: integer(1, 2**14) = 256
    _: KW_ONLY
    cell: option(CELLS) = "GRU"
    bidirectional_encoder: bool = False
    bidirectional_decoder: bool = True
    dropout: SHARE = 0.2
    dropout_on: option(["outputs", "inputs_and_outputs"]) = "outputs"
    learning_rate: number(0, open_low=True) = 1e-3
    n_epochs: integer(0) = 50
    batch_size: integer(1) = 64
    clip_value: number(0, open_low=True) | None = 2.0
    decoder_input: option(DECODER_INPUTS) = "none"
    reverse_target: bool = True
    tanh_output: bool = False
    gate_bias: number() | None = None
    attention: bool = False
    encoder_noise: SHARE = 0.0
    patience: integer(1) | None = None
    min_improvement: SHARE = 0.0
    validation_fraction: SHARE = 0.0
    mixed_precision: bool = False

    @property
    def code_size(self):
        """Width of the representation: layers x units, twice for a bidirectional decoder,
        twice for LSTM (thesis 6.2): 2 x 256 GRU with a bidirectional decoder gives 1 024.

        These are the numbers of the decoder's initial states, which the code replaces.
        """
        directions = 2 if self.bidirectional_decoder else 1
        return self.n_layers * self.n_units * directions * (2 if self.cell == "LSTM" else 1)

    @property
    def _n_features_out(self):
        return self.code_size

    def fit(self, X, y=None, X_validation=None):
        """Train the autoencoder.

        Parameters
        ----------
        X : sequence of n ndarrays, shape (n_frames, n_bands)
            Spectrograms in [-1, 1]; their lengths may differ.
        y : ignored
        X_validation : like X, optional
            Clips whose losses are recorded and used for early stopping.

        Raises
        ------
        ParameterError
            Names the parameter or the clip, what was found and what was expected.
        """
        self._check()
        clips = _check_clips(X, "X")
        n_bands = self.n_features_in_ = clips[0].shape[1]
        held_out = []
        if X_validation is not None:
            held_out = _check_clips(X_validation, "X_validation", n_bands)
        seed = self._begin()
        n_held_out = round(self.validation_fraction * len(clips))
        if X_validation is None and n_held_out:
            order = np.random.default_rng(seed).permutation(len(clips))
            held_out = [clips[i] for i in order[:n_held_out]]
            clips = [clips[i] for i in order[n_held_out:]]
        if self.patience is not None and not held_out:
            raise ParameterError(
                "patience: found no validation clips, expected X_validation or a "
                "validation_fraction that holds out at least one"
            )
        network = self.network_
        lengths = torch.tensor([len(clip) for clip in clips])

        def step(batch):
            number, rows = batch
            # (batch, longest time, frequency), and the number of frames of each clip (batch,)
            x, frames = pad([clips[i] for i in rows], self.device_)
            code, memory = network.encode(x, frames)  # code: (batch, code size)
            loss = network.loss(x, frames, code, memory)
            if number % PERMUTED_EVERY or len(rows) == 1:
                return {"loss": loss}
            with torch.no_grad():
                # Each clip with the code of its neighbour in the batch.
                permuted = network.loss(x, frames, code.roll(1, 0), memory)
                return {
                    "loss": loss,
                    "permuted_loss": permuted,
                    "code_share": 1 - loss.detach() / permuted,
                }

        return self._train(
            step,
            lambda generator: enumerate(buckets(lengths, self.batch_size, generator)),
            clips + held_out,
            seed=seed,
            settings={"n_held_out": len(held_out)},
            validate=(lambda: self._losses(held_out)) if held_out else None,
            patience=self.patience,
            min_improvement=self.min_improvement,
            clip_value=self.clip_value,
            mixed_precision=self.mixed_precision,
        )

    @torch.no_grad()
    def transform(self, X):
        """Codes of the clips.

        Parameters
        ----------
        X : sequence of n ndarrays, shape (n_frames, n_bands)

        Returns
        -------
        ndarray, shape (n, code_size), float32
            In (-1, 1). A clip's code does not depend on its neighbours, to the last bit.
        """
        check_is_fitted(self)
        clips = _check_clips(X, "X", self.n_features_in_)
        lengths = np.array([len(clip) for clip in clips])
        codes = np.empty((len(clips), self.code_size), np.float32)
        for length in np.unique(lengths):
            rows = np.flatnonzero(lengths == length)
            for block in np.split(rows, range(ROWS, len(rows), ROWS)):
                x = torch.zeros(ROWS, int(length), self.n_features_in_)  # (batch, time, frequency)
                x[: len(block)] = torch.from_numpy(np.stack([clips[i] for i in block]))
                frames = torch.full((ROWS,), int(length))
                code, _ = self.network_.encode(x.to(self.device_), frames)
                codes[block] = code[: len(block)].float().cpu().numpy()
        return codes

    @torch.no_grad()
    def reconstruct(self, X, *, decoder_input=None):
        """Reconstructed spectrograms.

        Parameters
        ----------
        X : sequence of n ndarrays, shape (n_frames, n_bands)
        decoder_input : {"teacher", "previous", "none"}, optional
            Replaces the one used in training; with ``teacher`` the decoder reads the true
            previous frame.

        Returns
        -------
        list of n ndarrays, shape (n_frames, n_bands), float32
            In the input's order of time, also with ``reverse_target``.
        """
        check_is_fitted(self)
        if decoder_input is not None:
            check_option("decoder_input", decoder_input, DECODER_INPUTS)
        reconstructed = []
        for clip in _check_clips(X, "X", self.n_features_in_):
            x, frames = pad([clip], self.device_)  # (1, time, frequency)
            out = self.network_.decode(x, frames, *self.network_.encode(x, frames), decoder_input)
            out = out.flip(1) if self.reverse_target else out
            reconstructed.append(out[0].float().cpu().numpy())
        return reconstructed

    @torch.no_grad()
    def evaluate(self, X):
        """Losses on clips, and the part of the reconstruction that the code explains.

        Parameters
        ----------
        X : sequence of n ndarrays, shape (n_frames, n_bands)
            At least two: a single clip has only ``loss``, since there is no other code.

        Returns
        -------
        dict
            ``loss``, the RMSE over all frames, without dropout; ``permuted_loss``, the RMSE
            if each clip is decoded from the code of another clip of similar length;
            ``code_share``, ``1 - loss / permuted_loss``.
        """
        check_is_fitted(self)
        return self._losses(_check_clips(X, "X", self.n_features_in_))

    def score(self, X, y=None):
        """Negative RMSE on clips; higher is better."""
        return -self.evaluate(X)["loss"]

    def _losses(self, clips):
        """`evaluate` of checked clips; neighbours in a batch are similar in length."""
        order = np.argsort([len(clip) for clip in clips], kind="stable")
        # No batch of one clip, since it has no neighbour whose code it could take.
        n_batches = max(1, len(clips) // max(2, self.batch_size))
        own, permuted = [], []
        for rows in np.array_split(order, n_batches):
            x, frames = pad([clips[i] for i in rows], self.device_)
            code, memory = self.network_.encode(x, frames)
            weight = int(frames.sum())
            for losses, codes in ((own, code), (permuted, code.roll(1, 0))):
                loss = float(self.network_.loss(x, frames, codes, memory))
                losses.append((weight, loss))
        # RMSE over the frames of all batches
        own, permuted = (
            float(np.sqrt(sum(w * v**2 for w, v in losses) / sum(w for w, _ in losses)))
            for losses in (own, permuted)
        )
        if len(clips) == 1:
            return {"loss": own}
        share = 1 - own / permuted if permuted else 0.0
        return {"loss": own, "permuted_loss": permuted, "code_share": share}

    def _build(self):
        return Autoencoder(self)


def _check_clips(X, name, n_bands=None):
    """Spectrograms as float32, all with one number of bands."""
    clips = []
    for i, x in enumerate(X):
        clips.append(check_spectrogram(x, f"{name}[{i}]", n_bands=n_bands))
        n_bands = clips[0].shape[1]
    if not clips:
        raise ParameterError(f"{name}: found no clip, expected at least one")
    return clips
