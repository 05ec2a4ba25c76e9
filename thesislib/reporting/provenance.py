"""Where a result comes from: ``run.json`` beside every table and figure (contract 5)."""

import json
import os
import platform
import subprocess
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from thesislib import __version__
from thesislib.errors import ParameterError
from thesislib.places import notebooks_folder, project_root, results_folder
from thesislib.reporting.figures import write_figure
from thesislib.reporting.published import load_published
from thesislib.reporting.tables import join_published, write_table
from thesislib.store import hash_file, write_atomically

#: Libraries whose versions can change a number.
LIBRARIES = (
    "numpy scipy pandas scikit-learn librosa soundfile soxr torch torchvision opensmile matplotlib"
).split()


def read_parameters(name):
    """Names and default values in a notebook's cell tagged ``parameters``.

    Parameters
    ----------
    name : str
        Notebook without suffix, such as ``10_2_snore``.

    Returns
    -------
    dict

    Raises
    ------
    ParameterError
        If there is no such cell, or it holds anything but literals.

    Examples
    --------
    >>> read_parameters("10_2_snore")["seed"]
    0
    """
    import ast

    import nbformat

    path = notebooks_folder() / f"{name}.ipynb"
    notebook = nbformat.read(path, as_version=4)
    cells = [c for c in notebook.cells if "parameters" in c.metadata.get("tags", [])]
    if len(cells) != 1:
        raise ParameterError(f"{path}: found {len(cells)} cells tagged parameters, expected one")
    found = {}
    for node in ast.parse(cells[0].source).body:
        plain = isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)
        try:
            found[node.targets[0].id] = ast.literal_eval(node.value)
        except (ValueError, AttributeError) as error:
            raise ParameterError(
                f"{path}: line {node.lineno} of the parameters is no literal"
            ) from error
        if not plain:
            raise ParameterError(f"{path}: line {node.lineno} of the parameters is no assignment")
    return found


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
        ``results/<profile>/<notebook>``, or the parameter ``results`` if it is set.
    """

    def __init__(self, name, namespace):
        self.name = name
        declared = read_parameters(name)
        self.parameters = {key: namespace.get(key, value) for key, value in declared.items()}
        profile = self.parameters.get("profile", "demo")
        named = self.parameters.get("results")
        self.folder = Path(named) if named else results_folder() / profile / name
        self.corpora, self.weights, self.notes, self.outputs = {}, {}, {}, []
        self._started = self._lap = time.perf_counter()
        self._durations = {}
        self._write("running")

    def add_corpus(self, corpus, role="corpus"):
        """Record a corpus that the results depend on; returns it."""
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

    def add_note(self, key, value):
        """Record a plain value: a count, a choice, a share of ties."""
        self.notes[key] = value

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
        corpora = "; ".join(f"{c['name']} ({c['kind']})" for c in self.corpora.values())
        random = [n for n, w in self.weights.items() if str(w).startswith("random")]
        trained = [n for n in self.weights if n not in random]
        parts = [corpora or "no corpus"]
        if random:
            parts.append("random weights: " + ", ".join(random))
        if trained:
            parts.append("given weights: " + ", ".join(trained))
        return "; ".join(parts)

    def table(self, number, ours, *, caption, published=None, keys=(), scores=()):
        """Write a table of the thesis: ours, and below it the printed one.

        Parameters
        ----------
        number : str
        ours : pandas.DataFrame
        caption : str
        published : str or None
            Number of the printed table; None where the thesis prints none.
        keys, scores : sequence of str
            As in :func:`~thesislib.reporting.tables.join_published`.

        Returns
        -------
        pandas.DataFrame
            What was written.
        """
        ours = ours.copy()
        kinds = sorted({c["kind"] for c in self.corpora.values()})
        if "corpus_kind" not in ours:
            ours["corpus_kind"] = ", ".join(kinds)
        printed = None if published is None else load_published(published)
        table = join_published(ours, printed, keys=keys, scores=scores, comparable=self.comparable)
        full = f"{caption} Ours: {self.label}."
        self.outputs += write_table(table, number, self.folder / "tables", caption=full)
        return table

    def figure(self, number, figure, *, note=None):
        """Write a figure of the thesis, with the corpus and weights in small print."""
        note = self.label if note is None else note
        self.outputs += write_figure(figure, number, self.folder / "figures", note=note)
        return figure

    def finish(self):
        """Write the final ``run.json`` and return its path."""
        self._durations["total"] = round(time.perf_counter() - self._started, 3)
        return self._write("complete")

    def _write(self, status):
        record = {
            "notebook": self.name,
            "status": status,
            "parameters": self.parameters,
            "corpora": self.corpora,
            "weights": self.weights,
            "notes": self.notes,
            "outputs": {
                str(path.relative_to(self.folder)): hash_file(path)
                for path in dict.fromkeys(self.outputs)
            },
            "durations_s": self._durations,
            "git": describe_commit(),
            "versions": describe_versions(),
            "machine": describe_machine(),
        }
        path = self.folder / "run.json"
        with write_atomically(path) as temporary:
            text = json.dumps(record, indent=1, ensure_ascii=False, default=str)
            temporary.write_text(text + "\n", encoding="utf-8")
        return path


def describe_commit():
    """Commit of the checkout, and whether files differ from it; None without git."""
    try:
        run = {"cwd": project_root(), "capture_output": True, "text": True, "check": True}
        commit = subprocess.run(["git", "rev-parse", "HEAD"], **run).stdout.strip()
        changed = subprocess.run(["git", "status", "--porcelain"], **run).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None
    return {"commit": commit, "changed": bool(changed)}


def describe_versions():
    """Python, this package, and the libraries that can change a number."""
    found = {"python": platform.python_version(), "thesislib": __version__}
    for name in LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = None
    return found


def describe_machine():
    """Processor, cores, threads and accelerator."""
    import torch

    return {
        "processor": platform.machine(),
        "cores": os.cpu_count(),
        "torch_threads": torch.get_num_threads(),
        "device": torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu",
    }
