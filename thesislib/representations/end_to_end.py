"""A CNN and an LSTM on the raw waveform: the end-to-end row of Table 10.6 (thesis 10.2).

The thesis takes that row from the challenge's paper [5], which names a convolutional network
over the waveform and recurrent layers on top, trained jointly. Layer sizes are open. Chosen: a
convolution with windows of 5 ms, two more convolutions with pooling, and a decision from the mean
of the recurrent layers' outputs over time.
"""

from dataclasses import dataclass

import numpy as np
import torch
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted
from torch import nn

from thesislib.errors import SHARE, ParameterError, integer, number, option
from thesislib.representations.autoencoder import pad
from thesislib.representations.saving import CLASSES, SavedNetwork
from thesislib.training import limit_threads

#: Samples of the first convolution's window, a stride of half of it (5 ms at 16 kHz).
FIRST_WINDOW = 80


@dataclass(eq=False, repr=False)
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
        Whether all classes have equal weight in the loss (the challenge upsampled).
    checkpoint : path, optional
        Folder for the state after each epoch, from which an interrupted training resumes.
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
    >>> classifier = WaveformClassifier(4, 4, n_epochs=20, learning_rate=0.02)
    >>> classifier.fit(X, ["low", "high"] * 8).predict_proba(X).shape
    (16, 2)
    """

    _fitted = {"classes_": CLASSES}  # noqa: RUF012

    n_filters: integer(1, 2**14) = 32
    n_units: integer(1, 2**14) = 64
    n_layers: integer(1, 64) = 2
    pooling: integer(1, 999) = 4
    dropout: SHARE = 0.3
    learning_rate: number(0, open_low=True) = 1e-3
    n_epochs: integer(0) = 30
    batch_size: integer(2) = 16
    class_weight: option(["balanced"]) | None = "balanced"

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
            x, lengths = pad([clips[i] for i in rows], self.device_)
            logits = self.network_(x, lengths)
            target = targets[rows].to(self.device_)
            return {"loss": nn.functional.cross_entropy(logits, target, weight)}

        # One thread: steps are small, and the last bits depend on the number of threads.
        with limit_threads(1):
            data = [*clips, targets.numpy()]
            return self._train(step, batches, data, seed=seed, clip_norm=5.0)

    @torch.inference_mode()
    def predict_proba(self, X):
        """Probability of each class, shape (n, n_classes); clips are processed one by one."""
        check_is_fitted(self, "network_")
        probabilities = []
        for i, x in enumerate(X):
            x, lengths = pad([_check_clip(x, f"X[{i}]", self.shortest)], self.device_)
            with limit_threads(1):
                probabilities.append(self.network_(x, lengths).softmax(dim=1).cpu().numpy())
        return np.concatenate(probabilities)

    def predict(self, X):
        """Class of each clip."""
        likeliest = self.predict_proba(X).argmax(axis=1)
        return np.asarray(self.classes_)[likeliest]

    @property
    def shortest(self):
        """Fewest samples that make one recurrent step."""
        return FIRST_WINDOW + (FIRST_WINDOW // 2) * (self.pooling**2 - 1)

    def _build(self):
        return _ConvLSTM(self)


class _ConvLSTM(nn.Module):
    """(batch, samples) → (batch, classes)."""

    def __init__(self, settings):
        super().__init__()
        n_filters, n_units, self.pooling = settings.n_filters, settings.n_units, settings.pooling
        self.first = nn.Conv1d(1, n_filters, FIRST_WINDOW, stride=FIRST_WINDOW // 2)
        self.second = nn.Conv1d(n_filters, n_filters, 3, padding=1)
        self.third = nn.Conv1d(n_filters, n_filters, 3, padding=1)
        self.norms = nn.ModuleList(nn.GroupNorm(1, n_filters) for _ in range(3))
        self.dropout = nn.Dropout(settings.dropout)
        self.lstm = nn.LSTM(n_filters, n_units, settings.n_layers, batch_first=True)
        self.decide = nn.Linear(n_units, len(settings.classes_))

    def forward(self, x, lengths):
        # The input of each convolution is zero after the end of a clip, so that the padding of a
        # batch has no effect.
        steps = (lengths.to(x.device) - FIRST_WINDOW) // (FIRST_WINDOW // 2) + 1
        # (batch, samples) -> (batch, 1, samples) -> (batch, filters, steps)
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
        """Normalise each clip over its own steps, rectify, and set the padding to zero."""
        inside = _inside(x, steps)
        count = steps[:, None, None] * x.shape[1]
        mean = (x * inside).sum(dim=(1, 2), keepdim=True) / count
        variance = ((x - mean).square() * inside).sum(dim=(1, 2), keepdim=True) / count
        x = (x - mean) * torch.rsqrt(variance + norm.eps)
        x = x * norm.weight[:, None] + norm.bias[:, None]
        return torch.relu(x) * inside

    def _pool(self, x, steps):
        """Pool over time; an incomplete last window is dropped, as for a single clip."""
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
