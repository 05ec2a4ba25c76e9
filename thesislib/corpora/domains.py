"""Domains: two corpora as one, and synthetic recordings from several places (outlook, 11.4)."""

import os
from pathlib import Path
from zlib import crc32

import numpy as np
import pandas as pd
import soundfile

from thesislib.corpora.index import Corpus
from thesislib.errors import CorpusError

#: Near silence after the planted clips of a synthetic corpus, and its amplitude.
PLANTED_S, PLANTED_LEVEL = 0.3, 1e-3


def join_corpora(corpora):
    """Join corpora with common labels; each becomes a domain.

    Parameters
    ----------
    corpora : dict of str to Corpus
        By the name of the domain.

    Returns
    -------
    Corpus
        Clips of the labels that all corpora have, without partitions and folds. Groups of different
        corpora are different.

    Raises
    ------
    CorpusError
        If fewer than two labels are common.

    Examples
    --------
    >>> index = pd.DataFrame({"file": list("abc"), "label": ["x", "y", "z"]})
    >>> parts = {name: Corpus(index[i:], name, name=name) for i, name in enumerate("pq")}
    >>> join_corpora(parts).index[["file", "domain"]].values.tolist()
    [['p/b', 'p'], ['p/c', 'p'], ['q/b', 'q'], ['q/c', 'q']]
    """
    common = sorted(set.intersection(*(set(corpus.classes) for corpus in corpora.values())))
    if len(common) < 2:
        listed = "; ".join(f"{name}: {', '.join(c.classes)}" for name, c in corpora.items())
        raise CorpusError(f"found the labels {listed}, expected two or more in common")
    root, parts = Path(os.path.commonpath([c.root.absolute() for c in corpora.values()])), []
    for name, corpus in corpora.items():
        place = corpus.root.absolute().relative_to(root).as_posix()
        part = corpus.index.drop(columns=["partition", "fold"], errors="ignore")
        files = [f"{place}/{file}" for file in part["file"]]
        groups = [f"{name}: {group}" for group in corpus.groups]
        parts.append(part.assign(file=files, group=groups, domain=name)[part["label"].isin(common)])
    return Corpus(
        pd.concat(parts, ignore_index=True),
        root,
        name=" and ".join(dict.fromkeys(corpus.name for corpus in corpora.values())),
        kind="synthetic" if "synthetic" in {c.kind for c in corpora.values()} else "stand-in",
        licence="; ".join(dict.fromkeys(corpus.licence for corpus in corpora.values())),
        remarks=tuple(remark for corpus in corpora.values() for remark in corpus.remarks),
    )


def write_domains(folder, n_domains, seed):
    """Rewrite a synthetic corpus as if its groups were recorded in several places.

    The groups of each class are shared out among the domains. Each domain has a room (decaying
    noise), a microphone (frequency response) and a level. In ``domain 1``, near silence follows
    the clips of the first class: a planted shortcut.

    Parameters
    ----------
    folder : Path
        With an ``index.csv``, which gets the column ``domain``.
    n_domains, seed : int
    """
    from scipy.signal import fftconvolve

    index = pd.read_csv(folder / "index.csv", dtype=str)
    groups = index.drop_duplicates("group").set_index("group")
    turn = 1 + groups.groupby("label").cumcount() % n_domains
    index["domain"] = "domain " + index["group"].map(turn).astype(str)
    planted = index["domain"].eq("domain 1") & index["label"].eq(index["label"].min())
    for row, (file, domain) in index[["file", "domain"]].iterrows():
        generator = np.random.default_rng([seed, crc32(domain.encode())])
        y, sr = soundfile.read(folder / file)
        level_db, decay_s = generator.uniform(-18, 0), generator.uniform(0.01, 0.08)
        gains_db = 5 * generator.standard_normal(9)
        times_s = np.arange(round(4 * decay_s * sr)) / sr
        room = 0.15 * generator.standard_normal(len(times_s)) * np.exp(-times_s / decay_s)
        y = fftconvolve(y, np.concatenate([[1.0], room]))[: len(y)]
        octaves = np.log2(np.maximum(np.fft.rfftfreq(len(y), 1 / sr), 1) * 2 / sr)
        gains = 10 ** (np.interp(octaves, np.linspace(-8, 0, 9), gains_db) / 20)
        y = np.fft.irfft(np.fft.rfft(y) * gains, len(y))
        y *= 0.7 * 10 ** (level_db / 20) / np.abs(y).max()
        tail = generator.standard_normal(round(planted[row] * PLANTED_S * sr))
        y = np.concatenate([y, PLANTED_LEVEL * tail])
        soundfile.write(folder / file, y, sr, subtype="PCM_16")
        index.loc[row, "duration_s"] = f"{len(y) / sr:.4f}"
    index.to_csv(folder / "index.csv", index=False, lineterminator="\n")
