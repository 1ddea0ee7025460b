"""From runs to what a table says: which grid point is best, and what a reader must be told."""

import re
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

import results.published
from results.analysis import Point, Result, Row, printed_quantities, warnings
from results.published import Printed
from results.study import Select


def by_rate(values):
    """An outcome by learning rate: one for all seeds, or a list with one for each."""

    def outcome(cell):
        found = values[cell.point["optim.lr"]]
        found = found[cell.seed] if isinstance(found, list) else found
        return {"train/loss": found} if isinstance(found, float) else found

    return outcome


def best_rate(result, row=0):
    best = result.rows[row].best
    return best and best.values["optim.lr"]


def test_the_best_point_is_that_of_the_best_mean(make_study, make_result):
    """1e-2 has the best seed and the better of the worst seeds loses: means are 2, 1.5 and 2.5."""
    values = {1e-4: [2.0, 2.0], 1e-3: [1.4, 1.6], 1e-2: [0.1, 4.9]}
    result = make_result(make_study(), by_rate(values))
    assert best_rate(result) == 1e-3
    found = result.rows[0].estimates["train/loss"]
    assert found.center == pytest.approx(1.5)
    assert found.spread == pytest.approx(0.1 * 2**0.5)
    assert found.n == 2


def test_the_best_point_may_be_that_of_the_largest_value(make_study, make_result):
    study = make_study(select=Select(metric="train/loss", at="last", mode="max"))
    assert best_rate(make_result(study, by_rate({1e-4: 1.0, 1e-3: 3.0, 1e-2: 2.0}))) == 1e-3


def test_the_choice_is_by_the_mean_also_where_medians_are_shown(make_study, make_result):
    """The medians are 1.0 and 1.1, the means 4.0 and 1.1."""
    study = make_study(statistic="median", profiles={"smoke": {"seeds": 3}})
    values = {1e-4: [1.0, 1.0, 10.0], 1e-3: [1.1, 1.1, 1.1], 1e-2: [9.0, 9.0, 9.0]}
    result = make_result(study, by_rate(values))
    assert best_rate(result) == 1e-3
    assert result.rows[0].points[0].estimate("train/loss", study).center == 1.0


def test_last_and_best_are_different_numbers(make_study, make_result):
    outcome = by_rate({1e-4: 3.0, 1e-3: 1.0, 1e-2: 2.0})
    last = make_result(make_study(), outcome)
    assert last.rows[0].estimates["train/loss"].center == 1.0


def test_best_means_the_best_of_all_evaluations(make_study, make_result):
    study = make_study(select=Select(metric="train/loss", at="best", mode="min"))
    result = make_result(study, by_rate({1e-4: 3.0, 1e-3: 1.0, 1e-2: 2.0}))
    assert result.rows[0].estimates["train/loss"].center == 0.5


def test_what_has_no_direction_is_shown_where_the_studys_metric_is_best(make_study, make_result):
    study = make_study(
        select=Select(metric="train/loss", at="best", mode="min"), report=["train/loss", "lr"]
    )
    outcome = lambda cell: {"train/loss": 1.0 + cell.seed, "lr": 0.3 + cell.seed}  # noqa: E731
    best = make_result(study, outcome).rows[0].best
    # The fixture's runs are best at the second of three evaluations, at half of the last values.
    assert best.values_of("lr", study) == pytest.approx([0.15, 0.65])
    assert best.values_of("lr", study, at="last") == pytest.approx([0.3, 1.3])
    assert best.values_of("test/max_q", study) == []


def test_of_test_data_the_evaluation_is_shown_that_validation_data_chose(make_study, make_result):
    study = make_study(
        select=Select(metric="valid/accuracy", at="best", mode="max"),
        report=["test/accuracy", "valid/accuracy"],
    )
    outcome = lambda cell: {"valid/accuracy": 0.2, "test/accuracy": 0.1}  # noqa: E731
    best = make_result(study, outcome).rows[0].best
    for record in best.records:
        # The fixture's runs are best at the second of three evaluations.
        steps, values = record.curves["test/accuracy"]
        assert record.summary["best"]["valid/accuracy"]["step"] == steps[1]
        record.curves["test/accuracy"] = (steps, [0.9, 0.3, *values[2:]])
    assert best.values_of("test/accuracy", study) == [0.3, 0.3]
    assert best.values_of("test/accuracy", study, at="last") == pytest.approx([0.1, 0.1])


def test_a_point_at_which_a_seed_diverged_comes_last(make_study, make_result):
    """However good the seed is that is left."""
    values = {1e-4: [2.0, 2.0], 1e-3: [3.0, 3.0], 1e-2: [0.1, "diverged"]}
    result = make_result(make_study(), by_rate(values))
    assert best_rate(result) == 1e-4
    assert result.count("diverged") == 2  # one for each of the two rows


def test_a_point_that_diverged_is_still_better_than_none(make_study, make_result):
    values = {1e-4: "diverged", 1e-3: ["diverged", 3.0], 1e-2: "diverged"}
    result = make_result(make_study(), by_rate(values))
    assert best_rate(result) == 1e-3
    assert result.rows[0].estimates["train/loss"].n == 1
    assert result.rows[0].complete


@pytest.mark.parametrize("outcome", ["diverged", "failed", "unfinished", None])
def test_without_a_finished_run_there_is_no_best_point(make_study, make_result, outcome):
    result = make_result(make_study(), lambda cell: outcome)
    assert [row.best for row in result.rows] == [None, None]
    assert result.rows[0].estimates == {}
    assert result.planned == 12
    assert result.rows[0].complete is (outcome == "diverged")


TRIALS = {1e-4: [[5.0] * 3] * 2, 1e-3: [[0.0, 1.0, 2.0], [3.0, 4.0, 8.0]], 1e-2: [[9.0] * 3] * 2}


def trials(cell):
    return {
        "train/loss": TRIALS[cell.point["optim.lr"]][cell.seed],
        "test/accuracy": 0.5 + cell.seed / 4,
    }


def test_trials_count_like_seeds(make_study, make_result):
    study = make_study()
    result = make_result(study, trials)
    assert best_rate(result) == 1e-3
    best = result.rows[0].best
    assert best.values_of("train/loss", study) == [0, 1, 2, 3, 4, 8]
    found = result.rows[0].estimates["train/loss"]
    assert (found.center, found.n) == (3, 6)
    # Squares of the distances from 3: 9, 4, 1, 0, 1, 25 → 40, over n - 1 = 5.
    assert found.spread == pytest.approx(8**0.5)
    # Another metric of the same runs may have one value only.
    assert result.rows[0].estimates["test/accuracy"].n == 2
    assert [result.trials(name) for name in ("train/loss", "test/accuracy", "lr")] == [3, 1, 1]


def test_the_best_of_all_evaluations_is_that_of_the_mean_over_trials(make_study, make_result):
    study = make_study(select=Select(metric="train/loss", at="best", mode="min"))
    result = make_result(study, trials)
    assert result.rows[0].best.values_of("train/loss", study) == [0.5, 2.5]
    assert result.rows[0].estimates["train/loss"].n == 2


def test_without_runs_there_are_no_trials(make_study, make_result):
    assert make_result(make_study(), lambda cell: None).trials("train/loss") == 1
    assert make_result(make_study(), lambda cell: "failed").trials("train/loss") == 1


def test_rows_and_points_keep_the_order_of_the_study(make_study, make_result):
    study = make_study(columns={"B": {"task": "b"}, "A": {"task": "a"}})
    result = make_result(study, lambda cell: {"train/loss": cell.point["optim.lr"]})
    labels = [(row.column, row.row) for row in result.rows]
    assert labels == [("B", "AMSGrad"), ("B", "AdaMax"), ("A", "AMSGrad"), ("A", "AdaMax")]
    assert [point.values["optim.lr"] for point in result.rows[0].points] == [1e-4, 1e-3, 1e-2]


def test_columns_are_judged_each_by_itself(make_study, make_result):
    study = make_study(columns={"FC-2": {"task": "a"}, "ResNet-50": {"task": "b"}})
    good = {"FC-2": 1e-3, "ResNet-50": 1e-4}
    result = make_result(
        study, lambda cell: {"train/loss": abs(cell.point["optim.lr"] - good[cell.column])}
    )
    found = {(row.row, row.column): row for row in result.rows}
    assert found["AMSGrad", "FC-2"].best.values["optim.lr"] == 1e-3
    assert found["AMSGrad", "ResNet-50"].best.values["optim.lr"] == 1e-4
    # Each has the number of its own column of table 2.
    assert found["AMSGrad", "FC-2"].printed == {"optim.lr": Printed(1e-3)}
    assert found["AMSGrad", "ResNet-50"].printed == {"optim.lr": Printed(3e-4)}
    assert found["AdaMax", "ResNet-50"].printed == {"optim.lr": Printed(3e-4)}


def test_two_keys_are_chosen_together(make_study, make_result):
    grid = {"optim.lr": [1e-4, 1e-3, 1e-2], "optim.betas": [[0.9, 0.999], [0.5, 0.9]]}
    best = {"optim.lr": 1e-3, "optim.betas": [0.5, 0.9]}
    result = make_result(
        make_study(grid=grid), lambda cell: {"train/loss": 1.0 if cell.point == best else 2.0}
    )
    assert [len(row.points) for row in result.rows] == [6, 6]
    assert [point.planned for point in result.rows[0].points] == [2] * 6
    assert result.rows[0].best.values == best


# -- what a reader is told -------------------------------------------------------------------------

MIDDLE = {1e-4: 2.0, 1e-3: 1.0, 1e-2: 3.0}


def test_a_whole_paper_run_needs_no_warning(make_study, make_result):
    assert warnings(make_result(make_study(), by_rate(MIDDLE), "paper", "full")) == []


@pytest.mark.parametrize(("profile", "data"), [("paper", "sample"), ("short", "full")])
def test_less_than_the_papers_budget_is_not_comparable(make_study, make_result, profile, data):
    [said] = warnings(make_result(make_study(), by_rate(MIDDLE), profile, data))
    assert said == f"Made with profile {profile}, {data} data: not comparable with print."


@pytest.mark.parametrize("edge", [1e-4, 1e-2])
def test_a_best_value_at_the_edge_of_the_grid_is_said(make_study, make_result, edge):
    values = {**MIDDLE, edge: 0.5}
    said = warnings(make_result(make_study(), by_rate(values), "paper", "full"))
    assert said == [
        "The best optim.lr is at the edge of the grid, so that a better one may lie beyond: "
        f"AMSGrad (FC-2) {edge:g}, AdaMax (FC-2) {edge:g}."
    ]


def test_a_worst_value_may_be_at_the_edge(make_study, make_result):
    """What a study of failures looks for is mostly there."""
    study = make_study(select=Select(metric="train/loss", at="last", mode="max"))
    assert study.select.worst
    result = make_result(study, by_rate({**MIDDLE, 1e-2: 9.0}), "paper", "full")
    assert best_rate(result) == 1e-2
    assert warnings(result) == []


@pytest.mark.parametrize(
    ("metric", "mode", "worst"),
    [
        ("train/loss", "min", False),
        ("train/loss", "max", True),
        ("test/accuracy", "max", False),
        ("test/accuracy", "min", True),
        # Neither direction is better.
        ("optim/largest_step", "max", False),
        ("optim/largest_step", "min", False),
    ],
)
def test_a_rule_against_the_metrics_direction_chooses_the_worst(metric, mode, worst):
    assert Select(metric=metric, at="last", mode=mode).worst is worst


def test_the_edge_is_that_of_the_values_in_whatever_order(make_study, make_result):
    study = make_study(grid={"optim.lr": [1e-2, 1e-4, 1e-3]})
    assert warnings(make_result(study, by_rate(MIDDLE), "paper", "full")) == []


def test_a_switch_and_a_list_have_no_edge(make_study, make_result):
    grid = {"optim.amsgrad": [True, False], "optim.betas": [[0.9, 0.999], [0.5, 0.9]]}
    result = make_result(make_study(grid=grid), lambda cell: {"train/loss": 1.0}, "paper", "full")
    assert warnings(result) == []


def test_what_is_missing_and_what_failed_are_counted(make_study, make_result):
    values = {1e-4: [2.0, None], 1e-3: [1.0, "failed"], 1e-2: ["diverged", "unfinished"]}
    result = make_result(make_study(seeds=2), by_rate(values), "paper", "full")
    assert {s: result.count(s) for s in ("finished", "diverged", "failed", "unfinished")} == {
        "finished": 4,
        "diverged": 2,
        "failed": 2,
        "unfinished": 2,
    }
    said = warnings(result)
    assert "6 of 12 runs have not finished: the table may change." in said
    assert any(text.startswith("2 runs failed; their log.txt says why.") for text in said)
    assert not result.rows[0].complete


def test_a_changed_study_is_not_called_by_its_profile(make_study, make_result):
    result = make_result(make_study(), by_rate(MIDDLE), "paper", "full")
    assert (result.name, result.comparable) == ("toy.paper.full", True)
    names = set()
    for changes in (("task.steps=2",), ("task.steps=3",)):
        changed = replace(result, changes=changes)
        assert re.fullmatch(r"toy\.paper-custom-[0-9a-f]{6}\.full", changed.name)
        assert not changed.comparable
        names.add(changed.name)
    assert len(names) == 2


# -- the paper's numbers ---------------------------------------------------------------------------


def test_the_printed_rate_stands_beside_the_row(make_study, make_result):
    result = make_result(make_study(), by_rate(MIDDLE))
    assert printed_quantities(result.study) == {"optim.lr": "table2"}
    assert [row.printed for row in result.rows] == [{"optim.lr": Printed(1e-3)}] * 2


def test_a_row_that_the_paper_lacks_has_no_printed_number(make_study, make_result):
    rows = {"SGD": {"optim": "sgd"}}
    study = make_study(rows=rows, figures={})
    assert make_result(study, by_rate(MIDDLE)).rows[0].printed == {}


def test_a_study_of_no_table_has_no_printed_numbers(make_study, make_result):
    study = make_study(published=[])
    assert printed_quantities(study) == {}
    assert make_result(study, by_rate(MIDDLE)).rows[0].printed == {}


def test_all_printed_tables_say_what_their_numbers_are():
    for table in results.published.published("lp_adam")["tables"].values():
        assert table["value"] and table["title"]
        assert all(row.keys() <= set(table["columns"]) for row in table["rows"].values())


def test_the_worst_point_is_one_at_which_a_seed_diverged(make_study, make_result):
    study = make_study(select=Select(metric="train/loss", at="last", mode="max"))

    def outcome(cell):
        if cell.point["optim.lr"] == 1e-3:
            return "diverged" if cell.seed else {"train/loss": 0.1, "test/accuracy": 0.5}
        return {"train/loss": 1.0, "test/accuracy": 0.5}

    for row in make_result(study, outcome).rows:
        assert row.best.values == {"optim.lr": 1e-3}


def test_a_run_of_two_rows_is_there_once(make_study):
    records: Any = [SimpleNamespace(id=name) for name in ("a", "b")]
    first, second = Point({"optim.lr": 1}, records[:1], 1), Point({}, records, 2)
    rows = [
        Row(name, "A", [point], point, None, {}, {})
        for name, point in (("grid", first), ("fixed", second))
    ]
    assert Result(make_study(), "paper", "full", rows).records == records
