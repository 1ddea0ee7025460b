"""Curves smoothed by a Gaussian, as papers draw them."""

from collections.abc import Iterable, Sequence
from functools import reduce
from math import gcd

import numpy as np

from engine.record_files import ENDED
from engine.records import Curve, Record
from results.study import Figure


def smoothed(record: Record, curve: Curve, figure: Figure) -> Curve:
    """A run's curve as the figure smooths it; a training loss of each step where they were kept."""
    if figure.smooth is None:
        return curve
    if figure.smooth_unit == "evaluations":
        steps, values = curve
        return steps, gaussian(range(len(steps)), values, figure.smooth)
    steps, values = with_losses(curve, record.losses)
    return steps, gaussian(steps, values, figure.smooth)


def remark(figure: Figure, records: Iterable[Record]) -> str:
    """What stands beside a smoothed training loss of runs that have not kept one of each step."""
    if figure.smooth is None or figure.smooth_unit == "evaluations":
        return ""
    ended = [record for record in records if record.status in ENDED]
    if all(record.losses[0] for record in ended):
        return ""
    return "losses of single steps were not kept in all runs: means between evaluations are shown"


def with_losses(curve: Curve, losses: Curve) -> Curve:
    """Losses of single steps, and where they were not kept the means between evaluations."""
    kept, _ = losses
    if not kept:
        return curve
    coarse = [(s, v) for s, v in zip(*curve, strict=True) if not kept[0] <= s <= kept[-1]]
    pairs = sorted([*coarse, *zip(*losses, strict=True)])
    return [step for step, _ in pairs], [value for _, value in pairs]


def gaussian(
    places: Sequence[int], values: Sequence[float | None], sigma: float
) -> list[float | None]:
    """Weighted means over the values around each, with weights e^(-d²/2σ²) up to about d = 4σ.

    At the ends there are fewer of them. What has no value has none afterwards, and no weight.

    Args:
        places: whole numbers that grow, between which the distances d are.
        values: one at each place.
        sigma: σ, in the unit of the places.
    """
    from scipy.ndimage import gaussian_filter1d

    if not places:
        return []
    offsets = np.array(places) - places[0]
    unit = reduce(gcd, map(int, offsets)) or 1
    at = offsets // unit
    found = np.array([np.nan if value is None else value for value in values], dtype=float)
    known = np.isfinite(found)
    # On an even grid, sums of values and of weights, with zeros where there is nothing.
    sums, weights = np.zeros((2, int(at[-1]) + 1))
    sums[at], weights[at] = np.where(known, found, 0), known
    sums, weights = (
        gaussian_filter1d(line, sigma / unit, mode="constant")[at] for line in (sums, weights)
    )
    pairs = zip(sums, weights, known, strict=True)
    return [float(total / weight) if has else None for total, weight, has in pairs]
