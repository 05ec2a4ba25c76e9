"""The way of a clip through ``thesis features``: short, straight, and as long for each clip.

``python tests/export/test_walk.py`` prints the functions, modules and back-calls of one clip.
"""

import contextlib
import io
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest
import soundfile

import thesislib
from thesislib.cli import main

LIBRARY = str(Path(thesislib.__file__).parent)
DEEP = "-r deep-spectrum --network squeezenet1_1 --layer logits --weights random"
BANDS = "-r band-statistics --n-mels 8 --window 0.032"


class Walk:
    """Calls of the library's functions during a call.

    A back-call goes into a module that is on the stack already, below the caller's module.
    """

    def __init__(self, call):
        self.n_calls, self.functions, self.modules = 0, set(), set()
        self.edges, self.back_calls = set(), set()
        sys.setprofile(self._count)
        try:
            call()
        finally:
            sys.setprofile(None)

    def _count(self, frame, event, argument):
        if event != "call" or not _is_function(frame):
            return
        (module, name), *callers = _list_stack(frame)
        self.n_calls += 1
        self.functions.add((module, name))
        self.modules.add(module)
        if callers and callers[0][0] != module:
            self.edges.add((callers[0][0], module))
            if module in {caller for caller, _ in callers[1:]}:
                self.back_calls.add((callers[0], (module, name)))

    def __str__(self):
        return (
            f"{len(self.functions)} functions, {len(self.modules)} modules, {len(self.edges)} "
            f"edges, {len(self.back_calls)} back-calls, {self.n_calls} calls"
        )


def _is_function(frame):
    code = frame.f_code
    return code.co_filename.startswith(LIBRARY) and not code.co_name.startswith("<")


def _list_stack(frame):
    stack = []
    while frame is not None:
        if _is_function(frame):
            stack.append((Path(frame.f_code.co_filename).stem, frame.f_code.co_qualname))
        frame = frame.f_back
    return stack


def features(root, options, output):
    arguments = f"features {root / 'audio'} {options} -o {output} --jobs 1 --quiet".split()
    with contextlib.redirect_stdout(io.StringIO()):
        assert main(arguments) == 0


def write_clips(root, n_clips):
    (root / "audio").mkdir()
    for i in range(n_clips):
        y = 0.1 * np.random.default_rng(i).normal(size=2000)
        soundfile.write(root / "audio" / f"{i:03d}.wav", y, 8000)
    return root


def walk_one_clip(root, output):
    """Walk of one clip, after the modules have been loaded."""
    store = f"--store {root / 'store'}"
    features(root, f"{DEEP} {store}", root / f"first{Path(output).suffix}")
    soundfile.write(root / "audio" / "000.wav", np.sin(np.arange(2000)), 8000)
    return Walk(lambda: features(root, f"{DEEP} {store}", root / output))


@pytest.mark.parametrize(("output", "most"), [("table.csv", 160), ("shards", 160)])
def test_one_clip_takes_a_short_and_straight_way(tmp_path, output, most):
    walk = walk_one_clip(write_clips(tmp_path, 1), output)
    print(output, walk, *sorted(walk.back_calls), sep="\n  ")
    assert len(walk.functions) <= most
    assert len(walk.modules) <= 25
    # The pipeline is a generator that workers draw from; nothing else turns back.
    assert len(walk.back_calls) <= 2


@pytest.mark.parametrize("options", [BANDS, f"{BANDS} --store store", f"{BANDS} --shards 7"])
@pytest.mark.parametrize("labels", ["", "--labels labels.csv"])
def test_the_work_grows_in_proportion_to_the_clips(tmp_path, monkeypatch, options, labels):
    """Calls, not seconds: of Python's own functions, too, such as those of paths."""
    counts = []
    for n_clips in (7, 14, 28, 56):
        root = tmp_path / str(n_clips)
        root.mkdir()
        monkeypatch.chdir(write_clips(root, n_clips))
        rows = "".join(f"{i:03d}.wav,{i % 3}\n" for i in range(n_clips))
        (root / "labels.csv").write_text(f"file,label\n{rows}")
        store = "" if "--store" in options else "--store none"
        n_calls = [0]

        def count(frame, event, argument, n_calls=n_calls):
            n_calls[0] += event in ("call", "c_call")

        output = "out" if "--shards" in options else "out.csv"
        features(root, f"{BANDS} --store none {labels}", root / "first.csv")
        sys.setprofile(count)
        try:
            features(root, f"{options} {labels} {store}", root / output)
        finally:
            sys.setprofile(None)
        counts.append(n_calls[0])
    each = np.diff(counts) / (7, 14, 28)  # calls that one more clip costs
    assert each.max() < 1.1 * each.min(), counts


if __name__ == "__main__":
    for name in ("table.csv", "shards"):
        with tempfile.TemporaryDirectory() as folder:
            print(name, walk_one_clip(write_clips(Path(folder), 1), name))
