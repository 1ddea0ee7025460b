"""What the page is given in its tests: three studies, a verdict, and thirty runs of a grid."""

import math
from pathlib import Path
from typing import Any

from engine.records import Record, recalled
from results.page import page
from results.payload import looks_payload
from results.payload_runs import runs_payload
from results.style import looks

HOSTILE = "</script><img src=x onerror=\"document.title='owned'\"> & <!-- \u2028 é 漢 {{payload}}"
METHODS = ["AMSGrad", "LP-Adam", "Adam"]
OPTIMS = ["amsgrad", "lp_adam", "adam"]
RATES = [1e-4, 1e-3, 1e-2, 1e-1]


def write_page(path: Path, payload: dict[str, Any], curves: bytes = b"") -> None:
    path.write_text(page(payload, curves), encoding="utf-8")


def curve(start: float, speed: float, points: int = 20) -> dict[str, list[Any]]:
    steps = [10 * (i + 1) for i in range(points)]
    mean = [start * math.exp(-speed * i / points) for i in range(points)]
    return {
        "step": steps,
        "mean": mean,
        "low": [0.9 * value for value in mean],
        "high": [1.15 * value for value in mean],
    }


def study_curves() -> list[dict[str, Any]]:
    found = []
    for i, row in enumerate(METHODS):
        loss = curve(2.3, 2.0 + i)
        rising = curve(1.0, 2.0 + i)
        # Smaller error is higher accuracy, so the edges of the band change places.
        accuracy = {
            "step": rising["step"],
            "mean": [1 - 0.9 * value for value in rising["mean"]],
            "low": [1 - 0.9 * value for value in rising["high"]],
            "high": [1 - 0.9 * value for value in rising["low"]],
        }
        metrics = {"test/accuracy": accuracy | {"seeds": 2}, "train/loss": loss | {"seeds": 2}}
        found.append({"row": row, "column": "FC-2", "point": "lr=0.001", "metrics": metrics})
    found[0]["metrics"]["train/loss"]["mean"][5] = None
    found[0]["metrics"]["train/loss"]["low"][5] = None
    return found


def study_sensitivity() -> list[dict[str, Any]]:
    found = []
    for i, row in enumerate(METHODS):
        mean: list[float | None] = [0.8 + 0.02 * i, 0.93, 0.9 - 0.05 * i, None if i else 0.4]
        values = {
            "x": RATES,
            "mean": mean,
            "low": [None if value is None else value - 0.02 for value in mean],
            "high": [None if value is None else value + 0.02 for value in mean],
            "diverged": [0, 0, 0, 2 if i else 1],
        }
        loss = values | {"mean": [1.1, 0.3, 0.5, None], "low": [1.0, 0.2, 0.4, None]}
        loss["high"] = [1.3, 0.35, 0.7, None]
        found.append(
            {
                "row": row,
                "column": "FC-2",
                "key": "optim.lr",
                "metrics": {"test/accuracy": values, "train/loss": loss},
            }
        )
    return found


def study_figures() -> list[dict[str, Any]]:
    """Losses over two settings in a logarithmic scale, counts of entries, and paths."""
    over_grid = {
        "name": "fig12",
        "title": HOSTILE,
        "metric": "train/loss",
        "shade": "train/loss",
        "x": "optim.betas.1",
        "y": "optim.betas.0",
        "range": [0.01, 1.0],
        "panels": [
            {
                "name": "Adam",
                "x": ["0.1", "0.999"],
                "y": ["0.5", "0.9"],
                "texts": [["0.01", "0.1*"], ["nan", ""]],
                "colours": [[0.01, 0.1], [None, None]],
            },
            {
                "name": "LaProp",
                "x": ["0.1", "0.999"],
                "y": ["0.5", "0.9"],
                "texts": [["1", "0.1"], ["0", "0.01"]],
                "colours": [[1.0, 0.1], [0.0, 0.01]],
            },
        ],
    }
    trials = {"x": ["1", "2"], "y": [], "texts": [["3", "7"]], "colours": [[0.4, 0.9]]}
    counted = over_grid | {
        "name": "swaps",
        "shade": "test/accuracy",
        "x": "trial",
        "y": None,
        "range": [0.4, 0.9],
        "panels": [{"name": "AMSGrad", **trials}],
    }
    lines = [
        {"row": row, "column": column, "x": [0.0, 1.0, 0.5], "mean": [0.1 + i, 0.2, 0.3]}
        for column in ("one", "two")
        for i, row in enumerate(METHODS[1:])
    ]
    path = {"x": "test/accuracy", "metric": "train/loss", "lines": lines}
    path |= {"label": "training loss", "log": True, "normalised": False}
    return [over_grid, counted, {"name": "path", "title": "Figure 1"} | path]


def run_record(i: int) -> Record:
    optim, rate, seed = OPTIMS[i % 3], RATES[(i // 3) % 4], i // 12
    status = "diverged" if rate == 1e-1 and optim == "adam" else "failed" if i == 4 else "finished"
    good = status == "finished"
    accuracy = 0.9 + 0.003 * ((7 * i) % 30) if good else None
    values = curve(2.3, 1 + 0.1 * i)
    settings: dict[str, Any] = {"_target_": "torch.optim.Adam", "lr": rate, "betas": [0.9, 0.999]}
    settings |= {"p": 1.2 if i % 2 else 6} if optim == "lp_adam" else {}
    config = {
        "names": {"task": "mnist_fc2", "optim": optim},
        "task": {"_target_": "tasks.Mnist", "data": "sample", "batch_size": 32},
        "optim": settings,
        "profile": "smoke",
        "data": "sample",
        "seed": seed,
    }
    summary = {
        "status": status,
        "step": 200 if good else 40,
        "steps": 200,
        "final": {"test/accuracy": accuracy, "train/loss": 0.05 + 0.01 * i},
        "best": {"test/accuracy": {"value": accuracy, "step": 190}} if good else {},
        "wall_seconds": 4.1 + i,
        "step_seconds": 0.02,
        "error": HOSTILE if status == "failed" else None,
    }
    environment = {"device": "cpu", "cpu": "two cores", "git_commit": "abc1234", "gpu": None}
    lines = [
        {"step": step, "train/loss": value, "epoch": step / 50, "time/train_seconds": step / 100}
        for step, value in zip(values["step"], values["mean"], strict=True)
    ]
    folder = Path(f"runs/mnist_fc2/{optim}/{0x3F2A91C0D000 + 7919 * i:012x}")
    return recalled(
        folder, config, summary=summary, environment=environment, lines=lines, pauses={}
    )


RUNS = [run_record(i) for i in range(30)]


def study(name: str, **more: Any) -> dict[str, Any]:
    return {
        "name": name,
        "title": f"Study {name}",
        "paper": name.split("/")[0],
        "citation": "Daley and Amato, Investigating Alternatives to the Root Mean Square",
        "reproduces": ["table 2 (FC-2)", "figure 2a"],
        "notes": ["The sample source is 5,000 MNIST images."],
        "profiles": {"paper": 300, "short": 90, "smoke": 30},
        "metrics": ["test/accuracy"],
        "looks": looks_payload(looks({row: {"optim": row.lower()} for row in METHODS})),
        "variants": [],
    } | more


def quantity(
    text: str, value: float, printed: str = "–", mark: str | None = None
) -> dict[str, Any]:
    found = {"text": text, "value": value, "printed": printed, "mark": mark, "inside": "–"}
    return found | {"interval": "–", "difference": "–", "difference_interval": "–"}


def study_table(columns: list[str]) -> dict[str, Any]:
    """In the last column, of which the other method has nothing, the first is the best."""
    marks = ["best", "tied", None]
    cells = [
        {
            "row": row,
            "column": column,
            "point": {"optim.lr": quantity("0.001", 0.001, "0.003") | {"ratio": "× 0.333"}},
            "metrics": {
                "test/accuracy": quantity(f"0.9{i}{j}", 0.9 + i / 100 + j / 1000, "98.2", marks[i]),
                "train/loss": quantity(f"0.{i}", i / 10),
            },
            "ended": 10,
            "planned": 12,
            "cut": 0,
            "diverged": i,
        }
        for j, column in enumerate(columns)
        for i, row in enumerate(METHODS if j == 0 else METHODS[:2])
    ]
    found = {"columns": columns, "rows": METHODS, "keys": ["optim.lr"], "chosen": "best"}
    return found | {"metrics": ["test/accuracy", "train/loss"], "cells": cells}


def standing(task: str, optim: str, best: float) -> dict[str, Any]:
    searched = {str(rate): best - 0.1 * i for i, rate in enumerate(RATES[:3])} | {"0.1": None}
    return {"task": task, "optim": optim, "rate": RATES[0], "searched": searched}


def verdict() -> dict[str, Any]:
    """Lion, which is better on one task, no different on another, and cannot train a third."""
    found = {
        "task": "digits",
        "judgement": "better",
        "final": {"difference": {"center": 0.2, "low": 0.1, "high": 0.3}, "n": 5},
        "p_final": 0.0004,
        "ours": standing("digits", "Lion", 0.9),
        "theirs": standing("digits", "AdamW", 0.8),
        "problem": "",
        "worse": False,
    }
    open_ended = {"center": -0.01, "low": None, "high": None}
    close = found | {"task": "news", "judgement": "not told apart", "p_final": None}
    close["final"] = {"difference": open_ended, "n": 1}
    lost = found | {"task": "reviews", "judgement": "worse", "final": None, "p_final": None}
    lost |= {"ours": None, "problem": "Lion diverges at every learning rate", "worse": True}
    overall = {"mean_score": 1.1, "iqm": {"center": 1.05, "low": 0.9, "high": 1.2}}
    overall |= {"step_score": 0.7, "second_score": None}
    labels = ["Lion", "AdamW"]
    return {
        "name": "laptop/lion.short.sample",
        "files": ["laptop/lion.short.sample.md", "laptop/lion.short.sample.scores.png"],
        "looks": looks_payload(looks({label: {"optim": label.lower()} for label in labels})),
        "suite": "laptop",
        "title": "Small tasks",
        "profile": "short",
        "made_with": "Suite laptop, profile short, sample data",
        "command": "python -m scripts.compare optim=lion",
        "chosen_by": {"digits": "test/accuracy", "news": "train/loss", "reviews": "test/accuracy"},
        "optim": "Lion",
        "against": "AdamW",
        "tasks": [found, close, lost],
        "iqm": None,
        "others": {label: [standing("digits", label, 0.9)] for label in labels},
        "overall": {label: overall | {"rank": i + 1} for i, label in enumerate(labels)},
        "profiles": {"factors": [1, 3, 10], "steps": {label: [0, 0.5, 1] for label in labels}},
        "sentences": ["Lion is better than AdamW on digits of 3 tasks."],
    }


def make_payload() -> tuple[dict[str, Any], bytes]:
    """What the page is given, and the curves of its runs."""
    runs = runs_payload(RUNS)
    table = {
        "headers": ["method", "lr", "accuracy", "95% interval", "printed"],
        "rows": [[row, "1e-3", f"0.93{i}", "0.91 – 0.95", "98.2"] for i, row in enumerate(METHODS)],
    }
    smoke = {
        "profile": "smoke",
        "data": "sample",
        "status": status(30, 26, 2, 1) | {"not_begun": 1, "rows": 4},
        "paper_table": study_table(["FC-2"]),
        "files": [f"lp_adam/fc2.smoke.sample.{end}" for end in ("md", "csv", "tex", "fig2.png")],
        "table": table,
        "warnings": ["1 of 30 runs has no record.", HOSTILE],
        "hardware": ["two cores"],
        "commits": ["abc1234 (dirty)"],
        "curves": study_curves(),
        "sensitivity": study_sensitivity(),
        "figures": study_figures(),
        "command": "python -m scripts.sweep study=lp_adam/fc2 profile=smoke data=sample",
        "runs": list(range(30)),
        "absent": 0,
    }
    paper = smoke | {
        "profile": "paper",
        "data": "full",
        "status": status(300, 12, 0, 0),
        "warnings": [],
        "curves": study_curves()[:1],
        "sensitivity": [],
        "figures": [],
        "runs": [],
        "absent": 1,
    }
    # Two columns of which the second has another metric, and a setting whose values include zero.
    perplexity = {"test/perplexity": curve(200.0, 1.0)}
    decay: dict[str, Any] = study_sensitivity()[0] | {"key": "optim.weight_decay"}
    decay["metrics"]["test/accuracy"]["x"] = [0, 1e-4, 1e-3, 1e-2]
    short = smoke | {
        "profile": "short",
        "paper_table": study_table(["CNN", "LSTM"]),
        "curves": [
            *study_curves(),
            {"row": HOSTILE, "column": "LSTM", "point": None, "metrics": perplexity},
        ],
        "sensitivity": [*study_sensitivity(), decay],
    }
    payload = {
        "title": "adamily",
        "curve_points": 64,
        "looks": looks_payload(looks({name: {"optim": name} for name in OPTIMS})),
        "suites": [verdict()],
        "generated": "2026-11-21T23:50:00Z",
        "version": "0.1.0",
        "metrics": {
            "test/accuracy": {"label": "test accuracy", "better": "max", "log": False},
            "train/loss": {"label": "training loss", "better": "min", "log": True},
        },
        "studies": [
            study("lp_adam/fc2", title="MNIST, two dense layers", variants=[smoke, paper]),
            study("lp_adam/vgg", title=HOSTILE),
            study("padam/cifar10", citation="Chen et al., Closing the Gap", variants=[short]),
        ],
        "runs": runs.index,
    }
    return payload, runs.curves


def status(planned: int, finished: int, diverged: int, failed: int) -> dict[str, int]:
    found = {"planned": planned, "finished": finished, "diverged": diverged, "failed": failed}
    return found | {"cut": 0, "not_begun": 0, "rows": 3}
