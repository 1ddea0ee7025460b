"""The training losses of single steps that a run keeps beside its record."""

import json
import math
import random
from statistics import fmean

import pytest
from gates import in_step
from running import evaluations, folder, outcome, summary, typed
from test_run import ended, go_on, lines, run, steps, trained

from engine import checkpoint
from engine.identity import run_id
from engine.records import load
from engine.run import LossBlock, Run

__all__ = ["run"]

BUDGET = {"task__steps": 45, "task__eval_every": 10}


def blocks(where):
    return [json.loads(line) for line in (where / "losses.jsonl").read_text().splitlines()]


@pytest.fixture
def trained_with(train, tiny, tmp_path):
    """Train a run that keeps losses in a folder of runs of its own; the run's folder."""

    def trained_with(every, *more):
        root = tmp_path / f"every {every}"
        arguments = tiny(**BUDGET, paths__runs=root, train__loss_every=every)
        assert train(*arguments, *more).code == 0
        return folder(root)

    return trained_with


def test_the_losses_of_every_nth_step_are_kept_and_change_nothing(trained_with):
    whole, third, none = (trained_with(every) for every in (1, 3, "null"))
    assert not (none / "losses.jsonl").exists()
    assert whole.name == third.name == none.name
    assert outcome(whole) == outcome(third) == outcome(none)
    steps, losses = load(whole).losses
    assert steps == [*range(1, 46)]
    # A mean between two evaluations is one of these.
    recorded = {line["step"]: line["train/loss"] for line in evaluations(whole)}
    assert recorded == pytest.approx(
        {end: fmean(losses[max(0, end - 10) // 10 * 10 : end]) for end in (10, 20, 30, 40)}
        | {45: fmean(losses[40:])}
    )
    assert load(third).losses == (steps[2::3], losses[2::3])
    assert load(none).losses == ([], [])
    assert [block["step"] for block in blocks(third)] == [10, 20, 30, 40, 45]


def test_they_go_on_where_a_kill_stopped_the_run(start, tiny, runs, trained_with):
    arguments = tiny(**BUDGET, train__loss_every=2, train__checkpoint_seconds=0)
    draw = random.Random("losses")
    for point in (draw.randrange(1, 20), draw.randrange(21, 44)):
        start("train", *arguments, hold=in_step(point)).held().kill()
    child = start("train", *arguments)
    assert child.wait() == 0, child.output
    whole = trained_with(2)
    assert (folder(runs) / "losses.jsonl").read_bytes() == (whole / "losses.jsonl").read_bytes()
    assert outcome(folder(runs)) == outcome(whole)


def test_they_go_on_after_a_pause(train, tiny, runs, trained_with):
    arguments = tiny(**BUDGET, train__loss_every=2)
    for part in ("0.3", "null"):
        assert train(*arguments, f"train.pause_at={part}").code == 0
    whole = trained_with(2)
    assert (folder(runs) / "losses.jsonl").read_bytes() == (whole / "losses.jsonl").read_bytes()


def test_they_lead_to_where_a_run_diverged(trained_with):
    where = trained_with(1, *typed({"optim": "sgd", "optim.lr": 1e12}))
    at = summary(where)["diverged_at"]
    steps, losses = load(where).losses
    assert summary(where)["status"] == "diverged" and steps == [*range(1, at + 1)]
    assert losses[-1] is None and None not in losses[:-1]


@pytest.mark.parametrize("value", [0, -1, 1.5, "often", "true"])
def test_another_number_of_steps_is_refused(train, tiny, value):
    done = train(*tiny(), f"train.loss_every={value}")
    assert done.code == 2
    assert f"train.loss_every={value}: must be a whole number above 0, or null" in done.err


def test_it_is_no_part_of_a_runs_identity(make_config):
    assert run_id(make_config({"train.loss_every": 1})) == run_id(make_config())


# -- the file --------------------------------------------------------------------------------------


def kept(run, upto, since=0, checkpoint_at=()):
    """As `trained`, with a loss for each step."""
    for step in range(since + 1, upto + 1):
        run.record_losses(LossBlock(step, 1, [1 / step]))
        trained(run, step, since=step - 1, checkpoint_at=checkpoint_at)


def test_a_resumed_run_keeps_no_loss_twice(run, tmp_path):
    go_on(run)
    kept(run, 5, checkpoint_at=(1, 3))
    again = Run(tmp_path / "runs", run.config)
    assert go_on(again)["step"] == 3
    assert [block["step"] for block in blocks(run.folder)] == steps(again) == [1, 2, 3]
    kept(again, 5, since=3)
    again.end(*ended(step=5))
    assert load(run.folder).losses == ([1, 2, 3, 4, 5], [1, 1 / 2, 1 / 3, 1 / 4, 1 / 5])
    assert {"losses.jsonl", "metrics.jsonl"} <= again.summary["sha256"].keys()


def test_a_checkpoint_newer_than_the_losses_is_not_used(run, heard):
    go_on(run)
    kept(run, 2, checkpoint_at=(1, 2))
    (run.folder / "losses.jsonl").write_text("")
    assert go_on(run) is None
    assert "losses.jsonl has lost lines" in heard.text
    assert lines(run) == [] and not (run.folder / "losses.jsonl").exists()


def test_a_checkpoint_of_before_there_were_losses_can_be_used(run, monkeypatch):
    """And what a later session keeps begins there."""
    save = checkpoint.save

    def older(folder, run_id, state):
        save(folder, run_id, {k: v for k, v in state.items() if not k.startswith("losses_")})

    go_on(run)
    with monkeypatch.context() as patched:
        patched.setattr(checkpoint, "save", older)
        trained(run, 2, checkpoint_at=(2,))
    again = Run(run.root, run.config)
    assert go_on(again)["step"] == 2
    again.record_losses(LossBlock(6, 2, [0.5, math.nan]))
    again.record_losses(None)
    trained(again, 6, since=2)
    again.end(*ended(step=6))
    assert load(run.folder).losses == ([4, 6], [0.5, None])


def test_a_run_without_them_has_no_such_file(run):
    go_on(run)
    trained(run, 2)
    run.end(*ended(step=2))
    assert not (run.folder / "losses.jsonl").exists()
    assert "losses.jsonl" not in run.summary["sha256"]
    assert load(run.folder).losses == ([], [])
