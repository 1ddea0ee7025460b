"""What can be typed: `python -m scripts.list [tasks|optims|studies] [--json]`."""

import argparse
import json
import logging
import sys
from collections.abc import Callable
from typing import Any

from engine import search_path
from engine.checks import SOURCES, BadInput
from engine.config import compose, names
from engine.console import log_to_console, refuse
from engine.make import meta_task
from engine.yaml_files import YamlError, read_yaml
from results.plan import all_studies
from scripts.flags import take_config_dirs, with_short_errors
from scripts.version import show_version

log = logging.getLogger("adamily")

EXAMPLES = """\
examples:
  python -m scripts.list
  python -m scripts.list tasks
  python -m scripts.list studies --json
"""


def main() -> None:
    if show_version():
        return
    parser = argparse.ArgumentParser(
        prog="scripts.list",
        description="List tasks, optimizers and studies. --config-dir=FOLDER, several if you like, "
        "adds YAML files of your own, laid out as conf/.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("what", nargs="?", choices=list(LISTS), help="default: all three")
    parser.add_argument("--json", action="store_true", help="for programs")
    try:
        parser = with_short_errors(parser, "see python -m scripts.list --help")
        flags = parser.parse_args(take_config_dirs(sys.argv[1:]))
    except BadInput as error:
        refuse(error)
    log_to_console()
    lists = {flags.what: LISTS[flags.what]} if flags.what else LISTS
    listed = {name: make() for name, make in lists.items()}
    if flags.json:
        print(json.dumps(listed[flags.what] if flags.what else listed, indent=2))
        return
    for name, entries in listed.items():
        print_entries(name, entries)


def entries_of(group: str, entry: Callable[[str], dict[str, Any]]) -> list[dict[str, Any]]:
    """An entry for each name of a group; a wrong YAML is named in a warning and left out."""
    entries = []
    for name in names(group):
        try:
            entries.append({"name": name} | entry(name))
        except (BadInput, YamlError) as error:
            log.warning("%s %s is left out: %s", group, name, error)
    return entries


def tasks() -> list[dict[str, Any]]:
    """Every task with its trainable parameters, and its full budget on each data source."""
    return entries_of("task", task_entry)


def task_entry(name: str) -> dict[str, Any]:
    tasks_by_data = {data: task_of(name, data) for data in SOURCES}
    parameters = tasks_by_data["full"].model.parameters()
    return {
        "parameters": sum(parameter.numel() for parameter in parameters if parameter.requires_grad),
        "steps": {data: task.steps for data, task in tasks_by_data.items()},
    }


def task_of(name: str, data: str) -> Any:
    return meta_task(compose([f"task={name}", f"data={data}"]))


def optims() -> list[dict[str, Any]]:
    """Every optimizer with its class and the settings of its YAML."""
    return entries_of("optim", optim_entry)


def optim_entry(name: str) -> dict[str, Any]:
    path = search_path.find(f"optim/{name}.yaml")
    settings = read_yaml(path) if path else None
    if not isinstance(settings, dict) or "_target_" not in settings:
        raise BadInput(f"{path}: _target_ is missing: the name of a class")
    target = settings.pop("_target_")
    settings.pop("_partial_", None)
    return {"class": target, "settings": settings}


def studies() -> list[dict[str, Any]]:
    """Every study with what it reproduces and how many runs each profile asks for."""
    return [
        {
            "name": study.name,
            "title": study.title,
            "reproduces": study.reproduces,
            "runs": {profile: len(study.cells(profile, "full")) for profile in study.profiles},
        }
        for study in all_studies()
    ]


LISTS = {"tasks": tasks, "optims": optims, "studies": studies}


def print_entries(title: str, entries: list[dict[str, Any]]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(*(entries[0] if entries else ()), title=title, title_justify="left")
    for entry in entries:
        table.add_row(*(show(value) for value in entry.values()))
    Console().print(table)


def show(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key} {show(item)}" for key, item in value.items())
    if isinstance(value, list):
        return ", ".join(map(show, value))
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)


if __name__ == "__main__":
    main()
