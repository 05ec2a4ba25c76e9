"""Mixtures of rare events and backgrounds, in the layout of TUT Rare Sound Events 2017 (8.2).

From isolated events and backgrounds to mixtures, recipes and event lists::

    data/mixture_data/<subset>/<hash of the parameters>/
        audio/mixture_<subset>_<class>_<number>_<hash>.wav
        meta/mixture_recipes_<subset>_<class>.yaml
        meta/event_list_<subset>_<class>.csv

Conventions
-----------
- Events are a table with ``file``, ``label`` and, where they are part of a file, ``onset_s`` and
  ``offset_s``; backgrounds one with ``file``, ``label`` and optionally ``onset_s``, ``offset_s``
  and ``excluded`` (comma-separated event classes that can be heard in them already).
- The event-to-background ratio (EBR) is that of the root mean squares of the event and of the
  background under it, in dB.
- Written anew from the published description: the draws are other ones than the published
  generator's, so its mixtures cannot be had again by its seed.
"""

import re
from pathlib import Path

import numpy as np
import pandas as pd
import soundfile
import yaml

from thesislib.audio import probe_audio, read_audio
from thesislib.corpora.event_lists import index_recipes, read_recipes
from thesislib.errors import CorpusError, ParameterError, check_number
from thesislib.store import hash_parameters, write_atomically
from thesislib.workers import Parallel, delayed

ANTI_CLIPPING = 0.2  # the published factor for every mixture, so that levels stay comparable
QUIETEST_RMS = 1e-4  # below, 24 bits no longer hold an event at -6 dB to 0.1 dB
FADE_S = 0.1  # where a short background is looped

_Dumper = getattr(yaml, "CSafeDumper", yaml.SafeDumper)


def synthesize_mixtures(
    root,
    events,
    backgrounds,
    *,
    events_root,
    backgrounds_root,
    subset="devtrain",
    n_mixtures=500,
    presence_probability=0.5,
    ebr_db=(-6, 0, 6),
    duration_s=30.0,
    sr=44100,
    seed=42,
    shared_onsets=False,
    n_jobs=1,
):
    """Mix isolated events into backgrounds (thesis 8.2.1.1).

    For each class ``round(n_mixtures * presence_probability)`` events and ``n_mixtures``
    backgrounds are drawn with replacement, then which mixtures hold an event, onsets and EBRs.
    A mixture is ``0.2 * (background + scaled event)``, scaled further only if it would clip.

    Parameters
    ----------
    root : str or Path
        Corpus folder; ``data/mixture_data`` is made in it.
    events, backgrounds : DataFrame
        See the module's conventions.
    events_root, backgrounds_root : str or Path
        Folders that their ``file`` is relative to.
    subset : str
        ``devtrain``, ``devtest``, …; part of every name, and of the seed.
    n_mixtures : int > 0
        Mixtures a class: 1 000 for the thesis's training set, 500 as published.
    presence_probability : float in [0, 1]
        0.9 for the thesis's training set, 0.5 as published.
    ebr_db : sequence of float
        Event-to-background ratios to draw from.
    duration_s : float > 0
        Longer backgrounds are cut, shorter ones looped with a crossfade.
    sr : int > 0
        Sampling rate in Hz; everything is resampled to it and averaged to mono.
    seed : int >= 0
        A generator for each subset and class, so that a class does not depend on the others.
    shared_onsets : bool
        Reproduce a defect of the published generator: it kept one onset an event, not one a
        mixture, so all mixtures with the same event share the onset drawn last. The
        default draws independent onsets.
    n_jobs : int
        Processes; the bytes do not depend on it.

    Returns
    -------
    DataFrame
        `index_recipes` of all classes, ``file`` relative to ``root``. Mixtures that are there
        already are not written again.

    Raises
    ------
    CorpusError
        If a table is empty or incomplete, an event longer than a mixture, or silent, or every
        background excluded.

    Notes
    -----
    An EBR over digital silence does not exist. Where the background under the event stays below
    -80 dBFS the onset is drawn again (with ``shared_onsets`` that is an error).
    """
    check_number("n_mixtures", n_mixtures, low=1, integer=True)
    check_number("presence_probability", presence_probability, low=0, high=1)
    check_number("duration_s", duration_s, low=0, open_low=True)
    check_number("sr", sr, low=1, integer=True)
    check_number("seed", seed, low=0, integer=True)
    ebr_db = [float(check_number("ebr_db", ebr)) for ebr in ebr_db]
    if not ebr_db:
        raise ParameterError("ebr_db: found no value, expected at least one ratio in dB")
    events = _check_sources("events", events)
    backgrounds = _check_sources("backgrounds", backgrounds)
    settings = {"subset": subset, "n_mixtures": n_mixtures, "sr": sr, "seed": seed}
    settings |= {"presence_probability": float(presence_probability), "ebr_db": ebr_db}
    settings |= {"duration_s": float(duration_s), "shared_onsets": bool(shared_onsets)}
    sources = {"events": events, "backgrounds": backgrounds}
    folder = f"data/mixture_data/{subset}/{hash_parameters(settings | sources)[:32]}"
    where = {"events_root": Path(events_root), "backgrounds_root": Path(backgrounds_root)}
    how, index = {"n_jobs": n_jobs, "sr": sr, "duration_s": duration_s, **where}, []
    for label in sorted({event["label"] for event in events}):
        plans = _plan(label, events, backgrounds, where["events_root"], settings)
        recipes = _write_class(Path(root) / folder, plans, f"{subset}_{label}", **how)
        rows = index_recipes(recipes, label=label, folder=f"{folder}/audio")
        index.append(rows.assign(partition=subset, duration_s=float(duration_s)))
    return pd.concat(index, ignore_index=True)


def _check_sources(name, table):
    """Table as records of plain values, or an error that names what is missing."""
    if missing := [column for column in ("file", "label") if column not in table]:
        raise CorpusError(f"{name}: columns {', '.join(missing)} are missing")
    if table.empty:
        raise CorpusError(f"{name}: the table is empty, expected at least one row")
    # An event's class is part of file names; a background's is not: "cafe/restaurant".
    good, wanted = r".+", "text"
    if name == "events":
        good, wanted = r"[^/\\\t\n]+", "text that can be part of a file name"
    for label in table["label"].unique():
        if not isinstance(label, str) or not re.fullmatch(good, label):
            raise CorpusError(f"{name}: found label {label!r}, expected {wanted}")
    records = []
    for row in table.to_dict("records"):
        start, end = (row.get(column) for column in ("onset_s", "offset_s"))
        start, end = (None if pd.isna(x) else float(x) for x in (start, end))
        if (start or 0) < 0 or (end is not None and end <= (start or 0)):
            raise CorpusError(f"{name}: {row['file']} runs from {start} s to {end} s")
        excluded = row.get("excluded")
        excluded = [] if pd.isna(excluded) else sorted(re.findall("[^, ]+", excluded))
        segment = {"start_s": start, "end_s": end, "excluded": excluded}
        records.append({"file": str(row["file"]), "label": row["label"], **segment})
    return records


def _plan(label, events, backgrounds, events_root, settings):
    """What each mixture of a class shall be: cheap, in one process, all random draws."""
    rng = np.random.default_rng([settings["seed"], *f"{settings['subset']}/{label}".encode()])
    events = [event for event in events if event["label"] == label]
    backgrounds = [b for b in backgrounds if label not in b["excluded"]]
    if not backgrounds:
        raise CorpusError(f"backgrounds: every one is excluded for {label}")
    n_mixtures, duration_s = settings["n_mixtures"], settings["duration_s"]
    n_present = round(n_mixtures * settings["presence_probability"])
    which_event = rng.integers(len(events), size=n_present)
    which_background = rng.integers(len(backgrounds), size=n_mixtures)
    # The flags are permuted, not drawn, so that the share of events is exact.
    present = rng.permutation(np.arange(n_mixtures) < n_present)
    lengths_s = {i: _length_s(events[i], events_root, duration_s) for i in np.unique(which_event)}
    onsets_s = [float((duration_s - lengths_s[i]) * rng.random()) for i in which_event]
    if settings["shared_onsets"]:
        last = dict(zip(which_event, onsets_s, strict=True))
        onsets_s = [last[i] for i in which_event]
    ebrs_db = rng.choice(settings["ebr_db"], size=n_present).tolist()
    drawn = iter(zip(which_event, onsets_s, ebrs_db, strict=True))

    plans = []
    for number in range(n_mixtures):
        plan = {"background": backgrounds[which_background[number]], "event": None}
        if present[number]:
            i, onset_s, event_ebr_db = next(drawn)
            plan |= {"event": events[i], "length_s": lengths_s[i], "onset_s": onset_s}
            plan |= {"ebr_db": event_ebr_db, "movable": not settings["shared_onsets"]}
        # Identifies the mixture: same name, same content.
        key = hash_parameters(plan | {"settings": settings, "number": number})[:32]
        plan["name"] = f"mixture_{settings['subset']}_{label}_{number:03d}_{key}.wav"
        plan["redraw_seed"] = int(key[:8], 16)
        plans.append(plan)
    return plans


def _length_s(event, root, duration_s):
    start_s, end_s = event["start_s"] or 0.0, event["end_s"]
    if end_s is None:
        end_s = probe_audio(root / event["file"]).duration_s
    if not 0 < end_s - start_s <= duration_s:
        found = f"{event['file']} has a segment of {end_s - start_s:.3f} s"
        wanted = f"more than 0 and at most the mixture's {duration_s} s"
        raise CorpusError(f"events: {found}, expected {wanted}")
    return float(end_s - start_s)


def _write_class(folder, plans, stem, *, n_jobs, **how):
    """Mixtures, recipes and event list of one class; nothing that is there is done again."""
    recipe_file = folder / "meta" / f"mixture_recipes_{stem}.yaml"
    paths = [folder / "audio" / plan["name"] for plan in plans]
    todo = [None if path.exists() else path for path in paths]
    if recipe_file.exists() and not any(todo):
        recipes = read_recipes(recipe_file)
        if recipes["mixture_audio_filename"].tolist() == [path.name for path in paths]:
            return recipes
    # A worker holds one mixture at a time and gives back its recipe only.
    recipes = Parallel(n_jobs=n_jobs)(
        delayed(_write_mixture)(plan, path, **how) for plan, path in zip(plans, todo)
    )
    with write_atomically(folder / "meta" / f"event_list_{stem}.csv") as temporary:
        temporary.write_text("".join(r["annotation_string"] + "\n" for r in recipes))
    with write_atomically(recipe_file) as temporary, open(temporary, "w") as file:
        yaml.dump(recipes, file, Dumper=_Dumper, sort_keys=False)
    return pd.DataFrame(recipes)


def _write_mixture(plan, path, *, events_root, backgrounds_root, sr, duration_s):
    """Recipe of one mixture; its audio is written unless ``path`` is None."""
    source, event = plan["background"], plan["event"]
    start_s, end_s = source["start_s"], source["end_s"]
    bed = {"sr": sr, "duration_s": duration_s, "start_s": start_s, "end_s": end_s}
    mixture = read_background(backgrounds_root / source["file"], **bed)
    recipe = {
        "bg_path": source["file"],
        "bg_classname": source["label"],
        "event_present": event is not None,
        "mixture_audio_filename": plan["name"],
        "annotation_string": plan["name"],
        "ebr": -float("inf"),
    }
    if event is not None:
        start_s, event_path = event["start_s"] or 0.0, events_root / event["file"]
        y, _ = read_audio(event_path, sr=sr, start_s=event["start_s"], end_s=event["end_s"])
        onset_s, background_rms = _place(plan, mixture, len(y), sr, duration_s)
        start = round(onset_s * sr)
        y = np.asarray(y[: len(mixture) - start], dtype=np.float64)
        if not _rms(y) > 0:
            raise CorpusError(f"events: {event['file']} is silent from {start_s} s")
        scaling = 10 ** (plan["ebr_db"] / 20) * background_rms / _rms(y)
        mixture[start : start + len(y)] += scaling * y
        span = f"{onset_s}\t{onset_s + plan['length_s']}"
        recipe |= {
            "ebr": plan["ebr_db"],
            "event_path": event["file"],
            "event_class": event["label"],
            "event_start_in_mixture_seconds": onset_s,
            "event_length_seconds": plan["length_s"],
            "segment_start_seconds": start_s,
            "segment_end_seconds": start_s + plan["length_s"],
            "scaling_factor": float(scaling),
            "annotation_string": f"{plan['name']}\t{span}\t{event['label']}",
        }
    if path is not None:
        mixture *= ANTI_CLIPPING
        mixture /= max(1.0, float(np.abs(mixture).max()))
        with write_atomically(path) as temporary:
            soundfile.write(temporary, mixture, sr, format="WAV", subtype="PCM_24")
    return recipe


def _place(plan, background, n_samples, sr, duration_s):
    """Onset of the event and the level of the background under it."""
    rng, onset_s = np.random.default_rng(plan["redraw_seed"]), plan["onset_s"]
    for _ in range(100 if plan["movable"] else 1):
        start = round(onset_s * sr)
        level = _rms(background[start : start + n_samples])
        if level >= QUIETEST_RMS:
            return onset_s, level
        onset_s = float((duration_s - plan["length_s"]) * rng.random())
    where = f"under {plan['event']['file']} at {plan['onset_s']:.3f} s"
    what = f"{plan['background']['file']} is silent {where}, so no EBR can be set; leave it out"
    raise CorpusError(f"backgrounds: {what}")


def _rms(y):
    return float(np.sqrt(np.mean(np.square(y, dtype=np.float64)))) if len(y) else 0.0


def read_background(path, *, sr, duration_s, start_s=None, end_s=None):
    """Background of exactly the duration: cut, or looped with an equal-power crossfade.

    Parameters
    ----------
    path : str or Path
        Audio file.
    sr : int
        Sampling rate in Hz to resample to.
    duration_s : float
        Duration of the result; TUT's backgrounds have it, other corpora's may be shorter.
    start_s, end_s : float, optional
        Part of the file.

    Returns
    -------
    ndarray, shape (round(duration_s * sr),), float64
    """
    y, _ = read_audio(path, sr=sr, channel="mean", start_s=start_s, end_s=end_s)
    y, n_samples = np.asarray(y, dtype=np.float64), round(duration_s * sr)
    if len(y) < n_samples:
        n_fade = min(round(FADE_S * sr), len(y) // 2)
        phase = (np.arange(n_fade) + 0.5) / max(n_fade, 1) * np.pi / 2
        seam = y[len(y) - n_fade :] * np.cos(phase) + y[:n_fade] * np.sin(phase)
        period = np.concatenate([y[n_fade : len(y) - n_fade], seam])
        n_periods = -(-n_samples // len(period))
        y = np.concatenate([y[:n_fade], np.tile(period, n_periods)])
    return y[:n_samples].copy()
