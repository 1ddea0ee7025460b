"""Runs on the CUDA devices of a machine: several on each, one on several, by every launcher."""

import subprocess
import sys
from collections import Counter

import pytest
import torch
import torch.distributed as dist
from command_fixtures import free_port
from odd import diary
from rounding import as_rounded
from running import (
    ROOT,
    child_environment,
    environment,
    evaluations,
    folder,
    folders,
    summary,
    typed,
)

from engine import parallel

GPUS = torch.cuda.device_count()

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device"),
]


# -- one run on several devices --------------------------------------------------------------------

# Batch norm and clipping see all processes' shares.
KINDS = {
    "clipping, accumulation": ["optim=sgd", "clip_norm=0.05", "accumulate=2"],
    "batch norm": ["optim=sgd", "task.model._target_=odd.BatchNormMLP"],
    "compile=True": ["optim=laprop", "optim.compile=true"],
}


@pytest.mark.parametrize("kind", KINDS)
def test_processes_on_gpus_learn_what_the_cpu_learns(train, train_by, tiny, runs, tmp_path, kind):
    """By two processes where there are two GPUs, and by one where there is one."""
    count = min(2, GPUS)
    chosen = [*tiny(task__steps=10, task__eval_every=1), *KINDS[kind]]
    assert train(*chosen, f"paths.runs={tmp_path}/cpu").code == 0
    assert "finished in" in train_by(count, *chosen, "train.device=cuda")
    here, there = folder(tmp_path / "cpu"), folder(runs)
    assert evaluations(there) == [as_rounded(line, rel=1e-3) for line in evaluations(here)]
    assert environment(there)["devices"] == [f"cuda:{rank}" for rank in range(count)]


@pytest.mark.skipif(GPUS < 2, reason="there are not two CUDA devices")
def test_torchrun_on_two_gpus(tiny, runs):
    launcher = ["torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    done = subprocess.run(
        [sys.executable, "-m", *launcher, "-m", "scripts.train", *tiny(train__device="cuda")],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env=child_environment(),
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert environment(folder(runs))["devices"] == ["cuda:0", "cuda:1"]


@pytest.fixture
def alone():
    """The group of one process that a run on GPUs would meet in."""
    where = {"init_method": f"tcp://127.0.0.1:{free_port()}", "rank": 0, "world_size": 1}
    dist.init_process_group("cpu:gloo,cuda:nccl", **where)
    yield
    dist.destroy_process_group()


@pytest.mark.usefixtures("alone")
def test_nccl_sums_on_a_gpu_and_gloo_beside_it():
    for device in ("cuda", "cpu"):
        values = torch.tensor([1.0, 2.0], device=device)
        found = parallel.all_reduce_sum(values)
        assert found.device.type == device and found.tolist() == [1.0, 2.0]
        assert found.data_ptr() != values.data_ptr()


# -- many runs -------------------------------------------------------------------------------------


def devices(runs):
    return Counter(environment(where)["device"] for where in folders(runs))


def test_joblib_fills_the_places_of_every_gpu(start, tiny, runs, waits):
    """All wait for each other, so that as many train at a time as there are places."""
    count = 2 * GPUS
    common = tiny(train__device="auto", sweep__jobs_per_device=2)
    seeds = f"seed={','.join(map(str, range(count)))}"
    child = start("train", "-m", *common, *typed(waits(at=2, room=count)), seeds)
    assert child.wait() == 0, child.output
    assert [summary(where)["status"] for where in folders(runs)] == ["finished"] * count
    assert devices(runs) == {f"cuda:{index}": 2 for index in range(GPUS)}


def test_a_run_is_put_on_the_gpu_that_is_named(start, tiny, runs):
    last = f"cuda:{GPUS - 1}"
    child = start("train", "-m", *tiny(train__device=last, sweep__jobs_per_device=2), "seed=0,1,2")
    assert child.wait() == 0, child.output
    assert devices(runs) == {last: 3}


def test_ray_gives_each_run_a_gpu(tiny, runs, tmp_path):
    pytest.importorskip("hydra_plugins.hydra_ray_launcher")
    slow = {
        "optim": "sgd",
        "optim._target_": "odd.Slow",
        "+optim.seconds": 0.1,
        "+optim.diary": tmp_path / "diary",
        "hydra/launcher": "ray",
    }
    command = [sys.executable, "-m", "scripts.train", "-m", *tiny(train__device="auto")]
    seeds = f"seed={','.join(map(str, range(2 * GPUS)))}"
    done = subprocess.run(
        [*command, *typed(slow), seeds],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env=child_environment(),
        timeout=400,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    # Each sees one GPU, which is the first one there.
    assert devices(runs) == {"cuda:0": 2 * GPUS}
    assert {gpu for _, _, gpu in diary(tmp_path / "diary")} == {str(n) for n in range(GPUS)}
