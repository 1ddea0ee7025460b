"""Deep Q-learning: Mnih et al. (2015)."""

from abc import abstractmethod
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tasks.bounds import Count, CountOrZero, Fraction
from tasks.q_learning.agent import Agent
from tasks.q_learning.replay import Transitions
from tasks.task import build_model


class QLearner(Agent):
    """Deep Q-learning with a target network and ε-greedy exploration.

    Args:
        target_every: optimizer steps after which the target network becomes the network's copy.
        final_epsilon: the probability of a random action once it has fallen from 1.
        epsilon_starts: actions before it begins to fall. Until learning starts, all actions are
            random all the same.
        epsilon_steps: actions over which it then falls linearly.
        loss: of an error e, "huber" (e²/2 up to 1 and |e| - 1/2 above, so that its gradient is
            clipped to ±1, as Mnih et al. say) or "squared" (e²).
        **common: those of `Agent`.
    """

    def __init__(
        self,
        *,
        target_every: Count,
        final_epsilon: Fraction,
        epsilon_starts: CountOrZero,
        epsilon_steps: Count,
        seed: int,
        device: torch.device,
        root: Path,  # of data sets, which games do not need
        loss: Literal["huber", "squared"] = "huber",
        **common: Any,
    ):
        super().__init__(seed=seed, device=device, **common)
        self.target_every = target_every
        self.final_epsilon = final_epsilon
        self.epsilon_starts = epsilon_starts
        self.epsilon_steps = epsilon_steps
        self.loss_of_errors = F.smooth_l1_loss if loss == "huber" else F.mse_loss
        self.model = build_model(self.new_network, seed, device)
        self.target = build_model(self.new_network, seed, device).requires_grad_(False)

    @abstractmethod
    def new_network(self) -> nn.Module:
        """States (batch, stack, *shape) → values (batch, actions); asked for by the constructor."""

    @property
    def epsilon(self) -> float:
        """The probability of a random action."""
        falling = max(0, self.actions_taken - self.epsilon_starts)
        progress = min(1.0, falling / self.epsilon_steps)
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
        """The mean loss of the errors of the chosen actions' values."""
        states, actions, returns, next_states, discounts = batch
        with torch.no_grad():
            targets = returns + discounts * self.target(next_states).amax(1)
        values = self.model(states).gather(1, actions[:, None]).squeeze(1)
        return self.loss_of_errors(values, targets)

    def after_step(self, step: int) -> None:
        if (step + 1) % self.target_every == 0:
            self.target.load_state_dict(self.model.state_dict())

    def state_dict(self) -> dict[str, Any]:
        return super().state_dict() | {"target": self.target.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        super().load_state_dict(state)
        self.target.load_state_dict(state["target"])
