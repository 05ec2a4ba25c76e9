"""Extraction: the same bytes however it is run, nothing lost when it is not finished."""

import dataclasses
import multiprocessing
import os
import signal
import time

import numpy as np
import pandas as pd
import pytest
import soundfile

from thesislib.corpora import folder
from thesislib.errors import AudioError, ParameterError
from thesislib.representations.extraction import Reading, extract, key_rows, read_items
from thesislib.representations.statistics import LogMelStatistics
from thesislib.spectra.plot import AudioPlot
from thesislib.spectra.spectrogram import Spectrum
from thesislib.store import FeatureStore

SPECTRUM = Spectrum("mel", window_s=0.032, hop_s=0.016, n_mels=16)


class Averages:
    """A stand-in for a network: answers in batches, and counts what it is asked."""

    batch_size = 3

    def __init__(self):
        self.asked = []

    def transform(self, X):
        self.asked.append(len(X))
        return np.stack([np.asarray(x).mean(axis=1) for x in X])

    def get_feature_names_out(self):
        return np.array([f"band_{i}" for i in range(16)], dtype=object)

    def cache_parameters(self):
        return {"version": 1}


@pytest.fixture
def corpus(tmp_path):
    root = tmp_path / "corpus"
    root.mkdir()
    generator = np.random.default_rng(0)
    rows = []
    for i in range(10):
        soundfile.write(root / f"{i}.wav", 0.1 * generator.normal(size=8000 + 400 * i), 8000)
        rows.append({"file": f"{i}.wav", "label": "ab"[i % 2]})
    pd.DataFrame(rows).to_csv(root / "index.csv", index=False)
    return folder.load(root)


@pytest.mark.parametrize("estimator", [LogMelStatistics(n_bands=16), Averages()])
def test_features_do_not_depend_on_jobs_order_or_company(corpus, estimator):
    whole = extract(corpus, estimator, SPECTRUM, progress=False).matrix
    jobs = extract(corpus, estimator, SPECTRUM, n_jobs=2, progress=False).matrix
    single = [
        extract(corpus.select(np.arange(10) == i), estimator, SPECTRUM, progress=False).matrix
        for i in reversed(range(10))
    ]
    assert whole.tobytes() == jobs.tobytes()
    assert whole.tobytes() == np.concatenate(single[::-1]).tobytes()


def test_what_is_in_the_store_is_not_computed_again(corpus, tmp_path):
    store, network = FeatureStore(tmp_path / "store"), Averages()
    first = extract(corpus.select(np.arange(10) < 4), network, SPECTRUM, store, progress=False)
    second = extract(corpus, network, SPECTRUM, store, progress=False)
    assert (first.n_computed, first.n_reused) == (4, 0)
    assert (second.n_computed, second.n_reused) == (6, 4)
    assert sum(network.asked) == 10
    assert second.matrix[:4].tobytes() == first.matrix.tobytes()


def test_a_damaged_entry_is_computed_again_with_a_warning(corpus, tmp_path):
    store = FeatureStore(tmp_path / "store")
    whole = extract(corpus, Averages(), SPECTRUM, store, progress=False)
    path = next((tmp_path / "store").rglob("*.npz"))
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.warns(UserWarning, match="damaged entry"):
        again = extract(corpus, Averages(), SPECTRUM, store, progress=False)
    assert (again.n_computed, again.n_reused) == (1, 9)
    assert again.matrix.tobytes() == whole.matrix.tobytes()


def test_chunks_are_rows_of_their_own_and_know_where_they_start(corpus):
    reading = Reading(chunk_s=0.5, hop_s=0.25)
    found = extract(corpus, Averages(), SPECTRUM, reading=reading, progress=False)
    assert len(found.matrix) == len(found.rows) == sum(map(len, found.starts_s))
    assert found.starts_s[0].tolist() == [0.0, 0.25, 0.5]
    assert np.bincount(found.rows).min() >= 3


def test_a_segment_of_a_file_is_read_alone(corpus):
    index = corpus.index.assign(start_s=0.25, end_s=0.75)
    part = folder.load(corpus.root)
    object.__setattr__(part, "index", index)
    ((y, sr),) = read_items(part)[0]
    whole, _ = soundfile.read(corpus.paths[0], dtype="float32")
    assert sr == 8000
    assert np.array_equal(y, whole[2000:6000])


def test_all_bad_files_are_named_after_the_good_ones_are_stored(corpus, tmp_path):
    (corpus.root / "3.wav").write_text("no audio")
    (corpus.root / "5.wav").unlink()
    store = FeatureStore(tmp_path / "store")
    with pytest.raises(AudioError) as caught:
        extract(corpus, Averages(), SPECTRUM, store, progress=False)
    assert "2 files cannot be used" in str(caught.value)
    assert "3.wav" in str(caught.value)
    assert "5.wav" in str(caught.value)
    found = extract(corpus, Averages(), SPECTRUM, store, on_error="collect", progress=False)
    assert sorted(found.errors) == [3, 5]
    assert (found.n_computed, found.n_reused) == (0, 8)
    assert len(found.by_row[3]) == 0
    assert len(found.matrix) == 8


def test_a_clip_shorter_than_one_window_is_named(corpus):
    soundfile.write(corpus.root / "0.wav", np.ones(20) * 0.1, 8000)
    with pytest.raises(AudioError, match=r"0\.wav"):
        extract(corpus, Averages(), SPECTRUM, progress=False)


class Frames(LogMelStatistics):
    """Gives a spectrum's frames as they are: frame features."""

    def transform(self, X):
        return [np.asarray(x).T for x in X]


def test_frames_know_their_chunk_and_chunks_their_times(corpus, tmp_path):
    reading, store = Reading(chunk_s=0.5, hop_s=0.25), FeatureStore(tmp_path / "store")
    for _ in range(2):  # the second time out of the store
        found = extract(
            corpus, Frames(n_bands=16), SPECTRUM, store, reading=reading, progress=False
        )
        assert found.lengths[0].tolist() == [30, 30, 30]
        assert sum(found.lengths[9]) == len(found.by_row[9])
        assert found.starts_s[9].tolist() == [0.0, 0.25, 0.5, 0.75, 1.0]
        assert found.ends_s[9].tolist() == [0.5, 0.75, 1.0, 1.25, 1.45]
    assert found.n_reused == 10


def test_a_parameter_that_one_sampling_rate_forbids(corpus):
    soundfile.write(corpus.root / "4.wav", np.ones(9000) * 0.1, 4000)
    spectrum = Spectrum("mel", n_mels=16, f_max_hz=3000)
    with pytest.raises(ParameterError, match=r"4\.wav: f_max_hz: found 3000.*<= 2000"):
        extract(corpus, LogMelStatistics(n_bands=16), spectrum, progress=False)
    found = extract(
        corpus, LogMelStatistics(n_bands=16), spectrum, on_error="collect", progress=False
    )
    assert list(found.errors) == [4]
    assert found.matrix.shape == (9, 32)


def test_what_cannot_be_opened_is_an_error_of_its_row(corpus, tmp_path):
    (corpus.root / "2.wav").unlink()
    (corpus.root / "2.wav").mkdir()
    store = FeatureStore(tmp_path / "store")
    found = extract(corpus, Averages(), SPECTRUM, store, on_error="collect", progress=False)
    assert list(found.errors) == [2]
    assert "2.wav: found Is a directory" in str(found.errors[2])
    assert len(found.matrix) == 9


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_warnings_come_once_and_name_the_file(corpus, n_jobs):
    for name in ("4.wav", "7.wav"):
        soundfile.write(corpus.root / name, np.zeros(8000), 8000)
    plot = AudioPlot(SPECTRUM, size_px=16)
    with pytest.warns(UserWarning, match=r"4\.wav and others: silent signal") as warned:
        read_items(corpus, plot, n_jobs=n_jobs)
    assert len(warned) == 2  # the silent signal, and its plot
    with pytest.warns(UserWarning, match=r"7\.wav: constant spectrum"):
        extract(
            corpus.select(np.arange(10) == 7),
            Averages(),
            _Averageable(plot),
            n_jobs=n_jobs,
            progress=False,
        )


class _Averageable:
    """A plot's red as if it were a spectrum."""

    def __init__(self, plot):
        self.plot = plot

    def __call__(self, y, *, sr):
        return self.plot(y, sr=sr)[:, :, 0]


def test_without_any_good_row_the_matrix_is_empty_but_as_wide_as_its_names(corpus):
    for path in corpus.paths:
        path.write_text("no audio")
    found = extract(corpus, Averages(), SPECTRUM, on_error="collect", progress=False)
    assert len(found.errors) == 10
    assert found.matrix.shape == (0, 16) == (0, len(found.names))


@pytest.mark.parametrize(
    "change",
    [
        {"samples": np.zeros(8000)},
        {"start_s": 0.5},
        {"reading": Reading(sr=4000)},
        {"spectrum": Spectrum("mel", n_mels=17)},
        {"spectrum": None},
        {"estimator": LogMelStatistics(n_bands=17)},
    ],
)
def test_the_key_follows_everything_that_the_features_depend_on(corpus, change):
    base = {"estimator": LogMelStatistics(n_bands=16), "spectrum": SPECTRUM, "reading": Reading()}

    def find_key(samples=None, start_s=None, **others):
        if samples is not None:
            soundfile.write(corpus.paths[0], samples, 8000)
        first = dataclasses.replace(corpus, index=corpus.index[:1].assign(start_s=start_s))
        ((row,), errors) = key_rows(first, **base | others)
        assert not errors
        return row.key

    key = find_key()
    assert key == find_key()
    assert key != find_key(**change)


def test_features_that_are_not_finite_are_an_error_of_their_file(corpus, tmp_path):
    class Overflowing(Averages):
        """Averages that are infinite for the loud clip, in which levels vary by over 60 dB."""

        def transform(self, X):
            spread = np.array([np.ptp(np.asarray(x)) for x in X])
            return np.where(spread[:, np.newaxis] > 60, np.inf, super().transform(X))

    silence = np.zeros(4000)
    burst = 0.5 * np.random.default_rng(0).standard_normal(4000).clip(-1, 1)
    soundfile.write(corpus.paths[4], np.concatenate([silence, burst]), 8000, subtype="FLOAT")
    store = FeatureStore(tmp_path / "store")
    for estimator in (Overflowing(),):
        features = extract(corpus, estimator, SPECTRUM, store, on_error="collect", progress=False)
        assert list(features.errors) == [4]
        assert "4.wav: found features that are not finite" in str(features.errors[4])
        assert np.isfinite(features.matrix).all()
        assert len(features.matrix) == 9
    with pytest.raises(AudioError, match=r"1 files cannot be used[^-]*- .*4\.wav: found features"):
        extract(corpus, Overflowing(), SPECTRUM, store, progress=False)


def test_an_entry_that_is_not_finite_is_computed_again(corpus, tmp_path):
    store, estimator = FeatureStore(tmp_path / "store"), LogMelStatistics(n_bands=16)
    whole = extract(corpus, estimator, SPECTRUM, store, progress=False)
    rows, _ = key_rows(corpus, estimator, SPECTRUM, reading=Reading())
    entry = store.get(rows[3].key)
    store.put(rows[3].key, entry | {"features": entry["features"] * np.nan})
    again = extract(corpus, estimator, SPECTRUM, store, progress=False)
    assert (again.n_computed, again.n_reused) == (1, 9)
    assert again.matrix.tobytes() == whole.matrix.tobytes()


def test_impossible_readings_are_refused():
    with pytest.raises(ParameterError, match=r"hop_s: found 1\.0 without chunk_s"):
        Reading(hop_s=1)
    with pytest.raises(ParameterError, match="chunk_s: found 0"):
        Reading(chunk_s=0)
    with pytest.raises(ParameterError, match="did you mean 'left'"):
        Reading(channel="lef")


class Slow(Averages):
    batch_size = 1

    def transform(self, X):
        time.sleep(0.3)
        return super().transform(X)


def _extract_slowly(root, store):
    extract(folder.load(root), Slow(), SPECTRUM, FeatureStore(store), progress=False)


def _count_entries(store):
    """Whole entries: those being written have a name that begins with a dot."""
    return sum(path.name[0] != "." for path in store.rglob("*.npz"))


def test_a_killed_extraction_goes_on_where_it_stopped(corpus, tmp_path):
    undisturbed = extract(corpus, Slow(), SPECTRUM, progress=False)
    process = multiprocessing.get_context("spawn").Process(
        target=_extract_slowly, args=(corpus.root, tmp_path / "store")
    )
    process.start()
    deadline = time.monotonic() + 120
    while _count_entries(tmp_path / "store") < 3 and time.monotonic() < deadline:
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    finished = _count_entries(tmp_path / "store")
    found = extract(corpus, Slow(), SPECTRUM, FeatureStore(tmp_path / "store"), progress=False)
    assert 3 <= finished < 10
    assert (found.n_computed, found.n_reused) == (10 - finished, finished)
    assert found.matrix.tobytes() == undisturbed.matrix.tobytes()


def test_two_extractions_at_once_do_not_spoil_each_other(corpus, tmp_path):
    context = multiprocessing.get_context("spawn")
    arguments = (corpus.root, tmp_path / "store")
    both = [context.Process(target=_extract_slowly, args=arguments) for _ in range(2)]
    for process in both:
        process.start()
    for process in both:
        process.join()
    assert [process.exitcode for process in both] == [0, 0]
    found = extract(corpus, Averages(), SPECTRUM, progress=False)
    store = FeatureStore(tmp_path / "store")
    kept = extract(corpus, Slow(), SPECTRUM, store, progress=False)
    assert kept.n_reused == 10
    assert kept.matrix.tobytes() == found.matrix.tobytes()
