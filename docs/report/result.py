"""What is in ``results``: each experiment's state, record and files."""

import csv
import hashlib
import json
import re
from dataclasses import dataclass, field
from pathlib import Path

from thesislib.compendium.freshness import list_changes
from thesislib.errors import StoreError, ThesisError
from thesislib.reporting.notebooks import PROFILES, list_notebooks, read_title
from thesislib.reporting.results import describe_origin, list_folders, settle
from thesislib.store import hash_file

#: State of a result, and what it means.
STATES = {
    "complete": "ran to its end",
    "unfinished": "no executed notebook: run it with thesis run",
    "failed": "a cell failed; the page shows which",
    "no record": "executed, but without run.json nothing says where it comes from",
    "not run": "no result yet",
}

#: Files of a result that the site offers. A browser opens none of them as a page, as it would HTML.
SERVED = {".csv", ".tex", ".png", ".pdf", ".parquet", ".json", ".ipynb", ".safetensors", ".txt"}


@dataclass
class Result:
    """One experiment in one profile, or on a corpus of the user.

    Attributes
    ----------
    profile : str
        Folder in ``results``: a profile, or any other name.
    name : str
        Folder in that folder.
    notebook, title : str
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
    notebook: str
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
        return f"results/{make_slug(self.profile)}/{make_slug(self.name)}/executed"

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
        text = describe_origin({}, self.record.get("weights", {}))
        return text.removeprefix("no corpus").removeprefix("; ")

    @property
    def command(self):
        """What to type to make this result."""
        if self.profile in ("demo", "paper"):
            target = "paper" if self.profile == "paper" else "reproduce"
            return f"make {target} NOTEBOOKS={self.notebook}"
        profile = self.record.get("parameters", {}).get("profile", self.profile)
        command = f".venv/bin/thesis run {self.notebook} --profile {profile}"
        return command + ("" if self.profile in PROFILES else " --corpus DIR")

    def list_downloads(self, stem):
        """Files of a table or figure: kind and path in the folder."""
        kind = stem.partition("_")[0]
        kinds = {"csv": "CSV", "tex": "LaTeX", "png": "PNG", "pdf": "PDF"}
        files = {f"{kind}s/{stem}.{suffix}": name for suffix, name in kinds.items()}
        files[f"predictions/{stem}.parquet"] = "predictions (Parquet)"
        return [(name, file) for file, name in files.items() if (self.folder / file).is_file()]

    def read_table(self, path):
        """A table in full: its file, number, columns and rows, as they are written."""
        with path.open(encoding="utf-8", newline="") as opened:
            columns, *rows = csv.reader(opened)
        return {
            "file": path.name,
            "stem": path.stem,
            "number": spell_number(path),
            "columns": columns,
            "rows": rows,
        }

    def list_outputs(self):
        """Each recorded file: name, SHA-256, whether it is as recorded, whether the site has it."""
        rows = []
        for name, recorded in self.record.get("outputs", {}).items():
            path = self.folder / name
            found = hash_file(path) if path.is_file() else None
            state = "missing" if found is None else "as recorded"
            if found not in (None, recorded):
                state = "changed since"
            link = found is not None and path.suffix in SERVED
            rows.append({"name": name, "sha256": recorded, "state": state, "link": link})
        return rows


def read_results(root, profile):
    """Every experiment of a profile, and what the other folders have.

    Parameters
    ----------
    root : Path
        The folder ``results``.
    profile : str
        The one that is shown in full: what has no result is listed as ``not run``.

    Returns
    -------
    dict of str to list of Result
        Folder of ``results`` to results: the chosen profile first, then the other profiles, then
        those of users' corpora.
    """
    folders = [path.name for path in root.glob("*/") if not path.name.startswith(".")]
    folders.sort(key=lambda name: (name not in PROFILES, name))
    found = {}
    for group in dict.fromkeys([profile, *folders]):
        place, names = root / group, list_notebooks() if group == profile else []
        present = [folder.name for folder in list_folders(place)]
        for path in [*place.glob("*/executed.ipynb"), *place.glob("*.failed/run.json")]:
            present.append(path.parent.name.removesuffix(".failed"))
        present = sorted(name for name in present if not name.startswith("."))
        results = [read_result(root, group, name) for name in dict.fromkeys([*names, *present])]
        if results:
            found[group] = results
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
    result = Result(profile, name, name, name, folder, "not run")
    if record.is_file():
        result.record = _read(record, lambda path: json.loads(path.read_text(encoding="utf-8")))
        result.notebook = str(result.record.get("notebook", name))
    if result.notebook in list_notebooks():
        result.title = read_title(result.notebook)
    if record.is_file():
        states = ("complete", "failed") if executed.is_file() else ()
        status = result.record.get("status")
        result.state = status if status in states else "unfinished"
    elif executed.is_file():
        result.state = "no record"
    if result.state == "complete":
        # The results may lie elsewhere than where the record was made.
        parameters = {**result.record["parameters"], "results": str(folder)}
        try:
            result.changes = list_changes(result.notebook, parameters, result.record)
        except ThesisError as error:
            result.changes = [str(error)]
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


def make_slug(name):
    """A folder's name as part of an address: other signs than letters and digits become one ``-``.

    Examples
    --------
    >>> make_slug("my <corpus>")
    'my-corpus-3a8bad'
    """
    slug = re.sub(r"[^A-Za-z0-9_.-]+", "-", name).strip("-.")
    if slug == name:
        return slug
    return f"{slug}-{hashlib.sha256(name.encode('utf-8', 'surrogateescape')).hexdigest()[:6]}"


def _by_number(path):
    return [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", path.stem)]
