"""openXBOW's files: its own bags bin by bin, round trips, corrupted text, the command's work."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sklearn.base import clone

from thesislib.errors import CorpusError, ParameterError, ThesisError, WeightsError
from thesislib.export.openxbow import (
    bag_csv,
    read_codebook,
    read_frames,
    write_bags,
    write_codebook,
    write_frames,
)
from thesislib.export.tables import make_table, write_table
from thesislib.representations.bag_of_features import BagOfFeatures

FIXTURES = Path(__file__).parents[1] / "fixtures" / "openxbow"
CODEBOOKS = sorted(path.name for path in FIXTURES.glob("*_codebook"))

# Codebook, what its file does not say, frames, bags: every command of commands.jsonl. The
# norms were run with the seed, and so the words, of toy_random.
CASES = [
    ("toy_random_codebook", {}, "toy_train.csv", "toy_random_train_bow.csv"),
    ("toy_random_codebook", {}, "toy_test.csv", "toy_random_test_bow.csv"),
    ("toy_random_codebook", {"log": False, "norm": "frames"}, "toy_train.csv", "toy_norm1_bow.csv"),
    ("toy_random_codebook", {"log": False, "norm": "tf"}, "toy_train.csv", "toy_norm2_bow.csv"),
    ("toy_random_codebook", {"log": False, "norm": "l2"}, "toy_train.csv", "toy_norm3_bow.csv"),
    ("toy_std_gauss_codebook", {}, "toy_train.csv", "toy_std_gauss_bow.csv"),
    ("toy_multi_codebook", {}, "toy_train.csv", "toy_multi_bow.csv"),
    ("small_random_codebook", {}, "small_deep_train.csv", "small_random_train_bow.csv"),
    ("small_random_codebook", {}, "small_deep_test.csv", "small_random_test_bow.csv"),
    ("small_kmeanspp_codebook", {}, "small_deep_train.csv", "small_kmeanspp_train_bow.csv"),
]


def read_bags(path):
    """Names and bags of openXBOW's CSV, read by pandas."""
    table = pd.read_csv(path, sep=";", quotechar="'", index_col=0)
    return table.index.tolist(), table.to_numpy(np.float32)


@pytest.mark.parametrize(("codebook", "parameters", "frames", "bags"), CASES)
def test_no_bin_differs_from_openxbow(codebook, parameters, frames, bags):
    names, X = read_frames(FIXTURES / frames)
    expected_names, expected = read_bags(FIXTURES / bags)
    found = read_codebook(FIXTURES / codebook).set_params(**parameters).transform(X)
    assert names == expected_names
    assert np.count_nonzero(found != expected) == 0


def test_fixtures_are_the_reference_data(reference_data):
    for path in FIXTURES.iterdir():
        if path.name != "README.md":
            assert path.read_bytes() == (reference_data / "openxbow" / path.name).read_bytes()


@pytest.mark.parametrize("name", CODEBOOKS)
def test_codebooks_are_written_byte_for_byte(name, tmp_path):
    write_codebook(tmp_path / name, read_codebook(FIXTURES / name))
    assert (tmp_path / name).read_bytes() == (FIXTURES / name).read_bytes()


def test_bags_are_written_byte_for_byte(tmp_path):
    for path in FIXTURES.glob("*_bow.csv"):
        write_bags(tmp_path / path.name, *read_bags(path))
        assert (tmp_path / path.name).read_bytes() == path.read_bytes()


def test_own_fit_learns_what_openxbow_learnt():
    _, toy = read_frames(FIXTURES / "toy_train.csv")
    _, deep = read_frames(FIXTURES / "small_deep_train.csv")
    for name, X in (("toy_random_codebook", toy), ("small_random_codebook", deep)):
        theirs = read_codebook(FIXTURES / name)
        ours = clone(theirs).fit(X)
        np.testing.assert_array_equal(ours.minimum_, theirs.minimum_)
        np.testing.assert_array_equal(ours.width_, theirs.width_)
    theirs = read_codebook(FIXTURES / "toy_std_gauss_codebook")
    ours = clone(theirs).fit(toy)
    np.testing.assert_array_equal(ours.idf_, theirs.idf_)
    np.testing.assert_allclose(ours.mean_, theirs.mean_, rtol=1e-6)
    np.testing.assert_allclose(ours.std_, theirs.std_, rtol=1e-6)


def test_wrong_deviations_of_several_streams_are_read_but_not_learnt():
    _, X = read_frames(FIXTURES / "toy_train.csv")
    theirs = read_codebook(FIXTURES / "toy_multi_codebook")
    ours = clone(theirs).fit(X)
    x = np.concatenate(X)
    # Two streams: openXBOW divides the sum by twice the number of frames.
    np.testing.assert_allclose(theirs.mean_, x.mean(axis=0) / 2, rtol=1e-5)
    np.testing.assert_allclose(ours.mean_, x.mean(axis=0), rtol=1e-5)
    np.testing.assert_allclose(ours.std_, x.std(axis=0, ddof=1), rtol=1e-5)


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 999),
    scale=st.sampled_from(["minmax", "zscore", "none"]),
    log=st.booleans(),
    idf=st.booleans(),
    gaussian=st.none() | st.floats(0.5, 5, width=32),
    off=st.none() | st.floats(0.5, 5, width=32),
    widths=st.lists(st.integers(1, 4), min_size=1, max_size=3),
    exponent=st.integers(-30, 30),
)
def test_codebook_round_trip(
    tmp_path_factory, seed, scale, log, idf, gaussian, off, widths, exponent
):
    rng = np.random.default_rng(seed)
    X = [10.0**exponent * rng.normal(size=(9, sum(widths))) for _ in range(4)]
    sizes = [int(size) for size in rng.integers(3, 9, len(widths))]
    bag = BagOfFeatures(
        sizes,
        rng.integers(1, 4, len(widths)).tolist(),
        sampling="random++",
        scale=scale,
        log=log,
        idf=idf,
        gaussian=gaussian,
        off=off,
        stream_widths=widths,
    )
    if scale == "none" and exponent > 15:
        bag.set_params(scale="minmax")  # squares beyond float32
    if scale == "none" and exponent < -15:
        bag.set_params(scale="zscore")
    bag.fit(X)
    path = tmp_path_factory.mktemp("codebook") / "codebook"
    write_codebook(path, bag)
    again = read_codebook(path)
    np.testing.assert_array_equal(again.transform(X), bag.transform(X))
    write_codebook(path.with_suffix(".again"), again)
    assert path.with_suffix(".again").read_bytes() == path.read_bytes()


def mutate(text, data):
    """Cut, repeat, insert or replace somewhere in the text."""
    start = data.draw(st.integers(0, len(text)))
    stop = data.draw(st.integers(start, min(len(text), start + 200)))
    junk = st.text(st.sampled_from("0123456789.;-\nEeinfNaN ab'\x00ß"), max_size=20)
    return text[:start] + data.draw(junk | st.just(text[start:stop] * 2)) + text[stop:]


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data(), name=st.sampled_from([n for n in CODEBOOKS if n.startswith("toy")]))
def test_corrupted_codebook_is_read_or_refused(tmp_path_factory, data, name):
    path = tmp_path_factory.getbasetemp() / "corrupted_codebook"
    text = mutate((FIXTURES / name).read_text(), data)
    path.write_text(text, encoding="utf-8")
    try:
        bag = read_codebook(path)
    except WeightsError as error:
        assert str(path) in str(error)
    else:
        try:
            bags = bag.transform([np.zeros((2, bag.n_features_in_))])
        except ParameterError:
            pass  # a sound file whose numbers carry the zeros beyond float32
        else:
            assert bags.shape == (1, sum(map(len, bag.codebook_)))


@settings(max_examples=100, deadline=None)
@given(data=st.data())
def test_corrupted_frames_are_read_or_refused(tmp_path_factory, data):
    path = tmp_path_factory.getbasetemp() / "corrupted.csv"
    path.write_text(mutate((FIXTURES / "toy_test.csv").read_text()[:600], data), encoding="utf-8")
    try:
        names, X = read_frames(path)
    except CorpusError as error:
        assert str(path) in str(error)
    else:
        assert len(names) == len(X) > 0
        assert len({frames.shape[1] for frames in X}) == 1
        assert all(np.isfinite(frames).all() for frames in X)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "line 0: found the end of the file, expected codebookNumeric"),
        ("log\nidf\n", "line 2: found the end of the file, expected a line of numbers"),
        ("codebookNominal\n", "line 1: found codebookNominal, expected a keyword"),
        ("codebookNumeric\n2;1;3;0.0;0.0\n0\n1\n", "line 2: found 2;1;3.*n_assign <= words"),
        ("codebookNumeric\n2;1;1;0.0\n0\n1\n", "line 2: found 2;1;1;0.0, expected words;features"),
        ("codebookNumeric\n2;2;1;0.0;0.0\n0;1\n1\n", "line 4: found 1 values, expected 2"),
        ("codebookNumeric\n2;1;1;0.0;0.0\n0\n", "line 3: found the end of the file"),
        ("codebookNumeric\n1;1;1;0.0;0.0\nnan\n", "line 3: found nan, expected finite"),
        ("idf\n1;2\ncodebookNumeric\n1;1;1;0.0;0.0\n0\n", "found 2 idf weights, expected one"),
        (
            "normalizeInput\n0;0;0\n1;1;1\ncodebookNumeric\n1;5;1;0.0;0.0\n0;0;0;0;0\n",
            r"line 1: found 3 and 3 values, expected 1 \+ 5",
        ),
        (
            "normalizeInput\n0;0\n1;0\ncodebookNumeric\n1;1;1;0.0;0.0\n0\n",
            "line 1: found 2 and 2 values, .* the second positive",
        ),
    ],
)
def test_damaged_codebook_names_the_line(tmp_path, text, message):
    path = tmp_path / "codebook"
    path.write_text(text)
    with pytest.raises(
        WeightsError, match=f"codebook, {message}" if "line" in message else message
    ):
        read_codebook(path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "found no frames"),
        ("name;a;b\n", "found no frames"),
        ("'a';1;2\n'a';1\n", "line 2: found 1 values, expected 2"),
        ("'a';1;2\n'a';1;x\n", "line 2: found x as value 2, expected a finite number"),
        ("'a';1;x\n", "line 1: found x as value 2"),
        ("'a';1;nan\n", "line 1: found nan as value 2"),
        ("'a';1;1e99\n", "line 1: found 1e99 as value 2"),
        ("'a'\n", "line 1: found 0 values, expected at least one"),
    ],
)
def test_damaged_frames_name_line_and_value(tmp_path, text, message):
    path = tmp_path / "frames.csv"
    path.write_text(text)
    with pytest.raises(CorpusError, match=f"frames.csv.*{message}"):
        read_frames(path)


def test_missing_files_are_named(tmp_path):
    with pytest.raises(CorpusError, match=r"none.csv: cannot be read \(No such file"):
        read_frames(tmp_path / "none.csv")
    with pytest.raises(WeightsError, match="none: cannot be read"):
        read_codebook(tmp_path / "none")


def test_header_time_and_names(tmp_path):
    path = tmp_path / "frames.csv"
    rows = "'a;b.wav';0.00;1;2\n'it's.wav';0.00;3;4\n'a;b.wav';0.01;5;6\n"
    path.write_text("name;frameTime;F0;energy\n" + rows)
    names, X = read_frames(path)
    assert names == ["a;b.wav", "it's.wav"]
    assert [frames.tolist() for frames in X] == [[[1, 2], [5, 6]], [[3, 4]]]
    path.write_text(rows)
    assert read_frames(path)[1][0].shape == (2, 3)
    np.testing.assert_array_equal(read_frames(path, time_column=True)[1][0], X[0])
    write_frames(tmp_path / "again.csv", names, X)
    again_names, again = read_frames(tmp_path / "again.csv")
    assert again_names == names
    np.testing.assert_array_equal(again[0], X[0])
    with pytest.raises(ParameterError, match="names: found"):
        write_frames(tmp_path / "bad.csv", ["a';b"], X[:1])
    assert not (tmp_path / "bad.csv").exists()


ARFF = """% frames
@RELATION frames
@attribute name string
@attribute 'time' numeric
@attribute F0 real
@attribute "x y" NUMERIC
@attribute class {yes,no}
@data
'it\\'s, 1.wav',0.00,1.5,2,yes
%
b.wav, 0.01, -1e-3, 4, ?
'it\\'s, 1.wav',0.02,3,4,no
"""


def test_frames_in_arff_are_those_in_csv(tmp_path):
    (tmp_path / "a.arff").write_text(ARFF)
    (tmp_path / "a.csv").write_text("'it's, 1.wav';1.5;2\nb.wav;-1e-3;4\n'it's, 1.wav';3;4\n")
    (names, X), (csv_names, csv_X) = (
        read_frames(tmp_path / f"a.{kind}") for kind in ("arff", "csv")
    )
    assert names == csv_names == ["it's, 1.wav", "b.wav"]
    assert all(np.array_equal(a, b) for a, b in zip(X, csv_X, strict=True))
    bag_csv(tmp_path / "a.arff", tmp_path / "bags.csv", codebook_size=2, n_assign=1)
    assert read_frames(tmp_path / "bags.csv")[0] == names


def test_a_table_of_frames_is_read_without_its_places(tmp_path, rng):
    leading = {"file": ["a", "a", "b"], "frame": [0, 1, 0], "start_s": [0.0, 0.1, 0.0]}
    leading["end_s"] = [0.1, 0.2, 0.1]
    matrix = rng.normal(size=(3, 2)).astype(np.float32)
    table = make_table(leading, ["x", "y"], matrix, {"label": ["v", "v", "w"]})
    write_table(tmp_path / "a.arff", table)
    names, X = read_frames(tmp_path / "a.arff")
    assert names == ["a", "b"]
    assert np.array_equal(np.concatenate(X), matrix)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ("'a',0,1\n", r"line 9: found 3 values, expected 5"),
        ("'a',0,1,x,yes\n", r"line 9: found x as value 2, expected a finite number"),
        ("", "found no frames"),
    ],
)
def test_a_damaged_arff_is_named(tmp_path, data, message):
    (tmp_path / "a.arff").write_text(ARFF[: ARFF.index("'it")] + data)
    with pytest.raises(CorpusError, match=r"a\.arff.*" + message):
        read_frames(tmp_path / "a.arff")


def test_bag_csv_with_a_codebook_gives_openxbows_file(tmp_path):
    output = tmp_path / "bags.csv"
    bag_csv(
        FIXTURES / "small_deep_test.csv",
        output,
        codebook=FIXTURES / "small_random_codebook",
        log=False,
        idf=False,
    )
    assert output.read_bytes() == (FIXTURES / "small_random_test_bow.csv").read_bytes()


def test_bag_csv_learns_saves_and_uses_again(tmp_path):
    train, codebook = FIXTURES / "small_deep_train.csv", tmp_path / "codebook"
    bag = bag_csv(
        train,
        tmp_path / "bags.csv",
        save_codebook=codebook,
        codebook_size=10,
        n_assign=3,
        scale="zscore",
        norm="l2",
        sampling=None,
    )
    names, X = read_frames(train)
    assert read_bags(tmp_path / "bags.csv")[0] == names
    np.testing.assert_array_equal(read_bags(tmp_path / "bags.csv")[1], bag.transform(X))
    bag_csv(train, tmp_path / "again.csv", codebook=codebook, norm="l2")
    assert (tmp_path / "again.csv").read_bytes() == (tmp_path / "bags.csv").read_bytes()


def test_bag_csv_refuses_before_it_writes(tmp_path):
    train, output = FIXTURES / "toy_train.csv", tmp_path / "bags.csv"
    codebook = FIXTURES / "toy_random_codebook"
    with pytest.raises(ParameterError, match="codebook: found beside codebook_size, idf"):
        bag_csv(train, output, codebook=codebook, idf=True, log=True, codebook_size=9)
    with pytest.raises(ParameterError, match=r"found unknown parameters \['size'\]"):
        bag_csv(train, output, size=9)
    with pytest.raises(ThesisError, match=r"found frames of \(64,\) features"):
        bag_csv(FIXTURES / "small_deep_test.csv", output, codebook=codebook)
    assert not output.exists()
