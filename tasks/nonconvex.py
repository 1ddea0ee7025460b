"""A nonconvex problem of known constants, and what Padam's theorem 4.3 says of it."""

import math
from collections.abc import Sequence
from typing import Annotated, Any, ClassVar

import torch
from torch import Tensor

from tasks.bounds import Bound, Count, Positive, PositiveOrZero
from tasks.metrics import Metric
from tasks.online_convex import Beta, Shares
from tasks.trials import Trials

# Of h(x) = x²/(1 + x²): the greatest |h'|, at 1/√3, and the greatest |h''|, at 0.
STEEPEST = 3 * math.sqrt(3) / 8
SMOOTHNESS = 2.0

Scales = Annotated[
    Sequence[float],
    Bound(
        lambda values: len(values) > 0 and all(0 < value < math.inf for value in values),
        "a list of numbers above 0",
    ),
]
Partial = Annotated[float, Bound(lambda value: 0 < value <= 0.5, "a number above 0, up to 1/2")]


class Nonconvex(Trials):
    """f(x) = Σᵢ h(xᵢ) with h(x) = x²/(1 + x²), whose gradients are sparse and noisy.

    Each coordinate of a stochastic gradient is c·(h'(xᵢ) + σε): ε is 1 or -1, and c is drawn from
    `scales`, divided by their mean so that the gradient is unbiased. Nothing is convex beyond
    |x| = 1/√3. f is L-smooth with L = 2, no gradient exceeds G∞ = max c·(3√3/8 + σ), and f - inf f
    is d·h(first) at the start.

    Theorem 4.3 of Padam (Chen et al.) is about `Padam` with variant "paper", eps 0 and a constant
    rate α. For the x that is drawn from x_2, …, x_T with chances ∝ α_(t-1), which is to say evenly,

        E‖∇f(x)‖² ≤ M₁/(Tα) + M₂d/T + M₃αd·G∞^(1-q)/T^((1-q)(1/2-s))                          (4.1)

    where ‖g_1:T,i‖ ≤ G∞·T^s for every i. `rate/gradient` is the mean of ‖∇f(x_t)‖² over those t,
    the left side's expectation over the draw; `rate/growth` is the least s ≥ 0 that all trials so
    far agree with. `rate/bound` is the right side with that s, and with the least q that the
    theorem has, which makes it least: G∞'s powers in M₃ and beside it cancel. M₂'s E‖v̂_1^-p‖₁ is
    exact, and infinite where a first gradient may be 0. The bound is there for a method with lr,
    betas and a partial p and β₁ < β₂^(2p), from T = 2 on; also for a Padam that the theorem is not
    about, with the authors' warm-up, weight decay or an eps.

    Args:
        dimensions: d.
        first: every coordinate of every trial's start.
        noise: σ.
        scales: c, but for a common factor.
        odds: how often each is drawn, relative to the others.
        lr, beta1, beta2, partial: the optimizer's numbers; None where it has none. Two for a beta2,
            as MAdam has, count as none.
        schedule: of the rate, which theorem 4.3 wants constant.

    Raises:
        ValueError: `odds` are not as many as `scales`, or the rate is not constant.
    """

    metrics: ClassVar = {
        "rate/steps": Metric("steps T", log=True),
        "rate/gradient": Metric("mean ‖∇f‖² over x_2 … x_T", "min", log=True),
        "rate/bound": Metric("bound (4.1)", log=True),
        "rate/bound_start": Metric("M₁/(Tα)", log=True),
        "rate/bound_dimension": Metric("M₂d/T", log=True),
        "rate/bound_rate": Metric("third term of (4.1), with M₃α", log=True),
        "rate/growth": Metric("s"),
    }
    headline = "rate/gradient"

    def __init__(
        self,
        *,
        dimensions: Count,
        first: float,
        noise: PositiveOrZero,
        scales: Scales,
        odds: Shares,
        lr: Positive | None,
        beta1: Beta | None,
        beta2: Beta | Sequence[float] | None,
        partial: Partial | None,
        schedule: str,
        device: torch.device,
        **budget: Any,
    ):
        if len(odds) != len(scales):
            raise ValueError(f"task.odds={odds}: must be as long as task.scales={scales}")
        if schedule != "optim.schedules.constant":
            raise ValueError(f"schedule={schedule}: theorem 4.3 is about a constant rate")
        self.dimensions, self.first, self.noise = dimensions, first, noise
        self.lr, self.beta1, self.partial = lr, beta1, partial
        self.beta2 = None if isinstance(beta2, Sequence) else beta2
        self.odds = torch.tensor(odds, dtype=torch.float64) / math.fsum(odds)
        relative = torch.tensor(scales, dtype=torch.float64)
        self.scales = relative / (self.odds @ relative)
        self.largest = self.scales.max().item() * (STEEPEST + noise)  # G∞
        super().__init__(device=device, **budget)
        zeros = torch.zeros(self.trials, dtype=torch.float64, device=device)
        self.taken = 0
        self.gradient_sum = zeros  # Σ ‖∇f(x_t)‖² from t = 2 on
        self.squares = torch.zeros(self.trials, dimensions, dtype=torch.float64, device=device)
        self._slope, self._g = torch.empty(0), torch.empty(0)

    def start(self) -> Tensor:
        return torch.full((self.trials, self.dimensions), self.first, dtype=torch.float64)

    def draw(self, steps: int, generator: torch.Generator) -> Tensor:
        """Draws of c and ε, (steps, 2, trials, dimensions)."""
        size = (steps, self.trials, self.dimensions)
        drawn = self.odds.multinomial(math.prod(size), replacement=True, generator=generator)
        sign = 2.0 * torch.randint(2, size, generator=generator, dtype=torch.float64) - 1
        return torch.stack([self.scales[drawn].view(size), sign], 1)

    def loss(self, batch: Tensor) -> Tensor:
        c, sign = batch
        x = self.model.theta
        with torch.no_grad():
            self._slope = slope(x)
            self._g = c * (self._slope + self.noise * sign)
        return (c * (x.square() / (1 + x.square()) + self.noise * sign * x)).sum()

    def after_step(self, step: int) -> None:
        self.taken = step + 1
        self.squares += self._g.square()
        if step > 0:  # x_1 is not among those that are drawn
            self.gradient_sum = self.gradient_sum + self._slope.square().sum(1)

    def evaluate(self) -> dict[str, float | Tensor]:
        T, x = self.taken, self.theta
        metrics: dict[str, float | Tensor] = {
            "test/loss": (x.square() / (1 + x.square())).sum(1),
            "rate/steps": float(T),
        }
        if T >= 2:
            growth = self.growth()
            metrics |= {"rate/gradient": self.gradient_sum / (T - 1), "rate/growth": growth}
            metrics |= self.bound(T, growth)
        return metrics

    def growth(self) -> float:
        """The least s ≥ 0 with ‖g_1:T,i‖ ≤ G∞·T^s in every trial; 1/2 at most, as G∞ bounds g."""
        norm = self.squares.max().sqrt().item()
        ratio = max(norm / self.largest, 1.0)
        return min(math.log(ratio) / math.log(self.taken), 0.5)

    def bound(self, T: int, s: float) -> dict[str, float]:
        """The right side of (4.1) and its three terms; nothing where the theorem is about others.

        Infinite bounds are left out.
        """
        lr, beta1, beta2, p = self.lr, self.beta1, self.beta2, self.partial
        if lr is None or beta1 is None or beta2 is None or p is None or beta1 >= beta2 ** (2 * p):
            return {}
        d, L, G = self.dimensions, SMOOTHNESS, self.largest
        q = max(0.0, 4 * p - 1)
        height = d * self.first**2 / (1 + self.first**2)  # Δf
        m1 = 2 * G ** (2 * p) * height
        m2 = 4 * G ** (2 + 2 * p) * self.first_inverse(beta2, p) / (1 - beta1) + 4 * G**2
        momentum = 8 * (1 - beta1) / (1 - beta1 / beta2 ** (2 * p)) * (beta1 / (1 - beta1)) ** 2
        m3 = (4 + momentum) * L * G ** (1 + q - 2 * p) / (1 - beta2) ** (2 * p)
        terms = {
            "rate/bound_start": m1 / (T * lr),
            "rate/bound_dimension": m2 * d / T,
            "rate/bound_rate": m3 * lr * d * G ** (1 - q) / T ** ((1 - q) * (0.5 - s)),
        }
        terms |= {"rate/bound": math.fsum(terms.values())}
        return {name: value for name, value in terms.items() if math.isfinite(value)}

    def first_inverse(self, beta2: float, p: float) -> float:
        """E‖v̂_1^-p‖₁/d, with v̂_1 = (1 - β₂)·g_1²: a mean over the values that g_1 may have."""
        steep = slope(torch.tensor(self.first, dtype=torch.float64))
        signed = torch.stack([steep + self.noise, steep - self.noise])
        g = self.scales[:, None] * signed
        inverse = ((1 - beta2) * g.square()) ** -p
        return (self.odds @ inverse.mean(1)).item()

    def state_dict(self) -> dict[str, Any]:
        return {
            "taken": self.taken,
            "gradient_sum": self.gradient_sum,
            "squares": self.squares,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.taken = state["taken"]
        self.gradient_sum = state["gradient_sum"].to(self.device)
        self.squares = state["squares"].to(self.device)


def slope(x: Tensor) -> Tensor:
    """h'(x)."""
    return 2 * x / (1 + x.square()).square()
