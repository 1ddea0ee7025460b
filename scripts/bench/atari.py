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

from models import DQN
from results.loggers import Loggers, RunInfo
from results.run import Run
from scripts.bench.loop import ENDLESS, loop_steps
from scripts.bench.race import ratio, wait_for
from scripts.config import compose, make_optimizer
from scripts.session import Session

STEPS = 50  # of the optimizer, in a round
EPSILON = 0.1
MEMORY = 20_000  # transitions; that of theirs takes 28 kB for each
STARTS = 1_000
DRAWS = 500

GAME = "breakout"
TASK = ["task=atari_dqn", f"task.game={GAME}", f"task.capacity={MEMORY}"]
TASK += [f"task.learning_starts={STARTS}", f"task.final_epsilon={EPSILON}", "task.epsilon_steps=1"]


def report(device: torch.device, rounds: int) -> None:
    """Print the rates of both loops with one game and with eight, and the time of a draw."""
    print(f"{device}, {torch.get_num_threads()} threads, PyTorch {torch.__version__}")
    for environments in (1, 8):
        print(race_loops(environments, device, rounds))


def race_loops(environments: int, device: torch.device, rounds: int) -> str:
    """The rates of both loops, by turns, and the time to draw a batch of ours, as sentences."""
    with tempfile.TemporaryDirectory() as folder:
        overrides = [*TASK, f"task.environments={environments}", *ENDLESS, f"paths.runs={folder}"]
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
        draws = draw_seconds(ours.task)
    spread = ratio([seconds for _, seconds in pairs], [seconds for seconds, _ in pairs])
    every = ours.task.train_every
    rates = [1 / median(seconds) for seconds in zip(*pairs, strict=True)]
    return (
        f"{environments} game(s): {rates[0]:.1f} optimizer steps and {rates[0] * every:.0f} "
        f"environment steps a second; CleanRL's structure {rates[1]:.1f} and "
        f"{rates[1] * every:.0f}; {spread.middle:.2f} times as many (quartiles {spread.low:.2f} "
        f"to {spread.high:.2f}, {rounds} rounds of {STEPS} steps); a batch is drawn in "
        f"{draws * 1e3:.2f} ms"
    )


def take(steps: Iterator[None], device: torch.device) -> float:
    """Seconds for a round of them."""
    wait_for(device)
    began = time.perf_counter()
    for _ in range(STEPS):
        next(steps)
    wait_for(device)
    return time.perf_counter() - began


def draw_seconds(task: Any) -> float:
    """Seconds to put a batch together, the median."""
    random, times = np.random.default_rng(0), []
    for _ in range(DRAWS):
        began = time.perf_counter()
        task.replay.transitions(task.replay.draw(random, task.batch_size))
        times.append(time.perf_counter() - began)
    return median(times)


def plain_steps(session: Session) -> Iterator[None]:
    """Optimizer steps on one game in gymnasium's wrappers, from a memory of stacked frames.

    Network, optimizer, batch size and loss are as in the session, whose games stand still. Only the
    order in memory of frames and convolutions is PyTorch's default, as it is there.
    """
    task, device = session.task, session.device
    model = copy.deepcopy(task.model).to(memory_format=torch.contiguous_format)
    target = copy.deepcopy(model)
    optimizer = make_optimizer(session.config, list(model.parameters()))

    def values(network: DQN, states: torch.Tensor) -> torch.Tensor:
        return torch.nn.Sequential.forward(network, states / 255)

    random = np.random.default_rng(0)
    env = wrapped_game()
    memory = Stacked(MEMORY, env.observation_space.shape)
    seen, _ = env.reset(seed=0)
    for step in range(2**31):
        if step < STARTS or random.random() < EPSILON:
            action = int(random.integers(task.actions))
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
