"""Settings of a system that were evaluated, and the choice among them (contract 7).

A candidate is one setting (network, colour map, codebook size, …) with the result of each seed.
Systems without random numbers have one seed.
"""

from collections import Counter
from dataclasses import dataclass, field, replace

import numpy as np

from thesislib.errors import ParameterError, check_option
from thesislib.evaluation.fusion import fuse_decisions
from thesislib.evaluation.predictions import choose_nested

#: Selections: inside each training part, on the development part, on the reported part.
SELECTIONS = ("nested", "development", "as published")


@dataclass(frozen=True)
class Candidate:
    """One setting, evaluated with one or several seeds.

    Attributes
    ----------
    columns : dict
        The setting, as columns of a table.
    results : dict of int to PartitionResult or FoldResult
        By seed.
    features : dict of int to ndarray, optional
        By seed, for fusions.
    """

    columns: dict
    results: dict
    features: dict | None = None

    def complexities(self, selection):
        """Complexity of each seed under ``development`` or ``as published``."""
        check_option("selection", selection, SELECTIONS[1:])
        part = "devel" if selection == "development" else "test"
        return {seed: result.best(part) for seed, result in self.results.items()}

    def complexity(self, selection):
        """Complexity under a selection; None if the seeds differ."""
        chosen = set(self.complexities(selection).values())
        return chosen.pop() if len(chosen) == 1 else None

    def predictions(self, selection):
        """Predictions for the reported part by seed, with the complexity of a selection."""
        if selection == "nested":
            return {seed: result.nested for seed, result in self.results.items()}
        chosen = self.complexities(selection)
        return {seed: result.test[chosen[seed]] for seed, result in self.results.items()}

    def devel(self, selection="development"):
        """Predictions for the development part by seed, with the complexity of a selection."""
        chosen = self.complexities(selection)
        return {seed: result.devel[chosen[seed]] for seed, result in self.results.items()}


@dataclass(frozen=True)
class Choice:
    """A chosen setting: predictions by seed, and what was chosen.

    ``candidate`` is None if each fold has a setting of its own. ``columns`` describes the choice as
    columns of a table: the setting, ``selection`` and ``complexity``; for a nested choice what all
    candidates share, numbers that are the same in all folds, ``selection`` and, as ``chosen``, the
    number of folds with each setting.
    """

    predictions: dict
    settings: str
    candidate: Candidate | None = None
    columns: dict = field(default_factory=dict)


@dataclass
class Candidates:
    """A list of candidates.

    Examples
    --------
    >>> from thesislib.evaluation import evaluate_partitions
    >>> X, y = np.array([[0.0], [1.0]] * 6), np.array(["a", "b"] * 6)
    >>> parts = {"train": range(4), "devel": range(4, 8), "test": range(8, 12)}
    >>> candidates = Candidates()
    >>> for name, features in (("third", np.arange(12.0)[:, None] // 4), ("signal", X)):
    ...     results = {0: evaluate_partitions(features, y, complexities=[1.0], **parts)}
    ...     _ = candidates.add({"features": name}, results)
    >>> candidates.choose("development").settings
    'signal'
    """

    members: list = field(default_factory=list)

    def __iter__(self):
        return iter(self.members)

    def __len__(self):
        return len(self.members)

    def __add__(self, other):
        return Candidates([*self.members, *other.members])

    def add(self, columns, results, features=None):
        """Append a candidate; returns it."""
        self.members.append(Candidate(columns, results, features))
        return self.members[-1]

    def split(self, *columns):
        """Candidates with equal values in these columns, as a list in order of appearance."""
        keys = dict.fromkeys(tuple(m.columns.get(key) for key in columns) for m in self.members)
        return [self.where(**dict(zip(columns, values))) for values in keys]

    def stage(self, column, among, by="network"):
        """Follow a stage of the thesis's search, which chooses on the reported folds.

        Parameters
        ----------
        column : str
            What is chosen, such as ``colour_map``.
        among : Candidates
            Those that are compared.
        by : str
            Column of the groups that are chosen apart.

        Returns
        -------
        Candidates
            Of these candidates, those with the value of ``column`` that is best for their group.
        """
        best = [group.choose("as published").candidate.columns for group in among.split(by)]
        values = [{key: columns[key] for key in (by, column)} for columns in best]
        return Candidates([member for each in values for member in self.where(**each)])

    def apply(self, function):
        """Candidates with ``function`` applied to the result of each seed."""
        return Candidates(
            [
                replace(member, results={s: function(r) for s, r in member.results.items()})
                for member in self.members
            ]
        )

    def where(self, **columns):
        """Candidates whose settings have these values."""
        return Candidates(
            [
                member
                for member in self.members
                if all(member.columns.get(key) == value for key, value in columns.items())
            ]
        )

    def rank(self):
        """Sort every setting and complexity by the reported folds, best first (*as published*).

        Returns
        -------
        list of (Candidate, float, dict)
            Candidate, complexity and predictions by seed; of equals the first candidate, and the
            smallest complexity, comes first.
        """
        ranked = [
            (member, c, {seed: result.test[c] for seed, result in member.results.items()})
            for member in self.members
            for c in sorted(next(iter(member.results.values())).test)
        ]
        return sorted(ranked, key=lambda each: -_mean(each[2]))

    def choose(self, selection, *, show=None):
        """Choose a setting; the first of equals.

        Parameters
        ----------
        selection : {"nested", "development", "as published"}
            ``nested``: for each fold, inside its training part. Scores are means over seeds,
            except for ``nested``, where each seed has its own choice.
        show : sequence of str, optional
            Columns to name in ``settings``; default: all, or for ``nested`` those that differ
            between candidates.

        Returns
        -------
        Choice
        """
        check_option("selection", selection, SELECTIONS)
        if not self.members:
            raise ParameterError("candidates: found none, expected at least one to choose from")
        if selection == "nested":
            return self._choose_inside(show)
        if selection == "development":
            scores = [_mean(member.devel()) for member in self.members]
        else:
            scores = [_mean(member.predictions(selection)) for member in self.members]
        best = self.members[int(np.argmax(scores))]
        columns = {**best.columns, "selection": selection, "complexity": best.complexity(selection)}
        return Choice(best.predictions(selection), _describe(best.columns, show), best, columns)

    def _choose_inside(self, show):
        chosen, picks = {}, []
        for seed in list_seeds(*(member.results for member in self.members)):
            results = dict(enumerate(take_seed(member.results, seed) for member in self.members))
            chosen[seed], settings = choose_nested(results)
            picks += [(self.members[i].columns, c) for i, c in settings.values()]
        names = dict.fromkeys(key for member in self.members for key in member.columns)
        columns, differ = {}, []
        for key in names:
            values, picked = (
                [each.get(key) for each in part]
                for part in ([member.columns for member in self.members], [c for c, _ in picks])
            )
            differ += [] if values.count(values[0]) == len(values) else [key]
            if key in differ and isinstance(values[0], str):
                columns[key] = "chosen in each fold"
            elif len(set(picked)) == 1:
                columns[key] = picked[0]
        if len({complexity for _, complexity in picks}) == 1:
            columns["complexity"] = picks[0][1]
        show = differ if show is None else show
        counts = Counter(
            " ".join(filter(None, [_describe(each, show), "" if c is None else f"{c:g}"]))
            for each, c in picks
        )
        text = ", ".join(f"{name} ({n})" for name, n in counts.most_common())
        return Choice(chosen, text, columns=columns | {"selection": "nested", "chosen": text})


def list_seeds(*by_seed):
    """Seeds of several results: those of the parts with most seeds."""
    return list(max(by_seed, key=len))


def take_seed(by_seed, seed):
    """Entry of a seed; the only entry of a system without random numbers."""
    return by_seed[seed] if seed in by_seed else next(iter(by_seed.values()))


def join_seeds(function, *by_seed):
    """Apply a function to several results, seed by seed.

    Parameters
    ----------
    function : callable
        Takes one result per part, such as ``lambda *votes: fuse_decisions(votes)``.
    *by_seed : dict of int to object
        A part with a single seed belongs to every seed of the others.

    Returns
    -------
    dict

    Examples
    --------
    >>> join_seeds(lambda a, b: a + b, {0: 1}, {0: 10, 1: 20})
    {0: 11, 1: 21}
    """
    return {
        seed: function(*(take_seed(part, seed) for part in by_seed))
        for seed in list_seeds(*by_seed)
    }


def fuse_by_seed(*parts, **options):
    """Majority vote of several systems, seed by seed.

    Parameters
    ----------
    *parts : dict of int to Predictions
    **options
        Of :func:`~thesislib.evaluation.fusion.fuse_decisions`.
    """
    return join_seeds(lambda *votes: fuse_decisions(votes, **options), *parts)


def mean_score(by_seed):
    """UAR in percent, averaged over seeds, rounded to two digits.

    Parameters
    ----------
    by_seed : dict of int to Predictions
    """
    return round(100 * float(_mean(by_seed)), 2)


def _mean(by_seed):
    return np.mean([each.score() for each in by_seed.values()])


def _describe(columns, show):
    values = [columns.get(key) for key in (columns if show is None else show)]
    return " ".join(
        f"{v:g}" if isinstance(v, float) else str(v) for v in values if v not in ("", None)
    )
