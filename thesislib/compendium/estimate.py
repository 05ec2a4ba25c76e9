"""What a run will cost, before it starts: ``thesis run NAME --dry-run``.

Only 8.3 has an estimate: its search fits thousands of machines, and takes days with the thesis's
values. The work is counted from the parameters and the corpus; without the thesis's corpus, from
its published numbers. What a unit of work costs is measured by :mod:`thesislib.compendium.probes`.
"""

from collections import Counter
from dataclasses import dataclass

import numpy as np
import pandas as pd
from joblib import cpu_count

from thesislib.audio import chunk
from thesislib.compendium.probes import FitCost, Probes, fit_overhead_s, import_s, interval_s
from thesislib.corpora.splits import has_folds, take_slice


@dataclass(frozen=True)
class Work:
    """What the experiment of 8.3 has to do; see :func:`count_work`.

    ``pictures[network, is_control, plot]`` and ``short_pictures[network, is_control]`` are
    numbers of extractions, the second of what is bagged, with a codebook for each of
    ``n_parts`` training parts. ``n_others``: functionals and log-mel statistics.
    """

    n_clips: int
    n_chunks: int
    n_short: int
    n_folds: int
    n_classes: int
    pictures: dict
    short_pictures: dict
    pairs: list
    n_others: int
    fits_per_setting: int
    n_parts: int
    source: str

    @property
    def n_extractions(self):
        """Extractions of the search itself, without controls (21 in the thesis)."""
        return sum(n for (_, is_control, _), n in self.pictures.items() if not is_control)

    @property
    def n_codebooks(self):
        """One for each training part of each bagged network; it serves the whole grid."""
        return self.n_parts * len(self.short_pictures)

    @property
    def n_settings(self):
        """Whatever is scored in every fold: sets of features of chunks, and kinds of bags."""
        on_chunks = sum(self.pictures.values()) + self.n_others
        return on_chunks + len(self.pairs) * len(self.short_pictures)

    @property
    def n_fits(self):
        """Settings × complexities × folds × (1 + inner folds)."""
        return self.fits_per_setting * self.n_settings


def count_work(parameters, corpus=None):
    """Count what a run of 8.3 does.

    Parameters
    ----------
    parameters : dict
        The notebook's, resolved.
    corpus : Corpus, optional
        Already sliced. Without it the thesis's numbers count: 1 566 clips of one minute.

    Returns
    -------
    Work
    """
    from thesislib.corpora import game_genre

    settings = [
        (parameters["chunk_s"], parameters["chunk_s"]),
        (parameters["bag_chunk_s"], parameters["bag_hop_s"]),
    ]
    if corpus is None:
        n_clips = max(1, round(sum(game_genre.EXPECTED_COUNTS.values()) / parameters["slice_of"]))
        n_folds, n_classes = game_genre.N_FOLDS, len(game_genre.EXPECTED_COUNTS)
        lengths, source = Counter({60.0: n_clips}), "numbers of the thesis, no corpus at hand"
    else:
        n_clips, n_classes = len(corpus), len(corpus.classes)
        n_folds = len(corpus.folds()) if has_folds(corpus) else parameters["n_folds"]
        lengths = Counter(np.round(corpus.lengths_s, 3).tolist())
        source = f"{corpus.name} ({corpus.kind})"
    n_chunks, n_short = (
        sum(
            n * _count_chunks(length, *cut, parameters["last_chunk"])
            for length, n in lengths.items()
        )
        for cut in settings
    )
    pictures, short = Counter(), {}
    first, *others = parameters["plots"]
    for network in parameters["networks"]:
        pictures[network, False, first] += len(parameters["colour_maps"])
        pictures.update((network, False, plot) for plot in others)
        short[network, False] = 1
        if parameters["weights"].get(network, "random") != "random":
            # At most: the second control falls away where the first plot stays the best.
            pictures[network, True, first] += 1
            if others:
                pictures[network, True, others[0]] += 1
            short[network, True] = 1
    sizes, n_assigns = parameters["codebook_sizes"], parameters["n_assigns"]
    n_parts = n_folds * (1 + parameters["n_inner"])
    return Work(
        n_clips,
        n_chunks,
        n_short,
        n_folds,
        n_classes,
        dict(pictures),
        short,
        [(size, n) for size in sizes for n in n_assigns if n <= size],
        len(parameters["functional_sets"]) + 1,
        n_parts * len(parameters["complexities"]),
        n_parts,
        source,
    )


def _count_chunks(length_s, chunk_s, hop_s, last):
    # A stand-in of 1 000 samples a second: only its length matters.
    y = np.zeros(max(1, round(1000 * length_s)), bool)
    if length_s < chunk_s:
        return 1
    return len(chunk(y, sr=1000, window_s=chunk_s, hop_s=hop_s, last=last)[0])


def estimate_game_genre(parameters, *, published=False):
    """Count the work of 8.3, probe what it costs, and add it up.

    Parameters
    ----------
    parameters : dict
        The notebook's, resolved.
    published : bool
        Count the thesis's clips in place of the corpus.

    Returns
    -------
    work : Work
    table : pandas.DataFrame
        A row a step: ``step``, ``number``, ``unit``, ``unit_s`` (wall-clock seconds with the
        workers asked for) and ``hours``.
    remarks : list of str
    """
    from thesislib.corpora import open_corpus
    from thesislib.representations.functionals import Functionals
    from thesislib.representations.statistics import BandStatistics
    from thesislib.spectra.spectrogram import Spectrum

    corpus = None
    if not published:
        size = {name: parameters[name] for name in ("n_per_class", "clip_s")}
        corpus = open_corpus("game_genre", parameters["corpus"], seed=parameters["seed"], **size)
        corpus = take_slice(corpus, parameters["slice_of"])
    work, probes = count_work(parameters, corpus), Probes(parameters, corpus)
    workers, surrounding_s = min(parameters["n_jobs"], cpu_count()), fit_overhead_s()
    rows, remarks = [], []

    def add(step, number, unit, seconds):
        rows.append((step, number, unit, seconds, number * seconds / 3600))

    def add_fits(step, X, n_rows, n_settings=1):
        cost = FitCost(X, probes.labels, parameters["complexities"], n_classes=work.n_classes)
        n_train = round(n_rows * (1 - 1 / work.n_folds))
        n_less = round(n_train * (1 - 1 / parameters["n_inner"]))
        seconds = cost.seconds(n_train, n_rows - n_train)
        seconds += parameters["n_inner"] * cost.seconds(n_less, n_train - n_less)
        each = work.n_folds * seconds / work.fits_per_setting + surrounding_s
        add(f"{step}: fits", n_settings * work.fits_per_setting, "fits", each / workers)

    # The notebook's process, then the workers that read and those that fit.
    add("start", 3, "imports", import_s())
    add("Figure 8.4", 4 * work.n_classes, "plots", probes.figure_s())
    bands = Spectrum("mel", window_s=0.032, hop_s=0.016, n_mels=64, reference=1.0)
    others = {name: (Functionals(name), None) for name in parameters["functional_sets"]}
    others["log-mel statistics"] = (BandStatistics(n_bands=64), bands)
    for name, (estimator, spectrum) in others.items():
        seconds, X = probes.signal_features(estimator, spectrum)
        add(name, work.n_chunks, "chunks", seconds / workers)
        add_fits(name, X, work.n_chunks)
    drawing = {key: probes.plot(key[2], key[0])[0] / workers for key in work.pictures}
    bagging = None
    for network, is_control in work.short_pictures:
        name = f"{network} (random)" if is_control else network
        forward, X, found = probes.answer(network, is_control)
        remarks += found
        mine = {key: n for key, n in work.pictures.items() if key[:2] == (network, is_control)}
        n_settings = sum(mine.values())
        # Which plot will be bagged is not known yet: the mean over all stands for it.
        seconds = forward + sum(n * drawing[key] for key, n in mine.items()) / n_settings
        add(f"{name}: {n_settings} extractions", n_settings * work.n_chunks, "pictures", seconds)
        add_fits(name, X, work.n_chunks, n_settings)
        add(f"{name}: bagged pictures", work.n_short, "pictures", seconds)
        if bagging is None:
            frames_per_clip = max(1, work.n_short // work.n_clips)
            bagging = (X.shape[1], *probes.bags(X, frames_per_clip, work.pairs))
        width, learning, counting, bags = bagging
        seconds = work.n_short * (counting + learning * (1 - 1 / work.n_folds))
        add(f"{name}: codebooks", work.n_parts, "codebooks", seconds * X.shape[1] / width)
        for size, of_size in sorted(bags.items()):
            n_pairs = sum(s == size for s, _ in work.pairs)
            add_fits(f"{name}, bags of {size}", of_size, work.n_clips, n_pairs)
    seconds = interval_s(work.n_chunks, work.n_classes, parameters["n_resamples"])
    add("intervals", 4 * (work.n_settings + 12), "intervals", seconds)
    columns = ["step", "number", "unit", "unit_s", "hours"]
    return work, pd.DataFrame(rows, columns=columns), remarks


def describe_estimate(name, parameters, *, published=False):
    """What a run will do, in words and as a table; only the first line where nobody can tell.

    Parameters
    ----------
    name : str
        Notebook.
    parameters : dict
        Resolved.
    published : bool
        The corpus is not at hand: count the thesis's.

    Returns
    -------
    str
    """
    head = f"{name}: the parameters are valid, nothing was run"
    if name != "08_3_game_genre":
        return f"{head}; there is no estimate of its cost"
    work, table, remarks = estimate_game_genre(parameters, published=published)
    n_controls = sum(work.pictures.values()) - work.n_extractions
    workers = min(parameters["n_jobs"], cpu_count())
    lines = [
        head,
        f"{work.source}: {work.n_clips} clips, {work.n_chunks} chunks, {work.n_short} bagged "
        f"chunks, {work.n_folds} folds, {work.n_classes} classes",
        f"{work.n_extractions} extractions and {n_controls} of random controls; "
        f"{len(work.short_pictures)} of bagged chunks; {work.n_codebooks} codebooks; "
        f"{work.n_fits} fits",
        table.to_string(
            index=False, formatters={"unit_s": "{:.3g}".format, "hours": "{:.3f}".format}
        ),
        f"about {table['hours'].sum():.3g} hours ({3600 * table['hours'].sum():.0f} s) "
        f"with {workers} workers, from an empty store",
        *(f"remark: {remark}" for remark in remarks),
    ]
    return "\n".join(lines)
