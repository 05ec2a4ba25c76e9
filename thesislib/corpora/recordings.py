"""Loose recordings and their labels: any files and folders, without an index."""

import csv
import os
import re
from collections import Counter
from pathlib import Path, PurePosixPath

from thesislib.errors import CorpusError, ParameterError, check_option

#: Files that `thesis corpus` writes beside the audio.
OWN_FILES = ("index.csv", "corpus.json")
SUFFIXES = (".wav", ".flac", ".ogg", ".mp3", ".aif", ".aiff")
#: Label tables, and what separates their fields.
TABLES = {".csv": ",", ".tsv": "\t"}
FILE_COLUMNS = ("file", "file_name")
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
        searched, with all folders in it, for files with one of `SUFFIXES`; those that begin
        with a dot are left out.

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
            subfolders[:] = [name for name in subfolders if not _leads_back(Path(folder, name))]
            for file in (Path(folder, name) for name in files):
                if file.suffix.lower() in SUFFIXES and not file.name.startswith("."):
                    found.append(file)
                elif file.name not in OWN_FILES:
                    ignored[file.suffix.lower()] += 1
    if not found:
        raise CorpusError(
            f"{', '.join(map(str, audio))}: found no audio files ({sum(ignored.values())} others), "
            f"expected some of {', '.join(SUFFIXES)}"
        )
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
        ``folder``: the name of the folder that a file is in. Else a table, ``.csv`` (comma) or
        ``.tsv``, with a header: a column ``file`` (or ``file_name``) and one or more of
        labels. A file is a path from ``root`` or from the table's folder, or, where no other
        file is called so, a bare name. An empty field or ``?`` is no label.
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
    problems, unused = [], set()
    if label is not None:
        columns = {"label": [str(label)] * len(names)}
    elif str(labels) == "folder":
        columns = {"label": [PurePosixPath(name).parent.name or None for name in names]}
    else:
        table = Path(labels)
        titles, rows = _read_table(table, problems)
        entries, used = [], set()
        for keys in find_keys(names, root, table):
            key = next((key for key in keys if key in rows), None)
            entries.append(rows.get(key, [None] * len(titles)))
            used.add(key)
        unused = set(rows) - used
        columns = dict(zip(titles, map(list, zip(*entries))))
    for i, name in enumerate(names):
        missing = [title for title, values in columns.items() if values[i] is None]
        if missing and not unlabelled:
            problems.append(f"{name}: found no {', '.join(missing)}")
    if problems:
        listed = "\n".join(f"  - {problem}" for problem in problems)
        raise CorpusError(
            f"labels: {len(problems)} problems; expected a label of every file (or unlabelled)\n"
            f"{listed}"
        )
    if not nominal:
        columns = {title: _as_numbers(values) for title, values in columns.items()}
    return columns, len(unused)


def find_keys(names, root, table):
    """What a table may call each recording: its path from two places, or a bare name.

    Examples
    --------
    >>> find_keys(["a/1.wav"], Path("audio"), Path("labels.csv"))
    [['a/1.wav', 'audio/a/1.wav', '1.wav']]
    """
    bare, found = Counter(PurePosixPath(name).name for name in names), []
    for name in names:
        last, path = PurePosixPath(name).name, os.path.join(root, name)
        keys = [name, Path(os.path.relpath(path, Path(table).absolute().parent)).as_posix()]
        found.append(keys + [last] * (bare[last] == 1))
    return found


def _read_table(path, problems):
    """Titles of the label columns, and labels by file; what is wrong goes to ``problems``."""
    check_option("labels", path.suffix.lower(), TABLES)
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            lines = list(csv.reader(file, delimiter=TABLES[path.suffix.lower()]))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise CorpusError(f"{path}: cannot be read ({error})") from error
    header = lines[0] if lines else []
    where = next((header.index(name) for name in FILE_COLUMNS if name in header), None)
    if where is None or len(header) < 2 or len(set(header)) < len(header):
        raise CorpusError(
            f"{path}: found the columns {', '.join(header)}, expected file and one or more of "
            "labels, each once"
        )
    rows = {}
    for number, line in enumerate(lines[1:], start=2):
        if not line:
            continue
        if len(line) != len(header):
            problems.append(f"{path}, line {number}: found {len(line)} of {len(header)} fields")
            continue
        name = PurePosixPath(line.pop(where).replace("\\", "/")).as_posix()
        found = [None if field.strip() in UNKNOWN else field.strip() for field in line]
        if rows.setdefault(name, found) != found:
            problems.append(f"{path}, line {number}: found other labels of {name} than before")
    return header[:where] + header[where + 1 :], rows


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
