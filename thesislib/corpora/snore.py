"""Munich-Passau Snore Sound Corpus (thesis 10.2.1.1): where in the airway a snore arises."""

from pathlib import Path

from thesislib.corpora import folder
from thesislib.corpora.compare import is_compare, load_compare

NAME = "Munich-Passau Snore Sound Corpus"
CITATION = (
    "C. Janott, M. Schmitt, Y. Zhang, K. Qian, V. Pandit, Z. Zhang, C. Heiser, W. Hohenhorst, "
    "M. Herzog, W. Hemmert and B. Schuller: Snoring classified: The Munich-Passau Snore Sound "
    "Corpus. Computers in Biology and Medicine 94, 2018"
)
LICENCE = "End-user licence agreement of the corpus owners; research only, no redistribution"
HOW_TO_GET = (
    "Ask the organisers of the ComParE 2017 snoring sub-challenge for the package and unpack it, "
    "so that data/snore/wav and data/snore/lab stand side by side."
)
LABEL_FILES = ("ComParE2017_Snore.tsv",)
#: Velum, oropharyngeal lateral walls, tongue base, epiglottis; in the order of Table 10.3.
LABELS = {"V": "V", "O": "O", "T": "T", "E": "E"}
#: Table 10.3.
EXPECTED_COUNTS = {
    (partition, label): count
    for partition, counts in {
        "train": (168, 76, 8, 30),
        "devel": (161, 75, 15, 32),
        "test": (155, 65, 16, 27),
    }.items()
    for label, count in zip(LABELS, counts)
}


def load(root):
    """Read the ComParE package, or any folder with an ``index.csv``, as a corpus."""
    if is_compare(Path(root), LABEL_FILES) or not (Path(root) / "index.csv").is_file():
        return load_compare(
            root,
            name=NAME,
            label_files=LABEL_FILES,
            labels=LABELS,
            expected=EXPECTED_COUNTS,
            licence=LICENCE,
        )
    return folder.load(root)
