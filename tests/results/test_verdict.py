"""The verdict: what is called better, in which words, and how often that is chance."""

import itertools
import math
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from results import verdict as verdicts
from results.differences import holm
from results.standing import Outcome, Standing
from results.verdict import TaskVerdict, mean_improvement, sentences, task_verdict, verdict

BUDGET = 400


def stood(optim, values, steps=100, task="a", metric="test/accuracy", untrained=0.1, first=0):
    """A standing; `steps` are of all seeds, which begin with `first`, or a list of theirs."""
    steps = steps if isinstance(steps, list) else [steps] * len(values)
    outcomes = [
        Outcome(seed, value, untrained, False, taken, taken / 2, BUDGET)
        for seed, (value, taken) in enumerate(zip(values, steps, strict=True), first)
    ]
    return Standing(task, optim, metric, 0.1, outcomes, {0.1: 0.9}, "max", 0, frozenset({"C"}))


# By seed, of accuracies whose first weights have 0.1: luck that all share.
LUCK = [0.90, 0.88, 0.92, 0.89, 0.91]
# What an optimizer has of its own, in the same seeds.
NOISE = [0.001, -0.002, 0.000, 0.002, -0.001]


def shifted(by, noise=1.0):
    return [luck + by + noise * own for luck, own in zip(LUCK, NOISE, strict=True)]


def on(task, ours, theirs=LUCK, our_steps=100, their_steps=100):
    return task_verdict(
        task,
        stood("new", ours, our_steps, task),
        stood("adamw", theirs, their_steps, task),
    )


def judge(*tasks):
    others = {}
    for task in tasks:
        for one in (task.ours, task.theirs):
            if one:
                others.setdefault(one.optim, []).append(one)
    return verdict("new", "adamw", tasks, others)


# -- one task --------------------------------------------------------------------------------------


def test_runs_are_paired_by_their_seeds():
    # Seeds 0 to 4 and 2 to 6: three pairs.
    ours = stood("new", [0.9, 0.8, 0.7, 0.6, 0.5])
    theirs = stood("adamw", [0.70, 0.55, 0.48, 0.9, 0.9], first=2)
    found = task_verdict("a", ours, theirs)
    assert found.final.n == found.speed.n == 3
    scale = np.mean([0.70, 0.55, 0.48, 0.9, 0.9]) - 0.1
    assert found.final.difference.center == pytest.approx(np.mean([0, 0.05, 0.02]) / scale)


def test_without_a_seed_in_common_there_is_no_comparison():
    found = task_verdict("a", stood("new", LUCK), stood("adamw", LUCK, first=5))
    assert (found.judgement, found.speed_judgement) == ("incomplete", "incomplete")
    assert found.problem == "new and adamw have no seed in common"
    assert judge(found).compared == []


def test_steps_are_compared_as_ratios_and_a_target_not_reached_takes_the_whole_budget():
    never = math.inf
    found = on("a", LUCK, our_steps=[50, 100, never, 0, 80], their_steps=[100, 100, 200, 10, 20])
    # A target that the first weights reach takes a step.
    expected = [math.log(r) for r in (0.5, 1, BUDGET / 200, 1 / 10, 4)]
    assert found.speed.difference.center == pytest.approx(np.mean(expected))


@pytest.mark.parametrize(
    ("ours", "judgement"),
    [
        (shifted(0.05), "better"),
        (shifted(-0.05), "worse"),
        (shifted(0.0005), "not told apart"),
        (LUCK, "equal"),
        # The spread of pairs is then not known.
        (shifted(0.05, noise=0), "not told apart"),
    ],
)
def test_judgements(ours, judgement):
    [task] = judge(on("a", ours)).tasks
    assert (task.judgement, task.speed_judgement) == (judgement, "equal")


@pytest.mark.parametrize(
    ("steps", "judgement"),
    [
        ([50, 51, 49, 50, 52], "better"),
        ([200, 210, 190, 205, 200], "worse"),
        ([100, 150, 80, 90, 110], "not told apart"),
        ([100] * 5, "equal"),
        ([50] * 5, "not told apart"),
    ],
)
def test_fewer_steps_are_better(steps, judgement):
    [task] = judge(on("a", LUCK, our_steps=steps)).tasks
    assert task.speed_judgement == judgement


def test_one_seed_has_no_claim():
    found = judge(task_verdict("a", stood("new", [0.9]), stood("adamw", [0.5])))
    assert found.tasks[0].judgement == "not told apart"
    assert found.improves.low is None and found.improves.center == 1


def test_a_metric_that_is_the_better_the_smaller():
    smaller, larger = ([value * factor for value in (100, 104, 98, 101, 99)] for factor in (0.5, 1))
    smaller[0] += 1
    ours = stood("new", smaller, metric="test/perplexity", untrained=1000)
    theirs = stood("adamw", larger, metric="test/perplexity", untrained=1000)
    [task] = judge(task_verdict("a", ours, theirs)).tasks
    assert task.judgement == "better"
    learned = np.log(1000 / np.array(larger)).mean()
    difference = np.log(np.array(larger) / np.array(smaller)).mean() / learned
    assert task.final.difference.center == pytest.approx(difference)


NEVER = [math.inf] * 5


@pytest.mark.parametrize(
    ("ours", "theirs", "words"),
    [
        ([50, 51, 49, 50, 52], [100] * 5, "fewer"),
        ([200, 210, 190, 205, 200], [100] * 5, "more"),
        ([100, 150, 80, 90, 110], [100] * 5, "not told apart"),
        ([50] * 5, [100] * 5, "not told apart"),
        ([100] * 5, [100] * 5, "equal"),
        (NEVER, NEVER, "neither reaches it"),
        # The ratio is the same in all pairs, or that of one pair alone.
        (NEVER, [100] * 5, "only adamw reaches it"),
        ([100, *NEVER[1:]], NEVER, "only new reaches it"),
        # Significant, and so said as it is.
        (NEVER, [100, 101, 99, 100, 102], "more"),
    ],
)
def test_who_reaches_the_target_is_said_where_steps_do_not_tell(ours, theirs, words):
    [task] = judge(on("a", LUCK, our_steps=ours, their_steps=theirs)).tasks
    assert task.speed_words == words


def test_steps_that_were_not_compared_have_no_words():
    assert TaskVerdict("a", problem="new cannot train it", worse=True).speed_words == "–"


@pytest.mark.parametrize("tasks", [1, 2, 8])
def test_the_joint_range_holds_what_simultaneous_intervals_do_not_exclude(tasks):
    narrow = [on(name, shifted(0.0001, 0.5)).final for name in "abcdefgh"[1:tasks]]
    found = verdicts.joint_range([on("a", shifted(0.0005)).final, *narrow])
    test = stats.ttest_1samp((0.0005 + np.array(NOISE)) / 0.8, 0)
    interval = test.confidence_interval(1 - 0.05 / tasks)
    assert found == pytest.approx(max(-interval.low, interval.high))


def test_joint_ranges_hold_all_truths_about_as_often_as_they_say():
    """Of eight tasks without a difference, whose intervals alone would hold all 0.95^8 = 66%."""
    draw = np.random.default_rng(0)
    together = 0
    for _ in range(400):
        found = [
            verdicts.compare(pairs, [0.0] * 5, lower_is_better=False)
            for pairs in draw.normal(size=(8, 5))
        ]
        together += all(
            verdicts.joint_range([one] * 8) >= 2 * abs(one.difference.center) for one in found
        )
    assert 0.91 <= together / 400 <= 0.98


# -- several tasks ---------------------------------------------------------------------------------


def test_both_questions_are_corrected_for_the_number_of_tasks():
    wide = {"a": 30, "b": 12, "c": 5}
    steps = {"a": [80, 90, 70, 99, 95], "b": [60, 90, 99, 98, 99], "c": [100] * 5}
    tasks = [on(t, shifted(0.01, noise), our_steps=steps[t]) for t, noise in wide.items()]
    lost = TaskVerdict("d", problem="new cannot train it", worse=True)
    found = judge(*tasks, lost).tasks
    assert [t.p_final for t in found] == [*holm([t.final.p for t in tasks]), None]
    assert [t.p_final for t in found[:3]] != [t.final.p for t in tasks]
    # Where all pairs need as many steps, nothing is tested that would count.
    assert [t.p_speed for t in found] == [*holm([t.speed.p for t in tasks[:2]]), None, None]


def test_what_is_significant_on_one_task_need_not_be_among_eight():
    # p is 0.02 on each.
    differences = np.array([0.3, 0.1, 0.2, 0.25, 0.02]) * 0.1
    p = stats.ttest_1samp(differences, 0).pvalue
    assert 0.05 / 8 < p < 0.05
    ours = [luck + own for luck, own in zip(LUCK, differences, strict=True)]
    alone = judge(on("a", ours))
    eight = judge(*(on(name, ours) for name in "abcdefgh"))
    assert [task.judgement for task in alone.tasks] == ["better"]
    assert {task.judgement for task in eight.tasks} == {"not told apart"}


def test_a_task_that_it_cannot_train_counts_as_worse():
    lost = TaskVerdict("b", problem="new diverges at every learning rate", worse=True)
    found = judge(on("a", shifted(0.05)), lost)
    assert (lost.judgement, lost.speed_judgement) == ("worse", "incomplete")
    assert [task.task for task in found.where("worse")] == ["b"]
    assert [task.task for task in found.compared] == ["a"]


def test_a_reference_that_learns_nothing_is_no_measure():
    # On average it has lost something, or all of its runs have diverged.
    for values in ([0.1] * 5, [0.05, 0.1, 0.1, 0.1, 0.1]):
        nothing = TaskVerdict(
            "b",
            stood("new", LUCK, task="b"),
            stood("adamw", values, task="b"),
            problem="adamw learns nothing there that others could be measured by",
        )
        found = judge(on("a", shifted(0.05)), nothing)
        assert [task.judgement for task in found.tasks] == ["better", "incomplete"]
        assert found.scores_of("adamw") == [pytest.approx(1)]
        assert [one.task for one in found.others["new"]] == ["a"]
        assert found.iqm.n == 5 and found.improves.n == 5


def test_a_verdict_on_no_task_has_nothing_over_all_of_them():
    found = judge(TaskVerdict("a", problem="the runs there have not all ended"))
    assert (found.iqm, found.improves, found.others) == (None, None, {})


def test_all_optimizers_that_have_ended_these_tasks_are_ranked():
    tasks = [on(name, shifted(0.05)) for name in "ab"]
    others = {
        "adamw": [stood("adamw", LUCK, task=name) for name in "abc"],
        "new": [stood("new", shifted(0.05), 50, task=name) for name in "ab"],
        "sgd": [stood("sgd", shifted(-0.1), math.inf, task=name) for name in "cba"],
        "lion": [stood("lion", LUCK, task="a")],
    }
    # Of two standings of one optimizer, the one that was compared counts.
    others["adamw"].append(stood("adamw", shifted(0.2), task="a"))
    found = verdict("new", "adamw", tasks, others)
    assert {label: [one.task for one in of] for label, of in found.others.items()} == {
        label: ["a", "b"] for label in ("adamw", "new", "sgd")
    }
    assert found.ranks == {"new": 1, "adamw": 2, "sgd": 3}
    assert found.scores_of("adamw") == pytest.approx([1, 1])
    assert found.scores_of("new") == pytest.approx([1.0625, 1.0625])
    assert found.step_scores == pytest.approx({"new": 1, "adamw": 2 / 3, "sgd": 0})
    assert found.second_scores == found.step_scores


def made_on(one, *machines):
    return replace(one, machines=frozenset(machines))


def test_seconds_are_compared_on_one_machine():
    task = on("a", LUCK, our_steps=50)
    others = {
        "new": [task.ours],
        "adamw": [task.theirs],
        "quick": [made_on(stood("quick", LUCK, 1), "D")],
        "half": [made_on(stood("half", LUCK, 1), "C", "D")],
        "same": [stood("same", LUCK, 100)],
    }
    found = verdict("new", "adamw", [task], others)
    # The quickest, elsewhere, takes no part.
    assert found.second_scores == pytest.approx({"new": 1, "adamw": 2 / 3, "same": 2 / 3})
    assert found.step_scores.keys() == others.keys()


@pytest.mark.parametrize(
    ("ours", "theirs"), [(("C",), ("D",)), (("C", "D"), ("C", "D")), (("C",), ("C", "D"))]
)
def test_seconds_of_different_machines_are_not_compared(ours, theirs):
    task = task_verdict(
        "a", made_on(stood("new", LUCK), *ours), made_on(stood("adamw", LUCK), *theirs)
    )
    found = judge(on("b", LUCK), task)
    assert (found.second_scores, found.timed) == (None, {})


def test_each_task_may_have_a_machine_of_its_own():
    elsewhere = task_verdict(
        "a", made_on(stood("new", LUCK, 50), "D"), made_on(stood("adamw", LUCK), "D")
    )
    found = judge(on("b", LUCK, our_steps=50), elsewhere)
    assert found.second_scores == pytest.approx({"new": 1, "adamw": 2 / 3})


# -- tasks that it cannot train --------------------------------------------------------------------


def lost_on(task, theirs=LUCK, problem="new diverges at every learning rate"):
    return TaskVerdict(task, theirs=stood("adamw", theirs, task=task), problem=problem, worse=True)


def test_a_task_that_is_lost_counts_with_nothing_learned():
    found = judge(on("a", shifted(0.05)), lost_on("b"))
    assert [task.task for task in found.counted] == ["a", "b"]
    assert [task.task for task in found.compared] == ["a"]
    # 0.05 more than 0.8 on the first.
    assert found.scores_of("new") == pytest.approx([1.0625, 0])
    assert found.scores_of("adamw") == pytest.approx([1, 1])
    assert found.ranks == {"adamw": 1, "new": 2}
    # Without the lowest and the highest two of ten: three zeros and the three lowest of the first.
    lowest = sorted(shifted(0.05))[:3]
    assert found.iqm.center == pytest.approx(sum((v - 0.1) / 0.8 for v in lowest) / 6)
    assert found.iqm.n == 10
    assert found.step_scores == pytest.approx({"new": 1 / 2, "adamw": 1})
    assert found.second_scores == pytest.approx({"new": 1 / 2, "adamw": 1})
    alone = judge(on("a", shifted(0.05)))
    assert found.improves.center == pytest.approx(alone.improves.center / 2)


def test_what_is_lost_is_below_a_run_of_the_reference_that_diverged():
    # One is worth what the first weights are, one less.
    found = judge(lost_on("a", [*LUCK[:4], 0.1]), lost_on("b", [0.9, 0.9, 0.9, 0.9, 0.05]))
    assert found.improves.center == 0
    assert found.scores_of("new") == [0, 0]


def test_others_are_counted_on_tasks_that_are_lost():
    tasks = [on("a", shifted(0.05)), lost_on("b")]
    others = {
        "new": [tasks[0].ours],
        "adamw": [task.theirs for task in tasks],
        "both": [stood("both", LUCK, task=name) for name in "ab"],
        "one": [stood("one", LUCK, task="a")],
    }
    found = verdict("new", "adamw", tasks, others)
    assert found.ranks == {"adamw": 1, "both": 1, "new": 3}
    # What was given stays as it was.
    assert others["new"] == [tasks[0].ours]


@pytest.mark.parametrize("theirs", [None, [0.1] * 5, [0.1, 0.1, 0.1, 0.1, 0.9]])
def test_without_a_measure_what_is_lost_cannot_count(theirs):
    """The reference has no runs there, has learned nothing, or perhaps by chance."""
    lost = TaskVerdict("b", problem="new cannot train it", worse=True)
    lost = lost if theirs is None else lost_on("b", theirs)
    found = judge(on("a", shifted(0.05)), lost)
    assert [task.task for task in found.where("worse")] == ["b"]
    assert [task.task for task in found.counted] == ["a"]
    assert found.scores_of("new") == pytest.approx([1.0625]) and found.iqm.n == 5


def test_all_is_lost():
    found = judge(*(lost_on(name) for name in "abcde"))
    assert (found.iqm.center, found.improves.center, found.improves.low) == (0, 0, None)
    assert found.step_scores == {"new": 0, "adamw": 1}
    assert sentences(found)[0] == (
        "new is better than adamw on none of 5 tasks, worse on 5 (a, b, c, d, e)."
    )


# -- the probability of improvement ----------------------------------------------------------------


def test_the_mean_improvement_counts_all_pairs_of_all_tasks():
    by_task = [([1.0, 2.0, 5.0], [2.0, 3.0]), ([4.0, 4.0], [1.0, 4.0, 9.0])]
    # 5 is above both, 2 ties with one; 4 is above one and ties with one of three.
    found = mean_improvement(by_task)
    assert found.center == pytest.approx(((2 + 0.5) / 6 + (2 * 1.5) / 6) / 2)
    assert found.n == 5


def test_its_bootstrap_is_that_of_all_resamples(monkeypatch):
    monkeypatch.setattr(verdicts, "LEAST_TO_RESAMPLE", 4)
    ours, theirs = [1.0, 3.0], [2.0, 0.0]
    centers = [
        np.mean([(np.sign(a - b) + 1) / 2 for a in drawn for b in reference])
        for drawn in itertools.product(ours, repeat=2)
        for reference in itertools.product(theirs, repeat=2)
    ]
    # The second task is without chance.
    found = mean_improvement([(ours, theirs), ([1.0, 2.0], [0.0, 0.0])])
    assert found.spread == pytest.approx(np.std(centers) / 2, rel=0.02)
    # One draw in 16 has the lower of ours alone, and the higher of theirs: more than 2.5%.
    assert (min(centers), max(centers)) == (0, 1)
    assert (found.low, found.high) == (0.5, 1)


MIXED = [1.0, 2.0, 3.0, 4.0, 5.0]


@pytest.mark.parametrize(
    ("by_task", "center"),
    [
        # 19 scores, one task of a single seed, and draws that all say the same.
        ([(MIXED, MIXED)] * 3 + [(MIXED[:4], MIXED[:4])], 0.5),
        ([(MIXED, MIXED)] * 4 + [([1.0, 2.0], [1.0])], (4 * 0.5 + 0.75) / 5),
        ([(MIXED, [0.0] * 5)] * 4, 1),
        ([([-math.inf] * 5, MIXED)] * 4, 0),
    ],
    ids=["few", "one seed", "always better", "lost"],
)
def test_where_there_is_no_interval_of_improvement(by_task, center):
    found = mean_improvement(by_task)
    assert found.center == pytest.approx(center)
    assert (found.low, found.high, found.spread) == (None, None, None)


def test_from_20_scores_on_there_is_an_interval_of_improvement():
    found = mean_improvement([(MIXED, MIXED)] * 4)
    assert found.low < 0.5 < found.high and found.spread > 0
    # One task that is without chance leaves that of the others.
    found = mean_improvement([(MIXED, MIXED)] * 3 + [([-math.inf] * 5, MIXED)])
    assert found.low < 3 / 8 < found.high


@pytest.mark.parametrize("shift", [0.0, 0.5])
def test_its_interval_covers_the_truth_about_as_often_as_it_says(monkeypatch, shift):
    """Eight tasks of five seeds, as in the suite."""
    monkeypatch.setattr(verdicts, "RESAMPLES", 500)
    draw = np.random.default_rng(0)
    truth = stats.norm.cdf(shift / math.sqrt(2))
    inside = 0
    for _ in range(300):
        drawn = draw.normal(size=(8, 2, 5))
        found = mean_improvement([(ours + shift, theirs) for ours, theirs in drawn])
        inside += found.low <= truth <= found.high
    assert 0.90 <= inside / 300 <= 0.98


# -- A/A: an optimizer and itself under another name -----------------------------------------------

TASKS = "abcdefgh"
# Eight tasks × five seeds × two optimizers: luck that both share, and what each has of its own.
KINDS = {
    "normal": lambda draw: 0.02 * (draw.normal(size=(8, 5, 1)) + draw.normal(size=(8, 5, 2))),
    "skewed": lambda draw: -0.02 * draw.exponential(size=(8, 5, 2)),
    "steps of a hundredth": lambda draw: draw.binomial(100, 0.5, size=(8, 5, 2)) / 100 - 0.5,
}


def simulated(draw, kind, worse=0.0, slower=1.0):
    """What both reach on eight tasks; evaluations are 20 steps apart, and some never get there."""
    values = 0.8 + KINDS[kind](draw)
    steps = 20 * np.ceil(6 * np.exp(0.4 * draw.normal(size=values.shape)))
    values[:, :, 0] -= worse
    steps[:, :, 0] *= slower
    steps[steps > BUDGET] = math.inf
    tasks = [
        task_verdict(
            name,
            stood("new", ended[:, 0].tolist(), taken[:, 0].tolist(), name),
            stood("adamw", ended[:, 1].tolist(), taken[:, 1].tolist(), name),
        )
        for name, ended, taken in zip(TASKS, values, steps, strict=True)
    ]
    return verdicts.corrected(tasks)


def claims(tasks, judgement):
    return any(judgement in (task.judgement, task.speed_judgement) for task in tasks)


@pytest.mark.parametrize("kind", KINDS)
def test_an_optimizer_is_seldom_better_than_itself(kind):
    draw = np.random.default_rng(1)
    found = [simulated(draw, kind) for _ in range(600)]
    # On any task, by chance: 2.5 times of 100 in each of the two questions. A standard error of
    # 600 verdicts is 0.9.
    chance = 0.05 + 3 * math.sqrt(0.05 * 0.95 / 600)
    assert np.mean([claims(tasks, "better") for tasks in found]) <= chance
    assert np.mean([claims(tasks, "worse") for tasks in found]) <= chance
    # Without the correction, much more would be claimed.
    uncorrected = [
        any(task.final.p is not None and task.final.p <= 0.05 for task in tasks) for tasks in found
    ]
    assert np.mean(uncorrected) > 2 * chance


@pytest.mark.parametrize("kind", KINDS)
def test_an_optimizer_that_is_worse_is_called_worse(kind):
    draw = np.random.default_rng(2)
    found = [simulated(draw, kind, worse=0.3, slower=4.0) for _ in range(40)]
    worse = [task.judgement == "worse" for tasks in found for task in tasks]
    slower = [task.speed_judgement == "worse" for tasks in found for task in tasks]
    assert np.mean(worse) > 0.8 and np.mean(slower) > 0.3
    assert not any(claims(tasks, "better") for tasks in found)


# -- in words --------------------------------------------------------------------------------------


def test_better_on_some_tasks_and_not_told_apart_on_others():
    tasks = [
        on("digits", shifted(0.05), our_steps=[50, 51, 49, 50, 52]),
        on("news", shifted(-0.05)),
        on("numbers", shifted(0.0005), our_steps=[200, 210, 190, 205, 200]),
    ]
    assert sentences(judge(*tasks)) == [
        "new is better than adamw on 1 (digits) of 3 tasks, worse on 1 (news), and within ±0.31% "
        "of what adamw learns on the others, which 5 seeds could not tell apart.",
        "It reaches the targets in fewer steps on 1 (digits), and in more on 1 (numbers).",
    ]


def test_told_apart_nowhere():
    # The interval of one alone would end at 0.31%; of two at once, t is 3.495 in place of 2.776,
    # and 0.05 + 3.495 × 0.1581/√5 is 0.297, in units of the 0.8 that adamw learns 0.37.
    assert sentences(judge(on("a", shifted(0.0005)), on("b", shifted(0.0)))) == [
        "new is better than adamw on none of 2 tasks, worse on none, and within ±0.37% of what "
        "adamw learns on all of them, which 5 seeds could not tell apart.",
        "It reaches the targets in fewer steps on none, and in more on none.",
    ]


def test_where_steps_do_not_tell_it_is_said_why():
    tasks = [
        on("quick", LUCK, our_steps=[50, 51, 49, 50, 52]),
        on("far", LUCK, our_steps=NEVER, their_steps=NEVER),
        on("farther", LUCK, our_steps=NEVER, their_steps=NEVER),
        on("theirs", LUCK, our_steps=NEVER, their_steps=[100] * 5),
        on("ours", LUCK, our_steps=[100] * 5, their_steps=NEVER),
        on("half", LUCK, our_steps=[50] * 5),
        on("equal", LUCK),
        on("unclear", LUCK, our_steps=[100, 150, 80, 90, 110]),
    ]
    assert sentences(judge(*tasks))[1] == (
        "It reaches the targets in fewer steps on 1 (quick), and in more on none; neither reaches "
        "it on 2 (far, farther); only adamw reaches it on 1 (theirs); only new reaches it on 1 "
        "(ours); not told apart on 1 (half), where all pairs of runs differ by the same."
    )


def test_told_apart_everywhere():
    assert sentences(judge(on("a", shifted(0.05)), on("b", shifted(0.05))))[0] == (
        "new is better than adamw on 2 (a, b) of 2 tasks, worse on none."
    )


def test_the_same_optimizer():
    assert sentences(judge(on("a", LUCK), on("b", LUCK)))[0] == (
        "new is better than adamw on none of 2 tasks, worse on none, and equal to it on 2 (a, b)."
    )


def test_tasks_without_a_spread_are_not_called_equal():
    tasks = [on("a", shifted(0.05, noise=0)), on("b", shifted(0.05, noise=0))]
    assert sentences(judge(*tasks))[0] == (
        "new is better than adamw on none of 2 tasks, worse on none, and not told apart from it on "
        "2 (a, b), where all pairs of runs differ by the same."
    )


def test_each_kind_of_what_is_not_told_apart_is_named():
    tasks = [on("a", shifted(0.0005)), on("b", LUCK), on("c", shifted(0.05, noise=0))]
    assert sentences(judge(*tasks))[0] == (
        "new is better than adamw on none of 3 tasks, worse on none, equal to it on 1 (b), not "
        "told apart from it on 1 (c), where all pairs of runs differ by the same, and within "
        "±0.31% of what adamw learns on 1 (a), which 5 seeds could not tell apart."
    )


def test_what_could_not_be_compared_has_a_sentence_of_its_own():
    tasks = [
        on("a", shifted(0.05)),
        TaskVerdict("b", problem="new cannot train it: optim=new: takes matrices", worse=True),
        TaskVerdict("c", problem="the runs there have not all ended"),
    ]
    assert sentences(judge(*tasks)) == [
        "new is better than adamw on 1 (a) of 2 tasks, worse on 1 (b).",
        "It reaches the targets in fewer steps on none, and in more on none.",
        "b: new cannot train it: optim=new: takes matrices.",
        "c: the runs there have not all ended.",
    ]


def test_of_one_task_it_speaks_in_the_singular():
    tasks = [on("a", shifted(0.05)), TaskVerdict("b", problem="the runs there have not all ended")]
    assert sentences(judge(*tasks))[0] == (
        "new is better than adamw on 1 (a) of 1 task, worse on none."
    )


def test_nothing_is_said_where_nothing_has_ended():
    assert sentences(judge(TaskVerdict("a", problem="the runs there have not all ended"))) == [
        "new cannot be compared with adamw yet.",
        "a: the runs there have not all ended.",
    ]
