"""A grid of cells as HTML, LaTeX and Markdown (see :mod:`thesislib.reporting.layouts`).

A cell is a list of ``(style, text)``, one below the other; styles are ``bold``, ``small`` and
``thesis``. All text is escaped here.
"""

import re
import textwrap

from thesislib.reporting import escape

#: Packages that the LaTeX needs.
PACKAGES = "array, booktabs, graphicx, longtable, xcolor"
#: Contrast 4.5:1 on white.
GREY = "#767676"
_SIZES = ["small", "footnotesize", "scriptsize", "tiny"]
#: Points of a character and of a line in each size; of a page of A4 in ``article``.
_WIDTHS, _LEADING, _PAGE = [4.7, 4.3, 4.0, 3.4], [11, 9.5, 8, 6], (345, 560)


def align_columns(grid):
    """Alignment of the columns behind the stubs: text to the left, numbers to the right."""
    rows = [row[2] for row in grid.body if row[0] == "row"]
    texts = [
        [text for parts in column for style, text in parts if "small" not in style]
        for column in zip(*rows)
    ]
    is_text = [any(re.search(r"[^\W\d_]{4}", text) for text in own) for own in texts]
    return ["left" if text else "right" for text in is_text] or ["left"] * grid.n_columns


def to_html(grid, number, caption):
    """HTML table in ASCII, with classes for a style sheet and a small style of its own."""
    tags = {"bold": "<b>{}</b>", "small": "<small>{}</small>"}
    tags["thesis"] = f'<span class="thesis" style="color:{GREY}">{{}}</span>'

    def cell(tag, parts, span=1, align="left", joint="<br>"):
        parts = parts if isinstance(parts, list) else [("", parts)]
        wide = f' colspan="{span}"' if span > 1 else ""
        style = f"text-align:{align};vertical-align:top;padding:1px 6px"
        text = joint.join(_style(parts, tags, escape.html))
        return f'<{tag}{wide} style="{style}">{text}</{tag}>'

    heads, lines, sides = [], [], align_columns(grid)
    for level in grid.header:
        stubs = grid.stubs if level is grid.header[-1] else [""] * len(grid.stubs)
        own = [cell("th", stub) for stub in stubs]
        own += [cell("th", text, span, "center") for text, span in level]
        heads.append(f"<tr>{''.join(own)}</tr>")
    for kind, text, *cells in grid.body:
        if kind in ("rule", "group"):
            own = [cell("th", text, len(grid.stubs) + grid.n_columns)]
        elif kind == "span":
            own = [*(cell("td", stub) for stub in text)]
            own.append(cell("td", cells[0], grid.n_columns, joint=" "))
        else:
            own = [*(cell("td", stub) for stub in text)]
            own += [cell("td", parts, 1, align) for parts, align in zip(cells[0], sides)]
        line = ' style="border-top:1px solid"' if kind == "rule" else ""
        lines.append(f'<tr class="{kind}"{line}>{"".join(own)}</tr>')
    text = "\n".join(
        [
            '<div class="thesis-table tex2jax_ignore mathjax_ignore" style="overflow-x:auto">',
            '<table style="border-collapse:collapse">',
            '<caption style="caption-side:top;text-align:left">',
            f"<b>Table {escape.html(number)}:</b> {escape.html(caption)}</caption>",
            '<thead style="border-bottom:1px solid">',
            *[*heads, "</thead>", "<tbody>", *lines, "</tbody>", "</table>"],
            f"<p><small>{escape.html(' '.join(grid.notes))}</small></p>",
            "</div>\n",
        ]
    )
    return text.encode("ascii", "xmlcharrefreplace").decode()


def to_markdown(grid, number, caption):
    """Markdown table; one line of headings, no cells over several columns."""
    tags = {"bold": "**{}**", "thesis": "*{}*"}

    def line(cells):
        return "| " + " | ".join(cells) + " |"

    def write(parts):
        return " ".join(_style(parts, tags, escape.markdown))

    heads = [[""] * grid.n_columns for _ in grid.header]
    for own, level in zip(heads, grid.header):
        own[:] = [escape.markdown(text) for text, span in level for _ in range(span)]
    heads = [": ".join(dict.fromkeys(filter(None, parts))) for parts in zip(*heads)]
    heads = ["thesis" if i in grid.printed else text for i, text in enumerate(heads)]
    first = [escape.markdown(text) for text in grid.stubs]
    lines = [line([*first, *heads]), "|" + "---|" * (len(first) + grid.n_columns)]
    for kind, text, *cells in grid.body:
        if kind in ("rule", "group"):
            empty = [""] * (len(first) + grid.n_columns - 1)
            lines.append(line([f"**{escape.markdown(text)}**", *empty]))
            continue
        own = [write(parts) for parts in cells[0]] if kind == "row" else [write(cells[0])]
        own += [""] * (grid.n_columns - len(own))
        lines.append(line([*map(escape.markdown, text), *own]))
    notes = escape.markdown(" ".join(grid.notes).replace("Grey:", "Italic:"))
    title = f"**Table {escape.markdown(number)}:** {escape.markdown(caption)}"
    return "\n\n".join([title, "\n".join(lines), notes]) + "\n"


def _style(parts, tags, escaped):
    for style, text in parts:
        text = escaped(text)
        for name in reversed(style.split()):
            text = tags.get(name, "{}").format(text)
        yield text


def to_latex(grid, number, caption):
    """LaTeX with booktabs: a float that fits the line, or a longtable where a page is too short."""
    n_stubs, n_all = len(grid.stubs), len(grid.stubs) + grid.n_columns
    body = []
    for kind, text, *own in grid.body:
        cells = [[("", stub)] for stub in text] if own else []
        wide = own.pop() if kind == "span" else []
        body.append((kind, text, sum(own, cells), wide))
    gap = 4 if n_all > 13 else 6
    size, limits, heads, scale = _fit(grid, *_measure(grid, body), gap)
    for _, _, cells, _ in body:
        cells[:] = [_wrap_parts(*cell) for cell in zip(cells, limits)]
    n_lines = sum(max([1, *map(len, cells)]) for _, _, cells, _ in body)
    n_lines += sum(max(map(len, texts)) for texts in heads) + 0.3 * len(body) + 4
    n_lines += (len(caption) + len(" ".join(grid.notes))) / 60
    sizes = [n for n in range(size, max(size, 2) + 1) if n_lines * _LEADING[n] <= _PAGE[1] / scale]
    # A longtable cannot be scaled.
    size = sizes[0] if sizes else 3 if scale < 1 else max(size, 1)
    smaller = _SIZES[min(size + 1, 3)]
    tags = {
        "bold": r"\textbf{{{}}}",
        "small": rf"{{{{\{smaller} {{}}}}}}",
        "thesis": r"\textcolor[gray]{{0.45}}{{{}}}",
    }

    def write(parts):
        return " ".join(_style(parts, tags, escape.latex))

    lines, breaks = [], set()
    for level, texts in zip(grid.header, heads):
        own, rules, at = [], [], 1
        for (_, span), parts in zip([("", 1)] * n_stubs + level, texts):
            side = "l" if at <= n_stubs else "c"
            text = r"\\".join(map(escape.latex, parts))
            text = rf"\shortstack[{side}]{{\strut {text}}}" if len(parts) > 1 else text
            own.append(rf"\multicolumn{{{span}}}{{{side}}}{{{text}}}" if text else "")
            if span > 1 and text and level is not grid.header[-1]:
                rules.append(rf"\cmidrule(lr){{{at}-{at + span - 1}}}")
                breaks.add(at)
            at += span
        lines.append(" & ".join(own) + r" \\" + "".join(rules))
    head, lines = "\n".join(lines), []
    for kind, text, cells, wide in body:
        if kind in ("rule", "group"):
            style = "textbf" if kind == "rule" else "textit"
            rule = {"rule": r"\midrule", "group": r"\addlinespace[3pt]"}[kind] if lines else ""
            text = rf"\multicolumn{{{n_all}}}{{l}}{{\{style}{{{escape.latex(text)}}}}} \\*"
            lines.append(f"{rule}\n{text}".lstrip())
            continue
        wide = [rf"\multicolumn{{{grid.n_columns}}}{{l}}{{{write(wide)}}}"] if wide else []
        n_rows = max([1, *map(len, cells)])
        for i in range(n_rows):
            own = [write(parts[i : i + 1]) for parts in cells] + (wide if i == 0 else [])
            lines.append(" & ".join(own) + (r" \\*" if i < n_rows - 1 else r" \\"))
        lines[-1] += r"\addlinespace[2pt]" if n_rows > 1 else ""
    sides = ["l"] * n_stubs + [align[0] for align in align_columns(grid)]
    columns = "".join(
        (rf"@{{\hspace{{{2 * gap}pt}}}}" if i in breaks and i > n_stubs + 1 else "") + side
        for i, side in enumerate(sides, 1)
    )
    text, notes = "\n".join(lines), escape.latex(" ".join(grid.notes))
    label = "tab:table_" + re.sub(r"\W", "_", number)
    title = rf"\caption{{{escape.latex(caption)}}}\label{{{label}}}"
    setup = (
        rf"\{_SIZES[size]}\renewcommand{{\thetable}}{{{escape.latex(number)}}}"
        rf"\setlength{{\tabcolsep}}{{{gap / 2}pt}}"
    )
    start = f"% Packages: {PACKAGES}\n"
    if not sizes:
        return (
            f"{start}{{{setup}\\setlength{{\\LTcapwidth}}{{\\linewidth}}\n"
            f"\\begin{{longtable}}{{{columns}}}\n{title} \\\\\n\\toprule\n{head}\n\\midrule\n"
            f"\\endfirsthead\n\\toprule\n{head}\n\\midrule\n\\endhead\n\\bottomrule\n\\endfoot\n"
            f"{text}\n\\end{{longtable}}\n\\noindent{{\\{smaller} {notes}\\par}}\n}}\n"
        )
    return (
        f"{start}\\begin{{table}}[htbp]\n\\centering{setup}\n{title}\\par\\smallskip\n"
        f"\\sbox0{{\\begin{{tabular}}{{{columns}}}\n\\toprule\n{head}\n\\midrule\n{text}\n"
        f"\\bottomrule\n\\end{{tabular}}}}\n"
        "\\ifdim\\wd0>\\linewidth\\resizebox{\\linewidth}{!}{\\usebox0}\\else\\usebox0\\fi\n"
        f"\\par\\smallskip{{\\{smaller}\\raggedright {notes}\\par}}\n\\end{{table}}\n"
    )


def _measure(grid, body):
    """Characters of every column of the body, and of its longest word (up to 14)."""
    widths = [1] * (len(grid.stubs) + grid.n_columns)
    words = [max(map(len, stub.split()), default=1) for stub in grid.stubs] + [1] * grid.n_columns
    for _, _, cells, _ in body:
        for i, parts in enumerate(cells):
            for style, text in parts:
                factor = 0.8 if "small" in style else 1
                widths[i] = max(widths[i], factor * len(text))
                words[i] = max([words[i], *(factor * len(word) for word in text.split(" "))])
    return widths, [min(word, 14) for word in words]


def _fit(grid, widths, words, gap):
    """Size of the font, characters of each column and headings, so that a table fits the line."""
    page = _PAGE[0] - gap * len(widths)
    page *= 0.87 if grid.plain else 1  # Text is wider than numbers.
    sides = ["left"] * len(grid.stubs) + align_columns(grid)
    shrinkable = [i for i, side in enumerate(sides) if grid.plain or side == "left"]
    limits = [min(width, 26) if i in shrinkable else width for i, width in enumerate(widths)]
    # Words are broken where the smallest font does not suffice.
    for size, longest in [(0, 14), (1, 14), (2, 14), (3, 14), (3, 5)][: 5 if grid.plain else 3]:
        own, points = list(limits), _WIDTHS[size]
        least = [min(n, longest) if side == "left" else n for n, side in zip(words, sides)]
        while size > 0 and _count(grid, own) * points > page:
            wide = [i for i in shrinkable if own[i] > least[i]]
            if not wide:
                break
            own[max(wide, key=own.__getitem__)] -= 1
        if _count(grid, own) * points <= page:
            break
    least = next((n for n in (24, 12) if _count(grid, own, n) * points <= page), 6)
    scale = min(1, page / (_count(grid, own) * points))
    return size, own, _wrap_header(grid, own, least), scale


def _count(grid, limits, least=6):
    """Characters of a line, with its headings."""
    widths = list(limits)
    for level, texts in zip(grid.header, _wrap_header(grid, limits, least)):
        at = 0
        for (_, span), parts in zip([("", 1)] * len(grid.stubs) + level, texts):
            missing = max(map(len, parts), default=0) - sum(widths[at : at + span])
            widths[at] += max(0, missing)
            at += span
    return sum(widths)


def _wrap_header(grid, limits, least):
    """Headings of every level, each as a list of lines of at least ``least`` characters."""
    heads = []
    for level in grid.header:
        stubs = grid.stubs if level is grid.header[-1] else [""] * len(grid.stubs)
        at, texts = 0, []
        for text, span in [*((stub, 1) for stub in stubs), *level]:
            width = max(least, int(sum(limits[at : at + span])), *map(len, text[:99].split()))
            texts.append(textwrap.wrap(text, width))
            at += span
        heads.append(texts)
    return heads


def _wrap_parts(parts, limit):
    """Break long texts of a cell into lines."""
    width = max(1, int(limit + 0.99))
    return [
        (style, line)
        for style, text in parts
        for line in (textwrap.wrap(text, width * 5 // 4 if "small" in style else width) or [""])
    ]
