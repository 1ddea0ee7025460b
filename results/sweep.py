"""All runs that a study still misses, and what is rendered from them."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine import interrupt
from engine.checks import BadInput
from engine.job import job
from engine.launch import (
    check_writable,
    launcher_settings,
    release_workers,
    say_how,
    trains_here,
)
from engine.make import meta_task
from engine.metrics import COMMON, OF_A_STEP
from engine.overrides import is_hydras
from engine.ready import check_ready, prepare
from engine.rounds import run_all
from engine.run import Run
from results.analysis import Result
from results.plan import Plan, Planned, once, plan
from results.search import Search
from results.study import Study
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

    def run(self) -> list[Run]:
        """Train, round by round, what the search asks for.

        Returns:
            All that it asked for, when all of it is done or has failed in this call.
        """
        _, ended = self.plan.due()
        runs = f"{len(self.plan.runs)} runs, {ended} ended before"
        print(f"{self.plan.study.name}: {runs}", flush=True)
        return train_due([self.plan], self.overrides, self.launcher_overrides)

    def read(self) -> tuple[Result, str]:
        """What the table says, and the hash of the files that it was made from."""
        source = hash_of(Path(self.plan.runs[0].config["paths"]["runs"]))
        return self.plan.read(), source

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


def train_due(
    plans: Sequence[Plan], overrides: Sequence[str], launcher_overrides: list[str]
) -> list[Run]:
    """Train, round by round, what the searches of some plans ask for, side by side.

    Args:
        plans: which.
        overrides: as typed.
        launcher_overrides: those of Hydra itself, for its launcher.

    Returns:
        All runs that were asked for, when all of them are done or have failed in this call.
    """
    asked: dict[str, Run] = {}
    tried: set[tuple[str, float | None]] = set()

    def due_now() -> list[Planned]:
        # What has failed in this call is not tried again, and its row goes no further.
        due = once(planned for plan in plans for planned in plan.due()[0])
        return [planned for planned in due if part_of(planned) not in tried]

    due = due_now()
    if due:
        say_how(overrides, due[0].config, len(due))
    while due and not interrupt.received():
        asked |= {planned.run.id: planned.run for planned in due}
        if any(plan.study.search != Search() for plan in plans):
            say_round(due)
        with interrupt.forwarding_to_workers():
            run_all(job, launcher_overrides, [(one.run, one.overrides) for one in due])
        tried |= {part_of(planned) for planned in due}
        due = due_now()
    release_workers(overrides)
    return list(asked.values())


def check_search(plan: Plan) -> None:
    """Raise BadInput where the study's choice does not go with its tasks or how it searches."""
    metric = plan.study.select.metric
    if plan.study.search.extend and plan.study.select.worst:
        raise BadInput(f"search: extend: study {plan.study.name} looks for the worst point")
    for planned in plan.runs if metric.startswith("valid/") else ():
        if planned.config["task"].get("valid", "its own") is None:
            raise BadInput(
                f"study {plan.study.name} chooses by {metric}, and "
                f"{planned.config['names']['task']} holds no data out: say which share of its "
                "training data it is to hold out, as task.valid=0.1"
            )
    for planned in plan.runs if plan.study.search.halving else ():
        task, name = meta_task(planned.config), planned.config["names"]["task"]
        where = f"search: halving: study {plan.study.name} chooses by {metric}, which"
        if metric in task.seldom:
            raise BadInput(f"{where} runs of {name} have only at their end")
        if metric in OF_A_STEP or metric not in {**COMMON, **task.metrics}:
            raise BadInput(f"{where} is of an optimizer's step and not there where a run pauses")


def part_of(planned: Planned) -> tuple[str, float | None]:
    """A run, and the part of its steps to which it is to be trained; None for all."""
    return planned.run.id, planned.config["train"]["pause_at"]


def say_round(due: Sequence[Planned]) -> None:
    """A line for each part of their steps to which runs of a search are trained now."""
    for part, count in Counter(part_of(planned)[1] for planned in due).items():
        to = f"{part:.3g} of their steps" if part else "their ends"
        print(f"search: {count} runs to {to}", flush=True)


def make_sweep(
    study: Study, profile: str, data: str, overrides: Sequence[str], search: Any = None
) -> Sweep:
    """Plan a sweep, and check that it can be carried out.

    Args:
        study: which one.
        profile: one that it has.
        data: "full" or "sample".
        overrides: as typed, of every run and of Hydra's launcher.
        search: how to search, instead of as the study says.

    Raises:
        BadInput: an argument or the study is wrong.
        tasks.sources.DataError: there is no room for a run in memory.
    """
    run_overrides = [typed for typed in overrides if not is_hydras(typed)]
    study_plan = plan(study, profile, data, run_overrides, search)
    runs = [planned.run for planned in study_plan.runs]
    check_search(study_plan)
    launcher_overrides = [typed for typed in overrides if is_hydras(typed)]
    launcher_overrides += launcher_settings(overrides, runs[0].config, len(runs))
    check_writable(runs[0].config["paths"]["reports"], "paths.reports")
    check_ready(runs, trains_here(overrides))
    return Sweep(study_plan, list(overrides), launcher_overrides)
