"""Draw the picture at the top of the README: clip, audio plot, features, table.

``python docs/figures/draw_pipeline.py`` writes ``pipeline.png`` beside itself, from the synthetic
snores and a network with random weights.
"""

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

from thesislib.audio import read_audio
from thesislib.corpora import open_corpus
from thesislib.reporting.figures import use_style
from thesislib.representations.deep_spectrum import DeepSpectrum
from thesislib.spectra.plot import AudioPlot
from thesislib.spectra.spectrogram import Spectrum


def draw_pipeline():
    """Figure with the four stages side by side."""
    corpus = open_corpus("snore", n_per_class=6)
    rows = [int(np.flatnonzero(corpus.labels == label)[0]) for label in corpus.classes]
    clips = [read_audio(corpus.paths[row]) for row in rows]
    mel = Spectrum("mel", window_s=0.064, hop_s=0.016, n_mels=128)
    plot = AudioPlot(mel, colour_map="viridis", size_px=227)
    pictures = np.stack([plot(y, sr=sr) for y, sr in clips])
    features = DeepSpectrum("alexnet", layer="fc7", weights="random").fit().transform(pictures)
    (y, sr), length_s = clips[0], len(clips[0][0]) / clips[0][1]

    use_style()
    figure, axes = plt.subplots(1, 4, figsize=(14, 3.3), width_ratios=[1, 1.1, 1.1, 1.5])
    axes[0].plot(np.arange(len(y)) / sr, y, linewidth=0.5, color="0.2")
    axes[0].set(title="clip  →", xlabel="time (s)", ylabel="amplitude", xlim=(0, length_s))
    axes[1].imshow(pictures[0], extent=(0, length_s, 0, 128), aspect="auto")
    axes[1].set(title="audio plot  →", xlabel="time (s)", ylabel="mel band")
    image = axes[2].imshow(features[0].reshape(64, 64), cmap="cividis", aspect="auto")
    axes[2].set(title="4096 activations (fc7)  →", xticks=[], yticks=[])
    axes[2].set(xlabel="unit, 64 a row")
    figure.colorbar(image, ax=axes[2], label="activation")
    axes[3].set_axis_off()
    shown = sorted(np.argsort(features.std(axis=0))[-3:])
    table = axes[3].table(
        [
            [
                corpus.paths[row].name,
                *(f"{features[i, j]:.3f}" for j in shown),
                "…",
                corpus.labels[row],
            ]
            for i, row in enumerate(rows)
        ],
        colLabels=["file", *(f"fc7_{j}" for j in shown), "…", "label"],
        colWidths=[0.36, 0.17, 0.17, 0.17, 0.06, 0.12],
        cellLoc="center",
        loc="center",
    )
    table.auto_set_font_size(False)
    table.set_fontsize(9)
    table.scale(1, 1.8)
    axes[3].set(title="table")
    return figure


if __name__ == "__main__":
    draw_pipeline().savefig(Path(__file__).with_name("pipeline.png"), dpi=100)
