"""Recipes of the synthetic corpora: what stands in for each corpus of the thesis.

The numbers are in ``files/recipes.yaml``; this module documents the fields.
:mod:`thesislib.corpora.synthetic` renders the audio.
"""

from dataclasses import dataclass, field
from pathlib import Path

from thesislib.places import read_plain


@dataclass(frozen=True)
class Source:
    """An excitation, the resonances that colour it, and an envelope.

    Parameters
    ----------
    excitation : {"pulses", "noise", "tones"}
    f0_hz : float
        Repetition rate of pulses, or frequency of the first tone.
    resonances_hz : tuple of float
        Centres of the filter's peaks; none leaves the excitation as it is.
    q : float
        Centre over bandwidth of each peak.
    rate_hz : float
        Events a second; 0 sounds all the time.
    attack_s, decay_s : float
        Linear rise, then exponential fall of an event.
    level_db : float
        Level of the sounding part against the other sources.
    glide : float
        Spread of the slow change of ``f0_hz``, in octaves.
    tilt_db : float
        Slope of the filter in dB an octave.
    phase : float
        Place of the event in its period, in [0, 1). Sources of one rate keep step.
    jitter : float
        Irregularity of the events as a share of the period.
    notes : tuple of float
        Semitones above ``f0_hz`` that an event chooses from.
    stretch : float
        Partial k of ``tones`` lies at ``k ** stretch``; 1 is harmonic, glass is not.
    side : bool
        Left against right: audible in the channel difference, absent from the mean.
    """

    excitation: str = "noise"
    f0_hz: float = 100.0
    resonances_hz: tuple = ()
    q: float = 2.0
    rate_hz: float = 0.0
    attack_s: float = 0.02
    decay_s: float = 0.1
    level_db: float = 0.0
    glide: float = 0.1
    tilt_db: float = 0.0
    phase: float = 0.0
    jitter: float = 0.1
    notes: tuple = (0.0,)
    stretch: float = 1.0
    side: bool = False


@dataclass(frozen=True)
class Recipe:
    """Classes of a corpus and how far they blur.

    Parameters
    ----------
    classes : dict of str to tuple of Source
    sr : int
        Sampling rate in Hz.
    duration_s : tuple of (float, float)
        Shortest and longest clip.
    snr_db : float
        Mean level of the sources over coloured noise; a clip departs by 4 dB.
    group_spread, clip_spread : float
        Standard deviation of the logarithm of frequencies, rates and durations
        (and in proportion of levels and slopes) between groups and between clips.
    colour_db : float
        Standard deviation of a group's frequency response (microphone, room).
    n_per_class : dict of str to int
        Clips of the largest class (in a partition, or over all folds) by size of corpus.
    n_per_group : int
        Clips of a sleeper, place, game or speaker.
    n_folds : int
        Folds of cross-validation, or 0 where the corpus has partitions.
    counts : dict of str to tuple of float
        Clips of each class in each partition; only ratios within a partition are used.
    departs : str
        Where the audio departs from the real corpus, for the record.
    """

    classes: dict
    sr: int = 16000
    duration_s: tuple = (1.0, 2.0)
    snr_db: float = 15.0
    group_spread: float = 0.2
    clip_spread: float = 0.1
    colour_db: float = 3.0
    n_per_class: dict = field(default_factory=lambda: {"tiny": 6, "demo": 24})
    n_per_group: int = 2
    n_folds: int = 0
    counts: dict = field(default_factory=dict)
    departs: str = ""


def _read(value):
    """Values of the file: lists as tuples, mappings in them as sources, others as recipes."""
    if isinstance(value, list):
        return tuple(Source(**_read(v)) if isinstance(v, dict) else _read(v) for v in value)
    if not isinstance(value, dict):
        return value
    fields = {key: _read(each) for key, each in value.items()}
    return Recipe(**fields) if "classes" in fields else fields


#: Name to recipe; a corpus that is several corpora (a folder each) has a recipe for each.
RECIPES = _read(read_plain(Path(__file__).with_name("files") / "recipes.yaml"))

#: Shortest and longest event in seconds, after Table 8.2.
EVENT_DURATIONS_S = {"babycry": (0.7, 3.5), "glassbreak": (0.3, 2.0), "gunshot": (0.3, 2.0)}
