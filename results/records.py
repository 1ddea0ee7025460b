"""Runs as they lie on disk, read only."""

import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from statistics import fmean
from types import MappingProxyType
from typing import Any

from results.files import read_json
from results.identity import place, run_id
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
            written = (self.folder / "metrics.jsonl").read_text("utf-8", "replace").split("\n")
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


def read(folder: Path, config: dict[str, Any] | None = None) -> Record | None:
    """The run in `folder`; None, with a warning, where its config.yaml cannot be trusted.

    What the run was asked for, `config`, stands in for a config.yaml that is gone from a run that
    has ended, where the reader knows it.
    """
    try:
        found = read_yaml(folder / "config.yaml")
        described = run_id(found)
    except FileNotFoundError:
        ended = (folder / "summary.json").exists()
        return Record(folder, config) if ended and config else None
    except (YamlError, KeyError, TypeError) as error:
        log.warning("%s is left out: its config.yaml cannot be read (%s)", folder, error)
        return None
    if described != folder.name:
        log.warning(
            "%s is left out: its config.yaml was changed and describes %s", folder, described
        )
        return None
    return Record(folder, found)


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
    records = {r.id: r for r in found if r and r.folder == root / place(r.config)}
    name_left_out(
        {r.folder for r in found if r} - {r.folder for r in records.values()},
        "not where config.yaml says that the run belongs; move it there, or remove a copy",
    )
    name_left_out(
        bare,
        "config.yaml is gone; the sweep or the scripts.train that made the run writes it anew",
    )
    return records


def name_left_out(folders: set[Path], why: str) -> None:
    """Warn in one line, however many there are."""
    if folders:
        first, *others = sorted(folders)
        more = f" and {len(others)} more are" if others else " is"
        log.warning("%s%s left out: %s", first, more, why)


def parse(line: str) -> dict[str, Any] | None:
    try:
        return json.loads(line)
    except ValueError:
        return None
