"""Powers and roots of numbers >= 0, for a fraction of the time of a general `pow` on a CPU."""

from functools import cache
from typing import Any


def factors(exponent: float) -> tuple[str, ...]:
    """How to raise to `exponent` > 0: squares, cubes and square roots where they suffice."""
    factors = []
    while exponent != 1:
        if exponent % 3 == 0:
            factors.append("cube")
            exponent /= 3
        elif exponent % 2 == 0:
            factors.append("square")
            exponent /= 2
        elif exponent % 1 and exponent * 4 % 2 == 1:
            factors.append("fourth root")
            exponent *= 4
        elif exponent % 1 and exponent * 16 % 1 == 0:
            factors.append("square root")
            exponent *= 2
        else:
            return ("exp",)
    return tuple(factors)


def power(x: Any, exponent: Any, factors: tuple[str, ...]) -> Any:
    """x^exponent for x >= 0, by `factors(exponent)`; x itself where there are none.

    In float32 the relative error of exp(exponent·log x) is about 1e-7·(1 + |exponent·log x|).
    """
    for factor in factors:
        if factor == "cube":
            x = x.pow(3)
        elif factor == "square":
            x = x.pow(2)
        elif factor == "fourth root":
            # A CPU has this one sooner than two square roots.
            x = x.rsqrt().rsqrt_()
        elif factor == "square root":
            x = x.sqrt()
        else:
            x = x.log().mul_(exponent).exp_()
    return x


def root_of_sum(y: Any, hyper: Any) -> Any:
    """(1 + y)^(1/p) for 0 <= y <= 1, to a relative error of 3e-12 or rounding; spoils y.

    Args:
        y: what is added to 1.
        hyper: has p, p_factors = factors(p), root = 1/p, root_factors = factors(1/p), halleys, and
            the numbers of `cubic` where that holds.
    """
    if not hyper.halleys:
        return power(y.add_(1), hyper.root, hyper.root_factors)
    root = y.mul(hyper.cubic).add_(hyper.quadratic).mul_(y).add_(hyper.linear).mul_(y).add_(1)
    raised, target = power(root, hyper.p, hyper.p_factors), y.add_(1)
    # An alpha that is a number in a tensor reaches a compiled `add` in float32, but not `add_`.
    root.mul_(target.mul(hyper.halley).add_(raised))
    return root.div_(target.add_(raised, alpha=hyper.halley))


def halleys(p: float) -> bool:
    """Whether `root_of_sum` takes one step of Halley's method from a cubic.

    That costs less where it takes a logarithm to get the root but none to get it back to the power
    p. For p < 1 a cubic is too far from the root.
    """
    return p > 1 and factors(1 / p) == ("exp",) and factors(p) != ("exp",)


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
