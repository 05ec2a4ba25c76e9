"""How cost grows with clips, with seconds a clip and with the codebook: a plot each.

- Clips: files of 5 s to AlexNet's fc7 (random weights), cold, without a store.
- Seconds a clip: one file to its audio plot (read, mel spectrum, plot), from 1 to 60 s.
- Codebook: 4 000 frames of 4 096 features to bags, 10 assignments, 50 to 2 000 words.

Each point is a median. The slope is that of a straight line through the logarithms: 1 is
proportional, less than 1 has a fixed part.
"""

import tempfile
from pathlib import Path

import matplotlib
import numpy as np
import pandas as pd
import soundfile
from bag_of_features import make_clips
from timing import describe, row, run_script, take_turns

from thesislib.audio import read_audio
from thesislib.corpora.index import Corpus
from thesislib.representations.bag_of_features import BagOfFeatures
from thesislib.representations.deep_spectrum import DeepSpectrum
from thesislib.representations.extract import extract
from thesislib.spectra.plot import AudioPlot
from thesislib.spectra.spectrogram import Spectrum

FIGURES = Path(__file__).parent / "figures"
matplotlib.use("Agg")


def write_noise(path, seconds, sr=16000):
    rng = np.random.default_rng(0)
    soundfile.write(path, rng.normal(scale=0.1, size=round(seconds * sr)), sr)


def grow_with_clips(runs, tiny, folder):
    counts = [1, 2, 4] if tiny else [4, 8, 16, 32, 64, 128]
    plot = AudioPlot(Spectrum("mel", window_s=0.032, hop_s=0.016, n_mels=64), size_px=227)
    name, layer = ("squeezenet1_1", "logits") if tiny else ("alexnet", "fc7")
    network = DeepSpectrum(name, layer=layer, weights="random").fit()
    names = [f"clip_{i}.wav" for i in range(counts[-1])]
    for name in names:
        write_noise(folder / name, 5)
    sides = {}
    for n in counts:
        index = pd.DataFrame({"file": names[:n], "label": "noise"})
        corpus = Corpus(index, folder, name="noise", kind="synthetic")
        sides[n] = lambda corpus=corpus: extract(corpus, network, plot)
    return "clips", "clips of 5 s, files to features of AlexNet", take_turns(sides, runs)


def grow_with_seconds(runs, tiny, folder):
    plot, sides = AudioPlot(Spectrum("mel", n_mels=64, window_s=0.032, hop_s=0.016)), {}
    for seconds in [1, 2] if tiny else [1, 2, 5, 10, 20, 30, 60]:
        path = folder / f"{seconds}_s.wav"
        write_noise(path, seconds)

        def draw(path=path):
            y, sr = read_audio(path)
            plot(y, sr=sr)

        sides[seconds] = draw
    return "seconds_a_clip", "seconds a clip, a file to its audio plot", take_turns(sides, runs)


def grow_with_words(runs, tiny, folder):
    clips = make_clips(4, 100, 32) if tiny else make_clips(20, 4_000, 4_096)
    sides = {}
    for size in [10, 20] if tiny else [50, 100, 200, 500, 1000, 2000]:
        bag = BagOfFeatures(size, 10).fit(clips)
        sides[size] = lambda bag=bag: bag.transform(clips)
    return "codebook_size", "words, 4 000 frames to bags", take_turns(sides, runs)


def draw_growth(path, label, sizes, medians, exponent, factor):
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4, 3), dpi=100, layout="constrained")
    axes = figure.add_subplot()
    axes.loglog(sizes, medians, "o", color="black")
    axes.loglog(sizes, factor * sizes**exponent, color="grey", label=f"slope {exponent:.2f}")
    axes.set(xlabel=label, ylabel="seconds")
    axes.legend(frameon=False)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, metadata={"Software": None})


def measure(runs, tiny):
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        figures = Path(folder) if tiny else FIGURES
        for grow in (grow_with_clips, grow_with_seconds, grow_with_words):
            name, label, seconds = grow(runs, tiny, Path(folder))
            sizes = np.array(list(seconds), float)
            medians = np.array([np.median(each) for each in seconds.values()])
            exponent, constant = np.polyfit(np.log(sizes), np.log(medians), 1)
            draw_growth(figures / f"{name}.png", label, sizes, medians, exponent, np.exp(constant))
            marginal = (medians[-1] - medians[-2]) / (sizes[-1] - sizes[-2])
            points = ", ".join(f"{n:g}: {describe(s)}" for n, s in zip(sizes, medians))
            rows.append(
                row(
                    f"growth with {label}",
                    "the slope",
                    f"slope {exponent:.2f}; {describe(marginal)} for each more at the end",
                    ratio=exponent,
                    runs=runs,
                    note=points,
                )
            )
    return rows


if __name__ == "__main__":
    run_script(__doc__, measure)
