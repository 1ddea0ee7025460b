"""A run that pauses, as searches let it, and is taken further."""

import json

import pytest
from running import folder, outcome, summary, typed
from test_resume import KINDS

STEPS = {"task__steps": 45, "task__eval_every": 10}


@pytest.fixture
def paused(train, tiny):
    """Train a part of a run's steps."""

    def until(part, *more):
        return train(*tiny(**STEPS), *more, f"train.pause_at={part}")

    return until


@pytest.mark.parametrize("kind", KINDS)
def test_it_ends_as_if_it_had_never_paused(train, tiny, paused, runs, tmp_path, kind):
    for part in (0.1, 0.6, 2 / 3):
        assert paused(part, *KINDS[kind]).code == 0
        assert not (folder(runs) / "summary.json").exists()
    assert train(*tiny(**STEPS), *KINDS[kind]).code == 0
    whole = tmp_path / "whole"
    assert train(*tiny(**STEPS, paths__runs=whole), *KINDS[kind]).code == 0
    assert outcome(folder(runs)) == outcome(folder(whole))


def test_it_says_where_it_paused_and_what_it_was_worth_there(paused, runs):
    done = paused(0.25)
    assert done.code == 0 and "paused at 0.25 of its steps; it can go on from there" in done.last
    # After 12 of 45 steps, two of them after an evaluation, which the pause leaves alone.
    pause = json.loads((folder(runs) / "pauses.json").read_text())["0.25"]
    assert (pause["step"], pause["steps"]) == (12, 45)
    recorded = [json.loads(line) for line in (folder(runs) / "metrics.jsonl").open()]
    assert [line["step"] for line in recorded] == [10]
    assert pause["final"]["train/loss"] not in (None, recorded[0]["train/loss"])
    assert pause["best"]["train/loss"]["value"] == min(
        pause["final"]["train/loss"], recorded[0]["train/loss"]
    )
    again = paused(0.25)
    assert again.code == 0 and "paused before" in again.last


def test_a_pause_at_an_evaluation_has_its_numbers(paused, runs):
    assert paused(20 / 45).code == 0
    [pause] = json.loads((folder(runs) / "pauses.json").read_text()).values()
    *_, last = (json.loads(line) for line in (folder(runs) / "metrics.jsonl").open())
    assert pause["step"] == last.pop("step") == 20
    assert pause["final"] == last


def test_a_run_that_diverges_before_it_pauses_has_diverged(paused, runs):
    assert paused(0.5, *typed({"optim": "sgd", "optim.lr": 1e12})).code == 0
    assert summary(folder(runs))["status"] == "diverged"


@pytest.mark.parametrize("part", ["1", "0", "half", "-0.5"])
def test_a_part_that_is_none_is_refused(paused, part):
    done = paused(part)
    assert done.code == 2
    assert f"train.pause_at={part}: must be a number between 0 and 1, or null" in done.err


@pytest.mark.parametrize("content", ["{", "[]", '{"0.5": {}}', '{"0.5": {"step": "x"}}'])
def test_damaged_pauses_are_named(paused, runs, content):
    assert paused(0.5).code == 0
    (folder(runs) / "pauses.json").write_text(content)
    done = paused(0.5)
    assert done.code != 0
    assert (
        "pauses.json" in done.err and "remove it to let the search compare the run anew" in done.err
    )
