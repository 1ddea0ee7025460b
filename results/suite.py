"""A suite: studies of one task each, on which an optimizer is compared with a tuned one.

It is written down in `conf/suite/<name>.yaml`:

    title:    what it is
    data:     full or sample
    against:  the row of its studies that others are compared with, where nobody says another one
    studies:  names, as in laptop/digits

Each of the studies has one column, whose label is the name of the task, evaluates the first
weights (eval_first: true), chooses the learning rate alone, confirms its choice on fresh seeds, and
has a target. The metric by which it judges is the first that it reports.
"""

from dataclasses import dataclass, replace
from pathlib import Path

from engine import search_path
from engine.checks import SOURCES, BadInput
from engine.config import names, unknown
from engine.make import meta_task
from engine.metrics import COMMON, OF_A_STEP, metric_named
from engine.yaml_files import YamlError, read_yaml
from results.plan import Plan, find
from results.study import Study, StudyError
from results.study_checks import check_keys, check_line, check_one_of, check_texts, mapping

RATE = "optim.lr"
LEAST_SEEDS = 2  # without a spread there is no verdict


@dataclass(frozen=True)
class Suite:
    """What the YAML says."""

    name: str
    title: str
    data: str
    against: str
    studies: list[Study]


def find_suite(name: str, data: str | None = None) -> Suite:
    """The suite `conf/suite/<name>.yaml`.

    Args:
        name: its name.
        data: "full" or "sample", whichever the suite has by itself; None: that.

    Raises:
        BadInput: there is none, or its YAML or that of one of its studies is wrong, or there are no
            such data.
    """
    if data not in (None, *SOURCES):
        raise BadInput(f"data={data}: must be {' or '.join(SOURCES)}")
    if name not in names("suite"):
        raise BadInput(unknown("suite", name, names("suite")))
    path = search_path.find(f"suite/{name}.yaml")
    assert path is not None
    try:
        found = make_suite(name, path)
    except (StudyError, YamlError) as error:
        raise BadInput(str(error)) from error
    return replace(found, data=data or found.data)


def make_suite(name: str, path: Path) -> Suite:
    spec = mapping(str(path), read_yaml(path))
    check_keys(str(path), spec, Suite.__dataclass_fields__.keys() - {"name"})
    check_line(f"{path}: title", spec["title"])
    check_one_of(f"{path}: data", spec["data"], SOURCES)
    check_line(f"{path}: against", spec["against"])
    check_texts(f"{path}: studies", spec["studies"])
    studies = [find(study) for study in spec["studies"]]
    if len(studies) < 2 or len({study.name for study in studies}) < len(studies):
        raise StudyError(f"{path}: studies: must name two or more, each once")
    for study in studies:
        check_study(f"{path}: studies: {study.name}", study, spec["against"])
    labels = [task_of(study) for study in studies]
    if twice := [label for label in labels if labels.count(label) > 1]:
        raise StudyError(f"{path}: studies: two have a column {twice[0]}, the name of their task")
    return Suite(name, spec["title"], spec["data"], spec["against"], studies)


def check_study(where: str, study: Study, against: str) -> None:
    """Raise StudyError where a study cannot be part of a suite."""
    if len(study.columns) != 1:
        raise StudyError(f"{where}: columns: must be one, and there are {len(study.columns)}")
    [settings] = study.columns.values()
    if settings.get("eval_first") is not True:
        raise StudyError(f"{where}: columns: must have eval_first: true, to know the first weights")
    if study.keys != [RATE]:
        raise StudyError(f"{where}: must search {RATE} alone, and searches {study.keys}")
    if min(map(study.confirm_count, study.profiles)) < LEAST_SEEDS:
        raise StudyError(f"{where}: confirm: must be {LEAST_SEEDS} fresh seeds or more")
    if study.target is None:
        raise StudyError(f"{where}: target: there is none")
    if not study.report or metric_named(study.report[0]).better is None:
        raise StudyError(f"{where}: report: its first metric must have a better direction")
    if study.select.worst:
        raise StudyError(f"{where}: select: mode: {study.select.mode}: looks for the worst rate")
    if against not in study.rows:
        raise StudyError(f"{where}: rows: there is no {against}, which `against` names")


def check_first_weights(plan: Plan) -> None:
    """Raise BadInput where a study judges by a metric that the first weights lack."""
    metric, config = plan.study.report[0], plan.runs[0].config
    task = meta_task(config)
    known = {**COMMON, **task.metrics}.keys() - {*OF_A_STEP, *task.seldom}
    if metric.startswith("train/") or metric not in known or not config["eval_first"]:
        raise BadInput(
            f"study {plan.study.name} judges by {metric}, which is not measured at the first "
            "weights"
        )


def task_of(study: Study) -> str:
    """The label of a suite's study, by which its task is called."""
    [label] = study.columns
    return label
