"""Whether an optimizer is better than a tuned one, from what both have reached on a suite."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import fmean

import numpy as np

from results.differences import SIGNIFICANT, Comparison, compare, holm, probability_of_improvement
from results.standing import Standing, defeated, learns, profile_score, ranks, scores
from results.statistics import (
    CONFIDENCE,
    LEAST_TO_RESAMPLE,
    RESAMPLES,
    Estimate,
    interquartile_mean,
    t_quantile,
)


@dataclass(frozen=True)
class TaskVerdict:
    """An optimizer against the reference on one task.

    Attributes:
        ours, theirs: None where an optimizer has nothing to show there, which `problem` explains.
        final: of the scores (`results.standing.scores`), paired by seed.
        speed: of log(steps to the target), paired by seed. A run that does not reach the target
            stands there with its whole budget, so that a difference is rather too small.
        p_final, p_speed: corrected by Holm for all tasks.
        problem: why there is no comparison: the optimizer cannot train the task or diverges at
            every rate, the reference does so or learns nothing, or runs have not ended.
        worse: whether the problem is one of the optimizer's own, and so a defeat.
    """

    task: str
    ours: Standing | None = None
    theirs: Standing | None = None
    final: Comparison | None = None
    speed: Comparison | None = None
    p_final: float | None = None
    p_speed: float | None = None
    problem: str = ""
    worse: bool = False

    @property
    def judgement(self) -> str:
        """better, worse, equal (in every pair), not told apart, or incomplete."""
        if self.worse:
            return "worse"
        if self.final is None:
            return "incomplete"
        return judged(self.final, self.p_final, larger_is_better=True)

    @property
    def speed_judgement(self) -> str:
        """As `judgement`, of the steps to the target."""
        if self.speed is None:
            return "incomplete"
        return judged(self.speed, self.p_speed, larger_is_better=False)

    @property
    def speed_words(self) -> str:
        """fewer, more, neither or only one reaches it (in any run), equal, or not told apart."""
        if self.speed is None:
            return "–"
        if self.speed_judgement in ("better", "worse"):
            return "fewer" if self.speed_judgement == "better" else "more"
        reaching = [one.optim for one in (self.ours, self.theirs) if one and one.reached]
        if not reaching:
            return "neither reaches it"
        return f"only {reaching[0]} reaches it" if len(reaching) == 1 else self.speed_judgement

    @property
    def lost(self) -> Standing | None:
        """The reference's standing, where the optimizer has none and counts as having learned 0.

        None also where the reference itself learns nothing to count by, or has no runs.
        """
        if not self.worse or self.final or self.theirs is None or not learns(self.theirs):
            return None
        return self.theirs


def judged(found: Comparison, p: float | None, larger_is_better: bool) -> str:
    center = found.difference.center
    if p is None:
        return "equal" if center == 0 else "not told apart"
    if p > SIGNIFICANT:
        return "not told apart"
    return "better" if (center > 0) == larger_is_better else "worse"


@dataclass(frozen=True)
class Verdict:
    """An optimizer against the reference on a whole suite.

    Attributes:
        iqm: the interquartile mean of the optimizer's scores; the reference's own mean is 1. Of a
            task that it cannot train, they are 0.
        improves: the probability that it beats the reference, mean over tasks, with a stratified
            bootstrap interval. On what it cannot train, that is 0.
        others: all optimizers that have ended every task that counts, these two included, by their
            labels, a standing for each task.
    """

    optim: str
    against: str
    tasks: list[TaskVerdict]
    iqm: Estimate | None
    improves: Estimate | None
    others: dict[str, list[Standing]]

    @property
    def compared(self) -> list[TaskVerdict]:
        return [task for task in self.tasks if task.final]

    @property
    def counted(self) -> list[TaskVerdict]:
        """Those that count over all tasks: compared, or lost by the optimizer."""
        return [task for task in self.tasks if task.final or task.lost]

    def where(self, judgement: str) -> list[TaskVerdict]:
        return [task for task in self.tasks if task.judgement == judgement]

    @property
    def ranks(self) -> dict[str, int]:
        """The place of each of `others` by its mean score."""
        return ranks({o: self.scores_of(o) for o in self.others})

    def scores_of(self, optim: str) -> list[float]:
        """Its mean score on each task."""
        return [fmean(of.values()) for of in self.run_scores_of(optim)]

    def run_scores_of(self, optim: str) -> list[dict[int, float]]:
        """Seed → score, of each task."""
        pairs = zip(self.others[optim], self.others[self.against], strict=True)
        return [scores(one, reference) for one, reference in pairs]

    def iqm_of(self, optim: str) -> Estimate:
        """The interquartile mean of its scores, over all runs."""
        return interquartile_mean([list(of.values()) for of in self.run_scores_of(optim)])

    @property
    def step_scores(self) -> dict[str, float]:
        """The profile score of each of `others` over steps to the targets."""
        return profile_score(times(self.others, "steps"))

    @property
    def second_scores(self) -> dict[str, float] | None:
        """The same over seconds, of those that are `timed`; None where there are none."""
        return profile_score(times(self.timed, "seconds")) if self.timed else None

    @property
    def timed(self) -> dict[str, list[Standing]]:
        """Those of `others` whose runs on each task were all made on the reference's one machine.

        None of them where those of the optimizer were not.
        """
        if not self.others:
            return {}
        reference = self.others[self.against]
        found = {o: of for o, of in self.others.items() if all(map(same_machine, of, reference))}
        return found if {self.optim, self.against} <= found.keys() else {}


def same_machine(one: Standing, other: Standing) -> bool:
    """Whether all runs of both were made on one machine; of none, there is nothing to compare."""
    return len(one.machines | other.machines) == 1


def times(others: dict[str, list[Standing]], unit: str) -> dict[str, dict[str, float]]:
    """Optimizer → task → median steps or seconds to the target."""
    return {optim: {one.task: getattr(one, unit) for one in of} for optim, of in others.items()}


def verdict(
    optim: str, against: str, tasks: Sequence[TaskVerdict], others: dict[str, list[Standing]]
) -> Verdict:
    """Compare, task by task and over all.

    Args:
        optim: the label of the optimizer.
        against: that of the reference.
        tasks: as `task_verdict` makes them, not yet corrected for their number.
        others: as in Verdict, and with tasks that these two may not have; of two standings of one
            optimizer on a task, the first counts.
    """
    tasks = corrected(tasks)
    lost = [defeated(optim, theirs) for task in tasks if (theirs := task.lost)]
    others = others | {optim: [*lost, *others.get(optim, [])]}
    wanted = [task.task for task in tasks if task.final or task.lost]
    complete = {
        label: [standings[task] for task in wanted]
        for label, of in others.items()
        if set(wanted) <= (standings := {one.task: one for one in reversed(of)}).keys()
    }
    found = Verdict(optim, against, tasks, None, None, complete if wanted else {})
    if not wanted:
        return found
    return replace(found, iqm=found.iqm_of(optim), improves=mean_improvement(runs_of(found)))


def runs_of(found: Verdict) -> list[tuple[list[float], list[float]]]:
    """The scores of both on each task that counts.

    An optimizer that cannot train a task is below each run of the reference, also below one that
    has diverged itself.
    """
    pairs = zip(found.run_scores_of(found.optim), found.run_scores_of(found.against), strict=True)
    return [
        ([-math.inf if task.lost else s for s in ours.values()], list(theirs.values()))
        for task, (ours, theirs) in zip(found.counted, pairs, strict=True)
    ]


def task_verdict(task: str, ours: Standing, theirs: Standing) -> TaskVerdict:
    """Compare on one task, over the seeds that both have."""
    own, reference = scores(ours, theirs), scores(theirs, theirs)
    seeds = [seed for seed in own if seed in reference]
    if not seeds:
        problem = f"{ours.optim} and {theirs.optim} have no seed in common"
        return TaskVerdict(task, ours, theirs, problem=problem)
    final = compare([own[s] for s in seeds], [reference[s] for s in seeds], lower_is_better=False)
    speed = compare(
        [log_steps(ours)[s] for s in seeds],
        [log_steps(theirs)[s] for s in seeds],
        lower_is_better=True,
    )
    return TaskVerdict(task, ours, theirs, final, speed)


def log_steps(one: Standing) -> dict[int, float]:
    return {o.seed: math.log(max(1, min(o.steps, o.budget))) for o in one.outcomes}


def corrected(tasks: Sequence[TaskVerdict]) -> list[TaskVerdict]:
    """With the p-values of both questions corrected for the number of tasks."""
    final = holm_of([task.final for task in tasks])
    speed = holm_of([task.speed for task in tasks])
    return [
        replace(task, p_final=p_final, p_speed=p_speed)
        for task, p_final, p_speed in zip(tasks, final, speed, strict=True)
    ]


def holm_of(found: Sequence[Comparison | None]) -> list[float | None]:
    p_values = [one.p for one in found if one and one.p is not None]
    adjusted = iter(holm(p_values))
    return [next(adjusted) if one and one.p is not None else None for one in found]


def mean_improvement(by_task: Sequence[tuple[Sequence[float], Sequence[float]]]) -> Estimate:
    """The probability that a run beats one of the reference, mean over tasks.

    With the percentiles of a bootstrap that draws the seeds of each task and optimizer anew, as
    rliable has it (Agarwal et al. 2021, section 4.3). With 5 seeds in each of 8 tasks, they cover
    the truth of normal scores about 94 times of 100. There are none for fewer than 20 scores, where
    a task has one seed, or where all draws say the same, as when every run beats every other.
    """
    pairs = [tuple(np.asarray(values) for values in pair) for pair in by_task]
    center = fmean(probability_of_improvement(a, b, False) for a, b in pairs)
    n = sum(len(ours) for ours, _ in pairs)
    alone = min(len(values) for pair in pairs for values in pair) < 2
    if n < LEAST_TO_RESAMPLE or alone:
        return Estimate(center, None, None, None, n)
    generator = np.random.default_rng(0)
    drawn = np.zeros(RESAMPLES)
    for ours, theirs in pairs:
        a = generator.choice(ours, size=(RESAMPLES, len(ours)))
        b = generator.choice(theirs, size=(RESAMPLES, len(theirs)))
        drawn += (np.sign(a[:, :, None] - b[:, None, :]).mean(axis=(1, 2)) + 1) / 2
    drawn /= len(pairs)
    if np.ptp(drawn) == 0:
        return Estimate(center, None, None, None, n)
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(drawn, [tail, 1 - tail])
    return Estimate(center, float(drawn.std(ddof=1)), float(low), float(high), n)


# -- in words --------------------------------------------------------------------------------------

WITHOUT_SPREAD = "where all pairs of runs differ by the same"


def sentences(found: Verdict) -> list[str]:
    """What the verdict says, the plainest first."""
    lines = [final_sentence(found), speed_sentence(found)]
    lines += [f"{task.task}: {task.problem}." for task in found.tasks if task.problem]
    return [line for line in lines if line]


def final_sentence(found: Verdict) -> str:
    better, worse = found.where("better"), found.where("worse")
    total = len(found.tasks) - len(found.where("incomplete"))
    if not total:
        return f"{found.optim} cannot be compared with {found.against} yet."
    tasks = "1 task" if total == 1 else f"{total} tasks"
    parts = [
        f"better than {found.against} on {named(better) if better else 'none'} of {tasks}",
        f"worse on {named(worse) if worse else 'none'}",
        *rest_parts(found, "the others" if better or worse else "all of them"),
    ]
    if len(parts) > 2:
        parts[-1] = f"and {parts[-1]}"
    return f"{found.optim} is {', '.join(parts)}."


def rest_parts(found: Verdict, all_of_them: str) -> list[str]:
    """What is said of the tasks on which it is neither better nor worse."""
    equal, rest = found.where("equal"), found.where("not told apart")
    close = [task for task in rest if task.final and task.final.deviation]
    unknown = [task for task in rest if task not in close]
    parts = [f"equal to it on {named(equal)}"] if equal else []
    if unknown:
        parts.append(f"not told apart from it on {named(unknown)}, {WITHOUT_SPREAD}")
    if close:
        differences = [task.final for task in close if task.final]
        parts.append(
            f"within ±{100 * joint_range(differences):.2g}% of what {found.against} learns on "
            f"{named(close) if equal or unknown else all_of_them}, "
            f"which {min(one.n for one in differences)} seeds could not tell apart"
        )
    return parts


def joint_range(differences: Sequence[Comparison]) -> float:
    """The largest difference, either way, that intervals of all of them do not exclude.

    They are Student's, each as much wider as makes all hold the truth at once 95 times of 100
    (Bonferroni).
    """
    tail = (1 - CONFIDENCE) / 2 / len(differences)
    return max(
        abs(one.difference.center) + t_quantile(one.n - 1, tail) * one.deviation / math.sqrt(one.n)
        for one in differences
        if one.deviation is not None
    )


def speed_sentence(found: Verdict) -> str:
    if not found.compared:
        return ""
    by_words: dict[str, list[TaskVerdict]] = {}
    for task in found.compared:
        by_words.setdefault(task.speed_words, []).append(task)
    quick, slow = (by_words.get(words, []) for words in ("fewer", "more"))
    parts = [
        f"It reaches the targets in fewer steps on {named(quick) if quick else 'none'}, "
        f"and in more on {named(slow) if slow else 'none'}",
        *(f"{words} on {named(by_words[words])}" for words in by_words if "reaches" in words),
    ]
    rest = by_words.get("not told apart", [])
    if unknown := [task for task in rest if task.speed and task.speed.p is None]:
        parts.append(f"not told apart on {named(unknown)}, {WITHOUT_SPREAD}")
    return f"{'; '.join(parts)}."


def named(tasks: Sequence[TaskVerdict]) -> str:
    return f"{len(tasks)} ({', '.join(task.task for task in tasks)})"
