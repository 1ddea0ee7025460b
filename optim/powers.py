"""Powers and roots of numbers >= 0, for a fraction of the time of a general `pow` on a CPU."""

from functools import cache
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
        elif exponent % 1 and exponent * 4 % 2 == 1:
            steps.append("fourth root")
            exponent *= 4
        elif exponent % 1 and exponent * 16 % 1 == 0:
            steps.append("square root")
            exponent *= 2
        else:
            return ("exp",)
    return tuple(steps)


def power(x: Any, exponent: Any, steps: tuple[str, ...]) -> Any:
    """x^exponent for x >= 0, by `steps = way(exponent)`; x itself where there are none.

    In float32 the relative error of exp(exponent·log x) is about 1e-7·(1 + |exponent·log x|).
    """
    for step in steps:
        if step == "cube":
            x = x.pow(3)
        elif step == "square":
            x = x.pow(2)
        elif step == "fourth root":
            # A CPU has this one sooner than two square roots.
            x = x.rsqrt().rsqrt_()
        elif step == "square root":
            x = x.sqrt()
        else:
            x = x.log().mul_(exponent).exp_()
    return x


def root_of_sum(y: Any, h: Any) -> Any:
    """(1 + y)^(1/p) for 0 <= y <= 1, to a relative error of 3e-12 or rounding; spoils y.

    Args:
        y: what is added to 1.
        h: has p, root = 1/p, to_p = way(p), to_root = way(1/p), halleys, and the numbers of `cubic`
            where that holds.
    """
    if not h.halleys:
        return power(y.add_(1), h.root, h.to_root)
    near = y.mul(h.cubic).add_(h.quadratic).mul_(y).add_(h.linear).mul_(y).add_(1)
    reached, wanted = power(near, h.p, h.to_p), y.add_(1)
    # An alpha that is a number in a tensor reaches a compiled `add` in float32, but not `add_`.
    near.mul_(wanted.mul(h.halley).add_(reached))
    return near.div_(wanted.add_(reached, alpha=h.halley))


def halleys(p: float) -> bool:
    """Whether `root_of_sum` takes one step of Halley's method from a cubic.

    That costs less where it takes a logarithm to get the root but none to get it back to the power
    p. For p < 1 a cubic is too far from the root.
    """
    return p > 1 and way(1 / p) == ("exp",) and way(p) != ("exp",)


@cache
def cubic(p: float) -> dict[str, float]:
    """The numbers with which `root_of_sum` begins, where it needs them.

    The cubic equals (1 + y)^(1/p) at four points, 0 one of them: in a long run y is small. It is
    off by 2e-4 at most, of which Halley's step takes the third power.
    """
    if not halleys(p):
        return {}
    a, b, c = 0.2, 0.6, 0.95
    f, g, h = (((1 + y) ** (1 / p) - 1) / y for y in (a, b, c))
    slope = (g - f) / (b - a)
    bend = ((h - g) / (c - b) - slope) / (c - a)
    return {
        "linear": f - slope * a + bend * a * b,
        "quadratic": slope - bend * (a + b),
        "cubic": bend,
        "halley": (p + 1) / (p - 1),
    }
