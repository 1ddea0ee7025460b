"""Studies and the runs that they stand for."""

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from engine import search_path
from engine.checks import SOURCES, BadInput
from engine.config import names, unknown
from engine.identity import DECIDES_OUTCOME
from engine.overrides import is_change, name_of, parts_of, read_override
from engine.record_files import ENDED
from engine.records import Record
from engine.texts import did_you_mean, shorten, spell
from results.analysis import Result, analyse
from results.baselines import Baselines
from results.planner import Planned, Planner, Shelf
from results.search import parse
from results.searching import Look, SearchState, search_state
from results.study import Cell, Study, StudyError
from results.study_checks import check_grid, check_search
from results.study_file import load

log = logging.getLogger("adamily")

NO_BASELINES = Baselines({})


def find(name: str) -> Study:
    """The study `conf/study/<name>.yaml`.

    Raises:
        BadInput: there is none, or its YAML is wrong.
    """
    if name not in names("study"):
        raise BadInput(unknown("study", name, names("study")))
    return read_study(name)


def read_study(name: str) -> Study:
    """Raise BadInput where its YAML is wrong."""
    try:
        return load(name, [folder / "study" for folder in search_path.folders()])
    except StudyError as error:
        raise BadInput(str(error)) from error


def all_studies() -> list[Study]:
    """The studies that there are; one whose YAML is wrong is named in a warning and left out."""
    studies = []
    for name in names("study"):
        try:
            studies.append(read_study(name))
        except BadInput as error:
            log.warning("study %s is left out: %s", name, error)
    return studies


@dataclass(frozen=True)
class Plan:
    """The runs that a study's search begins with, and those to which it comes.

    Attributes:
        profile: the study's; that of its runs is "custom" where there are `changes`.
        changes: overrides of what decides the outcome of a run, and other values of the grid.
        search: the search that was asked for instead of the study's own, as typed; else "".
        runs: those that the search begins with.
        baselines: records that stand for runs that are not in the folder of runs.
    """

    study: Study
    profile: str
    data: str
    changes: tuple[str, ...]
    search: str
    runs: list[Planned]
    planner: "Planner"
    baselines: Baselines = NO_BASELINES

    def is_of(self, study: Study, profile: str, data: str) -> bool:
        """Whether these are the runs that the study itself asks for."""
        asked = (self.study.name, self.profile, self.data)
        return asked == (study.name, profile, data) and not self.changes and not self.search

    @property
    def blank(self) -> Result:
        """The result that has no rows yet: what it is called, and of what it is."""
        return Result(self.study, self.profile, self.data, [], self.changes, self.search)

    def result(self, records: Mapping[str, Record]) -> Result:
        """What the study's table says, given the records of its runs, by id."""
        return self._result(lambda cell: records.get(self.planner.planned(cell).run.id))

    def read(self) -> Result:
        """What it says now."""
        return self._result(self._looking())

    def due(self) -> tuple[list[Planned], int]:
        """The runs that the search asks for now, and how many of `runs` have ended.

        Those that are done are left out. All are read from their folders.
        """
        look = self._looking()
        due = once(self.planner.planned(cell).until(part) for cell, part in self._state(look).due)
        records = (look(planned.cell) for planned in self.runs)
        return due, sum(record is not None and record.status in ENDED for record in records)

    def _state(self, look: Look) -> SearchState:
        return search_state(self.study, self.profile, self.data, look)

    def _result(self, look: Look) -> Result:
        found = self._state(look)
        return analyse(self.study, self.profile, self.data, found, look, self.changes, self.search)

    def _looking(self) -> Look:
        """Reads each run's record once."""
        records: dict[str, Record | None] = {}

        def look(cell: Cell) -> Record | None:
            planned = self.planner.planned(cell)
            if planned.run.id not in records:
                found = planned.run.recorded()
                kept = self.baselines.record(planned.run.folder, planned.config)
                records[planned.run.id] = kept if found is None else found
            return records[planned.run.id]

        return look


def plan(
    study: Study,
    profile: str,
    data: str,
    shared: Sequence[str] = (),
    search: Any = None,
    shelf: Shelf | None = None,
    trains: bool = True,
) -> Plan:
    """The runs of a study.

    Args:
        study: which one.
        profile: one that it has.
        data: "full" or "sample".
        shared: overrides of every run, of keys that the study does not set; several values of a
            key stand in the place of its grid, in every row.
        search: how to search, instead of as the study says.
        shelf: shared by plans between which no YAML is edited; none by default.
        trains: as for `Planner`.

    Raises:
        BadInput: the study has no such profile, `shared` contradicts it, or a config is wrong.
    """
    if data not in SOURCES:
        meant = did_you_mean(data, SOURCES)
        raise BadInput(f"data={data}{meant}: must be one of {', '.join(SOURCES)}")
    if search is not None:
        study = with_search(study, search)
    grids = [typed for typed in shared if is_grid(typed, study)]
    shared = [typed for typed in shared if typed not in grids]
    study = study.with_grid(typed_grid(grids, study))
    try:
        cells = study.cells(profile, data)
    except StudyError as error:
        raise BadInput(str(error)) from error
    changes = tuple(
        typed for typed in shared if parts_of(read_override(typed)) & {*DECIDES_OUTCOME}
    )
    planner = Planner(study, "custom" if changes or grids else profile, shared, shelf, trains)
    plan_cell = planner.planned if grids else partial(planned_of, planner)
    runs = once(map(plan_cell, cells))
    typed_search = "" if search is None else spell(search)
    return Plan(study, profile, data, (*changes, *grids), typed_search, runs, planner)


def once(runs: Iterable[Planned]) -> list[Planned]:
    """The runs without those that are there before, as where two rows' grids share a point."""
    first: dict[tuple[str, float | None], Planned] = {}
    for planned in runs:
        first.setdefault((planned.run.id, planned.config["train"]["pause_at"]), planned)
    return list(first.values())


def with_search(study: Study, search: Any) -> Study:
    """The study with another search, of as many random points in every profile.

    Raises:
        BadInput: it is none, or none for this study.
    """
    spec = {name: getattr(study, name) for name in ("grid", "columns", "rows")}
    try:
        check_search(f"study {study.name}", spec | {"search": search, "confirm": 0})
    except StudyError as error:
        raise BadInput(str(error)) from error
    profiles = {
        label: {key: value for key, value in profile.items() if key != "random"}
        for label, profile in study.profiles.items()
    }
    return replace(study, search=parse(search), profiles=profiles)


def is_grid(typed: str, study: Study) -> bool:
    """Whether an override stands in the place of a grid: of several values, or of its key."""
    override = read_override(typed)
    several = override.is_sweep_override() or name_of(override) in study.keys
    return several and is_change(override)


def typed_grid(grids: Sequence[str], study: Study) -> dict[str, list[Any]]:
    """What overrides say that stand in the place of a grid.

    Raises:
        BadInput: a key or a value is there twice, or the study tries random points.
    """
    values: dict[str, list[Any]] = {}
    for typed in grids:
        key, new = values_of(typed)
        if study.search.random:
            raise BadInput(f"{shorten(typed)}: the study tries random points, and no grid")
        if key in values:
            raise BadInput(f"{shorten(typed)}: {key} is given twice")
        try:
            check_grid(shorten(typed), {key: new})
        except StudyError as error:
            raise BadInput(str(error)) from error
        values[key] = new
    return values


def values_of(typed: str) -> tuple[str, list[Any]]:
    """The key and the values of such an override.

    Raises:
        BadInput: its values cannot be listed, or the key is none that a grid can have.
    """
    override = read_override(typed)
    key = name_of(override)
    if key in ("task", "optim", "seed", "data", "profile"):
        raise BadInput(f"{shorten(typed)}: the study says which {key} its runs have")
    if not parts_of(override) & {*DECIDES_OUTCOME}:
        raise BadInput(f"{shorten(typed)}: must be one value: it does not change what a run learns")
    if not override.is_sweep_override():
        return key, [override.value()]
    if not override.is_discrete_sweep():
        raise BadInput(f"{shorten(typed)}: must list its values, as in optim.lr=1e-3,2e-3")
    texts = override.sweep_string_iterator()
    return key, [read_override(f"{key}={text}").value() for text in texts]


def planned_of(planner: "Planner", cell: Cell) -> Planned:
    """Raise BadInput that names the study where the mistake is the study's own."""
    try:
        return planner.planned(cell)
    except BadInput as error:
        if not planner.shared:
            raise BadInput(f"{planner.study.name}.yaml: {error}") from error
        planned_of(Planner(planner.study, planner.profile, ()), cell)
        raise


def result_of(
    study: Study,
    profile: str,
    data: str,
    records: Mapping[str, Record],
    shared: Sequence[str],
    shelf: Shelf | None = None,
) -> Result:
    """The same as `plan(…).result(records)`, without planning cells that no record can be of.

    Args:
        study: which one.
        profile: one that it has.
        data: "full" or "sample".
        records: of runs, by id.
        shared: overrides of every run that do not change its outcome.
        shelf: as for `plan`.

    Raises:
        BadInput: a config is wrong.
    """
    planner = Planner(study, profile, shared, shelf, trains=False)
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

    found = search_state(study, profile, data, record_of)
    return analyse(study, profile, data, found, record_of)
