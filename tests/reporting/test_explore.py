"""Axes of audio plots, rows of Table 4.1, clips and activations."""

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pytest
import soundfile
import torch

from thesislib.corpora.synthetic import make_corpus
from thesislib.errors import AudioError, CorpusError, ParameterError
from thesislib.reporting.explore import (
    activate_layers,
    chain_channels,
    choose,
    explore_clip,
    find_clip,
    open_clips,
    read_excerpt,
    summarise_layers,
)
from thesislib.reporting.figures import (
    PITCH_CLASSES,
    frequency_ticks,
    plot_audio,
    plot_layers,
    use_style,
)
from thesislib.reporting.published import load_published
from thesislib.reporting.tables import join_published
from thesislib.representations.networks import build_network
from thesislib.spectra.plot import AudioPlot
from thesislib.spectra.spectrogram import Spectrum

SR = 16000


@pytest.fixture(autouse=True)
def style():
    use_style()
    yield
    plt.close("all")


@pytest.fixture(scope="module")
def alexnet():
    return build_network("alexnet", weights="random")


def tone(f_hz, *, duration_s=1.0, sr=SR):
    return np.sin(2 * np.pi * f_hz * np.arange(int(duration_s * sr)) / sr).astype(np.float32)


PLOTS = {
    "mel": AudioPlot(Spectrum("mel", window_s=0.064, hop_s=0.016), size_px=387),
    "slaney": AudioPlot(
        Spectrum("mel", window_s=0.064, hop_s=0.016, mel_scale="slaney"),
        style="deepspectrum",
        size_px=387,
    ),
    "linear": AudioPlot(Spectrum("spectrogram", window_s=0.064, hop_s=0.016), size_px=387),
    "log": AudioPlot(
        Spectrum("spectrogram", window_s=0.064, hop_s=0.016), frequency_axis="log", size_px=387
    ),
    "cut": AudioPlot(
        Spectrum("mel", window_s=0.064, hop_s=0.016), size_px=387, top_hz=5000, colour_map="gray"
    ),
}


@pytest.mark.parametrize("name", PLOTS)
def test_a_tone_lights_up_where_its_tick_stands(name):
    plot = PLOTS[name]
    places, labels, what = frequency_ticks(plot, sr=SR)
    assert what == "frequency (kHz)"
    assert len(labels) >= 3
    for place, label in zip(places, labels):
        if not 0.3 <= float(label) < 8:
            continue
        image = plot(tone(1000 * float(label)), sr=SR)[:, 100].astype(int).sum(axis=1)
        lit = np.flatnonzero(image == image.max()).mean() + 0.5
        assert 1 - lit / 387 == pytest.approx(place, abs=0.012), label


def test_mel_ticks_are_octaves_that_widen_and_linear_ones_are_even():
    mel = frequency_ticks(PLOTS["mel"], sr=SR)[0]
    assert (np.diff(mel, 2) > 0).all()
    assert np.diff(mel).min() >= 0.05
    linear, labels, _ = frequency_ticks(PLOTS["linear"], sr=SR)
    np.testing.assert_allclose(np.diff(linear, 2), 0, atol=0.01)
    assert (labels[0], labels[-1], linear[-1]) == ("0", "8", 1)


def test_ticks_stay_inside_a_image_that_is_cut_off():
    places, labels, _ = frequency_ticks(PLOTS["cut"], sr=SR)
    assert labels[-1] == "4"
    assert ((places >= 0) & (places <= 1)).all()


def test_the_note_a_stands_at_a():
    plot = AudioPlot(Spectrum("chroma", window_s=0.128, hop_s=0.032), size_px=120)
    places, labels, what = frequency_ticks(plot, sr=SR)
    assert (what, tuple(labels)) == ("pitch class", PITCH_CLASSES)
    image = plot(tone(440), sr=SR)[:, 60].astype(int).sum(axis=1)
    lit = np.flatnonzero(image == image.max()).mean() + 0.5
    assert 1 - lit / 120 == pytest.approx(places[labels.index("A")], abs=0.01)


def test_an_audio_plot_has_time_frequency_and_a_bar_in_db():
    plots = [PLOTS["mel"], AudioPlot(Spectrum("chroma", window_s=0.128, hop_s=0.032))]
    y = tone(1000, duration_s=2)
    figure = plot_audio(plots, [(y, SR)] * 2, ["(a) mel", "(b) chroma"])
    mel, chroma, bar, other = figure.axes
    assert mel.get_title() == "(a) mel"
    assert (mel.get_xlabel(), mel.get_ylabel()) == ("time (s)", "frequency (kHz)")
    assert [t.get_text() for t in chroma.get_yticklabels()] == list(PITCH_CLASSES)
    left, right, _, _ = mel.images[0].get_extent()
    # Windows of 64 ms, 16 ms apart, that reach neither end.
    assert (left, right) == (pytest.approx(0.024), pytest.approx(2 - 0.024))
    S = plots[0].spectrum(y, sr=SR)
    assert bar.get_ylabel() == "power (dB re maximum)"
    assert bar.get_ylim() == (pytest.approx(S.min()), pytest.approx(0))
    assert other.get_ylabel() == "share of the frame's maximum"


@pytest.mark.filterwarnings("ignore:silent signal", "ignore:constant spectrum")
def test_silence_has_a_plot_too():
    figure = plot_audio([PLOTS["mel"]], [(np.zeros(SR, np.float32), SR)], ["silence"])
    figure.canvas.draw()
    low, high = figure.axes[-1].get_ylim()
    assert low < high


@pytest.mark.parametrize(
    ("name", "blocks"), [("vgg16", [2, 2, 3, 3, 3]), ("vgg19", [2, 2, 4, 4, 4])]
)
def test_vgg_is_built_as_table_4_1_prints_it(name, blocks):
    table = summarise_layers(build_network(name, weights="random"))
    printed = load_published("4.1")
    printed = printed[printed["network"].str.lower() == name]
    convolutions = table[table["kind"] == "conv"]
    assert convolutions["n_layers"].tolist() == blocks
    columns = ["n_layers", "kernel_size", "n_channels"]
    theirs = printed.loc[printed["kind"] == "conv", columns].astype(int)
    assert convolutions[columns].astype(int).values.tolist() == theirs.values.tolist()
    dense = table[table["kind"] == "fully connected"]
    assert dense["n_units"].tolist() == [4096, 4096, 1000]
    assert dense["layer"].tolist() == ["fc6", "fc7", ""]
    assert (table["kind"] == "maxpooling").sum() == 5


def test_alexnet_differs_from_table_4_1_and_says_so(alexnet):
    ours = summarise_layers(alexnet)
    assert "not Table 4.1" in ours["variant"].unique().item()
    channels = chain_channels(join_published(ours, load_published("4.1"))).loc["alexnet"]
    assert channels.tolist() == ["64-192-384-256-256", "96-256-384-384-256", False]


def test_activations_have_the_shape_of_their_layer(alexnet):
    image = np.random.default_rng(0).integers(0, 256, (227, 227, 3), np.uint8)
    activations = activate_layers(alexnet, image, ["features.0", "features.2", "fc7"])
    assert [values.shape for values in activations.values()] == [
        (64, 56, 56),
        (64, 27, 27),
        (4096,),
    ]
    with torch.inference_mode():
        x = alexnet.convention(torch.from_numpy(image[np.newaxis]))
        expected = alexnet.model.features[0](x)[0].numpy()
    np.testing.assert_allclose(activations["features.0"], expected, atol=1e-4)
    # A maximum over windows of the rectified maps.
    assert activations["features.2"].max() == pytest.approx(activations["features.0"].max())
    with pytest.raises(ParameterError, match=r"did you mean 'features\.0'"):
        activate_layers(alexnet, image, ["feature.0"])


def test_no_hook_stays(alexnet):
    hooks = len(alexnet.model.features[3]._forward_hooks)
    activate_layers(alexnet, np.zeros((64, 64, 3), np.uint8), ["features.3"])
    once = len(alexnet.model.features[3]._forward_hooks)
    activate_layers(alexnet, np.zeros((64, 64, 3), np.uint8), ["features.3"])
    assert hooks == once  # the network's own, since it was built
    assert len(alexnet.model.features[3]._forward_hooks) == once


def test_the_strongest_maps_are_drawn_and_vectors_as_lines():
    values = np.arange(24.0).reshape(6, 2, 2)
    figure = plot_layers({"conv": values, "fc": np.array([0.0, 1.0, 2.0, 0.0])}, n_maps=2)
    first, second, line = figure.axes
    assert (first.get_title(), second.get_title()) == ("map 5", "map 4")
    np.testing.assert_array_equal(first.images[0].get_array(), values[5])
    assert line.get_xlabel() == "feature"
    titles = [part.get_suptitle() for part in figure.subfigs]
    assert titles == ["conv: 6 maps of 2 × 2, 4 % are zero", "fc: 4 features, 50 % are zero"]


def test_clips_come_from_a_recording_a_folder_a_corpus_or_the_synthetic_one(tmp_path):
    root = make_corpus("snore", tmp_path / "snore", size="tiny", clip_s=0.3)
    corpus = open_clips("sentiment", corpus=root)
    assert corpus.kind == "synthetic"
    assert find_clip(corpus, "train_0002.wav").name == "train_0002.wav"
    with pytest.raises(CorpusError, match=r"no file that ends in 'x\.wav'"):
        find_clip(corpus, "x.wav")
    one = open_clips("sentiment", corpus="ignored", audio=root / "wav" / "train_0002.wav")
    assert [path.name for path in one.paths] == ["train_0002.wav"]
    assert one.fingerprint
    assert len(open_clips("sentiment", audio=root / "wav")) == len(corpus)
    with pytest.raises(CorpusError, match="found no audio files"):
        open_clips("sentiment", audio=tmp_path / "snore" / "lab")


def test_an_excerpt_ends_where_the_recording_does(tmp_path):
    path = tmp_path / "tone.wav"
    soundfile.write(path, tone(440, duration_s=2), SR)
    y, sr = read_excerpt(path, sr=8000, start_s=0.5, clip_s=1)
    assert (len(y), sr) == (8000, 8000)
    assert len(read_excerpt(path, start_s=1.5, clip_s=5)[0]) == SR // 2
    with pytest.raises(ParameterError, match="start_s: found 3, expected a number >= 0 and <= 2"):
        read_excerpt(path, start_s=3)
    with pytest.raises(AudioError, match="no such file"):
        read_excerpt(tmp_path / "absent.wav")


def test_a_batch_run_shows_the_first_choices():
    seen = []
    choose(
        lambda **values: seen.append(values),
        clip={"one": 1, "two": 2},
        own="",
        start_s=0.5,
    )
    assert seen == [{"clip": 1, "own": "", "start_s": 0.5}]


def test_with_a_front_end_there_are_widgets_and_errors_are_one_line(monkeypatch):
    shown, seen = [], []
    monkeypatch.setattr("thesislib.reporting.explore._is_attended", lambda: True)
    monkeypatch.setattr("IPython.display.display", shown.append)

    def show(clip, own, start_s):
        seen.append((clip, own, start_s))
        if own:
            raise AudioError(f"{own}: no such file")

    choose(show, clip={"one": 1, "two": 2}, own="", start_s=0.5)
    (box,) = shown
    labels = [child.description for child in box.children[:3]]
    assert labels == ["clip", "own", "start (s)"]
    box.children[0].value = 2
    box.children[1].value = "x.wav"
    assert seen == [(1, "", 0.5), (2, "", 0.5), (2, "x.wav", 0.5)]
    assert [line.data for line in shown[1:]] == ["**x.wav: no such file**"]
    with pytest.raises(AudioError):
        show(1, "x.wav", 0)  # in a batch an error stays one


def test_a_batch_holds_plain_outputs_and_no_controls():
    import nbformat
    from nbclient import NotebookClient

    code = (
        "from thesislib.reporting.explore import _is_attended, choose\n"
        "choose(print, **{'sep': {'first': '-'}})\n"
        "_is_attended()"
    )
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(code)])
    NotebookClient(notebook, kernel_name="python3").execute()
    printed, attended = notebook.cells[0].outputs
    assert printed["text"] == "\n"
    assert attended["data"]["text/plain"] == "False"
    assert not notebook.metadata.get("widgets")


def test_exploring_plays_a_clip_and_draws_it_with_its_activations(tmp_path, monkeypatch):
    path, other = tmp_path / "a.wav", tmp_path / "b.wav"
    soundfile.write(path, tone(440), SR)
    soundfile.write(other, tone(440, duration_s=0.5), SR)
    shown = []
    monkeypatch.setattr("IPython.display.display", lambda *objects: shown.append(objects))
    network = build_network("squeezenet1_1", weights="random")
    settings = {"network": network, "size_px": 64}
    explore_clip(path, PLOTS["mel"].spectrum, "magma", "features.0", **settings)
    explore_clip(path, PLOTS["mel"].spectrum, "gray", "logits", own=f" {other} ", **settings)
    (audio, plot, layers), (shorter, _, vector) = shown
    assert len(audio.data) - len(shorter.data) == SR  # half a second of two bytes a sample
    assert plot.axes[0].get_title() == "mel, magma"
    assert len(layers.axes) == 6
    assert vector.axes[0].get_xlabel() == "feature"
    assert plt.get_fignums() == []  # an open figure would be shown twice
