"""Multilayer perceptrons: the classifier of 8.1, and the challenge's baseline beside it.

Both are one network: inputs standardised on the training part, hidden layers of ReLU units
with dropout, softmax over the classes, cross entropy, Adam. :class:`MLP` takes a vector a
clip; :class:`FrameMLP` takes the frames of a clip with their neighbours and adds up what it
says of each.

Left open by the thesis, and chosen
-----------------------------------
* Dropout stands on "all layers except the output layer" (8.1.1.3) or on "the hidden layers"
  (8.1.1.4): the second; ``input_dropout`` offers the first.
* First weights are torch's defaults. The last weights are kept: there is no validation part.
"""

import copy

import numpy as np
import torch
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.preprocessing import StandardScaler
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, column_or_1d, validate_data
from torch import nn

from thesislib.errors import ParameterError, check_number
from thesislib.representations.saving import SavedNetwork
from thesislib.training import checkpoint_file, train

#: Rows answered at once, so that memory does not grow with the number of frames.
BLOCK = 8192


class MLP(ClassifierMixin, SavedNetwork, BaseEstimator):
    """Perceptron on one feature vector a clip (thesis 8.1.1.3).

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
        Folder where a training that was killed finds its last epoch.

    Attributes
    ----------
    classes_ : tuple
        Class names in sorted order.
    n_features_in_ : int
    network_ : nn.Module
        Holds the mean and deviation of the training part, too.
    history_ : list of dict
        ``loss`` of each epoch.

    Examples
    --------
    >>> X = np.random.default_rng(0).normal(size=(40, 3)); y = np.where(X[:, 0] > 0, "in", "out")
    >>> machine = MLP(n_units=8, n_epochs=200, random_state=0).fit(X, y)
    >>> machine.predict([[2.0, 0.0, 0.0], [-2.0, 0.0, 0.0]]).tolist()
    ['in', 'out']
    """

    _fitted = ("classes_", "n_features_in_")
    n_context = 1

    def __init__(
        self,
        n_layers=2,
        n_units=150,
        *,
        dropout=0.4,
        input_dropout=0.0,
        learning_rate=1e-3,
        n_epochs=400,
        batch_size=None,
        device="auto",
        random_state=0,
        verbose=False,
        checkpoint=None,
    ):
        self.n_layers = n_layers
        self.n_units = n_units
        self.dropout = dropout
        self.input_dropout = input_dropout
        self.learning_rate = learning_rate
        self.n_epochs = n_epochs
        self.batch_size = batch_size
        self.device = device
        self.random_state = random_state
        self.verbose = verbose
        self.checkpoint = checkpoint

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
        self.network_.standardise(StandardScaler().fit(frames))
        path = checkpoint_file(
            self.checkpoint, "mlp", self._checkpoint_parameters(seed), [frames, index, targets]
        )
        wanted = torch.from_numpy(targets[owners]).to(self.device_)
        frames, index = (torch.from_numpy(a).to(self.device_) for a in (frames, index))

        def batches(order):
            if self.batch_size is None:
                return [slice(None)]
            rows = torch.randperm(len(index), generator=order).to(self.device_)
            return rows.split(self.batch_size)

        def step(rows):
            logits = self.network_(frames[index[rows]])
            return {"loss": nn.functional.cross_entropy(logits, wanted[rows])}

        self.history_ = train(
            {"mlp": self.network_},
            step,
            batches,
            n_epochs=self.n_epochs,
            optimisers={"adam": torch.optim.Adam(self.network_.parameters(), self.learning_rate)},
            seed=seed,
            checkpoint=path,
            progress=self.verbose,
        )
        return self

    @torch.inference_mode()
    def predict_proba(self, X):
        """Probability of each class, shape (n, n_classes), in the order of ``classes_``."""
        check_is_fitted(self, "network_")
        frames, index, owners = self._unfold(X, self.n_features_in_)
        # In float64: float32 products differ in their last bits with a row's place in a block.
        network, frames = copy.deepcopy(self.network_).cpu().double(), torch.from_numpy(frames)
        found = [
            network(frames[torch.from_numpy(rows)].double()).softmax(1).numpy()
            for rows in np.split(index, range(BLOCK, len(index), BLOCK))
        ]
        total = np.zeros((owners[-1] + 1, len(self.classes_)))
        np.add.at(total, owners, np.concatenate(found))
        return total / np.bincount(owners)[:, None]

    def predict(self, X):
        """Class of each clip."""
        likeliest = self.predict_proba(X).argmax(axis=1)
        return np.asarray(self.classes_)[likeliest]

    def _unfold(self, X, n_features=None):
        """Frames, the frames of each row of the network's input, and the clip of each row."""
        X = validate_data(self, X, dtype=np.float32, reset=n_features is None)
        rows = np.arange(len(X))
        return X, rows[:, None], rows

    def _check(self):
        for name in ("n_layers", "n_units", "n_context"):
            check_number(name, getattr(self, name), low=1, integer=True)
        check_number("n_epochs", self.n_epochs, low=0, integer=True)
        check_number("learning_rate", self.learning_rate, low=0, open_low=True)
        for name in ("dropout", "input_dropout"):
            check_number(name, getattr(self, name), low=0, high=0.99)
        if self.batch_size is not None:
            check_number("batch_size", self.batch_size, low=1, integer=True)

    def _build(self):
        return Perceptron(
            self.n_features_in_,
            self.n_context,
            self.n_layers,
            self.n_units,
            len(self.classes_),
            dropout=self.dropout,
            input_dropout=self.input_dropout,
        )


class FrameMLP(MLP):
    """The challenge's baseline (Table 8.1): a perceptron on frames, added up to a clip.

    By default as the DCASE 2017 challenge describes it: 40 log-mel bands of five
    neighbouring frames, 2 x 50 units, dropout 0.2, 200 epochs in batches of 256. Bands are
    standardised over all frames of the training part; at a clip's ends its first and last
    frame stand in for those that are missing. A clip's probabilities are the mean of its
    frames', which ranks the classes as their sum does. The challenge also stops early, on
    clips held out of the training part: left out here.

    Parameters
    ----------
    n_context : int > 0
        Neighbouring frames that make up an input, the frame itself in the middle.
    n_layers, n_units, dropout, input_dropout, learning_rate, n_epochs, batch_size
        As in :class:`MLP`.
    device, random_state, verbose, checkpoint
        As in :class:`MLP`.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> X = [rng.normal(level, 1, (n_frames, 4)) for level, n_frames in ((0, 9), (3, 7)) * 4]
    >>> machine = FrameMLP(n_units=8, n_epochs=60, dropout=0).fit(X, ["quiet", "loud"] * 4)
    >>> machine.network_.n_inputs, machine.score(X, ["quiet", "loud"] * 4)
    (20, 1.0)
    """

    def __init__(
        self,
        n_context=5,
        n_layers=2,
        n_units=50,
        *,
        dropout=0.2,
        input_dropout=0.0,
        learning_rate=1e-3,
        n_epochs=200,
        batch_size=256,
        device="auto",
        random_state=0,
        verbose=False,
        checkpoint=None,
    ):
        super().__init__(
            n_layers,
            n_units,
            dropout=dropout,
            input_dropout=input_dropout,
            learning_rate=learning_rate,
            n_epochs=n_epochs,
            batch_size=batch_size,
            device=device,
            random_state=random_state,
            verbose=verbose,
            checkpoint=checkpoint,
        )
        self.n_context = n_context

    def _unfold(self, X, n_features=None):
        """Clips, shape (n_frames, n_bands) each, lengths may differ."""
        clips = []
        for i, x in enumerate(X):
            clips.append(_check_matrix(x, f"X[{i}]", n_features))
            n_features = clips[0].shape[1]
        if not clips:
            raise ParameterError("X: found no clip, expected at least one")
        lengths = np.array([len(clip) for clip in clips])
        ends = np.cumsum(lengths)
        owners = np.repeat(np.arange(len(clips)), lengths)
        index = np.arange(ends[-1])[:, None] + np.arange(self.n_context) - self.n_context // 2
        first, last = (ends - lengths)[owners, None], ends[owners, None] - 1
        return np.concatenate(clips), np.clip(index, first, last), owners


class Perceptron(nn.Module):
    """Frames with their neighbours, shape (batch, n_context, n_bands), to logits."""

    def __init__(self, n_bands, n_context, n_layers, n_units, n_classes, *, dropout, input_dropout):
        super().__init__()
        self.n_inputs = n_bands * n_context
        self.register_buffer("mean", torch.zeros(n_bands))
        self.register_buffer("deviation", torch.ones(n_bands))
        layers, width = [nn.Flatten(), nn.Dropout(input_dropout)], self.n_inputs
        for _ in range(n_layers):
            layers += [nn.Linear(width, n_units), nn.ReLU(), nn.Dropout(dropout)]
            width = n_units
        self.layers = nn.Sequential(*layers, nn.Linear(width, n_classes))

    def standardise(self, scaler):
        """Take mean and deviation of each band from a fitted StandardScaler."""
        for name, values in (("mean", scaler.mean_), ("deviation", scaler.scale_)):
            getattr(self, name).copy_(torch.from_numpy(values))

    def forward(self, x):
        """Logits, shape (batch, n_classes)."""
        return self.layers((x - self.mean) / self.deviation)


def _check_matrix(X, name, n_columns=None):
    X = np.asarray(X)
    wanted = "n_features" if n_columns is None else n_columns
    if X.ndim != 2 or 0 in X.shape or n_columns not in (None, X.shape[1]):
        raise ParameterError(f"{name}: found shape {X.shape}, expected (at least 1, {wanted})")
    bad = np.argwhere(~np.isfinite(X))
    if len(bad):
        row, column = bad[0]
        raise ParameterError(
            f"{name}: row {row}, column {column} is {X[row, column]}, expected finite numbers"
        )
    return np.ascontiguousarray(X, dtype=np.float32)
