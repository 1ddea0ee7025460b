"""The table of rows against the reference row."""

from dataclasses import replace

import pytest
from scipy import stats

from results.paired import against_reference, comparisons
from results.report import render_study
from results.study import Select

ROWS = {name: {"optim": "adam"} for name in ("Adam", "Better", "Adam again", "Noise")}
# By seed: what all rows have in common, and what is a row's own.
LUCK = [0.10, 0.40, 0.20, 0.30]
OWN = {
    "Adam": [0.00, 0.01, 0.00, 0.00],
    "Better": [-0.05, -0.04, -0.06, -0.05],
    "Adam again": [0.00, 0.01, 0.00, 0.00],
    "Noise": [0.02, -0.03, 0.01, 0.00],
}


def outcome(cell):
    loss = 0.5 + LUCK[cell.seed] + OWN[cell.row][cell.seed] + cell.point["optim.lr"]
    return {"train/loss": loss, "test/accuracy": 1 - loss, "lr": 0.1}


@pytest.fixture
def study(make_study):
    return make_study(
        rows=ROWS,
        reference="Adam",
        published=[],
        figures={},
        profiles={"smoke": {"seeds": 4}},
        report=["train/loss", "test/accuracy", "lr"],
    )


def as_dicts(table):
    return [dict(zip(table.headers, row, strict=True)) for row in table.rows]


def test_rows_are_compared_with_the_reference_seed_by_seed(study, make_result):
    [table] = against_reference(make_result(study, outcome))
    assert table.headers == [
        *("method", "metric", "difference", "95% interval", "probability of improvement"),
        *("p (Holm)", "detectable difference", "pairs"),
    ]
    # Of each metric with a direction: a learning rate is neither better nor worse.
    assert [row[:2] for row in table.rows] == [
        [name, metric]
        for metric in ("training loss", "test accuracy")
        for name in ("Better", "Adam again", "Noise")
    ]
    better, again, noise = as_dicts(table)[:3]
    # -0.05, -0.05, -0.06, -0.05: 0.0025 is their standard error, 3.182 the quantile.
    assert better["difference"] == "-0.0525"
    assert better["95% interval"] == "[-0.0605, -0.0445]"
    assert better["pairs"] == "4"
    p = stats.ttest_1samp([-0.05, -0.05, -0.06, -0.05], 0).pvalue
    assert better["p (Holm)"] == ("< 0.001" if 2 * p < 0.001 else f"{2 * p:.3f}")
    # Seeds vary by more than methods: of 16 pairs of runs, Better has the less loss in 10.
    assert better["probability of improvement"] == "62%"
    # The same optimizer under another name: nothing is claimed of it.
    assert (again["difference"], again["p (Holm)"], again["95% interval"]) == ("+0", "–", "–")
    assert again["probability of improvement"] == "50%"
    assert float(noise["p (Holm)"]) > 0.05
    accuracy = as_dicts(table)[3]
    assert accuracy["difference"] == "+0.0525"
    assert accuracy["probability of improvement"] == better["probability of improvement"]


def test_p_is_corrected_for_the_comparisons_of_a_metric(study, make_result):
    result = make_result(study, outcome)
    found = comparisons(result, "train/loss")
    assert list(found) == [("FC-2", name) for name in ("Better", "Adam again", "Noise")]
    # Two have a p; the larger stays as it is.
    [table] = against_reference(result)
    assert as_dicts(table)[2]["p (Holm)"] == f"{found['FC-2', 'Noise'].p:.3f}"


def test_pairs_are_the_seeds_that_both_finished(study, make_result):
    def some_end(cell):
        if (cell.row, cell.seed) in {("Adam", 0), ("Better", 3)}:
            return "diverged"
        return outcome(cell)

    found = comparisons(make_result(study, some_end), "train/loss")["FC-2", "Better"]
    assert found.n == 2
    assert found.difference.center == pytest.approx(-0.055)


def test_without_a_finished_reference_nothing_is_compared(study, make_result):
    result = make_result(study, lambda cell: None if cell.row == "Adam" else outcome(cell))
    assert against_reference(result) == []


def test_trials_are_paired_one_by_one(study, make_result):
    def trials(cell):
        return {"train/loss": [0.1 * cell.seed + OWN[cell.row][i] for i in range(4)]}

    found = comparisons(make_result(study, trials), "train/loss")["FC-2", "Better"]
    assert found.n == 16
    assert found.difference.center == pytest.approx(-0.0525)


def test_each_column_has_the_reference_of_its_own(study, make_result):
    columns = {"FC-2": {"task": "a"}, "ResNet-50": {"task": "b"}}

    def by_column(cell):
        return {"train/loss": outcome(cell)["train/loss"] * (1 + 9 * (cell.column == "ResNet-50"))}

    result = make_result(replace(study, columns=columns, report=["train/loss"]), by_column)
    [table] = against_reference(result)
    found = {(row["method"], row["column"]): row["difference"] for row in as_dicts(table)}
    assert found["Better", "FC-2"] == "-0.0525"
    assert found["Better", "ResNet-50"] == "-0.525"


def test_the_best_evaluation_is_compared_where_the_table_shows_it(study, make_result):
    best = replace(study, select=Select(metric="train/loss", at="best", mode="min"))
    found = comparisons(make_result(best, outcome), "train/loss")["FC-2", "Better"]
    assert found.difference.center == pytest.approx(-0.0525 / 2)


def test_the_table_stands_below_the_studys_own(study, make_result):
    result = make_result(study, outcome)
    files = render_study(result)
    text = files["lp_adam/toy.smoke.sample.md"].decode()
    first, second = text.split("\n\n# ")
    assert first.startswith("# lp_adam/toy: Toys")
    assert second.startswith("Against Adam: lp_adam/toy: Toys")
    assert "- p: of the paired t-test, two-sided, corrected by Holm" in second
    assert files["lp_adam/toy.smoke.sample.tex"].count(rb"\begin{tabular}") == 2


def test_without_a_reference_there_is_no_such_table(study, make_result):
    result = make_result(replace(study, reference=None), outcome)
    assert against_reference(result) == []
    assert render_study(result)["lp_adam/toy.smoke.sample.md"].count(b"\n# ") == 0
