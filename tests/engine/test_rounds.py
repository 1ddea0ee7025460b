"""What is launched again, and what is given up, when launches end without their runs."""

import itertools
import logging
import os
from contextlib import ExitStack

import pytest

from engine import checkpoint, rounds
from engine.config import compose
from engine.run import Run

clock = itertools.count(1)


class Died(Exception):
    """As joblib says that a worker was killed."""


def touch(run, name):
    run.folder.mkdir(parents=True, exist_ok=True)
    (run.folder / name).write_text("{}")
    os.utime(run.folder / name, ns=(0, next(clock)))


def end(run):
    run.begin({"device": "cpu", "started": "now"}, None)
    run.record(1, {"train/loss": 0.5})
    last = {"train/loss": 0.5}
    best = {"train/loss": {"value": 0.5, "step": 1}}
    run.end("finished", {"step": 1, "steps": 1, "final": last, "best": best})


@pytest.fixture
def wanted(runs, tiny):
    """Four runs and how they are asked for."""
    asked = [tiny(seed=seed) for seed in range(4)]
    return [(Run(runs, compose(overrides)), overrides) for overrides in asked]


@pytest.fixture
def launched(monkeypatch, wanted):
    """Runs all, each launch as the next of the given functions has it; the batches by index."""
    runs = [run for run, _ in wanted]
    index = {id(overrides): i for i, (_, overrides) in enumerate(wanted)}

    def run_all(*plans):
        batches = []
        rest = iter(plans)

        def launch(task_function, settings, jobs, configs):
            batches.append([index[id(job)] for job in jobs])
            next(rest, all_end)(*[runs[i] for i in batches[-1]])
            return ["finished"] * len(jobs)

        monkeypatch.setattr(rounds, "launch", launch)
        rounds.run_all(print, [], wanted)
        return batches

    return run_all


def all_end(*runs):
    for run in runs:
        end(run)


def dies(*runs):
    raise Died("a worker was killed")


def test_a_death_between_two_runs(launched):
    def after_two(*runs):
        all_end(*runs[:2])
        dies()

    assert launched(after_two) == [[0, 1, 2, 3], [2, 3]]


def test_deaths_without_a_trace(launched):
    # Twice all that is left, and then one by one, since any may be the reason.
    assert launched(dies, dies) == [[0, 1, 2, 3], [0, 1, 2, 3], [0], [1, 2, 3]]


def test_it_gives_up_in_the_end(launched, wanted, caplog, monkeypatch):
    monkeypatch.setattr(logging.getLogger("adamily"), "propagate", True)
    batches = launched(*[dies] * 100)
    assert batches == [[0, 1, 2, 3], [0, 1, 2, 3], [0], [1], [2]]
    assert "giving up" in caplog.text
    assert not any(run.ended for run, _ in wanted)


def test_a_run_that_another_sweep_has_taken_over(launched, wanted, monkeypatch, capsys):
    (other, _), *_ = wanted
    held = ExitStack()
    polls = itertools.count(1)

    def taken(*runs):
        all_end(*runs[1:])
        held.enter_context(other.locked())
        dies()

    def other_ends(seconds):
        if next(polls) == 3:
            end(other)
            held.close()

    monkeypatch.setattr(rounds.time, "sleep", other_ends)
    assert launched(taken) == [[0, 1, 2, 3]]
    assert other.ended
    assert capsys.readouterr().out == f"waiting for what other processes train: {other.id}\n"


def begins(*runs):
    touch(runs[0], "environment.json")
    dies()


def saves(*runs):
    touch(runs[0], checkpoint.CURRENT)
    begins(*runs)


def test_a_run_that_dies_alone_has_failed(launched, wanted):
    assert launched(begins, all_end, begins, begins) == [[0, 1, 2, 3], [1, 2, 3], [0], [0]]
    assert [run.ended for run, _ in wanted] == [False, True, True, True]


def test_a_run_that_gets_on_before_it_dies_goes_on(launched, wanted):
    batches = launched(begins, all_end, begins, saves, begins, saves, saves)
    assert batches == [[0, 1, 2, 3], [1, 2, 3], *[[0]] * 6]
    assert all(run.ended for run, _ in wanted)


def test_a_run_whose_torchrun_ended_is_tried_again(wanted, monkeypatch):
    (run, _), *_ = wanted
    statuses = iter([["died", *["finished"] * 3], ["finished"]])
    batches = []

    def launch(task_function, settings, jobs, configs):
        batches.append(len(jobs))
        if len(jobs) == 4:
            touch(run, "environment.json")
            all_end(*[other for other, _ in wanted[1:]])
        else:
            end(run)
        return next(statuses)

    monkeypatch.setattr(rounds, "launch", launch)
    rounds.run_all(print, [], wanted)
    assert batches == [4, 1]


def test_a_job_that_raises_has_failed(wanted, monkeypatch, caplog):
    monkeypatch.setattr(logging.getLogger("adamily"), "propagate", True)

    def launch(task_function, settings, jobs, configs):
        end(wanted[0][0])
        return ["finished", *[OSError("no such place")] * 3]

    monkeypatch.setattr(rounds, "launch", launch)
    rounds.run_all(print, [], wanted)
    assert caplog.text.count("OSError: no such place") == 3
