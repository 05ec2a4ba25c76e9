"""Synthetic corpora in the real layouts, from one source–filter generator.

They let every notebook run without a download, on real audio files in the layout
of the thesis's corpora (8.1 to 10.2). The class sets a clip's sources; the group
(sleeper, place, game, speaker) shifts them all and adds a frequency response of its
own; the clip shifts them a little more; coloured noise lies over everything.
:mod:`thesislib.corpora.recipes` holds the numbers, :mod:`thesislib.corpora.source_filter`
makes the sound.

Difficulty
----------
Set once, so that the mean and standard deviation of 64 log-mel bands with a linear SVM
(C = 0.01, balanced) score between chance and perfect, and on nothing else. UAR in %,
mean over seeds 0 to 4 of the demo size; the last two columns are 4 folds drawn at
random and 4 folds that keep groups together.

================  ======  =====================================  ==========  =======
corpus            chance  as split                               any fold    grouped
================  ======  =====================================  ==========  =======
snore                 25  devel 67, test 62                              89       75
heart                 33  devel 59, test 68                              78       69
acoustic_scenes        7  mean view 44, with the difference 73           54       44
rare_events           50  cry 88, glass 79, shot 78 (a mixture)
game_genre            17  66                                             80       71
vocalisations         50  freezing 81, intoxication 76,
                          screaming 83, threatening 78,
                          coughing 74, sneezing 76
sentiment             50  devel 69, test 79                              80       77
================  ======  =====================================  ==========  =======
"""

import json
import os
import shutil
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from zlib import crc32

import numpy as np
import pandas as pd
import soundfile
import yaml

from thesislib.corpora.domains import write_domains
from thesislib.corpora.folder import DESCRIPTION
from thesislib.corpora.recipes import EVENT_DURATIONS_S, RECIPES
from thesislib.corpora.source_filter import render, vary
from thesislib.errors import CorpusError, check_number, check_option, integer, number
from thesislib.store import hash_parameters, make_temporary

#: Raised whenever the same recipe gives other audio than before.
VERSION = 1


def identify_corpus(name, *, n_per_class=None, seed=0, size="demo", clip_s=None, n_domains=0):
    """Recipes and plain parameters that determine a corpus, without writing it.

    Equal parameters give equal bytes.

    Parameters
    ----------
    name : str
        As for :func:`make_corpus`.
    n_per_class : int >= 2, optional
        Clips of the largest class: in each partition, or in all folds together. The
        other classes keep the thesis's proportions, but have at least six clips in
        each partition. Default: by ``size``.
    seed : int >= 0
    size : {"demo", "tiny"}
        Demo for the notebooks, tiny for tests.
    clip_s : float > 0, optional
        Duration of every clip in seconds (of backgrounds in rare_events);
        default: the recipe's range.
    n_domains : int >= 0
        Domains of game_genre or sentiment: see :func:`thesislib.corpora.domains.write_domains`.

    Raises
    ------
    ParameterError
        For an unknown name or an impossible value.
    """
    check_option("name", name, RECIPES)
    check_option("size", size, ("demo", "tiny"))
    check_number("seed", seed, low=0, integer=True)
    (integer(2) | None).check("n_per_class", n_per_class)
    (number(0, open_low=True) | None).check("clip_s", clip_s)
    check_number("n_domains", n_domains, low=0, integer=True)
    if n_domains:
        check_option("name", name, ("game_genre", "sentiment"))
    recipes = RECIPES[name] if isinstance(RECIPES[name], dict) else {"": RECIPES[name]}
    changed = {"duration_s": (float(clip_s),) * 2} if clip_s else {}
    recipes = {
        part: replace(r, n_per_class={"": int(n_per_class or r.n_per_class[size])}, **changed)
        for part, r in recipes.items()
    }
    parameters = {"version": VERSION, "name": name, "seed": int(seed)}
    parameters["recipes"] = hash_parameters({part: asdict(r) for part, r in recipes.items()})
    parameters |= {"n_domains": int(n_domains)} if n_domains else {}
    return recipes, parameters


def make_corpus(name, folder, *, seed=0, **options) -> Path:
    r"""Write a synthetic corpus: audio files and tables in the real corpus's layout.

    Parameters
    ----------
    name : str
        snore, heart, acoustic_scenes, rare_events, game_genre, vocalisations (six
        corpora, a folder each) or sentiment.
    folder : str or Path
        Where the corpus shall stand. It is written aside and renamed, so it is whole
        or absent; a folder that holds this very corpus is left as it is.
    seed : int >= 0
        The same seed gives the same bytes.
    **options
        Of :func:`identify_corpus`.

    Returns
    -------
    Path
        ``folder``. Its ``corpus.json`` says ``synthetic`` and holds the parameters.

    Raises
    ------
    ParameterError
        For an unknown name or an impossible value.
    CorpusError
        If the folder holds something else: nothing is overwritten.

    Examples
    --------
    >>> import tempfile
    >>> root = make_corpus("heart", Path(tempfile.mkdtemp()) / "heart", size="tiny", clip_s=0.5)
    >>> (root / "lab" / "ComParE2018_Heartbeat.tsv").read_text().splitlines()[:2]
    ['file_name\tlabel', 'devel_0001.wav\t2']
    """
    recipes, parameters = identify_corpus(name, seed=seed, **options)
    folder = Path(folder)
    if _is_complete(folder, parameters):
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    aside = make_temporary(folder, folder=True)
    try:
        for part, recipe in recipes.items():
            _LAYOUTS[name](recipe, aside / part, seed)
            if n_domains := options.get("n_domains"):
                write_domains(aside / part, n_domains, seed)
            _describe(aside / part, part or name, parameters, departs=recipe.departs)
        if "" not in recipes:
            _describe(aside, name, parameters)
        aside.chmod(0o755)
        try:
            os.rename(aside, folder)  # onto nothing or an empty folder, never onto files
        except OSError:
            if not _is_complete(folder, parameters):  # else another process was faster
                raise
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    return folder


def _is_complete(folder, parameters):
    if not folder.is_dir() or not any(folder.iterdir()):
        return False
    try:
        generator = json.loads((folder / DESCRIPTION).read_text(encoding="utf-8"))["generator"]
    except (OSError, ValueError, KeyError, TypeError):
        generator = "other files"
    if generator != parameters:
        wanted = f"an empty folder or the synthetic corpus {parameters}"
        hint = "name another folder or remove this one"
        raise CorpusError(f"{folder}: found {generator}, expected {wanted}; {hint}")
    return True


def _describe(folder, name, parameters, **more):
    text = {"name": f"synthetic {name.replace('_', ' ')}", "kind": "synthetic"}
    text |= {"licence": "CC0 1.0 (generated by thesislib)", "generator": parameters, **more}
    (folder / DESCRIPTION).write_text(json.dumps(text, indent=1), encoding="utf-8")


def _generator(seed, *names):
    """Independent randomness for each thing that has a name, whatever the order."""
    return np.random.default_rng([seed, *(crc32(str(name).encode()) for name in names)])


def _write_clips(recipe, folder, clips, seed):
    """Render and write each row of ``clips`` (file, label, group); return the durations."""
    durations = []
    for file, label, group in clips[["file", "label", "group"]].itertuples(index=False):
        own, rng = _generator(seed, label, group), _generator(seed, label, group, file)
        sources = vary(recipe.classes[label], own, recipe.group_spread)
        sources = vary(sources, rng, recipe.clip_spread)
        how = {"sr": recipe.sr, "duration_s": rng.uniform(*recipe.duration_s)}
        how["snr_db"] = recipe.snr_db + 4 * rng.standard_normal()
        how["colour_db"] = recipe.colour_db * own.standard_normal(9)
        y = render(sources, rng, **how)
        durations.append(round(_write_audio(folder / file, y, recipe.sr), 4))
    return durations


def _write_audio(path, y, sr):
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, y, sr, subtype="PCM_16")
    return len(y) / sr


def _plan_partitions(recipe):
    """Rows partition, label, group: groups belong to one class and one partition."""
    (largest,) = recipe.n_per_class.values()
    rows = []
    for partition, counts in recipe.counts.items():
        for label, count in zip(recipe.classes, counts):
            n = max(6, round(largest * count / max(counts)))
            n_groups = max(2, n // recipe.n_per_group)
            rows += [(partition, label, f"{partition}-{label}-{i % n_groups}") for i in range(n)]
    return pd.DataFrame(rows, columns=["partition", "label", "group"])


def _plan_folds(recipe):
    """Rows fold, label, group, take: every fold tests groups of its own of every class."""
    (n,) = recipe.n_per_class.values()
    n_groups = max(recipe.n_folds, n // recipe.n_per_group)
    rows = [
        (str(1 + i % n_groups % recipe.n_folds), label, f"{label}-{i % n_groups}", i // n_groups)
        for label in recipe.classes
        for i in range(max(n, n_groups))
    ]
    return pd.DataFrame(rows, columns=["fold", "label", "group", "take"])


def _number_within(clips, split, seed):
    """Number the rows of each partition in an order that says nothing about labels."""
    order = _generator(seed, "order").permutation(len(clips))
    clips = clips.iloc[order].sort_values(split, kind="stable").reset_index(drop=True)
    clips["file"] = (clips.groupby(split).cumcount() + 1).map("{:04d}".format)
    clips["file"] = clips[split] + "_" + clips["file"]
    return clips


def _write_table(path, table, sep="\t", header=True):
    path.parent.mkdir(parents=True, exist_ok=True)
    table.to_csv(path, sep=sep, header=header, index=False, lineterminator="\n")


def _write_compare(recipe, folder, seed, *, name):
    clips = _number_within(_plan_partitions(recipe), "partition", seed)
    clips["file_name"] = clips["file"] + ".wav"
    clips["file"] = "wav/" + clips["file_name"]
    _write_clips(recipe, folder, clips, seed)
    _write_table(folder / "lab" / name, clips[["file_name", "label"]].sort_values("file_name"))
    # Not in the real packages, which name no speakers.
    groups = clips[["file_name", "group"]].sort_values("file_name")
    _write_table(folder / "lab" / "groups.tsv", groups)


def _write_index(recipe, folder, seed):
    """A folder with ``index.csv`` and FLAC files."""
    split = "fold" if recipe.n_folds else "partition"
    clips = _plan_folds(recipe) if recipe.n_folds else _plan_partitions(recipe)
    clips = _number_within(clips, split, seed)
    clips["file"] = "audio/" + clips["file"] + ".flac"
    clips["duration_s"] = _write_clips(recipe, folder, clips, seed)
    columns = ["file", "label", split, "group", "duration_s"]
    _write_table(folder / "index.csv", clips[columns], sep=",")


def _write_scenes(recipe, folder, seed):
    """TUT Acoustic Scenes 2017: ``b020_0_2.wav`` is a part of the recording ``b020``."""
    clips = _plan_folds(recipe)
    places = {group: f"b{i + 1:03d}" for i, group in enumerate(clips["group"].unique())}
    clips["group"] = clips["group"].map(places)
    length_s = max(1, round(recipe.duration_s[0]))
    clips["file"] = [
        f"audio/{group}_{take * length_s}_{(take + 1) * length_s}.wav"
        for group, take in clips[["group", "take"]].itertuples(index=False)
    ]
    _write_clips(recipe, folder, clips, seed)
    _write_table(folder / "meta.txt", clips[["file", "label", "group"]], header=False)
    for fold in sorted(clips["fold"].unique()):
        test = clips["fold"] == fold
        stem, labelled = folder / "evaluation_setup" / f"fold{fold}", clips[["file", "label"]]
        _write_table(Path(f"{stem}_train.txt"), labelled[~test], header=False)
        _write_table(Path(f"{stem}_evaluate.txt"), labelled[test], header=False)
        _write_table(Path(f"{stem}_test.txt"), clips.loc[test, ["file"]], header=False)
    (folder / "error.txt").write_text("")


def _write_rare_events(recipe, folder, seed):
    """Source material of TUT Rare Sound Events 2017; mixtures are made from it later."""
    source = folder / "data" / "source_data"
    setup = source / "cv_setup"
    setup.mkdir(parents=True)
    lists = {partition: {label: [] for label in recipe.classes} for partition in recipe.counts}
    recordings = _plan_partitions(recipe).groupby(["partition", "label", "group"], sort=False)
    for recording, ((partition, label, group), events) in enumerate(recordings, start=30001):
        path = source / "events" / label / f"{recording}.wav"
        segments = _write_events(recipe, path, label, len(events), _generator(seed, label, group))
        _write_yaml(path.with_suffix(".yaml"), {"valid_segments": segments})
        lists[partition][label] += [{"audio_filename": path.name, "segment": s} for s in segments]
    scenes = replace(RECIPES["acoustic_scenes"], duration_s=recipe.duration_s)
    labels = sorted(scenes.classes)
    # Places of all scenes for training, others of every second scene for testing.
    rows = [("devtrain", name) for name in labels] + [("devtest", name) for name in labels[::2]]
    clips = pd.DataFrame(rows, columns=["partition", "label"])
    clips["group"] = [f"a{i:03d}" for i in range(1, len(clips) + 1)]
    clips["file"] = "audio/" + clips["group"] + f"_0_{round(recipe.duration_s[0])}.wav"
    _write_clips(scenes, source / "bgs", clips, seed)
    for partition, table in lists.items():
        _write_yaml(setup / f"events_{partition}.yaml", table)
        backgrounds = clips.loc[clips["partition"] == partition, ["file", "label"]]
        entries = [
            {"filepath": file, "classname": label, "classid": labels.index(label)}
            for file, label in backgrounds.itertuples(index=False)
        ]
        _write_yaml(setup / f"bgs_{partition}.yaml", entries)
    # No background holds a target event, so the list of such backgrounds is empty.
    (source / "bgs" / "bg_screening.csv").write_text("filename,babycry,glassbreak,gunshot\n")
    (source / "bgs" / "error.txt").write_text("")


def _write_events(recipe, path, label, n_events, own):
    """One recording of a few events with silence between; return where they lie."""
    sources = vary(recipe.classes[label], own, recipe.group_spread)
    colour_db = recipe.colour_db * own.standard_normal(9)
    silence = np.zeros(round(0.4 * recipe.sr))
    pieces, segments = [silence], []
    how = {"sr": recipe.sr, "snr_db": recipe.snr_db, "colour_db": colour_db, "sudden": True}
    for _ in range(n_events):
        varied = vary(sources, own, recipe.clip_spread)
        duration_s = round(np.exp(own.uniform(*np.log(EVENT_DURATIONS_S[label]))), 3)
        y = render(varied, own, duration_s=duration_s, **how)
        y *= np.minimum(1, np.arange(len(y), 0, -1) / (0.05 * recipe.sr))  # no click at its end
        first_s = sum(map(len, pieces)) / recipe.sr
        segments.append([round(first_s, 3), round(first_s + len(y) / recipe.sr, 3)])
        pieces += [y, silence]
    _write_audio(path, np.concatenate(pieces), recipe.sr)
    return segments


def _write_yaml(path, content):
    path.write_text(yaml.safe_dump(content, sort_keys=True), encoding="utf-8")


_LAYOUTS = {
    "snore": partial(_write_compare, name="ComParE2017_Snore.tsv"),
    "heart": partial(_write_compare, name="ComParE2018_Heartbeat.tsv"),
    "acoustic_scenes": _write_scenes,
    "rare_events": _write_rare_events,
} | dict.fromkeys(("game_genre", "vocalisations", "sentiment"), _write_index)
