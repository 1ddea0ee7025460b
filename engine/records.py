"""The records of runs on disk, read only."""

import logging
from array import array
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from statistics import fmean
from types import MappingProxyType
from typing import Any

from engine.identity import run_id, run_path
from engine.record_files import (
    Damaged,
    has_hash,
    read_config,
    read_environment,
    read_lines,
    read_losses,
    read_pauses,
    read_summary,
)

log = logging.getLogger("adamily")

# Steps and values.
Curve = tuple[Sequence[int], Sequence[float | None]]


@dataclass(frozen=True)
class Record:
    """One run's folder: its config, and the results that it has so far."""

    folder: Path
    config: dict[str, Any]

    @classmethod
    def of_ended(cls, folder: Path, config: dict[str, Any], summary: dict[str, Any]) -> "Record":
        """That of a run whose files were found whole, and whose summary was read then."""
        record = cls(folder, config)
        vars(record).update(summary=summary)
        return record

    @property
    def id(self) -> str:
        return self.folder.name

    @cached_property
    def summary(self) -> dict[str, Any]:
        """summary.json, empty while the run has not ended."""
        return read_summary(self.folder) or {}

    @property
    def status(self) -> str:
        """finished, diverged, failed or unfinished."""
        return self.summary.get("status", "unfinished")

    @cached_property
    def environment(self) -> dict[str, Any]:
        return read_environment(self.folder, self.summary)

    @cached_property
    def pauses(self) -> dict[str, Any]:
        """What the run was worth where it paused, by the part of its steps."""
        return read_pauses(self.folder)

    @cached_property
    def lines(self) -> list[dict[str, Any]]:
        """metrics.jsonl; of a run that has not ended, without a last line that is incomplete.

        Of runs by the thousand, curves take a tenth of the memory.
        """
        return lines_of(self.curves)

    @cached_property
    def curves(self) -> dict[str, Curve]:
        """Steps and values of each metric."""
        return curves_of(read_lines(self.folder, self.summary))

    @cached_property
    def losses(self) -> Curve:
        """Steps and training losses of the single steps that the run has kept."""
        return read_losses(self.folder, self.summary)

    def value(self, metric: str, at: str = "last") -> float | None:
        """A metric's value at the last evaluation, or the best of all; None where there is none."""
        if at == "last":
            return self.summary.get("final", {}).get(metric)
        return self.summary.get("best", {}).get(metric, {}).get("value")

    def value_at_best_of(self, metric: str, other: str) -> float | None:
        """A metric's value at the evaluation at which another one was best."""
        best = self.summary.get("best", {}).get(other, {}).get("step")
        return dict(zip(*self.curves.get(metric, ([], [])), strict=True)).get(best)

    def values(self, metric: str, at: str, evaluations: int = 1) -> list[float]:
        """As `value`, a list, with one value for each trial where the last evaluation has them.

        With more `evaluations`, the mean over that many at the end, or over all if there are fewer.
        """
        if evaluations > 1:
            _, values = self.curves.get(metric, ([], []))
            numbers = [value for value in values[-evaluations:] if value is not None]
            return [fmean(numbers)] if numbers else []
        if at == "last" and metric in self.summary.get("trials", {}):
            return self.summary["trials"][metric]
        value = self.value(metric, at)
        return [] if value is None else [value]


def read(folder: Path, config: dict[str, Any] | None = None) -> Record | None:
    """The run in `folder`; None, with a warning, where one of its files is damaged.

    If a run that has ended has lost its config.yaml, `config`, which the caller may know, is used
    in its place.
    """
    try:
        return load(folder, config)
    except Damaged as damage:
        log.warning("%s is left out: its %s %s; %s", *damage.args)
        return None


def load(folder: Path, config: dict[str, Any] | None = None) -> Record | None:
    """As `read`; None only where there is no run in `folder`.

    Raises:
        Damaged: one of its files is not what a run has written, or does not fit the others.
    """
    read_or_known = config if is_as_written(folder, config) else read_config(folder)
    if read_or_known is None and (folder / "summary.json").exists():
        read_or_known = config
    if read_or_known is None:
        return None
    record = Record(folder, read_or_known)
    # Read all files now, so that damage is noticed here and not later.
    _ = record.summary, record.environment, record.curves, record.losses, record.pauses
    return record


def is_as_written(folder: Path, config: dict[str, Any] | None) -> bool:
    """Whether a run's config is known, and its file is the one with which the run has ended.

    Parsing and checking the file takes longer than all the rest of a record.
    """
    if config is None or run_id(config) != folder.name:
        return False
    with suppress(Damaged):  # which is said of the summary in its turn
        return has_hash(folder / "config.yaml", read_summary(folder) or {})
    return False


def recalled(
    folder: Path,
    config: dict[str, Any],
    *,
    summary: dict[str, Any],
    environment: dict[str, Any],
    lines: list[dict[str, Any]],
    pauses: dict[str, Any],
) -> Record:
    """A record that is kept elsewhere: the folder, where its run would be, need not be there."""
    record = Record(folder, config)
    known = {"summary": summary, "environment": environment, "pauses": pauses}
    vars(record).update(known, curves=curves_of(lines), losses=([], []))
    return record


def curves_of(lines: Sequence[dict[str, Any]]) -> dict[str, Curve]:
    """The lines of metrics.jsonl by metric, in arrays where all values are fractions."""
    if lines and all(list(line) == list(lines[0]) for line in lines):
        columns = zip(*(line.values() for line in lines), strict=True)
        found = {name: list(column) for name, column in zip(lines[0], columns, strict=True)}
        steps = array("q", found.pop("step"))
        return {name: (steps, packed(values)) for name, values in found.items()}
    names = dict.fromkeys(name for line in lines for name in line if name != "step")
    curves = {}
    for name in names:
        has_it = [line for line in lines if name in line]
        steps = array("q", [line["step"] for line in has_it])
        curves[name] = (steps, packed([line[name] for line in has_it]))
    return curves


def packed(values: list[Any]) -> Sequence[Any]:
    return array("d", values) if set(map(type, values)) == {float} else values


def lines_of(curves: Mapping[str, Curve]) -> list[dict[str, Any]]:
    """The lines that have these curves."""
    lines: dict[int, dict[str, Any]] = {}
    for name, (steps, values) in curves.items():
        for step, value in zip(steps, values, strict=True):
            lines.setdefault(step, {"step": step})[name] = value
    return [lines[step] for step in sorted(lines)]


# -- the folder of runs ----------------------------------------------------------------------------


def read_all(
    root: Path, known: Mapping[Path, dict[str, Any]] = MappingProxyType({})
) -> dict[str, Record]:
    """All runs in the folder of runs, by id; runs in the wrong folder are left out.

    Args:
        root: the folder of runs.
        known: the configs of some folders' runs, used as by `read`.
    """
    files = ("config.yaml", "summary.json")
    folders = sorted({path.parent for name in files for path in root.glob(f"*/*/*/{name}")})
    lost = {path for path in folders if not (path / "config.yaml").exists()} - known.keys()
    maybe = (read(folder, known.get(folder)) for folder in folders if folder not in lost)
    parts: dict[str, Any] = {}
    readable = [sharing(record, parts) for record in maybe if record]
    records = {record.id: record for record in readable if belongs(record, root)}
    warn_left_out(
        {record.folder for record in readable} - {record.folder for record in records.values()},
        "not where config.yaml says that the run belongs; move it there, or remove a copy",
    )
    warn_left_out(
        lost,
        "config.yaml is gone; the sweep or the scripts.train that made the run writes it anew",
    )
    return records


def sharing(record: Record, parts: dict[str, Any]) -> Record:
    """The record, with those parts of its config that runs before it had, too, of which most are.

    Args:
        record: just read, whose config nobody else holds.
        parts: of configs so far, by their text.
    """
    for key, part in record.config.items():
        record.config[key] = parts.setdefault(repr(part), part)
    return record


def belongs(record: Record, root: Path) -> bool:
    """Whether a run is in the folder that its config implies."""
    try:
        return record.folder == root / run_path(record.config)
    except ValueError:
        return False


def warn_left_out(folders: set[Path], reason: str) -> None:
    """Warn about all of these folders in one line."""
    if folders:
        first, *others = sorted(folders)
        more = f" and {len(others)} more are" if others else " is"
        log.warning("%s%s left out: %s", first, more, reason)
