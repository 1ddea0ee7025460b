"""Checks of a study's YAML, before anything trains."""

import re
from collections.abc import Iterable
from typing import Any

from engine.checks import BadInput
from engine.identity import canonical
from engine.metrics import find_metric, names_of_all
from engine.overrides import parts_of, read_override
from engine.texts import hydra_text
from results.study import PROFILES, STATISTICS, Figure, Select, Settings, Study, StudyError, slug

# Keys that the command line sets for every run, or that stand elsewhere in a study.
ELSEWHERE = ("data", "profile", "group", "seed", "grid", "columns")
# Keys whose every part the command line sets: runs in another folder would be in no report.
COMMANDS = ("paths", "sweep", "hydra")


def check(where: str, spec: Settings, tables: Iterable[str]) -> None:
    """Raise StudyError unless `spec` makes a study.

    Args:
        where: the file, which begins every message.
        spec: what it says, defaults included.
        tables: the names of the paper's tables in print.
    """
    check_keys(where, spec, Study.__dataclass_fields__.keys() - {"name"})
    check_line(f"{where}: title", spec["title"])
    for key in ("reproduces", "notes", "report", "published"):
        check_texts(f"{where}: {key}", spec[key])
    for key in ("columns", "rows", "profiles"):
        check_labels(f"{where}: {key}", spec[key])
    check_grid(f"{where}: grid", spec["grid"])
    for label, settings in spec["columns"].items():
        check_choice(
            f"{where}: columns: {label}", settings, spec, required="task", forbidden="optim"
        )
        check_settings(f"{where}: columns: {label}", settings, spec, nested=False)
    for label, settings in spec["rows"].items():
        check_choice(f"{where}: rows: {label}", settings, spec, required="optim", forbidden="task")
        check_settings(f"{where}: rows: {label}", settings, spec, nested=True)
    for label, profile in spec["profiles"].items():
        check_one_of(f"{where}: profiles", label, PROFILES)
        check_profile(f"{where}: profiles: {label}", profile, spec)
    check_count(f"{where}: seeds", spec["seeds"])
    check_select(f"{where}: select", spec["select"])
    check_one_of(f"{where}: statistic", spec["statistic"], STATISTICS)
    for metric in spec["report"]:
        check_metric(f"{where}: report", metric)
    for table in spec["published"]:
        check_one_of(f"{where}: published", table, tables)
    check_figures(f"{where}: figures", spec)


def check_labels(where: str, section: Any) -> None:
    """Columns, rows or profiles: at least one, each by its label with settings."""
    if not mapping(where, section):
        raise StudyError(f"{where}: there are none")
    for label, settings in section.items():
        check_line(where, label)
        mapping(f"{where}: {label}", settings)


def check_settings(where: str, settings: Settings, spec: Settings, nested: bool) -> None:
    """Settings of a row, a column or a profile; `nested`: with settings for one column."""
    for key, value in settings.items():
        check_text(where, key)
        if is_set_elsewhere(key):
            raise StudyError(f"{where}: {key}: a study does not set it for a part of its runs")
        if key in spec["grid"]:
            raise StudyError(f"{where}: {key}: the grid has its values")
        if key == "seeds":
            check_count(f"{where}: seeds", value)
        elif nested and isinstance(value, dict) and key in spec["columns"]:
            check_settings(f"{where}: {key}", value, spec, nested=False)
        elif isinstance(value, dict):
            raise StudyError(f"{where}: there is no column {key}")


def is_set_elsewhere(key: str) -> bool:
    """Whether a study must not set the key for a part of its runs; also with a + before it.

    A column's label, which is a key of settings, too, may not read as an override, and is none.
    """
    try:
        override = read_override(f"{key}=null")
    except BadInput:
        return False
    return override.key_or_group in ELSEWHERE or not parts_of(override).isdisjoint(COMMANDS)


def check_choice(
    where: str, settings: Settings, spec: Settings, required: str, forbidden: str
) -> None:
    """Refuse settings with which a label would name a run of something else.

    A column sets its task and a row its optimizer, `required`, unless the grid does, and neither
    sets the other's, `forbidden`.
    """
    if required not in settings and required not in spec["grid"]:
        raise StudyError(f"{where}: {required}: is missing")
    if forbidden in settings:
        raise StudyError(f"{where}: {forbidden}: columns say their task, rows their optim")


def check_profile(where: str, profile: Settings, spec: Settings) -> None:
    grid = profile.get("grid", {})
    check_grid(f"{where}: grid", grid)
    if unknown := grid.keys() - spec["grid"].keys():
        raise StudyError(f"{where}: grid: {', '.join(sorted(unknown))}: not in the study's grid")
    columns = profile.get("columns", list(spec["columns"]))
    are_known = isinstance(columns, list) and all(
        label in list(spec["columns"]) for label in columns
    )
    if not are_known or not columns or len(set(columns)) < len(columns):
        raise StudyError(f"{where}: columns: {columns}: must be a list of the study's columns")
    for key in ("task", "optim"):
        if key in profile:
            raise StudyError(f"{where}: {key}: columns say their task, rows their optim")
    settings = {key: value for key, value in profile.items() if key not in ("grid", "columns")}
    check_settings(where, settings, spec, nested=True)


def check_grid(where: str, grid: Any) -> None:
    for key, values in mapping(where, grid).items():
        check_text(where, key)
        if key == "seed":
            raise StudyError(f"{where}: seed: cannot be tried; seeds: says how many there are")
        if is_set_elsewhere(key):
            raise StudyError(f"{where}: {key}: cannot be tried: it is not a study's to set")
        if not isinstance(values, list) or not values:
            raise StudyError(f"{where}: {key}: must be a list of values")
        if any(isinstance(value, dict) for value in values):
            raise StudyError(f"{where}: {key}: KEY: VALUE pairs are no value to try")
        if len({hydra_text(canonical(value)) for value in values}) < len(values):
            raise StudyError(f"{where}: {key}: a value is there twice")


def check_select(where: str, select: Any) -> None:
    check_keys(where, mapping(where, select), Select.__dataclass_fields__)
    check_one_of(f"{where}.at", select["at"], ("last", "best"))
    check_one_of(f"{where}.mode", select["mode"], ("min", "max"))
    check_metric(f"{where}.metric", select["metric"])
    check_count(f"{where}.evaluations", select["evaluations"])
    if select["at"] == "best" and select["evaluations"] > 1:
        raise StudyError(f"{where}.evaluations: {select['evaluations']}: needs at: last")


def check_figures(where: str, spec: Settings) -> None:
    key_of_slug = {slug(key): key for key in spec["grid"]}
    if len(key_of_slug) < len(spec["grid"]):
        raise StudyError(f"{where}: the grid has keys whose pictures would have one name")
    for name, figure in mapping(where, spec["figures"]).items():
        check_text(where, name)
        if not re.fullmatch(r"[A-Za-z0-9][\w-]*", name, re.ASCII):
            raise StudyError(
                f"{where}: {name}: must be letters, digits, _ and -, as it is part of files' names"
            )
        if name in key_of_slug:
            raise StudyError(f"{where}: {name}: is the name of the picture of {key_of_slug[name]}")
        check_keys(f"{where}: {name}", mapping(f"{where}: {name}", figure), FIGURE_KEYS)
        check_text(f"{where}: {name}: title", figure["title"])
        check_texts(f"{where}: {name}: rows", figure["rows"])
        check_figure(f"{where}: {name}", Figure(**figure), spec)


FIGURE_KEYS = Figure.__dataclass_fields__.keys()


def check_figure(where: str, figure: Figure, spec: Settings) -> None:
    if not figure.rows:
        raise StudyError(f"{where}: rows: there are none")
    for row in figure.rows:
        check_one_of(f"{where}: rows", row, spec["rows"])
    if not isinstance(figure.normalised, bool):
        raise StudyError(f"{where}: normalised: {figure.normalised}: must be true or false")
    if figure.normalised and figure.is_heat_map:
        raise StudyError(f"{where}: normalised: is for lines, not for a heat map")
    check_metric(f"{where}: metric", figure.metric)
    if figure.y is not None:
        check_one_of(f"{where}: x", figure.x, spec["grid"])
        check_one_of(f"{where}: y", figure.y, spec["grid"])
    elif figure.across is not None:
        check_one_of(f"{where}: x, with across,", figure.x, ["trial"])
        check_count(f"{where}: across", figure.across)
    else:
        if figure.x != "step":
            check_metric(f"{where}: x", figure.x, "step")
    if figure.colour is not None:
        check_metric(f"{where}: colour", figure.colour)
        if figure.across is None:
            raise StudyError(f"{where}: colour: {figure.colour}: needs x: trial and across")


# -- checks of one value ---------------------------------------------------------------------------


def mapping(where: str, value: Any) -> Settings:
    if not isinstance(value, dict):
        raise StudyError(f"{where}: {value}: must be KEY: VALUE pairs")
    return value


def check_keys(where: str, settings: Settings, expected: Iterable[str]) -> None:
    if wrong := settings.keys() ^ set(expected):
        raise StudyError(f"{where}: keys missing or unknown: {', '.join(sorted(map(str, wrong)))}")


def check_text(where: str, value: Any) -> None:
    if not isinstance(value, str):
        raise StudyError(
            f"{where}: {value}: must be text; a number, a word such as yes, and a colon need quotes"
        )
    if not value.strip():
        raise StudyError(f"{where}: a text is empty")


def check_line(where: str, value: Any) -> None:
    """A line break in a label or a title would tear the lines of tables apart."""
    check_text(where, value)
    if not value.isprintable():
        raise StudyError(f"{where}: {' '.join(value.split())}: must be one line of text")


def check_texts(where: str, values: Any) -> None:
    if not isinstance(values, list):
        raise StudyError(f"{where}: must be a list")
    for value in values:
        check_text(where, value)
        if values.count(value) > 1:
            raise StudyError(f"{where}: {value}: is there twice")


def check_count(where: str, count: Any) -> None:
    if not isinstance(count, int) or isinstance(count, bool) or count < 1:
        raise StudyError(f"{where}: {count}: must be a whole number above 0")


def check_metric(where: str, name: Any, *others: str) -> None:
    if not isinstance(name, str) or find_metric(name) is None:
        raise StudyError(f"{where}: {name}: must be one of {', '.join([*others, *names_of_all()])}")


def check_one_of(where: str, value: Any, allowed: Iterable[Any]) -> None:
    # In a list, also what cannot be in a set.
    if value not in list(allowed):
        choices = ", ".join(map(str, allowed)) or "nothing: there are none"
        raise StudyError(f"{where}: {value}: must be one of {choices}")
