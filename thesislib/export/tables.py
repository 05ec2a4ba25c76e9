"""A table of features as a file: CSV, Parquet, ARFF or npz, whole or not at all.

Features are written with the fewest digits that give the same float32 back. A label is a number
where a column holds nothing but numbers, else a name; a missing one is an empty field, a null
or ``?``. Equal tables are equal files.
"""

import csv
import json
import re
import tempfile
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.externals import _arff

from thesislib.errors import CorpusError, ParameterError, check_option
from thesislib.store import cannot_write, write_atomically

FORMATS = (".parquet", ".csv", ".arff", ".npz")
#: Columns before the features.
PLACES = ("file", "chunk", "frame", "start_s", "end_s")
# What Weka escapes in a quoted name; the percent sign because it begins a comment.
_ESCAPES = {"\n": r"\n", "\r": r"\r", "\t": r"\t"} | {c: "\\" + c for c in "\\'\"%"}


def check_writable(path):
    """Raise if a file cannot be written, before the work whose result it will hold.

    Raises
    ------
    StoreError, ParameterError
        Names the path and the reason.

    Examples
    --------
    >>> check_writable("/dev/null/table.csv")
    Traceback (most recent call last):
    ...
    thesislib.errors.StoreError: /dev/null/table.csv: cannot be written (a file stands where a
    folder is needed)
    """
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path.parent):
            is_folder = path.is_dir()  # a name that is too long is an error, too
    except OSError as error:
        raise cannot_write(path, error) from error
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
            writer = {".csv": _write_csv, ".arff": _write_arff, ".npz": _write_npz}[path.suffix]
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


def _write_npz(path, title, leading, columns, matrix, labels, about):
    """Each column that is no feature as an array of its name, ``features`` and their ``names``."""
    n_leading = len(leading)
    arrays = {"features": matrix, "names": columns[n_leading : n_leading + matrix.shape[1]]}
    for name, values in (leading | labels).items():
        if name in arrays:
            raise ParameterError(f"{path.name}: found a column {name!r}, expected another name")
        is_text = any(isinstance(value, str) for value in values)
        arrays[name] = [("" if is_text else np.nan) if v is None else v for v in values]
    with zipfile.ZipFile(path, "w") as archive:  # np.savez takes no array named "file"
        for name, values in (arrays | {"about": json.dumps(about)}).items():
            with archive.open(zipfile.ZipInfo(f"{name}.npy"), "w", force_zip64=True) as member:
                np.lib.format.write_array(member, np.asarray(values), allow_pickle=False)


def read_table(path):
    """Read a table of features, written here or elsewhere.

    Parameters
    ----------
    path : str or Path
        One of `FORMATS`, or a folder of Parquet shards.

    Returns
    -------
    pandas.DataFrame
        Columns in the order of the file; a label ``NA`` or ``None`` stays a text.

    Raises
    ------
    CorpusError
        If the file cannot be read.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "table.npz"
    >>> write_table(path, {"file": ["a.wav"]}, ["f0"], np.float32([[1]]), {"mood": ["NA"]})
    >>> read_table(path).iloc[0].to_dict()
    {'file': 'a.wav', 'f0': 1.0, 'mood': 'NA'}
    """
    path = Path(path)
    suffix = ".parquet" if path.is_dir() else path.suffix.lower()
    check_option("features", suffix, FORMATS)
    try:
        if suffix == ".parquet":
            return pd.read_parquet(path)
        if suffix == ".npz":
            with np.load(path, allow_pickle=False) as file:
                arrays = {name: file[name] for name in file.files if name != "about"}
            matrix, names = arrays.pop("features"), arrays.pop("names")
            table = pd.DataFrame(matrix, columns=names)
            places = [name for name in arrays if name in PLACES]
            before = pd.DataFrame({name: arrays.pop(name) for name in places}, index=table.index)
            return pd.concat([before, table, pd.DataFrame(arrays, index=table.index)], axis=1)
        if suffix == ".arff":
            with open(path, encoding="utf-8") as file:
                content = _arff.load(file)
            return pd.DataFrame(content["data"], columns=[n for n, _ in content["attributes"]])
        texts = dict.fromkeys(("file", "label", "partition", "fold", "group"), str)
        return pd.read_csv(path, keep_default_na=False, dtype=texts)
    except (OSError, ValueError, KeyError, TypeError, _arff.ArffException) as error:
        reason = " ".join(str(error).split())
        raise CorpusError(f"{path}: cannot be read as a table of features ({reason})") from error


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
