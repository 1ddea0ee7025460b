"""The records of runs on disk, read only."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from statistics import fmean
from types import MappingProxyType
from typing import Any

from engine.identity import run_path
from engine.record_files import (
    Damaged,
    read_config,
    read_environment,
    read_lines,
    read_losses,
    read_pauses,
    read_summary,
)

log = logging.getLogger("adamily")

Curve = tuple[list[int], list[float | None]]


@dataclass(frozen=True)
class Record:
    """One run's folder: its config, and the results that it has so far."""

    folder: Path
    config: dict[str, Any]

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
        """metrics.jsonl; of a run that has not ended, without a last line that is incomplete."""
        return read_lines(self.folder, self.summary)

    @cached_property
    def curves(self) -> dict[str, Curve]:
        """Steps and values of each metric."""
        curves: dict[str, Curve] = {}
        for line in self.lines:
            for name in line.keys() - {"step"}:
                steps, values = curves.setdefault(name, ([], []))
                steps.append(line["step"])
                values.append(line[name])
        return curves

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
    read_or_known = read_config(folder)
    if read_or_known is None and (folder / "summary.json").exists():
        read_or_known = config
    if read_or_known is None:
        return None
    record = Record(folder, read_or_known)
    # Read all files now, so that damage is noticed here and not later.
    _ = record.summary, record.environment, record.lines, record.losses, record.pauses
    return record


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
    known = {"summary": summary, "environment": environment, "lines": lines, "pauses": pauses}
    vars(record).update(known, losses=([], []))
    return record


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
    maybe = [read(folder, known.get(folder)) for folder in folders if folder not in lost]
    readable = [record for record in maybe if record]
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
