"""What has been measured of a suite's optimizers, here and by those who committed their runs."""

import logging
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from engine.checks import BadInput
from engine.texts import hydra_text
from results.analysis import Row
from results.baselines import Baselines, Texts, committed_runs
from results.plan import plan
from results.standing import Standing, divergence, standing
from results.study import Study
from results.suite import Suite, task_of

log = logging.getLogger("adamily")


@dataclass(frozen=True)
class Measured:
    """The optimizers of a suite that have runs.

    Attributes:
        rows: label → row of each of the suite's studies, of those that have ended every task.
        missing: label → tasks that they have not ended, with why, of the others.
    """

    suite: Suite
    profile: str
    rows: dict[str, list[Row]]
    missing: dict[str, list[str]]

    @property
    def made_with(self) -> str:
        """For example "suite laptop, profile short, sample data"."""
        return f"suite {self.suite.name}, profile {self.profile}, {self.suite.data} data"

    @property
    def tasks(self) -> list[str]:
        return [task_of(study) for study in self.suite.studies]

    @cached_property
    def standings(self) -> dict[str, list[Standing]]:
        """Label → standing on each task, of those that have ended every one."""
        return {
            label: [
                one
                for pair in zip(rows, self.suite.studies, strict=True)
                if (one := standing(*pair))
            ]
            for label, rows in self.rows.items()
        }


def measure(suite: Suite, profile: str, runs: Path) -> Measured:
    """Read all rows of a suite, those in the folder of runs and the committed ones.

    Args:
        suite: of which.
        profile: "short" or "smoke".
        runs: the folder of runs.

    Raises:
        BadInput: the suite has no such profile, or a config is wrong.
    """
    for study in suite.studies:
        if profile not in study.profiles:
            known = ", ".join(study.profiles)
            raise BadInput(f"profile={profile}: study {study.name} has {known}")
    packed = packed_of(suite, profile)
    found = [rows_of(study, suite.data, profile, runs, packed) for study in suite.studies]
    labels = dict.fromkeys(label for rows in found for label in rows)
    missing = {
        label: [
            gap(label, rows, study)
            for study, rows in zip(suite.studies, found, strict=True)
            if label not in rows or standing(rows[label], study) is None
        ]
        for label in labels
    }
    return Measured(
        suite,
        profile,
        {label: [rows[label] for rows in found] for label in labels if not missing[label]},
        {label: tasks for label, tasks in missing.items() if tasks},
    )


def gap(label: str, rows: dict[str, Row], study: Study) -> str:
    """A task that an optimizer has not ended, and why not where no run could end it."""
    task = task_of(study)
    if label not in study.rows:
        return f"{task} (which it cannot train)"
    how = divergence(rows[label]) if label in rows else None
    return f"{task} ({how})" if how else task


def packed_of(suite: Suite, profile: str) -> dict[str, Texts]:
    """Label → committed runs, of the rows that have some."""
    labels = dict.fromkeys(label for study in suite.studies for label in study.rows)
    packed = {label: committed_runs(suite, label, profile) for label in labels}
    return {label: texts for label, texts in packed.items() if texts}


def rows_of(
    study: Study, data: str, profile: str, runs: Path, packed: dict[str, Texts]
) -> dict[str, Row]:
    """The study's rows that have a run, by their labels."""
    [column] = study.columns.values()
    # A plan of rows of which there can be no run would take seconds for nothing.
    begun = {
        label: row
        for label, row in study.rows.items()
        if label in packed or (runs / column["task"] / row["optim"]).is_dir()
    }
    shared = [f"paths.runs={hydra_text(str(runs))}"]
    shelf, rows = {}, []
    for label, row in begun.items():
        try:
            found = plan(replace(study, rows={label: row}), profile, data, shared, shelf=shelf)
        except BadInput as error:
            log.warning("%s is left out: %s", label, error)
            continue
        rows += replace(found, baselines=Baselines(packed.get(label, {}))).read().rows
    return {row.row: row for row in rows if any(point.records for point in row.points)}
