"""Folders of the project, and plain values from its small files: YAML and JSON.

The root is the folder that ``THESIS_ROOT`` names, else the checkout that the package was
installed from, else the nearest folder above the working directory that holds ``notebooks``.

Parameters, recipes and descriptions are read without aliases, since nine lines of them expand to
10⁹ values, and with limited nesting, so that no text can exhaust the memory or the stack.
"""

import contextlib
import json
import os
from pathlib import Path

import yaml

from thesislib.errors import CorpusError, ParameterError, ThesisError

#: Lists and mappings inside each other; what is read here has about five.
MAX_DEPTH = 50
_CONVERSION = (ValueError, ArithmeticError, LookupError, TypeError, AttributeError)


def project_root():
    """Folder that holds ``notebooks``, ``data`` and ``results``.

    Raises
    ------
    ThesisError
        If there is none, as after installing the package without a checkout.
    """
    named = os.environ.get("THESIS_ROOT")
    candidates = [Path(named)] if named else [Path(__file__).resolve().parents[1]]
    if not named:
        candidates += [Path.cwd(), *Path.cwd().parents]
    for folder in candidates:
        if (folder / "notebooks").is_dir():
            return folder.resolve()
    raise ThesisError(
        f"{named or f'{Path.cwd()} and the folders above'}: found no folder notebooks, expected a "
        "checkout of the project (run the command in one, or set THESIS_ROOT to its path)"
    )


def notebooks_folder():
    """The experiments' notebooks."""
    return project_root() / "notebooks"


def data_folder():
    """Corpora, weights and synthetic corpora; without a checkout, a cache folder of the user."""
    with contextlib.suppress(ThesisError):
        return project_root() / "data"
    import pooch

    return Path(pooch.os_cache("thesislib"))


def published_folder():
    """The thesis's printed tables, and the lists of the overview."""
    return project_root() / "data" / "published"


def weights_folder():
    """Weights of networks, from ``thesis weights fetch``; ``THESIS_WEIGHTS`` overrides it."""
    named = os.environ.get("THESIS_WEIGHTS")
    return Path(named) if named else data_folder() / "weights"


def store_folder():
    """The feature store; ``THESIS_STORE`` overrides it."""
    named = os.environ.get("THESIS_STORE")
    return Path(named) if named else project_root() / "data" / "store"


def results_folder():
    """Executed notebooks, tables and figures; ``THESIS_RESULTS`` overrides it."""
    named = os.environ.get("THESIS_RESULTS")
    return Path(named) if named else project_root() / "results"


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
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        anchors = []  # of the lists and mappings that a value lies in
        for event in yaml.parse(text, Loader=loader):
            if isinstance(event, yaml.CollectionStartEvent):
                anchors.append(event.anchor)
            elif isinstance(event, yaml.CollectionEndEvent):
                anchors.pop()
            elif isinstance(event, yaml.AliasEvent) and (not aliases or any(anchors)):
                raise error(f"{where}: found an alias (*{event.anchor}), expected plain values")
            if len(anchors) > MAX_DEPTH:
                raise error(f"{where}: found more than {MAX_DEPTH} levels, expected plain values")
        return yaml.load(text, Loader=loader)
    except error:
        raise
    # The constructors of dates, numbers and tags raise whatever their conversions raise.
    except (yaml.YAMLError, *_CONVERSION) as e:
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


#: Libraries whose versions can change a number; equal here and on a cluster, for equal bytes.
LIBRARIES = (
    "numpy scipy pandas scikit-learn librosa soundfile soxr torch torchvision opensmile matplotlib"
).split()


def describe_versions():
    """Python, this package, and the libraries that can change a number; None for an absent one.

    Examples
    --------
    >>> list(describe_versions())[:3]
    ['python', 'thesislib', 'numpy']
    """
    import platform
    from importlib.metadata import PackageNotFoundError, version

    from thesislib import __version__

    versions = {"python": platform.python_version(), "thesislib": __version__}
    for name in LIBRARIES:
        versions[name] = None
        with contextlib.suppress(PackageNotFoundError):
            versions[name] = version(name)
    return versions
