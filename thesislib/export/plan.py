"""Representations by name: from options, such as a command line's, to spectra and estimators.

`REPRESENTATIONS` holds what is on offer. A new one is a function that makes a `Plan`, and an
entry there. Estimators that need torch are imported when they are asked for.
"""

from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from sklearn.base import BaseEstimator, clone

from thesislib.errors import ParameterError, check_option
from thesislib.export.openxbow import read_codebook, write_codebook
from thesislib.representations.bag_of_features import SAMPLINGS, SCALES, BagOfFeatures
from thesislib.representations.extract import describe
from thesislib.representations.functionals import FrameFeatures, Functionals
from thesislib.representations.statistics import BandStatistics
from thesislib.spectra.frames import LogMelFrames
from thesislib.spectra.plot import STYLES, AudioPlot
from thesislib.spectra.spectrogram import Spectrum

_SPECTRUM = {"kind", "delta", "n_mels", "n_fft", "window_s", "hop_s"}
_DRAWING = {"style", "colour_map", "frequency_axis", "top_hz", "size_px"}
_NETWORK = {"network", "layer", "weights", "preprocessing", "precision"}
_CODEBOOK = {"codebook_size", "n_assign", "sampling", "scale", "log", "idf", "gaussian", "off"}
_BAG = _CODEBOOK | {"frames", "streams", "norm", "codebook", "save_codebook"}
_BANDS = _SPECTRUM | {"style", "top_hz"}
_DEEP = _SPECTRUM | _DRAWING | _NETWORK
_TRAINED = _BANDS | {"clip_below_db", "n_epochs", "model", "save_model"}
_FRAMES = {"window_s", "hop_s", "n_mels", "delta"}
_EVENTS = _FRAMES | {"n_epochs", "model", "save_model"}


@dataclass
class Plan:
    """How a representation is computed.

    ``estimator`` is what `extract` asks, of ``spectrum`` or, without one, of signals. A
    ``learner`` makes one vector of what the estimator answers for a chunk, or (``is_whole``)
    for all chunks of a clip; unless ``is_fitted``, it learns from all of them first, and
    ``save(learner, save_to)`` writes it. ``is_framed``: a row is a frame. ``bands_first``: the
    learner takes (n_bands, n_frames), all of one shape. ``needs_events``: it learns from events
    in the recordings. ``sr``: the rate that audio has to be read at, in Hz.
    """

    estimator: object
    spectrum: object = None
    learner: object = None
    is_fitted: bool = False
    is_whole: bool = False
    is_framed: bool = False
    bands_first: bool = False
    needs_events: bool = False
    sr: int | None = None
    save: object = None
    save_to: str | Path | None = None

    def threads(self):
        """Context of the learner's work: a network's last bits depend on the number of threads."""
        if self.learner is None or isinstance(self.learner, BagOfFeatures):
            return nullcontext()
        from thesislib.training import limit_threads

        return limit_threads(1)

    def describe(self):
        """Plain values that say where the features come from."""
        about = {"class": type(self.estimator).__name__}
        about |= getattr(self.estimator, "cache_parameters", dict)()
        found = {"spectrum": self.spectrum and describe(self.spectrum), "estimator": about}
        if self.learner is not None:
            files = {"codebook": None, "checkpoint": None, "is_fitted": self.is_fitted}
            found["learner"] = {"class": type(self.learner).__name__}
            plain = self.learner.get_params().items()
            found["learner"] |= {k: v for k, v in plain if not isinstance(v, BaseEstimator)} | files
        return found


def make_plan(representation, settings, *, reading, random_state=0):
    """Make the plan of a representation, with every option checked.

    Parameters
    ----------
    representation : str
        One of `REPRESENTATIONS`, which also says which options it takes.
    settings : dict
        Options by name, None for the default: those of `Spectrum`, `AudioPlot`,
        `DeepSpectrum` and `BagOfFeatures`, and ``frames`` (what a bag is made of), ``streams``
        (a codebook for descriptors and one for their deltas), ``codebook`` and ``model``
        (files to use), ``save_codebook`` and ``save_model``, ``parameters`` (a dict with any
        parameters of the estimator).
    reading : Reading
    random_state : int

    Returns
    -------
    Plan

    Raises
    ------
    ParameterError
        If the representation does not take an option, or not its value.
    WeightsError
        If weights, a codebook or a model cannot be used.

    Examples
    --------
    >>> from thesislib.representations.extract import Reading
    >>> make_plan("IS09", {"n_mels": 64}, reading=Reading())
    Traceback (most recent call last):
    ...
    thesislib.errors.ParameterError: n_mels: found for IS09, which takes no such option
    """
    check_option("representation", representation, REPRESENTATIONS)
    build, options = REPRESENTATIONS[representation]
    settings = {name: value for name, value in settings.items() if value is not None}
    parameters = settings.pop("parameters", {})
    for name in settings:
        if name not in options:
            raise ParameterError(f"{name}: found for {representation}, which takes no such option")
    plan = build(settings, reading, random_state)
    estimator = plan.learner or plan.estimator
    if plan.needs_events:
        estimator = plan.learner.detector
    for name in parameters:
        if plan.is_fitted:
            raise ParameterError(f"{name}: found beside a fitted model, which has its own")
        check_option("parameters", name, estimator.get_params())
    estimator.set_params(**parameters)
    size_px = getattr(plan.spectrum, "size_px", None)
    plan.estimator.fit(size_px and np.zeros((1, size_px, size_px, 3), np.uint8))
    if isinstance(plan.learner, BagOfFeatures):
        _check_bag(plan.learner, len(plan.estimator.get_feature_names_out()))
    elif plan.learner is not None:
        plan.learner._check()
    if plan.needs_events:
        trial, frames = clone(plan.learner.detector), plan.spectrum
        trial.n_columns_, trial.n_outputs_ = frames.n_mels * (1 + frames.delta), 1
        trial._build()  # fewer bands than pooling needs are told here, not after the reading
    return plan


class _Spectra(BaseEstimator):
    """Spectra as they are, for what learns from all of them."""

    def fit(self, X=None, y=None):
        return self

    def transform(self, X):
        return X

    def get_feature_names_out(self, input_features=None):
        return np.empty(0, dtype=object)


def _select(settings, names):
    return {name: value for name, value in settings.items() if name in names}


def _make_spectrum(settings, **others):
    given = _select(settings, _SPECTRUM)
    if "n_fft" in given and "window_s" in given:
        raise ParameterError("n_fft: found beside window_s, expected one of them")
    if "n_fft" in given or "window_s" in given:
        given.setdefault("hop_s", None)  # half a window
    style = check_option("style", settings.get("style", "thesis"), STYLES)
    preset = Spectrum.thesis if style == "thesis" else Spectrum.deepspectrum
    return preset(**others | given)


def _deep_spectrum(settings, reading, random_state):
    from thesislib.representations.deep_spectrum import DeepSpectrum
    from thesislib.representations.networks import input_size

    chosen = {"network": "alexnet", **_select(settings, _NETWORK)}
    usual = {"alexnet": "fc7", "vgg": "fc7", "googlenet": "pool", "squeezenet": "logits"}
    usual[""] = "penultimate"  # of any other
    start = next(start for start in usual if chosen["network"].startswith(start))
    drawing = {"size_px": input_size(chosen["network"]), **_select(settings, _DRAWING)}
    plot = AudioPlot(_make_spectrum(settings, kind="spectrogram"), **drawing)
    network = DeepSpectrum(**{"layer": usual[start], **chosen}, random_state=random_state)
    return Plan(network, plot)


def _functionals(settings, reading, random_state, *, feature_set):
    return Plan(Functionals(feature_set))


def _frame_features(settings, reading, random_state, *, feature_set):
    return Plan(FrameFeatures(feature_set), is_framed=True)


def _band_statistics(settings, reading, random_state):
    spectrum = _make_spectrum(settings, f_max_hz=settings.get("top_hz"))
    if spectrum.kind == "spectrogram" and reading.sr is None:
        raise ParameterError("kind: found spectrogram, whose bands depend on sr: give sr, too")
    n_bands = {"mel": spectrum.n_mels, "chroma": 12}.get(spectrum.kind)
    return Plan(BandStatistics(n_bands or len(spectrum.frequencies_hz(reading.sr))), spectrum)


def _bag(settings, reading, random_state):
    frames = check_option("frames", settings.get("frames", "ComParE_2016-lld"), FRAMES)
    others = {name: value for name, value in settings.items() if name not in _BAG}
    plan = make_plan(frames, others, reading=reading, random_state=random_state)
    plan.is_whole, plan.is_framed = not plan.is_framed, False
    if plan.is_whole and reading.chunk_s is None:
        raise ParameterError(f"chunk_s: found None, expected a length: {frames} gives one a chunk")
    learnt = {*_CODEBOOK, "streams", "save_codebook"} & set(settings)
    if "codebook" in settings:
        if learnt:
            raise ParameterError(f"codebook: found beside {', '.join(sorted(learnt))}")
        plan.learner, plan.is_fitted = read_codebook(settings["codebook"]), True
    else:
        widths = None
        if settings.get("streams"):
            widths = getattr(plan.estimator, "stream_widths", None)
            if widths is None:
                raise ParameterError(f"streams: found for {frames}, which has one stream")
        chosen = {"log": False, **_select(settings, _CODEBOOK)}  # as openXBOW, unless asked for
        plan.learner = BagOfFeatures(**chosen, stream_widths=widths, random_state=random_state)
    plan.learner.set_params(norm=settings.get("norm", "none"))
    plan.save, plan.save_to = (
        lambda bag, path: write_codebook(path, bag),
        settings.get("save_codebook"),
    )
    return plan


def _check_bag(bag, width):
    check_option("sampling", bag.sampling, SAMPLINGS)
    check_option("scale", bag.scale, SCALES)
    if hasattr(bag, "codebook_") and bag.n_features_in_ != width:
        raise ParameterError(f"codebook: found {bag.n_features_in_} features, expected {width}")
    bag._check_parameters(bag._sizes(bag.stream_widths or [width]))


def _s2sae(settings, reading, random_state):
    from thesislib.representations.s2sae import S2SAE

    return _trained(S2SAE, settings, random_state)


def _dcgan(settings, reading, random_state):
    from thesislib.representations.dcgan import DCGAN

    plan = _trained(DCGAN, settings, random_state)
    plan.bands_first = True
    return plan


def _trained(kind, settings, random_state):
    spectrum = _make_spectrum(
        settings,
        f_max_hz=settings.get("top_hz"),
        clip_below_db=settings.get("clip_below_db"),
        scale="unit",
        transpose=True,
    )
    chosen = _select(settings, {"n_epochs"})
    if "model" not in settings:
        learner = kind(**chosen, random_state=random_state)
        save_to = settings.get("save_model")
        return Plan(
            _Spectra(),
            spectrum,
            learner,
            save=lambda fitted, path: fitted.save(path),
            save_to=save_to,
        )
    if "n_epochs" in settings or "save_model" in settings:
        raise ParameterError("model: found beside n_epochs or save_model, but it is trained")
    learner = kind.load(settings["model"])
    n_bands = getattr(learner, "n_features_in_", None) or learner.input_shape_[0]
    if spectrum.kind == "mel" and n_bands != spectrum.n_mels:
        raise ParameterError(f"n_mels: found {spectrum.n_mels}, expected the model's {n_bands}")
    return Plan(_Spectra(), spectrum, learner, is_fitted=True)


def _crnn(settings, reading, random_state, *, output):
    from thesislib.export.detectors import DESCRIPTION, load_detectors, save_detectors
    from thesislib.representations.crnn import CRNN
    from thesislib.representations.event_features import EventFeatures

    is_framed = output == "probability"
    if "model" in settings:
        for name in sorted(set(settings) - {"model"}):
            raise ParameterError(f"model: found beside {name}, but it is trained")
        model = load_detectors(settings["model"], device="cpu")
        if reading.sr not in (None, model["sr"]):
            raise ParameterError(f"sr: found {reading.sr}, expected the model's {model['sr']}")
        classes = {label: entry["detectors"] for label, entry in model["classes"].items()}
        estimator = EventFeatures(classes=classes, output=output, sliding=model["sliding"])
        return Plan(estimator, model["frames"], is_fitted=True, is_framed=is_framed, sr=model["sr"])
    if reading.sr is None:
        raise ParameterError(
            "sr: found None, expected the rate at which a detector hears all audio"
        )
    chosen = _select(settings, _FRAMES)
    if "window_s" in chosen:
        chosen.setdefault("hop_s", chosen["window_s"] / 2)
    frames, folder = LogMelFrames(**chosen), settings.get("save_model")
    detector = CRNN(
        n_channels=1 + frames.delta,
        **_select(settings, {"n_epochs"}),
        device="cpu",
        random_state=random_state,
    )

    def save(learner, path):
        thresholds = dict.fromkeys(learner.classes_, 0.5)
        save_detectors(
            path.parent, learner.classes_, frames=frames, sr=reading.sr, thresholds=thresholds
        )

    return Plan(
        _Spectra(),
        frames,
        EventFeatures(detector, output=output),
        is_framed=is_framed,
        needs_events=True,
        sr=reading.sr,
        save=save,
        save_to=Path(folder) / DESCRIPTION if folder else None,
    )


#: How each is made, and the options that it takes.
REPRESENTATIONS = {
    "deep-spectrum": (_deep_spectrum, _DEEP),
    "ComParE_2016": (partial(_functionals, feature_set="ComParE_2016"), set()),
    "IS09": (partial(_functionals, feature_set="IS09"), set()),
    "IS10": (partial(_functionals, feature_set="IS10"), set()),
    "ComParE_2016-lld": (partial(_frame_features, feature_set="ComParE_2016"), set()),
    "IS09-lld": (partial(_frame_features, feature_set="IS09"), set()),
    "mfcc39": (partial(_frame_features, feature_set="MFCC39"), set()),
    "band-statistics": (_band_statistics, _BANDS),
    "bag": (_bag, _BAG | _DEEP),
    "s2sae": (_s2sae, _TRAINED),
    "dcgan": (_dcgan, _TRAINED),
    "crnn": (partial(_crnn, output="probability"), _EVENTS),
    "crnn-dense": (partial(_crnn, output="dense"), _EVENTS),
}
#: What bags can be made of.
FRAMES = ("ComParE_2016-lld", "IS09-lld", "mfcc39", "deep-spectrum")
