"""Many runs by one of Hydra's launchers."""

import inspect
import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from hydra.core.plugins import Plugins
from hydra.core.utils import JobReturn
from hydra.errors import HydraException
from hydra.types import HydraContext, RunMode
from joblib import Parallel, effective_n_jobs
from joblib.externals.loky import get_reusable_executor

from engine import packages
from engine.checks import BadInput
from engine.composing import Loader
from engine.config import check_override, default_choice, explain, hydra_of
from engine.console import say
from engine.devices import slots, slots_per_device, threads
from engine.hydra_internals import Callbacks
from engine.overrides import given, is_hydras, read_override
from engine.texts import PATH_SHOWN, shorten

# Launchers that do not come with the project, and the extras that bring them.
EXTRAS = {"ray": "ray", "submitit_slurm": "slurm", "submitit_local": "slurm"}

# Those whose workers are on this machine, with its devices.
LOCAL_LAUNCHERS = ("basic", "joblib")


def launch(
    task_function: Callable[..., Any], shared: list[str], jobs: Sequence[list[str]]
) -> list[Any]:
    """Call `task_function` with the config of each job, wait for all, and return their values.

    Args:
        task_function: found by its module and name in a worker.
        shared: overrides of Hydra itself (hydra/launcher=…, hydra.launcher.…).
        jobs: the overrides of each job.

    Returns:
        Of a job that raised an exception, this.

    Raises:
        Exception: whatever the launcher raises when a worker process dies.
    """
    with hydra_of() as hydra:
        # As `-m` does: a worker reads in it that it shares this machine's devices with others.
        settings = [*shared, f"hydra.mode={RunMode.MULTIRUN.name}"]
        config = hydra.compose_config("train", settings, RunMode.MULTIRUN)
        loader = Loader(hydra.config_loader.get_search_path())
        context = HydraContext(config_loader=loader, callbacks=Callbacks())
        launcher = Plugins.instance().instantiate_launcher(
            hydra_context=context, task_function=task_function, config=config
        )
        with packages.found_by_children():
            returns = launcher.launch(jobs, initial_job_idx=0)
    return [value(done) for done in returns]


def release_workers(overrides: Sequence[str]) -> None:
    """Let joblib's workers end, which takes them a second, beside what the command still does."""
    if launcher_name(overrides) == "joblib":
        get_reusable_executor().shutdown(wait=False)


def value(done: JobReturn) -> Any:
    try:
        return done.return_value
    except Exception as error:
        return error


def launcher_name(overrides: Sequence[str]) -> str:
    chosen = given(overrides, "hydra/launcher")
    return str(chosen[-1].value()) if chosen else default_choice("hydra/launcher")


def launcher_settings(overrides: Sequence[str], config: dict[str, Any], runs: int) -> list[str]:
    """What a launcher must be told about this machine, unless `overrides` say it.

    Args:
        overrides: as typed.
        config: of any one of the runs.
        runs: how many there are.

    Raises:
        BadInput: the launcher is not installed or cannot be set so, or a device is not there.
    """
    name = launcher_name(overrides)
    device = config["train"]["device"]
    jobs, share = config["sweep"]["jobs_per_device"], config["sweep"]["devices_per_run"]
    settings = []
    if name in LOCAL_LAUNCHERS:
        most = slots(device, jobs, share)
    if name == "joblib":
        settings.append(f"hydra.launcher.n_jobs={min(most, runs)}")
    if name == "ray" and on_gpu(device) and not given(overrides, "hydra.launcher.ray.remote"):
        each = slots_per_device(torch.device("cuda"), jobs)
        settings.append(f"+hydra.launcher.ray.remote.num_gpus={1 / each if share == 1 else share}")
    if name in EXTRAS and not installed(name):
        raise BadInput(
            f"hydra/launcher={name}: not installed; pip install 'adamily[{EXTRAS[name]}]'"
        )
    if name == "submitit_slurm" and shutil.which("srun") is None:
        raise BadInput(f"hydra/launcher={name}: there is no srun here; use a node of the cluster")
    check_settings([override for override in overrides if is_hydras(override)])
    return [own for own in settings if not given(overrides, read_override(own).key_or_group)]


def say_how(overrides: Sequence[str], config: dict[str, Any], runs: int) -> None:
    """Print in a line how runs will share this machine's CPU, if they will."""
    device, sweep = config["train"]["device"], config["sweep"]
    if launcher_name(overrides) != "joblib" or on_gpu(device):
        return
    jobs, processes = sweep["jobs_per_device"], sweep["devices_per_run"]
    at_a_time, count = min(slots(device, jobs, processes), runs), threads(device, jobs)
    say(
        f"{at_a_time} at a time on the CPU, each with "
        f"{f'{processes} processes of ' if processes > 1 else ''}"
        f"{count} thread{'s' if count > 1 else ''} (sweep.jobs_per_device={jobs})"
    )


def check_settings(shared: list[str]) -> None:
    """Raise BadInput unless Hydra understands what it is told about its launcher."""
    with hydra_of() as hydra:
        for typed in shared:
            check_override(typed, hydra.config_loader)
        try:
            config = hydra.compose_config("train", shared, RunMode.MULTIRUN)
        except HydraException as error:
            raise BadInput(explain(error, shared)) from error
    if launcher_name(shared) == "joblib":
        check_joblib(config.hydra.launcher)


def check_joblib(launcher: Mapping[str, Any]) -> None:
    """Raise BadInput for what joblib would refuse when the first run starts."""
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
    """Whether runs are to have a GPU: "auto" goes by what there is on this machine."""
    return device.startswith("cuda") or (device == "auto" and torch.cuda.device_count() > 0)


def trains_here(overrides: Sequence[str]) -> bool:
    """Whether the launcher's workers are on this machine, with its devices."""
    return launcher_name(overrides) in LOCAL_LAUNCHERS


def installed(launcher: str) -> bool:
    from importlib.util import find_spec

    return find_spec(f"hydra_plugins.hydra_{launcher.partition('_')[0]}_launcher") is not None


def check_writable(folder: str, key: str) -> None:
    """Raise BadInput unless files can be made in `folder`; leave nothing behind."""
    missing: list[Path] = []
    try:
        missing += [place for place in (Path(folder), *Path(folder).parents) if not place.exists()]
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
        for place in missing:
            with suppress(OSError):  # another process may have begun to use it
                place.rmdir()
