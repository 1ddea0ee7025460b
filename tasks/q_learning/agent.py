"""What all agents have in common that learn from replayed transitions of a game."""

import functools
import logging
import math
from abc import abstractmethod
from collections import deque
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from tasks.bounds import Count, CountOrZero, Fraction
from tasks.metrics import Metric
from tasks.q_learning.game import Game, Step
from tasks.q_learning.replay import Replay, Transitions
from tasks.seeds import derive
from tasks.task import Task
from tasks.transfer import to_device

log = logging.getLogger("adamily")

RECENT = 100  # games that a moving mean is over


class Agent(Task):
    """An agent that plays several games, and by turns learns from what it remembers.

    `batch` lets the agent act until it has made `train_every` steps more than at the batch before,
    whatever the number of games, and draws from the replay memory. So it follows from (seed, step)
    and from the network as it was in all steps before: unlike that of other tasks, it cannot be
    asked for twice.

    The metrics count whole games and full scores. In training, `train/return` and `train/length`
    are means over the last 100 games. `test/return` and `test/length` have a value for each of
    `eval_episodes` games, which begin and explore the same in every evaluation.

    Args:
        agent_steps: the budget, in actions.
        learning_starts: actions before the first batch.
        train_every: actions from one batch to the next.
        environments: games that are played side by side.
        batch_size: transitions in a batch.
        capacity: transitions that are remembered.
        n_step: over which rewards are summed.
        gamma: the discount of a step.
        steps: optimizer steps instead of `agent_steps`; None leaves it to them.
        eval_every: optimizer steps between evaluations.
        eval_episodes: games in an evaluation.
        eval_epsilon: the probability of a random action in them.
        seed: of all that is drawn.
        device: where the network lives.

    Attributes:
        played: the name of the game. It, `action_count` and `shape` are set before this class's
            constructor is called.
        action_count: actions that the game has.
        shape: of a frame, or of whatever is observed.
        dtype: of the numbers in it; of the class.
        stack: how many of them make a state; of the class.
        actions_taken: so far, in all games together.

    Raises:
        ValueError: the numbers do not fit together.
    """

    metrics: ClassVar = {
        # Mean score and length, in actions, of the last 100 games in training.
        "train/return": Metric("score (mean of 100 games)", "max"),
        "train/length": Metric("actions in a game (mean of 100)"),
        # The same, one value for each of an evaluation's games.
        "test/return": Metric("score (evaluation)", "max"),
        "test/length": Metric("actions in a game (evaluation)"),
        # Of that score's mean over the games, of which there must be two: the evaluated network's
        # luck, which says nothing of other runs.
        "test/return_error": Metric("standard error over an evaluation's games"),
        "test/max_q": Metric("mean value of the best action"),
        # Since the start of the run.
        "agent/steps": Metric("actions"),
    }
    headline = "train/return"
    shareable = False  # each process would play games of its own

    played: str
    action_count: int
    shape: tuple[int, ...]
    dtype: ClassVar[type[np.generic]]
    stack: ClassVar[int]

    def __init__(
        self,
        *,
        agent_steps: Count,
        learning_starts: Count,
        train_every: Count,
        environments: Count,
        batch_size: Count,
        capacity: Count,
        n_step: Count,
        gamma: Fraction,
        steps: Count | None,
        eval_every: Count,
        eval_episodes: CountOrZero,
        eval_epsilon: Fraction,
        seed: int,
        device: torch.device,
    ):
        check_memory(capacity, environments, n_step, learning_starts, self.stack)
        budget = (agent_steps - learning_starts) // train_every
        if steps is None and budget < 1:
            raise ValueError(
                f"task.agent_steps={agent_steps}: must leave steps to train on after "
                f"task.learning_starts={learning_starts}"
            )
        self.learning_starts = learning_starts
        self.train_every = train_every
        self.environments = environments
        self.batch_size = batch_size
        self.capacity = capacity
        self.n_step = n_step
        self.gamma = gamma
        self.steps = steps if steps is not None else budget
        self.eval_every = eval_every
        self.eval_episodes = eval_episodes
        self.eval_epsilon = eval_epsilon
        self.seed = seed
        self.device = device
        self.actions_taken = 0
        self.returns: deque[float] = deque(maxlen=RECENT)
        self.lengths: deque[int] = deque(maxlen=RECENT)

    @abstractmethod
    def new_game(self, seed: int, learns: bool, filmed: bool = False) -> Game:
        """A game to learn from, or one of an evaluation, which may be the one that is filmed."""

    @abstractmethod
    def choose(self, states: Tensor, random: np.random.Generator) -> np.ndarray:
        """The actions (states,) to explore with; states are (states, stack, *shape)."""

    @abstractmethod
    def values(self, states: Tensor) -> Tensor:
        """The values (states, actions) that the network gives to the actions in these states."""

    def prepare(self) -> None:
        """Raise DataError where the replay memory will not fit, before anything is played."""
        if self.context.folder is not None:
            _ = self.replay  # its constructor checks

    # -- acting and drawing ------------------------------------------------------------------------

    @functools.cached_property
    def games(self) -> list[Any]:
        """The games that are played to learn from, each a `Game`."""
        seeds = [derive(self.seed, "game", number) for number in range(self.environments)]
        return [self.new_game(seed, learns=True) for seed in seeds]

    @functools.cached_property
    def replay(self) -> Replay:
        """The memory, which lies in the run's folder where there is one."""
        return Replay(**self.replay_settings)

    @property
    def replay_settings(self) -> dict[str, Any]:
        """What every kind of memory is made from."""
        return {
            "capacity": self.capacity,
            "environments": self.environments,
            "budget": self.actions_due(self.steps - 1),
            "n_step": self.n_step,
            "gamma": self.gamma,
            "shape": self.shape,
            "dtype": self.dtype,
            "stack": self.stack,
            "folder": self.context.folder,
        }

    def act(self) -> None:
        """Take a step in every game, and remember it."""
        states = np.stack([game.stack for game in self.games])
        random = np.random.default_rng(derive(self.seed, "exploration", self.actions_taken))
        if self.actions_taken < self.learning_starts:
            actions = random.integers(self.action_count, size=len(states))
        else:
            with torch.no_grad():
                actions = self.choose(to_device(torch.from_numpy(states), self.device), random)
        pairs = zip(self.games, actions.tolist(), strict=True)
        steps = [game.step(action) for game, action in pairs]
        rewards = self.to_learn_from(np.array([step.reward for step in steps]))
        self.replay.add(states[:, -1], actions, rewards, np.array([step.end for step in steps]))
        self.actions_taken += len(steps)
        self.keep_scores(steps)

    def to_learn_from(self, rewards: np.ndarray) -> np.ndarray:
        """What stands in the memory for these changes of scores."""
        return rewards

    def keep_scores(self, steps: list[Step]) -> None:
        """Keep the scores of games that these steps have ended."""
        for step in steps:
            if step.game is not None:
                self.returns.append(step.game[0])
                self.lengths.append(step.game[1])

    @property
    def recent(self) -> dict[str, deque[Any]]:
        """What metrics of the training are means of."""
        return {"train/return": self.returns, "train/length": self.lengths}

    def actions_due(self, step: int) -> int:
        """Actions to be taken before the batch of this step."""
        return self.learning_starts + step * self.train_every

    def act_until(self, step: int) -> None:
        """Act until the batch of this step is due."""
        while self.actions_taken < self.actions_due(step):
            self.act()
        self.context.checkpoint_requested = self.replay.checkpoint_due

    def batch(self, step: int) -> tuple[Tensor, ...]:
        """Act until this step's batch is due, and draw it."""
        self.act_until(step)
        random = np.random.default_rng(derive(self.seed, "replay", step))
        drawn = self.replay.transitions(self.replay.draw(random, self.batch_size))
        return Transitions(*(to_device(tensor, self.device) for tensor in drawn))

    # -- evaluation --------------------------------------------------------------------------------

    def evaluate(self) -> dict[str, float | Tensor]:
        metrics: dict[str, float | Tensor] = {"agent/steps": self.actions_taken}
        recent = self.recent.items()
        metrics |= {name: float(np.mean(values)) for name, values in recent if values}
        if not self.returns and self.actions_taken:
            log.warning(
                "No game of %s has ended in %d steps of the agent: this evaluation goes without "
                "train/return.",
                self.played,
                self.actions_taken,
            )
        return metrics | (self.play() if self.eval_episodes else {})

    def play(self) -> dict[str, float | Tensor]:
        """Play the evaluation's games to their ends, side by side."""
        seeds = [derive(self.seed, "evaluation", number) for number in range(self.eval_episodes)]
        games = [
            self.new_game(seed, learns=False, filmed=self.context.keeps_artifacts and number == 0)
            for number, seed in enumerate(seeds)
        ]
        randoms = [np.random.default_rng(derive(seed, "exploration")) for seed in seeds]
        results: dict[int, tuple[float, int]] = {}  # scores and lengths of games that have ended
        max_q: list[Tensor] = []
        while playing := [number for number in range(len(games)) if number not in results]:
            states = torch.from_numpy(np.stack([games[number].stack for number in playing]))
            if 0 in playing:
                self.film(games[0])
            values = self.values(to_device(states, self.device))
            max_q.append(values.amax(1).float().cpu())
            for number, greedy in zip(playing, values.argmax(1).tolist(), strict=True):
                explores = randoms[number].random() < self.eval_epsilon
                action = randoms[number].integers(self.action_count) if explores else greedy
                step = games[number].step(int(action))
                if step.game is not None:
                    results[number] = step.game
        self.keep_film()
        for game in games:
            game.close()
        returns, lengths = zip(*(results[number] for number in range(len(games))), strict=True)
        metrics: dict[str, float | Tensor] = {
            "test/return": torch.tensor(returns),
            "test/length": torch.tensor(lengths, dtype=torch.float),
            "test/max_q": torch.cat(max_q).mean().item(),
        }
        if (count := len(returns)) > 1:
            metrics["test/return_error"] = float(np.std(returns, ddof=1)) / math.sqrt(count)
        return metrics

    def film(self, game: Any) -> None:
        """Called with an evaluation's first game ahead of each of its steps."""

    def keep_film(self) -> None:
        """Called when an evaluation's games have ended."""

    # -- saving ------------------------------------------------------------------------------------

    def after_checkpoint(self) -> None:
        self.replay.saved()

    def state_dict(self) -> dict[str, Any]:
        return {
            "acted": self.actions_taken,
            "games": [game.state_dict() for game in self.games],
            "replay": self.replay.state_dict(),
            "returns": list(self.returns),
            "lengths": list(self.lengths),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.actions_taken = state["acted"]
        for game, saved in zip(self.games, state["games"], strict=True):
            game.load_state_dict(saved)
        self.replay.load_state_dict(state["replay"])
        self.returns.extend(state["returns"])
        self.lengths.extend(state["lengths"])


def check_memory(
    capacity: int, environments: int, n_step: int, learning_starts: int, stack: int
) -> None:
    """Raise ValueError where there would be nothing to draw at the first batch, or ever."""
    if capacity % environments:
        raise ValueError(
            f"task.capacity={capacity}: must be a multiple of task.environments={environments}"
        )
    # So that at least one step can be drawn: its frames and its n steps are there, and its episode
    # is not cut off within them, if any two steps that are cut off are more than n steps apart.
    needed = environments * (2 * n_step + stack)
    for name, value in (("capacity", capacity), ("learning_starts", learning_starts)):
        if value < needed:
            raise ValueError(
                f"task.{name}={value}: must be {needed} or more for task.environments="
                f"{environments} and task.n_step={n_step}"
            )
