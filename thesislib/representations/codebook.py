"""Codebooks: scaling frames, learning words, finding the nearest (thesis 4.2.3).

Used by :class:`~thesislib.representations.bag_of_features.BagOfFeatures`; all
arithmetic is float32, as in openXBOW. A *stream* is a list of arrays (n_frames,
n_features), one for each clip; a *scaling* is a pair (shift, divisor), each of
shape (n_features,).
"""

import functools

import numpy as np
from sklearn.cluster import KMeans
from threadpoolctl import threadpool_limits

from thesislib.errors import ParameterError

# Two words closer than this in every dimension are duplicates (openXBOW's constant).
DUPLICATE_TOLERANCE = 1e-4
# Values of a block of frames or of distances: 16 MiB of float32.
BLOCK_VALUES = 2**22


def check_frames(items, where):
    """Frames of each clip as arrays of one width; an error names the clip."""
    frames = []
    for index, item in enumerate(items):
        array = np.asarray(item)
        name = f"X: {where}item {index}"
        if array.ndim != 2 or array.dtype.kind not in "fiub" or array.size == 0:
            raise ParameterError(
                f"{name}: found {array.dtype} of shape {array.shape}, expected numbers of shape "
                "(n_frames, n_features), at least one of each"
            )
        if frames and array.shape[1] != frames[0].shape[1]:
            raise ParameterError(
                f"{name}: found {array.shape[1]} features, expected {frames[0].shape[1]} as in "
                "item 0"
            )
        # Minimum and maximum are not finite if any value is not; they need no large array.
        with np.errstate(over="ignore"):
            if not np.isfinite(np.float32([array.min(), array.max()])).all():
                row, column = np.argwhere(~np.isfinite(array.astype(np.float32)))[0]
                raise ParameterError(
                    f"{name}: found {array[row, column]} in frame {row}, feature {column}, "
                    "expected finite numbers within float32"
                )
        frames.append(array)
    return frames


def _extremes(stream):
    """Minimum and maximum of each feature over all clips."""
    minimum = functools.reduce(np.minimum, (frames.min(axis=0) for frames in stream))
    maximum = functools.reduce(np.maximum, (frames.max(axis=0) for frames in stream))
    return minimum.astype(np.float32), maximum.astype(np.float32)


def minimum_width(stream):
    """Minimum and width (maximum - minimum, or 1 where constant) of each feature."""
    minimum, maximum = _extremes(stream)
    return minimum, np.where(maximum > minimum, maximum - minimum, np.float32(1))


def mean_std(stream):
    """Mean and standard deviation (ddof 1, or 1 where constant) of each feature."""
    minimum, maximum = _extremes(stream)
    n_frames = sum(map(len, stream))
    mean = sum(frames.sum(axis=0, dtype=np.float64) for frames in stream) / n_frames
    mean = np.where(maximum > minimum, mean, minimum).astype(np.float32)
    total = squares = 0
    for x, _ in iterate_blocks(stream, (mean, np.float32(1))):
        total = total + x.sum(axis=0, dtype=np.float64)
        squares = squares + np.einsum("ij,ij->j", x, x, dtype=np.float64)
    # ``total`` corrects for the rounding of the mean to float32.
    variance = (squares - total**2 / n_frames) / max(n_frames - 1, 1)
    deviation = np.sqrt(np.maximum(variance, 0)).astype(np.float32)
    return mean, np.where((maximum > minimum) & (deviation > 0), deviation, np.float32(1))


def iterate_blocks(stream, scaling, n_columns=1):
    """Blocks of scaled frames (n_frames, n_features), and the clip of each frame (n_frames,).

    The yielded arrays are overwritten by the next block.
    """
    width = stream[0].shape[1]
    n_rows = max(16, BLOCK_VALUES // max(width, n_columns))
    n_rows = min(n_rows, sum(map(len, stream)))
    x, owner = np.empty((n_rows, width), np.float32), np.empty(n_rows, np.intp)
    filled = 0
    for index, frames in enumerate(stream):
        start = 0
        while start < len(frames):
            part = frames[start : start + n_rows - filled]
            rows = slice(filled, filled + len(part))
            x[rows] = _scale(part, scaling)
            owner[rows] = index
            start, filled = start + len(part), filled + len(part)
            if filled == n_rows:
                yield x, owner
                filled = 0
    if filled:
        yield x[:filled], owner[:filled]


def _scale(frames, scaling):
    shift, divisor = scaling
    # In float32 from the first step, as in openXBOW.
    with np.errstate(over="ignore", invalid="ignore"):
        scaled = np.subtract(frames, shift, dtype=np.float32, casting="same_kind")
        return np.divide(scaled, divisor, out=scaled)


def learn_words(stream, scaling, size, sampling, rng):
    """Codebook (size, n_features) of the scaled frames; see ``BagOfFeatures.sampling``."""
    if sampling == "random":
        return _draw_distinct(stream, scaling, size, rng)
    x = np.concatenate([_scale(frames, scaling) for frames in stream])
    words = _draw_spread(x, size, rng)
    if sampling == "kmeans":
        # One thread: the last bits of sums depend on their order.
        with threadpool_limits(limits=1):
            words = KMeans(size, init=words, n_init=1).fit(x).cluster_centers_
    return np.ascontiguousarray(words, np.float32)


def _draw_distinct(stream, scaling, size, rng):
    """Frames in random order, without duplicates of earlier words."""
    starts = np.cumsum([0] + [len(frames) for frames in stream])
    words = np.empty((size, stream[0].shape[1]), np.float32)
    n_words = 0
    for position in rng.permutation(starts[-1]):
        clip = np.searchsorted(starts, position, side="right") - 1
        word = _scale(stream[clip][position - starts[clip]], scaling)
        if _is_new(word, words[:n_words]):
            words[n_words] = word
            n_words += 1
            if n_words == size:
                return words
    raise TooFewFramesError(size, n_words)


def _is_new(word, words):
    alike = np.arange(len(words))
    # Most words differ within the first features, so compare a few at a time.
    for start in range(0, len(word), 32):
        if len(alike) == 0:
            break
        part = slice(start, start + 32)
        gaps = np.abs(words[alike, part] - word[part])
        alike = alike[(gaps < DUPLICATE_TOLERANCE).all(axis=1)]
    return len(alike) == 0


def _draw_spread(x, size, rng):
    """Frames drawn with probability proportional to the squared distance to the nearest word."""
    squares = np.einsum("ij,ij->i", x, x)
    nearest = np.full(len(x), np.inf, np.float32)
    chosen = [rng.integers(len(x))]
    while len(chosen) < size:
        # einsum, since the last bits of BLAS depend on the number of threads.
        last = chosen[-1]
        sums = squares + squares[last]
        distances = sums - 2 * np.einsum("ij,j->i", x, x[last])
        close = np.flatnonzero(distances < 1e-4 * sums)
        distances[close] = squared_differences(x, x, close, np.full_like(close, last))
        distances[last] = 0
        nearest = np.minimum(nearest, distances)
        total = np.cumsum(nearest, dtype=np.float64)
        if total[-1] == 0:
            raise TooFewFramesError(size, len(chosen))
        draw = np.searchsorted(total, rng.random() * total[-1], side="right")
        chosen.append(min(draw, len(x) - 1))
    return x[chosen]


class TooFewFramesError(ParameterError):
    """The training data have fewer distinct frames (``n_found``) than the codebook has words."""

    def __init__(self, size, n_found):
        self.n_found = n_found
        super().__init__(
            f"codebook_size: found {size}, expected at most {n_found}, the number of distinct "
            "frames of the training data"
        )


def nearest_words(x, owner, words, wanted):
    """Indices of the nearest words (n_frames, n_assign) for each (size, n_assign).

    Distances from the matrix product are rounded differently from sums of squared
    differences. Where this could change the nearest words, the sums are computed.
    """
    squares = np.einsum("ij,ij->i", x, x)
    if not np.isfinite(squares).all():
        clip = owner[np.argmin(np.isfinite(squares))]
        raise ParameterError(
            f"X: item {clip}: found values beyond float32 after scaling, expected values of the "
            "training data's order of magnitude"
        )
    word_squares = np.einsum("ij,ij->i", words, words)
    distances = x @ words.T  # (n_frames, n_words)
    distances *= -2  # exact, and cheaper than doubling the words
    distances += word_squares  # without the frames' squares, which do not change the order
    # About three times the largest rounding error measured for both computations together.
    roundings = np.finfo(np.float32).eps * (8 + np.sqrt(x.shape[1]))
    bound = roundings * (squares + word_squares.max())
    nearest = {}
    for size in {size for size, _ in wanted}:
        n_assigns = {n_assign for other, n_assign in wanted if other == size}
        part = distances[:, :size]
        first = min(max(n_assigns) + 1, size)
        order = np.argpartition(part, first - 1, axis=1)[:, :first]
        values = np.take_along_axis(part, order, axis=1)
        order = np.take_along_axis(order, np.argsort(values, axis=1), axis=1)
        values.sort(axis=1)
        for n_assign in n_assigns:
            chosen = order[:, :n_assign]
            if n_assign < size:
                last = values[:, n_assign - 1]
                open_rows = np.flatnonzero(values[:, n_assign] - last <= 2 * bound)
                if len(open_rows):
                    chosen = chosen.copy()
                    gap = part[open_rows] - last[open_rows, None]
                    rank = np.where(gap < 0, -np.inf, np.inf).astype(np.float32)
                    rows, columns = np.nonzero(np.abs(gap) <= 2 * bound[open_rows, None])
                    rank[rows, columns] = squared_differences(x, words, open_rows[rows], columns)
                    chosen[open_rows] = np.argsort(rank, axis=1, kind="stable")[:, :n_assign]
            nearest[size, n_assign] = chosen
    return nearest


def squared_differences(x, words, rows, columns):
    """Squared distances of pairs (len(rows),), summed feature by feature in float32."""
    result = np.empty(len(rows), np.float32)
    # Blocks that fit into a core's cache, since they are also transposed.
    step = max(1, BLOCK_VALUES // (64 * x.shape[1]))
    for start in range(0, len(rows), step):
        part = slice(start, start + step)
        difference = x[rows[part]] - words[columns[part]]
        difference *= difference
        # NumPy sums the first of two axes row by row, and a single axis pairwise.
        if len(difference) == 1:
            result[part] = np.cumsum(difference)[-1]
        else:
            result[part] = np.ascontiguousarray(difference.T).sum(axis=0)
    return result


def weigh_frames(x, words, chosen, gaussian, off):
    """Weight of each frame for each of its words (n_frames x n_assign,), or None for 1."""
    if gaussian is None and off is None:
        return None
    rows = np.repeat(np.arange(len(x)), chosen.shape[1])
    squared = squared_differences(x, words, rows, chosen.ravel())
    weights = np.ones(len(squared))
    if gaussian is not None:
        weights = np.exp(-squared.astype(np.float64) / (2 * gaussian**2))
    if off is not None:
        weights[np.sqrt(squared) > off] = 0
    return weights
