"""Curves smoothed by a Gaussian, against sums by hand and scipy's filter."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter1d

from engine.records import read
from results.curves import curve, drawn_curve, lines_of
from results.figures import draw, plot
from results.payload import figure_payloads
from results.smoothing import gaussian, remark
from results.study import Figure


def by_hand(places, values, sigma):
    """Weighted means, sum by sum."""
    smooth = []
    for here, own in zip(places, values, strict=True):
        pairs = [
            (math.exp(-((place - here) ** 2) / (2 * sigma**2)), value)
            for place, value in zip(places, values, strict=True)
            if value is not None
        ]
        total = math.fsum(weight for weight, _ in pairs)
        mean = math.fsum(weight * value for weight, value in pairs) / total if pairs else None
        smooth.append(None if own is None else mean)
    return smooth


@pytest.mark.parametrize("sigma", [0.1, 1.0, 2.0, 70.0])
@pytest.mark.parametrize(
    "places",
    [range(1, 41), range(10, 410, 10), [1, 2, 3, 7, 20, 21, 40, 41], [5]],
    ids=["each", "every tenth", "uneven", "one"],
)
def test_a_smooth_value_is_a_weighted_mean(places, sigma):
    draw = np.random.default_rng(0).normal(size=len(places)).tolist()
    assert gaussian(places, draw, sigma) == pytest.approx(by_hand(places, draw, sigma), abs=1e-3)


def test_inside_it_is_the_usual_filter():
    values = np.random.default_rng(0).normal(size=200)
    found = gaussian(range(200), values.tolist(), 6.0)
    assert found[24:-24] == pytest.approx(gaussian_filter1d(values, 6.0)[24:-24].tolist())


def test_what_has_no_value_has_none_and_no_weight():
    values = [1.0, None, 3.0, math.nan, 5.0, None]
    found = gaussian(range(6), values, 1.0)
    assert [value is None for value in found] == [False, True, False, True, False, True]
    known = [1.0, None, 3.0, None, 5.0, None]
    assert found == pytest.approx(by_hand(range(6), known, 1.0))


def test_a_constant_stays_also_at_the_ends():
    assert gaussian(range(30), [0.25] * 30, 5.0) == pytest.approx([0.25] * 30)


def test_nothing_stays_nothing():
    assert gaussian([], [], 1.0) == []


# -- figures ---------------------------------------------------------------------------------------

SMOOTH = Figure("F", ["AdaMax"], "train/loss", smooth=4.0)
ACCURACY = Figure("F", ["AdaMax"], "test/accuracy", smooth=1.0)
LOSSES = [float((7 * step) % 11) for step in range(1, 31)]


def outcome(cell):
    return {"train/loss": 0.1 + 0.2 * cell.seed, "test/accuracy": 0.9}


def keep_losses(result, count=30, every=1):
    """Give all runs the losses of steps, as they would have kept them until step 30."""
    for record in result.records:
        block = {"step": 30, "every": every, "losses": LOSSES[-count * every :][every - 1 :: every]}
        (record.folder / "losses.jsonl").write_text(json.dumps(block) + "\n")
        vars(record)["losses"] = read(record.folder).losses


def test_a_training_loss_is_smoothed_over_updates(make_study, make_result):
    result = make_result(make_study(), outcome)
    keep_losses(result)
    best = result.rows[1].best
    found = drawn_curve(best, SMOOTH, "mean")
    assert found.x == [*range(1, 31)]
    assert found.mean == pytest.approx(by_hand(range(1, 31), LOSSES, 4.0), abs=1e-3)
    # Without smoothing, losses of single steps are in no figure.
    assert drawn_curve(best, replace(SMOOTH, smooth=None), "mean") == curve(best, "train/loss")
    assert remark(SMOOTH, result.records) == ""


def test_fewer_losses_are_smoothed_over_as_many_updates(make_study, make_result):
    result = make_result(make_study(), outcome)
    keep_losses(result, 15, every=2)
    found = drawn_curve(result.rows[1].best, SMOOTH, "mean")
    assert found.x == [*range(2, 31, 2)]
    assert found.mean == pytest.approx(by_hand(found.x, LOSSES[1::2], 4.0), abs=1e-3)


def test_means_between_evaluations_stand_in_for_losses_that_were_not_kept(make_study, make_result):
    """Of the fixture: 4, 0.5 and 1 times the final loss of 0.1 and 0.3."""
    result = make_result(make_study(seeds=1), outcome)
    found = drawn_curve(result.rows[1].best, SMOOTH, "mean")
    assert found.x == [10, 20, 30]
    assert found.mean == pytest.approx(by_hand(found.x, [0.8, 0.1, 0.2], 4.0), abs=0.05)
    said = "losses of single steps were not kept in all runs: means between evaluations are shown"
    assert remark(SMOOTH, result.records) == said
    drawing = plot(lines_of(result, SMOOTH), SMOOTH, result)
    assert said in drawing.get_suptitle().replace("\n", " ")
    assert remark(ACCURACY, result.records) == remark(replace(SMOOTH, smooth=None), []) == ""


def test_losses_of_a_part_of_a_run_go_on_from_means(make_study, make_result):
    result = make_result(make_study(seeds=1, profiles={"smoke": {}}), outcome)
    keep_losses(result, 8)
    found = drawn_curve(result.rows[1].best, SMOOTH, "mean")
    assert found.x == [10, 20, *range(23, 31)]


def test_other_metrics_are_smoothed_over_evaluations(make_study, make_result):
    result = make_result(make_study(), outcome)
    found = drawn_curve(result.rows[1].best, ACCURACY, "mean")
    assert found.mean == pytest.approx(by_hand([0, 1, 2], [3.6, 0.45, 0.9], 1.0))
    over = drawn_curve(result.rows[1].best, replace(ACCURACY, x="train/loss"), "mean")
    assert over.mean == found.mean and over.x == pytest.approx([0.8, 0.1, 0.2])


def test_each_seed_is_smoothed_by_itself(make_study, make_result):
    result = make_result(make_study(), outcome)
    figure = replace(SMOOTH, smooth=10.0)
    seeds = [
        np.array(by_hand([10, 20, 30], [4 * last, last / 2, last], 10.0)) for last in (0.1, 0.3)
    ]
    found = drawn_curve(result.rows[1].best, figure, "mean")
    assert found.mean == pytest.approx(np.mean(seeds, 0))
    assert found.high == pytest.approx(np.mean(seeds, 0) + np.std(seeds, 0, ddof=1))


def test_the_axis_and_the_page_say_how_a_curve_was_smoothed(make_study, make_result):
    assert SMOOTH.label == "training loss, smoothed (σ = 4 updates)"
    assert ACCURACY.label == "test accuracy, smoothed (σ = 1 evaluation)"
    result = make_result(make_study(figures={"fig": SMOOTH}), outcome)
    [payload] = figure_payloads(result)
    assert payload["label"] == SMOOTH.label and "were not kept" in payload["title"]
    keep_losses(result)
    [payload] = figure_payloads(result)
    assert payload["title"] == "F" and len(payload["lines"][0]["x"]) == 30
    assert all(draw(result).values())
