"""Reading audio: files, channel views, segments, sampling rates, chunks.

The thesis reads its corpora at their native rates, learns from four views of
stereo recordings (8.1: mean, left, right, difference) and cuts clips into
chunks (8.3, 9.1). A damaged file is named here, before any feature is
computed: libsndfile alone shortens a truncated wav without a word.
"""

import math
import struct
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile as sf

from thesislib.errors import AudioError, check_number, check_option

CHANNELS = ("mean", "left", "right", "difference")

# Tables of segments round to milliseconds: an end this far past the last sample is the end.
_ROUNDING_S = 1e-3
# What a flac encoder that does not know the length leaves in the header reads as this or more.
_UNKNOWN_LENGTH = 2**62
# 32 mp3 frames: more than 511 bytes, the farthest that a frame borrows, at any bit rate.
_MP3_LEAD = 32 * 1152


@dataclass(frozen=True)
class AudioInfo:
    """What a file's header says: ``path, sr, n_channels, n_samples, duration_s``."""

    path: str
    sr: int
    n_channels: int
    n_samples: int
    duration_s: float


def probe_audio(path):
    """Sampling rate, channels and length of a file, without decoding it.

    Parameters
    ----------
    path : str or Path
        A wav, flac, ogg or mp3 file.

    Returns
    -------
    AudioInfo
        ``n_samples`` counts a channel's samples.

    Raises
    ------
    AudioError
        If the file is missing, empty, no audio, or truncated; names the file, what
        was found and what was expected. A truncated wav is told by its chunk sizes, an
        ogg by its last page, flac and mp3 by decoding the last sample. An mp3 whose first
        frame does not state its length is decoded to count it and cannot be told from a
        truncated one.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "tone.wav"
    >>> sf.write(path, np.zeros((8000, 2)), 16000)
    >>> info = probe_audio(path)
    >>> info.sr, info.n_channels, info.n_samples, info.duration_s
    (16000, 2, 8000, 0.5)
    """
    path = Path(path)
    with _open(path) as file:
        n_samples = _length(path, file)
        # Only these two formats promise a length which libsndfile does not check.
        if file.format == "FLAC" or _is_mp3(file):
            _read(path, file, n_samples - 1, 1)
        sr = file.samplerate
        return AudioInfo(str(path), sr, file.channels, n_samples, n_samples / sr)


def read_audio(path, *, sr=None, channel="mean", start_s=None, end_s=None):
    """Read a file, or a segment of it, as one signal.

    Parameters
    ----------
    path : str or Path
        A wav, flac, ogg or mp3 file with one or two channels.
    sr : int, optional
        Sampling rate to convert to (soxr, quality HQ, after the segment is cut);
        None keeps the file's own.
    channel : {"mean", "left", "right", "difference"}
        View of a stereo file (thesis 8.1); ``difference`` is left − right and may
        reach ±2. A mono file is its own mean, left and right; its difference is zero.
    start_s, end_s : float, optional
        Segment in seconds; the file is read from there on, not as a whole. An end up
        to a millisecond past the last sample means the end, since tables round.

    Returns
    -------
    y : ndarray, shape (n_samples,), float32
        The signal, in [-1, 1] for integer formats (``difference``: [-2, 2]).
    sr : int
        Its sampling rate in Hz.

    Raises
    ------
    AudioError
        As :func:`probe_audio`; and if there are more than two channels, samples that
        are not finite, or a segment outside the file.
    ParameterError
        If ``channel`` is unknown or ``sr`` is not a positive integer.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "tone.wav"
    >>> sf.write(path, np.zeros((8000, 2)), 16000)
    >>> y, sr = read_audio(path, sr=8000, channel="left", start_s=0.1, end_s=0.3)
    >>> y.shape, y.dtype, sr
    ((1600,), dtype('float32'), 8000)
    """
    check_option("channel", channel, CHANNELS)
    if sr is not None:
        sr = int(check_number("sr", sr, low=1, integer=True))
    path = Path(path)
    with _open(path) as file:
        if file.channels > 2:
            raise AudioError(f"{path}: found {file.channels} channels, expected 1 or 2")
        native = file.samplerate
        start, stop = _segment(path, _length(path, file), native, start_s, end_s)
        y = _view(_read(path, file, start, stop - start), channel)
    bad = np.count_nonzero(~np.isfinite(y))
    if bad:
        raise AudioError(f"{path}: found {bad} samples that are NaN or infinite, expected none")
    if sr is None or sr == native:
        return y, native
    import soxr

    resampled = soxr.resample(y, native, sr, quality="HQ")
    if not len(resampled):
        raise AudioError(
            f"{path}: found {len(y)} samples at {native} Hz, expected enough for one at {sr} Hz"
        )
    return resampled, sr


def stream_audio(path, *, sr=None, channel="mean", block_s=10.0):
    """Read a file block by block, in constant memory.

    Parameters
    ----------
    path, sr, channel
        As in :func:`read_audio`.
    block_s : float > 0
        Seconds that are read at a time.

    Yields
    ------
    ndarray, shape (n_samples,), float32
        Together what :func:`read_audio` gives, up to the last bits of resampling.

    Raises
    ------
    AudioError, ParameterError
        As :func:`read_audio`, at the block that is damaged.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "tone.wav"
    >>> sf.write(path, np.zeros(20000), 16000)
    >>> [len(block) for block in stream_audio(path, block_s=1.0)]
    [16000, 4000]
    """
    check_option("channel", channel, CHANNELS)
    check_number("block_s", block_s, low=0, open_low=True)
    path = Path(path)
    with _open(path) as file:
        if file.channels > 2:
            raise AudioError(f"{path}: found {file.channels} channels, expected 1 or 2")
        n_samples, native = _length(path, file), file.samplerate
        resample = None
        if sr is not None and int(check_number("sr", sr, low=1, integer=True)) != native:
            import soxr

            resample = soxr.ResampleStream(native, int(sr), 1, quality="HQ").resample_chunk
        step = max(1, round(block_s * native))
        for start in range(0, n_samples, step):
            # Not by _read: going on where the last block ended needs no seeking.
            expected = min(step, n_samples - start)
            try:
                y = file.read(expected, dtype="float32", always_2d=True)
            except sf.LibsndfileError as error:
                raise AudioError(f"{path}: damaged ({error.error_string})") from error
            if len(y) < expected:
                raise AudioError(
                    f"{path}: truncated: found {start + len(y)} samples, expected {n_samples}"
                )
            y = _view(y, channel)
            if not np.isfinite(y).all():
                raise AudioError(f"{path}: found samples that are NaN or infinite, expected none")
            yield y if resample is None else resample(y, last=start + step >= n_samples)


def chunk(y, *, sr, window_s, hop_s, last="keep"):
    """Cut a signal into windows of equal length.

    Chunk ``k`` starts at sample ``round(k · hop_s · sr)``, so chunks do not drift where
    the hop is no whole number of samples. After the last window that fits, one short
    chunk may remain: it starts at the next start and exists only if it holds a sample
    that no full chunk holds. A clip shorter than a window is one short chunk.

    Parameters
    ----------
    y : ndarray, shape (n_samples,)
        Signal.
    sr : int > 0
        Sampling rate in Hz.
    window_s, hop_s : float > 0
        Length of a chunk and distance between starts in seconds. ``hop_s > window_s``
        leaves gaps.
    last : {"keep", "pad", "drop"}
        The short chunk is kept as it is, filled up with zeros, or left out. A kept one
        may be too short for a spectrum, which then says so.

    Returns
    -------
    chunks : list of ndarray
        Views of ``y`` (a padded chunk is a copy).
    starts_s : ndarray, shape (n_chunks,), float64
        Their starts in seconds.

    Raises
    ------
    AudioError
        If ``y`` is empty, or shorter than one window with ``last="drop"``.
    ParameterError
        If a length is not positive or ``last`` is unknown.

    Examples
    --------
    >>> chunks, starts_s = chunk(np.arange(10), sr=1, window_s=4, hop_s=4, last="keep")
    >>> [len(c) for c in chunks], starts_s.tolist()
    ([4, 4, 2], [0.0, 4.0, 8.0])
    >>> len(chunk(np.arange(10), sr=1, window_s=4, hop_s=3, last="pad")[0])
    3
    """
    check_number("sr", sr, low=0, open_low=True)
    check_number("window_s", window_s, low=0, open_low=True)
    check_number("hop_s", hop_s, low=0, open_low=True)
    check_option("last", last, ("keep", "pad", "drop"))
    y = np.asarray(y)
    n = len(y)
    if n == 0:
        raise AudioError("found a signal of 0 samples, expected at least 1 to cut into chunks")
    # Rounded up, so that chunks without overlap leave no sample between them; a window or
    # hop below one sample would stand still.
    width, step = max(math.ceil(window_s * sr - 1e-6), 1), max(hop_s * sr, 1.0)
    if n < width and last == "drop":
        raise AudioError(
            f"found {n / sr:.6g} s, shorter than one window: expected at least {window_s} s, "
            "or last='keep' or 'pad'"
        )
    full = [s for k in range(math.floor(n / step) + 2) if (s := round(k * step)) + width <= n]
    starts, chunks = full, [y[s : s + width] for s in full]
    rest, covered = round(len(full) * step), full[-1] + width if full else 0
    if last != "drop" and covered < n and rest < n:
        short = y[rest:]
        if last == "pad":
            short = np.pad(short, (0, width - len(short)))
        starts, chunks = [*full, rest], [*chunks, short]
    return chunks, np.array(starts, dtype=np.float64) / sr


def _open(path):
    """Open a file with at least one sample, or say what is wrong with it."""
    if not path.is_file():
        found = "a folder" if path.is_dir() else "no such file"
        raise AudioError(f"{path}: found {found}, expected an audio file")
    try:
        size = path.stat().st_size
        if size == 0:
            raise AudioError(f"{path}: found an empty file (0 bytes), expected audio")
        with open(path, "rb") as raw:
            _check_wav_length(path, raw, size)
            _check_last_ogg_page(path, raw, size)
        file = sf.SoundFile(path)
    except sf.LibsndfileError as error:
        raise AudioError(
            f"{path}: found no readable audio ({error.error_string}), "
            "expected a wav, flac, ogg or mp3 file"
        ) from error
    except OSError as error:
        raise AudioError(f"{path}: cannot be read ({error.strerror})") from error
    if 0 < file.frames < _UNKNOWN_LENGTH:
        return file
    found = "0 samples" if file.frames == 0 else "a header without a length"
    file.close()
    raise AudioError(f"{path}: found {found}, expected at least 1 sample")


def _read(path, file, start, n_samples):
    """Read ``n_samples`` frames from ``start``: shape (n_samples, n_channels)."""
    # An mp3 frame borrows bits from those before it, so decoding has to begin earlier.
    lead = min(start, _MP3_LEAD) if _is_mp3(file) else 0
    try:
        file.seek(start - lead)
        y = file.read(lead + n_samples, dtype="float32", always_2d=True)[lead:]
    except sf.LibsndfileError as error:
        raise AudioError(
            f"{path}: truncated or damaged ({error.error_string}): "
            f"expected {file.frames} samples, as its header says"
        ) from error
    if len(y) < n_samples:
        raise AudioError(
            f"{path}: truncated: found {start + len(y)} samples at most, "
            f"expected {file.frames}, as its header says"
        )
    return y


def _is_mp3(file):
    return file.subtype == "MPEG_LAYER_III"


def _length(path, file):
    """Samples a channel; an mp3 that does not state them has to be decoded to count them."""
    if not _is_mp3(file):
        return file.frames
    with open(path, "rb") as raw:
        head = raw.read(10)
        if head[:3] == b"ID3":  # four bytes of seven bits say how long the notes are
            a, b, c, d = head[6:10]
            raw.seek((a << 21) + (b << 14) + (c << 7) + d, 1)
        else:
            raw.seek(0)
        first_frame = raw.read(256)
        if any(name in first_frame for name in (b"Xing", b"Info", b"VBRI")):
            return file.frames
        raw.seek(0)
        with sf.SoundFile(raw) as whole:
            n_samples = 0
            while block := len(whole.read(2**16, dtype="float32", always_2d=True)):
                n_samples += block
            left = path.stat().st_size - raw.tell()
    # libsndfile stops at its estimate: more than a tag behind that is audio it will not give.
    if n_samples == file.frames and left > 2**13:
        raise AudioError(
            f"{path}: found an mp3 of varying bit rate that does not state its length, expected "
            f"one that does ({left} bytes would go unread): write it anew"
        )
    return n_samples


def _segment(path, n_samples, sr, start_s, end_s):
    """First and last + 1 sample of a segment that lies in the file."""
    start = 0 if start_s is None else start_s
    end = n_samples / sr if end_s is None else end_s
    # The comparison is False for NaN, which an empty cell of a table may have become.
    if not 0 <= start < end <= n_samples / sr + _ROUNDING_S:
        raise AudioError(
            f"{path}: segment found from {start} s to {end} s, "
            f"expected 0 <= start < end <= {n_samples / sr:.6g} s"
        )
    first, stop = round(start * sr), min(round(end * sr), n_samples)
    if first >= stop:
        raise AudioError(f"{path}: segment from {start} s to {end} s holds no sample at {sr} Hz")
    return first, stop


def _view(y, channel):
    """One channel view (n_samples,) of frames (n_samples, 1 or 2)."""
    left, right = y[:, 0], y[:, -1]
    if channel == "difference":
        return left - right
    if channel == "mean" and y.shape[1] == 2:
        return (left + right) * np.float32(0.5)
    return np.ascontiguousarray(right if channel == "right" else left)


def _check_wav_length(path, file, size):
    """Compare the data chunk of a wav with the file: libsndfile would only clamp it."""
    form, _, kind = struct.unpack("<4sI4s", file.read(12).ljust(12, b"\0"))
    if form not in (b"RIFF", b"RIFX", b"RF64") or kind != b"WAVE":
        return
    order = ">" if form == b"RIFX" else "<"
    long_size = None
    while len(head := file.read(8)) == 8:
        name, length = struct.unpack(order + "4sI", head)
        if name == b"ds64":
            long_size = struct.unpack("<Q", file.read(16)[8:].ljust(8, b"\0"))[0]
            file.seek(-16, 1)
        elif name == b"data":
            if length == 0xFFFFFFFF and long_size is not None:
                length = long_size
            # 0 and 0xFFFFFFFF are what a recorder leaves that streams and cannot go back.
            if length not in (0, 0xFFFFFFFF) and length > size - file.tell():
                raise AudioError(
                    f"{path}: truncated wav: found {size - file.tell()} bytes of samples, "
                    f"expected {length}, as its header says"
                )
            return
        file.seek(length + length % 2, 1)


def _check_last_ogg_page(path, file, size):
    """An ogg is truncated if its last page does not fit in the file."""
    file.seek(0)
    if file.read(4) != b"OggS":
        return
    file.seek(max(0, size - 2**16 - 512))  # the largest page has 65 307 bytes
    tail = file.read()
    page = tail[tail.rfind(b"OggS\0") :]
    wanted = 27
    if len(page) >= 27:
        wanted += page[26] + sum(page[27 : 27 + page[26]])
    if len(page) < wanted:
        raise AudioError(
            f"{path}: truncated ogg: found {len(page)} bytes of the last page, expected {wanted}"
        )
