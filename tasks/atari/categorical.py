"""Returns as distributions over atoms: C51 (Bellemare et al. 2017); and returns of n steps."""

import torch
from torch import Tensor


def values(log_probabilities: Tensor, support: Tensor) -> Tensor:
    """Expected returns: (…, atoms) → (…)."""
    return log_probabilities.exp() @ support


def project(probabilities: Tensor, rewards: Tensor, discounts: Tensor, support: Tensor) -> Tensor:
    """The distribution of reward + discount·return, as probabilities of the atoms.

    Each atom is moved and kept within the support; its probability is then shared by the two atoms
    that it lies between, in proportion to how near they are (Bellemare et al., equation 7).

    Args:
        probabilities: of the returns that follow (batch, atoms).
        rewards: (batch,).
        discounts: (batch,); 0 where the episode has terminated.
        support: the returns that have probabilities, equally far apart (atoms,).
    """
    spacing = (support[-1] - support[0]) / (len(support) - 1)
    moved = rewards[:, None] + discounts[:, None] * support
    moved = moved.clamp(support[0], support[-1])
    distances = (moved[:, None, :] - support[:, None]).abs() / spacing
    return ((1 - distances).clamp(min=0) @ probabilities[:, :, None]).squeeze(2)


def double_q_target(online: Tensor, target: Tensor, support: Tensor) -> Tensor:
    """The target network's probabilities for the action that the online network thinks best.

    Both inputs are log-probabilities (batch, actions, atoms) in the state that follows; van Hasselt
    et al. (2016), with distributions.
    """
    best = values(online, support).argmax(1)
    return target[torch.arange(len(target), device=target.device), best].exp()


def divergence(target: Tensor, log_probabilities: Tensor) -> Tensor:
    """D_KL(target ‖ prediction) of each example: (batch, atoms) twice → (batch,)."""
    return (torch.xlogy(target, target) - target * log_probabilities).sum(1)


def several_steps(
    rewards: Tensor, terminated: Tensor, truncated: Tensor, discount: float
) -> tuple[Tensor, Tensor, Tensor]:
    """What follows an action over up to n steps, fewer where its episode ends before.

    Only what the end of the episode says counts: a terminated one is worth nothing more, while one
    that was cut off goes on being worth what its last observation is.

    Args:
        rewards: of n steps (batch, n); what stands behind an end is ignored.
        terminated: whether the step ended the episode (batch, n).
        truncated: whether the episode was cut off after the step (batch, n).
        discount: γ.

    Returns:
        Σ γ^k r_k over the steps of the episode; the number of those steps, after which the state
        lies whose value follows; and the factor of that value, γ^steps, or 0 where the episode
        terminated. Each is (batch,).
    """
    ended = terminated | truncated
    # Step k belongs to the episode if none of the steps before it ended it.
    alive = (ended.cumsum(1) - ended.int()) == 0
    powers = discount ** torch.arange(rewards.size(1), device=rewards.device)
    returns = (rewards * alive * powers).sum(1)
    steps = alive.sum(1)
    over = (terminated & alive).any(1)
    return returns, steps, torch.where(over, 0.0, discount**steps)
