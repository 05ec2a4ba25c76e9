"""Recurrent sequence-to-sequence autoencoder, S2SAE (thesis chapter 6; auDeep).

::

    x (batch, time, frequency)
      └─ encoder: n_layers x n_units GRU or LSTM, U or B
           └─ final states, concatenated ─ dense, tanh ─► code (batch, code size)
                └─ initial state of the decoder, which has its own direction
                     └─ linear projection, shared over time ─► x, backwards in time

What the thesis leaves open, and the choice:

- *Dropout* stands on inputs and outputs of recurrent layers (6.2) or on outputs alone (8.1,
  10.1): ``dropout_on``, by default the second. States and the code are never dropped.
- *Target*: the input reversed in time (``reverse_target``), so that decoding begins where
  encoding ended.
- *Decoder input*: the frame before (``teacher``), its own estimate of it (``previous``) or
  nothing (``none``); zeros first.
- *Bidirectional decoder*: two stacks, one in each direction, which share no layer: were they
  to meet below the projection, the second layer would read the very frame it has to predict.
  Each has the frame before *in its own time*. With ``teacher`` the two of them still know
  all frames but one, so they need the code less: ``code_share`` in ``history_`` tells.
- *Loss*: RMSE over all frames of a batch, padding left out.
"""

import numpy as np
import torch
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from thesislib.errors import ParameterError, check_number, check_option
from thesislib.representations.autoencoder import CELLS, DECODER_INPUTS, Autoencoder, buckets, pad
from thesislib.representations.saving import SavedNetwork, check_spectrogram
from thesislib.training import checkpoint_file, train

# The loss with permuted codes takes another decoder pass, a quarter of a step on a CPU.
PERMUTED_EVERY = 8
# A network's last bits change with the shape of its input: codes are always computed for
# so many clips of equal length at once, rows without a clip being zero.
ROWS = 16


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
    reverse_target : bool
    attention : bool
        The projection sees, beside each decoder output, a mean of the encoder's outputs
        weighted by scaled dot products with it (outlook, 11.3). What passes there does not
        pass through the code.
    encoder_noise : float in [0, 1)
        Share of the encoder's input frames set to zero in training; the target keeps them.
    patience : int > 0, optional
        Stop early, by the loss on ``X_validation`` or on ``validation_fraction``.
    min_improvement : float in [0, 1)
        Share by which that loss must fall to count.
    validation_fraction : float in [0, 1)
        Share of the clips held out at random, groups or not, if there is no ``X_validation``.
    mixed_precision : bool
        bfloat16 on a GPU.
    device : str
        ``"auto"`` takes a GPU if there is one.
    random_state : int, RandomState or None
    verbose : bool
        Show a progress bar.
    checkpoint : str, Path or None
        Folder where a training that was killed finds its last epoch, and a CSV log of the
        losses. File names follow from parameters and data, so clones may share it.

    Attributes
    ----------
    network_ : nn.Module
    history_ : list of dict
        For each epoch ``loss``; ``permuted_loss``, the same with each clip decoded from
        another clip's code (of every eighth batch); ``code_share``, the share
        ``1 - loss / permuted_loss`` of those batches that the code explains; all three for
        the validation clips, too, if there are any.
    n_features_in_ : int
        Frequency bands.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> X = [rng.uniform(-1, 1, (n_frames, 5)) for n_frames in (4, 7, 6)]
    >>> S2SAE(n_layers=1, n_units=3, n_epochs=1).fit(X).transform(X).shape
    (3, 6)
    """

    _fitted = ("n_features_in_",)

    def __init__(
        self,
        n_layers=2,
        n_units=256,
        *,
        cell="GRU",
        bidirectional_encoder=False,
        bidirectional_decoder=True,
        dropout=0.2,
        dropout_on="outputs",
        learning_rate=1e-3,
        n_epochs=50,
        batch_size=64,
        clip_value=2.0,
        decoder_input="teacher",
        reverse_target=True,
        attention=False,
        encoder_noise=0.0,
        patience=None,
        min_improvement=0.0,
        validation_fraction=0.0,
        mixed_precision=False,
        device="auto",
        random_state=0,
        verbose=False,
        checkpoint=None,
    ):
        self.n_layers = n_layers
        self.n_units = n_units
        self.cell = cell
        self.bidirectional_encoder = bidirectional_encoder
        self.bidirectional_decoder = bidirectional_decoder
        self.dropout = dropout
        self.dropout_on = dropout_on
        self.learning_rate = learning_rate
        self.n_epochs = n_epochs
        self.batch_size = batch_size
        self.clip_value = clip_value
        self.decoder_input = decoder_input
        self.reverse_target = reverse_target
        self.attention = attention
        self.encoder_noise = encoder_noise
        self.patience = patience
        self.min_improvement = min_improvement
        self.validation_fraction = validation_fraction
        self.mixed_precision = mixed_precision
        self.device = device
        self.random_state = random_state
        self.verbose = verbose
        self.checkpoint = checkpoint

    @property
    def code_size(self):
        """Width of the representation: layers x units, twice for a bidirectional decoder,
        twice for LSTM (thesis 6.2): 2 x 256 GRU with a bidirectional decoder gives 1 024.
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
            Clips whose losses are recorded and which ``patience`` looks at.

        Raises
        ------
        ParameterError
            Names the parameter or the clip, what was found and what was expected.
        """
        self._check()
        clips = _check_clips(X, "X")
        n_bands = self.n_features_in_ = clips[0].shape[1]
        held_out = (
            [] if X_validation is None else _check_clips(X_validation, "X_validation", n_bands)
        )
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
            x, frames = pad([clips[i] for i in rows], self.device_)
            code, memory = network.encode(x, frames)
            loss = network.loss(x, frames, code, memory)
            if number % PERMUTED_EVERY or len(rows) == 1:
                return {"loss": loss}
            with torch.no_grad():
                permuted = network.loss(x, frames, code.roll(1, 0), memory)
                return {
                    "loss": loss,
                    "permuted_loss": permuted,
                    "code_share": 1 - loss.detach() / permuted,
                }

        settings = self._checkpoint_parameters(seed) | {"n_held_out": len(held_out)}
        path = checkpoint_file(self.checkpoint, "s2sae", settings, clips + held_out)
        self.history_ = train(
            {"s2sae": network},
            step,
            lambda generator: enumerate(buckets(lengths, self.batch_size, generator)),
            n_epochs=self.n_epochs,
            optimisers={"adam": torch.optim.Adam(network.parameters(), self.learning_rate)},
            seed=seed,
            validate=(lambda: self._losses(held_out)) if held_out else None,
            patience=self.patience,
            min_improvement=self.min_improvement,
            clip_value=self.clip_value,
            mixed_precision=self.mixed_precision,
            checkpoint=path,
            log=path and path.with_suffix(".csv"),
            progress=self.verbose,
        )
        return self

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
                x = torch.zeros(ROWS, int(length), self.n_features_in_)
                x[: len(block)] = torch.from_numpy(np.stack([clips[i] for i in block]))
                frames = torch.full((ROWS,), int(length))
                code, _ = self.network_.encode(x.to(self.device_), frames)
                codes[block] = code[: len(block)].float().cpu().numpy()
        return codes

    @torch.no_grad()
    def reconstruct(self, X, *, decoder_input=None):
        """Spectrograms as the decoder gives them back.

        Parameters
        ----------
        X : sequence of n ndarrays, shape (n_frames, n_bands)
        decoder_input : {"teacher", "previous", "none"}, optional
            In place of the one of training; with ``teacher`` the decoder sees the true
            frame before each.

        Returns
        -------
        list of n ndarrays, shape (n_frames, n_bands), float32
            In the order of time of the input, whatever ``reverse_target``.
        """
        check_is_fitted(self)
        if decoder_input is not None:
            check_option("decoder_input", decoder_input, DECODER_INPUTS)
        found = []
        for clip in _check_clips(X, "X", self.n_features_in_):
            x, frames = pad([clip], self.device_)
            out = self.network_.decode(x, frames, *self.network_.encode(x, frames), decoder_input)
            out = out.flip(1) if self.reverse_target else out
            found.append(out[0].float().cpu().numpy())
        return found

    @torch.no_grad()
    def evaluate(self, X):
        """Losses on clips, and the share of the reconstruction that the code explains.

        Parameters
        ----------
        X : sequence of n ndarrays, shape (n_frames, n_bands)
            At least two: with one, there is no other code, and only ``loss`` is given.

        Returns
        -------
        dict
            ``loss``, the RMSE over all frames, without dropout; ``permuted_loss``, the same
            with each clip decoded from the code of another of about its length;
            ``code_share``, ``1 - loss / permuted_loss``.
        """
        check_is_fitted(self)
        return self._losses(_check_clips(X, "X", self.n_features_in_))

    def score(self, X, y=None):
        """Negative RMSE on clips: more is better."""
        return -self.evaluate(X)["loss"]

    def _losses(self, clips):
        order = np.argsort([len(clip) for clip in clips], kind="stable")
        # Never a batch of one clip, for its code could not be permuted.
        n_batches = max(1, len(clips) // max(2, self.batch_size))
        own, permuted = [], []
        for rows in np.array_split(order, n_batches):
            x, frames = pad([clips[i] for i in rows], self.device_)
            code, memory = self.network_.encode(x, frames)
            weight = int(frames.sum())
            for losses, given in ((own, code), (permuted, code.roll(1, 0))):
                loss = float(self.network_.loss(x, frames, given, memory))
                losses.append((weight, loss))
        own, permuted = (
            float(np.sqrt(sum(w * v**2 for w, v in losses) / sum(w for w, _ in losses)))
            for losses in (own, permuted)
        )
        if len(clips) == 1:
            return {"loss": own}
        share = 1 - own / permuted if permuted else 0.0
        return {"loss": own, "permuted_loss": permuted, "code_share": share}

    def _check(self):
        for name in ("n_layers", "n_units", "batch_size"):
            check_number(name, getattr(self, name), low=1, integer=True)
        check_number("n_epochs", self.n_epochs, low=0, integer=True)
        check_number("learning_rate", self.learning_rate, low=0, open_low=True)
        for name in ("dropout", "encoder_noise", "validation_fraction", "min_improvement"):
            check_number(name, getattr(self, name), low=0, high=0.99)
        if self.clip_value is not None:
            check_number("clip_value", self.clip_value, low=0, open_low=True)
        check_option("cell", self.cell, CELLS)
        check_option("dropout_on", self.dropout_on, ["outputs", "inputs_and_outputs"])
        check_option("decoder_input", self.decoder_input, DECODER_INPUTS)

    def _build(self):
        return Autoencoder(
            self.n_features_in_,
            self.n_layers,
            self.n_units,
            self.code_size,
            cell=self.cell,
            bidirectional_encoder=self.bidirectional_encoder,
            bidirectional_decoder=self.bidirectional_decoder,
            dropout=self.dropout,
            dropout_on=self.dropout_on,
            decoder_input=self.decoder_input,
            reverse_target=self.reverse_target,
            attention=self.attention,
            encoder_noise=self.encoder_noise,
        )


def _check_clips(X, name, n_bands=None):
    clips = []
    for i, x in enumerate(X):
        clips.append(check_spectrogram(x, f"{name}[{i}]", n_bands=n_bands))
        n_bands = clips[0].shape[1]
    if not clips:
        raise ParameterError(f"{name}: found no clip, expected at least one")
    return clips
