"""What planning and looking cost: of the commands that one types most often, and of 10,000 runs."""

import hashlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import torch

from engine import packages, search_path
from engine.environment import environment
from engine.files import write_text
from engine.record_files import summary_hash
from engine.run import Run
from engine.yaml_files import dump_yaml
from results.plan import find, plan
from scripts.bench.page import markdown, page_path

SWEEP = ["study=lp_adam/fc2", "profile=smoke", "data=sample"]
# 2,000 rates with 5 seeds each.
RUNS, SEEDS = 10_000, 5
LARGE = ["study=bench/large", "profile=paper", "data=sample"]
PLAN = "from results.plan import find, plan; plan(find('lp_adam/table2'), 'paper', 'full')"
# How many runs are asked whether they are busy, in folders of that many.
ASKED, FOLDERS = 200, (200, RUNS)

NOTES = """\
CPU-seconds of a command with its children, from Python's start to its end: on a busy machine as on
an idle one, but for what cores, caches and hyperthreads share. Runs are synthetic records of eight
evaluations. A first call of `scripts.list` makes what later ones keep in the user's cache folder.
A sweep of which nothing is missing reads every record, and renders where one of them, or the code,
has changed since.
"""


def report(out: str | None) -> None:
    """Print the tables, and write them to `out`/planning.<device>.md where that is a folder."""
    env = environment(torch.device("cpu"))
    path = None if out is None else page_path(Path(out), "planning", env)
    facts = {
        "command": "python -m scripts.bench planning",
        "device": env["cpu"],
        "commit": f"{env['git_commit']}{' with local changes' if env['git_dirty'] else ''}",
        "measured": env["started"],
        "load": f"{os.getloadavg()[0]:.1f} processes on {env['cores']} cores at the start",
    }
    listed = "".join(f"- {key}: {value}\n" for key, value in facts.items())
    page = f"# Planning\n\n{listed}\n{table()}\n{locks()}"
    print(page, flush=True)
    if path:
        write_text(path, page)
        print(f"Tables: {path}")


def table() -> str:
    titles = ["what", "CPU-seconds", "target"]
    return f"{NOTES}\n{markdown(titles, list(rows()))}"


def rows() -> Iterator[Sequence[str]]:
    """What is measured, how long it took, and how long it may."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_study(folder)
        with search_path.added([folder]):
            write_records(SWEEP, folder / "few")
            write_records(LARGE, folder / "many")
        for what, arguments, target in commands(folder):
            yield what, f"{cpu_seconds(arguments, folder):.1f}", target


def commands(folder: Path) -> list[tuple[str, list[str], str]]:
    """What each is, what Python gets, and the CPU-seconds it may take."""
    large = ["-m", "scripts.sweep", *LARGE, f"--config-dir={folder}"]
    few, many = paths(folder / "few"), paths(folder / "many")
    named = " ".join(SWEEP)
    return [
        ("scripts.list, the first", ["-m", "scripts.list"], "-"),
        ("scripts.list", ["-m", "scripts.list"], "≤ 3"),
        (f"scripts.sweep {named}, the first", ["-m", "scripts.sweep", *SWEEP, *few], "-"),
        (f"scripts.sweep {named}", ["-m", "scripts.sweep", *SWEEP, *few], "≤ 4"),
        ("planning lp_adam/table2, 1,250 runs", ["-c", PLAN], "≤ 20"),
        (f"planning {RUNS:,} runs", ["-c", plan_large(folder)], "≤ 20"),
        (f"scripts.sweep of {RUNS:,} runs, the first", [*large, *many], "-"),
        (f"scripts.sweep of {RUNS:,} runs", [*large, *many], "≤ 30"),
    ]


def plan_large(folder: Path) -> str:
    """The program that plans RUNS runs of which none is there."""
    return (
        f"from engine import search_path; search_path.use([{str(folder)!r}]); "
        "from results.plan import find, plan; plan(find('bench/large'), 'paper', 'sample')"
    )


def paths(root: Path) -> list[str]:
    return [f"paths.runs={root}/runs", f"paths.reports={root}/reports"]


def cpu_seconds(arguments: Sequence[str], folder: Path) -> float:
    """Of a Python process and those that it waits for.

    Raises:
        RuntimeError: it failed.
    """
    variables = packages.for_children() | {"XDG_CACHE_HOME": str(folder / "cache")}
    before = os.times()
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env=os.environ | variables,
        capture_output=True,
        encoding="utf-8",
    )
    after = os.times()
    if done.returncode:
        raise RuntimeError(f"{' '.join(arguments)}: {done.stderr}")
    used = after.children_user - before.children_user
    return used + after.children_system - before.children_system


def write_study(folder: Path) -> None:
    """The study bench/large in a folder laid out as conf/."""
    place = folder / "study" / "bench"
    place.mkdir(parents=True)
    rates = [1e-4 * (1 + i / RUNS) for i in range(RUNS // SEEDS)]
    study = {
        "like": "lp_adam/fc2",
        "title": "Many runs of FC-2",
        "rows": ["Adam (p = 2)"],
        "reference": None,
        "grid": {"optim.lr": rates},
        "figures": {},
        "profiles": {"paper": {"FC-2": {"seeds": SEEDS}}},
    }
    (place / "large.yaml").write_text(dump_yaml(study), encoding="utf-8")


def write_records(typed: Sequence[str], root: Path) -> None:
    """Records of finished runs, for all that a sweep asks for."""
    study, profile, data = (text.partition("=")[2] for text in typed)
    for planned in plan(find(study), profile, data, paths(root)).runs:
        write_record(planned.run)


def write_record(run: Run) -> None:
    """The files of a run as if it had finished."""
    loss = 1 / (1 + int(run.id, 16) % 1000)
    metrics = {"train/loss": loss, "train/eval_loss": loss, "test/accuracy": 1 - loss}
    lines = [{"step": 100 * i, **metrics} for i in range(1, 9)]
    texts = {
        "config.yaml": json.dumps(run.config),  # which is YAML, too, and much faster to write
        "environment.json": json.dumps(environment(torch.device("cpu"))),
        "metrics.jsonl": "".join(f"{json.dumps(line)}\n" for line in lines),
    }
    summary = {"id": run.id, "status": "finished", "step": 800, "steps": 800, "final": metrics}
    summary |= {"best": {name: {"value": v, "step": 100} for name, v in metrics.items()}}
    summary |= {"wall_seconds": 1.0, "step_seconds": 0.001, "trials": {}}
    hashes = {name: hashlib.sha256(text.encode()).hexdigest() for name, text in texts.items()}
    hashes["summary.json"] = summary_hash(summary)
    run.folder.mkdir(parents=True)
    for name, text in (texts | {"summary.json": json.dumps(summary | {"sha256": hashes})}).items():
        (run.folder / name).write_text(text, encoding="utf-8")


def locks() -> str:
    """What asking a run costs beside few others and beside many."""
    titles = ["runs with a lock in the folder", "is a run busy?", "has it ended?"]
    with tempfile.TemporaryDirectory() as name:
        cells = [[f"{count:,}", *ask(Path(name) / str(count), count)] for count in FOLDERS]
    asked = "Median time to ask one run of each folder, in microseconds."
    return f"{asked}\n\n{markdown(titles, cells)}"


def ask(root: Path, count: int) -> list[str]:
    [planned] = plan(find("lp_adam/fc2"), "smoke", "sample", paths(root)).runs[:1]
    configs = [planned.config | {"seed": seed} for seed in range(count)]
    runs = [Run(root / "runs", config) for config in configs]
    for run in runs:
        write_record(run)
        with run.locked():
            pass
    questions: list[Callable[[Run], bool]] = [lambda run: run.busy, lambda run: run.ended]
    return [f"{microseconds(question, runs):.0f}" for question in questions]


def microseconds(question: Callable[[Run], bool], runs: Sequence[Run]) -> float:
    times = []
    for run in runs[:: len(runs) // ASKED]:
        began = time.perf_counter()
        question(run)
        times.append(1e6 * (time.perf_counter() - began))
    return sorted(times)[len(times) // 2]
