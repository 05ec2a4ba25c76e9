"""What is in ``results``: each experiment's state, record and files."""

import csv
import json
import re
from dataclasses import dataclass, field
from pathlib import Path

from thesislib.compendium.freshness import list_changes
from thesislib.errors import StoreError
from thesislib.reporting.notebooks import PROFILES, list_notebooks, read_title
from thesislib.reporting.results import settle
from thesislib.store import hash_file

#: State of a result, and what it means.
STATES = {
    "complete": "ran to its end",
    "unfinished": "no executed notebook: run it with thesis run",
    "failed": "a cell failed; the page shows which",
    "no record": "executed, but without run.json nothing says where it comes from",
    "not run": "no result yet",
}


@dataclass
class Result:
    """One experiment in one profile.

    Attributes
    ----------
    profile, name, title : str
    folder : Path
        ``results/<profile>/<name>``, which need not exist; where there is none, that of a
        failed run.
    state : str
        One of ``STATES``.
    record : dict
        ``run.json``; empty if there is none.
    changes : list of str
        What has changed since a complete run, so that another would give other results.
    """

    profile: str
    name: str
    title: str
    folder: Path
    state: str
    record: dict = field(default_factory=dict)
    changes: list = field(default_factory=list)

    @property
    def executed(self):
        """The executed notebook."""
        return self.folder / "executed.ipynb"

    @property
    def page(self):
        """Address of the experiment's page in the site, without its ending."""
        return f"results/{self.profile}/{self.name}/executed"

    @property
    def figures(self):
        """The figures as PNG, in the thesis's order."""
        return sorted((self.folder / "figures").glob("*.png"), key=_by_number)

    @property
    def tables(self):
        """The tables as CSV, in the thesis's order."""
        return sorted((self.folder / "tables").glob("*.csv"), key=_by_number)

    @property
    def corpora(self):
        """The corpora with their kinds, as text."""
        found = [f"{c['name']} ({c['kind']})" for c in self.record.get("corpora", {}).values()]
        return "; ".join(dict.fromkeys(found))

    @property
    def weights(self):
        """Which networks had random weights and which had given ones, as text."""
        told = {"random": [], "given": []}
        for network, identity in self.record.get("weights", {}).items():
            kind = "random" if str(identity).startswith("random") else "given"
            told[kind].append(network.removesuffix(" (random)").removesuffix(" (pre-trained)"))
        return "; ".join(f"{kind}: {', '.join(names)}" for kind, names in told.items() if names)

    @property
    def command(self):
        """What to type to make this result."""
        if self.profile == "public":
            return f".venv/bin/thesis run {self.name} --profile public"
        return f"make {'paper' if self.profile == 'paper' else 'reproduce'} NOTEBOOKS={self.name}"

    def read_tables(self):
        """Each table in full: its file, number, columns and rows, as they are written."""
        found = []
        for path in self.tables:
            with path.open(encoding="utf-8", newline="") as opened:
                columns, *rows = csv.reader(opened)
            number = spell_number(path)
            found.append({"file": path.name, "number": number, "columns": columns, "rows": rows})
        return found

    def list_outputs(self):
        """Each recorded file: its name, its SHA-256, and whether it is as recorded."""
        rows = []
        for name, recorded in self.record.get("outputs", {}).items():
            path = self.folder / name
            found = hash_file(path) if path.is_file() else None
            state = "missing" if found is None else "as recorded"
            if found not in (None, recorded):
                state = "changed since"
            rows.append({"name": name, "sha256": recorded, "state": state})
        return rows


def read_results(root, profile):
    """Every experiment of a profile, and what the other profiles have.

    Parameters
    ----------
    root : Path
        The folder ``results``.
    profile : str
        The one that is shown in full: what has no result is listed as ``not run``.

    Returns
    -------
    dict of str to list of Result
        Profile to results, the chosen profile first.
    """
    found = {}
    for name in sorted(PROFILES, key=lambda other: other != profile):
        results = [read_result(root, name, notebook) for notebook in list_notebooks()]
        if name != profile:
            results = [result for result in results if result.state != "not run"]
        if results:
            found[name] = results
    return found


def read_result(root, profile, name):
    """Read one experiment's result, or that there is none.

    Raises
    ------
    StoreError
        If a file is damaged; names it.
    """
    folder = root / profile / name
    settle(folder)
    failed = folder.with_name(f"{name}.failed")
    if failed.is_dir() and not (folder / "run.json").is_file():
        folder = failed
    executed, record = folder / "executed.ipynb", folder / "run.json"
    result = Result(profile, name, read_title(name), folder, "not run")
    if record.is_file():
        result.record = _read(record, lambda path: json.loads(path.read_text(encoding="utf-8")))
        states = ("complete", "failed") if executed.is_file() else ()
        status = result.record.get("status")
        result.state = status if status in states else "unfinished"
    elif executed.is_file():
        result.state = "no record"
    if result.state == "complete":
        # The results may lie elsewhere than where the record was made.
        parameters = {**result.record["parameters"], "results": str(folder)}
        result.changes = list_changes(name, parameters, result.record)
    return result


def _read(path, reader):
    try:
        return reader(path)
    except ValueError as error:
        raise StoreError(f"{path}: cannot be read, expected what a run wrote ({error})") from error


def spell_number(path):
    """A table's or figure's number in its notebook: ``figure_10_1_loss.png`` → ``10.1_loss``."""
    name = path.stem.partition("_")[2]
    return re.sub(r"^(\d+)_", r"\1.", name)


def _by_number(path):
    return [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", path.stem)]
