"""Cost of the training loop: one epoch of the thesis's S2SAE against a bare torch loop.

    python benchmarks/training_step.py [--batches 4] [--frames 99] [--repeats 3] [--threads 2]

The setting is 8.1's: 2 x 256 GRU, encoder U, decoder B, 320 bands, batches of 64 clips of
10 s (99 frames), Adam 1e-3, dropout 20 %, clipping by value at 2. The bare loop trains the
same network on batches laid out beforehand: no bucketing, padding, permuted codes, log,
checkpoint or history. Both run in turns in one process; what is printed is the median of
each, and the median of the ratios of each turn, of wall time and (less disturbed by what
else the machine does) of processor time.
"""

import argparse
import tempfile
import time

import numpy as np
import torch

from thesislib.representations.s2sae import S2SAE
from thesislib.training import seeded


def bare_epoch(network, batches, lengths):
    network.train()
    optimiser = torch.optim.Adam(network.parameters(), 1e-3)
    parameters = list(network.parameters())
    losses = []
    for x in batches:
        optimiser.zero_grad(set_to_none=True)
        loss = network.loss(x, lengths, *network.encode(x, lengths))
        loss.backward()
        torch.nn.utils.clip_grad_value_(parameters, 2.0)
        optimiser.step()
        losses.append(loss.detach())
    return float(torch.stack(losses).mean())


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--batches", type=int, default=4)
    parser.add_argument("--frames", type=int, default=99)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--device", default="auto")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)

    rng = np.random.default_rng(0)
    shape = (arguments.batches * 64, arguments.frames, 320)
    X = list(rng.uniform(-1, 1, shape).astype(np.float32))
    with tempfile.TemporaryDirectory() as folder:
        s2sae = S2SAE(n_epochs=1, device=arguments.device, checkpoint=folder)
        untrained = S2SAE(n_epochs=0, device=arguments.device).fit(X[:2])
        batches = torch.from_numpy(np.stack(X)).to(untrained.device_).split(64)
        lengths = torch.full((64,), arguments.frames)
        ours, bare = [], []
        for turn in range(arguments.repeats + 1):
            s2sae.set_params(random_state=turn)  # a seed of its own: no resuming
            ours.append(measure(lambda: s2sae.fit(X)))
            with seeded(turn, untrained.device_):
                bare.append(measure(lambda: bare_epoch(untrained.network_, batches, lengths)))
    # The first turn warms up.
    ours, bare = np.array(ours[1:]), np.array(bare[1:])
    for i, clock in enumerate(("wall", "processor")):
        print(
            f"{clock:9s}  S2SAE.fit {np.median(ours[:, i]):6.2f} s  "
            f"bare loop {np.median(bare[:, i]):6.2f} s  "
            f"ratio {np.median(ours[:, i] / bare[:, i]):.3f}"
        )


def measure(work):
    wall, processor = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - wall, time.process_time() - processor


if __name__ == "__main__":
    main()
