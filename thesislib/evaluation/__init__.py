"""Classifiers, selection, fusion, scores and tests (thesis chapters 8 to 10)."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
