"""Every optimizer of conf/ trains on a CUDA device, also in fp16 and in groups."""

import pytest
import torch
from running import ROOT

from engine.config import compose
from engine.loop import step
from engine.session import Session
from engine.yaml_files import read_yaml

DEVICE = "cuda"

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device"),
]

FOLDER = ROOT / "conf" / "optim"
KINDS = {path.stem: [f"optim={path.stem}"] for path in sorted(FOLDER.glob("*.yaml"))} | {
    "groups": ["optim=padam", "+optim.groups.a={dims: 1, weight_decay: 0}"],
    "groups of several optimizers": [
        "optim=laprop",
        "+optim.groups.a={dims: 2, layers: hidden, _target_: torch.optim.Muon, lr: 0.02}",
    ],
    "compile=True": ["optim=laprop", "optim.compile=true"],
}


@pytest.fixture
def train(sample_root):
    """The losses of some steps, and the weights after them: `train(kind, device, precision)`."""

    def losses(kind, device, precision="fp32", steps=4):
        chosen = KINDS[kind]
        name = chosen[0].removeprefix("optim=")
        package = read_yaml(FOLDER / f"{name}.yaml")["_target_"].partition(".")[0]
        if package not in ("torch", "optim"):
            pytest.importorskip(package)
        sizes = ["task=mnist_fc2", "data=sample", "task.model.widths=[784,32,16,10]"]
        others = [f"precision={precision}", "clip_norm=1", f"paths.data={sample_root}"]
        made = Session(compose([*sizes, *others, "logger=none", *chosen]), torch.device(device))
        before = [p.detach().clone() for p in made.parameters]
        found = []
        for number in range(steps):
            found.append(step(made, made.task.batch(number)))
            made.optimizer.zero_grad()
        moved = [not torch.equal(p, q) for p, q in zip(made.parameters, before, strict=True)]
        assert all(moved)
        return torch.stack(found).tolist(), made

    return losses


@pytest.mark.parametrize("kind", KINDS)
def test_it_learns_what_it_learns_on_the_cpu(train, kind):
    here, there = train(kind, "cpu")[0], train(kind, DEVICE)[0]
    # Those that look for eigenvectors may find others, where several will do.
    assert there == pytest.approx(here, rel=1e-2)


@pytest.mark.parametrize("kind", KINDS)
def test_it_learns_in_fp16_with_a_gradient_scaler(train, kind):
    exact = train(kind, "cpu")[0]
    losses, made = train(kind, DEVICE, "fp16")
    assert losses == pytest.approx(exact, rel=2e-2)
    assert made.scaler.is_enabled() and made.scaler.get_scale() > 0
    assert all(p.isfinite().all() for p in made.parameters)
    assert {p.device.type for p in made.parameters} == {DEVICE}


@pytest.mark.parametrize("kind", KINDS)
def test_a_step_that_overflows_is_left_out(train, kind):
    _, made = train(kind, DEVICE, "fp16")
    before = [p.detach().clone() for p in made.parameters]
    scale = made.scaler.get_scale()
    loss = made.task.loss(made.task.batch(4))
    made.scaler.scale(loss).backward()
    made.parameters[0].grad[0, 0] = torch.inf
    made.scaler.step(made.optimizer)
    made.scaler.update()
    assert all(torch.equal(p, q) for p, q in zip(made.parameters, before, strict=True))
    assert made.scaler.get_scale() < scale
