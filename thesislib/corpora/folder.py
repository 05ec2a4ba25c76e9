"""Any folder with an ``index.csv`` is a corpus: the user's own data, and corpora
that have no public layout (G2AME, CAS2T vocalisations, Movie Review Dataset).
"""

import contextlib
import io
import os
import re
from pathlib import Path, PurePosixPath

import pandas as pd

from thesislib.corpora.index import (
    DESCRIPTION,
    TEXTS,
    TIMES,
    Corpus,
    check_columns,
    read_description,
)
from thesislib.corpora.tables import clean_name, read_table
from thesislib.errors import CorpusError


def find_folder(root):
    """Return the folder as a path.

    Raises
    ------
    CorpusError
        If it is missing or not a folder.
    """
    root = Path(root)
    try:
        if not root.is_dir():
            found = "a file" if root.exists() else "nothing"
            raise CorpusError(f"{root}: found {found}, expected the folder of a corpus")
        os.listdir(root)
    except OSError as error:
        raise CorpusError(f"{root}: cannot be read ({error.strerror})") from error
    return root


def list_files(root, pattern):
    """Sorted names of the files below a folder that match a pattern, without hidden ones.

    Raises
    ------
    CorpusError
        If a name is not UTF-8; names it.

    Examples
    --------
    >>> list_files(Path(__file__).parents[1], "corpora/fold*.py")
    ['corpora/folder.py']
    """
    names = sorted(path.relative_to(root).as_posix() for path in Path(root).glob(pattern))
    names = [name for name in names if not re.search(r"(^|/)\.", name)]
    for name in names:
        if re.search("[\ud800-\udfff]", name):
            raise CorpusError(f"{root}: found the name {name!r}, expected UTF-8: rename the file")
    return names


class Folders(dict):
    """Names in each sub-folder of a folder, and those that look alike; each is listed once."""

    def __init__(self, root):
        self.root = root

    def __missing__(self, folder):
        names, alike = (), {}
        with contextlib.suppress(OSError, ValueError):
            names = os.listdir(os.path.join(self.root, folder))
        for name in names:
            alike.setdefault(clean_name(name).casefold(), []).append(name)
        self[folder] = frozenset(names), alike
        return self[folder]

    def hold(self, name):
        """Whether there is something of a name, or of one that looks alike."""
        folder, last = os.path.split(name)
        names, alike = self[folder]
        return last in names or clean_name(last).casefold() in alike


def resolve_names(names, root):
    r"""Names of the files that a table means: exact ones first, then those that look alike.

    Parameters
    ----------
    names : iterable of str
        As in the table: with backslashes, blanks around them, ``./``, decomposed letters, or in
        other case.
    root : str or Path

    Returns
    -------
    names : list of str
        Unchanged where there is no such file, or several that differ in case only.
    remarks : tuple of str
        Whether files are named in other case.

    Examples
    --------
    >>> resolve_names([r".\corpora\folder.py", "no.py"], Path(__file__).parents[1])
    (['corpora/folder.py', 'no.py'], ())
    """
    folders = Folders(root)

    def find(name):
        cleaned = clean_name(name)
        names = (name,) if cleaned == name else (PurePosixPath(name).as_posix(), cleaned)
        for candidate in names:
            folder, last = os.path.split(candidate)
            if last in folders[folder][0]:
                return candidate
        folder = ""
        for part in cleaned.split("/"):
            if part != "..":
                alike = folders[folder][1].get(part.casefold(), ())
                if len(alike) != 1:
                    return name
                part = alike[0]
            folder = os.path.join(folder, part)
        return folder

    found = {name: find(name) for name in set(names) if name and isinstance(name, str)}
    other = sorted(n for n, f in found.items() if f != n and clean_name(f) != clean_name(n))
    remarks = ()
    if other:
        example = f"{other[0]!r} is {found[other[0]]!r}"
        remarks = (f"{len(other)} files are named in other case ({example})",)
    return [found.get(name, name) for name in names], remarks


def load(root):
    r"""Read a folder's ``index.csv``.

    Parameters
    ----------
    root : str or Path
        Folder of the corpus.
        The index is a table with a header, see `thesislib.corpora.tables.read_table`.

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
    table, licence, remarks = read_index(root)
    return describe(table, Path(root), licence=licence, mismatches=None, notes=remarks)


def read_index(root):
    """Table, licence and remarks of a folder's index; takes and raises what `load` does."""
    root = find_folder(root)
    path = root / "index.csv"
    if not path.is_file():
        raise CorpusError(f"{path}: missing; expected a table with the columns file and label")
    table, remarks = read_table(path)
    if "file" in table:
        table["file"], others = resolve_names(table["file"], root)
        remarks += others
    for name in (TEXTS | set(TIMES)) & set(table):
        table[name] = table[name].where(table[name] != "")
    typed = [name for name in table if name not in (*TEXTS, *TIMES)]
    if typed:
        text = io.StringIO(table[typed].to_csv(index=False))
        options = {"keep_default_na": False, "na_values": [""], "skip_blank_lines": False}
        table[typed] = pd.read_csv(text, **options).to_numpy(object)
        table = table.infer_objects()
    licences = table["licence"].dropna().unique() if "licence" in table else []
    licence = "; ".join(sorted(map(str, licences))) or "not stated"
    return check_columns(table, where=root.resolve().name), licence, remarks


def describe(index, root, *, licence, mismatches, name="", notes=(), splits=None):
    """Corpus with what ``corpus.json`` in its folder says of it.

    Parameters
    ----------
    index : DataFrame
    root : Path
        Folder of the corpus, with a ``corpus.json`` or none.
    name, licence : str
        Taken where ``corpus.json`` is silent; the name is that of the folder by default.
    mismatches : sequence of str, optional
        Where it differs from a corpus of the thesis: without any it is of kind ``thesis``, unless
        ``corpus.json`` says otherwise. None: there is nothing to compare with. A folder cannot say
        of itself that it is of that kind; a remark tells that it does.
    notes : sequence of str
        Further remarks.
    splits : dict, optional

    Returns
    -------
    Corpus
        Mismatches are among its remarks, unless it is synthetic.
    """
    described = read_description(root)
    kind = "stand-in" if mismatches or mismatches is None else "thesis"
    stated, notes = described.get("kind", kind), list(notes)
    if stated == "thesis" != kind:
        notes.append(f"{DESCRIPTION} says kind 'thesis', which only a reader can find out: {kind}")
        stated = kind
    return Corpus(
        index,
        root,
        name=str(described.get("name", name or root.resolve().name)),
        kind=stated,
        licence=described.get("licence") or licence,
        splits=splits,
        remarks=(*((mismatches or ()) if stated != "synthetic" else ()), *notes),
    )
