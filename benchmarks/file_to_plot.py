"""From an audio file to an audio plot, against librosa and matplotlib, on one core each.

5 s at 16 kHz, 128 mel bands, 227 px. The other side loads, transforms and scales with librosa and
draws with `librosa.display.specshow` into a figure that is saved as PNG and read back. BLAS has
one thread on both sides; everything else has one anyway.
"""

import io
import tempfile
from pathlib import Path

import matplotlib
import numpy as np
import soundfile
from PIL import Image
from threadpoolctl import threadpool_limits
from timing import faster, run_script, take_turns

from thesislib.audio import read_audio
from thesislib.spectra.plot import AudioPlot
from thesislib.spectra.spectrogram import Spectrum

matplotlib.use("Agg")
WINDOW, HOP, N_MELS = 256, 128, 128


def draw_with_librosa(path, size_px=227):
    import librosa
    import librosa.display
    from matplotlib import pyplot

    y, sr = librosa.load(path, sr=None)
    S = librosa.feature.melspectrogram(
        y=y, sr=sr, n_fft=WINDOW, hop_length=HOP, n_mels=N_MELS, htk=True, center=False
    )
    S = librosa.power_to_db(S, ref=np.max, top_db=None)
    figure = pyplot.figure(figsize=(1, 1), frameon=False)
    axes = figure.add_axes([0, 0, 1, 1])
    axes.set_axis_off()
    librosa.display.specshow(S, sr=sr, hop_length=HOP, cmap="viridis", ax=axes)
    png = io.BytesIO()
    figure.savefig(png, format="png", dpi=size_px)
    pyplot.close(figure)
    return np.asarray(Image.open(png).convert("RGB"))


def measure(runs, tiny):
    import warnings

    warnings.simplefilter("ignore")  # of mel bands without a bin, both sides
    plot = AudioPlot(Spectrum("mel", n_fft=WINDOW, hop_s=HOP / 16000, n_mels=N_MELS), size_px=227)
    n = 2 if tiny else 20

    def draw():
        y, sr = read_audio(path)
        return plot(y, sr=sr)

    with tempfile.TemporaryDirectory() as folder, threadpool_limits(1):
        path = Path(folder) / "noise.wav"
        y = np.random.default_rng(0).normal(scale=0.1, size=8000 if tiny else 80000)
        soundfile.write(path, y, 16000)
        sides = {
            "ours": lambda: [draw() for _ in range(n)],
            "theirs": lambda: draw_with_librosa(path),
        }
        seconds = take_turns(sides, runs)
    ours = [each / n for each in seconds["ours"]]
    claim = "audio file → plot, 5 s at 16 kHz, mel-128"
    return [faster(claim, ours, seconds["theirs"], at_least=10, per=" a core")]


if __name__ == "__main__":
    run_script(__doc__, measure)
