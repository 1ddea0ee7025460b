"""What an agent asks of that which it plays."""

from abc import ABC, abstractmethod
from typing import Any, NamedTuple

import numpy as np

# How an episode is after a step. One that ended by itself is worth nothing from there on; one that
# was cut off would have gone on.
GOES_ON, ENDED, CUT_OFF = 0, 1, 2


class Step(NamedTuple):
    """What an action has led to.

    Attributes:
        reward: the change of the score.
        end: GOES_ON, ENDED or CUT_OFF, for the agent.
        life: the score of a life that was lost, or of a game that ended; else None. Also None
            where there are no lives.
        game: the score and the steps of a game that ended; else None.
    """

    reward: float
    end: int
    life: float | None = None
    game: tuple[float, int] | None = None


class Game(ABC):
    """Something to play, which begins anew after each game.

    Attributes:
        stack: (stack, *shape), the state that the next action is chosen on: the newest frame or
            observation is the last one, and zeros stand for what lies before the episode.
    """

    stack: np.ndarray

    @abstractmethod
    def step(self, action: int) -> Step:
        """Take an action, a number from 0; where that ends the game, begin the next one."""

    def close(self) -> None:
        """Give back what it holds of the machine; called when no more is played."""

    @abstractmethod
    def state_dict(self) -> dict[str, Any]:
        """All that the game needs to go on bit for bit, as tensors, numbers and texts."""

    @abstractmethod
    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from what `state_dict` gave, in another process, too."""
