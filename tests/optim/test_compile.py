"""`compile=True`: one kernel for all shapes and steps, and what happens without a compiler."""

import subprocess
import sys
import warnings
from pathlib import Path

import pytest
import torch
from cases import RULES
from torch._dynamo.testing import CompileCounter
from torch.nn import Parameter

import optim
from optim import compiled as executor
from optim import schedules
from optim.traced_amsgrad import TracedAMSGrad

ROOT = Path(__file__).parents[2]
SHAPES = [(130, 130), (33,), (1,), (), (4, 5, 2), (200, 90)]


def parameters() -> list[Parameter]:
    generator = torch.Generator().manual_seed(0)
    return [Parameter(0.1 * torch.randn(shape, generator=generator)) for shape in SHAPES]


def give(optimizer: torch.optim.Optimizer, t: int) -> None:
    generator = torch.Generator().manual_seed(t)
    for p in optimizer.param_groups[0]["params"]:
        p.grad = torch.randn(p.shape, generator=generator)


def take(optimizer: torch.optim.Optimizer, t: int) -> None:
    give(optimizer, t)
    optimizer.step()


@pytest.fixture
def no_compiler(monkeypatch):
    """A machine whose torch.compile fails when it is first used."""
    executor.compiled.cache_clear()
    executor.warn_once.cache_clear()

    def fail(*_, **__):
        raise RuntimeError("No working C++ compiler found\nand more lines")

    monkeypatch.setattr(torch, "compile", fail)
    yield
    executor.compiled.cache_clear()
    executor.warn_once.cache_clear()


@pytest.mark.usefixtures("no_compiler")
def test_without_a_compiler_it_warns_once_and_runs_in_batches():
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for make in (optim.LaProp, optim.MAdam):
            fallen, batched = make(parameters(), compile=True), make(parameters())
            for t in range(3):
                take(fallen, t)
                take(batched, t)
            for p, q in zip(
                fallen.param_groups[0]["params"], batched.param_groups[0]["params"], strict=True
            ):
                assert torch.equal(p, q)
    (warning,) = caught
    assert str(warning.message) == (
        "compile=True is run as foreach=True: nothing can be compiled for cpu: "
        "No working C++ compiler found"
    )


def run_python(code: str, **environment: str) -> str:
    command = [sys.executable, "-W", "always", "-c", code]
    environment = {"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT), **environment}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


STEP = """
import sys, torch
from engine.startup import StandIn, defer_compiler
defer_compiler()
import optim
p = torch.nn.Parameter(torch.ones(5))
optimizer = optim.LaProp([p], compile={compile})
for _ in range(3):
    p.grad = torch.ones(5)
    optimizer.step()
optimizer.load_state_dict(optimizer.state_dict())
print(p.tolist() != [1.0] * 5, isinstance(sys.modules["torch._dynamo"], StandIn))
"""


def test_the_compiler_is_not_imported_unless_it_is_used():
    assert "True True" in run_python(STEP.format(compile=False))


@pytest.mark.slow
def test_the_compiler_is_imported_when_it_is_used(tmp_path):
    said = run_python(STEP.format(compile=True), TORCHINDUCTOR_CACHE_DIR=str(tmp_path))
    assert "True False" in said
    assert "compile=True is run as" not in said


@pytest.mark.slow
def test_a_machine_without_a_compiler(tmp_path):
    said = run_python(
        STEP.format(compile=True), TORCHINDUCTOR_CACHE_DIR=str(tmp_path), CXX="/nowhere/g++"
    )
    assert "True" in said
    assert said.count("compile=True is run as foreach=True") == 1


def test_decay_that_a_schedule_moves_compiles_nothing_anew():
    """Also where it reaches 0, as lr then does."""
    executor.compiled.cache_clear()
    one, other = (
        optim.LaProp(parameters(), weight_decay=0.01, compile=compile) for compile in (True, False)
    )
    pairs = [
        (optimizer, schedules.linear(optimizer, 12, total=8, scale_decay=True))
        for optimizer in (one, other)
    ]
    decays = []
    for t in range(12):
        decays.append(one.param_groups[0]["weight_decay"])
        for optimizer, schedule in pairs:
            take(optimizer, t)
            schedule.step()
    assert len(set(decays)) == 9 and decays[-1] == 0
    assert executor.compiled.cache_info().misses == 1
    for p, q in zip(one.param_groups[0]["params"], other.param_groups[0]["params"], strict=True):
        torch.testing.assert_close(p, q)


@pytest.mark.parametrize("make", [*(case.make for case in RULES), TracedAMSGrad])
def test_a_step_in_a_compiled_program_is_compiled_once(make):
    """Though numbers that are no tensors change with every step."""
    torch._dynamo.reset()
    counter = CompileCounter()
    compiled, plain = make(parameters()), make(parameters())
    step = torch.compile(compiled.step, backend=counter)
    for t in range(20):
        for optimizer in (compiled, plain):
            optimizer.param_groups[0]["lr"] = 1e-2 / (1 + t)
            give(optimizer, t)
        step()
        plain.step()
    assert counter.frame_count <= 2
    for p, q in zip(
        compiled.param_groups[0]["params"], plain.param_groups[0]["params"], strict=True
    ):
        torch.testing.assert_close(p, q, rtol=1e-5, atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("case", RULES, ids=str)
def test_one_kernel_serves_all_steps_and_shapes(case):
    """A thousand steps with a schedule, then other shapes: nothing is compiled after the first."""
    from torch._dynamo.utils import counters

    optimizers = case.make(parameters(), compile=True), case.make(parameters())
    schedules = [torch.optim.lr_scheduler.CosineAnnealingLR(o, 1000) for o in optimizers]
    graphs = None
    for t in range(1000):
        for optimizer, schedule in zip(optimizers, schedules, strict=True):
            take(optimizer, t)
            schedule.step()
        graphs = graphs or counters["stats"]["unique_graphs"]
    other = case.make([Parameter(torch.ones(n)) for n in (7, 40000, 2)], compile=True)
    take(other, 0)
    assert counters["stats"]["unique_graphs"] == graphs
    compiled, batched = (o.param_groups[0]["params"] for o in optimizers)
    for p, q, start in zip(compiled, batched, parameters(), strict=True):
        moved = (q - start).abs().max().item()
        torch.testing.assert_close(p, q, rtol=0, atol=2e-5 * moved)
