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

_PARTITIONS = ("train", "devel", "test")
#: What the experiment on a corpus needs: a number of folds, or partitions (see
#: :func:`thesislib.corpora.splits.adapt`).
NEEDS = {
    "acoustic_scenes": 4,
    "game_genre": 10,
    "heart": _PARTITIONS,
    "rare_events": (),
    "sentiment": _PARTITIONS,
    "snore": _PARTITIONS,
    "vocalisations": ("train", "evaluation"),
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
    from thesislib.corpora import folder

    native = _load_native(root)
    if native is not None:
        return native
    _require_index(root)
    return folder.load(root)


def open_corpus(name, root="", *, task=None, labels=None, n_folds=None, seed=0, **size):
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
    from thesislib.errors import ParameterError, check_option

    module, root = _find_corpus(name, root, seed, size)
    if task is not None and not hasattr(module, "list_tasks"):
        raise ParameterError(f"task: found {task!r}, expected none ({name} has no tasks)")
    corpora = read_corpora(name, root, labels=labels, n_folds=n_folds, seed=seed)
    if hasattr(module, "list_tasks"):
        check_option("task", task, corpora)
    return corpora[task or ""].check()


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
    _, root = _find_corpus(name, root, seed, size)
    return {task: corpus.check() for task, corpus in read_corpora(name, root, seed=seed).items()}


def read_corpora(name, root, *, labels=None, n_folds=None, seed=0):
    """Read what :func:`open_corpus` or :func:`open_tasks` opens, without looking into the audio.

    Parameters
    ----------
    name, labels, n_folds, seed
        As in :func:`open_corpus`.
    root : str or Path

    Returns
    -------
    dict of str to Corpus
        By task; ``""`` where the corpus has none. With the splits that the experiment needs.

    Raises
    ------
    CorpusError
        If the folder holds no corpus, or the splits cannot be derived.
    """
    from importlib import import_module

    from thesislib.corpora.splits import adapt

    module, root = import_module(f"thesislib.corpora.{name}"), Path(root)
    has_tasks = hasattr(module, "list_tasks")
    own = root.resolve()
    native = _load_native(root, labels=labels)
    if native is None:
        _require_index(root, sub_folders=has_tasks)
    if native is not None:
        corpora = {own.name if has_tasks else "": native}
    elif not has_tasks:
        corpora = {"": module.load(root)}
    elif (root / "index.csv").is_file():
        corpora = {own.name: module.load(own.parent, own.name)}
    else:
        corpora = {task: module.load(root, task) for task in module.list_tasks(root)}
    needs = n_folds or NEEDS[name]
    return {task: adapt(corpus, needs, seed=seed) for task, corpus in corpora.items()}


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


def _load_native(root, *, labels=None):
    """A corpus in a layout of its own, or None; ``labels`` as in :func:`open_corpus`."""
    from thesislib.corpora import (
        acoustic_scenes,
        emo_db,
        esc_50,
        folder,
        heart,
        physionet_2016,
        rare_events,
        ravdess,
        snore,
    )
    from thesislib.corpora.compare import is_compare
    from thesislib.corpora.tut_2017 import find_unpacked

    root = folder.find_folder(root)
    if is_compare(root, heart.LABEL_FILES):
        return heart.load(root, labels=labels)
    for module, is_native in (
        (snore, lambda: is_compare(root, snore.LABEL_FILES)),
        (acoustic_scenes, lambda: find_unpacked(root, acoustic_scenes.MARKER)),
        (rare_events, lambda: find_unpacked(root, rare_events.MARKER)),
        (emo_db, lambda: emo_db.is_emo_db(root)),
        (ravdess, lambda: ravdess.is_ravdess(root)),
        (physionet_2016, lambda: physionet_2016.is_physionet_2016(root)),
        (esc_50, lambda: esc_50.is_esc_50(root)),
    ):
        if is_native():
            return module.load(root)
    return None


def _require_index(root, *, sub_folders=False):
    """Raise a :class:`CorpusError` that says how to make the index if there is none."""
    from thesislib.errors import CorpusError

    tasks = sorted(path.parent.name for path in Path(root).glob("*/index.csv"))
    if (Path(root) / "index.csv").is_file() or (sub_folders and tasks):
        return
    hint = f"run: thesis corpus index {root}"
    if tasks:
        hint = f"its sub-folders {', '.join(tasks)} are corpora: name one of them"
    raise CorpusError(f"{root}: found no index.csv and no known layout, expected one; {hint}")


def _find_corpus(name, root, seed, size):
    """Module and folder of a corpus; the synthetic one is written if no folder is given."""
    from importlib import import_module

    module = import_module(f"thesislib.corpora.{name}")
    if not root:
        from thesislib.corpora.synthetic import identify_corpus, make_corpus
        from thesislib.places import data_folder
        from thesislib.store import hash_parameters

        # Named by its content, so that a later version's recipe makes a corpus of its own.
        content = hash_parameters(identify_corpus(name, seed=seed, **size)[1])[:8]
        folder = data_folder() / "synthetic" / f"{name}-seed-{seed}-{content}"
        root = make_corpus(name, folder, seed=seed, **size)
    return module, root
