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
MEMORY = 20_000  # transitions; that of theirs takes 28 kB for each
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
    """The rates of both loops, with one game and with several in ours."""
    rows = []
    for games in GAMES:
        ours, theirs, every = race_loops(games, device, rounds)
        rates = [1 / median(seconds) for seconds in (ours, theirs)]
        rows.append([str(games), str(STEPS)])
        rows[-1] += [f"{rate:.1f} ({every * rate:.0f})" for rate in rates]
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
        ours, other = Session(config, device), Session(config, device)
        theirs = plain_steps(other)
        run = Run(folder, config)
        run.folder.mkdir(parents=True)
        loggers = Loggers([], RunInfo("", "", "", [], {}, run.folder, 0))
        pairs = [
            (loop_steps(ours, STEPS, run, loggers) / STEPS, take(theirs, device) / STEPS)
            for _ in range(rounds + 1)
        ][1:]
    return [own for own, _ in pairs], [other for _, other in pairs], ours.task.train_every


def take(steps: Iterator[None], device: torch.device) -> float:
    """Seconds for a round of them."""
    wait_for(device)
    began = time.perf_counter()
    for _ in range(STEPS):
        next(steps)
    wait_for(device)
    return time.perf_counter() - began


def plain_steps(session: Session) -> Iterator[None]:
    """Optimizer steps on one game in gymnasium's wrappers, from a memory of stacked frames.

    Network, optimizer, batch size and loss are as in the session, whose games stand still. Only the
    order in memory of frames and convolutions is PyTorch's default, as it is there.
    """
    task, device = session.task, session.device
    model = copy.deepcopy(task.model).to(memory_format=torch.contiguous_format)
    target = copy.deepcopy(model)
    optimizer = make_optimizer(session.config, model)

    def values(network: DQN, states: torch.Tensor) -> torch.Tensor:
        return torch.nn.Sequential.forward(network, states / 255)

    random = np.random.default_rng(0)
    env = wrapped_game()
    memory = Stacked(MEMORY, env.observation_space.shape)
    seen, _ = env.reset(seed=0)
    for step in range(2**31):
        if step < STARTS or random.random() < EPSILON:
            action = int(random.integers(task.action_count))
        else:
            with torch.no_grad():
                state = torch.as_tensor(np.array(seen)[None], device=device)
                action = int(values(model, state).argmax())
        after, reward, ended, cut_off, _ = env.step(action)
        memory.add(np.array(seen), np.array(after), action, np.sign(float(reward)), ended)
        seen = env.reset()[0] if ended or cut_off else after
        if step >= STARTS and step % task.train_every == 0:
            states, following, actions, rewards, goes_on = memory.draw(
                random, task.batch_size, device
            )
            with torch.no_grad():
                targets = rewards + task.gamma * goes_on * values(target, following).amax(1)
            taken = values(model, states).gather(1, actions[:, None]).squeeze(1)
            loss = F.smooth_l1_loss(taken, targets)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            yield


def wrapped_game() -> Any:
    """One game as CleanRL wraps it: frames skipped, grey, scaled, stacked; lost lives are ends."""
    import ale_py
    import gymnasium
    from gymnasium.wrappers import AtariPreprocessing, FrameStackObservation

    gymnasium.register_envs(ale_py)
    name = f"ALE/{GAME.title().replace('_', '')}-v5"
    env = gymnasium.make(name, frameskip=1, repeat_action_probability=0.0)
    return FrameStackObservation(AtariPreprocessing(env, terminal_on_life_loss=True), 4)


class Stacked:
    """A memory that keeps every state whole, and the next one as well."""

    def __init__(self, capacity: int, shape: tuple[int, ...]):
        self.states = np.zeros((capacity, *shape), np.uint8)
        self.following = np.zeros((capacity, *shape), np.uint8)
        self.actions = np.zeros(capacity, np.int64)
        self.rewards = np.zeros(capacity, np.float32)
        self.goes_on = np.zeros(capacity, np.float32)
        self.added = 0

    def add(
        self, state: np.ndarray, after: np.ndarray, action: int, reward: float, ended: bool
    ) -> None:
        place = self.added % len(self.actions)
        self.states[place], self.following[place] = state, after
        self.actions[place], self.rewards[place], self.goes_on[place] = action, reward, not ended
        self.added += 1

    def draw(
        self, random: np.random.Generator, count: int, device: torch.device
    ) -> list[torch.Tensor]:
        drawn = random.integers(min(self.added, len(self.actions)), size=count)
        parts = (self.states, self.following, self.actions, self.rewards, self.goes_on)
        return [torch.as_tensor(part[drawn], device=device) for part in parts]
