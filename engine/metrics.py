"""The one list of metric names: every task, logger, table and figure uses these."""

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


METRICS = {
    # Mean over the steps since the evaluation before, in training mode.
    "train/loss": Metric("training loss", "min", log=True),
    # Over all training data, without augmentation, in evaluation mode.
    "train/eval_loss": Metric("training loss (evaluation mode)", "min", log=True),
    "valid/loss": Metric("validation loss", "min", log=True),
    "test/loss": Metric("test loss", "min", log=True),
    # A fraction between 0 and 1.
    "test/accuracy": Metric("test accuracy", "max"),
    # The same, where a class among the five likeliest counts as right.
    "test/top5_accuracy": Metric("test accuracy (top 5)", "max"),
    # The same for data to validate on; MNLI has a second part, of other kinds of text.
    "valid/accuracy": Metric("validation accuracy", "max"),
    "valid/mismatched_accuracy": Metric("validation accuracy (mismatched)", "max"),
    # Matthews' and Pearson's correlations of predictions and labels.
    "valid/mcc": Metric("validation Matthews correlation", "max"),
    "valid/pearson": Metric("validation Pearson correlation", "max"),
    # Of a task of GLUE: its own measure, one of those above.
    "valid/score": Metric("validation score", "max"),
    # exp(loss), with the loss in nats a word.
    "valid/perplexity": Metric("validation perplexity", "min", log=True),
    "test/perplexity": Metric("test perplexity", "min", log=True),
    # Of words as Moses tokenises, in points of 100; and of detokenised text (sacreBLEU).
    "valid/bleu": Metric("validation BLEU (tokenised)", "max"),
    "test/bleu": Metric("test BLEU (tokenised)", "max"),
    "test/sacrebleu": Metric("test sacreBLEU", "max"),
    # Games: mean score and length, in actions, of the last 100 games in training, and mean score of
    # the last 100 lives.
    "train/return": Metric("score (mean of 100 games)", "max"),
    "train/length": Metric("actions in a game (mean of 100)"),
    "train/return_per_life": Metric("score in a life (mean of 100)", "max"),
    # The same, one value for each of an evaluation's games; and the mean value of the best action.
    "test/return": Metric("score (evaluation)", "max"),
    "test/length": Metric("actions in a game (evaluation)"),
    "test/max_q": Metric("mean value of the best action"),
    # Actions since the start of the run.
    "agent/steps": Metric("actions"),
    # The learning rate of the step just taken (first parameter group).
    "lr": Metric("learning rate"),
    # Mean over all parameters of |θ_after - θ_before| for the step just taken, without decoupled
    # weight decay.
    "optim/mean_abs_step": Metric("mean absolute step", log=True),
    # MAdam and LaMAdam: mean of β over all elements in that step.
    "optim/beta": Metric("mean β"),
    # Methods with a running maximum: the share of elements that keep an older one in that step.
    "optim/kept": Metric("share of kept maxima"),
    # Sampled entries of AMSGrad, one value for each: the steps that kept an older maximum, and the
    # mean number of steps between two of them.
    "optim/swaps": Metric("swaps"),
    "optim/swap_interval": Metric("steps between two swaps", log=True),
    # L^p Adam: the share of elements whose gradient is not 0, but whose |g|^p is below the smallest
    # normal number of float32, so that it has lost precision or is 0.
    "optim/underflow": Metric("share of |g|^p that underflows", "min"),
    # Gradients that are prescribed: the largest step so far, in units of the learning rate, and the
    # largest difference from the reference's displacement, as a share of its largest.
    "optim/largest_step": Metric("largest step / lr", log=True),
    "optim/distance": Metric("relative distance from the reference", "min", log=True),
    # Small problems of many trials: whether a trial succeeded, and the steps it took, which count
    # as the whole budget where it did not.
    "trials/success": Metric("share of successful trials", "max"),
    "trials/steps_to_success": Metric("steps to success", "min"),
    # The terms of theorem 3.1 of Chen et al. (2019), summed over the steps so far, without lr.
    "bound/term_a": Metric("term A", log=True),
    "bound/term_b": Metric("term B", log=True),
    "bound/s2": Metric("s₂", log=True),
    # The place of the first trial, its first two coordinates.
    "path/x": Metric("x"),
    "path/y": Metric("y"),
}

# Sent to loggers about once a second while a run trains. They depend on the clock, so they are no
# part of a run's record.
LIVE_METRICS = {
    "train/recent_loss": Metric("training loss (recent steps)", "min", log=True),
    "perf/steps_per_second": Metric("steps per second", "max"),
    "perf/frames_per_second": Metric("frames per second", "max"),
}


def finite_or_none(metrics: Mapping[str, float]) -> dict[str, float | None]:
    """What strict JSON can hold: None stands for NaN and for the infinities."""
    return {name: value if math.isfinite(value) else None for name, value in metrics.items()}


def improves(name: str, value: float | None, best: float | None) -> bool:
    """Whether `value` is strictly better than `best`; None is worse than any number."""
    if value is None or METRICS[name].better is None:
        return False
    if best is None:
        return True
    return value < best if METRICS[name].better == "min" else value > best
