"""Folders of the project: notebooks, data, weights, feature store and results.

The root is the folder that ``THESIS_ROOT`` names, else the checkout that the package was
installed from, else the nearest folder above the working directory that holds ``notebooks``.
"""

import os
from pathlib import Path

from thesislib.errors import ThesisError


def project_root():
    """Folder that holds ``notebooks``, ``data`` and ``results``.

    Raises
    ------
    ThesisError
        If there is none, as after installing the package without a checkout.
    """
    named = os.environ.get("THESIS_ROOT")
    candidates = [Path(named)] if named else [Path(__file__).resolve().parents[1]]
    if not named:
        candidates += [Path.cwd(), *Path.cwd().parents]
    for folder in candidates:
        if (folder / "notebooks").is_dir():
            return folder.resolve()
    raise ThesisError(
        f"{candidates[0]}: found no folder notebooks there, expected a checkout of the project "
        "(set THESIS_ROOT to one)"
    )


def notebooks_folder():
    """The experiments' notebooks."""
    return project_root() / "notebooks"


def data_folder():
    """Corpora, published tables, weights and the feature store."""
    return project_root() / "data"


def published_folder():
    """The thesis's printed tables, and the lists of the overview."""
    return data_folder() / "published"


def weights_folder():
    """Weights of networks, from ``thesis weights fetch``; ``THESIS_WEIGHTS`` overrides it."""
    named = os.environ.get("THESIS_WEIGHTS")
    return Path(named) if named else data_folder() / "weights"


def store_folder():
    """The feature store; ``THESIS_STORE`` overrides it."""
    named = os.environ.get("THESIS_STORE")
    return Path(named) if named else data_folder() / "store"


def results_folder():
    """Executed notebooks, tables and figures; ``THESIS_RESULTS`` overrides it."""
    named = os.environ.get("THESIS_RESULTS")
    return Path(named) if named else project_root() / "results"
