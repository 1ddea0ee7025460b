"""Decoupled weight decay that follows the learning rate, or is normalised by the budget.

What a group's decay was is kept in its `initial_weight_decay`, as torch keeps `initial_lr`.
"""

from torch import Tensor
from torch.optim import Optimizer
from torch.optim.lr_scheduler import ChainedScheduler, LRScheduler


class ScaledDecay(LRScheduler):
    """Leaves lr, and sets weight_decay to its first value × lr / the first lr.

    The {w_t} of LaProp, algorithm 2. It stands behind the scheduler that moves lr.

    Raises:
        ValueError: a group has decay that lr scales already, or that is no decoupled one.
    """

    def __init__(self, optimizer: Optimizer):
        for group in optimizer.param_groups:
            if group.get("weight_decay") and not decays_without_lr(optimizer, group):
                raise ValueError(
                    "scale_decay is True: it is for decoupled decay that lr does not scale, as "
                    f"LaProp's, and that of {type(optimizer).__name__} is scaled by lr, or is L2"
                )
            group.setdefault("initial_weight_decay", group.get("weight_decay", 0.0))
        super().__init__(optimizer)

    def get_lr(self) -> list[float | Tensor]:
        return [group["lr"] for group in self.optimizer.param_groups]

    def step(self, epoch: int | None = None) -> None:
        super().step(epoch)
        for group in self.optimizer.param_groups:
            lr, first = float(group["lr"]), float(group["initial_lr"])
            # With a first lr of 0 nothing ever moves.
            group["weight_decay"] = group["initial_weight_decay"] * (lr / first if first else 1.0)


def decays_without_lr(optimizer: Optimizer, group: dict[str, object]) -> bool:
    """Whether the group's decay is decoupled and its lr no factor of it: its class says so."""
    return getattr(optimizer, "decay_without_lr", False) and bool(group.get("decoupled", True))


def with_decay(schedule: LRScheduler, scale_decay: bool) -> LRScheduler:
    """The schedule of lr, or it with decay that follows lr."""
    if not scale_decay:
        return schedule
    return ChainedScheduler([schedule, ScaledDecay(schedule.optimizer)])


def normalise_decay(optimizer: Optimizer, total_steps: int) -> None:
    """Turn each group's weight_decay from λ_norm into λ/lr with λ = λ_norm/√total_steps.

    "Decoupled Weight Decay Regularization" (Loshchilov & Hutter 2019), appendix B.1: λ is
    λ_norm·√(b/(B·T)), with b the batch size, B that of the training set and T the epochs, so that
    B·T/b is the number of updates. Their algorithm 2 scales λ by the schedule and not by the rate;
    torch's AdamW scales weight_decay by both, hence λ/lr.

    Raises:
        ValueError: a group has decay that is not decoupled, or not scaled by lr, or its lr is 0.
    """
    for group in optimizer.param_groups:
        lr, decay = (
            float(group.get(f"initial_{name}", group[name])) for name in ("lr", "weight_decay")
        )
        if not decay:
            continue
        if not decays_with_lr(optimizer, group) or not lr:
            raise ValueError(
                "normalised_decay is True: it is for decoupled decay that an lr above 0 scales, as "
                f"AdamW's, and that of {type(optimizer).__name__} is L2, or lr does not scale it"
            )
        group["initial_weight_decay"] = decay
        group["weight_decay"] = decay / (lr * total_steps**0.5)


def decays_with_lr(optimizer: Optimizer, group: dict[str, object]) -> bool:
    """Whether the group's decay is decoupled and lr a factor of it."""
    decoupled = group.get("decoupled") or group.get("decoupled_weight_decay")
    return bool(decoupled) and not decays_without_lr(optimizer, group)
