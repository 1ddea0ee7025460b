"""Runs as the page reads them: a column for each key, and curves thinned and packed.

What all runs share is said once, and a text that many have stands once with numbers that point at
it, so that thousands of runs make a page of some megabytes.
"""

import math
import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from engine.labels import leaves, settings
from engine.metrics import headline_of, in_order
from engine.records import Curve, Record
from engine.texts import hydra_text

# Of a curve, for drawing; metrics.jsonl has every point.
CURVE_POINTS = 60
# Steps between which a packed value lies; one more stands for a value that is missing.
LEVELS = 65534
MISSING = LEVELS + 1
# A curve that is packed by its logarithm has as many digits where it is small.
LOG_FROM = 8.0


@dataclass
class Runs:
    """What the page is given of runs.

    Attributes:
        index: columns by their names, and what belongs to a run, in the order of the runs.
        curves: all packed curves, run by run.
    """

    index: dict[str, Any]
    curves: bytes


@dataclass
class Column:
    """A key's values: the different ones once, and for each run the place of its own, or -1."""

    places: dict[str, int] = field(default_factory=dict)
    values: list[Any] = field(default_factory=list)
    at: list[int] = field(default_factory=list)

    def add(self, run: int, value: Any) -> None:
        text = hydra_text(value)
        if text not in self.places:
            self.places[text] = len(self.values)
            self.values.append(value)
        self.at += [-1] * (run - len(self.at))
        self.at.append(self.places[text])

    def payload(self, count: int) -> dict[str, Any]:
        at = self.at + [-1] * (count - len(self.at))
        texts = list(self.places)
        plain = [
            value if is_scalar(value) else text
            for value, text in zip(self.values, texts, strict=True)
        ]
        # Of a column with one value for all, no run needs to say which it has.
        return {"values": plain, "texts": texts} | ({"at": at} if any(at) else {})


def is_scalar(value: Any) -> bool:
    """Whether JSON has it as it is."""
    finite = isinstance(value, float) and math.isfinite(value)
    return value is None or isinstance(value, str | int) or finite


def runs_payload(records: Iterable[Record]) -> Runs:
    """The runs' settings, results and thinned curves."""
    columns: dict[str, dict[str, Column]] = {"settings": {}, "environment": {}, "of_run": {}}
    results: list[dict[str, Any]] = []
    blocks: list[bytes] = []
    metrics: dict[str, int] = {}
    for run, record in enumerate(records):
        parts = {
            "settings": settings(record.config),
            "environment": {k: v for k, v in leaves(record.environment) if v is not None},
            "of_run": of_run(record),
        }
        for part, pairs in parts.items():
            for key, value in pairs.items():
                columns[part].setdefault(key, Column()).add(run, value)
        results.append(outcome(record))
        blocks.append(b"".join(packed_curves(record.curves, metrics)))
    count = len(results)
    index: dict[str, Any] = {
        part: {key: column.payload(count) for key, column in of.items()}
        for part, of in columns.items()
    }
    index |= {key: [one[key] for one in results] for key in OUTCOME}
    for part in ("final", "best", "best_step"):
        names = in_order(name for one in results for name in one[part])
        index[part] = {name: [one[part].get(name) for one in results] for name in names}
    index["blocks"] = [len(block) for block in blocks]
    return Runs({"count": count, "metrics": list(metrics), **index}, b"".join(blocks))


OUTCOME = ("id", "step", "steps", "wall_seconds", "step_seconds")


def of_run(record: Record) -> dict[str, Any]:
    """What many runs have alike and is no setting."""
    error = record.summary.get("error")
    found = {"status": record.status, "headline": headline_of(record.config)}
    found |= {"folder": str(record.folder.parent)}
    return found | ({"error": error} if error else {})


def outcome(record: Record) -> dict[str, Any]:
    summary = record.summary
    best = summary.get("best", {})
    return {
        "id": record.id,
        "step": summary.get("step"),
        "steps": summary.get("steps"),
        "wall_seconds": rounded(summary.get("wall_seconds"), 4),
        "step_seconds": rounded(summary.get("step_seconds"), 4),
        "final": {name: rounded(value) for name, value in summary.get("final", {}).items()},
        "best": {name: rounded(found["value"]) for name, found in best.items()},
        "best_step": {name: found["step"] for name, found in best.items()},
    }


def rounded(value: Any, digits: int = 6) -> Any:
    """A number with so many digits; None where it is not finite."""
    if not isinstance(value, float):
        return value
    return float(f"{value:.{digits}g}") if math.isfinite(value) else None


# -- curves ----------------------------------------------------------------------------------------


def packed_curves(curves: Mapping[str, Curve], metrics: dict[str, int]) -> Iterator[bytes]:
    """A run's curves as bytes, all numbers little-endian.

    For each metric: its place among all metrics (2 bytes), the number of points (2), 1 if its steps
    are those of the curve before (1), 1 if it is packed by its logarithm (1), the least and the
    greatest value (4 + 4, float32); the steps, unless they are those before, as differences (4
    each); the points' places between the least and the greatest value, first the upper bytes of
    all, which are alike and compress, then the lower ones.

    Args:
        curves: by metric.
        metrics: metric → its place; new ones are added.
    """
    previous = None
    for name in sorted(curves):
        steps, values = (thin(points) for points in curves[name])
        found = np.array([math.nan if value is None else value for value in values], dtype=float)
        known = found[np.isfinite(found)]
        if not len(known):
            continue
        log = bool(known.min() > 0 and known.max() / known.min() > LOG_FROM)
        least, most = known.min(), known.max()
        place = metrics.setdefault(name, len(metrics))
        same = steps == previous
        yield struct.pack("<HHBBdd", place, len(steps), same, log, least, most)
        if not same:
            yield np.diff(steps, prepend=0).astype("<u4").tobytes()
        levels = to_levels(found, float(least), float(most), log)
        yield (levels >> 8).astype("u1").tobytes() + (levels & 255).astype("u1").tobytes()
        previous = steps


def to_levels(values: np.ndarray, least: float, most: float, log: bool) -> np.ndarray:
    """Places from 0 to LEVELS between the least and the greatest value."""
    known = np.isfinite(values)
    if log:
        values = np.log(np.where(known, values, 1.0))
        least, most = math.log(least), math.log(most)
    scaled = (values - least) / (most - least) if most > least else np.zeros_like(values)
    levels = np.where(known, scaled, 0.0).clip(0, 1) * LEVELS
    return np.where(known, levels.round(), MISSING).astype(int)


def thin(points: Sequence[Any], most: int = CURVE_POINTS) -> list[Any]:
    """At most so many of them, evenly spaced, the last one included."""
    if len(points) <= most:
        return list(points)
    last = len(points) - 1
    return [points[round(i * last / (most - 1))] for i in range(most)]
