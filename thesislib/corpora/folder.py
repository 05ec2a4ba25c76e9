"""Any folder with an ``index.csv`` is a corpus: the user's own data, and corpora
that have no public layout (G2AME, CAS2T vocalisations, Movie Review Dataset).
"""

import json
from pathlib import Path

import pandas as pd

from thesislib.corpora.index import Corpus
from thesislib.errors import CorpusError

#: Optional file beside the index: ``{"name": …, "kind": …, "licence": …}``.
DESCRIPTION = "corpus.json"


def find_folder(root):
    """Return the folder as a path.

    Raises
    ------
    CorpusError
        If it is missing or not a folder.
    """
    root = Path(root)
    if not root.is_dir():
        found = "a file" if root.exists() else "nothing"
        raise CorpusError(f"{root}: found {found}, expected the folder of a corpus")
    return root


def read_description(root):
    """Name, kind and licence from ``corpus.json``, as far as they are given."""
    path = Path(root) / DESCRIPTION
    if not path.is_file():
        return {}
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CorpusError(f"{path}: {error}, expected a JSON object") from error
    if not isinstance(found, dict):
        raise CorpusError(f"{path}: found {type(found).__name__}, expected a JSON object")
    return {key: found[key] for key in ("name", "kind", "licence") if key in found}


def load(root, *, index="index.csv"):
    r"""Read a folder's ``index.csv``.

    Parameters
    ----------
    root : str or Path
        Folder of the corpus.
    index : str
        Name of the index inside it: comma-separated, UTF-8, with a header.

    Returns
    -------
    Corpus
        Its kind is ``stand-in`` unless ``corpus.json`` says otherwise.

    Raises
    ------
    CorpusError
        If the folder or the index is missing, or the index cannot be read.

    Examples
    --------
    >>> import tempfile
    >>> root = Path(tempfile.mkdtemp())
    >>> _ = (root / "index.csv").write_text("file,label\na.wav,cat\nb.wav,dog\n")
    >>> load(root).classes
    ['cat', 'dog']
    """
    root = find_folder(root)
    path = root / index
    if not path.is_file():
        raise CorpusError(f"{path}: missing; expected a table with the columns file and label")
    try:
        table = pd.read_csv(
            path,
            dtype={name: "str" for name in ("file", "label", "partition", "fold", "group")},
            keep_default_na=False,
            na_values=[""],
            encoding="utf-8",
        )
    except (ValueError, UnicodeDecodeError, pd.errors.ParserError) as error:
        raise CorpusError(f"{path}: {error}; expected comma-separated UTF-8 text") from error
    described = read_description(root)
    licences = table["licence"].dropna().unique() if "licence" in table else []
    licence = described.get("licence") or "; ".join(sorted(map(str, licences))) or "not stated"
    return Corpus(
        table,
        root,
        name=str(described.get("name", root.resolve().name)),
        kind=described.get("kind", "stand-in"),
        licence=licence,
    )
