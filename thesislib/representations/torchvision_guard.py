"""Import torchvision where its compiled operators do not fit torch.

If torchvision and torch come from different package sources (a CUDA build and a CPU build, say),
torchvision cannot load its compiled operators. Its import then fails, because it describes two
operators that do not exist: non-maximum suppression of boxes. The image classifiers of chapter 4
use neither of them. This module therefore declares both without an implementation and imports
torchvision again. Any other import error is raised unchanged. All modules of the package import
torchvision from here.

Examples
--------
>>> from thesislib.representations.torchvision_guard import torchvision
>>> "alexnet" in torchvision.models.list_models(module=torchvision.models)
True
"""

import sys

import torch

__all__ = ["torchvision"]

try:
    import torchvision
except RuntimeError as error:
    if "operator torchvision::nms does not exist" not in str(error):
        raise
    # A module variable, since the operators exist as long as the library object.
    _OPERATORS = torch.library.Library("torchvision", "FRAGMENT")
    for _name in ("nms", "qnms"):
        _OPERATORS.define(f"{_name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    # Submodules left by the failed import would not be attributes of the new module.
    for _name in [name for name in sys.modules if name.partition(".")[0] == "torchvision"]:
        del sys.modules[_name]
    import torchvision
