"""Audio plots of recordings as files: for a network, or with axes for a reader."""

import io
from pathlib import Path

import numpy as np

from thesislib.audio import read_audio
from thesislib.errors import AudioError, check_option
from thesislib.spectra.plot import DRAWN_PX, AudioPlot, make_spectrum, own_axis, write_png
from thesislib.store import write_atomically

# Settings of an `AudioPlot`; all others are of its spectrum.
_DRAWING = ("colour_map", "frequency_axis")


def plot_file(
    path,
    output,
    *,
    style="thesis",
    size_px=None,
    start_s=None,
    end_s=None,
    axes=False,
    **settings,
):
    """Draw the audio plot of a recording, or of a segment, into a file.

    Parameters
    ----------
    path : str or Path
        Recording; its channels are averaged.
    output : str or Path
        Image (.png) or array (.npy) to write; with axes, .png, .pdf or .svg.
    style : {"thesis", "deepspectrum"}
        Of the spectrum and of the plot.
    size_px : int, optional
        Side of the image; None is 387 (thesis) or 227 (deepspectrum).
    start_s, end_s : float, optional
        Segment in seconds.
    axes : bool
        Draw time, frequency, colour bar and the file's name as title.
    **settings
        ``colour_map`` and ``frequency_axis`` as in :class:`AudioPlot`, all others as in
        `make_spectrum`. Mel bands of style ``thesis`` have windows of 64 ms and hops of 16 ms
        by default: with the 16 ms of the thesis some bands hold no bin.

    Raises
    ------
    AudioError, ParameterError, StoreError
        If the recording, an option or the output is no good.
    """
    output = Path(output)
    check_option("output", output.suffix, (".png", ".pdf", ".svg") if axes else (".png", ".npy"))
    drawing = {name: settings.pop(name) for name in _DRAWING if name in settings}
    if style == "thesis" and settings.get("kind", "mel") == "mel" and "n_fft" not in settings:
        filled = {"window_s": 0.064, "hop_s": 0.016}
        settings = settings if "window_s" in settings else filled | settings
    spectrum = make_spectrum(style, **settings)
    if size_px is None:
        size_px = DRAWN_PX if style == "thesis" else 227
    drawing["frequency_axis"] = own_axis(spectrum.kind, drawing.get("frequency_axis", "linear"))
    draw = AudioPlot(spectrum, style=style, size_px=size_px, **drawing)
    y, sr = read_audio(path, start_s=start_s, end_s=end_s)
    try:
        plot = draw(y, sr=sr)
    except AudioError as error:
        raise AudioError(f"{path}: {error}") from error
    if axes:
        # Imported late: a plain plot needs no figure.
        from thesislib.reporting.figures import plot_audio, save_figure, use_style

        use_style()
        start_s = start_s or 0.0
        save_figure(plot_audio([draw], [(y, sr)], [Path(path).name], start_s=start_s), output)
    elif output.suffix == ".png":
        write_png(output, plot)
    else:
        data = io.BytesIO()
        np.save(data, plot)
        with write_atomically(output) as temporary:
            temporary.write_bytes(data.getvalue())
