"""Bags for the 27 pairs of 8.3's grid from one pass, against a pass for each pair.

Codebook sizes 100, 200, 500 and 1 000, assignments 1, 10, 20, 25, 50, 100 and 200 (200 of 100 words
is no pair). The other side transforms with an estimator for each pair, which holds the same words.
One thread on both sides.
"""

import numpy as np
from bag_of_features import make_clips
from threadpoolctl import threadpool_limits
from timing import faster, run_script, take_turns

from thesislib.representations.bag_of_features import BagOfFeatures

CODEBOOK_SIZES, N_ASSIGNS = (100, 200, 500, 1000), (1, 10, 20, 25, 50, 100, 200)


def measure(runs, tiny):
    scale = 20 if tiny else 1
    n_clips, n_frames, n_features = (4, 100, 32) if tiny else (20, 2_000, 4_096)
    clips = make_clips(n_clips, n_frames, n_features)
    sizes = [size // scale for size in CODEBOOK_SIZES]
    n_assigns = [max(1, n // scale) for n in N_ASSIGNS]
    whole = BagOfFeatures(sizes[-1], n_assigns[0]).fit(clips)
    pairs = [(size, n) for size in sizes for n in n_assigns if n <= size]
    single = {
        (size, n): BagOfFeatures(size, n, codebook=whole.codebook_[0][:size]).fit(clips)
        for size, n in pairs
    }
    found = {}

    def together():
        found["together"] = whole.transform_grid(clips, sizes, n_assigns)

    def one_by_one():
        found["one by one"] = {pair: bag.transform(clips) for pair, bag in single.items()}

    with threadpool_limits(1):
        seconds = take_turns({"ours": together, "theirs": one_by_one}, runs)
    first, second = found["together"], found["one by one"]
    different = sum(not np.array_equal(first[pair], second[pair]) for pair in pairs)
    return [
        faster(
            f"BoDF grid, {len(pairs)} pairs of size and assignment, one pass against one a pair",
            seconds["ours"],
            seconds["theirs"],
            at_least=8,
            note=f"one thread; {n_frames} × {n_features} frames; {different} of {len(pairs)} "
            "pairs with different bags",
        )
    ]


if __name__ == "__main__":
    run_script(__doc__, measure)
