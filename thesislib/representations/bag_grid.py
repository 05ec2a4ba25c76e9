"""Bags for a grid of codebook sizes and assignments, learnt inside each training part (4.2.3).

The thesis searches over the codebook size ``cs`` and the number of assignments ``cw``. A
codebook must not see the clips that it is scored on, so it is learnt anew for every training
part; one pass over the frames then serves the whole grid.
"""

from functools import partial

import numpy as np
from sklearn.base import clone

from thesislib.errors import ParameterError
from thesislib.representations.codebook import TooFewFramesError
from thesislib.representations.crossfit import Memory, hash_arrays
from thesislib.store import hash_parameters


class BagGrid:
    """Bags of all clips, with the codebook learnt on some of them.

    Parameters
    ----------
    frames : list of ndarray, shape (n_frames, n_features)
        Frames of each clip.
    bag : BagOfFeatures
        Unfitted; its ``codebook_size`` and ``n_assign`` are replaced by the grid's.
    codebook_sizes, n_assigns : sequence of int
        Pairs with ``n_assign`` above the size are left out. Features of a size that a training
        part cannot fill raise an error; those of smaller sizes do not.
    store : FeatureStore, optional
        Caches each training part's bags, so that an interrupted search resumes.

    Examples
    --------
    >>> from thesislib.representations.bag_of_features import BagOfFeatures
    >>> frames = [np.random.default_rng(i).normal(size=(30, 3)) for i in range(4)]
    >>> grid = BagGrid(frames, BagOfFeatures(), [5, 10], [1, 10])
    >>> grid.pairs
    [(5, 1), (10, 1), (10, 10)]
    >>> grid.features(10, 1)(np.array([0, 1])).shape
    (4, 10)
    """

    def __init__(self, frames, bag, codebook_sizes, n_assigns, *, store=None):
        self.frames, self.bag = frames, bag
        self.store = Memory() if store is None else store
        self.codebook_sizes, self.n_assigns = sorted(codebook_sizes), sorted(n_assigns)
        self.pairs = [(s, a) for s in self.codebook_sizes for a in self.n_assigns if a <= s]
        if not self.pairs:
            raise ParameterError(
                f"n_assigns: found {self.n_assigns}, expected one at most the codebook size "
                f"{self.codebook_sizes[-1]}"
            )
        self._most = {}  # distinct frames of training parts that have fewer than a size
        self._content = None

    def features(self, codebook_size, n_assign):
        """Function from training rows to the bags of all clips, as cross-validation takes it."""
        if (codebook_size, n_assign) not in self.pairs:
            raise ParameterError(
                f"codebook_size, n_assign: found {(codebook_size, n_assign)}, "
                f"expected one of {self.pairs}"
            )
        return partial(self._bags, (codebook_size, n_assign))

    def _bags(self, pair, train):
        train = np.asarray(train, dtype=int)
        part = train.tobytes()
        if pair[0] > self._most.get(part, pair[0]):
            raise TooFewFramesError(pair[0], self._most[part])
        return self.store.remember(self._key(pair, train), lambda: self._learn(pair, train))["bags"]

    def _learn(self, pair, train):
        """Bags of ``pair``; those of the other pairs, from the same fit, are stored."""
        grid = self._learn_grid(pair, train)
        for other, bags in grid.items():
            if other != pair:
                self.store.put(self._key(other, train), {"bags": bags})
        return {"bags": grid[pair]}

    def _learn_grid(self, pair, train):
        """Bags of each pair that the training part can fill; raises if it cannot fill ``pair``."""
        bag = clone(self.bag)
        training = [self.frames[row] for row in train]
        # Nested codebooks come from one fit, the largest first; k-means' need one each.
        whole = bag.sampling != "kmeans"
        grid = {}
        for size in reversed(self.codebook_sizes):
            n_assigns = [n for s, n in self.pairs if s == size]
            if not n_assigns or size > self._most.get(train.tobytes(), size):
                continue
            bag.set_params(codebook_size=size, n_assign=n_assigns[0])
            try:
                bag.fit(training)
            except TooFewFramesError as error:
                self._most[train.tobytes()] = error.n_distinct
                if pair[0] > error.n_distinct:
                    raise TooFewFramesError(pair[0], error.n_distinct) from error
                continue
            if whole:
                sizes = [s for s in self.codebook_sizes if s <= size]
                return bag.transform_grid(self.frames, sizes, self.n_assigns)
            grid |= bag.transform_grid(self.frames, [size], n_assigns)
        return grid

    def _key(self, pair, train):
        if self._content is None:
            self._content = hash_arrays(self.frames)
        settings = {k: v for k, v in self.bag.get_params().items() if k != "codebook"}
        del settings["codebook_size"], settings["n_assign"]
        return hash_parameters(
            {
                "class": "BagGrid",
                "version": 1,
                "frames": self._content,
                "train": train.tolist(),
                "bag": settings,
                "pair": list(pair),
                # A nested codebook's first words do not depend on its size, k-means' do.
                "sizes": self.codebook_sizes if self.bag.sampling == "kmeans" else [],
            }
        )
