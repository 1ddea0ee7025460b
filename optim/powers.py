"""Powers of numbers >= 0, for a fraction of the time of a general `pow` on a CPU."""

from typing import Any


def way(exponent: float) -> tuple[str, ...]:
    """How to raise to `exponent` > 0: squares, cubes and square roots where they suffice."""
    steps = []
    while exponent != 1:
        if exponent % 3 == 0:
            steps.append("cube")
            exponent /= 3
        elif exponent % 2 == 0:
            steps.append("square")
            exponent /= 2
        elif exponent % 1 and exponent * 16 % 1 == 0:
            steps.append("sqrt")
            exponent *= 2
        else:
            return ("exp",)
    return tuple(steps)


def raise_(x: Any, exponent: Any, steps: tuple[str, ...]) -> Any:
    """Raise x, all of it >= 0, to `exponent` in place, by `steps = way(exponent)`.

    In float32 the relative error of exp(exponent·log x) is about 1e-7·(1 + |exponent·log x|).
    """
    for step in steps:
        if step == "cube":
            x.pow_(3)
        elif step == "square":
            x.pow_(2)
        elif step == "sqrt":
            x.sqrt_()
        else:
            x.log_().mul_(exponent).exp_()
    return x
