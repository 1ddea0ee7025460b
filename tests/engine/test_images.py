"""Runs on images: resumed in the middle of an epoch, cut into micro-batches, in lower precision."""

import pytest
import torch
from torch import nn

from engine.config import compose
from engine.execute import execute
from engine.loop import backward
from engine.resume import resume
from engine.run import Run
from engine.session import Session, fingerprint

CPU = torch.device("cpu")
TASKS = ("cifar10_resnet20", "imagenet_resnet18")
# With batch norm, and with dropout, which draws from the global generator.
SMALL = "task.model._target_=odd.ImagesNet"


@pytest.fixture
def config(images_root, tmp_path):
    def make(name, *more):
        usual = ["data=sample", "logger=none", "train.device=cpu", f"paths.data={images_root}"]
        sizes = [f"paths.runs={tmp_path}/runs", "task.batch_size=16", "task.steps=6"]
        return compose([f"task={name}", SMALL, *usual, *sizes, *more])

    return make


def walk(session, steps):
    """Steps as the loop takes them; their losses."""
    losses = []
    for _ in range(steps):
        losses.append(backward(session, session.task.batch(session.step)).item())
        session.optimizer.step()
        session.optimizer.zero_grad()
        session.schedule.step()
        session.step += 1
    return losses


@pytest.mark.parametrize("name", TASKS)
def test_a_resumed_run_goes_on_in_the_middle_of_an_epoch(config, name):
    made = config(name)
    undisturbed = Session(made, CPU)
    wanted = walk(undisturbed, 6)
    run = Run(made["paths"]["runs"], made)
    stopped = resume(run, CPU)
    assert walk(stopped, 3) == wanted[:3]
    run.save_checkpoint(stopped.state_dict())
    resumed = resume(run, CPU)
    assert resumed.step == 3
    assert walk(resumed, 3) == wanted[3:]
    ends = [fingerprint(session.task.model.state_dict()) for session in (undisturbed, resumed)]
    assert ends[0] == ends[1]


def test_micro_batches_give_the_gradient_of_the_batch_but_for_batch_norm(config):
    sessions = [
        Session(config("cifar10_resnet20", "+task.model.norm=false", f"accumulate={parts}"), CPU)
        for parts in (1, 3)
    ]
    losses = [walk(session, 3) for session in sessions]
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_lower_precision_convolves_in_it_and_keeps_float32_weights(config, precision):
    session = Session(config("cifar10_resnet20", f"precision={precision}"), CPU)
    seen = []
    first = next(m for m in session.task.model.modules() if isinstance(m, nn.Conv2d))
    first.register_forward_hook(
        lambda layer, given, got: seen.append(
            (got.dtype, got.is_contiguous(memory_format=torch.channels_last))
        )
    )
    walk(session, 1)
    assert seen == [({"bf16": torch.bfloat16, "fp16": torch.float16}[precision], True)]
    assert {p.dtype for p in session.parameters} == {torch.float32}


@pytest.mark.parametrize("name", TASKS)
def test_a_run_records_the_training_loss_in_evaluation_mode(config, name):
    made = config(name, "task.eval_train=true", "task.steps=2", "task.batch_size=4")
    execute(Run(made["paths"]["runs"], made))
    final = Run(made["paths"]["runs"], made).summary["final"]
    assert {"train/loss", "train/eval_loss", "test/loss", "test/accuracy"} <= final.keys()
    assert ("test/top5_accuracy" in final) == (name == "imagenet_resnet18")
