"""ESC-50, RAVDESS and PhysioNet 2016: fetched whole or not at all, read where they stand."""

import hashlib
import io
import zipfile

import numpy as np
import pytest
import soundfile

from thesislib.corpora import FETCHABLE, esc_50, load_any, load_corpus, open_corpus, open_tasks
from thesislib.corpora.records import RECORDS
from thesislib.errors import CorpusError, ParameterError
from thesislib.export import fetch
from thesislib.export.download import DownloadError

ESC, RAVDESS, PHYSIONET = (RECORDS[name] for name in ("esc_50", "ravdess", "physionet_2016"))
MAJOR_CATEGORY = {
    name: major for major, names in ESC.values["categories"].items() for name in names
}

# A clip of each category in each fold; one more, in fold 3, is of a source of fold 2.
ESC_CLIPS = [
    (f"{fold}-{fold}00{number:02}-A-{number}.wav", str(fold), name, f"{fold}00{number:02}")
    for fold in range(1, 6)
    for number, name in enumerate(MAJOR_CATEGORY)
]
ESC_CLIPS.append(("3-20037-B-38.wav", "3", "clock_tick", "20037"))
# All 1 440 names: there is no strong neutral speech.
GRID = [
    f"Actor_{actor:02}/03-01-{emotion:02}-{intensity:02}-{statement:02}-{repetition:02}-{actor:02}.wav"
    for actor in range(1, 25)
    for emotion in range(1, 9)
    for intensity in (1, 2)[: 1 if emotion == 1 else 2]
    for statement in (1, 2)
    for repetition in (1, 2)
]
RAVDESS_FILES = [file for file in GRID if file[6:8] in ("01", "17", "21") and file[24:26] == "01"]
SITES = dict.fromkeys("abcdef", 6)


def make_wav(seed, sr):
    stream = io.BytesIO()
    y = np.random.default_rng(seed).uniform(-0.5, 0.5, 400)
    soundfile.write(stream, y, sr, format="WAV", subtype="PCM_16")
    return stream.getvalue()


def make_zip(members, compression=zipfile.ZIP_STORED):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", compression) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return stream.getvalue()


def make_esc_50():
    rows = [f"{file},{fold},0,{name},False,{source},A\n" for file, fold, name, source in ESC_CLIPS]
    table = "filename,fold,target,category,esc10,src_file,take\n" + "".join(rows)
    clips = {f"ESC-50-1/audio/{clip[0]}": make_wav(i, 44100) for i, clip in enumerate(ESC_CLIPS)}
    return {"ESC-50-1/meta/esc50.csv": table.encode(), "ESC-50-1/README.md": b"x", **clips}


def make_ravdess():
    return {file: make_wav(i, 48000) for i, file in enumerate(RAVDESS_FILES)}


def make_physionet():
    members = {}
    for site, n in SITES.items():
        names = [f"{site}{i:04}" for i in range(1, n + 1)]
        rows = [f"{name},{(1, -1)[i % 2]}\n" for i, name in enumerate(names)]
        members[f"training-{site}/REFERENCE.csv"] = "".join(rows).encode()
        for i, name in enumerate(names):
            members[f"training-{site}/{name}.wav"] = make_wav(100 * ord(site) + i, 2000)
    return members


def hash_names(files):
    names = sorted(file.rpartition("/")[2] for file in files)
    return hashlib.sha256("\n".join(names).encode()).hexdigest()


class Source:
    """A corpus on a server: ``offer`` puts an archive there, with the checksums it needs."""

    def __init__(self, name, server, monkeypatch):
        self.name, self.server, self.monkeypatch = name, server, monkeypatch
        self.corpus = FETCHABLE[name]
        self.record = RECORDS[self.corpus]
        (self.row,) = fetch.list_archives(self.corpus)
        self.members = {
            "esc-50": make_esc_50,
            "ravdess": make_ravdess,
            "physionet-2016": make_physionet,
        }[name]()
        monkeypatch.setattr(self.record, "base_url", server.url)
        monkeypatch.setattr(fetch, "list_archives", lambda *arguments: [dict(self.row)])
        if name == "esc-50":
            names = sorted(clip[0] for clip in ESC_CLIPS)
            lines = [
                f"{hashlib.md5(self.members[f'ESC-50-1/audio/{n}']).hexdigest()}  {n}\n"
                for n in names
            ]
            meta = self.members["ESC-50-1/meta/esc50.csv"]
            self.set(names_sha256=hash_names(names))
            self.set(clips_sha256=hashlib.sha256("".join(lines).encode()).hexdigest())
            self.set(contents={"meta/esc50.csv": hashlib.sha256(meta).hexdigest()})
        elif name == "ravdess":
            self.set(names_sha256=hash_names(RAVDESS_FILES))
        else:
            n = sum(SITES.values()) // 2
            sites, labels = self.record.counts
            labels = labels | {"numbers": {"normal": n, "abnormal": n}}
            self.set(counts=[sites | {"numbers": SITES}, labels])
            self.set(files={p: SITES[p[9]] + 1 for p in self.record.files})
        # More than what a broken connection loses.
        self.members["notes.bin"] = np.random.default_rng(0).bytes(200_000)
        self.offer(make_zip(self.members))

    def set(self, **values):
        for name, value in values.items():
            self.monkeypatch.setattr(self.record, name, value)

    def offer(self, content, *, honest=True):
        self.archive = self.row["name"]
        if self.name == "ravdess" and honest:
            self.row |= {"size": len(content), "md5": hashlib.md5(content).hexdigest()}
        self.server.files[self.archive] = content
        if self.name == "physionet-2016" and honest:
            line = f"{hashlib.sha256(content).hexdigest()} training.zip\n"
            sums = "0" * 64 + " validation.zip\n" + line
            self.server.files["SHA256SUMS.txt"] = sums.encode()

    def load(self, root, **options):
        return load_corpus(self.corpus, root, **options)

    def fetch(self, root):
        return fetch.fetch_corpus(self.name, root, accept_licence=True, progress=False)

    @property
    def ranges(self):
        return [wanted for path, wanted in self.server.requests if path == f"/{self.archive}"]


@pytest.fixture(params=["esc-50", "ravdess", "physionet-2016"])
def source(request, file_server, monkeypatch):
    return Source(request.param, file_server, monkeypatch)


@pytest.fixture
def esc(file_server, monkeypatch):
    return Source("esc-50", file_server, monkeypatch)


def audio_below(root):
    return sorted(path for path in root.rglob("*.wav"))


def test_the_licence_comes_first(source, tmp_path):
    with pytest.raises(ParameterError, match=r"accept_licence: found False, .*(Creative|Open)"):
        fetch.fetch_corpus(source.name, tmp_path / "c")
    assert source.server.requests == []
    assert not (tmp_path / "c").exists()


def test_it_arrives_once_and_what_was_lost_is_fetched_again(source, tmp_path):
    root = source.fetch(tmp_path / "c")
    audio = audio_below(root)
    assert len(audio) == sum(name.endswith(".wav") for name in source.members)
    n_requests = len(source.server.requests)
    source.fetch(root)
    assert len(source.server.requests) == n_requests
    audio[0].unlink()
    source.fetch(root)
    assert source.ranges == [None, None]
    assert audio_below(root) == audio
    assert load_any(root).check().kind == "stand-in"
    assert load_any(root).licence == source.record.licence


def test_a_broken_transfer_goes_on(source, tmp_path):
    source.server.n_cuts = 1
    source.fetch(tmp_path / "c")
    resumed = [wanted for _, wanted in source.server.requests if wanted]
    assert resumed and "bytes=0-" not in resumed
    assert len(load_any(tmp_path / "c")) > 0


def test_a_killed_transfer_is_taken_up_from_its_part(source, tmp_path):
    notes = tmp_path / ".fetched"
    notes.mkdir()
    content = source.server.files[source.archive]
    (notes / f".{source.archive}.part").write_bytes(content[:1000])
    source.fetch(tmp_path)
    assert source.ranges == ["bytes=1000-"]


def test_a_damaged_archive_is_refused_and_leaves_nothing(source, tmp_path):
    content = source.server.files[source.archive].replace(b"data", b"dat\0", 3)
    source.offer(content, honest=False)
    problem = {"esc-50": "wrong checksum in", "ravdess": "md5: found", "physionet-2016": "sha256:"}
    with pytest.raises(DownloadError, match=problem[source.name]):
        source.fetch(tmp_path)
    left = {path.name for path in tmp_path.rglob("*")}
    assert left <= {".fetched", "SHA256SUMS.txt"}


def test_members_outside_the_folder_are_refused(source, tmp_path):
    source.offer(make_zip(source.members | {"../evil.txt": b"x"}))
    with pytest.raises(CorpusError, match="leaves the folder"):
        source.fetch(tmp_path / "c")
    assert not (tmp_path / "evil.txt").exists()
    assert audio_below(tmp_path) == []


def test_an_archive_that_lacks_or_renames_a_clip_is_refused(source, tmp_path):
    *members, (last, content), notes = source.members.items()
    for renamed in ({}, {last.replace(".wav", "x.wav"): content}, {f"other/{last}": content}):
        source.offer(make_zip(dict([*members, notes]) | renamed))
        with pytest.raises(DownloadError, match=r"found .* expected"):
            source.fetch(tmp_path)
    source.offer(b"<html>moved</html>")
    with pytest.raises(DownloadError, match=r"found .* expected"):
        source.fetch(tmp_path)
    assert audio_below(tmp_path) == []


def test_an_index_of_the_users_own_wins(source, tmp_path):
    root = source.fetch(tmp_path / "c")
    (root / "index.csv").write_text("file,label\na.wav,mine\n")
    assert source.load(root).classes == ["mine"]
    assert load_any(root).classes == ["mine"]


def test_empty_folders_are_named_with_how_to_get_the_corpus(tmp_path):
    for name in ("esc_50", "physionet_2016"):
        with pytest.raises(CorpusError, match=r"found no .*thesis corpus fetch"):
            load_corpus(name, tmp_path)
    with pytest.raises(CorpusError, match=r"found no speech, expected names such as Actor_01/"):
        load_corpus("ravdess", tmp_path)


# ESC-50


def test_a_repacked_archive_passes_by_its_contents_the_known_one_by_its_checksum(esc, tmp_path):
    esc.offer(make_zip(esc.members, zipfile.ZIP_DEFLATED))
    esc.fetch(tmp_path / "repacked")
    content = make_zip(esc.members)
    esc.offer(content)
    esc.set(clips_sha256="0" * 64)
    with pytest.raises(DownloadError, match="found clips with other contents"):
        esc.fetch(tmp_path / "other")
    esc.set(archive_sha256=hashlib.sha256(content).hexdigest())
    esc.fetch(tmp_path / "other")
    assert len(audio_below(tmp_path / "other")) == len(ESC_CLIPS)


def test_other_contents_under_the_same_names_are_refused(esc, tmp_path):
    clip = f"ESC-50-1/audio/{ESC_CLIPS[0][0]}"
    for change, message in (
        ({clip: make_wav(999, 44100)}, "found clips with other contents"),
        ({"ESC-50-1/meta/esc50.csv": b"filename\n"}, "found another meta/esc50.csv"),
    ):
        esc.offer(make_zip(esc.members | change))
        with pytest.raises(DownloadError, match=message):
            esc.fetch(tmp_path)


def test_views_name_the_audio_where_it_is(esc, tmp_path):
    root = esc.fetch(tmp_path / "c")
    before = {path: path.read_bytes() for path in (root / "views").rglob("*") if path.is_file()}
    assert len(before) == 2 * len(ESC.views)
    for name, target in ESC.views.items():
        view = load_any(root / "views" / name).check()
        native = load_corpus("esc_50", root, target=target)
        assert [path.resolve() for path in view.paths] == [p.resolve() for p in native.paths]
        assert view.index.drop(columns="file").equals(native.index.drop(columns="file"))
        assert (view.name, view.kind, view.licence) == (native.name, "stand-in", ESC.licence)
    esc.fetch(root)
    assert {path: path.read_bytes() for path in before} == before


def test_views_serve_the_experiments(esc, tmp_path):
    views = esc.fetch(tmp_path / "c") / "views"
    tasks = open_tasks("vocalisations", views / "vocalisations")
    assert sorted(tasks) == sorted({*esc_50.TASKS} - {"snoring"})
    for task, corpus in tasks.items():
        assert corpus.classes == sorted([task, "other"])
        assert len(corpus) == 50
        assert sorted(corpus.partitions) == ["evaluation", "train"]
        assert (corpus.index.loc[corpus.index["label"] == task, "category"] == task).all()
    snoring = open_corpus("snore", views / "snoring")
    assert snoring.classes == ["other", "snoring"]
    assert [len(snoring.rows(name)) for name in ("train", "devel", "test")] == [30, 10, 10]
    scenes = open_corpus("acoustic_scenes", views / "scenes")
    assert scenes.classes == sorted(ESC.values["scenes"])
    assert sorted(scenes.folds()) == list("12345")
    games = open_corpus("game_genre", views / "major_categories")
    assert games.classes == sorted(ESC.values["categories"])
    assert len(games) == len(ESC_CLIPS)


def test_a_source_in_two_folds_goes_to_the_first(esc, tmp_path):
    root = esc.fetch(tmp_path / "c")
    corpus = open_corpus("acoustic_scenes", root)
    rows = corpus.index[corpus.index["group"] == "20037"]
    assert sorted(rows["category"]) == ["clock_alarm", "clock_tick"]
    assert set(rows["fold"]) == {"2"}
    assert "1 clips went to the fold of the rest of their source" in corpus.remarks
    assert "clips of dog: found 5, published 40" in corpus.remarks
    assert not any(
        "rest of" in text for text in load_corpus("esc_50", root, target="scene").remarks
    )


def test_categories_are_fifty_in_five_tens():
    assert ESC.counts[0]["numbers"] == dict.fromkeys(MAJOR_CATEGORY, 40)
    assert len(MAJOR_CATEGORY) == 50
    assert {len(names) for names in ESC.values["categories"].values()} == {10}
    assert set(ESC.values["scenes"]) <= set(MAJOR_CATEGORY)
    assert set(esc_50.TASKS) < set(ESC.values["categories"]["human"])


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("filename,", "file_name,", "found the columns file_name, fold"),
        (",dog,", ",hound,", "found category hound"),
        (",1,0,", ",9,0,", "found fold 9"),
    ],
)
def test_another_table_is_refused(tmp_path, old, new, message):
    text = make_esc_50()["ESC-50-1/meta/esc50.csv"].decode()
    (tmp_path / "meta").mkdir()
    (tmp_path / "meta" / "esc50.csv").write_text(text.replace(old, new, 1))
    with pytest.raises(CorpusError, match=message):
        load_corpus("esc_50", tmp_path)


def test_clips_at_hand_have_sources_as_esc_50_names_them(reference_data):
    import pandas as pd

    table = pd.read_csv(reference_data / "corpora" / "scenes" / "index.csv", dtype=str)
    names = table["file"].str.extract(r"esc50__(\w+)__(\d)-(\d+)-[A-Z]\.ogg$")
    assert (names[0] == table["label"]).all()
    assert (names[2] == table["group"]).all()
    assert set(table["label"]) == set(ESC.values["scenes"])


# RAVDESS


def test_names_tell_actor_emotion_and_sentiment(file_server, monkeypatch, tmp_path):
    root = Source("ravdess", file_server, monkeypatch).fetch(tmp_path / "c")
    corpus = open_corpus("sentiment", root)
    assert corpus.classes == ["negative", "positive"]
    rows = corpus.index.set_index("file")
    columns = ["label", "partition", "group", "emotion", "intensity"]
    file = "Actor_17/03-01-05-02-01-01-17.wav"
    assert rows.loc[file, columns].tolist() == ["negative", "devel", "17", "angry", "02"]
    assert not rows.index.str.contains("/03-01-01-").any()
    emotions = load_corpus("ravdess", root, target="emotion")
    assert len(emotions) == len(RAVDESS_FILES)
    assert emotions.classes == sorted(RAVDESS.values["emotions"].values())
    (root / "Actor_01" / "03-02-05-02-01-01-01.wav").write_bytes(make_wav(0, 48000))
    assert "1 songs are left out" in load_corpus("ravdess", root).remarks
    (root / "Actor_01" / "song.wav").touch()
    with pytest.raises(CorpusError, match=r"found Actor_01/song.wav, expected names such as"):
        load_corpus("ravdess", root)


def test_actors_in_a_folder_of_their_own_are_found(file_server, monkeypatch, tmp_path):
    source = Source("ravdess", file_server, monkeypatch)
    source.offer(make_zip({f"Speech/{name}": body for name, body in source.members.items()}))
    root = source.fetch(tmp_path / "c")
    assert load_any(root).check().root == root / "Speech"
    source.fetch(root)
    assert source.ranges == [None]


def test_clips_at_hand_have_names_of_ravdess(reference_data):
    import pandas as pd

    table = pd.read_csv(reference_data / "corpora" / "sentiment" / "index.csv")
    table = table[table["file"].str.contains("ravdess")]
    names = table["file"].str.extract(r"__(03-01-(\d\d)-.*-(\d\d))\.flac$")
    assert len(names) > 50
    emotions = names[1].map(RAVDESS.values["emotions"])
    assert (emotions.map(RAVDESS.values["sentiments"]) == table["label"]).all()
    assert ("ravdess_" + names[2] == table["group"]).all()
    assert set("Actor_" + names[2] + "/" + names[0] + ".wav") <= set(GRID)


def test_the_grid_of_ravdess_is_whole_and_its_partitions_balanced():
    assert len(set(GRID)) == 1440
    assert hash_names(GRID) == RAVDESS.names_sha256
    assert sum(RAVDESS.counts[0]["numbers"].values()) == sum(RAVDESS.files.values()) == 1440
    for actors in RAVDESS.partitions.values():
        assert 2 * sum(int(actor) % 2 for actor in actors) == len(actors)
    assert sorted(a for row in RAVDESS.partitions.values() for a in row) == [
        f"{i:02}" for i in range(1, 25)
    ]


# PhysioNet


def test_sites_are_folds_and_partitions(file_server, monkeypatch, tmp_path):
    root = Source("physionet-2016", file_server, monkeypatch).fetch(tmp_path / "c")
    corpus = open_corpus("heart", root, labels={"0": "none"})
    assert corpus.remarks == ()
    assert sorted(corpus.folds()) == list("abcdef")
    assert corpus.classes == ["abnormal", "normal"]
    rows = corpus.index.set_index("file")
    assert rows.loc["training-a/a0001.wav"].tolist() == ["abnormal", "a", "train"]
    sites = corpus.index.groupby("partition")["fold"].unique().map(sorted).to_dict()
    assert sites == PHYSIONET.partitions
    assert "group" not in corpus.index


def test_a_list_without_the_archive_is_refused(file_server, monkeypatch, tmp_path):
    source = Source("physionet-2016", file_server, monkeypatch)
    file_server.files["SHA256SUMS.txt"] = b"0" * 64 + b" validation.zip\n"
    with pytest.raises(DownloadError, match=r"found no checksum of training\.zip"):
        source.fetch(tmp_path)
    assert source.ranges == []


def test_every_contradiction_of_the_references_is_named(tmp_path):
    place = tmp_path / "training-a"
    place.mkdir()
    (place / "REFERENCE.csv").write_text("a0001,1\na0001,-1\na0002,0\n")
    (place / "a0009.wav").touch()
    with pytest.raises(CorpusError, match="3 problems") as caught:
        load_corpus("physionet_2016", tmp_path)
    for problem in (
        "REFERENCE.csv line 2: a0001 stands there twice",
        "REFERENCE.csv line 3: found 'a0002,0', expected a recording and -1 or 1",
        "training-a/a0009.wav: not in REFERENCE.csv",
    ):
        assert problem in str(caught.value)


def test_published_counts_of_recordings_add_up():
    for count in PHYSIONET.counts:
        assert sum(count["numbers"].values()) == 3240
    # Each site has a list beside its recordings.
    assert sum(PHYSIONET.files.values()) == 3240 + 6
