"""How a run is called in a line of text."""

from typing import Any

# Of the optimizer's settings, those that its name alone does not tell.
SETTINGS_IN_TITLE = ("lr", "p", "partial", "weight_decay")


def optimizer_title(config: dict[str, Any]) -> str:
    """For example "adam lr=0.001"."""
    settings = {k: config["optim"][k] for k in SETTINGS_IN_TITLE if config["optim"].get(k)}
    return " ".join([config["names"]["optim"], *(f"{k}={v}" for k, v in settings.items())])


def run_title(config: dict[str, Any]) -> str:
    """For example "mnist_fc2 (sample, smoke) adam lr=0.001 seed=0"."""
    source = f"({config['data']}, {config['profile']})"
    return f"{config['names']['task']} {source} {optimizer_title(config)} seed={config['seed']}"
