"""Sliding ensemble of a clip of 30 s: all chunks at once against chunk by chunk.

``python benchmarks/sliding_ensemble.py [chunk_frames]`` prints both times, their ratio and the
largest difference. The network is the default one (Table 8.4), its weights are random.
"""

import sys
import time

import numpy as np
import torch

from thesislib.representations.crnn import CRNN
from thesislib.representations.sliding import gather_chunks, predict_sliding

N_FRAMES, N_BANDS = 1304, 128  # 30 s at a hop of 23 ms


@torch.inference_mode()
def predict_chunk_by_chunk(detector, clip):
    length, network = detector.chunk_frames, detector.network_
    total, count = np.zeros((len(clip), detector.n_outputs_)), np.zeros((len(clip), 1))
    for start in range(len(clip) - length + 1):
        x = gather_chunks(
            network,
            [clip],
            [(0, start)],
            n_frames=length,
            convolution_context=detector.convolution_context,
        )
        total[start : start + length] += network(x)[0].sigmoid().cpu().numpy()
        count[start : start + length] += 1
    return total / count


def seconds(function, n_runs):
    function()
    best = np.inf
    for _ in range(n_runs):
        begin = time.perf_counter()
        result = function()
        best = min(best, time.perf_counter() - begin)
    return best, result


if __name__ == "__main__":
    chunk_frames = int(sys.argv[1]) if len(sys.argv) > 1 else 50
    clip = np.random.default_rng(0).normal(size=(N_FRAMES, N_BANDS)).astype(np.float32)
    y = np.zeros((1, N_FRAMES), int)
    print(f"{N_FRAMES} frames, chunks of {chunk_frames}, {torch.get_num_threads()} threads")
    for context in ("clip", "chunk"):
        detector = CRNN(chunk_frames, convolution_context=context, n_epochs=0, device="cpu")
        detector.fit(clip[None], y)
        slow_s, slow = seconds(lambda: predict_chunk_by_chunk(detector, clip), 1)  # noqa: B023
        fast_s, fast = seconds(lambda: predict_sliding(detector, clip[None])[0], 3)  # noqa: B023
        difference = np.abs(fast - slow).max()
        print(
            f"context {context}: chunk by chunk {slow_s:.2f} s, sliding {fast_s:.2f} s, "
            f"{slow_s / fast_s:.1f} times faster, largest difference {difference:.1e}"
        )
