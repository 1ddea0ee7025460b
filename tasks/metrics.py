"""What a task says of the metrics that it reports."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Metric:
    """How a metric is shown.

    Attributes:
        label: what stands on an axis.
        better: which direction is an improvement, or None where neither is.
        log: whether its axis is logarithmic.
        reached: the name of a metric that is 1 where this one was reached, and 0 where it was not
            and the budget stands for it.
        binary: whether each trial's value is 0 or 1, so that their mean is the fraction of trials
            in which something came true; its standard error is then √(p(1 - p)/n).
    """

    label: str
    better: Literal["min", "max"] | None = None
    log: bool = False
    reached: str | None = None
    binary: bool = False


# exp(loss), with the loss in nats a word, of tasks that predict words.
PERPLEXITY: Mapping[str, Metric] = {
    "valid/perplexity": Metric("validation perplexity", "min", log=True),
    "test/perplexity": Metric("test perplexity", "min", log=True),
}


def perplexity(loss: float) -> float:
    """exp(loss), and infinity where that is no float."""
    return math.exp(loss) if loss < 700 else math.inf
