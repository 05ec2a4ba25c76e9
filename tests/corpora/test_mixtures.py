import hashlib

import numpy as np
import pandas as pd
import pytest
import soundfile
import yaml

from thesislib.corpora.acoustic_scenes import read_lines
from thesislib.corpora.event_lists import read_recipes, read_sources, split_sources
from thesislib.corpora.mixtures import read_background, synthesize_mixtures
from thesislib.errors import CorpusError, ParameterError, ThesisError


def measure_ebr_db(mixture, background, *, sr, onset_s, offset_s):
    """Event-to-background ratio of a finished mixture, from the audio alone.

    The background's gain is measured outside the event; what is left inside is the event.
    """
    inside = slice(round(onset_s * sr), round(offset_s * sr))
    outside = np.ones(len(mixture), dtype=bool)
    outside[inside] = False
    gain = np.dot(mixture[outside], background[outside]) / np.sum(background[outside] ** 2)
    under = gain * background[inside]
    event = mixture[inside] - under
    return float(10 * np.log10(np.sum(event**2) / np.sum(under**2)))


SR = 8000
RECIPE_KEYS = {
    "bg_path",
    "bg_classname",
    "event_present",
    "event_path",
    "event_class",
    "event_start_in_mixture_seconds",
    "event_length_seconds",
    "segment_start_seconds",
    "segment_end_seconds",
    "scaling_factor",
    "ebr",
    "mixture_audio_filename",
    "annotation_string",
}


@pytest.fixture
def sources(tmp_path, rng):
    """Two classes of three tone bursts inside longer files, four backgrounds of noise."""
    root = tmp_path / "sources"
    root.mkdir()
    events, backgrounds = [], []
    for label, pitch_hz in (("babycry", 500), ("gunshot", 1500)):
        for number in range(3):
            y = 0.001 * rng.normal(size=SR)
            burst = np.sin(2 * np.pi * pitch_hz * np.arange(SR // 4) / SR)
            y[SR // 2 : SR // 2 + len(burst)] += 0.5 * burst
            soundfile.write(root / f"{label}{number}.wav", y, SR)
            events.append((f"{label}{number}.wav", label, 0.5, 0.75))
    for number, duration_s in enumerate((3, 3, 4, 1)):
        level = 0.3 + 0.2 * np.sin(np.arange(duration_s * SR) / 2000)
        y = 0.3 * level * rng.normal(size=duration_s * SR)
        soundfile.write(root / f"bg{number}.wav", y, SR)
        backgrounds.append((f"bg{number}.wav", "park", ""))
    return {
        "events": pd.DataFrame(events, columns=["file", "label", "onset_s", "offset_s"]),
        "backgrounds": pd.DataFrame(backgrounds, columns=["file", "label", "excluded"]),
        "events_root": root,
        "backgrounds_root": root,
        "duration_s": 3.0,
        "sr": SR,
        "n_mixtures": 10,
    }


def digests(root):
    return {
        str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(root.rglob("*"))
        if path.is_file()
    }


def test_measured_ebr_equals_the_asked_one(tmp_path, sources):
    index = synthesize_mixtures(tmp_path, **sources, presence_probability=0.9, ebr_db=(-6, 0, 6))
    assert set(index.ebr_db) == {-6, 0, 6, -np.inf}
    for recipes in sorted(tmp_path.rglob("mixture_recipes_*.yaml")):
        for recipe in read_recipes(recipes).query("event_present").to_dict("records"):
            path = recipes.parents[1] / "audio" / recipe["mixture_audio_filename"]
            background = read_background(
                sources["backgrounds_root"] / recipe["bg_path"], sr=SR, duration_s=3.0
            )
            onset_s = recipe["event_start_in_mixture_seconds"]
            measured = measure_ebr_db(
                soundfile.read(path)[0],
                background,
                sr=SR,
                onset_s=onset_s,
                offset_s=onset_s + recipe["event_length_seconds"],
            )
            assert measured == pytest.approx(recipe["ebr"], abs=0.1)


def test_native_layout_recipes_and_event_lists_agree(tmp_path, sources):
    index = synthesize_mixtures(tmp_path, **sources, subset="devtest")
    assert len(index) == 20
    assert index.groupby("label").event_present.sum().tolist() == [5, 5]
    folder = (tmp_path / index.file[0]).parents[1]
    assert folder.relative_to(tmp_path).parts[:3] == ("data", "mixture_data", "devtest")
    for label, rows in index.groupby("label"):
        lines = read_lines(folder / "meta" / f"event_list_devtest_{label}.csv", (1, 4))
        lines = [line if len(line) == 4 else [*line, "nan", "nan", None] for line in lines]
        events = pd.DataFrame(lines, columns=["file", "onset_s", "offset_s", "label"])
        events = events.astype({"onset_s": float, "offset_s": float})
        recipes = read_recipes(folder / "meta" / f"mixture_recipes_devtest_{label}.yaml")
        assert set(recipes.columns) == RECIPE_KEYS
        names = [file.rsplit("/", 1)[1] for file in rows.file]
        assert events.file.tolist() == recipes.mixture_audio_filename.tolist() == names
        np.testing.assert_array_equal(events.onset_s, rows.onset_s)
        np.testing.assert_array_equal(events.offset_s, rows.offset_s)
        assert events.label.notna().tolist() == rows.event_present.tolist()
        assert set(events.label.dropna()) == {label}
    for file in index.file:
        info = soundfile.info(tmp_path / file)
        assert (info.subtype, info.channels, info.samplerate, info.frames) == (
            "PCM_24",
            1,
            SR,
            3 * SR,
        )


def test_event_is_where_the_list_says(tmp_path, sources):
    index = synthesize_mixtures(
        tmp_path, **sources | {"n_mixtures": 4}, presence_probability=1, ebr_db=[20]
    )
    for row in index.itertuples():
        y, sr = soundfile.read(tmp_path / row.file)
        power = np.convolve(y**2, np.ones(sr // 4), "valid")
        assert power.argmax() / sr == pytest.approx(row.onset_s, abs=0.02)


def test_same_seed_same_bytes_whatever_the_number_of_jobs(tmp_path, sources):
    folders = [tmp_path / name for name in ("one", "two", "other")]
    synthesize_mixtures(folders[0], **sources, n_jobs=1)
    synthesize_mixtures(folders[1], **sources, n_jobs=2)
    synthesize_mixtures(folders[2], **sources, seed=43)
    one, two, other = map(digests, folders)
    assert len(one) == 24
    assert one == two
    assert not set(one) & set(other)


def test_a_class_does_not_depend_on_the_others(tmp_path, sources):
    both = synthesize_mixtures(tmp_path / "both", **sources)
    events = sources["events"].query("label == 'gunshot'")
    alone = synthesize_mixtures(tmp_path / "alone", **sources | {"events": events})
    gunshot = both.query("label == 'gunshot'")
    assert alone.onset_s.dropna().tolist() == gunshot.onset_s.dropna().tolist()


def test_shared_onsets_are_reproduced_under_the_flag_only(tmp_path, sources):
    sources |= {"n_mixtures": 20, "presence_probability": 0.9}
    independent = synthesize_mixtures(tmp_path / "a", **sources)
    shared = synthesize_mixtures(tmp_path / "b", **sources, shared_onsets=True)
    for label in ("babycry", "gunshot"):
        assert independent[independent.label == label].onset_s.dropna().nunique() == 18
        # Three events a class, so three onsets for eighteen mixtures.
        assert shared[shared.label == label].onset_s.dropna().nunique() == 3


def test_finished_mixtures_are_not_written_again(tmp_path, sources):
    index = synthesize_mixtures(tmp_path, **sources)
    before = digests(tmp_path / "data")
    stamps = {file: (tmp_path / file).stat().st_mtime_ns for file in index.file}
    # Killed half-way: some audio and no recipes.
    lost = index.file[:3].tolist()
    for file in lost:
        (tmp_path / file).unlink()
    for path in tmp_path.rglob("*_babycry.yaml"):
        path.unlink()
    again = synthesize_mixtures(tmp_path, **sources)
    pd.testing.assert_frame_equal(again, index)
    assert digests(tmp_path / "data") == before
    kept = [file for file in index.file if file not in lost]
    assert all((tmp_path / file).stat().st_mtime_ns == stamps[file] for file in kept)


def test_failure_leaves_no_partial_file(tmp_path, sources):
    (sources["backgrounds_root"] / "bg2.wav").write_bytes(b"RIFF but no audio")
    with pytest.raises(ThesisError, match=r"bg2\.wav"):
        synthesize_mixtures(tmp_path, **sources)
    assert not list(tmp_path.rglob("*.yaml"))
    for path in (tmp_path / "data").rglob("*.wav"):
        assert soundfile.info(path).frames == 3 * SR


def test_only_what_would_clip_is_normalised(tmp_path, sources):
    sources |= {"n_mixtures": 6, "presence_probability": 0.5}
    index = synthesize_mixtures(tmp_path, **sources, ebr_db=[50])
    peaks = np.array([np.abs(soundfile.read(tmp_path / file)[0]).max() for file in index.file])
    assert (peaks[index.event_present] > 0.9999).all()
    recipes = pd.concat(
        [read_recipes(path) for path in sorted(tmp_path.rglob("*.yaml"))], ignore_index=True
    )
    for peak, recipe in zip(peaks, recipes.to_dict("records")):
        if not recipe["event_present"]:
            background = read_background(
                sources["backgrounds_root"] / recipe["bg_path"], sr=SR, duration_s=3.0
            )
            assert peak == pytest.approx(0.2 * np.abs(background).max(), abs=1e-6)


def test_screened_backgrounds_are_skipped_for_their_class(tmp_path, sources):
    sources["backgrounds"].loc[:2, "excluded"] = ["babycry", "babycry,gunshot", "babycry"]
    synthesize_mixtures(tmp_path, **sources)
    used = {path.stem: set(read_recipes(path).bg_path) for path in tmp_path.rglob("*.yaml")}
    assert used["mixture_recipes_devtrain_babycry"] == {"bg3.wav"}
    assert "bg1.wav" not in used["mixture_recipes_devtrain_gunshot"]
    sources["backgrounds"]["excluded"] = "gunshot"
    with pytest.raises(CorpusError, match="every one is excluded for gunshot"):
        synthesize_mixtures(tmp_path, **sources)


def test_no_ebr_over_digital_silence(tmp_path, sources):
    y, sr = soundfile.read(sources["backgrounds_root"] / "bg0.wav")
    y[: 2 * SR] = 0
    soundfile.write(sources["backgrounds_root"] / "bg0.wav", y, sr)
    sources["backgrounds"] = sources["backgrounds"][:1]
    index = synthesize_mixtures(tmp_path, **sources)
    assert (index.offset_s.dropna() > 2).all()
    soundfile.write(sources["backgrounds_root"] / "bg0.wav", 0 * y, sr)
    with pytest.raises(CorpusError, match=r"bg0\.wav is silent under (babycry|gunshot)\d\.wav"):
        synthesize_mixtures(tmp_path / "silent", **sources)


def test_short_background_is_looped_without_a_seam(sources, tmp_path):
    hum = 0.5 * np.sin(2 * np.pi * 100 * np.arange(SR) / SR)
    soundfile.write(tmp_path / "hum.wav", hum, SR)
    y = read_background(tmp_path / "hum.wav", sr=SR, duration_s=4.55)
    assert len(y) == round(4.55 * SR)
    assert np.abs(np.diff(y)).max() < 1.5 * np.abs(np.diff(hum)).max()


def test_impossible_sources_are_refused_before_any_work(tmp_path, sources):
    def synthesize(**changes):
        synthesize_mixtures(tmp_path, **sources | changes)

    with pytest.raises(CorpusError, match=r"segment of 0\.250 s, .* mixture's 0\.2 s"):
        synthesize(duration_s=0.2)
    with pytest.raises(CorpusError, match="events: columns label are missing"):
        synthesize(events=sources["events"][["file"]])
    with pytest.raises(CorpusError, match="backgrounds: the table is empty"):
        synthesize(backgrounds=sources["backgrounds"][:0])
    with pytest.raises(ParameterError, match=r"presence_probability: found 1\.2"):
        synthesize(presence_probability=1.2)
    with pytest.raises(CorpusError, match=r"runs from 0\.5 s to 0\.1 s"):
        synthesize(events=sources["events"].assign(offset_s=0.1))
    assert not (tmp_path / "data").exists()


def test_only_classes_of_events_must_fit_a_file_name(tmp_path, sources):
    """TUT's backgrounds have the class cafe/restaurant."""
    cafe = sources["backgrounds"].assign(label="cafe/restaurant")
    index = synthesize_mixtures(tmp_path, **sources | {"backgrounds": cafe})
    assert index["background"].eq("cafe/restaurant").all()
    assert all((tmp_path / file).is_file() for file in index["file"])
    for label in ("glass/break", "a\tb"):
        with pytest.raises(CorpusError, match=r"events: found label .* part of a file name"):
            synthesize_mixtures(
                tmp_path, **sources | {"events": sources["events"].assign(label=label)}
            )
    with pytest.raises(CorpusError, match=r"backgrounds: found label None, expected text"):
        synthesize_mixtures(tmp_path, **sources | {"backgrounds": cafe.assign(label=None)})


def test_faults_of_recipes_are_named(tmp_path):
    path = tmp_path / "mixture_recipes_devtest_gunshot.yaml"
    path.write_text("!!python/object/apply:os.getcwd []")
    with pytest.raises(CorpusError, match="no plain YAML"):
        read_recipes(path)
    path.write_text("a: 1")
    with pytest.raises(CorpusError, match="expected a list of recipes"):
        read_recipes(path)


@pytest.mark.parametrize("screening", ["audio/a002.wav\tgunshot\n", "file,gunshot\na002.wav,1\n"])
def test_source_lists_of_the_corpus(tmp_path, screening):
    setup = tmp_path / "cv_setup"
    setup.mkdir()
    (tmp_path / "bgs").mkdir()
    entries = [{"audio_filename": "31527.wav", "segment": [1.5, 2.25]}]
    (setup / "events_devtrain.yaml").write_text(
        yaml.safe_dump({"gunshot": entries, "babycry": entries * 2})
    )
    (setup / "bgs_devtrain.yaml").write_text(
        yaml.safe_dump(
            [
                {"filepath": f"audio/a00{i}.wav", "classname": "park", "classid": 3}
                for i in (1, 2, 3)
            ]
        )
    )
    (tmp_path / "bgs" / "bg_screening.csv").write_text(screening)
    events, backgrounds = read_sources(tmp_path, "devtrain")
    assert events.file.tolist() == ["babycry/31527.wav"] * 2 + ["gunshot/31527.wav"]
    assert events.onset_s.tolist() == [1.5] * 3
    assert backgrounds.excluded.tolist() == ["", "gunshot", ""]


def test_validation_sources_are_disjoint_in_groups():
    table = pd.DataFrame(
        {"file": [f"{i}.wav" for i in range(40)], "label": ["a"] * 20 + ["b"] * 20}
    ).assign(group=[f"{i // 4}" for i in range(40)])
    kept, held_out = split_sources(table, share=0.2, seed=1)
    assert not set(kept.group) & set(held_out.group)
    assert len(kept) + len(held_out) == 40
    assert held_out.label.value_counts().to_dict() == {"a": 4, "b": 4}
    with pytest.raises(CorpusError, match="a has 1 group"):
        split_sources(table[:4], share=0.5)
    with pytest.raises(CorpusError, match="groups with several labels"):
        split_sources(table.assign(label=["a", "b"] * 20), share=0.5)


def test_real_sources_keep_their_ebr(tmp_path, reference_data):
    root = reference_data / "corpora" / "rare_events"
    table = pd.read_csv(root / "index.csv").query("partition == 'train'")
    backgrounds = table[table.label == "background"][["file", "label"]]
    index = synthesize_mixtures(
        tmp_path,
        table[table.label != "background"].groupby("label").head(2),
        backgrounds,
        events_root=root,
        backgrounds_root=root,
        sr=SR,
        n_mixtures=3,
        presence_probability=1.0,
    )
    recipes = pd.concat(
        [read_recipes(path) for path in sorted(tmp_path.rglob("*.yaml"))], ignore_index=True
    )
    for row, bg_path in zip(index.itertuples(), recipes.bg_path):
        y, sr = soundfile.read(tmp_path / row.file)
        background = read_background(root / bg_path, sr=sr, duration_s=30.0)
        measured = measure_ebr_db(y, background, sr=sr, onset_s=row.onset_s, offset_s=row.offset_s)
        assert measured == pytest.approx(row.ebr_db, abs=0.1)
