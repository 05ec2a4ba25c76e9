"""The guard mends one failure of one package and hides no other."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import thesislib

# As torchvision does when its compiled operators are not there: submodules first, then the fakes.
UNFIT = """
import torch
from . import extension
import torchvision.extension
assert torchvision.extension.here
for name in ("nms", "qnms"):
    torch.library.register_fake(f"torchvision::{name}")(lambda dets, scores, iou_threshold: scores)
n_imports = extension.count()
"""
FIT = """
from . import extension
n_imports = extension.count()
"""
BROKEN = "raise {kind}('{message}')"
EXTENSION = """
import builtins
here = True
builtins.times = getattr(builtins, "times", 0) + 1
def count():
    return builtins.times
"""
ASK = """
import torch
from thesislib.representations.torchvision_guard import torchvision
import torchvision as direct
assert direct is torchvision
print(torchvision.n_imports, hasattr(torch.ops.torchvision, "nms"))
"""


def import_guarded(folder, source):
    """Import a package of that source through the guard, in an interpreter of its own."""
    package = folder / "torchvision"
    package.mkdir()
    (package / "__init__.py").write_text(source)
    (package / "extension.py").write_text(EXTENSION)
    project = Path(thesislib.__file__).parents[1]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(folder), str(project)])}
    return subprocess.run(
        [sys.executable, "-c", ASK], capture_output=True, text=True, env=environment, timeout=120
    )


def test_missing_operators_are_defined_and_the_import_repeated(tmp_path):
    process = import_guarded(tmp_path, UNFIT)
    assert process.stdout.split() == ["2", "True"], process.stderr


def test_a_torchvision_that_fits_is_imported_once_and_gets_no_operators(tmp_path):
    process = import_guarded(tmp_path, FIT)
    assert process.stdout.split() == ["1", "False"], process.stderr


@pytest.mark.parametrize(
    ("kind", "message"),
    [("RuntimeError", "operator torchvision::roi_align is broken"), ("ImportError", "no disk")],
)
def test_other_failures_pass_through(tmp_path, kind, message):
    process = import_guarded(tmp_path, BROKEN.format(kind=kind, message=message))
    assert process.returncode == 1
    assert process.stderr.rstrip().endswith(f"{kind}: {message}")


def test_the_installed_torchvision_builds_classifiers():
    from thesislib.representations.torchvision_guard import torchvision

    model = torchvision.models.get_model("squeezenet1_1", weights=None)
    assert sum(p.numel() for p in model.parameters()) == 1_235_496
