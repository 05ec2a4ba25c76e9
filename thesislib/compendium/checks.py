"""What a run needs, checked before a kernel starts, and by ``--dry-run``.

``notebooks/parameters/needs.yaml`` says what each notebook needs of its corpus. Networks, layers,
weights and folders are recognised by the names of the parameters, so a user's own notebook is
checked too. torch is imported only for a network whose layers are not listed in
``representations/files/networks.csv``.
"""

import math
import os
import shutil
import tempfile
from pathlib import Path

import yaml

from thesislib.errors import (
    AudioError,
    CorpusError,
    ParameterError,
    StoreError,
    ThesisError,
    WeightsError,
    check_option,
)
from thesislib.places import notebooks_folder, store_folder
from thesislib.reporting.results import find_results

#: Bytes that must be free for results, and for the store.
FREE_BYTES = 200 * 2**20

#: Beginnings of files that stand for other files: what they are, and what is to be done.
STUBS = {
    b"version https://git-lfs": ("a Git LFS pointer", "git lfs pull"),
    b"/annex/objects/": ("a git-annex pointer", "git annex get"),
    b"<!doctype html": ("a web page", "download again"),
    b"<html": ("a web page", "download again"),
}


def check_run(name, values):
    """Raise an error that lists everything that would stop a run.

    Parameters
    ----------
    name : str
        Notebook.
    values : dict
        All of its parameters.

    Raises
    ------
    ThesisError
        The problem itself if there is only one.

    Examples
    --------
    >>> check_run("10_2_snore", {"networks": {"alexnt": ["fc7"]}})
    Traceback (most recent call last):
    ...
    thesislib.errors.ParameterError: networks: found 'alexnt' (did you mean 'alexnet'?), expected
    one of 81 names
    """
    problems = _Problems()
    _check_networks(values, problems)
    _check_folders(name, values, problems)
    _check_corpus(name, values, problems)
    if len(problems) > 1:
        lines = "\n".join(f"  - {error}" for error in problems)
        raise ThesisError(f"{name}: {len(problems)} things are missing or wrong\n{lines}")
    if problems:
        raise problems[0]


def read_needs():
    """What each notebook needs, and the work that it does: ``notebooks/parameters/needs.yaml``."""
    path = notebooks_folder() / "parameters" / "needs.yaml"
    return yaml.safe_load(path.read_text(encoding="utf-8")) if path.is_file() else {}


def find_stubs(paths):
    """Describe files that hold a pointer or a web page in place of their content, a line a kind.

    Examples
    --------
    >>> find_stubs([__file__])
    []
    """
    kinds = {}
    for path in dict.fromkeys(map(Path, paths)):
        if path.is_file() and os.access(path, os.R_OK):
            with open(path, "rb") as file:
                head = file.read(64).lstrip().lower()
            kind = next((kind for start, kind in STUBS.items() if head.startswith(start)), None)
            kinds.setdefault(kind, []).append(path.name)
    kinds.pop(None, None)
    return [
        f"{len(names)} file{'s hold' if len(names) > 1 else ' holds'} {kind} "
        f"({', '.join(names[:3])}{', …' if len(names) > 3 else ''}): {remedy}"
        for (kind, remedy), names in kinds.items()
    ]


class _Problems(list):
    """Errors, in the order in which they were found."""

    def attempt(self, function, *arguments, **options):
        """Call a function; note the error that it raises."""
        try:
            return function(*arguments, **options)
        except ThesisError as error:
            self.append(error)


def _check_networks(values, problems):
    """Names of networks, their layers, sizes of their input, and files of weights."""
    from thesislib.representations import network_table

    named, sizes = values.get("networks") or {}, values.get("network_sizes_px") or {}
    networks = {network: [] for network in named}
    if isinstance(named, dict):
        networks = {n: [own] if isinstance(own, str) else list(own) for n, own in named.items()}
    if values.get("network"):
        own = values.get("layers") or [values[key] for key in ("layer",) if key in values]
        networks.setdefault(values["network"], []).extend(own)
    weights = values.get("weights") or {}
    if not isinstance(weights, dict):
        weights = dict.fromkeys(networks, weights)
    known = network_table.read_networks()
    for key, names in (("weights", weights), ("network_sizes_px", sizes)):
        for network in names.keys() - networks.keys():
            problems.attempt(check_option, key, network, known)
    files = []
    for network, layers in networks.items():
        key = "networks" if network in named else "network"
        size_px = sizes.get(network) or values.get("size_px") or 0
        problems.attempt(network_table.check_network, network, layers, size_px=size_px, key=key)
        if values.get("preprocessing") == "deepspectrum":
            allowed = network_table.DEEPSPECTRUM
            problems.attempt(check_option, "preprocessing=deepspectrum: network", network, allowed)
        if network in known and weights.get(network, "random") != "random":
            files.append(problems.attempt(network_table.find_weights, network, weights[network]))
    problems += map(WeightsError, find_stubs(filter(None, files)))


def _check_folders(name, values, problems):
    """Folders that a run writes: whether it can, and whether there is room."""
    # 8.2 writes its mixtures: 16 bit, three classes.
    n_clips = 3 * sum((values.get("n_mixtures") or {}).values())
    n_bytes = FREE_BYTES + n_clips * values.get("duration_s", 0) * values.get("sr", 0) * 2
    problems.attempt(_check_folder, "results", find_results(name, values), FREE_BYTES)
    if "store" in values:
        problems.attempt(_check_folder, "store", values["store"] or store_folder(), n_bytes)


def _check_folder(key, folder, n_bytes):
    place = Path(folder)
    try:
        while not place.exists():
            place = place.parent
        with tempfile.TemporaryFile(dir=place):
            free = shutil.disk_usage(place).free
    except OSError as error:
        raise StoreError(f"{key}: {folder} cannot be written ({error.strerror})") from error
    if free < n_bytes:
        raise StoreError(
            f"{key}: found {free / 1e9:.1f} GB free at {folder}, expected {n_bytes / 1e9:.1f} GB"
        )


def _check_corpus(name, values, problems):
    """The corpus: present, readable, with the splits and lengths that the experiment needs."""
    if values.get("audio"):  # goes before the corpus (4.1)
        if not Path(values["audio"]).exists():
            problems.append(AudioError(f"audio: found nothing at {values['audio']}"))
    elif values.get("corpus"):
        problems.attempt(_open_corpus, values["corpus"], read_needs().get(name, {}), values)


def _open_corpus(root, need, values):
    from thesislib.corpora import NEEDS, load_any, read_corpora
    from thesislib.corpora.records import RECORDS
    from thesislib.corpora.splits import adapt

    name = need.get("corpus")
    if not Path(root).is_dir():
        how = RECORDS[name].how_to_get if name in NEEDS else ""
        raise CorpusError(f"corpus: found no folder {root}, expected one. {how}".rstrip(". "))
    if name is None:  # a notebook of the user's own, which may read its corpus in any way
        return
    if name == "any":
        corpora = {"": load_any(root)}
    else:
        corpora = read_corpora(name, root, labels=values.get("labels"))
    for corpus in corpora.values():
        if stubs := find_stubs(corpus.paths):
            raise CorpusError(f"{corpus.name}: {'; '.join(stubs)}")
        corpus.check()
        if values.get("last_chunk") == "drop":
            _check_lengths(corpus, {key: values[key] for key in need.get("chunks", ())})
        if name == "rare_events":
            from thesislib.corpora import event_partitions

            sources = event_partitions.rename_classes(corpus, values["class_names"])
            share = {"validation_share": values["validation_share"], "seed": values["seed"]}
            event_partitions.split_partitions(sources, **share)
        # Last, since scikit-learn takes a second to import.
        needs = values.get("n_folds") or NEEDS.get(name)
        corpus = adapt(corpus, needs, seed=values["seed"])
        if key := need.get("words"):
            _check_codebooks(corpus, key, values)


def _check_lengths(corpus, chunks_s):
    for key, chunk_s in chunks_s.items():
        row = corpus.lengths_s.argmin()
        shortest_s, file = corpus.lengths_s[row], corpus.index["file"].iloc[row]
        if shortest_s < chunk_s - 1e-3:
            raise ParameterError(
                f"{key}: found {chunk_s:g} s, expected at most the shortest clip "
                f"({file}, {shortest_s:.3g} s), or last_chunk=pad"
            )


def _check_codebooks(corpus, key, values):
    seconds = corpus.lengths_s[corpus.rows("train")] - values["chunk_s"]
    n_chunks = sum(1 + math.ceil(max(0, rest) / values["chunk_hop_s"]) for rest in seconds)
    if min(values[key]) > n_chunks:
        raise ParameterError(
            f"{key}: found {min(values[key])} as the smallest, expected at most {n_chunks}, "
            f"the chunks of the training part of {corpus.name}"
        )
