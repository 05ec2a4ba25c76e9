"""Heart Sounds Shenzhen (thesis 10.1.1.1): severity of heart disease from heart sounds."""

from pathlib import Path

from thesislib.corpora import folder
from thesislib.corpora.compare import is_compare, load_compare

NAME = "Heart Sounds Shenzhen"
CITATION = (
    "B. Schuller, S. Steidl, A. Batliner, P. Marschik, H. Baumeister, F. Dong, S. Hantke, "
    "F. Pokorny, E.-M. Rathner, K. Bartl-Pokorny et al.: The INTERSPEECH 2018 Computational "
    "Paralinguistics Challenge: Atypical & Self-Assessed Affect, Crying & Heart Beats. "
    "Interspeech 2018"
)
LICENCE = "End-user licence agreement of the corpus owners; research only, no redistribution"
HOW_TO_GET = (
    "Ask the organisers of the ComParE 2018 heart beats sub-challenge for the package and unpack "
    "it, so that data/heart/wav and data/heart/lab stand side by side."
)
LABEL_FILES = ("ComParE2018_Heartbeat_confidential.tsv", "ComParE2018_Heartbeat.tsv")
#: No public source says which of 0, 1, 2 is which severity; this order is an assumption.
LABELS = {"0": "normal", "1": "mild", "2": "moderate/severe"}
#: Table 10.1.
EXPECTED_COUNTS = {
    (partition, label): count
    for partition, counts in {
        "train": (84, 276, 142),
        "devel": (32, 98, 50),
        "test": (28, 91, 44),
    }.items()
    for label, count in zip(LABELS.values(), counts)
}


def load(root, *, labels=None):
    """Read the ComParE package, or any folder with an ``index.csv``, as a corpus.

    Parameters
    ----------
    root : str or Path
    labels : dict of str to str, optional
        What the package's labels 0, 1, 2 mean; by default normal, mild,
        moderate/severe in that order, which no public source confirms.
    """
    if is_compare(Path(root), LABEL_FILES) or not (Path(root) / "index.csv").is_file():
        return load_compare(
            root,
            name=NAME,
            label_files=LABEL_FILES,
            labels=LABELS if labels is None else labels,
            expected=EXPECTED_COUNTS,
            licence=LICENCE,
        )
    return folder.load(root)
