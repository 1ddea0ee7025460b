"""What tests of several rooms share: a run's config, run folders, studies and their results."""

from __future__ import annotations

import copy
import json
import logging
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from results.analysis import Result, analyse
from results.records import Record, read
from results.run import Run, dump_yaml
from results.study import Cell, Figure, Select, Study

ROOT = Path(__file__).parents[1]

CONFIG: dict[str, Any] = {
    "task": {
        "_target_": "tasks.Mnist",
        "data": "sample",
        "sources": {
            "full": {"mirrors": ["https://a.example"], "sha256": {"f": "0" * 64}, "train": 60},
            "sample": {"package": "toy==1", "sha256": {"w": "1" * 64}, "train": 4},
        },
        "epochs": 3,
        "batch_size": 2,
    },
    "optim": {"_target_": "torch.optim.Adam", "_partial_": True, "lr": 0.001, "betas": [0.9, 1e-3]},
    "schedule": {"_target_": "optim.schedules.constant", "_partial_": True},
    "logger": {"tensorboard": {"_target_": "results.loggers.TensorBoardLogger"}},
    "data": "sample",
    "profile": "smoke",
    "seed": 0,
    "precision": "fp32",
    "clip_norm": None,
    "accumulate": 1,
    "group": None,
    "train": {"device": "cpu", "compile": False, "checkpoint_seconds": 60.0},
    "sweep": {"jobs_per_device": 1},
    "paths": {"runs": "runs", "data": "data", "reports": "reports"},
    "names": {"task": "toy", "optim": "adam", "schedule": "constant"},
}

ENVIRONMENT = {
    "started": "2026-01-02T03:04:05+00:00",
    "device": "cpu",
    "gpu": None,
    "threads": 2,
    "cpu": "Two Cores",
    "git_commit": "0123456789abcdef",
    "git_dirty": False,
}


def config_with(changes: dict[str, Any]) -> dict[str, Any]:
    config = copy.deepcopy(CONFIG)
    for key, value in changes.items():
        *path, leaf = key.split(".")
        node = config
        for part in path:
            node = node[part]
        node[leaf] = value
    return config


@pytest.fixture
def heard(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> Iterator[pytest.LogCaptureFixture]:
    """What the project logs, also after a command under test has cut its logger off the root."""
    log = logging.getLogger("adamily")
    monkeypatch.setattr(log, "propagate", False)
    monkeypatch.setattr(log, "level", logging.DEBUG)
    log.addHandler(caplog.handler)
    yield caplog
    log.removeHandler(caplog.handler)


@pytest.fixture
def make_config() -> Callable[..., dict[str, Any]]:
    """`make_config({"optim.lr": 0.1})`: the config of a run, some dotted keys of it set."""
    return lambda changes=None: config_with(changes or {})


@pytest.fixture
def make_study() -> Callable[..., Study]:
    """`make_study(seeds=1)`: two rows of table 2 with three rates and two seeds, or other."""
    usual = Study(
        name="lp_adam/toy",
        title="Toys",
        reproduces=["table 2"],
        notes=["A note."],
        columns={"FC-2": {"task": "toy"}},
        rows={"AMSGrad": {"optim": "amsgrad"}, "AdaMax": {"optim": "adamax"}},
        grid={"optim.lr": [1e-4, 1e-3, 1e-2]},
        seeds=2,
        select=Select(metric="train/loss", at="last", mode="min"),
        report=["train/loss", "test/accuracy"],
        statistic="mean",
        published="table2",
        figures={"fig": Figure(title="Figure", rows=["AMSGrad", "AdaMax"], metric="train/loss")},
        profiles={"paper": {}, "short": {"seeds": 1}, "smoke": {"seeds": 2, "task.epochs": 1}},
    )
    return lambda **changes: replace(usual, **changes)


def write(root: Path, config: dict[str, Any], summary: dict | None, lines: list[dict]) -> Run:
    """Write a run's folder as it lies on disk, without the cost of syncing every file."""
    run = Run(root, config)
    run.folder.mkdir(parents=True)
    (run.folder / "config.yaml").write_text(dump_yaml(config))
    (run.folder / "environment.json").write_text(json.dumps(ENVIRONMENT))
    text = "".join(json.dumps(line) + "\n" for line in lines)
    (run.folder / "metrics.jsonl").write_text(text)
    if summary is not None:
        (run.folder / "summary.json").write_text(json.dumps(summary))
    return run


@pytest.fixture
def write_run() -> Callable[..., Run]:
    """`write_run(root, config, summary, lines)` writes a run's folder."""
    return write


def summary_of(status: str, final: dict[str, float], best: dict[str, float]) -> dict[str, Any]:
    return {
        "status": status,
        "step": 30,
        "steps": 30,
        "final": final,
        "best": {name: {"value": value, "step": 20} for name, value in best.items()},
        "wall_seconds": 1.5,
        "step_seconds": 0.05,
        "error": "RuntimeError: broken" if status == "failed" else None,
    }


# What an outcome function says of a cell: its final metrics, how else it ended, or None: no run.
Outcome = dict[str, float] | str | None


@pytest.fixture
def make_result(tmp_path: Path) -> Callable[..., Result]:
    """`make_result(study, outcome)`: a study's result, from a run folder for each cell.

    `outcome(cell)` gives the final metrics of a run that finished, or "diverged", "failed" or
    "unfinished", or None where there is no run. Best metrics are half of the final ones.
    """

    def make(
        study: Study,
        outcome: Callable[[Cell], Outcome],
        profile: str = "smoke",
        data: str = "sample",
        changes: tuple[str, ...] = (),
    ) -> Result:
        found = [
            (cell, record_of(tmp_path / "runs", cell, outcome(cell)))
            for cell in study.cells(profile, data)
        ]
        return analyse(study, profile, data, found, changes)

    return make


def record_of(root: Path, cell: Cell, outcome: Outcome) -> Record | None:
    if outcome is None:
        return None
    changes = cell.point | {"seed": cell.seed, "data": cell.settings["data"]}
    # Rows and columns differ in settings that this config lacks: their labels stand for them.
    config = config_with(changes | {"task.row": cell.row, "task.column": cell.column})
    if isinstance(outcome, str):
        # What a run was worth before it diverged is on record, and is to count for nothing.
        worth = {"train/loss": 1e-6, "test/accuracy": 1.0} if outcome == "diverged" else {}
        summary = None if outcome == "unfinished" else summary_of(outcome, worth, worth)
        lines = [{"step": 10, **worth}] if worth else []
    else:
        best = {name: value / 2 for name, value in outcome.items()}
        summary = summary_of("finished", outcome, best)
        lines = [
            {"step": step, **{name: value * factor for name, value in outcome.items()}}
            for step, factor in ((10, 4.0), (20, 0.5), (30, 1.0))
        ]
    record = read(write(root, config, summary, lines).folder)
    assert record is not None
    return record


@pytest.fixture(scope="session")
def sample_root() -> Path:
    """The data folder of this checkout, with the sample of MNIST in it: fetched once."""
    import yaml

    from tasks.sources import fetch

    sources = yaml.safe_load((ROOT / "conf/task/sources/mnist.yaml").read_text())
    fetch(sources["sample"], ROOT / "data" / "mnist")
    return ROOT / "data"
