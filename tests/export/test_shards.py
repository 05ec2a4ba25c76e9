"""Shards: the same rows as one table, the same bytes however often a run was broken off."""

import multiprocessing
import os
import signal
import time

import numpy as np
import pandas as pd
import pyarrow.parquet
import pytest
import soundfile

from thesislib.errors import AudioError, ParameterError
from thesislib.export.features import write_features
from thesislib.export.shard_bags import FrameShards, bag_shards, fit_bag
from thesislib.export.shards import list_parts, read_about
from thesislib.representations.bag_of_features import BagOfFeatures
from thesislib.representations.extract import Reading

BANDS = {"n_mels": 8, "window_s": 0.032}
BAG = {"frames": "mfcc39", "codebook_size": 12, "n_assign": 3}


def write_clips(root, n_clips, seconds=0.3):
    root.mkdir(parents=True, exist_ok=True)
    for i in range(n_clips):
        y = 0.1 * np.random.default_rng(i).normal(size=int(8000 * (seconds + 0.01 * (i % 3))))
        soundfile.write(root / f"{i:03d}.wav", y, 8000)
    return root


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    """Eleven clips, two files that are none, and labels for all."""
    root = write_clips(tmp_path_factory.mktemp("clips") / "in", 11)
    (root / "004b.wav").write_text("no audio")
    (root / "009b.wav").touch()
    rows = [f"{path.name},{'ab'[i % 2] if i > 4 else '?'}" for i, path in enumerate(files(root))]
    (root.parent / "labels.csv").write_text("\n".join(["file,class", *rows]))
    return root


def files(root):
    return sorted(root.glob("*.wav"))


def read_bytes(folder):
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and "_fitted" not in path.parts
    }


def test_shards_hold_what_one_table_holds(clips, tmp_path):
    options = {"labels": clips.parent / "labels.csv", "unlabelled": True, **BANDS}
    reading = Reading(chunk_s=0.1, last="pad")
    whole = write_features(
        [clips], tmp_path / "a.parquet", "band-statistics", reading=reading, **options
    )
    parted = write_features(
        [clips], tmp_path / "a", "band-statistics", reading=reading, shards=4, **options
    )
    assert (parted.n_clips, parted.n_rows, parted.n_features) == (11, whole.n_rows, 16)
    assert parted.errors == whole.errors
    assert len(list_parts(tmp_path / "a")) == 4
    expected = pd.read_parquet(tmp_path / "a.parquet")
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "a"), expected)
    index = pd.read_csv(tmp_path / "a" / "_index.csv")
    assert index["n_clips"].tolist() == [4, 3, 3, 1]
    assert index["n_errors"].tolist() == [0, 1, 1, 0]
    assert index["n_rows"].sum() == whole.n_rows


def test_parts_have_one_schema_and_say_what_they_depend_on(clips, tmp_path):
    options = {"labels": clips.parent / "labels.csv", "unlabelled": True, **BANDS}
    write_features([clips], tmp_path / "a", "band-statistics", shards=1, **options)
    schemas = {
        str(pyarrow.parquet.read_schema(p).remove_metadata()) for p in list_parts(tmp_path / "a")
    }
    assert len(schemas) == 1  # a part without a good clip or a label, too
    assert len({read_about(path)["key"] for path in list_parts(tmp_path / "a")}) == 13


def test_a_part_is_made_again_only_where_something_changed(clips, tmp_path):
    root, out = tmp_path / "in", tmp_path / "out"
    write_clips(root, 6)

    def write(**options):
        write_features([root], out, "band-statistics", shards=2, **BANDS | options)
        return [path.stat().st_mtime_ns for path in list_parts(out)], read_bytes(out)

    first, kept = write()
    again, same = write(n_jobs=2)
    assert again == first and same == kept
    soundfile.write(root / "003.wav", np.ones(3000) * 0.1, 8000)
    changed, _ = write()
    assert [a == b for a, b in zip(first, changed)] == [True, False, True]
    relabelled, _ = write(label="x")
    assert not set(relabelled) & set(changed)
    other, _ = write(n_mels=9)
    assert not set(other) & set(relabelled)
    list_parts(out)[1].write_bytes(b"damaged")
    write(n_mels=9)
    assert read_about(list_parts(out)[1])["n_clips"] == 2


def test_a_folder_of_another_run_is_refused(clips, tmp_path):
    write_features([clips], tmp_path / "out", "band-statistics", shards=2, **BANDS)
    with pytest.raises(ParameterError, match=r"found part-00003\.parquet, expected at most 3"):
        write_features([clips], tmp_path / "out", "band-statistics", shards=5, **BANDS)
    (tmp_path / "file").touch()
    with pytest.raises(ParameterError, match="cannot be written"):
        write_features([clips], tmp_path / "file", "band-statistics", **BANDS)
    with pytest.raises(ParameterError, match="shards: found 0"):
        write_features([clips], tmp_path / "other", "band-statistics", shards=0, **BANDS)


def test_with_raise_the_parts_stay_and_the_files_are_told(clips, tmp_path):
    options = {"shards": 4, "on_error": "raise", **BANDS}
    with pytest.raises(AudioError, match="2 files cannot be used"):
        write_features([clips], tmp_path / "out", "band-statistics", **options)
    assert len(list_parts(tmp_path / "out")) == 4


@pytest.mark.parametrize("name", ["s2sae", "dcgan"])
def test_what_learns_from_all_audio_is_refused(clips, tmp_path, name):
    with pytest.raises(ParameterError, match=f"found a folder of shards for {name}"):
        write_features([clips], tmp_path / "out", name, **BANDS)
    with pytest.raises(ParameterError, match="save_audio: found beside a folder of shards"):
        write_features([clips], tmp_path / "out", "IS09", save_audio=tmp_path / "sounds")


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"idf": True, "scale": "zscore"},
        {"sampling": "random++", "log": True},
        {"frames": "IS09-lld", "streams": True},
    ],
)
@pytest.mark.parametrize("chunk_s", [None, 0.15])
def test_bags_over_shards_are_those_made_in_memory(clips, tmp_path, options, chunk_s):
    reading = Reading(chunk_s=chunk_s, last="pad")
    options = {**BAG, "labels": clips.parent / "labels.csv", "unlabelled": True, **options}
    book = tmp_path / "book"
    write_features([clips], tmp_path / "a.parquet", "bag", reading=reading, **options)
    parted = write_features(
        [clips], tmp_path / "a", "bag", reading=reading, shards=4, save_codebook=book, **options
    )
    expected = pd.read_parquet(tmp_path / "a.parquet")
    found = pd.read_parquet(tmp_path / "a")
    assert parted.n_rows == len(expected)
    assert found.columns.tolist() == expected.columns.tolist()
    others = [name for name in found if name != "end_s"]  # of the last frame, not of the chunk
    pd.testing.assert_frame_equal(found[others], expected[others])
    fitted = {**options, "codebook": book}
    for name in ("codebook_size", "n_assign", "sampling", "scale", "idf", "log", "streams"):
        fitted.pop(name, None)
    if "idf" not in options:
        log = options.get("log")
        write_features([clips], tmp_path / "b", "bag", reading=reading, shards=4, **fitted)
        again = pd.read_parquet(tmp_path / "b")
        pd.testing.assert_frame_equal(again[others], expected[others], check_exact=not log)


def test_frames_in_shards_are_read_a_part_at_a_time(clips, tmp_path):
    write_features([clips], tmp_path / "frames", "mfcc39", shards=3)
    frames = FrameShards(tmp_path / "frames")
    table = pd.read_parquet(tmp_path / "frames")
    assert len(frames) == 11 and frames.n_frames == len(table)
    clip = table[table["file"] == "006.wav"].iloc[:, 4:].to_numpy(np.float32)
    assert np.array_equal(frames[6][:], clip)
    bag = fit_bag(BagOfFeatures(5, 2), frames)
    together = [frames[i][:] for i in range(11)]
    expected = BagOfFeatures(5, 2).fit(together)
    assert np.array_equal(bag.codebook_[0], expected.codebook_[0])
    assert np.array_equal(bag.minimum_, expected.minimum_)
    with pytest.raises(ParameterError, match=f"expected at most {frames.n_frames}, the number"):
        fit_bag(BagOfFeatures(999, 2), frames)


def test_bags_are_made_again_only_where_frames_changed(clips, tmp_path):
    write_features([clips], tmp_path / "frames", "mfcc39", shards=3)
    bag = BagOfFeatures(5, 2)
    abouts = bag_shards(tmp_path / "frames", tmp_path / "bags", bag)
    first = read_bytes(tmp_path / "bags")
    times = [path.stat().st_mtime_ns for path in list_parts(tmp_path / "bags")]
    list_parts(tmp_path / "bags")[2].unlink()
    assert bag_shards(tmp_path / "frames", tmp_path / "bags", BagOfFeatures(5, 2)) == abouts
    again = [path.stat().st_mtime_ns for path in list_parts(tmp_path / "bags")]
    assert [a == b for a, b in zip(times, again)] == [True, True, False, True, True]
    assert read_bytes(tmp_path / "bags") == first


def _write_slowly(root, out):
    write_features([root], out, "ComParE_2016", shards=2)


def test_a_run_killed_twice_leaves_the_bytes_of_an_undisturbed_one(tmp_path):
    root = write_clips(tmp_path / "in", 16, seconds=0.5)
    context, counts = multiprocessing.get_context("spawn"), []
    for target in (2, 5):
        process = context.Process(target=_write_slowly, args=(root, tmp_path / "killed"))
        process.start()
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline and process.is_alive():
            if len(list((tmp_path / "killed").glob("part-*.parquet"))) >= target:
                break
            time.sleep(0.005)
        os.kill(process.pid, signal.SIGKILL)
        process.join()
        counts.append(len(list((tmp_path / "killed").glob("part-*.parquet"))))
    _write_slowly(root, tmp_path / "killed")
    _write_slowly(root, tmp_path / "undisturbed")
    assert counts[0] >= 2 and counts[0] <= counts[1]
    for path in (tmp_path / "killed").glob(".part-*"):  # what was being written
        path.unlink()
    assert read_bytes(tmp_path / "killed") == read_bytes(tmp_path / "undisturbed")
