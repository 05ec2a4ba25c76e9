"""Codebooks: scale frames, learn words, find the nearest words (thesis 4.2.3).

The steps of :class:`~thesislib.representations.bag_of_features.BagOfFeatures`, in its order:

1. `check_frames` checks the input, `minimum_width` or `mean_std` learns the *scaling*, a pair
   (shift, divisor), each of shape (n_features,);
2. `learn_words` selects or computes the codebook, an array (size, n_features), from scaled frames;
3. `iterate_blocks` gives all frames, scaled, in blocks of bounded size;
4. `nearest_words` finds the words of each frame, `weigh_frames` their weights.

A *stream* is a list of arrays (n_frames, n_features), one for each clip. All arithmetic is
float32 and in openXBOW's order, since the bags must equal openXBOW's: a distance that is rounded
differently can change which of two words is nearer.
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
    """Frames of each clip as arrays (n_frames, n_features); an error names the clip."""
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
        # Minimum and maximum are not finite if any value is not, and need no copy of the array.
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
    # Scaled frames are centred on the rounded mean; ``total`` corrects for the rounding.
    variance = (squares - total**2 / n_frames) / max(n_frames - 1, 1)
    std = np.sqrt(np.maximum(variance, 0)).astype(np.float32)
    return mean, np.where((maximum > minimum) & (std > 0), std, np.float32(1))


def iterate_blocks(stream, scaling, n_columns=1):
    """Blocks of scaled frames (n_frames, n_features), and the clip of each frame (n_frames,).

    A block has frames of several clips, and a clip may be in several blocks. The yielded arrays
    are overwritten by the next block.
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
    """Frames in random order, without duplicates of earlier words: the sampling ``random``."""
    starts = np.cumsum([0] + [len(frames) for frames in stream])
    words = np.empty((size, stream[0].shape[1]), np.float32)
    n_words = 0
    for position in rng.permutation(starts[-1]):
        # Position among the frames of all clips to clip and frame.
        clip = np.searchsorted(starts, position, side="right") - 1
        word = _scale(stream[clip][position - starts[clip]], scaling)
        if _is_new(word, words[:n_words]):
            words[n_words] = word
            n_words += 1
            if n_words == size:
                return words
    raise TooFewFramesError(size, n_words)


def _is_new(word, words):
    """Whether no earlier word is within the tolerance of ``word`` in every dimension."""
    alike = np.arange(len(words))
    # Most words differ within the first features: compare 32 at a time, and only words that
    # have been alike so far.
    for start in range(0, len(word), 32):
        if len(alike) == 0:
            break
        part = slice(start, start + 32)
        gaps = np.abs(words[alike, part] - word[part])
        alike = alike[(gaps < DUPLICATE_TOLERANCE).all(axis=1)]
    return len(alike) == 0


def _draw_spread(x, size, rng):
    """Frames drawn with a probability proportional to the squared distance to the nearest word.

    The sampling ``random++``, and the start of ``kmeans``.
    """
    squares = np.einsum("ij,ij->i", x, x)
    nearest = np.full(len(x), np.inf, np.float32)
    chosen = [rng.integers(len(x))]
    while len(chosen) < size:
        # |x - w|^2 = |x|^2 + |w|^2 - 2 x.w of each frame to the last word. einsum, since the last
        # bits of BLAS depend on the number of threads.
        last = chosen[-1]
        sums = squares + squares[last]
        distances = sums - 2 * np.einsum("ij,j->i", x, x[last])
        # Where most digits cancel, sum squared differences instead.
        close = np.flatnonzero(distances < 1e-4 * sums)
        distances[close] = squared_differences(x, x, close, np.full_like(close, last))
        distances[last] = 0
        nearest = np.minimum(nearest, distances)
        total = np.cumsum(nearest, dtype=np.float64)
        if total[-1] == 0:
            raise TooFewFramesError(size, len(chosen))
        # A uniform number on the cumulative distances selects a frame.
        draw = np.searchsorted(total, rng.random() * total[-1], side="right")
        chosen.append(min(draw, len(x) - 1))
    return x[chosen]


class TooFewFramesError(ParameterError):
    """The training data have fewer distinct frames (``n_distinct``) than the codebook has words."""

    def __init__(self, size, n_distinct):
        self.n_distinct = n_distinct
        super().__init__(
            f"codebook_size: found {size}, expected at most {n_distinct}, the number of distinct "
            "frames of the training data"
        )


def nearest_words(x, owner, words, wanted):
    """Indices of the nearest words for each (size, n_assign) of ``wanted``.

    Parameters
    ----------
    x : ndarray, shape (n_frames, n_features)
        Scaled frames.
    owner : ndarray, shape (n_frames,)
        Clip of each frame, for error messages.
    words : ndarray, shape (n_words, n_features)
    wanted : list of (int, int)
        Codebook size (the first words are the smaller codebook) and n_assign.

    Returns
    -------
    dict of (int, int) to ndarray, shape (n_frames, n_assign)
        Words in no particular order. Of words at equal distance the lowest index is taken.

    Notes
    -----
    Distances come from one matrix product, which is fast but rounded differently from openXBOW's
    sums of squared differences. Where the difference could change which words are nearest, the
    sums are computed, for the words in question only.
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
    # The frames' squares are left out, since they do not change the order of a frame's words.
    distances += word_squares
    # Bound of the rounding error: about three times the largest one that was measured for both
    # computations together.
    roundings = np.finfo(np.float32).eps * (8 + np.sqrt(x.shape[1]))
    bound = roundings * (squares + word_squares.max())
    nearest = {}
    for size in {size for size, _ in wanted}:
        n_assigns = {n_assign for other, n_assign in wanted if other == size}
        part = distances[:, :size]
        # One word more than needed: the first that is not assigned.
        first = min(max(n_assigns) + 1, size)
        order = np.argpartition(part, first - 1, axis=1)[:, :first]
        values = np.take_along_axis(part, order, axis=1)
        order = np.take_along_axis(order, np.argsort(values, axis=1), axis=1)
        values.sort(axis=1)
        for n_assign in n_assigns:
            chosen = order[:, :n_assign]
            if n_assign < size:
                last = values[:, n_assign - 1]  # distance of the last assigned word
                # Frames whose next word is too close to the last assigned one to tell them apart.
                open_rows = np.flatnonzero(values[:, n_assign] - last <= 2 * bound)
                if len(open_rows):
                    chosen = chosen.copy()
                    gap = part[open_rows] - last[open_rows, None]
                    # Clearly nearer words first, clearly farther ones last; between them, by the
                    # exact sums, and by index where these are equal.
                    rank = np.where(gap < 0, -np.inf, np.inf).astype(np.float32)
                    rows, columns = np.nonzero(np.abs(gap) <= 2 * bound[open_rows, None])
                    rank[rows, columns] = squared_differences(x, words, open_rows[rows], columns)
                    chosen[open_rows] = np.argsort(rank, axis=1, kind="stable")[:, :n_assign]
            nearest[size, n_assign] = chosen
    return nearest


def squared_differences(x, words, rows, columns):
    """Squared distances of pairs (len(rows),), summed feature by feature in float32."""
    result = np.empty(len(rows), np.float32)
    # Blocks that fit into a core's cache, since they are transposed, too.
    step = max(1, BLOCK_VALUES // (64 * x.shape[1]))
    for start in range(0, len(rows), step):
        part = slice(start, start + step)
        difference = x[rows[part]] - words[columns[part]]
        difference *= difference
        # openXBOW adds feature by feature. NumPy does so along the first of two axes, but sums a
        # single axis pairwise.
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
