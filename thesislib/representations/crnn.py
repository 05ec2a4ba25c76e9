"""Convolutional recurrent networks for events in time (thesis chapter 7; 8.2).

The four components of Figure 7.1::

    log mel chunk of τ frames (batch, time, channels x frequency)
      └─ convolution over frequency and time, convolution along frequency, each with max-pooling
         along frequency only ─► (batch, time, maps x pooled frequency)
           └─ recurrent layers, one output per time step ─► (batch, time, units)
                └─ fully connected layer, output layer ─► logits (batch, time, outputs)

Pooling never includes time, so every frame has its own output.

The module also contains the networks for comparison: `CRNN` without recurrent layers
(``n_recurrent=0``) is the "CNN with a FFNN" of Table 8.7, and `FFNN` is the challenge's baseline.
`FrameDetector` trains them, :mod:`thesislib.representations.sliding` applies them.
"""

from dataclasses import KW_ONLY, dataclass

import torch
from torch import nn

from thesislib.errors import SHARE, ParameterError, integer, number, option, sequence
from thesislib.representations.frame_detector import FrameDetector

CELLS = {"LSTM": nn.LSTM, "GRU": nn.GRU}


@dataclass(eq=False, repr=False)
class CRNN(FrameDetector):
    """Detector of events in frames: convolutional, recurrent and dense layers (thesis 7.2).

    Defaults are those of Table 8.4; "open" marks what the thesis does not give.

    Parameters
    ----------
    chunk_frames : int > 0
        Frames of a chunk (the thesis's τ): 3, 5, 9 or 50.
    n_channels : int > 0
        Channels that the columns of ``X`` consist of: 2 for log mel bands followed by their
        derivatives.
    n_filters : sequence of int
        Feature maps of each convolution. Open.
    kernel_sizes : sequence of (int, int)
        Their kernels over frequency and time; odd over time. Open.
    pool_sizes : sequence of int
        Their non-overlapping max-pooling, along frequency only. Open.
    n_recurrent : int >= 0
        Recurrent layers.
    n_units : int > 0
        Their units in each direction.
    cell : {"LSTM", "GRU"}
    direction : {"backward", "forward", "bidirectional"}
        Through time. 8.2 uses backward LSTMs; reference [127] of the thesis bidirectional ones.
    n_dense : int > 0
        Units of the fully connected layer.
    dropout : float in [0, 1)
        After each convolution, recurrent layer and the fully connected one.
    learning_rate : float > 0
        Of Adam.
    decay : float >= 0
        Epoch ``e``, from 0, has ``learning_rate / (1 + decay * e)``. The form is open.
    n_epochs : int >= 0
        Maximum; 0 gives the untrained control.
    min_epochs, patience : int
        With validation clips: minimum number of epochs, and epochs without an improvement of
        the validation loss after which training stops.
    batch_size : int > 0
        Chunks; 48, 56 and 64 in Table 8.4.
    output : {"sigmoid", "softmax"}
        One or more independent classes, or exclusive ones with class 0 as the background.
    positive_weight : None, "balanced" or float
        Weight of positive frames in the loss. The thesis uses none, although positive frames
        are rare (Table 8.3). "balanced" gives positive and negative frames of a class equal
        weight; probabilities then no longer estimate how often a class occurs.
    n_negative : None or float
        Chunks without events that each epoch draws per chunk with an event; None takes all.
        Shortens training and shifts probabilities as a weight does.
    convolution_context : {"clip", "chunk"}
        Whether convolutions at a chunk's borders use the frames beyond. Open; with "clip" the
        sliding ensemble computes convolutions once.
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
        ``loss``, ``validation_loss`` and ``learning_rate`` of each epoch.
    positive_share_ : tuple of float
        Share of each output's positive frames in the training part.

    Examples
    --------
    >>> import numpy as np
    >>> X = np.random.default_rng(0).normal(size=(2, 20, 32)).astype(np.float32)
    >>> y = np.repeat([[0, 1, 1, 0]], 5, axis=1).repeat(2, axis=0)
    >>> crnn = CRNN(5, n_filters=(2, 2), n_units=4, n_dense=4, n_epochs=1).fit(X, y)
    >>> crnn.predict_proba(X).shape, crnn.positive_share_
    ((2, 20, 1), (0.5,))
    """

    chunk_frames: integer(1) = 50
    _: KW_ONLY
    n_channels: integer(1, 2**14) = 1
    n_filters: sequence(integer(1, 2**14), most=64) = (32, 64)
    kernel_sizes: sequence(sequence(integer(1, 999), 2), most=64) = ((5, 5), (9, 1))
    pool_sizes: sequence(integer(1, 999), most=64) = (4, 8)
    n_recurrent: integer(0, 64) = 2
    n_units: integer(1, 2**14) = 128
    cell: option(CELLS) = "LSTM"
    direction: option(["backward", "forward", "bidirectional"]) = "backward"
    n_dense: integer(1, 2**14) = 128
    convolution_context: option(["clip", "chunk"]) = "clip"

    def _check(self):
        super()._check()
        layers = (self.n_filters, self.kernel_sizes, self.pool_sizes)
        if len({len(values) for values in layers}) != 1:
            raise ParameterError(
                f"n_filters, kernel_sizes, pool_sizes: found {layers}, expected as many of each"
            )
        for _, time in self.kernel_sizes:
            if time % 2 == 0:
                raise ParameterError(
                    f"kernel_sizes: found {time} frames, expected an odd number, so that a "
                    "kernel has a middle and time does not shrink"
                )

    def _build(self):
        return CRNNNetwork(self)


class CRNNNetwork(nn.Module):
    """Figure 7.1: convolutional, recurrent, fully connected and output layer.

    Parameters
    ----------
    settings : CRNN
        Its parameters, ``n_columns_`` and ``n_outputs_`` are read.
    """

    def __init__(self, settings):
        super().__init__()
        n_columns, dropout = settings.n_columns_, settings.dropout
        self.n_channels = maps = settings.n_channels
        n_bands, rest = divmod(n_columns, maps)
        layers, self.margin = [], 0
        for filters, (frequency, time), pool in zip(
            settings.n_filters, settings.kernel_sizes, settings.pool_sizes, strict=True
        ):
            layers += [
                # Frequency is padded to its old size. Time is not: the input has margins.
                nn.ZeroPad2d((0, 0, (frequency - 1) // 2, frequency // 2)),
                nn.Conv2d(maps, filters, (frequency, time)),
                nn.BatchNorm2d(filters),
                nn.ReLU(),
                nn.MaxPool2d((pool, 1)),
                nn.Dropout(dropout),
            ]
            # A kernel over ``time`` frames needs time // 2 frames on either side.
            maps, n_bands, self.margin = filters, n_bands // pool, self.margin + time // 2
        if rest or not n_bands:
            raise ParameterError(
                f"pool_sizes: found {list(settings.pool_sizes)} with {n_columns} columns in "
                f"{self.n_channels} channels, expected pooling that leaves at least one band"
            )
        self.convolutions = nn.Sequential(*layers)
        self.direction, self.recurrent, width = settings.direction, None, maps * n_bands
        if settings.n_recurrent:
            both = settings.direction == "bidirectional"
            self.recurrent = CELLS[settings.cell](
                width,
                settings.n_units,
                settings.n_recurrent,
                batch_first=True,
                dropout=dropout if settings.n_recurrent > 1 else 0.0,
                bidirectional=both,
            )
            width = settings.n_units * (1 + both)
        self.dropout = nn.Dropout(dropout)
        self.dense = nn.Linear(width, settings.n_dense)
        self.normalisation = nn.BatchNorm1d(settings.n_dense)
        self.output = nn.Linear(settings.n_dense, settings.n_outputs_)
        # Of the training frames; `FrameDetector` standardises the input with them.
        self.register_buffer("mean", torch.zeros(n_columns))
        self.register_buffer("scale", torch.ones(n_columns))

    @property
    def sees_chunks(self):
        """Whether the prediction of a frame depends on the chunk."""
        return self.recurrent is not None

    def convolve(self, x):
        """(batch, time + 2 margins, channels x frequency) to (batch, time, features)."""
        # (batch, time, channel x frequency) -> (batch, time, channel, frequency)
        # -> (batch, channel, frequency, time)
        x = x.unflatten(2, (self.n_channels, -1)).permute(0, 2, 3, 1)
        # (batch, map, frequency, time) -> (batch, map x frequency, time) -> (batch, time, features)
        return self.convolutions(x).flatten(1, 2).transpose(1, 2)

    def decide(self, x):
        """(batch, time, features) to logits (batch, time, outputs)."""
        if self.recurrent is not None:
            # "backward": the sequence is reversed before and after the layers, all of which
            # therefore read the future first.
            x = x.flip(1) if self.direction == "backward" else x
            x, _ = self.recurrent(x)  # (batch, time, features) -> (batch, time, units)
            x = self.dropout(x.flip(1) if self.direction == "backward" else x)
        shape = x.shape[:2]
        # (batch, time, units) -> (batch x time, units), as batch normalisation over frames needs
        x = torch.relu(self.normalisation(self.dense(x.flatten(0, 1))))
        return self.output(self.dropout(x)).unflatten(0, shape)

    def forward(self, x):
        """Logits (batch, time, outputs)."""
        return self.decide(self.convolve(x))


@dataclass(eq=False, repr=False)
class FFNN(FrameDetector):
    """The challenge's baseline: a multilayer perceptron on a few frames (Table 8.7).

    Designed for 40 mel bands. The baseline's median filter of 0.54 s over decisions is
    ``median_s`` of `thesislib.evaluation.events.locate_events`.

    Parameters
    ----------
    context_frames : int > 0
        Frames around the classified frame, including it; odd.
    n_units : sequence of int
        Units of the hidden layers (ReLU).
    n_epochs : int >= 0
        Maximum: 200, with a patience of 10, in the challenge.
    batch_size : int > 0
        Frames.
    dropout, learning_rate, decay, min_epochs, patience, output, positive_weight, n_negative, \
device, random_state, verbose, checkpoint
        As in `CRNN`.
    """

    _version = 2
    chunk_frames = 1
    convolution_context = "clip"

    context_frames: integer(1, 999) = 5
    _: KW_ONLY
    n_units: sequence(integer(1, 2**14), most=64) = (50, 50)
    dropout: SHARE = 0.2
    decay: number(0) = 0.0
    min_epochs: integer(0) = 0
    patience: integer(1) = 10
    batch_size: integer(1) = 256

    def _check(self):
        super()._check()
        if self.context_frames % 2 == 0:
            raise ParameterError(
                f"context_frames: found {self.context_frames}, expected an odd number"
            )

    def _build(self):
        return Perceptron(
            self.n_columns_, self.n_outputs_, self.n_units, self.context_frames, self.dropout
        )


class Perceptron(nn.Module):
    """Dense layers on each frame and its neighbours, or on one vector.

    The network of `FFNN`, and of the classifiers of :mod:`thesislib.evaluation.mlp`.

    Parameters
    ----------
    n_columns, n_outputs : int
        Columns of a frame, and logits.
    n_units : sequence of int
        Units of the hidden layers (ReLU).
    context_frames : int
    dropout, input_dropout : float
        Of hidden activations and of inputs.
    """

    sees_chunks = False

    def __init__(self, n_columns, n_outputs, n_units, context_frames, dropout, input_dropout=0.0):
        super().__init__()
        self.context_frames, self.margin = context_frames, context_frames // 2
        layers, width = [nn.Dropout(input_dropout)], n_columns * context_frames
        for units in n_units:
            layers += [nn.Linear(width, units), nn.ReLU(), nn.Dropout(dropout)]
            width = units
        self.layers = nn.Sequential(*layers, nn.Linear(width, n_outputs))
        self.register_buffer("mean", torch.zeros(n_columns))
        self.register_buffer("scale", torch.ones(n_columns))

    def convolve(self, x):
        """(batch, time + 2 margins, frequency) to (batch, time, frequency x context)."""
        return x.unfold(1, self.context_frames, 1).flatten(2)

    def decide(self, x):
        """(…, frequency x context) to logits (…, outputs)."""
        return self.layers(x)

    def forward(self, x):
        """Logits (batch, time, outputs)."""
        return self.decide(self.convolve(x))
