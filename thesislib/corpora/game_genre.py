"""G2AME, Game Genre by Audio + Multimodal Extracts (thesis 8.3.1.1): the genre of a game.

No public layout: a folder with ``index.csv`` is read, one row a clip of one minute or a
chunk of it (``start_s``, ``end_s``); ``group`` is the game, ``fold`` the fold that tests it.
"""

from thesislib.corpora.counts import list_differences, load_counted

NAME = "G2AME"
CITATION = (
    "S. Amiriparian, N. Cummins, M. Gerczuk, S. Pugachevskiy, S. Ottl and B. Schuller: 'Are You "
    "Playing a Shooter Again?!' Deep Representation Learning for Audio-Based Video Game Genre "
    "Recognition. IEEE Transactions on Games 12(2), 2020"
)
LICENCE = "Not published; the clips are cut from gameplay videos of others"
HOW_TO_GET = (
    "Ask the authors. Write data/game_genre/index.csv with the columns file, label (ACS, ARP, FHT, "
    "RCG, SPT or SWB), group (the game) and fold (1 to 10)."
)
#: Clips of one minute a genre, Table 8.8; the table's chunks are twelve times these.
EXPECTED_COUNTS = {"ACS": 258, "ARP": 205, "FHT": 330, "RCG": 296, "SPT": 266, "SWB": 211}
#: Section 8.3.1.1 and 8.3.2: games in all, folds, games of a genre in a fold.
N_GAMES, N_FOLDS, GAMES_PER_FOLD = 300, 10, 5
#: Chunks of 5 s that a clip of one minute is cut into.
CHUNKS_PER_CLIP = 12


def load(root):
    """Read the folder's ``index.csv`` and compare it with Table 8.8.

    A file counts as one clip, however many rows cut it into chunks. Games and folds
    are compared where the index names them.

    Returns
    -------
    Corpus
        Of kind ``thesis`` only if all counts fit.
    """
    return load_counted(root, name=NAME, licence=LICENCE, compare=_compare)


def _compare(index):
    clips = index.drop_duplicates("file")
    found = {f"clips of {label}": n for label, n in clips["label"].value_counts().items()}
    published = {f"clips of {label}": n for label, n in EXPECTED_COUNTS.items()}
    for column, what, number in (("group", "games", N_GAMES), ("fold", "folds", N_FOLDS)):
        if column in index:
            found[what], published[what] = index[column].nunique(), number
    notes = [] if "group" in index else ["no column group: nothing keeps a game in one fold"]
    if {"group", "fold"} <= set(index):
        games = index.groupby(["fold", "label"])["group"].nunique()
        if len(games) and (games != GAMES_PER_FOLD).any():
            notes.append(
                f"games of a genre in a fold: found {games.min()} to {games.max()}, "
                f"published {GAMES_PER_FOLD}"
            )
    return list_differences(found, published), notes
