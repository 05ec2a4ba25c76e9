"""Audio files: every format, every fault, and what resampling and chunking must keep."""

import os
import struct
import sys
from dataclasses import replace

import numpy as np
import pytest
import soundfile as sf

from thesislib.audio import CHANNELS, find_peak, probe_audio, read_audio, stream_audio
from thesislib.errors import AudioError, ParameterError
from thesislib.export.features import write_features
from thesislib.representations.reading import Reading, chunk

SR = 16000
FORMATS = ("wav", "flac", "ogg", "mp3")


def tone(frequency_hz=440.0, duration_s=1.0, sr=SR):
    return (0.5 * np.sin(2 * np.pi * frequency_hz * np.arange(round(duration_s * sr)) / sr)).astype(
        np.float32
    )


def peak_hz(y, sr):
    return np.abs(np.fft.rfft(y * np.hanning(len(y)))).argmax() * sr / len(y)


@pytest.fixture(params=FORMATS)
def tone_file(request, tmp_path):
    path = tmp_path / f"tone.{request.param}"
    sf.write(path, tone(), SR)
    return path


# --- formats ------------------------------------------------------------------------------


def test_each_format_keeps_rate_length_and_tone(tone_file):
    y, sr = read_audio(tone_file)
    assert (sr, len(y), y.dtype, y.ndim) == (SR, SR, np.float32, 1)
    assert abs(peak_hz(y, sr) - 440) <= 1
    # Lossy coders differ in the tone's last per cent, not in its level.
    assert np.sqrt(np.mean(y**2)) == pytest.approx(0.5 / np.sqrt(2), rel=0.02)


def test_lossless_formats_return_the_samples(tmp_path, rng):
    y = rng.integers(-(2**15), 2**15, 500).astype(np.int16)
    for ext in ("wav", "flac"):
        sf.write(tmp_path / f"y.{ext}", y, SR)
        np.testing.assert_array_equal(read_audio(tmp_path / f"y.{ext}")[0] * 2**15, y)


def test_probe_reads_the_header_of_each_format(tone_file):
    info = probe_audio(tone_file)
    assert (info.sr, info.n_channels, info.n_samples, info.duration_s) == (SR, 1, SR, 1.0)
    assert info.path == str(tone_file)


def test_a_segment_is_the_same_samples_as_in_the_whole_file(tone_file):
    """Also in mp3, whose frames cannot be decoded without those before them."""
    whole, _ = read_audio(tone_file)
    for start_s, end_s in ((0.25, 0.5), (0.9, 1.0), (0.001, 0.002)):
        part, _ = read_audio(tone_file, start_s=start_s, end_s=end_s)
        expected = whole[round(start_s * SR) : round(end_s * SR)]
        np.testing.assert_allclose(part, expected, atol=1e-6)


# --- channels -----------------------------------------------------------------------------


def test_views_of_a_stereo_file(tmp_path, rng):
    frames = rng.uniform(-1, 1, (100, 2)).astype(np.float32)
    sf.write(tmp_path / "s.wav", frames, SR, subtype="FLOAT")
    views = {c: read_audio(tmp_path / "s.wav", channel=c)[0] for c in CHANNELS}
    np.testing.assert_array_equal(views["left"], frames[:, 0])
    np.testing.assert_array_equal(views["right"], frames[:, 1])
    np.testing.assert_allclose(views["mean"], frames.mean(axis=1), atol=1e-7)
    np.testing.assert_allclose(views["difference"], frames[:, 0] - frames[:, 1], atol=1e-7)
    np.testing.assert_array_equal(views["all"], frames)


def test_a_mono_file_is_its_own_left_right_and_mean(tmp_path):
    sf.write(tmp_path / "m.wav", tone(), SR)
    left, right, mean = (
        read_audio(tmp_path / "m.wav", channel=c)[0] for c in ("left", "right", "mean")
    )
    np.testing.assert_array_equal(left, right)
    np.testing.assert_array_equal(left, mean)
    assert left.any()
    assert not read_audio(tmp_path / "m.wav", channel="difference")[0].any()


def test_three_channels_are_refused(tmp_path):
    sf.write(tmp_path / "three.wav", np.zeros((10, 3)), SR)
    with pytest.raises(AudioError, match=r"three\.wav: found 3 channels, expected 1 or 2"):
        read_audio(tmp_path / "three.wav")


def test_unknown_channel_names_the_nearest(tmp_path):
    with pytest.raises(ParameterError, match="did you mean 'difference'"):
        read_audio(tmp_path / "any.wav", channel="diference")


# --- resampling ---------------------------------------------------------------------------


@pytest.mark.parametrize("target", [8000, 11025, 44100])
def test_resampling_keeps_frequency_level_and_duration(tmp_path, target):
    sf.write(tmp_path / "t.wav", tone(1000.0), SR)
    y, sr = read_audio(tmp_path / "t.wav", sr=target)
    assert sr == target and y.dtype == np.float32
    assert abs(len(y) / sr - 1) <= 1 / sr
    assert abs(peak_hz(y, sr) - 1000) <= 1
    assert np.abs(y[sr // 4 : -sr // 4]).max() == pytest.approx(0.5, rel=0.01)


def test_resampling_down_removes_what_the_new_rate_cannot_hold(tmp_path):
    sf.write(tmp_path / "t.wav", tone(6000.0), SR)
    y, _ = read_audio(tmp_path / "t.wav", sr=8000)
    assert np.abs(y[1000:-1000]).max() < 1e-3  # an alias would be at 2 kHz


def test_resampling_comes_after_the_cut(tmp_path):
    """What lies outside a segment cannot leak into it through the filter."""
    y = np.concatenate([np.zeros(SR // 2), tone(duration_s=0.5)])
    sf.write(tmp_path / "t.wav", y, SR)
    assert not read_audio(tmp_path / "t.wav", sr=8000, end_s=0.5)[0].any()


@pytest.mark.parametrize("sr", [0, -1, 8000.5, "8k", float("nan")])
def test_bad_rates_are_refused(tmp_path, sr):
    with pytest.raises(ParameterError, match="sr: found"):
        read_audio(tmp_path / "any.wav", sr=sr)


def test_one_sample(tmp_path):
    sf.write(tmp_path / "one.wav", np.array([0.5]), 44100)
    assert read_audio(tmp_path / "one.wav")[0].tolist() == [0.5]
    with pytest.raises(AudioError, match=r"one\.wav: found 1 samples at 44100 Hz"):
        read_audio(tmp_path / "one.wav", sr=16000)


# --- faults -------------------------------------------------------------------------------


@pytest.mark.parametrize("read", [read_audio, probe_audio])
class TestFaults:
    def test_missing_file(self, read, tmp_path):
        with pytest.raises(AudioError, match=r"gone\.wav: found no such file"):
            read(tmp_path / "gone.wav")

    def test_folder(self, read, tmp_path):
        with pytest.raises(AudioError, match="found a folder, expected an audio file"):
            read(tmp_path)

    @pytest.mark.parametrize("ext", FORMATS)
    def test_empty_file(self, read, tmp_path, ext):
        (tmp_path / f"e.{ext}").touch()
        with pytest.raises(AudioError, match=rf"e\.{ext}: found an empty file"):
            read(tmp_path / f"e.{ext}")

    def test_no_samples(self, read, tmp_path):
        sf.write(tmp_path / "none.wav", np.zeros(0), SR)
        with pytest.raises(AudioError, match=r"none\.wav: found 0 samples, expected at least 1"):
            read(tmp_path / "none.wav")

    @pytest.mark.parametrize("ext", FORMATS)
    def test_no_audio(self, read, tmp_path, ext):
        (tmp_path / f"text.{ext}").write_text("name,label\n" * 50)
        with pytest.raises(AudioError, match=rf"text\.{ext}: found no readable audio"):
            read(tmp_path / f"text.{ext}")

    @pytest.mark.parametrize("share", [0.95, 0.5])
    def test_truncated_file(self, read, tone_file, share):
        content = tone_file.read_bytes()
        tone_file.write_bytes(content[: int(len(content) * share)])
        with pytest.raises(AudioError, match=rf"{tone_file.name}: truncated.*expected"):
            read(tone_file)

    def test_flac_without_a_length(self, read, tmp_path):
        sf.write(tmp_path / "u.flac", tone(), SR)
        content = bytearray((tmp_path / "u.flac").read_bytes())
        content[21] &= 0xF0  # the 36 bits of the number of samples
        content[22:26] = bytes(4)
        (tmp_path / "u.flac").write_bytes(content)
        with pytest.raises(AudioError, match=r"u\.flac: found a header without a length"):
            read(tmp_path / "u.flac")


@pytest.mark.parametrize("form", ["WAVEX", "RF64"])
def test_truncation_is_told_in_every_form_of_wav(tmp_path, form):
    path = tmp_path / "t.wav"
    sf.write(path, tone(), SR, format=form)
    assert len(read_audio(path)[0]) == SR
    path.write_bytes(path.read_bytes()[:-2000])
    with pytest.raises(AudioError, match=r"truncated wav: found 30000 bytes of samples.*32000"):
        probe_audio(path)


def test_big_endian_wav(tmp_path):
    path = tmp_path / "t.wav"
    sf.write(path, tone(), SR, endian="BIG")
    assert path.read_bytes()[:4] == b"RIFX"
    assert len(read_audio(path)[0]) == SR
    path.write_bytes(path.read_bytes()[:-2000])
    with pytest.raises(AudioError, match="truncated wav"):
        read_audio(path)


def untag(path):
    """Remove the frame that states an mp3's length, if there is one."""
    content = path.read_bytes()
    if b"Info" in content[:256] or b"Xing" in content[:256]:
        path.write_bytes(content[content.index(content[:2], 4) :])


@pytest.mark.parametrize("sr, level", [(22050, 0.99), (44100, 0.5), (44100, 0.0)])
def test_an_mp3_that_does_not_state_its_length_is_as_long_as_it_is(tmp_path, rng, sr, level):
    """libsndfile only estimates its length, up to a per cent wrong."""
    path = tmp_path / "untagged.mp3"
    noise = rng.normal(0, 0.1, 3 * sr)
    sf.write(path, noise, sr, bitrate_mode="CONSTANT", compression_level=level)
    untag(path)
    y, _ = read_audio(path)
    assert len(y) == probe_audio(path).n_samples
    assert abs(len(y) - 3 * sr) < 3 * 1152  # whole frames, and the coder's delay
    tail, _ = read_audio(path, start_s=2.5)
    np.testing.assert_allclose(tail, y[round(2.5 * sr) :], atol=1e-6)


def test_an_mp3_that_would_be_read_in_part_only_is_refused(tmp_path, rng):
    """With a varying bit rate libsndfile's estimate can be a third of the truth."""
    path = tmp_path / "vbr.mp3"
    sf.write(path, rng.normal(0, 0.1, 3 * 44100) * np.linspace(0.01, 1, 3 * 44100), 44100)
    assert probe_audio(path).n_samples == 3 * 44100
    untag(path)
    for read in (read_audio, probe_audio, lambda path: [*stream_audio(path)]):
        with pytest.raises(
            AudioError, match=r"vbr\.mp3: found .* in an mp3 that does not state its"
        ):
            read(path)


def test_an_mp3_of_two_that_were_joined_is_refused(tmp_path, rng):
    """The first frame states the length of the first alone; the decoder reads no further."""
    path = tmp_path / "joined.mp3"
    sf.write(path, rng.normal(0, 0.1, SR), SR)
    path.write_bytes(2 * path.read_bytes())
    for read in (read_audio, probe_audio, lambda path: [*stream_audio(path)]):
        with pytest.raises(AudioError, match=r"joined\.mp3: found 16000 samples .* bytes more"):
            read(path)


@pytest.mark.parametrize("at", [22, 24, 28, 32])
def test_a_wav_whose_header_contradicts_itself_is_refused(tmp_path, at):
    """Channels, sampling rate, bytes a second, bytes of a sample: each is in the others."""
    path = tmp_path / "t.wav"
    sf.write(path, tone(), SR)
    content = bytearray(path.read_bytes())
    content[at] ^= 64
    path.write_bytes(content)
    with pytest.raises(AudioError, match=r"t\.wav: .*(write it anew|no readable audio)"):
        read_audio(path)


def test_a_streamed_wav_that_never_learnt_its_length_is_read(tmp_path):
    path = tmp_path / "stream.wav"
    sf.write(path, tone(), SR)
    content = path.read_bytes()
    at = content.index(b"data") + 4
    path.write_bytes(content[:at] + struct.pack("<I", 0xFFFFFFFF) + content[at + 4 :])
    assert probe_audio(path).n_samples == SR
    np.testing.assert_allclose(read_audio(path)[0], tone(), atol=1e-4)


def test_a_wav_that_lost_only_a_trailing_note_is_whole(tmp_path):
    path = tmp_path / "note.wav"
    sf.write(path, tone(), SR)
    path.write_bytes(path.read_bytes() + b"LIST" + struct.pack("<I", 500) + b"cut")
    assert len(read_audio(path)[0]) == SR


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_samples_that_are_not_finite(tmp_path, bad):
    sf.write(tmp_path / "n.wav", np.array([0.0, bad, 0.0]), SR, subtype="FLOAT")
    with pytest.raises(AudioError, match=r"n\.wav: found 1 samples that are NaN or infinite"):
        read_audio(tmp_path / "n.wav")


@pytest.mark.parametrize(
    "segment",
    [(-0.1, 0.5), (0.5, 1.1), (0.5, 0.5), (0.7, 0.3), (1.0, None), (2.0, 3.0), (np.nan, 1.0)],
)
def test_segments_outside_the_file(tmp_path, segment):
    sf.write(tmp_path / "t.wav", tone(), SR)
    with pytest.raises(AudioError, match=r"t\.wav: segment found from .* expected 0 <= start"):
        read_audio(tmp_path / "t.wav", start_s=segment[0], end_s=segment[1])


def test_a_segment_between_two_samples(tmp_path):
    sf.write(tmp_path / "t.wav", tone(), SR)
    with pytest.raises(AudioError, match="holds no sample at 16000 Hz"):
        read_audio(tmp_path / "t.wav", start_s=0.500001, end_s=0.500002)


def test_an_end_rounded_to_milliseconds_is_the_end(tmp_path):
    sf.write(tmp_path / "t.wav", tone()[:-5], SR)
    assert len(read_audio(tmp_path / "t.wav", end_s=1.0)[0]) == SR - 5


# --- files as people have them ------------------------------------------------------------


@pytest.mark.parametrize("subtype", ["GSM610", "G721_32"])
def test_a_file_that_cannot_be_sought_in_is_read_in_order(tmp_path, subtype):
    path = tmp_path / "t.wav"
    sf.write(path, tone(duration_s=2.0, sr=8000), 8000, subtype=subtype)
    whole, _ = sf.read(path, dtype="float32")
    assert probe_audio(path).n_samples == len(whole)
    np.testing.assert_array_equal(read_audio(path)[0], whole)
    part, _ = read_audio(path, start_s=1.0, end_s=1.5)
    np.testing.assert_array_equal(part, whole[8000:12000])
    np.testing.assert_array_equal(np.concatenate([*stream_audio(path, block_s=0.3)]), whole)
    path.write_bytes(path.read_bytes()[:-500])
    with pytest.raises(AudioError, match="truncated"):
        probe_audio(path)


def test_a_flac_behind_notes_is_read(tmp_path):
    path = tmp_path / "t.flac"
    sf.write(path, tone(), SR)
    path.write_bytes(b"ID3\x03\0\0\0\0\x03\x74" + bytes(500) + path.read_bytes())
    assert probe_audio(path).n_samples == SR
    np.testing.assert_allclose(read_audio(path, start_s=0.5)[0], tone()[SR // 2 :], atol=1e-4)


def test_neighbours_of_a_file_are_not_looked_at(tmp_path):
    """A Mac leaves ``._a.mp3`` on foreign drives."""
    sf.write(tmp_path / "a.mp3", tone(), SR)
    expected, _ = read_audio(tmp_path / "a.mp3")
    header = b"\0\5\x16\7\0\2\0\0Mac OS X        \0\2\0\0\0\x09\0\0\0\x32\0\0\x0e\xb0"
    (tmp_path / "._a.mp3").write_bytes(header + b"\0\0\0\2\0\0\x0e\xe2\0\0\1\x1e" + bytes(4000))
    np.testing.assert_array_equal(read_audio(tmp_path / "a.mp3")[0], expected)


def write_wav(path, *, length=None, behind=b""):
    """A tone whose header states ``length`` bytes of samples, with bytes behind them."""
    sf.write(path, tone(), SR)
    content = path.read_bytes()
    at = content.index(b"data") + 4
    stated = content[at : at + 4] if length is None else struct.pack("<I", length)
    path.write_bytes(content[:at] + stated + content[at + 4 :] + behind)


@pytest.mark.parametrize(
    "length", [0, 0x7FFFF000, 0x7FFFFFDB, 0x7FFFFFFF, 0x80000000, 0xFFFFFFDB, 0xFFFFFFFF]
)
def test_a_length_that_stands_for_none_is_read_to_the_end(tmp_path, length):
    write_wav(tmp_path / "pipe.wav", length=length)
    assert probe_audio(tmp_path / "pipe.wav").n_samples == SR
    np.testing.assert_allclose(read_audio(tmp_path / "pipe.wav")[0], tone(), atol=1e-4)
    part, _ = read_audio(tmp_path / "pipe.wav", start_s=0.5)
    np.testing.assert_allclose(part, tone()[SR // 2 :], atol=1e-4)


def test_samples_behind_those_that_the_header_counts_are_named(tmp_path, rng):
    samples = rng.integers(-(2**15), 2**15, 9 * SR).astype("<i2").tobytes()
    write_wav(tmp_path / "stale.wav", behind=samples)
    with pytest.raises(AudioError, match=r"stale\.wav: found samples of 1 s .* and 9 s behind"):
        read_audio(tmp_path / "stale.wav")


@pytest.mark.parametrize(
    "behind",
    [
        b"LIST\x04\0\0\0INFO",
        b"id3 " + struct.pack("<I", 3000) + bytes(range(1, 251)) * 12,
        b"bext\x06\0\0\0abcdef" + b"xyz1\x02\0\0\0ab",
        b"TAG" + b"x" * 3000,
        bytes(20_000),
    ],
)
def test_notes_and_padding_behind_the_samples_are_fine(tmp_path, behind):
    write_wav(tmp_path / "t.wav", behind=behind)
    assert len(read_audio(tmp_path / "t.wav")[0]) == SR


@pytest.mark.parametrize(
    ("content", "found"),
    [
        ("version https://git-lfs.github.com/spec/v1\noid sha256:0\n", r"Git LFS .*git lfs pull"),
        ("/annex/objects/SHA256E-s1--0.wav\n", "git-annex pointer"),
        ("\n<!DOCTYPE html><title>404</title>", "a web page"),
        ("\ufeff<HTML>", "a web page"),
    ],
)
def test_what_was_saved_in_the_place_of_audio_is_named(tmp_path, content, found):
    (tmp_path / "a.wav").write_text(content, encoding="utf-8")
    with pytest.raises(AudioError, match=rf"a\.wav: found .*{found}"):
        probe_audio(tmp_path / "a.wav")


def test_peaks_beyond_full_scale_are_read_with_a_warning_and_absurd_ones_refused(tmp_path):
    path = tmp_path / "t.wav"
    sf.write(path, 2.8 * tone(), SR, subtype="FLOAT")
    with pytest.warns(UserWarning, match="samples beyond full scale"):
        y, _ = read_audio(path)
    np.testing.assert_array_equal(y, np.float32(2.8) * tone())
    assert find_peak(path) == pytest.approx(1.4)
    for factor in (2**16, 1e30):
        sf.write(path, factor * tone(), SR, subtype="FLOAT")
        for read in (read_audio, find_peak):
            with pytest.raises(AudioError, match=r"t\.wav: found a peak of .*expected samples in"):
                read(path)


FURTHER = {"opus": "OGG", "oga": "OGG", "wave": "WAV", "au": "AU", "caf": "CAF", "w64": "W64"}
FURTHER |= {"sph": "NIST", "aifc": "AIFF", "aiff": "AIFF", "voc": "VOC", "rf64": "RF64"}


@pytest.mark.parametrize("ext", FURTHER)
def test_further_formats_are_read_and_truncation_is_named(tmp_path, ext):
    path = tmp_path / f"t.{ext}"
    subtype = {"subtype": "OPUS"} if ext == "opus" else {}
    sf.write(path, tone(), SR, format=FURTHER[ext], **subtype)
    y, sr = read_audio(path)
    assert (sr, len(y)) == (SR, SR)
    assert abs(peak_hz(y, sr) - 440) <= 1
    if ext != "voc":
        path.write_bytes(path.read_bytes()[: -path.stat().st_size // 3])
        with pytest.raises(AudioError, match=rf"t\.{ext}: "):
            read_audio(path)


def test_a_file_that_cannot_be_opened_is_named(tmp_path, monkeypatch):
    sf.write(tmp_path / "t.wav", tone(), SR)

    def refuse(*args, **options):
        raise PermissionError(13, "Permission denied")

    with pytest.raises(AudioError, match=r"cannot be read \(File name too long\)"):
        probe_audio(tmp_path / ("x" * 300 + ".wav"))
    monkeypatch.setattr("builtins.open", refuse)
    with pytest.raises(AudioError, match=r"t\.wav: cannot be read \(Permission denied\)"):
        probe_audio(tmp_path / "t.wav")


# --- chunks -------------------------------------------------------------------------------


@pytest.mark.parametrize("last", ["keep", "pad"])
def test_chunks_without_gaps_hold_every_sample(last, rng):
    for _ in range(200):
        n, sr = int(rng.integers(1, 400)), float(rng.uniform(1, 50))
        window_s = rng.uniform(0.02, 4)
        hop_s = window_s * rng.uniform(0.05, 1)
        chunks, starts_s = chunk(np.arange(n), sr=sr, window_s=window_s, hop_s=hop_s, last=last)
        starts = np.round(starts_s * sr).astype(int)
        held = {s + i for s, c in zip(starts, chunks) for i in range(len(c)) if s + i < n}
        assert held == set(range(n))
        for s, c in zip(starts, chunks):
            inside = c[: max(0, n - s)]
            np.testing.assert_array_equal(inside, np.arange(s, s + len(inside)))
        # All but the last are full, and the last adds something.
        widths = {len(c) for c in (chunks if last == "pad" else chunks[:-1])}
        assert len(widths) <= 1
        if len(chunks) > 1:
            assert starts[-2] + len(chunks[-2]) < n


def test_the_three_ways_with_a_rest():
    y = np.arange(1, 11)

    def lengths(last):
        return [c.tolist() for c in chunk(y, sr=2, window_s=2, hop_s=2, last=last)[0]]

    assert lengths("drop") == [[1, 2, 3, 4], [5, 6, 7, 8]]
    assert lengths("keep") == [[1, 2, 3, 4], [5, 6, 7, 8], [9, 10]]
    assert lengths("pad") == [[1, 2, 3, 4], [5, 6, 7, 8], [9, 10, 0, 0]]


@pytest.mark.parametrize("last", ["keep", "pad", "drop"])
def test_no_chunk_without_new_samples(last):
    """Ten seconds in windows of 4 s, hop 2 s: the one at 8 s would repeat the one at 6 s."""
    _, starts_s = chunk(np.zeros(100), sr=10, window_s=4, hop_s=2, last=last)
    assert starts_s.tolist() == [0, 2, 4, 6] and starts_s.dtype == np.float64


def test_gaps_between_chunks_stay_gaps():
    _, starts_s = chunk(np.zeros(100), sr=10, window_s=1, hop_s=4, last="keep")
    assert starts_s.tolist() == [0, 4, 8]


def test_starts_do_not_drift():
    """A hop of 100.5 samples: the thousandth chunk starts at 100 500, not at 100 000."""
    _, starts_s = chunk(np.zeros(201_000), sr=1000, window_s=0.1005, hop_s=0.1005)
    assert starts_s[1000] == pytest.approx(100.5)


def test_a_clip_shorter_than_a_window():
    y = np.ones(5)
    assert [len(c) for c in chunk(y, sr=1, window_s=8, hop_s=4, last="keep")[0]] == [5]
    padded, starts_s = chunk(y, sr=1, window_s=8, hop_s=4, last="pad")
    assert padded[0].tolist() == [1] * 5 + [0] * 3 and starts_s.tolist() == [0]
    with pytest.raises(AudioError, match=r"found 5 s, shorter than one window: expected .* 8 s"):
        chunk(y, sr=1, window_s=8, hop_s=4, last="drop")


def test_chunks_of_nothing_and_of_one_sample():
    with pytest.raises(AudioError, match="found a signal of 0 samples"):
        chunk(np.zeros(0), sr=1, window_s=1, hop_s=1)
    assert len(chunk(np.zeros(1), sr=16000, window_s=1, hop_s=1)[0]) == 1


@pytest.mark.parametrize(
    "change", [{"window_s": 0}, {"hop_s": -1}, {"hop_s": float("nan")}, {"last": "trim"}]
)
def test_chunk_refuses_bad_parameters(change):
    settings = {"sr": 10, "window_s": 1, "hop_s": 1} | change
    with pytest.raises(ParameterError, match=f"{next(iter(change))}: found"):
        chunk(np.zeros(100), **settings)


@pytest.fixture
def phone_recording(tmp_path):
    """Encode half a second of a tone in two channels as AAC, with PyAV."""
    av = pytest.importorskip("av")
    path, t = tmp_path / "memo.m4a", np.arange(16000) / 32000
    samples = np.float32([0.5 * np.sin(2 * np.pi * 440 * t)] * 2)
    with av.open(str(path), "w") as media:
        stream = media.add_stream("aac", rate=32000, layout="stereo")
        frame = av.AudioFrame.from_ndarray(samples, format="fltp", layout="stereo")
        frame.rate = 32000
        for packet in [*stream.encode(frame), *stream.encode(None)]:
            media.mux(packet)
    return path, samples


def test_a_phone_recording_is_read_like_any_other(phone_recording):
    path, samples = phone_recording
    info = probe_audio(path)
    assert (info.sr, info.n_channels) == (32000, 2)
    y, sr = read_audio(path)
    assert sr == 32000 and len(y) == info.n_samples
    # The encoder delays the signal; its middle is the tone at its level.
    middle = y[4000:12000]
    assert np.abs(np.fft.rfft(middle)).argmax() * 32000 / len(middle) == pytest.approx(440, abs=4)
    assert middle.std() == pytest.approx(samples.std(), rel=0.02)
    part, _ = read_audio(path, start_s=0.1, end_s=0.2)
    assert np.array_equal(part, y[3200:6400])
    assert np.array_equal(np.concatenate(list(stream_audio(path, block_s=0.1))), y)
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(AudioError, match=r"memo\.m4a: found no readable audio"):
        read_audio(path)


def test_features_of_a_phone_recording_in_a_folder_of_any_name(phone_recording, tmp_path):
    """libsndfile opens neither the file nor, given as a path, the folder's name."""
    folder = tmp_path / os.fsdecode(b"\xff\xfe")
    try:
        folder.mkdir()
    except OSError as error:
        pytest.skip(f"names are UTF-8 here ({error.strerror})")
    phone_recording[0].rename(folder / "memo.m4a")
    outcome = write_features([folder], tmp_path / "out.csv", "band-statistics", n_mels=4)
    assert (outcome.n_clips, outcome.errors) == (1, {})


def test_without_the_extra_the_error_names_it(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "av", None)
    path = tmp_path / "memo.m4a"
    path.write_bytes(b"0")
    with pytest.raises(AudioError, match=r"memo\.m4a: found \.m4a, expected the extra formats"):
        read_audio(path)
    path.write_bytes(b"")
    with pytest.raises(AudioError, match=r"memo\.m4a: found an empty file"):
        read_audio(path)


@pytest.mark.parametrize("last", ["keep", "pad", "drop"])
@pytest.mark.parametrize(("chunk_s", "hop_s"), [(1.0, 1.0), (2.5, 0.7), (0.3, 1.1), (60.0, 1.0)])
def test_chunks_of_a_long_file_are_those_of_its_signal(
    tmp_path, rng, monkeypatch, chunk_s, hop_s, last
):
    path = tmp_path / "long.wav"
    sf.write(path, rng.uniform(-0.5, 0.5, (25 * 8000 + 17, 2)), 8000)
    reading = Reading(chunk_s=chunk_s, hop_s=hop_s, last=last, channel="left")
    if chunk_s > 25 and last == "drop":
        monkeypatch.setattr("thesislib.representations.reading.LONG_BYTES", 0)
        with pytest.raises(AudioError, match="shorter than one window"):
            reading.read(path)
        return
    whole = reading.read(path)
    resampled = replace(reading, sr=5000).read(path)
    monkeypatch.setattr("thesislib.representations.reading.LONG_BYTES", 0)
    monkeypatch.setattr("thesislib.representations.reading.read_audio", None)
    parts = reading.read(path)
    np.testing.assert_array_equal(parts[1], whole[1])
    for y, expected in zip(parts[0], whole[0], strict=True):
        np.testing.assert_array_equal(y, expected)
    for y, expected in zip(replace(reading, sr=5000).read(path)[0], resampled[0], strict=True):
        np.testing.assert_allclose(y, expected, atol=1e-5)
