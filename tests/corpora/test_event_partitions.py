"""Sources and mixtures of each partition: nothing is shared, nothing is made twice."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import soundfile

from thesislib.corpora import acoustic_scenes, folder, open_corpus
from thesislib.corpora.event_lists import read_recipes
from thesislib.corpora.event_partitions import (
    describe_durations,
    mix_partitions,
    rename_classes,
    split_partitions,
)
from thesislib.corpora.rare_events import PUBLISHED_MIXTURES
from thesislib.corpora.synthetic import make_corpus
from thesislib.errors import CorpusError, ParameterError

SIZE = {
    "n_mixtures": dict.fromkeys(("training", "validation", "development", "evaluation"), 4),
    "presence": {"training": 1.0, "validation": 0.5, "development": 0.5, "evaluation": 0.5},
    "duration_s": 4.0,
    "sr": 8000,
}


@pytest.fixture(scope="module")
def sources(tmp_path_factory):
    root = tmp_path_factory.mktemp("sources") / "rare"
    return open_corpus("rare_events", make_corpus("rare_events", root, size="tiny", clip_s=4.0))


@pytest.fixture
def indexed(tmp_path, rng):
    """A user's own folder: an index, events without annotation, other names of partitions."""
    rows = []
    for partition in ("train", "devel", "test", "evaluation"):
        for label in ("siren", "background"):
            for i in range(2):
                name = f"{partition}_{label}_{i}.wav"
                n = 4000 if label == "siren" else 32000
                soundfile.write(tmp_path / name, 0.1 * rng.normal(size=n), 8000)
                rows.append((name, label, partition, name, n / 8000))
    columns = ["file", "label", "partition", "group", "duration_s"]
    pd.DataFrame(rows, columns=columns).to_csv(tmp_path / "index.csv", index=False)
    return folder.load(tmp_path)


def test_partitions_share_no_recording(sources):
    parts = split_partitions(sources, validation_share=0.3)
    assert list(parts) == ["training", "validation", "development"]
    groups = [set(table["group"]) for table in parts.values()]
    assert not (groups[0] & groups[1] or groups[0] & groups[2] or groups[1] & groups[2])
    for table in parts.values():
        assert set(table["label"]) == {"babycry", "glassbreak", "gunshot", "background"}
    other = split_partitions(sources, validation_share=0.3, seed=1)
    assert not other["validation"].equals(parts["validation"])
    assert other["development"].equals(parts["development"])


def test_mixtures_hold_what_is_theirs_and_only_that(sources, tmp_path):
    parts = split_partitions(sources)
    mixtures = mix_partitions(sources, parts, tmp_path, **SIZE)
    assert list(mixtures) == list(parts)
    for part, corpus in mixtures.items():
        assert corpus.kind == "synthetic"
        assert corpus.check().classes == ["babycry", "glassbreak", "gunshot"]
        share = corpus.index["event_present"].mean()
        assert share == SIZE["presence"][part]
        own = set(parts[part]["file"])
        for path in corpus.root.rglob(f"mixture_recipes_{part}_*.yaml"):
            recipes = read_recipes(path)
            assert set(recipes["bg_path"]) <= own
            assert set(recipes["event_path"].dropna()) <= own
    # The scene, not the word "background".
    assert set(mixtures["training"].index["background"]) <= set(acoustic_scenes.LABELS)


def test_mixtures_are_made_once_and_anew_for_other_audio(sources, tmp_path):
    parts = split_partitions(sources)
    first = mix_partitions(sources, parts, tmp_path, **SIZE)
    written = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.wav")}
    again = mix_partitions(sources, parts, tmp_path, **SIZE)
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.wav")} == written
    assert first["training"].fingerprint == again["training"].fingerprint
    # The same names over other sounds must not be taken for the same mixtures.
    copy = make_corpus("rare_events", tmp_path / "other", size="tiny", clip_s=4.0, seed=1)
    other = open_corpus("rare_events", copy)
    mix_partitions(other, split_partitions(other), tmp_path, **SIZE)
    assert len(list(tmp_path.glob("*/data"))) >= 2


@pytest.mark.parametrize("part", ["validation", "development"])
def test_a_part_without_an_event_is_refused(sources, tmp_path, part):
    size = {**SIZE, "presence": {**SIZE["presence"], part: 0}}
    with pytest.raises(ParameterError, match=f"presence: found 0 of .* in the part '{part}'"):
        mix_partitions(sources, split_partitions(sources), tmp_path, **size)


def test_a_users_index_with_four_partitions(indexed, tmp_path):
    parts = split_partitions(indexed)
    assert list(parts) == ["training", "validation", "development", "evaluation"]
    assert set(parts["validation"]["partition"]) == {"devel"}
    mixtures = mix_partitions(indexed, parts, tmp_path / "mixtures", **SIZE)
    assert mixtures["evaluation"].kind == "stand-in"
    assert mixtures["evaluation"].index["onset_s"].notna().sum() == 2
    table = describe_durations(parts)
    assert table["n_events"].tolist() == [4, 4]
    assert table["mean_s"].tolist() == [0.5, 0.5]


def test_ready_mixtures_of_the_challenge_are_taken_as_they_are(sources, tmp_path):
    for name in (PUBLISHED_MIXTURES["evaltest"], "0" * 32):
        place = tmp_path / "data" / "mixture_data" / "evaltest" / name
        (place / "meta").mkdir(parents=True)
        (place / "audio").mkdir()
        soundfile.write(place / "audio" / "m.wav", np.zeros(80), 8000)
        (place / "meta" / "mixture_recipes_evaltest_gunshot.yaml").write_text(
            "- {mixture_audio_filename: m.wav, event_present: false, bg_path: a, "
            "bg_classname: park, ebr: -.inf}\n"
        )
    parts = split_partitions(sources)
    mixtures = mix_partitions(sources, parts, tmp_path / "m", ready_root=tmp_path, **SIZE)
    assert list(mixtures) == ["training", "validation", "development", "evaluation"]
    assert len(mixtures["evaluation"]) == 1
    assert PUBLISHED_MIXTURES["evaltest"] in mixtures["evaluation"].index["file"][0]


def test_durations_are_those_of_the_annotations(sources):
    parts = split_partitions(sources)
    table = describe_durations(parts).set_index(["event", "partition"])
    events = sources.index[(sources.index["label"] == "gunshot")]
    own = events[events["partition"] == "devtest"]
    length_s = own["offset_s"] - own["onset_s"]
    assert table.loc[("gunshot", "test"), "median_s"] == pytest.approx(length_s.median(), abs=1e-3)
    assert table.loc[("gunshot", "dev"), "n_events"] == (events["partition"] == "devtrain").sum()


def test_what_is_missing_or_shared_is_named(sources):
    index = sources.index
    with pytest.raises(
        CorpusError, match="partitions devtest, expected also a partition for training"
    ):
        split_partitions(sources.select(index["partition"] == "devtest"))
    with pytest.raises(CorpusError, match=r"expected also backgrounds \(label 'background'\)"):
        split_partitions(sources.select(index["label"] != "background"))
    group = index.loc[index["partition"] == "devtrain", "group"].iloc[0]
    test = index["partition"] == "devtest"
    leaky = replace(sources, index=index.assign(group=index["group"].mask(test, group)))
    with pytest.raises(CorpusError, match=r"is in .* and development, expected in one"):
        split_partitions(leaky)


def test_classes_get_the_thesis_names(indexed):
    renamed = rename_classes(indexed, {"siren": "babycry", "dog": "gunshot"})
    assert renamed.classes == ["babycry", "background"]
    assert indexed.classes == ["background", "siren"]
