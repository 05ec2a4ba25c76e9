"""The public profile: each experiment on a public corpus, in a folder that `fetch` fills."""

from pathlib import Path

import pytest
import yaml

from thesislib.compendium.parameters import check_parameters, read_profile
from thesislib.corpora import FETCHABLE
from thesislib.corpora.records import RECORDS
from thesislib.places import data_folder
from thesislib.reporting.notebooks import list_notebooks

EXPERIMENTS = [name for name in list_notebooks() if name[:3] in ("08_", "09_", "10_")]
PAGE = Path(data_folder() / "README.md").read_text(encoding="utf-8")


def test_every_experiment_has_one():
    assert len(EXPERIMENTS) == 7
    for name in EXPERIMENTS:
        assert read_profile(name, "public")["corpus"]


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_its_corpus_is_one_that_can_be_fetched(name):
    corpus = Path(read_profile(name, "public")["corpus"]).relative_to(data_folder())
    assert corpus.parts[0] in FETCHABLE.values()
    if len(corpus.parts) > 1:
        views = {("views", *Path(view).parts) for view in RECORDS[corpus.parts[0]].views}
        assert any(view[: len(corpus.parts) - 1] == corpus.parts[1:] for view in views)
    assert f"data/{corpus.as_posix()}" in PAGE


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_it_is_checked_without_the_corpus(name):
    values = check_parameters(name, read_profile(name, "public"))
    assert values["corpus"]


@pytest.mark.parametrize("name", ["08_1_acoustic_scenes", "08_2_rare_events"])
def test_where_the_thesis_s_corpus_is_public_its_values_are_the_thesis_s(name):
    assert read_profile(name, "public") == read_profile(name, "paper")


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_it_sets_what_the_paper_profile_sets(name):
    """What is left out would silently be the demo's value."""
    folder = Path(__file__).resolve().parents[2] / "notebooks" / "parameters"
    paper, public = (
        yaml.safe_load((folder / profile / f"{name}.yaml").read_text(encoding="utf-8"))
        for profile in ("paper", "public")
    )
    # The meaning of a ComParE package's labels, which no public corpus has.
    assert set(paper) - set(public) <= {"labels"}


def test_the_page_of_data_names_every_corpus_that_can_be_fetched():
    for name, module in FETCHABLE.items():
        assert f"`{name}`" in PAGE
        assert f"data/{module}" in PAGE
