"""Small problems of a few parameters, many independent trials of each at once."""

import math
from abc import abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from tasks.bounds import Box, Count, Numbers, Positive, PositiveOrZero
from tasks.metrics import Metric
from tasks.seeds import derive
from tasks.task import Task, build_model
from tasks.transfer import to_device

# Steps whose noise is drawn at a time.
BLOCK = 500
# A step of float64 can be measured if its gradient is larger: smaller ones underflow.
READABLE = 1e-280
# A change of 1/√v̂ that is read off steps is none if it is, in relation, less than this.
ROUNDING = 1e-9


# Whether a trial succeeded, and the steps it took.
SUCCESS = {
    "trials/success": Metric("share of successful trials", "max", binary=True),
    "trials/steps_to_success": Metric("steps to success", "min", reached="trials/success"),
}


class Trials(Task):
    """A problem whose trials are all in one parameter, `theta` of shape (trials, dimensions).

    An optimizer that treats every element by itself, as all of `conf/optim/` do, lets no trial see
    another; clipping the gradient's norm would. Numbers are float64, so that only the method
    decides. The loss is the sum over trials, which gives each the gradient of its own.

    Args:
        trials: how many.
        steps: optimizer steps.
        eval_every: steps between evaluations.
        seed: of the starts and of the noise.
        device: where all of it lives.
        root: the folder of data sets, which stays as it is: there are none.
    """

    model: "Points"
    shareable = divisible = False  # each step is all trials'

    def __init__(
        self,
        *,
        trials: Count,
        steps: Count,
        eval_every: Count,
        seed: int,
        device: torch.device,
        root: Path,
    ):
        self.trials, self.steps, self.eval_every = trials, steps, min(eval_every, steps)
        self.seed, self.device = seed, device
        self.model = build_model(lambda: Points(self.start()), seed, device)
        self.memory = 8 * BLOCK * self.model.theta.numel()  # the noise of a block of steps
        self._block, self._drawn = -1, torch.empty(0)

    @abstractmethod
    def start(self) -> Tensor:
        """Where the trials begin, (trials, dimensions)."""

    @abstractmethod
    def draw(self, steps: int, generator: torch.Generator) -> Tensor:
        """The noise of some steps, (steps, trials, …)."""

    @property
    def theta(self) -> Tensor:
        return self.model.theta.detach()

    def batch(self, step: int) -> Tensor:
        """The noise of a step, drawn on the CPU, so that every device sees the same."""
        block, index = divmod(step, BLOCK)
        if block != self._block:
            generator = torch.Generator().manual_seed(derive(self.seed, "noise", block))
            self._drawn = to_device(self.draw(BLOCK, generator), self.device)
            self._block = block
        return self._drawn[index]

    def split(self, batch: Any, parts: int) -> list[tuple[Any, float]]:
        raise ValueError(
            f"this task has no batch to cut into {parts}: it takes accumulate=1 and one process"
        )


class Points(nn.Module):
    """The parameters of all trials, and nothing else."""

    def __init__(self, start: Tensor):
        super().__init__()
        self.theta = nn.Parameter(start)


class Quadratic(Trials):
    """f(θ) = ½ Σ hᵢ θᵢ², seen through noise: its gradients are hᵢ (θᵢ - σ εᵢ), ε ~ N(0, 1).

    The noisy quadratic model of Zhu et al. (MAdam), equations 12 and 13, and without noise the
    functions in figure 1 of Daley & Amato (L^p Adam). `test/loss` is f without the noise.

    Args:
        curvature: h.
        noise: σ.
        first: where every trial starts; None draws each start from N(0, I).
    """

    # Where the first trial is: its first two coordinates.
    metrics: ClassVar = {"path/x": Metric("x"), "path/y": Metric("y")}
    headline = "test/loss"

    def __init__(
        self,
        *,
        curvature: Numbers,
        noise: PositiveOrZero,
        first: Sequence[float] | None,
        device: torch.device,
        **budget: Any,
    ):
        if first is not None and len(first) != len(curvature):
            raise ValueError(f"task.first={first}: must be as long as task.curvature={curvature}")
        self.noise, self.first = noise, first
        self.curvature = torch.tensor(curvature, dtype=torch.float64, device=device)
        super().__init__(device=device, **budget)

    def start(self) -> Tensor:
        size = (self.trials, len(self.curvature))
        if self.first is None:
            return torch.randn(size, dtype=torch.float64)
        return torch.tensor(self.first, dtype=torch.float64).expand(size).clone()

    def draw(self, steps: int, generator: torch.Generator) -> Tensor:
        size = (steps, self.trials, len(self.curvature))
        return self.noise * torch.randn(size, generator=generator, dtype=torch.float64)

    def loss(self, batch: Tensor) -> Tensor:
        return 0.5 * (self.curvature * (self.model.theta - batch).square()).sum()

    def evaluate(self) -> dict[str, float | Tensor]:
        value = 0.5 * (self.curvature * self.theta.square()).sum(1)
        return {"test/loss": value, **first_coordinates(self.theta)}


class Rosenbrock(Trials):
    """The Rosenbrock function at a point that noise shifts: LaProp, section 5.1 and appendix C.2.

    ℓ(x, y) = (1 - (x + ε₁))² + 100·((y + ε₂) - (x + ε₁)²)², ε ~ Uniform(-σ, σ) in every step. A
    trial succeeds at the first step after which ℓ without noise is below `threshold`. The run ends
    at the evaluation at which all have.

    Args:
        noise: σ, half the width of the interval that the noise is drawn from.
        threshold: below which ℓ counts as minimised.
    """

    metrics = SUCCESS
    headline = "trials/steps_to_success"

    def __init__(self, *, noise: PositiveOrZero, threshold: Positive, **budget: Any):
        self.noise, self.threshold = noise, threshold
        super().__init__(**budget)
        # Steps to success: the whole budget, for a trial that has not succeeded.
        self.reached = torch.full((self.trials,), self.steps, device=self.device)
        self.success = torch.zeros(self.trials, dtype=torch.bool, device=self.device)

    def start(self) -> Tensor:
        return torch.zeros(self.trials, 2, dtype=torch.float64)

    def draw(self, steps: int, generator: torch.Generator) -> Tensor:
        uniform = torch.rand(steps, self.trials, 2, generator=generator, dtype=torch.float64)
        return self.noise * (2 * uniform - 1)

    def loss(self, batch: Tensor) -> Tensor:
        return rosenbrock(self.model.theta + batch).sum()

    def after_step(self, step: int) -> None:
        succeeds = (rosenbrock(self.theta) < self.threshold) & ~self.success
        self.reached.masked_fill_(succeeds, step + 1)
        self.success |= succeeds

    def evaluate(self) -> dict[str, float | Tensor]:
        self.done = bool(self.success.all())
        return {
            "trials/success": self.success.double(),
            "trials/steps_to_success": self.reached.double(),
        }

    def state_dict(self) -> dict[str, Any]:
        return {"reached": self.reached, "success": self.success}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.reached = state["reached"].to(self.device)
        self.success = state["success"].to(self.device)


def rosenbrock(theta: Tensor) -> Tensor:
    x, y = theta.unbind(-1)
    return (1 - x).square() + 100 * (y - x.square()).square()


class ConvexExample(Trials):
    """Eleven functions of one parameter, one drawn in each step: MAdam, equation 11.

    ℓ₁ is 5.5·θ² inside |θ| ≤ 1 and 11·|θ| - 5.5 outside; each of the other ten is -θ²/2 and
    -|θ| + 1/2. Their sum is convex, least at 0, and ℓ₁ is rare: Adam forgets it in between.

    `test/loss` is the sum of the eleven. A trial succeeds if it ends with |θ| < `threshold`. The
    terms of Chen et al. (2019), theorem 3.1, are summed with rₜ, the optimizer's 1/√v̂ₜ, read off
    the steps of a method without momentum: rₜ = |θₜ₊₁ - θₜ| / (lr·|gₜ|). Term A is Σ (gₜ rₜ)²,
    term B is Σ |rₜ - rₜ₋₁| from the second step on, s₂ is Σ rₜ. AdamAL's theorem 3.1 has term A,
    the squares Σ (rₜ - rₜ₋₁)² in the place of term B, and on its left Σ f'(θₜ)² rₜ, where f is the
    mean of the eleven. Its Γₜ (equation 15) is 1/rₜ - 1/rₜ₋₁, which a method should keep from
    falling below 0; all without the learning rate. Read with it, lr·rₜ
    stands for rₜ: `…_with_lr` are A times lr², and B and s₂ times lr.

    Args:
        first: where every trial starts.
        threshold: below which |θ| counts as a solution.
        lr: the optimizer's learning rate, which cancels.
        box: (low, high), onto which the optimizer projects; None where it does not. Of a step that
            ends at its edge, rₜ cannot be read.
    """

    metrics: ClassVar = {
        "trials/success": SUCCESS["trials/success"],
        # The terms of theorem 3.1 of Chen et al. (2019), summed over the steps so far, without lr.
        "bound/term_a": Metric("term A", log=True),
        "bound/term_b": Metric("term B", log=True),
        "bound/s2": Metric("s₂", log=True),
        # The same with lr.
        "bound/term_a_with_lr": Metric("term A with the rate", log=True),
        "bound/term_b_with_lr": Metric("term B with the rate", log=True),
        "bound/s2_with_lr": Metric("s₂ with the rate", log=True),
        # Of theorem 3.1 of AdamAL, without lr.
        "bound/squares": Metric("Σ (r - r before)²", log=True),
        "bound/left": Metric("left side of AdamAL's (19)", log=True),
        # Γ of equation 15 of AdamAL, over the steps so far.
        "bound/gamma_least": Metric("least Γ so far"),
        "bound/gamma_negative": Metric("share of steps with Γ < 0"),
    }
    headline = "test/loss"

    def __init__(
        self,
        *,
        first: float,
        threshold: Positive,
        lr: float,
        box: Box | None,
        **budget: Any,
    ):
        if first == 0:
            raise ValueError("task.first=0: there is nothing to do at the solution")
        self.first, self.threshold, self.lr, self.box = first, threshold, lr, box
        super().__init__(**budget)
        zeros = torch.zeros(self.trials, dtype=torch.float64, device=self.device)
        names = ("term_a", "term_b", "s2", "squares", "left", "gamma_least", "gamma_negative")
        self.terms = {name: zeros.clone() for name in names}
        self.rate = torch.full_like(zeros, math.nan)
        self._before, self._slope = zeros, zeros

    def start(self) -> Tensor:
        return torch.full((self.trials, 1), self.first, dtype=torch.float64)

    def draw(self, steps: int, generator: torch.Generator) -> Tensor:
        return torch.randint(11, (steps, self.trials), generator=generator) == 0

    def loss(self, batch: Tensor) -> Tensor:
        theta = self.model.theta[:, 0]
        self._before = theta.detach().clone()
        weight = torch.where(batch, 11.0, -1.0).to(theta.dtype)
        self._slope = weight * self._before.clamp(-1, 1)
        return (weight * huber(theta)).sum()

    def after_step(self, step: int) -> None:
        theta = self.theta[:, 0]
        moved = (theta - self._before).abs()
        # Trials end at θ = 0, where the step tells nothing: there the rate stays what it was.
        readable = self._slope.abs() > READABLE
        if self.box is not None:
            low, high = self.box
            readable &= (low < theta) & (theta < high)
        rate = torch.where(readable, moved / (self.lr * self._slope.abs()), self.rate)
        change = (rate - self.rate).nan_to_num(0.0)
        gamma = (1 / rate - 1 / self.rate).nan_to_num(0.0)
        # Less is rounding: a step is the difference of two θ.
        falls = gamma < -ROUNDING / rate
        terms, known = self.terms, rate.nan_to_num(0.0)
        terms["term_a"] += (known * self._slope).square()
        terms["term_b"] += change.abs()
        terms["s2"] += known
        terms["squares"] += change.square()
        terms["left"] += (self._before.clamp(-1, 1) / 11).square() * known
        terms["gamma_least"] = torch.where(falls, gamma, 0.0).minimum(terms["gamma_least"])
        terms["gamma_negative"] += (falls.double() - terms["gamma_negative"]) / (step + 1)
        self.rate = rate

    def evaluate(self) -> dict[str, float | Tensor]:
        theta = self.theta[:, 0]
        return {
            "test/loss": huber(theta),
            "trials/success": (theta.abs() < self.threshold).double(),
            **{f"bound/{name}": value for name, value in self.terms.items()},
            "bound/term_a_with_lr": self.lr**2 * self.terms["term_a"],
            "bound/term_b_with_lr": self.lr * self.terms["term_b"],
            "bound/s2_with_lr": self.lr * self.terms["s2"],
        }

    def state_dict(self) -> dict[str, Any]:
        return {"terms": self.terms, "rate": self.rate}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.terms = {name: value.to(self.device) for name, value in state["terms"].items()}
        self.rate = state["rate"].to(self.device)


def huber(theta: Tensor) -> Tensor:
    """θ²/2 inside |θ| ≤ 1, |θ| - 1/2 outside: the sum of the eleven functions."""
    distance = theta.abs()
    return torch.where(distance <= 1, 0.5 * theta.square(), distance - 0.5)


def first_coordinates(theta: Tensor) -> dict[str, float]:
    """The first two coordinates of the first trial."""
    return dict(zip(("path/x", "path/y"), theta[0].tolist(), strict=False))
