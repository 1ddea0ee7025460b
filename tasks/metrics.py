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
    """

    label: str
    better: Literal["min", "max"] | None = None
    log: bool = False


# exp(loss), with the loss in nats a word, of tasks that predict words.
PERPLEXITY: Mapping[str, Metric] = {
    "valid/perplexity": Metric("validation perplexity", "min", log=True),
    "test/perplexity": Metric("test perplexity", "min", log=True),
}


def perplexity(loss: float) -> float:
    """exp(loss), and infinity where that is no float."""
    return math.exp(loss) if loss < 700 else math.inf
