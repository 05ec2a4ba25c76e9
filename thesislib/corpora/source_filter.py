"""The source–filter generator behind the synthetic corpora.

A clip is a sum of sources; a source is an excitation (pulses, noise, tones) through
resonances under an envelope, with noise over the sum and a frequency response
(room, microphone) over all of it.
"""

from dataclasses import replace

import numpy as np
from scipy.fft import irfft, next_fast_len, rfft, rfftfreq

_N_PARTIALS = 6


def vary(sources, rng, spread):
    """Shift the sources of a class: what a group or a clip has of its own.

    Parameters
    ----------
    sources : tuple of Source
    rng : numpy.random.Generator
    spread : float >= 0
        Standard deviation of the logarithm of pitch, rate and decay; half of it for
        resonances; levels vary by 10 dB and slopes by 4 dB an octave times this.

    Returns
    -------
    tuple of Source
        Pitch and rate are shifted by one factor for all, so that sources keep step.
    """
    tempo, pitch = np.exp(spread * rng.standard_normal(2))
    shifted = []
    for source in sources:
        level, tilt, decay, *peaks = spread * rng.standard_normal(3 + len(source.resonances_hz))
        moved = {
            "f0_hz": source.f0_hz * pitch,
            "rate_hz": source.rate_hz * tempo,
            "decay_s": source.decay_s * np.exp(decay),
            "level_db": source.level_db + 10 * level,
            "tilt_db": source.tilt_db + 4 * tilt,
            "resonances_hz": tuple(np.array(source.resonances_hz) * np.exp(0.5 * np.array(peaks))),
        }
        shifted.append(replace(source, **moved))
    return tuple(shifted)


def render(sources, rng, *, sr, duration_s, snr_db=np.inf, colour_db=(), sudden=False):
    """Add up sources and noise.

    Parameters
    ----------
    sources : tuple of Source
    rng : numpy.random.Generator
    sr : int
        Sampling rate in Hz.
    duration_s : float
        Duration in seconds.
    snr_db : float
        Level of the sources over the noise; infinite for none.
    colour_db : sequence of float
        Frequency response in dB at points spaced evenly on a logarithmic axis from
        50 Hz to half the sampling rate; empty for a flat one.
    sudden : bool
        Begin with the onset of an event, as an isolated event does.

    Returns
    -------
    ndarray, shape (n_samples,) or (n_samples, 2), float32
        In [-0.9, 0.9]; two channels if a source has ``side``.
    """
    n = max(1, round(sr * duration_s))
    size = next_fast_len(n, real=True)
    hz = rfftfreq(size, 1 / sr).astype(np.float32)
    paced = [source for source in sources if source.rate_hz]
    start = 0.0
    if paced and not sudden:
        # Anywhere in the period, but so that a clip shorter than it still holds an event.
        start = paced[0].phase - min(1, 0.7 * paced[0].rate_hz * duration_s) * rng.uniform()
    views = np.zeros((1 + any(source.side for source in sources), n), np.float32)
    beats = {}
    for source in sources:
        if source.rate_hz not in beats:
            turns = np.arange(0 if sudden else -2, source.rate_hz * duration_s + 2)
            uneven = source.jitter * rng.standard_normal(len(turns)) * (turns != 0)
            beats[source.rate_hz] = turns + uneven - start
        onsets_s = np.sort(beats[source.rate_hz] + source.phase) / (source.rate_hz or 1)
        spectrum = rfft(_excite(source, onsets_s, n, sr, rng), size) * _respond(source, hz)
        y = irfft(spectrum, size)[:n]
        y *= 10 ** (source.level_db / 20) / (np.sqrt(np.mean(y**2)) + 1e-12)
        views[int(source.side)] += y * _envelope(source, onsets_s, n, sr, rng)
    if np.isfinite(snr_db):
        level = np.sqrt(np.mean(views[0] ** 2)) * 10 ** (-snr_db / 20)
        noise = rfft(rng.standard_normal(views.shape, np.float32), size) / np.sqrt(1 + hz / 200)
        noise = irfft(noise, size)[:, :n]
        views += level * noise / np.sqrt(np.mean(noise**2, axis=1, keepdims=True))
    if len(colour_db):
        points = np.geomspace(50, sr / 2, len(colour_db))
        response_db = np.interp(np.log(hz + 1), np.log(points), colour_db).astype(np.float32)
        views = irfft(rfft(views, size) * 10 ** (response_db / 20), size)[:, :n]
    if len(views) == 2:
        views = np.stack([views[0] + views[1], views[0] - views[1]])
    peak = 0.9 * 10 ** (-rng.uniform(0, 10) / 20)
    return (views * np.float32(peak / np.abs(views).max())).T.squeeze()


def _excite(source, onsets_s, n, sr, rng):
    """Excitation of n samples; pitched ones glide and take a note an event."""
    if source.excitation == "noise":
        return rng.standard_normal(n, dtype=np.float32)
    time_s = np.arange(n) / sr
    knots_s = np.arange(0, n / sr + 0.5, 0.25)
    octaves = np.interp(time_s, knots_s, source.glide * rng.standard_normal(len(knots_s)))
    if source.rate_hz and len(source.notes) > 1:
        notes = rng.choice(source.notes, len(onsets_s) + 1)
        octaves += notes[np.searchsorted(onsets_s, time_s)] / 12
    f0_hz = source.f0_hz * 2.0**octaves
    turns = np.cumsum(f0_hz) / sr + rng.uniform()
    if source.excitation == "pulses":
        return np.diff(np.floor(turns), prepend=np.floor(turns[0])).astype(np.float32)
    y = np.zeros(n, np.float32)
    for k in range(1, _N_PARTIALS + 1):
        ratio = k**source.stretch
        if ratio * f0_hz.max() < sr / 2:
            # Whole turns are taken off first: single precision then suffices for the sine.
            y += np.sin((2 * np.pi * (ratio * turns % 1)).astype(np.float32)) / np.float32(k)
    return y


def _respond(source, hz):
    """Magnitude response: a sum of resonances, and a slope in dB an octave."""
    response = np.ones_like(hz)
    if source.resonances_hz:
        ratio = np.maximum(hz, 1) / np.array(source.resonances_hz, np.float32)[:, None]
        response = (1 / np.sqrt(1 + (source.q * (ratio - 1 / ratio)) ** 2)).sum(axis=0)
    return response * (1 + hz / 100) ** np.float32(source.tilt_db / (20 * np.log10(2)))


def _envelope(source, onsets_s, n, sr, rng):
    if not source.rate_hz:
        return 1.0
    rise = np.linspace(0, 1, max(1, round(source.attack_s * sr)), endpoint=False)
    fall_s = np.arange(max(1, round(6 * source.decay_s * sr))) / sr
    shape = np.concatenate([rise, np.exp(-fall_s / source.decay_s)])
    envelope = np.zeros(n + len(shape))
    for onset_s, strength in zip(onsets_s, rng.uniform(0.6, 1, len(onsets_s))):
        first = round(onset_s * sr)
        skip = max(0, -first)
        if first < n and skip < len(shape):
            envelope[first + skip : first + len(shape)] += strength * shape[skip:]
    return envelope[:n]
