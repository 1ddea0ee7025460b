"""A verdict as tables, pictures and JSON, odd tasks included."""

import json
import math
import warnings
from dataclasses import replace

import pytest

from engine.files import json_text
from results.search import Halving, Range, Search
from results.standing import Outcome, Standing
from results.study import Select
from results.verdict import TaskVerdict, task_verdict, verdict
from results.verdict_figures import draw, in_roles
from results.verdict_files import numbers
from results.verdict_tables import tables_of

VALUES = {"new": [0.80, 0.84, 0.82], "adamw": [0.70, 0.71, 0.74], "sgd": [0.5, 0.5, 0.5]}
STEPS = {"new": [40, 60, 50], "adamw": [80, 110, 100], "sgd": [math.inf] * 3}
SEARCHED = {0.01: 0.6, 0.1: 0.8, 1.0: None}


def stood(optim, task, searched=SEARCHED, machines=("a CPU", "another CPU"), cut=0):
    outcomes = [
        Outcome(seed, value, 0.1, False, steps, steps / 10, 200)
        for seed, (value, steps) in enumerate(zip(VALUES[optim], STEPS[optim], strict=True))
    ]
    how = searched, "max", cut, frozenset(machines)
    return Standing(task, optim, "test/accuracy", 0.1, outcomes, *how)


def compared(task, ours="new", **how):
    return task_verdict(task, stood(ours, task, **how), stood("adamw", task, **how))


TASKS = ["digits", "given", "refused", "lost", "nothing"]


@pytest.fixture
def found():
    """Two tasks that are compared, at a rate that was given in one; three that are not."""
    tasks = [
        compared("digits"),
        compared("given", searched={0.1: 0.8}),
        TaskVerdict("refused", problem="new cannot train it: too large", worse=True),
        TaskVerdict("lost", theirs=stood("adamw", "lost"), problem="new diverges", worse=True),
        TaskVerdict("nothing", stood("new", "nothing"), stood("sgd", "nothing"), problem="nothing"),
    ]
    others = {optim: [stood(optim, task) for task in TASKS] for optim in VALUES}
    return verdict("new", "adamw", tasks, others)


def rows_of(table):
    return [dict(zip(table.headers, row, strict=True)) for row in table.rows]


def test_the_first_table_has_what_each_has_reached(found):
    values, *_ = tables_of(found, "Suite mini", ["A note."])
    assert values.title == "new against adamw: what they reach. Suite mini."
    assert [(row["task"], row["method"]) for row in rows_of(values)] == [
        *(("digits", "new"), ("digits", "adamw"), ("given", "new"), ("given", "adamw")),
        *(("lost", "adamw"), ("nothing", "new"), ("nothing", "sgd")),
    ]
    first, *_, last = rows_of(values)
    assert first == {
        "task": "digits",
        "metric": "test accuracy",
        "method": "new",
        "value": "0.820 ± 0.020",
        "best lr": "0.1",
        # 0.01 and 1 lie a decade off, and 0.6 is not within 5% of 0.8.
        "decades of lr": "1",
        "steps to target": "50",
        "seconds to target": "5",
        "reached": "3/3",
        "diverged": "0",
    }
    assert rows_of(values)[2]["decades of lr"] == "–"
    assert [last[key] for key in ("steps to target", "seconds to target", "reached")] == [
        *("never", "never", "0/3"),
    ]
    assert values.notes[-1] == "A note."
    assert values.notes[2].endswith(
        " Those on digits, given, nothing are of different machines, and say nothing of the two."
    )


@pytest.mark.parametrize(
    ("cut", "said"), [(0, "."), (1, ", before the search let some of them go.")]
)
def test_notes_say_what_there_is_to_say(cut, said):
    task = compared("digits", cut=cut, machines=["a CPU"])
    found = verdict("new", "adamw", [task], {"new": [task.ours], "adamw": [task.theirs]})
    values, *_ = tables_of(found, "Suite mini", [])
    assert values.notes[1] == (
        "Decades of lr: the width of the range of learning rates within 5% of the best, where all "
        f"rates were compared{said}"
    )
    assert values.notes[2].endswith("seconds are of training, without evaluations.")


def test_the_second_table_has_every_task(found):
    _, comparisons, _ = tables_of(found, "Suite mini", [])
    judged = [(row["task"], row["verdict"], row["in steps"]) for row in rows_of(comparisons)]
    better, fewer = found.tasks[0].judgement, found.tasks[0].speed_judgement
    assert (better, fewer) == ("better", "better")
    assert judged == [
        *(("digits", "better", "fewer"), ("given", "better", "fewer")),
        *(("refused", "worse", "–"), ("lost", "worse", "–"), ("nothing", "incomplete", "–")),
    ]
    scale = (0.70 + 0.71 + 0.74) / 3 - 0.1
    first = rows_of(comparisons)[0]
    assert first["score"] == f"{(0.82 - 0.70 - 0.05 / 3) / scale:+.3f}"
    ratio = math.exp(sum(map(math.log, (40 / 80, 60 / 110, 50 / 100))) / 3)
    assert first["ratio of steps to target"] == f"{ratio:.2f}"
    assert first["pairs"] == "3"


def test_the_third_table_ranks_all_by_the_tasks_that_count(found):
    *_, overall = tables_of(found, "Suite mini", [])
    assert [(row["place"], row["method"]) for row in rows_of(overall)] == [
        *(("1", "adamw"), ("2", "new"), ("3", "sgd")),
    ]
    # Of new, twice 0.72 and once 0, in units of 0.6167, mean over three tasks; of sgd, 0.4.
    assert [row["mean score"] for row in rows_of(overall)] == ["1", "0.7784", "0.6486"]
    # 2/3 and, of a task that is lost, 0; the reference is the quickest there.
    assert [row["profile over steps"] for row in rows_of(overall)] == ["0.778", "0.667", "0.000"]
    assert {row["over seconds"] for row in rows_of(overall)} == {"–"}
    assert overall.notes[0] == "Of 3 tasks: digits, given, lost."
    assert "a run that ends below its first weights has a negative one." in overall.notes[1]
    assert overall.notes[3:5] == [
        "On lost, new counts with a score of 0 for each seed of adamw, below all of its runs, and "
        "never reaches the target.",
        "new is worse on refused, too, which does not count here, as adamw has no score there to "
        "count by.",
    ]
    assert overall.notes[-1] == (
        "Seconds are not compared: not all runs of new and adamw were made on the same machine."
    )


def test_seconds_stand_beside_those_of_the_same_machine():
    task = compared("digits", machines=["a CPU"])
    others = {"new": [task.ours], "adamw": [task.theirs], "sgd": [stood("sgd", "digits")]}
    *_, overall = tables_of(verdict("new", "adamw", [task], others), "Suite mini", [])
    # A median of 10 seconds, twice the quickest: the factors from 2 to 4 of those from 1.
    assert [row["over seconds"] for row in rows_of(overall)] == ["1.000", "0.667", "–"]
    assert overall.notes[-1] == "Seconds are of those whose runs were all made on the same machine."


def test_who_reaches_a_target_is_said_in_the_table():
    theirs = stood("sgd", "digits")
    ours = replace(theirs, optim="new")
    task = task_verdict("digits", ours, theirs)
    found = verdict("new", "sgd", [task], {"new": [ours], "sgd": [theirs]})
    _, table, _ = tables_of(found, "Suite mini", [])
    assert rows_of(table)[0]["in steps"] == "neither reaches it"


def test_a_verdict_on_nothing_has_two_tables():
    nothing = verdict("new", "adamw", [TaskVerdict("digits", problem="not ended")], {})
    assert [len(table.rows) for table in tables_of(nothing, "Suite mini", [])] == [0, 1]


def test_numbers_are_strict_json_and_the_same_again(found):
    content = json.loads(json_text(numbers(found)))
    assert [task["judgement"] for task in content["tasks"]] == [
        *("better", "better", "worse", "worse", "incomplete"),
    ]
    # A target that is never reached is null, and so is a rate that diverged.
    assert content["tasks"][4]["theirs"]["outcomes"][0]["steps"] is None
    assert content["tasks"][0]["ours"]["searched"] == {"0.01": 0.6, "0.1": 0.8, "1.0": None}
    # In order, which sets of texts have not from one process to the next.
    assert content["tasks"][0]["ours"]["machines"] == ["a CPU", "another CPU"]
    assert content["sentences"][0].startswith("new is better than adamw on 2 (digits, given) of 4")
    assert [task["ours"] and task["ours"]["rate_width"] for task in content["tasks"]] == [
        *(1.0, None, None, None, 1.0),
    ]
    assert content["tasks"][3]["theirs"]["rate_width"] == 1.0
    # Of a task that is lost, there is no rate.
    assert [one["rate"] for one in content["others"]["new"]] == [0.1, 0.1, None]
    assert content["others"]["sgd"][0]["rate_width"] == 1.0


def test_numbers_have_what_the_table_of_all_tasks_says(found):
    overall = json.loads(json_text(numbers(found)))["overall"]
    assert {optim: one["rank"] for optim, one in overall.items()} == {
        "adamw": 1,
        "new": 2,
        "sgd": 3,
    }
    assert overall["sgd"]["mean_score"] == pytest.approx(0.4 / (0.6 + 0.05 / 3))
    assert overall["sgd"]["iqm"]["center"] == pytest.approx(0.4 / (0.6 + 0.05 / 3))
    assert (overall["sgd"]["iqm"]["n"], overall["sgd"]["iqm"]["low"]) == (9, None)
    # Twice as slow on two tasks of three.
    assert overall["adamw"]["step_score"] == pytest.approx((2 / 3 + 2 / 3 + 1) / 3)
    assert {one["second_score"] for one in overall.values()} == {None}


def test_numbers_have_the_seconds_of_those_on_the_same_machine():
    task = compared("digits", machines=["a CPU"])
    others = {"new": [task.ours], "adamw": [task.theirs], "sgd": [stood("sgd", "digits")]}
    overall = numbers(verdict("new", "adamw", [task], others))["overall"]
    assert [overall[optim]["second_score"] for optim in others] == [1, pytest.approx(2 / 3), None]


def test_numbers_of_a_verdict_on_nothing():
    nothing = verdict("new", "adamw", [TaskVerdict("digits", problem="not ended")], {})
    assert (numbers(nothing)["overall"], numbers(nothing)["others"]) == ({}, {})


def test_colours_are_those_of_roles():
    ours, theirs = stood("new", "digits"), stood("adamw", "digits")
    assert in_roles(TaskVerdict("digits", ours, theirs)) == [(0, ours), (1, theirs)]
    # Alone, the reference keeps its own.
    assert in_roles(TaskVerdict("digits", theirs=theirs)) == [(1, theirs)]
    assert in_roles(TaskVerdict("digits", theirs, theirs)) == [(0, theirs)]
    assert in_roles(TaskVerdict("digits")) == []


def test_pictures_are_drawn_without_a_warning(found, make_study):
    study = make_study(
        grid={},
        search=Search(3, {"optim.lr": Range(0.01, 1.0, log=True)}, Halving(2.0, 1)),
        select=Select("valid/accuracy", "last", "max"),
        report=["test/accuracy"],
    )
    studies = [replace(study, columns={task: {"task": "toy"}}) for task in TASKS]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        drawn = draw(found, studies, "Suite mini")
    assert drawn.keys() == {
        f"{name}.{kind}" for name in ("scores", "rates", "profile") for kind in ("png", "pdf")
    }
    assert drawn["rates.png"].startswith(b"\x89PNG") and drawn["rates.pdf"].startswith(b"%PDF")
