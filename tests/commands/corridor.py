"""Environments of a test's own: a corridor that is walked along, and some that are no use."""

import gymnasium
import numpy as np
from gymnasium.spaces import Box, Discrete


class Corridor(gymnasium.Env):
    """From 0 to `length`, a step forth or back, and sometimes a slip that the seed decides."""

    def __init__(self, length=6, observation=2, actions=3):
        self.length = length
        self.observation_space = Box(-np.inf, np.inf, (observation,), np.float64)
        self.action_space = Discrete(actions, start=5)

    def look(self):
        return np.resize([self.place, self.wind], self.observation_space.shape)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.place, self.wind = 0, self.np_random.normal()
        return self.look(), {}

    def step(self, action):
        assert self.action_space.contains(np.int64(action))
        self.place += [0, 1, -1][(action - 5) % 3]
        self.place = max(0, self.place - int(self.np_random.random() < 0.1))
        self.wind = self.np_random.normal()
        arrived = self.place >= self.length
        return self.look(), 10.0 if arrived else -0.25, arrived, False, {}


class Unseeded(Corridor):
    """Draws by a generator that no seed reaches."""

    generator = np.random.default_rng(0)

    def look(self):
        return np.array([self.place, self.generator.normal()])


class OfTheLastEpisode(Corridor):
    """Goes on where the episode before has ended."""

    before = 0

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.before += 1
        self.wind = float(self.before)
        return self.look(), {}


class Failing(Corridor):
    def step(self, action):
        raise RuntimeError("the door is shut")


class Cut(Corridor):
    """Cuts every episode off by itself, after one step."""

    def step(self, action):
        return *super().step(action)[:2], False, True, {}


gymnasium.register("Corridor-v0", Corridor, max_episode_steps=25)
gymnasium.register("Endless-v0", Corridor)
gymnasium.register("Unseeded-v0", Unseeded, max_episode_steps=25)
gymnasium.register("OfTheLastEpisode-v0", OfTheLastEpisode, max_episode_steps=25)
gymnasium.register("Failing-v0", Failing, max_episode_steps=25)
gymnasium.register("Cut-v0", Cut, max_episode_steps=25)
gymnasium.register("Crowded-v0", Corridor, kwargs={"actions": 300}, max_episode_steps=25)
gymnasium.register("Still-v0", Corridor, kwargs={"actions": 1}, max_episode_steps=25)
