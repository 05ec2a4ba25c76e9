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

from thesislib.errors import AudioError, ParameterError, StoreError
from thesislib.export.features import write_features
from thesislib.export.shards import bag_folder, list_parts, read_about
from thesislib.representations.extraction import Reading

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
        if path.is_file()
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
    with pytest.raises(StoreError, match="cannot be written"):
        write_features([clips], tmp_path / "file", "band-statistics", **BANDS)
    with pytest.raises(ParameterError, match="shards: found 0"):
        write_features([clips], tmp_path / "other", "band-statistics", shards=0, **BANDS)


def test_with_raise_the_parts_stay_and_the_files_are_told(clips, tmp_path):
    options = {"shards": 4, "on_error": "raise", **BANDS}
    with pytest.raises(AudioError, match="2 files cannot be used"):
        write_features([clips], tmp_path / "out", "band-statistics", **options)
    assert len(list_parts(tmp_path / "out")) == 4


@pytest.mark.parametrize("name", ["s2sae", "dcgan", "bag"])
def test_what_learns_from_all_audio_is_refused(clips, tmp_path, name):
    with pytest.raises(ParameterError, match=f"found a folder of shards for {name}"):
        write_features([clips], tmp_path / "out", name, **({} if name == "bag" else BANDS))
    with pytest.raises(ParameterError, match="save_audio: found beside a folder of shards"):
        write_features([clips], tmp_path / "out", "IS09", save_audio=tmp_path / "sounds")


@pytest.mark.parametrize("chunk_s", [None, 0.15])
@pytest.mark.parametrize("options", [{}, {"idf": True, "scale": "zscore"}, {"log": True}])
def test_bags_over_shards_are_those_of_one_table(clips, tmp_path, options, chunk_s):
    """From audio or from frames in shards, with the codebook of a table."""
    reading, book = Reading(chunk_s=chunk_s, last="pad"), tmp_path / "book"
    labels = {"labels": clips.parent / "labels.csv", "unlabelled": True, "reading": reading}
    write_features(
        [clips], tmp_path / "a.parquet", "bag", save_codebook=book, **labels, **BAG, **options
    )
    write_features(
        [clips], tmp_path / "a", "bag", shards=4, frames="mfcc39", codebook=book, **labels
    )
    write_features([clips], tmp_path / "frames", "mfcc39", shards=4, **labels)
    for n_jobs in (1, 2):
        bag_folder(tmp_path / "frames", tmp_path / f"b{n_jobs}", codebook=book, n_jobs=n_jobs)
    assert read_bytes(tmp_path / "b1") == read_bytes(tmp_path / "b2")
    expected = pd.read_parquet(tmp_path / "a.parquet")
    others = [name for name in expected if name != "end_s"]  # of the last frame, not of the chunk
    # The logarithm of the weights is in the file with fewer digits.
    for name in ("a", "b1"):
        bags = pd.read_parquet(tmp_path / name)
        assert bags.columns.tolist() == expected.columns.tolist()
        pd.testing.assert_frame_equal(bags[others], expected[others])


def test_another_codebook_makes_other_parts(clips, tmp_path):
    """Of the same size: what is in the file counts, not its name."""
    book, bags = tmp_path / "book", []
    for seed in (0, 1):
        options = {"save_codebook": book, "random_state": seed, **BAG}
        write_features([clips], tmp_path / "a.csv", "bag", **options)
        options = {"codebook": book, "frames": "mfcc39", "shards": 4}
        write_features([clips], tmp_path / "a", "bag", **options)
        bags.append(pd.read_parquet(tmp_path / "a").select_dtypes("float32").to_numpy())
    assert not np.array_equal(*bags)


def test_bags_are_made_again_only_where_frames_changed(clips, tmp_path):
    book = tmp_path / "book"
    write_features([clips], tmp_path / "a.csv", "bag", save_codebook=book, **BAG)
    write_features([clips], tmp_path / "frames", "mfcc39", shards=3)

    def write():
        abouts = bag_folder(tmp_path / "frames", tmp_path / "bags", codebook=book)
        times = [path.stat().st_mtime_ns for path in list_parts(tmp_path / "bags")]
        return abouts, times, read_bytes(tmp_path / "bags")

    abouts, times, first = write()
    list_parts(tmp_path / "bags")[2].unlink()
    again, new_times, second = write()
    assert (again, second) == (abouts, first)
    assert [a == b for a, b in zip(times, new_times)] == [True, True, False, True, True]


def test_bags_of_shards_need_a_codebook_of_their_width(clips, tmp_path):
    write_features([clips], tmp_path / "frames", "mfcc39", shards=7)
    with pytest.raises(ParameterError, match="codebook: found None for a folder of shards"):
        bag_folder(tmp_path / "frames", tmp_path / "bags")
    (tmp_path / "book").write_text("codebookNumeric\n2;1;1;0.0;0.0\n0.0\n1.0\n")
    with pytest.raises(ParameterError, match=r"part-00000\.parquet: found 39 features"):
        bag_folder(tmp_path / "frames", tmp_path / "bags", codebook=tmp_path / "book")
    assert not (tmp_path / "bags").exists()


def test_a_trained_model_goes_over_shards(clips, tmp_path):
    model, options = tmp_path / "model.safetensors", {"random_state": 0, **BANDS}
    sizes = {"n_units": 2}
    for epochs in (0, 1):
        training = {"n_epochs": epochs, "parameters": sizes, "save_model": model}
        write_features([clips], tmp_path / "a.parquet", "s2sae", **training, **options)
        write_features([clips], tmp_path / "a", "s2sae", model=model, shards=20, **options)
        expected = pd.read_parquet(tmp_path / "a.parquet")
        pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "a"), expected)


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
