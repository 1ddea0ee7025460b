"""The training loop of DQN beside a loop in the structure of CleanRL's dqn_atari."""

import copy
import tempfile
import time
from collections.abc import Iterator
from statistics import median
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from engine.config import compose
from engine.loggers import Loggers, RunInfo
from engine.make import make_optimizer
from engine.run import Run
from engine.session import Session
from models import DQN
from scripts.bench import replay
from scripts.bench.bare import ENDLESS
from scripts.bench.loop import loop_steps
from scripts.bench.page import markdown, publish, show
from scripts.bench.race import ratio, wait_for

STEPS = 50  # of the optimizer, in a round
EPSILON = 0.1
MEMORY = 20_000  # transitions; the stacked memory takes 28 kB for each
STARTS = 1_000
GAMES = (1, 8)

GAME = "breakout"
TASK = ["task=atari_dqn", f"task.game={GAME}", f"task.capacity={MEMORY}"]
TASK += [f"task.learning_starts={STARTS}", f"task.final_epsilon={EPSILON}", "task.epsilon_steps=1"]

NOTES = """\
## The training loop

Optimizer steps a second, and in brackets environment steps, of `scripts.train` on atari_dqn, and of
a loop in the structure of CleanRL's dqn_atari: one game in gymnasium's wrappers and a memory of
stacked frames. Game, network, optimizer, batch size and loss are equal; only convolutions and
frames are in PyTorch's default order in memory there. By turns; medians, and in brackets the
quartiles of the ratios of one round. Target: a ratio of at least 1.5.
"""


def report(device: torch.device, rounds: int, out: str | None) -> None:
    """Measure and print the tables; write them where a folder is given."""
    sections = [lambda: loops(device, rounds), replay.report]
    publish("Atari", "atari", device, rounds, ["ale-py", "gymnasium"], sections, out)


def loops(device: torch.device, rounds: int) -> str:
    """A table of both loops' rates; ours plays one game, and then several."""
    rows = []
    for games in GAMES:
        ours, theirs, train_every = race_loops(games, device, rounds)
        rates = [1 / median(seconds) for seconds in (ours, theirs)]
        rows.append([str(games), str(STEPS)])
        rows[-1] += [f"{rate:.1f} ({train_every * rate:.0f})" for rate in rates]
        # As many steps in a shorter time: the inverse ratio of the seconds.
        rows[-1].append(show(ratio(theirs, ours)))
    titles = ["games", "steps in a round", "loop", "CleanRL's structure", "loop ÷ CleanRL's"]
    return f"{NOTES}\n{markdown(titles, rows)}"


def race_loops(
    games: int, device: torch.device, rounds: int
) -> tuple[list[float], list[float], int]:
    """Seconds of an optimizer step in our loop and in theirs, and environment steps for each."""
    with tempfile.TemporaryDirectory() as folder:
        overrides = [*TASK, f"task.environments={games}", *ENDLESS, f"paths.runs={folder}"]
        config = compose(overrides)
        ours, plain_session = Session(config, device), Session(config, device)
        plain = plain_steps(plain_session)
        run = Run(folder, config)
        run.folder.mkdir(parents=True)
        loggers = Loggers([], RunInfo("", "", "", [], {}, {}, {}, run.folder))
        pairs = [
            (loop_steps(ours, STEPS, run, loggers) / STEPS, seconds_of_round(plain, device) / STEPS)
            for _ in range(rounds + 1)
        ][1:]
    loop_seconds, plain_seconds = map(list, zip(*pairs, strict=True))
    return loop_seconds, plain_seconds, ours.task.train_every


def seconds_of_round(steps: Iterator[None], device: torch.device) -> float:
    """Seconds for a round of STEPS steps."""
    wait_for(device)
    began = time.perf_counter()
    for _ in range(STEPS):
        next(steps)
    wait_for(device)
    return time.perf_counter() - began


def plain_steps(session: Session) -> Iterator[None]:
    """Optimizer steps on one game in gymnasium's wrappers, from a memory of stacked frames.

    Network, optimizer, batch size and loss are the session's, which plays no games here. Frames and
    convolutions have PyTorch's default order in memory, as in CleanRL.
    """
    task, device = session.task, session.device
    model = copy.deepcopy(task.model).to(memory_format=torch.contiguous_format)
    target = copy.deepcopy(model)
    optimizer = make_optimizer(session.config, model)

    def q_values(network: DQN, states: torch.Tensor) -> torch.Tensor:
        return torch.nn.Sequential.forward(network, states / 255)

    random = np.random.default_rng(0)
    env = wrapped_game()
    memory = StackedReplay(MEMORY, env.observation_space.shape)
    observation, _ = env.reset(seed=0)
    for step in range(2**31):
        if step < STARTS or random.random() < EPSILON:
            action = int(random.integers(task.action_count))
        else:
            with torch.no_grad():
                state = torch.as_tensor(np.array(observation)[None], device=device)
                action = int(q_values(model, state).argmax())
        next_observation, reward, terminated, truncated, _ = env.step(action)
        memory.add(
            np.array(observation),
            np.array(next_observation),
            action,
            np.sign(float(reward)),
            terminated,
        )
        observation = env.reset()[0] if terminated or truncated else next_observation
        if step >= STARTS and step % task.train_every == 0:
            states, next_states, actions, rewards, not_terminal = memory.draw(
                random, task.batch_size, device
            )
            with torch.no_grad():
                targets = rewards + task.gamma * not_terminal * q_values(target, next_states).amax(
                    1
                )
            predicted = q_values(model, states).gather(1, actions[:, None]).squeeze(1)
            loss = F.smooth_l1_loss(predicted, targets)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            yield


def wrapped_game() -> Any:
    """One game as CleanRL wraps it: frames skipped, grey, scaled, stacked; a lost life ends it."""
    import ale_py
    import gymnasium
    from gymnasium.wrappers import AtariPreprocessing, FrameStackObservation

    gymnasium.register_envs(ale_py)
    name = f"ALE/{GAME.title().replace('_', '')}-v5"
    env = gymnasium.make(name, frameskip=1, repeat_action_probability=0.0)
    return FrameStackObservation(AtariPreprocessing(env, terminal_on_life_loss=True), 4)


class StackedReplay:
    """A replay memory that stores each transition's two states whole, all their frames included."""

    def __init__(self, capacity: int, shape: tuple[int, ...]):
        self.states = np.zeros((capacity, *shape), np.uint8)
        self.next_states = np.zeros((capacity, *shape), np.uint8)
        self.actions = np.zeros(capacity, np.int64)
        self.rewards = np.zeros(capacity, np.float32)
        self.not_terminal = np.zeros(capacity, np.float32)
        self.added = 0

    def add(
        self,
        state: np.ndarray,
        next_state: np.ndarray,
        action: int,
        reward: float,
        terminated: bool,
    ) -> None:
        slot = self.added % len(self.actions)
        self.states[slot], self.next_states[slot] = state, next_state
        self.actions[slot], self.rewards[slot], self.not_terminal[slot] = (
            action,
            reward,
            not terminated,
        )
        self.added += 1

    def draw(
        self, random: np.random.Generator, count: int, device: torch.device
    ) -> list[torch.Tensor]:
        slots = random.integers(min(self.added, len(self.actions)), size=count)
        arrays = (self.states, self.next_states, self.actions, self.rewards, self.not_terminal)
        return [torch.as_tensor(array[slots], device=device) for array in arrays]
