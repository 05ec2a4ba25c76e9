"""Files to network features, against the bare network on ready tensors.

Clips of 5 s at 16 kHz (noise), mel plots of 128 bands in the thesis's style, random weights.
The other side is the network's whole forward pass on tensors that lie ready, in the best of
memory formats, batch sizes and ways to use the cores (threads inside a pass, or passes of one
thread side by side), which a trial finds first. Both run in turns in one process; the ratio is of
the median throughputs. Beside it stands the processor time a clip, of all processes: no pipeline
can be faster than the network's share of it allows, and it suffers less from other load.
"""

import statistics
import tempfile
import time
import warnings
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import psutil
import soundfile
import torch
from timing import row, run_script

from thesislib.corpora.index import Corpus
from thesislib.representations.deep_spectrum import DeepSpectrum
from thesislib.representations.extraction import extract
from thesislib.representations.networks import build_network, input_size
from thesislib.spectra.plot import AudioPlot
from thesislib.spectra.spectrogram import Spectrum

NETWORKS = (("alexnet", "fc7"), ("googlenet", "pool"))
TARGET = 0.85
BATCHES = (16, 32, 8, 64)


def write_clips(folder, n_clips, *, seconds=5.0, sr=16000):
    """Clips of coloured noise, as a corpus."""
    rng, folder = np.random.default_rng(0), Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    names = [f"{i:05d}.wav" for i in range(n_clips)]
    for name in names:
        soundfile.write(folder / name, 0.1 * rng.normal(size=int(seconds * sr)), sr)
    index = pd.DataFrame({"file": names, "label": "noise"})
    return Corpus(index, folder, name="noise", kind="synthetic")


def cpu_s():
    """Processor time of this process and of its workers."""
    here = psutil.Process()
    times = [process.cpu_times() for process in (here, *here.children(recursive=True))]
    return sum(each.user + each.system for each in times)


def timed(function):
    wall, cpu = time.perf_counter(), cpu_s()
    function()
    return time.perf_counter() - wall, cpu_s() - cpu


class Bare:
    """A network's forward pass on ready tensors, in one way to run it."""

    def __init__(self, model, size, memory_format, batch, side_by_side):
        self.model, self.batch, self.side_by_side = model, batch, side_by_side
        self.memory_format = memory_format
        self.x = torch.randn(batch, 3, size, size).contiguous(memory_format=memory_format)

    def __call__(self, n_pictures):
        self.model.to(memory_format=self.memory_format)
        n_passes, n_cores = max(n_pictures // self.batch, 1), torch.get_num_threads()
        if not self.side_by_side:
            for _ in range(n_passes):
                self.forward(None)
            return
        with ThreadPoolExecutor(n_cores, initializer=partial(torch.set_num_threads, 1)) as pool:
            list(pool.map(self.forward, range(n_passes)))

    @torch.inference_mode()
    def forward(self, _):
        self.model(self.x)

    def __str__(self):
        layout = "channels last" if self.memory_format == torch.channels_last else "channels first"
        how = "passes side by side" if self.side_by_side else "threads inside a pass"
        return f"{layout}, batches of {self.batch}, {how}"


def find_best(model, size, n_pictures, batches):
    """The fastest way among all, each tried twice."""
    ways = [
        Bare(model, size, memory_format, batch, side_by_side)
        for memory_format in (torch.channels_last, torch.contiguous_format)
        for batch in batches
        for side_by_side in (True, False)
    ]
    return min(ways, key=lambda way: min(timed(lambda: way(n_pictures))[0] for _ in range(2)))


def measure(runs, tiny):
    n_jobs, n_clips, rows = torch.get_num_threads(), 16 if tiny else 128, []
    warnings.simplefilter("ignore")  # of mel bands without a bin
    with tempfile.TemporaryDirectory() as folder:
        corpus = write_clips(folder, n_clips)
        for name, layer in NETWORKS:
            size = input_size(name)
            plot = AudioPlot(Spectrum("mel", n_mels=128), size_px=size)
            estimator = DeepSpectrum(name, layer=layer, weights="random").fit()
            model = build_network(name, weights="random").model
            bare = find_best(model, size, 8 if tiny else 64, BATCHES[:2] if tiny else BATCHES)
            ours = partial(extract, corpus, estimator, plot, n_jobs=n_jobs, progress=False)
            ours()  # starts the workers
            bare(n_clips)
            turns = [(timed(ours), timed(partial(bare, n_clips))) for _ in range(runs)]
            (wall, cpu), (bare_wall, bare_cpu) = (
                [statistics.median(turn[side][clock] for turn in turns) for clock in (0, 1)]
                for side in (0, 1)
            )
            ratio = bare_wall / wall
            rows.append(
                row(
                    f"files → {name} {layer}",
                    f"≥ {TARGET} of the bare network's throughput",
                    f"{ratio:.2f} ({n_clips / wall:.1f} against {n_clips / bare_wall:.1f} clips/s)",
                    ratio=ratio,
                    passed=ratio >= TARGET,
                    runs=runs,
                    note=f"processor time a clip {1e3 * cpu / n_clips:.1f} against "
                    f"{1e3 * bare_cpu / n_clips:.1f} ms ({bare_cpu / cpu:.2f}); the bare network "
                    f"in its best way: {bare}",
                )
            )
    return rows


if __name__ == "__main__":
    run_script(__doc__, measure)
