"""Cost of the training loop: an epoch of S2SAE and of the CRNN against bare torch loops.

S2SAE as in 8.1: 2 x 256 GRU, encoder U, decoder B, 320 bands, batches of 64 clips of 5 s (49
frames), Adam 1e-3, dropout 20 %, clipping by value at 2. The CRNN is the default one (Table 8.4):
batches of 48 chunks of 50 frames and 128 bands. The bare loops train the same networks on batches
laid out beforehand: no checks, standardising, cutting, bucketing, padding, permuted codes, log,
checkpoint or history. Both sides on one thread, as trainings run.
"""

import tempfile
import time

import numpy as np
import torch
from timing import no_slower, run_script, take_turns

from thesislib.representations.crnn import CRNN
from thesislib.representations.s2sae import S2SAE
from thesislib.training import limit_threads, seeded


def run_bare(network, loss, batches, *, clip_value=None):
    network.train()
    optimiser = torch.optim.Adam(network.parameters(), 1e-3)
    parameters = list(network.parameters())
    losses = []
    for batch in batches:
        optimiser.zero_grad(set_to_none=True)
        value = loss(network, *batch)
        value.backward()
        if clip_value is not None:
            torch.nn.utils.clip_grad_value_(parameters, clip_value)
        optimiser.step()
        losses.append(value.detach())
    return float(torch.stack(losses).mean())


def compare(claim, fit, bare, runs):
    """Row of wall time; processor time, which other load disturbs less, is in the note."""
    cpu = {"fit": [], "bare": []}

    def clocked(name, work):
        started = time.process_time()
        work()
        cpu[name].append(time.process_time() - started)

    seed = iter(range(1000))  # a seed of its own each time: no resuming
    sides = {
        "fit": lambda: clocked("fit", lambda: fit(next(seed))),
        "bare": lambda: clocked("bare", lambda: bare(0)),
    }
    seconds = take_turns(sides, runs)
    ratio = np.median(cpu["fit"][1:]) / np.median(cpu["bare"][1:])
    note = f"processor time {ratio:.3f} ×"
    return no_slower(claim, seconds["fit"], seconds["bare"], at_most=1.1, note=note)


def measure_s2sae(runs, tiny, folder):
    n_batches, n_frames, n_bands = (1, 5, 8) if tiny else (8, 49, 320)
    shape = (n_batches * 64, n_frames, n_bands)
    X = list(np.random.default_rng(0).uniform(-1, 1, shape).astype(np.float32))
    s2sae = S2SAE(n_epochs=1, device="cpu", checkpoint=folder)
    network = S2SAE(n_epochs=0, device="cpu").fit(X[:2]).network_
    lengths = torch.full((64,), n_frames)
    batches = [(x,) for x in torch.from_numpy(np.stack(X)).split(64)]

    def bare(seed):
        with seeded(seed):
            run_bare(
                network,
                lambda net, x: net.loss(x, lengths, *net.encode(x, lengths)),
                batches,
                clip_value=2.0,
            )

    def fit(seed):
        s2sae.set_params(random_state=seed).fit(X)

    return compare(f"S2SAE training, {n_batches} steps", fit, bare, runs)


def measure_crnn(runs, tiny, folder):
    n_batches, chunk_frames, n_bands = (2, 5, 64) if tiny else (8, 50, 128)
    rng = np.random.default_rng(0)
    shape = (n_batches, 48 * chunk_frames, n_bands)
    X = rng.normal(size=shape).astype(np.float32)
    y = (rng.random(shape[:2]) < 0.1).astype(np.uint8)
    crnn = CRNN(chunk_frames, n_epochs=1, device="cpu", checkpoint=folder)
    network = CRNN(chunk_frames, n_epochs=0, device="cpu").fit(X[:1], y[:1]).network_
    margin = network.margin
    clips = np.pad(X.reshape(-1, n_bands), ((margin, margin), (0, 0)))
    frames = torch.from_numpy(clips).unfold(0, chunk_frames + 2 * margin, chunk_frames)
    frames = frames.transpose(1, 2).contiguous()  # (chunks, time, bands)
    wanted = torch.from_numpy(y).float().reshape(-1, chunk_frames, 1)
    batches = list(zip(frames.split(48), wanted.split(48)))
    entropy = torch.nn.BCEWithLogitsLoss()

    def bare(seed):
        with seeded(seed):
            run_bare(network, lambda net, x, wanted: entropy(net(x), wanted), batches)

    def fit(seed):
        crnn.set_params(random_state=seed).fit(X, y)

    return compare(f"CRNN training, {n_batches} steps", fit, bare, runs)


def measure(runs, tiny):
    with tempfile.TemporaryDirectory() as folder, limit_threads(1):
        return [measure_s2sae(runs, tiny, folder), measure_crnn(runs, tiny, folder)]


if __name__ == "__main__":
    run_script(__doc__, measure)
