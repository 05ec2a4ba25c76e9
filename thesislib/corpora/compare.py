"""The layout of the ComParE challenges' packages: snoring (2017), heart sounds (2018).

The Munich-Passau Snore Sound Corpus (thesis 10.2.1.1) says where in the airway a snore arises:
velum, oropharyngeal lateral walls, tongue base, epiglottis. Heart Sounds Shenzhen (10.1.1.1) says
how severe a heart disease is.

``wav/*.wav`` holds the audio, ``lab/<name>.tsv`` (tab-separated, with a header
``file_name``, ``label``) the labels; a file name's prefix is its partition
(``train_0001.wav``, ``devel_…``, ``test_…``). ``?`` or an absent row means that the
label was withheld. The packages name no speakers; if ``lab/groups.tsv``
(``file_name``, ``group``) is there, as in our synthetic corpora, groups are read from it.
"""

import pandas as pd

from thesislib.corpora.folder import describe, list_files
from thesislib.corpora.records import compare_counts
from thesislib.corpora.tables import Problems, read_table

PARTITIONS = ("train", "devel", "test")


def load(place, record, *, labels=None):
    """Read a ComParE package where it stands.

    Parameters
    ----------
    place : Path
        Folder that holds ``wav`` and ``lab``.
    record : Record
        Its markers are the label files, in order of preference.
    labels : dict of str to str, optional
        The closed label set: label in the file to class name. By default the record's; what 0, 1
        and 2 mean in the heart sounds' package, no public source confirms.

    Returns
    -------
    Corpus
        Rows sorted by file name; ``label`` missing where it was withheld. Of kind ``thesis`` only
        if all counts fit.

    Raises
    ------
    CorpusError
        Lists every unknown label, unknown prefix, double or orphaned row.
    """
    labels = record.labels if labels is None else labels
    path = next(place / name for name in record.markers if (place / name).is_file())
    table, notes = read_table(path, needs=("file_name", "label"))
    table["file_name"] = table["file_name"].str.strip()
    files = [name.removeprefix("wav/") for name in list_files(place, "wav/*.wav")]
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
    problems.raise_if_any(place)
    index["label"] = index["file_name"].map(table.set_index("file_name")["label"]).map(labels)
    groups = place / "lab" / "groups.tsv"
    if groups.is_file():
        table, others = read_table(groups, needs=("file_name", "group"))
        index["group"] = index["file_name"].map(table.set_index("file_name")["group"])
        notes += others
    index["file"] = "wav/" + index["file_name"]
    what = {"name": record.name, "licence": record.licence, "notes": notes}
    mismatches = compare_counts(record, index)
    return describe(index.drop(columns="file_name"), place, mismatches=mismatches, **what)
