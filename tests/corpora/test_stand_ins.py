"""The stand-in corpora with a column ``domain``, from what their column ``source`` says.

``python tests/corpora/test_stand_ins.py FOLDER`` writes the indexes that Table 11.4 was made with.
"""

import os
import sys
from pathlib import Path

import pandas as pd
import pytest

from thesislib.corpora import load_any
from thesislib.corpora.domains import join_corpora
from thesislib.corpora.splits import draw_fold_sets

#: Beginning of the source's last part, by database.
DATABASES = {"harry-7/speech-emotion-recognition": "EMO-DB"}
DATABASES["ZenvilleErasmus/RAVDESS-emotions-speech-audio-only"] = "RAVDESS"
SOUNDS = ["coughing", "crying", "laughing", "sneezing"]


def read_index(folder, name):
    """Index of a stand-in with ``domain``; files are absolute, so that it may lie anywhere."""
    index = pd.read_csv(folder / name / "index.csv", dtype=str)
    index["file"] = [str((folder / name / file).resolve()) for file in index["file"]]
    return index.drop(columns=["partition", "fold"], errors="ignore")


def read_with_domains(folder):
    """Indexes by name: games, databases of speech, and two corpora with four common sounds."""
    games = read_index(folder, "game_genre")
    # The group is what a domain consists of: the track that a clip was cut from.
    track = games["source"].str.split("@").str[0]
    games = games.assign(domain=games["group"], group=games["group"] + ": " + track)
    speech = read_index(folder, "sentiment")
    repository = speech["source"].str.extract(r"^github:([^@]+)@", expand=False)
    speech = speech.assign(domain=repository.map(DATABASES))
    human = read_index(folder, "nonverbal")
    human = human[human["label"].isin(SOUNDS)].assign(domain="nonverbal")
    environment = read_index(folder, "vocalisations/coughing")
    sound = environment["file"].str.extract(r"esc50__([a-z]+)", expand=False)
    environment = environment.assign(label=sound, domain="ESC-50")
    environment = environment[sound.isin(SOUNDS)]
    return {
        "game_genre": games,
        "sentiment": speech,
        "nonverbal": human,
        "esc_50": environment,
    }


def write_with_domains(folder, output):
    """Write each index beside links to its files."""
    for name, index in read_with_domains(folder).items():
        audio = output / name / "audio"
        audio.mkdir(parents=True, exist_ok=True)
        files = []
        for path in map(Path, index["file"]):
            link = audio / f"{path.parent.name}_{path.name}"
            if not link.exists():
                link.symlink_to(path)
            files.append(f"audio/{link.name}")
        index.assign(file=files).to_csv(output / name / "index.csv", index=False)


@pytest.fixture(scope="module")
def corpora(reference_data, tmp_path_factory):
    output = tmp_path_factory.mktemp("stand_ins")
    write_with_domains(reference_data / "corpora", output)
    corpora = {
        name: load_any(output / name) for name in read_with_domains(reference_data / "corpora")
    }
    pair = {name: corpora.pop(name) for name in ("nonverbal", "esc_50")}
    return corpora | {"joined": join_corpora(pair)}


@pytest.mark.parametrize(
    ("name", "n_domains", "n_clips"),
    [("game_genre", 35, 210), ("sentiment", 2, 220), ("joined", 2, 188)],
)
def test_each_class_is_in_several_domains_that_no_fold_divides(corpora, name, n_domains, n_clips):
    corpus = corpora[name]
    assert (len(corpus), len(set(corpus.domains))) == (n_clips, n_domains)
    assert corpus.validate(audio=False).problems == ()
    sets = draw_fold_sets(corpus, 4)
    for train, test in sets["elsewhere"].values():
        assert not set(corpus.domains[train]) & set(corpus.domains[test])
    for train, test in sets["within"].values():
        assert not set(corpus.groups[train]) & set(corpus.groups[test])
        assert set(corpus.domains[train]) & set(corpus.domains[test])


if __name__ == "__main__":
    data = Path(os.environ["THESIS_REFERENCE_DATA"]) / "corpora"
    write_with_domains(data, Path(sys.argv[1]))
