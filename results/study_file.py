"""A study as it is written down, in `conf/study/<paper>/<name>.yaml`:

    title:       what it is
    reproduces:  the tables and figures of the paper that it stands for
    notes:       where it departs from the paper, and choices that the paper leaves open
    like:        another study, such as lp_adam/table2; what is not said here is said there, and
                 `columns` and `rows` may be lists of labels there
    columns:     label → settings; a column is a task, or a task with settings of its own
    rows:        label → settings; a row is an optimizer with its fixed settings
    grid:        key → values tried in every row
    seeds:       how many, counted from 0
    select:      {metric, at: last | best, mode: min | max}: which grid point is a row's best,
                 by the mean over seeds; its worst, where the metric is better the other way;
                 with at: last and evaluations: N, values are means over the last N evaluations
    report:      metrics that the table shows, at the same `at`
    statistic:   mean (± standard deviation), mean_se or median (± standard error)
    published:   tables in results/published/<paper>.yaml with the paper's numbers
    figures:     name → {title, rows, metric}: learning curves as in the paper's figures, over the
                 steps, or with x: METRIC over another metric; with normalised: true the mean over
                 columns, in each of which values are scaled to run from 0 to 1; with x: KEY and
                 y: KEY of the grid a heat map; with x: trial one of a run's trials, `across` in a
                 line, coloured by the metric `colour`
    profiles:    paper | short | smoke → settings, and where they are fewer: `seeds`, a `grid` with
                 some keys' values, `columns` as a list of labels

Settings are overrides of a run's config, as typed on the command line. In a row or a profile, the
label of a column holds settings for that column alone, which come after all others. A column, or a
profile's part for it, may have `seeds` of its own.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from results.metrics import METRICS
from results.study import (
    PROFILES,
    STATISTICS,
    Figure,
    Select,
    Settings,
    Study,
    StudyError,
    spell,
)
from results.yaml_files import YamlError, read_yaml


def load(name: str, folder: Path) -> Study:
    """Read `folder/<name>.yaml`.

    Raises:
        StudyError: a key is missing or unknown, or names something that is not there.
    """
    text = read(name, folder)
    check_keys(f"study {name}", text, Study.__dataclass_fields__.keys() - {"name"})
    check_shapes(name, text)
    text["select"].setdefault("evaluations", 1)
    check_keys(f"study {name}: select", text["select"], Select.__dataclass_fields__)
    for key, figure in text["figures"].items():
        optional = {"x": "step", "y": None, "across": None, "colour": None, "normalised": False}
        text["figures"][key] = optional | mapping(f"study {name}: figure {key}", figure)
        check_keys(f"study {name}: figure {key}", text["figures"][key], Figure.__dataclass_fields__)
    text["select"] = Select(**text["select"])
    text["figures"] = {key: Figure(**value) for key, value in text["figures"].items()}
    study = Study(name=name, **text)
    check_select(study)
    check_one_of(f"study {name}: statistic", study.statistic, STATISTICS)
    for metric in study.report:
        check_one_of(f"study {name}: report", metric, METRICS)
    for key, figure in study.figures.items():
        check_figure(study, f"study {name}: figure {key}", figure)
    if unknown := study.profiles.keys() - set(PROFILES):
        raise StudyError(f"study {name}: unknown profile {', '.join(sorted(unknown))}")
    return study


def read(name: str, folder: Path) -> Settings:
    """What the YAML says, completed from the study that it is like."""
    try:
        text = read_yaml(folder / f"{name}.yaml")
    except FileNotFoundError as error:
        raise StudyError(f"study {name}: there is no {error.filename}") from error
    except YamlError as error:
        raise StudyError(f"study {name}: {error}") from error
    if not isinstance(text, dict):
        raise StudyError(f"study {name}: must hold keys and values")
    if "like" not in text:
        return text
    other = read(text.pop("like"), folder)
    for part in ("columns", "rows"):
        if isinstance(labels := text.get(part), list):
            if unknown := [label for label in labels if label not in other[part]]:
                raise StudyError(f"study {name}: {part}: there is no {', '.join(unknown)}")
            text[part] = {label: other[part][label] for label in labels}
    text = other | text
    kept = text["columns"].keys()
    left_out = other["columns"].keys() - kept
    for part in ("rows", "profiles"):
        text[part] = {
            label: {key: value for key, value in settings.items() if key not in left_out}
            for label, settings in text[part].items()
        }
    for profile in text["profiles"].values():
        if "columns" in profile:
            profile["columns"] = [label for label in profile["columns"] if label in kept]
    return text


def check_figure(study: Study, where: str, figure: Figure) -> None:
    check_one_of(f"{where}: normalised", figure.normalised, [True, False])
    if figure.normalised and figure.is_heat_map:
        raise StudyError(f"{where}: normalised: is for lines, not for a heat map")
    check_one_of(where, figure.metric, METRICS)
    if missing := set(figure.rows) - study.rows.keys():
        raise StudyError(f"{where} has no row {', '.join(sorted(missing))}")
    if figure.y is not None:
        check_one_of(f"{where}: x", figure.x, study.grid)
        check_one_of(f"{where}: y", figure.y, study.grid)
    elif figure.across is not None:
        check_one_of(f"{where}: x, with across,", figure.x, ["trial"])
        check_count(f"{where}: across", figure.across)
    else:
        check_one_of(f"{where}: x", figure.x, ["step", *METRICS])
    if figure.colour is not None:
        check_one_of(f"{where}: colour", figure.colour, METRICS)
        if figure.across is None:
            raise StudyError(f"{where}: colour: {figure.colour}: needs x: trial and across")


def check_select(study: Study) -> None:
    where, rule = f"study {study.name}: select", study.select
    check_one_of(f"{where}.at", rule.at, ("last", "best"))
    check_one_of(f"{where}.mode", rule.mode, ("min", "max"))
    check_one_of(f"{where}.metric", rule.metric, METRICS)
    check_count(f"{where}.evaluations", rule.evaluations)
    if rule.at == "best" and rule.evaluations > 1:
        raise StudyError(f"{where}.evaluations: {rule.evaluations}: needs at: last")


def check_shapes(name: str, text: Settings) -> None:
    """Raise StudyError where a part of the YAML is no mapping, list or number as it should be."""
    for key in ("columns", "rows", "profiles"):
        for label, settings in mapping(f"study {name}: {key}", text[key]).items():
            mapping(f"study {name}: {key}: {label}", settings)
            for setting, value in settings.items():
                nested = isinstance(value, dict) and (key, setting) != ("profiles", "grid")
                if nested and (key == "columns" or setting not in text["columns"]):
                    raise StudyError(f"study {name}: {key}: {label}: there is no column {setting}")
    for key in ("select", "figures", "grid"):
        mapping(f"study {name}: {key}", text[key])
    for key in ("reproduces", "notes", "report", "published"):
        if not isinstance(text[key], list):
            raise StudyError(f"study {name}: {key}: must be a list")
    check_grid(f"study {name}: grid", text["grid"])
    for label, profile in text["profiles"].items():
        where = f"study {name}: profiles: {label}"
        check_grid(f"{where}: grid", mapping(f"{where}: grid", profile.get("grid", {})))
        if unknown := profile.get("grid", {}).keys() - text["grid"].keys():
            raise StudyError(
                f"{where}: grid: {', '.join(sorted(unknown))}: not in the study's grid"
            )
        columns = profile.get("columns", [])
        named = isinstance(columns, list) and all(
            isinstance(label, str) and label in text["columns"] for label in columns
        )
        if not named or profile.get("columns") == [] or len(set(columns)) < len(columns):
            raise StudyError(f"{where}: columns: {columns}: must be a list of the study's columns")
    parts = [text, *text["columns"].values(), *text["profiles"].values()]
    parts += [part for p in text["profiles"].values() for part in p.values() if is_mapping(part)]
    for part in parts:
        check_count(f"study {name}: seeds", part.get("seeds", 1))


def is_mapping(value: Any) -> bool:
    return isinstance(value, dict)


def check_count(where: str, count: Any) -> None:
    if not isinstance(count, int) or isinstance(count, bool) or count < 1:
        raise StudyError(f"{where}: {count}: must be a whole number above 0")


def check_grid(where: str, grid: Settings) -> None:
    for key, values in grid.items():
        if not isinstance(values, list) or not values:
            raise StudyError(f"{where}: {key}: must be a list of values")
        if len({spell(value) for value in values}) < len(values):
            raise StudyError(f"{where}: {key}: a value is there twice")


def mapping(where: str, value: Any) -> Settings:
    if not isinstance(value, dict):
        raise StudyError(f"{where}: {value}: must be KEY: VALUE pairs")
    return value


def check_keys(where: str, found: Settings, wanted: Iterable[str]) -> None:
    if wrong := found.keys() ^ set(wanted):
        raise StudyError(f"{where}: keys missing or unknown: {', '.join(sorted(wrong))}")


def check_one_of(where: str, value: Any, allowed: Iterable[Any]) -> None:
    if value not in allowed:
        raise StudyError(f"{where}: {value}: must be one of {', '.join(map(str, allowed))}")
