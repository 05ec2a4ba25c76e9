"""Files: hashes, locks, atomic writing, and the feature store (contract 3).

The feature store caches costly results. A key is the SHA-256 of everything that a value
depends on; a value is a set of named arrays in an ``.npz`` file, which NumPy, MATLAB or a zip
program can open. Its zip comment holds the key and the SHA-256 of all bytes before it, so a
damaged, moved or foreign file is detected. Files are written aside and renamed, so an entry is
whole or absent, and two processes that compute the same entry at once write the same bytes.
"""

import contextlib
import errno
import functools
import hashlib
import io
import json
import math
import os
import platform
import re
import shutil
import stat
import tempfile
import warnings
from pathlib import Path

import numpy as np

from thesislib.errors import StoreError

#: Temporary files and folders of this process.
_temporaries = set()
_TEMPORARY = re.compile(r"\..*-([0-9a-f]{8})-(\d+)-[a-z0-9_]{8}(\..*)?")
#: Errors of a file system without locks.
_NO_LOCKS = {errno.ENOLCK, errno.EIO, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL}
#: Packages whose errors, raised while a file is written, are those of its disk.
_WRITERS = ("soundfile", "safetensors", "safetensors_rust")
#: Beginnings of files that stand in place of other files, in lower case: kind and remedy.
_STUBS = {
    b"version https://git-lfs": ("a Git LFS pointer", "git lfs pull"),
    b"/annex/objects/": ("a git-annex pointer", "git annex get"),
    b"<!doctype html": ("a web page", "download again"),
    b"<html": ("a web page", "download again"),
}


def make_temporary(path, *, folder=False):
    """Make an empty temporary file or folder beside ``path``, named after this process.

    Those of processes of this machine that no longer run are removed first. The
    caller removes it, or `remove_temporaries` if the process is ended.

    Examples
    --------
    >>> import tempfile
    >>> temporary = make_temporary(Path(tempfile.mkdtemp()) / "table.csv")
    >>> temporary.name.startswith(".table-"), temporary.suffix
    (True, '.csv')
    """
    path = Path(path)
    _remove_dead(path.parent.absolute())
    name = {"prefix": f".{path.stem[:40]}-{_host()}-{os.getpid()}-", "dir": path.parent}
    if folder:
        temporary = Path(tempfile.mkdtemp(**name))
    else:
        handle, temporary = tempfile.mkstemp(suffix=path.suffix, **name)
        os.close(handle)
        os.chmod(temporary, 0o666 & ~_umask())  # mkstemp makes private files
    _temporaries.add(Path(temporary))
    return Path(temporary)


def _remove_temporary(path):
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
    _temporaries.discard(path)


def remove_temporaries():
    """Remove the temporary files of this process, which is about to be ended."""
    for path in list(_temporaries):
        with contextlib.suppress(OSError):
            _remove_temporary(path)


@functools.cache
def _host():
    """Name of this machine, or container: eight hexadecimal digits."""
    with contextlib.suppress(OSError):
        return hash_parameters([platform.node(), os.readlink("/proc/self/ns/pid")])[:8]
    return hash_parameters([platform.node()])[:8]


@functools.cache
def _remove_dead(folder):
    """Remove temporary files of processes that no longer run from a folder (once per process)."""
    for path in folder.iterdir():
        match = _TEMPORARY.fullmatch(path.name)
        if match and match[1] == _host():
            with contextlib.suppress(OSError):
                if not _runs(int(match[2]), path.lstat().st_mtime):
                    _remove_temporary(path)


def _runs(pid, since):
    """Whether a process runs, and is older than its file (ids are used again)."""
    import psutil

    try:
        return psutil.Process(pid).create_time() <= since + 3600  # the clock may have been set
    except psutil.NoSuchProcess:
        return False


@contextlib.contextmanager
def lock(path):
    """Be the only process that works on a file or folder.

    Others wait. The lock of a process that was killed is free. A file system without locks
    gives a warning, and the work goes on without one.

    Parameters
    ----------
    path : str or Path
        File or folder; need not exist. The lock is the file ``.<name>.lock`` beside it.

    Yields
    ------
    bool
        Whether this process waited for another.

    Raises
    ------
    StoreError
        If the folder cannot be written.

    Examples
    --------
    >>> import tempfile
    >>> with lock(Path(tempfile.mkdtemp()) / "table.csv") as waited:
    ...     waited
    False
    """
    from filelock import FileLock, Timeout

    path, waited = Path(path).absolute(), False
    file = path.with_name(f".{path.name}.lock")
    held = FileLock(file, fallback_to_soft=False)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file.touch()  # filelock waits where its file cannot be made (/proc)
        try:
            held.acquire(blocking=False)
        except Timeout:
            waited = True
            held.acquire()
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise cannot_write(path, error) from error
        warnings.warn(
            f"{path.parent}: found a file system without locks ({error.strerror}); "
            "run one command at a time",
            stacklevel=3,
        )
    if held.is_locked:
        _temporaries.add(file)
    try:
        yield waited
    finally:
        # Removed before its release: a process that waits notices this and makes another.
        with contextlib.suppress(OSError):
            _remove_temporary(file)
        held.release()


def cannot_write(path, error):
    """The error of a path that could not be written, with the reason of an `OSError`."""
    reason = os.strerror(error.errno)
    if error.errno == errno.EEXIST:
        reason = "a file stands where a folder is needed"
    return StoreError(error.errno, f"{path}: cannot be written ({reason})")


@contextlib.contextmanager
def write_atomically(path):
    """Yield a temporary file beside ``path``; rename it to ``path`` on success.

    Parameters
    ----------
    path : str or Path
        Place of the finished file; its folder is made if needed.

    Yields
    ------
    Path
        An empty file with the suffix of ``path`` in the same folder. If the block
        raises, it is removed and ``path`` stays as it was.

    Raises
    ------
    StoreError
        If the folder cannot be written or the disk is full; names the path.

    Examples
    --------
    >>> import tempfile
    >>> target = Path(tempfile.mkdtemp()) / "deep" / "table.csv"
    >>> with write_atomically(target) as temporary:
    ...     _ = temporary.write_text("a,b")
    >>> target.read_text()
    'a,b'
    """
    path = Path(path)
    temporary = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = make_temporary(path)
        yield temporary
        os.replace(temporary, path)
    except OSError as error:
        if isinstance(error, StoreError) or error.errno is None:
            raise
        raise cannot_write(path, error) from error
    except Exception as error:
        # Writers of their own: libsndfile, safetensors, the archives of torch.
        kind = type(error).__module__.partition(".")[0]
        if kind in _WRITERS or "inline_container.cc" in str(error):
            raise StoreError(f"{path}: cannot be written ({error})") from error
        raise
    finally:
        if temporary is not None:
            _remove_temporary(temporary)


def _umask():
    mask = os.umask(0)
    os.umask(mask)
    return mask


def find_stub(head):
    """Kind and remedy of a file that stands in place of another, by its first bytes; else None.

    Examples
    --------
    >>> find_stub(b"<!DOCTYPE html>")
    ('a web page', 'download again')
    """
    head = head.lstrip(b"\xef\xbb\xbf \r\n\t").lower()
    return next((stub for start, stub in _STUBS.items() if head.startswith(start)), None)


def read_stated_size(head):
    """Size that the header of an aiff, au, w64 or SPHERE file states, else 0."""
    if head[:4] == b"FORM":
        return 8 + int.from_bytes(head[4:8], "big")
    if head[:4] == b".snd" and head[8:12] != b"\xff" * 4:
        return int.from_bytes(head[4:8], "big") + int.from_bytes(head[8:12], "big")
    if head[:4] == b"riff":
        return int.from_bytes(head[16:24], "little")
    if head[:7] == b"NIST_1A" and b"shorten" not in head:
        fields = dict(re.findall(rb"(\w+) -i (\d{1,12})\b", head))
        names = (b"sample_count", b"channel_count", b"sample_n_bytes")
        n_bytes = math.prod(int(fields.get(name, 0)) for name in names)
        return n_bytes + 1024 * bool(n_bytes)
    return 0


def hash_file(path):
    """SHA-256 of a file's content, in hexadecimal."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def hash_arrays(arrays):
    """SHA-256 of arrays in their order: shapes, types and content."""
    digest = hashlib.sha256()
    for array in arrays:
        array = np.ascontiguousarray(array)
        digest.update(f"{array.shape}{array.dtype}".encode())
        digest.update(array.data)
    return digest.hexdigest()


def hash_parameters(parameters):
    """SHA-256 of a nest of plain values, independent of the order of keys.

    Raises
    ------
    TypeError
        If something in it has no unambiguous JSON form (an array, say).

    Examples
    --------
    >>> hash_parameters({"a": 1, "b": [2.0]}) == hash_parameters({"b": [2.0], "a": 1})
    True
    """
    text = json.dumps(parameters, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


class FeatureStore:
    """Named arrays under content keys, in a folder.

    Parameters
    ----------
    root : str or Path
        Folder of the store; made at the first write. It, or any file in it, may be
        deleted: what is missing is computed again.

    Examples
    --------
    >>> import tempfile
    >>> store = FeatureStore(tempfile.mkdtemp())
    >>> key = hash_parameters({"audio": "0f…", "n_mels": 128})
    >>> store.get(key) is None
    True
    >>> store.put(key, {"features": np.zeros((1, 4), np.float32)})
    >>> store.get(key)["features"].shape
    (1, 4)
    """

    def __init__(self, root):
        self.root = Path(root)

    def path(self, key, suffix=".npz"):
        """File of an entry; the ``suffix`` of trained weights is another."""
        return self.root / key[:2] / f"{key}{suffix}"

    def remember(self, key, compute):
        """Arrays of an entry, a dict; computed by ``compute()`` and stored if there is none."""
        entry = self.get(key)
        if entry is None:
            entry = compute()
            self.put(key, entry)
        return entry

    def get(self, key):
        """Arrays of an entry, or None if it is absent or not usable (with a warning)."""
        path = self.path(key)
        try:
            # A link or a pipe is not followed: an entry is a file of this folder.
            if not stat.S_ISREG(path.lstat().st_mode):
                raise ValueError("no regular file")
            content = path.read_bytes()
            if content[-22:-18] == b"PK\5\6":  # without a comment: of an older version
                return None
            body, digest = memoryview(content)[:-64], content[-64:]
            if body[-len(_end(key)) :] != _end(key):
                raise ValueError("another key")
            if digest != _hash(body):
                raise ValueError("another SHA-256")
            # The archive is in memory, and its members are stored: none can be larger.
            with np.load(io.BytesIO(content), allow_pickle=False) as entry:
                if any(member.compress_type for member in entry.zip.infolist()):
                    raise ValueError("compressed content")
                return {name: entry[name] for name in entry.files}
        except FileNotFoundError:
            return None
        except Exception as error:  # damaged archives raise many kinds of errors
            warnings.warn(
                f"{path}: damaged entry of the feature store ({error}); it is computed again",
                stacklevel=2,
            )
            return None

    def put(self, key, arrays):
        """Write an entry whole or not at all.

        Raises
        ------
        StoreError
            If the folder is read-only or the disk is full. Other entries stay valid.
        """
        file = io.BytesIO()
        np.savez(file, **arrays)
        # The two last bytes of an archive are the length of its comment: none so far.
        file.seek(-2, os.SEEK_END)
        file.write(_end(key))
        file.write(_hash(file.getbuffer()))
        with write_atomically(self.path(key)) as temporary:
            temporary.write_bytes(file.getbuffer())


def _end(key):
    """Length of an entry's comment and its first part, the key; its SHA-256 follows."""
    return (len(key) + 64).to_bytes(2, "little") + key.encode()


def _hash(content):
    return hashlib.sha256(content).hexdigest().encode()
