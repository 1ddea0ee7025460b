"""What loggers are told about a run, and how it ended, whether it trains now or did before."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.labels import settings
from engine.metrics import headline_of
from engine.titles import optimizer_title

Column = str | float | bool


@dataclass(frozen=True)
class RunInfo:
    """What every logger is told about a run.

    Attributes:
        id: 12 hexadecimal digits, the run's identity; it stays the same when the run is resumed.
        name: what a dashboard calls it, e.g. "lp_adam lr=0.001 p=3 seed=0".
        group: the study's name, e.g. "lp_adam/fc2"; the task's for a run outside a study.
        tags: paper, task, optimizer, "data:sample", "profile:smoke".
        settings: what decides the run's outcome, on one level: "task", "optim", "lr", "betas.1",
            "seed", …, and "row", the line of the study's table.
        made: "id", "study", and what the run was made on: "commit", "hardware", "threads", "torch".
        config: the resolved config, nested, in plain containers.
        folder: the run's folder.
        step: the step that it starts (0) or resumes from.
        started: when it first started, in ISO 8601; None where that is not known.
    """

    id: str
    name: str
    group: str
    tags: list[str]
    settings: dict[str, Column]
    made: dict[str, Column]
    config: dict[str, Any]
    folder: Path
    step: int = 0
    started: str | None = None

    @property
    def columns(self) -> dict[str, Column]:
        """What runs are grouped, filtered and sorted by."""
        return self.settings | self.made


def describe_run(
    folder: Path, config: dict[str, Any], environment: Mapping[str, Any], step: int = 0
) -> RunInfo:
    """The description of a run for loggers.

    Args:
        folder: the run's.
        config: resolved; `group`, `row` and `label` in it say where a dashboard shows the run.
        environment: as in environment.json.
        step: the one that it starts or resumes from.
    """
    names, group = config["names"], config.get("group")
    tags = [names["task"], names["optim"], f"data:{config['data']}", f"profile:{config['profile']}"]
    if group:
        tags.insert(0, group.partition("/")[0])
    return RunInfo(
        id=folder.name,
        name=config.get("label") or f"{optimizer_title(config)} seed={config['seed']}",
        group=group or names["task"],
        tags=tags,
        settings=told(settings(config) | {"row": config.get("row")}),
        made=told({"id": folder.name, "study": group} | made_on(environment)),
        config=config,
        folder=folder,
        step=step,
        started=environment.get("started"),
    )


def made_on(environment: Mapping[str, Any]) -> dict[str, Any]:
    """The commit, the hardware and the versions that a run was made on."""
    commit, dirty = environment.get("git_commit"), environment.get("git_dirty")
    return {
        "commit": f"{commit} with changes" if commit and dirty else commit,
        "hardware": environment.get("gpu") or environment.get("cpu"),
        "threads": environment.get("threads"),
        "torch": environment.get("packages", {}).get("torch"),
    }


def told(values: Mapping[str, Any]) -> dict[str, Column]:
    """Without null, Hydra's own keys, and the source of the data, which "data" names."""
    return {key: value for key, value in values.items() if value is not None and is_told(key)}


def is_told(key: str) -> bool:
    parts = key.split(".")
    return parts[0] != "source" and not any(part.startswith("_") for part in parts)


def ending(config: Mapping[str, Any], summary: Mapping[str, Any]) -> dict[str, Any]:
    """How a run ended, for loggers.

    Args:
        config: the run's.
        summary: `status`, and what there is of the rest of summary.json.

    Returns:
        These, and the run's result in two columns that all tasks share: headline and its metric.
    """
    names = ("status", "final", "best", "wall_seconds", "steps", "diverged_at")
    headline = headline_of(config)
    return {name: summary[name] for name in names if name in summary} | {
        "headline": summary.get("final", {}).get(headline),
        "headline_metric": headline,
    }
