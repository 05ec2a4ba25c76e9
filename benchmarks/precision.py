"""Mixed precision for extraction: how far features move, and what it saves.

AlexNet fc7 and GoogLeNet pool with random weights on plots of noise and tones, in float32 and, on a
GPU, bfloat16. The deviation is the norm of the difference divided by the norm of the float32
features of each image; the median and the largest are reported.
"""

import warnings
from functools import partial

import numpy as np
from timing import describe, row, run_script, take_turns

from thesislib.representations.deep_spectrum import PRECISIONS, DeepSpectrum
from thesislib.representations.networks import input_size
from thesislib.spectra.plot import AudioPlot
from thesislib.spectra.spectrogram import Spectrum
from thesislib.training import pick_device


def draw_pictures(size, n):
    rng, plot = np.random.default_rng(0), AudioPlot(Spectrum("mel", n_mels=64), size_px=size)
    t = np.arange(16000) / 16000
    tones = [np.sin(2 * np.pi * rng.uniform(100, 4000) * t**e) for e in rng.uniform(1, 2, n)]
    return np.stack([plot(y + 0.1 * rng.normal(size=len(t)), sr=16000) for y in tones])


def measure(runs, tiny):
    warnings.simplefilter("ignore")
    device, rows = pick_device("auto").type, []
    if device == "cpu":
        claim = "deviation of bfloat16 from float32"
        return [row(claim, "reported, not bounded", "not run", runs=runs, note="requires a GPU")]
    for name, layer in (("alexnet", "fc7"), ("googlenet", "pool")):
        pictures = draw_pictures(64 if tiny else input_size(name), 8 if tiny else 32)
        networks = {
            precision: DeepSpectrum(name, layer, "random", precision=precision).fit()
            for precision in PRECISIONS
        }
        features = {precision: each.transform(pictures) for precision, each in networks.items()}
        sides = {p: partial(each.transform, pictures) for p, each in networks.items()}
        seconds = {p: np.median(each) for p, each in take_turns(sides, runs).items()}
        exact = features.pop("float32")
        for precision, found in features.items():
            moved = np.linalg.norm(found - exact, axis=1) / np.linalg.norm(exact, axis=1)
            ratio = seconds["float32"] / seconds[precision]
            rows.append(
                row(
                    f"{name} {layer} in {precision} on {device}: deviation from float32",
                    "told, not bounded",
                    f"{np.median(moved):.1e} (largest {moved.max():.1e})",
                    ratio=ratio,
                    runs=runs,
                    note=f"{ratio:.2f} × as fast ({describe(seconds[precision])} against "
                    f"{describe(seconds['float32'])} for {len(pictures)} pictures); random weights",
                )
            )
    return rows


if __name__ == "__main__":
    run_script(__doc__, measure)
