"""Learning-rate schedules: functions `name(optimizer, total_steps, *, …)` that return torch's own.

The training loop calls `scheduler.step()` once after every optimizer step. Update number
k = 1 … total_steps runs with the learning rate that the scheduler holds after `done` = k - 1 such
calls. The formulas below use k or `done`; lr is each parameter group's own learning rate.

Units. The numbers of a schedule stand as a paper prints them and count out of `of`:
`milestones: [100, 150]` with `of: 200` (epochs) means after 100/200 and 150/200 of this run's
budget; `warmup: 2000` with `of: 60000` (updates) means the first 1/30 of it. With `of: null`, the
default, they are optimizer steps of this run. A number becomes round(number * total_steps / of)
steps (Python's `round`: a half goes to the even neighbour), so a run with a shortened budget keeps
the shape of its schedule while the numbers stay untouched.

Warm-up. `linear`, `polynomial` and `inverse_sqrt` run update k <= warmup at lr * k / warmup: the
first update has lr / warmup and never 0, update number `warmup` has the full lr. (transformers
gives the first update 0, fairseq gives lr / warmup to the first two.) `tri_stage` starts at
init_scale * lr, as fairseq's does. A warm-up that rounds to 0 steps is left out; one that is longer
than the run ends with it.

Decay. Where lr is a factor of decoupled weight decay, as in AdamW, decay follows the schedule as it
is. `LaProp`'s stays where it was, unless `scale_decay=True`: update number k then has
weight_decay * lr_k / lr, the {w_t} of LaProp's algorithm 2, with what a group had in its
`initial_weight_decay`. Every schedule that moves lr alone takes it; where decay would be scaled
twice, it raises ValueError.

Betas. `online` and `nu_switch` move betas, too, of (μ, ν) as the LaProp paper calls them: update
number k runs with those that the groups hold after `done` calls. What a group had stands in its
`initial_betas`, as torch has `initial_lr`; `LaProp` then corrects its averages by the products of
the betas that there were, and torch's own by a power of the present one.

Resuming. Build the optimizer and the schedule as for a fresh run, then load both state dicts:
building a schedule writes the first update's learning rate and betas into the optimizer. The states
hold numbers only, no function.

Every function raises ValueError for a `total_steps` that is not an integer >= 1, for `of` <= 0, and
for what its own docstring names.
"""

import math
from collections.abc import Callable, Sequence
from itertools import pairwise

from torch.optim import Optimizer
from torch.optim.lr_scheduler import CosineAnnealingLR, LambdaLR, LRScheduler, MultiStepLR

from optim.moving_betas import DecayingMomentum, SwitchedNu
from optim.scaled_decay import normalise_decay, with_decay


def constant(optimizer: Optimizer, total_steps: int) -> LRScheduler:
    """Keep lr as it is."""
    _check_budget(total_steps, None)
    return LambdaLR(optimizer, lambda done: 1.0)


def multistep(
    optimizer: Optimizer,
    total_steps: int,
    *,
    milestones: Sequence[float],
    gamma: float = 0.1,
    of: float | None = None,
    scale_decay: bool = False,
    normalised_decay: bool = False,
) -> LRScheduler:
    """Drop at milestones: lr * gamma^n with n the number of milestones passed.

    A milestone of m steps is passed once m updates are done. One that rounds to 0 is moved to 1, so
    that the first update always has the full lr; milestones that round to the same step each count.

    With `normalised_decay`, a group's weight_decay is the λ_norm of `normalise_decay`.

    Raises ValueError: milestones not strictly increasing numbers > 0; gamma <= 0; what
    `normalise_decay` raises.
    """
    _check_budget(total_steps, of)
    _check_positive(gamma=gamma)
    _check_increasing("milestones", milestones)
    steps = [max(1, _to_steps(m, total_steps, of)) for m in milestones]
    if normalised_decay:
        normalise_decay(optimizer, total_steps)
    return with_decay(MultiStepLR(optimizer, steps, gamma), scale_decay)


def step_halving(
    optimizer: Optimizer,
    total_steps: int,
    *,
    every: float,
    factor: float = 0.5,
    of: float | None = None,
    scale_decay: bool = False,
) -> LRScheduler:
    """Drop periodically: lr * factor^n with n the number of whole periods of `every` done.

    The period itself is not rounded to steps: repeated, it would drift away from the budget that
    it divides. Period n is done after ceil(n * every * total_steps / of) updates.

    Raises ValueError: every <= 0; factor not in (0, 1].
    """
    _check_budget(total_steps, of)
    _check_positive(every=every)
    _check_scale(factor=factor)
    budget = total_steps if of is None else of

    def scale(done: int) -> float:
        return factor ** (done * budget // (every * total_steps))

    return with_decay(LambdaLR(optimizer, scale), scale_decay)


def cosine(
    optimizer: Optimizer, total_steps: int, *, min_lr: float = 0.0, scale_decay: bool = False
) -> LRScheduler:
    """Half a cosine: min_lr + (lr - min_lr) * (1 + cos(pi * done / total_steps)) / 2.

    `min_lr` is a learning rate, not a fraction of one; it is reached when the budget is spent.

    Raises ValueError: min_lr < 0, or above a parameter group's lr.
    """
    _check_budget(total_steps, None)
    _check_final_lr(optimizer, "min_lr", min_lr)
    return with_decay(CosineAnnealingLR(optimizer, total_steps, eta_min=min_lr), scale_decay)


def linear(
    optimizer: Optimizer,
    total_steps: int,
    *,
    warmup: float = 0,
    end_lr: float = 0.0,
    total: float | None = None,
    of: float | None = None,
    scale_decay: bool = False,
) -> LRScheduler:
    """`polynomial` with power 1: a straight line up to lr, then one down to `end_lr`.

    Raises what `polynomial` raises.
    """
    return polynomial(
        optimizer,
        total_steps,
        warmup=warmup,
        end_lr=end_lr,
        total=total,
        of=of,
        scale_decay=scale_decay,
    )


def polynomial(
    optimizer: Optimizer,
    total_steps: int,
    *,
    warmup: float = 0,
    power: float = 1.0,
    end_lr: float = 0.0,
    total: float | None = None,
    of: float | None = None,
    scale_decay: bool = False,
) -> LRScheduler:
    """Warm-up, then end_lr + (lr - end_lr) * ((total - done) / (total - warmup))^power.

    `end_lr` is a learning rate, not a fraction of one. It is reached when `total` updates are done,
    so the last of them is not wasted on it, and kept from then on. `total` counts in the same unit
    as `warmup` and is the whole budget by default; a larger one stands for a run that stops early
    (LaProp's RoBERTa: 20,000 updates of a schedule made for 125,000).

    Raises ValueError: warmup < 0; power <= 0; end_lr < 0 or above a parameter group's lr;
    total <= 0 or < warmup.
    """
    _check_budget(total_steps, of)
    _check_not_negative(warmup=warmup)
    _check_positive(power=power)
    _check_final_lr(optimizer, "end_lr", end_lr)
    if total is not None:
        _check_positive(total=total)
        if total < warmup:
            raise ValueError(f"total is {total!r}: it must be at least warmup, {warmup!r}.")
    warm = _to_steps(warmup, total_steps, of)
    end = total_steps if total is None else max(1, _to_steps(total, total_steps, of))

    def shape(floor: float) -> Callable[[int], float]:
        def factor(done: int) -> float:
            if done < warm:
                return (done + 1) / warm
            if done >= end:
                return floor
            return floor + (1 - floor) * ((end - done) / (end - warm)) ** power

        return factor

    # end_lr is absolute and a LambdaLR multiplies, so each group needs a factor of its own.
    floors = [end_lr / lr if end_lr else 0.0 for lr in _base_lrs(optimizer)]
    return with_decay(LambdaLR(optimizer, [shape(floor) for floor in floors]), scale_decay)


def inverse_sqrt(
    optimizer: Optimizer,
    total_steps: int,
    *,
    warmup: float,
    of: float | None = None,
    scale_decay: bool = False,
) -> LRScheduler:
    """Warm-up, then lr * sqrt(warmup / k); a warm-up of 0 counts as 1.

    The schedule of Vaswani et al. 2017, section 5.3, with lr for its peak.

    Raises ValueError: warmup < 0.
    """
    _check_budget(total_steps, of)
    _check_not_negative(warmup=warmup)
    warm = max(1, _to_steps(warmup, total_steps, of))

    def factor(done: int) -> float:
        k = done + 1
        return k / warm if k <= warm else math.sqrt(warm / k)

    return with_decay(LambdaLR(optimizer, factor), scale_decay)


def tri_stage(
    optimizer: Optimizer,
    total_steps: int,
    *,
    warmup: float,
    hold: float,
    decay: float,
    init_scale: float = 0.01,
    final_scale: float = 0.01,
    of: float | None = None,
    scale_decay: bool = False,
) -> LRScheduler:
    """Up, level, down: the schedule that fairseq calls tri_stage.

    For `warmup` updates a straight line from init_scale * lr to lr; for `hold` updates lr; for
    `decay` updates lr * final_scale^((done - warmup - hold) / decay); then final_scale * lr. It is
    where a stage ends that is rounded to steps, not how long it is, so that stages which fill `of`
    fill the budget.

    Raises ValueError: warmup, hold or decay < 0; init_scale or final_scale not in (0, 1].
    """
    _check_budget(total_steps, of)
    _check_not_negative(warmup=warmup, hold=hold, decay=decay)
    _check_scale(init_scale=init_scale, final_scale=final_scale)
    warm_end = _to_steps(warmup, total_steps, of)
    hold_end = _to_steps(warmup + hold, total_steps, of)
    decay_end = _to_steps(warmup + hold + decay, total_steps, of)

    def factor(done: int) -> float:
        if done < warm_end:
            return init_scale + (1 - init_scale) * done / warm_end
        if done < hold_end:
            return 1.0
        if done < decay_end:
            return final_scale ** ((done - hold_end) / (decay_end - hold_end))
        return final_scale

    return with_decay(LambdaLR(optimizer, factor), scale_decay)


def online(optimizer: Optimizer, total_steps: int, *, zeta: float) -> LRScheduler:
    """What theorems on the regret ask for: lr / sqrt(k), and μ * zeta^(k - 1).

    Theorem 1 of LaProp (Ziyin, Wang and Ueda), and those of Adam and AMSGrad.

    Raises ValueError: zeta not in (0, 1]; an optimizer whose betas are not two numbers.
    """
    _check_budget(total_steps, None)
    _check_scale(zeta=zeta)
    return DecayingMomentum(optimizer, zeta)


def nu_switch(
    optimizer: Optimizer, total_steps: int, *, first: float, until: float, of: float | None = None
) -> LRScheduler:
    """Keep lr, and let ν be `first` for `until` updates and what the optimizer has from then on.

    LaProp, section 3.2: a small ν where the training is unstable, and one near 1 later.

    Raises ValueError: first not in [0, 1); until < 0; an optimizer whose betas are not two numbers.
    """
    _check_budget(total_steps, of)
    _check_not_negative(until=until)
    if not _is_finite(first) or not 0 <= first < 1:
        raise ValueError(f"first is {first!r}: it must be a number >= 0 and < 1.")
    return SwitchedNu(optimizer, first, _to_steps(until, total_steps, of))


def _to_steps(number: float, total_steps: int, of: float | None) -> int:
    return round(number if of is None else number * total_steps / of)


def _base_lrs(optimizer: Optimizer) -> list[float]:
    """The lr that torch's schedulers will multiply, which is a tensor in some optimizers."""
    return [float(group.get("initial_lr", group["lr"])) for group in optimizer.param_groups]


def _is_finite(value: object) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)


def _check_budget(total_steps: int, of: float | None) -> None:
    if not isinstance(total_steps, int) or total_steps < 1:
        raise ValueError(f"total_steps is {total_steps!r}: it must be an integer >= 1.")
    if of is not None:
        _check_positive(of=of)


def _check_positive(**numbers: float) -> None:
    for name, value in numbers.items():
        if not _is_finite(value) or value <= 0:
            raise ValueError(f"{name} is {value!r}: it must be a finite number > 0.")


def _check_not_negative(**numbers: float) -> None:
    for name, value in numbers.items():
        if not _is_finite(value) or value < 0:
            raise ValueError(f"{name} is {value!r}: it must be a finite number >= 0.")


def _check_scale(**numbers: float) -> None:
    for name, value in numbers.items():
        if not _is_finite(value) or not 0 < value <= 1:
            raise ValueError(f"{name} is {value!r}: it must be a number > 0 and <= 1.")


def _check_increasing(name: str, values: Sequence[float]) -> None:
    good = isinstance(values, Sequence) and all(_is_finite(v) and v > 0 for v in values)
    if not good or any(b <= a for a, b in pairwise(values)):
        raise ValueError(f"{name} is {values!r}: it must be strictly increasing numbers > 0.")


def _check_final_lr(optimizer: Optimizer, name: str, value: float) -> None:
    _check_not_negative(**{name: value})
    lowest = min(_base_lrs(optimizer))
    if value > lowest:
        raise ValueError(f"{name} is {value!r}: it must not exceed the learning rate, {lowest!r}.")
