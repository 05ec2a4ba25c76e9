"""The feature store (contract 3): the costly step runs once.

A key is the SHA-256 of everything that a value depends on; a value is a set
of named arrays in an ``.npz`` file, which NumPy, MATLAB or a zip program can
open. Its zip comment holds the key and the SHA-256 of all bytes before it, so
a damaged, moved or foreign file is noticed. Files are written aside and
renamed, so an entry is whole or absent, and two processes that compute the
same entry at once replace it by the same bytes.
"""

import contextlib
import hashlib
import io
import json
import os
import stat
import tempfile
import warnings
from pathlib import Path

import numpy as np

from thesislib.errors import StoreError


@contextlib.contextmanager
def write_atomically(path):
    """Give a temporary file beside ``path``; rename it to ``path`` on success.

    Parameters
    ----------
    path : str or Path
        Where the finished file shall be; its folder is made if needed.

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
        handle, name = tempfile.mkstemp(
            prefix=f".{path.stem[:40]}-", suffix=path.suffix, dir=path.parent
        )
        os.close(handle)
        temporary = Path(name)
        yield temporary
        # mkstemp makes private files; a result is as readable as any other file.
        os.chmod(temporary, 0o666 & ~_umask())
        os.replace(temporary, path)
    except OSError as error:
        if isinstance(error, StoreError) or error.errno is None:
            raise
        raise StoreError(
            error.errno, f"{path}: cannot be written ({os.strerror(error.errno)})"
        ) from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


def _umask():
    mask = os.umask(0)
    os.umask(mask)
    return mask


def hash_file(path):
    """SHA-256 of a file's content, in hexadecimal."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


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
        Folder of the store; made at the first write. Deleting it, or any file
        in it, costs nothing but time.

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
        """File of an entry; ``suffix`` tells features from trained weights."""
        return self.root / key[:2] / f"{key}{suffix}"

    def remember(self, key, compute):
        """Arrays of an entry; ``compute()`` gives them, a dict, if there is none."""
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
        except Exception as error:  # whatever a damaged archive makes NumPy stumble over
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
