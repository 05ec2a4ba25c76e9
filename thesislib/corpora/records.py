"""What is published of each corpus: its licence, layout, archives and counts.

The values are in ``files/corpora.yaml``; ``files/archives.csv`` lists what is downloaded.
"""

from dataclasses import dataclass, field
from pathlib import Path

from thesislib.places import read_plain

FILES = Path(__file__).with_name("files")


@dataclass
class Record:
    """What is published of a corpus.

    Parameters
    ----------
    name, citation, licence, how_to_get : str
    reader : str
        Module of `thesislib.corpora` with ``load(place, record, **options)``.
    split : int or list of str, optional
        What the experiment on the corpus needs: a number of folds, or partitions (see
        :func:`thesislib.corpora.splits.adapt`). None for a stand-in.
    markers : list of str
        File patterns below the corpus's folder. One match identifies the layout; a corpus
        without any is read from ``index.csv``.
    missing : str
        What an error says if nothing matches.
    index_first : bool
        Whether an ``index.csv`` in the folder takes precedence over the layout.
    labels : dict of str to str
        Label in the corpus's tables to class.
    partitions : dict of str to list of str
        Groups or sites of each partition.
    counts : list of dict
        Published numbers: ``numbers`` by the columns ``by``, described by ``text``.
    values : dict
        Further values of the reader.
    command : str
        Name for ``thesis corpus fetch``.
    base_url : str
        Address of the archives; empty if the list of archives has the addresses.
    parts : list of str
        Parts of the list of archives that are fetched by default.
    sums : str
        File of SHA-256 sums beside the archives.
    files : dict of str to int
        Number of files that match a regular expression, from the corpus's folder; 0 where no
        number is published: at least one.
    names_sha256 : str
        SHA-256 of the sorted names (without folders) of these files, one a line.
    archive_sha256 : str
        SHA-256 of an archive whose content needs no further check.
    contents : dict of str to str
        SHA-256 of single files.
    clips_sha256 : str
        SHA-256 of the lines ``<MD5>  <name>`` of ``files``.
    views : dict of str to str
        Folder below ``views`` to the ``target`` of its index, written after fetching.
    """

    name: str
    citation: str
    licence: str
    how_to_get: str
    reader: str
    split: int | list | None = None
    markers: list = field(default_factory=list)
    missing: str = ""
    index_first: bool = False
    labels: dict = field(default_factory=dict)
    partitions: dict = field(default_factory=dict)
    counts: list = field(default_factory=list)
    values: dict = field(default_factory=dict)
    command: str = ""
    base_url: str = ""
    parts: list = field(default_factory=list)
    sums: str = ""
    files: dict = field(default_factory=dict)
    names_sha256: str = ""
    archive_sha256: str = ""
    contents: dict = field(default_factory=dict)
    clips_sha256: str = ""
    views: dict = field(default_factory=dict)


#: Records by name, in the order in which layouts are recognised.
RECORDS = {name: Record(**each) for name, each in read_plain(FILES / "corpora.yaml").items()}
#: Corpora that anyone may download: name at the command line to name of the record.
FETCHABLE = {record.command: name for name, record in RECORDS.items() if record.command}
#: Splits that the experiment on a corpus needs.
NEEDS = {name: record.split for name, record in RECORDS.items() if record.split is not None}


def find_place(root, record):
    """Folder that holds a corpus in its own layout.

    Parameters
    ----------
    root : str or Path
    record : Record

    Returns
    -------
    Path or None
        ``root``, or a folder in it for a corpus that is unpacked from an archive.

    Examples
    --------
    >>> import tempfile
    >>> root = Path(tempfile.mkdtemp())
    >>> (root / "ESC-50-master" / "meta").mkdir(parents=True)
    >>> (root / "ESC-50-master" / "meta" / "esc50.csv").touch()
    >>> find_place(root, RECORDS["esc_50"]).name
    'ESC-50-master'
    """
    places = [Path(root)]
    if record.command:
        places += sorted(p for p in places[0].glob("*") if not p.name.startswith("."))
    for place in places:
        if any(next(place.glob(marker), None) for marker in record.markers):
            return place
    return None


def compare_counts(record, *tables):
    """Describe where numbers of clips differ from the published ones.

    Parameters
    ----------
    record : Record
    *tables : DataFrame
        Each published number is compared with the rows of the first table that has its columns.

    Returns
    -------
    tuple of str

    Examples
    --------
    >>> import pandas as pd
    >>> compare_counts(RECORDS["ravdess"], pd.DataFrame({"emotion": ["calm"] * 3}))[1]
    'clips of calm: found 3, published 192'
    """
    remarks = ()
    for count in record.counts:
        by, sizes = count["by"], {}
        table = next((table for table in tables if set(by) <= set(table)), None)
        if table is not None:
            sizes = table[by].value_counts(sort=False).to_dict()
        numbers = [
            {count["text"].format(*key): n for key, n in each.items()}
            for each in (sizes, _flatten(count["numbers"]))
        ]
        if sizes and not numbers[0].keys() & numbers[1].keys():  # somebody's own corpus
            remarks += (f"other classes than those of {record.name}: no numbers to compare",)
        else:
            remarks += list_differences(*numbers)
    return remarks


def _flatten(numbers, *keys):
    if not isinstance(numbers, dict):
        return {keys: numbers}
    return {k: n for key, inner in numbers.items() for k, n in _flatten(inner, *keys, key).items()}


def list_differences(numbers, published, *, tolerance=0.0):
    """Describe where numbers differ from the published ones.

    Parameters
    ----------
    numbers, published : dict of str to float
        Numbers by description; what one side lacks counts as 0.
    tolerance : float
        Largest difference that passes, for numbers that are printed rounded.

    Returns
    -------
    tuple of str

    Examples
    --------
    >>> list_differences({"clips of ACS": 3}, {"clips of ACS": 258})
    ('clips of ACS: found 3, published 258',)
    """
    return tuple(
        f"{what}: found {numbers.get(what, 0):g}, published {published.get(what, 0):g}"
        for what in dict.fromkeys([*published, *numbers])
        if abs(numbers.get(what, 0) - published.get(what, 0)) > tolerance + 1e-9
    )
