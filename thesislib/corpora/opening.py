"""Open a corpus of a user, of the thesis, or a synthetic one (stage 1)."""

from importlib import import_module
from pathlib import Path

from thesislib.corpora import folder, indexed
from thesislib.corpora.records import NEEDS, RECORDS, find_place
from thesislib.corpora.splits import adapt, choose_split, take_slice
from thesislib.errors import CorpusError, ParameterError, check_option
from thesislib.places import data_folder
from thesislib.store import hash_parameters


def load_any(root):
    """Read a corpus whose layout is recognised by its files.

    Parameters
    ----------
    root : str or Path
        A ComParE package, a native layout, or any folder with an ``index.csv``.

    Returns
    -------
    Corpus

    Raises
    ------
    CorpusError
        If the folder is missing or holds no known layout.
    """
    name = _recognise(root)
    return load_corpus(name, root) if name else folder.load(_require_index(root))


def load_corpus(name, root, **options):
    """Read a corpus in its own layout, or any folder with an ``index.csv``.

    Parameters
    ----------
    name : str
        Such as ``snore`` or ``esc_50``.
    root : str or Path
        Folder of the corpus, or the one that its archive was unpacked into. Of ``vocalisations``,
        the sub-folder of a task.
    **options
        ``labels`` of a ComParE package (``heart``, ``snore``); ``target`` of ``emo_db``,
        ``ravdess`` and ``esc_50``: see `load` in the corpus's module.

    Returns
    -------
    Corpus

    Raises
    ------
    CorpusError
        If the folder does not hold the corpus, or lists what is wrong with its tables.

    Examples
    --------
    >>> load_corpus("snores", ".")
    Traceback (most recent call last):
    ...
    thesislib.errors.ParameterError: name: found 'snores', expected one of heart, snore, ...
    """
    record, place = RECORDS[check_option("name", name, RECORDS)], folder.find_folder(root)
    if record.markers:
        place = _find_native(root, record)
        if place is None and (Path(root) / "index.csv").is_file():
            return folder.load(root)
        if place is None:
            wanted = f"no {record.markers[0]}, expected {record.name}; {record.how_to_get}"
            raise CorpusError(f"{root}: found {record.missing or wanted}")
    return import_module(f"thesislib.corpora.{record.reader}").load(place, record, **options)


def open_corpus(name, root="", *, task=None, labels=None, n_folds=None, by="group", seed=0, **size):
    """Open a user's corpus, or make and open the embedded synthetic one.

    Parameters
    ----------
    name : str
        Module of the corpus: ``snore``, ``heart``, …
    root : str or Path
        Folder of the corpus; empty for the synthetic one, which is written once to
        ``data/synthetic`` in the real corpus's layout. A native layout (ComParE, TUT, EMO-DB,
        RAVDESS, PhysioNet 2016, ESC-50) is recognised by its files.
    task : str, optional
        Which of the two-class corpora of ``vocalisations``; no other corpus has any.
    labels : dict of str to str, optional
        What a native package's labels mean (``heart``); the labels of an ``index.csv`` stay.
    n_folds : int, optional
        Folds that are drawn where the experiment takes folds and the corpus has none.
    by : {"group", "domain"}
        What a split keeps together: see :func:`thesislib.corpora.splits.adapt`.
    seed : int
        Of the synthetic corpus, and of splits that are derived.
    **size
        Further arguments of :func:`thesislib.corpora.synthetic.make_corpus`.

    Returns
    -------
    Corpus
        With the splits that the experiment needs (:func:`thesislib.corpora.splits.adapt`).
        Checked: every file can be read, no group is on both sides of a split.

    Raises
    ------
    ParameterError
        If the task is missing, unknown or superfluous.
    CorpusError
        Lists every problem.
    """
    has_tasks = "tasks" in RECORDS[name].values
    if task is not None and not has_tasks:
        raise ParameterError(f"task: found {task!r}, expected none ({name} has no tasks)")
    corpora = read_corpora(name, root or _make_corpus(name, seed, size), labels=labels)
    if has_tasks:
        check_option("task", task, corpora)
    return adapt(corpora[task or ""], n_folds or NEEDS[name], by=by, seed=seed).check()


def open_own(root="", *, n_folds=5, by="group", seed=0):
    """Open any folder with the split that it brings (``20_own_recordings``).

    Parameters
    ----------
    root : str or Path
        As of :func:`load_any`; empty for a few clips of a synthetic corpus.
    n_folds : int
        Folds that are drawn for a corpus with neither partitions nor folds.
    by, seed
        As in :func:`open_corpus`.

    Returns
    -------
    Corpus
        Checked; :func:`thesislib.corpora.splits.choose_split` names its partitions.
    """
    if root:
        corpus = load_any(root)
    else:
        corpus = open_corpus("acoustic_scenes", seed=seed)
        scenes = ["beach", "bus", "home"]
        corpus = take_slice(corpus.select(corpus.index["label"].isin(scenes)), 2)
    return adapt(corpus, choose_split(corpus) or n_folds, by=by, seed=seed).check()


def open_tasks(name, root="", *, by="group", seed=0, **size):
    """Open every task of a corpus that consists of several (``vocalisations``, 9.1).

    Parameters
    ----------
    name, root, by, seed, **size
        As in :func:`open_corpus`; the folder of a single task is its only one.

    Returns
    -------
    dict of str to Corpus
        Checked, in the thesis's order.
    """
    needs, corpora = NEEDS[name], read_corpora(name, root or _make_corpus(name, seed, size))
    return {task: adapt(each, needs, by=by, seed=seed).check() for task, each in corpora.items()}


def read_corpora(name, root, *, labels=None):
    """Read what :func:`open_corpus` or :func:`open_tasks` opens, as it is and without a check.

    Parameters
    ----------
    name, labels
        As in :func:`open_corpus`.
    root : str or Path

    Returns
    -------
    dict of str to Corpus
        By task; ``""`` where the corpus has none.

    Raises
    ------
    CorpusError
        If the folder holds no corpus.
    """
    root, has_tasks = Path(root), "tasks" in RECORDS[name].values
    native = _recognise(root)
    if native is None:
        _require_index(root, sub_folders=has_tasks)
        if has_tasks and not (root / "index.csv").is_file():
            tasks = indexed.list_tasks(root, RECORDS[name])
            return {task: load_corpus(name, root / task) for task in tasks}
    options = {"labels": labels} if native == "heart" else {}
    task = root.resolve().name if has_tasks else ""
    return {task: load_corpus(native or name, root, **options)}


def _find_native(root, record):
    """Folder in the corpus's layout, or None; an ``index.csv`` may take precedence."""
    if record.index_first and (Path(root) / "index.csv").is_file():
        return None
    return find_place(root, record)


def _recognise(root):
    """Name of the corpus whose layout a folder has, or None."""
    root = folder.find_folder(root)
    return next((name for name, record in RECORDS.items() if _find_native(root, record)), None)


def _require_index(root, *, sub_folders=False):
    """Return the folder; raise an error that says how to make the index if there is none."""
    tasks = sorted(path.parent.name for path in Path(root).glob("*/index.csv"))
    if (Path(root) / "index.csv").is_file() or (sub_folders and tasks):
        return root
    hint = f"run: thesis corpus index {root}"
    if tasks:
        hint = f"its sub-folders {', '.join(tasks)} are corpora: name one of them"
    raise CorpusError(f"{root}: found no index.csv and no known layout, expected one; {hint}")


def _make_corpus(name, seed, size):
    """Folder of the synthetic corpus, which is written if needed."""
    from thesislib.corpora.synthetic import identify_corpus, make_corpus

    # Named by its content, so that a later version's recipe makes a corpus of its own.
    content = hash_parameters(identify_corpus(name, seed=seed, **size)[1])[:8]
    place = data_folder() / "synthetic" / f"{name}-seed-{seed}-{content}"
    return make_corpus(name, place, seed=seed, **size)
