"""Public corpora and ImageNet weights: downloaded, checked, unpacked.

Where a checksum is published, it is compared. Where none is, an archive is compared with the names
and the number of its files and with its own checksums: that finds damage, but no forgery.
PhysioNet's list of checksums comes from the same server as the files, so it does not find a
forgery there either. ESC-50 passes if the archive is that of the pinned commit as others have
recorded it, or if all clips are those of soundata's index: GitHub does not promise that an archive
keeps its bytes.
"""

import csv
import fnmatch
import hashlib
import json
import os
import re
from functools import partial
from pathlib import Path

from thesislib.corpora import FETCHABLE, load_corpus
from thesislib.corpora.folder import DESCRIPTION, list_files
from thesislib.corpora.records import FILES, RECORDS, find_place
from thesislib.errors import CorpusError, ParameterError, WeightsError, check_option
from thesislib.export.download import DAMAGED, fetch_archives, fetch_file, open_archive
from thesislib.places import data_folder, weights_folder
from thesislib.store import hash_file, lock, write_atomically

#: What an archive may hold: testing much more would only take time.
_MAX_BYTES = 2 << 30


def fetch_corpus(
    name, root=None, *, accept_licence=False, parts=None, base_url=None, progress=True
) -> Path:
    """Download a corpus that anyone may have.

    Parameters
    ----------
    name : str
        One of ``thesislib.corpora.FETCHABLE``.
    root : str or Path, optional
        Its folder; default: ``data/<corpus>``. What is there is not fetched again, and a transfer
        that broke off goes on where it stopped.
    accept_licence : bool
        That you have read the licence.
    parts : sequence of {"development", "evaluation"}, optional
        Of a TUT corpus. By default the development set of the scenes, which is all that the thesis
        uses, and both sets of the rare events (the development set comes as sources: its mixtures
        are made from them).
    base_url : str, optional
        Address of a mirror, without the archives' names.
    progress : bool
        Show a progress bar if a terminal is there.

    Returns
    -------
    Path
        The folder.

    Raises
    ------
    ParameterError
        For an unknown name or part, or unless the licence was accepted (the message holds it).
    DownloadError, CorpusError
        If the download fails, or an archive is damaged or another one.
    """
    corpus = FETCHABLE[check_option("name", name, FETCHABLE)]
    record = RECORDS[corpus]
    rows = list_archives(corpus, parts)
    if accept_licence is not True:
        text = f"{record.name}: {record.licence}"
        raise ParameterError(f"accept_licence: found {accept_licence!r}, expected True. {text}")
    root, base_url = Path(root or data_folder() / corpus), base_url or record.base_url
    if base_url:
        rows = [row | {"url": None} for row in rows]
    if not record.files:
        return fetch_archives(rows, root, base_url, progress=progress)
    if _find_missing(record, root):
        if record.sums:
            rows = [row | {"sha256": _fetch_sum(record, base_url, row, root)} for row in rows]
        rows = [row | {"check": partial(check_archive, record)} for row in rows]
        how = {"is_complete": lambda: not _find_missing(record, root), "progress": progress}
        fetch_archives(rows, root, base_url, **how)
        if problem := _find_missing(record, root):
            raise CorpusError(f"{root}: {problem}")
    for view, target in record.views.items():
        write_view(load_corpus(corpus, root, target=target), root / "views" / view)
    return root


def list_archives(corpus, parts=None):
    """Archives of a corpus.

    Parameters
    ----------
    corpus : str
        Name of its record.
    parts : sequence of {"development", "evaluation"}, optional

    Returns
    -------
    list of dict
        ``name``, ``size``, ``md5`` and ``url``; None where nothing is published.

    Examples
    --------
    >>> len(list_archives("acoustic_scenes", ["development"]))
    13
    """
    with open(FILES / "archives.csv", encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["corpus"] == corpus]
    wanted = [""] if rows[0]["part"] == "" else RECORDS[corpus].parts if parts is None else parts
    for part in wanted:
        check_option("parts", part, sorted({row["part"] for row in rows}))
    return [
        {key: row[key] or None for key in ("name", "md5", "url")}
        | {"size": int(row["size"]) if row["size"] else None}
        for row in rows
        if row["part"] in wanted
    ]


def _find_missing(record, root):
    place = find_place(root, record)
    return find_problem(record, [] if place is None else list_files(place, "**/*"))


def _fetch_sum(record, base_url, row, root):
    """SHA-256 of an archive in the list that is published beside it."""
    line = re.compile(rf"^([0-9a-f]{{64}}) [ *]*{re.escape(row['name'])}\s*$", re.M)

    def read_sum(path):
        return line.search(path.read_text(encoding="utf-8", errors="replace"))

    def check(path):
        absent = f"found no checksum of {row['name']}, expected a line for it"
        return None if read_sum(path) else absent

    url, sums = f"{base_url.rstrip('/')}/{record.sums}", root / ".fetched" / record.sums
    return read_sum(fetch_file(url, sums, max_bytes=1 << 20, check=check, progress=False))[1]


def find_problem(record, names):
    r"""What is wrong with the files of a corpus.

    Parameters
    ----------
    record : Record
    names : iterable of str
        Names from the corpus's folder, in the folder or in an archive.

    Returns
    -------
    str or None

    Examples
    --------
    >>> find_problem(RECORDS["esc_50"], ["audio/1-100032-A-0.wav"])
    'found 1 files (audio/[^/]+\\.wav), expected the 2000 of ESC-50 under their names'
    """
    problems = []
    for pattern, n in record.files.items():
        files = sorted(name.rpartition("/")[2] for name in names if re.fullmatch(pattern, name))
        digest = hashlib.sha256("\n".join(files).encode()).hexdigest()
        is_right = len(files) == n if n else bool(files)
        if digest != record.names_sha256 if record.names_sha256 else not is_right:
            problems.append(f"found {len(files)} files ({pattern}), expected the {n or 'files'}")
    return f"{'; '.join(problems)} of {record.name} under their names" if problems else None


def check_archive(record, path):
    """What is wrong with an archive of a corpus; for the ``check`` of `fetch_file`.

    Parameters
    ----------
    record : Record
    path : str or Path

    Returns
    -------
    str or None
    """
    if record.archive_sha256 and hash_file(path) == record.archive_sha256:
        return None
    try:
        with open_archive(path) as archive:
            n_bytes = sum(info.file_size for info in archive.infolist())
            if n_bytes > _MAX_BYTES:
                return f"found {n_bytes} bytes of content, expected at most {_MAX_BYTES}"
            if damaged := archive.testzip():
                return f"found a wrong checksum in {damaged}, expected the archive's own"
            place, names = _find_members(record, archive.namelist())
            return find_problem(record, names) or _compare_contents(record, archive, place, names)
    except DAMAGED as error:
        return f"found no readable archive ({error}), expected a zip or tar archive"


def _find_members(record, names):
    """Folder of a corpus in an archive (empty or with ``/``), and names of files from there."""
    markers = [re.compile(f"(.*/|)({fnmatch.translate(marker)})") for marker in record.markers]
    matches = [match for marker in markers for match in map(marker.fullmatch, names) if match]
    place = min((match[1] for match in matches), key=len, default=None)
    if place is None:
        return "", []
    return place, [name[len(place) :] for name in names if name.startswith(place)]


def _compare_contents(record, archive, place, names):
    for name, digest in record.contents.items():
        if hashlib.sha256(archive.read(place + name)).hexdigest() != digest:
            return f"found another {name}, expected that of {record.name}"
    if record.clips_sha256:
        digest = hashlib.sha256()
        for name in sorted(n for n in names if any(re.fullmatch(p, n) for p in record.files)):
            with archive.open(place + name) as file:
                md5 = hashlib.file_digest(file, "md5").hexdigest()
            digest.update(f"{md5}  {name.rpartition('/')[2]}\n".encode())
        if digest.hexdigest() != record.clips_sha256:
            return f"found clips with other contents, expected those of {record.name}"
    return None


def write_view(corpus, place) -> Path:
    """Write a cut of a corpus as a folder of its own: an ``index.csv``; its audio stays.

    A corpus that serves several experiments has a cut for each. The files of a view are named from
    its folder (``../../audio/a.wav``), so that a notebook's parameter ``corpus`` can name the cut.

    Parameters
    ----------
    corpus : Corpus
    place : str or Path
        Folder of the view, which is made if needed. An index that is there is replaced.

    Returns
    -------
    Path
        ``place``; :func:`thesislib.corpora.folder.load` reads it.

    Examples
    --------
    >>> import tempfile
    >>> import pandas as pd
    >>> from thesislib.corpora import folder
    >>> from thesislib.corpora.index import Corpus
    >>> root = Path(tempfile.mkdtemp())
    >>> index = pd.DataFrame({"file": ["audio/a.wav"], "label": ["dog"]})
    >>> place = write_view(Corpus(index, root, name="dogs"), root / "views" / "dogs")
    >>> folder.load(place).index["file"].tolist()
    ['../../audio/a.wav']
    """
    place = Path(place)
    place.mkdir(parents=True, exist_ok=True)
    way = Path(os.path.relpath(corpus.root.resolve(), place.resolve()))
    files = [(way / name).as_posix() for name in corpus.index["file"]]
    about = {"name": corpus.name, "kind": corpus.kind, "licence": corpus.licence}
    with write_atomically(place / DESCRIPTION) as temporary:
        temporary.write_text(json.dumps(about, indent=2) + "\n", encoding="utf-8")
    with write_atomically(place / "index.csv") as temporary:
        corpus.index.assign(file=files).to_csv(temporary, index=False)
    return place


def fetch_weights(names, folder=None, *, base_url=None, progress=True):
    """Fetch ImageNet weights, check them, and keep them as safetensors.

    Parameters
    ----------
    names : list of str
        Networks, by torchvision's names.
    folder : str or Path, optional
        The weights folder by default.
    base_url : str, optional
        Address of a folder that holds the same files, in place of torchvision's.
    progress : bool
        Show a progress bar.

    Returns
    -------
    list of Path
        ``NAME.safetensors``, one a network, whole and checked. A file that an earlier call
        fetched from the same address is kept.

    Raises
    ------
    ParameterError, WeightsError
        If a name is unknown or has no address; before the first transfer.
    DownloadError
        If the file cannot be fetched or is not the one torchvision names; nothing stays.
    """
    from thesislib.representations import weights
    from thesislib.training import write_tensors

    folder = Path(folder) if folder is not None else weights_folder()
    addresses = {name: weights.weights_address(name) for name in names}
    paths = []
    for name, (url, sha256_prefix) in addresses.items():
        target = folder / f"{name}.safetensors"
        file_name = url.rpartition("/")[2]
        with lock(target):
            if _source(target) != file_name:
                if base_url is not None:
                    url = f"{base_url.rstrip('/')}/{file_name}"
                download = fetch_file(
                    url, folder / file_name, sha256_prefix=sha256_prefix, progress=progress
                )
                try:
                    state = weights.read_weights(download)
                except WeightsError:
                    download.unlink()
                    raise
                # If the disk is full, the download stays for the next call.
                write_tensors(target, state, {"source": file_name})
                download.unlink()
        paths.append(target)
    return paths


def _source(path):
    """File that ``path`` was converted from; None if it is absent or damaged."""
    from thesislib.training import read_tensors

    try:
        return read_tensors(path)[1]["source"]
    except (WeightsError, KeyError):
        return None
