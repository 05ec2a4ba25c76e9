"""Stage 2: from signals to spectra and audio plots."""

from thesislib.spectra.plot import (
    FREQUENCY_AXES,
    STYLES,
    THESIS_COLOUR_MAPS,
    AudioPlot,
    check_colour_map,
    colour_table,
    draw_plot,
    plot_file,
    write_png,
)
from thesislib.spectra.spectrogram import (
    KINDS,
    Spectrum,
    chromagram,
    clip_below,
    delta,
    mel_spectrogram,
    power_to_db,
    scale_to_unit,
    spectrogram,
)

__all__ = [
    "FREQUENCY_AXES",
    "KINDS",
    "STYLES",
    "THESIS_COLOUR_MAPS",
    "AudioPlot",
    "Spectrum",
    "check_colour_map",
    "chromagram",
    "clip_below",
    "colour_table",
    "delta",
    "draw_plot",
    "mel_spectrogram",
    "plot_file",
    "power_to_db",
    "scale_to_unit",
    "spectrogram",
    "write_png",
]
