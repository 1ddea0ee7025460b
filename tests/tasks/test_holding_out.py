"""Training examples that are held out: the same for every seed, of no batch, and counted."""

import pytest
import torch

from tasks.holding_out import divided, left_to_train


@pytest.mark.parametrize(
    ("count", "share", "left"), [(4000, 0.1, 3600), (10, 0.26, 7), (10, 0.001, 9), (7, None, 7)]
)
def test_a_share_is_the_nearest_number_and_at_least_one(count, share, left):
    assert left_to_train(count, share) == left


def test_something_is_left_to_train_on():
    with pytest.raises(ValueError, match=r"task.valid=0.99: leaves none of 10 training examples"):
        left_to_train(10, 0.99)


def test_every_example_is_on_one_side_and_both_are_mixed():
    left, held_out = divided(1000, 0.2)
    assert (len(left), len(held_out)) == (800, 200)
    assert torch.equal(torch.cat([left, held_out]).sort().values, torch.arange(1000))
    # Of a file that is sorted by class, each class is in both.
    assert (held_out // 100).bincount(minlength=10).min() >= 8
    assert torch.equal(divided(1000, 0.2)[1], held_out)
