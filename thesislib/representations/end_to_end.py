"""A CNN and an LSTM on the raw waveform: the end-to-end row of Table 10.6 (thesis 10.2).

The thesis takes that row from the challenge's paper [5], which names a convolutional network
over the waveform and recurrent layers on top, trained as one. Layer sizes are open; chosen: a
first convolution with windows of 5 ms, two more with pooling in between so that a step of the
recurrent layers lasts ``step_s``, and a decision from the mean of their outputs over time.
"""

import numpy as np
import torch
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted
from torch import nn

from thesislib.errors import ParameterError, check_number
from thesislib.representations.saving import SavedNetwork
from thesislib.training import checkpoint_file, limit_threads, train

#: Samples of the first convolution's window, a stride of half of it (5 ms at 16 kHz).
FIRST_WINDOW = 80


class WaveformClassifier(ClassifierMixin, SavedNetwork, BaseEstimator):
    """Convolutions over the waveform, LSTM over time, softmax over classes.

    Parameters
    ----------
    n_filters : int
        Filters of each convolution.
    n_units, n_layers : int
        Of the LSTM.
    pooling : int
        Width of each of the two max-poolings: a recurrent step is
        ``40 * pooling ** 2`` samples.
    dropout : float
        Between the convolutions and the LSTM, and before the decision.
    learning_rate, n_epochs, batch_size
        Of Adam.
    class_weight : {None, "balanced"}
        Whether each class weighs the same in the loss (the challenge upsampled).
    checkpoint : path, optional
        Folder in which a killed training finds its state.
    device : {"auto", "cpu", "cuda"}
    random_state : int
    verbose : bool

    Attributes
    ----------
    classes_ : ndarray
    history_ : list of dict
    network_ : nn.Module

    Examples
    --------
    >>> t = np.arange(1600) / 16000
    >>> X = [np.sin(2 * np.pi * f * t).astype(np.float32) for f in (200, 2000) * 8]
    >>> machine = WaveformClassifier(n_filters=4, n_units=4, n_epochs=20, learning_rate=0.02)
    >>> machine.fit(X, ["low", "high"] * 8).score(X, ["low", "high"] * 8)
    1.0
    """

    _fitted = ("classes_",)

    def __init__(
        self,
        n_filters=32,
        n_units=64,
        n_layers=2,
        pooling=4,
        dropout=0.3,
        learning_rate=1e-3,
        n_epochs=30,
        batch_size=16,
        class_weight="balanced",
        checkpoint=None,
        device="auto",
        random_state=0,
        verbose=False,
    ):
        self.n_filters = n_filters
        self.n_units = n_units
        self.n_layers = n_layers
        self.pooling = pooling
        self.dropout = dropout
        self.learning_rate = learning_rate
        self.n_epochs = n_epochs
        self.batch_size = batch_size
        self.class_weight = class_weight
        self.checkpoint = checkpoint
        self.device = device
        self.random_state = random_state
        self.verbose = verbose

    def fit(self, X, y):
        """Train on waveforms.

        Parameters
        ----------
        X : sequence of n ndarrays, shape (n_samples,)
            Signals in [-1, 1] at one sampling rate; lengths may differ.
        y : array-like, shape (n,)
            Class names.

        Raises
        ------
        ParameterError
            Names the parameter or the clip, what was found and what was expected.
        """
        self._check()
        y = np.asarray(y)
        clips = [_check_clip(x, f"X[{i}]", self.shortest) for i, x in enumerate(X)]
        if len(clips) != len(y):
            raise ParameterError(f"y: found {len(y)} labels, expected {len(clips)}")
        check_classification_targets(y)
        classes, targets = np.unique(y, return_inverse=True)
        if len(classes) < 2:
            raise ParameterError(f"y: found one class {classes.tolist()}, expected at least two")
        self.classes_ = tuple(classes.tolist())
        seed = self._begin()
        weight = None
        if self.class_weight == "balanced":
            counts = np.bincount(targets)
            weight = torch.tensor(len(targets) / (len(counts) * counts), dtype=torch.float32)
            weight = weight.to(self.device_)
        targets = torch.from_numpy(targets)

        def batches(generator):
            order = torch.randperm(len(clips), generator=generator)
            yield from (rows for rows in order.split(self.batch_size) if len(rows) > 1)

        def step(rows):
            x, lengths = _pad([clips[i] for i in rows], self.device_)
            logits = self.network_(x, lengths)
            wanted = targets[rows].to(self.device_)
            return {"loss": nn.functional.cross_entropy(logits, wanted, weight)}

        path = checkpoint_file(
            self.checkpoint,
            "waveform",
            self._checkpoint_parameters(seed),
            [*clips, targets.numpy()],
        )
        optimiser = torch.optim.Adam(self.network_.parameters(), self.learning_rate)
        # One thread: the steps are too small to share, and the bits would depend on it.
        with limit_threads(1):
            self.history_ = train(
                {"waveform": self.network_},
                step,
                batches,
                n_epochs=self.n_epochs,
                optimisers={"adam": optimiser},
                seed=seed,
                clip_norm=5.0,
                checkpoint=path,
                log=path and path.with_suffix(".csv"),
                progress=self.verbose,
            )
        return self

    @torch.inference_mode()
    def predict_proba(self, X):
        """Probability of each class: (n, n_classes), each clip answered alone."""
        check_is_fitted(self, "network_")
        answers = []
        for i, x in enumerate(X):
            x, lengths = _pad([_check_clip(x, f"X[{i}]", self.shortest)], self.device_)
            with limit_threads(1):
                answers.append(self.network_(x, lengths).softmax(dim=1).cpu().numpy())
        return np.concatenate(answers)

    def predict(self, X):
        """Class of each clip."""
        likeliest = self.predict_proba(X).argmax(axis=1)
        return np.asarray(self.classes_)[likeliest]

    @property
    def shortest(self):
        """Fewest samples that make one recurrent step."""
        return FIRST_WINDOW + (FIRST_WINDOW // 2) * (self.pooling**2 - 1)

    def _check(self):
        for name in ("n_filters", "n_units", "n_layers", "pooling"):
            check_number(name, getattr(self, name), low=1, integer=True)
        check_number("batch_size", self.batch_size, low=2, integer=True)
        check_number("n_epochs", self.n_epochs, low=0, integer=True)
        check_number("dropout", self.dropout, low=0, high=0.99)
        check_number("learning_rate", self.learning_rate, low=0, open_low=True)
        if self.class_weight not in (None, "balanced"):
            raise ParameterError(
                f"class_weight: found {self.class_weight!r}, expected None or 'balanced'"
            )

    def _build(self):
        return _ConvLSTM(
            self.n_filters,
            self.n_units,
            self.n_layers,
            self.pooling,
            self.dropout,
            len(self.classes_),
        )


class _ConvLSTM(nn.Module):
    """(batch, samples) → (batch, classes)."""

    def __init__(self, n_filters, n_units, n_layers, pooling, dropout, n_classes):
        super().__init__()
        self.pooling = pooling
        self.first = nn.Conv1d(1, n_filters, FIRST_WINDOW, stride=FIRST_WINDOW // 2)
        self.second = nn.Conv1d(n_filters, n_filters, 3, padding=1)
        self.third = nn.Conv1d(n_filters, n_filters, 3, padding=1)
        self.norms = nn.ModuleList(nn.GroupNorm(1, n_filters) for _ in range(3))
        self.dropout = nn.Dropout(dropout)
        self.lstm = nn.LSTM(n_filters, n_units, n_layers, batch_first=True)
        self.decide = nn.Linear(n_units, n_classes)

    def forward(self, x, lengths):
        # Each convolution's input is cut off at the clip's own end, so that what a batch
        # pads with does not reach the clip.
        steps = (lengths - FIRST_WINDOW) // (FIRST_WINDOW // 2) + 1
        x = self._stage(self.first(x[:, None]), self.norms[0], steps)
        x, steps = self._pool(self._stage(self.second(x), self.norms[1], steps), steps)
        x, steps = self._pool(self._stage(self.third(x), self.norms[2], steps), steps)
        x = self.dropout(x.transpose(1, 2))  # (batch, time, filters)
        packed = nn.utils.rnn.pack_padded_sequence(
            x, steps.cpu(), batch_first=True, enforce_sorted=False
        )
        states, _ = nn.utils.rnn.pad_packed_sequence(self.lstm(packed)[0], batch_first=True)
        mean = states.sum(dim=1) / steps[:, None]
        return self.decide(self.dropout(mean))

    def _stage(self, x, norm, steps):
        """Normalise each clip over its own steps, rectify, and blank what lies behind them."""
        inside = _inside(x, steps)
        count = steps[:, None, None] * x.shape[1]
        mean = (x * inside).sum(dim=(1, 2), keepdim=True) / count
        variance = ((x - mean).square() * inside).sum(dim=(1, 2), keepdim=True) / count
        x = (x - mean) * torch.rsqrt(variance + norm.eps)
        x = x * norm.weight[:, None] + norm.bias[:, None]
        return torch.relu(x) * inside

    def _pool(self, x, steps):
        """Pool over time; a last window that is not full is dropped, as of a clip alone."""
        x, steps = nn.functional.max_pool1d(x, self.pooling), steps // self.pooling
        return x * _inside(x, steps), steps


def _inside(x, steps):
    """Mask (batch, 1, time) of the steps that belong to each clip."""
    return (torch.arange(x.shape[2], device=x.device) < steps[:, None])[:, None]


def _check_clip(x, name, shortest):
    x = np.asarray(x, dtype=np.float32)
    if x.ndim != 1 or len(x) < shortest or not np.isfinite(x).all():
        raise ParameterError(
            f"{name}: found shape {x.shape}, expected at least {shortest} finite samples"
        )
    return x


def _pad(clips, device):
    lengths = torch.tensor([len(clip) for clip in clips], device=device)
    x = torch.zeros(len(clips), int(lengths.max()), device=device)
    for row, clip in enumerate(clips):
        x[row, : len(clip)] = torch.from_numpy(np.array(clip))
    return x, lengths
