"""openSMILE's features and the 39 MFCCs: sizes, silence, short clips, clipping, properties."""

import json
import pickle
import subprocess
import sys
import warnings

import librosa
import numpy as np
import pytest
import soxr
from sklearn.base import clone

from thesislib.errors import AudioError, ParameterError
from thesislib.representations.bag_of_features import BagOfFeatures
from thesislib.representations.functionals import FrameFeatures, Functionals
from thesislib.store import hash_parameters

SR = 16000


def noise(n_samples=8000, seed=0):
    return np.random.default_rng(seed).normal(0, 0.1, n_samples).astype(np.float32)


def tone(f_hz, n_samples=8000, sr=SR):
    return (0.3 * np.sin(2 * np.pi * f_hz * np.arange(n_samples) / sr)).astype(np.float32)


@pytest.mark.parametrize(
    ("feature_set", "n_features"), [("ComParE_2016", 6373), ("IS09", 384), ("IS10", 1582)]
)
def test_sizes_of_the_thesis(feature_set, n_features):
    functionals = Functionals(feature_set)
    clips = [(noise(), SR), (noise(4000, seed=1), 8000)]
    features = functionals.fit_transform(clips)
    assert features.shape == (2, n_features)
    assert features.dtype == np.float32
    assert len(set(functionals.get_feature_names_out())) == n_features
    # No clip leaves a trace in the next one.
    np.testing.assert_array_equal(functionals.transform(clips[::-1])[::-1], features)
    assert functionals.transform([]).shape == (0, n_features)


@pytest.mark.parametrize(
    ("feature_set", "widths"), [("ComParE_2016", (65, 65)), ("IS09", (16, 16)), ("MFCC39", (39,))]
)
def test_frames_and_their_streams(feature_set, widths):
    features = FrameFeatures(feature_set)
    clips = [(noise(), SR), (noise(5000, seed=1), SR)]
    whole = features.fit_transform(clips)
    assert [frames.shape[1] for frames in whole] == [sum(widths)] * 2
    assert whole[0].dtype == np.float32
    assert features.stream_widths == widths
    assert len(set(features.get_feature_names_out())) == sum(widths)
    edges = np.cumsum(widths)[:-1]
    streams = list(zip(*(np.split(frames, edges, axis=1) for frames in whole)))
    assert len(streams) == len(widths)
    side_by_side = BagOfFeatures(5, 2, stream_widths=widths).fit_transform(whole)
    np.testing.assert_array_equal(BagOfFeatures(5, 2).fit_transform(streams), side_by_side)


def test_deltas_stand_beside_their_descriptors():
    (frames,) = FrameFeatures("IS09").transform([(noise(), SR)])
    descriptors, deltas = frames[:, :16], frames[:, 16:]
    weights = np.array([-2, -1, 0, 1, 2]) / 10
    slopes = sum(w * descriptors[i : len(descriptors) - 4 + i] for i, w in enumerate(weights))
    np.testing.assert_allclose(deltas[2:-2], slopes, atol=1e-5)
    assert np.abs(deltas[3:-1] - slopes).max() > 0.1


@pytest.mark.parametrize("feature_set", ["ComParE_2016", "IS09", "IS10"])
def test_silence_has_finite_functionals(feature_set):
    assert np.isfinite(Functionals(feature_set).transform([(np.zeros(8000), SR)])).all()


@pytest.mark.parametrize("feature_set", ["ComParE_2016", "IS09", "MFCC39"])
def test_silence_has_finite_constant_frames(feature_set):
    (frames,) = FrameFeatures(feature_set).transform([(np.zeros(8000), SR)])
    assert np.isfinite(frames).all()
    np.testing.assert_allclose(frames, np.broadcast_to(frames[0], frames.shape), atol=1e-6)


@pytest.mark.parametrize(
    "estimator",
    [*map(Functionals, ("ComParE_2016", "IS09", "IS10")), *map(FrameFeatures, ("IS09", "MFCC39"))],
)
def test_a_clip_too_short_is_named_without_other_warnings(estimator):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(AudioError, match=r"X\[1\]: found 300 samples at 16000 Hz"):
            estimator.transform([(noise(1600), SR), (noise(300), SR)])


@pytest.mark.parametrize("estimator", [Functionals("IS09"), FrameFeatures("MFCC39")])
@pytest.mark.parametrize(
    ("item", "error", "message"),
    [
        ((np.full(8000, np.nan), SR), AudioError, r"X\[0\]: found nan at sample 0"),
        ((np.zeros((2, 8000)), SR), AudioError, r"X\[0\]: found float64 of shape \(2, 8000\)"),
        ((np.zeros(8000, int), SR), AudioError, r"X\[0\]: found int64 of shape"),
        ((np.zeros(8000), 0), ParameterError, r"X\[0\], sampling rate: found 0"),
        (np.zeros(8000), ParameterError, r"X\[0\]: found ndarray, expected \(signal, sampling"),
    ],
)
def test_bad_input_is_named(estimator, item, error, message):
    with pytest.raises(error, match=message):
        estimator.transform([item])


def test_bad_parameters_are_named():
    with pytest.raises(ParameterError, match=r"did you mean 'IS09'"):
        Functionals("IS9").fit()
    with pytest.raises(ParameterError, match="feature_set: found 'IS10', expected one of ComParE"):
        FrameFeatures("IS10").fit()
    with pytest.raises(ParameterError, match=r"sr: found 0\.5"):
        Functionals(sr=0.5).fit()
    with pytest.raises(ParameterError, match="hop_s: found 0"):
        FrameFeatures("MFCC39", hop_s=0).transform([])


def test_full_scale_does_not_wrap_around():
    # A sample of 1 is one past the last 16-bit number.
    y = np.where(np.arange(8000) % 160 < 60, 1, 0).astype(np.float32)
    below = np.minimum(y, 32767 / 32768)
    for estimator in (Functionals("IS09"), FrameFeatures("IS09")):
        np.testing.assert_array_equal(
            estimator.transform([(y, SR)])[0], estimator.transform([(below, SR)])[0]
        )


def test_resampling_comes_first():
    y = noise(12000)
    converted = soxr.resample(y, 48000, SR, quality="HQ")
    np.testing.assert_array_equal(
        Functionals("IS09", sr=SR).transform([(y, 48000)]),
        Functionals("IS09").transform([(converted, SR)]),
    )


def test_mfcc_against_librosa():
    y = noise()
    (frames,) = FrameFeatures("MFCC39").transform([(y, SR)])
    # librosa centres the window of 400 samples in the 512 of the transform.
    bands = librosa.feature.melspectrogram(
        y=np.pad(y, 56), sr=SR, n_fft=512, win_length=400, hop_length=160, center=False,
        n_mels=26, fmax=8000, htk=True, norm=None,
    )  # fmt: skip
    mfcc = librosa.feature.mfcc(S=np.log(bands), n_mfcc=13).T[:, 1:]
    lifter = 1 + 11 * np.sin(np.pi * np.arange(1, 13) / 22)
    np.testing.assert_allclose(frames[:, :12], mfcc * lifter, rtol=1e-3, atol=1e-3)
    delta = librosa.feature.delta(frames[:, :12], width=5, axis=0, mode="nearest")
    np.testing.assert_allclose(frames[:, 12:24], delta, atol=1e-4)
    np.testing.assert_allclose(
        frames[:, 24:36],
        librosa.feature.delta(delta, width=5, axis=0, mode="nearest"),
        atol=1e-4,
    )


def test_gain_moves_the_log_energy_only():
    y = noise()
    (soft,), (loud,) = (FrameFeatures("MFCC39").transform([(g * y, SR)]) for g in (0.5, 5))
    np.testing.assert_allclose(loud[:, 36] - soft[:, 36], 2 * np.log(10), rtol=1e-5)
    others = np.arange(39) != 36
    np.testing.assert_allclose(loud[:, others], soft[:, others], atol=1e-3)


def test_first_coefficient_tells_low_tones_from_high_ones():
    # The first cosine is positive over the low bands and negative over the high ones.
    low, high = FrameFeatures("MFCC39").transform([(tone(300), SR), (tone(6000), SR)])
    assert low[:, 0].min() > 0 > high[:, 0].max()


def test_steady_tone_has_no_deltas_and_hop_sets_the_number_of_frames():
    y = tone(1000)  # ten periods a hop
    (frames,) = FrameFeatures("MFCC39").transform([(y, SR)])
    assert np.abs(frames[:, 12:36]).max() < 1e-2
    assert len(frames) == 1 + (8000 - 400) // 160
    (frames,) = FrameFeatures("MFCC39", hop_s=0.015).transform([(y, SR)])
    assert len(frames) == 1 + (8000 - 400) // 240


def test_bands_reach_8_khz_or_half_the_rate():
    above = tone(12_000, 24_000, sr=48_000)
    within = tone(4_000, 24_000, sr=48_000)
    (silent,), (heard,) = (
        FrameFeatures("MFCC39").transform([(y, 48_000)]) for y in (above, within)
    )
    assert np.abs(silent[:, :12]).max() < 0.2 * np.abs(heard[:, :12]).max()
    assert np.isfinite(FrameFeatures("MFCC39").transform([(noise(), 2000)])[0]).all()


def test_contract_of_estimators():
    estimator = clone(FrameFeatures("MFCC39", hop_s=0.015))
    assert estimator.get_params()["hop_s"] == 0.015
    assert estimator.fit([]) is estimator
    for each in (Functionals("IS10"), estimator):
        each.transform([(noise(), SR)])
        assert len(pickle.dumps(each)) < 500
        parameters = each.cache_parameters()
        json.dumps(parameters)
        assert {"opensmile", "numpy"} <= set(parameters["libraries"])
        changed = clone(each).set_params(sr=8000).cache_parameters()
        assert hash_parameters(changed) != hash_parameters(parameters)


def test_opensmile_is_imported_late():
    code = (
        "import sys; from thesislib.representations.functionals import Functionals;"
        "Functionals().fit().cache_parameters();"
        "assert not {'opensmile', 'librosa', 'audobject'} & set(sys.modules), 'imported'"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
