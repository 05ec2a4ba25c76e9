"""Bags of features from frames that do not fit in memory: from shards to shards (4.2.3).

Frames lie in a folder that `thesislib.export.shards` wrote. Scaling and words are learnt in passes
over its parts, one of which is in memory at a time, with the same arithmetic and draws as in
memory: bags are equal, byte for byte. ``sampling="random"`` draws frames by their index, for
which a number a frame is held (8 bytes); ``random++`` and ``kmeans`` look at all frames again and
again and hold them in memory; ``idf`` holds the counts of all clips.
"""

import copy
import hashlib
import itertools
import json
from pathlib import Path

import numpy as np
from sklearn.utils import check_random_state

from thesislib.errors import ParameterError
from thesislib.export.feature_table import write_table
from thesislib.export.openxbow import choose_bag, write_codebook
from thesislib.export.shards import (
    check_parts,
    hold,
    is_written,
    list_parts,
    part_path,
    read_about,
    write_index,
)
from thesislib.representations.bag_of_features import BagOfFeatures
from thesislib.store import FeatureStore, hash_parameters
from thesislib.workers import run_ahead, share

#: Raised whenever the same frames begin to give other files.
VERSION = 1
#: Feature store of the fitted state, in the folder of bags.
FITTED = "_fitted"


class FrameShards:
    """Frames of clips in a folder of shards, read when they are looked at.

    A sequence of arrays (n_frames, n_features), one a clip (or a chunk): what
    :class:`~thesislib.representations.bag_of_features.BagOfFeatures` takes, but for `fit` and
    `transform` of one stream. One part is in memory at a time.

    Parameters
    ----------
    folder : str or Path
    by_chunk : bool
        Whether a chunk is an item of its own, where clips have been cut.
    columns : slice, optional
        Of the features: one stream of several.

    Raises
    ------
    ParameterError
        If there are no parts, or they differ in their features.
    """

    def __init__(self, folder, *, by_chunk=True, columns=slice(None)):
        import pyarrow.parquet

        self.folder, self.by_chunk, self.columns = Path(folder), by_chunk, columns
        self.parts, self.names, self.abouts = list_parts(folder), None, []
        self.starts = []  # of each item in its part, a list a part, with the part's end
        for path in self.parts:
            about = read_about(path)
            if about is None or "leading" not in about:
                raise ParameterError(f"{path}: found no shard of features, expected one")
            schema = pyarrow.parquet.read_schema(path).names
            first = len(about["leading"])
            names = schema[first : first + about["n_features"]]
            if self.names not in (None, names):
                raise ParameterError(f"{path}: found other features than in {self.parts[0]}")
            self.names = names
            self.abouts.append(about)
            keys = pyarrow.parquet.read_table(path, columns=self._keys(about)).to_pandas()
            changes = (keys != keys.shift()).any(axis=1).to_numpy()
            self.starts.append([*np.flatnonzero(changes), len(keys)])
        self._counts = np.cumsum([0] + [len(starts) - 1 for starts in self.starts])
        self._frames = np.cumsum([0] + [starts[-1] for starts in self.starts])
        self._loaded, self._drawn = (None, None), {}

    def _keys(self, about):
        return [k for k in ("file", "chunk")[: 1 + self.by_chunk] if k in about["leading"]]

    def __len__(self):
        return int(self._counts[-1])

    def __getitem__(self, index):
        part = int(np.searchsorted(self._counts, index, side="right")) - 1
        if not 0 <= index < len(self):
            raise IndexError(index)
        within = index - self._counts[part]
        return _Item(self, part, *self.starts[part][within : within + 2])

    def narrow(self, columns):
        """The same items, some features of each."""
        other = object.__new__(FrameShards)
        other.__dict__.update(self.__dict__, columns=columns, _loaded=(None, None), _drawn={})
        return other

    @property
    def n_frames(self):
        """Frames of all items."""
        return int(self._frames[-1])

    def draw(self, positions):
        """Keep single frames, so that looking at them in any order reads no part again."""
        parts = np.searchsorted(self._frames, positions, side="right") - 1
        for part in np.unique(parts):
            for position in positions[parts == part]:
                row = int(position - self._frames[part])
                self._drawn[int(part), row] = self.load(part)[row].copy()

    def load(self, part):
        """Features of a part: (n_frames, n_features)."""
        if self._loaded[0] != part:
            self._loaded = (None, None)  # two parts at once need not be held
            names = self.names[self.columns]
            self._loaded = (part, _read_matrix(self.parts[part], names))
        return self._loaded[1]


class _Item:
    """Frames of a clip: their number is known, themselves are read when asked for."""

    ndim = 2

    def __init__(self, shards, part, start, stop):
        self._shards, self._part, self._rows = shards, part, slice(start, stop)
        self.shape = (int(stop - start), len(shards.names[shards.columns]))

    def __len__(self):
        return self.shape[0]

    def __getitem__(self, key):
        if isinstance(key, int | np.integer):
            drawn = self._shards._drawn.get((self._part, int(self._rows.start + key)))
            if drawn is not None:
                return drawn
        return self._shards.load(self._part)[self._rows][key]

    def __getattr__(self, name):
        return getattr(self[:], name)  # min, max, sum of the array


def _read_matrix(path, names):
    import pyarrow.parquet

    table = pyarrow.parquet.read_table(path, columns=names)
    matrix = np.empty((table.num_rows, len(names)), np.float32)
    for i, name in enumerate(names):
        matrix[:, i] = table[name].to_numpy()
    if not np.isfinite(matrix).all():
        row, column = np.argwhere(~np.isfinite(matrix))[0]
        raise ParameterError(
            f"{path}: found {matrix[row, column]} in row {row}, {names[column]}, expected finite "
            "numbers"
        )
    return matrix


class _ShardedBag(BagOfFeatures):
    """A bag whose frames are `FrameShards`, which are not checked all at once."""

    def _streams(self, X):
        widths = self.stream_widths or [len(X.names)]
        if sum(widths) != len(X.names):
            raise ParameterError(
                f"stream_widths: found {tuple(widths)}, expected widths that add up to the "
                f"{len(X.names)} features of {X.folder}"
            )
        edges = np.cumsum([0, *widths])
        streams = [X.narrow(slice(a, b)) for a, b in itertools.pairwise(edges)]
        if self.sampling == "random" and self.codebook is None:
            # The frames that `fit` is going to draw, in one pass; some more, should there be twins.
            sizes = self._sizes(widths)
            random_state = check_random_state(copy.deepcopy(self.random_state))
            seeds = random_state.randint(2**31 - 1, size=len(sizes))
            for stream, size, seed in zip(streams, sizes, seeds):
                order = np.random.default_rng(seed).permutation(stream.n_frames)
                stream.draw(np.sort(order[: 2 * size]))
        return streams


def fit_bag(bag, frames):
    """Fit a bag of features on frames in shards; returns it.

    Parameters
    ----------
    bag : BagOfFeatures
    frames : FrameShards

    Raises
    ------
    ParameterError
        As ``BagOfFeatures.fit``.
    """
    fitted = _ShardedBag(**bag.get_params()).fit(frames)
    bag.__dict__.update({k: v for k, v in vars(fitted).items() if k.endswith("_")})
    return bag


def bag_shards(source, output, bag, *, is_fitted=False, by_chunk=True, n_jobs=1):
    """Bags of the frames in a folder of shards, as a folder of as many shards.

    Parameters
    ----------
    source, output : str or Path
        Folders; parts of ``output`` that are there and match are left alone.
    bag : BagOfFeatures
        Is fitted on all frames unless ``is_fitted``; what was learnt is kept in ``output``.
    by_chunk : bool
        Whether a chunk of a clip has a bag of its own.
    n_jobs : int
        Worker processes, unless there is a cluster.

    Returns
    -------
    list of dict
        Metadata of the parts.

    Raises
    ------
    ParameterError
        If the frames or a parameter are not right.
    """
    check_parts(output, len(list_parts(source)))
    with hold(output):
        return _bag_parts(Path(source), Path(output), bag, is_fitted, by_chunk, n_jobs)


def _bag_parts(source, output, bag, is_fitted, by_chunk, n_jobs):
    frames = FrameShards(source, by_chunk=by_chunk)
    parts = [about["key"] for about in frames.abouts]
    parameters = {k: v for k, v in bag.get_params().items() if k != "codebook"}
    recipe = {"bag": parameters, "by_chunk": by_chunk, "version": VERSION}
    if not is_fitted:
        recipe["fitted on"] = parts
        _fit_once(bag, frames, FeatureStore(output / FITTED), hash_parameters(recipe))
    recipe["state"] = _hash_state(bag)
    recipe = hash_parameters(recipe)
    keys = [hash_parameters({"part": part, "recipe": recipe}) for part in parts]
    missing = [n for n, key in enumerate(keys) if not is_written(part_path(output, n), key)]
    shared = share(bag)
    tasks = ((str(source), number, by_chunk, shared) for number in missing)
    for number, answer in zip(missing, run_ahead(_bag, tasks, n_jobs=n_jobs)):
        leading, matrix, labels, types = answer
        names = list(bag.get_feature_names_out())
        about = frames.abouts[number] | {
            "key": keys[number],
            "n_rows": len(matrix),
            "n_features": len(names),
            "leading": list(leading),
        }
        about["about"] = {"frames": about["about"], "bag": json.loads(json.dumps(parameters))}
        columns = (leading, names, matrix, labels)
        write_table(part_path(output, number), *columns, about=about, types=types)
    return write_index(output, len(parts))


def bag_folder(
    source, output, *, codebook=None, save_codebook=None, norm="none", n_jobs=1, **parameters
):
    """Bags of a folder of frames in shards, as such a folder (``thesis bag``).

    Parameters
    ----------
    source, output : str or Path
    codebook, save_codebook, norm, **parameters
        As `thesislib.export.openxbow.bag_csv`.
    n_jobs : int

    Returns
    -------
    BagOfFeatures
        Fitted.

    Raises
    ------
    ParameterError, WeightsError
        As `bag_csv` and `bag_shards`.
    """
    bag = choose_bag(codebook, norm, parameters)
    bag_shards(source, output, bag, is_fitted=codebook is not None, n_jobs=n_jobs)
    if save_codebook is not None:
        write_codebook(save_codebook, bag)
    return bag


def _fit_once(bag, frames, store, key):
    """Fit, or take what an earlier run has learnt from the same frames."""
    state = store.get(key)
    if state is None:
        fit_bag(bag, frames)
        store.put(key, _pack(bag))
        return
    n_streams = sum(name.startswith("codebook_") for name in state)
    bag.codebook_ = [state.pop(f"codebook_{i}") for i in range(n_streams)]
    bag.stream_widths_ = tuple(int(width) for width in state.pop("stream_widths_"))
    bag.n_features_in_ = int(state.pop("n_features_in_"))
    bag.__dict__.update(state)


def _pack(bag):
    state = {name: np.asarray(v) for name, v in vars(bag).items() if name.endswith("_")}
    del state["codebook_"]
    return state | {f"codebook_{i}": words for i, words in enumerate(bag.codebook_)}


def _hash_state(bag):
    digest = hashlib.sha256()
    for name, array in sorted(_pack(bag).items()):
        digest.update(f"{name} {array.shape} {array.dtype}".encode())
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


def _bag(source, number, by_chunk, bag):
    """Table of one part's bags, in a worker."""
    import pyarrow.parquet

    path = part_path(source, number)
    about = read_about(path)
    first = len(about["leading"])
    names = pyarrow.parquet.read_schema(path).names[first : first + about["n_features"]]
    matrix = _read_matrix(path, names)
    others = pyarrow.parquet.read_table(path, columns=[*about["leading"], *about["labels"]])
    keys = [k for k in ("file", "chunk")[: 1 + by_chunk] if k in about["leading"]]
    keyed = others.select(keys).to_pandas()
    starts = np.flatnonzero((keyed != keyed.shift()).any(axis=1).to_numpy())
    items = np.split(matrix, starts[1:]) if len(starts) else []
    ends = np.append(starts[1:], len(matrix)) - 1
    firsts, lasts = others.take(starts), others.take(ends)
    leading = {key: firsts[key].to_pylist() for key in keys}
    if "chunk" in keys:
        leading |= {"start_s": firsts["start_s"].to_pylist(), "end_s": lasts["end_s"].to_pylist()}
    labels = {name: firsts[name].to_pylist() for name in about["labels"]}
    types = {field.name: field.type for field in others.schema}
    n_bins = len(bag.get_feature_names_out())
    bags = bag.transform(items) if items else np.empty((0, n_bins), np.float32)
    return leading, bags, labels, types
