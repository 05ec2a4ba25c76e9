"""Text of any script in figures: fonts of the system that have its characters, and its width."""

from functools import lru_cache

import matplotlib as mpl
from matplotlib.font_manager import FontPath, FontProperties, fontManager, get_font
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.text import Text
from matplotlib.textpath import text_to_path

#: Comes with matplotlib.
FAMILY = "DejaVu Sans"
# A font's properties contain the weight and style of ``rcParams``.
_measure = lru_cache(maxsize=4096)(text_to_path.get_text_width_height_descent)


@lru_cache(maxsize=4096)
def choose_fonts(text):
    """Choose the font families that draw a text, and find the characters that no font has.

    Parameters
    ----------
    text : str

    Returns
    -------
    families : tuple of str
        The figures' own font first, then the fewest installed ones that have the other characters.
    missing : str
        Characters that no installed font has.

    Examples
    --------
    >>> choose_fonts("Zoë ∆")
    (('DejaVu Sans',), '')
    """
    own = get_font(mpl.get_data_path() + "/fonts/ttf/DejaVuSans.ttf")
    missing = {sign for sign in text if not own.get_char_index(ord(sign))} - {"\n"}
    families = [FAMILY]
    while missing:
        # A font that has most of the characters, preferably a regular one; the order is fixed.
        n_lacking, *_, family, covered = min(_list_fonts("".join(sorted(missing))))
        if n_lacking == len(missing):
            break
        families.append(family)
        missing -= set(covered)
    return tuple(families), "".join(sorted(missing))


@lru_cache
def _list_fonts(signs):
    """Characters that each installed font lacks (number) and has."""
    ranks = [(len(signs), 0, "", "")]
    for font in fontManager.ttflist:
        if not font.name.startswith("Last Resort"):  # boxes in place of characters
            face = get_font(FontPath(font.fname, font.index))
            covered = "".join(sign for sign in signs if face.get_char_index(ord(sign)))
            irregular = (font.weight != 400) + (font.style != "normal") + ("Sans" not in font.name)
            ranks.append((len(signs) - len(covered), irregular, font.name, covered))
    return ranks


def spell(text):
    r"""Replace characters that no installed font has by their code (``\u4e2d``)."""
    for sign in choose_fonts(text)[1]:
        text = text.replace(sign, sign.encode("unicode_escape").decode())
    return text


def measure(text, size=8):
    """Width of a text of ``size`` points in the weight and style of ``rcParams``, in points.

    Examples
    --------
    >>> measure("mm") == 2 * measure("m") > 2 * measure("i")
    True
    """
    text = spell(text)
    return _measure(text, FontProperties(family=choose_fonts(text)[0], size=size), False)[0]


def shorten(text, width, size=8):
    """Replace the middle of a text that is wider than ``width`` points by an ellipsis.

    Examples
    --------
    >>> text = shorten("environmental_background_noise", 60)
    >>> text[:3], text[-3:], measure(text) <= 60
    ('env', 'ise', True)
    """
    n = min(len(text), 400)
    while measure(text, size) > width and n > 1:
        n -= 1
        text = text[: n // 2].rstrip("…") + "…" + text[-(n // 2) :].lstrip("…")
    return text


def wrap(text, width, size=8):
    """Break a text into lines of at most ``width`` points; a long word is broken, too.

    Examples
    --------
    >>> lines = wrap("corpus of a_very_long_name", 60).splitlines()
    >>> lines[0], "".join(lines[1:]), max(measure(line) for line in lines) <= 60
    ('corpus of', 'a_very_long_name', True)
    """
    lines = [""]
    for word in text.split():
        joined = f"{lines[-1]} {word}".strip()
        if measure(joined, size) <= width:
            lines[-1] = joined
            continue
        lines.append("")
        for sign in word:
            lines += [""] if measure(lines[-1] + sign, size) > width else []
            lines[-1] += sign
    return "\n".join(filter(None, lines))


def set_fonts(figure):
    """Give each text of a figure the fonts that have its characters."""
    for text in figure.findobj(Text):
        if not text.get_text().isascii():
            text.set_text(spell(text.get_text()))
            families = choose_fonts(text.get_text())[0]
            if len(families) > 1:
                text.set(fontfamily=families, fontweight="normal")


class Layout(ConstrainedLayoutEngine):
    """Constrained layout of a figure whose texts have their fonts."""

    def execute(self, fig):
        """Choose the fonts, which decide on the sizes, then lay out."""
        set_fonts(fig)
        super().execute(fig)


def lay_out(figure):
    """Use :class:`Layout` in a new figure (a hook of matplotlib's ``figure.hooks``)."""
    figure.set_layout_engine(Layout())
