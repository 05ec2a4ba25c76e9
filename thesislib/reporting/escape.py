r"""Foreign text (names, labels, notes of a corpus) in each target: one function each (contract 8).

Each function takes any text and returns a fragment that the target shows as that text. Line breaks
become spaces. Control characters, marks that reverse the direction of writing and bytes that are
no UTF-8 are shown as in a Python string (``\x1b``).
"""

import re
import unicodedata
from functools import cache
from html import escape
from pathlib import Path

__all__ = ["html", "latex", "markdown", "mathtext", "terminal", "terminal_lines"]

_BREAKS = re.compile(r"[\t\n\v\f\r\x1c-\x1e\x85\u2028\u2029]+")
_UNPRINTABLE = re.compile(
    r"[\x00-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]"
)


def html(text):
    """Escape text for HTML, also inside a quoted attribute.

    Examples
    --------
    >>> html("<b> & 'c'")
    '&lt;b&gt; &amp; &#x27;c&#x27;'
    """
    return escape(terminal(text))


def markdown(text):
    r"""Escape text for Markdown with embedded HTML and formulas, also inside a table.

    A dollar sign is put into an element of its own, so that no formula begins with it.

    Examples
    --------
    >>> markdown("a_b | <i>")
    'a\\_b \\| &lt;i&gt;'
    """
    text = re.sub(r"([\\`*_{}\[\]|~]|^[#+=-]|(?<=^\d)[.)](?=\s|$))", r"\\\1", terminal(text))
    for sign, entity in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;")):
        text = text.replace(sign, entity)
    return text.replace("$", "<span>&#36;</span>")


def latex(text):
    r"""Escape text for LaTeX: ASCII that compiles with pdflatex and lualatex, without packages.

    Symbols, Greek and accented letters become commands; other letters their code point.

    Examples
    --------
    >>> latex("50 % of τ_max, Zoë 中")
    '50 \\% of $\\tau$\\_max, Zo\\"{e} U+4E2D'
    """
    text = unicodedata.normalize("NFC", terminal(text))
    return "".join(map(_latex_character, text)).replace("}$$^{", "")


@cache
def _read_signs():
    import yaml  # takes time, and few commands write LaTeX

    path = Path(__file__).parent / "files" / "latex.yaml"
    return yaml.safe_load(path.read_text("utf-8"))


def _latex_character(sign):
    known = _read_signs()
    if sign in known["signs"]:
        return known["signs"][sign]
    if sign.isascii():
        return sign
    kind, _, parts = unicodedata.decomposition(sign).partition(" ")
    if kind in ("<super>", "<sub>"):
        text = "".join(chr(int(part, 16)) for part in parts.split())
        return f"${'^' if kind == '<super>' else '_'}{{{latex(text).strip('$')}}}$"
    if kind and not kind.startswith("<"):
        base, accent = chr(int(kind, 16)), chr(int(parts or "0", 16))
        if accent in known["accents"]:
            return f"\\{known['accents'][accent]}{{{_latex_character(base)}}}"
    return f"U+{ord(sign):04X}"


def mathtext(text):
    r"""Escape text for matplotlib, where dollar signs begin formulas.

    Examples
    --------
    >>> mathtext("$5")
    '\\$5'
    """
    return terminal(text).replace("$", r"\$")


def terminal(text):
    r"""Escape text for a terminal or a line of a log.

    Examples
    --------
    >>> terminal("a\nb\x1b[2J")
    'a b\\x1b[2J'
    """
    text = _BREAKS.sub(" ", str(text))
    return _UNPRINTABLE.sub(lambda match: match[0].encode("unicode_escape").decode(), text)


def terminal_lines(text):
    r"""Escape a text of several lines for a terminal; its own lines stay.

    Examples
    --------
    >>> terminal_lines("a\nb\x1b[2J")
    'a\nb\\x1b[2J'
    """
    return "\n".join(map(terminal, str(text).split("\n")))
