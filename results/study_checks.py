"""Checks of a study's YAML, before anything trains."""

import re
from collections.abc import Iterable, KeysView
from typing import Any

from engine.checks import BadInput, is_number
from engine.identity import canonical
from engine.metrics import find_metric, names_of_all
from engine.overrides import parts_of, read_override
from engine.texts import hydra_text
from results.search import parse
from results.study import (
    PROFILES,
    STATISTICS,
    Figure,
    Select,
    Settings,
    Study,
    StudyError,
    grids_of,
    slug,
)

# Keys that the command line sets for every run, or that stand elsewhere in a study.
ELSEWHERE = ("data", "profile", "group", "row", "label", "seed", "grid", "columns")
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
    for label, notes in spec["column_notes"].items():
        check_texts(f"{where}: columns: {label}: notes", notes)
    for key in ("columns", "rows", "profiles"):
        check_labels(f"{where}: {key}", spec[key])
    check_grid(f"{where}: grid", spec["grid"])
    for label, settings in spec["columns"].items():
        check_choice(
            f"{where}: columns: {label}", settings, spec, required="task", forbidden="optim"
        )
        check_settings(f"{where}: columns: {label}", settings, spec, nested=False)
        if label == "grid":
            raise StudyError(f"{where}: columns: grid: is no label, but a key")
    for label, settings in spec["rows"].items():
        check_row(f"{where}: rows: {label}", settings, spec)
    for label, profile in spec["profiles"].items():
        check_one_of(f"{where}: profiles", label, PROFILES)
        check_profile(f"{where}: profiles: {label}", profile, spec)
    check_count(f"{where}: seeds", spec["seeds"])
    check_search(where, spec)
    check_select(f"{where}: select", spec["select"])
    check_one_of(f"{where}: statistic", spec["statistic"], STATISTICS)
    for metric in spec["report"]:
        check_metric(f"{where}: report", metric)
    if not isinstance(spec["best_seed"], bool):
        raise StudyError(f"{where}: best_seed: {spec['best_seed']}: must be true or false")
    if spec["reference"] is not None:
        check_one_of(f"{where}: reference", spec["reference"], spec["rows"])
    if spec["target"] is not None and not is_number(spec["target"]):
        raise StudyError(f"{where}: target: {spec['target']}: must be a number")
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


def check_row(where: str, row: Settings, spec: Settings) -> None:
    check_choice(where, row, spec, required="optim", forbidden="task")
    settings = {key: value for key, value in row.items() if key != "columns"}
    check_settings(where, settings, spec, nested=True)
    if "columns" not in row:
        return
    check_columns(where, row["columns"], spec)
    for label in spec["columns"]:
        if label in row and label not in row["columns"]:
            raise StudyError(f"{where}: {label}: is none of the row's columns")


def check_columns(where: str, columns: Any, spec: Settings) -> None:
    """Which of the study's columns a row or a profile has."""
    are_known = isinstance(columns, list) and all(
        label in list(spec["columns"]) for label in columns
    )
    if not are_known or not columns or len(set(columns)) < len(columns):
        raise StudyError(f"{where}: columns: {columns}: must be a list of the study's columns")


def check_settings(where: str, settings: Settings, spec: Settings, nested: bool) -> None:
    """Settings of a row, a column or a profile; `nested`: with settings for one column."""
    for key, value in settings.items():
        check_text(where, key)
        if key == "grid":
            check_grid(f"{where}: grid", value)
            continue
        if is_set_elsewhere(key):
            raise StudyError(f"{where}: {key}: a study does not set it for a part of its runs")
        if key in settings.get("grid", {}):
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
    searched = spec["grid"] | mapping(f"{where}: grid", settings.get("grid", {}))
    if required not in settings and required not in searched:
        raise StudyError(f"{where}: {required}: is missing")
    if forbidden in settings:
        raise StudyError(f"{where}: {forbidden}: columns say their task, rows their optim")


def check_profile(where: str, profile: Settings, spec: Settings) -> None:
    known = keys_tried(spec)
    for layer in (profile, *(profile[label] for label in spec["columns"] if label in profile)):
        grid = mapping(where, layer).get("grid", {})
        counts = {k: v for k, v in mapping(f"{where}: grid", grid).items() if isinstance(v, int)}
        for key, count in counts.items():
            check_count(f"{where}: grid: {key}", count)
        check_grid(f"{where}: grid", {k: v for k, v in grid.items() if k not in counts})
        if unknown := grid.keys() - known:
            names = ", ".join(sorted(unknown))
            raise StudyError(f"{where}: grid: {names}: not in the study's grid")
        for key in layer:
            if key in known:
                raise StudyError(f"{where}: {key}: the grid has its values")
    check_columns(where, profile.get("columns", list(spec["columns"])), spec)
    for key in ("task", "optim"):
        if key in profile:
            raise StudyError(f"{where}: {key}: columns say their task, rows their optim")
    check_fewer(where, profile, spec)
    not_settings = ("grid", "columns", "random", "confirm")
    settings = {key: value for key, value in profile.items() if key not in not_settings}
    for label in spec["columns"]:
        if label in settings:
            settings[label] = {k: v for k, v in settings[label].items() if k != "grid"}
    check_settings(where, settings, spec, nested=True)


def check_fewer(where: str, profile: Settings, spec: Settings) -> None:
    """What a profile says of random points and of fresh seeds."""
    if "random" in profile:
        check_count(f"{where}: random", profile["random"])
        if not isinstance(spec["search"], dict) or "random" not in spec["search"]:
            raise StudyError(f"{where}: random: the study's search has no random points")
    if "confirm" in profile:
        check_confirm(f"{where}: confirm", spec | {"confirm": profile["confirm"]})


def keys_tried(spec: Settings) -> KeysView[str]:
    """The keys of every grid of a study, in the order in which they are named."""
    return {
        key: None for grid in grids_of(spec, spec["columns"], spec["rows"]) for key in grid
    }.keys()


def check_search(where: str, spec: Settings) -> None:
    try:
        search = parse(spec["search"])
    except ValueError as error:
        raise StudyError(f"{where}: search: {error}") from error
    check_confirm(f"{where}: confirm", spec)
    if search.ranges:
        check_grid(f"{where}: search: ranges", {key: [0] for key in search.ranges})
        if keys_tried(spec):
            raise StudyError(f"{where}: grid: random points are tried in its place")
    if search.extend:
        check_extend(f"{where}: search: extend", search.extend.keys, spec)


def check_confirm(where: str, spec: Settings) -> None:
    """A number of fresh seeds, or a list of them, of which the search has none."""
    asked = spec["confirm"]
    for seed in asked if isinstance(asked, list) else [asked]:
        if not isinstance(seed, int) or isinstance(seed, bool) or seed < 0:
            raise StudyError(f"{where}: {seed}: must be a whole number, 0 or above")
    if not isinstance(asked, list):
        return
    if len(set(asked)) < len(asked):
        raise StudyError(f"{where}: {asked}: a seed is there twice")
    count = max(counts_of_seeds(spec))
    if searched := [seed for seed in asked if seed < count]:
        raise StudyError(
            f"{where}: {searched[0]}: is no fresh seed: the search has those from 0 to {count - 1}"
        )


def counts_of_seeds(spec: Settings) -> list[int]:
    """How many seeds a study has, in all its parts that say so."""
    layers = [*spec["columns"].values(), *spec["rows"].values(), *spec["profiles"].values()]
    layers += [inner for layer in layers for inner in layer.values() if isinstance(inner, dict)]
    return [spec["seeds"], *(layer["seeds"] for layer in layers if "seeds" in layer)]


def check_extend(where: str, keys: Iterable[str] | None, spec: Settings) -> None:
    tried: dict[str, list[Any]] = {}
    for grid in grids_of(spec, spec["columns"], spec["rows"]):
        for key, values in grid.items():
            tried.setdefault(key, []).extend(values)
    numeric = {key for key, values in tried.items() if all(map(is_number, values))}
    for key in keys or ():
        check_one_of(f"{where}: keys", key, tried)
        if key not in numeric:
            raise StudyError(f"{where}: {key}: its values are not all numbers")
    if not numeric:
        raise StudyError(f"{where}: no key of a grid has numbers alone")


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
    keys = keys_tried(spec)
    key_of_slug = {slug(key): key for key in keys}
    if len(key_of_slug) < len(keys):
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
    check_one_of(f"{where}: average", figure.average, ("mean", "interquartile mean"))
    if figure.interquartile and not figure.normalised:
        raise StudyError(f"{where}: average: {figure.average}: needs normalised: true")
    check_metric(f"{where}: metric", figure.metric)
    if figure.y is not None:
        check_one_of(f"{where}: x", figure.x, keys_tried(spec))
        check_one_of(f"{where}: y", figure.y, keys_tried(spec))
    elif figure.across is not None:
        check_one_of(f"{where}: x, with across,", figure.x, ["trial"])
        check_count(f"{where}: across", figure.across)
    elif figure.x != "step" and figure.x not in keys_tried(spec):
        check_metric(f"{where}: x", figure.x, "step", *keys_tried(spec))
    if figure.normalised and figure.x in keys_tried(spec):
        raise StudyError(f"{where}: normalised: is for curves, not for lines over the grid")
    check_grid_of_curves(where, figure, keys_tried(spec))
    if figure.columns is not None:
        if figure.is_heat_map:
            raise StudyError(f"{where}: columns: are for lines, not for a heat map")
        check_texts(f"{where}: columns", figure.columns)
        for column in figure.columns:
            check_one_of(f"{where}: columns", column, spec["columns"])
    if figure.colour is not None:
        check_metric(f"{where}: colour", figure.colour)
        if figure.across is None:
            raise StudyError(f"{where}: colour: {figure.colour}: needs x: trial and across")


def check_grid_of_curves(where: str, figure: Figure, keys: Iterable[str]) -> None:
    """Check the keys for lines and panels, and smoothing: all of them are of curves."""
    over_runs = figure.is_heat_map or figure.x in keys
    if figure.panels is not None and figure.lines is None:
        raise StudyError(f"{where}: panels: {figure.panels}: needs lines")
    for name in ("lines", "panels"):
        if (key := getattr(figure, name)) is None:
            continue
        check_one_of(f"{where}: {name}", key, keys)
        if over_runs or figure.normalised:
            raise StudyError(f"{where}: {name}: {key}: is for curves at each point of the grid")
    if figure.lines is not None and figure.lines == figure.panels:
        raise StudyError(f"{where}: panels: {figure.panels}: the lines are over it")
    if figure.smooth is not None:
        if not is_number(figure.smooth) or figure.smooth <= 0:
            raise StudyError(f"{where}: smooth: {figure.smooth}: must be a number above 0")
        if over_runs:
            raise StudyError(f"{where}: smooth: {figure.smooth}: is for curves")


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
