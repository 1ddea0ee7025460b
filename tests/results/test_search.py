"""What a search tries, and on which of it steps are spent."""

from dataclasses import dataclass, field
from typing import Any, ClassVar

import pytest

from engine.checks import BadInput
from results.search import Extend, Halving, Range, Search, next_value, parse, quasi_random
from results.searching import search_state
from results.study import Select

# -- what YAML and command lines say ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ("grid", Search()),
        ("halving", Search(halving=Halving(3.0, 2))),
        ({"halving": {"eta": 4, "rungs": 1}}, Search(halving=Halving(4, 1))),
        ("extend", Search(extend=Extend(3, None))),
        ({"extend": {"times": 2, "keys": ["optim.lr"]}}, Search(extend=Extend(2, ("optim.lr",)))),
        (
            {"random": 16, "ranges": {"optim.lr": {"low": 1e-5, "high": 0.1, "log": True}}},
            Search(16, {"optim.lr": Range(1e-5, 0.1, True)}),
        ),
    ],
    ids=str,
)
def test_what_a_search_says(said, meant):
    assert parse(said) == meant


LR = {"optim.lr": {"low": 1e-5, "high": 0.1}}


@pytest.mark.parametrize(
    ("said", "error"),
    [
        ("all", "all: must be grid, halving, extend, or KEY: VALUE of random, ranges, halving"),
        ({"depth": 3}, "must be grid, halving, extend, or"),
        ({"halving": {"eta": 1}}, "halving: eta: 1: must be a number above 1"),
        ({"halving": {"rungs": 0}}, "halving: rungs: 0: must be a whole number above 0"),
        ({"halving": {"speed": 1}}, "halving: speed: must be of eta, rungs"),
        (
            {"halving": {"rungs": 9}},
            "halving: rungs: 9: the first is less than 0.0001 of the steps",
        ),
        ({"halving": 3}, "halving: 3: must be KEY: VALUE pairs"),
        ({"random": 0, "ranges": LR}, "random: 0: must be a whole number above 0"),
        ({"random": 4}, "random and ranges: one needs the other"),
        ({"ranges": LR}, "random and ranges: one needs the other"),
        (
            {"random": 4, "ranges": {"optim.lr": {"low": "x", "high": 1}}},
            "ranges: optim.lr: low and high must be numbers",
        ),
        (
            {"random": 4, "ranges": {"optim.lr": {"low": 2, "high": 1}}},
            "ranges: optim.lr: low must be less than high",
        ),
        (
            {"random": 4, "ranges": {"optim.lr": {"low": 0, "high": 1, "log": True}}},
            "ranges: optim.lr: low must be above 0 on a logarithmic axis",
        ),
        ({"extend": {"times": 0}}, "extend: times: 0: must be a whole number above 0"),
        ({"extend": {"keys": "optim.lr"}}, "extend: keys: optim.lr: must be a list of keys"),
        ({"extend": {}, "halving": {}}, "extend: needs every point of a grid, so neither random"),
    ],
    ids=str,
)
def test_a_search_that_is_none_is_refused(said, error):
    with pytest.raises(ValueError) as raised:
        parse(said)
    assert error in str(raised.value)


# -- values ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "above", "value"),
    [
        ([1e-4, 1e-3, 1e-2], True, 0.1),
        ([1e-4, 3e-4, 1e-3, 3e-3], True, 0.01),
        ([1e-4, 3e-4, 1e-3, 3e-3], False, 3e-5),
        ([1e-4, 3e-4, 1e-3], True, 3e-3),
        ([1, 2, 5, 10, 20], True, 50),
        ([32, 64, 128], True, 256),
        ([0.0, 0.1, 0.2], True, 0.3),
        ([1e-3, 1e-2, 1e-4], True, 0.1),
        ([0.1, 0.2, 0.3], False, 0.05),
        ([1, 2, 3], False, 0.5),
        ([0, 1, 2], False, -1),
    ],
    ids=str,
)
def test_a_grid_goes_on_in_its_own_spacing(values, above, value):
    found = next_value(values, above)
    assert found == value and type(found) is type(value)


def test_random_points_fill_the_ranges_and_are_always_the_same():
    ranges = {"optim.lr": Range(1e-4, 1.0, log=True), "optim.eps": Range(0.0, 8.0)}
    points = quasi_random(16, ranges)
    assert points == quasi_random(16, ranges) and quasi_random(5, ranges) == points[:5]
    # Of 16 points of the sequence, each quarter of a range has four.
    quarters = [int(point["optim.eps"] // 2) for point in points]
    assert sorted(quarters) == sorted([0, 1, 2, 3] * 4)
    decades = sorted(sum(point["optim.lr"] >= 10.0**-k for point in points) for k in range(1, 5))
    assert decades == [4, 8, 12, 16]


# -- what is trained next --------------------------------------------------------------------------


@dataclass
class Ran:
    """What a record says to a search, of a run whose loss falls to `loss` as 1/progress."""

    loss: float
    done: float = 0.0
    pauses: dict[str, Any] = field(default_factory=dict)
    diverges_at: float = 2.0

    @property
    def status(self):
        if self.done >= self.diverges_at:
            return "diverged"
        return "finished" if self.done == 1 else "unfinished"

    @property
    def summary(self):
        return {"steps": 90, "diverged_at": round(90 * self.diverges_at)}

    def train(self, until):
        self.done = max(self.done, until or 1.0)
        if until and self.status == "unfinished":
            worth = {"step": round(90 * until), "steps": 90, "final": {"train/loss": self.loss}}
            self.pauses[f"{until:.6g}"] = worth | {"best": {}}

    def values(self, metric, at, evaluations):
        return [self.loss] if self.status == "finished" else []


def carry_out(study, loss_of, rounds=20):
    """Train what the search asks for until it asks for nothing; what each round trained."""
    ran, history = {}, []

    def key(cell):
        return cell.row, cell.column, *cell.point.items(), cell.seed

    for _ in range(rounds):
        found = search_state(study, "smoke", "sample", lambda cell: ran.get(key(cell)))
        if not found.due:
            return found, history
        history.append(found.due)
        for cell, until in found.due:
            ran.setdefault(key(cell), loss_of(cell)).train(until)
    raise AssertionError("the search goes on for ever")


def rate_of(cell):
    return cell.point["optim.lr"]


RATES = [1e-5, 1e-4, 1e-3, 1e-2, 1e-1]


def test_halving_trains_the_better_points_further(make_study):
    study = make_study(grid={"optim.lr": RATES}, search=Search(halving=Halving(3.0, 2)))
    found, history = carry_out(study, lambda cell: Ran(abs(rate_of(cell) - 1e-3) + cell.seed))
    assert [len(due) for due in history] == [20, 8, 4]
    assert [{until for _, until in due} for due in history] == [{1 / 9}, {1 / 3}, {None}]
    assert {rate_of(cell) for cell, _ in history[1]} == {1e-3, 1e-4}
    assert {rate_of(cell) for cell, _ in history[2]} == {1e-3}
    assert len(found.cells) == 20 and len(found.cut) == 8


def test_halving_puts_diverged_seeds_last(make_study):
    study = make_study(grid={"optim.lr": RATES}, search=Search(halving=Halving(5.0, 1)))

    def loss_of(cell):
        best = rate_of(cell) == 1e-1
        return Ran(0.0 if best else 1 + rate_of(cell), diverges_at=0.1 if best else 2.0)

    _, history = carry_out(study, loss_of)
    assert {rate_of(cell) for cell, _ in history[1]} == {1e-5}


def test_a_grid_after_halving_finishes_what_was_paused(make_study):
    study = make_study(grid={"optim.lr": RATES}, search=Search(halving=Halving()))
    ran = {}

    def look(cell):
        return ran.get((cell.row, rate_of(cell), cell.seed))

    for asked in (study, study, study, make_study(grid={"optim.lr": RATES})):
        due = search_state(asked, "smoke", "sample", look).due
        for cell, until in due:
            ran.setdefault((cell.row, rate_of(cell), cell.seed), Ran(rate_of(cell))).train(until)
    assert len(due) == 16 and all(run.status == "finished" for run in ran.values())


def test_extension_goes_on_until_the_best_lies_inside(make_study):
    study = make_study(grid={"optim.lr": [1e-4, 1e-3, 1e-2]}, search=Search(extend=Extend()))
    best = {"AMSGrad": 1e-1, "AdaMax": 1e-3}
    found, history = carry_out(study, lambda cell: Ran(abs(rate_of(cell) - best[cell.row])))
    assert [sorted({rate_of(cell) for cell, _ in due}) for due in history] == [
        [1e-4, 1e-3, 1e-2],
        [1e-1],
        [1.0],
    ]
    assert {cell.row for cell, _ in history[1]} == {"AMSGrad"}
    assert not found.cut


def test_extension_stops_after_so_many_times_and_where_values_are_refused(make_study):
    grid = {"optim.lr": [1e-2, 1e-1]}
    study = make_study(grid=grid, rows={"A": {"optim": "adam"}}, search=Search(extend=Extend(2)))
    _, history = carry_out(study, lambda cell: Ran(-rate_of(cell)))
    assert [rate_of(due[0].cell) for due in history] == [1e-2, 1.0, 10.0]

    def look(cell):
        if rate_of(cell) > 0.5:
            raise BadInput("optim.lr=1.0: must be less")
        ran = Ran(-rate_of(cell))
        ran.train(None)
        return ran

    assert len(search_state(study, "smoke", "sample", look).cells) == 4


def test_every_row_has_the_same_random_points(make_study):
    ranges = {"optim.lr": Range(1e-4, 1e-1, log=True)}
    study = make_study(grid={}, search=Search(8, ranges, Halving(2.0, 1)))
    _, history = carry_out(study, lambda cell: Ran(rate_of(cell)))
    rates = {row: [rate_of(c) for c, _ in history[0] if c.row == row] for row in study.rows}
    assert rates["AMSGrad"] == rates["AdaMax"] and len(set(rates["AdaMax"])) == 8
    assert len(history[1]) == len(history[0]) / 2
    assert study.count("smoke") == 2 * 2 * 8


def test_confirmation_trains_fresh_seeds_of_the_chosen_point(make_study):
    study = make_study(confirm=3, search=Search(halving=Halving(3.0, 1)))
    found, history = carry_out(study, lambda cell: Ran(abs(rate_of(cell) - 1e-3)))
    fresh = [cell for cell, _ in history[-1]]
    assert {(cell.row, rate_of(cell), cell.seed) for cell in fresh} == {
        (row, 1e-3, seed) for row in study.rows for seed in (2, 3, 4)
    }
    assert all(cell.confirms and cell.settings["seed"] == cell.seed for cell in fresh)
    assert [cell for cell in found.cells if cell.confirms] == fresh


def test_a_profile_searches_and_confirms_as_little_as_it_says(make_study):
    ranges = {"optim.lr": Range(1e-4, 1e-1, log=True)}
    profiles = {"smoke": {"seeds": 1, "random": 4, "confirm": 1}}
    search = Search(16, ranges, Halving(2.0, 1))
    study = make_study(grid={}, search=search, confirm=5, profiles=profiles)
    _, history = carry_out(study, lambda cell: Ran(rate_of(cell)))
    # Four points in each of two rows, of which half go on, and one fresh seed of each row's best.
    assert [len(due) for due in history] == [8, 4, 2]
    assert all(cell.confirms for cell, _ in history[-1])


def test_a_pause_at_another_step_does_not_count(make_study):
    """A run that was further when it was asked to pause has its evaluations up to there."""
    study = make_study(grid={"optim.lr": [1e-3, 1e-2]}, search=Search(halving=Halving(2.0, 1)))

    class Further(Ran):
        curves = property(lambda self: {"train/loss": ([30, 60, 90], [self.loss, 0, 0])})

    def look(cell):
        worth = {"step": 80, "steps": 90, "final": {"train/loss": -rate_of(cell)}, "best": {}}
        return Further(rate_of(cell), done=0.9, pauses={"0.5": worth})

    found = search_state(study, "smoke", "sample", look)
    assert {rate_of(cell) for cell, _ in found.due} == {1e-3}


def test_nothing_is_extended_where_all_diverged(make_study):
    study = make_study(search=Search(extend=Extend()))
    found, history = carry_out(study, lambda cell: Ran(0.0, diverges_at=0.5))
    assert len(history) == 1 and len(found.cells) == 12


def test_a_row_with_one_point_does_not_pause(make_study):
    study = make_study(grid={"optim.lr": [1e-3]}, search=Search(halving=Halving()))
    _, history = carry_out(study, lambda cell: Ran(1.0))
    assert [{until for _, until in due} for due in history] == [{None}]


def test_a_row_that_sets_a_key_is_not_searched_for_it(make_study):
    ranges = {"optim.lr": Range(1e-4, 1e-1, log=True), "optim.eps": Range(0.0, 1.0)}
    rows = {
        "A": {"optim": "adam"},
        "B": {"optim": "adam", "optim.lr": 0.5},
        "C": {"optim": "adam", "optim.lr": 0.5, "optim.eps": 0.1},
    }
    study = make_study(grid={}, rows=rows, search=Search(4, ranges))
    a, b, c = (study.points("smoke", row, "FC-2") for row in rows)
    assert [point["optim.eps"] for point in b] == [point["optim.eps"] for point in a]
    assert all(point.keys() == {"optim.eps"} for point in b) and c == [{}]


def test_a_run_that_ended_before_is_judged_by_its_own_evaluations(make_study):
    study = make_study(
        search=Search(halving=Halving(3.0, 1)), select=Select("train/loss", "last", "min")
    )

    class Earlier(Ran):
        curves = property(lambda self: {"train/loss": ([30, 60, 90], [self.loss, 0, 0])})
        summary: ClassVar = {"steps": 90}

    def look(cell):
        return Earlier(rate_of(cell), done=1.0)

    found = search_state(study, "smoke", "sample", look)
    assert not found.due
    assert {key[2] for key in found.cut} == {"0.001", "0.01"}
