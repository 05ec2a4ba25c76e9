"""Features of any recordings, as a table: what ``thesis features`` does (chapters 4 to 6).

Read the labels, make the recipe; then, for each shard of the recordings: compute, arrange, write.
A table in one file is one shard. Unreadable files are skipped and listed at the end. Invalid
options, labels and outputs raise before any computation.
"""

import math
import warnings
from collections import Counter
from contextlib import nullcontext, suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.io import wavfile
from tqdm.auto import tqdm

from thesislib import __version__
from thesislib.audio import probe_audio, read_rate
from thesislib.corpora.index import Corpus
from thesislib.corpora.recordings import find_recordings, read_labels
from thesislib.errors import AudioError, ParameterError, check_number, check_option
from thesislib.export.openxbow import write_frames
from thesislib.export.recipe import make_recipe
from thesislib.export.shards import INDEX, VERSION, find_part, hold, part_path, write_index
from thesislib.export.tables import FORMATS, check_writable, make_table, write_table
from thesislib.representations.extraction import Reading, extract, key_rows, warn_together
from thesislib.spectra.plot import AudioPlot, write_png
from thesislib.store import hash_parameters, write_atomically
from thesislib.workers import Parallel, delayed

#: Clips of a shard by default; of a shard of frames, which are many.
SHARD_CLIPS, FRAME_CLIPS = 1000, 100
# Bytes that a sample takes in one piece, at most (frames of 39 MFCCs); limit of a remark.
_SAMPLE_BYTES, _MANY_GB = 44, 2
#: Options of `read_labels`.
LABELLING = ("labels", "label", "nominal", "unlabelled")


@dataclass(frozen=True)
class Outcome:
    """Counts of a written table; ``errors`` has the reason for each file without features."""

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
    openxbow=False,
    save_plots=None,
    save_audio=None,
    store=None,
    shards=None,
    n_jobs=1,
    random_state=0,
    on_error="collect",
    progress=False,
    **options,
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
        `thesislib.export.shards`: in constant memory, and without the store.
    representation : str
        One of `thesislib.export.recipe.REPRESENTATIONS`.
    reading : Reading, optional
        Channel, sampling rate, chunks.
    start_s, end_s : float, optional
        Segment of every file.
    openxbow : bool
        Write frames as openXBOW's CSV, which `bag_csv` reads, without labels.
    save_plots, save_audio : str or Path, optional
        Folders for the audio plots, as PNG, and for the audio as it was read, as WAV of float32:
        ``clip.wav.png``, or ``clip.wav.0003.png`` for chunk 3.
    store : FeatureStore, optional
    shards : int, optional
        Clips of a shard; makes a folder of any output.
    n_jobs, random_state : int
    on_error : {"collect", "raise"}
        Whether bad files are left out of the table, or prevent it.
    progress : bool
    **options
        ``labels``, ``label``, ``nominal``, ``unlabelled`` of `read_labels`; all others are
        options of the representation, see `make_recipe`; None stands for the default.

    Returns
    -------
    Outcome
        Without a good file no table is written.

    Raises
    ------
    ParameterError, CorpusError, WeightsError
        Before any work, except for what only the audio shows (fewer frames than words).
    AudioError
        With ``on_error="raise"``; lists all bad files.
    StoreError
        If the disk is full; finished shards stay.

    Examples
    --------
    >>> import soundfile, tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> soundfile.write(folder / "a.wav", np.random.default_rng(0).normal(0, 0.1, 4000), 8000)
    >>> write_features([folder], folder / "a.csv", "band-statistics", n_mels=2).n_features
    4
    >>> print((folder / "a.csv").read_text())
    file,mean_0,mean_1,deviation_0,deviation_1
    a.wav,...
    """
    reading, output = reading or Reading(), Path(output)
    in_shards = is_sharded(output, shards)
    check_option("on_error", on_error, ("collect", "raise"))
    check_number("n_jobs", n_jobs, low=1, integer=True)
    if shards is not None:
        check_number("shards", shards, low=1, integer=True)
    labelling = {name: options.pop(name) for name in LABELLING if name in options}
    recipe = make_recipe(representation, options, reading=reading, random_state=random_state)
    folders = {"save_plots": save_plots, "save_audio": save_audio}
    _check_outputs(output, in_shards, recipe, representation, openxbow=openxbow, **folders)
    corpus, labels, errors, remarks = _read(audio, (start_s, end_s), labelling, recipe)
    if on_error == "raise":
        _raise_any(errors)
    if reading.chunk_s is None and end_s is None:
        _warn_of_memory(corpus.paths)
    about = {"thesislib": __version__, "representation": representation, **recipe.describe()}
    about["reading"] = asdict(reading) | {"start_s": start_s, "end_s": end_s}
    if recipe.passes_spectra:
        store = None
    how = {"reading": reading, "n_jobs": n_jobs, "progress": progress}
    size = shards or (FRAME_CLIPS if recipe.row == "frame" else SHARD_CLIPS)
    size = size if in_shards else max(len(corpus), 1)
    types = _list_types(recipe, reading, labels)

    # For each shard: compute, arrange, write.
    parts, warned, n_parts = [], {}, math.ceil(len(corpus) / size)
    bar = tqdm(total=n_parts, unit="shard", disable=not (progress and in_shards), leave=False)
    with hold(output, n_parts) if in_shards else nullcontext(), bar:
        for number in range(n_parts):
            clips = slice(number * size, (number + 1) * size)
            shard = replace(corpus, index=corpus.index.iloc[clips])
            shard_labels = {title: values[clips] for title, values in labels.items()}
            path, keyed, key, part = output, None, None, None
            if in_shards:
                path = part_path(output, number)
                keyed = key_rows(shard, recipe.estimator, recipe.spectrum, reading=reading)
                key = _hash_shard(shard, keyed, shard_labels, about, recipe)
                part = find_part(path, key)
            if part is None:
                features = _extract(shard, recipe, None if in_shards else store, keyed, warned, how)
                if on_error == "raise" and not in_shards:
                    _raise_any(_name_errors(shard, features))
                counts, table = arrange(shard, shard_labels, features, recipe, reading, types)
                part = {"key": key, **counts, "about": about}
                _write(path, table, part, types, in_shards=in_shards, openxbow=openxbow)
            parts.append(part)
            bar.update()
        if in_shards:
            write_index(output, parts)
    warn_together(warned)
    for part in parts:
        errors |= part["errors"]
    if on_error == "raise":
        _raise_any(errors)
    if any(folders.values()):
        good = [name for name in corpus.index["file"] if name not in errors]
        _save_inputs(corpus.root, good, (start_s, end_s), recipe.spectrum, reading, n_jobs, folders)
    return _sum_up(parts, errors, remarks)


def is_sharded(output, shards):
    """Whether an output is a folder of shards.

    Examples
    --------
    >>> is_sharded("features/", None), is_sharded("a.csv", None), is_sharded("a.v2", 10)
    (True, False, True)
    """
    output = Path(output)
    if shards is not None or not output.suffix:
        return True
    return output.suffix not in FORMATS and output.is_dir()


def _check_outputs(output, in_shards, recipe, representation, *, openxbow, **folders):
    """Raise before the work what would else be raised after it."""
    name = next((name for name, value in folders.items() if value is not None), None)
    if in_shards and (openxbow or name):
        name = "openxbow" if openxbow else name
        raise ParameterError(f"{name}: found beside a folder of shards, expected a file")
    if in_shards and recipe.needs_all:
        raise ParameterError(
            f"output: found a folder of shards for {representation}, which learns from all audio "
            "at once: train it on a part with a file as output and save_model (bag: save_codebook)"
            ", then give model (bag: codebook)"
        )
    if not in_shards:
        check_option("output", output.suffix, FORMATS)
    if openxbow and not (recipe.row == "frame" and output.suffix == ".csv"):
        raise ParameterError(f"openxbow: found {representation}, expected frames, as .csv")
    if folders["save_plots"] is not None and not isinstance(recipe.spectrum, AudioPlot):
        raise ParameterError(f"save_plots: found {representation}, which draws no plots")
    inside = [Path(folder) / "clip.png" for folder in folders.values() if folder is not None]
    for path in (output / INDEX if in_shards else output, recipe.save_to, *inside):
        if path is not None:
            check_writable(path)


def _read(audio, segment_s, labelling, recipe):
    """Corpus of the recordings, labels by column, errors of their names, remarks."""
    root, names, refused, ignored = find_recordings(audio)
    labels, n_unused = read_labels(names, root, **labelling)
    taken = {"file", "chunk", "frame", "start_s", "end_s"}.union(recipe.names)
    for title in taken & set(labels):
        raise ParameterError(f"labels: found a column {title!r}, which the table has already")
    start_s, end_s = segment_s
    if start_s is not None:
        check_number("start_s", start_s, low=0)
    if end_s is not None:
        check_number("end_s", end_s, low=start_s or 0, open_low=True)
    rows = {"file": names, "label": None, "start_s": start_s, "end_s": end_s}
    errors = {repr(name): "found a name that is not UTF-8" for name in refused}
    remarks = []
    if ignored:
        each = ", ".join(f"{n} {end or 'without suffix'}" for end, n in sorted(ignored.items()))
        remarks.append(f"left out {sum(ignored.values())} other files ({each})")
    if n_unused:
        remarks.append(f"{n_unused} rows of the labels are of files that are not among these")
    return Corpus(pd.DataFrame(rows), root, name=str(root)), labels, errors, remarks


def _warn_of_memory(paths):
    """Warn before the work if the largest recording, read in one piece, takes gigabytes."""
    with suppress(AudioError, OSError, ValueError):  # reported with all others
        info = probe_audio(max(paths, key=lambda path: path.stat().st_size))
        if (most_gb := info.n_samples * _SAMPLE_BYTES / 1e9) > _MANY_GB:
            what = (
                f"{info.duration_s / 3600:.1f} h in one piece take up to {most_gb:.0f} GB of memory"
            )
            warnings.warn(f"{info.path}: {what}; --chunk S divides it", stacklevel=3)


def _list_types(recipe, reading, labels):
    """Types of the columns that are not features, in their order: alike in all shards."""
    import pyarrow

    is_cut, is_framed = reading.chunk_s is not None and recipe.row != "clip", recipe.row == "frame"
    types = {"file": pyarrow.string()}
    types |= {"chunk": pyarrow.int64()} if is_cut else {}
    types |= {"frame": pyarrow.int64()} if is_framed else {}
    if is_cut or is_framed:
        types |= {"start_s": pyarrow.float64(), "end_s": pyarrow.float64()}
    return types | {title: pyarrow.array(values).type for title, values in labels.items()}


def _hash_shard(shard, keyed, labels, about, recipe):
    """Key of a shard: all that its bytes depend on."""
    rows, errors = keyed
    clips = {row.number: row.key for row in rows} | {n: str(why) for n, why in errors.items()}
    described = {"about": about, "version": VERSION}
    if recipe.is_fitted:
        described["learner"] = recipe.state()
    return hash_parameters(
        {
            "clips": [clips[number] for number in range(len(shard))],
            "files": shard.index["file"].tolist(),
            "about": [hash_parameters(described), labels],
        }
    )


def arrange(shard, labels, features, recipe, reading, types):
    """Table from the features of clips.

    Returns
    -------
    about : dict
        Counts, first and last file, errors by file.
    table : pandas.DataFrame
        Clips, chunks or frames, the features, labels.
    """
    files, paths = shard.index["file"].tolist(), shard.paths
    good = [n for n in range(len(files)) if n not in features.errors]
    rates = [reading.sr or read_rate(paths[n]) for n in good]
    n_chunks = np.array([len(features.lengths[n]) for n in good], int)
    # A row for each chunk, with the number of its clip as index.
    places = {"start_s": features.starts_s, "end_s": features.ends_s}
    places = {title: _join(times_s[n] for n in good) for title, times_s in places.items()}
    places = pd.DataFrame(places, np.repeat(np.array(good, int), n_chunks))
    places["chunk"] = places.groupby(level=0).cumcount()
    if recipe.learner is None:
        matrix = features.matrix
    else:
        pieces = [features.by_row[n] for n in good]
        if recipe.row == "clip":
            places = places.groupby(level=0).head(1)
        else:
            cuts = (np.cumsum(features.lengths[n])[:-1] for n in good)
            pieces = [part for piece, cut in zip(pieces, cuts) for part in np.split(piece, cut)]
        matrix = recipe.learn(pieces, [files[n] for n in places.index])
    names = recipe.names
    if recipe.row == "frame":
        hops_s = np.repeat([recipe.hop_s(sr) for sr in rates], n_chunks)
        chunks = np.repeat(np.arange(len(places)), _join(features.lengths[n] for n in good))
        places = places.iloc[chunks]
        frame = places.groupby([places.index, "chunk"]).cumcount()
        starts_s = places["start_s"] + frame * hops_s[chunks]
        places = places.assign(frame=frame, start_s=starts_s, end_s=starts_s + hops_s[chunks])
    places["file"] = [files[n] for n in places.index]
    leading = [title for title in types if title in places]
    behind = {title: [values[n] for n in places.index] for title, values in labels.items()}
    about = {
        "first": files[0],
        "last": files[-1],
        "n_clips": len(good),
        "n_rows": len(matrix),
        "n_features": len(names),
        "errors": _name_errors(shard, features),
        "rates": {str(sr): n for sr, n in sorted(Counter(rates).items())},
        "leading": leading,
        "labels": list(labels),
    }
    return about, make_table(places[leading].to_dict("list"), names, matrix, behind)


def _name_errors(shard, features):
    files, paths = shard.index["file"].tolist(), shard.paths
    return {files[n]: str(e).removeprefix(f"{paths[n]}: ") for n, e in features.errors.items()}


def _join(arrays):
    arrays = list(arrays)
    return np.concatenate(arrays) if arrays else np.empty(0, int)


def _write(path, table, about, types, *, in_shards, openxbow):
    """Write a shard; a table in one file only if there is a row."""
    if in_shards:
        write_table(path, table, about=about, types=types)
    elif openxbow and about["n_clips"]:
        clips = table["file"]
        if "chunk" in table:
            clips = clips + "#" + table["chunk"].astype(str)
        write_frames(path, clips, table.select_dtypes("float32").to_numpy()[:, np.newaxis])
    elif about["n_clips"]:
        write_table(path, table, about=about["about"], types=types)


def _raise_any(errors):
    listed = [f"{name}: {reason}" for name, reason in errors.items()]
    if listed:
        raise AudioError("\n  - ".join([f"{len(errors)} files cannot be used", *listed]))


def _extract(shard, recipe, store, keyed, warned, how):
    """Features of a shard; its warnings are added to ``warned``, two files each at most."""
    features = extract(
        shard, recipe.estimator, recipe.spectrum, store, on_error="collect", keyed=keyed, **how
    )
    for warning, paths in features.warned.items():
        warned[warning] = [*warned.get(warning, ()), *paths][:2]
    return features


def _sum_up(parts, errors, remarks):
    rates = sum((Counter(part["rates"]) for part in parts), Counter())
    if len(rates) > 1:
        each = ", ".join(f"{rates[sr]} at {sr} Hz" for sr in sorted(rates, key=int))
        lowest = f"features differ by that alone: give --sr {min(rates, key=int)}"
        remarks = [*remarks, f"mixed sampling rates ({each}): {lowest}"]
    n_clips, n_rows = (sum(part[count] for part in parts) for count in ("n_clips", "n_rows"))
    n_features = parts[0]["n_features"] if n_clips else 0
    return Outcome(n_clips, n_rows, n_features, errors, remarks)


def _save_inputs(root, names, segment_s, plot, reading, n_jobs, folders):
    """Write what was read of recordings: audio plots and signals."""
    # Workers, which are reused, may have another working directory.
    folders = {kind: folder and Path(folder).absolute() for kind, folder in folders.items()}
    Parallel(n_jobs)(
        delayed(_save_input)(name, root / name, segment_s, plot, reading, **folders)
        for name in names
    )


def _save_input(name, path, segment_s, plot, reading, *, save_plots, save_audio):
    signals, _, sr = reading.read(path, *segment_s)
    for chunk, y in enumerate(signals):
        number = "" if reading.chunk_s is None else f".{chunk:04d}"
        if save_plots is not None:
            write_png(save_plots / f"{name}{number}.png", plot(y, sr=sr))
        if save_audio is not None:
            # Not by libsndfile: it writes the time of day, and its errors have no error number.
            with write_atomically(save_audio / f"{name}{number}.wav") as temporary:
                wavfile.write(temporary, sr, y)
