"""Values from YAML and JSON: parameters, recipes and descriptions, without surprises.

Aliases are not accepted, since nine lines of them expand to 10⁹ values, and nesting is limited,
so that no text can exhaust the memory or the stack.
"""

import json
from pathlib import Path

import yaml

from thesislib.errors import CorpusError, ParameterError

#: Lists and mappings inside each other; what is read here has about five.
MAX_DEPTH = 50

_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def parse_plain(text, *, where, error=ParameterError, aliases=False):
    """Values that a YAML text holds.

    Parameters
    ----------
    text : str
    where : str
        Name of the parameter or file, for the message.
    error : type
        Class of the error.
    aliases : bool
        Accept aliases that are not nested, which the lists of the TUT corpora may have.

    Raises
    ------
    ParameterError
        Or ``error``, in one line: for text that is no YAML, aliases, values of unknown types and
        nesting beyond `MAX_DEPTH`.

    Examples
    --------
    >>> parse_plain("[1, 0.5, yes]", where="seeds")
    [1, 0.5, True]
    >>> parse_plain("&a [*a]", where="seed")
    Traceback (most recent call last):
    ...
    thesislib.errors.ParameterError: seed: found an alias (*a), expected plain values
    """
    try:
        anchors = []  # of the lists and mappings that a value lies in
        for event in yaml.parse(text, Loader=_Loader):
            if isinstance(event, yaml.CollectionStartEvent):
                anchors.append(event.anchor)
            elif isinstance(event, yaml.CollectionEndEvent):
                anchors.pop()
            elif isinstance(event, yaml.AliasEvent) and (not aliases or any(anchors)):
                raise error(f"{where}: found an alias (*{event.anchor}), expected plain values")
            if len(anchors) > MAX_DEPTH:
                raise error(f"{where}: found more than {MAX_DEPTH} levels, expected plain values")
        return yaml.load(text, Loader=_Loader)
    except error:
        raise
    # The constructors of dates, numbers and tags raise whatever their conversions raise.
    except (
        yaml.YAMLError,
        ValueError,
        ArithmeticError,
        LookupError,
        TypeError,
        AttributeError,
    ) as e:
        reason = " ".join(str(e).split())
        raise error(f"{where}: found no plain YAML ({reason})") from e


def read_plain(path, *, error=CorpusError, aliases=False):
    """Values that a YAML or (by its suffix) JSON file holds.

    Raises
    ------
    CorpusError
        Or ``error``, in one line, as `parse_plain`; and if the file cannot be read.
    """
    try:
        text = Path(path).read_text(encoding="utf-8-sig")
        if Path(path).suffix == ".json":
            return json.loads(text)
    except OSError as e:
        raise error(f"{path}: cannot be read ({e.strerror})") from e
    except (ValueError, RecursionError) as e:
        raise error(f"{path}: found no plain text values ({e})") from e
    return parse_plain(text, where=path, error=error, aliases=aliases)
