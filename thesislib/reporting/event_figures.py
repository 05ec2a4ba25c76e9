"""Figure of a detection: what the network heard, what it answered, what was decided (8.2)."""

import matplotlib.pyplot as plt
import numpy as np

from thesislib.reporting.figures import COLOUR_MAP

#: Told apart without colour.
LINES = ("-", "--", ":", "-.")


def plot_detection(
    spectrogram, probabilities, *, hop_s, truth_s, decided_s, threshold, title="", band_hz=None
):
    """Log mel spectrogram of a mixture over its frame probabilities.

    Parameters
    ----------
    spectrogram : ndarray, shape (n_frames, n_mels)
        In dB.
    probabilities : dict of str to ndarray, shape (n_frames,)
        Name in the legend to a detector's answer.
    hop_s : float
        Distance between frames in seconds.
    truth_s : tuple of float or None
        Onset and offset of the event.
    decided_s : float or None
        The onset that was decided on.
    threshold : float
        Presence threshold.
    title : str
    band_hz : ndarray, shape (n_mels,), optional
        Centre of each band in Hz; without it the bands are numbered.

    Returns
    -------
    matplotlib.figure.Figure
    """
    n_frames, n_bands = spectrogram.shape
    figure, (above, below) = plt.subplots(
        2, 1, figsize=(8.5, 5.2), sharex=True, height_ratios=(1.4, 1)
    )
    picture = above.imshow(
        spectrogram.T,
        origin="lower",
        aspect="auto",
        interpolation="nearest",
        extent=(0, n_frames * hop_s, -0.5, n_bands - 0.5),
        cmap=COLOUR_MAP,
    )
    above.set(ylabel="mel band", title=title)
    if band_hz is not None:
        ticks = np.linspace(0, n_bands - 1, 5).round().astype(int)
        above.set_yticks(ticks, [f"{band_hz[tick] / 1000:.2g}" for tick in ticks])
        above.set_ylabel("frequency (kHz, mel scale)")
    figure.colorbar(picture, ax=above, label="power (dB)", pad=0.01)
    time_s = np.arange(n_frames) * hop_s
    for i, (name, sequence) in enumerate(probabilities.items()):
        below.plot(time_s, sequence, LINES[i % len(LINES)], color=f"C{i}", lw=1.2, label=name)
    below.axhline(threshold, color="0.4", lw=1, ls=(0, (1, 3)), label="presence threshold")
    if truth_s is not None:
        below.axvspan(*truth_s, color="0.85", zorder=0, label="event")
        above.axvline(truth_s[0], color="white", lw=1.5)
        above.axvline(truth_s[1], color="white", lw=1.5)
    if decided_s is not None:
        below.plot([decided_s], [1.04], "kv", ms=9, clip_on=False, label="onset decided on")
    below.set(ylim=(0, 1.04), xlabel="time (s)", ylabel="probability", xlim=(0, n_frames * hop_s))
    # Beside the panels, so that it covers no curve.
    figure.legend(loc="outside upper center", ncols=5, fontsize="small", frameon=False)
    return figure
