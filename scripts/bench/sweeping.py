"""Runs of a sweep per minute, by how many train at a time on a device."""

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from datetime import datetime
from pathlib import Path
from statistics import fmean
from typing import NamedTuple

import torch

from engine import search_path
from engine.guest import as_guest
from engine.yaml_files import dump_yaml
from results.plan import find
from results.sweep import make_sweep
from scripts.bench.page import markdown


class Size(NamedTuple):
    """What is swept, of the study lp_adam/fc2.

    Attributes:
        jobs: that train at a time on the device, sweep by sweep.
        rows: labels of the study.
        rates: learning rates.
        seeds: of each.
        steps: of a run.
    """

    jobs: Sequence[int]
    rows: Sequence[str]
    rates: Sequence[float]
    seeds: int
    steps: int


SIZES = {
    "cpu": Size((1, 2), ["Adam (p = 2)"], [3e-4, 1e-3], 1, 4),
    "cuda": Size(
        (1, 4, 16),
        ["Adam (p = 2)", "Adam (p = 3)", "AMSGrad", "Yogi"],
        [3e-4, 1e-3],
        2,
        400,
    ),
}
WATCH_MILLISECONDS = 200

NOTES = """\
A sweep of lp_adam/fc2 (MNIST's sample), from the beginning of the first run to the end of the last,
so that the workers' start counts. Busy is the mean of nvidia-smi's `utilization.gpu` over that
time: the share in which at least one kernel ran, by whichever process.
"""


def report(device: torch.device) -> str:
    """The table of all sweeps."""
    size = SIZES[device.type]
    rows = []
    for jobs in size.jobs:
        runs, seconds, busy = sweep(device, jobs, size)
        share = "not known" if busy is None else f"{busy:.0%}"
        rows.append([str(jobs), str(runs), f"{seconds:.1f}", f"{60 * runs / seconds:.1f}", share])
    titles = ["runs at a time", "runs", "seconds", "runs per minute", "GPU busy"]
    return f"{NOTES}\n{markdown(titles, rows)}"


def sweep(device: torch.device, jobs: int, size: Size) -> tuple[int, float, float | None]:
    """How many runs were trained, the seconds that they took, and the share of a busy GPU."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_study(folder, size)
        overrides = ["logger=none", f"train.device={device}", f"sweep.jobs_per_device={jobs}"]
        overrides += [f"paths.runs={folder}/runs", f"paths.reports={folder}/reports"]
        # As `scripts.sweep` does it, without the table and the page.
        with search_path.added([folder]), as_guest(), redirect_stdout(sys.stderr):
            asked = make_sweep(find("bench/fc2"), "smoke", "sample", overrides)
            asked.prepare()
            with watched(device) as samples:
                asked.run()
        runs = [planned.run for planned in asked.plan.runs]
        if open_ones := sum(not run.ended for run in runs):
            raise RuntimeError(f"{open_ones} of {len(runs)} runs of the sweep have not ended")
        began = min((run.folder / "config.yaml").stat().st_mtime for run in runs)
        ended = max((run.folder / "summary.json").stat().st_mtime for run in runs)
    return len(runs), ended - began, busy_share(samples, began, ended)


def write_study(folder: Path, size: Size) -> None:
    """The study bench/fc2 in a folder laid out as conf/."""
    place = folder / "study" / "bench"
    place.mkdir(parents=True)
    budget = {"task.steps": size.steps, "task.eval_every": max(1, size.steps // 2)}
    study = {
        "like": "lp_adam/fc2",
        "title": "FC-2, to be timed",
        "rows": list(size.rows),
        "grid": {"optim.lr": list(size.rates)},
        "figures": {},
        "profiles": {"smoke": {"FC-2": {"seeds": size.seeds, **budget}}},
    }
    (place / "fc2.yaml").write_text(dump_yaml(study), encoding="utf-8")


# -- how busy a GPU is -----------------------------------------------------------------------------


@contextmanager
def watched(device: torch.device) -> Iterator[list[str]]:
    """What nvidia-smi says of a GPU while the block runs, line by line, once it has ended.

    Nothing, on a CPU and where there is no nvidia-smi.
    """
    samples: list[str] = []
    if device.type != "cuda" or not shutil.which("nvidia-smi"):
        yield samples
        return
    # Not by its number, which CUDA_VISIBLE_DEVICES changes.
    gpu = f"GPU-{torch.cuda.get_device_properties(device).uuid}"
    asked = ["--query-gpu=timestamp,utilization.gpu", "--format=csv,noheader,nounits"]
    command = ["nvidia-smi", f"--id={gpu}", *asked, f"--loop-ms={WATCH_MILLISECONDS}"]
    with tempfile.TemporaryFile("w+") as said:
        with subprocess.Popen(command, stdout=said, stderr=subprocess.DEVNULL) as watcher:
            try:
                yield samples
            finally:
                watcher.terminate()
        said.seek(0)
        samples += said.read().splitlines()


def busy_share(samples: Sequence[str], began: float, ended: float) -> float | None:
    """The mean utilization between two times, of lines as nvidia-smi gives them; None of none."""
    shares = []
    for line in samples:
        time, _, percent = line.partition(", ")
        try:
            if began <= seconds_of(time) <= ended:
                shares.append(float(percent) / 100)
        except ValueError:  # as where it says [N/A]
            continue
    return fmean(shares) if shares else None


def seconds_of(time: str) -> float:
    """Since the epoch, of a time as nvidia-smi writes it."""
    return datetime.strptime(time, "%Y/%m/%d %H:%M:%S.%f").timestamp()
