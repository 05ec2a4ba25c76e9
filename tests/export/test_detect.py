"""Events in a recording of any length: `thesis detect` and what it stands on."""

import contextlib
import json
import os
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import soundfile

from thesislib.audio import read_audio, stream_audio
from thesislib.cli import main
from thesislib.errors import AudioError, WeightsError
from thesislib.evaluation.events import count_events, stream_events
from thesislib.export.detect import detect_events, load_detectors, save_detectors, write_events
from thesislib.representations.crnn import CRNN
from thesislib.representations.frame_detector import label_frames
from thesislib.representations.sliding import predict_ensemble
from thesislib.spectra.frames import LogMelFrames
from thesislib.store import hash_parameters

SR = 8000
FRAMES = LogMelFrames(0.046, 0.023, 20)


def record(rng, duration_s, **tones):
    """Noise with bursts of 0.4 s of a tone: ``low`` or ``high`` at some onsets."""
    y = 0.02 * rng.normal(size=round(duration_s * SR))
    for name, onsets_s in tones.items():
        pitch_hz = {"low": 1000, "high": 2500}[name]
        burst = 0.2 * np.sin(2 * np.pi * pitch_hz * np.arange(round(0.4 * SR)) / SR)
        for onset_s in onsets_s:
            y[round(onset_s * SR) : round(onset_s * SR) + len(burst)] += burst
    return y


def train_detectors(folder, seed):
    """Detectors of two pitches: an ensemble of two chunk lengths, and a single network."""
    rng, detectors = np.random.default_rng(seed), {}
    for label, pitch, taus in (("low/tone", "low", (3, 10)), ("high", "high", (5,))):
        X, y = [], []
        for i, onset_s in enumerate(rng.uniform(0.2, 2.5, size=16)):
            # Every other clip holds the other tone, which is no event.
            name = pitch if i % 2 else {"low": "high", "high": "low"}[pitch]
            X.append(FRAMES(record(rng, 3, **{name: [onset_s]}), sr=SR))
            event = ([onset_s], [onset_s + 0.4]) if i % 2 else ([], [])
            y.append(label_frames(*event, n_frames=len(X[-1]), hop_s=FRAMES.hop(SR)))
        small = {"n_filters": (4, 4), "pool_sizes": (2, 5), "n_units": 8, "n_dense": 8}
        small |= {"dropout": 0.1, "learning_rate": 0.005, "random_state": seed}
        detectors[label] = [
            CRNN(tau, **small, n_epochs=40, batch_size=160 // tau, device="cpu").fit(X, y)
            for tau in taus
        ]
    thresholds = {"low/tone": 0.5, "high": 0.4}
    written = save_detectors(folder, detectors, frames=FRAMES, sr=SR, thresholds=thresholds)
    assert sorted(written) == sorted(folder.iterdir())
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return train_detectors(tmp_path_factory.mktemp("detectors") / "models", 0)


@pytest.fixture
def recording(tmp_path, rng):
    """Five tones in 60 s, at 16 kHz, stereo."""
    y = record(rng, 60, low=[4.0, 21.0, 50.0], high=[30.0, 40.0])
    path = tmp_path / "recording.wav"
    soundfile.write(path, np.stack([np.repeat(y, 2)] * 2, axis=1), 2 * SR)
    return path


def test_events_of_all_classes_are_found_in_time(seeds, recording, tmp_path):
    labels, onsets_s = ["low/tone"] * 3 + ["high"] * 2, [4.0, 21.0, 50.0, 30.0, 40.0]
    truth = pd.DataFrame({"file": "recording", "label": labels, "onset_s": onsets_s})
    rates = []
    for seed in seeds:
        folder = train_detectors(tmp_path / str(seed), seed)
        found = detect_events(recording, load_detectors(folder, device="cpu"))
        assert found["onset_s"].is_monotonic_increasing
        assert found["probability"].between(0.4, 1).all()
        counts = count_events(truth, found.assign(file="recording"), collar_s=0.1)
        rates.append(counts["n_reference"].sum() + counts["n_estimated"].sum())
        rates[-1] = (rates[-1] - 2 * counts["n_matched"].sum()) / 5
    assert np.median(rates) < 0.5  # a detector that finds nothing has 1


def test_a_stream_gives_what_the_whole_recording_gives(folder, recording):
    model = load_detectors(folder, device="cpu")
    y, _ = read_audio(recording, sr=SR)
    rows = []
    for label, entry in model["classes"].items():
        whole = predict_ensemble(entry["detectors"], FRAMES(y, sr=SR)[None])[0, :, 0]
        # Far from all probabilities: a last bit moves none of them across the threshold.
        values = np.sort(whole)[:-10]
        widest = np.argmax(np.diff(values))
        entry["threshold"] = float(values[widest : widest + 2].mean())
        events = stream_events([whole], hop_s=FRAMES.hop(SR), threshold=entry["threshold"])
        rows += [(onset_s, offset_s, label, peak) for onset_s, offset_s, peak in events]
    expected = pd.DataFrame(sorted(rows), columns=["onset_s", "offset_s", "label", "probability"])
    assert len(expected) >= 2
    pd.testing.assert_frame_equal(detect_events(recording, model), expected, atol=1e-5)


def test_the_command_line_writes_a_table(folder, recording, tmp_path, capsys):
    output = tmp_path / "events.csv"
    events = detect_events(recording, load_detectors(folder))
    assert main(["detect", str(recording), "--model", str(folder), "-o", str(output)]) == 0
    assert f"{len(events)} events" in capsys.readouterr().out
    table = pd.read_csv(output)
    assert list(table) == ["onset_s", "offset_s", "label", "probability"]
    assert table["label"].tolist() == events["label"].tolist()
    assert main(["detect", str(recording), "--model", str(folder)]) == 0
    assert capsys.readouterr().out == output.read_text()


def test_faults_are_named(folder, recording, tmp_path, capsys):
    assert main(["detect", str(recording), "--model", str(tmp_path)]) == 2
    assert "found no detectors" in capsys.readouterr().err
    assert main(["detect", str(tmp_path / "no.wav"), "--model", str(folder)]) == 2
    assert "no.wav: found no such file" in capsys.readouterr().err
    soundfile.write(tmp_path / "short.wav", np.zeros(100), SR)
    with pytest.raises(AudioError, match="found 100 samples"):
        write_events(tmp_path / "short.wav", folder)


def write_sealed(path, record):
    record.pop("sha256")
    path.write_text(json.dumps(record | {"sha256": hash_parameters(record)}))


def test_no_flipped_bit_of_the_description_gives_other_detectors(folder, tmp_path, monkeypatch):
    network = SimpleNamespace(n_columns_=20, n_outputs_=1)
    monkeypatch.setattr(CRNN, "load", lambda path, device: network)
    content = (folder / "detectors.json").read_bytes()
    for position in np.random.default_rng(0).permutation(8 * len(content))[:300]:
        flipped = bytearray(content)
        flipped[position // 8] ^= 1 << position % 8
        (tmp_path / "detectors.json").write_bytes(flipped)
        with contextlib.suppress(WeightsError):
            load_detectors(tmp_path, device="cpu")
            assert json.loads(flipped) == json.loads(content), f"bit {position}"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"version": 1}, "version 1, expected 2"),
        ({"sr": 0}, "sr: found 0"),
        ({"sr": 10**12}, "sr: found 1000000000000"),
        ({"frames": {"n_mels": 20, "window": 1}}, "window"),
        ({"frames": {"window_s": 0.046, "hop_s": 0.023, "n_mels": 21}}, r"expected \(21, 1\)"),
        ({"classes": {"a": {"networks": ["no.safetensors"], "threshold": 0.5}}}, "no.safetensors"),
        ({"classes": {"a": {"networks": [], "threshold": 2}}}, "threshold: found 2"),
        ({"classes": []}, "found no detectors"),
    ],
)
def test_a_damaged_folder_is_refused(folder, tmp_path, change, message):
    for path in folder.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    description = tmp_path / "detectors.json"
    write_sealed(description, json.loads(description.read_text()) | change)
    with pytest.raises(WeightsError, match=message):
        load_detectors(tmp_path, device="cpu")


def test_networks_are_read_from_their_folder_only(folder, tmp_path):
    """A description from elsewhere must not open files outside its folder."""
    record = json.loads((folder / "detectors.json").read_text())
    names = record["classes"]["high"]["networks"]
    record["classes"] = {"high": {"networks": [f"{folder}/{n}" for n in names], "threshold": 0.5}}
    write_sealed(tmp_path / "detectors.json", record)
    with pytest.raises(WeightsError, match=str(tmp_path / names[0])):
        load_detectors(tmp_path, device="cpu")


@pytest.mark.parametrize("sr", [None, 8000, 11025, 44100])
def test_audio_in_blocks_is_the_audio(tmp_path, rng, sr):
    path = tmp_path / "noise.flac"
    soundfile.write(path, 0.1 * rng.normal(size=(30001, 2)), 16000)
    whole, _ = read_audio(path, sr=sr)
    for block_s in (0.1, 0.77, 100.0):
        blocks = np.concatenate(list(stream_audio(path, sr=sr, block_s=block_s)))
        assert len(blocks) == len(whole)
        np.testing.assert_allclose(blocks, whole, atol=1e-6)


def test_a_truncated_recording_is_no_shorter_recording(tmp_path, rng):
    path = tmp_path / "noise.flac"
    soundfile.write(path, 0.1 * rng.normal(size=40000), 16000)
    path.write_bytes(path.read_bytes()[:-20000])
    with pytest.raises(AudioError, match=r"noise\.flac: (truncated|damaged)"):
        list(stream_audio(path, block_s=0.5))


@pytest.mark.slow
def test_an_hour_needs_the_memory_of_a_minute(folder, tmp_path, rng):
    minute = record(rng, 60, low=[4.0, 21.0, 50.0]).astype(np.float32)
    peaks = {}
    for n_minutes in (1, 60):
        path = tmp_path / f"{n_minutes}.wav"
        with soundfile.SoundFile(path, "w", SR, 1) as file:
            for _ in range(n_minutes):
                file.write(minute)
        code = (
            "import resource, sys; from thesislib.cli import main;"
            f"code = main(['detect', {str(path)!r}, '--model', {str(folder)!r}, '-o', "
            f"{str(tmp_path / 'events.csv')!r}]);"
            "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024); sys.exit(code)"
        )
        environment = os.environ | {"OMP_NUM_THREADS": "1"}
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, env=environment
        )
        assert done.returncode == 0, done.stderr
        peaks[n_minutes] = float(done.stdout.split()[-1])
    # An hour of samples alone would be 110 MiB.
    assert peaks[60] < peaks[1] + 40, peaks
