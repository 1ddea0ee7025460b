"""The sum tree against numpy's plain cumulative sums."""

import numpy as np
import pytest
import torch

from tasks.atari.sum_tree import SumTree


@pytest.mark.parametrize("capacity", [1, 2, 5, 64, 1000])
def test_random_operations_against_a_plain_list_of_priorities(capacity):
    random = np.random.default_rng(capacity)
    tree, plain = SumTree(capacity), np.zeros(capacity)
    for _ in range(200):
        places = random.integers(capacity, size=random.integers(1, 9))
        # Whole numbers, of which both sums are exact; a third of them 0.
        priorities = random.integers(0, 3, places.size) * random.integers(1, 9, places.size)
        tree[places] = priorities
        plain[places] = priorities
        assert tree.total == plain.sum()
        np.testing.assert_array_equal(tree[np.arange(capacity)], plain)
        if plain.any():
            sums = random.integers(0, plain.sum(), 20)
            np.testing.assert_array_equal(
                tree.find(sums), plain.cumsum().searchsorted(sums, "right")
            )


def test_places_are_drawn_in_proportion_to_their_priorities():
    tree, random = SumTree(6), np.random.default_rng(0)
    tree[[0, 2, 3, 5]] = [1, 2, 3, 4]
    drawn = np.concatenate([tree.draw(32, random) for _ in range(1000)])
    shares = np.bincount(drawn, minlength=6) / drawn.size
    np.testing.assert_allclose(shares, [0.1, 0, 0.2, 0.3, 0, 0.4], atol=0.005)


def test_each_equal_part_of_the_sum_gives_one_place():
    tree = SumTree(32)
    tree[np.arange(32)] = 1.0
    for seed in range(5):
        places = tree.draw(32, np.random.default_rng(seed))
        np.testing.assert_array_equal(places, np.arange(32))


def test_a_place_without_priority_is_never_found():
    tree = SumTree(8)
    tree[[1, 4]] = [0.1, 0.2]
    sums = [0.0, np.nextafter(tree.total, 0), tree.total, 2 * tree.total]
    np.testing.assert_array_equal(tree.find(sums), [1, 4, 4, 4])


def test_nothing_drifts():
    tree, random = SumTree(100), np.random.default_rng(0)
    for _ in range(2000):
        tree[random.integers(100, size=32)] = random.random(32) * 10.0 ** random.integers(-8, 8, 32)
    tree[np.arange(100)] = 0
    assert tree.total == 0


def test_a_restored_tree_is_the_same_bit_for_bit():
    tree, random = SumTree(777), np.random.default_rng(0)
    for _ in range(50):
        tree[random.integers(777, size=32)] = random.random(32)
    restored = SumTree(777)
    restored.load_state_dict(tree.state_dict())
    np.testing.assert_array_equal(restored._nodes, tree._nodes)
    # What was saved does not change with the tree.
    state = tree.state_dict()
    tree[[3]] = 9.0
    assert state["priorities"].dtype == torch.float64 and state["priorities"][3] != 9


@pytest.mark.parametrize("wrong", [-1.0, np.nan, np.inf])
def test_an_impossible_priority_is_refused(wrong):
    with pytest.raises(ValueError, match="priorities must be finite and 0 or above, not"):
        SumTree(4)[[0, 1]] = [1.0, wrong]


def test_nothing_to_draw_is_said():
    with pytest.raises(ValueError, match="nothing to draw: all priorities are 0"):
        SumTree(4).draw(2, np.random.default_rng(0))
