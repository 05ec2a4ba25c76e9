"""A table of features as a file: CSV, Parquet, ARFF or npz, whole or not at all.

Features are written with the fewest digits that give the same float32 back. A label is a number
where a column holds nothing but numbers, else a name; a missing one is an empty field, a null
or ``?``. Equal tables are equal files.
"""

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


def make_table(leading, names, matrix, labels):
    """Table of features, with what stands before and behind them.

    Parameters
    ----------
    leading, labels : dict of str to list
        Columns before the features and behind them; None is a missing value.
    names : sequence of str
        Of the features.
    matrix : ndarray, shape (n_rows, n_features), float32

    Returns
    -------
    pandas.DataFrame
        Columns that are no features have the type object, so that integers stay integers.
    """
    before, behind = (pd.DataFrame(columns, dtype=object) for columns in (leading, labels))
    return pd.concat([before, pd.DataFrame(matrix, columns=names), behind], axis=1)


def write_table(path, table, *, about=None, types=None):
    r"""Write a table of features.

    Parameters
    ----------
    path : str or Path
        Its suffix says the format, see `FORMATS`.
    table : pandas.DataFrame
        As from `make_table`: the first column holds names, those of float32 are features.
    about : dict, optional
        Plain values that say where the table comes from: comments of the ARFF, metadata of the
        Parquet file (``thesis``). CSV has no place for them.
    types : dict of str to pyarrow.DataType, optional
        Of all columns that are no features, where their values alone shall not say it (Parquet).

    Raises
    ------
    ParameterError
        If two columns have one name.
    StoreError
        If the file cannot be written.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "table.arff"
    >>> table = make_table({"file": ["50 %.wav"]}, ["f0"], np.float32([[0.1]]), {"mood": ["ok"]})
    >>> write_table(path, table)
    >>> print(path.read_text())
    @relation table
    @attribute file string
    @attribute f0 numeric
    @attribute mood {'ok'}
    @data
    '50 \%.wav',0.1,'ok'
    """
    path, about = Path(path), about or {}
    names = list(table.select_dtypes(np.float32))
    for name in table.columns[table.columns.duplicated()]:
        raise ParameterError(f"{path}: found two columns {name!r}, expected other labels")
    with write_atomically(path) as temporary:
        if path.suffix == ".csv":
            table.to_csv(temporary, index=False, lineterminator="\n")
        elif path.suffix == ".parquet":
            _write_parquet(temporary, table, about, types)
        elif path.suffix == ".arff":
            _write_arff(temporary, path.stem, table, names, about)
        else:
            _write_npz(temporary, table, names, about)


def _write_arff(path, title, table, names, about):
    kinds = dict.fromkeys(table, "numeric") | {table.columns[0]: "string"}
    for name in table.columns[1:].difference(names):
        known = table[name].dropna().unique()
        if any(isinstance(value, str) for value in known):
            kinds[name] = "{" + ",".join(map(_quote, sorted(known))) + "}"
    with open(path, "w", encoding="utf-8", newline="\n") as file:
        for key, value in about.items():
            file.write(f"% {key}: {json.dumps(value)}\n")
        file.write(f"@relation {_quote_name(title)}\n")
        file.writelines(f"@attribute {_quote_name(name)} {kinds[name]}\n" for name in table)
        file.write("@data\n")
        # The text of a float32 has as few digits as possible, that of the same float64 has more.
        columns = [
            map(str if name in set(names) else _arff_value, table[name].to_numpy())
            for name in table
        ]
        file.writelines(",".join(fields) + "\n" for fields in zip(*columns))


def _arff_value(value):
    if value is None:
        return "?"
    return _quote(value) if isinstance(value, str) else repr(value)


def _quote_name(name):
    # Quotes only where they must be: some readers take all up to the line's last quote for it.
    return name if re.fullmatch(r"[A-Za-z_][\w.\[\]()-]*", name, re.ASCII) else _quote(name)


def _quote(text):
    return "'" + re.sub(r"[\n\r\t\\'\"%]", lambda match: _ESCAPES[match[0]], str(text)) + "'"


def _write_npz(path, table, names, about):
    """Each column that is no feature as an array of its name, ``features`` and their ``names``."""
    arrays = {"features": table[names].to_numpy(np.float32), "names": names}
    for name, values in table.drop(columns=names).items():
        if name in arrays:
            raise ParameterError(f"{path.name}: found a column {name!r}, expected another name")
        is_text = any(isinstance(value, str) for value in values)
        arrays[name] = values.fillna("" if is_text else np.nan).tolist()
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
    >>> table = make_table({"file": ["a.wav"]}, ["f0"], np.float32([[1]]), {"mood": ["NA"]})
    >>> write_table(path, table)
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


def _write_parquet(path, table, about, types):
    import pyarrow
    import pyarrow.parquet

    types = types and pyarrow.schema(
        [(name, types.get(name, pyarrow.float32())) for name in table.columns]
    )
    table = pyarrow.Table.from_pandas(table, types, preserve_index=False)
    texts = [field.name for field in table.schema if pyarrow.types.is_string(field.type)]
    table = table.replace_schema_metadata({"thesis": json.dumps(about)})
    pyarrow.parquet.write_table(table, path, compression="zstd", use_dictionary=texts)
