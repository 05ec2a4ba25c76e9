"""A sweep is a table: resumable, in order, and no set's fault is another's."""

import numpy as np
import pytest

from thesislib.errors import ParameterError
from thesislib.evaluation.sweeps import SweepWarning, expand_grid, sweep
from thesislib.store import FeatureStore

SETS = expand_grid(a=[3, 1], b=[1, 2])


@pytest.fixture
def store(tmp_path):
    return FeatureStore(tmp_path)


def add(a, b):
    return {"total": a + b, "word": "x" * a}


def test_grid_keeps_the_order_given():
    assert [tuple(s.values()) for s in SETS] == [(3, 1), (3, 2), (1, 1), (1, 2)]
    assert [list(s) for s in SETS] == [["a", "b"]] * 4


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_rows_are_parameters_and_answers(store, n_jobs):
    def local(a, b):  # workers cannot import this module
        return {"total": a + b, "word": "x" * a}

    table = sweep(SETS, local, store=store, name="sums", n_jobs=n_jobs)
    assert table.columns.tolist() == ["a", "b", "total", "word", "error"]
    assert table["total"].tolist() == [4, 5, 2, 3]
    assert table["word"].tolist() == ["xxx", "xxx", "x", "x"]
    assert (table["error"] == "").all()


def test_killed_sweep_goes_on(store):
    calls = []

    def dies(a, b):
        calls.append((a, b))
        if len(calls) == 3:
            raise KeyboardInterrupt
        return add(a, b)

    with pytest.raises(KeyboardInterrupt):
        sweep(SETS, dies, store=store, name="sums")
    table = sweep(SETS, dies, store=store, name="sums")
    assert calls == [(3, 1), (3, 2), (1, 1), (1, 1), (1, 2)]
    assert table["total"].tolist() == [4, 5, 2, 3]


def test_failing_set_is_a_row_and_is_tried_again(store):
    def fails(a, b):
        if (a, b) == (3, 2) and fails.broken:
            raise MemoryError("too large\nin detail")
        return add(a, b)

    fails.broken = True
    with pytest.warns(SweepWarning, match="1 of 4 parameter sets failed: MemoryError: too large"):
        table = sweep(SETS, fails, store=store, name="sums")
    assert table["error"].tolist() == ["", "MemoryError: too large", "", ""]
    assert np.isnan(table["total"][1]) and table["total"][3] == 3
    fails.broken = False
    assert sweep(SETS, fails, store=store, name="sums")["total"].tolist() == [4, 5, 2, 3]


def test_answers_belong_to_name_and_fixed_values(store):
    def one(**_):
        return {"total": 1}

    sweep(SETS, add, store=store, name="sums", fixed={"corpus": "a"})
    assert sweep(SETS, one, store=store, name="sums", fixed={"corpus": "a"})["total"][0] == 4
    assert sweep(SETS, one, store=store, name="sums", fixed={"corpus": "b"})["total"][0] == 1
    assert sweep(SETS, one, store=store, name="other", fixed={"corpus": "a"})["total"][0] == 1


def test_same_set_twice_is_computed_once(store):
    calls = []

    def count(a, b):
        calls.append(a)
        return add(a, b)

    assert len(sweep(SETS[:1] * 2, count, store=store, name="sums")) == 2
    assert calls == [3]


def test_wrong_sweeps_are_refused(store):
    with pytest.raises(ParameterError, match="parameter_sets: found none"):
        sweep([], add, store=store, name="sums")
    with pytest.raises(ParameterError, match="expected a dict of plain values"):
        sweep(SETS, lambda a, b: {"x": np.zeros(2)}, store=store, name="sums")
    with pytest.raises(ParameterError, match=r"its result has \['a'\]"):
        sweep(SETS, lambda a, b: {"a": 1}, store=store, name="sums")
