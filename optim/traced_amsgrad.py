"""AMSGrad that counts swaps of sampled entries, in two senses: figure 1 of AdamAL."""

from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.optim import Adam, Optimizer

from optim.observation import OF_TORCH, Observation
from optim.operands import is_dtensor
from optim.state import Group, check_names, check_tensor, grouped, require

MOMENTS = ("exp_avg", "exp_avg_sq", "max_exp_avg_sq")
# What is counted of an event: how often it was, and at which steps first and last.
SWAPS = ("swaps", "first_swap", "last_swap")
FALLS = ("falls", "first_fall", "last_fall")
SAMPLED = (*SWAPS, *FALLS, "before")


class TracedAMSGrad(Adam):
    r"""torch's AMSGrad, whose numbers do not change, and the swaps of some of its entries.

    An entry is swapped in a step where $\hat v_{t,i} = \max(\hat v_{t-1,i}, v_{t,i})$ stays above
    $v_{t,i}$, so that the step divides by the root of an old maximum (Reddi et al.). The paper of
    AdamAL means another event, which its section 3.3 derives from equation 16: that $v_{t,i}$ is
    below $v_{t-1,i}$, which is so where $g_{t,i}^2 < v_{t-1,i}$. It is a fall here, of the moving
    average of this method, into which, unlike equation 16, no maximum is fed back. A fall leads to
    a swap; a rise may be one, too, below an old maximum. Counted are `entries` evenly spaced
    elements of each of `tensors` evenly spaced parameters; all where there are fewer.

    State: that of torch's AMSGrad, and for each sampled parameter `swaps`, `first_swap`,
    `last_swap`, `falls`, `first_fall`, `last_fall`, and `before`, the v of the step before, one
    number for each sampled element. They are exact after loading where parameters are float32 or
    float64, to which torch rounds all state that it loads.

    All else is as in torch.optim.Adam.

    Raises:
        ValueError: also for DTensors, and in `load_state_dict`, for the state of an optimizer that
            has not counted the swaps of as many elements of the same parameters; nothing has
            changed then.
    """

    def __init__(
        self, params: Any, *args: Any, entries: int = 10, tensors: int = 10, **kwargs: Any
    ):
        for name, value in (("entries", entries), ("tensors", tensors)):
            if value < 1:
                raise ValueError(f"Invalid {name}: {value}, must be 1 or more")
        super().__init__(params, *args, amsgrad=True, **kwargs)
        leaves = [p for group in self.param_groups for p in group["params"]]
        if any(map(is_dtensor, leaves)):
            raise ValueError(
                "TracedAMSGrad does not count in DTensors: "
                "torch.optim.Adam with amsgrad=True makes the same steps"
            )
        sampled = [leaves[i] for i in evenly(len(leaves), tensors)]
        self._indices = {
            p: torch.tensor(evenly(p.numel(), entries), dtype=torch.int64, device=p.device)
            for p in sampled
        }
        self._count_steps()

    def _count_steps(self) -> None:
        # A hook, since torch wraps `step` of each class: one that called Adam's would be observed
        # twice.
        if count_swaps not in self._optimizer_step_post_hooks.values():
            self.register_step_post_hook(count_swaps)

    def __getstate__(self) -> dict[str, Any]:
        return super().__getstate__() | {"_indices": self._indices}

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        self._count_steps()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._check(state_dict)
        super().load_state_dict(state_dict)

    def _check(self, loaded: dict[str, Any]) -> None:
        for _, saved, entries in grouped(self, loaded):
            require(saved.get("amsgrad") is True, "TracedAMSGrad needs the state of an AMSGrad")
            for entry in (entry for entry in entries if entry.state):
                shapes = dict.fromkeys(MOMENTS, entry.p.shape)
                if entry.p in self._indices:
                    shapes |= dict.fromkeys(SAMPLED, self._indices[entry.p].shape)
                check_names(entry, {"step", *shapes}, "this sample of TracedAMSGrad")
                for name, shape in shapes.items():
                    whose = "the sample" if name in SAMPLED else "the parameter"
                    check_tensor(entry, name, shape, whose)

    def swaps(self, p: Tensor, _: Group) -> Tensor | None:
        """In how many steps so far each sampled entry was swapped."""
        return self.state.get(p, {}).get("swaps")

    def falls(self, p: Tensor, _: Group) -> Tensor | None:
        """In how many steps so far each sampled entry's v fell."""
        return self.state.get(p, {}).get("falls")

    def swap_interval(self, p: Tensor, _: Group) -> Tensor | None:
        """The mean number of steps from one swap of an entry to the next."""
        return interval(self.state.get(p, {}), *SWAPS)

    def fall_interval(self, p: Tensor, _: Group) -> Tensor | None:
        """The mean number of steps from one fall of an entry to the next."""
        return interval(self.state.get(p, {}), *FALLS)

    observations: ClassVar = OF_TORCH | {
        "optim/swaps": Observation("swaps", swaps, each=True),
        "optim/swap_interval": Observation(
            "steps between two swaps", swap_interval, log=True, each=True
        ),
        "optim/falls": Observation("falls of v", falls, each=True),
        "optim/fall_interval": Observation(
            "steps between two falls of v", fall_interval, log=True, each=True
        ),
    }


def interval(state: dict[str, Tensor], count: str, first: str, last: str) -> Tensor | None:
    """The mean number of steps between two events; where there were fewer, that of all so far."""
    if count not in state:
        return None
    counted, between = state[count], state[last] - state[first]
    return torch.where(counted < 2, state["step"].to(counted), between / (counted - 1).clamp(min=1))


@torch._disable_dynamo  # a compiled program need not be compiled again for what it counts
@torch.no_grad()
def count_swaps(optimizer: Optimizer, *_: Any) -> None:
    assert isinstance(optimizer, TracedAMSGrad)
    for p, indices in optimizer._indices.items():
        state = optimizer.state.get(p)
        if not state:
            continue
        highest, present = (state[name].take(indices) for name in ("max_exp_avg_sq", "exp_avg_sq"))
        for name in SAMPLED:
            if name not in state:
                kind = present.dtype if name == "before" else torch.float32
                state[name] = torch.zeros_like(present, dtype=kind)
        count(state, highest > present, *SWAPS)
        count(state, present < state["before"], *FALLS)
        state["before"].copy_(present)


def count(state: dict[str, Tensor], happens: Tensor, count: str, first: str, last: str) -> None:
    """Count an event of this step in those entries where it happens."""
    # A step that was skipped for its gradient, as a GradScaler's are, has left all as it was, the
    # number of steps included.
    happens = happens & (state[last] < state["step"])
    state[first] += (happens & (state[count] == 0)) * state["step"]
    state[count] += happens
    state[last] += happens * (state["step"] - state[last])


def evenly(length: int, count: int) -> list[int]:
    """At most `count` indices among `length`, evenly spaced, the first and the last included."""
    count = min(length, count)
    return [round(i * (length - 1) / max(count - 1, 1)) for i in range(count)]
