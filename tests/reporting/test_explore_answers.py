"""Looking at scored clips: what is shown is what the table scored, and what it rests on."""

import re
import sys

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import soundfile
import torch

from thesislib.corpora.index import Corpus
from thesislib.evaluation.validation import evaluate_partitions
from thesislib.reporting import explore_answers
from thesislib.reporting.attribution import read_coefficients
from thesislib.reporting.explore_answers import (
    BagOnPlots,
    MachineOnPlots,
    ScoredClip,
    draw_reconstruction,
    explore_decisions,
    explore_detections,
)
from thesislib.reporting.figures import use_style
from thesislib.representations.bag_grid import BagGrid
from thesislib.representations.bag_of_features import BagOfFeatures
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
    found = []
    monkeypatch.setattr("IPython.display.display", lambda *objects: found.extend(objects))
    return found


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
    # Its second layer looks at small patches, so that what a machine goes by has a place.
    return DeepSpectrum("squeezenet1_1", "features.2", "random", batch_size=4)


def fit_table(corpus, network):
    """Decisions on the test part, and the machine that made them."""
    found = extract(corpus, network, PLOT, reading=Reading(), progress=False)
    options = {"complexities": [1e-4], "machine": {"scale": "none"}, "upsampling": True}
    answers = evaluate_partitions(found.matrix, corpus.labels, **PARTS, **options)
    fitted_on = np.concatenate([PARTS["train"], PARTS["devel"]])
    machine = MachineOnPlots(
        found,
        corpus.labels,
        network,
        PLOT,
        {None: (fitted_on, 1e-4)},
        machine=options["machine"],
        upsampling=True,
    )
    return answers.test[1e-4], machine


@pytest.fixture(scope="module")
def table(corpus, network):
    return fit_table(corpus, network)


def look_at(corpus, decisions, position, reading=None, part=0):
    row = decisions.rows[position]
    signals, starts_s, sr = (reading or Reading()).read(corpus.paths[row])
    parts = [(y, sr) for y in signals]
    truth, predicted = decisions.truth[position], decisions.predicted[position]
    return ScoredClip(row, None, truth, predicted, parts, list(starts_s), part)


def test_a_planted_tone_is_what_the_machine_goes_by(network, seeds, tmp_path_factory):
    pytest.importorskip("captum", reason="the extra explain is not installed")
    # Rows from 4 kHz down, columns in time: a window of 32 ms and the layers' reach around it.
    rows, columns = slice(64 - 22, 64 - 10), slice(int(0.55 * 64), int(0.87 * 64))
    inside = np.zeros((64, 64), bool)
    inside[rows, columns] = True
    ratios = []
    for seed in seeds:
        corpus = make_bursts(tmp_path_factory.mktemp("clips"), seed)
        decisions, machine = fit_table(corpus, network)
        clip = look_at(corpus, decisions, 1)
        shares, _ = machine.attribute(
            ScoredClip(clip.row, None, "tone", "tone", clip.parts, clip.starts_s)
        )
        assert shares.shape == (64, 64)
        outside = np.abs(shares[~inside]).mean()
        ratios.append([np.abs(shares[inside]).mean() / outside, shares[inside].mean() / outside])
    assert (np.median(ratios, axis=0) > [5, 0.5]).all()


def test_the_explained_machine_has_the_table_s_decision_values(corpus, table):
    decisions, machine = table
    value = decisions.values[1][decisions.classes.index("tone")]
    features = machine.found.matrix[decisions.rows[1]]
    weights, intercepts = read_coefficients(machine.machine(None))
    assert (features @ weights.T + intercepts)[1] == pytest.approx(value, abs=1e-4)


def test_the_cell_shows_sound_answer_and_reason(corpus, table, shown):
    pytest.importorskip("captum", reason="the extra explain is not installed")
    decisions, machine = table
    explore_decisions(
        corpus, decisions, machine, reading=Reading(), system="the SVM", note="made up"
    )
    audio, text, figure = shown
    assert len(audio.data) > 2 * SR
    first = decisions.predicted[0]
    assert f"**clip_12.wav** is **none**; the SVM says **{first}**" in text.data
    assert f"none {decisions.values[0, 0]:+.3f}" in text.data
    assert "*made up*" in text.data
    left, right, _, bar = figure.axes
    assert (left.get_ylabel(), left.get_xlabel()) == ("frequency (kHz)", "time (s)")
    assert bar.get_ylabel() == f"decision value of {first}, a cell"
    assert right.images
    assert plt.get_fignums() == []  # an open figure would be shown twice


def test_without_captum_the_rest_is_shown(corpus, table, shown, monkeypatch):
    monkeypatch.setitem(sys.modules, "captum", None)
    monkeypatch.setitem(sys.modules, "captum.attr", None)
    explore_decisions(corpus, *table, reading=Reading(), system="the SVM")
    _, _, figure, sentence = shown
    assert len(figure.axes) == 2
    assert "pip install -e '.[explain]'" in sentence.data


def test_every_answer_can_be_chosen_with_its_chunk(corpus, network, table, monkeypatch):
    asked = {}
    monkeypatch.setattr(explore_answers, "choose", lambda show, **c: asked.update(c, show=show))
    decisions, _ = table
    reading, seen = Reading(chunk_s=0.25), []
    draw = type("Draw", (), {"n_parts": 4, "__call__": lambda self, clip: seen.append(clip) or []})
    explore_decisions(corpus, decisions, draw(), reading=reading, system="")
    assert list(asked["clip"].values()) == [0, 1, 2, 3]
    assert list(asked["clip"])[1].startswith("clip_13.wav: tone, said ")
    assert list(asked["part"]) == ["from 0 s", "from 0.25 s", "from 0.5 s", "from 0.75 s"]
    monkeypatch.setattr("IPython.display.display", lambda *_: None)
    asked["show"](clip=1, part=2)
    asked["show"](clip=1, part=9)  # of a longer clip
    assert [(clip.row, clip.part, len(clip.parts)) for clip in seen] == [(13, 2, 4), (13, 3, 4)]


def test_clips_answered_twice_are_both_in_the_list(corpus, table):
    decisions, _ = table
    twice = type("Twice", (), {})()
    for name in ("rows", "truth", "predicted"):
        setattr(twice, name, np.tile(getattr(decisions, name)[:1], 2))
    listed = explore_answers._list_clips(["x.wav"] * 16, twice)
    assert list(listed.values()) == [0, 1]


def test_a_bag_s_chunks_are_weighed_by_what_is_lost_without_them(corpus, network, shown):
    reading, plain = Reading(chunk_s=0.2), DeepSpectrum("squeezenet1_1", "logits", "random")
    found = extract(corpus, plain, PLOT, reading=reading, progress=False)
    bag, machine = BagOfFeatures(12, 2), {"scale": "minmax", "class_weight": "balanced"}
    bags = BagGrid(found.by_row, bag, [5, 12], [2]).features(12, 2)
    answers = evaluate_partitions(
        bags, corpus.labels, **PARTS, complexities=[1.0], refit_on="train", machine=machine
    ).test[1.0]
    seen = BagOnPlots(
        found,
        corpus.labels,
        plain,
        PLOT,
        {None: (PARTS["train"], 1.0)},
        bag,
        machine=machine,
    )
    fitted, svm = seen.fit(None)
    np.testing.assert_array_equal(fitted.transform(found.by_row), bags(PARTS["train"]))
    clip = look_at(corpus, answers, 1, reading)
    worth = seen.weigh_chunks(clip)
    left = fitted.transform([np.delete(found.by_row[clip.row], 3, axis=0)])
    sign = 1 if clip.predicted == "tone" else -1
    value = answers.values[1][answers.classes.index(clip.predicted)]
    assert worth[3] == pytest.approx(value - sign * svm.decision_function(left)[0])
    explore_decisions(corpus, answers, seen, reading=reading, system="BoDF")
    _, _, bars, figure = shown
    assert len(bars.axes[0].patches) == 5
    assert figure.axes[0].get_title().startswith("from ")


def test_an_autoencoder_gives_the_clip_back():
    rng = np.random.default_rng(0)
    items = [rng.uniform(-1, 1, (n, 6)).astype(np.float32) for n in (5, 9)]
    clip = ScoredClip(1, "fold 2", "a", "b", [], [])
    models = {"fold 2": S2SAE(1, 3, n_epochs=1).fit(items)}
    (figure,) = draw_reconstruction(clip, items=items, models=models, hop_s=0.1)
    given, back, alone = (axes.images[0].get_array() for axes in figure.axes[:3])
    np.testing.assert_array_equal(given, items[1].T)
    assert back.shape == alone.shape == given.shape
    assert figure.axes[0].get_title() == "a, said b"


def test_a_mixture_with_an_event_comes_first_and_is_explained_at_its_onset(tmp_path, shown):
    pytest.importorskip("captum", reason="the extra explain is not installed")
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
    audio, text, detection, reason = shown
    assert audio.src_attr().startswith("data:audio")
    assert text.data.startswith("**b.wav** holds **beep from 3.00 s**")
    said_s = float(re.search(r"the ensemble says \*\*beep from ([\d.]+) s", text.data).group(1))
    assert said_s == pytest.approx(3.0, abs=0.11)
    assert detection.axes[0].get_title() == "beep: the mixture and the ensemble's answer"
    left, right, *_ = reason.axes
    assert left.get_ylabel() == "frequency (kHz, mel scale)"
    shares = np.asarray(right.images[0].get_array())
    assert np.abs(shares).sum(axis=1).argmax() == 8 - 1 - 4  # band 4, drawn from the top down
