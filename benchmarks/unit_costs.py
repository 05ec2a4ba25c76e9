"""What a clip of 10 s costs at each stage: the numbers that docs/scale.md multiplies.

Processor time of one thread in milliseconds a clip, bytes a clip on disk; clips of noise at 16 kHz,
random weights. Nothing is claimed: the rows are for planning.
"""

import statistics
import tempfile
import time
import warnings
from pathlib import Path

import numpy as np
import torch
from extraction import write_clips
from threadpoolctl import threadpool_limits
from timing import row, run_script

from thesislib.audio import read_audio
from thesislib.export.tables import make_table, write_table
from thesislib.representations.bag_of_features import BagOfFeatures
from thesislib.representations.deep_spectrum import DeepSpectrum
from thesislib.representations.functionals import FrameFeatures, Functionals
from thesislib.spectra.plot import AudioPlot
from thesislib.spectra.spectrogram import Spectrum
from thesislib.store import hash_file

SECONDS, SR = 10.0, 16000


def cost_ms(work, runs, n_clips=1):
    """Median processor time of this thread, after a warm-up."""
    work()
    found = []
    for _ in range(runs):
        started = time.thread_time()
        work()
        found.append(time.thread_time() - started)
    return 1e3 * statistics.median(found) / n_clips


def measure(runs, tiny):
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    rng, costs = np.random.default_rng(0), {}
    with tempfile.TemporaryDirectory() as folder, threadpool_limits(1):
        folder = Path(folder)
        path = write_clips(folder, 1, seconds=1.0 if tiny else SECONDS, sr=SR).paths[0]
        y, sr = read_audio(path)
        costs["hash of the file"] = cost_ms(lambda: hash_file(path), runs)
        costs["read"] = cost_ms(lambda: read_audio(path), runs)
        mel = Spectrum("mel", n_mels=128)
        S = mel(y, sr=sr)
        costs["mel spectrum, 128 bands"] = cost_ms(lambda: mel(y, sr=sr), runs)
        for style in ("thesis", "deepspectrum"):
            plot = AudioPlot(mel, size_px=227, style=style)
            costs[f"plot, 227 px, style {style}"] = cost_ms(lambda: plot.draw(S, sr=sr), runs)  # noqa: B023
        networks = [("squeezenet1_1", "logits", 64)] if tiny else []
        networks += [] if tiny else [("alexnet", "fc7", 227), ("googlenet", "pool", 224)]
        for name, layer, size in networks:
            network = DeepSpectrum(name, layer, "random", device="cpu").fit()
            pictures = rng.integers(0, 256, (16, size, size, 3), dtype=np.uint8)
            costs[f"{name} {layer}"] = cost_ms(lambda: network.transform(pictures), runs, 16)  # noqa: B023
        for name in ("IS09",) if tiny else ("IS09", "ComParE_2016"):
            functionals = Functionals(name).fit()
            costs[f"{name} functionals"] = cost_ms(lambda: functionals.transform([(y, sr)]), runs)  # noqa: B023
        frames = FrameFeatures("ComParE_2016").fit()
        descriptors = frames.transform([(y, sr)])[0]
        costs["ComParE_2016 frames"] = cost_ms(lambda: frames.transform([(y, sr)]), runs)
        bag = BagOfFeatures(20 if tiny else 500, 10).fit([descriptors])
        costs["bag of 500 words of these"] = cost_ms(lambda: bag.transform([descriptors]), runs)
        n, sizes = 20 if tiny else 200, {}
        for name, width in (("256 features", 256), ("4 096 features", 4096)):
            matrix = np.maximum(rng.normal(size=(n, width)), 0).astype(np.float32)
            target = folder / f"{width}.parquet"
            table = make_table({"file": ["a"] * n}, [f"f{i}" for i in range(width)], matrix, {})
            costs[f"shard, {name}"] = cost_ms(lambda: write_table(target, table), runs, n)  # noqa: B023
            sizes[name] = target.stat().st_size / n
        frame_bytes = descriptors.nbytes
    rows = [
        row(f"cost of a clip of {SECONDS:g} s: {name}", "none", f"{ms:.2f} ms", runs=runs)
        for name, ms in costs.items()
    ]
    rows += [
        row(f"size of a clip in a shard: {name}", "none", f"{size / 1e3:.1f} kB", runs=1)
        for name, size in sizes.items()
    ]
    told = f"{frame_bytes / 1e3:.0f} kB"
    return [*rows, row("size of a clip's ComParE_2016 frames", "none", told, runs=1)]


if __name__ == "__main__":
    run_script(__doc__, measure)
