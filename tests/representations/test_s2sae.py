"""The autoencoder: width formula, padding, what the decoder may see, what the code is worth."""

import itertools
import signal
import subprocess
import sys

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from thesislib.errors import ParameterError, WeightsError
from thesislib.representations.autoencoder import buckets, pad
from thesislib.representations.s2sae import S2SAE

DIRECTIONS = list(itertools.product([False, True], repeat=2))
TINY = {"n_layers": 1, "n_units": 4, "n_epochs": 1, "batch_size": 4, "device": "cpu"}


def clips(n=12, n_bands=5, seed=0, lengths=(6, 7, 9)):
    """Each clip a steady spectrum of its own, with a little noise: what a code can hold."""
    rng = np.random.default_rng(seed)
    return [
        np.clip(
            rng.uniform(-0.8, 0.8, n_bands) + rng.normal(0, 0.05, (lengths[i % 3], n_bands)), -1, 1
        )
        for i in range(n)
    ]


def fitted(X=None, **kwargs):
    return S2SAE(**TINY | kwargs).fit(clips() if X is None else X)


def equal_bits(a, b):
    a, b = a.network_.state_dict(), b.network_.state_dict()
    return a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)


@pytest.mark.parametrize("cell", ["GRU", "LSTM"])
@pytest.mark.parametrize(("encoder", "decoder"), DIRECTIONS)
@pytest.mark.parametrize(("n_layers", "n_units"), [(1, 3), (2, 4)])
def test_width_formula_of_chapter_6(cell, encoder, decoder, n_layers, n_units):
    factor = {("GRU", False): 1, ("GRU", True): 2, ("LSTM", False): 2, ("LSTM", True): 4}
    s2sae = fitted(
        n_layers=n_layers,
        n_units=n_units,
        cell=cell,
        bidirectional_encoder=encoder,
        bidirectional_decoder=decoder,
        n_epochs=0,
    )
    width = factor[cell, decoder] * n_layers * n_units
    assert s2sae.transform(clips(3)).shape == (3, width)
    assert s2sae.code_size == len(s2sae.get_feature_names_out()) == width


def test_the_thesis_setting_has_1024_features():
    X = clips(2, n_bands=320)
    s2sae = S2SAE(2, 256, n_epochs=0, device="cpu").fit(X)
    codes = s2sae.transform(X)
    assert codes.shape == (2, 1024)
    assert np.abs(codes).max() < 1  # tanh


SETTINGS = [
    {"cell": cell, "bidirectional_encoder": e, "bidirectional_decoder": d} | more
    for cell in ("GRU", "LSTM")
    for e, d in DIRECTIONS
    for more in ({}, {"attention": True, "n_layers": 2, "decoder_input": "previous"})
]


@pytest.mark.parametrize("setting", SETTINGS)
def test_a_clip_in_a_mixed_batch_gets_the_code_and_loss_it_gets_alone(setting):
    X = [x.astype(np.float32) for x in clips(3, lengths=(3, 8, 5))]
    network = fitted(X, **setting, n_epochs=0).network_
    with torch.no_grad():
        x, lengths = pad(X, "cpu")
        x[0, 3:], x[2, 5:] = 9.0, -9.0  # what stands in the padding must not matter
        codes, memory = network.encode(x, lengths)
        together = network.loss(x, lengths, codes, memory)
        squares = 0.0
        for i, clip in enumerate(X):
            alone = pad([clip], "cpu")
            code, own = network.encode(*alone)
            torch.testing.assert_close(codes[i], code[0], atol=1e-5, rtol=0)
            squares += network.loss(*alone, code, own) ** 2 * len(clip)
    assert float(together) == pytest.approx(float((squares / 16) ** 0.5), abs=1e-5)


def test_codes_do_not_depend_on_neighbours_to_the_last_bit():
    X = clips(40, lengths=(6, 6, 9))
    s2sae = fitted(X, n_units=16)
    codes = s2sae.transform(X)
    order = np.random.default_rng(1).permutation(40)
    assert np.array_equal(s2sae.transform([X[i] for i in order]), codes[order])
    assert np.array_equal(s2sae.transform([X[7]]), codes[7:8])


def influence(network, n_frames=6, n_bands=3, **kwargs):
    """Whether target frame s changes output frame t, for all (t, s), code held fixed."""
    x = torch.from_numpy(np.random.default_rng(0).uniform(-1, 1, (1, n_frames, n_bands)))
    x, lengths = x.float(), torch.tensor([n_frames])
    code, memory = (t if t is None else t.detach() for t in network.encode(x, lengths))

    def decode(target):
        given = target.flip(1) if network.reverse_target else target
        return network.decode(given, lengths, code, memory, **kwargs)

    jacobian = torch.autograd.functional.jacobian(decode, network.target(x, lengths))
    return jacobian[0, :, :, 0].abs().sum((1, 3)).numpy() > 0


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("n_layers", [1, 2])
def test_teacher_shows_the_past_in_each_directions_own_time_and_never_the_frame(reverse, n_layers):
    X = clips(3, n_bands=3)
    setting = {"n_layers": n_layers, "reverse_target": reverse, "n_epochs": 0}
    setting["decoder_input"] = "teacher"
    forward = fitted(X, bidirectional_decoder=False, **setting).network_
    both = fitted(X, bidirectional_decoder=True, **setting).network_
    before = np.tri(6, k=-1, dtype=bool)
    # One shift exactly: the frame just before is seen, the frame itself is not.
    assert np.array_equal(influence(forward), before)
    assert np.array_equal(influence(both), ~np.eye(6, dtype=bool))


@pytest.mark.parametrize("decoder_input", ["previous", "none"])
@pytest.mark.parametrize("bidirectional", [False, True])
def test_without_a_teacher_the_target_reaches_the_output_through_the_code_alone(
    decoder_input, bidirectional
):
    s2sae = fitted(
        clips(3, n_bands=3),
        decoder_input=decoder_input,
        bidirectional_decoder=bidirectional,
        n_epochs=0,
    )
    assert not influence(s2sae.network_).any()


def test_previous_feeds_the_estimate_of_the_frame_before():
    # Teacher forcing with one's own outputs is free running: a property of the recursion.
    network = fitted(clips(3), bidirectional_decoder=False, reverse_target=False).network_
    with torch.no_grad():
        x, lengths = pad([clips()[0].astype(np.float32)], "cpu")
        code, memory = network.encode(x, lengths)
        free = network.decode(x, lengths, code, memory, "previous")
        forced = network.decode(free, lengths, code, memory, "teacher")
    torch.testing.assert_close(free, forced, atol=1e-6, rtol=0)


@pytest.mark.parametrize("attention", [False, True])
def test_attention_sees_the_encoder_and_nothing_in_the_padding(attention):
    network = fitted(attention=attention, n_epochs=0).network_
    with torch.no_grad():
        x, lengths = pad([x.astype(np.float32) for x in clips(3)], "cpu")
        code, memory = network.encode(x, lengths)
        if not attention:
            assert memory is None
            return
        out = network.decode(x, lengths, code, memory)
        seen, inside = memory
        assert inside.sum(1).tolist() == lengths.tolist()
        poisoned = torch.where(inside[..., None], seen, torch.tensor(1e3))
        assert torch.equal(out, network.decode(x, lengths, code, (poisoned, inside)))
        other = network.decode(x, lengths, code, (seen.roll(1, 0), inside))
        assert not torch.allclose(out, other)


@pytest.mark.parametrize("decoder_input", ["teacher", "previous", "none"])
def test_training_lowers_the_loss_and_makes_the_code_matter(seeds, decoder_input):
    setting = {"n_units": 8, "n_epochs": 25, "learning_rate": 0.02, "dropout": 0.0}
    setting |= {"bidirectional_decoder": False, "decoder_input": decoder_input}
    remaining, permuted, gains = [], [], []
    for seed in seeds:
        X = clips(24, seed=seed)
        s2sae = fitted(X, **setting, random_state=seed)
        first, last, losses = s2sae.history_[0], s2sae.history_[-1], s2sae.evaluate(X)
        assert losses["code_share"] == pytest.approx(1 - losses["loss"] / losses["permuted_loss"])
        assert s2sae.score(X) == -losses["loss"]
        permuted.append([row["permuted_loss"] / row["loss"] for row in (last, losses)])
        untrained = clone(s2sae).set_params(n_epochs=0).fit(X).evaluate(X)
        gains.append(losses["code_share"] - abs(untrained["code_share"]))
        remaining.append([last["loss"] / first["loss"], losses["loss"] / untrained["loss"]])
    assert (np.median(remaining, axis=0) < 0.7).all()
    assert (np.median(permuted, axis=0) > 1.2).all()
    assert np.median(gains) > 0.1


def test_the_teacher_on_both_sides_makes_the_code_matter_less(seeds):
    # On smooth clips the neighbours of a frame, both known, say what the frame is.
    setting = {"n_units": 8, "n_epochs": 25, "learning_rate": 0.02}
    gains = []
    for seed in seeds:
        X = clips(24, seed=seed)
        teacher, none = (
            fitted(X, **setting, random_state=seed, decoder_input=name).evaluate(X)["code_share"]
            for name in ("teacher", "none")
        )
        gains.append(none - teacher)
    assert np.median(gains) > 0.05


@pytest.mark.parametrize("reverse", [False, True])
def test_reconstruction_is_in_the_order_of_time(seeds, reverse):
    ramp = np.linspace(-0.9, 0.9, 8)[:, None] * np.ones(3)
    X = [ramp] * 4
    setting = {"n_units": 8, "n_epochs": 60, "learning_rate": 0.03, "dropout": 0.0}
    rises = []
    for seed in seeds:
        s2sae = fitted(X, **setting, reverse_target=reverse, random_state=seed)
        (out,) = s2sae.reconstruct(X[:1])
        assert out.shape == (8, 3)
        rises.append(out[-1].mean() - out[0].mean())
        error = np.sqrt(np.mean((out - ramp) ** 2))
        assert error == pytest.approx(s2sae.evaluate(X[:1])["loss"], abs=1e-6)
    assert np.median(rises) > 1.0  # of 1.8


def glides(n, seed, n_bands=16, n_frames=24, length=12):
    """Tones that glide up or down, fast or slowly: four classes, by turns.

    Position, onset and level are random, and there is noise; neither the first nor the last frames
    of a clip tell its class.
    """
    rng, classes = np.random.default_rng(seed), np.arange(n) % 4
    bands, t, X = np.arange(n_bands), np.arange(n_frames), []
    for excursion in np.array([-7, -2.5, 2.5, 7])[classes]:
        centre, level = rng.uniform(4, 11), rng.uniform(0.8, 1.7)
        onset = rng.integers(0, n_frames - length + 1)
        band = centre + excursion * ((t - onset) / length - 0.5)
        tone = level * np.exp(-0.5 * (bands - band[:, None]) ** 2)
        tone[(t < onset) | (t >= onset + length)] = 0
        X.append(np.clip(tone - 0.8 + rng.normal(0, 0.2, tone.shape), -1, 1).astype(np.float32))
    return X, classes


def test_the_code_holds_how_tones_glide_unless_the_decoder_can_copy(seeds):
    setting = {"n_units": 32, "batch_size": 32, "learning_rate": 8e-3, "dropout": 0.0}
    setting |= {"bidirectional_decoder": False}
    scores = {"untrained": [], "previous": [], "none": []}
    for seed in seeds:
        X, classes = glides(600, seed)
        for name, values in scores.items():
            n_epochs, decoder_input = (0, "none") if name == "untrained" else (20, name)
            options = {"n_epochs": n_epochs, "decoder_input": decoder_input, "random_state": seed}
            codes = fitted(X, **setting | options).transform(X)
            probe = make_pipeline(StandardScaler(), LogisticRegression(max_iter=500))
            values.append(probe.fit(codes[:300], classes[:300]).score(codes[300:], classes[300:]))
    scores = {name: np.median(values) for name, values in scores.items()}
    assert scores["previous"] > 0.8 and scores["none"] > 0.8 and scores["untrained"] < 0.45, scores


def test_options_of_audeep():
    out = fitted([10 * x.clip(-0.1, 0.1) for x in clips()], tanh_output=True)
    assert max(np.abs(x).max() for x in out.reconstruct(clips(3))) < 1
    for cell, gates in {"GRU": slice(0, 8), "LSTM": slice(4, 8)}.items():
        for name, values in fitted(
            n_epochs=0, cell=cell, gate_bias=1.0
        ).network_.named_parameters():
            if "bias_ih" in name or "bias_hh" in name:
                assert (values[gates] == float("bias_ih" in name)).all()
                assert (values[8:] != 1).all()


def test_dropout_follows_its_rates():
    # Of constant input frames, the share that the encoder is given as zeros.
    X = [np.ones((50, 40))]
    seen = {}
    for where in ("outputs", "inputs_and_outputs"):
        network = fitted(X, dropout=0.3, dropout_on=where, n_epochs=0).network_.train()
        network.encoder.register_forward_pre_hook(
            lambda _, given, where=where: seen.update({where: given[0]})
        )
        x, lengths = pad([x.astype(np.float32) for x in X], "cpu")
        torch.manual_seed(0)
        network.encode(x, lengths)
    assert bool((seen["outputs"] == 1).all())
    assert float((seen["inputs_and_outputs"] == 0).float().mean()) == pytest.approx(0.3, abs=0.04)


def test_encoder_noise_zeroes_whole_frames_in_training_only():
    network = fitted([np.ones((200, 3))], encoder_noise=0.4, n_epochs=0).network_
    seen = []
    network.encoder.register_forward_pre_hook(lambda _, given: seen.append(given[0][0]))
    x, lengths = torch.ones(1, 200, 3), torch.tensor([200])
    network.train().encode(x, lengths)
    network.eval().encode(x, lengths)
    zero = (seen[0] == 0).all(1)
    assert bool(((seen[0] == 0).any(1) == zero).all())
    assert float(zero.float().mean()) == pytest.approx(0.4, abs=0.12)
    assert bool((seen[1] == 1).all())


@pytest.mark.parametrize("lengths", [[5] * 10, list(range(3, 43))])
def test_buckets_hold_each_clip_once_and_like_lengths_together(lengths):
    lengths = torch.tensor(lengths)
    order = torch.Generator().manual_seed(0)
    first, second = buckets(lengths, 4, order), buckets(lengths, 4, order)
    assert sorted(itertools.chain(*first)) == list(range(len(lengths)))
    assert first != second
    padding = sum(int(lengths[b].max()) * len(b) for b in first) / int(lengths.sum())
    assert padding < 1.25


def test_one_seed_one_network_and_another_seed_another():
    a, b, c = fitted(), fitted(), fitted(random_state=1)
    assert equal_bits(a, b)
    assert not equal_bits(a, c)


def test_killed_by_the_system_and_resumed_gives_the_bits_of_an_undisturbed_run(tmp_path):
    setting = "n_layers=2, n_units=4, n_epochs=6, batch_size=4, encoder_noise=0.1, device='cpu'"
    script = tmp_path / "train.py"
    script.write_text(
        "import os, signal, sys\n"
        "import numpy as np\n"
        "from thesislib.representations import s2sae\n"
        "rng = np.random.default_rng(0)\n"
        "X = [rng.uniform(-1, 1, (n, 5)) for n in (6, 7, 9, 6, 7, 9, 6, 7, 9)]\n"
        "encode, calls = s2sae.Autoencoder.encode, []\n"
        "def encode_or_die(*args):\n"
        "    calls.append(1)\n"
        "    if len(calls) == 11:\n"  # three batches an epoch: in the fourth epoch
        "        os.kill(os.getpid(), signal.SIGKILL)\n"
        "    return encode(*args)\n"
        "s2sae.Autoencoder.encode = encode_or_die\n"
        f"s2sae.S2SAE({setting}, checkpoint=sys.argv[1]).fit(X)\n"
    )
    folder = tmp_path / "checkpoints"
    ended = subprocess.run([sys.executable, script, folder], capture_output=True, timeout=120)
    assert ended.returncode == -signal.SIGKILL, ended.stderr.decode()
    (log,) = folder.glob("*.csv")
    assert len(log.read_text().splitlines()) == 1 + 3
    rng = np.random.default_rng(0)
    X = [rng.uniform(-1, 1, (n, 5)) for n in (6, 7, 9, 6, 7, 9, 6, 7, 9)]
    s2sae = S2SAE(n_layers=2, n_units=4, n_epochs=6, batch_size=4, encoder_noise=0.1, device="cpu")
    whole = clone(s2sae).fit(X)
    resumed = clone(s2sae).set_params(checkpoint=folder).fit(X)
    assert len(list(folder.glob("*.safetensors"))) == 1  # it did go on from that file
    assert resumed.history_ == whole.history_
    assert equal_bits(whole, resumed)
    assert np.array_equal(whole.transform(X), resumed.transform(X))


def test_clones_on_other_folds_share_a_folder_but_no_checkpoint(tmp_path):
    s2sae = S2SAE(**TINY, checkpoint=tmp_path)
    a, b = clone(s2sae).fit(clips(seed=0)), clone(s2sae).fit(clips(seed=1))
    assert len(list(tmp_path.glob("*.safetensors"))) == 2
    assert not equal_bits(a, b)
    assert equal_bits(b, fitted(clips(seed=1)))


def test_validation_is_recorded_and_stops_training():
    X = clips(12)
    noise = [np.random.default_rng(1).uniform(-1, 1, (7, 5)) for _ in range(4)]
    s2sae = S2SAE(**TINY | {"n_epochs": 200, "learning_rate": 0.1}, patience=3)
    s2sae.fit(X, X_validation=noise)
    losses = [row["validation_loss"] for row in s2sae.history_]
    # Three epochs after the best one, unless that is past the end.
    assert len(losses) == min(np.argmin(losses) + 1 + 3, 200)
    assert s2sae.evaluate(noise)["loss"] == pytest.approx(min(losses), abs=1e-6)
    assert {"validation_permuted_loss", "validation_code_share"} <= set(s2sae.history_[0])


def test_validation_fraction_holds_clips_out():
    s2sae = fitted(clips(8), validation_fraction=0.25)
    assert "validation_loss" in s2sae.history_[0]
    with pytest.raises(ParameterError, match="patience: found no validation clips"):
        fitted(patience=2)


def test_saved_and_loaded_is_the_same_estimator(tmp_path):
    X = clips()
    s2sae = fitted(X, n_layers=2, cell="LSTM", attention=True, checkpoint=tmp_path / "runs")
    s2sae.save(tmp_path / "s2sae.safetensors")
    again = S2SAE.load(tmp_path / "s2sae.safetensors", device="cpu")
    assert np.array_equal(s2sae.transform(X), again.transform(X))
    assert s2sae.history_ == again.history_
    assert again.get_params() == s2sae.get_params() | {"checkpoint": None}
    assert str(tmp_path) not in (tmp_path / "s2sae.safetensors").read_bytes().decode("latin1")


def test_a_file_of_another_estimator_is_refused(tmp_path):
    from thesislib.representations.dcgan import DCGAN

    X = np.zeros((2, 8, 8))
    DCGAN(n_maps=1, n_updates=0, device="cpu").fit(X).save(tmp_path / "x.safetensors")
    with pytest.raises(WeightsError, match=r"x\.safetensors: found no S2SAE .*found 'DCGAN'"):
        S2SAE.load(tmp_path / "x.safetensors")


def test_scikit_learn_takes_it_for_an_estimator():
    s2sae = S2SAE(3, n_units=5, cell="LSTM", random_state=7)
    assert clone(s2sae).get_params() == s2sae.get_params()
    assert s2sae.get_params()["n_layers"] == 3
    with pytest.raises(NotFittedError, match="S2SAE"):
        s2sae.transform(clips())
    with pytest.raises(NotFittedError, match="S2SAE"):
        s2sae.save("nowhere")
    names = fitted(n_epochs=0).get_feature_names_out()
    assert list(names[:2]) == ["s2sae0", "s2sae1"]
    X = clips()
    assert np.array_equal(fitted(X).transform(X), S2SAE(**TINY).fit_transform(X))


def test_key_for_the_store_names_what_matters_and_no_more():
    key = S2SAE(**TINY).cache_parameters()
    assert key == S2SAE(**TINY, verbose=True, checkpoint="here").cache_parameters()
    assert key != S2SAE(**TINY | {"dropout": 0.3}).cache_parameters()
    assert key["torch"] == torch.__version__
    # Once fitted, what it was fitted on must not be taken for something else.
    keys = [fitted(X).cache_parameters() for X in (clips(), clips(), clips(seed=1))]
    assert keys[0] == keys[1] != keys[2]
    assert len(keys[0]["weights"]) == 64
    assert fitted(random_state=None).cache_parameters()["parameters"]["random_state"] is None
    with pytest.raises(ParameterError, match="random_state: found None, expected an integer"):
        S2SAE(random_state=None).cache_parameters()


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("n_layers", 0, "an integer >= 1"),
        ("n_units", 2.5, "an integer >= 1"),
        ("cell", "RNN", "GRU, LSTM"),
        ("dropout", 1.0, "<= 0.99"),
        ("dropout_on", "inputs", "outputs, inputs_and_outputs"),
        ("decoder_input", "student", "teacher, previous, none"),
        ("learning_rate", 0, "> 0"),
        ("clip_value", -2, "> 0"),
        ("n_epochs", -1, ">= 0"),
        ("encoder_noise", "much", "a number"),
    ],
)
def test_impossible_parameters_are_named_before_the_work(name, value, expected):
    with pytest.raises(ParameterError, match=f"^{name}: found .*expected .*{expected}"):
        fitted(**{name: value})


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (np.zeros(5), r"X\[1\]: found shape \(5,\)"),
        (np.zeros((0, 5)), r"X\[1\]: found shape \(0, 5\)"),
        (np.zeros((4, 6)), r"X\[1\]: found 6 bands, expected 5"),
        (np.full((4, 5), -60.0), r"X\[1\]: found values from -60 to -60.*\[-1, 1\]"),
        (np.full((4, 5), np.nan), r"X\[1\]: found values from nan"),
        (np.full((4, 5), "a"), r"X\[1\]: .*expected two axes of numbers"),
    ],
)
def test_impossible_clips_are_named(bad, message):
    with pytest.raises(ParameterError, match=message):
        fitted([np.zeros((4, 5)), bad])


def test_no_clip_at_all_is_refused():
    with pytest.raises(ParameterError, match="X: found no clip"):
        fitted([])


def test_a_silent_clip_does_no_harm():
    codes = fitted([np.full((6, 5), -1.0)] * 3).transform([np.full((1, 5), -1.0)])
    assert np.isfinite(codes).all()
