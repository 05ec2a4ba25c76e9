"""A table of features as a file: CSV, Parquet or ARFF, whole or not at all.

Features are written with the fewest digits that give the same float32 back. A label is a number
where a column holds nothing but numbers, else a name; a missing one is an empty field, a null
or ``?``. Equal tables are equal files.
"""

import csv
import json
import re
import tempfile
from pathlib import Path

from thesislib.errors import ParameterError
from thesislib.store import write_atomically

FORMATS = (".parquet", ".csv", ".arff")
# What Weka escapes in a quoted name; the percent sign because it begins a comment.
_ESCAPES = {"\n": r"\n", "\r": r"\r", "\t": r"\t"} | {c: "\\" + c for c in "\\'\"%"}


def check_writable(path):
    """Raise if a file cannot be written, before the work whose result it will hold.

    Raises
    ------
    ParameterError
        Names the path and the reason.

    Examples
    --------
    >>> check_writable("/dev/null/table.csv")
    Traceback (most recent call last):
    ...
    thesislib.errors.ParameterError: /dev/null/table.csv: cannot be written (a file stands where a
    folder is needed)
    """
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path.parent):
            is_folder = path.is_dir()  # a name that is too long is an error, too
    except FileExistsError:
        reason = "a file stands where a folder is needed"
        raise ParameterError(f"{path}: cannot be written ({reason})") from None
    except OSError as error:
        raise ParameterError(f"{path}: cannot be written ({error.strerror})") from error
    if is_folder:
        raise ParameterError(f"{path}: found a folder, expected a file to write")


def write_table(path, leading, names, matrix, labels, *, about=None, types=None):
    r"""Write features with what stands before and behind them.

    Parameters
    ----------
    path : str or Path
        Its suffix says the format, see `FORMATS`.
    leading : dict of str to list
        Columns before the features: the first holds names, the others numbers.
    names : sequence of str
        Of the features.
    matrix : ndarray, shape (n_rows, n_features), float32
    labels : dict of str to list
        Columns behind them; None is a missing label.
    about : dict, optional
        Plain values that say where the table comes from: comments of the ARFF, metadata of the
        Parquet file (``thesis``). CSV has no place for them.
    types : dict of str to pyarrow.DataType, optional
        Of columns that are no features, where their values alone shall not say it (Parquet).

    Raises
    ------
    ParameterError
        If two columns have one name.
    StoreError
        If the file cannot be written.

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np
    >>> path = Path(tempfile.mkdtemp()) / "table.arff"
    >>> write_table(path, {"file": ["50 %.wav"]}, ["f0"], np.float32([[0.1]]), {"mood": ["ok"]})
    >>> print(path.read_text())
    @relation table
    @attribute file string
    @attribute f0 numeric
    @attribute mood {'ok'}
    @data
    '50 \%.wav',0.1,'ok'
    """
    path = Path(path)
    columns = [*leading, *map(str, names), *labels]
    if len(set(columns)) < len(columns):
        doubled = sorted({name for name in columns if columns.count(name) > 1})
        raise ParameterError(f"{path}: found two columns {doubled[0]!r}, expected other labels")
    with write_atomically(path) as temporary:
        if path.suffix == ".parquet":
            _write_parquet(temporary, leading, columns, matrix, labels, about or {}, types or {})
        else:
            writer = {".csv": _write_csv, ".arff": _write_arff}[path.suffix]
            writer(temporary, path.stem, leading, columns, matrix, labels, about or {})


def _rows(leading, matrix, labels):
    """Pieces of each row: leading values, features as text, labels."""
    for i, features in enumerate(matrix):
        before = [values[i] for values in leading.values()]
        yield before, features.astype(str), [values[i] for values in labels.values()]


def _write_csv(path, title, leading, columns, matrix, labels, about):
    with open(path, "w", encoding="utf-8", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(columns)
        for before, features, behind in _rows(leading, matrix, labels):
            table.writerow([*before, *features, *behind])


def _write_arff(path, title, leading, columns, matrix, labels, about):
    first, *others = leading
    kinds = dict.fromkeys([*others, *columns[len(leading) :]], "numeric") | {first: "string"}
    for name, values in labels.items():
        known = {value for value in values if value is not None}
        if any(isinstance(value, str) for value in known):
            kinds[name] = "{" + ",".join(map(_quote, sorted(known))) + "}"
    with open(path, "w", encoding="utf-8", newline="\n") as file:
        for key, value in about.items():
            file.write(f"% {key}: {json.dumps(value)}\n")
        file.write(f"@relation {_quote_name(title)}\n")
        file.writelines(f"@attribute {_quote_name(name)} {kinds[name]}\n" for name in columns)
        file.write("@data\n")
        for before, features, behind in _rows(leading, matrix, labels):
            fields = [*map(_arff_value, before), *features, *map(_arff_value, behind)]
            file.write(",".join(fields) + "\n")


def _arff_value(value):
    if value is None:
        return "?"
    return _quote(value) if isinstance(value, str) else repr(value)


def _quote_name(name):
    # Quotes only where they must be: some readers take all up to the line's last quote for it.
    return name if re.fullmatch(r"[A-Za-z_][\w.\[\]()-]*", name, re.ASCII) else _quote(name)


def _quote(text):
    return "'" + re.sub(r"[\n\r\t\\'\"%]", lambda match: _ESCAPES[match[0]], str(text)) + "'"


def _write_parquet(path, leading, columns, matrix, labels, about, types):
    import pyarrow
    import pyarrow.parquet

    n_leading = len(leading)
    names = columns[n_leading : n_leading + matrix.shape[1]]
    arrays = {name: pyarrow.array(values, types.get(name)) for name, values in leading.items()}
    arrays |= {name: pyarrow.array(matrix[:, i]) for i, name in enumerate(names)}
    arrays |= {name: pyarrow.array(values, types.get(name)) for name, values in labels.items()}
    metadata = {"thesis": json.dumps(about)}
    table = pyarrow.table(arrays).replace_schema_metadata(metadata)
    texts = [name for name, values in arrays.items() if pyarrow.types.is_string(values.type)]
    pyarrow.parquet.write_table(table, path, compression="zstd", use_dictionary=texts)
