"""Stage 1: labelled audio as tables."""

from pathlib import Path


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
    from thesislib.corpora import folder, heart, snore
    from thesislib.corpora.compare import is_compare
    from thesislib.errors import CorpusError

    root = folder.find_folder(root)
    for module in (snore, heart):
        if is_compare(root, module.LABEL_FILES):
            return module.load(root)
    if (Path(root) / "index.csv").is_file():
        return folder.load(root)
    raise CorpusError(f"{root}: found no index.csv and no known layout, expected one")


def open_corpus(name, root="", *, seed=0, **size):
    """Open a user's corpus, or make and open the embedded synthetic one.

    Parameters
    ----------
    name : str
        Module of the corpus: ``snore``, ``heart``, …
    root : str or Path
        Folder of the corpus; empty for the synthetic one, which is written once to
        ``data/synthetic`` in the real corpus's layout.
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
    CorpusError
        Lists every problem.
    """
    from importlib import import_module

    from thesislib.corpora.synthetic import make_corpus
    from thesislib.places import data_folder

    module = import_module(f"thesislib.corpora.{name}")
    if not root:
        shape = "".join(f"-{key}-{value}" for key, value in sorted(size.items()))
        folder = data_folder() / "synthetic" / f"{name}-seed-{seed}{shape}"
        root = make_corpus(name, folder, seed=seed, **size)
    return module.load(root).check()
