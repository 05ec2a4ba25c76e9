"""Recipes of the synthetic corpora: what stands in for each corpus of the thesis.

Data only; :mod:`thesislib.corpora.synthetic` turns it into audio. A recipe says which
sources sound in a class, how much groups (sleepers, places, games, speakers) and clips
differ within a class, and how much noise lies over it. The numbers are caricatures
of the real sounds: they give every notebook something to tell apart, and no result
on them says anything about the real corpora.
"""

from dataclasses import dataclass, field, replace


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


def _snore(f0_hz, resonances_hz, breath_db):
    breath = Source("noise", f0_hz, resonances_hz, 2, 0.9, 0.15, 0.35, breath_db, jitter=0.05)
    throat = replace(breath, excitation="pulses", q=4, level_db=0, glide=0.3, tilt_db=-3)
    return throat, breath


SNORE = Recipe(
    # Velum, oropharyngeal walls, tongue base, epiglottis: further down, higher resonances.
    classes={
        "V": _snore(42, (260, 650, 1700), -14),
        "O": _snore(50, (330, 850, 2000), -12),
        "T": _snore(56, (400, 1100, 2300), -8),
        "E": _snore(70, (520, 1400, 2800), -10),
    },
    group_spread=0.22,
    colour_db=4.0,
    n_per_class={"tiny": 6, "demo": 28},
    n_per_group=3,
    # Table 10.3.
    counts={"train": (168, 76, 8, 30), "devel": (161, 75, 15, 32), "test": (155, 65, 16, 27)},
)


def _heart(murmur_db):
    first = Source("noise", 100, (45, 90), 1.5, 1.2, 0.01, 0.035, jitter=0.03)
    second = replace(first, resonances_hz=(70, 140), decay_s=0.025, phase=0.36)
    murmur = replace(first, resonances_hz=(180, 320), attack_s=0.1, decay_s=0.06, phase=0.08)
    return first, second, replace(murmur, level_db=murmur_db)


HEART = Recipe(
    # Normal, mild, moderate or severe: the murmur between the two beats grows.
    classes={"0": _heart(-32), "1": _heart(-16), "2": _heart(-5)},
    sr=4000,
    duration_s=(3.0, 5.0),
    group_spread=0.1,
    clip_spread=0.05,
    colour_db=2.0,
    n_per_class={"tiny": 6, "demo": 32},
    n_per_group=3,
    # Table 10.1.
    counts={"train": (84, 276, 142), "devel": (32, 98, 50), "test": (28, 91, 44)},
    departs="3 to 5 s in place of about 30 s",
)


def _scene(bed_hz, tilt_db, excitation, f0_hz, events_hz, rate_hz, decay_s, side_hz):
    bed = Source("noise", resonances_hz=(bed_hz,), q=0.7, tilt_db=tilt_db)
    event = Source(excitation, f0_hz, events_hz, 4, rate_hz, 0.02, decay_s, -3, jitter=0.3)
    return bed, event, Source("noise", resonances_hz=(side_hz,), level_db=-6, side=True)


SCENES = Recipe(
    # Five pairs (bus and car, …) share a line but for the side's resonance: only the
    # difference of the channels, or one channel, tells them apart.
    classes={
        "beach": _scene(900, -1, "noise", 100, (600, 1800), 0.3, 1.2, 1500),
        "bus": _scene(140, -5, "pulses", 45, (200, 800), 0.5, 0.8, 400),
        "car": _scene(140, -5, "pulses", 45, (200, 800), 0.5, 0.8, 2400),
        "cafe/restaurant": _scene(600, -3, "pulses", 170, (500, 1500, 2500), 3.5, 0.1, 1200),
        "city_center": _scene(300, -4, "pulses", 110, (400, 1200), 1.5, 0.25, 500),
        "residential_area": _scene(300, -4, "pulses", 110, (400, 1200), 1.5, 0.25, 3000),
        "forest_path": _scene(1500, -2, "tones", 2600, (), 2.0, 0.08, 700),
        "park": _scene(1500, -2, "tones", 2600, (), 2.0, 0.08, 4000),
        "grocery_store": _scene(450, -3, "tones", 900, (), 1.0, 0.12, 1000),
        "home": _scene(220, -5, "noise", 100, (1200, 3500), 0.8, 0.06, 350),
        "office": _scene(220, -5, "noise", 100, (1200, 3500), 0.8, 0.06, 2000),
        "library": _scene(180, -6, "noise", 100, (2500, 5000), 0.5, 0.03, 800),
        "metro_station": _scene(350, -3, "tones", 500, (), 0.4, 1.0, 600),
        "train": _scene(110, -5, "noise", 100, (150, 400), 2.2, 0.12, 300),
        "tram": _scene(110, -5, "noise", 100, (150, 400), 2.2, 0.12, 1800),
    },
    duration_s=(2.0, 2.0),
    group_spread=0.16,
    clip_spread=0.05,
    colour_db=4.0,
    n_per_class={"tiny": 4, "demo": 16},
    n_folds=4,
    departs="16 kHz, 16 bit, 2 s in place of 44.1 kHz, 24 bit, 10 s",
)

_SHARDS = {"notes": (0, 3, 7, 10), "stretch": 1.3, "jitter": 0.4}
RARE_EVENTS = Recipe(
    classes={
        "babycry": (Source("pulses", 430, (1100, 2900), 4, 1.1, 0.15, 0.5, glide=0.4),),
        "glassbreak": (
            Source("noise", 100, (5000,), 1, 0.4, 0.002, 0.08),
            Source("tones", 2300, (), 1, 9, 0.001, 0.06, **_SHARDS),
        ),
        "gunshot": (
            Source("noise", 100, (250, 900), 1, 0.35, 0.001, 0.07),
            Source("noise", 100, (400,), 0.8, 0.35, 0.01, 0.5, -14),
        ),
    },
    duration_s=(10.0, 10.0),  # of a background
    snr_db=35.0,
    n_per_class={"tiny": 6, "demo": 18},  # events
    counts={"devtrain": (106, 96, 134), "devtest": (42, 43, 53)},
    departs="16 kHz, 16 bit, backgrounds of 10 s in place of 44.1 kHz, 24 bit, 30 s",
)

#: Shortest and longest event in seconds, after Table 8.2.
EVENT_DURATIONS_S = {"babycry": (0.7, 3.5), "glassbreak": (0.3, 2.0), "gunshot": (0.3, 2.0)}

_CHORD, _MELODY = (0, 4, 7), (0, 2, 4, 7, 9, 12)


def _game(music, effect, air):
    """Music (Hz, notes, rate, decay, level), effects, and a bed of air (Hz, level)."""
    f0_hz, notes, rate_hz, decay_s, level_db = music
    excitation, effect_hz, resonances_hz, effect_rate_hz, effect_decay_s, effect_db = effect
    event = (resonances_hz, 2, effect_rate_hz, 0.02, effect_decay_s, effect_db, 0.3)
    return (
        Source(
            "tones", f0_hz, (), 1, rate_hz, 0.02, decay_s, level_db, 0, jitter=0.02, notes=notes
        ),
        Source(excitation, effect_hz, *event, jitter=0.4),
        Source("noise", 100, (air[0],), 0.7, level_db=air[1]),
    )


GAME_GENRE = Recipe(
    # Action, arcade, fighting, racing, sports, simulation.
    classes={
        "ACS": _game(
            (110, _CHORD, 0.5, 1.5, -6), ("noise", 100, (300, 1200), 2.0, 0.12, 0), (250, -12)
        ),
        "ARP": _game((440, _MELODY, 5.0, 0.15, 0), ("tones", 900, (), 1.5, 0.12, -4), (900, -20)),
        "FHT": _game(
            (165, _CHORD, 2.0, 0.3, -2), ("noise", 100, (150, 700), 1.6, 0.07, 0), (700, -14)
        ),
        "RCG": _game(
            (220, _CHORD, 2.2, 0.3, -6), ("pulses", 85, (250, 900), 0.0, 0.1, 0), (1200, -10)
        ),
        "SPT": _game(
            (330, _CHORD, 1.0, 0.3, -14), ("pulses", 150, (550, 1500), 3.5, 0.12, -3), (1000, -5)
        ),
        "SWB": _game(
            (262, _MELODY, 1.2, 0.8, 0), ("noise", 100, (800, 2500), 0.7, 0.06, -4), (500, -15)
        ),
    },
    duration_s=(8.0, 8.0),
    group_spread=0.35,
    colour_db=5.0,
    n_per_class={"tiny": 8, "demo": 16},
    n_folds=4,
    departs="clips of 8 s in place of one minute, 4 folds in place of 10",
)

_VOWELS_HZ = ((300, 2200, 2900), (650, 1150, 2500), (420, 900, 2300))


def _speech(f0_hz=140, glide=0.15, rate_hz=4.0, lift=1.0, breath_db=-16, decay_s=0.1):
    """Three vowels and a fricative that take turns; ``lift`` moves the formants."""
    hiss = Source("noise", f0_hz, (4500,), 1.5, rate_hz / 3, 0.04, decay_s, breath_db, phase=0.5)
    voice = replace(hiss, excitation="pulses", q=5, level_db=0, glide=glide, tilt_db=-4)
    vowels = (
        replace(voice, resonances_hz=tuple(lift * hz for hz in vowel), phase=place / 3)
        for place, vowel in enumerate(_VOWELS_HZ)
    )
    return (*vowels, replace(hiss, jitter=0.12))


_COUGH = Source("noise", 100, (600, 1500), 1.2, 1.6, 0.01, 0.07, 2, jitter=0.2)
_SNEEZE = Source("noise", 100, (1200, 3500), 1.2, 0.7, 0.15, 0.12, -6, jitter=0.2)

#: Target class, and ratio of target to normal speech in train and evaluation (Table 9.1).
_TARGETS = {
    "freezing": (_speech(155, 0.35, 5.0, breath_db=-9), 2.0, 1.1),
    "intoxication": (_speech(125, 0.25, 2.9, 0.91, decay_s=0.18), 0.9, 1.8),
    "screaming": (_speech(210, 0.15, 3.0, 1.08, decay_s=0.16), 1.2, 1.4),
    "threatening": (_speech(120, 0.15, 4.6, 1.06, breath_db=-8), 6.0, 0.6),
    "coughing": ((*_speech(), _COUGH), 2.9, 2.2),
    "sneezing": ((*_speech(), _SNEEZE), 0.9, 1.0),
}
VOCALISATIONS = {
    name: Recipe(
        classes={name: target, "normal": _speech()},
        duration_s=(1.0, 3.0),
        group_spread=0.15,
        counts={"train": (train, 1.0), "evaluation": (evaluation, 1.0)},
        departs="16 kHz, 1 to 3 s in place of 44.1 kHz, 0.5 to 30 s",
    )
    for name, (target, train, evaluation) in _TARGETS.items()
}

SENTIMENT = Recipe(
    classes={
        "negative": _speech(127, 0.1, 3.5),
        "positive": _speech(160, 0.2, 4.6, 1.04),
    },
    duration_s=(3.0, 6.0),
    group_spread=0.16,
    n_per_class={"tiny": 8, "demo": 30},
    # Table 9.4.
    counts={"train": (90, 125), "devel": (30, 42), "test": (30, 42)},
    departs="16 kHz, 3 to 6 s in place of two and a half minutes",
)

#: A corpus that is several corpora (a folder each) has a recipe for each.
RECIPES = {
    "snore": SNORE,
    "heart": HEART,
    "acoustic_scenes": SCENES,
    "rare_events": RARE_EVENTS,
    "game_genre": GAME_GENRE,
    "vocalisations": VOCALISATIONS,
    "sentiment": SENTIMENT,
}
