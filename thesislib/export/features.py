"""Features of any recordings, as a table: what ``thesis features`` does (chapters 4 to 6).

Recordings go in as files and folders, a table comes out: a row a clip, a chunk or a frame, with
labels. A file that is no good costs its own row and no other; all such files are told at the
end, at once. What can be told beforehand (an impossible option, a missing label, a table that
cannot be written) is told before anything is computed.
"""

import math
import tempfile
from collections import Counter
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import numpy as np
import pandas as pd
import soundfile

from thesislib import __version__
from thesislib.corpora.annotations import read_events
from thesislib.corpora.index import Corpus
from thesislib.corpora.recordings import find_recordings, read_labels
from thesislib.errors import AudioError, ParameterError, check_number, check_option
from thesislib.export.feature_shards import check_shardable, is_sharded, write_feature_shards
from thesislib.export.feature_table import FORMATS, write_table
from thesislib.export.openxbow import write_frames
from thesislib.export.plan import make_plan
from thesislib.export.shards import INDEX
from thesislib.representations.extract import Reading, extract
from thesislib.spectra.plot import AudioPlot, write_png
from thesislib.store import write_atomically
from thesislib.workers import Parallel, delayed


@dataclass(frozen=True)
class Outcome:
    """What became of the files: ``errors`` has a reason for each that has no features."""

    n_clips: int = 0
    n_rows: int = 0
    n_features: int = 0
    errors: dict = field(default_factory=dict)
    remarks: list = field(default_factory=list)


def write_features(
    audio,
    output,
    representation,
    *,
    reading=None,
    start_s=None,
    end_s=None,
    labels=None,
    label=None,
    nominal=False,
    unlabelled=False,
    openxbow=False,
    save_plots=None,
    save_audio=None,
    store=None,
    shards=None,
    n_jobs=1,
    random_state=0,
    on_error="collect",
    progress=False,
    **settings,
):
    """Compute a representation of recordings and write it as a table.

    The table has the column ``file``; where a row is less than a clip, ``chunk`` or ``frame``
    or both, with ``start_s`` and ``end_s`` (a frame ends where the next one starts); the
    features; the labels.

    Parameters
    ----------
    audio : list of str or Path
        Files and folders, see `find_recordings`.
    output : str or Path
        ``.parquet``, ``.csv`` or ``.arff``; or a folder (a name without suffix) for shards, see
        `thesislib.export.shards`: in constant memory, and without the store, whose place they take.
    representation : str
        One of `thesislib.export.plan.REPRESENTATIONS`.
    reading : Reading, optional
        Channel, sampling rate, chunks.
    start_s, end_s : float, optional
        Segment of every file.
    labels, label, nominal, unlabelled
        See `read_labels`; for what learns from events, see
        `thesislib.corpora.annotations.read_events`.
    openxbow : bool
        Write frames as openXBOW's CSV, which `bag_csv` reads, without labels.
    save_plots : str or Path, optional
        Folder for the audio plots, as PNG: ``clip.wav.png``, ``clip.wav.0003.png`` for chunk 3.
    save_audio : str or Path, optional
        Folder for the audio as it was read (segment, channel, rate, chunk), as WAV of float32,
        with names alike.
    store : FeatureStore, optional
    shards : int, optional
        Clips of a shard; makes a folder of any output.
    n_jobs, random_state : int
    on_error : {"collect", "raise"}
        Whether bad files leave a table of the good ones, or no table.
    progress : bool
    **settings
        Options of the representation, see `make_plan`; None stands for the default.

    Returns
    -------
    Outcome
        Without a good file no table is written.

    Raises
    ------
    ParameterError, CorpusError, WeightsError
        Before any work, but for what only the audio can tell (fewer frames than words).
    AudioError
        With ``on_error="raise"``; lists all bad files.

    Examples
    --------
    >>> folder = Path(tempfile.mkdtemp())
    >>> soundfile.write(folder / "a.wav", np.random.default_rng(0).normal(0, 0.1, 4000), 8000)
    >>> write_features([folder], folder / "a.csv", "band-statistics", n_mels=2).n_features
    4
    >>> print((folder / "a.csv").read_text())
    file,mean_0,mean_1,deviation_0,deviation_1
    a.wav,...
    """
    reading, in_shards = reading or Reading(), is_sharded(output, shards)
    output = Path(output)
    if not in_shards:
        check_option("output", output.suffix, FORMATS)
    check_option("on_error", on_error, ("collect", "raise"))
    check_number("n_jobs", n_jobs, low=1, integer=True)
    if shards is not None:
        check_number("shards", shards, low=1, integer=True)
    if start_s is not None:
        check_number("start_s", start_s, low=0)
    if end_s is not None:
        check_number("end_s", end_s, low=start_s or 0, open_low=True)
    plan = make_plan(representation, settings, reading=reading, random_state=random_state)
    if openxbow and not (plan.is_framed and output.suffix == ".csv"):
        raise ParameterError(f"openxbow: found {representation}, expected frames, as .csv")
    if save_plots is not None and not isinstance(plan.spectrum, AudioPlot):
        raise ParameterError(f"save_plots: found {representation}, which draws no plots")
    if plan.needs_events and str(labels) in ("None", "folder"):
        raise ParameterError(
            f"labels: found {labels}, expected a table with onset_s, offset_s and label to learn "
            "from, or a trained model"
        )
    if in_shards:
        check_shardable(
            plan, representation, openxbow=openxbow, save_plots=save_plots, save_audio=save_audio
        )
    reading = replace(reading, sr=plan.sr or reading.sr)
    kept = [folder and Path(folder) / "kept" for folder in (save_plots, save_audio)]
    _check_writable(output / INDEX if in_shards else output, plan.save_to, *kept)
    root, names, refused, ignored = find_recordings(audio)
    if plan.needs_events:
        events, n_unused = read_events(names, root, labels, unlabelled=unlabelled)
        columns = {}
    else:
        events = None
        columns, n_unused = read_labels(
            names, root, labels=labels, label=label, nominal=nominal, unlabelled=unlabelled
        )
    taken = {"file", "chunk", "frame", "start_s", "end_s"}
    if plan.learner is None:
        taken |= set(plan.estimator.get_feature_names_out())
    for title in taken & set(columns):
        raise ParameterError(f"labels: found a column {title!r}, which the table has already")
    rows = {"file": names, "label": None, "start_s": start_s, "end_s": end_s}
    corpus = Corpus(pd.DataFrame(rows), root, name=str(root))
    about = {"thesislib": __version__, "representation": representation, **plan.describe()}
    about["reading"] = asdict(reading) | {"start_s": start_s, "end_s": end_s}
    unnamed = {repr(name): "found a name that is not UTF-8" for name in refused}
    if in_shards:
        if unnamed and on_error == "raise":
            raise _join_errors(unnamed)
        parts = write_feature_shards(
            output,
            corpus,
            plan,
            _arrange,
            reading=reading,
            labels=columns,
            about=about,
            size=shards,
            n_jobs=n_jobs,
            progress=progress,
        )
        errors = unnamed | {name: why for part in parts for name, why in part["errors"].items()}
        if errors and on_error == "raise":
            raise _join_errors(errors)
        rates = sum((Counter(part["rates"]) for part in parts), Counter())
        n_clips, n_rows = (sum(part[count] for part in parts) for count in ("n_clips", "n_rows"))
        remarks = _remarks(ignored, n_unused) + _tell_rates(rates)
        return Outcome(n_clips, n_rows, parts[0]["n_features"], errors, remarks)
    found = extract(
        corpus,
        plan.estimator,
        plan.spectrum,
        store if hasattr(plan.estimator, "cache_parameters") else None,
        reading=reading,
        n_jobs=n_jobs,
        on_error="collect",
        progress=progress,
    )
    errors = dict(unnamed)
    for row, error in found.errors.items():
        errors[names[row]] = str(error).removeprefix(f"{corpus.paths[row]}: ")
    if errors and on_error == "raise":
        raise _join_errors(errors)
    good = [row for row in range(len(names)) if row not in found.errors]
    remarks = _remarks(ignored, n_unused)
    if not good:
        return Outcome(errors=errors, remarks=remarks)
    rates = [reading.sr or soundfile.info(corpus.paths[row]).samplerate for row in good]
    remarks += _tell_rates(Counter(rates))
    if plan.needs_events:
        remarks += _learn_events(plan, found, good, events, store, n_jobs)
    rows, leading, feature_names, matrix = _arrange(plan, found, good, rates, names, reading)
    if openxbow:
        clips = [names[row] for row in rows]
        if "chunk" in leading:
            clips = [f"{clip}#{chunk}" for clip, chunk in zip(clips, leading["chunk"])]
        write_frames(output, clips, matrix[:, np.newaxis])
    else:
        leading = {"file": [names[row] for row in rows], **leading}
        columns = {title: [values[row] for row in rows] for title, values in columns.items()}
        if plan.learner is not None:
            about |= {"learner": plan.describe()["learner"]}  # as it has become
        write_table(output, leading, feature_names, matrix, columns, about=about)
    if save_plots is not None or save_audio is not None:
        # Workers, kept from one call to the next, may stand in another folder than we do.
        folders = {"plots": save_plots, "sounds": save_audio}
        folders = {kind: folder and Path(folder).absolute() for kind, folder in folders.items()}
        Parallel(n_jobs)(
            delayed(_keep)(
                names[row], corpus.paths[row], (start_s, end_s), reading, plan.spectrum, **folders
            )
            for row in good
        )
    return Outcome(len(good), *matrix.shape, errors, remarks)


def _join_errors(errors):
    listed = [f"{name}: {reason}" for name, reason in errors.items()]
    return AudioError("\n  - ".join([f"{len(errors)} files cannot be used", *listed]))


def _tell_rates(counts):
    """Remark on sampling rates, if there are several."""
    if len(counts) < 2:
        return []
    listed = ", ".join(f"{counts[sr]} at {sr} Hz" for sr in sorted(counts, key=int))
    return [f"mixed sampling rates ({listed}): features differ by that alone"]


def _arrange(plan, found, good, rates, names, reading):
    """Corpus row of each row of the table, columns of chunks and frames, names, features."""
    rows = [row for row in good for _ in found.lengths[row]]
    chunks = [chunk for row in good for chunk in range(len(found.lengths[row]))]
    starts_s = np.concatenate([found.starts_s[row] for row in good])
    ends_s = np.concatenate([found.ends_s[row] for row in good])
    if plan.learner is not None:
        pieces = [
            piece
            for row in good
            for piece in _cut(found.by_row[row], found.lengths[row], plan.is_whole)
        ]
        if plan.is_whole:
            rows = good
        matrix = _learn(plan, pieces, [names[row] for row in rows])
        matrix = np.concatenate(matrix) if plan.is_framed else matrix
        feature_names = plan.learner.get_feature_names_out()
    else:
        matrix, feature_names = found.matrix, found.names
    leading = {}
    if reading.chunk_s is not None and not plan.is_whole:
        leading = {"chunk": chunks, "start_s": starts_s.tolist(), "end_s": ends_s.tolist()}
    if plan.is_framed:
        lengths = np.concatenate([found.lengths[row] for row in good])
        hops_s = [_frame_hop_s(plan, sr) for sr in rates]
        hops_s = np.repeat(hops_s, [len(found.by_row[row]) for row in good])
        frames = np.concatenate([np.arange(n) for n in lengths])
        rows, chunks = np.repeat(rows, lengths).tolist(), np.repeat(chunks, lengths).tolist()
        starts_s = np.repeat(starts_s, lengths) + frames * hops_s
        leading = {"chunk": chunks} if leading else {}
        leading |= {"frame": frames.tolist(), "start_s": starts_s.tolist()}
        leading["end_s"] = (starts_s + hops_s).tolist()
    return rows, leading, feature_names, matrix


def _cut(features, lengths, is_whole):
    """What the learner makes one vector of: a row's features, or a chunk's."""
    return [features] if is_whole else np.split(features, np.cumsum(lengths)[:-1])


def _learn(plan, pieces, names):
    """Vectors of all pieces, from a learner that learns from them unless it has learnt."""
    if plan.bands_first:
        pieces = [piece.T for piece in pieces]
        wanted = plan.learner.input_shape_ if plan.is_fitted else pieces[0].shape
        for name, piece in zip(names, pieces):
            if piece.shape != tuple(wanted):
                raise ParameterError(
                    f"{name}: found a spectrum of shape {piece.shape}, expected {tuple(wanted)} "
                    "as of the others: chunks of one length at one sampling rate give that"
                )
    with plan.threads():
        if not (plan.is_fitted or plan.needs_events):
            plan.learner.fit(pieces)
            if plan.save_to is not None:
                plan.save(plan.learner, plan.save_to)
        return plan.learner.transform(pieces)


def _learn_events(plan, found, good, events, store, n_jobs):
    """Train on the events of good files; returns remarks."""
    from thesislib.representations.event_features import fit_events

    pieces, places = [], []
    for row in good:
        pieces += _cut(found.by_row[row], found.lengths[row], is_whole=False)
        places += [(row, start_s) for start_s in found.starts_s[row]]
    n_short = fit_events(
        plan.learner,
        pieces,
        places,
        events,
        hop_s=plan.spectrum.hop(plan.sr),
        store=store,
        n_jobs=n_jobs,
    )
    if plan.save_to is not None:
        plan.save(plan.learner, plan.save_to)
    return [f"{n_short} pieces shorter than chunk_frames are not learnt from"] if n_short else []


def _frame_hop_s(plan, sr):
    """Distance between frames, which is a whole number of samples."""
    if plan.spectrum is not None:
        return plan.spectrum.hop(sr)
    if plan.estimator.feature_set == "MFCC39":
        return max(1, round(plan.estimator.hop_s * sr)) / sr
    return math.floor(0.010 * sr + 0.5) / sr  # as openSMILE rounds


def _keep(name, path, segment_s, reading, plot, *, plots, sounds):
    """Write the plots and the signals of a recording."""
    signals, _, sr = reading.read(path, *segment_s)
    for chunk, y in enumerate(signals):
        number = "" if reading.chunk_s is None else f".{chunk:04d}"
        if plots is not None:
            write_png(Path(plots) / f"{name}{number}.png", plot(y, sr=sr))
        if sounds is not None:
            with write_atomically(Path(sounds) / f"{name}{number}.wav") as temporary:
                soundfile.write(temporary, y, sr, subtype="FLOAT", format="WAV")


def _check_writable(*targets):
    """Raise before the work what would else be raised after it."""
    for target in targets:
        if target is None:
            continue
        target = Path(target)
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=target.parent):
                pass
        except OSError as error:
            raise ParameterError(f"{target}: cannot be written ({error.strerror})") from error
        if target.is_dir():
            raise ParameterError(f"{target}: found a folder, expected a file to write")


def _remarks(ignored, n_unused):
    remarks = []
    if ignored:
        listed = ", ".join(
            f"{n} {suffix or 'without suffix'}" for suffix, n in sorted(ignored.items())
        )
        remarks.append(f"left out {sum(ignored.values())} other files ({listed})")
    if n_unused:
        remarks.append(f"{n_unused} rows of the labels are of files that are not among these")
    return remarks
