"""Every experiment but 8.2 runs on any labelled folder, and says which splits were derived."""

import json

import numpy as np
import pandas as pd
import pytest
import soundfile

from thesislib.cli import main

#: Small values; a run takes some seconds.
SMALL = {
    "08_1_acoustic_scenes": "dcgan_n_updates=1; n_epochs=1; mlp_n_epochs=2; baseline_n_epochs=1; "
    "search_n_epochs=1; search_n_units=[8]; search_directions=[UB]; search_windows_s=[0.2]; "
    "search_n_mels=[16]; decoder_inputs=[teacher, none]; n_resamples=20; seeds=[0, 1]",
    "08_3_game_genre": "networks={alexnet: fc7}; plots=[spectrogram, chroma]; n_resamples=20; "
    "colour_maps=[viridis]; functional_sets=[IS09]; codebook_sizes=[10]; n_assigns=[1]; "
    "complexities=[1e-3]; n_folds=3; chunk_s=0.5",
    "09_1_vocalisations": "networks={alexnet: fc7}; bodf_sizes=[5]; boaw_sizes=[10]; "
    "n_assigns=[1]; complexities=[1e-2]; n_resamples=20",
    "09_2_sentiment": "bodf_sizes=[5]; mfcc_sizes=[10]; n_assigns=[1]; complexities=[1e-2]; "
    "n_resamples=20; chunk_s=0.5; chunk_hop_s=0.25",
    "10_1_heart": "n_epochs=1; clip_levels_db=[-60]; search_n_layers=[1]; search_directions=[UB]; "
    "search_windows_s=[0.32]; search_n_mels=[32]; boaw_sizes=[10]; boaw_n_assign=1; "
    "complexities=[1e-2]; reductions=[none, pca]; n_components=4; n_resamples=20; seeds=[0, 1]",
    "10_2_snore": "networks={alexnet: [fc7]}; colour_maps=[viridis]; boaw_sizes=[10]; "
    "bodf_sizes=[5]; n_assigns=[1]; n_epochs=1; complexities=[1e-2]; n_resamples=20",
    "20_own_recordings": "size_px=64; codebook_sizes=[5]; n_assigns=[1]; complexities=[1e-2]; "
    "chunk_s=0.25; chunk_hop_s=0.25; seeds=[0]; n_resamples=20",
}
PARTITIONS = ["Train", "Train", "Train", "Dev", "test"]
COLUMNS = {
    "partitions": lambda i: {"partition": PARTITIONS[i % 5]},
    "folds": lambda i: {"fold": str(1 + i % 4)},
    "neither": lambda i: {"group": f"g{i % 10}"},
}
#: Experiments that take a folder's splits as they are.
NATIVE = {("09_2_sentiment", "partitions"), ("10_1_heart", "partitions")}
NATIVE |= {("10_2_snore", "partitions"), ("08_1_acoustic_scenes", "folds")}
NATIVE |= {("08_3_game_genre", "folds")}
NATIVE |= {("20_own_recordings", kind) for kind in ("partitions", "folds")}


@pytest.fixture(params=COLUMNS)
def folder(request, tmp_path, rng):
    """Forty clips of a second: tones of two to four classes in noise."""
    n_classes = 2 + list(COLUMNS).index(request.param)
    rows, t = [], np.arange(16000) / 16000
    for number in range(40 // n_classes * n_classes):
        label, file = number % n_classes, f"{number:02d}.wav"
        tone = np.sin(2 * np.pi * (300 + 250 * label + 20 * rng.random()) * t)
        tone *= np.repeat(rng.random(20), 800)  # no two clips are one recording
        soundfile.write(tmp_path / file, 0.3 * tone + 0.05 * rng.normal(size=t.size), 16000)
        columns = COLUMNS[request.param](number // n_classes)
        rows.append({"file": file, "label": f"class {label}"} | columns)
    pd.DataFrame(rows).to_csv(tmp_path / "index.csv", index=False)
    return request.param, tmp_path


@pytest.mark.slow
@pytest.mark.parametrize("name", SMALL)
def test_an_experiment_runs_on_any_labelled_folder(name, folder, tmp_path_factory, monkeypatch):
    kind, corpus = folder
    work = tmp_path_factory.mktemp("work")
    monkeypatch.setenv("THESIS_STORE", str(work / "store"))
    values = [f"results={work / 'results'}", *SMALL[name].split("; ")]
    options = [part for value in values for part in ("-p", value)]
    assert main(["run", name, "--corpus", str(corpus), "--quiet", *options]) == 0
    record = json.loads((work / "results" / "run.json").read_text())
    remarks = [r for c in record["corpora"].values() for r in c["remarks"]]
    derived = [remark for remark in remarks if remark.startswith("derived:")]
    assert bool(derived) == ((name, kind) not in NATIVE)
    captions = "".join(p.read_text() for p in (work / "results" / "tables").glob("*.tex"))
    assert ("derived:" in captions) == bool(derived)
    assert "as published" not in captions


@pytest.mark.slow
def test_own_recordings_are_treated_as_such(folder, tmp_path_factory, monkeypatch):
    """Their rate and the network's size; a choice without the reported part; features to use."""
    kind, corpus = folder
    work = tmp_path_factory.mktemp("work")
    monkeypatch.setenv("THESIS_STORE", str(work / "store"))
    monkeypatch.setenv("THESIS_RESULTS", str(work))
    small = [part for part in SMALL["20_own_recordings"].split("; ") if "size_px" not in part]
    options = [part for value in small for part in ("-p", value)]
    assert main(["run", "20_own_recordings", "--corpus", str(corpus), "--quiet", *options]) == 0
    results = work / corpus.name / "20_own_recordings"
    table = pd.read_csv(results / "tables" / "table_own.csv")
    expected = "development" if kind == "partitions" else "nested"
    assert set(table["selection"]) == {expected}
    assert table["system"].iloc[-1] == "Selected system"
    caption = (results / "tables" / "table_own.tex").read_text()
    assert "16000 Hz" in caption and "224 px" in caption and "seeds 0" in caption
    compared = pd.read_csv(results / "tables" / "table_own_comparisons.csv")
    assert set(table["system"]) - {"Selected system"} == {
        *compared["system_a"],
        *compared["system_b"],
    } - {"Chance"}
    exported = pd.read_parquet(results / "features" / "functionals.parquet")
    index = pd.read_csv(corpus / "index.csv", dtype=str)
    assert exported.shape[0] == len(index)
    assert (exported["label"] == index["label"]).all()
