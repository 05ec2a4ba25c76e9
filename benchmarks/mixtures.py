"""Synthesis of mixtures of rare events, against the time that they last.

Mixtures of 30 s at 44.1 kHz, 24 bits, mono, from stereo backgrounds of 30 s and events of 1 s, as
in 8.2; one process. Every run writes into a new folder, since nothing is written twice.
"""

import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
import soundfile
from timing import describe, row, run_script, take_turns

from thesislib.corpora.mixtures import synthesize_mixtures


def measure(runs, tiny):
    n_mixtures, duration_s, sr = (2, 1.0, 8000) if tiny else (20, 30.0, 44100)
    rng = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        for i in range(3):
            background = 0.05 * rng.normal(size=(round(duration_s * sr), 2))
            soundfile.write(folder / f"background_{i}.wav", background, sr, subtype="PCM_24")
            event = 0.3 * rng.normal(size=round(min(1.0, duration_s / 2) * sr))
            soundfile.write(folder / f"event_{i}.wav", event, sr, subtype="PCM_24")
        tables = [
            pd.DataFrame({"file": [f"{name}_{i}.wav" for i in range(3)], "label": label})
            for name, label in (("event", "babycry"), ("background", "park"))
        ]

        def synthesize():
            with tempfile.TemporaryDirectory(dir=folder) as root:
                synthesize_mixtures(
                    root,
                    *tables,
                    events_root=folder,
                    backgrounds_root=folder,
                    n_mixtures=n_mixtures,
                    presence_probability=0.9,
                    duration_s=duration_s,
                    sr=sr,
                )

        seconds = take_turns({"ours": synthesize}, runs)["ours"]
    each = float(np.median(seconds)) / n_mixtures
    ratio = duration_s / each
    return [
        row(
            "mixture synthesis, one process",
            "≥ 100 × real time",
            f"{ratio:.0f} × ({describe(each)} for a mixture of {duration_s:g} s)",
            ratio=ratio,
            passed=ratio >= 100,
            runs=runs,
        )
    ]


if __name__ == "__main__":
    run_script(__doc__, measure)
