"""The one training loop, shared by every network of the thesis (chapters 5, 6 and 7).

Conventions
-----------
A *step* turns one batch into scalar losses; the loop does the rest: gradients, clipping,
optimisers, schedules, early stopping, checkpoints, the log. An *epoch* is one pass over
``batches``. Training depends only on its inputs and ``seed``: it neither reads nor changes
torch's global random generators, and on a CPU a training that was killed and called again
gives the same bits as an uninterrupted one.

Networks and checkpoints are safetensors files with plain values and a SHA-256 in the header
(`write_tensors`): a damaged file is reported, and reading a file executes no code.
"""

import contextlib
import hashlib
import json
import math
import os
import stat
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from safetensors import safe_open
from safetensors.torch import save
from tqdm import tqdm

from thesislib.errors import ParameterError, WeightsError
from thesislib.store import hash_arrays, hash_parameters, write_atomically

_INNER = "tensor of the metadata "  # begins the name of a tensor in a file's metadata


def train(
    network,
    step,
    batches,
    *,
    n_epochs,
    optimisers,
    seed,
    validate=None,
    patience=None,
    min_epochs=0,
    min_improvement=0.0,
    schedulers=(),
    clip_value=None,
    clip_norm=None,
    mixed_precision=False,
    checkpoint=None,
    log=None,
    progress=False,
):
    """Train a network in place and return the losses of each epoch.

    Parameters
    ----------
    network : nn.Module
        On the device for the training; of a GAN, the ``ModuleDict`` of both networks.
    step : callable or dict of str to callable
        ``step(batch)`` returns a dict of scalar tensors: ``"loss"`` is minimised, the others
        are only recorded. With several optimisers (a GAN), a dict with a step for each of
        them, under the same names; they run in the order of ``optimisers``, each after the
        update of the one before, and their columns carry the name: ``generator_loss``.
    batches : callable
        ``batches(generator)`` gives the batches of one epoch, in an order drawn from
        ``generator`` (a ``torch.Generator`` of its own).
    n_epochs : int >= 0
        Epochs at most. 0 leaves the network as it is: the untrained control.
    optimisers : dict of str to torch.optim.Optimizer
        One, or several if ``step`` is a dict.
    seed : int
        Of the data's order, and of dropout and noise.
    validate : callable, optional
        Called without arguments after each epoch, in evaluation mode, without gradients;
        returns a dict of numbers, recorded as ``validation_<name>``.
    patience : int > 0, optional
        Stop after that many epochs in a row in which ``validation_loss`` did not improve;
        the weights of the lowest ``validation_loss`` are restored at the end. Without it,
        the last weights stay.
    min_epochs : int
        Never stop before (chapter 8.2: at least 100, then patience 15).
    min_improvement : float
        Share of the loss by which it has to fall to count as improved.
    schedulers : iterable of torch learning-rate schedulers
        Stepped after each epoch; ``LambdaLR(optimiser, lambda e: 1 / (1 + 0.01 * e))`` is
        the decay of chapter 8.2.
    clip_value, clip_norm : float, optional
        Clip each gradient's elements (chapter 6: 2), or the norm of all together.
    mixed_precision : bool
        bfloat16 where a GPU has it; weights stay float32. On a CPU without effect.
    checkpoint : str or Path, optional
        File written after each epoch. If it exists, training goes on from it.
    log : str or Path, optional
        CSV file with a row an epoch.
    progress : bool
        Show a progress bar.

    Returns
    -------
    list of dict
        One for each epoch: ``epoch`` (from 1), the means of the losses over the batches,
        the validation's numbers, and ``learning_rate`` (of the first optimiser).

    Raises
    ------
    ParameterError
        If there is no batch, or the loss is no longer finite.
    WeightsError
        If the checkpoint is damaged, or of another training.

    Examples
    --------
    >>> network = torch.nn.Linear(1, 1)
    >>> x = torch.linspace(-1, 1, 8)[:, None]
    >>> history = train(
    ...     network,
    ...     lambda rows: {"loss": ((network(x[rows]) - 2 * x[rows]) ** 2).mean()},
    ...     lambda generator: torch.randperm(8, generator=generator).split(4),
    ...     n_epochs=50,
    ...     optimisers={"adam": torch.optim.Adam(network.parameters(), lr=0.1)},
    ...     seed=0,
    ... )
    >>> history[-1]["loss"] < 0.01 < history[0]["loss"]
    True
    """
    steps = step if isinstance(step, dict) else dict.fromkeys(optimisers, step)
    device = next(network.parameters()).device
    autocast = device.type == "cuda" and mixed_precision and torch.cuda.is_bf16_supported()
    # Two streams: the order of the data must not be correlated with the dropout masks.
    order_seed, noise_seed = (int(s) for s in np.random.SeedSequence(seed).generate_state(2))
    order = torch.Generator().manual_seed(order_seed)
    schedulers, history, best = list(schedulers), [], None
    state = network, optimisers, schedulers, order, seed, device

    with seeded(noise_seed, device):
        if checkpoint is not None and os.path.lexists(checkpoint):
            history, best = _resume(checkpoint, *state)

        with tqdm(total=n_epochs, initial=len(history), disable=not progress) as bar:
            while len(history) < n_epochs and not _stalled(
                history, patience, min_epochs, min_improvement
            ):
                row = {"epoch": len(history) + 1}
                network.train()
                row |= _run_epoch(
                    steps, batches(order), optimisers, clip_value, clip_norm, autocast, device
                )
                row["learning_rate"] = float(next(iter(optimisers.values())).param_groups[0]["lr"])
                if validate is not None:
                    network.eval()
                    with torch.no_grad(), torch.autocast(device.type, torch.bfloat16, autocast):
                        row |= {f"validation_{k}": float(v) for k, v in validate().items()}
                bad = [k for k, v in row.items() if k.endswith("loss") and not math.isfinite(v)]
                if bad:
                    raise ParameterError(
                        f"{bad[0]}: found {row[bad[0]]} in epoch {row['epoch']}, expected a finite "
                        "number: lower the learning rate or clip the gradients"
                    )
                for scheduler in schedulers:
                    scheduler.step()
                if patience is not None and all(
                    row["validation_loss"] < h["validation_loss"] for h in history
                ):
                    best = _cpu_copy(network.state_dict())
                history.append(row)
                if checkpoint is not None:
                    _save(checkpoint, *state, history, best)
                if log is not None:
                    with write_atomically(log) as temporary:
                        pd.DataFrame(history).to_csv(temporary, index=False)
                bar.update()
                bar.set_postfix({k: f"{v:.4g}" for k, v in row.items() if k.endswith("loss")})
    if best is not None:
        network.load_state_dict(best)
    network.eval()
    return history


def _run_epoch(steps, batches, optimisers, clip_value, clip_norm, autocast, device):
    """One pass over the data; the mean of each recorded scalar over its batches."""
    recorded = {}
    for batch in batches:
        for name, optimiser in optimisers.items():
            optimiser.zero_grad(set_to_none=True)
            with torch.autocast(device.type, torch.bfloat16, autocast):
                losses = steps[name](batch)
            losses["loss"].backward()
            parameters = [p for group in optimiser.param_groups for p in group["params"]]
            if clip_value is not None:
                torch.nn.utils.clip_grad_value_(parameters, clip_value)
            if clip_norm is not None:
                torch.nn.utils.clip_grad_norm_(parameters, clip_norm)
            optimiser.step()
            prefix = f"{name}_" if len(steps) > 1 else ""
            for key, value in losses.items():
                # Recorded as tensors: to read a number each step would make a GPU wait.
                recorded.setdefault(prefix + key, []).append(torch.as_tensor(value).detach())
    if not recorded:
        raise ParameterError("batches: found no batch, expected at least one an epoch")
    return {k: float(torch.stack(v).float().mean()) for k, v in recorded.items()}


def _cpu_copy(state):
    return {k: v.detach().cpu().clone() for k, v in state.items()}


def _stalled(history, patience, min_epochs, min_improvement):
    """Whether ``patience`` epochs have gone by without a sufficient improvement."""
    if patience is None or not history or len(history) < min_epochs:
        return False
    since, reference = 0, math.inf
    for epoch, row in enumerate(history):
        if row["validation_loss"] < reference * (1 - min_improvement) or epoch == 0:
            since, reference = epoch, row["validation_loss"]
    return len(history) - 1 - since >= patience


def _save(path, network, optimisers, schedulers, order, seed, device, history, best):
    """Write everything that `_resume` reads."""
    state = {
        "seed": seed,
        "network": network.state_dict(),
        "optimisers": {n: o.state_dict() for n, o in optimisers.items()},
        "schedulers": [s.state_dict() for s in schedulers],
        "history": history,
        "best": best,
        "order": order.get_state(),
        "noise": torch.get_rng_state(),
    }
    if device.type == "cuda":
        state["noise_cuda"] = torch.cuda.get_rng_state(device)
    write_tensors(path, {}, state)


def _resume(path, network, optimisers, schedulers, order, seed, device):
    """Set everything to the state in a checkpoint; return its history and best weights."""
    _, saved = read_tensors(path)
    try:
        if saved["seed"] != seed:
            raise ValueError(f"its seed is {saved['seed']}, not {seed}")
        network.load_state_dict(saved["network"])
        for name, optimiser in optimisers.items():
            state = saved["optimisers"][name]
            # JSON has no integers as keys; an optimiser numbers its parameters.
            numbered = {int(key): value for key, value in state["state"].items()}
            optimiser.load_state_dict(state | {"state": numbered})
        for scheduler, state in zip(schedulers, saved["schedulers"], strict=True):
            scheduler.load_state_dict(state)
        order.set_state(saved["order"])
        torch.set_rng_state(saved["noise"])
        if device.type == "cuda":
            torch.cuda.set_rng_state(saved["noise_cuda"], device)
        return saved["history"], saved["best"]
    except (RuntimeError, ValueError, TypeError, KeyError, AttributeError) as error:
        reason = " ".join(str(error).split())
        raise WeightsError(
            f"{path}: found no checkpoint of this training ({reason}); delete it to begin anew"
        ) from error


@contextlib.contextmanager
def seeded(seed, device="cpu"):
    """Seed torch's global generators for a block and put them back afterwards.

    Examples
    --------
    >>> with seeded(0):
    ...     a = torch.rand(3)
    >>> with seeded(0):
    ...     b = torch.rand(3)
    >>> bool((a == b).all())
    True
    """
    device = torch.device(device)
    on_gpu = device.type == "cuda"
    index = device.index if device.index is not None else 0
    with torch.random.fork_rng(devices=[index] if on_gpu else []):
        torch.default_generator.manual_seed(seed)
        if on_gpu:
            with torch.cuda.device(index):
                torch.cuda.manual_seed(seed)
        yield


@contextlib.contextmanager
def limit_threads(n):
    """Let torch use ``n`` threads on the CPU for a block; the last bits depend on it.

    Examples
    --------
    >>> with limit_threads(1):
    ...     torch.get_num_threads()
    1
    """
    before = torch.get_num_threads()
    torch.set_num_threads(n)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def pick_device(device):
    """``torch.device`` of a name.

    ``"auto"`` is what the environment variable ``THESIS_DEVICE`` names, else the GPU if there is
    one. Where a first tensor on that GPU fails, a warning says so, and it is the CPU.

    Raises
    ------
    ParameterError
        If the device is unknown, not there, or does not work.

    Examples
    --------
    >>> pick_device("cpu")
    device(type='cpu')
    """
    named = os.environ.get("THESIS_DEVICE", "auto") if device == "auto" else device
    try:
        tried = torch.device(
            ("cpu", "cuda")[torch.cuda.is_available()] if named == "auto" else named
        )
        torch.zeros(1, device=tried).cpu()
    except (RuntimeError, TypeError, AssertionError) as error:  # torch without CUDA asserts
        what = f"device: found {named!r}, expected auto, cpu or cuda that works here"
        reason = str(error).partition("\n")[0].partition(". ")[0]
        if named != "auto":
            raise ParameterError(f"{what} ({reason})") from error
        warnings.warn(f"device: the GPU does not work ({reason}); the CPU is used", stacklevel=2)
        return torch.device("cpu")
    return tried


def checkpoint_file(folder, name, parameters, arrays):
    """File of a training in a folder: its name depends on parameters and data.

    Each fold of a cross-validation therefore gets its own checkpoint file.

    Parameters
    ----------
    folder : str, Path or None
        None gives None: no checkpoint.
    name : str
        Of the estimator.
    parameters : dict
        Plain values.
    arrays : iterable of ndarray
        All the data that the training sees.
    """
    if folder is None:
        return None
    key = hash_parameters({"parameters": parameters, "data": hash_arrays(arrays)})
    return Path(folder) / f"{name}-{key[:24]}.safetensors"


def hash_tensors(tensors):
    """SHA-256 of named tensors: names, shapes, types and content.

    Examples
    --------
    >>> hash_tensors({"a": torch.zeros(2)}) == hash_tensors({"a": torch.zeros(1, 2)})
    False
    """
    digest = hashlib.sha256()
    for name, tensor in sorted(tensors.items()):
        digest.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}".encode())
        values = tensor.detach().cpu().contiguous().flatten()
        digest.update(values.view(torch.uint8).numpy().data)
    return digest.hexdigest()


def write_tensors(path, tensors, metadata):
    """Write tensors as safetensors, with plain values and a SHA-256 of all in the header.

    Parameters
    ----------
    path : str or Path
        The file, whole or not at all.
    tensors : dict of str to Tensor
    metadata : nest of dict, list and plain values
        Stored as JSON; tensors in it are stored beside ``tensors``.

    Raises
    ------
    StoreError
        If the file cannot be written.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "net.safetensors"
    >>> write_tensors(path, {"weight": torch.ones(2)}, {"n_units": 2, "best": torch.zeros(1)})
    >>> read_tensors(path)
    ({'weight': tensor([1., 1.])}, {'n_units': 2, 'best': tensor([0.])})
    """
    inner = {}

    def name_tensor(value):
        if not torch.is_tensor(value):
            raise TypeError(f"metadata: found {type(value).__name__}, expected plain values")
        inner[f"{_INNER}{len(inner)}"] = value
        return {_INNER: len(inner) - 1}

    text = json.dumps(metadata, default=name_tensor)
    # Copies: tensors that share memory, or are views, cannot be stored as safetensors.
    tensors = {k: v.contiguous() for k, v in _cpu_copy(tensors | inner).items()}
    # One entry only: of several, safetensors does not keep the order.
    content = save(tensors, {"thesislib": json.dumps([_hash_content(tensors, text), text])})
    with write_atomically(path) as temporary:
        temporary.write_bytes(content)


def read_tensors(path):
    """Tensors and metadata of a file that `write_tensors` wrote.

    Returns
    -------
    dict of str to Tensor, nest of plain values and tensors

    Raises
    ------
    WeightsError
        If the file is missing, damaged or not of this library; names it.
    """
    check_readable(path)
    try:
        with safe_open(path, framework="pt", backend="pread") as file:
            digest, text = json.loads(file.metadata()["thesislib"])
            tensors = {name: file.get_tensor(name) for name in file.keys()}
        if digest != _hash_content(tensors, text):
            raise ValueError("its SHA-256 is another")
        inner = [name for name in tensors if name.startswith(_INNER)]
        inner = {name: tensors.pop(name) for name in inner}
        metadata = json.loads(
            text, object_hook=lambda d: inner[f"{_INNER}{d[_INNER]}"] if _INNER in d else d
        )
    except Exception as error:  # damaged headers raise many kinds of errors
        raise WeightsError(
            f"{path}: damaged, or not written by this version of the library ({error!r}), "
            "expected safetensors with a checksum; delete it to begin anew"
        ) from error
    return tensors, metadata


def check_readable(path):
    """Raise WeightsError unless ``path`` is a file that can be opened."""
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):
            raise WeightsError(f"{path}: found a folder or device, expected a file")
        open(path, "rb").close()
    except OSError as error:
        raise WeightsError(f"{path}: cannot be read ({error.strerror})") from error


def _hash_content(tensors, text):
    return hashlib.sha256((text + hash_tensors(tensors)).encode()).hexdigest()
