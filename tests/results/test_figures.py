"""Figures as pictures: which are drawn, of what, and what stands over them."""

import struct

import numpy as np
import pytest

from engine.texts import hydra_text
from results import curves, figures
from results.bands import Band
from results.curves import sensitivity
from results.figures import averaged, draw, is_logarithmic, plain, resampled
from results.study import Figure, slug


def outcome(cell):
    """1e-2 diverges, of 1e-3 the second seed only."""
    rate = cell.point["optim.lr"]
    if rate == 1e-2 or (rate == 1e-3 and cell.seed == 1):
        return "diverged"
    return {"train/loss": 0.1 + 0.2 * cell.seed, "test/accuracy": 0.9}


def size_of(content):
    assert content[:8] == b"\x89PNG\r\n\x1a\n"
    return struct.unpack(">II", content[16:24])


@pytest.mark.parametrize(
    ("values", "places"),
    [
        ([[0.9, 0.999], [0, 0.9]], ["[0.9,0.999]", "[0,0.9]"]),
        (["cosine", "constant"], ["cosine", "constant"]),
        ([None, 1.0, 0.1], ["null", "1.0", "0.1"]),
    ],
)
def test_values_that_are_no_numbers_stand_side_by_side(make_study, make_result, values, places):
    study = make_study(grid={"optim.betas": values})
    result = make_result(study, lambda cell: {"train/loss": 0.5})
    assert sensitivity(result.rows[0], "optim.betas", "train/loss", study).x == places
    assert all(draw(result).values())


def test_every_figure_is_drawn_as_png_and_pdf(make_study, make_result):
    result = make_result(make_study(), outcome)
    drawn = draw(result)
    names = ["toy.smoke.sample.fig", "toy.smoke.sample.optim-lr"]
    assert list(drawn) == [f"{name}.{kind}" for name in names for kind in ("png", "pdf")]
    for name in names:
        width, height = size_of(drawn[f"{name}.png"])
        assert width > 800 and height > 500
        assert drawn[f"{name}.pdf"].startswith(b"%PDF")
    assert draw(result) == drawn, "the same picture is the same file"


def panels_drawn(monkeypatch, result):
    """The panels of each picture, which is not drawn."""
    drawn = []
    monkeypatch.setattr(figures, "plot", lambda panels, *a, **k: drawn.append(panels))
    draw(result)
    return drawn


def test_columns_are_panels_of_one_picture(make_study, make_result, monkeypatch):
    columns = {label: {"task": label} for label in ("LSTM", "FC-2", "a", "b")}
    study = make_study(columns=columns, figures={})
    result = make_result(study, outcome)
    png, _ = draw(result).items()
    assert png[0] == "toy.smoke.sample.optim-lr.png"
    # Three panels side by side and one below, so that it is both wider and higher than one alone.
    width, height = size_of(png[1])
    assert width > 1800 and height > 1000
    [panels] = panels_drawn(monkeypatch, result)
    assert list(panels) == ["LSTM", "FC-2", "a", "b"]
    assert all(list(lines) == ["AMSGrad", "AdaMax"] for lines in panels.values())


def test_a_column_without_runs_has_no_panel(make_study, make_result):
    study = make_study(columns={"FC-2": {"task": "a"}, "LSTM": {"task": "b"}}, figures={})
    png, _ = draw(make_result(study, lambda c: outcome(c) if c.column == "FC-2" else None)).values()
    # One panel has its legend beside it; two would be 1320 wide.
    assert size_of(png)[0] == 1260


def test_nothing_is_drawn_of_nothing(make_study, make_result):
    assert draw(make_result(make_study(), lambda cell: "diverged")) == {}


def test_a_figure_shows_its_own_rows_only(make_study, make_result, monkeypatch):
    one = {"fig": Figure(title="F", rows=["AdaMax"], metric="train/loss")}
    result = make_result(make_study(figures=one), outcome)
    drawn = panels_drawn(monkeypatch, result)
    assert [list(panels["FC-2"]) for panels in drawn] == [
        ["AdaMax (lr 0.0001)"],
        ["AMSGrad", "AdaMax"],
    ]


def test_an_axis_of_a_path_is_that_of_its_metric(make_study, make_result, monkeypatch):
    told = []
    monkeypatch.setattr(figures, "plot", lambda *a, **k: told.append((a[1], k)))
    paths = {
        "path": Figure(title="P", rows=["AdaMax"], metric="path/y", x="path/x"),
        "loss": Figure(title="L", rows=["AdaMax"], metric="test/accuracy", x="train/loss"),
    }
    draw(make_result(make_study(figures=paths), outcome))
    assert told[:2] == [(paths["path"], {"log_x": False}), (paths["loss"], {"log_x": True})]


def test_a_grid_of_curves_has_its_rows_side_by_side(make_study, make_result):
    figure = Figure("F", ["AMSGrad", "AdaMax"], "train/loss", panels="optim.eps", lines="optim.lr")
    grid = {"optim.lr": [1e-4, 1e-2], "optim.eps": [1e-8, 1e-6, 1e-4]}
    result = make_result(make_study(grid=grid, figures={"fig": figure}), outcome)
    drawing = figures.plot(curves.lines_of(result, figure), figure, result, log_x=False)
    assert "lines end where runs diverge" in drawing.get_suptitle()
    shown = [(axes.get_title(), len(axes.lines)) for axes in drawing.axes]
    assert shown[:3] == [
        ("AMSGrad, optim.eps = 1e-08", 2),
        ("AdaMax, optim.eps = 1e-08", 2),
        ("AMSGrad, optim.eps = 1e-06", 2),
    ]
    assert drawing.axes[0].get_gridspec().ncols == 2 and len(shown) == 6
    width, height = size_of(draw(result)["toy.smoke.sample.fig.png"])
    assert height > width


def test_a_line_of_many_points_is_drawn_of_some(make_study, make_result):
    """60,000 losses would take a minute and look the same; both ends and the order stay."""
    figure = Figure("F", ["AdaMax"], "train/loss", smooth=70)
    result = make_result(make_study(figures={}), outcome)
    count = 60_000
    values = [1 + step / count for step in range(count)]
    band = Band([*range(count)], values, values, values, 1)
    axes = figures.plot({"FC-2": {"AdaMax": band}}, figure, result, log_x=False).axes[0]
    xs, ys = axes.lines[0].get_data()
    assert len(xs) == figures.DRAWN_POINTS and (xs[0], xs[-1]) == (0, count - 1)
    assert np.array_equal(ys, 1 + np.array(xs) / count) and (np.diff(xs) > 0).all()


@pytest.mark.parametrize("slowest", [40.0, 50.0])
def test_a_cross_says_where_not_all_trials_succeeded(make_study, make_result, slowest):
    steps = [10.0, slowest]
    found = {
        "train/loss": 1.0,
        "trials/steps_to_success": steps,
        "trials/success": [float(number < 50) for number in steps],
    }
    figure = Figure("F", ["AdaMax"], "trials/steps_to_success", x="optim.lr")
    result = make_result(make_study(seeds=1, figures={}), lambda cell: found)
    drawing = figures.plot(curves.lines_of(result, figure), figure, result, log_x=True)
    lines = drawing.axes[0].lines
    said = "×: not all trials got there" in drawing.get_suptitle()
    if slowest == 40:
        assert len(lines) == 1 and not said
        assert list(lines[0].get_ydata()) == [25, 25, 25]
    else:
        line, crosses = lines
        assert np.isnan(line.get_ydata().astype(float)).all()
        assert list(crosses.get_xdata()) == [1e-4, 1e-3, 1e-2] and said
        # Above the plot, in whose height they are given.
        assert all(y > 1 for y in crosses.get_ydata())


def test_lines_over_the_grid_have_the_names_of_their_rows(make_study, make_result, monkeypatch):
    over = {"fig": Figure("F", ["AdaMax"], "train/loss", x="optim.lr")}
    drawn = panels_drawn(monkeypatch, make_result(make_study(figures=over), outcome))
    assert list(drawn[0]["FC-2"]) == ["AdaMax"]


def lines_of(seeds):
    return [Band(x=[1], mean=[1.0], low=[1.0], high=[1.0], seeds=count) for count in seeds]


@pytest.mark.parametrize(
    ("statistic", "seeds", "said"),
    [
        ("mean", [1], "one seed"),
        ("mean", [1, 3, 2], "mean ± standard deviation of 3 seeds"),
        ("mean_se", [3], "mean ± standard error of 3 seeds"),
        # A table of medians has curves of means.
        ("median", [3], "mean ± standard error of 3 seeds"),
    ],
)
def test_a_picture_says_of_how_many_seeds_it_is(make_study, make_result, statistic, seeds, said):
    result = make_result(make_study(statistic=statistic), outcome)
    assert averaged(result, "train/loss", lines_of(seeds), over_steps=True) == said


@pytest.mark.parametrize(
    ("low", "seeds", "said"),
    [
        ([None], 1, "interquartile mean of one seed"),
        ([None], 2, "interquartile mean of 2 seeds"),
        ([0.5], 2, "interquartile mean and its 95% interval, by a bootstrap over 2 seeds"),
    ],
)
def test_a_picture_says_whether_an_interquartile_mean_has_an_interval(low, seeds, said):
    assert resampled([Band([1], [1.0], low, low, seeds)]) == said


def test_a_picture_says_of_how_many_trials_it_is(make_study, make_result):
    result = make_result(
        make_study(), lambda c: {"train/loss": [0.5] * 100, "test/accuracy": 0.5, "path/x": 1.0}
    )
    # A learning curve holds their mean, a sensitivity all of their last values.
    said = {
        (1, True): "mean of 100 trials",
        (3, True): "mean ± standard deviation of 3 seeds, each the mean of 100 trials",
        (300, False): "mean ± standard deviation of 300 trials",
    }
    for (count, over_steps), wanted in said.items():
        assert averaged(result, "train/loss", lines_of([count]), over_steps) == wanted
    # A path is that of one trial.
    assert averaged(result, "path/x", lines_of([1]), over_steps=True) == "one seed"


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
    assert slug("LSTM (all)") == "lstm-all"
    assert slug("optim.betas.1") == "optim-betas-1"
    assert slug("h = (1, 20), σ = 0.2") == "h-1-20-0-2"
    assert slug("../x") == "x"


def test_a_heat_map_is_drawn_for_each_row_in_one_scale(make_study, make_result, monkeypatch):
    over = Figure("Both", ["AMSGrad", "AdaMax"], "train/loss", x="optim.lr", y="optim.eps")
    study = make_study(
        grid={"optim.lr": [1e-3, 1e-2], "optim.eps": [1e-8, 1e-4]}, figures={"map": over}
    )

    def one_diverges(cell):
        if cell.point["optim.lr"] == 1e-2 and cell.row == "AdaMax":
            return "diverged"
        return {"train/loss": cell.point["optim.lr"], "test/accuracy": 0.5}

    result = make_result(study, one_diverges)
    scales = []
    draw_heat_map = figures.draw_heat_map

    def spy(axes, panel, norm):
        scales.append(norm)
        draw_heat_map(axes, panel, norm)

    monkeypatch.setattr(figures, "draw_heat_map", spy)
    drawn = draw(result)
    assert drawn[f"{result.name}.map.png"] and drawn[f"{result.name}.map.pdf"]
    one, other = scales
    assert one is other
    # Logarithmic, as a loss is.
    assert one(1e-3) == 0 and one(1e-2) == 1 and one(10**-2.5) == pytest.approx(0.5)


def test_a_heat_map_of_runs_that_all_diverged_is_drawn(make_study, make_result):
    over = Figure("Both", ["AdaMax"], "train/loss", x="optim.lr", y="optim.eps")
    grid = {"optim.lr": [1e-3, 1e-2], "optim.eps": [1e-8, 1e-4]}
    result = make_result(make_study(grid=grid, figures={"map": over}), lambda cell: "diverged")
    assert list(draw(result)) == [f"{result.name}.map.png", f"{result.name}.map.pdf"]


BAD = r"$\frac{$ 5 \$ $\nonsense^{$_"


def test_text_that_would_be_bad_mathematics_is_drawn_as_it_stands(
    make_study, make_result, monkeypatch
):
    """In a title, labels of rows and columns, and values that are tried."""
    from matplotlib.text import Text

    seen = set()
    read = Text._preprocess_math
    monkeypatch.setattr(
        Text, "_preprocess_math", lambda self, s: seen.add(read(self, s)) or read(self, s)
    )
    rows = {BAD: {"optim": "a"}, f"_{BAD}": {"optim": "b"}}
    study = make_study(
        rows=rows,
        columns={BAD: {"task": "a"}, "b": {"task": "b"}},
        grid={"optim.lr": [1e-3], "schedule": [BAD, "constant"]},
        figures={
            "lines": Figure(BAD, list(rows), "train/loss"),
            "map": Figure(BAD, list(rows), "train/loss", x="schedule", y="optim.lr"),
        },
    )
    assert len(draw(make_result(study, lambda cell: {"train/loss": 0.5}))) == 2 * 4
    plainly = {text for text, is_math in seen if not is_math}
    assert {BAD, f" _{BAD}", hydra_text(BAD)} <= plainly
    assert not any("frac" in text for text, is_math in seen if is_math)


@pytest.mark.parametrize("text", ["", "a", "$", "$$", "$x^2$", r"\$", r"\\$x$"])
def test_no_dollar_begins_mathematics(text):
    from matplotlib.figure import Figure as Drawing

    drawn = Drawing().text(0, 0, plain(text))
    assert drawn._preprocess_math(drawn.get_text()) == (text, False)
