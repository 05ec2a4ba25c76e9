"""Stage 2: from signals to spectra and audio plots."""
