"""What runs are called in dashboards, and which of them ended without being sent there."""

import logging
import shlex
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

from engine import search_path
from engine.config import names
from engine.console import say
from engine.labels import labels
from engine.loggers import Dashboard, describe
from engine.make import make_loggers
from engine.metrics import import_target
from engine.overrides import given
from engine.run import Run
from engine.texts import hydra_text
from engine.yaml_files import YamlError, read_yaml

Config = dict[str, Any]

log = logging.getLogger("adamily")


def names_of(configs: Sequence[Config]) -> list[str]:
    """What tells each run apart from those that a dashboard shows with it, as its name there."""
    members: dict[tuple[Any, ...], list[int]] = defaultdict(list)
    for number, config in enumerate(configs):
        group = config.get("group") or config["names"]["task"]
        members[group, config["profile"], config["data"]].append(number)
    found = [""] * len(configs)
    for numbers in members.values():
        of_group = labels([configs[number] for number in numbers])
        for number, name in zip(numbers, of_group, strict=True):
            found[number] = name
    return found


def shown_as(name: str, row: str | None = None) -> list[str]:
    """The overrides that say what a run is called in dashboards."""
    return [f"{key}={hydra_text(text)}" for key, text in (("row", row), ("label", name)) if text]


def say_not_logged(runs: Sequence[Run], typed: Sequence[str], study: str | None = None) -> None:
    """Print, for each dashboard of the runs, how many that ended before it does not have.

    Args:
        runs: those that were asked for, with the same loggers.
        typed: the overrides as typed.
        study: the name of the study that asked for them.
    """
    ended = [run.folder for run in runs if run.ended]
    for name, dashboard in dashboards(runs[0].config).items() if ended else ():
        try:
            missing = len(ended) - len(dashboard.logged(ended))
        except Exception as error:  # whatever becomes of a tracker, runs train
            log.warning("%s cannot say which runs it has: %s", name, describe(error))
            continue
        if missing:
            sends = "sends it" if missing == 1 else "sends them"
            command = export_command(name, typed, study)
            say(f"{name}: {missing} not logged, finished before; {command} {sends}")


def dashboard_names() -> list[str]:
    """The names of the loggers to which runs that ended before can be sent."""
    return [name for name in names("logger") if any(map(is_dashboard, nodes_of(name)))]


def nodes_of(name: str) -> Iterable[Any]:
    """What the YAML file of a logger says, by its keys."""
    path = search_path.find(f"logger/{name}.yaml")
    try:
        content = path and read_yaml(path)
    except YamlError:  # whoever chooses it hears of it
        return []
    return content.values() if isinstance(content, dict) else []


def is_dashboard(node: Any) -> bool:
    """Whether a node of such a file is of a class that is a Dashboard."""
    target = node.get("_target_") if isinstance(node, dict) else None
    return hasattr(import_target(str(target)), "logged")


def dashboards(config: Config) -> dict[str, Dashboard]:
    """The loggers of a run to which runs that ended before can be sent, by their names."""
    made = zip(config.get("logger") or {}, make_loggers(config), strict=True)
    return {name: logger for name, logger in made if isinstance(logger, Dashboard)}


def export_command(name: str, typed: Sequence[str], study: str | None) -> str:
    """The command that sends the runs to a dashboard, from the same folder and with its options."""
    kept = [*given(typed, "paths.runs"), *given(typed, f"logger.{name}")]
    lines = [override.input_line or "" for override in kept]
    arguments = [f"to={name}", *([f"study={study}"] if study else []), *lines]
    arguments += [f"--config-dir={folder}" for folder in search_path.named()]
    return f"python -m scripts.export {shlex.join(arguments)}"
