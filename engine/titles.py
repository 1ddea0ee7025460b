"""Titles of a run, for a line of text."""

from typing import Any

from engine import search_path
from engine.texts import hydra_text
from engine.yaml_files import read_yaml


def optimizer_title(config: dict[str, Any]) -> str:
    """Its name, learning rate and what differs from its YAML: "lp_adam lr=0.001 p=3"."""
    name, settings = config["names"]["optim"], config["optim"]
    path = search_path.find(f"optim/{name}.yaml")
    defaults = read_yaml(path) if path else {}
    shown = [key for key, value in settings.items() if key == "lr" or value != defaults.get(key)]
    simple = [key for key in shown if not (key.startswith("_") or isinstance(settings[key], dict))]
    return " ".join([name, *(f"{key}={hydra_text(settings[key])}" for key in simple)])


def run_title(config: dict[str, Any]) -> str:
    """For example "mnist_fc2 (sample, smoke) adam lr=0.001 seed=0"."""
    source = f"({config['data']}, {config['profile']})"
    return f"{config['names']['task']} {source} {optimizer_title(config)} seed={config['seed']}"
