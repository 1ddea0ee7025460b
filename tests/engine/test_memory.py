"""The memory that a run needs at the least, known before it begins."""

import pytest

from engine.config import compose
from engine.make import meta_task
from engine.memory import check_memory, state_size, total_bytes
from tasks.sources import DataError


@pytest.mark.parametrize(
    ("optim", "states"),
    [
        ("sgd", 1),
        ("adam", 2),
        ("amsgrad", 3),
        ("laprop", 2),
        ("laprop optim.compile=true", 2),
        ("madam", 4),
        ("sign_sgdm", 1),
        ("signum", 1),
        ("lion", 1),
        ("adafactor", 0),  # of a matrix, its rows and columns
        ("muon", 1),  # AdamW keeps two of the others
    ],
)
def test_an_optimizers_state_is_measured(optim, states):
    assert state_size(compose([*f"optim={optim}".split(), "data=sample"])) == states


def test_the_state_of_an_optimizer_that_needs_more_to_step_is_not_known():
    config = compose(["data=sample"])
    assert state_size(config | {"optim": {"_target_": "torch.optim.LBFGS", "lr": 1.0}}) == 0


def test_weights_gradients_and_state_are_counted(monkeypatch):
    config = compose(["optim=adam", "data=sample", "train.device=cpu"])
    task = meta_task(config)
    needed = 4 * total_bytes(task.model.parameters())  # a gradient and two tensors for each weight
    monkeypatch.setattr("tasks.room.available_memory", lambda: needed)
    check_memory(task, config)
    monkeypatch.setattr("tasks.room.available_memory", lambda: needed - 1)
    with pytest.raises(DataError, match=r"^task=mnist_fc2 optim=adam needs 0\.03 GB of memory"):
        check_memory(task, config)


def test_the_noise_of_trials_is_counted(monkeypatch):
    config = compose(["task=rosenbrock", "task.trials=1000", "train.device=cpu"])
    task = meta_task(config)
    assert task.memory == 1000 * 2 * 8 * 500
    monkeypatch.setattr("tasks.room.available_memory", lambda: task.memory)
    with pytest.raises(DataError, match=r"^task=rosenbrock optim=adam needs 0\.01 GB"):
        check_memory(task, config)
