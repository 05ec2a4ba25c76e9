"""PhysioNet/CinC Challenge 2016: heart sounds that anyone may download, stand-in for 10.1.

3 240 recordings of 5 to 120 s (2 kHz, mono) from six sites, normal or abnormal: two classes,
where Heart Sounds Shenzhen has three. Native layout, read where it stands: a folder a site,
``training-a`` … ``training-f``, each with ``REFERENCE.csv`` (recording, -1 normal or 1
abnormal; no header) beside ``*.wav``.

The package does not say which recordings are of one person. Only sites are sure to share
nobody, so that folds are sites, and partitions are disjoint in them: a and e train, b develops,
c, d and f test. Sites differ in equipment and in how often hearts are abnormal. Scores
across sites are therefore low, and scores within sites would flatter: a classifier can tell
sites apart, and so guess the class.
"""

import pandas as pd

from thesislib.corpora.folder import list_files
from thesislib.corpora.index import Corpus
from thesislib.corpora.records import compare_counts
from thesislib.corpora.tables import Problems, read_rows


def load(place, record):
    """Read the lists of recordings.

    Parameters
    ----------
    place : Path
        Folder that holds ``training-a`` and the other sites. Sites may be missing; a remark
        says so.
    record : Record

    Returns
    -------
    Corpus
        Always a stand-in: ``fold`` is the site, ``partition`` disjoint in sites. There is no
        ``group``, since nobody knows which recordings are of one person.

    Raises
    ------
    CorpusError
        Lists every unknown label, every recording without a label, and every row twice.
    """
    rows, problems = [], Problems()
    sites = {site: part for part, row in record.partitions.items() for site in row}
    for site in sorted(sites):
        if (place / f"training-{site}").is_dir():
            rows += _read_site(place, site, record.labels, problems)
    problems.raise_if_any(place)
    index = pd.DataFrame(rows, columns=["file", "label", "fold"])
    index["partition"] = index["fold"].map(sites)
    remarks = compare_counts(record, index)
    return Corpus(index, place, name=record.name, licence=record.licence, remarks=remarks)


def _read_site(place, site, classes, problems):
    """Rows of a site; what contradicts its ``REFERENCE.csv`` goes to ``problems``."""
    labels, path = {}, f"training-{site}/REFERENCE.csv"
    for line, fields in read_rows(place / path)[0]:
        where = f"{path} line {line}"
        name, label, *more = (field.strip() for field in (*fields, ""))
        if label not in classes or any(more):
            what = f"found {','.join(fields)!r}, expected a recording and -1 or 1"
            problems.add(where, what)
        elif name in labels:
            problems.add(where, f"{name} stands there twice", kind="twice")
        else:
            labels[name] = classes[label]
    for audio in list_files(place, f"training-{site}/*.wav"):
        if audio.rpartition("/")[2].removesuffix(".wav") not in labels:
            problems.add(audio, "not in REFERENCE.csv")
    return [(f"training-{site}/{name}.wav", label, site) for name, label in sorted(labels.items())]
