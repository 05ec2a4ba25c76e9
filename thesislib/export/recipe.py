"""Representations by name: from options, such as a command line's, to spectra and estimators.

`REPRESENTATIONS` lists them. A new one is a function that returns a `Recipe`, and an entry there.
Estimators that need torch are imported when they are used.
"""

import math
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from thesislib import representations
from thesislib.errors import ParameterError, check_option
from thesislib.export.openxbow import read_codebook, write_codebook
from thesislib.representations.bag_of_features import BagOfFeatures
from thesislib.representations.extraction import describe
from thesislib.representations.functionals import FrameFeatures, Functionals
from thesislib.representations.stateless import Stateless
from thesislib.representations.statistics import LogMelStatistics
from thesislib.spectra.plot import AudioPlot, make_spectrum, own_axis
from thesislib.store import hash_arrays, hash_parameters

_SPECTRUM = {"kind", "delta", "n_mels", "n_fft", "window_s", "hop_s"}
_DRAWING = {"style", "colour_map", "frequency_axis", "top_hz", "size_px"}
_NETWORK = {"network", "layer", "weights", "preprocessing", "precision"}
_CODEBOOK = {"codebook_size", "n_assign", "sampling", "scale", "log", "idf", "gaussian", "off"}
_BAG = _CODEBOOK | {"frames", "streams", "norm", "codebook", "save_codebook"}
_BANDS = _SPECTRUM | {"style", "top_hz"}
_DEEP = _SPECTRUM | _DRAWING | _NETWORK
_TRAINED = _BANDS | {"clip_below_db", "n_epochs", "model", "save_model"}


@dataclass
class Recipe:
    """How a representation is computed.

    Parameters
    ----------
    estimator : estimator
        Transforms what ``spectrum`` returns for a chunk or, without one, its signal.
    spectrum : callable, optional
    row : {"chunk", "frame", "clip"}
        What a row of the table stands for; without chunks a clip is one chunk.
    learner : estimator, optional
        Turns the output of the estimator for a chunk (``row="clip"``: for all chunks of a clip)
        into one vector.
    is_fitted : bool
        Whether the learner is fitted; otherwise it is fitted on all recordings.
    bands_first : bool
        Whether the learner takes (n_bands, n_frames), all of one shape.
    save_to : str or Path, optional
        File for the learner after ``fit``.
    """

    estimator: object
    spectrum: object = None
    row: str = "chunk"
    learner: object = None
    is_fitted: bool = False
    bands_first: bool = False
    save_to: str | Path | None = None

    @property
    def needs_all(self):
        """Whether all recordings are needed at once."""
        return self.learner is not None and not self.is_fitted

    @property
    def names(self):
        """Names of the features; none while the learner is not fitted."""
        if self.needs_all:
            return []
        return list((self.learner or self.estimator).get_feature_names_out())

    @property
    def passes_spectra(self):
        """Whether the output of the estimator is spectra, which are not worth storing."""
        return isinstance(self.estimator, _Spectra)

    def hop_s(self, sr):
        """Seconds between frames at a sampling rate: a whole number of samples."""
        if self.estimator.feature_set == "MFCC39":
            return max(1, round(self.estimator.hop_s * sr)) / sr
        return math.floor(0.010 * sr + 0.5) / sr  # as openSMILE rounds

    def learn(self, pieces, files):
        """Vectors of pieces from the learner, which is fitted on them first unless it is fitted.

        Parameters
        ----------
        pieces : list of ndarray, shape (n_frames, n_features)
        files : list of str
            File of each piece, for messages.

        Returns
        -------
        ndarray, shape (n, n_features), float32
        """
        if not pieces:
            return np.empty((0, len(self.names)), np.float32)
        if self.bands_first:
            pieces = [piece.T for piece in pieces]
            expected = tuple(self.learner.input_shape_ if self.is_fitted else pieces[0].shape)
            for file, piece in zip(files, pieces):
                if piece.shape != expected:
                    raise ParameterError(
                        f"{file}: found a spectrum of shape {piece.shape}, expected {expected} as "
                        "of the others: chunks of one length at one sampling rate give that"
                    )
        with self._threads():
            if not self.is_fitted:
                self.learner.fit(pieces)
                self.is_fitted = True
                if self.save_to is not None and isinstance(self.learner, BagOfFeatures):
                    write_codebook(self.save_to, self.learner)
                elif self.save_to is not None:
                    self.learner.save(self.save_to)
            return self.learner.transform(pieces)

    def _threads(self):
        # The last bits of a network depend on the number of threads.
        if isinstance(self.learner, BagOfFeatures):
            return nullcontext()
        from thesislib.training import limit_threads

        return limit_threads(1)

    def describe(self):
        """Plain values that say where the features come from."""
        about = {"class": type(self.estimator).__name__, **self.estimator.cache_parameters()}
        about = {"spectrum": self.spectrum and describe(self.spectrum), "estimator": about}
        if self.learner is not None:
            plain = self.learner.get_params().items()
            about["learner"] = {"class": type(self.learner).__name__, **dict(plain)}
            about["learner"] |= {"codebook": None, "checkpoint": None, "is_fitted": self.is_fitted}
        return about

    def state(self):
        """Plain values of what a fitted learner has learnt."""
        if isinstance(self.learner, BagOfFeatures):
            return hash_bag(self.learner)
        return None if self.learner is None else self.learner.cache_parameters()


def hash_bag(bag):
    """SHA-256 of the fitted state of a bag.

    Examples
    --------
    >>> bag = BagOfFeatures(1, 1).fit([np.float32([[0.0], [1.0]])])
    >>> len(hash_bag(bag))
    64
    """
    state = {name: np.asarray(v) for name, v in vars(bag).items() if name.endswith("_")}
    del state["codebook_"]
    state |= {f"codebook_{i}": words for i, words in enumerate(bag.codebook_)}
    names = sorted(state)
    return hash_parameters([names, hash_arrays(state[name] for name in names)])


def make_recipe(representation, settings, *, reading, random_state=0):
    """Make the recipe of a representation, with every option checked.

    Parameters
    ----------
    representation : str
        One of `REPRESENTATIONS`, which also lists its options; or ``hear:MODULE`` or
        ``hear:MODULE:WEIGHTS``, see `thesislib.representations.hear`.
    settings : dict
        Options by name, None for the default: those of `Spectrum`, `AudioPlot`,
        `DeepSpectrum` and `BagOfFeatures`, and ``frames`` (features that a bag counts),
        ``streams`` (one codebook for descriptors and one for their deltas), ``codebook`` and
        ``model`` (files to use), ``save_codebook`` and ``save_model``, ``parameters`` (a dict
        with any parameters of the estimator).
    reading : Reading
    random_state : int

    Returns
    -------
    Recipe

    Raises
    ------
    ParameterError
        If the representation does not take an option, or not its value.
    WeightsError
        If weights, a codebook or a model cannot be used.

    Examples
    --------
    >>> from thesislib.representations.extraction import Reading
    >>> make_recipe("IS09", {"n_mels": 64}, reading=Reading())
    Traceback (most recent call last):
    ...
    thesislib.errors.ParameterError: n_mels: found for IS09, which takes no such option
    """
    if representation.startswith("hear:"):
        build, options = partial(_hear, module=representation.removeprefix("hear:")), set()
    else:
        check_option("representation", representation, [*REPRESENTATIONS, "hear:MODULE"])
        build, options = REPRESENTATIONS[representation]
    settings = {name: value for name, value in settings.items() if value is not None}
    parameters = settings.pop("parameters", {})
    for name in settings:
        if name not in options:
            raise ParameterError(f"{name}: found for {representation}, which takes no such option")
    recipe = build(settings, reading, random_state)
    estimator = recipe.learner or recipe.estimator
    for name in parameters:
        if recipe.is_fitted:
            raise ParameterError(f"{name}: found beside a fitted model, which has its own")
        check_option("parameters", name, estimator.get_params())
    estimator.set_params(**parameters)
    size_px = getattr(recipe.spectrum, "size_px", None)
    recipe.estimator.fit(size_px and np.zeros((1, size_px, size_px, 3), np.uint8))
    if isinstance(recipe.learner, BagOfFeatures):
        _check_bag(recipe.learner, len(recipe.estimator.get_feature_names_out()))
    elif recipe.learner is not None:
        recipe.learner._check()
    return recipe


@dataclass(eq=False, repr=False)
class _Spectra(Stateless):
    """Spectra as they are, for a learner that is fitted on all of them."""

    def transform(self, X):
        return X

    def get_feature_names_out(self, input_features=None):
        return np.empty(0, dtype=object)


def _select(settings, names):
    return {name: value for name, value in settings.items() if name in names}


def _make_spectrum(settings, **others):
    return make_spectrum(**others | _select(settings, _SPECTRUM | {"style"}))


def _deep_spectrum(settings, reading, random_state):
    from thesislib.representations.deep_spectrum import DeepSpectrum
    from thesislib.representations.networks import input_size

    chosen = {"network": "alexnet", **_select(settings, _NETWORK)}
    usual = {"alexnet": "fc7", "vgg": "fc7", "googlenet": "pool", "squeezenet": "logits"}
    usual[""] = "penultimate"  # of any other
    start = next(start for start in usual if chosen["network"].startswith(start))
    drawing = {"size_px": input_size(chosen["network"]), **_select(settings, _DRAWING)}
    spectrum = _make_spectrum(settings, kind="spectrogram")
    drawing["frequency_axis"] = own_axis(spectrum.kind, drawing.get("frequency_axis", "linear"))
    plot = AudioPlot(spectrum, **drawing)
    network = DeepSpectrum(**{"layer": usual[start], **chosen}, random_state=random_state)
    return Recipe(network, plot)


def _opensmile(settings, reading, random_state, *, kind, feature_set):
    return Recipe(kind(feature_set), row="frame" if kind is FrameFeatures else "chunk")


def _hear(settings, reading, random_state, *, module):
    from thesislib.representations.hear import hear_modules

    return Recipe(hear_modules({"": module})[""])


def _band_statistics(settings, reading, random_state):
    if settings.get("kind", "mel") == "mel":  # by default as the control of the notebooks
        settings = {"n_mels": 64} | settings
        if {"style", "n_fft", "window_s", "hop_s"}.isdisjoint(settings):
            settings |= {"window_s": 0.032, "hop_s": 0.016}
    spectrum = _make_spectrum(settings, f_max_hz=settings.get("top_hz"))
    if spectrum.kind == "spectrogram" and reading.sr is None:
        raise ParameterError("kind: found spectrogram, whose bands depend on sr: give sr, too")
    n_bands = {"mel": spectrum.n_mels, "chroma": 12}.get(spectrum.kind)
    return Recipe(LogMelStatistics(n_bands or len(spectrum.frequencies_hz(reading.sr))), spectrum)


def _bag(settings, reading, random_state):
    frames = check_option("frames", settings.get("frames", "ComParE_2016-lld"), FRAMES)
    others = {name: value for name, value in settings.items() if name not in _BAG}
    recipe = make_recipe(frames, others, reading=reading, random_state=random_state)
    # Frames of a chunk give its bag; one vector a chunk gives a bag of the clip.
    recipe.row = "chunk" if recipe.row == "frame" else "clip"
    if recipe.row == "clip" and reading.chunk_s is None:
        raise ParameterError(f"chunk_s: found None, expected a length: {frames} gives one a chunk")
    learnt = {*_CODEBOOK, "streams", "save_codebook"} & set(settings)
    if "codebook" in settings:
        if learnt:
            raise ParameterError(f"codebook: found beside {', '.join(sorted(learnt))}")
        recipe.learner, recipe.is_fitted = read_codebook(settings["codebook"]), True
    else:
        widths = None
        if settings.get("streams"):
            widths = getattr(recipe.estimator, "stream_widths", None)
            if widths is None:
                raise ParameterError(f"streams: found for {frames}, which has one stream")
        chosen = {"log": False, **_select(settings, _CODEBOOK)}  # as openXBOW, unless requested
        recipe.learner = BagOfFeatures(**chosen, stream_widths=widths, random_state=random_state)
    recipe.learner.set_params(norm=settings.get("norm", "none"))
    recipe.save_to = settings.get("save_codebook")
    return recipe


def _check_bag(bag, width):
    if hasattr(bag, "codebook_") and bag.n_features_in_ != width:
        raise ParameterError(f"codebook: found {bag.n_features_in_} features, expected {width}")
    bag._check_parameters(bag._sizes(bag._widths(width)))


def _trained(settings, reading, random_state, *, name):
    kind, options = getattr(representations, name), {"bands_first": name == "DCGAN"}
    length = "n_updates" if name == "DCGAN" else "n_epochs"
    spectrum = _make_spectrum(
        settings,
        f_max_hz=settings.get("top_hz"),
        clip_below_db=settings.get("clip_below_db"),
        scale="unit",
        transpose=True,
    )
    if "model" not in settings:
        learner = kind(**_select(settings, {length}), random_state=random_state)
        options["save_to"] = settings.get("save_model")
        return Recipe(_Spectra(), spectrum, learner=learner, **options)
    if length in settings or "save_model" in settings:
        raise ParameterError(f"model: found beside {length} or save_model, but it is trained")
    learner = kind.load(settings["model"])
    n_bands = getattr(learner, "n_features_in_", None) or learner.input_shape_[0]
    if spectrum.kind == "mel" and n_bands != spectrum.n_mels:
        raise ParameterError(f"n_mels: found {spectrum.n_mels}, expected the model's {n_bands}")
    return Recipe(_Spectra(), spectrum, learner=learner, is_fitted=True, **options)


#: Function that makes the recipe, and the options that it takes.
REPRESENTATIONS = {
    "deep-spectrum": (_deep_spectrum, _DEEP),
    **{
        name: (partial(_opensmile, kind=kind, feature_set=feature_set), set())
        for name, kind, feature_set in (
            *((name, Functionals, name) for name in ("ComParE_2016", "IS09", "IS10")),
            ("ComParE_2016-lld", FrameFeatures, "ComParE_2016"),
            ("IS09-lld", FrameFeatures, "IS09"),
            ("mfcc39", FrameFeatures, "MFCC39"),
        )
    },
    "band-statistics": (_band_statistics, _BANDS),
    "bag": (_bag, _BAG | _DEEP),
    "s2sae": (partial(_trained, name="S2SAE"), _TRAINED),
    "dcgan": (partial(_trained, name="DCGAN"), _TRAINED - {"n_epochs"} | {"n_updates"}),
}
#: Features that a bag can count.
FRAMES = ("ComParE_2016-lld", "IS09-lld", "mfcc39", "deep-spectrum")
