"""The quickstart's sweep beside bare loops over the same cells, idle and on a busy machine.

`python -m scripts.bench.quickstart` is a bare process: it reads configs of runs, a line of JSON
each, from its standard input, and trains and evaluates them one after the other with nothing around
that.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import torch

from engine.devices import available, slots
from engine.guest import as_guest
from engine.session import Session
from results.plan import find
from results.sweep import make_sweep
from scripts.bench.page import markdown, publish
from scripts.bench.waiting import BUSY, process

STUDY = ["study=lp_adam/fc2", "profile=smoke", "data=sample"]
BUSY_COUNTS = (0, 1, 2)

NOTES = """\
The sweep is the whole command, from its start to the page, with as many one-thread runs at a time
as there are cores, or one on a GPU. Bare is a loop over the same cells in as many one-thread
processes: the same networks, batches, steps and evaluations, without imports, records, locks, logs
or progress. Outside is what a run of the sweep takes, from the first run's beginning to the last
one's end, beyond what a bare one does. Targets: bare ÷ sweep at least 0.9, outside at most 0.15 s.
"""


class Timing(NamedTuple):
    """Seconds of a sweep.

    Attributes:
        whole: of the command.
        training: from the beginning of its first run to the end of the last.
        bare: of the bare processes, at once.
    """

    whole: float
    training: float
    bare: float


def report(device: torch.device, out: str | None) -> None:
    """Measure, print and, where a folder is given, write the page."""
    sections = [partial(table, [*STUDY, f"train.device={device}"], BUSY_COUNTS)]
    publish("A sweep beside bare loops", "sweep", device, None, [], sections, out)


def table(study: Sequence[str], busy_counts: Sequence[int]) -> str:
    """The seconds of a sweep, as its command line says it, beside those numbers of processes."""
    configs, rows = configs_of(study), []
    at_once = min(slots(configs[0]["train"]["device"], "auto"), len(configs))
    for count in busy_counts:
        with ExitStack() as stack:
            for _ in range(count):
                stack.enter_context(process(sys.executable, "-c", BUSY))
            found = timing(study, configs, at_once)
        outside = at_once * (found.training - found.bare) / len(configs)
        rate = 60 * len(configs) / found.whole
        cells = [f"{found.whole:.1f} s", f"{rate:.1f}", f"{found.bare:.1f} s"]
        rows.append([str(count), *cells, f"{found.bare / found.whole:.2f}", f"{outside:.2f} s"])
    titles = ["busy processes", "sweep", "runs per minute", "bare", "bare ÷ sweep", "outside"]
    heading = f"{len(configs)} runs of `{' '.join(study)}`, {at_once} at a time.\n"
    return f"{heading}\n{NOTES}\n{markdown(titles, rows)}"


def configs_of(study: Sequence[str]) -> list[dict[str, Any]]:
    """The configs of a study's runs, whose data are made ready."""
    given = dict(text.split("=", 1) for text in study)
    others = [text for text in study if text.split("=")[0] not in ("study", "profile", "data")]
    with as_guest():
        asked = make_sweep(find(given["study"]), given["profile"], given["data"], others)
        asked.prepare()
    return [planned.run.config for planned in asked.plan.runs]


def timing(study: Sequence[str], configs: Sequence[dict[str, Any]], at_once: int) -> Timing:
    bare = bare_seconds(configs, at_once)
    with tempfile.TemporaryDirectory() as name:
        runs = Path(name) / "runs"
        paths = [f"paths.runs={runs}", f"paths.reports={name}/reports", "logger=none"]
        command = [sys.executable, "-m", "scripts.sweep", *study, *paths]
        began = time.perf_counter()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        whole = time.perf_counter() - began
        first = min(path.stat().st_mtime for path in runs.glob("*/*/*/config.yaml"))
        last = max(path.stat().st_mtime for path in runs.glob("*/*/*/summary.json"))
    return Timing(whole, last - first, bare)


def bare_seconds(configs: Sequence[dict[str, Any]], at_once: int) -> float:
    """Seconds in which bare processes get through all cells, from the first one's first step on."""
    command = [sys.executable, "-m", "scripts.bench.quickstart"]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    with ExitStack() as stack:
        children = [
            stack.enter_context(process(*command, environment=environment)) for _ in range(at_once)
        ]
        for child in children:
            assert child.stdout is not None
            child.stdout.readline()  # it has imported all
        began = time.perf_counter()
        for place, child in enumerate(children):
            assert child.stdin is not None
            share = configs[place::at_once]
            child.stdin.write("".join(f"{json.dumps(config)}\n" for config in share))
            child.stdin.close()
        for child in children:
            if child.wait() != 0:
                raise RuntimeError("a bare process has failed")
        return time.perf_counter() - began


def serve() -> None:
    """Train and evaluate the configs of standard input."""
    print("ready", flush=True)
    for line in sys.stdin:
        config = json.loads(line)
        bare_run(Session(config, available(config["train"]["device"])[0]))


def bare_run(session: Session) -> None:
    task = session.task
    for step in range(task.steps):
        loss = session.loss(task.batch(step))
        loss.backward()
        session.optimizer.step()
        session.optimizer.zero_grad()
        session.schedule.step()
        if (step + 1) % task.eval_every == 0 or step + 1 == task.steps:
            task.model.eval()
            with torch.no_grad():
                task.evaluate()
            task.model.train()


if __name__ == "__main__":
    serve()
