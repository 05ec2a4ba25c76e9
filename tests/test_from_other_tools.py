"""The page for users of DeepSpectrum, auDeep, openXBOW: its commands run, its options exist.

The peers' own commands are written here, in their options. The tables of the page translate them.
"""

import ast
import contextlib
import importlib
import io
import re
import shlex
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile
from sklearn.model_selection import StratifiedKFold

from thesislib.cli import build_parser, main
from thesislib.evaluation import evaluate_folds
from thesislib.evaluation.mlp import MLP

PAGE = (Path(__file__).parents[1] / "docs/from_other_tools.md").read_text("utf-8")
#: What the page says of names: networks, layers, keywords with a value of their own.
NAMES = {"squeezenet": "squeezenet1_1", "fc1": "fc6", "fc2": "fc7"}


def read_commands():
    """Commands of the page in order: ``(kind, text)``; ``sh`` is a line, ``python`` a block."""
    commands = []
    for kind, block in re.findall(r"^```(sh|python)\n(.*?)^```$", PAGE, re.M | re.S):
        lines = block.replace("\\\n", " ").splitlines() if kind == "sh" else [block]
        commands += [(kind, line) for line in lines]
    return commands


def read_tables(tool):
    """Tables of a tool on the page: the peer's options and ours."""
    section = PAGE.split(f"\n## {tool}\n")[1].split("\n## ")[0]
    options = {}
    for peer, ours in re.findall(r"^\| (.+?) \| (.+?) \|", section, re.M):
        ours = re.findall(r"`([^`]+)`", ours) if ours.startswith("`") else []
        for i, code in enumerate(re.findall(r"`([^`]+)`", peer)):
            option, *names = code.split()
            if not option.startswith("-"):  # `-norm 1`, `2`, `3`: `--norm frames`, `tf`, `l2`
                code, option = f"{option} ", f"-norm {option}"
            elif names and not names[0].isupper():
                option = code  # `-c random`
            parts = ours[min(i, len(ours) - 1)] if ours else None
            if parts and not parts.startswith("-") and i:
                parts = f"{ours[0].split()[0]} {parts}"
            options.setdefault(option, (names if names and names[0].isupper() else [], parts))
    return options


def translate(tool, command, skipped=()):
    """Our arguments for a peer's, through the tables; an option without equivalent is an error."""
    tables, words, translated = read_tables(tool), shlex.split(command), []
    while words:
        option, values = words.pop(0), []
        while words and not re.match(r"-\D", words[0]):
            values.append(words.pop(0))
        if option in skipped:
            assert not (tables[option][1] or "").startswith("-")
            continue
        key = " ".join([option, *values])
        names, ours = tables.get(key) or tables[option]
        assert ours, f"{tool} {option}: the page has no equivalent"
        if key not in tables:
            values = [NAMES.get(value, value) for value in values]
            for name, value in zip(names, values):
                ours = re.sub(rf"\b{name}\b", value, ours)
            ours += "" if names or not values else " " * (ours[-1] != "=") + " ".join(values)
        translated += shlex.split(ours)
    return translated


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    """Folder with ``audio``: two classes of six recordings of two seconds."""
    folder = tmp_path_factory.mktemp("page")
    rng, t = np.random.default_rng(0), np.arange(16000) / 8000
    for i in range(12):
        path = folder / "audio" / ("hum", "hiss")[i % 2] / f"{i}.{('wav', 'flac')[i % 3 == 0]}"
        path.parent.mkdir(parents=True, exist_ok=True)
        tone = 0.2 * np.sin(2 * np.pi * (150 + 10 * i) * t) * (i % 2 == 0)
        soundfile.write(path, tone + 0.05 * rng.normal(size=16000), 8000)
    return folder


@pytest.fixture
def run(work, monkeypatch):
    """Run a command, or a block of the page, in the folder; returns what it printed."""
    monkeypatch.chdir(work)
    monkeypatch.setenv("THESIS_STORE", str(work / "store"))

    def run(*arguments, kind="sh"):
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
            if kind == "python":
                exec(compile(arguments[0], "from_other_tools.md", "exec"), {"__name__": "__main__"})
                code = 0
            else:
                # Worker processes would take longer to start than the work does.
                jobs = ["--jobs", "1"] if arguments[0] == "features" else []
                code = main([str(word) for word in [*arguments, *jobs]])
        assert code == 0, f"{arguments}: {printed.getvalue()}"
        return printed.getvalue()

    return run


def options_of(command):
    """Options that a command of ours knows."""
    (commands,) = (a for a in build_parser()._actions if a.dest == "command")
    return set(commands.choices[command]._option_string_actions)


def test_the_page_names_options_that_are_there():
    known = options_of("features") | options_of("bag") | options_of("run")
    rows = re.findall(r"^\| (?!-|\*)?([^|]*) \| ([^|]*) \|", PAGE, re.M)
    named = {word for _, ours in rows for word in re.findall(r"--[a-z][a-z-]*|-[op] ", ours)}
    assert len(named) > 40
    assert {word.strip() for word in named} <= known


def test_every_command_of_the_page_is_understood():
    commands = read_commands()
    assert len(commands) > 25
    for kind, text in commands:
        if kind == "python":
            for node in ast.walk(ast.parse(text, "from_other_tools.md")):
                if isinstance(node, ast.ImportFrom) and node.module.startswith("thesislib"):
                    module = importlib.import_module(node.module)
                    assert all(hasattr(module, alias.name) for alias in node.names), text
        else:
            name, *arguments = shlex.split(text)
            assert name == "thesis"
            build_parser().parse_args(arguments)


def test_the_tables_are_read():
    command = "-t 1 0.5 -en squeezenet -m mel -nl"
    ours = "--chunk 1 --chunk-hop 0.5 --network squeezenet1_1 --kind mel".split()
    assert translate("DeepSpectrum", command, skipped=["-nl"]) == ours
    with pytest.raises(AssertionError, match="-nl: the page has no equivalent"):
        translate("DeepSpectrum", command)
    command = "-c kmeans++ -norm 2 -size 20 -B book"
    ours = "--sampling kmeans --norm tf --size 20 --save-codebook book".split()
    assert translate("openXBOW", command) == ours
    command = "--num-layers 2 --bidirectional-decoder --mel-spectrum 128 --fixed-length 5"
    ours = "-p n_layers=2 -p bidirectional_decoder=true --n-mels 128 --chunk 5 --last pad".split()
    assert translate("auDeep", command) == ours


@pytest.mark.slow
def test_every_command_of_the_page_runs(run, work):
    idle = []
    for kind, text in read_commands():
        before = {path: path.stat().st_mtime_ns for path in work.iterdir()}
        run(*(shlex.split(text)[1:] if kind == "sh" else [text]), kind=kind)
        after = {path: path.stat().st_mtime_ns for path in work.iterdir()}
        idle += [text] if before == after else []
    assert idle == ["thesis corpus check ."]
    bags = (work / "bags.csv").read_bytes()
    assert bags == (work / "again.csv").read_bytes()


#: DeepSpectrum's options in its command-line tests, on our recordings.
DEEP_SPECTRUM = {
    "file level": "-np 2 -cm viridis -o features.csv -so plots -en squeezenet -sr 8000 -m mel"
    " -fs mel",
    "single file": "-np 2 -cm viridis -o single.csv -so plots -en alexnet -sr 8000 -m mel -fs mel"
    " -fl fc7",
    "time-continuous": "-np 2 -cm twilight -o continuous.csv -en vgg16 -sr 8000 -m chroma -t 1 1"
    " -tc -s 0 -e 2 -lf labels.csv -fl fc1",
    "plot": "-np 2 -cm twilight -o plot.csv -so plots -sr 8000 -m mel -fs log -ppdfs -d 1 -wo cut"
    " -t 1 1 -fql 3000",
}


@pytest.mark.slow
@pytest.mark.parametrize("name", DEEP_SPECTRUM)
def test_deep_spectrum_s_commands(run, work, name):
    files = sorted(path.relative_to(work / "audio") for path in work.glob("audio/*/*.*"))
    audio = f"audio/{files[0]}" if name == "single file" else "audio"
    # Its example: a header `filename`, names without folders.
    rows = [f"{path.name},{path.parent}" for path in files]
    (work / "labels.csv").write_text("\n".join(["filename,class", *rows]))
    base = ["-r", "deep-spectrum", "--style", "deepspectrum", "--weights", "random"]
    labels = ["--label", "hiss"] if name == "single file" else ["--labels", "folder"]
    labels = [] if "-lf" in DEEP_SPECTRUM[name] else labels
    skipped = ("-ppdfs", "-tc")
    ours = translate("DeepSpectrum", DEEP_SPECTRUM[name], skipped)
    run("features", audio, *base, *labels, *ours)
    table = pd.read_csv(work / ours[ours.index("-o") + 1])
    n_chunks = 2 if "-t" in DEEP_SPECTRUM[name] else 1
    assert len(table) == n_chunks * (1 if name == "single file" else len(files))
    assert set(table.iloc[:, -1]) <= {"hum", "hiss"}
    if name == "plot":
        assert len(list((work / "cut").rglob("*.wav"))) == len(table)


@pytest.mark.slow
def test_deep_spectrum_s_parsers_and_images(run, work):
    """`features-with-parser`: a known layout; `image-features`: the block of the page."""
    corpus = work / "package"
    (corpus / "wav").mkdir(parents=True)
    for i, part in enumerate(("train", "devel", "test") * 4):
        noise = np.random.default_rng(i).normal(0, 0.1, 8000)
        soundfile.write(corpus / "wav" / f"{part}_{i // 3:04d}.wav", noise, 8000)
    (corpus / "lab").mkdir()
    names = sorted(path.name for path in (corpus / "wav").iterdir())
    labels = pd.DataFrame({"file_name": names, "label": ["VOTE"[i % 4] for i in range(len(names))]})
    labels.to_csv(corpus / "lab" / "ComParE2017_Snore.tsv", sep="\t", index=False)
    printed = run("corpus", "check", corpus)
    assert "no problems found" in printed
    (block,) = (text for kind, text in read_commands() if "images.csv" in text)
    run("features", work / "audio", *"-r deep-spectrum --weights random -o x.csv".split(),
        *"--network squeezenet1_1 --save-plots plots".split())  # fmt: skip
    run(block, kind="python")
    assert len(pd.read_csv(work / "images.csv")) == len(list((work / "plots").rglob("*.png")))


#: openXBOW's options in its tutorial and tests, on frames of ours; what it has by default first.
OPENXBOW = {
    "csv": "-i frames.csv -o csv.csv -size 50",
    "arff": "-i frames.arff -o arff.csv -size 50",
    "arff with labels": "-i labelled.arff -o labelled.csv -size 50",
    "assignments": "-i labelled.arff -o bow.csv -size 30 -a 10",
    "learn": "-i labelled.arff -o learnt.csv -a 5 -c kmeans++ -size 20 -B codebook",
    "use": "-i labelled.arff -o used.csv -a 5 -b codebook",
    "streams": "-i frames.csv -o streams.csv -attributes nt1[5]2[5] -size 20 -writeName",
    "weights": "-i frames.csv -o weights.csv -size 20 -standardizeInput -log -idf -norm 3",
}
OPENXBOW_DEFAULTS = "--scale none --sampling random++ --n-assign 1".split()
SAME = {"arff": "csv", "arff with labels": "csv", "use": "learn"}


def test_openxbow_s_commands(run, work, rng):
    X = pd.DataFrame(rng.normal(size=(60, 10)).round(4)).add_prefix("a")
    names = pd.Series([f"clip{i // 10}" for i in range(60)], name="name")
    times = pd.Series([i % 10 / 10 for i in range(60)], name="time")
    table = pd.concat([names, times, X], axis=1)
    table.to_csv(work / "frames.csv", sep=";", index=False)
    header = ["@relation frames", "@attribute name string", "@attribute time numeric"]
    header += [f"@attribute a{i} numeric" for i in range(10)]
    rows = [",".join(map(str, row)) for row in table.to_numpy()]
    (work / "frames.arff").write_text("\n".join([*header, "@data", *rows]))
    header, rows = [*header, "@attribute class {x,y}"], [f"{row},x" for row in rows]
    (work / "labelled.arff").write_text("\n".join([*header, "@data", *rows]))
    bags = {}
    for name, command in OPENXBOW.items():
        source = re.search(r"-i (\S+)", command)[1]
        # The page's example has streams of 65 columns.
        ours = translate("openXBOW", command.replace("[5]", "[65]"), skipped=["-writeName", "-i"])
        ours = [word.replace("65", "5") for word in ours]
        defaults = [] if "-b" in command else OPENXBOW_DEFAULTS
        run("bag", source, *defaults, *ours)
        output = work / ours[ours.index("-o") + 1]
        bags[name] = pd.read_csv(output, sep=";", quotechar="'", index_col="name")
    assert all(len(bag) == 6 for bag in bags.values())
    assert bags["streams"].shape[1] == 40
    for name, other in SAME.items():
        pd.testing.assert_frame_equal(bags[name], bags[other])


#: auDeep's README, step by step, with short training.
AUDEEP = {
    "preprocess": "--basedir audio --window-width 0.08 --mel-spectrum 128 --fixed-length 2"
    " --clip-below -60",
    "train": "--num-epochs 2 --batch-size 64 --learning-rate 0.001 --num-layers 2 --num-units 8"
    " --bidirectional-decoder",
}


@pytest.mark.slow
def test_audeep_s_pipeline(run, work):
    assert "12" in run("corpus", "index", "audio")  # inspect raw
    spectra = translate("auDeep", AUDEEP["preprocess"], skipped=["--basedir"])
    # --window-overlap 0.04: the hop is the rest of the window; --keep-prob 0.8: dropout is 0.2.
    spectra += ["--hop", "0.04"]
    training = [*translate("auDeep", AUDEEP["train"]), "-p", "dropout=0.2"]
    training += ["-p", "dropout_on=inputs_and_outputs", "--save-model", "model.safetensors"]
    run("plot", next(work.glob("audio/*/*.wav")), "--kind", "mel", "-o", "pretend.png")
    labels = ["--labels", "folder"]
    run("features", "audio", "-r", "s2sae", *spectra, *training, *labels, "-o", "trained.csv")
    generate = [*spectra, *labels, "--model", "model.safetensors", "-o", "generated.csv"]
    run("features", "audio", "-r", "s2sae", *generate)
    trained, generated = (pd.read_csv(work / f"{name}.csv") for name in ("trained", "generated"))
    pd.testing.assert_frame_equal(trained, generated)
    X, y = generated.filter(like="s2sae").to_numpy(), generated["label"].to_numpy()
    folds = dict(enumerate(StratifiedKFold(2).split(X, y)))  # mlp evaluate --cross-validate
    result = evaluate_folds(X, y, folds, classifier=MLP(2, 150, dropout=0.6, n_epochs=5))
    assert len(result.nested.predicted) == 12
    shutil.rmtree(work / "csv", ignore_errors=True)
