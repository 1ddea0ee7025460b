"""An optimizer, often somebody's own, against a tuned one: the runs of a suite that this takes."""

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from engine.checks import BadInput
from engine.config import compose_unresolved, resolve_and_check
from engine.console import say
from engine.identity import DECIDES_OUTCOME
from engine.launch import check_writable, launcher_settings, trains_here
from engine.overrides import is_change, is_hydras, name_of, parts_of, read_override
from engine.ready import check_ready, prepare
from engine.run import Run
from engine.texts import hydra_text, shorten
from results.analysis import Result, Row
from results.baselines import Baselines, committed_runs
from results.plan import Plan, plan
from results.standing import Standing, defeated, divergence, learns, standing
from results.study import Settings, Study
from results.suite import Suite, check_first_weights, task_of
from results.sweep import check_search, train_due
from results.verdict import TaskVerdict, Verdict, task_verdict, verdict

log = logging.getLogger("adamily")


@dataclass(frozen=True)
class Entrant:
    """An optimizer in a comparison.

    Attributes:
        label: of its row.
        optim: its name, as in conf/optim.
        row: of the suite whose settings it has, if there is one of this label.
        changes: overrides that make it another than that row has it.
    """

    label: str
    optim: str
    row: str
    changes: tuple[str, ...] = ()

    def settings(self, study: Study, against: str) -> Settings:
        """Its row in a study: the study's own, or that of the reference with another optimizer."""
        usual = study.rows.get(self.row) or {
            key: value for key, value in study.rows[against].items() if not key.startswith("optim.")
        } | {"optim": self.optim}
        changed = {
            name_of(read_override(text)): read_override(text).value() for text in self.changes
        }
        if "schedule" in changed:
            usual = {k: v for k, v in usual.items() if not k.startswith("schedule.")}
        return usual | changed


def entrant(optim: str, changes: Sequence[str], suite: Suite) -> Entrant:
    """The optimizer of this name, or of a row of the suite with this label.

    Raises:
        BadInput: a change is not of the optimizer or its schedule.
    """
    for typed in changes:
        override = read_override(typed)
        if name_of(override) == "optim":
            raise BadInput(f"{shorten(typed)}: there is an optimizer already, {optim}")
        if not is_change(override) or override.is_sweep_override():
            raise BadInput(f"{shorten(typed)}: must be one KEY=VALUE of the optimizer")
    rows = [row for study in suite.studies for label, row in study.rows.items() if label == optim]
    name = rows[0]["optim"] if rows else optim
    if not changes:
        return Entrant(optim, name, optim)
    short = ", ".join(typed.removeprefix("optim.") for typed in changes)
    return Entrant(f"{optim} ({short})", name, optim, tuple(changes))


@dataclass(frozen=True)
class SuiteComparison:
    """The runs of an optimizer and of the reference on a suite, checked.

    Attributes:
        plans: by the name of the study, of those tasks that the optimizer can train.
        refused: by the name of the study, why it cannot.
        alone: the reference's plans of these, which are read and not trained.
        overrides: as typed, of every run.
        launcher_overrides: those of Hydra itself.
        baselines: the committed runs that count.
    """

    suite: Suite
    profile: str
    optim: Entrant
    against: Entrant
    plans: dict[str, Plan]
    refused: dict[str, str]
    alone: dict[str, Plan]
    overrides: list[str]
    launcher_overrides: list[str]
    baselines: Baselines

    @property
    def shared(self) -> list[str]:
        """The overrides of every run."""
        return [typed for typed in self.overrides if is_of_every_run(typed)]

    @property
    def entrants(self) -> list[Entrant]:
        return [self.optim] if self.optim == self.against else [self.optim, self.against]

    @property
    def paths(self) -> dict[str, str]:
        """The folders of data, runs and reports."""
        return next(iter(self.plans.values())).runs[0].config["paths"]

    def say_outdated(self) -> None:
        """Say of which tasks the committed runs of the reference do not count, or are not there."""
        outdated = [
            task_of(found.study)
            for found in self.plans.values()
            if any(one.cell.row == self.against.label for one in found.due()[0])
        ]
        if self.baselines.packed and outdated:
            say(
                f"{self.against.label}: no committed runs of the present version of "
                f"{', '.join(outdated)}: they are run now"
            )

    def prepare(self) -> None:
        """Make data ready.

        Raises:
            tasks.sources.DataError: they cannot be had.
        """
        prepare([planned.run for one in self.plans.values() for planned in one.runs])

    def run(self) -> list[Run]:
        """Train what is missing of both, side by side; return all runs that were asked for."""
        return train_due([*self.plans.values()], self.overrides, self.launcher_overrides)

    def results(self) -> dict[str, Result]:
        """What each study says of both now, by its name."""
        return {name: one.read() for name, one in (self.plans | self.alone).items()}

    def committed(self) -> list[Result]:
        """What each study says of the suite's other rows, as far as their runs are committed.

        A row that cannot be planned here, as where a package is not installed, is left out.
        """
        ours = {one.label for one in self.entrants}
        labels = dict.fromkeys(label for study in self.suite.studies for label in study.rows)
        results, shelf = [], {}
        for label in labels:
            packed = committed_runs(self.suite, label, self.profile)
            if label in ours or not packed:
                continue
            alone = [
                replace(study, rows={label: study.rows[label]}, reference=None)
                for study in self.suite.studies
                if label in study.rows
            ]
            try:
                plans = [
                    plan(study, self.profile, self.suite.data, self.shared, shelf=shelf)
                    for study in alone
                ]
            except BadInput as error:
                log.warning("%s is not ranked beside: %s", label, error)
                continue
            results += [replace(one, baselines=Baselines(packed)).read() for one in plans]
        return results

    def verdict(self, results: Mapping[str, Result], others: Iterable[Result] = ()) -> Verdict:
        """What the studies say together.

        Args:
            results: as `results` gives them.
            others: of the same studies, with rows that are ranked beside these two.
        """
        tasks = [self.on_task(study, results) for study in self.suite.studies]
        references = {study.name: self.reference_on(study, results) for study in self.suite.studies}
        standings: dict[str, list[Standing]] = {}
        for result in [*results.values(), *others]:
            theirs = references[result.study.name]
            for row in result.rows:
                if found := standing(row, result.study) or lost(row, theirs):
                    standings.setdefault(row.row, []).append(found)
        ours = {one.label for one in self.entrants}
        for study in self.suite.studies:
            # A row that a study leaves out cannot train its task.
            for label in standings.keys() - ours - study.rows.keys():
                theirs = references[study.name]
                standings[label] += [defeated(label, theirs)] if theirs else []
        return verdict(self.optim.label, self.against.label, tasks, standings)

    def reference_on(self, study: Study, results: Mapping[str, Result]) -> Standing | None:
        """The reference's standing on a task; None where it has none, or has learned nothing."""
        rows = results[study.name].rows if study.name in results else []
        found = [standing(row, study) for row in rows if row.row == self.against.label]
        return found[0] if found and found[0] and learns(found[0]) else None

    def on_task(self, study: Study, results: Mapping[str, Result]) -> TaskVerdict:
        task = task_of(study)
        if study.name in self.refused:
            problem = f"{self.optim.label} cannot train it: {self.refused[study.name]}"
            theirs = self.reference_on(study, results)
            return TaskVerdict(task, theirs=theirs, problem=problem, worse=True)
        rows = {row.row: row for row in results[study.name].rows}
        ours, theirs = (standing(rows[one.label], study) for one in (self.optim, self.against))
        if how := divergence(rows[self.against.label]):
            return TaskVerdict(task, ours, problem=f"{self.against.label} {how}")
        if how := divergence(rows[self.optim.label]):
            problem = f"{self.optim.label} {how}"
            return TaskVerdict(task, theirs=theirs, problem=problem, worse=True)
        if ours is None or theirs is None:
            return TaskVerdict(task, ours, theirs, problem=why_open(list(rows.values())))
        if not learns(theirs):
            problem = f"{self.against.label} learns nothing there that others could be measured by"
            return TaskVerdict(task, ours, theirs, problem=problem)
        return task_verdict(task, ours, theirs)


def lost(row: Row, theirs: Standing | None) -> Standing | None:
    """What a row that diverges on a task is worth there; None where it does not, or has not ended.

    Args:
        row: of the task's study.
        theirs: the reference's standing there.
    """
    return defeated(row.row, theirs) if theirs and divergence(row) else None


def why_open(rows: Sequence[Row]) -> str:
    """Why rows have not come to their ends."""
    records = [record for row in rows for point in row.all_points for record in point.records]
    errors = [record.summary["error"] for record in records if record.status == "failed"]
    if not errors:
        return "the runs there have not all ended"
    runs = "1 run has failed" if len(errors) == 1 else f"{len(errors)} runs have failed"
    return f"{runs} there, the first by {errors[0]}"


def make_comparison(
    suite: Suite,
    profile: str,
    optim: str,
    against: str | None = None,
    overrides: Sequence[str] = (),
    rerun: bool = False,
) -> SuiteComparison:
    """Plan a comparison, and check that it can be carried out.

    Args:
        suite: whose tasks.
        profile: "short" or "smoke".
        optim: the optimizer, by its name in conf/optim or that of a row of the suite.
        against: another one; None: the one that the suite says.
        overrides: `optim.KEY=VALUE` and `schedule…=VALUE` of the optimizer alone; others of every
            run, which may not change its outcome.
        rerun: whether to train the reference here, too, where its runs are committed.

    Raises:
        BadInput: an argument is wrong, a committed file is damaged, or the optimizer can train none
            of the tasks.
        tasks.sources.DataError: there is no room for a run in memory.
    """
    own = [typed for typed in overrides if is_of_optimizer(typed)]
    shared = [typed for typed in overrides if is_of_every_run(typed)]
    for typed in shared:
        if parts_of(read_override(typed)) & {*DECIDES_OUTCOME}:
            raise BadInput(f"{shorten(typed)}: suite {suite.name} says that, for all optimizers")
    newcomer = entrant(optim, own, suite)
    reference = entrant(against or suite.against, (), suite)
    for one in (newcomer, reference):
        check_config(one, suite)
    packed = {} if rerun else committed_runs(suite, reference.label, profile)
    plans, refused, unopposed = {}, {}, {}
    for study in suite.studies:
        rows = {one.label: one.settings(study, suite.against) for one in (newcomer, reference)}
        both = replace(study, rows=rows, reference=reference.label)
        try:
            found = plan(both, profile, suite.data, shared)
            check_plan(found, overrides)
        except BadInput as error:
            # Raised where the fault is not the newcomer's.
            alone = replace(both, rows={reference.label: rows[reference.label]})
            found = plan(alone, profile, suite.data, shared)
            check_plan(found, overrides)
            unopposed[study.name] = replace(found, baselines=Baselines(packed))
            refused[study.name] = str(error).removeprefix(f"{study.name}.yaml: ")
        else:
            plans[study.name] = replace(found, baselines=Baselines(packed))
    if not plans:
        raise BadInput(next(iter(refused.values())))
    config = next(iter(plans.values())).runs[0].config
    check_writable(config["paths"]["reports"], "paths.reports")
    launcher = [typed for typed in overrides if is_hydras(typed)]
    runs = sum(len(one.runs) for one in plans.values())
    launcher += launcher_settings(overrides, config, runs)
    found = SuiteComparison(
        suite,
        profile,
        newcomer,
        reference,
        plans,
        refused,
        unopposed,
        list(overrides),
        launcher,
        Baselines(packed),
    )
    found.say_outdated()
    return found


def check_plan(found: Plan, overrides: Sequence[str]) -> None:
    """Raise BadInput where its runs cannot be carried out, or cannot be judged."""
    check_search(found)
    check_first_weights(found)
    check_ready([planned.run for planned in found.runs], trains_here(overrides))


def check_config(one: Entrant, suite: Suite) -> None:
    """Raise BadInput for names and keys that there are not, which are wrong on every task."""
    study = suite.studies[0]
    settings = study.columns[task_of(study)] | one.settings(study, suite.against)
    overrides = [f"{key}={hydra_text(value)}" for key, value in settings.items()]
    resolve_and_check(compose_unresolved(overrides), {}, overrides)


def is_of_optimizer(typed: str) -> bool:
    """Whether an override says something of an optimizer or its schedule, and of nothing else."""
    return parts_of(read_override(typed)) <= {"optim", "schedule"}


def is_of_every_run(typed: str) -> bool:
    return not is_of_optimizer(typed) and not is_hydras(typed)
