"""Replay memory: transitions of several environments, stacked and summed when they are drawn."""

import math
import tempfile
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import numpy as np
import torch
from torch import Tensor

from tasks.atari.frames import Frames
from tasks.room import check_room

# How a step left its episode. An episode that ended by itself is worth nothing from there on; one
# that was cut off would have gone on.
GOES_ON, ENDED, CUT_OFF = 0, 1, 2

STACK = 4  # frames that make a state
FILES = 64  # that all frames which are kept fill, at the most

# Frames that the last two checkpoints need stay on the disk. So that they do not pile up where
# checkpoints are rare, one is due after this share of the memory, or so many steps if that is more.
SPARE_SHARE, SPARE_STEPS = 1 / 32, 20_000


class Transitions(NamedTuple):
    """What happened in n steps from each of some states.

    Attributes:
        states: (batch, 4, side, side) bytes.
        actions: (batch,), the first of the n.
        returns: (batch,), the discounted sum of the rewards, up to the end of the episode.
        next_states: (batch, 4, side, side) bytes, n steps later; of no meaning behind an episode's
            end.
        discounts: (batch,), what the value of the next state counts: γ^n, and 0 behind the end.
    """

    states: Tensor
    actions: Tensor
    returns: Tensor
    next_states: Tensor
    discounts: Tensor


class Replay:
    """The last `capacity` steps of environments that step together.

    A row holds one step of each: the frame that it began with, the action, the reward and how it
    left the episode. Frames are stored once, and states are stacked when they are drawn, with zeros
    for what lies before the start of an episode. A slot is a row and an environment as one number,
    row · environments + environment; rows are numbered from the first one ever added, so a slot's
    place in a tree of priorities is slot modulo capacity.

    A step that was cut off leads to a frame that is not stored, so it is never drawn.

    Args:
        capacity: steps of all environments together.
        environments: how many there are; capacity is a multiple of it.
        budget: steps of all environments together that are ever added: the disk need not hold more.
        n_step: over which rewards are summed.
        gamma: the discount of a step.
        shape: of a frame.
        folder: for the frames; None: a temporary one, without regard to checkpoints.

    Raises:
        DataError: disk or RAM are too small for it.
    """

    # At the most, beside its frame: an action, a reward and how it ended.
    bytes_per_step: ClassVar[int] = 6

    def __init__(
        self,
        *,
        capacity: int,
        environments: int,
        budget: int,
        n_step: int,
        gamma: float,
        shape: tuple[int, int],
        folder: Path | None,
    ):
        self.environments = environments
        self.rows = capacity // environments
        self.n_step = n_step
        self.discounts = (gamma ** np.arange(n_step + 1)).astype(np.float32)
        self.shape = shape
        self._temporary = tempfile.TemporaryDirectory() if folder is None else None
        place = folder if self._temporary is None else Path(self._temporary.name)
        assert place is not None
        self._spare = math.ceil(max(capacity * SPARE_SHARE, SPARE_STEPS) / environments)
        wanted = self.rows if folder is None else self.rows + 2 * self._spare
        kept = min(wanted, math.ceil(budget / environments))
        self._frames = Frames(place, (environments, *shape), math.ceil(kept / FILES))
        check_room(
            "the replay memory",
            "set task.capacity lower, or paths.runs to another disk",
            memory=capacity * self.bytes_per_step,
            disk=self._frames.size(kept),
            folder=place,
        )
        columns = (self.rows, environments)
        self._actions = np.zeros(columns, np.uint8)
        self._rewards = np.zeros(columns, np.float32)
        # Before the first row there is nothing, as before the start of an episode.
        self._ends = np.full(columns, ENDED, np.uint8)
        # Rows added until the last `state_dict`, and the first one that the last saved one needs.
        self._asked = self._saved = 0

    # -- writing -----------------------------------------------------------------------------------

    @property
    def written(self) -> int:
        """Rows added so far, those that were dropped since included."""
        return self._frames.written

    def add(
        self, frames: np.ndarray, actions: np.ndarray, rewards: np.ndarray, ends: np.ndarray
    ) -> None:
        """Add a step of each environment.

        Args:
            frames: (environments, height, width), the newest frame that each action was chosen on.
            actions: (environments,).
            rewards: (environments,), as they are to be learned from.
            ends: (environments,), each GOES_ON, ENDED or CUT_OFF.
        """
        place = self.written % self.rows
        self._frames.append(frames)
        self._actions[place], self._rewards[place], self._ends[place] = actions, rewards, ends
        if self._temporary is not None:
            self._frames.forget(self._oldest(self.written))

    # -- reading -----------------------------------------------------------------------------------

    @property
    def drawable(self) -> range:
        """The slots that can be drawn, but for those that an episode was cut off behind."""
        # The frames before a state must be there, and the state behind its n steps.
        first = max(0, self.written - self.rows + STACK - 1)
        last = max(first, self.written - self.n_step)
        return range(first * self.environments, last * self.environments)

    def draw(self, random: np.random.Generator, count: int) -> np.ndarray:
        """So many slots, uniformly and with replacement."""
        slots = self.drawable
        drawn = random.integers(slots.start, slots.stop, count)
        while (again := self.cut_off(drawn)).any():
            drawn[again] = random.integers(slots.start, slots.stop, again.sum())
        return drawn

    def cut_off(self, slots: np.ndarray) -> np.ndarray:
        """Whether each slot's episode is cut off within its n steps."""
        ends = self._ends[self._following(slots)]
        first = ends[np.arange(len(slots)), (ends != GOES_ON).argmax(1)]
        return first == CUT_OFF

    def transitions(self, slots: np.ndarray) -> Transitions:
        """The transitions of slots that can be drawn."""
        steps = self._following(slots)
        # Whether the episode has gone on from the first step to before each of the n, and behind.
        goes_on = np.ones((len(slots), self.n_step + 1), bool)
        np.logical_and.accumulate(self._ends[steps] == GOES_ON, axis=1, out=goes_on[:, 1:])
        weights = self.discounts * goes_on
        returns = (weights[:, :-1] * self._rewards[steps]).sum(1)
        frames = torch.from_numpy(self._frames_around(slots))
        return Transitions(
            frames[:, :STACK],
            torch.from_numpy(self._actions[steps][:, 0].astype(np.int64)),
            torch.from_numpy(returns),
            frames[:, self.n_step :],
            torch.from_numpy(weights[:, -1].copy()),
        )

    def _frames_around(self, slots: np.ndarray) -> np.ndarray:
        """Frames (slots, 4 + n, height, width): each slot's state and those up to its next state.

        Both states are in one episode, or the second one is of no meaning.
        """
        rows, columns = np.divmod(slots, self.environments)
        before = rows[:, None] - np.arange(1, STACK)
        ended = self._ends[before % self.rows, columns[:, None]] != GOES_ON
        # Frames to leave out: those up to the last end.
        missing = np.where(ended.any(1), STACK - 1 - ended.argmax(1), 0)
        out = np.empty((len(slots), STACK + self.n_step, *self.shape), np.uint8)
        each = zip(rows.tolist(), columns.tolist(), missing.tolist(), out, strict=True)
        for row, column, skip, around in each:
            around[:skip] = 0
            self._frames.read(row - STACK + 1 + skip, column, around[skip:])
        return out

    def _following(self, slots: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Where each slot's n steps lie: rows in memory (slots, n) and environments (slots, 1)."""
        rows, columns = np.divmod(slots[:, None], self.environments)
        return (rows + np.arange(self.n_step)) % self.rows, columns

    # -- saving ------------------------------------------------------------------------------------

    @property
    def checkpoint_due(self) -> bool:
        """Whether so much was added since the last `state_dict` that one should be saved."""
        return self.written - self._asked >= self._spare

    def state_dict(self) -> dict[str, Any]:
        """All but the frames, which are made to stay in their files."""
        self._frames.flush()
        self._asked = self.written
        return {
            "written": self.written,
            "frames": self._frames.checksums(self._oldest(self.written)),
            "actions": torch.tensor(self._actions),
            "rewards": torch.tensor(self._rewards),
            "ends": torch.tensor(self._ends),
        }

    def saved(self) -> None:
        """A checkpoint holds the last `state_dict`: drop the frames that only older ones need."""
        # The checkpoint before it is kept in reserve.
        self._frames.forget(self._saved)
        self._saved = self._oldest(self._asked)

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._actions[:] = state["actions"].numpy()
        self._rewards[:] = state["rewards"].numpy()
        self._ends[:] = state["ends"].numpy()
        self._asked = state["written"]
        self._saved = self._oldest(self._asked)
        self._frames.resume(self._saved, self._asked, state["frames"])

    def _oldest(self, written: int) -> int:
        """The first row in memory once so many are written."""
        return max(0, written - self.rows)
