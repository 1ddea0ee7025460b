"""What a run measures: which losses it keeps, and what its clock counts as training."""

import math

import pytest
import torch

from engine import meters
from engine.meters import Clock, Losses


class Time:
    """A clock on the wall that a test sets."""

    def __init__(self):
        self.now = 100.0

    def monotonic(self):
        return self.now

    def passes(self, seconds):
        self.now += seconds


@pytest.fixture
def time(monkeypatch):
    monkeypatch.setattr(meters, "time", wall := Time())
    return wall


def test_training_time_is_that_of_steps(time):
    clock = Clock()
    time.passes(7)  # loggers start
    clock.start(0)
    time.passes(4)
    with clock.paused():  # an evaluation after two steps
        time.passes(1)
        clock.end_interval(2)
        assert clock.train_seconds() == 4
        clock.start_interval(2)
        time.passes(1)
    time.passes(6)
    with clock.paused():  # a checkpoint within the interval
        time.passes(10)
    time.passes(3)
    assert clock.train_seconds() == 13
    clock.end_interval(5)
    assert clock.step_seconds() == 2.5  # the median of 4 s for 2 steps and 9 s for 3
    assert clock.elapsed() == 32


def test_training_time_of_an_earlier_session_counts(time):
    first = Clock()
    first.start(0)
    time.passes(5)
    with first.paused():
        state = first.state_dict()
    second = Clock()
    second.load_state_dict(state)
    time.passes(2)
    second.start(1)
    time.passes(3)
    assert (second.train_seconds(), second.elapsed()) == (8, 10)
    # Of its first interval, only the steps of this session are timed.
    second.end_interval(2)
    assert second.step_seconds() == 3


def test_the_clock_stands_until_it_is_started(time):
    clock = Clock()
    time.passes(9)
    assert (clock.train_seconds(), clock.step_seconds()) == (0, None)


@pytest.mark.parametrize(
    ("step", "every", "kept"),
    [
        (5, 1, (5, [1, 2, 3, 4, 5])),
        (5, 2, (5, [2, 4])),
        (5, 5, (5, [5])),
        (5, 6, (5, [])),
        (12, 5, (12, [3])),  # of the steps 8 to 12
        (12, 4, (12, [1, 5])),
    ],
)
def test_every_so_many_th_loss_is_kept(step, every, kept):
    losses = Losses()
    for value in range(1, 6):
        losses.add(torch.tensor(float(value)))
    assert losses.kept(step, every) == kept


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_losses_are_kept_up_to_the_first_that_is_not_finite(bad):
    losses = Losses([1.0, 2.0, bad, 4.0, math.nan])
    step, kept = losses.kept(25, 1)
    assert step == 23 and kept[:2] == [1.0, 2.0] and not math.isfinite(kept[2]) and len(kept) == 3
    assert losses.kept(25, 2) == (23, [2.0])


def test_nothing_is_kept_of_no_steps():
    assert Losses().kept(7, 1) == (7, [])
