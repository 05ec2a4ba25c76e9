"""The loop: what it minimises, when it stops, and that being killed changes no bit."""

import csv
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from thesislib.errors import ParameterError, WeightsError
from thesislib.training import (
    checkpoint_file,
    pick_device,
    read_tensors,
    seeded,
    train,
    write_tensors,
)

X = torch.linspace(-1, 1, 24).reshape(8, 3)


class Killed(BaseException):
    pass


def network(seed=0):
    with seeded(seed):
        return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Dropout(0.5), nn.Linear(4, 3))


def shuffled(generator):
    return torch.randperm(8, generator=generator).split(4)


def fit(net=None, *, die_at=None, **kwargs):
    """Train two optimisers, one on each half of the network, with a schedule."""
    net = network() if net is None else net
    halves = {"lower": net[:2], "upper": net[2:]}
    optimisers = {k: torch.optim.Adam(m.parameters(), 0.05) for k, m in halves.items()}
    decay = torch.optim.lr_scheduler.LambdaLR(optimisers["lower"], lambda e: 1 / (1 + 0.01 * e))
    n_steps = 0

    def step(rows):
        nonlocal n_steps
        n_steps += 1
        if n_steps == die_at:
            raise Killed
        return {"loss": ((net(X[rows]) - X[rows]) ** 2).mean()}

    kwargs = {"n_epochs": 6, "seed": 3, "schedulers": [decay]} | kwargs
    return net, train(net, dict.fromkeys(halves, step), shuffled, optimisers=optimisers, **kwargs)


def equal_bits(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)


def minimise(target, learning_rate=1.0, **kwargs):
    """Gradient descent on one weight; returns it and the history."""
    point = nn.Linear(1, 1, bias=False)
    nn.init.zeros_(point.weight)
    history = train(
        point,
        lambda _: {"loss": ((point.weight - target) ** 2).sum()},
        lambda _: [None],
        optimisers={"sgd": torch.optim.SGD(point.parameters(), learning_rate)},
        **{"n_epochs": 1, "seed": 0} | kwargs,
    )
    return float(point.weight.detach()), history


def test_one_step_of_gradient_descent_is_the_textbooks():
    # d/dw (w - 3)² at 0 is -6, so a step of learning rate 1 goes to 6.
    weight, history = minimise(3.0)
    assert weight == 6.0
    assert history == [{"epoch": 1, "loss": 9.0, "learning_rate": 1.0}]


def test_clipping_bounds_the_step():
    assert minimise(3.0, clip_value=2.0)[0] == pytest.approx(2.0)
    assert minimise(3.0, clip_norm=0.5)[0] == pytest.approx(0.5, rel=1e-4)


def test_no_epochs_leave_the_weights_alone():
    assert minimise(3.0, n_epochs=0) == (0.0, [])


def test_schedule_of_chapter_8_2():
    _, history = fit()
    rates = [row["learning_rate"] for row in history]
    assert rates == pytest.approx([0.05 / (1 + 0.01 * e) for e in range(6)])


def test_seed_decides_and_the_global_generator_is_left_alone():
    torch.manual_seed(1)
    state = torch.get_rng_state()
    (a, _), (b, _), (c, _) = fit(), fit(), fit(seed=4)
    assert torch.equal(torch.get_rng_state(), state)
    assert equal_bits(a.state_dict(), b.state_dict())
    assert not equal_bits(a.state_dict(), c.state_dict())
    torch.manual_seed(2)
    d, _ = fit()
    assert equal_bits(a.state_dict(), d.state_dict())


@pytest.mark.parametrize("die_at", [1, 13, 14, 23])
def test_killed_and_resumed_gives_the_bits_of_an_undisturbed_run(tmp_path, die_at):
    def options(epochs_done=0):
        losses = iter([5.0, 3.0, 4.0, 2.0, 6.0, 7.0][epochs_done:])
        return {"validate": lambda: {"loss": next(losses)}, "patience": 5}

    whole, expected = fit(**options())
    path = tmp_path / "run.safetensors"
    with pytest.raises(Killed):
        fit(die_at=die_at, checkpoint=path, **options())
    done = len(read_tensors(path)[1]["history"]) if path.exists() else 0
    assert done == (die_at - 1) // 4  # two batches, two optimisers: four steps an epoch
    # Other first weights: what counts must come from the checkpoint.
    resumed, history = fit(network(99 if done else 0), checkpoint=path, **options(done))
    assert history == expected
    assert equal_bits(whole.state_dict(), resumed.state_dict())


def test_a_finished_training_is_not_run_again(tmp_path):
    path = tmp_path / "run.safetensors"
    whole, expected = fit(checkpoint=path)
    again, history = fit(network(seed=99), checkpoint=path, die_at=1)
    assert history == expected
    assert equal_bits(whole.state_dict(), again.state_dict())


def test_killed_while_writing_keeps_the_checkpoint_before(tmp_path, monkeypatch):
    path = tmp_path / "run.safetensors"
    write, calls = Path.write_bytes, []

    def write_half(file, content):
        calls.append(file)
        if len(calls) == 3:
            write(file, content[:100])
            raise Killed
        write(file, content)

    monkeypatch.setattr(Path, "write_bytes", write_half)
    with pytest.raises(Killed):
        fit(checkpoint=path)
    assert len(read_tensors(path)[1]["history"]) == 2
    assert list(tmp_path.iterdir()) == [path]


def test_a_checkpoint_of_another_training_is_named(tmp_path):
    path = tmp_path / "run.safetensors"
    for state in ({}, nn.Linear(2, 2).state_dict()):
        write_tensors(path, {}, {"seed": 3, "history": [], "network": state})
        with pytest.raises(
            WeightsError, match=r"run\.safetensors: found no checkpoint of this training"
        ) as caught:
            fit(checkpoint=path)
        assert "\n" not in str(caught.value)


def test_a_checkpoint_of_another_seed_is_refused(tmp_path):
    fit(checkpoint=tmp_path / "run.safetensors", n_epochs=1)
    with pytest.raises(WeightsError, match="its seed is 3, not 4"):
        fit(checkpoint=tmp_path / "run.safetensors", seed=4)


def stop_at(losses, **kwargs):
    """Epochs run and final weight if validation gives ``losses``; the weight counts epochs."""
    point, it = nn.Linear(1, 1, bias=False), iter(losses)
    nn.init.zeros_(point.weight)
    history = train(
        point,
        lambda _: {"loss": -point.weight.sum()},
        lambda _: [None],
        n_epochs=len(losses),
        optimisers={"sgd": torch.optim.SGD(point.parameters(), 1.0)},
        seed=0,
        validate=lambda: {"loss": next(it)},
        **kwargs,
    )
    return len(history), float(point.weight.detach())


def test_early_stopping_waits_patience_epochs_and_restores_the_best():
    assert stop_at([5, 4, 3, 3.5, 3.2, 9, 1], patience=2) == (5, 3.0)
    assert stop_at([5, 4, 3, 3.5, 3.2, 9, 1], patience=4) == (7, 7.0)


def test_a_tie_is_no_improvement():
    assert stop_at([3, 3, 3, 3], patience=2) == (3, 1.0)


def test_never_before_min_epochs():
    assert stop_at([1, 2, 3, 4, 5, 6], patience=1, min_epochs=4) == (4, 1.0)


def test_small_gains_do_not_count_but_the_best_is_still_kept():
    losses = [1.0, 0.999, 0.998, 0.997, 0.996]
    assert stop_at(losses, patience=3, min_improvement=0.01) == (4, 4.0)
    assert stop_at(losses, patience=3) == (5, 5.0)


def test_without_patience_the_last_weights_stay():
    assert stop_at([1, 2, 3]) == (3, 3.0)


def test_dropout_is_off_in_validation_and_afterwards():
    net, modes = network(), []
    fit(net, validate=lambda: modes.append(net.training) or {"loss": 1.0}, n_epochs=2)
    assert modes == [False, False]
    assert not net.training


def test_mixed_precision_is_for_gpus():
    assert equal_bits(fit()[0].state_dict(), fit(mixed_precision=True)[0].state_dict())


def test_the_log_is_the_history(tmp_path):
    _, history = fit(log=tmp_path / "log.csv")
    with open(tmp_path / "log.csv", newline="") as file:
        rows = [{k: float(v) for k, v in row.items()} for row in csv.DictReader(file)]
    assert rows == history
    assert set(rows[0]) == {"epoch", "lower_loss", "upper_loss", "learning_rate"}


def test_progress_bar_shows_epochs(capsys):
    fit(progress=True, n_epochs=2)
    assert "2/2" in capsys.readouterr().err
    fit(n_epochs=2)
    assert capsys.readouterr().err == ""


def test_scalars_given_now_and_then_are_averaged_over_what_was_given():
    point = nn.Linear(1, 1)

    def step(i):
        loss = {"loss": point.weight.sum() * 0 + i}
        return loss | ({"seldom": torch.tensor(10.0 * i)} if i % 2 else {})

    optimiser = torch.optim.SGD(point.parameters(), 1.0)
    history = train(
        point, step, lambda _: range(4), n_epochs=1, optimisers={"sgd": optimiser}, seed=0
    )
    assert history[0]["loss"] == 1.5
    assert history[0]["seldom"] == 20.0


def test_a_loss_that_is_not_finite_ends_training():
    with pytest.raises(ParameterError, match=r"loss: found inf in epoch \d+.*learning rate"):
        minimise(3.0, learning_rate=3.0, n_epochs=100)


def test_an_epoch_without_a_batch_is_refused():
    with pytest.raises(ParameterError, match="batches: found no batch"):
        fit_nothing = nn.Linear(1, 1)
        train(
            fit_nothing,
            lambda _: {},
            lambda _: [],
            n_epochs=1,
            optimisers={"sgd": torch.optim.SGD(fit_nothing.parameters(), 1.0)},
            seed=0,
        )


def test_unknown_and_absent_devices_are_named():
    with pytest.raises(ParameterError, match="device: found 'tpx', expected auto, cpu or cuda"):
        pick_device("tpx")
    if not torch.cuda.is_available():
        with pytest.raises(ParameterError, match=r"device: found 'cuda', expected .* works here"):
            pick_device("cuda")
    with pytest.raises(ParameterError, match="works here") as error:
        pick_device("vulkan")  # torch's reason is a page
    assert len(str(error.value)) < 300


@pytest.mark.skipif(torch.cuda.is_available(), reason="the GPU works")
def test_a_gpu_that_does_not_work_leaves_the_cpu_with_a_warning(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    with pytest.warns(UserWarning, match="device: the GPU does not work .*; the CPU is used"):
        assert pick_device("auto").type == "cpu"
    with pytest.raises(ParameterError, match=r"device: found 'cuda:1', expected .* works here"):
        pick_device("cuda:1")


def test_the_environment_names_the_device_of_all_that_choose_none(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setenv("THESIS_DEVICE", "cpu")
    assert pick_device("auto").type == "cpu"
    monkeypatch.setenv("THESIS_DEVICE", "tpx")
    with pytest.raises(ParameterError, match="device: found 'tpx'"):
        pick_device("auto")


def test_other_data_or_parameters_have_another_checkpoint():
    a, b = np.zeros((2, 3), np.float32), np.ones((2, 3), np.float32)
    files = {
        checkpoint_file("folder", "net", parameters, arrays)
        for parameters in ({"n": 1}, {"n": 2})
        for arrays in ([a, b], [b, a], [a], [a.reshape(3, 2)])
    }
    assert len(files) == 8
    assert checkpoint_file(None, "net", {}, []) is None


def test_tensors_and_metadata_come_back_bit_by_bit(tmp_path):
    net, _ = fit()
    path = tmp_path / "net.safetensors"
    shared = torch.arange(6.0)
    metadata = {"n_units": 4, "rows": [{"loss": 0.1}], "views": [shared[:2], {"x": shared[2:]}]}
    for file in (path, tmp_path / "again"):
        write_tensors(file, net.state_dict() | {"half": torch.ones(3).bfloat16()}, metadata)
    assert path.read_bytes() == (tmp_path / "again").read_bytes()
    state, read = read_tensors(path)
    assert torch.equal(state.pop("half"), torch.ones(3).bfloat16())
    assert equal_bits(net.state_dict(), state)
    assert read["rows"] == metadata["rows"] and read["n_units"] == 4
    assert torch.equal(read["views"][0], shared[:2])
    assert torch.equal(read["views"][1]["x"], shared[2:])
    with pytest.raises(TypeError, match="found ndarray, expected plain values"):
        write_tensors(path, {}, {"x": np.zeros(3)})
