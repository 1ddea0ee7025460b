"""The files for rliable and AlgoPerf, from which their formulas must give our numbers.

The formulas are stated here once more, as the papers have them; where rliable is installed, or
mlcommons/submissions_algorithms is on PYTHONPATH, their own code is asked, too.
"""

import csv
import itertools
import json
import math
from dataclasses import replace
from statistics import median
from types import SimpleNamespace

import numpy as np
import pytest

from engine.checks import BadInput
from engine.records import read
from results.analysis import Point, Row
from results.export import FORMS, check_some, notes, write_export
from results.measured import Measured, gap
from results.standing import profile, profile_score
from results.statistics import interquartile_mean
from results.study import Select
from results.suite import Suite
from results.verdict import mean_improvement, task_verdict, times, verdict

SEEDS = [1, 2, 3, 4, 5]
STEPS = range(0, 101, 10)

# Task → the metric, the one of the choice, its better direction, the target.
TASKS = {
    "digits": ("test/accuracy", "valid/accuracy", "max", 0.8),
    "news_gpt": ("test/perplexity", "valid/perplexity", "min", 30.0),
    "masked": ("valid/perplexity", "valid/perplexity", "min", 25.0),
    "pole": ("test/accuracy", "test/accuracy", "max", 0.85),
}
# Optimizer → the step by which it has come most of the way on each task, and what is best there.
PACE = {
    "adamw": [(20, 0.95), (30, 10), (25, 12), (40, 0.9)],
    "lp_adam (p = 3)": [(15, 0.97), (40, 9), (45, 14), (60, 0.95)],
    "sgd": [(60, 0.9), (90, 20), (400, 30), (30, 0.93)],
}


@pytest.fixture
def toys(make_study):
    """A suite of four tasks."""

    def study(task):
        metric, chosen, mode, target = TASKS[task]
        return make_study(
            name=f"toys/{task}",
            columns={task: {"task": "toy"}},
            rows={label: {"optim": "adam"} for label in PACE},
            select=Select(chosen, "last", mode),
            report=[metric],
            target=target,
        )

    return Suite("toys", "Toys", "sample", "adamw", [study(task) for task in TASKS])


def evaluations(task, label, seed, diverges):
    """The lines of a run that comes closer to what is best there, more or less with its seed."""
    metric, chosen, mode, _ = TASKS[task]
    pace, best = PACE[label][list(TASKS).index(task)]
    draw = np.random.default_rng([seed, *map(ord, task + label)])
    pace *= 1 + 0.3 * draw.random()
    first = 100.0 if mode == "min" else 0.1
    lines = []
    for step in STEPS:
        value = best + (first - best) * math.exp(-2 * step / pace) * (1 + 0.05 * draw.random())
        value = first if step == 0 else value
        line = {"step": step, chosen: value, metric: value * (1 if metric == chosen else 0.99)}
        lines.append(line | {"time/train_seconds": step * (0.02 if label == "sgd" else 0.03)})
    return lines[:4] if diverges else lines


@pytest.fixture
def row_of(tmp_path, make_config, write_run):
    """`row_of("digits", "adamw", diverges={2})`: a row whose search tried two rates."""

    def make(task, label, diverges=()):
        def record(rate, seed):
            own = {"seed": seed, "optim.lr": rate, "task.row": label, "task.column": task}
            lines = evaluations(task, label, seed, seed in diverges)
            final = {name: value for name, value in lines[-1].items() if "/" in name}
            summary = {
                "status": "diverged" if seed in diverges else "finished",
                "step": lines[-1]["step"],
                "steps": 100,
                "final": final,
                "best": {},
                "wall_seconds": 1.5,
                "step_seconds": 0.05,
                "error": None,
            }
            return read(write_run(tmp_path / "runs", make_config(own), summary, lines).folder)

        points = [Point({"optim.lr": rate}, [record(rate, 0)], 1) for rate in (0.01, 0.1)]
        fresh = Point({"optim.lr": 0.1}, [record(0.1, seed) for seed in SEEDS], len(SEEDS))
        return Row(label, task, points, points[1], fresh, {}, {})

    return make


@pytest.fixture
def measured(toys, row_of):
    """Three optimizers, of which one diverges once on a task, and reaches no target on another."""
    rows = {
        label: [
            row_of(task, label, {2} if (label, task) == ("sgd", "digits") else ()) for task in TASKS
        ]
        for label in PACE
    }
    return Measured(toys, "short", rows, {})


@pytest.fixture
def ours(measured):
    """The verdict on lp_adam."""
    tasks = [
        task_verdict(mine.task, mine, theirs)
        for mine, theirs in zip(
            measured.standings["lp_adam (p = 3)"], measured.standings["adamw"], strict=True
        )
    ]
    return verdict("lp_adam (p = 3)", "adamw", tasks, measured.standings)


# -- rliable ---------------------------------------------------------------------------------------


@pytest.fixture
def for_rliable(measured, tmp_path):
    """What the file says, and its scores as rliable takes them."""
    path = write_export(measured, "rliable", tmp_path / "out", "source")
    assert path == tmp_path / "out" / "toys" / "rliable.short.sample.json"
    content = json.loads(path.read_text())
    return content, {name: np.array(values) for name, values in content["scores"].items()}


def test_scores_are_arrays_of_seeds_and_tasks(for_rliable, measured):
    content, arrays = for_rliable
    assert content["made_with"] == "suite toys, profile short, sample data"
    assert (content["against"], content["tasks"], content["seeds"]) == ("adamw", [*TASKS], SEEDS)
    assert list(arrays) == list(PACE)
    assert all(array.shape == (len(SEEDS), len(TASKS)) for array in arrays.values())
    # The reference learns 1 on average, by what is said of it.
    assert arrays["adamw"].mean(axis=0) == pytest.approx(np.ones(4))
    last = measured.rows["sgd"][3].confirmed.records[4].lines
    theirs = [record.lines for record in measured.rows["adamw"][3].confirmed.records]
    gained = [lines[-1]["test/accuracy"] - lines[0]["test/accuracy"] for lines in [last, *theirs]]
    assert arrays["sgd"][4, 3] == pytest.approx(gained[0] / np.mean(gained[1:]))
    # What diverged has learned nothing.
    assert arrays["sgd"][SEEDS.index(2), 0] == 0


def middle_mean(array):
    """The mean over runs and tasks without the lowest and the highest quarter."""
    values = sorted(array.ravel())
    quarter = len(values) // 4
    return sum(values[quarter : len(values) - quarter]) / (len(values) - 2 * quarter)


def chance_to_win(x, y):
    """How often a run of x beats one of y on a task, draws counting half; mean over tasks."""
    tasks = []
    for task in range(x.shape[1]):
        pairs = list(itertools.product(x[:, task], y[:, task]))
        tasks.append(sum(1 if a > b else 0.5 if a == b else 0 for a, b in pairs) / len(pairs))
    return sum(tasks) / len(tasks)


def redrawn(array, generator):
    """The runs of each task drawn anew, with replacement, from those of that task."""
    rows = generator.integers(len(array), size=array.shape)
    return np.take_along_axis(array, rows, axis=0)


def test_the_papers_aggregates_are_ours(for_rliable, ours):
    _, arrays = for_rliable
    mine, reference = arrays["lp_adam (p = 3)"], arrays["adamw"]
    assert middle_mean(mine) == pytest.approx(ours.iqm.center)
    assert chance_to_win(mine, reference) == pytest.approx(ours.improves.center)
    assert 0.5 < ours.improves.center < 1 and ours.iqm.center != 1
    # Draws count half.
    assert (
        chance_to_win(reference, reference)
        == mean_improvement([(t, t) for t in reference.T]).center
    )


def test_the_papers_intervals_are_ours(for_rliable, ours):
    _, arrays = for_rliable
    mine, reference = arrays["lp_adam (p = 3)"], arrays["adamw"]
    generator = np.random.default_rng(5)
    middles = [middle_mean(redrawn(mine, generator)) for _ in range(2000)]
    chances = [
        chance_to_win(redrawn(mine, generator), redrawn(reference, generator)) for _ in range(2000)
    ]
    for drawn, found in ((middles, ours.iqm), (chances, ours.improves)):
        # Two bootstraps differ by chance: by less than a sixth of the interval.
        tolerance = (found.high - found.low) / 6
        assert np.percentile(drawn, [2.5, 97.5]) == pytest.approx(
            [found.low, found.high], abs=tolerance
        )
        assert tolerance > 0


def test_rliable_itself_says_what_we_say(for_rliable, ours):
    pandas = pytest.importorskip("pandas")
    pytest.importorskip("rliable")
    if int(pandas.__version__.split(".")[0]) > 2:
        pytest.skip("rliable needs pandas < 3")
    from rliable import library, metrics

    _, arrays = for_rliable
    points, intervals = library.get_interval_estimates(
        arrays, lambda scores: np.array([metrics.aggregate_iqm(scores)]), reps=10_000
    )
    for label, array in arrays.items():
        found = interquartile_mean(array.T.tolist())
        assert points[label] == pytest.approx([found.center])
        tolerance = (found.high - found.low) / 10
        assert intervals[label][:, 0] == pytest.approx([found.low, found.high], abs=tolerance)
    pair = {"pair": (arrays["lp_adam (p = 3)"], arrays["adamw"])}
    points, intervals = library.get_interval_estimates(
        pair, metrics.probability_of_improvement, reps=2000
    )
    assert points["pair"] == pytest.approx(ours.improves.center)
    tolerance = (ours.improves.high - ours.improves.low) / 6
    assert intervals["pair"].ravel() == pytest.approx(
        [ours.improves.low, ours.improves.high], abs=tolerance
    )


def test_a_task_of_which_the_reference_learns_nothing_is_left_out(measured, tmp_path):
    for record in measured.rows["adamw"][1].confirmed.records:
        record.lines[-1]["test/perplexity"] = 101.0
        record.summary["final"]["test/perplexity"] = 101.0
    path = write_export(measured, "rliable", tmp_path, "source")
    content = json.loads(path.read_text())
    assert content["tasks"] == ["digits", "masked", "pole"]
    assert np.array(content["scores"]["sgd"]).shape == (5, 3)
    said = "Left out: news_gpt: adamw learns nothing there."
    assert notes(measured, "rliable") == [said] and notes(measured, "algoperf") == []


def test_a_reference_that_learns_nothing_anywhere(measured, tmp_path):
    for row, study in zip(measured.rows["adamw"], measured.suite.studies, strict=True):
        for record in row.confirmed.records:
            record.summary["final"][study.report[0]] = record.lines[0][study.report[0]]
    with pytest.raises(BadInput) as refused:
        write_export(measured, "rliable", tmp_path, "source")
    assert str(refused.value) == (
        "suite toys, profile short: adamw, by which scores are measured, learns nothing on any task"
    )


def test_a_reference_that_has_not_ended(measured, tmp_path):
    rows = {label: rows for label, rows in measured.rows.items() if label != "adamw"}
    with pytest.raises(BadInput) as refused:
        missing = {"adamw": ["masked", "pole"]}
        write_export(Measured(measured.suite, "short", rows, missing), "rliable", tmp_path, "")
    assert str(refused.value) == (
        "suite toys: adamw, by which scores are measured, lacks masked, pole; "
        "python -m scripts.compare optim=adamw suite=toys profile=short runs what is missing"
    )
    # Times need no reference.
    path = write_export(Measured(measured.suite, "short", rows, {}), "algoperf", tmp_path, "")
    assert {one.name for one in (path.parent / "submissions").iterdir()} == {"lp-adam-p-3", "sgd"}


def test_tasks_with_different_seeds(measured, tmp_path):
    *others, last = measured.rows["sgd"]
    fewer = replace(last.confirmed, records=last.confirmed.records[:3], planned=3)
    rows = measured.rows | {"sgd": [*others, replace(last, confirmed=fewer)]}
    with pytest.raises(BadInput) as refused:
        write_export(Measured(measured.suite, "short", rows, {}), "rliable", tmp_path, "source")
    assert str(refused.value) == (
        "suite toys: rliable takes as many seeds of every task, and some have 1, 2, 3, 4, 5 "
        "and others 1, 2, 3"
    )


# -- AlgoPerf --------------------------------------------------------------------------------------


@pytest.fixture
def for_algoperf(measured, tmp_path):
    """The folder of the files."""
    path = write_export(measured, "algoperf", tmp_path / "out", "source")
    assert path == tmp_path / "out" / "toys" / "algoperf.short.sample" / "workload_targets.json"
    return path.parent


def test_targets(for_algoperf):
    def target(name, goal, value):
        return {
            "target_metric_name": name,
            "target_metric_goal": goal,
            "validation_target_value": value,
            "step_hint": 100,
        }

    assert json.loads((for_algoperf / "workload_targets.json").read_text()) == {
        "benchmark_version": "suite toys, profile short, sample data",
        "base_workloads": ["digits", "news-gpt", "masked", "pole"],
        "held_out_workloads": [],
        "workloads": {
            "digits": target("accuracy", "maximize", 0.8),
            "news-gpt": target("perplexity", "minimize", 30.0),
            "masked": target("perplexity", "minimize", 25.0),
            "pole": target("accuracy", "maximize", 0.85),
        },
    }


def test_a_trial_has_a_line_for_each_evaluation(for_algoperf, measured):
    submissions = for_algoperf / "submissions"
    found = {str(path.relative_to(submissions)) for path in submissions.rglob("*.csv")}
    assert found == {
        f"{optim}/study_{seed}/{task}_pytorch/trial_1/eval_measurements.csv"
        for optim in ("adamw", "lp-adam-p-3", "sgd")
        for seed in SEEDS
        for task in ("digits", "news-gpt", "masked", "pole")
    }
    path = submissions / "sgd/study_4/news-gpt_pytorch/trial_1/eval_measurements.csv"
    header, *lines = csv.reader(path.read_text().splitlines())
    assert header == [
        "global_step",
        "accumulated_submission_time",
        "score",
        "validation/perplexity",
    ]
    [record] = [r for r in measured.rows["sgd"][1].confirmed.records if r.config["seed"] == 4]
    assert [list(map(float, line)) for line in lines] == [
        [
            line["step"],
            line["time/train_seconds"],
            line["time/train_seconds"],
            line["valid/perplexity"],
        ]
        for line in record.lines
    ]


def test_evaluations_without_the_metric_are_left_out(measured):
    [record] = measured.rows["sgd"][1].confirmed.records[:1]
    del record.lines[3]["valid/perplexity"]
    record.lines[5]["valid/perplexity"] = None
    name = "/submissions/sgd/study_1/news-gpt_pytorch/trial_1/eval_measurements.csv"
    lines = FORMS["algoperf"](measured)[name].decode().splitlines()[1:]
    steps = [int(line.partition(",")[0]) for line in lines]
    assert steps == [step for step in STEPS if step not in (30, 50)]


def times_to_targets(folder, column):
    """Submission → workload → the median over studies of the first time at the target."""
    targets = json.loads((folder / "workload_targets.json").read_text())["workloads"]
    found = {}
    for path in (folder / "submissions").rglob("*.csv"):
        optim, _, workload = path.relative_to(folder / "submissions").parts[:3]
        said = targets[workload.removesuffix("_pytorch")]
        sign = 1 if said["target_metric_goal"] == "maximize" else -1
        at_target = [
            float(line[column])
            for line in csv.DictReader(path.read_text().splitlines())
            if sign * float(line[f"validation/{said['target_metric_name']}"])
            >= sign * said["validation_target_value"]
        ]
        first = min(at_target, default=math.inf)
        found.setdefault(optim, {}).setdefault(workload, []).append(first)
    return {
        optim: {workload: median(studies) for workload, studies in of.items()}
        for optim, of in found.items()
    }


def share_at(by_optim, optim, tau):
    """Of the workloads, those on which a submission takes at most tau times the least time."""
    workloads = by_optim[optim]
    least = {workload: min(of[workload] for of in by_optim.values()) for workload in workloads}
    near = [
        time < math.inf and time / least[workload] <= tau for workload, time in workloads.items()
    ]
    return sum(near) / len(near)


POINTS = np.linspace(1, 4, 100)
# Of a step between two of these points, the trapezoid is off by half of their distance at most.
TOLERANCE = (POINTS[1] - POINTS[0]) / 2 / 3


@pytest.mark.parametrize(("column", "unit"), [("global_step", "steps"), ("score", "seconds")])
def test_the_papers_score_is_ours(for_algoperf, measured, column, unit):
    found = times_to_targets(for_algoperf, column)
    expected = times(measured.standings, unit)
    ours = profile_score(expected)
    names = dict(zip(ours, ["adamw", "lp-adam-p-3", "sgd"], strict=True))
    for label, name in names.items():
        assert sorted(found[name].values()) == sorted(expected[label].values())
        shares = [share_at(found, name, tau) for tau in POINTS]
        assert np.trapezoid(shares, POINTS) / 3 == pytest.approx(ours[label], abs=TOLERANCE)
        for tau in (1.0, 1.5, 4.0):
            assert share_at(found, name, tau) == profile(expected, tau)[label]
    # One is not always the quickest, and one does not reach each target.
    assert 0 < min(ours.values()) < max(ours.values()) < 1
    assert math.inf in expected["sgd"].values()


@pytest.mark.parametrize(("column", "unit"), [("global_step", "steps"), ("score", "seconds")])
def test_algoperf_itself_says_what_we_say(for_algoperf, measured, tmp_path, column, unit):
    config = pytest.importorskip("scoring.config")
    logs = pytest.importorskip("scoring.scoring_utils")
    profiles = pytest.importorskip("scoring.performance_profile")
    submissions = {
        path.name: logs.get_experiment_df(str(path))
        for path in (for_algoperf / "submissions").iterdir()
    }
    found = profiles.compute_performance_profiles(
        submissions,
        config.WorkloadConfig.from_json(for_algoperf / "workload_targets.json"),
        time_col=column,
        max_tau=4.0,
        self_tuning_ruleset=True,
        output_dir=str(tmp_path),
    )
    score = profiles.compute_leaderboard_score(found, normalize=True)["score"]
    ours = profile_score(times(measured.standings, unit))
    theirs = [score["adamw"], score["lp-adam-p-3"], score["sgd"]]
    assert theirs == pytest.approx(list(ours.values()), abs=TOLERANCE)


def test_seconds_of_several_machines_are_not_to_be_compared(measured):
    for record in measured.rows["sgd"][0].confirmed.records:
        record.environment["cpu"] = "Eight Cores"
    rest = "2 threads, unknown cores, torch unknown"
    assert notes(measured, "algoperf") == [
        "Compare steps and not seconds: the runs were made on "
        f"Eight Cores, {rest}; Two Cores, {rest}."
    ]
    assert notes(measured, "rliable") == []


def test_what_is_written_again_leaves_nothing_of_before(measured, for_algoperf):
    out = for_algoperf.parents[1]
    fewer = {label: rows for label, rows in measured.rows.items() if label != "sgd"}
    write_export(Measured(measured.suite, "short", fewer, {}), "algoperf", out, "source")
    left = {path.name for path in (for_algoperf / "submissions").iterdir()}
    assert left == {"adamw", "lp-adam-p-3"}


# -- what is missing -------------------------------------------------------------------------------


def test_a_task_without_an_end_says_why_there_is_none(toys):
    study = toys.studies[0]
    points = [Point({"optim.lr": 0.1}, [SimpleNamespace(status="diverged")], 1)]
    diverged = {"adamw": Row("adamw", "digits", points, None, None, {}, {})}
    assert gap("adamw", diverged, study) == "digits (diverges at every learning rate)"
    assert gap("adamw", {}, study) == "digits"
    assert gap("muon", {}, study) == "digits (which it cannot train)"


def test_what_is_left_out_is_named(measured):
    missing = {"muon": ["pole", "digits"], "lion": ["pole"]}
    some = Measured(measured.suite, "short", measured.rows, missing)
    check_some(some)
    assert notes(some, "rliable") == ["Left out: lion lacks pole; muon lacks pole, digits."]


def test_no_optimizer_has_ended_all_tasks(toys):
    missing = {"sgd": ["digits", "pole"], "adamw": ["masked"]}
    with pytest.raises(BadInput) as refused:
        check_some(Measured(toys, "smoke", {}, missing))
    assert str(refused.value) == (
        "suite toys, profile smoke: no optimizer has ended all tasks: "
        "adamw lacks masked; sgd lacks digits, pole"
    )


def test_nothing_has_been_measured(toys):
    with pytest.raises(BadInput) as refused:
        check_some(Measured(toys, "smoke", {}, {}))
    assert str(refused.value) == (
        "suite toys: nothing has been measured in profile smoke; "
        "python -m scripts.compare optim=NAME suite=toys profile=smoke does that"
    )
