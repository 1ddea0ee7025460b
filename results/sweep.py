"""All runs that a study still misses, and what is rendered from them."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine import interrupt
from engine.checks import BadInput
from engine.dashboards import say_not_logged
from engine.launch import (
    check_writable,
    draws_in_place,
    launcher_settings,
    release_workers,
    say_how,
    trains_here,
)
from engine.make import meta_task
from engine.metrics import COMMON, OF_A_STEP
from engine.overrides import is_hydras
from engine.overview import Overview, watching
from engine.ready import check_ready, prepare
from engine.rounds import run_all
from engine.run import Run
from results.analysis import Result
from results.dashboards import with_names
from results.live import LivePage
from results.plan import Plan, once, plan
from results.planner import Planned
from results.search import Search
from results.study import Study
from results.write import current_files, hash_of, write_page, write_swept


@dataclass(frozen=True)
class Sweep:
    """A study's runs, checked, and how they are launched.

    Attributes:
        overrides: as typed, of every run.
        launcher_overrides: those of Hydra itself, for its launcher.
        search: that stands in the place of the study's own, as it was given.
    """

    plan: Plan
    overrides: list[str]
    launcher_overrides: list[str]
    search: Any = None

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
        name = self.plan.study.name
        print(f"{name}: {runs}", flush=True)
        say_not_logged([planned.run for planned in self.plan.runs], self.overrides, name)
        return train_due([self.plan], self.overrides, self.launcher_overrides, self.live_page)

    def live_page(self, progress: Callable[[], int]) -> LivePage:
        """The page over all runs while these go on."""
        shared = [typed for typed in self.overrides if not is_hydras(typed)]
        study, profile = self.plan.study.name, self.plan.profile
        return LivePage([study, profile, self.plan.data, shared, self.search], progress)

    def write_page(self) -> Path:
        """Write the page alone, over the runs that there are; return its path.

        Raises:
            OSError: it could not be written.
        """
        result, source = self.read()
        paths = self.plan.runs[0].config["paths"]
        return write_page(self.plan, result, source, Path(paths["runs"]), Path(paths["reports"]))

    def read(self) -> tuple[Result, str]:
        """What the table says, and the hash of the files that it was made from."""
        source = hash_of(Path(self.plan.runs[0].config["paths"]["runs"]))
        return self.plan.read(), source

    def rendered(self) -> tuple[str, list[Path], Path] | None:
        """Its tables as text, its files and the page; None unless all of them are current."""
        paths = self.plan.runs[0].config["paths"]
        reports = Path(paths["reports"])
        files, page = current_files(self.plan, hash_of(Path(paths["runs"])), reports)
        texts = [path for path in files if path.suffix == ".md"]
        return (texts[0].read_text(encoding="utf-8"), files, page[0]) if texts and page else None

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
    plans: Sequence[Plan],
    overrides: Sequence[str],
    launcher_overrides: list[str],
    live_page: Callable[[Callable[[], int]], LivePage] | None = None,
) -> list[Run]:
    """Train, round by round, what the searches of some plans ask for, side by side.

    Args:
        plans: which.
        overrides: as typed.
        launcher_overrides: those of Hydra itself, for its launcher.
        live_page: makes the page that is written meanwhile, if one is.

    Returns:
        All runs that were asked for, when all of them are done or have failed in this call.
    """
    asked: dict[str, Run] = {}
    tried: set[tuple[str, float | None]] = set()

    def due_now() -> list[Planned]:
        # What has failed in this call is not tried again, and its row goes no further.
        due = once(planned for plan in plans for planned in plan.due()[0])
        return [planned for planned in due if part_of(planned) not in tried]

    planned_of_all = once(planned for plan in plans for planned in plan.runs)
    due = due_now()
    if due:
        from engine.job import job  # imports torch

        say_how(overrides, due[0].config, len(due))
    while due and not interrupt.received():
        asked |= {planned.run.id: planned.run for planned in due}
        shown = due
        if any(plan.study.search != Search() for plan in plans):
            say_round(due)
        else:
            shown = planned_of_all
        with interrupt.forwarding_to_workers(), overseen(shown, overrides, live_page):
            run_all(job, launcher_overrides, with_names(due, planned_of_all))
        tried |= {part_of(planned) for planned in due}
        due = due_now()
    if asked:
        release_workers(overrides)
    return list(asked.values())


@contextmanager
def overseen(
    runs: Sequence[Planned],
    overrides: Sequence[str],
    live_page: Callable[[Callable[[], int]], LivePage] | None,
) -> Iterator[None]:
    """In the block, show how far the runs are, and keep the page up to date."""
    overview = Overview([planned.run for planned in runs], draws_in_place(overrides))
    page = live_page(lambda: overview.ended) if live_page else None
    try:
        with watching(overview.look, *([page.look] if page else [])):
            yield
    finally:
        overview.clear()
        if page:
            page.stop()


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
    if launcher_overrides or study_plan.due()[0]:
        launcher_overrides += launcher_settings(overrides, runs[0].config, len(runs))
    check_writable(runs[0].config["paths"]["reports"], "paths.reports")
    check_ready(runs, trains_here(overrides))
    return Sweep(study_plan, list(overrides), launcher_overrides, search)
