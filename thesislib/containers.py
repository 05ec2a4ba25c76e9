"""Containers of audio: lengths that headers state, against those of the files.

libsndfile shortens a truncated file without a word, and does not read samples that lie behind
those which the header counts.
"""

import math
import re
import struct

from thesislib.errors import AudioError
from thesislib.store import find_stub

# Chunks that may follow the samples of a wav; others are recognised by their size.
_TRAILERS = (b"LIST", b"id3 ", b"ID3", b"TAG", b"bext", b"APET", b"cue ", b"smpl", b"PAD ")


def check_container(path, raw, size):
    """Check what the beginning and the end of an audio file state.

    Parameters
    ----------
    path : Path
        For the messages.
    raw : binary file
    size : int
        Bytes of the file.

    Returns
    -------
    binary file
        ``raw`` at its beginning, or one that reads the same but for the length in the header of
        a wav, where the recorder left 0.

    Raises
    ------
    AudioError
        If the file is no audio (a Git LFS pointer, a web page), is shorter than it states, or
        if a wav has many samples behind those that it states.
    """
    _check_kind(path, raw)
    patch = _check_wav_length(path, raw, size)
    _check_stated_size(path, raw, size)
    _check_last_ogg_page(path, raw, size)
    raw.seek(0)
    return _Patched(raw, *patch) if patch else raw


class _Patched:
    """A file some bytes of which read as others: the length in a header that has none."""

    def __init__(self, raw, at, content):
        self._raw, self._at, self._content = raw, at, content
        self.seek, self.tell = raw.seek, raw.tell

    def read(self, n_bytes=-1):
        start = self._raw.tell()
        content = bytearray(self._raw.read(n_bytes))
        for i, byte in enumerate(self._content, start=self._at - start):
            if 0 <= i < len(content):
                content[i] = byte
        return bytes(content)


def _check_kind(path, file):
    """Name what is often found in the place of audio."""
    if stub := find_stub(file.read(64)):
        raise AudioError(f"{path}: found {stub[0]}, expected audio ({stub[1]})")


def _check_wav_length(path, file, size):
    """Compare the data chunk of a wav with the file: libsndfile would only clamp it.

    Returns the place and the bytes to read there where the header has no length, else None.
    """
    file.seek(0)
    form, _, kind = struct.unpack("<4sI4s", file.read(12).ljust(12, b"\0"))
    if form not in (b"RIFF", b"RIFX", b"RF64") or kind != b"WAVE":
        return None
    order = ">" if form == b"RIFX" else "<"
    long_size, n_bytes_s = None, 0
    while len(head := file.read(8)) == 8:
        name, length = struct.unpack(order + "4sI", head)
        start = file.tell()
        if name == b"ds64":
            long_size = struct.unpack("<Q", file.read(16)[8:].ljust(8, b"\0"))[0]
        elif name == b"fmt ":
            n_bytes_s = struct.unpack(order + "I", file.read(12)[8:].ljust(4, b"\0"))[0]
        elif name == b"data":
            rest = size - start
            if length == 0xFFFFFFFF and long_size is not None:
                length = long_size
            # What recorders leave that stream and cannot go back: sox, arecord, ffmpeg.
            elif length > rest and (0x7FFFF000 <= length <= 0x80000000 or length >= 0xFFFFF000):
                return None
            if length > rest:
                raise AudioError(
                    f"{path}: truncated wav: found {rest} bytes of samples, "
                    f"expected {length}, as its header says"
                )
            behind = min(_measure_surplus(file, start + length + pad, size) for pad in (0, 1))
            if length == 0 and behind:
                return start - 4, b"\xff" * 4
            if behind:
                lengths = (f"{n / n_bytes_s:.4g} s" if n_bytes_s else n for n in (length, behind))
                raise AudioError(
                    "{}: found samples of {} as the header of the wav says, and {} behind them, "
                    "expected one length: write the file anew".format(path, *lengths)
                )
            return None
        file.seek(start + length + length % 2)
    return None


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


def _check_stated_size(path, file, size):
    """Compare the size that other headers state with the file's: libsndfile would clamp it."""
    file.seek(0)
    head, stated = file.read(1024), 0
    if head[:4] == b"FORM":
        stated = 8 + int.from_bytes(head[4:8], "big")
    elif head[:4] == b".snd" and head[8:12] != b"\xff" * 4:
        stated = int.from_bytes(head[4:8], "big") + int.from_bytes(head[8:12], "big")
    elif head[:4] == b"riff":
        stated = int.from_bytes(head[16:24], "little")
    elif head[:7] == b"NIST_1A" and b"shorten" not in head:
        fields = dict(re.findall(rb"(\w+) -i (\d{1,12})\b", head))
        names = (b"sample_count", b"channel_count", b"sample_n_bytes")
        stated = math.prod(int(fields.get(name, 0)) for name in names)
        stated += 1024 * bool(stated)
    is_known = head[:4] == b"riff" or stated < 0x7FFFF000  # else a recorder's placeholder
    if is_known and stated > size + 1:
        raise AudioError(f"{path}: truncated: found {size} bytes, expected {stated}, as it says")


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
