"""What makes two runs the same run: a hash of all that decides the outcome."""

import hashlib
import json
from pathlib import Path
from typing import Any

# Everything else in a run's config says how it is carried out (device, logger, launcher, paths).
DECIDES_OUTCOME = (
    "names",
    "task",
    "optim",
    "schedule",
    "precision",
    "clip_norm",
    "accumulate",
    "seed",
    "profile",
)

# Where data come from does not matter; what they are does, and their hash says that.
PLACES = ("mirrors", "package", "page")


def identity(config: dict[str, Any]) -> dict[str, Any]:
    """The part of a resolved config that decides the run's outcome."""
    task = dict(config["task"])
    if task.get("steps") is not None:
        task.pop("epochs", None)  # the steps stand in for them
    if "sources" in task:
        source = task.pop("sources")[task["data"]]
        task["source"] = without_places(source)
    return {key: config[key] for key in DECIDES_OUTCOME} | {"task": task}


def without_places(source: dict[str, Any]) -> dict[str, Any]:
    """What a source says of its files; a source may be made of several."""
    return {
        key: without_places(value) if isinstance(value, dict) else value
        for key, value in source.items()
        if key not in PLACES
    }


def run_id(config: dict[str, Any]) -> str:
    """Twelve hex digits that two configs share if and only if they ask for the same run."""
    return hash_identity(identity(config))


def hash_identity(decides: dict[str, Any]) -> str:
    """A run's id by what `identity` gives for its config, as it is kept with results."""
    text = json.dumps(canonical(decides), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def run_path(config: dict[str, Any]) -> Path:
    """A run's folder in the folder of all runs, `<task>/<optim>/<id>`.

    Raises:
        ValueError: a name is no name of one folder, and would lead elsewhere.
    """
    task, optim = config["names"]["task"], config["names"]["optim"]
    for name in (task, optim):
        if name in ("", ".", "..") or set(name) & {"/", "\\", "\0"}:
            raise ValueError(f"{name!r} is no name for a folder of runs")
    return Path(task, optim, run_id(config))


def canonical(value: Any) -> Any:
    """The same value in one spelling: 1 and 1.0 are one learning rate."""
    if isinstance(value, dict):
        return {str(key): canonical(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [canonical(item) for item in value]
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value
