"""Figures as pictures: which are drawn, of what, and what stands over them."""

import struct

import numpy as np
import pytest

from engine.texts import hydra_text
from results import curves, figures, heat_maps
from results.bands import Band
from results.curves import sensitivity
from results.drawing import DOUBLE, DPI, PLOTTED, SINGLE, counted, plotted, styled
from results.figures import averaged, draw, is_logarithmic, pictures, resampled
from results.study import Figure, slug
from results.style import LOOKS


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
        # As wide as a column of a paper.
        width, height = size_of(drawn[f"{name}.png"])
        assert width == int(SINGLE * DPI) and height > 500
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
    # Three panels side by side and one below, across both columns of a paper.
    width, height = size_of(png[1])
    assert width == int(DOUBLE * DPI) and height > 800
    [panels] = panels_drawn(monkeypatch, result)
    assert list(panels) == ["LSTM", "FC-2", "a", "b"]
    assert all(list(lines) == ["AMSGrad", "AdaMax"] for lines in panels.values())


def test_a_column_without_runs_has_no_panel(make_study, make_result):
    study = make_study(columns={"FC-2": {"task": "a"}, "LSTM": {"task": "b"}}, figures={})
    result = make_result(study, lambda c: outcome(c) if c.column == "FC-2" else None)
    [drawing] = pictures(result).values()
    assert [len(axes.lines) for axes in drawing.axes if axes.get_visible()] == [4]
    assert drawing.get_size_inches()[0] == SINGLE


def test_nothing_is_drawn_of_nothing(make_study, make_result):
    assert draw(make_result(make_study(), lambda cell: "diverged")) == {}


def test_a_figure_shows_its_own_rows_only(make_study, make_result, monkeypatch):
    one = {"fig": Figure(title="F", rows=["AdaMax"], metric="train/loss")}
    result = make_result(make_study(figures=one), outcome)
    drawn = panels_drawn(monkeypatch, result)
    assert [list(panels["FC-2"]) for panels in drawn] == [["AdaMax"], ["AMSGrad", "AdaMax"]]


def test_an_axis_of_a_path_is_that_of_its_metric(make_study):
    paths = {
        "path": Figure(title="P", rows=["AdaMax"], metric="path/y", x="path/x"),
        "loss": Figure(title="L", rows=["AdaMax"], metric="test/accuracy", x="train/loss"),
    }
    study = make_study(figures=paths)
    assert [figures.has_log_x(figure, study) for figure in paths.values()] == [False, True]


def test_a_grid_of_curves_has_its_rows_side_by_side(make_study, make_result):
    figure = Figure("F", ["AMSGrad", "AdaMax"], "train/loss", panels="optim.eps", lines="optim.lr")
    grid = {"optim.lr": [1e-4, 1e-2], "optim.eps": [1e-8, 1e-6, 1e-4]}
    result = make_result(make_study(grid=grid, figures={"fig": figure}), outcome)
    drawing = figures.plot(curves.lines_of(result, figure), figure, result)
    assert "Lines end where runs diverge." in drawing.get_suptitle()
    shown = [(axes.get_title(), len(axes.lines)) for axes in drawing.axes]
    assert shown[:3] == [
        (r"AMSGrad, $\epsilon$ = 1e-8", 2),
        (r"AdaMax, $\epsilon$ = 1e-8", 2),
        (r"AMSGrad, $\epsilon$ = 1e-6", 2),
    ]
    assert legend_of(drawing) == ["learning rate = 1e-4", "learning rate = 0.01"]
    # The values of a key are no optimizers, and have the colours of a scale.
    assert len({line.get_color() for axes in drawing.axes for line in axes.lines}) == 2
    assert drawing.axes[0].get_gridspec().ncols == 2 and len(shown) == 6


def test_a_line_of_many_points_is_drawn_of_some(make_study, make_result):
    """60,000 losses would take a minute and look the same; both ends and the order stay."""
    figure = Figure("F", ["AdaMax"], "train/loss", smooth=70)
    result = make_result(make_study(figures={}), outcome)
    count = 60_000
    values = [1 + step / count for step in range(count)]
    band = Band([*range(count)], values, values, values, 1)
    axes = figures.plot({"FC-2": {"AdaMax": band}}, figure, result).axes[0]
    xs, ys = axes.lines[0].get_data()
    assert len(xs) == figures.DRAWN_POINTS and (xs[0], xs[-1]) == (0, count - 1)
    assert np.array_equal(ys, 1 + np.array(xs) / count) and (np.diff(xs) > 0).all()


@pytest.mark.parametrize("slowest", [40.0, 50.0])
def test_a_triangle_says_where_not_all_trials_succeeded(make_study, make_result, slowest):
    steps = [10.0, slowest]
    found = {
        "train/loss": 1.0,
        "trials/steps_to_success": steps,
        "trials/success": [float(number < 50) for number in steps],
    }
    figure = Figure("F", ["AdaMax"], "trials/steps_to_success", x="optim.lr")
    result = make_result(make_study(seeds=1, figures={}), lambda cell: found)
    drawing = figures.plot(curves.lines_of(result, figure), figure, result)
    lines = drawing.axes[0].lines
    said = "not all trials got there within the budget" in legend_of(drawing)
    if slowest == 40:
        assert len(lines) == 1 and not said
        assert list(lines[0].get_ydata()) == [25, 25, 25]
    else:
        line, marks = lines
        assert np.isnan(line.get_ydata().astype(float)).all()
        assert list(marks.get_xdata()) == [1e-4, 1e-3, 1e-2] and said
        # Above the plot, in whose height they are given.
        assert all(y > 1 for y in marks.get_ydata())


def legend_of(drawing):
    [legend] = drawing.legends
    return [text.get_text() for text in legend.get_texts()]


def test_a_cross_says_where_all_seeds_diverged(make_study, make_result):
    drawing = pictures(make_result(make_study(figures={}), outcome))["optim-lr"]
    assert legend_of(drawing) == ["AMSGrad", "AdaMax", "all seeds diverged"]
    crosses = [line for line in drawing.axes[0].lines if line.get_marker() == "x"]
    assert [list(line.get_xdata()) for line in crosses] == [[1e-2], [1e-2]]
    # Each in a lane of its own, and in the colour of its row.
    (one,), (other,) = (line.get_ydata() for line in crosses)
    assert 1 < one < other
    assert [line.get_color() for line in crosses] == [
        LOOKS[name].light for name in ("amsgrad", "adamax")
    ]


def test_a_picture_has_one_legend_that_covers_nothing(make_study, make_result):
    columns = {label: {"task": label} for label in ("a", "b", "c", "d")}
    rows = {f"optimizer number {i}": {"optim": "adam", "optim.eps": i} for i in range(12)}
    figure = {"fig": Figure("A title", list(rows), "train/loss")}
    study = make_study(columns=columns, rows=rows, figures=figure, grid={}, published=[])
    with styled():
        drawing = pictures(make_result(study, lambda cell: {"train/loss": 0.5}))["fig"]
        drawing.canvas.draw()
    assert legend_of(drawing) == list(rows)
    assert not any(axes.get_legend() for axes in drawing.axes)
    [legend] = drawing.legends
    covered = legend.get_window_extent()
    title = drawing._suptitle.get_window_extent()
    shown = [title, *(axes.get_tightbbox() for axes in drawing.axes if axes.get_visible())]
    assert not any(covered.overlaps(box) for box in shown)
    assert not any(title.overlaps(box) for box in shown[1:])
    whole = drawing.bbox
    assert all(box.x0 >= 0 and box.x1 <= whole.width for box in (covered, title))
    assert covered.y0 >= 0 and title.y1 <= whole.height


def test_a_row_has_its_optimizers_colour_marker_and_dash_in_every_picture(make_study, make_result):
    one = {"fig": Figure("F", ["AdaMax"], "train/loss")}
    for drawing in pictures(make_result(make_study(figures=one), outcome)).values():
        names = [name.partition(" ")[0] for name in legend_of(drawing)]
        line = drawing.axes[0].lines[names.index("AdaMax")]
        assert (line.get_color(), line.get_marker()) == (LOOKS["adamax"].light, "v")
        assert line.get_linestyle() == "-"


def test_camera_ready_pictures_leave_the_caption_to_the_paper(make_study, make_result):
    result = make_result(make_study(), outcome)
    titled, ready = (pictures(result, flag)["fig"] for flag in (False, True))
    assert titled.get_suptitle() and not ready.get_suptitle()
    assert ready.get_size_inches()[1] < titled.get_size_inches()[1]
    assert legend_of(ready) == legend_of(titled)
    assert plotted(ready) == plotted(titled)
    map_figure = Figure("Both", ["AdaMax"], "train/loss", x="optim.lr", y="optim.eps")
    study = make_study(grid={"optim.lr": [1e-3], "optim.eps": [1e-8]}, figures={"map": map_figure})
    drawn = pictures(make_result(study, lambda cell: {"train/loss": 0.5}), True)
    assert not drawn["map"].get_suptitle()
    assert draw(result, camera_ready=True) != draw(result)


def test_letters_are_truetype_in_pdf(make_study, make_result):
    drawn = draw(make_result(make_study(figures={}), outcome))
    pdf = drawn["toy.smoke.sample.optim-lr.pdf"]
    assert b"/CIDFontType2" in pdf and b"/Type3" not in pdf


def test_a_png_says_what_is_plotted_in_it(make_study, make_result):
    import io
    import json

    from PIL import Image

    result = make_result(make_study(figures={}), outcome)
    [panel] = plotted(pictures(result)["optim-lr"])
    with Image.open(io.BytesIO(draw(result)["toy.smoke.sample.optim-lr.png"])) as image:
        assert json.loads(image.info[PLOTTED]) == [panel]
    assert panel["labels"] == ["learning rate", "training loss"]
    assert panel["scales"] == ["log", "log"]
    colour, marker, xs, ys = panel["lines"][1]
    assert (colour, marker) == (LOOKS["adamax"].light, "v")
    assert xs == [1e-4, 1e-3, 1e-2] and ys == [0.2, 0.1, None]


def test_curves_over_steps_begin_at_step_0(make_study, make_result):
    result = make_result(make_study(), outcome)
    assert pictures(result)["fig"].axes[0].get_xlim()[0] == 0
    band = Band([0, 10], [2.0, 1.0], [2.0, 1.0], [2.0, 1.0], 1)
    axes = figures.plot({"a": {"AdaMax": band}}, Figure("F", ["AdaMax"], "lr"), result).axes[0]
    assert list(axes.lines[0].get_xdata()) == [0, 10]
    path = replace_x(band, [0.5, -0.5])
    figure = Figure("F", ["AdaMax"], "path/y", x="path/x")
    assert figures.plot({"a": {"AdaMax": path}}, figure, result).axes[0].get_xlim()[0] < -0.5


def replace_x(band, xs):
    return Band(xs, band.mean, band.low, band.high, band.seeds)


def test_a_band_on_a_logarithmic_axis_never_reaches_0(make_study, make_result):
    """Of 0.01 and 1, mean - deviation is below 0: a stripe down to the axis."""
    losses = {0: 0.01, 1: 1.0}
    result = make_result(make_study(), lambda cell: {"train/loss": losses[cell.seed]})
    drawing = pictures(result)["optim-lr"]
    factor = np.exp(np.std(np.log([0.01, 1]), ddof=1))
    [low, high] = drawing.axes[0].collections[0].get_datalim(drawing.axes[0].transData).intervaly
    assert (low, high) == pytest.approx((0.505 / factor, 0.505 * factor))
    assert "×/÷ geometric standard deviation of 2" in drawing.get_suptitle().replace("\n", " ")


@pytest.mark.parametrize(
    ("figure", "said"),
    [
        (Figure("F", ["AdaMax"], "train/loss", x="optim.lr"), ["1e-4", "1e-3", "0.01"]),
        (Figure("F", ["AdaMax"], "test/accuracy"), ["0", "5k", "10k", "15k", "20k"]),
    ],
)
def test_ticks_are_as_people_write_them(make_study, make_result, figure, said):
    result = make_result(make_study(), outcome)
    xs = [1e-4, 1e-3, 1e-2] if figure.x != "step" else [5000, 12000, 20000]
    band = Band(xs, [0.3, 0.2, 0.1], [0.3, 0.2, 0.1], [0.3, 0.2, 0.1], 1)
    drawing = figures.plot({"a": {"AdaMax": band}}, figure, result)
    drawing.canvas.draw()
    axes = drawing.axes[0]
    ticks = zip(axes.get_xticks(), axes.get_xticklabels(), strict=True)
    least, most = axes.get_xlim()
    assert [label.get_text() for at, label in ticks if least <= at <= most] == said


@pytest.mark.parametrize(
    ("value", "said"), [(0, "0"), (500, "500"), (1500, "1.5k"), (2e6, "2M"), (-3e9, "-3G")]
)
def test_steps_are_counted_in_thousands_and_millions(value, said):
    assert counted(value) == said


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
    draw_heat_map = heat_maps.draw_heat_map

    def spy(axes, panel, norm):
        scales.append(norm)
        draw_heat_map(axes, panel, norm)

    monkeypatch.setattr(heat_maps, "draw_heat_map", spy)
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
