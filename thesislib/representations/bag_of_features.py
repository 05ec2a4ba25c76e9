"""Bags of features: histograms of the words nearest to a clip's frames (thesis 4.2.3).

One estimator computes Bags-of-Deep-Features (frames are Deep Spectrum vectors) and
bags-of-audio-words (frames are low-level descriptors). A *word* is a frame of the
training data or a k-means centre; the *codebook* is the list of words. Each frame
of a clip is counted in the bins of its ``n_assign`` nearest words, so that clips of
any length become vectors of one length.

The steps and their order are those of openXBOW 1.3.1, which the thesis used: scale the
inputs, learn the codebook, assign, concatenate the streams, weight (log, idf), normalise.
The thesis writes ``cs`` for ``codebook_size`` and ``cw`` for ``n_assign``.
"""

import itertools
from dataclasses import dataclass

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from thesislib.errors import (
    SEED,
    Constraint,
    ParameterError,
    check_number,
    check_parameters,
    integer,
    number,
    option,
    sequence,
)
from thesislib.representations.codebook import (
    check_frames,
    iterate_blocks,
    learn_words,
    mean_std,
    minimum_width,
    nearest_words,
    weigh_frames,
)

SAMPLINGS = ("random", "random++", "kmeans")
SCALES = ("minmax", "zscore", "none")
NORMS = ("none", "frames", "tf", "l2")


def _is_codebook(value):
    try:
        words = np.asarray(value, np.float32)
    except (TypeError, ValueError, OverflowError):
        return False
    return words.ndim == 2 and words.size > 0 and np.isfinite(words).all()


def _per_stream(constraint):
    """One value for all streams, or one for each."""
    return constraint | sequence(constraint)


WORDS = Constraint(_is_codebook, "finite numbers of shape (n_words, n_features)")


@dataclass(eq=False, repr=False)
class BagOfFeatures(TransformerMixin, BaseEstimator):
    """Histograms of a clip's frames over a learnt codebook (thesis 4.2.3).

    Parameters
    ----------
    codebook_size : int or sequence of int
        Number of words, the thesis's ``cs``; a sequence has one value for each stream.
    n_assign : int or sequence of int
        Nearest words of each frame that are counted, the thesis's ``cw``;
        ``n_assign <= codebook_size``. Ties go to the lowest index.
    sampling : {"random", "random++", "kmeans"}
        ``random`` draws frames without replacement and skips a frame within 1e-4 of an
        earlier word in every dimension; ``random++`` draws each word with a probability
        proportional to the squared distance to its nearest earlier word; ``kmeans``
        moves the words of ``random++`` to the centres of their frames. The first two
        are nested: the first words of a large codebook are the smaller codebook of the
        same seed. Open in the thesis: it says "random sampling" (8.3, 10.1), a name
        that openXBOW also uses for ``random++``, its default; chosen: ``random``.
    scale : {"minmax", "zscore", "none"} or None
        Scaling of the frames, learnt in ``fit``: to [0, 1] by minimum and width (other
        data are not clipped), or to mean 0 and standard deviation 1 (ddof 1). A constant
        feature has the width 1.
    log : bool
        Take log10(tf + 1) of each bin (4.2.3).
    idf : bool
        Multiply each bin by log10(N / df): N training clips, df of them with a count in
        that bin. A bin without any count has the weight 0.
    norm : {"none", "frames", "tf", "l2"} or None
        Divide a bag by its clip's number of frames, by the sum of its bins or by
        its Euclidean norm, and multiply it by the number of bins, as openXBOW does.
    gaussian : float > 0 or sequence, optional
        Weight each frame by exp(-d^2 / (2 gaussian^2)); d is the distance to the word.
    off : float > 0 or sequence, optional
        Words farther from the frame than this are not counted.
    random_state : int, RandomState instance or None
        Seed of the codebook; each stream gets its own seed from it.
    codebook : ndarray (n_words, n_features) or list of these, optional
        Existing words, one array for each stream, in the scaled space; ``codebook_size``
        and ``sampling`` are then ignored, and ``fit`` learns the scaling and the idf.
    stream_widths : sequence of int, optional
        Split the columns of each frame into streams of these widths, each with its own
        codebook: ``(65, 65)`` for ComParE's descriptors and their deltas (10.1).

    Attributes
    ----------
    codebook_ : list of ndarray, shape (codebook_size, n_features), float32
        The words in the scaled space, one array for each stream.
    minimum_, width_ : ndarray, shape (n_features,), float32
        With ``scale="minmax"``; streams concatenated.
    mean_, std_ : ndarray, shape (n_features,), float32
        With ``scale="zscore"``.
    idf_ : ndarray, shape (n_bins,), float32
        With ``idf=True``.
    stream_widths_ : tuple of int
        Number of features of each stream.
    n_features_in_ : int
        Their sum.

    Notes
    -----
    X is a list of n arrays (n_frames, n_features), the frames of one clip each. Several
    streams are given side by side with ``stream_widths`` (such a list can be split by
    cross-validation), or as a list with one such list for each stream; a clip has the same
    number of frames in each.

    Distances are computed by one matrix product for each block of frames, in float32 and in
    constant memory. Where rounding could change the order of words, the distances are
    computed again from differences. Bins therefore equal openXBOW's, and no assignment
    depends on the block or on the number of threads.

    ``random++`` and ``kmeans`` hold all training frames in memory, ``random`` does not.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> clips = [rng.normal(size=(n_frames, 8)) for n_frames in (30, 50, 20)]
    >>> bag = BagOfFeatures(codebook_size=5, n_assign=2, log=False)
    >>> bags = bag.fit_transform(clips)
    >>> bags.shape
    (3, 5)
    >>> bags.sum(axis=1)  # frames x n_assign
    array([ 60., 100.,  40.], dtype=float32)
    """

    codebook_size: _per_stream(integer(1)) = 500
    n_assign: _per_stream(integer(1)) = 10
    sampling: option(SAMPLINGS) = "random"
    scale: option(SCALES) | None = "minmax"
    log: bool = True
    idf: bool = False
    norm: option(NORMS) | None = "none"
    gaussian: _per_stream(number(0, open_low=True) | None) = None
    off: _per_stream(number(0, open_low=True) | None) = None
    random_state: SEED = 0
    codebook: WORDS | sequence(WORDS) | None = None
    stream_widths: sequence(integer(1)) | None = None

    def fit(self, X, y=None):
        """Learn scaling, codebook and, with ``idf``, inverse document frequencies.

        Parameters
        ----------
        X : list of ndarray, shape (n_frames, n_features)
            Or one such list for each stream.
        y : ignored

        Returns
        -------
        BagOfFeatures

        Raises
        ------
        ParameterError
            If a parameter is invalid, there are fewer distinct frames than words, or a clip
            has no frames, another width than the first or a value that is not finite; names
            the clip's index.
        """
        streams = self._streams(X)
        widths = tuple(stream[0].shape[1] for stream in streams)
        sizes = self._sizes(widths)
        self._check_parameters(sizes)
        self.stream_widths_ = widths
        self.n_features_in_ = sum(widths)
        self._fit_scale(streams)
        if self.codebook is not None:
            self.codebook_ = _as_codebooks(self.codebook)
        else:
            # One seed for each stream, so that the size of one does not change another's words.
            seeds = check_random_state(self.random_state).randint(2**31 - 1, size=len(sizes))
            self.codebook_ = [
                learn_words(stream, scaling, size, self.sampling, np.random.default_rng(seed))
                for stream, scaling, size, seed in zip(streams, self._scalings(), sizes, seeds)
            ]
        if self.idf:
            (counts,) = self._count(streams, [(sizes, self._n_assigns())])
            df = np.count_nonzero(counts, axis=0).astype(np.float32)
            ratio = np.float32(len(counts)) / np.maximum(df, 1)
            self.idf_ = np.where(df > 0, np.log10(ratio, dtype=np.float64), 0).astype(np.float32)
        return self

    def transform(self, X):
        """Bags of clips.

        Parameters
        ----------
        X : list of ndarray, shape (n_frames, n_features)
            Or one such list for each stream.

        Returns
        -------
        ndarray, shape (n, n_bins), float32

        Raises
        ------
        ParameterError
            As in ``fit``, or if the width differs from the training data's.
        """
        check_is_fitted(self, "codebook_")
        streams = self._known_streams(X)
        sizes = [len(words) for words in self.codebook_]
        self._check_parameters(sizes)
        (counts,) = self._count(streams, [(sizes, self._n_assigns())])
        return self._weight(counts, streams)

    def transform_grid(self, X, codebook_sizes=None, n_assigns=None):
        """Bags for each pair of codebook size and n_assign, from one pass over the frames.

        Parameters
        ----------
        X : list of ndarray, shape (n_frames, n_features)
            Or one such list for each stream.
        codebook_sizes : sequence of int, optional
            At most the learnt size; the first words of each stream's codebook are used.
            Smaller sizes require a nested codebook (``random`` or ``random++``). Default: the
            learnt size.
        n_assigns : sequence of int, optional
            Default: ``n_assign``.

        Returns
        -------
        dict of (int, int) to ndarray, shape (n, n_bins), float32
            Keys are (codebook size, n_assign); each value equals the output of an estimator
            fitted with these two. Pairs with ``n_assign`` above the size are skipped.

        Raises
        ------
        ParameterError
            As in ``transform``; also with ``idf``, whose weights belong to one pair, or for
            a size that the codebook does not contain.

        Examples
        --------
        >>> clips = [np.random.default_rng(i).normal(size=(40, 3)) for i in range(4)]
        >>> bag = BagOfFeatures(codebook_size=20, n_assign=1).fit(clips)
        >>> sorted(bag.transform_grid(clips, [5, 20], [1, 10]))
        [(5, 1), (20, 1), (20, 10)]
        """
        check_is_fitted(self, "codebook_")
        streams = self._known_streams(X)
        if self.idf:
            raise ParameterError(
                "idf: found True, expected False in transform_grid, since its weights belong to "
                "one codebook size and one n_assign"
            )
        learnt = [len(words) for words in self.codebook_]
        self._check_parameters(learnt)
        nested = self.codebook is None and self.sampling != "kmeans"
        pairs = {}
        for size in learnt if codebook_sizes is None else codebook_sizes:
            check_number("codebook_sizes", size, low=1, high=min(learnt), integer=True)
            if not nested and any(size != whole for whole in learnt):
                raise ParameterError(
                    f"codebook_sizes: found {size}, expected {learnt}: only codebooks sampled "
                    "by random or random++ are nested"
                )
            for n_assign in self._n_assigns() if n_assigns is None else n_assigns:
                check_number("n_assigns", n_assign, low=1, integer=True)
                if n_assign <= size:
                    pairs[size, n_assign] = ([size] * len(learnt), [n_assign] * len(learnt))
        if not pairs:
            raise ParameterError("n_assigns: found none that is at most a codebook size")
        counts = self._count(streams, list(pairs.values()))
        return {pair: self._weight(bags, streams) for pair, bags in zip(pairs, counts)}

    def get_feature_names_out(self, input_features=None):
        """Names of the bins: ``word_0`` …, or ``stream_0_word_0`` … with several streams."""
        check_is_fitted(self, "codebook_")
        several = len(self.codebook_) > 1
        names = [
            f"stream_{stream}_word_{word}" if several else f"word_{word}"
            for stream, words in enumerate(self.codebook_)
            for word in range(len(words))
        ]
        return np.asarray(names, dtype=object)

    def _widths(self, n_features):
        """Width of each stream of frames with ``n_features`` columns."""
        check_parameters(self)
        widths = [n_features] if self.stream_widths is None else list(self.stream_widths)
        if sum(widths) != n_features:
            raise ParameterError(
                f"stream_widths: found {tuple(widths)}, expected widths that add up to the "
                f"{n_features} features of X"
            )
        return widths

    def _sizes(self, widths):
        """Codebook size of each stream."""
        if self.codebook is None:
            return _spread("codebook_size", self.codebook_size, len(widths))
        codebooks = _as_codebooks(self.codebook)
        if [words.shape[1:] for words in codebooks] != [(width,) for width in widths]:
            raise ParameterError(
                f"codebook: found shapes {[words.shape for words in codebooks]}, expected "
                f"(n_words, n_features) for each stream with n_features {list(widths)}"
            )
        return [len(words) for words in codebooks]

    def _check_parameters(self, sizes):
        """Check the parameters of each stream against its codebook size."""
        for name in ("gaussian", "off"):
            _spread(name, getattr(self, name), len(sizes))
        for size, n_assign in zip(sizes, _spread("n_assign", self.n_assign, len(sizes))):
            if n_assign > size:
                raise ParameterError(
                    f"n_assign: found {n_assign}, expected at most the codebook size, {size}"
                )

    def _n_assigns(self):
        return _spread("n_assign", self.n_assign, len(self.stream_widths_))

    def _streams(self, X):
        """Lists of checked frames, one for each stream."""
        check_parameters(self)
        if len(X) == 0:
            raise ParameterError("X: found no clips, expected a list of arrays of frames")
        if isinstance(X[0], list | tuple) and len(X[0]) and np.ndim(X[0][0]) == 2:
            streams = [check_frames(stream, f"stream {i}, ") for i, stream in enumerate(X)]
            for number, stream in enumerate(streams):
                lengths = [[len(frames) for frames in each] for each in (streams[0], stream)]
                if lengths[0] != lengths[1]:
                    raise ParameterError(
                        f"X: found other clips or numbers of frames in stream {number} than in "
                        "stream 0, expected a list of streams, each a list of the same clips"
                    )
            return streams
        frames = check_frames(X, "")
        widths = self._widths(frames[0].shape[1])
        if len(widths) == 1:
            return [frames]
        edges = np.cumsum([0, *widths])
        return [[each[:, a:b] for each in frames] for a, b in itertools.pairwise(edges)]

    def _known_streams(self, X):
        streams = self._streams(X)
        widths = tuple(stream[0].shape[1] for stream in streams)
        if widths != self.stream_widths_:
            raise ParameterError(
                f"X: found frames of {widths} features a stream, expected {self.stream_widths_} "
                "as in the training data"
            )
        return streams

    def _fit_scale(self, streams):
        if self.scale == "minmax":
            parts = [minimum_width(stream) for stream in streams]
            self.minimum_, self.width_ = (np.concatenate(part) for part in zip(*parts))
        elif self.scale == "zscore":
            parts = [mean_std(stream) for stream in streams]
            self.mean_, self.std_ = (np.concatenate(part) for part in zip(*parts))

    def _scalings(self):
        """Pairs of shift and divisor, one for each stream."""
        if self.scale == "minmax":
            shift, divisor = self.minimum_, self.width_
        elif self.scale == "zscore":
            shift, divisor = self.mean_, self.std_
        else:
            shift = np.zeros(self.n_features_in_, np.float32)
            divisor = np.ones(self.n_features_in_, np.float32)
        edges = np.cumsum(self.stream_widths_)[:-1]
        return list(zip(np.split(shift, edges), np.split(divisor, edges)))

    def _count(self, streams, pairs):
        """Term frequencies (n, n_bins) for each (sizes, n_assigns) of ``pairs``."""
        totals = [np.zeros((len(streams[0]), sum(sizes)), np.float32) for sizes, _ in pairs]
        gaussians = _spread("gaussian", self.gaussian, len(streams))
        offs = _spread("off", self.off, len(streams))
        for i, (stream, scaling) in enumerate(zip(streams, self._scalings())):
            words = self.codebook_[i][: max(sizes[i] for sizes, _ in pairs)]
            wanted = [(sizes[i], n_assigns[i]) for sizes, n_assigns in pairs]
            for x, owner in iterate_blocks(stream, scaling, n_columns=len(words)):
                clips = slice(owner[0], owner[-1] + 1)
                local = (owner - owner[0])[:, None]
                nearest = nearest_words(x, owner, words, wanted)
                for (size, n_assign), (sizes, _), total in zip(wanted, pairs, totals):
                    chosen = nearest[size, n_assign]
                    weights = weigh_frames(x, words, chosen, gaussians[i], offs[i])
                    # (n_frames, n_assign) -> (n_clips x size,) -> (n_clips, size)
                    counts = np.bincount(
                        (local * size + chosen).ravel(), weights, (local[-1, 0] + 1) * size
                    )
                    first = sum(sizes[:i])
                    total[clips, first : first + size] += counts.reshape(-1, size)
        return totals

    def _weight(self, counts, streams):
        """Log, idf and norm of term frequencies."""
        bags = counts
        if self.log:
            # The sum in float32 and the logarithm in float64, as in openXBOW.
            bags = bags + np.float32(1)
            np.log10(bags, out=bags, dtype=np.float64, casting="same_kind")
        if self.idf:
            bags = bags * self.idf_
        divisor = None
        if self.norm == "frames":
            divisor = np.array([[len(frames)] for frames in streams[0]], np.float32)
        elif self.norm == "tf":
            divisor = bags.sum(axis=1, keepdims=True)
        elif self.norm == "l2":
            divisor = np.linalg.norm(bags, axis=1, keepdims=True)
        if divisor is not None:
            bags = bags / np.where(divisor > 0, divisor, 1) * np.float32(bags.shape[1])
        return bags


def _spread(name, value, n_streams):
    """One value for each stream, from one value or a sequence."""
    if not isinstance(value, list | tuple | np.ndarray):
        return [value] * n_streams
    if len(value) != n_streams:
        raise ParameterError(
            f"{name}: found {len(value)} values, expected one, or one for each of the "
            f"{n_streams} streams"
        )
    return list(value)


def _as_codebooks(codebook):
    several = isinstance(codebook, list | tuple) and np.ndim(codebook[0]) == 2
    return [np.asarray(words, np.float32) for words in (codebook if several else [codebook])]
