"""How a study searches: which values it tries, and on which of them it spends its steps.

    search: grid                  every point of the grid, to the end
    search: halving               all points for a part of their steps, the better ones further
    search: {halving: {eta: 3, rungs: 2}}
    search: extend                past the edge of the grid, until the best value lies inside
    search: {extend: {times: 3, keys: [optim.lr]}}
    search: {random: 16, ranges: {optim.lr: {low: 1e-5, high: 1e-1, log: true}}}
                                  points that fill the ranges evenly, the same for every row;
                                  together with halving, if you like

On the command line of a sweep the same, as in search=halving.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from engine.checks import is_count, is_number

DIGITS = 4  # of a random value, so that a config can be read
SEED = 0
LEAST = 1e-4  # of all steps, before runs are compared


@dataclass(frozen=True)
class Halving:
    """Successive halving (Jamieson and Talwalkar 2016), synchronous, as in Hyperband.

    Attributes:
        eta: of the points of a rung, 1/eta go on, rounded up; each rung is eta times as long as
            the one before.
        rungs: how often runs pause, the last rung being the whole budget.
    """

    eta: float = 3.0
    rungs: int = 2

    @property
    def fractions(self) -> list[float]:
        """The parts of all steps at which runs pause, rising."""
        return [self.eta ** (i - self.rungs) for i in range(self.rungs)]

    def share(self, points: int) -> float:
        """The part of all steps of so many points that is spent."""
        alive, spent, before = points, 0.0, 0.0
        for fraction in self.fractions:
            spent += alive * (fraction - before)
            alive, before = math.ceil(alive / self.eta), fraction
        return (spent + alive * (1 - before)) / points


@dataclass(frozen=True)
class Extend:
    """The grid goes on in its own spacing where the best value of a key is at its edge.

    Attributes:
        times: how often at most, for each row.
        keys: those that may go on; None stands for all whose values are numbers.
    """

    times: int = 3
    keys: tuple[str, ...] | None = None


@dataclass(frozen=True)
class Range:
    """The values of a key from `low` to `high`, evenly on a logarithmic axis with `log`."""

    low: float
    high: float
    log: bool = False

    def at(self, share: float) -> float:
        """The value at a share of the way from low to high."""
        if self.log:
            value = math.exp(math.log(self.low) + share * math.log(self.high / self.low))
        else:
            value = self.low + share * (self.high - self.low)
        return float(f"{value:.{DIGITS}g}")


@dataclass(frozen=True)
class Search:
    """What `search:` says.

    Attributes:
        random: how many random points stand in the place of the grid; 0 for the grid.
        ranges: of the random points.
    """

    random: int = 0
    ranges: Mapping[str, Range] = field(default_factory=dict)
    halving: Halving | None = None
    extend: Extend | None = None

    def __str__(self) -> str:
        """As a sentence has it."""
        parts = []
        if self.random:
            parts.append(f"{self.random} quasi-random points")
        if self.halving:
            rungs = ", ".join(f"{fraction:.3g}" for fraction in self.halving.fractions)
            eta = f"{self.halving.eta:g}"
            parts.append(f"halving (the best 1/{eta} go on at {rungs} of the steps)")
        if self.extend:
            parts.append(f"the grid, extended up to {self.extend.times} times past its edge")
        return ", ".join(parts) or "grid"


WORDS = {"grid": {}, "halving": {"halving": {}}, "extend": {"extend": {}}}


def parse(said: Any) -> Search:
    """The search that a YAML or a command line says.

    Raises:
        ValueError: it says none; a phrase that follows `search: `.
    """
    if isinstance(said, str) and said in WORDS:
        said = WORDS[said]
    parts = ("random", "ranges", "halving", "extend")
    if not isinstance(said, Mapping) or not said.keys() <= set(parts):
        raise ValueError(f"{said}: must be grid, halving, extend, or KEY: VALUE of {listed(parts)}")
    ranges = {
        key: a_range(key, value) for key, value in pairs("ranges", said.get("ranges")).items()
    }
    random = a_count("random", said["random"]) if "random" in said else 0
    if bool(random) != bool(ranges):
        raise ValueError("random and ranges: one needs the other")
    halving = halving_of(said["halving"]) if "halving" in said else None
    extend = extend_of(said["extend"]) if "extend" in said else None
    if extend and (random or halving):
        raise ValueError("extend: needs every point of a grid, so neither random nor halving")
    return Search(random, ranges, halving, extend)


def halving_of(said: Any) -> Halving:
    settings = keys_of("halving", said, ("eta", "rungs"))
    eta = settings.get("eta", Halving.eta)
    if not is_number(eta) or eta <= 1:
        raise ValueError(f"halving: eta: {eta}: must be a number above 1")
    rungs = a_count("halving: rungs", settings.get("rungs", Halving.rungs))
    if rungs * math.log(eta) > math.log(1 / LEAST):
        raise ValueError(f"halving: rungs: {rungs}: the first is less than {LEAST:g} of the steps")
    return Halving(eta, rungs)


def extend_of(said: Any) -> Extend:
    settings = keys_of("extend", said, ("times", "keys"))
    keys = settings.get("keys")
    if keys is not None and not (isinstance(keys, list) and all(isinstance(k, str) for k in keys)):
        raise ValueError(f"extend: keys: {keys}: must be a list of keys of the grid")
    times = a_count("extend: times", settings.get("times", Extend.times))
    return Extend(times, None if keys is None else tuple(keys))


def a_range(key: str, said: Any) -> Range:
    settings = keys_of(f"ranges: {key}", said, ("low", "high", "log"))
    log = settings.get("log")
    low, high = (settings.get(name) for name in ("low", "high"))
    if low is None or high is None or not is_number(low) or not is_number(high):
        raise ValueError(f"ranges: {key}: low and high must be numbers")
    if not low < high:
        raise ValueError(f"ranges: {key}: low must be less than high")
    if log not in (None, True, False):
        raise ValueError(f"ranges: {key}: log: {log}: must be true or false")
    if log and low <= 0:
        raise ValueError(f"ranges: {key}: low must be above 0 on a logarithmic axis")
    return Range(float(low), float(high), bool(log))


def keys_of(where: str, said: Any, known: Sequence[str]) -> Mapping[str, Any]:
    settings = pairs(where, said)
    if unknown := settings.keys() - set(known):
        raise ValueError(f"{where}: {listed(sorted(unknown))}: must be of {listed(known)}")
    return settings


def pairs(where: str, said: Any) -> Mapping[str, Any]:
    if said is None:
        return {}
    if not isinstance(said, Mapping) or not all(isinstance(key, str) for key in said):
        raise ValueError(f"{where}: {said}: must be KEY: VALUE pairs")
    return said


def a_count(where: str, said: Any) -> int:
    if not is_count(said):
        raise ValueError(f"{where}: {said}: must be a whole number above 0")
    return said


def listed(names: Sequence[str]) -> str:
    return ", ".join(map(str, names))


# -- values ----------------------------------------------------------------------------------------


def quasi_random(count: int, ranges: Mapping[str, Range]) -> list[dict[str, float]]:
    """The first points of a scrambled Sobol sequence (Owen 1998) in the ranges, always the same.

    A larger `count` begins with the points of a smaller one.
    """
    shares = sobol(count, len(ranges))
    return [
        {key: span.at(share) for (key, span), share in zip(ranges.items(), row, strict=True)}
        for row in shares
    ]


@lru_cache(maxsize=8)
def sobol(count: int, dimensions: int) -> list[list[float]]:
    from scipy.stats import qmc  # takes a second

    # The sequence is balanced in powers of two; what is drawn beyond `count` is left out.
    drawn = qmc.Sobol(dimensions, rng=SEED).random_base2(max(0, math.ceil(math.log2(count))))
    return drawn[:count].tolist()


def next_value(values: Sequence[float], above: bool) -> float:
    """The value that follows the largest, or the smallest, in the spacing of the values.

    Grids repeat their ratios: 1e-4, 3e-4, 1e-3, 3e-3 goes on with 1e-2. Where ratios do not
    repeat, or a value is 0 or less, differences are asked, and then the last ratio or difference.
    Positive values stay positive.

    Args:
        values: two or more different ones.
        above: whether to go on past the largest.
    """
    ordered = sorted(values, reverse=not above)
    positive = min(ordered) > 0
    value = 2 * ordered[-1] - ordered[-2]
    if positive and (ratio := repeated(ordered, lambda a, b: b / a)):
        period, factor = ratio
        value = ordered[-period] * factor
    elif difference := repeated(ordered, lambda a, b: b - a):
        period, term = difference
        value = ordered[-period] + term
    elif positive:
        value = ordered[-1] ** 2 / ordered[-2]
    if positive and value < 1e-9 * max(ordered):
        # Past 0, where differences would lead, there is no value of the kind.
        value = ordered[-1] ** 2 / ordered[-2]
    value = float(f"{value:.12g}")
    return int(value) if all(isinstance(v, int) for v in values) and value.is_integer() else value


def repeated(ordered: Sequence[float], step: Any) -> tuple[int, float] | None:
    """The smallest period of up to three after which steps repeat, and the step over a period."""
    for period in (1, 2, 3):
        steps = [step(a, b) for a, b in zip(ordered, ordered[period:], strict=False)]
        # One step shows no pattern, unless it is a power of ten.
        shown = len(steps) > 1 or any(math.isclose(one, by) for one in steps for by in (10, 0.1))
        if shown and all(math.isclose(one, steps[0], rel_tol=1e-3) for one in steps):
            return period, steps[0]
    return None
