"""Movie Review Dataset (thesis 9.2.1.1): is a spoken film review positive or negative?

No public layout: a folder with ``index.csv`` is read. Berlin EMO-DB, the public
stand-in (:mod:`thesislib.corpora.emo_db`), is recognised by its files.
"""

from pathlib import Path

from thesislib.corpora import emo_db
from thesislib.corpora.compare import compare_counts
from thesislib.corpora.counts import load_counted

NAME = "Movie Review Dataset"
CITATION = (
    "M. Wöllmer, F. Weninger, T. Knaup, B. Schuller, C. Sun, K. Sagae and L.-P. Morency: YouTube "
    "Movie Reviews: Sentiment Analysis in an Audio-Visual Context. IEEE Intelligent Systems 28(3), "
    "2013"
)
LICENCE = "Not published with the audio; the clips are YouTube videos of others"
HOW_TO_GET = (
    "Ask the authors. Write data/sentiment/index.csv with the columns file, label (positive where "
    "the mean score is above 3, else negative), partition (train, devel, test) and group (the "
    "speaker). Or fetch the stand-in: thesis corpus fetch emo-db."
)
#: Table 9.4.
EXPECTED_COUNTS = {
    ("train", "positive"): 125,
    ("train", "negative"): 90,
    ("devel", "positive"): 42,
    ("devel", "negative"): 30,
    ("test", "positive"): 42,
    ("test", "negative"): 30,
}


def load(root):
    """Read the folder's ``index.csv`` and compare it with Table 9.4, or read EMO-DB.

    A file counts as one review, however many rows cut it into segments.

    Returns
    -------
    Corpus
        Of kind ``thesis`` only if all counts fit.
    """
    if emo_db.is_emo_db(Path(root)):
        return emo_db.load(root)
    return load_counted(root, name=NAME, licence=LICENCE, compare=_compare)


def _compare(index):
    return compare_counts(index.drop_duplicates("file"), EXPECTED_COUNTS), ()
