"""What has been measured of a suite, in the forms that rliable and AlgoPerf's scoring read."""

import csv
import io
from collections.abc import Callable, Mapping
from pathlib import Path
from statistics import fmean

from engine.checks import BadInput
from engine.files import json_text
from engine.records import Record
from engine.texts import shorten
from results.measured import Measured
from results.rendered import write
from results.standing import SECONDS, scores
from results.study import Study, slug
from results.suite import task_of

LONGEST = 250  # characters of a list in a sentence

# The content of files by their names, which begin with what `name_of` says.
Files = dict[str, bytes]


def name_of(measured: Measured, form: str) -> str:
    """The path that the files begin with, in the folder that they are written to."""
    return f"{measured.suite.name}/{form}.{measured.profile}.{measured.suite.data}"


def write_export(measured: Measured, form: str, out: Path, source: str) -> Path:
    """Write what has been measured; return the file that says the most of it.

    Args:
        measured: with one optimizer or more.
        form: one of FORMS.
        out: the folder.
        source: the hash of what it was made from.

    Raises:
        BadInput: it cannot be written in this form, for a reason that is in the measurements.
        OSError: a file could not be written.
    """
    name = name_of(measured, form)
    files = FORMS[form](measured)
    paths = write(out, name, source, {f"{name}{path}": text for path, text in files.items()})
    remove_empty(out / name)
    return paths[0]


def remove_empty(folder: Path) -> None:
    """Remove folders that hold nothing any more; AlgoPerf would take them for submissions."""
    for path in sorted(folder.rglob("*"), reverse=True):
        if path.is_dir() and not any(path.iterdir()):
            path.rmdir()


def check_some(measured: Measured) -> None:
    """Raise BadInput unless some optimizer has ended every task."""
    suite, profile = measured.suite.name, measured.profile
    if measured.rows:
        return
    if not measured.missing:
        raise BadInput(
            f"suite {suite}: nothing has been measured in profile {profile}; "
            f"python -m scripts.compare optim=NAME suite={suite} profile={profile} does that"
        )
    raise BadInput(
        f"suite {suite}, profile {profile}: no optimizer has ended all tasks: {left_out(measured)}"
    )


def left_out(measured: Measured) -> str:
    """Which optimizers have no standing on which tasks; those that lack the fewest come first."""
    closest = sorted(measured.missing.items(), key=lambda item: len(item[1]))
    texts = [f"{label} lacks {', '.join(tasks)}" for label, tasks in closest]
    return shorten("; ".join(texts), LONGEST)


# -- rliable ---------------------------------------------------------------------------------------


def rliable(measured: Measured) -> Files:
    """A JSON file of arrays, seeds × tasks, of scores (`results.standing.scores`).

    Under "scores", label → array, which is what rliable's get_interval_estimates takes; beside
    these, the tasks and the seeds in the order in which the arrays have them. A task of which the
    reference learns nothing has no scores, and is left out.

    Raises:
        BadInput: the reference has not ended every task or learns nothing on any, or not all tasks
            have the same seeds.
    """
    check_reference(measured)
    against = measured.standings[measured.suite.against]
    learned = [i for i, one in enumerate(against) if fmean(one.learned.values()) > 0]
    by_seed = {
        label: [scores(of[i], against[i]) for i in learned]
        for label, of in measured.standings.items()
    }
    seeds = common_seeds(measured, [one for of in by_seed.values() for one in of])
    content = {
        "made_with": measured.made_with,
        "against": measured.suite.against,
        "tasks": [measured.tasks[i] for i in learned],
        "seeds": seeds,
        "scores": {
            label: [[task[seed] for task in of] for seed in seeds] for label, of in by_seed.items()
        },
    }
    return {".json": json_text(content).encode()}


def check_reference(measured: Measured) -> None:
    suite, against = measured.suite.name, measured.suite.against
    if against not in measured.rows:
        missing = measured.missing.get(against, measured.tasks)
        raise BadInput(
            f"suite {suite}: {against}, by which scores are measured, lacks {', '.join(missing)}; "
            f"python -m scripts.compare optim={against} suite={suite} "
            f"profile={measured.profile} runs what is missing"
        )
    if len(learns_nothing(measured)) == len(measured.tasks):
        raise BadInput(
            f"suite {suite}, profile {measured.profile}: {against}, by which scores are measured, "
            "learns nothing on any task"
        )


def learns_nothing(measured: Measured) -> list[str]:
    """The tasks on which the reference is no better than its first weights."""
    against = measured.standings[measured.suite.against]
    return [one.task for one in against if fmean(one.learned.values()) <= 0]


def common_seeds(measured: Measured, by_seed: list[dict[int, float]]) -> list[int]:
    different = dict.fromkeys(tuple(one) for one in by_seed)
    if len(different) > 1:
        shown = " and others ".join(", ".join(map(str, seeds)) for seeds in different)
        raise BadInput(
            f"suite {measured.suite.name}: rliable takes as many seeds of every task, and some "
            f"have {shorten(shown)}"
        )
    [seeds] = different
    return list(seeds)


# -- AlgoPerf --------------------------------------------------------------------------------------


def algoperf(measured: Measured) -> Files:
    """The folders and CSV files that AlgoPerf's scoring reads, and a JSON file of the targets.

    As `scoring.score_submissions` of mlcommons/submissions_algorithms has it: in `submissions`, a
    folder for each optimizer, in it one for each seed, which is a study of AlgoPerf's, and in that
    one for each task with one trial. A trial's file has a line for each evaluation: the step,
    seconds of training, and the metric of the target, of validation data where the task has any.
    Score is AlgoPerf's word for seconds.
    """
    targets = {
        "benchmark_version": measured.made_with,
        "base_workloads": list(map(slug, measured.tasks)),
        "held_out_workloads": [],
        "workloads": {
            slug(one.task): target(study, one.outcomes[0].budget)
            for study, one in zip(
                measured.suite.studies, next(iter(measured.standings.values())), strict=True
            )
        },
    }
    files = {"/workload_targets.json": json_text(targets).encode()}
    for label, rows in measured.rows.items():
        for study, row in zip(measured.suite.studies, rows, strict=True):
            for record in row.confirmed.records if row.confirmed else ():
                path = f"study_{record.config['seed']}/{slug(task_of(study))}_pytorch/trial_1"
                path = f"/submissions/{slug(label)}/{path}/eval_measurements.csv"
                files[path] = measurements(record, study)
    return files


def target(study: Study, steps: int) -> dict[str, str | float | None]:
    return {
        "target_metric_name": metric_of(study),
        "target_metric_goal": "maximize" if study.select.mode == "max" else "minimize",
        "validation_target_value": study.target,
        "step_hint": steps,
    }


def metric_of(study: Study) -> str:
    """The metric of the target without what data it is of, which AlgoPerf calls validation."""
    return study.select.metric.partition("/")[2]


def measurements(record: Record, study: Study) -> bytes:
    """The evaluations of a run that have the metric of the target."""
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    header = ["global_step", "accumulated_submission_time", "score"]
    table.writerow([*header, f"validation/{metric_of(study)}"])
    for line in record.lines:
        value = line.get(study.select.metric)
        if value is not None:
            table.writerow([line["step"], line[SECONDS], line[SECONDS], value])
    return text.getvalue().encode()


FORMS: Mapping[str, Callable[[Measured], Files]] = {"rliable": rliable, "algoperf": algoperf}


def notes(measured: Measured, form: str) -> list[str]:
    """What a reader of the files must know."""
    found = [f"Left out: {left_out(measured)}."] if measured.missing else []
    machines = sorted({m for of in measured.standings.values() for one in of for m in one.machines})
    if form == "rliable" and (tasks := learns_nothing(measured)):
        found.append(
            f"Left out: {', '.join(tasks)}: {measured.suite.against} learns nothing there."
        )
    if form == "algoperf" and len(machines) > 1:
        shown = shorten("; ".join(machines), LONGEST)
        found.append(f"Compare steps and not seconds: the runs were made on {shown}.")
    return found
