"""Runs as they lie on disk, read only."""

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
    read_summary,
)

log = logging.getLogger("adamily")

Curve = tuple[list[int], list[float | None]]


@dataclass(frozen=True)
class Record:
    """One run's folder: its config, and what there is of its results."""

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
    def lines(self) -> list[dict[str, Any]]:
        """metrics.jsonl; of a run that has not ended, without a line that is not whole yet."""
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

    def value(self, metric: str, at: str = "last") -> float | None:
        """A metric at the last evaluation or the best of all; None where there is none."""
        if at == "last":
            return self.summary.get("final", {}).get(metric)
        return self.summary.get("best", {}).get(metric, {}).get("value")

    def values(self, metric: str, at: str, evaluations: int = 1) -> list[float]:
        """The same, one value for each trial where the run's last evaluation has them.

        With more `evaluations`, the mean over so many at the end, or over all that there were.
        """
        if evaluations > 1:
            _, values = self.curves.get(metric, ([], []))
            known = [value for value in values[-evaluations:] if value is not None]
            return [fmean(known)] if known else []
        if at == "last" and metric in self.summary.get("trials", {}):
            return self.summary["trials"][metric]
        value = self.value(metric, at)
        return [] if value is None else [value]


def read(folder: Path, config: dict[str, Any] | None = None) -> Record | None:
    """The run in `folder`; None, with a warning, where one of its files is damaged.

    What the run was asked for, `config`, stands in for a config.yaml that is gone from a run that
    has ended, where the reader knows it.
    """
    try:
        return load(folder, config)
    except Damaged as damage:
        log.warning("%s is left out: its %s %s; %s", *damage.args)
        return None


def load(folder: Path, config: dict[str, Any] | None = None) -> Record | None:
    """The run in `folder`, None where there is none, as `read`.

    Raises:
        Damaged: one of its files is not what a run has written, or not beside the others.
    """
    found = read_config(folder)
    if found is None:
        ended = (folder / "summary.json").exists()
        found = config if ended else None
    if found is None:
        return None
    record = Record(folder, found)
    # All of them now, so that no reader meets a damage later.
    _ = record.summary, record.environment, record.lines
    return record


# -- the folder of runs ----------------------------------------------------------------------------


def read_all(
    root: Path, known: Mapping[Path, dict[str, Any]] = MappingProxyType({})
) -> dict[str, Record]:
    """All runs in the folder of runs, by id; what lies where no run belongs is left out.

    Of some folders it may be `known` what their runs were asked for, as in `read`.
    """
    files = ("config.yaml", "summary.json")
    folders = sorted({path.parent for name in files for path in root.glob(f"*/*/*/{name}")})
    bare = {path for path in folders if not (path / "config.yaml").exists()} - known.keys()
    found = [read(folder, known.get(folder)) for folder in folders if folder not in bare]
    records = {r.id: r for r in found if r and belongs(r, root)}
    name_left_out(
        {r.folder for r in found if r} - {r.folder for r in records.values()},
        "not where config.yaml says that the run belongs; move it there, or remove a copy",
    )
    name_left_out(
        bare,
        "config.yaml is gone; the sweep or the scripts.train that made the run writes it anew",
    )
    return records


def belongs(record: Record, root: Path) -> bool:
    """Whether a run lies where its config says."""
    try:
        return record.folder == root / run_path(record.config)
    except ValueError:
        return False


def name_left_out(folders: set[Path], why: str) -> None:
    """Warn in one line, however many there are."""
    if folders:
        first, *others = sorted(folders)
        more = f" and {len(others)} more are" if others else " is"
        log.warning("%s%s left out: %s", first, more, why)
