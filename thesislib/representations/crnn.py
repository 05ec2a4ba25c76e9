"""Convolutional recurrent networks for events in time (thesis chapter 7; 8.2).

Four components (Figure 7.1): log mel chunks of τ frames; a convolution over frequency and time
with pooling that does not shrink time, and one along frequency with max-pooling along
frequency; recurrent layers with an output each time step; a fully connected layer and
the output layer. Each is a few lines below.

Also here are the networks it is compared with: without recurrent layers (``n_recurrent=0``)
it is Table 8.7's "CNN with a FFNN", and `FFNN` is the challenge's baseline.
"""

import torch
from torch import nn

from thesislib.errors import ParameterError, check_number, check_option
from thesislib.representations.frame_detector import FrameDetector

CELLS = {"LSTM": nn.LSTM, "GRU": nn.GRU}


class CRNN(FrameDetector):
    """Detector of events in frames: convolutional, recurrent and dense layers (thesis 7.2).

    Defaults are those of Table 8.4; what the thesis leaves open is marked so.

    Parameters
    ----------
    chunk_frames : int > 0
        Frames of a chunk (the thesis's τ): 3, 5, 9 or 50.
    n_channels : int > 0
        Planes that the columns of ``X`` consist of: 2 where log mel bands and, behind them,
        their derivatives stand side by side.
    n_filters : sequence of int
        Feature maps of each convolution. Open.
    kernel_sizes : sequence of (int, int)
        Their kernels, over frequency and time; those over time odd. Open.
    pool_sizes : sequence of int
        Their non-overlapping max-pooling, along frequency only: time never shrinks. Open.
    n_recurrent : int >= 0
        Recurrent layers.
    n_units : int > 0
        Their units (each direction's).
    cell : {"LSTM", "GRU"}
    direction : {"backward", "forward", "bidirectional"}
        Through time. 8.2 runs its LSTMs backwards; [127] of the thesis both ways.
    n_dense : int > 0
        Units of the fully connected layer.
    dropout : float in [0, 1)
        After each convolution, recurrent layer and the fully connected one.
    learning_rate : float > 0
        Of Adam.
    decay : float >= 0
        Epoch ``e``, from 0, has ``learning_rate / (1 + decay * e)``. The form is open.
    n_epochs : int >= 0
        At most; 0 gives the untrained control.
    min_epochs, patience : int
        With validation clips: at least so many epochs, then stop when the validation loss
        has not improved for so many.
    batch_size : int > 0
        Chunks; 48, 56 and 64 in Table 8.4.
    output : {"sigmoid", "softmax"}
        One or more independent classes, or exclusive ones with class 0 as the background.
    positive_weight : None, "balanced" or float
        Weight of positive frames in the loss: none in the thesis, though it points out that
        positive frames are few (Table 8.3). "balanced" weighs both sides of a class alike;
        probabilities then no longer estimate how often a class occurs.
    n_negative : None or float
        Chunks without events that an epoch draws for each chunk with one; None takes all.
        It shortens training, and shifts probabilities like a weight.
    convolution_context : {"clip", "chunk"}
        Whether convolutions at a chunk's borders see the frames beyond. Open: "clip" lets the
        sliding ensemble convolve once.
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

    def __init__(
        self,
        chunk_frames=50,
        *,
        n_channels=1,
        n_filters=(32, 64),
        kernel_sizes=((5, 5), (9, 1)),
        pool_sizes=(4, 8),
        n_recurrent=2,
        n_units=128,
        cell="LSTM",
        direction="backward",
        n_dense=128,
        dropout=0.3,
        learning_rate=1e-3,
        decay=0.01,
        n_epochs=200,
        min_epochs=100,
        patience=15,
        batch_size=48,
        output="sigmoid",
        positive_weight=None,
        n_negative=None,
        convolution_context="clip",
        device="auto",
        random_state=0,
        verbose=False,
        checkpoint=None,
    ):
        self.chunk_frames = chunk_frames
        self.n_channels = n_channels
        self.n_filters = n_filters
        self.kernel_sizes = kernel_sizes
        self.pool_sizes = pool_sizes
        self.n_recurrent = n_recurrent
        self.n_units = n_units
        self.cell = cell
        self.direction = direction
        self.n_dense = n_dense
        self.dropout = dropout
        self.learning_rate = learning_rate
        self.decay = decay
        self.n_epochs = n_epochs
        self.min_epochs = min_epochs
        self.patience = patience
        self.batch_size = batch_size
        self.output = output
        self.positive_weight = positive_weight
        self.n_negative = n_negative
        self.convolution_context = convolution_context
        self.device = device
        self.random_state = random_state
        self.verbose = verbose
        self.checkpoint = checkpoint

    def _check(self):
        super()._check()
        check_number("n_recurrent", self.n_recurrent, low=0, integer=True)
        for name in ("n_channels", "n_units", "n_dense"):
            check_number(name, getattr(self, name), low=1, integer=True)
        check_option("cell", self.cell, CELLS)
        check_option("direction", self.direction, ["backward", "forward", "bidirectional"])
        layers = (self.n_filters, self.kernel_sizes, self.pool_sizes)
        if len({len(values) for values in layers}) != 1 or not len(self.n_filters):
            raise ParameterError(
                f"n_filters, kernel_sizes, pool_sizes: found {layers}, expected as many of each"
            )
        for filters, (frequency, time), pool in zip(*layers, strict=True):
            for number in (filters, frequency, time, pool):
                check_number("n_filters, kernel_sizes, pool_sizes", number, low=1, integer=True)
            if time % 2 == 0:
                raise ParameterError(
                    f"kernel_sizes: found {time} frames, expected an odd number, so that a "
                    "kernel has a middle and time does not shrink"
                )

    def _build(self):
        return CRNNNetwork(
            self.n_columns_,
            self.n_outputs_,
            n_channels=self.n_channels,
            convolutions=list(zip(self.n_filters, self.kernel_sizes, self.pool_sizes, strict=True)),
            n_recurrent=self.n_recurrent,
            n_units=self.n_units,
            cell=self.cell,
            direction=self.direction,
            n_dense=self.n_dense,
            dropout=self.dropout,
        )


class CRNNNetwork(nn.Module):
    """Figure 7.1: convolutional, recurrent, fully connected and output layer."""

    def __init__(
        self,
        n_columns,
        n_outputs,
        *,
        n_channels,
        convolutions,
        n_recurrent,
        n_units,
        cell,
        direction,
        n_dense,
        dropout,
    ):
        super().__init__()
        n_bands, rest = divmod(n_columns, n_channels)
        layers, maps, self.margin, self.n_channels = [], n_channels, 0, n_channels
        for filters, (frequency, time), pool in convolutions:
            layers += [
                # Over time nothing is padded here: the margins hold what the context is to be.
                nn.ZeroPad2d((0, 0, (frequency - 1) // 2, frequency // 2)),
                nn.Conv2d(maps, filters, (frequency, time)),
                nn.BatchNorm2d(filters),
                nn.ReLU(),
                nn.MaxPool2d((pool, 1)),
                nn.Dropout(dropout),
            ]
            maps, n_bands, self.margin = filters, n_bands // pool, self.margin + time // 2
        if rest or not n_bands:
            raise ParameterError(
                f"pool_sizes: found {[pool for *_, pool in convolutions]} with {n_columns} columns "
                f"in {n_channels} channels, expected pooling that leaves at least one band"
            )
        self.convolutions = nn.Sequential(*layers)
        self.direction, self.recurrent, width = direction, None, maps * n_bands
        if n_recurrent:
            both = direction == "bidirectional"
            self.recurrent = CELLS[cell](
                width,
                n_units,
                n_recurrent,
                batch_first=True,
                dropout=dropout if n_recurrent > 1 else 0.0,
                bidirectional=both,
            )
            width = n_units * (1 + both)
        self.dropout = nn.Dropout(dropout)
        self.dense = nn.Linear(width, n_dense)
        self.normalisation = nn.BatchNorm1d(n_dense)
        self.output = nn.Linear(n_dense, n_outputs)
        self.register_buffer("mean", torch.zeros(n_columns))
        self.register_buffer("scale", torch.ones(n_columns))

    @property
    def sees_chunks(self):
        """Whether a frame's prediction depends on the chunk that it is in."""
        return self.recurrent is not None

    def convolve(self, x):
        """(batch, time + 2 margins, channels x frequency) to (batch, time, features)."""
        x = x.unflatten(2, (self.n_channels, -1)).permute(0, 2, 3, 1)  # (b, channel, frequency, t)
        return self.convolutions(x).flatten(1, 2).transpose(1, 2)

    def decide(self, x):
        """(batch, time, features) to logits (batch, time, outputs)."""
        if self.recurrent is not None:
            # Both layers backwards: the sequence turned round once before and once after.
            turn = (lambda z: z.flip(1)) if self.direction == "backward" else (lambda z: z)
            x = self.dropout(turn(self.recurrent(turn(x))[0]))
        shape = x.shape[:2]
        x = torch.relu(self.normalisation(self.dense(x.flatten(0, 1))))
        return self.output(self.dropout(x)).unflatten(0, shape)

    def forward(self, x):
        """Logits (batch, time, outputs)."""
        return self.decide(self.convolve(x))


class FFNN(FrameDetector):
    """The challenge's baseline: a multi-layer perceptron on a few frames (Table 8.7).

    Made for 40 mel bands; a median filter of 0.54 s over its decisions is
    `thesislib.evaluation.events.find_events`'s ``median_s``.

    Parameters
    ----------
    context_frames : int > 0
        Frames that a decision is made from, odd: the frame in the middle is the one decided.
    n_units : sequence of int
        Units of the hidden layers (ReLU).
    n_epochs : int >= 0
        At most: 200, with a patience of 10, in the challenge.
    batch_size : int > 0
        Frames.
    dropout, learning_rate, decay, min_epochs, patience, output, positive_weight, n_negative, \
device, random_state, verbose, checkpoint
        As in `CRNN`.
    """

    chunk_frames = 1
    convolution_context = "clip"

    def __init__(
        self,
        context_frames=5,
        *,
        n_units=(50, 50),
        dropout=0.2,
        learning_rate=1e-3,
        decay=0.0,
        n_epochs=200,
        min_epochs=0,
        patience=10,
        batch_size=256,
        output="sigmoid",
        positive_weight=None,
        n_negative=None,
        device="auto",
        random_state=0,
        verbose=False,
        checkpoint=None,
    ):
        self.context_frames = context_frames
        self.n_units = n_units
        self.dropout = dropout
        self.learning_rate = learning_rate
        self.decay = decay
        self.n_epochs = n_epochs
        self.min_epochs = min_epochs
        self.patience = patience
        self.batch_size = batch_size
        self.output = output
        self.positive_weight = positive_weight
        self.n_negative = n_negative
        self.device = device
        self.random_state = random_state
        self.verbose = verbose
        self.checkpoint = checkpoint

    def _check(self):
        super()._check()
        check_number("context_frames", self.context_frames, low=1, integer=True)
        if self.context_frames % 2 == 0:
            raise ParameterError(
                f"context_frames: found {self.context_frames}, expected an odd number"
            )
        for units in self.n_units:
            check_number("n_units", units, low=1, integer=True)

    def _build(self):
        return FFNNNetwork(
            self.n_columns_, self.n_outputs_, self.context_frames, self.n_units, self.dropout
        )


class FFNNNetwork(nn.Module):
    """Dense layers on each frame and its neighbours."""

    sees_chunks = False

    def __init__(self, n_columns, n_outputs, context_frames, n_units, dropout):
        super().__init__()
        self.context_frames, self.margin = context_frames, context_frames // 2
        layers, width = [], n_columns * context_frames
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
        """(batch, time, frequency x context) to logits (batch, time, outputs)."""
        return self.layers(x)

    def forward(self, x):
        """Logits (batch, time, outputs)."""
        return self.decide(self.convolve(x))
