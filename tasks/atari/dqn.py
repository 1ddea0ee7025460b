"""Deep Q-learning on Atari games: Mnih et al. (2015)."""

from collections import deque
from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np
from torch import nn

from tasks.atari.games import NO_OPS, SKIP, STACK, AtariGame, count_actions
from tasks.atari.video import Video
from tasks.bounds import Count
from tasks.metrics import Metric
from tasks.q_learning.agent import RECENT
from tasks.q_learning.game import Step
from tasks.q_learning.learner import QLearner


class AtariDqn(QLearner):
    """Deep Q-learning on a game of `ale_py`.

    A step of the agent is one action, which lasts for four frames of the game. Rewards are clipped
    to ±1 and a lost life ends an episode, for learning; `train/return_per_life` is a mean over the
    last 100 lives. The first game of an evaluation is an artifact, `game.gif`.

    Args:
        game: as in ale_py, such as space_invaders.
        model: makes the network from the number of actions, the padding and the side of a frame.
        side: of a frame, in pixels.
        padding: of its convolutions, "valid" or "same".
        max_frames: after which a game is cut off.
        **common: those of `QLearner`.

    Raises:
        ValueError: there is no such game, or the numbers do not fit together.
    """

    metrics: ClassVar = {
        **QLearner.metrics,
        "train/return_per_life": Metric("score in a life (mean of 100)", "max"),
    }
    extras: ClassVar = {"full": "atari", "sample": "atari"}
    dtype = np.uint8
    stack = STACK

    def __init__(
        self,
        *,
        game: str,
        model: Callable[..., nn.Module],
        side: Count,
        padding: str,
        max_frames: Count,
        **common: Any,
    ):
        self.played, self.action_count, self.shape = game, count_actions(game), (side, side)
        self.network, self.padding, self.max_frames = model, padding, max_frames
        super().__init__(**common)
        check_length(max_frames, self.n_step)
        self.frames_per_step = self.train_every * SKIP
        self.life_returns: deque[float] = deque(maxlen=RECENT)
        self._video: Video | None = None

    def new_network(self) -> nn.Module:
        return self.network(actions=self.action_count, padding=self.padding, side=self.shape[0])

    def new_game(self, seed: int, learns: bool, filmed: bool = False) -> AtariGame:
        if filmed:
            self._video = Video()
        side = self.shape[0]
        return AtariGame(self.played, side, seed, self.max_frames, learns, in_colour=filmed)

    def to_learn_from(self, rewards: np.ndarray) -> np.ndarray:
        return np.clip(rewards, -1, 1)

    def keep_scores(self, steps: list[Step]) -> None:
        super().keep_scores(steps)
        self.life_returns.extend(step.life for step in steps if step.life is not None)

    @property
    def recent(self) -> dict[str, deque[Any]]:
        return super().recent | {"train/return_per_life": self.life_returns}

    def film(self, game: AtariGame) -> None:
        if self._video is not None:
            self._video.add(game.picture)

    def keep_film(self) -> None:
        if self._video is not None:
            self.context.artifacts["game.gif"] = self._video.gif()
            self._video = None

    def state_dict(self) -> dict[str, Any]:
        return super().state_dict() | {"life_returns": list(self.life_returns)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        super().load_state_dict(state)
        self.life_returns.extend(state["life_returns"])


def check_length(max_frames: int, n_step: int) -> None:
    """Raise ValueError where a game may be cut off within the n steps that a return is over."""
    least = NO_OPS + SKIP * n_step
    if max_frames <= least:
        raise ValueError(
            f"task.max_frames={max_frames}: must be more than {least}, for up to {NO_OPS} frames "
            f"that a game waits at its start and {SKIP} for each of task.n_step={n_step}"
        )
