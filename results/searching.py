"""How far a study's search has come, and what it trains next, from the records of its runs alone.

A search is asked again after each round of runs, so that one that was stopped goes on where it was.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from statistics import fmean
from typing import NamedTuple

from engine.checks import BadInput, is_number
from engine.record_files import ENDED, pause_name
from engine.records import Record
from engine.texts import hydra_text
from results.search import Extend, next_value
from results.study import Cell, Select, Settings, Study, product

Look = Callable[[Cell], Record | None]


class Due(NamedTuple):
    """A run that is to be trained now, to the end or until a part of its steps is done."""

    cell: Cell
    until: float | None


@dataclass
class SearchState:
    """What a search has come to.

    Attributes:
        cells: all runs that it has asked for so far, in the order of the table.
        due: those that are not done yet.
        cut: rows and points, as `key_of` names them, that go no further.
    """

    cells: list[Cell] = field(default_factory=list)
    due: list[Due] = field(default_factory=list)
    cut: set[tuple[str, ...]] = field(default_factory=set)


def key_of(cell: Cell) -> tuple[str, ...]:
    return cell.row, cell.column, *map(hydra_text, cell.point.values())


def search_state(study: Study, profile: str, data: str, look: Look) -> SearchState:
    """What the search of every row in every column has come to.

    Args:
        study: which one.
        profile: one that it has.
        data: "full" or "sample".
        look: the record of a cell's run, or None.
    """
    whole = SearchState()
    for column, row in study.pairs(profile):
        one = RowSearch(study, profile, data, row, column, look)
        points, due, cut = one.search()
        whole.cells += [cell for cells in points for cell in cells]
        whole.cut |= {key_of(cells[0]) for cells in cut}
        if not due and study.confirm_count(profile):
            fresh = one.confirming([cells for cells in points if cells not in cut])
            whole.cells += fresh
            due = one.open(fresh)
        whole.due += due
    return whole


@dataclass(frozen=True)
class RowSearch:
    """The search of a row in a column."""

    study: Study
    profile: str
    data: str
    row: str
    column: str
    look: Look

    def search(self) -> tuple[list[list[Cell]], list[Due], list[list[Cell]]]:
        """The runs of each point so far; those that are due; the points that go no further."""
        points = [self.cells(p) for p in self.study.points(self.profile, self.row, self.column)]
        search = self.study.search
        if search.halving:
            return self.halved(points, search.halving.fractions, search.halving.eta)
        if search.extend:
            points = self.extended(points, search.extend)
        return points, self.open([cell for cells in points for cell in cells]), []

    def cells(self, point: Settings) -> list[Cell]:
        return self.study.cells_of(self.profile, self.data, self.row, self.column, point)

    def open(self, cells: Sequence[Cell], until: float | None = None) -> list[Due]:
        """Those of the runs that are not done."""
        return [Due(cell, until) for cell in cells if not self.is_done(cell, until)]

    def is_done(self, cell: Cell, until: float | None) -> bool:
        record = self.look(cell)
        if record is None:
            return False
        return record.status in ENDED or (until is not None and pause_name(until) in record.pauses)

    # -- halving -----------------------------------------------------------------------------------

    def halved(
        self, points: list[list[Cell]], fractions: Sequence[float], eta: float
    ) -> tuple[list[list[Cell]], list[Due], list[list[Cell]]]:
        alive, due = points, []
        for fraction in fractions:
            if math.ceil(len(alive) / eta) == len(alive):
                continue  # nothing to choose
            if due := self.open([cell for cells in alive for cell in cells], fraction):
                break
            ranked = sorted(alive, key=lambda cells: self.rank(cells, fraction))
            kept = ranked[: math.ceil(len(ranked) / eta)]
            alive = [cells for cells in alive if cells in kept]
        else:
            due = self.open([cell for cells in alive for cell in cells])
        return points, due, [cells for cells in points if cells not in alive]

    def rank(self, cells: Sequence[Cell], fraction: float | None) -> tuple[float, float]:
        """As `analysis.choose` ranks points, by what their runs were worth after a part of them."""
        values = [self.worth(cell, fraction) for cell in cells]
        known = [value for value in values if value is not None]
        if not known:
            return math.inf, math.inf
        sign = 1 if self.study.select.mode == "min" else -1
        lost = (len(values) - len(known)) * (-1 if self.study.select.worst else 1)
        return lost, sign * fmean(known)

    def worth(self, cell: Cell, fraction: float | None) -> float | None:
        record = self.look(cell)
        assert record is not None
        return worth(record, self.study.select, fraction)

    # -- past the edge -----------------------------------------------------------------------------

    def extended(self, points: list[list[Cell]], extend: Extend) -> list[list[Cell]]:
        """The points, and those that follow at an edge where the best one lies."""
        grid = dict(self.study.grid_of(self.profile, self.row, self.column))
        for _ in range(extend.times):
            if not points or self.open([cell for cells in points for cell in cells]):
                break
            if not any(self.rank(cells, None)[0] < math.inf for cells in points):
                break
            best = min(points, key=lambda cells: self.rank(cells, None))[0].point
            wider = {k: v for k in grid if (v := self.wider(k, grid[k], best, extend)) is not None}
            if not wider:
                break
            grid |= wider
            wanted = [self.cells(point) for point in product(grid)]
            new = [cells for cells in wanted if cells not in points]
            if not self.allowed(new):
                break
            points = points + new
        return points

    def wider(self, key: str, values: list, best: Settings, extend: Extend) -> list | None:
        """The values of a key and the next one, where the best is the first or the last."""
        if (extend.keys is not None and key not in extend.keys) or len(values) < 2:
            return None
        if not all(map(is_number, values)) or best[key] not in (min(values), max(values)):
            return None
        above = best[key] == max(values)
        value = next_value(values, above)
        if not self.allowed([self.cells(best | {key: value})]):
            return None
        return [*values, value] if above else [value, *values]

    def allowed(self, points: Sequence[list[Cell]]) -> bool:
        """Whether configs can have the values, which end somewhere, as betas do before 1."""
        try:
            for cells in points:
                self.look(cells[0])
        except BadInput:
            return False
        return True

    # -- confirmation ------------------------------------------------------------------------------

    def confirming(self, points: list[list[Cell]]) -> list[Cell]:
        """Fresh seeds of the best point; none where no point has a value."""
        ranks = [self.rank(cells, None) for cells in points]
        if not ranks or min(ranks)[0] == math.inf:
            return []
        best = points[ranks.index(min(ranks))][0]
        return self.study.confirming(self.profile, self.data, best)


def worth(record: Record, select: Select, fraction: float | None) -> float | None:
    """The metric by which the study chooses; None of a run that has diverged by then.

    At a pause it is of that step alone, also where the study takes the mean of several evaluations.
    A run that was further, or had ended, before it was asked to pause has its evaluations up to
    there instead, or else its first one.
    """
    if fraction is None:
        if record.status != "finished":
            return None
        values = record.values(select.metric, select.at, select.evaluations)
        return fmean(values) if values else None
    pause = record.pauses.get(pause_name(fraction))
    until = math.ceil(fraction * (pause or record.summary)["steps"])
    if pause and pause["step"] == until:
        if select.at == "best":
            return pause["best"].get(select.metric, {}).get("value")
        return pause["final"].get(select.metric)
    if record.status == "diverged" and record.summary["diverged_at"] <= until:
        return None
    steps, values = record.curves.get(select.metric, ([], []))
    seen = [v for s, v in zip(steps, values, strict=True) if s <= until] or values[:1]
    known = [value for value in seen if value is not None]
    if not known:
        return None
    pick = {"min": min, "max": max}[select.mode]
    return pick(known) if select.at == "best" else known[-1]
