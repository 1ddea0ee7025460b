"""Atari games as Mnih et al. (2015) present them to an agent."""

import difflib
import functools
from pathlib import Path
from typing import Any

import numpy as np
import torch

from tasks.q_learning.game import CUT_OFF, ENDED, GOES_ON, Game, Step
from tasks.seeds import derive

STACK = 4  # frames that make a state
SKIP = 4  # frames of the game that an action is held
NO_OPS = 30  # the most frames that a game waits at its start

# Only for several players: the emulator ends the process that loads them.
NOT_ALONE = ("combat", "joust", "maze_craze", "warlords")


class AtariGame(Game):
    """One emulator, which begins anew after each game.

    It is not ale_py's AtariVectorEnv, whose emulators' states cannot be saved, as an exact resume
    needs (ale_py 0.12.1).

    No sticky actions, and the actions that the game uses. A frame is the maximum of the last two
    screens, since some games flicker, in grey and reduced to a square. Departures from Mnih
    et al.: the maximum is taken of grey values, not of colours, and pixels are averaged over areas
    (both as in gymnasium's preprocessing), where theirs are interpolated.

    Args:
        name: as `names` has it.
        side: of a frame, in pixels.
        seed: of the emulator and of how long each game waits.
        max_frames: after which a game is cut off.
        life_ends: whether the loss of a life ends the agent's episode, though the game goes on.
        in_colour: whether there is a `picture`.

    Attributes:
        action_count: how many there are.
        stack: (4, side, side) bytes, the state that the next action is chosen on: the newest frame
            is the last one, and zeros stand for what lies before the episode.
        episode_steps: steps of the agent's episode so far.
    """

    def __init__(
        self,
        name: str,
        side: int,
        seed: int,
        max_frames: int,
        life_ends: bool,
        in_colour: bool = False,
    ):
        self.seed = seed
        self.life_ends = life_ends
        self._ale = emulator(name, derive(seed, "emulator") % 2**31, max_frames)
        self._actions = self._ale.getMinimalActionSet()
        self.action_count = len(self._actions)
        self._screens = np.zeros((2, *self._ale.getScreenDims()), np.uint8)
        self._colours = np.zeros((*self._screens.shape, 3), np.uint8) if in_colour else None
        self.stack = np.zeros((STACK, side, side), np.uint8)
        self.episode_steps = 0
        self._played = 0
        self._start()

    def step(self, action: int) -> Step:
        """Hold an action for four frames; where that ends the game, begin the next one."""
        ale, lives, reward = self._ale, self._lives, 0.0
        for frame in range(SKIP):
            reward += ale.act(self._actions[action])
            over, lost = ale.game_over(), ale.lives() < lives
            stops = over or (lost and self.life_ends)
            if stops or frame >= SKIP - 2:
                self._keep_screen(frame % 2)
            if stops:
                if frame < SKIP - 1:
                    self._keep_screen(1 - frame % 2)  # the one there is older
                break
        self._score += reward
        self._life_score += reward
        self._steps += 1
        self.episode_steps = 0 if stops else self.episode_steps + 1
        ended = ale.game_over(with_truncation=False) or (lost and self.life_ends)
        end = ENDED if ended else CUT_OFF if over else GOES_ON
        life = self._life_score if over or lost else None
        game = (self._score, self._steps) if over else None
        if over:
            self._start()
        else:
            self._lives = ale.lives()
            if lost:
                self._life_score = 0.0
            self._push_frame(first=stops)
        return Step(reward, end, life, game)

    def _start(self) -> None:
        """Begin a game, and wait for up to 30 frames."""
        random = np.random.default_rng(derive(self.seed, "no-ops", self._played))
        self._played += 1
        self._ale.reset_game()
        for _ in range(random.integers(NO_OPS + 1)):
            self._ale.act(0)
            if self._ale.game_over():
                self._ale.reset_game()
        self._lives = self._ale.lives()
        self._score, self._life_score, self._steps = 0.0, 0.0, 0
        self._keep_screen(0)
        self._keep_screen(1)
        self._push_frame(first=True)

    def _keep_screen(self, index: int) -> None:
        """Keep the screen as it is now as one of the last two."""
        self._ale.getScreenGrayscale(self._screens[index])
        if self._colours is not None:
            self._ale.getScreenRGB(self._colours[index])

    def _push_frame(self, first: bool) -> None:
        """Put the newest frame behind the others, or behind zeros if it is an episode's first."""
        import cv2

        self.stack[:-1] = 0 if first else self.stack[1:]
        maximum = np.maximum(self._screens[0], self._screens[1])
        newest = self.stack[-1]
        cv2.resize(maximum, newest.shape, dst=newest, interpolation=cv2.INTER_AREA)

    @property
    def picture(self) -> np.ndarray:
        """The newest frame in colour and unscaled (height, width, 3)."""
        assert self._colours is not None
        return self._colours.max(0)

    def state_dict(self) -> dict[str, Any]:
        system = self._ale.cloneSystemState().serialize()
        return {
            # A tensor, since torch.load with weights_only reads no bytes.
            "system": torch.frombuffer(bytearray(system), dtype=torch.uint8),
            "stack": torch.tensor(self.stack),
            "episode_steps": self.episode_steps,
            "played": self._played,
            "lives": self._lives,
            "score": self._score,
            "life_score": self._life_score,
            "steps": self._steps,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        import ale_py

        system = state["system"].numpy().tobytes()
        self._ale.restoreSystemState(ale_py.ALEState(system))
        self.stack[:] = state["stack"].numpy()
        self.episode_steps = state["episode_steps"]
        self._played, self._lives, self._steps = state["played"], state["lives"], state["steps"]
        self._score, self._life_score = state["score"], state["life_score"]


@functools.cache
def names() -> tuple[str, ...]:
    """The games that one can play alone, as `task.game` has them."""
    from ale_py import roms

    return tuple(sorted(set(roms.get_all_rom_ids()) - set(NOT_ALONE)))


@functools.cache
def count_actions(name: str) -> int:
    """How many actions a game uses.

    Raises:
        ValueError: there is no such game, nothing to choose in it, or nothing to play games with.
    """
    actions = len(emulator(name, 0, 0).getMinimalActionSet())
    if actions < 2:
        raise ValueError(f"task.game={name}: it has {actions} action(s), and needs 2 to learn from")
    return actions


def emulator(name: str, seed: int, max_frames: int) -> Any:
    """An emulator with the game in it; 0 frames: games are never cut off."""
    try:
        import ale_py
        from ale_py import roms
    except ModuleNotFoundError as error:
        raise ValueError("the games are not installed: pip install 'adamily[atari]'") from error
    if name not in names():
        similar = difflib.get_close_matches(str(name)[:80], names(), n=8, cutoff=0)
        raise ValueError(
            f"task.game={name}: there is no such game; choose one of the {len(names())} that "
            f"ale_py.roms has and one plays alone, as {', '.join(similar)}"
        )
    ale_py.ALEInterface.setLoggerMode(ale_py.LoggerMode.Error)
    ale = ale_py.ALEInterface()
    ale.setInt("random_seed", seed)
    ale.setInt("max_num_frames_per_episode", max_frames)
    ale.setFloat("repeat_action_probability", 0.0)
    path: Path | None = roms.get_rom_path(name)
    assert path is not None
    ale.loadROM(path)
    return ale
