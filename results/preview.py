"""What a sweep would run, and about how long that would take."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from statistics import median
from typing import Any

from engine.devices import available, slots, threads
from engine.make import meta_task
from engine.record_files import ENDED
from engine.records import Record, read_all
from engine.texts import hydra_text
from engine.timing import timed_steps
from results.plan import Plan
from results.planner import Planned
from results.searching import key_of


def preview(plan: Plan, verbose: bool = False) -> str:
    """The runs, steps and time of each row; with `verbose` each run with its status before.

    A step's time is that of records, or else measured, which may take a minute.
    """
    root = Path(plan.runs[0].config["paths"]["runs"])
    records = read_all(root, {planned.run.folder: planned.config for planned in plan.runs})
    ended = {run_id for run_id, record in records.items() if record.status in ENDED}
    missing = [planned for planned in plan.runs if planned.run.id not in ended]
    lines = [run_line(planned, records) for planned in plan.runs] if verbose else []
    times = StepTimes(missing, records.values())
    lines += row_lines(plan.runs, missing, times)
    counts = f"{len(plan.runs) - len(missing)} ended, {len(missing)} missing"
    lines.append(f"{len(plan.runs)} runs: {counts}; {time_estimate(missing, times)}")
    if missing and (halving := plan.study.search.halving):
        keys = {key_of(planned.cell) for planned in plan.runs}
        counts = Counter(key[:2] for key in keys).values()
        spent = sum(halving.share(count) * count for count in counts) / sum(counts)
        lines.append(f"halving spends about {spent:.0%} of the steps of all points")
    if count := plan.study.confirm_count(plan.profile):
        lines.append(f"and {count} runs confirm the point that each row chooses")
    return "\n".join(lines)


def run_line(planned: Planned, records: Mapping[str, Record]) -> str:
    record, cell = records.get(planned.run.id), planned.cell
    status = record.status if record else "missing"
    point = " ".join(f"{key}={hydra_text(value)}" for key, value in cell.point.items())
    return f"{planned.run.id}  {status:10}  {cell.column}  {cell.row}  {point} seed={cell.seed}"


def row_lines(runs: Sequence[Planned], missing: Sequence[Planned], times: "StepTimes") -> list[str]:
    """A line for each row: its runs, those that are missing, and the steps and time of these."""
    titles = ["row", "runs", "missing", "steps", "hours of training on one device"]
    table = [titles]
    for row in dict.fromkeys(planned.cell.row for planned in runs):
        count = sum(planned.cell.row == row for planned in runs)
        left = [planned for planned in missing if planned.cell.row == row]
        steps = sum(meta_task(planned.config).steps for planned in left)
        seconds = training_seconds(left, times)
        hours = "not known" if seconds is None else f"{seconds / 3600:.2g}"
        table.append([row, str(count), str(len(left)), f"{steps:,}", hours])
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    return ["  ".join(map(str.ljust, texts, widths)).rstrip() for texts in table]


def time_estimate(missing: Sequence[Planned], times: "StepTimes") -> str:
    """The time that runs would take, as a phrase."""
    if not missing:
        return "nothing to run"
    seconds = training_seconds(missing, times)
    if seconds is None:
        unknown = next(p.config for p in missing if times.of(p.config) is None)
        return (
            f"no estimate: no run of {unknown['names']['task']} has finished here on such a "
            "device, and its steps could not be timed: its data are not here, or it takes too long"
        )
    train, sweep = missing[0].config["train"], missing[0].config["sweep"]
    slot_count = slots(train["device"], sweep["jobs_per_device"], sweep["devices_per_run"])
    at_a_time = min(slot_count, len(missing))
    duration = timedelta(seconds=round(seconds / at_a_time))
    recorded = any(times.recorded(planned.config) for planned in missing)
    sources = ["as recorded"] * recorded + ["from steps timed now"] * bool(times.measured)
    source = " or ".join(sources)
    return f"about {duration} of training steps with {at_a_time} at a time, {source}"


def training_seconds(missing: Iterable[Planned], times: "StepTimes") -> float | None:
    """Of all steps of some runs, one run after the other; None where a step's time is not known."""
    seconds = 0.0
    for planned in missing:
        seconds_per_step = times.of(planned.config)
        if seconds_per_step is None:
            return None
        seconds += seconds_per_step * meta_task(planned.config).steps
    return seconds


class StepTimes:
    """Seconds of a training step of some runs: of records, or else of steps that are taken now.

    Attributes:
        measured: what was not recorded, by task, optimizer and precision; None where it could not
            be measured, for which another one of the task stands in.
    """

    def __init__(self, runs: Iterable[Planned], records: Iterable[Record]):
        self._records = list(records)
        self._recorded: dict[tuple[str, ...], float | None] = {}
        unknown = (run.config for run in runs if self.recorded(run.config) is None)
        configs = {kind_of_step(config): config for config in unknown}
        times = timed_steps([*configs.values()]) if configs else []
        self.measured = dict(zip(configs, times, strict=True))

    def recorded(self, config: dict[str, Any]) -> float | None:
        """`step_seconds`, which looks at all records, once for runs that are alike to it."""
        names, where = config["names"], (config["train"]["device"], config["sweep"])
        alike = (names["task"], names["optim"], str(where))
        if alike not in self._recorded:
            self._recorded[alike] = step_seconds(config, self._records)
        return self._recorded[alike]

    def of(self, config: dict[str, Any]) -> float | None:
        recorded = self.recorded(config)
        if recorded is not None:
            return recorded
        kind = kind_of_step(config)
        of_task = [time for other, time in self.measured.items() if other[0] == kind[0] and time]
        return self.measured[kind] or next(iter(of_task), None)


def kind_of_step(config: dict[str, Any]) -> tuple[str, ...]:
    return str(config["task"]), str(config["optim"].get("_target_")), config["precision"]


def step_seconds(config: dict[str, Any], records: Iterable[Record]) -> float | None:
    """Median seconds of a training step in runs of the same task on such a device.

    Only runs with as many threads count, where there are any, and of them only those with the same
    optimizer, where there are any.
    """
    names, device = config["names"], config["train"]["device"]
    device_type = available(device)[0].type
    thread_count = threads(device, config["sweep"]["jobs_per_device"])
    similar = [
        record
        for record in records
        if record.config["names"]["task"] == names["task"]
        and record.status == "finished"
        and record.environment.get("device", "").startswith(device_type)
    ]
    similar = [r for r in similar if r.environment.get("threads") == thread_count] or similar
    similar = [r for r in similar if r.config["names"]["optim"] == names["optim"]] or similar
    times = [record.summary.get("step_seconds") for record in similar]
    known_times = [time for time in times if time is not None]
    return median(known_times) if known_times else None
