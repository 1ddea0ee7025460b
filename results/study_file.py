"""A study as it is written down, in `conf/study/<paper>/<name>.yaml`:

    title:       what it is
    reproduces:  the tables and figures of the paper that it stands for
    notes:       where it departs from the paper, and choices that the paper leaves open
    like:        another study, such as lp_adam/table2; what is not said here is said there, and
                 `columns` and `rows` may be lists of labels there
    add_rows:    label → settings: rows beside those of the study that this one is like
    paper:       whose numbers `published` names; else that of the study that this one is like, or
                 the folder's name
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

Titles, notes and labels are text, and a figure's name is part of its file's: letters, digits, _, -.
Settings are overrides of a run's config, as typed on the command line; each column has a `task` and
each row an `optim`, unless these are in the grid. In a row or a profile, the label of a column
holds settings for that column alone, which come after all others. A column, or a profile's part for
it, may have `seeds` of its own.
"""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from engine.checks import MOST_RUNS
from engine.yaml_files import YamlError, read_yaml
from results.published import published
from results.study import Figure, Select, Settings, Study, StudyError
from results.study_checks import check, check_labels, check_text, mapping

# What a figure need not say.
FIGURE = {"x": "step", "y": None, "across": None, "colour": None, "normalised": False}


def load(name: str, folders: Sequence[Path]) -> Study:
    """Read `<name>.yaml` in whichever of the folders has it.

    Raises:
        StudyError: it is no YAML, or a key is missing, unknown or wrong; the message names the
            file.
    """
    try:
        text = read(name, folders)
        check_text(f"{file_of(name, folders)}: paper", text["paper"])
        tables = published(text["paper"])["tables"]
    except YamlError as error:
        raise StudyError(str(error)) from error
    except FileNotFoundError as error:
        raise StudyError(f"{error.filename}: there is no such file") from error
    complete(text)
    check(file_of(name, folders), text, tables)
    text["select"] = Select(**text["select"])
    text["figures"] = {key: Figure(**figure) for key, figure in text["figures"].items()}
    study = Study(name=name, **text)
    for profile in study.profiles:
        if (asked := study.count(profile)) > MOST_RUNS:
            raise StudyError(
                f"{file_of(name, folders)}: profiles: {profile}: asks for {asked:,} runs; "
                f"at most {MOST_RUNS:,}"
            )
    return study


def file_of(name: str, folders: Sequence[Path]) -> str:
    """The path of the study's file, which may not be there."""
    paths = [folder / f"{name}.yaml" for folder in folders]
    return str(next((path for path in paths if path.exists()), paths[0]))


def complete(text: Settings) -> None:
    """Add what a study need not say to what its YAML says."""
    if isinstance(select := text.get("select"), dict):
        select.setdefault("evaluations", 1)
    if isinstance(figures := text.get("figures"), dict):
        text["figures"] = {
            key: FIGURE | figure if isinstance(figure, dict) else figure
            for key, figure in figures.items()
        }


def read(name: str, folders: Sequence[Path], others: tuple[str, ...] = ()) -> Settings:
    """What the YAML says, completed from the study that it is like.

    `others` are those that are like this one.
    """
    where = file_of(name, folders)
    text = mapping(where, read_yaml(Path(where)))
    if "like" not in text:
        if added := text.keys() & {"add_rows"}:
            raise StudyError(f"{where}: {', '.join(added)}: is for a study that is like another")
        return {"paper": name.partition("/")[0]} | text
    like = text.pop("like")
    if not isinstance(like, str) or not re.fullmatch(r"[^/.][^/]*(/[^/.][^/]*)*", like):
        raise StudyError(f"{where}: like: {like}: must be the name of a study, as in paper/table2")
    if like in (name, *others):
        raise StudyError(f"{where}: like: {like}: the studies are like each other in a circle")
    if not Path(file_of(like, folders)).exists():
        raise StudyError(f"{where}: like: {like}: there is no such study")
    other = read(like, folders, (name, *others))
    for part in ("columns", "rows"):
        if isinstance(labels := text.get(part), list):
            text[part] = picked(f"{where}: {part}", labels, mapping(where, other.get(part)))
    rows = mapping(f"{where}: rows", text.get("rows", other.get("rows")))
    more = mapping(f"{where}: add_rows", text.pop("add_rows", {}))
    if twice := [str(label) for label in more if label in rows]:
        raise StudyError(f"{where}: add_rows: {', '.join(twice)}: there is such a row already")
    return without_columns(where, other | text | {"rows": rows | more}, other)


def picked(where: str, labels: list[Any], known: Settings) -> Settings:
    """Those of another study's columns or rows that a list names."""
    if unknown := [str(label) for label in labels if label not in list(known)]:
        raise StudyError(f"{where}: there is no {', '.join(unknown)}")
    return {label: known[label] for label in labels}


def without_columns(where: str, text: Settings, other: Settings) -> Settings:
    """The same without settings for columns that the other study has and this one has not."""
    for part in ("columns", "rows", "profiles"):
        check_labels(f"{where}: {part}", text.get(part))
    kept = text["columns"].keys()
    left_out = mapping(where, other.get("columns")).keys() - kept
    for part in ("rows", "profiles"):
        text[part] = {
            label: {key: value for key, value in settings.items() if key not in left_out}
            for label, settings in text[part].items()
        }
    for profile in text["profiles"].values():
        if isinstance(columns := profile.get("columns"), list):
            profile["columns"] = [label for label in columns if label not in left_out]
    return text
