"""The run of each cell of a study: its overrides and its config."""

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from engine import search_path
from engine.checks import BadInput
from engine.config import compose_unresolved
from engine.hydra_internals import Override
from engine.make import check_classes
from engine.overrides import is_change, name_of, read_override
from engine.run import Run
from engine.signatures import check_signatures
from engine.templates import Template
from engine.texts import shorten
from results.searching import key_of
from results.study import Cell, Study

# What was composed, by the overrides that it was composed from.
Shelf = dict[tuple[str, ...], Template]


@dataclass(frozen=True)
class Planned:
    """A cell of a study, and the overrides and the config of its run."""

    cell: Cell
    overrides: list[str]
    config: dict[str, Any]

    @cached_property
    def run(self) -> Run:
        return Run(self.config["paths"]["runs"], self.config)

    def until(self, part: float | None) -> "Planned":
        """The same run, which is to pause after that part of its steps."""
        if part is None:
            return self
        train = self.config["train"] | {"pause_at": part}
        overrides = [*self.overrides, f"train.pause_at={part!r}"]
        return Planned(self.cell, overrides, self.config | {"train": train})


class Planner:
    """Plans cells of a study one by one.

    Composing is slow, and cells that choose the same files of conf/ differ only in values.

    Args:
        study: whose cells.
        profile: of the runs.
        shared: overrides of every run.
        shelf: as for `plan`.
        trains: whether runs that have not ended may be trained, and their classes are asked what
            they take: those of a run that has ended were when it began.
    """

    def __init__(
        self,
        study: Study,
        profile: str,
        shared: Sequence[str],
        shelf: Shelf | None = None,
        trains: bool = True,
    ):
        self.study = study
        self.profile = profile
        self.shared = list(shared)
        self.trains = trains
        self._shelf: Shelf = {} if shelf is None else shelf
        # Of the keys that a cell sets, those that choose files.
        self._choices: dict[tuple[str, ...], set[str]] = {}
        self._checked: set[tuple[str, str]] = set()
        self._planned: dict[tuple[Any, ...], Planned] = {}

    def planned(self, cell: Cell) -> Planned:
        """Raise BadInput where the config is wrong, or contradicts the study."""
        key = (*key_of(cell), cell.seed)
        if key not in self._planned:
            self._planned[key] = self._plan(cell)
        return self._planned[key]

    def _plan(self, cell: Cell) -> Planned:
        keys = tuple(cell.settings)
        if keys not in self._choices:
            refuse_contradiction(self.study, keys, self.shared)
            self._choices[keys] = {key for key in keys if is_choice(as_typed(key))}
        chosen = self._choices[keys]
        typed = dict(zip(cell.settings, cell.overrides, strict=True))
        composed_from = (*(typed[key] for key in typed if key in chosen), *self.shared)
        if composed_from not in self._shelf:
            self._shelf[composed_from] = Template(compose_unresolved(composed_from))
        values = {key: value for key, value in cell.settings.items() if key not in chosen}
        overrides = [*cell.overrides, *self.shared, f"profile={self.profile}"]
        config = self._shelf[composed_from].config(values | {"profile": self.profile}, overrides)
        planned = Planned(cell, overrides, config)
        if self.trains and not planned.run.ended:
            self._check(planned)
        return planned

    def _check(self, planned: Planned) -> None:
        """Raise BadInput where a class does not take what the config has for it."""
        check_signatures(planned.config)
        place = (planned.cell.row, planned.cell.column)
        if place not in self._checked:
            check_classes(planned.config)
            self._checked.add(place)


def as_typed(key: str) -> Override:
    """How Hydra reads a key that a study sets, whatever its value."""
    return read_override(f"{key}=0")


def is_choice(override: Override) -> bool:
    """Whether Hydra must compose again for it: optim, optim@task.reference, a key that is added."""
    return not is_change(override) or search_path.find(override.key_or_group) is not None


def refuse_contradiction(study: Study, keys: Iterable[str], shared: Sequence[str]) -> None:
    """Raise BadInput where an override is of what a study sets itself."""
    for set_key, shared_typed in itertools.product(keys, shared):
        cell_override, shared_override = as_typed(set_key), read_override(shared_typed)
        cell_key, shared_key = name_of(cell_override), name_of(shared_override)
        # One may lie in the other, as optim.betas.1 in optim.betas, but not in a file's choice.
        within = f"{cell_key}.".startswith(f"{shared_key}.") or f"{shared_key}.".startswith(
            f"{cell_key}."
        )
        if cell_key == shared_key or (
            within and not is_choice(cell_override) and not is_choice(shared_override)
        ):
            raise BadInput(f"{shorten(shared_typed)}: study {study.name} sets {cell_key} itself")
