"""``thesis features -o DIR/``: a representation of recordings in shards, in constant memory.

Representations that learn nothing, and those with a codebook or a model at hand, go straight from
audio to shards. A bag without a codebook takes two steps, both of which can be broken off: its
frames go to shards in ``DIR/_frames``, from which the codebook is learnt and the bags are counted;
``_frames`` may be deleted afterwards.
"""

from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import soundfile

from thesislib.errors import ParameterError
from thesislib.export.feature_table import FORMATS
from thesislib.export.shard_bags import bag_shards
from thesislib.export.shards import SHARD_CLIPS, Table, write_shards
from thesislib.representations.bag_of_features import BagOfFeatures

#: Where the frames of a bag wait.
FRAMES = "_frames"
#: Clips of a shard of frames, which are many.
FRAME_CLIPS = 100


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


def check_shardable(plan, representation, **others):
    """Raise if a representation has to see all audio at once, or an option has no place.

    Raises
    ------
    ParameterError
        Says what to do instead.
    """
    for name, value in others.items():
        if value:
            raise ParameterError(f"{name}: found beside a folder of shards, expected a file")
    learns = plan.learner is not None and not plan.is_fitted
    if plan.needs_events or (learns and not isinstance(plan.learner, BagOfFeatures)):
        raise ParameterError(
            f"output: found a folder of shards for {representation}, which learns from all audio "
            "at once: train it on a part with a file as output and save_model, then give model"
        )


def write_feature_shards(
    folder, corpus, plan, arrange, *, reading, labels, about, size=None, n_jobs=1, progress=False
):
    """Write a representation of recordings as shards; returns the metadata of the parts.

    Parameters
    ----------
    folder : Path
    corpus : Corpus
    plan : Plan
    arrange : callable
        ``arrange(plan, found, good, rates, names, reading)``: rows, leading columns, names and
        matrix of what was extracted.
    reading : Reading
    labels : dict of str to list
    about : dict
        Plain values that say where the features come from.
    size : int, optional
        Clips of a shard.
    n_jobs : int
    progress : bool

    Raises
    ------
    ParameterError, StoreError
        As `write_shards`.
    """
    learns = plan.learner is not None and not plan.is_fitted
    bag = plan
    if learns:
        plan = replace(plan, learner=None, is_whole=False, is_framed=not plan.is_whole)
        about = {name: value for name, value in about.items() if name != "learner"}
    types = _list_types(plan, reading, labels)

    def tabulate(shard, found):
        names = shard.index["file"].tolist()
        good = [row for row in range(len(names)) if row not in found.errors]
        rates = [reading.sr or soundfile.info(shard.paths[row]).samplerate for row in good]
        counts = {str(sr): n for sr, n in sorted(Counter(rates).items())}
        if good:
            rows, leading, columns, matrix = arrange(plan, found, good, rates, names, reading)
        else:
            columns = found.names if plan.learner is None else plan.learner.get_feature_names_out()
            rows, matrix = [], np.empty((0, len(columns)), np.float32)
            leading = {name: [] for name in types if name not in ("file", *labels)}
        return Table(rows, leading, list(columns), matrix, {"rates": counts})

    abouts = write_shards(
        folder / FRAMES if learns else folder,
        corpus,
        plan.estimator,
        plan.spectrum,
        tabulate,
        reading=reading,
        labels=labels,
        about=about,
        types=types,
        size=size or (FRAME_CLIPS if plan.is_framed else SHARD_CLIPS),
        n_jobs=n_jobs,
        progress=progress,
    )
    if not learns:
        return abouts
    abouts = bag_shards(
        folder / FRAMES, folder, bag.learner, by_chunk=not bag.is_whole, n_jobs=n_jobs
    )
    if bag.save_to is not None:
        bag.save(bag.learner, bag.save_to)
    return abouts


def _list_types(plan, reading, labels):
    """Types of the columns that are no features, in their order."""
    import pyarrow

    types = {"file": pyarrow.string()}
    is_cut = reading.chunk_s is not None and not plan.is_whole
    if is_cut:
        types["chunk"] = pyarrow.int64()
    if plan.is_framed:
        types["frame"] = pyarrow.int64()
    if is_cut or plan.is_framed:
        types |= {"start_s": pyarrow.float64(), "end_s": pyarrow.float64()}
    return types | {title: pyarrow.array(values).type for title, values in labels.items()}
