"""Replay memory: transitions of several environments, stacked and summed when they are drawn."""

import math
import tempfile
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import numpy as np
import torch
from torch import Tensor

from tasks.q_learning.frames import Frames
from tasks.q_learning.game import CUT_OFF, ENDED, GOES_ON
from tasks.room import check_room
from tasks.sources import DataError

FILES = 64  # at most, for all frames that are kept

# Frames that the last two checkpoints need stay on the disk. So that there are not too many of them
# where checkpoints are rare, one is due after this share of the memory, or so many steps if more.
SPARE_SHARE, SPARE_STEPS = 1 / 32, 20_000


class Transitions(NamedTuple):
    """What happened in n steps from each of some states.

    Attributes:
        states: (batch, stack, *shape), of the frames' type.
        actions: (batch,), the first of the n.
        returns: (batch,), the discounted sum of the rewards, up to the end of the episode.
        next_states: (batch, stack, *shape), n steps later; without meaning after the end of an
            episode.
        discounts: (batch,), of the next state's value: γ^n, and 0 after the end of an episode.
    """

    states: Tensor
    actions: Tensor
    returns: Tensor
    next_states: Tensor
    discounts: Tensor


class Replay:
    """The last `capacity` steps of environments that step together.

    A time step holds one step of each: the frame that it began with, the action, the reward and
    whether the episode goes on. Frames are stored once, and states are stacked when they are drawn,
    with zeros for what lies before the start of an episode. A slot is a time step and an
    environment as one number, time · environments + environment; times are counted from the first
    one ever added, so a slot's leaf in a tree of priorities is slot modulo capacity.

    A step that was cut off leads to a frame that is not stored, so it is never drawn.

    Args:
        capacity: steps of all environments together.
        environments: how many there are; capacity is a multiple of it.
        budget: steps of all environments together that are ever added: the disk need not hold more.
        n_step: over which rewards are summed.
        gamma: the discount of a step.
        shape: of a frame, which may be anything that is observed.
        dtype: of the numbers in a frame.
        stack: frames that make a state.
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
        shape: tuple[int, ...],
        dtype: type[np.generic],
        stack: int,
        folder: Path | None,
    ):
        self.environments = environments
        self.times = capacity // environments  # time steps in memory
        self.n_step = n_step
        self.discounts = (gamma ** np.arange(n_step + 1)).astype(np.float32)
        self.shape = shape
        self.dtype = dtype
        self.stack = stack
        self._temporary = tempfile.TemporaryDirectory() if folder is None else None
        frames_folder = folder if self._temporary is None else Path(self._temporary.name)
        assert frames_folder is not None
        self._spare = math.ceil(max(capacity * SPARE_SHARE, SPARE_STEPS) / environments)
        most = self.times if folder is None else self.times + 2 * self._spare
        kept = min(most, math.ceil(budget / environments))
        rows = math.ceil(kept / FILES)
        self._frames = Frames(frames_folder, (environments, *shape), rows, dtype)
        check_room(
            "the replay memory",
            "set task.capacity lower, or paths.runs to another disk",
            memory=capacity * self.bytes_per_step,
            disk=self._frames.size(kept),
            folder=frames_folder,
        )
        size = (self.times, environments)
        self._actions = np.zeros(size, np.uint8)
        self._rewards = np.zeros(size, np.float32)
        # Before the first time step there is nothing, as before the start of an episode.
        self._ends = np.full(size, ENDED, np.uint8)
        # Time steps added before the last `state_dict`, and the first one that a checkpoint needs.
        self._captured = self._saved = 0

    # -- writing -----------------------------------------------------------------------------------

    @property
    def written(self) -> int:
        """Time steps added so far, with those that were dropped since."""
        return self._frames.written

    def add(
        self, frames: np.ndarray, actions: np.ndarray, rewards: np.ndarray, ends: np.ndarray
    ) -> None:
        """Add a step of each environment.

        Args:
            frames: (environments, *shape), the newest frame that each action was chosen on.
            actions: (environments,).
            rewards: (environments,), as they are to be learned from.
            ends: (environments,), each GOES_ON, ENDED or CUT_OFF.
        """
        index = self.written % self.times
        self._frames.append(frames)
        self._actions[index], self._rewards[index], self._ends[index] = actions, rewards, ends
        if self._temporary is not None:
            self._frames.forget(self._oldest(self.written))

    # -- reading -----------------------------------------------------------------------------------

    @property
    def drawable(self) -> range:
        """The slots that can be drawn, except where an episode was cut off within n steps."""
        # The frames before a state must be there, and the state behind its n steps.
        first = max(0, self.written - self.times + self.stack - 1)
        last = max(first, self.written - self.n_step)
        return range(first * self.environments, last * self.environments)

    def draw(self, random: np.random.Generator, count: int) -> np.ndarray:
        """So many slots, uniformly and with replacement.

        Raises:
            DataError: there is none, as every episode in memory was cut off within n steps.
        """
        slots = self.drawable
        drawn = random.integers(slots.start, slots.stop, count)
        while (cut_off := self.cut_off(drawn)).any():
            # Rare, so that all are looked at in the end alone.
            if cut_off.all() and self.cut_off(np.array(slots)).all():
                raise DataError(f"every episode was cut off within {self.n_step} step(s)")
            drawn[cut_off] = random.integers(slots.start, slots.stop, cut_off.sum())
        return drawn

    def cut_off(self, slots: np.ndarray) -> np.ndarray:
        """Whether each slot's episode is cut off within its n steps."""
        ends = self._ends[self._following(slots)]
        first = ends[np.arange(len(slots)), (ends != GOES_ON).argmax(1)]
        return first == CUT_OFF

    def transitions(self, slots: np.ndarray) -> Transitions:
        """The transitions of slots that can be drawn."""
        steps = self._following(slots)
        # Whether the episode goes on up to each of the n steps, and up to the next state.
        goes_on = np.ones((len(slots), self.n_step + 1), bool)
        np.logical_and.accumulate(self._ends[steps] == GOES_ON, axis=1, out=goes_on[:, 1:])
        weights = self.discounts * goes_on
        returns = (weights[:, :-1] * self._rewards[steps]).sum(1)
        frames = torch.from_numpy(self._frames_around(slots))
        return Transitions(
            frames[:, : self.stack],
            torch.from_numpy(self._actions[steps][:, 0].astype(np.int64)),
            torch.from_numpy(returns),
            frames[:, self.n_step :],
            torch.from_numpy(weights[:, -1].copy()),
        )

    def _frames_around(self, slots: np.ndarray) -> np.ndarray:
        """Frames (slots, stack + n, *shape): each slot's state and those up to its next state.

        Both states are in one episode, or the second one is without meaning.
        """
        times, environments = np.divmod(slots, self.environments)
        before = times[:, None] - np.arange(1, self.stack)
        goes_on = self._ends[before % self.times, environments[:, None]] == GOES_ON
        # Frames to leave out: those up to the last end.
        missing = self.stack - 1 - np.logical_and.accumulate(goes_on, axis=1).sum(1)
        frames = np.empty((len(slots), self.stack + self.n_step, *self.shape), self.dtype)
        each = zip(times.tolist(), environments.tolist(), missing.tolist(), frames, strict=True)
        for time, environment, skip, around in each:
            around[:skip] = 0
            self._frames.read(time - self.stack + 1 + skip, environment, around[skip:])
        return frames

    def _following(self, slots: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Where each slot's n steps are in memory: times (slots, n), environments (slots, 1)."""
        times, environments = np.divmod(slots[:, None], self.environments)
        return (times + np.arange(self.n_step)) % self.times, environments

    # -- saving ------------------------------------------------------------------------------------

    @property
    def checkpoint_due(self) -> bool:
        """Whether so much was added since the last `state_dict` that one should be saved."""
        return self.written - self._captured >= self._spare

    def state_dict(self) -> dict[str, Any]:
        """All except the frames, which are flushed to their files."""
        self._frames.flush()
        self._captured = self.written
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
        self._saved = self._oldest(self._captured)

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._actions[:] = state["actions"].numpy()
        self._rewards[:] = state["rewards"].numpy()
        self._ends[:] = state["ends"].numpy()
        self._captured = state["written"]
        self._saved = self._oldest(self._captured)
        self._frames.resume(self._saved, self._captured, state["frames"])

    def _oldest(self, written: int) -> int:
        """The first time step in memory once so many are written."""
        return max(0, written - self.times)
