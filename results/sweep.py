"""All runs that a study still misses, and what is rendered from them."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from engine import interrupt
from engine.job import job
from engine.launch import (
    check_writable,
    launcher_settings,
    release_workers,
    say_how,
    trains_here,
)
from engine.overrides import is_hydras
from engine.ready import check_ready, prepare
from engine.rounds import run_all
from results.analysis import Result
from results.plan import Plan, find, plan, read_planned
from results.write import hash_of, write_swept


@dataclass(frozen=True)
class Sweep:
    """A study's runs, checked, and how they are launched.

    Attributes:
        overrides: as typed, of every run.
        launcher_overrides: those of Hydra itself, for its launcher.
    """

    plan: Plan
    overrides: list[str]
    launcher_overrides: list[str]

    def prepare(self) -> None:
        """Make data ready.

        Raises:
            tasks.sources.DataError: they cannot be had.
        """
        prepare([planned.run for planned in self.plan.runs])

    def run(self) -> None:
        """Run what has not ended, and return when all has, or has failed in this call."""
        runs = self.plan.runs
        ended = sum(planned.run.ended for planned in runs)
        print(f"{self.plan.study.name}: {len(runs)} runs, {ended} ended before", flush=True)
        if ended < len(runs):
            say_how(self.overrides, runs[0].config, len(runs) - ended)
        with interrupt.forwarding_to_workers():
            jobs = [(planned.run, planned.overrides) for planned in runs]
            run_all(job, self.launcher_overrides, jobs)
        release_workers(self.overrides)

    def read(self) -> tuple[Result, str]:
        """What the table says, and the hash of the files that it was made from."""
        source = hash_of(Path(self.plan.runs[0].config["paths"]["runs"]))
        return self.plan.result(read_planned(self.plan)), source

    def write(self, result: Result, source: str) -> tuple[list[Path], Path]:
        """Write the study's files and the page; return their paths.

        Args:
            result: what the table says.
            source: the hash that `read` gave with it.

        Raises:
            OSError: a file could not be written.
        """
        paths = self.plan.runs[0].config["paths"]
        return write_swept(self.plan, result, source, Path(paths["runs"]), Path(paths["reports"]))


def make_sweep(study: str, profile: str, data: str, overrides: Sequence[str]) -> Sweep:
    """Plan a sweep, and check that it can be carried out.

    Args:
        study: its name, as in lp_adam/fc2.
        profile: one that it has.
        data: "full" or "sample".
        overrides: as typed, of every run and of Hydra's launcher.

    Raises:
        BadInput: an argument or the study is wrong.
        tasks.sources.DataError: there is no room for a run in memory.
    """
    run_overrides = [typed for typed in overrides if not is_hydras(typed)]
    study_plan = plan(find(study), profile, data, run_overrides)
    runs = [planned.run for planned in study_plan.runs]
    launcher_overrides = [typed for typed in overrides if is_hydras(typed)]
    launcher_overrides += launcher_settings(overrides, runs[0].config, len(runs))
    check_writable(runs[0].config["paths"]["reports"], "paths.reports")
    check_ready(runs, trains_here(overrides))
    return Sweep(study_plan, list(overrides), launcher_overrides)
