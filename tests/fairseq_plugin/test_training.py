"""Recipes for fairseq's Adam train, resume and generate with another `--optimizer`."""

import json
from itertools import islice
from types import SimpleNamespace

import pytest
import torch
from conftest import RECIPE, SMALL, fairseq
from fairseq import options, tasks, utils
from fairseq.data.iterators import GroupedIterator
from fairseq.dataclass.utils import convert_namespace_to_omegaconf
from fairseq.trainer import Trainer

import optim

OWN = {
    "laprop": lambda params: optim.LaProp(
        params, betas=(0.9, 0.98), eps=1e-15, weight_decay=1e-4, variant="authors"
    ),
    "lamadam": lambda params: optim.LaMAdam(
        params, betas=(0.9, (0.5, 0.98)), eps=1e-15, weight_decay=1e-4
    ),
}
both = pytest.mark.parametrize("name", OWN)

# torch's Adam under the name that fairseq leaves.
ADAM = "torch_adam"
MADE = OWN | {ADAM: lambda params: torch.optim.Adam(params, betas=(0.9, 0.98), weight_decay=1e-4)}
each = pytest.mark.parametrize("name", MADE)


@pytest.fixture
def setting(data):
    """`setting(*options)`: what fairseq-train makes of these and the recipe, from the seed."""

    def make(*given):
        arguments = [str(data), *RECIPE, *SMALL, "--user-dir", "fairseq_plugin", *given]
        args = options.parse_args_and_arch(options.get_training_parser(), arguments)
        cfg = convert_namespace_to_omegaconf(args)
        utils.set_torch_seed(cfg.common.seed)
        task = tasks.setup_task(cfg.task)
        model, criterion = task.build_model(cfg.model), task.build_criterion(cfg.criterion)
        trainer = Trainer(cfg, task, model, criterion)
        epoch = trainer.get_train_iterator(epoch=1)
        batches = GroupedIterator(epoch.next_epoch_itr(), cfg.optimization.update_freq[0])
        return SimpleNamespace(model=model, criterion=criterion, trainer=trainer, batches=batches)

    return make


def updates(log):
    lines = [line.partition("train_inner | ")[2] for line in log.splitlines()]
    return [json.loads(line) for line in lines if line]


@each
def test_losses_are_those_of_the_optimizer_stepping_the_same_gradients(setting, name):
    theirs = setting("--optimizer", name)
    losses = []
    theirs.criterion.register_forward_hook(lambda *call: losses.append(call[2][0].item()))
    for batches in islice(theirs.batches, 8):
        theirs.trainer.train_step(batches)

    ours = setting("--optimizer", name)
    ours.model.train()
    optimizer = MADE[name](ours.model.parameters())
    own_losses = []
    for update, batches in enumerate(islice(ours.batches, 8)):
        # inverse_sqrt, warm-up from 0 to 5e-4 in 4 updates
        optimizer.param_groups[0]["lr"] = 5e-4 * (update / 4 if update < 4 else (4 / update) ** 0.5)
        utils.set_torch_seed(1 + update)
        optimizer.zero_grad()
        tokens = 0
        for batch in batches:
            loss, size, _ = ours.criterion(ours.model, batch)
            loss.backward()
            own_losses.append(loss.item())
            tokens += size
        for parameter in ours.model.parameters():
            parameter.grad.div_(tokens)
        optimizer.step()
    assert losses == pytest.approx(own_losses, rel=1e-5)
    assert len(set(losses)) == 16


@each
def test_resuming_and_generating(data, tmp_path, name):
    recipe = [data, *RECIPE, *SMALL, "--user-dir", "fairseq_plugin", "--optimizer", name]
    whole, resumed = tmp_path / "whole", tmp_path / "resumed"
    length = ["--max-update", 8, "--save-interval-updates", 4]
    log = fairseq("train", *recipe, *length, "--save-dir", whole)
    assert [line["num_updates"] for line in updates(log)] == [str(n) for n in range(1, 9)]

    restore = ["--restore-file", whole / "checkpoint_1_4.pt"]
    log = fairseq("train", *recipe, *length, *restore, "--save-dir", resumed)
    assert [line["num_updates"] for line in updates(log)] == ["5", "6", "7", "8"]
    ends = [
        torch.load(folder / "checkpoint_last.pt", weights_only=False) for folder in (whole, resumed)
    ]
    torch.testing.assert_close(ends[0]["model"], ends[1]["model"], rtol=0, atol=0)
    # Groups of a state that was loaded have one more key, of torch's.
    states = [end["last_optimizer_state"]["state"] for end in ends]
    torch.testing.assert_close(*states, rtol=0, atol=0)

    checkpoint = ["--path", resumed / "checkpoint_last.pt", "--user-dir", "fairseq_plugin"]
    # In multiples of eight, this fairseq drops the sentences that are left over.
    decoding = ["--beam", 5, "--max-len-b", 20, "--required-batch-size-multiple", 1, "--cpu"]
    said = fairseq("generate", data, *checkpoint, *decoding)
    assert sum(line.startswith("H-") for line in said.splitlines()) == 30


@both
def test_at_the_size_of_the_recipe(data, tmp_path, name):
    recipe = [data, *RECIPE, "--user-dir", "fairseq_plugin", "--optimizer", name]
    log = fairseq("train", *recipe, "--max-update", 3, "--no-save", "--save-dir", tmp_path)
    losses = [float(line["loss"]) for line in updates(log)]
    assert len(losses) == 3 and all(0 < loss < 20 for loss in losses)


@pytest.mark.parametrize("way", ["--fp16 --fp16-no-flatten-grads", "--memory-efficient-fp16"])
@both
def test_half_precision(setting, name, way):
    theirs = setting("--optimizer", name, *way.split(), "--fp16-init-scale", "4")
    for batches in islice(theirs.batches, 3):
        theirs.trainer.train_step(batches)
    assert theirs.trainer.get_num_updates() == 3
    assert all(p.isfinite().all() and p.dtype == torch.half for p in theirs.model.parameters())
    theirs.trainer.optimizer.load_state_dict(theirs.trainer.optimizer.state_dict())
    for state in theirs.trainer.optimizer.optimizer.state.values():
        assert state["m"].dtype == torch.float32


def test_half_precision_of_torchs_own(setting):
    """It keeps its state in the precision of the weights, which must then be float32."""
    half = ["--optimizer", ADAM, "--fp16-init-scale", "4"]
    theirs = setting(*half, "--fp16", "--fp16-no-flatten-grads")
    for batches in islice(theirs.batches, 3):
        theirs.trainer.train_step(batches)
    assert all(p.isfinite().all() and p.dtype == torch.half for p in theirs.model.parameters())
    with pytest.raises(ValueError, match=f"Unsupported optimizer: {ADAM}"):
        setting(*half, "--memory-efficient-fp16").trainer.optimizer  # noqa: B018
