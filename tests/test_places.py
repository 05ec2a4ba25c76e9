"""Values from YAML and JSON: what is plain is read, all else is one line."""

import subprocess
import sys

import pytest

from thesislib.cli import main
from thesislib.corpora import folder
from thesislib.errors import CorpusError, ParameterError
from thesislib.places import parse_plain, read_plain

BOMB = "a0: &a0 [x]\n" + "".join(
    f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 9)
)


@pytest.mark.parametrize(
    "text",
    [
        "&a [*a]",
        BOMB,
        "[" * 5000 + "]" * 5000,
        "{a: " * 5000,
        "!!timestamp x",
        "!!bool x",
        "2020-13-45",
        "!!python/object/apply:os.getcwd []",
        "? [a]\n: b",
        "1" * 5000,
        "a: b: c",
        "\x00",
    ],
)
def test_what_is_not_plain_is_one_line(text):
    with pytest.raises(ParameterError, match=r"^seed: found [^\n]*$"):
        parse_plain(text, where="seed")
    with pytest.raises(SystemExit):
        main(["run", "10_2_snore", "-p", f"seed={text}"])


def test_aliases_that_are_not_nested_can_be_allowed():
    assert parse_plain("[&a [1, 2], *a]", where="list", aliases=True) == [[1, 2], [1, 2]]
    for text in (BOMB, "&a [*a]"):
        with pytest.raises(ParameterError, match="found an alias"):
            parse_plain(text, where="list", aliases=True)


def test_a_description_is_plain_or_named(tmp_path):
    path = tmp_path / "corpus.json"
    for content in (b"[" * 5000, b"\xff\xfe{", b"{", b"9" * 5000):
        path.write_bytes(content)
        with pytest.raises(CorpusError, match=r"corpus\.json: found no plain text values [^\n]*$"):
            folder.read_description(tmp_path)
    with pytest.raises(ParameterError, match=r"none\.yaml: cannot be read \(No such file"):
        read_plain(tmp_path / "none.yaml", error=ParameterError)


@pytest.mark.parametrize("variables", [{"LC_ALL": "C", "PYTHONUTF8": "0"}, {"LC_ALL": "C.UTF-8"}])
def test_names_of_files_are_utf_8_in_any_locale(tmp_path, variables):
    root = tmp_path / "dİr"
    root.mkdir()
    (root / "index.csv").write_text("file,label\nİ0.wav,ü\n", encoding="utf-8")
    command = [sys.executable, "-m", "thesislib", "corpus", "check"]
    import os

    shown = subprocess.run(
        [*command, os.fsencode(root)], env=os.environ | variables, capture_output=True
    )
    assert b"Traceback" not in shown.stderr
    assert "row 1: İ0.wav: found no such file" in shown.stdout.decode()
