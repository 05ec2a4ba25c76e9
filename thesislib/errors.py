"""Errors of the package, and the constraints on parameters that raise them.

Every error that a user can cause derives from :class:`ThesisError`, so that the command line
distinguishes invalid input (one line, exit code 2) from a defect (a traceback). A message names
what was found and what was expected.

Estimators are dataclasses. The annotation of a parameter is its :class:`Constraint` (or ``bool``),
and :func:`check_parameters` checks all of them::

    @dataclass(eq=False, repr=False)
    class Estimator(BaseEstimator):
        n_units: integer(1) = 256
        cell: option(["GRU", "LSTM"]) = "GRU"
        patience: integer(1) | None = None
        attention: bool = False

        def fit(self, X, y=None):
            check_parameters(self)
"""

import difflib
import os
import re
import sys
from collections.abc import Callable, Hashable
from dataclasses import dataclass, fields
from numbers import Integral, Real


class ThesisError(Exception):
    """Invalid input. The message names the place, the value and what was expected."""


class ParameterError(ThesisError, ValueError):
    """A parameter has an impossible value or an unknown name."""


class AudioError(ThesisError, ValueError):
    """An audio file is missing, empty, damaged or of an unsupported shape."""


class CorpusError(ThesisError, ValueError):
    """A corpus is incomplete or contradicts itself; all problems are listed."""


class WeightsError(ThesisError, ValueError):
    """A weights file is missing, damaged, unsafe or of another network."""


class StoreError(ThesisError, OSError):
    """The feature store cannot be read or written."""

    def __str__(self):
        return str(self.args[-1])


@dataclass(frozen=True)
class Constraint:
    """Values that a parameter may have; ``a | b`` accepts the values of both, or None.

    Parameters
    ----------
    accepts : callable
        Value to bool.
    expected : str
        Description of the accepted values, for the message.
    options : tuple
        Accepted names, from which the message suggests the nearest.
    plain : callable
        Gives an accepted value as plain Python.

    Examples
    --------
    >>> constraint = integer(1, 9) | None
    >>> constraint.check("patience", 3)
    3
    >>> constraint.check("patience", True)
    Traceback (most recent call last):
    ...
    thesislib.errors.ParameterError: patience: found True, expected an integer >= 1 and <= 9 or None
    """

    accepts: Callable
    expected: str
    options: tuple = ()
    plain: Callable = lambda value: value

    def __or__(self, other):
        if other is None:
            other = Constraint(lambda value: value is None, "None")
        return Constraint(
            lambda value: self.accepts(value) or other.accepts(value),
            f"{self.expected} or {other.expected}",
            self.options + other.options,
            lambda value: (self if self.accepts(value) else other).plain(value),
        )

    def __repr__(self):
        return self.expected

    def check(self, name, value):
        """Return ``value`` if it is accepted; else raise a `ParameterError` that names it."""
        if self.accepts(value):
            return value
        near = difflib.get_close_matches(str(value), map(str, self.options), n=1)
        hint = f" (did you mean {near[0]!r}?)" if near else ""
        shown = " ".join(repr(value).split())  # one line, of an array too
        shown = shown if len(shown) <= 200 else shown[:200] + "..."
        if len(self.options) > (20 if near else 100):
            raise ParameterError(
                f"{name}: found {shown}{hint}, expected one of {len(self.options)} names"
            )
        raise ParameterError(f"{name}: found {shown}, expected {self.expected}{hint}")


def number(low=None, high=None, *, open_low=False, whole=False):
    """Finite numbers within inclusive bounds; ``open_low`` excludes ``low`` itself.

    ``whole`` accepts integers only. A boolean is not a number.
    """
    kind, expected = (Integral, "an integer") if whole else (Real, "a number")
    bounds = [f"{'>' if open_low else '>='} {low}"] if low is not None else []
    bounds += [f"<= {high}"] if high is not None else []

    def accepts(value):
        if not isinstance(value, kind) or isinstance(value, bool):
            return False
        if not abs(value) <= sys.float_info.max:  # NaN, infinity, and integers beyond float
            return False
        above = low is None or (value > low if open_low else value >= low)
        return above and (high is None or value <= high)

    expected = " ".join([expected, " and ".join(bounds)]).strip()
    return Constraint(accepts, expected, plain=int if whole else float)


def integer(low, high=2**31 - 1):
    """Integers from ``low`` to ``high``."""
    return number(low, high, whole=True)


def option(options):
    """One of some names."""
    options = tuple(options)
    expected = "one of " + ", ".join(map(str, options))
    return Constraint(lambda v: isinstance(v, Hashable) and v in options, expected, options)


def sequence(item, length=None, *, most=None):
    """Lists, tuples or arrays of ``length`` values, or of 1 to ``most``, each an ``item``."""

    def accepts(value):
        if not isinstance(value, list | tuple) and getattr(value, "ndim", 0) == 0:
            return False
        low, high = (length, length) if length else (1, most or len(value))
        return low <= len(value) <= high and all(map(item.accepts, value))

    expected = length or (f"1 to {most}" if most else "one or more")
    return Constraint(accepts, f"a list of {expected}, each {item.expected}")


BOOLEAN = Constraint(lambda v: type(v).__name__ in ("bool", "bool_"), "true or false", plain=bool)
TEXT = Constraint(lambda v: isinstance(v, str) and v != "", "text")
PATH = Constraint(
    lambda v: isinstance(v, str | os.PathLike) and str(v) != "" and "\0" not in str(v), "a path"
)
DEVICE = Constraint(lambda v: re.fullmatch(r"auto|cpu|cuda(:\d)?", str(v)), "auto, cpu or cuda")
#: A share of activations, clips or a loss.
SHARE = number(0, 0.99)
#: As :func:`sklearn.utils.check_random_state` takes it; recognised without importing numpy.
SEED = (
    integer(0, 2**32 - 1)
    | Constraint(lambda v: hasattr(v, "random_sample"), "a RandomState")
    | None
)


def check_parameters(settings, *, store=False):
    """Check the parameters of a dataclass against the constraints that annotate them.

    Parameters
    ----------
    settings : dataclass
    store : bool
        Store plain numbers in place of NumPy's, so that equal settings are equal keys.

    Raises
    ------
    ParameterError
        Names the parameter, the value found and what was expected.
    """
    for field in fields(settings):
        constraint = BOOLEAN if field.type is bool else field.type
        value = constraint.check(field.name, getattr(settings, field.name))
        if store:
            object.__setattr__(settings, field.name, constraint.plain(value))


def check_number(name, value, *, low=None, high=None, open_low=False, integer=False):
    """Return ``value`` if it is a finite number within bounds.

    Parameters
    ----------
    name : str
        Name of the parameter, for the message.
    value : object
        Value of the parameter.
    low, high : float, optional
        Inclusive bounds; ``open_low`` excludes ``low`` itself.
    integer : bool
        Accept integers only.

    Raises
    ------
    ParameterError
        Names the parameter, the value found and what was expected.

    Examples
    --------
    >>> check_number("hop_s", 0.01, low=0, open_low=True)
    0.01
    >>> check_number("n_mels", 0, low=1, integer=True)
    Traceback (most recent call last):
    ...
    thesislib.errors.ParameterError: n_mels: found 0, expected an integer >= 1
    """
    return number(low, high, open_low=open_low, whole=integer).check(name, value)


def check_option(name, value, options):
    """Return ``value`` if it is one of ``options``; else name the nearest one.

    Raises
    ------
    ParameterError
        Lists the options and suggests the nearest.

    Examples
    --------
    >>> check_option("kind", "mell", ["mel", "chroma"])
    Traceback (most recent call last):
    ...
    thesislib.errors.ParameterError: kind: found 'mell', expected one of mel, chroma
    (did you mean 'mel'?)
    """
    return option(options).check(name, value)
