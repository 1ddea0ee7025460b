"""Studies and the runs that they stand for."""

import itertools
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from engine import search_path
from engine.checks import SOURCES, BadInput
from engine.config import Composed, compose_unresolved, names, resolve_and_check, unknown
from engine.hydra_internals import Override
from engine.identity import DECIDES_OUTCOME
from engine.make import check_classes
from engine.overrides import is_change, name_of, parts_of, read_override
from engine.records import Record, read
from engine.run import Run
from engine.texts import shorten
from results.analysis import Result, analyse
from results.study import Cell, Study, StudyError
from results.study_file import load

log = logging.getLogger("adamily")


def find(name: str) -> Study:
    """The study `conf/study/<name>.yaml`.

    Raises:
        BadInput: there is none, or its YAML is wrong.
    """
    if name not in names("study"):
        raise BadInput(unknown("study", name, names("study")))
    try:
        return load(name, [folder / "study" for folder in search_path.folders()])
    except StudyError as error:
        raise BadInput(str(error)) from error


def all_studies() -> list[Study]:
    """The studies that there are; one whose YAML is wrong is named in a warning and left out."""
    studies = []
    for name in names("study"):
        try:
            studies.append(find(name))
        except BadInput as error:
            log.warning("study %s is left out: %s", name, error)
    return studies


@dataclass(frozen=True)
class Planned:
    """A cell of a study, and the overrides and the config of its run."""

    cell: Cell
    overrides: list[str]
    config: dict[str, Any]

    @cached_property
    def run(self) -> Run:
        return Run(self.config["paths"]["runs"], self.config)


@dataclass(frozen=True)
class Plan:
    """All runs that a study asks for.

    Attributes:
        profile: the study's; that of its runs is "custom" where there are `changes`.
        changes: overrides of what decides the outcome of a run.
    """

    study: Study
    profile: str
    data: str
    changes: tuple[str, ...]
    runs: list[Planned]

    def result(self, records: Mapping[str, Record]) -> Result:
        """What the study's table says, given the records of its runs, by id."""
        recorded_cells = [(planned.cell, records.get(planned.run.id)) for planned in self.runs]
        return analyse(self.study, self.profile, self.data, recorded_cells, self.changes)


def read_planned(study_plan: Plan) -> dict[str, Record]:
    """The records of a plan's runs, as far as there are any, by id."""
    records = (read(planned.run.folder, planned.config) for planned in study_plan.runs)
    return {record.id: record for record in records if record}


def plan(study: Study, profile: str, data: str, shared: Sequence[str] = ()) -> Plan:
    """The runs of a study.

    Args:
        study: which one.
        profile: one that it has.
        data: "full" or "sample".
        shared: overrides of every run, of keys that the study does not set.

    Raises:
        BadInput: the study has no such profile, `shared` contradicts it, or a config is wrong.
    """
    if data not in SOURCES:
        raise BadInput(f"data={data}: must be one of {', '.join(SOURCES)}")
    try:
        cells = study.cells(profile, data)
    except StudyError as error:
        raise BadInput(str(error)) from error
    changes = tuple(
        typed for typed in shared if parts_of(read_override(typed)) & {*DECIDES_OUTCOME}
    )
    try:
        planner = Planner(study, "custom" if changes else profile, shared)
        runs = [planner.planned(cell) for cell in cells]
    except BadInput as error:
        if shared:
            plan(study, profile, data)  # a mistake of the study itself names the study
            raise
        raise BadInput(f"{study.name}.yaml: {error}") from error
    return Plan(study, profile, data, changes, runs)


def result_of(
    study: Study, profile: str, data: str, records: Mapping[str, Record], shared: Sequence[str]
) -> Result:
    """The same as `plan(…).result(records)`, without planning cells that no record can be of.

    Args:
        study: which one.
        profile: one that it has.
        data: "full" or "sample".
        records: of runs, by id.
        shared: overrides of every run that do not change its outcome.

    Raises:
        BadInput: a config is wrong.
    """
    planner = Planner(study, profile, shared)
    chosen_names = [record.config["names"] for record in records.values()]
    task_optim_pairs = {(names["task"], names["optim"]) for names in chosen_names}

    def record_of(cell: Cell) -> Record | None:
        settings = cell.settings
        if any(
            settings.get("task", task) == task and settings.get("optim", optim) == optim
            for task, optim in task_optim_pairs
        ):
            return records.get(planner.planned(cell).run.id)
        return None

    recorded_cells = [(cell, record_of(cell)) for cell in study.cells(profile, data)]
    return analyse(study, profile, data, recorded_cells)


class Planner:
    """Plans cells of a study one by one.

    Composing is slow, and cells that choose the same files of conf/ differ only in values.
    """

    def __init__(self, study: Study, profile: str, shared: Sequence[str]):
        self.study = study
        self.profile = profile
        self.shared = list(shared)
        self._composed: dict[tuple[str, ...], Composed] = {}
        self._checked: set[tuple[str, str]] = set()

    def planned(self, cell: Cell) -> Planned:
        """Raise BadInput where the config is wrong, or contradicts the study."""
        refuse_contradiction(self.study, cell, self.shared)
        shared = [*self.shared, f"profile={self.profile}"]
        overrides = [*cell.overrides, *shared]
        choices = tuple(typed for typed in cell.overrides if is_choice(read_override(typed)))
        if choices not in self._composed:
            self._composed[choices] = compose_unresolved([*choices, *shared])
        typed_settings = zip(cell.overrides, cell.settings.items(), strict=True)
        values = dict(setting for typed, setting in typed_settings if typed not in choices)
        config = resolve_and_check(
            self._composed[choices], values | {"profile": self.profile}, overrides
        )
        if (cell.row, cell.column) not in self._checked:
            check_classes(config)
            self._checked.add((cell.row, cell.column))
        return Planned(cell, overrides, config)


def is_choice(override: Override) -> bool:
    """Whether Hydra must compose again for it: optim, optim@task.reference, a key that is added."""
    return not is_change(override) or search_path.find(override.key_or_group) is not None


def refuse_contradiction(study: Study, cell: Cell, shared: Sequence[str]) -> None:
    for cell_typed, shared_typed in itertools.product(cell.overrides, shared):
        cell_override, shared_override = read_override(cell_typed), read_override(shared_typed)
        cell_key, shared_key = name_of(cell_override), name_of(shared_override)
        # One may lie in the other, as optim.betas.1 in optim.betas, but not in a file's choice.
        within = f"{cell_key}.".startswith(f"{shared_key}.") or f"{shared_key}.".startswith(
            f"{cell_key}."
        )
        if cell_key == shared_key or (
            within and not is_choice(cell_override) and not is_choice(shared_override)
        ):
            raise BadInput(f"{shorten(shared_typed)}: study {study.name} sets {cell_key} itself")
