"""Rainbow: deep Q-learning with six extensions, Hessel et al. (2018)."""

import functools
from typing import Any

import numpy as np
import torch
from torch import Tensor

from tasks.atari import categorical
from tasks.atari.dqn import AtariDqn
from tasks.atari.games import SIDE
from tasks.atari.prioritised import REPLACEMENTS, PrioritisedReplay
from tasks.atari.replay import GOES_ON
from tasks.seeds import derive

# Added to each divergence, so that no step is never drawn again (Schaul et al. 2016).
LEAST_PRIORITY = 1e-6

# States, actions, returns, next states, discounts, importance weights, slots in the memory.
Batch = tuple[Tensor, ...]


class AtariRainbow(AtariDqn):
    """Deep Q-learning with distributions of returns, noisy layers and prioritised replay.

    Targets are those of double Q-learning over n steps, and the loss is the divergence between
    distributions. The noise is drawn anew before each batch's actions and once more before its
    loss. Evaluation is without noise.

    Args:
        v_max: the atoms of the distributions lie from -v_max to v_max.
        priority_exponent: ω; a step's priority is its last divergence to this power.
        importance_exponent: β at the start, from where it rises to 1 at the end of the budget.
        replace: what makes room in a full memory, the "oldest" step or a "random" one.
        same_noise: whether the target network has the noise of the network in each loss, and not
            one of its own.
        random_after: steps of an episode from which all actions are random until it ends; None:
            never.
        **others: those of `AtariDqn`.

    Raises:
        ValueError: an unknown `replace`.
    """

    def __init__(
        self,
        *,
        v_max: float,
        priority_exponent: float,
        importance_exponent: float,
        replace: str,
        same_noise: bool,
        random_after: int | None,
        **others: Any,
    ):
        if replace not in REPLACEMENTS:
            raise ValueError(f"task.replace={replace}: must be one of {', '.join(REPLACEMENTS)}")
        super().__init__(**others)
        self.priority_exponent = priority_exponent
        self.importance_exponent = importance_exponent
        self.replace = replace
        self.same_noise = same_noise
        self.random_after = random_after
        self.support = torch.linspace(-v_max, v_max, self.model.atoms, device=self.device)
        self._episode_steps = np.zeros(self.environments, np.int64)
        self._divergences: list[tuple[Tensor, Tensor]] = []

    @functools.cached_property
    def replay(self) -> PrioritisedReplay:
        return PrioritisedReplay(
            replace=self.replace,
            seed=derive(self.seed, "replacement"),
            capacity=self.capacity,
            environments=self.environments,
            n_step=self.n_step,
            gamma=self.gamma,
            shape=(SIDE, SIDE),
            folder=self.folder,
        )
