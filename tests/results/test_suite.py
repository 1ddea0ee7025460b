"""Suites: what is refused, that the laptop suite is one, and what is said of each task."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml

from engine.checks import BadInput
from results import suite as suites
from results.analysis import Point, Row
from results.baselines import HERE, Baselines, file_name, read_packed
from results.plan import find, plan
from results.search import Halving, Range, Search
from results.standing import Outcome, Standing
from results.study import Select, StudyError
from results.suite import Suite, check_first_weights, check_study, find_suite, make_suite, task_of
from results.suite_comparison import Entrant, SuiteComparison, entrant
from results.sweep import check_search
from tasks.metrics import Metric

RATES = {"optim.lr": Range(1e-4, 1.0, log=True)}
USUAL = {"optim": "adamw", "schedule": "linear", "schedule.of": 100}


@pytest.fixture
def fit(make_study):
    """`fit(target=None)`: a study that can be part of a suite, or some other."""
    usual = make_study(
        name="mini/digits",
        columns={"digits": {"task": "toy", "eval_first": True}},
        rows={
            "adamw": USUAL,
            "lp_adam (p = 3)": USUAL | {"optim": "lp_adam", "optim.p": 3},
            "schedule_free": {"optim": "schedule_free_adamw", "schedule": "constant"},
        },
        grid={},
        search=Search(4, RATES, Halving(2.0, 1)),
        seeds=1,
        confirm=5,
        select=Select("valid/accuracy", "last", "max"),
        report=["test/accuracy"],
        target=0.9,
        published=[],
        figures={},
        profiles={"short": {}, "smoke": {"confirm": 2}},
    )
    return lambda **changes: replace(usual, **changes)


# -- what can be part of a suite -------------------------------------------------------------------


def test_a_study_that_fits_is_not_refused(fit):
    check_study("here", fit(), "adamw")
    # A grid of rates does as well, and so do fresh seeds that are named.
    check_study("here", fit(search=Search(), grid={"optim.lr": [0.1, 1]}, confirm=[3, 4]), "adamw")
    assert task_of(fit()) == "digits"


TWO = {"A": {"task": "toy", "eval_first": True}, "B": {"task": "toy", "eval_first": True}}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"columns": TWO}, "columns: must be one, and there are 2"),
        (
            {"columns": {"A": {"task": "toy"}}},
            "columns: must have eval_first: true, to know the first weights",
        ),
        (
            {"columns": {"A": {"task": "toy", "eval_first": False}}},
            "columns: must have eval_first: true, to know the first weights",
        ),
        (
            {"grid": {"optim.eps": [1e-8]}},
            "must search optim.lr alone, and searches ['optim.lr', 'optim.eps']",
        ),
        ({"search": Search()}, "must search optim.lr alone, and searches []"),
        ({"confirm": 1, "profiles": {"short": {}}}, "confirm: must be 2 fresh seeds or more"),
        ({"profiles": {"smoke": {"confirm": [4]}}}, "confirm: must be 2 fresh seeds or more"),
        ({"target": None}, "target: there is none"),
        ({"report": []}, "report: its first metric must have a better direction"),
        ({"report": ["lr"]}, "report: its first metric must have a better direction"),
        (
            {"select": Select("valid/accuracy", "last", "min")},
            "select: mode: min: looks for the worst rate",
        ),
        ({"rows": {"sgd": {"optim": "sgd"}}}, "rows: there is no adamw, which `against` names"),
    ],
    ids=str,
)
def test_a_study_that_does_not_fit_is_refused(fit, changes, said):
    with pytest.raises(StudyError) as raised:
        check_study("here", fit(**changes), "adamw")
    assert str(raised.value) == f"here: {said}"


@pytest.mark.parametrize(
    "metric", ["train/loss", "train/return", "optim/mean_abs_step", "test/bleu", "test/typo"]
)
def test_a_metric_that_the_first_weights_lack_is_refused(fit, monkeypatch, metric):
    bleu = Metric("BLEU", "max")
    metrics = {"test/bleu": bleu, "test/chrf": bleu, "train/return": bleu}
    task = SimpleNamespace(seldom=("test/bleu",), metrics=metrics)
    monkeypatch.setattr(suites, "meta_task", lambda config: task)

    def planned(report, eval_first=True):
        run = SimpleNamespace(config={"eval_first": eval_first})
        return SimpleNamespace(study=fit(report=[report]), runs=[run])

    with pytest.raises(BadInput) as raised:
        check_first_weights(planned(metric))
    said = f"study mini/digits judges by {metric}, which is not measured at the first weights"
    assert str(raised.value) == said
    for known in ("test/chrf", "test/accuracy", "test/loss"):
        check_first_weights(planned(known))
        with pytest.raises(BadInput):
            check_first_weights(planned(known, eval_first=False))


# -- the YAML --------------------------------------------------------------------------------------

SPEC = {
    "title": "Small",
    "data": "sample",
    "against": "adamw",
    "studies": ["laptop/digits", "laptop/reviews"],
}


@pytest.fixture
def made(tmp_path):
    """`made(data="full")`: the suite of a YAML, with some keys changed, or without them."""

    def make(**changes):
        spec = {key: value for key, value in (SPEC | changes).items() if value is not None}
        path = tmp_path / "mini.yaml"
        path.write_text(yaml.safe_dump(spec, sort_keys=False))
        return make_suite("mini", path)

    return make


def test_a_suite_says_what_its_yaml_says(made):
    found = made()
    assert (found.name, found.title, found.data, found.against) == (
        *("mini", "Small", "sample", "adamw"),
    )
    assert [study.name for study in found.studies] == SPEC["studies"]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"title": None}, "keys missing or unknown: title"),
        ({"name": "x"}, "keys missing or unknown: name"),
        ({"title": "a\nb"}, "title: a b: must be one line of text"),
        ({"data": "half"}, "data: half: must be one of full, sample"),
        (
            {"against": ["adamw"]},
            "against: ['adamw']: must be text; a number, a word such as yes, and a colon need "
            "quotes",
        ),
        ({"studies": "laptop/digits"}, "studies: must be a list"),
        ({"studies": []}, "studies: must name two or more, each once"),
        ({"studies": ["laptop/digits"]}, "studies: must name two or more, each once"),
        ({"studies": ["laptop/digits"] * 2}, "studies: laptop/digits: is there twice"),
        (
            {"against": "adamx"},
            "studies: laptop/digits: rows: there is no adamx, which `against` names",
        ),
        (
            {"studies": ["laptop/digits", "lp_adam/fc2"]},
            "studies: lp_adam/fc2: columns: must have eval_first: true, to know the first weights",
        ),
    ],
    ids=str,
)
def test_what_is_no_suite_is_refused(made, tmp_path, changes, said):
    with pytest.raises(StudyError) as raised:
        made(**changes)
    assert str(raised.value) == f"{tmp_path / 'mini.yaml'}: {said}"


def test_two_tasks_of_one_name_are_refused(made, monkeypatch, fit, tmp_path):
    monkeypatch.setattr(suites, "find", lambda name: fit(name=name))
    with pytest.raises(StudyError) as raised:
        made()
    said = "studies: two have a column digits, the name of their task"
    assert str(raised.value) == f"{tmp_path / 'mini.yaml'}: {said}"


def test_a_study_that_is_not_there_is_named(made):
    with pytest.raises(BadInput, match=r"^study=laptop/letters: there is no such study \(did you"):
        made(studies=["laptop/digits", "laptop/letters"])


def test_a_suite_that_is_not_there_or_is_wrong_is_refused(conf):
    with pytest.raises(BadInput) as raised:
        find_suite("desktop")
    assert str(raised.value) == "suite=desktop: there is no such suite; choose one of gpu, laptop"
    path = conf / "suite" / "wrong.yaml"
    path.write_text("- a list")
    with pytest.raises(BadInput) as raised:
        find_suite("wrong")
    assert str(raised.value) == f"{path}: ['a list']: must be KEY: VALUE pairs"
    path.write_text("title: [")
    with pytest.raises(BadInput, match=rf"^{path}: "):
        find_suite("wrong")


# -- the suite for a laptop ------------------------------------------------------------------------


def test_the_laptop_suite_gives_every_optimizer_as_much():
    found = find_suite("laptop")
    assert (found.data, found.against, len(found.studies)) == ("sample", "adamw", 8)
    first = found.studies[0]
    for study in found.studies:
        assert study.search == first.search
        counts = {p: (study.random_of(p), study.confirm_count(p)) for p in study.profiles}
        assert counts == {"short": (16, 5), "smoke": (4, 2)}
        # An optimizer that is left out cannot train the task.
        assert first.rows.keys() - study.rows.keys() <= {"muon"}
        assert all(first.rows[label] == row for label, row in study.rows.items())
        # What is chosen by is better in the direction in which it is sought.
        assert not study.select.worst


def test_the_suite_for_a_gpu_asks_as_much_on_the_papers_data():
    found = find_suite("gpu")
    assert (found.data, found.against, len(found.studies)) == ("full", "adamw", 8)
    laptop = find_suite("laptop").studies[0]
    for study in found.studies:
        assert (study.search, study.confirm) == (laptop.search, laptop.confirm)
        assert laptop.rows.keys() - study.rows.keys() <= {"muon"}
        assert all(laptop.rows[label] == row for label, row in study.rows.items())


def test_a_suite_has_other_data_on_demand():
    assert find_suite("gpu", "sample").data == "sample"
    with pytest.raises(BadInput) as raised:
        find_suite("gpu", "half")
    assert str(raised.value) == "data=half: must be full or sample"


@pytest.mark.parametrize("name", ["laptop", "gpu"])
def test_its_tasks_measure_what_the_suite_asks_for(name):
    found_suite = find_suite(name)
    for study in found_suite.studies:
        for profile in study.profiles:
            alone = replace(study, rows={"adamw": study.rows["adamw"]})
            found = plan(alone, profile, found_suite.data)
            check_search(found)
            check_first_weights(found)
            assert len(found.runs) == study.random_of(profile)


# -- optimizers ------------------------------------------------------------------------------------


@pytest.fixture
def suite(fit):
    rows = {label: row for label, row in fit().rows.items() if label != "schedule_free"}
    other = fit(name="mini/news", columns={"news": {"task": "toy", "eval_first": True}}, rows=rows)
    return Suite("mini", "Small", "sample", "adamw", [fit(), other])


def test_an_optimizer_of_the_suite_is_run_as_its_row_says(suite):
    found = entrant("lp_adam (p = 3)", [], suite)
    assert found == Entrant("lp_adam (p = 3)", "lp_adam", "lp_adam (p = 3)")
    assert found.settings(suite.studies[0], "adamw") == USUAL | {"optim": "lp_adam", "optim.p": 3}


def test_an_optimizer_from_outside_has_the_settings_of_the_reference_but_its_optimizers(suite):
    study = suite.studies[0]
    study.rows["adamw"] = USUAL | {"optim.weight_decay": 0.1}
    assert entrant("lion", [], suite).settings(study, "adamw") == USUAL | {"optim": "lion"}


def test_changes_are_made_to_the_row_of_the_suite(suite):
    changed = entrant("lp_adam (p = 3)", ["optim.eps=1e-3"], suite)
    assert changed.label == "lp_adam (p = 3) (eps=1e-3)"
    expected = USUAL | {"optim": "lp_adam", "optim.p": 3, "optim.eps": 1e-3}
    assert changed.settings(suite.studies[0], "adamw") == expected
    # One without warm-up keeps its schedule.
    changed = entrant("schedule_free", ["optim.eps=1e-3"], suite)
    assert changed.settings(suite.studies[0], "adamw") == {
        "optim": "schedule_free_adamw",
        "schedule": "constant",
        "optim.eps": 1e-3,
    }


def test_another_schedule_takes_the_place_of_all_that_was_said_of_one(suite):
    changed = entrant("adamw", ["schedule=cosine", "optim.lr=0.1"], suite)
    assert changed.settings(suite.studies[0], "adamw") == {
        "optim": "adamw",
        "schedule": "cosine",
        "optim.lr": 0.1,
    }


@pytest.mark.parametrize("typed", ["optim.lr=1,2", "+optim.eps=1", "~optim.eps"])
def test_what_is_no_change_of_the_optimizer_is_refused(suite, typed):
    with pytest.raises(BadInput) as raised:
        entrant("adamw", [typed], suite)
    assert str(raised.value) == f"{typed}: must be one KEY=VALUE of the optimizer"


# -- what is said of a task ------------------------------------------------------------------------


def comparison(suite, refused=None):
    ours, theirs = Entrant("new", "new", "new"), Entrant("adamw", "adamw", "adamw")
    nothing = Baselines({})
    return SuiteComparison(suite, "smoke", ours, theirs, {}, refused or {}, {}, [], [], nothing)


def run_of(status):
    return SimpleNamespace(status=status, config={"seed": 0, "optim": {"lr": 0.1}})


def row_of(label, *statuses, cut=0):
    """A row that has not been confirmed, whose first points go no further."""
    points = [
        Point({"optim.lr": 0.1 * (1 + place)}, [run_of(status)], 1, place < cut)
        for place, status in enumerate(statuses)
    ]
    best = next((point for point in points if point.count("finished")), None)
    return Row(label, "digits", points, best, None, {}, {})


def on_task(suite, monkeypatch, ours, theirs, standings=None):
    """What is said of the first task where rows are these, and standings known by label."""
    found = standings or {}
    monkeypatch.setattr("results.suite_comparison.standing", lambda row, study: found.get(row.row))
    results = {"mini/digits": SimpleNamespace(rows=[ours, theirs])}
    return comparison(suite).on_task(suite.studies[0], results)


def stood(optim, *values):
    outcomes = [Outcome(seed, value, 0.1, False, 10, 1.0, 40) for seed, value in enumerate(values)]
    how = {0.1: 0.9}, "max", 0, frozenset({"C"})
    return Standing("digits", optim, "test/accuracy", 0.1, outcomes, *how)


def test_a_task_that_it_cannot_train_is_lost(suite):
    refused = {"mini/digits": "optim.groups.muon: takes no parameter"}
    found = comparison(suite, refused).on_task(suite.studies[0], {})
    assert found.judgement == "worse"
    assert found.problem == "new cannot train it: optim.groups.muon: takes no parameter"


def test_an_optimizer_that_diverges_at_every_rate_has_lost(suite, monkeypatch):
    theirs = stood("adamw", 0.9, 0.8)
    for lost, how in (
        (row_of("new", "diverged", "diverged"), "at every learning rate"),
        # Of two rates, one was let go while it was well.
        (
            row_of("new", "unfinished", "diverged", cut=1),
            "at the one learning rate that its search took to the end",
        ),
    ):
        found = on_task(suite, monkeypatch, lost, row_of("adamw", "finished"), {"adamw": theirs})
        assert (found.judgement, found.theirs) == ("worse", theirs)
        assert found.problem == f"new diverges {how}"


def test_where_the_reference_diverges_there_is_no_comparison(suite, monkeypatch):
    lost = row_of("adamw", "diverged")
    for ours in (row_of("new", "finished"), row_of("new", "diverged")):
        found = on_task(suite, monkeypatch, ours, lost)
        assert (found.judgement, found.problem) == (
            "incomplete",
            "adamw diverges at every learning rate",
        )


def test_while_runs_have_not_ended_there_is_no_comparison(suite, monkeypatch):
    ours, theirs = row_of("new", "unfinished"), row_of("adamw", "finished")
    found = on_task(suite, monkeypatch, ours, theirs, {"adamw": stood("adamw", 0.9, 0.8)})
    assert (found.judgement, found.problem) == (
        "incomplete",
        "the runs there have not all ended",
    )


@pytest.mark.parametrize("values", [(0.1, 0.1), (0.1, 0.05)])
def test_a_reference_that_learns_nothing_measures_nobody(suite, monkeypatch, values):
    standings = {"new": stood("new", 0.9, 0.8), "adamw": stood("adamw", *values)}
    rows = row_of("new", "finished"), row_of("adamw", "finished")
    found = on_task(suite, monkeypatch, *rows, standings)
    said = "adamw learns nothing there that others could be measured by"
    assert (found.judgement, found.problem) == ("incomplete", said)
    # The verdict on all tasks can do without this one.
    refused = comparison(suite, {"mini/news": "it is too large"})
    results = {"mini/digits": SimpleNamespace(rows=list(rows), study=suite.studies[0])}
    verdict = refused.verdict(results)
    assert [task.judgement for task in verdict.tasks] == ["incomplete", "worse"]
    assert (verdict.iqm, verdict.others) == (None, {})


def test_rows_that_cannot_train_a_task_or_diverge_there_are_ranked_as_having_learned_nothing(
    suite, monkeypatch
):
    """Both tasks know the reference and the newcomer; of the others, one is known on one task."""
    digits, news = suite.studies
    values = {"new": (0.9, 0.8), "adamw": (0.7, 0.65), "lp_adam (p = 3)": (0.6, 0.5)}

    def standing_of(row, study):
        return (
            None if row.best is None else replace(stood(row.row, *values[row.row]), task=study.name)
        )

    monkeypatch.setattr("results.suite_comparison.standing", standing_of)
    monkeypatch.setattr("results.suite_comparison.task_of", lambda study: study.name)
    rows = [row_of("new", "finished"), row_of("adamw", "finished")]
    results = {study.name: SimpleNamespace(rows=rows, study=study) for study in suite.studies}
    label = "lp_adam (p = 3)"
    known = SimpleNamespace(rows=[row_of(label, "finished")], study=digits)
    diverged = SimpleNamespace(rows=[row_of(label, "diverged")], study=news)
    unfinished = SimpleNamespace(rows=[row_of(label, "unfinished")], study=news)

    ranked = comparison(suite).verdict(results, [known, diverged]).others
    assert [one.value for one in ranked[label][1].outcomes] == [0.1, 0.1]
    assert label not in comparison(suite).verdict(results, [known, unfinished]).others
    without = {key: row for key, row in news.rows.items() if key != label}
    refusing = replace(suite, studies=[digits, replace(news, rows=without)])
    ranked = comparison(refusing).verdict(results, [known]).others
    assert [one.value for one in ranked[label][1].outcomes] == [0.1, 0.1]


def test_a_task_that_is_refused_counts_by_what_the_reference_has_there(suite, monkeypatch):
    theirs = stood("adamw", 0.9, 0.8)
    monkeypatch.setattr("results.suite_comparison.standing", lambda row, study: theirs)
    alone = SimpleNamespace(rows=[row_of("adamw", "finished")], study=suite.studies[0])
    refusing = comparison(suite, {"mini/digits": "it is too large"})
    found = refusing.on_task(suite.studies[0], {"mini/digits": alone})
    assert (found.judgement, found.theirs, found.lost) == ("worse", theirs, theirs)


def test_both_are_compared(suite, monkeypatch):
    standings = {"new": stood("new", 0.9, 0.8), "adamw": stood("adamw", 0.7, 0.65)}
    rows = row_of("new", "finished"), row_of("adamw", "finished")
    found = on_task(suite, monkeypatch, *rows, standings)
    assert (found.task, found.problem) == ("digits", "")
    assert found.final.difference.center == pytest.approx((0.2 + 0.15) / 2 / 0.575)


def test_studies_of_the_suite_are_found_by_their_names():
    paths = Path(suites.__file__).parents[1] / "conf" / "study" / "laptop"
    names = {study.name for study in find_suite("laptop").studies}
    assert names == {f"laptop/{path.stem}" for path in paths.glob("*.yaml")}
    assert all(find(name).name == name for name in names)


# -- what is committed -----------------------------------------------------------------------------


@pytest.mark.parametrize("path", sorted(HERE.glob("*/*.jsonl.xz")), ids=lambda path: path.name)
def test_committed_runs_are_those_that_the_suite_asks_for_today(path, tmp_path):
    suite = find_suite(path.parent.name)
    packed = read_packed(path)
    profile, data = path.name.split(".")[1:3]
    asked = set()
    for study in suite.studies:
        rows = {
            label: row
            for label, row in study.rows.items()
            if file_name(label, profile, data) == path.name
        }
        alone = replace(study, rows=rows, reference=None)
        found = plan(alone, profile, data, [f"paths.runs={tmp_path}"])
        asked |= {
            record.id for record in replace(found, baselines=Baselines(packed)).read().records
        }
    assert asked == packed.keys() != set()
