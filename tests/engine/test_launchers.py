"""Launchers beyond this machine: SLURM's job script, and Ray with pretend GPUs."""

import os
import subprocess
import sys
from types import SimpleNamespace

import pytest
from hydra.core.plugins import Plugins
from hydra.core.singleton import Singleton
from odd import diary, most_at_once
from omegaconf import OmegaConf
from running import ROOT, child_environment, folder, folders, summary, typed

from engine import interrupt
from engine.checks import BadInput
from engine.launch import launcher_name, launcher_settings, say_how
from engine.ray_cluster import resources
from engine.slurm import runs_per_job

SLURM = [
    "hydra/launcher=submitit_slurm",
    "hydra.launcher.partition=gpu",
    "hydra.launcher.gpus_per_node=1",
    "hydra.launcher.cpus_per_task=8",
    "hydra.launcher.timeout_min=90",
    "hydra.launcher.array_parallelism=4",
    "sweep.runs_per_job=1",
]


@pytest.fixture
def cluster(tmp_path, monkeypatch):
    """A machine with SLURM's commands: what is submitted is kept, and never begins.

    Whoever submits is stopped once its jobs are queued.
    """
    pytest.importorskip("submitit")
    commands = tmp_path / "bin"
    commands.mkdir()
    kept = tmp_path / "job.sh"
    for name, text in {
        "sbatch": f'cp "$1" {kept}; echo Submitted batch job 4711',
        "srun": "exit 1",
        "squeue": "echo 'slurm_load_jobs error: Invalid job id specified' >&2; exit 1",
        "scancel": "exit 0",
    }.items():
        (commands / name).write_text(f"#!/bin/sh\n{text}\n")
        (commands / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{commands}:/usr/bin:/bin")
    monkeypatch.setattr(interrupt, "received", lambda: 15 if kept.exists() else None)
    for seconds in ("POLL_SECONDS", "FILE_SECONDS"):
        monkeypatch.setattr(f"engine.slurm.{seconds}", 0.01)
    # A job puts Hydra's state back in its own process. In the one that has it already that would
    # import Hydra's plugins anew, under the names of those that other tests still use.
    monkeypatch.setattr(Singleton, "set_state", lambda state: None)
    return kept


def options(script):
    """The #SBATCH options of a job script."""
    lines = [line for line in script.splitlines() if line.startswith("#SBATCH --")]
    return dict(line.removeprefix("#SBATCH --").partition("=")[::2] for line in lines)


def test_the_job_script_that_slurm_gets(cluster, train, runs):
    train("-m", "seed=0,1,2", *SLURM)
    script = cluster.read_text()
    asked = options(script)
    assert asked["partition"] == "gpu"
    assert asked["gpus-per-node"] == "1"
    assert asked["cpus-per-task"] == "8"
    assert asked["time"] == "90"
    assert asked["array"] == "0-2%3"  # at most four at a time, of three
    # Told in time to leave with a checkpoint.
    assert asked["signal"].endswith("@120")
    # The script appends to its output, so that a job that is requeued keeps what it said.
    assert asked["open-mode"] == "append"
    assert f"{sys.executable} -u -m submitit.core._submit" in script
    # All that it needs lies beside the runs, which the nodes of a cluster share.
    assert str(runs / ".hydra" / ".submitit") in script


@pytest.mark.usefixtures("cluster")
def test_a_slurm_job_can_be_stopped_and_submitted_again(train, runs, monkeypatch):
    from submitit.core.utils import DelayedSubmission

    train("-m", "seed=0,1", *SLURM)
    assert folders(runs) == [], "the machine that submits trains nothing"
    pickles = sorted(runs.glob(".hydra/.submitit/*/*_submitted.pkl"))
    assert len(pickles) == 2
    monkeypatch.setattr(interrupt, "received", lambda: None)
    for name, value in {
        "SUBMITIT_EXECUTOR": "slurm",
        "SLURM_JOB_ID": "4711",
        "SLURM_ARRAY_JOB_ID": "4711",
        "SLURM_ARRAY_TASK_ID": "0",
        "SLURM_PROCID": "0",
        "SLURM_NTASKS": "1",
    }.items():
        monkeypatch.setenv(name, value)
    submission = DelayedSubmission.load(pickles[0])
    # What submitit queues when a job is pre-empted: the same call, which goes on from the record.
    again = submission.function.checkpoint(*submission.args, **submission.kwargs)
    for call in (submission, again):
        returned = call.function(*call.args, **call.kwargs)
        assert returned == ["finished"]
    assert summary(folder(runs))["status"] == "finished"


def test_a_sweep_of_a_study_by_slurm(cluster, sweep, study):
    done = sweep(*study(), *SLURM)
    assert done.code == 143
    asked = options(cluster.read_text())
    assert asked["array"] == "0-3%4"
    assert asked["job-name"] == "lp_adam/tiny"


def test_how_many_runs_share_a_slurm_job(monkeypatch):
    """As many as take about a minute, by the task whose runs take longest; or as one says."""

    def size(count, *times, asked="auto"):
        monkeypatch.setattr("engine.timing.timed_steps", lambda configs: list(times))
        monkeypatch.setattr("engine.slurm.meta_task", lambda config: SimpleNamespace(steps=100))
        names = [f"task{number}" for number, _ in enumerate(times)]
        configs = [
            {"names": {"task": names[i % len(names)]}, "sweep": {"runs_per_job": asked}}
            for i in range(count)
        ]
        return runs_per_job(configs)

    assert size(100, 0.01) == 60
    assert size(100, 0.01, 0.1) == 6
    assert size(20, 0.01) == 20
    assert size(100, 2.0) == 1
    # Where a task cannot be timed, each has its own; an array has no room for more than 1000.
    assert size(100, 0.01, None) == 1
    assert size(2500, 2.0) == size(2500, None) == 3
    assert size(100, 0.01, asked=7) == 7


AUTO = {"jobs_per_device": "auto", "devices_per_run": 1}
CONFIG = {"train": {"device": "cpu"}, "sweep": {"jobs_per_device": 4, "devices_per_run": 1}}


def test_what_ray_is_asked_for():
    # GPUs where the cluster has any, whatever this machine has; typed settings come first.
    def asked(gpus, typed=None, device="auto", **sweep):
        config = {"train": {"device": device}, "sweep": AUTO | sweep}
        return resources(OmegaConf.create(config), OmegaConf.create(typed or {}), gpus)

    assert asked(2) == {"num_gpus": 1.0}
    assert asked(2, jobs_per_device=4) == {"num_gpus": 0.25}
    assert asked(8, devices_per_run=4) == {"num_gpus": 4}
    assert asked(2, {"num_gpus": 0.5, "num_cpus": 2}) == {"num_gpus": 0.5, "num_cpus": 2}
    assert asked(2, {"num_cpus": 2}) == {"num_gpus": 1.0, "num_cpus": 2}
    assert asked(2, device="cpu") == {}
    # Without a GPU a run that waits for one would wait for ever, which is for who asks for one.
    assert asked(0) == {}
    assert asked(0, device="cuda") == {"num_gpus": 1.0}


@pytest.fixture
def cluster_dies(monkeypatch):
    """Ray ends the process that drives it, once the cluster's head is gone."""
    from engine import ray_cluster

    launcher = SimpleNamespace(ray_cfg=OmegaConf.create({"init": {"address": "head:6379"}}))
    monkeypatch.setattr(Plugins, "instantiate_launcher", lambda plugins, **others: launcher)
    monkeypatch.setattr("engine.launch.installed", lambda name: True)
    monkeypatch.setattr("engine.launch.check_settings", lambda overrides: None)
    monkeypatch.setattr("engine.launch.launcher_name", lambda overrides: "ray")
    monkeypatch.setattr(ray_cluster, "connect", lambda settings: None)
    monkeypatch.setattr(ray_cluster, "values_of", lambda launcher, jobs: os._exit(1))


@pytest.mark.usefixtures("cluster_dies")
def test_a_cluster_that_is_lost_ends_the_sweep_with_a_sentence(train, tiny):
    done = train("-m", *tiny(), "seed=0,1")
    assert done.code == 143
    lost, stopped = done.err.splitlines()
    assert lost.startswith("ERROR: the Ray cluster head:6379 is gone")
    assert stopped == "stopped; give the same command again to go on"


@pytest.mark.usefixtures("cluster_dies")
def test_a_cluster_that_is_not_there(train, tiny, monkeypatch):
    monkeypatch.setattr("engine.ray_cluster.connect", lambda settings: os._exit(1))
    done = train("-m", *tiny(), "seed=0,1")
    assert done.code == 2
    assert "init.address=head:6379: no Ray cluster answers there: start one by" in done.err


@pytest.mark.usefixtures("cluster_dies")
def test_a_cluster_that_cannot_be_used_is_refused(train, sweep, study, tiny, monkeypatch):
    def refuse(launcher, jobs):
        raise BadInput("hydra/launcher=ray: node n does not see /runs")

    monkeypatch.setattr("engine.ray_cluster.values_of", refuse)
    for done in (train("-m", *tiny(), "seed=0,1"), sweep(*study())):
        assert done.code == 2
        assert done.err == "error: hydra/launcher=ray: node n does not see /runs\n"


def test_which_launcher_it_is(conf):
    assert launcher_name([]) == "joblib"
    assert launcher_name(["hydra/launcher=ray", "hydra.launcher.n_jobs=1"]) == "ray"
    path = conf / "train.yaml"
    path.write_text(path.read_text().replace("hydra/launcher: joblib", "hydra/launcher: basic"))
    assert launcher_name([]) == "basic"


def test_what_joblib_is_told(monkeypatch):
    assert launcher_settings([], CONFIG, 9) == ["hydra.launcher.n_jobs=4"]
    # No more workers than there are runs.
    assert launcher_settings([], CONFIG, 3) == ["hydra.launcher.n_jobs=3"]
    assert launcher_settings(["hydra.launcher.n_jobs=1"], CONFIG, 9) == []
    assert launcher_settings(["hydra/launcher=basic"], CONFIG, 9) == []
    monkeypatch.setattr("engine.devices.cores", lambda: 6)
    assert launcher_settings([], CONFIG | {"sweep": AUTO}, 9) == ["hydra.launcher.n_jobs=6"]
    by_two = AUTO | {"devices_per_run": 2}
    assert launcher_settings([], CONFIG | {"sweep": by_two}, 9) == ["hydra.launcher.n_jobs=3"]


def test_how_runs_share_the_cpu_is_said_in_a_line(monkeypatch, capsys):
    monkeypatch.setattr("engine.devices.cores", lambda: 6)
    monkeypatch.setattr("engine.devices.THREADS", 6)

    def said(overrides=(), device="cpu", runs=9, **sweep):
        say_how(overrides, {"train": {"device": device}, "sweep": AUTO | sweep}, runs)
        return capsys.readouterr().out

    assert said() == "6 at a time on the CPU, each with 1 thread (sweep.jobs_per_device=auto)\n"
    assert said(jobs_per_device=2) == (
        "2 at a time on the CPU, each with 3 threads (sweep.jobs_per_device=2)\n"
    )
    assert said(runs=2).startswith("2 at a time on the CPU, each with 1 thread ")
    assert said(devices_per_run=2).startswith(
        "3 at a time on the CPU, each with 2 processes of 1 thread "
    )
    assert said(["hydra/launcher=basic"]) == said(["hydra/launcher=ray"]) == ""
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    assert said(device="auto") == ""


@pytest.mark.slow
def test_ray_queues_one_run_per_gpu(tiny, runs, tmp_path):
    pytest.importorskip("hydra_plugins.hydra_ray_launcher")
    slow = {
        "optim": "sgd",
        "optim._target_": "odd.Slow",
        "+optim.seconds": 0.1,
        "+optim.diary": tmp_path / "diary",
        "hydra/launcher": "ray",
        "+hydra.launcher.ray.init.num_gpus": 2,
        "+hydra.launcher.ray.remote.num_gpus": 1,
    }
    command = [sys.executable, "-m", "scripts.train", "-m", *tiny(task__steps=20), *typed(slow)]
    done = subprocess.run(
        [*command, "seed=0,1,2,3,4"],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env=child_environment(),
        timeout=400,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert [summary(where)["status"] for where in folders(runs)] == ["finished"] * 5
    spans = diary(tmp_path / "diary")
    assert len(spans) == 5
    assert most_at_once(spans) == 2
    # Each sees one GPU, and both are used; none is used by two runs at a time.
    assert {gpu for _, _, gpu in spans} == {"0", "1"}
    for gpu in ("0", "1"):
        assert most_at_once([span for span in spans if span[2] == gpu]) == 1
