"""Titles of a run, for a line of text."""

from collections.abc import Iterator, Mapping
from typing import Any

from engine import search_path
from engine.texts import hydra_text
from engine.yaml_files import YamlError, read_yaml


def optimizer_title(config: dict[str, Any]) -> str:
    """Its name, learning rate and what differs from its YAML: "lp_adam lr=0.001 p=3"."""
    name = config["names"]["optim"]
    defaults = dict(leaves(defaults_of(name)))
    shown = [
        f"{key}={hydra_text(value)}"
        for key, value in leaves(config["optim"])
        if key == "lr" or not is_default(value, defaults.get(key))
    ]
    return " ".join([name, *shown])


def defaults_of(name: str) -> dict[str, Any]:
    """What an optimizer's YAML says; nothing where it is gone or cannot be read any more."""
    path = search_path.find(f"optim/{name}.yaml")
    try:
        return (path and read_yaml(path)) or {}
    except (OSError, YamlError):
        return {}


def leaves(settings: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, Any]]:
    """The hyperparameters by their dotted keys."""
    for key, value in settings.items():
        if isinstance(value, dict):
            yield from leaves(value, f"{before}{key}.")
        elif not key.startswith("_"):
            yield before + key, value


def is_default(value: Any, default: Any) -> bool:
    """Whether it is what the YAML says, which may refer to another value as ${.lr}."""
    return value == default or (isinstance(default, str) and "${" in default)


def run_title(config: dict[str, Any]) -> str:
    """For example "mnist_fc2 (sample, smoke) adam lr=0.001 seed=0"; in a sweep, its label."""
    if config.get("label"):
        return config["label"]
    source = f"({config['data']}, {config['profile']})"
    return f"{config['names']['task']} {source} {optimizer_title(config)} seed={config['seed']}"
