"""What an optimizer has reached on each task of a suite, in numbers that tasks have in common."""

import itertools
import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from statistics import fmean, median
from typing import Literal

import numpy as np

from engine.metrics import metric_named
from engine.records import Record
from results.analysis import Point, Row
from results.searching import worth
from results.statistics import mean_interval
from results.study import Study
from results.suite import RATE, task_of
from results.table import cpu_of

SECONDS = "time/train_seconds"
CLOSE = 0.05  # of the best, in which a learning rate is as good


@dataclass(frozen=True)
class Outcome:
    """One run with a fresh seed.

    Attributes:
        value: the metric by which the task judges, at the end; that of the first weights of a run
            that diverged, which has learned nothing.
        untrained: the metric at the first weights.
        steps: of the optimizer, at the first evaluation whose validation metric is at the target;
            infinite where none is.
        seconds: of training until then.
        budget: steps of the whole run.
    """

    seed: int
    value: float
    untrained: float
    diverged: bool
    steps: float
    seconds: float
    budget: int


@dataclass(frozen=True)
class Standing:
    """An optimizer on a task, at the learning rate that its search chose, if it can train it.

    Attributes:
        task: the label of the study.
        optim: the label of its row.
        rate: the learning rate; None where it can train at none.
        outcomes: of the fresh seeds, rising.
        searched: learning rate → the metric of the choice at the first pause, where all rates were
            compared, mean over the search's seeds; None where a run diverged before.
        mode: whether the metric of the choice is the better the larger, "max", or "min".
        cut: how many rates the search let go no further than where they paused.
        machines: that its runs were made on, as `machine` describes them.
    """

    task: str
    optim: str
    metric: str
    rate: float | None
    outcomes: list[Outcome]
    searched: dict[float, float | None]
    mode: Literal["min", "max"]
    cut: int
    machines: frozenset[str]

    @property
    def diverged(self) -> int:
        return sum(outcome.diverged for outcome in self.outcomes)

    @property
    def reached(self) -> int:
        """How many of the runs reached the target."""
        return sum(math.isfinite(outcome.steps) for outcome in self.outcomes)

    @property
    def value(self) -> float:
        """The metric, mean over seeds."""
        return fmean(outcome.value for outcome in self.outcomes)

    @property
    def steps(self) -> float:
        """Steps to the target, median over seeds."""
        return median(outcome.steps for outcome in self.outcomes)

    @property
    def seconds(self) -> float:
        """Seconds to the target, median over seeds."""
        return median(outcome.seconds for outcome in self.outcomes)

    @cached_property
    def learned(self) -> dict[int, float]:
        """Seed → how far the run has come from its first weights, larger being better.

        In the metric's unit, or of a metric on a logarithmic axis, in nats.
        """
        metric = metric_named(self.metric)
        sign = -1 if metric.better == "min" else 1
        scale = log if metric.log else float
        return {o.seed: sign * scale(o.value) - sign * scale(o.untrained) for o in self.outcomes}


def log(value: float) -> float:
    """Of a loss that has vanished, that of the smallest number: it can be learned no further."""
    return math.log(max(value, sys.float_info.min))


def standing(row: Row, study: Study) -> Standing | None:
    """What a suite's study says of a row; None while it has not come to its confirmation.

    A row whose rates have all diverged has none either: `divergence` tells them apart. A seed
    whose first weights have no finite value says nothing of any optimizer, and is left out.
    """
    if row.confirmed is None or row.best is None or not row.confirmed.ended:
        return None
    metric = study.report[0]
    ends = row.confirmed.values_by_seed(metric, study)
    outcomes = [
        outcome(record, study, first, ends.get(record.config["seed"], []))
        for record in sorted(row.confirmed.records, key=lambda record: record.config["seed"])
        if (first := first_value(record, metric)) is not None
    ]
    if not outcomes:
        return None
    return Standing(
        task=task_of(study),
        optim=row.row,
        metric=metric,
        rate=rate_of(row.best),
        outcomes=outcomes,
        searched={rate_of(point): searched(point, study) for point in row.points},
        mode=study.select.mode,
        cut=sum(point.cut for point in row.points),
        machines=frozenset(machine(record) for record in row.confirmed.records),
    )


def defeated(optim: str, theirs: Standing) -> Standing:
    """What an optimizer that cannot train a task is worth there: no more than the first weights.

    Args:
        optim: its label.
        theirs: the standing of another one there, with whose seeds it counts.
    """
    outcomes = [
        replace(o, value=o.untrained, diverged=True, steps=math.inf, seconds=math.inf)
        for o in theirs.outcomes
    ]
    return Standing(
        theirs.task, optim, theirs.metric, None, outcomes, {}, theirs.mode, 0, frozenset()
    )


def divergence(row: Row) -> str | None:
    """How a search has ended without a rate at which a run finishes, as a part of a sentence.

    Of rates that it let go while they were well, nobody knows whether they would have diverged.

    Returns:
        "diverges at every learning rate", or at each of those that went to the end; None where a
        run has finished or the search has not ended.
    """
    to_the_end = [point for point in row.points if not point.cut]
    if row.best is not None or not to_the_end or not all(point.ended for point in to_the_end):
        return None
    if all(point.count("diverged") == point.planned for point in row.points):
        return "diverges at every learning rate"
    if len(to_the_end) == 1:
        return "diverges at the one learning rate that its search took to the end"
    return (
        f"diverges at each of the {len(to_the_end)} learning rates that its search took to the end"
    )


def rate_of(point: Point) -> float:
    """The learning rate of a point; of one where the row sets it, that of its runs."""
    return point.values[RATE] if RATE in point.values else point.records[0].config["optim"]["lr"]


def machine(record: Record) -> str:
    """What decides how long a step takes, for example "A CPU, 2 threads, 4 cores, torch 2.9.1"."""
    found = record.environment
    if not found:
        return "an unknown machine"
    torch = found.get("packages", {}).get("torch", "unknown")
    return (
        f"{found.get('gpu') or cpu_of(found)}, {found.get('cores', 'unknown')} cores, torch {torch}"
    )


def outcome(record: Record, study: Study, first: float, end: Sequence[float]) -> Outcome:
    """What a run has come to.

    Args:
        record: of the run.
        study: which has the target.
        first: the metric at the first weights.
        end: the metric at the end, or that of each of its trials; of a run that diverged, none.
    """
    steps, seconds = to_target(record, study)
    return Outcome(
        seed=record.config["seed"],
        value=fmean(end) if end else first,
        untrained=first,
        diverged=record.status == "diverged",
        steps=steps,
        seconds=seconds,
        budget=record.summary["steps"],
    )


def first_value(record: Record, metric: str) -> float | None:
    """A metric at the first weights, which a suite's runs evaluate; None where it is not finite."""
    steps, values = record.curves[metric]
    assert steps[0] == 0
    return values[0]


def to_target(record: Record, study: Study) -> tuple[float, float]:
    """Steps and seconds of training until the target is reached; infinite where it is not."""
    assert study.target is not None
    sign = 1 if study.select.mode == "max" else -1
    for line in record.lines:
        value = line.get(study.select.metric)
        if value is not None and sign * value >= sign * study.target:
            return line["step"], line[SECONDS]
    return math.inf, math.inf


def searched(point: Point, study: Study) -> float | None:
    """What a rate was worth where the search first compared it; None where a run diverged before.

    That is at the first pause, or of a run that did not pause there, up to it; or else at the end.
    """
    halving = study.search.halving
    first_pause = halving.fractions[0] if halving else None
    values = [worth(record, study.select, first_pause) for record in point.records]
    known = [value for value in values if value is not None]
    return fmean(known) if known and len(known) == len(values) else None


# -- between optimizers ----------------------------------------------------------------------------


def scores(one: Standing, reference: Standing) -> dict[int, float]:
    """Seed → how much of what the reference learned on average the optimizer has learned.

    0 is what the first weights are worth, and 1 what the reference reaches; a run that ends below
    its first weights has less than 0. The reference must have learned something (`learns`).
    """
    scale = fmean(reference.learned.values())
    return {seed: learned / scale for seed, learned in one.learned.items()}


def learns(one: Standing) -> bool:
    """Whether runs end better than their first weights, by more than chance over seeds.

    Student's 95% interval of what they learn on average is above 0; of one seed there is none.
    """
    learned = np.array(list(one.learned.values()))
    return len(learned) > 1 and bool(mean_interval(learned)[0] > 0)


def rate_width(one: Standing) -> float | None:
    """How many decades of learning rates lie within 5% of the best where all were compared.

    Those around the best one, without a gap between them, each standing for the range halfway to
    its neighbours; None where fewer than two rates were tried.
    """
    rates = sorted(one.searched)
    known = {rate: value for rate in rates if (value := one.searched[rate]) is not None}
    if len(rates) < 2 or not known:
        return None
    best_rate = (min if one.mode == "min" else max)(known, key=lambda rate: known[rate])
    best = known[best_rate]
    close = {r for r, value in known.items() if abs(value - best) <= CLOSE * abs(best)}
    low = high = rates.index(best_rate)
    while low > 0 and rates[low - 1] in close:
        low -= 1
    while high < len(rates) - 1 and rates[high + 1] in close:
        high += 1
    logs = [math.log10(rate) for rate in rates]
    edges = [logs[0], *((a + b) / 2 for a, b in itertools.pairwise(logs)), logs[-1]]
    return edges[high + 1] - edges[low]


def profile(times: Mapping[str, Mapping[str, float]], factor: float) -> dict[str, float]:
    """Of each optimizer, the share of tasks whose target it reaches in `factor` of the best time.

    The performance profile of Dolan & Moré (2002).

    Args:
        times: optimizer → task → time to the target, infinite where it is not reached. All have the
            same tasks.
        factor: 1 or more; 1 counts the tasks on which an optimizer is the quickest.
    """
    tasks = next(iter(times.values()))
    best = {task: min(of[task] for of in times.values()) for task in tasks}
    return {
        optim: fmean(of[task] <= factor * best[task] < math.inf for task in tasks)
        for optim, of in times.items()
    }


def profile_score(
    times: Mapping[str, Mapping[str, float]], largest: float = 4.0
) -> dict[str, float]:
    """The mean of each optimizer's profile over factors from 1 to `largest`.

    As AlgoPerf scores submissions (Dahl et al. 2023, section 4.2, whose `largest` is 4), here as
    the exact integral.
    """
    tasks = next(iter(times.values()))
    best = {task: min(of[task] for of in times.values()) for task in tasks}

    def share(time: float, least: float) -> float:
        """Of the factors from 1 to the largest, those at which the time is within reach."""
        if math.isinf(time) or least == 0:  # the first weights are at the target
            return float(time == least < math.inf)
        return max(0.0, (largest - max(1.0, time / least)) / (largest - 1))

    return {
        optim: fmean(share(of[task], best[task]) for task in tasks) for optim, of in times.items()
    }


def ranks(scores_of: Mapping[str, Sequence[float]]) -> dict[str, int]:
    """The place of each optimizer by its mean score over tasks, 1 for the best; ties share one."""
    means = {optim: fmean(values) for optim, values in scores_of.items()}
    return {
        optim: 1 + sum(other > mean for other in means.values()) for optim, mean in means.items()
    }
