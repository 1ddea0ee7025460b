"""What a sweep would run, and about how long that would take."""

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
from results.plan import Plan, Planned


def preview(plan: Plan) -> str:
    """Each run with its status, and about how long the missing ones would take."""
    root = Path(plan.runs[0].config["paths"]["runs"])
    records = read_all(root, {planned.run.folder: planned.config for planned in plan.runs})
    lines = []
    for planned in plan.runs:
        record = records.get(planned.run.id)
        status = record.status if record else "missing"
        point = " ".join(f"{key}={hydra_text(value)}" for key, value in planned.cell.point.items())
        cell = planned.cell
        lines.append(
            f"{planned.run.id}  {status:10}  {cell.column}  {cell.row}  {point} seed={cell.seed}"
        )
    ended = {run_id for run_id, record in records.items() if record.status in ENDED}
    missing = [planned for planned in plan.runs if planned.run.id not in ended]
    counts = f"{len(plan.runs) - len(missing)} ended, {len(missing)} missing"
    lines.append(f"{len(plan.runs)} runs: {counts}; {time_estimate(missing, records)}")
    return "\n".join(lines)


def time_estimate(missing: Sequence[Planned], records: Mapping[str, Record]) -> str:
    """The time that runs would take, as a phrase, from the step times of runs of the same tasks."""
    if not missing:
        return "nothing to run"
    seconds = 0.0
    for planned in missing:
        seconds_per_step = step_seconds(planned.config, records.values())
        if seconds_per_step is None:
            task = planned.config["names"]["task"]
            return f"no estimate: no run of {task} has finished here on such a device"
        seconds += seconds_per_step * meta_task(planned.config).steps
    train, sweep = missing[0].config["train"], missing[0].config["sweep"]
    slot_count = slots(train["device"], sweep["jobs_per_device"], sweep["devices_per_run"])
    at_a_time = min(slot_count, len(missing))
    duration = timedelta(seconds=round(seconds / at_a_time))
    return f"about {duration} of training steps with {at_a_time} at a time, as recorded"


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
