"""Tables as people have them: one reader for indexes, labels, events and lists of corpora."""

import codecs
import csv
import io
import re
import unicodedata
from pathlib import Path, PurePosixPath

import numpy as np
import pandas as pd

from thesislib.errors import CorpusError

DELIMITERS = (",", ";", "\t")
#: Titles of the column that names the files.
FILE_COLUMNS = ("file", "file_name", "filename")

# What saved the table, by its first bytes; without a mark, zeros tell UTF-16.
_ENCODINGS = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
# What makes a name other than its path.
_ODD = re.compile(r"\\|//|(^|/)\.(/|$)|^\s|\s$|/$|^$")
# Numbers with a decimal comma, or without: a column that has both keeps them as they are.
_NUMBER = re.compile(r"[+-]?(\d+,?\d*|,\d+)(e[+-]?\d+)?", re.I)


class Problems:
    """Problems of one input by kind: a few are listed, many get one line with a count.

    Examples
    --------
    >>> problems = Problems()
    >>> for row in range(1, 6):
    ...     problems.add(f"row {row}", "no file named")
    >>> problems.lines
    ['row 1: no file named (and 4 more: row 2, row 3, …)']
    """

    def __init__(self):
        self._kinds = {}

    def add(self, where, what, kind=None, count=1):
        """Add problems; ``kind`` is by default the text without values and numbers."""
        kind = kind or re.sub(r"'.*'|-?\d[\d.,e+-]*", "#", what)
        entry = self._kinds.setdefault(kind, [0])
        entry[0] += count
        if len(entry) <= 3:
            entry.append((where, what))

    def add_rows(self, mask, describe, kind=None):
        """Add a problem of each row under a mask: ``describe`` gives the text of the first ones."""
        rows = np.flatnonzero(mask)
        for row, count in zip(rows, (1, 1, len(rows) - 2)):
            self.add(f"row {row + 1}", describe(row), kind, count)

    @property
    def lines(self):
        """One line a problem, or a kind of which there are more than three."""
        lines = []
        for count, *examples in self._kinds.values():
            texts = [f"{where}: {what}" for where, what in examples]
            if count > len(texts):
                others = ", ".join(where for where, _ in examples[1:])
                texts = [f"{texts[0]} (and {count - 1} more: {others}, …)"]
            lines += texts
        return lines

    def raise_if_any(self, where, expected=""):
        """Raise a :class:`CorpusError` that lists the problems, if there are any."""
        if self._kinds:
            count = sum(entry[0] for entry in self._kinds.values())
            listed = "\n".join(f"  - {line}" for line in self.lines)
            raise CorpusError(f"{where}: {count} problem{'s' * (count > 1)}{expected}\n{listed}")


def clean_name(name):
    r"""A file's name as it is compared: without blanks around it, with ``/``, composed letters.

    Examples
    --------
    >>> clean_name(" .\\cat//u\u0308.wav") == "cat/\u00fc.wav"
    True
    """
    if name.isascii() and not _ODD.search(name):
        return name
    path = PurePosixPath(name.strip().replace("\\", "/")).as_posix()
    return unicodedata.normalize("NFC", path)


def read_rows(path, *, delimiter=None):
    """Fields of each line of a table that is not empty.

    Parameters
    ----------
    path : str or Path
        UTF-8, UTF-16 or (with a remark) Windows-1252.
    delimiter : str, optional
        Comma, semicolon or tab, by what the first line has, or as a line ``sep=;`` says.

    Returns
    -------
    rows : list of (int, list of str)
        Number of the line, fields.
    delimiter : str
    remarks : tuple of str

    Raises
    ------
    CorpusError
        If the file cannot be read, or is no text.
    """
    text, remarks = _decode(Path(path))
    stated = re.match(r'"?sep=([,;\t])"?\r?\n', text)
    if stated:
        delimiter, text = stated[1], "\n" + text[stated.end() :]
    delimiter = delimiter or _find_delimiter(text)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        rows = [(reader.line_num, fields) for fields in reader if any(map(str.strip, fields))]
    except csv.Error as error:
        raise CorpusError(f"{path}, line {reader.line_num}: cannot be read ({error})") from error
    return rows, delimiter, remarks


def read_table(path, *, needs=(), files=None, problems=None):
    """Read a table with a header.

    Parameters
    ----------
    path : str or Path
        As for `read_rows`. A number may have a decimal comma where no comma separates fields.
    needs : sequence of str
        Columns that must be there.
    files : collection of str, optional
        Names of files, see `clean_name`. The column that holds them becomes ``file``: one of
        `FILE_COLUMNS`, or the first one. A table whose first line has such a name has no header;
        its other columns are labels.
    problems : Problems, optional
        Takes the lines with another number of fields, which else are an error.

    Returns
    -------
    table : DataFrame of str
        Without blanks around titles and cells, but for names of files. Its index are the numbers
        of the lines.
    remarks : tuple of str

    Raises
    ------
    CorpusError
        If the table cannot be read, or lacks a column.
    """
    rows, delimiter, remarks = read_rows(path)
    header = [title.strip() for title in rows[0][1]] if rows else []
    while header and not header[-1]:
        header.pop()
    if files is not None and rows:
        known = {name.casefold() for name in files}
        first = [clean_name(fields[0]).casefold() in known for _, fields in rows]
        if first[0] and set(FILE_COLUMNS).isdisjoint(header):
            n_labels = len(header) - 1
            titles = [f"label_{i + 1}" for i in range(n_labels)] if n_labels > 1 else ["label"]
            header, rows = ["file", *titles[:n_labels]], [(0, header), *rows]
        elif set(FILE_COLUMNS).isdisjoint(header) and any(first):
            header[0] = "file"
        else:
            header = ["file" if title in FILE_COLUMNS else title for title in header]
    if set(needs) - set(header) or len(set(header)) < len(header):
        wanted = " and ".join(needs) or "each once"
        raise CorpusError(f"{path}: found the columns {', '.join(header)}, expected {wanted}")
    own = Problems() if problems is None else problems
    lines = []
    for number, fields in rows[1:]:
        if len(fields) < len(header) or any(map(str.strip, fields[len(header) :])):
            own.add(f"{path}, line {number}", f"found {len(fields)} of {len(header)} fields")
        else:
            lines.append((number, fields))
    if problems is None:
        own.raise_if_any(path)
    columns = {}
    for i, title in enumerate(header):
        cells = [fields[i] for _, fields in lines]
        if title not in FILE_COLUMNS:
            cells = [cell.strip() for cell in cells]
            if delimiter != "," and all(not cell or _NUMBER.fullmatch(cell) for cell in cells):
                cells = [cell.replace(",", ".") for cell in cells]
        columns[title or f"column {i + 1}"] = cells
    return pd.DataFrame(columns, index=[number for number, _ in lines], dtype="str"), remarks


def _decode(path):
    try:
        content = path.read_bytes()
    except OSError as error:
        raise CorpusError(f"{path}: cannot be read ({error.strerror})") from error
    encoding = next((name for mark, name in _ENCODINGS.items() if content.startswith(mark)), None)
    if encoding is None and b"\0" in content[:2]:
        encoding = "utf-16-be" if content[:1] == b"\0" else "utf-16-le"
    remark = f"{path.name}: read as Windows-1252; save it as UTF-8 if letters are wrong"
    for name in (encoding,) if encoding else ("utf-8", "cp1252"):
        try:
            return content.decode(name), (remark,) * (name == "cp1252")
        except UnicodeDecodeError as error:
            reason = error
    raise CorpusError(f"{path}: found no text ({reason}), expected UTF-8")


def _find_delimiter(text):
    """The delimiter for which the first line names a column of files, or has most fields."""
    line = next((line for line in text[: 2**16].splitlines() if line.strip(" ,;\t")), "")

    def rate(delimiter):
        fields = [field.strip() for field in next(csv.reader([line], delimiter=delimiter), [])]
        return not set(FILE_COLUMNS).isdisjoint(fields), len(fields)

    return max(DELIMITERS, key=rate)
