"""Networks trained on sound, behind the interface of the HEAR benchmark (beside chapter 4).

A HEAR module (hearbenchmark.com/hear-api.html) is a Python module with ``load_model(weights)`` and
``get_scene_embeddings(audio, model)``; its model has ``sample_rate`` and
``scene_embedding_size``. `thesislib.export.hear` is the other direction: the representations
of the thesis behind this interface.

Importing a module runs its code: use only modules that you trust.
"""

import functools
import importlib
import importlib.metadata
import importlib.util
import os
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from thesislib.errors import DEVICE, PATH, AudioError, ParameterError, check_parameters
from thesislib.representations.functionals import check_signals
from thesislib.representations.stateless import Stateless
from thesislib.store import hash_file, hash_parameters
from thesislib.training import check_readable, hash_tensors, limit_threads, pick_device


@dataclass(eq=False, repr=False)
class HEAR(Stateless):
    r"""Scene embeddings of a HEAR module: one vector per clip.

    Parameters
    ----------
    module : str or Path
        Name of an importable module, or path of a ``.py`` file.
    weights : str or Path, optional
        File that ``load_model`` gets; the module's own default without it.
    device : {"auto", "cpu", "cuda"}
        Of a PyTorch model; other models get arrays of NumPy and use their own device.

    Notes
    -----
    Nothing is learnt. Each clip is converted to the model's sampling rate (soxr, quality HQ) and
    passed alone, on one thread, so that its features do not depend on the other clips.

    The key of the store contains the module's name, its version, the SHA-256 of its source (of
    a package: of all its ``.py`` files), of ``weights``, and of the tensors of a PyTorch model.
    Default weights of any other model are not identified: pass them as ``weights``.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "level.py"
    >>> lines = ["class Model:", " sample_rate, scene_embedding_size = 16000, 1"]
    >>> lines += ["load_model = lambda weights='': Model()"]
    >>> lines += ["get_scene_embeddings = lambda audio, model: abs(audio).mean(1, keepdims=True)"]
    >>> _ = path.write_text("\n".join(lines))
    >>> HEAR(path).fit_transform([(np.full(800, 0.5), 16000)])
    array([[0.5]], dtype=float32)
    """

    module: PATH = "hearbaseline"
    weights: PATH | None = None
    device: DEVICE = "cpu"

    def fit(self, X=None, y=None):
        """Check the parameters and load the model.

        Raises
        ------
        ParameterError
            If the module cannot be imported, or has not what HEAR asks for.
        WeightsError
            If there is no file of weights.
        """
        self._load()
        return self

    def transform(self, X):
        """Scene embeddings of signals.

        Parameters
        ----------
        X : list of (ndarray, float)
            Mono signal in [-1, 1] and its sampling rate in Hz.

        Returns
        -------
        ndarray, shape (n, n_features), float32

        Raises
        ------
        AudioError
            If the module raises an error for a clip, or returns an embedding of another shape;
            names the clip's index.
        """
        module, model, _ = self._load()
        width, rows = model.scene_embedding_size, []
        for index, y, sr in check_signals(X, int(model.sample_rate)):
            audio = np.ascontiguousarray(y)[np.newaxis]  # (1, n_samples)
            if isinstance(model, torch.nn.Module):
                audio = torch.from_numpy(audio).to(pick_device(self.device))
            try:
                with torch.no_grad(), limit_threads(1):
                    output = module.get_scene_embeddings(audio, model)
                    output = output.cpu() if torch.is_tensor(output) else output
                    row = np.asarray(output, dtype=np.float32)
            except Exception as error:  # any, since the module is of somebody else
                raise AudioError(
                    f"X[{index}]: found {len(y)} samples at {sr} Hz, for which {self.module} "
                    f"raises {type(error).__name__} ({' '.join(str(error).split())})"
                ) from error
            if row.shape != (1, width):
                raise AudioError(
                    f"X[{index}]: found an embedding of shape {row.shape} from {self.module}, "
                    f"expected {(1, width)}"
                )
            rows.append(row[0])
        return np.array(rows, np.float32).reshape(len(rows), width)

    def get_feature_names_out(self, input_features=None):
        """``module_index`` of each feature."""
        width = self._load()[1].scene_embedding_size
        return np.array([f"{Path(self.module).stem}_{i}" for i in range(width)], dtype=object)

    def cache_parameters(self):
        """All values that the features depend on, except the signals."""
        libraries = {name: importlib.metadata.version(name) for name in ("numpy", "soxr", "torch")}
        device = pick_device(self.device).type
        return {
            "estimator": "HEAR",
            "version": self._version,
            **self._load()[2],
            "device": device,
            "libraries": libraries,
        }

    def _load(self):
        """Module, model and what identifies both; loaded once in a process."""
        check_parameters(self)
        module, weights = str(self.module), self.weights
        if module.endswith(".py"):
            module = self._resolve(module)
        weights = "" if weights is None else self._resolve(weights)
        if weights:
            check_readable(weights)
        stamps = tuple(
            os.stat(path).st_mtime_ns for path in (module, weights) if os.path.isfile(path)
        )
        return _load(module, weights, str(pick_device(self.device)), stamps)

    def _resolve(self, path):
        return str(Path(getattr(self, "_folder", ""), path).absolute())

    def __getstate__(self):
        # A worker may have another working directory.
        return {"_folder": os.getcwd(), **super().__getstate__()}

    def __sklearn_is_fitted__(self):
        return True


def hear_modules(modules, **parameters):
    """Estimators of HEAR modules, as a notebook's parameter ``hear`` lists them.

    Parameters
    ----------
    modules : dict of str to str
        Name in tables to ``MODULE`` or ``MODULE:WEIGHTS``.
    **parameters
        Of every :class:`HEAR`.

    Returns
    -------
    dict of str to HEAR

    Examples
    --------
    >>> hear_modules({"YAMNet": "yamnet_hear.py:yamnet.tflite"})["YAMNet"].weights
    'yamnet.tflite'
    """
    estimators = {}
    for name, text in modules.items():
        module, _, weights = str(text).partition(":")
        estimators[name] = HEAR(module, weights or None, **parameters)
    return estimators


@functools.lru_cache(maxsize=8)
def _load(name, weights, device, stamps):
    try:
        module = _import_file(name) if name.endswith(".py") else importlib.import_module(name)
        sources = [Path(module.__file__)]
    except Exception as error:  # any, since importing runs the module
        raise ParameterError(
            f"module: found {name} ({type(error).__name__}: {' '.join(str(error).split())}), "
            "expected a HEAR module"
        ) from error
    _check_names(name, module, ("load_model", "get_scene_embeddings"))
    about = {"weights": hash_file(weights) if weights else None}
    try:
        model = module.load_model(weights) if weights else module.load_model()
    except Exception as error:
        raise ParameterError(
            f"module: found {type(error).__name__} ({' '.join(str(error).split())}) from "
            f"load_model of {name}, expected a model"
        ) from error
    _check_names(f"the model of {name}", model, ("sample_rate", "scene_embedding_size"))
    if isinstance(model, torch.nn.Module):
        model = model.to(device).eval()
        about["state"] = hash_tensors(model.state_dict())
    if sources[0].name == "__init__.py":
        sources = sorted(sources[0].parent.rglob("*.py"))
    about["module"] = Path(name).stem if name.endswith(".py") else name
    about["module_version"] = str(_find_version(module))
    about["source"] = hash_parameters([[path.name, hash_file(path)] for path in sources])
    return module, model, about


def _import_file(path):
    name = f"thesislib_hear_{hash_file(path)[:16]}"
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # as pickle and dataclasses require
    spec.loader.exec_module(module)
    return module


def _find_version(module):
    try:
        return importlib.metadata.version(module.__name__.partition(".")[0])
    except importlib.metadata.PackageNotFoundError:
        return getattr(module, "__version__", None)


def _check_names(what, thing, names):
    missing = [name for name in names if not hasattr(thing, name)]
    if missing:
        raise ParameterError(
            f"module: found no {', '.join(missing)} in {what}, expected a HEAR module"
        )
