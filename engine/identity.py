"""A run's identity: a hash of all that decides its outcome."""

import hashlib
import json
from pathlib import Path
from typing import Any

# The rest of a run's config is about how it is carried out: device, logger, launcher, paths.
DECIDES_OUTCOME = (
    "names",
    "task",
    "optim",
    "schedule",
    "precision",
    "clip_norm",
    "accumulate",
    "eval_first",
    "seed",
    "profile",
)

# Not where data come from matters, but what they are, which their hash says.
LOCATION_KEYS = ("mirrors", "package", "page")

# Keys that are younger than runs that people keep, with the value at which a run is what it was
# before there was such a key: at it, they are no part of the identity. Those of an optimizer go by
# its class.
YOUNGER: dict[str, Any] = {
    "eval_first": False,
    "task": {
        "valid": None,
        "drop_last": True,
        "zeros_after": None,
        "epsilon_starts": 0,
        "box": None,
        "random_lengths": False,
        "eval_words": None,
        "activation_penalty": 0,
        "change_penalty": 0,
        "model": {"shortcut": "padding"},
    },
    "schedule": {"scale_decay": False, "normalised_decay": False},
}
YOUNGER_OF_OPTIM: dict[str, dict[str, Any]] = {
    "optim.AdamAL": {"variant": "equation", "project": None},
    "optim.MAdam": {"variant": "authors"},
}


def identity(config: dict[str, Any]) -> dict[str, Any]:
    """The part of a resolved config that decides the run's outcome."""
    task = dict(config["task"])
    if task.get("steps") is not None:
        task.pop("epochs", None)  # overridden by the steps
    if "sources" in task:
        source = task.pop("sources")[task["data"]]
        task["source"] = without_locations(source)
    optim = dict(config["optim"])
    optim = without_younger(optim, YOUNGER_OF_OPTIM.get(str(optim.get("_target_")), {}))
    if "groups" in optim:
        optim["groups"] = list(optim["groups"].items())  # of which the first takes a parameter
    parts = {key: config[key] for key in DECIDES_OUTCOME if key in config}
    return without_younger(parts | {"task": task, "optim": optim}, YOUNGER)


def without_younger(part: dict[str, Any], younger: dict[str, Any]) -> dict[str, Any]:
    """A part without the younger keys that have the value of before, also in parts of it."""
    inner = {key: value for key, value in younger.items() if isinstance(value, dict)}
    return {
        key: without_younger(value, inner[key])
        if key in inner and isinstance(value, dict)
        else value
        for key, value in part.items()
        if key in inner or key not in younger or value != younger[key]
    }


def without_locations(source: dict[str, Any]) -> dict[str, Any]:
    """A source without what only says where it is, also in nested sources."""
    return {
        key: without_locations(value) if isinstance(value, dict) else value
        for key, value in source.items()
        if key not in LOCATION_KEYS
    }


def run_id(config: dict[str, Any]) -> str:
    """Twelve hex digits, the same for two configs if and only if they are of the same run."""
    return hash_identity(identity(config))


def hash_identity(identity_values: dict[str, Any]) -> str:
    """A run's id, from the `identity` of its config, which is kept with results."""
    text = json.dumps(canonical(identity_values), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def run_path(config: dict[str, Any]) -> Path:
    """A run's folder in the folder of all runs, `<task>/<optim>/<id>`.

    Raises:
        ValueError: a name is not that of a single folder, and would lead elsewhere.
    """
    task, optim = config["names"]["task"], config["names"]["optim"]
    for name in (task, optim):
        if name in ("", ".", "..") or set(name) & {"/", "\\", "\0"}:
            raise ValueError(f"{name!r} is no name for a folder of runs")
    return Path(task, optim, run_id(config))


def canonical(value: Any) -> Any:
    """The value in a normal form: 1 and 1.0 are the same learning rate."""
    if isinstance(value, dict):
        return {str(key): canonical(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [canonical(item) for item in value]
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value
