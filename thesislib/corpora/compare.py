"""The layout of the ComParE challenges' packages (snoring 2017, heart sounds 2018).

``wav/*.wav`` holds the audio, ``lab/<name>.tsv`` (tab-separated, with a header
``file_name``, ``label``) the labels; a file name's prefix is its partition
(``train_0001.wav``, ``devel_…``, ``test_…``). ``?`` or an absent row means that the
label was withheld. The packages name no speakers; if ``lab/groups.tsv``
(``file_name``, ``group``) is there, as in our synthetic corpora, groups are read from it.
"""

import pandas as pd

from thesislib.corpora.folder import find_folder, read_description
from thesislib.corpora.index import Corpus
from thesislib.errors import CorpusError

PARTITIONS = ("train", "devel", "test")


def is_compare(root, label_files):
    """Whether a folder holds the layout with one of these label files."""
    return any((root / "lab" / name).is_file() for name in label_files)


def load_compare(root, *, name, label_files, labels, expected, licence):
    """Read a ComParE package where it stands.

    Parameters
    ----------
    root : str or Path
        Folder that holds ``wav`` and ``lab``.
    name : str
        Name of the corpus.
    label_files : sequence of str
        Names that the label file may have, in order of preference.
    labels : dict of str to str
        The closed label set: label in the file to class name.
    expected : dict of (str, str) to int
        Published number of clips by partition and class; a corpus is the
        thesis's own only if it has these.
    licence : str

    Returns
    -------
    Corpus
        Rows sorted by file name; ``label`` missing where it was withheld.

    Raises
    ------
    CorpusError
        Lists every unknown label, unknown prefix, double or orphaned row.
    """
    root = find_folder(root)
    path = next((root / "lab" / n for n in label_files if (root / "lab" / n).is_file()), None)
    if path is None:
        listed = " or ".join(f"lab/{n}" for n in label_files)
        raise CorpusError(f"{root}: {listed} is missing; expected a ComParE package")
    table = _read_tsv(path, ("file_name", "label"))
    files = sorted(p.name for p in (root / "wav").glob("*.wav"))
    problems = []
    for row in table.index[table["file_name"].duplicated()]:
        problems.append(f"{path.name} line {row + 2}: {table['file_name'][row]} stands there twice")
    for row in table.index[~table["label"].isin([*labels, "?"])]:
        wanted = ", ".join(labels)
        found = table["label"][row]
        problems.append(f"{path.name} line {row + 2}: label {found!r}, expected {wanted} or ?")
    for row in table.index[~table["file_name"].isin(files)]:
        problems.append(f"{path.name} line {row + 2}: wav/{table['file_name'][row]} is missing")
    index = pd.DataFrame({"file_name": files})
    index["partition"] = index["file_name"].str.partition("_")[0]
    for file, partition in index[["file_name", "partition"]].to_numpy():
        if partition not in PARTITIONS:
            wanted = ", ".join(f"{p}_" for p in PARTITIONS)
            problems.append(f"wav/{file}: prefix {partition!r}, expected {wanted}")
    if not files:
        problems.append("wav holds no .wav file")
    if problems:
        lines = "\n".join(f"  - {problem}" for problem in problems)
        raise CorpusError(f"{root}: {len(problems)} problems\n{lines}")
    index["label"] = index["file_name"].map(table.set_index("file_name")["label"]).map(labels)
    groups = root / "lab" / "groups.tsv"
    if groups.is_file():
        group = _read_tsv(groups, ("file_name", "group")).set_index("file_name")["group"]
        index["group"] = index["file_name"].map(group)
    index["file"] = "wav/" + index["file_name"]
    remarks = compare_counts(index, expected)
    described = read_description(root)
    kind = described.get("kind", "stand-in" if remarks else "thesis")
    return Corpus(
        index.drop(columns="file_name"),
        root,
        name=described.get("name", name),
        kind=kind,
        licence=described.get("licence", licence),
        remarks=() if kind == "synthetic" else remarks,
    )


def compare_counts(index, expected):
    """Remarks on where the numbers of clips differ from the published ones.

    Examples
    --------
    >>> index = pd.DataFrame({"partition": ["train"], "label": ["V"]})
    >>> compare_counts(index, {("train", "V"): 168})
    ('train: 1 clips of V, published 168',)
    """
    if "partition" in index:
        found = index.groupby(["partition", "label"]).size().to_dict()
    else:
        found = {}
    keys = list(dict.fromkeys([*expected, *found]))
    return tuple(
        f"{partition}: {found.get((partition, label), 0)} clips of {label}, "
        f"published {expected.get((partition, label), 0)}"
        for partition, label in keys
        if found.get((partition, label), 0) != expected.get((partition, label), 0)
    )


def _read_tsv(path, columns):
    try:
        table = pd.read_csv(path, sep="\t", dtype="str", keep_default_na=False, encoding="utf-8")
    except (ValueError, pd.errors.ParserError) as error:
        raise CorpusError(f"{path}: {error}; expected tab-separated UTF-8 text") from error
    absent = [name for name in columns if name not in table]
    if absent:
        found = ", ".join(map(str, table.columns))
        raise CorpusError(f"{path}: found the columns {found}, expected {' and '.join(columns)}")
    return table
