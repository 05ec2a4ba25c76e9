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
