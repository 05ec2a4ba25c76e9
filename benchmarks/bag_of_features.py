"""A bag of features against scipy's distances: seconds, peak memory, and the same bins.

8 000 frames of 4 096 features in 40 clips, 500 words, 10 assignments. Each side runs in
a process of its own on the same input (frames and words, which both hold), so that the
system's count of its peak memory is its own: ``python benchmarks/bag_of_features.py``.
"""

import argparse
import multiprocessing
import resource
import statistics
import time

import numpy as np

N_CLIPS, N_FRAMES, N_FEATURES, N_WORDS, N_ASSIGN = 40, 8_000, 4_096, 500, 10


def make_clips():
    """Frames like a network's after a rectifier: clusters, noise, many zeros."""
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(50, N_FEATURES)).astype(np.float32)
    frames = rng.standard_normal((N_FRAMES, N_FEATURES), dtype=np.float32)
    for frame, cluster in zip(frames, rng.integers(50, size=N_FRAMES)):
        frame += 0.7 * centres[cluster] - 0.5
    np.maximum(frames, 0, out=frames)
    return np.split(frames, N_CLIPS)


def bag_with_library(bag, clips):
    return bag.transform(clips)


def bag_with_cdist(bag, clips):
    from scipy.spatial.distance import cdist

    counts = np.zeros((len(clips), N_WORDS))
    frames = (np.concatenate(clips) - bag.minimum_) / bag.width_
    distances = cdist(frames, bag.codebook_[0], "sqeuclidean")
    nearest = np.argpartition(distances, N_ASSIGN - 1, axis=1)[:, :N_ASSIGN]
    clip = np.repeat(np.arange(len(clips)), [len(each) for each in clips])
    np.add.at(counts, (clip[:, None], nearest), 1)
    return np.log10(counts + 1)


def measure(side, repeats, answers):
    """Send median seconds, peak MiB above the input, peak MiB of the process, and the bags."""
    from scipy.spatial.distance import cdist  # noqa: F401  (both pay for the import)

    from thesislib.representations.bag_of_features import BagOfFeatures

    clips = make_clips()
    bag = BagOfFeatures(N_WORDS, N_ASSIGN).fit(clips)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        bags = side(bag, clips)
        seconds.append(time.perf_counter() - start)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    answers.put((statistics.median(seconds), peak - before, peak, bags))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=5)
    repeats = parser.parse_args().repeats
    context = multiprocessing.get_context("spawn")
    results = []
    for side in (bag_with_library, bag_with_cdist):
        answers = context.Queue()
        process = context.Process(target=measure, args=(side, repeats, answers))
        process.start()
        results.append(answers.get())
        process.join()
    (ours, our_extra, our_peak, our_bags), (theirs, their_extra, their_peak, their_bags) = results
    different = np.count_nonzero(np.abs(our_bags - their_bags) > 1e-6)
    print(
        f"bag of features: {theirs / ours:.1f} x faster than cdist + argpartition "
        f"({ours:.2f} s against {theirs:.2f} s), peak memory {our_peak / their_peak:.2f} x "
        f"({our_peak:.0f} MiB against {their_peak:.0f}; above the input {our_extra:.0f} against "
        f"{their_extra:.0f}), {different} bins different"
    )


if __name__ == "__main__":
    main()
