"""Tables of features of any recordings: what is in them, what is not, and who is told."""

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile
from PIL import Image
from scipy.signal import resample_poly
from threadpoolctl import threadpool_limits

from thesislib.audio import read_audio
from thesislib.errors import AudioError, CorpusError, ParameterError, StoreError, WeightsError
from thesislib.export import features
from thesislib.export.features import write_features
from thesislib.export.openxbow import bag_csv
from thesislib.export.recipe import REPRESENTATIONS, make_recipe
from thesislib.representations.deep_spectrum import DeepSpectrum
from thesislib.representations.extraction import Reading
from thesislib.representations.functionals import FrameFeatures, Functionals
from thesislib.representations.statistics import LogMelStatistics
from thesislib.spectra.plot import AudioPlot, make_spectrum
from thesislib.spectra.spectrogram import Spectrum
from thesislib.store import FeatureStore

RATES = (8000, 11025, 16000, 22050, 44100, 48000)
BANDS = {"n_mels": 8, "window_s": 0.032}
DEEP = {"network": "squeezenet1_1", "layer": ["logits"], "weights": "random", "size_px": 64}


def write_tone(path, *, sr=8000, channels=1, seconds=0.6, seed=0):
    generator = np.random.default_rng(seed)
    t = np.arange(int(seconds * sr)) / sr
    tone = 0.3 * np.sin(2 * np.pi * generator.uniform(100, 1500) * t) * np.exp(-t)
    noise = 0.02 * generator.normal(size=(len(t), channels))
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, tone[:, None] + noise, sr)
    return path


@pytest.fixture(scope="module")
def mixed(tmp_path_factory):
    """17 good recordings of every kind, three that are none, and a note."""
    root = tmp_path_factory.mktemp("mixed")
    for i in range(17):
        kind = ("wav", "flac", "ogg", "mp3")[i % 4]
        name = f"{('cat', 'dog')[i % 2]}/{'it’s 50 % ' * (i == 3)}{i:02d}.{kind}"
        write_tone(root / name, sr=RATES[i % 6], channels=1 + i // 2 % 2, seed=i)
    (root / "cat" / "empty.wav").touch()
    whole = write_tone(root / "dog" / "truncated.flac").read_bytes()
    (root / "dog" / "truncated.flac").write_bytes(whole[: len(whole) // 2])
    (root / "dog" / "text.wav").write_text("no audio\n" * 99)
    (root / "notes.txt").write_text("no audio")
    return root


@pytest.fixture(scope="module")
def few(tmp_path_factory):
    """Five clips of one rate."""
    root = tmp_path_factory.mktemp("few")
    for i in range(5):
        write_tone(root / f"{i}.wav", seed=i)
    return root


@pytest.fixture
def idle(monkeypatch):
    """Nothing may be computed."""

    def refuse(*arguments, **options):
        pytest.fail("features were computed before the error was told")

    monkeypatch.setattr(features, "extract", refuse)


def test_good_files_are_in_the_table_and_bad_ones_in_the_outcome(mixed, tmp_path):
    path = tmp_path / "out.csv"
    outcome = write_features([mixed], path, "band-statistics", labels="folder", **BANDS)
    table = pd.read_csv(path)
    assert (outcome.n_clips, outcome.n_rows, outcome.n_features) == (17, 17, 16)
    assert sorted(outcome.errors) == ["cat/empty.wav", "dog/text.wav", "dog/truncated.flac"]
    assert outcome.errors["cat/empty.wav"] == "found an empty file (0 bytes), expected audio"
    assert "truncated or damaged" in outcome.errors["dog/truncated.flac"]
    assert "no readable audio" in outcome.errors["dog/text.wav"]
    assert "left out 1 other files (1 .txt)" in outcome.remarks
    (remark,) = (remark for remark in outcome.remarks if "mixed sampling rates" in remark)
    assert "(3 at 8000 Hz" in remark and remark.endswith("give --sr 8000")
    assert (table["label"] == table["file"].str.split("/").str[0]).all()
    spectrum = Spectrum("mel", hop_s=None, **BANDS)
    for name, *found in table.drop(columns="label").itertuples(index=False):
        y, sr = read_audio(mixed / name)
        expected = LogMelStatistics(8).transform([spectrum(y, sr=sr)])[0]
        assert np.array_equal(np.float32(found), expected)


@pytest.mark.parametrize("suffix", [".csv", ".arff", ".parquet"])
def test_the_same_bytes_from_other_jobs_and_from_the_store(mixed, tmp_path, suffix):
    store = FeatureStore(tmp_path / "store")
    for i, options in enumerate([{}, {"n_jobs": 2}, {"store": store}, {"store": store}]):
        path = tmp_path / str(i) / f"out{suffix}"
        write_features([mixed], path, "band-statistics", labels="folder", **options, **BANDS)
    found = {(tmp_path / str(i) / f"out{suffix}").read_bytes() for i in range(4)}
    assert len(found) == 1
    assert len(list((tmp_path / "store").rglob("*.npz"))) == 17


def test_a_row_a_chunk_with_its_place(few, tmp_path):
    path = tmp_path / "out.parquet"
    reading = Reading(chunk_s=0.25, hop_s=0.2, last="pad")
    write_features([few], path, "IS09", reading=reading, start_s=0.05, label="1")
    table = pd.read_parquet(path)
    assert table.columns[[0, 1, 2, 3, -1]].tolist() == "file chunk start_s end_s label".split()
    assert table["chunk"].tolist() == [0, 1, 2] * 5
    np.testing.assert_allclose(table["start_s"], [0.05, 0.25, 0.45] * 5, atol=1e-9)
    np.testing.assert_allclose(table["end_s"], [0.3, 0.5, 0.7] * 5, atol=1e-9)
    y, sr = read_audio(few / "1.wav", start_s=0.25, end_s=0.5)
    expected = Functionals("IS09").transform([(y, sr)])[0]
    assert np.array_equal(table.iloc[4, 4:-1].to_numpy(np.float32), expected)


@pytest.mark.parametrize("name", ["ComParE_2016-lld", "IS09-lld", "mfcc39"])
def test_a_row_a_frame_with_its_place(tmp_path, name):
    opensmile = pytest.importorskip("opensmile")
    for sr in (8000, 11025, 22050):
        path = write_tone(tmp_path / f"{sr}.wav", sr=sr, seconds=0.5)
        write_features([path], tmp_path / "out.parquet", name)
        table = pd.read_parquet(tmp_path / "out.parquet")
        assert table.columns[:4].tolist() == ["file", "frame", "start_s", "end_s"]
        assert table["frame"].tolist() == list(range(len(table)))
        y, _ = read_audio(path)
        feature_set = {"mfcc39": "MFCC39"}.get(name, name.removesuffix("-lld"))
        with threadpool_limits(1):  # as in the workers: the last bits of a product depend on it
            (expected,) = FrameFeatures(feature_set).transform([(y, sr)])
        assert np.array_equal(table.iloc[:, 4:].to_numpy(), expected)
        if name == "mfcc39":  # the last window of 25 ms fits, the next one does not
            last_s = table["start_s"].iloc[-1]
            assert last_s + 0.025 <= 0.5 + 1 / sr < table["end_s"].iloc[-1] + 0.025 + 2 / sr
        else:
            level = opensmile.FeatureLevel.LowLevelDescriptors
            smile = opensmile.Smile(opensmile.FeatureSet[feature_set], level)
            starts = smile.process_signal(y, sr).index.get_level_values("start").total_seconds()
            # The last frame of the smoothing bears the time of the one before.
            np.testing.assert_allclose(table["start_s"][:-1], starts[:-1], atol=2e-8)
        np.testing.assert_allclose(table["end_s"][:-1], table["start_s"][1:], atol=1e-9)


def test_frames_of_chunks_are_counted_in_each(few, tmp_path):
    path, reading = tmp_path / "out.parquet", Reading(chunk_s=0.3)
    write_features([few / "0.wav"], path, "mfcc39", reading=reading)
    table = pd.read_parquet(path)
    assert table.columns[:5].tolist() == ["file", "chunk", "frame", "start_s", "end_s"]
    assert table["chunk"].tolist() == [0] * 28 + [1] * 28
    assert table["frame"].tolist() == [*range(28)] * 2
    assert table["start_s"][29] == pytest.approx(0.31)


def test_deep_spectrum_and_its_plots(few, tmp_path):
    path, reading = tmp_path / "out.parquet", Reading(chunk_s=0.5, last="keep")
    options = {"colour_map": "magma", "kind": "mel", "n_mels": 16, "save_plots": tmp_path / "plots"}
    write_features([few], path, "deep-spectrum", reading=reading, n_jobs=2, **DEEP, **options)
    table = pd.read_parquet(path)
    plot = AudioPlot(Spectrum("mel", n_mels=16), colour_map="magma", size_px=64)
    y, sr = read_audio(few / "2.wav", start_s=0.5)
    with Image.open(tmp_path / "plots" / "2.wav.0001.png") as picture:
        assert np.array_equal(picture, plot(y, sr=sr))
    assert len(list((tmp_path / "plots").iterdir())) == len(table) == 10
    network = DeepSpectrum("squeezenet1_1", "logits", "random").fit()
    expected = network.transform(plot(y, sr=sr)[None])[0]
    assert np.array_equal(table.iloc[5, 4:].to_numpy(np.float32), expected)
    assert table.columns[4] == "squeezenet1_1_logits_0"


def test_bands_are_by_default_those_of_the_notebooks_control():
    control = Spectrum("mel", window_s=0.032, hop_s=0.016, n_mels=64)
    for options, expected in (
        ({}, control),
        ({"n_mels": 8}, replace(control, n_mels=8)),
        ({"window_s": 0.05}, Spectrum("mel", window_s=0.05, hop_s=None, n_mels=64)),
        ({"style": "deepspectrum"}, make_spectrum("deepspectrum", kind="mel", n_mels=64)),
    ):
        recipe = make_recipe("band-statistics", options, reading=Reading())
        assert recipe.spectrum == expected


def test_a_long_recording_in_one_piece_is_remarked_before_the_work(tmp_path, monkeypatch):
    write_tone(tmp_path / "in" / "a.wav")
    monkeypatch.setattr(features, "_SAMPLE_BYTES", 1e6)
    arguments = ([tmp_path / "in"], tmp_path / "out.csv", "band-statistics")
    with pytest.warns(UserWarning, match=r"a\.wav: .* h in one piece take up to .* --chunk S"):
        write_features(*arguments, **BANDS)
    write_features(*arguments, reading=Reading(chunk_s=0.2), **BANDS)
    write_features(*arguments, end_s=0.2, **BANDS)


def test_audio_as_it_was_read(tmp_path):
    write_tone(tmp_path / "in" / "a.flac", channels=2)
    reading = Reading(sr=4000, channel="left", chunk_s=0.2, last="pad")
    options = {"reading": reading, "start_s": 0.1, "save_audio": tmp_path / "kept", **BANDS}
    write_features([tmp_path / "in"], tmp_path / "out.csv", "band-statistics", **options)
    kept = sorted((tmp_path / "kept").iterdir())
    assert [path.name for path in kept] == [f"a.flac.000{i}.wav" for i in range(3)]
    signals, *_ = reading.read(tmp_path / "in" / "a.flac", 0.1)
    for path, y in zip(kept, signals, strict=True):
        found, sr = soundfile.read(path, dtype="float32")
        assert np.array_equal(found, y)
        assert sr == 4000


def test_relative_folders_are_the_caller_s_though_workers_stand_elsewhere(
    few, tmp_path, monkeypatch
):
    write_features([few], tmp_path / "out.csv", "band-statistics", n_jobs=2, **BANDS)
    monkeypatch.chdir(tmp_path)
    options = {"kind": "mel", "n_mels": 16, "size_px": 64, "network": "squeezenet1_1"}
    options |= {"weights": "random", "save_plots": "plots", "save_audio": "sounds"}
    write_features([few], "deep.csv", "deep-spectrum", n_jobs=2, **options)
    assert len(list(Path("plots").rglob("*.png"))) == len(list(few.glob("*.wav")))
    assert len(list(Path("sounds").rglob("*.wav"))) == len(list(few.glob("*.wav")))


def test_a_bag_counts_frames_and_its_codebook_can_be_used_again(few, tmp_path):
    options = {"frames": "mfcc39", "norm": "none"}
    learnt = {"codebook_size": 12, "n_assign": 3, "sampling": "random++"}
    book = tmp_path / "codebook"
    one, two = tmp_path / "one.csv", tmp_path / "two.csv"
    write_features([few], one, "bag", save_codebook=book, random_state=3, **options, **learnt)
    write_features([few], two, "bag", codebook=book, **options)
    assert one.read_bytes() == two.read_bytes()
    bags = pd.read_csv(one)
    assert bags.columns[:2].tolist() == ["file", "word_0"]
    assert (bags.iloc[:, 1:].sum(axis=1) == 58 * 3).all()  # frames x n_assign


def read_bags(path):
    table = pd.read_csv(path, sep=";", quotechar="'", index_col=0)
    return table.index.tolist(), table.to_numpy(np.float32)


def test_frames_for_openxbow_and_back_are_the_same_bags(few, tmp_path):
    frames, bags, direct = (tmp_path / f"{name}.csv" for name in ("frames", "bags", "direct"))
    write_features([few], frames, "IS09-lld", openxbow=True)
    bag_csv(frames, bags, codebook_size=7, n_assign=2, log=True)
    options = {"codebook_size": 7, "n_assign": 2, "log": True}
    write_features([few], direct, "bag", frames="IS09-lld", **options)
    names, found = read_bags(bags)
    assert names == [f"{i}.wav" for i in range(5)]
    assert np.array_equal(found, pd.read_csv(direct).iloc[:, 1:].to_numpy(np.float32))


def test_bags_of_chunks_and_of_streams(few, tmp_path):
    path = tmp_path / "out.csv"
    options = {"codebook_size": 5, "n_assign": 2}
    write_features([few], path, "bag", reading=Reading(chunk_s=0.2), frames="mfcc39", **options)
    assert len(pd.read_csv(path)) == 15
    write_features([few], path, "bag", frames="IS09-lld", streams=True, **options)
    assert pd.read_csv(path).columns[-1] == "stream_1_word_4"
    deep = {"frames": "deep-spectrum", **DEEP}
    write_features([few], path, "bag", reading=Reading(chunk_s=0.2), **deep, **options)
    table = pd.read_csv(path)
    assert table.columns[:2].tolist() == ["file", "word_0"]
    assert (table.iloc[:, 1:].sum(axis=1) == 3 * 2).all()  # chunks x n_assign


@pytest.mark.parametrize(("name", "width"), [("s2sae", 8), ("dcgan", 192)])
def test_a_trained_model_can_be_used_again(few, tmp_path, name, width):
    sizes = {"s2sae": {"n_units": 2}, "dcgan": {"n_maps": 2, "batch_size": 2}}[name]
    model, reading = tmp_path / "model.safetensors", Reading(chunk_s=0.3, last="pad")
    options = {"reading": reading, **BANDS}
    length = {"s2sae": "n_epochs", "dcgan": "n_updates"}[name]
    training = {length: 1, "save_model": model, "parameters": sizes}
    one, two = tmp_path / "one.csv", tmp_path / "two.csv"
    outcome = write_features([few], one, name, **training, **options)
    write_features([few], two, name, model=model, **options)
    assert (outcome.n_rows, outcome.n_features) == (10, width)
    assert one.read_bytes() == two.read_bytes()
    with pytest.raises(ParameterError, match="n_mels: found 9, expected the model's 8"):
        write_features([few], two, name, model=model, n_mels=9)
    with pytest.raises(ParameterError, match=r"n_(units|maps): found beside a fitted model"):
        write_features([few], two, name, model=model, parameters=sizes, **options)


def test_spectra_of_several_shapes_are_told_before_training(tmp_path):
    for i, seconds in enumerate((0.5, 0.6)):
        write_tone(tmp_path / "in" / f"{i}.wav", seconds=seconds)
    with pytest.raises(ParameterError, match=r"1\.wav: found a spectrum of shape \(8, 36\)"):
        write_features([tmp_path / "in"], tmp_path / "out.csv", "dcgan", **BANDS)


@pytest.mark.parametrize("name", REPRESENTATIONS)
def test_every_representation_gives_finite_features(few, tmp_path, name):
    options = {
        "deep-spectrum": DEEP,
        "bag": {"codebook_size": 4, "n_assign": 1},
        "s2sae": {"n_epochs": 0, "parameters": {"n_units": 2}, **BANDS},
        "dcgan": {"n_updates": 0, "parameters": {"n_maps": 2}, **BANDS},
    }.get(name, {})
    path = tmp_path / "out.parquet"
    outcome = write_features([few], path, name, **options)
    table = pd.read_parquet(path).select_dtypes("float32")
    assert table.shape == (outcome.n_rows, outcome.n_features)
    assert outcome.n_clips == 5
    assert np.isfinite(table.to_numpy()).all()


def test_band_statistics_have_the_bands_of_the_control_of_the_notebooks(few, tmp_path):
    outcome = write_features([few], tmp_path / "out.csv", "band-statistics")
    assert outcome.n_features == len(LogMelStatistics().get_feature_names_out())


@pytest.mark.parametrize("name", ["mfcc39", "band-statistics", "bag", "s2sae", "deep-spectrum"])
def test_a_clip_of_absurd_samples_is_named_and_left_out(few, tmp_path, name):
    soundfile.write(tmp_path / "huge.wav", np.full(4800, 1e30), 8000, subtype="FLOAT")
    options = {
        "deep-spectrum": DEEP,
        "bag": {"frames": "mfcc39", "codebook_size": 4, "n_assign": 1},
        "s2sae": {"n_epochs": 0, "parameters": {"n_units": 2}, **BANDS},
    }.get(name, {})
    path = tmp_path / "out.parquet"
    outcome = write_features([few, tmp_path / "huge.wav"], path, name, **options)
    ((file, reason),) = outcome.errors.items()
    assert file.endswith("huge.wav")
    assert "found a peak of 1e+30" in reason
    table = pd.read_parquet(path).select_dtypes("float32")
    assert outcome.n_clips == 5
    assert np.isfinite(table.to_numpy()).all()


def test_a_mel_axis_of_mel_bands_is_accepted_with_a_remark(few, tmp_path):
    options = {**DEEP, "kind": "mel", "n_mels": 8}
    write_features([few], tmp_path / "a.csv", "deep-spectrum", **options)
    with pytest.warns(UserWarning, match="frequency_axis 'mel' has no effect"):
        write_features([few], tmp_path / "b.csv", "deep-spectrum", frequency_axis="mel", **options)
    assert (tmp_path / "a.csv").read_bytes() == (tmp_path / "b.csv").read_bytes()


def test_the_index_of_the_folder_is_not_counted_as_left_out(few, tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    for name in ("index.csv", "corpus.json", "notes.txt", ".out.csv.lock"):
        (folder / name).touch()
    (folder / "0.wav").write_bytes((few / "0.wav").read_bytes())
    outcome = write_features([folder], tmp_path / "out.csv", "band-statistics", **BANDS)
    assert outcome.remarks == ["left out 1 other files (1 .txt)"]


def test_segments_channels_and_rates_are_read_as_asked(tmp_path):
    generator = np.random.default_rng(0)
    y = 0.1 * generator.normal(size=(8000, 2))
    soundfile.write(tmp_path / "stereo.wav", y, 8000, subtype="FLOAT")
    right = np.float32(y[2000:6000, 1])
    soundfile.write(tmp_path / "right.wav", resample_poly(right, 2, 1), 16000, subtype="FLOAT")
    options = {"kind": "mel", "n_mels": 4, "window_s": 0.05, "top_hz": 3500.0}
    segment = {"start_s": 0.25, "end_s": 0.75}
    one, two = tmp_path / "one.csv", tmp_path / "two.csv"
    reading = Reading(sr=16000, channel="right")
    write_features(
        [tmp_path / "stereo.wav"], one, "band-statistics", reading=reading, **segment, **options
    )
    write_features([tmp_path / "right.wav"], two, "band-statistics", **options)
    found, expected = (pd.read_csv(path).iloc[0, 1:].to_numpy(float) for path in (one, two))
    np.testing.assert_allclose(found, expected, atol=0.3)  # dB; other resamplers, other filters


def test_labels_are_kept_in_kind_and_order(few, tmp_path):
    labels = tmp_path / "labels.tsv"
    rows = [[f"{i}.wav", "ab"[i % 2], i, i / 4] for i in reversed(range(5))]
    with open(labels, "w", newline="") as file:
        csv.writer(file, delimiter="\t").writerows([["file", "class", "age", "mood"], *rows])
    path = tmp_path / "out.parquet"
    options = {"reading": Reading(chunk_s=0.4), "labels": labels, **BANDS}
    write_features([few], path, "band-statistics", **options)
    table = pd.read_parquet(path)
    assert table.columns[-3:].tolist() == ["class", "age", "mood"]
    assert table["class"].tolist() == list("aabbaabbaa")
    assert table["age"].tolist() == np.repeat(range(5), 2).tolist()
    assert table["mood"].dtype == float


def test_an_explicit_file_is_tried_whatever_its_name(tmp_path):
    write_tone(tmp_path / "tone.wav").rename(tmp_path / "tone.dat")
    found = [tmp_path / "tone.dat", tmp_path / "missing.wav"]
    outcome = write_features(found, tmp_path / "out.csv", "band-statistics", **BANDS)
    assert outcome.n_clips == 1
    assert list(outcome.errors) == ["missing.wav"]


def test_a_rate_that_a_parameter_forbids_costs_its_files_alone(tmp_path):
    for sr in (4000, 8000):
        write_tone(tmp_path / "in" / f"{sr}.wav", sr=sr)
    options = {"top_hz": 3000.0, **BANDS}
    outcome = write_features([tmp_path / "in"], tmp_path / "out.csv", "band-statistics", **options)
    assert outcome.n_clips == 1
    assert outcome.errors["4000.wav"].startswith("f_max_hz: found 3000.0")


def test_without_a_good_file_no_table_is_written(tmp_path):
    (tmp_path / "text.wav").write_text("no audio")
    outcome = write_features([tmp_path], tmp_path / "out.csv", "IS09")
    assert (outcome.n_clips, list(outcome.errors)) == (0, ["text.wav"])
    assert not (tmp_path / "out.csv").exists()


def test_with_raise_bad_files_leave_no_table(mixed, tmp_path):
    path = tmp_path / "out.csv"
    with pytest.raises(AudioError, match=r"3 files cannot be used\n  - cat/empty\.wav: found"):
        write_features([mixed], path, "band-statistics", on_error="raise", **BANDS)
    model = {"on_error": "raise", "n_epochs": 0, "save_model": tmp_path / "model.safetensors"}
    with pytest.raises(AudioError, match="3 files cannot be used"):
        write_features([mixed], path, "s2sae", **model, **BANDS)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("IS9", {}, "did you mean 'IS09'"),
        ("IS09", {"n_mels": 4}, "n_mels: found for IS09"),
        ("IS09", {"n_jobs": 0}, "n_jobs: found 0"),
        ("IS09", {"on_error": "skip"}, "on_error: found 'skip'"),
        ("IS09", {"start_s": 2.0, "end_s": 1.0}, "end_s: found 1.0"),
        ("IS09", {"openxbow": True}, "openxbow: found IS09, expected frames"),
        ("IS09", {"save_plots": "plots"}, "save_plots: found IS09, which draws no plots"),
        ("IS09", {"parameters": {"rate": 3}}, "parameters: found 'rate'"),
        ("IS09", {"label": "x", "labels": "folder"}, "labels: found 'folder' beside label"),
        ("band-statistics", {"n_mels": 0}, "n_mels: found 0"),
        ("band-statistics", {"kind": "mell"}, "did you mean 'mel'"),
        ("band-statistics", {"kind": "spectrogram"}, "whose bands depend on sr"),
        ("band-statistics", {"n_fft": 64, "window_s": 0.1}, "n_fft: found beside window_s"),
        ("band-statistics", {"style": "thesi"}, "did you mean 'thesis'"),
        ("bag", {"codebook_size": 3}, "n_assign: found 10, expected at most"),
        ("bag", {"sampling": "rand"}, "did you mean 'random'"),
        ("bag", {"frames": "IS09"}, "frames: found 'IS09'"),
        ("bag", {"frames": "mfcc39", "network": "alexnet"}, "network: found for mfcc39"),
        ("bag", {"frames": "deep-spectrum", **DEEP}, "chunk_s: found None"),
        ("bag", {"codebook": "x", "codebook_size": 9}, "codebook: found beside codebook_size"),
        ("deep-spectrum", {**DEEP, "layer": ["fc9"]}, "layer of .*: found 'fc9'"),
        ("deep-spectrum", {**DEEP, "size_px": 0}, "size_px: found 0"),
        ("deep-spectrum", {**DEEP, "colour_map": "virids"}, "did you mean 'viridis'"),
        ("s2sae", {"n_epochs": -1}, "n_epochs: found -1"),
        ("dcgan", {"n_epochs": 1}, "n_epochs: found for dcgan"),
        ("dcgan", {"n_updates": 1, "model": "x"}, "model: found beside n_updates"),
        ("s2sae", {"n_epochs": 1, "model": "x"}, "model: found beside n_epochs"),
    ],
)
def test_wrong_options_are_told_before_any_work(few, tmp_path, idle, name, options, message):
    with pytest.raises(ParameterError, match=message):
        write_features([few], tmp_path / "out.csv", name, **options)
    assert not (tmp_path / "out.csv").exists()


def test_wrong_files_are_told_before_any_work(few, tmp_path, idle):
    out = tmp_path / "out.csv"
    with pytest.raises(ParameterError, match=r"output: found '\.txt'"):
        write_features([few], tmp_path / "out.txt", "IS09")
    with pytest.raises(StoreError, match=r"0\.wav/out\.csv: cannot be written"):
        write_features([few], few / "0.wav" / "out.csv", "IS09")
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(ParameterError, match="found a folder, expected a file to write"):
        write_features([few], tmp_path / "folder.csv", "IS09")
    with pytest.raises(CorpusError, match="found no audio files"):
        write_features([tmp_path], out, "IS09")
    with pytest.raises(CorpusError, match="5 problems"):
        write_features([few], out, "IS09", labels="folder")
    with pytest.raises(WeightsError, match="codebook"):
        write_features([few], out, "bag", codebook=tmp_path / "codebook")
    with pytest.raises(WeightsError, match="found no file"):
        write_features([few], out, "deep-spectrum", weights=str(tmp_path / "no.safetensors"))
    (tmp_path / "book").write_text("codebookNumeric\n2;1;1;0.0;0.0\n0.0\n1.0\n")
    with pytest.raises(ParameterError, match="codebook: found 1 features, expected 130"):
        write_features([few], out, "bag", codebook=tmp_path / "book")


def test_a_label_column_that_the_table_has_already(few, tmp_path, idle):
    labels = tmp_path / "labels.csv"
    for title in ("chunk", "mean_0"):
        labels.write_text(f"file,{title}\n" + "".join(f"{i}.wav,1\n" for i in range(5)))
        with pytest.raises(ParameterError, match=f"labels: found a column '{title}'"):
            write_features([few], tmp_path / "out.csv", "band-statistics", labels=labels)
