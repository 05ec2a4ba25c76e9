"""Fetching corpora and weights: resumed, checked, whole or not at all.

Archives of a corpus run to gigabytes (thesis 8.1 and 8.2 need some 20 GB), so
a transfer that breaks off goes on where it stopped, by HTTP Range. pooch, which
librosa uses as well, computes the checksums; its own downloader starts again from
the first byte and knows no shortened checksum (as in the names of torchvision's
weights), so the transfer itself is written here.

The order is always: fetch aside, compare the checksum, rename into place. A file
under its final name is therefore complete and right.
"""

import lzma
import os
import shutil
import stat
import tarfile
import time
import warnings
import zipfile
import zlib
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import urlsplit

import pooch
import requests
from tqdm.auto import tqdm
from urllib3.exceptions import HTTPError

from thesislib.errors import CorpusError, ParameterError, StoreError, ThesisError
from thesislib.store import lock, make_temporary, write_atomically

_BLOCK = 1 << 16
_MAX_BYTES = 8 << 30  # of a file without a known size; the largest archive has 1.3 GB
_N_ATTEMPTS = 4  # in a row without a single new byte
_TIMEOUT_S = (15, 60)
#: What reading a damaged archive raises; OSError without a number.
_UNREADABLE = (EOFError, RuntimeError, ValueError, OSError)
DAMAGED = (zipfile.BadZipFile, tarfile.TarError, zlib.error, lzma.LZMAError, *_UNREADABLE)


class DownloadError(ThesisError, OSError):
    """A file cannot be fetched, or is not the expected one."""


def fetch_file(
    url, target, *, size=None, max_bytes=_MAX_BYTES, check=None, progress=True, **sums
) -> Path:
    """Fetch a file over HTTP, going on with a partial one, and check it.

    Parameters
    ----------
    url : str
        ``http://`` or ``https://`` address.
    target : str or Path
        Where the finished file shall stand. The partial file beside it,
        ``.<name>.part``, outlives a broken connection and a killed process.
    size : int, optional
        Expected size in bytes; a server that offers another is refused at once.
    max_bytes : int
        Limit where neither ``size`` nor the server states the size. The transfer ends there, and
        where the disk is full.
    check : callable, optional
        ``check(path)`` returns what is wrong with the content, in words, or None: for
        sources that publish no checksum.
    progress : bool
        Show a progress bar if a terminal is there.
    **sums : str
        Expected checksums in hexadecimal: ``sha256``, ``md5`` or ``sha256_prefix`` (the first
        digits of the SHA-256). Without a ``check`` at least one is needed.

    Returns
    -------
    Path
        ``target``. If it was there with the right checksums, nothing is fetched.

    Raises
    ------
    ParameterError
        Without any checksum, or with one that is not hexadecimal.
    DownloadError
        If the server refuses, compresses the file or sends too much, the
        connection breaks off repeatedly, or the checksum is wrong (nothing is left
        then); names the address, the file, what was found and what was expected.

    Warns
    -----
    UserWarning
        If the server redirects to another host; names it.

    Examples
    --------
    >>> fetch_file("https://example.org/a.zip", "a.zip")
    Traceback (most recent call last):
    ...
    thesislib.errors.ParameterError: https://example.org/a.zip: found no checksum, ...
    """
    target = Path(target)
    if not sums and check is None:
        raise ParameterError(f"{url}: found no checksum, expected sha256, md5 or sha256_prefix")
    part = target.with_name(f".{target.name}.part")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with lock(target):
            # Another process may have fetched it while this one waited.
            if target.is_file() and _mismatch(target, sums, check) is None:
                return target
            while True:
                resumed = part.exists()
                _fetch_rest(url, part, size, max_bytes, progress)
                problem = _mismatch(part, sums, check)
                if problem is None:
                    break
                part.unlink()
                # The server's file may have changed since: once more, from the first byte.
                if not resumed:
                    raise DownloadError(f"{url}: not kept as {target}: {problem}")
            os.replace(part, target)
    except DownloadError:
        raise
    except OSError as error:
        raise DownloadError(f"{url}: cannot be written to {target} ({error})") from error
    return target


def _mismatch(path, sums, check):
    """What is wrong with the file's checksums or content, in words; None if nothing."""
    for name, value in sums.items():
        digest = pooch.file_hash(str(path), alg=name.removesuffix("_prefix"))
        n = len(value) if name == "sha256_prefix" else None
        if digest[:n] != value.lower():
            return f"{name}: found {digest} ({path.stat().st_size} bytes), expected {value.lower()}"
    return check(path) if check else None


def _fetch_rest(url, part, size, max_bytes, progress):
    """Bring ``part`` to its full length, however often the connection breaks off."""
    failures = 0
    while True:
        before = part.stat().st_size if part.exists() else 0
        try:
            return _stream(url, part, before, size, max_bytes, progress)
        except ValueError as error:
            raise DownloadError(f"{url}: not an http(s) address ({error})") from error
        except (requests.RequestException, HTTPError) as error:
            reason = error
        after = part.stat().st_size if part.exists() else 0
        failures = 0 if after > before else failures + 1
        if failures == _N_ATTEMPTS:
            raise DownloadError(
                f"{url}: no new byte in {failures} attempts ({reason}); {after} bytes are kept "
                f"in {part}, the next call goes on from there"
            )
        time.sleep(0.1 * 4**failures)


def _stream(url, part, have, size, max_bytes, progress):
    headers = {"Accept-Encoding": "identity"}  # the checksum is that of the bytes as stored
    if have:
        headers["Range"] = f"bytes={have}-"
    with requests.get(url, stream=True, headers=headers, timeout=_TIMEOUT_S) as response:
        if (host := urlsplit(response.url).netloc) != urlsplit(url).netloc:
            warnings.warn(f"{url}: redirected to {host}", stacklevel=2)
        status = response.status_code
        if have and status == 416:
            return  # nothing is missing: killed between the last byte and the checksum
        if status == 429 or status >= 500:
            raise requests.ConnectionError(f"HTTP status {status}")
        if status not in (200, 206):
            raise DownloadError(f"{url}: found HTTP status {status}, expected 200 ({part.name})")
        coding = response.headers.get("Content-Encoding", "identity")
        if coding != "identity":
            raise DownloadError(f"{url}: found content encoding {coding!r}, expected none")
        if status == 200:
            have = 0  # a server without Range sends everything again
        elif not response.headers.get("Content-Range", "").startswith(f"bytes {have}-"):
            part.unlink()
            raise requests.ConnectionError("the server sent another range")
        rest = response.headers.get("Content-Length")
        if rest and not (rest.isascii() and rest.isdigit()):
            raise DownloadError(f"{url}: found Content-Length {rest!r}, expected a number")
        total = have + int(rest) if rest else None
        if size is not None and total is not None and total != size:
            raise DownloadError(f"{url}: found {total} bytes on the server, expected {size}")
        free = shutil.disk_usage(part.parent).free
        if rest and int(rest) > free:
            raise DownloadError(f"{part}: found {free} bytes free on disk, expected {rest}")
        most = total or size or max_bytes
        hidden = None if progress else True  # None: shown on a terminal only
        bar = tqdm(
            total=total, initial=have, unit="B", unit_scale=True, desc=part.name, disable=hidden
        )
        with bar, open(part, "ab" if have else "wb", buffering=0) as file:
            while block := response.raw.read1(_BLOCK, decode_content=False):
                if file.tell() + len(block) > most:
                    part.unlink()
                    raise DownloadError(f"{url}: found over {most} bytes, expected at most that")
                file.write(block)
                bar.update(len(block))
    if total is not None and part.stat().st_size < total:
        raise requests.ConnectionError(f"ended at {part.stat().st_size} of {total} bytes")


def unpack_archive(path, folder) -> Path:
    """Unpack a zip or tar archive, after looking at every member.

    Parameters
    ----------
    path : str or Path
    folder : str or Path
        Where the members go; other files in it stay (archives of one corpus
        share a folder). Members are unpacked aside and moved into place one
        by one, so no file is ever half there.

    Returns
    -------
    Path
        ``folder``.

    Raises
    ------
    CorpusError
        If the archive is damaged or of another kind, or any member has an
        absolute name, a ``..``, is a link or a device (no corpus needs them), or
        the sizes are beyond belief; nothing is unpacked then.
    """
    path, folder, aside = Path(path), Path(folder), None
    if not _is_archive(path):
        raise CorpusError(f"{path}: found no zip archive, expected one")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with open_archive(path) as archive:
            _check_members(path, archive.infolist(), folder)
            aside = make_temporary(folder / "unpack", folder=True)
            archive.extractall(aside)
        for source in sorted(aside.rglob("*")):
            place = folder / source.relative_to(aside)
            if source.is_dir():
                place.mkdir(exist_ok=True)
            else:
                os.replace(source, place)
    except CorpusError:
        raise
    except DAMAGED as error:
        if code := getattr(error, "errno", None):
            what = f"{path}: cannot be unpacked into {folder} ({os.strerror(code)})"
            raise StoreError(code, what) from error
        raise CorpusError(f"{path}: damaged or unsafe archive ({error})") from error
    finally:
        if aside is not None:
            shutil.rmtree(aside, ignore_errors=True)
    return folder


class _Tar(tarfile.TarFile):
    """A tar archive with those methods of `zipfile.ZipFile` that are used here."""

    extraction_filter = staticmethod(tarfile.data_filter)
    namelist = tarfile.TarFile.getnames

    def infolist(self):
        kinds = {tarfile.DIRTYPE: stat.S_IFDIR}
        kinds |= dict.fromkeys(tarfile.REGULAR_TYPES, stat.S_IFREG)
        return [
            SimpleNamespace(
                orig_filename=member.name,
                external_attr=kinds.get(member.type, stat.S_IFLNK) << 16,
                is_dir=member.isdir,
                file_size=member.size,
            )
            for member in self.getmembers()
        ]

    def testzip(self):
        """Read to the end, which compares gzip's checksum; a damaged one raises."""
        self.getmembers()


def open_archive(path):
    """A zip or gzipped tar archive, with the interface of `zipfile.ZipFile`."""
    return _Tar.open(path, "r:gz") if _is_gzip(path) else zipfile.ZipFile(path)


def _is_archive(path):
    return zipfile.is_zipfile(path) or _is_gzip(path)


def _is_gzip(path):
    with open(path, "rb") as file:
        return file.read(2) == b"\x1f\x8b"


def _check_members(path, members, folder):
    # Audio compresses little; deflate reaches 1000:1, which only a bomb comes near.
    limit = max(100 * path.stat().st_size, 50 << 20)
    limit = min(limit, shutil.disk_usage(folder).free)
    total, files, folders = 0, set(), {()}
    for info in members:
        name, pieces = info.orig_filename, info.orig_filename.replace("\\", "/").split("/")
        if pieces[0] == "" or ":" in pieces[0] or ".." in pieces or "\0" in name:
            raise CorpusError(f"{path}: member {name!r} leaves the folder, nothing was unpacked")
        # zipfile would write a link or device as a plain file, which no corpus wants either.
        if stat.S_IFMT(info.external_attr >> 16) not in (0, stat.S_IFREG, stat.S_IFDIR):
            raise CorpusError(f"{path}: member {name!r} is a link or device, nothing was unpacked")
        if max(len(os.fsencode(piece)) for piece in pieces) > 255:
            raise CorpusError(f"{path}: member {name:.80}... has a name of over 255 bytes")
        pieces = tuple(piece for piece in pieces if piece not in ("", "."))
        (folders if info.is_dir() else files).add(pieces)
        folders.update(pieces[:n] for n in range(1, len(pieces)))
        total += info.file_size
        if total > limit:
            raise CorpusError(f"{path}: found {total} bytes of content, expected at most {limit}")
    for pieces in files & folders:
        raise CorpusError(f"{path}: member {'/'.join(pieces) or '.'!r} is both a file and a folder")
    for pieces in files | folders:
        place = folder.joinpath(*pieces)
        if place.exists() and place.is_dir() != (pieces in folders):
            kinds = ("folder", "file") if place.is_dir() else ("file", "folder")
            raise CorpusError("{}: found a {}, expected a {}".format(place, *kinds))


def fetch_archives(files, folder, base_url=None, *, is_complete=None, progress=True) -> Path:
    """Fetch the files of a corpus and unpack those that are archives.

    Parameters
    ----------
    files : list of dict
        ``name``; ``url`` unless there is a ``base_url``; ``md5``, ``sha256`` or ``check``
        (see `fetch_file`); optional ``size`` in bytes.
    folder : str or Path
        Folder of the corpus. What is finished is noted in ``.fetched/``: a
        second call, or one after a kill, does the rest only.
    base_url : str, optional
        Address that ``name`` is appended to.
    is_complete : callable, optional
        Whether nothing is missing in the folder, in place of these notes. It is called while no
        other process works on the folder.
    progress : bool

    Returns
    -------
    Path
        ``folder``.

    Raises
    ------
    DownloadError, CorpusError
        As `fetch_file` and `unpack_archive`, and before the first transfer if
        the disk is too small for what is missing.
    """
    folder = Path(folder)
    notes, rows = folder / ".fetched", []
    with lock(folder):
        if is_complete is not None and is_complete():
            return folder
        notes.mkdir(parents=True, exist_ok=True)
        for row in files:
            sums = {key: row[key] for key in ("sha256", "md5") if row.get(key)}
            done = notes / f"{row['name']}.done"
            if is_complete or not done.is_file() or done.read_text() != repr(sums):
                rows.append((row, sums, done))
        # Unpacked content is at least as large as the archive, of which one exists at a time.
        missing = sum(row.get("size") or 0 for row, _, _ in rows)
        free = shutil.disk_usage(folder).free
        if missing > free:
            raise DownloadError(f"{folder}: found {free} bytes free on disk, expected {missing}")
        for row, sums, done in rows:
            name, how = row["name"], {"check": row.get("check"), "progress": progress}
            url = row.get("url") or f"{(base_url or '').rstrip('/')}/{name}"
            archive = fetch_file(url, notes / name, size=row.get("size") or None, **how, **sums)
            if _is_archive(archive):
                unpack_archive(archive, folder)
                archive.unlink()
            else:
                os.replace(archive, folder / name)
            with write_atomically(done) as temporary:
                temporary.write_text(repr(sums))
    return folder
