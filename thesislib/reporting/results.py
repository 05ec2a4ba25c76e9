"""Folders of results. A run writes beside the finished results and replaces them at its end.

A run writes into a hidden folder of its own (:func:`stage`). At its end that folder gets a fixed
name (:func:`publish`), in one step; from then on it is the result, and its files are moved to
their places, ``run.json`` last. If the process is killed in between, :func:`settle` moves the
rest, and it is called before results are read. So either the old results are there or the new.
"""

import contextlib
import glob
import json
import os
import shutil
from collections import Counter
from pathlib import Path

from thesislib.errors import StoreError
from thesislib.places import project_root, results_folder
from thesislib.reporting.notebooks import OVERVIEW, PROFILES, read_profile
from thesislib.store import cannot_write, lock, make_temporary, write_atomically


def find_results(name, parameters):
    """Folder of a notebook's results.

    ``results/<profile>/<notebook>``; for a corpus that is not the profile's own,
    ``results/<name of its folder>/<notebook>``.

    Examples
    --------
    >>> find_results("10_2_snore", {"profile": "paper"}).parts[-2:]
    ('paper', '10_2_snore')
    >>> find_results("10_2_snore", {"corpus": "my/recordings"}).parts[-2:]
    ('recordings', '10_2_snore')
    """
    place, corpus = parameters.get("profile", "demo"), parameters.get("corpus")
    if corpus and name != OVERVIEW:  # which reads the results on all corpora
        usual = read_profile(name, place).get("corpus")
        if not usual or os.path.abspath(corpus) != os.path.abspath(project_root() / usual):
            place = Path(os.path.abspath(corpus)).name.lstrip(".") or "corpus"
            place = f"own-{place}" if place in PROFILES else place
    named = parameters.get("results")
    return Path(os.path.abspath(named or results_folder() / place / name))


def list_places():
    """Folders in ``results``: profiles and corpora.

    Examples
    --------
    >>> all(place.is_dir() for place in list_places())
    True
    """
    return [path for path in sorted(results_folder().glob("[!.]*")) if path.is_dir()]


def list_folders(place):
    """Folders of results in a folder, without those of failed and of unfinished runs."""
    for path in place.glob(".*.new"):
        settle(place / path.name[1:-4])
    folders = [path.parent for path in sorted(place.glob("*/run.json"))]
    return [f for f in folders if not f.name.startswith(".") and f.suffix != ".failed"]


def read_record(folder):
    """Contents of ``run.json`` in a folder of results; None without complete results."""
    folder = Path(folder)
    settle(folder)
    record = _read(folder)
    return record if record.get("status") == "complete" else None


def write_record(folder, record):
    """Write ``run.json``."""
    with write_atomically(folder / "run.json") as temporary:
        text = json.dumps(record, indent=1, ensure_ascii=False, default=str)
        temporary.write_text(text + "\n", encoding="utf-8")


def stage(folder):
    """Create the folder that a run writes into; remove folders of processes that have ended.

    Parameters
    ----------
    folder : Path
        Of the finished results. It is created if needed; its contents do not change.

    Returns
    -------
    Path
        An empty hidden folder beside ``folder``, or in it, if a file cannot be moved from there
        to here (a mounted disk, or a folder above that is read-only).

    Raises
    ------
    StoreError
        If ``folder`` cannot be written.

    Examples
    --------
    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp()) / "10_2_snore"
    >>> staged = stage(folder)
    >>> _ = (staged / "table.csv").write_text("a")
    >>> (folder / "table.csv").exists()
    False
    >>> publish(staged, folder)
    >>> (folder / "table.csv").exists()
    True
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        staged = _make_beside(folder)
        os.chmod(staged, folder.stat().st_mode)
    except OSError as error:
        raise cannot_write(folder, error) from error
    return staged


def _make_beside(folder):
    with contextlib.suppress(OSError):
        staged = make_temporary(folder, folder=True)
        with contextlib.suppress(OSError):
            (folder / staged.name).mkdir()
            (folder / staged.name).rename(staged / "moved").rmdir()
            return staged
        for unused in (staged, folder / staged.name):
            unused.rmdir()
    return make_temporary(folder / folder.name, folder=True)


def publish(staged, folder):
    """Replace the finished results by those of a run.

    Raises
    ------
    StoreError
        If a file cannot be moved; names the folder that holds the run.
    """
    try:
        with lock(folder / "run.json"):
            _move_all(folder)
            staged.rename(staged.with_name(f".{folder.name}.new"))
            _move_all(folder)
    except OSError as error:
        # Either the folder has its fixed name, and `settle` moves the rest, or it gets another.
        place = staged.with_name(f".{folder.name}.new")
        if staged.exists():
            place = _rename_failed(staged, folder)
        reason = f"({os.strerror(error.errno)}); the complete run is in {place}"
        raise StoreError(error.errno, f"{folder}: cannot be written {reason}") from error


def settle(folder):
    """Complete a replacement during which a process was killed."""
    # On a disk that is read-only by now, the files stay where they are.
    with contextlib.suppress(OSError):
        if _list_beside(folder, f".{glob.escape(folder.name)}.new"):
            with lock(folder / "run.json"):
                _move_all(folder)


def keep_failed(staged, folder, log):
    """Store the output of a failed run, replacing an earlier failure; return the folder."""
    with contextlib.suppress(OSError):  # on a full disk, the results stay without a log
        (staged / "log.txt").write_text(log + "\n", encoding="utf-8")
        if record := _read(staged):
            write_record(staged, {**record, "status": "failed"})
    return _rename_failed(staged, folder)


def _rename_failed(staged, folder):
    failed = staged.with_name(f"{folder.name}.failed")
    shutil.rmtree(failed, ignore_errors=True)
    with contextlib.suppress(OSError):  # on a disk that is read-only, it stays where it is
        return staged.rename(failed)
    return staged


def _read(folder):
    try:
        record = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return record if isinstance(record, dict) else {}


def _list_beside(folder, pattern):
    return [*folder.parent.glob(pattern), *folder.glob(pattern)]


def _move_all(folder):
    """Move a complete run's files to their places, as far as that has not been done."""
    for new in _list_beside(folder, f".{glob.escape(folder.name)}.new"):
        files = [path.relative_to(new) for path in new.rglob("*") if path.is_file()]
        # The record comes last: until then, it is the old one.
        for file in sorted(files, key=lambda file: file == Path("run.json")):
            if file == Path("run.json"):
                _remove_old(folder, _read(new))
            (folder / file).parent.mkdir(parents=True, exist_ok=True)
            os.replace(new / file, folder / file)
        shutil.rmtree(new, ignore_errors=True)


def _remove_old(folder, record):
    """Remove files of the old results that the new ones do not have."""
    before = _read(folder)
    if before.get("notebook") != record.get("notebook"):
        return  # They share a folder: neither replaces the other's tables.
    old = {*before.get("outputs", ()), "executed.ipynb"}
    new = {*record.get("outputs", ()), *(["executed.ipynb"] if "executed" in record else [])}
    for path in (folder / name for name in old - new):
        if path.resolve().is_relative_to(folder.resolve()):
            path.unlink(missing_ok=True)


def describe_origin(corpora, weights):
    """Corpora with their kinds, and the weights, in a line, for captions and small print.

    Parameters
    ----------
    corpora : dict of str to dict
        As in ``run.json``.
    weights : dict of str to str
        Network (with its kind in brackets) to a SHA-256 or ``random:<seed>``.

    Examples
    --------
    >>> corpora = {"corpus": {"name": "snore", "kind": "synthetic"}}
    >>> describe_origin(corpora, {"alexnet (random)": "random:0"})
    'snore (synthetic); random weights: alexnet'
    """
    names = [f"{corpus['name']} ({corpus['kind']})" for corpus in corpora.values()]
    remarks = [remark for corpus in corpora.values() for remark in corpus.get("remarks", ())]
    derived = [remark for remark in remarks if remark.startswith("derived:")]
    parts = [*dict.fromkeys(names)] or ["no corpus"]
    parts += dict.fromkeys(derived)
    networks = [(name.split(" (")[0], str(value)) for name, value in weights.items()]
    random = Counter(network for network, value in networks if value.startswith("random"))
    trained = {n: f"{n} {value[:8]}" for n, value in networks if not value.startswith("random")}
    if random:
        n_seeds = max(random.values())
        seeds = f" ({n_seeds} seeds)" if n_seeds > 1 else ""
        parts.append(f"random weights: {', '.join(random)}{seeds}")
    if trained:
        parts.append(f"pre-trained weights: {', '.join(trained.values())}")
    return "; ".join(parts)
