"""What is wrong with a corpus, and what is worth knowing about it: everything at once."""

import os
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from itertools import takewhile

import numpy as np

from thesislib.audio import MAX_PEAK, find_peak, probe_audio
from thesislib.corpora.folder import Folders
from thesislib.corpora.index import DESCRIPTION, TIMES, read_description
from thesislib.corpora.tables import Problems, clean_name
from thesislib.corpora.twins import find_twins
from thesislib.errors import AudioError

#: Files whose results are held at a time.
BLOCK = 1000


def find_problems(corpus, *, audio=True):
    """Look for everything that is missing or wrong.

    Parameters
    ----------
    corpus : Corpus
    audio : bool
        Also look into every audio file.

    Returns
    -------
    problems : Problems
        What makes results wrong or impossible.
    remarks : list of str
        What is worth knowing.
    """
    index, problems = corpus.index, Problems()
    remarks = [*corpus.remarks, *_compare_spellings(index), *_find_single_domains(index)]
    _check_rows(index, problems)
    _find_divided_groups(index, problems)
    _find_absent_classes(corpus, problems)
    if audio:
        durations_s, others = _probe_files(corpus, problems)
        remarks += others
        if read_description(corpus.root).get("duplicates") != "allowed":
            _find_shared_recordings(corpus, durations_s, problems)
    return problems, remarks


def _compare_spellings(index):
    """Remarks on values that differ in case or composition only: two classes, or a slip."""
    remarks = []
    for column in sorted({"label", "partition", "group", "domain"} & set(index)):
        values = index[column].dropna().drop_duplicates()
        for _, alike in values.groupby(values.map(lambda v: clean_name(v).casefold())):
            if len(alike) > 1:
                remarks.append(f"{column}s that differ in spelling only: {', '.join(alike)}")
    return remarks


def _find_single_domains(index):
    """Remarks on classes that come from one domain."""
    if "domain" not in index:
        return []
    domains = index.dropna(subset=["label", "domain"]).groupby("label")["domain"].unique()
    return [
        f"class {name!r} comes from one domain ({values[0]}): a score can come from recognising it"
        for name, values in domains.items()
        if len(values) == 1
    ]


def _check_rows(index, problems):
    if not len(index):
        problems.add("index", "found no rows")
    segment = [c for c in ("file", "start_s", "end_s") if c in index]
    rules = [
        (index["file"].isna(), "no file named"),
        (index.duplicated(segment), "{file} stands in the index twice"),
    ]
    for low, high in (("start_s", "end_s"), ("onset_s", "offset_s")):
        if low in index:
            rules.append((index[low] < 0, f"{low} is {{{low}:g}}, expected >= 0"))
            if high in index:
                what = f"found {low} {{{low}:g}}, {high} {{{high}:g}}, expected {low} < {high}"
                rules.append((index[high] <= index[low], what))
    _add_by_rule(index, rules, problems)
    if index["label"].isna().all():
        problems.add("index", "no row has a label")


def _add_by_rule(index, rules, problems):
    """Add the rows under each mask; the text takes the row's values."""
    for mask, what in rules:
        problems.add_rows(mask, lambda row, what=what: what.format(**index.iloc[row]), kind=what)


def _find_divided_groups(index, problems):
    """A group on both sides of a split would be recognised; one in two domains is a mistake."""
    for column in {"partition", "fold", "domain"} & set(index) if "group" in index else ():
        sides = index.dropna(subset=["group", column]).groupby("group")[column].unique()
        for group, values in sides[sides.map(len) > 1].items():
            listed = ", ".join(map(str, sorted(values)))
            what = f"found in {column}s {listed}, expected one {column}"
            problems.add(f"group {group!r}", what, kind=f"group {column}")


def _find_absent_classes(corpus, problems):
    labelled = corpus.index.dropna(subset=["label"])
    for column in {"partition", "fold"} & set(labelled):
        for name, rows in labelled.groupby(column):
            if absent := sorted(set(corpus.classes) - set(rows["label"])):
                what = f"found no clip of class {', '.join(absent)}"
                problems.add(f"{column} {name!r}", what, kind=f"class {column}")


def _find_shared_recordings(corpus, durations_s, problems):
    """The same recording under two names, in two partitions or folds."""
    index = corpus.index
    columns = sorted({"partition", "fold"} & set(index))
    sides = {
        column: index.dropna(subset=column).groupby("file")[column].agg(set) for column in columns
    }
    for first, second in find_twins(corpus.root, durations_s) if columns else ():
        for column in columns:
            parts = [sides[column].get(file, set()) for file in (first, second)]
            if all(parts) and len(parts[0] | parts[1]) > 1:
                names = " and ".join(repr(min(part)) for part in parts[::-1])
                what = (
                    f"the same recording as {first}, in {column} {names}, expected one {column} "
                    f'(or "duplicates": "allowed" in {DESCRIPTION})'
                )
                problems.add(second, what, kind=f"twins {column}")


def _probe_files(corpus, problems):
    """Open every file's header; return seconds by file, and remarks on what differs."""
    index, root = corpus.index, corpus.root
    first_rows = index["file"].dropna().drop_duplicates()
    first_rows = first_rows.drop(_find_foreign_paths(first_rows, root, problems))
    # By listing folders, since a look at each of a million absent files takes minutes.
    is_absent = ~first_rows.map(Folders(root).hold).astype(bool)
    absent, first_rows = first_rows[is_absent], first_rows[~is_absent]
    for (row, name), count in zip(absent.items(), (1, 1, len(absent) - 2)):
        what = "found no such file, expected an audio file"
        problems.add(f"row {row + 1}: {name}", what, count=count)

    def probe(name):
        try:
            info = probe_audio(root / name)
            return info, find_peak(info.path) if info.is_float and info.n_channels < 3 else 0
        except AudioError as error:
            return str(error).removeprefix(f"{root / name}: "), 0

    seconds, peaks, rates, channels = {}, [], Counter(), Counter()
    with ThreadPoolExecutor(8) as pool:
        for start in range(0, len(first_rows), BLOCK):
            part = first_rows.iloc[start : start + BLOCK]
            for (row, name), (info, peak) in zip(part.items(), pool.map(probe, part)):
                if isinstance(info, str):
                    problems.add(f"row {row + 1}: {name}", info)
                    continue
                if info.n_channels > 2:
                    what = f"{name} has {info.n_channels} channels, expected 1 or 2"
                    problems.add(f"row {row + 1}", what, kind="channels")
                seconds[name] = info.duration_s
                rates[info.sr] += 1
                channels[info.n_channels] += 1
                peaks += [peak] * (peak > 1)
    lasts, rules = index["file"].map(seconds).astype(float), []
    for column in set(TIMES) & set(index):
        wrong = index[column] > lasts + 0.05
        if column == "duration_s":
            wrong = (index[column] - lasts).abs() > np.maximum(0.1, 0.02 * lasts)
        rules.append((wrong, f"{column} is {{{column}:g}}, but {{file}} lasts {{lasts:.3f}} s"))
    _add_by_rule(index.assign(lasts=lasts), rules, problems)
    remarks = []
    sr = min(rates, default=0)
    lowest = f"; features differ by that alone: give --sr {sr} (to a run: -p sr={sr})"
    mixed = ("sampling rates (Hz)", rates, lowest), ("numbers of channels", channels, "")
    for what, counts, remedy in mixed:
        if len(counts) > 1:
            listed = ", ".join(f"{kind} in {n} files" for kind, n in sorted(counts.items()))
            remarks.append(f"mixed {what}: {listed}{remedy}")
    if peaks:
        remarks.append(
            f"{len(peaks)} files have peaks beyond full scale, up to {max(peaks):.4g} (at most "
            f"{MAX_PEAK:g} is read; openSMILE clips at 1)"
        )
    return seconds, remarks


def _find_foreign_paths(names, root, problems):
    """Rows of absolute paths that are not here: one problem with what they have in common."""
    is_absolute = names.str.match(r"[/\\]|.:")
    foreign = names[is_absolute][~names[is_absolute].map(os.path.exists).astype(bool)]
    if len(foreign):
        folders = {name.replace("\\", "/").rpartition("/")[0] for name in foreign}
        levels = zip(*(folder.split("/") for folder in folders))
        common = "/".join(level[0] for level in takewhile(lambda x: len(set(x)) == 1, levels))
        what = f"found absolute paths below {common!r}, which is not here"
        problems.add(f"{len(foreign)} files", f"{what}; expected paths from {root}")
    return foreign.index
