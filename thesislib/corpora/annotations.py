"""Events in loose recordings: a table of onsets and offsets, without an index."""

import math

from thesislib.corpora.recordings import UNKNOWN, match_names, read_entries
from thesislib.corpora.tables import Problems
from thesislib.errors import CorpusError

COLUMNS = ("onset_s", "offset_s", "label")


def read_events(names, root, path, *, unlabelled=False):
    r"""Events of recordings, from a table with a row an event.

    Parameters
    ----------
    names : list of str
        As `thesislib.corpora.recordings.find_recordings` gives them.
    root : Path
    path : str or Path
        ``.csv`` or ``.tsv`` with a header: ``file`` (as in `read_labels`), ``onset_s``,
        ``offset_s`` (in seconds from the start of the file) and ``label``. A file may have many
        rows. A row without times is a file without events, whatever its label. Other columns are
        left out, so a corpus's ``index.csv`` does.
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
    >>> from pathlib import Path
    >>> table = Path(tempfile.mkdtemp()) / "events.csv"
    >>> _ = table.write_text("file,onset_s,offset_s,label\na.wav,1,1.5,cough\nb.wav,,,\n")
    >>> read_events(["a.wav", "b.wav"], Path(), table)
    ([[(1.0, 1.5, 'cough')], []], 0)
    """
    problems, rows = Problems(), {}
    for line, key, cells in read_entries(path, names, root, problems, COLUMNS):
        where, events = f"{path}, line {line}", rows.setdefault(key, [])
        times, label = [cells[title] for title in COLUMNS[:2]], cells["label"]
        if all(time in (*UNKNOWN, "nan", "NaN") for time in times):
            continue
        try:
            onset_s, offset_s = map(float, times)
        except ValueError:
            onset_s = offset_s = math.nan
        if not 0 <= onset_s < offset_s < math.inf:
            found = (
                f"found {' to '.join(times)} s, expected an onset and a later offset, or neither"
            )
            problems.add(where, found, kind="times")
        elif label in UNKNOWN:
            problems.add(where, "found an event without a label")
        else:
            events.append((onset_s, offset_s, label))
    keys = match_names(names, root, path, rows)
    if not unlabelled:
        for name, key in zip(names, keys):
            if key is None:
                problems.add(name, "found in no row")
    problems.raise_if_any(
        "labels",
        "; expected the events of every file (a row without times where there is none), or "
        "unlabelled",
    )
    events = [None if key is None else rows[key] for key in keys]
    if not any(events):
        raise CorpusError(f"{path}: found no event in these files")
    return events, sum(len(rows[key]) or 1 for key in set(rows) - set(keys))
