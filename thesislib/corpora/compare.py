"""The layout of the ComParE challenges' packages (snoring 2017, heart sounds 2018).

``wav/*.wav`` holds the audio, ``lab/<name>.tsv`` (tab-separated, with a header
``file_name``, ``label``) the labels; a file name's prefix is its partition
(``train_0001.wav``, ``devel_…``, ``test_…``). ``?`` or an absent row means that the
label was withheld. The packages name no speakers; if ``lab/groups.tsv``
(``file_name``, ``group``) is there, as in our synthetic corpora, groups are read from it.
"""

import pandas as pd

from thesislib.corpora.counts import list_differences
from thesislib.corpora.folder import describe, find_folder, list_files
from thesislib.corpora.tables import Problems, read_table
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
    table, notes = read_table(path, needs=("file_name", "label"))
    table["file_name"] = table["file_name"].str.strip()
    files = [name.removeprefix("wav/") for name in list_files(root, "wav/*.wav")]
    problems, labelled = Problems(), table["file_name"]
    for line, file in labelled[labelled.duplicated()].items():
        problems.add(f"{path.name} line {line}", f"{file} stands there twice", kind="twice")
    for line, label in table["label"][~table["label"].isin([*labels, "?"])].items():
        wanted = ", ".join(labels)
        problems.add(f"{path.name} line {line}", f"label {label!r}, expected {wanted} or ?")
    for line, file in labelled[~labelled.isin(files)].items():
        problems.add(f"{path.name} line {line}", f"wav/{file} is missing", kind="missing")
    index = pd.DataFrame({"file_name": files}, dtype="str")
    index["partition"] = index["file_name"].str.partition("_")[0]
    for file, partition in index[~index["partition"].isin(PARTITIONS)].to_numpy():
        wanted = ", ".join(f"{p}_" for p in PARTITIONS)
        problems.add(f"wav/{file}", f"prefix {partition!r}, expected {wanted}")
    if not files:
        problems.add("wav", "found no .wav file")
    problems.raise_if_any(root)
    index["label"] = index["file_name"].map(table.set_index("file_name")["label"]).map(labels)
    groups = root / "lab" / "groups.tsv"
    if groups.is_file():
        table, others = read_table(groups, needs=("file_name", "group"))
        index["group"] = index["file_name"].map(table.set_index("file_name")["group"])
        notes += others
    index["file"] = "wav/" + index["file_name"]
    return describe(
        index.drop(columns="file_name"),
        root,
        name=name,
        licence=licence,
        mismatches=compare_counts(index, expected),
        notes=notes,
    )


def compare_counts(index, expected):
    """Remarks on where the numbers of clips differ from the published ones.

    Examples
    --------
    >>> index = pd.DataFrame({"partition": ["train"], "label": ["V"]})
    >>> compare_counts(index, {("train", "V"): 168})
    ('train: clips of V: found 1, published 168',)
    """
    counts = index.groupby(["partition", "label"]).size() if "partition" in index else {}
    found, published = (
        {f"{partition}: clips of {label}": n for (partition, label), n in numbers.items()}
        for numbers in (counts, expected)
    )
    return list_differences(found, published)
