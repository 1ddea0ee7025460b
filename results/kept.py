"""Runs as they are kept with a table: a compact file that tables, figures and page are made from.

A file `<paper>/<study>.<profile>.<data>.jsonl.xz` has a line of JSON for each run: the study that
asked for it, its id, identity, summary and environment, what it was worth where it paused, and its
curves, thinned. Files from before that, `.jsonl`, have neither pauses nor curves nor the values of
single trials.
"""

import json
import lzma
import re
from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from engine.checks import BadInput
from engine.identity import identity
from engine.records import Curve, Record, recalled
from results.analysis import Result
from results.study import Select

if TYPE_CHECKING:
    from results.plan import Plan

NEW, OLD = ".jsonl.xz", ".jsonl"

# So many points of a curve, and more where a file has few curves, up to about so many values.
POINTS, MOST_POINTS, VALUES = 60, 300, 20_000
# Of the values of curves that are drawn alone, and of trials, from which intervals are made.
DIGITS, TRIAL_DIGITS = 5, 8
# A file with more values of trials, which take about 3 bytes each, has their means alone.
MOST_TRIALS = 100_000

OLD_NAME = re.compile(r"(?P<name>.+)\.(?P<profile>\w+?)(?:-(?P<search>\w+))?\.(?P<data>\w+)")


# -- writing ---------------------------------------------------------------------------------------


def pack(result: Result) -> bytes:
    """The content of a file with a result's runs, the same for the same runs."""
    asked = {
        "name": result.study.name,
        "profile": result.profile,
        "data": result.data,
        "changes": result.changes,
        "search": result.search,
    }
    trials = [record.summary.get("trials", {}) for record in result.records]
    with_trials = sum(len(values) for one in trials for values in one.values()) <= MOST_TRIALS
    count = sum(len(record.curves) for record in result.records)
    points = max(POINTS, min(MOST_POINTS, VALUES // max(count, 1)))
    lines = [
        json.dumps({"study": asked} | run_parts(record, result.study.select, points, with_trials))
        for record in result.records
    ]
    return lzma.compress("".join(f"{line}\n" for line in lines).encode(), preset=6)


def run_parts(record: Record, select: Select, points: int, with_trials: bool) -> dict[str, Any]:
    summary = {key: value for key, value in record.summary.items() if key != "sha256"}
    if "trials" in summary:
        kept = summary["trials"] if with_trials else {}
        rounded = {name: [short(v, TRIAL_DIGITS) for v in values] for name, values in kept.items()}
        summary = summary | {"trials": rounded}
    best = record.summary.get("best", {}).get(select.metric, {}).get("step")
    return {
        "id": record.id,
        "identity": identity(record.config),
        "summary": summary,
        "environment": record.environment,
        "pauses": record.pauses,
        "curves": {
            name: thinned(curve, points, select.evaluations, best)
            for name, curve in record.curves.items()
        },
    }


def thinned(curve: Curve, points: int, last: int, best: int | None) -> list[list[Any]]:
    """A curve's steps and values: some of them, evenly spread, and those that a table needs.

    Args:
        curve: steps and values.
        points: how many of them.
        last: how many of the last ones a table is made from.
        best: the step at which a table may look, too.
    """
    steps, values = map(list, curve)
    count = len(steps)
    spread = {round(i * (count - 1) / (points - 1)) for i in range(points)}
    kept = spread if count > points else {*range(count)}
    exact = {*range(max(0, count - last), count)} | {i for i in range(count) if steps[i] == best}
    places = sorted(kept | exact)
    drawn = [values[i] if i in exact else short(values[i], DIGITS) for i in places]
    return [[steps[i] for i in places], drawn]


def short(value: float | None, digits: int) -> float | None:
    """A number with few digits; a whole one as it is."""
    if value is None or not isfinite(value) or value == int(value):
        return value
    return float(f"{value:.{digits}g}")


# -- reading ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Kept:
    """A file of kept runs.

    Attributes:
        asked: the study's name, profile, data, changes and search, which made the runs.
        records: the runs by id.
    """

    path: Path
    asked: dict[str, Any]
    records: dict[str, Record]

    @property
    def whole(self) -> bool:
        """Whether it has all that the study's table and curves are made from."""
        return self.path.name.endswith(NEW)

    @property
    def stem(self) -> str:
        """What the names of the files beside it begin with, too."""
        return stem_of(self.path)

    def plan(self) -> "Plan":
        """What the study asks for today.

        Raises:
            BadInput: there is no such study, or it has no such profile.
        """
        from results.plan import find, plan  # imports Hydra, which who writes reports need not

        asked = self.asked
        search = yaml.safe_load(asked["search"]) if asked["search"] else None
        study = find(asked["name"])
        return plan(study, asked["profile"], asked["data"], asked["changes"], search)


def stem_of(path: Path) -> str:
    return path.name.removesuffix(NEW).removesuffix(OLD)


def is_kept(folder: Path) -> bool:
    """Whether a folder is one of kept results, and not one of runs."""
    return bool(paths_in(folder)) and not any(folder.glob("*/*/*/config.yaml"))


def paths_in(folder: Path) -> list[Path]:
    """The files of kept runs in a folder, in the newer form where a study has both."""
    found = [path for ending in (OLD, NEW) for path in folder.glob(f"*/*{ending}")]
    return sorted({path.parent / stem_of(path): path for path in found}.values())


def read_all(folder: Path) -> list[Kept]:
    """What is kept in a folder; without the runs of a suite's row, which are files of another kind.

    Raises:
        BadInput: a file is damaged.
    """
    contents = [(path, read_lines(path)) for path in paths_in(folder)]
    return [kept_of(path, lines) for path, lines in contents if lines and "files" not in lines[0]]


def read_lines(path: Path) -> list[dict[str, Any]]:
    """Raise BadInput where a file is damaged."""
    try:
        content = path.read_bytes()
        text = lzma.decompress(content) if path.name.endswith(NEW) else content
        lines = [json.loads(line) for line in text.decode().splitlines()]
        if not all(isinstance(line, dict) for line in lines):
            raise ValueError("a line is no run")
    except (lzma.LZMAError, ValueError) as error:
        raise BadInput(f"{path}: is damaged: {error}; fetch it again, or remove it") from error
    return lines


def kept_of(path: Path, lines: list[dict[str, Any]]) -> Kept:
    """Raise BadInput where a line lacks a part."""
    try:
        asked = lines[0].get("study") or asked_by_name(path)
        records = [recall(path, line, asked["data"]) for line in lines]
    except (KeyError, TypeError, AttributeError) as error:
        raise BadInput(f"{path}: is damaged: {error!r}; fetch it again, or remove it") from error
    return Kept(path, asked, {record.id: record for record in records})


def asked_by_name(path: Path) -> dict[str, Any]:
    """What an older file's name says; None of its parts has a point."""
    if not (found := OLD_NAME.fullmatch(f"{path.parent.name}/{stem_of(path)}")):
        raise BadInput(f"{path}: its name must be as in fc2.short.sample{OLD}")
    return {"changes": []} | found.groupdict()


def recall(path: Path, line: dict[str, Any], data: str) -> Record:
    config = line["identity"] | {"data": data}
    if isinstance(groups := config["optim"].get("groups"), list):
        config["optim"] = config["optim"] | {"groups": dict(groups)}
    return recalled(
        path / line["id"],
        config,
        summary=line["summary"],
        environment=line["environment"],
        lines=lines_of(line.get("curves", {})),
        pauses=line.get("pauses", {}),
    )


def lines_of(curves: dict[str, Sequence[Sequence[Any]]]) -> list[dict[str, Any]]:
    """The evaluations of a run, with the metrics that each of them has."""
    lines: dict[int, dict[str, Any]] = {}
    for name, (steps, values) in curves.items():
        for step, value in zip(steps, values, strict=True):
            lines.setdefault(step, {"step": step})[name] = value
    return [lines[step] for step in sorted(lines)]
