"""Two corpora as one, and the synthetic corpus with domains, one of them with a shortcut."""

from dataclasses import replace

import pandas as pd
import pytest

from thesislib.cli import main
from thesislib.corpora import open_corpus
from thesislib.corpora.domains import join_corpora
from thesislib.corpora.index import Corpus
from thesislib.corpora.splits import draw_fold_sets
from thesislib.corpora.synthetic import identify_corpus, make_corpus
from thesislib.errors import CorpusError, ParameterError
from thesislib.evaluation.shortcuts import measure_domain_shortcuts
from thesislib.representations import Properties, Reading, extract


def load_small(folder, **options):
    make_corpus("sentiment", folder, n_per_class=24, clip_s=0.6, n_domains=3, **options)
    return open_corpus("sentiment", folder, n_folds=3)


def test_the_planted_shortcut_is_found_in_its_domain(tmp_path, capsys):
    corpus = load_small(tmp_path / "corpus")
    whole = {"reading": Reading(channel="all"), "progress": False}
    measured = extract(corpus, Properties(), None, None, **whole)
    arrays = (measured.matrix, corpus.labels, corpus.groups, corpus.domains)
    results = measure_domain_shortcuts(*arrays, measured.names, n_folds=3)
    assert [name for name, each in results.items() if each["is_shortcut"]] == ["domain 1"]
    assert "duration_s" in results["domain 1"]["alone"]
    assert results["domain 1"]["alone"]["duration_s"] == 1
    assert main(["corpus", "check", str(tmp_path / "corpus"), "--shortcuts"]) == 0
    (line,) = [row for row in capsys.readouterr().out.split("\n") if row.startswith("shortcuts: ")]
    assert "in domain 1, properties of the files tell the label: UAR 100.0 %" in line
    assert "duration_s alone: 100.0 %" in line and "domain 2" not in line


def test_each_domain_has_groups_of_each_class(tmp_path):
    corpus = load_small(tmp_path / "corpus")
    groups = corpus.index.groupby(["domain", "label"])["group"].nunique()
    assert len(groups) == 6 and groups.min() >= 2
    assert corpus.index.groupby("group")["domain"].nunique().max() == 1
    assert corpus.validate().problems == ()
    assert set(draw_fold_sets(corpus, 3)) == {"within", "elsewhere"}


def test_equal_seeds_give_equal_bytes_and_others_stay_as_they_were(tmp_path):
    first, again = (load_small(tmp_path / name) for name in "ab")
    assert first.fingerprint == again.fingerprint
    plain = identify_corpus("sentiment")[1]
    assert "n_domains" not in plain
    assert identify_corpus("sentiment", n_domains=3)[1] == {**plain, "n_domains": 3}
    with pytest.raises(ParameterError, match="name: found 'snore'"):
        identify_corpus("snore", n_domains=3)


def make_index(root, labels, **columns):
    rows = pd.DataFrame({"file": [f"{i}.wav" for i in range(len(labels))], "label": labels})
    return Corpus(rows.assign(**columns), root, name=root.name)


def test_joined_corpora_keep_common_labels_and_tell_groups_apart(tmp_path):
    first = make_index(tmp_path / "a", list("xyz"), group="1", fold="1", source="left")
    second = make_index(tmp_path / "deep" / "b", list("xxy"), group="1", partition="train")
    joined = join_corpora({"a": first, "b": second})
    assert joined.classes == ["x", "y"] and len(joined) == 5
    assert joined.root == tmp_path
    assert joined.paths == [*first.paths[:2], *second.paths]
    assert joined.domains.tolist() == ["a", "a", "b", "b", "b"]
    assert sorted(set(joined.groups)) == ["a: 1", "b: 1"]
    assert not {"partition", "fold"} & set(joined.index)
    assert joined.kind == "stand-in"
    drawn = replace(second, kind="synthetic")
    assert join_corpora({"a": first, "b": drawn}).kind == "synthetic"


def test_corpora_without_two_common_labels_are_named(tmp_path):
    first, second = (make_index(tmp_path / name, list(name)) for name in ("xy", "xz"))
    with pytest.raises(CorpusError, match="p: x, y; q: x, z, expected two or more in common"):
        join_corpora({"p": first, "q": second})
