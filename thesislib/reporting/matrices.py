"""Confusion matrices of any number of classes, as wide as a column or a page of text."""

from itertools import product
from types import SimpleNamespace

import matplotlib.pyplot as plt
import numpy as np

from thesislib.reporting.escape import terminal
from thesislib.reporting.fonts import choose_fonts, measure, set_fonts, shorten, spell, wrap

#: Sequential, and monotone in lightness.
COLOUR_MAP = "cividis"
#: Width of a column and of a page of text in inches.
COLUMN_IN, PAGE_IN = 3.5, 7.2
#: Above this number of classes, the counts are left out.
MOST_COUNTED = 30
# In points: lines of text, height of a page, room of the colour bar and of an axis's label, lines
# of a legend.
_LINE, _PAGE, _BAR, _AXIS, _MOST_LINES = 11.0, 615.0, 52.0, 28.0, 21
_STEPS = [number * 10**power for power in range(6) for number in (1, 2, 5)]


def plot_confusion(matrices):
    """Draw confusion matrices: counts, shaded by the share of the true class.

    The figure is as wide as a column if names and counts have room, else as a page. Names that do
    not fit or that no installed font can draw are replaced by numbers, with a legend below. Counts
    are left out above :data:`MOST_COUNTED` classes and where they have no room.

    Parameters
    ----------
    matrices : dict of str to pandas.DataFrame
        Title to matrix, from :func:`thesislib.evaluation.metrics.confusion`, of the same classes.

    Returns
    -------
    matplotlib.figure.Figure
        The axes of the matrices, in order, then that of the colour bar.
    """
    first = next(iter(matrices.values()))
    names, n = [terminal(name) for name in first.columns], len(first)
    n_digits = len(str(max(counts.to_numpy().max() for counts in matrices.values())))
    pages = [(72 * PAGE_IN, n_columns) for n_columns in range(len(matrices), 0, -1)]
    pages = [(72 * COLUMN_IN, 1)] * (len(matrices) == 1) + pages
    can_draw = not any(choose_fonts(name)[1] for name in names)
    # Names rather than numbers, and counts in full size rather than small or left out.
    choices = [(False, 8), (False, 6), (True, 8), (True, 6), (False, 0)]
    choices = [(numbered, size) for numbered, size in choices if numbered or can_draw]
    options = [
        _arrange(list(matrices), names, n_digits, *choice, page)
        for choice, page in product(choices, pages)
    ]
    largest = max((each for each in options if each.legend), key=lambda each: each.side)
    return _draw(matrices, next((each for each in options if each.fits), largest), n)


def _arrange(titles, names, n_digits, numbered, least_size, page):
    """Sizes in points, tick labels and legend on a page (width and number of columns)."""
    (width, n_columns), n = page, len(names)
    panel, n_rows = (width - _BAR) / n_columns, -(-len(titles) // n_columns)
    legend = _list_names(names, width - 10) if numbered else []
    names = [str(number) for number in range(1, n + 1)] if numbered else names
    longest = max(map(measure, names))
    titles = [wrap(shorten(spell(title), 2.5 * panel), panel - 12, 9) for title in titles]
    top = 8 + _LINE * max(title.count("\n") + 1 for title in titles)
    page_height = _PAGE - _LINE * max(map(len, legend), default=0)
    for turned in (False, True):
        below = _AXIS + (longest if turned else _LINE)
        side = min(panel - longest - _AXIS - 6, page_height / n_rows - top - below)
        side = min(side, max(130, 36 * n))
        if numbered or longest + 5 <= side / n:
            break
    count_size = min(8, (side / n - 2) / (0.64 * n_digits))
    fits = n > MOST_COUNTED or count_size >= least_size
    fits &= side / n >= 3 if numbered else longest <= 0.31 * panel and side / n >= _LINE
    sizes = {"width": width, "n_columns": n_columns, "side": side, "top": top, "below": below}
    labels = {"titles": titles, "names": names, "longest": longest, "turned": turned}
    return SimpleNamespace(
        **sizes,
        **labels,
        legend=legend,
        count_size=count_size if n <= MOST_COUNTED else 0,
        fits=fits,
    )


def _list_names(names, width):
    """Numbered names in columns; a last line says how many have no room."""
    entries = [(str(number), spell(name)) for number, name in enumerate(names, 1)]
    widest = max(measure(name) for _, name in entries) + measure(entries[-1][0]) + 16
    n_columns = int(np.clip(width // widest, min(-(-len(names) // _MOST_LINES), 3), 6))
    n_columns = min(max(n_columns, 1), len(names))
    n_lines = min(-(-len(names) // n_columns), _MOST_LINES - 1)
    limit = width / n_columns - measure(entries[-1][0]) - 14
    listed = [(number, shorten(name, limit)) for number, name in entries[: n_columns * n_lines]]
    columns = [listed[start : start + n_lines] for start in range(0, len(listed), n_lines)]
    if len(listed) < len(names):
        rest = f"… and {len(names) - len(listed)} more, in the order of the classes"
        columns[0].append(("", rest))
    return columns


def _draw(matrices, plan, n):
    n_lines = max(map(len, plan.legend), default=0)
    row = plan.top + plan.side + plan.below
    height = row * -(-len(matrices) // plan.n_columns) + _LINE * n_lines
    figure = plt.figure(figsize=(plan.width / 72, height / 72))
    figure.set_layout_engine("none")

    def add_axes(left, top, width):
        bottom = height - top - plan.side
        return figure.add_axes(
            (left / plan.width, bottom / height, width / plan.width, plan.side / height)
        )

    step = next(step for step in _STEPS if step * plan.side / n >= (_LINE if step == 1 else 30))
    ticks = np.arange(step - 1, n, step)
    for i, (counts, title) in enumerate(zip(matrices.values(), plan.titles)):
        left = (plan.width - _BAR) / plan.n_columns * (i % plan.n_columns)
        left += _AXIS + plan.longest
        axes = add_axes(left, plan.top + row * (i // plan.n_columns), plan.side)
        shares = counts.div(counts.sum(axis=1).clip(lower=1), axis=0).to_numpy()
        image = axes.imshow(100 * shares, cmap=COLOUR_MAP, vmin=0, vmax=100)
        names = [plan.names[tick] for tick in ticks]
        axes.set_xticks(ticks, names, rotation=90 * plan.turned, fontsize=8)
        axes.set_yticks(ticks, names, fontsize=8)
        axes.set(xlabel="predicted class", ylabel="true class")
        axes.set_title(title, fontsize=9, loc="left", x=(4 - _AXIS - plan.longest) / plan.side)
        if n <= MOST_COUNTED:
            edges = np.arange(n + 1) - 0.5
            axes.hlines(edges, -0.5, n - 0.5, "white", linewidth=0.5)
            axes.vlines(edges, -0.5, n - 0.5, "white", linewidth=0.5)
        if plan.count_size >= 6:
            for place, count in np.ndenumerate(counts.to_numpy()):
                colour = _contrast(image.to_rgba(100 * shares[place]))
                options = {"ha": "center", "va": "center", "fontsize": plan.count_size}
                axes.text(*place[::-1], str(count), color=colour, in_layout=False, **options)
    bar = add_axes(left + plan.side + 12, plan.top, 9)
    figure.colorbar(image, cax=bar).set_label("share of the true class (%)", size=8)
    bar.tick_params(labelsize=8)
    for i, entries in enumerate(plan.legend):
        for line, (number, name) in enumerate(entries, 1):
            x, y = 10 + plan.longest + i * (plan.width - 10) / len(plan.legend), n_lines - line
            for text, side, shift in ((number, "right", -3), (name, "left", 3)):
                place = (x + shift) / plan.width, y * _LINE / height
                figure.text(*place, text, ha=side, va="bottom", fontsize=8)
    set_fonts(figure)
    return figure


def _contrast(colour):
    """Black or white, whichever has the higher contrast on a colour (at least 4.5:1)."""
    red, green, blue = (
        part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in colour[:3]
    )
    return "black" if 0.2126 * red + 0.7152 * green + 0.0722 * blue > 0.179 else "white"
