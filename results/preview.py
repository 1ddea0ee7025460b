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


def preview(wanted: Plan) -> str:
    """Each run with where it stands, and about how long the missing ones would take."""
    root = Path(wanted.runs[0].config["paths"]["runs"])
    records = read_all(root, {planned.run.folder: planned.config for planned in wanted.runs})
    lines = []
    for planned in wanted.runs:
        record = records.get(planned.run.id)
        status = record.status if record else "missing"
        point = " ".join(f"{key}={hydra_text(value)}" for key, value in planned.cell.point.items())
        cell = planned.cell
        lines.append(
            f"{planned.run.id}  {status:10}  {cell.column}  {cell.row}  {point} seed={cell.seed}"
        )
    ended = {run_id for run_id, record in records.items() if record.status in ENDED}
    missing = [planned for planned in wanted.runs if planned.run.id not in ended]
    counts = f"{len(wanted.runs) - len(missing)} ended, {len(missing)} missing"
    lines.append(f"{len(wanted.runs)} runs: {counts}; {estimate(missing, records)}")
    return "\n".join(lines)


def estimate(missing: Sequence[Planned], records: Mapping[str, Record]) -> str:
    """The time that runs would take, from what others of the same task took for a step."""
    if not missing:
        return "nothing to run"
    seconds = 0.0
    for planned in missing:
        found = step_seconds(planned.config, records.values())
        if found is None:
            task = planned.config["names"]["task"]
            return f"no estimate: no run of {task} has finished here on such a device"
        seconds += found * steps_of(planned.config)
    train, sweep = missing[0].config["train"], missing[0].config["sweep"]
    most = slots(train["device"], sweep["jobs_per_device"], sweep["devices_per_run"])
    at_a_time = min(most, len(missing))
    length = timedelta(seconds=round(seconds / at_a_time))
    return f"about {length} of training steps with {at_a_time} at a time, as recorded"


def step_seconds(config: dict[str, Any], records: Iterable[Record]) -> float | None:
    """Median seconds of a training step in runs of the same task on such a device.

    Those with as many threads count where there are any, and of them those with the same optimizer.
    """
    names, wanted = config["names"], config["train"]["device"]
    device, count = available(wanted)[0].type, threads(wanted, config["sweep"]["jobs_per_device"])
    alike = [
        record
        for record in records
        if record.config["names"]["task"] == names["task"]
        and record.status == "finished"
        and record.environment.get("device", "").startswith(device)
    ]
    alike = [record for record in alike if record.environment.get("threads") == count] or alike
    alike = [r for r in alike if r.config["names"]["optim"] == names["optim"]] or alike
    times = [record.summary.get("step_seconds") for record in alike]
    return median(known) if (known := [time for time in times if time is not None]) else None


def steps_of(config: dict[str, Any]) -> int:
    return meta_task(config).steps
