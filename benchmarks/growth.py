"""How cost grows with clips, with seconds a clip and with the size of the codebook.

Processor time of one process, in medians; the slope of a line through the logarithms says the power
with which cost grows (1: in proportion). Extraction is into shards of 100 clips, statistics of mel
bands; bags are of 130 descriptors a frame. The plot goes to ``benchmarks/figures/growth.png``.
"""

import statistics
import tempfile
import time
import warnings
from functools import partial
from pathlib import Path

import numpy as np
from extraction import write_clips
from threadpoolctl import threadpool_limits
from timing import row, run_script

from thesislib.export.features import write_features
from thesislib.representations.bag_of_features import BagOfFeatures

FIGURE = Path(__file__).parent / "figures" / "growth.png"


def cpu_s(work, runs):
    """Median processor time of a task that is given a number of its own each time."""
    found = []
    for turn in range(runs + 1):
        started = time.process_time()
        work(turn)
        found.append(time.process_time() - started)
    return statistics.median(found[1:])


def extract_into(folder, source, turn):
    target = folder / f"{source.name}-{turn}"
    write_features([source], target, "band-statistics", shards=100)


def slope(sizes, seconds):
    return float(np.polyfit(np.log(sizes), np.log(seconds), 1)[0])


def draw(curves):
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(1, len(curves), figsize=(9, 2.8), layout="constrained")
    for axis, (name, (sizes, seconds)) in zip(axes, curves.items()):
        axis.loglog(sizes, seconds, "o-")
        axis.set(xlabel=name, ylabel="processor time (s)")
        axis.set_title(f"slope {slope(sizes, seconds):.2f}", fontsize=10)
        axis.set_xticks(sizes, [f"{size:g}" for size in sizes])
        axis.minorticks_off()
    FIGURE.parent.mkdir(exist_ok=True)
    figure.savefig(FIGURE, dpi=100, metadata={"Software": None})
    pyplot.close(figure)


def measure(runs, tiny):
    warnings.simplefilter("ignore")
    rng = np.random.default_rng(0)
    counts = (2, 4) if tiny else (100, 200, 400, 800)
    lengths = (0.5, 1.0) if tiny else (1.0, 2.0, 5.0, 10.0, 20.0)
    words = (5, 10) if tiny else (125, 250, 500, 1000, 2000)
    with tempfile.TemporaryDirectory() as folder, threadpool_limits(1):
        folder, curves = Path(folder), {}
        for name, sizes, clip in (
            ("clips of 0.5 s", counts, lambda n: (n, 0.5)),
            ("seconds a clip (20 clips)", lengths, lambda s: (2 if tiny else 20, s)),
        ):
            seconds = []
            for size in sizes:
                n_clips, length = clip(size)
                source = folder / f"in{n_clips}-{length}"
                write_clips(source, n_clips, seconds=length, sr=16000)
                seconds.append(cpu_s(partial(extract_into, folder, source), runs))
            curves[name] = (sizes, seconds)
        frames = [rng.normal(size=(200 if tiny else 3000, 130)).astype(np.float32)]
        bags = [BagOfFeatures(size, 1).fit(frames) for size in words]
        seconds = [cpu_s(lambda _: bag.transform(frames), runs) for bag in bags]  # noqa: B023
        curves["words of a codebook"] = (words, seconds)
    if not tiny:
        draw(curves)
    return [
        row(
            f"cost against {name}",
            "told, not bounded",
            f"slope {slope(sizes, seconds):.2f} from {sizes[0]:g} to {sizes[-1]:g}",
            ratio=slope(sizes, seconds),
            runs=runs,
            note=", ".join(f"{size:g}: {1e3 * s:.0f} ms" for size, s in zip(sizes, seconds)),
        )
        for name, (sizes, seconds) in curves.items()
    ]


if __name__ == "__main__":
    run_script(__doc__, measure)
