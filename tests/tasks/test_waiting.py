"""No training step waits for a GPU, which the device "meta" shows where there is none.

Tensors on it have no numbers. What makes the CPU wait for a GPU is an error there: `item`,
`tolist`, `if tensor:`, `nonzero`, a mask as an index, a copy to the CPU. A copy from the CPU waits,
too, unless it is from pinned memory.
"""

import contextlib
import sys

import pytest
import torch
from running import spelled, typed
from small import TRANSLATION
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from engine.config import compose
from engine.make import make_task
from tasks.transfer import to_device

META = torch.device("meta")
aten = torch.ops.aten


class Copies(TorchDispatchMode):
    """Refuses copies to the device, except those that do not wait."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if func is aten._to_copy.default:
            source, target = args[0].device, kwargs.get("device") or args[0].device
            waits = source.type == "cpu" and target.type == "meta" and not called_by(to_device)
        elif func is aten.copy_.default:
            target, source, *others = args
            waits = source.device.type == "cpu" and target.device.type == "meta"
            waits &= source.dim() > 0 and not (others and others[0])
        else:
            waits = False
        if waits:
            raise AssertionError(f"{func} copies from memory that is not pinned")
        return func(*args, **kwargs)


class Lists(TorchFunctionMode):
    """Refuses to make a tensor on the device of Python's numbers."""

    def __torch_function__(self, func, types, args=(), kwargs=None):
        made = func(*args, **(kwargs or {}))
        if func in (torch.tensor, torch.as_tensor) and made.device.type == "meta":
            raise AssertionError(f"{func} copies from memory that is not pinned")
        return made


@contextlib.contextmanager
def no_waiting_copies():
    with Copies(), Lists():
        yield


def called_by(function):
    frame = sys._getframe()
    while frame is not None and frame.f_code is not function.__code__:
        frame = frame.f_back
    return frame is not None


TEXT = {"task.batch_size": 6, "task.steps": 6, "task.eval_every": 3}
LSTM = {"data": "full", "task.model.units": 6}
ATARI = {
    "task.game": "breakout",
    "task.model.channels": "[2,2,2]",
    "task.model.hidden": 4,
    "task.environments": 2,
    "task.learning_starts": 60,
    "task.batch_size": 4,
    "task.capacity": 100,
    "task.steps": 4,
}

# A source of full data, and the overrides of a small task.
KINDS = {
    "mnist_fc2": ("sample_root", {"data": "sample"}),
    "cifar10_resnet20": ("images_root", {"data": "sample", "task.batch_size": 4}),
    "ptb_lstm": ("penn_treebank", {**LSTM, "task.bptt": 9, **TEXT}),
    "ptb_awd_lstm": ("penn_treebank", {**LSTM, "task.model.embedding": 4, "task.bptt": 9, **TEXT}),
    "imdb_lstm": (
        "movie_reviews",
        {**LSTM, "task.model.words": 8, "task.model.dimensions": 4, **TEXT},
    ),
    "iwslt14": (None, TRANSLATION),
    "glue": (
        "glue_source",
        {"data": "full", "task.name": "rte", "task.max_tokens": 24, **TEXT},
    ),
    "roberta_pretrain": (
        "text_files",
        {
            "data": "sample",
            "task.sources.sample.words": 270,
            "task.sources.sample.sizes.hidden_size": 8,
            "task.sources.sample.sizes.num_attention_heads": 2,
            "task.sources.sample.sizes.intermediate_size": 16,
            "task.max_tokens": 24,
            **TEXT,
        },
    ),
    "style_transfer": ("style_source", {"data": "full", "task.size": 8}),
    "rosenbrock": (None, {"task.trials": 3}),
    "noisy_quadratic": (None, {"task.trials": 3}),
    "convex_example": (None, {"task.trials": 3, "optim": "sgd"}),
    "online_convex": (None, {"task.trials": 3}),
    "nonconvex": (None, {"task.trials": 3}),
    # Torch's fused kernels are none of the device "meta".
    "gradients": (None, {"task.trials": 3, "task.reference.fused": False}),
    "dqn": (None, {"task.learning_starts": 100, "task.batch_size": 4, "task.steps": 4}),
    "atari_dqn": (None, ATARI),
    "atari_rainbow": (None, {**ATARI, "task.model.atoms": 5}),
}
GAMES = ("dqn", "atari_dqn", "atari_rainbow")


@pytest.fixture
def make(request, tmp_path):
    """`make(name, device)`: a small task of `KINDS`."""

    def made(name, device):
        if name in GAMES:
            pytest.importorskip("gymnasium" if name == "dqn" else "ale_py")
        source, changes = KINDS[name]
        value = request.getfixturevalue(source) if source else None
        chosen = {"task": name, "paths.data": tmp_path / "data"}
        if source in ("sample_root", "images_root"):
            chosen["paths.data"] = value
        elif source == "text_files":
            chosen["task.files"] = spelled(value)
        elif source:
            chosen["task.sources.full"] = spelled(value)
        return make_task(compose(typed({"optim": "adam"} | chosen | changes)), device)

    return made


def train(task, steps):
    for step in steps:
        batch = task.batch(step)
        parts = task.split(batch, 2) if task.divisible else [(batch, 1.0)]
        for part, weight in parts:
            (task.loss(part) * weight).backward()


@pytest.mark.parametrize("name", KINDS)
def test_no_step_waits(make, name):
    task = make(name, META)
    if name in GAMES:
        # The first batch follows random actions. Others wait for actions of the network, and so
        # does Rainbow at the end of a step, for the priorities that come before these.
        with no_waiting_copies():
            train(task, [0])
        return
    task.batch(0)  # reads the data
    with no_waiting_copies():
        for step in range(3):
            train(task, [step])
            task.after_step(step)


def test_what_waits_is_noticed():
    ours = torch.ones(3, device=META)
    for wait in (
        lambda: ours.sum().item(),
        lambda: bool(ours.all()),
        lambda: ours.tolist(),
        lambda: ours[ours > 0],
        lambda: ours.nonzero(),
        lambda: ours.cpu(),
    ):
        with pytest.raises((RuntimeError, NotImplementedError)):
            wait()
    for wait in (
        lambda: torch.ones(3).to(META),
        lambda: torch.tensor([1.0], device=META),
        lambda: ours.copy_(torch.ones(3)),
    ):
        with no_waiting_copies(), pytest.raises(AssertionError, match="copies from memory"):
            wait()
    with no_waiting_copies():
        to_device(torch.ones(3), META)
