"""Sliding ensemble of a clip of 30 s: all chunks at once against chunk by chunk.

The network is the default one (Table 8.4), chunks have 50 frames, weights are random.
"""

import numpy as np
import torch
from timing import faster, run_script, take_turns

from thesislib.representations.crnn import CRNN
from thesislib.representations.sliding import gather_chunks, predict_sliding

N_FRAMES, N_BANDS, CHUNK_FRAMES = 1304, 128, 50  # 30 s at a hop of 23 ms


@torch.inference_mode()
def predict_chunk_by_chunk(detector, clip):
    length, network = detector.chunk_frames, detector.network_
    total, count = np.zeros((len(clip), detector.n_outputs_)), np.zeros((len(clip), 1))
    for start in range(len(clip) - length + 1):
        x = gather_chunks(
            network,
            clip,
            [start],
            n_frames=length,
            convolution_context=detector.convolution_context,
        )
        total[start : start + length] += network(x)[0].sigmoid().cpu().numpy()
        count[start : start + length] += 1
    return total / count


def measure(runs, tiny):
    n_frames, chunk_frames = (30, 5) if tiny else (N_FRAMES, CHUNK_FRAMES)
    clip = np.random.default_rng(0).normal(size=(n_frames, N_BANDS)).astype(np.float32)
    detector = CRNN(chunk_frames, n_epochs=0, device="cpu")
    detector.fit(clip[None], np.zeros((1, n_frames), int))
    found = {}
    sides = {
        "ours": lambda: found.update(ours=predict_sliding(detector, clip[None])[0]),
        "theirs": lambda: found.update(theirs=predict_chunk_by_chunk(detector, clip)),
    }
    seconds = take_turns(sides, runs)
    return [
        faster(
            "sliding ensemble, 30 s, τ = 50",
            seconds["ours"],
            seconds["theirs"],
            at_least=5,
            note=f"against chunk by chunk; {torch.get_num_threads()} threads; largest difference "
            f"{np.abs(found['ours'] - found['theirs']).max():.0e}",
        )
    ]


if __name__ == "__main__":
    run_script(__doc__, measure)
