"""Probes: what a unit of work costs here and now, for :mod:`thesislib.compendium.estimate`.

The fits are the hard part, since the solver needs more rounds the larger C is. The machine that n
clips and C give is much like that of m < n of them and C·n/m, and takes about as many rounds, so a
probe of some dozen chunks, scaled in C and in size, tells the time of a fit on thousands.
"""

import subprocess
import sys
import tempfile
import time
import warnings

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC
from threadpoolctl import threadpool_limits

from thesislib.errors import WeightsError
from thesislib.evaluation.classifiers import MAX_ITERATIONS, TrainingSpan
from thesislib.evaluation.metrics import bootstrap_interval
from thesislib.evaluation.validation import evaluate_folds

#: Chunks that a probe takes: a few of each genre.
N_PROBE = 72


class FitCost:
    """Seconds of a fit, from a probe with the same kind of features.

    Parameters
    ----------
    X : ndarray, shape (n_probe, n_features)
        Features as they go into the machine.
    labels : ndarray
    complexities : sequence of float
    n_classes : int
    """

    def __init__(self, X, labels, complexities, *, n_classes):
        self.X, self.labels = np.asarray(X, float), np.asarray(labels)
        self.complexities = complexities
        self.per_class = n_classes / len(set(self.labels))
        self._seen = {}

    def seconds(self, n_train, n_test):
        """Seconds of the fits on ``n_train`` rows with every complexity."""
        n, width = self.X.shape
        effective = min(n_train, width)
        scale = self.per_class * n_train * effective / (n * width)
        total = 0.0
        for complexity in self.complexities:
            # Rounded, so that training parts of nearly one size share a probe.
            exponent = round(2 * np.log10(complexity * n_train / n)) / 2
            if exponent not in self._seen:
                self._seen[exponent] = self._probe(10.0**exponent)
            total += scale * self._seen[exponent]
        # The span is found once for all complexities.
        return total + _span_seconds(n_train, n_test, width)

    def _probe(self, complexity):
        machine = LinearSVC(
            C=complexity, dual=True, tol=1e-3, max_iter=MAX_ITERATIONS, class_weight="balanced"
        )
        with threadpool_limits(1), warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            return _time(lambda: machine.fit(self.X, self.labels))


def _time(function, *, warm_up=False):
    if warm_up:
        function()
    started = time.perf_counter()
    function()
    return time.perf_counter() - started


def _span_seconds(n_train, n_test, width, *, _known={}):  # noqa: B006 - measured once
    """Seconds of :class:`TrainingSpan`: an orthonormal basis, or copies of the features."""
    if not _known:
        rng = np.random.default_rng(0)
        wide, tall = rng.normal(size=(120, 2000)), rng.normal(size=(4000, 200))
        with threadpool_limits(1):
            _known["basis"] = _time(lambda: TrainingSpan().fit(wide), warm_up=True) / (
                120**2 * 2000
            )
            _known["product"] = _time(lambda: wide @ wide.T, warm_up=True) / (120**2 * 2000)
            _known["copy"] = _time(lambda: TrainingSpan().fit(tall), warm_up=True) / tall.size
    if n_train >= width:
        return _known["copy"] * n_train * width
    product = _known["product"] * n_train * (n_train + n_test) * width
    return _known["basis"] * n_train**2 * width + product


class Probes:
    """Chunks at hand, and what a unit of each kind of work costs on them."""

    def __init__(self, parameters, corpus):
        from thesislib.representations.extract import Reading

        self.parameters = parameters
        self.reading = Reading(
            sr=parameters["sr"], chunk_s=parameters["chunk_s"], last=parameters["last_chunk"]
        )
        self.signals, self.labels = [], []
        with tempfile.TemporaryDirectory() as folder:
            corpus = corpus or self._make(folder)
            order = np.random.default_rng(0).permutation(len(corpus))
            started = time.perf_counter()
            for row in np.resize(order, max(N_PROBE, len(order))):
                if len(self.signals) >= N_PROBE:
                    break
                chunks, _, self.sr = self.reading.read(corpus.paths[row])
                part = chunks[len(self.signals) // len(order) % len(chunks)]
                self.signals.append(part)
                self.labels.append(corpus.labels[row])
        self.read_s = (time.perf_counter() - started) / len(self.signals)
        self.labels = np.array(self.labels)

    def _make(self, folder):
        from thesislib.corpora import game_genre
        from thesislib.corpora.synthetic import make_corpus

        size = {"n_per_class": N_PROBE // 6, "clip_s": self.parameters["chunk_s"]}
        return game_genre.load(make_corpus("game_genre", f"{folder}/games", **size))

    def plot(self, name, network, n=6):
        """Seconds of reading and drawing a chunk, and one chunk's picture after the other."""
        from thesislib.representations.networks import input_size
        from thesislib.spectra.plot import AudioPlot
        from thesislib.spectra.spectrogram import Spectrum

        spectrum = Spectrum(
            name.removeprefix("delta-").removesuffix("-spectrogram"),
            delta=name.startswith("delta-"),
            **{key: self.parameters[key] for key in ("window_s", "hop_s", "n_mels")},
        )
        size_px = self.parameters["network_sizes_px"].get(network) or input_size(network)
        drawn = AudioPlot(spectrum, size_px=size_px)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            drawn(self.signals[0], sr=self.sr)
            seconds = _time(lambda: [drawn(y, sr=self.sr) for y in self.signals[:n]]) / n
        return self.read_s + seconds, drawn

    def figure_s(self, n=4):
        """Seconds of a plot in a figure: drawn for the files, and once more for the notebook."""
        from pathlib import Path

        from thesislib.reporting.figures import plot_audio, write_figure

        _, drawn = self.plot(
            self.parameters["plots"][0], next(iter(self.parameters["networks"])), 1
        )
        sounds = [(y, self.sr) for y in self.signals[:n]]

        def draw():
            figure = plot_audio([drawn] * len(sounds), sounds, [""] * len(sounds))
            write_figure(figure, "0.0", Path(folder))
            figure.canvas.draw()

        with tempfile.TemporaryDirectory() as folder:
            return _time(draw) / len(sounds)

    def answer(self, network, is_control):
        """Seconds of a picture's way through a network, features of the probe, remarks."""
        from thesislib.representations.deep_spectrum import DeepSpectrum

        weights = "random" if is_control else self.parameters["weights"].get(network, "random")
        _, drawn = self.plot(self.parameters["plots"][0], network, n=1)
        pictures = np.stack([drawn(y, sr=self.sr) for y in self.signals])
        estimator = DeepSpectrum(
            network,
            layer=self.parameters["networks"][network],
            weights=weights,
            preprocessing=self.parameters["preprocessing"],
        )
        remarks = []
        try:
            estimator.fit(pictures)
        except WeightsError:
            remarks = [f"{network}: no weights at hand; probed with random ones"]
            estimator.set_params(weights="random").fit(pictures)
        estimator.transform(pictures[:1])
        features = []
        seconds = _time(lambda: features.append(estimator.transform(pictures)))
        return seconds / len(pictures), features[0], remarks

    def signal_features(self, estimator, spectrum=None, n=6):
        """Seconds of a chunk's functionals or statistics, and standardised features."""
        items = [
            (y, self.sr) if spectrum is None else spectrum(y, sr=self.sr) for y in self.signals
        ]
        estimator.transform(items[:1])
        seconds = _time(lambda: estimator.transform(items[:n])) / n
        return self.read_s + seconds, StandardScaler().fit_transform(estimator.transform(items))

    def bags(self, features, frames_per_clip, pairs):
        """Seconds of a frame in learning and in counting, and bags of each size."""
        from thesislib.representations.bag_of_features import BagOfFeatures

        rng = np.random.default_rng(0)
        largest, n_assign = max(pairs)
        source = rng.integers(len(features), size=max(2 * largest, 256))
        blur = 0.1 * features.std(axis=0, dtype=np.float32)
        frames = features[source] + blur * rng.standard_normal((len(source), len(blur)), np.float32)
        clips = list(frames[:, None])
        bag = BagOfFeatures(largest, n_assign, log=False)
        learning = _time(lambda: bag.fit(clips)) / len(frames)
        sizes, n_assigns = ({pair[i] for pair in pairs} for i in (0, 1))
        counts = {}
        counting = _time(lambda: counts.update(bag.transform_grid(clips, sizes, n_assigns)))
        found = {}
        for size in sizes:
            # A clip's bag is the sum of its frames' bags; the middle assignment stands for all.
            of_size = sorted(n for s, n in pairs if s == size)
            per_frame = counts[size, of_size[len(of_size) // 2]]
            rows = [
                per_frame[rng.choice(np.flatnonzero(self.labels[source] == label), frames_per_clip)]
                for label in self.labels
            ]
            found[size] = np.log10(1 + np.sum(rows, axis=1))
        return learning, counting / len(frames), found


def fit_overhead_s():
    """Seconds of a fit of next to nothing: what surrounds every fit."""
    rows = np.arange(18)
    folds = {"1": (rows[:12], rows[12:])}
    X, y = np.array([[0.0], [1.0]] * 9), np.array(["a", "b"] * 9)
    options = {"groups": rows, "complexities": [0.1, 0.2, 0.3, 0.4], "n_inner": 2}
    return _time(lambda: evaluate_folds(X, y, folds, **options), warm_up=True) / 12


def import_s():
    """Seconds until a fresh process has imported what it needs."""
    modules = "import torch, librosa, sklearn.svm, opensmile, thesislib.representations.networks"
    return _time(lambda: subprocess.run([sys.executable, "-c", modules], check=True))


def interval_s(n_rows, n_classes, n_resamples):
    """Seconds of a bootstrap interval over some three hundred groups."""
    rng = np.random.default_rng(0)
    truth, found = rng.integers(n_classes, size=(2, max(n_rows, 200)))
    groups = np.arange(len(truth)) * 300 // len(truth)
    draw = {"groups": groups, "n_resamples": n_resamples}
    return _time(lambda: bootstrap_interval(truth, found, **draw))
