"""Deep Q-learning on any environment of gymnasium with flat observations and numbered actions."""

from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np
from torch import nn

from tasks.bounds import Count
from tasks.environments import EnvironmentGame, look_at
from tasks.q_learning.learner import QLearner


class Dqn(QLearner):
    """Deep Q-learning, as by Mnih et al. (2015), on an environment of gymnasium.

    An episode of the environment is a game, and its return is the score. Rewards are learned from
    as they are. An episode that its limit of steps cuts off is not learned to end there: its last
    `n_step` steps are not drawn.

    Args:
        environment: as gymnasium's registry has it, such as CartPole-v1; `module:Name-v0` imports
            the module first, which may register one.
        model: makes the network from the length of an observation and the number of actions.
        max_steps: after which an episode is cut off; None: as the environment says.
        **common: those of `QLearner`.

    Raises:
        ValueError: `tasks.environments.look_at` refuses it, or the numbers do not fit together.
    """

    # `train/return` looks back over 100 games, which here may be most of a run.
    headline = "test/return"
    extras: ClassVar = {"full": "gymnasium", "sample": "gymnasium"}
    dtype = np.float32
    stack = 1

    def __init__(
        self,
        *,
        environment: str,
        model: Callable[..., nn.Module],
        eval_episodes: Count,
        max_steps: Count | None = None,
        **common: Any,
    ):
        spaces = look_at(environment, max_steps)
        self.played, self.action_count = environment, spaces.actions
        self.shape = (spaces.observation,)
        self.network, self.max_steps = model, max_steps
        super().__init__(eval_episodes=eval_episodes, **common)
        if spaces.max_steps <= self.n_step:
            raise ValueError(
                f"task.n_step={self.n_step}: must be less than the {spaces.max_steps} steps after "
                f"which an episode of {environment} is cut off"
            )

    def new_network(self) -> nn.Module:
        return self.network(inputs=self.shape[0], actions=self.action_count)

    def new_game(self, seed: int, learns: bool, filmed: bool = False) -> EnvironmentGame:
        return EnvironmentGame(self.played, seed, self.max_steps)
