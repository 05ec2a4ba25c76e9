"""The ComParE layout: closed labels, partitions from prefixes, counts checked."""

import numpy as np
import pytest
import soundfile

from thesislib.corpora import load_any, load_corpus
from thesislib.corpora.records import RECORDS
from thesislib.errors import CorpusError


@pytest.fixture
def package(tmp_path):
    (tmp_path / "wav").mkdir()
    (tmp_path / "lab").mkdir()
    lines = ["file_name\tlabel"]
    for partition in ("train", "devel", "test"):
        for i, label in enumerate("VOTE" if partition != "test" else "????", start=1):
            name = f"{partition}_{i:04}.wav"
            soundfile.write(tmp_path / "wav" / name, np.full(1600, 0.1), 16000)
            lines.append(f"{name}\t{label}")
    (tmp_path / "lab" / "ComParE2017_Snore.tsv").write_text("\n".join(lines) + "\n")
    return tmp_path


def test_a_package_is_read_where_it_stands(package):
    corpus = load_corpus("snore", package)
    assert corpus.partitions == ["devel", "test", "train"]
    assert corpus.classes == ["E", "O", "T", "V"]
    assert corpus.index.loc[corpus.index["partition"] == "test", "label"].isna().all()
    assert len(corpus.rows("test")) == 0
    assert load_any(package).name == RECORDS["snore"].name


def test_counts_that_differ_make_a_stand_in_and_are_remarked(package):
    corpus = load_corpus("snore", package)
    assert corpus.kind == "stand-in"
    assert "train: clips of V: found 1, published 168" in corpus.remarks


def test_every_fault_of_a_package_is_listed(package):
    table = package / "lab" / "ComParE2017_Snore.tsv"
    text = table.read_text().replace("train_0001.wav\tV", "train_0001.wav\tX")
    table.write_text(text + "absent_0001.wav\tV\ntrain_0002.wav\tO\n")
    (package / "wav" / "train_0003.wav").rename(package / "wav" / "trial_0003.wav")
    with pytest.raises(CorpusError) as caught:
        load_corpus("snore", package)
    message = str(caught.value)
    assert "line 2: label 'X', expected V, O, T, E or ?" in message
    assert "wav/absent_0001.wav is missing" in message
    assert "train_0002.wav stands there twice" in message
    assert "wav/trial_0003.wav: prefix 'trial', expected train_, devel_, test_" in message


def test_heart_labels_are_a_parameter(package):
    text = "file_name\tlabel\n" + "".join(
        f"{p.name}\t{i % 3}\n" for i, p in enumerate(sorted((package / "wav").iterdir()))
    )
    (package / "lab" / "ComParE2018_Heartbeat.tsv").write_text(text)
    (package / "lab" / "ComParE2017_Snore.tsv").unlink()
    assert load_corpus("heart", package).classes == ["mild", "moderate/severe", "normal"]
    assert load_corpus("heart", package, labels={"0": "a", "1": "b", "2": "c"}).classes == [
        "a",
        "b",
        "c",
    ]


def test_a_wrong_header_is_named(package):
    table = package / "lab" / "ComParE2017_Snore.tsv"
    table.write_text(table.read_text().replace("file_name", "file"))
    with pytest.raises(CorpusError, match="found the columns file, label, expected file_name and"):
        load_corpus("snore", package)
