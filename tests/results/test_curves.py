"""The data behind figures, worked out by hand."""

import math
from dataclasses import replace

import pytest

from results.bands import band, scaled
from results.curves import (
    colour_range,
    curve,
    drawn_curve,
    heat_maps,
    lines_of,
    over_grid,
    over_trials,
    sensitivity,
)
from results.study import Figure


def outcome(cell):
    """1e-2 diverges, of 1e-3 the second seed only."""
    rate = cell.point["optim.lr"]
    if rate == 1e-2 or (rate == 1e-3 and cell.seed == 1):
        return "diverged"
    return {"train/loss": 0.1 + 0.2 * cell.seed, "test/accuracy": 0.9}


def test_a_band_is_mean_and_standard_deviation_at_each_place():
    found = band([10, 20], [[1.0, 5.0], [3.0, 5.0], [5.0, 5.0]])
    assert found.x == [10, 20]
    assert found.mean == [3, 5]
    assert found.low == [1, 5] and found.high == [5, 5]
    assert found.seeds == 3


def test_a_value_that_is_missing_counts_in_no_mean():
    found = band([1, 2, 3], [[1.0, None, None], [3.0, 7.0, None]])
    assert found.mean == [2, 7, None]
    assert found.low[0] == pytest.approx(2 - math.sqrt(2))
    # One value has no spread, none has no band.
    assert (found.low[1], found.high[1]) == (7, 7)
    assert (found.low[2], found.high[2]) == (None, None)


def test_a_learning_curve_is_that_of_the_seeds_that_finished(make_study, make_result):
    row = make_result(make_study(), outcome).rows[0]
    assert row.best.values == {"optim.lr": 1e-4}
    found = curve(row.best, "train/loss")
    # Written by the fixture: 4, 0.5 and 1 times the final value, which is 0.1 and 0.3.
    assert found.x == [10, 20, 30]
    assert found.mean == pytest.approx([0.8, 0.1, 0.2])
    assert found.seeds == 2
    assert curve(row.points[1], "train/loss").seeds == 1
    assert curve(row.points[2], "train/loss") is None
    assert curve(row.best, "test/loss") is None


def test_sensitivity_has_a_place_for_a_rate_at_which_every_seed_diverged(make_study, make_result):
    study = make_study()
    row = make_result(study, outcome).rows[0]
    found = sensitivity(row, "optim.lr", "train/loss", study)
    assert found.x == [1e-4, 1e-3, 1e-2]
    assert found.mean == [pytest.approx(0.2), pytest.approx(0.1), None]
    assert found.low[0] == pytest.approx(0.2 - 0.2 / math.sqrt(2))
    assert sensitivity(row, "optim.lr", "test/loss", study) is None


def test_sensitivity_is_in_the_order_of_the_numbers(make_study, make_result):
    study = make_study(grid={"optim.lr": [1e-2, 1e-4, 1e-3]})
    row = make_result(study, outcome).rows[0]
    assert sensitivity(row, "optim.lr", "train/loss", study).x == [1e-4, 1e-3, 1e-2]


def test_sensitivity_to_one_key_takes_the_other_at_its_best(make_study, make_result):
    grid = {"optim.lr": [1e-4, 1e-3], "task.batch_size": [1, 2]}
    loss = {(1e-4, 1): 4.0, (1e-4, 2): 3.0, (1e-3, 1): 1.0, (1e-3, 2): 2.0}
    study = make_study(grid=grid, seeds=1)
    row = make_result(study, lambda c: {"train/loss": loss[tuple(c.point.values())]}).rows[0]
    assert sensitivity(row, "optim.lr", "train/loss", study).mean == [3.0, 1.0]
    assert sensitivity(row, "task.batch_size", "train/loss", study).mean == [1.0, 2.0]


def test_trials_are_spread_over_a_sensitivity_like_seeds(make_study, make_result):
    study = make_study(statistic="mean_se", seeds=2)
    result = make_result(study, lambda cell: {"train/loss": [1.0 + cell.seed, 4.0 + cell.seed]})
    found = sensitivity(result.rows[0], "optim.lr", "train/loss", study)
    # Of 1, 4, 2 and 5: the mean is 3, the standard deviation √(10/3), its half the error.
    assert (found.mean, found.seeds) == ([3, 3, 3], 4)
    assert found.high[0] == pytest.approx(3 + math.sqrt(10 / 3) / 2)


STEPS, SHARE = "trials/steps_to_success", "trials/success"


def steps_taken(cell):
    """Of two trials: both at 1e-4, one at 1e-3, none at 1e-2 within 50 steps."""
    steps = {1e-4: [10.0, 20.0], 1e-3: [30.0, 50.0], 1e-2: [50.0, 50.0]}[cell.point["optim.lr"]]
    success = [float(number < 50) for number in steps]
    return {"train/loss": 1.0, STEPS: steps, SHARE: success}


def test_where_not_all_trials_succeed_there_is_no_mean(make_study, make_result):
    study = make_study(seeds=1)
    row = make_result(study, steps_taken).rows[0]
    found = sensitivity(row, "optim.lr", STEPS, study)
    assert found.x == [1e-4, 1e-3, 1e-2]
    assert found.mean == [15, None, None]
    assert found.missed == (1e-3, 1e-2)
    # A share is one everywhere.
    assert sensitivity(row, "optim.lr", SHARE, study).mean == [1, 0.5, 0]
    assert sensitivity(row, "optim.lr", SHARE, study).missed == ()


def test_where_no_trial_succeeds_at_all_there_are_only_places(make_study, make_result):
    study = make_study(seeds=1)
    none = {"train/loss": 1.0, STEPS: [50.0, 50.0], SHARE: [0.0, 0.0]}
    row = make_result(study, lambda cell: none).rows[0]
    found = sensitivity(row, "optim.lr", STEPS, study)
    assert found.mean == found.low == found.high == [None] * 3
    assert found.missed == (1e-4, 1e-3, 1e-2)


def test_a_curve_begins_where_all_trials_have_succeeded(make_study, make_result):
    study = make_study(seeds=1)
    row = make_result(study, steps_taken).rows[0]
    # The fixture's runs have 4, 0.5 and 1 times the last values.
    assert list(row.points[0].records[0].curves[SHARE][1]) == [4, 0.5, 1]
    assert curve(row.points[0], STEPS).mean == [None, None, 15]
    assert curve(row.points[2], STEPS).mean == [None, None, None]


OVER_RATES = Figure("F", ["AMSGrad", "AdaMax"], "train/loss", x="optim.lr", columns=["LSTM"])


def test_lines_over_the_grid_are_those_of_its_values(make_study, make_result):
    study = make_study(columns={"FC-2": {"task": "a"}, "LSTM": {"task": "b"}}, seeds=1)
    result = make_result(study, lambda cell: {"train/loss": 10 * cell.point["optim.lr"]})
    found = lines_of(result, OVER_RATES)
    assert found.keys() == {"LSTM"} and found["LSTM"].keys() == {"AMSGrad", "AdaMax"}
    assert found["LSTM"]["AdaMax"].x == [1e-4, 1e-3, 1e-2]
    assert found["LSTM"]["AdaMax"].mean == pytest.approx([1e-3, 1e-2, 1e-1])


def test_a_band_may_be_of_standard_errors():
    deviations = band([1, 2], [[1.0, 5.0], [3.0, None], [5.0, None], [7.0, 6.0]])
    errors = band([1, 2], [[1.0, 5.0], [3.0, None], [5.0, None], [7.0, 6.0]], "mean_se")
    assert errors.mean == deviations.mean == [4, 5.5]
    assert deviations.high[0] == pytest.approx(4 + math.sqrt(20 / 3))
    assert errors.high[0] == pytest.approx(4 + math.sqrt(20 / 3) / 2)
    # Each place has as many values as it has.
    assert errors.high[1] == pytest.approx(5.5 + math.sqrt(0.5) / math.sqrt(2))


PATH = Figure(title="Path", rows=["AMSGrad"], metric="path/y", x="path/x")


def test_a_path_goes_from_place_to_place(make_study, make_result):
    result = make_result(
        make_study(), lambda c: {"train/loss": 1.0, "path/x": 2.0 + c.seed, "path/y": -3.0 + c.seed}
    )
    found = drawn_curve(result.rows[0].best, PATH, "mean")
    # Means over the seeds: 2.5 and -2.5, at 4, 0.5 and 1 times of which the fixture's runs are.
    assert found.x == [10, 1.25, 2.5]
    assert found.mean == found.low == found.high == [-10, -1.25, -2.5]


def test_lines_over_the_grid_end_where_the_first_seed_diverges(make_study, make_result):
    best = make_result(make_study(), lambda c: {"train/loss": 2.0 + c.seed}).rows[0].best
    one, other = best.records
    figure = Figure("F", ["AMSGrad"], "train/loss", lines="optim.lr")
    steps = curve(best, "train/loss", figure=figure).x
    other.summary.update(status="diverged", step=steps[1], diverged_at=steps[1])
    assert other.status == "diverged" and one.status == "finished"
    assert curve(best, "train/loss", figure=figure).x == steps[:2]
    assert curve(best, "train/loss").x == steps


def test_a_curve_over_what_only_grows_keeps_its_spread(make_study, make_result):
    result = make_result(make_study(), lambda c: {"train/loss": 2.0 + 2 * c.seed, "epoch": 4.0})
    best = result.rows[0].best
    for record in best.records:
        record.curves["epoch"] = (record.curves["epoch"][0], [1.0, 2.0, 3.0])
    figure = Figure("F", ["AMSGrad"], "train/loss", x="epoch")
    found, over_steps = drawn_curve(best, figure, "mean"), curve(best, "train/loss")
    assert found.x == [1, 2, 3] and found.mean == over_steps.mean
    assert (found.low, found.high) == (over_steps.low, over_steps.high)
    assert found.low[2] == pytest.approx(found.mean[2] - 2**0.5)


@pytest.mark.parametrize("missing", ["path/x", "path/y"])
def test_there_is_no_path_without_both_of_its_metrics(make_study, make_result, missing):
    values = {"train/loss": 1.0, "path/x": 2.0, "path/y": 3.0}
    del values[missing]
    best = make_result(make_study(), lambda cell: values).rows[0].best
    assert drawn_curve(best, PATH, "mean") is None


@pytest.mark.parametrize("missing", ["path/x", "path/y"])
def test_a_path_begins_at_the_first_evaluation_with_both_of_its_metrics(
    make_study, make_result, missing
):
    final = {"train/loss": 1.0, "path/x": 2.0, "path/y": -3.0}
    best = make_result(make_study(), lambda cell: final).rows[0].best
    for record in best.records:
        steps, values = record.curves[missing]
        record.curves[missing] = (steps[1:], values[1:])
    found = drawn_curve(best, PATH, "mean")
    assert found.x == [1, 2]
    assert found.mean == found.low == found.high == [-1.5, -3]


def test_a_curve_over_the_steps_is_the_learning_curve(make_study, make_result):
    study = make_study()
    best = make_result(study, outcome).rows[0].best
    wanted = study.figures["fig"]
    assert drawn_curve(best, wanted, "mean_se") == curve(best, "train/loss", "mean_se")


# -- curves at all points of a grid ----------------------------------------------------------------

ALL_CURVES = Figure("G", ["AMSGrad", "AdaMax"], "train/loss", panels="optim.eps", lines="optim.lr")
RATES_AND_EPS = {"optim.lr": [1e-3, 1e-2], "optim.eps": [1e-8, 1e-4]}


def as_summed(cell):
    """AMSGrad diverges at the larger rate with the smaller eps, after an evaluation at step 10."""
    if cell.row == "AMSGrad" and (cell.point["optim.lr"], cell.point["optim.eps"]) == (1e-2, 1e-8):
        return "diverged"
    return {"train/loss": cell.point["optim.lr"] + cell.point["optim.eps"]}


def test_a_grid_of_curves_has_a_panel_for_a_key_and_lines_for_another(make_study, make_result):
    panels = lines_of(make_result(make_study(grid=RATES_AND_EPS, seeds=1), as_summed), ALL_CURVES)
    assert list(panels) == [
        "AMSGrad, ε = 1e-8",
        "AdaMax, ε = 1e-8",
        "AMSGrad, ε = 1e-4",
        "AdaMax, ε = 1e-4",
    ]
    assert all(
        list(panel) == ["learning rate = 1e-3", "learning rate = 0.01"] for panel in panels.values()
    )
    whole = panels["AdaMax, ε = 1e-4"]["learning rate = 0.01"]
    assert (whole.x, whole.mean) == ([10, 20, 30], pytest.approx([4 * 0.0101, 0.0101 / 2, 0.0101]))
    # A run that diverged is there as far as it came.
    cut = panels["AMSGrad, ε = 1e-8"]["learning rate = 0.01"]
    assert (cut.x, cut.mean) == ([10], [1e-6])


def test_a_grid_of_curves_may_have_one_panel_for_a_row(make_study, make_result):
    figure = replace(ALL_CURVES, panels=None, rows=["AdaMax"])
    result = make_result(make_study(grid=RATES_AND_EPS, seeds=1), as_summed)
    [(name, lines)] = lines_of(result, figure).items()
    assert name == "AdaMax"
    # The other key is at its best, which here is the smaller one.
    assert [line.mean[-1] for line in lines.values()] == pytest.approx([1e-3 + 1e-8, 1e-2 + 1e-8])


def test_a_grid_of_curves_names_columns_where_there_are_several(make_study, make_result):
    columns = {"A": {"task": "toy"}, "B": {"task": "toy"}}
    study = make_study(grid=RATES_AND_EPS, seeds=1, columns=columns)
    result = make_result(study, as_summed)
    names = list(lines_of(result, replace(ALL_CURVES, panels=None)))
    assert names == ["AMSGrad, A", "AdaMax, A", "AMSGrad, B", "AdaMax, B"]
    assert list(lines_of(result, replace(ALL_CURVES, panels=None, columns=["B"]))) == [
        "AMSGrad",
        "AdaMax",
    ]


def test_a_row_without_the_key_has_no_lines(make_study, make_result):
    rows = {"AMSGrad": {"optim": "amsgrad", "optim.lr": 1.0}, "AdaMax": {"optim": "adamax"}}
    study = make_study(grid=RATES_AND_EPS, seeds=1, rows=rows)
    panels = lines_of(make_result(study, lambda cell: {"train/loss": 0.5}), ALL_CURVES)
    assert panels["AMSGrad, ε = 1e-8"] == {}
    assert len(panels["AdaMax, ε = 1e-8"]) == 2


# -- averages over columns -------------------------------------------------------------------------

AVERAGE = Figure("Mean", ["AMSGrad", "AdaMax"], "train/loss", normalised=True)
GAMES = {column: {"task": "toy"} for column in ("Small", "Large", "Broken")}


def by_game(cell):
    """The second game counts in hundreds, and the rows take turns to have more."""
    if cell.column == "Broken" and cell.row == "AdaMax":
        return "diverged"
    final = {"Small": {"AMSGrad": 1.0, "AdaMax": 2.0}, "Large": {"AMSGrad": 200.0, "AdaMax": 100.0}}
    return {"train/loss": final.get(cell.column, {}).get(cell.row, 1e6)}


def test_columns_are_averaged_on_a_scale_of_their_own(make_study, make_result):
    study = make_study(columns=GAMES, grid={}, seeds=1)
    ((name, lines),) = lines_of(make_result(study, by_game), AVERAGE).items()
    assert name == "mean of 2 columns"  # a row is missing in the third
    # Values are 4, 0.5 and 1 times the final ones: from 0.5 to 8, and from 50 to 800.
    assert lines["AMSGrad"].x == lines["AdaMax"].x == [10, 20, 30]
    small, large = [3.5 / 7.5, 0, 0.5 / 7.5], [1, 50 / 750, 150 / 750]
    assert lines["AMSGrad"].mean == pytest.approx(
        [(a + b) / 2 for a, b in zip(small, large, strict=True)]
    )
    assert lines["AdaMax"].mean[0] == pytest.approx((1 + 350 / 750) / 2)


def test_there_is_no_average_of_nothing(make_study, make_result):
    study = make_study(columns=GAMES, grid={}, seeds=1)
    result = make_result(study, lambda cell: "failed")
    assert lines_of(result, AVERAGE) == {"mean of 0 columns": {}}


def test_lines_that_never_change_are_at_0():
    assert scaled({"Adam": band([1, 2], [[5.0, None]])}) == {"Adam": {1: [0.0]}}


MIDDLE = replace(AVERAGE, average="interquartile mean")


def by_number(cell):
    """Seeds that are 0 and 2 above a game's number, of AdaMax; of AMSGrad a hundred times that."""
    game = float(cell.column)
    return {"train/loss": (game + 2 * cell.seed) * (100 if cell.row == "AMSGrad" else 1)}


def test_the_interquartile_mean_is_of_the_seeds_of_all_columns(make_study, make_result):
    games = {str(number): {"task": "toy"} for number in range(1, 11)}
    result = make_result(make_study(columns=games, grid={}, seeds=2), by_number)
    ((name, lines),) = lines_of(result, MIDDLE).items()
    assert name == "interquartile mean of 10 columns"
    # At step 30, where the fixture has the final values: a game's scale is from half of AdaMax's
    # mean, n + 1, to four times AMSGrad's, a hundred times that.
    seeds = [
        (n + 2 * seed - (n + 1) / 2) / (400 * (n + 1) - (n + 1) / 2)
        for n in range(1, 11)
        for seed in (0, 1)
    ]
    line = lines["AdaMax"]
    assert line.x == [10, 20, 30]
    assert line.mean[2] == pytest.approx(sum(sorted(seeds)[5:15]) / 10)
    assert line.low[2] < line.mean[2] < line.high[2]
    mean = lines_of(result, AVERAGE)["mean of 10 columns"]["AdaMax"]
    assert mean.mean[2] == pytest.approx(sum(seeds) / 20) and mean.low == mean.mean


def test_one_seed_of_each_column_has_no_interval(make_study, make_result):
    games = {str(number): {"task": "toy"} for number in range(1, 21)}
    result = make_result(make_study(columns=games, grid={}, seeds=1), by_number, "paper")
    line = lines_of(result, MIDDLE)["interquartile mean of 20 columns"]["AdaMax"]
    assert None not in line.mean and line.low == line.high == [None] * 3


# -- heat maps -------------------------------------------------------------------------------------

KEYS = {"optim.lr": [1e-3, 1e-2], "optim.eps": [1e-8, 1e-4]}
OVER_KEYS = Figure("F", ["AMSGrad"], "train/loss", x="optim.lr", y="optim.eps")


def by_point(cell):
    rate, eps = cell.point["optim.lr"], cell.point["optim.eps"]
    if rate == 1e-2 and (eps == 1e-4 or cell.seed == 1):
        return "diverged"
    return {"train/loss": rate + cell.seed, "test/accuracy": 0.9}


def test_a_heat_map_has_a_line_for_each_value_of_y(make_study, make_result):
    study = make_study(grid=KEYS)
    found = over_grid(make_result(study, by_point).rows[0], OVER_KEYS, study)
    assert (found.x, found.y) == (["0.001", "0.01"], ["1e-08", "0.0001"])
    # One seed of two has diverged in the upper corner, both in the lower one.
    assert found.texts == [["0.501", "0.01*"], ["0.501", "nan"]]
    assert found.colours == [[pytest.approx(0.501), 0.01], [pytest.approx(0.501), None]]


def test_a_heat_map_of_a_metric_that_nothing_has_is_none(make_study, make_result):
    study = make_study(grid=KEYS)
    row = make_result(study, by_point).rows[0]
    assert over_grid(row, replace(OVER_KEYS, metric="test/loss"), study) is None


def test_a_row_that_diverged_everywhere_is_a_heat_map_of_nan(make_study, make_result):
    study = make_study(grid=KEYS)
    wanted = replace(OVER_KEYS, rows=["AMSGrad", "AdaMax"])
    result = make_result(study, lambda c: "diverged" if c.row == "AdaMax" else by_point(c))
    found = heat_maps(result, wanted)
    assert list(found) == ["AMSGrad", "AdaMax"]
    assert found["AdaMax"].texts == [["nan", "nan"], ["nan", "nan"]]
    assert found["AdaMax"].colours == [[None, None], [None, None]]


def test_a_row_that_has_not_begun_has_no_heat_map(make_study, make_result):
    wanted = replace(OVER_KEYS, rows=["AMSGrad", "AdaMax"])
    result = make_result(
        make_study(grid=KEYS), lambda c: None if c.row == "AdaMax" else by_point(c)
    )
    assert list(heat_maps(result, wanted)) == ["AMSGrad"]


def test_panels_share_one_range_of_colours(make_study, make_result):
    wanted = replace(OVER_KEYS, rows=["AMSGrad", "AdaMax"])

    def by_row(cell):
        return {"train/loss": 5.0 if cell.row == "AdaMax" else cell.point["optim.lr"]}

    panels = heat_maps(make_result(make_study(grid=KEYS), by_row), wanted).values()
    assert colour_range(panels, log=True) == (pytest.approx(1e-3), 5.0)
    panels = [replace(panel, colours=[[0.0, 2.0, None]]) for panel in panels]
    assert colour_range(panels, log=False) == (0.0, 2.0)
    assert colour_range(panels, log=True) == (2.0, 2.0)


def test_a_heat_map_of_trials_has_so_many_in_a_line(make_study, make_result):
    row = make_result(make_study(), outcome).rows[0]
    row.best.records[0].summary["trials"] = {"optim/swaps": [1, 2, 3], "lr": [5, 6, 7]}
    wanted = Figure("F", ["AMSGrad"], "optim/swaps", x="trial", across=2, colour="lr")
    found = over_trials(row, wanted)
    assert found.texts == [["1", "2"], ["3", ""]]
    assert found.colours == [[5, 6], [7, None]]
    assert over_trials(row, replace(wanted, metric="test/loss")) is None
