"""The first weights, evaluated before they are trained."""

import json

import pytest
from running import folder, lines, outcome, summary

import adamily
from tasks.trials import Quadratic


@pytest.fixture
def quadratic(runs):
    """Trains a point on the quadratic of figure 1 of Daley & Amato."""

    def run(*more):
        where = (f"paths.runs={runs}", "logger=none", "train.device=cpu")
        return adamily.run(
            ["task=quadratic_path", "eval_first=true", "task.steps=3", *where, *more]
        )

    return run


def test_the_first_weights_are_step_0_of_the_record(quadratic, runs):
    assert quadratic("task.eval_every=1").status == "finished"
    first, *others = lines(folder(runs))
    assert first["step"] == 0 and "train/loss" not in first
    assert (first["path/x"], first["path/y"]) == (-(3**0.5) / 2, -0.5)
    assert [line["step"] for line in others] == [1, 2, 3]


def test_they_change_nothing_but_what_is_recorded(train, tiny, runs, tmp_path):
    assert train(*tiny(), "eval_first=true").code == 0
    assert train(*tiny(paths__runs=tmp_path / "plain")).code == 0
    with_first, plain = folder(runs), folder(tmp_path / "plain")
    assert with_first.name != plain.name
    assert summary(with_first)["model_sha256"] == summary(plain)["model_sha256"]
    first, *others = lines(with_first)
    assert first["epoch"] == 0 and first["test/accuracy"] > 0
    timed = {"time/train_seconds"}
    for ours, theirs in zip(others, lines(plain), strict=True):
        assert {k: ours[k] for k in ours.keys() - timed} == {
            k: theirs[k] for k in theirs.keys() - timed
        }


def test_first_weights_that_are_no_good_end_the_run(quadratic, runs):
    assert quadratic("task.first=[1e200,1]").status == "diverged"
    found = summary(folder(runs))
    assert (found["step"], found["diverged_at"], found["model_sha256"]) == (0, 0, None)


def test_a_resumed_run_has_its_first_evaluation_once(train, tiny, runs, tmp_path):
    settings = tiny(task__steps=45, task__eval_every=10)
    assert train(*settings, "eval_first=true", "train.pause_at=0.5").code == 0
    assert train(*settings, "eval_first=true").code == 0
    whole = tiny(task__steps=45, task__eval_every=10, paths__runs=tmp_path / "whole")
    assert train(*whole, "eval_first=true").code == 0
    assert outcome(folder(runs)) == outcome(folder(tmp_path / "whole"))
    text = (folder(runs) / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line)["step"] for line in text] == [0, 10, 20, 30, 40, 45]


def test_what_the_first_evaluation_shows_is_kept_as_of_step_0(quadratic, runs, monkeypatch):
    def evaluate(task):
        task.context.artifacts["point.txt"] = str(task.theta.tolist()).encode()
        return plain(task)

    plain = Quadratic.evaluate
    monkeypatch.setattr(Quadratic, "evaluate", evaluate)
    assert quadratic("task.eval_every=3", "train.artifacts=true").status == "finished"
    [first, last] = [path.read_text() for path in sorted((folder(runs) / "artifacts").iterdir())]
    assert first != last and first == str([[-(3**0.5) / 2, -0.5]])
