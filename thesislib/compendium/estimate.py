"""What a run has to do, and about how long it takes: printed by ``--dry-run``.

``needs.yaml`` lists kinds of work for each notebook: sums of products of parameters, and the steps
(laps) of the notebook in which the work is done. Its cost in seconds is scaled from those that
finished runs recorded in ``run.json``; nothing is run to find out.
"""

from thesislib.compendium.checks import read_needs
from thesislib.corpora import NEEDS
from thesislib.reporting.notebooks import PROFILES
from thesislib.reporting.results import find_results, read_record


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
    records = [record for record in records if record and record.get("status") == "complete"]
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
    from thesislib.corpora import load_any, read_corpora
    from thesislib.corpora.recipes import RECIPES

    if not values.get("corpus"):
        same = [record["corpora"] for record in records if not record["parameters"].get("corpus")]
        rows = [corpus["rows"] for corpus in same[0].values()] if same else []
        folds = getattr(RECIPES.get(module), "n_folds", 0)
        return {"clips": sum(rows), "corpora": len(rows) or 1, "folds": folds}
    if module == "any":
        return {"clips": len(load_any(values["corpus"])), "corpora": 1, "folds": 0}
    settings = {key: values[key] for key in ("labels", "n_folds", "seed") if key in values}
    corpora = list(read_corpora(module, values["corpus"], **settings).values())
    folds = len(corpora[0].folds()) if isinstance(NEEDS[module], int) else 0
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
    total = 0
    for term in terms:
        product = 1
        for word in str(term).split():
            product *= float(word) if word.isdigit() else _factor(word, values)
        total += product
    return total


def _factor(word, values):
    value = values[word]
    if word == "weights":  # a pre-trained network is accompanied by itself with random weights
        return 2 if value and value != "random" else 1
    if isinstance(value, dict):
        numbers = [v for v in value.values() if isinstance(v, (int, float))]
        return sum(numbers) if numbers else len(value)
    return len(value) if isinstance(value, list) else value
