"""Plain words: the names and words that CONTRIBUTING.md rules out do not become more.

``python tests/test_words.py`` prints the counts of each part, ``python tests/test_words.py PART``
the places.
"""

import ast
import io
import json
import re
import sys
import tokenize
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

#: Variables are named after their content.
NAMES = {"found", "given", "made", "told", "asked", "said", "kept"}
#: Words of docstrings, comments and pages; a machine is allowed where it is a computer.
WORDS = re.compile(
    r"\b(?:answer(?:s|ed)?|pictures?|cannot be told|tells|asks"
    r"|(?<!one )(?<!same )(?<!this )(?<!other )(?<!another )machines?(?! learning))\b",
    re.IGNORECASE,
)
#: Code in prose: fenced blocks, names in backticks, addresses of links.
CODE = re.compile(r"^```.*?^```$|``.+?``|`[^`\n]+`|\]\([^)\s]+\)", re.DOTALL | re.MULTILINE)
#: Most assignments to a name, and most words, in each part.
LIMITS = {
    "pages": (0, 0),
    "notebooks": (0, 0),
    "leaves": (8, 11),
    "compendium": (9, 2),
    "corpora": (33, 5),
    "evaluation": (1, 6),
    "export": (0, 0),
    "reporting": (35, 70),
    "representations": (7, 22),
    "spectra": (0, 12),
}


def find_words(text, kind):
    """Names and words ruled out, as lists of ``(line, word)``; kind: py, ipynb or md."""
    if kind == "ipynb":
        cells = [(c["cell_type"], "".join(c["source"])) for c in json.loads(text)["cells"]]
        parts = [find_words(source, "py" if cell == "code" else "md") for cell, source in cells]
        return [[hit for part in parts for hit in part[i]] for i in (0, 1)]
    names, prose = [], [(1, text)]
    if kind == "py":
        nodes = list(ast.walk(ast.parse(text)))
        stored = [n for n in nodes if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)]
        names = [(node.lineno, node.id) for node in stored if node.id in NAMES]
        documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
        prose = [
            (node.body[0].lineno, ast.get_docstring(node, clean=False))
            for node in nodes
            if isinstance(node, documented) and ast.get_docstring(node)
        ]
        tokens = tokenize.generate_tokens(io.StringIO(text).readline)
        prose += [(t.start[0], t.string) for t in tokens if t.type == tokenize.COMMENT]
    words = []
    for first, part in prose:
        plain = CODE.sub(lambda match: "\n" * match[0].count("\n"), part)
        words += [(first + plain.count("\n", 0, m.start()), m[0]) for m in WORDS.finditer(plain)]
    return names, words


def list_files():
    """Files by part: the packages of the library, the notebooks, the pages."""
    parts = {"pages": [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("data/README.md")]}
    parts["pages"] += ROOT.glob("data/published/README.md")
    parts["notebooks"] = sorted(ROOT.glob("notebooks/[012][0-9]_*.ipynb"))
    for path in sorted((ROOT / "thesislib").rglob("*.py")):
        part = path.relative_to(ROOT / "thesislib").parts[0]
        parts.setdefault("leaves" if part.endswith(".py") else part, []).append(path)
    return parts


def list_places(part):
    """Places of a part: names, and words, as ``file:line: word``."""
    places = [], []
    for path in list_files()[part]:
        for kind, hits in enumerate(find_words(path.read_text("utf-8"), path.suffix[1:])):
            places[kind].extend(f"{path.relative_to(ROOT)}:{line}: {word}" for line, word in hits)
    return places


def test_names_and_words_are_found():
    text = '"""It asks ``answer``.\n\nOne machine."""\n\nfound = given.kept  # a machine\n'
    assert find_words(text, "py") == ([(5, "found")], [(1, "asks"), (5, "machine")])
    text = "A picture.\n\n```\npicture\n```\n\nAn [Answer](answer.md), `tells`\n"
    assert find_words(text, "md") == ([], [(1, "picture"), (7, "Answer")])
    cells = [{"cell_type": "code", "source": ["for said in x:\n", "    pass"]}]
    assert find_words(json.dumps({"cells": cells}), "ipynb") == [[(1, "said")], []]


@pytest.mark.parametrize("part", LIMITS)
def test_they_do_not_become_more(part):
    for places, most in zip(list_places(part), LIMITS[part]):
        shown = "\n".join(places)
        assert len(places) <= most, f"{part}: found {len(places)}, expected {most} at most\n{shown}"


def test_every_part_has_a_limit():
    assert set(list_files()) == set(LIMITS)


if __name__ == "__main__":
    for name in sys.argv[1:]:
        print("\n".join(place for places in list_places(name) for place in places))
    if len(sys.argv) == 1:
        for name in list_files():
            print(f'    "{name}": {tuple(map(len, list_places(name)))},')
