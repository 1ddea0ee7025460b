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
    found = []
    for name in names("study"):
        try:
            found.append(find(name))
        except BadInput as error:
            log.warning("study %s is left out: %s", name, error)
    return found


@dataclass(frozen=True)
class Planned:
    """A cell of a study, how its run is asked for, and the run's config."""

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
        """What the study's table says, given the runs that there are."""
        found = [(planned.cell, records.get(planned.run.id)) for planned in self.runs]
        return analyse(self.study, self.profile, self.data, found, self.changes)


def read_planned(planned: Plan) -> dict[str, Record]:
    """The runs of a plan that there are, by id."""
    found = (read(each.run.folder, each.config) for each in planned.runs)
    return {record.id: record for record in found if record}


def plan(study: Study, profile: str, data: str, shared: Sequence[str] = ()) -> Plan:
    """The runs of a study, with `shared` overriding what it does not say.

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
            plan(study, profile, data)  # so that what the study itself has wrong is laid to it
            raise
        raise BadInput(f"{study.name}.yaml: {error}") from error
    return Plan(study, profile, data, changes, runs)


def result_of(
    study: Study, profile: str, data: str, records: Mapping[str, Record], shared: Sequence[str]
) -> Result:
    """What `plan(…).result(records)` is, without planning what none of the records can be of.

    Args:
        study: which one.
        profile: one that it has.
        data: "full" or "sample".
        records: runs by id.
        shared: overrides that decide nothing of a run's outcome.

    Raises:
        BadInput: a config is wrong.
    """
    planner = Planner(study, profile, shared)
    names = [record.config["names"] for record in records.values()]
    pairs = {(chosen["task"], chosen["optim"]) for chosen in names}

    def record_of(cell: Cell) -> Record | None:
        said = cell.settings
        if any(said.get("task", t) == t and said.get("optim", o) == o for t, o in pairs):
            return records.get(planner.planned(cell).run.id)
        return None

    found = [(cell, record_of(cell)) for cell in study.cells(profile, data)]
    return analyse(study, profile, data, found)


class Planner:
    """Plans cells of a study one by one.

    Composing is slow, and cells that make the same choices differ only in values.
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
        said = zip(cell.overrides, cell.settings.items(), strict=True)
        values = dict(setting for typed, setting in said if typed not in choices)
        config = resolve_and_check(
            self._composed[choices], values | {"profile": self.profile}, overrides
        )
        if (cell.row, cell.column) not in self._checked:
            check_classes(config)
            self._checked.add((cell.row, cell.column))
        return Planned(cell, overrides, config)


def is_choice(override: Override) -> bool:
    """Whether Hydra must compose anew for it: optim, optim@task.reference, a key that is added."""
    return not is_change(override) or search_path.find(override.key_or_group) is not None


def refuse_contradiction(study: Study, cell: Cell, shared: Sequence[str]) -> None:
    for override, typed in itertools.product(cell.overrides, shared):
        own, other = read_override(override), read_override(typed)
        mine, key = name_of(own), name_of(other)
        # One may lie in the other, as optim.betas.1 in optim.betas, but not in a file's choice.
        within = f"{mine}.".startswith(f"{key}.") or f"{key}.".startswith(f"{mine}.")
        if mine == key or (within and not is_choice(own) and not is_choice(other)):
            raise BadInput(f"{shorten(typed)}: study {study.name} sets {mine} itself")
