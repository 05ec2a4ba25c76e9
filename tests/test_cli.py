"""The command line: exit codes, what goes to which stream, and nothing heavy before it must."""

import argparse
import importlib
import os
import re
import shlex
import subprocess
import sys
from concurrent.futures import BrokenExecutor
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile
from PIL import Image

from thesislib.audio import read_audio
from thesislib.cli import build_parser, main
from thesislib.export.openxbow import read_codebook
from thesislib.reporting.notebooks import read_parameters
from thesislib.representations.deep_spectrum import DeepSpectrum
from thesislib.spectra.plot import AudioPlot
from thesislib.spectra.spectrogram import Spectrum


@pytest.fixture
def clips(tmp_path):
    root = tmp_path / "clips"
    for i in range(4):
        path = root / "ab"[i % 2] / f"{i}.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, 0.1 * np.random.default_rng(i).normal(size=6000), 8000)
    return root


def run(*arguments):
    return main([str(argument) for argument in arguments])


def features(*arguments):
    return run("features", *arguments, "--store", "none", "--jobs", 1, "--n-mels", 4)


def test_help_needs_no_heavy_import():
    code = (
        "import sys\n"
        "from thesislib.cli import build_parser, main\n"
        "for arguments in (['--help'], ['features', '--help'], ['bag', '--help']):\n"
        "    try:\n"
        "        main(arguments)\n"
        "    except SystemExit as error:\n"
        "        assert error.code == 0\n"
        "heavy = {'torch', 'librosa', 'numpy', 'pandas', 'sklearn', 'matplotlib', 'opensmile'}\n"
        "print('loaded:', sorted(heavy & set(sys.modules)))\n"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.endswith("loaded: []\n")
    for command in ("run", "list", "compare", "plot", "features", "bag", "corpus", "weights"):
        assert f"    {command} " in found.stdout


def test_features_that_are_all_good(clips, tmp_path, capsys):
    out = tmp_path / "out.csv"
    assert features(clips, "-r", "band-statistics", "-o", out, "--labels", "folder") == 0
    printed = capsys.readouterr()
    assert printed.out == f"{out}: 4 clips, 4 rows, 8 features\n"
    assert printed.err == ""
    assert pd.read_csv(out)["label"].tolist() == list("aabb")


def test_features_with_bad_files(clips, tmp_path, capsys):
    (clips / "a" / "empty.wav").touch()
    (clips / "b" / "text.wav").write_text("no audio")
    (clips / "b" / "read.me").touch()
    out = tmp_path / "out.csv"
    assert features(clips, "-r", "band-statistics", "-o", out) == 1
    assert len(pd.read_csv(out)) == 4
    remark, summary, first, second = capsys.readouterr().err.splitlines()
    assert remark == "remark: left out 1 other files (1 .me)"
    assert summary == "thesis features: 2 of 6 files are not in the table:"
    assert first == "  - a/empty.wav: found an empty file (0 bytes), expected audio"
    assert second.startswith("  - b/text.wav: found no readable audio")
    out.unlink()
    assert features(clips, "-r", "band-statistics", "-o", out, "--on-error", "raise") == 1
    assert not out.exists()
    assert features(clips / "a" / "empty.wav", "-r", "band-statistics", "-o", out) == 1
    assert "1 of 1 files cannot be used; no table was written" in capsys.readouterr().err


def test_features_of_many_stubs_name_the_first_ones(tmp_path, capsys):
    for i in range(20):
        (tmp_path / f"{i:02d}.wav").write_text("version https://git-lfs.github.com/spec/v1\n")
    assert features(tmp_path, "-r", "band-statistics", "-o", tmp_path / "out.csv") == 1
    summary, line = capsys.readouterr().err.splitlines()
    assert summary.startswith("thesis features: 20 of 20 files cannot be used")
    assert line.startswith(
        "  - 00.wav: found a Git LFS pointer, expected audio (git lfs pull) (and"
    )
    assert line.endswith("(and 19 more: 01.wav, 02.wav, …)")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["-r", "IS9"], "did you mean 'IS09'"),
        (["-r", "band-statistics", "--network", "vgg16"], "network: found for band-statistics"),
        (["-r", "band-statistics", "--chunk-hop", "1"], "hop_s: found 1.0 without chunk_s"),
        (["-r", "band-statistics", "--labels", "none.csv"], "none.csv: cannot be read"),
        (["-r", "band-statistics", "-p", "n_band=4"], "did you mean 'n_bands'"),
    ],
)
def test_features_with_wrong_options(clips, tmp_path, capsys, arguments, message):
    assert features(clips, "-o", tmp_path / "out.csv", *arguments) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out.csv").exists()


def test_features_options_reach_where_they_belong(clips, tmp_path):
    out, plots = tmp_path / "out.csv", tmp_path / "plots"
    arguments = (
        "-r deep-spectrum --network squeezenet1_1 --layer logits --layer features.3.squeeze "
        "--weights random --preprocessing imagenet --seed 3 --style deepspectrum --kind mel "
        "--delta --n-fft 128 --colour-map hot --size 64 --sr 4000 --channel left --start 0.1 "
        "--end 0.6 --chunk 0.3 --chunk-hop 0.2 --last drop --label 2 -p batch_size=2 --quiet"
    )
    assert features(clips, "-o", out, "--save-plots", plots, *arguments.split()) == 0
    table = pd.read_csv(out)
    assert table["start_s"].tolist() == pytest.approx([0.1, 0.3] * 4)
    assert (table["label"] == 2).all()
    spectrum = Spectrum.deepspectrum("mel", n_mels=4, delta=True, n_fft=128, hop_s=None)
    plot = AudioPlot(spectrum, colour_map="hot", style="deepspectrum", size_px=64)
    y, sr = read_audio(clips / "a" / "0.wav", sr=4000, start_s=0.1, end_s=0.6)
    picture = plot(y[:1200], sr=sr)
    with Image.open(plots / "a" / "0.wav.0000.png") as kept:
        assert np.array_equal(kept, picture)
    layers = ["logits", "features.3.squeeze"]
    network = DeepSpectrum("squeezenet1_1", layers, "random", batch_size=2, random_state=3)
    expected = network.transform(picture[None])[0]
    assert np.array_equal(table.iloc[0, 4:-1].to_numpy(np.float32), expected)


def read_bags(path):
    table = pd.read_csv(path, sep=";", quotechar="'", index_col=0)
    return table.index.tolist(), table.to_numpy(np.float32)


def test_frames_bag_and_codebook(clips, tmp_path, capsys):
    frames, bags, again, book = (
        tmp_path / n for n in ("frames.csv", "bags.csv", "again.csv", "cb")
    )
    options = ("--store", "none", "--jobs", 1, "--openxbow", "--quiet")
    assert run("features", clips, "-r", "mfcc39", "-o", frames, *options) == 0
    learnt = "--size 6 --n-assign 2 --sampling kmeans --scale zscore --log --norm l2 --seed 1"
    assert run("bag", frames, "-o", bags, "--save-codebook", book, *learnt.split()) == 0
    assert run("bag", frames, "-o", again, "--codebook", book, "--norm", "l2") == 0
    assert bags.read_bytes() == again.read_bytes()
    names, found = read_bags(bags)
    assert names == ["a/0.wav", "a/2.wav", "b/1.wav", "b/3.wav"]
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 6, rtol=1e-6)  # times the bins
    bag = read_codebook(book)
    assert (bag.codebook_size, bag.n_assign, bag.scale, bag.log) == (6, 2, "zscore", True)
    capsys.readouterr()
    assert run("bag", frames, "-o", again, "--codebook", book, "--size", 7) == 2
    assert "codebook: found beside codebook_size" in capsys.readouterr().err
    assert run("bag", tmp_path / "none.csv", "-o", again) == 2
    assert "none.csv: cannot be read" in capsys.readouterr().err
    assert run("bag", frames, "-o", again, "--size", 2, "--n-assign", 3) == 2
    assert "n_assign: found 3" in capsys.readouterr().err


def test_bag_counts_plainly_unless_asked_otherwise(clips, tmp_path):
    frames, bags = tmp_path / "frames.csv", tmp_path / "bags.csv"
    frames.write_text("'a';0.0\n'a';1.0\n'a';1.0\n'b';0.0\n")
    assert run("bag", frames, "-o", bags, "--size", 2, "--n-assign", 1) == 0
    _, found = read_bags(bags)
    assert sorted(found[0]) == [1, 2]
    assert sorted(found[1]) == [0, 1]


def test_bag_of_two_streams_without_far_words(clips, tmp_path):
    frames, bags = tmp_path / "frames.csv", tmp_path / "bags.csv"
    frames.write_text("'a';0;0;5\n'a';1;1;5\n'b';0;0;8\n'b';9;9;8\n")
    options = "--stream-widths 2 1 --size 2 --n-assign 2 --scale none --off 2"
    assert run("bag", frames, "-o", bags, *options.split()) == 0
    names, found = read_bags(bags)
    assert names == ["a", "b"]
    assert found.shape == (2, 4)
    assert sorted(found[:, 2:].tolist()) == [[0, 2], [2, 0]]
    assert found[:, :2].sum() in (4, 6)  # of 8, by which words were drawn


@pytest.mark.parametrize("style", ["thesis", "deepspectrum"])
def test_plot_as_picture_and_as_array(clips, tmp_path, style):
    png, npy = tmp_path / "plot.png", tmp_path / "plot.npy"
    options = f"--style {style} --kind mel --n-mels 16 --colour-map magma --n-fft 256 --delta"
    clip = clips / "a" / "0.wav"
    for path in (png, npy):
        assert run("plot", clip, "-o", path, *options.split()) == 0
    size = 387 if style == "thesis" else 227
    found = np.load(npy, allow_pickle=False)
    assert (found.shape, found.dtype) == ((size, size, 3), np.uint8)
    with Image.open(png) as picture:
        assert np.array_equal(picture, found)
    segment = "--size 32 --start 0.1 --end 0.5 --kind spectrogram --frequency-axis log"
    assert run("plot", clip, "-o", npy, *segment.split()) == 0
    assert np.load(npy, allow_pickle=False).shape == (32, 32, 3)


@pytest.mark.parametrize("kind", ["mel", "chroma"])
def test_another_frequency_axis_has_no_effect_where_the_kind_has_its_own(
    clips, tmp_path, capsys, kind
):
    drawn = set()
    for axis in ("linear", "log", "mel"):
        out = tmp_path / f"{axis}.png"
        options = ("--kind", kind, "--n-mels", 16, "--frequency-axis", axis)
        assert run("plot", clips / "a" / "0.wav", "-o", out, *options) == 0
        drawn.add(out.read_bytes())
        remark = f"remark: frequency_axis {axis!r} has no effect"
        assert (remark in capsys.readouterr().err) is (axis != "linear")
    assert len(drawn) == 1


@pytest.mark.parametrize("suffix", ["csv", "tsv"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("header", [["filename", "class"], ["Audio", "class"], None])
def test_tables_of_labels_as_people_have_them(clips, tmp_path, suffix, delimiter, header):
    rows = [header] * (header is not None) + [[f"{i}.wav", "ab"[i % 2]] for i in range(4)]
    table, out = tmp_path / f"labels.{suffix}", tmp_path / "out.csv"
    table.write_text("".join(f"{delimiter.join(row)}\n" for row in rows))
    assert features(clips, "-r", "band-statistics", "-o", out, "--labels", table, "--quiet") == 0
    assert pd.read_csv(out)["class" if header else "label"].tolist() == list("aabb")


def test_a_network_without_deepspectrum_s_preprocessing_is_told_what_to_use(
    clips, tmp_path, capsys
):
    options = ("--network", "resnet18", "--weights", "random", "--preprocessing", "deepspectrum")
    assert features(clips, "-r", "deep-spectrum", "-o", tmp_path / "out.csv", *options) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "found 'deepspectrum' for resnet18, expected 'imagenet'" in line


def list_commands(parser=None):
    """Every command and action, by name."""
    parser = parser or build_parser()
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            return {k: v for p in action.choices.values() for k, v in list_commands(p).items()}
    return {parser.prog: parser}


@pytest.mark.parametrize("name", list_commands())
def test_every_option_is_explained_and_the_examples_are_accepted(name):
    command = list_commands()[name]
    assert command.description and command.epilog.startswith("example")
    assert all(action.help for action in command._actions)
    examples = re.findall(r"^  thesis (.*)", command.epilog, re.M)
    assert examples
    for example in examples:
        build_parser().parse_args(shlex.split(example))


def test_without_a_command_it_prints_what_people_do(capsys):
    assert run() == 0
    examples = re.findall(r"^    thesis (.*)", capsys.readouterr().out, re.M)
    assert len(examples) == 5
    for example in examples:
        assert build_parser().parse_args(example.split()).command == example.split()[0]


def test_a_command_called_from_python_leaves_the_environment(clips):
    before = dict(os.environ)
    assert main(["corpus", "check", str(clips)]) in (0, 1, 2)
    assert dict(os.environ) == before


@pytest.mark.parametrize(("name", "code"), [("04_1_audio_plots", 0), ("no such", 2)])
@pytest.mark.parametrize("closed", [">&-", "2>&-"])
def test_a_closed_stream_is_no_fault(name, code, closed):
    command = f"{shlex.quote(sys.executable)} -m thesislib show '{name}' {closed}"
    assert subprocess.run(command, shell=True, capture_output=True).returncode == code


def test_the_functions_of_all_commands_exist():
    for name, command in list_commands().items():
        module, _, attribute = command.get_default("function").partition(":")
        assert callable(getattr(importlib.import_module(module), attribute)), name


def test_an_option_of_another_command_is_reported_by_its_own(capsys):
    with pytest.raises(SystemExit, match="2"):
        run("plot", "a.wav", "-o", "a.png", "--axles")
    line = "thesis plot: unrecognized arguments: --axles; see thesis plot --help\n"
    assert capsys.readouterr().err == line


def test_show_explains_every_parameter(capsys):
    assert run("show", "10_2_snore") == 0
    printed = capsys.readouterr().out
    for name in read_parameters("10_2_snore"):
        assert re.search(rf"^{name} \((str|int|float|list|dict)\)", printed, re.M)
    assert "seed (int): of the bootstrap and the synthetic corpus\n    demo    0" in printed
    assert re.search(
        r"^weights .*\n    demo    {}\n    paper   {\"alexnet\": \"imagenet\"", printed, re.M
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["a/0.wav", "-o", "plot.jpg"], "expected one of .png, .npy"),
        (["a/9.wav", "-o", "plot.png"], "9.wav: found no such file"),
        (["a/0.wav", "-o", "plot.png", "--colour-map", "magmma"], "did you mean 'magma'"),
        (["a/0.wav", "-o", "plot.png", "--start", "9"], "0.wav: segment found from 9.0 s"),
        (["a/0.wav", "-o", "plot.png", "--n-fft", "99999"], "0.wav: "),
        (["a/0.wav", "-o", "plot.png", "--size", "0"], "size_px: found 0"),
    ],
)
def test_plot_with_wrong_input(clips, capsys, monkeypatch, arguments, message):
    monkeypatch.chdir(clips)
    assert run("plot", *arguments) == 2
    assert message in capsys.readouterr().err
    assert not Path("plot.png").exists()


def write_index(root, rows):
    pd.DataFrame(rows, columns=["file", "label", "partition"]).to_csv(
        root / "index.csv", index=False
    )


def test_corpus_check_of_a_good_folder(clips, capsys):
    rows = [["a/0.wav", "a", "train"], ["b/1.wav", "b", "train"]]
    rows += [["a/2.wav", "a", "test"], ["b/3.wav", "b", "test"]]
    write_index(clips, rows)
    assert run("corpus", "check", clips) == 0
    printed = capsys.readouterr().out
    assert "clips: 4 rows, 2 classes, stand-in" in printed
    assert "no problems found" in printed
    assert "serves: 04_1_audio_plots" in printed
    assert "does not serve 08_2_rare_events: found labels a, b" in printed


def test_corpus_check_counts_domains_by_class(clips, capsys):
    text = "file,label,domain\na/0.wav,x,one\nb/1.wav,y,one\na/2.wav,x,two\nb/3.wav,y,one\n"
    (clips / "index.csv").write_text(text)
    assert run("corpus", "check", clips) == 0
    out = capsys.readouterr().out
    assert "2 domains; by class: x 2, y 1" in out
    assert "remark: class 'y' comes from one domain (one): a score can come from" in out


def test_corpus_check_tells_every_problem(clips, capsys):
    (clips / "a" / "2.wav").write_text("no audio")
    rows = [["a/0.wav", "a", "train"], ["b/1.wav", "b", "train"]]
    rows += [["a/2.wav", "a", "test"], ["b/9.wav", "a", "test"]]
    write_index(clips, rows)
    assert run("corpus", "check", clips) == 2
    printed = capsys.readouterr().out
    assert printed.count("problem: ") == 3
    assert "a/2.wav: found no readable audio" in printed
    assert "b/9.wav: found no such file" in printed
    assert "partition 'test': found no clip of class b" in printed


def test_corpus_check_of_no_corpus(tmp_path, capsys):
    assert run("corpus", "check", tmp_path) == 2
    assert "found no index.csv" in capsys.readouterr().err
    assert run("corpus", "check", tmp_path / "none") == 2
    assert "found nothing, expected the folder of a corpus" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (PermissionError(13, "Permission denied", "/a/b"), "/a/b: Permission denied"),
        (OSError("no device"), "no device"),
        (BrokenExecutor("lost"), "found a worker process that died, expected enough memory"),
    ],
)
def test_errors_of_the_system_are_one_line(tmp_path, capsys, monkeypatch, error, reason):
    def refuse(*_, **__):
        raise error

    monkeypatch.setattr("thesislib.export.plot.plot_file", refuse)
    assert run("plot", tmp_path / "a.wav", "-o", tmp_path / "a.png") == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"thesis plot: {reason}")


def test_a_defect_gives_a_traceback(tmp_path, monkeypatch):
    monkeypatch.setattr("thesislib.export.plot.plot_file", lambda *_, **__: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        run("plot", tmp_path / "a.wav", "-o", tmp_path / "a.png")


@pytest.mark.parametrize("module", ["thesislib", "thesislib.cli"])
def test_it_runs_as_a_module(tmp_path, module):
    code = [sys.executable, "-m", module, "corpus", "check", str(tmp_path)]
    done = subprocess.run(code, capture_output=True, text=True)
    assert done.returncode == 2
    assert "found no index.csv" in done.stderr


def test_a_home_without_a_place_for_settings_causes_no_message(clips, tmp_path):
    (tmp_path / "home").touch()
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("MPL", "XDG_"))}
    command = [sys.executable, "-m", "thesislib", "plot", str(clips / "a" / "0.wav"), "-o"]
    done = subprocess.run(
        [*command, str(tmp_path / "plot.png")],
        capture_output=True,
        text=True,
        env=environment | {"HOME": str(tmp_path / "home" / "x")},
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_modules_in_the_working_folder_are_not_imported(clips, tmp_path):
    (tmp_path / "random.py").write_text("raise SystemExit('imported')")
    arguments = ["features", str(clips), "-r", "band-statistics", "--n-mels", "4", "--jobs", "2"]
    arguments += ["-o", "out.csv", "--store", "none"]
    command = [sys.executable, "-m", "thesislib", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "out.csv: 4 clips, 4 rows, 8 features\n"


def test_few_open_files_leave_one_process_and_a_remark(clips, tmp_path):
    arguments = ["features", str(clips), "-r", "band-statistics", "--n-mels", "4", "--jobs", "2"]
    arguments += ["-o", str(tmp_path / "out.csv"), "--store", "none"]
    code = (
        "import resource, sys; resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))\n"
        "from thesislib.cli import main; sys.exit(main(sys.argv[1:]))"
    )
    command = [sys.executable, "-c", code, *arguments]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0
    assert done.stderr == "remark: no worker processes: Too many open files (ulimit -n)\n"


def test_a_missing_argument_is_named_in_one_line(capsys):
    with pytest.raises(SystemExit, match="2"):
        run("features", "clips")
    (line,) = capsys.readouterr().err.splitlines()
    assert "-r/--representation" in line and line.endswith("see thesis features --help")
