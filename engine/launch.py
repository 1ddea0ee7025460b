"""Many runs by one of Hydra's launchers."""

import inspect
import os
import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from hydra.core.plugins import Plugins
from hydra.core.utils import JobReturn
from hydra.errors import HydraException
from hydra.types import HydraContext, RunMode

from engine import packages
from engine.checks import BadInput
from engine.composing import Loader
from engine.config import check_overrides, default_choice, explain, hydra_of
from engine.console import say
from engine.hydra_internals import Callbacks
from engine.overrides import given, is_hydras, read_override
from engine.texts import PATH_SHOWN, hydra_text, shorten

# Launchers that do not come with the project, and the extras that install them.
EXTRAS = {"ray": "ray", "submitit_slurm": "slurm", "submitit_local": "slurm"}

# Launchers whose workers are on this machine and use its devices.
LOCAL_LAUNCHERS = ("basic", "joblib")


def launch(
    task_function: Callable[..., Any],
    shared: list[str],
    jobs: Sequence[list[str]],
    configs: Sequence[dict[str, Any]],
) -> list[Any]:
    """Call `task_function` with the config of each job, wait for all, and return their values.

    Args:
        task_function: one that a worker can import by its module and name.
        shared: overrides of Hydra itself (hydra/launcher=…, hydra.launcher.…).
        jobs: the overrides of each job.
        configs: what they make.

    Returns:
        For each job its value, or the exception that it raised.

    Raises:
        BadInput: a cluster cannot be reached, or cannot carry out runs.
        interrupt.Lost: it is gone, or somebody cancelled the runs there.
        Exception: whatever another launcher raises when a worker process dies.
    """
    with hydra_of() as hydra:
        # As `-m` does: by this a worker knows that it shares this machine's devices with others.
        settings = [*shared, f"hydra.mode={RunMode.MULTIRUN.name}"]
        config = hydra.compose_config("train", settings, RunMode.MULTIRUN)
        loader = Loader(hydra.config_loader.get_search_path())
        context = HydraContext(config_loader=loader, callbacks=Callbacks())
        launcher = Plugins.instance().instantiate_launcher(
            hydra_context=context, task_function=task_function, config=config
        )
        with packages.project_found_by_children():
            if launcher_name(shared) == "ray":
                from engine import ray_cluster  # imports torch

                return ray_cluster.launch(launcher, jobs)
            if launcher_name(shared) == "submitit_slurm":
                from engine import slurm

                return slurm.launch(launcher, jobs, configs)
            returns = launcher.launch(jobs, initial_job_idx=0)
    return [return_value_of(job_return) for job_return in returns]


def draws_in_place(overrides: Sequence[str]) -> bool:
    """Whether the sweep's process may draw on its terminal, where no run draws a bar of its own."""
    return sys.stdout.isatty() and launcher_name(overrides) != "basic"


def release_workers(overrides: Sequence[str]) -> None:
    """Let joblib's workers end, which takes a second, while the command goes on."""
    if launcher_name(overrides) == "joblib":
        from joblib.externals.loky import get_reusable_executor

        get_reusable_executor().shutdown(wait=False)


def return_value_of(job_return: JobReturn) -> Any:
    try:
        return job_return.return_value
    except Exception as error:
        return error


def launcher_name(overrides: Sequence[str]) -> str:
    choices = given(overrides, "hydra/launcher")
    return str(choices[-1].value()) if choices else default_choice("hydra/launcher")


def launcher_settings(overrides: Sequence[str], config: dict[str, Any], runs: int) -> list[str]:
    """Overrides that tell a launcher about this machine, except those that `overrides` set.

    Args:
        overrides: as typed.
        config: of any one of the runs.
        runs: how many there are.

    Raises:
        BadInput: the launcher is not installed or cannot be set so, or a device is not there.
    """
    from engine.devices import slots

    name = launcher_name(overrides)
    device, sweep = config["train"]["device"], config["sweep"]
    jobs_per_device, devices_per_run = sweep["jobs_per_device"], sweep["devices_per_run"]
    settings = []
    if name in LOCAL_LAUNCHERS:
        slot_count = slots(device, jobs_per_device, devices_per_run)
    if name == "joblib":
        settings.append(f"hydra.launcher.n_jobs={min(slot_count, runs)}")
    if name in ("submitit_slurm", "submitit_local"):
        called = config["group"] or config["names"]["task"]
        settings.append(f"hydra.launcher.name={hydra_text(called)}")
    if name in EXTRAS and not installed(name):
        raise BadInput(
            f"hydra/launcher={name}: not installed; pip install 'adamily[{EXTRAS[name]}]'"
        )
    if name == "submitit_slurm" and shutil.which("srun") is None:
        raise BadInput(f"hydra/launcher={name}: there is no srun here; use a node of the cluster")
    check_settings([override for override in overrides if is_hydras(override)])
    return [text for text in settings if not given(overrides, read_override(text).key_or_group)]


def say_how(overrides: Sequence[str], config: dict[str, Any], runs: int) -> None:
    """Print a line on how runs share this machine's CPU, if they do."""
    from engine.devices import slots, threads

    device, sweep = config["train"]["device"], config["sweep"]
    if launcher_name(overrides) != "joblib" or on_gpu(device):
        return
    jobs_per_device, devices_per_run = sweep["jobs_per_device"], sweep["devices_per_run"]
    at_a_time = min(slots(device, jobs_per_device, devices_per_run), runs)
    count = threads(device, jobs_per_device)
    say(
        f"{at_a_time} at a time on the CPU, each with "
        f"{f'{devices_per_run} processes of ' if devices_per_run > 1 else ''}"
        f"{count} thread{'s' if count > 1 else ''} (sweep.jobs_per_device={jobs_per_device})"
    )


def check_settings(overrides: list[str]) -> None:
    """Raise BadInput unless Hydra accepts the overrides of its launcher."""
    with hydra_of() as hydra:
        check_overrides(overrides, hydra)
        try:
            config = hydra.compose_config("train", overrides, RunMode.MULTIRUN)
        except HydraException as error:
            raise BadInput(explain(error, overrides)) from error
    if launcher_name(overrides) == "joblib":
        check_joblib(config.hydra.launcher)


def check_joblib(launcher: Mapping[str, Any]) -> None:
    """Raise BadInput for settings that joblib would only refuse when the first run starts."""
    from joblib import Parallel, effective_n_jobs

    settings = {str(key): value for key, value in launcher.items() if key != "_target_"}
    known = inspect.signature(Parallel).parameters
    if unknown := sorted(settings.keys() - known.keys()):
        raise BadInput(f"hydra.launcher.{shorten(unknown[0])}: joblib has no such key")
    try:
        Parallel(**settings | {"backend": "loky"})  # as the launcher does
        effective_n_jobs(settings["n_jobs"])
    except (TypeError, ValueError) as error:
        raise BadInput(f"hydra.launcher: {shorten(str(error))}") from error


def on_gpu(device: str) -> bool:
    """Whether runs train on GPUs: for "auto", whether this machine has any."""
    import torch

    return device.startswith("cuda") or (device == "auto" and torch.cuda.device_count() > 0)


def trains_here(overrides: Sequence[str]) -> bool:
    """Whether the launcher's workers are on this machine and use its devices."""
    return launcher_name(overrides) in LOCAL_LAUNCHERS


def installed(launcher: str) -> bool:
    from importlib.util import find_spec

    return find_spec(f"hydra_plugins.hydra_{launcher.partition('_')[0]}_launcher") is not None


def check_writable(folder: str, key: str) -> None:
    """Raise BadInput unless files can be made in `folder`; leave nothing behind."""
    missing: list[Path] = []
    try:
        missing += [path for path in (Path(folder), *Path(folder).parents) if not path.exists()]
        os.makedirs(folder, exist_ok=True)
        probe = os.path.join(folder, f".writable.{os.getpid()}")
        with open(probe, "wb"):
            pass
        os.unlink(probe)
    except OSError as error:
        raise BadInput(
            f"{key}={shorten(folder, PATH_SHOWN)}: cannot be written: {error.strerror}"
        ) from error
    finally:
        for path in missing:
            with suppress(OSError):  # another process may have begun to use it
                path.rmdir()
