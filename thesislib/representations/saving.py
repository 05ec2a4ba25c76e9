"""Base of every trained estimator: its key for the store and its file (chapters 5 to 7)."""

import numbers
from dataclasses import dataclass

import numpy as np
import torch
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from thesislib import training
from thesislib.errors import (
    DEVICE,
    PATH,
    SEED,
    Constraint,
    ParameterError,
    WeightsError,
    check_option,
    check_parameters,
    integer,
    sequence,
)

#: Constraints on fitted attributes, as files from elsewhere may contain anything.
SIZE = integer(1, 10**6)
CLASSES = sequence(Constraint(lambda v: isinstance(v, str | numbers.Real), "text or a number"))
# Weights of a network to train: 16 GB with gradients and Adam's moments.
_WEIGHTS_AT_MOST = 10**9


@dataclass(eq=False, repr=False, kw_only=True)
class SavedNetwork:
    """Mixin of an estimator whose fitted state is ``network_``.

    A class lists in ``_fitted`` the plain attributes that, with its parameters, determine the
    network's shapes, each with its constraint, and has a method ``_build()`` that builds the
    network from them. Its ``_version`` increases whenever the same parameters give other features.
    """

    _version = 1
    _fitted = {}  # noqa: RUF012
    # Neither changes a feature, and a path is private.
    _without_effect = ("verbose", "checkpoint")

    device: DEVICE = "auto"
    random_state: SEED = 0
    verbose: bool = False
    checkpoint: PATH | None = None

    def _check(self):
        """Check the parameters; a subclass adds what one constraint cannot express."""
        check_parameters(self)
        training.pick_device(self.device)

    def cache_parameters(self):
        """Plain values for a store's key (contract 3).

        Before ``fit`` they determine, with the data, the result of training; afterwards they
        contain the SHA-256 of the weights and determine the features of a spectrogram.

        Raises
        ------
        ParameterError
            If it is not fitted and ``random_state`` is no integer, since its features are not
            reproducible.
        """
        parameters = self._parameters() | {"device": training.pick_device(self.device).type}
        key = {
            "estimator": type(self).__name__,
            "version": self._version,
            "torch": torch.__version__,
            "parameters": parameters,
        }
        if hasattr(self, "network_"):
            return key | {"weights": training.hash_tensors(self.network_.state_dict())}
        if parameters["random_state"] is None:
            raise ParameterError(
                f"random_state: found {self.random_state!r}, expected an integer for a store's key"
            )
        return key

    def save(self, path):
        """Write the fitted estimator as safetensors, its parameters as JSON in the header."""
        check_is_fitted(self)
        metadata = {
            "estimator": type(self).__name__,
            "version": self._version,
            "parameters": self._parameters(),
            "fitted": {name: getattr(self, name) for name in self._fitted},
            "history": self.history_,
        }
        training.write_tensors(path, self.network_.state_dict(), metadata)

    @classmethod
    def load(cls, path, *, device="auto"):
        """Estimator as it was saved, on ``device``.

        Raises
        ------
        WeightsError
            If the file is missing, damaged or of another estimator; names it.
        """
        state, metadata = training.read_tensors(path)
        try:
            check_option("estimator", metadata["estimator"], [cls.__name__])
            check_option("version", metadata["version"], [cls._version])
            self = cls(**metadata["parameters"] | {"device": device})
            for name, constraint in cls._fitted.items():
                value = constraint.check(name, metadata["fitted"][name])
                setattr(self, name, tuple(value) if isinstance(value, list) else value)
            self._check()
            self.history_ = metadata["history"]
            with torch.device("meta"):  # without memory: a file may claim any size
                expected = {k: v.shape for k, v in self._build().state_dict().items()}
            if expected != {k: v.shape for k, v in state.items()}:
                raise WeightsError("its tensors are not those of its parameters")
            self._place(self._build(), state)
        except Exception as error:  # any, since impossible values cause errors of all kinds
            reason = " ".join(str(error).split())
            raise WeightsError(f"{path}: found no {cls.__name__} ({reason})") from error
        return self

    def _place(self, network, state=None):
        """Set ``network_`` on the device, in evaluation mode."""
        self.device_ = str(training.pick_device(self.device))
        if state is not None:
            network.load_state_dict(state)
        self.network_ = network.to(self.device_).eval()

    def _begin(self):
        """Draw the seed and build the network from it; returns the seed."""
        if isinstance(self.random_state, numbers.Integral):
            seed = int(self.random_state)
        else:
            seed = int(check_random_state(self.random_state).randint(2**31))
        with torch.device("meta"):  # counts weights without memory
            n_weights = sum(weights.numel() for weights in self._build().parameters())
        if n_weights > _WEIGHTS_AT_MOST:
            raise ParameterError(
                f"{type(self).__name__}: found parameters and data that need {n_weights} weights, "
                f"expected at most {_WEIGHTS_AT_MOST}"
            )
        with training.seeded(seed):  # on the CPU: the same first weights on every device
            self._place(self._build())
        return seed

    def _train(self, step, batches, arrays, *, seed, settings=None, **options):
        """Train ``network_`` with Adam, and set ``history_``.

        The checkpoint's file name contains a hash of the parameters, ``settings`` and ``arrays``,
        all the data. ``options`` are those of `thesislib.training.train`.
        """
        parameters = self._parameters() | {"random_state": seed, "device": self.device_}
        parameters |= {"version": self._version, "torch": torch.__version__, **(settings or {})}
        name = type(self).__name__.lower()
        path = training.checkpoint_file(self.checkpoint, name, parameters, arrays)
        adam = torch.optim.Adam(self.network_.parameters(), self.learning_rate)
        self.history_ = training.train(
            self.network_,
            step,
            batches,
            seed=seed,
            checkpoint=path,
            log=path and path.with_suffix(".csv"),
            progress=self.verbose,
            **{"optimisers": {"adam": adam}, "n_epochs": getattr(self, "n_epochs", None)} | options,
        )
        return self

    def _parameters(self):
        """Parameters that affect the features; a random state that is no integer counts as None."""
        parameters = self.get_params(deep=False)
        if not isinstance(self.random_state, numbers.Integral):
            parameters["random_state"] = None
        return {k: v for k, v in parameters.items() if k not in self._without_effect}


def check_spectrogram(x, name, *, n_bands=None):
    """Return a spectrogram as float32 if it is two-dimensional, finite and in [-1, 1].

    Raises
    ------
    ParameterError
        States its name, what was found and what was expected.

    Examples
    --------
    >>> check_spectrogram(np.full((3, 2), 7.0), "X[4]")
    Traceback (most recent call last):
    ...
    thesislib.errors.ParameterError: X[4]: found values from 7 to 7, expected finite ones in [-1, 1]
    """
    x = np.asarray(x)
    if x.ndim != 2 or 0 in x.shape or not np.issubdtype(x.dtype, np.number):
        raise ParameterError(
            f"{name}: found shape {x.shape} of {x.dtype}, expected two axes of numbers, none empty"
        )
    if n_bands is not None and x.shape[1] != n_bands:
        raise ParameterError(f"{name}: found {x.shape[1]} bands, expected {n_bands}")
    low, high = x.min(), x.max()
    # Rounding errors are accepted, decibels are not. The comparison is false for NaN.
    if not (low >= -1.001 and high <= 1.001):
        raise ParameterError(
            f"{name}: found values from {low:g} to {high:g}, expected finite ones in [-1, 1]"
        )
    return np.ascontiguousarray(x, dtype=np.float32)
