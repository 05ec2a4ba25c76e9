"""Tables of features: what comes back is what went in, in every format."""

import csv
import json
import re

import numpy as np
import pyarrow.parquet
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.externals import _arff as liac_arff

from thesislib.errors import CorpusError, ParameterError, StoreError
from thesislib.export.tables import FORMATS, make_table, read_table, write_table

HARD = [
    "plain.wav",
    "two words.wav",
    "it's.wav",
    'a "quote".wav',
    "100 %.wav",
    "back\\slash.wav",
    "Käse, ✓; {x}.wav",
    "line\nend\ttab.wav",
    "?",
]
WORDS = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1)


def read(path):
    if path.suffix == ".arff":
        with open(path, encoding="utf-8") as file:
            found = liac_arff.load(file)
        # This reader undoes the escapes of values, not those of names.
        names = [re.sub(r"\\(.)", r"\1", name) for name, _ in found["attributes"]]
        return names, [list(row) for row in found["data"]]
    if path.suffix == ".csv":
        with open(path, encoding="utf-8", newline="") as file:
            header, *rows = csv.reader(file)
        return header, rows
    if path.suffix == ".npz":
        with np.load(path, allow_pickle=False) as file:
            arrays = dict(file)
        names, matrix = arrays.pop("names"), arrays.pop("features")
        del arrays["about"]
        first, *labels = arrays.items()
        columns = [first[1], *matrix.T, *(values for _, values in labels)]
        rows = [[value.item() for value in row] for row in zip(*columns)]
        return [first[0], *names.tolist(), *(name for name, _ in labels)], rows
    table = pyarrow.parquet.read_table(path)
    return table.column_names, [list(row) for row in zip(*(c.to_pylist() for c in table.columns))]


@pytest.fixture
def features(rng):
    hard = [0.1, 1 / 3, 1e-38, 3.4e38, 1e-7, -0.0, 123456789, 16777217, 5]
    return np.stack([hard, rng.normal(size=len(hard))], axis=1).astype(np.float32)


@pytest.mark.parametrize("suffix", FORMATS)
def test_names_numbers_and_labels_come_back(tmp_path, features, suffix):
    path = tmp_path / f"table{suffix}"
    labels = {"who's class": HARD, "valence": [0.1 * i for i in range(9)], "age": list(range(9))}
    write_table(path, make_table({"file": HARD}, ["it's [0] %", "Δ f"], features, labels))
    header, rows = read(path)
    assert header == ["file", "it's [0] %", "Δ f", "who's class", "valence", "age"]
    assert [row[0] for row in rows] == HARD
    assert [row[3] for row in rows] == HARD
    assert [float(row[4]) for row in rows] == [0.1 * i for i in range(9)]
    assert [int(row[5]) for row in rows] == list(range(9))
    found = np.array([[float(value) for value in row[1:3]] for row in rows])
    assert found.astype(np.float32).tobytes() == features.tobytes()


@settings(max_examples=60, deadline=None)
@given(st.lists(WORDS, min_size=1))
def test_arff_takes_any_name(tmp_path_factory, texts):
    path = tmp_path_factory.mktemp("arff") / "table.arff"
    matrix = np.zeros((len(texts), 0), np.float32)
    write_table(path, make_table({"file": texts}, [], matrix, {"label": texts}))
    _, rows = read(path)
    assert rows == [[text, text] for text in texts]


def test_arff_tells_classes_from_numbers(tmp_path):
    path = tmp_path / "table.arff"
    labels = {"word": ["b", None, "a"], "number": [1, 2, None], "nobody knows": [None] * 3}
    starts = {"file": ["x", "y", "z"], "chunk": [0, 1, 2], "start_s": [0.0, 0.1, 0.25]}
    write_table(path, make_table(starts, ["f"], np.zeros((3, 1), np.float32), labels))
    with open(path) as file:
        found = liac_arff.load(file)
    kinds = dict(found["attributes"])
    assert kinds["file"] == "STRING"
    assert kinds["chunk"] == kinds["start_s"] == kinds["f"] == kinds["number"] == "NUMERIC"
    assert kinds["word"] == ["a", "b"]
    assert [row[-3:] for row in found["data"]] == [
        ["b", 1, None],
        [None, 2, None],
        ["a", None, None],
    ]


def test_parquet_keeps_types(tmp_path, features):
    path = tmp_path / "table.parquet"
    labels = {"word": [*HARD[:-1], None], "age": [*range(8), None], "x": [0.5] * 9}
    about = {"representation": "IS09"}
    write_table(path, make_table({"file": HARD}, ["a", "b"], features, labels), about=about)
    schema = pyarrow.parquet.read_schema(path)
    kinds = {name: str(schema.field(name).type) for name in schema.names}
    assert kinds == {
        "file": "string",
        "a": "float",
        "b": "float",
        "word": "string",
        "age": "int64",
        "x": "double",
    }
    assert json.loads(schema.metadata[b"thesis"]) == about


@pytest.mark.parametrize("suffix", FORMATS)
def test_equal_tables_are_equal_files(tmp_path, features, suffix):
    for folder in ("one", "two"):
        path = tmp_path / folder / f"table{suffix}"
        write_table(
            path,
            make_table({"file": HARD}, ["a", "b"], features, {"label": HARD}),
            about={"x": [1]},
        )
    one, two = (tmp_path / folder / f"table{suffix}" for folder in ("one", "two"))
    assert one.read_bytes() == two.read_bytes()


def test_a_label_called_like_a_feature_is_refused(tmp_path, features):
    path = tmp_path / "table.csv"
    with pytest.raises(ParameterError, match="found two columns 'a'"):
        write_table(path, make_table({"file": HARD}, ["a", "b"], features, {"a": HARD}))
    assert not path.exists()


def test_what_stands_there_survives_a_failure(tmp_path, features):
    path = tmp_path / "table.csv"
    path.write_text("old")
    with pytest.raises(UnicodeEncodeError, match="surrogates not allowed"):
        write_table(path, make_table({"file": ["\udc80"] * 9}, ["a", "b"], features, {}))
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]
    with pytest.raises(StoreError, match=r"table\.csv/x\.csv: cannot be written"):
        write_table(path / "x.csv", make_table({"file": HARD}, ["a", "b"], features, {}))


@pytest.mark.parametrize("suffix", FORMATS)
def test_a_table_is_read_again(tmp_path, features, suffix):
    path = tmp_path / f"table{suffix}"
    labels = {"label": ["NA", "None", "nan", "007"], "age": [1.5, 2.0, 3.0, 4.0]}
    leading = {"file": list("abcd"), "start_s": [0.0, 0.5, 1.0, 1.5]}
    write_table(path, make_table(leading, ["f0", "f1"], features[:4], labels))
    table = read_table(path)
    assert list(table) == ["file", "start_s", "f0", "f1", "label", "age"]
    assert table["file"].tolist() == list("abcd")
    assert table["label"].tolist() == labels["label"]
    assert table["age"].tolist() == labels["age"]
    np.testing.assert_array_equal(table[["f0", "f1"]].to_numpy(np.float32), features[:4])


@pytest.mark.parametrize("suffix", FORMATS)
def test_what_is_no_table_is_named(tmp_path, suffix):
    path = tmp_path / f"table{suffix}"
    with pytest.raises(CorpusError, match=f"{path}: cannot be read"):
        read_table(path)
    path.write_bytes(b"\xff\xfe\0 no table")
    with pytest.raises(CorpusError, match=f"{path}: cannot be read"):
        read_table(path)
    with pytest.raises(ParameterError, match=r"features: found '\.xlsx'"):
        read_table("a.xlsx")
