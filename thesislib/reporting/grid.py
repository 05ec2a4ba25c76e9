"""The cells of a table in the thesis's layout: where each score stands, and beside which."""

import re
from collections import defaultdict
from dataclasses import dataclass, field
from fnmatch import fnmatch

from thesislib.reporting.values import (
    AS_PUBLISHED,
    OPTIMISTIC,
    compose,
    show,
    show_interval,
    spell_plainly,
)

#: Names of the selection on the reported part.
PUBLISHED = {AS_PUBLISHED, OPTIMISTIC}
MARKS = "|".join(map(re.escape, PUBLISHED))


@dataclass
class Cell:
    """One cell: ours with what stands below it, and the thesis's."""

    ours: str = ""
    small: tuple = ()
    thesis: tuple = ()
    best: bool = False
    spec: dict = field(default_factory=dict, compare=False)
    row: dict = field(default_factory=dict, compare=False)

    @property
    def value(self):
        """Number of ours, if the cell shows a single column."""
        name = self.spec["value"]
        return self.row.get(name) if isinstance(name, str) and self.ours else None


class Grid:
    """A table in its layout: header, body and notes, as text that is not yet escaped.

    Parameters
    ----------
    table : pandas.DataFrame
    layout : dict

    Attributes
    ----------
    header : list of list of (str, int)
        Levels of headings with their spans.
    body : list of tuple
        ``("rule", text)``, ``("group", text)``, ``("row", stubs, cells)`` or
        ``("span", stubs, cell)``. A cell is a list of ``(style, text)``, one below the other.
    notes : list of str
    """

    def __init__(self, table, layout):
        self.layout = {"groups": [], "rows": {}, "columns": [], "match": [], **layout}
        self.plain = layout.get("text", not self.layout["rows"] and not self.layout["columns"])
        self.lines = layout.get("lines", {} if self.plain else {"selection": "Selection"})
        self.beside = layout.get("thesis", "beside") == "beside"
        rows = [{k: v for k, v in row.items() if show(v) != ""} for row in table.to_dict("records")]
        theirs = [row for row in rows if row.get("source") == "thesis"]
        ours = [row for row in rows if row.get("source") != "thesis"]
        trained = {row.get("weights", "none") for row in ours} - {"random", "none"}
        if trained and not self.plain:
            self.layout["controls"] = {"weights": ["random"], **layout.get("controls", {})}
        self._spell(theirs, ours)
        self._arrange(self._pair(ours, theirs))
        self._mark_best()
        self._build()
        self._write_notes(ours, theirs)

    def _spell(self, theirs, ours):
        """Spelling and order of every key's values."""
        names = [*self.layout["groups"], *self.layout["rows"], *self.lines, *self.layout["columns"]]
        ordered = [*theirs, *sorted(ours, key=self._is_control)]
        self._shown, self._rank = {}, {}
        for name in names:
            values = {}
            for row in ordered:
                values.setdefault(spell_plainly(row.get(name, "")), row.get(name, ""))
            if all(not isinstance(value, str) for value in values.values() if value != ""):
                values = dict(sorted(values.items(), key=lambda item: float(item[1] or 0)))
            spelling = self.layout.get("names", {}).get(name, {})
            spelling = {spell_plainly(key): value for key, value in spelling.items()}
            self._shown[name] = {key: spelling.get(key, show(v)) for key, v in values.items()}
            shown = list(dict.fromkeys(self._shown[name].values()))
            self._rank[name] = {text: i for i, text in enumerate(shown)}
        self._seen = list(dict.fromkeys(self._get(r, self.layout["columns"]) for r in ordered))

    def _get(self, row, names):
        return tuple(self._shown[name][spell_plainly(row.get(name, ""))] for name in names)

    def _is_control(self, row):
        return row.get("source") != "thesis" and self._match_any(row, "controls")

    def _match_any(self, row, part):
        """Whether a value of the row is among the layout's patterns."""
        return any(
            fnmatch(show(row.get(name, "")).casefold(), pattern.casefold())
            for name, patterns in self.layout.get(part, {}).items()
            for pattern in patterns
        )

    def _pair(self, ours, theirs):
        """Rows of ours with the thesis's: key (section, group, row), column, line, and pairs."""
        parts = ("groups", "rows", "columns")
        blocks = defaultdict(lambda: defaultdict(list))
        for row in ours:
            group, key, column = (self._get(row, self.layout[part]) for part in parts)
            place = (2 * self._is_control(row), group, key)
            blocks[place, column][self._get(row, self.lines)].append([row, {}])
        lines = defaultdict(dict)
        for (place, _), own in blocks.items():
            lines[place] |= own
        printed = defaultdict(list)
        for row in theirs:
            group, key, column = (self._get(row, self.layout[part]) for part in parts)
            if self.layout.get("prefer_group") and not any(group):
                group = next((p[1] for p in lines if PUBLISHED & {*p[1]}), group)
            section = 1 if self.layout.get("thesis") == "apart" else 0
            printed[(section, group, key), column].append(row)
        prefer = {self.layout["prefer"]} if "prefer" in self.layout else PUBLISHED
        for (place, column), rows in printed.items():
            usual = next(iter(lines[place]), ("",) * len(self.lines))
            line = next((own for own in lines[place] if prefer & {*own}), usual)
            lines[place].setdefault(line)
            _match(blocks[place, column][line], rows, self.layout["match"])
        return blocks

    def _arrange(self, blocks):
        """Lines of the table: key to cells by column."""
        self.grid, place = defaultdict(dict), self.layout.get("place", "last")
        sort = self.layout.get("sort", "")
        for (key, column), lines in blocks.items():
            for line, pairs in lines.items():
                if sort:
                    sign = -1 if sort[0] == "-" else 1
                    pairs.sort(key=lambda p: sign * {**p[1], **p[0]}.get(sort.lstrip("-"), 0))
                cells = [
                    [self._fill(spec, *pair) for spec in self.layout["cells"]] for pair in pairs
                ]
                number = 0
                for i, own in enumerate(cells):
                    if self.layout.get("distinct") and own in cells[:i]:
                        continue
                    for j, cell in enumerate(own):
                        heading = ((j, cell.spec.get("heading", "")),)
                        row = key[2] + (heading if place == "rows" else ())
                        where = {"first": heading + column, "last": column + heading}
                        where = where.get(place, column)
                        at = self.grid[key[0], key[1], row, line, number]
                        if self.layout.get("join") and where in self.grid[*key[:2], row, line, 0]:
                            _join(self.grid[*key[:2], row, line, 0][where], cell)
                        else:
                            at[where] = cell
                    number += not self.layout.get("join")
        rank = [*self.layout["groups"], *self.layout["rows"]]

        def order(key):
            section, group, row, line, i = key
            names = zip([*rank, None], [*group, *row])
            places = [self._rank[n][v] if n else v[0] for n, v in names]
            return section, *places, *(self._rank[n][v] for n, v in zip(self.lines, line)), i

        self.grid = {key: self.grid[key] for key in sorted(self.grid, key=order) if self.grid[key]}

    def _fill(self, spec, ours, theirs):
        cell, form = Cell(spec=spec, row=ours or theirs), spec.get("format")
        cell.ours = compose(spec["value"], ours, form, spec)
        printed = compose(spec["value"], theirs, form, spec)
        under = [compose(spec.get("under", {}), row, form, spec) for row in (ours, theirs)]
        cell.small = tuple(filter(None, [show_interval(spec, ours), under[0]]))
        cell.thesis = tuple(filter(None, [printed, under[1]]))
        if spec.get("best"):
            if str(ours.get("status", "")).startswith("not run") and not cell.ours:
                cell.ours = "not run"
            if self.layout.get("mark") and ours.get("selection") and spec.get("marked", True):
                cell.small += tuple(re.split(rf" (?={MARKS})", str(ours["selection"])))
            if theirs and not printed and not cell.ours:
                cell.thesis = ("–",)
        return cell

    def _mark_best(self):
        groups, by = defaultdict(list), self.layout.get("best", [])
        for (section, _, _, line, _), cells in self.grid.items():
            for column, cell in cells.items():
                spec, row = cell.spec, cell.row
                control = self._is_control(row) or self._match_any(row, "controls_beside")
                if (
                    section == 0
                    and not control
                    and spec.get("best")
                    and isinstance(cell.value, int | float)
                ):
                    own = (column[-1],) if by else column
                    own = self._get(row, by) if by and len(self.layout["cells"]) == 1 else own
                    key = (bool(PUBLISHED & {*line}), own, self._get(row, by))
                    groups[key].append((cell, max if spec["best"] == "max" else min))
        for members in groups.values():
            extreme = members[0][1](cell.value for cell, _ in members)
            for cell, _ in members:
                cell.best = cell.value == extreme

    def _build(self):
        layout, place = self.layout, self.layout.get("place", "last")
        n_levels, n_stubs = len(layout["columns"]), len(layout["rows"]) + (place == "rows")

        def order(column):
            cells = [part for part in column if isinstance(part, tuple)]
            values = [part for part in column if not isinstance(part, tuple)]
            ranks = [self._rank[name][v] for name, v in zip(layout["columns"][:1], values)]
            ranks += [self._seen.index(tuple(values))]
            own = [cells[0][0]] if cells else []
            return own + ranks if place == "first" else ranks + own

        # Rows without a place among the rows or the columns list their scores on a line.
        spans = {
            key
            for key, own in self.grid.items()
            if key[0] and n_levels and n_stubs
            if not any(key[2])
            or not any(value for column in own for value in column if isinstance(value, str))
        }
        cells = {key: own for key, own in self.grid.items() if key not in spans}
        filled = [(c, cell) for own in cells.values() for c, cell in own.items()]
        columns = {c: False for c, cell in filled if cell.ours or cell.thesis}
        for column in columns:
            own = [cell for c, cell in filled if c == column]
            beside = self.beside and any(cell.ours for cell in own)
            columns[column] = beside and any(cell.thesis for cell in own)
        self.columns = {column: columns[column] for column in sorted(columns, key=order)}
        stubs = [*layout["rows"].values(), *(["Statistics"] if place == "rows" else [])]
        heads = [*stubs, *self.lines.values()]
        texts = {key: [*map(_name, key[2]), *key[3]] for key in cells}
        for key in spans:
            label = [
                v for column in [key[2], *self.grid[key]] for v in column if isinstance(v, str)
            ]
            texts[key] = [", ".join(dict.fromkeys(filter(None, label))), *[""] * (n_stubs - 1)]
            texts[key] += key[3]
        used = [i for i in range(len(heads)) if any(own[i] for own in texts.values())]
        self.stubs = [layout.get("stub", heads[i]) if i == 0 else heads[i] for i in used]
        self._build_header()
        self.body, before = [], (0, ())
        last = None
        for key, own in self.grid.items():
            section, group = key[:2]
            if section != before[0]:
                label = {1: "The thesis", 2: layout.get("below", "Controls and extensions")}
                self.body.append(("rule", label[section]))
            if (section, group) != before and any(group):
                self.body.append(("group", ", ".join(map(_name, filter(None, group)))))
                last = None
            stubs = [texts[key][i] for i in used]
            changed = (section, group) != before or last is None
            same = next(
                (i for i, (a, b) in enumerate(zip(stubs, last or ())) if a != b), len(stubs)
            )
            shown = stubs if changed else [""] * same + stubs[same:]
            before, last = (section, group), stubs
            if key in spans:
                self.body.append(("span", shown, self._list_scores(own)))
                continue
            row = [
                part
                for column, beside in self.columns.items()
                for part in self._stack(own.get(column, Cell()), beside)
            ]
            self.body.append(("row", shown, row))

    def _build_header(self):
        levels = list(zip(*self.columns)) if self.columns else []
        self.header = []
        if self.layout.get("heading") and any(self.columns):
            self.header.append([(self.layout["heading"], self.n_columns)])
        for i, level in enumerate(levels):
            spans, before = [], None
            for column, beside, value in zip(self.columns, self.columns.values(), level):
                if spans and column[: i + 1] == before and i < len(levels) - 1:
                    spans[-1][1] += 1 + beside
                else:
                    spans.append([_name(value), 1 + beside])
                before = column[: i + 1]
            if any(text for text, _ in spans):
                self.header.append([tuple(span) for span in spans])
        self.header = self.header or [[("", 1 + beside) for beside in self.columns.values()]]

    @property
    def n_columns(self):
        """Columns of the body, without the first ones, of keys."""
        return len(self.columns) + sum(self.columns.values())

    @property
    def printed(self):
        """Numbers of the columns with nothing but the thesis's values, beside ours."""
        sides = [side for beside in self.columns.values() for side in ([0, 1] if beside else [0])]
        return {i for i, side in enumerate(sides) if side}

    def _stack(self, cell, beside):
        ours = [("bold" if cell.best else "", cell.ours)] if cell.ours else []
        ours += [("small", text) for text in cell.small if cell.ours]
        style = ("thesis", "thesis small")
        thesis = [(style[min(i, 1)], text) for i, text in enumerate(cell.thesis)]
        return [ours, thesis] if beside else [ours + thesis]

    def _list_scores(self, own):
        parts = []
        for cell in own.values():
            if cell.ours:
                heading = cell.spec.get("heading", "")
                parts += [("small", f"{heading}:")] if heading and len(own) > 1 else []
                parts += [("", cell.ours), *(("small", text) for text in cell.small)]
        return parts

    def _write_notes(self, ours, theirs):
        cells = [cell for own in self.grid.values() for cell in own.values()]
        notes = []
        if any(cell.small and cell.small[0].startswith("[") for cell in cells):
            units = sorted({row["unit"] for row in ours if row.get("unit")})
            over = f", resampled over {' and '.join(f'{unit}s' for unit in units)}" if units else ""
            notes.append(f"Brackets: 95 % intervals{over}.")
        if any(cell.best for cell in cells):
            kinds = {bool(PUBLISHED & {*key[3]}) for key in self.grid}
            notes.append(f"Bold: best{' of each kind of selection' * (len(kinds) > 1)}.")
        if theirs:
            notes.append("Grey: printed in the thesis, for its own corpus.")
        reasons = [str(row["status"]) for row in ours if "not run:" in str(row.get("status", ""))]
        reasons += [str(row["interval_note"]) for row in ours if row.get("interval_note")]
        notes += [reason[0].upper() + reason[1:] + "." for reason in dict.fromkeys(reasons)]
        self.notes = notes + self.layout.get("notes", [])


def _name(value):
    return value[1] if isinstance(value, tuple) else value


def _join(cell, other):
    if other.ours not in cell.ours.split(", "):
        cell.ours = ", ".join(filter(None, [cell.ours, other.ours]))
    cell.thesis = cell.thesis or other.thesis


def _match(pairs, theirs, columns):
    """Pair the thesis's rows of one key with ours, in place; what is left stands alone."""
    left = list(theirs)
    for n in range(len(columns), 0, -1):

        def identify(row, n=n):
            return tuple(spell_plainly(row.get(name, "")) for name in columns[:n])

        for row in list(left):
            alike = [pair for pair in pairs if identify(pair[0]) == identify(row) and not pair[1]]
            rivals = [other for other in left if identify(other) == identify(row)]
            if len(alike) == 1 == len(rivals):
                alike[0][1] = row
                left.remove(row)
    mine = [pair for pair in pairs if not pair[1]]
    if len(mine) == len(left):
        for pair in mine:
            pair[1] = left.pop(0)
    pairs += [[{}, row] for row in left]
