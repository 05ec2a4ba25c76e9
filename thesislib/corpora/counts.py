"""Published numbers of clips against those of an index (thesis Tables 8.8, 9.1 and 9.4).

For corpora without a public layout: the index is whatever its owner wrote, so only
the counts can tell whether it is the thesis's corpus.
"""

from dataclasses import replace

from thesislib.corpora import folder


def load_counted(root, *, name, licence, compare):
    """Read a folder with an ``index.csv`` and compare its numbers with the published ones.

    Parameters
    ----------
    root : str or Path
    name, licence : str
        Of the thesis's corpus; taken if the counts fit and ``corpus.json`` is silent.
    compare : callable
        ``compare(index) -> (mismatches, notes)``, two sequences of text. Any mismatch
        keeps the corpus from being taken for the thesis's own; notes do not.

    Returns
    -------
    Corpus
        Kind ``thesis`` only if nothing mismatches and ``corpus.json`` does not say
        otherwise. Both lists are its remarks, unless it is synthetic.

    Raises
    ------
    CorpusError
        If the folder or the index is missing, or the index cannot be read.
    """
    corpus = folder.load(root)
    described = folder.read_description(root)
    mismatches, notes = compare(corpus.index)
    kind = described.get("kind", "stand-in" if mismatches else "thesis")
    if kind == "synthetic":
        return corpus
    changed = {"kind": kind, "remarks": (*corpus.remarks, *mismatches, *notes)}
    if kind == "thesis":
        changed["name"] = described.get("name", name)
        if corpus.licence == "not stated":
            changed["licence"] = licence
    return replace(corpus, **changed)


def list_differences(found, published, *, tolerance=0.0):
    """Put into words where numbers differ from the published ones.

    Parameters
    ----------
    found, published : dict of str to float
        What is counted to its number; what one side lacks counts as 0.
    tolerance : float
        Largest difference that passes, for numbers that are printed rounded.

    Returns
    -------
    tuple of str

    Examples
    --------
    >>> list_differences({"clips of ACS": 3}, {"clips of ACS": 258})
    ('clips of ACS: found 3, published 258',)
    """
    return tuple(
        f"{what}: found {found.get(what, 0):g}, published {published.get(what, 0):g}"
        for what in dict.fromkeys([*published, *found])
        if abs(found.get(what, 0) - published.get(what, 0)) > tolerance + 1e-9
    )
