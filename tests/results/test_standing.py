"""What runs of a suite have reached, from records, against numbers worked out by hand."""

import json
import math
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from engine.records import read
from results.analysis import Point, Row
from results.search import Halving, Range, Search
from results.standing import (
    Outcome,
    Standing,
    defeated,
    divergence,
    learns,
    log,
    machine,
    profile,
    profile_score,
    ranks,
    rate_width,
    scores,
    standing,
)
from results.study import Select

RATES = {"optim.lr": Range(1e-4, 1.0, log=True)}
HALVING = Search(4, RATES, Halving(2.0, 1))
# Step → the metric on validation and on test data.
CURVE = {0: (0.1, 0.11), 10: (0.5, 0.52), 20: (0.9, 0.88), 30: (0.8, 0.82), 40: (0.95, 0.94)}


@pytest.fixture
def study(make_study):
    """One of a suite: runs pause after half of their steps, and 0.9 is to be reached."""
    return make_study(
        columns={"digits": {"task": "toy", "eval_first": True}},
        rows={"adamw": {"optim": "adamw"}},
        grid={},
        search=HALVING,
        seeds=1,
        confirm=3,
        select=Select("valid/accuracy", "last", "max"),
        report=["test/accuracy", "train/loss"],
        target=0.9,
        published=[],
        figures={},
        profiles={"smoke": {}},
    )


@pytest.fixture
def ran(write_run, make_config, tmp_path):
    """`ran(seed=3)`: the record of a run of 40 steps, each of half a second."""

    def make(seed=0, rate=0.1, curve=CURVE, status="finished", pauses=None, metric="accuracy"):
        lines = [
            {
                "step": step,
                "time/train_seconds": step / 2,
                f"valid/{metric}": valid,
                f"test/{metric}": test,
            }
            for step, (valid, test) in curve.items()
        ]
        summary = summary_of(lines, status) if status else None
        root = tmp_path / "runs"
        folder = write_run(
            root, make_config({"optim.lr": rate, "seed": seed}), summary, lines
        ).folder
        if pauses:
            (folder / "pauses.json").write_text(json.dumps(pauses))
        return read(folder)

    return make


def summary_of(lines, status):
    final = {key: value for key, value in lines[-1].items() if key != "step"}
    best = {}
    for name in final.keys() - {"time/train_seconds"}:
        known = [line for line in lines if line[name] is not None]
        line = max(known, key=lambda line: line[name], default=lines[0])
        best[name] = {"value": line[name], "step": line["step"]}
    at = lines[-1]["step"]
    diverged_at = at + 1 if status == "diverged" else None
    return {
        "status": status,
        "step": diverged_at or at,
        "steps": 40,
        "diverged_at": diverged_at,
        "final": final,
        "best": best,
        "wall_seconds": 1.0,
        "step_seconds": 0.5,
        "error": None,
    }


def paused(valid, step=20):
    worth = {"valid/accuracy": valid}
    best = {"valid/accuracy": {"value": valid, "step": step}}
    return {"0.5": {"step": step, "steps": 40, "final": worth, "best": best}}


def point(*records, rate=0.1, cut=False):
    return Point({"optim.lr": rate}, list(records), len(records), cut)


def row(confirmed, points, best=0):
    confirmed = Point(points[best].values, confirmed, len(confirmed))
    return Row("adamw", "digits", points, points[best], confirmed, {}, {})


# -- runs ------------------------------------------------------------------------------------------


def test_an_outcome_has_the_first_and_the_last_value_and_when_the_target_was_reached(study, ran):
    found = standing(row([ran(seed=1)], [point(ran())]), study)
    assert (found.task, found.optim, found.metric) == ("digits", "adamw", "test/accuracy")
    # The target is of validation data, and once is enough: at step 20, and no more at 30.
    assert found.outcomes == [Outcome(1, 0.94, 0.11, False, steps=20, seconds=10.0, budget=40)]


def test_a_target_that_is_never_reached_is_infinitely_far(study, ran):
    found = standing(row([ran(seed=1)], [point(ran())]), replace(study, target=0.96))
    assert (found.outcomes[0].steps, found.outcomes[0].seconds) == (math.inf, math.inf)
    assert (found.reached, found.steps) == (0, math.inf)


def test_a_target_below_is_reached_from_above(study, ran):
    curve = {0: (900.0, 910.0), 20: (50.0, 55.0), 40: (40.0, 44.0)}
    smaller = replace(
        study,
        select=Select("valid/perplexity", "last", "min"),
        report=["test/perplexity"],
        target=50,
    )
    runs = [ran(seed, curve=curve, metric="perplexity") for seed in (0, 1)]
    [one] = standing(row(runs[1:], [point(runs[0])]), smaller).outcomes
    assert (one.steps, one.seconds, one.value) == (20, 10.0, 44.0)


def test_a_run_that_diverged_counts_with_the_value_of_its_first_weights(study, ran):
    # What it was worth before it diverged is on record, the target included.
    lost = ran(seed=1, curve={0: (0.1, 0.11), 10: (0.92, 0.93)}, status="diverged")
    found = standing(row([lost, ran(seed=2)], [point(ran())]), study)
    assert found.outcomes[0] == Outcome(1, 0.11, 0.11, True, 10, 5.0, 40)
    assert (found.diverged, found.reached) == (1, 2)
    assert found.learned == {1: 0, 2: pytest.approx(0.83)}
    assert found.value == pytest.approx((0.11 + 0.94) / 2)


def test_a_seed_whose_first_weights_have_no_value_is_left_out(study, ran):
    lost = ran(seed=1, curve={0: (None, None)}, status="diverged")
    found = standing(row([lost, ran(seed=2)], [point(ran())]), study)
    assert [one.seed for one in found.outcomes] == [2]
    assert standing(row([lost], [point(ran(seed=3))]), study) is None


def test_seeds_rise_and_steps_and_seconds_are_medians(study, ran):
    late = {**CURVE, 20: (0.8, 0.8)}  # at the target at step 40
    never = dict.fromkeys(CURVE, (0.2, 0.2))
    runs = [ran(3), ran(1, curve=late), ran(2, curve=never)]
    found = standing(row(runs, [point(ran())]), study)
    assert [one.seed for one in found.outcomes] == [1, 2, 3]
    assert (found.steps, found.seconds, found.reached) == (40, 20.0, 2)
    # With half of the runs, the median is infinite.
    half = standing(row(runs[1:], [point(ran(seed=4))]), study)
    assert half.steps == math.inf


def test_the_end_is_a_mean_over_as_many_evaluations_as_the_rule_says(study, ran):
    three = replace(study, select=Select("valid/accuracy", "last", "max", evaluations=3))
    [one] = standing(row([ran(1)], [point(ran())]), three).outcomes
    assert one.value == pytest.approx((0.88 + 0.82 + 0.94) / 3)


def test_the_best_evaluation_is_the_best_on_validation_data(study, ran):
    curve = {0: (0.1, 0.11), 20: (0.95, 0.90), 40: (0.90, 0.99)}
    best = replace(study, select=Select("valid/accuracy", "best", "max"))
    [one] = standing(row([ran(1, curve=curve)], [point(ran())]), best).outcomes
    assert one.value == 0.90


def test_what_has_not_come_to_an_end_has_no_standing(study, ran):
    ended, open_run = ran(1), ran(2, status=None)
    points = [point(ran())]
    assert standing(row([ended, open_run], points), study) is None
    assert standing(replace(row([ended], points), confirmed=None), study) is None


def test_machines_are_those_of_the_fresh_seeds(study, ran):
    one, other = ran(1), ran(2)
    environment = {"started": "2026-01-02", "device": "cuda:0", "gpu": "A card", "cpu": "C"}
    environment |= {"threads": 1, "cores": 8, "packages": {"torch": "2.9.1"}}
    (other.folder / "environment.json").write_text(json.dumps(environment))
    found = standing(row([one, read(other.folder)], [point(ran())]), study)
    # The fixture's environment knows neither cores nor versions.
    processor = "Two Cores, 2 threads, unknown cores, torch unknown"
    assert found.machines == {processor, "A card, 8 cores, torch 2.9.1"}


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({}, "A CPU, 2 threads, 4 cores, torch 2.9.1"),
        ({"threads": 1}, "A CPU, 1 thread, 4 cores, torch 2.9.1"),
        ({"cores": 8}, "A CPU, 2 threads, 8 cores, torch 2.9.1"),
        ({"packages": {"torch": "2.8.0"}}, "A CPU, 2 threads, 4 cores, torch 2.8.0"),
    ],
)
def test_a_machine_is_told_apart_by_what_decides_its_pace(changes, text):
    known = {"gpu": None, "cpu": "A CPU", "threads": 2, "cores": 4, "packages": {"torch": "2.9.1"}}
    assert machine(SimpleNamespace(environment=known | changes)) == text
    assert machine(SimpleNamespace(environment={})) == "an unknown machine"


# -- learning rates --------------------------------------------------------------------------------


def test_rates_are_compared_at_the_first_pause(study, ran):
    points = [
        point(ran(0, 0.01, pauses=paused(0.7)), rate=0.01),
        point(ran(0, 0.1, pauses=paused(0.6), status=None), rate=0.1, cut=True),
        point(ran(0, 1.0, curve={0: (0.1, 0.1)}, status="diverged"), rate=1.0, cut=True),
    ]
    found = standing(row([ran(1, 0.01)], points), study)
    # Not by what the first is worth at its end.
    assert found.searched == {0.01: 0.7, 0.1: 0.6, 1.0: None}
    assert found.rate == 0.01


def test_a_run_that_did_not_pause_is_compared_up_to_there(study, ran):
    # Such as one that had finished before, or that of a row whose rate is given.
    found = standing(row([ran(1)], [point(ran())]), study)
    assert found.searched == {0.1: 0.9}
    late = ran(2, curve={0: (0.1, 0.1), 20: (0.9, 0.9), 30: (0.5, 0.5)}, status="diverged")
    assert standing(row([ran(3)], [point(late)]), study).searched == {0.1: 0.9}


def test_without_a_pause_rates_are_compared_at_the_end(study, ran):
    plain = replace(study, search=Search(4, RATES))
    lost = ran(0, 1.0, curve={0: (0.1, 0.1), 10: (0.99, 0.99)}, status="diverged")
    points = [point(ran()), point(lost, rate=1.0)]
    assert standing(row([ran(1)], points), plain).searched == {0.1: 0.95, 1.0: None}


def test_a_rate_is_worth_the_mean_over_the_seeds_of_its_search(study, ran):
    runs = [ran(0, pauses=paused(0.7)), ran(1, pauses=paused(0.5))]
    lost = ran(0, 1.0, curve={0: (0.1, 0.1)}, status="diverged")
    points = [point(*runs), point(ran(1, 1.0, pauses=paused(0.9)), lost, rate=1.0)]
    found = standing(row([ran(2)], points), study)
    assert found.searched == {0.1: pytest.approx(0.6), 1.0: None}


def test_the_rate_of_a_row_that_sets_it_is_that_of_its_runs(study, ran):
    given = Point({}, [ran(0, 0.02)], 1)
    found = standing(row([ran(1, 0.02)], [given]), study)
    assert found.rate == 0.02 and list(found.searched) == [0.02]
    assert rate_width(found) is None


def test_a_rate_is_known_by_the_grid_alone(study, ran):
    left_out = Point({"optim.lr": 0.3}, [], 1)
    found = standing(row([ran(1)], [point(ran()), left_out]), study)
    assert found.searched == {0.1: 0.9, 0.3: None}


def test_when_all_rates_have_diverged(ran):
    lost = [
        ran(0, rate, curve={0: (0.1, 0.1), 30: (0.1, 0.1)}, status="diverged")
        for rate in (0.1, 1.0)
    ]
    kept_on, cut = ran(0, 0.01, pauses=paused(0.6), status=None), ran(0, 0.02)
    none = Row("adamw", "digits", [], None, None, {}, {})

    def said(*points):
        return divergence(replace(none, points=list(points)))

    one, other = (point(record) for record in lost)
    everywhere = "diverges at every learning rate"
    assert said(one, other) == everywhere
    # A rate that was let go because it had diverged.
    assert said(one, replace(other, cut=True)) == everywhere
    # Of those that were let go while they were well, nobody knows.
    well = point(kept_on, cut=True)
    took = "that its search took to the end"
    assert said(one, other, well) == f"diverges at each of the 2 learning rates {took}"
    assert said(one, replace(other, cut=True), well) == (
        f"diverges at the one learning rate {took}"
    )
    assert said(one, other, point(kept_on)) is None
    assert said(Point({}, [], 1)) is None
    assert said() is None
    assert divergence(row([ran(1)], [one, other, point(cut)], best=2)) is None


# -- scores ----------------------------------------------------------------------------------------


def stood(values, metric="test/accuracy", untrained=0.1, searched=None, mode="max"):
    outcomes = [
        Outcome(seed, value, untrained, False, 10.0, 5.0, 40) for seed, value in enumerate(values)
    ]
    rates = searched or {0.1: 0.9}
    return Standing("digits", "adamw", metric, 0.1, outcomes, rates, mode, 0, frozenset({"C"}))


def test_what_is_learned_is_counted_from_the_first_weights_on():
    found = stood([0.9, 0.6], untrained=0.1)
    assert found.learned == {0: pytest.approx(0.8), 1: pytest.approx(0.5)}
    assert found.value == pytest.approx(0.75)
    # Of a metric that is the better the smaller, and on a logarithmic axis, in nats.
    found = stood([10.0, 1000.0, 2000.0], "test/perplexity", untrained=1000.0)
    assert found.learned == pytest.approx({0: math.log(100), 1: 0, 2: -math.log(2)})


def test_a_loss_that_vanishes_is_learned_as_far_as_numbers_go():
    assert log(math.e) == 1
    assert stood([0.0], "test/loss", untrained=1.0).learned == {0: pytest.approx(708.4, abs=0.1)}


def test_a_score_is_in_units_of_what_the_reference_learns_on_average():
    reference = stood([0.9, 0.5], untrained=0.1)  # 0.8 and 0.4
    assert scores(reference, reference) == pytest.approx({0: 0.8 / 0.6, 1: 0.4 / 0.6})
    assert scores(stood([0.1, 0.7, 0.4]), reference) == pytest.approx({0: 0, 1: 1, 2: 0.5})
    # Below the first weights.
    assert scores(stood([0.04]), reference) == pytest.approx({0: -0.1})


@pytest.mark.parametrize(
    ("gains", "does"),
    [
        # The interval is the mean ± t times the standard error: of two values, t is 12.7 and the
        # error half of what they differ by; of three, t is 4.30 and the error 0.1/√3 here.
        ([0.2, 0.24], False),  # 0.22 ± 0.254
        ([0.3, 0.31], True),
        ([0.1, 0.2, 0.3], False),  # 0.2 ± 0.248
        ([0.2, 0.3, 0.4], True),  # 0.3 ± 0.248
        ([0.3, 0.3], True),
        ([-0.3, -0.31], False),
        ([0.0, 0.0], False),
        ([0.5], False),
    ],
)
def test_a_reference_learns_what_chance_does_not(gains, does):
    assert learns(stood([0.1 + gain for gain in gains])) is does
    smaller = stood([math.exp(1 - gain) for gain in gains], "test/perplexity", untrained=math.e)
    assert learns(smaller) is does


def test_what_cannot_train_a_task_learns_nothing_in_the_seeds_of_the_reference():
    theirs = stood([10.0, 1000.0], "test/perplexity", untrained=900.0, mode="min")
    found = defeated("new", theirs)
    assert found.outcomes == [
        Outcome(seed, 900.0, 900.0, True, math.inf, math.inf, 40) for seed in (0, 1)
    ]
    assert scores(found, theirs) == {0: 0, 1: 0}
    # Not -0, which a table would show.
    assert all(math.copysign(1, score) == 1 for score in scores(found, theirs).values())
    assert (found.task, found.optim, found.rate) == ("digits", "new", None)
    assert (found.reached, found.steps, found.seconds) == (0, math.inf, math.inf)
    assert rate_width(found) is None and not found.machines


@pytest.mark.parametrize(
    ("searched", "decades"),
    [
        # Halfway to the neighbours of 0.1: from 10^-1.5 to 10^-0.5.
        ({1e-3: 0.1, 1e-2: 0.2, 1e-1: 0.9, 1.0: 0.3}, 1.0),
        # At an edge, not past it.
        ({1e-3: 0.1, 1e-2: 0.2, 1e-1: 0.3, 1.0: 0.9}, 0.5),
        # 5% of 0.9 is 0.045: 0.856 is close, and 0.854 not.
        ({1e-3: 0.854, 1e-2: 0.856, 1e-1: 0.9, 1.0: 0.5}, 2.0),
        # One beyond a gap does not count, and neither does one beyond a rate that diverged.
        ({1e-4: 0.9, 1e-3: 0.5, 1e-2: 0.9, 1e-1: 0.91}, 1.5),
        ({1e-4: 0.9, 1e-3: None, 1e-2: 0.9, 1e-1: 0.91}, 1.5),
        # All are close: the whole range, whatever their order.
        ({1.0: 0.9, 1e-3: 0.9, 1e-2: 0.9}, 3.0),
        # Unequal spacing.
        ({1e-4: 0.2, 1e-2: 0.9, 1e-1: 0.2}, 1.5),
        ({1e-2: 0.9}, None),
        ({1e-2: None, 1e-1: None}, None),
    ],
    ids=str,
)
def test_how_wide_the_range_of_good_rates_is(searched, decades):
    found = rate_width(stood([0.9], searched=searched))
    assert found == (None if decades is None else pytest.approx(decades))


@pytest.mark.parametrize("metric", ["test/perplexity", "test/accuracy"])
@pytest.mark.parametrize(("mode", "decades"), [("min", 1.5), ("max", 0.5)])
def test_rates_are_good_by_the_metric_of_the_choice(metric, mode, decades):
    # Whatever the metric is by which the task judges.
    searched = {1e-3: 104.0, 1e-2: 100.0, 1e-1: 106.0, 1.0: 1e4}
    found = rate_width(stood([0.9], metric, searched=searched, mode=mode))
    assert found == pytest.approx(decades)


def test_the_direction_of_the_choice_and_rates_let_go_are_known(study, ran):
    smaller = replace(study, select=Select("valid/accuracy", "last", "min"))
    points = [point(ran()), point(ran(0, 1.0), rate=1.0, cut=True)]
    fresh = [ran(1)]
    found = standing(row(fresh, points), smaller)
    assert (found.mode, found.cut) == ("min", 1)
    found = standing(row(fresh, points[:1]), study)
    assert (found.mode, found.cut) == ("max", 0)


# -- between optimizers ----------------------------------------------------------------------------

NEVER = math.inf
TIMES = {
    "quick": {"a": 10, "b": 40, "c": NEVER, "d": NEVER},
    "slow": {"a": 20, "b": 30, "c": NEVER, "d": 50},
    "late": {"a": 55, "b": NEVER, "c": NEVER, "d": 50},
}


@pytest.mark.parametrize(
    ("factor", "shares"),
    [
        (1, (0.25, 0.5, 0.25)),
        (1.3, (0.25, 0.5, 0.25)),
        (4 / 3, (0.5, 0.5, 0.25)),
        (2, (0.5, 0.75, 0.25)),
        (5.5, (0.5, 0.75, 0.5)),
        (1e9, (0.5, 0.75, 0.5)),
    ],
)
def test_a_profile_is_the_share_of_tasks_within_a_factor_of_the_quickest(factor, shares):
    assert profile(TIMES, factor) == dict(zip(TIMES, shares, strict=True))


def test_a_profiles_score_is_its_mean_over_factors():
    found = profile_score(TIMES)
    # Of quick: a from 1 on, b from 4/3 on, which leaves 8/3 of 3.
    assert found["quick"] == pytest.approx((1 + 8 / 9) / 4)
    # Of slow: a from 2 on, b and d from 1 on; of late, only d, as 5.5 is beyond 4.
    assert found["slow"] == pytest.approx((2 / 3 + 1 + 1) / 4)
    assert found["late"] == pytest.approx(1 / 4)


@pytest.mark.parametrize("largest", [2.0, 4.0, 10.0])
def test_a_profiles_score_is_that_of_a_numeric_integral(largest):
    draw = np.random.default_rng(0)
    tasks = [f"task {i}" for i in range(5)]
    times = {
        optim: dict(zip(tasks, np.where(drawn > 7, NEVER, drawn).tolist(), strict=True))
        for optim, drawn in zip("abc", draw.uniform(1, 8, size=(3, 5)), strict=True)
    }
    middles = 1 + (largest - 1) * (np.arange(3_000) + 0.5) / 3_000
    profiles = [profile(times, factor) for factor in middles]
    for optim, score in profile_score(times, largest).items():
        assert score == pytest.approx(np.mean([one[optim] for one in profiles]), abs=2e-3)


def test_a_target_that_the_first_weights_reach_is_within_reach_of_those_that_do():
    times = {"a": {"x": 0, "y": 10}, "b": {"x": 5, "y": 10}, "c": {"x": NEVER, "y": NEVER}}
    assert profile(times, 3) == {"a": 1, "b": 0.5, "c": 0}
    assert profile_score(times) == {"a": 1, "b": 0.5, "c": 0}


def test_equal_means_share_a_place():
    assert ranks({"a": [1, 3], "b": [2, 2], "c": [5, 0], "d": [0, 0]}) == {
        "a": 2,
        "b": 2,
        "c": 1,
        "d": 4,
    }
