"""A study as it is written down, in `conf/study/<paper>/<name>.yaml`:

    title:       what it is
    reproduces:  the tables and figures of the paper that it stands for
    notes:       where it departs from the paper, and choices that the paper leaves open
    like:        another study, such as lp_adam/table2; what is not said here is said there, and
                 `columns` and `rows` may be lists of labels there
    add_rows:    label → settings: rows beside those of the study that this one is like
    paper:       whose numbers `published` names; else that of the study that this one is like, or
                 the folder's name
    columns:     label → settings; a column is a task, or a task with settings of its own; `notes`
                 there are on it alone
    rows:        label → settings; a row is an optimizer with its fixed settings, and with columns:
                 LABELS it is in these columns alone
    grid:        key → values tried in every row; a column, a row, and a row's part for a column may
                 have a grid of their own: what is said last counts, for each key
    search:      grid, halving, extend, or random points: see results/search.py
    seeds:       how many, counted from 0
    confirm:     how many fresh seeds the chosen point has afterwards, or which ones, as a list; the
                 table then shows those
    select:      {metric, at: last | best, mode: min | max}: which grid point is a row's best,
                 by the mean over seeds; its worst, where the metric is better the other way;
                 with at: last and evaluations: N, values are means over the last N evaluations;
                 with split: valid, a metric of test data is chosen by its counterpart on
                 validation data (`task.valid` holds some out), and reported on test data
    report:      metrics that the table shows, at the same `at`; at: best, one of which neither more
                 nor less is better is shown where the metric of `select` is best
    statistic:   mean (± standard deviation), mean_se or median (± standard error)
    best_seed:   true shows beside each metric that has a direction its value of the best seed
    reference:   a row that the others are compared with, seed by seed, in a table of its own
    target:      a value of the metric of `select`; a suite asks after how many steps, and after how
                 long, it is reached
    published:   tables in results/published/<paper>.yaml with the paper's numbers
    figures:     name → {title, rows, metric}: learning curves as in the paper's figures, over the
                 steps, or with x: METRIC over another metric, or with x: KEY over one of the
                 grid; with columns: LABELS these alone; with normalised: true the mean over
                 columns, in each of which values are scaled to run from 0 to 1, or with average:
                 interquartile mean that of all their seeds, with its bootstrap interval; with
                 x: KEY and y: KEY of the grid a heat map; with x: trial one of a run's trials,
                 `across` in a line, coloured by the metric `colour`; with lines: KEY curves at all
                 values of a key of the grid, a panel for each row, and with panels: KEY one for
                 each value of another, too, which end where runs diverge; with smooth: σ each run's
                 curve is smoothed by a Gaussian, with σ in evaluations, but of train/loss in
                 updates: of the losses of single steps, which a profile keeps by train.loss_every
                 (of 1 for what a paper smooths), or else, and the figure then says so, of means
                 between evaluations
    profiles:    paper | short | smoke → settings, and where they are fewer: `seeds`, a `grid` with
                 some keys' values, or how many of each grid's, `columns` as a list of labels,
                 `random` points of the search, `confirm`

Titles, notes and labels are text, and a figure's name is part of its file's: letters, digits, _, -.
Settings are overrides of a run's config, as typed on the command line; each column has a `task` and
each row an `optim`, unless these are in the grid. In a row or a profile, the label of a column
holds settings for that column alone, which come after all others. A key that is in a grid may be
set for a row, which then has no grid of it. A column, or a profile's part for it, may have `seeds`
of its own.
"""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from engine.checks import MOST_RUNS
from engine.metrics import find_metric
from engine.yaml_files import YamlError, read_yaml
from results.published import published
from results.search import parse
from results.study import Figure, Select, Settings, Study, StudyError
from results.study_checks import check, check_labels, check_text, mapping

# The values of what a figure leaves out.
FIGURE = {
    "x": "step",
    "y": None,
    "across": None,
    "colour": None,
    "normalised": False,
    "columns": None,
    "lines": None,
    "panels": None,
    "smooth": None,
    "average": "mean",
}


def load(name: str, folders: Sequence[Path]) -> Study:
    """Read `<name>.yaml` in whichever of the folders has it.

    Raises:
        StudyError: it is no YAML, or a key is missing, unknown or wrong; the message names the
            file.
    """
    try:
        spec = read(name, folders)
        check_text(f"{file_of(name, folders)}: paper", spec["paper"])
        tables = published(spec["paper"])["tables"]
    except YamlError as error:
        raise StudyError(str(error)) from error
    except FileNotFoundError as error:
        raise StudyError(f"{error.filename}: there is no such file") from error
    complete(file_of(name, folders), spec)
    check(file_of(name, folders), spec, tables)
    spec["select"] = Select(**spec["select"])
    spec["search"] = parse(spec["search"])
    spec["figures"] = {key: Figure(**figure) for key, figure in spec["figures"].items()}
    study = Study(name=name, **spec)
    for profile in study.profiles:
        if (runs := study.count(profile)) > MOST_RUNS:
            raise StudyError(
                f"{file_of(name, folders)}: profiles: {profile}: asks for {runs:,} runs; "
                f"at most {MOST_RUNS:,}"
            )
    return study


def file_of(name: str, folders: Sequence[Path]) -> str:
    """The path of the study's file, which may not be there."""
    paths = [folder / f"{name}.yaml" for folder in folders]
    return str(next((path for path in paths if path.exists()), paths[0]))


def complete(where: str, spec: Settings) -> None:
    """Add the defaults of what a study's YAML leaves out."""
    spec.setdefault("reference", None)
    spec.setdefault("best_seed", False)
    spec.setdefault("target", None)
    if isinstance(select := spec.get("select"), dict):
        spec["select"] = {"evaluations": 1} | select
        if "split" in select:
            choose_on_validation_data(f"{where}: select", spec)
    check_labels(f"{where}: columns", spec.get("columns"))
    columns = spec["columns"]
    spec["column_notes"] = {
        label: settings["notes"] for label, settings in columns.items() if "notes" in settings
    }
    spec["columns"] = {
        label: {key: value for key, value in settings.items() if key != "notes"}
        for label, settings in columns.items()
    }
    spec.setdefault("search", "grid")
    spec.setdefault("confirm", 0)
    if isinstance(figures := spec.get("figures"), dict):
        spec["figures"] = {
            key: FIGURE | figure if isinstance(figure, dict) else figure
            for key, figure in figures.items()
        }


def choose_on_validation_data(where: str, spec: Settings) -> None:
    """Have the study choose by a metric's counterpart of validation data, and report the metric."""
    split, metric = spec["select"].pop("split"), spec["select"].get("metric")
    if split != "valid":
        raise StudyError(f"{where}.split: {split}: must be valid")
    if not isinstance(metric, str) or not metric.startswith("test/"):
        raise StudyError(f"{where}.split: valid: {metric} is no metric of test data")
    counterpart = metric.replace("test/", "valid/", 1)
    if find_metric(metric) and not find_metric(counterpart):
        raise StudyError(f"{where}.split: valid: no task measures {counterpart}")
    spec["select"]["metric"] = counterpart
    if isinstance(report := spec.get("report"), list) and metric not in report:
        spec["report"] = [metric, *report]


def read(name: str, folders: Sequence[Path], chain: tuple[str, ...] = ()) -> Settings:
    """What the YAML says, completed from the study that it is like, the base.

    `chain` has the names of the studies that lead here, each of them like another.
    """
    where = file_of(name, folders)
    spec = mapping(where, read_yaml(Path(where)))
    if "like" not in spec:
        if "add_rows" in spec:
            raise StudyError(f"{where}: add_rows: is for a study that is like another")
        return {"paper": name.partition("/")[0]} | spec
    like = spec.pop("like")
    if not isinstance(like, str) or not re.fullmatch(r"[^/.][^/]*(/[^/.][^/]*)*", like):
        raise StudyError(f"{where}: like: {like}: must be the name of a study, as in paper/table2")
    if like in (name, *chain):
        raise StudyError(f"{where}: like: {like}: the studies are like each other in a circle")
    if not Path(file_of(like, folders)).exists():
        raise StudyError(f"{where}: like: {like}: there is no such study")
    base = read(like, folders, (name, *chain))
    for section in ("columns", "rows"):
        if isinstance(labels := spec.get(section), list):
            spec[section] = pick(f"{where}: {section}", labels, mapping(where, base.get(section)))
    rows = mapping(f"{where}: rows", spec.get("rows", base.get("rows")))
    added_rows = mapping(f"{where}: add_rows", spec.pop("add_rows", {}))
    if duplicates := [str(label) for label in added_rows if label in rows]:
        raise StudyError(f"{where}: add_rows: {', '.join(duplicates)}: there is such a row already")
    return without_columns(where, base | spec | {"rows": rows | added_rows}, base)


def pick(where: str, labels: list[Any], available: Settings) -> Settings:
    """Those of another study's columns or rows that a list names."""
    if unknown := [str(label) for label in labels if label not in list(available)]:
        raise StudyError(f"{where}: there is no {', '.join(unknown)}")
    return {label: available[label] for label in labels}


def without_columns(where: str, spec: Settings, base: Settings) -> Settings:
    """The same without settings for columns that the base has and this study has not."""
    for section in ("columns", "rows", "profiles"):
        check_labels(f"{where}: {section}", spec.get(section))
    kept = spec["columns"].keys()
    left_out = mapping(where, base.get("columns")).keys() - kept
    for label, row in list(spec["rows"].items()):
        columns = row.get("columns")
        if not isinstance(columns, list) or not columns:
            continue
        row = row | {"columns": [name for name in columns if name not in list(left_out)]}
        spec["rows"] |= {label: row}
        if not row["columns"]:
            del spec["rows"][label]
    for section in ("rows", "profiles"):
        spec[section] = {
            label: {key: value for key, value in settings.items() if key not in left_out}
            for label, settings in spec[section].items()
        }
    for profile in spec["profiles"].values():
        if isinstance(columns := profile.get("columns"), list):
            profile["columns"] = [label for label in columns if label not in left_out]
    return spec
