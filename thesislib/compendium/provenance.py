"""Where a result comes from: ``run.json`` beside every table and figure (contract 5).

A run writes into a folder of its own. The finished results stay as they are until
:meth:`Run.finish`, in JupyterLab too.
"""

import os
import platform
import resource
import shutil
import subprocess
import sys
import time
import warnings
import weakref
from pathlib import Path

import pandas as pd
from IPython.display import Markdown, display

from thesislib.compendium.freshness import describe_inputs, describe_versions
from thesislib.compendium.parameters import STAGED_VARIABLE, check_parameters
from thesislib.errors import ParameterError
from thesislib.evaluation.comparison import describe_comparison
from thesislib.evaluation.shortcuts import find_shortcuts
from thesislib.evaluation.validation import StoppedWarning, add_stopped, describe_stopped
from thesislib.places import project_root, store_folder
from thesislib.reporting.escape import markdown
from thesislib.reporting.figures import write_figure
from thesislib.reporting.notebooks import read_parameters
from thesislib.reporting.objectives import compare_runs, judge_objectives
from thesislib.reporting.published import load_published
from thesislib.reporting.results import (
    describe_origin,
    find_results,
    publish,
    stage,
    write_record,
)
from thesislib.reporting.scores import ScoreTable, compare_planned
from thesislib.reporting.tables import ResultTable, join_published, table_stem, write_table
from thesislib.reporting.values import AS_PUBLISHED, OPTIMISTIC
from thesislib.representations.hear import hear_modules
from thesislib.store import FeatureStore, hash_file, write_atomically


class Run:
    """One execution of an experiment: its outputs and what they depend on.

    Parameters
    ----------
    name : str
        The notebook, such as ``10_2_snore``.
    namespace : dict
        The notebook's ``globals()``; the declared parameters are taken from it.

    Attributes
    ----------
    folder : Path
        Where this run writes: a hidden folder.
    results : Path
        Where that goes in the end: ``results/<profile>/<notebook>``, or the parameter
        ``results`` if it is set.

    Raises
    ------
    ParameterError
        If a parameter has a wrong type or an impossible value.
    """

    def __init__(self, name, namespace):
        self.name = name
        declared = read_parameters(name)
        self.parameters = {key: namespace.get(key, value) for key, value in declared.items()}
        changed = {k: value for k, value in self.parameters.items() if value != declared[k]}
        try:
            check_parameters(name, changed)
        except ParameterError as error:
            raise ParameterError(f"{error} (papermill: -p passes text, use -y)") from None
        self.results = find_results(name, self.parameters)
        # Under `thesis run`, the parent process makes the folder and replaces the results.
        staged = os.environ.get(STAGED_VARIABLE)
        self._replaces = staged is None
        self.folder = Path(staged) if staged else stage(self.results)
        if self._replaces:
            weakref.finalize(self, shutil.rmtree, self.folder, ignore_errors=True)
        # Before the work: what changes meanwhile calls for another run.
        self.inputs = describe_inputs(name, self.parameters)
        self.corpora, self.weights, self.notes, self.outputs = {}, {}, {}, []
        self._scores, self._corpora = {}, {}
        # Collected for `finish`, in place of lines with paths; no reference keeps the run alive.
        self._warnings = collected = []
        warnings.simplefilter("always", StoppedWarning)  # each one counts
        warnings.showwarning = lambda message, *_, **__: collected.append(message)
        self._started = self._lap = time.perf_counter()
        self._durations = {}
        self._write("running")

    def add_corpus(self, corpus, role="corpus"):
        """Record a corpus that the results depend on; returns it."""
        self._corpora[corpus.name] = corpus
        self.corpora[role] = {
            "name": corpus.name,
            "kind": corpus.kind,
            "licence": corpus.licence,
            "fingerprint": corpus.fingerprint,
            "rows": len(corpus),
            "remarks": list(corpus.remarks),
        }
        return corpus

    def add_weights(self, network, weights_id):
        """Record which weights a network had: a SHA-256, or ``random:<seed>``."""
        self.weights[network] = weights_id

    def add_hear(self, modules):
        """Open networks trained on sound, and record their weights.

        Parameters
        ----------
        modules : dict of str to str
            The notebook's parameter ``hear``, see
            :func:`~thesislib.representations.hear.hear_modules`.

        Returns
        -------
        dict of str to (HEAR, None)
            Estimator and spectrum (none), by the name of a system.
        """
        opened = hear_modules(modules)
        for name, estimator in opened.items():
            own = estimator.cache_parameters()
            self.add_weights(f"{name} (pre-trained)", own["weights"] or own.get("state", "its own"))
        return {f"{name}, trained on sound": (each, None) for name, each in opened.items()}

    def add_note(self, key, value):
        """Record a plain value: a count, a choice, a share of ties."""
        self.notes[key] = value

    def configure(self, estimator, prefix="", **others):
        """Set an estimator's parameters from the notebook's parameters of the same names.

        Parameters
        ----------
        estimator : estimator
        prefix : str
            Beginning of the notebook's names, such as ``mlp_``; ``device`` has none.
        **others
            Further parameters of the estimator.

        Returns
        -------
        estimator
        """
        names = {name: prefix + name for name in estimator.get_params()} | {"device": "device"}
        own = {name: self.parameters[key] for name, key in names.items() if key in self.parameters}
        return estimator.set_params(**own | others)

    def lap(self, step):
        """Record the seconds since the last call under a step's name."""
        now = time.perf_counter()
        self._durations[step] = round(now - self._lap, 3)
        self._lap = now

    @property
    def comparable(self):
        """Whether every corpus is the thesis's own."""
        return bool(self.corpora) and all(c["kind"] == "thesis" for c in self.corpora.values())

    @property
    def label(self):
        """Corpus, kind and weights in a line, for captions and small print."""
        return describe_origin(self.corpora, self.weights)

    def table(self, number, ours, *, caption, published=None, keys=(), scores=(), within=()):
        """Write a table of the thesis: ours, and below it the printed one.

        Parameters
        ----------
        number : str
        ours : pandas.DataFrame or ScoreTable
            With a :class:`~thesislib.reporting.scores.ScoreTable`, the predictions are written to
            ``predictions/table_<number>.parquet``, and the comparisons that were planned for the
            table to ``tables/table_<number>_comparisons.csv``.
        caption : str
        published : str or None
            Number of the printed table; None where the thesis prints none.
        keys, scores, within : sequence of str
            As in :func:`~thesislib.reporting.tables.join_published`.

        Returns
        -------
        ResultTable
            What was written, shown in the thesis's layout.
        """
        if isinstance(ours, ScoreTable):
            self._write_predictions(number, ours)
            ours = ours.frame
        ours = ours.copy()
        kinds = sorted({c["kind"] for c in self.corpora.values()})
        if "corpus_kind" not in ours:
            ours["corpus_kind"] = ", ".join(kinds)
        printed = None if published is None else load_published(published)
        names = {"keys": keys, "scores": scores, "within": within}
        table = join_published(ours, printed, comparable=self.comparable, **names)
        full = f"{caption} Ours: {self.label}."
        self.outputs += write_table(table, number, self.folder / "tables", caption=full)
        return ResultTable(table, number, caption=full)

    def _write_predictions(self, number, scores):
        predictions = scores.predictions
        if predictions is None:
            return
        path = self.folder / "predictions" / f"table_{table_stem(number)}.parquet"
        with write_atomically(path) as temporary:
            predictions.to_parquet(temporary, index=False)
        self.outputs.append(path)
        self._scores[number] = predictions, scores.options
        compared = self.compare(number)
        if len(compared):
            caption = f"Planned comparisons of Table {number}, paired by clip. Ours: {self.label}."
            folder = self.folder / "tables"
            self.outputs += write_table(compared, f"{number}_comparisons", folder, caption=caption)

    def compare(self, number, pairs=None):
        """Compare systems of a table that has been written.

        Parameters
        ----------
        number : str
        pairs : list of (str, str), optional
            Names of systems; default: the comparisons that were planned for the table.

        Returns
        -------
        pandas.DataFrame
            As from :func:`~thesislib.reporting.scores.compare_planned`; empty if none of the
            planned systems was run.
        """
        if number not in self._scores:
            return pd.DataFrame()
        predictions, options = self._scores[number]
        return compare_planned(predictions, self.name, number, pairs=pairs, **options)

    def read(self, number, pairs=None):
        """Describe the comparisons of :meth:`compare`, a sentence each, as Markdown."""
        compared = self.compare(number, pairs).to_dict("records")
        several = len({row["corpus"] for row in compared}) > 1
        lines = [
            f"- {markdown(row['corpus'])}: {text}" if several else f"- {text}"
            for row in compared
            for text in [markdown(describe_comparison(row))]
        ]
        return "\n".join(lines) or "- no two of the systems to compare were run"

    def judge(self, number):
        """Pool the planned comparisons of a table over the run's corpora.

        Parameters
        ----------
        number : str

        Returns
        -------
        pandas.DataFrame
            As from :func:`~thesislib.reporting.objectives.judge_objectives`, without claims that
            were not compared.
        """
        predictions, _ = self._scores[number]
        run = {"source": "this run", "notebook": self.name, "record": {"corpora": self.corpora}}
        run["predictions"] = predictions.assign(table=number)
        judged = judge_objectives(compare_runs([run]))
        return judged[judged["verdict"] != "not run"]

    def figure(self, number, figure, *, note=None):
        """Write a figure of the thesis, with the corpus and weights in small print."""
        note = self.label if note is None else note
        if any(corpus["kind"] == "stand-in" for corpus in self.corpora.values()):
            for axes in figure.axes:
                axes.title.set_text(axes.title.get_text().replace(AS_PUBLISHED, OPTIMISTIC))
        self.outputs += write_figure(figure, number, self.folder / "figures", note=note)
        return figure

    @property
    def remarks(self):
        """The run's warnings, each once, with files as the corpus names them.

        Fits that had not converged are counted together.
        """
        stopped = [each.stopped for each in self._warnings if isinstance(each, StoppedWarning)]
        others = [str(each) for each in self._warnings if not isinstance(each, StoppedWarning)]
        for corpus in self._corpora.values():
            others = [text.replace(f"{corpus.root}{os.sep}", "") for text in others]
        text = describe_stopped(add_stopped(stopped))
        return list(dict.fromkeys([*filter(None, [text]), *others]))

    def _find_shortcuts(self):
        """Line for each corpus whose clips were classified: what their files' properties tell."""
        tables = [t for t, options in self._scores.values() if options["metric"] != "error_rate"]
        names = {name for table in tables for name in table["corpus"].unique()}
        store = FeatureStore(self.parameters.get("store") or store_folder())
        lines = {n: find_shortcuts(c, store) for n, c in self._corpora.items() if n in names}
        return [f"{name}: {line}" if len(lines) > 1 else line for name, line in lines.items()]

    def finish(self):
        """Show the remarks, write the final ``run.json`` and replace the finished results."""
        shown = [key for key in ("seed", "seeds") if key in self.parameters]
        seeds = "".join(f"; {key} {self.parameters[key]}" for key in shown)
        display(Markdown(f"*{markdown(self.label + seeds)}.*"))
        self._warnings += self._find_shortcuts()
        self.lap("remarks")
        if self.remarks:
            remarks = "; ".join(markdown(text.rstrip(".")) for text in self.remarks)
            display(Markdown(f"Remarks: {remarks}."))
        self._durations["total"] = round(time.perf_counter() - self._started, 3)
        self._write("complete")
        if self._replaces:
            # A copy: in JupyterLab, a cell may run again, and then this one.
            copy = stage(self.results)
            shutil.copytree(self.folder, copy, dirs_exist_ok=True)
            publish(copy, self.results)

    def _write(self, status):
        record = {
            "notebook": self.name,
            "status": status,
            "parameters": self.parameters,
            "corpora": self.corpora,
            "weights": self.weights,
            "notes": self.notes,
            "remarks": self.remarks,
            "outputs": {
                str(path.relative_to(self.folder)): hash_file(path)
                for path in dict.fromkeys(self.outputs)
            },
            "inputs": self.inputs,
            "durations_s": self._durations,
            "peak_memory_gb": _measure_peak_gb(),
            "git": describe_commit(),
            "versions": describe_versions(),
            "machine": describe_machine(),
        }
        write_record(self.folder, record)


def describe_commit():
    """Commit of the checkout, and whether files differ from it; None without git."""
    try:
        run = {"cwd": project_root(), "capture_output": True, "text": True, "check": True}
        commit = subprocess.run(["git", "rev-parse", "HEAD"], **run).stdout.strip()
        changed = subprocess.run(["git", "status", "--porcelain"], **run).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None
    return {"commit": commit, "changed": bool(changed)}


def describe_machine():
    """Processor, the kernels that torch uses on it, cores, threads and accelerator."""
    import torch

    return {
        "processor": platform.machine(),
        "kernels": torch.backends.cpu.get_cpu_capability(),
        "cores": os.cpu_count(),
        "torch_threads": torch.get_num_threads(),
        "device": torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu",
    }


def _measure_peak_gb():
    """Most memory that this process has had."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak / (2**30 if sys.platform == "darwin" else 2**20), 3)
