"""The errors of the package: each message names what was found and what was expected.

Every error that a user can cause derives from :class:`ThesisError`, so the
command line can tell a wrong input (one line, exit code 2) from a defect
(a traceback).
"""

import difflib
import math
from numbers import Integral, Real


class ThesisError(Exception):
    """Something the user can mend; the message says where and how."""


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


def check_number(name, value, *, low=None, high=None, open_low=False, integer=False):
    """Return ``value`` if it is a finite number within bounds.

    Parameters
    ----------
    name : str
        Name of the parameter, for the message.
    value : object
        What the caller was given.
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
    kind = Integral if integer else Real
    good = isinstance(value, kind) and not isinstance(value, bool) and math.isfinite(value)
    if good and low is not None:
        good = value > low if open_low else value >= low
    if good and high is not None:
        good = value <= high
    if good:
        return value
    wanted = "an integer" if integer else "a number"
    if low is not None:
        wanted += f" {'>' if open_low else '>='} {low}"
    if high is not None:
        wanted += f"{' and' if low is not None else ''} <= {high}"
    raise ParameterError(f"{name}: found {value!r}, expected {wanted}")


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
    options = list(options)
    if value in options:
        return value
    near = difflib.get_close_matches(str(value), [str(o) for o in options], n=1)
    hint = f" (did you mean {near[0]!r}?)" if near else ""
    listed = ", ".join(str(o) for o in options)
    if near and len(options) > 20:
        raise ParameterError(f"{name}: found {value!r}{hint}, expected one of {len(options)} names")
    raise ParameterError(f"{name}: found {value!r}, expected one of {listed}{hint}")
