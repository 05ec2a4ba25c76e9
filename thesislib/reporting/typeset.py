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


def to_html(grid, number, caption):
    """HTML table, with numbers aligned to the right and classes for a style sheet."""
    tags = {
        "bold": "<b>{}</b>",
        "small": "<small>{}</small>",
        "thesis": f'<span class="thesis" style="color:{GREY}">{{}}</span>',
    }

    def write(parts, joint="<br>"):
        return joint.join(_style(parts, tags, escape.html))

    def cell(tag, text, span=1, align="right"):
        wide = f' colspan="{span}"' if span > 1 else ""
        return f'<{tag}{wide} style="text-align:{align};vertical-align:top">{text}</{tag}>'

    lines, n_stubs = [], len(grid.stubs)
    for i, level in enumerate(grid.header):
        stubs = grid.stubs if i == len(grid.header) - 1 else [""] * n_stubs
        own = [cell("th", escape.html(text), align="left") for text in stubs]
        own += [cell("th", escape.html(text), span, "center") for text, span in level]
        lines.append("<tr>" + "".join(own) + "</tr>")
    head, lines = "\n".join(lines), []
    for kind, text, *cells in grid.body:
        if kind in ("rule", "group"):
            line = ' style="border-top:2px solid"' if kind == "rule" else ""
            text = cell("th", escape.html(text), n_stubs + grid.n_columns, "left")
            lines.append(f'<tr class="{kind}"{line}>{text}</tr>')
            continue
        own = [cell("td", escape.html(stub), align="left") for stub in text]
        if kind == "span":
            own.append(cell("td", write(cells[0], " "), grid.n_columns, "left"))
        else:
            own += [cell("td", write(parts), align=a) for parts, a in zip(cells[0], grid.aligned)]
        lines.append("<tr>" + "".join(own) + "</tr>")
    body, notes = "\n".join(lines), escape.html(" ".join(grid.notes))
    return (
        '<div class="thesis-table tex2jax_ignore mathjax_ignore" style="overflow-x:auto">\n<table>'
        f'\n<caption style="caption-side:top;text-align:left"><b>Table {escape.html(number)}:</b> '
        f"{escape.html(caption)}</caption>\n<thead>\n{head}\n</thead>\n<tbody>\n{body}\n</tbody>\n"
        f"</table>\n<p><small>{notes}</small></p>\n</div>\n"
    )


def to_markdown(grid, number, caption):
    """Markdown table; one line of headings, no cells over several columns."""
    tags = {"bold": "**{}**", "thesis": "*{}*"}

    def line(cells):
        return "| " + " | ".join(cells) + " |"

    def write(parts):
        return " ".join(_style(parts, tags, escape.markdown))

    heads = [[""] * grid.n_columns for _ in grid.header]
    for own, level in zip(heads, grid.header):
        texts = [text for text, span in level for _ in range(span)]
        own[:] = map(escape.markdown, texts)
    heads = [": ".join(dict.fromkeys(filter(None, parts))) for parts in zip(*heads)]
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
    widths, heads = _measure(grid)
    wide = [i for i, width in enumerate(widths) if width > (16 if grid.plain else 26)]
    shares = {i: min(widths[i], 30 if grid.plain else 20) for i in wide}
    usual = [shares.get(i, width) for i, width in enumerate(widths)]
    gap = 6 if n_all < 10 else 3
    natural = [sum(usual) * points + gap * n_all for points in _WIDTHS]
    size = next((i for i, width in enumerate(natural) if width <= _PAGE[0]), 3)
    n_lines = sum(_count_lines(row) for row in grid.body) + len(grid.header) + 6
    is_long = n_lines * _LEADING[size] > _PAGE[1]
    size = size if is_long else min(size, 2)
    smaller = _SIZES[min(size + 1, 3)]
    tags = {
        "bold": r"\textbf{{{}}}",
        "small": rf"{{{{\{smaller} {{}}}}}}",
        "thesis": r"\textcolor{{gray}}{{{}}}",
    }
    # Long text gets columns of fixed width: what the others leave of the line.
    left = _PAGE[0] - gap * n_all - _WIDTHS[size] * (sum(usual) - sum(shares.values()))
    columns, limits = [], {}
    for i, align in enumerate(["left"] * n_stubs + grid.aligned):
        columns.append(align[0])
        if i in shares:
            width = _WIDTHS[size] * shares[i] * min(1, left / _WIDTHS[size] / sum(shares.values()))
            limits[i] = max(3, int(width / _WIDTHS[size]))
            columns[-1] = rf">{{\raggedright\arraybackslash}}p{{{max(width, 12):.1f}pt}}"

    def write(parts, column=None):
        limit = limits.get(column)
        return " ".join(_style(parts, tags, lambda text: _break_words(text, limit)))

    lines = []
    for level, texts in zip(grid.header, heads):
        own, rules, at = [], [], 1
        for (_, span), parts in zip([("", 1)] * n_stubs + level, texts):
            text = r"\\".join(map(escape.latex, parts))
            text = rf"\shortstack{{{text}}}" if len(parts) > 1 else text
            side = "l" if at <= n_stubs else "c"
            own.append(rf"\multicolumn{{{span}}}{{{side}}}{{{text}}}" if text else "")
            if span > 1 and text and level is not grid.header[-1]:
                rules.append(rf"\cmidrule(lr){{{at}-{at + span - 1}}}")
            at += span
        lines.append(" & ".join(own) + r" \\" + "".join(rules))
    head, lines = "\n".join(lines), []
    for kind, text, *cells in grid.body:
        if kind in ("rule", "group"):
            style = "textbf" if kind == "rule" else "textit"
            rule = {"rule": r"\midrule", "group": r"\addlinespace[3pt]"}[kind] if lines else ""
            text = rf"\multicolumn{{{n_all}}}{{l}}{{\{style}{{{escape.latex(text)}}}}} \\*"
            lines.append(f"{rule}\n{text}".lstrip())
            continue
        stubs = [write([("", stub)], i) for i, stub in enumerate(text)]
        if kind == "span":
            text = rf"\multicolumn{{{grid.n_columns}}}{{l}}{{{write(cells[0])}}} \\"
            lines.append(" & ".join([*stubs, text]))
            continue
        n_rows = _count_lines((kind, text, *cells))
        for i in range(n_rows):
            own = stubs if i == 0 else [""] * n_stubs
            own = own + [write(parts[i : i + 1], n_stubs + j) for j, parts in enumerate(cells[0])]
            lines.append(" & ".join(own) + (r" \\*" if i < n_rows - 1 else r" \\"))
        lines[-1] += r"\addlinespace[2pt]" if n_rows > 1 else ""
    body, notes = "\n".join(lines), escape.latex(" ".join(grid.notes))
    label = "tab:table_" + re.sub(r"\W", "_", number)
    title = rf"\caption{{{escape.latex(caption)}}}\label{{{label}}}"
    setup = (
        rf"\{_SIZES[size]}\renewcommand{{\thetable}}{{{escape.latex(number)}}}"
        rf"\setlength{{\tabcolsep}}{{{gap / 2}pt}}"
    )
    columns, start = "".join(columns), f"% Packages: {PACKAGES}\n"
    if is_long:
        return (
            f"{start}{{{setup}\\setlength{{\\LTcapwidth}}{{\\linewidth}}\n"
            f"\\begin{{longtable}}{{{columns}}}\n{title} \\\\\n\\toprule\n{head}\n\\midrule\n"
            f"\\endfirsthead\n\\toprule\n{head}\n\\midrule\n\\endhead\n\\bottomrule\n\\endfoot\n"
            f"{body}\n\\end{{longtable}}\n\\noindent{{\\{smaller} {notes}\\par}}\n}}\n"
        )
    return (
        f"{start}\\begin{{table}}[htbp]\n\\centering{setup}\n{title}\\par\\smallskip\n"
        f"\\sbox0{{\\begin{{tabular}}{{{columns}}}\n\\toprule\n{head}\n\\midrule\n{body}\n"
        f"\\bottomrule\n\\end{{tabular}}}}\n"
        "\\ifdim\\wd0>\\linewidth\\resizebox{\\linewidth}{!}{\\usebox0}\\else\\usebox0\\fi\n"
        f"\\par\\smallskip{{\\{smaller}\\raggedright {notes}\\par}}\n\\end{{table}}\n"
    )


def _break_words(text, limit):
    """Escape text; words that are longer than the limit may be broken everywhere."""
    words = escape.terminal(text).split(" ")
    pieces = [re.findall(".{2}|.", w) if limit and len(w) > limit else [w] for w in words]
    return " ".join(r"\hspace{0pt}".join(map(escape.latex, parts)) for parts in pieces)


def _measure(grid):
    """Characters of every column, and the headings of every level with their line breaks."""
    widths = [1] * (len(grid.stubs) + grid.n_columns)
    for kind, text, *cells in grid.body:
        if kind == "row":
            own = [[("", stub)] for stub in text] + cells[0]
            sizes = [[len(t) * (0.8 if "small" in s else 1) for s, t in parts] for parts in own]
            widths = [max([width, *size]) for width, size in zip(widths, sizes)]
    heads = []
    for level in grid.header:
        stubs = grid.stubs if level is grid.header[-1] else [""] * len(grid.stubs)
        at, texts = 0, []
        for text, span in [*((stub, 1) for stub in stubs), *level]:
            width = sum(widths[at : at + span])
            texts.append(textwrap.wrap(text, max(8, int(width)), break_long_words=False))
            widths[at] += max([0, *(len(line) - width for line in texts[-1])])
            at += span
        heads.append(texts)
    return widths, heads


def _count_lines(row):
    return max([1, *map(len, row[2])]) if row[0] == "row" else 1
