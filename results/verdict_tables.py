"""A verdict as tables."""

import math
from collections.abc import Sequence
from statistics import fmean

from engine.metrics import metric_named
from results.differences import Comparison, detectable
from results.paired import p_text
from results.standing import Standing, rate_width
from results.statistics import Estimate, estimate
from results.table import Table, center_and_spread, interval, number
from results.verdict import TaskVerdict, Verdict, same_machine

STEPS = "steps to target"


def tables_of(found: Verdict, made_with: str, notes: Sequence[str]) -> list[Table]:
    """The values of each task, the comparison there, and all optimizers over all tasks.

    Args:
        found: the verdict.
        made_with: what every title ends with.
        notes: under the first table.
    """
    tables = [values(found, made_with, notes), comparisons(found, made_with)]
    return [*tables, overall(found, made_with)] if found.others else tables


def values(found: Verdict, made_with: str, notes: Sequence[str]) -> Table:
    """What both have reached, in the tasks' own units."""
    headers = ["task", "metric", "method", "value", "best lr", "decades of lr"]
    headers += [STEPS, "seconds to target", "reached", "diverged"]
    rows = [
        [task.task, metric_named(one.metric).label, one.optim, *value_texts(one)]
        for task in found.tasks
        for one in {one.optim: one for one in (task.ours, task.theirs) if one}.values()
    ]
    return Table(
        f"{found.optim} against {found.against}: what they reach. {made_with}.",
        headers,
        rows,
        [
            "Value: mean ± standard deviation over fresh seeds of the learning rate that was best "
            "on validation data. A run that diverged counts with the value of its first weights.",
            "Decades of lr: the width of the range of learning rates within 5% of the best, where "
            f"all rates were compared{', before the search let some of them go' * any_cut(found)}.",
            "Steps and seconds: medians over seeds until an evaluation on validation data is at "
            f"the target; seconds are of training, without evaluations.{of_machines(found)}",
            *notes,
        ],
    )


def any_cut(found: Verdict) -> bool:
    return any(one.cut for task in found.tasks for one in (task.ours, task.theirs) if one)


def of_machines(found: Verdict) -> str:
    """Where the seconds of the two are not to be held against each other."""
    apart = [
        task.task
        for task in found.tasks
        if task.ours and task.theirs and not same_machine(task.ours, task.theirs)
    ]
    if not apart:
        return ""
    return f" Those on {', '.join(apart)} are of different machines, and say nothing of the two."


def value_texts(one: Standing) -> list[str]:
    return [
        center_and_spread(estimate([outcome.value for outcome in one.outcomes], "mean")),
        number(one.rate),
        number(rate_width(one)),
        or_never(one.steps),
        or_never(one.seconds),
        f"{one.reached}/{len(one.outcomes)}",
        str(one.diverged),
    ]


def or_never(value: float) -> str:
    return number(value) if math.isfinite(value) else "never"


def comparisons(found: Verdict, made_with: str) -> Table:
    """Seed by seed, in units that tasks have in common."""
    headers = ["task", "verdict", "score", "95% interval", "p (Holm)", "detectable"]
    headers += ["in steps", f"ratio of {STEPS}", "95% interval", "p (Holm)", "pairs"]
    compared = len(found.compared)
    return Table(
        f"{found.optim} against {found.against}, seed by seed. {made_with}.",
        headers,
        [comparison_texts(task, compared) for task in found.tasks],
        [
            f"Score: how much more of what {found.against} learns on average, from the first "
            "weights on (of perplexity, in its logarithm), with Student's interval over pairs of "
            "runs with the same seed, of each task by itself.",
            "p: of the paired t-test, two-sided, corrected by Holm for all tasks of this table; "
            "better, worse, fewer and more stand where it is 0.05 at most. As intervals are not "
            "corrected, one without 0 (or a ratio of 1) can stand beside a larger p.",
            "Detectable: the smallest true difference of scores that as many pairs, spread as "
            "these are, show with a probability of 80%.",
            "A run that never reaches the target stands in the ratio with all its steps, so that "
            "a difference is rather too small.",
        ],
    )


def comparison_texts(task: TaskVerdict, compared: int) -> list[str]:
    return [
        task.task,
        task.judgement,
        *score_texts(task.final, task.p_final, compared),
        task.speed_words,
        *ratio_texts(task.speed, task.p_speed),
        str(task.final.n) if task.final else "–",
    ]


def score_texts(final: Comparison | None, p: float | None, compared: int) -> list[str]:
    if final is None:
        return ["–"] * 4
    found = final.difference
    least = (
        number(float(f"{detectable(final.deviation, final.n, compared):.2g}"))
        if final.deviation
        else "–"
    )
    return [f"{found.center:+.3f}", interval(found), p_text(p), least]


def ratio_texts(speed: Comparison | None, p: float | None) -> list[str]:
    if speed is None:
        return ["–"] * 3
    found = speed.difference
    limits = (
        "–"
        if found.low is None or found.high is None
        else f"[{math.exp(found.low):.2f}, {math.exp(found.high):.2f}]"
    )
    return [f"{math.exp(found.center):.2f}", limits, p_text(p)]


def overall(found: Verdict, made_with: str) -> Table:
    """All optimizers that have ended the tasks that these two have."""
    places, steps, seconds = found.ranks, found.step_scores, found.second_scores or {}
    rows = [
        [
            str(places[optim]),
            optim,
            number(round(fmean(found.scores_of(optim)), 4)),
            with_interval(found.iqm_of(optim)),
            f"{steps[optim]:.3f}",
            f"{seconds[optim]:.3f}" if optim in seconds else "–",
        ]
        for optim in sorted(found.others, key=lambda optim: (places[optim], optim))
    ]
    notes = [
        f"Of {len(found.counted)} tasks: {', '.join(task.task for task in found.counted)}.",
        f"Score: 1 is what {found.against} learns on average, 0 the first weights; a run that ends "
        "below its first weights has a negative one. IQM: the interquartile mean over all runs, "
        "with a stratified bootstrap interval (Agarwal et al. 2021).",
        "Profile: the mean share of tasks whose target is reached within a factor of the quickest "
        "optimizer's median, over factors from 1 to 4 (Dolan & Moré 2002; Dahl et al. 2023). It "
        "depends on who takes part.",
    ]
    notes += defeat_notes(found)
    if found.improves:
        notes.append(
            f"The probability that a run of {found.optim} beats one of {found.against}, mean over "
            f"tasks: {with_interval(found.improves)}."
        )
    if not seconds:
        notes.append(
            f"Seconds are not compared: not all runs of {found.optim} and {found.against} were "
            "made on the same machine."
        )
    elif len(seconds) < len(found.others):
        notes.append("Seconds are of those whose runs were all made on the same machine.")
    headers = ["place", "method", "mean score", "IQM", "profile over steps", "over seconds"]
    return Table(f"All tasks together. {made_with}.", headers, rows, notes)


def defeat_notes(found: Verdict) -> list[str]:
    """How that counts which the optimizer cannot train."""
    defeats = [task for task in found.tasks if task.worse and not task.final]
    counted = ", ".join(task.task for task in defeats if task.lost)
    left_out = ", ".join(task.task for task in defeats if not task.lost)
    notes = []
    if counted:
        notes.append(
            f"On {counted}, {found.optim} counts with a score of 0 for each seed of "
            f"{found.against}, below all of its runs, and never reaches the target."
        )
    if left_out:
        notes.append(
            f"{found.optim} is worse on {left_out}, too, which does not count here, as "
            f"{found.against} has no score there to count by."
        )
    return notes


def with_interval(one: Estimate) -> str:
    limits = "" if one.low is None else f" [{one.low:.3f}, {one.high:.3f}]"
    return f"{one.center:.3f}{limits}"
