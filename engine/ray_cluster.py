"""A sweep's runs on Ray: on a cluster that is there, or on one that Ray starts on this machine.

Ray ends the process that drives it, from one of its own threads, when it loses the cluster's head.
So a child drives it, and the sweep lives on and says what happened.
"""

import multiprocessing
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any
from uuid import uuid4

import torch
from hydra.core.singleton import Singleton
from hydra.core.utils import JobReturn, setup_globals
from omegaconf import DictConfig, OmegaConf, open_dict

from engine import interrupt
from engine.checks import BadInput
from engine.console import log
from engine.devices import slots_per_device
from engine.texts import shorten

POLL_SECONDS = 1.0
PROBE_SECONDS = 120.0

DIED = "its head died, or Ray on this machine"
# Ray tells these apart only in what it logs.
NOT_THERE = (
    "no Ray cluster answers there: start one by ray start --head, and where its head has a token, "
    "copy ~/.ray/auth_token from there and export RAY_AUTH_MODE=token"
)


def launch(launcher: Any, jobs: Sequence[list[str]]) -> list[Any]:
    """Carry out the jobs on the cluster, and wait for all.

    Args:
        launcher: Hydra's, set up.
        jobs: the overrides of each.

    Returns:
        For each its value, or the exception that it raised; "died" where its worker died more often
        than Ray tries again, and "interrupted" where it was cancelled.

    Raises:
        BadInput: there is no such cluster, or one of its nodes cannot carry out runs.
        interrupt.Lost: the cluster's head died.
    """
    context = multiprocessing.get_context("fork")  # what is launched need not be pickled
    receiver, sender = context.Pipe(duplex=False)
    child = context.Process(target=_drive, args=(sender, launcher, jobs))
    child.start()
    sender.close()
    settings = launcher.ray_cfg.init
    where = address(settings) or "of this machine"
    try:
        told(receiver, BadInput(f"{asked(settings)}: {NOT_THERE}"))
        return told(receiver, interrupt.Lost(f"the Ray cluster {where} is gone: {DIED}"))
    finally:
        child.join()


def told(receiver: Connection, otherwise: Exception) -> Any:
    """What the child tells; raise it if it is a BadInput, or `otherwise` if the child has died."""
    try:
        message = receiver.recv()
    except EOFError:
        raise otherwise from None
    if isinstance(message, BadInput):
        raise message
    return message


def _drive(sender: Connection, launcher: Any, jobs: Sequence[list[str]]) -> None:
    """In the child: tell that the cluster is reached, then the jobs' values; or a BadInput."""
    interrupt.end_with_parent()
    try:
        connect(launcher.ray_cfg.init)
        sender.send("connected")
        sender.send(values_of(launcher, jobs))
    except BadInput as error:
        sender.send(error)


def values_of(launcher: Any, jobs: Sequence[list[str]]) -> list[Any]:
    import ray

    folder = Path(str(launcher.config.hydra.sweep.dir))
    folder.mkdir(parents=True, exist_ok=True)
    try:
        check_nodes(folder)
        try:
            submitted = [submit(launcher, number, job) for number, job in enumerate(jobs)]
        except (TypeError, ValueError) as error:
            reason = " ".join(str(error).split())
            raise BadInput(f"hydra.launcher.ray: {shorten(reason)}") from error
        return wait_for(submitted)
    finally:
        ray.shutdown()


# -- the cluster -----------------------------------------------------------------------------------


def address(settings: DictConfig) -> str | None:
    """Of the cluster that is asked for; None for Ray's own choice."""
    return settings.get("address") or os.environ.get("RAY_ADDRESS")


def connect(settings: DictConfig) -> None:
    """Raise BadInput where `ray.init` does not reach a cluster, or does not take its arguments."""
    import ray

    try:
        ray.init(**OmegaConf.to_container(settings, resolve=True))  # pyright: ignore
    except (ConnectionError, ray.exceptions.AuthenticationError) as error:
        raise BadInput(f"{asked(settings)}: {NOT_THERE}") from error
    except (RuntimeError, TypeError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise BadInput(f"hydra.launcher.ray.init: {shorten(reason)}") from error


def asked(settings: DictConfig) -> str:
    return f"hydra.launcher.ray.init.address={address(settings)}"


def check_nodes(folder: Path) -> None:
    """Raise BadInput unless every node has this project, and shares this folder of runs."""
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    probe = folder / f".probe.{uuid4().hex}"
    probe.touch()
    look = ray.remote(num_cpus=0, max_retries=0)(sees)
    nodes = [node for node in ray.nodes() if node["Alive"]]
    places = [NodeAffinitySchedulingStrategy(node["NodeID"], soft=False) for node in nodes]
    answers = [
        look.options(scheduling_strategy=place).remote(os.getcwd(), str(probe)) for place in places
    ]
    try:
        for node, answer in zip(nodes, answers, strict=True):
            check_node(node["NodeManagerHostname"], answer, folder)
    finally:
        probe.unlink()


def check_node(name: str, answer: Any, folder: Path) -> None:
    """Raise BadInput unless a node's answer is that it sees a file in the folder of runs."""
    import ray

    where = f"hydra/launcher=ray: node {name}"
    try:
        if ray.get(answer, timeout=PROBE_SECONDS):
            return
    except ray.exceptions.GetTimeoutError as error:
        raise BadInput(f"{where} has not answered for {PROBE_SECONDS:.0f} s") from error
    except ray.exceptions.RayTaskError as error:
        reason = str(error.cause or error).strip().splitlines()[-1]
        raise BadInput(f"{where} cannot carry out runs: {shorten(reason)}") from error
    except ray.exceptions.RayError:  # it died meanwhile
        return
    raise BadInput(
        f"{where} does not see {folder.absolute()}: all nodes need one folder of runs that they "
        "share, as by NFS; name it by paths.runs"
    )


def sees(folder: str, path: str) -> bool:
    os.chdir(folder)
    return os.path.exists(path)


@dataclass(frozen=True)
class At:
    """A function that is called in this folder, where paths of the command line mean the same."""

    folder: str
    function: Callable[[Any], Any]

    def __call__(self, argument: Any) -> Any:
        os.chdir(self.folder)
        return self.function(argument)


# -- the runs --------------------------------------------------------------------------------------


def submit(launcher: Any, number: int, overrides: list[str]) -> Any:
    """Queue a run; return Ray's reference to what it will return."""
    import ray
    from hydra_plugins.hydra_ray_launcher._launcher_util import launch_job_on_ray

    setup_globals()
    config = launcher.hydra_context.config_loader.load_sweep_config(launcher.config, overrides)
    with open_dict(config):
        config.hydra.job.id, config.hydra.job.num = f"job_id_for_{number}", number
    gpus = ray.cluster_resources().get("GPU", 0)
    return launch_job_on_ray(
        launcher.hydra_context,
        OmegaConf.create(resources(config, launcher.ray_cfg.remote, gpus)),
        config,
        At(os.getcwd(), launcher.task_function),
        Singleton.get_state(),
    )


def resources(config: DictConfig, typed: DictConfig, gpus: float) -> dict[str, Any]:
    """What a run asks of a cluster with so many GPUs: some or a share of one, unless typed."""
    wanted: dict[str, Any] = {str(key): value for key, value in typed.items()}
    device, sweep = config.train.device, config.sweep
    if "num_gpus" in wanted or device == "cpu" or (device == "auto" and not gpus):
        return wanted
    share = 1 / slots_per_device(torch.device("cuda"), sweep.jobs_per_device)
    return wanted | {"num_gpus": share if sweep.devices_per_run == 1 else sweep.devices_per_run}


def wait_for(runs: Sequence[Any]) -> list[Any]:
    """The values of runs, when all have ended; told to stop, let them leave with checkpoints."""
    import ray

    pending, told = list(runs), False
    while pending:
        _, pending = ray.wait(pending, num_returns=len(pending), timeout=POLL_SECONDS)
        interrupt.check_sweep_stopped()
        if interrupt.received() and not told:
            told = True
            for run in pending:
                ray.cancel(run)  # which a run takes as a Ctrl-C
    return [value_of(run) for run in runs]


def value_of(run: Any) -> Any:
    import ray

    try:
        returned: JobReturn = ray.get(run)
        return returned.return_value
    except ray.exceptions.TaskCancelledError:
        return "interrupted"
    except ray.exceptions.RayTaskError as error:
        return RuntimeError(str(error.cause or error))
    except ray.exceptions.RayError as error:
        log.warning("a worker died: %s", " ".join(str(error).split()))
        return "died"
    except Exception as error:
        return RuntimeError(f"{type(error).__name__}: {error}")
