"""Synthetic corpora: real layouts, the same bytes for a seed, groups that matter."""

import csv
import itertools
import json
import multiprocessing
from pathlib import Path

import librosa
import numpy as np
import pandas as pd
import pytest
import soundfile
import yaml
from sklearn.metrics import recall_score
from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC

from thesislib.corpora import load_corpus
from thesislib.corpora.recipes import RECIPES, Source
from thesislib.corpora.records import RECORDS
from thesislib.corpora.source_filter import render, vary
from thesislib.corpora.synthetic import make_corpus
from thesislib.errors import CorpusError, ParameterError

NAMES = sorted(RECIPES)


def read_index(root):
    """Rows of any corpus as file, label, group, split, from its native tables."""
    if (root / "index.csv").is_file():
        table = pd.read_csv(root / "index.csv", dtype=str)
        return table.rename(columns={"fold": "split", "partition": "split"})
    if (root / "meta.txt").is_file():
        table = pd.read_csv(root / "meta.txt", sep="\t", header=None, dtype=str)
        table.columns = ["file", "label", "group"]
        for fold in "1234":
            tested = (root / "evaluation_setup" / f"fold{fold}_test.txt").read_text().split("\n")
            table.loc[table["file"].isin(tested), "split"] = fold
        return table
    (path,) = (root / "lab").glob("ComParE*.tsv")
    table = pd.read_csv(path, sep="\t", dtype=str)
    groups = pd.read_csv(root / "lab" / "groups.tsv", sep="\t", dtype=str)
    table = table.merge(groups, on="file_name", validate="one_to_one")
    table["split"] = table["file_name"].str.partition("_")[0]
    return table.assign(file="wav/" + table["file_name"])


def log_mel_statistics(path, view="mean"):
    y, sr = soundfile.read(path, dtype="float32", always_2d=True)
    views = {"mean": y.mean(axis=1), "difference": y[:, 0] - y[:, -1]}
    n_fft = 512 if sr > 8000 else 128
    spectrum = librosa.feature.melspectrogram(
        y=views[view], sr=sr, n_fft=n_fft, hop_length=n_fft // 2, n_mels=64, htk=True
    )
    decibels = 10 * np.log10(spectrum + 1e-8)
    return np.concatenate([decibels.mean(axis=1), decibels.std(axis=1)])


def extract(root, table, view="mean"):
    return np.array([log_mel_statistics(root / file, view) for file in table["file"]])


def score(x, labels, splits):
    """UAR of a linear SVM over concatenated folds."""
    labels, predicted = np.asarray(labels), np.empty(len(labels), object)
    tested = np.zeros(len(labels), bool)
    for train, test in splits:
        svm = make_pipeline(
            StandardScaler(), LinearSVC(C=0.01, class_weight="balanced", max_iter=5000)
        )
        predicted[test] = svm.fit(x[train], labels[train]).predict(x[test])
        tested[test] = True
    return recall_score(labels[tested], predicted[tested], average="macro")


def own_splits(table, test=None):
    """Train and test rows as the corpus ships them."""
    split = table["split"].to_numpy()
    if "train" in split:
        return [(np.flatnonzero(split == "train"), np.flatnonzero(split == test))]
    return [(np.flatnonzero(split != s), np.flatnonzero(split == s)) for s in np.unique(split)]


def any_folds(labels, seed=0):
    folds = StratifiedKFold(4, shuffle=True, random_state=seed)
    return list(folds.split(np.zeros(len(labels)), labels))


def grouped_folds(labels, groups):
    folds = StratifiedGroupKFold(4, shuffle=True, random_state=0)
    return list(folds.split(np.zeros(len(labels)), labels, groups))


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    """Every corpus in its smallest form."""
    root = tmp_path_factory.mktemp("tiny")
    return {
        name: make_corpus(name, root / name, size="tiny", clip_s=2.0 if "ev" in name else 0.6)
        for name in NAMES
    }


@pytest.fixture(scope="module")
def snores(tmp_path_factory, seeds):
    """The demo's snoring corpus of several seeds: index and features of each."""
    found = []
    for seed in seeds:
        root = make_corpus("snore", tmp_path_factory.mktemp("snore") / "s", seed=seed)
        table = read_index(root)
        found.append((table, extract(root, table)))
    return found


def parts(name, root):
    return sorted(p for p in root.iterdir() if p.is_dir()) if name == "vocalisations" else [root]


@pytest.mark.parametrize("name", [name for name in NAMES if name != "rare_events"])
def test_every_file_is_there_and_has_the_stated_form(tiny, name):
    for root in parts(name, tiny[name]):
        table = read_index(root)
        recipe = RECIPES[name][root.name] if name == "vocalisations" else RECIPES[name]
        assert set(table["label"]) == set(recipe.classes)
        assert table["file"].is_unique
        assert len(list(root.rglob("*.wav"))) + len(list(root.rglob("*.flac"))) == len(table)
        for file in table["file"]:
            info = soundfile.info(root / file)
            assert (info.samplerate, info.subtype) == (recipe.sr, "PCM_16")
            assert info.channels == (2 if name == "acoustic_scenes" else 1)
            assert info.duration == pytest.approx(0.6, abs=1e-3)
        loud = [np.abs(soundfile.read(root / file)[0]).max() for file in table["file"]]
        assert 0.2 < min(loud) and max(loud) <= 0.901


@pytest.mark.parametrize("name", [name for name in NAMES if name != "rare_events"])
def test_groups_have_one_class_and_stay_on_one_side(tiny, name):
    for root in parts(name, tiny[name]):
        table = read_index(root)
        sides = table[["group", "split", "label"]].drop_duplicates()
        assert sides["group"].is_unique
        n_clips = pd.crosstab(table["split"], table["label"])
        assert (n_clips > 0).all(axis=None)
        if "train" in n_clips.index:
            assert (n_clips >= 6).all(axis=None)


@pytest.mark.parametrize("name", ["snore", "heart"])
def test_the_challenge_reader_takes_them_as_synthetic(tiny, name):
    corpus = load_corpus(name, tiny[name]).check()
    assert corpus.kind == "synthetic"
    assert corpus.name == f"synthetic {name}"
    assert corpus.classes == sorted(RECORDS[name].labels.values())
    assert corpus.partitions == ["devel", "test", "train"]
    assert not any(group is None for group in corpus.groups)


def test_snoring_keeps_the_imbalance_of_table_10_3(snores):
    table, _ = snores[0]
    n_clips = pd.crosstab(table["split"], table["label"])
    assert 150 <= len(table) <= 200
    assert (n_clips["V"] > n_clips["O"]).all() and (n_clips["O"] > n_clips["E"]).all()
    assert (n_clips["T"] == 6).all()


def test_file_numbers_do_not_give_labels_away(snores):
    table, _ = snores[0]
    labels = table.loc[table["split"] == "train", "label"].to_list()
    changes = sum(a != b for a, b in itertools.pairwise(labels))
    assert changes > 2 * len(set(labels))


def test_scenes_ship_folds_that_partition_the_places(tiny):
    root = tiny["acoustic_scenes"]
    meta = read_index(root)
    assert len(RECIPES["acoustic_scenes"].classes) == 15
    tested = []
    for fold in "1234":
        files = {
            kind: [
                row
                for row in csv.reader(
                    (root / "evaluation_setup" / f"fold{fold}_{kind}.txt").open(), delimiter="\t"
                )
            ]
            for kind in ("train", "test", "evaluate")
        }
        assert [row[:1] for row in files["evaluate"]] == files["test"]
        labelled = files["train"] + files["evaluate"]
        assert sorted(map(tuple, labelled)) == sorted(
            meta[["file", "label"]].itertuples(index=False, name=None)
        )
        tested += [row[0] for row in files["test"]]
    assert sorted(tested) == sorted(meta["file"])
    assert meta["file"].str.match(r"audio/b\d{3}_\d+_\d+\.wav$").all()
    assert (meta["file"].str.slice(6, 10) == meta["group"]).all()


def test_rare_events_lie_where_the_lists_say(tiny):
    source = tiny["rare_events"] / "data" / "source_data"
    files = {}
    for subset in ("devtrain", "devtest"):
        events = yaml.safe_load((source / "cv_setup" / f"events_{subset}.yaml").read_text())
        backgrounds = yaml.safe_load((source / "cv_setup" / f"bgs_{subset}.yaml").read_text())
        assert sorted(events) == ["babycry", "glassbreak", "gunshot"]
        assert all(set(entry) == {"filepath", "classname", "classid"} for entry in backgrounds)
        files[subset] = {entry["filepath"] for entry in backgrounds}
        for entry in backgrounds:
            assert soundfile.info(source / "bgs" / entry["filepath"]).duration == 2.0
        for label, entries in events.items():
            files[subset] |= {entry["audio_filename"] for entry in entries}
            for name in {entry["audio_filename"] for entry in entries}:
                path = source / "events" / label / name
                described = yaml.safe_load(path.with_suffix(".yaml").read_text())
                segments = [e["segment"] for e in entries if e["audio_filename"] == name]
                assert described["valid_segments"] == segments
                y, sr = soundfile.read(path)
                inside = np.zeros(len(y), bool)
                for first_s, last_s in segments:
                    assert 0.2 < last_s - first_s < 4
                    first, last = round(first_s * sr), round(last_s * sr)
                    inside[first:last] = True
                    # An attack takes up to 0.15 s; nothing of the event lies outside.
                    assert np.abs(y[first : first + round(0.2 * sr)]).max() > 0.02
                assert not y[~inside].any()
    assert not files["devtrain"] & files["devtest"]
    assert len(list(source.rglob("*.wav"))) == len(files["devtrain"] | files["devtest"])


def content(root):
    return {p.relative_to(root): p.read_bytes() for p in sorted(root.rglob("*")) if p.is_file()}


@pytest.mark.parametrize("name", NAMES)
def test_a_seed_fixes_every_byte(tiny, tmp_path, name):
    clip_s = 2.0 if "ev" in name else 0.6
    again = make_corpus(name, tmp_path / "again", size="tiny", clip_s=clip_s)
    assert content(again) == content(tiny[name])


def test_another_seed_gives_other_audio_in_the_same_layout(tiny, tmp_path):
    other = make_corpus("heart", tmp_path / "heart", size="tiny", clip_s=0.6, seed=1)
    one, two = content(tiny["heart"]), content(other)
    assert set(one) == set(two)
    waves = [path for path in one if path.suffix == ".wav"]
    assert all(one[path] != two[path] for path in waves)


def test_a_complete_folder_is_left_alone_and_others_are_refused(tiny, tmp_path):
    folder = tmp_path / "heart"
    make_corpus("heart", folder, size="tiny", clip_s=0.2)
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    make_corpus("heart", folder, size="tiny", clip_s=0.2)
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before
    with pytest.raises(CorpusError, match=r"'seed': 0.*expected an empty folder.*'seed': 1"):
        make_corpus("heart", folder, size="tiny", clip_s=0.2, seed=1)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "data.wav").write_bytes(b"precious")
    with pytest.raises(CorpusError, match="found other files, expected an empty folder"):
        make_corpus("heart", tmp_path / "mine", size="tiny")
    assert (tmp_path / "mine" / "data.wav").read_bytes() == b"precious"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["heart", "mine"]


def test_a_failure_leaves_nothing(tmp_path, monkeypatch):
    def fail(*args, **keywords):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(soundfile, "write", fail)
    with pytest.raises(OSError, match="No space left"):
        make_corpus("heart", tmp_path / "heart", size="tiny")
    assert list(tmp_path.iterdir()) == []


def test_two_processes_at_once_give_one_whole_corpus(tmp_path):
    context = multiprocessing.get_context("fork")
    keywords = {"size": "tiny", "clip_s": 0.6}
    workers = [
        context.Process(target=make_corpus, args=("heart", tmp_path / "both"), kwargs=keywords)
        for _ in range(3)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert [worker.exitcode for worker in workers] == [0, 0, 0]
    alone = make_corpus("heart", tmp_path / "alone", **keywords)
    assert content(tmp_path / "both") == content(alone)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["alone", "both"]


@pytest.mark.parametrize(
    ("keywords", "message"),
    [
        ({"name": "snores"}, "did you mean 'snore'"),
        ({"size": "huge"}, "expected one of demo, tiny"),
        ({"seed": -1}, "seed: found -1"),
        ({"n_per_class": 1}, "n_per_class: found 1"),
        ({"clip_s": 0}, "clip_s: found 0"),
    ],
)
def test_impossible_values_are_refused(tmp_path, keywords, message):
    name = keywords.pop("name", "snore")
    with pytest.raises(ParameterError, match=message):
        make_corpus(name, tmp_path / "x", **keywords)
    assert list(tmp_path.iterdir()) == []


def test_the_description_says_synthetic_and_how_it_departs(tiny):
    described = json.loads((tiny["acoustic_scenes"] / "corpus.json").read_text())
    assert described["kind"] == "synthetic"
    assert "2 s in place of" in described["departs"]


def peak_hz(y, sr):
    return np.abs(np.fft.rfft(y * np.hanning(len(y)))).argmax() * sr / len(y)


def test_a_tone_peaks_at_its_frequency_and_pulses_at_their_resonance(rng):
    tone = render((Source("tones", 500, glide=0),), rng, sr=8000, duration_s=1)
    assert peak_hz(tone, 8000) == pytest.approx(500, abs=2)
    pulses = (Source("pulses", 20, (900,), 20, glide=0),)
    assert peak_hz(render(pulses, rng, sr=8000, duration_s=1), 8000) == pytest.approx(900, abs=30)


def test_noise_lies_at_the_stated_level_below_the_sources():
    source = (Source("tones", 500, glide=0),)
    sound = {
        snr_db: render(source, np.random.default_rng(0), sr=8000, duration_s=2, snr_db=snr_db)
        for snr_db in (0, 20)
    }
    for snr_db, y in sound.items():
        power = np.abs(np.fft.rfft(y * np.hanning(len(y)))) ** 2
        near = np.zeros(len(power), bool)
        near[[k for n in range(1, 7) for k in range(1000 * n - 5, 1000 * n + 6)]] = True
        assert 10 * np.log10(power[near].sum() / power[~near].sum()) == pytest.approx(
            snr_db, abs=0.5
        )


def test_a_side_source_is_absent_from_the_mean_and_alone_in_the_difference(rng):
    sources = (Source("tones", 500, glide=0), Source("tones", 800, glide=0, side=True))
    y = render(sources, rng, sr=8000, duration_s=1)
    assert y.shape == (8000, 2)
    assert peak_hz(y.mean(axis=1), 8000) == pytest.approx(500, abs=2)
    assert peak_hz(y[:, 0] - y[:, 1], 8000) == pytest.approx(800, abs=2)


def test_variation_moves_everything_but_keeps_sources_in_step(rng):
    sources = (Source("pulses", 100, (500,), rate_hz=2), Source("noise", rate_hz=2, phase=0.5))
    shifted = vary(sources, rng, 0.3)
    assert vary(sources, rng, 0.0) == sources
    assert shifted[0].rate_hz == shifted[1].rate_hz != 2
    assert shifted[0].resonances_hz != (500,)
    assert shifted[1].phase == 0.5


@pytest.mark.parametrize("duration_s", [0.001, 0.1, 0.7])
def test_even_a_clip_shorter_than_its_events_sounds(duration_s):
    rare = (Source("noise", rate_hz=0.3, decay_s=0.05),)
    for seed in range(5):
        y = render(rare, np.random.default_rng(seed), sr=8000, duration_s=duration_s)
        assert np.isfinite(y).all() and np.abs(y).max() > 0.2


def test_log_mel_statistics_score_between_chance_and_perfect(snores):
    scores = [score(x, t["label"], own_splits(t, "devel")) for t, x in snores]
    scores += [score(x, t["label"], own_splits(t, "test")) for t, x in snores]
    assert 0.4 < np.median(scores) < 0.9  # chance is 0.25


def test_folds_that_ignore_sleepers_score_higher(snores):
    gains = [
        score(x, t["label"], any_folds(t["label"]))
        - score(x, t["label"], grouped_folds(t["label"], t["group"]))
        for t, x in snores
    ]
    assert np.median(gains) > 0.03


def test_permuted_labels_score_at_chance(snores):
    scores = []
    for seed, (table, x) in enumerate(snores):
        labels = np.random.default_rng(seed).permutation(table["label"])
        scores += [score(x, labels, any_folds(labels, s)) for s in range(2)]
    assert np.median(scores) == pytest.approx(0.25, abs=0.08)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["acoustic_scenes", "game_genre"])
def test_places_and_games_can_be_learnt_by_heart(tmp_path, seeds, name):
    gains, scores, chance = [], [], []
    for seed in seeds:
        root = make_corpus(name, tmp_path / str(seed), seed=seed)
        table = read_index(root)
        labels, x = table["label"].to_numpy(), extract(root, table)
        apart = score(x, labels, own_splits(table))
        gains.append(score(x, labels, any_folds(labels)) - apart)
        scores.append(apart)
        permuted = np.random.default_rng(seed).permutation(labels)
        chance.append(score(x, permuted, any_folds(permuted)))
    level = 1 / len(set(labels))
    assert np.median(gains) > 0.03
    assert level + 0.25 * (1 - level) < np.median(scores) < level + 0.85 * (1 - level)
    assert np.median(chance) == pytest.approx(level, abs=0.06)


@pytest.mark.slow
def test_some_scenes_differ_in_the_channel_difference_only(tmp_path, seeds):
    found = {"mean": [], "difference": []}
    for seed in seeds:
        root = make_corpus("acoustic_scenes", tmp_path / str(seed), seed=seed)
        table = read_index(root)
        for view, scores in found.items():
            for pair in (("car", "bus"), ("office", "home"), ("park", "forest_path")):
                part = table[table["label"].isin(pair)].reset_index(drop=True)
                scores.append(score(extract(root, part, view), part["label"], own_splits(part)))
    assert np.median(found["mean"]) < 0.65 < 0.75 < np.median(found["difference"])


@pytest.mark.slow
@pytest.mark.parametrize("name", ["heart", "sentiment", "vocalisations"])
def test_partitioned_corpora_score_between_chance_and_perfect(tmp_path, seeds, name):
    relative = []
    for seed in seeds:
        for root in parts(name, Path(make_corpus(name, tmp_path / str(seed), seed=seed))):
            table = read_index(root)
            x, labels = extract(root, table), table["label"].to_numpy()
            level = 1 / len(set(labels))
            for test in sorted(set(table["split"]) - {"train"}):
                found = score(x, labels, own_splits(table, test))
                relative.append((found - level) / (1 - level))
    assert 0.25 < np.median(relative) < 0.85
