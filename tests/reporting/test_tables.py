"""Tables: ours above, the thesis's below, differences only where they mean something."""

import numpy as np
import pandas as pd
import pytest

from thesislib.errors import ParameterError, StoreError
from thesislib.reporting.tables import join_published, write_table

OURS = pd.DataFrame({"network": ["alexnet", "vgg19"], "uar": [60.0, 50.0], "n": [1, 2]})
PRINTED = pd.DataFrame({"network": ["alexnet"], "uar": [67.0], "note": ["a misprint"]})


def test_the_thesis_stands_in_a_block_of_its_own():
    table = join_published(OURS, PRINTED, keys=["network"], scores=["uar"])
    assert table["source"].tolist() == ["this run", "this run", "thesis"]
    assert "difference_uar" not in table
    assert table["note"].tolist()[2] == "a misprint"


def test_differences_only_on_the_thesis_s_own_corpus():
    table = join_published(OURS, PRINTED, keys=["network"], scores=["uar"], comparable=True)
    assert table["difference_uar"].tolist()[0] == -7.0
    assert np.isnan(table["difference_uar"].tolist()[1])


def test_files_are_written_twice_with_the_same_bytes(tmp_path):
    table = join_published(OURS, PRINTED)
    first = [p.read_bytes() for p in write_table(table, "9.9", tmp_path, caption="50 % & more")]
    again = [p.read_bytes() for p in write_table(table, "9.9", tmp_path, caption="50 % & more")]
    assert first == again
    assert pd.read_csv(tmp_path / "table_9_9.csv")["uar"].tolist() == [60.0, 50.0, 67.0]
    tex = (tmp_path / "table_9_9.tex").read_text()
    assert r"50 \% \& more" in tex
    assert r"\toprule" in tex


def test_an_empty_table_is_refused(tmp_path):
    with pytest.raises(ParameterError, match=r"table 9\.9: found no rows"):
        write_table(pd.DataFrame(), "9.9", tmp_path, caption="")


def test_a_results_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "tables").write_text("a file in the way")
    with pytest.raises(StoreError, match=r"tables.*cannot be written"):
        write_table(OURS, "9.9", tmp_path / "tables", caption="")


def test_keys_match_whatever_their_spelling_and_controls_are_left_out():
    ours = pd.DataFrame(
        {"network": ["alexnet", "alexnet"], "c": [1e-4, 1e-4], "uar": [60.0, 50.0]}
    ).assign(weights=["pre-trained", "random"])
    printed = pd.DataFrame({"network": ["AlexNet"], "c": [0.0001], "uar": [67.0]})
    table = join_published(ours, printed, keys=["network", "c"], scores=["uar"], comparable=True)
    assert table["difference_uar"].tolist()[0] == -7.0
    assert table["difference_uar"].iloc[1:].isna().all()


def test_further_columns_tell_rows_with_equal_keys_apart():
    """ComParE is printed for each complexity, the other systems for the chosen one alone."""
    systems = {"system": ["ComParE", "ComParE", "S2SAE"]}
    ours = pd.DataFrame({**systems, "complexity": [1e-4, 1.0, 0.1]})
    printed = pd.DataFrame({**systems, "complexity": [1e-5, 1e-4, 0.02]})
    ours["uar"], printed["uar"] = [50.0, 60.0, 47.0], [44.0, 46.0, 45.0]
    options = {"keys": ["system"], "scores": ["uar"], "comparable": True}
    plain = join_published(ours, printed, **options)["difference_uar"]
    assert plain.isna()[:2].all() and plain[2] == 2.0
    within = join_published(ours, printed, within=["complexity"], **options)["difference_uar"]
    assert within[0] == 4.0 and pd.isna(within[1]) and within[2] == 2.0
