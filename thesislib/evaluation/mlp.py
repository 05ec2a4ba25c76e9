"""Multilayer perceptrons: the classifier of 8.1 and the challenge's baseline.

Both train a :class:`~thesislib.representations.crnn.Perceptron`: inputs standardised on the
training part, hidden layers of ReLU units with dropout, softmax over the classes, cross entropy,
Adam. :class:`MLP` takes one vector per clip. :class:`FrameMLP` takes the frames of a clip with
their neighbours and averages their probabilities.

Left open by the thesis, and chosen
-----------------------------------
* Dropout is applied to "all layers except the output layer" (8.1.1.3) or to "the hidden layers"
  (8.1.1.4). The second is the default; ``input_dropout`` gives the first.
* Weights are initialised as torch does. The last weights are used, since there is no validation
  part.
"""

import copy
from dataclasses import KW_ONLY, dataclass

import numpy as np
import torch
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.preprocessing import StandardScaler
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, column_or_1d, validate_data
from torch import nn

from thesislib.errors import SHARE, ParameterError, integer, number
from thesislib.evaluation.validation import check_features
from thesislib.representations.crnn import Perceptron
from thesislib.representations.saving import CLASSES, SIZE, SavedNetwork

#: Rows classified at once, so that memory does not grow with the number of frames.
BLOCK = 8192


@dataclass(eq=False, repr=False)
class MLP(ClassifierMixin, SavedNetwork, BaseEstimator):
    """Perceptron on one feature vector per clip (thesis 8.1.1.3).

    Parameters
    ----------
    n_layers, n_units : int > 0
        Hidden layers, and ReLU units of each.
    dropout, input_dropout : float in [0, 1)
        Share of hidden activations and of inputs that training sets to zero.
    learning_rate : float > 0
        Of Adam.
    n_epochs : int >= 0
    batch_size : int > 0, optional
        None takes all rows at once, as in the thesis.
    device : str
        ``"auto"`` takes a GPU if there is one.
    random_state : int, RandomState or None
    verbose : bool
        Show a progress bar.
    checkpoint : str, Path or None
        Folder for the state after each epoch, from which an interrupted training resumes.

    Attributes
    ----------
    classes_ : tuple
        Class names in sorted order.
    n_features_in_ : int
    network_ : nn.Module
        Its buffers hold the mean and standard deviation of the training part.
    history_ : list of dict
        ``loss`` of each epoch.

    Examples
    --------
    >>> X = np.random.default_rng(0).normal(size=(40, 3)); y = np.where(X[:, 0] > 0, "in", "out")
    >>> mlp = MLP(n_units=8, n_epochs=200, random_state=0).fit(X, y)
    >>> mlp.predict([[2.0, 0.0, 0.0], [-2.0, 0.0, 0.0]]).tolist()
    ['in', 'out']
    """

    _fitted = {"classes_": CLASSES, "n_features_in_": SIZE}  # noqa: RUF012
    _version = 2
    context_frames = 1

    n_layers: integer(1, 64) = 2
    n_units: integer(1, 2**14) = 150
    _: KW_ONLY
    dropout: SHARE = 0.4
    input_dropout: SHARE = 0.0
    learning_rate: number(0, open_low=True) = 1e-3
    n_epochs: integer(0) = 400
    batch_size: integer(1) | None = None

    def fit(self, X, y):
        """Train the network.

        Parameters
        ----------
        X : array-like, shape (n, n_features)
        y : array-like, shape (n,)
            Class names, at least two.

        Raises
        ------
        ParameterError
            Names the parameter or the row, what was found and what was expected.
        """
        self._check()
        if y is None:
            raise ParameterError("y: requires y to be passed, but the target y is None")
        frames, index, owners = self._unfold(X)
        y = column_or_1d(y, warn=True)
        if len(y) != owners[-1] + 1:
            raise ParameterError(f"y: found shape {y.shape}, expected ({owners[-1] + 1},)")
        check_classification_targets(y)
        classes, targets = np.unique(y, return_inverse=True)
        if len(classes) < 2:
            raise ParameterError(f"y: found one class {classes.tolist()}, expected at least two")
        self.classes_, self.n_features_in_ = tuple(classes.tolist()), frames.shape[1]
        seed = self._begin()
        scaler = StandardScaler().fit(frames)
        self.network_.mean.copy_(torch.from_numpy(scaler.mean_))
        self.network_.scale.copy_(torch.from_numpy(scaler.scale_))
        data = [frames, index, targets]
        targets = torch.from_numpy(targets[owners]).to(self.device_)
        frames, index = (torch.from_numpy(a).to(self.device_) for a in (frames, index))

        def batches(order):
            if self.batch_size is None:
                return [slice(None)]
            rows = torch.randperm(len(index), generator=order).to(self.device_)
            return rows.split(self.batch_size)

        def step(rows):
            logits = _compute_logits(self.network_, frames[index[rows]])
            return {"loss": nn.functional.cross_entropy(logits, targets[rows])}

        return self._train(step, batches, data, seed=seed)

    @torch.inference_mode()
    def predict_proba(self, X):
        """Probability of each class, shape (n, n_classes), in the order of ``classes_``."""
        check_is_fitted(self, "network_")
        frames, index, owners = self._unfold(X, self.n_features_in_)
        # In float64, since the last bits of float32 products depend on the position in a block.
        network, frames = copy.deepcopy(self.network_).cpu().double(), torch.from_numpy(frames)
        probabilities = [
            _compute_logits(network, frames[torch.from_numpy(rows)].double()).softmax(1).numpy()
            for rows in np.split(index, range(BLOCK, len(index), BLOCK))
        ]
        total = np.zeros((owners[-1] + 1, len(self.classes_)))
        np.add.at(total, owners, np.concatenate(probabilities))
        return total / np.bincount(owners)[:, None]

    def predict(self, X):
        """Class of each clip."""
        likeliest = self.predict_proba(X).argmax(axis=1)
        return np.asarray(self.classes_)[likeliest]

    def _unfold(self, X, n_features=None):
        """Frames, the indices of the frames of each input row, and the clip of each row."""
        X = validate_data(self, X, dtype=np.float32, reset=n_features is None)
        rows = np.arange(len(X))
        return X, rows[:, None], rows

    def _build(self):
        return Perceptron(
            self.n_features_in_,
            len(self.classes_),
            [self.n_units] * self.n_layers,
            self.context_frames,
            self.dropout,
            self.input_dropout,
        )


@dataclass(eq=False, repr=False)
class FrameMLP(MLP):
    """The challenge's baseline (Table 8.1): a perceptron on frames, averaged over a clip.

    Defaults follow the DCASE 2017 challenge: 40 log-mel bands of five neighbouring frames,
    2 x 50 units, dropout 0.2, 200 epochs in batches of 256. Bands are standardised over all
    frames of the training part; at the ends of a clip its first and last frame are repeated.
    The probabilities of a clip are the mean over its frames, which ranks the classes as the
    sum does. The challenge's early stopping on held-out training clips is not implemented.

    Parameters
    ----------
    context_frames : int > 0
        Frames that make up an input, the classified frame in the middle.
    n_layers, n_units, dropout, input_dropout, learning_rate, n_epochs, batch_size
        As in :class:`MLP`.
    device, random_state, verbose, checkpoint
        As in :class:`MLP`.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> X = [rng.normal(level, 1, (n_frames, 4)) for level, n_frames in ((0, 9), (3, 7)) * 4]
    >>> FrameMLP(n_units=8, n_epochs=60, dropout=0).fit(X, list("ab") * 4).predict_proba(X).shape
    (8, 2)
    """

    n_units: integer(1, 2**14) = 50
    _: KW_ONLY
    context_frames: integer(1, 999) = 5
    dropout: SHARE = 0.2
    n_epochs: integer(0) = 200
    batch_size: integer(1) | None = 256

    def _unfold(self, X, n_features=None):
        """Clips, shape (n_frames, n_bands) each, lengths may differ."""
        clips = []
        for i, x in enumerate(X):
            x = check_features(x, n_features=n_features, name=f"X[{i}]")
            clips.append(np.ascontiguousarray(x, dtype=np.float32))
            n_features = clips[0].shape[1]
        if not clips:
            raise ParameterError("X: found no clip, expected at least one")
        lengths = np.array([len(clip) for clip in clips])
        ends = np.cumsum(lengths)
        owners = np.repeat(np.arange(len(clips)), lengths)
        index = np.arange(ends[-1])[:, None] + np.arange(self.context_frames)
        index -= self.context_frames // 2
        first, last = (ends - lengths)[owners, None], ends[owners, None] - 1
        return np.concatenate(clips), np.clip(index, first, last), owners


def _compute_logits(network, x):
    """Logits (rows, classes) of frames with their neighbours, (rows, context, bands)."""
    x = (x - network.mean) / network.scale
    return network.decide(x.flatten(1))  # (rows, context x bands)
