"""Figures: the data behind them, worked out by hand, and that pictures are made of them."""

import math
import struct

import pytest

from results import figures
from results.figures import band, curve, draw, is_logarithmic, sensitivity, slug
from results.study import Figure


def outcome(cell):
    """1e-2 diverges, of 1e-3 the second seed only."""
    rate = cell.point["optim.lr"]
    if rate == 1e-2 or (rate == 1e-3 and cell.seed == 1):
        return "diverged"
    return {"train/loss": 0.1 + 0.2 * cell.seed, "test/accuracy": 0.9}


def size_of(path):
    content = path.read_bytes()
    assert content[:8] == b"\x89PNG\r\n\x1a\n"
    return struct.unpack(">II", content[16:24])


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


@pytest.mark.parametrize(
    ("values", "places"),
    [
        ([[0.9, 0.999], [0, 0.9]], ["[0.9,0.999]", "[0,0.9]"]),
        (["cosine", "constant"], ["cosine", "constant"]),
        ([None, 1.0, 0.1], ["null", "1.0", "0.1"]),
    ],
)
def test_values_that_are_no_numbers_stand_side_by_side(
    make_study, make_result, tmp_path, values, places
):
    study = make_study(grid={"optim.betas": values})
    result = make_result(study, lambda cell: {"train/loss": 0.5})
    assert sensitivity(result.rows[0], "optim.betas", "train/loss", study).x == places
    assert all(path.stat().st_size for path in draw(result, tmp_path))


def test_every_figure_is_drawn_as_png_and_pdf(make_study, make_result, tmp_path):
    paths = draw(make_result(make_study(), outcome), tmp_path)
    assert [path.name for path in paths] == [
        "toy.smoke.sample.fig.png",
        "toy.smoke.sample.optim-lr.png",
    ]
    for path in paths:
        width, height = size_of(path)
        assert width > 800 and height > 500
        assert path.with_suffix(".pdf").read_bytes().startswith(b"%PDF")
    assert len(list(tmp_path.iterdir())) == 1 + 2 * len(paths)  # the runs, and no litter


def test_columns_have_figures_of_their_own(make_study, make_result, tmp_path):
    study = make_study(columns={"LSTM (all)": {"task": "a"}, "FC-2": {"task": "b"}})
    names = {path.name for path in draw(make_result(study, outcome), tmp_path)}
    assert names == {
        f"toy.smoke.sample.{figure}.{column}.png"
        for figure in ("fig", "optim-lr")
        for column in ("lstm--all", "fc-2")
    }


def test_nothing_is_drawn_of_nothing(make_study, make_result, tmp_path):
    assert draw(make_result(make_study(), lambda cell: "diverged"), tmp_path) == []
    assert not list(tmp_path.glob("*.p*"))


def test_a_figure_shows_its_own_rows_only(make_study, make_result, tmp_path, monkeypatch):
    drawn = []
    monkeypatch.setattr(figures, "plot", lambda bands, *a, **k: drawn.append(list(bands)) or [])
    one = {"fig": Figure(title="F", rows=["AdaMax"], metric="train/loss")}
    draw(make_result(make_study(figures=one), outcome), tmp_path)
    assert drawn == [["AdaMax (lr 0.0001)"], ["AMSGrad", "AdaMax"]]


@pytest.mark.parametrize(
    ("values", "logarithmic"),
    [
        ([1e-4, 1e-3, 1e-2], True),
        ([0.1, 0.5, 0.9], False),
        ([0, 1, 100], False),
        ([True, False], False),
        (["a", "b"], False),
        ([[0.9, 0.99]], False),
    ],
)
def test_an_axis_is_logarithmic_where_values_are_spread_over_magnitudes(values, logarithmic):
    assert is_logarithmic(values) is logarithmic


def test_a_file_name_holds_letters_and_digits():
    assert slug("LSTM (all)") == "lstm--all"
    assert slug("optim.lr") == "optim-lr"
    assert slug("../x") == "x"
