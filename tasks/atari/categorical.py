"""Returns as distributions over fixed atoms: C51, by Bellemare et al. (2017).

Sums over atoms are not written as matrix products, which autocast would round to 16 bits.
"""

import torch
from torch import Tensor


def values(log_probabilities: Tensor, support: Tensor) -> Tensor:
    """Expected returns: (…, atoms) → (…)."""
    return (log_probabilities.exp() * support).sum(-1)


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
    return ((1 - distances).clamp(min=0) * probabilities[:, None]).sum(2)


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
