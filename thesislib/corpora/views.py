"""A cut of a corpus as a folder of its own: an ``index.csv`` beside audio that nobody moves.

A corpus that serves several experiments has a cut for each. A view is a small folder with the
index of one cut; its files are named from there (``../../audio/a.wav``). So a notebook's
parameter ``corpus`` says which cut is meant, like any folder of recordings.
"""

import json
import os
from pathlib import Path

from thesislib.corpora.folder import DESCRIPTION
from thesislib.store import write_atomically


def write_view(corpus, place) -> Path:
    """Write a corpus as ``index.csv`` and ``corpus.json``; its audio stays where it is.

    Parameters
    ----------
    corpus : Corpus
    place : str or Path
        Folder of the view, which is made if needed. An index that is there is replaced.

    Returns
    -------
    Path
        ``place``; :func:`thesislib.corpora.folder.load` reads it.

    Examples
    --------
    >>> import tempfile
    >>> import pandas as pd
    >>> from thesislib.corpora import folder
    >>> from thesislib.corpora.index import Corpus
    >>> root = Path(tempfile.mkdtemp())
    >>> index = pd.DataFrame({"file": ["audio/a.wav"], "label": ["dog"]})
    >>> place = write_view(Corpus(index, root, name="dogs"), root / "views" / "dogs")
    >>> folder.load(place).index["file"].tolist()
    ['../../audio/a.wav']
    """
    place = Path(place)
    place.mkdir(parents=True, exist_ok=True)
    way = Path(os.path.relpath(corpus.root.resolve(), place.resolve()))
    files = [(way / name).as_posix() for name in corpus.index["file"]]
    about = {"name": corpus.name, "kind": corpus.kind, "licence": corpus.licence}
    with write_atomically(place / DESCRIPTION) as temporary:
        temporary.write_text(json.dumps(about, indent=2) + "\n", encoding="utf-8")
    with write_atomically(place / "index.csv") as temporary:
        corpus.index.assign(file=files).to_csv(temporary, index=False)
    return place
