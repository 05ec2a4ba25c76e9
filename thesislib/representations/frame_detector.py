"""Base class of the detectors of events in frames (thesis 7.2, 8.2).

Conventions
-----------
- A clip is an array (time, frequency), float32: the log mel bands of each frame, followed by
  their derivatives along frequency if there are any.
- Labels are 0 and 1 for each frame, (time,) or (time, classes); with a softmax class numbers
  (time,).
- A network has ``margin`` (context frames on either side), ``convolve``, from
  (batch, time + 2 margins, frequency) to (batch, time, features), and ``decide``, from features
  to logits (batch, time, outputs).
- Bands are standardised with the training part's mean and standard deviation, so that the zeros
  around a clip (or a chunk) are the mean spectrum.
"""

import itertools
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from sklearn.base import BaseEstimator, clone
from sklearn.utils.validation import check_is_fitted

from thesislib.errors import SHARE, ParameterError, check_number, integer, number, option, sequence
from thesislib.representations.saving import SIZE, SavedNetwork
from thesislib.representations.sliding import check_clips, predict_clips

VALIDATION_CHUNKS = 256


@dataclass(eq=False, repr=False, kw_only=True)
class FrameDetector(SavedNetwork, BaseEstimator):
    """Base of `CRNN` and `FFNN`: chunks, loss, training and prediction."""

    _fitted = {  # noqa: RUF012
        "n_columns_": SIZE,
        "n_outputs_": SIZE,
        "positive_share_": sequence(number(0, 1)),
    }

    dropout: SHARE = 0.3
    learning_rate: number(0, open_low=True) = 1e-3
    decay: number(0) = 0.01
    n_epochs: integer(0) = 200
    min_epochs: integer(0) = 100
    patience: integer(1) = 15
    batch_size: integer(1) = 48
    output: option(["sigmoid", "softmax"]) = "sigmoid"
    positive_weight: option(["balanced"]) | number(0, open_low=True) | None = None
    n_negative: number(0) | None = None

    def fit(self, X, y, X_validation=None, y_validation=None):
        """Train on chunks of ``chunk_frames`` consecutive frames.

        Parameters
        ----------
        X : ndarray, shape (n, time, frequency), or list of n arrays (time, frequency)
            Log mel spectrograms; those of a list may differ in length.
        y : ndarray, shape (n, time) or (n, time, classes), or list
            Frame labels.
        X_validation, y_validation : optional
            Clips for early stopping. Without them, training lasts ``n_epochs``. The thesis
            does not name them. They must not share sources with the reported clips.

        Raises
        ------
        ParameterError
            Names the parameter or the clip, what was found and what was expected.
        """
        self._check()
        clips = check_clips(X, "X", min_frames=self.chunk_frames)
        self.n_columns_ = clips[0].shape[1]
        labels, self.n_outputs_ = _check_labels(y, clips, "y", self.output)
        counts = sum(_count(label, self.n_outputs_, self.output) for label in labels)
        shares = counts / sum(map(len, clips))
        self.positive_share_ = tuple(float(share) for share in shares)
        seed = self._begin()
        self._standardise(clips)
        chunks, has_event = self._cut(clips, labels)
        loss = self._loss(shares)

        pool = self._pool(clips, labels)

        def batches(order):
            rows = torch.randperm(len(chunks), generator=order).numpy()
            if self.n_negative is not None:
                positive, negative = rows[has_event[rows]], rows[~has_event[rows]]
                n_drawn = max(1, round(self.n_negative * len(positive)))
                rows = np.concatenate([positive, negative[:n_drawn]])
                rows = rows[torch.randperm(len(rows), generator=order).numpy()]
            for begin in range(0, len(rows), self.batch_size):
                batch = rows[begin : begin + self.batch_size]
                # Batch normalisation has no statistics of a single frame.
                if len(batch) * self.chunk_frames > 1 or begin == 0:
                    yield pool.draw(chunks[batch])

        def step(batch):
            x, target = batch  # (batch, time + 2 margins, frequency), (batch, time[, outputs])
            return {"loss": loss(self.network_(x), target)}

        validate, held_out, held_labels = None, [], []
        if X_validation is not None:
            held_out = check_clips(X_validation, "X_validation", min_frames=self.chunk_frames)
            held_labels, n = _check_labels(y_validation, held_out, "y_validation", self.output)
            if held_out[0].shape[1] != self.n_columns_ or n > self.n_outputs_:
                raise ParameterError(
                    f"X_validation: found {held_out[0].shape[1]} columns and {n} outputs, expected "
                    f"{self.n_columns_} and {self.n_outputs_} as in X and y"
                )
            held_chunks, _ = self._cut(held_out, held_labels)
            held_pool = self._pool(held_out, held_labels)

            def validate():
                total = 0.0
                for begin in range(0, len(held_chunks), VALIDATION_CHUNKS):
                    rows = held_chunks[begin : begin + VALIDATION_CHUNKS]
                    total += len(rows) * float(step(held_pool.draw(rows))["loss"])
                return {"loss": total / len(held_chunks)}

        optimiser = torch.optim.Adam(self.network_.parameters(), self.learning_rate)
        schedule = torch.optim.lr_scheduler.LambdaLR(
            optimiser, lambda epoch, decay=self.decay: 1 / (1 + decay * epoch)
        )
        return self._train(
            step,
            batches,
            [*clips, *labels, *held_out, *held_labels],
            seed=seed,
            optimisers={"adam": optimiser},
            validate=validate,
            patience=None if validate is None else self.patience,
            min_epochs=self.min_epochs,
            schedulers=[schedule],
        )

    def predict_proba(self, X):
        """Probabilities from consecutive chunks that do not overlap ("without sliding").

        Parameters
        ----------
        X : ndarray, shape (n, time, frequency), or list of n arrays (time, frequency)

        Returns
        -------
        ndarray, shape (n, time, classes), float32
            A list of arrays (time, classes) if ``X`` is a list. The last chunk ends with the
            clip; only its frames that no other chunk holds are used. A clip shorter than a
            chunk is padded with the mean spectrum.
        """
        return predict_clips(self, X, hop=self.chunk_frames)

    def predict(self, X):
        """Decision for each frame: probability above 0.5, or (softmax) the likeliest class."""
        probabilities = self.predict_proba(X)
        if isinstance(probabilities, list):
            return [self._decide(clip) for clip in probabilities]
        return self._decide(probabilities)

    def get_feature_names_out(self, input_features=None):
        """Names of the columns of `predict_proba`."""
        check_is_fitted(self)
        name = type(self).__name__.lower()
        return np.array([f"{name}_{i}" for i in range(self.n_outputs_)], dtype=object)

    def _decide(self, probabilities):
        if self.output == "softmax":
            return probabilities.argmax(-1)
        return (probabilities > 0.5).astype(np.uint8)

    def _standardise(self, clips):
        n_frames = sum(map(len, clips))
        mean = sum(clip.sum(axis=0, dtype=np.float64) for clip in clips) / n_frames
        variance = sum(((clip - mean) ** 2).sum(axis=0) for clip in clips) / n_frames
        scale = np.where(variance > 1e-12, np.sqrt(variance), 1.0)
        self.network_.mean.copy_(torch.from_numpy(mean))
        self.network_.scale.copy_(torch.from_numpy(scale))

    def _cut(self, clips, labels):
        """Chunks as rows (clip, first frame), and whether each contains an event."""
        chunks, has_event, length = [], [], self.chunk_frames
        for i, clip in enumerate(clips):
            starts = np.arange(0, len(clip), length)
            starts[-1] = len(clip) - length
            chunks += [(i, start) for start in np.unique(starts)]
            has_event += [labels[i][a : a + length].any() for a in np.unique(starts)]
        return np.array(chunks), np.array(has_event)

    def _pool(self, clips, labels):
        alone = self.convolution_context == "chunk"
        return _Pool(self.network_, clips, labels, n_frames=self.chunk_frames, alone=alone)

    def _loss(self, shares):
        """Cross entropy, weighted according to ``positive_weight``."""
        is_sigmoid, floor = self.output == "sigmoid", np.maximum(shares, 1e-6)
        if self.positive_weight == "balanced":
            weight = (1 - shares) / floor if is_sigmoid else 1 / (len(shares) * floor)
        else:
            weight = np.full(self.n_outputs_, self.positive_weight or 1.0)
            if not is_sigmoid:
                weight[0] = 1.0  # class 0 is the background
        weight = torch.tensor(weight, dtype=torch.float32, device=self.device_)
        if is_sigmoid:
            return torch.nn.BCEWithLogitsLoss(pos_weight=weight)
        entropy = torch.nn.CrossEntropyLoss(weight=weight)
        # (batch, time, outputs) -> (batch x time, outputs)
        return lambda logits, target: entropy(logits.flatten(0, 1), target.flatten())


class _Pool:
    """All clips one after the other, standardised, with margins between.

    A whole batch of chunks is cut by one index, since a Python loop over short chunks is slow.
    """

    def __init__(self, network, clips, labels, *, n_frames, alone):
        self.margin, self.n_frames, self.alone = network.margin, n_frames, alone
        lengths = np.array([len(clip) for clip in clips])
        self.first = self.margin + np.concatenate([[0], np.cumsum(lengths + self.margin)[:-1]])
        n_rows = self.margin + (lengths + self.margin).sum()
        # The margins are zeros, once standardised: the mean spectrum.
        self.x = torch.zeros(n_rows, clips[0].shape[1], device=network.mean.device)
        shape = (n_rows, *labels[0].shape[1:])
        self.y = torch.zeros(shape, device=self.x.device, dtype=torch.from_numpy(labels[0]).dtype)
        for start, clip, label in zip(self.first, clips, labels, strict=True):
            x = torch.from_numpy(np.require(clip, requirements="W")).to(self.x.device)
            self.x[start : start + len(clip)] = (x - network.mean) / network.scale
            self.y[start : start + len(clip)] = torch.from_numpy(label)

    def draw(self, chunks):
        """Frames (batch, time + 2 margins, frequency) of chunks (clip, first frame), and labels."""
        starts = torch.from_numpy(self.first[chunks[:, 0]] + chunks[:, 1])[:, None]
        rows = (starts - self.margin + torch.arange(self.n_frames + 2 * self.margin)).to(
            self.x.device
        )
        x = self.x[rows]
        if self.alone and self.margin:
            x[:, : self.margin] = x[:, -self.margin :] = 0
        y = self.y[rows[:, self.margin : self.margin + self.n_frames]]
        return x, y if y.dtype == torch.int64 else y.float()


def label_frames(onsets_s, offsets_s, *, n_frames, hop_s):
    """Frame labels of one clip and class: 1 from onset to offset.

    Parameters
    ----------
    onsets_s, offsets_s : sequence of float
        Events in seconds; NaN marks no event, and events after the clip are ignored.
    n_frames : int
        Frames of the clip.
    hop_s : float > 0
        Seconds between frames; frame ``i`` stands for ``i * hop_s``.

    Returns
    -------
    ndarray, shape (n_frames,), uint8
        An event shorter than a hop has at least one frame.

    Examples
    --------
    >>> label_frames([0.2, 0.51], [0.4, 0.52], n_frames=7, hop_s=0.1)
    array([0, 0, 1, 1, 0, 1, 0], dtype=uint8)
    """
    check_number("hop_s", hop_s, low=0, open_low=True)
    labels = np.zeros(n_frames, np.uint8)
    for onset_s, offset_s in zip(onsets_s, offsets_s, strict=True):
        if np.isnan(onset_s) or onset_s >= n_frames * hop_s:
            continue
        # 1e-6: rounding must not move an onset that lies on the grid.
        first = min(int(np.ceil(onset_s / hop_s - 1e-6)), n_frames - 1)
        last = int(np.ceil(offset_s / hop_s - 1e-6))
        if last <= first:
            first = min(int(onset_s / hop_s), n_frames - 1)
        labels[first : max(last, first + 1)] = 1
    return labels


def count_shares(labels):
    """Share of positive and negative frames of each class (thesis, Table 8.3).

    Parameters
    ----------
    labels : dict of str to array or list of arrays
        Frame labels 0 and 1 of a class's clips.

    Returns
    -------
    DataFrame
        ``label``, ``positive_percent``, ``negative_percent``.

    Examples
    --------
    >>> count_shares({"gunshot": np.array([[0, 1, 0, 0], [0, 0, 0, 0]])})
         label  positive_percent  negative_percent
    0  gunshot              12.5              87.5
    """
    rows = []
    for name, clips in labels.items():
        share = 100 * sum(int(np.sum(c)) for c in clips) / sum(np.size(c) for c in clips)
        rows.append((name, share, 100 - share))
    return pd.DataFrame(rows, columns=["label", "positive_percent", "negative_percent"])


def search_learning_rate(detector, X, y, *, learning_rates=(0.1, 0.01, 0.001, 0.0001), n_epochs=3):
    """First step of the thesis's search: one training per rate, no regularisation (8.2.1.2).

    Parameters
    ----------
    detector : FrameDetector
        Cloned; its dropout is switched off.
    X, y
        As in `FrameDetector.fit`.
    learning_rates : sequence of float
    n_epochs : int > 1
        "The first few epochs".

    Returns
    -------
    DataFrame
        For each rate, from high to low: ``learning_rate``, ``loss_1`` … (NaN if the loss was not
        finite), ``falls`` (decreases in each epoch) and ``highest_that_falls``: the highest rate
        whose loss falls, if there is one.
    """
    check_number("n_epochs", n_epochs, low=2, integer=True)
    rows = []
    for rate in sorted(learning_rates, reverse=True):
        trial = clone(detector).set_params(
            learning_rate=rate, dropout=0.0, n_epochs=n_epochs, checkpoint=None
        )
        try:
            losses = [row["loss"] for row in trial.fit(X, y).history_]
        except ParameterError as error:
            if "expected a finite" not in str(error):
                raise
            losses = [float("nan")] * n_epochs
        falls = all(later < earlier for earlier, later in itertools.pairwise(losses))
        numbered = {f"loss_{i}": loss for i, loss in enumerate(losses, start=1)}
        rows.append({"learning_rate": rate} | numbered | {"falls": falls})
    table = pd.DataFrame(rows)
    table["highest_that_falls"] = table["falls"] & (table["falls"].cumsum() == 1)
    return table


def _check_labels(y, clips, name, output):
    """Labels (time, outputs) uint8, or (time,) int64 for a softmax, and the number of outputs."""
    labels = [] if y is None else [np.asarray(label) for label in y]
    if len(labels) != len(clips):
        raise ParameterError(f"{name}: found {len(labels)} clips, expected {len(clips)} as in X")
    n_axes = labels[0].ndim
    for i, (label, clip) in enumerate(zip(labels, clips, strict=True)):
        if label.ndim not in (1, 2) or len(label) != len(clip) or label.ndim != n_axes:
            raise ParameterError(
                f"{name}[{i}]: found shape {label.shape}, expected a label for each of "
                f"{len(clip)} frames"
            )
        whole = np.array_equal(label, np.round(label)) and label.min() >= 0
        if not whole or ((output == "sigmoid" or label.ndim == 2) and label.max() > 1):
            raise ParameterError(
                f"{name}[{i}]: found values from {label.min()} to {label.max()}, expected "
                + ("0 and 1" if output == "sigmoid" or label.ndim == 2 else "class numbers")
            )
        if output == "sigmoid":
            labels[i] = label.reshape(len(label), -1).astype(np.uint8)
        elif label.ndim == 2 and (label.sum(axis=1) != 1).any():
            raise ParameterError(f"{name}[{i}]: found frames without exactly one class (softmax)")
    if output == "sigmoid":
        return labels, labels[0].shape[1]
    n_outputs = labels[0].shape[1] if n_axes == 2 else 1 + max(x.max() for x in labels)
    labels = [(x.argmax(axis=1) if x.ndim == 2 else x).astype(np.int64) for x in labels]
    return labels, max(2, int(n_outputs))


def _count(label, n_outputs, output):
    if output == "softmax":
        return np.bincount(label, minlength=n_outputs)
    return label.sum(axis=0, dtype=np.int64)


def describe_detectors(members):
    """Settings of the trained networks of each class, one row per network (Table 8.4).

    Parameters
    ----------
    members : dict of str to list of FrameDetector
        By class; convolutional recurrent networks.

    Returns
    -------
    DataFrame
        ``event``, ``ensemble``, ``time_step``, the columns of Table 8.4, ``n_parameters`` and
        ``weights`` (the first digits of their SHA-256).
    """
    rows = []
    for label, models in members.items():
        ensemble = "+".join(f"t({model.chunk_frames})" for model in models)
        for model in models:
            settings = {"event": label, "ensemble": ensemble, "time_step": model.chunk_frames}
            settings |= {"n_conv_layers": len(model.n_filters)}
            settings |= {"n_recurrent_layers": model.n_recurrent}
            settings |= {"n_recurrent_units": model.n_units, "n_dense_units": model.n_dense}
            settings |= {"learning_rate": model.learning_rate}
            settings |= {"learning_rate_decay": model.decay, "dropout": model.dropout}
            settings |= {"n_epochs": len(model.history_), "batch_size": model.batch_size}
            settings |= {"n_parameters": sum(p.numel() for p in model.network_.parameters())}
            rows.append({**settings, "weights": model.cache_parameters()["weights"][:16]})
    return pd.DataFrame(rows)
