"""Prioritised replay: what can be drawn, how often, and which steps are forgotten."""

import math

import numpy as np
import pytest

from tasks.atari.prioritised import PrioritisedReplay
from tasks.q_learning.game import CUT_OFF, ENDED, GOES_ON

SHAPE = (2, 3)


def make(folder=None, capacity=24, environments=1, n_step=1, replace="oldest"):
    return PrioritisedReplay(
        replace=replace,
        seed=0,
        capacity=capacity,
        environments=environments,
        budget=10**6,
        n_step=n_step,
        gamma=0.5,
        shape=SHAPE,
        dtype=np.uint8,
        stack=4,
        folder=folder,
    )


def fill(replay, rows, seed=0, ends=(0.8, 0.12, 0.08)):
    random = np.random.default_rng(seed)
    for _ in range(rows):
        count = replay.environments
        replay.add(
            random.integers(256, size=(count, *SHAPE), dtype=np.uint8),
            random.integers(5, size=count),
            random.integers(-1, 2, size=count).astype(np.float32),
            random.choice([GOES_ON, ENDED, CUT_OFF], p=ends, size=count),
        )


def drawn(replay, count=2000):
    return set(replay.draw(np.random.default_rng(1), count).tolist())


@pytest.mark.parametrize(("environments", "n_step"), [(1, 1), (2, 3), (3, 5)])
def test_exactly_those_are_drawn_that_can_be(environments, n_step):
    replay = make(capacity=24 * environments, environments=environments, n_step=n_step)
    for rows in range(100):
        fill(replay, 1, seed=rows)
        slots = np.array(replay.drawable)
        cut_off = replay.cut_off(slots) if slots.size else slots
        wanted = {slot for slot, cut in zip(slots.tolist(), cut_off, strict=True) if not cut}
        assert replay.tree.total == len(wanted)  # all priorities are 1 yet
        if rows % 10 == 9:
            assert drawn(replay) == wanted


def test_a_new_step_has_the_largest_priority_and_a_drawn_one_its_own():
    replay = make()
    fill(replay, 30, ends=(1, 0, 0))  # slots 9 to 28 can be drawn
    replay.prioritise(np.array([10, 20, 28]), np.array([8.0, 2.0, 0.0]))
    fill(replay, 1, ends=(1, 0, 0))
    slots = replay.draw(np.random.default_rng(0), 50_000)
    shares = np.bincount(slots, minlength=31) / slots.size
    # Slot 9 has left; 29 came with priority 8; 17 steps have 1.
    total = 8 + 2 + 0 + 8 + 16
    wanted = np.zeros(31)
    wanted[10:30] = 1 / total
    wanted[[10, 20, 28, 29]] = np.array([8, 2, 0, 8]) / total
    np.testing.assert_allclose(shares, wanted, atol=0.003)


def test_importance_weights():
    replay = make()
    fill(replay, 20, ends=(1, 0, 0))
    slots = np.array([3, 4, 5])
    replay.prioritise(slots, np.array([1.0, 4.0, 16.0]))
    np.testing.assert_allclose(replay.weights(slots, beta=0.5), [1, 1 / 2, 1 / 4])
    np.testing.assert_allclose(replay.weights(slots, beta=1), [1, 1 / 4, 1 / 16])
    assert replay.weights(slots, beta=0).tolist() == [1, 1, 1]


@pytest.mark.parametrize("environments", [1, 3])
def test_random_steps_make_room_for_new_ones(environments):
    capacity = 600
    replay = make(capacity=capacity, environments=environments, replace="random")
    fill(replay, 5000 // environments, ends=(1, 0, 0))
    slots = np.flatnonzero(replay.tree[np.arange(replay.size)])
    start = replay.drawable.start
    ages = replay.drawable.stop - (start + (slots - start) % replay.size)
    # Each new step removes one of `capacity`: a step of some age is there with e^(-age/capacity).
    assert len(slots) / capacity == pytest.approx(1 - math.exp(-3), abs=0.02)
    for part in (0.5, 1, 2):
        younger = (ages <= part * capacity).mean() * len(slots) / capacity
        assert younger == pytest.approx(1 - math.exp(-part), abs=0.05)
    assert ages.max() <= 3 * capacity


def test_nothing_is_replaced_while_there_is_room():
    replay = make(capacity=60, replace="random")
    fill(replay, 61, ends=(1, 0, 0))
    assert drawn(replay) == set(range(60))
    fill(replay, 1, ends=(1, 0, 0))
    assert len(drawn(replay)) == 60 and 60 in drawn(replay)


@pytest.mark.parametrize("replace", ["oldest", "random"])
def test_a_restored_memory_goes_on_bit_for_bit(tmp_path, replace):
    replay = make(tmp_path, capacity=30, n_step=3, replace=replace)
    fill(replay, 150, seed=1)
    slots = replay.draw(np.random.default_rng(0), 8)
    replay.prioritise(slots, np.arange(1.0, 9.0))
    state = replay.state_dict()
    restored = make(tmp_path, capacity=30, n_step=3, replace=replace)
    restored.load_state_dict(state)
    results = []
    for memory in (replay, restored):
        fill(memory, 40, seed=2)
        slots = memory.draw(np.random.default_rng(3), 64)
        transitions = [tensor.tolist() for tensor in memory.transitions(slots)]
        results.append((slots.tolist(), transitions, memory.tree.total, memory.largest))
    assert results[0] == results[1]
