"""The command ``thesis``. Only parsing here; heavy imports wait until a command needs them."""

import argparse
import sys
from pathlib import Path

from thesislib import __version__


def build_parser():
    """Parser of the command line."""
    parser = argparse.ArgumentParser(
        prog="thesis",
        description="Deep representation learning for audio, experiment by experiment.",
    )
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    _add_run(commands)
    _add_list(commands)
    _add_plot(commands)
    _add_corpus(commands)
    _add_weights(commands)
    return parser


def main(arguments=None):
    """Run a command; returns the exit code: 0, 1 (something failed) or 2 (wrong input)."""
    options = build_parser().parse_args(arguments)
    from thesislib.errors import ThesisError

    try:
        return options.function(options) or 0
    except ThesisError as error:
        print(f"thesis {options.command}: {error}", file=sys.stderr)
        return 1 if type(error).__name__ == "NotebookError" else 2
    except KeyboardInterrupt:
        print("interrupted; what is finished is kept", file=sys.stderr)
        return 130


def _assignment(text):
    """``name=value`` with the value as YAML, so that lists and numbers can be given."""
    import yaml

    name, equals, value = text.partition("=")
    if not equals or not name:
        raise argparse.ArgumentTypeError(f"found {text!r}, expected name=value")
    try:
        found = yaml.safe_load(value)
    except yaml.YAMLError as error:
        raise argparse.ArgumentTypeError(f"{name}: {error}") from error
    # YAML reads 1e-3 as text, since it lacks the dot.
    return name.strip(), _as_number(found)


def _as_number(value):
    if isinstance(value, list):
        return [_as_number(element) for element in value]
    if isinstance(value, str):
        try:
            return float(value)
        except ValueError:
            return value
    return value


def _add_run(commands):
    command = commands.add_parser("run", help="run experiments (notebooks) with papermill")
    command.add_argument("names", nargs="+", metavar="NAME", help="notebook, or 'all'")
    command.add_argument("--profile", default="demo", choices=["demo", "paper", "public"])
    command.add_argument("--corpus", metavar="DIR", help="folder of a corpus (default: synthetic)")
    command.add_argument(
        "-p",
        dest="parameters",
        action="append",
        default=[],
        type=_assignment,
        metavar="name=value",
        help="set a parameter of the notebook; may be given several times",
    )
    command.add_argument("--jobs", type=int, metavar="N", help="worker processes")
    command.add_argument("--quiet", action="store_true", help="no progress bars")
    command.set_defaults(function=_run)


def _run(options):
    from thesislib.runner import list_notebooks, run_all

    names = list_notebooks() if options.names == ["all"] else options.names
    failed = run_all(
        names,
        profile=options.profile,
        corpus=options.corpus,
        jobs=options.jobs,
        parameters=dict(options.parameters),
        progress=not options.quiet,
    )
    return 1 if failed else 0


def _add_list(commands):
    command = commands.add_parser("list", help="the experiments, and which have results")
    command.set_defaults(function=_list)


def _list(options):
    from thesislib.places import results_folder
    from thesislib.runner import PROFILES, list_notebooks, read_title

    for name in list_notebooks():
        done = [p for p in PROFILES if (results_folder() / p / name / "run.json").is_file()]
        print(f"{name:24} {read_title(name)}" + (f"  [{', '.join(done)}]" if done else ""))


def _add_plot(commands):
    command = commands.add_parser("plot", help="draw the audio plot of a recording")
    command.add_argument("audio", type=Path)
    command.add_argument("--style", default="thesis", choices=["thesis", "deepspectrum"])
    command.add_argument("--kind", default="spectrogram", choices=["spectrogram", "mel", "chroma"])
    command.add_argument("--delta", action="store_true", help="first-order deltas")
    command.add_argument("--frequency-axis", default="linear", choices=["linear", "log", "mel"])
    command.add_argument("--colour-map", default="viridis", metavar="NAME")
    command.add_argument("--n-mels", type=int, default=128, metavar="N")
    command.add_argument("--n-fft", type=int, metavar="N", help="window length in samples")
    command.add_argument("--size", type=int, metavar="PX", help="default: 387 or 227 by style")
    command.add_argument("--start", type=float, metavar="S")
    command.add_argument("--end", type=float, metavar="S")
    command.add_argument("-o", "--output", type=Path, required=True, metavar="FILE.png|.npy")
    command.set_defaults(function=_plot)


def _plot(options):
    import numpy as np

    from thesislib.audio import read_audio
    from thesislib.errors import ParameterError
    from thesislib.spectra.plot import DRAWN_PX, AudioPlot, write_png
    from thesislib.spectra.spectrogram import Spectrum
    from thesislib.store import write_atomically

    if options.output.suffix not in (".png", ".npy"):
        raise ParameterError(f"--output: found {options.output.name}, expected .png or .npy")
    preset = Spectrum.thesis if options.style == "thesis" else Spectrum.deepspectrum
    settings = {"delta": options.delta, "n_mels": options.n_mels}
    if options.n_fft is not None:
        settings |= {"n_fft": options.n_fft, "hop_length": max(1, options.n_fft // 2)}
    draw = AudioPlot(
        preset(options.kind, **settings),
        colour_map=options.colour_map,
        frequency_axis=options.frequency_axis,
        style=options.style,
        size_px=options.size or (DRAWN_PX if options.style == "thesis" else 227),
    )
    y, sr = read_audio(options.audio, start_s=options.start, end_s=options.end)
    plot = draw(y, sr=sr)
    if options.output.suffix == ".png":
        write_png(options.output, plot)
    else:
        with write_atomically(options.output) as temporary:
            np.save(temporary, plot, allow_pickle=False)


def _add_corpus(commands):
    command = commands.add_parser("corpus", help="check or fetch a corpus")
    actions = command.add_subparsers(dest="action", required=True, metavar="ACTION")
    check = actions.add_parser("check", help="report everything that is missing or wrong")
    check.add_argument("folder", type=Path, metavar="DIR")
    check.set_defaults(function=_corpus_check)


def _corpus_check(options):
    from thesislib.corpora import load_any

    corpus = load_any(options.folder)
    found = corpus.validate()
    print(f"{corpus.name}: {len(corpus)} rows, {len(corpus.classes)} classes, {corpus.kind}")
    print(corpus.counts("partition" if corpus.partitions else "fold").to_string())
    for remark in found.remarks:
        print(f"remark: {remark}")
    for problem in found.problems:
        print(f"problem: {problem}")
    if found.problems:
        return 2
    print("no problems found")
    return 0


def _add_weights(commands):
    command = commands.add_parser("weights", help="fetch ImageNet weights")
    actions = command.add_subparsers(dest="action", required=True, metavar="ACTION")
    fetch = actions.add_parser("fetch", help="download, check and convert to safetensors")
    fetch.add_argument("names", nargs="+", metavar="NETWORK")
    fetch.add_argument("--folder", type=Path, help="default: data/weights")
    fetch.set_defaults(function=_weights_fetch)


def _weights_fetch(options):
    from thesislib.places import weights_folder
    from thesislib.representations.weights import fetch_weights

    for path in fetch_weights(options.names, options.folder or weights_folder()):
        print(path)
