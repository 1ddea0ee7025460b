"""Runs as they lie on disk, read only."""

import json
import logging
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from statistics import fmean
from typing import Any

from results.files import read_json
from results.identity import run_id
from results.yaml_files import YamlError, read_yaml

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
        return read_json(self.folder / "summary.json") or {}

    @property
    def status(self) -> str:
        """finished, diverged, failed or unfinished."""
        return self.summary.get("status", "unfinished")

    @cached_property
    def environment(self) -> dict[str, Any]:
        return read_json(self.folder / "environment.json") or {}

    @cached_property
    def lines(self) -> list[dict[str, Any]]:
        """metrics.jsonl; lines that a crash of the machine cut off or blanked are left out."""
        try:
            written = (self.folder / "metrics.jsonl").read_text(errors="replace").split("\n")
        except FileNotFoundError:
            return []
        read = [line for text in written[:-1] if (line := parse(text)) is not None]
        if len(read) < len(written) - 1:
            log.warning("%s: %s lines are damaged", self.folder, len(written) - 1 - len(read))
        return read

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

    def value(self, metric: str, at: str) -> float | None:
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


def read(folder: Path) -> Record | None:
    """The run in `folder`; None, with a warning, where its config.yaml cannot be trusted."""
    try:
        config = read_yaml(folder / "config.yaml")
        found = run_id(config)
    except FileNotFoundError:
        return None
    except (YamlError, KeyError, TypeError) as error:
        log.warning("%s is left out: its config.yaml cannot be read (%s)", folder, error)
        return None
    if found != folder.name:
        log.warning("%s is left out: its config.yaml was changed and describes %s", folder, found)
        return None
    return Record(folder, config)


def read_all(root: Path) -> dict[str, Record]:
    """All runs under the folder of runs, by id."""
    folders = sorted(path.parent for path in root.glob("*/*/*/config.yaml"))
    records: Iterable[Record | None] = map(read, folders)
    return {record.id: record for record in records if record is not None}


def parse(line: str) -> dict[str, Any] | None:
    try:
        return json.loads(line)
    except ValueError:
        return None
