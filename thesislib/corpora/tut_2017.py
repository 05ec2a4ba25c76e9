"""What the two TUT 2017 corpora share: file lists, fetching, and where archives unpack to.

``files/tut_2017.csv`` lists every archive on Zenodo with its size and MD5 (records 400515
and 1040168, acoustic scenes; 401395 and 1160455, rare sound events).
"""

from pathlib import Path

import pandas as pd

from thesislib.corpora.download import fetch_archives
from thesislib.corpora.fetching import require_licence
from thesislib.corpora.folder import find_folder, list_files
from thesislib.corpora.tables import read_rows
from thesislib.errors import CorpusError, check_option

FILES = Path(__file__).with_name("files") / "tut_2017.csv"


def list_archives(corpus, parts):
    """Name, url, size and MD5 of the archives of a corpus.

    Parameters
    ----------
    corpus : {"acoustic_scenes", "rare_events"}
    parts : sequence of {"development", "evaluation"}

    Returns
    -------
    list of dict
        For :func:`thesislib.corpora.download.fetch_archives`.

    Examples
    --------
    >>> len(list_archives("acoustic_scenes", ["development"]))
    13
    """
    table = pd.read_csv(FILES)
    for part in parts:
        check_option("parts", part, sorted(table["part"].unique()))
    rows = table[(table["corpus"] == corpus) & table["part"].isin(parts)]
    return rows[["name", "url", "size", "md5"]].to_dict("records")


def fetch_parts(corpus, root, parts, *, licence, accept_licence, base_url, progress):
    """Download and unpack the archives of a corpus; see `fetch` of its module.

    Raises
    ------
    ParameterError
        Unless the licence was accepted, or for an unknown part.
    DownloadError, CorpusError
        If an archive cannot be fetched, has another checksum, or is unsafe.
    """
    archives = list_archives(corpus, parts)
    require_licence(accept_licence, licence)
    if base_url:
        archives = [{key: row[key] for key in ("name", "size", "md5")} for row in archives]
    return fetch_archives(archives, root, base_url, progress=progress)


def find_unpacked(root, marker):
    """Folder that holds ``marker``: ``root``, or the folder of an archive in it; else None."""
    root = find_folder(root)
    folders = [root, *(root / name for name in list_files(root, "*"))]
    return next((path for path in folders if (path / marker).exists()), None)


def read_lines(path, widths):
    """Fields of a tab-separated file without a header.

    Parameters
    ----------
    path : Path
    widths : collection of int
        Numbers of fields that a line may have.

    Returns
    -------
    list of list of str
        Empty lines are left out.

    Raises
    ------
    CorpusError
        If the file is missing or a line has another number of fields; names the line.
    """
    rows = []
    for number, fields in read_rows(path, delimiter="\t")[0]:
        fields = "\t".join(fields).rstrip("\t ").split("\t")
        if len(fields) not in widths:
            wanted = " or ".join(map(str, widths))
            raise CorpusError(
                f"{path} line {number}: found {len(fields)} fields, expected {wanted}"
            )
        rows.append(fields)
    return rows
