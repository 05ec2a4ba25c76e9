"""A grid of cells as HTML, LaTeX and Markdown (see :mod:`thesislib.reporting.layouts`).

A cell is a list of ``(style, text)``, one below the other; styles are ``bold``, ``small`` and
``thesis``. All text is escaped here.
"""

import re

from thesislib.reporting import escape

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
        f'<div class="thesis-table tex2jax_ignore mathjax_ignore" style="overflow-x:auto">\n<table>\n'
        f'<caption style="caption-side:top;text-align:left"><b>Table {escape.html(number)}:</b> '
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
    widths = _measure(grid)
    n_lines = sum(_count_lines(row) for row in grid.body) + len(grid.header) + 6
    natural = [sum(widths) * points + 8 * len(widths) for points in _WIDTHS]
    size = next((i for i, width in enumerate(natural[:3]) if width <= _PAGE[0]), 2)
    # Text that is too long for a line gets columns of fixed width, with line breaks.
    wraps = natural[2] > 1.3 * _PAGE[0] and any(
        grid.aligned_all[i] == "left" for i in range(len(widths)) if widths[i] > 16
    )
    is_long = wraps or n_lines * _LEADING[size] > _PAGE[1]
    smaller = _SIZES[min(size + 1, 3)]
    tags = {
        "bold": r"\textbf{{{}}}",
        "small": rf"{{{{\{smaller} {{}}}}}}",
        "thesis": r"\textcolor{{gray}}{{{}}}",
    }
    columns = "".join({"left": "l", "right": "r"}[align] for align in grid.aligned_all)
    if wraps:
        shares = [max(4, min(width, 30)) for width in widths]
        columns = "".join(
            rf">{{\raggedright\arraybackslash}}p{{\dimexpr {share / sum(shares):.4f}\linewidth"
            rf"-2\tabcolsep}}"
            for share in shares
        )

    def write(parts, wrap=wraps):
        texts = _style(parts, tags, _break_words if wraps else escape.latex)
        return " ".join(texts)

    n_all = len(widths)
    lines = []
    for i, level in enumerate(grid.header):
        last = i == len(grid.header) - 1
        own = [write([("", text)]) for text in (grid.stubs if last else [""] * len(grid.stubs))]
        rules, at = [], len(grid.stubs) + 1
        for text, span in level:
            text = write([("", text)])
            own.append(text if wraps else rf"\multicolumn{{{span}}}{{c}}{{{text}}}")
            if span > 1 and text and not last:
                rules.append(rf"\cmidrule(lr){{{at}-{at + span - 1}}}")
            at += span
        lines.append(" & ".join(own) + r" \\" + "".join(rules))
    head, lines = "\n".join(lines), []
    for kind, text, *cells in grid.body:
        if kind in ("rule", "group"):
            rule = r"\midrule" if kind == "rule" or lines else ""
            text = rf"\multicolumn{{{n_all}}}{{l}}{{\textit{{{escape.latex(text)}}}}} \\"
            lines.append(f"{rule}\n{text}".lstrip())
            continue
        stubs = [write([("", stub)]) for stub in text]
        if kind == "span":
            wide = rf"\multicolumn{{{grid.n_columns}}}{{l}}{{{write(cells[0])}}}"
            lines.append(" & ".join([*stubs, wide]) + r" \\")
            continue
        rows = max([1, *map(len, cells[0])])
        for i in range(rows):
            own = stubs if i == 0 else [""] * len(stubs)
            own = own + [write(parts[i : i + 1]) for parts in cells[0]]
            end = r" \\*" if i < rows - 1 and is_long else r" \\"
            lines.append(" & ".join(own) + end)
        if rows > 1:
            lines[-1] += r"\addlinespace[2pt]"
    body, notes = "\n".join(lines), escape.latex(" ".join(grid.notes))
    label = "tab:table_" + re.sub(r"\W", "_", number)
    title = rf"\caption{{{escape.latex(caption)}}}\label{{{label}}}"
    setup = rf"\renewcommand{{\thetable}}{{{escape.latex(number)}}}\setlength{{\tabcolsep}}{{4pt}}"
    start = "% Needs the packages booktabs, graphicx, longtable, array and xcolor.\n"
    if is_long:
        return (
            f"{start}{{\\{_SIZES[size]}{setup}\\setlength{{\\LTcapwidth}}{{\\linewidth}}\n"
            f"\\begin{{longtable}}{{{columns}}}\n{title} \\\\\n\\toprule\n{head}\n\\midrule\n"
            f"\\endfirsthead\n\\toprule\n{head}\n\\midrule\n\\endhead\n\\bottomrule\n\\endfoot\n"
            f"{body}\n\\end{{longtable}}\n{{\\{smaller} {notes}\\par}}\n}}\n"
        )
    return (
        f"{start}\\begin{{table}}[htbp]\n\\centering\\{_SIZES[size]}{setup}\n{title}\n"
        f"\\sbox0{{\\begin{{tabular}}{{{columns}}}\n\\toprule\n{head}\n\\midrule\n{body}\n"
        f"\\bottomrule\n\\end{{tabular}}}}\n"
        "\\ifdim\\wd0>\\linewidth\\resizebox{\\linewidth}{!}{\\usebox0}\\else\\usebox0\\fi\n"
        f"\\par\\smallskip{{\\{smaller}\\raggedright {notes}\\par}}\n\\end{{table}}\n"
    )


def _break_words(text):
    """Escape text; words may be broken after every eighth character, and after signs."""
    words = escape.terminal(text).split(" ")
    pieces = [re.findall(r".{1,6}?[_/.,:;+=-]|.{1,6}", word) or [""] for word in words]
    return " ".join(r"\hspace{0pt}".join(map(escape.latex, parts)) for parts in pieces)


def _measure(grid):
    """Characters of every column."""
    widths = [len(text) for text in grid.stubs] + [1] * grid.n_columns
    for text, cells in ((row[1], row[2]) for row in grid.body if row[0] == "row"):
        own = [len(stub) for stub in text]
        for parts in cells:
            sizes = [len(t) * (0.8 if "small" in style else 1) for style, t in parts]
            own.append(max(sizes, default=0))
        widths = [max(pair) for pair in zip(widths, own)]
    for level in grid.header:
        at = len(grid.stubs)
        for text, span in level:
            missing = len(text) - sum(widths[at : at + span])
            if missing > 0:
                widths[at] += missing
            at += span
    return widths


def _count_lines(row):
    return max([1, *map(len, row[2])]) if row[0] == "row" else 1
