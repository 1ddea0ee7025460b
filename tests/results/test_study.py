"""A study's YAML, its cells, and what is said of mistakes in it."""

import copy
import re
from pathlib import Path

import pytest
import yaml

from engine.overrides import read_override
from engine.texts import hydra_text
from engine.yaml_files import Loader, read_yaml
from results.plan import with_search
from results.study import StudyError
from results.study_file import load

ROOT = Path(__file__).parents[2]

TEXT = """
title: Toys
reproduces: [table 2]
notes: []
columns:
  A: {task: toy}
  B: {task: toy, task.epochs: 7}
rows:
  one: {optim: adam}
  two: {optim: adam, optim.lr_decay: null}
grid:
  optim.lr: [3e-5, 1e-3]
  optim.betas: [[0.9, 0.999], [0, 0.5]]
seeds: 2
select: {metric: train/loss, at: last, mode: min}
report: [train/loss]
statistic: mean
published: []
figures:
  fig: {title: F, rows: [one], metric: train/loss}
profiles:
  paper: {}
  smoke: {seeds: 1, task.epochs: 3}
"""


@pytest.fixture
def loaded(tmp_path):
    """`loaded(change)`: the study above, `change` having been made to what its YAML says."""

    def make(change=lambda text: None):
        text = copy.deepcopy(yaml.load(TEXT, Loader))
        change(text)
        (tmp_path / "paperx").mkdir(exist_ok=True)
        (tmp_path / "paperx" / "toy.yaml").write_text(yaml.safe_dump(text, sort_keys=False))
        return load("paperx/toy", [tmp_path])

    return make


def test_notes_on_columns_are_shown_with_these_columns(loaded):
    def change(text):
        text["notes"] = ["On all."]
        text["columns"]["A"]["notes"] = ["On both.", "On A."]
        text["columns"]["B"]["notes"] = ["On both."]

    study = loaded(change)
    assert study.notes_on(["A", "B"]) == ["On all.", "A, B: On both.", "A: On A."]
    assert study.notes_on(["B"]) == ["On all.", "B: On both."]
    assert study.columns == loaded().columns  # whose settings they are not


def test_a_study_says_what_its_yaml_says(loaded):
    study = loaded()
    assert (study.name, study.paper, study.title) == ("paperx/toy", "paperx", "Toys")
    assert study.grid["optim.lr"] == [3e-5, 1e-3]
    assert (study.select.metric, study.select.at, study.select.mode) == (
        "train/loss",
        "last",
        "min",
    )
    assert study.figures["fig"].rows == ["one"]


def test_cells_are_all_combinations_row_by_row(loaded):
    cells = loaded().cells("paper", "full")
    assert len(cells) == 2 * 2 * (2 * 2) * 2 == loaded().count("paper")
    assert [(cell.column, cell.row) for cell in cells[::8]] == [
        ("A", "one"),
        ("A", "two"),
        ("B", "one"),
        ("B", "two"),
    ]
    first = [(cell.point["optim.lr"], cell.point["optim.betas"], cell.seed) for cell in cells[:8]]
    assert first == [
        (lr, betas, seed)
        for lr in (3e-5, 1e-3)
        for betas in ([0.9, 0.999], [0, 0.5])
        for seed in (0, 1)
    ]
    assert len({str(cell.settings) for cell in cells}) == len(cells)


def test_a_row_may_be_in_some_of_the_columns(loaded):
    study = loaded(setter("rows", "two", "columns", value=["B"]))
    cells = study.cells("smoke", "full")
    assert [(c.row, c.column) for c in cells[::4]] == [("one", "A"), ("one", "B"), ("two", "B")]
    assert study.count("smoke") == len(cells) == 12
    assert "columns" not in cells[-1].settings


def test_a_profile_without_a_rows_columns_is_without_the_row(loaded):
    def change(text):
        text["rows"]["two"]["columns"] = ["B"]
        text["profiles"]["smoke"]["columns"] = ["A"]

    assert {cell.row for cell in loaded(change).cells("smoke", "full")} == {"one"}


def test_a_cell_says_all_that_its_run_must_know(loaded):
    cell = loaded().cells("smoke", "sample")[-1]
    assert cell.settings == {
        "data": "sample",
        "profile": "smoke",
        "group": "paperx/toy",
        "task": "toy",
        # The profile's budget holds against the column's.
        "task.epochs": 3,
        "optim": "adam",
        "optim.lr_decay": None,
        "optim.lr": 1e-3,
        "optim.betas": [0, 0.5],
        "seed": 0,
    }


def test_a_profile_may_have_fewer_seeds_and_the_study_stays_as_it_was(loaded):
    study = loaded()
    for _ in range(2):
        assert {cell.seed for cell in study.cells("smoke", "sample")} == {0}
        assert {cell.seed for cell in study.cells("paper", "sample")} == {0, 1}
    assert "seeds" not in study.cells("smoke", "sample")[0].settings
    assert study.profiles["smoke"]["seeds"] == 1


def test_a_profile_may_have_less_of_the_grid_and_of_the_columns(loaded):
    study = loaded(
        setter(
            *("profiles", "smoke"),
            value={"grid": {"optim.lr": [1e-3, 1e-2]}, "columns": ["B"], "task.epochs": 3},
        )
    )
    cells = study.cells("smoke", "sample")
    assert {cell.column for cell in cells} == {"B"}
    # The other key has the study's values; a value may be one that the study lacks.
    assert [tuple(cell.point.values()) for cell in cells if cell.row == "one"][::2] == [
        (1e-3, [0.9, 0.999]),
        (1e-3, [0, 0.5]),
        (1e-2, [0.9, 0.999]),
        (1e-2, [0, 0.5]),
    ]
    assert not {"grid", "columns", "seeds"} & cells[0].settings.keys()
    assert len(study.cells("paper", "sample")) == 32


def test_columns_keep_the_order_of_the_profile(loaded):
    study = loaded(setter("profiles", "smoke", value={"columns": ["B", "A"]}))
    assert [cell.column for cell in study.cells("smoke", "sample")[::16]] == ["B", "A"]


def test_a_figure_is_over_the_steps_unless_it_says_over_what(loaded):
    assert loaded().figures["fig"].x == "step"
    assert loaded(setter("figures", "fig", "x", value="path/x")).figures["fig"].x == "path/x"


def points_of(study, profile, row, column):
    return [list(point.items()) for point in study.points(profile, row, column)]


def test_what_is_said_last_of_a_key_counts(loaded):
    def change(text):
        text["grid"] = {"optim.lr": [1, 2, 3], "optim.eps": [0.1, 0.2]}
        text["columns"]["B"]["grid"] = {"optim.lr": [4]}
        text["rows"]["one"] |= {"optim.eps": 0.5, "B": {"grid": {"optim.q": [7, 8]}}}
        text["rows"]["two"]["grid"] = {"optim.lr": [5]}

    study = loaded(change)
    assert study.keys == ["optim.lr", "optim.eps", "optim.q"]
    assert points_of(study, "paper", "one", "A") == [[("optim.lr", lr)] for lr in (1, 2, 3)]
    assert points_of(study, "paper", "one", "B") == [
        [("optim.lr", 4), ("optim.q", q)] for q in (7, 8)
    ]
    assert points_of(study, "paper", "two", "B") == [
        [("optim.lr", 5), ("optim.eps", eps)] for eps in (0.1, 0.2)
    ]
    assert {c.settings["optim.eps"] for c in study.cells("paper", "full") if c.row == "one"} == {
        0.5
    }
    assert study.count("paper") == len(study.cells("paper", "full")) == 2 * (3 + 2 + 2 + 2)


def test_a_profile_thins_whichever_grid_there_is(loaded):
    def change(text):
        text["grid"] = {"optim.lr": [1, 2, 3, 4, 5]}
        text["rows"]["one"]["grid"] = {"optim.lr": [6, 7, 8]}
        text["rows"]["two"]["optim.lr"] = 9
        text["profiles"]["smoke"] = {"grid": {"optim.lr": 3}, "B": {"grid": {"optim.lr": 1}}}
        text["columns"]["C"] = {"task": "toy"}
        text["rows"]["two"]["C"] = {"grid": {"optim.lr": [1, 2, 3, 4, 5]}}

    study = loaded(change)

    def rates(row, column):
        return [point.get("optim.lr") for point in study.points("smoke", row, column)]

    assert [rates("one", column) for column in "ABC"] == [[6, 7, 8], [7], [6, 7, 8]]
    assert [rates("two", column) for column in "ABC"] == [[None], [None], [1, 3, 5]]


def test_values_that_are_typed_stand_in_the_place_of_all_others(loaded):
    def change(text):
        text["rows"]["one"]["optim.lr"] = 3
        text["rows"]["two"]["B"] = {"grid": {"optim.lr": [1, 2]}}
        text["profiles"]["smoke"]["grid"] = {"optim.lr": 1}

    study = loaded(change).with_grid({"optim.lr": [7, 8]})
    for row in study.rows:
        for column in study.columns:
            points = study.points("smoke", row, column)
            assert {point["optim.lr"] for point in points} == {7, 8}


def test_a_figure_may_be_over_the_grid_and_have_some_of_the_columns(loaded):
    figure = {
        "title": "F",
        "rows": ["one"],
        "metric": "train/loss",
        "x": "optim.lr",
        "columns": ["B"],
    }
    found = loaded(setter("figures", "fig", value=figure)).figures["fig"]
    assert (found.x, found.columns, found.is_heat_map) == ("optim.lr", ["B"], False)


def test_the_axis_of_an_average_says_so(loaded):
    plain = loaded().figures["fig"]
    normalised = loaded(setter("figures", "fig", "normalised", value=True)).figures["fig"]
    assert (plain.label, plain.log) == ("training loss", True)
    assert (normalised.label, normalised.log) == ("training loss, 0 to 1 in each column", False)


@pytest.mark.parametrize(
    "value",
    [3e-5, 1e-10, 0.1, 1e22, 1, 0, -2, True, False, None, [0.9, 0.999], [1, None, [2, 3]], "adam"],
)
def test_hydra_reads_an_override_as_it_was_meant(value):
    parsed = read_override(f"key={hydra_text(value)}").value()
    assert parsed == value and type(parsed) is type(value)


def test_overrides_are_typed_as_on_the_command_line(loaded):
    assert loaded().cells("smoke", "sample")[-1].overrides == [
        "data=sample",
        "profile=smoke",
        "group=paperx/toy",
        "task=toy",
        "task.epochs=3",
        "optim=adam",
        "optim.lr_decay=null",
        "optim.lr=0.001",
        "optim.betas=[0,0.5]",
        "seed=0",
    ]


# -- mistakes --------------------------------------------------------------------------------------


def setter(*path, value):
    def change(text):
        *most, last = path
        for part in most:
            text = text[part]
        text[last] = value

    return change


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda t: t.pop("grid"), "toy.yaml: keys missing or unknown: grid"),
        (setter("lrs", value=1), "toy.yaml: keys missing or unknown: lrs"),
        (lambda t: t["select"].pop("at"), "select: keys missing or unknown: at"),
        (setter("select", "on", value=1), "select: keys missing or unknown: on"),
        (setter("figures", "fig", "row", value=[]), "figures: fig: keys missing or unknown: row"),
        (
            setter("figures", "fig", "columns", value=["C"]),
            "figures: fig: columns: C: must be one of A, B",
        ),
        (setter("figures", "fig", "columns", value="A"), "figures: fig: columns: must be a list"),
        (
            lambda t: t["figures"]["fig"].update(x="optim.lr", y="optim.betas", columns=["A"]),
            "figures: fig: columns: are for lines, not for a heat map",
        ),
        (
            lambda t: t["figures"]["fig"].update(x="optim.lr", normalised=True),
            "figures: fig: normalised: is for curves, not for lines over the grid",
        ),
        # A slip in these would choose by the wrong rule without a word.
        (
            setter("select", "mode", value="minimum"),
            "select.mode: minimum: must be one of min, max",
        ),
        (setter("select", "at", value="final"), "select.at: final: must be one of last, best"),
        (
            setter("select", "metric", value="loss"),
            "select.metric: loss: must be one of train/loss",
        ),
        (
            setter("statistic", value="mode"),
            "statistic: mode: must be one of mean, mean_se, median",
        ),
        (setter("report", value=["accuracy"]), "report: accuracy: must be one of train/loss"),
        (setter("best_seed", value="yes"), "best_seed: yes: must be true or false"),
        (setter("reference", value="ten"), "reference: ten: must be one of one, two"),
        (setter("reference", value=["one"]), "reference: ['one']: must be one of one, two"),
        (
            setter("figures", "fig", "metric", value="l"),
            "figures: fig: metric: l: must be one of train/loss",
        ),
        (
            setter("figures", "fig", "rows", value=["one", "ten", "six"]),
            "figures: fig: rows: ten: must be one of one, two",
        ),
        (
            setter("figures", "fig", "x", value="steps"),
            "figures: fig: x: steps: must be one of step,",
        ),
        (
            setter("profiles", "tiny", value={}),
            "profiles: tiny: must be one of paper, short, smoke",
        ),
        (
            setter("profiles", "smoke", "grid", value={"optim.lr": [1], "q": [1], "p": [2]}),
            "profiles: smoke: grid: p, q: not in the study's grid",
        ),
        (
            setter("profiles", "smoke", "grid", value={"optim.lr": 1e-3}),
            "profiles: smoke: grid: optim.lr: must be a list of values",
        ),
        (
            setter("profiles", "smoke", "grid", value={"optim.lr": 0}),
            "profiles: smoke: grid: optim.lr: 0: must be a whole number above 0",
        ),
        (
            setter("profiles", "smoke", "grid", value={"optim.lr": [1, 1]}),
            "profiles: smoke: grid: optim.lr: a value is there twice",
        ),
        (
            setter("profiles", "smoke", "grid", value=[1e-3]),
            "profiles: smoke: grid: [0.001]: must be KEY: VALUE pairs",
        ),
        (
            setter("profiles", "smoke", "columns", value=["A", "C"]),
            "profiles: smoke: columns: ['A', 'C']: must be a list of the study's columns",
        ),
        (
            setter("profiles", "smoke", "columns", value="A"),
            "profiles: smoke: columns: A: must be a list of the study's columns",
        ),
        (
            setter("profiles", "smoke", "columns", value=[]),
            "profiles: smoke: columns: []: must be a list of the study's columns",
        ),
        (
            setter("rows", "one", "columns", value=["A", "C"]),
            "rows: one: columns: ['A', 'C']: must be a list of the study's columns",
        ),
        (
            setter("rows", "one", "columns", value=[]),
            "rows: one: columns: []: must be a list of the study's columns",
        ),
        (
            lambda t: t["rows"]["one"].update(columns=["A"], B={"optim.lr_decay": 1}),
            "rows: one: B: is none of the row's columns",
        ),
    ],
)
def test_a_mistake_is_named(loaded, tmp_path, change, said):
    with pytest.raises(StudyError) as caught:
        loaded(change)
    assert said in str(caught.value)
    assert str(caught.value).startswith(f"{tmp_path / 'paperx' / 'toy.yaml'}: ")


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("  one:", "  1.5:", "rows: 1.5: must be text; a number, a word such as yes, and a colon"),
        ("  one:", "  yes:", "rows: True: must be text"),
        ("  A:", "  3:", "columns: 3: must be text"),
        ("  paper:", "  on:", "profiles: True: must be text"),
        ("{optim: adam}", "{optim: adam, 1: 2}", "rows: one: 1: must be text"),
        ("notes: []", "notes: [a note: with a colon]", "{'a note': 'with a colon'}: must be text"),
        ("notes: []", "notes: [7]", "notes: 7: must be text"),
        ("{task: toy}", "{task: toy, notes: [7]}", "columns: A: notes: 7: must be text"),
        ("{task: toy}", "{task: toy, notes: A note.}", "columns: A: notes: must be a list"),
        ("title: Toys", "title: {a: b}", "title: {'a': 'b'}: must be text"),
        ("title: Toys", "title: ' '", "title: a text is empty"),
        ("title: Toys", "title: |\n  Toys", "title: Toys: must be one line of text"),
        ("  one:", '  "o\\nne":', "rows: o ne: must be one line of text"),
        ("report: [train/loss]", "report: [train/loss, train/loss]", "train/loss: is there twice"),
        ("rows: [one]", "rows: [one, two, one]", "figures: fig: rows: one: is there twice"),
        ("report: [train/loss]", "report: [{train/loss: 1}]", "report: {'train/loss': 1}: must be"),
        ("metric: train/loss, at", "metric: [train/loss], at", "select.metric: ['train/loss']: mu"),
        ("statistic: mean", "statistic: [mean]", "statistic: ['mean']: must be one of mean"),
        ("published: []", "published: [table2]", "table2: must be one of nothing: there are none"),
        ("rows: [one]", "rows: []", "figures: fig: rows: there are none"),
        ("rows: [one]", "rows: [[one]]", "figures: fig: rows: ['one']: must be text"),
        ("title: F", "title: 5", "figures: fig: title: 5: must be text"),
        ("  fig:", "  a/b:", "figures: a/b: must be letters, digits, _ and -"),
        ("  fig:", "  ..:", "figures: ..: must be letters"),
        ("  fig:", "  7:", "figures: 7: must be text"),
        ("  fig:", "  optim-lr:", "optim-lr: is the name of the picture of optim.lr"),
        ("optim.betas: [[0.9, 0.999], [0, 0.5]]", "optim_lr: [1]", "pictures would have one name"),
        ("[3e-5, 1e-3]", "[]", "grid: optim.lr: must be a list of values"),
        ("[3e-5, 1e-3]", "[1, 1.0]", "grid: optim.lr: a value is there twice"),
        ("[3e-5, 1e-3]", "[{a: 1}]", "grid: optim.lr: KEY: VALUE pairs are no value to try"),
        ("optim.lr: [3e-5, 1e-3]", "seed: [1, 2]", "grid: seed: cannot be tried"),
        ("optim.lr: [3e-5, 1e-3]", "1: [1, 2]", "grid: 1: must be text"),
        ("seeds: 2", "seeds: 0", "seeds: 0: must be a whole number above 0"),
        ("seeds: 2", "seeds: true", "seeds: True: must be a whole number above 0"),
        # Nothing is trained as another label's task or optimizer, or as the default ones.
        ("one: {optim: adam}", "one: {optim.eps: 1}", "rows: one: optim: is missing"),
        ("A: {task: toy}", "A: {task.epochs: 7}", "columns: A: task: is missing"),
        ("one: {optim: adam}", "one: {optim: adam, task: x}", "rows: one: task: columns say their"),
        ("A: {task: toy}", "A: {task: toy, optim: sgd}", "columns: A: optim: columns say their"),
        ("paper: {}", "paper: {optim: sgd}", "profiles: paper: optim: columns say their"),
        ("paper: {}", "paper: {task: x}", "profiles: paper: task: columns say their"),
        # Whoever reads the file must not wait for the making of millions of cells.
        ("seeds: 2", "seeds: 10000000", "paper: asks for 160,000,000 runs; at most 10,000"),
        # All runs of a table lie in one folder, which the command line names.
        ("{optim: adam}", "{optim: adam, paths.runs: x}", "one: paths.runs: a study does not set"),
        ("{optim: adam}", "{optim: adam, +paths.runs: x}", "+paths.runs: a study does not set"),
        ("{optim: adam}", "{optim: adam, hydra/launcher: x}", "hydra/launcher: a study does not"),
        ("{optim: adam}", "{optim: adam, +seed: 1}", "rows: one: +seed: a study does not set it"),
        ("optim.lr: [3e-5, 1e-3]", "paths.runs: [a, b]", "grid: paths.runs: cannot be tried"),
        ("optim.lr: [3e-5, 1e-3]", "optim@sweep.x: [a, b]", "optim@sweep.x: cannot be tried"),
        # What a table says of its runs must hold for all of them.
        ("{task: toy}", "{task: toy, data: full}", "columns: A: data: a study does not set it"),
        ("{optim: adam}", "{optim: adam, seed: 1}", "rows: one: seed: a study does not set it"),
        ("{optim: adam}", "{optim: adam, columns: B}", "one: columns: B: must be a list of the"),
        ("{optim: adam}", "{optim: adam, grid: {a: 1}}", "one: grid: a: must be a list of values"),
        ("{optim: adam}", "{optim: adam, grid: {seed: [1]}}", "one: grid: seed: cannot be tried"),
        ("{optim: adam}", "{optim: adam, a: 1, grid: {a: [1]}}", "one: a: the grid has its values"),
        (
            "{task: toy}",
            "{task: toy, grid: {a: []}}",
            "columns: A: grid: a: must be a list of value",
        ),
        ("seeds: 2", "seeds: 2\nsearch: best", "search: best: must be grid, halving, extend, or"),
        ("seeds: 2", "seeds: 2\nsearch: {halving: {eta: 1}}", "halving: eta: 1: must be a number"),
        ("seeds: 2", "seeds: 2\nconfirm: -1", "confirm: -1: must be a whole number, 0 or above"),
        ("seeds: 2", "seeds: 2\nconfirm: [2, x]", "confirm: x: must be a whole number, 0 or above"),
        ("seeds: 2", "seeds: 2\nconfirm: [2, 2]", "confirm: [2, 2]: a seed is there twice"),
        (
            "seeds: 2",
            "seeds: 2\nconfirm: [2, 1]",
            "confirm: 1: is no fresh seed: the search has those from 0 to 1",
        ),
        (
            "seeds: 2",
            "seeds: 2\nsearch: {extend: {keys: [optim.betas]}}",
            "search: extend: optim.betas: its values are not all numbers",
        ),
        (
            "seeds: 2",
            "seeds: 2\nsearch: {extend: {keys: [optim.eps]}}",
            "search: extend: keys: optim.eps: must be one of optim.lr, optim.betas",
        ),
        (
            "seeds: 2",
            "seeds: 2\nsearch: {random: 4, ranges: {optim.lr: {low: 0.1, high: 1}}}",
            "grid: random points are tried in its place",
        ),
        (
            "seeds: 2",
            "seeds: 2\nsearch: {random: 4, ranges: {seed: {low: 0, high: 1}}}",
            "search: ranges: seed: cannot be tried",
        ),
        ("{seeds: 1, task.epochs: 3}", "{C: {seeds: 1}}", "smoke: there is no column C"),
        ("{optim: adam}", "{optim: adam, B: {profile: x}}", "rows: one: B: profile: a study does"),
        ("{seeds: 1, task.epochs: 3}", "{optim.lr: 1}", "smoke: optim.lr: the grid has its values"),
        ("  two:", "  one:", "toy.yaml: line 10: the key one is there twice"),
        ("title: Toys", "title: Toys\ntitle: Toys", "toy.yaml: line 3: the key title is there twi"),
    ],
)
def test_what_is_written_wrongly_is_refused_with_the_files_name(tmp_path, old, new, said):
    path = tmp_path / "paperx" / "toy.yaml"
    path.parent.mkdir()
    assert old in TEXT
    path.write_text(TEXT.replace(old, new, 1))
    with pytest.raises(StudyError) as caught:
        load("paperx/toy", [tmp_path])
    message = str(caught.value)
    assert message.startswith(f"{path}: ") and said in message and "\n" not in message


@pytest.mark.parametrize("part", ["rows", "columns", "profiles"])
def test_a_study_of_nothing_is_refused(loaded, part):
    for nothing in ({}, None):
        with pytest.raises(StudyError, match=rf"toy\.yaml: {part}: (there are none|None: must be)"):
            loaded(setter(part, value=nothing))


def test_bytes_that_are_no_text_and_folders_are_no_study(tmp_path):
    (tmp_path / "x.yaml").write_bytes(b"title: caf\xe9")
    with pytest.raises(StudyError, match=r"x\.yaml: is no text in UTF-8"):
        load("x", [tmp_path])
    (tmp_path / "y.yaml").mkdir()
    with pytest.raises(StudyError, match=r"y\.yaml: cannot be read: "):
        load("y", [tmp_path])


def test_a_profile_that_is_not_there_is_named_with_those_that_are(loaded):
    with pytest.raises(StudyError) as caught:
        loaded().cells("short", "sample")
    assert str(caught.value) == "profile=short: study paperx/toy has paper, smoke"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"seeds": "ten"}, "seeds: ten: must be a whole number above 0"),
        ({"seeds": 0}, "seeds: 0: must be a whole number above 0"),
        ({"profiles": {"smoke": {"seeds": 0}}}, "seeds: 0: must be a whole number above 0"),
        ({"grid": {"optim.lr": 1e-3}}, "grid: optim.lr: must be a list of values"),
        ({"grid": {"optim.lr": []}}, "grid: optim.lr: must be a list of values"),
        ({"grid": {"optim.lr": [1e-3, 0.001]}}, "grid: optim.lr: a value is there twice"),
        ({"rows": {"AdaMax": "adamax"}}, "rows: AdaMax: adamax: must be KEY: VALUE pairs"),
        ({"columns": None}, "columns: None: must be KEY: VALUE pairs"),
        ({"report": "train/loss"}, "report: must be a list"),
    ],
)
def test_a_part_of_the_wrong_shape_is_refused_by_name(tmp_path, change, said):
    text = read_yaml(ROOT / "conf/study/lp_adam/underflow_fc2.yaml") | change
    (tmp_path / "x.yaml").write_text(yaml.safe_dump(text))
    with pytest.raises(StudyError, match=re.escape(said)):
        load("x", [tmp_path])


@pytest.mark.parametrize("text", ["", "title: [", "- a list"])
def test_a_file_that_is_no_study_is_refused(tmp_path, text):
    (tmp_path / "x.yaml").write_text(text)
    with pytest.raises(StudyError, match=r"x\.yaml: "):
        load("x", [tmp_path])


@pytest.mark.parametrize("text", ["rüns,1", "a b", "it's", "back\\slash", "x=1", "plain/path-1.0_"])
def test_hydra_reads_a_spelt_text_back(text):
    override = read_override(f"key={hydra_text(text)}")
    assert override.value() == text


# -- settings of a column's own --------------------------------------------------------------------


def settings_of(study, row, column, profile="paper"):
    return next(
        cell.settings
        for cell in study.cells(profile, "full")
        if (cell.row, cell.column) == (row, column)
    )


def test_a_row_may_have_settings_for_one_column(loaded):
    study = loaded(setter("rows", "one", value={"optim": "adam", "B": {"optim.eps": 1e-3}}))
    assert "optim.eps" not in settings_of(study, "one", "A")
    assert settings_of(study, "one", "B")["optim.eps"] == 1e-3
    assert "B" not in settings_of(study, "one", "B")


def test_a_profile_may_have_settings_and_seeds_for_one_column(loaded):
    budget = {"task.epochs": 3, "seeds": 2, "A": {"task.epochs": 1, "seeds": 1}}
    study = loaded(setter("profiles", "smoke", value=budget))
    assert settings_of(study, "one", "A", "smoke")["task.epochs"] == 1
    assert settings_of(study, "one", "B", "smoke")["task.epochs"] == 3
    seeds = {column: set() for column in "AB"}
    for cell in study.cells("smoke", "full"):
        seeds[cell.column].add(cell.seed)
    assert seeds == {"A": {0}, "B": {0, 1}}


def test_a_column_may_have_seeds_of_its_own(loaded):
    study = loaded(setter("columns", "B", value={"task": "toy", "seeds": 4}))
    assert len(study.cells("paper", "full")) == 2 * 4 * (2 + 4) == study.count("paper")
    assert "seeds" not in settings_of(study, "one", "B")


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        (
            ("rows", "one"),
            {"optim": "adam", "C": {"optim.lr": 1}},
            "rows: one: there is no column C",
        ),
        (("profiles", "smoke"), {"C": {"seeds": 1}}, "profiles: smoke: there is no column C"),
        (("columns", "A"), {"task": "toy", "B": {"a": 1}}, "columns: A: there is no column B"),
        (("profiles", "smoke"), {"A": {"seeds": 0}}, "seeds: 0: must be a whole number above 0"),
        (
            ("columns", "A"),
            {"task": "toy", "seeds": "x"},
            "seeds: x: must be a whole number above 0",
        ),
        (("select", "evaluations"), 0, "select.evaluations: 0: must be a whole number above 0"),
        (("published",), "table2", "published: must be a list"),
    ],
)
def test_wrong_settings_of_a_column_are_refused(loaded, path, value, said):
    with pytest.raises(StudyError, match=re.escape(said)):
        loaded(setter(*path, value=value))


def test_a_mean_over_evaluations_needs_the_last_ones(loaded):
    select = {"metric": "train/loss", "at": "best", "mode": "min", "evaluations": 5}
    with pytest.raises(StudyError, match="evaluations: 5: needs at: last"):
        loaded(setter("select", value=select))


VALID = {"metric": "test/accuracy", "at": "last", "mode": "max", "split": "valid"}


def test_a_study_chooses_on_validation_data_and_reports_test_data(loaded):
    study = loaded(setter("select", value=VALID))
    assert study.select.metric == "valid/accuracy"
    assert study.report == ["test/accuracy", *loaded().report]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"split": "train"}, "select.split: train: must be valid"),
        ({"metric": "train/loss"}, "split: valid: train/loss is no metric of test data"),
        ({"metric": "test/return"}, "select.split: valid: no task measures valid/return"),
        ({"metric": "test/typo"}, "select.metric: valid/typo: must be one of "),
    ],
)
def test_a_choice_on_data_that_there_are_not_is_refused(loaded, change, said):
    with pytest.raises(StudyError, match=re.escape(said)):
        loaded(setter("select", value=VALID | change))


def test_seeds_that_confirm_are_counted_or_named(loaded):
    for confirm, seeds in ((2, [2, 3]), ([7, 5], [7, 5])):
        study = loaded(setter("confirm", value=confirm))
        chosen = study.cells("paper", "full")[0]
        assert [cell.seed for cell in study.confirming("paper", "full", chosen)] == seeds
        assert study.confirm_count("paper") == 2


RANDOM = {"random": 8, "ranges": {"optim.lr": {"low": 1e-4, "high": 1, "log": True}}}


def few(text):
    text |= {"grid": {}, "search": RANDOM, "confirm": 5}
    text["profiles"]["smoke"] = {"seeds": 1, "random": 3, "confirm": 1}


def test_a_profile_may_have_fewer_random_points_and_fresh_seeds(loaded):
    study = loaded(few)
    counted = {p: (study.random_of(p), study.confirm_count(p)) for p in study.profiles}
    assert counted == {"paper": (8, 5), "smoke": (3, 1)}
    assert study.count("paper") == 2 * 2 * 8 * 2 and study.count("smoke") == 2 * 2 * 3
    paper, smoke = (study.points(profile, "one", "A") for profile in ("paper", "smoke"))
    assert len(paper) == 8 and smoke == paper[:3]
    chosen = study.cells("smoke", "sample")[0]
    [fresh] = study.confirming("smoke", "sample", chosen)
    assert (fresh.seed, fresh.confirms) == (1, True)
    # Neither is a setting of a run.
    assert not {"random", "confirm"} & (chosen.settings.keys() | fresh.settings.keys())
    assert str(study.search_of("paper")) == "8 quasi-random points"
    assert str(study.search_of("smoke")) == "3 quasi-random points"


def test_a_profile_may_name_its_fresh_seeds_or_have_none(loaded):
    named = loaded(setter("profiles", "smoke", "confirm", value=[7, 9]))
    chosen = named.cells("smoke", "sample")[0]
    assert [cell.seed for cell in named.confirming("smoke", "sample", chosen)] == [7, 9]
    assert (named.confirm_count("smoke"), named.confirm_count("paper")) == (2, 0)

    def none(text):
        few(text)
        text["profiles"]["smoke"]["confirm"] = 0

    assert loaded(none).confirm_count("smoke") == 0


def test_random_points_that_are_typed_are_as_many_in_every_profile(loaded):
    study = with_search(loaded(few), RANDOM | {"random": 6})
    assert {profile: study.random_of(profile) for profile in study.profiles} == {
        "paper": 6,
        "smoke": 6,
    }
    assert with_search(loaded(few), "grid").random_of("smoke") == 0


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            setter("profiles", "smoke", "random", value=3),
            "profiles: smoke: random: the study's search has no random points",
        ),
        (
            lambda t: few(t) or t["profiles"]["smoke"].update(random=0),
            "profiles: smoke: random: 0: must be a whole number above 0",
        ),
        (
            lambda t: few(t) or t["profiles"]["smoke"].update(random=True),
            "profiles: smoke: random: True: must be a whole number above 0",
        ),
        (
            lambda t: few(t) or t["profiles"]["smoke"].update(confirm=-1),
            "profiles: smoke: confirm: -1: must be a whole number, 0 or above",
        ),
        (
            lambda t: few(t) or t["profiles"]["smoke"].update(confirm=[4, 4]),
            "profiles: smoke: confirm: [4, 4]: a seed is there twice",
        ),
        (
            lambda t: few(t) or t["profiles"]["smoke"].update(confirm=[1]),
            "profiles: smoke: confirm: 1: is no fresh seed: the search has those from 0 to 1",
        ),
        (setter("target", value="high"), "target: high: must be a number"),
        (setter("target", value=True), "target: True: must be a number"),
        (setter("target", value=float("inf")), "target: inf: must be a number"),
    ],
)
def test_wrong_targets_random_points_and_fresh_seeds_are_refused(loaded, tmp_path, change, said):
    with pytest.raises(StudyError) as caught:
        loaded(change)
    assert str(caught.value) == f"{tmp_path / 'paperx' / 'toy.yaml'}: {said}"


def test_a_study_may_have_a_target_and_one_like_it_has_it_too(loaded, tmp_path):
    assert loaded().target is None
    assert loaded(setter("target", value=0.93)).target == 0.93
    assert like(tmp_path).target == 0.93
    assert like(tmp_path, target=1).target == 1


# -- a study like another --------------------------------------------------------------------------


def like(folder, **text):
    (folder / "paperx" / "other.yaml").write_text(yaml.safe_dump({"like": "paperx/toy"} | text))
    return load("paperx/other", [folder])


def test_a_study_like_another_says_what_that_says(loaded, tmp_path):
    first, second = loaded(), like(tmp_path, title="Other toys")
    assert (second.name, second.title) == ("paperx/other", "Other toys")
    assert second.rows == first.rows and second.profiles == first.profiles
    ours, theirs = (
        [{k: v for k, v in cell.settings.items() if k != "group"} for cell in cells]
        for cells in (second.cells("paper", "full"), first.cells("paper", "full"))
    )
    assert ours == theirs


def test_a_reference_row_is_one_that_there_is(loaded, tmp_path):
    assert loaded().reference is None
    assert loaded(setter("reference", value="two")).reference == "two"
    assert like(tmp_path, rows=["two"], figures={}).reference == "two"
    with pytest.raises(StudyError, match=re.escape("other.yaml: reference: two: must be one of")):
        like(tmp_path, rows=["one"], figures={})


def test_it_may_pick_among_rows_and_columns(loaded, tmp_path):
    loaded(setter("profiles", "smoke", value={"columns": ["B", "A"], "A": {"seeds": 1}}))
    study = like(tmp_path, columns=["B"], rows=["two"], figures={})
    assert list(study.columns) == ["B"] and list(study.rows) == ["two"]
    assert study.profiles["smoke"] == {"columns": ["B"]}
    assert {(c.row, c.column) for c in study.cells("smoke", "full")} == {("two", "B")}


def test_a_row_in_some_columns_is_in_those_that_a_study_like_it_has(loaded, tmp_path):
    first = loaded(setter("rows", "two", "columns", value=["B"]))
    study = like(tmp_path, columns=["B"], figures={})
    assert study.rows["two"]["columns"] == ["B"]
    assert list(like(tmp_path, columns=["A"], figures={}).rows) == ["one"]
    # What the other study says stays as it was.
    assert first.rows["two"]["columns"] == ["B"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ({"columns": ["C"]}, "other.yaml: columns: there is no C"),
        ({"rows": ["one", "three"]}, "other.yaml: rows: there is no three"),
        ({"like": "paperx/none"}, "other.yaml: like: paperx/none: there is no such study"),
    ],
)
def test_what_the_other_study_has_not_is_refused(loaded, tmp_path, text, said):
    loaded()
    with pytest.raises(StudyError, match=re.escape(said)):
        like(tmp_path, **text)


@pytest.mark.parametrize("name", ["paperx/other", "../paperx/toy", "/x", 3, None, ["paperx/toy"]])
def test_a_study_like_itself_or_like_no_study_is_refused(loaded, tmp_path, name):
    loaded()
    with pytest.raises(StudyError, match=r"other\.yaml: like: .*(in a circle|must be the name of)"):
        like(tmp_path, like=name)


def test_studies_like_each_other_in_a_circle_are_refused(loaded, tmp_path):
    loaded()
    for name, other in (("a", "b"), ("b", "c"), ("c", "a")):
        (tmp_path / "paperx" / f"{name}.yaml").write_text(f"like: paperx/{other}")
    with pytest.raises(StudyError, match=r"c\.yaml: like: paperx/a: the studies are like each"):
        load("paperx/a", [tmp_path])


@pytest.mark.parametrize(
    "text",
    [{"rows": 3}, {"columns": [["A"]]}, {"profiles": None}, {"rows": {"one": 1}}, {"columns": []}],
)
def test_parts_of_the_wrong_shape_in_a_study_like_another(loaded, tmp_path, text):
    loaded()
    with pytest.raises(StudyError, match=rf"other\.yaml: {next(iter(text))}: "):
        like(tmp_path, **text)


# -- heat maps -------------------------------------------------------------------------------------

MAP = {"title": "F", "rows": ["one"], "metric": "train/loss"}


def test_a_heat_map_is_over_two_keys_or_over_trials(loaded):
    over = {"x": "optim.lr", "y": "optim.betas"}
    assert loaded(setter("figures", "fig", value=MAP | over)).figures["fig"].is_heat_map
    trials = {"x": "trial", "across": 5, "colour": "test/loss"}
    assert loaded(setter("figures", "fig", value=MAP | trials)).figures["fig"].is_heat_map
    assert not loaded().figures["fig"].is_heat_map


def test_curves_may_be_smooth_and_at_all_points_of_a_grid(loaded):
    figure = MAP | {"lines": "optim.lr", "panels": "optim.betas", "smooth": 2.5}
    found = loaded(setter("figures", "fig", value=figure)).figures["fig"]
    assert (found.lines, found.panels, found.smooth) == ("optim.lr", "optim.betas", 2.5)
    plain = loaded().figures["fig"]
    assert (plain.lines, plain.panels, plain.smooth) == (None, None, None)


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"lines": "optim.eps"}, "figures: fig: lines: optim.eps: must be one of optim.lr"),
        ({"panels": "optim.lr"}, "figures: fig: panels: optim.lr: needs lines"),
        (
            {"lines": "optim.lr", "panels": "seed"},
            "figures: fig: panels: seed: must be one of optim.lr",
        ),
        (
            {"lines": "optim.lr", "panels": "optim.lr"},
            "figures: fig: panels: optim.lr: the lines are over it",
        ),
        (
            {"lines": "optim.lr", "normalised": True},
            "fig: lines: optim.lr: is for curves at each point of the grid",
        ),
        (
            {"lines": "optim.lr", "x": "optim.betas"},
            "fig: lines: optim.lr: is for curves at each point of the grid",
        ),
        ({"smooth": 0}, "figures: fig: smooth: 0: must be a number above 0"),
        ({"smooth": "much"}, "figures: fig: smooth: much: must be a number above 0"),
        ({"smooth": True}, "figures: fig: smooth: True: must be a number above 0"),
        ({"smooth": 2, "x": "optim.lr"}, "figures: fig: smooth: 2: is for curves"),
        ({"smooth": 2, "x": "trial", "across": 3}, "figures: fig: smooth: 2: is for curves"),
    ],
)
def test_wrong_curves_are_refused(loaded, more, said):
    with pytest.raises(StudyError, match=re.escape(said)):
        loaded(setter("figures", "fig", value=MAP | more))


def test_a_profile_may_keep_losses(loaded):
    study = loaded(setter("profiles", "smoke", "train.loss_every", value=1))
    assert study.cells("smoke", "sample")[0].settings["train.loss_every"] == 1


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (
            {"x": "optim.lr", "y": "optim.eps"},
            "fig: y: optim.eps: must be one of optim.lr",
        ),
        ({"y": "optim.lr"}, "figures: fig: x: step: must be one of optim.lr"),
        ({"across": 3}, "figures: fig: x, with across,: step: must be one of trial"),
        ({"x": "trial"}, "figures: fig: x: trial: must be one of step"),
        ({"x": "trial", "across": 0}, "across: 0: must be a whole number above 0"),
        ({"normalised": "yes"}, "figures: fig: normalised: yes: must be true or false"),
        ({"x": "trial", "across": 3, "normalised": True}, "normalised: is for lines, not for a"),
        ({"average": "iqm"}, "fig: average: iqm: must be one of mean, interquartile mean"),
        ({"average": "interquartile mean"}, "fig: average: interquartile mean: needs normalised"),
        ({"colour": "test/loss"}, "colour: test/loss: needs x: trial and across"),
        ({"x": "trial", "across": 3, "colour": "red"}, "colour: red: must be one of"),
    ],
)
def test_a_wrong_heat_map_is_refused(loaded, more, said):
    with pytest.raises(StudyError, match=re.escape(said)):
        loaded(setter("figures", "fig", value=MAP | more))
