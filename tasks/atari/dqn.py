"""Deep Q-learning: Mnih et al. (2015)."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tasks.atari.agent import Agent
from tasks.atari.replay import Transitions
from tasks.bounds import Count, Fraction
from tasks.task import build_model


class AtariDqn(Agent):
    """Deep Q-learning with a target network and ε-greedy exploration.

    Args:
        model: makes the network from the number of actions, the padding and the side of a frame.
        padding: of its convolutions, "valid" or "same".
        target_every: optimizer steps after which the target network becomes the network's copy.
        final_epsilon: the probability of a random action once it has fallen from 1.
        epsilon_steps: actions, from the first one on, over which it falls linearly. Until learning
            starts, all actions are random.
        **common: those of `Agent`.
    """

    def __init__(
        self,
        *,
        model: Callable[..., nn.Module],
        padding: str,
        target_every: Count,
        final_epsilon: Fraction,
        epsilon_steps: Count,
        seed: int,
        device: torch.device,
        root: Path,  # of data sets, which games do not need
        **common: Any,
    ):
        super().__init__(seed=seed, device=device, **common)
        self.target_every = target_every
        self.final_epsilon = final_epsilon
        self.epsilon_steps = epsilon_steps

        def make() -> nn.Module:
            return model(actions=self.action_count, padding=padding, side=self.side)

        self.model = build_model(make, seed, device)
        self.target = build_model(make, seed, device).requires_grad_(False)

    @property
    def epsilon(self) -> float:
        """The probability of a random action."""
        progress = min(1.0, self.actions_taken / self.epsilon_steps)
        return 1.0 + progress * (self.final_epsilon - 1.0)

    def choose(self, states: Tensor, random: np.random.Generator) -> np.ndarray:
        explores = random.random(len(states)) < self.epsilon
        actions = random.integers(self.action_count, size=len(states))
        if not explores.all():
            greedy = self.values(states).argmax(1).cpu().numpy()
            actions = np.where(explores, actions, greedy)
        return actions

    def values(self, states: Tensor) -> Tensor:
        return self.model(states)

    def loss(self, batch: Transitions) -> Tensor:
        """The Huber loss: where an error is above 1, its gradient is clipped to ±1."""
        states, actions, returns, next_states, discounts = batch
        with torch.no_grad():
            targets = returns + discounts * self.target(next_states).amax(1)
        values = self.model(states).gather(1, actions[:, None]).squeeze(1)
        return F.smooth_l1_loss(values, targets)

    def after_step(self, step: int) -> None:
        if (step + 1) % self.target_every == 0:
            self.target.load_state_dict(self.model.state_dict())

    def state_dict(self) -> dict[str, Any]:
        return super().state_dict() | {"target": self.target.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        super().load_state_dict(state)
        self.target.load_state_dict(state["target"])
