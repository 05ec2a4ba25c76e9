"""Reading audio: files, channel views, segments, sampling rates.

The thesis reads its corpora at their native rates and learns from four views of
stereo recordings (8.1: mean, left, right, difference). A damaged file is named here, before any
feature is computed: libsndfile alone shortens a truncated wav without a word.

Files are recognised by their content and read through a file object: given a path, libsndfile
also looks at the file's neighbours (``._clip.mp3``). It neither names a truncated file nor reads
samples that lie behind those which the header counts, so what headers state is compared with the
file here.
"""

import itertools
import math
import mmap
import re
import struct
import tempfile
import warnings
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile as sf

from thesislib.errors import AudioError, check_number, check_option
from thesislib.store import find_stub, read_stated_size

CHANNELS = ("mean", "left", "right", "difference", "all")

#: Suffixes of the formats that libsndfile recognises by their content.
SUFFIXES = tuple(
    ".wav .flac .ogg .mp3 .aif .aiff .aifc .wave .opus .oga .au .snd .caf .w64 .rf64 .bwf .sph "
    ".nist .voc .mp2 .ircam .paf .svx .iff .8svx .avr .pvf".split()
)

#: Suffixes of formats that PyAV decodes (the optional extra ``formats``): phones, videos.
DECODED = tuple(".m4a .aac .amr .3gp .wma .mp4 .m4v .mov .mkv .webm .avi".split())

#: Times full scale. Larger samples are integers or other numbers that were written as floats.
MAX_PEAK = 10.0

# Frames as rows: (n_samples, n_channels).
_FRAMES = {"dtype": "float32", "always_2d": True}
# Chunks that may follow the samples of a wav; others are recognised by their size.
_TRAILERS = (b"LIST", b"id3 ", b"ID3", b"TAG", b"bext", b"APET", b"cue ", b"smpl", b"PAD ")
# Tables of segments round to milliseconds: an end this far past the last sample is the end.
_ROUNDING_S = 1e-3
# What a flac encoder that does not know the length leaves in the header reads as this or more.
_UNKNOWN_LENGTH = 2**62
# An mp3 frame, and the number of frames that the first one may state.
_MP3_FRAME = re.compile(rb"\xff[\xe2\xe3\xf2\xf3\xfa\xfb]")
_MP3_LENGTH = re.compile(rb"(?:Xing|Info)\0\0\0[\1\3\5\7\t\v\r\x0f](.{4})", re.DOTALL)
# Samples of an mp3 that encoders add, and bytes of frames that hold nothing else.
_MP3_PADDING, _MP3_END = 4 * 1152, 2**12
# 32 mp3 frames: more than 511 bytes, the farthest that a frame borrows, at any bit rate.
_MP3_LEAD = 32 * 1152


@dataclass(frozen=True)
class AudioInfo:
    """What a file's header says: ``path, sr, n_channels, n_samples, duration_s``.

    ``is_float`` : samples may exceed full scale.
    """

    path: str
    sr: int
    n_channels: int
    n_samples: int
    duration_s: float
    is_float: bool = False


def probe_audio(path):
    """Sampling rate, channels and length of a file, without decoding it.

    Parameters
    ----------
    path : str or Path
        A file in any format that libsndfile reads.

    Returns
    -------
    AudioInfo
        ``n_samples`` counts a channel's samples.

    Raises
    ------
    AudioError
        If the file is missing, empty, no audio, or truncated; names the file, what
        was found and what was expected. Wav, aiff, au, w64 and SPHERE files state their size,
        the last page of an ogg is looked at, and of flac and mp3 the last sample is decoded.
        An mp3 whose first frame does not state its length, and a file that cannot be sought
        in, are decoded to count their samples.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "tone.wav"
    >>> sf.write(path, np.zeros((8000, 2)), 16000)
    >>> info = probe_audio(path)
    >>> info.sr, info.n_channels, info.n_samples, info.duration_s
    (16000, 2, 8000, 0.5)
    """
    with _open(path) as file:
        n_samples, sr = _length(path, file), file.samplerate
        # Only these two formats promise a length which libsndfile does not check.
        if file.format == "FLAC" or _is_mp3(file):
            _read(path, file, n_samples - 1, 1)
        is_float = file.subtype in ("FLOAT", "DOUBLE")
        return AudioInfo(str(path), sr, file.channels, n_samples, n_samples / sr, is_float)


def read_rate(path):
    """Sampling rate in Hz that a file's header states.

    Raises
    ------
    AudioError
        As :func:`probe_audio`.
    """
    with _open(path) as file:
        return file.samplerate


def find_peak(path):
    """Largest absolute sample of a file, which is read in blocks.

    Raises
    ------
    AudioError
        As :func:`read_audio`; `MAX_PEAK` is the largest peak of a good file.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "loud.wav"
    >>> sf.write(path, np.array([0.5, -1.5]), 16000, subtype="FLOAT")
    >>> find_peak(path)
    1.5
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return max(float(np.abs(block).max()) for block in stream_audio(path))


def read_audio(path, *, sr=None, channel="mean", start_s=None, end_s=None):
    """Read a file, or a segment of it, as one signal.

    Parameters
    ----------
    path : str or Path
        A file with one or two channels, in any format that libsndfile reads.
    sr : int, optional
        Sampling rate to convert to (soxr, quality HQ, after the segment is cut);
        None keeps the file's own.
    channel : {"mean", "left", "right", "difference", "all"}
        View of a stereo file (thesis 8.1); ``difference`` is left − right and may
        reach ±2. A mono file is its own mean, left and right; its difference is zero.
        ``all`` keeps the channels: shape (n_samples, n_channels).
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
        are not finite or beyond `MAX_PEAK`, or a segment outside the file.
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
    with _open(path) as file:
        if file.channels > 2:
            raise AudioError(f"{path}: found {file.channels} channels, expected 1 or 2")
        native = file.samplerate
        start, stop = _segment(path, _length(path, file), native, start_s, end_s)
        y = _view(_read(path, file, start, stop - start), channel)
        full_scale = _find_full_scale(file, channel)
    _check_samples(path, y, full_scale)
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
    path, sr
        As in :func:`read_audio`.
    channel : {"mean", "left", "right", "difference"}
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
    check_number("block_s", block_s, low=0, open_low=True)
    with _open(path) as file:
        if file.channels > 2:
            raise AudioError(f"{path}: found {file.channels} channels, expected 1 or 2")
        n_samples, native = _length(path, file), file.samplerate
        full_scale, resample = _find_full_scale(file, channel), None
        if sr is not None and int(check_number("sr", sr, low=1, integer=True)) != native:
            import soxr

            resample = soxr.ResampleStream(native, int(sr), 1, quality="HQ").resample_chunk
        step = max(1, round(block_s * native))
        for start in range(0, n_samples, step):
            # Not by _read: going on where the last block ended needs no seeking.
            expected = min(step, n_samples - start)
            try:
                # A read that goes on inside a frame of an mp3 can give other samples.
                mp3 = _is_mp3(file)
                y = _read(path, file, start, expected) if mp3 else file.read(expected, **_FRAMES)
            except sf.LibsndfileError as error:
                raise AudioError(f"{path}: damaged ({error.error_string})") from error
            if len(y) < expected:
                found = f"found {start + len(y)} samples, expected {n_samples}"
                raise AudioError(f"{path}: truncated: {found}")
            y = _view(y, channel)
            _check_samples(path, y, full_scale)
            yield y if resample is None else resample(y, last=start + step >= n_samples)


@contextmanager
def _open(path):
    """Open a file with at least one sample for a block, or say what is wrong with it."""
    path = Path(path)
    with ExitStack() as stack:
        try:
            if not path.is_file():
                found = "a folder" if path.is_dir() else "no such file"
                raise AudioError(f"{path}: found {found}, expected an audio file")
            decode = path.suffix.lower() in DECODED and path.stat().st_size
            raw = stack.enter_context(_decode(path) if decode else open(path, "rb"))
            if not (size := raw.seek(0, 2)):
                raise AudioError(f"{path}: found an empty file (0 bytes), expected audio")
            raw.seek(0)
            file = stack.enter_context(sf.SoundFile(_check_container(path, raw, size)))
        except sf.LibsndfileError as error:
            found = f"no readable audio ({error.error_string})"
            wanted = "a wav, flac, ogg or mp3 file"
            raise AudioError(f"{path}: found {found}, expected {wanted}") from error
        except OSError as error:
            raise AudioError(f"{path}: cannot be read ({error.strerror})") from error
        if not 0 < file.frames < _UNKNOWN_LENGTH:
            found = "a header without a length" if file.frames else "0 samples"
            raise AudioError(f"{path}: found {found}, expected at least 1 sample")
        file.raw = raw
        yield file


def _decode(path):
    """Decode the sound of a phone recording or video into a temporary wav of float32."""
    try:
        import av
    except ImportError as error:
        wanted = "the extra formats to read it: pip install 'thesislib[formats]'"
        raise AudioError(f"{path}: found {path.suffix}, expected {wanted}") from error
    raw, resampler = tempfile.TemporaryFile(), av.AudioResampler("flt")
    try:
        with av.open(str(path)) as media:
            stream = media.streams.audio[0]
            with sf.SoundFile(
                raw, "w", stream.rate, stream.channels, "FLOAT", format="RF64"
            ) as wav:
                for frame in itertools.chain(media.decode(stream), [None]):
                    for part in resampler.resample(frame):
                        wav.write(part.to_ndarray().reshape(-1, stream.channels))
    except (av.FFmpegError, IndexError, ValueError) as error:
        raise AudioError(f"{path}: found no readable audio ({error}), expected some") from error
    return raw


def _read(path, file, start, n_samples):
    """Read ``n_samples`` frames from ``start``: shape (n_samples, n_channels)."""
    if file.seekable():
        # An mp3 frame borrows bits from those before it, so decoding has to begin earlier.
        lead = min(start, _MP3_LEAD) if _is_mp3(file) else 0
        try:
            file.seek(start - lead)
            y = file.read(lead + n_samples, **_FRAMES)[lead:]
            if len(y) == n_samples:
                _check_mp3_end(path, file, start + n_samples)
                return y
        except sf.LibsndfileError:
            pass
    # A failed seek is no damage: the file is damaged if decoding it from its beginning fails.
    position, reason, y = 0, "", ()
    with _open(path) as again:
        try:
            while n_read := len(again.read(min(2**16, start - position), **_FRAMES)):
                position += n_read
            y = again.read(n_samples, **_FRAMES)
        except sf.LibsndfileError as error:
            reason = f" or damaged ({error.error_string})"
    if position == start and len(y) == n_samples:
        return y
    found = f"found {position + len(y)} samples, expected {file.frames}, as its header says"
    raise AudioError(f"{path}: truncated{reason}: {found}")


def _find_full_scale(file, channel):
    return 1 if file.subtype in ("FLOAT", "DOUBLE") and channel != "difference" else 2


def _check_samples(path, y, full_scale):
    """Refuse samples that cannot be audio; warn of those beyond ``full_scale``."""
    bad = np.count_nonzero(~np.isfinite(y))
    if bad:
        raise AudioError(f"{path}: found {bad} samples that are NaN or infinite, expected none")
    peak = max(y.max(initial=0), -y.min(initial=0))
    if peak > MAX_PEAK:
        wanted = f"samples in [-1, 1] (at most {MAX_PEAK:g}): they may be integers that were"
        raise AudioError(f"{path}: found a peak of {peak:.6g}, expected {wanted} written as floats")
    if peak > full_scale:
        warnings.warn("samples beyond full scale (openSMILE clips them)", UserWarning, stacklevel=3)


def _is_mp3(file):
    return file.subtype == "MPEG_LAYER_III"


def _check_mp3_end(path, file, n_samples, most=_MP3_END):
    """Refuse an mp3 with more bytes of frames behind its last sample than encoders leave."""
    if _is_mp3(file) and n_samples >= file.frames:
        rest = file.raw.read()
        if len(rest) > most and _MP3_FRAME.match(rest):
            what = f"{n_samples} samples in an mp3 that does not state its length, or a wrong one"
            raise AudioError(f"{path}: found {what}, and {len(rest)} bytes more: write it anew")


def _length(path, file):
    """Samples a channel; what does not state them has to be decoded to count them."""
    if file.seekable() and (not _is_mp3(file) or _states_length(path, file)):
        return file.frames
    with _open(path) as whole:
        n_samples = sum(iter(lambda: len(whole.read(2**16, **_FRAMES)), 0))
        # libsndfile stops at its estimate.
        _check_mp3_end(path, whole, n_samples, most=0)
    return n_samples


def _states_length(path, file):
    """Whether the first frame of an mp3, behind up to 1 MiB of notes, states the length found."""
    with open(path, "rb") as raw:
        stated = _MP3_LENGTH.search(raw.read(2**20))
    n_samples = 1152 if file.samplerate >= 32000 else 576
    n_samples *= int.from_bytes(stated[1], "big") if stated else 0
    return 0 <= n_samples - file.frames < _MP3_PADDING


def _segment(path, n_samples, sr, start_s, end_s):
    """First and last + 1 sample of a segment that lies in the file."""
    start = 0 if start_s is None else start_s
    end = n_samples / sr if end_s is None else end_s
    # The comparison is False for NaN, which an empty cell of a table may have become.
    if not 0 <= start < end <= n_samples / sr + _ROUNDING_S:
        wanted = f"0 <= start < end <= {n_samples / sr:.6g} s"
        raise AudioError(f"{path}: segment found from {start} s to {end} s, expected {wanted}")
    first, stop = round(start * sr), min(round(end * sr), n_samples)
    if first >= stop:
        raise AudioError(f"{path}: segment from {start} s to {end} s holds no sample at {sr} Hz")
    return first, stop


def _view(y, channel):
    """One channel view (n_samples,) of frames (n_samples, 1 or 2), or the frames."""
    if channel == "all":
        return y
    left, right = y[:, 0], y[:, -1]
    if channel == "difference":
        return left - right
    if channel == "mean" and y.shape[1] == 2:
        return (left + right) * np.float32(0.5)
    return np.ascontiguousarray(right if channel == "right" else left)


def _check_container(path, raw, size):
    """Check what the beginning and the end of a file state; return the file to read from.

    That is ``raw``, or a copy in memory with another length in the header of a wav, where the
    recorder left 0.
    """
    head = raw.read(1024)
    if stub := find_stub(head[:64]):
        raise AudioError(f"{path}: found {stub[0]}, expected audio ({stub[1]})")
    patch = _check_wav_length(path, raw, size)
    stated = read_stated_size(head)
    is_known = head[:4] == b"riff" or stated < 0x7FFFF000  # else a recorder's placeholder
    if is_known and stated > size + 1:
        raise AudioError(f"{path}: truncated: found {size} bytes, expected {stated}, as it says")
    if head[:4] == b"OggS":
        _check_last_ogg_page(path, raw, size)
    if patch:
        at, length = patch
        raw = mmap.mmap(raw.fileno(), 0, access=mmap.ACCESS_COPY)
        raw[at : at + 4] = length
    raw.seek(0)
    return raw


def _check_wav_length(path, file, size):
    """Compare the data chunk of a wav with the file.

    Returns the place of a length that is 0 where samples follow, and the length to read there.
    """
    file.seek(0)
    form, _, kind = struct.unpack("<4sI4s", file.read(12).ljust(12, b"\0"))
    if form not in (b"RIFF", b"RIFX", b"RF64") or kind != b"WAVE":
        return None
    order = ">" if form == b"RIFX" else "<"
    long_size, n_bytes_s, name = None, 0, b""
    while name != b"data" and len(head := file.read(8)) == 8:
        name, length = struct.unpack(order + "4sI", head)
        start = file.tell()
        if name == b"ds64":
            long_size = struct.unpack("<Q", file.read(16)[8:].ljust(8, b"\0"))[0]
        elif name == b"fmt ":
            fields = struct.unpack(order + "HHIIHH", file.read(16).ljust(16))
            kind, channels, sr, n_bytes_s, width, bits = fields
            is_whole = n_bytes_s == sr * width and width >= channels * math.ceil(bits / 8)
            # Without codecs, whose blocks hold more than one sample.
            if kind in (1, 3, 6, 7, 0xFFFE) and not is_whole:
                what = f"{channels} channels of {bits} bits and {sr} times {width} bytes a second"
                raise AudioError(f"{path}: found {what}, expected {n_bytes_s}: write it anew")
        file.seek(start + length + length % 2)
    if name != b"data":
        return None
    rest = size - start
    if length == 0xFFFFFFFF and long_size is not None:
        length = long_size
    # What recorders leave that stream and cannot go back: sox, arecord, ffmpeg.
    elif length > rest and (0x7FFFF000 <= length <= 0x80000000 or length >= 0xFFFFF000):
        return None
    if length > rest:
        found = f"found {rest} bytes of samples, expected {length}, as its header says"
        raise AudioError(f"{path}: truncated wav: {found}")
    behind = min(_measure_surplus(file, start + length + pad, size) for pad in (0, 1))
    if length and behind:
        lengths = (f"{n / n_bytes_s:.4g} s" if n_bytes_s else n for n in (length, behind))
        found = "samples of {} as the header of the wav says, and {} behind them".format(*lengths)
        raise AudioError(f"{path}: found {found}, expected one length: write the file anew")
    return (start - 4, struct.pack(order + "I", min(rest, 2**32 - 1))) if behind else None


def _measure_surplus(file, at, size):
    """Bytes from ``at`` on that are neither chunks nor padding."""
    while size - at >= 8:
        file.seek(at)
        name, length = struct.unpack("<4sI", file.read(8))
        is_known = name.startswith(_TRAILERS)
        if not is_known and not (re.fullmatch(rb"[\w ]{4}", name) and at + 8 + length <= size):
            break
        at += 8 + length + length % 2
    rest = max(0, size - at)
    file.seek(at)
    is_padding = rest <= 2**10 or (rest <= 2**16 and not any(file.read(rest)))
    return 0 if is_padding else rest


def _check_last_ogg_page(path, file, size):
    """An ogg is truncated if its last page does not fit in the file."""
    file.seek(max(0, size - 2**16 - 512))  # the largest page has 65 307 bytes
    tail = file.read()
    page = tail[tail.rfind(b"OggS\0") :]
    wanted = 27
    if len(page) >= 27:
        wanted += page[26] + sum(page[27 : 27 + page[26]])
    if len(page) < wanted:
        found = f"found {len(page)} bytes of the last page, expected {wanted}"
        raise AudioError(f"{path}: truncated ogg: {found}")
