"""What `fetch` of the public corpora shares: licence, archives, and whether all is there.

Where a checksum is published, it is compared. Where none is, an archive is held against the
names and the number of its files and its own checksums: that finds damage, but no forgery.
"""

import zipfile
import zlib
from pathlib import Path

from thesislib.corpora.download import fetch_unlocked
from thesislib.errors import CorpusError, ParameterError
from thesislib.store import lock


def require_licence(accept_licence, text):
    """Refuse to go on unless a licence was accepted.

    Parameters
    ----------
    accept_licence : bool
    text : str
        Name of the corpus and its licence.

    Raises
    ------
    ParameterError
        With the text.

    Examples
    --------
    >>> require_licence(True, "EMO-DB: cite the paper")
    """
    if accept_licence is not True:
        raise ParameterError(f"accept_licence: found {accept_licence!r}, expected True. {text}")


def fetch_complete(files, folder, base_url=None, *, find_problem, progress=True) -> Path:
    """Fetch the archives of a corpus, unless all that they hold is there.

    Parameters
    ----------
    files, base_url
        As for `fetch_archives`.
    folder : str or Path
    find_problem : callable
        ``find_problem(folder)`` returns what is missing, in words, or None.
    progress : bool

    Returns
    -------
    Path
        ``folder``.

    Raises
    ------
    DownloadError, CorpusError
        As `fetch_archives`, and if something is missing still.
    """
    folder = Path(folder)
    if find_problem(folder) is None:
        return folder
    with lock(folder):
        # Another process may have fetched them while this one waited.
        if find_problem(folder) is None:
            return folder
        # Files that were fetched once and have gone since are to be fetched again.
        for row in files:
            (folder / ".fetched" / f"{row['name']}.done").unlink(missing_ok=True)
        fetch_unlocked(files, folder, base_url, progress=progress)
    problem = find_problem(folder)
    if problem:
        raise CorpusError(f"{folder}: {problem}")
    return folder


def check_zip(path, find_problem, *, max_bytes):
    """Check a zip archive of which no checksum is published, or not the archive's own.

    Parameters
    ----------
    path : str or Path
    find_problem : callable
        ``find_problem(archive)`` looks at the open `zipfile.ZipFile`, whose checksums are
        right, and returns what is wrong, in words, or None.
    max_bytes : int
        What the files may hold together: testing much more would only keep the machine busy.

    Returns
    -------
    str or None
        What is wrong; for the ``check`` of `fetch_file`.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            n_bytes = sum(info.file_size for info in archive.infolist())
            if n_bytes > max_bytes:
                return f"found {n_bytes} bytes of content, expected at most {max_bytes}"
            damaged = archive.testzip()
            return f"found a wrong checksum in {damaged}" if damaged else find_problem(archive)
    except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, NotImplementedError) as error:
        return f"found no readable zip archive ({error})"


def names_below(names, marker):
    """File names relative to the folder that holds a marker.

    Parameters
    ----------
    names : iterable of str
        With ``/``, as in archives.
    marker : str
        Name of a file of the corpus, from the corpus's folder.

    Returns
    -------
    set of str
        Empty if the marker is not there.

    Examples
    --------
    >>> sorted(names_below(["A-1/meta/a.csv", "A-1/audio/1.wav", "x"], "meta/a.csv"))
    ['audio/1.wav', 'meta/a.csv']
    """
    names = list(names)
    places = [name.removesuffix(marker) for name in names if f"/{name}".endswith(f"/{marker}")]
    place = min(places, key=len, default=None)
    return set() if place is None else {n[len(place) :] for n in names if n.startswith(place)}
