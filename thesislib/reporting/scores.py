"""Rows of a result table, with the predictions behind their scores (contract 9).

A :class:`ScoreTable` collects a table row by row. Each row with a score keeps what the system
predicted for every clip, so that intervals and comparisons can be computed again later, by this
project or by any other program, from ``predictions/table_<n>.parquet``.
"""

import re
import warnings
from itertools import product

import numpy as np
import pandas as pd

from thesislib.errors import ParameterError
from thesislib.evaluation.comparison import compare_pairs, score
from thesislib.evaluation.event_scores import AVERAGE, describe_rates, split_events
from thesislib.evaluation.fusion import vote_chunks
from thesislib.evaluation.metrics import METRICS, score_folds
from thesislib.reporting.published import load_list
from thesislib.reporting.values import AS_PUBLISHED

#: Ending of the names of systems with random weights.
CONTROL = ", random weights"
#: Selections, as marked in tables whose rows are all settings of a system.
MARKS = ("development", AS_PUBLISHED)


def tabulate(predictions, corpus, *, system, selection="", seed=0, clip_of_chunk=None):
    """Arrange predictions as a table with one row per clip.

    Parameters
    ----------
    predictions : Predictions
    corpus : Corpus
    system, selection : str
    seed : int
        Of the training.
    clip_of_chunk : ndarray of int, optional
        If the rows are chunks: corpus row of each. A chunk is named ``<file>#<number>``.

    Returns
    -------
    pandas.DataFrame
        ``corpus``, ``system``, ``selection``, ``seed``, ``file``, ``group``, ``fold``, ``truth``,
        ``prediction`` and ``score_<class>`` for each class. A row of the index that is a segment
        is named ``<file>@<start in s>``.
    """
    files = corpus.index["file"].astype(str).to_numpy(dtype=object)
    if "start_s" in corpus.index:
        starts = corpus.index["start_s"].fillna(0)
        files = np.array([f"{file}@{start:g}" for file, start in zip(files, starts)], dtype=object)
    rows = predictions.rows
    if clip_of_chunk is not None:
        clips = np.asarray(clip_of_chunk)
        number = pd.Series(clips).groupby(clips).cumcount().to_numpy()
        names = [f"{files[clip]}#{n}" for clip, n in zip(clips[rows], number[rows])]
        rows = clips[rows]
    else:
        names = files[rows]
    return pd.DataFrame(
        {
            "corpus": corpus.name,
            "system": system,
            "selection": selection,
            "seed": seed,
            "file": names,
            "group": corpus.groups[rows].astype(str),
            "fold": "" if predictions.folds is None else predictions.folds.astype(str),
            "truth": predictions.truth,
            "prediction": predictions.predicted,
            **{
                f"score_{name}": predictions.values[:, i]
                for i, name in enumerate(predictions.classes)
            },
        }
    )


class ScoreTable:
    """A result table that grows row by row, and the predictions of its systems.

    Parameters
    ----------
    corpus : Corpus, optional
        Default of :meth:`add`.
    metric : {"uar", "accuracy", "error_rate"}
    name : str
        Beginning of the columns of the score: ``<name>_percent``, ``<name>_low_percent``, …
        Error rates are no percentages; their columns are ``<name>``, ``<name>_low``, …
    ties : bool
        Whether the rows have ``ties_percent``, the share of clips whose vote was tied.
    constants : dict, optional
        Columns with one value for all rows, behind the others.
    random_state : int
        Of the bootstrap.
    n_resamples : int

    Attributes
    ----------
    rows : list of dict

    Examples
    --------
    >>> from thesislib.corpora.index import Corpus
    >>> from thesislib.evaluation import Predictions
    >>> index = pd.DataFrame({"file": list("abcd"), "label": ["x", "y"] * 2})
    >>> corpus = Corpus(index, ".", name="letters")
    >>> truth = corpus.labels.astype(str)
    >>> predictions = Predictions(np.arange(4), truth, truth, np.eye(2)[[0, 1] * 2], ("x", "y"))
    >>> table = ScoreTable(corpus)
    >>> table.add({"features": "all"}, predictions, system="perfect")
    >>> table.frame[["features", "uar_percent", "n_clips", "unit"]].values.tolist()
    [['all', 100.0, 4, 'clip']]
    """

    def __init__(
        self,
        corpus=None,
        *,
        metric="uar",
        name="uar",
        ties=False,
        constants=None,
        random_state=0,
        n_resamples=2000,
    ):
        self.corpus, self.metric, self.name, self.ties = corpus, metric, name, ties
        self.constants = constants or {}
        self.options = {"metric": metric, "n_resamples": n_resamples, "random_state": random_state}
        self.rows, self._of_row, self._marked = [], [], []

    def add(self, row, predictions=None, *, system="", corpus=None, name=None, clip_of_chunk=None):
        """Append a row.

        Parameters
        ----------
        row : dict
            Its own columns; ``selection`` applies to the predictions, too.
        predictions : Predictions, DataFrame, or dict of int to these, optional
            Of the row's system; a dict has one entry for each seed of the training. A DataFrame
            has one row per clip, as from :func:`tabulate`. Without predictions (a system that
            was not run) the row has no score.
        system : str
            Name in the predictions; with ``selection`` it must be unique for a corpus. Without
            a name the row has a score, and its predictions are not stored.
        corpus : Corpus, optional
        name : str, optional
            As in the constructor.
        clip_of_chunk : ndarray of int, optional
            If the rows of the predictions are chunks: corpus row of each. The row has the score
            of chunks and, as ``<name>_clip_…``, that of clips by the majority vote of their
            chunks. In the predictions, the chunks belong to the system ``<system>, chunks``.
        """
        row, frame = dict(row), None
        if predictions is not None:
            seeds = predictions if isinstance(predictions, dict) else {0: predictions}
            corpus, name = corpus or self.corpus, name or self.name
            about = {"system": system, "selection": row.get("selection", "")}
            if clip_of_chunk is None:
                scored, frame = self._score(seeds, corpus, name, about)
            else:
                voted = {seed: vote_chunks(part, clip_of_chunk) for seed, part in seeds.items()}
                scored, frame = self._score(voted, corpus, f"{name}_clip", about, ties="clip_ties")
                about["system"] += ", chunks"
                options = {"clip_of_chunk": clip_of_chunk, "ties": "chunk_ties"}
                chunks, part = self._score(seeds, corpus, name, about, **options)
                counts = {"n_chunks": chunks["n_clips"], "n_clips": scored["n_clips"]}
                scored, frame = chunks | scored | counts, pd.concat([frame, part])
            row |= scored
        self.rows.append(row)
        self._of_row.append(frame)

    def add_choices(self, candidates, selections, *, system, by=(), row=None, vote=None, **options):
        """Append a row for each group of candidates and each selection among them.

        Parameters
        ----------
        candidates : Candidates
            Without any, no row is appended.
        selections : sequence of str
            As in :meth:`~thesislib.evaluation.candidates.Candidates.choose`.
        system : str
            Format of the systems' names, with names of columns in braces; systems with random
            weights get the ending of the controls.
        by : sequence of str
            Columns whose values define the groups; default: one group.
        row : dict, optional
            Further columns.
        vote : ndarray of int, optional
            If the predictions are those of chunks, and only their vote is to be scored: corpus row
            of each.
        **options
            Of :meth:`add`.
        """
        for group in candidates.split(*by):
            for selection in selections:
                choice = group.choose(selection)
                columns = {**choice.columns, **(row or {})}
                name = system.format(**columns)
                name += CONTROL if columns.get("weights") == "random" else ""
                predictions = choice.predictions
                if vote is not None:
                    predictions = {s: vote_chunks(part, vote) for s, part in predictions.items()}
                self.add(columns, predictions, system=name, **options)

    def _score(self, seeds, corpus, name, about, *, ties="ties", **options):
        """Columns of a system's score, and its predictions as a table."""
        parts = [
            part.assign(corpus=corpus.name, seed=seed, **about)
            if isinstance(part, pd.DataFrame)
            else tabulate(part, corpus, seed=seed, **about, **options)
            for seed, part in seeds.items()
        ]
        frame = pd.concat(parts, ignore_index=True)
        labels = set(frame.get("prediction", ()))
        if about["system"] and len(labels) == 1:
            what = f"predicts {labels.pop()!r} for all clips"
            warnings.warn(f"{about['system']}: {what}", stacklevel=3)
        row = self._describe(frame, name)
        folds = [part for part in seeds.values() if getattr(part, "folds", None) is not None]
        row |= self._describe_folds(folds, name)
        if self.ties:
            tied = [getattr(part, "tied", 0) for part in seeds.values()]
            row[f"{ties}_percent"] = round(100 * float(np.mean(tied)), 2)
        return row, frame

    def add_events(self, row, by_seed, *, system, corpus, columns=None):
        """Append a row for each event and one for their average (8.2).

        Parameters
        ----------
        row : dict
        by_seed : dict of int to DataFrame
            From :func:`~thesislib.evaluation.event_scores.tabulate_events`, of all events.
        system : str
        corpus : Corpus
        columns : dict of str to dict, optional
            Further columns, each by event.
        """
        for event, own in split_events(by_seed).items():
            further = {name: values.get(event, "") for name, values in (columns or {}).items()}
            name = system if event == AVERAGE else ""
            row_of_event = {**row, "event": event, **further, **describe_rates(own)}
            self.add(row_of_event, own, system=name, corpus=corpus)

    def _describe(self, frame, name):
        result = score(frame, **self.options)
        factor, unit = (1, "") if self.metric == "error_rate" else (100, "_percent")
        digits = 4 if self.metric == "error_rate" else 2
        numbers = {
            f"{name}{end}{unit}": round(factor * result[key], digits)
            for end, key in (("", "score"), ("_low", "low"), ("_high", "high"))
        }
        row = {**numbers, **{key: result[key] for key in ("unit", "n_clips", "n_groups")}}
        row |= {"n_seeds": result["n_seeds"], "interval_note": result["note"]}
        spread = result["std_over_seeds"]
        row[f"std_over_seeds{unit}"] = round(factor * spread, digits)
        return row

    def _describe_folds(self, parts, name):
        """Mean and standard deviation over folds (``ddof=0``), averaged over seeds."""
        if not parts or len(set(parts[0].folds)) == 1:
            return {}
        metric = METRICS[self.metric]
        scores = [score_folds(p.truth, p.predicted, p.folds, metric=metric) for p in parts]
        return {
            f"{name}_{key}_percent": round(100 * float(np.mean([each[key] for each in scores])), 2)
            for key in ("mean", "std")
        }

    def mark_best(self, by, *, system, devel="uar_devel_percent"):
        """Mark, in each group of rows, the best on development and the best on the reported part.

        Parameters
        ----------
        by : sequence of str
            Columns whose values define the groups.
        system : callable
            ``system(row) -> str``: name under which the predictions of the two rows are stored,
            with the selections ``development`` and ``as published``; empty for none.
        devel : str
            Column with the score on development.
        """
        groups = {}
        for i, row in enumerate(self.rows):
            row.setdefault("selection", "")
            if self._of_row[i] is not None:
                groups.setdefault(tuple(row.get(key) for key in by), []).append(i)
        score_column = f"{self.name}_percent"
        for members in groups.values():
            name = system(self.rows[members[0]])
            if not name:
                continue
            for mark, column in zip(MARKS, (devel, score_column)):
                best = max(members, key=lambda i, column=column: self.rows[i][column])
                row = self.rows[best]
                row["selection"] = " ".join(filter(None, [row["selection"], mark]))
                self._marked.append(self._of_row[best].assign(system=name, selection=mark))

    def add_differences(self, pairs, *, family=""):
        """Add to rows the paired difference of their system to another one of the table.

        Parameters
        ----------
        pairs : dict of str to str
            System of a row to the other one; both of one corpus and selection.
        family : str
            With a name, the p-values have Holm's correction over all pairs.

        Returns
        -------
        pandas.DataFrame
            As from :func:`~thesislib.evaluation.comparison.compare_pairs`. The rows get
            ``difference_percent`` with its interval, ``p_value`` (corrected) and ``verdict``.
        """
        listed = [(family, *pair) for pair in pairs.items()]
        compared = compare_pairs(self.predictions, listed, **self.options)
        by_system = compared.set_index("system_a").to_dict("index")
        for row, frame in zip(self.rows, self._of_row):
            result = {} if frame is None else by_system.get(frame["system"].iloc[0], {})
            for end in ("", "_low", "_high") if result else ():
                value = 100 * result[end[1:] or "difference"]
                row[f"difference{end}_percent"] = round(value, 2)
            if result:
                row |= {"p_value": round(result["p_holm"], 4), "verdict": result["verdict"]}
        return compared

    def join_rows(self, *by):
        """Join rows with equal values in some columns, when all have been added."""
        joined = {}
        for row in self.rows:
            joined.setdefault(tuple(row[key] for key in by), {}).update(row)
        self.rows = list(joined.values())
        return self

    def assign(self, **columns):
        """Set columns to one value in all rows; returns the table."""
        for row in self.rows:
            row |= columns
        return self

    def rename(self, columns):
        """Rename columns, from old to new names; returns the table."""
        self.rows = [{columns.get(key, key): row[key] for key in row} for row in self.rows]
        return self

    @property
    def frame(self):
        """The rows as a table."""
        return pd.DataFrame(self.rows).assign(**self.constants)

    @property
    def predictions(self):
        """Predictions of all systems; one row per corpus, system, selection, seed and clip."""
        frames = [frame for frame in [*self._of_row, *self._marked] if frame is not None]
        frames = [frame for frame in frames if frame["system"].iloc[0]]
        if not frames:
            return None
        table = pd.concat(frames, ignore_index=True)
        keys = ["corpus", "system", "selection", "seed"]
        systems = pd.concat([frame[keys].drop_duplicates() for frame in frames])
        for twice in systems[systems.duplicated()].itertuples(index=False):
            raise ParameterError(f"system: found {tuple(twice)} twice, expected a name for each")
        return table


def plan_pairs(notebook, table, systems):
    """List the comparisons that were planned for a table, among the systems that were run.

    Parameters
    ----------
    notebook, table : str
    systems : sequence of str

    Returns
    -------
    pandas.DataFrame
        ``objective``, ``claim``, ``system_a`` and ``system_b``, from
        ``data/published/overview/comparisons.csv``. In a pair of patterns, ``*`` stands for the
        same text on both sides; of alternatives (``|``), the first that was run is taken. Where
        only random weights were run, their systems take the place of the methods.
    """
    rows = []
    for rule in load_list("comparisons").itertuples():
        if (rule.notebook, rule.table) != (notebook, table):
            continue
        for ending, ours in product(("", CONTROL), rule.ours.split("|")):
            pattern = re.compile(re.escape(ours + ending).replace(r"\*", "(.*)"))
            matches = [(system, pattern.fullmatch(system)) for system in systems]
            matches = [
                (system, match)
                for system, match in matches
                if match and (ending or CONTROL not in system) and "untrained" not in system
            ]
            if matches:
                break
        for system, match in matches:
            variant = match[1] if match.groups() else ""
            others = [name.replace("*", variant) for name in rule.others.split("|")]
            known = [*systems, "Chance"]
            names = [name + end for name in others for end in ("", ending) if name + end in known]
            if names and names[0] != system:
                rows.append((rule.objective, rule.claim, system, names[0]))
    columns = ["objective", "claim", "system_a", "system_b"]
    return pd.DataFrame(rows, columns=columns).drop_duplicates(ignore_index=True)


def compare_planned(predictions, notebook, table, *, metric="uar", pairs=None, **options):
    """Carry out a table's planned comparisons, one family per corpus.

    Parameters
    ----------
    predictions : pandas.DataFrame
        Of one table. The rows *as published* and those of chunks are not compared.
    notebook, table : str
    metric : str
    pairs : list of (str, str), optional
        Default: from :func:`plan_pairs`.
    **options
        Of :func:`~thesislib.evaluation.comparison.compare_pairs`.

    Returns
    -------
    pandas.DataFrame
        As from :func:`~thesislib.evaluation.comparison.compare_pairs`, with ``corpus``.
    """
    rows = []
    predictions = predictions[predictions["selection"] != AS_PUBLISHED]
    for corpus, part in predictions.groupby("corpus", sort=False):
        planned = pairs
        if planned is None:
            systems = part["system"].unique().tolist()
            planned = plan_pairs(notebook, table, systems)[["system_a", "system_b"]]
            planned = planned.drop_duplicates().itertuples(index=False, name=None)
        planned = [(table, a, "chance" if b == "Chance" else b) for a, b in planned]
        if planned:
            compared = compare_pairs(part, planned, metric=metric, **options)
            compared["system_b"] = compared["system_b"].replace("chance", "Chance")
            compared.insert(0, "corpus", corpus)
            rows.append(compared)
    return pd.concat(rows, ignore_index=True) if rows else pd.DataFrame()
