"""The library stays thin: code lines of each package against its budget.

A code line holds a token that is neither a comment nor part of a docstring.
``python tests/test_size.py`` prints the table.
"""

import ast
import io
import tokenize
from pathlib import Path

import pytest

LIBRARY = Path(__file__).resolve().parents[1] / "thesislib"

#: Code lines of a package at most; ``leaves`` are the modules of the top level.
BUDGETS = {
    "leaves": 1304,
    "corpora": 2230,
    "spectra": 435,
    "representations": 3475,
    "evaluation": 1940,
    "reporting": 2600,
    "compendium": 1435,
    "export": 1937,
}
#: All packages together, and modules beside the packages at the top level.
TOTAL, TOP_LEVEL = 15345, 9
#: Tokens that are no code by themselves.
LAYOUT = {
    tokenize.COMMENT,
    tokenize.NL,
    tokenize.NEWLINE,
    tokenize.INDENT,
    tokenize.DEDENT,
    tokenize.ENCODING,
    tokenize.ENDMARKER,
}


def count_code_lines(text):
    """Number of lines of a module that hold code."""
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    prose = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, documented) and ast.get_docstring(node, clean=False) is not None:
            prose |= set(range(node.body[0].lineno, node.body[0].end_lineno + 1))
    code = set()
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type not in LAYOUT:
            code |= set(range(token.start[0], token.end[0] + 1))
    return len(code - prose)


def count_packages():
    """Code lines by package."""
    counts = dict.fromkeys(BUDGETS, 0)
    for path in LIBRARY.rglob("*.py"):
        package = path.relative_to(LIBRARY).parts[0]
        package = "leaves" if package.endswith(".py") else package
        counts[package] = counts.get(package, 0) + count_code_lines(path.read_text("utf-8"))
    return counts


def format_table():
    counts = count_packages()
    lines = [f"{name:16} {n:6} of {BUDGETS.get(name, 0):6}" for name, n in counts.items()]
    return "\n".join([*lines, f"{'all':16} {sum(counts.values()):6} of {TOTAL:6}"])


def test_the_counter_leaves_out_prose():
    text = '"""Module.\n\nText."""\n\nx = 1  # one\n# two\n\n\n'
    text += 'def f():\n    """Doc."""\n    return """a\nb"""\n'
    assert count_code_lines(text) == 4


def test_every_package_is_within_its_budget():
    counts = count_packages()
    table = format_table()
    print(table)
    assert set(counts) == set(BUDGETS), table
    assert all(counts[name] <= BUDGETS[name] for name in counts), table
    assert sum(counts.values()) <= TOTAL, table


def test_few_modules_stand_beside_the_packages():
    assert len([path for path in LIBRARY.glob("*.py")]) <= TOP_LEVEL


@pytest.mark.parametrize("path", sorted(LIBRARY.rglob("*.py")), ids=lambda path: path.name)
def test_a_module_holds_one_idea(path):
    assert count_code_lines(path.read_text("utf-8")) <= 300


if __name__ == "__main__":
    print(format_table())
