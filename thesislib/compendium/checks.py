"""What a run needs and what it does: checked before a kernel starts, printed by ``--dry-run``.

``notebooks/parameters/needs.yaml`` lists what each notebook needs of its corpus, and its work: sums
of products of parameters, and the steps (laps) of the notebook that do it. The time is scaled from
the seconds that finished runs recorded in ``run.json``.

Networks, layers, weights and folders are recognised by the names of the parameters, so a user's
own notebook is checked too. torch is imported only for a network whose layers are not listed in
``representations/files/networks.csv``, and for a device that is named.
"""

import math
import os
import re
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
from thesislib.reporting.notebooks import PROFILES, read_parameters
from thesislib.reporting.results import find_results, read_record
from thesislib.store import find_stub

#: Needs of a corpus that is not one of the thesis's; ``own`` is split.
ANY = ("any", "own")
#: Free bytes that results need, and the store.
FREE_BYTES = 200 * 2**20


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
    problems.attempt(_check_device, values.get("device", "auto"))
    _check_folders(name, values, problems)
    _check_corpus(name, values, problems)
    if len(problems) > 1:
        lines = "\n".join(f"  - {error}" for error in problems)
        raise ThesisError(f"{name}: {len(problems)} things are missing or wrong\n{lines}")
    if problems:
        raise problems[0]


def _check_device(device):
    if {device, os.environ.get("THESIS_DEVICE", "auto")} - {"auto", "cpu"}:
        from thesislib.training import pick_device

        pick_device(device)


def read_needs():
    """Needs and work of each notebook: ``notebooks/parameters/needs.yaml``."""
    path = notebooks_folder() / "parameters" / "needs.yaml"
    return yaml.safe_load(path.read_text(encoding="utf-8")) if path.is_file() else {}


def find_stubs(paths):
    """Describe files that hold a pointer or a web page in place of content, a line for each kind.

    Examples
    --------
    >>> find_stubs([__file__])
    []
    """
    kinds = {}
    for path in dict.fromkeys(map(Path, paths)):
        if path.is_file() and os.access(path, os.R_OK):
            with open(path, "rb") as file:
                stub = find_stub(file.read(64))
            if stub:
                kinds.setdefault(stub, []).append(path.name)
    return [
        f"{len(names)} file{'s hold' if len(names) > 1 else ' holds'} {kind} "
        f"({', '.join(names[:3])}{', …' if len(names) > 3 else ''}): {remedy}"
        for (kind, remedy), names in kinds.items()
    ]


class _Problems(list):
    """Errors, in the order of the checks."""

    def attempt(self, function, *arguments, **options):
        """Call a function, and add the error that it raises."""
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
    if values.get("other"):  # 11.4
        from thesislib.corpora import load_any

        problems.attempt(load_any, values["other"])


def _open_corpus(root, need, values):
    from thesislib.corpora import NEEDS
    from thesislib.corpora.records import RECORDS

    name = need.get("corpus")
    if not Path(root).is_dir():
        how = RECORDS[name].how_to_get if name in NEEDS else ""
        raise CorpusError(f"corpus: found no folder {root}, expected one. {how}".rstrip(". "))
    if name is None:  # a notebook of the user's own, which may read its corpus in any way
        return
    for corpus in _read_corpora(name, root, values).values():
        if stubs := find_stubs(corpus.paths):
            raise CorpusError(f"{corpus.name}: {'; '.join(stubs)}")
        corpus.check()
        _check_uses(corpus, need, values)


def _read_corpora(name, root, values):
    from thesislib.corpora import load_any, read_corpora

    if name in ANY:
        return {"": load_any(root)}
    return read_corpora(name, root, labels=values.get("labels"))


def _check_uses(corpus, need, values):
    """The classes, splits and lengths of a corpus whose files are in order."""
    from thesislib.corpora import NEEDS
    from thesislib.corpora.splits import adapt, choose_split

    name = need["corpus"]
    if values.get("last_chunk") == "drop":
        _check_lengths(corpus, {key: values[key] for key in need.get("chunks", ())})
    if name == "rare_events":
        from thesislib.corpora import event_partitions

        sources = event_partitions.rename_classes(corpus, values["class_names"])
        share = {"validation_share": values["validation_share"], "seed": values["seed"]}
        event_partitions.split_partitions(sources, **share)
    # Last, since scikit-learn takes a second to import.
    needs = values.get("n_folds") or NEEDS.get(name)
    needs = choose_split(corpus) or needs if name == "own" else needs
    corpus = adapt(corpus, needs, by=values.get("split_by", "group"), seed=values["seed"])
    if key := need.get("words"):
        _check_codebooks(corpus, key, values)


def list_uses(root):
    """List the notebooks that a corpus without problems serves, and what the others lack.

    Parameters
    ----------
    root : str or Path

    Returns
    -------
    list of str
        A line for the notebooks that it serves, and one for each thing that is lacking.
    """
    from thesislib.corpora.records import RECORDS

    uses = {"": []}
    for name, need in read_needs().items():
        values, lack = read_parameters(name), ""
        try:
            for corpus in _read_corpora(need["corpus"], root, values).values():
                _check_uses(corpus, need, values)
        except ParameterError as error:  # names the parameter and its remedy
            lack = str(error)
        except ThesisError as error:
            lack = re.sub(r"^.*?: ", "", str(error))
            remedy = f"thesis corpus index {root} --overwrite --group REGEX"
            if need["corpus"] == "rare_events":
                remedy = RECORDS["rare_events"].how_to_get
            lack += f" ({remedy})"
        uses.setdefault(lack, []).append(name)
    served = ", ".join(uses.pop("")) or "no notebook"
    lines = [f"serves: {served} (thesis run NAME --corpus {root})"]
    return lines + [f"does not serve {', '.join(names)}: {lack}" for lack, names in uses.items()]


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


def describe_work(name, values):
    """Counts of clips, extractions, trainings and fits, and an estimate of the time.

    Parameters
    ----------
    name : str
        Notebook.
    values : dict
        All of its parameters, checked.

    Returns
    -------
    str

    Examples
    --------
    >>> describe_work("00_overview", {})
    'no work is listed for 00_overview'
    """
    need = read_needs().get(name, {})
    work = need.get("work", {})
    if not work:
        return f"no work is listed for {name}"
    records = [read_record(find_results(name, {"profile": profile})) for profile in PROFILES]
    records = list(filter(None, records))
    sizes = _measure_corpus(need["corpus"], values, records)
    known = {**values, **sizes}
    counts = {kind: _total(entry["sum"], known) for kind, entry in work.items()}
    clips = [f"{sizes['clips']} clips"] if sizes["clips"] else []
    line = ", ".join([*clips, *(f"{n:g} {kind}" for kind, n in counts.items())])
    estimates = [_estimate_s(work, counts, known, record) for record in records if clips]
    if not estimates:
        return f"{line}; no estimate: found no finished run of {name} to scale it from"
    seconds = max(estimates)
    time = f"{seconds:.0f} s" if seconds < 600 else f"{seconds / 3600:.1f} h"
    return f"{line}; about {time} with an empty store, scaled from finished runs by these counts"


def _measure_corpus(module, values, records):
    """Numbers of clips, of corpora and of folds; of a synthetic corpus by its last run."""
    from thesislib.corpora import NEEDS, load_any, read_corpora
    from thesislib.corpora.recipes import RECIPES
    from thesislib.corpora.splits import adapt

    if not values.get("corpus"):
        same = [record["corpora"] for record in records if not record["parameters"].get("corpus")]
        rows = [corpus["rows"] for corpus in same[0].values()] if same else []
        folds = getattr(RECIPES.get(module), "n_folds", 0)
        return {"clips": sum(rows), "corpora": len(rows) or 1, "folds": folds}
    if module in ANY:
        return {"clips": len(load_any(values["corpus"])), "corpora": 1, "folds": 0}
    corpora = list(read_corpora(module, values["corpus"], labels=values.get("labels")).values())
    folds = values.get("n_folds") or NEEDS[module]
    if isinstance(folds, int):
        folds = len(adapt(corpora[0], folds, seed=values["seed"]).folds())
    return {"clips": sum(map(len, corpora)), "corpora": len(corpora), "folds": folds}


def _estimate_s(work, counts, known, record):
    """Seconds by one record: of each kind per unit, and of the other steps as they were."""
    before = {**known, **record["parameters"]}
    before["clips"] = sum(corpus["rows"] for corpus in record["corpora"].values())
    seconds = 0.0
    for lap, duration in record["durations_s"].items():
        laps = {prefix: kind for kind, entry in work.items() for prefix in entry["laps"]}
        prefix = max((p for p in laps if lap.startswith(p)), key=len, default=None)
        if prefix is None:
            seconds += duration * (lap != "total")
            continue
        entry, times = work[laps[prefix]], [work[laps[prefix]].get("times", "1")]
        now = counts[laps[prefix]] * _total(times, known)
        seconds += duration * now / max(1, _total(entry["sum"], before) * _total(times, before))
    return seconds


def _total(terms, values):
    """Sum of products: factors are numbers, or parameters by value, length or sum."""
    factors = [str(term).split() for term in terms]
    return sum(math.prod(_factor(word, values) for word in words) for words in factors)


def _factor(word, values):
    if word.isdigit():
        return float(word)
    value = values[word]
    if word == "weights":  # a pre-trained network is accompanied by itself with random weights
        return 2 if value and value != "random" else 1
    if isinstance(value, dict):
        numbers = [v for v in value.values() if isinstance(v, (int, float))]
        return sum(numbers) if numbers else len(value)
    return len(value) if isinstance(value, list) else value
