"""The page for users of DeepSpectrum, auDeep, openXBOW: its commands run, its options exist."""

import ast
import importlib.util
import re
import shlex
from pathlib import Path

import numpy as np
import pytest
import soundfile

from thesislib.cli import build_parser

DOCS = Path(__file__).parents[1] / "docs"


@pytest.fixture(scope="module")
def script():
    spec = importlib.util.spec_from_file_location("try_mapping", DOCS / "try_mapping.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def audio(tmp_path_factory):
    """Two classes of four recordings of a second."""
    root = tmp_path_factory.mktemp("page") / "recordings"
    rng, t = np.random.default_rng(0), np.arange(8000) / 8000
    for i in range(8):
        path = root / ("hum", "hiss")[i % 2] / f"{i}.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        tone = 0.2 * np.sin(2 * np.pi * (150 + 10 * i) * t) * (i % 2 == 0)
        soundfile.write(path, tone + 0.05 * rng.normal(size=8000), 8000)
    return root


def options_of(command):
    """Options that a command of ours knows."""
    (commands,) = (a for a in build_parser()._actions if a.dest == "command")
    return set(commands.choices[command]._option_string_actions)


def test_the_page_names_options_that_are_there():
    page = (DOCS / "from_other_tools.md").read_text("utf-8")
    known = options_of("features") | options_of("bag") | options_of("run")
    rows = re.findall(r"^\| (?!-|\*)?([^|]*) \| ([^|]*) \|", page, re.M)
    named = {word for _, ours in rows for word in re.findall(r"--[a-z][a-z-]*|-[op] ", ours)}
    assert len(named) > 40
    assert {word.strip() for word in named} <= known


def test_every_command_of_the_page_is_understood(script, audio):
    commands = script.read_commands()
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


def test_the_commands_of_openxbow_run(script, audio, tmp_path):
    """Those that need no network, in this process."""
    commands = script.read_commands()
    pattern = re.compile(r"thesis bag|openxbow|mfcc39|frames\.arff")
    chosen = [text for _, text in commands if pattern.search(text)]
    assert len(chosen) == 7
    # Worker processes would take longer to start than the work does.
    commands = [commands[0]] + [
        (kind, f"{text} --jobs 1" if text.startswith("thesis features") else text)
        for kind, text in commands
        if text in chosen
    ]
    said, work = [], tmp_path / "work"
    failed = script.try_all(audio, work, commands, run=script.run_here, report=said.append)
    assert failed == [], "\n".join(said)
    written = {path.name for path in work.iterdir()}
    expected = {"bags.csv", "again.csv", "segments.csv", "bags.libsvm", "loud.csv", "arff_bags.csv"}
    assert expected <= written
    assert (work / "bags.csv").read_bytes() == (work / "again.csv").read_bytes()


def test_a_command_that_fails_is_told(script, audio, tmp_path):
    said = []
    commands = [("python", "open('a.txt', 'w').write('x' * 1500)\n"), ("python", "1 / 0\n")]
    assert script.try_all(audio, tmp_path / "work", commands, report=said.append) == [2]
    assert "exit 0" in said[0]
    assert "a.txt 2 kB" in said[0]
    assert "exit 1" in said[1]
    assert "nothing written" in said[1]
    assert "ZeroDivisionError" in said[2]
    assert said[3] == "1 of 2 commands failed"


@pytest.mark.slow
def test_every_command_of_the_page_runs(script, audio, tmp_path):
    said = []
    failed = script.try_all(audio, tmp_path / "work", run=script.run_here, report=said.append)
    assert failed == [], "\n".join(said)
    idle = [line for line in said if "nothing written" in line]
    assert len(idle) == 1
    assert "thesis corpus check" in idle[0]
