"""Broken set-ups are named before a kernel starts, by ``--dry-run`` too."""

import shutil
import subprocess
import sys
from collections import namedtuple

import numpy as np
import pandas as pd
import pytest
import soundfile
import yaml

from thesislib.cli import main
from thesislib.compendium.checks import check_run, find_stubs, list_uses, read_needs
from thesislib.corpora import NEEDS
from thesislib.errors import CorpusError, ParameterError, StoreError, ThesisError
from thesislib.places import notebooks_folder
from thesislib.reporting.notebooks import list_notebooks, read_parameters
from thesislib.representations import network_table

POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n"
PAGE = "<!DOCTYPE html>\n<html><body>Sign in</body></html>\n"


@pytest.fixture(autouse=True)
def own_folders(tmp_path, monkeypatch):
    """Folders of the test's own; what a dry run leaves there is a fault."""
    for name in ("RESULTS", "STORE", "WEIGHTS"):
        monkeypatch.setenv(f"THESIS_{name}", str(tmp_path / name.lower()))
    yield
    assert not (tmp_path / "results").exists()
    assert not (tmp_path / "store").exists()


@pytest.fixture
def corpus(tmp_path, rng):
    """Twenty clips of half a second in two classes, without splits."""
    folder = tmp_path / "corpus"
    folder.mkdir()
    files = [f"{i:02d}.wav" for i in range(20)]
    for file in files:
        soundfile.write(folder / file, 0.1 * rng.normal(size=4000), 8000)
    pd.DataFrame({"file": files, "label": ["a", "b"] * 10}).to_csv(folder / "index.csv")
    return folder


def change_index(corpus, change):
    table = pd.read_csv(corpus / "index.csv", index_col=0)
    change(table).to_csv(corpus / "index.csv")


def write_all(corpus, text):
    for path in corpus.glob("*.wav"):
        path.write_text(text)


def dry_run(capsys, *arguments):
    """Exit code and messages of a dry run."""
    code = main(["run", *map(str, arguments), "--dry-run"])
    return code, capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["10_2_snore", "-p", "networks={alexnt: [fc7]}"], "'alexnt' (did you mean 'alexnet'?)"),
        (["10_2_snore", "-p", "networks={alexnet: [fc8]}"], "'fc8' (did you mean 'fc7'?)"),
        (["10_2_snore", "-p", "networks={alexnet: fc7}"], "expected a list, {alexnet: [fc7]}"),
        (["08_3_game_genre", "-p", "networks={alexnet: [fc7]}"], "one name like 'fc7'"),
        (["04_1_audio_plots", "-p", "networks=[vgg166]"], "did you mean 'vgg16'?"),
        (["04_1_audio_plots", "-p", "layers=[features.99]"], "layer of alexnet: found"),
        (["09_2_sentiment", "-p", "layer=fc5"], "layer of alexnet: found 'fc5'"),
        (["10_2_snore", "-p", "size_px=32"], "alexnet: found an input of 32 px, expected at least"),
        (["10_2_snore", "-p", "colour_maps=[jett]"], "colour_maps: found 'jett' (did you mean 'j"),
        (["10_2_snore", "-p", "weights={alexnet: no.pth}"], "found no file 'no.pth'"),
        (["10_2_snore", "-p", "weights={vgg19: imagenet}"], "thesis weights fetch vgg19"),
        (["10_2_snore", "-p", "weights={vgg91: imagenet}"], "weights: found 'vgg91'"),
        (["09_2_sentiment", "-p", "weights=imagenet"], "thesis weights fetch alexnet"),
        (["10_2_snore", "--corpus", "absent"], "corpus: found no folder absent"),
        (["04_1_audio_plots", "-p", "audio=absent.wav"], "audio: found nothing at absent.wav"),
    ],
)
def test_a_wrong_name_is_one_line(capsys, arguments, message):
    code, printed = dry_run(capsys, *arguments)
    assert code == 2
    assert message in printed
    assert len(printed.splitlines()) == 1


def test_everything_that_the_paper_profile_lacks_is_listed(capsys):
    code, printed = dry_run(capsys, "10_2_snore", "--profile", "paper")
    assert code == 2
    for part in ("weights fetch alexnet", "weights fetch vgg19", "Ask the organisers"):
        assert part in printed


@pytest.mark.parametrize("notebook", [name for name in list_notebooks() if name[:2] != "00"])
def test_a_folder_without_an_index_is_told_how_to_make_one(capsys, corpus, notebook):
    (corpus / "index.csv").unlink()
    code, printed = dry_run(capsys, notebook, "--corpus", corpus)
    assert code == 2
    assert f"run: thesis corpus index {corpus}" in printed


@pytest.mark.parametrize(
    ("break_it", "message"),
    [
        (
            lambda c: write_all(c, POINTER),
            "20 files hold a Git LFS pointer (00.wav, 01.wav, 02.wav, …)",
        ),
        (lambda c: write_all(c, PAGE), "20 files hold a web page (00.wav, 01.wav, 02.wav, …)"),
        (lambda c: (c / "07.wav").unlink(), "07.wav"),
        (lambda c: change_index(c, lambda t: t.assign(label="a")), "expected at least two"),
        (lambda c: change_index(c, lambda t: t.head(2)), "class 'a' has 1 clips, expected"),
        (lambda c: change_index(c, lambda t: t.assign(group="g")), "class 'a' has 1 groups, exp"),
        (lambda c: change_index(c, lambda t: t.assign(partition="x")), "found partitions x, exp"),
        (lambda c: change_index(c, lambda t: t.rename(columns={"label": "x"})), "column 'label'"),
    ],
)
@pytest.mark.parametrize("notebook", ["08_1_acoustic_scenes", "09_2_sentiment", "10_2_snore"])
def test_a_broken_corpus_is_named(capsys, corpus, notebook, break_it, message):
    break_it(corpus)
    code, printed = dry_run(capsys, notebook, "--corpus", corpus)
    if notebook == "08_1_acoustic_scenes" and "partitions x" in message:
        assert code == 0  # folds do not depend on partitions
        return
    assert code == 2
    assert message in printed
    assert len(printed.splitlines()) <= 2


@pytest.mark.parametrize("notebook", [name for name, _ in NEEDS.items()])
def test_any_labelled_folder_will_do_but_for_rare_events(capsys, corpus, notebook):
    (name,) = (n for n in list_notebooks() if n.endswith(notebook))
    short = ["-p", "chunk_s=0.25"] if "chunk_s" in read_parameters(name) else []
    code, printed = dry_run(capsys, name, "--corpus", corpus, *short)
    assert code == (2 if notebook == "rare_events" else 0)
    if notebook == "rare_events":
        for part in ("labels a, b", "backgrounds (label 'background')", "partition for training"):
            assert part in printed


def test_spelt_partitions_are_understood(capsys, corpus):
    parts = ["Train"] * 12 + ["Dev"] * 4 + ["TEST"] * 4
    change_index(corpus, lambda table: table.assign(partition=parts))
    assert dry_run(capsys, "10_2_snore", "--corpus", corpus)[0] == 0


def test_a_chunk_longer_than_the_shortest_clip(capsys, corpus):
    code, printed = dry_run(capsys, "08_3_game_genre", "--corpus", corpus, "-p", "chunk_s=0.6")
    assert code == 2
    assert "chunk_s: found 0.6 s, expected at most the shortest clip (00.wav, 0.5 s)" in printed
    padded = ["-p", "chunk_s=0.6", "-p", "last_chunk=pad"]
    check_run("09_1_vocalisations", read_parameters("09_1_vocalisations"))
    assert dry_run(capsys, "09_1_vocalisations", "--corpus", corpus, *padded)[0] == 0


def test_a_codebook_larger_than_the_training_part(capsys, corpus):
    code, printed = dry_run(capsys, "09_2_sentiment", "--corpus", corpus, "-p", "bodf_sizes=[40]")
    assert code == 2
    assert "bodf_sizes: found 40 as the smallest, expected at most 12" in printed


@pytest.mark.parametrize("key", ["results", "store"])
def test_a_folder_that_cannot_be_written(capsys, tmp_path, key):
    (tmp_path / "file").touch()
    code, printed = dry_run(capsys, "10_2_snore", "-p", f"{key}={tmp_path / 'file' / 'below'}")
    assert code == 2
    assert f"{key}: {tmp_path / 'file' / 'below'} cannot be written (Not a directory)" in printed


def test_a_full_disk(monkeypatch):
    usage = namedtuple("usage", "free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(5e9))
    rare = read_parameters("08_2_rare_events")
    check_run("08_2_rare_events", rare)
    many = dict.fromkeys(rare["n_mixtures"], 10_000)
    with pytest.raises(StoreError, match=r"found 5.0 GB free at .*, expected 38"):
        check_run("08_2_rare_events", {**rare, "n_mixtures": many})


def test_a_pointer_in_place_of_weights(tmp_path):
    path = tmp_path / "w.safetensors"
    path.write_text(POINTER)
    values = {"networks": {"alexnet": ["fc7"]}, "weights": {"alexnet": str(path)}}
    message = r"1 file holds a Git LFS pointer \(w.safetensors\): git lfs pull"
    with pytest.raises(Exception, match=message):
        check_run("10_2_snore", values)


def test_stubs_are_counted_by_kind(tmp_path):
    for name, text in {"a": POINTER, "b": PAGE, "c": "RIFF", "d": POINTER, "e": ""}.items():
        (tmp_path / name).write_text(text)
    first, second = find_stubs([*sorted(tmp_path.iterdir()), tmp_path / "absent"])
    assert first == "2 files hold a Git LFS pointer (a, d): git lfs pull"
    assert second.startswith("1 file holds a web page (b)")


def test_a_dry_run_does_not_import_torch():
    code = """
import sys
from thesislib.cli import main
cases = {"networks": "{alexnt: [fc7]}", "colour_maps": "[jett]", "corpus": "absent"}
for name, value in cases.items():
    assert main(["run", "10_2_snore", "--dry-run", "-p", f"{name}={value}"]) == 2
assert main(["run", "all", "--dry-run"]) == 0
assert not {"torch", "librosa", "sklearn", "opensmile"} & set(sys.modules)
"""
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)


def test_the_table_of_networks_is_that_of_the_models():
    from thesislib.representations import networks
    from thesislib.representations.weights import network_names

    table = network_table.read_networks()
    assert list(table) == network_names()
    assert network_table.DEEPSPECTRUM == tuple(networks._DEEPSPECTRUM)
    for name, row in table.items():
        if row["layers"]:
            model = networks._make_model(name, device="meta")
            built = networks.Network(name, model, preprocessing="imagenet", weights_id="none")
            assert row["layers"].split() == built.layers
            side = int(row["min_px"])
            networks.layer_widths(name, ("logits",), side, side)
            with pytest.raises(ParameterError, match="does not take"):
                networks.layer_widths(name, ("logits",), side - 1, side - 1)


def test_a_network_that_the_table_only_names_is_built(capsys):
    arguments = ["09_2_sentiment", "-p", "network=resnet18"]
    assert dry_run(capsys, *arguments, "-p", "layer=avgpool")[0] == 0
    code, printed = dry_run(capsys, *arguments, "-p", "layer=fc7")
    assert (code, "found 'fc7'" in printed) == (2, True)


def test_needs_name_notebooks_corpora_and_parameters():
    text = (notebooks_folder() / "parameters" / "needs.yaml").read_text(encoding="utf-8")
    needs = yaml.safe_load(text)
    assert set(needs) == {name for name in list_notebooks() if "00" < name[:2] < "21"}
    for name, need in needs.items():
        assert need["corpus"] in (*NEEDS, "any", "own")
        parameters = read_parameters(name)
        for key in [*need.get("chunks", []), need.get("words", "seed")]:
            assert key in parameters
    assert np.unique(list(NEEDS)).size == len(NEEDS)


def test_a_second_corpus_that_is_missing_is_named(tmp_path):
    values = read_parameters("11_4_elsewhere") | {"other": str(tmp_path / "absent")}
    with pytest.raises(CorpusError, match="absent"):
        check_run("11_4_elsewhere", values)


@pytest.mark.parametrize(
    "name", sorted(name for name in read_needs() if "split_by" in read_parameters(name))
)
def test_every_experiment_on_clips_can_be_split_by_domain(corpus, name):
    values = read_parameters(name) | {"corpus": str(corpus), "split_by": "domain"}
    values |= {"last_chunk": "pad"} if "last_chunk" in values else {}
    values |= {key: [2] for key in filter(None, [read_needs()[name].get("words")])}
    with pytest.raises(ThesisError, match="found no column domain, expected one to split by"):
        check_run(name, values)
    change_index(corpus, lambda t: t.assign(domain=[f"d{i // 2}" for i in range(20)]))
    check_run(name, values)


@pytest.mark.parametrize("n_groups", [2, 10])
def test_a_corpus_serves_the_notebooks_whose_checks_it_passes(corpus, n_groups):
    change_index(corpus, lambda t: t.assign(group=[f"g{i % n_groups}" for i in range(20)]))
    passed = []
    for name in read_needs():
        try:
            check_run(name, read_parameters(name) | {"corpus": str(corpus)})
            passed.append(name)
        except ThesisError:
            pass
    served, *others = list_uses(corpus)
    assert served.startswith(f"serves: {', '.join(passed)} (thesis run")
    assert ("20_own_recordings" in passed) == (n_groups == 10)
    lacking = [name for line in others for name in line.partition(":")[0].split(", ")]
    assert len(lacking) + len(passed) == len(read_needs())
    # A parameter that does not fit is named, and is no lack of groups.
    parameters = [line for line in others if "(thesis corpus " not in line]
    assert any(": chunk_s: found 1 s, expected at most the shortest" in x for x in parameters)
    assert all(": found" in x and ", expected at most" in x for x in parameters), parameters


@pytest.mark.parametrize("how", ["parameter", "variable"])
def test_a_device_that_does_not_work_is_found_before_a_kernel(project, monkeypatch, how):
    if how == "variable":
        monkeypatch.setenv("THESIS_DEVICE", "mps:7")
    with pytest.raises(ParameterError, match="device: found 'mps:7', expected auto, cpu or cuda"):
        check_run("10_2_snore", {"device": "mps:7"} if how == "parameter" else {})
