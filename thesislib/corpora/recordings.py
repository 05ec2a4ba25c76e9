"""Loose recordings and their labels: any files and folders, without an index."""

import os
import re
from collections import Counter
from pathlib import Path, PurePosixPath

from thesislib.audio import DECODED, SUFFIXES
from thesislib.corpora.tables import Problems, clean_name, read_table
from thesislib.errors import CorpusError, ParameterError, check_option

#: Files that `thesis corpus` writes beside the audio.
OWN_FILES = ("index.csv", "corpus.json")
#: Suffixes of tables of labels.
TABLES = (".csv", ".tsv")
# As in ComParE's tables.
UNKNOWN = ("", "?")

# Names that merely look like numbers stay names: 007, and what would lose digits.
_INTEGER = re.compile(r"[+-]?(0|[1-9]\d{0,14})")
_NUMBER = re.compile(r"[+-]?((0|[1-9]\d{0,14})(\.\d*)?|\.\d+)([eE][+-]?\d{1,2})?")


def find_recordings(audio):
    """Audio files among files and folders.

    Parameters
    ----------
    audio : list of str or Path
        A file is taken whatever it is called, and whether it is there or not. A folder is
        searched, with all folders in it, for files with one of `thesislib.audio.SUFFIXES`;
        files and folders that begin with a dot are left out.

    Returns
    -------
    root : Path
        The nearest folder that holds them all.
    names : list of str
        Sorted paths from there, with ``/``.
    refused : list of str
        Names that are not UTF-8.
    ignored : Counter
        Suffixes of the files that were left out.

    Raises
    ------
    CorpusError
        If there is no audio file, or a folder cannot be read.

    Examples
    --------
    >>> import tempfile
    >>> root = Path(tempfile.mkdtemp())
    >>> for name in ("b.WAV", "a.flac", "notes.txt"):
    ...     (root / name).touch()
    >>> find_recordings([root])[1:]
    (['a.flac', 'b.WAV'], [], Counter({'.txt': 1}))
    """
    given = [Path(os.path.abspath(path)) for path in audio]
    found, ignored = [path for path in given if not path.is_dir()], Counter()
    for path in given:
        for folder, subfolders, files in os.walk(path, onerror=_refuse, followlinks=True):
            subfolders[:] = [
                name
                for name in subfolders
                if not name.startswith(".") and not _leads_back(Path(folder, name))
            ]
            for file in (Path(folder, name) for name in files if not name.startswith(".")):
                if file.suffix.lower() in (*SUFFIXES, *DECODED):
                    found.append(file)
                elif file.name not in OWN_FILES:
                    ignored[file.suffix.lower()] += 1
    if not found:
        where, n_others = ", ".join(map(str, audio)), sum(ignored.values())
        what = f"found no audio files ({n_others} others), expected some of {', '.join(SUFFIXES)}"
        raise CorpusError(f"{where}: {what}")
    root = Path(os.path.commonpath([p if p.is_dir() else p.parent for p in given]))
    names = sorted({path.relative_to(root).as_posix() for path in found})
    # Bytes of a name that are no UTF-8 come as lone surrogates, which no table can hold.
    refused = [name for name in names if re.search("[\ud800-\udfff]", name)]
    return root, [name for name in names if name not in set(refused)], refused, ignored


def read_labels(names, root, *, labels=None, label=None, nominal=False, unlabelled=False):
    """Labels of recordings, from their folders, a table, or one for all.

    Parameters
    ----------
    names : list of str
        As `find_recordings` gives them.
    root : Path
    labels : {"folder"} or path, optional
        ``folder``: the name of the folder that a file is in. Else a table, ``.csv`` or ``.tsv``,
        see `thesislib.corpora.tables.read_table`: a column of files (``file``, or the first
        one) and one or more of labels; without a header, files and labels. A file is a path from
        ``root`` or from the table's folder, or, where no other file is called so, a bare name,
        with or without its suffix. An empty field or ``?`` is no label.
    label : str, optional
        One for all.
    nominal : bool
        Keep as names what would else become numbers: columns that hold nothing but numbers.
    unlabelled : bool
        Allow files without a label.

    Returns
    -------
    columns : dict of str to list
        Labels of each recording by column; None where there is none.
    n_unused : int
        Rows of the table whose file is not among ``names``.

    Raises
    ------
    CorpusError
        Lists every file that has no label, or two.
    ParameterError
        If ``labels`` and ``label`` are both given.

    Examples
    --------
    >>> read_labels(["cat/1.wav", "dog/2.wav"], Path(), labels="folder")
    ({'label': ['cat', 'dog']}, 0)
    >>> read_labels(["1.wav"], Path(), label="3.5")
    ({'label': [3.5]}, 0)
    """
    if labels is not None and label is not None:
        raise ParameterError(f"labels: found {str(labels)!r} beside label, expected one of them")
    if labels is None and label is None:
        return {}, 0
    problems, n_unused = Problems(), 0
    if label is not None:
        columns = {"label": [str(label)] * len(names)}
    elif str(labels) == "folder":
        columns = {"label": [PurePosixPath(name).parent.name or None for name in names]}
    else:
        check_option("labels", Path(labels).suffix.lower(), TABLES)
        keys, rows = _list_keys(names, root, labels), {}
        table, _ = read_table(labels, files=set().union(*keys), problems=problems)
        if "file" not in table or len(table.columns) < 2:
            found = f"found the columns {', '.join(table.columns)}"
            raise CorpusError(f"{labels}: {found}, expected file and one or more of labels")
        cells = table.drop(columns="file").itertuples()
        for key, (line, *values) in zip(map(clean_name, table["file"]), cells):
            values = [None if value in UNKNOWN else value for value in values]
            if rows.setdefault(key, values) != values:
                problems.add(f"{labels}, line {line}", f"found other labels of {key} than before")
        matches = _match(keys, rows)
        columns = {
            title: [rows[k][i] if k else None for k in matches]
            for i, title in enumerate(table.columns.drop("file"))
        }
        n_unused = len(set(rows) - set(matches))
    for i, name in enumerate(names):
        missing = [title for title, values in columns.items() if values[i] is None]
        if missing and not unlabelled:
            problems.add(name, f"found no {', '.join(missing)}")
    problems.raise_if_any("labels", "; expected a label of every file (or unlabelled)")
    if not nominal:
        columns = {title: _as_numbers(values) for title, values in columns.items()}
    return columns, n_unused


def _match(keys, known):
    """Which of the names of each recording is in a table, or None.

    Other case is accepted where it leaves no choice.
    """
    exact = [next((key for key in own if key in known), None) for own in keys]
    folded = {}
    for key in set(known) - set(exact):
        folded.setdefault(key.casefold(), []).append(key)
    options = [[folded.get(key.casefold(), ()) for key in own] for own in keys]
    near = [next((o[0] for o in own if len(o) == 1), None) for own in options]
    return [a or b for a, b in zip(exact, near)]


def _list_keys(names, root, table):
    """What a table may call each recording: its path from two places, or a bare name."""
    paths = [PurePosixPath(name) for name in names]
    n_names, n_stems = (Counter(getattr(p, part) for p in paths) for part in ("name", "stem"))
    place, listed = Path(table).absolute().parent, []
    for name, path in zip(names, paths):
        whole = os.path.abspath(os.path.join(root, name))
        keys = [name, os.path.relpath(whole, place), whole]
        keys += [path.name] * (n_names[path.name] == 1)
        keys += [os.path.splitext(key)[0] for key in keys[:3]]
        keys += [path.stem] * (n_stems[path.stem] == 1)
        listed.append([clean_name(key) for key in keys])
    return listed


def _as_numbers(values):
    """Numbers in place of their texts, if all are; ``007`` is none."""
    known = [value for value in values if value is not None]
    for pattern, number in ((_INTEGER, int), (_NUMBER, float)):
        if known and all(pattern.fullmatch(value) for value in known):
            return [None if value is None else number(value) for value in values]
    return values


def _leads_back(folder):
    """Whether a folder is a link to one that it lies in: a walk would never end."""
    return folder.is_symlink() and folder.parent.resolve().is_relative_to(folder.resolve())


def _refuse(error):
    if not isinstance(error, NotADirectoryError | FileNotFoundError):
        raise CorpusError(f"{error.filename}: cannot be read ({error.strerror})") from error
