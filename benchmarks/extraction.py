"""Files to network features, against the same file by file, figure and all.

Clips of 5 s at 16 kHz (noise), mel plots of 128 bands, random weights, all cores. The other side
does for each file what DeepSpectrum does: load, transform and scale with librosa, draw a figure
with matplotlib, save it as PNG, read it back, and pass it through the network alone.
"""

import tempfile
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import soundfile
import torch
from file_to_plot import draw_with_librosa
from timing import faster, run_script, take_turns

from thesislib.corpora.index import Corpus
from thesislib.representations.deep_spectrum import DeepSpectrum
from thesislib.representations.extraction import extract
from thesislib.representations.networks import input_size
from thesislib.spectra.plot import AudioPlot
from thesislib.spectra.spectrogram import Spectrum

NETWORKS = (("alexnet", "fc7"), ("googlenet", "pool"))


def write_clips(folder, n_clips, *, seconds=5.0, sr=16000):
    """Clips of coloured noise, as a corpus."""
    rng, folder = np.random.default_rng(0), Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    names = [f"{i:05d}.wav" for i in range(n_clips)]
    for name in names:
        soundfile.write(folder / name, 0.1 * rng.normal(size=int(seconds * sr)), sr)
    index = pd.DataFrame({"file": names, "label": "noise"})
    return Corpus(index, folder, name="noise", kind="synthetic")


def measure(runs, tiny):
    n_jobs, n_clips, rows = torch.get_num_threads(), 16 if tiny else 128, []
    n_single = 2 if tiny else 16
    warnings.simplefilter("ignore")  # of mel bands without a bin
    with tempfile.TemporaryDirectory() as folder:
        corpus = write_clips(folder, n_clips)
        for name, layer in NETWORKS:
            size = input_size(name)
            plot = AudioPlot(Spectrum("mel", n_mels=128), size_px=size)
            estimator = DeepSpectrum(name, layer=layer, weights="random").fit()

            def together(estimator=estimator, plot=plot):
                extract(corpus, estimator, plot, n_jobs=n_jobs, progress=False)

            def file_by_file(estimator=estimator, size=size):
                for path in corpus.paths[:n_single]:
                    estimator.transform(draw_with_librosa(path, size)[None])

            seconds = take_turns({"ours": together, "theirs": file_by_file}, runs)
            rows.append(
                faster(
                    f"files → {name} {layer}, a clip, against file by file with a figure each",
                    [each / n_clips for each in seconds["ours"]],
                    [each / n_single for each in seconds["theirs"]],
                    at_least=3,
                )
            )
    return rows


if __name__ == "__main__":
    run_script(__doc__, measure)
