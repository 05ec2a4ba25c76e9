"""A bag of features against scipy's distances: seconds, peak memory, and the same bins.

8 000 frames of 4 096 features in 40 clips, 500 words, 10 assignments. Each side runs in a process
of its own on the same input (frames and words, which both hold), so that the system's count of its
peak memory is its own.
"""

import multiprocessing
import resource
import statistics

import numpy as np
from timing import faster, row, run_script, take_turns

SIZES = {"n_clips": 40, "n_frames": 8_000, "n_features": 4_096, "n_words": 500, "n_assign": 10}
TINY = {"n_clips": 4, "n_frames": 200, "n_features": 64, "n_words": 20, "n_assign": 3}


def make_clips(n_clips, n_frames, n_features):
    """Frames like a network's after a rectifier: clusters, noise, many zeros."""
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(50, n_features)).astype(np.float32)
    frames = rng.standard_normal((n_frames, n_features), dtype=np.float32)
    for frame, cluster in zip(frames, rng.integers(50, size=n_frames)):
        frame += 0.7 * centres[cluster] - 0.5
    np.maximum(frames, 0, out=frames)
    return np.split(frames, n_clips)


def bag_with_library(bag, clips):
    return bag.transform(clips)


def bag_with_cdist(bag, clips):
    from scipy.spatial.distance import cdist

    counts = np.zeros((len(clips), bag.codebook_size))
    frames = (np.concatenate(clips) - bag.minimum_) / bag.width_
    distances = cdist(frames, bag.codebook_[0], "sqeuclidean")
    nearest = np.argpartition(distances, bag.n_assign - 1, axis=1)[:, : bag.n_assign]
    clip = np.repeat(np.arange(len(clips)), [len(each) for each in clips])
    np.add.at(counts, (clip[:, None], nearest), 1)
    return np.log10(counts + 1)


def measure_side(side, sizes, runs, answers):
    """Send the seconds, the peak MiB above the input and of the process, and the bags."""
    from scipy.spatial.distance import cdist  # noqa: F401  (both pay for the import)

    from thesislib.representations.bag_of_features import BagOfFeatures

    clips = make_clips(sizes["n_clips"], sizes["n_frames"], sizes["n_features"])
    bag = BagOfFeatures(sizes["n_words"], sizes["n_assign"]).fit(clips)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    found = []
    seconds = take_turns({"bag": lambda: found.append(side(bag, clips))}, runs)["bag"]
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    answers.put((seconds, peak - before, peak, found[-1]))


def measure(runs, tiny):
    context, results = multiprocessing.get_context("spawn"), []
    for side in (bag_with_library, bag_with_cdist):
        answers = context.Queue()
        work = (side, TINY if tiny else SIZES, runs, answers)
        process = context.Process(target=measure_side, args=work)
        process.start()
        results.append(answers.get())
        process.join()
    (ours, our_extra, our_peak, our_bags), (theirs, their_extra, their_peak, their_bags) = results
    different = np.count_nonzero(np.abs(our_bags - their_bags) > 1e-6)
    each = statistics.median(ours) / (TINY if tiny else SIZES)["n_frames"]
    claim = "bag of features, 8 000 × 4 096 frames, 500 words, 10 assignments"
    return [
        faster(
            claim,
            ours,
            theirs,
            at_least=5,
            note=f"against cdist + argpartition; {different} of {our_bags.size} bins different; "
            f"{1e6 * each:.0f} µs a frame",
        ),
        row(
            f"{claim}: peak memory of the process",
            "≤ 0.5 × cdist's",
            f"{our_peak / their_peak:.2f} × ({our_peak:.0f} MiB against {their_peak:.0f} MiB)",
            ratio=our_peak / their_peak,
            passed=our_peak / their_peak <= 0.5,
            runs=runs,
            note=f"above the input that both hold: {our_extra:.0f} MiB against "
            f"{their_extra:.0f} MiB",
        ),
    ]


if __name__ == "__main__":
    run_script(__doc__, measure)
