"""Draw from a replay memory in proportion to priorities, many at a time."""

from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray


class SumTree:
    """A binary tree whose leaves are priorities, and each other node the sum of its two children.

    Setting `count` priorities and drawing `count` leaves take log2(capacity) vectorised steps each.
    Every sum is computed anew from its children, so that nothing drifts however often it is
    changed, and the sums follow from the priorities bit for bit.

    Args:
        capacity: number of leaves. All of them begin with priority 0, which is never drawn.
    """

    def __init__(self, capacity: int):
        self.capacity = capacity
        self._depth = (capacity - 1).bit_length()
        self._first = 1 << self._depth
        # Node 1 is the root, and node i has the children 2i and 2i + 1.
        self._nodes = np.zeros(2 * self._first)

    @property
    def total(self) -> float:
        return float(self._nodes[1])

    def __getitem__(self, leaves: ArrayLike) -> NDArray[np.float64]:
        return self._nodes[self._first + np.asarray(leaves)]

    def __setitem__(self, leaves: ArrayLike, priorities: ArrayLike) -> None:
        """Set the priorities of some leaves; where a leaf is there twice, the last one holds.

        Raises:
            ValueError: a priority is negative or not finite.
        """
        priorities = np.asarray(priorities, np.float64)
        if not (np.isfinite(priorities) & (priorities >= 0)).all():
            raise ValueError(f"priorities must be finite and 0 or above, not {priorities}")
        nodes = self._first + np.asarray(leaves)
        self._nodes[nodes] = priorities
        for _ in range(self._depth):
            nodes = nodes >> 1
            self._nodes[nodes] = self._nodes[2 * nodes] + self._nodes[2 * nodes + 1]

    def find(self, sums: ArrayLike) -> NDArray[np.intp]:
        """The first leaves up to and with which the priorities sum to more than `sums`.

        A leaf with priority 0 is never found, not even where rounding, or a sum beyond the total,
        leads past the last leaf.

        Raises:
            ValueError: all priorities are 0.
        """
        if self.total == 0:
            raise ValueError("nothing to draw: all priorities are 0")
        remaining = np.array(sums, np.float64)
        nodes = np.ones(remaining.shape, np.intp)
        for _ in range(self._depth):
            nodes = 2 * nodes
            of_left = self._nodes[nodes]
            goes_right = (remaining >= of_left) & (self._nodes[nodes + 1] > 0)
            remaining -= np.where(goes_right, of_left, 0)
            nodes += goes_right
        return nodes - self._first

    def draw(self, count: int, random: np.random.Generator) -> NDArray[np.intp]:
        """Leaves in proportion to their priorities, one from each of `count` equal parts of them.

        Schaul et al. (2016), appendix B.2.1.
        """
        return self.find((np.arange(count) + random.random(count)) * (self.total / count))

    def state_dict(self) -> dict[str, Any]:
        priorities = self._nodes[self._first :][: self.capacity]
        return {"priorities": torch.from_numpy(priorities.copy())}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._nodes[self._first :][: self.capacity] = state["priorities"].numpy()
        for depth in reversed(range(self._depth)):
            children = self._nodes[2 << depth : 4 << depth]
            self._nodes[1 << depth : 2 << depth] = children[0::2] + children[1::2]
