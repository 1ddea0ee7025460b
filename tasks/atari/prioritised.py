"""Prioritised replay memory: Schaul et al. (2016)."""

from typing import Any

import numpy as np
import torch

from tasks.atari.sum_tree import SumTree
from tasks.q_learning.replay import Replay

REPLACEMENTS = ("oldest", "random")

# With random replacement, how many times `capacity` the frames reach back. Without this limit, a
# share e^-3 of the steps, 5%, would be remembered for longer.
REACH = 3


class PrioritisedReplay(Replay):
    """A replay memory that draws steps in proportion to their priorities.

    A step's priority is the largest one so far until it is drawn, then what it is set to. It is 0,
    so that the step is not drawn, where its n steps or its frames are not there or its episode was
    cut off.

    Args:
        replace: which step makes room for a new one: the "oldest", or a "random" one. Frames are
            stored once and in order, so with "random" those of the last 3·capacity steps are kept.
        seed: of random replacement.
        capacity: steps of all environments together.
        environments: how many there are; capacity is a multiple of it.
        **others: those of `Replay`.
    """

    # A tree has at most 4 nodes for a step, and `_kept` one number.
    bytes_per_step = Replay.bytes_per_step + 4 * 8 + 8

    def __init__(self, *, replace: str, seed: int, capacity: int, environments: int, **others: Any):
        reach = REACH if replace == "random" else 1
        super().__init__(capacity=reach * capacity, environments=environments, **others)
        self.replace = replace
        self.seed = seed
        self.size = reach * capacity
        self.tree = SumTree(self.size)
        self.largest = 1.0
        # With random replacement, the slots that are remembered, in any order.
        self._kept = np.full(capacity if replace == "random" else 0, -1)

    def add(
        self, frames: np.ndarray, actions: np.ndarray, rewards: np.ndarray, ends: np.ndarray
    ) -> None:
        super().add(frames, actions, rewards, ends)
        old = self._slots(self.written - self.times + self.stack - 2)
        self._set(old, 0)
        new = self._slots(self.written - self.n_step - 1)
        self._set(new, np.where(self.cut_off(new), 0, self.largest))
        if self.replace == "random":
            self._replace_random(new)

    def draw(self, random: np.random.Generator, count: int) -> np.ndarray:
        """So many slots, in proportion to their priorities."""
        leaves = self.tree.draw(count, random)
        # Of all slots that a leaf has been for, one can be drawn.
        start = self.drawable.start
        return start + (leaves - start) % self.size

    def weights(self, slots: np.ndarray, beta: float) -> np.ndarray:
        """Importance weights p^-β, as shares of the largest among these slots."""
        priorities = self.tree[slots % self.size]
        return (priorities / priorities.min()) ** -beta

    def prioritise(self, slots: np.ndarray, priorities: np.ndarray) -> None:
        """Set the priorities of slots that were drawn since the last step was added."""
        self._set(slots, priorities)
        self.largest = max(self.largest, float(priorities.max()))

    def _slots(self, time: int) -> np.ndarray:
        """The slots of a time step; none where there is no such time step yet."""
        first = time * self.environments
        return np.arange(first, first + self.environments if time >= 0 else first)

    def _set(self, slots: np.ndarray, priorities: np.ndarray | float) -> None:
        self.tree[slots % self.size] = priorities

    def _replace_random(self, new: np.ndarray) -> None:
        """Remember new slots instead of random ones, once as many are remembered as can be."""
        first = min(new, default=0)
        if first < len(self._kept):
            self._kept[new] = new
            return
        random = np.random.default_rng((self.seed, self.written))
        chosen = random.choice(len(self._kept), len(new), replace=False)
        forgotten = self._kept[chosen]
        # The leaf of a slot whose frames have gone may be a newer slot's by now.
        self._set(forgotten[forgotten >= self.drawable.start], 0)
        self._kept[chosen] = new

    def state_dict(self) -> dict[str, Any]:
        return super().state_dict() | {
            "tree": self.tree.state_dict(),
            "largest": self.largest,
            "kept": torch.tensor(self._kept),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        super().load_state_dict(state)
        self.tree.load_state_dict(state["tree"])
        self.largest = state["largest"]
        self._kept[:] = state["kept"].numpy()
