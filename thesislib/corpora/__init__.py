"""Stage 1: labelled audio as tables."""

from pathlib import Path

#: Corpora that anyone may download: name at the command line to module.
FETCHABLE = {
    "emo-db": "emo_db",
    "esc-50": "esc_50",
    "physionet-2016": "physionet_2016",
    "ravdess": "ravdess",
    "tut-acoustic-scenes-2017": "acoustic_scenes",
    "tut-rare-sound-events-2017": "rare_events",
}


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
    from thesislib.corpora import acoustic_scenes, folder, heart, rare_events, snore
    from thesislib.corpora.compare import is_compare
    from thesislib.corpora.tut_2017 import find_unpacked
    from thesislib.errors import CorpusError

    root = folder.find_folder(root)
    for module in (snore, heart):
        if is_compare(root, module.LABEL_FILES):
            return module.load(root)
    for module in (acoustic_scenes, rare_events):
        if find_unpacked(root, module.MARKER) is not None:
            return module.load(root)
    public = _load_public(root)
    if public is not None:
        return public
    if (Path(root) / "index.csv").is_file():
        return folder.load(root)
    tasks = sorted(path.parent.name for path in root.glob("*/index.csv"))
    hint = f"; its sub-folders {', '.join(tasks)} are corpora: name one of them" if tasks else ""
    raise CorpusError(f"{root}: found no index.csv and no known layout, expected one{hint}")


def open_corpus(name, root="", *, task=None, labels=None, seed=0, **size):
    """Open a user's corpus, or make and open the embedded synthetic one.

    Parameters
    ----------
    name : str
        Module of the corpus: ``snore``, ``heart``, …
    root : str or Path
        Folder of the corpus; empty for the synthetic one, which is written once to
        ``data/synthetic`` in the real corpus's layout. A public stand-in (EMO-DB, RAVDESS,
        PhysioNet 2016, ESC-50) is recognised by its files.
    task : str, optional
        Which of the two-class corpora of ``vocalisations``; no other corpus has any.
    labels : dict of str to str, optional
        What a native package's labels mean (``heart``); the labels of an ``index.csv`` stay.
    seed : int
        Of the synthetic corpus.
    **size
        Further arguments of :func:`thesislib.corpora.synthetic.make_corpus`.

    Returns
    -------
    Corpus
        Checked: every file can be read, no group is on both sides of a split.

    Raises
    ------
    ParameterError
        If the task is missing, unknown or superfluous.
    CorpusError
        Lists every problem.
    """
    from thesislib.errors import ParameterError, check_option

    module, root = _find_corpus(name, root, seed, size)
    if hasattr(module, "list_tasks"):
        check_option("task", task, module.list_tasks(root))
        return module.load(root, task).check()
    if task is not None:
        raise ParameterError(f"task: found {task!r}, expected none ({name} has no tasks)")
    public = _load_public(root)
    if public is not None:
        return public.check()
    return module.load(root, **({} if labels is None else {"labels": labels})).check()


def open_tasks(name, root="", *, seed=0, **size):
    """Open every task of a corpus that consists of several (``vocalisations``, 9.1).

    Parameters
    ----------
    name, root, seed, **size
        As in :func:`open_corpus`; the folder of a single task is its only one.

    Returns
    -------
    dict of str to Corpus
        Checked, in the thesis's order.
    """
    module, root = _find_corpus(name, root, seed, size)
    if (Path(root) / "index.csv").is_file():
        root, tasks = Path(root).resolve().parent, [Path(root).resolve().name]
    else:
        tasks = module.list_tasks(root)
    return {task: module.load(root, task).check() for task in tasks}


def fetch_corpus(name, root=None, *, accept_licence=False, progress=True):
    """Download a corpus that anyone may have.

    Parameters
    ----------
    name : str
        One of ``FETCHABLE``.
    root : str or Path, optional
        Its folder; default: ``data/<module>``.
    accept_licence : bool
        That you have read the module's ``LICENCE``.
    progress : bool

    Returns
    -------
    Path
        The folder.

    Raises
    ------
    ParameterError
        For an unknown name, or unless the licence was accepted (the message holds it).
    DownloadError, CorpusError
        If the download fails or is not what it should be.
    """
    from importlib import import_module

    from thesislib.errors import check_option
    from thesislib.places import data_folder

    module = FETCHABLE[check_option("name", name, FETCHABLE)]
    fetch = import_module(f"thesislib.corpora.{module}").fetch
    return fetch(root or data_folder() / module, accept_licence=accept_licence, progress=progress)


def _load_public(root):
    """A public stand-in in its native layout, or None."""
    from thesislib.corpora import emo_db, esc_50, folder, physionet_2016, ravdess

    root = folder.find_folder(root)
    for module, recognises in (
        (emo_db, emo_db.is_emo_db),
        (ravdess, ravdess.is_ravdess),
        (physionet_2016, physionet_2016.is_physionet_2016),
        (esc_50, esc_50.is_esc_50),
    ):
        if recognises(root):
            return module.load(root)
    return None


def _find_corpus(name, root, seed, size):
    """Module and folder of a corpus; the synthetic one is written if no folder is given."""
    from importlib import import_module

    from thesislib.corpora.synthetic import identify_corpus, make_corpus
    from thesislib.places import data_folder
    from thesislib.store import hash_parameters

    module = import_module(f"thesislib.corpora.{name}")
    if not root:
        # Named by its content, so that a later version's recipe makes a corpus of its own.
        content = hash_parameters(identify_corpus(name, seed=seed, **size)[1])[:8]
        folder = data_folder() / "synthetic" / f"{name}-seed-{seed}-{content}"
        root = make_corpus(name, folder, seed=seed, **size)
    return module, root
