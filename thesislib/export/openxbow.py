"""The file formats of openXBOW 1.3.1, in and out (thesis 4.2.3).

Three kinds of text file:

- *frames*: a line a frame, ``'clip name';value;value;…``, with or without a header
  line, with or without a column of times after the name; or an ARFF with these columns;
- *bags*: a line a clip under the header ``name;W(0);W(1);…``;
- *codebooks*: scaling, weighting and words, one block of words a stream.

A codebook's own numbers are used as they stand. openXBOW's ``-standardizeInput``
with k streams divides its sums by k times the number of frames, so such a file
holds other means and deviations than :class:`BagOfFeatures` learns.
"""

import csv
import math
import re
from pathlib import Path

import numpy as np

from thesislib.errors import CorpusError, ParameterError, WeightsError
from thesislib.export.tables import check_writable
from thesislib.representations.bag_of_features import BagOfFeatures
from thesislib.store import write_atomically

TIME_COLUMNS = ("time", "frametime", "frame_time", "timestamp", "start")
# Columns of an ARFF that may stand before the features: times, and those of `thesis features`.
PLACES = (*TIME_COLUMNS, "chunk", "frame", "start_s", "end_s")
_ATTRIBUTE = re.compile(r"""@attribute\s+('(?:[^'\\]|\\.)*'|"[^"]*"|\S+)\s+(.+)""", re.I)
SCALES = {"normalizeInput": "minmax", "standardizeInput": "zscore"}


def read_frames(path, *, time_column=None):
    """Frames of each clip from a CSV or ARFF file.

    Parameters
    ----------
    path : str or Path
        Fields are separated by ``;`` (``.arff``: commas); the first is the clip's name, in single
        quotes or bare. Rows of one clip need not stand together. Attributes of an ARFF that are
        not numeric are labels, which are left out, as are ``chunk``, ``frame`` and times.
    time_column : bool, optional
        Whether the second field is a time, which is no feature. Default: it is if a header
        names it so (``time``, ``frameTime``, …).

    Returns
    -------
    names : list of str
        In the order in which they come first.
    X : list of ndarray, shape (n_frames, n_features), float32

    Raises
    ------
    CorpusError
        Names file, line and column, what was found and what was expected.
    """
    read_rows = _read_arff if Path(path).suffix.lower() == ".arff" else _read_csv
    clips, width = {}, None
    for number, name, fields in read_rows(path, time_column):
        row = _parse_row(fields, f"{path}, line {number}")
        width = len(row) if width is None else width
        if len(row) != width or not width:
            raise CorpusError(
                f"{path}, line {number}: found {len(row)} values, expected "
                f"{width or 'at least one'} (name;value;value;…)"
            )
        clips.setdefault(name, []).append(row)
    if not clips:
        raise CorpusError(f"{path}: found no frames, expected lines of name;value;value;…")
    return list(clips), [np.stack(rows) for rows in clips.values()]


def _read_csv(path, time_column):
    """Line number, name and values of each frame."""
    for number, line in enumerate(_read_lines(path, CorpusError), start=1):
        if not line.strip():
            continue
        name, fields = _split_name(line)
        if number == 1 and fields and all(_parse_floats([field]) is None for field in fields):
            if time_column is None:
                time_column = fields[0].strip(" '\"").lower() in TIME_COLUMNS
            continue
        yield number, name, fields[1:] if time_column else fields


def _read_arff(path, time_column):
    """As `_read_csv`; columns that are not numeric (labels) are left out."""
    titles, numeric, columns = [], [], None
    for number, line in enumerate(_read_lines(path, CorpusError), start=1):
        line = line.strip("\ufeff \r\n")
        if not line or line.startswith("%"):
            continue
        if attribute := columns is None and _ATTRIBUTE.fullmatch(line):
            titles.append(attribute[1].strip("'\"").lower())
            numeric.append(attribute[2].lower() in ("numeric", "real", "integer"))
        elif columns is not None:
            (row,) = csv.reader([line], quotechar="'", escapechar="\\", skipinitialspace=True)
            if len(row) != len(titles):
                where = f"{path}, line {number}"
                raise CorpusError(f"{where}: found {len(row)} values, expected {len(titles)}")
            yield number, row[0], [row[column] for column in columns]
        elif line.lower() == "@data":
            first = 1  # the column that is no place in time
            while first < len(titles) and titles[first] in PLACES and time_column is None:
                first += 1
            first += bool(time_column)
            columns = [i for i in range(first, len(titles)) if numeric[i]]


def write_frames(path, names, X):
    """Write frames, a line a frame, without a header.

    Parameters
    ----------
    path : str or Path
    names : sequence of str
    X : sequence of ndarray, shape (n_frames, n_features)
    """
    with write_atomically(path) as temporary, _open_to_write(temporary) as file:
        for name, frames in zip(names, X, strict=True):
            file.writelines(f"{_quote(name)};{text}\n" for text in _format_rows(frames))


def write_bags(path, names, bags):
    """Write bags, a line a clip, under openXBOW's header.

    Parameters
    ----------
    path : str or Path
    names : sequence of str
    bags : ndarray, shape (n, n_bins)
    """
    with write_atomically(path) as temporary, _open_to_write(temporary) as file:
        file.write(";".join(["name", *(f"W({i})" for i in range(np.shape(bags)[1]))]) + "\n")
        for name, text in zip(names, _format_rows(bags), strict=True):
            file.write(f"{_quote(name)};{text}\n")


def read_codebook(path):
    r"""Fitted :class:`BagOfFeatures` from openXBOW's codebook.

    Parameters
    ----------
    path : str or Path

    Returns
    -------
    BagOfFeatures
        Ready for ``transform``. How the words were sampled is not in the file, nor is the
        norm: set it with ``set_params(norm=…)``. Fitting anew keeps the words and learns the
        scaling again. Several streams are cut from the columns in the file's order.

    Raises
    ------
    WeightsError
        Names file and line, what was found and what was expected.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> path = Path(tempfile.mkdtemp()) / "codebook"
    >>> _ = path.write_text("log\ncodebookNumeric\n2;1;1;0.0;0.0\n0.0\n1.0\n")
    >>> bag = read_codebook(path)
    >>> bag.transform([[[0.1], [0.2], [0.9]]]).round(3)
    array([[0.477, 0.301]], dtype=float32)
    """
    lines = [line.strip() for line in _read_lines(path, WeightsError)]
    while lines and not lines[-1]:
        lines.pop()
    reader = _CodebookReader(path, lines)
    scale, idf, log, streams = "none", None, False, []
    while reader.number < len(lines):
        keyword = reader.take("normalizeInput, standardizeInput, log, idf or codebookNumeric")
        if keyword in SCALES and scale == "none":
            scale = SCALES[keyword]
            scale_line = reader.number
            scaling = reader.take_row(first_free=True), reader.take_row(first_free=True)
        elif keyword == "log":
            log = True
        elif keyword == "idf" and idf is None:
            idf = reader.take_row()
        elif keyword == "codebookNumeric":
            streams.append(reader.take_stream())
        else:
            reader.fail(keyword, "a keyword that openXBOW's numeric codebooks have, once each")
    if not streams:
        reader.fail("the end of the file", "codebookNumeric and its words")
    words, n_assigns, gaussians, offs = zip(*streams)
    widths = [each.shape[1] for each in words]
    bag = BagOfFeatures(
        codebook_size=_one_or_all([len(each) for each in words]),
        n_assign=_one_or_all(n_assigns),
        scale=scale,
        log=log,
        idf=idf is not None,
        gaussian=_one_or_all(gaussians),
        off=_one_or_all(offs),
        codebook=list(words),
        stream_widths=widths if len(widths) > 1 else None,
    )
    bag.codebook_ = list(words)
    bag.stream_widths_ = tuple(widths)
    bag.n_features_in_ = sum(widths)
    if scale != "none":
        # Name and, where there is one, time come first.
        leading = [len(row) - sum(widths) for row in scaling]
        if leading not in ([1, 1], [2, 2]) or not (scaling[1] > 0).all():
            reader.number = scale_line
            lengths = f"{len(scaling[0])} and {len(scaling[1])} values"
            reader.fail(lengths, f"1 + {sum(widths)} in each of two lines, the second positive")
        shift, divisor = (row[-sum(widths) :] for row in scaling)
        if not np.isfinite([shift, divisor]).all():
            reader.number = scale_line
            reader.fail("infinite values for a feature", "finite ones")
        if scale == "minmax":
            bag.minimum_, bag.width_ = shift, divisor
        else:
            bag.mean_, bag.std_ = shift, divisor
    if idf is not None:
        n_bins = sum(map(len, words))
        if len(idf) != n_bins:
            reader.fail(f"{len(idf)} idf weights", f"one for each of the {n_bins} words")
        bag.idf_ = idf
    return bag


def write_codebook(path, bag):
    """Write a fitted :class:`BagOfFeatures` as openXBOW's codebook.

    Parameters
    ----------
    path : str or Path
    bag : BagOfFeatures
        Fitted. Its ``norm`` is not part of the format.
    """
    lines = []
    if bag.scale == "minmax":
        lines += ["normalizeInput", "Infinity;" + _format_rows([bag.minimum_])[0]]
        lines += ["1.0;" + _format_rows([bag.width_])[0]]
    elif bag.scale == "zscore":
        lines += ["standardizeInput", "0.0;" + _format_rows([bag.mean_])[0]]
        lines += ["1.0;" + _format_rows([bag.std_])[0]]
    if bag.log:
        lines.append("log")
    if bag.idf:
        lines += ["idf", _format_rows([bag.idf_])[0]]
    settings = zip(
        *(
            np.broadcast_to(each, len(bag.codebook_))
            for each in (bag.n_assign, bag.gaussian or 0.0, bag.off or 0.0)
        )
    )
    for words, (n_assign, gaussian, off) in zip(bag.codebook_, settings):
        numbers = _format_rows([[gaussian or 0.0, off or 0.0]])[0]
        lines += ["codebookNumeric", f"{len(words)};{words.shape[1]};{n_assign};{numbers}"]
        lines += _format_rows(words)
    with write_atomically(path) as temporary, _open_to_write(temporary) as file:
        file.writelines(line + "\n" for line in lines)


def bag_csv(
    frames_csv,
    output,
    *,
    codebook=None,
    save_codebook=None,
    norm="none",
    time_column=None,
    **parameters,
):
    """Bags of the clips of one CSV file, written to another (``thesis bag``).

    Parameters
    ----------
    frames_csv : str or Path
        As :func:`read_frames` reads it.
    output : str or Path
        CSV file of bags.
    codebook : str or Path, optional
        Codebook file to use. Without it, one is learnt from ``frames_csv``.
    save_codebook : str or Path, optional
        Where the codebook shall be written.
    norm : {"none", "frames", "tf", "l2"}
        Of the bags; no part of a codebook file.
    time_column : bool, optional
        As in :func:`read_frames`.
    **parameters
        Of :class:`BagOfFeatures` if the codebook is learnt; None stands for its default.

    Returns
    -------
    BagOfFeatures
        Fitted.

    Raises
    ------
    ParameterError
        On an unknown or impossible parameter, or one that differs from that in ``codebook``.
    CorpusError, WeightsError
        If a file is damaged.
    """
    bag = choose_bag(codebook, norm, parameters)
    for path in (output, save_codebook):
        if path is not None:
            check_writable(path)
    names, X = read_frames(frames_csv, time_column=time_column)
    if codebook is None:
        bag.fit(X)
    write_bags(output, names, bag.transform(X))
    if save_codebook is not None:
        write_codebook(save_codebook, bag)
    return bag


def choose_bag(codebook, norm, parameters):
    """The bag of a codebook file, or an unfitted one with these parameters; see `bag_csv`."""
    chosen = {name: value for name, value in parameters.items() if value is not None}
    unknown = sorted(set(parameters) - set(BagOfFeatures().get_params()))
    if unknown:
        raise ParameterError(f"bag: found unknown parameters {unknown}")
    if codebook is not None:
        bag = read_codebook(codebook)
        # A flag of the command line that is not set is False; the file's own value is fine.
        doubled = [name for name, v in chosen.items() if v not in (False, bag.get_params()[name])]
        if doubled:
            raise ParameterError(
                f"codebook: found beside {', '.join(sorted(doubled))}, expected one or the other: "
                "the file holds the values it was learnt with"
            )
        return bag.set_params(norm=norm)
    return BagOfFeatures(norm=norm, **chosen)


class _CodebookReader:
    """The lines of a codebook, one after another, with errors that name the line."""

    def __init__(self, path, lines):
        self.path = path
        self.lines = lines
        self.number = 0

    def fail(self, value, expected):
        raise WeightsError(
            f"{self.path}, line {self.number}: found {value!s:.60}, expected {expected}"
        )

    def take(self, expected):
        if self.number == len(self.lines):
            self.fail("the end of the file", expected)
        self.number += 1
        return self.lines[self.number - 1]

    def take_row(self, length=None, *, first_free=False):
        fields = self.take("a line of numbers").split(";")
        row = _parse_floats(fields)
        first = 1 if first_free else 0
        if row is None or not np.isfinite(row[first:]).all():
            self.fail(";".join(fields), "finite numbers with ';' between them")
        if length is not None and len(row) != length:
            self.fail(f"{len(row)} values", f"{length}")
        return row

    def take_stream(self):
        """Words, n_assign, gaussian, off of one stream."""
        fields = self.take("words;features;n_assign;gaussian;off").split(";")
        try:
            n_words, width, n_assign = map(int, fields[:3])
            gaussian, off = (float(np.float32(field)) for field in fields[3:])
        except ValueError:
            self.fail(";".join(fields), "words;features;n_assign;gaussian;off")
        fine = 1 <= n_assign <= n_words and width >= 1
        if not (fine and 0 <= gaussian < math.inf and 0 <= off < math.inf):
            self.fail(
                ";".join(fields), "words;features;n_assign;gaussian;off with n_assign <= words"
            )
        words = np.stack([self.take_row(width) for _ in range(n_words)])
        return words, n_assign, gaussian or None, off or None


def _one_or_all(values):
    return values[0] if len(set(values)) == 1 else list(values)


def _read_lines(path, error):
    try:
        # Names in another encoding than UTF-8 come out as they went in.
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            yield from file
    except OSError as problem:
        raise error(f"{path}: cannot be read ({problem.strerror})") from problem


def _open_to_write(path):
    return open(path, "w", encoding="utf-8", errors="surrogateescape", newline="\n")


def _split_name(line):
    line = line.strip("\ufeff\r\n")
    if line.startswith("'") and "';" in line:
        name, rest = line[1:].split("';", 1)
    else:
        name, _, rest = line.partition(";")
    return name, rest.split(";") if rest else []


def _quote(name):
    if "';" in str(name) or "\n" in str(name):
        raise ParameterError(f"names: found {name!r}, expected a name without '; and line ends")
    return f"'{name}'"


def _parse_floats(fields):
    try:
        with np.errstate(over="ignore"):
            return np.array([float(field) for field in fields]).astype(np.float32)
    except ValueError:
        return None


def _parse_row(fields, where):
    row = _parse_floats(fields)
    if row is None or not np.isfinite(row).all():
        for column, field in enumerate(fields, start=1):
            value = _parse_floats([field])
            if value is None or not np.isfinite(value[0]):
                raise CorpusError(
                    f"{where}: found {field!s:.40} as value {column}, expected a finite number"
                )
    return row


def _format_rows(rows):
    """Lines of the shortest decimal numbers that give the same float32, as Java writes them."""
    lines = []
    for row in rows:
        row = np.asarray(row, np.float32)
        fields = row.astype(str)
        size = np.abs(row)
        if ((size >= 1e7) | (size < 1e-3) & (size > 0)).any():
            fields = [_format_float(value) for value in row]
        lines.append(";".join(fields))
    return lines


def _format_float(value):
    if value == 0 or 1e-3 <= abs(value) < 1e7:
        return np.format_float_positional(value, trim="0")
    text = np.format_float_scientific(value, trim="0", exp_digits=1)
    return text.upper().replace("E+", "E")
