"""Environments of gymnasium as games: flat observations, numbered actions, an exact resume."""

import difflib
import functools
import importlib
from typing import Any, NamedTuple

import numpy as np
import torch

from tasks.q_learning.game import CUT_OFF, ENDED, GOES_ON, Game, Step
from tasks.seeds import derive
from tasks.sources import DataError

MOST_ACTIONS = 256  # the replay memory has a byte for each

# Actions of the episode that two copies of an environment play when one is chosen.
TRIED = 100


class Spaces(NamedTuple):
    """What an agent must know of an environment.

    Attributes:
        observation: length of an observation.
        actions: how many there are.
        max_steps: after which an episode is cut off.
    """

    observation: int
    actions: int
    max_steps: int


class EnvironmentGame(Game):
    """One environment, each of whose episodes begins by a seed of its own.

    A state is the episode's number and its actions so far: it is reset by that seed and led through
    them again. Pickled environments would not do: some of gymnasium's (LunarLander) come back from
    a pickle as new ones, and to read one from a checkpoint would be to run whatever is in it.

    Args:
        name: as gymnasium's registry has it; `module:Name-v0` imports the module first.
        seed: of all its episodes.
        max_steps: after which an episode is cut off; None: as the environment says.

    Attributes:
        stack: (1, observation) float32.
    """

    def __init__(self, name: str, seed: int, max_steps: int | None):
        self.name = name
        self.seed = seed
        self._environment = make(name, max_steps)
        self._first_action = int(getattr(self._environment.action_space, "start", 0))
        self.stack = np.zeros((1, self._environment.observation_space.shape[0]), np.float32)
        self._episode = -1
        self._begin(0)

    def step(self, action: int) -> Step:
        reward, terminated, truncated = self._take(action)
        self._score += reward
        if not (terminated or truncated):
            return Step(reward, GOES_ON)
        game = (self._score, len(self._actions))
        self._begin(self._episode + 1)
        return Step(reward, ENDED if terminated else CUT_OFF, game=game)

    def _begin(self, episode: int) -> None:
        # Some take no seed of more than 31 bits.
        seed = derive(self.seed, "episode", episode) % 2**31
        self.stack[0], _ = self._environment.reset(seed=seed)
        self._episode, self._actions, self._score = episode, [], 0.0

    def _take(self, action: int) -> tuple[float, bool, bool]:
        self._actions.append(action)
        observation, reward, terminated, truncated, _ = self._environment.step(
            action + self._first_action
        )
        self.stack[0] = observation
        return float(reward), bool(terminated), bool(truncated)

    def close(self) -> None:
        self._environment.close()

    def state_dict(self) -> dict[str, Any]:
        return {
            "episode": self._episode,
            "actions": torch.tensor(self._actions, dtype=torch.uint8),
            "stack": torch.tensor(self.stack),
            "score": self._score,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Play the episode again, up to where it was.

        Raises:
            DataError: that leads elsewhere.
        """
        self._begin(state["episode"])
        for action in state["actions"].tolist():
            reward, _, _ = self._take(action)
            self._score += reward
        here = (self.stack.tobytes(), self._score)
        if here != (state["stack"].numpy().tobytes(), state["score"]):
            raise DataError(
                f"{self.name} comes to another state by the same seed and the same "
                f"{len(self._actions)} actions"
            )


def make(name: str, max_steps: int | None) -> Any:
    """An environment of gymnasium that was found usable by `look_at`."""
    import gymnasium

    return gymnasium.make(name, max_episode_steps=max_steps, disable_env_checker=True)


@functools.cache
def look_at(name: str, max_steps: int | None) -> Spaces:
    """What an agent must know of an environment.

    Raises:
        ValueError: there is no such environment, it cannot be made here, deep Q-learning has no use
            for its observations or actions, no step ends its episodes for sure, or an episode does
            not follow from its seed and actions, so that no run on it could be resumed exactly.
    """
    check_name(name)
    try:
        environment = make(name, max_steps)
    # Whatever an outside module raises; gymnasium's say what to install.
    except Exception as error:
        reason = str(error).partition("\n")[0] or type(error).__name__
        raise ValueError(f"task.environment={name}: {reason}") from error
    spaces = spaces_of(name, environment)
    environment.close()
    check_determinism(name, max_steps, spaces)
    return spaces


def check_name(name: str) -> None:
    """Raise ValueError where gymnasium's registry has no such name, with the closest it has."""
    try:
        import gymnasium
    except ModuleNotFoundError as error:
        raise ValueError("gymnasium is not installed: pip install 'adamily[gymnasium]'") from error
    module, _, identifier = str(name).rpartition(":")
    if module:
        try:
            importlib.import_module(module)
        except Exception as error:  # whatever is in it
            raise ValueError(
                f"task.environment={name}: {module} cannot be imported ({type(error).__name__})"
            ) from error
    known = list(gymnasium.registry)
    if identifier not in known:
        similar = difflib.get_close_matches(identifier[:80], known, n=5, cutoff=0)
        raise ValueError(
            f"task.environment={str(name)[:80]}: there is no such environment among the "
            f"{len(known)} of gymnasium.registry; the closest are {', '.join(similar)}"
        )


def spaces_of(name: str, environment: Any) -> Spaces:
    """What an agent must know of it, or ValueError."""
    from gymnasium.spaces import Box, Discrete

    observations, actions = environment.observation_space, environment.action_space
    if not isinstance(observations, Box) or len(observations.shape) != 1:
        raise ValueError(
            f"task.environment={name}: its observations are {described(observations)}, and must "
            f"be a Box of one dimension"
        )
    if not isinstance(actions, Discrete):
        raise ValueError(
            f"task.environment={name}: its actions are {described(actions)}, and must be Discrete"
        )
    if not 2 <= actions.n <= MOST_ACTIONS:
        raise ValueError(
            f"task.environment={name}: it has {actions.n} actions, and must have 2 to "
            f"{MOST_ACTIONS}"
        )
    most = environment.spec.max_episode_steps
    if most is None:
        raise ValueError(
            f"task.environment={name}: it has no limit of steps of its own; set task.max_steps"
        )
    return Spaces(observations.shape[0], int(actions.n), int(most))


def described(space: Any) -> str:
    shape = getattr(space, "shape", None)
    return f"a {type(space).__name__}" + (f" of shape {tuple(shape)}" if shape else "")


def check_determinism(name: str, max_steps: int | None, spaces: Spaces) -> None:
    """Raise ValueError where an episode's seed and actions do not say how it goes."""
    try:
        used, new = EnvironmentGame(name, 1, max_steps), EnvironmentGame(name, 0, max_steps)
        actions = np.random.default_rng(0).integers(spaces.actions, size=TRIED).tolist()
        for action in actions:
            used.step(action)
        used.seed = new.seed
        used._begin(0)
        same = [seen(used, None) == seen(new, None)]
        same += [seen(used, action) == seen(new, action) for action in actions]
    except Exception as error:  # whatever an environment raises
        reason = str(error).partition("\n")[0] or type(error).__name__
        raise ValueError(f"task.environment={name}: {reason}") from error
    if not all(same):
        raise ValueError(
            f"task.environment={name}: the same seed and actions lead to other observations or "
            f"rewards, so that a run could not be resumed exactly"
        )


def seen(game: EnvironmentGame, action: int | None) -> tuple[Step | None, bytes]:
    """What an agent sees of an action, or before the first one."""
    return None if action is None else game.step(action), game.stack.tobytes()
