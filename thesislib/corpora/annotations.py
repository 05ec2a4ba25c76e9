"""Events in loose recordings: a table of onsets and offsets, without an index."""

import csv
import math
from pathlib import Path, PurePosixPath

from thesislib.corpora.recordings import FILE_COLUMNS, TABLES, UNKNOWN, find_keys
from thesislib.errors import CorpusError, check_option

COLUMNS = ("onset_s", "offset_s", "label")


def read_events(names, root, path, *, unlabelled=False):
    r"""Events of recordings, from a table with a row an event.

    Parameters
    ----------
    names : list of str
        As `thesislib.corpora.recordings.find_recordings` gives them.
    root : Path
    path : str or Path
        ``.csv`` (comma) or ``.tsv`` with a header: ``file`` (or ``file_name``; found as in
        `read_labels`), ``onset_s``, ``offset_s`` (in seconds from the start of the file) and
        ``label``. A file may have many rows. A row without times is a file without events,
        whatever its label. Other columns are left out, so a corpus's ``index.csv`` does.
    unlabelled : bool
        Allow files that the table does not name: nobody has listened to them.

    Returns
    -------
    events : list of list of (onset_s, offset_s, label), or None
        One a recording; None where the table does not name it.
    n_unused : int
        Rows of the table whose file is not among ``names``.

    Raises
    ------
    CorpusError
        Lists every row that is no event and every file without a row; if there is no event.

    Examples
    --------
    >>> import tempfile
    >>> table = Path(tempfile.mkdtemp()) / "events.csv"
    >>> _ = table.write_text("file,onset_s,offset_s,label\na.wav,1,1.5,cough\nb.wav,,,\n")
    >>> read_events(["a.wav", "b.wav"], Path(), table)
    ([[(1.0, 1.5, 'cough')], []], 0)
    """
    path, problems, rows = Path(path), [], {}
    for number, line in _read_lines(path):
        if None in line or None in line.values():
            problems.append(f"{path}, line {number}: found more or fewer fields than columns")
            continue
        name = PurePosixPath(line["file"].strip().replace("\\", "/")).as_posix()
        found = rows.setdefault(name, [])
        times = [line[title].strip() for title in COLUMNS[:2]]
        if all(time in (*UNKNOWN, "nan", "NaN") for time in times):
            continue
        try:
            onset_s, offset_s = map(float, times)
        except ValueError:
            onset_s = offset_s = math.nan
        label = line["label"].strip()
        if not 0 <= onset_s < offset_s < math.inf:
            problems.append(
                f"{path}, line {number}: found {' to '.join(times)} s, expected an onset and a "
                "later offset, or neither"
            )
        elif label in UNKNOWN:
            problems.append(f"{path}, line {number}: found an event without a label")
        else:
            found.append((onset_s, offset_s, label))
    keys = [
        next((key for key in known if key in rows), None) for known in find_keys(names, root, path)
    ]
    if not unlabelled:
        problems += [f"{name}: found in no row" for name, key in zip(names, keys) if key is None]
    events = [None if key is None else rows[key] for key in keys]
    if not problems and not any(events):
        problems.append(f"{path}: found no event in these files")
    if problems:
        listed = "\n".join(f"  - {problem}" for problem in problems)
        raise CorpusError(
            f"labels: {len(problems)} problems; expected the events of every file (a row without "
            f"times where there is none), or unlabelled\n{listed}"
        )
    return events, sum(len(rows[key]) or 1 for key in set(rows) - set(keys))


def _read_lines(path):
    """Numbered lines of the table, each a dict."""
    check_option("labels", path.suffix.lower(), TABLES)
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, delimiter=TABLES[path.suffix.lower()])
            lines = [(reader.line_num, line) for line in reader]
            header = reader.fieldnames or []
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise CorpusError(f"{path}: cannot be read ({error})") from error
    title = next((name for name in FILE_COLUMNS if name in header), None)
    if title is None or not set(COLUMNS) <= set(header):
        raise CorpusError(
            f"{path}: found the columns {', '.join(header)}, expected file, {', '.join(COLUMNS)}"
        )
    return [(number, line | {"file": line[title]}) for number, line in lines if any(line.values())]
