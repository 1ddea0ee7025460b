"""A sweep's runs on SLURM: one array of jobs, of which each carries out some runs.

Where a job's time is nearly up, SLURM sends it a signal; its run then leaves with a checkpoint, and
the job is queued again. What has become of jobs is asked of squeue, which every cluster has, and
not of sacct, which needs SLURM's accounting.
"""

import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from math import ceil
from typing import Any

from hydra.core.singleton import Singleton

from engine import interrupt
from engine.checks import BadInput
from engine.console import say
from engine.make import meta_task
from engine.texts import shorten

POLL_SECONDS = 1.0
# Each question goes to the cluster's one controller.
STATE_SECONDS = 10.0
# How long a file may take from a node to this machine.
FILE_SECONDS = 30.0

# A job of several short runs takes about so long: far longer than it takes to start.
JOB_SECONDS = 60.0
# The number of jobs in an array is below MaxArraySize, which is 1001 unless a cluster says more.
MOST_JOBS = 1000

# Values of runs that are not done.
UNDONE = ("cancelled", "died", "interrupted")

GONE = "GONE"  # ended so long ago that it is forgotten
# States of jobs that have ended: those that leave a result, which may be on its way, and others.
WITH_RESULT = (GONE, "COMPLETED", "FAILED")
WITHOUT = ("BOOT_FAIL", "CANCELLED", "DEADLINE", "NODE_FAIL", "OUT_OF_MEMORY", "REVOKED", "TIMEOUT")


def launch(
    launcher: Any, jobs: Sequence[list[str]], configs: Sequence[dict[str, Any]]
) -> list[Any]:
    """Carry out runs by an array of jobs, and wait for all.

    Args:
        launcher: Hydra's, set up.
        jobs: the overrides of each run.
        configs: their configs.

    Returns:
        For each run its value, or the exception that it raised; "died" where its job did, and
        "cancelled" where that was cancelled.

    Raises:
        interrupt.Lost: all jobs that were left were cancelled.
    """
    numbered, state = list(enumerate(jobs)), Singleton.get_state()
    size = runs_per_job(configs)
    starts = range(0, len(jobs), size)
    batches = [Batch(launcher, state, numbered[start : start + size]) for start in starts]
    where = launcher.params["submitit_folder"].removesuffix("/%j")
    say(f"{len(jobs)} runs as SLURM jobs of up to {size}; what they say is in {where}")
    submitted = submit(launcher.params, batches)
    states = wait_for(submitted)
    values: list[Any] = []
    for job, batch in zip(submitted, batches, strict=True):
        values += values_of(job, batch, states[job.job_id])
    if {value for value in values if value in UNDONE} == {"cancelled"}:
        raise interrupt.Lost(f"the sweep's SLURM job, {array_of(submitted)}, was cancelled")
    return values


def submit(params: Mapping[str, Any], batches: Sequence["Batch"]) -> list[Any]:
    """Raise BadInput where SLURM does not take the jobs, as of a partition that there is not."""
    from submitit.core.utils import FailedJobError

    try:
        return executor(params).submit_array(batches)
    except FailedJobError as error:
        lines = str(error).strip().splitlines() or ["it does not say why"]
        raise BadInput(f"SLURM does not take the sweep: {shorten(lines[-1])}") from error


def runs_per_job(configs: Sequence[dict[str, Any]]) -> int:
    """As the config says, or by the time of their training steps, which are timed now."""
    from engine.timing import timed_steps

    asked = configs[0]["sweep"]["runs_per_job"]
    if asked != "auto":
        return asked
    least = ceil(len(configs) / MOST_JOBS)
    tasks = {config["names"]["task"]: config for config in configs}
    times = timed_steps([*tasks.values()])
    if None in times:
        return least
    steps = [meta_task(config).steps for config in tasks.values()]
    longest = max(time * count for time, count in zip(times, steps, strict=True))
    return max(least, min(len(configs), int(JOB_SECONDS / longest)))


def executor(params: Mapping[str, Any]) -> Any:
    """What submits jobs, with the settings of Hydra's launcher."""
    import submitit
    from hydra_plugins.hydra_submitit_launcher.config import BaseQueueConf

    own = {"submitit_folder", "max_num_timeout"}
    general = BaseQueueConf.__dataclass_fields__
    made = submitit.AutoExecutor(
        folder=params["submitit_folder"],
        cluster="slurm",
        slurm_max_num_timeout=params["max_num_timeout"],
    )
    made.update_parameters(
        **{
            name if name in general else f"slurm_{name}": value
            for name, value in params.items()
            if name not in own
        }
    )
    return made


# -- on a node -------------------------------------------------------------------------------------


@dataclass
class Batch:
    """Runs that one job carries out, one after the other.

    Attributes:
        launcher: Hydra's, set up.
        state: Hydra's, of the process that submits.
        jobs: the number of each and its overrides.
    """

    launcher: Any
    state: Any
    jobs: list[tuple[int, list[str]]]

    def __call__(self) -> list[Any]:
        from submitit.core.utils import UncompletedJobError

        queue_again: Any = signal.getsignal(signal.SIGUSR2)
        signal.signal(signal.SIGUSR2, lambda signum, frame: interrupt.stop(signum))
        values = [self.value(number, overrides) for number, overrides in self.jobs]
        if interrupt.received() == signal.SIGUSR2 and "interrupted" in values:
            with suppress(UncompletedJobError):  # its time was up too often: a new job goes on
                queue_again(signal.SIGUSR2, None)  # submitit's, which ends the process
        return values

    def value(self, number: int, overrides: list[str]) -> Any:
        """The value of a run, or the exception that it raised."""
        place = ("hydra.sweep.dir", number, f"job_id_for_{number}")
        try:
            return self.launcher(overrides, *place, self.state).return_value
        except Exception as error:
            return error

    def checkpoint(self) -> Any:
        """The same again, which goes on from the records of its runs; submitit asks for it."""
        from submitit.helpers import DelayedSubmission

        return DelayedSubmission(self)


# -- where it was submitted ------------------------------------------------------------------------


def wait_for(jobs: Sequence[Any]) -> dict[str, str]:
    """Wait until all jobs have ended; told to stop, cancel them, which lets runs leave.

    Returns:
        The states of those that ended without a result, or whose runs were interrupted, by job.
    """
    pending = {job.job_id: job for job in jobs}
    states: dict[str, str] = {}
    ended_at: dict[str, float] = {}
    asked_at, told = time.monotonic(), False
    while pending:
        time.sleep(POLL_SECONDS)
        if interrupt.received() and not told:
            subprocess.run(["scancel", "--quiet", array_of(jobs)], capture_output=True)
            told = True
        now = time.monotonic()
        if told or now - asked_at > STATE_SECONDS:
            asked_at, states = now, states_of(jobs, states)
        for job_id, job in list(pending.items()):
            state = states.get(job_id)
            if state not in WITH_RESULT:
                ended_at.pop(job_id, None)
            late = now - ended_at.setdefault(job_id, now) > FILE_SECONDS
            if has_result(job) or late or state in WITHOUT:
                del pending[job_id]
    return states_of(jobs, states)


def has_result(job: Any) -> bool:
    with suppress(OSError):  # a network's disk then looks anew
        job.paths.folder.chmod(job.paths.folder.stat().st_mode)
    return job.paths.result_pickle.exists()


def array_of(jobs: Sequence[Any]) -> str:
    """The number of the array that jobs belong to."""
    return jobs[0].job_id.partition("_")[0]


def states_of(jobs: Sequence[Any], known: Mapping[str, str]) -> dict[str, str]:
    """The state of each job, such as "RUNNING"; as it was known while squeue does not answer."""
    command = ["squeue", "--noheader", "--array", "--states=all", "--format=%i|%T"]
    answer = subprocess.run(
        [*command, f"--jobs={array_of(jobs)}"], capture_output=True, encoding="utf-8"
    )
    if answer.returncode and "Invalid job id" not in answer.stderr:
        return dict(known)
    now = dict(line.split("|") for line in answer.stdout.split())
    # The controller forgets jobs some minutes after their end.
    last = {job.job_id: known.get(job.job_id) for job in jobs}
    ended = (*WITH_RESULT, *WITHOUT)
    gone = {job_id: state if state in ended else GONE for job_id, state in last.items()}
    return gone | now


def values_of(job: Any, batch: Batch, state: str) -> list[Any]:
    """What a job's runs have returned; for all the same where the job came to no result."""
    from submitit.core.utils import pickle_load

    count = len(batch.jobs)
    if not has_result(job):
        return ["cancelled" if state == "CANCELLED" else "died"] * count
    outcome, result = pickle_load(job.paths.result_pickle)
    if outcome == "error":
        return [RuntimeError(result.strip().splitlines()[-1])] * count
    if state == "CANCELLED":  # its runs had the time to leave
        return ["cancelled" if value == "interrupted" else value for value in result]
    return result
