"""An audio plot from a ready spectrum, against a drawn figure of the same size in pixels.

The other side is DeepSpectrum's way: a matplotlib figure without axes, a coloured mesh, saved as
PNG (in memory), read back as an array. The spectrum has 128 mel bands and 5 s of frames 8 ms apart.
"""

import io
import statistics

import matplotlib
import numpy as np
from PIL import Image
from timing import describe, faster, run_script, take_turns

from thesislib.spectra.plot import draw_plot

matplotlib.use("Agg")


def draw_figure(S, size_px, mesh=True):
    from matplotlib import pyplot

    figure = pyplot.figure(figsize=(1, 1), frameon=False)
    axes = figure.add_axes([0, 0, 1, 1])
    axes.set_axis_off()
    if mesh:
        axes.pcolormesh(S, cmap="viridis")
    else:
        axes.imshow(S, cmap="viridis", aspect="auto", origin="lower", interpolation="nearest")
    png = io.BytesIO()
    figure.savefig(png, format="png", dpi=size_px)
    pyplot.close(figure)
    return np.asarray(Image.open(png).convert("RGB"))


def measure(runs, tiny):
    S = np.random.default_rng(0).normal(size=(128, 62 if tiny else 624)).astype(np.float32)
    rows = []
    for size_px, style, note in (
        (227, "deepspectrum", ""),
        (387, "thesis", ""),
        (227, "thesis", "drawn at 387 px and reduced; the figure is drawn at 227 px"),
    ):
        # Ours take turns in hundreds: a single one is too short for the clock.
        n = 5 if tiny else 100
        seconds = take_turns(
            {
                "ours": lambda: [draw_plot(S, style=style, size_px=size_px) for _ in range(n)],  # noqa: B023
                "figure": lambda: draw_figure(S, size_px),  # noqa: B023
                "image": lambda: draw_figure(S, size_px, mesh=False),  # noqa: B023
            },
            runs,
        )
        ours = [each / n for each in seconds["ours"]]
        image = statistics.median(seconds["image"])
        note += "; " if note else ""
        note += f"an image in place of the mesh: {describe(image)}"
        claim = f"audio plot from a ready spectrum, {size_px} px, style {style}"
        rows.append(faster(claim, ours, seconds["figure"], at_least=40, note=note))
    return rows


if __name__ == "__main__":
    run_script(__doc__, measure)
