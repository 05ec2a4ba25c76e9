"""Sweeps: a list of parameter sets becomes one table (8.1, 10.1).

A sweep takes hours, so each finished set is cached at once. A sweep that was killed continues
where it stopped. A set that fails becomes a row with its error; the others go on.
"""

import json
import warnings
from itertools import product

import numpy as np
import pandas as pd
from tqdm.auto import tqdm

from thesislib.errors import ParameterError
from thesislib.store import hash_parameters
from thesislib.workers import Parallel, delayed


class SweepWarning(UserWarning):
    """Some parameter sets of a sweep failed."""


def expand_grid(**values):
    """Every combination of some parameters' values, the last one varying fastest.

    Examples
    --------
    >>> expand_grid(n_layers=[2, 3], n_units=[64, 128])[1]
    {'n_layers': 2, 'n_units': 128}
    """
    return [dict(zip(values, chosen)) for chosen in product(*values.values())]


def sweep(parameter_sets, function, *, store, name, fixed=None, n_jobs=1, progress=False):
    """Call a function with each parameter set and collect its results, resumably.

    Parameters
    ----------
    parameter_sets : sequence of dict
        Plain values by name; a set that occurs twice is computed once.
    function : callable
        ``function(**parameters)`` returns a dict of plain values (numbers, strings, None),
        such as scores. With ``n_jobs`` above 1 it runs in other processes.
    store : FeatureStore
        Caches the result of each finished set.
    name : str
        Of the sweep, part of the key.
    fixed : dict, optional
        Everything else that the results depend on, as plain values: the corpus's fingerprint,
        the seed, whatever ``function`` has bound. It is not handed to ``function``.
    n_jobs : int
        Worker processes; the results do not depend on it if ``function`` is deterministic.
    progress : bool
        Show a progress bar.

    Returns
    -------
    pandas.DataFrame
        One row a set, in their order: the parameters, the results and ``error``, which is
        empty where there was none. Failed sets are not cached: the next call tries them again.

    Raises
    ------
    ParameterError
        If there is no set, or a result is no dict of plain values.

    Warns
    -----
    SweepWarning
        With the number of failed sets and the first error.

    Examples
    --------
    >>> import tempfile
    >>> from thesislib.store import FeatureStore
    >>> table = sweep([{"x": 4}, {"x": 0}], lambda x: {"half": x / 2},
    ...               store=FeatureStore(tempfile.mkdtemp()), name="halves")
    >>> table[["x", "half"]].values.tolist()
    [[4.0, 2.0], [0.0, 0.0]]
    """
    parameter_sets = list(parameter_sets)
    if not parameter_sets:
        raise ParameterError("parameter_sets: found none, expected at least one")
    keys = [_key(name, fixed, parameters) for parameters in parameter_sets]
    results = {key: _read(store, key) for key in keys}
    missing = {
        key: parameters for key, parameters in zip(keys, parameter_sets) if results[key] is None
    }
    computed = Parallel(n_jobs=n_jobs, return_as="generator_unordered")(
        delayed(_compute)(function, parameters, store, key) for key, parameters in missing.items()
    )
    bar = tqdm(
        computed,
        total=len(missing),
        unit="set",
        desc=name,
        disable=not progress or not missing,
        leave=False,
    )
    results.update(bar)
    rows = [parameters | results[key] for parameters, key in zip(parameter_sets, keys)]
    table = pd.DataFrame([{"error": ""} | row for row in rows])
    failed = table.loc[table["error"] != "", "error"]
    if len(failed):
        warnings.warn(
            f"{name}: {len(failed)} of {len(table)} parameter sets failed: {failed.iloc[0]}",
            SweepWarning,
            stacklevel=2,
        )
    return table[[column for column in table if column != "error"] + ["error"]]


def _key(name, fixed, parameters):
    return hash_parameters(
        {"sweep": name, "version": 1, "fixed": fixed or {}, "parameters": parameters}
    )


def _read(store, key):
    entry = store.get(key)
    return None if entry is None or "answer" not in entry else json.loads(str(entry["answer"]))


def _compute(function, parameters, store, key):
    """One set, in a worker: its key and its result, or the error that ended it."""
    try:
        result = function(**parameters)
    except Exception as error:  # whatever it is, the other sets are worth having
        first_line = (str(error).splitlines() or [""])[0]
        return key, {"error": f"{type(error).__name__}: {first_line}"}
    try:
        clash = {"error", *parameters} & set(result)
        text = json.dumps(result)
    except TypeError as error:
        raise ParameterError(
            f"function: found {result!r}, expected a dict of plain values"
        ) from error
    if clash:
        raise ParameterError(f"function: its result has {sorted(clash)}, which the set has, too")
    store.put(key, {"answer": np.array(text)})
    return key, result
