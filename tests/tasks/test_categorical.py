"""Distributional targets against a plain reference and by hand."""

import math

import torch

from tasks.atari.categorical import (
    divergence,
    double_q_target,
    project,
    values,
)


def distributions(*shape, dtype=torch.float32):
    return torch.randn(*shape, dtype=dtype).mul(3).softmax(-1)


def reference(probabilities, reward, discount, low, high):
    """Algorithm 1 of Bellemare et al. (2017), atom by atom."""
    count = len(probabilities)
    spacing = (high - low) / (count - 1)
    shared = [0.0] * count
    for j, p in enumerate(probabilities):
        b = (min(max(reward + discount * (low + j * spacing), low), high) - low) / spacing
        lower, upper = math.floor(b), math.ceil(b)
        if lower == upper:  # the algorithm as printed would lose this one
            shared[lower] += p
        else:
            shared[lower] += p * (upper - b)
            shared[upper] += p * (b - lower)
    return shared


def test_the_projection_is_that_of_the_paper():
    torch.manual_seed(0)
    support = torch.linspace(-10, 10, 51, dtype=torch.float64)
    probabilities = distributions(64, 51, dtype=torch.float64)
    rewards = torch.randn(64, dtype=torch.float64).mul(4)
    discounts = torch.rand(64, dtype=torch.float64)
    discounts[::4] = 0
    projected = project(probabilities, rewards, discounts, support)
    for row, *example in zip(projected, probabilities, rewards, discounts, strict=True):
        p, reward, discount = (tensor.tolist() for tensor in example)
        wanted = torch.tensor(reference(p, reward, discount, -10, 10)).double()
        torch.testing.assert_close(row, wanted)
    torch.testing.assert_close(projected.sum(1), torch.ones(64).double())


def test_a_return_between_two_atoms_is_shared_by_nearness():
    support = torch.linspace(0, 2, 3)
    certain = torch.tensor([[0.0, 1.0, 0.0]])  # a return of 1
    shared = project(certain, torch.tensor([0.5]), torch.tensor([0.75]), support)
    torch.testing.assert_close(shared, torch.tensor([[0.0, 0.75, 0.25]]))  # 0.5 + 0.75·1
    # After a terminal step only the reward is left, and beyond the support it is the last atom.
    assert project(certain, torch.tensor([1.0]), torch.zeros(1), support).tolist() == [[0, 1, 0]]
    assert project(certain, torch.tensor([9.0]), torch.ones(1), support).tolist() == [[0, 0, 1]]


def test_within_the_support_the_mean_is_that_of_the_moved_returns():
    support = torch.linspace(-10, 10, 51)
    probabilities = distributions(8, 51)
    moved = project(probabilities, torch.full((8,), 0.3), torch.full((8,), 0.9), support)
    expected = 0.3 + 0.9 * values(probabilities.log(), support)
    torch.testing.assert_close(values(moved.log(), support), expected, rtol=1e-5, atol=1e-5)


def test_autocast_leaves_distributions_as_they_are():
    support = torch.linspace(-10, 10, 51)
    probabilities = distributions(8, 51)
    given = probabilities, torch.rand(8), torch.full((8,), 0.97), support
    with torch.autocast("cpu", torch.bfloat16):
        moved, means = project(*given), values(probabilities.log(), support)
    assert torch.equal(moved, project(*given))
    assert torch.equal(means, values(probabilities.log(), support))


def test_the_online_network_chooses_and_the_target_network_judges():
    support = torch.linspace(0, 1, 2)
    online = torch.tensor([[[0.9, 0.1], [0.2, 0.8]], [[0.3, 0.7], [0.6, 0.4]]]).log()
    target = torch.tensor([[[0.1, 0.9], [0.7, 0.3]], [[0.4, 0.6], [0.0, 1.0]]]).log()
    chosen = double_q_target(online, target, support)
    torch.testing.assert_close(chosen, torch.tensor([[0.7, 0.3], [0.4, 0.6]]))


def test_the_divergence_is_zero_at_the_target_and_its_gradient_that_of_cross_entropy():
    target = torch.tensor([[0.0, 0.25, 0.75], [1.0, 0.0, 0.0]])
    logits = torch.randn(2, 3, requires_grad=True)
    loss = divergence(target, logits.log_softmax(1))
    assert (loss > 0).all()
    loss.sum().backward()
    torch.testing.assert_close(logits.grad, logits.detach().softmax(1) - target)
    least = divergence(target, target.clamp(min=1e-30).log())
    torch.testing.assert_close(least, torch.zeros(2))
