"""Searches from the command to the table, also where one is killed."""

import pytest
import yaml
from gates import in_step
from running import folders, outcome, outcomes, shared, summary

RATES = [0.0001, 0.001, 0.01, 0.1, 1.0]
ROWS = {"SGD": {"optim": "sgd"}}


@pytest.fixture
def asked(study):
    return study(rows=ROWS, grid={"optim.lr": RATES}, steps=20)


def table(text):
    return [line for line in text.splitlines() if line.startswith("| ")]


def ended(runs):
    return [where for where in folders(runs) if (where / "summary.json").exists()]


def statuses(runs):
    return len(folders(runs)), len(ended(runs))


def test_halving_spends_a_part_and_a_grid_finishes_the_rest(sweep, asked, runs, tmp_path):
    halved = sweep(*asked, "search=halving")
    assert halved.code == 0, halved.err
    assert "search: 5 runs to 0.111 of their steps" in halved.out
    assert "search: 2 runs to 0.333 of their steps" in halved.out
    assert "search: 1 runs to their ends" in halved.out
    assert statuses(runs) == (5, 1)
    assert "1/5, 4 cut" in table(halved.out)[-1]
    # 5 to step 3, 2 of them to step 7 and 1 to step 20, of 20 each.
    assert "of the steps of all points, 36% were spent" in halved.out
    assert "have not finished" not in halved.out
    assert (tmp_path / "reports/lp_adam/tiny.smoke-halving.sample.md").exists()
    assert sweep(*asked, "search=halving").out.count("search: ") == 0

    finished = sweep(*asked)
    assert statuses(runs) == (5, 5)
    whole = sweep(*asked, f"paths.runs={tmp_path / 'whole'}")
    assert table(finished.out) == table(whole.out)
    assert outcomes(runs) == outcomes(tmp_path / "whole")


def test_a_search_that_is_killed_goes_on_to_the_same_table(
    sweep, start, tiny, conf, asked, runs, tmp_path
):
    common = [*asked, "search=halving", "sweep.jobs_per_device=1", "train.checkpoint_seconds=0"]
    child = start("sweep", *shared(tiny()), *common, conf=conf, hold=in_step(4))
    child.held().kill()
    assert statuses(runs)[1] == 0
    resumed = sweep(*common)
    undisturbed = sweep(*common, f"paths.runs={tmp_path / 'whole'}")
    assert table(resumed.out) == table(undisturbed.out)
    here, there = ended(runs), ended(tmp_path / "whole")
    assert {where.name: outcome(where) for where in here} == {
        where.name: outcome(where) for where in there
    }


def test_an_extension_goes_past_the_edge(sweep, study, runs):
    rates = [0.0001, 0.001]
    done = sweep(*study(rows=ROWS, grid={"optim.lr": rates}, steps=20), "search=extend")
    assert done.code == 0, done.err
    tried = {summary(where)["final"]["lr"] for where in folders(runs)}
    assert {0.0001, 0.001, 0.01, 0.1} <= tried
    assert "extended up to 3 times past its edge" in done.out


def test_values_that_are_typed_are_the_grid(sweep, asked, runs):
    done = sweep(*asked, "optim.lr=0.02,0.03")
    assert done.code == 0, done.err
    assert {summary(where)["final"]["lr"] for where in folders(runs)} == {0.02, 0.03}
    assert {summary(where)["profile"] for where in folders(runs)} == {"custom"}
    assert "optim.lr=0.02,0.03" in done.out


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("search=best", "search: best: must be grid, halving, extend, or KEY: VALUE"),
        ("search={halving:{eta:1}}", "halving: eta: 1: must be a number above 1"),
        ("search={extend:{keys:[optim.eps]}}", "keys: optim.eps: must be one of optim.lr"),
        ("search={random:4,ranges:{optim.eps:{low:0,high:1}}}", "random points are tried in its"),
        ("optim.lr=0.1,0.10", "optim.lr: a value is there twice"),
        ("search=false", "search: False: must be grid, halving, extend, or"),
        ("optim=adam,sgd", "optim=adam,sgd: the study says which optim its runs have"),
        ("seed=1,2", "seed=1,2: the study says which seed its runs have"),
        ("train.device=cpu,auto", "must be one value: it does not change what a run learns"),
        ("optim.lr=interval(1,3)", "must list its values, as in optim.lr=1e-3,2e-3"),
    ],
)
def test_what_cannot_be_searched_is_refused(sweep, asked, typed, said):
    done = sweep(*asked, typed)
    assert done.code == 2 and said in done.err


def test_halving_by_what_is_there_only_at_the_end_is_refused(sweep):
    done = sweep("study=madam/table2", "profile=smoke", "data=sample", "search=halving")
    assert done.code == 2
    assert "chooses by test/bleu, which runs of iwslt14 have only at their end" in done.err


def test_a_choice_on_data_that_no_task_holds_out_is_refused(sweep, study):
    select = {"metric": "test/accuracy", "at": "last", "mode": "max", "split": "valid"}
    asked = study(select=select)
    done = sweep(*asked)
    assert done.code == 2
    assert (
        "study lp_adam/tiny chooses by valid/accuracy, and mnist_fc2 holds no data out: say which "
        "share of its training data it is to hold out, as task.valid=0.1"
    ) in done.err


def test_a_choice_on_data_that_are_held_out_is_reported_on_test_data(sweep, study, runs):
    select = {"metric": "test/accuracy", "at": "last", "mode": "max", "split": "valid"}
    columns = {"FC": {"task": "mnist_fc2", "task.valid": 0.25}}
    done = sweep(*study(select=select, columns=columns, rows=ROWS, grid={"optim.lr": [1e-4, 0.1]}))
    assert done.code == 0, done.err
    header, _, row = table(done.out)[:3]
    assert "test accuracy" in header and "valid" not in header
    assert "Best: maximum of valid/accuracy (last evaluation)" in done.out
    assert "in which test data had no part" in done.out and "looks too good" not in done.out
    held_out = {summary(where)["final"]["valid/accuracy"] for where in folders(runs)}
    assert len(held_out) == 2 and "| 0.1 |" in row


def test_random_points_are_halved_confirmed_and_drawn(sweep, study, conf, tmp_path):
    name = study(rows={**ROWS, "Adam": {"optim": "adam", "optim.lr": 0.01}}, grid={}, steps=20)
    path = conf / "study" / "lp_adam" / "tiny.yaml"
    asked = yaml.safe_load(path.read_text())
    ranges = {"optim.lr": {"low": 1e-4, "high": 1.0, "log": True}}
    asked |= {"search": {"random": 4, "ranges": ranges, "halving": {"rungs": 1}}, "confirm": 2}
    path.write_text(yaml.safe_dump(asked, sort_keys=False))
    done = sweep(*name)
    assert done.code == 0, done.err
    sgd, adam = table(done.out)[-2:]
    assert "| 4/6, 2 cut |" in sgd
    assert "3/3" in adam and "| – |" in adam
    assert "Values are of 2 fresh seeds" in done.out
    written = {path.name for path in (tmp_path / "reports").rglob("*.png")}
    assert "tiny.smoke.sample.optim-lr.png" in written
    again = sweep(*name)
    assert table(again.out) == table(done.out) and "search: " not in again.out
