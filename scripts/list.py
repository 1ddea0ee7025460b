"""What can be typed: `python -m scripts.list [tasks|optims|studies|suites] [--json]`."""

import argparse
import json
import logging
import shutil
import sys
import textwrap
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from engine import search_path
from engine.checks import SOURCES, BadInput
from engine.config import compose_unresolved, names, resolve_and_check
from engine.console import log_to_console, refuse
from engine.make import check_classes, meta_task
from engine.signatures import EXTRAS, find_target
from engine.texts import hydra_text
from engine.yaml_files import YamlError, read_yaml
from results.plan import all_studies
from results.study import PROFILES
from results.suite import find_suite
from scripts.flags import take_config_dirs, with_short_errors
from scripts.list_cache import kept
from scripts.version import show_version

log = logging.getLogger("adamily")

EXAMPLES = """\
examples:
  python -m scripts.list
  python -m scripts.list tasks
  python -m scripts.list studies --json
"""

Entry = dict[str, Any]

# Columns of a terminal that a description needs beside a name, or else it stands below.
LEAST = 24


def main() -> None:
    if show_version():
        return
    parser = argparse.ArgumentParser(
        prog="scripts.list",
        description="List tasks, optimizers, studies and suites. --config-dir=FOLDER, several if "
        "you like, adds YAML files of your own, laid out as conf/.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("what", nargs="?", choices=list(LISTS), help="default: all four")
    parser.add_argument("--json", action="store_true", help="for programs")
    try:
        parser = with_short_errors(parser, "see python -m scripts.list --help")
        flags = parser.parse_args(take_config_dirs(sys.argv[1:]))
    except BadInput as error:
        refuse(error)
    log_to_console()
    lists = {flags.what: LISTS[flags.what]} if flags.what else LISTS
    listed = {name: kept(name, GROUPS[name], make) for name, make in lists.items()}
    if flags.json:
        print(json.dumps(listed[flags.what] if flags.what else listed, indent=2))
        return
    # What reads a pipe wants an entry in a line.
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
    print("\n\n".join("\n".join(page(name, listed[name], width)) for name in listed))


def entries_of(group: str, entry: Callable[[str], Entry]) -> list[Entry]:
    """An entry for each name of a group; a wrong YAML is named in a warning and left out."""
    entries = []
    for name in names(group):
        try:
            entries.append({"name": name} | entry(name))
        except (BadInput, YamlError) as error:
            log.warning("%s %s is left out: %s", group, name, error)
    return entries


# -- what there is ---------------------------------------------------------------------------------


def tasks() -> list[Entry]:
    """Every task with its trainable parameters, and its full budget on each data source.

    Where what a task needs is not installed, they are not known. `data` has the sources from which
    there is something to fetch, `extras` the extra that each source needs.
    """
    return entries_of("task", task_entry)


def task_entry(name: str) -> Entry:
    composed = compose_unresolved([f"task={name}"])
    configs = {data: resolve_and_check(composed, {"data": data}, ()) for data in SOURCES}
    settings = configs["full"]["task"]
    extras = getattr(find_target("task", settings["_target_"]), "extras", {})
    needs = {
        "data": [data for data in SOURCES if data in settings.get("sources", {})],
        "extras": dict(extras),
    }
    try:
        made = {data: task_of(config) for data, config in configs.items()}
    except BadInput as error:
        if not extras:
            raise
        log.warning("task %s: %s", name, error)
        return {"parameters": None, "steps": {}} | needs
    parameters = made["full"].model.parameters()
    return {
        "parameters": sum(parameter.numel() for parameter in parameters if parameter.requires_grad),
        "steps": {data: task.steps for data, task in made.items()},
    } | needs


def task_of(config: Entry) -> Any:
    """Raise BadInput where it cannot be made."""
    check_classes(config)
    return meta_task(config)


def optims() -> list[Entry]:
    """Every optimizer with its class, the settings of its YAML, and the extra that it needs."""
    return entries_of("optim", optim_entry)


def optim_entry(name: str) -> Entry:
    path = search_path.find(f"optim/{name}.yaml")
    settings = read_yaml(path) if path else None
    if not isinstance(settings, dict) or "_target_" not in settings:
        raise BadInput(f"{path}: _target_ is missing: the name of a class")
    target = settings.pop("_target_")
    settings.pop("_partial_", None)
    extra = EXTRAS.get(str(target).partition(".")[0])
    return {"class": target, "settings": settings, "extra": extra}


def studies() -> list[Entry]:
    """Every study with what it reproduces and how many runs each profile asks for.

    `confirming` has those that come on top, for the points that are chosen.
    """
    return [
        {
            "name": study.name,
            "title": study.title,
            "reproduces": study.reproduces,
            "runs": {profile: study.count(profile) for profile in study.profiles},
            "confirming": {
                profile: study.confirm_count(profile) * len(list(study.pairs(profile)))
                for profile in study.profiles
            },
        }
        for study in all_studies()
    ]


def suites() -> list[Entry]:
    """Every suite with its studies, and how many runs it takes to compare one optimizer."""
    return entries_of("suite", suite_entry)


def suite_entry(name: str) -> Entry:
    suite = find_suite(name)
    alone = [replace(one, rows={suite.against: one.rows[suite.against]}) for one in suite.studies]
    profiles = [p for p in PROFILES if all(p in study.profiles for study in alone)]
    return {
        "title": suite.title,
        "data": suite.data,
        "against": suite.against,
        "studies": [study.name for study in suite.studies],
        "runs": {
            profile: sum(study.count(profile) + study.confirm_count(profile) for study in alone)
            for profile in profiles
        },
    }


# The group in conf/ of each list.
GROUPS = {"tasks": "task", "optims": "optim", "studies": "study", "suites": "suite"}
LISTS = {"tasks": tasks, "optims": optims, "studies": studies, "suites": suites}


# -- for people ------------------------------------------------------------------------------------


def page(name: str, entries: Sequence[Entry], width: int | None) -> Iterator[str]:
    """The lines that people read of a list.

    Args:
        name: of the list.
        entries: what is in it.
        width: of the terminal, in columns; None: nothing is wrapped.
    """
    titles, row, note = PAGES[name]
    yield f"{name} ({len(entries)})"
    yield from columns([titles, *map(row, entries)], width)
    yield from textwrap.wrap(note, width or len(note))


def columns(rows: Sequence[Sequence[str]], width: int | None) -> Iterator[str]:
    """Rows as lines, their last texts wrapped between words, and all others whole."""
    widths = [max(map(len, texts)) for texts in list(zip(*rows, strict=True))[:-1]]
    for *texts, last in rows:
        start = "".join(f"{text:{size}}  " for text, size in zip(texts, widths, strict=True))
        room = len(last) if width is None else width - len(start)
        if width is not None and len(last) > room < LEAST:
            yield start.rstrip()
            start, room = "    ", width - 4
        lines = textwrap.wrap(last, max(room, 1), break_long_words=False, break_on_hyphens=False)
        for line in lines or [""]:
            yield f"{start}{line}".rstrip()
            start = " " * len(start)


def task_row(entry: Entry) -> list[str]:
    steps = [number(entry["steps"].get(data)) for data in SOURCES]
    sample = "yes" if "sample" in entry["data"] else "no" if entry["data"] else "no data"
    return [entry["name"], number(entry["parameters"]), *steps, sample, extras(entry["extras"])]


def extras(by_data: Mapping[str, str]) -> str:
    if set(by_data) == set(SOURCES) and len(set(by_data.values())) == 1:
        return next(iter(by_data.values()))
    return ", ".join(f"{data}: {extra}" for data, extra in by_data.items())


def optim_row(entry: Entry) -> list[str]:
    described = [str(entry["class"]), *typed_settings(entry["settings"])]
    return [entry["name"], entry["extra"] or "", " ".join(described)]


def typed_settings(settings: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    """Settings as they are typed, those of groups with dots."""
    for key, value in settings.items():
        if isinstance(value, dict):
            yield from typed_settings(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}={hydra_text(value)}"


def study_row(entry: Entry) -> list[str]:
    runs, confirming = entry["runs"], entry["confirming"]
    counts = [
        number(runs.get(profile)) + (f"+{confirming[profile]:,}" if confirming.get(profile) else "")
        for profile in PROFILES
    ]
    reproduces = f" ({', '.join(entry['reproduces'])})" if entry["reproduces"] else ""
    return [entry["name"], *counts, f"{entry['title']}{reproduces}"]


def suite_row(entry: Entry) -> list[str]:
    counts = [number(entry["runs"].get(profile)) for profile in PROFILES]
    studied = f"{', '.join(entry['studies'])}; against {entry['against']}; data={entry['data']}"
    return [entry["name"], *counts, f"{entry['title']}: {studied}"]


def number(value: int | None) -> str:
    return "-" if value is None else f"{value:,}"


# Of each list: titles, what makes a row of an entry, and what stands below.
PAGES: dict[str, tuple[list[str], Callable[[Entry], list[str]], str]] = {
    "tasks": (
        ["name", "parameters", "steps", "on sample", "sample", "extra"],
        task_row,
        "pip install 'adamily[EXTRA]' brings what the extra's tasks need.",
    ),
    "optims": (
        ["name", "extra", "class and settings"],
        optim_row,
        "Settings are typed as optim.KEY=VALUE, a list in quotes: 'optim.betas=[0.9,0.95]'.",
    ),
    "studies": (
        ["name", *PROFILES, "what it is"],
        study_row,
        "Numbers are runs; those behind a + confirm what is chosen. python -m scripts.sweep, with "
        "dry_run=true, says how long they take.",
    ),
    "suites": (
        ["name", *PROFILES, "what it is"],
        suite_row,
        "Numbers are the runs of one optimizer; python -m scripts.compare optim=NAME suite=SUITE "
        "trains them.",
    ),
}


if __name__ == "__main__":
    main()
