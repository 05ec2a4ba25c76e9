"""Views of scored clips: predictions as in the table, with attributions or a plot."""

import re
import sys
from functools import partial

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import soundfile
import torch

from thesislib.corpora.index import Corpus
from thesislib.evaluation.fusion import vote_chunks
from thesislib.evaluation.predictions import Predictions
from thesislib.evaluation.validation import evaluate_partitions
from thesislib.reporting import explore
from thesislib.reporting.attribution import SVMOnPlots, read_coefficients
from thesislib.reporting.explore import (
    ScoredClip,
    draw_plot,
    draw_reconstruction,
    explore_decisions,
    explore_detections,
)
from thesislib.reporting.figures import use_style
from thesislib.representations.crnn import FFNN
from thesislib.representations.deep_spectrum import DeepSpectrum
from thesislib.representations.extraction import Reading, extract
from thesislib.representations.s2sae import S2SAE
from thesislib.spectra.plot import AudioPlot
from thesislib.spectra.spectrogram import Spectrum

SR = 8000
PLOT = AudioPlot(Spectrum("spectrogram", window_s=0.032, hop_s=0.016), size_px=64)
PARTS = {"train": np.arange(8), "devel": np.arange(8, 12), "test": np.arange(12, 16)}


@pytest.fixture(autouse=True)
def style():
    use_style()
    yield
    plt.close("all")


@pytest.fixture
def shown(monkeypatch):
    """Everything that a cell displays, in order."""
    outputs = []
    monkeypatch.setattr("IPython.display.display", lambda *objects: outputs.extend(objects))
    return outputs


def make_bursts(root, seed):
    """A steady tone of 3 kHz in noise, and in every second clip one of 1 kHz from 0.6 to 0.8 s."""
    rng, rows = np.random.default_rng(seed), []
    for i in range(16):
        y = 0.01 * rng.normal(size=SR) + 0.3 * np.sin(2 * np.pi * 3000 * np.arange(SR) / SR)
        if i % 2:
            burst = slice(int(0.6 * SR), int(0.8 * SR))
            y[burst] += 0.3 * np.sin(2 * np.pi * 1000 * np.arange(SR)[burst] / SR)
        soundfile.write(root / f"clip_{i:02d}.wav", y, SR)
        rows.append({"file": f"clip_{i:02d}.wav", "label": ["none", "tone"][i % 2]})
    return Corpus(pd.DataFrame(rows), root, name="bursts")


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    return make_bursts(tmp_path_factory.mktemp("clips"), 0)


@pytest.fixture(scope="module")
def network():
    # Its second layer has a small receptive field, so that attributions are local.
    return DeepSpectrum("squeezenet1_1", "features.2", "random", batch_size=4)


def fit_table(corpus, network):
    """Predictions on the test part, and attributions of the SVM."""
    features = extract(corpus, network, PLOT, reading=Reading(), progress=False)
    options = {"complexities": [1e-4], "svm": {"scale": "none"}, "upsampling": True}
    result = evaluate_partitions(features.matrix, corpus.labels, **PARTS, **options)
    fitted_on = np.concatenate([PARTS["train"], PARTS["devel"]])
    draw = SVMOnPlots(
        features,
        corpus.labels,
        network,
        PLOT,
        {None: (fitted_on, 1e-4)},
        svm=options["svm"],
        upsampling=True,
    )
    return result.test[1e-4], draw


@pytest.fixture(scope="module")
def table(corpus, network):
    return fit_table(corpus, network)


def test_attributions_are_largest_at_a_planted_tone(network, seeds, tmp_path_factory):
    pytest.importorskip("captum", reason="the extra explain is not installed")
    # Rows from 4 kHz down, columns in time: a window of 32 ms and the layers' reach around it.
    rows, columns = slice(64 - 22, 64 - 10), slice(int(0.55 * 64), int(0.87 * 64))
    inside = np.zeros((64, 64), bool)
    inside[rows, columns] = True
    ratios = []
    for seed in seeds:
        corpus = make_bursts(tmp_path_factory.mktemp("clips"), seed)
        predictions, draw = fit_table(corpus, network)
        row = predictions.rows[1]
        (y,), starts_s, sr = Reading().read(corpus.paths[row])
        shares, _ = draw.attribute(ScoredClip(row, None, "tone", "tone", [(y, sr)], starts_s))
        assert shares.shape == (64, 64)
        outside = np.abs(shares[~inside]).mean()
        ratios.append([np.abs(shares[inside]).mean() / outside, shares[inside].mean() / outside])
    assert (np.median(ratios, axis=0) > [5, 0.5]).all()


def test_the_attributed_svm_has_the_table_s_decision_values(corpus, table):
    predictions, draw = table
    value = predictions.values[1][predictions.classes.index("tone")]
    features = draw.features.matrix[predictions.rows[1]]
    weights, intercepts = read_coefficients(draw.fit(None))
    assert (features @ weights.T + intercepts)[1] == pytest.approx(value, abs=1e-4)


def test_the_cell_shows_sound_prediction_and_attributions(corpus, table, shown):
    pytest.importorskip("captum", reason="the extra explain is not installed")
    predictions, draw = table
    explore_decisions(
        corpus, predictions, draw, reading=Reading(), system="the SVM", note="synthetic"
    )
    audio, text, figure = shown
    assert len(audio.data) > 2 * SR
    first = predictions.predicted[0]
    assert f"**clip\\_12.wav**: true class **none**; the SVM predicts **{first}**" in text.data
    assert f"none {predictions.values[0, 0]:+.3f}" in text.data
    assert "*synthetic*" in text.data
    left, right, _, bar = figure.axes
    assert (left.get_ylabel(), left.get_xlabel()) == ("frequency (kHz)", "time (s)")
    assert bar.get_ylabel() == f"decision value of {first}, a cell"
    assert right.images
    assert plt.get_fignums() == []  # an open figure would be shown twice


def test_votes_of_chunks_are_listed_beside_their_scores(corpus, table, shown):
    clip_of_chunk = np.array([0, 0, 0])
    decisions = np.array([[1.0, 0.0], [0.0, 0.1], [0.0, 0.1]])
    of_chunks = Predictions(
        np.arange(3),
        np.full(3, "tone"),
        np.array(["none", "tone", "tone"]),
        decisions,
        ("none", "tone"),
    )
    voted = vote_chunks(of_chunks, clip_of_chunk)
    explore_decisions(corpus, voted, lambda clip: [], reading=Reading(), system="the vote")
    _, text = shown
    # The class with the most votes is not the one with the largest sum.
    assert "predicts **tone**" in text.data
    assert "for each class: none 1, +1.000; tone 2, +0.200)" in text.data


def test_without_captum_the_rest_is_shown(corpus, table, shown, monkeypatch):
    monkeypatch.setitem(sys.modules, "captum", None)
    monkeypatch.setitem(sys.modules, "captum.attr", None)
    explore_decisions(corpus, *table, reading=Reading(), system="the SVM")
    _, _, figure, sentence = shown
    assert len(figure.axes) == 2
    assert "pip install -e '.[explain]'" in sentence.data


def test_every_clip_can_be_chosen_with_a_chunk(corpus, table, monkeypatch):
    choices, drawn = {}, []
    monkeypatch.setattr(explore, "choose", lambda show, **c: choices.update(c, show=show))
    monkeypatch.setattr("IPython.display.display", lambda *_: None)
    predictions, _ = table

    def draw(clip):
        drawn.append((clip.row, clip.part, clip.starts_s[clip.part], len(clip.parts)))
        return []

    reading = Reading(chunk_s=0.25)
    explore_decisions(corpus, predictions, draw, reading=reading, system="")
    assert list(choices["clip"].values()) == [0, 1, 2, 3]
    assert list(choices["clip"])[1].startswith("clip_13.wav: tone, predicted ")
    for start_s in (0.0, 0.6, 99.0):
        choices["show"](clip=1, start_s=start_s)
    assert drawn == [(13, 0, 0.0, 4), (13, 2, 0.5, 4), (13, 3, 0.75, 4)]
    choices.clear()
    explore_decisions(corpus, predictions, draw, reading=Reading(), system="")
    assert set(choices) == {"clip", "show"}  # a clip without chunks has no other part


def test_clips_predicted_twice_are_both_in_the_list(corpus, table):
    predictions, _ = table
    twice = type("Twice", (), {})()
    for name in ("rows", "truth", "predicted"):
        setattr(twice, name, np.tile(getattr(predictions, name)[:1], 2))
    listed = explore._list_clips(["x.wav"] * 16, twice)
    assert list(listed.values()) == [0, 1]


def test_the_simple_view_is_the_plot_of_the_chosen_chunk(corpus, table, shown):
    predictions, _ = table
    draw = partial(draw_plot, plot=PLOT)
    explore_decisions(corpus, predictions, draw, reading=Reading(chunk_s=0.5), system="BoDF")
    audio, text, figure = shown
    assert len(audio.data) > 2 * SR
    assert f"BoDF predicts **{predictions.predicted[0]}**" in text.data
    assert figure.axes[0].get_title() == "viridis, 64 × 64 px"
    signals, starts_s, sr = Reading(chunk_s=0.5).read(corpus.paths[0])
    clip = ScoredClip(0, None, "a", "b", [(y, sr) for y in signals], list(starts_s), 1)
    left, right, *_ = draw(clip)[0].axes[0].images[0].get_extent()
    assert (left, right) == (pytest.approx(0.508), pytest.approx(0.988))


@pytest.mark.parametrize("decoder_input", ["none", "teacher"])
def test_an_autoencoder_reconstructs_the_clip(decoder_input):
    rng = np.random.default_rng(0)
    items = [rng.uniform(-1, 1, (n, 6)).astype(np.float32) for n in (5, 9)]
    clip = ScoredClip(1, "fold 2", "a", "b", [], [])
    models = {"fold 2": S2SAE(1, 3, n_epochs=1, decoder_input=decoder_input).fit(items)}
    (figure,) = draw_reconstruction(clip, items=items, models=models, hop_s=0.1)
    inputs, *estimates = (axes.images[0].get_array() for axes in figure.axes if axes.images)
    np.testing.assert_array_equal(inputs, items[1].T)
    # With the true previous frames there is also an estimate from the code alone.
    assert len(estimates) == (2 if decoder_input == "teacher" else 1)
    assert all(each.shape == inputs.shape for each in estimates)
    assert figure.axes[0].get_title() == "a, predicted b"


def test_a_mixture_with_an_event_comes_first_and_is_detected(tmp_path, shown):
    X = np.zeros((2, 60, 8), np.float32)
    X[1, 30:40, 4] = 6
    detector = FFNN(1, n_units=(1,), n_epochs=0, device="cpu").fit(X, X[:, :, 4] > 0)
    # Weights by hand: band 4, standardised, above 1.
    _dropout, first, *_, last = detector.network_.layers
    with torch.no_grad():
        first.weight.copy_(torch.eye(8)[4:5]), first.bias.fill_(-1)
        last.weight.fill_(20), last.bias.fill_(-5)
    for name in ("a.wav", "b.wav"):
        soundfile.write(tmp_path / name, np.zeros(SR), SR)
    index = pd.DataFrame({"file": ["a.wav", "b.wav"], "label": "beep"})
    index["onset_s"], index["offset_s"] = [np.nan, 3.0], [np.nan, 4.0]
    explore_detections(
        {"beep": Corpus(index, tmp_path, name="made up")},
        {"beep": X},
        {"beep": [detector]},
        thresholds={"beep": 0.5},
        hop_s=0.1,
        band_hz=np.linspace(100, 4000, 8),
    )
    audio, text, figure = shown
    assert audio.src_attr().startswith("data:audio")
    assert text.data.startswith("**b.wav** contains **beep from 3.00 s**")
    detected_s = float(re.search(r"detects \*\*beep from ([\d.]+) s", text.data).group(1))
    assert detected_s == pytest.approx(3.0, abs=0.11)
    assert "threshold 0.5" in text.data
    above, below, *_ = figure.axes
    assert above.get_title().startswith("beep: ")
    curve = below.lines[0].get_ydata()
    assert curve[32:38].min() > 0.5 > curve[:28].max()


def test_a_mixture_without_a_detection_has_no_onset(tmp_path, shown):
    X = np.zeros((1, 30, 8), np.float32)
    detector = FFNN(1, n_units=(1,), n_epochs=0, device="cpu").fit(X, X[:, :, 4] > 0)
    soundfile.write(tmp_path / "a.wav", np.zeros(SR), SR)
    index = pd.DataFrame({"file": ["a.wav"], "label": "beep", "onset_s": np.nan})
    corpus = Corpus(index.assign(offset_s=np.nan), tmp_path, name="silent")
    options = {"thresholds": {"beep": 1.0}, "hop_s": 0.1, "band_hz": np.arange(8.0)}
    explore_detections({"beep": corpus}, {"beep": X}, {"beep": [detector]}, **options)
    assert "contains **no beep**; the ensemble detects **nothing**" in shown[1].data
