"""Work on a Dask cluster: the bytes of the local run, and nothing lost with a worker."""

import os
import signal
import subprocess
import sys
import time

import numpy as np
import pandas as pd
import pytest
import soundfile

from thesislib import workers
from thesislib.corpora.index import Corpus
from thesislib.errors import ThesisError
from thesislib.evaluation.sweeps import sweep
from thesislib.evaluation.validation import evaluate_folds
from thesislib.export.features import write_features
from thesislib.export.shards import list_parts
from thesislib.representations.deep_spectrum import DeepSpectrum
from thesislib.representations.extraction import Reading, extract
from thesislib.spectra.plot import AudioPlot
from thesislib.spectra.spectrogram import Spectrum
from thesislib.store import FeatureStore
from thesislib.workers import ClusterError, Parallel, connect, delayed, open_cluster, run_ahead

distributed = pytest.importorskip("distributed")


@pytest.fixture(scope="module")
def cluster():
    """Two worker processes on this machine."""
    with open_cluster("local", n_workers=2) as address:
        yield address


@pytest.fixture
def locally(cluster, monkeypatch):
    """Calls a function as if there were no cluster."""

    def call(function):
        with monkeypatch.context() as patch:
            patch.delenv(workers.VARIABLE)
            return function()

    return call


def write_clips(root, n_clips):
    root.mkdir()
    for i in range(n_clips):
        y = 0.1 * np.random.default_rng(i).normal(size=4000 + 100 * (i % 3))
        soundfile.write(root / f"{i:02d}.wav", y, 8000)
    names = [f"{i:02d}.wav" for i in range(n_clips)]
    return Corpus(pd.DataFrame({"file": names, "label": "x"}), root, name="noise")


def test_without_a_cluster_the_work_is_done_here(monkeypatch):
    monkeypatch.delenv(workers.VARIABLE, raising=False)
    assert connect() is None
    taken = []

    def tasks():
        for i in range(4):
            taken.append(i)
            yield (i,)

    answers = run_ahead(lambda x: x * x, tasks(), n_jobs=1)
    assert next(answers) == 0 and taken == [0]  # no more than is asked for
    assert list(answers) == [1, 4, 9]
    assert Parallel(n_jobs=2)(delayed(pow)(x, 2) for x in range(3)) == [0, 1, 4]


def test_a_cluster_that_is_none_is_told(monkeypatch):
    monkeypatch.setattr(workers, "CONNECT_S", 0.5)
    with pytest.raises(ClusterError, match=r"tcp://127\.0\.0\.1:9: found no Dask cluster"):
        with open_cluster("tcp://127.0.0.1:9"):
            pass
    assert workers.VARIABLE not in os.environ
    assert issubclass(ClusterError, ThesisError)


@pytest.mark.slow
def test_workers_with_several_threads_are_refused():
    with distributed.LocalCluster(
        n_workers=1, threads_per_worker=2, processes=True, dashboard_address=None
    ) as cluster:
        with pytest.raises(ClusterError, match="found 2 threads, expected 1"):
            with open_cluster(cluster.scheduler_address):
                pass


@pytest.mark.slow
def test_extraction_gives_the_bytes_of_the_local_run(cluster, locally, tmp_path):
    corpus = write_clips(tmp_path / "in", 20)
    (corpus.root / "07.wav").write_text("no audio")
    plot = AudioPlot(Spectrum("mel", n_mels=16), size_px=64)
    network = DeepSpectrum("squeezenet1_1", "logits", "random", device="cpu").fit()
    options = {"reading": Reading(chunk_s=0.2), "on_error": "collect", "progress": False}

    def run():
        return extract(corpus, network, plot, n_jobs=2, **options)

    found, expected = run(), locally(run)
    assert found.matrix.tobytes() == expected.matrix.tobytes()
    assert [len(part) for part in found.by_row] == [len(part) for part in expected.by_row]
    assert {row: str(e) for row, e in found.errors.items()} == {7: str(expected.errors[7])}


@pytest.mark.slow
def test_shards_and_bags_give_the_bytes_of_the_local_run(cluster, locally, tmp_path):
    root = write_clips(tmp_path / "in", 12).root
    training = {"codebook_size": 9, "n_assign": 2, "save_codebook": tmp_path / "codebook"}
    write_features([root], tmp_path / "a.csv", "bag", frames="mfcc39", **training)
    options = {"frames": "mfcc39", "codebook": tmp_path / "codebook", "shards": 3, "n_jobs": 2}

    def run(name):
        write_features([root], tmp_path / name, "bag", **options)
        return [path.read_bytes() for path in list_parts(tmp_path / name)]

    assert run("cluster") == locally(lambda: run("local"))


def _score(x, seed):
    return {"score": float(np.random.default_rng(seed).normal() + x)}


@pytest.mark.slow
def test_fits_and_sweeps_give_those_of_the_local_run(cluster, locally, tmp_path, rng):
    features = rng.normal(size=(60, 20)).astype(np.float32)
    labels, groups = np.repeat(["a", "b"], 30), np.tile(np.arange(6), 10)
    folds = {f: (np.flatnonzero(groups != f), np.flatnonzero(groups == f)) for f in range(6)}

    def fit():
        return evaluate_folds(
            features, labels, folds, groups=groups, complexities=(0.01, 1.0), n_jobs=2
        )

    found, expected = fit(), locally(fit)
    assert repr(found) == repr(expected)
    sets = [{"x": x, "seed": s} for x in range(3) for s in range(2)]
    stores = [FeatureStore(tmp_path / name) for name in "ab"]
    table = sweep(sets, _score, store=stores[0], name="s", n_jobs=2)
    pd.testing.assert_frame_equal(
        table, locally(lambda: sweep(sets, _score, store=stores[1], name="s", n_jobs=2))
    )


def _slowly(x, large):
    time.sleep(0.2)
    return float(large[x]), os.getpid()


@pytest.mark.slow
def test_a_killed_worker_loses_nothing(cluster):
    large, pids = np.arange(100_000.0), set()
    killed = None
    answers = Parallel(return_as="generator_unordered")(
        delayed(_slowly)(x, large) for x in range(24)
    )
    found = []
    for value, pid in answers:
        found.append(value)
        pids.add(pid)
        if killed is None and len(found) == 4:
            killed = pid
            os.kill(pid, signal.SIGKILL)
    assert sorted(found) == list(range(24))
    assert len(pids) >= 2


@pytest.mark.slow
def test_an_extraction_goes_on_when_a_worker_is_killed(cluster, locally, tmp_path):
    corpus = write_clips(tmp_path / "in", 90)
    plot = AudioPlot(Spectrum("mel", n_mels=16), size_px=64)
    network = DeepSpectrum("squeezenet1_1", "logits", "random", device="cpu").fit()
    store = FeatureStore(tmp_path / "store")
    expected = locally(lambda: extract(corpus, network, plot, n_jobs=2, progress=False))
    victims = list(connect().run(os.getpid).values())
    put = store.put

    def put_and_kill(key, entry):
        put(key, entry)
        if victims:
            os.kill(victims.pop(), signal.SIGKILL)
            victims.clear()

    store.put = put_and_kill
    found = extract(corpus, network, plot, store, n_jobs=2, progress=False)
    assert not victims
    assert found.matrix.tobytes() == expected.matrix.tobytes()


def test_a_process_ends_while_the_store_is_still_being_imported():
    code = "import sys, types; from thesislib.workers import end_process; "
    code += "sys.modules['thesislib.store'] = types.ModuleType('store'); end_process(7)"
    assert subprocess.run([sys.executable, "-P", "-c", code]).returncode == 7
