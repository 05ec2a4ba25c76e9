"""Import torchvision where its compiled operators do not fit torch.

torchvision from one package source beside torch from another (a CUDA build beside a CPU
build, say) cannot load its compiled operators. It warns of nothing, and then fails at import
because it describes two of them, non-maximum suppression of boxes, that nobody defined. The
classifiers of chapter 4 use none of them. So the two are defined here, without a body, and
torchvision is imported again; any other failure is somebody's to know and passes through.
Everyone in the package writes ``from thesislib.representations.torchvision_guard import
torchvision``.

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
    # The library lives as long as this module: its operators go when it goes.
    _OPERATORS = torch.library.Library("torchvision", "FRAGMENT")
    for _name in ("nms", "qnms"):
        _OPERATORS.define(f"{_name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    # The failed attempt leaves submodules behind that the second one would not attach.
    for _name in [name for name in sys.modules if name.partition(".")[0] == "torchvision"]:
        del sys.modules[_name]
    import torchvision
