"""Studies and the runs that they stand for."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from results.analysis import Result, analyse
from results.identity import DECIDES_OUTCOME
from results.records import Record, read
from results.run import Run
from results.study import Cell, Study, StudyError, load
from scripts.checks import SOURCES, BadInput, check_values
from scripts.config import CONF, compose, names, unknown


def find(name: str) -> Study:
    """The study `conf/study/<name>.yaml`.

    Raises:
        BadInput: there is none, or its YAML is wrong.
    """
    if name not in names("study"):
        raise BadInput(unknown("study", name, names("study")))
    try:
        return load(name, CONF / "study")
    except StudyError as error:
        raise BadInput(str(error)) from error


def all_studies() -> list[Study]:
    return [find(name) for name in names("study")]


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
        profile: "custom" where `changes` makes it another experiment than the study's profile.
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

    def read_result(self) -> Result:
        """The same, from the runs' folders."""
        found = (read(planned.run.folder) for planned in self.runs)
        return self.result({record.id: record for record in found if record})


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
    changes = tuple(override for override in shared if key_of(override) in DECIDES_OUTCOME)
    label = "custom" if changes else profile
    composed: dict[tuple[str, str], dict[str, Any]] = {}
    runs = []
    for cell in cells:
        refuse_contradiction(study, cell, shared)
        overrides = [*cell.overrides, *shared, f"profile={label}"]
        # Composing takes Hydra 30 ms, and the cells of one row differ in a few values only.
        place = (cell.row, cell.column)
        if place not in composed:
            composed[place] = compose(overrides)
        config = with_values(composed[place], cell.point | {"seed": cell.seed})
        check_values(config)
        runs.append(Planned(cell, overrides, config))
    return Plan(study, label, data, changes, runs)


def key_of(override: str) -> str:
    """The first part of an override's key: "task" for task.steps=2."""
    return re.split(r"[.=@]", override.lstrip("+~"), maxsplit=1)[0]


def refuse_contradiction(study: Study, cell: Cell, shared: Sequence[str]) -> None:
    for override in shared:
        key = override.lstrip("+~").partition("=")[0]
        if key in cell.settings:
            raise BadInput(f"{override}: study {study.name} sets {key} itself")


def with_values(config: dict[str, Any], values: dict[str, Any]) -> dict[str, Any]:
    """A copy of `config` with some dotted keys set."""
    changed = dict(config)
    for key, value in values.items():
        node = changed
        *path, leaf = key.split(".")
        for part in path:
            node[part] = dict(node[part])
            node = node[part]
        node[leaf] = value
    return changed
